//! Hello and Login.

use tonic::Request;
use vault_core::author::sign_login;
use vault_proto::login::{Hello, Login};
use vault_proto::sign::VerifyingKey;
use vault_rpc::hoster::{HelloRequest, LoginRequest};

use super::Shared;
use super::connection::Connection;
use super::convert::status_error;
use crate::remote::{Credentials, HosterAddress, Misbehaviour, RemoteError};

/// What a login gives; sent with every call.
pub(super) type Token = tonic::metadata::MetadataValue<tonic::metadata::Ascii>;

/// The hoster's half: proves that whoever answers on this connection is the
/// hoster. Gives the nonces that the device's half covers.
pub(super) async fn hello(shared: &Shared, connection: &Connection) -> Result<Nonces, RemoteError> {
    let HosterAddress { origin, hoster, .. } = &shared.address;
    let mut client_nonce = [0; 32];
    shared.randomness.fill(&mut client_nonce);
    let request = HelloRequest {
        client_nonce: client_nonce.to_vec(),
        origin: origin.to_string(),
    };
    shared.meter.count_rpc();
    let answer = shared
        .pace
        .answered(async {
            let mut client = connection.client.clone();
            client
                .hello(Request::new(request))
                .await
                .map_err(status_error)
        })
        .await?
        .into_inner();
    let malformed = RemoteError::Misbehaved(Misbehaviour::Malformed);
    let server_nonce = answer.server_nonce[..].try_into();
    let server_nonce = server_nonce.map_err(|_| malformed.clone())?;
    let signature = answer.signature[..].try_into();
    let signature = signature.map_err(|_| malformed.clone())?;
    let key = VerifyingKey::from_slice(&answer.hoster_key).map_err(|_| malformed)?;
    let hello = Hello {
        hoster: *hoster,
        client_nonce,
        server_nonce,
        time: answer.time,
        exporter: connection.exporter,
        origin: origin.clone(),
    };
    // A wrong key, and a right signature from another channel, are the same
    // to us: somebody stands in between, or the hoster is another.
    hello
        .verify(&key, signature)
        .map_err(|_| RemoteError::WrongHosterKey)?;
    Ok(Nonces {
        client: client_nonce,
        server: server_nonce,
    })
}

pub(super) struct Nonces {
    client: [u8; 32],
    server: [u8; 32],
}

/// The device's half.
pub(super) async fn login(
    shared: &Shared,
    connection: &Connection,
    nonces: &Nonces,
) -> Result<Token, RemoteError> {
    let Credentials { account, device } = &shared.credentials;
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
    if answer.token.len() != 32 {
        return Err(RemoteError::Misbehaved(Misbehaviour::Malformed));
    }
    let hex = data_encoding::HEXLOWER.encode(&answer.token);
    let mut token = Token::try_from(format!("Bearer {hex}"))
        .map_err(|_| RemoteError::Misbehaved(Misbehaviour::Malformed))?;
    token.set_sensitive(true);
    Ok(token)
}
