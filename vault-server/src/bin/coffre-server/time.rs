//! Moments as people read them.

use jiff::{Timestamp, tz::TimeZone};

/// Seconds since 1970, on this machine's clock and to the minute.
pub(crate) fn local(seconds: u64) -> String {
    in_zone(seconds, TimeZone::system())
}

fn in_zone(seconds: u64, zone: TimeZone) -> String {
    let moment = i64::try_from(seconds).map(|seconds| Timestamp::new(seconds, 0));
    match moment {
        Ok(Ok(moment)) => moment.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string(),
        // Later than any calendar of ours goes.
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_well() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00"),
            (1_800_000_059, "2027-01-15 08:00"),
            (u64::MAX, "?"),
            (i64::MAX as u64, "?"),
        ] {
            assert_eq!(in_zone(seconds, TimeZone::UTC), text);
        }
    }
}
