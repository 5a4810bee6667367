//! Members and vaults at a hoster who may be told to attack.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, MutexGuard};

use rusqlite::Connection;
use tempfile::TempDir;
use vault_client::account::{Account, Setup, VaultSelector};
use vault_client::check::{CheckError, CheckReport, Problem};
use vault_client::contents::NamedSnapshot;
use vault_client::error::ErrorCode;
use vault_client::remote::grpc::Pace;
use vault_client::remote::{Credentials, HosterAddress};
use vault_client::restore::{RestoreError, RestoreReport};
use vault_client::vault::{Vault, VaultError};
use vault_core::keys::{DeviceKeys, RecoveryPhrase};
use vault_core::pack::{PackEntry, read_pack_entries};
use vault_proto::ids::PackId;
use vault_server::Tls;

use super::front::{Front, Orders};
use crate::engine::{Files, backed_up, checked, content_of, forget_cache, newest, noise, restored};
use crate::support::hoster::Hoster;
use crate::support::{Other, stored};

/// The file of a restore that did not end.
const MARKER: &str = ".coffre-restore";

/// An honest server, and the front that attacks.
pub(super) struct Hostile {
    pub(super) hoster: Hoster,
    pub(super) front: Front,
}

impl Hostile {
    pub(super) fn start() -> Self {
        Self::before(Hoster::start_with(Tls::BehindProxy))
    }

    pub(super) fn before(hoster: Hoster) -> Self {
        let server = hoster.server_address();
        let front = hoster.tokio().block_on(Front::before(server));
        hoster.relay.lead_to(front.address);
        Self { hoster, front }
    }

    pub(super) fn orders(&self) -> MutexGuard<'_, Orders> {
        self.front.orders()
    }

    pub(super) fn setup(&self, home: &Path) -> Setup {
        self.hoster.setup(home, Pace::default())
    }
}

/// A member with a device, whose paper is at hand.
pub(super) struct Person {
    pub(super) home: TempDir,
    pub(super) account: Account,
    pub(super) phrase: RecoveryPhrase,
    address: HosterAddress,
}

impl Person {
    pub(super) fn at(hostile: &Hostile) -> Self {
        let home = tempfile::tempdir().unwrap();
        let setup = hostile.setup(home.path());
        let invitation = hostile.hoster.invite(1 << 30);
        let (account, phrase) = Account::sign_up(&setup, &invitation, "a laptop").unwrap();
        let address = HosterAddress {
            origin: invitation.origin,
            hoster: invitation.hoster,
            tls: invitation.tls,
        };
        Self {
            home,
            account,
            phrase,
            address,
        }
    }

    /// The paper, as a second writer that does what it is told to.
    pub(super) fn paper(&self, hostile: &Hostile) -> Other {
        self.writer(hostile, self.phrase.device_keys())
    }

    /// Likewise another of this member's devices.
    pub(super) fn writer(&self, hostile: &Hostile, keys: DeviceKeys) -> Other {
        let credentials = Credentials {
            account: self.account.id(),
            device: Arc::new(DeviceKeys::from_secret_bytes(&keys.to_secret_bytes()[..]).unwrap()),
        };
        let setup = hostile.setup(self.home.path());
        Other {
            account: self.account.id(),
            keys,
            remote: setup.connect.connect(self.address.clone(), credentials),
        }
    }

    /// All that the device has stored.
    pub(super) fn stored(&self) -> Vec<String> {
        stored(self.home.path())
    }

    /// Likewise, but for what it has itself made and not seen accepted, and what it knows
    /// of its own files: all that comes from others.
    pub(super) fn believed(&self) -> Vec<String> {
        let own = ["pending_pack: ", "own_pack: ", "signed_commit: "];
        let is_own = |line: &String| {
            own.iter().any(|table| line.starts_with(table)) || line.contains("/stat.db: ")
        };
        let mut lines = self.stored();
        lines.retain(|line| !is_own(line));
        lines
    }

    /// As another process would open it.
    pub(super) fn reopened(&self, hostile: &Hostile) -> Account {
        Account::open(&hostile.setup(self.home.path())).unwrap()
    }
}

/// The member's paper with a state of its own, as a second device that runs the
/// same program; it knows what the first knew when it was made.
pub(super) struct SecondDevice {
    pub(super) home: TempDir,
    pub(super) account: Account,
}

impl SecondDevice {
    pub(super) fn of(person: &Person, hostile: &Hostile) -> Self {
        let home = tempfile::tempdir().unwrap();
        let keys = person.phrase.device_keys();
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let from = person.home.path().join(name);
            if from.exists() {
                fs::copy(from, home.path().join(name)).unwrap();
            }
        }
        let database = Connection::open(home.path().join("state.db")).unwrap();
        let id = keys.id();
        let changed = database.execute("UPDATE account SET device = ?1", [id.as_bytes()]);
        assert_eq!(changed.unwrap(), 1);
        drop(database);
        fs::write(home.path().join("device.key"), *keys.to_secret_bytes()).unwrap();
        let account = Account::open(&hostile.setup(home.path())).unwrap();
        Self { home, account }
    }

    /// Forgets all that was ever verified of a vault, as a machine that has
    /// never seen it.
    pub(super) fn forgets(&self, vault: &Vault) {
        let database = Connection::open(self.home.path().join("state.db")).unwrap();
        let id = vault.id();
        for (table, column) in [("entry", "log"), ("head", "vault")] {
            let delete = format!("DELETE FROM {table} WHERE {column} = ?1");
            database.execute(&delete, [id.as_bytes()]).unwrap();
        }
    }

    pub(super) fn vault(&self) -> Vault {
        self.account.open_vault(&VaultSelector::Only).unwrap()
    }

    pub(super) fn stored(&self) -> Vec<String> {
        stored(self.home.path())
    }
}

/// A member's vault with a backup in it.
pub(super) struct Scene {
    pub(super) hostile: Hostile,
    pub(super) person: Person,
    pub(super) vault: Vault,
    pub(super) files: Files,
    pub(super) snapshot: NamedSnapshot,
}

/// What a restore of everything has given.
pub(super) struct Restored {
    pub(super) result: Result<RestoreReport, RestoreError>,
    pub(super) written: BTreeMap<String, Vec<u8>>,
}

impl Scene {
    /// Small enough for one pack.
    pub(super) fn small() -> Self {
        Self::of(Files::new(&[
            ("letter", noise(1, 3_000)),
            ("photos/one", noise(2, 2_000)),
            ("photos/two", b"two ".repeat(500)),
        ]))
    }

    /// Data in packs of their own.
    pub(super) fn large() -> Self {
        Self::of(Files::many(1, 100, 200_000))
    }

    pub(super) fn of(files: Files) -> Self {
        let hostile = Hostile::start();
        let person = Person::at(&hostile);
        let mut vault = person.account.create_vault("documents").unwrap();
        backed_up(&mut vault, &files).unwrap();
        let snapshot = newest(&vault).unwrap();
        Self {
            hostile,
            person,
            vault,
            files,
            snapshot,
        }
    }

    pub(super) fn front(&self) -> &Front {
        &self.hostile.front
    }

    /// One file more, and another backup.
    pub(super) fn back_up_again(&mut self) {
        let number = self.files.count();
        self.files
            .write(&format!("more-{number}"), &noise(number as u64, 3_000));
        backed_up(&mut self.vault, &self.files).unwrap();
        self.snapshot = newest(&self.vault).unwrap();
    }

    /// The packs of this vault, in the order of their ids, with what they hold.
    pub(super) fn packs(&self) -> Vec<(PackId, Vec<PackEntry>)> {
        let keys = self.vault.keys().unwrap();
        let packs = self.front().packs().into_iter();
        packs
            .filter_map(|(id, bytes)| {
                let entries = (1..=keys.current_epoch())
                    .find_map(|epoch| read_pack_entries(&keys, epoch, &id, &bytes).ok())?;
                Some((id, entries))
            })
            .collect()
    }

    /// Restores everything on a device that has nothing cached. Whatever is
    /// written must be right, and nothing of the device may move.
    pub(super) fn restore(&self) -> Restored {
        forget_cache(&self.vault);
        self.restore_between(|| {}, || {})
    }

    /// Likewise with what is cached, to which something is done before and after.
    pub(super) fn restore_between(&self, before: impl FnOnce(), after: impl FnOnce()) -> Restored {
        let (stored, head) = (self.person.stored(), self.vault.head());
        let target = tempfile::tempdir().unwrap();
        before();
        let result = restored(
            &self.vault,
            &self.snapshot,
            self.files.path(),
            target.path(),
        );
        after();
        assert_eq!(self.person.stored(), stored);
        assert_eq!(self.vault.head(), head);
        let whole = content_of(self.files.path());
        let mut written = content_of(target.path());
        written.retain(|path, _| path != MARKER);
        assert!(written.iter().all(|(path, bytes)| whole[path] == *bytes));
        Restored { result, written }
    }

    /// A restore and a check, both of which stop: the hoster is at fault, and
    /// nothing at all is written.
    pub(super) fn assert_all_refused(&mut self) {
        let Restored { result, written } = self.restore();
        let error = result.expect_err("what the hoster made up was restored");
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert!(!error.is_transient(), "{error}");
        assert_eq!(written.len(), 0);
        match self.check() {
            Err(error) => assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}"),
            Ok(report) => {
                assert!(
                    !report.problems.is_empty(),
                    "the hoster went through a check"
                );
                let hosters = report.problems.iter().all(Problem::is_the_hosters);
                assert!(hosters, "{:?}", report.problems);
            }
        }
    }

    /// A restore that leaves so many files out for the hoster's fault, and
    /// writes the others.
    pub(super) fn assert_restores_all_but(&self, files: usize) {
        let Restored { result, written } = self.restore();
        let report = result.unwrap();
        assert_eq!(report.left_out.len(), files, "{:?}", report.left_out);
        assert_eq!(report.lost_by_hoster, files as u64);
        assert_eq!(written.len() + files, content_of(self.files.path()).len());
    }

    /// A check by a device that has nothing cached.
    pub(super) fn check(&mut self) -> Result<CheckReport, CheckError> {
        forget_cache(&self.vault);
        let stored = self.person.stored();
        let checked = checked(&mut self.vault);
        assert_eq!(self.person.stored(), stored);
        checked
    }

    /// Takes every order back; all is as it was.
    pub(super) fn assert_honest_again(&mut self) {
        self.front().behave();
        self.assert_restores_all_but(0);
        assert_eq!(self.check().unwrap().problems, []);
    }

    /// A refresh that the hoster was told to lie to: the error, after which
    /// neither state nor handle has moved.
    pub(super) fn refused(&mut self) -> VaultError {
        refused(&self.person.home, &mut self.vault)
    }
}

/// A refresh that fails for the hoster's fault and changes nothing.
pub(super) fn refused(home: &TempDir, vault: &mut Vault) -> VaultError {
    let (before, head, root) = (
        stored(home.path()),
        vault.head(),
        vault.root().unwrap().clone(),
    );
    let error = vault.refresh().expect_err("a lie was believed");
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(!error.is_transient(), "{error}");
    assert_eq!(stored(home.path()), before, "{error}");
    assert_eq!((vault.head(), vault.root().unwrap()), (head, &root));
    error
}
