//! Any sequence of what members do: devices come and go, papers bring computers in
//! and are replaced, vaults are made, shared, taken back, left, rotated, and written
//! to by two at once. After it, each device reads exactly what its member may read, and nobody else can,
//! with all that the hoster has.
//!
//! `model` plays devices that are made of the core alone, which is quick;
//! `accounts` plays the library.

mod accounts;
mod model;

use std::collections::BTreeMap;

use proptest::prelude::*;
use vault_core::keys::{AccountSecrets, DeviceKeys, VaultKeys};
use vault_core::pack::read_pack_entries;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::AccountId;
use vault_proto::vault_log::{Role, VaultLog};

use model::{Item, Model, Written};

/// So many sequences, unless `PROPTEST_CASES` asks for another number.
#[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
fn cases(few: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(few)
}

/// Something that a member does. Numbers pick among what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    AddDevice {
        member: usize,
        by: usize,
    },
    /// The paper brings a new computer in.
    Recover {
        member: usize,
    },
    ReplacePaper {
        member: usize,
    },
    RemoveDevice {
        member: usize,
        by: usize,
        which: usize,
    },
    CreateVault {
        member: usize,
    },
    Share {
        vault: usize,
        by: usize,
        to: usize,
        role: Role,
    },
    ChangeRole {
        vault: usize,
        by: usize,
        of: usize,
        role: Role,
    },
    Unshare {
        vault: usize,
        by: usize,
        whom: usize,
    },
    Leave {
        vault: usize,
        who: usize,
    },
    Rotate {
        vault: usize,
        by: usize,
    },
    Write {
        vault: usize,
        by: usize,
    },
    Race {
        vault: usize,
        one: usize,
        other: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..8_usize;
    let role = || prop_oneof![Just(Role::Reader), Just(Role::Writer), Just(Role::Manager)];
    prop_oneof![
        2 => (n(), n()).prop_map(|(member, by)| Step::AddDevice { member, by }),
        1 => n().prop_map(|member| Step::Recover { member }),
        1 => n().prop_map(|member| Step::ReplacePaper { member }),
        2 => (n(), n(), n()).prop_map(|(member, by, which)| Step::RemoveDevice { member, by, which }),
        1 => n().prop_map(|member| Step::CreateVault { member }),
        4 => (n(), n(), n(), role()).prop_map(|(vault, by, to, role)| Step::Share { vault, by, to, role }),
        1 => (n(), n(), n(), role()).prop_map(|(vault, by, of, role)| Step::ChangeRole { vault, by, of, role }),
        2 => (n(), n(), n()).prop_map(|(vault, by, whom)| Step::Unshare { vault, by, whom }),
        1 => (n(), n()).prop_map(|(vault, who)| Step::Leave { vault, who }),
        1 => (n(), n()).prop_map(|(vault, by)| Step::Rotate { vault, by }),
        6 => (n(), n()).prop_map(|(vault, by)| Step::Write { vault, by }),
        3 => (n(), n(), n()).prop_map(|(vault, one, other)| Step::Race { vault, one, other }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(24),
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn each_device_reads_what_its_member_may_and_nobody_else_can(
        steps in prop::collection::vec(step(), 1..28),
    ) {
        let mut model = Model::new(3);
        for step in steps {
            model.take(step);
        }
        assert_reads(&model);
    }
}

/// A sequence that has everything in it, so that the rest is not passed by
/// chance.
#[test]
fn a_sequence_with_everything_in_it() {
    let mut model = Model::new(3);
    let steps = [
        Step::AddDevice { member: 0, by: 0 },
        Step::CreateVault { member: 0 },
        Step::Write { vault: 0, by: 0 },
        Step::Share {
            vault: 0,
            by: 0,
            to: 1,
            role: Role::Writer,
        },
        Step::Share {
            vault: 0,
            by: 0,
            to: 2,
            role: Role::Reader,
        },
        Step::Race {
            vault: 0,
            one: 0,
            other: 1,
        },
        Step::RemoveDevice {
            member: 0,
            by: 0,
            which: 1,
        },
        Step::Write { vault: 0, by: 1 },
        Step::Unshare {
            vault: 0,
            by: 0,
            whom: 1,
        },
        Step::Write { vault: 0, by: 0 },
        Step::Leave { vault: 0, who: 2 },
        Step::Write { vault: 0, by: 0 },
        Step::Share {
            vault: 0,
            by: 0,
            to: 1,
            role: Role::Manager,
        },
        Step::Race {
            vault: 0,
            one: 1,
            other: 0,
        },
        Step::Recover { member: 0 },
        Step::ReplacePaper { member: 0 },
        Step::Write { vault: 0, by: 1 },
        Step::ReplacePaper { member: 1 },
        Step::Recover { member: 1 },
        Step::Write { vault: 0, by: 1 },
    ];
    for step in steps {
        model.take(step);
    }
    let items: Vec<_> = model.vaults[0]
        .items
        .iter()
        .map(|item| item.epoch)
        .collect();
    assert_eq!(items, [1, 1, 1, 2, 3, 4, 4, 4, 5, 6]);
    assert_reads(&model);
}

/// For every device that there ever was, and every vault: the program reads
/// what it may, and an attacker who has the device's keys and every prefix of
/// every log reads what the device could read at some time, and no more.
fn assert_reads(model: &Model) {
    let accounts = model.account_logs();
    for (number, vault) in model.vaults.iter().enumerate() {
        let log = model.vault_log(vault.id);
        let prefixes = vault_prefixes(&log, &accounts);
        for member in &model.members {
            for device in &member.devices {
                let honest = AccountSecrets::open(&accounts[&member.id], &device.keys)
                    .ok()
                    .and_then(|secrets| VaultKeys::open(&log, &secrets).ok());
                let may = device.active && log.member(&member.id).is_some();
                // An epoch's box stays until the next rotation, so that one who
                // was removed may open what he could open before.
                if may {
                    let keys = honest.expect("a member's device opens the vault");
                    for item in &vault.items {
                        assert!(model.opens(vault.id, item, &keys), "vault {number}");
                    }
                }
                let reached = reached(&accounts[&member.id], &prefixes, &device.keys);
                let allowed = device.reach.get(&vault.id).copied().unwrap_or(0);
                assert_eq!(
                    reached.as_ref().map_or(0, VaultKeys::current_epoch),
                    allowed,
                    "vault {number}, device {}",
                    device.keys.id()
                );
                for item in &vault.items {
                    let opens = reached
                        .as_ref()
                        .is_some_and(|keys| model.opens(vault.id, item, keys));
                    assert_eq!(opens, item.epoch <= allowed, "vault {number}");
                }
            }
        }
    }
}

/// The keys of the newest epoch that can be had with a device's keys and any
/// prefixes of its account's log and of the vault's.
fn reached(account: &AccountLog, prefixes: &[VaultLog], device: &DeviceKeys) -> Option<VaultKeys> {
    let mut secrets = Vec::new();
    let (genesis, rest) = account.entries().split_first().unwrap();
    let mut log = AccountLog::verify_genesis(genesis).unwrap();
    secrets.extend(AccountSecrets::open(&log, device));
    for entry in rest {
        log.append(entry).unwrap();
        secrets.extend(AccountSecrets::open(&log, device));
    }
    // The newest secrets open all that older ones do.
    let newest = secrets.into_iter().max_by_key(AccountSecrets::generation)?;
    let keys = prefixes
        .iter()
        .filter_map(|log| VaultKeys::open(log, &newest).ok());
    keys.max_by_key(VaultKeys::current_epoch)
}

fn vault_prefixes(log: &VaultLog, accounts: &BTreeMap<AccountId, AccountLog>) -> Vec<VaultLog> {
    let (genesis, rest) = log.entries().split_first().unwrap();
    let mut log = VaultLog::verify_genesis(genesis, accounts).unwrap();
    let mut prefixes = vec![log.clone()];
    for entry in rest {
        log.append(entry, accounts).unwrap();
        prefixes.push(log.clone());
    }
    prefixes
}

impl Model {
    /// Whether these keys open an item, of the bytes that the hoster has.
    fn opens(&self, vault: vault_proto::ids::VaultId, item: &Item, keys: &VaultKeys) -> bool {
        let bytes = self.hoster.pack(&vault, &item.pack).unwrap();
        let Ok(entries) = read_pack_entries(keys, item.epoch, &item.pack, &bytes) else {
            return false;
        };
        let entry = &entries[0];
        let sealed = &bytes[entry.offset as usize..][..entry.sealed_length as usize];
        let opened = keys.open_chunk(item.epoch, entry.kind, &entry.id, sealed);
        opened.is_ok_and(|content| content == item.content)
    }
}

/// A write that was refused was so for its reason.
fn assert_written(written: &Written, may_write: bool) {
    assert_eq!(matches!(written, Written::Committed), may_write);
}
