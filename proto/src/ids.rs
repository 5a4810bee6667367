//! Ids. Each is a type of its own, and none converts into another.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::labels;

/// A byte string that should be an id and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} is 32 bytes, not {length}")]
pub struct IdError {
    what: &'static str,
    length: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes as they are.
            #[must_use]
            pub const fn from_array(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Takes exactly 32 bytes.
            ///
            /// # Errors
            /// Any other length is refused.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                match bytes.try_into() {
                    Ok(array) => Ok(Self(array)),
                    Err(_) => Err(IdError { what: $what, length: bytes.len() }),
                }
            }

            /// Reads 64 lower-case hexadecimal digits; `None` for anything else.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
                Self::from_slice(&bytes).ok()
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The 32 bytes, as a wire message carries them.
            #[must_use]
            pub fn to_vec(&self) -> Vec<u8> {
                self.0.to_vec()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), HEXLOWER.encode(&self.0[..4]))
            }
        }
    };
}

id!(
    /// A hoster: the hash of its long-lived key.
    HosterId,
    "a hoster id"
);
id!(
    /// A member's account: the hash of its log's genesis.
    AccountId,
    "an account id"
);
id!(
    /// A device: the hash of its public keys.
    DeviceId,
    "a device id"
);
id!(
    /// A vault: the hash of its log's genesis.
    VaultId,
    "a vault id"
);
id!(
    /// A pack: BLAKE3 of its bytes, so that whoever holds it can verify it.
    PackId,
    "a pack id"
);
id!(
    /// An entry of an account log or of a vault log: the hash of its payload.
    EntryHash,
    "an entry hash"
);
id!(
    /// A head: the hash of its signed bytes without the signature.
    HeadHash,
    "a head hash"
);
id!(
    /// A sealed root, by the hash that its head names.
    RootHash,
    "a root hash"
);
id!(
    /// A link, as the hoster knows it: derived from its secret.
    LinkId,
    "a link id"
);
id!(
    /// Under which a message is left at a hoster: derived from a secret of its
    /// two ends.
    MessageName,
    "the name of a message"
);
id!(
    /// A sealed offer of membership: the hash of its bytes.
    OfferHash,
    "the hash of an offer"
);
id!(
    /// A list of packs, by the hash that a head names.
    PackListHash,
    "the hash of a list of packs"
);

impl RootHash {
    /// `BLAKE3-derive_key("coffre v1 sealed root", sealed root)`.
    #[must_use]
    pub fn of(sealed_root: &[u8]) -> Self {
        Self(labels::hash(labels::SEALED_ROOT, &[sealed_root]))
    }
}

impl OfferHash {
    /// `BLAKE3(sealed offer)`.
    #[must_use]
    pub fn of(offer: &[u8]) -> Self {
        Self(*blake3::hash(offer).as_bytes())
    }
}

impl PackId {
    /// `BLAKE3(pack)`.
    #[must_use]
    pub fn of(pack: &[u8]) -> Self {
        Self(*blake3::hash(pack).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_round_trips_and_refuses_the_rest() {
        let id = PackId::of(b"a pack");
        assert_eq!(PackId::from_hex(&id.to_string()), Some(id));
        assert_eq!(PackId::from_hex(&id.to_string().to_uppercase()), None);
        assert_eq!(PackId::from_hex(""), None);
        assert!(PackId::from_slice(&[0; 31]).is_err());
    }
}
