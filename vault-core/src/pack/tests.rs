//! Packs whose footers and trailers a member sealed who does as he likes.

use proptest::prelude::*;
use prost::Message;
use rand::rngs::ChaCha20Rng;
use rand_core::SeedableRng;
use vault_proto::{ids::PackId, wire::PackFooter};

use super::*;
use crate::{aead, keys::VaultKeys, labels, seal::MAX_SEALED_OVERHEAD};

const SEALED: u32 = 1_000;

/// What the member may choose.
struct Forgery {
    footer: Vec<u8>,
    footer_offset: u32,
    chunks: u32,
    reserved: u32,
    /// Instead of the footer's own length.
    footer_length: Option<u32>,
    pack_len: usize,
}

fn honest_footer() -> PackFooter {
    PackFooter {
        kinds: vec![ChunkKind::Tree.to_byte(), ChunkKind::FileData.to_byte()],
        chunk_ids: vec![7; 64],
        sealed_lengths: vec![SEALED, SEALED],
    }
}

impl Forgery {
    fn honest() -> Self {
        Self {
            footer: honest_footer().encode_to_vec(),
            footer_offset: 2 * SEALED,
            chunks: 2,
            reserved: 0,
            footer_length: None,
            pack_len: MIN_PACK_LEN,
        }
    }

    fn footer(change: impl FnOnce(&mut PackFooter)) -> Self {
        let mut footer = honest_footer();
        change(&mut footer);
        Self {
            footer: footer.encode_to_vec(),
            ..Self::honest()
        }
    }

    fn read(&self) -> Result<Vec<PackEntry>, PackError> {
        let keys = VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32]]);
        let key = &keys.epoch(1).unwrap().footer;
        let part = |label| associated(label, keys.vault_id(), 1);
        let mut rng = ChaCha20Rng::seed_from_u64(1);

        let mut bytes = vec![0; self.pack_len];
        let sealed = aead::seal(key, &part(labels::PACK_FOOTER), &self.footer, &mut rng);
        let length = self.footer_length.unwrap_or(sealed.len() as u32);
        let at = self.footer_offset as usize;
        if let Some(place) = bytes.get_mut(at..).and_then(|b| b.get_mut(..sealed.len())) {
            place.copy_from_slice(&sealed);
        }
        let fields = [self.footer_offset, length, self.chunks, self.reserved];
        let trailer = fields.map(u32::to_le_bytes).concat();
        let sealed = aead::seal(key, &part(labels::PACK_TRAILER), &trailer, &mut rng);
        let at = self.pack_len - TRAILER_LEN;
        bytes[at..].copy_from_slice(&sealed);
        read_pack_entries(&keys, 1, &PackId::of(&bytes), &bytes)
    }
}

#[test]
fn an_honest_forgery_reads() {
    assert_eq!(Forgery::honest().read().unwrap().len(), 2);
}

#[test]
fn columns_must_be_of_equal_length_and_kinds_known() {
    let forgeries = [
        Forgery::footer(|footer| footer.kinds.truncate(1)),
        Forgery::footer(|footer| footer.chunk_ids.truncate(32)),
        Forgery::footer(|footer| footer.chunk_ids.truncate(63)),
        Forgery::footer(|footer| footer.chunk_ids.push(0)),
        Forgery::footer(|footer| footer.sealed_lengths = vec![2 * SEALED]),
        Forgery::footer(|footer| footer.kinds[1] = 0),
        Forgery::footer(|footer| footer.kinds[1] = 9),
        Forgery {
            chunks: 1,
            ..Forgery::honest()
        },
        Forgery {
            chunks: u32::MAX,
            ..Forgery::honest()
        },
    ];
    for (n, forgery) in forgeries.iter().enumerate() {
        assert_eq!(forgery.read(), Err(PackError::Malformed), "{n}");
    }
}

#[test]
fn chunks_must_tile_the_pack_up_to_the_footer() {
    let lengths = |lengths: [u32; 2]| Forgery::footer(|f| f.sealed_lengths = lengths.to_vec());
    let forgeries = [
        lengths([SEALED, SEALED - 1]),
        lengths([SEALED, SEALED + 1]),
        // No sealed chunk is that short.
        lengths([2 * SEALED - 40, 40]),
        lengths([2 * SEALED, 0]),
        // The sum wraps around to what it should be.
        lengths([u32::MAX - SEALED, 3 * SEALED + 1]),
        Forgery {
            footer_offset: 2 * SEALED + 1,
            ..Forgery::honest()
        },
    ];
    for (n, forgery) in forgeries.iter().enumerate() {
        assert_eq!(forgery.read(), Err(PackError::Malformed), "{n}");
    }
}

#[test]
fn no_chunk_is_longer_than_its_kind_allows() {
    let longest = (ChunkKind::Tree.max_len() + MAX_SEALED_OVERHEAD) as u32;
    let forgery = |length| Forgery {
        footer_offset: length + SEALED,
        pack_len: 128 << 10,
        ..Forgery::footer(|footer| footer.sealed_lengths = vec![length, SEALED])
    };
    assert!(forgery(longest).read().is_ok());
    assert_eq!(forgery(longest + 1).read(), Err(PackError::Malformed));
}

#[test]
fn the_trailer_must_stay_inside_the_pack() {
    let malformed = Err(PackError::Malformed);
    for (offset, length) in [
        (u32::MAX, 1),
        (u32::MAX, u32::MAX),
        (MIN_PACK_LEN as u32, 200),
        ((MIN_PACK_LEN - TRAILER_LEN) as u32, 1),
        (0, (MIN_PACK_LEN - TRAILER_LEN + 1) as u32),
        (0, u32::MAX),
    ] {
        let forgery = Forgery {
            footer_offset: offset,
            footer_length: Some(length),
            ..Forgery::honest()
        };
        assert_eq!(forgery.read(), malformed, "{offset} {length}");
    }
    let forgery = Forgery {
        reserved: 1,
        ..Forgery::honest()
    };
    assert_eq!(forgery.read(), malformed);
    // Inside, but not where the sealed footer ends.
    for length in [0, 39, 40, 100] {
        let forgery = Forgery {
            footer_length: Some(length),
            ..Forgery::honest()
        };
        assert_eq!(forgery.read(), Err(PackError::Unopenable(aead::OpenError)));
    }
}

#[test]
fn a_footer_has_one_encoding() {
    let mut footer = Forgery::honest().footer;
    footer.extend([0x78, 1]);
    let unknown_field = Forgery {
        footer,
        ..Forgery::honest()
    };
    assert_eq!(unknown_field.read(), Err(PackError::Malformed));
    let noise = Forgery {
        footer: vec![0xff; 90],
        ..Forgery::honest()
    };
    assert_eq!(noise.read(), Err(PackError::Malformed));
}

proptest! {
    #[test]
    fn no_footer_is_too_odd(
        kinds in proptest::collection::vec(0_u8..10, 0..6),
        ids in 0_usize..6,
        sealed_lengths in proptest::collection::vec(any::<u32>(), 0..6),
        footer_offset in 0..MIN_PACK_LEN as u32,
        footer_length in proptest::option::of(any::<u32>()),
        chunks in 0_u32..6,
    ) {
        let footer = PackFooter { kinds, chunk_ids: vec![7; ids * 32], sealed_lengths };
        let forgery = Forgery {
            footer: footer.encode_to_vec(),
            footer_offset,
            footer_length,
            chunks,
            ..Forgery::honest()
        };
        if let Ok(entries) = forgery.read() {
            let tiled: u32 = entries.iter().map(|entry| entry.sealed_length).sum();
            prop_assert_eq!(tiled, footer_offset);
        }
    }

    #[test]
    fn no_footer_is_too_noisy(footer in proptest::collection::vec(any::<u8>(), 0..200)) {
        let forgery = Forgery { footer, ..Forgery::honest() };
        prop_assert!(forgery.read().is_err());
    }
}
