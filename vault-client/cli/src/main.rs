//! `coffre`: a thin layer over the library `vault-client`.
//!
//! ```text
//! args ─▶ command ─▶ session ─▶ (vault-client)
//!            │
//!            └─▶ document, show ─▶ output          failure ─▶ exit
//!                                                     │
//!                                            message ◀┘ ─▶ french
//! ```
//!
//! Standard output holds what was asked for, or one JSON document; standard
//! error everything else. Secrets are never needed as arguments.

mod args;
mod command;
mod document;
mod exit;
mod failure;
mod french;
mod input;
mod interrupt;
mod language;
mod message;
mod output;
mod phrase;
mod progress;
mod qr;
mod selector;
mod session;
mod show;
mod table;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::args::{Cli, ProgressMode};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::words;
use crate::message::Message;
use crate::output::Output;
use crate::session::Context;

fn main() -> ExitCode {
    language::choose();
    allow_open_files();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    let name = cli.command.name();
    let json_lines = cli.global.progress == ProgressMode::Json;
    let output = Output::new(name, cli.global.json, cli.global.quiet).with_json_lines(json_lines);
    let context = Context::new(cli.global, name, output.clone());
    match command::run(&cli.command, &context) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit().into()
        }
    }
}

/// Open files are few by default for the sake of programs that use `select`; this
/// one does not, and a restore has many.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer it takes longer, and works.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// What clap has to say: help, a version, or why the arguments make no sense.
fn refuse(error: &clap::Error) -> Exit {
    let wants_json = std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != "--");
    if error.use_stderr()
        && wants_json
            .into_iter()
            .any(|argument| argument == OsStr::new("--json"))
    {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let failure = Failure::usage(Message::from_english(message));
        Output::new("", true, false)
            .failure(&failure.with_hint(words("coffre --help", "coffre --help")));
        return Exit::Usage;
    }
    if !error.use_stderr() {
        // Whoever closed the pipe has seen enough.
        let _ = error.print();
        return Exit::Done;
    }
    if std::env::args_os().all(|argument| is_harmless(&argument)) {
        let _ = error.print();
    } else {
        // The message repeats them: names of files, perhaps, that somebody else
        // has chosen and a shell has filled in.
        let text = error.to_string();
        for line in text.lines() {
            anstream::eprintln!("{}", show::printable(line));
        }
    }
    Exit::Usage
}

fn is_harmless(argument: &OsStr) -> bool {
    let text = argument.to_str();
    text.is_some_and(|text| text.chars().all(show::is_harmless))
}
