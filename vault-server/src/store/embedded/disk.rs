//! The seam between the store and the machine: every write, fsync, rename and
//! synced batch goes through a [`Disk`], so that a test can record their order
//! or make one of them fail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rocksdb::{DB, WriteBatch, WriteOptions};

use super::rocks::io_error;
use crate::store::blobs::Room;

/// Whether a batch is on the disk when the write returns, or only in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// fsync of the ledger's write-ahead log, and of all that was written
    /// before.
    Now,
    /// With the next synced batch.
    Later,
}

/// What the embedded store does to the disk.
///
/// Errors are those of the system calls.
#[expect(clippy::missing_errors_doc, reason = "said above, once for all")]
pub trait Disk: Send + std::marker::Sync + 'static {
    /// Creates a file that must not exist, readable by its owner alone.
    fn create_file(&self, path: &Path) -> io::Result<File>;
    /// Appends to a file. `path` is its name.
    fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// fsync of a file.
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()>;
    /// Renames a file; an existing one of the new name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Creates a directory, for its owner alone; succeeds if it exists.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// fsync of a directory: of the names in it.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Deletes a file; succeeds if there is none.
    fn delete(&self, path: &Path) -> io::Result<()>;
    /// Writes a batch to the ledger, all or nothing.
    fn write_batch(&self, db: &DB, batch: WriteBatch, sync: Sync) -> io::Result<()>;
    /// fsync of the ledger's write-ahead log: of every batch so far.
    fn sync_ledger(&self, db: &DB) -> io::Result<()>;
    /// Free and total bytes of the file system that `path` is on.
    fn room(&self, path: &Path) -> io::Result<Room>;
}

/// The machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_file(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(path)
    }

    fn write(&self, file: &mut File, _path: &Path, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync_file(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created,
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn delete(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }

    fn write_batch(&self, db: &DB, batch: WriteBatch, sync: Sync) -> io::Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(sync == Sync::Now);
        db.write_opt(batch, &options).map_err(io_error)
    }

    fn sync_ledger(&self, db: &DB) -> io::Result<()> {
        db.flush_wal(true).map_err(io_error)
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        let counts = rustix::fs::statvfs(path)?;
        Ok(Room {
            // What root alone may use is not for packs.
            free_bytes: counts.f_bavail.saturating_mul(counts.f_frsize),
            total_bytes: counts.f_blocks.saturating_mul(counts.f_frsize),
        })
    }
}
