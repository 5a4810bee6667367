//! Who holds which key.
//!
//! ```text
//! 24 words ──▶ paper device ─┐
//!              device ───────┼─ opens ─▶ account seed, by generation
//!                            │                 │ opens
//!                                              ▼
//!                               epoch secret ── derives ─▶ VaultKeys
//! ```
//!
//! Nothing in here leaves the device but inside a box ([`crate::boxes`]) or
//! wrapped under a newer secret of its own kind.

pub(crate) mod account;
mod device;
mod phrase;
pub(crate) mod vault;

pub use account::{AccountSecrets, AccountSecretsError, MAX_NAME_LEN, NameTooLong, SealNameError};
pub use device::{DeviceKeys, DeviceKeysError, SECRET_BYTES_LEN};
pub use phrase::{PhraseError, PhraseLanguage, RecoveryPhrase};
pub use vault::{VaultKeys, VaultKeysError};

#[cfg(test)]
mod tests;
