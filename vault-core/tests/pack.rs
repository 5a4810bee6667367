use proptest::prelude::*;
use vault_core::{
    aead::OpenError,
    chunk::ChunkKind,
    pack::{
        FinishedPack, MAX_PACK_LEN, MIN_PACK_LEN, PackBuilder, PackError, PackFull, TRAILER_LEN,
        read_pack_entries,
    },
    seal::{Compressor, MIN_SEALED_LEN},
};
use vault_proto::ids::PackId;

use crate::support::{random_bytes, rng, text, vault_keys, vault_keys_of};

fn pack_of(chunks: &[(ChunkKind, Vec<u8>)]) -> FinishedPack {
    let keys = vault_keys();
    let mut builder = PackBuilder::new(keys.clone(), 2);
    let (mut compressor, mut rng) = (Compressor::default(), rng(5));
    for (kind, plaintext) in chunks {
        let id = keys.chunk_id(*kind, plaintext);
        builder
            .push_chunk(*kind, &id, plaintext, &mut compressor, &mut rng)
            .unwrap()
            .unwrap();
    }
    builder.finish(&mut rng)
}

fn some_pack() -> FinishedPack {
    pack_of(&[
        (ChunkKind::Tree, text(5_000)),
        (ChunkKind::FileData, random_bytes(1, 9_000)),
        (ChunkKind::FileData, vec![]),
    ])
}

#[test]
fn lists_what_was_pushed_and_its_chunks_open() {
    let keys = vault_keys();
    let pack = some_pack();
    assert_eq!(pack.bytes.len(), 16 << 10);
    assert_eq!(pack.id, PackId::of(&pack.bytes));
    let entries = read_pack_entries(&keys, 2, &pack.id, &pack.bytes).unwrap();
    assert_eq!(entries, pack.entries);
    let opened: Vec<_> = entries
        .iter()
        .map(|entry| {
            let sealed = &pack.bytes[entry.offset as usize..][..entry.sealed_length as usize];
            keys.open_chunk(2, entry.kind, &entry.id, sealed).unwrap()
        })
        .collect();
    assert_eq!(opened, [text(5_000), random_bytes(1, 9_000), vec![]]);
}

#[test]
fn an_empty_pack_is_a_pack() {
    let pack = pack_of(&[]);
    assert_eq!(pack.bytes.len(), MIN_PACK_LEN);
    assert_eq!(
        read_pack_entries(&vault_keys(), 2, &pack.id, &pack.bytes),
        Ok(vec![])
    );
}

#[test]
fn fills_up_to_the_last_byte_and_not_beyond() {
    let keys = vault_keys();
    let mut builder = PackBuilder::new(keys.clone(), 1);
    let id = keys.chunk_id(ChunkKind::FileData, b"");
    let sealed = vec![0; 3 << 20];
    while builder.room_for(sealed.len()) {
        let offset = builder.next_offset();
        assert_eq!(builder.push(ChunkKind::FileData, &id, &sealed), Ok(offset));
    }
    assert_eq!(
        builder.push(ChunkKind::FileData, &id, &sealed),
        Err(PackFull)
    );
    let left = (0..sealed.len())
        .rev()
        .find(|&n| builder.room_for(n))
        .unwrap();
    builder
        .push(ChunkKind::FileData, &id, &sealed[..left])
        .unwrap();
    assert!(!builder.room_for(0));
    assert!(!builder.room_for(usize::MAX));
    assert_eq!(builder.len_bytes(), MAX_PACK_LEN);
    let pack = builder.finish(&mut rng(1));
    assert_eq!(pack.bytes.len(), MAX_PACK_LEN);
    assert_eq!(pack.bytes.capacity(), MAX_PACK_LEN);
    assert_eq!(pack.filler_bytes, 0);
    assert_eq!(
        read_pack_entries(&keys, 1, &pack.id, &pack.bytes).unwrap(),
        pack.entries
    );
}

#[test]
fn a_chunk_that_might_not_fit_is_left_to_the_next_pack() {
    let keys = vault_keys();
    let mut builder = PackBuilder::new(keys.clone(), 1);
    let chunk = random_bytes(1, 4 << 20);
    let id = keys.chunk_id(ChunkKind::FileData, &chunk);
    let (mut compressor, mut rng) = (Compressor::default(), rng(1));
    let mut push = || {
        builder
            .push_chunk(ChunkKind::FileData, &id, &chunk, &mut compressor, &mut rng)
            .unwrap()
    };
    let offsets = [push(), push(), push(), push()];
    let sealed = (4 << 20) + 41;
    assert_eq!(offsets, [Some(0), Some(sealed), Some(2 * sealed), None]);
}

#[test]
fn open_packs_of_one_vault_and_epoch_can_be_joined() {
    let builder = |vault, epoch, seed, lengths: &[usize]| {
        let keys = vault_keys_of(vault);
        let mut builder = PackBuilder::new(keys.clone(), epoch);
        for length in lengths {
            let id = keys.chunk_id(ChunkKind::Tree, &length.to_le_bytes());
            let sealed = random_bytes(seed, *length);
            builder.push(ChunkKind::FileData, &id, &sealed).unwrap();
        }
        builder
    };
    let vault = [7; 32];
    let mut joined = builder(vault, 2, 1, &[500, 3_000]);
    for elsewhere in [builder([8; 32], 2, 2, &[70]), builder(vault, 1, 2, &[70])] {
        assert_eq!(joined.absorb(&elsewhere), Err(PackFull));
    }
    let other = builder(vault, 2, 2, &[70, 40_000, 80]);
    joined.absorb(&other).unwrap();
    assert_eq!(
        joined.len_bytes(),
        builder(vault, 2, 1, &[500, 3_000, 70, 40_000, 80]).len_bytes()
    );
    let pack = joined.finish(&mut rng(1));
    let entries = read_pack_entries(&vault_keys_of(vault), 2, &pack.id, &pack.bytes).unwrap();
    assert_eq!(entries, pack.entries);
    let lengths: Vec<_> = entries.iter().map(|entry| entry.sealed_length).collect();
    assert_eq!(lengths, [500, 3_000, 70, 40_000, 80]);
    let at = entries[3].offset as usize;
    assert_eq!(pack.bytes[at..][..40_000], random_bytes(2, 40_000));

    // Up to the last byte, and not beyond.
    let mut full = builder(vault, 2, 1, &[4 << 20, 4 << 20, 4 << 20]);
    let fits = |length| {
        let together = [4 << 20, 4 << 20, 4 << 20, length];
        let sum: usize = together.iter().sum();
        let footer = builder(vault, 2, 1, &[200, 200, 200, 200]).len_bytes() - 800;
        // Each length of 4 MiB takes two bytes more than one of 200.
        sum + footer + 4 * 2 <= MAX_PACK_LEN
    };
    let longest = (3 << 20..4 << 20)
        .rev()
        .find(|length| fits(*length))
        .unwrap();
    let over = builder(vault, 2, 2, &[longest + 1]);
    assert_eq!(full.absorb(&over), Err(PackFull));
    full.absorb(&builder(vault, 2, 2, &[longest])).unwrap();
    assert_eq!(full.len_bytes(), MAX_PACK_LEN);
    assert_eq!(full.finish(&mut rng(1)).bytes.capacity(), MAX_PACK_LEN);
}

#[test]
fn tells_how_long_the_pack_would_be() {
    let keys = vault_keys();
    let mut builder = PackBuilder::new(keys.clone(), 1);
    for length in [50, 16_000, 200, 70_000, 4 << 20] {
        let told = builder.finished_len_with(length);
        let id = keys.chunk_id(ChunkKind::FileData, b"");
        let sealed = random_bytes(1, length);
        builder.push(ChunkKind::FileData, &id, &sealed).unwrap();
        assert_eq!(
            told,
            builder.len_bytes().next_power_of_two().max(MIN_PACK_LEN)
        );
    }
}

#[test]
fn every_flipped_byte_shows() {
    let keys = vault_keys();
    let pack = some_pack();
    let footer = {
        let trailer = pack.bytes.last_chunk().unwrap();
        keys.open_pack_trailer(2, pack.bytes.len(), trailer)
            .unwrap()
            .range()
    };
    for position in 0..pack.bytes.len() {
        let mut flipped = pack.bytes.clone();
        flipped[position] ^= 0x10;
        assert_eq!(
            read_pack_entries(&keys, 2, &pack.id, &flipped),
            Err(PackError::WrongHash)
        );
        // Even when the hash is made to fit, footer and trailer do not open.
        let read = read_pack_entries(&keys, 2, &PackId::of(&flipped), &flipped);
        let sealed =
            footer.contains(&(position as u32)) || position >= pack.bytes.len() - TRAILER_LEN;
        let expected = if sealed {
            Err(PackError::Unopenable(OpenError))
        } else {
            Ok(pack.entries.clone())
        };
        assert_eq!(read, expected, "byte {position}");
    }
}

#[test]
fn opens_in_its_own_vault_and_epoch_only() {
    let pack = some_pack();
    let unopenable = Err(PackError::Unopenable(OpenError));
    for epoch in [0, 1, 3, 4, u64::MAX] {
        let read = read_pack_entries(&vault_keys(), epoch, &pack.id, &pack.bytes);
        assert_eq!(read, unopenable);
    }
    let read = read_pack_entries(&vault_keys_of([8; 32]), 2, &pack.id, &pack.bytes);
    assert_eq!(read, unopenable);
}

#[test]
fn another_pack_and_other_sizes_are_refused() {
    let keys = vault_keys();
    let pack = some_pack();
    let other = pack_of(&[(ChunkKind::Tree, text(50))]);
    assert_eq!(
        read_pack_entries(&keys, 2, &pack.id, &other.bytes),
        Err(PackError::WrongHash)
    );
    let double = [pack.bytes.clone(), pack.bytes.clone()].concat();
    for bytes in [&pack.bytes[1..], &pack.bytes[..8 << 10], &[], &double] {
        let read = read_pack_entries(&keys, 2, &PackId::of(bytes), bytes);
        let expected = if bytes.len() == double.len() {
            // The trailer stands where it should: what it says does not tile.
            Ok(pack.entries.clone())
        } else {
            Err(PackError::WrongSize {
                length: bytes.len(),
            })
        };
        assert_eq!(read, expected);
    }
}

#[test]
fn a_ranged_reader_needs_a_size_that_packs_have() {
    let keys = vault_keys();
    let pack = some_pack();
    let trailer = pack.bytes.last_chunk().unwrap();
    for length in [0, 1, TRAILER_LEN, 8 << 10, 20_000, 32 << 20, usize::MAX] {
        let read = keys.open_pack_trailer(2, length, trailer);
        assert_eq!(read, Err(PackError::WrongSize { length }));
    }
    let location = keys
        .open_pack_trailer(2, pack.bytes.len(), trailer)
        .unwrap();
    let range = location.range();
    let footer = &pack.bytes[range.start as usize..range.end as usize];
    let entries = keys.open_pack_footer(2, &location, footer).unwrap();
    assert_eq!(entries, pack.entries);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sizes_are_the_next_power_of_two(lengths in proptest::collection::vec(MIN_SEALED_LEN..40_000, 0..60)) {
        let keys = vault_keys();
        let mut builder = PackBuilder::new(keys.clone(), 3);
        let noise = random_bytes(3, 40_000);
        for (n, length) in lengths.iter().enumerate() {
            let id = keys.chunk_id(ChunkKind::Tree, &n.to_le_bytes());
            builder.push(ChunkKind::Tree, &id, &noise[..*length]).unwrap();
        }
        let used = builder.len_bytes();
        let pack = builder.finish(&mut rng(9));
        prop_assert_eq!(pack.bytes.len(), used.next_power_of_two().max(MIN_PACK_LEN));
        prop_assert_eq!(pack.bytes.len(), used + pack.filler_bytes as usize);
        prop_assert_eq!(read_pack_entries(&keys, 3, &pack.id, &pack.bytes).unwrap(), pack.entries);
    }
}
