mod cases;
mod cast;

pub(crate) use cases::{After, cases};
pub(crate) use cast::{Cast, MoveCast, head_at};

use proptest::prelude::*;

use super::*;
use crate::testing::{Logs, TestAccount, TestVault, logs_of, signed_vault};
use crate::wire::vault_entry::Body;

fn verify_all(entries: &[SignedEntry], logs: &Logs) -> Result<VaultLog, VaultLogError> {
    let (genesis, rest) = entries.split_first().expect("a log has entries");
    let mut log = VaultLog::verify_genesis(genesis, logs)?;
    for entry in rest {
        log.append(entry, logs)?;
    }
    Ok(log)
}

/// What a log, or the lack of one, says to an entry.
fn refusal(log: &mut Option<VaultLog>, entry: &SignedEntry, logs: &Logs) -> Option<VaultLogError> {
    match log {
        Some(log) => log.append(entry, logs).err(),
        None => VaultLog::verify_genesis(entry, logs).err(),
    }
}

#[test]
fn each_rule_has_its_error() {
    let cast = Cast::new();
    for case in cases(&cast) {
        let before = match case.after {
            After::Nothing => None,
            After::Calm => Some(cast.calm.log.clone()),
            After::Due => Some(cast.due.log.clone()),
            After::Account => Some(cast.account.log.clone()),
        };
        let mut log = before.clone();
        let error = refusal(&mut log, &case.entry, &cast.logs);
        assert_eq!(error, Some(case.error), "{}", case.name);
        if let Some(log) = &log {
            let error = log.verify_next(&case.entry, &cast.logs);
            assert_eq!(error.map(drop), Err(case.error));
        }
        assert!(log == before, "{} changed the log", case.name);
    }
}

#[test]
fn an_account_log_that_is_not_at_hand_is_told() {
    let cast = Cast::new();
    let body = TestVault::change(&cast.carol, Role::Writer);
    let entry = cast.next(body);
    for account in [cast.alice.id(), cast.carol.id()] {
        let mut logs = cast.logs.clone();
        logs.remove(&account);
        let error = cast.calm.log.clone().append(&entry, &logs).unwrap_err();
        assert_eq!(error, VaultLogError::AccountLogMissing { account });
    }
    let genesis = &cast.calm.log.entries()[0];
    let account = cast.alice.id();
    let error = VaultLog::verify_genesis(genesis, &Logs::new()).unwrap_err();
    assert_eq!(error, VaultLogError::AccountLogMissing { account });
    let short = logs_of(&[&TestAccount::new("alice")]);
    let error = VaultLog::verify_genesis(genesis, &short).unwrap_err();
    let (have, need) = (1, 3);
    let expected = VaultLogError::AccountEntriesMissing {
        account,
        have,
        need,
    };
    assert_eq!(error, expected);
}

#[test]
fn a_log_tells_members_roles_and_epochs_at_every_place() {
    let cast = Cast::new();
    let mut vault = cast.due.clone();
    let rotate = vault.rotate(&cast.members());
    vault.append(&cast.bob_renewed, rotate, &cast.logs);
    vault.head = Some(head_at(9));
    let change = TestVault::change(&cast.carol, Role::Manager);
    vault.append(&cast.alice, change, &cast.logs);
    vault.append(&cast.dan, TestVault::accept(), &cast.logs);
    vault.append(&cast.carol, TestVault::remove(&cast.dan), &cast.logs);
    vault.append(&cast.alice, TestVault::leave(), &cast.logs);
    vault.append_by_paper(&cast.carol, TestVault::moved(), &cast.logs);
    let log = &vault.log;

    assert_eq!(log.position().seq, 13);
    assert_eq!(log.id().as_bytes(), log.hash_at(1).unwrap().as_bytes());
    assert_eq!((log.hash_at(0), log.hash_at(14)), (None, None));
    let by = |account: &TestAccount| Some((account.id(), account.machine.id()));
    assert_eq!((log.author_at(0), log.author_at(14)), (None, None));
    assert_eq!(
        (log.author_at(1), log.author_at(8)),
        (by(&cast.alice), by(&cast.bob))
    );
    let paper = cast.carol.paper.id();
    assert_eq!(log.author_at(13), Some((cast.carol.id(), paper)));
    assert_eq!(
        (log.kind(), log.creator()),
        (VaultKind::Storage, cast.alice.id())
    );
    assert_eq!(log.home(), crate::testing::hoster("elsewhere"));

    let states = |member: &TestAccount| -> String {
        let at = |seq| match log.role_at(&member.id(), seq) {
            None => '-',
            Some(state) => {
                let letter = match state.role {
                    Role::Reader => 'r',
                    Role::Writer => 'w',
                    Role::Manager => 'm',
                };
                match state.accepted {
                    true => letter.to_ascii_uppercase(),
                    false => letter,
                }
            }
        };
        (0..15).map(at).collect()
    };
    assert_eq!(states(&cast.alice), "-MMMMMMMMMMM---");
    assert_eq!(states(&cast.bob), "--wWWWWWWWWWWW-");
    assert_eq!(states(&cast.carol), "----rRRRRMMMMM-");
    assert_eq!(states(&cast.dan), "------wwwwW----");
    assert_eq!(states(&cast.eve), "---------------");
    assert_eq!(log.members().count(), 2);
    assert_eq!(log.member(&cast.dan.id()), None);

    let due: Vec<_> = (0..15).filter(|seq| log.rotation_due_at(*seq)).collect();
    assert_eq!(due, [0, 7, 11, 12, 13, 14]);
    assert!(log.rotation_due());

    let epochs: Vec<_> = (0..15)
        .map(|seq| log.epoch_at(seq).map_or(0, |epoch| epoch.number))
        .collect();
    assert_eq!(epochs, [0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0]);
    let [first, second] = log.epochs() else {
        panic!("two epochs")
    };
    assert_eq!((first.boxes.len(), second.boxes.len()), (4, 4));
    assert_eq!(first.boxes[&cast.bob.id()].generation, 1);
    assert_eq!(second.boxes[&cast.bob.id()].generation, 2);
    let sealed = &first.boxes[&cast.dan.id()].sealed;
    assert_eq!(
        (sealed.entry_seq, sealed.sender),
        (6, cast.alice.machine.id())
    );
    let sealed = &second.boxes[&cast.dan.id()].sealed;
    assert_eq!(
        (sealed.entry_seq, sealed.sender),
        (8, cast.bob.machine.id())
    );
    assert!(first.previous_secret.is_none() && second.previous_secret.is_some());

    let bob = cast.bob.id();
    let recorded = |seq| log.known_position_at(&bob, seq).map(|at| at.seq);
    assert_eq!(
        (recorded(1), recorded(2), recorded(6)),
        (None, Some(1), Some(1))
    );
    assert_eq!((recorded(7), recorded(13)), (Some(3), Some(3)));
    assert_eq!(log.known_position(&bob), Some(cast.bob_renewed.position()));
    assert_eq!(log.known_positions().count(), 4);
}

#[test]
fn a_head_must_know_the_entries_made_before_it() {
    let cast = Cast::new();
    let mut vault = cast.calm.clone();
    vault.head = Some(head_at(7));
    let change = TestVault::change(&cast.carol, Role::Writer);
    vault.append(&cast.alice, change, &cast.logs);
    let change = TestVault::change(&cast.carol, Role::Reader);
    vault.append(&cast.alice, change, &cast.logs);
    let log = &vault.log;
    // Entries 1 to 3 name no head, 4 to 6 head 3, 7 and 8 head 7.
    let earliest: Vec<_> = (0..10)
        .map(|seq| log.earliest_position_for_head(seq))
        .collect();
    assert_eq!(earliest, [0, 3, 3, 3, 6, 6, 6, 6, 8, 8]);
    assert_eq!(log.pinned_head(), Some(head_at(7)));
    let pinned: Vec<_> = (0..10)
        .filter(|seq| log.pinned_hash_at(*seq).is_some())
        .collect();
    assert_eq!(pinned, [3, 7]);
    assert_eq!(log.pinned_hash_at(3), Some(head_at(3).hash));
}

/// What is told of an entry before it stands is what holds once it does.
#[test]
fn an_entry_tells_what_it_changes() {
    let cast = Cast::new();
    let mut vault = cast.calm.clone();
    vault.head = Some(head_at(7));
    let state = |role, accepted| Some(MemberState { role, accepted });
    let (carol, dan, eve) = (&cast.carol, &cast.dan, &cast.eve);
    let moved = crate::testing::hoster("elsewhere");
    let remove = Some((carol.id(), None));
    let change = Some((carol.id(), state(Role::Writer, true)));
    let add = Some((eve.id(), state(Role::Reader, false)));
    let accept = Some((dan.id(), state(Role::Writer, true)));
    for (author, body, member) in [
        (&cast.alice, TestVault::remove(carol), remove),
        (&cast.alice, TestVault::change(carol, Role::Writer), change),
        (&cast.alice, TestVault::add(eve, Role::Reader), add),
        (dan, TestVault::accept(), accept),
        (&cast.alice, TestVault::refresh(&cast.bob_renewed), None),
        (&cast.alice, vault.rotate(&cast.members()), None),
        (&cast.alice, TestVault::moved(), None),
    ] {
        let device = match body {
            Body::Moved(_) => &author.paper,
            _ => &author.machine,
        };
        let entry = signed_vault(&vault.draft_by(author, device, body), device);
        let next = vault.log.verify_next(&entry, &cast.logs).unwrap();
        assert_eq!((next.seq(), next.head()), (7, vault.head));
        assert_eq!(next.member(), member);
        let mut after = vault.log.clone();
        after.push(next.clone());
        let mut appended = vault.log.clone();
        appended.append(&entry, &cast.logs).unwrap();
        assert!(after == appended);
        assert_eq!(next.rotation_due(), after.rotation_due());
        let begins = after.epochs().len() > vault.log.epochs().len();
        assert_eq!(next.epoch(), begins.then(|| after.epoch()));
        let moves = after.home() != vault.log.home();
        assert_eq!(next.moved_to(), moves.then_some(moved));
    }
}

#[test]
#[should_panic(expected = "an entry stands where it was verified")]
fn an_entry_stands_nowhere_but_where_it_was_verified() {
    let cast = Cast::new();
    let entry = cast.next(TestVault::change(&cast.carol, Role::Writer));
    let mut log = cast.calm.log.clone();
    let next = log.verify_next(&entry, &cast.logs).unwrap();
    log.push(next.clone());
    log.push(next);
}

#[test]
fn every_place_that_an_entry_names_is_recorded() {
    let cast = Cast::new();
    let bob = &cast.bob_renewed;
    for body in [
        TestVault::change(bob, Role::Reader),
        TestVault::remove(bob),
        TestVault::refresh(bob),
        cast.calm.rotate(&cast.members()),
        TestVault::add(&cast.eve, Role::Reader),
    ] {
        let mut vault = cast.calm.clone();
        let is_add = matches!(body, Body::AddMember(_));
        let named = if is_add { &cast.eve } else { bob };
        vault.append(&cast.alice, body, &cast.logs);
        for account in [&cast.alice, named] {
            let recorded = vault.log.known_position(&account.id());
            assert_eq!(recorded, Some(account.position()));
        }
    }
}

/// Whether a rotation is due after one more entry on the calm log.
fn due_after(cast: &Cast, author: &TestAccount, body: Body, logs: &Logs) -> bool {
    let mut vault = cast.calm.clone();
    vault.append(author, body, logs);
    vault.log.rotation_due()
}

#[test]
fn a_rotation_is_due_when_someone_may_no_longer_read() {
    let cast = Cast::new();
    let due = |author, body| due_after(&cast, author, body, &cast.logs);
    assert!(due(&cast.alice, TestVault::remove(&cast.carol)));
    assert!(due(&cast.alice, TestVault::remove(&cast.dan)));
    assert!(due(&cast.bob, TestVault::leave()));
    assert!(due(&cast.carol, TestVault::refresh(&cast.bob_renewed)));
    assert!(!due(&cast.alice, TestVault::add(&cast.eve, Role::Reader)));
    assert!(!due(&cast.dan, TestVault::accept()));
    assert!(!due(&cast.bob_renewed, cast.calm.rotate(&cast.members())));
    let mut moved = cast.calm.clone();
    moved.append_by_paper(&cast.alice, TestVault::moved(), &cast.logs);
    assert!(!moved.log.rotation_due());
}

#[test]
fn a_refresh_to_an_entry_without_a_new_key_asks_for_nothing() {
    let cast = Cast::new();
    assert!(!due_after(
        &cast,
        &cast.bob,
        TestVault::refresh(&cast.alice),
        &cast.logs
    ));
}

/// A place with a newer account key may be recorded by any entry; a refresh
/// could then name nothing newer, so that entry must make the rotation due.
#[test]
fn a_newer_key_makes_a_rotation_due_whatever_entry_records_it() {
    let cast = Cast::new();
    // As the author of the entry.
    assert!(due_after(
        &cast,
        &cast.bob_renewed,
        TestVault::refresh(&cast.alice),
        &cast.logs
    ));
    // As the one it is about.
    let change = TestVault::change(&cast.bob_renewed, Role::Reader);
    assert!(due_after(&cast, &cast.alice, change, &cast.logs));
    // As the one who accepts.
    let mut dan = cast.dan.clone();
    dan.renew_account_key();
    let logs = logs_of(&[&cast.alice, &dan]);
    assert!(due_after(&cast, &dan, TestVault::accept(), &logs));
    // And then nobody is added, not even by that very entry.
    let mut alice = cast.alice.clone();
    alice.renew_account_key();
    let logs = logs_of(&[&alice, &cast.eve]);
    let add = TestVault::add(&cast.eve, Role::Reader);
    let entry = signed_vault(&cast.calm.draft(&alice, add), &alice.machine);
    let error = cast.calm.log.clone().append(&entry, &logs).unwrap_err();
    assert_eq!(error, VaultLogError::RotationDue);
}

#[test]
fn only_a_rotation_ends_what_made_it_due() {
    let cast = Cast::new();
    let mut vault = cast.due.clone();
    let mut renewed = cast.alice.clone();
    renewed.append(renewed.rename(&renewed.machine.clone()), &[]);
    let logs = logs_of(&[
        &renewed,
        &cast.bob_renewed,
        &cast.carol,
        &cast.dan,
        &cast.eve,
    ]);
    for (author, body) in [
        (&cast.dan, TestVault::accept()),
        (&cast.carol, TestVault::refresh(&renewed)),
        (&renewed, TestVault::change(&cast.carol, Role::Writer)),
    ] {
        vault.append(author, body, &logs);
        assert!(vault.log.rotation_due());
    }
    vault.append_by_paper(&renewed, TestVault::moved(), &logs);
    assert!(vault.log.rotation_due());
    let members = [&renewed, &cast.bob_renewed, &cast.carol, &cast.dan];
    let rotate = vault.rotate(&members);
    vault.append(&cast.bob_renewed, rotate, &logs);
    assert!(!vault.log.rotation_due());
    vault.append(&renewed, TestVault::add(&cast.eve, Role::Manager), &logs);
}

/// Where a vault has gone, its managers' removals are not asked for any more.
#[test]
fn only_a_rooted_paper_of_a_manager_moves_a_vault() {
    let cast = MoveCast::new();
    let logs = logs_of(&[&cast.paula.account]);
    for (name, entry, error) in cast.refused() {
        let verdict = cast.vault.log.verify_next(&entry, &logs).map(drop);
        assert_eq!(verdict, Err(error), "{name}");
    }
    for entry in cast.accepted() {
        let verdict = cast.vault.log.verify_next(&entry, &logs);
        assert_eq!(verdict.map(drop), Ok(()));
    }
}

/// Else whoever knew a secret once would know that of a later epoch.
#[test]
fn no_commitment_of_an_earlier_epoch_comes_again() {
    let cast = Cast::new();
    let mut vault = cast.calm.clone();
    let rotate = vault.rotate(&cast.members());
    vault.append(&cast.alice, rotate, &cast.logs);
    let verdict = |commitment: Option<[u8; 32]>| {
        let mut epoch = TestVault::epoch(3, &cast.members());
        if let Some(commitment) = commitment {
            epoch.commitment = commitment.to_vec();
        }
        let rotate = Body::Rotate(wire::RotateEpoch { epoch: Some(epoch) });
        let entry = signed_vault(&vault.draft(&cast.alice, rotate), &cast.alice.machine);
        vault.log.verify_next(&entry, &cast.logs).map(drop)
    };
    let [first, second] = vault.log.epochs() else {
        panic!("two epochs")
    };
    for earlier in [first, second] {
        let refused = Err(VaultLogError::CommitmentReused);
        assert_eq!(verdict(Some(earlier.commitment)), refused);
    }
    assert_eq!(verdict(None), Ok(()));
}

#[test]
fn who_was_removed_may_come_back_but_not_to_an_earlier_place() {
    let cast = Cast::new();
    let mut vault = cast.due.clone();
    let remove = TestVault::remove(&cast.bob_renewed);
    vault.append(&cast.alice, remove, &cast.logs);
    let rotate = vault.rotate(&[&cast.alice, &cast.carol, &cast.dan]);
    vault.append(&cast.alice, rotate, &cast.logs);

    let add = TestVault::add(&cast.bob, Role::Writer);
    let entry = signed_vault(&vault.draft(&cast.alice, add), &cast.alice.machine);
    let error = vault.log.clone().append(&entry, &cast.logs).unwrap_err();
    let account = cast.bob.id();
    assert_eq!(error, VaultLogError::PositionWentBack { account });

    vault.join(&cast.alice, &cast.bob_renewed, Role::Reader, &cast.logs);
    assert_eq!(vault.log.member(&account).unwrap().role, Role::Reader);
}

/// A manager who has not accepted does not count, one who has does.
#[test]
fn a_vault_keeps_a_manager_who_has_accepted() {
    let cast = Cast::new();
    let mut vault = cast.calm.clone();
    let add = TestVault::add(&cast.eve, Role::Manager);
    vault.append(&cast.alice, add, &cast.logs);
    let leave = vault.draft(&cast.alice, TestVault::leave());
    let entry = signed_vault(&leave, &cast.alice.machine);
    let error = vault.log.clone().append(&entry, &cast.logs).unwrap_err();
    assert_eq!(error, VaultLogError::LastManager);
    vault.append(&cast.eve, TestVault::accept(), &cast.logs);
    vault.append(&cast.alice, TestVault::leave(), &cast.logs);
    assert!(vault.log.rotation_due());
}

#[test]
fn an_account_vault_refreshes_and_rotates() {
    let cast = Cast::new();
    let mut alice = cast.alice.clone();
    alice.renew_account_key();
    let mut vault = cast.account.clone();
    vault.append(&alice, TestVault::refresh(&alice), &logs_of(&[&alice]));
    assert!(vault.log.rotation_due());
    let rotate = vault.rotate(&[&alice]);
    vault.append(&alice, rotate, &logs_of(&[&alice]));
    assert_eq!(
        (vault.log.epoch().number, vault.log.rotation_due()),
        (2, false)
    );
}

#[test]
fn two_hundred_and_fifty_six_members_are_the_most_and_can_rotate() {
    let alice = TestAccount::new("alice");
    let members: Vec<_> = (0..256)
        .map(|i| TestAccount::new(&format!("member {i}")))
        .collect();
    let mut all: Vec<_> = members.iter().chain([&alice]).collect();
    let logs = logs_of(&all);
    let mut vault = TestVault::new(VaultKind::Storage, &alice);
    for member in &members[..255] {
        vault.append(&alice, TestVault::add(member, Role::Reader), &logs);
    }
    let add = TestVault::add(&members[255], Role::Reader);
    let entry = signed_vault(&vault.draft(&alice, add), &alice.machine);
    let error = vault.log.append(&entry, &logs).unwrap_err();
    assert_eq!(error, VaultLogError::TooManyMembers);

    all.remove(255);
    let rotate = vault.rotate(&all);
    vault.append(&alice, rotate, &logs);
    // Counters of ten bytes fit too: 9 more for each of two a box.
    let longest = vault.log.entries().last().unwrap().payload.len() + 256 * 18 + 9 * 3;
    assert!(longest <= crate::entry::MAX_ENTRY_BYTES, "{longest} bytes");
}

#[test]
fn no_byte_of_an_entry_can_change() {
    let cast = Cast::new();
    let entries = cast.due.log.entries();
    for seq in [1, 2, 3, 7] {
        let entry = &entries[seq - 1];
        let before = (seq > 1).then(|| verify_all(&entries[..seq - 1], &cast.logs).unwrap());
        let mut log = before.clone();
        let mut refused = |entry: &SignedEntry| refusal(&mut log, entry, &cast.logs);
        for at in 0..entry.payload.len() {
            let mut flipped = entry.clone();
            flipped.payload[at] ^= 1 << (at % 8);
            assert!(refused(&flipped).is_some(), "entry {seq}, byte {at}");
            flipped.payload.truncate(at);
            assert!(refused(&flipped).is_some(), "entry {seq}, {at} bytes");
        }
        for byte in 0..=255 {
            let mut longer = entry.clone();
            longer.payload.push(byte);
            assert!(refused(&longer).is_some(), "entry {seq}, {byte} more");
        }
        for at in 0..64 {
            let mut flipped = entry.clone();
            flipped.signatures[0].signature[at] ^= 1 << (at % 8);
            assert!(
                matches!(refused(&flipped), Some(VaultLogError::BadSignature { .. })),
                "entry {seq}, byte {at} of the signature"
            );
        }
        for at in 0..32 {
            let mut flipped = entry.clone();
            flipped.signatures[0].device[at] ^= 1;
            assert_eq!(refused(&flipped), Some(VaultLogError::Signers));
        }
        assert!(log == before, "a refused entry changed the log");
    }
}

#[test]
fn no_entry_can_be_left_out_or_moved() {
    let cast = Cast::new();
    let entries = cast.due.log.entries();
    for gone in 0..entries.len() - 1 {
        let mut rest = entries.to_vec();
        rest.remove(gone);
        let error = verify_all(&rest, &cast.logs).unwrap_err();
        let (expected, got) = (gone as u64 + 1, gone as u64 + 2);
        let missing = match gone {
            0 => VaultLogError::NotGenesis,
            _ => VaultLogError::Missing { expected, got },
        };
        assert_eq!(error, missing, "without entry {expected}");
    }
    for a in 0..entries.len() {
        for b in a + 1..entries.len() {
            let mut moved = entries.to_vec();
            moved.swap(a, b);
            let refused = verify_all(&moved, &cast.logs).is_err();
            assert!(refused, "{a} and {b} in each other's place");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is signed, nothing panics, and a refusal changes nothing.
    #[test]
    fn what_members_sign_never_panics(
        which in 0_usize..6,
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..4),
        remove in 0_usize..4,
    ) {
        let cast = Cast::new();
        let bodies = [
            TestVault::add(&cast.eve, Role::Reader),
            TestVault::change(&cast.carol, Role::Writer),
            TestVault::remove(&cast.bob_renewed),
            TestVault::refresh(&cast.bob_renewed),
            cast.calm.rotate(&cast.members()),
            TestVault::moved(),
        ];
        let body = bodies[which].clone();
        let signer = match &body {
            Body::Moved(_) => &cast.alice.paper,
            _ => &cast.alice.machine,
        };
        let mut entry = signed_vault(&cast.calm.draft_by(&cast.alice, signer, body), signer);
        let start = at.index(entry.payload.len());
        let end = (start + remove).min(entry.payload.len());
        entry.payload.splice(start..end, bytes);
        let label = crate::sign::SignLabel::VaultEntry;
        let message = crate::sign::to_sign(label, &entry.payload);
        entry.signatures[0].signature = signer.sign(&message).to_vec();
        let before = Some(cast.calm.log.clone());
        let mut log = before.clone();
        if refusal(&mut log, &entry, &cast.logs).is_some() {
            prop_assert!(log == before);
        }
    }
}
