//! Segments: the index in pieces, as they are stored.

use std::collections::HashMap;

use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::ids::PackId;
use vault_proto::wire;

use super::{IndexEntry, MAX_ENTRIES, is_inside, is_pack};
use crate::chunk::{ChunkId, ChunkKind};
use crate::pack::{MAX_PACK_LEN, PackEntry};

/// The longest encoded segment, in bytes.
pub(super) const MAX_SEGMENT_LEN: usize = ChunkKind::Index.max_len();

/// The most bytes that one entry takes: an id, a kind, and varints for a row
/// below 2^21, an offset below 2^24 and a length below 2^28.
const ENTRY_LEN: usize = 32 + 1 + 3 + 4 + 4;

/// The most bytes that one row takes: id, epoch and size with their tags, and
/// its own tag and length.
const ROW_LEN: usize = (2 + 32) + (1 + 10) + (1 + 4) + 2;

/// More than the tags and lengths of the five columns.
const COLUMNS_LEN: usize = 32;

/// What is wrong with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// Not the one encoding of a segment.
    #[error("not a segment: {0}")]
    Encoding(#[from] DecodeError),
    /// No entries, or more than [`MAX_ENTRIES`].
    #[error("a segment has from 1 to {MAX_ENTRIES} entries")]
    Entries,
    /// Columns of different lengths.
    #[error("columns of different lengths")]
    Columns,
    /// A pack that is not 32 bytes, of no epoch, or not of a pack's size.
    #[error("a row that is not a pack's")]
    Pack,
    /// Rows that are repeated, out of order, not there, or not used.
    #[error("rows that are repeated, out of order, missing or unused")]
    Rows,
    /// The pack that holds the segment, with what only whoever located the
    /// segment says of it: its id, epoch or size.
    #[error("the pack that holds the segment, described in the segment")]
    OwnPack,
    /// Chunk ids that are repeated or out of order.
    #[error("chunk ids that are not in strictly ascending order")]
    NotAscending,
    /// A kind that this version does not know.
    #[error("an unknown kind of chunk")]
    Kind,
    /// A sealed chunk of a length that its kind cannot have, or beyond the end
    /// of its pack.
    #[error("a sealed chunk that its pack cannot hold")]
    Place,
}

/// The pack that holds a segment, as whoever located the segment knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPack {
    /// The pack.
    pub pack: PackId,
    /// The epoch it is sealed in.
    pub epoch: u64,
    /// Its length in bytes.
    pub size: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackRow {
    pub(super) pack: PackId,
    pub(super) epoch: u64,
    pub(super) size: u32,
}

/// Entries of the index, ordered by chunk id, each checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    packs: Vec<PackRow>,
    ids: Vec<ChunkId>,
    kinds: Vec<ChunkKind>,
    rows: Vec<u32>,
    offsets: Vec<u32>,
    sealed_lengths: Vec<u32>,
}

impl Segment {
    /// Decodes and checks a segment that was found in the pack `own`.
    ///
    /// Takes up to about 100 MB for a while when the bytes are hostile, and
    /// twice their length when they are not.
    ///
    /// # Errors
    /// See [`SegmentError`].
    pub fn decode(bytes: &[u8], own: OwnPack) -> Result<Self, SegmentError> {
        check_row_count(bytes)?;
        let wire: wire::IndexSegment = decode_canonical(bytes, MAX_SEGMENT_LEN)?;
        let (ids, rest) = wire.chunk_ids.as_chunks::<32>();
        if !(1..=MAX_ENTRIES).contains(&ids.len()) {
            return Err(SegmentError::Entries);
        }
        let lengths = [
            wire.kinds.len(),
            wire.rows.len(),
            wire.offsets.len(),
            wire.sealed_lengths.len(),
        ];
        if !rest.is_empty() || lengths.iter().any(|&length| length != ids.len()) {
            return Err(SegmentError::Columns);
        }
        if !ids.is_sorted_by(|a, b| a < b) {
            return Err(SegmentError::NotAscending);
        }
        let kinds = wire.kinds.iter().map(|&kind| ChunkKind::from_byte(kind));
        let segment = Self {
            packs: decode_packs(&wire.packs, own)?,
            ids: ids.iter().copied().map(ChunkId::from_array).collect(),
            kinds: kinds.collect::<Option<_>>().ok_or(SegmentError::Kind)?,
            rows: wire.rows,
            offsets: wire.offsets,
            sealed_lengths: wire.sealed_lengths,
        };
        segment.check_places()?;
        Ok(segment)
    }

    /// How many entries there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a segment is never empty")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The entry of a chunk.
    #[must_use]
    pub fn find(&self, id: &ChunkId) -> Option<IndexEntry> {
        self.ids.binary_search(id).ok().map(|at| self.entry(at))
    }

    /// The entries, ordered by chunk id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = IndexEntry> + '_ {
        (0..self.len()).map(|at| self.entry(at))
    }

    /// The entry at a place below [`len`](Self::len).
    pub(super) fn entry(&self, at: usize) -> IndexEntry {
        let pack = &self.packs[self.rows[at] as usize];
        IndexEntry {
            id: self.ids[at],
            kind: self.kinds[at],
            pack: pack.pack,
            epoch: pack.epoch,
            pack_size: pack.size,
            offset: self.offsets[at],
            sealed_length: self.sealed_lengths[at],
        }
    }

    pub(super) fn packs(&self) -> &[PackRow] {
        &self.packs
    }

    /// The entry's row in [`packs`](Self::packs).
    pub(super) fn row(&self, at: usize) -> u32 {
        self.rows[at]
    }

    fn check_places(&self) -> Result<(), SegmentError> {
        let mut used = vec![false; self.packs.len()];
        for at in 0..self.len() {
            let row = self.rows[at] as usize;
            *used.get_mut(row).ok_or(SegmentError::Rows)? = true;
            let (offset, length) = (self.offsets[at], self.sealed_lengths[at]);
            if !is_inside(self.kinds[at], offset, length, self.packs[row].size) {
                return Err(SegmentError::Place);
            }
        }
        if used.contains(&false) {
            return Err(SegmentError::Rows);
        }
        Ok(())
    }
}

/// Counts the rows before they are decoded: two bytes of an empty row would
/// become forty in memory.
fn check_row_count(bytes: &[u8]) -> Result<(), SegmentError> {
    let malformed = |_| DecodeError::Malformed;
    let mut rest = bytes;
    let mut rows = 0;
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).map_err(malformed)?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(malformed)?;
        rows += usize::from(tag == 1);
        if rows > MAX_ENTRIES {
            return Err(SegmentError::Rows);
        }
    }
    Ok(())
}

fn decode_packs(rows: &[wire::PackRow], own: OwnPack) -> Result<Vec<PackRow>, SegmentError> {
    if !rows.is_sorted_by(|a, b| a.pack < b.pack) {
        return Err(SegmentError::Rows);
    }
    let decode = |row: &wire::PackRow| {
        let decoded = if row.pack.is_empty() {
            // As the segment is part of the pack, it cannot say more.
            if *row != wire::PackRow::default() {
                return Err(SegmentError::OwnPack);
            }
            PackRow {
                pack: own.pack,
                epoch: own.epoch,
                size: own.size,
            }
        } else {
            let pack = PackId::from_slice(&row.pack).map_err(|_| SegmentError::Pack)?;
            if pack == own.pack {
                return Err(SegmentError::OwnPack);
            }
            PackRow {
                pack,
                epoch: row.epoch,
                size: row.size,
            }
        };
        if !is_pack(decoded.epoch, decoded.size) {
            return Err(SegmentError::Pack);
        }
        Ok(decoded)
    };
    rows.iter().map(decode).collect()
}

/// Why a segment does not take an entry. Another segment does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// It has as much as one segment holds.
    #[error("the segment is full")]
    Full,
    /// It has another place of that chunk. One of both may be wrong; which one,
    /// nobody knows who does not open the chunk.
    #[error("the segment has another place of that chunk")]
    Taken,
    /// It has entries of that pack, and they say another epoch or size. One of
    /// both is wrong; which one, nobody knows who does not read the pack.
    #[error("the segment says another epoch or size of that pack")]
    Contradiction,
}

/// Collects the entries of one segment: one of each chunk.
#[derive(Debug, Clone, Default)]
pub struct SegmentBuilder {
    entries: HashMap<ChunkId, Draft>,
    /// None for the pack that will hold the segment.
    packs: Vec<Option<PackRow>>,
    /// Of each pack, its place in `packs`.
    places: HashMap<Option<PackId>, u32>,
}

impl SegmentBuilder {
    /// A segment without entries yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry. One that it has already is not added again.
    ///
    /// # Errors
    /// When the segment is full, or has what speaks against the entry, which
    /// entries of one [`Segment`] never do among each other; it is as it was then.
    ///
    /// # Panics
    /// If the entry is none that a segment can hold: its pack's size or epoch,
    /// or its place in the pack. Entries of a [`Segment`] and of a pack that was
    /// just made never do.
    pub fn add(&mut self, entry: &IndexEntry) -> Result<(), AddError> {
        assert!(is_pack(entry.epoch, entry.pack_size), "a pack's row");
        self.push(&place_of(entry), Some(row_of(entry)), entry.pack_size)
    }

    /// Adds an entry of the pack that will hold this segment, whose id nobody
    /// can know yet.
    ///
    /// # Errors
    /// When the segment is full, or has another place of that chunk; it is as it
    /// was then.
    ///
    /// # Panics
    /// If no pack can hold a chunk in that place.
    pub fn add_own(&mut self, entry: &PackEntry) -> Result<(), AddError> {
        let largest = u32::try_from(MAX_PACK_LEN).expect("16 MiB");
        self.push(entry, None, largest)
    }

    /// Gives a name to the pack that was to hold this segment: another will.
    ///
    /// # Panics
    /// If an entry names that pack already, whose id nobody knew.
    pub fn name_own_pack(&mut self, own: OwnPack) {
        let Some(place) = self.places.remove(&None) else {
            return;
        };
        let OwnPack { pack, epoch, size } = own;
        let before = self.places.insert(Some(pack), place);
        assert!(before.is_none(), "a pack that was just made");
        self.packs[place as usize] = Some(PackRow { pack, epoch, size });
    }

    /// Whether it has that very entry.
    ///
    /// # Errors
    /// When it has what speaks against the entry.
    pub(super) fn has(&self, entry: &IndexEntry) -> Result<bool, AddError> {
        let known = self.known(&place_of(entry), Some(row_of(entry)))?;
        Ok(matches!(known, Known::Entry))
    }

    /// The encoded segment.
    ///
    /// # Panics
    /// If no entry was added.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(!self.is_empty(), "a segment is never empty");
        // The segment's own pack has no id, and comes first.
        let mut packs: Vec<_> = self.packs.iter().enumerate().collect();
        packs.sort_unstable_by_key(|(_, row)| row.map(|row| row.pack));
        let mut rows = vec![0; self.packs.len()];
        for (row, &(place, _)) in (0..).zip(&packs) {
            rows[place] = row;
        }
        let wire_row = |row: &Option<PackRow>| {
            row.map_or_else(wire::PackRow::default, |row| wire::PackRow {
                pack: row.pack.to_vec(),
                epoch: row.epoch,
                size: row.size,
            })
        };
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        let drafts = || entries.iter().map(|(_, draft)| draft);
        wire::IndexSegment {
            packs: packs.iter().map(|(_, row)| wire_row(row)).collect(),
            chunk_ids: entries.iter().flat_map(|(id, _)| *id.as_bytes()).collect(),
            kinds: drafts().map(|d| d.kind.to_byte()).collect(),
            rows: drafts().map(|d| rows[d.pack as usize]).collect(),
            offsets: drafts().map(|d| d.offset).collect(),
            sealed_lengths: drafts().map(|d| d.sealed_length).collect(),
        }
        .encode_to_vec()
    }

    fn push(
        &mut self,
        entry: &PackEntry,
        row: Option<PackRow>,
        pack_size: u32,
    ) -> Result<(), AddError> {
        assert!(
            is_inside(entry.kind, entry.offset, entry.sealed_length, pack_size),
            "a sealed chunk inside its pack"
        );
        let known = match self.known(entry, row)? {
            Known::Entry => return Ok(()),
            Known::Pack(place) => Some(place),
            Known::Nothing => None,
        };
        let entries = self.entries.len() + 1;
        let packs = self.packs.len() + usize::from(known.is_none());
        if entries > MAX_ENTRIES
            || entries * ENTRY_LEN + packs * ROW_LEN + COLUMNS_LEN > MAX_SEGMENT_LEN
        {
            return Err(AddError::Full);
        }
        let pack = known.unwrap_or_else(|| {
            let place = u32::try_from(self.packs.len()).expect("fewer packs than entries");
            self.places.insert(row.map(|row| row.pack), place);
            self.packs.push(row);
            place
        });
        self.entries.insert(entry.id, Draft::new(pack, entry));
        Ok(())
    }

    /// What it has of an entry and its pack, unless that speaks against the entry.
    fn known(&self, entry: &PackEntry, row: Option<PackRow>) -> Result<Known, AddError> {
        if let Some(there) = self.entries.get(&entry.id) {
            let is_there =
                self.packs[there.pack as usize] == row && *there == Draft::new(there.pack, entry);
            return if is_there {
                Ok(Known::Entry)
            } else {
                Err(AddError::Taken)
            };
        }
        match self.places.get(&row.map(|row| row.pack)) {
            Some(&pack) if self.packs[pack as usize] == row => Ok(Known::Pack(pack)),
            Some(_) => Err(AddError::Contradiction),
            None => Ok(Known::Nothing),
        }
    }
}

/// What a builder has of an entry already.
enum Known {
    Entry,
    /// Its pack, at that place in the builder's `packs`.
    Pack(u32),
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Draft {
    /// A place in the builder's `packs`.
    pack: u32,
    kind: ChunkKind,
    offset: u32,
    sealed_length: u32,
}

impl Draft {
    fn new(pack: u32, entry: &PackEntry) -> Self {
        Self {
            pack,
            kind: entry.kind,
            offset: entry.offset,
            sealed_length: entry.sealed_length,
        }
    }
}

fn row_of(entry: &IndexEntry) -> PackRow {
    PackRow {
        pack: entry.pack,
        epoch: entry.epoch,
        size: entry.pack_size,
    }
}

fn place_of(entry: &IndexEntry) -> PackEntry {
    PackEntry {
        kind: entry.kind,
        id: entry.id,
        offset: entry.offset,
        sealed_length: entry.sealed_length,
    }
}
