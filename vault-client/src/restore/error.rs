//! Why a restore failed.

use super::tally;
use crate::{
    contents::ContentsError,
    error::ErrorCode,
    files::{PlaceError, Reason},
    transfer::TransferError,
    vault::VaultError,
};

/// Why a restore failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The snapshot could not be found or read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// Chunks could not be had.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The vault could not be brought up to date.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The target cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is no room left in the target.
    #[error("no room left in the target")]
    TargetFull,
    /// The target cannot hold what is to be restored: nothing was written.
    #[error("the target has room for {free_bytes} bytes, and {needed_bytes} are to be restored")]
    NoRoom {
        /// Bytes of files that are not there yet.
        needed_bytes: u64,
        /// What the target's file system has left for this user.
        free_bytes: u64,
    },
}

impl From<tally::TargetFull> for RestoreError {
    fn from(_: tally::TargetFull) -> Self {
        Self::TargetFull
    }
}

impl RestoreError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Contents(error) => error.code(),
            Self::Transfer(error) => error.code(),
            Self::Vault(error) => error.code(),
            Self::Place(
                PlaceError::Target { reason, .. } | PlaceError::NotDurable { reason, .. },
            ) if *reason == Reason::DiskFull => ErrorCode::DiskFull,
            Self::Place(_) => ErrorCode::LocalState,
            Self::TargetFull | Self::NoRoom { .. } => ErrorCode::DiskFull,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Contents(error) => error.is_transient(),
            Self::Transfer(error) => error.is_transient(),
            Self::Vault(error) => error.is_transient(),
            _ => false,
        }
    }
}
