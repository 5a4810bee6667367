//! Names, sizes and times as people read them.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::tz::TimeZone;
use vault_core::snapshot::SnapshotId;
use vault_core::timestamp::Timestamp;

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

fn push_printable(shown: &mut String, character: char) {
    let reorders = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    if !character.is_control() && !reorders {
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
        let units = [
            (1_000_000_000_000, "TB"),
            (1_000_000_000, "GB"),
            (1_000_000, "MB"),
            (1_000, "kB"),
        ];
        let text = match units.into_iter().find(|(unit, _)| self.0 >= *unit) {
            None => format!("{} B", self.0),
            Some((unit, name)) if self.0 < 10 * unit => {
                format!("{}.{} {name}", self.0 / unit, self.0 % unit / (unit / 10))
            }
            Some((unit, name)) => format!("{} {name}", self.0 / unit),
        };
        f.pad(&text)
    }
}

/// A number with commas between thousands.
pub(crate) struct Count(pub(crate) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// `1 file`, `2 files`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", Count(number), if number == 1 { one } else { many })
}

/// How long something took, or is ago.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// How long ago something was, roughly.
pub(crate) fn age(seconds: u64) -> String {
    let (number, one, many) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute", "minutes"),
        3_600..86_400 => (seconds / 3_600, "hour", "hours"),
        _ => (seconds / 86_400, "day", "days"),
    };
    format!("{} ago", counted(number, one, many))
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

/// A moment as RFC 3339 has it, in UTC and to the nanosecond.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    match moment(time) {
        Some(time) => time.to_string(),
        // Years that no calendar of ours has: trees may say anything.
        None => format!("@{}.{:09}", time.seconds(), time.nanoseconds()),
    }
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
        assert_eq!(counted(1, "file", "files"), "1 file");
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
