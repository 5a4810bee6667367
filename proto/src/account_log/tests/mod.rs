mod cases;

pub(crate) use cases::{Cast, PaperCast, cases};

use proptest::prelude::*;

use super::*;
use crate::canonical::DecodeError;
use crate::entry::MAX_ENTRY_BYTES;
use crate::testing::{TestAccount, TestDevice, in_order, signed_account};
use crate::wire::account_entry::Body;

/// Verifies entries from the genesis on.
pub(crate) fn verify_all(entries: &[SignedEntry]) -> Result<AccountLog, AccountLogError> {
    let (genesis, rest) = entries.split_first().expect("a log has entries");
    let mut log = AccountLog::verify_genesis(genesis)?;
    for entry in rest {
        log.append(entry)?;
    }
    Ok(log)
}

/// The log of these entries; none without any.
fn log_of(entries: &[SignedEntry]) -> Option<AccountLog> {
    (!entries.is_empty()).then(|| verify_all(entries).unwrap())
}

/// What a log, or the lack of one, says to an entry.
fn refusal(log: &mut Option<AccountLog>, entry: &SignedEntry) -> Option<AccountLogError> {
    match log {
        Some(log) => log.append(entry).err(),
        None => AccountLog::verify_genesis(entry).err(),
    }
}

#[test]
fn each_rule_has_its_error() {
    let cast = Cast::new();
    for case in cases() {
        let before = log_of(&cast.log()[..case.after]);
        let mut log = before.clone();
        let error = refusal(&mut log, &case.entry);
        assert_eq!(error, Some(case.error), "{}", case.name);
        if let Some(log) = &log {
            assert_eq!(log.verify_next(&case.entry), Err(case.error));
        }
        assert!(log == before, "{} changed the log", case.name);
    }
}

#[test]
fn a_log_tells_who_speaks_for_the_account_and_when() {
    let Cast {
        mut account,
        laptop,
        phone,
        tablet,
    } = Cast::new();
    account.append(account.rename(&phone), &[]);
    account.append_by_paper(account.moved());
    let log = &account.log;
    let (machine, paper) = (&account.machine, &account.paper);

    assert_eq!(log.position().seq, 6);
    assert_eq!(log.hash_at(1).unwrap().as_bytes(), log.id().as_bytes());
    assert_eq!(log.hash_at(6), Some(log.position().hash));
    assert_eq!((log.hash_at(0), log.hash_at(7)), (None, None));
    let authors: Vec<_> = (0..8).map(|seq| log.author_at(seq)).collect();
    let (first, last) = (Some(machine.id()), Some(paper.id()));
    assert_eq!(
        authors,
        [None, first, first, first, first, first, last, None]
    );

    let ids = |devices: &[&TestDevice]| -> Vec<_> {
        in_order(devices).iter().map(|device| device.id()).collect()
    };
    let active_at = |seq| -> Vec<_> {
        let active = log.active_devices_at(seq);
        active.map(|record| record.public.id()).collect()
    };
    assert_eq!(active_at(0), []);
    assert_eq!(active_at(1), ids(&[machine, paper]));
    assert_eq!(active_at(2), ids(&[machine, paper, &laptop]));
    assert_eq!(active_at(3), ids(&[machine, paper]));
    assert_eq!(active_at(6), ids(&[machine, paper, &phone]));
    assert_eq!(active_at(7), []);
    for seq in 0..8 {
        for device in [machine, paper, &laptop, &phone, &tablet] {
            let active = active_at(seq).contains(&device.id());
            assert_eq!(log.is_active_at(&device.id(), seq), active);
        }
    }
    assert_eq!(log.devices().count(), 4);
    assert_eq!(log.device(&laptop.id()).unwrap().removed_seq, Some(3));

    let generation_at = |seq| log.account_key_at(seq).map(|key| key.generation);
    let generations: Vec<_> = (0..8).map(generation_at).collect();
    let (one, two) = (Some(1), Some(2));
    assert_eq!(generations, [None, one, one, two, two, two, two, None]);
    let [first, second] = log.account_keys() else {
        panic!("two generations")
    };
    // The laptop got the key that was newest when it came, the phone its own.
    let boxed: Vec<_> = first.boxes.keys().copied().collect();
    assert_eq!(boxed, ids(&[machine, paper, &laptop]));
    let boxed: Vec<_> = second.boxes.keys().copied().collect();
    assert_eq!(boxed, ids(&[machine, paper, &phone]));
    assert_eq!(second.boxes[&phone.id()].entry_seq, 4);
    assert_eq!(second.boxes[&machine.id()].entry_seq, 3);
    assert_eq!(second.boxes[&paper.id()].sender, machine.id());
    assert!(first.previous_seed.is_none() && second.previous_seed.is_some());

    assert_eq!(log.home(), crate::testing::hoster("elsewhere"));
    let origin = log.home_origin().unwrap();
    assert_eq!(origin.as_str(), "elsewhere.example:443");
    let name = &log.device(&phone.id()).unwrap().sealed_name;
    assert_eq!(*name, crate::testing::filler("another name", 90));
}

/// Whoever holds an unlocked machine can add a paper of his own. It recovers
/// the account; it does not shut its owner out.
#[test]
fn only_a_rooted_paper_removes_a_paper() {
    let PaperCast {
        account,
        rooted,
        of_machine,
        of_that,
    } = PaperCast::new();
    let log = &account.log;
    let is_rooted = |device: &TestDevice| log.device(&device.id()).unwrap().is_rooted;
    assert!(is_rooted(&account.paper) && is_rooted(&rooted));
    assert!(!is_rooted(&of_machine) && !is_rooted(&of_that));
    assert!(!is_rooted(&account.machine));

    let papers = [&account.paper, &rooted, &of_machine, &of_that];
    let authors = [&[&account.machine], &papers[..]].concat();
    for author in authors {
        for removed in papers {
            let entry = log.next_entry(author.id(), account.remove(removed));
            let verdict = log.verify_next(&signed_account(&entry, &[author]));
            let expected = if author.id() == removed.id() {
                Err(AccountLogError::RemovesItself)
            } else if author.id() == account.machine.id() {
                Err(AccountLogError::PaperNeeded)
            } else if is_rooted(author) {
                Ok(())
            } else {
                Err(AccountLogError::PaperNotRooted)
            };
            assert_eq!(verdict, expected);
        }
        if author.id() != account.machine.id() {
            let entry = log.next_entry(author.id(), account.remove(&account.machine));
            let verdict = log.verify_next(&signed_account(&entry, &[author]));
            assert_eq!(verdict, Ok(()), "any paper removes a machine");
        }
    }
}

/// Where a log has gone, its owner's removals are not asked for any more: a
/// thief with a machine would send it to nowhere.
#[test]
fn only_a_rooted_paper_moves_the_log() {
    let PaperCast {
        account,
        rooted,
        of_machine,
        of_that,
    } = PaperCast::new();
    let verdict = |author: &TestDevice| {
        let entry = account.log.next_entry(author.id(), account.moved());
        account.log.verify_next(&signed_account(&entry, &[author]))
    };
    let (needed, not_rooted) = (
        AccountLogError::PaperNeeded,
        AccountLogError::PaperNotRooted,
    );
    assert_eq!(verdict(&account.machine), Err(needed));
    assert_eq!(verdict(&of_machine), Err(not_rooted));
    assert_eq!(verdict(&of_that), Err(not_rooted));
    assert_eq!(verdict(&account.paper), Ok(()));
    assert_eq!(verdict(&rooted), Ok(()));
}

/// The new words take the place of the old ones, which a thief may have read.
#[test]
fn a_paper_that_a_rooted_paper_added_removes_it() {
    let PaperCast {
        mut account,
        rooted,
        ..
    } = PaperCast::new();
    let entry = account
        .log
        .next_entry(rooted.id(), account.remove(&account.paper));
    account
        .log
        .append(&signed_account(&entry, &[&rooted]))
        .unwrap();
    assert!(
        account
            .log
            .device(&account.paper.id())
            .unwrap()
            .removed_seq
            .is_some()
    );
    // What was removed stays rooted in name only.
    let entry = account.paper_draft(account.remove(&rooted));
    let verdict = account
        .log
        .verify_next(&signed_account(&entry, &[&account.paper]));
    assert_eq!(verdict, Err(AccountLogError::AuthorNotActive));
}

#[test]
fn a_paper_removes_a_paper_and_a_machine() {
    let mut account = TestAccount::new("alice");
    let second = TestDevice::paper("second paper");
    account.append(account.add(&second), &[&second]);
    for removed in [second, account.machine.clone()] {
        let entry = account.paper_draft(account.remove(&removed));
        let entry = signed_account(&entry, &[&account.paper]);
        account.log.append(&entry).unwrap();
    }
    let active: Vec<_> = account.log.active_devices_at(4).collect();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].public.id(), account.paper.id());
}

/// A thief's machine fills what is left to machines, and no more: the owner's
/// paper still adds the computer from which he removes them.
#[test]
fn sixteen_devices_begin_and_machines_leave_room_for_the_paper() {
    let mut first: Vec<_> = (0..15)
        .map(|i| TestDevice::machine(&format!("first {i}")))
        .collect();
    first.insert(1, TestDevice::paper("first paper"));
    let first: Vec<_> = first.iter().collect();
    let entry = genesis_entry(first[0].id(), TestAccount::genesis("many", &first));
    let log = AccountLog::verify_genesis(&signed_account(&entry, &in_order(&first))).unwrap();
    let mut account = TestAccount {
        name: "many".to_owned(),
        machine: first[0].clone(),
        paper: first[1].clone(),
        log,
    };
    let of_machine = TestDevice::paper("a paper of a machine");
    account.append(account.add(&of_machine), &[&of_machine]);
    for i in 0..39 {
        let device = TestDevice::machine(&format!("later {i}"));
        account.append(account.add(&device), &[&device]);
    }
    let (machine, paper) = (account.machine.clone(), account.paper.clone());
    let added_by = |account: &TestAccount, author: &TestDevice, device: &TestDevice| {
        let entry = account.log.next_entry(author.id(), account.add(device));
        signed_account(&entry, &[author, device])
    };
    let device = TestDevice::machine("one more");
    for author in [&machine, &of_machine] {
        let entry = added_by(&account, author, &device);
        let error = account.log.append(&entry).unwrap_err();
        assert_eq!(error, AccountLogError::TooManyDevices);
    }
    for i in 0..8 {
        let device = TestDevice::machine(&format!("of the paper {i}"));
        let entry = added_by(&account, &paper, &device);
        account.log.append(&entry).unwrap();
    }
    let active = account.log.active_devices_at(account.position().seq);
    assert_eq!(active.count(), MAX_ACTIVE_DEVICES);
    let entry = added_by(&account, &paper, &device);
    let error = account.log.append(&entry).unwrap_err();
    assert_eq!(error, AccountLogError::TooManyDevices);

    // One goes, one comes; and an entry with 63 boxes is within its limit.
    account.append_by_paper(account.remove(first[2]));
    account
        .log
        .append(&added_by(&account, &paper, &device))
        .unwrap();
}

#[test]
fn a_signature_more_or_less_makes_no_other_entry() {
    let cast = Cast::new();
    let mut twice = cast.log()[3].clone();
    twice.signatures[1].signature = vec![7; 64];
    let error = refusal(&mut log_of(cast.log()), &twice);
    assert_eq!(error, Some(AccountLogError::Repeated { seq: 4 }));
}

#[test]
fn an_entry_is_bounded_before_it_is_decoded() {
    let cast = Cast::new();
    let mut entry = cast.log()[3].clone();
    entry.payload = vec![0; MAX_ENTRY_BYTES + 1];
    let error = refusal(&mut log_of(&cast.log()[..3]), &entry);
    let limit = MAX_ENTRY_BYTES;
    let too_long = AccountLogError::Decode(DecodeError::TooLong { limit });
    assert_eq!(error, Some(too_long));
}

#[test]
fn no_byte_of_an_entry_can_change() {
    let cast = Cast::new();
    for seq in [1, 3, 4] {
        let entry = &cast.log()[seq - 1];
        let before = log_of(&cast.log()[..seq - 1]);
        let log = &mut before.clone();
        for at in 0..entry.payload.len() {
            let mut flipped = entry.clone();
            flipped.payload[at] ^= 1 << (at % 8);
            assert!(refusal(log, &flipped).is_some(), "entry {seq}, byte {at}");
        }
        for (which, signature) in entry.signatures.iter().enumerate() {
            for at in 0..64 {
                let mut flipped = entry.clone();
                flipped.signatures[which].signature[at] ^= 1 << (at % 8);
                let device = DeviceId::from_slice(&signature.device).unwrap();
                let expected = AccountLogError::BadSignature { device };
                assert_eq!(refusal(log, &flipped), Some(expected));
            }
            for at in 0..32 {
                let mut flipped = entry.clone();
                flipped.signatures[which].device[at] ^= 1;
                assert_eq!(refusal(log, &flipped), Some(AccountLogError::Signers));
            }
        }
        assert!(*log == before, "a refused entry changed the log");
    }
}

#[test]
fn no_entry_can_be_cut_or_continued() {
    let cast = Cast::new();
    for seq in 1..=4 {
        let entry = &cast.log()[seq - 1];
        let before = log_of(&cast.log()[..seq - 1]);
        let log = &mut before.clone();
        for length in 0..entry.payload.len() {
            let mut cut = entry.clone();
            cut.payload.truncate(length);
            assert!(refusal(log, &cut).is_some(), "entry {seq}, {length} bytes");
        }
        for byte in 0..=255 {
            let mut longer = entry.clone();
            longer.payload.push(byte);
            assert!(refusal(log, &longer).is_some(), "entry {seq}, {byte} more");
        }
    }
}

#[test]
fn no_entry_can_be_left_out_or_moved() {
    let cast = Cast::new();
    let entries = cast.log();
    for gone in 0..entries.len() - 1 {
        let mut rest = entries.to_vec();
        rest.remove(gone);
        assert!(verify_all(&rest).is_err(), "without entry {}", gone + 1);
    }
    for (a, b) in [(0, 1), (1, 2), (2, 3), (1, 3), (0, 3)] {
        let mut moved = entries.to_vec();
        moved.swap(a, b);
        assert!(
            verify_all(&moved).is_err(),
            "{a} and {b} in each other's place"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is signed, nothing panics, and a refusal changes nothing.
    #[test]
    fn what_members_sign_never_panics(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..4),
        remove in 0_usize..4,
    ) {
        let cast = Cast::new();
        let account = &cast.account;
        for body in [account.add(&cast.tablet), account.remove(&cast.phone), account.moved()] {
            let signers: &[&TestDevice] = match &body {
                Body::AddDevice(_) => &[&account.machine, &cast.tablet],
                Body::Moved(_) => &[&account.paper],
                _ => &[&account.machine],
            };
            let entry = account.log.next_entry(signers[0].id(), body);
            let mut entry = signed_account(&entry, signers);
            let start = at.index(entry.payload.len());
            let end = (start + remove).min(entry.payload.len());
            entry.payload.splice(start..end, bytes.clone());
            let message = crate::sign::to_sign(crate::sign::SignLabel::AccountEntry, &entry.payload);
            for (signature, signer) in entry.signatures.iter_mut().zip(signers) {
                signature.signature = signer.sign(&message).to_vec();
            }
            let before = Some(account.log.clone());
            let mut log = before.clone();
            if refusal(&mut log, &entry).is_some() {
                prop_assert!(log == before);
            }
        }
    }
}
