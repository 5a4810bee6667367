//! The relay between two devices that know a secret.

use std::time::Duration;

use tonic::Status;
use vault_rpc::hoster::{
    AwaitMessageRequest, PutMessageRequest, Reason, hoster_client::HosterClient,
};
use vault_server::Config;

use crate::support::{TestServer, assert_refused, random, refusal};

type Client = HosterClient<tonic::transport::Channel>;

/// A stranger's connection.
async fn dial(server: &TestServer) -> Client {
    let invitation = server.invite(1).await;
    HosterClient::new(server.dial(&invitation).await.channel)
}

async fn put(client: &Client, name: &[u8], message: &[u8]) -> Result<(), Status> {
    let request = PutMessageRequest {
        name: name.to_vec(),
        message: message.to_vec(),
    };
    client.clone().put_message(request).await.map(drop)
}

async fn wait(client: &Client, name: &[u8], milliseconds: u32) -> Result<Vec<u8>, Status> {
    let request = AwaitMessageRequest {
        name: name.to_vec(),
        wait_milliseconds: milliseconds,
    };
    let answer = client.clone().await_message(request).await?;
    Ok(answer.into_inner().message)
}

#[tokio::test]
async fn a_message_waits_for_the_other_end() {
    let server = TestServer::start().await;
    let (one, other) = (dial(&server).await, dial(&server).await);
    let name = random::<32>();
    put(&one, &name, b"who are you").await.unwrap();
    for _ in 0..2 {
        let message = wait(&other, &name, 0).await.unwrap();
        assert_eq!(message, b"who are you");
    }
    // The first answer was lost.
    put(&one, &name, b"who are you").await.unwrap();
    assert_refused(put(&other, &name, b"me").await, Reason::Forbidden);
    assert_eq!(wait(&one, &name, 0).await.unwrap(), b"who are you");

    server.clock.advance(Duration::from_secs(15 * 60 - 1));
    assert_eq!(wait(&other, &name, 0).await.unwrap(), b"who are you");
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(wait(&other, &name, 0).await.unwrap(), b"");
    put(&other, &name, b"me").await.unwrap();
    assert_eq!(wait(&one, &name, 0).await.unwrap(), b"me");
}

/// Waits as soon as there is a place to: whoever looks whether there is holds one.
async fn wait_in_turn(client: &Client, name: &[u8], milliseconds: u32) -> Result<Vec<u8>, Status> {
    loop {
        match wait(client, name, milliseconds).await {
            Err(status) if refusal(&status).reason() == Reason::TooMany => {
                tokio::task::yield_now().await;
            }
            ended => return ended,
        }
    }
}

/// Until there is no place any more.
async fn until_all_wait(client: &Client) {
    while wait(client, &random::<32>(), 0).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_waits_is_woken_at_once() {
    let one_waits = |config: &mut Config| config.limits.relay.waits_of_one = 1;
    let server = TestServer::start_with(one_waits).await;
    let (one, other) = (dial(&server).await, dial(&server).await);
    let name = random::<32>();
    let waiting = {
        let other = other.clone();
        tokio::spawn(async move { wait_in_turn(&other, &name, 20_000).await })
    };
    until_all_wait(&one).await;
    // Others that come meanwhile are none of its business; more of them than it
    // is told of.
    for _ in 0..20 {
        put(&one, &random::<32>(), b"something").await.unwrap();
    }
    assert!(!waiting.is_finished());
    put(&one, &name, b"here").await.unwrap();
    // Who is not woken waits to the end, and has nothing then.
    assert_eq!(waiting.await.unwrap().unwrap(), b"here");
    // And nobody waits longer than was said.
    assert_eq!(wait(&other, &random::<32>(), 50).await.unwrap(), b"");
}

/// More waits than there are threads to block, and the server goes on.
#[tokio::test]
async fn waits_hold_no_thread() {
    const WAITS: usize = 661;
    let many = |config: &mut Config| {
        config.limits.relay.waits_of_one = WAITS;
        config.limits.relay.waits = WAITS;
        config.limits.calls_of_one_network = 2000;
        config.accepting.connections_of_one = 100;
        let burst = std::num::NonZeroU32::new(10_000).unwrap();
        config.limits.rates.strangers.burst = burst;
    };
    let server = TestServer::start_with(many).await;
    let mut waiting = Vec::new();
    let mut begin = |client: &Client| {
        let client = client.clone();
        let wait = async move { wait_in_turn(&client, &random::<32>(), 20_000).await };
        waiting.push(tokio::spawn(wait));
    };
    // All but one.
    for _ in 0..12 {
        let client = dial(&server).await;
        for _ in 0..55 {
            begin(&client);
        }
    }
    let member = server.member().await;
    let name = random::<32>();
    let client = dial(&server).await;
    put(&client, &name, b"here").await.unwrap();
    assert_eq!(wait(&client, &name, 20_000).await.unwrap(), b"here");
    drop(member);
    begin(&client);
    until_all_wait(&client).await;
    // A server that stops does not wait for them, and cuts none off: each is told
    // that nothing came.
    server.server.stop().await;
    for wait in waiting {
        assert_eq!(wait.await.unwrap().unwrap(), b"");
    }
}

#[tokio::test]
async fn messages_are_small_few_and_counted() {
    let few = |config: &mut Config| {
        config.limits.relay.messages_of_one = 2;
        config.limits.relay.waits_of_one = 1;
    };
    let server = TestServer::start_with(few).await;
    let client = dial(&server).await;
    let put_any = |bytes: usize| {
        let client = client.clone();
        async move { put(&client, &random::<32>(), &vec![1; bytes]).await }
    };
    assert_refused(put_any((64 << 10) + 1).await, Reason::TooLarge);
    assert_refused(put_any(0).await, Reason::Malformed);
    assert_refused(put(&client, &[1; 31], b"x").await, Reason::Malformed);
    assert_refused(wait(&client, &[1; 33], 0).await, Reason::Malformed);
    put_any(64 << 10).await.unwrap();
    put_any(1).await.unwrap();
    assert_refused(put_any(1).await, Reason::TooMany);
    // Also from another connection.
    let other = dial(&server).await;
    let refused = put(&other, &random::<32>(), b"x").await;
    assert_refused(refused, Reason::TooMany);

    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { wait_in_turn(&client, &random::<32>(), 20_000).await })
    };
    until_all_wait(&other).await;
    let refused = wait(&other, &random::<32>(), 0).await;
    assert_refused(refused, Reason::TooMany);
    // Who hangs up has his place back.
    waiting.abort();
    while wait(&other, &random::<32>(), 0).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
