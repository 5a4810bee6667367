//! The life of a pack before a head adds it, and room for it.

use std::thread;

use super::fixture::*;
use crate::{
    clock::UnixTime,
    store::{
        ledger::{Commit, Ledger, QuotaRoom, Reserve},
        records::PackState,
    },
};

pub(crate) fn room_is_reserved_and_given_back(ledger: &dyn Ledger) {
    assert_eq!(
        ledger
            .reserve(&blob(11, 1, 1), QuotaRoom::Plain, NOW)
            .unwrap(),
        Reserve::NoSuchVault
    );
    one_vault(ledger);
    let first = reserve(ledger, &blob(11, 1, 512 * KIB));
    // Uploads under way count, though nothing of them is stored.
    let second = ledger
        .reserve(&blob(11, 2, 512 * KIB), QuotaRoom::Plain, NOW)
        .unwrap();
    assert_eq!(second, Reserve::OverQuota(full(524_288)));
    assert_eq!(usage(ledger, 1), usage_of(0, 0, 0));
    ledger.release(first);
    let second = reserve(ledger, &blob(11, 2, 512 * KIB));
    ledger.record_pack(second, NOW).unwrap();
    let third = ledger
        .reserve(&blob(11, 3, 512 * KIB), QuotaRoom::Plain, NOW)
        .unwrap();
    assert_eq!(third, Reserve::OverQuota(full(524_288)));
    // What is there needs no room.
    let again = ledger
        .reserve(&blob(11, 2, 512 * KIB), QuotaRoom::Plain, NOW)
        .unwrap();
    assert_eq!(again, Reserve::There);
    let smaller = reserve(ledger, &blob(11, 3, 256 * KIB));
    ledger.release(smaller);
}

pub(crate) fn a_lowered_quota_is_noticed(ledger: &dyn Ledger) {
    one_vault(ledger);
    let reservation = reserve(ledger, &blob(11, 1, 64 * KIB));
    assert_eq!(ledger.still_fits(&reservation).unwrap(), None);
    assert_eq!(ledger.set_quota(&account(1), 1000).unwrap(), Some(QUOTA));
    assert_eq!(ledger.set_quota(&account(1), 1000).unwrap(), Some(1000));
    assert_eq!(ledger.set_quota(&account(2), 1000).unwrap(), None);
    let fullness = ledger.still_fits(&reservation).unwrap().unwrap();
    assert_eq!((fullness.quota_bytes, fullness.used_bytes), (1000, 0));
    ledger.release(reservation);
}

/// What is there stays, and can be committed; more is refused until there is room.
pub(crate) fn a_quota_may_be_less_than_is_used(ledger: &dyn Ledger) {
    one_vault(ledger);
    upload(ledger, &blob(11, 1, 64 * KIB));
    upload(ledger, &blob(11, 2, 16 * KIB));
    let try_one_more = || {
        let asked = ledger.reserve(&blob(11, 3, 16 * KIB), QuotaRoom::Plain, NOW);
        match asked.unwrap() {
            Reserve::Reserved(reservation) => {
                ledger.release(reservation);
                None
            }
            Reserve::OverQuota(fullness) => Some((fullness.quota_bytes, fullness.used_bytes)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(try_one_more(), None);
    let less = u64::from(64 * KIB);
    assert_eq!(ledger.set_quota(&account(1), less).unwrap(), Some(QUOTA));
    assert_eq!(try_one_more(), Some((less, u64::from(80 * KIB))));
    assert_eq!(usage(ledger, 1), usage_of(0, 80 * KIB, 0));
    assert_eq!(commit(ledger, 1, &packs([1, 2]), &[]), Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(80 * KIB, 0, 0));
    let enough = u64::from(96 * KIB);
    assert_eq!(ledger.set_quota(&account(1), enough).unwrap(), Some(less));
    assert_eq!(try_one_more(), None);
}

pub(crate) fn an_upload_becomes_usage_once(ledger: &dyn Ledger) {
    one_vault(ledger);
    let blob = blob(11, 1, 64 * KIB);
    // The same pack twice at once, as after a lost connection.
    let (one, two) = (reserve(ledger, &blob), reserve(ledger, &blob));
    assert_eq!(record(ledger, &blob), None);
    ledger.record_pack(one, NOW).unwrap();
    ledger.record_pack(two, NOW).unwrap();
    assert_eq!(usage(ledger, 1), usage_of(0, 64 * KIB, 0));
    let until = NOW.plus(DAY * 7);
    assert_eq!(state(ledger, &blob), PackState::Unclaimed { until });
}

pub(crate) fn packs_belong_to_a_vault(ledger: &dyn Ledger) {
    one_vault(ledger);
    make_vault(ledger, 12);
    let (here, there) = (blob(11, 1, 64 * KIB), blob(12, 1, 64 * KIB));
    upload(ledger, &here);
    assert_eq!(record(ledger, &there), None);
    assert_eq!(
        commit_at(ledger, 12, 1, &packs([1]), &[], NOW),
        Commit::Missing(packs([1]))
    );
    upload(ledger, &there);
    assert_eq!(usage(ledger, 1), usage_of(0, 128 * KIB, 0));
    let mut visited = Vec::new();
    ledger
        .visit_packs(Some(&vault(12)), &mut |vault, pack, record| {
            visited.push((*vault, *pack, record.size));
            Ok(())
        })
        .unwrap();
    assert_eq!(visited, [(there.vault, there.pack, there.size)]);
    let mut all = 0;
    let mut count = |_: &_, _: &_, _: &_| {
        all += 1;
        Ok(())
    };
    ledger.visit_packs(None, &mut count).unwrap();
    assert_eq!(all, 2);
}

pub(crate) fn all_vaults_of_an_account_share_its_quota(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    open_account(ledger, 2);
    for number in [11, 12, 21] {
        make_vault(ledger, number);
    }
    upload(ledger, &blob(11, 1, 512 * KIB));
    let second = ledger
        .reserve(&blob(12, 1, 512 * KIB), QuotaRoom::Plain, NOW)
        .unwrap();
    assert_eq!(second, Reserve::OverQuota(full(524_288)));
    upload(ledger, &blob(21, 1, 512 * KIB));
}

pub(crate) fn a_lease_is_renewed_by_asking_and_by_sending(ledger: &dyn Ledger) {
    one_vault(ledger);
    let (asked, sent, not) = (
        blob(11, 1, 16 * KIB),
        blob(11, 2, 16 * KIB),
        blob(11, 3, 16 * KIB),
    );
    for blob in [&asked, &sent, &not] {
        upload(ledger, blob);
    }
    let later = NOW.plus(DAY * 5);
    let found = ledger
        .renew_leases(&vault(11), &[pack(9), asked.pack], later)
        .unwrap();
    assert!(found[0].is_none() && found[1].is_some());
    assert_eq!(
        ledger.reserve(&sent, QuotaRoom::Plain, later).unwrap(),
        Reserve::There
    );
    let doomed = ledger.doom(NOW.plus(DAY * 7), 10).unwrap();
    assert_eq!(doomed, [not]);
    let mut doomed = ledger.doom(NOW.plus(DAY * 12), 10).unwrap();
    doomed.retain(|blob| *blob != not);
    doomed.sort();
    let mut both = [asked, sent];
    both.sort();
    assert_eq!(doomed, both);
}

pub(crate) fn a_lease_that_is_over_dooms_the_pack(ledger: &dyn Ledger) {
    one_vault(ledger);
    let (first, second) = (blob(11, 1, 16 * KIB), blob(11, 2, 32 * KIB));
    upload(ledger, &first);
    upload_at(ledger, &second, NOW.plus(DAY));
    let before = UnixTime::from_seconds(NOW.plus(DAY * 7).seconds() - 1);
    assert_eq!(ledger.doom(before, 10).unwrap(), []);
    assert_eq!(ledger.doom(NOW.plus(DAY * 7), 10).unwrap(), [first]);
    assert!(!record(ledger, &first).unwrap().is_there());
    assert_eq!(usage(ledger, 1), usage_of(0, 32 * KIB, 0));
    // As good as gone: a head cannot add it, and nobody is told it is there.
    assert_eq!(
        commit(ledger, 1, &packs([1, 2]), &[]),
        Commit::Missing(packs([1]))
    );
    // A committed pack has no lease.
    assert_eq!(commit(ledger, 1, &packs([2]), &[]), Commit::Accepted);
    assert_eq!(ledger.doom(NOW.plus(DAY * 400), 10).unwrap(), [first]);
    assert!(ledger.forget(&first).unwrap());
    assert_eq!(record(ledger, &first), None);
}

pub(crate) fn what_was_doomed_is_named_until_it_is_forgotten(ledger: &dyn Ledger) {
    one_vault(ledger);
    let blobs: Vec<_> = (0..5).map(|number| blob(11, number, 16 * KIB)).collect();
    for blob in &blobs {
        upload(ledger, blob);
    }
    let due = NOW.plus(DAY * 7);
    assert_eq!(ledger.doom(due, 2).unwrap().len(), 2);
    // The server crashed before it unlinked them.
    let again = ledger.doom(due, 10).unwrap();
    assert_eq!(again.len(), 5);
    assert_eq!(usage(ledger, 1), usage_of(0, 0, 0));
    for blob in &again {
        assert!(ledger.forget(blob).unwrap());
        assert!(!ledger.forget(blob).unwrap());
    }
    assert_eq!(ledger.doom(due, 10).unwrap(), []);
}

pub(crate) fn a_doomed_pack_can_be_uploaded_again(ledger: &dyn Ledger) {
    one_vault(ledger);
    let blob = blob(11, 1, 16 * KIB);
    upload(ledger, &blob);
    let due = NOW.plus(DAY * 7);
    assert_eq!(ledger.doom(due, 10).unwrap(), [blob]);
    upload_at(ledger, &blob, due);
    // The sweep, a moment late, leaves it alone.
    assert!(!ledger.forget(&blob).unwrap());
    assert_eq!(ledger.doom(due, 10).unwrap(), []);
    let until = due.plus(DAY * 7);
    assert_eq!(state(ledger, &blob), PackState::Unclaimed { until });
    assert_eq!(usage(ledger, 1), usage_of(0, 16 * KIB, 0));
}

pub(crate) fn a_doomed_pack_can_be_put_off(ledger: &dyn Ledger) {
    one_vault(ledger);
    let blob = blob(11, 1, 16 * KIB);
    upload(ledger, &blob);
    let (due, later) = (NOW.plus(DAY * 7), NOW.plus(DAY * 8));
    // Not before it is doomed.
    ledger.put_off(&blob, later).unwrap();
    assert_eq!(ledger.doom(due, 10).unwrap(), [blob]);
    ledger.put_off(&blob, later).unwrap();
    assert_eq!(ledger.doom(due, 10).unwrap(), []);
    assert_eq!(usage(ledger, 1), usage_of(0, 0, 0));
    assert_eq!(ledger.doom(later, 10).unwrap(), [blob]);
    assert!(ledger.forget(&blob).unwrap());
    ledger.put_off(&blob, later).unwrap();
    assert_eq!(record(ledger, &blob), None);
    assert_eq!(ledger.doom(later, 10).unwrap(), []);
}

pub(crate) fn a_lost_pack_is_repaired_for_nothing(ledger: &dyn Ledger) {
    one_vault(ledger);
    let (kept, unclaimed) = (blob(11, 1, 512 * KIB), blob(11, 2, 256 * KIB));
    upload(ledger, &kept);
    upload(ledger, &unclaimed);
    assert_eq!(commit(ledger, 1, &packs([1]), &[]), Commit::Accepted);
    ledger.mark_lost(&kept).unwrap();
    ledger.mark_lost(&unclaimed).unwrap();
    ledger.mark_lost(&blob(11, 3, 16 * KIB)).unwrap();
    // What no head added is forgotten; what one did is owed.
    assert_eq!(record(ledger, &unclaimed), None);
    assert_eq!(state(ledger, &kept), PackState::Lost);
    assert!(!record(ledger, &kept).unwrap().is_there());
    assert_eq!(usage(ledger, 1), usage_of(512 * KIB, 0, 0));
    assert_eq!(
        commit(ledger, 2, &packs([1]), &[]),
        Commit::Missing(packs([1]))
    );
    // Its bytes count already: there is room, though the quota has none.
    assert_eq!(ledger.set_quota(&account(1), 1000).unwrap(), Some(QUOTA));
    let reservation = reserve(ledger, &kept);
    assert_eq!(ledger.still_fits(&reservation).unwrap(), None);
    ledger.record_pack(reservation, NOW).unwrap();
    assert_eq!(state(ledger, &kept), PackState::Committed);
    assert_eq!(usage(ledger, 1), usage_of(512 * KIB, 0, 0));

    // A head may let go of what is lost.
    ledger.mark_lost(&kept).unwrap();
    assert_eq!(commit(ledger, 2, &[], &packs([1])), Commit::Accepted);
    assert_eq!(usage(ledger, 1), usage_of(0, 0, 0));
    assert_eq!(ledger.doom(NOW, 10).unwrap(), [kept]);
}

pub(crate) fn uploads_at_once_never_exceed_the_quota(ledger: &dyn Ledger) {
    one_vault(ledger);
    make_vault(ledger, 12);
    let upload_some = |vault: u8, from: u32| {
        let mut taken = 0;
        for number in from..from + 50 {
            let blob = blob(vault, number, 16 * KIB);
            match ledger.reserve(&blob, QuotaRoom::Plain, NOW).unwrap() {
                Reserve::Reserved(reservation) if number % 3 == 0 => ledger.release(reservation),
                Reserve::Reserved(reservation) => {
                    ledger.record_pack(reservation, NOW).unwrap();
                    taken += u64::from(blob.size);
                }
                Reserve::OverQuota(_) => {}
                other => panic!("{other:?}"),
            }
        }
        taken
    };
    let upload_some = &upload_some;
    let taken: u64 = thread::scope(|scope| {
        let threads = [(11, 0), (11, 100), (12, 200), (12, 300)]
            .map(|(vault, from)| scope.spawn(move || upload_some(vault, from)));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(usage(ledger, 1).unclaimed_bytes, taken);
    assert!(taken <= QUOTA && taken + u64::from(16 * KIB) > QUOTA);
}

pub(crate) fn a_prune_writes_before_it_removes(ledger: &dyn Ledger) {
    const MIB: u32 = 1 << 20;
    one_vault(ledger);
    let reserve = |number, room| {
        ledger
            .reserve(&blob(11, number, 16 * MIB), room, NOW)
            .unwrap()
    };
    let full = |used_bytes: u32| Reserve::OverQuota(full(used_bytes.into()));
    assert_eq!(reserve(1, QuotaRoom::Plain), full(0));
    let mut held = Vec::new();
    for number in 1..=4 {
        match reserve(number, QuotaRoom::WithPrune) {
            Reserve::Reserved(reservation) => held.push(reservation),
            refused => panic!("{refused:?}"),
        }
    }
    // The quota is 1 MB, so beside these there is room for that and no more.
    assert_eq!(reserve(5, QuotaRoom::WithPrune), full(64 * MIB));
    for reservation in held {
        assert_eq!(ledger.still_fits(&reservation).unwrap(), None);
        ledger.record_pack(reservation, NOW).unwrap();
    }
    assert_eq!(reserve(5, QuotaRoom::Plain), full(64 * MIB));
}
