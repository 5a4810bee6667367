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
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

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
    /// Appends to a file. `path` is its name. Past the page cache where the file
    /// system can do that, as long as bytes come aligned: see [`Aligned`].
    ///
    /// [`Aligned`]: super::aligned::Aligned
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
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        // A file system that cannot write past the page cache says so.
        let _ = set_direct(&file, true);
        Ok(file)
    }

    fn write(&self, file: &mut File, _path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not aligned as this file system has it: from here on through
                // the page cache.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    if !set_direct(file, false)? {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
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

/// Turns `O_DIRECT` on or off; says whether that changed anything.
fn set_direct(file: &File, direct: bool) -> io::Result<bool> {
    let before = fcntl_getfl(file)?;
    let mut after = before;
    after.set(OFlags::DIRECT, direct);
    if after == before {
        return Ok(false);
    }
    fcntl_setfl(file, after)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the file system makes of it: all bytes arrive, in order.
    #[test]
    fn bytes_arrive_however_they_are_aligned() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut bytes = vec![0; 200_000];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let mut file = RealDisk.create_file(&path).unwrap();
        let mut rest = &bytes[..];
        for length in [8192, 1, 4095, 4096, 100_000, 83_616] {
            let (now, later) = rest.split_at(length);
            RealDisk.write(&mut file, &path, now).unwrap();
            rest = later;
        }
        assert!(rest.is_empty());
        RealDisk.sync_file(&file, &path).unwrap();
        assert!(fs::read(&path).unwrap() == bytes);
    }
}
