//! Sizes and times as people type and read them.

use std::{fmt, str::FromStr};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// How many bytes a member may store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota(pub(crate) u64);

/// A number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime(pub(crate) u64);

const SIZES: [(&str, u64); 11] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("pb", 1_000_000_000_000_000),
];

const TIMES: [(&str, u64); 5] = [
    ("s", 1),
    ("m", 60),
    ("h", 60 * 60),
    ("d", 24 * 60 * 60),
    ("w", 7 * 24 * 60 * 60),
];

/// `12.5GB` as so many units, rounded down.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let mut total = u128::from(whole) * u128::from(*factor);
    if number.contains('.') {
        let digits: u32 = fraction.parse().ok()?;
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        total += u128::from(digits) * u128::from(*factor) / scale;
    }
    u64::try_from(total).ok()
}

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &SIZES)
            .map(Self)
            .ok_or("a size is a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 5GB")
    }
}

impl FromStr for Quota {
    type Err = &'static str;

    /// A few bytes without a unit are gigabytes whose unit was forgotten.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FEW_BYTES: u64 = 1 << 20;
        let Size(bytes) = text.parse()?;
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        if !has_unit && (1..FEW_BYTES).contains(&bytes) {
            return Err(
                "that is so many bytes, less than 1 MiB: put B, kB, MB, GB, TB, KiB, MiB, GiB or \
                 TiB behind the number, such as 5GB",
            );
        }
        Ok(Self(bytes))
    }
}

impl FromStr for Lifetime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &TIMES)
            .map(Self)
            .ok_or("a time is a number and s, m, h, d or w, such as 7d")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = "B";
        let mut divisor = 1;
        for (name, size) in [
            ("kB", 1_000_u64),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("TB", 1_000_000_000_000),
        ] {
            if self.0 >= size {
                (unit, divisor) = (name, size);
            }
        }
        if divisor == 1 {
            return write!(f, "{} B", self.0);
        }
        let tenths = u128::from(self.0) * 10 / u128::from(divisor);
        write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_and_binary_units_differ() {
        for (text, bytes) in [
            ("5GB", 5_000_000_000),
            ("5 gb", 5_000_000_000),
            ("5GiB", 5 << 30),
            ("0.5MiB", 1 << 19),
            ("1.5kB", 1500),
            ("17", 17),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "GB",
            "5XB",
            "-5GB",
            "1e9",
            "5.GB",
            ".5GB",
            "99999999999TB",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!("2w".parse(), Ok(Lifetime(14 * 24 * 60 * 60)));
        assert!("7".parse::<Lifetime>().is_err());
    }

    #[test]
    fn a_quota_without_a_unit_is_no_few_bytes() {
        for (text, bytes) in [
            ("5GB", 5_000_000_000),
            ("5B", 5),
            ("5 kb", 5000),
            ("0", 0),
            ("1048576", 1 << 20),
        ] {
            assert_eq!(text.parse(), Ok(Quota(bytes)), "{text}");
        }
        for text in ["5", "1", "50.5", "1048575"] {
            let error = text.parse::<Quota>().unwrap_err();
            assert!(error.contains("KiB, MiB"), "{text}: {error}");
        }
        assert!("lots".parse::<Quota>().is_err());
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (5_000_000_000, "5.0 GB"),
            (1 << 30, "1.0 GB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
