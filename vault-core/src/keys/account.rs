//! The seeds of an account key, by generation.
//!
//! ```text
//! wrapped seed = XChaCha20-Poly1305(
//!     derive_key("coffre v1 account wrap key", new seed), random nonce,
//!     "coffre v1 account wrap" ‖ new generation (u64), old seed)
//! sealed name  = generation (u64) ‖ XChaCha20-Poly1305(
//!     derive_key("coffre v1 device name key", seed of that generation), random nonce,
//!     "coffre v1 device name", name)
//! ```
//!
//! A device is sent the newest seed only and unwraps its way back.

use std::fmt;

use rand_core::CryptoRng;
use vault_proto::{
    account_log::{AccountKeyRecord, AccountLog},
    entry::{MAX_SEALED_NAME_BYTES, SealedBox},
    ids::{AccountId, DeviceId},
};
use zeroize::Zeroizing;

use super::DeviceKeys;
use crate::{
    aead::{self, OpenError},
    boxes::{BoxContext, KemPrivateKey, Purpose, open_box},
    labels,
    secret::Secret,
};

/// The most bytes of a device's name.
pub const MAX_NAME_LEN: usize = MAX_SEALED_NAME_BYTES - 8 - aead::OVERHEAD;

/// Why an account's secrets could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountSecretsError {
    /// The newest account key is not sealed to this device: it was removed, or
    /// was never added.
    #[error("the account key is not sealed to this device")]
    NotADevice,
    /// A box or a wrapped seed does not open.
    #[error("the seed of account key {generation} cannot be opened")]
    Unopenable {
        /// Whose seed.
        generation: u64,
    },
    /// A seed opens, and is not that of the key that the log shows: whoever
    /// made the entry gave different devices different keys.
    #[error("the seed of account key {generation} is not that key's")]
    WrongKey {
        /// Whose seed.
        generation: u64,
    },
}

/// A name that is too long to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name of {length} bytes: at most {MAX_NAME_LEN} fit")]
pub struct NameTooLong {
    /// Bytes of the name.
    pub length: usize,
}

/// The private account keys of every generation. Wiped when dropped.
#[derive(Clone)]
pub struct AccountSecrets {
    account: AccountId,
    // Generation n stands at n - 1; never empty.
    generations: Vec<KemPrivateKey>,
}

impl AccountSecrets {
    /// Opens the newest seed with a device's keys, and from it all those
    /// before. Each is compared with the public key that the log shows.
    ///
    /// # Errors
    /// See [`AccountSecretsError`].
    pub fn open(log: &AccountLog, device: &DeviceKeys) -> Result<Self, AccountSecretsError> {
        let newest = log.account_key();
        let sealed = newest
            .boxes
            .get(&device.id())
            .ok_or(AccountSecretsError::NotADevice)?;
        let mut seed = open_box(device.kem(), &box_context(log.id(), sealed), &sealed.sealed)
            .map_err(|OpenError| AccountSecretsError::Unopenable {
                generation: newest.generation,
            })?;
        let mut generations = Vec::with_capacity(log.account_keys().len());
        for record in log.account_keys().iter().rev() {
            let key = check_seed(record, seed)?;
            seed = match &record.previous_seed {
                Some(wrapped) => unwrap_seed(key.seed(), record.generation, wrapped)?,
                None => Secret::from_array([0; 32]),
            };
            generations.push(key);
        }
        generations.reverse();
        Ok(Self {
            account: log.id(),
            generations,
        })
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The newest generation. Counts from 1.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generations.len() as u64
    }

    /// Seals a device's name for the account's other devices.
    ///
    /// # Errors
    /// The name may have at most [`MAX_NAME_LEN`] bytes.
    pub fn seal_name(
        &self,
        name: &str,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, NameTooLong> {
        let newest = self.newest();
        seal_name(newest.seed(), self.generation(), name, rng)
    }

    /// Opens a device's name.
    ///
    /// # Errors
    /// One, whatever is wrong.
    pub fn open_name(&self, sealed: &[u8]) -> Result<String, OpenError> {
        let (generation, sealed) = sealed.split_first_chunk().ok_or(OpenError)?;
        let seed = self
            .kem(u64::from_le_bytes(*generation))
            .ok_or(OpenError)?
            .seed();
        let key = seed.derive(labels::DEVICE_NAME_KEY);
        let name = aead::open(&key, labels::DEVICE_NAME.as_bytes(), sealed)?;
        String::from_utf8(name).map_err(|_| OpenError)
    }

    pub(crate) fn kem(&self, generation: u64) -> Option<&KemPrivateKey> {
        let index = usize::try_from(generation.checked_sub(1)?).ok()?;
        self.generations.get(index)
    }

    pub(crate) fn newest(&self) -> &KemPrivateKey {
        self.generations.last().expect("an account has a key")
    }
}

impl fmt::Debug for AccountSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountSecrets")
            .field("account", &self.account)
            .field("generations", &self.generations.len())
            .finish()
    }
}

/// Where the box of an account seed stands, as its `info` says.
pub(crate) fn seed_box_context(
    sender: DeviceId,
    account: Option<AccountId>,
    seq: u64,
) -> BoxContext {
    BoxContext {
        purpose: Purpose::AccountKeySeed,
        sender,
        log: account.map_or([0; 32], |account| *account.as_bytes()),
        seq,
    }
}

pub(crate) fn seal_name(
    seed: &Secret,
    generation: u64,
    name: &str,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, NameTooLong> {
    if name.len() > MAX_NAME_LEN {
        return Err(NameTooLong { length: name.len() });
    }
    let key = seed.derive(labels::DEVICE_NAME_KEY);
    let associated = labels::DEVICE_NAME.as_bytes();
    let mut sealed = generation.to_le_bytes().to_vec();
    sealed.extend(aead::seal(&key, associated, name.as_bytes(), rng));
    Ok(sealed)
}

/// Wraps the seed of the generation before `generation` under that one's seed.
pub(crate) fn wrap_seed(
    seed: &Secret,
    generation: u64,
    previous: &Secret,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let key = seed.derive(labels::ACCOUNT_WRAP_KEY);
    aead::seal(&key, &wrap_associated(generation), previous.as_bytes(), rng)
}

fn unwrap_seed(
    seed: &Secret,
    generation: u64,
    wrapped: &[u8],
) -> Result<Secret, AccountSecretsError> {
    let key = seed.derive(labels::ACCOUNT_WRAP_KEY);
    aead::open(&key, &wrap_associated(generation), wrapped)
        .ok()
        .map(Zeroizing::new)
        .and_then(|previous| Secret::from_slice(&previous))
        .ok_or(AccountSecretsError::Unopenable {
            generation: generation - 1,
        })
}

fn wrap_associated(generation: u64) -> Vec<u8> {
    [labels::ACCOUNT_WRAP.as_bytes(), &generation.to_le_bytes()].concat()
}

fn box_context(account: AccountId, sealed: &SealedBox) -> BoxContext {
    // A genesis cannot name the log whose id is its hash.
    let named = (sealed.entry_seq > 1).then_some(account);
    seed_box_context(sealed.sender, named, sealed.entry_seq)
}

fn check_seed(
    record: &AccountKeyRecord,
    seed: Secret,
) -> Result<KemPrivateKey, AccountSecretsError> {
    let key = KemPrivateKey::from_seed(seed);
    if key.public().as_bytes() != record.kem_key.as_bytes() {
        return Err(AccountSecretsError::WrongKey {
            generation: record.generation,
        });
    }
    Ok(key)
}
