//! What heads and entries are held against beside the chain: logs as far as they are
//! at hand, roots, and lists of packs.

use super::json::Json;
use crate::account_log::AccountLog;
use crate::head::UnverifiedHead;
use crate::head::tests::Cast;
use crate::ids::{PackId, RootHash};
use crate::pack_list::PackList;
use crate::testing::{Logs, TestAccount, TestVault, signed_head, signed_vault};
use crate::vault_log::Role;

pub(super) fn heads() -> Json {
    let cast = Cast::new();
    let shelf = Shelf {
        accounts: [&cast.alice, &cast.bob, &cast.carol, &cast.dan, &cast.eve],
    };
    let logs = shelf
        .accounts
        .map(|account| Json::entries(account.log.entries()));
    let heads = cast.heads.heads.iter();
    Json::Object(vec![
        (
            "about",
            Json::text(
                "What a head is held against beside the chain. `account_logs`, a vault log, and its \
                 first six heads. A case says in `known` which account logs are at hand, by their \
                 place in the list from 0, and how many entries of each; in `error`, what is said, \
                 nothing where it is accepted. `authors`: heads whose makers are verified alone (H4 \
                 to H9), as when attribution is shown. `entries`: the next entry of the vault log. \
                 `points`: the seventh head, which is accepted, and what may be the root and the \
                 packs that it names (H14): a root is `root_byte`, `root_length` times.",
            ),
        ),
        ("account_logs", Json::list(logs)),
        ("vault_log", Json::entries(cast.vault.log.entries())),
        (
            "heads",
            Json::list(heads.map(|head| Json::hex(head.to_bytes()))),
        ),
        ("authors", Json::list(authors(&cast, &shelf))),
        ("entries", Json::list(entries(&cast, &shelf))),
        ("points", Json::list(points(&cast))),
    ])
}

/// The accounts, in the order of the file.
struct Shelf<'a> {
    accounts: [&'a TestAccount; 5],
}

/// The place of an account log, and how many of its entries are at hand.
type Known = (usize, usize);

const ALICE: Known = (0, 3);
const ALICE_AT_FIRST: Known = (0, 1);
const BOB: Known = (1, 1);
const EVE: Known = (4, 1);

impl Shelf<'_> {
    fn logs(&self, known: &[Known]) -> Logs {
        let logs = known.iter().map(|(place, entries)| {
            let entries = &self.accounts[*place].log.entries()[..*entries];
            let (genesis, rest) = entries.split_first().unwrap();
            let mut log = AccountLog::verify_genesis(genesis).unwrap();
            for entry in rest {
                log.append(entry).unwrap();
            }
            (log.id(), log)
        });
        logs.collect()
    }
}

fn known_json(known: &[Known]) -> Json {
    let known = known.iter().map(|(log, entries)| {
        Json::Object(vec![
            ("log", Json::Number(*log as u64)),
            ("entries", Json::Number(*entries as u64)),
        ])
    });
    Json::list(known)
}

fn authors(cast: &Cast, shelf: &Shelf<'_>) -> Vec<Json> {
    let newest = cast.next(&cast.alice, |_| {});
    let old = cast.heads.at(2);
    let mut later = old.claims().clone();
    later.vault_position = cast.vault.log.position();
    let later = signed_head(later, &cast.alice.machine);
    let cases: [(&str, &UnverifiedHead, &[Known]); 5] = [
        ("the maker's log alone", &newest, &[ALICE]),
        ("without the maker's log", &newest, &[BOB]),
        (
            "the beginning of the maker's log",
            &newest,
            &[ALICE_AT_FIRST],
        ),
        ("an old head at its place", old, &[ALICE]),
        ("an old head at a later entry", &later, &[ALICE]),
    ];
    let judged = cases.map(|(name, head, known)| {
        let judged = head.verify_author(&cast.vault.log, &shelf.logs(known));
        let fields = [
            ("known", known_json(known)),
            ("head", Json::hex(head.to_bytes())),
            ("error", Json::told(&judged)),
        ];
        Json::case(name, fields)
    });
    judged.to_vec()
}

fn entries(cast: &Cast, shelf: &Shelf<'_>) -> Vec<Json> {
    let add = TestVault::add(&cast.eve, Role::Reader);
    let entry = signed_vault(&cast.vault.draft(&cast.alice, add), &cast.alice.machine);
    let cases: [(&str, &[Known]); 4] = [
        ("the logs of the author and of who is added", &[ALICE, EVE]),
        ("without the log of who is added", &[ALICE, BOB]),
        ("without the author's log", &[BOB, EVE]),
        ("the beginning of the author's log", &[ALICE_AT_FIRST, EVE]),
    ];
    let judged = cases.map(|(name, known)| {
        let logs = shelf.logs(known);
        let judged = cast.vault.log.verify_next(&entry, &logs).map(drop);
        let fields = [
            ("known", known_json(known)),
            ("entry", Json::entry(&entry)),
            ("error", Json::told(&judged)),
        ];
        Json::case(name, fields)
    });
    judged.to_vec()
}

/// What is offered as what a head names.
struct Offered<'a> {
    root_byte: u8,
    root_length: usize,
    adds: &'a PackList,
    removes: &'a PackList,
}

fn points(cast: &Cast) -> Vec<Json> {
    let packs = |numbers: &[u8]| {
        let packs = numbers.iter().map(|number| PackId::of(&[*number]));
        PackList::from_unordered(packs.collect()).unwrap()
    };
    let (adds, removes) = (&packs(&[1, 2]), &packs(&[3]));
    let (fewer, none) = (&packs(&[1]), &packs(&[]));
    let offer = |root_length, adds, removes| Offered {
        root_byte: 5,
        root_length,
        adds,
        removes,
    };
    let other_root = Offered {
        root_byte: 6,
        ..offer(4_096, adds, removes)
    };
    // The length of the root that the head names, and what is offered.
    let cases = [
        ("what it names", 4_096, offer(4_096, adds, removes)),
        ("a long root", 16_384, offer(16_384, adds, removes)),
        ("another root", 4_096, other_root),
        ("a longer root", 4_096, offer(16_384, adds, removes)),
        (
            "a root of no root's length",
            4_095,
            offer(4_095, adds, removes),
        ),
        ("a pack less", 4_096, offer(4_096, fewer, removes)),
        ("nothing taken away", 4_096, offer(4_096, adds, none)),
        (
            "added and taken away exchanged",
            4_096,
            offer(4_096, removes, adds),
        ),
    ];
    let judged = cases.map(|(name, named_length, offered)| {
        let head = cast.next(&cast.alice, |head| {
            head.root = RootHash::of(&vec![5; named_length]);
            head.adds = adds.hash();
            head.removes = removes.hash();
        });
        let head = cast.verify_next(head, &cast.vault.log).unwrap();
        let root = vec![offered.root_byte; offered.root_length];
        let judged = head
            .check_root(&root)
            .and_then(|()| head.check_packs(offered.adds, offered.removes));
        let fields = [
            ("head", Json::hex(head.to_bytes())),
            ("root_byte", Json::Number(offered.root_byte.into())),
            ("root_length", Json::Number(offered.root_length as u64)),
            ("adds", Json::hex(offered.adds.to_bytes())),
            ("removes", Json::hex(offered.removes.to_bytes())),
            ("error", Json::told(&judged)),
        ];
        Json::case(name, fields)
    });
    judged.to_vec()
}
