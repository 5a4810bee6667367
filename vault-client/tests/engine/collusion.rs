//! A writer and a hoster who say of a vault that it was brought forward again.

use vault_client::account::{AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, ReconcileError, Reconciled, reconcile};
use vault_client::remote::memory::MemoryHoster;
use vault_client::remote::{CommitOutcome, CommitRequest, SyncAnswer};
use vault_client::repair::{RepairError, RepairOptions, repair};
use vault_client::vault::{RootError, Vault, VaultError};
use vault_proto::head::{HeadError, SeenHeads, UnverifiedHead};
use vault_proto::ids::HeadHash;
use vault_proto::position::HeadPosition;

use super::lost_entries::Shared;
use super::{Files, assert_whole, backed_up, noise, snapshots};
use crate::support::other::Sight;
use crate::support::{Machine, Member, Other, forge, line_lost, stored};

/// A head and its sealed root.
type Made = (Vec<u8>, Vec<u8>);

fn reconciled(vault: &mut Vault) -> Result<Reconciled, ReconcileError> {
    reconcile(vault, Parted::Refuse, &Cancellation::new())
}

/// The writer, at the hoster's older state of the vault.
fn writer_at(shared: &Shared, old: &MemoryHoster) -> Other {
    let keys = shared.writer.phrase.device_keys();
    Other::new(old, shared.writer.account.id(), keys)
}

/// Makes the next head out of an empty root, naming another one as reconciled.
fn named(by: &Other, sight: &Sight, reconciled: Option<HeadHash>) -> Made {
    forge(sight, &by.keys, by.account, |head| {
        head.reconciled = reconciled;
        head.vault_position.seq = sight.log.earliest_position_for_head(head.seq);
        head.vault_position.hash = sight.log.hash_at(head.vault_position.seq).unwrap();
    })
}

/// Likewise, and the hoster takes it.
fn committed(by: &Other, vault: &Vault, reconciled: Option<HeadHash>) {
    let (head, root) = named(by, &by.look(vault.id()), reconciled);
    let commit = CommitRequest {
        head,
        root,
        adds: Vec::new(),
        removes: Vec::new(),
    };
    let outcome = by.remote.commit_head(&commit).unwrap();
    assert_eq!(outcome, CommitOutcome::Accepted);
}

/// What was seen once `made` is the newest head.
fn after(sight: Sight, made: &Made) -> Sight {
    let known = sight.seen.clone();
    let hash_at = |seq| {
        let newest = known.position().filter(|at| at.seq == seq);
        newest.map(|at| at.hash)
    };
    Sight {
        seen: SeenHeads::collect(&made.0, hash_at).unwrap(),
        ..sight
    }
}

fn stored_of(member: &Member) -> Vec<String> {
    stored(member.home.path())
}

/// The owner has removed the writer, who has a head ready that names the one after
/// which he was removed.
fn removed() -> (Shared, MemoryHoster, HeadPosition, Vault) {
    let mut shared = Shared::new();
    let old = shared.owner.hoster.fork();
    let (lost, _) = shared.remove_writer();
    let vault = shared.at(&old);
    committed(&writer_at(&shared, &old), &vault, Some(lost.hash));
    (shared, old, lost, vault)
}

#[test]
fn a_writer_who_names_a_lost_head_does_not_come_back() {
    let (shared, _, lost, mut vault) = removed();
    let report = reconciled(&mut vault).unwrap();
    assert!(report.taken_over);
    assert_eq!(report.entries, 1);
    let removed = shared.writer.account.id();
    assert_eq!(vault.log().member(&removed), None);
    assert_eq!(vault.log().pinned_head(), Some(lost));
    // And the keys are changed before anything is written.
    assert!(!vault.log().rotation_due());
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    assert_eq!(snapshots(&vault).len(), 2);
    backed_up(&mut vault, &shared.files).unwrap();
    assert_whole(&mut vault);
}

#[test]
fn entries_that_a_writer_has_left_behind_are_told() {
    let (shared, old, _, mut vault) = removed();
    committed(&writer_at(&shared, &old), &vault, None);
    let before = stored_of(&shared.owner);
    let error = reconciled(&mut vault).unwrap_err();
    assert!(
        matches!(
            error,
            ReconcileError::Vault(VaultError::EntriesLeftBehind { .. })
        ),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(stored_of(&shared.owner), before);
}

#[test]
fn nothing_is_written_before_a_removal_stands_again() {
    let mut caught = 0;
    for calls in 0..24 {
        let (shared, old, _, mut vault) = removed();
        old.fail_after(calls, line_lost());
        let done = reconciled(&mut vault);
        old.behave();
        let removed = shared.writer.account.id();
        if done.is_err() && vault.log().member(&removed).is_some() && vault.refresh().is_ok() {
            caught += 1;
            // Nor is he removed by another entry, in whose place the first would stand.
            let account = shared.owner.reopened_at(&old);
            let error = account.unshare(&mut vault, &removed).unwrap_err();
            assert!(
                matches!(error, AccountError::Vault(VaultError::BeingBroughtForward)),
                "{error}"
            );
            let error = backed_up(&mut vault, &shared.files).unwrap_err();
            assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
            let plan = crate::support::plan(&vault, Vec::new());
            let error = vault.commit(plan).unwrap_err();
            assert!(matches!(error, VaultError::BeingBroughtForward), "{error}");
        }
        drop(vault);
        let mut vault = shared.at(&old);
        reconciled(&mut vault).unwrap();
        assert_eq!(vault.log().member(&removed), None);
        assert_eq!(snapshots(&vault).len(), 2);
    }
    assert!(caught > 0);
}

#[test]
fn what_a_writer_leaves_out_of_his_root_comes_back() {
    let mut shared = Shared::new();
    let old = shared.owner.hoster.fork();
    shared.files.write("more", &noise(5, 40_000));
    backed_up(&mut shared.vault, &shared.files).unwrap();
    let seen = shared.vault.head().unwrap();
    let mut vault = shared.at(&old);
    let writer = writer_at(&shared, &old);
    committed(&writer, &vault, Some(seen.hash));
    committed(&writer, &vault, None);
    assert!(matches!(
        vault.refresh().unwrap_err(),
        VaultError::Replaced { .. }
    ));
    let report = reconciled(&mut vault).unwrap();
    assert!(report.taken_over);
    assert_eq!(snapshots(&vault).len(), 2);
    backed_up(&mut vault, &shared.files).unwrap();
    assert_whole(&mut vault);
}

/// The owner's device, which has seen one head more than the hoster goes on from.
fn forked() -> (Shared, MemoryHoster, HeadPosition, Vault) {
    let mut shared = Shared::new();
    let old = shared.owner.hoster.fork();
    shared.files.write("more", &noise(5, 40_000));
    backed_up(&mut shared.vault, &shared.files).unwrap();
    let seen = shared.vault.head().unwrap();
    let vault = shared.at(&old);
    (shared, old, seen, vault)
}

/// Shows `chain`, newest first, when all is asked for; `named` when a head is asked for
/// by its number, which comes third; and else the way to the newest from the one before.
fn show(old: &MemoryHoster, chain: [Made; 2], named: Vec<u8>) {
    let mut answers = 0;
    old.tamper_with_syncs(move |answer: &mut SyncAnswer| {
        let [(newest, root), (before, _)] = &chain;
        answers += 1;
        answer.newest_head_seq = UnverifiedHead::decode(newest).unwrap().seq();
        match answers {
            1 => {
                answer.heads = vec![newest.clone(), before.clone()];
                answer.root = root.clone();
            }
            3 => answer.heads = vec![named.clone()],
            _ => answer.heads = vec![newest.clone()],
        }
    });
}

fn error_of(shared: &Shared, vault: &mut Vault) -> VaultError {
    let before = stored_of(&shared.owner);
    let error = match reconciled(vault).unwrap_err() {
        ReconcileError::Vault(error) => error,
        error => panic!("{error}"),
    };
    assert_eq!(stored_of(&shared.owner), before);
    error
}

#[test]
fn what_the_hoster_shows_is_followed_if_all_of_it_is_right() {
    let (shared, old, seen, mut vault) = forked();
    let writer = writer_at(&shared, &old);
    let sight = writer.look(vault.id());
    let second = named(&writer, &sight, Some(seen.hash));
    let third = named(&writer, &after(sight, &second), None);
    let head = second.0.clone();
    show(&old, [third, second], head);
    // It is not the hoster's, so that nothing can be put behind it.
    reconciled(&mut vault).unwrap_err();
    old.behave();
    assert_eq!(vault.head().unwrap().seq, seen.seq + 1);
}

#[test]
fn a_stranger_cannot_name_a_head() {
    let (shared, old, seen, mut vault) = forked();
    let writer = writer_at(&shared, &old);
    let stranger = Member::at(&old).paper();
    let sight = writer.look(vault.id());
    let second = named(&stranger, &sight, Some(seen.hash));
    let third = named(&writer, &after(sight, &second), None);
    let head = second.0.clone();
    show(&old, [third, second], head);
    let error = error_of(&shared, &mut vault);
    assert!(
        matches!(error, VaultError::Head(HeadError::Stranger)),
        "{error}"
    );
}

#[test]
fn a_head_beside_the_chain_is_refused() {
    let (shared, old, seen, mut vault) = forked();
    let writer = writer_at(&shared, &old);
    let sight = writer.look(vault.id());
    let beside = named(&writer, &sight, Some(seen.hash));
    let second = named(&writer, &sight, None);
    let third = named(&writer, &after(sight, &second), None);
    show(&old, [third, second], beside.0);
    let error = error_of(&shared, &mut vault);
    assert!(
        matches!(error, VaultError::Head(HeadError::Fork { .. })),
        "{error}"
    );
}

#[test]
fn another_head_than_was_asked_for_is_refused() {
    let (shared, old, seen, mut vault) = forked();
    let writer = writer_at(&shared, &old);
    let sight = writer.look(vault.id());
    let second = named(&writer, &sight, Some(seen.hash));
    let third = named(&writer, &after(sight, &second), None);
    let other = third.0.clone();
    show(&old, [third, second], other);
    let error = error_of(&shared, &mut vault);
    assert!(matches!(error, VaultError::Answer(_)), "{error}");
}

#[test]
fn a_head_that_nobody_has_named_is_told() {
    let (shared, old, seen, mut vault) = forked();
    let writer = writer_at(&shared, &old);
    committed(&writer, &vault, Some(HeadHash::from_array([9; 32])));
    committed(&writer, &vault, None);
    assert!(matches!(
        vault.refresh().unwrap_err(),
        VaultError::Head(HeadError::Fork { .. })
    ));
    let error = error_of(&shared, &mut vault);
    assert!(
        matches!(error, VaultError::NotBroughtBack { known } if known == seen.seq),
        "{error}"
    );
}

/// A stolen device is removed, and the entry that says so names the newest head. With the
/// hoster, the thief makes another one in that place, for devices that have not seen it.
#[test]
fn a_thief_does_not_take_the_place_that_his_removal_pins() {
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let thief = Machine::of(&member, "stolen");
    let files = Files::many(1, 4, 30_000);
    backed_up(&mut vault, &files).unwrap();
    let before = member.hoster.fork();
    files.write("more", &noise(5, 40_000));
    backed_up(&mut vault, &files).unwrap();
    let pinned = vault.head().unwrap();
    member
        .account
        .remove_device(&thief.account.device())
        .unwrap();
    vault.refresh().unwrap();
    assert_eq!(vault.log().pinned_head(), Some(pinned));
    let id = vault.id();

    let keys = thief.other(&member).keys;
    let with_hoster = Other::new(&before, member.account.id(), keys);
    committed(&with_hoster, &vault, Some(pinned.hash));
    let paper = Other::new(&before, member.account.id(), member.phrase.device_keys());
    let log = member.paper().own_log();
    let visitor = before.visitor();
    visitor.put_account_log(&log.id(), log.entries()).unwrap();
    let removal = vault.log().entries().last().unwrap();
    paper.remote.append_vault_entry(&id, removal).unwrap();

    let fresh = Machine::added_by(&paper, &member, "new", before.clone());
    let mut theirs = fresh.vault();
    theirs.refresh().unwrap();
    assert_eq!(theirs.log().pinned_head(), Some(pinned));
    let error = theirs.root().unwrap_err();
    let VaultError::Unreadable(unreadable) = &error else {
        panic!("{error}")
    };
    assert_eq!(unreadable.device, thief.account.device());
    assert_eq!(unreadable.error, RootError::PutOut);
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert!(backed_up(&mut theirs, &files).is_err());
    // Nor is it gone back to, once it is not the newest: the one before it is.
    let repaired =
        |vault: &mut Vault, head| repair(vault, &RepairOptions::new(head), &Cancellation::new());
    assert_eq!(repaired(&mut theirs, None).unwrap().from, pinned.seq - 1);
    let error = repaired(&mut theirs, Some(pinned.seq)).unwrap_err();
    assert!(matches!(error, RepairError::Unreadable { .. }), "{error}");
    assert_eq!(snapshots(&theirs).len(), 1);
    assert_whole(&mut theirs);
    backed_up(&mut theirs, &files).unwrap();
    // Who remembers sees a fork, and believes nothing.
    let stored = member.stored();
    let account = member.reopened_at(&before);
    let mut ours = account.open_vault(&VaultSelector::Only).unwrap();
    let error = ours.refresh().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(member.stored(), stored);
}
