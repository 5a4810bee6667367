//! Writing and signing what others verify: entries of logs, heads, logins.
//!
//! Whatever is made here is first verified as everybody else will verify it, so
//! a mistake is found by the one who makes it. Signed things are stored before
//! they are sent, and sent again unchanged until they, or others at their
//! place, are accepted: a device never signs two things at one position.

mod account;
mod head;
mod vault;

use rand_core::CryptoRng;
use vault_proto::{
    account_log::AccountLogError, head::HeadError, ids::AccountId, login::Login,
    sign::SIGNATURE_BYTES, sign::SignLabel, vault_log::VaultLogError,
};

use crate::{
    boxes::KemKeyError,
    keys::{AccountSecretsError, DeviceKeys, NameTooLong, SealNameError, VaultKeysError},
    root::SealRootError,
};

pub use account::{AccountAuthor, Addition, NamedDevice, NewAccount, create_account};
pub use head::{Commit, HeadAuthor, HeadChange};
pub use vault::{NewVault, VaultAuthor, create_vault};

/// Why something could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorError {
    /// The name of a device is too long.
    #[error(transparent)]
    Name(#[from] NameTooLong),
    /// A device's or a member's public key is none to seal to.
    #[error("the key to seal to: {0}")]
    RecipientKey(#[from] KemKeyError),
    /// The log of a member is not at hand.
    #[error("the log of account {0} is not at hand")]
    AccountLogMissing(AccountId),
    /// The keys at hand are of another vault or account, or older than the log:
    /// open them again.
    #[error("the keys at hand are not those of the log's newest entry")]
    StaleKeys,
    /// What was to be signed does not add this device, or was not drafted by it.
    #[error("the entry is not for this device to sign")]
    NotForThisDevice,
    /// The new device's signature of the entry that adds it does not fit.
    #[error("the new device did not sign the entry that adds it")]
    NewDevice,
    /// The account log would refuse the entry.
    #[error("the account log refuses this: {0}")]
    AccountLog(#[from] AccountLogError),
    /// The vault log would refuse the entry.
    #[error("the vault log refuses this: {0}")]
    VaultLog(#[from] VaultLogError),
    /// Every member would refuse the head.
    #[error("the head would be refused: {0}")]
    Head(#[from] HeadError),
    /// The root cannot be sealed.
    #[error(transparent)]
    Root(#[from] SealRootError),
    /// The account's secrets cannot be opened.
    #[error(transparent)]
    AccountSecrets(#[from] AccountSecretsError),
    /// The vault's keys cannot be opened.
    #[error(transparent)]
    VaultKeys(#[from] VaultKeysError),
}

/// Signs a device's half of a login, whose hello was verified.
#[must_use]
pub fn sign_login(login: &Login, device: &DeviceKeys) -> [u8; SIGNATURE_BYTES] {
    device.sign(SignLabel::Login, &login.to_payload())
}

impl From<SealNameError> for AuthorError {
    fn from(error: SealNameError) -> Self {
        match error {
            SealNameError::TooLong(error) => Self::Name(error),
            SealNameError::Secrets(error) => Self::AccountSecrets(error),
        }
    }
}

/// What stands where a box or a wrapped secret would, if there is no key to seal to or
/// nothing to wrap. It opens for nobody, and nobody can tell it from one that does.
fn noise(length: usize, rng: &mut (impl CryptoRng + ?Sized)) -> Vec<u8> {
    let mut noise = vec![0; length];
    rng.fill_bytes(&mut noise);
    noise
}
