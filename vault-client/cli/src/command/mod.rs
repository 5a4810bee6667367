//! The commands: each reads its arguments, asks the library, and says what
//! came of it.

mod backup;
mod cat;
mod check;
mod contact;
mod device;
mod diff;
mod find;
mod generate;
mod left_behind;
mod link;
mod ls;
mod new_devices;
mod pair;
mod phrase;
mod reconcile;
mod recover;
mod repair;
mod restore;
mod share;
mod signup;
mod snapshots;
mod stats;
mod status;
mod vault;
mod whoami;

use crate::args::{
    Command, ContactCommand, DeviceCommand, LinkCommand, PhraseCommand, ShareCommand, VaultCommand,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::message::both;
use crate::session::Context;

/// Runs a command, which says what there is to say unless it fails.
pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Signup(options) => signup::run(options, context),
        Command::Vault(VaultCommand::Create(options)) => vault::create(options, context),
        Command::Vault(VaultCommand::List(options)) => vault::list(options, context),
        Command::Vault(VaultCommand::Members(options)) => vault::members(options, context),
        Command::Vault(VaultCommand::Rename(options)) => vault::rename(options, context),
        Command::Vault(VaultCommand::Delete(options)) => vault::delete(options, context),
        Command::Vault(VaultCommand::Reconcile(options)) => {
            reconcile::bring_forward(options, context)
        }
        Command::Vault(VaultCommand::Heads(options)) => repair::heads(options, context),
        Command::Vault(VaultCommand::Repair(options)) => repair::bring_back(options, context),
        Command::Vault(VaultCommand::Undelete(options)) => repair::undelete(options, context),
        Command::Vault(VaultCommand::Head(options)) => vault::head(options, context),
        Command::Vault(VaultCommand::Confirm(options)) => vault::confirm(options, context),
        Command::Recover(options) => recover::run(options, context),
        Command::Whoami(options) => whoami::run(options, context),
        Command::Device(DeviceCommand::List) => device::list(context),
        Command::Device(DeviceCommand::Pair(options)) => pair::run(options, context),
        Command::Device(DeviceCommand::Remove(options)) => device::remove(options, context),
        Command::Device(DeviceCommand::Rename(options)) => device::rename(options, context),
        Command::Phrase(PhraseCommand::New(options)) => phrase::new(options, context),
        Command::Phrase(PhraseCommand::Check(options)) => phrase::check(options, context),
        Command::Share(share) => match (&share.command, &share.with) {
            (Some(ShareCommand::List), _) => share::list(context),
            (Some(ShareCommand::Accept(options)), _) => share::accept(options, context),
            (Some(ShareCommand::Decline(options)), _) => share::decline(options, context),
            (None, Some(options)) => share::share(options, context),
            (None, None) => Err(Failure::usage(both!(
                "share what, and with whom?",
                "partager quoi, et avec qui ?"
            ))),
        },
        Command::Unshare(options) => share::unshare(options, context),
        Command::Contact(ContactCommand::Add(options)) => contact::add(options, context),
        Command::Contact(ContactCommand::Remove(options)) => contact::remove(options, context),
        Command::Contact(ContactCommand::List) => contact::list(context),
        Command::Contact(ContactCommand::Verify(options)) => contact::verify(options, context),
        Command::Link(LinkCommand::Create(options)) => link::create(options, context),
        Command::Link(LinkCommand::List(options)) => link::list(options, context),
        Command::Link(LinkCommand::Revoke(options)) => link::revoke(options, context),
        Command::Link(LinkCommand::Get(options)) => link::get(options, context),
        Command::Backup(options) => backup::run(options, context).map_err(Failure::of_backup),
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
