//! Whoever was once let in writes noise where others look for keys: it shuts nobody
//! out, least of all from removing him.

use std::fs;

use prost::Message;
use vault_client::account::VaultSelector;
use vault_client::remote::{CommitOutcome, CommitRequest};
use vault_client::vault::{Upkeep, VaultError};
use vault_core::author::AccountAuthor;
use vault_core::keys::{
    AccountSecrets, AccountSecretsError, DeviceKeys, VaultKeys, VaultKeysError,
};
use vault_proto::sign::SignLabel;
use vault_proto::vault_log::Role;
use vault_proto::wire::{
    AccountEntry, Signature, SignedEntry, VaultEntry, account_entry, vault_entry,
};

use super::removal::share;
use crate::support::{Machine, Member, Other, commit, forge, rng};

/// The bytes of a box or a wrapped secret, as nobody has sealed them.
fn spoil(sealed: &mut [u8]) {
    sealed.fill(0x5a);
}

fn signed(device: &Other, label: SignLabel, payload: Vec<u8>) -> SignedEntry {
    let signature = device.keys.sign(label, &payload).to_vec();
    SignedEntry {
        payload,
        signatures: vec![Signature {
            device: device.keys.id().to_vec(),
            signature,
        }],
    }
}

/// Removes a device, with noise for everybody.
fn spoil_account_key(thief: &Other, removed: &Machine) {
    let log = thief.own_log();
    let author = AccountAuthor {
        log: &log,
        secrets: &AccountSecrets::open(&log, &thief.keys).unwrap(),
        device: &thief.keys,
    };
    let honest = author.remove_device(&removed.account.device(), &mut rng());
    let mut entry = AccountEntry::decode(&honest.unwrap().payload[..]).unwrap();
    let Some(account_entry::Body::RemoveDevice(removal)) = &mut entry.body else {
        unreachable!()
    };
    let key = removal.account_key.as_mut().unwrap();
    spoil(&mut key.previous_seed);
    key.seeds.iter_mut().for_each(|seed| spoil(&mut seed.r#box));
    let entry = signed(thief, SignLabel::AccountEntry, entry.encode_to_vec());
    thief.remote.append_account_entry(&entry).unwrap();
}

/// The rotation, with noise for everybody.
pub(crate) fn spoil_epoch(thief: &Other, honest: &SignedEntry) -> SignedEntry {
    let mut entry = VaultEntry::decode(&honest.payload[..]).unwrap();
    let Some(vault_entry::Body::Rotate(rotation)) = &mut entry.body else {
        unreachable!()
    };
    let epoch = rotation.epoch.as_mut().unwrap();
    spoil(&mut epoch.previous_secret);
    epoch
        .boxes
        .iter_mut()
        .for_each(|sealed| spoil(&mut sealed.r#box));
    signed(thief, SignLabel::VaultEntry, entry.encode_to_vec())
}

#[test]
fn a_thief_who_spoils_all_keys_is_removed_all_the_same() {
    let (member, mut vault) = Member::with_vault();
    commit(&mut vault);
    let phone = Machine::of(&member, "a phone");
    let tablet = Machine::of(&member, "a tablet");
    let thief = phone.other(&member);
    let vaults: Vec<_> = thief.remote.list_vaults().unwrap();
    for (vault, _) in &vaults {
        thief.append(*vault, |author, keys| {
            spoil_epoch(&thief, &author.rotate(keys, &mut rng()).unwrap())
        });
    }
    spoil_account_key(&thief, &tablet);

    // What stands can be seen, by name and by who did it.
    vault.refresh().unwrap();
    let closed = VaultKeysError::Unopenable {
        epoch: 2,
        author: thief.keys.id(),
    };
    let keys = vault.keys().unwrap();
    assert_eq!(keys.closed().collect::<Vec<_>>(), [closed]);
    let listed = member.account.devices().unwrap();
    assert!(listed.iter().all(|device| device.name.is_some()));
    // While the account's own key is closed, no new epoch would be open either.
    let error = vault.prepare().unwrap_err();
    assert!(
        matches!(
            error,
            VaultError::VaultKeys(VaultKeysError::Unopenable { .. })
        ),
        "{error}"
    );

    let removal = member.account.remove_device(&thief.keys.id()).unwrap();
    assert_eq!(removal.vaults.len(), 2);
    for vault in &removal.vaults {
        assert_eq!(*vault.upkeep.as_ref().unwrap(), Upkeep::Rotated);
    }
    vault.refresh().unwrap();
    commit(&mut vault);
    let log = member.paper().own_log();
    let laptop = fs::read(member.home.path().join("device.key")).unwrap();
    let laptop = DeviceKeys::from_secret_bytes(&laptop).unwrap();
    for keys in [member.paper().keys, laptop] {
        let secrets = AccountSecrets::open(&log, &keys).unwrap();
        let author = thief.keys.id();
        let closed = AccountSecretsError::Unopenable {
            generation: 2,
            author,
        };
        assert_eq!(secrets.closed().collect::<Vec<_>>(), [closed]);
    }
    // All that has a name is open: settings, devices, vaults.
    member.account.create_vault("photos").unwrap();
    assert_eq!(member.account.vaults().unwrap().len(), 2);
    let next = Machine::of(&member, "a new phone");
    let selector = VaultSelector::Id(vault.id());
    commit(&mut next.account.open_vault(&selector).unwrap());
}

#[test]
fn a_writer_who_commits_what_nobody_can_read_is_removed_all_the_same() {
    let (alice, mut vault) = Member::with_vault();
    commit(&mut vault);
    let bob = Member::at(&alice.hoster);
    share(&alice, &mut vault, &bob, Role::Writer);
    let thief = bob.paper();
    let mut sight = thief.look(vault.id());
    let epochs = vec![[9; 32]; usize::try_from(sight.log.epoch().number).unwrap()];
    sight.keys = VaultKeys::from_epoch_secrets(vault.id(), &epochs);
    let (head, root) = forge(&sight, &thief.keys, thief.account, |_| {});
    let request = CommitRequest {
        head,
        root,
        adds: Vec::new(),
        removes: Vec::new(),
    };
    let outcome = thief.remote.commit_head(&request).unwrap();
    assert_eq!(outcome, CommitOutcome::Accepted);

    vault.refresh().unwrap();
    let (state, head) = (alice.stored(), vault.head());
    for error in [vault.root().unwrap_err(), vault.prepare().unwrap_err()] {
        let VaultError::Unreadable(unreadable) = error else {
            panic!("{error}")
        };
        assert_eq!(Some(unreadable.head), head.map(|head| head.seq));
        assert_eq!(unreadable.account, bob.account.id());
        assert_eq!(unreadable.device, thief.keys.id());
    }
    assert_eq!((alice.stored(), vault.head()), (state, head));
    // Who did it can be put out, and the keys change.
    alice
        .account
        .unshare(&mut vault, &bob.account.id())
        .unwrap();
    assert_eq!(vault.keep_up().unwrap(), Upkeep::Nothing);
    assert!(vault.log().member(&bob.account.id()).is_none());
    assert!(!vault.log().rotation_due());
}
