//! The secret of a link stands behind the `#` of its URL, and stays with who makes
//! the link and who follows it: no call, no file and no log of a server has it.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex};

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use vault_client::error::ErrorCode;
use vault_client::link::{GetOptions, LinkOptions, LinkUrl, Password, create, get, list, revoke};
use vault_client::progress::Cancellation;
use vault_client::remote::grpc::Pace;
use vault_proto::wire;
use vault_server::Tls;

use super::front::Front;
use super::leakage::collect;
use crate::engine::{Files, backed_up, content_of, newest, noise, silent};
use crate::support::hoster::{Device, Hoster};
use crate::support::relay::DEVICES;

/// Bytes that nobody else writes by chance.
const PIECE: usize = 16;

const PASSWORD: &str = "the password of this link";

/// What all of a server's threads say, to the last detail, whoever of the libraries
/// they use says it.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Threads that write to it.
    pub(super) fn runtime(&self) -> Runtime {
        let log = self.clone();
        let to_the_last_detail = || {
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::TRACE)
                .with_ansi(false)
        };
        // Beside a second one: as long as there is but one, what it wants is asked of
        // whichever thread comes by first, and other tests' threads want nothing.
        let beside = Dispatch::new(to_the_last_detail().with_writer(io::sink).finish());
        let subscriber = to_the_last_detail()
            .with_writer(move || log.clone())
            .finish();
        let dispatch = Dispatch::new(subscriber);
        let threads = Builder::new_multi_thread()
            .enable_all()
            .on_thread_start(move || {
                let _ = &beside;
                // Until the thread ends.
                std::mem::forget(tracing::dispatcher::set_default(&dispatch));
            })
            .build();
        threads.unwrap()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every piece of secrets, in every writing.
#[derive(Default)]
pub(super) struct Pieces(HashSet<[u8; PIECE]>);

impl Pieces {
    pub(super) fn of(url: &LinkUrl) -> Self {
        let text = url.to_url();
        let fragment = text.split_once('#').unwrap().1;
        let message = BASE64URL_NOPAD.decode(fragment.as_bytes()).unwrap();
        let secret = wire::LinkUrl::decode(&message[..]).unwrap().secret;
        let mut pieces = Self::default();
        pieces.add(PASSWORD.as_bytes());
        pieces.add_secret(&secret);
        // With the # before it. What comes later in the fragment, the hoster's id
        // and the capsule's, is no secret, and in this writing nowhere either.
        let sign = text.find('#').unwrap();
        pieces.add(&text.as_bytes()[sign - (PIECE - 1)..]);
        pieces
    }

    /// 32 bytes, as they are and as text.
    pub(super) fn add_secret(&mut self, secret: &[u8]) {
        assert_eq!(secret.len(), 32);
        self.add(secret);
        self.add(HEXLOWER.encode(secret).as_bytes());
        self.add(HEXUPPER.encode(secret).as_bytes());
        // Wherever in a longer text it stands; the letters at both ends are of what
        // stands beside it, too.
        for before in 0..3 {
            let longer = [&vec![0; before][..], secret, &[0; 2]].concat();
            for encoding in [BASE64, BASE64URL] {
                let encoded = encoding.encode(&longer);
                self.add(&encoded.as_bytes()[4..40]);
            }
        }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let windows = bytes.windows(PIECE);
        self.0
            .extend(windows.map(|piece| <[u8; PIECE]>::try_from(piece).unwrap()));
    }

    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(PIECE).any(|piece| self.0.contains(piece))
    }
}

/// Makes a link at this hoster, follows it, lists it and ends it.
fn life_of_a_link(hoster: &Hoster) -> LinkUrl {
    let files = Files::new(&[
        ("album/one.jpg", noise(1, 300_000)),
        (
            "album/two.txt",
            b"and something that compresses ".repeat(90),
        ),
    ]);
    let device = Device::new(hoster);
    let mut vault = device.account.create_vault("documents").unwrap();
    backed_up(&mut vault, &files).unwrap();
    let snapshot = newest(&vault).unwrap();
    let address = device.account.hoster_of(&vault).unwrap();
    let album = files.path().join("album");
    let password = Password::new(PASSWORD.to_owned());
    let options = LinkOptions {
        password: Some(password.clone()),
        max_downloads: NonZeroU32::new(3),
        ..LinkOptions::default()
    };
    let created = create(
        &mut vault,
        &address,
        &snapshot,
        album.as_os_str().as_bytes(),
        &options,
        &silent(),
        &Cancellation::new(),
    );
    let url = created.unwrap().url;
    let follow = || {
        let (nowhere, saved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let setup = hoster.setup(nowhere.path(), Pace::default());
        get(
            &*setup.connect,
            &LinkUrl::parse(&url.to_url()).unwrap(),
            Some(&password),
            saved.path(),
            &GetOptions::default(),
            &silent(),
            &Cancellation::new(),
        )
        .map(|_| content_of(saved.path()))
    };
    assert_eq!(follow().unwrap(), content_of(&album));
    assert_eq!(list(&mut vault, &address).unwrap().links.len(), 1);
    revoke(&mut vault, &url.id()).unwrap();
    // What is refused is what servers log.
    let error = follow().unwrap_err();
    assert_eq!(error.code(), ErrorCode::LinkOver, "{error}");
    url
}

/// Neither the log nor any file of the server has a piece of the secret, and both
/// searches would find one.
fn assert_server_has_none(hoster: &Hoster, log: &Log, pieces: &Pieces, url: &LinkUrl) {
    let mut files = Vec::new();
    collect(hoster.data.path(), &mut files);
    assert!(!files.is_empty());
    for bytes in &files {
        assert!(!pieces.are_in(bytes));
    }
    let id = url.id();
    let is_named = |bytes: &Vec<u8>| bytes.windows(32).any(|at| at == id.as_bytes());
    assert!(
        files.iter().any(is_named),
        "the link is in none of its files"
    );

    let before = log.bytes();
    assert!(!pieces.are_in(&before));
    let text = String::from_utf8_lossy(&before).into_owned();
    let lines = text.lines().filter(|line| line.contains("TRACE")).count();
    assert!(lines > 1_000, "{lines}");
    assert!(!text.contains(&DEVICES.to_string()), "who called");
    let url = url.to_url();
    let said = async move { tracing::trace!(%url, %DEVICES, "what no server should say") };
    let said = hoster.tokio().spawn(said);
    hoster.tokio().block_on(said).unwrap();
    let said = &log.bytes()[before.len()..];
    assert!(pieces.are_in(said));
    assert!(String::from_utf8_lossy(said).contains(&DEVICES.to_string()));
}

#[test]
fn a_links_secret_is_in_no_call_no_file_and_no_log() {
    let log = Log::default();
    let hoster = Hoster::start_on(log.runtime(), Tls::BehindProxy);
    let front = Front::before(hoster.server_address());
    let front = hoster.tokio().block_on(front);
    hoster.relay.lead_to(front.address);
    let url = life_of_a_link(&hoster);
    let pieces = Pieces::of(&url);
    let seen = front.seen();
    for call in [
        "create_link",
        "open_link",
        "read_link",
        "list_links",
        "revoke_link",
    ] {
        assert!(seen.iter().any(|seen| seen.call == call), "{call}");
    }
    for seen in &seen {
        assert!(!pieces.are_in(&seen.asked), "{}", seen.call);
        assert!(!pieces.are_in(&seen.headers), "{}", seen.call);
    }
    for pack in front.packs().values() {
        assert!(!pieces.are_in(pack));
    }
    let id = url.id();
    let is_named = |asked: &[u8]| asked.windows(32).any(|at| at == id.as_bytes());
    assert!(seen.iter().any(|seen| is_named(&seen.asked)));
    assert!(seen.iter().any(|seen| !seen.headers.is_empty()));
    assert_server_has_none(&hoster, &log, &pieces, &url);
}

/// Where the server ends TLS itself, it is the only one that could say anything.
#[test]
fn a_server_that_ends_tls_logs_no_links_secret() {
    let log = Log::default();
    let hoster = Hoster::start_on(log.runtime(), Tls::SelfSigned);
    let url = life_of_a_link(&hoster);
    assert_server_has_none(&hoster, &log, &Pieces::of(&url), &url);
}
