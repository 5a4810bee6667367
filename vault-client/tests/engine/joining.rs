//! A device has saved to what a hoster restored before anybody brought it forward: a
//! fork, which a member who knows better joins.

use vault_client::account::{Account, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, ReconcileError, Reconciled, reconcile, reconcile_account};
use vault_client::remote::memory::MemoryHoster;
use vault_client::vault::{Vault, VaultError};
use vault_proto::head::HeadError;

use super::lost_entries::Shared;
use super::second_device::{Two, at, reconciled};
use super::{Files, assert_whole, backed_up, noise, snapshots};
use crate::support::{Machine, Member, Other, line_lost, setup, stored};

fn joined(vault: &mut Vault) -> Result<Reconciled, ReconcileError> {
    reconcile(vault, Parted::Join, &Cancellation::new())
}

/// Two computers of a member's, of which the first has made so many backups that the
/// hoster has lost, and the second, which never saw those, so many since.
fn parted(lost: u64, since: u64) -> Two {
    let mut two = Two::new();
    for _ in 0..lost {
        two.backup_of_first();
    }
    let mut second = two.second();
    for number in 0..since {
        two.theirs
            .write(&format!("since-{number}"), &noise(200 + number, 40_000));
        backed_up(&mut second, &two.theirs).unwrap();
    }
    two
}

#[test]
fn two_histories_are_joined_when_their_member_says_so() {
    for (lost, since) in [(3, 1), (1, 1), (1, 3)] {
        let two = parted(lost, since);
        let mut first = two.first();
        let stored = two.member.stored();
        let fork = reconciled(&mut first).unwrap_err();
        let errors = [first.refresh().unwrap_err(), {
            let ReconcileError::Vault(fork) = fork else {
                panic!("{fork}");
            };
            fork
        }];
        for error in errors {
            let is_told = matches!(
                error,
                VaultError::Head(HeadError::Fork { .. }) | VaultError::HosterWentBack { .. }
            );
            assert!(is_told, "{error}");
            assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
        }
        assert_eq!(two.member.stored(), stored);

        let report = joined(&mut first).unwrap();
        assert!(report.joined && !report.taken_over && !report.under_way);
        assert!(!report.contents_lost && !report.refreshed, "{report:?}");
        assert_eq!((report.from, report.lost), (1 + since, 1 + lost));
        // The second sees nothing but another backup.
        let mut second = two.second();
        second.refresh().unwrap();
        assert_eq!(second.head(), first.head());
        let again = joined(&mut first).unwrap();
        assert!(!again.joined, "{again:?}");
        assert_eq!(first.head(), second.head());
        let all = usize::try_from(1 + lost + since).unwrap();
        two.assert_goes_on(all);
    }
}

/// One that has seen what was lost follows where a head names one of those, and is told
/// of a fork, to join it as well, where there was no place for one.
#[test]
fn a_third_device_follows_or_joins() {
    for (lost, since) in [(3, 1), (1, 3)] {
        let member = Member::new();
        let mut vault = member.account.create_vault("documents").unwrap();
        let [second, third] = ["a desktop", "a tablet"].map(|name| Machine::of(&member, name));
        let files = Files::many(1, 4, 30_000);
        backed_up(&mut vault, &files).unwrap();
        second.vault().refresh().unwrap();
        let old = member.hoster.fork();
        for number in 0..lost {
            files.write(&format!("lost-{number}"), &noise(100 + number, 40_000));
            backed_up(&mut vault, &files).unwrap();
        }
        third.vault().refresh().unwrap();
        let theirs = Files::many(2, 4, 30_000);
        for number in 0..since {
            theirs.write(&format!("since-{number}"), &noise(200 + number, 40_000));
            backed_up(&mut at(second.home.path(), &old), &theirs).unwrap();
        }
        let mut first = at(member.home.path(), &old);
        joined(&mut first).unwrap();

        let mut follows = at(third.home.path(), &old);
        if lost > since {
            assert!(reconciled(&mut follows).unwrap().taken_over);
        } else {
            let stored = stored(third.home.path());
            let error = reconciled(&mut follows).unwrap_err();
            assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
            assert_eq!(crate::support::stored(third.home.path()), stored);
            assert!(joined(&mut follows).unwrap().joined);
        }
        // Nothing was missing.
        assert_eq!(follows.head(), first.head());
        let all = usize::try_from(1 + lost + since).unwrap();
        assert_eq!(snapshots(&follows).len(), all);
        backed_up(&mut follows, &files).unwrap();
        assert_whole(&mut follows);
    }
}

#[test]
fn joining_may_break_anywhere_and_is_repeated() {
    for (lost, since, takes_effect) in [(2, 1, true), (1, 2, true), (1, 2, false)] {
        let mut calls = 0;
        loop {
            let two = parted(lost, since);
            match takes_effect {
                true => two.old.lose_answer_after(calls),
                false => two.old.fail_after(calls, line_lost()),
            }
            let done = joined(&mut two.first());
            two.old.behave();
            if done.is_ok() {
                break;
            }
            joined(&mut two.first()).unwrap();
            two.assert_goes_on(4);
            calls += 1;
        }
        assert!(calls > 8, "{calls}");
    }
}

fn assert_left_behind(owner: &Member, vault: &mut Vault) {
    let stored = owner.stored();
    for parted in [Parted::Refuse, Parted::Join] {
        let error = reconcile(vault, parted, &Cancellation::new()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert_eq!(owner.stored(), stored);
    }
    let error = joined(vault).unwrap_err();
    let is_it = matches!(
        error,
        ReconcileError::Vault(VaultError::EntriesLeftBehind { .. })
    );
    assert!(is_it, "{error}");
}

/// Whoever was removed has saved, with the hoster, in the place that his removal names,
/// or behind it: the removal could not be sent again, so nothing is joined.
#[test]
fn nothing_is_joined_that_would_undo_a_removal() {
    for heads in [1, 3] {
        let mut shared = Shared::new();
        let old = shared.owner.hoster.fork();
        shared.remove_writer();
        let keys = shared.writer.phrase.device_keys();
        let writer = Other::new(&old, shared.writer.account.id(), keys);
        for _ in 0..heads {
            writer.commit(shared.vault.id());
        }
        let mut vault = shared.at(&old);
        assert_left_behind(&shared.owner, &mut vault);
    }
}

/// Where the place that it names is free, it stands again before anything is written.
#[test]
fn a_removal_stands_again_before_what_is_joined() {
    let mut shared = Shared::new();
    let old = shared.owner.hoster.fork();
    shared.files.write("first", &noise(6, 40_000));
    backed_up(&mut shared.vault, &shared.files).unwrap();
    let (_, removal) = shared.remove_writer();
    let removed = shared.writer.account.id();
    let keys = shared.writer.phrase.device_keys();
    let writer = Other::new(&old, removed, keys);
    writer.commit(shared.vault.id());

    let mut vault = shared.at(&old);
    let report = joined(&mut vault).unwrap();
    assert!(report.joined && report.entries > 0, "{report:?}");
    assert!(vault.log().entries().contains(&removal));
    assert_eq!(vault.log().member(&removed), None);
    assert!(!vault.log().rotation_due());
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    backed_up(&mut vault, &shared.files).unwrap();
    assert_whole(&mut vault);
    assert_eq!(snapshots(&vault).len(), 4);
}

fn account_at(home: &std::path::Path, hoster: &MemoryHoster) -> Account {
    Account::open(&setup(home, hoster.clone())).unwrap()
}

/// What two devices have changed of the account's settings, each where the other did not
/// see it, is all there afterwards.
#[test]
fn settings_are_joined() {
    let member = Member::new();
    let kept = member.account.create_vault("kept").unwrap().id();
    let bob = Member::at(&member.hoster);
    bob.account.set_name("bob").unwrap();
    let second = Machine::of(&member, "a desktop");
    second.account.vaults().unwrap();
    let old = member.hoster.fork();
    // Lost.
    member.account.set_name("alice").unwrap();
    let address = bob.account.address().unwrap();
    member.account.add_contact(&address).unwrap();
    let id = bob.account.id();
    member.account.set_verified(&id, true).unwrap();
    let mut photos = member.account.create_vault("photos").unwrap();
    let files = Files::many(1, 4, 30_000);
    backed_up(&mut photos, &files).unwrap();
    let photos = photos.id();
    // Since.
    let theirs = account_at(second.home.path(), &old);
    theirs.rename_vault(&kept, "papers").unwrap();
    let music = theirs.create_vault("music").unwrap().id();

    let account = account_at(member.home.path(), &old);
    let stored = member.stored();
    let refused = reconcile_account(&account, Parted::Refuse, &Cancellation::new());
    assert_eq!(refused.unwrap_err().code(), ErrorCode::HosterMisbehaved);
    assert_eq!(member.stored(), stored);
    let (report, _) = reconcile_account(&account, Parted::Join, &Cancellation::new()).unwrap();
    assert!(report.joined, "{report:?}");
    let mut vault = account.open_vault(&VaultSelector::Id(photos)).unwrap();
    reconciled(&mut vault).unwrap();
    for home in [member.home.path(), second.home.path()] {
        let account = account_at(home, &old);
        let vaults = account.vaults().unwrap().into_iter();
        let mut named: Vec<_> = vaults
            .map(|vault| (vault.name.unwrap(), vault.id))
            .collect();
        named.sort();
        let all = [("music", music), ("papers", kept), ("photos", photos)];
        assert_eq!(named, all.map(|(name, id)| (name.to_owned(), id)));
        assert_eq!(account.address().unwrap().name(), "alice");
        let contacts = account.contacts().unwrap();
        assert_eq!(contacts.len(), 1);
        assert!(contacts[0].is_verified);
    }
    // A third time nothing is left to do, and the next change goes through.
    let (again, _) = reconcile_account(&account, Parted::Join, &Cancellation::new()).unwrap();
    assert!(!again.joined && again.uploaded.is_empty(), "{again:?}");
    account.rename_vault(&kept, "letters").unwrap();
}

/// What a device has taken out that had seen all that the other one had stays out.
#[test]
fn what_was_taken_out_of_the_settings_stays_out() {
    let member = Member::new();
    let bob = Member::at(&member.hoster);
    bob.account.set_name("bob").unwrap();
    let second = Machine::of(&member, "a desktop");
    let old = member.hoster.fork();
    let address = bob.account.address().unwrap();
    member.account.add_contact(&address).unwrap();
    assert_eq!(second.account.contacts().unwrap().len(), 1);
    let id = bob.account.id();
    member.account.remove_contact(&id).unwrap();
    member.account.set_name("alice").unwrap();

    for home in [member.home.path(), second.home.path()] {
        let account = account_at(home, &old);
        for parted in [Parted::Refuse, Parted::Join] {
            reconcile_account(&account, parted, &Cancellation::new()).unwrap();
            assert!(account.contacts().unwrap().is_empty());
            assert_eq!(account.address().unwrap().name(), "alice");
        }
    }
}
