//! Thirty-two secret bytes, and what may be done with them.

use std::fmt;

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A uniformly random secret of 32 bytes: a seed, an epoch secret, a key.
///
/// Wiped when it is dropped, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(crate) fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut secret = Self([0; 32]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    pub(crate) const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `None` unless there are exactly 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// `BLAKE3-derive_key(label, self)`.
    pub(crate) fn derive(&self, label: &str) -> Self {
        Self(blake3::derive_key(label, &self.0))
    }

    /// `BLAKE3-keyed(self, message)`.
    pub(crate) fn keyed_hash(&self, message: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, message).as_bytes()
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha20Rng;
    use rand_core::SeedableRng;
    use vault_proto::ids::VaultId;

    use super::*;
    use crate::keys::{DeviceKeys, RecoveryPhrase, VaultKeys};

    #[test]
    fn nothing_secret_is_printed() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let secret = Secret::from_array([0xa7; 32]);
        let vault = VaultId::from_array([1; 32]);
        let keys = VaultKeys::from_epoch_secrets(vault, &[[0xa7; 32]]);
        let epoch = keys.epoch(1).unwrap();
        let device = DeviceKeys::generate(&mut rng);
        let printed = [
            format!("{secret:?} {keys:?}"),
            format!("{:?}", keys.file_chunker()),
            format!("{:?}", RecoveryPhrase::from_entropy([0xa7; 32])),
            format!("{device:?} {:?}", device.kem()),
        ]
        .concat();
        let kept = device.to_secret_bytes();
        for bytes in [
            secret.as_bytes(),
            epoch.chunk.as_bytes(),
            kept[1..33].first_chunk().unwrap(),
            kept[33..].first_chunk().unwrap(),
        ] {
            let decimal = format!("{}, {}", bytes[0], bytes[1]);
            let hexadecimal = format!("{:02x}{:02x}", bytes[0], bytes[1]);
            assert!(!printed.contains(&decimal) && !printed.contains(&hexadecimal));
        }
    }

    #[test]
    fn secrets_are_equal_by_all_their_bytes() {
        let secret = Secret::from_array([7; 32]);
        assert!(secret == secret.clone());
        for position in 0..32 {
            let mut bytes = [7; 32];
            bytes[position] ^= 1;
            assert!(secret != Secret::from_array(bytes));
        }
        assert!(Secret::from_slice(&[7; 31]).is_none());
        assert!(Secret::from_slice(&[7; 33]).is_none());
    }
}
