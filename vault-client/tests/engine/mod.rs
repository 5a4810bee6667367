//! Whole backups, restores and checks, over a hoster in memory.

mod account_back;
mod broken;
mod changing;
mod checkpoints;
mod collusion;
pub(crate) mod common;
pub(crate) mod forger;
mod hostile;
mod interrupted;
mod joining;
mod lies;
mod links_back;
mod lost_entries;
mod races;
mod readers;
mod reconcile;
mod recovery;
mod restoring;
mod second_device;
mod untrue;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;
use vault_client::account::{Account, VaultSelector};
use vault_client::backup::{BackupError, BackupOptions, BackupReport, back_up};
use vault_client::check::{CheckError, CheckReport, ReadData, check};
use vault_client::contents::{Contents, ContentsError, NamedSnapshot};
use vault_client::progress::{Cancellation, NoProgress, ProgressListener};
use vault_client::remote::memory::MemoryHoster;
use vault_client::remote::{
    CommitOutcome, CommitRequest, Connect, Credentials, HeadNews, HosterAddress, LinkStatus,
    LinkTicket, LogAnswer, NewLink, OpenedLink, PackRange, Presence, PutOutcome, Remote,
    RemoteError, SyncAnswer, SyncRequest, Traffic, Usage, Visitor,
};
use vault_client::restore::{RestoreError, RestoreOptions, RestoreReport, restore};
use vault_client::vault::Vault;
use vault_proto::ids::{AccountId, DeviceId, LinkId, MessageName, OfferHash, PackId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::origin::Origin;
use vault_proto::wire::{SignedEntry, VaultKind};

use crate::support::{Member, setup};

/// Bytes that neither compress nor repeat.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Files on the disk, gone at the end.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        for (path, content) in files {
            made.write(path, content);
        }
        made
    }

    /// Many files of `length` bytes, each of one chunk, over a few directories.
    pub(crate) fn many(seed: u64, count: usize, length: usize) -> Self {
        let made = Self::new(&[]);
        for number in 0..count {
            let content = noise(seed * 1_000_003 + number as u64, length);
            made.write(&format!("{}/{number}", number % 4), &content);
        }
        made
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn count(&self) -> usize {
        content_of(self.path()).len()
    }

    /// Without checkpoints for the time that passes: the clock of these tests goes a
    /// second each time that it is looked at.
    pub(crate) fn options(&self) -> BackupOptions {
        let mut options = BackupOptions::new(vec![self.path().to_owned()]);
        options.checkpoint_interval = Duration::MAX;
        options
    }
}

pub(crate) fn silent() -> Arc<dyn ProgressListener> {
    Arc::new(NoProgress)
}

pub(crate) fn backed_up(vault: &mut Vault, files: &Files) -> Result<BackupReport, BackupError> {
    back_up(vault, &files.options(), &silent(), &Cancellation::new())
}

pub(crate) fn checked(vault: &mut Vault) -> Result<CheckReport, CheckError> {
    check(vault, ReadData::Everything, &silent(), &Cancellation::new())
}

/// A check that finds nothing.
pub(crate) fn assert_whole(vault: &mut Vault) {
    let report = checked(vault).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.read_packs, report.packs);
}

pub(crate) fn snapshots(vault: &Vault) -> Vec<NamedSnapshot> {
    Contents::open(vault).unwrap().snapshots(None).unwrap()
}

pub(crate) fn restored(
    vault: &Vault,
    snapshot: &NamedSnapshot,
    path: &Path,
    target: &Path,
) -> Result<RestoreReport, RestoreError> {
    restored_with(vault, snapshot, path, target, &RestoreOptions::default())
}

pub(crate) fn restored_with(
    vault: &Vault,
    snapshot: &NamedSnapshot,
    path: &Path,
    target: &Path,
    options: &RestoreOptions,
) -> Result<RestoreReport, RestoreError> {
    let path = path.as_os_str().as_bytes();
    restore(
        vault,
        snapshot,
        path,
        target,
        options,
        &silent(),
        &Cancellation::new(),
    )
}

/// Restores a snapshot of `files` and compares.
pub(crate) fn assert_restores(vault: &Vault, snapshot: &NamedSnapshot, files: &Files) {
    let target = tempfile::tempdir().unwrap();
    let report = restored(vault, snapshot, files.path(), target.path()).unwrap();
    assert_eq!(report.left_out, []);
    assert_eq!(content_of(target.path()), content_of(files.path()));
}

/// Every file below a directory with its bytes; symlinks by their target.
pub(crate) fn content_of(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fn collect(root: &Path, at: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                collect(root, &path, found);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.insert(name, target.as_os_str().as_bytes().to_vec());
            } else if kind.is_file() {
                found.insert(name, fs::read(&path).unwrap());
            } else {
                found.insert(name, Vec::new());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(directory, directory, &mut found);
    found
}

/// The device forgets what it has cached: whatever it needs, it has to ask for.
pub(crate) fn forget_cache(vault: &Vault) {
    let directory = vault.directory().unwrap();
    for name in ["packs", "index"] {
        match fs::remove_dir_all(directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

/// The newest snapshot, by a device that has nothing cached.
pub(crate) fn newest(vault: &Vault) -> Result<NamedSnapshot, ContentsError> {
    forget_cache(vault);
    Contents::open(vault)?.snapshot("latest", None)
}

/// The member's paper device, with a state of its own, as a second device that
/// runs the same program.
pub(crate) struct SecondDevice {
    _home: TempDir,
    account: Account,
}

impl SecondDevice {
    pub(crate) fn of(member: &Member) -> Self {
        Self::dialling(member, member.hoster.clone())
    }

    fn dialling(member: &Member, connect: impl Connect) -> Self {
        let home = tempfile::tempdir().unwrap();
        let keys = member.phrase.device_keys();
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let from = member.home.path().join(name);
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
        let account = Account::open(&setup(home.path(), connect)).unwrap();
        Self {
            _home: home,
            account,
        }
    }

    pub(crate) fn vault(&self) -> Vault {
        self.account.open_vault(&VaultSelector::Only).unwrap()
    }
}

/// Something that happens at the hoster, before or after a call of a device.
type Happening = Arc<dyn Fn(Event) + Send + Sync>;

/// A call that a device is about to make, or that has just come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    BeforeAny,
    BeforePut,
    AfterPut(PackId),
    BeforeCommit,
}

/// The way to a hoster on which something happens.
#[derive(Clone)]
struct Eventful {
    hoster: MemoryHoster,
    happening: Arc<Mutex<Option<Happening>>>,
}

impl Eventful {
    fn new(hoster: &MemoryHoster) -> Self {
        Self {
            hoster: hoster.clone(),
            happening: Arc::default(),
        }
    }

    fn on(&self, happening: impl Fn(Event) + Send + Sync + 'static) {
        *self.happening.lock().unwrap() = Some(Arc::new(happening));
    }

    fn quiet(&self) {
        *self.happening.lock().unwrap() = None;
    }

    fn tell(&self, event: Event) {
        // Not under the lock: what happens may call the hoster itself.
        let happening = self.happening.lock().unwrap().clone();
        if let Some(happening) = happening {
            happening(event);
        }
    }
}

impl Connect for Eventful {
    fn connect(&self, address: HosterAddress, credentials: Credentials) -> Arc<dyn Remote> {
        Arc::new(EventfulRemote {
            inner: self.hoster.connect(address, credentials),
            events: self.clone(),
        })
    }

    fn visit(&self, address: HosterAddress) -> Arc<dyn Visitor> {
        self.hoster.visit(address)
    }

    fn discover(&self, origin: &Origin) -> Result<(HosterAddress, Arc<dyn Visitor>), RemoteError> {
        self.hoster.discover(origin)
    }
}

struct EventfulRemote {
    inner: Arc<dyn Remote>,
    events: Eventful,
}

impl Remote for EventfulRemote {
    fn create_account(
        &self,
        invitation: &InvitationSecret,
        genesis: &SignedEntry,
    ) -> Result<u64, RemoteError> {
        self.inner.create_account(invitation, genesis)
    }

    fn append_account_entry(&self, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.inner.append_account_entry(entry)
    }

    fn create_vault(&self, genesis: &SignedEntry) -> Result<(), RemoteError> {
        self.inner.create_vault(genesis)
    }

    fn append_vault_entry(&self, vault: &VaultId, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.inner.append_vault_entry(vault, entry)
    }

    fn list_vaults(&self) -> Result<Vec<(VaultId, VaultKind)>, RemoteError> {
        self.inner.list_vaults()
    }

    fn sync_vault(&self, request: &SyncRequest) -> Result<SyncAnswer, RemoteError> {
        self.events.tell(Event::BeforeAny);
        self.inner.sync_vault(request)
    }

    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Presence>, RemoteError> {
        self.events.tell(Event::BeforeAny);
        self.inner.have_packs(vault, packs)
    }

    fn put_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError> {
        self.events.tell(Event::BeforePut);
        let put = self.inner.put_pack(vault, pack, bytes)?;
        self.events.tell(Event::AfterPut(*pack));
        Ok(put)
    }

    fn read_packs(
        &self,
        vault: &VaultId,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        self.events.tell(Event::BeforeAny);
        self.inner.read_packs(vault, ranges, deliver)
    }

    fn commit_head(&self, request: &CommitRequest) -> Result<CommitOutcome, RemoteError> {
        self.events.tell(Event::BeforeCommit);
        self.inner.commit_head(request)
    }

    fn usage(&self) -> Result<Usage, RemoteError> {
        self.inner.usage()
    }

    fn watch_heads(
        &self,
        vaults: &[VaultId],
        deliver: &mut dyn FnMut(HeadNews) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        self.inner.watch_heads(vaults, deliver)
    }

    fn list_offers(&self) -> Result<Vec<Vec<u8>>, RemoteError> {
        self.inner.list_offers()
    }

    fn drop_offer(&self, offer: &OfferHash) -> Result<(), RemoteError> {
        self.inner.drop_offer(offer)
    }

    fn create_link(&self, link: &NewLink) -> Result<(), RemoteError> {
        self.inner.create_link(link)
    }

    fn list_links(&self, vault: &VaultId) -> Result<Vec<LinkStatus>, RemoteError> {
        self.inner.list_links(vault)
    }

    fn revoke_link(&self, vault: &VaultId, link: &LinkId) -> Result<(), RemoteError> {
        self.inner.revoke_link(vault, link)
    }
}

impl Visitor for EventfulRemote {
    fn find_account(&self, device: &DeviceId) -> Result<Option<AccountId>, RemoteError> {
        self.inner.find_account(device)
    }

    fn fetch_account_log(&self, account: &AccountId, known: u64) -> Result<LogAnswer, RemoteError> {
        self.inner.fetch_account_log(account, known)
    }

    fn put_account_log(
        &self,
        account: &AccountId,
        entries: &[SignedEntry],
    ) -> Result<u64, RemoteError> {
        self.inner.put_account_log(account, entries)
    }

    fn put_message(&self, name: &MessageName, message: &[u8]) -> Result<(), RemoteError> {
        self.inner.put_message(name, message)
    }

    fn await_message(
        &self,
        name: &MessageName,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        self.inner.await_message(name, wait)
    }

    fn put_offer(&self, account: &AccountId, offer: &[u8]) -> Result<(), RemoteError> {
        self.inner.put_offer(account, offer)
    }

    fn open_link(&self, link: &LinkId) -> Result<OpenedLink, RemoteError> {
        self.inner.open_link(link)
    }

    fn read_link(
        &self,
        ticket: &LinkTicket,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        self.inner.read_link(ticket, ranges, deliver)
    }

    fn interrupt(&self) {
        self.inner.interrupt();
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }
}
