//! A second device follows the one that has brought a vault forward again.

use std::path::Path;

use vault_client::account::{Account, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, ReconcileError, Reconciled, reconcile};
use vault_client::remote::SyncRequest;
use vault_client::remote::memory::MemoryHoster;
use vault_client::vault::{Vault, VaultError};
use vault_proto::head::{HeadError, UnverifiedHead};
use vault_proto::wire::{Located, Root};

use super::{Files, assert_restores, assert_whole, backed_up, noise, snapshots};
use crate::support::{Machine, Member, Other, rng, setup, stored};

/// A member with two computers. The hoster has a copy of the vault as it was after one
/// backup, which both have seen.
pub(super) struct Two {
    pub(super) member: Member,
    pub(super) second: Machine,
    pub(super) ours: Files,
    pub(super) theirs: Files,
    /// What the hoster restores.
    pub(super) old: MemoryHoster,
    backups: u64,
}

pub(super) fn at(home: &Path, hoster: &MemoryHoster) -> Vault {
    let account = Account::open(&setup(home, hoster.clone())).unwrap();
    account.open_vault(&VaultSelector::Only).unwrap()
}

pub(super) fn reconciled(vault: &mut Vault) -> Result<Reconciled, ReconcileError> {
    reconcile(vault, Parted::Refuse, &Cancellation::new())
}

impl Two {
    pub(super) fn new() -> Self {
        let member = Member::new();
        let mut vault = member.account.create_vault("documents").unwrap();
        let second = Machine::of(&member, "a desktop");
        let ours = Files::many(1, 4, 30_000);
        backed_up(&mut vault, &ours).unwrap();
        second.vault().refresh().unwrap();
        Self {
            old: member.hoster.fork(),
            theirs: Files::many(2, 4, 30_000),
            member,
            second,
            ours,
            backups: 0,
        }
    }

    fn next(&mut self) -> (String, Vec<u8>) {
        self.backups += 1;
        let name = format!("new-{}", self.backups);
        (name, noise(100 + self.backups, 40_000))
    }

    /// The first computer makes a backup at the hoster as it is.
    pub(super) fn backup_of_first(&mut self) {
        let (name, content) = self.next();
        self.ours.write(&name, &content);
        let mut vault = at(self.member.home.path(), &self.member.hoster);
        backed_up(&mut vault, &self.ours).unwrap();
    }

    pub(super) fn backup_of_second(&mut self) {
        let (name, content) = self.next();
        self.theirs.write(&name, &content);
        let mut vault = at(self.second.home.path(), &self.member.hoster);
        backed_up(&mut vault, &self.theirs).unwrap();
    }

    pub(super) fn refresh_first(&self) {
        at(self.member.home.path(), &self.member.hoster)
            .refresh()
            .unwrap();
    }

    pub(super) fn refresh_second(&self) {
        at(self.second.home.path(), &self.member.hoster)
            .refresh()
            .unwrap();
    }

    /// Each at the hoster that went back.
    pub(super) fn first(&self) -> Vault {
        at(self.member.home.path(), &self.old)
    }

    pub(super) fn second(&self) -> Vault {
        at(self.second.home.path(), &self.old)
    }

    pub(super) fn stored_of_second(&self) -> Vec<String> {
        stored(self.second.home.path())
    }

    /// The paper device at the hoster that went back.
    pub(super) fn paper(&self) -> Other {
        let keys = self.member.phrase.device_keys();
        Other::new(&self.old, self.member.account.id(), keys)
    }

    /// Both go on, and all is whole.
    pub(super) fn assert_goes_on(&self, snapshots_before: usize) {
        let (mut first, mut second) = (self.first(), self.second());
        first.refresh().unwrap();
        second.refresh().unwrap();
        assert_eq!(snapshots(&first).len(), snapshots_before);
        assert_eq!(snapshots(&second).len(), snapshots_before);
        backed_up(&mut first, &self.ours).unwrap();
        backed_up(&mut second, &self.theirs).unwrap();
        first.refresh().unwrap();
        assert_eq!(first.head(), second.head());
        let newest = snapshots(&first).pop().unwrap();
        assert_restores(&first, &newest, &self.theirs);
        let newest = snapshots(&second).swap_remove(snapshots_before);
        assert_restores(&second, &newest, &self.ours);
        assert_whole(&mut first);
        assert_whole(&mut second);
        // Whoever sees it for the first time verifies all of it.
        assert_eq!(self.paper().look(first.id()).seen.position(), first.head());
    }
}

#[test]
fn a_second_device_that_had_seen_the_same_follows() {
    let mut two = Two::new();
    two.backup_of_first();
    two.backup_of_second();
    two.backup_of_first();
    two.refresh_second();
    reconciled(&mut two.first()).unwrap();

    // Never by itself; but what helps is said.
    let mut second = two.second();
    let (stored, known) = (two.stored_of_second(), second.head().unwrap());
    let error = second.refresh().unwrap_err();
    assert!(matches!(error, VaultError::Replaced { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert!(error.to_string().contains("coffre vault reconcile"));
    assert_eq!(two.stored_of_second(), stored);

    let report = reconciled(&mut second).unwrap();
    assert!(report.taken_over && !report.under_way && !report.refreshed);
    assert_eq!(report.lost, known.seq);
    assert!(!report.contents_lost, "{report:?}");
    assert_eq!(report.heads_not_brought_back, 0);
    two.assert_goes_on(4);
    // Once is enough.
    let head = two.second().head();
    let report = reconciled(&mut two.second()).unwrap();
    assert!(!report.taken_over);
    assert_eq!(two.second().head(), head);
}

#[test]
fn a_second_device_that_had_seen_less_follows() {
    let mut two = Two::new();
    two.backup_of_second();
    two.backup_of_first();
    two.backup_of_first();
    reconciled(&mut two.first()).unwrap();
    let mut second = two.second();
    assert_eq!(second.head().unwrap().seq, 2);
    let before = two.first().head();
    let report = reconciled(&mut second).unwrap();
    assert!(report.taken_over);
    assert_eq!((report.from, report.lost), (5, 2));
    // Only what it has, and the first had not, is worth a commit.
    assert_eq!(second.head() != before, !report.uploaded.is_empty());
    two.assert_goes_on(4);
}

/// What a second device had committed that the first had not seen is put behind.
#[test]
fn a_second_device_that_had_seen_more_brings_that_forward() {
    for refreshed in [false, true] {
        let mut two = Two::new();
        two.backup_of_first();
        if refreshed {
            two.refresh_second();
        }
        two.backup_of_second();
        two.backup_of_second();
        let report = reconciled(&mut two.first()).unwrap();
        assert_eq!(report.lost, 2);
        let mut second = two.second();
        let hint = second.refresh().unwrap_err();
        assert_eq!(hint.code(), ErrorCode::HosterMisbehaved);

        let report = reconciled(&mut second).unwrap();
        assert!(report.taken_over && !report.contents_lost, "{report:?}");
        assert_eq!(report.lost, 4);
        two.assert_goes_on(4);
    }
}

/// Nobody is given the vault anew because somebody else was first.
#[test]
fn a_third_device_follows_too() {
    let mut two = Two::new();
    let third = Machine::of(&two.member, "a netbook");
    // It can log in where the hoster has an older state of the account.
    two.old = two.member.hoster.fork();
    let look = |two: &Two| {
        at(third.home.path(), &two.member.hoster).refresh().unwrap();
    };
    two.backup_of_first();
    look(&two);
    two.backup_of_second();
    two.backup_of_second();
    look(&two);
    reconciled(&mut two.first()).unwrap();
    let mut third = at(third.home.path(), &two.old);
    assert_eq!(third.head().unwrap().seq, 4);
    // It has seen the second's heads, and has nothing of what they led to.
    let report = reconciled(&mut third).unwrap();
    assert!(report.taken_over && report.contents_lost);
    assert_eq!(report.heads_not_brought_back, 2);
    let report = reconciled(&mut two.second()).unwrap();
    assert!(report.taken_over && !report.contents_lost, "{report:?}");
    two.assert_goes_on(4);
    third.refresh().unwrap();
    assert_eq!(snapshots(&third).len(), 6);
}

/// What cannot be read was told once, by the device that has named the head.
#[test]
fn a_list_that_is_gone_is_told_by_the_first() {
    let mut two = Two::new();
    two.backup_of_first();
    let paper = two.member.paper();
    let sight = paper.look(two.first().id());
    let catalog = sight.root.catalog.clone().unwrap();
    let nowhere = Root {
        catalog: Some(Located {
            pack: vec![7; 32],
            ..catalog
        }),
        ..sight.root
    };
    paper.commit_change(two.first().id(), &nowhere, &[], &[]);
    two.refresh_first();
    two.refresh_second();
    let report = reconciled(&mut two.first()).unwrap();
    assert!(report.contents_lost, "{report:?}");
    assert_eq!(report.heads_not_brought_back, 2);
    let report = reconciled(&mut two.second()).unwrap();
    assert!(report.taken_over && !report.contents_lost, "{report:?}");
    assert_eq!(report.heads_not_brought_back, 0);
    two.assert_goes_on(1);
}

#[test]
fn a_hoster_that_is_ahead_is_followed_as_ever() {
    let mut two = Two::new();
    two.backup_of_first();
    let mut second = at(two.second.home.path(), &two.member.hoster);
    let report = reconciled(&mut second).unwrap();
    assert!(report.refreshed && !report.taken_over, "{report:?}");
    assert_eq!((report.from, report.lost), (2, 2));
    assert_eq!(snapshots(&second).len(), 2);
    let report = reconciled(&mut second).unwrap();
    assert!(!report.refreshed);
    // Nor where only the log went on.
    two.member.paper().append(second.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    assert!(reconciled(&mut second).unwrap().refreshed);
    assert_eq!(second.keys().unwrap().current_epoch(), 2);
}

#[test]
fn a_fork_in_which_nobody_has_reconciled_stays_a_fork() {
    let mut two = Two::new();
    two.backup_of_second();
    two.backup_of_second();
    for _ in 0..3 {
        two.paper().commit(two.second().id());
    }
    let mut second = two.second();
    let stored = two.stored_of_second();
    let error = second.refresh().unwrap_err();
    let is_fork = |error: &VaultError| matches!(error, VaultError::Head(HeadError::Fork { .. }));
    assert!(is_fork(&error), "{error}");
    let error = reconciled(&mut second).unwrap_err();
    assert!(
        matches!(&error, ReconcileError::Vault(error) if is_fork(error)),
        "{error}"
    );
    assert_eq!(two.stored_of_second(), stored);
}

/// Ways stop at the same places for everybody: where the first has gone past the newest
/// head that the second knows, it knows one before that.
#[test]
fn a_device_follows_one_that_has_gone_past_its_newest_head() {
    let two = Two::new();
    let vault = two.second().id();
    let commit = |count| (0..count).for_each(|_| two.member.paper().commit(vault));
    commit(8);
    two.refresh_second();
    assert_eq!(two.second().head().unwrap().seq, 9);
    commit(7);
    two.refresh_first();
    assert_eq!(two.first().head().unwrap().seq, 16);
    reconciled(&mut two.first()).unwrap();
    let unnamed = two.paper().remote.sync_vault(&SyncRequest {
        vault,
        vault_log_seq: 1,
        head_seq: 8,
        accounts: Vec::new(),
        without_root: true,
        until_head_seq: 9,
    });
    let head = UnverifiedHead::decode(&unnamed.unwrap().heads[0]).unwrap();
    assert_eq!(head.claims().reconciled, None);
    let report = reconciled(&mut two.second()).unwrap();
    assert!(report.taken_over);
    two.assert_goes_on(1);
}

/// What it had seen, it has not looked into: whoever has named its head answers for
/// that.
#[test]
fn a_device_that_has_only_looked_at_heads_follows() {
    let mut two = Two::new();
    for _ in 0..3 {
        two.backup_of_first();
    }
    two.refresh_second();
    reconciled(&mut two.first()).unwrap();
    let before = two.first().head();
    let mut second = two.second();
    let report = reconciled(&mut second).unwrap();
    assert!(report.taken_over && !report.contents_lost, "{report:?}");
    assert_eq!(second.head(), before);
    two.assert_goes_on(4);
}

pub(super) fn rotated(other: &Other, vault: &Vault) {
    other.append(vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
}

#[test]
fn entries_that_nobody_has_sent_again_and_nobody_can_stop_it() {
    let mut two = Two::new();
    two.backup_of_first();
    two.refresh_second();
    rotated(&two.member.paper(), &two.first());
    two.refresh_second();
    reconciled(&mut two.first()).unwrap();
    // A head has come after the one that the entry names.
    let mut second = two.second();
    let (length, stored) = (second.log().position().seq, two.stored_of_second());
    let error = reconciled(&mut second).unwrap_err();
    assert!(
        matches!(error, ReconcileError::Vault(VaultError::EntriesLeftBehind { first })
            if first == length),
        "{error}"
    );
    assert_eq!(two.stored_of_second(), stored);
    // And so it is where another entry stands in its place.
    rotated(&two.paper(), &second);
    let error = reconciled(&mut second).unwrap_err();
    assert!(
        matches!(
            error,
            ReconcileError::Vault(VaultError::EntriesLeftBehind { .. })
        ),
        "{error}"
    );
    assert_eq!(two.stored_of_second(), stored);
}

#[test]
fn entries_that_can_be_sent_again_are() {
    let mut two = Two::new();
    two.backup_of_first();
    for _ in 0..3 {
        two.backup_of_second();
    }
    let entry = two
        .member
        .paper()
        .append(two.second().id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    two.backup_of_second();
    // The first stops at head 3: the entry names head 5.
    reconciled(&mut two.first()).unwrap();
    let mut second = two.second();
    let report = reconciled(&mut second).unwrap();
    assert!(report.taken_over);
    assert_eq!(report.entries, 1);
    assert!(second.log().entries().contains(&entry));
    assert_eq!(second.keys().unwrap().current_epoch(), 2);
    two.assert_goes_on(6);
}
