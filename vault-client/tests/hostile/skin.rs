//! What a client must bear: answers that are too long, that never end, that
//! dribble, that write to the terminal, that lie about quota and time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use prost::Message;
use tonic::Status;
use vault_client::account::VaultSelector;
use vault_client::backup::BackupError;
use vault_client::error::ErrorCode;
use vault_client::platform::Clock;
use vault_client::remote::{Misbehaviour, PackRange, RemoteError};
use vault_client::vault::{Vault, VaultError};
use vault_proto::login::Hello;
use vault_proto::sign::SignLabel;
use vault_rpc::hoster::{
    ListedVault, LoginRequest, LoginResponse, ReadPacksResponse, Reason, SyncVaultResponse,
    UsageResponse, WatchHeadsResponse,
};

use super::front::{Messages, refusal};
use super::history::assert_matches;
use super::scene::Scene;
use crate::engine::{backed_up, noise};
use crate::support::hoster::impatient;

const TOO_LARGE: RemoteError = RemoteError::Misbehaved(Misbehaviour::TooLarge);
const MALFORMED: RemoteError = RemoteError::Misbehaved(Misbehaviour::Malformed);

impl Scene {
    fn remote_error(&mut self) -> RemoteError {
        match self.refused() {
            VaultError::Remote(error) => error,
            error => panic!("{error}"),
        }
    }

    /// Answers to this in every refresh.
    fn answer_syncs(
        &self,
        mut answer: impl FnMut() -> Result<SyncVaultResponse, Status> + Send + 'static,
    ) {
        let mut orders = self.hostile.orders();
        orders.sync_vault.instead(move |_| Some(answer()));
    }

    /// Sends this instead of what is read.
    fn send_reads(&self, mut read: impl FnMut() -> Messages<ReadPacksResponse> + Send + 'static) {
        self.hostile.orders().read_packs = Some(Box::new(move |_, _| read()));
    }

    /// Reads a pack as it is sent; how many bytes came, and how it ended.
    fn read(&self, vault: &Vault) -> (usize, RemoteError) {
        let (pack, _) = self.packs().remove(0);
        let range = PackRange {
            pack,
            offset: 0,
            length: 16_384,
        };
        let mut bytes = 0;
        let read = vault
            .remote()
            .read_packs(&vault.id(), &[range], &mut |part| {
                bytes += part.len();
                ControlFlow::Continue(())
            });
        (bytes, read.unwrap_err())
    }

    /// The hoster signs this time from now on.
    fn say_hello_at(&self, time: u64) {
        let (key, origin) = (self.hostile.hoster.key(), self.hostile.hoster.origin());
        self.hostile.orders().hello.tamper(move |asked, answer| {
            let hello = Hello {
                hoster: key.public().signing_key().hoster_id(),
                client_nonce: asked.client_nonce[..].try_into().unwrap(),
                server_nonce: answer.server_nonce[..].try_into().unwrap(),
                time,
                exporter: None,
                origin: origin.clone(),
            };
            answer.time = time;
            answer.signature = key.sign(SignLabel::Hello, &hello.to_payload()).to_vec();
        });
    }

    /// The same vault, opened by somebody with little patience.
    fn impatient(&self) -> Vault {
        let setup = self
            .hostile
            .hoster
            .setup(self.person.home.path(), impatient());
        let account = vault_client::account::Account::open(&setup).unwrap();
        account.open_vault(&VaultSelector::Only).unwrap()
    }
}

fn endless(bytes: &'static [u8]) -> Messages<ReadPacksResponse> {
    let message = move || {
        Ok(ReadPacksResponse {
            bytes: Bytes::from_static(bytes),
        })
    };
    Box::pin(tokio_stream::iter(std::iter::repeat_with(message)))
}

#[test]
fn an_answer_that_is_longer_than_any_is_refused() {
    let mut scene = Scene::small();
    scene.answer_syncs(|| {
        Ok(SyncVaultResponse {
            root: vec![0; 17 << 20],
            ..SyncVaultResponse::default()
        })
    });
    assert_eq!(scene.remote_error(), TOO_LARGE);
    scene.assert_honest_again();
}

#[test]
fn an_answer_of_a_million_nothings_is_refused() {
    let mut scene = Scene::small();
    scene.answer_syncs(|| {
        Ok(SyncVaultResponse {
            heads: vec![Vec::new(); 1_000_000],
            newest_head_seq: 1_000_001,
            ..SyncVaultResponse::default()
        })
    });
    assert!(matches!(scene.refused(), VaultError::Head(_)));
    scene.answer_syncs(|| {
        Ok(SyncVaultResponse {
            vault_entries: vec![Default::default(); 1_000_000],
            ..SyncVaultResponse::default()
        })
    });
    assert!(matches!(scene.refused(), VaultError::VaultLog(_)));
    scene.assert_honest_again();
}

#[test]
fn an_answer_that_always_promises_more_is_ended() {
    let mut scene = Scene::small();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    scene.answer_syncs(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(SyncVaultResponse {
            more: true,
            ..SyncVaultResponse::default()
        })
    });
    assert!(matches!(scene.refused(), VaultError::Answer(_)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    scene.assert_honest_again();
}

#[test]
fn answers_without_their_shape_are_refused() {
    let mut scene = Scene::small();
    scene
        .hostile
        .orders()
        .have_packs
        .tamper(|_, answer| answer.there.push(1));
    let error = scene.check().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    scene.front().behave();

    scene.hostile.orders().list_vaults.tamper(|_, answer| {
        answer.vaults.push(ListedVault {
            vault: vec![7; 31],
            kind: 1,
        });
    });
    let before = scene.person.stored();
    let error = scene.person.account.vaults().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(scene.person.stored(), before);

    scene.front().behave();
    scene.hostile.orders().sync_vault.tamper(|_, answer| {
        answer.accounts.push(vault_rpc::hoster::AccountEntries {
            account: vec![7; 33],
            entries: Vec::new(),
        });
    });
    assert_eq!(scene.remote_error(), MALFORMED);
    scene.assert_honest_again();
}

#[test]
fn a_stream_that_never_ends_is_ended() {
    let mut scene = Scene::small();
    scene.send_reads(|| endless(&[7; 4_096]));
    let (bytes, error) = scene.read(&scene.vault);
    assert_eq!(bytes, 16_384);
    assert_eq!(error, RemoteError::Misbehaved(Misbehaviour::ReadTooLong));
    scene.assert_all_refused();
    // Of messages that hold nothing.
    scene.send_reads(|| endless(&[]));
    let (bytes, error) = scene.read(&scene.vault);
    assert_eq!((bytes, error), (0, MALFORMED));
    scene.assert_all_refused();
    scene.assert_honest_again();
}

#[test]
fn a_stream_that_stalls_or_dribbles_is_ended() {
    let scene = Scene::small();
    let vault = scene.impatient();
    let before = scene.person.stored();
    scene.send_reads(|| Box::pin(tokio_stream::pending()));
    assert_eq!(scene.read(&vault), (0, RemoteError::Stalled));
    // Time passes at the hoster's, a byte at a time.
    scene.send_reads(|| {
        use tokio_stream::StreamExt;
        let pause = std::time::Duration::from_millis(20);
        Box::pin(endless(&[7]).throttle(pause))
    });
    let (bytes, error) = scene.read(&vault);
    assert_eq!(error, RemoteError::Stalled);
    assert!(bytes < 1_000, "{bytes}");
    assert_eq!(scene.person.stored(), before);
}

#[test]
fn what_a_hoster_says_cannot_write_to_the_terminal() {
    let mut scene = Scene::small();
    let evil = "no\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\nway\u{202e}\u{7f}";
    let statuses: [fn(&'static str) -> Status; 4] = [
        |evil| refusal(Reason::Forbidden, evil),
        |evil| Status::permission_denied(evil),
        |evil| Status::unavailable(evil),
        |evil| Status::internal(evil),
    ];
    for status in statuses {
        scene.answer_syncs(move || Err(status(evil)));
        let before = scene.person.stored();
        let error = scene.vault.refresh().unwrap_err();
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert_eq!(scene.person.stored(), before);
    }
    scene.assert_honest_again();
}

#[test]
fn a_hoster_that_knows_nobody_is_not_asked_for_ever() {
    let mut scene = Scene::small();
    scene.answer_syncs(|| Err(refusal(Reason::Unauthenticated, "log in again")));
    let before = scene.person.stored();
    scene.front().forget_seen();
    let error = scene.vault.refresh().unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeviceUnknown, "{error}");
    // The call, a login of two halves, and the call again.
    assert_eq!(scene.front().seen().len(), 4);
    assert_eq!(scene.person.stored(), before);
    scene.assert_honest_again();
}

#[test]
fn a_token_that_is_none_is_refused() {
    let scene = Scene::small();
    for length in [0, 31, 33, 100_000] {
        scene.hostile.orders().login.instead(move |_| {
            Some(Ok(LoginResponse {
                token: vec![7; length],
                lifetime_seconds: u64::MAX,
            }))
        });
        let account = scene.person.reopened(&scene.hostile);
        let before = scene.person.stored();
        let error = account.remote().usage().unwrap_err();
        assert_eq!(error, MALFORMED);
        assert_eq!(scene.person.stored(), before);
    }
}

/// The hoster signs whatever time it likes with the rest. A device asks for none: what
/// it says of its own stays what its clock says.
#[test]
fn lies_about_time_move_nothing() {
    let scene = Scene::small();
    let before = scene.person.stored();
    for time in [0, 1, u64::MAX] {
        scene.say_hello_at(time);
        scene.front().forget_seen();
        let account = scene.person.reopened(&scene.hostile);
        account.remote().usage().unwrap();
        let seen = scene.front().seen();
        let login = seen.iter().find(|seen| seen.call == "login").unwrap();
        let login = LoginRequest::decode(&login.asked[..]).unwrap();
        let clock: &dyn Clock = &scene.hostile.hoster.clock;
        assert_eq!(login.time, clock.unix_seconds());
        assert_eq!(scene.person.stored(), before);
    }
    // A time that it has not signed is another's.
    scene
        .hostile
        .orders()
        .hello
        .tamper(|_, answer| answer.time = u64::MAX);
    let account = scene.person.reopened(&scene.hostile);
    let error = account.remote().usage().unwrap_err();
    assert_eq!(error, RemoteError::WrongHosterKey);
    scene.front().behave();
    scene
        .hostile
        .orders()
        .login
        .instead(|_| Some(Err(refusal(Reason::ClockSkew, "it is 1970"))));
    let account = scene.person.reopened(&scene.hostile);
    let error = account.remote().usage().unwrap_err();
    assert_eq!(error.code(), ErrorCode::ClockSkew, "{error}");
    assert!(!error.is_transient());
    assert_eq!(scene.person.stored(), before);
}

#[test]
fn lies_about_quota_move_nothing() {
    let mut scene = Scene::small();
    let before = scene.person.stored();
    let most = |_: &_, answer: &mut UsageResponse| {
        *answer = UsageResponse {
            quota_bytes: 0,
            committed_bytes: u64::MAX,
            unclaimed_bytes: u64::MAX,
            trash_bytes: u64::MAX,
            record_bytes: u64::MAX,
            record_limit_bytes: 0,
        }
    };
    scene.hostile.orders().usage.tamper(most);
    let usage = scene.person.account.remote().usage().unwrap();
    assert_eq!(usage.committed_bytes, u64::MAX);
    assert_eq!(scene.person.stored(), before);

    let head = scene.vault.head();
    scene.hostile.orders().put_pack.instead(|_| {
        Some(Err(refusal(
            Reason::QuotaExceeded,
            "18446744073709551615 bytes of 0 are used",
        )))
    });
    scene.files.write("new", &noise(99, 3_000));
    let before = scene.person.believed();
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::Transfer(_));
    assert_eq!(error.code(), ErrorCode::QuotaExceeded, "{error}");
    assert_eq!(scene.vault.head(), head);
    assert_eq!(scene.person.believed(), before);
    scene.front().behave();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    scene.snapshot = crate::engine::newest(&scene.vault).unwrap();
    scene.assert_honest_again();
}

/// News are hints: none of them moves anything, however many come.
#[test]
fn news_that_a_hoster_invents_move_nothing() {
    let scene = Scene::small();
    let id = scene.vault.id();
    let before = scene.person.stored();
    let news = |vault: Vec<u8>, hash: Vec<u8>| WatchHeadsResponse {
        vault,
        head_seq: u64::MAX,
        head_hash: hash,
    };
    let invented = news(id.to_vec(), vec![7; 32]);
    scene.hostile.orders().watch_heads = Some(Box::new(move |_| {
        let invented = invented.clone();
        let endless = std::iter::repeat_with(move || Ok(invented.clone()));
        Box::pin(tokio_stream::iter(endless))
    }));
    let mut heard = 0;
    let watched = scene.vault.remote().watch_heads(&[id], &mut |news| {
        assert_eq!(news.head_seq, u64::MAX);
        heard += 1;
        if heard == 100 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(watched, Ok(()));
    assert_eq!(scene.person.stored(), before);
    for (vault, hash) in [(vec![7; 31], vec![7; 32]), (id.to_vec(), vec![7; 33])] {
        let odd = news(vault, hash);
        scene.hostile.orders().watch_heads = Some(Box::new(move |_| {
            Box::pin(tokio_stream::iter([Ok(odd.clone())]))
        }));
        let watched = scene
            .vault
            .remote()
            .watch_heads(&[id], &mut |_| ControlFlow::Continue(()));
        assert_eq!(watched, Err(MALFORMED));
    }
}

/// A sign-up at a hoster that says yes to everything and keeps nothing.
#[test]
fn a_hoster_that_takes_an_account_and_forgets_it_is_told() {
    let hostile = super::scene::Hostile::start();
    hostile.orders().create_account.instead(|_| {
        Some(Ok(vault_rpc::hoster::CreateAccountResponse {
            quota_bytes: u64::MAX,
        }))
    });
    let home = tempfile::tempdir().unwrap();
    let setup = hostile.setup(home.path());
    let invitation = hostile.hoster.invite(1 << 30);
    let sign_up = || vault_client::account::Account::sign_up(&setup, &invitation, "a laptop");
    let error = sign_up().err().unwrap();
    assert!(matches!(
        error.code(),
        ErrorCode::DeviceUnknown | ErrorCode::HosterMisbehaved
    ));
    let refused = vault_client::account::Account::open(&setup).err().unwrap();
    assert_eq!(refused.code(), ErrorCode::NoAccount);
    // The same sign-up comes to its end once the hoster keeps to its word.
    hostile.front.behave();
    let (account, _) = sign_up().unwrap();
    assert_eq!(account.vaults().unwrap().len(), 0);
}
