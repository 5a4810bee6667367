//! Large packs: one immutable file each, `blobs/VAULT/ab/cd/HASH`.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use vault_proto::ids::{PackId, VaultId};

use super::{aligned::Aligned, disk::Disk};
use crate::store::{
    blobs::{BlobError, BlobStore, Incoming, Room, Which},
    records::Blob,
};

/// Where unfinished uploads are. No vault is called that: a vault's directory
/// has 64 digits.
const INCOMING: &str = "incoming";

/// Blobs as files.
#[derive(Clone)]
pub(super) struct FileBlobs(Arc<Inner>);

struct Inner {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    next: AtomicU64,
    synced: SyncedDirectories,
}

impl FileBlobs {
    /// Opens or creates the directory and removes what interrupted uploads left, as
    /// far as it can be removed.
    pub(super) fn open(root: &Path, disk: Arc<dyn Disk>) -> Result<Self, BlobError> {
        let incoming = root.join(INCOMING);
        disk.create_directory(root)?;
        disk.create_directory(&incoming)?;
        for leftover in fs::read_dir(&incoming)? {
            let path = leftover?.path();
            if let Err(error) = disk.delete(&path) {
                tracing::warn!(%error, path = %path.display(), "cannot be deleted");
            }
        }
        disk.sync_directory(root)?;
        Ok(Self(Arc::new(Inner {
            root: root.to_owned(),
            disk,
            next: AtomicU64::new(0),
            synced: SyncedDirectories::default(),
        })))
    }
}

impl Inner {
    fn path(&self, blob: &Blob) -> PathBuf {
        let name = blob.pack.to_string();
        let mut path = self.root.join(blob.vault.to_string());
        path.extend([&name[..2], &name[2..4], &name]);
        path
    }

    /// Renames `from` to the blob's path, makes the directories on the way, and
    /// fsyncs each that gained a name, from the file upward.
    fn give_name(&self, from: &Path, blob: &Blob) -> io::Result<()> {
        let path = self.path(blob);
        let above: Vec<&Path> = path.ancestors().skip(1).take(3).collect();
        if let Err(error) = self.disk.rename(from, &path) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            for directory in above.iter().rev() {
                self.disk.create_directory(directory)?;
            }
            self.disk.rename(from, &path)?;
        }
        self.disk.sync_directory(above[0])?;
        // That a directory exists does not mean that its own name is durable:
        // another upload may have made it a moment ago, or this one before the
        // machine's last crash of the process. So whoever has not seen it
        // fsynced does it.
        for directory in above {
            if self.synced.contains(directory) {
                break;
            }
            let parent = directory.parent().unwrap_or(&self.root);
            self.disk.sync_directory(parent)?;
        }
        for directory in path.ancestors().skip(1).take(3) {
            self.synced.insert(directory);
        }
        Ok(())
    }
}

impl BlobStore for FileBlobs {
    fn begin(&self, blob: &Blob) -> Result<Box<dyn Incoming>, BlobError> {
        let (file, path) = loop {
            let number = self.0.next.fetch_add(1, Ordering::Relaxed);
            let path = self.0.root.join(INCOMING).join(number.to_string());
            match self.0.disk.create_file(&path) {
                Ok(file) => break (file, path),
                // Something that could not be removed at the start.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        };
        Ok(Box::new(Upload {
            blob: *blob,
            file,
            buffer: Aligned::new(blob.size),
            path: Some(path),
            store: Arc::clone(&self.0),
        }))
    }

    fn read(&self, blob: &Blob, offset: u32, into: &mut [u8]) -> Result<(), BlobError> {
        let file = File::open(self.0.path(blob))?;
        Ok(file.read_exact_at(into, u64::from(offset))?)
    }

    fn delete(&self, blob: &Blob) -> Result<(), BlobError> {
        // Directories stay: at most 65,793 a vault, most of them wanted again.
        Ok(self.0.disk.delete(&self.0.path(blob))?)
    }

    fn is_there(&self, blob: &Blob) -> Result<bool, BlobError> {
        match fs::metadata(self.0.path(blob)) {
            Ok(found) => Ok(found.is_file() && found.len() == u64::from(blob.size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn list(
        &self,
        _which: Which,
        visit: &mut dyn FnMut(Blob) -> Result<(), BlobError>,
    ) -> Result<(), BlobError> {
        let mut unread = None;
        let mut names = |directory: &Path| {
            let (names, failed) = names(directory);
            if let (Some(error), None) = (failed, &unread) {
                unread = Some(error);
            }
            names
        };
        // What does not look like ours is left alone: a hoster's own notes, or
        // a file system's lost+found.
        for vault in names(&self.0.root) {
            let (Some(id), path) = (VaultId::from_hex(&vault), self.0.root.join(&vault)) else {
                continue;
            };
            for first in names(&path) {
                for second in names(&path.join(&first)) {
                    let directory = path.join(&first).join(&second);
                    for name in names(&directory) {
                        let Some(pack) = PackId::from_hex(&name) else {
                            continue;
                        };
                        if name[..2] != first || name[2..4] != second {
                            continue;
                        }
                        let Ok(found) = fs::metadata(directory.join(&name)) else {
                            continue;
                        };
                        // No pack is that long; its size is wrong in any case.
                        let size = u32::try_from(found.len()).unwrap_or(u32::MAX);
                        visit(Blob {
                            vault: id,
                            pack,
                            size,
                        })?;
                    }
                }
            }
        }
        unread.map_or(Ok(()), |error| Err(error.into()))
    }

    fn verify(&self, blob: &Blob) -> Result<(), BlobError> {
        let file = File::open(self.0.path(blob))?;
        if file.metadata()?.len() != u64::from(blob.size) {
            return Err(BlobError::Damaged);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        match hasher.finalize().as_bytes() == blob.pack.as_bytes() {
            true => Ok(()),
            false => Err(BlobError::Damaged),
        }
    }

    fn room(&self) -> Result<Room, BlobError> {
        Ok(self.0.disk.room(&self.0.root)?)
    }
}

/// The names in a directory as far as they can be read, and why not further; none
/// if there is no such directory.
fn names(directory: &Path) -> (Vec<String>, Option<io::Error>) {
    let mut names = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            let none = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            );
            return (names, (!none).then_some(error));
        }
    };
    for entry in entries {
        match entry {
            Ok(entry) => names.extend(entry.file_name().into_string()),
            Err(error) => return (names, Some(error)),
        }
    }
    (names, None)
}

struct Upload {
    blob: Blob,
    file: File,
    /// Bytes that are not in the file yet.
    buffer: Aligned,
    /// The temporary name, while it stands.
    path: Option<PathBuf>,
    store: Arc<Inner>,
}

impl Upload {
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.filled().is_empty() {
            return Ok(());
        }
        let path = self.path.as_deref().unwrap_or(&self.store.root);
        let disk = &self.store.disk;
        disk.write(&mut self.file, path, self.buffer.filled())?;
        self.buffer.clear();
        Ok(())
    }
}

impl Incoming for Upload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.buffer.fill(rest);
            if self.buffer.is_full() {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), BlobError> {
        self.flush()?;
        let path = self.path.as_deref().unwrap_or(&self.store.root);
        Ok(self.store.disk.sync_file(&self.file, path)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), BlobError> {
        if let Some(path) = &self.path {
            self.store.give_name(path, &self.blob)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be deleted now is deleted at the next start.
            let _ = self.store.disk.delete(path);
        }
    }
}

/// Directories whose own names are known to be durable.
///
/// Bounded: when there are too many, it begins anew, which costs an fsync or
/// three for each directory that is met again.
#[derive(Default)]
struct SyncedDirectories(Mutex<HashSet<PathBuf>>);

impl SyncedDirectories {
    const MOST: usize = 16_384;

    fn contains(&self, directory: &Path) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(directory)
    }

    fn insert(&self, directory: &Path) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MOST {
            known.clear();
        }
        if !known.contains(directory) {
            known.insert(directory.to_owned());
        }
    }
}
