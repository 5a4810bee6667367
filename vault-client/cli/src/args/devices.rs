//! Devices, the recovery phrase, and a new computer.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Language;

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Where the hoster is: HOST:PORT, or any coffre:// address of it; - to
    /// read it from standard input
    ///
    /// Nothing else is needed: the words themselves tell whether it is the
    /// right hoster.
    #[arg(value_name = "HOSTER")]
    pub(crate) hoster: String,
    /// Reads the words from this file instead of asking for them
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
    /// What to call this device; without it, the name of the machine
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Lists the devices, the removed ones too
    List,
    /// Adds a device: run it on both, the new one first
    ///
    /// On the new device, with the hoster's address: shows a code. On a device
    /// of the account, with that code. Both then show six words; say yes on the
    /// old device only if they are the same.
    Pair(Pair),
    /// Takes a device out of the account, and changes all keys that it had
    Remove(DeviceRemove),
    /// Gives a device another name
    Rename(DeviceRename),
}

impl DeviceCommand {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::List => "device-list",
            Self::Pair(_) => "device-pair",
            Self::Remove(_) => "device-remove",
            Self::Rename(_) => "device-rename",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Pair {
    /// On a new device, the hoster's HOST:PORT; on a device of the account, - to
    /// read the coffre-pair: code that the new one shows from standard input
    #[arg(value_name = "HOSTER|CODE")]
    pub(crate) what: String,
    /// What to call this device, when it is the new one; without it, the name of
    /// the machine
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Goes on if these are the six words, instead of asking; - reads them from
    /// standard input once they are shown
    #[arg(long, value_name = "WORDS")]
    pub(crate) words: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceRemove {
    /// The device, by its name or the beginning of its id
    #[arg(value_name = "DEVICE")]
    pub(crate) device: String,
    /// To remove a recovery phrase: the file with the words of another one
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceRename {
    /// The device, by its name or the beginning of its id
    #[arg(value_name = "DEVICE")]
    pub(crate) device: String,
    /// What to call it; the hoster does not learn the name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PhraseCommand {
    /// Makes a new recovery phrase
    ///
    /// With the old words (--phrase-file, or asked for) it takes their place.
    /// Without them the old phrase stays: nobody who only has this device can
    /// take it away.
    New(PhraseNew),
    /// Proves that the words on paper are right
    Check(PhraseCheck),
}

impl PhraseCommand {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::New(_) => "phrase-new",
            Self::Check(_) => "phrase-check",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PhraseNew {
    /// The old words are lost: keeps the old phrase, and adds another
    #[arg(long, conflicts_with = "phrase_file")]
    pub(crate) lost: bool,
    /// Reads the old words from this file instead of asking for them
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
    /// Writes the new phrase to this new file instead of showing it
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_out: Option<PathBuf>,
    /// The language of the new words; without it, that of the messages
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) language: Option<Language>,
}

#[derive(Debug, Args)]
pub(crate) struct PhraseCheck {
    /// Reads the words from this file instead of asking for them
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
}
