//! What a link is worth, and what follows from it.

use std::fmt;

use rand_core::CryptoRng;
use vault_proto::ids::LinkId;
use zeroize::Zeroizing;

use super::StretchedPassword;
use crate::{labels, secret::Secret};

/// What makes a link: 32 random bytes. They never leave the URL's fragment and
/// the vault. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkSecret(Secret);

impl LinkSecret {
    /// A new one.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self(Secret::generate(rng))
    }

    /// Takes 32 bytes, which must be random.
    #[must_use]
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(Secret::from_array(bytes))
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(Self)
    }

    /// A copy that is not wiped by itself.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }

    /// What the hoster knows the link by.
    ///
    /// `id = BLAKE3-derive("coffre v1 link id", secret)`
    #[must_use]
    pub fn id(&self) -> LinkId {
        LinkId::from_array(*self.0.derive(labels::LINK_ID).as_bytes())
    }

    /// What opens the link's capsule. A link with a password has another key
    /// than the same without: taking the password off the URL opens nothing.
    ///
    /// `key = BLAKE3-derive("coffre v1 link capsule key", secret ‖ stretched)`
    #[must_use]
    pub fn capsule_key(&self, password: Option<&StretchedPassword>) -> CapsuleKey {
        let mut material = Zeroizing::new([0; 64]);
        material[..32].copy_from_slice(self.0.as_bytes());
        let length = match password {
            Some(stretched) => {
                material[32..].copy_from_slice(stretched.as_bytes());
                64
            }
            None => 32,
        };
        let key = blake3::derive_key(labels::LINK_CAPSULE_KEY, &material[..length]);
        CapsuleKey(Secret::from_array(key))
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(…)")
    }
}

/// What opens a link's capsule. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct CapsuleKey(pub(crate) Secret);

impl CapsuleKey {
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(Self)
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
}

impl fmt::Debug for CapsuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CapsuleKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::PasswordStretching;

    #[test]
    fn everything_follows_from_secret_and_password_and_is_not_printed() {
        let secret = LinkSecret::from_array([0xa7; 32]);
        let other = LinkSecret::from_array([0xa8; 32]);
        assert_ne!(secret, other);
        assert_ne!(secret.id(), other.id());
        let stretching = PasswordStretching::cheapest([1; 16]);
        let one = stretching.stretch(b"one").unwrap();
        let two = stretching.stretch(b"two").unwrap();
        let keys = [
            secret.capsule_key(None),
            other.capsule_key(None),
            secret.capsule_key(Some(&one)),
            secret.capsule_key(Some(&two)),
            other.capsule_key(Some(&one)),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key));
            assert_ne!(key.0.as_bytes(), secret.id().as_bytes());
        }
        assert_eq!(secret.capsule_key(Some(&one)), keys[2]);
        let printed = format!("{secret:?} {:?} {one:?}", keys[0]);
        assert_eq!(printed, "LinkSecret(…) CapsuleKey(…) StretchedPassword(…)");
    }
}
