mod cases;
mod cast;
mod entries;
mod paths;
mod replaced;

pub(crate) use cases::cases;
pub(crate) use cast::Cast;
pub(crate) use replaced::replacements;

use super::*;
use crate::ids::{HeadHash, PackId, RootHash};
use crate::pack_list::PackList;
use crate::testing::{Logs, TestAccount, TestVault, logs_of, signed_head};
use crate::vault_log::Role;

#[test]
fn each_rule_has_its_error() {
    let cast = Cast::new();
    for case in cases(&cast) {
        let log = if case.due {
            &cast.due.log
        } else {
            &cast.vault.log
        };
        let error = cast.verify_next(case.head, log).map(|head| head.position());
        assert_eq!(error, Err(case.error), "{}", case.name);
    }
}

#[test]
fn the_next_head_is_accepted_and_seen() {
    let cast = Cast::new();
    for author in [&cast.alice, &cast.bob] {
        let head = cast.next(author, |_| {});
        let verified = cast.verify_next(head.clone(), &cast.vault.log).unwrap();
        assert_eq!(verified.head(), head.claims());
        assert_eq!(verified.to_bytes(), head.to_bytes());
        assert_eq!(verified.seen().position(), Some(head.position()));
        assert_eq!(verified.seen().newest(), Some(verified.head()));
        assert_eq!(
            verified.seen().skips(),
            [6, 4].map(|seq| cast.heads.at(seq).hash())
        );
        let links = verified.seen().next_links();
        assert_eq!((links.seq, links.previous), (8, Some(head.hash())));
        assert_eq!(links.skip, None);
    }
}

#[test]
fn the_first_head_links_to_nothing() {
    let cast = Cast::new();
    let context = |seen| HeadContext {
        vault_log: &cast.vault.log,
        account_logs: &cast.logs,
        previous: PreviousHeads::Next(seen),
    };
    let none = SeenHeads::none();
    let links = none.next_links();
    assert_eq!((links.seq, links.previous, links.skip), (1, None, None));
    // The vault log has heads up to 3, so that a first head comes too late.
    let error = cast
        .heads
        .at(1)
        .clone()
        .verify(&context(&none))
        .unwrap_err();
    let known = cast.heads.position_at(3);
    assert_eq!(error, HeadError::Older { known, got: 1 });

    let early = TestVault::new(crate::vault_log::VaultKind::Storage, &cast.alice);
    let mut heads = crate::testing::TestHeads::default();
    heads.extend(&early, &cast.alice, 1);
    let context = HeadContext {
        vault_log: &early.log,
        account_logs: &cast.logs,
        previous: PreviousHeads::Next(&none),
    };
    assert!(heads.at(1).clone().verify(&context).is_ok());
}

#[test]
fn the_newest_of_a_path_is_accepted_from_wherever_one_stands() {
    let cast = Cast::new();
    for known in 0..6 {
        let path = cast.heads.take(&skip_path(6, known));
        let path = cast.seen(known).follow(path).unwrap();
        let context = HeadContext {
            vault_log: &cast.vault.log,
            account_logs: &cast.logs,
            previous: PreviousHeads::Path(&path),
        };
        let verified = path.newest().clone().verify(&context).unwrap();
        assert_eq!(*verified.seen(), cast.seen(6));
        let error = cast.heads.at(5).clone().verify(&context).unwrap_err();
        assert_eq!(error, HeadError::NotOfThisPath);
    }
}

#[test]
fn the_newest_of_a_path_obeys_every_rule_too() {
    let cast = Cast::new();
    for case in cases(&cast) {
        let log = if case.due {
            &cast.due.log
        } else {
            &cast.vault.log
        };
        // The path from nothing, but for the newest head: 6 and 4.
        let mut path = cast.heads.take(&skip_path(6, 0));
        path.insert(0, case.head.clone());
        let error = cast.seen(0).follow(path).and_then(|path| {
            case.head.verify(&HeadContext {
                vault_log: log,
                account_logs: &cast.logs,
                previous: PreviousHeads::Path(&path),
            })
        });
        assert!(error.is_err(), "{}", case.name);
    }
}

#[test]
fn heads_that_the_vault_log_names_are_held_to() {
    let cast = Cast::new();
    let verify = |heads: &[UnverifiedHead], log| {
        let path = SeenHeads::none().follow(heads.to_vec())?;
        path.newest().clone().verify(&HeadContext {
            vault_log: log,
            account_logs: &cast.logs,
            previous: PreviousHeads::Path(&path),
        })
    };
    // Who remembers nothing learns from the log that head 6 was there.
    let known = cast.heads.position_at(6);
    let path = cast.heads.take(&skip_path(5, 0));
    let error = verify(&path, &cast.due.log).unwrap_err();
    assert_eq!(error, HeadError::Older { known, got: 5 });
    // And that the chain went through head 3, unless what took its place says so.
    for (reconciled, expected) in [
        (None, Err(HeadError::Fork { seq: 3 })),
        (
            Some(cast.heads.at(2).hash()),
            Err(HeadError::Fork { seq: 3 }),
        ),
        (Some(cast.heads.at(3).hash()), Ok(4)),
    ] {
        let mut other = cast.heads.clone();
        other.heads.truncate(2);
        let mut third = other.draft(&cast.vault, &cast.bob);
        third.reconciled = reconciled;
        other.heads.push(signed_head(third, &cast.bob.machine));
        other.extend(&cast.vault, &cast.bob, 1);
        let seen = SeenHeads::restore(&other.at(2).to_bytes(), &[]).unwrap();
        let path = seen.follow(other.take(&[4, 3])).unwrap();
        let newest = path.newest().clone().verify(&HeadContext {
            vault_log: &cast.vault.log,
            account_logs: &cast.logs,
            previous: PreviousHeads::Path(&path),
        });
        assert_eq!(newest.map(|head| head.head().seq), expected);
        // Likewise where that head is the newest that was known.
        let skips = [other.at(2).hash()];
        let seen = SeenHeads::restore(&other.at(3).to_bytes(), &skips).unwrap();
        let path = seen.follow(other.take(&[4])).unwrap();
        let newest = path.newest().clone().verify(&HeadContext {
            vault_log: &cast.vault.log,
            account_logs: &cast.logs,
            previous: PreviousHeads::Path(&path),
        });
        assert_eq!(newest.map(|head| head.head().seq), expected);
    }
}

#[test]
fn an_author_whose_log_is_not_at_hand_is_told() {
    let cast = Cast::new();
    let account = cast.alice.id();
    let head = cast.next(&cast.alice, |_| {});
    let error = head.verify_author(&cast.vault.log, &Logs::new());
    assert_eq!(error, Err(HeadError::AccountLogMissing { account }));
    let logs = logs_of(&[&TestAccount::new("alice")]);
    let error = head.verify_author(&cast.vault.log, &logs);
    let (have, need) = (1, 3);
    let expected = HeadError::AccountEntriesMissing {
        account,
        have,
        need,
    };
    assert_eq!(error, Err(expected));
}

/// Attribution: old heads verify against the log as it is now, and each only
/// at its own place of it.
#[test]
fn the_maker_of_an_old_head_is_verified_where_he_stood() {
    let cast = Cast::new();
    for seq in 1..=6 {
        let head = cast.heads.at(seq);
        assert_eq!(head.verify_author(&cast.due.log, &cast.logs), Ok(()));
    }
    let mut later = cast.heads.at(2).claims().clone();
    later.vault_position = cast.vault.log.position();
    let later = signed_head(later, &cast.alice.machine);
    let error = later.verify_author(&cast.due.log, &cast.logs);
    assert_eq!(error, Err(HeadError::PositionAhead));
    let other = TestVault::new(crate::vault_log::VaultKind::Account, &cast.alice);
    let error = cast.heads.at(2).verify_author(&other.log, &cast.logs);
    assert_eq!(error, Err(HeadError::NotThisVault));
}

/// A member changes from writer to reader and back: his heads are judged by what
/// he was where they say they stand.
#[test]
fn a_role_counts_where_the_head_stands() {
    let cast = Cast::new();
    let mut vault = cast.vault.clone();
    let mut heads = cast.heads.clone();
    for (role, expected) in [
        (Role::Reader, Err(HeadError::MayNotWrite)),
        (Role::Manager, Ok(())),
    ] {
        vault.head = Some(heads.heads.last().unwrap().position());
        vault.append(&cast.alice, TestVault::change(&cast.bob, role), &cast.logs);
        heads.extend(&vault, &cast.bob, 1);
        let head = heads.heads.last().unwrap();
        assert_eq!(head.verify_author(&vault.log, &cast.logs), expected);
    }
    assert_eq!(heads.at(6).verify_author(&vault.log, &cast.logs), Ok(()));
}

#[test]
fn no_byte_of_a_head_can_change() {
    let cast = Cast::new();
    let head = cast.next(&cast.alice, |head| {
        head.reconciled = Some(HeadHash::from_array([9; 32]));
    });
    assert!(cast.verify_next(head.clone(), &cast.vault.log).is_ok());
    let bytes = head.to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes;
            flipped[at] ^= 1 << bit;
            let refused = match UnverifiedHead::decode(&flipped) {
                Err(error) => Some(error),
                Ok(head) => {
                    assert_eq!(head.to_bytes(), flipped);
                    cast.verify_next(head, &cast.vault.log).err()
                }
            };
            assert!(refused.is_some(), "byte {at}, bit {bit}");
            if (256..).contains(&at) && !(256..264).contains(&at) {
                assert_eq!(refused, Some(HeadError::BadSignature), "byte {at}");
            }
        }
    }
}

#[test]
fn a_head_has_one_length_and_one_layout() {
    let cast = Cast::new();
    let bytes = cast.next(&cast.alice, |_| {}).to_bytes();
    for length in 0..SIGNED_HEAD_BYTES {
        let error = UnverifiedHead::decode(&bytes[..length]);
        assert_eq!(error, Err(HeadError::Length(length)));
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(UnverifiedHead::decode(&longer), Err(HeadError::Length(457)));

    let decode = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes;
        change(&mut bytes);
        UnverifiedHead::decode(&bytes).map(|_| ())
    };
    assert_eq!(decode(&|_| {}), Ok(()));
    assert_eq!(decode(&|bytes| bytes[7] = b'2'), Err(HeadError::Magic));
    for count in [40, 112, 216, 256] {
        let error = decode(&|bytes| bytes[count..count + 8].fill(0));
        assert_eq!(error, Err(HeadError::Zero), "the count at {count}");
    }
    for link in [48, 80] {
        let error = decode(&|bytes| bytes[link..link + 32].fill(0));
        assert_eq!(error, Err(HeadError::Links), "the link at {link}");
    }
    // Head 8 skips to before the first, and head 1 has nothing before it.
    assert_eq!(decode(&|bytes| bytes[40] = 8), Err(HeadError::Links));
    assert_eq!(decode(&|bytes| bytes[40] = 1), Err(HeadError::Links));
    // Head 7 skips to head 6, which is the one before it: one head, one hash.
    assert_eq!(decode(&|bytes| bytes[80] ^= 1), Err(HeadError::Links));
}

#[test]
fn a_head_names_its_root_and_packs() {
    let cast = Cast::new();
    let root = vec![5; 4096];
    let packs = |numbers: &[u8]| {
        let packs = numbers.iter().map(|number| PackId::of(&[*number]));
        PackList::from_unordered(packs.collect()).unwrap()
    };
    let (adds, removes) = (packs(&[1, 2]), packs(&[3]));
    let make = |root: &[u8]| {
        let head = cast.next(&cast.alice, |head| {
            head.root = RootHash::of(root);
            head.adds = adds.hash();
            head.removes = removes.hash();
        });
        cast.verify_next(head, &cast.vault.log).unwrap()
    };
    let head = make(&root);
    assert_eq!(head.check_root(&root), Ok(()));
    assert_eq!(head.check_root(&[6; 4096]), Err(HeadError::OtherRoot));
    assert_eq!(make(&[5; 16_384]).check_root(&[5; 16_384]), Ok(()));
    // A root of another length is none, whatever its hash.
    let short = vec![5; 4095];
    assert_eq!(make(&short).check_root(&short), Err(HeadError::OtherRoot));

    assert_eq!(head.check_packs(&adds, &removes), Ok(()));
    for (adds, removes) in [
        (&packs(&[1]), &removes),
        (&adds, &packs(&[])),
        (&removes, &adds),
    ] {
        let error = head.check_packs(adds, removes);
        assert_eq!(error, Err(HeadError::OtherPacks));
    }
}

/// The associated data of the root is the head but for the root's hash.
#[test]
fn the_roots_associated_data_leaves_its_hash_out() {
    let cast = Cast::new();
    let head = cast.heads.at(6).claims();
    let mut bytes = head.to_signed_bytes();
    assert_eq!(bytes[264..296], *head.root.as_bytes());
    bytes[264..296].fill(0);
    assert_eq!(head.to_root_associated_data(), bytes);
    let other = Head {
        root: RootHash::from_array([7; 32]),
        ..head.clone()
    };
    assert_eq!(other.to_root_associated_data(), bytes);
}
