//! Everything is lost but the words.

use tempfile::TempDir;
use vault_client::account::{Account, AccountError, Setup, Standing, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{MemoryHoster, MemoryNetwork};
use vault_client::vault::{Freshness, VaultError};
use vault_core::keys::RecoveryPhrase;
use vault_proto::vault_log::Role;

use crate::support::{Member, Other, commit, line_lost, rng, setup};

fn blank(hoster: &MemoryHoster) -> (TempDir, Setup) {
    let home = tempfile::tempdir().unwrap();
    let setup = setup(home.path(), hoster.clone());
    (home, setup)
}

fn recover(
    setup: &Setup,
    hoster: &MemoryHoster,
    phrase: &RecoveryPhrase,
) -> Result<Account, AccountError> {
    Account::recover(setup, &hoster.origin(), phrase, "a new computer")
}

#[test]
fn the_words_alone_bring_everything_back() {
    let (member, mut vault) = Member::with_vault();
    member.account.create_vault("photos").unwrap();
    let (_home, setup) = blank(&member.hoster);
    let account = recover(&setup, &member.hoster, &member.phrase).unwrap();
    assert_eq!(account.id(), member.account.id());
    assert_ne!(account.device(), member.account.device());
    let account = Account::open(&setup).unwrap();
    let names = account.vaults().unwrap();
    let names: Vec<_> = names.iter().map(|vault| vault.name.as_deref()).collect();
    assert_eq!(names, [Some("documents"), Some("photos")]);
    let documents = VaultSelector::Name("documents".into());
    let mut found = account.open_vault(&documents).unwrap();
    assert_eq!(
        (found.head(), found.root().unwrap()),
        (vault.head(), vault.root().unwrap())
    );

    // Whether that is the newest, somebody who remembers has to say.
    assert_eq!(found.freshness().unwrap(), Freshness::Unknown);
    assert_eq!(account.freshness().unwrap(), Freshness::Unknown);
    let printed = vault.printed_head().unwrap();
    found.confirm(&printed).unwrap();
    assert_eq!(found.freshness().unwrap(), Freshness::Confirmed);

    commit(&mut found);
    vault.refresh().unwrap();
    assert_eq!(vault.head(), found.head());
    let devices = member.account.devices().unwrap();
    let new = devices.iter().find(|device| device.id == account.device());
    assert_eq!(new.unwrap().name.as_deref(), Some("a new computer"));
}

#[test]
fn a_rollback_while_recovering_is_not_taken_for_the_newest() {
    let (member, mut vault) = Member::with_vault();
    let old = member.hoster.fork();
    commit(&mut vault);
    let (_home, setup) = blank(&old);
    let account = recover(&setup, &old, &member.phrase).unwrap();
    let mut found = account.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(found.head().unwrap().seq, 1);
    assert_eq!(found.freshness().unwrap(), Freshness::Unknown);
    // The printed head of the lost computer tells.
    let error = found.confirm(&vault.printed_head().unwrap()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(found.freshness().unwrap(), Freshness::Unknown);
}

#[test]
fn a_recovery_may_break_anywhere_and_is_repeated() {
    let run = |broken: Option<(usize, bool)>| {
        let (member, vault) = Member::with_vault();
        let hoster = &member.hoster;
        let (_home, setup) = blank(hoster);
        hoster.forget_calls();
        match broken {
            Some((call, true)) => hoster.lose_answer_after(call),
            Some((call, false)) => hoster.fail_after(call, line_lost()),
            None => {}
        }
        if broken.is_some() {
            let error = recover(&setup, hoster, &member.phrase).err().unwrap();
            assert!(error.is_transient(), "{error}");
            let unfinished = Account::open(&setup).err();
            assert!(matches!(
                unfinished,
                Some(AccountError::NoAccount | AccountError::RecoveryUnfinished)
            ));
        }
        let account = recover(&setup, hoster, &member.phrase).unwrap();
        let calls = hoster.calls().len();
        let found = account.open_vault(&VaultSelector::Only).unwrap();
        assert_eq!(found.head(), vault.head());
        assert_eq!(found.freshness().unwrap(), Freshness::Unknown);
        // One device, however often it was repeated.
        assert_eq!(account.devices().unwrap().len(), 3);
        let again = recover(&setup, hoster, &member.phrase).err();
        assert!(matches!(again, Some(AccountError::AccountExists)));
        calls
    };
    let calls = run(None);
    assert!(calls >= 8, "{calls}");
    for call in 0..calls {
        run(Some((call, false)));
        run(Some((call, true)));
    }
}

#[test]
fn words_of_nobody_and_words_that_were_removed_open_nothing() {
    let member = Member::new();
    let (home, setup) = blank(&member.hoster);
    let stranger = RecoveryPhrase::generate(&mut rng());
    let error = recover(&setup, &member.hoster, &stranger).err().unwrap();
    assert!(matches!(error, AccountError::UnknownPhrase), "{error}");
    assert_eq!(error.code(), ErrorCode::WrongKey);

    // The paper is replaced by another one.
    let paper = member.paper();
    let new = RecoveryPhrase::generate(&mut rng());
    let keys = new.device_keys();
    paper.add_device(&keys, "paper");
    let old = paper.keys.id();
    Other { keys, ..paper }.remove_device(&old);

    let error = recover(&setup, &member.hoster, &member.phrase)
        .err()
        .unwrap();
    assert!(matches!(error, AccountError::UnknownPhrase), "{error}");
    // Whatever the hoster says, the log says otherwise.
    let old = member.phrase.device_keys().id();
    member.hoster.misattribute(&old, &member.account.id());
    let error = recover(&setup, &member.hoster, &member.phrase)
        .err()
        .unwrap();
    assert!(matches!(error, AccountError::RemovedPhrase), "{error}");
    assert_eq!(error.code(), ErrorCode::WrongKey);
    assert!(matches!(
        Account::open(&setup).err(),
        Some(AccountError::NoAccount)
    ));
    assert!(!home.path().join("device.key").exists());
    recover(&setup, &member.hoster, &new).unwrap();
}

#[test]
fn another_account_than_that_of_the_words_is_noticed() {
    let member = Member::new();
    let other = Member::at(&member.hoster);
    let (_home, setup) = blank(&member.hoster);
    let paper = member.phrase.device_keys().id();
    member.hoster.misattribute(&paper, &other.account.id());
    let error = recover(&setup, &member.hoster, &member.phrase)
        .err()
        .unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(matches!(
        Account::open(&setup).err(),
        Some(AccountError::NoAccount)
    ));

    // The right id, and another's log for it.
    member.hoster.misattribute(&paper, &member.account.id());
    let theirs = other.paper().own_log().entries().to_vec();
    member
        .hoster
        .tamper_with_logs(move |_, answer| answer.entries = theirs.clone());
    let error = recover(&setup, &member.hoster, &member.phrase)
        .err()
        .unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(error.to_string().contains("id stands for"), "{error}");
}

#[test]
fn a_log_that_never_ends_ends() {
    let member = Member::new();
    let (_home, setup) = blank(&member.hoster);
    member
        .hoster
        .tamper_with_logs(|_, answer| answer.more = true);
    let error = recover(&setup, &member.hoster, &member.phrase)
        .err()
        .unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    member
        .hoster
        .tamper_with_logs(|_, answer| answer.entries.clear());
    let error = recover(&setup, &member.hoster, &member.phrase)
        .err()
        .unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
}

#[test]
fn two_logs_of_one_account_are_noticed() {
    let (member, _) = Member::with_vault();
    let elsewhere = member.hoster.fork();
    let device = member.account.device();
    member.account.rename_device(&device, "one name").unwrap();
    let account = member.reopened_at(&elsewhere);
    account.rename_device(&device, "another name").unwrap_err();
    let other = Other::new(&elsewhere, member.account.id(), member.phrase.device_keys());
    let forked = other.append_own(|author| {
        let entry = author.rename_device(&device, "another name", &mut rng());
        entry.unwrap()
    });
    let forked = forked.entries().to_vec();
    member
        .hoster
        .tamper_with_logs(move |_, answer| answer.entries = forked.clone());
    let (_home, setup) = blank(&member.hoster);
    let error = recover(&setup, &member.hoster, &member.phrase)
        .err()
        .unwrap();
    assert!(
        matches!(error, AccountError::Vault(VaultError::LogFork)),
        "{error}"
    );
}

#[test]
fn a_hoster_where_the_account_is_a_guest_is_not_its_home() {
    let home_hoster = MemoryHoster::named("home");
    let other_hoster = MemoryHoster::named("other");
    let network = MemoryNetwork::new(&[&home_hoster, &other_hoster]);
    let member = Member::at(&home_hoster);
    let host = Member::at(&other_hoster);
    let entries = member.paper().own_log().entries().to_vec();
    let remote = host.account.remote();
    remote
        .put_account_log(&member.account.id(), &entries)
        .unwrap();

    let home = tempfile::tempdir().unwrap();
    let setup = setup(home.path(), network.clone());
    let recover = |origin| Account::recover(&setup, &origin, &member.phrase, "a new computer");
    let error = recover(other_hoster.origin()).err().unwrap();
    let home_id = home_hoster.id();
    assert!(
        matches!(error, AccountError::NotItsHome { home, .. } if home == home_id),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    // Whoever stands in for the home under its address is no better.
    network.lead(home_hoster.origin(), &other_hoster);
    let error = recover(home_hoster.origin()).err().unwrap();
    assert!(matches!(error, AccountError::NotItsHome { .. }), "{error}");
    assert!(matches!(
        Account::open(&setup).err(),
        Some(AccountError::NoAccount)
    ));
    network.lead(home_hoster.origin(), &home_hoster);
    recover(home_hoster.origin()).unwrap();
}

#[test]
fn hosters_where_the_account_is_a_guest_learn_of_the_new_device() {
    let home_hoster = MemoryHoster::named("home");
    let other_hoster = MemoryHoster::named("other");
    let network = MemoryNetwork::new(&[&home_hoster, &other_hoster]);
    let member = Member::at(&home_hoster);
    let host = Member::at(&other_hoster);
    let vault = host.account.create_vault("theirs").unwrap();
    let log = member.paper().own_log();
    let remote = host.account.remote();
    remote.put_account_log(&log.id(), log.entries()).unwrap();
    let guest = member.account.id();
    host.paper()
        .append_knowing(vault.id(), &[log], |author, keys| {
            author
                .add_member(keys, &guest, Role::Writer, &mut rng())
                .unwrap()
        });
    Other::new(&other_hoster, guest, member.phrase.device_keys())
        .append(vault.id(), |author, _| author.accept().unwrap());
    member
        .paper()
        .know_vault(&home_hoster, &other_hoster, vault.id(), "ours");

    let home = tempfile::tempdir().unwrap();
    let setup = setup(home.path(), network);
    let origin = home_hoster.origin();
    let account = Account::recover(&setup, &origin, &member.phrase, "a new computer").unwrap();
    let vaults = account.vaults().unwrap();
    assert_eq!(vaults.len(), 1);
    assert_eq!(vaults[0].standing, Standing::Listed);
    let mut found = account
        .open_vault(&VaultSelector::Name("ours".into()))
        .unwrap();
    assert_eq!(found.freshness().unwrap(), Freshness::Unknown);
    commit(&mut found);
    assert_eq!(found.head().unwrap().seq, 1);
}
