//! A device brings in another one, past a hoster that relays and cannot look.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use vault_client::account::pairing::{NewDevice, Pairing, PairingCode, Refusal};
use vault_client::account::{Account, AccountError, Setup, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::platform::Clock;
use vault_client::progress::Cancellation;
use vault_client::remote::RemoteError;
use vault_client::remote::memory::MemoryHoster;
use vault_client::vault::{Freshness, VaultError};
use vault_core::keys::PhraseLanguage;
use vault_core::pairing::PairingStep;
use vault_proto::ids::MessageName;

use crate::support::hoster::Standing;
use crate::support::{Member, commit, line_lost, setup};

/// A clock of which a look costs a minute.
#[derive(Default)]
struct Leaping(AtomicU64);

impl Clock for Leaping {
    fn unix_nanoseconds(&self) -> i128 {
        let minutes = 30_000_000 + self.0.fetch_add(1, Ordering::Relaxed);
        i128::from(minutes) * 60_000_000_000
    }
}

/// A computer without an account.
struct Blank {
    home: TempDir,
    setup: Setup,
    clock: Standing,
}

impl Blank {
    fn new(hoster: &MemoryHoster) -> Self {
        let home = tempfile::tempdir().unwrap();
        let clock = Standing::new();
        let mut setup = setup(home.path(), hoster.clone());
        setup.clock = Arc::new(clock.clone());
        Self { home, setup, clock }
    }

    fn begin(&self, hoster: &MemoryHoster) -> NewDevice {
        NewDevice::begin(&self.setup, &hoster.origin(), "a phone").unwrap()
    }

    fn open(&self) -> Result<Account, AccountError> {
        Account::open(&self.setup)
    }
}

fn go_on() -> Cancellation {
    Cancellation::new()
}

fn read(code: &NewDevice) -> PairingCode {
    PairingCode::parse(&code.code()).unwrap()
}

fn box_of(code: &PairingCode, step: PairingStep) -> MessageName {
    code.box_name(step)
}

fn pair(account: &Account, code: &PairingCode) -> Result<Pairing, AccountError> {
    account.pair(code, PhraseLanguage::English, &go_on())
}

/// Both members agree.
fn both(new: NewDevice, old: Pairing) -> (Result<Account, AccountError>, Result<(), AccountError>) {
    thread::scope(|scope| {
        let new = scope.spawn(move || new.finish(&go_on()));
        let old = old.confirm(&go_on()).map(|_| ());
        (new.join().unwrap(), old)
    })
}

#[test]
fn two_devices_show_the_same_words_and_then_share_everything() {
    let (member, mut vault) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    assert!(matches!(
        blank.open().err(),
        Some(AccountError::PairingUnfinished)
    ));
    let code = read(&new);
    let old = pair(&member.account, &code).unwrap();
    assert_eq!(old.device_name(), "a phone");
    assert_eq!(new.await_words(&go_on()).unwrap(), old.words());
    let proposed = new.proposed().unwrap();
    assert_eq!(proposed, (member.account.id(), member.hoster.id()));
    let (account, paired) = both(new, old);
    paired.unwrap();
    let account = account.unwrap();
    assert_eq!(account.id(), member.account.id());
    assert_eq!(account.device_name().unwrap(), "a phone");

    // It reads and writes, and so does the other one still.
    drop(account);
    let account = blank.open().unwrap();
    let mut found = account.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(
        (found.head(), found.name()),
        (vault.head(), Some("documents"))
    );
    assert_eq!(found.freshness().unwrap(), Freshness::Confirmed);
    commit(&mut found);
    vault.refresh().unwrap();
    commit(&mut vault);
    let devices = member.account.devices().unwrap();
    let phone = devices.iter().find(|device| device.id == account.device());
    assert_eq!(phone.unwrap().name.as_deref(), Some("a phone"));
    assert!(!blank.home.path().join("pairing.key").exists());
}

#[test]
fn the_hoster_sees_no_name_no_key_and_no_account() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    new.await_words(&go_on()).unwrap();
    let device = blank.setup.keys.load(vault_client::state::KeySlot::Device);
    let device = device.unwrap().unwrap();
    let device = vault_core::keys::DeviceKeys::from_secret_bytes(&device).unwrap();
    let (account, device) = (member.account.id(), device.id());
    let needles: [&[u8]; 3] = [b"a phone", account.as_bytes(), device.as_bytes()];
    let relayed = member.hoster.messages();
    let lengths: Vec<_> = relayed.iter().map(|(_, message)| message.len()).collect();
    assert!(
        lengths.contains(&4_096) && lengths.contains(&65_536),
        "{lengths:?}"
    );
    for (name, message) in relayed {
        let all = [name.as_bytes(), &message[..]].concat();
        for needle in needles {
            assert!(!all.windows(needle.len()).any(|window| window == needle));
        }
    }
    both(new, old).1.unwrap();
}

#[test]
fn a_message_that_the_hoster_replaces_is_noticed() {
    // The first: the old device proposes nothing.
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let new = blank.begin(&member.hoster);
    let code = read(&new);
    let elsewhere = Blank::new(&member.hoster);
    let other_code = read(&elsewhere.begin(&member.hoster));
    let first = |code: &PairingCode| box_of(code, PairingStep::Introduction);
    let messages = member.hoster.messages();
    let others = messages
        .iter()
        .find(|(name, _)| *name == first(&other_code));
    let (_, others) = others.unwrap();
    for lie in [vec![7; 4_096], vec![7], others.clone()] {
        member.hoster.replace_message(&first(&code), lie);
        let error = pair(&member.account, &code).err().unwrap();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        let names = |step| box_of(&code, step);
        let sent = member.hoster.messages();
        assert!(
            !sent
                .iter()
                .any(|(name, _)| *name == names(PairingStep::Proposal))
        );
    }

    // The second: the new device shows no words.
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let code = read(&new);
    let _old = pair(&member.account, &code).unwrap();
    let second = box_of(&code, PairingStep::Proposal);
    member.hoster.replace_message(&second, vec![7; 65_536]);
    let error = new.await_words(&go_on()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(blank.open().is_err());
    assert_eq!(member.account.devices().unwrap().len(), 2);
}

#[test]
fn a_forged_signature_adds_nobody() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let code = read(&new);
    let old = pair(&member.account, &code).unwrap();
    new.await_words(&go_on()).unwrap();
    // By somebody who has seen the code, and has not the device's key.
    let forged = code.seal_signature(&[7; 64], &mut crate::support::rng());
    let third = box_of(&code, PairingStep::Signature);
    member.hoster.replace_message(&third, forged);
    let error = old.confirm(&go_on()).unwrap_err();
    assert!(matches!(error, AccountError::Pairing(_)), "{error}");
    assert_eq!(member.account.devices().unwrap().len(), 2);
}

#[test]
fn a_code_is_good_for_one_proposal() {
    let (member, _) = Member::with_vault();
    let thief = Member::at(&member.hoster);
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let code = read(&new);
    // Somebody has seen the code, and is faster: the words are his, and the
    // member's own device has none to show.
    let stolen = pair(&thief.account, &code).unwrap();
    let error = pair(&member.account, &code).err().unwrap();
    assert!(matches!(error, AccountError::PairingCodeUsed), "{error}");
    assert_eq!(error.code(), ErrorCode::PairingFailed);
    assert_eq!(new.await_words(&go_on()).unwrap(), stolen.words());
    assert_eq!(new.proposed().unwrap().0, thief.account.id());
    // The member does not see his words anywhere, and begins anew.
    drop(new);
    blank.clock.forward(Duration::from_secs(600));
    let mut new = blank.begin(&member.hoster);
    let again = read(&new);
    assert_ne!(
        again.box_name(PairingStep::End),
        code.box_name(PairingStep::End)
    );
    let old = pair(&member.account, &again).unwrap();
    assert_eq!(new.await_words(&go_on()).unwrap(), old.words());
    let (account, _) = both(new, old);
    assert_eq!(account.unwrap().id(), member.account.id());

    // What was used is used.
    let error = pair(&member.account, &again).err().unwrap();
    assert!(matches!(error, AccountError::PairingCodeUsed), "{error}");
}

#[test]
fn a_stale_code_gets_nowhere() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let code = read(&new);
    let old = pair(&member.account, &code).unwrap();
    blank.clock.forward(Duration::from_secs(600));
    let error = new.await_words(&go_on()).unwrap_err();
    assert!(matches!(error, AccountError::PairingOver), "{error}");
    old.refuse().unwrap();
    drop(new);
    // Begun again, it has another code.
    let new = blank.begin(&member.hoster);
    assert_ne!(*new.code(), *code.to_text());

    // The hoster has forgotten the first message: nobody is there.
    let code = read(&new);
    let hosters_clock = Standing::new();
    hosters_clock.forward(Duration::from_secs(1 << 31));
    member.hoster.set_clock(Arc::new(hosters_clock));
    let mut setup = setup(member.home.path(), member.hoster.clone());
    setup.clock = Arc::new(Leaping::default());
    let account = Account::open(&setup).unwrap();
    let error = pair(&account, &code).err().unwrap();
    assert!(matches!(error, AccountError::PairingOver), "{error}");
}

/// The member of the old device says yes when the new one waits no more.
#[test]
fn a_device_that_was_let_in_too_late_begins_anew() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    new.await_words(&go_on()).unwrap();
    let cancelled = go_on();
    cancelled.cancel();
    // It has signed, and what it signed stays a while.
    let error = new.finish(&cancelled).err().unwrap();
    assert!(matches!(
        error,
        AccountError::Remote(RemoteError::Cancelled)
    ));
    blank.clock.forward(Duration::from_secs(600));
    let error = blank.begin(&member.hoster).finish(&go_on()).err().unwrap();
    assert!(matches!(error, AccountError::PairingOver), "{error}");
    assert!(!blank.home.path().join("device.key").exists());
    let late = old.confirm(&go_on()).unwrap().device;

    // Likewise one that has lost its code, with all it had signed.
    let mut new = blank.begin(&member.hoster);
    let code = read(&new);
    let old = pair(&member.account, &code).unwrap();
    new.await_words(&go_on()).unwrap();
    new.finish(&cancelled).err().unwrap();
    std::fs::remove_file(blank.home.path().join("pairing.key")).unwrap();
    old.confirm(&go_on()).unwrap();

    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    assert_eq!(new.await_words(&go_on()).unwrap(), old.words());
    let (account, paired) = both(new, old);
    paired.unwrap();
    let account = account.unwrap();
    assert_ne!(account.device(), late);
    // The one that nobody holds the keys of is taken out like any other.
    account.remove_device(&late).unwrap();
    blank.open().unwrap().vaults().unwrap();
}

#[test]
fn what_is_refused_leaves_nothing() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    new.await_words(&go_on()).unwrap();
    old.refuse().unwrap();
    let error = new.finish(&go_on()).err().unwrap();
    assert!(matches!(error, AccountError::PairingRefused), "{error}");
    assert!(matches!(blank.open().err(), Some(AccountError::NoAccount)));
    assert_eq!(member.account.devices().unwrap().len(), 2);
    // The computer can still sign up.
    Account::sign_up(&blank.setup, &member.hoster.invite(), "a phone").unwrap();
}

#[test]
fn what_the_new_device_refuses_is_forgotten_and_told() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let code = read(&new);
    let old = pair(&member.account, &code).unwrap();
    new.await_words(&go_on()).unwrap();
    assert!(matches!(new.refuse(), Ok(Refusal::Nothing(Ok(())))));
    assert!(matches!(blank.open().err(), Some(AccountError::NoAccount)));
    // The member of the old device says yes all the same.
    let error = old.confirm(&go_on()).unwrap_err();
    assert!(matches!(error, AccountError::PairingRefused), "{error}");
    assert_eq!(member.account.devices().unwrap().len(), 2);
    let error = pair(&member.account, &code).err().unwrap();
    assert!(matches!(error, AccountError::PairingCodeUsed), "{error}");

    // Another code, at once.
    let mut new = blank.begin(&member.hoster);
    let again = read(&new);
    assert_ne!(again.device(), code.device());
    let old = pair(&member.account, &again).unwrap();
    // The hoster is away: nothing comes of it either.
    new.await_words(&go_on()).unwrap();
    member.hoster.fail_after(0, line_lost());
    assert!(matches!(new.refuse(), Ok(Refusal::Nothing(Err(_)))));
    member.hoster.behave();
    assert!(matches!(blank.open().err(), Some(AccountError::NoAccount)));
    old.refuse().unwrap();

    // Whoever has signed is told that it may be too late.
    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    new.await_words(&go_on()).unwrap();
    let cancelled = go_on();
    cancelled.cancel();
    new.finish(&cancelled).err().unwrap();
    let mut new = blank.begin(&member.hoster);
    new.await_words(&go_on()).unwrap();
    assert!(matches!(new.refuse(), Ok(Refusal::Signed)));
    old.confirm(&go_on()).unwrap();
    assert!(matches!(blank.open().err(), Some(AccountError::NoAccount)));
}

#[test]
fn a_sign_up_that_was_given_up_for_a_pairing_can_be_begun_anew() {
    let hoster = MemoryHoster::new();
    let blank = Blank::new(&hoster);
    let invitation = hoster.invite();
    let sign_up = || Account::sign_up(&blank.setup, &invitation, "a phone");
    hoster.fail_after(0, line_lost());
    assert!(sign_up().err().unwrap().is_transient());
    drop(blank.begin(&hoster));
    sign_up().unwrap();
    blank.open().unwrap().vaults().unwrap();
}

#[test]
fn a_log_that_goes_on_meanwhile_ends_it() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    new.await_words(&go_on()).unwrap();
    let device = member.account.device();
    member
        .account
        .rename_device(&device, "the old one")
        .unwrap();
    let (new, old) = both(new, old);
    assert!(matches!(new.err(), Some(AccountError::PairingRefused)));
    assert!(matches!(old.err(), Some(AccountError::PairingOvertaken)));
}

#[test]
fn both_sides_can_be_cancelled_and_go_on() {
    let (member, _) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let cancelled = go_on();
    cancelled.cancel();
    let is_cancelled = |error: AccountError| {
        assert!(matches!(
            error,
            AccountError::Remote(RemoteError::Cancelled)
        ));
    };
    let mut new = blank.begin(&member.hoster);
    let code = read(&new);
    is_cancelled(new.await_words(&cancelled).unwrap_err());
    let english = PhraseLanguage::English;
    is_cancelled(
        member
            .account
            .pair(&code, english, &cancelled)
            .err()
            .unwrap(),
    );
    let old = pair(&member.account, &code).unwrap();
    let words = old.words();
    is_cancelled(old.confirm(&cancelled).unwrap_err());
    new.await_words(&go_on()).unwrap();
    is_cancelled(new.finish(&cancelled).err().unwrap());

    // The same code, the same words, as other processes would take it up.
    let mut new = blank.begin(&member.hoster);
    assert_eq!(new.code(), code.to_text());
    let old = pair(&member.reopened(), &code).unwrap();
    assert_eq!(old.words(), words);
    assert_eq!(new.await_words(&go_on()).unwrap(), words);
    let (account, paired) = both(new, old);
    paired.unwrap();
    account.unwrap();
}

/// Takes up the old device's side until it is done.
fn until_paired(member: &Member, code: &PairingCode) {
    loop {
        let paired = pair(&member.reopened(), code).and_then(|old| old.confirm(&go_on()));
        match paired {
            Ok(_) => return,
            Err(AccountError::PairingCodeUsed) if knows_device(member, code) => return,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}

fn knows_device(member: &Member, code: &PairingCode) -> bool {
    let devices = member.reopened().devices().unwrap();
    devices.iter().any(|device| device.id == code.device())
}

/// Takes up the new device's side until it is done.
fn until_in(blank: &Blank, hoster: &MemoryHoster) -> Account {
    loop {
        let origin = hoster.origin();
        let finished =
            NewDevice::begin(&blank.setup, &origin, "a phone").and_then(|new| new.finish(&go_on()));
        match finished {
            Ok(account) => return account,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}

#[test]
fn either_side_may_break_anywhere_and_goes_on() {
    let run = |broken: Option<(usize, bool)>| {
        let (member, vault) = Member::with_vault();
        let hoster = &member.hoster;
        let blank = Blank::new(hoster);
        let code = read(&blank.begin(hoster));
        hoster.forget_calls();
        match broken {
            Some((call, true)) => hoster.lose_answer_after(call),
            Some((call, false)) => hoster.fail_after(call, line_lost()),
            None => {}
        }
        let account = thread::scope(|scope| {
            let new = scope.spawn(|| until_in(&blank, hoster));
            until_paired(&member, &code);
            new.join().unwrap()
        });
        let calls = hoster.calls().len();
        hoster.behave();
        let found = account.open_vault(&VaultSelector::Only).unwrap();
        assert_eq!(found.head(), vault.head());
        // One entry, whatever happened.
        assert_eq!(member.reopened().devices().unwrap().len(), 3);
        calls
    };
    let calls = run(None);
    assert!(calls >= 15, "{calls}");
    for call in 0..calls {
        run(Some((call, false)));
        run(Some((call, true)));
    }
}

#[test]
fn what_the_other_device_has_seen_has_to_be_there() {
    let (member, mut vault) = Member::with_vault();
    commit(&mut vault);
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    new.await_words(&go_on()).unwrap();
    member.hoster.roll_back(&vault.id(), 1);
    let (account, paired) = both(new, old);
    paired.unwrap();
    let error = account.err().unwrap();
    assert!(
        matches!(
            error,
            AccountError::Vault(VaultError::HosterWentBack { .. })
        ),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    // It goes nowhere until the hoster shows what there is.
    assert!(matches!(
        blank.open().err(),
        Some(AccountError::PairingUnfinished)
    ));
}

#[test]
fn a_vault_that_the_other_device_has_seen_cannot_be_hidden() {
    let (member, vault) = Member::with_vault();
    let blank = Blank::new(&member.hoster);
    let mut new = blank.begin(&member.hoster);
    let old = pair(&member.account, &read(&new)).unwrap();
    new.await_words(&go_on()).unwrap();
    member.hoster.hide_vault(&vault.id());
    let (account, _) = both(new, old);
    let error = account.err().unwrap();
    assert!(
        matches!(error, AccountError::Vault(VaultError::Hidden)),
        "{error}"
    );
    member.hoster.behave();
    let mut new = blank.begin(&member.hoster);
    new.await_words(&go_on()).unwrap();
    new.finish(&go_on()).unwrap();
}

#[test]
fn a_computer_with_an_account_joins_no_other() {
    let member = Member::new();
    let other = Member::at(&member.hoster);
    let setup = setup(other.home.path(), other.hoster.clone());
    let begun = NewDevice::begin(&setup, &member.hoster.origin(), "a phone");
    assert!(matches!(begun.err(), Some(AccountError::AccountExists)));
    assert!(Path::new(other.home.path()).join("device.key").exists());
}
