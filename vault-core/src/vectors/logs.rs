use prost::Message;
use serde_json::{Value, json};
use vault_proto::{
    account_log::AccountLog,
    ids::HosterId,
    vault_log::{VaultKind, VaultLog},
    wire::SignedEntry,
};

use super::{array, bytes, hex, list, noise, noise32, refused, run, text};
use crate::{
    author::{AccountAuthor, NamedDevice, VaultAuthor, create_account, create_vault},
    keys::{AccountSecrets, DeviceKeys, VaultKeys},
};

const DESCRIPTION: &str = "From a device's keys through an account log and a vault log to every \
    secret: what a program needs to open a vault. `device` is kind (1 machine, 2 paper), Ed25519 \
    seed, X-Wing private key; entries are encoded SignedEntry messages. In refused cases the \
    public half of the logs is in order, and something sealed is not.";

#[test]
fn logs() {
    run("logs.json", DESCRIPTION, generate, check);
}

fn generate() -> Vec<Value> {
    use rand_core::SeedableRng;
    let mut rng = rand::rngs::ChaCha20Rng::from_seed(noise32("logs"));
    let rng = &mut rng;
    let device = |kind: u8, label: &str| {
        DeviceKeys::from_secret_bytes(&[&[kind], &*noise(label, 64)].concat()).unwrap()
    };
    let (laptop, phone, paper) = (device(1, "laptop"), device(1, "phone"), device(2, "paper"));
    let [author, second, third] = [
        (&laptop, "laptop"),
        (&phone, "téléphone"),
        (&paper, "papier"),
    ]
    .map(|(keys, name)| NamedDevice { keys, name });
    let home = HosterId::from_array(noise32("hoster"));
    let account = create_account(home, author, &[second, third], rng).unwrap();
    let mut log = account.log.clone();
    let vault = create_vault(
        VaultKind::Storage,
        home,
        &log,
        &account.secrets,
        &laptop,
        rng,
    );
    let vault = vault.unwrap();
    let removal = AccountAuthor {
        log: &log,
        secrets: &account.secrets,
        device: &paper,
    }
    .remove_device(&phone.id(), rng)
    .unwrap();
    log.append(&removal).unwrap();

    let mut vault_log = vault.log.clone();
    let mut append = |write: &mut dyn FnMut(&VaultAuthor<'_>) -> SignedEntry| {
        let author = VaultAuthor {
            log: &vault_log.clone(),
            accounts: &log,
            head: None,
            account: log.id(),
            device: &laptop,
        };
        vault_log.append(&write(&author), &log).unwrap();
    };
    append(&mut |author| author.refresh(&log.id()).unwrap());
    append(&mut |author| author.rotate(&vault.keys, rng).unwrap());

    let secrets = AccountSecrets::open(&log, &laptop).unwrap();
    let keys = VaultKeys::open(&vault_log, &secrets).unwrap();
    let encode = |entries: &[SignedEntry]| -> Vec<Value> {
        entries
            .iter()
            .map(|entry| hex(entry.encode_to_vec()))
            .collect()
    };
    let seeds = [1, 2].map(|n| hex(secrets.kem(n).unwrap().seed().as_bytes()));
    let epoch_secrets = [1, 2].map(|n| hex(keys.epoch(n).unwrap().secret.as_bytes()));
    let names: Vec<Value> = log
        .devices()
        .map(|record| {
            json!({
                "device": hex(record.public.id().as_bytes()),
                "sealed_name": hex(&record.sealed_name),
                "name": secrets.open_name(&record.sealed_name).unwrap(),
            })
        })
        .collect();
    let right = json!({
        "name": "a device of two generations and two epochs",
        "result": "opens",
        "device": hex(*laptop.to_secret_bytes()),
        "account_entries": encode(log.entries()),
        "account": hex(log.id().as_bytes()),
        "account_seeds": seeds,
        "names": names,
        "vault_entries": encode(vault_log.entries()),
        "vault": hex(vault_log.id().as_bytes()),
        "epoch_secrets": epoch_secrets,
    });
    let with = |name: &str, device: &DeviceKeys| {
        let mut case = right.clone();
        case["name"] = name.into();
        case["device"] = hex(*device.to_secret_bytes());
        case
    };
    let mut removed = with("a device that was removed", &phone);
    let mut stranger = with("a device that never was there", &device(1, "stranger"));
    removed["result"] = "refused".into();
    stranger["result"] = "refused".into();
    vec![
        right.clone(),
        with("the recovery phrase", &paper),
        removed,
        stranger,
    ]
}

fn decode(case: &Value, field: &str) -> Vec<SignedEntry> {
    list(case, field)
        .iter()
        .map(|entry| {
            let entry = json!({ "entry": entry });
            SignedEntry::decode(&*bytes(&entry, "entry")).unwrap()
        })
        .collect()
}

fn check(case: &Value) {
    let entries = decode(case, "account_entries");
    let mut log = AccountLog::verify_genesis(&entries[0]).unwrap();
    for entry in &entries[1..] {
        log.append(entry).unwrap();
    }
    assert_eq!(log.id().as_bytes(), &array(case, "account"));
    let entries = decode(case, "vault_entries");
    let mut vault_log = VaultLog::verify_genesis(&entries[0], &log).unwrap();
    for entry in &entries[1..] {
        vault_log.append(entry, &log).unwrap();
    }
    assert_eq!(vault_log.id().as_bytes(), &array(case, "vault"));

    let device = DeviceKeys::from_secret_bytes(&bytes(case, "device")).unwrap();
    let opened = AccountSecrets::open(&log, &device);
    assert_eq!(opened.is_err(), refused(case));
    let Ok(secrets) = opened else { return };
    let seeds: Vec<Value> = (1..=secrets.generation())
        .map(|generation| hex(secrets.kem(generation).unwrap().seed().as_bytes()))
        .collect();
    assert_eq!(seeds, list(case, "account_seeds"));
    for name in list(case, "names") {
        let opened = secrets.open_name(&bytes(name, "sealed_name")).unwrap();
        assert_eq!(opened, text(name, "name"));
    }
    let keys = VaultKeys::open(&vault_log, &secrets).unwrap();
    let epochs: Vec<Value> = (1..=keys.current_epoch())
        .map(|epoch| hex(keys.epoch(epoch).unwrap().secret.as_bytes()))
        .collect();
    assert_eq!(epochs, list(case, "epoch_secrets"));
}
