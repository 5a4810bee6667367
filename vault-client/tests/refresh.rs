//! What a hoster can lie about, each with its own error, and nothing changed.

use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::remote::SyncAnswer;
use vault_client::vault::{Vault, VaultError};
use vault_core::author::{AccountAuthor, HeadAuthor, HeadChange, VaultAuthor};
use vault_core::keys::{AccountSecrets, DeviceKeys};
use vault_proto::account_log::AccountLogError;
use vault_proto::head::{Head, HeadError};
use vault_proto::ids::{AccountId, HeadHash};
use vault_proto::pack_list::PackList;
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::{Role, VaultLogError};
use vault_proto::wire::SignedEntry;

use crate::support::{Member, Other, commit, forge, rng};

/// A refresh against a hoster that changes its answers: the error, which must
/// be the hoster's fault, after which neither the device's state nor the handle
/// has moved, and after which an honest answer is taken.
fn refused(
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
fn unchanged(member: &Member, vault: &mut Vault) -> VaultError {
    let (stored, head, root) = (member.stored(), vault.head(), vault.root().unwrap().clone());
    let error = vault.refresh().expect_err("a lie was believed");
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(!error.is_transient());
    assert_eq!(member.stored(), stored, "{error}");
    assert_eq!((vault.head(), vault.root().unwrap()), (head, &root));
    error
}

/// A device that knows head 1, and a hoster that has two more by the paper.
fn behind() -> (Member, Vault) {
    let (member, vault) = Member::with_vault();
    member.paper().commit(vault.id());
    member.paper().commit(vault.id());
    (member, vault)
}

/// A change of an answer, and what its error must be.
type Lie<E> = (fn(&mut SyncAnswer), fn(&E) -> bool);

macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {
        let value = $value;
        assert!(matches!(value, $pattern $(if $guard)?), "{value:?}");
    };
}

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
            } => {
                assert_eq!((named, got), (known, expected));
                assert_eq!(date.map(|date| date.to_wire()), committed);
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
fn refused_once(
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

/// The answer with a forged head on top of what stands.
fn forged(
    other: &Other,
    vault: &Vault,
    change: impl FnOnce(&mut Head),
) -> impl FnMut(&mut SyncAnswer) + Send + 'static {
    let sight = other.look(vault.id());
    let (head, root) = forge(&sight, &other.keys, other.account, change);
    let seq = sight.seen.next_links().seq;
    move |answer| {
        answer.heads.insert(0, head.clone());
        answer.root.clone_from(&root);
        answer.newest_head_seq = seq;
    }
}

#[test]
fn a_forgery_that_changes_nothing_passes() {
    // So that the tests below fail for the reason they name.
    let (member, mut vault) = Member::with_vault();
    let genuine = forged(&member.paper(), &vault, |_| {});
    member.hoster.tamper_with_syncs(genuine);
    vault.refresh().unwrap();
    assert_eq!(vault.head().unwrap().seq, 2);
}

#[test]
fn a_strangers_head_is_refused() {
    let (member, mut vault) = Member::with_vault();
    let stranger = Member::at(&member.hoster);
    let log = stranger.paper().own_log();
    let sight = member.paper().look(vault.id());
    let (head, root) = forge(
        &sight,
        &stranger.phrase.device_keys(),
        stranger.account.id(),
        |head| head.account_position = log.position(),
    );
    let error = refused(&member, &mut vault, move |answer| {
        // His own log comes along, as if that made him a member.
        let log = (log.id(), log.entries().to_vec());
        answer.accounts.push(log);
        answer.heads.insert(0, head.clone());
        answer.root.clone_from(&root);
        answer.newest_head_seq = 2;
    });
    assert_matches!(error, VaultError::Head(HeadError::Stranger));
}

#[test]
fn a_device_that_is_none_of_the_accounts_is_refused() {
    let (member, mut vault) = Member::with_vault();
    let unknown = Other {
        keys: DeviceKeys::generate(&mut rng()),
        ..member.paper()
    };
    let sight = member.paper().look(vault.id());
    let (head, root) = forge(&sight, &unknown.keys, unknown.account, |_| {});
    let error = refused(&member, &mut vault, move |answer| {
        answer.heads.insert(0, head.clone());
        answer.root.clone_from(&root);
        answer.newest_head_seq = 2;
    });
    assert_matches!(error, VaultError::Head(HeadError::UnknownDevice(_)));

    // And one that signs in the name of another.
    let (head, root) = forge(&sight, &unknown.keys, unknown.account, |head| {
        head.device = member.paper().keys.id();
    });
    let error = refused(&member, &mut vault, move |answer| {
        answer.heads.insert(0, head.clone());
        answer.root.clone_from(&root);
        answer.newest_head_seq = 2;
    });
    assert_matches!(error, VaultError::Head(HeadError::BadSignature));
}

#[test]
fn a_readers_head_is_refused() {
    let (member, mut vault) = Member::with_vault();
    let guest = Member::at(&member.hoster);
    let guest_log = guest.paper().own_log();
    member
        .paper()
        .append_knowing(vault.id(), &[guest_log], |author, keys| {
            let guest = guest.account.id();
            author
                .add_member(keys, &guest, Role::Reader, &mut rng())
                .unwrap()
        });
    // Invited first, then a member.
    let by_guest = forged(&guest.paper(), &vault, |_| {});
    let error = refused(&member, &mut vault, by_guest);
    assert_matches!(error, VaultError::Head(HeadError::MayNotWrite));
    guest
        .paper()
        .append(vault.id(), |author, _| author.accept().unwrap());
    commit(refreshed(&mut vault));
    let by_guest = forged(&guest.paper(), &vault, |_| {});
    let error = refused(&member, &mut vault, by_guest);
    assert_matches!(error, VaultError::Head(HeadError::MayNotWrite));
}

fn refreshed(vault: &mut Vault) -> &mut Vault {
    vault.refresh().unwrap();
    vault
}

/// Adds a device to the account and removes it again, as the paper; gives its
/// keys. The hoster and everybody who asks it know.
fn removed_device(member: &Member) -> DeviceKeys {
    let paper = member.paper();
    let lost = DeviceKeys::generate(&mut rng());
    let mut log = paper.own_log();
    let secrets = AccountSecrets::open(&log, &paper.keys).unwrap();
    let author = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &paper.keys,
    };
    let addition = author
        .draft_addition(lost.public(), "a phone", &mut rng())
        .unwrap();
    let signature = addition.sign(&lost).unwrap();
    let entry = author.complete_addition(&addition, &signature).unwrap();
    paper.remote.append_account_entry(&entry).unwrap();
    log.append(&entry).unwrap();
    let author = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &paper.keys,
    };
    let entry = author.remove_device(&lost.id(), &mut rng()).unwrap();
    paper.remote.append_account_entry(&entry).unwrap();
    lost
}

#[test]
fn a_removed_devices_head_is_refused() {
    let (member, mut vault) = Member::with_vault();
    let lost = removed_device(&member);
    // The vault knows of the removal, and has new keys.
    let paper = member.paper();
    paper.append(vault.id(), |author, _| {
        author.refresh(&paper.account).unwrap()
    });
    paper.append(vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    vault.refresh().unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);

    // At the place where it was removed, and at the one where it still was
    // active: the vault's log has recorded a newer one.
    let log = paper.own_log();
    let thief = Other {
        keys: lost,
        ..member.paper()
    };
    let sight = paper.look(vault.id());
    for (seq, expected) in [
        (3, HeadError::DeviceNotActive(thief.keys.id())),
        (2, HeadError::StalePosition),
    ] {
        let position = vault_proto::position::LogPosition {
            seq,
            hash: log.hash_at(seq).unwrap(),
        };
        let (head, root) = forge(&sight, &thief.keys, thief.account, |head| {
            head.account_position = position;
        });
        let error = refused(&member, &mut vault, move |answer| {
            answer.heads.insert(0, head.clone());
            answer.root.clone_from(&root);
            answer.newest_head_seq = 2;
        });
        match error {
            VaultError::Head(error) => assert_eq!(error, expected),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn a_head_against_an_older_log_is_stale() {
    let (member, mut vault) = Member::with_vault();
    let paper = member.paper();
    let before = paper.look(vault.id()).log.position();
    paper.append(vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    let stale = forged(&paper, &vault, |head| {
        head.vault_position = before;
        head.epoch = 1;
    });
    let error = refused(&member, &mut vault, stale);
    assert_matches!(error, VaultError::Head(HeadError::StalePosition));
    let wrong_epoch = forged(&paper, &vault, |head| head.epoch = 1);
    let error = refused(&member, &mut vault, wrong_epoch);
    assert_matches!(
        error,
        VaultError::Head(HeadError::WrongEpoch {
            expected: 2,
            got: 1
        })
    );
    let other_log = forged(&paper, &vault, |head| {
        head.vault_position.hash = before.hash
    });
    let error = refused(&member, &mut vault, other_log);
    assert_matches!(error, VaultError::Head(HeadError::PositionMismatch));
    let unlinked = forged(&paper, &vault, |head| {
        head.previous = Some(HeadHash::from_array([9; 32]));
    });
    let error = refused(&member, &mut vault, unlinked);
    assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 1 }));
    let elsewhere = forged(&paper, &vault, |head| {
        head.account_position.hash = before.hash
    });
    let error = refused(&member, &mut vault, elsewhere);
    assert_matches!(error, VaultError::Head(HeadError::PositionMismatch));
}

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
    removed_device(&member);
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
            got: 1
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
