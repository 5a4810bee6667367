//! What a hoster can lie about, each with its own error, and nothing changed.

macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {
        let value = $value;
        assert!(matches!(value, $pattern $(if $guard)?), "{value:?}");
    };
}

mod forged;
mod logs;

use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::remote::SyncAnswer;
use vault_client::vault::{Vault, VaultError};
use vault_proto::head::HeadError;

use crate::support::{Member, Other, commit};

/// A refresh against a hoster that changes its answers: the error, which must
/// be the hoster's fault, after which neither the device's state nor the handle
/// has moved, and after which an honest answer is taken.
pub(super) fn refused(
    member: &Member,
    vault: &mut Vault,
    tamper: impl FnMut(&mut SyncAnswer) + Send + 'static,
) -> VaultError {
    member.hoster.tamper_with_syncs(tamper);
    let error = unchanged(member, vault);
    member.hoster.behave();
    vault.refresh().unwrap();
    error
}

/// Likewise, for a hoster that lies without being told to here.
pub(super) fn unchanged(member: &Member, vault: &mut Vault) -> VaultError {
    let (stored, head, root) = (member.stored(), vault.head(), vault.root().unwrap().clone());
    let error = vault.refresh().expect_err("a lie was believed");
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(!error.is_transient());
    assert_eq!(member.stored(), stored, "{error}");
    assert_eq!((vault.head(), vault.root().unwrap()), (head, &root));
    error
}

/// A device that knows head 1, and a hoster that has two more by the paper.
pub(super) fn behind() -> (Member, Vault) {
    let (member, vault) = Member::with_vault();
    member.paper().commit(vault.id());
    member.paper().commit(vault.id());
    (member, vault)
}

/// A change of an answer, and what its error must be.
pub(super) type Lie<E> = (fn(&mut SyncAnswer), fn(&E) -> bool);

#[test]
fn an_honest_answer_is_believed() {
    let (member, mut vault) = behind();
    vault.refresh().unwrap();
    assert_eq!(vault.head().unwrap().seq, 3);
    assert_eq!(
        vault.head(),
        member.paper().look(vault.id()).seen.position()
    );
    let stored = member.stored();
    vault.refresh().unwrap();
    assert_eq!(member.stored(), stored);
}

#[test]
fn an_older_head_is_told_with_its_date() {
    let (member, mut vault) = Member::with_vault();
    let first = vault.root().unwrap().committed;
    commit(&mut vault);
    let committed = vault.root().unwrap().committed;
    let known = vault.head().unwrap();
    for (seq, expected) in [(1, 1), (0, 0)] {
        member.hoster.roll_back(&vault.id(), seq);
        match unchanged(&member, &mut vault) {
            VaultError::HosterWentBack {
                known: named,
                committed: date,
                got,
                shown,
            } => {
                assert_eq!((named, got), (known, expected));
                assert_eq!(date.map(|date| date.to_wire()), committed);
                let dates = (got > 0).then_some(first).flatten();
                assert_eq!(shown.map(|date| date.to_wire()), dates);
            }
            error => panic!("{error}"),
        }
    }
}

#[test]
fn an_older_head_shown_as_the_newest_is_a_step_back() {
    let (member, mut vault) = behind();
    vault.refresh().unwrap();
    let sight = member.paper().remote;
    let all = |head_seq| vault_client::remote::SyncRequest {
        vault: vault.id(),
        vault_log_seq: 1,
        head_seq,
        accounts: vec![(member.account.id(), 1)],
        without_root: false,
        until_head_seq: 0,
    };
    let heads = sight.sync_vault(&all(0)).unwrap().heads;
    let older = heads[1].clone();
    let error = refused(&member, &mut vault, move |answer| {
        answer.heads = vec![older.clone()];
    });
    assert_matches!(error, VaultError::HosterWentBack { got: 2, .. });
}

#[test]
fn a_fork_is_told_from_a_step_back() {
    let (member, mut vault) = Member::with_vault();
    let fork = member.hoster.fork();
    commit(&mut vault);
    // At the other hoster another head stands in the same place, then a longer
    // chain.
    let paper = Other::new(&fork, member.account.id(), member.phrase.device_keys());
    for length in 2..5 {
        paper.commit(vault.id());
        assert_eq!(paper.look(vault.id()).seen.position().unwrap().seq, length);
        let account = member.reopened_at(&fork);
        let mut elsewhere = account.open_vault(&VaultSelector::Only).unwrap();
        assert_eq!(elsewhere.head(), vault.head());
        let error = unchanged(&member, &mut elsewhere);
        assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
    }
}

#[test]
fn links_that_are_missing_are_missed() {
    let (member, mut vault) = behind();
    let error = refused(&member, &mut vault, |answer| {
        answer.heads.remove(1);
    });
    assert_matches!(
        error,
        VaultError::Head(HeadError::MissingLink { newer: 3, older: 1 })
    );

    let (member, mut vault) = behind();
    let error = refused(&member, &mut vault, |answer| answer.heads.clear());
    assert_matches!(
        error,
        VaultError::Head(HeadError::MissingLink { newer: 3, older: 1 })
    );

    let (member, mut vault) = behind();
    let error = refused(&member, &mut vault, |answer| answer.heads.reverse());
    assert_matches!(error, VaultError::Head(_));

    let (member, mut vault) = behind();
    let error = refused(&member, &mut vault, |answer| answer.newest_head_seq = 4);
    assert_matches!(error, VaultError::Answer(_));
}

#[test]
fn every_flipped_byte_of_a_head_is_noticed() {
    for byte in 0..456 {
        // A vault each would take long; the refused answers change nothing.
        thread_local! {
            static DEVICE: std::cell::RefCell<(Member, Vault)> = std::cell::RefCell::new(behind());
        }
        DEVICE.with_borrow_mut(|(member, vault)| {
            member
                .hoster
                .tamper_with_syncs(move |answer| answer.heads[0][byte] ^= 1);
            let error = unchanged(member, vault);
            if byte >= 392 {
                assert_matches!(error, VaultError::Head(HeadError::BadSignature));
            }
            member.hoster.tamper_with_syncs(move |answer| {
                // What is asked for one head by its number has no other.
                if let Some(head) = answer.heads.get_mut(1) {
                    head[byte] ^= 1;
                }
            });
            // The hash is over all but the signature, which only whoever shows
            // attribution looks at.
            if byte < 392 {
                unchanged(member, vault);
            }
        });
    }
    let (member, mut vault) = behind();
    for length in [0, 455, 457, 100_000] {
        let error = refused_once(&member, &mut vault, move |answer| {
            answer.heads[0].resize(length, 0);
        });
        assert_matches!(error, VaultError::Head(HeadError::Length(got)) if got == length);
    }
}

/// As [`refused`], but the vault stays behind.
pub(super) fn refused_once(
    member: &Member,
    vault: &mut Vault,
    tamper: impl FnMut(&mut SyncAnswer) + Send + 'static,
) -> VaultError {
    member.hoster.tamper_with_syncs(tamper);
    let error = unchanged(member, vault);
    member.hoster.behave();
    error
}

#[test]
fn another_root_is_not_the_heads() {
    let (member, mut vault) = behind();
    for byte in [0, 30, 4_000, 4_095] {
        let error = refused_once(&member, &mut vault, move |answer| answer.root[byte] ^= 1);
        assert_matches!(error, VaultError::Head(HeadError::OtherRoot));
    }
    for length in [0, 4_095, 4_097, 16_384] {
        let error = refused_once(&member, &mut vault, move |answer| {
            answer.root.resize(length, 0);
        });
        assert_matches!(error, VaultError::Head(HeadError::OtherRoot));
    }
    // Of a head that is known already, too.
    vault.refresh().unwrap();
    let error = refused(&member, &mut vault, |answer| {
        // Asked again for heads alone, to tell a fork, it brings no root.
        answer.root.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    });
    assert_matches!(error, VaultError::Head(HeadError::OtherRoot));
}
