//! Addresses, contacts and their numbers.

use vault_client::account::{AccountError, OfferSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{MemoryHoster, MemoryNetwork};
use vault_proto::address::Address;
use vault_proto::ids::AccountId;
use vault_proto::vault_log::Role;

use super::{Person, alice_and_bob, commit};

#[test]
fn an_address_is_the_accounts_own() {
    let hoster = MemoryHoster::new();
    let network = MemoryNetwork::new(&[&hoster]);
    let alice = Person::new("alice", &network, &hoster);
    let address = alice.address();
    assert_eq!(address.account(), alice.account.id());
    assert_eq!(*address.origin(), hoster.origin());
    assert_eq!(address.name(), "alice");
    let none = alice.account.set_name("al ice").unwrap_err();
    assert_eq!(none.code(), ErrorCode::InvalidArgument);
    alice.account.set_name("Alice2").unwrap();
    assert_eq!(alice.reopened().address().unwrap().name(), "Alice2");
}

#[test]
fn who_has_no_name_has_no_address_yet() {
    let member = crate::support::Member::new();
    let error = member.account.address().unwrap_err();
    assert!(matches!(error, AccountError::NoName));
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}

#[test]
fn contacts_are_pinned_for_all_devices() {
    let (alice, bob, _) = alice_and_bob();
    let contact = alice.account.add_contact(&bob.address()).unwrap();
    assert_eq!(contact.address, bob.address());
    assert_eq!(contact.hoster, bob.hoster.id());
    assert_eq!(contact.position.seq, 1);
    assert!(!contact.is_verified);
    assert_eq!(alice.reopened().contacts().unwrap(), [contact]);

    let id = bob.account.id();
    let number = alice.account.contact_number(&id);
    assert_eq!(number, bob.account.contact_number(&alice.account.id()));
    alice.account.set_verified(&id, true).unwrap();
    // Looking again keeps what was found out.
    let again = alice.account.add_contact(&bob.address()).unwrap();
    assert!(again.is_verified);
    alice.account.set_verified(&id, false).unwrap();
    assert!(!alice.reopened().contacts().unwrap()[0].is_verified);

    alice.account.remove_contact(&id).unwrap();
    assert!(alice.account.contacts().unwrap().is_empty());
    let error = alice.account.set_verified(&id, true).unwrap_err();
    assert!(matches!(error, AccountError::NoSuchContact));
    let own = alice.account.add_contact(&alice.address()).unwrap_err();
    assert!(matches!(own, AccountError::OwnAddress));
}

/// Whoever calls himself like a contact, at the same hoster, is not taken for him: not
/// as a contact, nor where he is shared with, nor as the sender of an offer.
#[test]
fn a_contacts_name_is_nobody_elses() {
    let (alice, bob, mut vault) = alice_and_bob();
    let mallory = Person::new("Bob", &bob.network, &bob.hoster);
    alice.account.add_contact(&bob.address()).unwrap();
    let before = alice.account.contacts().unwrap();
    let refused = |error: AccountError| {
        let AccountError::ContactNameTaken { known, other } = &error else {
            panic!("{error}");
        };
        assert_eq!((&**known, &**other), (&bob.address(), &mallory.address()));
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert_eq!(alice.account.contacts().unwrap(), before);
    };
    refused(alice.account.add_contact(&mallory.address()).unwrap_err());
    let shared = alice
        .account
        .share(&mut vault, &mallory.address(), Role::Reader);
    refused(shared.err().unwrap());
    let mut his = mallory.account.create_vault("photos").unwrap();
    commit(&mut his).unwrap();
    mallory
        .account
        .share(&mut his, &alice.address(), Role::Reader)
        .unwrap();
    let offer = alice.account.offers().unwrap().offers[0].id;
    let accepted = alice
        .account
        .accept_offer(&OfferSelector::Id(offer), Some("photos"));
    refused(accepted.err().unwrap());
    assert_eq!(alice.account.vaults().unwrap().len(), 1);

    // Looked at again, each stays what he is; and a place that is free is free.
    alice.account.add_contact(&bob.address()).unwrap();
    alice.account.remove_contact(&bob.account.id()).unwrap();
    alice.account.add_contact(&mallory.address()).unwrap();
}

#[test]
fn another_account_cannot_be_handed_out_for_an_address() {
    let (alice, bob, mut vault) = alice_and_bob();
    let mallory = Person::new("mallory", &alice.network, &alice.hoster);
    let substitute = mallory.log().entries().to_vec();
    let before = crate::support::stored(alice.home.path());
    alice
        .hoster
        .tamper_with_logs(move |_, answer| answer.entries.clone_from(&substitute));
    // At first contact, and when a vault is shared without one.
    let error = alice.account.add_contact(&bob.address()).unwrap_err();
    assert!(matches!(error, AccountError::ContactLog(id) if id == bob.account.id()));
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    let error = alice
        .account
        .share(&mut vault, &bob.address(), Role::Reader)
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(crate::support::stored(alice.home.path()), before);
    assert_eq!(vault.log().members().count(), 1);

    // Nor an empty log, nor one that never ends.
    for (entries, more) in [(Vec::new(), false), (Vec::new(), true)] {
        alice.hoster.tamper_with_logs(move |_, answer| {
            answer.entries.clone_from(&entries);
            answer.more = more;
        });
        let error = alice.account.add_contact(&bob.address()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    }
}

#[test]
fn what_was_seen_of_a_log_cannot_be_withheld_later() {
    let (alice, bob, mut vault) = alice_and_bob();
    // Bob's log has two entries.
    bob.account
        .rename_device(&bob.account.device(), "an old laptop")
        .unwrap();
    let entry = bob.log().entries()[1].clone();
    alice.account.add_contact(&bob.address()).unwrap();
    assert_eq!(alice.account.contacts().unwrap()[0].position.seq, 2);
    alice.hoster.tamper_with_logs(move |_, answer| {
        answer
            .entries
            .retain(|shown| shown.payload != entry.payload);
    });
    let error = alice
        .account
        .share(&mut vault, &bob.address(), Role::Reader)
        .unwrap_err();
    assert!(matches!(error, AccountError::ContactLog(_)));
    let error = alice.account.add_contact(&bob.address()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(vault.log().members().count(), 1);
}

#[test]
fn only_the_home_of_a_log_answers_for_it() {
    let (here, there) = (MemoryHoster::named("here"), MemoryHoster::named("there"));
    let network = MemoryNetwork::new(&[&here, &there]);
    let alice = Person::new("alice", &network, &here);
    let bob = Person::new("bob", &network, &there);
    // A copy of Bob's log is at Alice's hoster; it may be an old one.
    let log = bob.log();
    let remote = alice.account.remote();
    remote.put_account_log(&log.id(), log.entries()).unwrap();
    let elsewhere = Address::new("bob", here.origin(), bob.account.id()).unwrap();
    let error = alice.account.add_contact(&elsewhere).unwrap_err();
    assert!(matches!(error, AccountError::ContactLog(_)));
    // Whoever dials Bob's hoster and reaches another one has not reached it.
    network.lead(there.origin(), &here);
    let error = alice.account.add_contact(&bob.address()).unwrap_err();
    assert!(matches!(error, AccountError::ContactLog(_)));
    network.lead(there.origin(), &there);
    alice.account.add_contact(&bob.address()).unwrap();
    let nobody = AccountId::from_array([9; 32]);
    let nobody = Address::new("nobody", there.origin(), nobody).unwrap();
    let error = alice.account.add_contact(&nobody).unwrap_err();
    assert!(matches!(error, AccountError::NoSuchAccount(_)), "{error}");
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
}
