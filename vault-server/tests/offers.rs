//! Offers of membership that wait for an account.

use std::time::Duration;

use tonic::{Request, Status};
use vault_proto::ids::AccountId;
use vault_rpc::hoster::{DropOfferRequest, ListOffersRequest, PutOfferRequest, Reason};

use crate::support::{Member, TestServer, assert_refused, random};

/// With a token or without.
async fn put(member: &Member, token: bool, account: AccountId, offer: &[u8]) -> Result<(), Status> {
    let message = PutOfferRequest {
        account: account.to_vec(),
        offer: offer.to_vec(),
    };
    let request = match token {
        true => member.request(message),
        false => Request::new(message),
    };
    member.client.clone().put_offer(request).await.map(drop)
}

async fn list(member: &Member) -> Vec<Vec<u8>> {
    let request = member.request(ListOffersRequest {});
    let answer = member.client.clone().list_offers(request).await;
    answer.unwrap().into_inner().offers
}

async fn remove(member: &Member, offer: &[u8]) {
    let request = member.request(DropOfferRequest {
        hash: blake3::hash(offer).as_bytes().to_vec(),
    });
    member.client.clone().drop_offer(request).await.unwrap();
}

#[tokio::test]
async fn an_offer_waits_until_it_is_dropped() {
    let server = TestServer::start().await;
    let (alice, mut bob) = (server.member().await, server.member().await);
    put(&alice, true, bob.id(), b"first").await.unwrap();
    server.clock.advance(Duration::from_secs(1));
    put(&alice, false, bob.id(), b"second").await.unwrap();
    put(&alice, true, bob.id(), b"first").await.unwrap();
    assert_eq!(list(&bob).await, [&b"first"[..], b"second"]);
    assert_eq!(list(&alice).await, Vec::<Vec<u8>>::new());
    // Nobody drops another's.
    remove(&alice, b"first").await;
    assert_eq!(list(&bob).await.len(), 2);

    let server = server.restart(|_| {}).await;
    let invitation = server.invite(1).await;
    bob.reconnect(server.dial(&invitation).await);
    assert_eq!(list(&bob).await, [&b"first"[..], b"second"]);
    for _ in 0..2 {
        remove(&bob, b"first").await;
    }
    assert_eq!(list(&bob).await, [b"second"]);
    server.clock.advance(Duration::from_secs(60 * 24 * 60 * 60));
    bob.log_in().await;
    assert_eq!(list(&bob).await, Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn a_box_has_room_for_so_many() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.member().await, server.member().await);
    for number in 0..16u8 {
        put(&alice, false, bob.id(), &[number]).await.unwrap();
    }
    let stranger = put(&alice, false, bob.id(), &[16]).await;
    assert_refused(stranger, Reason::BoxFull);
    for number in 16..24u8 {
        put(&alice, true, bob.id(), &[number]).await.unwrap();
    }
    // One member fills nobody's box.
    let full = put(&alice, true, bob.id(), &[24]).await;
    assert_refused(full, Reason::BoxFull);
    for sender in 3..8 {
        let member = server.member().await;
        for number in 0..8 {
            let offer = [8 * sender + number];
            put(&member, true, bob.id(), &offer).await.unwrap();
        }
    }
    let full = put(&server.member().await, true, bob.id(), &[64]).await;
    assert_refused(full, Reason::BoxFull);
    assert_eq!(list(&bob).await.len(), 64);
    // Others have boxes of their own.
    put(&bob, true, alice.id(), &[1]).await.unwrap();
}

#[tokio::test]
async fn an_offer_is_for_somebody_at_home_here() {
    let (server, home) = (TestServer::start().await, TestServer::start().await);
    let alice = server.member().await;
    let nobody = AccountId::from_array(random());
    for token in [true, false] {
        let refused = put(&alice, token, nobody, b"offer").await;
        assert_refused(refused, Reason::NotFound);
    }
    let guest = home.member().await;
    alice.bring(&guest, 1).await.unwrap();
    let refused = put(&alice, true, guest.id(), b"offer").await;
    assert_refused(refused, Reason::Moved);
    assert_refused(put(&alice, true, alice.id(), b"").await, Reason::Malformed);
    let long = vec![1; (16 << 10) + 1];
    assert_refused(put(&alice, true, alice.id(), &long).await, Reason::TooLarge);
    put(&alice, true, alice.id(), &long[1..]).await.unwrap();
    // A token that is there has to be good.
    let mut mallory = alice.clone();
    mallory.token = random::<32>().to_vec();
    let refused = put(&mallory, true, alice.id(), b"offer").await;
    assert_refused(refused, Reason::Unauthenticated);
}

#[tokio::test]
async fn guests_leave_what_whoever_brought_them_may_leave() {
    let (server, home) = (TestServer::start().await, TestServer::start().await);
    let (alice, bob) = (server.member().await, server.member().await);
    let mut number = 0;
    for _ in 0..4 {
        let guest = home.member().await;
        alice.bring(&guest, 1).await.unwrap();
        let mut guest = guest.at(&server).await;
        guest.log_in().await;
        for _ in 0..2 {
            number += 1;
            put(&guest, true, bob.id(), &[number]).await.unwrap();
        }
    }
    let full = put(&alice, true, bob.id(), &[100]).await;
    assert_refused(full, Reason::BoxFull);
    put(&server.member().await, true, bob.id(), &[100])
        .await
        .unwrap();
}
