//! What a hoster and a device sign when they meet.
//!
//! The hoster signs a [`Hello`], the device then a [`Login`]; both cover the
//! two nonces, the address that was dialled and, where `coffre-server` ends TLS
//! itself, the channel. A hoster in the middle can use neither elsewhere.

use crate::account_log::AccountLog;
use crate::ids::{AccountId, DeviceId, HosterId};
use crate::origin::Origin;
use crate::sign::{SIGNATURE_BYTES, SignLabel, VerifyingKey, to_sign};

/// The label of the TLS exporter (RFC 8446, section 7.5) whose output binds a
/// login to its channel. The exporter's context is absent.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-coffre-login-v1";
/// Bytes of the exporter's output.
pub const EXPORTER_BYTES: usize = 32;

/// The hoster's half: who it is, to one caller, over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The hoster that speaks.
    pub hoster: HosterId,
    /// 32 random bytes of the device's.
    pub client_nonce: [u8; 32],
    /// 32 random bytes of the hoster's.
    pub server_nonce: [u8; 32],
    /// The hoster's clock, in seconds since 1970.
    pub time: u64,
    /// The output of the TLS exporter; `None` where a reverse proxy ends TLS.
    pub exporter: Option<[u8; EXPORTER_BYTES]>,
    /// Where the device dialled.
    pub origin: Origin,
}

/// The device's half: who it is, to one hoster, over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The hoster that is spoken to.
    pub hoster: HosterId,
    /// 32 random bytes of the device's.
    pub client_nonce: [u8; 32],
    /// 32 random bytes of the hoster's, good for one login.
    pub server_nonce: [u8; 32],
    /// The device's clock, in seconds since 1970.
    pub time: u64,
    /// The output of the TLS exporter; `None` where a reverse proxy ends TLS.
    pub exporter: Option<[u8; EXPORTER_BYTES]>,
    /// The account that the device speaks for.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// Where the device dialled.
    pub origin: Origin,
}

/// Why one side does not believe the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The key is another hoster's.
    #[error("this is hoster {got}, not {expected}")]
    OtherHoster {
        /// Who was dialled.
        expected: HosterId,
        /// Whose key it is.
        got: HosterId,
    },
    /// The account's log is another's.
    #[error("the log is not that of the account that logs in")]
    OtherAccount,
    /// The account has no such device, or removed it.
    #[error("device {0} is no active device of the account")]
    DeviceNotActive(DeviceId),
    /// The signature does not fit: a wrong key, or one of the things that it
    /// covers differs.
    #[error("the signature of the login does not fit")]
    BadSignature,
}

impl Hello {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = start(
            &self.hoster,
            &self.client_nonce,
            &self.server_nonce,
            self.time,
            self.exporter.as_ref(),
        );
        push_origin(&mut payload, &self.origin);
        payload
    }

    /// What the hoster signs with its plain Ed25519 key.
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        to_sign(SignLabel::Hello, &self.to_payload())
    }

    /// Checks that `key` is the hoster's, and that the hoster signed.
    ///
    /// # Errors
    /// [`LoginError::OtherHoster`] and [`LoginError::BadSignature`].
    pub fn verify(
        &self,
        key: &VerifyingKey,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), LoginError> {
        let (expected, got) = (self.hoster, key.hoster_id());
        if got != expected {
            return Err(LoginError::OtherHoster { expected, got });
        }
        key.verify(SignLabel::Hello, &self.to_payload(), signature)
            .map_err(|_| LoginError::BadSignature)
    }
}

impl Login {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = start(
            &self.hoster,
            &self.client_nonce,
            &self.server_nonce,
            self.time,
            self.exporter.as_ref(),
        );
        payload.extend_from_slice(self.account.as_bytes());
        payload.extend_from_slice(self.device.as_bytes());
        push_origin(&mut payload, &self.origin);
        payload
    }

    /// What the device signs with its plain Ed25519 key.
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        to_sign(SignLabel::Login, &self.to_payload())
    }

    /// Checks that the device is active in the newest entry of its account's
    /// log, and that it signed. Nonces, time, origin and channel are those that
    /// the caller put in.
    ///
    /// # Errors
    /// [`LoginError::OtherAccount`], [`LoginError::DeviceNotActive`] and
    /// [`LoginError::BadSignature`].
    pub fn verify(
        &self,
        log: &AccountLog,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), LoginError> {
        if log.id() != self.account {
            return Err(LoginError::OtherAccount);
        }
        log.device(&self.device)
            .filter(|record| record.is_active_at(log.position().seq))
            .ok_or(LoginError::DeviceNotActive(self.device))?
            .public
            .signing_key()
            .verify(SignLabel::Login, &self.to_payload(), signature)
            .map_err(|_| LoginError::BadSignature)
    }
}

fn start(
    hoster: &HosterId,
    client_nonce: &[u8; 32],
    server_nonce: &[u8; 32],
    time: u64,
    exporter: Option<&[u8; EXPORTER_BYTES]>,
) -> Vec<u8> {
    let mut payload = Vec::with_capacity(512);
    payload.extend_from_slice(hoster.as_bytes());
    payload.extend_from_slice(client_nonce);
    payload.extend_from_slice(server_nonce);
    payload.extend_from_slice(&time.to_le_bytes());
    payload.push(u8::from(exporter.is_some()));
    payload.extend_from_slice(exporter.map_or(&[], |bytes| bytes));
    payload
}

fn push_origin(payload: &mut Vec<u8>, origin: &Origin) {
    let text = origin.as_str().as_bytes();
    let length = u16::try_from(text.len()).expect("an origin has at most 259 bytes");
    payload.extend_from_slice(&length.to_le_bytes());
    payload.extend_from_slice(text);
}
