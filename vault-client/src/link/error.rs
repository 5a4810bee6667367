//! Why a link could not be made, or not be got.

use vault_core::links::{LinksError, OpenLinkError, PasswordError, SealCapsuleError};

use crate::contents::ContentsError;
use crate::error::ErrorCode;
use crate::files::{PlaceError, Reason};
use crate::remote::{RefusalReason, RemoteError};
use crate::transfer::TransferError;
use crate::vault::VaultError;

/// Why a link could not be made, listed or revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The vault could not be brought up to date, or not be written to.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The snapshot could not be read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// Chunks could not be had.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A call to the hoster failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What is at the path is neither a file nor a directory.
    #[error("a link shows a file or a directory, and {0:?} is neither")]
    NotShareable(String),
    /// There is more below the path than one link can show.
    #[error("too much for one link: {0}")]
    TooLarge(&'static str),
    /// The capsule could not be sealed.
    #[error(transparent)]
    Capsule(#[from] SealCapsuleError),
    /// The password cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The list of links would break a rule.
    #[error(transparent)]
    Links(LinksError),
    /// The list of links that a member's device has written is malformed.
    #[error("a malformed list of links: {0}")]
    ListMalformed(LinksError),
    /// Nobody knows a link of this id.
    #[error("no such link")]
    NoLink,
    /// Other devices keep changing the vault, or have tidied it up meanwhile.
    #[error("other devices keep changing this vault; try again")]
    Overtaken,
}

impl LinkError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Vault(error) => error.code(),
            Self::Contents(error) => error.code(),
            Self::Transfer(error) => error.code(),
            Self::Remote(error) => error.code(),
            Self::NotShareable(_)
            | Self::TooLarge(_)
            | Self::Capsule(_)
            | Self::Password(_)
            | Self::Links(_)
            | Self::NoLink => ErrorCode::InvalidArgument,
            Self::ListMalformed(_) => ErrorCode::Corrupt,
            Self::Overtaken => ErrorCode::VaultBusy,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_transient(),
            Self::Contents(error) => error.is_transient(),
            Self::Transfer(error) => error.is_transient(),
            Self::Remote(error) => error.is_transient(),
            Self::Overtaken => true,
            _ => false,
        }
    }
}

/// Why a link could not be got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The hoster does not serve it any more, or never did: it has expired, was
    /// revoked, or has been used as often as it may be.
    #[error("the link has expired, was revoked, or has been used up")]
    Over,
    /// A call to the hoster failed.
    #[error(transparent)]
    Remote(RemoteError),
    /// What came is not what the link names, or the password is wrong.
    #[error(transparent)]
    Open(#[from] OpenLinkError),
    /// The target cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is no room left in the target.
    #[error("no room left in the target")]
    TargetFull,
    /// The target cannot hold what the link shows: nothing was written.
    #[error("the target has room for {free_bytes} bytes, and the link shows {needed_bytes}")]
    NoRoom {
        /// Bytes of files that are not there yet.
        needed_bytes: u64,
        /// What the target's file system has left for this user.
        free_bytes: u64,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Another thread has failed and says why.
    #[error("stopped because of another failure")]
    Stopped,
}

impl From<crate::restore::tally::TargetFull> for GetError {
    fn from(_: crate::restore::tally::TargetFull) -> Self {
        Self::TargetFull
    }
}

impl GetError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Over => ErrorCode::LinkOver,
            Self::Remote(error) => error.code(),
            Self::Open(OpenLinkError::NotThisCapsule) => ErrorCode::HosterMisbehaved,
            Self::Open(OpenLinkError::WrongPassword | OpenLinkError::Unopenable(_)) => {
                ErrorCode::WrongKey
            }
            Self::Open(OpenLinkError::Malformed(_)) => ErrorCode::Corrupt,
            Self::Open(_) => ErrorCode::InvalidArgument,
            Self::Place(
                PlaceError::Target { reason, .. } | PlaceError::NotDurable { reason, .. },
            ) if *reason == Reason::DiskFull => ErrorCode::DiskFull,
            Self::Place(_) => ErrorCode::LocalState,
            Self::TargetFull | Self::NoRoom { .. } => ErrorCode::DiskFull,
            Self::Cancelled | Self::Stopped => ErrorCode::Cancelled,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Remote(error) if error.is_transient())
    }
}

impl From<RemoteError> for GetError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Refused(refusal)
                if matches!(
                    refusal.reason,
                    RefusalReason::LinkOver | RefusalReason::NotFound
                ) =>
            {
                Self::Over
            }
            RemoteError::Cancelled => Self::Cancelled,
            error => Self::Remote(error),
        }
    }
}
