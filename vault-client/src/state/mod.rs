//! What a device remembers: its account, the logs and heads that it has
//! verified, what it has signed and not yet seen accepted, and the packs that
//! it is uploading.
//!
//! Everything in here was verified before it was written, and nothing is
//! written before all that came with it is verified: an error leaves the state
//! as it was. Any number of processes may share it; a write that is built on a
//! state which another process has since moved is refused ([`Advanced::Stale`])
//! and built anew.

mod account;
mod error;
mod freshness;
mod heads;
mod home;
mod hosters;
mod joining;
mod keys;
mod logs;
mod lost;
mod pending;
mod schema;
mod shown;
mod signed_entries;
mod vaults;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub(crate) use account::AccountRow;
pub use error::StateError;
pub(crate) use freshness::Witness;
pub(crate) use heads::{Advanced, Progress, StoredHead};
pub use home::{AccountLock, Home, VaultLock};
pub(crate) use joining::{JoiningRow, JoiningWay, ToldRow};
pub use keys::{FileKeyStore, KeySlot, KeyStore};
pub(crate) use logs::NewEntries;
pub(crate) use lost::TurnTo;
pub use pending::PendingPack;
pub(crate) use shown::ShownDevices;
pub(crate) use vaults::VaultRow;

/// The device's database. Calls are short and block each other.
pub struct State {
    home: Home,
    database: Mutex<Connection>,
}

/// Whether a transaction must survive a power cut before the call returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// It must: something is sent, or believed, on the strength of it.
    Durable,
    /// It need not: losing it costs work, not safety. It survives the death of
    /// the process all the same.
    Lazy,
}

impl State {
    /// Opens the database in a home directory, or makes it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(home: &Path) -> Result<Self, StateError> {
        let home = Home::new(home)?;
        let path = home.database();
        make_private_file(&path)?;
        let mut database = Connection::open(&path)?;
        // Processes wait for each other's short writes, not for ever.
        database.busy_timeout(Duration::from_secs(30))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.pragma_update(None, "foreign_keys", "ON")?;
        schema::migrate(&mut database)?;
        Ok(Self {
            home,
            database: Mutex::new(database),
        })
    }

    /// The directory that the state is in.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction has rolled it back.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut database = self.lock();
        let level = match durability {
            Durability::Durable => "FULL",
            Durability::Lazy => "NORMAL",
        };
        database.pragma_update(None, "synchronous", level)?;
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut database = self.lock();
        let transaction = database.transaction()?;
        work(&transaction)
    }

    /// Every row of every table, as text, to compare states in tests.
    #[cfg(test)]
    pub(crate) fn dump(&self) -> Vec<String> {
        schema::dump(&self.lock())
    }
}

/// `SQLite` makes its files with the process's mask; the database's own mode is
/// what it gives the others.
fn make_private_file(path: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(StateError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A column of exactly `N` bytes.
fn array<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], StateError> {
    bytes.try_into().map_err(|_| StateError::Damaged(what))
}

/// A count or position; `SQLite` has signed integers only.
fn unsigned(value: i64, what: &'static str) -> Result<u64, StateError> {
    u64::try_from(value).map_err(|_| StateError::Damaged(what))
}

fn signed(value: u64) -> Result<i64, StateError> {
    i64::try_from(value).map_err(|_| StateError::Damaged("a number too large to keep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_private_and_opens_again() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("home");
        let state = State::open(&home).unwrap();
        let second = State::open(&home).unwrap();
        assert_eq!(state.dump(), second.dump());
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let mode = std::fs::metadata(home.join(name)).unwrap().permissions();
            assert_eq!(mode.mode() & 0o077, 0, "{name}");
        }
    }
}
