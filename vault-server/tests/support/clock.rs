use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use vault_server::clock::{Clock, UnixTime};

/// A clock that stands still until it is told to move.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) const START: u64 = 1_800_000_000;

    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Self::START))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_seconds(self.0.load(Ordering::SeqCst))
    }
}
