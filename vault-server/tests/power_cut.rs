//! The power goes at any moment: what was not fsynced by then is gone.
//!
//! A workload runs on a disk that keeps track of what is durable. At many
//! moments a copy is made of what a power cut would leave: files that were not
//! fsynced are empty, names whose directory was not fsynced are gone, and the
//! ledger's log ends where it was last synced. On each copy the store opens,
//! holds every head that had been acknowledged, and every pack its ledger
//! speaks of, whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use vault_proto::{
    ids::{AccountId, DeviceId, HeadHash, PackId, VaultId},
    position::HeadPosition,
    wire::VaultKind,
};
use vault_server::{
    clock::UnixTime,
    store::{
        Begun, Blob, BlobStore, Commit, DiskReserve, HeadCommit, Invitation, InvitationHash,
        Ledger, LinkCreation, LinkId, NewAccount, NewLink, NewVault, PackState, Packs, QuotaRoom,
        Terms,
        embedded::{self, DirectoryLock, Disk},
    },
};

use crate::support::{Done, WatchedDisk};

const ACCOUNT: AccountId = AccountId::from_array([1; 32]);
const VAULT: VaultId = VaultId::from_array([2; 32]);
const KIB: usize = 1 << 10;

/// What is durable, and the copies.
struct PowerCuts {
    data: PathBuf,
    copies: PathBuf,
    /// Files whose bytes were fsynced, by the names they have now.
    whole: BTreeSet<PathBuf>,
    /// Names of files and directories that were made and not fsynced.
    shaky: BTreeSet<PathBuf>,
    /// How much of each of the ledger's logs is durable.
    logs: BTreeMap<PathBuf, u64>,
    steps: usize,
    every: usize,
    acknowledged: u64,
    /// For each copy, the newest head that had been acknowledged.
    cut: Vec<(PathBuf, u64)>,
}

impl PowerCuts {
    fn done(&mut self, done: &Done) -> io::Result<()> {
        match done {
            Done::Created(path) | Done::CreatedDirectory(path) => {
                self.shaky.insert(path.clone());
            }
            Done::Wrote(path) => {
                self.whole.remove(path);
            }
            Done::SyncedFile(path) => {
                self.whole.insert(path.clone());
            }
            Done::Renamed(from, to) => {
                if self.whole.remove(from) {
                    self.whole.insert(to.clone());
                }
                self.shaky.remove(from);
                self.shaky.insert(to.clone());
            }
            Done::SyncedDirectory(path) => {
                self.shaky.retain(|name| name.parent() != Some(path));
            }
            Done::Deleted(path) => {
                // It may be back after a power cut; these tests let it go, as a
                // file that nobody knows is the harmless case.
                self.whole.remove(path);
                self.shaky.remove(path);
            }
            Done::SyncedLedger => {
                for entry in fs::read_dir(self.data.join("ledger"))? {
                    let entry = entry?;
                    self.logs.insert(entry.path(), entry.metadata()?.len());
                }
            }
            Done::WroteLedger | Done::Acknowledged => {}
        }
        self.steps += 1;
        if self.steps.is_multiple_of(self.every) {
            self.cut()?;
        }
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        let copy = self.copies.join(self.steps.to_string());
        let data = self.data.clone();
        self.copy(&data, &copy)?;
        self.cut.push((copy, self.acknowledged));
        Ok(())
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let path = entry?.path();
            let to = to.join(path.file_name().unwrap());
            if self.shaky.contains(&path) {
                continue;
            }
            if path.is_dir() {
                self.copy(&path, &to)?;
                continue;
            }
            // RocksDB may delete one of its files meanwhile.
            match fs::copy(&path, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                copied => copied?,
            };
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            let length = if is_log {
                self.logs.get(&path).copied().unwrap_or(0)
            } else if path.starts_with(self.data.join("blobs")) && !self.whole.contains(&path) {
                0
            } else {
                continue;
            };
            fs::OpenOptions::new()
                .write(true)
                .open(&to)?
                .set_len(length)?;
        }
        Ok(())
    }
}

fn open(data: &Path, disk: Arc<dyn Disk>) -> (Arc<dyn Ledger>, Arc<dyn BlobStore>, Arc<Packs>) {
    let (lock, _) = DirectoryLock::acquire(data).unwrap();
    let store = embedded::open(data, lock, Terms::default(), disk).unwrap();
    let (ledger, blobs) = (Arc::new(store.ledger), Arc::new(store.blobs));
    let reserve = DiskReserve {
        bytes: 0,
        percent: 0,
    };
    let packs = Packs::new(ledger.clone(), blobs.clone(), reserve);
    (ledger, blobs, Arc::new(packs))
}

/// Numbers that are random enough, and the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A link to a pack that head `seq` added, for half a year.
fn link(seq: u64, capsule: PackId, now: UnixTime) -> NewLink<'static> {
    NewLink {
        id: LinkId([seq as u8; 32]),
        vault: VAULT,
        log_seq: 1,
        account: ACCOUNT,
        device: DeviceId::from_array([1; 32]),
        account_seq: 1,
        capsule,
        packs: &[],
        digest: [0; 32],
        expires: Some(UnixTime::from_seconds(now.seconds() + 180 * 24 * 60 * 60)),
        max_downloads: 0,
        now,
    }
}

/// Uploads, commits, links, removals and sweeps over four months.
fn work(ledger: &dyn Ledger, packs: &Arc<Packs>, seed: u64, acknowledge: impl Fn(u64)) {
    let mut dice = Dice(seed);
    let mut now = UnixTime::from_seconds(1_800_000_000);
    let hash = InvitationHash([0; 32]);
    let invitation = Invitation {
        quota_bytes: u64::MAX,
        label: String::new(),
        expires: UnixTime::from_seconds(u64::MAX),
        used_by: None,
    };
    ledger.add_invitation(&hash, &invitation).unwrap();
    let account = NewAccount {
        invitation: hash,
        id: ACCOUNT,
        genesis: &[],
        devices: &[],
        now,
    };
    let _ = ledger.create_account(&account).unwrap();
    let vault = NewVault {
        id: VAULT,
        kind: VaultKind::Storage,
        creator: ACCOUNT,
        genesis: &[],
    };
    let _ = ledger.create_vault(&vault).unwrap();
    let mut uploaded: Vec<PackId> = Vec::new();
    let mut committed: Vec<PackId> = Vec::new();
    let mut newest: Option<HeadPosition> = None;
    for _ in 0..60 {
        match dice.roll(8) {
            0..=4 => {
                // Few enough that some come again, from the trash or after it.
                let number = dice.roll(24);
                let size = (16 * KIB) << (number % 6);
                let bytes = vec![number as u8; size];
                let blob = Blob {
                    vault: VAULT,
                    pack: PackId::of(&bytes),
                    size: size as u32,
                };
                if let Begun::Upload(mut upload) =
                    packs.begin(&blob, QuotaRoom::Plain, now).unwrap()
                {
                    upload.write(&bytes).unwrap();
                    upload.finish(now).unwrap();
                }
                uploaded.push(blob.pack);
            }
            5 | 6 => {
                let removed = committed.len() * dice.roll(2) as usize / 3;
                let mut removes: Vec<_> = committed.drain(..removed).collect();
                let mut adds = std::mem::take(&mut uploaded);
                adds.sort();
                adds.dedup();
                removes.retain(|pack| !adds.contains(pack));
                removes.sort();
                let seq = newest.map_or(1, |newest| newest.seq + 1);
                let head = HeadPosition {
                    seq,
                    hash: HeadHash::from_array([seq as u8; 32]),
                };
                let commit = HeadCommit {
                    vault: VAULT,
                    previous: newest,
                    head,
                    log_seq: 1,
                    device: DeviceId::from_array([0; 32]),
                    signed: &[1; 456],
                    root: &[2; 4096],
                    adds: &adds,
                    removes: &removes,
                    now,
                };
                match ledger.commit_head(&commit).unwrap() {
                    Commit::Accepted => {
                        if let Some(capsule) = adds.first() {
                            let linked = ledger.create_link(&link(seq, *capsule, now)).unwrap();
                            assert_eq!(linked, LinkCreation::Created);
                        }
                        acknowledge(seq);
                        newest = Some(head);
                        committed.extend(adds);
                        committed.sort();
                        committed.dedup();
                    }
                    Commit::Missing(missing) => {
                        adds.retain(|pack| !missing.contains(pack));
                        uploaded = adds;
                        committed.extend(removes);
                    }
                    other => panic!("{other:?}"),
                }
            }
            _ => {
                now = UnixTime::from_seconds(now.seconds() + 10 * 24 * 60 * 60);
                packs.sweep(now).unwrap();
            }
        }
    }
}

fn survives(seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let cuts = Arc::new(Mutex::new(PowerCuts {
        copies: directory.path().join("copies"),
        whole: BTreeSet::new(),
        shaky: BTreeSet::new(),
        logs: BTreeMap::new(),
        steps: 0,
        every: 7,
        acknowledged: 0,
        cut: Vec::new(),
        data: data.clone(),
    }));
    let watching = Arc::clone(&cuts);
    let disk = WatchedDisk::new(|_| Ok(()), move |done| watching.lock().unwrap().done(done));
    let (ledger, blobs, packs) = open(&data, Arc::new(disk));
    work(&*ledger, &packs, seed, |seq| {
        cuts.lock().unwrap().acknowledged = seq
    });
    drop((ledger, blobs, packs));
    let cuts = cuts.lock().unwrap();
    assert!(cuts.cut.len() > 20, "{} cuts", cuts.cut.len());
    for (copy, acknowledged) in &cuts.cut {
        check(copy, *acknowledged);
    }
}

fn adds_nothing(ledger: &dyn Ledger, seq: u64) -> bool {
    let head = ledger.head(&VAULT, seq).unwrap();
    head.is_some_and(|head| head.added_packs == 0)
}

fn check(copy: &Path, acknowledged: u64) {
    let (ledger, blobs, packs) = open(copy, Arc::new(embedded::RealDisk));
    let Some(vault) = ledger.vault(&VAULT).unwrap() else {
        assert_eq!(acknowledged, 0, "{}", copy.display());
        return;
    };
    assert!(vault.head_seq() >= acknowledged, "{}", copy.display());
    for seq in 1..=vault.head_seq() {
        assert!(ledger.head(&VAULT, seq).unwrap().is_some());
    }
    let mut known = Vec::new();
    let mut visit = |vault: &VaultId, pack: &PackId, record: &vault_server::store::Pack| {
        if !matches!(record.state, PackState::Doomed { .. }) {
            known.push(Blob {
                vault: *vault,
                pack: *pack,
                size: record.size,
            });
        }
        Ok(())
    };
    ledger.visit_packs(None, &mut visit).unwrap();
    for blob in &known {
        blobs.verify(blob).unwrap_or_else(|error| {
            panic!("{}: {blob:?}: {error}", copy.display());
        });
    }
    // The links of those heads are there, and what they name.
    let links = ledger.links_of(&VAULT).unwrap();
    for seq in 1..=acknowledged {
        let linked = links.iter().any(|link| link.id == LinkId([seq as u8; 32]));
        assert!(linked || adds_nothing(&*ledger, seq), "{}", copy.display());
    }
    for link in &links {
        let record = ledger.packs(&VAULT, &[link.capsule]).unwrap()[0];
        let there = record.is_some_and(|record| record.is_there());
        assert!(there, "{}: {link:?}", copy.display());
        let blocks = ledger.link_blocks(link, &[link.capsule]).unwrap();
        assert!(blocks[0].is_some(), "{}: {link:?}", copy.display());
    }
    let reconciled = packs.reconcile(&AtomicBool::new(false)).unwrap();
    assert_eq!(reconciled.lost, 0, "{}", copy.display());
    // The sum that the quota goes by is that of the packs.
    let usage = ledger.account(&ACCOUNT).unwrap().unwrap().usage;
    let sum: u64 = known.iter().map(|blob| u64::from(blob.size)).sum();
    assert_eq!(usage.charged_bytes() + usage.trash_bytes, sum);
}

#[test]
fn nothing_acknowledged_is_lost_whenever_the_power_goes() {
    for seed in [0x5eed, 0xc0ff_e123, 0x1234_5678_9abc] {
        survives(seed);
    }
}
