//! Signing up, and the vaults of an account.

use vault_client::account::{Account, AccountError, Standing, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{Call, MemoryHoster};
use vault_client::remote::{RefusalReason, RemoteError};
use vault_client::state::{FileKeyStore, KeySlot, KeyStore, State, StateError};
use vault_core::keys::DeviceKeys;

use crate::support::{Member, line_lost, setup};

#[test]
fn an_account_is_made_once_and_opens_again() {
    let member = Member::new();
    let account = member.reopened();
    assert_eq!(account.id(), member.account.id());
    assert_eq!(account.device_name().unwrap(), "a laptop");
    assert_eq!(account.hoster(), member.hoster.id());
    assert!(account.vaults().unwrap().is_empty());
    let none = account.open_vault(&VaultSelector::Only);
    assert!(matches!(none, Err(AccountError::NoVault)));
}

/// Such a name would be refused by every backup.
#[test]
fn a_device_whose_name_cannot_be_shown_does_not_sign_up() {
    let hoster = MemoryHoster::new();
    let home = tempfile::tempdir().unwrap();
    let setup = setup(home.path(), hoster.clone());
    for name in ["", "a\u{7}b", "a\nb"] {
        let error = Account::sign_up(&setup, &hoster.invite(), name)
            .err()
            .unwrap();
        assert!(matches!(error, AccountError::DeviceName), "{error}");
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
    assert!(hoster.calls().is_empty());
    assert!(!home.path().join("device.key").exists());
}

#[test]
fn a_sign_up_may_break_anywhere_and_is_repeated() {
    let calls = {
        let member = Member::new();
        member.hoster.calls().len()
    };
    assert!(calls >= 5, "{calls}");
    for lose_answer in [false, true] {
        for call in 0..calls {
            let hoster = MemoryHoster::new();
            let home = tempfile::tempdir().unwrap();
            let setup = setup(home.path(), hoster.clone());
            let invitation = hoster.invite();
            if lose_answer {
                hoster.lose_answer_after(call);
            } else {
                hoster.fail_after(call, line_lost());
            }
            let broken = Account::sign_up(&setup, &invitation, "a laptop");
            let error = broken.err().expect("a call failed");
            assert!(error.is_transient(), "{error}");
            let unfinished = Account::open(&setup).err();
            assert!(matches!(unfinished, Some(AccountError::SignUpUnfinished)));

            let (account, phrase) = Account::sign_up(&setup, &invitation, "a laptop").unwrap();
            // One account, one vault, one head in it: nothing was made twice.
            let creations = hoster.calls();
            let creations = creations.iter().filter(|call| **call == Call::CreateVault);
            assert!(creations.count() <= 2);
            assert_eq!(account.remote().list_vaults().unwrap().len(), 1);
            assert!(Account::open(&setup).is_ok());
            assert!(phrase.device_keys().is_paper());
        }
    }
}

#[test]
fn the_phrase_is_given_again_until_it_is_on_paper() {
    let member = Member::new();
    let setup = setup(member.home.path(), member.hoster.clone());
    let again = Account::sign_up(&setup, &member.hoster.invite(), "another name");
    let (account, phrase) = again.unwrap();
    assert_eq!(account.id(), member.account.id());
    assert!(phrase == member.phrase);
    account.forget_phrase().unwrap();
    let before = member.stored();
    let exists = Account::sign_up(&setup, &member.hoster.invite(), "a laptop").err();
    assert!(matches!(exists, Some(AccountError::AccountExists)));
    assert_eq!(member.stored(), before);
}

#[test]
fn an_invitation_is_good_for_one_account() {
    let hoster = MemoryHoster::new();
    let invitation = hoster.invite();
    let sign_up = |home: &tempfile::TempDir| {
        Account::sign_up(&setup(home.path(), hoster.clone()), &invitation, "a laptop")
    };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sign_up(&first).unwrap();
    let error = sign_up(&second).err().unwrap();
    assert_eq!(error.code(), ErrorCode::InvitationUsed);
    // With another invitation, the same device gets on.
    let setup = setup(second.path(), hoster.clone());
    Account::sign_up(&setup, &hoster.invite(), "a laptop").unwrap();
}

#[test]
fn another_devices_key_opens_nothing() {
    let member = Member::new();
    let setup = setup(member.home.path(), member.hoster.clone());
    let keys = FileKeyStore::new(member.home.path());
    keys.remove(KeySlot::Device).unwrap();
    let error = Account::open(&setup).err().unwrap();
    assert!(matches!(error, AccountError::DeviceKeyMissing));
    let stranger = DeviceKeys::generate(&mut crate::support::rng());
    keys.store_new(KeySlot::Device, &stranger.to_secret_bytes()[..])
        .unwrap();
    let error = Account::open(&setup).err().unwrap();
    assert!(matches!(error, AccountError::OtherDeviceKey));
    assert_eq!(error.code(), ErrorCode::WrongKey);
    keys.remove(KeySlot::Device).unwrap();
    keys.store_new(KeySlot::Device, b"no key").unwrap();
    let error = Account::open(&setup).err().unwrap();
    assert_eq!(error.code(), ErrorCode::WrongKey);
}

#[test]
fn vaults_have_names_on_every_device() {
    let member = Member::new();
    let photos = member.account.create_vault("photos").unwrap();
    let found = member.account.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!((found.id(), found.name()), (photos.id(), Some("photos")));
    let mail = member.account.create_vault("mail").unwrap();
    let open = |selector: VaultSelector| member.account.open_vault(&selector);
    let several = open(VaultSelector::Only).err().unwrap();
    assert_eq!(several.code(), ErrorCode::AmbiguousVault);
    assert_eq!(
        open(VaultSelector::Name("mail".into())).unwrap().id(),
        mail.id()
    );
    assert_eq!(
        open(VaultSelector::Id(photos.id())).unwrap().id(),
        photos.id()
    );
    let none = open(VaultSelector::Name("music".into())).err().unwrap();
    assert_eq!(none.code(), ErrorCode::NoVault);

    let taken = member.account.create_vault("mail").err().unwrap();
    assert!(matches!(taken, AccountError::NameTaken(id) if id == mail.id()));
    for name in ["", "two\nlines", &"x".repeat(256)] {
        let error = member.account.create_vault(name).err().unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{name:?}");
    }
    let names: Vec<_> = member.account.vaults().unwrap();
    let names: Vec<_> = names.iter().map(|vault| vault.name.as_deref()).collect();
    assert_eq!(names, [Some("mail"), Some("photos")]);
}

#[test]
fn opening_a_known_vault_asks_nobody() {
    let (member, vault) = Member::with_vault();
    member.hoster.forget_calls();
    let found = member.reopened().open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(
        (found.head(), found.root().unwrap()),
        (vault.head(), vault.root().unwrap())
    );
    assert_eq!(member.hoster.calls(), []);
}

#[test]
fn the_making_of_a_vault_may_break_anywhere_and_is_repeated() {
    let calls = {
        let member = Member::new();
        member.hoster.forget_calls();
        member.account.create_vault("photos").unwrap();
        member.hoster.calls().len()
    };
    for lose_answer in [false, true] {
        for call in 0..calls {
            let member = Member::new();
            if lose_answer {
                member.hoster.lose_answer_after(call);
            } else {
                member.hoster.fail_after(call, line_lost());
            }
            let error = member.account.create_vault("photos").err().unwrap();
            assert!(error.is_transient(), "{error}");
            let vault = member.reopened().create_vault("photos").unwrap();
            let vaults = member.reopened().vaults().unwrap();
            assert_eq!(vaults.len(), 1, "broken at call {call}");
            assert_eq!(vaults[0].id, vault.id());
            assert_eq!(vaults[0].standing, Standing::Listed);
        }
    }
}

#[test]
fn a_vault_that_the_hoster_hides_is_reported() {
    let (member, vault) = Member::with_vault();
    member.hoster.hide_vault(&vault.id());
    let vaults = member.account.vaults().unwrap();
    assert_eq!(vaults[0].standing, Standing::Hidden);
    assert_eq!(vaults[0].name.as_deref(), Some("documents"));
}

#[test]
fn settings_that_were_swapped_are_noticed() {
    let member = Member::new();
    member.account.create_vault("photos").unwrap();
    let vaults = member.account.remote().list_vaults().unwrap();
    let kind = vault_proto::wire::VaultKind::Account;
    let (vault, _) = vaults.iter().find(|(_, listed)| *listed == kind).unwrap();
    let packs = member.hoster.packs(vault);
    assert_eq!(packs.len(), 2, "the first went to the trash");
    assert!(member.hoster.swap_packs(vault, &packs[0], &packs[1]));
    let before = member.stored();
    let error = member.account.vaults().err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(member.stored(), before);
    member.hoster.swap_packs(vault, &packs[0], &packs[1]);
    member.account.vaults().unwrap();
    for pack in packs {
        member.hoster.lose_pack(vault, &pack);
    }
    let error = member.account.vaults().err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    for bytes in [-1, 1, -16_384] {
        let member = Member::new();
        member.hoster.lengthen_reads(bytes);
        let error = member.account.vaults().err().unwrap();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    }
}

#[test]
fn one_process_at_a_time_changes_the_account() {
    let member = Member::new();
    let state = State::open(member.home.path()).unwrap();
    let lock = state.home().lock_account().unwrap();
    let error = member.account.create_vault("photos").err().unwrap();
    assert!(matches!(
        error,
        AccountError::State(StateError::AccountBusy)
    ));
    drop(lock);
    member.account.create_vault("photos").unwrap();
}

#[test]
fn a_refusal_keeps_its_reason() {
    let member = Member::new();
    let refusal = vault_client::remote::Refusal::new(RefusalReason::DiskFull, "no room");
    member.hoster.fail_after(0, RemoteError::Refused(refusal));
    let error = member.account.vaults().err().unwrap();
    assert_eq!(error.code(), ErrorCode::DiskFull);
    assert!(!error.is_transient());
}
