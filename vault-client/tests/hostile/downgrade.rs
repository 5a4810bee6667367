//! Older and newer versions of what is signed and sealed, and weaker keys, put into
//! answers by a hoster. There is one version of each, and no suite to choose: what
//! says otherwise is refused by its name, and nothing of it is stored.

use std::sync::{Arc, Mutex};

use prost::Message;
use vault_client::account::{AccountError, OfferSelector, VaultSelector};
use vault_client::backup::BackupError;
use vault_client::contents::Contents;
use vault_client::error::ErrorCode;
use vault_client::vault::{RootError, UnreadableRoot, VaultError};
use vault_core::offer::OfferError;
use vault_core::root::OpenRootError;
use vault_proto::account_log::AccountLogError;
use vault_proto::head::HeadError;
use vault_proto::ids::OfferHash;
use vault_proto::vault_log::{Role, VaultLogError};
use vault_proto::wire::{
    AccountEntry, AccountGenesis, Root, SignedEntry, VaultEntry, VaultGenesis, account_entry,
    vault_entry,
};
use vault_rpc::hoster::SyncVaultResponse;

use super::history::assert_matches;
use super::scene::{Person, Scene, SecondDevice};
use crate::engine::backed_up;
use crate::support::rng;

/// A box as X25519 alone would make it: what it encapsulates, the 32 bytes in it,
/// and the tag.
const CLASSICAL_BOX_BYTES: usize = 32 + 32 + 16;

fn rewrite_vault_entry(entry: &mut SignedEntry, change: impl FnOnce(&mut VaultEntry)) {
    let mut payload = VaultEntry::decode(&entry.payload[..]).unwrap();
    change(&mut payload);
    entry.payload = payload.encode_to_vec();
}

fn rewrite_account_entry(entry: &mut SignedEntry, change: impl FnOnce(&mut AccountEntry)) {
    let mut payload = AccountEntry::decode(&entry.payload[..]).unwrap();
    change(&mut payload);
    entry.payload = payload.encode_to_vec();
}

fn vault_genesis(answer: &mut SyncVaultResponse, change: impl FnOnce(&mut VaultGenesis)) {
    rewrite_vault_entry(&mut answer.vault_entries[0], |entry| {
        let Some(vault_entry::Body::Genesis(genesis)) = &mut entry.body else {
            panic!("a log begins with its genesis");
        };
        change(genesis);
    });
}

fn account_genesis(answer: &mut SyncVaultResponse, change: impl FnOnce(&mut AccountGenesis)) {
    rewrite_account_entry(&mut answer.accounts[0].entries[0], |entry| {
        let Some(account_entry::Body::Genesis(genesis)) = &mut entry.body else {
            panic!("a log begins with its genesis");
        };
        change(genesis);
    });
}

type Lie = Box<dyn Fn(&mut SyncVaultResponse)>;
type Expected = Box<dyn Fn(&VaultError) -> bool>;

fn lie(
    change: impl Fn(&mut SyncVaultResponse) + 'static,
    expected: impl Fn(&VaultError) -> bool + 'static,
) -> (Lie, Expected) {
    (Box::new(change), Box::new(expected))
}

fn is_account_error(error: &VaultError, is_it: fn(&AccountLogError) -> bool) -> bool {
    matches!(error, VaultError::AccountLog { error, .. } if is_it(error))
}

/// Another version in each place that has one.
fn other_versions() -> Vec<(Lie, Expected)> {
    let mut lies = Vec::new();
    for other in [0, 2, u32::MAX] {
        let is_version = move |error: &VaultError| matches!(error, VaultError::VaultLog(VaultLogError::Version(named)) if *named == other);
        for first in [true, false] {
            let change = move |answer: &mut SyncVaultResponse| {
                let entries = &mut answer.vault_entries;
                let at = if first { 0 } else { entries.len() - 1 };
                rewrite_vault_entry(&mut entries[at], |entry| entry.version = other);
            };
            lies.push(lie(change, is_version));
        }
        let change = move |answer: &mut SyncVaultResponse| {
            let entry = &mut answer.accounts[0].entries[0];
            rewrite_account_entry(entry, |entry| entry.version = other);
        };
        lies.push(lie(change, move |error| {
            matches!(
                error,
                VaultError::AccountLog { error: AccountLogError::Version(named), .. }
                    if *named == other
            )
        }));
    }
    for digit in *b"02" {
        let change = move |answer: &mut SyncVaultResponse| answer.heads[0][7] = digit;
        lies.push(lie(change, |error| {
            matches!(error, VaultError::Head(HeadError::Magic))
        }));
    }
    lies
}

/// Shorter keys and boxes, and fewer signatures, as weaker suites have them.
fn weaker_suites() -> Vec<(Lie, Expected)> {
    vec![
        // An account's key, and a device's, of X25519 alone.
        lie(
            |answer| {
                account_genesis(answer, |genesis| {
                    genesis.account_key.as_mut().unwrap().kem_key.truncate(32);
                });
            },
            |error| is_account_error(error, |error| matches!(error, AccountLogError::Field(_))),
        ),
        lie(
            |answer| {
                account_genesis(answer, |genesis| {
                    let device = genesis.devices[0].public.as_mut().unwrap();
                    device.kem_key.truncate(32);
                });
            },
            |error| is_account_error(error, |error| matches!(error, AccountLogError::Device(_))),
        ),
        // A device of a kind that is none.
        lie(
            |answer| {
                account_genesis(answer, |genesis| {
                    genesis.devices[0].public.as_mut().unwrap().kind = 0;
                });
            },
            |error| is_account_error(error, |error| matches!(error, AccountLogError::Device(_))),
        ),
        // The epoch's secret in a box of X25519 alone, and the account's.
        lie(
            |answer| {
                vault_genesis(answer, |genesis| {
                    let epoch = genesis.epoch.as_mut().unwrap();
                    epoch.boxes[0].r#box.truncate(CLASSICAL_BOX_BYTES);
                });
            },
            |error| matches!(error, VaultError::VaultLog(VaultLogError::Field(_))),
        ),
        lie(
            |answer| {
                account_genesis(answer, |genesis| {
                    let key = genesis.account_key.as_mut().unwrap();
                    key.seeds[0].r#box.truncate(CLASSICAL_BOX_BYTES);
                });
            },
            |error| is_account_error(error, |error| matches!(error, AccountLogError::Field(_))),
        ),
        // No signatures, and half a one.
        lie(
            |answer| answer.vault_entries[0].signatures.clear(),
            |error| matches!(error, VaultError::VaultLog(VaultLogError::Signers)),
        ),
        lie(
            |answer| {
                answer.accounts[0].entries[0].signatures[0]
                    .signature
                    .truncate(32)
            },
            |error| matches!(error, VaultError::AccountLog { .. }),
        ),
        // A root without its tag, or of no size that roots have.
        lie(
            |answer| answer.root.truncate(answer.root.len() - 16),
            |error| matches!(error, VaultError::Head(HeadError::OtherRoot)),
        ),
        lie(
            |answer| answer.root.truncate(1),
            |error| matches!(error, VaultError::Head(HeadError::OtherRoot)),
        ),
    ]
}

/// For a device without memory, which has to take all from the hoster.
#[test]
fn no_other_version_and_no_weaker_suite_of_a_record_is_believed() {
    let scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    let honest = scene.whole_answer();
    let fresh = SecondDevice::of(&scene.person, &scene.hostile);
    fresh.forgets(&scene.vault);
    let before = fresh.stored();
    let (id, shown) = (
        scene.vault.id().to_vec(),
        Arc::new(Mutex::new(honest.clone())),
    );
    let answer = shown.clone();
    let sync = move |asked: &mut vault_rpc::hoster::SyncVaultRequest| {
        (asked.vault == id).then(|| Ok(answer.lock().unwrap().clone()))
    };
    scene.hostile.orders().sync_vault.instead(sync);
    let opened = |answer: SyncVaultResponse| {
        *shown.lock().unwrap() = answer;
        fresh.account.open_vault(&VaultSelector::Only)
    };
    let lies = [other_versions(), weaker_suites()].into_iter().flatten();
    for (number, (change, expected)) in lies.enumerate() {
        let mut answer = honest.clone();
        change(&mut answer);
        assert_ne!(answer, honest, "lie {number}");
        match opened(answer).err() {
            Some(AccountError::Vault(error)) => {
                assert!(expected(&error), "lie {number}: {error:?}");
                assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
                assert!(!error.is_transient(), "{error}");
            }
            Some(error) => panic!("lie {number}: {error}"),
            None => panic!("lie {number} was believed"),
        }
        assert_eq!(fresh.stored(), before, "lie {number}");
    }
    let vault = opened(honest).unwrap();
    assert_eq!(vault.head(), scene.vault.head());
}

/// A member's newer program says that older ones would misread the vault, or spoil
/// it. That is no attack, and nothing is guessed at.
#[test]
fn what_a_newer_program_has_written_is_not_guessed_at() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    let root = scene.vault.root().unwrap().clone();
    let newer = Root {
        minimum_writer: 2,
        ..root.clone()
    };
    paper.commit_change(scene.vault.id(), &newer, &[], &[]);
    scene.vault.refresh().unwrap();
    let head = scene.vault.head();
    scene.files.write("more", b"and more");
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::Vault(VaultError::WriterTooOld(_)));
    assert_eq!(error.code(), ErrorCode::TooNew);
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.head(), head);

    let newer = Root {
        minimum_reader: 2,
        ..newer
    };
    paper.commit_change(scene.vault.id(), &newer, &[], &[]);
    scene.vault.refresh().unwrap();
    let error = scene.vault.root().unwrap_err();
    assert_matches!(
        &error,
        VaultError::Unreadable(UnreadableRoot {
            error: RootError::Open(OpenRootError::ReaderTooOld { minimum: 2 }),
            ..
        })
    );
    assert_eq!(error.code(), ErrorCode::TooNew);
    let (before, head) = (scene.person.stored(), scene.vault.head());
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::Vault(VaultError::Unreadable(_)));
    let error = Contents::open(&scene.vault).err().unwrap();
    assert_eq!(error.code(), ErrorCode::TooNew);
    assert_eq!(scene.person.stored(), before);
    assert_eq!(scene.vault.head(), head);
}

/// An offer says its version before anything of it is opened.
#[test]
fn an_offer_of_another_version_is_not_opened() {
    let scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let bob = Person::at(&scene.hostile);
    bob.account.set_name("bob").unwrap();
    let mut vault = scene
        .person
        .account
        .open_vault(&VaultSelector::Only)
        .unwrap();
    let address = bob.account.address().unwrap();
    let shared = scene
        .person
        .account
        .share(&mut vault, &address, Role::Writer);
    shared.unwrap().delivered.unwrap();
    let genuine = bob.account.remote().list_offers().unwrap().remove(0);
    for version in [0, 2, 255] {
        let mut other = genuine.clone();
        other[0] = version;
        let shown = other.clone();
        scene
            .hostile
            .orders()
            .list_offers
            .tamper(move |_, answer| answer.offers = vec![shown.clone()]);
        let before = bob.stored();
        let offers = bob.account.offers().unwrap();
        assert!(offers.offers.is_empty());
        assert_eq!(offers.unreadable, [OfferHash::of(&other)]);
        let id = OfferSelector::Id(OfferHash::of(&other));
        let error = bob.account.accept_offer(&id, None).err().unwrap();
        assert_matches!(
            &error,
            AccountError::Offer(OfferError::Version(named)) if *named == u32::from(version)
        );
        assert_eq!(error.code(), ErrorCode::TooNew);
        assert_eq!(bob.stored(), before);
    }
    scene.front().behave();
    let id = OfferSelector::Id(OfferHash::of(&genuine));
    bob.account.accept_offer(&id, None).unwrap();
}
