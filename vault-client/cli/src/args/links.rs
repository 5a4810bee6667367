//! Links.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OverwriteMode, Which, WhichVault};
use crate::selector::SnapshotPath;

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Makes a link to a file or folder of a snapshot, without uploading it again
    Create(LinkCreate),
    /// Lists the links of a vault
    List(WhichVault),
    /// Ends a link
    Revoke(LinkRevoke),
    /// Fetches what a link leads to; needs no account
    Get(LinkGet),
}

impl LinkCommand {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "link-create",
            Self::List(_) => "link-list",
            Self::Revoke(_) => "link-revoke",
            Self::Get(_) => "link-get",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct LinkCreate {
    /// A snapshot, and what in it
    #[arg(value_name = "SNAPSHOT:PATH")]
    pub(crate) what: SnapshotPath,
    #[command(flatten)]
    pub(crate) which: Which,
    /// When it ends: a number and m, h, d or w
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = lifetime)]
    pub(crate) expires: Lifetime,
    /// How often it may be fetched
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_downloads: Option<u32>,
    /// Asks for a password that is needed besides the link
    #[arg(long)]
    pub(crate) password: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LinkRevoke {
    /// The link, by the beginning of its id
    #[arg(value_name = "LINK")]
    pub(crate) link: String,
    #[command(flatten)]
    pub(crate) vault: WhichVault,
}

#[derive(Debug, Args)]
pub(crate) struct LinkGet {
    /// The link, or - to read it from standard input
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// The directory to write into; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// What to do with a file that is there already
    #[arg(long, value_name = "WHEN", default_value = "never")]
    pub(crate) overwrite: OverwriteMode,
}

/// How long a link lives, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime(pub(crate) u64);

fn lifetime(text: &str) -> Result<Lifetime, String> {
    const UNITS: [(char, u64); 4] = [('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
    let parsed = UNITS.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(*unit)?.parse::<u32>().ok()?;
        (number > 0).then(|| Lifetime(u64::from(number) * seconds))
    });
    parsed.ok_or_else(|| "a time is a number and m, h, d or w, such as 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_a_unit() {
        assert_eq!(lifetime("90m"), Ok(Lifetime(5_400)));
        assert_eq!(lifetime("30d"), Ok(Lifetime(30 * 86_400)));
        for text in ["", "d", "0d", "-1d", "1.5d", "30", "30 d", "99999999999w"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
