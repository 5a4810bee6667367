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
//! The old seed is that of the generation before; where that does not open to who begins
//! the new one, or leads no further back, it is that of the newest which does. A device is
//! sent the newest seed and unwraps its way back. Of a generation that is left out there,
//! since somebody wrote noise, it takes the box that it was sent when that began. What
//! neither opens stays closed and stops nothing else: see [`AccountSecrets::closed`].

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
    #[error("the seed of account key {generation}, which device {author} sent, cannot be opened")]
    Unopenable {
        /// Whose seed.
        generation: u64,
        /// The device that signed the entry with the box, or with the wrapped seed.
        author: DeviceId,
    },
    /// A seed opens, and is not that of the key that the log shows: whoever
    /// made the entry gave different devices different keys.
    #[error("the seed of account key {generation}, which device {author} sent, is not that key's")]
    WrongKey {
        /// Whose seed.
        generation: u64,
        /// The device that signed the entry with the box, or with the wrapped seed.
        author: DeviceId,
    },
}

/// A name that is too long to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name of {length} bytes: at most {MAX_NAME_LEN} fit")]
pub struct NameTooLong {
    /// Bytes of the name.
    pub length: usize,
}

/// Why a device's name could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealNameError {
    /// It is too long.
    #[error(transparent)]
    TooLong(#[from] NameTooLong),
    /// The newest account key is closed to this device.
    #[error(transparent)]
    Secrets(#[from] AccountSecretsError),
}

/// The private account keys of every generation, as far as they open. Wiped when
/// dropped.
#[derive(Clone)]
pub struct AccountSecrets {
    account: AccountId,
    // Generation n stands at n - 1; never empty.
    generations: Vec<Result<KemPrivateKey, AccountSecretsError>>,
    // Where the seed is found that a generation wraps.
    leads: Vec<Option<usize>>,
}

impl AccountSecrets {
    /// Opens the seed of every generation with a device's keys, and compares each
    /// with the public key that the log shows.
    ///
    /// A generation that does not open is no error here: whoever was once a device
    /// of the account could shut it out of its own log with one entry, and it could
    /// not even remove him any more. It is an error where that key is needed.
    ///
    /// # Errors
    /// [`AccountSecretsError::NotADevice`].
    pub fn open(log: &AccountLog, device: &DeviceKeys) -> Result<Self, AccountSecretsError> {
        if !log.account_key().boxes.contains_key(&device.id()) {
            return Err(AccountSecretsError::NotADevice);
        }
        let records = log.account_keys();
        let mut found: Vec<Option<KemPrivateKey>> = vec![None; records.len()];
        let mut generations = Vec::with_capacity(records.len());
        let mut leads = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate().rev() {
            let key = match found[index].take() {
                Some(key) => Ok(key),
                None => open_seed(log, record, device)
                    .unwrap_or_else(|| Err(unopenable(record, blamed(log, index, &generations)))),
            };
            let earlier = key.as_ref().ok();
            let earlier = earlier.and_then(|key| unwrap_seed(&records[..index], record, key));
            leads.push(earlier.as_ref().map(|(index, _)| *index));
            if let Some((index, key)) = earlier {
                found[index].get_or_insert(key);
            }
            generations.push(key);
        }
        generations.reverse();
        leads.reverse();
        Ok(Self {
            account: log.id(),
            generations,
            leads,
        })
    }

    /// What the next generation is to wrap: the newest seed from which wrapped ones
    /// alone lead down to the first, else the newest that is open.
    pub(crate) fn to_wrap(&self) -> Option<&Secret> {
        let whole = (0..self.generations.len()).rev();
        let mut whole = whole.filter(|&index| leads_back(&self.leads, index));
        let open = |index: usize| self.generations[index].as_ref().ok();
        let newest_open = || {
            self.generations
                .iter()
                .rev()
                .find_map(|key| key.as_ref().ok())
        };
        whole
            .find_map(open)
            .or_else(newest_open)
            .map(KemPrivateKey::seed)
    }

    /// The generations that do not open, and who made them so. What is sealed to
    /// them cannot be read; the next generation that an honest device begins is
    /// open again.
    pub fn closed(&self) -> impl Iterator<Item = AccountSecretsError> {
        self.generations
            .iter()
            .filter_map(|key| key.as_ref().err().copied())
    }

    /// Whether what is sealed to the account from now on opens: the newest generation
    /// does.
    ///
    /// # Errors
    /// [`AccountSecretsError`].
    pub fn check_newest(&self) -> Result<(), AccountSecretsError> {
        self.newest().map(drop)
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
    /// The name may have at most [`MAX_NAME_LEN`] bytes; and the newest key must be
    /// open.
    pub fn seal_name(
        &self,
        name: &str,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, SealNameError> {
        let newest = self.newest()?;
        Ok(seal_name(newest.seed(), self.generation(), name, rng)?)
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
        self.generations.get(index)?.as_ref().ok()
    }

    pub(crate) fn newest(&self) -> Result<&KemPrivateKey, AccountSecretsError> {
        let newest = self.generations.last().expect("an account has a key");
        newest.as_ref().map_err(|error| *error)
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

/// Whether wrapped secrets alone lead from this one to the first.
pub(super) fn leads_back(leads: &[Option<usize>], mut index: usize) -> bool {
    // Each leads to an earlier one.
    while index > 0 {
        match leads[index] {
            Some(earlier) => index = earlier,
            None => return false,
        }
    }
    true
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

/// Wraps an earlier generation's seed under that of `generation`.
pub(crate) fn wrap_seed(
    seed: &Secret,
    generation: u64,
    previous: &Secret,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let key = seed.derive(labels::ACCOUNT_WRAP_KEY);
    aead::seal(&key, &wrap_associated(generation), previous.as_bytes(), rng)
}

/// The seed that a generation wraps, and which of the earlier ones it belongs to.
fn unwrap_seed(
    earlier: &[AccountKeyRecord],
    record: &AccountKeyRecord,
    key: &KemPrivateKey,
) -> Option<(usize, KemPrivateKey)> {
    let wrapped = record.previous_seed.as_deref()?;
    let key = key.seed().derive(labels::ACCOUNT_WRAP_KEY);
    let seed = aead::open(&key, &wrap_associated(record.generation), wrapped);
    let seed = Secret::from_slice(&Zeroizing::new(seed.ok()?))?;
    let key = KemPrivateKey::from_seed(seed);
    let is_its = |record: &AccountKeyRecord| key.public().as_bytes() == record.kem_key.as_bytes();
    Some((earlier.iter().rposition(is_its)?, key))
}

/// Who kept a generation from opening that the device was sent no box of: whoever began
/// the next one, if that is open and should have led here, else whoever began this one.
fn blamed(
    log: &AccountLog,
    index: usize,
    later: &[Result<KemPrivateKey, AccountSecretsError>],
) -> DeviceId {
    let next_is_open = later.last().is_some_and(Result::is_ok);
    author_of(log, &log.account_keys()[index + usize::from(next_is_open)])
}

/// The seed of `record`'s generation, out of the device's own box; `None` without
/// one.
fn open_seed(
    log: &AccountLog,
    record: &AccountKeyRecord,
    device: &DeviceKeys,
) -> Option<Result<KemPrivateKey, AccountSecretsError>> {
    let sealed = record.boxes.get(&device.id())?;
    let seed = open_box(device.kem(), &box_context(log.id(), sealed), &sealed.sealed)
        .map_err(|OpenError| unopenable(record, sealed.sender));
    Some(seed.and_then(|seed| check_seed(record, seed, sealed.sender)))
}

fn unopenable(record: &AccountKeyRecord, author: DeviceId) -> AccountSecretsError {
    AccountSecretsError::Unopenable {
        generation: record.generation,
        author,
    }
}

fn author_of(log: &AccountLog, record: &AccountKeyRecord) -> DeviceId {
    log.author_at(record.since_seq)
        .expect("a generation began with an entry of the log")
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
    author: DeviceId,
) -> Result<KemPrivateKey, AccountSecretsError> {
    let key = KemPrivateKey::from_seed(seed);
    if key.public().as_bytes() != record.kem_key.as_bytes() {
        return Err(AccountSecretsError::WrongKey {
            generation: record.generation,
            author,
        });
    }
    Ok(key)
}
