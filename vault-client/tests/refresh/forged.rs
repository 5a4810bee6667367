//! Heads that were forged.

use vault_client::remote::SyncAnswer;
use vault_client::vault::{Vault, VaultError};
use vault_core::keys::DeviceKeys;
use vault_proto::head::{Head, HeadError};
use vault_proto::ids::HeadHash;
use vault_proto::vault_log::Role;

use super::refused;
use crate::support::{Member, Other, commit, forge, rng};

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

#[test]
fn a_removed_devices_head_is_refused() {
    let (member, mut vault) = Member::with_vault();
    let (lost, _) = member.paper().lose_device();
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
