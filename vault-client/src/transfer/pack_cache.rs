//! Packs of metadata kept on the device, sealed as the hoster has them.
//!
//! Listing and comparing snapshots reads many small chunks that lie close to
//! each other; a whole pack costs one call. The cache holds nothing that the
//! hoster does not: what is read from it is opened and checked like what comes
//! from the network, and a file that was damaged is only fetched again.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    time::SystemTime,
};

use vault_proto::ids::PackId;

use super::TransferError;
use crate::vault::Vault;

/// How much the cache may hold when it is opened, in bytes.
const KEPT_BYTES: u64 = 512 << 20;

/// A directory of packs, each in a file named by its id.
#[derive(Debug)]
pub(crate) struct PackCache {
    directory: PathBuf,
}

impl PackCache {
    /// Opens the directory, making it if it is not there, and forgets the
    /// packs that were used least recently when there are too many.
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let cache = Self { directory };
        cache.shrink(KEPT_BYTES)?;
        Ok(cache)
    }

    /// That of a vault.
    pub(crate) fn of(vault: &Vault) -> Result<Self, TransferError> {
        Self::open(vault.directory()?.join("packs")).map_err(TransferError::Cache)
    }

    /// The bytes of a pack's range, if the pack is here and long enough.
    pub(crate) fn read(&self, pack: &PackId, offset: u32, length: u32) -> Option<Vec<u8>> {
        let file = File::open(self.path(pack)).ok()?;
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, u64::from(offset)).ok()?;
        Some(bytes)
    }

    /// Whether the pack is here, and every byte of it the one that its id names.
    pub(crate) fn holds(&self, pack: &PackId) -> bool {
        fs::read(self.path(pack)).is_ok_and(|bytes| PackId::of(&bytes) == *pack)
    }

    /// Keeps a pack. The cache is only a convenience: nothing depends on the
    /// file surviving a crash, but a torn one must not stay under its name.
    pub(crate) fn keep(&self, pack: &PackId, bytes: &[u8]) -> io::Result<()> {
        let mut part = tempfile::NamedTempFile::new_in(&self.directory)?;
        part.write_all(bytes)?;
        part.persist(self.path(pack)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Drops a pack that turned out not to be what its name says.
    pub(crate) fn forget(&self, pack: &PackId) {
        // Whoever asks next fetches it again; a file that cannot be removed is
        // found out again then.
        let _ = fs::remove_file(self.path(pack));
    }

    fn path(&self, pack: &PackId) -> PathBuf {
        self.directory.join(pack.to_string())
    }

    fn shrink(&self, limit: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Another process has given it its name, or has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let used = metadata.accessed().or_else(|_| metadata.modified())?;
            files.push((used, metadata.len(), entry.path()));
        }
        files.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
        let mut kept = 0;
        for (_, length, path) in files {
            kept += length;
            if kept > limit {
                // Another process may have been faster.
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_keeps_and_no_more() {
        let home = tempfile::tempdir().unwrap();
        let cache = PackCache::open(home.path().join("packs")).unwrap();
        let pack = PackId::of(b"0123456789");
        assert_eq!(cache.read(&pack, 0, 4), None);
        cache.keep(&pack, b"0123456789").unwrap();
        assert_eq!(cache.read(&pack, 4, 3).as_deref(), Some(&b"456"[..]));
        assert_eq!(cache.read(&pack, 8, 3), None, "past the end");
        assert!(cache.holds(&pack));
        let other = PackId::of(b"9876543210");
        assert!(!cache.holds(&other));
        cache.keep(&other, b"9876543211").unwrap();
        assert!(!cache.holds(&other));
        cache.forget(&pack);
        assert_eq!(cache.read(&pack, 0, 1), None);
    }

    #[test]
    fn forgets_when_it_holds_too_much() {
        let home = tempfile::tempdir().unwrap();
        let cache = PackCache::open(home.path().to_path_buf()).unwrap();
        for n in 0..10_u8 {
            cache.keep(&PackId::of(&[n]), &[n; 100]).unwrap();
        }
        cache.shrink(350).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3);
    }
}
