//! Vaults that several members share, and who may not have them.

mod contacts;
mod hostile;
mod together;

use tempfile::TempDir;
use vault_client::account::{Account, AccountError, OfferSelector, Shared, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{MemoryHoster, MemoryNetwork};
use vault_client::vault::{CommitResult, Upkeep, Vault};
use vault_core::chunk::ChunkKind;
use vault_core::keys::{DeviceKeys, VaultKeys};
use vault_core::seal::Compressor;
use vault_proto::account_log::AccountLog;
use vault_proto::address::Address;
use vault_proto::vault_log::Role;

use crate::support::{plan, put_pack, rng, setup};

/// A member with a name, somewhere in a network of hosters.
struct Person {
    home: TempDir,
    network: MemoryNetwork,
    hoster: MemoryHoster,
    account: Account,
}

impl Person {
    fn new(name: &str, network: &MemoryNetwork, hoster: &MemoryHoster) -> Self {
        let home = tempfile::tempdir().unwrap();
        let setup = setup(home.path(), network.clone());
        let (account, _) = Account::sign_up(&setup, &hoster.invite(), "a laptop").unwrap();
        account.set_name(name).unwrap();
        Self {
            home,
            network: network.clone(),
            hoster: hoster.clone(),
            account,
        }
    }

    fn address(&self) -> Address {
        self.account.address().unwrap()
    }

    /// The keys of his device.
    fn device_keys(&self) -> DeviceKeys {
        let secret = std::fs::read(self.home.path().join("device.key")).unwrap();
        DeviceKeys::from_secret_bytes(&secret).unwrap()
    }

    /// His log, as its home shows it.
    fn log(&self) -> AccountLog {
        let visitor = self.hoster.visitor();
        let answer = visitor.fetch_account_log(&self.account.id(), 0).unwrap();
        let mut log = AccountLog::verify_genesis(&answer.entries[0]).unwrap();
        for entry in &answer.entries[1..] {
            log.append(entry).unwrap();
        }
        log
    }

    /// The same device, as another process would open it.
    fn reopened(&self) -> Account {
        Account::open(&setup(self.home.path(), self.network.clone())).unwrap()
    }

    fn accept(&self, shared: &Shared) -> Vault {
        let text = OfferSelector::Text(shared.offer.clone());
        self.account.accept_offer(&text, None).unwrap()
    }
}

/// Two members at one hoster, and a vault of the first in which a head stands.
fn alice_and_bob() -> (Person, Person, Vault) {
    let hoster = MemoryHoster::new();
    let network = MemoryNetwork::new(&[&hoster]);
    let alice = Person::new("alice", &network, &hoster);
    let bob = Person::new("bob", &network, &hoster);
    let mut vault = alice.account.create_vault("documents").unwrap();
    commit(&mut vault).unwrap();
    (alice, bob, vault)
}

/// Commits a pack, as the newest state of the vault wants it.
fn commit(vault: &mut Vault) -> Result<(), vault_client::vault::VaultError> {
    vault.refresh()?;
    let adds = vec![put_pack(vault)];
    let plan = plan(vault, adds);
    match vault.commit(plan)? {
        CommitResult::Committed(_) => Ok(()),
        other => panic!("{other:?}"),
    }
}

/// A chunk sealed with the newest keys of one, opened by another.
fn can_read(writer: &Vault, reader: &VaultKeys) -> bool {
    let keys = writer.keys().unwrap();
    let epoch = keys.current_epoch();
    let kind = ChunkKind::FileData;
    let id = keys.chunk_id(kind, b"a secret");
    let mut sealed = Vec::new();
    let (mut zstd, mut rng) = (Compressor::default(), rng());
    keys.seal_chunk(
        epoch,
        kind,
        &id,
        b"a secret",
        &mut zstd,
        &mut rng,
        &mut sealed,
    )
    .unwrap();
    let opened = reader.open_chunk(epoch, kind, &id, &sealed);
    opened.is_ok_and(|opened| opened == b"a secret")
}

#[test]
fn a_vault_is_shared_accepted_and_written_to_by_both() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer)
        .unwrap();
    assert!(shared.delivered.is_ok());
    assert_eq!(shared.contact.address, bob.address());

    // It is in Bob's box, and not among his vaults.
    let offers = bob.account.offers().unwrap();
    assert!(offers.unreadable.is_empty());
    let [offer] = &offers.offers[..] else {
        panic!("one offer")
    };
    assert_eq!(
        (offer.vault, &*offer.vault_name),
        (of_alice.id(), "documents")
    );
    assert_eq!(
        (offer.role, &offer.sender),
        (Role::Writer, &alice.address())
    );
    assert!(offer.checked.is_none() && !offer.is_contact);
    assert!(bob.account.vaults().unwrap().is_empty());

    let id = OfferSelector::Id(offer.id);
    let mut of_bob = bob.account.accept_offer(&id, Some("from Alice")).unwrap();
    assert_eq!(of_bob.head(), of_alice.head());
    assert!(can_read(&of_alice, &of_bob.keys().unwrap()));
    assert!(bob.account.offers().unwrap().offers.is_empty());
    let vaults = bob.account.vaults().unwrap();
    assert_eq!(vaults.len(), 1);
    assert_eq!(vaults[0].name.as_deref(), Some("from Alice"));
    assert_eq!(bob.account.contacts().unwrap()[0].address, alice.address());

    commit(&mut of_bob).unwrap();
    commit(&mut of_alice).unwrap();
    of_bob.refresh().unwrap();
    assert_eq!(of_bob.head(), of_alice.head());
    assert_eq!(of_bob.head().unwrap().seq, 3);

    let members = alice.account.members(&mut of_alice).unwrap();
    let bobs = members.iter().find(|member| !member.is_self).unwrap();
    assert!(bobs.accepted && bobs.role == Role::Writer);
    assert_eq!(bobs.address, Some(bob.address()));
    // Bob's next process knows it, too.
    let selector = vault_client::account::VaultSelector::Name("from Alice".to_owned());
    let again = bob.reopened().open_vault(&selector).unwrap();
    assert_eq!(again.id(), of_alice.id());
}

#[test]
fn a_second_share_offers_the_role_that_is_meant() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let mut share = |role| {
        let shared = alice.account.share(&mut of_alice, &bob.address(), role);
        shared.unwrap()
    };
    share(Role::Reader);
    let shared = share(Role::Writer);
    let offers = bob.account.offers().unwrap().offers;
    let roles: Vec<_> = offers.iter().map(|offer| offer.role).collect();
    assert_eq!(roles, [Role::Reader, Role::Writer]);
    let mut of_bob = bob.accept(&shared);
    commit(&mut of_bob).unwrap();
}

#[test]
fn without_a_role_who_is_new_reads_and_who_is_in_stays_what_he_is() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let mut share = |role: Option<Role>| {
        let shared = alice.account.share(&mut of_alice, &bob.address(), role);
        let shared = shared.unwrap();
        let now = of_alice.log().member(&bob.account.id()).unwrap().role;
        assert_eq!(shared.role, now);
        now
    };
    assert_eq!(share(None), Role::Reader);
    assert_eq!(share(Some(Role::Manager)), Role::Manager);
    assert_eq!(share(None), Role::Manager);
    let offers = bob.account.offers().unwrap().offers;
    let roles: Vec<_> = offers.iter().map(|offer| offer.role).collect();
    assert_eq!(roles, [Role::Reader, Role::Manager, Role::Manager]);
    assert_eq!(share(Some(Role::Writer)), Role::Writer);
}

/// Whoever has nothing but what others share must not save his papers there unasked.
#[test]
fn only_a_vault_of_ones_own_is_where_something_is_saved_unnamed() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let own = |person: &Person| person.account.open_vault(&VaultSelector::OnlyOwn);
    assert!(matches!(own(&bob), Err(AccountError::NoVault)));
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Manager);
    let mut of_bob = bob.accept(&shared.unwrap());
    let error = own(&bob).err().unwrap();
    assert!(
        matches!(&error, AccountError::OnlyShared(name) if name == "documents"),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::AmbiguousVault);
    // To read, it is meant; and so it is by its name.
    bob.account.open_vault(&VaultSelector::Only).unwrap();
    let named = VaultSelector::Name("documents".to_owned());
    bob.account.open_vault(&named).unwrap();
    assert_eq!(own(&alice).unwrap().id(), of_alice.id());

    // What she made, left, and was given back is another's now.
    alice.account.leave_vault(&of_alice.id()).unwrap();
    let shared = bob
        .account
        .share(&mut of_bob, &alice.address(), Role::Writer);
    alice.accept(&shared.unwrap());
    assert!(matches!(own(&alice), Err(AccountError::OnlyShared(_))));
    // Beside one of his own it has to be said which.
    bob.account.create_vault("mine").unwrap();
    assert!(matches!(own(&bob), Err(AccountError::Ambiguous(2))));
}

#[test]
fn a_reader_reads_and_commits_nothing() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Reader);
    let mut of_bob = bob.accept(&shared.unwrap());
    assert!(can_read(&of_alice, &of_bob.keys().unwrap()));
    let head = of_bob.head();
    let adds = Vec::new();
    let plan = plan(&of_bob, adds);
    let error = of_bob.commit(plan).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotAllowed, "{error}");
    of_bob.refresh().unwrap();
    assert_eq!(of_bob.head(), head);

    alice
        .account
        .change_role(&mut of_alice, &bob.account.id(), Role::Writer)
        .unwrap();
    commit(&mut of_bob).unwrap();
}

#[test]
fn who_is_removed_reads_nothing_new_and_may_be_added_again() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let first = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer)
        .unwrap();
    let mut of_bob = bob.accept(&first);
    let before = of_bob.keys().unwrap();
    let upkeep = alice.account.unshare(&mut of_alice, &bob.account.id());
    assert_eq!(upkeep.unwrap(), Upkeep::Rotated);
    commit(&mut of_alice).unwrap();
    // Neither with what he had, nor from the hoster, which does not serve him.
    assert!(!can_read(&of_alice, &before));
    assert!(of_bob.refresh().is_err());
    assert!(!can_read(&of_alice, &of_bob.keys().unwrap()));
    let gone = alice.account.unshare(&mut of_alice, &bob.account.id());
    assert_eq!(gone.unwrap_err().code(), ErrorCode::InvalidArgument);

    // The offer of the first time is worth nothing, also not once he is back.
    let text = OfferSelector::Text(first.offer.clone());
    let refused = bob.account.accept_offer(&text, None).err().unwrap();
    assert!(!refused.is_transient(), "{refused}");
    let second = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Reader)
        .unwrap();
    let refused = bob.account.accept_offer(&text, None).err().unwrap();
    assert_eq!(refused.code(), ErrorCode::NotAllowed, "{refused}");
    let of_bob = bob.accept(&second);
    assert!(can_read(&of_alice, &of_bob.keys().unwrap()));
}

#[test]
fn a_vault_is_shared_with_a_member_elsewhere() {
    let (here, there) = (MemoryHoster::named("here"), MemoryHoster::named("there"));
    let network = MemoryNetwork::new(&[&here, &there]);
    let alice = Person::new("alice", &network, &here);
    let bob = Person::new("bob", &network, &there);
    let mut of_alice = alice.account.create_vault("documents").unwrap();
    commit(&mut of_alice).unwrap();
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer)
        .unwrap();
    assert!(shared.delivered.is_ok());
    // The offer is at Bob's hoster, the vault at Alice's.
    assert_eq!(bob.account.remote().list_offers().unwrap().len(), 1);
    let mut of_bob = bob.accept(&shared);
    commit(&mut of_bob).unwrap();
    commit(&mut of_alice).unwrap();
    of_bob.refresh().unwrap();
    assert_eq!(of_bob.head(), of_alice.head());

    // He finds it again without the offer, and backs nothing of it up at home.
    let vaults = bob.reopened().vaults().unwrap();
    assert_eq!(vaults.len(), 1);
    assert_eq!(vaults[0].hoster, here.id());
    let selector = vault_client::account::VaultSelector::Only;
    let mut again = bob.reopened().open_vault(&selector).unwrap();
    commit(&mut again).unwrap();
}

#[test]
fn an_offer_is_declined_for_all_devices() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer)
        .unwrap();
    let offers = bob.account.offers().unwrap().offers;
    bob.account.decline_offer(&offers[0].id).unwrap();
    assert!(bob.reopened().offers().unwrap().offers.is_empty());
    assert!(bob.account.vaults().unwrap().is_empty());
    let id = OfferSelector::Id(offers[0].id);
    let gone = bob.account.accept_offer(&id, None).err().unwrap();
    assert_eq!(gone.code(), ErrorCode::InvalidArgument);
    // A second share offers it anew.
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer);
    bob.accept(&shared.unwrap());
}

#[test]
fn a_manager_shares_further_and_only_who_shared_offers() {
    let (alice, bob, mut of_alice) = alice_and_bob();
    let carol = Person::new("carol", &alice.network, &alice.hoster);
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Manager)
        .unwrap();
    let mut of_bob = bob.accept(&shared);
    let shared = bob
        .account
        .share(&mut of_bob, &carol.address(), Role::Reader)
        .unwrap();
    for role in [Some(Role::Manager), Some(Role::Reader), None] {
        let error = alice
            .account
            .share(&mut of_alice, &carol.address(), role)
            .unwrap_err();
        assert!(matches!(error, AccountError::MemberAlready), "{error}");
        // Nothing has changed before it failed.
        let now = of_alice.log().member(&carol.account.id());
        assert_eq!(now.unwrap().role, Role::Reader);
    }
    let of_carol = carol.accept(&shared);
    assert!(can_read(&of_alice, &of_carol.keys().unwrap()));
    // A reader shares with nobody.
    let dave = Person::new("dave", &alice.network, &alice.hoster);
    let mut of_carol = of_carol;
    let error = carol
        .account
        .share(&mut of_carol, &dave.address(), Role::Reader)
        .unwrap_err();
    assert!(!error.is_transient(), "{error}");
    of_alice.refresh().unwrap();
    assert_eq!(of_alice.log().members().count(), 3);
}
