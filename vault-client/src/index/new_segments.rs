//! What a commit writes behind its chunks: the catalog and the new segments,
//! each of which the root then names by its place.

use std::sync::Arc;

use vault_core::{
    chunk::{ChunkId, ChunkKind},
    index::{
        Additions, IndexEntry, Layers, Merged, OwnPack, SegmentBuilder, SegmentStat, merge_segments,
    },
    keys::VaultKeys,
    pack::{FinishedPack, PackBuilder, PackEntry},
    seal::Compressor,
};
use vault_proto::wire::{Located, SegmentRef};

use super::{VaultIndex, is_indexed, merging::Segments};
use crate::{
    platform::Rng,
    transfer::{Reader, TransferError},
};

/// The last pack of a commit, being filled, and those that got full meanwhile.
pub(crate) struct Tail {
    keys: Arc<VaultKeys>,
    epoch: u64,
    open: PackBuilder,
    compressor: Compressor,
    rng: Rng,
    placed: Vec<Placed>,
    finished: Vec<FinishedPack>,
    /// What the packs hold that were closed before there was a segment.
    closed: Vec<IndexEntry>,
}

/// A chunk whose pack may not have its id yet.
struct Placed {
    at: Located,
    /// Which of the packs of this tail.
    pack: usize,
}

/// Names a chunk that a [`Tail`] has placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedAt(usize);

impl Tail {
    pub(crate) fn new(keys: Arc<VaultKeys>, open: PackBuilder, rng: Rng) -> Self {
        Self {
            epoch: keys.current_epoch(),
            keys,
            open,
            compressor: Compressor::default(),
            rng,
            placed: Vec::new(),
            finished: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// Places a chunk that does not depend on where it stands.
    pub(crate) fn place(
        &mut self,
        kind: ChunkKind,
        plaintext: &[u8],
    ) -> Result<PlacedAt, TransferError> {
        let (id, sealed) = self.seal(kind, plaintext)?;
        if !self.open.room_for(sealed.len()) {
            let own = self.own_entries();
            let OwnPack { pack, epoch, size } = self.close();
            self.closed.extend(own.iter().map(|entry| IndexEntry {
                id: entry.id,
                kind: entry.kind,
                pack,
                epoch,
                pack_size: size,
                offset: entry.offset,
                sealed_length: entry.sealed_length,
            }));
        }
        Ok(self.push(kind, &id, &sealed))
    }

    /// Finishes the open pack; gives all packs, and where each placed chunk is.
    pub(crate) fn finish(mut self) -> (Vec<FinishedPack>, Vec<Located>) {
        if !self.open.is_empty() {
            self.close();
        }
        let finished = self.finished;
        let located = self.placed.into_iter().map(|placed| {
            let pack = &finished[placed.pack];
            Located {
                pack: pack.id.to_vec(),
                pack_size: size_of(pack.bytes.len()),
                ..placed.at
            }
        });
        let located = located.collect();
        (finished, located)
    }

    /// The entries of the open pack that the index is to know.
    fn own_entries(&self) -> Vec<PackEntry> {
        self.open
            .entries()
            .iter()
            .filter(|entry| is_indexed(entry))
            .copied()
            .collect()
    }

    /// Closes the open pack, and says which it is.
    fn close(&mut self) -> OwnPack {
        let fresh = PackBuilder::new(self.keys.clone(), self.epoch);
        let full = std::mem::replace(&mut self.open, fresh);
        let full = full.finish(&mut self.rng);
        let own = OwnPack {
            pack: full.id,
            epoch: full.epoch,
            size: size_of(full.bytes.len()),
        };
        self.finished.push(full);
        own
    }

    fn seal(
        &mut self,
        kind: ChunkKind,
        plaintext: &[u8],
    ) -> Result<(ChunkId, Vec<u8>), TransferError> {
        let id = self.keys.chunk_id(kind, plaintext);
        let mut sealed = Vec::new();
        self.keys.seal_chunk(
            self.epoch,
            kind,
            &id,
            plaintext,
            &mut self.compressor,
            &mut self.rng,
            &mut sealed,
        )?;
        Ok((id, sealed))
    }

    fn push(&mut self, kind: ChunkKind, id: &ChunkId, sealed: &[u8]) -> PlacedAt {
        let offset = self
            .open
            .push(kind, id, sealed)
            .expect("room was asked for");
        self.placed.push(Placed {
            at: Located {
                chunk_id: id.as_bytes().to_vec(),
                pack: Vec::new(),
                epoch: self.epoch,
                offset,
                sealed_length: size_of(sealed.len()),
                sealed_hash: blake3::hash(sealed).as_bytes().to_vec(),
                pack_size: 0,
            },
            pack: self.finished.len(),
        });
        PlacedAt(self.placed.len() - 1)
    }
}

/// The segments that a root names after a commit.
#[derive(Default)]
pub(crate) struct NewSegments {
    /// Oldest first: those that stay, and those that are new.
    order: Vec<Slot>,
    /// The plaintext of each new one.
    plaintexts: Vec<(PlacedAt, Vec<u8>)>,
}

/// A segment that this device has written, and where.
pub(crate) type OwnSegment = (Located, Vec<u8>);

enum Slot {
    Kept(SegmentRef),
    New(PlacedAt, u32),
}

impl NewSegments {
    /// The root's list, and the new segments with their plaintexts, once the
    /// tail's packs have their ids.
    pub(crate) fn resolve(self, located: &[Located]) -> (Vec<SegmentRef>, Vec<OwnSegment>) {
        let refs = self.order.into_iter().map(|slot| match slot {
            Slot::Kept(reference) => reference,
            Slot::New(PlacedAt(at), entries) => SegmentRef {
                at: Some(located[at].clone()),
                entries,
            },
        });
        let refs = refs.collect();
        let own = self.plaintexts.into_iter();
        (
            refs,
            own.map(|(PlacedAt(at), plaintext)| (located[at].clone(), plaintext))
                .collect(),
        )
    }
}

/// Where a placed chunk is, once the tail's packs have their ids.
pub(crate) fn located(located: &[Located], PlacedAt(at): PlacedAt) -> Located {
    located[at].clone()
}

/// Writes the segments of a commit that adds `known`, entries of packs that this
/// device has finished, and the entries of the tail's own packs. Merges what
/// [`merge_segments`] says.
pub(crate) fn write_segments(
    tail: &mut Tail,
    mut known: Vec<IndexEntry>,
    existing: &[SegmentRef],
    index: &VaultIndex,
    reader: &Reader,
) -> Result<NewSegments, TransferError> {
    let stats: Vec<_> = existing.iter().map(stat_of).collect();
    known.append(&mut tail.closed);
    let own = tail.own_entries();
    let additions = Additions {
        known: &known,
        own: &own,
    };
    let mut source = Segments::new(existing, index, reader, &tail.rng);
    let merged = merge_segments(&stats, additions, &mut source)?;
    let mut segments = NewSegments::default();
    let mut own_pack = None;
    for segment in merged {
        match segment {
            Merged::Kept(at) => segments.order.push(Slot::Kept(existing[at].clone())),
            Merged::New(segment) => write(tail, segment, &mut own_pack, &mut segments)?,
        }
    }
    Ok(segments)
}

/// Writes all entries of an index anew, the newest last: every place of a chunk.
pub(crate) fn rewrite_segments(
    tail: &mut Tail,
    mut entries: Vec<IndexEntry>,
) -> Result<NewSegments, TransferError> {
    entries.append(&mut tail.closed);
    let mut layers = Layers::new();
    for entry in tail.own_entries().iter().rev() {
        layers.add_own(entry);
    }
    for entry in entries.iter().rev() {
        layers.add(entry);
    }
    let mut segments = NewSegments::default();
    let mut own_pack = None;
    for segment in layers.into_segments() {
        write(tail, segment, &mut own_pack, &mut segments)?;
    }
    Ok(segments)
}

fn stat_of(reference: &SegmentRef) -> SegmentStat {
    SegmentStat {
        entries: u64::from(reference.entries),
        bytes: reference
            .at
            .as_ref()
            .map_or(0, |at| u64::from(at.sealed_length)),
    }
}

/// Places a segment. `own_pack` is the pack that was to hold all of them, once it
/// is closed: it had no room for one.
fn write(
    tail: &mut Tail,
    mut segment: SegmentBuilder,
    own_pack: &mut Option<OwnPack>,
    segments: &mut NewSegments,
) -> Result<(), TransferError> {
    loop {
        if let Some(own) = own_pack {
            segment.name_own_pack(*own);
        }
        let plaintext = segment.encode();
        let (id, sealed) = tail.seal(ChunkKind::Index, &plaintext)?;
        if tail.open.room_for(sealed.len()) {
            let at = tail.push(ChunkKind::Index, &id, &sealed);
            segments.order.push(Slot::New(at, size_of(segment.len())));
            segments.plaintexts.push((at, plaintext));
            return Ok(());
        }
        let closed = tail.close();
        own_pack.get_or_insert(closed);
    }
}

fn size_of(length: usize) -> u32 {
    u32::try_from(length).expect("packs and segments are at most 16 MiB")
}

#[cfg(test)]
mod tests {
    use vault_core::{index::Segment, pack::MAX_PACK_LEN};
    use vault_proto::ids::{PackId, VaultId};

    use super::*;
    use crate::platform::SystemRandomness;

    fn noise<const N: usize>(seed: u8) -> [u8; N] {
        let mut noise = [0; N];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[seed]).finalize_xof().fill(&mut noise);
        noise
    }

    /// A tail whose pack holds four chunks, and about `room` bytes more.
    fn tail(room: usize) -> Tail {
        let keys = VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32]]);
        let keys = Arc::new(keys);
        let mut open = PackBuilder::new(keys.clone(), 1);
        for number in 0..4 {
            let left = MAX_PACK_LEN - open.len_bytes() - room;
            let sealed = vec![number; left.min(4 << 20) - 100];
            let id = ChunkId::from_array([number; 32]);
            open.push(ChunkKind::FileData, &id, &sealed).unwrap();
        }
        Tail::new(keys, open, Rng::new(Arc::new(SystemRandomness)))
    }

    #[test]
    fn what_a_full_pack_holds_is_indexed_wherever_catalog_and_segment_go() {
        // Of other packs, and as many as a segment of 8 KB holds.
        let known = (100..200).map(|number| IndexEntry {
            id: ChunkId::from_array(noise(number)),
            kind: ChunkKind::FileData,
            pack: PackId::of(&[number, 0]),
            epoch: 1,
            pack_size: 1 << 20,
            offset: 0,
            sealed_length: 100,
        });
        let known: Vec<_> = known.collect();
        // Room for the catalog and the segment, for the catalog, for neither.
        for (room, count) in [(40_000, 1), (12_000, 2), (4_000, 2)] {
            let mut tail = tail(room);
            let catalog = noise::<8_000>(1);
            tail.place(ChunkKind::Catalog, &catalog).unwrap();
            let segments = rewrite_segments(&mut tail, known.clone()).unwrap();
            let (packs, places) = tail.finish();
            assert_eq!(packs.len(), count, "with {room} bytes of room");
            let (_, own) = segments.resolve(&places);
            let mut entries = Vec::new();
            for (at, plaintext) in own {
                let own = OwnPack {
                    pack: PackId::from_slice(&at.pack).unwrap(),
                    epoch: at.epoch,
                    size: at.pack_size,
                };
                entries.extend(Segment::decode(&plaintext, own).unwrap().iter());
            }
            assert_eq!(entries.len(), known.len() + 4, "with {room} bytes of room");
            assert!(known.iter().all(|entry| entries.contains(entry)));
            for entry in entries.iter().filter(|entry| !known.contains(entry)) {
                let pack = packs.iter().find(|pack| pack.id == entry.pack).unwrap();
                let first = pack.bytes[entry.offset as usize];
                assert_eq!(entry.id, ChunkId::from_array([first; 32]));
            }
        }
    }
}
