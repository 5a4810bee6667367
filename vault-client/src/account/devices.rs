//! The devices of an account.
//!
//! Removing one is one entry of the account log, which brings a new account key
//! with it. What the device could open until then it has opened; so in every
//! vault an epoch begins before anything else is sealed there.

use std::sync::Arc;

use vault_core::keys::AccountSecrets;
use vault_core::settings::AccountSettings;
use vault_proto::account_log::{AccountLog, DeviceRecord};
use vault_proto::device::DeviceKind;
use vault_proto::ids::{DeviceId, HosterId, VaultId};

use super::left_behind::Search;
use super::log::OwnLog;
use super::sign_up::PAPER_NAME;
use super::{Account, AccountError, GuestLog, LeftBehind};
use crate::state::{AccountLock, ShownDevices};
use crate::vault::{Upkeep, Vault};

/// A device of the account, or one that was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// What its owner calls it; `None` where that does not open.
    pub name: Option<String>,
    /// Whether it is a computer or paper.
    pub kind: DeviceKind,
    /// The entry of the account log that added it.
    pub added_seq: u64,
    /// The device that wrote that entry; `None` for those that the account began with.
    pub added_by: Option<DeviceId>,
    /// The entry that removed it; `None` while it speaks for the account.
    pub removed_seq: Option<u64>,
    /// Whether it is a recovery phrase that can remove others.
    pub is_rooted: bool,
    /// Whether it is the one that this runs on.
    pub is_this: bool,
}

impl Device {
    pub(super) fn of(
        record: &DeviceRecord,
        log: &AccountLog,
        secrets: &AccountSecrets,
        this: DeviceId,
    ) -> Self {
        let added_seq = record.added_seq;
        Self {
            id: record.public.id(),
            name: secrets.open_name(&record.sealed_name).ok(),
            kind: record.public.kind(),
            added_seq,
            added_by: log.author_at(added_seq).filter(|_| added_seq > 1),
            removed_seq: record.removed_seq,
            is_rooted: record.is_rooted,
            is_this: record.public.id() == this,
        }
    }
}

/// Which devices are new to the member, on this one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewDevices {
    /// When he was last shown which there are, in seconds since 1970; `None` if he never
    /// was here.
    pub shown: Option<u64>,
    /// Those that have come in since, even if they are out again.
    pub new: Vec<Device>,
    /// All devices.
    pub all: Vec<Device>,
    /// How far the log goes.
    seq: u64,
}

/// What came of a removal, beyond the entry that makes it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceRemoval {
    /// The hosters elsewhere that had to learn of it; why it is not known which
    /// there are, if it is not.
    pub guest_logs: Result<Vec<GuestLog>, Arc<AccountError>>,
    /// Every vault of the account, the account's own first.
    pub vaults: Vec<VaultUpkeep>,
    /// What the device had set up before: its removal does not undo that.
    pub left_behind: LeftBehind,
}

/// What was done in one vault.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VaultUpkeep {
    /// The vault.
    pub vault: VaultId,
    /// What the account calls it; `None` for the account's own.
    pub name: Option<String>,
    /// What was done. Where it failed, whoever writes to the vault next does it
    /// first.
    pub upkeep: Result<Upkeep, Arc<AccountError>>,
}

impl Account {
    /// The devices, removed ones too, in the order in which they came; those of
    /// one entry by name. Asks the hoster.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn devices(&self) -> Result<Vec<Device>, AccountError> {
        let mut vault = self.account_vault()?;
        vault.refresh()?;
        self.devices_in(vault.own_log())
    }

    /// The devices that have come in since the member was last shown them here, or since
    /// this device came in itself, as far as this device knows; asks nobody. They are
    /// new until [`Self::devices_were_shown`].
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn new_devices(&self) -> Result<NewDevices, AccountError> {
        let vault = self.account_vault()?;
        let log = vault.own_log();
        let shown = self.member.state.shown_devices()?;
        let own = || log.device(&self.row.device).map(|record| record.added_seq);
        let since = shown.map(|shown| shown.seq).or_else(own).unwrap_or(0);
        let all = self.devices_in(log)?;
        let is_new = |device: &Device| device.added_seq > since && !device.is_this;
        Ok(NewDevices {
            shown: shown.map(|shown| shown.time),
            seq: log.position().seq,
            new: all
                .iter()
                .filter(|device| is_new(device))
                .cloned()
                .collect(),
            all,
        })
    }

    /// The member has seen which devices are new.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn devices_were_shown(&self, shown: &NewDevices) -> Result<(), AccountError> {
        let time = self.member.clock.unix_seconds();
        let seq = shown.seq;
        let state = &self.member.state;
        Ok(state.set_shown_devices(ShownDevices { seq, time })?)
    }

    fn devices_in(&self, log: &AccountLog) -> Result<Vec<Device>, AccountError> {
        let secrets = AccountSecrets::open(log, &self.member.device)?;
        let mut devices: Vec<_> = log
            .devices()
            .map(|record| Device::of(record, log, &secrets, self.row.device))
            .collect();
        devices.sort_by(|a, b| (a.added_seq, &a.name, a.id).cmp(&(b.added_seq, &b.name, b.id)));
        Ok(devices)
    }

    /// Gives a device another name.
    ///
    /// # Errors
    /// [`AccountError::NoSuchDevice`], and the others.
    pub fn rename_device(&self, device: &DeviceId, name: &str) -> Result<(), AccountError> {
        check_characters(name)?;
        let (_lock, mut own) = self.own_log()?;
        self.check_active(&own, device)?;
        let record = own.log().device(device);
        if record.is_none_or(|record| record.public.kind() != DeviceKind::Paper) {
            check_name(name)?;
        }
        own.append(|author, rng| {
            let held = author.log.device(device);
            let held = held.and_then(|held| author.secrets.open_name(&held.sealed_name).ok());
            if held.as_deref() == Some(name) {
                return Ok(None);
            }
            author.rename_device(device, name, rng).map(Some)
        })?;
        Ok(())
    }

    /// Removes a device, and changes the keys of every vault that it could open.
    /// Repeating it goes on where it was interrupted.
    ///
    /// From the one entry on, the device can log in no more, and no member's
    /// device believes what it signs. What it has read or stored before, it
    /// keeps; and what it has set up before stands, until the owner ends it: see
    /// [`DeviceRemoval::left_behind`].
    ///
    /// # Errors
    /// [`AccountError::NoSuchDevice`], [`AccountError::ThisDevice`],
    /// [`AccountError::PaperNeeded`], and the others. What fails after the
    /// removal is in the answer.
    pub fn remove_device(&self, device: &DeviceId) -> Result<DeviceRemoval, AccountError> {
        if *device == self.row.device {
            return Err(AccountError::ThisDevice);
        }
        let (lock, mut own) = self.own_log()?;
        own.append(|author, rng| match author.log.device(device) {
            Some(record) if record.removed_seq.is_some() => Ok(None),
            _ => author.remove_device(device, rng).map(Some),
        })?;
        let search = Search::begin(&own, device, None)?;
        drop((lock, own));
        Ok(self.after_removal(search))
    }

    /// Brings the log's copies, and all vaults, to where the account log is, and looks
    /// for what was left behind.
    pub(super) fn after_removal(&self, mut search: Search) -> DeviceRemoval {
        // First what keeps the device out elsewhere.
        let guest_logs = self.push_removal().map_err(Arc::new);
        // Only for the names of members.
        let contacts = self.settings().ok();
        // Another device may have made vaults; without the hoster, those that
        // are known will do.
        let _ = self.vaults();
        let mut vaults = vec![(self.row.vault, self.row.hoster, None)];
        let rows = self.member.state.vaults().unwrap_or_default().into_iter();
        let rows = rows.filter(|row| !row.creating);
        vaults.extend(rows.map(|row| (row.id, row.hoster, row.name)));
        let keep_up = |(id, hoster, name): (VaultId, HosterId, Option<String>)| {
            let kept = match unreached(&guest_logs, hoster) {
                Some(error) => Err(error),
                None => self.keep_up(hoster, id, name.clone()).map_err(Arc::new),
            };
            // Only now: where the removal is recorded, the device adds nothing more.
            let looked = match &kept {
                Ok((vault, _)) => search.look_into(vault, contacts.as_ref()).map_err(Arc::new),
                Err(error) => Err(error.clone()),
            };
            if let Err(error) = looked {
                search.miss(id, name.clone(), error);
            }
            VaultUpkeep {
                vault: id,
                name,
                upkeep: kept.map(|(_, upkeep)| upkeep),
            }
        };
        let vaults = vaults.into_iter().map(keep_up).collect();
        let known = contacts.iter().flat_map(AccountSettings::vaults);
        for deleted in known.filter(|known| known.deleted) {
            let name = Some(deleted.name.clone());
            // One that this account has left is not shown to it any more.
            if let Ok(mut vault) = self.open_at(deleted.hoster, deleted.vault, name)
                && vault.refresh().is_ok()
            {
                search.look_at_deleted(&vault);
            }
        }
        DeviceRemoval {
            guest_logs,
            vaults,
            left_behind: search.finish(),
        }
    }

    /// Brings one vault to where the account log is.
    fn keep_up(
        &self,
        hoster: HosterId,
        id: VaultId,
        name: Option<String>,
    ) -> Result<(Vault, Upkeep), AccountError> {
        let mut vault = self.open_at(hoster, id, name)?;
        let lock = vault.lock()?;
        vault.refresh()?;
        let done = vault.keep_up()?;
        drop(lock);
        Ok((vault, done))
    }

    /// The newest log, under the account's lock.
    pub(super) fn own_log(&self) -> Result<(AccountLock, OwnLog), AccountError> {
        let lock = self.member.state.home().lock_account()?;
        let own = OwnLog::open(&self.member, self.row.vault, &lock)?;
        Ok((lock, own))
    }

    fn check_active(&self, own: &OwnLog, device: &DeviceId) -> Result<(), AccountError> {
        let record = own.log().device(device);
        if record.is_some_and(|record| record.removed_seq.is_none()) {
            Ok(())
        } else {
            Err(AccountError::NoSuchDevice)
        }
    }
}

/// Why a hoster could not be reached a moment ago: it is not waited for again.
fn unreached(
    guest_logs: &Result<Vec<GuestLog>, Arc<AccountError>>,
    hoster: HosterId,
) -> Option<Arc<AccountError>> {
    let mut all = guest_logs.iter().flatten();
    let told = all.find(|told| told.hoster == hoster)?;
    let error = told.pushed.as_ref().err()?;
    error.is_transient().then(|| error.clone())
}

/// Whether a computer can be called so.
pub(super) fn check_name(name: &str) -> Result<(), AccountError> {
    if name.eq_ignore_ascii_case(PAPER_NAME) {
        return Err(AccountError::PaperName);
    }
    check_characters(name)
}

/// Names of devices are shown on terminals.
fn check_characters(name: &str) -> Result<(), AccountError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(AccountError::DeviceName);
    }
    Ok(())
}
