//! The services beside our own: health, for a monitor, and reflection.

use tokio_stream::StreamExt;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::TestServer;

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
