//! Invitations, accounts, tokens, and the logs of both kinds.

use std::thread;

use vault_proto::{
    ids::{DeviceId, VaultId},
    wire::VaultKind,
};

use super::fixture::*;
use crate::store::{
    ledger::{
        AccountCreation, Appended, Commit, HeadCommit, Ledger, LinksEnd, NewAccount, NewVault,
        NewVaultEntry, Terms, Urgency, VaultCreation,
    },
    records::{Invitation, InvitationHash, LedgerStats, Token, TokenHash},
};

fn create(ledger: &dyn Ledger, invitation: u8, number: u8, after_days: u32) -> AccountCreation {
    ledger
        .create_account(&NewAccount {
            invitation: InvitationHash([invitation; 32]),
            id: account(number),
            genesis: &[number; 100],
            devices: &[device(number)],
            now: NOW.plus(DAY * after_days),
        })
        .unwrap()
}

pub(crate) fn an_invitation_becomes_one_account(ledger: &dyn Ledger) {
    assert_eq!(create(ledger, 1, 1, 0), AccountCreation::Unknown);
    let hash = InvitationHash([1; 32]);
    ledger.add_invitation(&hash, &invitation(QUOTA)).unwrap();
    let created = AccountCreation::Created { quota_bytes: QUOTA };
    assert_eq!(create(ledger, 1, 1, 0), created);
    assert_eq!(create(ledger, 1, 2, 0), AccountCreation::Used);
    // The answer was lost, and much later the device asks again.
    assert_eq!(create(ledger, 1, 1, 9), created);

    let made = ledger.account(&account(1)).unwrap().unwrap();
    assert_eq!((made.label.as_str(), made.joined), ("somebody", NOW));
    assert_eq!((made.quota_bytes, made.log_seq), (QUOTA, 1));
    assert_eq!(ledger.account(&account(2)).unwrap(), None);
    let log = ledger.account_entries(&account(1), 0, 1000).unwrap();
    assert_eq!(log, [vec![1; 100]]);
}

pub(crate) fn an_invitation_expires(ledger: &dyn Ledger) {
    let hash = InvitationHash([1; 32]);
    ledger.add_invitation(&hash, &invitation(QUOTA)).unwrap();
    assert_eq!(create(ledger, 1, 1, 1), AccountCreation::Expired);
    assert_eq!(ledger.account(&account(1)).unwrap(), None);
}

pub(crate) fn open_invitations_are_listed_and_dropped(ledger: &dyn Ledger) {
    let hash = |number| InvitationHash([number; 32]);
    let open = |now| {
        let open = ledger.open_invitations(now).unwrap();
        open.into_iter().map(|(hash, _)| hash).collect::<Vec<_>>()
    };
    assert_eq!(open(NOW), []);
    for number in [3, 1, 2] {
        let invitation = Invitation {
            expires: NOW.plus(DAY * number.into()),
            ..invitation(number.into())
        };
        ledger.add_invitation(&hash(number), &invitation).unwrap();
    }
    let listed = ledger.open_invitations(NOW).unwrap();
    assert_eq!(open(NOW), [1, 2, 3].map(hash));
    assert_eq!(
        (listed[1].1.quota_bytes, &listed[1].1.label[..]),
        (2, "somebody")
    );
    assert_eq!(open(NOW.plus(DAY)), [2, 3].map(hash));
    let created = AccountCreation::Created { quota_bytes: 3 };
    assert_eq!(create(ledger, 3, 3, 0), created);
    assert_eq!(open(NOW), [1, 2].map(hash));

    // One that was used says whose account it is.
    assert_eq!(ledger.drop_invitation(&hash(3)).unwrap(), None);
    let used = ledger.invitation_of(&account(3)).unwrap();
    assert_eq!(used.map(|used| used.used_by), Some(Some(account(3))));
    let dropped = ledger.drop_invitation(&hash(2)).unwrap();
    assert_eq!(dropped, Some(listed[1].1.clone()));
    assert_eq!(ledger.drop_invitation(&hash(2)).unwrap(), None);
    assert_eq!(open(NOW), [1].map(hash));
    assert_eq!(create(ledger, 2, 2, 0), AccountCreation::Unknown);
    assert_eq!(ledger.account(&account(2)).unwrap(), None);
}

pub(crate) fn an_invitation_is_used_or_dropped(ledger: &dyn Ledger) {
    for number in 1..=100 {
        let hash = InvitationHash([number; 32]);
        ledger.add_invitation(&hash, &invitation(QUOTA)).unwrap();
        let (created, dropped) = thread::scope(|scope| {
            let creating = scope.spawn(|| create(ledger, number, number, 0));
            let dropping = scope.spawn(|| ledger.drop_invitation(&hash).unwrap());
            (creating.join().unwrap(), dropping.join().unwrap())
        });
        let expected = match dropped {
            Some(_) => AccountCreation::Unknown,
            None => AccountCreation::Created { quota_bytes: QUOTA },
        };
        assert_eq!(created, expected);
        let used = ledger.invitation_of(&account(number)).unwrap();
        assert_eq!(used.is_some(), dropped.is_none());
    }
}

pub(crate) fn an_account_is_made_from_one_invitation(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    let hash = InvitationHash([2; 32]);
    ledger.add_invitation(&hash, &invitation(7)).unwrap();
    assert_eq!(create(ledger, 2, 1, 0), AccountCreation::Exists);
    let made = ledger.account(&account(1)).unwrap().unwrap();
    assert_eq!(made.quota_bytes, QUOTA);
    // The second invitation is still good for somebody else.
    let created = AccountCreation::Created { quota_bytes: 7 };
    assert_eq!(create(ledger, 2, 2, 0), created);
}

pub(crate) fn accounts_are_listed_in_pages(ledger: &dyn Ledger) {
    for number in [3, 1, 2, 5, 4] {
        open_account(ledger, number);
    }
    let mut listed = Vec::new();
    loop {
        let page = ledger.accounts(listed.last(), 2).unwrap();
        listed.extend(page.iter().map(|account| account.id));
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(listed, [1, 2, 3, 4, 5].map(account));
    assert_eq!(ledger.accounts(Some(&account(5)), 2).unwrap(), []);
}

pub(crate) fn a_log_grows_by_its_next_entry_only(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    let append = |seq| append_own(ledger, seq, &[seq as u8; 10], Urgency::Ordinary);
    let lost = |log_seq| Appended::LostRace {
        head_seq: 0,
        log_seq,
    };
    assert_eq!(append(3), lost(1));
    assert_eq!(append(1), lost(1));
    assert_eq!(append(2), Appended::Appended);
    assert_eq!(append(2), lost(2));
    assert_eq!(append(3), Appended::Appended);
    assert_eq!(ledger.account(&account(1)).unwrap().unwrap().log_seq, 3);
    let entries = ledger.account_entries(&account(1), 1, 1000).unwrap();
    assert_eq!(entries, [vec![2; 10], vec![3; 10]]);
}

pub(crate) fn entries_come_in_bounded_answers(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    // Its neighbour's log is not its own.
    open_account(ledger, 2);
    for seq in 2..300 {
        let appended = append_own(ledger, seq, &[0; 100], Urgency::Ordinary);
        assert_eq!(appended, Appended::Appended);
    }
    let read = |after, limit| {
        let entries = ledger.account_entries(&account(1), after, limit);
        entries.unwrap().len()
    };
    assert_eq!(read(0, 1_000_000), 299);
    assert_eq!(read(290, 1_000_000), 9);
    assert_eq!(read(299, 1_000_000), 0);
    assert_eq!(read(u64::MAX, 1_000_000), 0);
    assert_eq!(read(0, 250), 2);
    // One that is longer than the limit still comes.
    assert_eq!(read(0, 1), 1);
}

pub(crate) fn tokens_are_read_until_they_are_dropped(ledger: &dyn Ledger) {
    let token = |hours| Token {
        account: account(1),
        device: DeviceId::from_array([2; 32]),
        expires: NOW.plus(DAY / 24 * hours),
    };
    for hours in 1..=4 {
        let hash = TokenHash([hours as u8; 32]);
        ledger.add_token(&hash, &token(hours)).unwrap();
    }
    assert_eq!(ledger.token(&TokenHash([9; 32])).unwrap(), None);
    assert_eq!(ledger.token(&TokenHash([1; 32])).unwrap(), Some(token(1)));
    let dropped = ledger.drop_expired_tokens(NOW.plus(DAY / 24 * 2)).unwrap();
    assert_eq!(dropped, 2);
    assert_eq!(ledger.token(&TokenHash([2; 32])).unwrap(), None);
    assert_eq!(ledger.token(&TokenHash([3; 32])).unwrap(), Some(token(3)));
}

pub(crate) fn a_vault_is_made_once_and_by_an_account(ledger: &dyn Ledger) {
    let new = |kind| NewVault {
        id: vault(11),
        kind,
        creator: account(1),
        genesis: &[11; 100],
    };
    let create = |kind| ledger.create_vault(&new(kind)).unwrap();
    assert_eq!(create(VaultKind::Account), VaultCreation::NoSuchAccount);
    open_account(ledger, 1);
    assert_eq!(create(VaultKind::Account), VaultCreation::Created);
    assert_eq!(create(VaultKind::Account), VaultCreation::Exists);
    let made = ledger.vault(&vault(11)).unwrap().unwrap();
    assert_eq!((made.kind, made.creator), (VaultKind::Account, account(1)));
    assert_eq!((made.log_seq, made.head), (1, None));
    assert_eq!(ledger.vault(&vault(12)).unwrap(), None);
    let log = ledger.vault_entries(&vault(11), 0, 1000).unwrap();
    assert_eq!(log, [vec![11; 100]]);
}

pub(crate) fn a_vault_log_grows_by_its_next_entry_at_the_newest_head(ledger: &dyn Ledger) {
    one_vault(ledger);
    let lost = |head_seq, log_seq| Appended::LostRace { head_seq, log_seq };
    assert_eq!(append(ledger, 3, None, None, None), lost(0, 1));
    let unknown = Some(position(1, 0));
    assert_eq!(append(ledger, 2, unknown, None, None), lost(0, 1));
    assert_eq!(append(ledger, 2, None, None, None), Appended::Appended);

    let accepted = ledger.commit_head(&crate::store::HeadCommit {
        log_seq: 2,
        ..head(11, 1, 0)
    });
    assert_eq!(accepted.unwrap(), Commit::Accepted);
    assert_eq!(append(ledger, 3, None, None, None), lost(1, 2));
    let other = Some(position(1, 5));
    assert_eq!(append(ledger, 3, other, None, None), lost(1, 2));
    let newest = Some(position(1, 0));
    assert_eq!(append(ledger, 3, newest, None, None), Appended::Appended);
    let entries = ledger.vault_entries(&vault(11), 1, 1000).unwrap();
    assert_eq!(entries, [vec![2; 100], vec![3; 100]]);
}

pub(crate) fn members_see_the_vaults_they_are_in(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    open_account(ledger, 2);
    for number in [12, 21, 11] {
        make_vault(ledger, number);
    }
    let vaults = |number| ledger.vaults_of(&account(number)).unwrap();
    assert_eq!(vaults(1), [vault(11), vault(12)]);
    assert_eq!(vaults(2), [vault(21)]);
    assert_eq!(vaults(3), []);
    let joined = append(ledger, 2, None, Some(2), None);
    assert_eq!(joined, Appended::Appended);
    assert_eq!(vaults(2), [vault(21), vault(11)], "what waits comes last");
    let accept = NewVaultEntry {
        accepted: Some(account(2)),
        ..entry(vault(11), 3)
    };
    let accepted = ledger.append_vault_entry(&accept).unwrap();
    assert_eq!(accepted, Appended::Appended);
    assert_eq!(vaults(2), [vault(11), vault(21)]);
    let left = append(ledger, 4, None, None, Some(2));
    assert_eq!(left, Appended::Appended);
    assert_eq!(vaults(2), [vault(21)]);
    assert_eq!(vaults(1), [vault(11), vault(12)]);
}

/// A vault of account `number`, and its id.
fn vault_of(ledger: &dyn Ledger, number: u8, which: u16) -> VaultId {
    let mut id = [number; 32];
    id[..2].copy_from_slice(&which.to_be_bytes());
    let id = VaultId::from_array(id);
    let new = NewVault {
        id,
        kind: VaultKind::Storage,
        creator: account(number),
        genesis: &[1; 10],
    };
    assert_eq!(ledger.create_vault(&new).unwrap(), VaultCreation::Created);
    id
}

/// Entry `seq` of a vault that has no head.
fn entry(vault: VaultId, seq: u64) -> NewVaultEntry<'static> {
    NewVaultEntry {
        vault,
        seq,
        head: None,
        entry: &[7; 10],
        joined: None,
        accepted: None,
        left: None,
        links_end: LinksEnd::None,
        urgency: Urgency::Ordinary,
    }
}

/// Account 9 is added as the second entry says.
fn add(ledger: &dyn Ledger, vault: VaultId) -> Appended {
    let add = NewVaultEntry {
        joined: Some(account(9)),
        ..entry(vault, 2)
    };
    ledger.append_vault_entry(&add).unwrap()
}

pub(crate) fn so_many_vaults_wait_to_be_accepted(ledger: &dyn Ledger) {
    let Terms {
        unaccepted,
        unaccepted_of_one,
        ..
    } = Terms::default();
    let members = (unaccepted / unaccepted_of_one) as u8;
    let mut waiting = Vec::new();
    for member in 1..=members {
        open_account(ledger, member);
        for which in 0..unaccepted_of_one as u16 {
            let vault = vault_of(ledger, member, which);
            assert_eq!(add(ledger, vault), Appended::Appended);
            waiting.push(vault);
        }
        // No more of this member's, who can add others.
        if member == 1 {
            let more = vault_of(ledger, member, 999);
            assert_eq!(add(ledger, more), Appended::BoxFull);
            let other = NewVaultEntry {
                joined: Some(account(8)),
                ..entry(more, 2)
            };
            let added = ledger.append_vault_entry(&other).unwrap();
            assert_eq!(added, Appended::Appended);
        }
    }
    open_account(ledger, 100);
    let more = vault_of(ledger, 100, 0);
    assert_eq!(add(ledger, more), Appended::BoxFull);
    assert_eq!(ledger.vault(&more).unwrap().unwrap().log_seq, 1);
    assert_eq!(ledger.vaults_of(&account(9)).unwrap().len(), unaccepted);
    // What was accepted does not wait any more, nor what was declined.
    let accept = NewVaultEntry {
        accepted: Some(account(9)),
        ..entry(waiting[0], 3)
    };
    let accepted = ledger.append_vault_entry(&accept).unwrap();
    assert_eq!(accepted, Appended::Appended);
    assert_eq!(add(ledger, more), Appended::Appended);
    assert_eq!(ledger.vaults_of(&account(9)).unwrap()[0], waiting[0]);
    let last = vault_of(ledger, 100, 1);
    assert_eq!(add(ledger, last), Appended::BoxFull);
    let decline = NewVaultEntry {
        left: Some(account(9)),
        ..entry(waiting[1], 3)
    };
    let declined = ledger.append_vault_entry(&decline).unwrap();
    assert_eq!(declined, Appended::Appended);
    assert_eq!(add(ledger, last), Appended::Appended);
}

pub(crate) fn vaults_at_once_never_exceed_those_that_may_wait(ledger: &dyn Ledger) {
    let Terms {
        unaccepted,
        unaccepted_of_one,
        ..
    } = Terms::default();
    // Of more members than have room, so that only the sum bounds them.
    let members = (unaccepted / unaccepted_of_one) as u8 + 2;
    let added: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (100..100 + members)
            .map(|member| {
                scope.spawn(move || {
                    open_account(ledger, member);
                    let vaults =
                        (0..unaccepted_of_one as u16).map(|which| vault_of(ledger, member, which));
                    let added = vaults.map(|vault| add(ledger, vault));
                    added.filter(|added| *added == Appended::Appended).count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(added, unaccepted);
    assert_eq!(ledger.vaults_of(&account(9)).unwrap().len(), unaccepted);
}

pub(crate) fn everything_is_counted(ledger: &dyn Ledger) {
    assert_eq!(ledger.stats(NOW).unwrap(), LedgerStats::default());
    open_account(ledger, 1);
    open_account(ledger, 2);
    for number in [11, 12, 21] {
        make_vault(ledger, number);
    }
    upload(ledger, &blob(11, 1, 64 * KIB));
    upload(ledger, &blob(21, 2, 16 * KIB));
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    let hash = InvitationHash([3; 32]);
    ledger.add_invitation(&hash, &invitation(QUOTA)).unwrap();
    let expected = LedgerStats {
        accounts: 2,
        guests: 0,
        vaults: 3,
        packs: 2,
        usage: usage_of(64 * KIB, 16 * KIB, 0),
        open_invitations: 1,
    };
    assert_eq!(ledger.stats(NOW).unwrap(), expected);
    let later = ledger.stats(NOW.plus(DAY)).unwrap();
    assert_eq!(later.open_invitations, 0);
}

fn record_bytes(ledger: &dyn Ledger) -> u64 {
    ledger.account(&account(1)).unwrap().unwrap().record_bytes
}

pub(crate) fn what_is_kept_of_an_account_is_counted_until_it_is_dropped(ledger: &dyn Ledger) {
    /// Of a row, beside its value.
    const ROW: u64 = 128;
    open_account(ledger, 1);
    assert_eq!(record_bytes(ledger), 100 + ROW);
    make_vault(ledger, 11);
    assert_eq!(record_bytes(ledger), 2 * (100 + ROW));
    let entry = append_own(ledger, 2, &[2; 10], Urgency::Ordinary);
    assert_eq!(entry, Appended::Appended);
    assert_eq!(append(ledger, 2, None, None, None), Appended::Appended);
    let logs = 3 * 100 + 10 + 4 * ROW;
    assert_eq!(record_bytes(ledger), logs);
    // What was refused or repeated counts nothing.
    let late = append_own(ledger, 2, &[3; 10], Urgency::Ordinary);
    assert!(matches!(late, Appended::LostRace { .. }));
    upload(ledger, &blob(11, 1, 16 * KIB));
    let adds = packs([1]);
    let one = HeadCommit {
        adds: &adds,
        log_seq: 2,
        ..head(11, 1, 0)
    };
    for _ in 0..2 {
        assert_eq!(ledger.commit_head(&one).unwrap(), Commit::Accepted);
        assert_eq!(record_bytes(ledger), logs + 456 + 4096 + 32 + ROW);
    }
    let two = HeadCommit {
        log_seq: 2,
        ..head(11, 2, 0)
    };
    assert_eq!(ledger.commit_head(&two).unwrap(), Commit::Accepted);
    let heads = 2 * (456 + ROW) + 32;
    assert_eq!(record_bytes(ledger), logs + heads + 2 * 4096);
    // The first root is dropped in its time, and the heads are kept for ever.
    let later = NOW.plus(Terms::default().grace);
    assert_eq!(ledger.drop_due_roots(later, 10).unwrap(), 1);
    assert_eq!(record_bytes(ledger), logs + heads + 4096);
}

pub(crate) fn a_member_cannot_fill_the_ledger(ledger: &dyn Ledger) {
    one_vault(ledger);
    let made = ledger.account(&account(1)).unwrap().unwrap();
    let limit = ledger.record_limit(&made);
    assert_eq!(limit, Terms::default().record_bytes + QUOTA / 16);
    // Nearly full, at one stroke; nothing checks here how long an entry may be.
    let room = limit - record_bytes(ledger) - 2 * 128 - 4000;
    let long = vec![1; room as usize];
    let append_own = |seq, entry: &[u8], urgency| append_own(ledger, seq, entry, urgency);
    assert_eq!(append_own(2, &long, Urgency::Ordinary), Appended::Appended);
    let used = record_bytes(ledger);
    assert_eq!(used, limit - 128 - 4000);

    let full = |more: u64| crate::store::Fullness {
        quota_bytes: limit,
        used_bytes: used + more,
    };
    let refused = append_own(3, &[1; 4001], Urgency::Ordinary);
    assert_eq!(refused, Appended::RecordsFull(full(4001 + 128)));
    let head = head(11, 1, 0);
    let refused = ledger.commit_head(&head).unwrap();
    assert_eq!(refused, Commit::RecordsFull(full(456 + 4096 + 128)));
    let vault_entry = |urgency| NewVaultEntry {
        vault: vault(11),
        seq: 2,
        head: None,
        entry: &[1; 4001],
        joined: None,
        accepted: None,
        left: None,
        links_end: LinksEnd::None,
        urgency,
    };
    let refused = ledger.append_vault_entry(&vault_entry(Urgency::Ordinary));
    assert_eq!(refused.unwrap(), Appended::RecordsFull(full(4001 + 128)));
    let refused = ledger.create_vault(&NewVault {
        id: vault(12),
        kind: VaultKind::Storage,
        creator: account(1),
        genesis: &[12; 4001],
    });
    let refused = refused.unwrap();
    assert_eq!(refused, VaultCreation::RecordsFull(full(4001 + 128)));
    assert_eq!(record_bytes(ledger), used);
    assert_eq!(ledger.vault(&vault(12)).unwrap(), None);

    // Somebody can always be shut out; and what fits exactly, fits.
    assert_eq!(
        append_own(3, &[1; 4000], Urgency::Ordinary),
        Appended::Appended
    );
    let taken = append_own(4, &[1; 4001], Urgency::CannotWait);
    assert_eq!(taken, Appended::Appended);
    let taken = ledger.append_vault_entry(&vault_entry(Urgency::CannotWait));
    assert_eq!(taken.unwrap(), Appended::Appended);
    // There is an end to that too; to removals there is none.
    let much = vec![1; limit as usize];
    let refused = append_own(5, &much, Urgency::CannotWait);
    assert!(matches!(refused, Appended::RecordsFull(_)), "{refused:?}");
    let much = NewVaultEntry {
        seq: 3,
        entry: &much,
        ..vault_entry(Urgency::CannotWait)
    };
    let refused = ledger.append_vault_entry(&much).unwrap();
    assert!(matches!(refused, Appended::RecordsFull(_)), "{refused:?}");
    let taken = append_own(5, much.entry, Urgency::Removal);
    assert_eq!(taken, Appended::Appended);
    let taken = ledger.append_vault_entry(&NewVaultEntry {
        urgency: Urgency::Removal,
        ..much
    });
    assert_eq!(taken.unwrap(), Appended::Appended);
}
