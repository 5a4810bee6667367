//! A line that offers less than it should: an older TLS, or none.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use vault_client::account::{Account, AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::RemoteError;
use vault_client::remote::grpc::Pace;
use vault_client::vault::VaultError;
use vault_proto::invitation::{Invitation, TlsTrust};
use vault_server::Tls;

use super::login::{tls_client, tls_server};
use crate::support::hoster::{Device, Hoster};
use crate::support::stored;

static OLD: [&SupportedProtocolVersion; 1] = [&TLS12];
static NEW: [&SupportedProtocolVersion; 1] = [&TLS13];

/// What somebody on the line speaks with devices. He has the hoster's own key, and
/// passes all on to the hoster, with TLS as that wants it.
#[derive(Clone, Copy)]
enum Speaks {
    Tls(&'static [&'static SupportedProtocolVersion]),
    NoTls,
}

/// What has come of it.
#[derive(Clone, Default)]
struct Overheard(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// Devices that agreed to speak like this.
    agreed: usize,
    /// The first bytes that devices sent in the clear.
    first: Vec<Vec<u8>>,
}

async fn stand_between(hoster: &Hoster, speaks: Speaks) -> (SocketAddr, Overheard) {
    let (target, heard) = (hoster.server_address(), Overheard::default());
    let versions = match speaks {
        Speaks::Tls(versions) => versions,
        Speaks::NoTls => &NEW[..],
    };
    let acceptor = TlsAcceptor::from(Arc::new(tls_server(hoster, versions)));
    let connector = TlsConnector::from(Arc::new(tls_client()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let overheard = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut device, _)) = listener.accept().await {
            let (acceptor, connector) = (acceptor.clone(), connector.clone());
            let heard = heard.0.clone();
            tokio::spawn(async move {
                let hoster = TcpStream::connect(target).await.unwrap();
                let name = "127.0.0.1".try_into().unwrap();
                let mut hoster = connector.connect(name, hoster).await.unwrap();
                match speaks {
                    Speaks::Tls(_) => {
                        let Ok(mut device) = acceptor.accept(device).await else {
                            return;
                        };
                        heard.lock().unwrap().agreed += 1;
                        let _ = copy_bidirectional(&mut device, &mut hoster).await;
                    }
                    Speaks::NoTls => {
                        let mut first = [0; 24];
                        let read = device.read(&mut first).await.unwrap_or(0);
                        heard.lock().unwrap().first.push(first[..read].to_vec());
                        hoster.write_all(&first[..read]).await.unwrap();
                        let _ = copy_bidirectional(&mut device, &mut hoster).await;
                    }
                }
            });
        }
    });
    (address, overheard)
}

fn sign_up(hoster: &Hoster, invitation: &Invitation) -> Result<Account, AccountError> {
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), impatient());
    let signed_up = Account::sign_up(&setup, invitation, "a laptop");
    signed_up.map(|(account, _)| account)
}

/// Nobody who stays silent is waited for long.
fn impatient() -> Pace {
    Pace {
        connect: Duration::from_secs(2),
        answer: Duration::from_secs(2),
        ..Pace::default()
    }
}

fn assert_unreachable(error: &RemoteError) {
    assert!(
        matches!(error, RemoteError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
}

/// A device with an account and one without, whose invitation pins the hoster's key,
/// do not go on with whoever offers less than TLS 1.3. Nothing moves on the device,
/// and no secret has left it.
#[test]
fn less_than_the_invitation_says_is_not_spoken() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    let invitation = hoster.invite(1 << 30);
    assert!(matches!(invitation.tls, TlsTrust::Pinned(_)));
    for speaks in [Speaks::Tls(&OLD), Speaks::NoTls] {
        let (between, heard) = hoster.tokio().block_on(stand_between(&hoster, speaks));
        hoster.relay.lead_to(between);
        let account = device.reopened(&hoster, impatient());
        let mut again = account.open_vault(&VaultSelector::Only).unwrap();
        let before = stored(device.home.path());
        match again.refresh().unwrap_err() {
            VaultError::Remote(error) => assert_unreachable(&error),
            error => panic!("{error}"),
        }
        assert_eq!(stored(device.home.path()), before);
        assert_eq!(again.head(), vault.head());
        match sign_up(&hoster, &invitation).map(|_| ()).unwrap_err() {
            AccountError::Remote(error) => assert_unreachable(&error),
            error => panic!("{error}"),
        }
        let heard = heard.0.lock().unwrap();
        assert_eq!(heard.agreed, 0);
        // The beginning of TLS, in which nothing is said yet: a handshake record.
        assert!(heard.first.iter().all(|first| first[..2] == [22, 3]));
        assert_eq!(heard.first.is_empty(), matches!(speaks, Speaks::Tls(_)));
    }
    // He who speaks as the hoster does is talked to, though not believed.
    let speaks = Speaks::Tls(&NEW);
    let (between, heard) = hoster.tokio().block_on(stand_between(&hoster, speaks));
    hoster.relay.lead_to(between);
    let error = sign_up(&hoster, &invitation).map(|_| ()).unwrap_err();
    assert!(
        matches!(error, AccountError::Remote(RemoteError::WrongHosterKey)),
        "{error}"
    );
    assert!(heard.0.lock().unwrap().agreed > 0);
    // The invitation was shown to nobody, and is still good.
    hoster.relay.lead_to(hoster.server_address());
    sign_up(&hoster, &invitation).unwrap();
}

/// A server that has no TLS at all, and whose members' invitations speak of one.
#[test]
fn a_server_without_tls_is_not_talked_to_where_the_invitation_says_tls() {
    let hoster = Hoster::start_with(Tls::BehindProxy);
    let invitation = hoster.invite(1 << 30);
    for tls in [TlsTrust::Pinned([7; 32]), TlsTrust::Public] {
        let said = Invitation {
            tls,
            ..invitation.clone()
        };
        match sign_up(&hoster, &said).map(|_| ()).unwrap_err() {
            AccountError::Remote(error) => assert_unreachable(&error),
            error => panic!("{error}"),
        }
    }
    sign_up(&hoster, &invitation).unwrap();
}

/// Who comes with an address alone, to recover or to pair, takes an older TLS from
/// a proxy that somebody vouches for. From one who sits between he does not: what
/// the hoster has signed is bound to the hoster's own channel.
#[test]
fn who_has_only_an_address_is_not_led_to_less_either() {
    let hoster = Hoster::start();
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), impatient());
    let genuine = setup.connect.discover(&hoster.origin()).unwrap().0;
    assert!(matches!(genuine.tls, TlsTrust::Pinned(_)));
    for speaks in [Speaks::Tls(&OLD), Speaks::Tls(&NEW), Speaks::NoTls] {
        let (between, heard) = hoster.tokio().block_on(stand_between(&hoster, speaks));
        hoster.relay.lead_to(between);
        let error = setup.connect.discover(&hoster.origin()).map(|_| ());
        assert_eq!(error.unwrap_err(), RemoteError::WrongHosterKey);
        let heard = heard.0.lock().unwrap();
        // He was listened to, and not believed.
        assert!(heard.agreed + heard.first.len() > 0);
    }
}
