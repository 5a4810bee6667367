//! Two devices at one vault at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vault_client::account::VaultSelector;
use vault_client::backup::BackupError;
use vault_client::error::ErrorCode;
use vault_client::remote::memory::Call;
use vault_proto::wire::Root;

use super::{
    Event, Eventful, Files, SecondDevice, assert_restores, assert_whole, backed_up, snapshots,
};
use crate::support::Member;

/// A member whose second device is told what happens.
struct Pair {
    member: Member,
    events: Eventful,
    second: SecondDevice,
}

impl Pair {
    fn new() -> Self {
        let member = Member::new();
        member.account.create_vault("documents").unwrap();
        let events = Eventful::new(&member.hoster);
        let second = SecondDevice::dialling(&member, events.clone());
        Self {
            member,
            events,
            second,
        }
    }

    /// Lets something happen the first `times` that the second device is about
    /// to commit.
    fn before_commits(&self, times: usize, happening: impl Fn(usize) + Send + Sync + 'static) {
        let count = AtomicUsize::new(0);
        self.events.on(move |event| {
            if event == Event::BeforeCommit {
                let number = count.fetch_add(1, Ordering::SeqCst);
                if number < times {
                    happening(number);
                }
            }
        });
    }
}

#[test]
fn both_snapshots_survive_a_race() {
    let pair = Pair::new();
    let (ours, theirs) = (Files::many(1, 6, 60_000), Files::many(2, 6, 60_000));
    // Some of it is the same: each device uploads it, not knowing of the other.
    for files in [&ours, &theirs] {
        files.write("shared", &super::noise(3, 90_000));
    }
    let theirs = Arc::new(theirs);
    let account = pair.member.reopened();
    let winner = theirs.clone();
    pair.before_commits(1, move |_| {
        let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
        backed_up(&mut vault, &winner).unwrap();
    });

    let mut vault = pair.second.vault();
    backed_up(&mut vault, &ours).unwrap();
    let found = snapshots(&vault);
    assert_eq!(found.len(), 2);
    assert_restores(&vault, &found[0], &theirs);
    assert_restores(&vault, &found[1], &ours);
    assert_whole(&mut vault);
    // And the winner sees the same.
    let mut vault = pair
        .member
        .reopened()
        .open_vault(&VaultSelector::Only)
        .unwrap();
    assert_whole(&mut vault);
    assert_eq!(snapshots(&vault), found);
}

#[test]
fn a_series_that_two_devices_begin_at_once_is_one() {
    let pair = Pair::new();
    let files = Arc::new(Files::many(1, 4, 30_000));
    let account = pair.member.reopened();
    let winner = files.clone();
    pair.before_commits(1, move |_| {
        let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
        backed_up_as(&mut vault, &winner);
    });
    let mut vault = pair.second.vault();
    backed_up_as(&mut vault, &files);
    let found = snapshots(&vault);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].snapshot.series(), found[1].snapshot.series());
    assert_whole(&mut vault);
}

fn backed_up_as(vault: &mut vault_client::vault::Vault, files: &Files) {
    let mut options = files.options();
    options.series = Some("documents".into());
    let cancellation = vault_client::progress::Cancellation::new();
    vault_client::backup::back_up(vault, &options, &super::silent(), &cancellation).unwrap();
}

#[test]
fn a_device_that_loses_every_race_gives_up_and_may_try_again() {
    let pair = Pair::new();
    let paper = pair.member.reopened();
    let files = Files::many(1, 4, 30_000);
    let other = Arc::new(Files::many(2, 1, 1_000));
    pair.before_commits(usize::MAX, move |_| {
        let mut vault = paper.open_vault(&VaultSelector::Only).unwrap();
        backed_up(&mut vault, &other).unwrap();
    });
    let mut vault = pair.second.vault();
    let error = backed_up(&mut vault, &files).unwrap_err();
    assert!(matches!(error, BackupError::TooManyRaces), "{error}");
    assert_eq!(error.code(), ErrorCode::VaultBusy);
    assert!(error.is_transient());

    pair.events.quiet();
    backed_up(&mut vault, &files).unwrap();
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    assert_whole(&mut vault);
}

/// The winner takes all packs away that the loser has deduplicated against.
#[test]
fn what_a_winner_has_removed_is_uploaded_again() {
    let pair = Pair::new();
    let files = Files::many(1, 6, 60_000);
    let mut vault = pair.second.vault();
    backed_up(&mut vault, &files).unwrap();
    let committed = pair.member.hoster.packs(&vault.id());
    files.write("more", b"so that there is something to commit");

    let paper = pair.member.paper();
    let id = vault.id();
    let removed = committed.clone();
    pair.before_commits(1, move |_| {
        let seq = paper.look(id).seen.next_links().seq;
        let root = Root {
            minimum_reader: 1,
            minimum_writer: 1,
            last_removal_seq: seq,
            ..Root::default()
        };
        paper.commit_change(id, &root, &[], &removed);
    });
    // Nothing that the caches of the device remember of the old packs is used.
    backed_up(&mut vault, &files).unwrap();
    let found = snapshots(&vault);
    assert_eq!(found.len(), 1);
    assert_restores(&vault, &found[0], &files);
    for pack in &committed {
        pair.member.hoster.lose_pack(&vault.id(), pack);
    }
    assert_whole(&mut vault);
}

/// The epoch that the loser has sealed in is over when it commits.
#[test]
fn what_was_sealed_in_an_epoch_that_is_over_is_sealed_again() {
    let pair = Pair::new();
    let files = Files::many(1, 6, 60_000);
    let mut vault = pair.second.vault();
    backed_up(&mut vault, &files).unwrap();
    files.write("more", b"so that there is something to commit");
    let paper = pair.member.paper();
    let id = vault.id();
    pair.before_commits(1, move |_| {
        paper.append(id, |author, keys| {
            author.rotate(keys, &mut crate::support::rng()).unwrap()
        });
    });
    pair.member.hoster.forget_calls();
    backed_up(&mut vault, &files).unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    // A head adds only packs of its own epoch: what was uploaded before and not
    // committed never is.
    let calls = pair.member.hoster.calls();
    let rotated = |call: &Call| *call == Call::AppendVaultEntry(id);
    let rotated = calls.iter().position(rotated).unwrap();
    let mut added = calls.iter().filter_map(|call| match call {
        Call::CommitHead(request) => Some(&request.adds),
        _ => None,
    });
    let added = added.next_back().unwrap();
    let early = calls[..rotated].iter().filter_map(|call| match call {
        Call::PutPack(pack) => Some(pack),
        _ => None,
    });
    let early: Vec<_> = early.collect();
    assert!(!early.is_empty());
    assert!(early.iter().all(|pack| !added.contains(pack)));
    assert_eq!(vault.state().pending_packs(&id).unwrap(), []);
    assert_whole(&mut vault);
    // Chunks of the epoch before stay where they are.
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
}

/// Somebody begins an epoch each time that the loser is about to commit.
#[test]
fn a_device_whose_epochs_are_always_over_gives_up_and_may_try_again() {
    let pair = Pair::new();
    let files = Files::many(1, 2, 30_000);
    let (paper, id) = (pair.member.paper(), pair.second.vault().id());
    pair.before_commits(usize::MAX, move |_| {
        paper.append(id, |author, keys| {
            author.rotate(keys, &mut crate::support::rng()).unwrap()
        });
    });
    let mut vault = pair.second.vault();
    let error = backed_up(&mut vault, &files).unwrap_err();
    assert!(matches!(error, BackupError::Overtaken), "{error}");
    assert_eq!(error.code(), ErrorCode::VaultBusy);
    assert!(error.is_transient());
    pair.events.quiet();
    backed_up(&mut vault, &files).unwrap();
    assert_whole(&mut vault);
}

/// A device of the member is removed while another one backs up.
#[test]
fn a_removal_meanwhile_makes_the_backup_change_the_keys() {
    let pair = Pair::new();
    let lost = crate::support::Machine::of(&pair.member, "a phone")
        .account
        .device();
    let account = pair.member.reopened();
    let id = pair.second.vault().id();
    let files = Files::many(1, 6, 60_000);
    let mut vault = pair.second.vault();
    pair.before_commits(1, move |_| {
        // The device that removes it has no time for the vault.
        let busy = account.state().home().lock_vault(&id).unwrap();
        account.remove_device(&lost).unwrap();
        drop(busy);
    });
    backed_up(&mut vault, &files).unwrap();
    // The head that was sent before anybody knew may stand; the next is of the
    // new epoch.
    pair.events.quiet();
    files.write("more", b"so that there is something to commit");
    backed_up(&mut vault, &files).unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    assert_whole(&mut vault);
}

/// Two devices and threads, as often as they like: every snapshot is there.
#[test]
fn nobody_loses_work_when_everybody_writes() {
    const BACKUPS: u64 = 6;
    let member = Member::new();
    member.account.create_vault("documents").unwrap();
    let second = SecondDevice::of(&member);
    let accounts = [member.reopened(), second.account.clone()];
    let seeds: Vec<u64> = (0..2).collect();
    std::thread::scope(|scope| {
        for (account, seed) in accounts.iter().zip(seeds) {
            scope.spawn(move || {
                let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
                let files = Files::many(10 + seed, 3, 20_000);
                for number in 0..BACKUPS {
                    let content = super::noise(seed * 1_000 + number, 8_000);
                    files.write(&format!("new-{number}"), &content);
                    loop {
                        match backed_up(&mut vault, &files) {
                            Ok(_) => break,
                            Err(error) if error.is_transient() => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let mut vault = member.reopened().open_vault(&VaultSelector::Only).unwrap();
    vault.refresh().unwrap();
    assert_eq!(snapshots(&vault).len() as u64, 2 * BACKUPS);
    assert_whole(&mut vault);
}

/// Processes that read follow older and newer roots, and tidy the same caches.
#[test]
fn readers_do_not_disturb_a_backup() {
    const BACKUPS: usize = 12;
    const READS: usize = 25;
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let files = Files::many(1, 4, 10_000);
    backed_up(&mut vault, &files).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..READS {
                    let account = member.reopened();
                    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
                    vault.refresh().unwrap();
                    assert!(!snapshots(&vault).is_empty());
                }
            });
        }
        for number in 0..BACKUPS {
            files.write(
                &format!("new-{number}"),
                &super::noise(number as u64, 5_000),
            );
            backed_up(&mut vault, &files).unwrap();
        }
    });
    assert_eq!(snapshots(&vault).len(), BACKUPS + 1);
    assert_whole(&mut vault);
}
