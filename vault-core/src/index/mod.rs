//! The index: which pack holds a chunk, and where in it.
//!
//! ```text
//! IndexEntry ── SegmentBuilder ──▶ bytes ── Segment::decode ──▶ Segment
//!                    ▲                                            │
//!                    └─────────── merge_segments ◀────────────────┤
//!                                                                 ▼
//!                    a device's cache:  sorted::encode ──▶ SortedSegment
//! ```
//!
//! An index is a list of segments, the newest last. Several may name one chunk:
//! each entry is a claim of whoever wrote its segment, and the chunk is wherever it
//! opens. A commit adds its entries in a new segment and merges older ones into it
//! ([`merge_segments`]), which loses no place that might be the right one.

mod filter;
mod layers;
mod merge;
mod plan;
mod segment;
pub mod sorted;

use vault_proto::ids::PackId;

use crate::chunk::{ChunkId, ChunkKind};
use crate::pack::{MAX_PACK_LEN, MIN_PACK_LEN, TRAILER_LEN};
use crate::seal::{MAX_SEALED_OVERHEAD, MIN_SEALED_LEN};

pub use layers::Layers;
pub use merge::{Additions, Merged, SegmentSource, merge_segments};
pub use plan::{MAX_SEGMENTS, MergePlan, SegmentStat, plan_merge};
pub use segment::{AddError, OwnPack, Segment, SegmentBuilder, SegmentError};

/// The most entries of one segment.
pub const MAX_ENTRIES: usize = 200_000;

/// Where a chunk is, as whoever wrote the entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IndexEntry {
    /// The chunk.
    pub id: ChunkId,
    /// What it holds.
    pub kind: ChunkKind,
    /// The pack that holds it.
    pub pack: PackId,
    /// The epoch that the pack is sealed in, from 1.
    pub epoch: u64,
    /// The pack's length in bytes: a power of two from 16 KiB to 16 MiB.
    pub pack_size: u32,
    /// Where in the pack its sealed bytes begin.
    pub offset: u32,
    /// How many there are.
    pub sealed_length: u32,
}

/// Whether a pack can have that epoch and size.
fn is_pack(epoch: u64, size: u32) -> bool {
    epoch != 0 && size.is_power_of_two() && (MIN_PACK_LEN..=MAX_PACK_LEN).contains(&(size as usize))
}

/// Whether a sealed chunk of `kind` can stand there in a pack of that size.
pub(crate) fn is_inside(kind: ChunkKind, offset: u32, sealed_length: u32, pack_size: u32) -> bool {
    let longest = kind.max_len() + MAX_SEALED_OVERHEAD;
    let end = u64::from(offset) + u64::from(sealed_length);
    (MIN_SEALED_LEN..=longest).contains(&(sealed_length as usize))
        && end + TRAILER_LEN as u64 <= u64::from(pack_size)
}
