//! From an invitation to an account.

use std::time::Duration;

use vault_proto::{
    account_log::AccountLog,
    device::DeviceKind,
    ids::HosterId,
    invitation::{InvitationSecret, TlsTrust},
};
use vault_rpc::hoster::{CreateAccountRequest, Reason, UsageRequest};

use crate::support::{Device, Member, TestServer, assert_refused, dial, genesis, random};

#[tokio::test]
async fn an_invitation_becomes_an_account_with_its_quota() {
    let server = TestServer::start().await;
    let invitation = server.invite(5_000_000_000).await;
    assert_eq!(invitation.hoster, server.server.id());
    assert!(matches!(invitation.tls, TlsTrust::Pinned(_)));
    let mut member = Member::sign_up(&server, &invitation).await;
    let usage = member.request(UsageRequest {});
    let usage = member.client.usage(usage).await.unwrap().into_inner();
    assert_eq!(usage.quota_bytes, 5_000_000_000);
    assert_eq!((usage.committed_bytes, usage.unclaimed_bytes), (0, 0));
}

#[tokio::test]
async fn an_invitation_is_good_for_one_account() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let mut first = Member::sign_up(&server, &invitation).await;
    let mut second = Member::new(server.dial(&invitation).await, &invitation);
    assert_refused(
        second.create_account(&invitation).await,
        Reason::InvitationUsed,
    );
    // The first answer may have been lost: repeating it succeeds.
    assert_eq!(first.create_account(&invitation).await.unwrap(), 1000);
}

#[tokio::test]
async fn an_unknown_or_expired_invitation_is_refused() {
    let server = TestServer::start().await;
    let mut invitation = server.invite_for(1000, 60).await;
    let mut member = Member::new(server.dial(&invitation).await, &invitation);
    server.clock.advance(Duration::from_secs(60));
    assert_refused(
        member.create_account(&invitation).await,
        Reason::InvitationExpired,
    );
    invitation.secret = InvitationSecret::from_array(random());
    assert_refused(
        member.create_account(&invitation).await,
        Reason::InvitationUnknown,
    );
}

#[tokio::test]
async fn a_genesis_must_verify_and_name_this_hoster() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let member = Member::new(server.dial(&invitation).await, &invitation);
    let request = |genesis| CreateAccountRequest {
        invitation: invitation.secret.as_bytes().to_vec(),
        genesis,
    };
    let mut client = member.client.clone();
    assert_refused(
        client.create_account(request(None)).await,
        Reason::Malformed,
    );
    let mut forged = member.log.entries()[0].clone();
    forged.signatures[0].signature[3] ^= 1;
    assert_refused(
        client.create_account(request(Some(forged))).await,
        Reason::InvalidSigned,
    );
    let device = Device::generate(DeviceKind::Machine);
    let elsewhere = genesis(&device, HosterId::from_array([7; 32]));
    assert!(AccountLog::verify_genesis(&elsewhere).is_ok());
    assert_refused(
        client.create_account(request(Some(elsewhere))).await,
        Reason::Forbidden,
    );
    let mut short = request(Some(member.log.entries()[0].clone()));
    short.invitation.pop();
    assert_refused(client.create_account(short).await, Reason::Malformed);
    // None of these used the invitation up.
    let whole = request(Some(member.log.entries()[0].clone()));
    client.create_account(whole).await.unwrap();
}

#[tokio::test]
async fn the_pin_is_that_of_the_key_and_survives_a_restart() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let TlsTrust::Pinned(pin) = invitation.tls else {
        panic!("self-signed by default");
    };
    let mut wrong = pin;
    wrong[0] ^= 1;
    assert!(dial(server.server.address(), Some(wrong)).await.is_err());
    let server = server.restart(|_| {}).await;
    assert!(dial(server.server.address(), Some(pin)).await.is_ok());
    let again = server.invite(1000).await;
    assert_eq!(
        (again.hoster, again.tls),
        (invitation.hoster, invitation.tls)
    );
}

#[tokio::test]
async fn members_and_their_tokens_survive_a_restart() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let mut member = Member::sign_up(&server, &invitation).await;
    let server = server.restart(|_| {}).await;
    member.reconnect(server.dial(&invitation).await);
    let usage = member.request(UsageRequest {});
    member.client.usage(usage).await.unwrap();
    member.log_in().await;
}
