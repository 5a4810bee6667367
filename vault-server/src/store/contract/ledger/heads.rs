//! Heads, and the life of a pack from the head that adds it on.

use std::thread;

use super::fixture::*;
use crate::store::{
    ledger::{Commit, HeadCommit, Ledger},
    records::PackState,
};

pub(crate) fn a_head_adds_what_is_there(ledger: &dyn Ledger) {
    let missing = ledger.commit_head(&head(11, 1, 0)).unwrap();
    assert_eq!(missing, Commit::NoSuchVault);
    one_vault(ledger);
    upload(ledger, &blob(11, 1, 16 * KIB));
    upload(ledger, &blob(11, 2, 64 * KIB));
    assert_eq!(commit(ledger, 1, &packs([1, 2]), &[]), Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(80 * KIB, 0, 0));
    assert_eq!(state(ledger, &blob(11, 1, 16 * KIB)), PackState::Committed);
    let vault = ledger.vault(&vault(11)).unwrap().unwrap();
    assert_eq!(vault.head, Some(position(1, 0)));
    let head = ledger.head(&vault.id, 1).unwrap().unwrap();
    assert_eq!(head.hash, position(1, 0).hash);
    assert_eq!((head.signed, head.received), (vec![7; 456], NOW));
    assert_eq!((head.added_packs, head.added_bytes), (2, 81_920));
    assert_eq!(head.removed_packs, 0);
    assert_eq!(ledger.root(&vault.id, 1).unwrap(), Some(vec![8; 4096]));
    assert_eq!(ledger.head(&vault.id, 2).unwrap(), None);
    assert_eq!(ledger.root(&vault.id, 2).unwrap(), None);
    // Adding again what is committed changes nothing.
    assert_eq!(commit(ledger, 2, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(80 * KIB, 0, 0));
}

pub(crate) fn a_head_is_refused_as_long_as_packs_are_missing(ledger: &dyn Ledger) {
    one_vault(ledger);
    upload(ledger, &blob(11, 2, 16 * KIB));
    let reserved = reserve(ledger, &blob(11, 3, 16 * KIB));
    let missing = commit(ledger, 1, &packs([1, 2, 3]), &[]);
    assert_eq!(missing, Commit::Missing(packs([1, 3])));
    // Nothing of it happened.
    assert_eq!(usage(ledger, 1), usage_of(0, 16 * KIB, 0));
    assert_eq!(ledger.vault(&vault(11)).unwrap().unwrap().head, None);
    ledger.record_pack(reserved, NOW).unwrap();
    upload(ledger, &blob(11, 1, 16 * KIB));
    assert_eq!(commit(ledger, 1, &packs([1, 2, 3]), &[]), Commit::Accepted);
}

pub(crate) fn the_same_head_again_succeeds(ledger: &dyn Ledger) {
    one_vault(ledger);
    upload(ledger, &blob(11, 1, 16 * KIB));
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(commit(ledger, 2, &[], &packs([1])), Commit::Accepted);
    // The answer was lost, and others went on meanwhile.
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(0, 0, 16 * KIB));
    let newest = ledger.vault(&vault(11)).unwrap().unwrap().head;
    assert_eq!(newest, Some(position(2, 0)));
}

pub(crate) fn another_head_or_an_older_log_loses_the_race(ledger: &dyn Ledger) {
    one_vault(ledger);
    let try_commit = |commit| ledger.commit_head(&commit).unwrap();
    let lost = |head_seq, log_seq| Commit::LostRace { head_seq, log_seq };
    assert_eq!(try_commit(head(11, 2, 0)), lost(0, 1));
    assert_eq!(try_commit(head(11, 1, 0)), Commit::Accepted);
    assert_eq!(try_commit(head(11, 1, 3)), lost(1, 1));
    assert_eq!(try_commit(head(11, 3, 0)), lost(1, 1));
    let on_another = HeadCommit {
        previous: Some(position(1, 3)),
        ..head(11, 2, 0)
    };
    assert_eq!(try_commit(on_another), lost(1, 1));

    let appended = append(ledger, 2, Some(position(1, 0)), None, None);
    assert_eq!(appended, crate::store::Appended::Appended);
    assert_eq!(try_commit(head(11, 2, 0)), lost(1, 2));
    let knows = HeadCommit {
        log_seq: 2,
        ..head(11, 2, 0)
    };
    assert_eq!(try_commit(knows), Commit::Accepted);
}

pub(crate) fn what_is_removed_waits_in_the_trash(ledger: &dyn Ledger) {
    one_vault(ledger);
    for (number, size) in [(1, 16), (2, 32), (3, 64)] {
        upload(ledger, &blob(11, number, size * KIB));
    }
    assert_eq!(commit(ledger, 1, &packs([1, 2]), &[]), Commit::Accepted);
    // Removing what is not committed, or not there, is nothing.
    let removed = commit(ledger, 2, &[], &packs([1, 3, 4]));
    assert_eq!(removed, Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(32 * KIB, 64 * KIB, 16 * KIB));
    let until = NOW.plus(DAY * 30);
    let trashed = state(ledger, &blob(11, 1, 16 * KIB));
    assert_eq!(trashed, PackState::Trash { until });
    // The trash can be read, and does not count against the quota.
    assert!(record(ledger, &blob(11, 1, 16 * KIB)).unwrap().is_there());
    let again = commit(ledger, 3, &[], &packs([1]));
    assert_eq!(again, Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(32 * KIB, 64 * KIB, 16 * KIB));
}

pub(crate) fn an_add_revives_what_is_in_the_trash(ledger: &dyn Ledger) {
    one_vault(ledger);
    let blob = blob(11, 1, 16 * KIB);
    upload(ledger, &blob);
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(commit(ledger, 2, &[], &packs([1])), Commit::Accepted);
    assert_eq!(commit(ledger, 3, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(16 * KIB, 0, 0));
    assert_eq!(state(ledger, &blob), PackState::Committed);
    // The sweep that was to take it passes.
    assert_eq!(ledger.doom(NOW.plus(DAY * 40), 10).unwrap(), []);
}

pub(crate) fn a_revival_must_fit_into_the_quota(ledger: &dyn Ledger) {
    one_vault(ledger);
    upload(ledger, &blob(11, 1, 512 * KIB));
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(commit(ledger, 2, &[], &packs([1])), Commit::Accepted);
    upload(ledger, &blob(11, 2, 512 * KIB));
    let revived = commit(ledger, 3, &packs([1]), &[]);
    assert_eq!(revived, Commit::OverQuota(full(1_048_576)));
    // Without the revival it is accepted, and in exchange for another too.
    assert_eq!(commit(ledger, 3, &packs([2]), &[]), Commit::Accepted);
    let exchanged = commit(ledger, 4, &packs([1]), &packs([2]));
    assert_eq!(exchanged, Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(512 * KIB, 0, 512 * KIB));
}

pub(crate) fn a_revival_that_removes_may_exceed_the_quota(ledger: &dyn Ledger) {
    one_vault(ledger);
    upload(ledger, &blob(11, 1, 512 * KIB));
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(commit(ledger, 2, &[], &packs([1])), Commit::Accepted);
    upload(ledger, &blob(11, 2, 512 * KIB));
    upload(ledger, &blob(11, 3, 16 * KIB));
    assert_eq!(commit(ledger, 3, &packs([2, 3]), &[]), Commit::Accepted);
    // A removal of what is not there is none.
    let revived = commit(ledger, 4, &packs([1]), &packs([4]));
    assert_eq!(revived, Commit::OverQuota(full(1_064_960)));
    let exchanged = commit(ledger, 4, &packs([1]), &packs([3]));
    assert_eq!(exchanged, Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(1024 * KIB, 0, 16 * KIB));
}

pub(crate) fn the_trash_holds_one_quota(ledger: &dyn Ledger) {
    one_vault(ledger);
    upload(ledger, &blob(11, 1, 512 * KIB));
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    assert_eq!(commit(ledger, 2, &[], &packs([1])), Commit::Accepted);
    upload(ledger, &blob(11, 2, 512 * KIB));
    assert_eq!(commit(ledger, 3, &packs([2]), &[]), Commit::Accepted);
    let removed = commit(ledger, 4, &[], &packs([2]));
    assert_eq!(removed, Commit::TrashFull(full(1_048_576)));
    assert_eq!(usage(ledger, 1), usage_of(512 * KIB, 0, 512 * KIB));
}

pub(crate) fn the_trash_is_emptied_after_the_grace_period(ledger: &dyn Ledger) {
    one_vault(ledger);
    let blob = blob(11, 1, 16 * KIB);
    upload(ledger, &blob);
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    let removed = NOW.plus(DAY * 100);
    let commit =
        |seq, adds: &[_], removes: &[_], now| commit_at(ledger, 11, seq, adds, removes, now);
    assert_eq!(commit(2, &[], &packs([1]), removed), Commit::Accepted);
    assert_eq!(ledger.doom(removed.plus(DAY * 29), 10).unwrap(), []);
    assert_eq!(ledger.doom(removed.plus(DAY * 30), 10).unwrap(), [blob]);
    assert_eq!(usage(ledger, 1), usage_of(0, 0, 0));
    let late = commit(3, &packs([1]), &[], removed.plus(DAY * 30));
    assert_eq!(late, Commit::Missing(packs([1])));
}

pub(crate) fn old_roots_go_after_the_grace_period(ledger: &dyn Ledger) {
    one_vault(ledger);
    for seq in 1..=3 {
        let at = NOW.plus(DAY * u32::try_from(seq).unwrap());
        assert_eq!(commit_at(ledger, 11, seq, &[], &[], at), Commit::Accepted);
    }
    let there = |seq| ledger.root(&vault(11), seq).unwrap().is_some();
    // Head 1's root is kept for 30 days after head 2 came, on day 2.
    assert_eq!(ledger.drop_due_roots(NOW.plus(DAY * 31), 10).unwrap(), 0);
    assert_eq!(ledger.drop_due_roots(NOW.plus(DAY * 32), 10).unwrap(), 1);
    assert!(!there(1) && there(2) && there(3));
    assert_eq!(ledger.drop_due_roots(NOW.plus(DAY * 999), 10).unwrap(), 1);
    assert!(!there(2) && there(3));
    assert!(ledger.head(&vault(11), 1).unwrap().is_some());
}

pub(crate) fn every_head_is_read_by_its_number(ledger: &dyn Ledger) {
    one_vault(ledger);
    for seq in 1..=5 {
        assert_eq!(commit(ledger, seq, &[], &[]), Commit::Accepted);
    }
    for seq in 1..=5 {
        let head = ledger.head(&vault(11), seq).unwrap().unwrap();
        assert_eq!(head.hash, position(seq, 0).hash);
        assert!(ledger.root(&vault(11), seq).unwrap().is_some());
    }
    for seq in [0, 6, u64::MAX] {
        assert_eq!(ledger.head(&vault(11), seq).unwrap(), None);
        assert_eq!(ledger.root(&vault(11), seq).unwrap(), None);
    }
}

pub(crate) fn one_of_many_heads_wins(ledger: &dyn Ledger) {
    one_vault(ledger);
    for seq in 1..=20 {
        let commits: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|salt| {
                    let previous = ledger.vault(&vault(11)).unwrap().unwrap().head;
                    let commit = HeadCommit {
                        previous,
                        ..head(11, seq, salt)
                    };
                    scope.spawn(move || ledger.commit_head(&commit).unwrap())
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let accepted = commits.iter().filter(|commit| **commit == Commit::Accepted);
        assert_eq!(accepted.count(), 1, "{commits:?}");
        assert_eq!(ledger.vault(&vault(11)).unwrap().unwrap().head_seq(), seq);
    }
}
