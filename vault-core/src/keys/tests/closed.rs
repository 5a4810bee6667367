//! What does not open shuts nobody out: devices are removed and epochs begun across it.

use vault_proto::device::{KEM_KEY_BYTES, KemKey};
use vault_proto::vault_log::Role;

use super::*;
use crate::author::AuthorError;
use crate::boxes::KemKeyError;

/// 1,216 bytes that are no key: the X25519 half is of low order.
fn no_key() -> KemKey {
    KemKey::from_slice(&[0; KEM_KEY_BYTES]).unwrap()
}

fn account_author<'a>(
    scene: &'a Scene,
    log: &'a AccountLog,
    secrets: &'a AccountSecrets,
) -> AccountAuthor<'a> {
    AccountAuthor {
        log,
        secrets,
        device: &scene.laptop,
    }
}

fn vault_author<'a>(
    scene: &'a Scene,
    log: &'a VaultLog,
    accounts: &'a dyn AccountLogs,
) -> VaultAuthor<'a> {
    VaultAuthor {
        log,
        accounts,
        head: None,
        account: scene.account.log.id(),
        device: &scene.laptop,
    }
}

#[test]
fn a_device_is_removed_although_the_newest_key_is_closed() {
    let scene = Scene::new();
    let log = scene.deaf_genesis();
    let secrets = AccountSecrets::open(&log, &scene.laptop).unwrap();
    let author = account_author(&scene, &log, &secrets);
    // What needs the key says so, and who closed it.
    let closed = scene.unopenable(1);
    assert_eq!(
        secrets.seal_name("grenier", &mut rng(1)),
        Err(SealNameError::Secrets(closed))
    );
    let new = DeviceKeys::generate(&mut rng(2));
    assert_eq!(
        author
            .draft_addition(new.public(), "", &mut rng(3))
            .unwrap_err(),
        AuthorError::AccountSecrets(closed)
    );

    let mut later = log.clone();
    let removal = author.remove_device(&scene.phone.id(), &mut rng(4));
    later.append(&removal.unwrap()).unwrap();
    let secrets = AccountSecrets::open(&later, &scene.laptop).unwrap();
    assert_eq!(secrets.closed().collect::<Vec<_>>(), [closed]);
    let author = account_author(&scene, &later, &secrets);
    author
        .draft_addition(new.public(), "", &mut rng(5))
        .unwrap();
}

#[test]
fn a_device_whose_key_is_none_stops_no_removal() {
    let mut rng = rng(1);
    let laptop = DeviceKeys::generate(&mut rng);
    let phone = DeviceKeys::generate(&mut rng);
    let thief = DeviceKeys::generate(&mut rng).claiming(no_key());
    let [author, others @ ..] =
        [&laptop, &phone, &thief].map(|keys| NamedDevice { keys, name: "" });
    let account = create_account(HOME, author, &others, &mut rng).unwrap();
    let author = AccountAuthor {
        log: &account.log,
        secrets: &account.secrets,
        device: &laptop,
    };
    for removed in [&phone, &thief] {
        let mut log = account.log.clone();
        let entry = author.remove_device(&removed.id(), &mut rng).unwrap();
        log.append(&entry).unwrap();
        let secrets = AccountSecrets::open(&log, &laptop).unwrap();
        assert_eq!((secrets.generation(), secrets.closed().count()), (2, 0));
    }
    // It is not let in knowingly.
    let new = DeviceKeys::generate(&mut rng).claiming(no_key());
    assert_eq!(
        author
            .draft_addition(new.public(), "", &mut rng)
            .unwrap_err(),
        AuthorError::RecipientKey(KemKeyError::X25519)
    );
}

#[test]
fn an_epoch_is_begun_although_the_newest_is_closed() {
    let scene = Scene::new();
    let accounts = &scene.account.log;
    let log = scene.vault(|_| {}, |epoch| flip(&mut epoch.boxes[0].r#box));
    let keys = scene.open_vault(&log).unwrap();
    let closed = scene.unopenable_epoch(2);
    let closed_epochs = [0, 1, 2, 3].map(|epoch| keys.closed_epoch(epoch));
    assert_eq!(closed_epochs, [None, None, Some(closed), None]);
    let author = vault_author(&scene, &log, accounts);
    assert_eq!(
        author
            .add_member(&keys, &accounts.id(), Role::Reader, &mut rng(1))
            .unwrap_err(),
        AuthorError::VaultKeys(closed)
    );

    let mut later = log.clone();
    let rotation = author.rotate(&keys, &mut rng(2)).unwrap();
    later.append(&rotation, accounts).unwrap();
    let keys = scene.open_vault(&later).unwrap();
    assert_eq!(keys.check_current(), Ok(()));
    assert_eq!(keys.closed().collect::<Vec<_>>(), [closed]);
    // A new member finds the way to the first epoch.
    let keys = opened_by_a_new_member(&scene, &mut later, &keys);
    let known = [1, 2, 3].map(|epoch| keys.has_epoch(epoch));
    assert_eq!(known, [true, false, true]);
}

fn opened_by_a_new_member(scene: &Scene, log: &mut VaultLog, keys: &VaultKeys) -> VaultKeys {
    let other = Scene::of(2).account;
    let accounts = [&scene.account.log, &other.log].map(|log| (log.id(), log.clone()));
    let accounts = BTreeMap::from(accounts);
    let author = vault_author(scene, log, &accounts);
    let entry = author.add_member(keys, &other.log.id(), Role::Reader, &mut rng(3));
    log.append(&entry.unwrap(), &accounts).unwrap();
    VaultKeys::open(log, &other.secrets).unwrap()
}

#[test]
fn an_epoch_that_leads_nowhere_is_left_out_by_the_next() {
    let scene = Scene::new();
    let accounts = &scene.account.log;
    let mut log = scene.vault(|_| {}, |epoch| flip(&mut epoch.previous_secret));
    let keys = scene.open_vault(&log).unwrap();
    assert_eq!(keys.closed().count(), 0);
    let lost = VaultKeysError::NoWayBack {
        epoch: 2,
        author: scene.laptop.id(),
    };
    assert_eq!(keys.check_current(), Err(lost));
    let author = vault_author(&scene, &log, accounts);
    assert_eq!(
        author
            .add_member(&keys, &accounts.id(), Role::Reader, &mut rng(1))
            .unwrap_err(),
        AuthorError::VaultKeys(lost)
    );
    let rotation = author.rotate(&keys, &mut rng(2)).unwrap();
    log.append(&rotation, accounts).unwrap();
    let keys = scene.open_vault(&log).unwrap();
    assert_eq!((keys.check_current(), keys.closed().count()), (Ok(()), 0));
    let keys = opened_by_a_new_member(&scene, &mut log, &keys);
    let known = [1, 2, 3].map(|epoch| keys.has_epoch(epoch));
    assert_eq!(known, [true, false, true]);
}

#[test]
fn an_account_key_that_leads_nowhere_is_left_out_by_the_next() {
    let scene = Scene::new();
    let wraps = |log: &AccountLog| {
        let secrets = AccountSecrets::open(log, &scene.laptop).unwrap();
        let wrapped = secrets.to_wrap().map(|seed| *seed.as_bytes());
        let found = (1..=2).find(|&generation| {
            let key = secrets.kem(generation);
            key.map(|key| *key.seed().as_bytes()) == wrapped
        });
        found.unwrap()
    };
    assert_eq!(wraps(&scene.removal(|_| {})), 2);
    assert_eq!(wraps(&scene.removal(|key| flip(&mut key.previous_seed))), 1);
    // Where nothing leads back, what there is.
    let deaf = scene.removal_after(&scene.deaf_genesis(), |_| {});
    assert_eq!(wraps(&deaf), 2);
}

#[test]
fn an_epoch_is_begun_by_whom_all_are_closed_to() {
    let scene = Scene::new();
    let accounts = &scene.account.log;
    let noise = |epoch: &mut wire::Epoch| {
        flip(&mut epoch.boxes[0].r#box);
    };
    let log = scene.vault(noise, |epoch| {
        noise(epoch);
        flip(&mut epoch.previous_secret);
    });
    let error = scene.open_vault(&log).unwrap_err();
    assert_eq!(error, scene.unopenable_epoch(1));
    assert!(error.is_closed());
    // Who is no member, or lacks a part of the log, was kept out by nobody.
    assert!(!VaultKeysError::NotAMember.is_closed());
    assert!(!VaultKeysError::AccountKeyMissing { generation: 2 }.is_closed());
    let rotation = vault_author(&scene, &log, accounts).rotate(None, &mut rng(1));
    let mut later = log.clone();
    later.append(&rotation.unwrap(), accounts).unwrap();
    assert_eq!(later.epoch().number, 3);
}

#[test]
fn a_member_whose_key_is_none_stops_no_epoch() {
    let (owner, member) = (Scene::new(), Scene::of(2));
    let spoiled = member.removal(|key| key.kem_key = no_key().as_bytes().to_vec());
    let accounts = |member: &AccountLog| {
        BTreeMap::from([&owner.account.log, member].map(|log| (log.id(), log.clone())))
    };
    let (before, after) = (accounts(&member.account.log), accounts(&spoiled));
    let mut log = owner.vault(|_| {}, |_| {});
    let keys = owner.open_vault(&log).unwrap();
    let author = vault_author(&owner, &log, &after);
    assert_eq!(
        author
            .add_member(&keys, &spoiled.id(), Role::Writer, &mut rng(1))
            .unwrap_err(),
        AuthorError::RecipientKey(KemKeyError::X25519)
    );
    let author = vault_author(&owner, &log, &before);
    let entry = author.add_member(&keys, &spoiled.id(), Role::Writer, &mut rng(2));
    log.append(&entry.unwrap(), &before).unwrap();

    let rotation = vault_author(&owner, &log, &after).rotate(&keys, &mut rng(3));
    log.append(&rotation.unwrap(), &after).unwrap();
    let keys = owner.open_vault(&log).unwrap();
    assert_eq!((keys.current_epoch(), keys.closed().count()), (3, 0));
}
