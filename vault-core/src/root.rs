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
