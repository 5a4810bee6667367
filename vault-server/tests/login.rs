//! Who is let in: a device, at the hoster it dialled, over the channel it
//! dialled him by, now.

use std::{net::SocketAddr, time::Duration};

use rcgen::{KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use vault_proto::{ids::HosterId, login::Login, origin::Origin};
use vault_rpc::hoster::{HelloRequest, ListVaultsRequest, LoginRequest, Reason, UsageRequest};
use vault_server::Tls;

use crate::support::{Dialled, Member, TestServer, assert_refused, dial, random, refusal};

/// A member of a server, and a change to what he signs and sends.
async fn log_in_with(
    change_signed: impl FnOnce(&mut Login),
    change_sent: impl FnOnce(&mut LoginRequest),
) -> Result<Vec<u8>, tonic::Status> {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let (nonce, hello) = member.hello().await.unwrap();
    let mut login = member.login(nonce, &hello);
    change_signed(&mut login);
    let mut request = member.sign_login(&login);
    change_sent(&mut request);
    let answer = member.client.login(request).await?;
    Ok(answer.into_inner().token)
}

#[tokio::test]
async fn a_device_that_signs_what_it_should_gets_a_token() {
    let token = log_in_with(|_| {}, |_| {}).await.unwrap();
    assert_eq!(token.len(), 32);
}

#[tokio::test]
async fn a_login_for_another_hoster_is_refused() {
    let other = |login: &mut Login| login.hoster = HosterId::from_array([1; 32]);
    assert_refused(log_in_with(other, |_| {}).await, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_login_for_another_channel_is_refused() {
    let other = |login: &mut Login| login.exporter = Some([1; 32]);
    assert_refused(log_in_with(other, |_| {}).await, Reason::Unauthenticated);
    let none = |login: &mut Login| login.exporter = None;
    assert_refused(log_in_with(none, |_| {}).await, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_login_for_another_address_is_refused() {
    let other = |login: &mut Login| login.origin = Origin::parse("elsewhere.org:443").unwrap();
    // Signed for elsewhere, and sent as such, or as if it were for here.
    let origin = std::sync::Mutex::new(String::new());
    let keep = |login: &mut Login| {
        *origin.lock().unwrap() = login.origin.to_string();
        other(login);
    };
    let as_if_here = |request: &mut LoginRequest| request.origin = origin.lock().unwrap().clone();
    assert_refused(log_in_with(keep, as_if_here).await, Reason::Unauthenticated);
    assert_refused(log_in_with(other, |_| {}).await, Reason::Forbidden);
}

#[tokio::test]
async fn a_hoster_greets_under_its_own_address_only() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    for (origin, reason) in [
        ("elsewhere.org:443", Reason::Forbidden),
        ("nonsense", Reason::Malformed),
        ("ELSEWHERE.org:443", Reason::Malformed),
    ] {
        let request = HelloRequest {
            client_nonce: vec![0; 32],
            origin: origin.into(),
        };
        assert_refused(member.client.hello(request).await, reason);
    }
}

/// A hoster in the middle: the device dials him, and he carries everything on
/// to the real one.
#[tokio::test]
async fn a_login_that_is_relayed_over_another_connection_is_refused() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let mut member = Member::sign_up(&server, &invitation).await;
    let (nonce, hello) = member.hello().await.unwrap();
    let request = member.sign_login(&member.login(nonce, &hello));
    let Dialled { channel, exporter } = server.dial(&invitation).await;
    assert_ne!(exporter, member.exporter);
    let mut relay = vault_rpc::hoster::hoster_client::HosterClient::new(channel);
    assert_refused(relay.login(request).await, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_wrong_signature_account_or_device_is_refused_alike() {
    let mut messages = Vec::new();
    for change in [
        (|request: &mut LoginRequest| request.signature[0] ^= 1) as fn(&mut _),
        |request| request.account[0] ^= 1,
        |request| request.device[0] ^= 1,
    ] {
        let status = log_in_with(|_| {}, change).await.unwrap_err();
        assert_eq!(refusal(&status).reason(), Reason::Unauthenticated);
        messages.push(status.message().to_owned());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1);
    let short = |request: &mut LoginRequest| request.signature.truncate(63);
    assert_refused(log_in_with(|_| {}, short).await, Reason::Malformed);
}

#[tokio::test]
async fn a_greeting_is_good_for_one_login_within_a_minute() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let (nonce, hello) = member.hello().await.unwrap();
    let request = member.sign_login(&member.login(nonce, &hello));
    member.client.login(request.clone()).await.unwrap();
    assert_refused(member.client.login(request).await, Reason::Unauthenticated);

    let (nonce, hello) = member.hello().await.unwrap();
    let request = member.sign_login(&member.login(nonce, &hello));
    server.clock.advance(Duration::from_secs(60));
    assert_refused(member.client.login(request).await, Reason::Unauthenticated);

    // The nonces that the caller sends must be those of one greeting.
    let (_, hello) = member.hello().await.unwrap();
    let request = member.sign_login(&member.login(random(), &hello));
    assert_refused(member.client.login(request).await, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_so() {
    for (minutes, words) in [(-11, "behind"), (11, "ahead")] {
        let skewed = |login: &mut Login| login.time = login.time.wrapping_add_signed(minutes * 60);
        let status = log_in_with(skewed, |_| {}).await.unwrap_err();
        assert_eq!(refusal(&status).reason(), Reason::ClockSkew);
        assert!(
            status.message().contains("11 minutes"),
            "{}",
            status.message()
        );
        assert!(status.message().contains(words), "{}", status.message());
    }
    for minutes in [-10, 10] {
        let within = |login: &mut Login| login.time = login.time.wrapping_add_signed(minutes * 60);
        log_in_with(within, |_| {}).await.unwrap();
    }
}

#[tokio::test]
async fn only_a_token_opens_the_other_calls() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let usage = member.client.usage(UsageRequest {}).await;
    assert_refused(usage, Reason::Unauthenticated);
    let good = member.token.clone();
    for wrong in [vec![], vec![0; 32], good[1..].to_vec()] {
        member.token = wrong;
        let request = member.request(ListVaultsRequest {});
        assert_refused(
            member.client.list_vaults(request).await,
            Reason::Unauthenticated,
        );
    }
    member.token = good;
    let request = member.request(ListVaultsRequest {});
    member.client.list_vaults(request).await.unwrap();
}

#[tokio::test]
async fn a_token_lives_for_an_hour() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    server.clock.advance(Duration::from_secs(3599));
    let request = member.request(UsageRequest {});
    member.client.usage(request).await.unwrap();
    server.clock.advance(Duration::from_secs(1));
    let request = member.request(UsageRequest {});
    assert_refused(member.client.usage(request).await, Reason::Unauthenticated);
    member.log_in().await;
    let request = member.request(UsageRequest {});
    member.client.usage(request).await.unwrap();
}

#[tokio::test]
async fn a_removed_device_is_out_at_once() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut machine = member.add_device().await;
    machine.log_in().await;
    let request = machine.request(UsageRequest {});
    machine.client.usage(request).await.unwrap();

    member.remove_device(machine.device.id()).await;
    let request = machine.request(UsageRequest {});
    assert_refused(machine.client.usage(request).await, Reason::Removed);
    assert_refused(machine.try_log_in().await, Reason::Unauthenticated);
    member.log_in().await;
}

#[tokio::test]
async fn behind_a_proxy_there_is_no_channel_to_bind_to() {
    let server = TestServer::start_with(|config| {
        config.tls = Tls::BehindProxy;
        config.public_addresses = vec![Origin::parse("coffre.example.org:443").unwrap()];
    })
    .await;
    let invitation = server.invite(1000).await;
    assert_eq!(invitation.origin.as_str(), "coffre.example.org:443");
    assert!(!invitation.tls.binds_channel());
    let mut member = Member::sign_up(&server, &invitation).await;
    assert_eq!(member.exporter, None);
    let (nonce, hello) = member.hello().await.unwrap();
    let mut login = member.login(nonce, &hello);
    login.exporter = Some([0; 32]);
    let request = member.sign_login(&login);
    assert_refused(member.client.login(request).await, Reason::Unauthenticated);
    // TLS to it is nothing it understands.
    assert!(dial(server.server.address(), Some([0; 32])).await.is_err());
}

#[tokio::test]
async fn plain_http_is_for_loopback_only() {
    let data = tempfile::tempdir().unwrap();
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut config = vault_server::Config::new(data.path().join("data"), everywhere);
    config.tls = Tls::BehindProxy;
    let refused = vault_server::Server::start(config).await;
    let error = refused.err().expect("refused").to_string();
    assert!(error.contains("loopback"), "{error}");
}

/// It could not tell whether a device was sent to it by somebody else.
#[tokio::test]
async fn a_hoster_that_does_not_know_its_address_takes_no_login() {
    let server = TestServer::start_with(|config| {
        config.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    })
    .await;
    let key = std::fs::read_to_string(server.data.path().join("tls/key.pem")).unwrap();
    let key = KeyPair::from_pem(&key).unwrap().subject_public_key_info();
    let port = server.server.address().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let dialled = dial(address, Some(Sha256::digest(key).into())).await;
    let mut client = vault_rpc::hoster::hoster_client::HosterClient::new(dialled.unwrap().channel);
    for origin in [address.to_string(), format!("0.0.0.0:{port}")] {
        let request = HelloRequest {
            client_nonce: vec![0; 32],
            origin,
        };
        let status = client.hello(request).await.unwrap_err();
        assert_eq!(refusal(&status).reason(), Reason::Forbidden);
        assert!(status.message().contains("--public-address"), "{status:?}");
    }
}
