//! Hello and Login.

use tonic::Request;
use tonic::transport::Channel;
use vault_core::author::sign_login;
use vault_proto::login::Login;
use vault_proto::origin::Origin;
use vault_rpc::hoster::hoster_client::HosterClient;
use vault_rpc::hoster::{HelloRequest, LoginRequest};

use super::connection::Connection;
use super::convert::{self, Token, status_error};
use super::greeting::{Greeting, Nonces};
use super::{Pace, Shared};
use crate::platform::Randomness;
use crate::remote::{Credentials, HosterAddress, RemoteError};

/// The hoster's half: proves that whoever answers on this connection is the
/// hoster. Gives the nonces that the device's half covers.
pub(super) async fn hello(shared: &Shared, connection: &Connection) -> Result<Nonces, RemoteError> {
    let HosterAddress { origin, hoster, .. } = &shared.address;
    shared.meter.count_rpc();
    let client = connection.client.clone();
    let greeting = greet(client, origin, &*shared.randomness, &shared.pace).await?;
    // A wrong key, and a right signature from another channel, are the same
    // to us: somebody stands in between, or the hoster is another.
    if greeting.is_from(hoster, connection.exporter) {
        Ok(greeting.nonces)
    } else {
        Err(RemoteError::WrongHosterKey)
    }
}

/// Asks whoever answers who he is.
pub(super) async fn greet(
    mut client: HosterClient<Channel>,
    origin: &Origin,
    randomness: &dyn Randomness,
    pace: &Pace,
) -> Result<Greeting, RemoteError> {
    let mut client_nonce = [0; 32];
    randomness.fill(&mut client_nonce);
    let request = HelloRequest {
        client_nonce: client_nonce.to_vec(),
        origin: origin.to_string(),
    };
    let answer = async {
        client
            .hello(Request::new(request))
            .await
            .map_err(status_error)
    };
    let answer = pace.answered(answer).await?.into_inner();
    Greeting::from_answer(&answer, client_nonce, origin)
}

/// The device's half.
pub(super) async fn login(
    shared: &Shared,
    credentials: &Credentials,
    connection: &Connection,
    nonces: &Nonces,
) -> Result<Token, RemoteError> {
    let Credentials { account, device } = credentials;
    let HosterAddress { origin, hoster, .. } = &shared.address;
    let login = Login {
        hoster: *hoster,
        client_nonce: nonces.client,
        server_nonce: nonces.server,
        time: shared.clock.unix_seconds(),
        exporter: connection.exporter,
        account: *account,
        device: device.id(),
        origin: origin.clone(),
    };
    let request = LoginRequest {
        client_nonce: nonces.client.to_vec(),
        server_nonce: nonces.server.to_vec(),
        origin: origin.to_string(),
        account: account.to_vec(),
        device: device.id().to_vec(),
        time: login.time,
        signature: sign_login(&login, device).to_vec(),
    };
    shared.meter.count_rpc();
    let answer = shared
        .pace
        .answered(async {
            let mut client = connection.client.clone();
            client
                .login(Request::new(request))
                .await
                .map_err(status_error)
        })
        .await?
        .into_inner();
    convert::token(&answer)
}
