//! Copies of logs whose home is another hoster, and where devices are found.

use std::thread;

use super::fixture::*;
use crate::store::{
    ledger::{Appended, Copied, Ledger, LogCopy, NewAccountEntry, Terms, Urgency},
    records::{LedgerStats, Standing, Usage},
};

/// Entries after `after`, of the log of account `number`.
fn bring(ledger: &dyn Ledger, by: u8, number: u8, after: u64, lengths: &[usize]) -> Copied {
    bring_as(ledger, by, number, after, lengths, Urgency::Ordinary)
}

fn bring_as(
    ledger: &dyn Ledger,
    by: u8,
    number: u8,
    after: u64,
    lengths: &[usize],
    urgency: Urgency,
) -> Copied {
    let entries: Vec<_> = lengths.iter().map(|length| vec![number; *length]).collect();
    ledger
        .put_account_log(&LogCopy {
            account: account(number),
            after,
            entries: &entries,
            removed: &[],
            brought_by: account(by),
            urgency,
            now: NOW,
        })
        .unwrap()
}

pub(crate) fn a_log_from_elsewhere_makes_a_guest(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    let copied = bring(ledger, 1, 5, 0, &[100, 200]);
    assert_eq!(copied, Copied::Copied { log_seq: 2 });
    let guest = ledger.account(&account(5)).unwrap().unwrap();
    let brought_by = account(1);
    assert_eq!(guest.standing, Standing::Guest { brought_by });
    assert_eq!((guest.quota_bytes, guest.usage), (0, Usage::default()));
    assert_eq!((guest.label.as_str(), guest.joined), ("", NOW));
    assert_eq!(guest.record_bytes, 300 + 2 * 128);
    let host = ledger.account(&account(1)).unwrap().unwrap();
    assert_eq!((host.standing, host.guests), (Standing::Member, 1));
    assert_eq!(host.guest_bytes, guest.record_bytes);
    let log = ledger.account_entries(&account(5), 0, 1000).unwrap();
    assert_eq!(log, [vec![5; 100], vec![5; 200]]);
    let expected = LedgerStats {
        accounts: 1,
        guests: 1,
        ..LedgerStats::default()
    };
    assert_eq!(ledger.stats(NOW).unwrap(), expected);
}

pub(crate) fn a_copy_continues_what_is_here(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    assert_eq!(
        bring(ledger, 1, 5, 1, &[100]),
        Copied::LostRace,
        "it begins in the middle"
    );
    assert_eq!(ledger.account(&account(5)).unwrap(), None);
    let copied = bring(ledger, 1, 5, 0, &[100]);
    assert_eq!(copied, Copied::Copied { log_seq: 1 });
    assert_eq!(bring(ledger, 1, 5, 0, &[100]), Copied::LostRace);
    assert_eq!(bring(ledger, 1, 5, 2, &[100]), Copied::LostRace);
    // The guest itself, and a member's log that moved.
    let copied = bring(ledger, 5, 5, 1, &[10, 10]);
    assert_eq!(copied, Copied::Copied { log_seq: 3 });
    let copied = bring(ledger, 5, 1, 1, &[10]);
    assert_eq!(copied, Copied::Copied { log_seq: 2 });
    let host = ledger.account(&account(1)).unwrap().unwrap();
    assert_eq!((host.standing, host.guests), (Standing::Member, 1));
    assert_eq!((host.log_seq, host.quota_bytes), (2, QUOTA));
}

pub(crate) fn members_alone_bring_guests(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    assert_eq!(bring(ledger, 9, 5, 0, &[100]), Copied::NotAMember);
    let copied = bring(ledger, 1, 10, 0, &[10]);
    assert_eq!(copied, Copied::Copied { log_seq: 1 });
    assert_eq!(bring(ledger, 10, 5, 0, &[100]), Copied::NotAMember);
    assert_eq!(ledger.account(&account(5)).unwrap(), None);
}

pub(crate) fn there_are_so_many_guests_of_one_member(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    let most = Terms::default().guests;
    let bring = |number: u32| {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let copy = LogCopy {
            account: vault_proto::ids::AccountId::from_array(id),
            after: 0,
            entries: &[vec![1; 10]],
            removed: &[],
            brought_by: account(1),
            urgency: Urgency::CannotWait,
            now: NOW,
        };
        ledger.put_account_log(&copy).unwrap()
    };
    // From several threads, so that none is counted twice or not at all.
    let made: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|part| {
                scope.spawn(move || {
                    let numbers = (0..most).map(|number| number * 4 + part);
                    let brought = numbers.map(bring);
                    brought
                        .filter(|copied| *copied == Copied::Copied { log_seq: 1 })
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(made, most as usize);
    assert_eq!(bring(u32::MAX), Copied::TooManyGuests);
    assert_eq!(ledger.stats(NOW).unwrap().guests, u64::from(most));
}

pub(crate) fn a_guest_cannot_fill_the_ledger(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    open_account(ledger, 2);
    let limit = Terms::default().guest_bytes as usize;
    let refused = bring(ledger, 1, 5, 0, &[limit]);
    let Copied::GuestsFull(fullness) = refused else {
        panic!("{refused:?}");
    };
    let (quota_bytes, used_bytes) = (limit as u64, limit as u64 + 128);
    assert_eq!(
        (fullness.quota_bytes, fullness.used_bytes),
        (quota_bytes, used_bytes)
    );
    assert_eq!(ledger.account(&account(5)).unwrap(), None);
    let host = |number| ledger.account(&account(number)).unwrap().unwrap();
    assert_eq!((host(1).guests, host(1).guest_bytes), (0, 0));
    let records = host(1).record_bytes;
    // Two guests of one member share what there is.
    let half = limit / 2 - 128;
    for guest in [5, 6] {
        let copied = bring(ledger, 1, guest, 0, &[half]);
        assert_eq!(copied, Copied::Copied { log_seq: 1 });
    }
    assert_eq!(host(1).guest_bytes, limit as u64);
    // He is charged, whoever brings more; and none of what is his own.
    for by in [1, 2, 5] {
        let refused = bring(ledger, by, 5, 1, &[1]);
        assert!(matches!(refused, Copied::GuestsFull(_)), "{refused:?}");
    }
    assert_eq!(host(1).record_bytes, records);
    assert_eq!(host(2).guest_bytes, 0);
    let copied = bring(ledger, 2, 7, 0, &[half]);
    assert_eq!(copied, Copied::Copied { log_seq: 1 });
    // Somebody can be shut out still, and that too has an end.
    let taken = bring_as(ledger, 2, 5, 1, &[1], Urgency::CannotWait);
    assert_eq!(taken, Copied::Copied { log_seq: 2 });
    assert_eq!(host(1).guest_bytes, limit as u64 + 129);
    let taken = bring_as(ledger, 2, 6, 1, &[limit - 129 - 128], Urgency::CannotWait);
    assert_eq!(taken, Copied::Copied { log_seq: 2 });
    let refused = bring_as(ledger, 2, 5, 2, &[1], Urgency::CannotWait);
    assert!(matches!(refused, Copied::GuestsFull(_)), "{refused:?}");
}

pub(crate) fn a_device_is_found_where_it_was_named_last(ledger: &dyn Ledger) {
    let found = |number| ledger.account_of(&device(number)).unwrap();
    assert_eq!(found(1), None);
    open_account(ledger, 1);
    open_account(ledger, 2);
    assert_eq!((found(1), found(2)), (Some(account(1)), Some(account(2))));
    let append = |seq, added| {
        let entry = NewAccountEntry {
            account: account(1),
            seq,
            entry: &[7; 10],
            added: Some(device(added)),
            removed: None,
            urgency: Urgency::Ordinary,
        };
        ledger.append_account_entry(&entry).unwrap()
    };
    assert_eq!(append(2, 7), Appended::Appended);
    assert_eq!(found(7), Some(account(1)));
    // What was refused names nobody.
    assert!(matches!(append(2, 8), Appended::LostRace { .. }));
    assert_eq!(found(8), None);
}
