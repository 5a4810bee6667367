//! When a backup that takes long commits what it has so far.

use std::time::Duration;

use vault_core::timestamp::Timestamp;

/// How long ago the last commit was, and what has arrived since.
pub(super) struct Checkpoints {
    interval: Duration,
    bytes: u64,
    committed: Timestamp,
    committed_bytes: u64,
}

impl Checkpoints {
    /// One is due when `interval` has passed since the last commit, of which
    /// `now` is the first, or when `bytes` were uploaded.
    pub(super) fn new(interval: Duration, bytes: u64, now: Timestamp) -> Self {
        Self {
            interval,
            bytes,
            committed: now,
            committed_bytes: 0,
        }
    }

    /// Whether one is due, when so much was uploaded since the backup began.
    pub(super) fn are_due(&mut self, now: Timestamp, uploaded_bytes: u64) -> bool {
        // Of a clock that was set back nothing is known but what passes from now.
        self.committed = self.committed.min(now);
        elapsed(self.committed, now) >= self.interval
            || uploaded_bytes.saturating_sub(self.committed_bytes) >= self.bytes
    }

    /// One was committed.
    pub(super) fn committed(&mut self, now: Timestamp, uploaded_bytes: u64) {
        self.committed = now;
        self.committed_bytes = uploaded_bytes;
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    let at = |moment: Timestamp| {
        i128::from(moment.seconds()) * 1_000_000_000 + i128::from(moment.nanoseconds())
    };
    let nanoseconds = u64::try_from((at(to) - at(from)).max(0)).unwrap_or(u64::MAX);
    Duration::from_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp::new(seconds, nanoseconds).unwrap()
    }

    #[test]
    fn whichever_comes_first_counts_and_both_begin_anew() {
        let mut due = Checkpoints::new(MINUTE, 1_000, at(100, 500_000_000));
        assert!(!due.are_due(at(100, 500_000_000), 0));
        assert!(!due.are_due(at(160, 499_999_999), 999));
        assert!(due.are_due(at(160, 500_000_000), 999));
        assert!(due.are_due(at(101, 0), 1_000));
        due.committed(at(150, 0), 1_500);
        assert!(!due.are_due(at(209, 0), 2_499));
        assert!(due.are_due(at(210, 0), 2_499));
        assert!(due.are_due(at(209, 0), 2_500));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_put_them_off() {
        let mut due = Checkpoints::new(MINUTE, 1_000, at(1_000_000, 0));
        assert!(!due.are_due(at(5_000, 0), 0));
        assert!(!due.are_due(at(5_059, 0), 0));
        assert!(due.are_due(at(5_060, 0), 0));
        // And one that goes far does no harm.
        assert!(due.are_due(at(i64::MAX, 0), 0));
    }
}
