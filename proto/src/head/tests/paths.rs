use std::sync::LazyLock;

use proptest::prelude::*;

use super::Cast;
use crate::head::{
    Head, HeadContext, HeadError, PreviousHeads, SeenHeads, UnverifiedHead, skip_path, skip_seq,
    verify_path,
};
use crate::ids::RootHash;
use crate::testing::{TestHeads, signed_head};

const COUNT: u64 = 700;

/// A long chain, and where it forks.
struct Chains {
    cast: Cast,
    main: TestHeads,
    /// The main chain up to head 299, and another from 300 on.
    other: TestHeads,
}

static CHAINS: LazyLock<Chains> = LazyLock::new(|| {
    let cast = Cast::new();
    let mut main = TestHeads::default();
    main.extend_unsigned(&cast.vault, &cast.alice, COUNT);
    let mut other = main.clone();
    other.heads.truncate(299);
    other.extend_unsigned(&cast.vault, &cast.bob, COUNT - 299);
    Chains { cast, main, other }
});

fn path(chain: &TestHeads, newest: u64, known: u64) -> Vec<UnverifiedHead> {
    chain.take(&skip_path(newest, known))
}

fn seen(chain: &TestHeads, seq: u64) -> SeenHeads {
    if seq == 0 {
        return SeenHeads::none();
    }
    let newest = chain.at(seq).to_bytes();
    SeenHeads::collect(&newest, |seq| Some(chain.at(seq).hash())).unwrap()
}

/// The most heads on the way between two that are `distance` apart.
fn longest(distance: u64) -> usize {
    let bits = distance.next_power_of_two().ilog2() as usize;
    bits * (bits + 1) / 2 + 1
}

/// A pair of places, the second one newer.
fn two_places() -> impl Strategy<Value = (u64, u64)> {
    (0..COUNT).prop_flat_map(|known| (Just(known), known + 1..=COUNT))
}

#[test]
fn skips_strip_the_lowest_bit() {
    let skips: Vec<_> = (1..=12).map(skip_seq).collect();
    assert_eq!(skips, [0, 0, 2, 0, 4, 4, 6, 0, 8, 8, 10, 8]);
    assert_eq!((skip_seq(0), skip_seq(u64::MAX)), (0, u64::MAX - 1));
}

#[test]
fn a_path_is_greedy() {
    assert_eq!(skip_path(12, 0), [12, 8]);
    assert_eq!(skip_path(12, 8), [12]);
    assert_eq!(skip_path(12, 5), [12, 8, 7, 6]);
    assert_eq!(skip_path(13, 1), [13, 12, 8, 7, 6, 4, 3, 2]);
    assert_eq!(skip_path(5, 4), [5]);
    assert_eq!((skip_path(4, 4), skip_path(4, 9)), (vec![], vec![]));
}

#[test]
fn a_hundred_thousand_heads_take_a_short_path() {
    let cast = &CHAINS.cast;
    let mut chain = TestHeads::default();
    chain.extend_unsigned(&cast.vault, &cast.alice, 131_072);
    // 2^17 seen from head 1 is the worst case up to there.
    for (newest, known, heads) in [
        (100_000, 0, 6),
        (100_000, 1, 141),
        (100_001, 65_536, 6),
        (131_072, 1, 153),
        (131_072, 0, 1),
        (131_071, 31_071, 68),
    ] {
        let path = path(&chain, newest, known);
        assert_eq!(path.len(), heads, "from {newest} to {known}");
        assert!(path.len() <= longest(newest - known));
        let followed = seen(&chain, known).follow(path).unwrap();
        assert_eq!(followed.seen, seen(&chain, newest));
    }
}

#[test]
fn no_path_is_longer_than_it_may_be() {
    for newest in 1..=2048 {
        for known in 0..newest {
            assert!(skip_path(newest, known).len() <= longest(newest - known));
        }
    }
}

#[test]
fn an_empty_path_and_the_known_head_bring_nothing_new() {
    let Chains { main, .. } = &*CHAINS;
    let known = seen(main, 9);
    assert_eq!(verify_path(known.position(), &[]), Ok(()));
    assert_eq!(verify_path(known.position(), &main.take(&[9])), Ok(()));
    for path in [vec![], main.take(&[9])] {
        let error = known.follow(path).unwrap_err();
        assert_eq!(error, HeadError::Repeated { seq: 9 });
    }
    let error = SeenHeads::none().follow(vec![]).unwrap_err();
    assert_eq!(error, HeadError::Repeated { seq: 0 });
}

#[test]
fn an_older_head_is_told_from_a_fork() {
    let Chains { main, other, .. } = &*CHAINS;
    let known = Some(main.position_at(400));
    let older = |got| {
        let known = main.position_at(400);
        Err(HeadError::Older { known, got })
    };
    assert_eq!(verify_path(known, &main.take(&[399])), older(399));
    assert_eq!(verify_path(known, &other.take(&[350, 349])), older(350));
    let fork = Err(HeadError::Fork { seq: 400 });
    assert_eq!(verify_path(known, &other.take(&[400])), fork);
    assert_eq!(verify_path(known, &other.take(&[401])), fork);
    assert_eq!(verify_path(known, &main.take(&[400, 399])), fork);
}

#[test]
fn a_path_that_does_not_reach_what_is_known_lacks_a_link() {
    let Chains { main, .. } = &*CHAINS;
    let missing = |newer, older| Err(HeadError::MissingLink { newer, older });
    let known = Some(main.position_at(5));
    assert_eq!(verify_path(known, &main.take(&[12, 8, 7])), missing(7, 5));
    assert_eq!(verify_path(known, &main.take(&[12, 7, 6])), missing(12, 7));
    assert_eq!(verify_path(known, &main.take(&[12, 8, 8])), missing(8, 8));
    assert_eq!(verify_path(known, &main.take(&[12, 8, 9])), missing(8, 9));
    // Beyond what is known, down to the beginning: the known head was passed by.
    assert_eq!(verify_path(known, &main.take(&[12, 8])), missing(8, 5));
    assert_eq!(
        verify_path(known, &main.take(&[12, 8, 7, 6, 4])),
        missing(4, 5)
    );
    assert_eq!(verify_path(None, &main.take(&[12])), missing(12, 0));
    assert_eq!(
        verify_path(None, &main.take(&[12, 11, 10, 9])),
        missing(9, 0)
    );
}

#[test]
fn heads_of_two_vaults_make_no_path() {
    let Chains { cast, main, .. } = &*CHAINS;
    let mut head = main.at(9).claims().clone();
    head.vault = crate::ids::VaultId::from_array([1; 32]);
    let head = signed_head(head, &cast.alice.machine);
    let mixed = [vec![head.clone()], main.take(&[8])].concat();
    assert_eq!(verify_path(None, &mixed), Err(HeadError::NotThisVault));
    let error = seen(main, 8).follow(vec![head]).unwrap_err();
    assert_eq!(error, HeadError::NotThisVault);
}

/// A head whose maker knew less than the one before him did.
#[test]
fn places_in_logs_never_go_back_along_a_path() {
    let cast = &CHAINS.cast;
    let ahead: [fn(&mut Head); 3] = [
        |head| head.vault_position.seq += 1,
        |head| head.account_position.seq += 1,
        |head| head.epoch += 1,
    ];
    for change in ahead {
        let mut heads = cast.heads.clone();
        let mut head = heads.draft(&cast.vault, &cast.alice);
        change(&mut head);
        heads.heads.push(signed_head(head, &cast.alice.machine));
        heads.extend(&cast.vault, &cast.alice, 1);
        let stale = Some(HeadError::StalePosition);
        // On the way, and from the one that was seen last.
        let error = seen(&heads, 6).follow(heads.take(&[8, 7])).err();
        assert_eq!(error, stale);
        assert_eq!(seen(&heads, 7).follow(heads.take(&[8])).err(), stale);
        // Two authors' logs have nothing to do with each other.
        heads.heads.pop();
        heads.extend(&cast.vault, &cast.bob, 1);
        let error = seen(&heads, 7).follow(heads.take(&[8])).err();
        let of_alice = heads.at(7).claims().account_position.seq > 3;
        assert_eq!(error, stale.filter(|_| !of_alice));
    }
}

/// The links that the way does not take are checked where they lead to what is
/// known, so that a later way cannot lead elsewhere.
#[test]
fn a_skip_hash_of_another_chain_is_refused() {
    let cast = &CHAINS.cast;
    let mut heads = cast.heads.clone();
    heads.heads.pop();
    let mut head = heads.draft(&cast.vault, &cast.alice);
    assert_eq!((head.seq, skip_seq(head.seq)), (6, 4));
    head.skip = Some(crate::ids::HeadHash::from_array([1; 32]));
    heads.heads.push(signed_head(head, &cast.alice.machine));
    heads.extend(&cast.vault, &cast.alice, 1);
    let fork = Some(HeadError::Fork { seq: 4 });
    // The target was kept, or is on the way; as the newest, or in the middle.
    assert_eq!(seen(&heads, 5).follow(heads.take(&[6])).err(), fork);
    assert_eq!(seen(&heads, 5).follow(heads.take(&[7, 6])).err(), fork);
    assert_eq!(seen(&heads, 3).follow(heads.take(&[6, 5, 4])).err(), fork);
    assert_eq!(
        seen(&heads, 3).follow(heads.take(&[7, 6, 5, 4])).err(),
        fork
    );
    let error = heads.at(6).clone().verify(&HeadContext {
        vault_log: &cast.vault.log,
        account_logs: &cast.logs,
        previous: PreviousHeads::Next(&seen(&heads, 5)),
    });
    assert_eq!(error.err(), fork);
}

#[test]
fn what_was_stored_must_fit_together() {
    let Chains { main, .. } = &*CHAINS;
    let kept = seen(main, 13);
    let newest = main.at(13).to_bytes();
    let skips = kept.skips();
    assert_eq!(skips.len(), 2);
    assert_eq!(SeenHeads::restore(&newest, &skips), Ok(kept));
    let links = Err(HeadError::Links);
    let four = main.at(4).hash();
    assert_eq!(SeenHeads::restore(&newest, &skips[..1]), links);
    assert_eq!(SeenHeads::restore(&newest, &[]), links);
    assert_eq!(
        SeenHeads::restore(&newest, &[skips[0], skips[1], four]),
        links
    );
    assert_eq!(SeenHeads::restore(&newest, &[four, skips[1]]), links);
    let length = Err(HeadError::Length(455));
    assert_eq!(SeenHeads::restore(&newest[1..], &skips), length);
    let missing = HeadError::MissingLink {
        newer: 13,
        older: 12,
    };
    assert_eq!(SeenHeads::collect(&newest, |_| None), Err(missing));
}

proptest! {
    #[test]
    fn a_path_verifies_and_brings_what_was_seen_forward((known, newest) in two_places()) {
        let main = &CHAINS.main;
        let before = seen(main, known);
        let path = path(main, newest, known);
        prop_assert!(path.len() <= longest(newest - known));
        prop_assert_eq!(verify_path(before.position(), &path), Ok(()));
        let followed = before.follow(path).unwrap();
        let after = seen(main, newest);
        prop_assert_eq!(&followed.seen, &after);
        let links = after.next_links();
        if newest < COUNT {
            let next = main.at(newest + 1).claims();
            prop_assert_eq!((links.previous, links.skip), (next.previous, next.skip));
        }
        // So does one that takes every head, or a detour.
        let all: Vec<_> = (known + 1..=newest).rev().collect();
        prop_assert_eq!(&before.follow(main.take(&all)).unwrap().seen, &after);
    }

    #[test]
    fn a_fork_anywhere_is_refused(known in 300..COUNT, ahead in 1..COUNT) {
        let Chains { main, other, .. } = &*CHAINS;
        let newest = (known + ahead).min(COUNT);
        // What is known is of one branch, what comes of the other.
        let error = verify_path(Some(main.position_at(known)), &path(other, newest, known));
        prop_assert_eq!(error, Err(HeadError::Fork { seq: known }));
        // Who knows only what the branches share cannot tell; who saw both ends can.
        let shared = known % 300;
        let reached = verify_path(
            (shared > 0).then(|| main.position_at(shared)),
            &path(other, newest, shared),
        );
        prop_assert_eq!(reached, Ok(()));
    }

    #[test]
    fn a_head_on_the_path_cannot_be_another(
        (known, newest) in two_places(),
        at in any::<prop::sample::Index>(),
    ) {
        let Chains { cast, main, .. } = &*CHAINS;
        let known = seen(main, known).position();
        let good = path(main, newest, known.map_or(0, |known| known.seq));
        let at = at.index(good.len());

        let mut changed = good.clone();
        let mut head = good[at].claims().clone();
        head.root = RootHash::from_array([9; 32]);
        changed[at] = signed_head(head, &cast.alice.machine);
        // The newest is named by nobody: its signature is what it is held to.
        let expected = match at {
            0 => Ok(()),
            _ => Err(HeadError::Fork { seq: good[at].seq() }),
        };
        prop_assert_eq!(verify_path(known, &changed), expected);

        let mut shorter = good.clone();
        shorter.remove(at);
        if at > 0 {
            prop_assert!(verify_path(known, &shorter).is_err());
        }
        let mut twice = good.clone();
        twice.insert(at, good[at].clone());
        prop_assert!(verify_path(known, &twice).is_err());
        if at > 0 {
            let mut swapped = good.clone();
            swapped.swap(at - 1, at);
            prop_assert!(verify_path(known, &swapped).is_err());
        }
    }

    #[test]
    fn a_hash_that_is_known_is_held_to((known, newest) in two_places()) {
        let main = &CHAINS.main;
        if known > 0 {
            let mut position = main.position_at(known);
            position.hash = crate::ids::HeadHash::from_array([1; 32]);
            let error = verify_path(Some(position), &path(main, newest, known));
            prop_assert_eq!(error, Err(HeadError::Fork { seq: known }));
        }
    }
}
