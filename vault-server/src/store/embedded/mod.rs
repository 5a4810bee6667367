//! What a hoster has by default: one data directory, no other program.
//!
//! ```text
//! DIR/lock                          held while a server runs
//! DIR/ledger/                       RocksDB: the ledger, and packs under 128 KiB
//! DIR/blobs/incoming/N              uploads under way
//! DIR/blobs/VAULT/ab/cd/abcd...     packs from 128 KiB up: BLAKE3 is the name
//! ```
//!
//! # What is durable when
//! A large pack is written under a temporary name, fsynced, renamed, and its
//! directory fsynced (with every directory above that was made for it); only
//! then does the ledger hear of it. A small pack and the ledger's records share
//! one write-ahead log, so a record never outlives what it speaks of. A head is
//! one synced batch, which makes durable all that stands before it in the log.
//! A crash leaves files that the ledger does not know, never the reverse.

mod aligned;
mod blobs;
mod disk;
mod files;
#[cfg(test)]
mod fuzzing;
mod keys;
mod ledger;
mod lock;
mod rocks;
mod rows;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

pub use blobs::{EmbeddedBlobs, FILE_FROM_BYTES};
pub use disk::{Disk, RealDisk, Sync};
pub use ledger::EmbeddedLedger;
pub use lock::{DirectoryLock, Released};
pub use rocksdb::{DB as Database, WriteBatch};

use self::{
    files::FileBlobs,
    rocks::{Rocks, Table},
};
use super::{
    blobs::BlobError,
    ledger::{LedgerError, Terms},
};

/// Both adapters over one data directory.
pub struct Embedded {
    /// The ledger.
    pub ledger: EmbeddedLedger,
    /// The packs.
    pub blobs: EmbeddedBlobs,
}

/// The version of the directory, the tables and the rows.
const FORMAT: &[u8] = b"1";

/// Opens or creates the store in `directory`, on which the caller has the lock,
/// removes what interrupted uploads left, and makes the indexes that an older
/// server did not keep.
///
/// # Errors
/// See [`OpenError`].
pub fn open(
    directory: &Path,
    lock: DirectoryLock,
    terms: Terms,
    disk: Arc<dyn Disk>,
) -> Result<Embedded, OpenError> {
    let ledger = directory.join("ledger");
    make_private(&ledger)?;
    let rocks = Rocks::open(&ledger, lock, Arc::clone(&disk))?;
    match rocks.get(Table::Format, b"format")?.as_deref() {
        Some(FORMAT) => {}
        Some(_) => return Err(OpenError::NewerFormat),
        None => {
            let mut batch = rocks.batch();
            batch.put(Table::Format, b"format", FORMAT);
            batch.put_whole_indexes();
            batch.write(Sync::Now)?;
        }
    }
    let files = FileBlobs::open(&directory.join("blobs"), Arc::clone(&disk))?;
    disk.sync_directory(directory)?;
    let ledger = EmbeddedLedger::new(rocks.clone(), terms);
    ledger.complete_indexes()?;
    Ok(Embedded {
        ledger,
        blobs: EmbeddedBlobs { files, rocks },
    })
}

/// Makes a directory for its owner alone. Of one that is there, everybody else's
/// rights are taken; those of a group that the hoster let in stay.
fn make_private(directory: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut permissions = fs::metadata(directory)?.permissions();
            let mode = permissions.mode();
            if mode & 0o007 == 0 {
                return Ok(());
            }
            permissions.set_mode(mode & !0o007);
            fs::set_permissions(directory, permissions)
        }
        made => made,
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another server runs on the directory.
    #[error("another coffre-server is running on this data directory")]
    InUse,
    /// A newer server wrote it.
    #[error("this data directory was written by a newer coffre-server")]
    NewerFormat,
    /// The disk or the database failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The blobs' directory cannot be used.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

#[cfg(test)]
mod tests;
