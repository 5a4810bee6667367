//! Heads that are older than what was seen, of another history, or not shown.

use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::vault::VaultError;
use vault_proto::head::HeadError;
use vault_proto::position::HeadPosition;
use vault_rpc::hoster::commit_head_response::Outcome;
use vault_rpc::hoster::{Accepted, CommitHeadResponse, Reason, SyncVaultResponse};

use super::assert_matches;
use crate::engine::{backed_up, checked};
use crate::hostile::front::refusal;
use crate::hostile::scene::{Scene, SecondDevice, refused};
use crate::support::{commit, rng};

#[test]
fn an_older_head_is_told_with_its_date() {
    let mut scene = Scene::small();
    let old = scene.whole_answer();
    scene.back_up_again();
    let (known, committed) = (
        scene.vault.head().unwrap(),
        scene.vault.root().unwrap().committed,
    );
    // As one who says that nothing is new, and as one who shows it as news.
    for heads in [Vec::new(), old.heads.clone()] {
        let old = old.clone();
        scene.tamper(move |answer| {
            answer.heads.clone_from(&heads);
            answer.root.clone_from(&old.root);
            answer.newest_head_seq = old.newest_head_seq;
        });
        match scene.refused() {
            VaultError::HosterWentBack {
                known: named,
                committed: date,
                got,
                ..
            } => {
                assert_eq!((named, got), (known, 1));
                assert_eq!(date.map(|date| date.to_wire()), committed);
            }
            error => panic!("{error}"),
        }
        // Nothing is written on top of it.
        scene.files.write("more", b"and more");
        let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        let error = checked(&mut scene.vault).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert_eq!(scene.vault.head(), Some(known));
        std::fs::remove_file(scene.files.path().join("more")).unwrap();
    }
    scene.assert_honest_again();
}

/// The newest head with the root of the one before, in which a snapshot less
/// stands.
#[test]
fn a_hidden_snapshot_is_missed() {
    let mut scene = Scene::small();
    let old = scene.whole_answer();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    scene.back_up_again();
    scene.tamper(move |answer| answer.root.clone_from(&old.root));
    let error = refused(&second.home, &mut theirs);
    assert_matches!(error, VaultError::Head(HeadError::OtherRoot));
    // Of a head that is known already, too.
    let error = scene.refused();
    assert_matches!(error, VaultError::Head(HeadError::OtherRoot));
    scene.front().behave();
    theirs.refresh().unwrap();
    assert_eq!(theirs.head(), scene.vault.head());
}

/// Each of two devices commits, and each is told that its head was accepted.
/// When they are shown one history again, the fork is proof.
#[test]
fn two_devices_that_were_shown_a_fork_find_out_when_they_meet() {
    let mut scene = Scene::small();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    let accepted = |_: &mut _| {
        Some(Ok(CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    };
    scene.hostile.orders().commit_head.instead(accepted);
    commit(&mut theirs);
    scene.front().behave();
    commit(&mut scene.vault);
    let (one, other) = (scene.vault.head().unwrap(), theirs.head().unwrap());
    assert_eq!(one.seq, other.seq);
    assert_ne!(one.hash, other.hash);
    let error = refused(&second.home, &mut theirs);
    assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
    // Also where the other history is the longer one by now.
    commit(&mut scene.vault);
    commit(&mut scene.vault);
    let error = refused(&second.home, &mut theirs);
    assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
    // The first never learns of it from a hoster that keeps to its story.
    scene.vault.refresh().unwrap();
}

/// They need no hoster for it: one reads out what the other compares.
#[test]
fn a_fork_is_told_by_a_compared_head() {
    let mut scene = Scene::small();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    let accepted = |_: &mut _| {
        Some(Ok(CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    };
    scene.hostile.orders().commit_head.instead(accepted);
    commit(&mut theirs);
    scene.front().behave();
    let read_out = theirs.printed_head().unwrap();
    // The hoster has nothing of that place yet, then another head, then more.
    let before = scene.person.stored();
    let error = scene.vault.confirm(&read_out).unwrap_err();
    assert_matches!(
        &error,
        VaultError::PrintedHeadMissing { printed: 2, got: 1 }
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(scene.person.stored(), before);
    for _ in 0..3 {
        commit(&mut scene.vault);
        let before = scene.person.stored();
        let error = scene.vault.confirm(&read_out).unwrap_err();
        assert_matches!(&error, VaultError::Head(HeadError::Fork { seq: 2 }));
        assert_eq!(scene.person.stored(), before);
    }
    let own = scene.vault.printed_head().unwrap();
    scene.vault.confirm(&own).unwrap();
}

/// Without a memory an old head looks like the newest. A head that was read out
/// to it, or printed, tells.
#[test]
fn an_old_head_shown_to_a_device_without_memory_is_told_by_a_printed_one() {
    let mut scene = Scene::small();
    let old = scene.whole_answer();
    scene.back_up_again();
    let printed = scene.vault.printed_head().unwrap();
    let fresh = SecondDevice::of(&scene.person, &scene.hostile);
    fresh.forgets(&scene.vault);
    let id = scene.vault.id().to_vec();
    scene.hostile.orders().sync_vault.instead(move |asked| {
        let nothing_new = || SyncVaultResponse {
            root: old.root.clone(),
            newest_head_seq: 1,
            ..SyncVaultResponse::default()
        };
        (asked.vault == id).then(|| {
            Ok(match asked.head_seq {
                0 => old.clone(),
                _ => nothing_new(),
            })
        })
    });
    let mut vault = fresh.vault();
    assert_eq!(vault.head().unwrap().seq, 1);
    let before = fresh.stored();
    let error = vault.confirm(&printed).unwrap_err();
    assert_matches!(
        &error,
        VaultError::PrintedHeadMissing { printed: 2, got: 1 }
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(fresh.stored(), before);
    scene.front().behave();
    vault.confirm(&printed).unwrap();
    assert_eq!(vault.head(), scene.vault.head());
}

#[test]
fn a_withheld_head_is_told_by_the_log_that_names_it() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    paper.commit(scene.vault.id());
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    let old = scene.vault.head().unwrap().seq;
    scene.tamper(move |answer| {
        answer.heads.clear();
        answer.newest_head_seq = old;
    });
    let error = scene.refused();
    assert_matches!(
        error,
        VaultError::HosterWentBack {
            known: HeadPosition { seq: 2, .. },
            committed: None,
            got: 1,
            ..
        }
    );
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.keys().unwrap().current_epoch(), 2);
}

#[test]
fn a_missing_link_is_missed() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    for _ in 0..2 {
        paper.commit(scene.vault.id());
    }
    type Lie = fn(&mut SyncVaultResponse);
    let lies: [Lie; 4] = [
        |answer| drop(answer.heads.remove(1)),
        |answer| answer.heads.clear(),
        |answer| answer.heads.reverse(),
        |answer| answer.newest_head_seq += 1,
    ];
    for lie in lies {
        scene.tamper(lie);
        assert_matches!(scene.refused(), VaultError::Head(_) | VaultError::Answer(_));
    }
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.head().unwrap().seq, 3);
}

#[test]
fn a_hidden_vault_is_told() {
    let mut scene = Scene::small();
    let id = scene.vault.id().to_vec();
    scene.hostile.orders().sync_vault.instead(move |asked| {
        (asked.vault == id).then(|| Err(refusal(Reason::NotFound, "no such vault")))
    });
    assert_matches!(scene.refused(), VaultError::Hidden);
    scene
        .hostile
        .orders()
        .list_vaults
        .tamper(|_, answer| answer.vaults.clear());
    let stored = scene.person.stored();
    let vaults = scene.person.account.vaults().unwrap();
    let standings: Vec<_> = vaults.iter().map(|vault| vault.standing).collect();
    assert_eq!(standings, [vault_client::account::Standing::Hidden]);
    // Another process is told the same, and so is who would write to it.
    let account = scene.person.reopened(&scene.hostile);
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    assert_matches!(vault.refresh(), Err(VaultError::Hidden));
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(scene.person.stored(), stored);
    scene.assert_honest_again();
}
