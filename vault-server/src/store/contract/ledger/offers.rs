//! Offers that wait for their recipients.

use std::thread;

use super::fixture::*;
use crate::{
    clock::UnixTime,
    store::{
        ledger::{Ledger, NewOffer, OfferOutcome, Terms},
        records::{OfferFrom, OfferHash},
    },
};

fn put_at(
    ledger: &dyn Ledger,
    number: u8,
    offer: &[u8],
    from: OfferFrom,
    now: UnixTime,
) -> OfferOutcome {
    ledger
        .put_offer(&NewOffer {
            account: account(number),
            hash: OfferHash::of(offer),
            offer,
            from,
            now,
        })
        .unwrap()
}

/// From a member of whom it is the only one, if the offers' first bytes differ.
fn put(ledger: &dyn Ledger, number: u8, offer: &[u8]) -> OfferOutcome {
    put_at(ledger, number, offer, member(offer[0]), NOW)
}

/// A member, here or not: that is not asked.
fn member(number: u8) -> OfferFrom {
    OfferFrom::Member(account(number))
}

fn listed(ledger: &dyn Ledger, number: u8, now: UnixTime) -> Vec<Vec<u8>> {
    let offers = ledger.offers(&account(number), now).unwrap();
    offers.into_iter().map(|offer| offer.offer).collect()
}

pub(crate) fn offers_wait_for_one_account_in_their_order(ledger: &dyn Ledger) {
    assert_eq!(put(ledger, 1, &[1]), OfferOutcome::NoSuchAccount);
    open_account(ledger, 1);
    open_account(ledger, 2);
    for (minute, offer) in [9, 3, 7, 1].into_iter().enumerate() {
        let now = UnixTime::from_seconds(NOW.seconds() + 60 * minute as u64);
        let put = put_at(ledger, 1, &[offer], OfferFrom::Stranger, now);
        assert_eq!(put, OfferOutcome::Kept);
    }
    assert_eq!(put(ledger, 2, &[9]), OfferOutcome::Kept);
    assert_eq!(listed(ledger, 1, NOW), [[9], [3], [7], [1]]);
    assert_eq!(listed(ledger, 2, NOW), [[9]]);
    let offers = ledger.offers(&account(1), NOW).unwrap();
    assert!(offers.iter().all(|offer| offer.from == OfferFrom::Stranger));
    // One that is there is not there twice.
    assert_eq!(put(ledger, 1, &[3]), OfferOutcome::Kept);
    assert_eq!(listed(ledger, 1, NOW), [[9], [3], [7], [1]]);
    ledger
        .drop_offer(&account(1), &OfferHash::of(&[3]))
        .unwrap();
    ledger
        .drop_offer(&account(1), &OfferHash::of(&[3]))
        .unwrap();
    ledger
        .drop_offer(&account(2), &OfferHash::of(&[7]))
        .unwrap();
    assert_eq!(listed(ledger, 1, NOW), [[9], [7], [1]]);
    assert_eq!(listed(ledger, 2, NOW), [[9]]);
}

pub(crate) fn a_box_has_so_much_room_and_less_for_strangers(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    let Terms {
        offers,
        offers_of_strangers,
        ..
    } = Terms::default();
    let fill = |from: &dyn Fn(u8) -> OfferFrom, first: u8| {
        let kept = (0..=255u8).take_while(|number| {
            let offer = [first, *number];
            put_at(ledger, 1, &offer, from(*number), NOW) == OfferOutcome::Kept
        });
        kept.count()
    };
    assert_eq!(fill(&|_| OfferFrom::Stranger, 1), offers_of_strangers);
    let rest = offers - offers_of_strangers;
    assert_eq!(fill(&member, 2), rest);
    assert_eq!(listed(ledger, 1, NOW).len(), offers);
    // What is there needs no room.
    assert_eq!(put(ledger, 1, &[2, 0]), OfferOutcome::Kept);
    ledger
        .drop_offer(&account(1), &OfferHash::of(&[2, 0]))
        .unwrap();
    let refused = put_at(ledger, 1, &[3, 0], OfferFrom::Stranger, NOW);
    assert_eq!(refused, OfferOutcome::Full);
    assert_eq!(put(ledger, 1, &[200, 0]), OfferOutcome::Kept);
    assert_eq!(put(ledger, 1, &[200, 1]), OfferOutcome::Full);
}

pub(crate) fn one_member_cannot_fill_the_box_of_another(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    open_account(ledger, 2);
    let most = Terms::default().offers_of_one;
    for number in 0..most {
        assert_eq!(put(ledger, 1, &[7, number as u8]), OfferOutcome::Kept);
    }
    assert_eq!(put(ledger, 1, &[7, 255]), OfferOutcome::Full);
    assert_eq!(put(ledger, 1, &[7, 0]), OfferOutcome::Kept, "it is there");
    // Another may still, and he for another.
    assert_eq!(put(ledger, 1, &[8, 0]), OfferOutcome::Kept);
    assert_eq!(put(ledger, 2, &[7, 255]), OfferOutcome::Kept);
    ledger
        .drop_offer(&account(1), &OfferHash::of(&[7, 0]))
        .unwrap();
    assert_eq!(put(ledger, 1, &[7, 255]), OfferOutcome::Kept);
}

pub(crate) fn an_offer_waits_sixty_days(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    assert_eq!(put(ledger, 1, &[1]), OfferOutcome::Kept);
    let later = NOW.plus(DAY);
    let second = put_at(ledger, 1, &[2], member(1), later);
    assert_eq!(second, OfferOutcome::Kept);
    let last = UnixTime::from_seconds(NOW.plus(DAY * 60).seconds() - 1);
    assert_eq!(ledger.drop_due_offers(last, 10).unwrap(), 0);
    assert_eq!(listed(ledger, 1, last), [[1], [2]]);
    let over = NOW.plus(DAY * 60);
    // Whether or not it was swept.
    assert_eq!(listed(ledger, 1, over), [[2]]);
    assert_eq!(ledger.drop_due_offers(over, 10).unwrap(), 1);
    assert_eq!(ledger.drop_due_offers(over, 10).unwrap(), 0);
    assert_eq!(listed(ledger, 1, NOW), [[2]]);
    // One that was dropped leaves nothing for the sweep.
    ledger
        .drop_offer(&account(1), &OfferHash::of(&[2]))
        .unwrap();
    let much_later = NOW.plus(DAY * 999);
    assert_eq!(ledger.drop_due_offers(much_later, 10).unwrap(), 0);
}

pub(crate) fn offers_at_once_never_exceed_the_box(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    let kept: usize = thread::scope(|scope| {
        let threads = [0, 1, 2, 3u8].map(|part| {
            scope.spawn(move || {
                let offers = (0..40u8).map(|number| put(ledger, 1, &[40 * part + number]));
                let kept = offers.filter(|outcome| *outcome == OfferOutcome::Kept);
                kept.count()
            })
        });
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(kept, Terms::default().offers);
    assert_eq!(listed(ledger, 1, NOW).len(), kept);
}
