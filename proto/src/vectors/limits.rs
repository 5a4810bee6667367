//! The most devices of an account, and the most members of a vault. Boxes are zeros, and
//! keys to seal to are a name and zeros, so that the file can count them.

use data_encoding::HEXLOWER;

use super::json::Json;
use crate::account_log::{AccountLog, genesis_entry};
use crate::device::{DeviceKind, DevicePublic, KemKey};
use crate::testing::{
    Logs, TestAccount, TestDevice, TestVault, in_order, signed_account, signed_vault,
};
use crate::vault_log::{Role, VaultKind};
use crate::wire::{self, SignedEntry, account_entry, vault_entry};

/// From so many zeros on, their number is written.
const RUN: usize = 64;

pub(super) fn limits() -> Json {
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Logs that are as long as they may be, and entries that are refused when `after` \
                 entries of the log stand before them. A payload is a list of its parts: \
                 hexadecimal, or a number of bytes that are zero. `devices`: an account log that \
                 ends with 64 active devices. `members`: the logs of accounts, and a vault log that \
                 ends with 256 members. Boxes, names and keys to seal to are filler.",
            ),
        ),
        ("devices", devices()),
        ("members", members()),
    ])
}

fn parts(payload: &[u8]) -> Json {
    let mut parts = Vec::new();
    let mut text = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        if zeros >= RUN {
            if !text.is_empty() {
                parts.push(Json::text(HEXLOWER.encode(&std::mem::take(&mut text))));
            }
            parts.push(Json::Number(zeros as u64));
            rest = &rest[zeros..];
        } else {
            let taken = zeros.max(1);
            text.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
        }
    }
    if !text.is_empty() {
        parts.push(Json::text(HEXLOWER.encode(&text)));
    }
    Json::list(parts)
}

fn entry(entry: &SignedEntry) -> Json {
    let signatures = entry.signatures.iter().map(|signature| {
        Json::Object(vec![
            ("device", Json::hex(&signature.device)),
            ("signature", Json::hex(&signature.signature)),
        ])
    });
    Json::Object(vec![
        ("payload", parts(&entry.payload)),
        ("signatures", Json::list(signatures)),
    ])
}

fn entries(entries: &[SignedEntry]) -> Json {
    Json::list(entries.iter().map(entry))
}

fn refused(name: &str, after: usize, error: Json, refused: &SignedEntry) -> Json {
    Json::Object(vec![
        ("name", Json::text(name)),
        ("after", Json::Number(after as u64)),
        ("error", error),
        ("entry", entry(refused)),
    ])
}

/// A device whose key to seal to is its name, and zeros.
fn device(kind: DeviceKind, name: &str) -> TestDevice {
    let secret = TestDevice::machine(name).secret;
    let kem = KemKey::from_slice(&named_key(name)).unwrap();
    let key = *TestDevice::machine(name).public.signing_key();
    TestDevice {
        public: DevicePublic::new(kind, key, kem),
        secret,
    }
}

fn named_key(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(1_216, 0);
    key
}

/// An account of these devices, of which the first two are the machine and the paper.
fn account(name: &str, devices: &[&TestDevice]) -> TestAccount {
    let mut genesis = TestAccount::genesis(name, devices);
    let key = genesis.account_key.as_mut().unwrap();
    key.kem_key = named_key(name);
    for seed in &mut key.seeds {
        seed.r#box.fill(0);
    }
    let entry = genesis_entry(devices[0].id(), genesis);
    let log = AccountLog::verify_genesis(&signed_account(&entry, &in_order(devices)));
    TestAccount {
        name: name.to_owned(),
        machine: devices[0].clone(),
        paper: devices[devices.len().min(2) - 1].clone(),
        log: log.unwrap(),
    }
}

fn added(account: &TestAccount, author: &TestDevice, device: &TestDevice) -> SignedEntry {
    let mut entry = account.log.next_entry(author.id(), account.add(device));
    let Some(account_entry::Body::AddDevice(add)) = &mut entry.body else {
        unreachable!("an added device");
    };
    add.seed.as_mut().unwrap().r#box.fill(0);
    signed_account(&entry, &[author, device])
}

fn devices() -> Json {
    let mut first = vec![
        device(DeviceKind::Machine, "machine"),
        device(DeviceKind::Paper, "paper"),
    ];
    let more = (3..=16).map(|n| device(DeviceKind::Machine, &format!("device {n}")));
    first.extend(more);
    let first: Vec<_> = first.iter().collect();
    let mut account = account("many", &first);
    let (machine, paper) = (first[0], first[1]);
    let one_more = device(DeviceKind::Machine, "one more");
    let mut cases = Vec::new();
    let mut refuse = |account: &TestAccount, name, author| {
        let entry = added(account, author, &one_more);
        let error = account.log.clone().append(&entry).unwrap_err();
        let after = account.log.entries().len();
        cases.push(refused(name, after, Json::error(&error), &entry));
    };
    for n in 17..=64 {
        if n == 57 {
            refuse(&account, "a machine adds the 57th", machine);
        }
        let author = if n < 57 { machine } else { paper };
        let device = device(DeviceKind::Machine, &format!("device {n}"));
        let entry = added(&account, author, &device);
        account.log.append(&entry).unwrap();
    }
    refuse(&account, "the paper adds the 65th", paper);
    Json::Object(vec![
        ("log", entries(account.log.entries())),
        ("refused", Json::list(cases)),
    ])
}

fn members() -> Json {
    let accounts: Vec<_> = (1..=257)
        .map(|n| {
            let name = format!("member {n}");
            account(&name, &[&device(DeviceKind::Machine, &name)])
        })
        .collect();
    let logs: Logs = accounts
        .iter()
        .map(|account| (account.id(), account.log.clone()))
        .collect();
    let owner = &accounts[0];
    let mut vault = TestVault::new(VaultKind::Storage, owner);
    let add = |vault: &TestVault, member: &TestAccount| {
        let mut entry = vault.draft(owner, TestVault::add(member, Role::Reader));
        let Some(vault_entry::Body::AddMember(wire::AddMember { r#box, .. })) = &mut entry.body
        else {
            unreachable!("an added member");
        };
        r#box.as_mut().unwrap().r#box.fill(0);
        signed_vault(&entry, &owner.machine)
    };
    for member in &accounts[1..256] {
        let entry = add(&vault, member);
        vault.log.append(&entry, &logs).unwrap();
    }
    let entry = add(&vault, &accounts[256]);
    let error = vault.log.clone().append(&entry, &logs).unwrap_err();
    let after = vault.log.entries().len();
    let case = refused("the 257th member", after, Json::error(&error), &entry);
    Json::Object(vec![
        (
            "account_logs",
            Json::list(
                accounts
                    .iter()
                    .map(|account| entries(account.log.entries())),
            ),
        ),
        ("log", entries(vault.log.entries())),
        ("refused", Json::list([case])),
    ])
}
