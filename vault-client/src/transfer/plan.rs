//! From wanted chunks to ranges of packs, and from the ranges' bytes back to
//! sealed chunks.
//!
//! The hoster sees which ranges are read. So that they do not draw the chunk
//! boundaries, each begins and ends on a multiple of 64 KiB or at the pack's end; and so
//! that they do not show how much of a pack is filler, one that is wanted as good as whole
//! is read whole.

use std::collections::BTreeMap;

use vault_core::index::IndexEntry;
use vault_proto::ids::PackId;

/// What ranges are aligned to, in bytes.
const ALIGNMENT: u32 = 64 << 10;
/// Ranges closer than this are read as one, in bytes.
const MERGED_GAP: u32 = 128 << 10;

/// A range of one pack, in bytes, and the wanted chunks inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetch {
    pub(crate) pack: PackId,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// In order of their offsets, none in another.
    pub(crate) chunks: Vec<IndexEntry>,
}

/// The ranges that hold `wanted`, in the order of packs in which they were
/// wanted first.
pub(crate) fn plan(wanted: &[IndexEntry]) -> Vec<Fetch> {
    plan_merging(wanted, MERGED_GAP)
}

/// Likewise, and a pack of which about half is wanted is one range, with its filler. A
/// pack is the smallest that holds what is in it: chunks that are all wanted are half of
/// it at least, but for what the footer takes.
pub(crate) fn plan_packs(wanted: &[IndexEntry]) -> Vec<Fetch> {
    let mut fetches: Vec<Fetch> = Vec::new();
    let mut ranges = plan(wanted).into_iter().peekable();
    while let Some(first) = ranges.next() {
        let mut of_pack = vec![first];
        let (pack, size) = key(&of_pack[0]);
        let mut end = of_pack[0].offset;
        // What overlaps with what was before is read again.
        while let Some(next) = ranges.next_if(|next| key(next) == (pack, size) && next.offset > end)
        {
            end = next.offset;
            of_pack.push(next);
        }
        let chunks: Vec<_> = of_pack
            .iter()
            .flat_map(|fetch| &fetch.chunks)
            .copied()
            .collect();
        let wanted: u64 = chunks
            .iter()
            .map(|chunk| u64::from(chunk.sealed_length))
            .sum();
        if 16 * wanted >= 7 * u64::from(size) {
            fetches.push(Fetch {
                pack,
                offset: 0,
                length: size,
                chunks,
            });
        } else {
            fetches.append(&mut of_pack);
        }
    }
    fetches
}

/// The pack, and the size that it is said to have.
fn key(fetch: &Fetch) -> (PackId, u32) {
    (
        fetch.pack,
        fetch.chunks.first().map_or(0, |chunk| chunk.pack_size),
    )
}

/// Likewise, without a block that holds nothing of what is wanted: who reads
/// through a link may read no other.
pub(crate) fn plan_exactly(wanted: &[IndexEntry]) -> Vec<Fetch> {
    plan_merging(wanted, 0)
}

fn plan_merging(wanted: &[IndexEntry], gap: u32) -> Vec<Fetch> {
    let mut order = Vec::new();
    // Segments of several writers may give one pack several sizes.
    let mut by_pack: BTreeMap<(PackId, u32), Vec<IndexEntry>> = BTreeMap::new();
    for entry in wanted {
        let pack = (entry.pack, entry.pack_size);
        by_pack
            .entry(pack)
            .or_insert_with(|| {
                order.push(pack);
                Vec::new()
            })
            .push(*entry);
    }
    let mut fetches = Vec::new();
    for pack in order {
        let mut chunks = by_pack.remove(&pack).unwrap_or_default();
        chunks.sort_by_key(|chunk| chunk.offset);
        while !chunks.is_empty() {
            let (apart, rest) = take_apart(chunks);
            plan_pack(pack, apart, gap, &mut fetches);
            chunks = rest;
        }
    }
    fetches
}

/// Of chunks in the order of their offsets, those that lie behind each other, and the
/// others. Only a member's device that wrote the index wrong makes chunks overlap.
fn take_apart(chunks: Vec<IndexEntry>) -> (Vec<IndexEntry>, Vec<IndexEntry>) {
    let mut end = 0;
    chunks.into_iter().partition(|chunk| {
        let is_behind = chunk.offset >= end;
        if is_behind {
            end = chunk.offset + chunk.sealed_length;
        }
        is_behind
    })
}

fn plan_pack(
    (pack, size): (PackId, u32),
    chunks: Vec<IndexEntry>,
    gap: u32,
    fetches: &mut Vec<Fetch>,
) {
    let mut open: Option<Fetch> = None;
    for chunk in chunks {
        let start = chunk.offset / ALIGNMENT * ALIGNMENT;
        let end = (chunk.offset + chunk.sealed_length).div_ceil(ALIGNMENT) * ALIGNMENT;
        let end = end.min(size);
        match &mut open {
            Some(fetch) if start <= fetch.offset + fetch.length + gap => {
                fetch.length = fetch.length.max(end - fetch.offset);
                fetch.chunks.push(chunk);
            }
            _ => {
                fetches.extend(open.take());
                open = Some(Fetch {
                    pack,
                    offset: start,
                    length: end - start,
                    chunks: vec![chunk],
                });
            }
        }
    }
    fetches.extend(open);
}

/// Cuts the bytes of fetched ranges, as they arrive, into the wanted sealed chunks.
///
/// Holds at most one sealed chunk and one message of the transport.
pub(crate) struct Splitter {
    fetches: std::vec::IntoIter<Fetch>,
    current: Option<Fetch>,
    /// Wanted chunks of `current`, the next one last.
    chunks: Vec<IndexEntry>,
    /// Where in the pack the next byte belongs.
    position: u32,
    /// The beginning of the next wanted chunk.
    part: Vec<u8>,
}

impl Splitter {
    pub(crate) fn new(fetches: Vec<Fetch>) -> Self {
        let mut splitter = Self {
            fetches: fetches.into_iter(),
            current: None,
            chunks: Vec::new(),
            position: 0,
            part: Vec::new(),
        };
        splitter.next_fetch();
        splitter
    }

    /// Takes the bytes that come next and hands over each chunk that is complete.
    ///
    /// # Errors
    /// Those of `deliver`, which ends the splitting.
    pub(crate) fn push<E>(
        &mut self,
        mut bytes: &[u8],
        deliver: &mut impl FnMut(IndexEntry, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(fetch) = &self.current {
            let end = fetch.offset + fetch.length;
            if self.position == end {
                self.next_fetch();
                continue;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let Some(chunk) = self.chunks.last() else {
                let skipped = bytes.len().min((end - self.position) as usize);
                self.advance(skipped, &mut bytes);
                continue;
            };
            if self.position < chunk.offset {
                let skipped = bytes.len().min((chunk.offset - self.position) as usize);
                self.advance(skipped, &mut bytes);
                continue;
            }
            let missing = chunk.sealed_length as usize - self.part.len();
            let taken = missing.min(bytes.len());
            if self.part.capacity() == 0 {
                self.part.reserve_exact(chunk.sealed_length as usize);
            }
            self.part.extend_from_slice(&bytes[..taken]);
            self.advance(taken, &mut bytes);
            if taken == missing
                && let Some(chunk) = self.chunks.pop()
            {
                deliver(chunk, std::mem::take(&mut self.part))?;
            }
        }
        Ok(())
    }

    fn advance(&mut self, count: usize, bytes: &mut &[u8]) {
        *bytes = &bytes[count..];
        self.position += u32::try_from(count).unwrap_or(u32::MAX);
    }

    fn next_fetch(&mut self) {
        self.current = self.fetches.next();
        if let Some(fetch) = &mut self.current {
            self.position = fetch.offset;
            self.chunks = std::mem::take(&mut fetch.chunks);
            self.chunks.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use vault_core::chunk::{ChunkId, ChunkKind};

    use super::*;

    /// Packs of 1 MiB with chunks end to end, of which some are wanted.
    fn wanted() -> impl Strategy<Value = Vec<IndexEntry>> {
        let chunks = prop::collection::vec((60_u32..90_000, any::<bool>()), 1..40);
        prop::collection::vec(chunks, 1..4).prop_map(|packs| {
            let mut wanted = Vec::new();
            for (number, chunks) in packs.into_iter().enumerate() {
                let pack = PackId::from_array([number as u8; 32]);
                let mut offset = 0;
                for (place, (sealed_length, is_wanted)) in chunks.into_iter().enumerate() {
                    if is_wanted && offset + sealed_length <= (1 << 20) - 56 {
                        let mut id = [number as u8; 32];
                        id[0] = place as u8;
                        wanted.push(IndexEntry {
                            id: ChunkId::from_array(id),
                            kind: ChunkKind::FileData,
                            pack,
                            epoch: 1,
                            pack_size: 1 << 20,
                            offset,
                            sealed_length,
                        });
                    }
                    offset += sealed_length;
                }
            }
            wanted
        })
    }

    /// As a writer can put them into an index: anywhere in their packs, which have
    /// several sizes.
    fn scattered() -> impl Strategy<Value = Vec<IndexEntry>> {
        let entry = (0_u8..3, 0_u32..2, 0_u32..60_000, 60_u32..5_000, 0_u32..3);
        prop::collection::vec(entry, 1..40).prop_map(|entries| {
            let numbered = entries.into_iter().enumerate();
            let entry = |(place, (pack, size, offset, sealed_length, same))| IndexEntry {
                id: ChunkId::from_array([place as u8; 32]),
                kind: ChunkKind::FileData,
                pack: PackId::from_array([pack; 32]),
                epoch: 1,
                pack_size: (128_u32 << 10) << (3 * size),
                // Many begin at one place.
                offset: if same == 0 { 7 } else { offset },
                sealed_length,
            };
            numbered.map(entry).collect()
        })
    }

    fn byte_at(pack: &PackId, offset: u32) -> u8 {
        pack.as_bytes()[0].wrapping_add((offset % 251) as u8)
    }

    /// Delivers what was planned in pieces; each chunk comes out once, and whole.
    fn check(wanted: &[IndexEntry], piece: usize) {
        check_fetches(wanted, plan(wanted), piece);
        check_fetches(wanted, plan_packs(wanted), piece);
    }

    fn check_fetches(wanted: &[IndexEntry], fetches: Vec<Fetch>, piece: usize) {
        let sizes: HashMap<_, _> = wanted.iter().map(|e| (e.id, e.pack_size)).collect();
        let mut bytes = Vec::new();
        for fetch in &fetches {
            let end = fetch.offset + fetch.length;
            assert_eq!(fetch.offset % ALIGNMENT, 0);
            assert!(end % ALIGNMENT == 0 || end == sizes[&fetch.chunks[0].id]);
            bytes.extend((fetch.offset..end).map(|at| byte_at(&fetch.pack, at)));
        }
        let mut splitter = Splitter::new(fetches);
        let mut delivered = HashMap::new();
        for part in bytes.chunks(piece) {
            let delivering = splitter.push(part, &mut |entry, sealed| {
                assert!(delivered.insert(entry.id, sealed).is_none());
                Ok::<_, ()>(())
            });
            delivering.unwrap();
        }
        assert_eq!(delivered.len(), wanted.len());
        for entry in wanted {
            let expected: Vec<u8> = (entry.offset..entry.offset + entry.sealed_length)
                .map(|at| byte_at(&entry.pack, at))
                .collect();
            assert_eq!(delivered[&entry.id], expected);
        }
    }

    #[test]
    fn a_pack_that_is_wanted_whole_is_read_whole() {
        let entry = |place: u8, offset, sealed_length| IndexEntry {
            id: ChunkId::from_array([place; 32]),
            kind: ChunkKind::FileData,
            pack: PackId::from_array([1; 32]),
            epoch: 1,
            pack_size: 1 << 20,
            offset,
            sealed_length,
        };
        let ranges = |wanted: &[IndexEntry]| {
            let fetches = plan_packs(wanted).into_iter();
            fetches
                .map(|fetch| (fetch.offset, fetch.length))
                .collect::<Vec<_>>()
        };
        let (first, last) = (entry(1, 0, 200_000), entry(2, 700_000, 270_000));
        assert_eq!(ranges(&[last, first]), [(0, 1 << 20)]);
        assert_eq!(ranges(&[first]), [(0, 4 << 16)]);
        assert_eq!(ranges(&[last]), [(10 << 16, 5 << 16)]);
        let small = entry(2, 700_000, 20_000);
        assert_eq!(ranges(&[first, small]), [(0, 4 << 16), (10 << 16, 1 << 16)]);
    }

    proptest! {
        #[test]
        fn every_wanted_chunk_comes_out_whole_whatever_the_pieces(
            wanted in wanted().prop_shuffle(),
            piece in 1_usize..200_000,
        ) {
            check(&wanted, piece);
        }

        #[test]
        fn chunks_that_lie_in_each_other_come_out_all_the_same(
            wanted in scattered().prop_shuffle(),
            piece in 1_usize..200_000,
        ) {
            check(&wanted, piece);
        }
    }
}
