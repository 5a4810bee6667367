//! A second computer of a member, with keys and a state of its own.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;
use vault_client::account::{Account, VaultSelector};
use vault_client::remote::Connect;
use vault_client::vault::Vault;
use vault_core::keys::DeviceKeys;

use super::{Member, Other, rng, setup};

/// A second computer of a member.
pub(crate) struct Machine {
    pub(crate) home: TempDir,
    pub(crate) account: Account,
}

impl Machine {
    /// Adds one to the account. It knows which vaults there are.
    pub(crate) fn of(member: &Member, name: &'static str) -> Self {
        Self::dialling(member, name, member.hoster.clone())
    }

    pub(crate) fn dialling(member: &Member, name: &'static str, connect: impl Connect) -> Self {
        Self::added_by(&member.paper(), member, name, connect)
    }

    /// Likewise, and this device has signed that it is in.
    pub(crate) fn added_by(
        author: &Other,
        member: &Member,
        name: &'static str,
        connect: impl Connect,
    ) -> Self {
        let keys = DeviceKeys::generate(&mut rng());
        author.add_device(&keys, name);
        let home = tempfile::tempdir().unwrap();
        copy_state(member.home.path(), home.path(), &keys);
        let account = Account::open(&setup(home.path(), connect)).unwrap();
        Self { home, account }
    }

    pub(crate) fn vault(&self) -> Vault {
        self.account.open_vault(&VaultSelector::Only).unwrap()
    }

    /// As a device that signs what it is told to.
    pub(crate) fn other(&self, member: &Member) -> Other {
        let secret = fs::read(self.home.path().join("device.key")).unwrap();
        let keys = DeviceKeys::from_secret_bytes(&secret).unwrap();
        Other::new(&member.hoster, member.account.id(), keys)
    }
}

fn copy_state(from: &Path, to: &Path, keys: &DeviceKeys) {
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    let database = Connection::open(to.join("state.db")).unwrap();
    let id = keys.id();
    let changed = database.execute("UPDATE account SET device = ?1", [id.as_bytes()]);
    assert_eq!(changed.unwrap(), 1);
    // It sees for itself what the hoster has.
    for table in ["head", "entry", "vault_account", "brought"] {
        let forgotten = database.execute(&format!("DELETE FROM {table}"), []);
        forgotten.unwrap();
    }
    fs::write(to.join("device.key"), *keys.to_secret_bytes()).unwrap();
}
