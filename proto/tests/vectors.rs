//! Every vector, read from its file and judged through the public interface:
//! what another implementation would do.

use std::collections::BTreeMap;
use std::fmt::Debug;

use data_encoding::HEXLOWER;
use prost::Message;
use serde_json::Value;
use vault_proto::account_log::{AccountLog, AccountLogError};
use vault_proto::address::Address;
use vault_proto::device::DevicePublic;
use vault_proto::head::{
    HeadContext, PreviousHeads, SeenHeads, UnverifiedHead, skip_path, skip_seq, verify_path,
};
use vault_proto::ids::{AccountId, DeviceId, HosterId, PackId, RootHash};
use vault_proto::invitation::{Invitation, TlsTrust};
use vault_proto::login::{Hello, Login};
use vault_proto::origin::Origin;
use vault_proto::pack_list::PackList;
use vault_proto::sign::{SignLabel, VerifyingKey, to_sign};
use vault_proto::vault_log::{VaultLog, VaultLogError};
use vault_proto::wire::{self, SignedEntry};

pub(crate) type Logs = BTreeMap<AccountId, AccountLog>;

pub(crate) fn read(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    let list = value.as_array().expect("a list");
    assert!(!list.is_empty(), "an empty list shows nothing");
    list
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

pub(crate) fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(text(value).as_bytes()).unwrap()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap()
}

pub(crate) fn variant(error: &impl Debug) -> String {
    let shown = format!("{error:?}");
    let end = shown.find(|c: char| !c.is_alphanumeric());
    shown[..end.unwrap_or(shown.len())].to_owned()
}

pub(crate) fn entry(value: &Value) -> SignedEntry {
    let signatures = value["signatures"].as_array().unwrap();
    SignedEntry {
        payload: hex(&value["payload"]),
        signatures: signatures
            .iter()
            .map(|signature| wire::Signature {
                device: hex(&signature["device"]),
                signature: hex(&signature["signature"]),
            })
            .collect(),
    }
}

pub(crate) fn account_log(entries: &[Value]) -> Result<AccountLog, AccountLogError> {
    let mut log = AccountLog::verify_genesis(&entry(&entries[0]))?;
    for value in &entries[1..] {
        log.append(&entry(value))?;
    }
    Ok(log)
}

pub(crate) fn account_logs(value: &Value) -> Logs {
    let logs = list(value)
        .iter()
        .map(|log| account_log(list(log)).unwrap());
    logs.map(|log| (log.id(), log)).collect()
}

pub(crate) fn vault_log(entries: &[Value], logs: &Logs) -> Result<VaultLog, VaultLogError> {
    let mut log = VaultLog::verify_genesis(&entry(&entries[0]), logs)?;
    for value in &entries[1..] {
        log.append(&entry(value), logs)?;
    }
    Ok(log)
}

#[test]
fn ids() {
    let vectors = read("ids.json");
    for case in list(&vectors["devices"]) {
        let public = wire::DevicePublic::decode(&hex(&case["device_public"])[..]).unwrap();
        let public = DevicePublic::from_wire(&public).unwrap();
        assert_eq!(public.id().as_bytes()[..], hex(&case["id"]));
    }
    for case in list(&vectors["hosters"]) {
        let key = VerifyingKey::from_slice(&hex(&case["key"])).unwrap();
        assert_eq!(key.hoster_id().as_bytes()[..], hex(&case["id"]));
    }
    for case in list(&vectors["packs"]) {
        assert_eq!(
            PackId::of(&hex(&case["pack"])).as_bytes()[..],
            hex(&case["id"])
        );
    }
    for case in list(&vectors["sealed_roots"]) {
        let hash = RootHash::of(&hex(&case["sealed_root"]));
        assert_eq!(hash.as_bytes()[..], hex(&case["hash"]));
    }
    for case in list(&vectors["pack_lists"]) {
        let packs = PackList::from_bytes(&hex(&case["ids"])).unwrap();
        assert_eq!(packs.hash().as_bytes()[..], hex(&case["hash"]));
    }
    for case in list(&vectors["refused_pack_lists"]) {
        let error = PackList::from_bytes(&hex(&case["ids"])).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]));
    }
}

#[test]
fn signatures() {
    let vectors = read("signatures.json");
    let verify = |case: &Value| {
        let name = text(&case["label"]);
        let mut labels = SignLabel::ALL.into_iter();
        let label = labels.find(|label| label.as_str() == name).unwrap();
        let key = VerifyingKey::from_slice(&hex(&case["key"])).unwrap();
        let payload = hex(&case["payload"]);
        if let Some(message) = case.get("message") {
            assert_eq!(to_sign(label, &payload), hex(message));
        }
        key.verify(label, &payload, &array(&case["signature"]))
    };
    for case in list(&vectors["signatures"]) {
        assert!(verify(case).is_ok(), "{case}");
    }
    for case in list(&vectors["refused_signatures"]) {
        assert!(verify(case).is_err(), "{case}");
    }
    for case in list(&vectors["refused_keys"]) {
        let error = VerifyingKey::from_slice(&hex(&case["key"])).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]));
    }
}

#[test]
fn logins() {
    let vectors = read("logins.json");
    let log = AccountLog::verify_genesis(&entry(&vectors["genesis"])).unwrap();
    for case in list(&vectors["logins"]) {
        let exporter = hex(&case["exporter"]);
        let exporter = (!exporter.is_empty()).then(|| exporter.try_into().unwrap());
        let hello = Hello {
            hoster: HosterId::from_array(array(&case["hoster"])),
            client_nonce: array(&case["client_nonce"]),
            server_nonce: array(&case["server_nonce"]),
            time: number(&case["hello_time"]),
            exporter,
            origin: Origin::parse_exact(text(&case["origin"])).unwrap(),
        };
        let login = Login {
            hoster: hello.hoster,
            client_nonce: hello.client_nonce,
            server_nonce: hello.server_nonce,
            time: number(&case["login_time"]),
            exporter,
            account: AccountId::from_array(array(&case["account"])),
            device: DeviceId::from_array(array(&case["device"])),
            origin: hello.origin.clone(),
        };
        assert_eq!(hello.to_payload(), hex(&case["hello_payload"]));
        assert_eq!(login.to_payload(), hex(&case["login_payload"]));
        let key = VerifyingKey::from_slice(&hex(&case["hoster_key"])).unwrap();
        assert_eq!(hello.verify(&key, &array(&case["hello_signature"])), Ok(()));
        assert_eq!(login.verify(&log, &array(&case["login_signature"])), Ok(()));
    }
}

#[test]
fn invitations() {
    let vectors = read("invitations.json");
    for case in list(&vectors["invitations"]) {
        let url = text(&case["url"]);
        let invitation = Invitation::parse(url).unwrap();
        assert_eq!(invitation.to_url(), url);
        assert_eq!(invitation.origin.as_str(), text(&case["origin"]));
        assert_eq!(invitation.hoster.as_bytes()[..], hex(&case["hoster"]));
        assert_eq!(invitation.secret.as_bytes()[..], hex(&case["secret"]));
        assert_eq!(invitation.expires, number(&case["expires"]));
        let (mode, pin) = match invitation.tls {
            TlsTrust::Pinned(pin) => ("PINNED", pin.to_vec()),
            TlsTrust::Public => ("PUBLIC", Vec::new()),
            TlsTrust::Proxy => ("PROXY", Vec::new()),
            _ => panic!("a mode that the vectors do not know"),
        };
        assert_eq!(
            (mode, pin),
            (text(&case["tls_mode"]), hex(&case["tls_pin"]))
        );
    }
    for case in list(&vectors["refused"]) {
        let error = Invitation::parse(text(&case["url"])).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["name"]);
    }
}

#[test]
fn addresses() {
    let vectors = read("addresses.json");
    for case in list(&vectors["addresses"]) {
        let address = Address::parse(text(&case["text"])).unwrap();
        assert_eq!(address.to_string(), text(&case["address"]));
        assert_eq!(address.name(), text(&case["name"]));
        assert_eq!(address.origin().as_str(), text(&case["origin"]));
        assert_eq!(address.account().as_bytes()[..], hex(&case["account"]));
    }
    for case in list(&vectors["refused"]) {
        let error = Address::parse(text(&case["text"])).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["name"]);
    }
}

#[test]
fn account_logs_and_what_they_refuse() {
    let vectors = read("account_logs.json");
    let entries = list(&vectors["log"]);
    let log = account_log(entries).unwrap();
    assert_eq!(log.id().as_bytes()[..], hex(&vectors["id"]));
    assert_eq!(log.home().as_bytes()[..], hex(&vectors["home"]));
    for state in list(&vectors["states"]) {
        let seq = number(&state["seq"]);
        assert_eq!(
            log.hash_at(seq).unwrap().as_bytes()[..],
            hex(&state["hash"])
        );
        let active = log
            .active_devices_at(seq)
            .map(|record| record.public.id().to_vec());
        assert!(active.eq(list(&state["active_devices"]).iter().map(hex)));
        let key = log.account_key_at(seq).unwrap();
        assert_eq!(key.generation, number(&state["generation"]));
    }
    refuse_account_entries(entries, &vectors["refused"]);

    let papers = &vectors["papers"];
    let log = account_log(list(&papers["log"])).unwrap();
    let rooted = log.devices().filter(|record| record.is_rooted);
    let rooted = rooted.map(|record| record.public.id().to_vec());
    assert!(rooted.eq(list(&papers["rooted_papers"]).iter().map(hex)));
    refuse_account_entries(list(&papers["log"]), &papers["refused"]);
}

fn refuse_account_entries(entries: &[Value], cases: &Value) {
    for case in list(cases) {
        let refused = entry(&case["entry"]);
        let error = match usize::try_from(number(&case["after"])).unwrap() {
            0 => AccountLog::verify_genesis(&refused).map(|_| ()),
            after => account_log(&entries[..after]).unwrap().append(&refused),
        };
        let error = variant(&error.unwrap_err());
        assert_eq!(error, text(&case["error"]), "{}", case["name"]);
    }
}

#[test]
fn vault_logs_and_what_they_refuse() {
    let vectors = read("vault_logs.json");
    let logs = account_logs(&vectors["account_logs"]);
    let log = vault_log(list(&vectors["log"]), &logs).unwrap();
    assert_eq!(log.id().as_bytes()[..], hex(&vectors["id"]));
    for state in list(&vectors["states"]) {
        let seq = number(&state["seq"]);
        assert_eq!(
            log.hash_at(seq).unwrap().as_bytes()[..],
            hex(&state["hash"])
        );
        assert_eq!(log.epoch_at(seq).unwrap().number, number(&state["epoch"]));
        assert_eq!(log.rotation_due_at(seq), state["rotation_due"]);
        for account in logs.keys() {
            let id = account.to_string();
            let mut members = list(&state["members"]).iter();
            let expected = members.find(|member| text(&member["account"]) == id);
            let actual = log.role_at(account, seq);
            assert_eq!(actual.is_some(), expected.is_some());
            if let (Some(actual), Some(expected)) = (actual, expected) {
                assert_eq!(variant(&actual.role), text(&expected["role"]));
                assert_eq!(actual.accepted, expected["accepted"]);
                let recorded = log.known_position_at(account, seq).unwrap();
                assert_eq!(recorded.seq, number(&expected["recorded_seq"]));
            }
        }
    }
    for (seq, earliest) in (0..).zip(list(&vectors["earliest_position_for_head"])) {
        assert_eq!(log.earliest_position_for_head(seq), number(earliest));
    }
    for case in list(&vectors["refused"]) {
        let refused = entry(&case["entry"]);
        let error = match case["after"].as_array().unwrap().as_slice() {
            [] => VaultLog::verify_genesis(&refused, &logs).map(|_| ()),
            [name, after] => {
                let after = usize::try_from(number(after)).unwrap();
                let entries = &list(&vectors[text(name)])[..after];
                let mut log = vault_log(entries, &logs).unwrap();
                log.append(&refused, &logs)
            }
            _ => panic!("a log and a number"),
        };
        let error = variant(&error.unwrap_err());
        assert_eq!(error, text(&case["error"]), "{}", case["name"]);
    }

    let moves = &vectors["moves"];
    let owner = account_log(list(&moves["account_log"])).unwrap();
    let logs = Logs::from([(owner.id(), owner)]);
    let log = vault_log(list(&moves["log"]), &logs).unwrap();
    for accepted in list(&moves["accepted"]) {
        assert!(log.verify_next(&entry(accepted), &logs).is_ok());
    }
    for case in list(&moves["refused"]) {
        let error = log.verify_next(&entry(&case["entry"]), &logs).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["name"]);
    }
}

#[test]
fn heads_and_paths() {
    let vectors = read("heads.json");
    let logs = account_logs(&vectors["account_logs"]);
    let vault_entries = list(&vectors["vault_log"]);
    let decode = |value: &Value| UnverifiedHead::decode(&hex(value)).unwrap();
    let mut heads = Vec::new();
    let full = vault_log(vault_entries, &logs).unwrap();
    for case in list(&vectors["heads"]) {
        let head = decode(&case["head"]);
        assert_eq!(head.hash().as_bytes()[..], hex(&case["hash"]));
        assert_eq!(head.verify_author(&full, &logs), Ok(()));
        heads.insert(0, head);
    }
    assert_eq!(verify_path(None, &heads), Ok(()));
    let newest = heads[0].to_bytes();
    let count = heads.len() as u64;
    let hash_at = |seq| Some(heads[usize::try_from(count - seq).ok()?].hash());
    let seen = SeenHeads::collect(&newest, hash_at).unwrap();

    let verify = |case: &Value| {
        let known = usize::try_from(number(&case["vault_entries"])).unwrap();
        let head = decode(&case["head"]);
        head.verify(&HeadContext {
            vault_log: &vault_log(&vault_entries[..known], &logs).unwrap(),
            account_logs: &logs,
            previous: PreviousHeads::Next(&seen),
        })
    };
    for case in list(&vectors["accepted"]) {
        let head = verify(case).unwrap();
        assert_eq!(head.hash().as_bytes()[..], hex(&case["hash"]));
        let associated = head.head().to_root_associated_data();
        assert_eq!(associated[..], hex(&case["root_associated_data"]));
    }
    for case in list(&vectors["refused"]) {
        let error = verify(case).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["name"]);
    }
    for case in list(&vectors["undecodable"]) {
        let error = UnverifiedHead::decode(&hex(&case["head"])).unwrap_err();
        assert_eq!(variant(&error), text(&case["error"]), "{}", case["name"]);
    }
    for (seq, skip) in (1..).zip(list(&vectors["skip_seq"])) {
        assert_eq!(skip_seq(seq), number(skip));
    }
    for case in list(&vectors["paths"]) {
        let path = skip_path(number(&case["newest"]), number(&case["known"]));
        let expected: Vec<_> = case["heads"]
            .as_array()
            .unwrap()
            .iter()
            .map(number)
            .collect();
        assert_eq!(path, expected);
    }
}
