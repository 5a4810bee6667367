//! Disks that remember what was done to them, or refuse to do it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use vault_server::store::{
    Room,
    embedded::{Database, Disk, RealDisk, Sync, WriteBatch},
};

/// What was done, in the order in which it was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Created(PathBuf),
    Wrote(PathBuf),
    SyncedFile(PathBuf),
    Renamed(PathBuf, PathBuf),
    CreatedDirectory(PathBuf),
    SyncedDirectory(PathBuf),
    Deleted(PathBuf),
    WroteLedger,
    SyncedLedger,
    /// Entered by the test.
    Acknowledged,
}

type Watcher = Box<dyn FnMut(&Done) -> io::Result<()> + Send>;

/// The real disk, and who watches it: before anything is done, he may make it
/// fail.
pub(crate) struct WatchedDisk {
    before: Mutex<Watcher>,
    after: Mutex<Watcher>,
    full: AtomicBool,
}

impl WatchedDisk {
    pub(crate) fn new(
        before: impl FnMut(&Done) -> io::Result<()> + Send + 'static,
        after: impl FnMut(&Done) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self {
            before: Mutex::new(Box::new(before)),
            after: Mutex::new(Box::new(after)),
            full: AtomicBool::new(false),
        }
    }

    /// From now on it says that it is full. What is written is taken all the same.
    pub(crate) fn fill(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    fn watch<T>(&self, done: Done, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        (self.before.lock().unwrap())(&done)?;
        let result = work()?;
        (self.after.lock().unwrap())(&done)?;
        Ok(result)
    }
}

impl Disk for WatchedDisk {
    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.watch(Done::Created(path.into()), || RealDisk.create_file(path))
    }

    fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.watch(Done::Wrote(path.into()), || {
            RealDisk.write(file, path, bytes)
        })
    }

    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.watch(Done::SyncedFile(path.into()), || {
            RealDisk.sync_file(file, path)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let done = Done::Renamed(from.into(), to.into());
        self.watch(done, || RealDisk.rename(from, to))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let done = Done::CreatedDirectory(path.into());
        self.watch(done, || RealDisk.create_directory(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let done = Done::SyncedDirectory(path.into());
        self.watch(done, || RealDisk.sync_directory(path))
    }

    fn delete(&self, path: &Path) -> io::Result<()> {
        self.watch(Done::Deleted(path.into()), || RealDisk.delete(path))
    }

    fn write_batch(&self, db: &Database, batch: WriteBatch, sync: Sync) -> io::Result<()> {
        let done = match sync {
            Sync::Now => Done::SyncedLedger,
            Sync::Later => Done::WroteLedger,
        };
        self.watch(done, || RealDisk.write_batch(db, batch, sync))
    }

    fn sync_ledger(&self, db: &Database) -> io::Result<()> {
        self.watch(Done::SyncedLedger, || RealDisk.sync_ledger(db))
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        let room = RealDisk.room(path)?;
        Ok(match self.full.load(Ordering::SeqCst) {
            true => Room {
                free_bytes: 0,
                ..room
            },
            false => room,
        })
    }
}
