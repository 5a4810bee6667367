//! A hoster that restored a backup of its own is brought forward again.

use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, ReconcileError, Reconciled, reconcile};
use vault_client::remote::memory::MemoryHoster;
use vault_client::vault::{Vault, VaultError};
use vault_proto::head::UnverifiedHead;

use super::{Files, assert_restores, assert_whole, backed_up, snapshots};
use crate::support::{Member, line_lost, rng};

fn reconciled(vault: &mut Vault) -> Result<Reconciled, ReconcileError> {
    reconcile(vault, Parted::Refuse, &Cancellation::new())
}

/// A member with a backup, of which his hoster has a copy, and one after it.
fn gone_back() -> (Member, MemoryHoster, Files, Vault) {
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let files = Files::many(1, 4, 30_000);
    backed_up(&mut vault, &files).unwrap();
    let old = member.hoster.fork();
    for number in 0..3 {
        files.write(
            &format!("new-{number}"),
            &super::noise(100 + number, 40_000),
        );
        backed_up(&mut vault, &files).unwrap();
    }
    drop(vault);
    let vault = at(&member, &old);
    (member, old, files, vault)
}

pub(super) fn at(member: &Member, hoster: &MemoryHoster) -> Vault {
    let account = member.reopened_at(hoster);
    account.open_vault(&VaultSelector::Only).unwrap()
}

#[test]
fn a_vault_is_brought_forward_and_what_is_gone_is_told_and_stored_anew() {
    let (member, old, files, mut vault) = gone_back();
    let before = vault.head().unwrap();
    assert_eq!(before.seq, 4);
    // Never by itself.
    let stored = member.stored();
    let error = backed_up(&mut vault, &files).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(matches!(
        vault.refresh().unwrap_err(),
        VaultError::HosterWentBack { got: 1, .. }
    ));
    assert_eq!(member.stored(), stored);

    let report = reconciled(&mut vault).unwrap();
    assert_eq!((report.from, report.lost), (1, 4));
    assert!(!report.contents_lost, "{report:?}");
    // The device keeps what leads to the rest, and not the data itself.
    assert!(!report.uploaded.is_empty() || !report.gone.is_empty());
    assert_eq!(vault.head().unwrap().seq, 5);
    assert_eq!(snapshots(&vault).len(), 4);
    // The heads in the places of the lost ones name them.
    let paper = crate::support::Other::new(&old, member.account.id(), member.phrase.device_keys());
    let sight = paper.look(vault.id());
    assert_eq!(sight.seen.position(), vault.head());
    let named = old.calls().into_iter().filter_map(|call| match call {
        vault_client::remote::memory::Call::CommitHead(request) => {
            let head = UnverifiedHead::decode(&request.head).unwrap();
            Some((head.seq(), head.claims().reconciled))
        }
        _ => None,
    });
    let named: Vec<_> = named.collect();
    assert!(named.contains(&(4, Some(before.hash))), "{named:?}");

    // The next backup stores again what is gone, and every snapshot is whole.
    backed_up(&mut vault, &files).unwrap();
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    assert_whole(&mut vault);
    // Once is enough.
    let head = vault.head();
    let report = reconciled(&mut vault).unwrap();
    assert_eq!(report.from, report.lost);
    assert_eq!(vault.head(), head);
}

#[test]
fn entries_that_were_lost_are_sent_again_as_they_were() {
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let files = Files::many(1, 2, 30_000);
    backed_up(&mut vault, &files).unwrap();
    let old = member.hoster.fork();
    let id = vault.id();
    let rotate = || {
        member
            .paper()
            .append(id, |author, keys| author.rotate(keys, &mut rng()).unwrap())
    };
    // At the head that is left, and at one that is lost.
    let first = rotate();
    files.write("more", &super::noise(5, 40_000));
    backed_up(&mut vault, &files).unwrap();
    let second = rotate();
    backed_up(&mut vault, &files).unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 3);
    drop(vault);

    let mut vault = at(&member, &old);
    let report = reconciled(&mut vault).unwrap();
    assert_eq!(report.entries, 2);
    assert_eq!(vault.keys().unwrap().current_epoch(), 3);
    let entries = vault.log().entries();
    assert_eq!(entries[1].payload, first.payload);
    assert_eq!(entries[2].payload, second.payload);
    backed_up(&mut vault, &files).unwrap();
    assert_whole(&mut vault);
    // Whoever sees it for the first time verifies all of it.
    let paper = crate::support::Other::new(&old, member.account.id(), member.phrase.device_keys());
    assert_eq!(paper.look(id).seen.position(), vault.head());
}

#[test]
fn a_reconciliation_may_break_anywhere_and_is_repeated() {
    for calls in 0..24 {
        let (member, old, files, mut vault) = gone_back();
        old.fail_after(calls, line_lost());
        let done = reconciled(&mut vault);
        old.behave();
        drop(vault);
        let mut vault = at(&member, &old);
        if done.is_err() {
            reconciled(&mut vault).unwrap();
        }
        vault.refresh().unwrap();
        assert_eq!(snapshots(&vault).len(), 4, "after {calls} calls");
        backed_up(&mut vault, &files).unwrap();
        assert_whole(&mut vault);
    }
}

#[test]
fn a_fork_is_not_reconciled() {
    let (member, old, files, mut vault) = gone_back();
    // Somebody has gone on from the older state.
    let paper = crate::support::Other::new(&old, member.account.id(), member.phrase.device_keys());
    paper.commit(vault.id());
    let stored = member.stored();
    let error = reconciled(&mut vault).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(member.stored(), stored);
    // Nor where only the log went on.
    let (member, old, _, mut vault) = gone_back();
    let paper = crate::support::Other::new(&old, member.account.id(), member.phrase.device_keys());
    paper.append(vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    let stored = member.stored();
    let error = reconciled(&mut vault).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(member.stored(), stored);
    drop(files);
}

#[test]
fn a_hoster_that_is_not_behind_is_left_alone() {
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let files = Files::many(1, 2, 30_000);
    backed_up(&mut vault, &files).unwrap();
    let (head, stored) = (vault.head(), member.stored());
    let report = reconciled(&mut vault).unwrap();
    assert_eq!((report.from, report.lost), (1, 1));
    assert_eq!(vault.head(), head);
    assert_eq!(member.stored(), stored);
}
