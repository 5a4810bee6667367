//! Passwords, and what the hoster enforces.

use std::sync::atomic::{AtomicU64, Ordering};

use vault_client::error::ErrorCode;
use vault_client::platform::Clock;
use vault_client::remote::RefusalReason;

use super::*;

#[test]
fn a_password_is_needed_and_another_may_be_tried() {
    let mut maker = Maker::new();
    let options = LinkOptions {
        max_downloads: NonZeroU32::new(1),
        ..with_password()
    };
    let url = maker.make("album", &options).unwrap().url;
    let (saved, hoster) = (target(), maker.member.hoster.clone());
    // Not even asked for.
    let calls = maker.calls_of(|| {
        let error = got(&hoster, &url, None, saved.path()).unwrap_err();
        let needed = GetError::Open(OpenLinkError::PasswordNeeded);
        assert_eq!(error.to_string(), needed.to_string());
    });
    assert_eq!(calls, []);

    let download = LinkDownload::begin(&hoster, &url, &Cancellation::new()).unwrap();
    assert!(download.needs_password());
    let wrong = Password::new("open, sesame".to_owned());
    let error = download.open(Some(&wrong)).err().unwrap();
    assert!(matches!(
        error,
        GetError::Open(OpenLinkError::WrongPassword)
    ));
    assert_eq!(error.code(), ErrorCode::WrongKey);
    // Nor does it count, to have a capsule that one cannot open.
    let error = got(&hoster, &url, Some(&wrong), saved.path()).unwrap_err();
    assert!(matches!(
        error,
        GetError::Open(OpenLinkError::WrongPassword)
    ));
    let opened = download.open(Some(&secret_word())).unwrap();
    assert_eq!(maker.list().links[0].downloads, Some(0));
    let (options, never) = (GetOptions::default(), Cancellation::new());
    let report = opened
        .save(saved.path(), &options, &silent(), &never)
        .unwrap();
    assert_eq!(report.files, 4);
    let error = got(&hoster, &url, Some(&secret_word()), target().path()).unwrap_err();
    assert!(matches!(error, GetError::Over), "{error}");
    assert_eq!(format!("{wrong:?}"), "Password(…)");
}

#[test]
fn taking_the_password_off_the_url_opens_nothing() {
    let mut maker = Maker::new();
    let url = maker.make("album", &with_password()).unwrap().url;
    let stripped = LinkUrl {
        password: None,
        ..url
    };
    let saved = target();
    let error = maker.get(&stripped, saved.path()).unwrap_err();
    assert!(
        matches!(error, GetError::Open(OpenLinkError::Unopenable(_))),
        "{error}"
    );
    let word = secret_word();
    let error = got(&maker.member.hoster, &stripped, Some(&word), saved.path()).unwrap_err();
    assert!(
        matches!(error, GetError::Open(OpenLinkError::NoPassword)),
        "{error}"
    );
    assert_empty(saved.path());
}

/// A clock that a test sets.
#[derive(Default)]
struct Set(AtomicU64);

impl Clock for Set {
    fn unix_nanoseconds(&self) -> i128 {
        i128::from(self.0.load(Ordering::Relaxed)) * 1_000_000_000
    }
}

#[test]
fn a_link_that_is_over_shows_nothing() {
    let mut maker = Maker::new();
    let clock = Arc::new(Set::default());
    maker.member.hoster.set_clock(clock.clone());
    let expiring = LinkOptions {
        expires: Some(1_000),
        ..LinkOptions::default()
    };
    let expired = maker.make("album", &expiring).unwrap().url;
    // Before the next one is made: the device's clock is far ahead.
    assert_eq!(maker.get(&expired, target().path()).unwrap().files, 4);
    let twice = LinkOptions {
        max_downloads: NonZeroU32::new(2),
        ..LinkOptions::default()
    };
    let used_up = maker.make("album", &twice).unwrap().url;
    let revoked = maker.link("album");
    for url in [&used_up, &used_up, &revoked] {
        assert_eq!(maker.get(url, target().path()).unwrap().files, 4);
    }
    clock.0.store(1_000, Ordering::Relaxed);
    revoke(&mut maker.vault, &revoked.id()).unwrap();
    for url in [&expired, &used_up, &revoked] {
        let saved = target();
        let error = maker.get(url, saved.path()).unwrap_err();
        assert!(matches!(error, GetError::Over), "{error}");
        assert_eq!(error.code(), ErrorCode::LinkOver);
        assert_empty(saved.path());
    }
    // And one that never was.
    let unknown = LinkUrl {
        secret: vault_core::links::LinkSecret::from_array([7; 32]),
        ..revoked
    };
    let error = maker.get(&unknown, target().path()).unwrap_err();
    assert!(matches!(error, GetError::Over), "{error}");
}

/// Two have opened it, and one of them is first.
#[test]
fn who_asks_for_files_when_the_link_is_used_up_gets_none() {
    let mut maker = Maker::new();
    let options = LinkOptions {
        max_downloads: NonZeroU32::new(1),
        ..LinkOptions::default()
    };
    let url = maker.make("album", &options).unwrap().url;
    let never = Cancellation::new();
    let begin = || LinkDownload::begin(&maker.member.hoster, &url, &never).unwrap();
    let opened = [begin(), begin()].map(|download| download.open(None).unwrap());
    let how = GetOptions::default();
    let saved = [target(), target()];
    let [first, second] = [0, 1].map(|number: usize| {
        let saved = saved[number].path();
        opened[number].save(saved, &how, &silent(), &never)
    });
    assert_eq!(first.unwrap().files, 4);
    let error = second.unwrap_err();
    assert!(matches!(error, GetError::Over), "{error}");
    let mut content = content_of(saved[1].path());
    content.retain(|name, _| name != ".coffre-restore");
    assert!(content.values().all(Vec::is_empty), "no byte of a file");
    // The first one goes on as long as its ticket.
    let again = opened[0].save(target().path(), &how, &silent(), &never);
    assert_eq!(again.unwrap().files, 4);
}

#[test]
fn a_download_under_way_ends_when_its_link_is_revoked() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let download = LinkDownload::begin(&maker.member.hoster, &url, &Cancellation::new()).unwrap();
    let opened = download.open(None).unwrap();
    revoke(&mut maker.vault, &url.id()).unwrap();
    let saved = target();
    let (options, never) = (GetOptions::default(), Cancellation::new());
    let error = opened
        .save(saved.path(), &options, &silent(), &never)
        .unwrap_err();
    assert!(matches!(error, GetError::Over), "{error}");
    let mut content = content_of(saved.path());
    content.retain(|name, _| name != ".coffre-restore");
    assert!(content.values().all(Vec::is_empty), "no byte of a file");
}

#[test]
fn ranges_that_a_link_does_not_name_are_refused() {
    let mut maker = Maker::new();
    let made = maker
        .make("album/deep/two.jpg", &LinkOptions::default())
        .unwrap();
    let calls = maker.member.hoster.calls();
    let told = calls.iter().rev().find_map(|call| match call {
        Call::CreateLink(link) => Some(link.clone()),
        _ => None,
    });
    let told = told.unwrap();
    let visitor = maker.member.hoster.visit(maker.address());
    let opened = visitor.open_link(&made.id()).unwrap();
    let read = |pack, offset, length| {
        let range = PackRange {
            pack,
            offset,
            length,
        };
        let read = visitor.read_link(&opened.ticket, &[range], &mut |_| ControlFlow::Continue(()));
        match read {
            Ok(()) => None,
            Err(RemoteError::Refused(refusal)) => Some(refusal.reason),
            Err(other) => panic!("{other}"),
        }
    };
    let mut outside = 0;
    for pack in maker.member.hoster.packs(&maker.vault.id()) {
        let size = maker
            .member
            .hoster
            .pack(&maker.vault.id(), &pack)
            .unwrap()
            .len() as u32;
        let named = told.packs.iter().find(|blocks| blocks.pack == pack);
        for block in 0..size.div_ceil(64 << 10) {
            let is_named = pack == told.capsule
                || named
                    .is_some_and(|named| named.blocks[block as usize / 8] >> (block % 8) & 1 == 1);
            let offset = block * (64 << 10);
            let length = (64 << 10).min(size - offset);
            let expected = (!is_named).then_some(RefusalReason::Forbidden);
            assert_eq!(read(pack, offset, length), expected);
            outside += u32::from(!is_named);
        }
    }
    assert!(outside > 3);
    // A client that asks for more than it may gets nothing for it.
    let meddle = Meddle {
        ranges: Some(Box::new(|ranges| {
            for range in ranges {
                range.offset = 0;
                range.length = 1 << 20;
            }
        })),
        ..Meddle::default()
    };
    let greedy = Meddling::with(&maker, meddle);
    let saved = target();
    assert!(got(&greedy, &made.url, None, saved.path()).is_err());
    assert_empty(saved.path());
}
