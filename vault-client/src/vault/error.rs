//! Why a vault could not be read or written.

use vault_core::author::AuthorError;
use vault_core::keys::{AccountSecretsError, VaultKeysError};
use vault_core::root::{OpenRootError, WriterTooOld};
use vault_core::timestamp::Timestamp;
use vault_proto::account_log::AccountLogError;
use vault_proto::head::HeadError;
use vault_proto::ids::AccountId;
use vault_proto::pack_list::PackListError;
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::VaultLogError;

use super::{RootError, UnreadableRoot};
use crate::error::ErrorCode;
use crate::remote::{RefusalReason, RemoteError};
use crate::state::StateError;

/// Why a vault could not be read or written. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A call to the hoster failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The device's own state.
    #[error(transparent)]
    State(#[from] StateError),

    /// The hoster shows an older head than one that this device has seen, or
    /// that a log names: it hides the newest, or it has restored a backup.
    #[error(
        "the hoster went back to head {got}; head {} was seen before; \
         if it has told you that it restored an old backup, \
         `coffre vault reconcile` brings your vaults forward again",
        known.seq
    )]
    HosterWentBack {
        /// What was seen.
        known: HeadPosition,
        /// When that was committed, by its maker's clock; `None` when only a
        /// log told of it.
        committed: Option<Timestamp>,
        /// What the hoster shows; 0 for none.
        got: u64,
        /// When that was committed, by its maker's clock; `None` where it is not shown
        /// whole.
        shown: Option<Timestamp>,
    },
    /// The hoster shows an older state, of which this device cannot tell whether
    /// the newest came after it: another device has seen more.
    #[error("this device has not seen enough to bring the vault forward; try another one")]
    CannotReconcile,
    /// The hoster shows another head than one that was seen, and heads that take the
    /// place of lost ones: another device has brought the vault forward again, after
    /// the hoster had restored a backup. To follow it is for the member to say.
    #[error(
        "there is another head at {seq}: another device has brought this vault forward again; \
         if the hoster has told you that it restored an old backup, \
         `coffre vault reconcile` follows it"
    )]
    Replaced {
        /// The newest place where they differ.
        seq: u64,
    },
    /// Another device has brought the vault forward again, and did not know any of
    /// the heads that this one has seen: whether what it went on from came after
    /// them, nobody can tell.
    #[error(
        "the vault was brought forward again by a device that did not know of head {known}, \
         nor of others that this one has seen"
    )]
    NotBroughtBack {
        /// The newest head that was seen.
        known: u64,
    },
    /// The vault was brought forward again without entries of its log that this
    /// device has, and they cannot be sent again: heads or entries have come in
    /// their place. What they did, such as removing a member, is undone.
    #[error(
        "the vault was brought forward again without entries of its log from {first} on; \
         repeat on another device what they did, such as removing a member, \
         then set this device up anew"
    )]
    EntriesLeftBehind {
        /// The first of them.
        first: u64,
    },
    /// The vault is being brought forward again, and entries of its log are still to
    /// be sent: until then, nothing is written to it.
    #[error(
        "the vault is being brought forward again, and not all of its log stands: \
         `coffre vault reconcile` goes on with it"
    )]
    BeingBroughtForward,
    /// What was to be confirmed is no printed head of this vault: a letter is
    /// wrong, or it is another vault's.
    #[error("that is no printed head of this vault")]
    PrintedHead,
    /// The hoster shows an older head than one that was printed.
    #[error("the hoster shows head {got}; head {printed} was printed")]
    PrintedHeadMissing {
        /// What was printed.
        printed: u64,
        /// What the hoster shows; 0 for none.
        got: u64,
    },
    /// The account is not a member any more: an entry of the vault's log, which verifies,
    /// says so. Nothing of the vault is shown to it.
    #[error("this account is not a member of the vault any more: account {by} ended that")]
    PutOut {
        /// Whose device has signed it; the account itself where it has left.
        by: AccountId,
    },
    /// The hoster does not show a vault that nobody else could have taken away.
    #[error("the hoster hides this vault")]
    Hidden,
    /// An entry of an account log does not verify.
    #[error("the log of account {account}: {error}")]
    AccountLog {
        /// Whose.
        account: AccountId,
        /// Why.
        error: AccountLogError,
    },
    /// An entry of the vault log does not verify.
    #[error("the vault's log: {0}")]
    VaultLog(VaultLogError),
    /// A log begins with another genesis than the one its id stands for.
    #[error("a log does not begin with the entry that its id stands for")]
    WrongGenesis,
    /// A log has another entry than one that this device has seen at its place.
    #[error("a log has another entry than the one that was seen at its place")]
    LogFork,
    /// The hoster shows a log that ends before an entry that another device has
    /// seen.
    #[error("the hoster shows a log up to entry {got}; entry {known} was seen before")]
    LogWentBack {
        /// What was seen.
        known: u64,
        /// What the hoster shows.
        got: u64,
    },
    /// A head does not verify, or does not extend the one that was seen.
    #[error("the vault's head: {0}")]
    Head(HeadError),
    /// The sealed root is not the one that the head names, or does not open.
    #[error("the vault's root: {0}")]
    Root(OpenRootError),
    /// A member has sealed the newest root so that nobody, or not this program, can
    /// read it. Who he is can be seen, and he can be removed.
    #[error("the vault cannot be read: {0}")]
    Unreadable(UnreadableRoot),
    /// The vault has no head of that number.
    #[error("the vault has no head {seq}: the newest is {newest}")]
    NoSuchHead {
        /// What was asked for.
        seq: u64,
        /// The newest; 0 for none.
        newest: u64,
    },
    /// The hoster's answer contradicts itself, or never ends.
    #[error("the hoster's answer contradicts itself: {0}")]
    Answer(&'static str),
    /// The hoster says that another device was first, and shows nothing newer.
    #[error("the hoster refuses a commit for a race that nobody has won")]
    UnfoundedRace,

    /// The account's keys cannot be opened by this device.
    #[error(transparent)]
    AccountSecrets(#[from] AccountSecretsError),
    /// The vault's keys cannot be opened by this account.
    #[error(transparent)]
    VaultKeys(#[from] VaultKeysError),
    /// A member or device was removed: nothing is sealed before the keys are
    /// changed, which whoever may write does before he writes.
    #[error(
        "the vault's keys have to be changed before anything is written: \
         a member who may write has to open it first"
    )]
    RotationDue,
    /// The vault needs a newer program to write to it.
    #[error(transparent)]
    WriterTooOld(#[from] WriterTooOld),
    /// A commit names a pack twice, or too many.
    #[error(transparent)]
    Packs(#[from] PackListError),
    /// A head or an entry could not be made.
    #[error(transparent)]
    Author(AuthorError),
    /// Other processes move the vault faster than this one can follow.
    #[error("other processes keep changing this vault")]
    Overtaken,
}

impl VaultError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Remote(error) => error.code(),
            Self::State(error) => error.code(),
            Self::HosterWentBack { .. }
            | Self::PrintedHeadMissing { .. }
            | Self::CannotReconcile
            | Self::Replaced { .. }
            | Self::NotBroughtBack { .. }
            | Self::EntriesLeftBehind { .. }
            | Self::BeingBroughtForward
            | Self::Hidden
            | Self::AccountLog { .. }
            | Self::VaultLog(_)
            | Self::WrongGenesis
            | Self::LogFork
            | Self::LogWentBack { .. }
            | Self::Head(_)
            | Self::Root(OpenRootError::NotThisRoot)
            | Self::Answer(_)
            | Self::UnfoundedRace
            | Self::Unreadable(UnreadableRoot {
                error: RootError::PutOut,
                ..
            }) => ErrorCode::HosterMisbehaved,
            Self::Root(OpenRootError::ReaderTooOld { .. })
            | Self::Unreadable(UnreadableRoot {
                error: RootError::Open(OpenRootError::ReaderTooOld { .. }),
                ..
            })
            | Self::WriterTooOld(_) => ErrorCode::TooNew,
            Self::AccountSecrets(AccountSecretsError::NotADevice)
            | Self::VaultKeys(VaultKeysError::NotAMember)
            | Self::PutOut { .. }
            | Self::Author(AuthorError::Head(
                HeadError::Stranger | HeadError::MayNotWrite | HeadError::DeviceNotActive(_),
            )) => ErrorCode::NotAllowed,
            Self::RotationDue => ErrorCode::RotationDue,
            Self::Packs(_) | Self::Author(_) | Self::PrintedHead | Self::NoSuchHead { .. } => {
                ErrorCode::InvalidArgument
            }
            Self::Overtaken => ErrorCode::VaultBusy,
            // Signed or sealed by a member, and yet not what it should be.
            Self::Root(_) | Self::Unreadable(_) | Self::AccountSecrets(_) | Self::VaultKeys(_) => {
                ErrorCode::Corrupt
            }
        }
    }

    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Remote(error) => error.is_transient(),
            Self::State(error) => error.is_transient(),
            Self::Overtaken => true,
            _ => false,
        }
    }

    /// Whether the account is proven to be no member any more.
    pub(crate) fn is_put_out(&self) -> bool {
        matches!(self, Self::PutOut { .. })
    }

    /// Whether the hoster says that there is no such vault.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Remote(RemoteError::Refused(refusal))
            if refusal.reason == RefusalReason::NotFound)
    }
}

impl From<AuthorError> for VaultError {
    fn from(error: AuthorError) -> Self {
        match error {
            AuthorError::Head(HeadError::RotationDue) => Self::RotationDue,
            error => Self::Author(error),
        }
    }
}
