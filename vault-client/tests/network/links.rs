//! Links at a real server: made by a member, got without an account.

use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use vault_client::account::Setup;
use vault_client::contents::{Contents, NamedSnapshot};
use vault_client::error::ErrorCode;
use vault_client::link::{
    GetError, GetOptions, GetReport, LinkOptions, LinkState, LinkUrl, Password, create, get, list,
    revoke,
};
use vault_client::progress::Cancellation;
use vault_client::remote::HosterAddress;
use vault_client::remote::grpc::Pace;
use vault_client::vault::Vault;
use vault_core::links::OpenLinkError;

use crate::engine::{Files, backed_up, content_of, noise, silent};
use crate::support::hoster::{Device, Hoster};
use crate::support::relay::Line;

/// A member's vault at a server, with a snapshot of a tree.
struct Served {
    hoster: Hoster,
    device: Device,
    vault: Vault,
    files: Files,
    snapshot: NamedSnapshot,
    address: HosterAddress,
}

impl Served {
    fn new(files: Files) -> Self {
        let hoster = Hoster::start();
        let device = Device::new(&hoster);
        let mut vault = device.account.create_vault("documents").unwrap();
        backed_up(&mut vault, &files).unwrap();
        let contents = Contents::open(&vault).unwrap();
        let snapshot = contents.snapshot("latest", None).unwrap();
        let address = device.account.hoster_of(&vault).unwrap();
        Self {
            hoster,
            device,
            vault,
            files,
            snapshot,
            address,
        }
    }

    fn link(&mut self, path: &str, options: &LinkOptions) -> LinkUrl {
        let path = self.files.path().join(path);
        let made = create(
            &mut self.vault,
            &self.address,
            &self.snapshot,
            path.as_os_str().as_bytes(),
            options,
            &silent(),
            &Cancellation::new(),
        );
        LinkUrl::parse(&made.unwrap().url.to_url()).unwrap()
    }

    /// As somebody does who has no account, and no state.
    fn get(
        &self,
        url: &LinkUrl,
        password: Option<&Password>,
        target: &Path,
    ) -> Result<GetReport, GetError> {
        let nowhere = tempfile::tempdir().unwrap();
        let setup: Setup = self.hoster.setup(nowhere.path(), Pace::default());
        get(
            &*setup.connect,
            url,
            password,
            target,
            &GetOptions::default(),
            &silent(),
            &Cancellation::new(),
        )
    }
}

#[test]
fn a_stranger_gets_what_a_member_shares_until_it_is_over() {
    let files = Files::new(&[
        ("album/one.jpg", noise(1, 3_000_000)),
        ("album/deep/two.jpg", noise(2, 70_000)),
        ("private/diary", noise(3, 50_000)),
    ]);
    let mut served = Served::new(files);
    let expected = content_of(&served.files.path().join("album"));
    let word = Password::new("open sesame".to_owned());
    let options = LinkOptions {
        password: Some(word.clone()),
        max_downloads: NonZeroU32::new(1),
        ..LinkOptions::default()
    };
    let once = served.link("album", &options);
    let expires = served.vault.now().seconds() as u64 + 3_600;
    let options = LinkOptions {
        expires: Some(expires),
        ..LinkOptions::default()
    };
    let expiring = served.link("album/deep/two.jpg", &options);
    let revoked = served.link("private", &LinkOptions::default());

    let saved = tempfile::tempdir().unwrap();
    // Who mistypes the password has not used it up.
    let typo = Password::new("open, sesame".to_owned());
    let error = served.get(&once, Some(&typo), saved.path()).unwrap_err();
    let wrong = GetError::Open(OpenLinkError::WrongPassword);
    assert_eq!(error.to_string(), wrong.to_string());
    assert!(content_of(saved.path()).is_empty());
    let report = served.get(&once, Some(&word), saved.path()).unwrap();
    assert_eq!(report.left_out, []);
    assert_eq!(content_of(saved.path()), expected);
    let further = tempfile::tempdir().unwrap();
    let error = served.get(&once, Some(&word), further.path()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LinkOver, "{error}");
    for url in [&expiring, &revoked] {
        let saved = tempfile::tempdir().unwrap();
        assert_eq!(served.get(url, None, saved.path()).unwrap().files, 1);
    }
    let listed = list(&mut served.vault, &served.address).unwrap();
    let states: Vec<_> = listed.links.iter().map(|l| (l.id, l.state)).collect();
    assert!(states.contains(&(once.id(), LinkState::Over)));
    assert!(states.contains(&(expiring.id(), LinkState::Live)));
    assert_eq!(listed.unlisted, []);

    revoke(&mut served.vault, &revoked.id()).unwrap();
    served.hoster.clock.forward(Duration::from_secs(3_601));
    for (url, password) in [(&once, Some(&word)), (&expiring, None), (&revoked, None)] {
        let saved = tempfile::tempdir().unwrap();
        let error = served.get(url, password, saved.path()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LinkOver, "{error}");
        assert!(content_of(saved.path()).is_empty());
    }
    drop(served.device);
}

#[test]
fn a_download_goes_on_over_a_line_that_breaks() {
    let content = noise(7, 12 << 20);
    let mut served = Served::new(Files::new(&[("large", content.clone())]));
    let options = LinkOptions {
        max_downloads: NonZeroU32::new(1),
        ..LinkOptions::default()
    };
    let url = served.link("large", &options);
    served.hoster.relay.spoil_all(Line {
        breaks_after: Some(5 << 20),
        ..Line::default()
    });
    let saved = tempfile::tempdir().unwrap();
    served.get(&url, None, saved.path()).unwrap();
    assert_eq!(content_of(saved.path())["large"], content);
}
