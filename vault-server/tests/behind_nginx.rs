//! Behind the real nginx, with the file that is shipped. That `coffre` backs up and
//! restores through it is among its own tests.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tonic::{Request, Status, transport::Channel};
use vault_proto::{invitation::Invitation, origin::Origin, pack_list::PackList};
use vault_rpc::hoster::{
    AwaitMessageRequest, HelloRequest, PutMessageRequest, Reason, UsageRequest, WatchHeadsRequest,
    hoster_client::HosterClient,
};
use vault_server::{Accepting, Config, Limits, Pace, Rate, Tls};

use crate::support::{
    Member, Nginx, Running, TestServer, assert_refused, dial, not_tested, pack, random, refusal,
    sorted, substitute,
};

const MIB: usize = 1 << 20;

type Client = HosterClient<Channel>;

/// A server and nginx before it.
struct Front {
    server: TestServer,
    nginx: Nginx,
    origin: String,
}

impl Front {
    /// `None`, having said so, where there is no nginx.
    async fn start(
        change: impl FnOnce(&mut Config),
        change_nginx: impl FnOnce(&mut String),
    ) -> Option<Self> {
        let (origin, port) = Nginx::free_origin();
        let server = TestServer::start_with(|config| {
            config.tls = Tls::BehindProxy;
            config.public_addresses = vec![Origin::parse(&origin).unwrap()];
            change(config);
        })
        .await;
        let nginx = started(Nginx::start(port, server.server.address(), change_nginx))?;
        Some(Self {
            server,
            nginx,
            origin,
        })
    }

    async fn member(&self) -> Member {
        let invitation = self.server.invite(1_000_000_000).await;
        sign_up(&self.nginx, &invitation).await
    }

    async fn client(&self) -> Client {
        connect(&self.nginx, self.nginx.address()).await
    }

    fn hello(&self) -> HelloRequest {
        HelloRequest {
            client_nonce: vec![0; 32],
            origin: self.origin.clone(),
        }
    }
}

fn started(nginx: io::Result<Nginx>) -> Option<Nginx> {
    match nginx {
        Ok(nginx) => Some(nginx),
        Err(error) => {
            not_tested(&format!(
                "a server behind nginx, which does not start ({error})"
            ));
            None
        }
    }
}

fn pin(nginx: &Nginx) -> [u8; 32] {
    Sha256::digest(nginx.public_key()).into()
}

async fn connect(nginx: &Nginx, address: SocketAddr) -> Client {
    let dialled = dial(address, Some(pin(nginx))).await.unwrap();
    HosterClient::new(dialled.channel).max_decoding_message_size(8 << 20)
}

async fn sign_up(nginx: &Nginx, invitation: &Invitation) -> Member {
    sign_up_at(nginx, nginx.address(), invitation).await
}

/// At nginx, or at what leads there.
async fn sign_up_at(nginx: &Nginx, address: SocketAddr, invitation: &Invitation) -> Member {
    let mut dialled = dial(address, Some(pin(nginx))).await.unwrap();
    // The channel ends at nginx, and the login is not bound to it.
    dialled.exporter = None;
    let mut member = Member::new(dialled, invitation);
    member.create_account(invitation).await.unwrap();
    member.log_in().await;
    member
}

/// The program itself, as it is started behind nginx.
#[tokio::test]
async fn packs_go_up_and_come_back_and_heads_are_announced() {
    let (origin, port) = Nginx::free_origin();
    let server = Running::start(&["--insecure-behind-proxy", "--public-address", &origin]);
    let Some(nginx) = started(Nginx::start(port, server.address(), |_| {})) else {
        return;
    };
    let output = server.ask(&["invite"]);
    let invitation = Invitation::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
    let mut member = sign_up(&nginx, &invitation).await;
    let mut vault = member.create_vault().await;
    let request = member.request(WatchHeadsRequest {
        vaults: vec![vault.id().to_vec()],
    });
    let watch = member.client.watch_heads(request).await.unwrap();
    let mut watch = watch.into_inner();
    let packs = [pack(16 * MIB), pack(16 * MIB), pack(16 << 10)];
    for pack in &packs {
        member.put(vault.id(), pack).await.unwrap();
    }
    let nothing = PackList::default();
    let head = member.commit(&mut vault, &sorted(&packs), &nothing).await;
    let news = loop {
        let news = watch.message().await.unwrap().unwrap();
        if !news.vault.is_empty() {
            break news;
        }
    };
    assert_eq!(
        (news.head_seq, &news.head_hash[..]),
        (1, &head.hash.as_bytes()[..])
    );
    for pack in &packs {
        let range = [(pack.id, 0, pack.bytes.len() as u32)];
        assert!(member.read(vault.id(), &range).await.unwrap() == pack.bytes);
    }
    assert_eq!(nginx.logs(), "");
}

/// nginx makes a connection for each call; far more of them than a server without a
/// proxy has connections for.
#[tokio::test]
async fn many_calls_are_under_way_at_once() {
    const CALLS: usize = 400;
    let many = |config: &mut Config| {
        config.accepting.connections = 64;
        config.limits.calls_of_one_network = 2 * CALLS;
        config.limits.relay.waits_of_one = 2 * CALLS;
    };
    let Some(front) = Front::start(many, |_| {}).await else {
        return;
    };
    let mut member = front.member().await;
    let vault = member.create_vault().await;
    let name = random::<32>();
    let mut waiting = Vec::new();
    for _ in 0..CALLS / 50 {
        let client = front.client().await;
        for _ in 0..50 {
            let mut client = client.clone();
            let wait = AwaitMessageRequest {
                name: name.to_vec(),
                wait_milliseconds: 20_000,
            };
            waiting.push(tokio::spawn(
                async move { client.await_message(wait).await },
            ));
        }
    }
    // A member's work goes on beside them.
    let packed = pack(MIB);
    member.put(vault.id(), &packed).await.unwrap();
    let range = [(packed.id, 0, MIB as u32)];
    assert!(member.read(vault.id(), &range).await.unwrap() == packed.bytes);
    let put = PutMessageRequest {
        name: name.to_vec(),
        message: vec![7],
    };
    member.client.put_message(put).await.unwrap();
    for wait in waiting {
        assert_eq!(wait.await.unwrap().unwrap().into_inner().message, [7]);
    }
}

/// With every time a thirtieth of what it is.
#[tokio::test]
async fn a_quiet_watch_is_not_cut_off() {
    let quick = |config: &mut Config| {
        let part = |time: Duration| time / 30;
        let Accepting { silence, ping, .. } = Accepting::default();
        config.accepting.silence = part(silence);
        config.accepting.ping = part(ping);
        config.limits.watch_keepalive = part(Limits::default().watch_keepalive);
    };
    let quick_nginx = |shipped: &mut String| {
        substitute(shipped, "grpc_read_timeout 2m;", "grpc_read_timeout 4s;");
        substitute(shipped, "grpc_send_timeout 60s;", "grpc_send_timeout 2s;");
    };
    let Some(front) = Front::start(quick, quick_nginx).await else {
        return;
    };
    let mut member = front.member().await;
    let mut vault = member.create_vault().await;
    let request = member.request(WatchHeadsRequest {
        vaults: vec![vault.id().to_vec()],
    });
    let watch = member.client.watch_heads(request).await.unwrap();
    let mut watch = watch.into_inner();
    // One a second: longer than nginx waits for one, and the server for a word.
    for _ in 0..10 {
        watch.message().await.unwrap().unwrap();
    }
    let nothing = PackList::default();
    member.commit(&mut vault, &nothing, &nothing).await;
    while watch.message().await.unwrap().unwrap().head_seq == 0 {}
}

/// What is shipped waits longer than the server does.
#[test]
fn nginx_is_more_patient_than_the_server() {
    let shipped = include_str!("../nginx.conf");
    let minutes = shipped.split("grpc_read_timeout ").skip(1).map(|rest| {
        let (minutes, _) = rest.split_once("m;").unwrap();
        Duration::from_secs(60 * minutes.parse::<u64>().unwrap())
    });
    let [calls, uploads] = minutes.collect::<Vec<_>>()[..] else {
        panic!("of calls, and of uploads");
    };
    let limits = Limits::default();
    assert!(calls > limits.request && calls > limits.watch_keepalive);
    assert!(uploads > Pace::default().pack);
}

/// As `Network` does: four bytes of IPv4, eight of IPv6.
#[tokio::test]
async fn nginx_tells_networks_apart_as_the_server_does() {
    let (_, probe) = Nginx::free_origin();
    let tell = |shipped: &mut String| {
        let listen = shipped.lines().find(|line| line.contains("listen [::1]"));
        let listen6 = listen.map_or_else(String::new, |_| format!("listen [::1]:{probe};"));
        shipped.push_str(&format!(
            "server {{ listen 127.0.0.1:{probe}; {listen6} return 200 $coffre_network; }}"
        ));
    };
    let Some(front) = Front::start(|_| {}, tell).await else {
        return;
    };
    let told = |mut address: SocketAddr| async move {
        address.set_port(probe);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let body = answer
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .unwrap()
            + 4;
        answer.split_off(body)
    };
    assert_eq!(told(front.nginx.address()).await, [127, 0, 0, 1]);
    if TcpListener::bind("[::1]:0").await.is_err() {
        return not_tested("an address of IPv6, as there is none here");
    }
    let other = front.nginx.address_of_another_network();
    assert_eq!(told(other).await, [0; 8]);
}

fn at_most(burst: u32) -> Rate {
    Rate {
        burst: NonZeroU32::new(burst).unwrap(),
        every: Duration::from_secs(24 * 60 * 60),
    }
}

#[tokio::test]
async fn nginx_says_who_calls() {
    let few = |config: &mut Config| config.limits.rates.strangers = at_most(2);
    let Some(front) = Front::start(few, |_| {}).await else {
        return;
    };
    let mut client = front.client().await;
    for _ in 0..2 {
        client.hello(front.hello()).await.unwrap();
    }
    assert_refused(client.hello(front.hello()).await, Reason::TooMany);
    // What a caller says himself is not passed on.
    let mut forged = Request::new(front.hello());
    let address = "192.0.2.1".parse().unwrap();
    forged.metadata_mut().insert("x-real-ip", address);
    assert_refused(client.hello(forged).await, Reason::TooMany);
    if TcpListener::bind("[::1]:0").await.is_err() {
        return not_tested("another network, as there is no IPv6 here");
    }
    let address = front.nginx.address_of_another_network();
    let mut other = connect(&front.nginx, address).await;
    other.hello(front.hello()).await.unwrap();
}

/// A device understands why, and nobody's address is written down.
#[tokio::test]
async fn nginx_refuses_in_the_words_of_the_server() {
    let few = |config: &mut Config| config.limits.rates.calls = at_most(3);
    let change = |shipped: &mut String| {
        substitute(
            shipped,
            "limit_conn coffre_calls 512;",
            "limit_conn coffre_calls 2;",
        );
        substitute(
            shipped,
            "limit_conn coffre_uploads 64;",
            "limit_conn coffre_uploads 1;",
        );
    };
    let Some(front) = Front::start(few, change).await else {
        return;
    };
    let mut member = front.member().await;
    let vault = member.create_vault().await;
    let upload = crate::support::slow_upload(&member);
    let begin = crate::support::header(vault.id(), pack(MIB).id, MIB as u32);
    upload.sender.send(begin).await.unwrap();
    let incoming = front.server.data.path().join("blobs/incoming");
    while std::fs::read_dir(&incoming).unwrap().next().is_none() {
        tokio::task::yield_now().await;
    }
    let said_by_nginx = |status: Status| {
        let refused = refusal(&status);
        assert_eq!(refused.reason(), Reason::TooMany, "{status:?}");
        status
    };
    let second = member.put(vault.id(), &pack(16 << 10)).await.unwrap_err();
    let second = said_by_nginx(second);
    let waiting = {
        let mut client = front.client().await;
        tokio::spawn(async move {
            let wait = AwaitMessageRequest {
                name: vec![7; 32],
                wait_milliseconds: 20_000,
            };
            client.await_message(wait).await
        })
    };
    let mut client = front.client().await;
    let third = loop {
        match client.hello(front.hello()).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(status) => break said_by_nginx(status),
        }
    };
    waiting.abort();
    drop(upload.sender);
    assert_refused(upload.answer.await.unwrap(), Reason::Malformed);
    // The server, of a device that calls too often.
    let mut fourth = None;
    for _ in 0..100 {
        let request = member.request(UsageRequest {});
        fourth = member.client.usage(request).await.err();
    }
    let fourth = fourth.unwrap();
    for status in [second, third] {
        assert_eq!(status.code(), fourth.code());
        assert_eq!(status.message(), fourth.message());
        assert_eq!(status.details(), fourth.details());
    }
    assert_eq!(front.nginx.logs(), "");
}

/// A line that is as long as it is told to be, and counts.
struct Line {
    address: SocketAddr,
    shared: Arc<LineShared>,
}

#[derive(Default)]
struct LineShared {
    connections: AtomicUsize,
    delay_milliseconds: AtomicU64,
    /// The most bytes that were on their way from the device on one connection.
    most_on_the_way: AtomicU64,
}

impl Line {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(LineShared::default());
        let line = Self {
            address,
            shared: Arc::clone(&shared),
        };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(target).await.unwrap();
                let (from_near, to_near) = near.into_split();
                let (from_far, to_far) = far.into_split();
                tokio::spawn(pass(from_near, to_far, Arc::clone(&shared), true));
                tokio::spawn(pass(from_far, to_near, Arc::clone(&shared), false));
            }
        });
        line
    }
}

/// Bytes arrive as late as that, however many are on their way.
async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin + Send + 'static,
    shared: Arc<LineShared>,
    counts: bool,
) {
    let (sender, mut arriving) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(1 << 16);
    let on_the_way = Arc::new(AtomicU64::new(0));
    let left = Arc::clone(&on_the_way);
    tokio::spawn(async move {
        while let Some((due, bytes)) = arriving.recv().await {
            tokio::time::sleep_until(due).await;
            left.fetch_sub(bytes.len() as u64, Ordering::SeqCst);
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let now = on_the_way.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
        if counts {
            shared.most_on_the_way.fetch_max(now, Ordering::SeqCst);
        }
        let delay = shared.delay_milliseconds.load(Ordering::SeqCst);
        let due = tokio::time::Instant::now() + Duration::from_millis(delay);
        if sender.send((due, bytes[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Of a pack, more is on the way than the 64 KiB of a window that nobody has set. The
/// line is so long that any machine fills it.
#[tokio::test]
async fn an_upload_fills_a_long_line() {
    let Some(front) = Front::start(|_| {}, |_| {}).await else {
        return;
    };
    let line = Line::to(front.nginx.address()).await;
    let invitation = front.server.invite(1_000_000_000).await;
    let mut member = sign_up_at(&front.nginx, line.address, &invitation).await;
    let vault = member.create_vault().await;
    let shared = &line.shared;
    shared.delay_milliseconds.store(250, Ordering::SeqCst);
    shared.most_on_the_way.store(0, Ordering::SeqCst);
    member.put(vault.id(), &pack(4 * MIB)).await.unwrap();
    let most = shared.most_on_the_way.load(Ordering::SeqCst);
    assert!(most >= 512 << 10, "{most} bytes on the way at most");
}

#[tokio::test]
async fn a_device_makes_many_calls_over_one_connection() {
    let Some(front) = Front::start(|_| {}, |_| {}).await else {
        return;
    };
    let line = Line::to(front.nginx.address()).await;
    let invitation = front.server.invite(1000).await;
    let mut member = sign_up_at(&front.nginx, line.address, &invitation).await;
    for _ in 0..1500 {
        let request = member.request(UsageRequest {});
        member.client.usage(request).await.unwrap();
    }
    assert_eq!(line.shared.connections.load(Ordering::SeqCst), 1);
}
