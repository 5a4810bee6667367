//! A device's own keys.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use vault_proto::{
    device::{DeviceKind, DevicePublic, KemKey},
    ids::DeviceId,
    sign::{SIGNATURE_BYTES, SignLabel, VerifyingKey, to_sign},
};
use zeroize::Zeroizing;

use crate::{
    boxes::{KemPrivateKey, KemPublicKey},
    secret::Secret,
};

/// Bytes of a device's keys as they are kept at rest:
/// kind (1) ‖ Ed25519 seed (32) ‖ X-Wing private key (32).
pub const SECRET_BYTES_LEN: usize = 65;

const MACHINE: u8 = 1;
const PAPER: u8 = 2;

/// Bytes that are no device's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these are not the keys of a device")]
pub struct DeviceKeysError;

/// The keys of one device, a machine or a paper: an Ed25519 pair and an X-Wing
/// pair. Wiped when dropped.
#[derive(Clone)]
pub struct DeviceKeys {
    signing: SigningKey,
    kem: KemPrivateKey,
    public: DevicePublic,
}

impl DeviceKeys {
    /// Makes the keys of a new machine. Paper devices come from a
    /// [`super::RecoveryPhrase`].
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let signing = Secret::generate(rng);
        let kem = Secret::generate(rng);
        Self::from_seeds(DeviceKind::Machine, signing, kem)
    }

    /// Takes up keys that [`Self::to_secret_bytes`] gave out.
    ///
    /// # Errors
    /// Anything that is not exactly such bytes is refused.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, DeviceKeysError> {
        let bytes: &[u8; SECRET_BYTES_LEN] = bytes.try_into().map_err(|_| DeviceKeysError)?;
        let kind = match bytes[0] {
            MACHINE => DeviceKind::Machine,
            PAPER => DeviceKind::Paper,
            _ => return Err(DeviceKeysError),
        };
        let signing = Secret::from_slice(&bytes[1..33]).ok_or(DeviceKeysError)?;
        let kem = Secret::from_slice(&bytes[33..]).ok_or(DeviceKeysError)?;
        Ok(Self::from_seeds(kind, signing, kem))
    }

    /// The keys for a place that keeps secrets; see [`SECRET_BYTES_LEN`].
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; SECRET_BYTES_LEN]> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES_LEN]);
        bytes[0] = if self.is_paper() { PAPER } else { MACHINE };
        bytes[1..33].copy_from_slice(self.signing.as_bytes());
        bytes[33..].copy_from_slice(self.kem.seed().as_bytes());
        bytes
    }

    pub(super) fn from_seeds(kind: DeviceKind, signing: Secret, kem: Secret) -> Self {
        let signing = SigningKey::from_bytes(signing.as_bytes());
        let kem = KemPrivateKey::from_seed(kem);
        let verifying = VerifyingKey::from_slice(signing.verifying_key().as_bytes())
            .expect("the key of a secret key is a point of large order");
        let kem_key =
            KemKey::from_slice(kem.public().as_bytes()).expect("an X-Wing key has this length");
        let public = DevicePublic::new(kind, verifying, kem_key);
        Self {
            signing,
            kem,
            public,
        }
    }

    /// What the account log says of this device.
    #[must_use]
    pub fn public(&self) -> &DevicePublic {
        &self.public
    }

    /// The hash of [`Self::public`].
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.public.id()
    }

    /// Whether this device is a recovery phrase.
    #[must_use]
    pub fn is_paper(&self) -> bool {
        self.public.kind() == DeviceKind::Paper
    }

    /// The key that others encrypt to.
    #[must_use]
    pub fn kem_key(&self) -> &KemPublicKey {
        self.kem.public()
    }

    /// Signs `label ‖ 0 ‖ payload`.
    ///
    /// An honest device never signs two things at one position: what is signed
    /// is stored before it is sent.
    #[must_use]
    pub fn sign(&self, label: SignLabel, payload: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.signing.sign(&to_sign(label, payload)).to_bytes()
    }

    pub(crate) fn kem(&self) -> &KemPrivateKey {
        &self.kem
    }

    /// The device as it would be with another public key to encrypt to.
    #[cfg(test)]
    pub(crate) fn claiming(mut self, kem_key: KemKey) -> Self {
        self.public = DevicePublic::new(self.public.kind(), *self.public.signing_key(), kem_key);
        self
    }
}

impl PartialEq for DeviceKeys {
    fn eq(&self, other: &Self) -> bool {
        let signing = self.signing.as_bytes().ct_eq(other.signing.as_bytes());
        let kem = self.kem.seed().ct_eq(other.kem.seed());
        self.is_paper() == other.is_paper() && bool::from(signing & kem)
    }
}

impl Eq for DeviceKeys {}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKeys")
            .field("kind", &self.public.kind())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
