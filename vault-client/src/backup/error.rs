//! Why a backup failed.

use vault_core::{catalog::CatalogError, snapshot::SnapshotError, stream::ReadError};

use crate::{
    contents::ContentsError,
    error::ErrorCode,
    files::{Reason, RootsError},
    state::StateError,
    transfer::TransferError,
    vault::VaultError,
};

/// Why a backup failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The paths make no sense.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The walk could not begin.
    #[error("cannot read the file system: {0}")]
    Walk(Reason),
    /// The vault could not be brought up to date or committed to.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Chunks could not be stored.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The catalog could not be read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// The device's own state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The series cannot be added to the catalog.
    #[error("cannot add the series: {0}")]
    Catalog(#[from] CatalogError),
    /// The snapshot cannot be written down.
    #[error("cannot write the snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The catalog does not list the series it was just given.
    #[error("the series is not in the catalog")]
    Series,
    /// The series was begun with deduplication, and stays as it was begun.
    #[error("the series {0:?} is deduplicated, and stays so")]
    Deduplicated(String),
    /// The hoster lost packs between their upload and the commit. They are
    /// sent again by the next backup.
    #[error("the hoster lost {count} packs before they were committed; back up again")]
    PacksLost {
        /// How many.
        count: usize,
    },
    /// The device slept for longer than hosters keep what no head has added
    /// ([`UNCLAIMED_KEPT`](crate::remote::UNCLAIMED_KEPT)). It is sent again by the next
    /// backup.
    #[error(
        "this backup took so long that the hoster has removed {count} of its packs; back up again"
    )]
    TookTooLong {
        /// How many.
        count: usize,
    },
    /// Each time that the backup was about to commit, another device had removed
    /// packs or begun an epoch.
    #[error("other devices keep changing the vault too much; try again later")]
    Overtaken,
    /// Other devices committed again and again.
    #[error("other devices keep committing; try again later")]
    TooManyRaces,
}

impl BackupError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Roots(_)
            | Self::Catalog(_)
            | Self::Snapshot(_)
            | Self::Series
            | Self::Deduplicated(_) => ErrorCode::InvalidArgument,
            Self::Walk(_) => ErrorCode::LocalState,
            Self::Vault(error) => error.code(),
            Self::Transfer(error) => error.code(),
            Self::Contents(error) => error.code(),
            Self::State(error) => error.code(),
            Self::PacksLost { .. } => ErrorCode::HosterMisbehaved,
            Self::TookTooLong { .. } => ErrorCode::HosterRefused,
            Self::Overtaken | Self::TooManyRaces => ErrorCode::VaultBusy,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_transient(),
            Self::Transfer(error) => error.is_transient(),
            Self::Contents(error) => error.is_transient(),
            Self::State(error) => error.is_transient(),
            Self::PacksLost { .. }
            | Self::TookTooLong { .. }
            | Self::Overtaken
            | Self::TooManyRaces => true,
            _ => false,
        }
    }
}

impl From<ReadError<TransferError>> for BackupError {
    fn from(error: ReadError<TransferError>) -> Self {
        Self::Contents(error.into())
    }
}
