//! The services beside our own: health, for a monitor, and reflection.

use std::time::Duration;

use tokio_stream::StreamExt;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use vault_rpc::hoster::Reason;

use crate::support::{TestServer, assert_refused};

#[tokio::test]
async fn the_health_service_says_serving() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let mut health = HealthClient::new(server.dial(&invitation).await.channel);
    for service in ["", "coffre.rpc.v1.Hoster"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = HealthCheckRequest {
        service: "nobody".into(),
    };
    let status = health.check(unknown).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
}

async fn reflect(
    client: &mut ServerReflectionClient<tonic::transport::Channel>,
    message: MessageRequest,
) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let answers = client.server_reflection_info(tokio_stream::once(request));
    let mut answers = answers.await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap();
    answer.message_response.unwrap()
}

#[tokio::test]
async fn the_reflection_service_describes_the_hoster() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let channel = server.dial(&invitation).await.channel;
    let mut reflection = ServerReflectionClient::new(channel);
    let list = MessageRequest::ListServices(String::new());
    let MessageResponse::ListServicesResponse(list) = reflect(&mut reflection, list).await else {
        panic!("no list");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| &service.name[..])
        .collect();
    assert!(names.contains(&"coffre.rpc.v1.Hoster"), "{names:?}");
    // The hoster's own commands are not offered to members.
    assert!(
        !names.iter().any(|name| name.contains("admin")),
        "{names:?}"
    );

    let symbol = MessageRequest::FileContainingSymbol("coffre.rpc.v1.CommitHeadRequest".into());
    let answer = reflect(&mut reflection, symbol).await;
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)));
}

/// Anybody may call them, before any limit on logins or strangers.
#[tokio::test]
async fn services_for_anybody_take_small_messages() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let channel = server.dial(&invitation).await.channel;
    let long = "x".repeat(5 << 10);
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest {
        service: long.clone(),
    };
    let refused = health.check(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange);
    let mut reflection = ServerReflectionClient::new(channel);
    let request = ServerReflectionRequest {
        host: long,
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = reflection.server_reflection_info(tokio_stream::once(request));
    let ended = match answers.await {
        Ok(answers) => answers.into_inner().next().await.transpose(),
        Err(status) => Err(status),
    };
    // This one says no word.
    assert!(!matches!(ended, Ok(Some(_))), "it was answered");
}

#[tokio::test]
async fn one_place_has_so_many_calls_of_services_for_anybody() {
    let few = |config: &mut vault_server::Config| config.limits.beside_of_one_network = 2;
    let server = TestServer::start_with(few).await;
    let invitation = server.invite(1000).await;
    let mut watching = Vec::new();
    let watch = async || {
        // Another connection is no way round.
        let mut health = HealthClient::new(server.dial(&invitation).await.channel);
        let request = HealthCheckRequest::default();
        health.watch(request).await.map(tonic::Response::into_inner)
    };
    for _ in 0..2 {
        watching.push(watch().await.unwrap());
    }
    assert_refused(watch().await.map(drop), Reason::TooMany);
    let reflection = server.dial(&invitation).await.channel;
    let answers = ServerReflectionClient::new(reflection)
        .server_reflection_info(tokio_stream::pending())
        .await;
    assert_refused(answers.map(drop), Reason::TooMany);
    // Calls of our own are counted apart.
    server.member().await;
    // When one ends, the next may come.
    drop(watching.pop());
    while watch().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
