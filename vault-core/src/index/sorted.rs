//! The layout in which a device keeps an opened segment, to look chunks up
//! without holding them in memory.
//!
//! All integers are little endian.
//!
//! ```text
//! header    magic "coffreS1" 8 | entries u32 | packs u32 | fan-out bits u32
//!           | filter blocks u32 | segment 32 | BLAKE3 of the other bytes of
//!           header, fan-out and filter 32
//! fan-out   2^bits + 1 of u32: entry i is the first whose id's leading bits
//!           are i or more
//! filter    blocks of 32 bytes
//! packs     pack id 32 | epoch u64 | size u32
//! entries   chunk id 32 | kind 1 | row u32 | offset u32 | sealed length u32
//! ```
//!
//! This is a cache, local to one device: it is made again from the segment
//! when it does not open. Header, fan-out and filter are read once, about 12
//! bits an entry; a lookup that passes the filter reads about 32 entries and a
//! pack, and so does one in a hundred of the others.

use vault_proto::ids::PackId;

use super::filter::Filter;
use super::segment::PackRow;
use super::{IndexEntry, MAX_ENTRIES, Segment, is_inside, is_pack};
use crate::chunk::{ChunkId, ChunkKind};

const MAGIC: &[u8; 8] = b"coffreS1";
const HEADER_LEN: usize = 8 + 4 * 4 + 32 + 32;
const HASH_AT: usize = HEADER_LEN - 32;
const PACK_LEN: usize = 32 + 8 + 4;
const ENTRY_LEN: usize = 32 + 1 + 4 + 4 + 4;

/// Entries of one bucket of the fan-out table, on average.
const BUCKET: usize = 32;

/// The most entries that a lookup reads at once.
const MAX_READ: usize = 64;

/// Why a sorted segment could not be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SortedError<E> {
    /// The file could not be read.
    #[error("the cached segment could not be read")]
    Read(#[source] E),
    /// The file is not what was written: it must be made again.
    #[error("the cached segment is damaged")]
    Damaged,
}

/// The file of a segment. `name` is whatever tells segments apart; opening
/// gives it back.
#[must_use]
pub fn encode(segment: &Segment, name: &[u8; 32]) -> Vec<u8> {
    let bits = fan_out_bits(segment.len());
    let mut filter = Filter::new(segment.len());
    let mut first_of = vec![0_u32; (1 << bits) + 1];
    for entry in segment.iter() {
        filter.insert(entry.id.as_bytes());
        first_of[bucket(&entry.id, bits) + 1] += 1;
    }
    for i in 1..first_of.len() {
        first_of[i] += first_of[i - 1];
    }

    let count = |n: usize| u32::try_from(n).expect("a segment's counts fit in 32 bits");
    let mut file = MAGIC.to_vec();
    for n in [
        count(segment.len()),
        count(segment.packs().len()),
        bits,
        count(filter.as_bytes().len() / 32),
    ] {
        file.extend(n.to_le_bytes());
    }
    file.extend(name);
    file.extend([0; 32]);
    file.extend(first_of.iter().flat_map(|first| first.to_le_bytes()));
    file.extend(filter.as_bytes());
    let hash = hash_without_hash(&file);
    file[HASH_AT..HEADER_LEN].copy_from_slice(&hash);

    for row in segment.packs() {
        file.extend(row.pack.as_bytes());
        file.extend(row.epoch.to_le_bytes());
        file.extend(row.size.to_le_bytes());
    }
    for (at, entry) in segment.iter().enumerate() {
        file.extend(entry.id.as_bytes());
        file.push(entry.kind.to_byte());
        file.extend(segment.row(at).to_le_bytes());
        file.extend(entry.offset.to_le_bytes());
        file.extend(entry.sealed_length.to_le_bytes());
    }
    file
}

/// An opened file of a segment: what lookups need of it in memory.
#[derive(Debug)]
pub struct SortedSegment {
    name: [u8; 32],
    entries: u32,
    packs: u32,
    bits: u32,
    first_of: Vec<u32>,
    filter: Filter,
}

impl SortedSegment {
    /// Opens a file of `length` bytes. `read_at` fills a buffer from an offset.
    ///
    /// # Errors
    /// See [`SortedError`].
    pub fn open<E>(
        length: u64,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, SortedError<E>> {
        if length < HEADER_LEN as u64 {
            return Err(SortedError::Damaged);
        }
        let mut file = vec![0; HEADER_LEN];
        read_at(0, &mut file).map_err(SortedError::Read)?;
        let mut header = Fields(&file);
        let magic = header.take::<8>();
        let [entries, packs, bits, blocks] = std::array::from_fn(|_| header.u32());
        let mut sorted = Self {
            name: header.take(),
            entries,
            packs,
            bits,
            first_of: Vec::new(),
            filter: Filter::new(0),
        };
        if magic != *MAGIC || !sorted.has_its_counts(blocks) || sorted.file_len() != length {
            return Err(SortedError::Damaged);
        }
        file.resize(sorted.packs_at(), 0);
        read_at(HEADER_LEN as u64, &mut file[HEADER_LEN..]).map_err(SortedError::Read)?;
        if hash_without_hash(&file) != file[HASH_AT..HEADER_LEN] {
            return Err(SortedError::Damaged);
        }
        let (fan_out, filter) = file[HEADER_LEN..].split_at(sorted.fan_out_len());
        sorted.first_of = fan_out
            .as_chunks()
            .0
            .iter()
            .map(|first| u32::from_le_bytes(*first))
            .collect();
        // The hash keeps accidents out; this, a file that was made wrong.
        if !sorted.first_of.is_sorted() || sorted.first_of.last() != Some(&entries) {
            return Err(SortedError::Damaged);
        }
        sorted.filter = Filter::from_bytes(filter).ok_or(SortedError::Damaged)?;
        Ok(sorted)
    }

    /// What [`encode`] was told to call this segment.
    #[must_use]
    pub fn name(&self) -> &[u8; 32] {
        &self.name
    }

    /// How many entries there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a segment is never empty")]
    pub fn len(&self) -> usize {
        self.entries as usize
    }

    /// False if the chunk is not there; true if it is, and for about one in a
    /// hundred of the others. Reads nothing.
    #[must_use]
    pub fn may_contain(&self, id: &ChunkId) -> bool {
        self.filter.may_contain(id.as_bytes())
    }

    /// The entry of a chunk.
    ///
    /// # Errors
    /// See [`SortedError`].
    pub fn find<E>(
        &self,
        id: &ChunkId,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<IndexEntry>, SortedError<E>> {
        if !self.may_contain(id) {
            return Ok(None);
        }
        let bucket = bucket(id, self.bits);
        let mut low = self.first_of[bucket] as usize;
        let mut high = self.first_of[bucket + 1] as usize;
        // Only ids that someone chose can crowd a bucket.
        while high - low > MAX_READ {
            let middle = low + (high - low) / 2;
            let mut probe = [0; 32];
            read_at(self.entry_at(middle), &mut probe).map_err(SortedError::Read)?;
            if probe <= *id.as_bytes() {
                low = middle;
            } else {
                high = middle;
            }
        }
        let mut records = [0; MAX_READ * ENTRY_LEN];
        let records = &mut records[..(high - low) * ENTRY_LEN];
        read_at(self.entry_at(low), records).map_err(SortedError::Read)?;
        let (records, _) = records.as_chunks::<ENTRY_LEN>();
        let Ok(at) = records.binary_search_by(|record| record[..32].cmp(id.as_bytes())) else {
            return Ok(None);
        };
        let record = Record::decode(&records[at]).ok_or(SortedError::Damaged)?;
        if record.row >= self.packs {
            return Err(SortedError::Damaged);
        }
        let mut row = [0; PACK_LEN];
        let row_at = self.packs_at() + record.row as usize * PACK_LEN;
        read_at(row_at as u64, &mut row).map_err(SortedError::Read)?;
        let entry = decode_row(&row).and_then(|row| record.in_pack(&row));
        entry.map(Some).ok_or(SortedError::Damaged)
    }

    /// All entries, ordered by chunk id: up to 25 MB of them.
    ///
    /// # Errors
    /// See [`SortedError`].
    pub fn read_all<E>(
        &self,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Vec<IndexEntry>, SortedError<E>> {
        let mut rows = vec![0; self.packs as usize * PACK_LEN];
        read_at(self.packs_at() as u64, &mut rows).map_err(SortedError::Read)?;
        let mut records = vec![0; self.len() * ENTRY_LEN];
        read_at(self.entry_at(0), &mut records).map_err(SortedError::Read)?;
        let rows: Option<Vec<_>> = rows.as_chunks().0.iter().map(decode_row).collect();
        let rows = rows.ok_or(SortedError::Damaged)?;
        let decode = |record| {
            let record = Record::decode(record)?;
            record.in_pack(rows.get(record.row as usize)?)
        };
        let entries: Option<Vec<_>> = records.as_chunks().0.iter().map(decode).collect();
        entries
            .filter(|entries| entries.is_sorted_by(|a, b| a.id < b.id))
            .ok_or(SortedError::Damaged)
    }

    fn has_its_counts(&self, blocks: u32) -> bool {
        let entries = self.entries as usize;
        (1..=MAX_ENTRIES).contains(&entries)
            && (1..=self.entries).contains(&self.packs)
            && self.bits == fan_out_bits(entries)
            && blocks as usize == Filter::blocks_for(entries)
    }

    fn fan_out_len(&self) -> usize {
        ((1 << self.bits) + 1) * 4
    }

    fn packs_at(&self) -> usize {
        HEADER_LEN + self.fan_out_len() + Filter::blocks_for(self.len()) * 32
    }

    fn entry_at(&self, at: usize) -> u64 {
        (self.packs_at() + self.packs as usize * PACK_LEN + at * ENTRY_LEN) as u64
    }

    fn file_len(&self) -> u64 {
        self.entry_at(self.len())
    }
}

/// An entry without its pack.
struct Record {
    id: ChunkId,
    kind: ChunkKind,
    row: u32,
    offset: u32,
    sealed_length: u32,
}

impl Record {
    fn decode(record: &[u8; ENTRY_LEN]) -> Option<Self> {
        let mut fields = Fields(record);
        Some(Self {
            id: ChunkId::from_array(fields.take()),
            kind: ChunkKind::from_byte(fields.take::<1>()[0])?,
            row: fields.u32(),
            offset: fields.u32(),
            sealed_length: fields.u32(),
        })
    }

    fn in_pack(&self, row: &PackRow) -> Option<IndexEntry> {
        is_inside(self.kind, self.offset, self.sealed_length, row.size).then_some(IndexEntry {
            id: self.id,
            kind: self.kind,
            pack: row.pack,
            epoch: row.epoch,
            pack_size: row.size,
            offset: self.offset,
            sealed_length: self.sealed_length,
        })
    }
}

fn decode_row(row: &[u8; PACK_LEN]) -> Option<PackRow> {
    let mut fields = Fields(row);
    let row = PackRow {
        pack: PackId::from_array(fields.take()),
        epoch: u64::from_le_bytes(fields.take()),
        size: fields.u32(),
    };
    is_pack(row.epoch, row.size).then_some(row)
}

/// Fields of known widths, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("widths add up");
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

/// Leading bits of an id that choose its bucket, from 0 to 12.
fn fan_out_bits(entries: usize) -> u32 {
    (entries / BUCKET).max(1).ilog2()
}

fn bucket(id: &ChunkId, bits: u32) -> usize {
    let leading = id.as_bytes().first_chunk().expect("an id has 32 bytes");
    // In 64 bits, as a shift by all of 32 would overflow.
    (u64::from(u32::from_be_bytes(*leading)) >> (32 - bits)) as usize
}

/// `BLAKE3(header, fan-out and filter, the hash itself left out)`
fn hash_without_hash(head: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&head[..HASH_AT]);
    hasher.update(&head[HEADER_LEN..]);
    *hasher.finalize().as_bytes()
}
