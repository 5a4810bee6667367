//! Why something about an account failed.

use vault_core::author::AuthorError;
use vault_core::keys::{AccountSecretsError, DeviceKeysError, PhraseError};
use vault_core::offer::OfferError;
use vault_core::pairing::PairingError;
use vault_core::settings::SettingsError;
use vault_proto::account_log::AccountLogError;
use vault_proto::address::{Address, AddressError};
use vault_proto::ids::{AccountId, HosterId, VaultId};
use vault_proto::origin::Origin;

use super::sign_up::PAPER_NAME;
use crate::check::CheckError;
use crate::error::ErrorCode;
use crate::link::LinkError;
use crate::remote::RemoteError;
use crate::state::StateError;
use crate::transfer::TransferError;
use crate::vault::VaultError;

/// Why something about an account failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// A call to the hoster failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The device's own state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A vault.
    #[error(transparent)]
    Vault(#[from] VaultError),

    /// There is no account on this device.
    #[error("there is no account on this device yet")]
    NoAccount,
    /// A sign-up was interrupted; repeating it goes on where it was.
    #[error("the sign-up on this device was interrupted: repeat it")]
    SignUpUnfinished,
    /// A pairing was interrupted; repeating it goes on where it was.
    #[error("the pairing of this device was interrupted: repeat it")]
    PairingUnfinished,
    /// A recovery was interrupted; repeating it goes on where it was.
    #[error("the recovery on this device was interrupted: repeat it")]
    RecoveryUnfinished,
    /// There is an account on this device.
    #[error("there is an account on this device already")]
    AccountExists,
    /// The account is there, and the device's key is not.
    #[error("this device's key is missing")]
    DeviceKeyMissing,
    /// The key store holds the key of another device.
    #[error("the key on this device is another device's")]
    OtherDeviceKey,
    /// The key store holds something that is no key.
    #[error(transparent)]
    DeviceKey(#[from] DeviceKeysError),
    /// The key store holds something that is no recovery phrase.
    #[error(transparent)]
    Phrase(#[from] PhraseError),
    /// The account's keys cannot be opened by this device.
    #[error(transparent)]
    AccountSecrets(#[from] AccountSecretsError),
    /// An entry could not be made: a name is too long.
    #[error(transparent)]
    Author(AuthorError),

    /// No device of the account answers to that, or none any more.
    #[error("there is no such device")]
    NoSuchDevice,
    /// Nobody else is a member of the vault.
    #[error("nobody else is a member of this vault: delete it instead")]
    OnlyMember,
    /// Somebody else is a member of the vault.
    #[error("others are members of this vault: leave it, or remove them first")]
    OthersAreMembers,
    /// Nobody else manages the vault.
    #[error("nobody else manages this vault: make another member its manager first")]
    LastManager,
    /// What the vault holds could not be read.
    #[error(transparent)]
    Transfer(TransferError),
    /// The links of the vault could not be listed.
    #[error(transparent)]
    Links(#[from] LinkError),
    /// It could not be looked at whether all that the vault needs is there.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The phrase is none of this account's, or none any more.
    #[error("this recovery phrase is none of this account's")]
    WrongPhrase,
    /// A device does not remove itself: another one of the account does.
    #[error("a device cannot remove itself: remove it on another one")]
    ThisDevice,
    /// Only paper removes paper.
    #[error("only a recovery phrase removes a recovery phrase")]
    PaperNeeded,
    /// A recovery phrase has that name.
    #[error("a device cannot be called {PAPER_NAME:?}: that is the recovery phrase")]
    PaperName,
    /// A name of a device that is empty or has control characters.
    #[error("not the name of a device")]
    DeviceName,

    /// The hoster knows no account with this recovery phrase.
    #[error("this hoster knows no account with this recovery phrase")]
    UnknownPhrase,
    /// The recovery phrase was removed from its account.
    #[error("this recovery phrase was removed from its account")]
    RemovedPhrase,
    /// The account is at home at another hoster than the one that answers: it is
    /// a guest there, or somebody stands in between.
    #[error("the account is not at home at the hoster that answers")]
    NotItsHome {
        /// Its home.
        home: HosterId,
        /// Where that is, if the log says so.
        origin: Option<Origin>,
    },
    /// The hoster does not show the vault of the account's settings.
    #[error("the hoster does not show the account's own vault")]
    NoAccountVault,
    /// A code, or a message of a pairing.
    #[error(transparent)]
    Pairing(#[from] PairingError),
    /// Nobody answered while the pairing's code was good, or the device that
    /// showed it is not there.
    #[error("the pairing was not answered in time: show a new code")]
    PairingOver,
    /// Another device has used the code.
    #[error("the pairing code was used already: show a new one")]
    PairingCodeUsed,
    /// The other device's member refused.
    #[error("the other device refused the pairing")]
    PairingRefused,
    /// The account's log went on meanwhile.
    #[error("another device changed the account meanwhile: show a new code")]
    PairingOvertaken,
    /// The settings do not say where that hoster is.
    #[error("the account does not know where hoster {0} is")]
    UnknownHoster(HosterId),

    /// No vault answers to that.
    #[error("there is no such vault")]
    NoSuchVault,
    /// It is there, and is not to be brought back.
    #[error("this vault is not deleted")]
    NotDeleted,
    /// There is no vault yet.
    #[error("there is no vault yet")]
    NoVault,
    /// The only vault there is was shared by somebody else.
    #[error("the only vault, {0:?}, is shared by somebody else, who reads what is saved there")]
    OnlyShared(String),
    /// Several vaults answer to that.
    #[error("there are {0} vaults that could be meant")]
    Ambiguous(usize),
    /// A vault has this name already.
    #[error("there is a vault of that name already")]
    NameTaken(VaultId),
    /// A name or an origin is none.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The account vault's settings are not what was sealed there.
    #[error("the account's settings are not what was stored")]
    SettingsAltered,
    /// The account vault's settings do not open, or are none.
    #[error("the account's settings cannot be read")]
    SettingsUnreadable,
    /// The member has not said yet what others are to call him.
    #[error("say first what you are called: your address begins with it")]
    NoName,
    /// An address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// An address is the account's own.
    #[error("this is your own address")]
    OwnAddress,
    /// The log that a hoster shows for an account is not that account's, is not
    /// at home there, or is not what was seen of it before.
    #[error("what is shown for account {0} is not its log")]
    ContactLog(AccountId),
    /// The hoster in an address knows no such account.
    #[error("the hoster of this address knows no account {0}")]
    NoSuchAccount(AccountId),
    /// No contact has that account.
    #[error("there is no such contact")]
    NoSuchContact,
    /// Another contact has that name, at that place: whoever is meant by it would be
    /// anybody's guess.
    #[error("{known} is a contact already, and {other} is somebody else of that name")]
    ContactNameTaken {
        /// The contact.
        known: Box<Address>,
        /// Who would be another.
        other: Box<Address>,
    },
    /// Nobody in the vault has that account.
    #[error("there is no such member of the vault")]
    NoSuchMember,
    /// The account is a member already, and another member made it one.
    #[error("another member has shared this vault with that account already")]
    MemberAlready,
    /// No such offer waits for the account.
    #[error("there is no such offer")]
    NoSuchOffer,
    /// An offer is none, or is not what the logs say.
    #[error("the offer: {0}")]
    Offer(#[from] OfferError),
    /// Other devices change the account faster than this one can follow.
    #[error("other devices keep changing this account")]
    Overtaken,
}

impl AccountError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Remote(error) => error.code(),
            Self::State(error) => error.code(),
            Self::Vault(error) => error.code(),
            Self::NoAccount
            | Self::SignUpUnfinished
            | Self::PairingUnfinished
            | Self::RecoveryUnfinished => ErrorCode::NoAccount,
            Self::UnknownPhrase | Self::RemovedPhrase => ErrorCode::WrongKey,
            Self::NotItsHome { .. } | Self::NoAccountVault => ErrorCode::HosterMisbehaved,
            Self::Pairing(error) => match error {
                PairingError::Code | PairingError::Version(_) | PairingError::TooLong => {
                    ErrorCode::InvalidArgument
                }
                PairingError::Unopenable(_) | PairingError::OtherDevice => {
                    ErrorCode::HosterMisbehaved
                }
                PairingError::Refused => ErrorCode::PairingFailed,
                _ => ErrorCode::Corrupt,
            },
            Self::PairingOver
            | Self::PairingCodeUsed
            | Self::PairingRefused
            | Self::PairingOvertaken => ErrorCode::PairingFailed,
            Self::UnknownHoster(_) => ErrorCode::InvalidArgument,
            Self::AccountExists => ErrorCode::AccountExists,
            Self::DeviceKeyMissing
            | Self::OtherDeviceKey
            | Self::DeviceKey(_)
            | Self::Phrase(_) => ErrorCode::WrongKey,
            Self::AccountSecrets(AccountSecretsError::NotADevice) => ErrorCode::NotAllowed,
            Self::AccountSecrets(_) | Self::SettingsUnreadable => ErrorCode::Corrupt,
            Self::Author(_)
            | Self::Settings(_)
            | Self::NoSuchDevice
            | Self::DeviceName
            | Self::PaperName
            | Self::ThisDevice => ErrorCode::InvalidArgument,
            Self::PaperNeeded | Self::OnlyMember | Self::OthersAreMembers | Self::LastManager => {
                ErrorCode::NotAllowed
            }
            Self::Transfer(error) => error.code(),
            Self::Links(error) => error.code(),
            Self::Check(error) => error.code(),
            Self::WrongPhrase => ErrorCode::WrongKey,
            Self::NoSuchVault | Self::NoVault => ErrorCode::NoVault,
            Self::NotDeleted => ErrorCode::VaultExists,
            Self::Ambiguous(_) | Self::OnlyShared(_) => ErrorCode::AmbiguousVault,
            Self::NameTaken(_) => ErrorCode::VaultExists,
            Self::SettingsAltered => ErrorCode::HosterMisbehaved,
            Self::NoName
            | Self::Address(_)
            | Self::OwnAddress
            | Self::NoSuchAccount(_)
            | Self::NoSuchContact
            | Self::ContactNameTaken { .. }
            | Self::NoSuchMember
            | Self::MemberAlready
            | Self::NoSuchOffer => ErrorCode::InvalidArgument,
            Self::ContactLog(_) => ErrorCode::HosterMisbehaved,
            Self::Offer(OfferError::Version(_)) => ErrorCode::TooNew,
            Self::Offer(OfferError::Text) => ErrorCode::InvalidArgument,
            Self::Offer(OfferError::Unopenable(_) | OfferError::OtherRecipient(_)) => {
                ErrorCode::WrongKey
            }
            Self::Offer(_) => ErrorCode::NotAllowed,
            Self::Overtaken => ErrorCode::VaultBusy,
        }
    }

    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Remote(error) => error.is_transient(),
            Self::State(error) => error.is_transient(),
            Self::Vault(error) => error.is_transient(),
            Self::Transfer(error) => error.is_transient(),
            Self::Links(error) => error.is_transient(),
            Self::Check(error) => error.is_transient(),
            Self::Overtaken => true,
            _ => false,
        }
    }
}

impl From<AuthorError> for AccountError {
    fn from(error: AuthorError) -> Self {
        match error {
            AuthorError::AccountLog(
                AccountLogError::PaperNeeded | AccountLogError::PaperNotRooted,
            ) => Self::PaperNeeded,
            AuthorError::AccountLog(AccountLogError::DeviceNotActive(_)) => Self::NoSuchDevice,
            AuthorError::AccountLog(AccountLogError::RemovesItself) => Self::ThisDevice,
            error => Self::Author(error),
        }
    }
}
