//! A link's password.
//!
//! ```text
//! stretched = Argon2id 0x13 (RFC 9106) of the password's bytes, 32 bytes
//! ```
//!
//! It counts *in addition to* the secret: whoever has the password and not the
//! URL has nothing to guess at, and the hoster has neither. Whoever has the URL
//! and the sealed capsule can guess: that is what the cost is for.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::CryptoRng;
use vault_proto::wire;

use crate::secret::Secret;

/// The least memory, in KiB: 64 MiB.
pub const MIN_MEMORY_KIBIBYTES: u32 = 64 << 10;
/// The most memory, in KiB: 512 MiB. What a URL asks for must not bring down the
/// device of whoever opens it.
pub const MAX_MEMORY_KIBIBYTES: u32 = 512 << 10;
/// The most passes over the memory.
pub const MAX_PASSES: u32 = 16;
/// The most lanes.
pub const MAX_LANES: u32 = 4;
/// The memory of new links, in KiB: 128 MiB.
pub const DEFAULT_MEMORY_KIBIBYTES: u32 = 128 << 10;
/// The passes of new links.
pub const DEFAULT_PASSES: u32 = 3;
/// The longest password, in bytes.
pub const MAX_PASSWORD_LEN: usize = 1_024;

const SALT_LEN: usize = 16;
/// Argon2's version 1.3.
const VERSION: u32 = 0x13;

/// Why a password cannot be stretched in the way that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Another algorithm than Argon2id.
    #[error("the password is to be stretched with an algorithm that is not Argon2id")]
    Algorithm,
    /// Another version of Argon2 than 0x13.
    #[error("version {0:#x} of Argon2: there is only 0x13 here")]
    Version(u32),
    /// So little memory or so few passes that the password can be guessed.
    #[error("the password is stretched too little")]
    TooCheap,
    /// So much memory, or so many passes or lanes, that it is an attack.
    #[error("stretching the password asks for too much")]
    TooCostly,
    /// A salt that is not 16 bytes.
    #[error("the salt of the password is not 16 bytes")]
    Salt,
    /// An empty password, or one of more than [`MAX_PASSWORD_LEN`] bytes.
    #[error("a password has from 1 to {MAX_PASSWORD_LEN} bytes")]
    Length,
    /// This device has not got the memory.
    #[error("not enough memory to stretch the password")]
    OutOfMemory,
}

/// How a password is stretched. Within the bounds that this module names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordStretching {
    memory_kibibytes: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; SALT_LEN],
}

impl PasswordStretching {
    /// For a new link: a fresh salt, and today's cost.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        Self {
            memory_kibibytes: DEFAULT_MEMORY_KIBIBYTES,
            passes: DEFAULT_PASSES,
            lanes: 1,
            salt,
        }
    }

    /// Checks what is asked for.
    ///
    /// # Errors
    /// [`PasswordError::TooCheap`] and [`PasswordError::TooCostly`].
    pub fn new(
        memory_kibibytes: u32,
        passes: u32,
        lanes: u32,
        salt: [u8; 16],
    ) -> Result<Self, PasswordError> {
        if memory_kibibytes < MIN_MEMORY_KIBIBYTES || passes == 0 || lanes == 0 {
            return Err(PasswordError::TooCheap);
        }
        if memory_kibibytes > MAX_MEMORY_KIBIBYTES || passes > MAX_PASSES || lanes > MAX_LANES {
            return Err(PasswordError::TooCostly);
        }
        Ok(Self {
            memory_kibibytes,
            passes,
            lanes,
            salt,
        })
    }

    /// Stretches a password: some tenths of a second, and as much memory as is
    /// asked for.
    ///
    /// # Errors
    /// [`PasswordError::Length`], [`PasswordError::OutOfMemory`].
    pub fn stretch(&self, password: &[u8]) -> Result<StretchedPassword, PasswordError> {
        if !(1..=MAX_PASSWORD_LEN).contains(&password.len()) {
            return Err(PasswordError::Length);
        }
        let params = Params::new(self.memory_kibibytes, self.passes, self.lanes, Some(32))
            .map_err(|_| PasswordError::TooCheap)?;
        let mut stretched = zeroize::Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password, &self.salt, stretched.as_mut_slice())
            .map_err(|_| PasswordError::OutOfMemory)?;
        Ok(StretchedPassword(Secret::from_array(*stretched)))
    }

    pub(crate) fn to_wire(self) -> wire::PasswordStretching {
        wire::PasswordStretching {
            algorithm: wire::PasswordAlgorithm::Argon2id.into(),
            version: VERSION,
            memory_kibibytes: self.memory_kibibytes,
            passes: self.passes,
            lanes: self.lanes,
            salt: self.salt.to_vec(),
        }
    }

    pub(super) fn from_wire(message: &wire::PasswordStretching) -> Result<Self, PasswordError> {
        if message.algorithm() != wire::PasswordAlgorithm::Argon2id {
            return Err(PasswordError::Algorithm);
        }
        if message.version != VERSION {
            return Err(PasswordError::Version(message.version));
        }
        let salt = message.salt.as_slice().try_into();
        Self::new(
            message.memory_kibibytes,
            message.passes,
            message.lanes,
            salt.map_err(|_| PasswordError::Salt)?,
        )
    }

    /// As cheap as the floor allows, for tests.
    #[cfg(test)]
    pub(crate) fn cheapest(salt: [u8; 16]) -> Self {
        Self::new(MIN_MEMORY_KIBIBYTES, 1, 1, salt).unwrap()
    }
}

/// What became of a password. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StretchedPassword(Secret);

impl StretchedPassword {
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for StretchedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StretchedPassword(…)")
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn cost_has_a_floor_and_a_ceiling() {
        let salt = [7; 16];
        let new = |memory, passes, lanes| PasswordStretching::new(memory, passes, lanes, salt);
        for (memory, passes, lanes) in [
            (MIN_MEMORY_KIBIBYTES, 1, 1),
            (MAX_MEMORY_KIBIBYTES, MAX_PASSES, MAX_LANES),
        ] {
            let stretching = new(memory, passes, lanes).unwrap();
            let read = PasswordStretching::from_wire(&stretching.to_wire());
            assert_eq!(read, Ok(stretching));
        }
        for (memory, passes, lanes) in [
            (MIN_MEMORY_KIBIBYTES - 1, 1, 1),
            (0, 1, 1),
            (MIN_MEMORY_KIBIBYTES, 0, 1),
            (MIN_MEMORY_KIBIBYTES, 1, 0),
        ] {
            assert_eq!(new(memory, passes, lanes), Err(PasswordError::TooCheap));
        }
        for (memory, passes, lanes) in [
            (MAX_MEMORY_KIBIBYTES + 1, 1, 1),
            (u32::MAX, 1, 1),
            (MIN_MEMORY_KIBIBYTES, MAX_PASSES + 1, 1),
            (MIN_MEMORY_KIBIBYTES, 1, MAX_LANES + 1),
        ] {
            assert_eq!(new(memory, passes, lanes), Err(PasswordError::TooCostly));
        }
    }

    #[test]
    fn only_argon2id_of_one_version_is_taken() {
        let good = PasswordStretching::cheapest([7; 16]).to_wire();
        let changed = |change: &dyn Fn(&mut wire::PasswordStretching)| {
            let mut message = good.clone();
            change(&mut message);
            PasswordStretching::from_wire(&message).unwrap_err()
        };
        assert_eq!(changed(&|m| m.algorithm = 0), PasswordError::Algorithm);
        assert_eq!(changed(&|m| m.algorithm = 2), PasswordError::Algorithm);
        assert_eq!(changed(&|m| m.version = 0x10), PasswordError::Version(0x10));
        assert_eq!(changed(&|m| m.version = 0), PasswordError::Version(0));
        assert_eq!(changed(&|m| m.salt.truncate(15)), PasswordError::Salt);
        assert_eq!(changed(&|m| m.salt.push(0)), PasswordError::Salt);
        assert_eq!(changed(&|m| m.passes = 0), PasswordError::TooCheap);
    }

    #[test]
    fn password_salt_and_cost_all_count() {
        let one = PasswordStretching::cheapest([1; 16]);
        let stretched = one.stretch(b"password").unwrap();
        assert_eq!(one.stretch(b"password").unwrap(), stretched);
        assert_ne!(one.stretch(b"Password").unwrap(), stretched);
        let salted = PasswordStretching::cheapest([2; 16]);
        assert_ne!(salted.stretch(b"password").unwrap(), stretched);
        let dearer = PasswordStretching::new(MIN_MEMORY_KIBIBYTES, 2, 1, [1; 16]).unwrap();
        assert_ne!(dearer.stretch(b"password").unwrap(), stretched);
        assert_eq!(one.stretch(b""), Err(PasswordError::Length));
        let long = [b'a'; MAX_PASSWORD_LEN + 1];
        assert_eq!(one.stretch(&long), Err(PasswordError::Length));
    }

    #[test]
    fn new_links_have_a_salt_of_their_own() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let one = PasswordStretching::generate(&mut rng);
        let two = PasswordStretching::generate(&mut rng);
        assert_ne!(one.salt, two.salt);
        let again = PasswordStretching::from_wire(&one.to_wire());
        assert_eq!(again, Ok(one));
    }
}
