//! Why not.

use std::io;

/// Why the ledger could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The disk or the database failed.
    #[error("the ledger failed: {0}")]
    Io(#[source] io::Error),
    /// A record that cannot be.
    #[error("the ledger is damaged: {0}")]
    Damaged(&'static str),
}
