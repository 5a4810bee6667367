//! The embedded store: packs in and out, existence checks, and commits.
//!
//! ```sh
//! cargo bench -p vault-server --bench store
//! ```
//!
//! On the disk that cargo's target directory is on, fsyncs included. What is read is
//! in the page cache.
#![allow(missing_docs, reason = "criterion's macros")]

use std::{
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use vault_proto::{
    ids::{AccountId, DeviceId, HeadHash, PackId, VaultId},
    position::HeadPosition,
    wire::VaultKind,
};
use vault_server::{
    clock::UnixTime,
    store::{
        AccountCreation, Begun, Blob, Commit, DiskReserve, HeadCommit, Invitation, InvitationHash,
        Ledger, NewAccount, NewVault, Packs, Presence, QuotaRoom, Terms, VaultCreation,
        embedded::{self, DirectoryLock, RealDisk},
    },
};

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
const VAULT: VaultId = VaultId::from_array([2; 32]);
const DEVICE: DeviceId = DeviceId::from_array([3; 32]);

/// The smallest pack, which is a row of the database, and the largest, a file.
const SMALL: usize = 16 << 10;
const LARGE: usize = 16 << 20;
/// What a reader asks for at least.
const RANGE: usize = 64 << 10;
/// As a message of an upload brings them.
const PIECE: usize = 256 << 10;
/// Packs in one existence check.
const ASKED: usize = 1_000;

/// A store with one vault.
struct Store {
    packs: Arc<Packs>,
    ledger: Arc<dyn Ledger>,
    /// What all packs so far were made from: none comes twice.
    made: AtomicU64,
    _directory: TempDir,
}

impl Store {
    fn open() -> Self {
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = tempfile::tempdir_in(beside).expect("cargo's directory is writable");
        let (lock, _) = DirectoryLock::acquire(directory.path()).expect("nobody else has it");
        let store = embedded::open(directory.path(), lock, Terms::default(), Arc::new(RealDisk));
        let store = store.expect("a new directory");
        let ledger: Arc<dyn Ledger> = Arc::new(store.ledger);
        let blobs = Arc::new(store.blobs);
        let packs = Packs::new(ledger.clone(), blobs, DiskReserve::default());
        make_vault(&*ledger);
        Self {
            packs: Arc::new(packs),
            ledger,
            made: AtomicU64::new(0),
            _directory: directory,
        }
    }

    /// A pack that was never made before.
    fn make(&self, length: usize) -> (PackId, Vec<u8>) {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut bytes = vec![0; length];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&number.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        (PackId::of(&bytes), bytes)
    }

    fn put(&self, pack: PackId, bytes: &[u8]) {
        let blob = blob(pack, bytes.len());
        let begun = self.packs.begin(&blob, QuotaRoom::Plain, NOW);
        let Begun::Upload(mut upload) = begun.expect("there is room") else {
            panic!("the pack is new");
        };
        for piece in bytes.chunks(PIECE) {
            upload.write(piece).expect("there is room");
        }
        upload.finish(NOW).expect("they are the pack's bytes");
    }

    fn put_new(&self, length: usize) -> PackId {
        let (pack, bytes) = self.make(length);
        self.put(pack, &bytes);
        pack
    }

    fn commit(&self, seq: u64, adds: &[PackId]) {
        let commit = self.ledger.commit_head(&HeadCommit {
            vault: VAULT,
            previous: (seq > 1).then(|| position(seq - 1)),
            head: position(seq),
            log_seq: 1,
            device: DEVICE,
            signed: &[7; 456],
            root: &[8; 4096],
            adds,
            removes: &[],
            now: NOW,
        });
        assert_eq!(commit.expect("the disk takes it"), Commit::Accepted);
    }
}

fn make_vault(ledger: &dyn Ledger) {
    let account = AccountId::from_array([1; 32]);
    let hash = InvitationHash([1; 32]);
    let invitation = Invitation {
        quota_bytes: 1 << 50,
        label: "a bench".to_owned(),
        expires: NOW.plus(Duration::from_secs(3_600)),
        used_by: None,
    };
    ledger
        .add_invitation(&hash, &invitation)
        .expect("a new store");
    let created = ledger.create_account(&NewAccount {
        invitation: hash,
        id: account,
        genesis: &[1; 100],
        devices: &[DEVICE],
        now: NOW,
    });
    assert!(matches!(created, Ok(AccountCreation::Created { .. })));
    let created = ledger.create_vault(&NewVault {
        id: VAULT,
        kind: VaultKind::Storage,
        creator: account,
        genesis: &[2; 100],
    });
    assert!(matches!(created, Ok(VaultCreation::Created)));
}

fn blob(pack: PackId, length: usize) -> Blob {
    Blob {
        vault: VAULT,
        pack,
        size: u32::try_from(length).expect("a pack is at most 16 MiB"),
    }
}

fn position(seq: u64) -> HeadPosition {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&seq.to_le_bytes());
    HeadPosition {
        seq,
        hash: HeadHash::from_array(hash),
    }
}

fn put(c: &mut Criterion) {
    let store = Store::open();
    let mut group = c.benchmark_group("store: put a pack");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_secs(1));
    for (name, length) in [("16 KiB", SMALL), ("16 MiB", LARGE)] {
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                || store.make(length),
                |(pack, bytes)| {
                    store.put(pack, &bytes);
                    bytes
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let store = Store::open();
    let mut group = c.benchmark_group("store: read of a pack");
    for (name, length, range) in [
        ("16 KiB, all of it", SMALL, SMALL),
        ("16 MiB, 64 KiB of it", LARGE, RANGE),
    ] {
        let blob = blob(store.put_new(length), length);
        let places = (length / range) as u64;
        let (mut turn, mut bytes) = (0_u64, vec![0; range]);
        group.throughput(Throughput::Bytes(range as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                // Every place in turn, far from the one before.
                turn = (turn + 97) % places;
                let offset = u32::try_from(turn * range as u64).expect("inside a pack");
                let read = store.packs.read(&blob, offset, &mut bytes);
                read.expect("it was put");
                black_box(&bytes);
            });
        });
    }
    group.finish();
}

/// Half of those that are asked for are there.
fn have(c: &mut Criterion) {
    let store = Store::open();
    let asked: Vec<_> = (0..ASKED)
        .map(|number| match number % 2 {
            0 => store.put_new(SMALL),
            _ => store.make(SMALL).0,
        })
        .collect();
    let mut group = c.benchmark_group("store: existence checks");
    group.throughput(Throughput::Elements(ASKED as u64));
    group.bench_function("1,000 packs", |b| {
        b.iter(|| {
            let there = store.packs.have(&VAULT, &asked, NOW);
            let there = there.expect("the ledger answers");
            assert_eq!(
                there.iter().filter(|at| **at == Presence::There).count(),
                ASKED / 2
            );
        });
    });
    group.finish();
}

/// With its synced write.
fn commit(c: &mut Criterion) {
    let store = Store::open();
    let mut seq = 0;
    let mut group = c.benchmark_group("store: commit a head");
    group
        .sample_size(20)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_secs(1));
    for adds in [1, 100] {
        group.bench_function(format!("that adds {adds} of 16 KiB"), |b| {
            b.iter_batched(
                || {
                    seq += 1;
                    let mut packs: Vec<_> = (0..adds).map(|_| store.put_new(SMALL)).collect();
                    packs.sort();
                    (seq, packs)
                },
                |(seq, packs)| store.commit(seq, &packs),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, put, read, have, commit);
criterion_main!(benches);
