//! Those who do not say who they are, and hosters of which nothing is known.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use vault_client::account::pairing::{NewDevice, PairingCode};
use vault_client::account::{Account, AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::remote::grpc::Pace;
use vault_client::remote::{
    Connect, Credentials, HosterAddress, MAX_MESSAGE_BYTES, RefusalReason, RemoteError, Visitor,
};
use vault_client::vault::Freshness;
use vault_core::keys::{DeviceKeys, PhraseLanguage, RecoveryPhrase};
use vault_proto::ids::{AccountId, DeviceId, MessageName, OfferHash};
use vault_proto::invitation::TlsTrust;
use vault_server::Tls;

use super::login::man_in_the_middle;
use crate::support::commit;
use crate::support::hoster::{Device, Hoster};

fn connect(hoster: &Hoster) -> Arc<dyn Connect> {
    let nowhere = std::path::Path::new("/nonexistent");
    hoster.setup(nowhere, Pace::default()).connect
}

fn discover(hoster: &Hoster) -> Result<(HosterAddress, Arc<dyn Visitor>), RemoteError> {
    connect(hoster).discover(&hoster.origin())
}

fn refused(error: &RemoteError) -> RefusalReason {
    match error {
        RemoteError::Refused(refusal) => refusal.reason,
        error => panic!("{error:?}"),
    }
}

#[test]
fn a_hoster_is_learnt_from_its_address_alone() {
    for tls in [Tls::SelfSigned, Tls::BehindProxy] {
        let hoster = Hoster::start_with(tls);
        let invitation = hoster.invite(1 << 30);
        let (address, _) = discover(&hoster).unwrap();
        let expected = HosterAddress {
            origin: invitation.origin,
            hoster: invitation.hoster,
            tls: invitation.tls,
        };
        assert_eq!(address, expected);
    }
}

#[test]
fn nobody_is_learnt_past_somebody_in_between() {
    let hoster = Hoster::start();
    let middle = hoster.tokio().block_on(man_in_the_middle(&hoster));
    hoster.relay.lead_to(middle);
    assert_eq!(discover(&hoster).err(), Some(RemoteError::WrongHosterKey));
    hoster.relay.lead_to(hoster.server_address());
    discover(&hoster).unwrap();

    // The bytes pass unchanged, and the hoster was dialled as another.
    let elsewhere = Hoster::start();
    elsewhere.relay.lead_to(hoster.relay.address());
    let error = discover(&elsewhere).err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterRefused, "{error:?}");
}

#[test]
fn a_visitor_talks_to_nobody_but_the_hoster() {
    let hoster = Hoster::start();
    let (address, _) = discover(&hoster).unwrap();
    let other = Hoster::start();
    let (elsewhere, _) = discover(&other).unwrap();
    let device = DeviceId::from_array([7; 32]);
    let ask = |address| connect(&hoster).visit(address).find_account(&device);
    assert_eq!(ask(address.clone()), Ok(None));
    let wrong_key = HosterAddress {
        hoster: elsewhere.hoster,
        ..address.clone()
    };
    assert_eq!(ask(wrong_key), Err(RemoteError::WrongHosterKey));
    let wrong_pin = HosterAddress {
        tls: TlsTrust::Pinned([7; 32]),
        ..address
    };
    assert_eq!(ask(wrong_pin), Err(RemoteError::WrongHosterKey));
}

#[test]
fn accounts_are_found_by_their_devices_and_show_their_logs() {
    let hoster = Hoster::start();
    let (home, account, phrase) = signed_up(&hoster);
    let (_, visitor) = discover(&hoster).unwrap();
    let paper = phrase.device_keys().id();
    assert_eq!(visitor.find_account(&paper), Ok(Some(account.id())));
    let device = account.device();
    assert_eq!(visitor.find_account(&device), Ok(Some(account.id())));
    let log = visitor.fetch_account_log(&account.id(), 0).unwrap();
    assert_eq!((log.entries.len(), log.more), (1, false));
    let rest = visitor.fetch_account_log(&account.id(), 1).unwrap();
    assert!(rest.entries.is_empty());
    let nobody = AccountId::from_array([7; 32]);
    let error = visitor.fetch_account_log(&nobody, 0).unwrap_err();
    assert_eq!(refused(&error), RefusalReason::NotFound);
    drop(home);
}

#[test]
fn messages_are_relayed_to_who_waits() {
    let hoster = Hoster::start();
    let (_, one) = discover(&hoster).unwrap();
    let (_, other) = discover(&hoster).unwrap();
    let name = MessageName::from_array([1; 32]);
    assert_eq!(one.await_message(&name, Duration::ZERO), Ok(None));
    let message = vec![5; MAX_MESSAGE_BYTES];
    let got = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| one.await_message(&name, Duration::from_secs(20)));
        other.put_message(&name, &message).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(got, Ok(Some(message.clone())));
    other.put_message(&name, &message).unwrap();
    let error = other.put_message(&name, b"another").unwrap_err();
    assert_eq!(refused(&error), RefusalReason::Forbidden);
    let longer = vec![5; MAX_MESSAGE_BYTES + 1];
    let next = MessageName::from_array([2; 32]);
    let error = other.put_message(&next, &longer).unwrap_err();
    assert!(matches!(error, RemoteError::Refused(_)), "{error:?}");

    // Whoever waits can be told to stop.
    let stopped = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| one.await_message(&next, Duration::from_secs(20)));
        while !waiting.is_finished() {
            one.interrupt();
            std::thread::yield_now();
        }
        waiting.join().unwrap()
    });
    assert_eq!(stopped, Err(RemoteError::Cancelled));
}

#[test]
fn a_guest_is_brought_and_logs_in() {
    let (home_hoster, other_hoster) = (Hoster::start(), Hoster::start());
    let (_home, account, phrase) = signed_up(&home_hoster);
    let (address, visitor) = discover(&home_hoster).unwrap();
    let log = visitor.fetch_account_log(&account.id(), 0).unwrap();
    let host = Device::new(&other_hoster).account.remote();
    assert_eq!(host.put_account_log(&account.id(), &log.entries), Ok(1));
    assert_eq!(host.put_account_log(&account.id(), &log.entries), Ok(1));
    let (elsewhere, anybody) = discover(&other_hoster).unwrap();
    assert_ne!(elsewhere.hoster, address.hoster);
    // Who is here already brings the rest himself, without a login.
    let device = account.device();
    account.rename_device(&device, "another name").unwrap();
    let log = visitor.fetch_account_log(&account.id(), 0).unwrap();
    assert_eq!(anybody.put_account_log(&account.id(), &log.entries), Ok(2));
    let stranger = Device::new(&home_hoster).account.id();
    let log = visitor.fetch_account_log(&stranger, 0).unwrap();
    let error = anybody.put_account_log(&stranger, &log.entries);
    assert_eq!(refused(&error.unwrap_err()), RefusalReason::NotFound);
    let credentials = Credentials {
        account: account.id(),
        device: Arc::new(phrase.device_keys()),
    };
    let guest = connect(&other_hoster).connect(elsewhere, credentials);
    assert_eq!(guest.list_vaults(), Ok(Vec::new()));
    assert_eq!(guest.usage().unwrap().quota_bytes, 0);
}

#[test]
fn offers_wait_for_whom_they_are_for() {
    let hoster = Hoster::start();
    let device = Device::new(&hoster);
    let remote = device.account.remote();
    let (_, visitor) = discover(&hoster).unwrap();
    visitor.put_offer(&device.account.id(), b"one").unwrap();
    remote.put_offer(&device.account.id(), b"another").unwrap();
    visitor.put_offer(&device.account.id(), b"one").unwrap();
    // Of the same second, in any order.
    let mut offers = remote.list_offers().unwrap();
    offers.sort();
    assert_eq!(offers, [b"another".to_vec(), b"one".to_vec()]);
    remote.drop_offer(&OfferHash::of(b"one")).unwrap();
    remote.drop_offer(&OfferHash::of(b"one")).unwrap();
    assert_eq!(remote.list_offers().unwrap(), [b"another".to_vec()]);
    let nobody = AccountId::from_array([7; 32]);
    let error = visitor.put_offer(&nobody, b"one").unwrap_err();
    assert_eq!(refused(&error), RefusalReason::NotFound);
}

fn signed_up(hoster: &Hoster) -> (TempDir, Account, RecoveryPhrase) {
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), Pace::default());
    let invitation = hoster.invite(1 << 30);
    let (account, phrase) = Account::sign_up(&setup, &invitation, "a laptop").unwrap();
    (home, account, phrase)
}

#[test]
fn the_words_and_an_address_bring_everything_back() {
    let hoster = Hoster::start();
    let (_home, account, phrase) = signed_up(&hoster);
    let mut vault = account.create_vault("documents").unwrap();
    commit(&mut vault);
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), Pace::default());
    let recover = |phrase| Account::recover(&setup, &hoster.origin(), phrase, "a new computer");

    let stranger = RecoveryPhrase::generate(&mut crate::support::rng());
    let error = recover(&stranger).err().unwrap();
    assert!(matches!(error, AccountError::UnknownPhrase), "{error}");
    let middle = hoster.tokio().block_on(man_in_the_middle(&hoster));
    hoster.relay.lead_to(middle);
    let error = recover(&phrase).err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(matches!(
        Account::open(&setup).err(),
        Some(AccountError::NoAccount)
    ));
    hoster.relay.lead_to(hoster.server_address());

    let recovered = recover(&phrase).unwrap();
    assert_eq!(recovered.id(), account.id());
    let mut found = recovered.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(
        (found.head(), found.root().unwrap()),
        (vault.head(), vault.root().unwrap())
    );
    assert_eq!(found.freshness().unwrap(), Freshness::Unknown);
    commit(&mut found);
    vault.refresh().unwrap();
    assert_eq!(vault.head(), found.head());
}

#[test]
fn two_devices_are_paired_past_a_real_hoster() {
    let hoster = Hoster::start();
    let (device, mut vault) = Device::with_vault(&hoster);
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), Pace::default());
    let mut new = NewDevice::begin(&setup, &hoster.origin(), "a phone").unwrap();
    let code = PairingCode::parse(&new.code()).unwrap();
    let cancel = Cancellation::new();
    let old = device.account.pair(&code, PhraseLanguage::French, &cancel);
    let old = old.unwrap();
    assert_eq!(new.await_words(&cancel).unwrap(), old.words());
    let account = std::thread::scope(|scope| {
        let new = scope.spawn(|| new.finish(&cancel));
        old.confirm(&cancel).unwrap();
        new.join().unwrap()
    });
    let account = account.unwrap();
    assert_eq!(account.id(), device.account.id());
    let mut found = account.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(found.freshness().unwrap(), Freshness::Confirmed);
    commit(&mut found);
    vault.refresh().unwrap();
    assert_eq!(vault.head(), found.head());
    let secret = setup.keys.load(vault_client::state::KeySlot::Device);
    let keys = DeviceKeys::from_secret_bytes(&secret.unwrap().unwrap()).unwrap();
    assert_eq!(keys.id(), account.device());
}
