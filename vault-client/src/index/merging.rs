//! What this device knows of the places that segments name, for merging them.

use vault_core::index::{IndexEntry, SegmentSource};
use vault_proto::wire::SegmentRef;

use super::VaultIndex;
use crate::{
    platform::Rng,
    transfer::{Reader, TransferError},
};

/// Chunks that a commit opens at most to find out which of very many places is
/// right,
const LOOKS: usize = 16;
/// and sealed bytes that it reads for it: two chunks of the longest.
const LOOK_BYTES: u64 = 9 << 20;
/// What is read around a sealed chunk, so that its bounds do not show.
const AROUND: u64 = 128 << 10;

/// The segments that a root names, to one commit.
pub(super) struct Segments<'a> {
    existing: &'a [SegmentRef],
    index: &'a VaultIndex,
    reader: &'a Reader,
    rng: &'a Rng,
    looks: usize,
    look_bytes: u64,
}

impl<'a> Segments<'a> {
    pub(super) fn new(
        existing: &'a [SegmentRef],
        index: &'a VaultIndex,
        reader: &'a Reader,
        rng: &'a Rng,
    ) -> Self {
        Self {
            existing,
            index,
            reader,
            rng,
            looks: LOOKS,
            look_bytes: LOOK_BYTES,
        }
    }

    /// Whether one more place may be looked at.
    fn may_look(&mut self, place: &IndexEntry) -> bool {
        let cost = u64::from(place.sealed_length) + AROUND;
        let may = self.looks > 0 && cost <= self.look_bytes;
        if may {
            self.looks -= 1;
            self.look_bytes -= cost;
        }
        may
    }
}

impl SegmentSource for Segments<'_> {
    type Error = TransferError;

    fn read(&mut self, at: usize) -> Result<Vec<IndexEntry>, TransferError> {
        let at = self.existing[at].at.as_ref();
        self.index.read_segment(at.ok_or(TransferError::Unknown)?)
    }

    fn is_alone(&self) -> bool {
        !self.index.is_wary()
    }

    fn vouches_for(&mut self, place: &IndexEntry) -> Result<bool, TransferError> {
        self.index.vouches_for_place(place)
    }

    fn open_one(&mut self, places: &[IndexEntry]) -> Result<Option<IndexEntry>, TransferError> {
        // Whoever foresaw the order could put his own places first.
        let mut order: Vec<_> = places
            .iter()
            .map(|place| (self.rng.array::<8>(), place))
            .collect();
        order.sort_by_key(|(random, _)| *random);
        for (_, place) in order {
            if self.may_look(place) && self.reader.opens(place)? {
                return Ok(Some(*place));
            }
        }
        Ok(None)
    }
}
