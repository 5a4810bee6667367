//! Hello and Login.

use tonic::Request;
use tonic::transport::Channel;
use vault_core::author::sign_login;
use vault_proto::ids::HosterId;
use vault_proto::login::{EXPORTER_BYTES, Hello, Login};
use vault_proto::origin::Origin;
use vault_proto::sign::{SIGNATURE_BYTES, VerifyingKey};
use vault_rpc::hoster::hoster_client::HosterClient;
use vault_rpc::hoster::{HelloRequest, LoginRequest};

use super::connection::Connection;
use super::convert::status_error;
use super::{Pace, Shared};
use crate::platform::Randomness;
use crate::remote::{Credentials, HosterAddress, Misbehaviour, RemoteError};

/// What a login gives; sent with every call.
pub(super) type Token = tonic::metadata::MetadataValue<tonic::metadata::Ascii>;

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
    let malformed = || RemoteError::Misbehaved(Misbehaviour::Malformed);
    let server_nonce = answer.server_nonce[..].try_into();
    let signature = answer.signature[..].try_into();
    Ok(Greeting {
        key: VerifyingKey::from_slice(&answer.hoster_key).map_err(|_| malformed())?,
        nonces: Nonces {
            client: client_nonce,
            server: server_nonce.map_err(|_| malformed())?,
        },
        time: answer.time,
        origin: origin.clone(),
        signature: signature.map_err(|_| malformed())?,
    })
}

/// What somebody says of who he is; not verified.
pub(super) struct Greeting {
    key: VerifyingKey,
    nonces: Nonces,
    time: u64,
    origin: Origin,
    signature: [u8; SIGNATURE_BYTES],
}

impl Greeting {
    /// The hoster whose key he names.
    pub(super) fn hoster(&self) -> HosterId {
        self.key.hoster_id()
    }

    /// Whether he holds that hoster's key, and speaks at the other end of the
    /// channel with this exporter, or of any channel when there is none.
    pub(super) fn is_from(
        &self,
        hoster: &HosterId,
        exporter: Option<[u8; EXPORTER_BYTES]>,
    ) -> bool {
        let hello = Hello {
            hoster: *hoster,
            client_nonce: self.nonces.client,
            server_nonce: self.nonces.server,
            time: self.time,
            exporter,
            origin: self.origin.clone(),
        };
        hello.verify(&self.key, &self.signature).is_ok()
    }
}

pub(super) struct Nonces {
    client: [u8; 32],
    server: [u8; 32],
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
    if answer.token.len() != 32 {
        return Err(RemoteError::Misbehaved(Misbehaviour::Malformed));
    }
    let hex = data_encoding::HEXLOWER.encode(&answer.token);
    let mut token = Token::try_from(format!("Bearer {hex}"))
        .map_err(|_| RemoteError::Misbehaved(Misbehaviour::Malformed))?;
    token.set_sensitive(true);
    Ok(token)
}
