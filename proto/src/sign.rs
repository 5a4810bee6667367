//! Ed25519 signatures, each under a label of its own.
//!
//! `signature = Ed25519(key, label || 0x00 || payload)`. No label is a prefix
//! of another up to its zero byte, so a signature made for one purpose is worth
//! nothing for another. This crate holds no secret key: whoever has one signs
//! what [`to_sign`] gives.

use std::fmt;

use data_encoding::HEXLOWER;
use ed25519_dalek::Signature;

use crate::ids::HosterId;
use crate::labels;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignLabel {
    /// An entry of an account log.
    AccountEntry,
    /// An entry of a vault log.
    VaultEntry,
    /// A head.
    Head,
    /// A hoster's half of a login.
    Hello,
    /// A device's half of a login.
    Login,
}

impl SignLabel {
    /// Every label.
    pub const ALL: [Self; 5] = [
        Self::AccountEntry,
        Self::VaultEntry,
        Self::Head,
        Self::Hello,
        Self::Login,
    ];

    /// The label's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountEntry => labels::SIGN_ACCOUNT_ENTRY,
            Self::VaultEntry => labels::SIGN_VAULT_ENTRY,
            Self::Head => labels::SIGN_HEAD,
            Self::Hello => labels::SIGN_HELLO,
            Self::Login => labels::SIGN_LOGIN,
        }
    }
}

/// The message to sign with a plain Ed25519 key: `label || 0x00 || payload`.
#[must_use]
pub fn to_sign(label: SignLabel, payload: &[u8]) -> Vec<u8> {
    let label = label.as_str().as_bytes();
    let mut message = Vec::with_capacity(label.len() + 1 + payload.len());
    message.extend_from_slice(label);
    message.push(0);
    message.extend_from_slice(payload);
    message
}

/// A public key that signatures may be checked against.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

/// Why 32 bytes are no key to trust a signature by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 32 bytes.
    #[error("a signing key is 32 bytes, not {0}")]
    Length(usize),
    /// No point of the curve, or one written in a second way.
    #[error("not the encoding of a point of the curve")]
    NotAPoint,
    /// A point of small order, under which one signature fits many messages.
    #[error("a key of small order")]
    SmallOrder,
}

/// The signature is not this key's over this payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit")]
pub struct BadSignature;

impl VerifyingKey {
    /// Takes the 32-byte encoding of RFC 8032.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let array: &[u8; 32] = bytes
            .try_into()
            .map_err(|_| KeyError::Length(bytes.len()))?;
        if !is_reduced(array) {
            return Err(KeyError::NotAPoint);
        }
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(array).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self(key))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The id of the hoster whose long-lived key this is.
    #[must_use]
    pub fn hoster_id(&self) -> HosterId {
        HosterId::from_array(labels::hash(labels::HOSTER_ID, &[self.as_bytes()]))
    }

    /// Checks a signature over `payload` under `label`, as RFC 8032 does without
    /// the cofactor, and refuses an `R` of small order and an `S` that is not
    /// reduced besides.
    ///
    /// # Errors
    /// [`BadSignature`], whatever is wrong.
    pub fn verify(
        &self,
        label: SignLabel,
        payload: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), BadSignature> {
        self.0
            .verify_strict(&to_sign(label, payload), &Signature::from_bytes(signature))
            .map_err(|_| BadSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VerifyingKey({})",
            HEXLOWER.encode(&self.as_bytes()[..4])
        )
    }
}

/// Whether the y coordinate is below 2^255 - 19, which decompression does not ask.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let top = bytes[31] & 0x7f;
    !(top == 0x7f && bytes[1..31].iter().all(|byte| *byte == 0xff) && bytes[0] >= 0xed)
}
