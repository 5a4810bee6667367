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
    /// An offer of membership.
    Offer,
    /// A link's capsule.
    Capsule,
}

impl SignLabel {
    /// Every label.
    pub const ALL: [Self; 7] = [
        Self::AccountEntry,
        Self::VaultEntry,
        Self::Head,
        Self::Hello,
        Self::Login,
        Self::Offer,
        Self::Capsule,
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
            Self::Offer => labels::SIGN_OFFER,
            Self::Capsule => labels::SIGN_CAPSULE,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestDevice, filler};

    #[test]
    fn no_label_begins_another() {
        for (i, one) in SignLabel::ALL.into_iter().enumerate() {
            assert!(!one.as_str().contains('\0'));
            for another in &SignLabel::ALL[i + 1..] {
                assert_ne!(one.as_str(), another.as_str());
            }
        }
        let message = to_sign(SignLabel::Hello, b"payload");
        assert_eq!(message, b"coffre v1 sign hello\0payload");
    }

    #[test]
    fn a_signature_is_good_for_one_key_label_and_payload() {
        let device = TestDevice::machine("one");
        let other = TestDevice::machine("another");
        let key = device.public.signing_key();
        let signature = device.sign(&to_sign(SignLabel::Head, b"payload"));
        assert_eq!(key.verify(SignLabel::Head, b"payload", &signature), Ok(()));
        let other_key = other.public.signing_key();
        for (key, label, payload) in [
            (key, SignLabel::Login, &b"payload"[..]),
            (key, SignLabel::Head, b"payloae"),
            (key, SignLabel::Head, b""),
            (other_key, SignLabel::Head, b"payload"),
        ] {
            let verdict = key.verify(label, payload, &signature);
            assert_eq!(verdict, Err(BadSignature));
        }
        for at in 0..64 {
            let mut flipped = signature;
            flipped[at] ^= 1 << (at % 8);
            let verdict = key.verify(SignLabel::Head, b"payload", &flipped);
            assert_eq!(verdict, Err(BadSignature), "byte {at}");
        }
    }

    /// A signer can make such a signature over anything: `R` is the neutral
    /// point, `S` the challenge times the secret. RFC 8032's equation holds.
    #[test]
    fn an_r_of_small_order_is_refused() {
        let key = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
        let signature = "01000000000000000000000000000000000000000000000000000000000000\
                         0016070be6bd7f8a74820fb7c4bea4941676005d4aa969a665492c649cf5f55d0b";
        let key = VerifyingKey::from_slice(&HEXLOWER.decode(key.as_bytes()).unwrap()).unwrap();
        let signature = HEXLOWER.decode(signature.as_bytes()).unwrap();
        let verdict = key.verify(SignLabel::Head, b"payload", &signature.try_into().unwrap());
        assert_eq!(verdict, Err(BadSignature));
    }

    /// `S` and `S` plus the group's order would be two signatures of one message.
    #[test]
    fn an_s_that_is_not_reduced_is_refused() {
        let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let order = HEXLOWER.decode(order.as_bytes()).unwrap();
        let device = TestDevice::machine("one");
        let mut signature = device.sign(&to_sign(SignLabel::Head, b"payload"));
        let mut carry = 0;
        for (byte, addend) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        let key = device.public.signing_key();
        let verdict = key.verify(SignLabel::Head, b"payload", &signature);
        assert_eq!(verdict, Err(BadSignature));
    }

    #[test]
    fn a_key_of_small_order_or_of_a_second_spelling_is_refused() {
        let key = |text: &str| VerifyingKey::from_slice(&HEXLOWER.decode(text.as_bytes()).unwrap());
        for text in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ] {
            assert_eq!(key(text), Err(KeyError::SmallOrder), "{text}");
        }
        // y = p, p + 1, p + 3 and 2^255 - 1: points, but these are not their encodings.
        for text in [
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            assert_eq!(key(text), Err(KeyError::NotAPoint), "{text}");
        }
        // y = 2 is of no point.
        let two = "0200000000000000000000000000000000000000000000000000000000000000";
        assert_eq!(key(two), Err(KeyError::NotAPoint));
        for length in [0, 31, 33, 64] {
            let key = VerifyingKey::from_slice(&filler("key", length));
            assert_eq!(key, Err(KeyError::Length(length)));
        }
    }
}
