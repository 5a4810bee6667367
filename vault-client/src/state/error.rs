//! Why the device's own state could not be read or written.

use std::path::PathBuf;

use crate::error::ErrorCode;

/// A failure of the device's own state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database.
    #[error("the device's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The database holds something that this library never wrote there.
    #[error("the device's database is damaged: {0}")]
    Damaged(&'static str),
    /// A newer version of the program has written the database.
    #[error("the device's database is of version {found}; this program knows {known}")]
    TooNew {
        /// What was found.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// There is a key already, and keys are never overwritten.
    #[error("there is a key already")]
    KeyExists,
    /// The key store failed, or refused.
    #[error("the key store: {0}")]
    KeyStore(String),
    /// Another process is writing to the vault.
    #[error("another process is writing to this vault")]
    VaultBusy,
    /// Another process is changing the account.
    #[error("another process is changing this account")]
    AccountBusy,
}

impl StateError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        let full = |kind| kind == std::io::ErrorKind::StorageFull;
        match self {
            Self::File { source, .. } if full(source.kind()) => ErrorCode::DiskFull,
            Self::Database(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
            {
                ErrorCode::DiskFull
            }
            Self::VaultBusy | Self::AccountBusy => ErrorCode::VaultBusy,
            Self::TooNew { .. } => ErrorCode::TooNew,
            Self::KeyExists => ErrorCode::AccountExists,
            _ => ErrorCode::LocalState,
        }
    }

    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::VaultBusy | Self::AccountBusy)
    }
}
