//! The hoster's half of a login, as it comes.

use vault_proto::ids::HosterId;
use vault_proto::login::{EXPORTER_BYTES, Hello};
use vault_proto::origin::Origin;
use vault_proto::sign::{SIGNATURE_BYTES, VerifyingKey};
use vault_rpc::hoster::HelloResponse;

use crate::remote::{Misbehaviour, RemoteError};

/// What somebody says of who he is; not verified.
pub(super) struct Greeting {
    key: VerifyingKey,
    pub(super) nonces: Nonces,
    time: u64,
    origin: Origin,
    signature: [u8; SIGNATURE_BYTES],
}

impl Greeting {
    /// What was answered to the nonce by whoever is dialled at `origin`.
    pub(super) fn from_answer(
        answer: &HelloResponse,
        client_nonce: [u8; 32],
        origin: &Origin,
    ) -> Result<Self, RemoteError> {
        let malformed = || RemoteError::Misbehaved(Misbehaviour::Malformed);
        let server_nonce = answer.server_nonce[..].try_into();
        let signature = answer.signature[..].try_into();
        Ok(Self {
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
    pub(super) client: [u8; 32],
    pub(super) server: [u8; 32],
}
