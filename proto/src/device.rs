//! The public half of a device.

use std::fmt;

use prost::Message;

use crate::entry::FieldError;
use crate::ids::DeviceId;
use crate::labels;
use crate::sign::{KeyError, VerifyingKey};
use crate::wire;

/// Bytes of an X-Wing public key.
pub const KEM_KEY_BYTES: usize = 1216;

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A computer or a phone.
    Machine,
    /// The recovery phrase.
    Paper,
}

/// An X-Wing public key. Only its length is checked here: who seals to it
/// checks the rest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KemKey(Box<[u8; KEM_KEY_BYTES]>);

/// A device's kind and keys; their hash is its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePublic {
    id: DeviceId,
    kind: DeviceKind,
    signing_key: VerifyingKey,
    kem_key: KemKey,
}

/// Why a message describes no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Missing, or not of its length, or a kind that is none.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The signing key is none to trust.
    #[error("the device's signing key: {0}")]
    SigningKey(#[from] KeyError),
}

impl KemKey {
    /// Takes exactly [`KEM_KEY_BYTES`]; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; KEM_KEY_BYTES]>::try_from(bytes)
            .ok()
            .map(|array| Self(Box::new(array)))
    }

    /// The bytes: an ML-KEM-768 key, then an X25519 key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEM_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for KemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = *self.0;
        write!(f, "KemKey({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

impl DevicePublic {
    /// A device of these keys.
    #[must_use]
    pub fn new(kind: DeviceKind, signing_key: VerifyingKey, kem_key: KemKey) -> Self {
        let mut public = Self {
            id: DeviceId::from_array([0; 32]),
            kind,
            signing_key,
            kem_key,
        };
        let encoding = public.to_wire().encode_to_vec();
        public.id = DeviceId::from_array(labels::hash(labels::DEVICE_ID, &[&encoding]));
        public
    }

    /// Reads it from a message.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn from_wire(public: &wire::DevicePublic) -> Result<Self, DeviceError> {
        let kind = match public.kind() {
            wire::DeviceKind::Machine => DeviceKind::Machine,
            wire::DeviceKind::Paper => DeviceKind::Paper,
            wire::DeviceKind::Unspecified => return Err(FieldError::new("device kind").into()),
        };
        let kem_key =
            KemKey::from_slice(&public.kem_key).ok_or(FieldError::new("device kem_key"))?;
        let signing_key = VerifyingKey::from_slice(&public.signing_key)?;
        Ok(Self::new(kind, signing_key, kem_key))
    }

    /// As messages carry it.
    #[must_use]
    pub fn to_wire(&self) -> wire::DevicePublic {
        let kind = match self.kind {
            DeviceKind::Machine => wire::DeviceKind::Machine,
            DeviceKind::Paper => wire::DeviceKind::Paper,
        };
        wire::DevicePublic {
            kind: kind.into(),
            signing_key: self.signing_key.as_bytes().to_vec(),
            kem_key: self.kem_key.as_bytes().to_vec(),
        }
    }

    /// `BLAKE3-derive_key("coffre v1 device id", encoding)`.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// What its signatures are checked against.
    #[must_use]
    pub fn signing_key(&self) -> &VerifyingKey {
        &self.signing_key
    }

    /// What is sealed to it is sealed to this.
    #[must_use]
    pub fn kem_key(&self) -> &KemKey {
        &self.kem_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDevice;

    #[test]
    fn kind_and_both_keys_make_the_id() {
        let machine = TestDevice::machine("one").public;
        assert_eq!(
            DevicePublic::from_wire(&machine.to_wire()),
            Ok(machine.clone())
        );
        let paper = TestDevice::paper("one").public;
        assert_eq!(machine.signing_key(), paper.signing_key());
        let other = TestDevice::machine("another").public;
        let ids = [
            machine.id(),
            paper.id(),
            other.id(),
            DevicePublic::new(machine.kind, machine.signing_key, other.kem_key.clone()).id(),
            DevicePublic::new(machine.kind, other.signing_key, machine.kem_key.clone()).id(),
        ];
        let different: std::collections::BTreeSet<_> = ids.into_iter().collect();
        assert_eq!(different.len(), ids.len());
    }
}
