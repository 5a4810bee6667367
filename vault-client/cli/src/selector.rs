//! `SNAPSHOT` and `SNAPSHOT:PATH`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use clap::builder::{TypedValueParser, ValueParserFactory};

/// `latest`, or the beginning of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotPrefix(String);

impl SnapshotPrefix {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Ids are shown in lower case; who types capitals means the same.
        let text = text.to_ascii_lowercase();
        let is_prefix =
            (1..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_prefix || text == "latest" {
            Ok(Self(text))
        } else {
            Err(
                "a snapshot is `latest`, or the first digits of an id as `coffre snapshots` \
                 shows it",
            )
        }
    }
}

/// A snapshot, and perhaps a path in it: bytes, as file names are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotPath {
    pub(crate) snapshot: SnapshotPrefix,
    pub(crate) path: Option<Vec<u8>>,
}

impl SnapshotPath {
    /// Splits at the first colon: no id has one, and a path may.
    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let mut parts = text.splitn(2, |byte| *byte == b':');
        let prefix = parts.next().unwrap_or_default();
        let path = parts.next().map(<[u8]>::to_vec);
        if path
            .as_ref()
            .is_some_and(|path| path.first() != Some(&b'/'))
        {
            return Err("a path in a snapshot begins with a slash: SNAPSHOT:/home/me");
        }
        let prefix = String::from_utf8_lossy(prefix);
        Ok(Self {
            snapshot: prefix.parse()?,
            path,
        })
    }

    /// The path; without one, all there is.
    pub(crate) fn path_or_root(&self) -> &[u8] {
        self.path.as_deref().unwrap_or(b"/")
    }
}

impl ValueParserFactory for SnapshotPath {
    type Parser = SnapshotPathParser;

    fn value_parser() -> Self::Parser {
        SnapshotPathParser
    }
}

/// Reads a [`SnapshotPath`] from an argument that need not be UTF-8.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotPathParser;

impl TypedValueParser for SnapshotPathParser {
    type Value = SnapshotPath;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<SnapshotPath, clap::Error> {
        let parsed = SnapshotPath::parse(value.as_bytes());
        // clap words its errors around a parser of text: this one has read it.
        let told = move |_: &str| parsed.clone();
        told.parse_ref(command, argument, OsStr::new(&*value.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_splits() {
        let parsed = SnapshotPath::parse(b"1a2B:/a:b").unwrap();
        assert_eq!(parsed.snapshot.as_str(), "1a2b");
        assert_eq!(parsed.path.as_deref(), Some(&b"/a:b"[..]));
        let parsed = SnapshotPath::parse(b"latest").unwrap();
        assert_eq!(
            (parsed.path_or_root(), parsed.path.as_deref()),
            (&b"/"[..], None)
        );
        let parsed = SnapshotPath::parse(b"latest:/caf\xe9").unwrap();
        assert_eq!(parsed.path_or_root(), b"/caf\xe9");
    }

    #[test]
    fn what_cannot_be_a_snapshot_is_refused() {
        let long = "a".repeat(65);
        for text in [
            "", ":", ":/x", "newest", "12 34", "-", "1a:home", "1a:", &long,
        ] {
            assert!(SnapshotPath::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
