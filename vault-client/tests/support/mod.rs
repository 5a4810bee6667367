//! Devices, hosters, and a look at what a device has stored.

pub(crate) mod hoster;
mod machine;
pub(crate) mod other;
pub(crate) mod relay;
mod settings;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use rusqlite::Connection;
use tempfile::TempDir;
use vault_client::account::{Account, Setup};
use vault_client::platform::{Clock, SystemRandomness};
use vault_client::remote::Connect;
use vault_client::remote::RemoteError;
use vault_client::remote::memory::MemoryHoster;
use vault_client::state::FileKeyStore;
use vault_client::vault::{CommitPlan, Vault};
use vault_core::index::sorted::SortedSegment;
use vault_core::keys::RecoveryPhrase;
use vault_proto::ids::PackId;
use vault_proto::wire::Root;

pub(crate) use machine::Machine;
pub(crate) use other::{Other, forge, rng};

/// A clock that goes one second each time somebody looks, and is far ahead:
/// files that a test has just written are old enough to be believed unchanged.
#[derive(Default)]
pub(crate) struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn unix_nanoseconds(&self) -> i128 {
        let seconds = 4_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed);
        i128::from(seconds) * 1_000_000_000
    }
}

/// What a device at `home` runs on.
pub(crate) fn setup(home: &Path, connect: impl Connect) -> Setup {
    Setup {
        home: home.to_owned(),
        keys: Arc::new(FileKeyStore::new(home)),
        clock: Arc::new(Ticking::default()),
        randomness: Arc::new(SystemRandomness),
        connect: Arc::new(connect),
    }
}

/// A member with a device, at a hoster in memory.
pub(crate) struct Member {
    pub(crate) home: TempDir,
    pub(crate) hoster: MemoryHoster,
    pub(crate) account: Account,
    pub(crate) phrase: RecoveryPhrase,
}

impl Member {
    pub(crate) fn new() -> Self {
        Self::at(&MemoryHoster::new())
    }

    pub(crate) fn at(hoster: &MemoryHoster) -> Self {
        let home = tempfile::tempdir().unwrap();
        let setup = setup(home.path(), hoster.clone());
        let (account, phrase) = Account::sign_up(&setup, &hoster.invite(), "a laptop").unwrap();
        Self {
            home,
            hoster: hoster.clone(),
            account,
            phrase,
        }
    }

    /// With a vault, in which one head stands.
    pub(crate) fn with_vault() -> (Self, Vault) {
        let member = Self::new();
        let mut vault = member.account.create_vault("documents").unwrap();
        commit(&mut vault);
        (member, vault)
    }

    /// The same device, as another process would open it; at another hoster if
    /// wanted.
    pub(crate) fn reopened_at(&self, hoster: &MemoryHoster) -> Account {
        Account::open(&setup(self.home.path(), hoster.clone())).unwrap()
    }

    pub(crate) fn reopened(&self) -> Account {
        self.reopened_at(&self.hoster)
    }

    /// The member's paper device, as a second writer.
    pub(crate) fn paper(&self) -> Other {
        Other::new(&self.hoster, self.account.id(), self.phrase.device_keys())
    }

    /// All that the device has stored.
    pub(crate) fn stored(&self) -> Vec<String> {
        stored(self.home.path())
    }
}

/// All that a device has stored but for what it can fetch again: the rows of its
/// databases, and every other file by its hash. What it has fetched is looked at: no
/// cached pack is another than its name says, and no cached segment.
pub(crate) fn stored(home: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    store_directory(home, home, &mut lines);
    lines.sort();
    lines
}

fn store_directory(home: &Path, directory: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let at = path.strip_prefix(home).unwrap().display();
        match name {
            "packs" => assert_packs_are_right(&path),
            "index" => assert_segments_are_right(&path),
            "state.db" => lines.extend(rows_of(&path)),
            "stat.db" => lines.extend(rows_of(&path).map(|row| format!("{at}: {row}"))),
            // Of the databases, whose rows are there; and empty files.
            _ if name.ends_with("-wal") || name.ends_with("-shm") => {}
            "lock" | "account.lock" => assert_eq!(fs::read(&path).unwrap(), b""),
            _ if path.is_dir() => store_directory(home, &path, lines),
            _ => lines.push(format!("{at}: {}", blake3::hash(&fs::read(&path).unwrap()))),
        }
    }
}

/// Files named by the hash of what is in them.
fn assert_packs_are_right(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let id = PackId::of(&fs::read(&path).unwrap()).to_string();
        assert_eq!(path.file_name().unwrap().to_str(), Some(&id[..]));
    }
}

/// Files that say of which sealed segment they are made, and are named so.
fn assert_segments_are_right(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let segment = SortedSegment::open(bytes.len() as u64, |at, buffer: &mut [u8]| {
            let start = usize::try_from(at).map_err(drop)?;
            let found = bytes.get(start..start + buffer.len()).ok_or(())?;
            buffer.copy_from_slice(found);
            Ok::<_, ()>(())
        });
        let name = HEXLOWER.encode(segment.unwrap().name());
        assert_eq!(path.file_name().unwrap().to_str(), Some(&name[..]));
    }
}

/// Every row of every table of a database.
fn rows_of(database: &Path) -> impl Iterator<Item = String> + use<> {
    let database = Connection::open(database).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = database.prepare(tables).unwrap();
    let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut lines = Vec::new();
    for name in names.map(Result::unwrap) {
        let mut rows = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = rows.column_count();
        let found = rows
            .query_map([], |row| {
                let values = (0..columns).map(|i| format!("{:?}", row.get_ref(i).unwrap()));
                Ok(format!(
                    "{name}: {}",
                    values.collect::<Vec<_>>().join(" | ")
                ))
            })
            .unwrap();
        lines.extend(found.map(Result::unwrap));
    }
    lines.into_iter()
}

/// A pack as the hoster sees it: random bytes.
pub(crate) fn pack(vault: &Vault) -> (PackId, Bytes) {
    let bytes = Bytes::from(vault.random::<16_384>().to_vec());
    (PackId::of(&bytes), bytes)
}

/// Uploads a pack.
pub(crate) fn put_pack(vault: &Vault) -> PackId {
    let (id, bytes) = pack(vault);
    vault.remote().put_pack(&vault.id(), &id, bytes).unwrap();
    id
}

/// A commit that adds `adds` and notes the time.
pub(crate) fn plan(vault: &Vault, adds: Vec<PackId>) -> CommitPlan {
    CommitPlan {
        root: Root {
            committed: Some(vault.now().to_wire()),
            pack_count: vault.root().unwrap().pack_count + adds.len() as u64,
            ..vault.root().unwrap().clone()
        },
        adds,
        removes: Vec::new(),
    }
}

/// Commits a pack; it must succeed.
pub(crate) fn commit(vault: &mut Vault) {
    use vault_client::vault::CommitResult;
    let adds = vec![put_pack(vault)];
    let result = vault.commit(plan(vault, adds)).unwrap();
    assert_eq!(result, CommitResult::Committed(vault.head().unwrap()));
}

pub(crate) fn line_lost() -> RemoteError {
    RemoteError::Unreachable {
        detail: "the line was lost".into(),
    }
}
