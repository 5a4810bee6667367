//! Somebody is offered a vault at another hoster, and loses a device before he takes it
//! up, or gets a new one. That hoster has his log as it was when he was invited.

use vault_client::account::{Account, GuestLog, OfferSelector, Shared};
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{Call, MemoryHoster, MemoryNetwork};
use vault_client::vault::Vault;
use vault_core::keys::DeviceKeys;
use vault_core::offer::Offer;
use vault_proto::vault_log::Role;

use crate::support::{Machine, Member, Other, commit, line_lost, rng, setup};

/// A member with a machine, and an offer to him of a vault at another hoster.
struct Scene {
    home: MemoryHoster,
    other: MemoryHoster,
    network: MemoryNetwork,
    member: Member,
    stolen: Machine,
    host: Member,
    vault: Vault,
    shared: Shared,
}

impl Scene {
    fn new() -> Self {
        let (home, other) = (MemoryHoster::named("home"), MemoryHoster::named("other"));
        let network = MemoryNetwork::new(&[&home, &other]);
        let named = |hoster, name| {
            let mut member = Member::at(hoster);
            member.account = Account::open(&setup(member.home.path(), network.clone())).unwrap();
            member.account.set_name(name).unwrap();
            member
        };
        let (member, host) = (named(&home, "guest"), named(&other, "host"));
        let stolen = Machine::dialling(&member, "a phone", network.clone());
        let mut vault = host.account.create_vault("theirs").unwrap();
        commit(&mut vault);
        let address = member.account.address().unwrap();
        let shared = host.account.share(&mut vault, &address, Role::Writer);
        let scene = Self {
            shared: shared.unwrap(),
            home,
            other,
            network,
            member,
            stolen,
            host,
            vault,
        };
        assert!(scene.lets_in(&scene.stolen));
        scene
    }

    /// Whether the other hoster lets a device in.
    fn lets_in(&self, machine: &Machine) -> bool {
        let keys = machine.other(&self.member).keys;
        let there = Other::new(&self.other, self.member.account.id(), keys);
        there.remote.list_vaults().is_ok()
    }

    fn remove(&self) -> Vec<GuestLog> {
        let device = self.stolen.account.device();
        let removal = self.member.account.remove_device(&device).unwrap();
        removal.guest_logs.unwrap()
    }

    /// The host writes, and the epoch is what it is then.
    fn epoch_of_next(&mut self) -> u64 {
        let lock = self.vault.lock().unwrap();
        self.vault.prepare().unwrap();
        drop(lock);
        commit(&mut self.vault);
        self.vault.log().epoch().number
    }

    fn accept(&self, account: &Account) -> Vault {
        let offer = OfferSelector::Text(self.shared.offer.clone());
        account.accept_offer(&offer, None).unwrap()
    }
}

fn asked(hoster: &MemoryHoster) -> usize {
    let calls = hoster.calls().into_iter();
    calls
        .filter(|call| matches!(call, Call::FetchAccountLog(_)))
        .count()
}

#[test]
fn a_removal_reaches_the_hoster_of_what_a_contact_offers() {
    let mut scene = Scene::new();
    let host = scene.host.account.address().unwrap();
    scene.member.account.add_contact(&host).unwrap();
    let told = scene.remove();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].hoster, &told[0].origin),
        (scene.other.id(), &scene.other.origin())
    );
    assert!(told[0].pushed.is_ok(), "{told:?}");
    assert!(!scene.lets_in(&scene.stolen));
    assert_eq!(scene.epoch_of_next(), 2);
    commit(&mut scene.accept(&scene.member.account));
}

#[test]
fn a_hoster_that_cannot_be_told_of_it_is_named() {
    let scene = Scene::new();
    let host = scene.host.account.address().unwrap();
    scene.member.account.add_contact(&host).unwrap();
    // The contact is asked first, and does not answer.
    scene.other.fail_after(0, line_lost());
    let told = scene.remove();
    assert_eq!(told.len(), 1);
    let error = told[0].pushed.as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
    // Then it is told itself, and does not.
    scene.other.fail_after(1, line_lost());
    assert!(scene.remove()[0].pushed.is_err());
    assert!(scene.remove()[0].pushed.is_ok());
    assert!(!scene.lets_in(&scene.stolen));
}

/// A stranger's offer could lead anywhere. Who made it asks himself.
#[test]
fn who_invites_asks_the_home_of_whom_he_invited_before_he_writes() {
    let mut scene = Scene::new();
    scene.other.forget_calls();
    assert!(scene.remove().is_empty());
    assert!(scene.other.calls().is_empty());
    assert!(scene.lets_in(&scene.stolen));

    assert_eq!(scene.epoch_of_next(), 2);
    assert!(!scene.lets_in(&scene.stolen));
    // Once for a while is enough.
    scene.home.forget_calls();
    assert_eq!(scene.epoch_of_next(), 2);
    assert_eq!(asked(&scene.home), 0);
    commit(&mut scene.accept(&scene.member.account));
}

#[test]
fn a_home_that_is_away_keeps_nobody_from_his_vault() {
    let mut scene = Scene::new();
    scene.remove();
    scene.home.fail_after(0, line_lost());
    assert_eq!(scene.epoch_of_next(), 1);
    let id = vault_client::account::VaultSelector::Id(scene.vault.id());
    scene.vault = scene.host.account.open_vault(&id).unwrap();
    assert_eq!(scene.epoch_of_next(), 2);
}

/// What is signed by nobody of the contact's leads nowhere.
#[test]
fn an_offer_in_a_contacts_name_makes_a_removal_dial_nobody() {
    let scene = Scene::new();
    let host = scene.host.account.address().unwrap();
    scene.member.account.add_contact(&host).unwrap();
    let offers = scene.member.account.offers().unwrap().offers;
    scene.member.account.decline_offer(&offers[0].id).unwrap();
    let trap = MemoryHoster::named("trap");
    scene.network.lead(trap.origin(), &trap);
    let log = scene.host.paper().own_log();
    let mallory = DeviceKeys::generate(&mut rng());
    let forged = Offer {
        vault: scene.vault.id(),
        hoster: trap.id(),
        origin: trap.origin(),
        tls: trap.address().tls,
        vault_name: "theirs".to_owned(),
        role: Role::Writer,
        sender: host,
        sender_device: mallory.id(),
        sender_position: log.position(),
        recipient: scene.member.account.id(),
        entry: scene.vault.log().position(),
        head: None,
        created: 0,
    };
    let recipient = scene.member.paper().own_log();
    let sealed = forged.seal(&recipient, &mallory, &mut rng()).unwrap();
    let visitor = scene.home.visitor();
    let put = visitor.put_offer(&scene.member.account.id(), sealed.as_bytes());
    put.unwrap();
    assert!(scene.remove().is_empty());
    assert!(trap.calls().is_empty());
}

#[test]
fn a_device_that_came_after_the_offer_takes_it_up() {
    let scene = Scene::new();
    let late = Machine::dialling(&scene.member, "a tablet", scene.network.clone());
    assert!(!scene.lets_in(&late));
    let mut vault = scene.accept(&late.account);
    commit(&mut vault);

    let scene = Scene::new();
    let home = tempfile::tempdir().unwrap();
    let setup = setup(home.path(), scene.network.clone());
    let origin = scene.home.origin();
    let recovered = Account::recover(&setup, &origin, &scene.member.phrase, "a new computer");
    commit(&mut scene.accept(&recovered.unwrap()));
}
