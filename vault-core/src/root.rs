//! The root: the state that a head signs for, sealed beside it.
//!
//! ```text
//! sealed root = XChaCha20-Poly1305(epoch's root key, random nonce, head*, padded)
//! padded      = length (u32) ‖ encoded Root ‖ zeros     so that the sealed root
//!               has exactly 4,096 or 16,384 bytes
//! head*       = the head's 392 bytes, with zeros for the root hash
//! ```
//!
//! The associated data ties a root to one head: its place in the chain, its
//! author, and the packs that came and went.

use prost::Message;
use rand_core::CryptoRng;
use vault_proto::{
    canonical::decode_canonical,
    head::{Head, SEALED_ROOT_BYTES},
    ids::RootHash,
    wire::Root,
};

use crate::{
    aead::{self, OpenError},
    keys::VaultKeys,
};

/// The version of the format that this library reads and writes, as
/// `minimum_reader` and `minimum_writer` of a root mean it.
pub const FORMAT_VERSION: u32 = 1;

/// The most bytes of an encoded root.
pub const MAX_ROOT_LEN: usize = SEALED_ROOT_BYTES[1] - aead::OVERHEAD - LENGTH_LEN;

const LENGTH_LEN: usize = 4;

/// Why a root could not be sealed: the caller's mistake, each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealRootError {
    /// It does not fit.
    #[error("a root of {length} bytes: at most {MAX_ROOT_LEN} fit")]
    TooLong {
        /// Bytes of its encoding.
        length: usize,
    },
    /// The head is of another vault than the keys, or of an epoch that they
    /// do not have.
    #[error("no key of the head's vault and epoch")]
    UnknownEpoch,
}

/// Why a root could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRootError {
    /// The bytes are not those that the head names: the hoster, or the way
    /// here, changed them.
    #[error("not the root that the head names")]
    NotThisRoot,
    /// It does not open.
    #[error(transparent)]
    Unopenable(#[from] OpenError),
    /// Sealed by a member, and yet not what this format says.
    #[error("the root is malformed")]
    Malformed,
    /// Made by a newer program, which says that this one would misread it.
    #[error("this vault needs a program that reads version {minimum} of the format")]
    ReaderTooOld {
        /// The version.
        minimum: u32,
    },
}

/// This program is too old to write to a vault; it still reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this vault needs a program that writes version {minimum} of the format")]
pub struct WriterTooOld {
    /// The version.
    pub minimum: u32,
}

/// Seals a root for a head, whose root hash may be anything yet.
///
/// # Errors
/// See [`SealRootError`].
pub fn seal_root(
    keys: &VaultKeys,
    head: &Head,
    root: &Root,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, SealRootError> {
    let length = root.encoded_len();
    let sealed_len = SEALED_ROOT_BYTES
        .into_iter()
        .find(|sealed_len| aead::OVERHEAD + LENGTH_LEN + length <= *sealed_len)
        .ok_or(SealRootError::TooLong { length })?;
    if head.vault != keys.vault_id() {
        return Err(SealRootError::UnknownEpoch);
    }
    let key = &keys
        .epoch(head.epoch)
        .map_err(|OpenError| SealRootError::UnknownEpoch)?
        .root;

    let mut padded = Vec::with_capacity(sealed_len);
    let narrow = u32::try_from(length).expect("a root is at most 16 KiB");
    padded.extend_from_slice(&narrow.to_le_bytes());
    root.encode(&mut padded).expect("a Vec takes everything");
    padded.resize(sealed_len - aead::OVERHEAD, 0);
    Ok(aead::seal(
        key,
        &head.to_root_associated_data(),
        &padded,
        rng,
    ))
}

/// Opens the root of a verified head.
///
/// # Errors
/// See [`OpenRootError`].
pub fn open_root(keys: &VaultKeys, head: &Head, sealed: &[u8]) -> Result<Root, OpenRootError> {
    if !SEALED_ROOT_BYTES.contains(&sealed.len()) || RootHash::of(sealed) != head.root {
        return Err(OpenRootError::NotThisRoot);
    }
    if head.vault != keys.vault_id() {
        return Err(OpenError.into());
    }
    let key = &keys.epoch(head.epoch)?.root;
    let padded = aead::open(key, &head.to_root_associated_data(), sealed)?;
    let encoded = unpad(&padded).ok_or(OpenRootError::Malformed)?;

    // First what any version can read: a newer root may have fields that this
    // one does not know, and would otherwise pass for a malformed one.
    let Versions { minimum_reader } =
        Versions::decode(encoded).map_err(|_| OpenRootError::Malformed)?;
    if minimum_reader > FORMAT_VERSION {
        return Err(OpenRootError::ReaderTooOld {
            minimum: minimum_reader,
        });
    }
    decode_canonical(encoded, MAX_ROOT_LEN).map_err(|_| OpenRootError::Malformed)
}

/// Whether this program may commit on top of a root.
///
/// # Errors
/// It may not, and says which version may.
pub fn check_writer(root: &Root) -> Result<(), WriterTooOld> {
    if root.minimum_writer > FORMAT_VERSION {
        return Err(WriterTooOld {
            minimum: root.minimum_writer,
        });
    }
    Ok(())
}

/// The field of a root whose meaning never changes.
#[derive(Clone, PartialEq, Message)]
struct Versions {
    #[prost(uint32, tag = "1")]
    minimum_reader: u32,
}

fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_LEN>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (encoded, zeros) = rest.split_at_checked(length)?;
    zeros.iter().all(|byte| *byte == 0).then_some(encoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::ChaCha20Rng;
    use rand_core::SeedableRng;
    use vault_proto::{
        ids::{AccountId, DeviceId, EntryHash, HeadHash, PackListHash, VaultId},
        position::LogPosition,
    };

    use super::*;

    fn keys_of(vault: u8) -> VaultKeys {
        VaultKeys::from_epoch_secrets(VaultId::from_array([vault; 32]), &[[2; 32], [3; 32]])
    }

    fn keys() -> VaultKeys {
        keys_of(1)
    }

    fn head() -> Head {
        let at = |seq, byte| LogPosition {
            seq,
            hash: EntryHash::from_array([byte; 32]),
        };
        Head {
            vault: VaultId::from_array([1; 32]),
            seq: 5,
            previous: Some(HeadHash::from_array([10; 32])),
            skip: Some(HeadHash::from_array([11; 32])),
            vault_position: at(3, 12),
            account: AccountId::from_array([13; 32]),
            device: DeviceId::from_array([14; 32]),
            account_position: at(4, 15),
            epoch: 2,
            root: RootHash::from_array([0; 32]),
            adds: PackListHash::from_array([16; 32]),
            removes: PackListHash::from_array([17; 32]),
            reconciled: None,
        }
    }

    fn root(links: usize) -> Root {
        Root {
            minimum_reader: 1,
            minimum_writer: 1,
            segments: vec![Default::default(); links],
            pack_count: 9,
            ..Default::default()
        }
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    /// A head that names the sealed root, as a member would sign it.
    fn head_of(sealed: &[u8]) -> Head {
        Head {
            root: RootHash::of(sealed),
            ..head()
        }
    }

    fn seal(root: &Root) -> (Head, Vec<u8>) {
        let sealed = seal_root(&keys(), &head(), root, &mut rng()).unwrap();
        (head_of(&sealed), sealed)
    }

    /// Seals whatever is given in the place of a padded root.
    fn forge(padded: &[u8]) -> (Head, Vec<u8>) {
        let key = &keys().epoch(2).unwrap().root.clone();
        let sealed = aead::seal(key, &head().to_root_associated_data(), padded, &mut rng());
        (head_of(&sealed), sealed)
    }

    fn padded(length: u32, encoded: &[u8], total: usize) -> Vec<u8> {
        let mut padded = length.to_le_bytes().to_vec();
        padded.extend_from_slice(encoded);
        padded.resize(total - aead::OVERHEAD, 0);
        padded
    }

    #[test]
    fn a_root_has_one_of_two_sizes() {
        let length_of = |links| root(links).encoded_len();
        // An empty segment takes two bytes.
        for (free, expected) in [(3_000, 4_096), (0, 4_096), (-1, 16_384), (-9_000, 16_384)] {
            let room = 4_096 - aead::OVERHEAD - LENGTH_LEN - length_of(0);
            let links = usize::try_from(room as i64 - free).unwrap().div_ceil(2);
            let (head, sealed) = seal(&root(links));
            assert_eq!(sealed.len(), expected);
            assert_eq!(open_root(&keys(), &head, &sealed), Ok(root(links)));
        }
        let links = (MAX_ROOT_LEN - length_of(0)) / 2;
        assert_eq!(seal(&root(links)).1.len(), 16_384);
        let refused = seal_root(&keys(), &head(), &root(links + 1), &mut rng());
        let length = length_of(links + 1);
        assert_eq!(refused, Err(SealRootError::TooLong { length }));
    }

    #[test]
    fn every_flipped_byte_and_every_other_size_shows() {
        let (head, sealed) = seal(&root(1));
        let unopenable = Err(OpenRootError::Unopenable(OpenError));
        for position in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[position] ^= 1 << (position % 8);
            let read = open_root(&keys(), &head, &flipped);
            assert_eq!(read, Err(OpenRootError::NotThisRoot));
            // Even under a head that names the flipped bytes.
            let read = open_root(&keys(), &head_of(&flipped), &flipped);
            assert_eq!(read, unopenable);
        }
        for length in [0, 39, 4_095] {
            let cut = &sealed[..length];
            let read = open_root(&keys(), &head_of(cut), cut);
            assert_eq!(read, Err(OpenRootError::NotThisRoot));
        }
        let longer = [sealed.as_slice(), &[0; 16_384 - 4_096]].concat();
        assert_eq!(open_root(&keys(), &head_of(&longer), &longer), unopenable);
    }

    #[test]
    fn a_root_belongs_to_one_head() {
        let (right, sealed) = seal(&root(1));
        let hash = HeadHash::from_array([99; 32]);
        let elsewhere = LogPosition {
            seq: 3,
            hash: EntryHash::from_array([99; 32]),
        };
        let wrong = [
            Head {
                seq: 6,
                ..right.clone()
            },
            Head {
                previous: Some(hash),
                ..right.clone()
            },
            Head {
                skip: None,
                ..right.clone()
            },
            Head {
                vault_position: elsewhere,
                ..right.clone()
            },
            Head {
                account: AccountId::from_array([0; 32]),
                ..right.clone()
            },
            Head {
                device: DeviceId::from_array([0; 32]),
                ..right.clone()
            },
            Head {
                account_position: elsewhere,
                ..right.clone()
            },
            Head {
                epoch: 1,
                ..right.clone()
            },
            Head {
                epoch: 0,
                ..right.clone()
            },
            Head {
                epoch: 3,
                ..right.clone()
            },
            Head {
                adds: PackListHash::from_array([0; 32]),
                ..right.clone()
            },
            Head {
                removes: PackListHash::from_array([0; 32]),
                ..right.clone()
            },
            Head {
                reconciled: Some(hash),
                ..right.clone()
            },
            Head {
                vault: VaultId::from_array([0; 32]),
                ..right.clone()
            },
        ];
        let unopenable = Err(OpenRootError::Unopenable(OpenError));
        for head in wrong {
            assert_eq!(open_root(&keys(), &head, &sealed), unopenable, "{head:?}");
        }
        assert_eq!(open_root(&keys_of(9), &right, &sealed), unopenable);
        assert!(open_root(&keys(), &right, &sealed).is_ok());
    }

    #[test]
    fn keys_of_another_vault_or_epoch_seal_nothing() {
        let unknown = Err(SealRootError::UnknownEpoch);
        assert_eq!(
            seal_root(&keys_of(9), &head(), &root(1), &mut rng()),
            unknown
        );
        let later = Head { epoch: 3, ..head() };
        assert_eq!(seal_root(&keys(), &later, &root(1), &mut rng()), unknown);
    }

    #[test]
    fn the_padding_is_zeros_and_the_length_inside() {
        let encoded = root(1).encode_to_vec();
        let length = encoded.len() as u32;
        let (head, sealed) = forge(&padded(length, &encoded, 4_096));
        assert_eq!(open_root(&keys(), &head, &sealed), Ok(root(1)));
        let mut noisy = padded(length, &encoded, 4_096);
        *noisy.last_mut().unwrap() = 1;
        let beyond = (4_096 - aead::OVERHEAD - LENGTH_LEN + 1) as u32;
        for padded in [
            noisy,
            padded(length - 1, &encoded, 4_096),
            padded(beyond, &encoded, 4_096),
            padded(u32::MAX, &encoded, 4_096),
            padded(8, &[0xff; 8], 4_096),
            // A known field given twice.
            padded(2 + length, &[&[8, 1], encoded.as_slice()].concat(), 4_096),
        ] {
            let (head, sealed) = forge(&padded);
            let read = open_root(&keys(), &head, &sealed);
            assert_eq!(read, Err(OpenRootError::Malformed));
        }
    }

    #[test]
    fn a_newer_format_is_told_from_a_malformed_root() {
        // Field 500, which this version does not know.
        let unknown = [0xa0, 0x1f, 1];
        for (minimum, expected) in [
            (1, OpenRootError::Malformed),
            (2, OpenRootError::ReaderTooOld { minimum: 2 }),
        ] {
            let root = Root {
                minimum_reader: minimum,
                ..root(1)
            };
            let encoded = [root.encode_to_vec().as_slice(), &unknown].concat();
            let (head, sealed) = forge(&padded(encoded.len() as u32, &encoded, 4_096));
            assert_eq!(open_root(&keys(), &head, &sealed), Err(expected));
        }
    }

    #[test]
    fn an_old_writer_may_read_and_not_write() {
        assert_eq!(check_writer(&root(1)), Ok(()));
        let newer = Root {
            minimum_writer: 2,
            ..root(1)
        };
        assert_eq!(check_writer(&newer), Err(WriterTooOld { minimum: 2 }));
        let (head, sealed) = seal(&newer);
        assert_eq!(open_root(&keys(), &head, &sealed), Ok(newer));
    }

    proptest! {
        #[test]
        fn no_root_is_too_odd(
            length in 0_u32..5_000,
            noise in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let (head, sealed) = forge(&padded(length, &noise, 4_096));
            if let Ok(root) = open_root(&keys(), &head, &sealed) {
                prop_assert_eq!(root.encoded_len(), length as usize);
            }
        }
    }
}
