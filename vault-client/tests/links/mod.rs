//! Links over a hoster in memory: made by a member, got by somebody who has the
//! URL and nothing else.

mod hostile;
mod limits;
mod lists;

use std::fs;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use vault_client::contents::NamedSnapshot;
use vault_client::files::Reason;
use vault_client::link::{
    CreatedLink, GetError, GetOptions, GetReport, LinkDownload, LinkError, LinkList, LinkOptions,
    LinkUrl, Password, create, get, list, revoke,
};
use vault_client::progress::Cancellation;
use vault_client::remote::memory::Call;
use vault_client::remote::{
    Connect, Credentials, HosterAddress, LinkTicket, LogAnswer, OpenedLink, PackRange, Remote,
    RemoteError, Visitor,
};
use vault_client::vault::Vault;
use vault_core::links::{OpenLinkError, SharedContent};
use vault_proto::ids::{AccountId, DeviceId, LinkId, MessageName};
use vault_proto::origin::Origin;
use vault_proto::wire::SignedEntry;

use crate::engine::{
    Files, assert_whole, backed_up, content_of, forget_cache, noise, silent, snapshots,
};
use crate::support::{Member, line_lost, rng};

/// A member with a vault in which a tree is saved.
struct Maker {
    member: Member,
    vault: Vault,
    files: Files,
    snapshot: NamedSnapshot,
}

impl Maker {
    fn of(files: Files) -> Self {
        let member = Member::new();
        let mut vault = member.account.create_vault("documents").unwrap();
        backed_up(&mut vault, &files).unwrap();
        let snapshot = snapshots(&vault).pop().unwrap();
        Self {
            member,
            vault,
            files,
            snapshot,
        }
    }

    fn new() -> Self {
        Self::of(Files::new(&[
            ("album/one.jpg", noise(1, 300_000)),
            ("album/deep/two.jpg", noise(2, 70_000)),
            ("album/deep/same as one.jpg", noise(1, 300_000)),
            ("album/empty", Vec::new()),
            ("private/diary", noise(3, 50_000)),
        ]))
    }

    fn address(&self) -> HosterAddress {
        self.member.hoster.address()
    }

    fn make(&mut self, path: &str, options: &LinkOptions) -> Result<CreatedLink, LinkError> {
        let path = self.files.path().join(path);
        let address = self.address();
        create(
            &mut self.vault,
            &address,
            &self.snapshot,
            path.as_os_str().as_bytes(),
            options,
            &silent(),
            &Cancellation::new(),
        )
    }

    /// A link to a path, without any limit.
    fn link(&mut self, path: &str) -> LinkUrl {
        self.make(path, &LinkOptions::default()).unwrap().url
    }

    fn list(&mut self) -> LinkList {
        let address = self.address();
        list(&mut self.vault, &address).unwrap()
    }

    fn get(&self, url: &LinkUrl, target: &Path) -> Result<GetReport, GetError> {
        got(&self.member.hoster, url, None, target)
    }

    /// The calls of a stranger who gets a link.
    fn calls_of(&self, work: impl FnOnce()) -> Vec<Call> {
        self.member.hoster.forget_calls();
        work();
        self.member.hoster.calls()
    }
}

/// Gets a link as a stranger does.
fn got(
    connect: &impl Connect,
    url: &LinkUrl,
    password: Option<&Password>,
    target: &Path,
) -> Result<GetReport, GetError> {
    get(
        connect,
        url,
        password,
        target,
        &GetOptions::default(),
        &silent(),
        &Cancellation::new(),
    )
}

fn target() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Nothing is in a directory.
#[track_caller]
fn assert_empty(target: &Path) {
    let left: Vec<_> = fs::read_dir(target).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn secret_word() -> Password {
    Password::new("open sesame".to_owned())
}

fn with_password() -> LinkOptions {
    LinkOptions {
        password: Some(secret_word()),
        ..LinkOptions::default()
    }
}

/// A way to a hoster on which answers to a visitor are changed.
#[derive(Clone)]
struct Meddling {
    hoster: vault_client::remote::memory::MemoryHoster,
    meddle: Arc<Mutex<Meddle>>,
}

/// Changes something on its way.
type Change<T> = Box<dyn Fn(&mut T) + Send>;

#[derive(Default)]
struct Meddle {
    /// Changes what the hoster says of a link.
    opened: Option<Change<OpenedLink>>,
    /// Breaks the line after each so many parts of reads.
    breaking_after: Option<usize>,
    /// Parts that came since the line broke.
    parts: usize,
    /// Changes the ranges that are asked for.
    ranges: Option<Change<Vec<PackRange>>>,
}

impl Meddling {
    fn with(maker: &Maker, meddle: Meddle) -> Self {
        Self {
            hoster: maker.member.hoster.clone(),
            meddle: Arc::new(Mutex::new(meddle)),
        }
    }
}

impl Connect for Meddling {
    fn connect(&self, address: HosterAddress, credentials: Credentials) -> Arc<dyn Remote> {
        self.hoster.connect(address, credentials)
    }

    fn visit(&self, address: HosterAddress) -> Arc<dyn Visitor> {
        Arc::new(MeddlingVisitor {
            inner: self.hoster.visit(address),
            meddle: self.meddle.clone(),
        })
    }

    fn discover(&self, origin: &Origin) -> Result<(HosterAddress, Arc<dyn Visitor>), RemoteError> {
        self.hoster.discover(origin)
    }
}

struct MeddlingVisitor {
    inner: Arc<dyn Visitor>,
    meddle: Arc<Mutex<Meddle>>,
}

impl Visitor for MeddlingVisitor {
    fn find_account(&self, device: &DeviceId) -> Result<Option<AccountId>, RemoteError> {
        self.inner.find_account(device)
    }

    fn fetch_account_log(&self, account: &AccountId, known: u64) -> Result<LogAnswer, RemoteError> {
        self.inner.fetch_account_log(account, known)
    }

    fn put_account_log(
        &self,
        account: &AccountId,
        entries: &[SignedEntry],
    ) -> Result<u64, RemoteError> {
        self.inner.put_account_log(account, entries)
    }

    fn put_message(&self, name: &MessageName, message: &[u8]) -> Result<(), RemoteError> {
        self.inner.put_message(name, message)
    }

    fn await_message(
        &self,
        name: &MessageName,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        self.inner.await_message(name, wait)
    }

    fn put_offer(&self, account: &AccountId, offer: &[u8]) -> Result<(), RemoteError> {
        self.inner.put_offer(account, offer)
    }

    fn open_link(&self, link: &LinkId) -> Result<OpenedLink, RemoteError> {
        let mut opened = self.inner.open_link(link)?;
        if let Some(change) = &self.meddle.lock().unwrap().opened {
            change(&mut opened);
        }
        Ok(opened)
    }

    fn read_link(
        &self,
        ticket: &LinkTicket,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let mut ranges = ranges.to_vec();
        if let Some(change) = &self.meddle.lock().unwrap().ranges {
            change(&mut ranges);
        }
        let mut is_broken = false;
        let read = self.inner.read_link(ticket, &ranges, &mut |part| {
            // In pieces, so that a line can break inside a chunk.
            for piece in part.chunks(50_000) {
                let mut meddle = self.meddle.lock().unwrap();
                meddle.parts += 1;
                if meddle
                    .breaking_after
                    .is_some_and(|after| meddle.parts > after)
                {
                    meddle.parts = 0;
                    is_broken = true;
                    return ControlFlow::Break(());
                }
                drop(meddle);
                deliver(part.slice_ref(piece))?;
            }
            ControlFlow::Continue(())
        });
        if is_broken { Err(line_lost()) } else { read }
    }

    fn interrupt(&self) {
        self.inner.interrupt();
    }

    fn traffic(&self) -> vault_client::remote::Traffic {
        self.inner.traffic()
    }
}

#[test]
fn a_stranger_gets_a_directory_as_it_was_saved() {
    let files = Files::new(&[
        ("album/one.jpg", noise(1, 300_000)),
        ("album/deep/two.jpg", noise(2, 70_000)),
        ("album/deep/copy of one.jpg", noise(1, 300_000)),
        ("album/empty", Vec::new()),
        ("private/diary", noise(3, 50_000)),
    ]);
    let album = files.path().join("album");
    symlink("deep/two.jpg", album.join("newest")).unwrap();
    symlink("../one.jpg", album.join("deep/up")).unwrap();
    let sparse = fs::File::create(album.join("sparse")).unwrap();
    sparse.set_len(3_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 2_999_997).unwrap();
    drop(sparse);
    let set = |name: &str, mode| {
        fs::set_permissions(album.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    set("one.jpg", 0o4751);
    set("deep", 0o2750);
    let mut maker = Maker::of(files);
    let made = maker.make("album", &LinkOptions::default()).unwrap();
    assert_eq!(made.left_out, []);
    assert_eq!((made.totals.files, made.totals.directories), (5, 2));
    assert_eq!(made.totals.symlinks, 2);

    let url = LinkUrl::parse(&made.url.to_url()).unwrap();
    let saved = target();
    let report = maker.get(&url, saved.path()).unwrap();
    assert_eq!(report.left_out, []);
    assert_eq!(
        (report.files, report.directories, report.symlinks),
        (5, 1, 2)
    );
    assert_eq!(
        content_of(saved.path()),
        content_of(&maker.files.path().join("album"))
    );
    let there = |name: &str| fs::symlink_metadata(saved.path().join(name)).unwrap();
    // What hands on privileges is not in a link.
    assert_eq!(there("one.jpg").mode() & 0o7777, 0o751);
    assert_eq!(there("deep").mode() & 0o7777, 0o750);
    let before = fs::metadata(maker.files.path().join("album/one.jpg")).unwrap();
    assert_eq!(there("one.jpg").mtime_nsec(), before.mtime_nsec());
    assert!(there("sparse").blocks() < 1_000);
    assert_eq!(report.bytes, made.totals.bytes);
}

#[test]
fn a_link_shows_one_file_or_a_whole_snapshot() {
    let mut maker = Maker::new();
    let url = maker.link("album/deep/two.jpg");
    let saved = target();
    let report = maker.get(&url, saved.path()).unwrap();
    assert_eq!((report.files, report.directories), (1, 0));
    let content = content_of(saved.path());
    assert_eq!(content.len(), 1);
    assert_eq!(content["two.jpg"], noise(2, 70_000));

    let address = maker.address();
    let options = LinkOptions::default();
    let (vault, snapshot) = (&mut maker.vault, &maker.snapshot);
    let whole = create(
        vault,
        &address,
        snapshot,
        b"/",
        &options,
        &silent(),
        &Cancellation::new(),
    )
    .unwrap();
    let saved = target();
    maker.get(&whole.url, saved.path()).unwrap();
    let inside = maker.files.path().strip_prefix("/").unwrap();
    let expected = content_of(maker.files.path());
    assert_eq!(content_of(&saved.path().join(inside)), expected);
}

#[test]
fn what_a_link_shows_is_known_before_a_byte_is_written() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let download = LinkDownload::begin(&maker.member.hoster, &url, &Cancellation::new()).unwrap();
    assert!(!download.needs_password());
    let opened = download.open(None).unwrap();
    assert_eq!(opened.totals().files, 4);
    let maker_of = (maker.member.account.id(), maker.vault.device());
    assert_eq!(opened.maker(), maker_of);
    assert_eq!(opened.root().name.as_ref().unwrap().as_bytes(), b"album");
    assert!(opened.created().seconds() >= 4_000_000_000);
    let names: Vec<_> = opened
        .nodes()
        .iter()
        .filter_map(|node| node.name.as_ref())
        .collect();
    assert!(!names.iter().any(|name| name.as_bytes() == b"diary"));
    let chunks = opened.nodes().iter().map(|node| match &node.content {
        SharedContent::File { chunks, .. } => chunks.len(),
        _ => 0,
    });
    assert!(chunks.sum::<usize>() >= 3);
}

#[test]
fn a_link_of_a_large_file_reads_several_packs_and_nothing_twice() {
    let content = noise(7, 40 << 20);
    let mut maker = Maker::of(Files::new(&[
        ("large", content.clone()),
        ("small", vec![1; 10]),
    ]));
    let before = maker.member.hoster.packs(&maker.vault.id()).len();
    forget_cache(&maker.vault);
    let made = maker.make("large", &LinkOptions::default()).unwrap();
    // The capsule and the list, and nothing of the content again.
    let after = maker.member.hoster.packs(&maker.vault.id()).len();
    assert_eq!(after, before + 2);

    let saved = target();
    let calls = maker.calls_of(|| {
        maker.get(&made.url, saved.path()).unwrap();
    });
    assert_eq!(content_of(saved.path())["large"], content);
    let mut read = Vec::new();
    for call in calls {
        match call {
            Call::ReadLink(ranges) => read.extend(ranges),
            Call::OpenLink(link) => assert_eq!(link, made.id()),
            other => panic!("{other:?}"),
        }
    }
    let packs: std::collections::BTreeSet<_> = read.iter().map(|range| range.pack).collect();
    assert!(packs.len() >= 4, "{}", packs.len());
    let bytes: u64 = read.iter().map(|range| u64::from(range.length)).sum();
    assert!(bytes < (44 << 20), "{bytes}");
}

#[test]
fn a_link_goes_across_rotations_of_the_vault() {
    let mut maker = Maker::new();
    let old = maker.link("album");
    maker
        .member
        .paper()
        .append(maker.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    maker.vault.refresh().unwrap();
    maker.files.write("album/later.jpg", &noise(9, 80_000));
    backed_up(&mut maker.vault, &maker.files).unwrap();
    maker.snapshot = snapshots(&maker.vault).pop().unwrap();
    // Chunks of two epochs.
    let new = maker.link("album");
    let saved = target();
    maker.get(&new, saved.path()).unwrap();
    let expected = content_of(&maker.files.path().join("album"));
    assert_eq!(content_of(saved.path()), expected);
    let saved = target();
    assert_eq!(maker.get(&old, saved.path()).unwrap().files, 4);
    assert_eq!(maker.list().links.len(), 2);
}

#[test]
fn a_line_that_breaks_is_gone_on_with_by_the_same_ticket() {
    let content = noise(7, 10 << 20);
    let mut maker = Maker::of(Files::new(&[("large", content.clone())]));
    let options = LinkOptions {
        max_downloads: NonZeroU32::new(1),
        ..LinkOptions::default()
    };
    let url = maker.make("large", &options).unwrap().url;
    let meddle = Meddle {
        breaking_after: Some(100),
        ..Meddle::default()
    };
    let breaking = Meddling::with(&maker, meddle);
    let saved = target();
    let calls = maker.calls_of(|| {
        got(&breaking, &url, None, saved.path()).unwrap();
    });
    assert_eq!(content_of(saved.path())["large"], content);
    let opens = calls
        .iter()
        .filter(|call| matches!(call, Call::OpenLink(_)));
    assert_eq!(opens.count(), 1);
    let reads = calls
        .iter()
        .filter(|call| matches!(call, Call::ReadLink(_)));
    assert!(reads.count() > 3);

    // A line on which nothing comes at all is given up.
    let meddle = Meddle {
        breaking_after: Some(0),
        ..Meddle::default()
    };
    let url = maker.link("large");
    let dead = Meddling::with(&maker, meddle);
    let saved = target();
    let error = got(&dead, &url, None, saved.path()).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_empty(saved.path());
}

#[test]
fn a_download_can_be_cancelled_and_begun_again() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let saved = target();
    let cancelled = Cancellation::new();
    cancelled.cancel();
    let error = get(
        &maker.member.hoster,
        &url,
        None,
        saved.path(),
        &GetOptions::default(),
        &silent(),
        &cancelled,
    )
    .unwrap_err();
    assert!(matches!(error, GetError::Cancelled), "{error}");
    assert_empty(saved.path());
    maker.get(&url, saved.path()).unwrap();
    // What is there stays.
    let again = maker.get(&url, saved.path()).unwrap();
    assert_eq!((again.files, again.kept), (0, 4));
}

#[test]
fn special_files_are_left_out_and_no_link_is_made_to_one() {
    let files = Files::new(&[("album/one.jpg", noise(1, 1_000))]);
    let path = files.path().join("album/pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    symlink("one.jpg", files.path().join("album/link")).unwrap();
    let mut maker = Maker::of(files);
    let made = maker.make("album", &LinkOptions::default()).unwrap();
    let left_out: Vec<_> = made
        .left_out
        .iter()
        .map(|l| (&l.path[..], l.reason))
        .collect();
    assert_eq!(left_out, [(&b"/pipe"[..], Reason::SpecialFile)]);
    for path in ["album/pipe", "album/link"] {
        let refused = maker.make(path, &LinkOptions::default()).unwrap_err();
        assert!(matches!(refused, LinkError::NotShareable(_)), "{refused}");
    }
    let refused = maker
        .make("album/none", &LinkOptions::default())
        .unwrap_err();
    assert!(matches!(refused, LinkError::Contents(_)), "{refused}");
    assert_eq!(maker.list().links.len(), 1);
}

#[test]
fn nothing_that_a_hoster_gets_has_the_secret_in_it() {
    let mut maker = Maker::new();
    maker.member.hoster.forget_calls();
    let made = maker.make("album", &with_password()).unwrap();
    let saved = target();
    got(
        &maker.member.hoster,
        &made.url,
        Some(&secret_word()),
        saved.path(),
    )
    .unwrap();
    maker.list();
    revoke(&mut maker.vault, &made.id()).unwrap();

    let url = made.url.to_url();
    let (_, fragment) = url.split_once('#').unwrap();
    let fragment = data_encoding::BASE64URL_NOPAD
        .decode(fragment.as_bytes())
        .unwrap();
    let message: vault_proto::wire::LinkUrl =
        vault_proto::canonical::decode_canonical(&fragment, 1_024).unwrap();
    let secret = message.secret;
    let calls = maker.member.hoster.calls();
    let told = |wanted: &dyn Fn(&Call) -> bool| calls.iter().any(wanted);
    assert!(told(&|call| matches!(call, Call::CreateLink(_))));
    assert!(told(&|call| matches!(call, Call::OpenLink(_))));
    assert!(told(&|call| matches!(call, Call::RevokeLink(_))));
    let said = format!("{calls:?}");
    let decimal = format!("{secret:?}");
    let decimal = decimal.trim_matches(['[', ']']);
    let hexadecimal = data_encoding::HEXLOWER.encode(&secret);
    assert!(!said.contains(decimal) && !said.contains(&hexadecimal[..8]));
    for pack in maker.member.hoster.packs(&maker.vault.id()) {
        let bytes = maker.member.hoster.pack(&maker.vault.id(), &pack).unwrap();
        assert!(!bytes.windows(8).any(|window| window == &secret[..8]));
        for word in [
            &b"album"[..],
            b"one.jpg",
            b"open sesame",
            &secret_hash(&secret),
        ] {
            assert!(!bytes.windows(word.len()).any(|window| window == word));
        }
    }
}

/// The key of a capsule without a password.
fn secret_hash(secret: &[u8]) -> Vec<u8> {
    blake3::derive_key("coffre v1 link capsule key", secret).to_vec()
}
