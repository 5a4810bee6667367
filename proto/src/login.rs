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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestAccount, TestDevice, filler_32};

    fn hello(hoster: &TestDevice) -> Hello {
        Hello {
            hoster: hoster.public.signing_key().hoster_id(),
            client_nonce: filler_32("client"),
            server_nonce: filler_32("server"),
            time: 1_800_000_000,
            exporter: Some(filler_32("exporter")),
            origin: Origin::parse("coffre.example:443").unwrap(),
        }
    }

    fn login(account: &TestAccount) -> Login {
        let hello = hello(&TestDevice::machine("hoster"));
        Login {
            hoster: hello.hoster,
            client_nonce: hello.client_nonce,
            server_nonce: hello.server_nonce,
            time: hello.time,
            exporter: hello.exporter,
            account: account.id(),
            device: account.machine.id(),
            origin: hello.origin,
        }
    }

    #[test]
    fn payloads_are_laid_out_as_the_format_says() {
        let account = TestAccount::new("alice");
        let login = login(&account);
        let payload = login.to_payload();
        assert_eq!(payload.len(), 32 * 3 + 8 + 1 + 32 + 32 * 2 + 2 + 18);
        assert_eq!(payload[..32], *login.hoster.as_bytes());
        assert_eq!(payload[32..64], filler_32("client"));
        assert_eq!(payload[64..96], filler_32("server"));
        assert_eq!(payload[96..104], 1_800_000_000_u64.to_le_bytes());
        assert_eq!(payload[104], 1);
        assert_eq!(payload[105..137], filler_32("exporter"));
        assert_eq!(payload[137..169], *account.id().as_bytes());
        assert_eq!(payload[169..201], *account.machine.id().as_bytes());
        assert_eq!(payload[201..], *b"\x12\0coffre.example:443");

        let behind_proxy = Login {
            exporter: None,
            ..login
        };
        let without = behind_proxy.to_payload();
        assert_eq!(without[104], 0);
        assert_eq!(without[105..], payload[137..]);

        let hello = hello(&TestDevice::machine("hoster")).to_payload();
        assert_eq!(hello[..137], payload[..137]);
        assert_eq!(hello[137..], payload[201..]);
    }

    #[test]
    fn a_hello_is_believed_of_the_hoster_for_what_it_covers() {
        let hoster = TestDevice::machine("hoster");
        let key = hoster.public.signing_key();
        let hello = hello(&hoster);
        let signature = hoster.sign(&hello.to_sign());
        assert_eq!(hello.verify(key, &signature), Ok(()));

        let other = TestDevice::machine("another hoster");
        let forged = other.sign(&hello.to_sign());
        let expected = hello.hoster;
        let got = other.public.signing_key().hoster_id();
        let error = hello.verify(other.public.signing_key(), &forged);
        assert_eq!(error, Err(LoginError::OtherHoster { expected, got }));
        assert_eq!(hello.verify(key, &forged), Err(LoginError::BadSignature));

        let changes: [fn(&mut Hello); 6] = [
            |hello| hello.client_nonce[0] ^= 1,
            |hello| hello.server_nonce[31] ^= 1,
            |hello| hello.time += 1,
            |hello| hello.exporter = None,
            |hello| hello.exporter = Some([0; 32]),
            |hello| hello.origin = Origin::parse("other.example:443").unwrap(),
        ];
        for (which, change) in changes.into_iter().enumerate() {
            let mut other = hello.clone();
            change(&mut other);
            let error = other.verify(key, &signature);
            assert_eq!(error, Err(LoginError::BadSignature), "change {which}");
        }
    }

    #[test]
    fn a_login_is_believed_of_an_active_device_for_what_it_covers() {
        let mut account = TestAccount::new("alice");
        let laptop = account.renew_account_key();
        let login = login(&account);
        let signature = account.machine.sign(&login.to_sign());
        assert_eq!(login.verify(&account.log, &signature), Ok(()));

        let error = login.verify(&TestAccount::new("bob").log, &signature);
        assert_eq!(error, Err(LoginError::OtherAccount));
        for device in [&laptop, &TestDevice::machine("unknown")] {
            let login = Login {
                device: device.id(),
                ..login.clone()
            };
            let error = login.verify(&account.log, &device.sign(&login.to_sign()));
            assert_eq!(error, Err(LoginError::DeviceNotActive(device.id())));
        }
        let by_paper = account.paper.sign(&login.to_sign());
        let error = login.verify(&account.log, &by_paper);
        assert_eq!(error, Err(LoginError::BadSignature));

        let changes: [fn(&mut Login); 6] = [
            |login| login.hoster = HosterId::from_array([1; 32]),
            |login| login.client_nonce[0] ^= 1,
            |login| login.server_nonce[31] ^= 1,
            |login| login.time += 1,
            |login| login.exporter = None,
            |login| login.origin = Origin::parse("coffre.example:444").unwrap(),
        ];
        for (which, change) in changes.into_iter().enumerate() {
            let mut other = login.clone();
            change(&mut other);
            let error = other.verify(&account.log, &signature);
            assert_eq!(error, Err(LoginError::BadSignature), "change {which}");
        }
    }

    /// The two halves cannot stand for each other, even over the same bytes.
    #[test]
    fn a_hello_is_no_login() {
        let account = TestAccount::new("alice");
        let login = login(&account);
        let message = to_sign(SignLabel::Hello, &login.to_payload());
        let error = login.verify(&account.log, &account.machine.sign(&message));
        assert_eq!(error, Err(LoginError::BadSignature));
    }
}
