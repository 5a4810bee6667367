//! Pairings by way of a hoster that has shown the two devices different histories, or
//! that plays an earlier pairing again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;

use rusqlite::Connection;
use vault_client::account::pairing::{NewDevice, Pairing, PairingCode};
use vault_client::account::{Account, AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::vault::{Freshness, VaultError};
use vault_core::pairing::{PairingError, PairingStep};
use vault_proto::head::HeadError;
use vault_proto::ids::VaultId;
use vault_proto::wire::VaultKind;
use vault_rpc::hoster::commit_head_response::Outcome;
use vault_rpc::hoster::{
    Accepted, AwaitMessageRequest, AwaitMessageResponse, CommitHeadResponse, PutMessageResponse,
    SyncVaultRequest, SyncVaultResponse,
};

use super::exchanges::{Blank, go_on, pair};
use super::history::assert_matches;
use super::meeting::{Branch, assert_went_back};
use super::scene::{Scene, SecondDevice};
use crate::support::commit;

/// Both members have compared the words and agree.
fn both(new: NewDevice, old: Pairing) -> (Result<Account, AccountError>, Result<(), AccountError>) {
    thread::scope(|scope| {
        let new = scope.spawn(move || new.finish(&go_on()));
        let old = old.confirm(&go_on()).map(drop);
        (new.join().unwrap(), old)
    })
}

impl Blank {
    /// What it has taken in of a vault: entries of its log, and heads.
    fn rows_of(&self, vault: &VaultId) -> i64 {
        let database = Connection::open(self.home.path().join("state.db")).unwrap();
        let tables = [("entry", "log"), ("head", "vault"), ("seen_head", "vault")];
        let counts = tables.map(|(table, column)| {
            let count = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
            let counted =
                database.query_row(&count, [vault.as_bytes()], |row| row.get::<_, i64>(0));
            counted.unwrap()
        });
        counts.iter().sum()
    }
}

/// The old device has seen one history, and the new one is shown another, as long as
/// that, shorter, or longer.
#[test]
fn a_fork_is_told_when_two_devices_meet_by_pairing() {
    for (ours, theirs) in [(1, 1), (2, 1), (1, 2)] {
        let mut scene = Scene::small();
        let common = scene.branch_of_the_hoster();
        let second = SecondDevice::of(&scene.person, &scene.hostile);
        let mut branch = scene.branch(&mut second.vault(), theirs);
        branch.heads.splice(0..0, common.heads);
        for _ in 0..ours {
            commit(&mut scene.vault);
        }
        let before = scene.person.believed();
        let blank = Blank::at(&scene.hostile);
        let (mut new, code) = blank.begin(&scene.hostile);
        let old = pair(&scene.person.account, &code).unwrap();
        assert_eq!(new.await_words(&go_on()).unwrap(), old.words());
        scene.show(&branch);
        let (account, paired) = both(new, old);
        paired.unwrap();
        let error = account.err().expect("the fork was not noticed");
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert!(!error.is_transient(), "{error}");
        match error {
            AccountError::Vault(error) if ours > theirs => assert_went_back(error),
            error => {
                let fork = HeadError::Fork { seq: 2 };
                assert_matches!(error, AccountError::Vault(VaultError::Head(ref found)) if *found == fork);
            }
        }
        // It is not in, and has kept nothing of what it was shown.
        let is_out = || Account::open(&blank.setup).err();
        assert_matches!(is_out(), Some(AccountError::PairingUnfinished));
        assert_eq!(blank.rows_of(&scene.vault.id()), 0);
        // Nor is it, for as long as the hoster keeps to its story.
        let before_again = blank.stored();
        let again = blank.begin(&scene.hostile).0.finish(&go_on());
        let error = again.err().expect("the fork was not noticed again");
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert_matches!(is_out(), Some(AccountError::PairingUnfinished));
        assert_eq!(blank.stored(), before_again);
        assert_eq!(scene.person.account.devices().unwrap().len(), 3);
        // The old device has the entry that it signed, and else what it had.
        let after = scene.person.believed();
        let heads = |lines: &[String]| -> Vec<String> {
            let heads = lines.iter().filter(|line| line.starts_with("head: "));
            heads.cloned().collect()
        };
        assert_eq!(heads(&after), heads(&before));

        // With the truth it comes in, and nothing of the lies is in the way.
        scene.front().behave();
        let account = blank.begin(&scene.hostile).0.finish(&go_on()).unwrap();
        let found = account.open_vault(&VaultSelector::Only).unwrap();
        assert_eq!(found.head(), scene.vault.head());
        assert_eq!(found.freshness().unwrap(), Freshness::Confirmed);
    }
}

/// Likewise of the vault of the account's settings, which says what vaults there are.
#[test]
fn a_fork_of_the_accounts_settings_is_told_by_pairing() {
    let scene = Scene::small();
    let listed = scene.person.account.remote().list_vaults().unwrap();
    let is_own = |(_, kind): &(_, VaultKind)| *kind == VaultKind::Account;
    let (own, _) = listed.into_iter().find(is_own).unwrap();
    let branch = Arc::new(Mutex::new(Branch::default()));
    let kept = branch.clone();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    scene.hostile.orders().commit_head.instead(move |asked| {
        let head = (asked.head.clone(), asked.root.clone());
        kept.lock().unwrap().heads.push(head);
        Some(Ok(CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    });
    second.account.set_name("mallory").unwrap();
    scene.front().behave();
    scene.person.account.set_name("alice").unwrap();

    let blank = Blank::at(&scene.hostile);
    let (mut new, code) = blank.begin(&scene.hostile);
    let old = pair(&scene.person.account, &code).unwrap();
    assert_eq!(new.await_words(&go_on()).unwrap(), old.words());
    // Shown to nobody but who has nothing yet.
    let branch = branch.lock().unwrap().clone();
    assert_eq!(branch.heads.len(), 1);
    let lie = move |asked: &SyncVaultRequest, answer: &mut SyncVaultResponse| {
        if asked.vault == own.as_bytes() && asked.head_seq == 0 {
            let older = answer.heads.split_off(1);
            branch.put_into(asked, answer);
            answer.heads.extend(older);
        }
    };
    scene.hostile.orders().sync_vault.tamper(lie);
    let (account, paired) = both(new, old);
    paired.unwrap();
    let error = account.err().expect("the fork was not noticed");
    assert_matches!(
        &error,
        AccountError::Vault(VaultError::Head(HeadError::Fork { .. }))
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_matches!(
        Account::open(&blank.setup).err(),
        Some(AccountError::PairingUnfinished)
    );
    assert_eq!(blank.rows_of(&own), 0);

    scene.front().behave();
    let account = blank.begin(&scene.hostile).0.finish(&go_on()).unwrap();
    assert_eq!(account.address().unwrap().name(), "alice");
}

/// Messages of a pairing, by the name of their box.
type Relayed = Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>;

impl Scene {
    /// A device comes in over a hoster that keeps a copy of every message.
    fn paired(&self, blank: &Blank) -> (Account, PairingCode, Relayed) {
        let relayed = Relayed::default();
        let copies = relayed.clone();
        self.hostile.orders().put_message.instead(move |asked| {
            let mut copies = copies.lock().unwrap();
            copies.insert(asked.name.clone(), asked.message.clone());
            None
        });
        let (mut new, code) = blank.begin(&self.hostile);
        let old = pair(&self.person.account, &code).unwrap();
        assert_eq!(new.await_words(&go_on()).unwrap(), old.words());
        let (account, paired) = both(new, old);
        paired.unwrap();
        self.front().behave();
        (account.unwrap(), code, relayed)
    }

    /// The hoster has forgotten that a code was ever used: it hands out the old messages
    /// and takes all that are put, whatever there was before.
    fn replay(&self, relayed: &Relayed) {
        let relayed = relayed.clone();
        let mut orders = self.hostile.orders();
        let answer = move |asked: &mut AwaitMessageRequest| {
            let message = relayed.lock().unwrap().get(&asked.name).cloned();
            Some(Ok(AwaitMessageResponse {
                message: message.unwrap_or_default(),
            }))
        };
        orders.await_message.instead(answer);
        let taken = |_: &mut _| Some(Ok(PutMessageResponse {}));
        orders.put_message.instead(taken);
    }
}

/// A code that was read before, with all that was said then: no device of the account
/// proposes anything, not even once the device that it was for is out again.
#[test]
fn a_code_that_is_played_again_adds_nobody() {
    let scene = Scene::small();
    let blank = Blank::at(&scene.hostile);
    let (phone, code, relayed) = scene.paired(&blank);
    assert_eq!(relayed.lock().unwrap().len(), 4);
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    second.account.vaults().unwrap();
    for is_removed in [false, true] {
        if is_removed {
            let account = &scene.person.account;
            account.remove_device(&phone.device()).unwrap();
            second.account.vaults().unwrap();
        }
        scene.replay(&relayed);
        for account in [&scene.person.account, &second.account] {
            let (ours, theirs) = (scene.person.stored(), second.stored());
            let devices = account.devices().unwrap().len();
            let error = pair(account, &code).err().expect("the code was used again");
            assert_matches!(&error, AccountError::PairingCodeUsed);
            assert_eq!(error.code(), ErrorCode::PairingFailed);
            assert_eq!(scene.person.stored(), ours);
            assert_eq!(second.stored(), theirs);
            assert_eq!(account.devices().unwrap().len(), devices);
        }
        scene.front().behave();
    }
}

impl Scene {
    /// Whoever waits for this message gets that one.
    fn hand_out(&self, code: &PairingCode, step: PairingStep, message: &[u8]) {
        let (name, message) = (code.box_name(step).to_vec(), message.to_vec());
        let answer = move |asked: &mut AwaitMessageRequest| {
            let message = (asked.name == name).then(|| message.clone());
            message.map(|message| Ok(AwaitMessageResponse { message }))
        };
        self.hostile.orders().await_message.instead(answer);
    }
}

#[track_caller]
fn assert_unopenable(error: &AccountError) {
    assert_matches!(error, AccountError::Pairing(PairingError::Unopenable(_)));
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
}

/// Each of the four again, for devices that are about another pairing.
#[test]
fn messages_of_an_earlier_pairing_let_nobody_in() {
    let scene = Scene::small();
    let (_phone, code, relayed) = scene.paired(&Blank::at(&scene.hostile));
    let sent = |step| relayed.lock().unwrap()[&code.box_name(step).to_vec()].clone();
    let play = |again: &PairingCode, step| scene.hand_out(again, step, &sent(step));
    let devices = scene.devices();
    let blank = Blank::at(&scene.hostile);
    let (mut new, again) = blank.begin(&scene.hostile);
    let (ours, theirs) = (scene.person.stored(), blank.stored());
    play(&again, PairingStep::Introduction);
    let error = pair(&scene.person.account, &again).err();
    assert_unopenable(&error.expect("an old introduction was taken"));
    assert_eq!(scene.person.stored(), ours);
    play(&again, PairingStep::Proposal);
    assert_unopenable(&new.await_words(&go_on()).unwrap_err());
    assert_eq!(new.proposed(), None);
    assert_eq!(blank.stored(), theirs);
    scene.front().behave();

    // Where all was right so far, the old signature and the old end are none.
    let old = pair(&scene.person.account, &again).unwrap();
    assert_eq!(new.await_words(&go_on()).unwrap(), old.words());
    let believed = scene.person.believed();
    play(&again, PairingStep::Signature);
    assert_unopenable(&old.confirm(&go_on()).unwrap_err());
    assert_eq!(scene.person.believed(), believed);
    play(&again, PairingStep::End);
    let error = new.finish(&go_on()).err();
    assert_unopenable(&error.expect("an old end was taken"));
    scene.front().behave();
    assert_matches!(
        Account::open(&blank.setup).err(),
        Some(AccountError::PairingUnfinished)
    );
    assert_eq!(scene.devices(), devices);
}
