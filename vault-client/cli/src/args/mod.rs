//! What can be typed.

mod devices;
mod links;
mod sharing;
mod vaults;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use vault_client::check::ReadData;
use vault_core::seal::CompressionLevel;

pub(crate) use devices::{
    DeviceCommand, DeviceRemove, DeviceRename, Pair, PhraseCheck, PhraseCommand, PhraseNew, Recover,
};
pub(crate) use links::{LinkCommand, LinkCreate, LinkGet, LinkRevoke};
pub(crate) use sharing::{
    ContactAddress, ContactCommand, ContactRemove, ContactVerify, RoleArgument, Share, ShareAccept,
    ShareCommand, ShareDecline, ShareWith, Unshare, Whoami,
};
pub(crate) use vaults::{
    NamedVault, VaultCommand, VaultConfirm, VaultCreate, VaultDelete, VaultHead, VaultHeads,
    VaultList, VaultReconcile, VaultRename, VaultRepair, VaultUndelete,
};

use crate::exit;
use crate::selector::{SnapshotPath, SnapshotPrefix};

/// Backs up into an end-to-end encrypted vault, and restores from it.
///
/// The hoster of a vault stores it and cannot read it.
#[derive(Debug, Parser)]
#[command(name = "coffre", version, max_term_width = 100, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Prints one JSON document on standard output instead, errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How to show how far it is, on standard error
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressMode,
    /// Prints no summaries and no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// The directory that holds all of this device's state
    ///
    /// Without it, `coffre` in the XDG state directory. One directory is one
    /// device: with two of them, a machine is two devices.
    #[arg(long, global = true, value_name = "DIR", env = "COFFRE_HOME")]
    pub(crate) home: Option<PathBuf>,
}

/// How to show how far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar, on a terminal
    Auto,
    /// A line of JSON, up to ten times a second; whatever else is said there is
    /// a line of JSON, too
    Json,
    /// Not at all
    None,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an account at a hoster from an invitation
    Signup(Signup),
    /// Brings an account back on a new computer, from its recovery phrase
    Recover(Recover),
    /// Shows this account's address, to be given to others
    Whoami(Whoami),
    /// Lists, adds and removes the devices of this account
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Replaces the recovery phrase, or proves that it still works
    #[command(subcommand)]
    Phrase(PhraseCommand),
    /// Makes, lists and changes vaults
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Shares a vault with somebody, or answers who shared one
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Share(Share),
    /// Ends somebody's membership of a vault
    Unshare(Unshare),
    /// Keeps the addresses of others, and compares them
    #[command(subcommand)]
    Contact(ContactCommand),
    /// Gives a file or folder to whoever has a link
    #[command(subcommand)]
    Link(LinkCommand),
    /// Saves files and directories as a snapshot
    Backup(Backup),
    /// Lists the snapshots
    Snapshots(Which),
    /// Lists what is in a snapshot
    Ls(Ls),
    /// Shows what changed from one snapshot to another
    Diff(Diff),
    /// Prints a file of a snapshot
    Cat(Cat),
    /// Finds files by name, in all snapshots
    Find(Find),
    /// Writes a snapshot, or part of it, into a directory
    Restore(Restore),
    /// Checks that everything in the vault is there, and what was stored
    Check(Check),
    /// Shows the account, the vaults and how old the last backups are
    Status(Status),
    /// Shows how much a vault holds
    Stats(WhichVault),
    /// Prints a completion script for a shell
    Completions(Completions),
    /// Writes the manual pages
    Man(Man),
}

impl Command {
    /// The name in schemas and progress lines.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Signup(_) => "signup",
            Self::Recover(_) => "recover",
            Self::Whoami(_) => "whoami",
            Self::Device(command) => command.name(),
            Self::Phrase(command) => command.name(),
            Self::Vault(command) => command.name(),
            Self::Share(share) => share.name(),
            Self::Unshare(_) => "unshare",
            Self::Contact(command) => command.name(),
            Self::Link(command) => command.name(),
            Self::Backup(_) => "backup",
            Self::Snapshots(_) => "snapshots",
            Self::Ls(_) => "ls",
            Self::Diff(_) => "diff",
            Self::Cat(_) => "cat",
            Self::Find(_) => "find",
            Self::Restore(_) => "restore",
            Self::Check(_) => "check",
            Self::Status(_) => "status",
            Self::Stats(_) => "stats",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }
}

/// Which vault.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhichVault {
    /// The vault, by its name or id; not needed while there is only one
    #[arg(long, value_name = "NAME")]
    pub(crate) vault: Option<String>,
}

/// Which vault, and which series in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    pub(crate) vault: WhichVault,
    /// Only this series
    #[arg(long, value_name = "NAME")]
    pub(crate) series: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Signup {
    /// The invitation, or - to read it from standard input
    #[arg(value_name = "URL")]
    pub(crate) invitation: String,
    /// What to call this device; without it, the name of the machine
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Writes the recovery phrase to this new file instead of showing it
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_out: Option<PathBuf>,
    /// The language of the phrase's words; without it, that of the messages
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) language: Option<Language>,
}

/// The language of a recovery phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// English
    En,
    /// French
    Fr,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// What to save
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) vault: WhichVault,
    /// The series that the snapshot belongs to; without it, one of its own for
    /// this device and these paths
    #[arg(long, value_name = "NAME")]
    pub(crate) series: Option<String>,
    /// Begins a series without deduplication: all that is read is sent
    ///
    /// How much is sent then does not tell the hoster whether the vault held it
    /// already. A series that was begun so stays so, also without this option;
    /// files that have not changed since its last snapshot are not read.
    #[arg(long)]
    pub(crate) no_deduplication: bool,
    /// Leaves out what matches
    ///
    /// A pattern is much like one of .gitignore: `*.o` for a name anywhere,
    /// `/home/*/tmp` for a full path, `**` for any number of directories, a
    /// slash at the end for directories only, `!` in front to take it back.
    #[arg(long, short, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Leaves out what matches a pattern in this file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) exclude_file: Vec<PathBuf>,
    /// Stays on the file system of each path
    #[arg(long, short = 'x')]
    pub(crate) one_file_system: bool,
    /// Reads everything, and stores nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// How hard to compress: -7 is fastest, 19 smallest
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "3",
        value_parser = compression,
        allow_hyphen_values = true
    )]
    pub(crate) compression: CompressionLevel,
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// A snapshot, and what in it
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    pub(crate) what: SnapshotPath,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Shows mode, owner, size and time
    #[arg(long, short)]
    pub(crate) long: bool,
    /// Lists what is in directories, too
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The snapshot before
    #[arg(value_name = "A")]
    pub(crate) before: SnapshotPrefix,
    /// The snapshot after
    #[arg(value_name = "B")]
    pub(crate) after: SnapshotPrefix,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// A snapshot, and the file in it
    #[arg(value_name = "SNAPSHOT:PATH")]
    pub(crate) what: SnapshotPath,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Find {
    /// A name or path, with `*`, `?`, `[a-z]`, `{a,b}` and `**`; see
    /// `coffre backup --exclude`
    #[arg(value_name = "GLOB")]
    pub(crate) pattern: String,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A snapshot, and what in it: with a path, what is in that directory goes
    /// directly into DIR
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    pub(crate) what: SnapshotPath,
    #[command(flatten)]
    pub(crate) which: Which,
    /// The directory to write into; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// What to do with a file that is there already
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(crate) overwrite: OverwriteMode,
    /// Reads every file of the snapshot again, also those that were there
    /// already, and compares its contents; not modes, times, owners, attributes
    #[arg(long)]
    pub(crate) verify: bool,
    /// Also restores set-user-id and set-group-id bits and capabilities; only
    /// for what you trust with root's rights
    #[arg(long)]
    pub(crate) privileges: bool,
    /// Also makes FIFOs, sockets and device nodes
    #[arg(long)]
    pub(crate) special_files: bool,
    /// Takes owners by their numbers, not by their names
    #[arg(long)]
    pub(crate) numeric_owners: bool,
}

/// What to do with a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OverwriteMode {
    /// Leave it
    Never,
    /// Replace it if its size or time differs
    Changed,
    /// Replace it
    Always,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) vault: WhichVault,
    /// Reads what is stored, too: all of it, or a share picked at random
    #[arg(
        long,
        value_name = "SHARE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "100%",
        value_parser = read_data
    )]
    pub(crate) read_data: Option<ReadData>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) vault: WhichVault,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The directory to write into
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
}

fn compression(text: &str) -> Result<CompressionLevel, String> {
    let level = i32::from_str(text).ok().and_then(CompressionLevel::new);
    level.ok_or_else(|| "a level is a whole number from -7 to 19".to_owned())
}

fn read_data(text: &str) -> Result<ReadData, String> {
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.parse::<f64>().ok());
    match number {
        Some(100.0) => Ok(ReadData::Everything),
        Some(percent) if percent > 0.0 && percent < 100.0 => Ok(ReadData::Share(percent / 100.0)),
        _ => Err("a share is a percentage above 0, such as 10%".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!(read_data("100%"), Ok(ReadData::Everything));
        assert_eq!(read_data("10%"), Ok(ReadData::Share(0.1)));
        for text in ["", "%", "10", "0%", "101%", "-1%", "nan%", "inf%"] {
            assert!(read_data(text).is_err(), "{text}");
        }
        let parsed = Cli::try_parse_from(["coffre", "check", "--read-data"]).unwrap();
        let Command::Check(check) = parsed.command else {
            panic!("not a check")
        };
        assert_eq!(check.read_data, Some(ReadData::Everything));
    }

    #[test]
    fn levels_are_bounded() {
        assert!(compression("-7").is_ok() && compression("19").is_ok());
        for text in ["-8", "20", "", "three", "3.5"] {
            assert!(compression(text).is_err(), "{text}");
        }
        let fast = ["coffre", "backup", "/x", "--compression", "-3"];
        assert!(Cli::try_parse_from(fast).is_ok());
    }
}
