//! Vaults and offers that nobody made, or that are over.

use vault_client::account::{AccountError, OfferSelector, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{Call, MemoryHoster};
use vault_core::offer::{Offer, OfferError};
use vault_proto::address::Address;
use vault_proto::ids::{AccountId, OfferHash};
use vault_proto::position::LogPosition;
use vault_proto::vault_log::Role;

use super::{Person, alice_and_bob, commit};
use crate::support::rng;

#[test]
fn a_vault_that_was_not_accepted_is_not_there() {
    let (_, bob, _) = alice_and_bob();
    let mallory = Person::new("mallory", &bob.network, &bob.hoster);
    // Mallory makes Bob a member and tells him nothing: the hoster lists it.
    let mut planted = mallory.account.create_vault("free money").unwrap();
    commit(&mut planted).unwrap();
    mallory
        .account
        .share(&mut planted, &bob.address(), Role::Writer)
        .unwrap();
    let listed = bob.account.remote().list_vaults().unwrap();
    assert!(listed.iter().any(|(id, _)| *id == planted.id()));

    assert!(bob.account.vaults().unwrap().is_empty());
    for selector in [
        VaultSelector::Only,
        VaultSelector::Id(planted.id()),
        VaultSelector::Name("free money".to_owned()),
    ] {
        let error = bob.account.open_vault(&selector).err().unwrap();
        assert_eq!(error.code(), ErrorCode::NoVault, "{selector:?}");
    }
    let own = bob.account.create_vault("mine").unwrap();
    let only = bob.account.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(only.id(), own.id());
    assert!(bob.reopened().known_vaults().unwrap().len() == 1);
}

/// Puts this offer, sealed by that member's device, into Bob's box.
fn deposit(by: &Person, bob: &Person, offer: &Offer) -> OfferHash {
    let log = bob.log();
    let sealed = offer.seal(&log, &by.device_keys(), &mut rng()).unwrap();
    let visitor = bob.hoster.visitor();
    visitor
        .put_offer(&bob.account.id(), sealed.as_bytes())
        .unwrap();
    sealed.hash()
}

/// The offer that this member makes of a vault, whatever its log says.
fn offer(by: &Person, bob: &AccountId, vault: &vault_client::vault::Vault) -> Offer {
    Offer {
        vault: vault.id(),
        hoster: by.hoster.id(),
        origin: by.hoster.origin(),
        tls: by.hoster.address().tls,
        vault_name: "holiday".to_owned(),
        role: Role::Writer,
        sender: by.address(),
        sender_device: by.account.device(),
        sender_position: by.log().position(),
        recipient: *bob,
        entry: LogPosition {
            seq: 1,
            hash: vault.log().hash_at(1).unwrap(),
        },
        head: None,
        created: 0,
    }
}

#[test]
fn an_offer_of_what_is_not_the_senders_is_refused() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let mallory = Person::new("mallory", &bob.network, &bob.hoster);
    alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer)
        .unwrap();
    let entry = LogPosition {
        seq: 2,
        hash: of_alice.log().hash_at(2).unwrap(),
    };
    // Mallory offers in his own name what Alice offered.
    let forged = Offer {
        entry,
        ..offer(&mallory, &bob.account.id(), &of_alice)
    };
    let id = deposit(&mallory, &bob, &forged);
    let accepted = bob.account.accept_offer(&OfferSelector::Id(id), None);
    let error = accepted.err().unwrap();
    assert!(
        matches!(error, AccountError::Offer(OfferError::NoEntry)),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::NotAllowed);
    assert!(bob.account.vaults().unwrap().is_empty());
    assert!(bob.account.contacts().unwrap().is_empty());

    // And in Alice's name, signed by himself.
    let forged = Offer {
        sender: alice.address(),
        sender_position: alice.log().position(),
        ..forged
    };
    let id = deposit(&mallory, &bob, &forged);
    bob.account.add_contact(&alice.address()).unwrap();
    let offers = bob.account.checked_offers().unwrap().offers;
    let shown = |id| offers.iter().find(|offer| offer.id == id).unwrap();
    assert!(matches!(shown(id).checked, Some(Err(_))));
    let genuine = offers
        .iter()
        .find(|offer| offer.id != id && offer.is_contact);
    assert!(matches!(genuine.unwrap().checked, Some(Ok(()))));
    let accepted = bob.account.accept_offer(&OfferSelector::Id(id), None);
    let error = accepted.err().unwrap();
    assert!(
        matches!(error, AccountError::Offer(OfferError::SenderDevice)),
        "{error}"
    );
    assert!(bob.account.vaults().unwrap().is_empty());
}

/// An offer says itself where its sender is at home: somewhere that never answers, or
/// that is curious who asks.
#[test]
fn strangers_offers_make_a_device_dial_nobody() {
    let (alice, bob, of_alice) = alice_and_bob();
    let mallory = Person::new("mallory", &bob.network, &bob.hoster);
    let trap = MemoryHoster::named("trap");
    bob.network.lead(trap.origin(), &trap);
    bob.account.add_contact(&alice.address()).unwrap();
    let at_trap = |name, account| Address::new(name, trap.origin(), account).unwrap();
    let stranger = Offer {
        sender: at_trap("mallory", mallory.account.id()),
        ..offer(&mallory, &bob.account.id(), &of_alice)
    };
    // In the name of a contact too, who is at home elsewhere.
    let contact = |created| Offer {
        sender: at_trap("alice", alice.account.id()),
        created,
        ..stranger.clone()
    };
    let strangers = deposit(&mallory, &bob, &stranger);
    for created in [1, 2] {
        deposit(&mallory, &bob, &contact(created));
    }
    bob.hoster.forget_calls();
    assert_eq!(bob.account.offers().unwrap().offers.len(), 3);
    let asked = |hoster: &MemoryHoster| {
        let calls = hoster.calls().into_iter();
        calls
            .filter(|call| matches!(call, Call::FetchAccountLog(_)))
            .count()
    };
    assert_eq!(asked(&bob.hoster), 0);
    let offers = bob.account.checked_offers().unwrap().offers;
    for offer in &offers {
        match offer.is_contact {
            true => assert!(matches!(offer.checked, Some(Err(_)))),
            false => assert!(offer.checked.is_none()),
        }
    }
    // Once for all that are in her name, and where she is at home.
    assert_eq!((asked(&bob.hoster), trap.calls().len()), (1, 0));
    for offer in offers.iter().filter(|offer| offer.id != strangers) {
        bob.account.decline_offer(&offer.id).unwrap();
    }
    assert!(trap.calls().is_empty());
    // Who accepts one wants to know.
    let accepted = bob
        .account
        .accept_offer(&OfferSelector::Id(strangers), None);
    assert!(accepted.is_err());
    assert_eq!(asked(&trap), 1);
}

#[test]
fn what_is_no_offer_is_told_apart_and_dropped() {
    let (_, bob, _) = alice_and_bob();
    let visitor = bob.hoster.visitor();
    visitor.put_offer(&bob.account.id(), &[1; 4096]).unwrap();
    visitor.put_offer(&bob.account.id(), b"rubbish").unwrap();
    let offers = bob.account.offers().unwrap();
    assert!(offers.offers.is_empty());
    assert_eq!(offers.unreadable.len(), 2);
    for id in &offers.unreadable {
        let error = bob.account.accept_offer(&OfferSelector::Id(*id), None);
        let error = error.err().unwrap();
        assert!(!error.is_transient());
        bob.account.decline_offer(id).unwrap();
    }
    assert!(bob.account.offers().unwrap().unreadable.is_empty());
}

#[test]
fn an_offer_to_another_opens_nowhere_else() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let carol = Person::new("carol", &bob.network, &bob.hoster);
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer)
        .unwrap();
    let text = OfferSelector::Text(shared.offer);
    let error = carol.account.accept_offer(&text, None).err().unwrap();
    assert!(
        matches!(error, AccountError::Offer(OfferError::OtherRecipient(id)) if id == bob.account.id())
    );
}
