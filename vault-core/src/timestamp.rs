//! A moment, as trees and snapshots carry it.

use vault_proto::wire;

/// A moment: seconds since 1970-01-01T00:00:00Z and nanoseconds after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// `None` if `nanoseconds` is 10^9 or more.
    #[must_use]
    pub const fn new(seconds: i64, nanoseconds: u32) -> Option<Self> {
        if nanoseconds < 1_000_000_000 {
            Some(Self {
                seconds,
                nanoseconds,
            })
        } else {
            None
        }
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after [`seconds`](Self::seconds), below 10^9.
    #[must_use]
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// `None` if the nanoseconds are 10^9 or more.
    #[must_use]
    pub const fn from_wire(timestamp: &wire::Timestamp) -> Option<Self> {
        Self::new(timestamp.seconds, timestamp.nanoseconds)
    }

    /// The message that [`from_wire`](Self::from_wire) takes.
    #[must_use]
    pub const fn to_wire(self) -> wire::Timestamp {
        wire::Timestamp {
            seconds: self.seconds,
            nanoseconds: self.nanoseconds,
        }
    }
}
