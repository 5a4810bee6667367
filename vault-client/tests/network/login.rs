//! Who talks to whom: pins, channels, tokens, clocks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ALL_VERSIONS, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use vault_client::account::{Account, AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::RemoteError;
use vault_client::remote::grpc::Pace;
use vault_proto::ids::HosterId;
use vault_proto::invitation::{Invitation, TlsTrust};
use vault_server::Tls;

use crate::support::commit;
use crate::support::hoster::{Device, Hoster, Standing};

fn sign_up(hoster: &Hoster, invitation: &Invitation) -> Result<(), AccountError> {
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), Pace::default());
    Account::sign_up(&setup, invitation, "a laptop").map(|_| ())
}

fn remote_error(result: Result<(), AccountError>) -> RemoteError {
    match result.expect_err("somebody else was believed") {
        AccountError::Remote(error) => error,
        error => panic!("{error}"),
    }
}

#[test]
fn another_key_than_the_pinned_one_is_not_talked_to() {
    let hoster = Hoster::start();
    let genuine = hoster.invite(1 << 30);
    let invitation = Invitation {
        tls: TlsTrust::Pinned([7; 32]),
        ..genuine.clone()
    };
    let error = remote_error(sign_up(&hoster, &invitation));
    assert_eq!(error, RemoteError::WrongHosterKey);
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    sign_up(&hoster, &genuine).unwrap();
}

#[test]
fn another_hoster_behind_the_right_pin_is_not_talked_to() {
    let hoster = Hoster::start();
    let invitation = Invitation {
        hoster: HosterId::from_array([7; 32]),
        ..hoster.invite(1 << 30)
    };
    let error = remote_error(sign_up(&hoster, &invitation));
    assert_eq!(error, RemoteError::WrongHosterKey);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_trusted() {
    let hoster = Hoster::start();
    let invitation = Invitation {
        tls: TlsTrust::Public,
        ..hoster.invite(1 << 30)
    };
    let error = remote_error(sign_up(&hoster, &invitation));
    assert!(
        matches!(
            error,
            RemoteError::UntrustedCertificate { .. } | RemoteError::Unreachable { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn a_relay_under_another_address_is_refused() {
    let hoster = Hoster::start();
    let elsewhere = Hoster::start();
    // A hoster that lures members of another: bytes pass unchanged, so that pin
    // and channel are right, but the members dialled somebody else.
    let target = hoster.relay.address();
    elsewhere.relay.lead_to(target);
    let invitation = Invitation {
        origin: elsewhere.origin(),
        ..hoster.invite(1 << 30)
    };
    let error = remote_error(sign_up(&hoster, &invitation));
    assert_eq!(error.code(), ErrorCode::HosterRefused, "{error:?}");
}

#[test]
fn whoever_has_stolen_the_tls_key_is_still_not_the_hoster() {
    let hoster = Hoster::start();
    let invitation = hoster.invite(1 << 30);
    // He sits on the line: address, pin and all that the hoster says are right,
    // and nothing but the channel tells the two apart.
    let middle = hoster.tokio().block_on(man_in_the_middle(&hoster));
    hoster.relay.lead_to(middle);
    let error = remote_error(sign_up(&hoster, &invitation));
    assert_eq!(error, RemoteError::WrongHosterKey);
    hoster.relay.lead_to(hoster.server_address());
    sign_up(&hoster, &invitation).unwrap();
}

/// Ends TLS as the hoster does, with its own key.
pub(super) fn tls_server(
    hoster: &Hoster,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let directory = hoster.data.path().join("tls");
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    server
}

/// Speaks TLS with anybody.
pub(super) fn tls_client() -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    client
}

/// Ends TLS with the hoster's own key, and speaks TLS to the hoster.
pub(super) async fn man_in_the_middle(hoster: &Hoster) -> SocketAddr {
    let target = hoster.server_address();
    let (server, client) = (tls_server(hoster, ALL_VERSIONS), tls_client());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((device, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(Arc::new(server.clone()));
            let connector = TlsConnector::from(Arc::new(client.clone()));
            tokio::spawn(async move {
                let mut device = acceptor.accept(device).await.unwrap();
                let hoster = TcpStream::connect(target).await.unwrap();
                let name = ServerName::try_from("127.0.0.1").unwrap();
                let mut hoster = connector.connect(name, hoster).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut device, &mut hoster).await;
            });
        }
    });
    address
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[test]
fn a_token_that_is_too_old_is_renewed_within_the_call() {
    let hoster = Hoster::start();
    let (device, mut vault) = Device::with_vault(&hoster);
    let before = device.account.remote().traffic().rpcs;
    hoster.clock.forward(Duration::from_secs(2 * 3_600));
    vault.refresh().unwrap();
    // Refused, Hello, Login, and once more.
    assert_eq!(device.account.remote().traffic().rpcs - before, 4);
    commit(&mut vault);
}

#[test]
fn a_clock_that_is_wrong_is_told_so() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    let mut setup = hoster.setup(device.home.path(), Pace::default());
    let wrong = Standing::new();
    wrong.forward(Duration::from_secs(3_600));
    setup.clock = Arc::new(wrong.clone());
    let connect = vault_client::remote::grpc::GrpcConnect::new(
        Arc::new(wrong),
        setup.randomness.clone(),
        vault_client::remote::grpc::Runtime::new().unwrap(),
    );
    setup.connect = Arc::new(connect);
    let account = Account::open(&setup).unwrap();
    let error = account.vaults().err().unwrap();
    assert_eq!(error.code(), ErrorCode::ClockSkew, "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_device_that_the_hoster_does_not_know_is_refused_and_does_not_insist() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    let other = Hoster::start_with(Tls::SelfSigned);
    // The same device at a hoster that never saw it, under that one's pin.
    let invitation = other.invite(1 << 30);
    let database = rusqlite::Connection::open(device.home.path().join("state.db")).unwrap();
    let TlsTrust::Pinned(pin) = invitation.tls else {
        panic!()
    };
    database
        .execute(
            "UPDATE account SET origin = ?1, hoster = ?2, tls_pin = ?3",
            rusqlite::params![
                invitation.origin.as_str(),
                invitation.hoster.as_bytes(),
                &pin[..]
            ],
        )
        .unwrap();
    let there = invitation.hoster.as_bytes();
    database
        .execute("UPDATE vault SET hoster = ?1", [there])
        .unwrap();
    drop(database);
    let account = device.reopened(&other, Pace::default());
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    let error = vault.refresh().unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeviceUnknown, "{error}");
    assert!(account.remote().traffic().rpcs <= 4);
}
