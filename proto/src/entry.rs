//! What entries of account logs and of vault logs have in common.

use prost::Message;

use crate::ids::{DeviceId, EntryHash};
use crate::labels;
use crate::sign::{SIGNATURE_BYTES, SignLabel, VerifyingKey, to_sign};
use crate::wire::{self, SignedEntry};

/// The most bytes of an entry's payload: room for an epoch with a box for each
/// of 256 members.
pub const MAX_ENTRY_BYTES: usize = 384 * 1024;
/// Bytes of an HPKE box around a 32-byte secret: X-Wing's encapsulation, the
/// secret, a tag.
pub const BOX_BYTES: usize = 1120 + 32 + 16;
/// Bytes of a 32-byte secret wrapped under the one after it: nonce, secret, tag.
pub const WRAPPED_BYTES: usize = 24 + 32 + 16;
/// The most bytes of a sealed name.
pub const MAX_SEALED_NAME_BYTES: usize = 512;
/// The version that entries carry.
pub const ENTRY_VERSION: u32 = 1;

/// A field that is missing, empty, not of its length, or a number that stands
/// for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the field `{field}` is missing or not what it must be")]
pub struct FieldError {
    field: &'static str,
}

impl FieldError {
    /// About the field of this name.
    #[must_use]
    pub const fn new(field: &'static str) -> Self {
        Self { field }
    }

    /// The field's name.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

/// An HPKE box out of a verified entry, with what its `info` string binds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedBox {
    /// The device that sealed it: the entry's author.
    pub sender: DeviceId,
    /// The entry that carries it; 1 for the genesis, which cannot name its log.
    pub entry_seq: u64,
    /// [`BOX_BYTES`] of encapsulation and ciphertext.
    pub sealed: Vec<u8>,
}

/// An entry that still wants its signatures.
///
/// Nothing is checked here: an entry that breaks a rule is refused when it is
/// appended, by its own author first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedEntry {
    payload: Vec<u8>,
    label: SignLabel,
    hash: EntryHash,
}

impl UnsignedEntry {
    /// An entry of an account log.
    #[must_use]
    pub fn account(entry: &wire::AccountEntry) -> Self {
        let payload = entry.encode_to_vec();
        Self {
            hash: account_entry_hash(&payload),
            payload,
            label: SignLabel::AccountEntry,
        }
    }

    /// An entry of a vault log.
    #[must_use]
    pub fn vault(entry: &wire::VaultEntry) -> Self {
        let payload = entry.encode_to_vec();
        Self {
            hash: vault_entry_hash(&payload),
            payload,
            label: SignLabel::VaultEntry,
        }
    }

    /// What each signer signs with a plain Ed25519 key.
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        to_sign(self.label, &self.payload)
    }

    /// The entry's hash; of a genesis, the bytes of its log's id.
    #[must_use]
    pub fn hash(&self) -> EntryHash {
        self.hash
    }

    /// The entry with its signatures, in the order that its kind asks for:
    /// author first, then a new device; all devices of an account's genesis in
    /// the order it lists them.
    #[must_use]
    pub fn with_signatures(
        self,
        signatures: impl IntoIterator<Item = (DeviceId, [u8; SIGNATURE_BYTES])>,
    ) -> SignedEntry {
        SignedEntry {
            payload: self.payload,
            signatures: signatures
                .into_iter()
                .map(|(device, signature)| wire::Signature {
                    device: device.to_vec(),
                    signature: signature.to_vec(),
                })
                .collect(),
        }
    }
}

/// `BLAKE3-derive_key("coffre v1 account entry", payload)`.
#[must_use]
pub fn account_entry_hash(payload: &[u8]) -> EntryHash {
    EntryHash::from_array(labels::hash(labels::ACCOUNT_ENTRY, &[payload]))
}

/// `BLAKE3-derive_key("coffre v1 vault entry", payload)`.
#[must_use]
pub fn vault_entry_hash(payload: &[u8]) -> EntryHash {
    EntryHash::from_array(labels::hash(labels::VAULT_ENTRY, &[payload]))
}

/// Why an entry's signatures do not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignaturesError {
    /// Not exactly the signers asked for, in their order.
    Signers,
    /// This device's does not fit.
    Bad(DeviceId),
}

/// Checks that `entry` carries exactly the signatures of `signers`, in order.
pub(crate) fn verify_signatures(
    label: SignLabel,
    entry: &SignedEntry,
    signers: &[(DeviceId, &VerifyingKey)],
) -> Result<(), SignaturesError> {
    let named = entry
        .signatures
        .iter()
        .map(|signature| &signature.device[..]);
    if !named.eq(signers.iter().map(|(device, _)| &device.as_bytes()[..])) {
        return Err(SignaturesError::Signers);
    }
    for (signature, (device, key)) in entry.signatures.iter().zip(signers) {
        let bytes = signature.signature[..]
            .try_into()
            .map_err(|_| SignaturesError::Bad(*device))?;
        key.verify(label, &entry.payload, bytes)
            .map_err(|_| SignaturesError::Bad(*device))?;
    }
    Ok(())
}

/// Takes a field of exactly `N` bytes.
pub(crate) fn array<const N: usize>(
    bytes: &[u8],
    field: &'static str,
) -> Result<[u8; N], FieldError> {
    bytes.try_into().map_err(|_| FieldError::new(field))
}

/// Takes a field of exactly `length` bytes.
pub(crate) fn exactly(
    bytes: Vec<u8>,
    length: usize,
    field: &'static str,
) -> Result<Vec<u8>, FieldError> {
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(FieldError::new(field))
    }
}

/// Takes a message that must be there.
pub(crate) fn present<T>(message: Option<T>, field: &'static str) -> Result<T, FieldError> {
    message.ok_or(FieldError::new(field))
}
