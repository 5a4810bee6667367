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
//! A member opens the newest epoch's box and unwraps his way back; where that leads
//! no further, since somebody wrote noise, he takes the box that he was sent when the
//! epoch began. What neither opens stays closed: see [`VaultKeys::closed`].
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
    vault_log::{EpochRecord, VaultLog},
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
    #[error("the secret of epoch {epoch}, which device {author} sent, cannot be opened")]
    Unopenable {
        /// Whose secret.
        epoch: u64,
        /// The device that signed the entry with the box, or with the wrapped secret.
        author: DeviceId,
    },
    /// A secret opens, and is not the one that the log commits to: whoever
    /// began the epoch gave different members different secrets.
    #[error(
        "the secret of epoch {epoch}, which device {author} sent, is not the one that the log \
         commits to"
    )]
    WrongCommitment {
        /// Whose secret.
        epoch: u64,
        /// The device that signed the entry with the box, or with the wrapped secret.
        author: DeviceId,
    },
}

impl VaultKeysError {
    /// Whether the keys are there and somebody has kept this one from opening; else
    /// this account has no key at all, or not yet.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Unopenable { .. } | Self::WrongCommitment { .. })
    }
}

/// A chunker's keys: `DK(hash label, secret)` and the first 16 bytes of
/// `DK(cipher label, secret)`.
fn chunker_keys(secret: &Secret, hash_label: &str, cipher_label: &str) -> ChunkerKeys {
    let cipher = secret.derive(cipher_label);
    let mut cipher_key = Zeroizing::new([0; 16]);
    cipher_key.copy_from_slice(&cipher.as_bytes()[..16]);
    ChunkerKeys::new(secret.derive(hash_label).as_bytes(), &cipher_key)
}

/// The keys of a vault, of every epoch up to the newest as far as they open.
/// Immutable; share it in an `Arc`.
pub struct VaultKeys {
    vault: VaultId,
    chunk_ids: [Secret; ChunkKind::ALL.len()],
    file_chunker: ChunkerKeys,
    metadata_chunker: ChunkerKeys,
    // Epoch n stands at n - 1; never empty, and the first is open.
    epochs: Vec<Result<EpochKeys, VaultKeysError>>,
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
    /// Opens the secret of every epoch and compares it with the commitment that the
    /// log shows.
    ///
    /// An epoch that does not open is no error here, but for the first, without which
    /// no chunk has a name: a writer could else shut everybody out with one entry. It
    /// is an error where its keys are needed.
    ///
    /// # Errors
    /// See [`VaultKeysError`]: not a member, an account key that is not at hand yet,
    /// or the first epoch is closed.
    pub fn open(log: &VaultLog, secrets: &AccountSecrets) -> Result<Self, VaultKeysError> {
        let newest = log.epoch();
        let sealed = newest
            .boxes
            .get(&secrets.account())
            .ok_or(VaultKeysError::NotAMember)?;
        if sealed.generation > secrets.generation() {
            return Err(VaultKeysError::AccountKeyMissing {
                generation: sealed.generation,
            });
        }
        let mut epochs = Vec::with_capacity(log.epochs().len());
        let mut later: Option<(&EpochRecord, Result<Secret, VaultKeysError>)> = None;
        for record in log.epochs().iter().rev() {
            let secret = match &later {
                Some((next, Ok(secret))) => unwrap_epoch(log, record, next, secret)
                    .or_else(|error| open_epoch(log, record, secrets).unwrap_or(Err(error))),
                Some((next, Err(_))) => open_epoch(log, record, secrets)
                    .unwrap_or_else(|| Err(unopenable(record, author_of(log, next)))),
                None => open_epoch(log, record, secrets).unwrap_or(Err(VaultKeysError::NotAMember)),
            };
            epochs.extend(later.replace((record, secret)).map(|(_, secret)| secret));
        }
        epochs.extend(later.map(|(_, secret)| secret));
        epochs.reverse();
        Self::derive(log.id(), epochs)
    }

    /// The epochs that do not open, and who made them so. What was sealed in them
    /// cannot be read; the next epoch that an honest writer begins is open again.
    pub fn closed(&self) -> impl Iterator<Item = VaultKeysError> {
        self.epochs
            .iter()
            .filter_map(|epoch| epoch.as_ref().err().copied())
    }

    /// Why that epoch does not open; `None` where it does, or is not known.
    #[must_use]
    pub fn closed_epoch(&self, epoch: u64) -> Option<VaultKeysError> {
        let index = usize::try_from(epoch.checked_sub(1)?).ok()?;
        self.epochs.get(index)?.as_ref().err().copied()
    }

    /// Whether something can be sealed: the newest epoch is open.
    ///
    /// # Errors
    /// [`VaultKeysError`].
    pub fn check_current(&self) -> Result<(), VaultKeysError> {
        self.current_secret().map(drop)
    }

    /// Derives the keys from the secrets of epoch 1, 2 and so on, for tests and
    /// measurements. Everywhere else they are opened from a vault log.
    ///
    /// # Panics
    /// Without any secret.
    #[must_use]
    pub fn from_epoch_secrets(vault: VaultId, secrets: &[[u8; 32]]) -> Self {
        let secrets = secrets.iter().copied().map(Secret::from_array).map(Ok);
        Self::derive(vault, secrets.collect()).expect("all are open")
    }

    pub(crate) fn derive(
        vault: VaultId,
        secrets: Vec<Result<Secret, VaultKeysError>>,
    ) -> Result<Self, VaultKeysError> {
        let first = secrets.first().expect("a vault has an epoch");
        let first = first.as_ref().map_err(|error| *error)?;
        Ok(Self {
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
            epochs: secrets
                .into_iter()
                .map(|secret| secret.map(EpochKeys::derive))
                .collect(),
        })
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
    pub(crate) fn current_secret(&self) -> Result<&Secret, VaultKeysError> {
        let newest = self.epochs.last().expect("a vault has an epoch");
        newest
            .as_ref()
            .map(|epoch| &epoch.secret)
            .map_err(|error| *error)
    }

    /// Whether who is given the newest secret alone finds his way to the first epoch:
    /// a new member has no box of any older one.
    pub(crate) fn check_way_back(&self, log: &VaultLog) -> Result<(), VaultKeysError> {
        let mut secret = self.current_secret()?.clone();
        for pair in log.epochs().windows(2).rev() {
            secret = unwrap_epoch(log, &pair[0], &pair[1], &secret)?;
        }
        Ok(())
    }

    pub(crate) fn epoch(&self, epoch: u64) -> Result<&EpochKeys, OpenError> {
        epoch
            .checked_sub(1)
            .and_then(|index| self.epochs.get(usize::try_from(index).ok()?))
            .and_then(|epoch| epoch.as_ref().ok())
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

/// The secret of `record`'s epoch, out of the one after it.
fn unwrap_epoch(
    log: &VaultLog,
    record: &EpochRecord,
    next: &EpochRecord,
    next_secret: &Secret,
) -> Result<Secret, VaultKeysError> {
    let author = author_of(log, next);
    let key = next_secret.derive(labels::EPOCH_WRAP_KEY);
    let associated = wrap_associated(log.salt(), next.number);
    let wrapped = next.previous_secret.as_deref();
    let secret = wrapped.and_then(|wrapped| aead::open(&key, &associated, wrapped).ok());
    let secret = secret.map(Zeroizing::new);
    let secret = secret.and_then(|secret| Secret::from_slice(&secret));
    check_secret(record, secret.ok_or(unopenable(record, author))?, author)
}

/// The secret of `record`'s epoch, out of the account's own box; `None` without one.
fn open_epoch(
    log: &VaultLog,
    record: &EpochRecord,
    secrets: &AccountSecrets,
) -> Option<Result<Secret, VaultKeysError>> {
    let held = record.boxes.get(&secrets.account())?;
    let sealed = &held.sealed;
    // A genesis cannot name the log whose id is its hash.
    let named = (sealed.entry_seq > 1).then_some(log.id());
    let context = epoch_box_context(sealed.sender, named, sealed.entry_seq);
    let secret = secrets
        .kem(held.generation)
        .and_then(|key| open_box(key, &context, &sealed.sealed).ok())
        .ok_or(unopenable(record, sealed.sender));
    Some(secret.and_then(|secret| check_secret(record, secret, sealed.sender)))
}

fn check_secret(
    record: &EpochRecord,
    secret: Secret,
    author: DeviceId,
) -> Result<Secret, VaultKeysError> {
    // A commitment is public.
    if commitment(&secret) == record.commitment {
        Ok(secret)
    } else {
        Err(VaultKeysError::WrongCommitment {
            epoch: record.number,
            author,
        })
    }
}

fn unopenable(record: &EpochRecord, author: DeviceId) -> VaultKeysError {
    VaultKeysError::Unopenable {
        epoch: record.number,
        author,
    }
}

fn author_of(log: &VaultLog, record: &EpochRecord) -> DeviceId {
    let author = log.author_at(record.since_seq);
    let (_, device) = author.expect("an epoch began with an entry of the log");
    device
}

fn wrap_associated(salt: &[u8; 32], epoch: u64) -> Vec<u8> {
    [labels::EPOCH_WRAP.as_bytes(), salt, &epoch.to_le_bytes()].concat()
}
