//! `coffre completions` and `coffre man`: made from the arguments themselves.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use clap::CommandFactory;
use serde::Serialize;

use crate::args::{Cli, Completions, Man};
use crate::document::PathText;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::say;
use crate::session::Context;
use crate::show::{self, Noun, counted};

#[derive(Serialize)]
struct CompletionsFields {
    shell: String,
    script: String,
}

#[derive(Serialize)]
struct ManFields {
    #[serde(flatten)]
    path: PathText,
    files: Vec<String>,
}

pub(super) fn completions(options: &Completions, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "coffre", &mut script);
    let fields = CompletionsFields {
        shell: options.shell.to_string(),
        script: String::from_utf8_lossy(&script).into_owned(),
    };
    context
        .output
        .result(&fields, |out| out.write_all(&script))?;
    Ok(Exit::Done)
}

pub(super) fn man(options: &Man, context: &Context) -> Result<Exit, Failure> {
    let failed = |error| Failure::file(&options.to, &error);
    fs::create_dir_all(&options.to).map_err(failed)?;
    let mut files = Vec::new();
    // Help on help needs no page.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        let page = clap_mangen::Man::new(command.clone());
        let name = page.get_filename();
        let mut text = Vec::new();
        page.render(&mut text).map_err(failed)?;
        fs::write(options.to.join(&name), text).map_err(failed)?;
        files.push(name);
        waiting.extend(command.get_subcommands().cloned());
    }
    files.sort();
    let pages = counted(files.len() as u64, Noun::Page);
    let to = show::path(options.to.as_os_str().as_bytes());
    let text = say!("{pages} in {to}", "{pages} dans {to}");
    context.output.summary(
        &ManFields {
            path: PathText::of(&options.to),
            files,
        },
        &text,
    )?;
    Ok(Exit::Done)
}
