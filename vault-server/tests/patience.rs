//! Who connects and then says too little is cut off; and who is served when the
//! server stops.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use vault_proto::invitation::TlsTrust;
use vault_rpc::hoster::{Reason, UsageRequest, WatchHeadsRequest};
use vault_server::Config;

use crate::support::{
    TestServer, assert_refused, call, dial, dial_tls, header, pack, part, slow_upload,
    talk_until_closed,
};

/// Fails after a minute, which no machine is too slow for.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), work).await;
    done.unwrap_or_else(|_| panic!("{what}"))
}

async fn pinned(server: &TestServer) -> [u8; 32] {
    match server.invite(1000).await.tls {
        TlsTrust::Pinned(pin) => pin,
        _ => panic!("no pin"),
    }
}

#[tokio::test]
async fn a_connection_without_tls_is_closed() {
    let hasty = |config: &mut Config| config.accepting.handshake = Duration::from_millis(200);
    let server = TestServer::start_with(hasty).await;
    let socket = tokio::net::TcpStream::connect(server.server.address()).await;
    let mut socket = socket.unwrap();
    // An end or a reset: both are one.
    let read = soon("it stays open", socket.read(&mut [0; 16])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_connection_without_http_is_closed() {
    let hasty = |config: &mut Config| config.accepting.silence = Duration::from_millis(500);
    let server = TestServer::start_with(hasty).await;
    let pin = pinned(&server).await;
    let mut stream = dial_tls(server.server.address(), pin).await.unwrap();
    let mut said = Vec::new();
    // The server may say what it is ready for before it hangs up.
    let _ = soon("it stays open", stream.read_to_end(&mut said)).await;
    assert!(said.len() < 1000, "{said:?}");
}

/// Whoever connects and says what anybody may say holds no place for ever.
#[tokio::test]
async fn a_connection_of_nobody_is_closed_and_that_of_a_member_is_not() {
    let hasty = |config: &mut Config| {
        config.accepting.unproven = Duration::from_secs(2);
        config.limits.watch_keepalive = Duration::from_millis(100);
    };
    let server = TestServer::start_with(hasty).await;
    let mut member = server.member().await;
    let request = member.request(WatchHeadsRequest { vaults: Vec::new() });
    let watch = member.client.watch_heads(request).await.unwrap();
    let mut watch = watch.into_inner();
    let pin = pinned(&server).await;
    let nobody = talk_until_closed(server.server.address(), pin);
    soon("it stays open", nobody).await;
    // The member dialled before. What was sent until now has been read by then.
    for _ in 0..100 {
        watch.message().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_call_without_a_message_is_refused() {
    let hasty = |config: &mut Config| config.limits.request = Duration::from_millis(200);
    let server = TestServer::start_with(hasty).await;
    let invitation = server.invite(1000).await;
    let channel = server.dial(&invitation).await.channel;
    for method in ["Hello", "CommitHead", "WatchHeads"] {
        let silent = call(&channel, method, tokio_stream::pending());
        assert_refused(soon("no answer", silent).await, Reason::TooSlow);
    }
}

#[tokio::test]
async fn a_stop_ends_what_was_begun_and_begins_nothing() {
    const MIB: usize = 1 << 20;
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await;
    let large = pack(MIB);
    let upload = slow_upload(&member);
    let begin = header(vault.id(), large.id, MIB as u32);
    upload.sender.send(begin).await.unwrap();
    upload
        .sender
        .send(part(&large.bytes[..MIB / 2]))
        .await
        .unwrap();
    let incoming = server.data.path().join("blobs/incoming");
    while std::fs::read_dir(&incoming).unwrap().next().is_none() {
        tokio::task::yield_now().await;
    }
    let (address, pin) = (server.server.address(), pinned(&server).await);
    let stopping = tokio::spawn(server.server.stop());
    // Nobody new is let in, and who is there begins nothing new.
    soon("it lets everybody in", async {
        while dial(address, Some(pin)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    soon("it still answers", async {
        loop {
            let request = member.request(UsageRequest {});
            if member.client.usage(request).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // What was under way is brought to its end.
    upload
        .sender
        .send(part(&large.bytes[MIB / 2..]))
        .await
        .unwrap();
    drop(upload.sender);
    upload.answer.await.unwrap().unwrap();
    soon("it does not stop", stopping).await.unwrap();
}
