//! A member's public log: the devices that speak for him, and the keys that
//! secrets are sealed to.
//!
//! ```text
//! genesis ──▶ add · remove · rename · moved ──▶ …      each names the hash before
//!    └─ its hash is the account id
//! ```
//!
//! An [`AccountLog`] holds verified entries only. The rules are numbered in
//! vault-core/docs/format.md, "Account log".

mod error;
mod payload;
mod rules;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

pub use error::AccountLogError;

use crate::device::{DevicePublic, KemKey};
use crate::entry::{ENTRY_VERSION, SealedBox};
use crate::ids::{AccountId, DeviceId, EntryHash, HosterId};
use crate::origin::Origin;
use crate::position::LogPosition;
use crate::wire::{self, SignedEntry};
use payload::Payload;
use rules::Change;

/// The most devices that a genesis lists.
pub const MAX_GENESIS_DEVICES: usize = 16;
/// The most devices that are active at once.
pub const MAX_ACTIVE_DEVICES: usize = 64;
/// The most devices that are active once another device than a rooted paper has
/// added one: whoever has an owner's machine leaves room for what his paper adds.
pub const MAX_DEVICES_BY_MACHINES: usize = 56;

/// Where account logs are looked up, by whoever verifies what their devices signed.
pub trait AccountLogs {
    /// The longest verified log of this account that is at hand.
    fn account_log(&self, account: &AccountId) -> Option<&AccountLog>;
}

impl AccountLogs for BTreeMap<AccountId, AccountLog> {
    fn account_log(&self, account: &AccountId) -> Option<&AccountLog> {
        self.get(account)
    }
}

/// One account's log, for verifying what concerns nobody else.
impl AccountLogs for AccountLog {
    fn account_log(&self, account: &AccountId) -> Option<&AccountLog> {
        (self.id == *account).then_some(self)
    }
}

/// A verified account log; it only grows.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountLog {
    id: AccountId,
    entries: Vec<SignedEntry>,
    hashes: Vec<EntryHash>,
    devices: BTreeMap<DeviceId, DeviceRecord>,
    /// By generation; never empty.
    keys: Vec<AccountKeyRecord>,
    home: HosterId,
    home_origin: Option<Origin>,
}

/// A device that is or was in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceRecord {
    /// Its kind, keys and id.
    pub public: DevicePublic,
    /// The entry that added it. It is active from there on.
    pub added_seq: u64,
    /// The entry that removed it. It is not active from there on.
    pub removed_seq: Option<u64>,
    /// Its name, sealed under the account's name key; the newest one.
    pub sealed_name: Vec<u8>,
    /// Whether it is a paper that may remove papers, move the log, and add a
    /// device where machines may add no more: one of the genesis, or one that
    /// such a paper added.
    pub is_rooted: bool,
}

/// One generation of the account key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountKeyRecord {
    /// Counts from 1.
    pub generation: u64,
    /// What is sealed to the account is sealed to this.
    pub kem_key: KemKey,
    /// The seed, sealed to each device that was active or came while this was
    /// the newest generation.
    pub boxes: BTreeMap<DeviceId, SealedBox>,
    /// The seed of the generation before, wrapped under this one; none in the first.
    pub previous_seed: Option<Vec<u8>>,
    /// The entry that began it.
    pub since_seq: u64,
}

impl DeviceRecord {
    /// Whether the device speaks for the account at entry `seq`.
    #[must_use]
    pub fn is_active_at(&self, seq: u64) -> bool {
        self.added_seq <= seq && self.removed_seq.is_none_or(|removed| seq < removed)
    }
}

impl AccountLog {
    /// Begins a log with its genesis, whose hash is the account's id.
    ///
    /// Compare [`AccountLog::id`] with the id that was expected: a genesis
    /// proves itself only to who knows the id.
    ///
    /// # Errors
    /// See [`AccountLogError`].
    pub fn verify_genesis(entry: &SignedEntry) -> Result<Self, AccountLogError> {
        let payload = Payload::decode(&entry.payload)?;
        let genesis = rules::check_genesis(payload, entry)?;
        Ok(Self {
            id: AccountId::from_array(*genesis.hash.as_bytes()),
            entries: vec![entry.clone()],
            hashes: vec![genesis.hash],
            devices: genesis.devices,
            keys: vec![genesis.account_key],
            home: genesis.home,
            home_origin: None,
        })
    }

    /// Verifies `entry` and appends it, or leaves the log as it was.
    ///
    /// # Errors
    /// See [`AccountLogError`].
    pub fn append(&mut self, entry: &SignedEntry) -> Result<(), AccountLogError> {
        let payload = Payload::decode(&entry.payload)?;
        let hash = payload.hash;
        let change = rules::check_next(self, payload, entry)?;
        self.apply(change);
        self.entries.push(entry.clone());
        self.hashes.push(hash);
        Ok(())
    }

    /// What [`AccountLog::append`] would say to `entry`, at the cost of its
    /// checks alone.
    ///
    /// Signatures are checked last: an entry that lacks nothing but one of them
    /// gives [`AccountLogError::Signers`].
    ///
    /// # Errors
    /// See [`AccountLogError`].
    pub fn verify_next(&self, entry: &SignedEntry) -> Result<(), AccountLogError> {
        let payload = Payload::decode(&entry.payload)?;
        rules::check_next(self, payload, entry).map(|_| ())
    }

    /// The hash of the genesis.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// The newest entry.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        LogPosition {
            seq: self.hashes.len() as u64,
            hash: *self.hashes.last().expect("a log holds its genesis"),
        }
    }

    /// The hash of entry `seq`; `None` beyond the newest, and for 0.
    #[must_use]
    pub fn hash_at(&self, seq: u64) -> Option<EntryHash> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.hashes.get(index).copied()
    }

    /// The device that wrote entry `seq`; `None` at 0 and beyond the newest entry.
    #[must_use]
    pub fn author_at(&self, seq: u64) -> Option<DeviceId> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        let entry = self.entries.get(index)?;
        Some(Payload::decode(&entry.payload).ok()?.author)
    }

    /// Every device that is or was in the log, ordered by id.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceRecord> {
        self.devices.values()
    }

    /// A device that is or was in the log.
    #[must_use]
    pub fn device(&self, device: &DeviceId) -> Option<&DeviceRecord> {
        self.devices.get(device)
    }

    /// Whether the device speaks for the account at entry `seq`; never at 0 or
    /// beyond the newest entry.
    #[must_use]
    pub fn is_active_at(&self, device: &DeviceId, seq: u64) -> bool {
        self.hash_at(seq).is_some()
            && self
                .devices
                .get(device)
                .is_some_and(|record| record.is_active_at(seq))
    }

    /// The devices that speak for the account at entry `seq`, ordered by id;
    /// none at 0 or beyond the newest entry.
    pub fn active_devices_at(&self, seq: u64) -> impl Iterator<Item = &DeviceRecord> {
        let there = self.hash_at(seq).is_some();
        self.devices
            .values()
            .filter(move |record| there && record.is_active_at(seq))
    }

    /// The newest generation of the account key.
    #[must_use]
    pub fn account_key(&self) -> &AccountKeyRecord {
        self.keys.last().expect("a genesis brings an account key")
    }

    /// The generation of the account key that was newest at entry `seq`; `None`
    /// at 0 and beyond the newest entry.
    #[must_use]
    pub fn account_key_at(&self, seq: u64) -> Option<&AccountKeyRecord> {
        self.hash_at(seq)?;
        self.keys.iter().rev().find(|key| key.since_seq <= seq)
    }

    /// Every generation of the account key, oldest first.
    #[must_use]
    pub fn account_keys(&self) -> &[AccountKeyRecord] {
        &self.keys
    }

    /// The hoster that keeps this log.
    #[must_use]
    pub fn home(&self) -> HosterId {
        self.home
    }

    /// Where that hoster is dialled, if the log moved there.
    #[must_use]
    pub fn home_origin(&self) -> Option<&Origin> {
        self.home_origin.as_ref()
    }

    /// The entries as they were signed, the genesis first.
    #[must_use]
    pub fn entries(&self) -> &[SignedEntry] {
        &self.entries
    }

    /// The next entry, for `author` to sign.
    #[must_use]
    pub fn next_entry(
        &self,
        author: DeviceId,
        body: wire::account_entry::Body,
    ) -> wire::AccountEntry {
        let last = self.position();
        wire::AccountEntry {
            version: ENTRY_VERSION,
            account: self.id.to_vec(),
            seq: last.seq + 1,
            previous: last.hash.to_vec(),
            author: author.to_vec(),
            body: Some(body),
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Add { record, seed } => {
                let device = record.public.id();
                self.devices.insert(device, *record);
                if let Some(newest) = self.keys.last_mut() {
                    newest.boxes.insert(device, seed);
                }
            }
            Change::Remove {
                device,
                account_key,
            } => {
                if let Some(record) = self.devices.get_mut(&device) {
                    record.removed_seq = Some(account_key.since_seq);
                }
                self.keys.push(account_key);
            }
            Change::Rename {
                device,
                sealed_name,
            } => {
                if let Some(record) = self.devices.get_mut(&device) {
                    record.sealed_name = sealed_name;
                }
            }
            Change::Moved { home, origin } => {
                self.home = home;
                self.home_origin = Some(origin);
            }
        }
    }

    /// The devices that are active now, ordered by id.
    fn active_devices(&self) -> impl Iterator<Item = &DeviceRecord> {
        self.devices
            .values()
            .filter(|record| record.removed_seq.is_none())
    }

    fn active_device(&self, device: &DeviceId) -> Option<&DeviceRecord> {
        self.devices
            .get(device)
            .filter(|record| record.removed_seq.is_none())
    }
}

/// A first entry, for its author and every device it lists to sign.
#[must_use]
pub fn genesis_entry(author: DeviceId, genesis: wire::AccountGenesis) -> wire::AccountEntry {
    wire::AccountEntry {
        version: ENTRY_VERSION,
        account: Vec::new(),
        seq: 1,
        previous: Vec::new(),
        author: author.to_vec(),
        body: Some(wire::account_entry::Body::Genesis(genesis)),
    }
}
