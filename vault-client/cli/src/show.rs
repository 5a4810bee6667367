//! Names, sizes and times as people read them.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::tz::TimeZone;
use vault_client::files::Reason;
use vault_core::snapshot::SnapshotId;
use vault_core::timestamp::Timestamp;

use crate::language::{Language, language, say};
use crate::message::Message;

/// A name or path, unmistakable and harmless on a terminal: what is not UTF-8,
/// control characters and those that reorder text are escaped, and so is the
/// backslash that begins an escape.
pub(crate) fn path(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                shown.push_str("\\\\");
            } else {
                push_printable(&mut shown, character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Text that came from elsewhere, harmless on a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars()
        .for_each(|character| push_printable(&mut shown, character));
    shown
}

/// Whether a character only stands where it is written: no control character, and
/// none that reorders the text around it or begins a line.
pub(crate) fn is_harmless(character: char) -> bool {
    let reorders = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !character.is_control() && !reorders
}

fn push_printable(shown: &mut String, character: char) {
    if is_harmless(character) {
        shown.push(character);
    } else if character.is_ascii() {
        let _ = write!(shown, "\\x{:02x}", u32::from(character));
    } else {
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
    }
}

/// The digits of an id that are shown; a prefix of any length selects.
pub(crate) fn short(id: &SnapshotId) -> String {
    id.to_string()[..8].to_owned()
}

/// Bytes: GB is 10^9.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&size(self.0, language()))
    }
}

fn size(bytes: u64, language: Language) -> String {
    let (names, point) = match language {
        Language::English => (["B", "kB", "MB", "GB", "TB"], '.'),
        Language::French => (["o", "ko", "Mo", "Go", "To"], ','),
    };
    let units = [1, 1_000, 1_000_000, 1_000_000_000, 1_000_000_000_000];
    let units = units.into_iter().zip(names).skip(1).rev();
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} {}", names[0]),
        Some((unit, name)) if bytes < 10 * unit => {
            format!(
                "{}{point}{} {name}",
                bytes / unit,
                bytes % unit / (unit / 10)
            )
        }
        Some((unit, name)) => format!("{} {name}", bytes / unit),
    }
}

/// A number with its thousands apart.
pub(crate) struct Count(pub(crate) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&count(self.0, language()))
    }
}

fn count(number: u64, language: Language) -> String {
    let separator = match language {
        Language::English => ',',
        // A narrow space that no line breaks at.
        Language::French => '\u{202f}',
    };
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// Something that is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Noun {
    File,
    FileOrDirectory,
    Link,
    Page,
    Pack,
    Problem,
    Series,
    Snapshot,
}

impl Noun {
    /// One of it, and several.
    fn forms(self, language: Language) -> [&'static str; 2] {
        match (self, language) {
            (Self::File, Language::English) => ["file", "files"],
            (Self::File, Language::French) => ["fichier", "fichiers"],
            (Self::FileOrDirectory, Language::English) => {
                ["file or directory", "files and directories"]
            }
            (Self::FileOrDirectory, Language::French) => {
                ["fichier ou répertoire", "fichiers et répertoires"]
            }
            (Self::Link, Language::English) => ["link", "links"],
            (Self::Link, Language::French) => ["lien", "liens"],
            (Self::Page, Language::English) => ["page", "pages"],
            (Self::Page, Language::French) => ["page", "pages"],
            (Self::Pack, Language::English) => ["pack", "packs"],
            (Self::Pack, Language::French) => ["paquet", "paquets"],
            (Self::Problem, Language::English) => ["problem", "problems"],
            (Self::Problem, Language::French) => ["problème", "problèmes"],
            (Self::Series, Language::English) => ["series", "series"],
            (Self::Series, Language::French) => ["série", "séries"],
            (Self::Snapshot, Language::English) => ["snapshot", "snapshots"],
            (Self::Snapshot, Language::French) => ["instantané", "instantanés"],
        }
    }
}

/// `1 file`, `2 files`.
pub(crate) fn counted(number: u64, noun: Noun) -> String {
    counted_in(number, noun, language())
}

fn counted_in(number: u64, noun: Noun, language: Language) -> String {
    let is_one = match language {
        Language::English => number == 1,
        // None of something is not several.
        Language::French => number <= 1,
    };
    let [one, many] = noun.forms(language);
    let noun = if is_one { one } else { many };
    format!("{} {noun}", count(number, language))
}

/// How long something took, or is ago.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => {
            let text = format!("{:.1} s", duration.as_secs_f64());
            match language() {
                Language::English => text,
                Language::French => text.replace('.', ","),
            }
        }
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// How long ago something was, roughly.
pub(crate) fn age(seconds: u64) -> String {
    let (number, english, french) = match seconds {
        0..60 => return say!("just now", "à l’instant"),
        60..3_600 => (seconds / 60, "minute", "minute"),
        3_600..86_400 => (seconds / 3_600, "hour", "heure"),
        _ => (seconds / 86_400, "day", "jour"),
    };
    let plural = if number == 1 { "" } else { "s" };
    let number = Count(number);
    say!(
        "{number} {english}{plural} ago",
        "il y a {number} {french}{plural}"
    )
}

/// Why something was left out.
pub(crate) fn reason(reason: Reason) -> String {
    Message::of(&reason).shown().into_owned()
}

/// A moment on this machine's clock, to the minute.
pub(crate) fn local_time(time: Timestamp) -> String {
    match moment(time) {
        Some(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
        None => "?".to_owned(),
    }
}

/// Seconds since 1970, as clocks here show them.
pub(crate) fn unix_seconds(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::new(seconds, 0))
        .map_or_else(|| "?".to_owned(), local_time)
}

/// A moment as RFC 3339 has it, in UTC and to the nanosecond.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    match moment(time) {
        Some(time) => time.to_string(),
        // Years that no calendar of ours has: trees may say anything.
        None => format!("@{}.{:09}", time.seconds(), time.nanoseconds()),
    }
}

/// Seconds since 1970, likewise.
pub(crate) fn rfc3339_seconds(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::new(seconds, 0));
    time.map_or_else(|| format!("@{seconds}"), rfc3339)
}

fn moment(time: Timestamp) -> Option<jiff::Timestamp> {
    let nanoseconds = i32::try_from(time.nanoseconds()).ok()?;
    jiff::Timestamp::new(time.seconds(), nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless_on_a_terminal() {
        for (bytes, shown) in [
            (&b"plain name.txt"[..], "plain name.txt"),
            ("été 日本".as_bytes(), "été 日本"),
            (b"\x1b[2Jgone", "\\x1b[2Jgone"),
            (
                b"two\nlines\r\t\x00\x7f",
                "two\\x0alines\\x0d\\x09\\x00\\x7f",
            ),
            (b"caf\xe9", "caf\\xe9"),
            (b"\xff\xfe\xf0\x9f", "\\xff\\xfe\\xf0\\x9f"),
            (b"back\\x41slash", "back\\\\x41slash"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            ("photo\u{202e}gpj.exe".as_bytes(), "photo\\u{202e}gpj.exe"),
            ("\u{61c}a\u{2028}b".as_bytes(), "\\u{61c}a\\u{2028}b"),
        ] {
            assert_eq!(path(bytes), shown);
        }
    }

    #[test]
    fn no_two_names_look_the_same() {
        let names: [&[u8]; 4] = [b"a\nb", b"a\\x0ab", b"a\\nb", b"a\\\\x0ab"];
        let shown: std::collections::HashSet<_> = names.map(path).into_iter().collect();
        assert_eq!(shown.len(), names.len());
    }

    #[test]
    fn sizes_are_decimal() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (4_250_000, "4.2 MB"),
            (12_900_000, "12 MB"),
            (1_100_000_000, "1.1 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
        assert_eq!(format!("{:>8}|", Size(999)), "   999 B|");
    }

    #[test]
    fn counts_have_commas() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (50_123, "50,123"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(Count(number).to_string(), shown);
        }
        assert_eq!(counted(1, Noun::File), "1 file");
        assert_eq!(counted(0, Noun::File), "0 files");
    }

    #[test]
    fn french_counts_its_own_way() {
        let french = Language::French;
        assert_eq!(size(4_250_000, french), "4,2 Mo");
        assert_eq!(count(1_234_567, french), "1\u{202f}234\u{202f}567");
        assert_eq!(counted_in(0, Noun::File, french), "0 fichier");
        assert_eq!(counted_in(2, Noun::Snapshot, french), "2 instantanés");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(duration(Duration::from_millis(2_149)), "2.1 s");
        assert_eq!(duration(Duration::from_secs(3_725)), "1 h 02 min");
        assert_eq!(age(59), "just now");
        assert_eq!(age(3_600), "1 hour ago");
        assert_eq!(age(3 * 86_400), "3 days ago");
        let time = Timestamp::new(1_000_000_000, 5).unwrap();
        assert_eq!(rfc3339(time), "2001-09-09T01:46:40.000000005Z");
        assert_eq!(
            rfc3339(Timestamp::new(i64::MAX, 0).unwrap()),
            "@9223372036854775807.000000000"
        );
    }
}
