//! Vaults that nobody has accepted, and contacts whose logs are others than they were.

use prost::Message;
use vault_client::account::{AccountError, OfferSelector, Standing, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::vault::VaultError;
use vault_core::author::VaultAuthor;
use vault_core::keys::DeviceKeys;
use vault_proto::ids::AccountId;
use vault_proto::sign::SignLabel;
use vault_proto::vault_log::Role;
use vault_proto::wire::{MemberRef, Signature, SignedEntry, VaultEntry, VaultKind};
use vault_rpc::hoster::{
    ListVaultsResponse, ListedVault, PutOfferResponse, Reason, SyncVaultRequest,
};

use super::front::refusal;
use super::history::assert_matches;
use super::keys::{added, authored_by_itself};
use super::scene::{Hostile, Person, Scene, SecondDevice};
use crate::support::{commit, rng};

/// One of which he is a member without having been asked, one that is none of his at
/// all, and one that is said to hold his settings: they are listed, and that is all.
#[test]
fn a_vault_that_the_hoster_plants_is_not_there() {
    let hostile = Hostile::start();
    let (bob, mallory) = (Person::at(&hostile), Person::at(&hostile));
    bob.account.set_name("bob").unwrap();
    mallory.account.set_name("mallory").unwrap();
    let mut planted = mallory.account.create_vault("free money").unwrap();
    commit(&mut planted);
    let mut foreign = mallory.account.create_vault("more of it").unwrap();
    commit(&mut foreign);
    // Whoever works with the hoster sends no offer: there would be somebody to ask.
    let dropped = |_: &mut _| Some(Ok(PutOfferResponse {}));
    hostile.orders().put_offer.instead(dropped);
    let address = bob.account.address().unwrap();
    let shared = mallory.account.share(&mut planted, &address, Role::Writer);
    shared.unwrap();
    hostile.front.behave();
    let listed = bob.account.remote().list_vaults().unwrap();
    let is_listed = |id| listed.iter().any(|(vault, _)| *vault == id);
    assert!(is_listed(planted.id()) && !is_listed(foreign.id()));

    let ids = [planted.id(), foreign.id()];
    let theirs = mallory.account.remote().list_vaults().unwrap();
    let of_settings = |(_, kind): &(_, VaultKind)| *kind == VaultKind::Account;
    let settings = theirs.into_iter().find(of_settings).unwrap();
    let more = [(foreign.id(), VaultKind::Storage), settings];
    hostile.orders().list_vaults.tamper(move |_, answer| {
        let more = more.map(|(vault, kind)| ListedVault {
            vault: vault.to_vec(),
            kind: kind.into(),
        });
        // Before his own and behind them.
        answer.vaults.splice(0..0, more.clone());
        answer.vaults.extend(more);
    });
    let before = bob.stored();
    hostile.front.forget_seen();
    for account in [&bob.account, &bob.reopened(&hostile)] {
        assert!(account.vaults().unwrap().is_empty());
        assert!(account.known_vaults().unwrap().is_empty());
        let by_id = ids.map(VaultSelector::Id);
        let by_name = VaultSelector::Name("free money".to_owned());
        for selector in by_id.into_iter().chain([VaultSelector::Only, by_name]) {
            let error = account.open_vault(&selector).err();
            let error = error.expect("a planted vault was opened");
            assert_eq!(error.code(), ErrorCode::NoVault, "{selector:?}");
        }
    }
    assert_eq!(bob.stored(), before);
    // Nothing of them is so much as looked at.
    let asked = hostile.front.seen().into_iter();
    let asked = asked.filter(|seen| seen.call == "sync_vault");
    let asked = asked.map(|seen| SyncVaultRequest::decode(&seen.asked[..]).unwrap().vault);
    let asked: Vec<_> = asked.collect();
    assert!(!asked.is_empty());
    assert!(ids.iter().all(|id| !asked.contains(&id.to_vec())));

    // Nor do they come in the way of his own.
    let own = bob.account.create_vault("mine").unwrap();
    let only = bob.account.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(only.id(), own.id());
    assert_eq!(bob.account.vaults().unwrap().len(), 1);
}

impl Scene {
    /// Whoever asks for this account's log from the beginning is shown these entries.
    fn show_log(&self, account: AccountId, entries: Vec<SignedEntry>) {
        let account = account.to_vec();
        let mut orders = self.hostile.orders();
        orders.fetch_account_log.tamper(move |asked, answer| {
            if asked.account == account {
                answer.entries.clone_from(&entries);
                answer.more = false;
            }
        });
    }
}

/// The number was compared, and the log is pinned as far as it was seen. From then on
/// the hoster shows another: somebody else's, one that somebody has gone on with, one
/// that parts from what was seen, and as little as there was before.
#[test]
fn a_contact_whose_log_is_swapped_after_it_was_pinned_is_sent_nothing() {
    let mut scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let bob = scene.named("bob");
    let (id, address) = (bob.account.id(), bob.account.address().unwrap());
    let mallory = Person::at(&scene.hostile).paper(&scene.hostile).own_log();
    let paper = bob.paper(&scene.hostile);
    // A device that his paper has signed for, in a place where another entry stands.
    let short = paper.own_log();
    let other = added(&short, &paper.keys, &DeviceKeys::generate(&mut rng()));
    let laptop = bob.account.device();
    bob.account.rename_device(&laptop, "an old one").unwrap();
    let log = paper.own_log();
    assert_eq!(log.entries().len(), 2);
    let pinned = scene.person.account.add_contact(&address).unwrap();
    assert_eq!(pinned.position, log.position());
    scene.person.account.set_verified(&id, true).unwrap();

    let ghost = DeviceKeys::generate(&mut rng());
    let genuine = added(&log, &paper.keys, &ghost);
    let with = |entries: &[SignedEntry], more: SignedEntry| [entries, &[more]].concat();
    let lies = [
        mallory.entries().to_vec(),
        with(log.entries(), authored_by_itself(&genuine, &ghost)),
        with(short.entries(), other),
        short.entries().to_vec(),
        Vec::new(),
    ];
    let before = scene.person.stored();
    let contacts = scene.person.account.contacts().unwrap();
    for lie in lies {
        scene.show_log(id, lie);
        scene.front().forget_seen();
        for role in [Role::Reader, Role::Manager] {
            let account = &scene.person.account;
            let error = account.share(&mut scene.vault, &address, role);
            let error = error.expect_err("the vault was shared with somebody else");
            assert_matches!(&error, AccountError::ContactLog(named) if *named == id);
            assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
        }
        let error = scene.person.account.add_contact(&address).unwrap_err();
        assert_matches!(&error, AccountError::ContactLog(named) if *named == id);
        // No key is sealed to anybody, no offer sent.
        let calls = scene.front().seen();
        let wrote = ["append_vault_entry", "put_offer", "commit_head"];
        assert!(calls.iter().all(|seen| !wrote.contains(&seen.call)));
        assert_eq!(scene.person.stored(), before);
        assert_eq!(scene.person.account.contacts().unwrap(), contacts);
        assert_eq!(scene.vault.log().members().count(), 1);
    }
    scene.front().behave();
    scene.offer(&bob, Role::Reader);
    assert_eq!(scene.vault.log().members().count(), 2);
}

/// A hoster that wants a member to believe that he was put out: by an entry that somebody
/// has signed who may not, by one that puts out another, and by showing nothing. Then he is
/// put out, and sees by whom.
#[test]
fn who_is_put_out_sees_it_proven() {
    let mut scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let (bob, carol) = (scene.named("bob"), scene.named("carol"));
    for member in [&bob, &carol] {
        let offer = OfferSelector::Text(scene.offer(member, Role::Writer));
        member.account.accept_offer(&offer, None).unwrap();
    }
    let (id, vault) = (bob.account.id(), scene.vault.id());
    let mut his = bob.account.open_vault(&VaultSelector::Only).unwrap();
    his.refresh().unwrap();
    let before = bob.stored();
    let standing = |bob: &Person| {
        let vaults = bob.account.vaults().unwrap();
        assert_eq!(vaults.len(), 1);
        vaults[0].standing
    };

    // Made by the owner, who may, and signed by another writer instead.
    let paper = scene.person.paper(&scene.hostile);
    let sight = paper.look(vault);
    let author = VaultAuthor {
        log: &sight.log,
        accounts: &sight.accounts,
        head: sight.seen.newest(),
        account: paper.account,
        device: &paper.keys,
    };
    let genuine = author.remove_member(&id).unwrap();
    let other = author.remove_member(&carol.account.id()).unwrap();
    let hers = carol.paper(&scene.hostile);
    let mut forged = VaultEntry::decode(&genuine.payload[..]).unwrap();
    let theirs = sight.accounts[&hers.account].position();
    forged.author = Some(MemberRef {
        account: hers.account.to_vec(),
        position: Some(theirs.to_wire()),
    });
    forged.device = hers.keys.id().to_vec();
    let payload = forged.encode_to_vec();
    let signature = hers.keys.sign(SignLabel::VaultEntry, &payload).to_vec();
    let forged = SignedEntry {
        payload,
        signatures: vec![Signature {
            device: hers.keys.id().to_vec(),
            signature,
        }],
    };
    for (entry, is_out) in [(forged, true), (other, false)] {
        scene
            .hostile
            .orders()
            .sync_vault
            .tamper(move |asked, answer| {
                if asked.vault == vault.as_bytes() {
                    answer.vault_entries.push(entry.clone());
                    answer.heads.clear();
                    answer.root.clear();
                    answer.newest_head_seq = 0;
                }
            });
        let error = his.refresh().unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        let of_log = matches!(error, VaultError::VaultLog(_));
        assert_eq!(of_log, is_out, "{error}");
        assert_eq!(bob.stored(), before);
    }
    scene.front().behave();
    let hides = move |asked: &mut SyncVaultRequest| {
        let refused = refusal(Reason::NotFound, "There is no such vault here.");
        (asked.vault == vault.as_bytes()).then_some(Err(refused))
    };
    scene.hostile.orders().sync_vault.instead(hides);
    let nothing = |_: &_, answer: &mut ListVaultsResponse| answer.vaults.clear();
    scene.hostile.orders().list_vaults.tamper(nothing);
    assert_eq!(standing(&bob), Standing::Gone);
    assert_eq!(bob.stored(), before);

    scene.front().behave();
    assert_eq!(standing(&bob), Standing::Listed);
    paper.append(vault, |author, _| author.remove_member(&id).unwrap());
    assert_eq!(standing(&bob), Standing::PutOut(paper.account));
    let error = his.refresh().unwrap_err();
    assert_matches!(&error, VaultError::PutOut { by } if *by == paper.account);
    assert_eq!(error.code(), ErrorCode::NotAllowed);
    assert_eq!(bob.stored(), before);
    // A device of his that has never seen the vault is told the same.
    let fresh = SecondDevice::of(&bob, &scene.hostile);
    fresh.forgets(&his);
    assert_eq!(
        fresh.account.vaults().unwrap()[0].standing,
        Standing::PutOut(paper.account)
    );
    bob.account.leave_vault(&vault).unwrap();
    assert_eq!(bob.account.vaults().unwrap(), []);
}
