//! From wanted chunks to ranges of packs, and from the ranges' bytes back to
//! sealed chunks.
//!
//! The hoster sees which ranges are read. So that they do not draw the chunk
//! boundaries, each begins and ends on a multiple of 64 KiB or at the pack's end.

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
    /// In order of their offsets.
    pub(crate) chunks: Vec<IndexEntry>,
}

/// The ranges that hold `wanted`, in the order of packs in which they were
/// wanted first.
pub(crate) fn plan(wanted: &[IndexEntry]) -> Vec<Fetch> {
    plan_merging(wanted, MERGED_GAP)
}

/// Likewise, without a block that holds nothing of what is wanted: who reads
/// through a link may read no other.
pub(crate) fn plan_exactly(wanted: &[IndexEntry]) -> Vec<Fetch> {
    plan_merging(wanted, 0)
}

fn plan_merging(wanted: &[IndexEntry], gap: u32) -> Vec<Fetch> {
    let mut order = Vec::new();
    let mut by_pack: BTreeMap<PackId, Vec<IndexEntry>> = BTreeMap::new();
    for entry in wanted {
        by_pack
            .entry(entry.pack)
            .or_insert_with(|| {
                order.push(entry.pack);
                Vec::new()
            })
            .push(*entry);
    }
    let mut fetches = Vec::new();
    for pack in order {
        if let Some(mut chunks) = by_pack.remove(&pack) {
            chunks.sort_by_key(|chunk| chunk.offset);
            chunks.dedup_by_key(|chunk| chunk.offset);
            plan_pack(pack, chunks, gap, &mut fetches);
        }
    }
    fetches
}

fn plan_pack(pack: PackId, chunks: Vec<IndexEntry>, gap: u32, fetches: &mut Vec<Fetch>) {
    let Some(size) = chunks.first().map(|chunk| chunk.pack_size) else {
        return;
    };
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

    fn byte_at(pack: &PackId, offset: u32) -> u8 {
        pack.as_bytes()[0].wrapping_add((offset % 251) as u8)
    }

    proptest! {
        #[test]
        fn every_wanted_chunk_comes_out_whole_whatever_the_pieces(
            wanted in wanted().prop_shuffle(),
            piece in 1_usize..200_000,
        ) {
            let fetches = plan(&wanted);
            let mut bytes = Vec::new();
            for fetch in &fetches {
                let end = fetch.offset + fetch.length;
                prop_assert_eq!(fetch.offset % ALIGNMENT, 0);
                prop_assert!(end % ALIGNMENT == 0 || end == 1 << 20);
                bytes.extend((fetch.offset..end).map(|at| byte_at(&fetch.pack, at)));
            }
            let mut splitter = Splitter::new(fetches);
            let mut delivered = HashMap::new();
            for part in bytes.chunks(piece) {
                splitter.push(part, &mut |entry, sealed| {
                    delivered.insert(entry.id, sealed);
                    Ok::<_, ()>(())
                }).unwrap();
            }
            prop_assert_eq!(delivered.len(), wanted.len());
            for entry in wanted {
                let expected: Vec<u8> = (entry.offset..entry.offset + entry.sealed_length)
                    .map(|at| byte_at(&entry.pack, at))
                    .collect();
                prop_assert_eq!(&delivered[&entry.id], &expected);
            }
        }
    }
}
