//! The index: segments, their merging, and their sorted files.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::index::sorted::{self, SortedError, SortedSegment};
use vault_core::index::{
    AddError, IndexEntry, Layers, MAX_ENTRIES, OwnPack, Segment, SegmentBuilder, SegmentError,
};
use vault_core::pack::PackEntry;
use vault_proto::ids::PackId;
use vault_proto::wire;

pub const OWN: OwnPack = OwnPack {
    pack: PackId::from_array([0xee; 32]),
    epoch: 2,
    size: 1 << 16,
};

fn chunk(n: u64) -> ChunkId {
    ChunkId::from_array(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

fn entry(n: u64, pack: u8) -> IndexEntry {
    let (size, epoch) = (1 << (14 + pack % 11), 1 + u64::from(pack % 3));
    IndexEntry {
        id: chunk(n),
        kind: if n.is_multiple_of(7) {
            ChunkKind::Tree
        } else {
            ChunkKind::FileData
        },
        pack: PackId::from_array([pack; 32]),
        epoch,
        pack_size: size,
        offset: (n % 10_000) as u32,
        sealed_length: 42 + (n % 5_000) as u32,
    }
}

fn own_entry(n: u64) -> IndexEntry {
    IndexEntry {
        pack: OWN.pack,
        epoch: OWN.epoch,
        pack_size: OWN.size,
        ..entry(n, 4)
    }
}

fn as_pack_entry(entry: &IndexEntry) -> PackEntry {
    PackEntry {
        kind: entry.kind,
        id: entry.id,
        offset: entry.offset,
        sealed_length: entry.sealed_length,
    }
}

fn segment_of(entries: impl IntoIterator<Item = IndexEntry>) -> Segment {
    let mut builder = SegmentBuilder::new();
    for entry in entries {
        builder.add(&entry).unwrap();
    }
    Segment::decode(&builder.encode(), OWN).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_segment_is_read_as_it_was_built(
        entries in prop::collection::vec((0_u64..200, 0_u8..30), 1..200),
        own in prop::collection::vec(200_u64..230, 0..20),
        absent in 1_000_u64..,
        name: [u8; 32],
    ) {
        let mut builder = SegmentBuilder::new();
        let mut expected = BTreeMap::new();
        for (n, pack) in entries {
            let there = *expected.entry(chunk(n)).or_insert(entry(n, pack));
            let taken = if there == entry(n, pack) { Ok(()) } else { Err(AddError::Taken) };
            prop_assert_eq!(builder.add(&entry(n, pack)), taken);
            prop_assert_eq!(builder.len(), expected.len());
        }
        for n in own {
            builder.add_own(&as_pack_entry(&own_entry(n))).unwrap();
            expected.insert(chunk(n), own_entry(n));
        }
        let segment = Segment::decode(&builder.encode(), OWN).unwrap();
        prop_assert_eq!(segment.len(), expected.len());
        prop_assert!(segment.iter().eq(expected.values().copied()));
        for entry in expected.values() {
            prop_assert_eq!(segment.find(&entry.id), Some(*entry));
        }
        prop_assert_eq!(segment.find(&chunk(absent)), None);
        // Built again from what was read, but in any order, it is the same.
        let mut again = SegmentBuilder::new();
        for entry in segment.iter().collect::<Vec<_>>().iter().rev() {
            if entry.pack == OWN.pack {
                again.add_own(&as_pack_entry(entry)).unwrap();
            } else {
                again.add(entry).unwrap();
            }
        }
        prop_assert_eq!(again.encode(), builder.encode());

        let file = sorted::encode(&segment, &name);
        let opened = SortedSegment::open(file.len() as u64, read_from(&file)).unwrap();
        prop_assert_eq!((opened.len(), opened.name()), (segment.len(), &name));
        prop_assert!(opened.read_all(read_from(&file)).unwrap().into_iter().eq(segment.iter()));
        for entry in segment.iter() {
            prop_assert_eq!(opened.find(&entry.id, read_from(&file)), Ok(Some(entry)));
        }
        prop_assert_eq!(opened.find(&chunk(absent), read_from(&file)), Ok(None));
    }

    #[test]
    fn changed_segments_are_refused_or_others(
        entries in prop::collection::btree_map(0_u64..200, 0_u8..30, 1..20),
        at: prop::sample::Index,
        flip in 1_u8..,
        cut: prop::sample::Index,
    ) {
        let mut builder = SegmentBuilder::new();
        for (n, pack) in entries {
            builder.add(&entry(n, pack)).unwrap();
        }
        let bytes = builder.encode();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= flip;
        if let Ok(other) = Segment::decode(&flipped, OWN) {
            prop_assert_ne!(other, Segment::decode(&bytes, OWN).unwrap());
        }
        prop_assert!(Segment::decode(&bytes[..cut.index(bytes.len())], OWN).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Segment::decode(&bytes, OWN);
        let _ = SortedSegment::open(bytes.len() as u64, read_from(&bytes));
    }

    #[test]
    fn a_merge_keeps_every_place_of_each_chunk(
        segments in prop::collection::vec(
            prop::collection::btree_map(0_u64..60, 0_u8..30, 1..40),
            0..8,
        ),
    ) {
        let mut layers = Layers::new();
        let mut expected: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for segment in segments.iter().rev() {
            for (&n, &pack) in segment {
                layers.add(&entry(n, pack));
                let places = expected.entry(chunk(n)).or_default();
                if !places.contains(&entry(n, pack)) {
                    places.push(entry(n, pack));
                }
            }
        }
        let most = expected.values().map(Vec::len).max().unwrap_or_default();
        prop_assert_eq!(layers.len(), most);
        let merged: Vec<_> = layers
            .into_segments()
            .map(|segment| Segment::decode(&segment.encode(), OWN).unwrap())
            .collect();
        let entries: usize = merged.iter().map(Segment::len).sum();
        prop_assert_eq!(entries, expected.values().map(Vec::len).sum::<usize>());
        for (id, places) in expected {
            let newest_first = merged.iter().rev().filter_map(|segment| segment.find(&id));
            prop_assert!(newest_first.eq(places));
        }
    }

    #[test]
    fn a_damaged_file_is_never_believed(
        at: prop::sample::Index,
        flip in 1_u8..,
        cut: prop::sample::Index,
    ) {
        let segment = segment_of((0..100).map(|n| entry(n, (n % 9) as u8)));
        let file = sorted::encode(&segment, &[3; 32]);
        let mut damaged = file.clone();
        let at = at.index(file.len());
        damaged[at] ^= flip;
        // The 9 packs and 100 entries are not hashed: whatever is read of them
        // can stand in a segment, and opening a chunk checks what it says.
        let hashed = file.len() - 9 * 44 - 100 * 45;
        match SortedSegment::open(file.len() as u64, read_from(&damaged)) {
            Ok(opened) => {
                prop_assert!(at >= hashed);
                for entry in segment.iter() {
                    let _ = opened.find(&entry.id, read_from(&damaged));
                }
                let _ = opened.read_all(read_from(&damaged));
            }
            Err(error) => prop_assert_eq!((error, at < hashed), (SortedError::Damaged, true)),
        }
        let cut = &file[..cut.index(file.len())];
        let opened = SortedSegment::open(cut.len() as u64, read_from(cut));
        prop_assert_eq!(opened.err(), Some(SortedError::Damaged));
    }
}

/// Reads from memory; reading beyond the end is a mistake of whoever asks.
fn read_from(file: &[u8]) -> impl Fn(u64, &mut [u8]) -> Result<(), ()> + '_ {
    |offset, buf| {
        let start = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&file[start..start + buf.len()]);
        Ok(())
    }
}

#[test]
fn a_lookup_reads_little() {
    let segment = segment_of((0..20_000).map(|n| entry(n, (n % 200) as u8)));
    let file = sorted::encode(&segment, &[0; 32]);
    let read_bytes = Cell::new(0);
    let read_at = |offset: u64, buf: &mut [u8]| {
        read_bytes.set(read_bytes.get() + buf.len());
        read_from(&file)(offset, buf)
    };
    let opened = SortedSegment::open(file.len() as u64, read_at).unwrap();
    let in_memory = read_bytes.take();
    assert!(in_memory < 20_000 * 2, "{in_memory}");

    let mut most = 0;
    for n in 0..20_000 {
        assert_eq!(
            opened.find(&chunk(n), read_at).unwrap().map(|e| e.id),
            Some(chunk(n))
        );
        most = most.max(read_bytes.take());
    }
    assert!(most <= 64 * 45 + 44 + 2 * 32, "{most}");

    let passed = (20_000..40_000)
        .filter(|&n| opened.may_contain(&chunk(n)))
        .count();
    assert!(
        (50..500).contains(&passed),
        "{passed} of 20,000 absent ones pass"
    );
}

#[test]
fn crowded_ids_are_found_all_the_same() {
    let crowded = |n: u16| {
        let mut id = [0x55; 32];
        id[30..].copy_from_slice(&n.to_be_bytes());
        IndexEntry {
            id: ChunkId::from_array(id),
            ..entry(1, 1)
        }
    };
    let segment = segment_of((0..5_000).map(|n| crowded(2 * n)));
    let file = sorted::encode(&segment, &[0; 32]);
    let opened = SortedSegment::open(file.len() as u64, read_from(&file)).unwrap();
    for n in 0..5_000 {
        let find = |n| opened.find(&crowded(n).id, read_from(&file)).unwrap();
        assert_eq!(find(2 * n), Some(crowded(2 * n)));
        assert_eq!(find(2 * n + 1), None);
    }
    // Before the first and after the last of a bucket.
    for edge in [[0x54; 32], [0x56; 32], [0; 32], [0xff; 32]] {
        assert_eq!(
            opened.find(&ChunkId::from_array(edge), read_from(&file)),
            Ok(None)
        );
    }
}

/// A file that was made wrong and yet carries the hash of what it is.
fn made_wrong(change: impl FnOnce(&mut [u8])) -> Option<SortedError<()>> {
    let mut file = sorted::encode(&segment_of((1..=3).map(|n| entry(n, 1))), &[0; 32]);
    change(&mut file);
    // magic, four counts, name, hash; then the fan-out table and the filter.
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (bits, blocks) = (word(16), word(20));
    let end = 88 + ((1 << bits) + 1) * 4 + blocks * 32;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..56]).update(&file[88..end]);
    file[56..88].copy_from_slice(hasher.finalize().as_bytes());
    SortedSegment::open(file.len() as u64, read_from(&file)).err()
}

#[test]
fn a_file_that_was_made_wrong_is_not_opened() {
    assert_eq!(made_wrong(|_| ()), None);
    let damaged = Some(SortedError::Damaged);
    assert_eq!(made_wrong(|file| file[0] ^= 1), damaged);
    // Three entries: one bucket, from 0 to 3.
    assert_eq!(made_wrong(|file| file[88] = 4), damaged);
    assert_eq!(made_wrong(|file| file[92] = 2), damaged);
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let file = sorted::encode(&segment_of([entry(1, 1)]), &[0; 32]);
    let fail = |_: u64, _: &mut [u8]| Err("broken disk");
    let opened = SortedSegment::open(file.len() as u64, fail);
    assert_eq!(opened.err(), Some(SortedError::Read("broken disk")));
    let opened = SortedSegment::open(file.len() as u64, read_from(&file)).unwrap();
    assert_eq!(
        opened.find(&chunk(1), fail),
        Err(SortedError::Read("broken disk"))
    );
    assert_eq!(opened.read_all(fail), Err(SortedError::Read("broken disk")));
}

/// Three entries in three packs, one of them the segment's own, as a message.
pub fn small_segment() -> wire::IndexSegment {
    let mut builder = SegmentBuilder::new();
    builder.add(&entry(1, 5)).unwrap();
    builder.add(&entry(2, 8)).unwrap();
    builder.add_own(&as_pack_entry(&own_entry(3))).unwrap();
    wire::IndexSegment::decode(builder.encode().as_slice()).unwrap()
}

fn changed(change: impl FnOnce(&mut wire::IndexSegment)) -> Result<Segment, SegmentError> {
    let mut segment = small_segment();
    change(&mut segment);
    Segment::decode(&segment.encode_to_vec(), OWN)
}

#[test]
fn the_pack_that_holds_a_segment_has_no_name_in_it() {
    let segment = small_segment();
    assert_eq!(segment.packs[0], wire::PackRow::default());
    assert_eq!(changed(|_| {}).unwrap().find(&chunk(3)), Some(own_entry(3)));
    let refused = |change: &dyn Fn(&mut wire::IndexSegment)| changed(change).unwrap_err();
    assert_eq!(
        refused(&|s| s.packs[0].epoch = OWN.epoch),
        SegmentError::OwnPack
    );
    assert_eq!(
        refused(&|s| s.packs[0].size = OWN.size),
        SegmentError::OwnPack
    );
    let named = refused(&|s| {
        s.packs[2] = wire::PackRow {
            pack: OWN.pack.to_vec(),
            epoch: OWN.epoch,
            size: OWN.size,
        };
    });
    assert_eq!(named, SegmentError::OwnPack);
    // A place that only a larger pack has.
    let bytes = segment.encode_to_vec();
    let small = OwnPack {
        size: 1 << 14,
        ..OWN
    };
    assert!(Segment::decode(&bytes, small).is_ok());
    let beyond = changed(|s| {
        let own = s.rows.iter().position(|&row| row == 0).unwrap();
        s.offsets[own] = OWN.size - 56 - s.sealed_lengths[own] + 1;
    });
    assert_eq!(beyond, Err(SegmentError::Place));
}

#[test]
fn hostile_segments_are_refused() {
    let refused = |change: &dyn Fn(&mut wire::IndexSegment)| changed(change).unwrap_err();
    assert_eq!(
        Segment::decode(&wire::IndexSegment::default().encode_to_vec(), OWN),
        Err(SegmentError::Entries)
    );
    assert_eq!(refused(&|s| s.rows.truncate(2)), SegmentError::Columns);
    assert_eq!(refused(&|s| s.kinds.truncate(2)), SegmentError::Columns);
    assert_eq!(refused(&|s| s.offsets.push(0)), SegmentError::Columns);
    assert_eq!(
        refused(&|s| s.sealed_lengths.truncate(2)),
        SegmentError::Columns
    );
    assert_eq!(
        refused(&|s| s.chunk_ids.truncate(95)),
        SegmentError::Columns
    );
    assert_eq!(refused(&|s| s.chunk_ids.push(0xff)), SegmentError::Columns);
    assert_eq!(
        refused(&|s| s.chunk_ids[0] = 0xff),
        SegmentError::NotAscending
    );
    let twice = refused(&|s| s.chunk_ids.copy_within(0..32, 32));
    assert_eq!(twice, SegmentError::NotAscending);
    assert_eq!(refused(&|s| s.kinds[0] = 0), SegmentError::Kind);
    assert_eq!(refused(&|s| s.kinds[0] = 9), SegmentError::Kind);

    assert_eq!(refused(&|s| s.rows[0] = 3), SegmentError::Rows);
    assert_eq!(refused(&|s| s.rows = vec![0, 0, 1]), SegmentError::Rows);
    assert_eq!(refused(&|s| s.packs.swap(1, 2)), SegmentError::Rows);
    assert_eq!(
        refused(&|s| s.packs[2] = s.packs[1].clone()),
        SegmentError::Rows
    );
    assert_eq!(
        refused(&|s| s.packs[1].pack.truncate(31)),
        SegmentError::Pack
    );
    assert_eq!(refused(&|s| s.packs[1].epoch = 0), SegmentError::Pack);
    for size in [0, 1 << 13, 1 << 25, (1 << 14) + 1, u32::MAX] {
        assert_eq!(refused(&|s| s.packs[1].size = size), SegmentError::Pack);
    }

    let of_pack = |s: &wire::IndexSegment, row| s.rows.iter().position(|&r| r == row).unwrap();
    let place = |offset: u32, length: u32| {
        changed(|s| {
            let at = of_pack(s, 1);
            s.kinds[at] = ChunkKind::Tree.to_byte();
            (s.packs[1].size, s.offsets[at], s.sealed_lengths[at]) = (1 << 17, offset, length);
        })
        .map(|_| ())
    };
    let end = (1 << 17) - 56;
    assert_eq!(place(end - 100, 100), Ok(()));
    assert_eq!(place(0, (64 << 10) + 41), Ok(()));
    for (offset, length) in [
        (end - 100, 101),
        (u32::MAX, 100),
        (u32::MAX, u32::MAX),
        (0, 0),
        (0, 40),
        (0, (64 << 10) + 42),
    ] {
        assert_eq!(
            place(offset, length),
            Err(SegmentError::Place),
            "{offset} {length}"
        );
    }
}

#[test]
fn a_segment_has_one_encoding() {
    let bytes = small_segment().encode_to_vec();
    assert!(Segment::decode(&bytes, OWN).is_ok());
    // A field that this version does not know, and one that is there twice.
    let unknown = [&bytes[..], &[0x78, 1]].concat();
    let repeated = [&bytes[..], &[0x12, 0]].concat();
    for other in [unknown, repeated] {
        let refused = Segment::decode(&other, OWN);
        assert!(
            matches!(refused, Err(SegmentError::Encoding(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn empty_rows_by_the_million_are_refused_before_they_are_made() {
    // Two bytes each that would be forty in memory.
    let bomb = [0x0a, 0].repeat(MAX_ENTRIES + 1);
    assert_eq!(Segment::decode(&bomb, OWN), Err(SegmentError::Rows));
}

/// Two segments, each as it should be, may say different things of one pack.
#[test]
fn a_pack_has_one_epoch_and_one_size() {
    let known = entry(1, 5);
    for other in [
        IndexEntry {
            epoch: known.epoch + 1,
            ..entry(2, 5)
        },
        IndexEntry {
            pack_size: known.pack_size * 2,
            ..entry(2, 5)
        },
    ] {
        let mut builder = SegmentBuilder::new();
        builder.add(&known).unwrap();
        assert_eq!(builder.add(&other), Err(AddError::Contradiction));
        assert_eq!(builder.len(), 1);
        builder.add(&entry(3, 5)).unwrap();
        let segment = Segment::decode(&builder.encode(), OWN).unwrap();
        assert_eq!(segment.len(), 2);
        assert_eq!(segment.find(&known.id), Some(known));
    }
}

/// A segment that was to lie in a pack, which another chunk has filled.
#[test]
fn the_pack_that_was_to_hold_a_segment_can_be_named() {
    let mut builder = SegmentBuilder::new();
    builder.add(&entry(1, 5)).unwrap();
    builder.add_own(&as_pack_entry(&own_entry(2))).unwrap();
    builder.name_own_pack(OWN);
    let elsewhere = OwnPack {
        pack: PackId::from_array([0xef; 32]),
        ..OWN
    };
    // Nothing is left that has no name.
    builder.name_own_pack(elsewhere);
    let segment = Segment::decode(&builder.encode(), elsewhere).unwrap();
    assert!(segment.iter().any(|read| read == own_entry(2)));
    assert!(segment.iter().any(|read| read == entry(1, 5)));
}

/// Of a chunk there is one entry, whatever the other says.
#[test]
fn a_segment_has_one_place_of_a_chunk() {
    let known = entry(1, 5);
    let others = [
        entry(1, 6),
        IndexEntry {
            kind: ChunkKind::Snapshot,
            ..known
        },
        IndexEntry {
            offset: known.offset + 1,
            ..known
        },
        IndexEntry {
            sealed_length: known.sealed_length + 1,
            ..known
        },
        IndexEntry {
            epoch: known.epoch + 1,
            ..known
        },
    ];
    let mut builder = SegmentBuilder::new();
    builder.add(&known).unwrap();
    for other in &others {
        assert_eq!(builder.add(other), Err(AddError::Taken), "{other:?}");
    }
    let own = as_pack_entry(&known);
    assert_eq!(builder.add_own(&own), Err(AddError::Taken));
    assert_eq!(builder.add(&known), Ok(()));
    let segment = Segment::decode(&builder.encode(), OWN).unwrap();
    assert!(segment.iter().eq([known]));
}

#[test]
fn a_full_segment_is_as_large_as_one_may_be() {
    // One pack for each chunk: the bytes are what fills it.
    let many = |n: u32| {
        let mut pack = [0xff; 32];
        pack[..4].copy_from_slice(&n.to_be_bytes());
        let mut id = [0xff; 32];
        id[..4].copy_from_slice(&n.to_be_bytes());
        IndexEntry {
            id: ChunkId::from_array(id),
            pack: PackId::from_array(pack),
            epoch: u64::MAX,
            pack_size: 1 << 24,
            offset: (1 << 24) - 56 - (4 << 20),
            sealed_length: 4 << 20,
            kind: ChunkKind::FileData,
        }
    };
    let mut builder = SegmentBuilder::new();
    let count = (0..)
        .take_while(|&n| builder.add(&many(n)) == Ok(()))
        .count();
    let bytes = builder.encode();
    assert!(
        (11 << 20..=12 << 20).contains(&bytes.len()),
        "{} bytes",
        bytes.len()
    );
    assert_eq!(Segment::decode(&bytes, OWN).unwrap().len(), count);

    // One pack for all: their number does.
    let mut builder = SegmentBuilder::new();
    for n in 0..MAX_ENTRIES as u64 {
        builder.add(&entry(n, 1)).unwrap();
    }
    let one_more = entry(MAX_ENTRIES as u64, 1);
    assert_eq!(builder.add(&one_more), Err(AddError::Full));
    let segment = Segment::decode(&builder.encode(), OWN).unwrap();
    assert_eq!(segment.len(), MAX_ENTRIES);
}
