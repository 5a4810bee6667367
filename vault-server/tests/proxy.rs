//! Behind a reverse proxy, which says who calls.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use tonic::{Request, Status, transport::Channel};
use vault_rpc::hoster::{
    AwaitMessageRequest, HelloRequest, PutMessageRequest, Reason, UsageRequest,
    hoster_client::HosterClient,
};
use vault_server::{Config, Rate, Tls};

use crate::support::{TestServer, assert_refused, dial, random};

type Client = HosterClient<Channel>;

fn at_most(burst: u32) -> Rate {
    Rate {
        burst: NonZeroU32::new(burst).unwrap(),
        every: Duration::from_secs(24 * 60 * 60),
    }
}

async fn behind_proxy(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start_with(|config| {
        config.tls = Tls::BehindProxy;
        change(config);
    })
    .await
}

/// A connection as the proxy makes one.
async fn client(address: SocketAddr) -> Client {
    HosterClient::new(dial(address, None).await.unwrap().channel)
}

/// A message as the proxy passes it on.
fn from<T>(address: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let address = address.parse().unwrap();
    request.metadata_mut().insert("x-real-ip", address);
    request
}

async fn hello(server: &TestServer, client: &Client, from_: Option<&str>) -> Result<(), Status> {
    let message = HelloRequest {
        client_nonce: vec![0; 32],
        origin: server.server.address().to_string(),
    };
    let request = match from_ {
        Some(address) => from(address, message),
        None => Request::new(message),
    };
    client.clone().hello(request).await.map(drop)
}

#[tokio::test]
async fn strangers_are_told_apart_by_what_the_proxy_says() {
    let server = behind_proxy(|config| config.limits.rates.strangers = at_most(2)).await;
    let client = client(server.server.address()).await;
    let hello = |from_| hello(&server, &client, from_);
    for _ in 0..2 {
        hello(Some("192.0.2.1")).await.unwrap();
    }
    assert_refused(hello(Some("192.0.2.1")).await, Reason::TooMany);
    hello(Some("192.0.2.2")).await.unwrap();
    // Of one whom it does not name nothing is known.
    for _ in 0..9 {
        hello(None).await.unwrap();
        hello(Some("somebody")).await.unwrap();
    }
}

#[tokio::test]
async fn the_networks_of_one_site_are_counted_together() {
    let server = behind_proxy(|config| config.limits.rates.strangers = at_most(2)).await;
    let client = client(server.server.address()).await;
    let hello = |from_: String| {
        let (server, client) = (&server, &client);
        async move { hello(server, client, Some(&from_)).await }
    };
    // Eight of a site, of which a network has two.
    for number in 0..4 {
        for host in 1..3 {
            hello(format!("2001:db8:0:{number}::{host}")).await.unwrap();
        }
    }
    let refused = hello("2001:db8:0:ffff::1".into()).await;
    assert_refused(refused, Reason::TooMany);
    hello("2001:db8:1::1".into()).await.unwrap();
}

#[tokio::test]
async fn nobody_keeps_others_from_pairing() {
    let server = behind_proxy(|config| config.limits.relay.messages_of_one = 1).await;
    let client = client(server.server.address()).await;
    let put = |address: &str| {
        let message = PutMessageRequest {
            name: random::<32>().to_vec(),
            message: vec![1],
        };
        let (request, mut client) = (from(address, message), client.clone());
        async move { client.put_message(request).await.map(drop) }
    };
    put("192.0.2.1").await.unwrap();
    assert_refused(put("192.0.2.1").await, Reason::TooMany);
    put("192.0.2.2").await.unwrap();
}

#[tokio::test]
async fn one_place_has_so_many_calls_under_way() {
    let server = behind_proxy(|config| config.limits.calls_of_one_network = 1).await;
    let client = client(server.server.address()).await;
    let wait = |address: &str, milliseconds| {
        let message = AwaitMessageRequest {
            name: vec![7; 32],
            wait_milliseconds: milliseconds,
        };
        let (request, mut client) = (from(address, message), client.clone());
        async move { client.await_message(request).await.map(drop) }
    };
    let waiting = tokio::spawn(wait("192.0.2.1", 20_000));
    let refused = async {
        loop {
            if let Err(status) = wait("192.0.2.1", 0).await {
                break status;
            }
            tokio::task::yield_now().await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(60), refused).await;
    assert_refused::<()>(Err(refused.expect("never refused")), Reason::TooMany);
    wait("192.0.2.2", 0).await.unwrap();
    waiting.abort();
}

/// A proxy makes one for each call.
#[tokio::test]
async fn a_proxy_has_connections_of_its_own_number() {
    let server = behind_proxy(|config| config.accepting.connections = 1).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = client(server.server.address()).await;
        hello(&server, &client, None).await.unwrap();
        clients.push(client);
    }
    let few = |config: &mut Config| config.accepting.connections_of_proxy = 1;
    let server = behind_proxy(few).await;
    let first = client(server.server.address()).await;
    hello(&server, &first, None).await.unwrap();
    let address = server.server.address();
    let mut second = tokio::spawn(async move {
        let server = server;
        let client = client(address).await;
        hello(&server, &client, None).await.unwrap();
    });
    let waiting = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    assert!(waiting.is_err(), "it was let in");
    drop(first);
    second.await.unwrap();
}

#[tokio::test]
async fn who_dials_himself_is_not_believed_where_he_says_to_come_from() {
    let few = |config: &mut Config| config.limits.rates.strangers = at_most(2);
    let server = TestServer::start_with(few).await;
    let invitation = server.invite(1).await;
    let client = HosterClient::new(server.dial(&invitation).await.channel);
    for address in ["192.0.2.1", "192.0.2.2"] {
        hello(&server, &client, Some(address)).await.unwrap();
    }
    let third = hello(&server, &client, Some("192.0.2.3")).await;
    assert_refused(third, Reason::TooMany);
}

/// Else every call that takes a token would be one that nobody counts.
#[tokio::test]
async fn calls_with_bad_tokens_are_strangers() {
    let server = behind_proxy(|config| config.limits.rates.strangers = at_most(3)).await;
    let client = client(server.server.address()).await;
    let usage = |token: Option<&str>, address: &str| {
        let mut request = from(address, UsageRequest {});
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let mut client = client.clone();
        async move { client.usage(request).await.map(drop) }
    };
    let forged = "07".repeat(32);
    for token in [None, Some("x"), Some(&forged[..])] {
        let refused = usage(token, "192.0.2.1").await;
        assert_refused(refused, Reason::Unauthenticated);
    }
    let refused = usage(Some(&forged), "192.0.2.1").await;
    assert_refused(refused, Reason::TooMany);
    let greeted = hello(&server, &client, Some("192.0.2.1")).await;
    assert_refused(greeted, Reason::TooMany);
    let refused = usage(None, "192.0.2.2").await;
    assert_refused(refused, Reason::Unauthenticated);
}
