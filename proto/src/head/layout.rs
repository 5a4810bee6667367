//! The bytes of a head.

use super::{HEAD_BYTES, HeadError, SIGNED_HEAD_BYTES, skip_seq};
use crate::ids::{AccountId, DeviceId, EntryHash, HeadHash, PackListHash, RootHash, VaultId};
use crate::labels;
use crate::position::{HeadPosition, LogPosition};
use crate::sign::{SIGNATURE_BYTES, SignLabel, to_sign};

const MAGIC: [u8; 8] = *b"coffreH1";
/// Where the root hash stands; the root's associated data has zeros there.
const ROOT_HASH_AT: std::ops::Range<usize> = 264..296;

/// What a head says. Plain values: nothing about them is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The vault.
    pub vault: VaultId,
    /// Counts from 1.
    pub seq: u64,
    /// The head before; `None` exactly in the first.
    pub previous: Option<HeadHash>,
    /// The head at [`skip_seq`] of `seq`; `None` exactly where that is 0.
    pub skip: Option<HeadHash>,
    /// The newest entry of the vault log.
    pub vault_position: LogPosition,
    /// The member who commits.
    pub account: AccountId,
    /// His device, which signs.
    pub device: DeviceId,
    /// The newest entry of his account log.
    pub account_position: LogPosition,
    /// The epoch that the root and the added packs are sealed under.
    pub epoch: u64,
    /// The sealed root's hash.
    pub root: RootHash,
    /// The packs that this head adds.
    pub adds: PackListHash,
    /// The packs that this head takes away.
    pub removes: PackListHash,
    /// The head that stood here before the hoster went back and lost it, if this
    /// one makes up for it.
    pub reconciled: Option<HeadHash>,
}

/// A head with a signature, to be sent. Whether it fits is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    head: Head,
    signature: [u8; SIGNATURE_BYTES],
}

/// A head out of bytes: well-formed, and not verified.
///
/// Its fields are read through [`UnverifiedHead::claims`], a word to think twice
/// at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedHead {
    pub(super) head: Head,
    pub(super) hash: HeadHash,
    pub(super) signature: [u8; SIGNATURE_BYTES],
}

impl Head {
    /// The 392 bytes that are signed and hashed.
    #[must_use]
    pub fn to_signed_bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let mut writer = Writer(&mut bytes);
        writer.put(&MAGIC);
        writer.put(self.vault.as_bytes());
        writer.put(&self.seq.to_le_bytes());
        writer.put_hash(self.previous);
        writer.put_hash(self.skip);
        writer.put_position(&self.vault_position);
        writer.put(self.account.as_bytes());
        writer.put(self.device.as_bytes());
        writer.put_position(&self.account_position);
        writer.put(&self.epoch.to_le_bytes());
        writer.put(self.root.as_bytes());
        writer.put(self.adds.as_bytes());
        writer.put(self.removes.as_bytes());
        writer.put_hash(self.reconciled);
        debug_assert!(writer.0.is_empty(), "the fields fill the layout");
        bytes
    }

    /// The 392 bytes with zeros for the root hash: the associated data that the
    /// root is sealed with, when its hash is not known yet.
    #[must_use]
    pub fn to_root_associated_data(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = self.to_signed_bytes();
        bytes[ROOT_HASH_AT].fill(0);
        bytes
    }

    /// What the device signs with a plain Ed25519 key.
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        to_sign(SignLabel::Head, &self.to_signed_bytes())
    }

    /// `BLAKE3-derive_key("coffre v1 head", the 392 bytes)`.
    #[must_use]
    pub fn hash(&self) -> HeadHash {
        hash(&self.to_signed_bytes())
    }

    /// Where this head stands in the chain.
    #[must_use]
    pub fn position(&self) -> HeadPosition {
        HeadPosition {
            seq: self.seq,
            hash: self.hash(),
        }
    }
}

impl SignedHead {
    /// Puts a head and its signature together.
    #[must_use]
    pub fn new(head: Head, signature: [u8; SIGNATURE_BYTES]) -> Self {
        Self { head, signature }
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The 456 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SIGNED_HEAD_BYTES] {
        join(&self.head, &self.signature)
    }
}

impl UnverifiedHead {
    /// Reads exactly 456 bytes. Nothing is checked but that they are laid out
    /// as a head is: whatever decodes encodes to the same bytes again.
    ///
    /// # Errors
    /// [`HeadError::Length`], [`HeadError::Magic`], [`HeadError::Zero`] and
    /// [`HeadError::Links`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        if bytes.len() != SIGNED_HEAD_BYTES {
            return Err(HeadError::Length(bytes.len()));
        }
        let mut reader = Reader(bytes);
        if reader.take::<8>() != MAGIC {
            return Err(HeadError::Magic);
        }
        let vault = VaultId::from_array(reader.take());
        let seq = reader.take_u64();
        let head = Head {
            vault,
            seq,
            previous: reader.take_hash(),
            skip: reader.take_hash(),
            vault_position: reader.take_position(),
            account: AccountId::from_array(reader.take()),
            device: DeviceId::from_array(reader.take()),
            account_position: reader.take_position(),
            epoch: reader.take_u64(),
            root: RootHash::from_array(reader.take()),
            adds: PackListHash::from_array(reader.take()),
            removes: PackListHash::from_array(reader.take()),
            reconciled: reader.take_hash(),
        };
        let counts = [
            seq,
            head.vault_position.seq,
            head.account_position.seq,
            head.epoch,
        ];
        if counts.contains(&0) {
            return Err(HeadError::Zero);
        }
        if !links_fit(&head) {
            return Err(HeadError::Links);
        }
        Ok(Self {
            hash: head.hash(),
            head,
            signature: reader.take(),
        })
    }

    /// What it says, true or not.
    #[must_use]
    pub fn claims(&self) -> &Head {
        &self.head
    }

    /// Its sequence number, true or not.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.head.seq
    }

    /// The hash of its first 392 bytes.
    #[must_use]
    pub fn hash(&self) -> HeadHash {
        self.hash
    }

    /// Where it stands in its chain.
    #[must_use]
    pub fn position(&self) -> HeadPosition {
        HeadPosition {
            seq: self.head.seq,
            hash: self.hash,
        }
    }

    /// The 456 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SIGNED_HEAD_BYTES] {
        join(&self.head, &self.signature)
    }
}

/// There is a link exactly where there is a head to link to, and where both
/// links go to one head, they are one hash.
fn links_fit(head: &Head) -> bool {
    let skip = skip_seq(head.seq);
    head.previous.is_none() == (head.seq == 1)
        && head.skip.is_none() == (skip == 0)
        && (skip + 1 != head.seq || head.skip == head.previous)
}

fn hash(signed_bytes: &[u8; HEAD_BYTES]) -> HeadHash {
    HeadHash::from_array(labels::hash(labels::HEAD, &[signed_bytes]))
}

fn join(head: &Head, signature: &[u8; SIGNATURE_BYTES]) -> [u8; SIGNED_HEAD_BYTES] {
    let mut bytes = [0; SIGNED_HEAD_BYTES];
    bytes[..HEAD_BYTES].copy_from_slice(&head.to_signed_bytes());
    bytes[HEAD_BYTES..].copy_from_slice(signature);
    bytes
}

struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (place, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        place.copy_from_slice(bytes);
        self.0 = rest;
    }

    fn put_hash(&mut self, hash: Option<HeadHash>) {
        let zeros = HeadHash::from_array([0; 32]);
        self.put(hash.unwrap_or(zeros).as_bytes());
    }

    fn put_position(&mut self, position: &LogPosition) {
        self.put(&position.seq.to_le_bytes());
        self.put(position.hash.as_bytes());
    }
}

/// Reads bytes whose number was checked.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self
            .0
            .split_first_chunk()
            .expect("the fields fill the layout");
        self.0 = rest;
        *bytes
    }

    fn take_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// A hash, or none for zeros.
    fn take_hash(&mut self) -> Option<HeadHash> {
        let bytes = self.take();
        (bytes != [0; 32]).then(|| HeadHash::from_array(bytes))
    }

    fn take_position(&mut self) -> LogPosition {
        LogPosition {
            seq: self.take_u64(),
            hash: EntryHash::from_array(self.take()),
        }
    }
}
