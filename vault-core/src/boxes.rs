//! Boxes: secrets encrypted to somebody's public key.
//!
//! ```text
//! box  = enc (1,120) ‖ ciphertext ‖ tag
//!      = HPKE base mode, X-Wing, HKDF-SHA256, ChaCha20-Poly1305   (RFC 9180)
//! info = "coffre v1 box" ‖ 0 ‖ purpose ‖ sender ‖ recipient key hash ‖ log ‖ seq
//! ```
//!
//! each field after the zero preceded by its length (u16). HPKE alone says
//! nothing about the sender: a box counts only inside an entry that its sender
//! signed, and `info` ties it to that entry's place. The box of an offer stands
//! in no entry and names no sender; what is sealed under its key is signed.

use std::fmt;

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::XWing, single_shot_open, single_shot_seal_with_rng,
};
use rand_core::CryptoRng;
use vault_proto::{device::KEM_KEY_BYTES, ids::DeviceId};
use zeroize::Zeroizing;

use crate::{aead::OpenError, labels, secret::Secret};

const ENC_LEN: usize = 1_120;

type PublicKey = <XWing as Kem>::PublicKey;
type PrivateKey = <XWing as Kem>::PrivateKey;
type EncappedKey = <XWing as Kem>::EncappedKey;

/// Bytes that are no key to encrypt to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KemKeyError {
    /// Not 1,216 bytes.
    #[error("an X-Wing public key is {KEM_KEY_BYTES} bytes, not {length}")]
    Length {
        /// How many there are.
        length: usize,
    },
    /// The ML-KEM half is not the encoding of a key (FIPS 203, section 7.2).
    #[error("the ML-KEM half is not a key")]
    MlKem,
    /// The X25519 half is a point of low order, which would make the shared
    /// secret known to everybody, or not in its one encoding.
    #[error("the X25519 half is not a key")]
    X25519,
}

/// A key that secrets may be encrypted to: checked, both halves.
#[derive(Clone)]
pub struct KemPublicKey {
    // Boxed: several kilobytes when expanded.
    key: Box<PublicKey>,
    bytes: Box<[u8; KEM_KEY_BYTES]>,
}

impl KemPublicKey {
    /// Parses an X-Wing public key and checks both of its halves.
    ///
    /// # Errors
    /// See [`KemKeyError`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KemKeyError> {
        let array: &[u8; KEM_KEY_BYTES] = bytes.try_into().map_err(|_| KemKeyError::Length {
            length: bytes.len(),
        })?;
        let (_, x25519) = array.split_last_chunk().ok_or(KemKeyError::X25519)?;
        if !is_safe_share(x25519) {
            return Err(KemKeyError::X25519);
        }
        let key = PublicKey::from_bytes(bytes).map_err(|_| KemKeyError::MlKem)?;
        Ok(Self {
            key: Box::new(key),
            bytes: Box::new(*array),
        })
    }

    /// The 1,216 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEM_KEY_BYTES] {
        &self.bytes
    }

    /// `BLAKE3-derive_key("coffre v1 kem key hash", key)`.
    pub(crate) fn hash(&self) -> [u8; 32] {
        blake3::derive_key(labels::KEM_KEY_HASH, self.bytes.as_slice())
    }
}

impl fmt::Debug for KemPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash();
        write!(f, "KemPublicKey({:02x}{:02x}…)", hash[0], hash[1])
    }
}

/// The private half: a raw 32-byte X-Wing private key (its seed).
#[derive(Clone)]
pub(crate) struct KemPrivateKey {
    // The library wipes it when it is dropped.
    key: Box<PrivateKey>,
    seed: Secret,
    public: KemPublicKey,
}

impl KemPrivateKey {
    pub(crate) fn from_seed(seed: Secret) -> Self {
        let key =
            Box::new(PrivateKey::from_bytes(seed.as_bytes()).expect("any 32 bytes are a key"));
        let public = XWing::sk_to_pk(&key);
        let mut bytes = Box::new([0; KEM_KEY_BYTES]);
        public.write_exact(bytes.as_mut_slice());
        Self {
            key,
            seed,
            public: KemPublicKey {
                key: Box::new(public),
                bytes,
            },
        }
    }

    pub(crate) fn seed(&self) -> &Secret {
        &self.seed
    }

    pub(crate) fn public(&self) -> &KemPublicKey {
        &self.public
    }
}

impl fmt::Debug for KemPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemPrivateKey(…)")
    }
}

/// What a box holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    AccountKeySeed,
    EpochSecret,
    OfferKey,
}

impl Purpose {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::AccountKeySeed => labels::ACCOUNT_KEY_SEED,
            Self::EpochSecret => labels::EPOCH_SECRET,
            Self::OfferKey => labels::OFFER_KEY,
        }
    }
}

/// The place that a box belongs to, and outside of which it does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoxContext {
    pub(crate) purpose: Purpose,
    pub(crate) sender: DeviceId,
    /// The account or vault; zeros in a genesis, whose hash the id will be.
    pub(crate) log: [u8; 32],
    /// Of the entry that the box stands in.
    pub(crate) seq: u64,
}

impl BoxContext {
    pub(crate) fn info(&self, recipient: &KemPublicKey) -> Vec<u8> {
        let mut info = Vec::with_capacity(160);
        info.extend_from_slice(labels::BOX.as_bytes());
        info.push(0);
        let fields: [&[u8]; 5] = [
            self.purpose.label().as_bytes(),
            self.sender.as_bytes(),
            &recipient.hash(),
            &self.log,
            &self.seq.to_le_bytes(),
        ];
        for field in fields {
            let length = u16::try_from(field.len()).expect("every field is short");
            info.extend_from_slice(&length.to_le_bytes());
            info.extend_from_slice(field);
        }
        info
    }
}

/// Encrypts `secret` to `recipient`, for one place.
pub(crate) fn seal_box(
    recipient: &KemPublicKey,
    context: &BoxContext,
    secret: &Secret,
    mut rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let (enc, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        &recipient.key,
        &context.info(recipient),
        secret.as_bytes(),
        &[],
        &mut rng,
    )
    .expect("encapsulation to a checked key and sealing 32 bytes cannot fail");
    let mut sealed = vec![0; ENC_LEN];
    enc.write_exact(&mut sealed);
    sealed.extend_from_slice(&ciphertext);
    sealed
}

/// Opens a box that must hold 32 bytes.
pub(crate) fn open_box(
    recipient: &KemPrivateKey,
    context: &BoxContext,
    sealed: &[u8],
) -> Result<Secret, OpenError> {
    let (enc, ciphertext) = sealed.split_first_chunk::<ENC_LEN>().ok_or(OpenError)?;
    let (_, share) = enc.split_last_chunk().ok_or(OpenError)?;
    if !is_safe_share(share) {
        return Err(OpenError);
    }
    let enc = EncappedKey::from_bytes(enc).map_err(|_| OpenError)?;
    let plaintext = Zeroizing::new(
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &recipient.key,
            &enc,
            &context.info(&recipient.public),
            ciphertext,
            &[],
        )
        .map_err(|_| OpenError)?,
    );
    Secret::from_slice(&plaintext).ok_or(OpenError)
}

/// Whether an X25519 share is in its one encoding (below 2^255 − 19) and not
/// of low order.
///
/// X-Wing takes such shares and goes on with a classical half that everybody
/// knows; honest ones never occur.
fn is_safe_share(share: &[u8; 32]) -> bool {
    const PRIME: [u8; 32] = {
        let mut prime = [0xff; 32];
        prime[0] = 0xed;
        prime[31] = 0x7f;
        prime
    };
    let canonical = share.iter().rev().lt(PRIME.iter().rev());
    // Any clamped scalar is a multiple of the cofactor 8, so the product is
    // zero exactly for the points whose order divides 8.
    canonical && x25519_dalek::x25519([0; 32], *share) != [0; 32]
}

#[cfg(test)]
pub(crate) mod tests;
