//! What goes from one device or member to another, or to a stranger with a link, by way
//! of a hoster: messages of a pairing, logs of contacts, offers, links; and what it
//! shows to somebody who has nothing but his words.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;
use vault_client::account::pairing::{NewDevice, Pairing, PairingCode};
use vault_client::account::{Account, AccountError, OfferSelector, Setup, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::link::{GetError, GetOptions, GetReport, LinkOptions, LinkUrl, create, get};
use vault_client::progress::Cancellation;
use vault_client::remote::grpc::Pace;
use vault_client::remote::{Misbehaviour, RemoteError};
use vault_client::state::KeySlot;
use vault_client::vault::{Freshness, VaultError};
use vault_core::keys::PhraseLanguage;
use vault_core::links::OpenLinkError;
use vault_core::offer::OfferError;
use vault_core::pairing::{PairingError, PairingStep};
use vault_proto::vault_log::Role;
use vault_rpc::hoster::{
    PutAccountLogResponse, PutOfferResponse, ReadLinkResponse, SyncVaultRequest, SyncVaultResponse,
};

use super::front::{Messages, pieces};
use super::history::assert_matches;
use super::scene::{Hostile, Person, Scene};
use crate::engine::{Files, backed_up, content_of, newest, noise, silent};
use crate::support::hoster::impatient;
use crate::support::stored;

const MALFORMED: RemoteError = RemoteError::Misbehaved(Misbehaviour::Malformed);

pub(super) fn go_on() -> Cancellation {
    Cancellation::new()
}

/// A computer without an account.
pub(super) struct Blank {
    pub(super) home: TempDir,
    pub(super) setup: Setup,
}

impl Blank {
    pub(super) fn at(hostile: &Hostile) -> Self {
        let home = tempfile::tempdir().unwrap();
        let setup = hostile.setup(home.path());
        Self { home, setup }
    }

    pub(super) fn begin(&self, hostile: &Hostile) -> (NewDevice, PairingCode) {
        let new = NewDevice::begin(&self.setup, &hostile.hoster.origin(), "a phone").unwrap();
        let code = PairingCode::parse(&new.code()).unwrap();
        (new, code)
    }

    pub(super) fn stored(&self) -> Vec<String> {
        stored(self.home.path())
    }
}

pub(super) fn pair(account: &Account, code: &PairingCode) -> Result<Pairing, AccountError> {
    account.pair(code, PhraseLanguage::English, &go_on())
}

impl Scene {
    /// The hoster hands out something else for one message of a pairing.
    fn replace(&self, code: &PairingCode, step: PairingStep, message: &[u8]) {
        let (name, message) = (code.box_name(step).to_vec(), message.to_vec());
        let mut orders = self.hostile.orders();
        orders.await_message.tamper(move |asked, answer| {
            if asked.name == name {
                answer.message.clone_from(&message);
            }
        });
    }

    pub(super) fn devices(&self) -> usize {
        self.person.account.devices().unwrap().len()
    }
}

/// Each of the four in turn, by noise of its length, by less, and by another of this
/// very pairing.
#[test]
fn a_replaced_message_of_a_pairing_is_noticed() {
    let scene = Scene::small();
    let before = scene.person.stored();
    let lies = |step| match step {
        PairingStep::Proposal => [noise(1, 65_536), vec![7]],
        _ => [noise(1, 4_096), vec![7]],
    };
    for lie in lies(PairingStep::Introduction) {
        let blank = Blank::at(&scene.hostile);
        let (_new, code) = blank.begin(&scene.hostile);
        scene.replace(&code, PairingStep::Introduction, &lie);
        let error = pair(&scene.person.account, &code).err();
        assert_matches!(
            &error,
            Some(AccountError::Pairing(PairingError::Unopenable(_)))
        );
        assert_eq!(error.unwrap().code(), ErrorCode::HosterMisbehaved);
        assert_eq!(scene.person.stored(), before);
    }
    for lie in lies(PairingStep::Proposal) {
        scene.front().behave();
        let blank = Blank::at(&scene.hostile);
        let (mut new, code) = blank.begin(&scene.hostile);
        let _old = pair(&scene.person.account, &code).unwrap();
        let stored = blank.stored();
        scene.replace(&code, PairingStep::Proposal, &lie);
        let error = new.await_words(&go_on()).unwrap_err();
        assert_matches!(&error, AccountError::Pairing(PairingError::Unopenable(_)));
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
        assert_eq!(new.proposed(), None);
        assert_eq!(blank.stored(), stored);
    }
    assert_eq!(scene.devices(), 2);
}

/// The signature of the new device, and the last word of the old one.
#[test]
fn a_replaced_signature_or_end_of_a_pairing_adds_nobody_who_was_not_confirmed() {
    let scene = Scene::small();
    let blank = Blank::at(&scene.hostile);
    let (mut new, code) = blank.begin(&scene.hostile);
    let old = pair(&scene.person.account, &code).unwrap();
    new.await_words(&go_on()).unwrap();
    let believed = scene.person.believed();
    scene.replace(&code, PairingStep::Signature, &noise(1, 4_096));
    // It would wait for the last message as long as the code is good.
    let stop = go_on();
    let (new, old) = std::thread::scope(|scope| {
        let new = scope.spawn(|| new.finish(&stop).map(drop));
        let old = old.confirm(&go_on()).map(drop);
        stop.cancel();
        (new.join().unwrap(), old)
    });
    let error = old.unwrap_err();
    assert_matches!(&error, AccountError::Pairing(PairingError::Unopenable(_)));
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(new.unwrap_err().code(), ErrorCode::Cancelled);
    scene.front().behave();
    assert_eq!(scene.devices(), 2);
    assert_eq!(scene.person.believed(), believed);
    assert_matches!(
        Account::open(&blank.setup).err(),
        Some(AccountError::PairingUnfinished)
    );
}

/// A log that belongs to somebody else, in the place of a contact's.
#[test]
fn a_substituted_log_of_a_contact_is_refused() {
    let scene = Scene::small();
    let bob = Person::at(&scene.hostile);
    bob.account.set_name("bob").unwrap();
    let address = bob.account.address().unwrap();
    let mallory = Person::at(&scene.hostile).paper(&scene.hostile).own_log();
    let before = scene.person.stored();
    let substitutes = [mallory.entries().to_vec(), Vec::new()];
    for entries in substitutes {
        let mut orders = scene.hostile.orders();
        orders.fetch_account_log.tamper(move |_, answer| {
            answer.entries.clone_from(&entries);
        });
        drop(orders);
        let error = scene.person.account.add_contact(&address).unwrap_err();
        assert_matches!(&error, AccountError::ContactLog(id) if *id == address.account());
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
        assert_eq!(scene.person.stored(), before);
        assert!(scene.person.account.contacts().unwrap().is_empty());
    }
    scene.front().behave();
    scene.person.account.add_contact(&address).unwrap();
}

/// An offer that the hoster keeps as something else, and one that it takes and drops.
#[test]
fn an_offer_that_the_hoster_alters_or_drops_is_none() {
    let mut scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let bob = Person::at(&scene.hostile);
    bob.account.set_name("bob").unwrap();
    let address = bob.account.address().unwrap();
    // Of the box, of what is sealed under it, and of the tag.
    let mut orders = scene.hostile.orders();
    orders.put_offer.instead(|asked| {
        asked.offer[2_000] ^= 1;
        None
    });
    drop(orders);
    let account = &scene.person.account;
    let shared = account.share(&mut scene.vault, &address, Role::Reader);
    let text = shared.unwrap().offer;
    let before = bob.stored();
    let offers = bob.account.offers().unwrap();
    assert_eq!((offers.offers.len(), offers.unreadable.len()), (0, 1));
    let altered = OfferSelector::Id(offers.unreadable[0]);
    let error = bob.account.accept_offer(&altered, None).err().unwrap();
    assert_matches!(&error, AccountError::Offer(OfferError::Unopenable(_)));
    assert_eq!(bob.stored(), before);
    bob.account.decline_offer(&offers.unreadable[0]).unwrap();

    scene
        .hostile
        .orders()
        .put_offer
        .instead(|_| Some(Ok(PutOfferResponse {})));
    let again = scene
        .person
        .account
        .share(&mut scene.vault, &address, Role::Reader);
    assert!(again.is_ok());
    let offers = bob.account.offers().unwrap();
    assert_eq!((offers.offers.len(), offers.unreadable.len()), (0, 0));
    assert_eq!(bob.stored(), before);
    assert!(bob.account.known_vaults().unwrap().is_empty());
    // Handed over without the hoster, it is good.
    let offer = OfferSelector::Text(text);
    let vault = bob.account.accept_offer(&offer, None).unwrap();
    assert_eq!(vault.head(), scene.vault.head());
}

/// A guest brings his log to the hoster of a vault, which says what it likes of it: that
/// it has taken it, and has not, gives nobody a vault; how much it has, moves nothing.
#[test]
fn what_a_hoster_says_of_a_guests_log_moves_nothing() {
    let mut scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let home = Hostile::start();
    let bob = Person::at(&home);
    bob.account.set_name("bob").unwrap();
    let address = bob.account.address().unwrap();
    let account = &scene.person.account;
    let shared = account.share(&mut scene.vault, &address, Role::Writer);
    let offer = OfferSelector::Text(shared.unwrap().offer);
    scene
        .hostile
        .orders()
        .put_account_log
        .instead(|_| Some(Ok(PutAccountLogResponse { seq: u64::MAX })));
    scene.front().forget_seen();
    let known = bob.account.known_vaults().unwrap();
    let accepted = bob.account.accept_offer(&offer, None);
    let calls = scene.front().seen();
    assert!(calls.iter().any(|seen| seen.call == "put_account_log"));
    // The member who shared had to bring the log first, so that the hoster has it.
    let mut vault = accepted.unwrap();
    assert_ne!(bob.account.known_vaults().unwrap(), known);

    // A device that the hoster has never heard of, though it says that it has.
    scene.front().behave();
    scene
        .hostile
        .orders()
        .put_account_log
        .tamper(|_, answer| answer.seq = 0);
    let files = Files::new(&[("from bob", noise(5, 3_000))]);
    backed_up(&mut vault, &files).unwrap();
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert_eq!(vault.head(), scene.vault.head());
}

/// A link, and somebody with its URL who has nothing else.
pub(super) struct Linked {
    pub(super) scene: Scene,
    pub(super) url: LinkUrl,
    other: LinkUrl,
}

impl Linked {
    pub(super) fn new() -> Self {
        let mut scene = Scene::of(Files::new(&[
            ("album/one.jpg", noise(1, 300_000)),
            ("album/two.txt", b"and what compresses ".repeat(90)),
            ("private", noise(2, 50_000)),
        ]));
        let [url, other] = ["album", "private"].map(|path| scene.link(path));
        Self { scene, url, other }
    }

    fn get(&self, pace: Pace, target: &Path) -> Result<GetReport, GetError> {
        let nowhere = tempfile::tempdir().unwrap();
        let setup = self.scene.hostile.hoster.setup(nowhere.path(), pace);
        let (connect, options) = (&*setup.connect, GetOptions::default());
        get(
            connect,
            &self.url,
            None,
            target,
            &options,
            &silent(),
            &go_on(),
        )
    }

    /// Nothing comes of it, and nothing of the maker's device has moved.
    fn refused(&self, pace: Pace) -> GetError {
        let before = self.scene.person.stored();
        let saved = tempfile::tempdir().unwrap();
        let error = self.get(pace, saved.path()).unwrap_err();
        assert_eq!(content_of(saved.path()).len(), 0);
        assert_eq!(self.scene.person.stored(), before);
        error
    }

    fn send(&self, mut read: impl FnMut(Bytes) -> Messages<ReadLinkResponse> + Send + 'static) {
        self.scene.hostile.orders().read_link = Some(Box::new(move |_, bytes| read(bytes)));
    }

    pub(super) fn assert_honest_again(&self) {
        self.scene.front().behave();
        let saved = tempfile::tempdir().unwrap();
        self.get(Pace::default(), saved.path()).unwrap();
        let album = self.scene.files.path().join("album");
        assert_eq!(content_of(saved.path()), content_of(&album));
    }
}

impl Scene {
    fn link(&mut self, path: &str) -> LinkUrl {
        self.link_with(path, &LinkOptions::default())
    }

    pub(super) fn link_with(&mut self, path: &str, options: &LinkOptions) -> LinkUrl {
        let address = self.person.account.hoster_of(&self.vault).unwrap();
        let path = self.files.path().join(path);
        let made = create(
            &mut self.vault,
            &address,
            &self.snapshot,
            path.as_os_str().as_bytes(),
            options,
            &silent(),
            &go_on(),
        );
        made.unwrap().url
    }
}

/// The capsule of another link, by its own name and under this one's.
#[test]
fn a_capsule_that_the_hoster_swaps_is_noticed() {
    let linked = Linked::new();
    let other = linked.other.clone();
    let swapped = linked.scene.front().pack(&other.capsule);
    linked
        .scene
        .hostile
        .orders()
        .open_link
        .tamper(move |_, answer| {
            answer.capsule = other.capsule.to_vec();
        });
    let error = linked.refused(Pace::default());
    assert_matches!(&error, GetError::Open(OpenLinkError::NotThisCapsule));
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    linked.assert_honest_again();

    linked.send(move |_| pieces(&swapped, |bytes| ReadLinkResponse { bytes }));
    let error = linked.refused(Pace::default());
    assert_matches!(&error, GetError::Open(OpenLinkError::NotThisCapsule));
    linked.assert_honest_again();
}

/// A size that is no pack's, and tickets that are none.
#[test]
fn an_answer_about_a_link_without_its_shape_is_refused() {
    let linked = Linked::new();
    for size in [0, 16_383, 1 << 25, u32::MAX] {
        let mut orders = linked.scene.hostile.orders();
        orders
            .open_link
            .tamper(move |_, answer| answer.capsule_size = size);
        drop(orders);
        let error = linked.refused(Pace::default());
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{size}: {error}");
    }
    for length in [0, 31, 33, 10_000] {
        let mut orders = linked.scene.hostile.orders();
        orders
            .open_link
            .tamper(move |_, answer| answer.ticket = vec![7; length]);
        drop(orders);
        let error = linked.refused(Pace::default());
        assert_matches!(&error, GetError::Remote(error) if *error == MALFORMED);
    }
    linked.assert_honest_again();
}

#[test]
fn what_is_read_of_a_link_neither_lies_nor_stalls_nor_goes_on_for_ever() {
    let linked = Linked::new();
    let endless = || {
        let message = || {
            Ok(ReadLinkResponse {
                bytes: Bytes::from_static(&[7; 4_096]),
            })
        };
        Box::pin(tokio_stream::iter(std::iter::repeat_with(message)))
    };
    linked.send(move |_| endless());
    let error = linked.refused(Pace::default());
    assert_matches!(&error, GetError::Open(OpenLinkError::NotThisCapsule));
    linked.send(|_| Box::pin(tokio_stream::pending()));
    let error = linked.refused(impatient());
    assert_matches!(&error, GetError::Remote(RemoteError::Stalled));
    assert!(error.is_transient());
    // A byte of the capsule.
    linked.send(|bytes| {
        let mut bytes = bytes.to_vec();
        bytes[100] ^= 1;
        pieces(&bytes.into(), |bytes| ReadLinkResponse { bytes })
    });
    let error = linked.refused(Pace::default());
    assert_matches!(&error, GetError::Open(OpenLinkError::NotThisCapsule));
    linked.assert_honest_again();

    // A byte of all that comes after the capsule: no file is as it should be.
    let mut reads = 0;
    linked.send(move |bytes| {
        reads += 1;
        let bytes = match reads {
            1 => bytes.to_vec(),
            _ => bytes.iter().map(|byte| byte ^ 1).collect(),
        };
        pieces(&bytes.into(), |bytes| ReadLinkResponse { bytes })
    });
    let before = linked.scene.person.stored();
    let saved = tempfile::tempdir().unwrap();
    let report = linked.get(Pace::default(), saved.path()).unwrap();
    assert_eq!((report.left_out.len(), report.lost_by_hoster), (2, 2));
    assert_eq!(content_of(saved.path()).len(), 0);
    assert_eq!(linked.scene.person.stored(), before);
    linked.assert_honest_again();
}

/// Who has his words and nothing else is shown what was once true. He is told that it
/// is not known to be the newest, and by the head that he has printed that it is not.
#[test]
fn a_rolled_back_recovery_is_told_by_a_printed_head() {
    let mut scene = Scene::small();
    let old = scene.whole_answer();
    scene.back_up_again();
    let printed = scene.vault.printed_head().unwrap();
    let vault = scene.vault.id().to_vec();
    let lie = move |asked: &SyncVaultRequest, answer: &mut SyncVaultResponse| {
        if asked.vault != vault {
            return;
        }
        answer.heads = match asked.head_seq {
            0 => old.heads.clone(),
            _ => Vec::new(),
        };
        answer.root.clone_from(&old.root);
        answer.newest_head_seq = old.newest_head_seq;
    };
    scene.hostile.orders().sync_vault.tamper(lie);
    let blank = Blank::at(&scene.hostile);
    let account = blank.recover(&scene).unwrap();
    let mut found = account.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(found.head().unwrap().seq, 1);
    assert_eq!(found.freshness().unwrap(), Freshness::Unknown);
    let before = blank.stored();
    let error = found.confirm(&printed).unwrap_err();
    assert_matches!(
        &error,
        VaultError::PrintedHeadMissing { printed: 2, got: 1 }
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(blank.stored(), before);
    assert_eq!(found.freshness().unwrap(), Freshness::Unknown);

    scene.front().behave();
    found.confirm(&printed).unwrap();
    assert_eq!(found.freshness().unwrap(), Freshness::Confirmed);
    assert_eq!(newest(&found).unwrap().id, scene.snapshot.id);
}

impl Blank {
    fn recover(&self, scene: &Scene) -> Result<Account, AccountError> {
        let origin = scene.hostile.hoster.origin();
        Account::recover(&self.setup, &origin, &scene.person.phrase, "a new one")
    }
}

/// Somebody else's account for the words, and names of accounts that are none.
#[test]
fn another_account_for_the_words_is_refused() {
    let scene = Scene::small();
    let stranger = Person::at(&scene.hostile).account.id().to_vec();
    let before = scene.person.stored();
    let lies = [stranger, vec![7; 31], Vec::new(), vec![7; 32]];
    for lie in lies {
        let is_malformed = lie.len() != 32;
        let mut orders = scene.hostile.orders();
        orders
            .find_account
            .tamper(move |_, answer| answer.account.clone_from(&lie));
        drop(orders);
        let blank = Blank::at(&scene.hostile);
        let error = blank.recover(&scene).err().unwrap();
        match &error {
            AccountError::Remote(error) if is_malformed => assert_eq!(*error, MALFORMED),
            AccountError::Vault(VaultError::Answer(_)) | AccountError::Remote(_) => {
                assert!(!is_malformed);
            }
            _ => panic!("{error:?}"),
        }
        assert_matches!(
            Account::open(&blank.setup).err(),
            Some(AccountError::NoAccount)
        );
        assert_eq!(blank.setup.keys.load(KeySlot::Device).unwrap(), None);
    }
    assert_eq!(scene.person.stored(), before);
    assert_eq!(scene.devices(), 2);
}
