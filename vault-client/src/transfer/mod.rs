//! Chunks on their way between files and the hoster.
//!
//! ```text
//! plaintext ─▶ Store (id, known?, compress, seal) ─▶ Assembler ─▶ Outbox ─▶ hoster
//! plaintext ◀─ Reader (index, cache, open) ◀─ plan of ranges ◀───────────── hoster
//! ```

mod alone;
mod assembler;
#[cfg(test)]
mod fuzzing;
mod memory;
mod noted;
mod pack_cache;
mod plan;
mod reader;
mod store;
mod upload;

pub(crate) use alone::{keep_alone, read_alone, seal_alone};
pub(crate) use assembler::Assembler;
pub(crate) use memory::Slots;
pub(crate) use pack_cache::PackCache;
pub(crate) use plan::{Fetch, Splitter, plan, plan_exactly, plan_packs};
pub(crate) use reader::{Reader, unreadable_range};
pub(crate) use store::{ChunkWorker, Store};
pub(crate) use upload::{Destination, Outbox, SentPack};

use crate::error::ErrorCode;
use crate::index::IndexError;
use crate::remote::RemoteError;
use crate::state::StateError;
use crate::vault::VaultError;

/// Why chunks could not be stored or had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A call to the hoster failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What the hoster sent does not open, or is not what was asked for.
    #[error("the hoster sent something else than what was stored")]
    Altered,
    /// The hoster has kept a pack as it was given it, and the chunk is not where
    /// the index says: a member's device has written one of them wrong.
    #[error(
        "the vault's index says that a chunk is where it is not: a member's device wrote it so"
    )]
    Misplaced,
    /// A tree or the root names a chunk that no index segment knows.
    #[error("the vault refers to a chunk that its index does not know")]
    Unknown,
    /// The local index could not be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The device's own state could not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The vault's keys are closed, or what its newest head signs for.
    #[error(transparent)]
    Vault(Box<VaultError>),
    /// The device's cache of packs could not be written.
    #[error("the cache of packs: {0}")]
    Cache(std::io::Error),
    /// A chunk was longer than its kind allows.
    #[error(transparent)]
    Seal(#[from] vault_core::seal::SealError),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Another thread has failed and says why.
    #[error("stopped because of another failure")]
    Stopped,
}

impl From<VaultError> for TransferError {
    fn from(error: VaultError) -> Self {
        Self::Vault(Box::new(error))
    }
}

impl TransferError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Remote(error) => error.code(),
            Self::Altered => ErrorCode::HosterMisbehaved,
            Self::Unknown | Self::Misplaced => ErrorCode::Corrupt,
            Self::Index(error) => error.code(),
            Self::State(error) => error.code(),
            Self::Vault(error) => error.code(),
            Self::Cache(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                ErrorCode::DiskFull
            }
            Self::Cache(_) => ErrorCode::LocalState,
            Self::Seal(_) => ErrorCode::InvalidArgument,
            Self::Cancelled | Self::Stopped => ErrorCode::Cancelled,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Remote(error) if error.is_transient())
    }

    /// Whether it is of what was asked for, and not of the line or of this
    /// device: what is elsewhere may still be had.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(
            self.code(),
            ErrorCode::HosterMisbehaved | ErrorCode::Corrupt
        )
    }
}
