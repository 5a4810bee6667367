//! Logs that were forged, and answers that do not end.

use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::vault::VaultError;
use vault_core::author::{HeadAuthor, HeadChange, VaultAuthor};
use vault_proto::account_log::AccountLogError;
use vault_proto::head::HeadError;
use vault_proto::ids::{AccountId, HeadHash};
use vault_proto::pack_list::PackList;
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::VaultLogError;
use vault_proto::wire::SignedEntry;

use super::{Lie, behind, refused, refused_once, unchanged};
use crate::support::{Member, Other, rng};

#[test]
fn another_vaults_answer_is_noticed() {
    let (member, mut vault) = behind();
    let other = member.account.create_vault("photos").unwrap();
    let paper = member.paper();
    paper.commit(other.id());
    let request = vault_client::remote::SyncRequest {
        vault: other.id(),
        vault_log_seq: 1,
        head_seq: 0,
        accounts: vec![(member.account.id(), 1)],
        without_root: false,
        until_head_seq: 0,
    };
    let swapped = paper.remote.sync_vault(&request).unwrap();
    let error = refused(&member, &mut vault, move |answer| *answer = swapped.clone());
    assert_matches!(
        error,
        VaultError::Head(HeadError::Fork { .. } | HeadError::NotThisVault)
    );
}

#[test]
fn entries_of_logs_are_verified_one_by_one() {
    let (member, mut vault) = Member::with_vault();
    let paper = member.paper();
    for _ in 0..3 {
        paper.append(vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    let lies: [Lie<VaultLogError>; 7] = [
        (
            |answer| {
                answer.vault_entries.remove(0);
            },
            |error| {
                matches!(
                    error,
                    VaultLogError::Missing {
                        expected: 2,
                        got: 3
                    }
                )
            },
        ),
        (
            |answer| answer.vault_entries.swap(0, 1),
            |error| matches!(error, VaultLogError::Missing { .. }),
        ),
        (
            |answer| {
                let first = answer.vault_entries[0].clone();
                answer.vault_entries.insert(0, first);
            },
            |error| matches!(error, VaultLogError::Repeated { seq: 2 }),
        ),
        (
            |answer| answer.vault_entries[1].signatures[0].signature[5] ^= 1,
            |error| matches!(error, VaultLogError::BadSignature { .. }),
        ),
        (
            |answer| answer.vault_entries[1].signatures.clear(),
            |error| matches!(error, VaultLogError::Signers),
        ),
        (
            |answer| answer.vault_entries[1].payload.push(0),
            |error| matches!(error, VaultLogError::Decode(_)),
        ),
        (
            |answer| answer.vault_entries[1].payload = vec![0; 1 << 20],
            |error| matches!(error, VaultLogError::Decode(_)),
        ),
    ];
    for (lie, expected) in lies {
        match refused_once(&member, &mut vault, lie) {
            VaultError::VaultLog(error) => assert!(expected(&error), "{error:?}"),
            error => panic!("{error:?}"),
        }
    }
    vault.refresh().unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 4);
}

#[test]
fn entries_of_account_logs_are_verified_one_by_one() {
    let (member, mut vault) = Member::with_vault();
    member.paper().lose_device();
    let lies: [Lie<AccountLogError>; 3] = [
        (
            |answer| {
                answer.accounts[0].1.remove(0);
            },
            |error| {
                matches!(
                    error,
                    AccountLogError::Missing {
                        expected: 2,
                        got: 3
                    }
                )
            },
        ),
        (
            |answer| answer.accounts[0].1.swap(0, 1),
            |error| matches!(error, AccountLogError::Missing { .. }),
        ),
        (
            |answer| answer.accounts[0].1[1].signatures[0].signature[5] ^= 1,
            |error| matches!(error, AccountLogError::BadSignature { .. }),
        ),
    ];
    for (lie, expected) in lies {
        match refused_once(&member, &mut vault, lie) {
            VaultError::AccountLog { error, .. } => assert!(expected(&error), "{error:?}"),
            error => panic!("{error:?}"),
        }
    }
    let stranger = Member::at(&member.hoster).paper().own_log();
    let named = member.account.id();
    let error = refused_once(&member, &mut vault, move |answer| {
        let mut entries = stranger.entries().to_vec();
        entries.truncate(1);
        answer.accounts = vec![(named, entries)];
    });
    assert_matches!(error, VaultError::AccountLog { .. });
    vault.refresh().unwrap();
}

#[test]
fn a_log_that_begins_with_another_genesis_is_not_the_one_asked_for() {
    let (member, vault) = Member::with_vault();
    let other = member.account.create_vault("photos").unwrap();
    let stranger = Member::at(&member.hoster).paper().own_log();

    // A device that has seen neither: the paper's words on another machine are
    // not there yet, so the machine forgets.
    let forget = || {
        let database = rusqlite::Connection::open(member.home.path().join("state.db")).unwrap();
        let vault = vault.id();
        database
            .execute("DELETE FROM entry WHERE log = ?1", [vault.as_bytes()])
            .unwrap();
        database
            .execute("DELETE FROM head WHERE vault = ?1", [vault.as_bytes()])
            .unwrap();
    };
    forget();
    let other_genesis = other.log().entries()[0].clone();
    member.hoster.tamper_with_syncs(move |answer| {
        answer.vault_entries = vec![other_genesis.clone()];
    });
    let open = || member.reopened().open_vault(&VaultSelector::Id(vault.id()));
    let before = member.stored();
    let error = open().err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert!(error.to_string().contains("genesis") || error.to_string().contains("id stands for"));
    member.hoster.tamper_with_syncs(move |answer| {
        answer.accounts = vec![(answer.accounts[0].0, stranger.entries().to_vec())];
    });
    let error = open().err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(member.stored(), before);
    member.hoster.behave();
    let found = open().unwrap();
    assert_eq!(found.head(), vault.head());
}

#[test]
fn a_head_that_a_log_names_cannot_be_hidden() {
    let (member, mut vault) = behind();
    let paper = member.paper();
    paper.append(vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    let error = refused_once(&member, &mut vault, |answer| {
        answer.heads.clear();
        answer.newest_head_seq = 1;
    });
    assert_matches!(
        error,
        VaultError::HosterWentBack {
            known: HeadPosition { seq: 3, .. },
            committed: None,
            got: 1,
            ..
        }
    );
    vault.refresh().unwrap();
}

#[test]
fn a_log_that_forks_from_what_was_seen_is_noticed() {
    let (member, mut vault) = Member::with_vault();
    let fork = member.hoster.fork();
    let rotate = |author: &VaultAuthor<'_>, keys: &_| author.rotate(keys, &mut rng()).unwrap();
    member.paper().append(vault.id(), rotate);
    vault.refresh().unwrap();
    let elsewhere = Other::new(&fork, member.account.id(), member.phrase.device_keys());
    elsewhere.append(vault.id(), rotate);
    elsewhere.append(vault.id(), rotate);
    let account = member.reopened_at(&fork);
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    let error = unchanged(&member, &mut vault);
    assert_matches!(error, VaultError::VaultLog(VaultLogError::Fork { .. }));
}

#[test]
fn an_answer_that_never_ends_is_ended() {
    let (member, mut vault) = behind();
    let error = refused(&member, &mut vault, |answer| answer.more = true);
    assert_matches!(error, VaultError::Answer(_));
}

/// Accounts certify themselves: a hoster could make up as many as fit into the
/// device's memory.
#[test]
fn more_entries_than_any_vault_has_are_not_looked_at() {
    let (member, mut vault) = behind();
    let error = refused(&member, &mut vault, |answer| {
        let made_up = SignedEntry {
            payload: vec![0; 193 << 20],
            signatures: Vec::new(),
        };
        answer
            .accounts
            .push((AccountId::from_array([7; 32]), vec![made_up]));
        answer.more = true;
    });
    assert_matches!(error, VaultError::Answer(_));
}

#[test]
fn an_answer_in_parts_is_put_together() {
    let (member, mut vault) = behind();
    let paper = member.paper();
    for _ in 0..3 {
        paper.append(vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    member.hoster.tamper_with_syncs(|answer| {
        if answer.vault_entries.len() > 1 {
            answer.vault_entries.truncate(1);
            answer.more = true;
        }
    });
    vault.refresh().unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 4);
    assert_eq!(vault.head().unwrap().seq, 3);
}

#[test]
fn a_vault_that_nobody_else_could_take_away_is_hidden() {
    let (member, mut vault) = behind();
    member.hoster.hide_vault(&vault.id());
    let error = unchanged(&member, &mut vault);
    assert_matches!(error, VaultError::Hidden);
}

#[test]
fn what_a_member_sealed_wrong_is_not_the_hosters_fault() {
    let (member, mut vault) = Member::with_vault();
    // A root sealed for another head: its author's mistake, under his signature.
    let paper = member.paper();
    let sight = paper.look(vault.id());
    let author = HeadAuthor {
        vault_log: &sight.log,
        accounts: &sight.accounts,
        seen: &sight.seen,
        keys: &sight.keys,
        account: paper.account,
        device: &paper.keys,
    };
    let none = PackList::default();
    let change = HeadChange {
        root: &sight.root,
        adds: &none,
        removes: &none,
        reconciled: None,
    };
    let mut commit = author.commit(change, &mut rng()).unwrap();
    let root = commit.sealed_root.split_off(0);
    let (head, _) = {
        let mut head = commit.head.head().clone();
        head.reconciled = Some(HeadHash::from_array([1; 32]));
        let bytes = head.to_signed_bytes();
        let signature = paper.keys.sign(vault_proto::sign::SignLabel::Head, &bytes);
        (
            vault_proto::head::SignedHead::new(head, signature)
                .to_bytes()
                .to_vec(),
            (),
        )
    };
    member.hoster.tamper_with_syncs(move |answer| {
        answer.heads.insert(0, head.clone());
        answer.root.clone_from(&root);
        answer.newest_head_seq = 2;
    });
    vault.refresh().unwrap();
    let error = vault.root().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
    let reopened = member.reopened();
    let vault = reopened.open_vault(&VaultSelector::Only).unwrap();
    assert_eq!(vault.head().unwrap().seq, 2);
    let error = vault.root().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
}
