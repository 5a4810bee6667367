//! Certificates that are renewed while the server runs.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustix::process::Signal;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vault_proto::invitation::{Invitation, TlsTrust};
use vault_rpc::hoster::UsageRequest;
use vault_server::{Renewal, Tls};

use crate::support::{Member, Running, TestServer, dial};

/// A certificate and its key in files, as a hoster's tool renews them.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("fullchain.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("privkey.pem")
    }

    /// Writes a new pair, and returns the hash of its public key.
    fn write_new(&self) -> [u8; 32] {
        let pair = KeyPair::generate().unwrap();
        let names = vec!["coffre.example.org".to_owned()];
        let made = CertificateParams::new(names).unwrap();
        let made = made.self_signed(&pair).unwrap();
        fs::write(self.certificate(), made.pem()).unwrap();
        fs::write(self.key(), pair.serialize_pem()).unwrap();
        Sha256::digest(pair.subject_public_key_info()).into()
    }
}

async fn presents(address: SocketAddr, key: [u8; 32]) -> bool {
    dial(address, Some(key)).await.is_ok()
}

/// Signs up over a connection that is there already.
async fn sign_up(server: &Running, pin: [u8; 32]) -> Member {
    let output = server.ask(&["invite"]);
    let url = String::from_utf8(output.stdout).unwrap();
    let invitation = Invitation::parse(&url).unwrap();
    let dialled = dial(server.address(), Some(pin)).await.unwrap();
    let mut member = Member::new(dialled, &invitation);
    member.create_account(&invitation).await.unwrap();
    member.log_in().await;
    member
}

async fn is_served(member: &mut Member) {
    let request = member.request(UsageRequest {});
    member.client.usage(request).await.unwrap();
}

#[tokio::test]
async fn a_hangup_renews_the_certificate_and_drops_nobody() {
    let files = Files::new();
    let first = files.write_new();
    let (certificate, key) = (files.certificate(), files.key());
    let mut server = Running::start(&[
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ]);
    let mut member = sign_up(&server, first).await;

    server.send(Signal::HUP);
    server.says("certificate: unchanged");
    let second = files.write_new();
    assert!(presents(server.address(), first).await);
    server.send(Signal::HUP);
    server.says("certificate: renewed");
    assert!(presents(server.address(), second).await);
    assert!(!presents(server.address(), first).await);
    is_served(&mut member).await;

    // Nothing that a hoster can do to the files stops the server.
    let good = [&certificate, &key].map(|path| fs::read(path).unwrap());
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let broken: [(&str, &dyn Fn()); 6] = [
        ("no PEM", &|| fs::write(&certificate, "nothing").unwrap()),
        ("an empty file", &|| fs::write(&certificate, "").unwrap()),
        ("no certificate", &|| {
            let begin = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
            fs::write(&certificate, begin).unwrap();
        }),
        ("half of a file", &|| {
            fs::write(&certificate, &good[0][..good[0].len() / 2]).unwrap();
        }),
        ("another's key", &|| fs::write(&key, &other_key).unwrap()),
        ("no file", &|| fs::remove_file(&certificate).unwrap()),
    ];
    for (what, spoil) in broken {
        spoil();
        server.send(Signal::HUP);
        server.says("THE CERTIFICATE WAS NOT RENEWED");
        server.says("certificate: NOT renewed, the old one stays in use");
        assert!(presents(server.address(), second).await, "{what}");
        is_served(&mut member).await;
        fs::write(&certificate, &good[0]).unwrap();
        fs::write(&key, &good[1]).unwrap();
    }
    server.send(Signal::HUP);
    server.says("certificate: unchanged");
    assert_eq!(server.stop(Signal::TERM), Some(0));
}

/// What invitations pin is a key: a server that made its own keeps it.
#[tokio::test]
async fn a_hangup_leaves_a_pinned_key_alone() {
    let mut server = Running::start(&[]);
    let output = server.ask(&["invite"]);
    let url = String::from_utf8(output.stdout).unwrap();
    let TlsTrust::Pinned(pin) = Invitation::parse(&url).unwrap().tls else {
        panic!("no pin");
    };
    let mut member = sign_up(&server, pin).await;
    server.send(Signal::HUP);
    server.says("certificate: none that comes from a file");
    is_served(&mut member).await;
    assert!(presents(server.address(), pin).await);
}

#[tokio::test]
async fn the_files_are_read_again_from_time_to_time() {
    let files = Files::new();
    let first = files.write_new();
    let server = TestServer::start_with(|config| {
        config.tls = Tls::Files {
            certificate: files.certificate(),
            key: files.key(),
        };
        config.renew_every = Duration::from_millis(20);
    })
    .await;
    let address = server.server.address();
    assert!(presents(address, first).await);
    let second = files.write_new();
    while !presents(address, second).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let renewed = server.server.renew_certificate().await;
    assert_eq!(renewed.unwrap(), Renewal::Unchanged);
}
