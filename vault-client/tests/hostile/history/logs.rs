//! Entries and records: left out, moved, forked, changed, sealed to one otherwise.

use std::sync::{Arc, Mutex};

use prost::Message;
use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::vault::{Vault, VaultError};
use vault_core::keys::{DeviceKeys, VaultKeysError};
use vault_proto::sign::SignLabel;
use vault_proto::vault_log::{Role, VaultLogError};
use vault_proto::wire::{Signature, SignedEntry, VaultEntry, vault_entry::Body};
use vault_rpc::hoster::SyncVaultResponse;

use super::assert_matches;
use crate::hostile::scene::{Scene, SecondDevice};
use crate::support::rng;

/// An epoch's secret is committed to in the entry that begins it: a manager
/// cannot give one member another.
#[test]
fn a_manager_who_gives_members_different_secrets_is_found_out() {
    let mut scene = Scene::small();
    let manager = scene.joined_by_somebody(Role::Manager);
    let manager = manager.paper(&scene.hostile);
    let victim = scene.person.account.id();
    manager.append(scene.vault.id(), |author, keys| {
        let [honest, other] = [(); 2].map(|()| author.rotate(keys, &mut rng()).unwrap());
        with_box_of(&honest, &other, victim.as_bytes(), &manager.keys)
    });
    let head = scene.vault.head();
    scene.vault.refresh().unwrap();
    let keys = scene.vault.keys().unwrap();
    let closed = VaultKeysError::WrongCommitment {
        epoch: 2,
        author: manager.keys.id(),
    };
    assert_eq!(keys.closed().collect::<Vec<_>>(), [closed]);
    assert_eq!(keys.check_current(), Err(closed));
    assert_eq!(scene.vault.head(), head);
    // Nothing was sealed under what he was given, and now nothing is any more: the
    // next epoch is everybody's.
    scene.vault.prepare().unwrap();
    let keys = scene.vault.keys().unwrap();
    assert_eq!((keys.current_epoch(), keys.check_current()), (3, Ok(())));
    assert_eq!(keys.closed().count(), 1);
}

/// The first entry with one member's box of the second, signed again.
fn with_box_of(
    one: &SignedEntry,
    other: &SignedEntry,
    member: &[u8],
    device: &DeviceKeys,
) -> SignedEntry {
    let [mut one, other] =
        [one, other].map(|entry| VaultEntry::decode(&entry.payload[..]).unwrap());
    let (Some(Body::Rotate(mine)), Some(Body::Rotate(theirs))) = (&mut one.body, other.body) else {
        panic!("two rotations");
    };
    let (mine, theirs) = (mine.epoch.as_mut().unwrap(), theirs.epoch.unwrap());
    let place = |boxes: &[vault_proto::wire::EpochBox]| {
        let is_his = |found: &vault_proto::wire::EpochBox| {
            found.member.as_ref().is_some_and(|m| m.account == member)
        };
        boxes.iter().position(is_his).unwrap()
    };
    let (at, from) = (place(&mine.boxes), place(&theirs.boxes));
    mine.boxes[at] = theirs.boxes[from].clone();
    let payload = one.encode_to_vec();
    let signature = device.sign(SignLabel::VaultEntry, &payload).to_vec();
    SignedEntry {
        payload,
        signatures: vec![Signature {
            device: device.id().to_vec(),
            signature,
        }],
    }
}

#[test]
fn entries_of_a_vaults_log_are_neither_left_out_nor_moved_nor_repeated() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    for _ in 0..3 {
        paper.append(scene.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    type Lie = (fn(&mut SyncVaultResponse), fn(&VaultLogError) -> bool);
    let lies: [Lie; 4] = [
        (
            |answer| drop(answer.vault_entries.remove(0)),
            |error| matches!(error, VaultLogError::Missing { .. }),
        ),
        (
            |answer| answer.vault_entries.swap(0, 1),
            |error| matches!(error, VaultLogError::Missing { .. }),
        ),
        (
            |answer| {
                let first = answer.vault_entries[0].clone();
                answer.vault_entries.insert(0, first);
            },
            |error| matches!(error, VaultLogError::Repeated { .. }),
        ),
        (
            |answer| answer.vault_entries[1].signatures.clear(),
            |error| matches!(error, VaultLogError::Signers),
        ),
    ];
    for (lie, expected) in lies {
        scene.tamper(lie);
        match scene.refused() {
            VaultError::VaultLog(error) => assert!(expected(&error), "{error:?}"),
            error => panic!("{error:?}"),
        }
    }
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.keys().unwrap().current_epoch(), 4);
}

#[test]
fn a_log_that_forks_from_what_was_seen_is_noticed() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    // An entry that the hoster shows to one device and then forgets.
    let shown = Arc::new(Mutex::new(None));
    let kept = shown.clone();
    scene
        .hostile
        .orders()
        .append_vault_entry
        .instead(move |asked| {
            *kept.lock().unwrap() = asked.entry.clone();
            Some(Ok(vault_rpc::hoster::AppendVaultEntryResponse {}))
        });
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    scene.front().behave();
    let entry = shown.lock().unwrap().take().unwrap();
    scene.tamper(move |answer| answer.vault_entries.push(entry.clone()));
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.keys().unwrap().current_epoch(), 2);
    scene.front().behave();
    for _ in 0..2 {
        paper.append(scene.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    let error = scene.refused();
    assert_matches!(error, VaultError::VaultLog(VaultLogError::Fork { .. }));
}

/// Every byte of a head, its root, and every log entry, as a device sees them
/// that has no memory and has to take all from the hoster.
#[test]
fn no_flipped_byte_of_a_record_is_believed() {
    let scene = Scene::small();
    let honest = scene.whole_answer();
    let fresh = SecondDevice::of(&scene.person, &scene.hostile);
    fresh.forgets(&scene.vault);
    let before = fresh.stored();
    let id = scene.vault.id().to_vec();
    let answer = Arc::new(Mutex::new(honest.clone()));
    let shown = answer.clone();
    scene
        .hostile
        .orders()
        .sync_vault
        .instead(move |asked| (asked.vault == id).then(|| Ok(shown.lock().unwrap().clone())));
    let opened = |lie: SyncVaultResponse| {
        *answer.lock().unwrap() = lie;
        fresh.account.open_vault(&VaultSelector::Only)
    };
    let mut places = 0;
    for number in 0.. {
        let mut lie = honest.clone();
        let Some(byte) = bytes_of(&mut lie).nth(number) else {
            break;
        };
        *byte ^= 1 << (number % 8);
        let error = opened(lie).err().expect("a flipped byte was believed");
        assert_eq!(
            error.code(),
            ErrorCode::HosterMisbehaved,
            "{number}: {error}"
        );
        places += 1;
    }
    assert!(places > 8_000, "{places}");
    assert_eq!(fresh.stored(), before);
    let vault: Vault = opened(honest).unwrap();
    assert_eq!(vault.head(), scene.vault.head());
}

/// The bytes of all that is signed or named by what is signed.
fn bytes_of(answer: &mut SyncVaultResponse) -> impl Iterator<Item = &mut u8> {
    let accounts = answer.accounts.iter_mut();
    let entries = accounts.flat_map(|account| &mut account.entries);
    let entries = entries.chain(&mut answer.vault_entries);
    let signed = entries.flat_map(|entry| {
        let signatures = entry.signatures.iter_mut();
        let signatures =
            signatures.flat_map(|made| made.device.iter_mut().chain(&mut made.signature));
        entry.payload.iter_mut().chain(signatures)
    });
    let heads = answer.heads.iter_mut().flatten();
    signed.chain(heads).chain(&mut answer.root)
}
