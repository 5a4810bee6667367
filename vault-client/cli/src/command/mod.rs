//! The commands: each reads its arguments, asks the library, and says what
//! came of it.

mod backup;
mod cat;
mod check;
mod diff;
mod find;
mod generate;
mod ls;
mod restore;
mod signup;
mod snapshots;
mod stats;
mod status;
mod vault;

use crate::args::{Command, VaultCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Context;

/// Runs a command, which says what there is to say unless it fails.
pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Signup(options) => signup::run(options, context),
        Command::Vault(VaultCommand::Create(options)) => vault::create(options, context),
        Command::Vault(VaultCommand::List) => vault::list(context),
        Command::Backup(options) => backup::run(options, context),
        Command::Snapshots(options) => snapshots::run(options, context),
        Command::Ls(options) => ls::run(options, context),
        Command::Diff(options) => diff::run(options, context),
        Command::Cat(options) => cat::run(options, context),
        Command::Find(options) => find::run(options, context),
        Command::Restore(options) => restore::run(options, context),
        Command::Check(options) => check::run(options, context),
        Command::Status(options) => status::run(options, context),
        Command::Stats(options) => stats::run(options, context),
        Command::Completions(options) => generate::completions(options, context),
        Command::Man(options) => generate::man(options, context),
    }
}
