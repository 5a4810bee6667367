//! Links: what they name, how often they are downloaded, and how they end.

use std::thread;

use super::fixture::*;
use crate::{
    clock::UnixTime,
    store::{
        Fullness,
        ledger::{
            Appended, Commit, DownloadCount, Ledger, LinkCreation, LinkOpening, NewLink, Terms,
            Urgency,
        },
        records::{Link, LinkId, PackState, Ticket, TicketHash},
    },
};

const HOUR: std::time::Duration = std::time::Duration::from_secs(60 * 60);

fn id(number: u8) -> LinkId {
    LinkId([number; 32])
}

fn ticket(number: u32) -> TicketHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    TicketHash(hash)
}

/// A link of account 1 to vault 11, whose capsule is pack 1.
pub(super) fn new(number: u8) -> NewLink<'static> {
    NewLink {
        id: id(number),
        vault: vault(11),
        log_seq: 1,
        account: account(1),
        device: device(1),
        account_seq: 1,
        capsule: pack(1),
        packs: &[],
        digest: [number; 32],
        expires: None,
        max_downloads: 0,
        now: NOW,
    }
}

pub(super) fn create(ledger: &dyn Ledger, new: &NewLink<'_>) -> LinkCreation {
    ledger.create_link(new).unwrap()
}

pub(super) fn open(ledger: &dyn Ledger, number: u8, by: u32, now: UnixTime) -> LinkOpening {
    ledger.open_link(&id(number), &ticket(by), now).unwrap()
}

/// Opens, which must succeed, and says until when the ticket is good.
pub(super) fn opened(ledger: &dyn Ledger, number: u8, by: u32, now: UnixTime) -> UnixTime {
    match open(ledger, number, by, now) {
        LinkOpening::Opened(link, ticket) => {
            assert_eq!((link.id, ticket.link), (id(number), id(number)));
            ticket.expires
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn count(ledger: &dyn Ledger, by: u32, now: UnixTime) -> DownloadCount {
    ledger.count_download(&ticket(by), now).unwrap()
}

/// Opens and counts, which must succeed, and says until when the ticket is good.
fn downloaded(ledger: &dyn Ledger, number: u8, by: u32, now: UnixTime) -> UnixTime {
    let until = opened(ledger, number, by, now);
    assert_eq!(count(ledger, by, now), DownloadCount::Counted);
    until
}

pub(super) fn link(ledger: &dyn Ledger, number: u8) -> Option<Link> {
    ledger.link(&id(number)).unwrap()
}

pub(super) fn record_bytes(ledger: &dyn Ledger) -> u64 {
    ledger.account(&account(1)).unwrap().unwrap().record_bytes
}

/// Vault 11 with committed packs 1 (16 KiB), 2 (128 KiB) and 3 (512 KiB), and
/// pack 4, which is not committed.
pub(super) fn three_packs(ledger: &dyn Ledger) {
    one_vault(ledger);
    for (number, size) in [(1, 16), (2, 128), (3, 512), (4, 16)] {
        upload(ledger, &blob(11, number, size * KIB));
    }
    assert_eq!(commit(ledger, 1, &packs([1, 2, 3]), &[]), Commit::Accepted);
}

fn named(ledger: &dyn Ledger, number: u8, packs: &[vault_proto::ids::PackId]) -> Vec<Vec<u8>> {
    let link = link(ledger, number).unwrap();
    let blocks = ledger.link_blocks(&link, packs).unwrap();
    blocks.into_iter().map(Option::unwrap_or_default).collect()
}

pub(crate) fn a_link_names_blocks_of_committed_packs(ledger: &dyn Ledger) {
    assert_eq!(create(ledger, &new(1)), LinkCreation::NoSuchVault);
    three_packs(ledger);
    let mut some = vec![(pack(2), vec![0b10]), (pack(3), vec![0b1000_0001])];
    some.sort();
    let one = NewLink {
        packs: &some,
        expires: Some(NOW.plus(DAY)),
        max_downloads: 7,
        ..new(1)
    };
    assert_eq!(create(ledger, &one), LinkCreation::Created);
    let made = link(ledger, 1).unwrap();
    assert_eq!((made.vault, made.account), (vault(11), account(1)));
    assert_eq!((made.capsule, made.capsule_size), (pack(1), 16 * KIB));
    assert_eq!(made.expires, Some(NOW.plus(DAY)));
    assert_eq!((made.max_downloads, made.downloads), (7, 0));
    let blocks = named(ledger, 1, &[pack(3), pack(9), pack(1), pack(2), pack(4)]);
    let expected: [&[u8]; 5] = [&[0b1000_0001], &[], &[1], &[0b10], &[]];
    assert_eq!(blocks, expected);
    // The capsule can be asked for by its blocks too, and stays whole.
    let with_capsule = [(pack(3), vec![1])];
    let large = NewLink {
        capsule: pack(3),
        packs: &with_capsule,
        ..new(2)
    };
    assert_eq!(create(ledger, &large), LinkCreation::Created);
    assert_eq!(named(ledger, 2, &[pack(3), pack(1)]), [vec![0xff], vec![]]);
    let mut links = ledger.links_of(&vault(11)).unwrap();
    links.sort_by_key(|link| link.id);
    assert_eq!(links, [link(ledger, 1).unwrap(), link(ledger, 2).unwrap()]);
    assert_eq!(ledger.links_of(&vault(12)).unwrap(), []);
}

pub(crate) fn a_link_is_made_once(ledger: &dyn Ledger) {
    three_packs(ledger);
    make_vault(ledger, 12);
    assert_eq!(create(ledger, &new(1)), LinkCreation::Created);
    let counted = record_bytes(ledger);
    downloaded(ledger, 1, 1, NOW);
    // The answer was lost, and the log has grown since.
    let again = NewLink {
        log_seq: 0,
        ..new(1)
    };
    assert_eq!(create(ledger, &again), LinkCreation::Created);
    assert_eq!(record_bytes(ledger), counted);
    assert_eq!(link(ledger, 1).unwrap().downloads, 1);
    let another = NewLink {
        digest: [9; 32],
        ..new(1)
    };
    assert_eq!(create(ledger, &another), LinkCreation::Exists);
    let elsewhere = NewLink {
        vault: vault(12),
        ..new(1)
    };
    assert_eq!(create(ledger, &elsewhere), LinkCreation::Exists);
}

pub(crate) fn what_a_link_cannot_name_is_refused(ledger: &dyn Ledger) {
    three_packs(ledger);
    let refused = |packs: &[_], capsule| {
        create(
            ledger,
            &NewLink {
                packs,
                capsule,
                ..new(1)
            },
        )
    };
    let before = record_bytes(ledger);
    let not_there = LinkCreation::NotCommitted;
    assert_eq!(refused(&[], pack(4)), not_there(pack(4)));
    assert_eq!(refused(&[], pack(9)), not_there(pack(9)));
    assert_eq!(refused(&[(pack(4), vec![1])], pack(1)), not_there(pack(4)));
    // Two blocks: one byte, two bits of it, and one of them at least.
    for blocks in [&[][..], &[0], &[0b100], &[1, 0]] {
        let misfit = refused(&[(pack(2), blocks.to_vec())], pack(1));
        assert_eq!(misfit, LinkCreation::Blocks(pack(2)), "{blocks:?}");
    }
    let late = NewLink {
        log_seq: 2,
        ..new(1)
    };
    assert_eq!(create(ledger, &late), LinkCreation::LostRace);
    // What is in the trash is there, and not for long.
    assert_eq!(commit(ledger, 2, &[], &packs([2])), Commit::Accepted);
    let trash = refused(&[(pack(2), vec![1])], pack(1));
    assert_eq!(trash, not_there(pack(2)));
    assert_eq!(link(ledger, 1), None);
    assert!(record_bytes(ledger) > before, "by the head alone");
}

pub(crate) fn a_vault_has_so_many_links(ledger: &dyn Ledger) {
    three_packs(ledger);
    let many = Terms::default().links;
    let name = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        LinkId(id)
    };
    let create = |number| {
        let link = NewLink {
            id: name(number),
            ..new(1)
        };
        ledger.create_link(&link).unwrap()
    };
    for number in 0..many {
        assert_eq!(create(number), LinkCreation::Created, "{number}");
    }
    assert_eq!(create(many), LinkCreation::TooMany);
    assert_eq!(create(0), LinkCreation::Created);
    ledger.drop_link(&name(3)).unwrap();
    assert_eq!(create(many), LinkCreation::Created);
}

pub(crate) fn links_count_as_records_until_they_end(ledger: &dyn Ledger) {
    const ROW: u64 = 128;
    three_packs(ledger);
    let before = record_bytes(ledger);
    let one_pack = [(pack(2), vec![0b11])];
    let with_pack = NewLink {
        packs: &one_pack,
        ..new(1)
    };
    assert_eq!(create(ledger, &with_pack), LinkCreation::Created);
    let one = 4 * ROW + 2 * (ROW + 32 + 1);
    assert_eq!(record_bytes(ledger), before + one);
    downloaded(ledger, 1, 1, NOW);
    assert_eq!(record_bytes(ledger), before + one);
    ledger.drop_link(&id(1)).unwrap();
    assert_eq!(record_bytes(ledger), before);
    ledger.drop_link(&id(1)).unwrap();
    assert_eq!(record_bytes(ledger), before);

    let limit = Terms::default().record_bytes + QUOTA / 16;
    let fill = vec![1; (limit - before - ROW - one + 1) as usize];
    assert_eq!(
        append_own(ledger, 2, &fill, Urgency::Ordinary),
        Appended::Appended
    );
    let full = Fullness {
        quota_bytes: limit,
        used_bytes: limit + 1,
    };
    let with_pack = NewLink {
        account_seq: 2,
        ..with_pack
    };
    let refused = create(ledger, &with_pack);
    assert_eq!(refused, LinkCreation::RecordsFull(full));
    assert_eq!(link(ledger, 1), None);
}

pub(crate) fn a_ticket_counts_when_it_is_said_and_once(ledger: &dyn Ledger) {
    three_packs(ledger);
    let once = NewLink {
        max_downloads: 1,
        ..new(1)
    };
    assert_eq!(create(ledger, &once), LinkCreation::Created);
    assert_eq!(count(ledger, 1, NOW), DownloadCount::NoTicket);
    for by in 1..=9 {
        opened(ledger, 1, by, NOW);
    }
    let there = |by| ledger.ticket(&ticket(by)).unwrap().unwrap();
    let now = link(ledger, 1).unwrap();
    assert_eq!((now.downloads, now.tickets, now.until), (0, 9, None));
    assert!(now.is_open(NOW) && !there(5).counted);
    for _ in 0..2 {
        assert_eq!(count(ledger, 5, NOW), DownloadCount::Counted);
    }
    let now = link(ledger, 1).unwrap();
    assert_eq!((now.downloads, now.tickets), (1, 9));
    assert!(!now.is_open(NOW) && now.serves(NOW));
    assert!(there(5).counted && !there(6).counted);
    // The others are too late, whether they were opened before it or after.
    for by in [1, 9] {
        assert_eq!(count(ledger, by, NOW), DownloadCount::Over);
        assert!(!there(by).counted);
    }
    assert_eq!(open(ledger, 1, 10, NOW), LinkOpening::Over);
    assert_eq!(link(ledger, 1).unwrap().downloads, 1);
    let last = UnixTime::from_seconds(NOW.plus(DAY).seconds() - 1);
    assert_eq!(count(ledger, 5, last), DownloadCount::Counted);
    ledger.drop_link(&id(1)).unwrap();
    assert_eq!(count(ledger, 9, NOW), DownloadCount::Over);
}

pub(crate) fn a_ticket_that_is_over_counts_nothing(ledger: &dyn Ledger) {
    three_packs(ledger);
    assert_eq!(create(ledger, &new(1)), LinkCreation::Created);
    opened(ledger, 1, 1, NOW);
    assert_eq!(count(ledger, 1, NOW.plus(DAY)), DownloadCount::NoTicket);
    assert_eq!(link(ledger, 1).unwrap().downloads, 0);
}

pub(crate) fn a_link_is_downloaded_so_often(ledger: &dyn Ledger) {
    three_packs(ledger);
    assert_eq!(open(ledger, 1, 1, NOW), LinkOpening::Over);
    let twice = NewLink {
        max_downloads: 2,
        ..new(1)
    };
    assert_eq!(create(ledger, &twice), LinkCreation::Created);
    assert_eq!(opened(ledger, 1, 1, NOW), NOW.plus(DAY));
    let later = NOW.plus(HOUR);
    assert_eq!(downloaded(ledger, 1, 2, later), later.plus(DAY));
    // The one that was opened first is counted last: what ends the link is neither.
    let last = NOW.plus(HOUR * 2);
    assert_eq!(count(ledger, 1, last), DownloadCount::Counted);
    assert_eq!(open(ledger, 1, 3, last), LinkOpening::Over);
    assert_eq!(ledger.ticket(&ticket(3)).unwrap(), None);
    let good = Ticket {
        link: id(1),
        opened: later,
        expires: later.plus(DAY),
        counted: true,
    };
    assert_eq!(ledger.ticket(&ticket(2)).unwrap(), Some(good));
    let used_up = link(ledger, 1).unwrap();
    assert_eq!((used_up.downloads, used_up.tickets), (2, 2));
    // It is there for the downloads that were begun, and sooner or later for none.
    let before = |time: UnixTime| UnixTime::from_seconds(time.seconds() - 1);
    assert!(used_up.serves(later) && !used_up.is_open(later));
    assert!(used_up.serves(before(later.plus(DAY))) && !used_up.serves(last.plus(DAY)));
    assert_eq!(ledger.drop_due_links(before(later.plus(DAY))).unwrap(), 0);
    assert_eq!(ledger.ticket(&ticket(1)).unwrap(), None);
    assert_eq!(link(ledger, 1).unwrap().tickets, 1);
    assert_eq!(ledger.drop_due_links(last.plus(DAY)).unwrap(), 1);
    assert_eq!(link(ledger, 1), None);
    assert_eq!(ledger.ticket(&ticket(2)).unwrap(), None);
}

pub(crate) fn downloads_at_once_are_counted_each(ledger: &dyn Ledger) {
    three_packs(ledger);
    let limited = NewLink {
        max_downloads: 10,
        ..new(1)
    };
    assert_eq!(create(ledger, &limited), LinkCreation::Created);
    assert_eq!(create(ledger, &new(2)), LinkCreation::Created);
    for by in 0..100 {
        opened(ledger, 1, by, NOW);
        opened(ledger, 2, 1000 + by, NOW);
    }
    let served: usize = thread::scope(|scope| {
        let threads = [0, 1, 2, 3u32].map(|part| {
            scope.spawn(move || {
                let tickets = (0..25).map(|number| part * 25 + number);
                let counted = tickets.filter(|by| {
                    let unlimited = count(ledger, 1000 + by, NOW);
                    assert_eq!(unlimited, DownloadCount::Counted);
                    count(ledger, *by, NOW) == DownloadCount::Counted
                });
                counted.count()
            })
        });
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(served, 10);
    assert_eq!(link(ledger, 1).unwrap().downloads, 10);
    assert_eq!(link(ledger, 2).unwrap().downloads, 100);
}

pub(crate) fn the_last_download_is_had_by_one(ledger: &dyn Ledger) {
    three_packs(ledger);
    for round in 0..100 {
        let once = NewLink {
            max_downloads: 1,
            ..new(1)
        };
        assert_eq!(create(ledger, &once), LinkCreation::Created);
        let tickets = [0, 1].map(|by| round * 10 + by);
        for by in tickets {
            opened(ledger, 1, by, NOW);
        }
        let mut counts = thread::scope(|scope| {
            let counting = tickets.map(|by| scope.spawn(move || count(ledger, by, NOW)));
            counting.map(|thread| thread.join().unwrap())
        });
        counts.sort_by_key(|count| *count != DownloadCount::Counted);
        assert_eq!(counts, [DownloadCount::Counted, DownloadCount::Over]);
        ledger.drop_link(&id(1)).unwrap();
    }
}

pub(crate) fn a_link_has_so_many_tickets(ledger: &dyn Ledger) {
    three_packs(ledger);
    let many = Terms::default().tickets;
    let counted = NewLink {
        max_downloads: 2 * many,
        ..new(1)
    };
    assert_eq!(create(ledger, &counted), LinkCreation::Created);
    for number in 0..many {
        downloaded(ledger, 1, number, NOW);
    }
    assert_eq!(open(ledger, 1, many, NOW), LinkOpening::TooMany);
    assert_eq!(link(ledger, 1).unwrap().downloads, many);
    assert_eq!(ledger.drop_due_links(NOW.plus(DAY)).unwrap(), 0);
    assert_eq!(link(ledger, 1).unwrap().tickets, 0);
    opened(ledger, 1, many, NOW.plus(DAY));
}

pub(crate) fn nobody_keeps_others_from_a_link_by_opening_it(ledger: &dyn Ledger) {
    three_packs(ledger);
    let many = Terms::default().tickets;
    let twice = NewLink {
        max_downloads: 2,
        ..new(1)
    };
    assert_eq!(create(ledger, &twice), LinkCreation::Created);
    downloaded(ledger, 1, 0, NOW);
    for number in 1..many + 9 {
        opened(ledger, 1, number, NOW.plus(HOUR));
    }
    assert_eq!(link(ledger, 1).unwrap().tickets, many);
    // The oldest have gone, but not the one that has counted, which is the oldest.
    assert_eq!(count(ledger, 0, NOW), DownloadCount::Counted);
    assert_eq!(count(ledger, 1, NOW), DownloadCount::NoTicket);
    assert_eq!(count(ledger, many + 8, NOW), DownloadCount::Counted);
    assert_eq!(link(ledger, 1).unwrap().downloads, 2);
}

pub(crate) fn nobody_keeps_others_from_a_link_of_any_number_of_downloads(ledger: &dyn Ledger) {
    three_packs(ledger);
    for number in [1, 2] {
        assert_eq!(create(ledger, &new(number)), LinkCreation::Created);
    }
    let many = Terms::default().tickets;
    let later = |seconds: u32| UnixTime::from_seconds(NOW.seconds() + u64::from(seconds));
    opened(ledger, 2, u32::MAX, NOW);
    // The second is older than the first.
    opened(ledger, 1, 0, later(2));
    opened(ledger, 1, 1, later(1));
    for number in 2..many {
        opened(ledger, 1, number, later(3));
    }
    let there = |by| ledger.ticket(&ticket(by)).unwrap().is_some();
    assert!(there(0) && there(1));
    // Whether they have counted or not.
    assert_eq!(count(ledger, 1, later(3)), DownloadCount::Counted);
    opened(ledger, 1, many, later(4));
    assert!(there(0) && !there(1) && there(many));
    opened(ledger, 1, many + 1, later(4));
    assert!(!there(0) && there(2) && there(many + 1));
    assert!(there(u32::MAX), "another link's stays");
    let found = link(ledger, 1).unwrap();
    assert_eq!((found.tickets, found.downloads), (many, 1));
    // All that are left go in their time, and are counted once.
    assert_eq!(ledger.drop_due_links(later(4).plus(DAY)).unwrap(), 0);
    assert!(!there(2) && !there(many + 1));
    assert_eq!(link(ledger, 1).unwrap().tickets, 0);
    opened(ledger, 1, 7, later(4).plus(DAY));
    assert_eq!(link(ledger, 1).unwrap().tickets, 1);
}

pub(crate) fn a_link_expires_with_its_tickets(ledger: &dyn Ledger) {
    three_packs(ledger);
    let expires = NOW.plus(HOUR);
    let short = NewLink {
        expires: Some(expires),
        max_downloads: 2,
        ..new(1)
    };
    assert_eq!(create(ledger, &short), LinkCreation::Created);
    assert_eq!(create(ledger, &new(2)), LinkCreation::Created);
    for by in 1..=2 {
        assert_eq!(downloaded(ledger, 1, by, NOW), expires);
    }
    let last = UnixTime::from_seconds(expires.seconds() - 1);
    assert!(link(ledger, 1).unwrap().serves(last));
    assert_eq!(open(ledger, 1, 3, expires), LinkOpening::Over);
    assert!(!link(ledger, 1).unwrap().serves(expires));
    assert_eq!(ledger.drop_due_links(last).unwrap(), 0);
    assert_eq!(ledger.drop_due_links(expires).unwrap(), 1);
    assert_eq!(ledger.drop_due_links(NOW.plus(DAY * 999)).unwrap(), 0);
    assert_eq!(link(ledger, 1), None);
    assert_eq!(named(ledger, 2, &[pack(1)]), [[1]]);
    // Under its name there may be another.
    let another = NewLink {
        digest: [9; 32],
        ..new(1)
    };
    assert_eq!(create(ledger, &another), LinkCreation::Created);
}

pub(crate) fn packs_that_a_link_names_outlive_their_removal(ledger: &dyn Ledger) {
    three_packs(ledger);
    let two = [(pack(2), vec![1])];
    let expires = NOW.plus(DAY * 40);
    let link = NewLink {
        packs: &two,
        expires: Some(expires),
        ..new(1)
    };
    assert_eq!(create(ledger, &link), LinkCreation::Created);
    assert_eq!(commit(ledger, 2, &[], &packs([1, 2, 3])), Commit::Accepted);
    let grace = NOW.plus(DAY * 30);
    // Pack 4, which nobody claimed, and pack 3.
    let gone = ledger.doom(grace, 10).unwrap();
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(gone.contains(&blob(11, 3, 512 * KIB)), "{gone:?}");
    for (number, size) in [(1, 16), (2, 128)] {
        let until = grace.plus(DAY * 30);
        let state = state(ledger, &blob(11, number, size * KIB));
        assert_eq!(state, PackState::Trash { until });
    }
    assert_eq!(usage(ledger, 1).trash_bytes, u64::from(144 * KIB));
    // When it is over, they go.
    let doomed = ledger.doom(NOW.plus(DAY * 60), 10).unwrap();
    for (number, size) in [(1, 16), (2, 128)] {
        assert!(doomed.contains(&blob(11, number, size * KIB)), "{doomed:?}");
    }
    assert_eq!(usage(ledger, 1).trash_bytes, 0);
}

pub(crate) fn a_revoked_link_keeps_nothing(ledger: &dyn Ledger) {
    three_packs(ledger);
    assert_eq!(create(ledger, &new(1)), LinkCreation::Created);
    assert_eq!(commit(ledger, 2, &[], &packs([1])), Commit::Accepted);
    ledger.drop_link(&id(1)).unwrap();
    let due = ledger.doom(NOW.plus(DAY * 30), 10).unwrap();
    assert!(due.contains(&blob(11, 1, 16 * KIB)), "{due:?}");
}

pub(crate) fn a_link_that_ended_stays_ended(ledger: &dyn Ledger) {
    three_packs(ledger);
    let before = record_bytes(ledger);
    for round in 0..100 {
        assert_eq!(create(ledger, &new(1)), LinkCreation::Created);
        // Whoever opens it meanwhile, or downloads it, does not bring it back.
        thread::scope(|scope| {
            for part in 0..2 {
                scope.spawn(move || {
                    for number in 0..20 {
                        let by = round * 100 + part * 50 + number;
                        let _ = open(ledger, 1, by, NOW);
                        let _ = count(ledger, by, NOW);
                    }
                });
            }
            scope.spawn(|| ledger.drop_link(&id(1)).unwrap());
        });
        assert_eq!(link(ledger, 1), None, "round {round}");
        assert_eq!(open(ledger, 1, u32::MAX, NOW), LinkOpening::Over);
    }
    assert_eq!(record_bytes(ledger), before);
}
