//! Accounts, devices and members: substituted, added by nobody, brought back,
//! reordered.

use std::sync::{Arc, Mutex};

use prost::Message;
use vault_client::account::{AccountError, VaultSelector};
use vault_client::vault::VaultError;
use vault_core::author::{AccountAuthor, AuthorError};
use vault_core::keys::{AccountSecrets, DeviceKeys};
use vault_proto::account_log::{AccountLog, AccountLogError};
use vault_proto::sign::SignLabel;
use vault_proto::vault_log::{Role, VaultLogError};
use vault_proto::wire::{AccountEntry, Signature, SignedEntry};
use vault_rpc::hoster::AccountEntries;

use super::history::assert_matches;
use super::scene::{Person, Scene, SecondDevice};
use crate::support::rng;

impl Scene {
    /// The hoster sends these entries of the member's own log besides.
    pub(super) fn show_account_entries(&self, entries: Vec<SignedEntry>) {
        let account = self.person.account.id().to_vec();
        self.tamper(move |answer| {
            answer.accounts.push(AccountEntries {
                account: account.clone(),
                entries: entries.clone(),
            });
        });
    }

    pub(super) fn account_log_error(&mut self) -> AccountLogError {
        match self.refused() {
            VaultError::AccountLog { error, .. } => error,
            error => panic!("{error}"),
        }
    }
}

/// An entry that adds `device` to the log, signed by both.
pub(super) fn added(log: &AccountLog, paper: &DeviceKeys, device: &DeviceKeys) -> SignedEntry {
    let secrets = AccountSecrets::open(log, paper).unwrap();
    let author = AccountAuthor {
        log,
        secrets: &secrets,
        device: paper,
    };
    let addition = author
        .draft_addition(device.public(), "a phone", &mut rng())
        .unwrap();
    let signature = addition.sign(device).unwrap();
    author.complete_addition(&addition, &signature).unwrap()
}

/// Signed again by others than its author named, or in his name.
pub(super) fn signed_by(entry: &SignedEntry, signers: &[(&[u8], &DeviceKeys)]) -> SignedEntry {
    let signatures = signers.iter().map(|(name, device)| Signature {
        device: name.to_vec(),
        signature: device
            .sign(SignLabel::AccountEntry, &entry.payload)
            .to_vec(),
    });
    let mut signatures: Vec<_> = signatures.collect();
    signatures.sort_by(|one, other| one.device.cmp(&other.device));
    SignedEntry {
        payload: entry.payload.clone(),
        signatures,
    }
}

/// A device that nobody of the account has added: signed by itself, by itself
/// in the name of a device of the account, and by a stranger's.
#[test]
fn a_ghost_device_is_refused() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    let ghost = DeviceKeys::generate(&mut rng());
    let log = paper.own_log();
    let genuine = added(&log, &paper.keys, &ghost);
    let (ghosts, papers) = (ghost.id(), paper.keys.id());
    let lies = [
        signed_by(&genuine, &[(ghosts.as_bytes(), &ghost)]),
        signed_by(
            &genuine,
            &[(ghosts.as_bytes(), &ghost), (papers.as_bytes(), &ghost)],
        ),
        authored_by_itself(&genuine, &ghost),
    ];
    for lie in lies {
        scene.show_account_entries(vec![lie]);
        assert_matches!(
            scene.account_log_error(),
            AccountLogError::Signers
                | AccountLogError::BadSignature { .. }
                | AccountLogError::AuthorNotActive
        );
    }
    scene.assert_honest_again();
}

/// The same entry with the new device as its author.
pub(super) fn authored_by_itself(entry: &SignedEntry, ghost: &DeviceKeys) -> SignedEntry {
    let mut entry = AccountEntry::decode(&entry.payload[..]).unwrap();
    entry.author = ghost.id().to_vec();
    let payload = entry.encode_to_vec();
    let unsigned = SignedEntry {
        payload,
        signatures: Vec::new(),
    };
    signed_by(&unsigned, &[(ghost.id().as_bytes(), ghost)])
}

/// The entry that added it is genuine, and so is the one that removed it.
#[test]
fn a_removed_device_is_not_added_back() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    let lost = DeviceKeys::generate(&mut rng());
    let mut log = paper.own_log();
    let add = added(&log, &paper.keys, &lost);
    log.append(&add).unwrap();
    paper.remote.append_account_entry(&add).unwrap();
    let secrets = AccountSecrets::open(&log, &paper.keys).unwrap();
    let author = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &paper.keys,
    };
    let remove = author.remove_device(&lost.id(), &mut rng()).unwrap();
    log.append(&remove).unwrap();
    paper.remote.append_account_entry(&remove).unwrap();
    paper.append(scene.vault.id(), |author, _| {
        author.refresh(&paper.account).unwrap()
    });
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    scene.vault.refresh().unwrap();

    scene.show_account_entries(vec![add.clone()]);
    assert_matches!(
        scene.account_log_error(),
        AccountLogError::Repeated { seq: 2 }
    );
    // Even a new entry for it, by the owner's paper, is refused: what was
    // removed once stays out.
    let secrets = AccountSecrets::open(&log, &paper.keys).unwrap();
    let author = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &paper.keys,
    };
    let again = author.draft_addition(lost.public(), "a phone", &mut rng());
    assert!(again.is_err_and(|error| matches!(
        error,
        AuthorError::AccountLog(AccountLogError::DeviceReused(_))
    )));
    scene.assert_honest_again();
}

/// Another account under the member's id, for a device that has nothing yet but
/// the id.
#[test]
fn another_account_under_an_id_is_refused() {
    let scene = Scene::small();
    let stranger = Person::at(&scene.hostile).paper(&scene.hostile).own_log();
    let fresh = SecondDevice::of(&scene.person, &scene.hostile);
    fresh.forgets(&scene.vault);
    let before = fresh.stored();
    let known = fresh.account.id();
    scene.tamper(move |answer| {
        for account in &mut answer.accounts {
            assert_eq!(account.account, known.as_bytes());
            account.entries = stranger.entries().to_vec();
        }
    });
    let error = fresh.account.open_vault(&VaultSelector::Only).err();
    assert_matches!(
        error,
        Some(AccountError::Vault(
            VaultError::WrongGenesis | VaultError::AccountLog { .. }
        ))
    );
    assert_eq!(fresh.stored(), before);
}

#[test]
fn a_removed_members_invitation_is_not_replayed() {
    let mut scene = Scene::small();
    let added = Arc::new(Mutex::new(Vec::new()));
    let kept = added.clone();
    scene
        .hostile
        .orders()
        .append_vault_entry
        .instead(move |asked| {
            kept.lock().unwrap().extend(asked.entry.clone());
            None
        });
    let somebody = scene.joined_by_somebody(Role::Writer);
    scene.front().behave();
    let id = somebody.account.id();
    let paper = scene.person.paper(&scene.hostile);
    paper.append(scene.vault.id(), |author, _| {
        author.remove_member(&id).unwrap()
    });
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    scene.vault.refresh().unwrap();
    let replayed = added.lock().unwrap().clone();
    assert_eq!(replayed.len(), 2);
    for entry in replayed {
        scene.tamper(move |answer| answer.vault_entries.push(entry.clone()));
        assert_matches!(
            scene.refused(),
            VaultError::VaultLog(VaultLogError::Repeated { .. })
        );
    }
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert!(!scene.vault.log().members().any(|(member, _)| member == id));
}

/// Added, accepted, removed: in any other order than that, or with one of them
/// left out.
#[test]
fn membership_is_not_reordered() {
    let mut scene = Scene::small();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    let somebody = scene.joined_by_somebody(Role::Writer).account.id();
    let paper = scene.person.paper(&scene.hostile);
    paper.append(scene.vault.id(), |author, _| {
        author.remove_member(&somebody).unwrap()
    });
    let missing = |expected, got| VaultLogError::Missing { expected, got };
    let repeated = |seq| VaultLogError::Repeated { seq };
    // After the genesis, which this device knows.
    let orders: [(&[usize], VaultLogError); 7] = [
        (&[1, 0, 2], missing(2, 3)),
        (&[0, 2, 1], missing(3, 4)),
        (&[2, 1, 0], missing(2, 4)),
        (&[1, 2], missing(2, 3)),
        (&[0, 2], missing(3, 4)),
        (&[2], missing(2, 4)),
        (&[0, 1, 1, 2], repeated(3)),
    ];
    for (order, expected) in orders {
        scene.tamper(move |answer| {
            let entries = answer.vault_entries.clone();
            assert_eq!(entries.len(), 3);
            answer.vault_entries = order.iter().map(|at| entries[*at].clone()).collect();
        });
        let error = super::scene::refused(&second.home, &mut theirs);
        assert_matches!(&error, VaultError::VaultLog(found) if *found == expected);
    }
    scene.front().behave();
    theirs.refresh().unwrap();
    assert!(theirs.log().rotation_due());
}
