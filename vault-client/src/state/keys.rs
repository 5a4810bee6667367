//! Where a device keeps its secrets.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::StateError;
use super::home::sync_directory;

/// What a key store holds, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySlot {
    /// The device's secret keys.
    Device,
    /// The recovery phrase's entropy, from its making until the member has
    /// confirmed that it is written down.
    Phrase,
    /// The code of a pairing that this device has begun, until it has ended.
    Pairing,
}

impl KeySlot {
    /// The slot's name, which never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Phrase => "phrase",
            Self::Pairing => "pairing",
        }
    }
}

/// Keeps secrets: a file, a keychain, a secure element.
pub trait KeyStore: Send + Sync + 'static {
    /// What the slot holds; `None` while it is empty.
    ///
    /// # Errors
    /// [`StateError::KeyStore`] and the like.
    fn load(&self, slot: KeySlot) -> Result<Option<Zeroizing<Vec<u8>>>, StateError>;

    /// Fills an empty slot, durably.
    ///
    /// # Errors
    /// [`StateError::KeyExists`] when it is not empty: nothing is overwritten.
    fn store_new(&self, slot: KeySlot, secret: &[u8]) -> Result<(), StateError>;

    /// Empties a slot; an empty one stays so.
    ///
    /// # Errors
    /// [`StateError::KeyStore`] and the like.
    fn remove(&self, slot: KeySlot) -> Result<(), StateError>;
}

/// Secrets as files of mode 0600 in one directory: `device.key` and the like.
///
/// Whoever can read the member's files can read them. What [`KeyStore::remove`]
/// unlinks may stay on the disk until it is overwritten by chance.
#[derive(Debug, Clone)]
pub struct FileKeyStore {
    directory: PathBuf,
}

/// More than any secret of ours is long.
const MAX_SECRET_BYTES: u64 = 4_096;

impl FileKeyStore {
    /// Keeps secrets in `directory`, which must exist when one is stored.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    fn path(&self, slot: KeySlot) -> PathBuf {
        self.directory.join(format!("{}.key", slot.name()))
    }
}

impl KeyStore for FileKeyStore {
    fn load(&self, slot: KeySlot) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let path = self.path(slot);
        let failed = |source| StateError::File {
            path: path.clone(),
            source,
        };
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let mut secret = Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES as usize + 1));
        file.take(MAX_SECRET_BYTES + 1)
            .read_to_end(&mut secret)
            .map_err(failed)?;
        if secret.len() as u64 > MAX_SECRET_BYTES {
            return Err(StateError::Damaged("a key file is too long"));
        }
        Ok(Some(secret))
    }

    fn store_new(&self, slot: KeySlot, secret: &[u8]) -> Result<(), StateError> {
        let path = self.path(slot);
        let failed = |source| StateError::File {
            path: path.clone(),
            source,
        };
        // Written whole under another name and then linked, which fails when
        // the name is taken: no crash leaves half a key under the real name.
        let fresh = path.with_extension("key.new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&fresh).map_err(failed)?;
        file.write_all(secret).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let linked = fs::hard_link(&fresh, &path);
        fs::remove_file(&fresh).map_err(failed)?;
        match linked {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(StateError::KeyExists),
            Err(error) => Err(failed(error)),
            Ok(()) => sync_directory(&self.directory),
        }
    }

    fn remove(&self, slot: KeySlot) -> Result<(), StateError> {
        let path = self.path(slot);
        match fs::remove_file(&path) {
            Ok(()) => sync_directory(&self.directory),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StateError::File { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileKeyStore::new(directory.path());
        assert!(store.load(KeySlot::Device).unwrap().is_none());
        store.store_new(KeySlot::Device, b"first").unwrap();
        let again = store.store_new(KeySlot::Device, b"second");
        assert!(matches!(again, Err(StateError::KeyExists)), "{again:?}");
        let held = store.load(KeySlot::Device).unwrap().unwrap();
        assert_eq!(&held[..], b"first");
        let path = directory.path().join("device.key");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(!directory.path().join("device.key.new").exists());
        store.remove(KeySlot::Device).unwrap();
        store.remove(KeySlot::Device).unwrap();
        assert!(store.load(KeySlot::Device).unwrap().is_none());
    }

    #[test]
    fn a_crash_before_the_link_leaves_the_slot_empty() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("phrase.key.new"), b"ha").unwrap();
        let store = FileKeyStore::new(directory.path());
        assert!(store.load(KeySlot::Phrase).unwrap().is_none());
        store.store_new(KeySlot::Phrase, b"whole").unwrap();
        assert_eq!(&store.load(KeySlot::Phrase).unwrap().unwrap()[..], b"whole");
    }

    #[test]
    fn an_endless_key_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("device.key"), vec![0; 5_000]).unwrap();
        let store = FileKeyStore::new(directory.path());
        let loaded = store.load(KeySlot::Device);
        assert!(matches!(loaded, Err(StateError::Damaged(_))));
    }
}
