use proptest::prelude::*;
use vault_core::{
    aead::OpenError,
    chunk::{ChunkId, ChunkKind},
    keys::VaultKeys,
    seal::{Compressor, MAX_SEALED_OVERHEAD, SealError},
};

use crate::support::{random_bytes, rng, text, vault_keys, vault_keys_of};

fn seal(keys: &VaultKeys, epoch: u64, kind: ChunkKind, plaintext: &[u8]) -> (ChunkId, Vec<u8>) {
    let id = keys.chunk_id(kind, plaintext);
    let mut sealed = Vec::new();
    keys.seal_chunk(
        epoch,
        kind,
        &id,
        plaintext,
        &mut Compressor::default(),
        &mut rng(1),
        &mut sealed,
    )
    .unwrap();
    (id, sealed)
}

#[test]
fn every_kind_opens_at_its_bounds() {
    let keys = vault_keys();
    for kind in ChunkKind::ALL {
        for plaintext in [
            vec![],
            vec![5],
            text(kind.max_len()),
            random_bytes(2, kind.max_len()),
        ] {
            let (id, sealed) = seal(&keys, 2, kind, &plaintext);
            assert!(sealed.len() <= plaintext.len() + MAX_SEALED_OVERHEAD);
            assert!(keys.open_chunk(2, kind, &id, &sealed).unwrap() == plaintext);
        }
    }
}

#[test]
fn text_shrinks_and_noise_does_not_grow() {
    let keys = vault_keys();
    let (_, sealed) = seal(&keys, 1, ChunkKind::FileData, &text(100_000));
    assert!(sealed.len() < 50_000);
    let (_, sealed) = seal(&keys, 1, ChunkKind::FileData, &random_bytes(1, 100_000));
    assert_eq!(sealed.len(), 100_000 + MAX_SEALED_OVERHEAD);
}

#[test]
fn a_chunk_over_its_bound_is_not_sealed() {
    let keys = vault_keys();
    let plaintext = vec![0; ChunkKind::Tree.max_len() + 1];
    let id = keys.chunk_id(ChunkKind::Tree, &plaintext);
    let mut out = b"before".to_vec();
    let mut seal = |epoch, kind, id: &ChunkId, plaintext: &[u8]| {
        let mut compressor = Compressor::default();
        keys.seal_chunk(
            epoch,
            kind,
            id,
            plaintext,
            &mut compressor,
            &mut rng(1),
            &mut out,
        )
    };
    assert_eq!(
        seal(1, ChunkKind::Tree, &id, &plaintext),
        Err(SealError::TooLong {
            length: 65_537,
            limit: 65_536
        })
    );
    let id = keys.chunk_id(ChunkKind::Tree, b"");
    for epoch in [0, 4, u64::MAX] {
        assert_eq!(
            seal(epoch, ChunkKind::Tree, &id, b""),
            Err(SealError::UnknownEpoch { epoch })
        );
    }
    assert_eq!(out, b"before");
}

#[test]
fn opens_in_its_own_place_only() {
    let keys = vault_keys();
    let plaintext = text(3_000);
    let (id, sealed) = seal(&keys, 2, ChunkKind::Tree, &plaintext);
    for epoch in [0, 1, 3, 4, u64::MAX] {
        assert_eq!(
            keys.open_chunk(epoch, ChunkKind::Tree, &id, &sealed),
            Err(OpenError)
        );
    }
    for kind in ChunkKind::ALL {
        let opened = keys.open_chunk(2, kind, &id, &sealed);
        assert_eq!(opened.is_ok(), kind == ChunkKind::Tree);
    }
    let other = keys.chunk_id(ChunkKind::Tree, b"another chunk");
    assert_eq!(
        keys.open_chunk(2, ChunkKind::Tree, &other, &sealed),
        Err(OpenError)
    );
    let _ = vault_keys_of;
}

#[test]
fn sealing_twice_gives_other_bytes() {
    let keys = vault_keys();
    let id = keys.chunk_id(ChunkKind::Tree, b"the same");
    let (mut rng, mut compressor) = (rng(1), Compressor::default());
    let mut seal = || {
        let mut out = Vec::new();
        keys.seal_chunk(
            1,
            ChunkKind::Tree,
            &id,
            b"the same",
            &mut compressor,
            &mut rng,
            &mut out,
        )
        .unwrap();
        out
    };
    let sealed: std::collections::BTreeSet<_> = (0..200).map(|_| seal()[..24].to_vec()).collect();
    assert_eq!(sealed.len(), 200);
}

/// Nonces are random, all 24 bytes of them: under one key, of the same chunk,
/// none comes twice in a million.
#[test]
fn no_nonce_comes_twice_in_a_million_seals() {
    const SEALS: usize = 1_000_000;
    let keys = vault_keys();
    let plaintext = b"x";
    let id = keys.chunk_id(ChunkKind::Tree, plaintext);
    let (mut compressor, mut rng) = (Compressor::default(), rng(3));
    let mut sealed = Vec::new();
    let mut nonces: Vec<[u8; 24]> = Vec::with_capacity(SEALS);
    for _ in 0..SEALS {
        sealed.clear();
        keys.seal_chunk(
            1,
            ChunkKind::Tree,
            &id,
            plaintext,
            &mut compressor,
            &mut rng,
            &mut sealed,
        )
        .unwrap();
        nonces.push(sealed[..24].try_into().unwrap());
    }
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), SEALS);
    // Not a counter with a random part: every byte takes every value.
    for place in 0..24 {
        let mut values = [0_u32; 256];
        for nonce in &nonces {
            values[usize::from(nonce[place])] += 1;
        }
        let expected = SEALS as u32 / 256;
        let near = expected * 9 / 10..expected * 11 / 10;
        assert!(values.iter().all(|count| near.contains(count)), "{place}");
    }
}

#[test]
fn every_flip_truncation_and_extension_is_refused() {
    let keys = vault_keys();
    for plaintext in [random_bytes(1, 100), text(1_000)] {
        let (id, sealed) = seal(&keys, 1, ChunkKind::FileData, &plaintext);
        let open = |sealed: &[u8]| keys.open_chunk(1, ChunkKind::FileData, &id, sealed);
        for position in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[position] ^= 1 << (position % 8);
            assert_eq!(open(&flipped), Err(OpenError));
            assert_eq!(open(&sealed[..position]), Err(OpenError));
        }
        let mut longer = sealed;
        longer.push(0);
        assert_eq!(open(&longer), Err(OpenError));
    }
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens_again(
        plaintext in proptest::collection::vec(any::<u8>(), 0..4_000),
        repeat in 1_usize..16,
    ) {
        let keys = vault_keys();
        let plaintext = plaintext.repeat(repeat);
        let kind = ChunkKind::FileData;
        let (id, sealed) = seal(&keys, 3, kind, &plaintext);
        prop_assert_eq!(keys.open_chunk(3, kind, &id, &sealed).unwrap(), plaintext);
    }

    #[test]
    fn noise_never_opens(sealed in proptest::collection::vec(any::<u8>(), 0..400)) {
        let keys = vault_keys();
        let id = keys.chunk_id(ChunkKind::Tree, b"");
        prop_assert_eq!(keys.open_chunk(1, ChunkKind::Tree, &id, &sealed), Err(OpenError));
    }
}
