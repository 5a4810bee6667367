//! The directory that holds all of a device's state.
//!
//! ```text
//! HOME/state.db          what is verified and what is under way (SQLite, WAL)
//!      account.lock      held while the account is made or changed
//!      vaults/ID/lock    held while a process writes to the vault
//!      vaults/ID/...     caches
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use vault_proto::ids::VaultId;

use super::StateError;

/// A device's home directory, which exists.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// Makes the directory when it is not there, for its owner only.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn new(path: &Path) -> Result<Self, StateError> {
        make_private(path)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database is.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("state.db")
    }

    /// A vault's own directory, made when it is not there.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn vault_directory(&self, vault: &VaultId) -> Result<PathBuf, StateError> {
        let path = self.path.join("vaults").join(vault.to_string());
        make_private(&path)?;
        Ok(path)
    }

    /// Takes the lock that keeps other processes, and other handles of this
    /// one, from writing to the vault.
    ///
    /// # Errors
    /// [`StateError::VaultBusy`] when somebody holds it; [`StateError::File`].
    pub fn lock_vault(&self, vault: &VaultId) -> Result<VaultLock, StateError> {
        let path = self.vault_directory(vault)?.join("lock");
        match lock(&path)? {
            Some(file) => Ok(VaultLock {
                vault: *vault,
                _file: file,
            }),
            None => Err(StateError::VaultBusy),
        }
    }

    /// Takes the lock that keeps other processes from making or changing the
    /// account.
    ///
    /// # Errors
    /// [`StateError::AccountBusy`] when somebody holds it; [`StateError::File`].
    pub fn lock_account(&self) -> Result<AccountLock, StateError> {
        match lock(&self.path.join("account.lock"))? {
            Some(file) => Ok(AccountLock { _file: file }),
            None => Err(StateError::AccountBusy),
        }
    }
}

/// The right to write to a vault. Ends when it is dropped, or with its process
/// however that dies.
#[derive(Debug)]
pub struct VaultLock {
    vault: VaultId,
    _file: File,
}

impl VaultLock {
    /// The vault.
    #[must_use]
    pub fn vault(&self) -> VaultId {
        self.vault
    }
}

/// The right to make or change the account; ends as a [`VaultLock`] does.
#[derive(Debug)]
pub struct AccountLock {
    _file: File,
}

fn lock(path: &Path) -> Result<Option<File>, StateError> {
    let failed = |source| StateError::File {
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    // A flock ends with the last descriptor. The file itself is
    // never removed, or two processes could hold locks on two files of its name.
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn make_private(path: &Path) -> Result<(), StateError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|source| StateError::File {
        path: path.to_owned(),
        source,
    })
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), StateError> {
    fs::File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| StateError::File {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_a_vault_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(&directory.path().join("a/b")).unwrap();
        let (one, other) = (VaultId::from_array([1; 32]), VaultId::from_array([2; 32]));
        let lock = home.lock_vault(&one).unwrap();
        assert_eq!(lock.vault(), one);
        let busy = home.lock_vault(&one);
        assert!(matches!(busy, Err(StateError::VaultBusy)), "{busy:?}");
        drop(home.lock_vault(&other).unwrap());
        drop(lock);
        drop(home.lock_vault(&one).unwrap());
        let account = home.lock_account().unwrap();
        assert!(matches!(home.lock_account(), Err(StateError::AccountBusy)));
        drop(account);
        home.lock_account().unwrap();
    }
}
