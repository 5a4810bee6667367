//! What it costs to catch up: a vault with 10,000 log entries and 100,000 heads
//! since this device last saw it.
//!
//! ```sh
//! cargo bench -p vault-client --bench history
//! ```
//!
//! The hoster is the one in memory, so that what is timed is the device's work:
//! verifying, and storing what was verified. Bytes and memory are printed before.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::print_stdout, reason = "bytes and memory are read, not timed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand_core::CryptoRng;
use tempfile::TempDir;
use vault_client::account::{Account, Setup, VaultSelector};
use vault_client::platform::{Rng, SystemClock, SystemRandomness};
use vault_client::remote::memory::MemoryHoster;
use vault_client::remote::{CommitOutcome, CommitRequest, Remote, SyncAnswer, SyncRequest};
use vault_client::state::FileKeyStore;
use vault_client::vault::Vault;
use vault_core::author::{HeadAuthor, HeadChange, VaultAuthor};
use vault_core::keys::{DeviceKeys, VaultKeys};
use vault_proto::account_log::AccountLog;
use vault_proto::head::SeenHeads;
use vault_proto::ids::{AccountId, PackId, VaultId};
use vault_proto::pack_list::PackList;
use vault_proto::vault_log::{Role, VaultLog};
use vault_proto::wire::{Root, SignedEntry};

const ENTRIES: u64 = 10_000;
const HEADS: u64 = 100_000;
fn setup(home: &Path, hoster: &MemoryHoster) -> Setup {
    Setup {
        home: home.to_owned(),
        keys: Arc::new(FileKeyStore::new(home)),
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness),
        connect: Arc::new(hoster.clone()),
    }
}

/// A device's directory at one time.
struct Past(TempDir);

impl Past {
    fn of(home: &Path) -> Self {
        Self(copy_of(home))
    }

    /// The device as it was then, opened as a new process would.
    fn device(&self, hoster: &MemoryHoster) -> (TempDir, Account) {
        let home = copy_of(self.0.path());
        let account = Account::open(&setup(home.path(), hoster)).expect("it was open before");
        (home, account)
    }
}

fn copy_of(home: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("there is a temporary directory");
    for file in fs::read_dir(home).expect("a device's directory") {
        let file = file.expect("a device's directory");
        if file.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::copy(file.path(), copy.path().join(file.file_name())).expect("room for a copy");
        }
    }
    copy
}

/// The member's paper, which writes the vault's history and keeps in memory what
/// it needs for that.
struct Writer {
    account: AccountId,
    device: DeviceKeys,
    remote: Arc<dyn Remote>,
    accounts: BTreeMap<AccountId, AccountLog>,
    log: VaultLog,
    keys: Arc<VaultKeys>,
    seen: SeenHeads,
    root: Root,
}

impl Writer {
    fn commit(&mut self, rng: &mut impl CryptoRng) {
        let none = PackList::from_unordered(Vec::<PackId>::new()).expect("nothing twice");
        let author = HeadAuthor {
            vault_log: &self.log,
            accounts: &self.accounts,
            seen: &self.seen,
            keys: &self.keys,
            account: self.account,
            device: &self.device,
        };
        let change = HeadChange {
            root: &self.root,
            adds: &none,
            removes: &none,
            reconciled: None,
        };
        let commit = author.commit(change, rng).expect("paper may write");
        let request = CommitRequest {
            head: commit.head.to_bytes().to_vec(),
            root: commit.sealed_root,
            adds: Vec::new(),
            removes: Vec::new(),
        };
        let outcome = self.remote.commit_head(&request).expect("it is valid");
        assert_eq!(outcome, CommitOutcome::Accepted);
        self.seen = commit.head.seen().clone();
    }

    fn append(&mut self, write: impl FnOnce(&VaultAuthor<'_>, &VaultKeys) -> SignedEntry) {
        let author = VaultAuthor {
            log: &self.log,
            accounts: &self.accounts,
            head: self.seen.newest(),
            account: self.account,
            device: &self.device,
        };
        let entry = write(&author, &self.keys);
        let vault = self.log.id();
        let sent = self.remote.append_vault_entry(&vault, &entry);
        sent.expect("it is valid");
        self.log
            .append(&entry, &self.accounts)
            .expect("it is valid");
    }
}

/// A vault with a long history, and the one device at three times: before it
/// began, when all entries and no heads were there, and without any vault.
struct Scene {
    hoster: MemoryHoster,
    vault: VaultId,
    remote: Arc<dyn Remote>,
    accounts: Vec<(AccountId, u64)>,
    knows_entries: Past,
    knows_nothing: Past,
    head_seq: u64,
}

impl Scene {
    fn new() -> Self {
        let hoster = MemoryHoster::new();
        let home = tempfile::tempdir().expect("there is a temporary directory");
        let invitation = hoster.invite();
        let signed_up = Account::sign_up(&setup(home.path(), &hoster), &invitation, "a laptop");
        let (account, phrase) = signed_up.expect("an invitation");
        let friends_home = tempfile::tempdir().expect("there is a temporary directory");
        let friend = setup(friends_home.path(), &hoster);
        let friend = Account::sign_up(&friend, &hoster.invite(), "a friend's");
        let friend = friend.expect("an invitation").0.id();
        let remote = hoster.remote(account.id(), &phrase.device_keys());

        // A device that has paired or recovered knows the vault's name, no more.
        let knows_nothing = Past::of(home.path());
        let vault = account.create_vault("documents").expect("a new name");
        let mut writer = writer(&hoster, &account, phrase.device_keys(), &vault, friend);
        let mut rng = Rng::new(Arc::new(SystemRandomness));
        writer.commit(&mut rng);
        let add = |author: &VaultAuthor<'_>, keys: &VaultKeys| {
            let mut rng = Rng::new(Arc::new(SystemRandomness));
            author
                .add_member(keys, &friend, Role::Reader, &mut rng)
                .expect("the owner may")
        };
        writer.append(add);
        for number in writer.log.position().seq..ENTRIES {
            let role = [Role::Writer, Role::Reader][usize::try_from(number % 2).unwrap_or(0)];
            writer.append(|author, _| author.change_role(&friend, role).expect("the owner may"));
        }
        let mut seen = account
            .open_vault(&VaultSelector::Id(vault.id()))
            .expect("it is there");
        seen.refresh().expect("an honest hoster");
        let head_seq = seen.head().map_or(0, |head| head.seq);
        let knows_entries = Past::of(home.path());
        drop(seen);
        for _ in 0..HEADS {
            writer.commit(&mut rng);
            if writer.seen.position().is_some_and(|at| at.seq % 1_000 == 0) {
                hoster.forget_calls();
            }
        }
        let accounts = writer.accounts.iter();
        let accounts = accounts
            .map(|(id, log)| (*id, log.position().seq))
            .collect();
        Self {
            hoster,
            vault: vault.id(),
            remote,
            accounts,
            knows_entries,
            knows_nothing,
            head_seq,
        }
    }
}

fn writer(
    hoster: &MemoryHoster,
    account: &Account,
    device: DeviceKeys,
    vault: &Vault,
    friend: AccountId,
) -> Writer {
    let remote = hoster.remote(account.id(), &device);
    let answer = remote.sync_vault(&SyncRequest {
        vault: vault.id(),
        vault_log_seq: 0,
        head_seq: 0,
        accounts: Vec::new(),
        without_root: true,
        until_head_seq: 0,
    });
    let entries = answer.expect("an honest hoster").accounts;
    let friends = hoster.visitor().fetch_account_log(&friend, 0);
    let friends = friends.expect("an honest hoster").entries;
    let accounts = entries
        .into_iter()
        .chain([(friend, friends)])
        .map(|(id, entries)| (id, account_log(&entries)));
    Writer {
        account: account.id(),
        device,
        remote,
        accounts: accounts.collect(),
        log: vault.log().clone(),
        keys: vault.keys().unwrap(),
        seen: SeenHeads::none(),
        root: vault.root().unwrap().clone(),
    }
}

fn account_log(entries: &[SignedEntry]) -> AccountLog {
    let (genesis, rest) = entries.split_first().expect("a log begins");
    let mut log = AccountLog::verify_genesis(genesis).expect("it is valid");
    for entry in rest {
        log.append(entry).expect("it is valid");
    }
    log
}

/// As the programs do: what the device has stored is read and verified again,
/// then the hoster is asked for what is new.
fn catch_up(account: &Account) -> Vault {
    let selector = VaultSelector::Name("documents".to_owned());
    let mut vault = account.open_vault(&selector).expect("it is there");
    vault.refresh().expect("an honest hoster");
    assert_eq!(vault.log().position().seq, ENTRIES);
    assert!(vault.head().is_some_and(|head| head.seq > HEADS));
    vault
}

/// Bytes of an answer, without gRPC's and TLS's frames.
fn wire_bytes(answer: &SyncAnswer) -> usize {
    let entries = answer.accounts.iter().flat_map(|(_, entries)| entries);
    let entries = entries.chain(&answer.vault_entries);
    let entries = entries.map(prost::Message::encoded_len).sum::<usize>();
    entries + answer.heads.iter().map(Vec::len).sum::<usize>() + answer.root.len()
}

/// A line of `/proc/self/status`, in MiB.
fn memory(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1_024.0
}

fn print_costs(scene: &Scene, what: &str, past: &Past, head_seq: u64, knows_entries: bool) {
    let request = SyncRequest {
        vault: scene.vault,
        vault_log_seq: if knows_entries { ENTRIES } else { 0 },
        head_seq,
        accounts: if knows_entries {
            scene.accounts.clone()
        } else {
            Vec::new()
        },
        without_root: false,
        until_head_seq: 0,
    };
    let answer = scene.remote.sync_vault(&request).expect("an honest hoster");
    let (_home, account) = past.device(&scene.hoster);
    // The most from here on; where the system does not allow that, the most ever.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS");
    let vault = catch_up(&account);
    println!(
        "{what}: {} entries, {} heads of {HEADS}, {:.3} MB on the wire, {:.1} MiB more memory at most",
        answer.vault_entries.len(),
        answer.heads.len(),
        wire_bytes(&answer) as f64 / 1e6,
        memory("VmHWM") - before,
    );
    drop(vault);
}

fn history(c: &mut Criterion) {
    let scene = Scene::new();
    println!(
        "{:.0} MiB are the hoster's and the history's",
        memory("VmRSS")
    );
    let devices = [
        (
            "all entries known, the heads new",
            &scene.knows_entries,
            scene.head_seq,
            true,
        ),
        ("nothing known", &scene.knows_nothing, 0, false),
    ];
    let mut group = c.benchmark_group("10,000 entries and 100,000 heads");
    group.sample_size(10);
    for (what, past, head_seq, knows_entries) in devices {
        print_costs(&scene, what, past, head_seq, knows_entries);
        group.bench_function(what, |b| {
            b.iter_batched_ref(
                || past.device(&scene.hoster),
                |(_, account)| catch_up(account),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, history);
criterion_main!(benches);
