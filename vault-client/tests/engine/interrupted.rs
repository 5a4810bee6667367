//! Bringing a vault forward is interrupted, and others go on meanwhile.

use vault_client::backup::back_up;
use vault_client::progress::Cancellation;
use vault_client::reconcile::ReconcileError;
use vault_client::vault::{CommitPlan, Vault, VaultError};
use vault_proto::ids::PackId;
use vault_proto::wire::{Located, Root};

use super::second_device::{Two, at, reconciled, rotated};
use super::{Files, assert_restores, assert_whole, backed_up, noise, silent, snapshots};
use crate::support::{Machine, line_lost};

#[test]
fn following_may_break_anywhere_and_is_repeated() {
    for calls in 0..18 {
        for takes_effect in [false, true] {
            broken_while_following(true, calls, takes_effect);
        }
    }
    for calls in 0..8 {
        broken_while_following(false, calls, true);
    }
}

fn broken_while_following(is_ahead: bool, calls: usize, takes_effect: bool) {
    let mut two = Two::new();
    two.backup_of_first();
    two.backup_of_second();
    if !is_ahead {
        two.refresh_first();
    }
    reconciled(&mut two.first()).unwrap();
    if takes_effect {
        two.old.lose_answer_after(calls);
    } else {
        two.old.fail_after(calls, line_lost());
    }
    let done = reconciled(&mut two.second());
    two.old.behave();
    if done.is_err() {
        reconciled(&mut two.second()).unwrap();
    }
    two.assert_goes_on(3);
}

/// The first device is interrupted, and the second does all of it; the first has then
/// nothing left to do.
#[test]
fn whoever_goes_on_ends_it() {
    for calls in 0..24 {
        let mut two = Two::new();
        two.backup_of_first();
        two.backup_of_second();
        two.backup_of_first();
        two.refresh_second();
        two.old.fail_after(calls, line_lost());
        let done = reconciled(&mut two.first());
        two.old.behave();
        reconciled(&mut two.second()).unwrap();
        if done.is_err() {
            reconciled(&mut two.first()).unwrap();
        }
        two.assert_goes_on(4);
    }
}

/// Somebody who knew nothing of what was lost has committed meanwhile.
#[test]
fn what_others_commit_while_it_is_interrupted_is_kept() {
    for calls in 0..24 {
        let mut two = Two::new();
        let third = Machine::of(&two.member, "a netbook");
        two.old = two.member.hoster.fork();
        two.backup_of_first();
        two.backup_of_first();
        two.backup_of_first();
        two.old.fail_after(calls, line_lost());
        let done = reconciled(&mut two.first());
        two.old.behave();
        let has_begun = two.paper().look(two.first().id()).seen.position().is_some()
            && two.paper().look(two.first().id()).seen.next_links().seq > 2;
        if done.is_ok() || !has_begun {
            continue;
        }
        let files = Files::many(3, 3, 20_000);
        let mut third = at(third.home.path(), &two.old);
        backed_up(&mut third, &files).unwrap();
        let report = reconciled(&mut two.first()).unwrap();
        assert!(!report.contents_lost, "{report:?}");
        let mut first = two.first();
        assert_eq!(snapshots(&first).len(), 5, "after {calls} calls");
        third.refresh().unwrap();
        backed_up(&mut first, &two.ours).unwrap();
        third.refresh().unwrap();
        backed_up(&mut third, &files).unwrap();
        let newest = snapshots(&third).pop().unwrap();
        assert_restores(&third, &newest, &files);
        assert_whole(&mut third);
        reconciled(&mut two.second()).unwrap();
    }
}

#[test]
fn a_hoster_may_go_back_again_and_again() {
    let mut two = Two::new();
    two.backup_of_first();
    two.backup_of_second();
    let oldest = two.old.fork();
    reconciled(&mut two.first()).unwrap();
    reconciled(&mut two.second()).unwrap();
    let newer = two.old.fork();
    let (ours, theirs) = (&two.ours, &two.theirs);
    backed_up(&mut two.second(), theirs).unwrap();
    backed_up(&mut two.first(), ours).unwrap();
    two.second().refresh().unwrap();
    let count = snapshots(&two.second()).len();
    for back in [newer, oldest] {
        two.old = back;
        reconciled(&mut two.second()).unwrap();
        let report = reconciled(&mut two.first()).unwrap();
        assert!(report.taken_over && !report.contents_lost, "{report:?}");
        assert_eq!(snapshots(&two.first()).len(), count);
        two.first().refresh().unwrap();
        two.second().refresh().unwrap();
    }
    two.assert_goes_on(count);
}

#[test]
fn a_hoster_may_go_back_while_a_vault_is_brought_forward() {
    for calls in (0..16).step_by(2) {
        let mut two = Two::new();
        two.backup_of_first();
        two.backup_of_first();
        let again = two.old.fork();
        two.old.fail_after(calls, line_lost());
        let _ = reconciled(&mut two.first());
        two.old = again;
        let report = reconciled(&mut two.first()).unwrap();
        assert!(!report.contents_lost, "{report:?}");
        reconciled(&mut two.second()).unwrap();
        two.assert_goes_on(3);
    }
}

fn in_series(vault: &mut Vault, files: &Files, series: &str) {
    let mut options = files.options();
    options.series = Some(series.to_owned());
    back_up(vault, &options, &silent(), &Cancellation::new()).unwrap();
}

/// Two have begun a series of one name, of which neither knew.
#[test]
fn series_of_one_name_are_one_afterwards() {
    for calls in 0..24 {
        let two = Two::new();
        in_series(
            &mut at(two.member.home.path(), &two.member.hoster),
            &two.ours,
            "home",
        );
        two.old.fail_after(calls, line_lost());
        let done = reconciled(&mut two.first());
        two.old.behave();
        if done.is_ok() || two.paper().look(two.first().id()).seen.next_links().seq < 3 {
            continue;
        }
        in_series(&mut two.second(), &two.theirs, "home");
        let standing = snapshots(&two.second()).pop().unwrap();
        reconciled(&mut two.first()).unwrap();
        let found = snapshots(&two.first());
        assert_eq!(
            found.last(),
            Some(&standing),
            "what stands keeps its series, and its place"
        );
        let named = found.iter().filter(|snapshot| snapshot.series == "home");
        assert_eq!((named.count(), found.len()), (2, 3));
        in_series(&mut two.second(), &two.theirs, "home");
        in_series(&mut two.first(), &two.ours, "home");
        assert_whole(&mut two.first());
    }
}

fn linked(vault: &Vault, pack: PackId) -> Root {
    let list = Located {
        pack: pack.to_vec(),
        pack_size: 16_384,
        epoch: 1,
        ..Located::default()
    };
    Root {
        links: Some(list),
        ..vault.root().unwrap().clone()
    }
}

/// The list of links is the newest that was lost, unless somebody has changed it since.
#[test]
fn the_list_of_links_is_the_newest() {
    for somebody_changes_it in [false, true] {
        let two = Two::new();
        let mut first = at(two.member.home.path(), &two.member.hoster);
        let bytes = bytes::Bytes::from(noise(1, 16_384));
        let lost = PackId::of(&bytes);
        for hoster in [&two.member.hoster, &two.old] {
            let remote = at(two.member.home.path(), hoster).remote();
            remote.put_pack(&first.id(), &lost, bytes.clone()).unwrap();
        }
        let plan = CommitPlan {
            adds: vec![lost],
            removes: Vec::new(),
            root: linked(&first, lost),
        };
        first.commit(plan).unwrap();
        // Turned, and one head is made.
        two.old.fail_after(4, line_lost());
        let mut first = two.first();
        reconciled(&mut first).unwrap_err();
        two.old.behave();
        assert_eq!(two.paper().look(first.id()).seen.next_links().seq, 3);
        let mut expected = lost;
        if somebody_changes_it {
            expected = crate::support::put_pack(&two.first());
            let root = linked(&first, expected);
            two.paper()
                .commit_change(first.id(), &root, &[expected], &[]);
        }
        reconciled(&mut two.first()).unwrap();
        let first = two.first();
        let links = first.root().unwrap().links.as_ref().unwrap();
        assert_eq!(links.pack, expected.to_vec());
    }
}

/// While it is interrupted, somebody's entry comes to stand where a lost one stood: who
/// has that one writes nothing any more, as it may have removed somebody.
#[test]
fn an_entry_in_the_place_of_a_lost_one_is_told() {
    let mut caught = 0;
    for calls in 0..8 {
        let mut two = Two::new();
        two.backup_of_first();
        rotated(&two.member.paper(), &two.first());
        two.refresh_first();
        let length = two.first().log().position().seq;
        two.old.fail_after(calls, line_lost());
        let done = reconciled(&mut two.first());
        two.old.behave();
        let mut first = two.first();
        if done.is_ok() || first.log().position().seq == length {
            continue;
        }
        caught += 1;
        rotated(&two.paper(), &first);
        let error = reconciled(&mut first).unwrap_err();
        assert!(
            matches!(error, ReconcileError::Vault(VaultError::EntriesLeftBehind { first })
                if first == length),
            "{error}"
        );
        let plan = crate::support::plan(&first, Vec::new());
        let error = first.commit(plan).unwrap_err();
        assert!(
            matches!(error, VaultError::EntriesLeftBehind { .. }),
            "{error}"
        );
    }
    assert!(caught > 0);
}
