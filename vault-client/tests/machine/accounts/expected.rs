//! What has to be so after a step, and what each device reads in the end.

use std::collections::{BTreeMap, BTreeSet};

use vault_client::account::{Account, DeviceRemoval, VaultSelector};
use vault_client::contents::Contents;
use vault_client::error::ErrorCode;
use vault_client::remote::RemoteError;
use vault_client::vault::Upkeep;
use vault_core::keys::{DeviceKeys, VaultKeys};
use vault_core::pack::read_pack_entries;
use vault_core::snapshot::SnapshotId;
use vault_proto::ids::{DeviceId, PackId};
use vault_proto::vault_log::Role;

use super::{Device, Kind, Machine, Owner, Shared, World, Written};
use crate::engine::{Files, content_of, restored, snapshots};
use crate::machine::{reached, vault_prefixes};

impl World {
    /// What was written is out of the reach of every device that was out.
    pub(super) fn note(&mut self, vault: usize, snapshot: SnapshotId, epoch: u64, files: Files) {
        let shared = &mut self.vaults[vault];
        for (number, member) in self.members.iter().enumerate() {
            let is_in = shared.standing.contains_key(&number);
            for device in &member.devices {
                if !(is_in && device.is_active) {
                    let reach = device.reach.get(&shared.id).copied().unwrap_or(0);
                    assert!(reach < epoch, "sealed for who was out: {reach} and {epoch}");
                }
            }
        }
        shared.written.push(Written {
            snapshot,
            epoch,
            files,
        });
    }

    /// In every vault that a member has taken up who has put one of his devices out,
    /// whatever his role, there is something to be done, and it is.
    pub(super) fn assert_kept_up(&self, member: usize, removal: &DeviceRemoval) {
        for vault in &self.vaults {
            let Some(now) = vault.standing.get(&member).filter(|now| now.accepted) else {
                continue;
            };
            let mut kept = removal.vaults.iter();
            let kept = kept.find(|kept| kept.vault == vault.id).unwrap();
            let expected = match now.role {
                Role::Reader => Upkeep::Due,
                _ => Upkeep::Rotated,
            };
            assert_eq!(*kept.upkeep.as_ref().unwrap(), expected);
        }
    }

    /// The logs say what this test says; notes what every device can read by now.
    pub(super) fn assert_standing(&mut self) {
        for vault in &self.vaults {
            let log = self.log(vault);
            let expected: BTreeMap<_, _> = vault
                .standing
                .iter()
                .map(|(member, now)| (self.members[*member].id, (now.role, now.accepted)))
                .collect();
            let found: BTreeMap<_, _> = log
                .members()
                .map(|(id, now)| (id, (now.role, now.accepted)))
                .collect();
            assert_eq!(found, expected, "{}", vault.name);
            for member in vault.standing.keys() {
                let devices = self.members[*member].devices.iter_mut();
                for device in devices.filter(|device| device.is_active) {
                    let reach = device.reach.entry(vault.id).or_default();
                    *reach = (*reach).max(log.epoch().number);
                }
            }
        }
    }

    pub(super) fn assert_reads(&self) {
        let accounts = self.account_logs();
        for (number, vault) in self.vaults.iter().enumerate() {
            let prefixes = vault_prefixes(&self.log(vault), &accounts);
            let mut reaches = Vec::new();
            for (owner, member) in self.members.iter().enumerate() {
                let is_in = self.may(number, owner, Role::Reader);
                for device in &member.devices {
                    match &device.kind {
                        Kind::Machine(machine) if device.is_active && is_in => {
                            self.assert_reads_all(number, &machine.account);
                        }
                        // Who is invited may look; whether he can find it is no matter.
                        Kind::Machine(_)
                            if device.is_active && vault.standing.contains_key(&owner) => {}
                        Kind::Machine(machine) => {
                            assert_reads_nothing_new(vault, device, machine);
                        }
                        Kind::Paper(_) if device.is_active => {}
                        Kind::Paper(_) => assert_refused_at_home(member, &device.keys),
                    }
                    let keys = reached(&accounts[&member.id], &prefixes, &device.keys);
                    let reach = device.reach.get(&vault.id).copied().unwrap_or(0);
                    let epoch = keys.as_ref().map_or(0, VaultKeys::current_epoch);
                    assert_eq!(epoch, reach, "{} of {owner}", device.keys.id());
                    reaches.extend(keys.map(|keys| (device.keys.id(), keys)));
                }
            }
            assert_packs_are_of_their_epochs(vault, &reaches);
        }
    }

    /// A device that is in sees every snapshot, and restores the newest to the
    /// byte.
    fn assert_reads_all(&self, vault: usize, account: &Account) {
        let mut opened = self.open(vault, account).unwrap();
        opened.refresh().unwrap();
        let written = &self.vaults[vault].written;
        let found = snapshots(&opened);
        let ids: BTreeSet<_> = found.iter().map(|named| named.id).collect();
        let expected: BTreeSet<_> = written.iter().map(|written| written.snapshot).collect();
        assert_eq!(ids, expected);
        let Some(newest) = written.last() else {
            return;
        };
        let named = found.iter().find(|named| named.id == newest.snapshot);
        let target = tempfile::tempdir().unwrap();
        let path = newest.files.path();
        let report = restored(&opened, named.unwrap(), path, target.path()).unwrap();
        assert_eq!(report.left_out, []);
        assert_eq!(content_of(target.path()), content_of(path));
    }
}

/// A device that is out is told so, and of what was saved since it shows nothing.
fn assert_reads_nothing_new(vault: &Shared, device: &Device, machine: &Machine) {
    if !device.is_active {
        assert_refused(machine.account.vaults().unwrap_err().code());
    }
    let mut opened = match machine.account.open_vault(&VaultSelector::Id(vault.id)) {
        Ok(opened) => opened,
        Err(error) => return assert_refused(error.code()),
    };
    assert_refused(opened.refresh().unwrap_err().code());
    let reach = device.reach.get(&vault.id).copied().unwrap_or(0);
    match Contents::open(&opened).and_then(|contents| contents.snapshots(None)) {
        Ok(found) => {
            let is_new = |written: &&Written| written.epoch > reach;
            for new in vault.written.iter().filter(is_new) {
                assert!(found.iter().all(|named| named.id != new.snapshot));
            }
        }
        Err(error) => assert_refused(error.code()),
    }
}

/// Every pack opens with the keys of its own epoch and of those after it, whoever
/// has them, and with no others.
fn assert_packs_are_of_their_epochs(vault: &Shared, reaches: &[(DeviceId, VaultKeys)]) {
    let keys = reaches.iter().map(|(_, keys)| keys);
    let all = keys.max_by_key(|keys| keys.current_epoch()).unwrap();
    let opens = |keys: &VaultKeys, epoch, pack: &PackId| {
        let bytes = vault.hoster.pack(&vault.id, pack).unwrap();
        read_pack_entries(keys, epoch, pack, &bytes).is_ok()
    };
    let packs = vault.hoster.packs(&vault.id);
    assert!(packs.len() >= vault.written.len());
    for pack in &packs {
        let epochs = 1..=all.current_epoch();
        let epoch = epochs.clone().find(|epoch| opens(all, *epoch, pack));
        let epoch = epoch.expect("a pack that no member can open");
        for (device, keys) in reaches {
            let is_open = epochs.clone().any(|epoch| opens(keys, epoch, pack));
            assert_eq!(is_open, epoch <= keys.current_epoch(), "{device}");
        }
    }
}

/// A device that is out does not log in.
pub(super) fn assert_refused_at_home(owner: &Owner, keys: &DeviceKeys) {
    let remote = owner.home.remote(owner.id, keys);
    match remote.list_vaults() {
        Err(RemoteError::Refused(_)) => {}
        answer => panic!("{answer:?}"),
    }
}

/// What somebody is told who may not: that it is not for him, or not there.
#[track_caller]
pub(super) fn assert_refused(code: ErrorCode) {
    assert!(
        matches!(
            code,
            ErrorCode::NotAllowed
                | ErrorCode::NoVault
                | ErrorCode::HosterRefused
                | ErrorCode::DeviceUnknown
                | ErrorCode::RotationDue
                | ErrorCode::InvalidArgument
        ),
        "{code:?}"
    );
}
