//! What is answered to who commits.

use std::sync::{Arc, Mutex};

use vault_client::account::VaultSelector;
use vault_client::backup::BackupError;
use vault_client::error::ErrorCode;
use vault_client::remote::{Misbehaviour, RemoteError};
use vault_client::vault::VaultError;
use vault_proto::head::UnverifiedHead;
use vault_rpc::hoster::commit_head_response::Outcome;
use vault_rpc::hoster::{Accepted, CommitHeadResponse, LostRace};

use super::assert_matches;
use crate::engine::{assert_restores, backed_up, newest};
use crate::hostile::scene::Scene;
use crate::support::{commit, plan, put_pack};

/// The hoster loses a head, or takes it and loses the answer, and the device
/// crashes. The same bytes are sent again if any are; nothing else is ever
/// signed for that place.
#[test]
fn a_lost_acknowledgement_and_a_crash_make_no_second_signature() {
    for is_taken in [false, true] {
        let mut scene = Scene::small();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let requests = sent.clone();
        let mut orders = scene.hostile.orders();
        orders.commit_head.instead(move |asked| {
            requests.lock().unwrap().push(asked.clone());
            // A word that this protocol does not have.
            let nothing = CommitHeadResponse { outcome: None };
            (!is_taken).then_some(Ok(nothing))
        });
        orders.commit_head.tamper(|_, answer| answer.outcome = None);
        drop(orders);
        let planned = plan(&scene.vault, vec![put_pack(&scene.vault)]);
        let (before, head) = (scene.vault.root().unwrap().clone(), scene.vault.head());
        let believed = scene.person.believed();
        let error = scene.vault.commit(planned.clone()).unwrap_err();
        let malformed = RemoteError::Misbehaved(Misbehaviour::Malformed);
        assert_matches!(&error, VaultError::Remote(error) if *error == malformed);
        assert_eq!(
            (scene.vault.root().unwrap(), scene.vault.head()),
            (&before, head)
        );
        assert_eq!(scene.person.believed(), believed);

        let account = scene.person.reopened(&scene.hostile);
        let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
        assert_eq!(vault.head(), head, "not believed without an answer");
        scene.front().behave();
        let requests = sent.clone();
        scene.hostile.orders().commit_head.instead(move |asked| {
            requests.lock().unwrap().push(asked.clone());
            None
        });
        let lock = vault.lock().unwrap();
        vault.refresh().unwrap();
        drop(lock);
        assert_eq!(vault.root().unwrap(), &planned.root);
        assert_eq!(vault.head().unwrap().seq, 2);
        let sent = sent.lock().unwrap();
        assert!(is_taken || sent.len() == 2);
        assert!(sent.iter().all(|request| *request == sent[0]));
        assert_eq!(UnverifiedHead::decode(&sent[0].head).unwrap().seq(), 2);
    }
}

/// Another answer than the truth to a commit: nothing is believed, nothing lost.
#[test]
fn a_race_that_nobody_has_won_is_told() {
    let mut scene = Scene::small();
    let lost = |_: &mut _| {
        let outcome = Outcome::LostRace(LostRace {
            head_seq: 7,
            vault_log_seq: 1,
        });
        Some(Ok(CommitHeadResponse {
            outcome: Some(outcome),
        }))
    };
    scene.hostile.orders().commit_head.instead(lost);
    let (head, believed) = (scene.vault.head(), scene.person.believed());
    let planned = plan(&scene.vault, vec![put_pack(&scene.vault)]);
    let error = scene.vault.commit(planned.clone()).unwrap_err();
    assert_matches!(&error, VaultError::UnfoundedRace);
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    scene.files.write("more", b"and more");
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::Vault(VaultError::UnfoundedRace));
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(scene.vault.head(), head);
    assert_eq!(scene.person.believed(), believed);
    scene.front().behave();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    let snapshot = newest(&scene.vault).unwrap();
    assert_restores(&scene.vault, &snapshot, &scene.files);
}

/// It says that it has taken a head, and keeps none: the next look tells.
#[test]
fn an_accepted_head_that_is_not_shown_is_a_step_back() {
    let mut scene = Scene::small();
    let accepted = |_: &mut _| {
        Some(Ok(CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    };
    scene.hostile.orders().commit_head.instead(accepted);
    commit(&mut scene.vault);
    scene.front().behave();
    let error = scene.refused();
    assert_matches!(error, VaultError::HosterWentBack { got: 1, .. });
}

/// Packs that it says are missing, whatever is sent: the backup ends, and tells.
#[test]
fn packs_that_are_missing_for_ever_end_a_backup() {
    let mut scene = Scene::small();
    let missing = |asked: &mut vault_rpc::hoster::CommitHeadRequest| {
        let packs = asked.adds.clone();
        let outcome = Outcome::Missing(vault_rpc::hoster::MissingPacks { packs });
        Some(Ok(CommitHeadResponse {
            outcome: Some(outcome),
        }))
    };
    scene.hostile.orders().commit_head.instead(missing);
    let (head, believed) = (scene.vault.head(), scene.person.believed());
    scene.files.write("more", b"and more");
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::PacksLost { .. });
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(scene.vault.head(), head);
    assert_eq!(scene.person.believed(), believed);
    scene.front().behave();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    scene.snapshot = newest(&scene.vault).unwrap();
    scene.assert_honest_again();
}
