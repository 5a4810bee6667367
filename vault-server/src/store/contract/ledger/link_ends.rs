//! What ends links before their time: entries of a vault's log, and of their
//! maker's.

use super::{
    fixture::*,
    links::{create, link, new, open, opened, record_bytes, three_packs},
};
use crate::store::ledger::{
    Appended, Commit, Copied, Ledger, LinkCreation, LinkOpening, LinksEnd, LogCopy,
    NewAccountEntry, NewLink, NewVaultEntry, Urgency,
};

pub(crate) fn an_entry_of_the_log_ends_links(ledger: &dyn Ledger) {
    open_account(ledger, 2);
    three_packs(ledger);
    make_vault(ledger, 21);
    let before = record_bytes(ledger);
    for (number, by) in [(1, 1), (2, 2), (3, 1)] {
        let link = NewLink {
            account: account(by),
            max_downloads: 9,
            ..new(number)
        };
        assert_eq!(create(ledger, &link), LinkCreation::Created);
        opened(ledger, number, number.into(), NOW);
    }
    let append = |seq, links_end| {
        let entry = NewVaultEntry {
            vault: vault(11),
            seq,
            head: Some(position(1, 0)),
            entry: &[1; 100],
            joined: None,
            accepted: None,
            left: None,
            links_end,
            urgency: Urgency::Ordinary,
        };
        ledger.append_vault_entry(&entry).unwrap()
    };
    let there = || [1, 2, 3].map(|number| link(ledger, number).is_some());
    assert_eq!(append(2, LinksEnd::None), Appended::Appended);
    assert_eq!(there(), [true; 3]);
    // One that lost a race ends nothing.
    assert!(matches!(
        append(2, LinksEnd::All),
        Appended::LostRace { .. }
    ));
    assert_eq!(there(), [true; 3]);
    let of = LinksEnd::Of(account(1));
    assert_eq!(append(3, of), Appended::Appended);
    assert_eq!(there(), [false, true, false]);
    assert_eq!(open(ledger, 1, 9, NOW), LinkOpening::Over);
    assert_eq!(append(4, LinksEnd::All), Appended::Appended);
    assert_eq!(there(), [false; 3]);
    assert_eq!(record_bytes(ledger), before + 3 * (100 + 128));
    assert_eq!(ledger.drop_due_links(NOW.plus(DAY * 9)).unwrap(), 0);
}

/// Account `number` is a member of vault `of` from entry 2 on.
fn join(ledger: &dyn Ledger, of: u8, number: u8, head: u64) {
    let entry = NewVaultEntry {
        vault: vault(of),
        seq: 2,
        head: Some(position(head, 0)),
        entry: &[1; 100],
        joined: Some(account(number)),
        accepted: None,
        left: None,
        links_end: LinksEnd::None,
        urgency: Urgency::Ordinary,
    };
    let joined = ledger.append_vault_entry(&entry).unwrap();
    assert_eq!(joined, Appended::Appended);
}

pub(crate) fn links_end_with_the_device_that_made_them(ledger: &dyn Ledger) {
    open_account(ledger, 2);
    three_packs(ledger);
    make_vault(ledger, 21);
    upload(ledger, &blob(21, 1, 16 * KIB));
    let head = commit_at(ledger, 21, 1, &packs([1]), &[], NOW);
    assert_eq!(head, Commit::Accepted);
    join(ledger, 21, 1, 1);
    let records = || [1, 2].map(|n| ledger.account(&account(n)).unwrap().unwrap().record_bytes);
    let before = records();
    // Of the account and its device, one of another device, and that in a vault for
    // which somebody else pays; and another member's.
    for (number, of, by, with) in [(1, 11, 1, 1), (2, 11, 1, 3), (3, 21, 1, 3), (4, 11, 2, 3)] {
        let link = NewLink {
            vault: vault(of),
            log_seq: if of == 21 { 2 } else { 1 },
            account: account(by),
            device: device(with),
            ..new(number)
        };
        assert_eq!(create(ledger, &link), LinkCreation::Created, "{number}");
        opened(ledger, number, number.into(), NOW);
    }
    let there = || [1, 2, 3, 4].map(|number| link(ledger, number).is_some());
    let remove = |seq, removed| {
        let entry = NewAccountEntry {
            account: account(1),
            seq,
            entry: &[1; 100],
            added: None,
            removed,
            urgency: Urgency::CannotWait,
        };
        ledger.append_account_entry(&entry).unwrap()
    };
    let full = records();
    // One that lost a race ends nothing, nor does one that removes nobody.
    assert!(matches!(
        remove(3, Some(device(3))),
        Appended::LostRace { .. }
    ));
    assert_eq!(remove(2, None), Appended::Appended);
    assert_eq!(there(), [true; 4]);
    assert_eq!(remove(3, Some(device(3))), Appended::Appended);
    assert_eq!(there(), [true, false, false, true]);
    assert_eq!(open(ledger, 2, 9, NOW), LinkOpening::Over);
    let one = (full[0] - before[0]) / 3;
    assert_eq!(records(), [before[0] + 2 * (one + 100 + 128), before[1]]);
    // Who was let in before the entry came makes none any more.
    let late = NewLink {
        account_seq: 2,
        ..new(5)
    };
    assert_eq!(create(ledger, &late), LinkCreation::LostRace);
    let now = NewLink {
        account_seq: 3,
        ..new(5)
    };
    assert_eq!(create(ledger, &now), LinkCreation::Created);
}

pub(crate) fn links_of_a_guest_end_with_the_device_that_made_them(ledger: &dyn Ledger) {
    three_packs(ledger);
    let bring = |after, removed: &[_]| {
        let copy = LogCopy {
            account: account(5),
            after,
            entries: &[vec![5; 100]],
            removed,
            brought_by: account(1),
            urgency: Urgency::CannotWait,
            now: NOW,
        };
        let copied = ledger.put_account_log(&copy).unwrap();
        assert_eq!(copied, Copied::Copied { log_seq: after + 1 });
    };
    bring(0, &[]);
    join(ledger, 11, 5, 1);
    let before = record_bytes(ledger);
    for (number, with) in [(1, 6), (2, 7)] {
        let link = NewLink {
            log_seq: 2,
            account: account(5),
            device: device(with),
            ..new(number)
        };
        assert_eq!(create(ledger, &link), LinkCreation::Created);
    }
    let there = || [1, 2].map(|number| link(ledger, number).is_some());
    let both = record_bytes(ledger) - before;
    bring(1, &[]);
    assert_eq!(there(), [true; 2]);
    bring(2, &[device(9), device(7)]);
    assert_eq!(there(), [true, false]);
    assert_eq!(record_bytes(ledger), before + both / 2);
    let guests = ledger.account(&account(1)).unwrap().unwrap();
    assert_eq!(guests.guest_bytes, 3 * (100 + 128));
}
