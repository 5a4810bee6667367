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
//! The old secret is that of the epoch before; where that does not open to who begins the
//! new one, or leads no further back, it is that of the newest which does. A member opens
//! the newest epoch's box and unwraps his way back. Of an epoch that is left out there,
//! since somebody wrote noise, he takes the box that he was sent when that began. What
//! neither opens stays closed: see [`VaultKeys::closed`].
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

use super::{AccountSecrets, account::leads_back};
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
    /// The newest epoch leads back to no older one: who comes later could not read the
    /// vault.
    #[error("epoch {epoch}, which device {author} began, leads to no earlier one")]
    NoWayBack {
        /// The epoch.
        epoch: u64,
        /// The device that began it.
        author: DeviceId,
    },
}

impl VaultKeysError {
    /// Whether the keys are there and somebody has kept this one from opening; else
    /// this account has no key at all, or not yet.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !matches!(self, Self::NotAMember | Self::AccountKeyMissing { .. })
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
    // Where the secret is found that an epoch wraps.
    leads: Vec<Option<usize>>,
    // Of the entry that began the newest epoch.
    author: DeviceId,
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
        let records = log.epochs();
        let mut found: Vec<Option<Secret>> = vec![None; records.len()];
        let mut epochs = Vec::with_capacity(records.len());
        let mut leads = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate().rev() {
            let secret = match found[index].take() {
                Some(secret) => Ok(secret),
                None => open_epoch(log, record, secrets)
                    .unwrap_or_else(|| Err(unopenable(record, blamed(log, index, &epochs)))),
            };
            let earlier = secret.as_ref().ok();
            let earlier =
                earlier.and_then(|secret| unwrap_secret(log, &records[..index], record, secret));
            leads.push(earlier.as_ref().map(|(index, _)| *index));
            if let Some((index, secret)) = earlier {
                found[index].get_or_insert(secret);
            }
            epochs.push(secret);
        }
        epochs.reverse();
        leads.reverse();
        let author = author_of(log, newest);
        Self::derive(log.id(), epochs, leads, author)
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

    /// Whether something may be sealed: the newest epoch is open, and leads back to the
    /// first by what it wraps. Else who comes later could not read what is sealed now:
    /// the next epoch, which any writer may begin, is in order again.
    ///
    /// # Errors
    /// [`VaultKeysError`].
    pub fn check_current(&self) -> Result<(), VaultKeysError> {
        self.current_secret()?;
        let newest = self.epochs.len() - 1;
        if leads_back(&self.leads, newest) {
            return Ok(());
        }
        Err(VaultKeysError::NoWayBack {
            epoch: self.current_epoch(),
            author: self.author,
        })
    }

    /// Derives the keys from the secrets of epoch 1, 2 and so on, for tests and
    /// measurements. Everywhere else they are opened from a vault log.
    ///
    /// # Panics
    /// Without any secret.
    #[must_use]
    pub fn from_epoch_secrets(vault: VaultId, secrets: &[[u8; 32]]) -> Self {
        let leads = (0..secrets.len()).map(|index| index.checked_sub(1));
        let secrets = secrets.iter().copied().map(Secret::from_array).map(Ok);
        let author = DeviceId::from_array([0; 32]);
        Self::derive(vault, secrets.collect(), leads.collect(), author).expect("all are open")
    }

    fn derive(
        vault: VaultId,
        secrets: Vec<Result<Secret, VaultKeysError>>,
        leads: Vec<Option<usize>>,
        author: DeviceId,
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
            leads,
            author,
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

    /// What the next epoch is to wrap: the newest secret from which wrapped ones alone
    /// lead down to the first.
    pub(crate) fn to_wrap(&self) -> Option<&Secret> {
        let whole = (0..self.epochs.len()).rev();
        let mut whole = whole.filter(|&index| leads_back(&self.leads, index));
        let found = whole.find_map(|index| self.epochs[index].as_ref().ok());
        found.map(|epoch| &epoch.secret)
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

/// Wraps an earlier epoch's secret under that of `epoch`.
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

/// The secret that an epoch wraps, and which of the earlier ones it belongs to.
fn unwrap_secret(
    log: &VaultLog,
    earlier: &[EpochRecord],
    record: &EpochRecord,
    secret: &Secret,
) -> Option<(usize, Secret)> {
    let wrapped = record.previous_secret.as_deref()?;
    let key = secret.derive(labels::EPOCH_WRAP_KEY);
    let secret = aead::open(&key, &wrap_associated(log.salt(), record.number), wrapped);
    let secret = Secret::from_slice(&Zeroizing::new(secret.ok()?))?;
    // A commitment is public, and no two epochs have the same.
    let commitment = commitment(&secret);
    let is_its = |record: &EpochRecord| record.commitment == commitment;
    Some((earlier.iter().rposition(is_its)?, secret))
}

/// Who kept an epoch from opening that the account was sent no box of: whoever began
/// the next one, if that is open and should have led here, else whoever began this one.
fn blamed(log: &VaultLog, index: usize, later: &[Result<Secret, VaultKeysError>]) -> DeviceId {
    let next_is_open = later.last().is_some_and(Result::is_ok);
    author_of(log, &log.epochs()[index + usize::from(next_is_open)])
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
