//! What the hoster's own commands are told of a member.

use vault_proto::ids::DeviceId;

use super::{
    fixture::*,
    links::{count, create, link, new, opened, three_packs},
};
use crate::store::{
    ledger::{
        DownloadCount, HeadChanges, Ledger, LinkCreation, NewLink, NewOffer, OfferOutcome, Terms,
        WaitingOffer,
    },
    records::{OfferFrom, OfferHash, Token, TokenHash},
};

fn leave(ledger: &dyn Ledger, to: u8, from: OfferFrom, offer: &[u8]) -> WaitingOffer {
    let hash = OfferHash::of(offer);
    let new = NewOffer {
        account: account(to),
        hash,
        offer,
        from,
        now: NOW,
    };
    assert_eq!(ledger.put_offer(&new).unwrap(), OfferOutcome::Kept);
    WaitingOffer {
        account: account(to),
        from,
        hash,
        sealed_bytes: offer.len() as u32,
        until: NOW.plus(Terms::default().offer),
    }
}

pub(crate) fn what_is_kept_of_an_account_is_shown(ledger: &dyn Ledger) {
    let used = || ledger.invitation_of(&account(1)).unwrap();
    assert_eq!(used(), None);
    open_account(ledger, 1);
    open_account(ledger, 2);
    let invitation = used().unwrap();
    assert_eq!(invitation.used_by, Some(account(1)));
    assert_eq!(
        (invitation.quota_bytes, &invitation.label[..]),
        (QUOTA, "somebody")
    );

    let token = |by, expires| Token {
        account: account(by),
        device: DeviceId::from_array([by; 32]),
        expires,
    };
    let (own, others) = (token(1, NOW), token(2, NOW));
    for (number, token) in [own, others].iter().enumerate() {
        ledger
            .add_token(&TokenHash([number as u8; 32]), token)
            .unwrap();
    }
    // Until the sweep has taken it.
    assert_eq!(ledger.tokens_of(&account(1)).unwrap(), [own]);
    assert_eq!(ledger.tokens_of(&account(3)).unwrap(), []);

    let by_a_member = leave(ledger, 1, OfferFrom::Member(account(2)), &[1; 10]);
    let by_a_stranger = leave(ledger, 1, OfferFrom::Stranger, &[2; 20]);
    let for_another = leave(ledger, 2, OfferFrom::Member(account(2)), &[3; 30]);
    let mut waiting = ledger.offers_for(&account(1)).unwrap();
    waiting.sort_by_key(|offer| offer.sealed_bytes);
    assert_eq!(waiting, [by_a_member, by_a_stranger]);
    let left = ledger.offers_left_by(&account(2)).unwrap();
    assert_eq!(left, [by_a_member, for_another]);
    assert_eq!(ledger.offers_left_by(&account(1)).unwrap(), []);
}

pub(crate) fn what_is_kept_of_a_link_and_a_head_is_shown(ledger: &dyn Ledger) {
    three_packs(ledger);
    let adds = packs([1, 2, 3]);
    let changes = |seq| ledger.changes(&vault(11), seq).unwrap();
    let removes = Vec::new();
    assert_eq!(changes(1), Some(HeadChanges { adds, removes }));
    assert_eq!(changes(2), None);
    let mut named = vec![(pack(2), vec![1]), (pack(3), vec![1])];
    named.sort();
    let shared = NewLink {
        packs: &named,
        ..new(1)
    };
    for link in [shared, new(2)] {
        assert_eq!(create(ledger, &link), LinkCreation::Created);
    }
    for (number, by, now) in [(1, 1, NOW.plus(DAY)), (1, 2, NOW), (2, 3, NOW)] {
        opened(ledger, number, by, now);
    }
    assert_eq!(count(ledger, 2, NOW), DownloadCount::Counted);
    let link = link(ledger, 1).unwrap();
    assert_eq!(ledger.linked_packs(&link.id).unwrap(), packs([1, 2, 3]));
    let tickets = ledger.tickets_of(&link.id).unwrap();
    let shown: Vec<_> = tickets.iter().map(|t| (t.opened, t.counted)).collect();
    assert_eq!(shown, [(NOW, true), (NOW.plus(DAY), false)]);
    ledger.drop_link(&link.id).unwrap();
    assert_eq!(ledger.linked_packs(&link.id).unwrap(), []);
}
