//! `completions` and `man`: made from the arguments themselves.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::CommandFactory as _;

use crate::{Cli, CompletionsOptions, ManOptions};

pub(crate) fn completions(options: &CompletionsOptions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut Cli::command(),
        "coffre-server",
        &mut script,
    );
    done(io::stdout().write_all(&script))
}

pub(crate) fn man(options: &ManOptions) -> ExitCode {
    done(write_pages(&options.to))
}

/// One page for each command.
fn write_pages(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    // Help on help needs no page.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        let page = clap_mangen::Man::new(command.clone());
        let mut text = Vec::new();
        page.render(&mut text)?;
        fs::write(directory.join(page.get_filename()), text)?;
        waiting.extend(command.get_subcommands().cloned());
    }
    Ok(())
}

fn done(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the script has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coffre-server: {error}");
            ExitCode::FAILURE
        }
    }
}
