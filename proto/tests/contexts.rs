//! The vectors of what is accepted or refused by what stands around it.

use std::fmt::Debug;

use serde_json::Value;
use vault_proto::account_log::AccountLog;
use vault_proto::address::Address;
use vault_proto::head::{HeadContext, PreviousHeads, SeenHeads, UnverifiedHead};
use vault_proto::ids::{AccountId, DeviceId, HosterId};
use vault_proto::login::{Hello, Login};
use vault_proto::origin::Origin;
use vault_proto::pack_list::PackList;
use vault_proto::sign::VerifyingKey;
use vault_proto::vault_log::VaultLog;
use vault_proto::wire::{self, SignedEntry};

use crate::vectors::{
    Logs, account_log, account_logs, array, entry, hex, list, number, read, text, variant,
    vault_log,
};

/// What is said is what the case says: the name of the error, or nothing.
#[track_caller]
fn assert_told<E: Debug>(judged: Result<(), E>, case: &Value) {
    let told = judged.err().as_ref().map_or(String::new(), variant);
    assert_eq!(told, text(&case["error"]), "{}", case["name"]);
}

/// A list in which some are accepted and some refused.
fn both(value: &Value) -> &[Value] {
    let cases = list(value);
    let accepted = cases.iter().filter(|case| text(&case["error"]).is_empty());
    assert!((1..cases.len()).contains(&accepted.count()));
    cases
}

fn size(value: &Value) -> usize {
    usize::try_from(number(value)).unwrap()
}

fn exporter(case: &Value) -> Option<[u8; 32]> {
    let bytes = hex(&case["exporter"]);
    (!bytes.is_empty()).then(|| bytes.try_into().unwrap())
}

#[test]
fn logins_and_what_they_are_held_against() {
    let vectors = read("login_contexts.json");
    for case in both(&vectors["hellos"]) {
        let hello = Hello {
            hoster: HosterId::from_array(array(&case["hoster"])),
            client_nonce: array(&case["client_nonce"]),
            server_nonce: array(&case["server_nonce"]),
            time: number(&case["time"]),
            exporter: exporter(case),
            origin: Origin::parse_exact(text(&case["origin"])).unwrap(),
        };
        let key = VerifyingKey::from_slice(&hex(&case["key"])).unwrap();
        assert_told(hello.verify(&key, &array(&case["signature"])), case);
    }
    let log = account_log(list(&vectors["log"])).unwrap();
    for case in both(&vectors["logins"]) {
        let login = Login {
            hoster: HosterId::from_array(array(&case["hoster"])),
            client_nonce: array(&case["client_nonce"]),
            server_nonce: array(&case["server_nonce"]),
            time: number(&case["time"]),
            exporter: exporter(case),
            account: AccountId::from_array(array(&case["account"])),
            device: DeviceId::from_array(array(&case["device"])),
            origin: Origin::parse_exact(text(&case["origin"])).unwrap(),
        };
        assert_told(login.verify(&log, &array(&case["signature"])), case);
    }
}

/// The account logs that are at hand in a case, as far as they are.
fn known(logs: &[Value], case: &Value) -> Logs {
    let known = list(&case["known"]).iter().map(|known| {
        let entries = list(&logs[size(&known["log"])]);
        account_log(&entries[..size(&known["entries"])]).unwrap()
    });
    known.map(|log| (log.id(), log)).collect()
}

#[test]
fn heads_and_what_they_are_held_against() {
    let vectors = read("head_contexts.json");
    let everybody = account_logs(&vectors["account_logs"]);
    let logs = list(&vectors["account_logs"]);
    let log = vault_log(list(&vectors["vault_log"]), &everybody).unwrap();
    let decode = |value: &Value| UnverifiedHead::decode(&hex(value)).unwrap();
    for case in both(&vectors["authors"]) {
        let judged = decode(&case["head"]).verify_author(&log, &known(logs, case));
        assert_told(judged, case);
    }
    for case in both(&vectors["entries"]) {
        let known = known(logs, case);
        let judged = log.verify_next(&entry(&case["entry"]), &known).map(drop);
        assert_told(judged, case);
    }

    let heads: Vec<_> = list(&vectors["heads"]).iter().map(decode).collect();
    let hash_at = |seq: u64| Some(heads[usize::try_from(seq - 1).ok()?].hash());
    let newest = heads.last().unwrap().to_bytes();
    let seen = SeenHeads::collect(&newest, hash_at).unwrap();
    for case in both(&vectors["points"]) {
        let head = decode(&case["head"]).verify(&HeadContext {
            vault_log: &log,
            account_logs: &everybody,
            previous: PreviousHeads::Next(&seen),
        });
        let head = head.unwrap();
        let root_byte = u8::try_from(number(&case["root_byte"])).unwrap();
        let root = vec![root_byte; size(&case["root_length"])];
        let packs = |field: &str| PackList::from_bytes(&hex(&case[field])).unwrap();
        let judged = head
            .check_root(&root)
            .and_then(|()| head.check_packs(&packs("adds"), &packs("removes")));
        assert_told(judged, case);
    }
}

#[test]
fn heads_in_the_place_of_pinned_ones() {
    let vectors = read("replaced_heads.json");
    let logs = account_logs(&vectors["account_logs"]);
    let decode = |value: &Value| UnverifiedHead::decode(&hex(value)).unwrap();
    for case in both(&vectors["cases"]) {
        let log = vault_log(list(&case["vault_log"]), &logs).unwrap();
        let path = vec![decode(&case["head"]), decode(&vectors["fourth"])];
        let path = SeenHeads::none().follow(path).unwrap();
        let head = path.newest().clone().verify(&HeadContext {
            vault_log: &log,
            account_logs: &logs,
            previous: PreviousHeads::Path(&path),
        });
        assert_told(head.unwrap().head().check_not_put_out(&log, &logs), case);
    }
}

#[test]
fn spellings() {
    let vectors = read("spellings.json");
    for case in both(&vectors["origins"]) {
        let typed = text(&case["text"]);
        let origin = Origin::parse(typed).unwrap();
        assert_eq!(origin.as_str(), text(&case["spelled"]));
        assert_told(Origin::parse_exact(typed).map(drop), case);
    }
    for case in both(&vectors["addresses"]) {
        let typed = text(&case["text"]);
        let address = Address::parse(typed).unwrap();
        assert_eq!(address.to_string(), text(&case["spelled"]));
        assert_told(Address::parse_exact(typed).map(drop), case);
    }
}

/// An entry whose payload is written in parts.
fn entry_in_parts(value: &Value) -> SignedEntry {
    let parts = list(&value["payload"]).iter();
    let payload = parts.flat_map(|part| match part.as_u64() {
        Some(zeros) => vec![0; usize::try_from(zeros).unwrap()],
        None => hex(part),
    });
    let signatures = list(&value["signatures"]).iter();
    SignedEntry {
        payload: payload.collect(),
        signatures: signatures
            .map(|signature| wire::Signature {
                device: hex(&signature["device"]),
                signature: hex(&signature["signature"]),
            })
            .collect(),
    }
}

fn account_log_in_parts(entries: &[Value]) -> AccountLog {
    let mut log = AccountLog::verify_genesis(&entry_in_parts(&entries[0])).unwrap();
    for value in &entries[1..] {
        log.append(&entry_in_parts(value)).unwrap();
    }
    log
}

#[test]
fn an_account_has_so_many_devices_and_no_more() {
    let vectors = &read("limits.json")["devices"];
    let entries = list(&vectors["log"]);
    let log = account_log_in_parts(entries);
    assert_eq!(log.active_devices_at(log.position().seq).count(), 64);
    for case in list(&vectors["refused"]) {
        let mut log = account_log_in_parts(&entries[..size(&case["after"])]);
        assert_told(log.append(&entry_in_parts(&case["entry"])), case);
    }
}

#[test]
fn a_vault_has_so_many_members_and_no_more() {
    let vectors = &read("limits.json")["members"];
    let logs = list(&vectors["account_logs"]).iter();
    let logs = logs.map(|log| account_log_in_parts(list(log)));
    let logs: Logs = logs.map(|log| (log.id(), log)).collect();
    let entries = list(&vectors["log"]);
    let mut log = VaultLog::verify_genesis(&entry_in_parts(&entries[0]), &logs).unwrap();
    for value in &entries[1..] {
        log.append(&entry_in_parts(value), &logs).unwrap();
    }
    assert_eq!(log.members().count(), 256);
    for case in list(&vectors["refused"]) {
        assert_eq!(size(&case["after"]), entries.len());
        let judged = log.clone().append(&entry_in_parts(&case["entry"]), &logs);
        assert_told(judged, case);
    }
}
