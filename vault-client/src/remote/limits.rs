//! How much the protocol carries.

use std::time::Duration;

/// The most packs that the protocol carries in one call, and in each list of a
/// [`CommitRequest`](super::CommitRequest).
pub const MAX_PACKS_PER_CALL: usize = 8_192;

/// The most ranges that the protocol carries in one call.
pub const MAX_RANGES_PER_CALL: usize = 1_024;

/// The bytes of a block: links name what may be read in blocks.
pub const BLOCK_BYTES: u32 = 64 << 10;

/// The most bytes of a message between two ends.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// The most bytes of a sealed offer.
pub const MAX_OFFER_BYTES: usize = 16 << 10;

/// The most offers that wait for an account.
pub const MAX_OFFERS: usize = 64;

/// How long hosters keep a pack that no head has added, from its upload on, or from when
/// somebody last asked whether it is there.
pub const UNCLAIMED_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest that a hoster waits for a message in one call.
pub const MAX_WAIT: Duration = Duration::from_secs(20);
