//! What opens a vault: everything derived from its epoch secrets.
//!
//! ```text
//! epoch 1 ─┬─ derive_key("coffre v1 chunk id key …")   one key a kind of chunk
//!          └─ derive_key("coffre v1 … chunker …")      two keys a chunker
//! epoch n ─┬─ derive_key("coffre v1 chunk sealing key")
//!          ├─ derive_key("coffre v1 pack footer key")
//!          └─ derive_key("coffre v1 root sealing key")
//! ```
//!
//! What names chunks and cuts streams stays the same for the vault's life, so
//! that deduplication survives a rotation; what seals changes with each epoch.
//!
//! ```text
//! commitment     = derive_key("coffre v1 epoch commitment", secret)
//! wrapped secret = XChaCha20-Poly1305(
//!     derive_key("coffre v1 epoch wrap key", new secret), random nonce,
//!     "coffre v1 epoch wrap" ‖ vault salt ‖ new epoch (u64), old secret)
//! ```

use std::fmt;

use rand_core::CryptoRng;
use vault_proto::{
    ids::{DeviceId, VaultId},
    vault_log::VaultLog,
};
use zeroize::Zeroizing;

use super::AccountSecrets;
use crate::{
    aead::{self, OpenError},
    boxes::{BoxContext, Purpose, open_box},
    chunk::{ChunkId, ChunkKind},
    chunker::ChunkerKeys,
    labels,
    secret::Secret,
};

/// Why the keys of a vault could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultKeysError {
    /// The newest epoch is not sealed to this account: it is no member any
    /// more, or never was.
    #[error("the vault's newest epoch is not sealed to this account")]
    NotAMember,
    /// The epoch is sealed to an account key that is newer than the account
    /// log at hand: fetch the log.
    #[error("the vault's newest epoch is sealed to account key {generation}, which is not at hand")]
    AccountKeyMissing {
        /// Which.
        generation: u64,
    },
    /// A box or a wrapped secret does not open.
    #[error("the secret of epoch {epoch} cannot be opened")]
    Unopenable {
        /// Whose secret.
        epoch: u64,
    },
    /// A secret opens, and is not the one that the log commits to: whoever
    /// began the epoch gave different members different secrets.
    #[error("the secret of epoch {epoch} is not the one that the log commits to")]
    WrongCommitment {
        /// Whose secret.
        epoch: u64,
    },
}

/// A chunker's keys: `DK(hash label, secret)` and the first 16 bytes of
/// `DK(cipher label, secret)`.
fn chunker_keys(secret: &Secret, hash_label: &str, cipher_label: &str) -> ChunkerKeys {
    let cipher = secret.derive(cipher_label);
    let mut cipher_key = Zeroizing::new([0; 16]);
    cipher_key.copy_from_slice(&cipher.as_bytes()[..16]);
    ChunkerKeys::new(secret.derive(hash_label).as_bytes(), &cipher_key)
}

/// The keys of a vault, of every epoch up to the newest. Immutable; share it in
/// an `Arc`.
pub struct VaultKeys {
    vault: VaultId,
    chunk_ids: [Secret; ChunkKind::ALL.len()],
    file_chunker: ChunkerKeys,
    metadata_chunker: ChunkerKeys,
    // Epoch n stands at n - 1; never empty.
    epochs: Vec<EpochKeys>,
}

/// What seals within one epoch.
pub(crate) struct EpochKeys {
    pub(crate) secret: Secret,
    pub(crate) chunk: Secret,
    pub(crate) footer: Secret,
    pub(crate) root: Secret,
}

impl EpochKeys {
    fn derive(secret: Secret) -> Self {
        Self {
            chunk: secret.derive(labels::CHUNK_SEALING_KEY),
            footer: secret.derive(labels::PACK_FOOTER_KEY),
            root: secret.derive(labels::ROOT_SEALING_KEY),
            secret,
        }
    }
}

impl VaultKeys {
    /// Opens the newest epoch's secret, and from it all those before. Each is
    /// compared with the commitment that the log shows.
    ///
    /// # Errors
    /// See [`VaultKeysError`].
    pub fn open(log: &VaultLog, secrets: &AccountSecrets) -> Result<Self, VaultKeysError> {
        let newest = log.epoch();
        let sealed = newest
            .boxes
            .get(&secrets.account())
            .ok_or(VaultKeysError::NotAMember)?;
        let key = secrets
            .kem(sealed.generation)
            .ok_or(VaultKeysError::AccountKeyMissing {
                generation: sealed.generation,
            })?;
        // A genesis cannot name the log whose id is its hash.
        let named = (sealed.sealed.entry_seq > 1).then_some(log.id());
        let context = epoch_box_context(sealed.sealed.sender, named, sealed.sealed.entry_seq);
        let mut secret = open_box(key, &context, &sealed.sealed.sealed).map_err(|OpenError| {
            VaultKeysError::Unopenable {
                epoch: newest.number,
            }
        })?;
        let mut epochs = Vec::with_capacity(log.epochs().len());
        for record in log.epochs().iter().rev() {
            // A commitment is public.
            if commitment(&secret) != record.commitment {
                return Err(VaultKeysError::WrongCommitment {
                    epoch: record.number,
                });
            }
            let previous = match &record.previous_secret {
                Some(wrapped) => unwrap_secret(&secret, log.salt(), record.number, wrapped)?,
                None => Secret::from_array([0; 32]),
            };
            epochs.push(std::mem::replace(&mut secret, previous));
        }
        epochs.reverse();
        Ok(Self::derive(log.id(), epochs))
    }

    /// Derives the keys from the secrets of epoch 1, 2 and so on, for tests and
    /// measurements. Everywhere else they are opened from a vault log.
    ///
    /// # Panics
    /// Without any secret.
    #[must_use]
    pub fn from_epoch_secrets(vault: VaultId, secrets: &[[u8; 32]]) -> Self {
        let secrets = secrets.iter().copied().map(Secret::from_array).collect();
        Self::derive(vault, secrets)
    }

    pub(crate) fn derive(vault: VaultId, secrets: Vec<Secret>) -> Self {
        let first = secrets.first().expect("a vault has an epoch");
        Self {
            vault,
            chunk_ids: ChunkKind::ALL.map(|kind| first.derive(labels::chunk_id_key(kind))),
            file_chunker: chunker_keys(
                first,
                labels::FILE_DATA_CHUNKER_HASH_KEY,
                labels::FILE_DATA_CHUNKER_CIPHER_KEY,
            ),
            metadata_chunker: chunker_keys(
                first,
                labels::METADATA_CHUNKER_HASH_KEY,
                labels::METADATA_CHUNKER_CIPHER_KEY,
            ),
            epochs: secrets.into_iter().map(EpochKeys::derive).collect(),
        }
    }

    /// The vault.
    #[must_use]
    pub fn vault_id(&self) -> VaultId {
        self.vault
    }

    /// The newest epoch, the only one that anything is sealed in. Counts from 1.
    #[must_use]
    pub fn current_epoch(&self) -> u64 {
        self.epochs.len() as u64
    }

    /// Whether an epoch's secret is known.
    #[must_use]
    pub fn has_epoch(&self, epoch: u64) -> bool {
        self.epoch(epoch).is_ok()
    }

    /// What cuts file data.
    #[must_use]
    pub fn file_chunker(&self) -> &ChunkerKeys {
        &self.file_chunker
    }

    /// What cuts trees, lists and the catalog's streams.
    #[must_use]
    pub fn metadata_chunker(&self) -> &ChunkerKeys {
        &self.metadata_chunker
    }

    /// `BLAKE3-keyed(chunk-id key of kind, plaintext)`.
    #[must_use]
    pub fn chunk_id(&self, kind: ChunkKind, plaintext: &[u8]) -> ChunkId {
        let key = &self.chunk_ids[usize::from(kind.to_byte()) - 1];
        ChunkId::from_array(key.keyed_hash(plaintext))
    }

    /// The newest epoch's secret, to be sealed to a member or wrapped.
    pub(crate) fn current_secret(&self) -> &Secret {
        &self.epochs.last().expect("a vault has an epoch").secret
    }

    pub(crate) fn epoch(&self, epoch: u64) -> Result<&EpochKeys, OpenError> {
        epoch
            .checked_sub(1)
            .and_then(|index| self.epochs.get(usize::try_from(index).ok()?))
            .ok_or(OpenError)
    }
}

impl fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKeys")
            .field("vault", &self.vault)
            .field("epochs", &self.epochs.len())
            .finish_non_exhaustive()
    }
}

/// `BLAKE3-derive_key("coffre v1 epoch commitment", epoch secret)`
pub(crate) fn commitment(secret: &Secret) -> [u8; 32] {
    *secret.derive(labels::EPOCH_COMMITMENT).as_bytes()
}

/// Where the box of an epoch secret stands, as its `info` says.
pub(crate) fn epoch_box_context(sender: DeviceId, vault: Option<VaultId>, seq: u64) -> BoxContext {
    BoxContext {
        purpose: Purpose::EpochSecret,
        sender,
        log: vault.map_or([0; 32], |vault| *vault.as_bytes()),
        seq,
    }
}

/// Wraps the secret of the epoch before `epoch` under that one's secret.
pub(crate) fn wrap_secret(
    secret: &Secret,
    salt: &[u8; 32],
    epoch: u64,
    previous: &Secret,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let key = secret.derive(labels::EPOCH_WRAP_KEY);
    let associated = wrap_associated(salt, epoch);
    aead::seal(&key, &associated, previous.as_bytes(), rng)
}

fn unwrap_secret(
    secret: &Secret,
    salt: &[u8; 32],
    epoch: u64,
    wrapped: &[u8],
) -> Result<Secret, VaultKeysError> {
    let key = secret.derive(labels::EPOCH_WRAP_KEY);
    aead::open(&key, &wrap_associated(salt, epoch), wrapped)
        .ok()
        .map(Zeroizing::new)
        .and_then(|previous| Secret::from_slice(&previous))
        .ok_or(VaultKeysError::Unopenable { epoch: epoch - 1 })
}

fn wrap_associated(salt: &[u8; 32], epoch: u64) -> Vec<u8> {
    [labels::EPOCH_WRAP.as_bytes(), salt, &epoch.to_le_bytes()].concat()
}
