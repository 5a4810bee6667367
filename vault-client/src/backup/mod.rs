//! Backing up.
//!
//! ```text
//! walk ─▶ DirectoryJob ─┬─▶ file savers ─▶ seal pool ─▶ Store ─▶ Outbox ─▶ hoster
//! (and stat cache)      └─▶ TreeBuilder ──────────────▶ Store
//!                                └─▶ Committer: catalog, index, head
//! ```
//!
//! Directories come from the walk each after those in it. Their files are
//! saved by several threads; the tree is built in order. What arrived at the
//! hoster is noted on the device before it is sent, so that a run that is cut
//! short is continued by the next, which sends nothing again.

mod checkpoints;
mod commit;
mod directory_job;
mod error;
mod options;
mod save_file;
mod seal_pool;
mod tree_builder;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use vault_core::{
    catalog::{Catalog, Series, SeriesKind},
    chunker::{ChunkSizes, Chunker},
    snapshot::{SeriesId, Snapshot, SnapshotFields},
    stream::StreamRef,
    timestamp::Timestamp,
};

use self::{
    checkpoints::Checkpoints,
    commit::{Committed, Committer, PACKS_PER_HEAD, adopt_pending},
    directory_job::{DirectoryJob, Inspected, SavedFile, Stop},
    save_file::{FileSaver, ReadBuffer, SaveError},
    seal_pool::SealPool,
    tree_builder::TreeBuilder,
};
pub use self::{
    error::BackupError,
    options::{BackupOptions, BackupReport},
};
use crate::{
    contents::{ContentsError, Opened, others_write, read_catalog},
    files::{NodeKind, OwnerNames, Reason, Roots, StatCache, SystemOwners, Walk, WalkOptions},
    progress::{Cancellation, Meter, ProgressListener, reporting},
    remote::Traffic,
    transfer::{ChunkWorker, Destination, Outbox, Slots, Store, TransferError},
    vault::Vault,
};

/// Threads that read files: more than cores, since they wait for the disk.
const FILE_SAVERS: usize = 3;
/// Of these, how many may be at a file of several chunks, each of which is then
/// sealed on every core.
const LONG_FILES: usize = 2;
/// Files whose saving has been ordered and not begun.
const ORDERED_FILES: usize = 256;
/// How often a backup is begun anew after another device removed packs or began
/// an epoch.
const RESTARTS: usize = 4;
/// Directories between the walk and the tree.
const DIRECTORIES_AHEAD: usize = 64;

/// Backs up into a vault.
///
/// # Errors
/// See [`BackupError`]. What could not be read is no error: it is in
/// [`BackupReport::left_out`].
pub fn back_up(
    vault: &mut Vault,
    options: &BackupOptions,
    listener: &Arc<dyn ProgressListener>,
    cancellation: &Cancellation,
) -> Result<BackupReport, BackupError> {
    let roots = Roots::resolve(&options.paths)?;
    let _lock = vault.lock()?;
    let traffic = vault.remote().traffic();
    let begun = Instant::now();
    vault.prepare()?;
    let mut restarts = 0;
    let mut report = loop {
        let meter = Arc::new(Meter::default());
        let run = reporting(&meter, listener, || {
            Run::new(vault, options, &roots, &meter, cancellation)?.run()
        });
        match run {
            // What was sealed in an epoch that is over is never committed: it
            // is sealed anew. What no other device has touched is not.
            Err(BackupError::Overtaken) if restarts < RESTARTS => {
                restarts += 1;
                vault.prepare()?;
            }
            run => break run?,
        }
    };
    report.traffic = vault.remote().traffic().since(traffic);
    report.elapsed = begun.elapsed();
    Ok(report)
}

/// One backup, under way.
struct Run<'a> {
    options: &'a BackupOptions,
    roots: &'a Roots,
    meter: &'a Arc<Meter>,
    cancellation: &'a Cancellation,
    opened: Opened,
    committer: Committer<'a>,
    checkpoints: Checkpoints,
    stat_cache: Arc<StatCache>,
    list_chunker: Chunker,
    started: Timestamp,
    device_name: String,
    device: vault_proto::ids::DeviceId,
}

/// A file to be saved.
struct FileOrder {
    job: Arc<DirectoryJob>,
    index: usize,
}

impl<'a> Run<'a> {
    fn new(
        vault: &'a mut Vault,
        options: &'a BackupOptions,
        roots: &'a Roots,
        meter: &'a Arc<Meter>,
        cancellation: &'a Cancellation,
    ) -> Result<Self, BackupError> {
        let opened = Opened::open(vault)?;
        let catalog = read_catalog(vault.root()?, &opened.reader)?;
        let device_name = vault.device_name();
        let name = match &options.series {
            Some(name) => name.clone(),
            None => own_series(vault, &opened, &catalog, roots)?,
        };
        let series = series_of(&catalog, name, options, || vault.random())?;
        let metadata_keys = opened.keys.metadata_chunker();
        let list_chunker = Chunker::new(metadata_keys, ChunkSizes::METADATA);
        let stat_cache = Arc::new(StatCache::open(&vault.directory()?.join("stat.db")));
        let unclaimed = if options.dry_run {
            Vec::new()
        } else {
            adopt_pending(vault, &opened)?
        };
        let started = vault.now();
        Ok(Self {
            options,
            roots,
            meter,
            cancellation,
            stat_cache,
            checkpoints: Checkpoints::new(
                options.checkpoint_interval,
                options.checkpoint_bytes,
                started,
            ),
            started,
            device: vault.device(),
            device_name,
            committer: Committer {
                snapshot_chunker: Chunker::new(metadata_keys, ChunkSizes::CATALOG),
                list_chunker: list_chunker.clone(),
                series,
                packs_per_head: options.packs_per_head.clamp(1, PACKS_PER_HEAD),
                unclaimed,
                unclaimed_since: started,
                pack_bytes: 0,
                filler_bytes: 0,
                packs: 0,
                last_removal_seq: vault.root()?.last_removal_seq,
                opened: opened.clone(),
                vault,
            },
            list_chunker,
            opened,
        })
    }

    fn run(mut self) -> Result<BackupReport, BackupError> {
        let outbox = (!self.options.dry_run).then(|| {
            Outbox::open(Destination {
                remote: self.opened.remote.clone(),
                vault: self.committer.vault.id(),
                state: self.committer.vault.state(),
                meter: self.meter.clone(),
                cancellation: self.cancellation.clone(),
            })
        });
        let store = Arc::new(Store::new(
            self.opened.keys.clone(),
            self.opened.index.clone(),
            outbox,
            self.meter.clone(),
            self.committer.series.is_deduplicated(),
            self.committer.vault.randomness(),
        ));
        let stop = Stop::default();
        let result = self.pipeline(&store, &stop);
        match (result, stop.take_failure()) {
            // Which thread noticed first is chance; why it stopped is not.
            (Err(BackupError::Transfer(TransferError::Stopped)), Some(failure)) => {
                Err(failure.into())
            }
            (Err(BackupError::Transfer(TransferError::Stopped)), None) => {
                Err(upload_failure(&store).into())
            }
            (result, _) => result,
        }
    }

    fn pipeline(&mut self, store: &Arc<Store>, stop: &Stop) -> Result<BackupReport, BackupError> {
        let walk = self.walk()?;
        let level = self.options.compression;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let pool = SealPool::start(store, level, threads);
        let long_files = Arc::new(Slots::new(LONG_FILES));
        let data_chunker = Chunker::new(self.opened.keys.file_chunker(), ChunkSizes::FILE_DATA);
        let (order_file, ordered_files) = bounded::<FileOrder>(ORDERED_FILES);
        let (order_directory, ordered_directories) = bounded(DIRECTORIES_AHEAD);
        std::thread::scope(|scope| {
            for _ in 0..FILE_SAVERS {
                let saver = FileSaver {
                    worker: ChunkWorker::new(store.clone(), level),
                    pool: pool.clone(),
                    long_files: Arc::clone(&long_files),
                    data_chunker: data_chunker.clone(),
                    list_chunker: self.list_chunker.clone(),
                    cancellation: self.cancellation.clone(),
                    meter: self.meter.clone(),
                    buffer: ReadBuffer::default(),
                };
                let files = ordered_files.clone();
                scope.spawn(move || save_files(saver, &files, stop));
            }
            drop((pool, ordered_files));
            let cancellation = self.cancellation;
            scope.spawn(move || order(walk, &order_file, &order_directory, stop, cancellation));
            let built = self.build(store, &ordered_directories, stop);
            if built.is_err() {
                stop.set(TransferError::Stopped);
            }
            built
        })
    }

    fn walk(&self) -> Result<Walk<Inspected>, BackupError> {
        let options = WalkOptions {
            excludes: self.options.excludes.clone(),
            one_file_system: self.options.one_file_system,
            ..WalkOptions::default()
        };
        let cache = self.stat_cache.clone();
        let series = *self.committer.series.id().as_bytes();
        let trusted_from = self.committer.last_removal_seq;
        let walk = Walk::start(self.roots, options, move |listed| {
            let cached = cache.load_directory(&series, listed.path);
            // What an older head held may have been removed since.
            let cached = cached.filter(|cached| cached.head_seq() >= trusted_from);
            let comparison = cached.as_ref().map(|cached| cached.compare(listed.listing));
            Inspected { cached, comparison }
        });
        walk.map_err(BackupError::Walk)
    }

    /// Builds the tree, with checkpoints on the way, and commits it.
    fn build(
        &mut self,
        store: &Arc<Store>,
        directories: &Receiver<Arc<DirectoryJob>>,
        stop: &Stop,
    ) -> Result<BackupReport, BackupError> {
        let worker = ChunkWorker::new(store.clone(), self.options.compression);
        let owners = OwnerNames::new(SystemOwners);
        let chunker = self.list_chunker.clone();
        let mut tree = TreeBuilder::new(worker, chunker, owners, self.started, self.meter, stop);
        for directory in directories {
            tree.begin(directory)?;
            while tree.step()? {
                self.commit_if_due(&mut tree)?;
            }
            self.commit_if_due(&mut tree)?;
        }
        if self.cancellation.is_cancelled() {
            return Err(TransferError::Cancelled.into());
        }
        // Without `/` the walk was cut short.
        let root = tree.root().cloned().ok_or(TransferError::Stopped)?;
        let snapshot = if self.options.dry_run {
            None
        } else {
            Some(self.commit(&mut tree, root, true)?.snapshot)
        };
        let totals = tree.totals;
        Ok(BackupReport {
            snapshot,
            series: self.committer.series.name().to_owned(),
            files: totals.files,
            directories: totals.directories,
            others: totals.others,
            bytes: totals.bytes,
            new_bytes: self.meter.read().new_bytes,
            uploaded_bytes: self.committer.pack_bytes,
            filler_bytes: self.committer.filler_bytes,
            packs: self.committer.packs,
            traffic: Traffic::default(),
            elapsed: Duration::ZERO,
            left_out: std::mem::take(&mut tree.left_out),
            pseudo_file_systems: std::mem::take(&mut tree.pseudo),
        })
    }

    /// Commits what is saved so far, when it is time.
    fn commit_if_due(&mut self, tree: &mut TreeBuilder<'_>) -> Result<(), BackupError> {
        let uploaded = self.meter.read().transferred_bytes;
        let now = self.committer.vault.now();
        if self.options.dry_run || !self.checkpoints.are_due(now, uploaded) {
            return Ok(());
        }
        let partial = tree.partial_root()?;
        self.commit(tree, partial, false)?;
        let uploaded = self.meter.read().transferred_bytes;
        self.checkpoints
            .committed(self.committer.vault.now(), uploaded);
        Ok(())
    }

    fn commit(
        &mut self,
        tree: &mut TreeBuilder<'_>,
        root: StreamRef,
        complete: bool,
    ) -> Result<Committed, BackupError> {
        let fields = SnapshotFields {
            series: self.committer.series.id(),
            started: self.started,
            finished: self.committer.vault.now(),
            tree: root,
            paths: self.roots.paths().to_vec(),
            device: self.device,
            device_name: self.device_name.clone(),
            complete,
            totals: tree.totals,
            left_out: tree.left_out.len() as u64,
            program: self.options.program.clone(),
        };
        let committed = self.committer.commit(&mut tree.worker, fields)?;
        // Only now may the next backup rely on what this one stored.
        let records = tree
            .take_records()
            .into_iter()
            .map(|(record, content)| record.finish(&content, committed.head_seq))
            .collect();
        self.stat_cache
            .store(self.committer.series.id().as_bytes(), records);
        Ok(committed)
    }
}

/// Takes directories from the walk and orders their files.
fn order(
    walk: Walk<Inspected>,
    files: &Sender<FileOrder>,
    directories: &Sender<Arc<DirectoryJob>>,
    stop: &Stop,
    cancellation: &Cancellation,
) {
    for visited in walk {
        if cancellation.is_cancelled() {
            stop.set(TransferError::Cancelled);
        }
        if stop.is_set() {
            return;
        }
        let job = Arc::new(DirectoryJob::new(visited));
        if directories.send(job.clone()).is_err() {
            return;
        }
        for (index, entry) in job.visited.listing.iter().enumerate() {
            if entry.stat.kind != NodeKind::File || job.unchanged(index).is_some() {
                continue;
            }
            if files
                .send(FileOrder {
                    job: job.clone(),
                    index,
                })
                .is_err()
            {
                return;
            }
        }
    }
}

/// Saves files until there are no more.
fn save_files(mut saver: FileSaver, files: &Receiver<FileOrder>, stop: &Stop) {
    let owners = OwnerNames::new(SystemOwners);
    for FileOrder { job, index } in files {
        if stop.is_set() {
            return;
        }
        match save_file(&mut saver, &job, index, &owners) {
            Ok(saved) => job.deliver(index, Ok(saved)),
            Err(SaveError::File(reason)) => job.deliver(index, Err(reason)),
            Err(SaveError::Transfer(error)) => {
                stop.set(error);
                return;
            }
        }
    }
}

fn save_file(
    saver: &mut FileSaver,
    job: &DirectoryJob,
    index: usize,
    owners: &OwnerNames,
) -> Result<SavedFile, SaveError> {
    let listing = &job.visited.listing;
    let (Some(directory), Some(entry)) = (job.visited.directory(), listing.entry(index)) else {
        return Err(SaveError::File(Reason::Vanished));
    };
    let file = directory.open_file(entry.name).map_err(SaveError::File)?;
    let metadata = file.metadata(owners);
    let (content, read) = saver.save(file)?;
    Ok(SavedFile {
        content,
        read,
        metadata: metadata.metadata,
        problem: metadata.problem,
    })
}

/// The series of that name, or a new one.
fn series_of(
    catalog: &Catalog,
    name: String,
    options: &BackupOptions,
    id: impl FnOnce() -> [u8; 16],
) -> Result<Series, BackupError> {
    if let Some(series) = catalog.series_by_name(&name) {
        if options.without_deduplication && series.is_deduplicated() {
            return Err(BackupError::Deduplicated(name));
        }
        return Ok(series.clone());
    }
    let series = Series::new(SeriesId::from_array(id()), name, SeriesKind::Backup)?;
    Ok(if options.without_deduplication {
        series.without_deduplication()
    } else {
        series
    })
}

fn upload_failure(store: &Store) -> TransferError {
    let failure = store.outbox().and_then(|outbox| outbox.drain().err());
    failure.unwrap_or(TransferError::Stopped)
}

/// The series that a device goes on with, or begins, where none is named. One of another
/// member's, whose device happens to have the same name, is his.
fn own_series(
    vault: &Vault,
    opened: &Opened,
    catalog: &Catalog,
    roots: &Roots,
) -> Result<String, ContentsError> {
    // A device that gets another name goes on with the same series.
    let device = vault.first_device_name();
    let name = default_series(device, roots);
    let Some(series) = catalog
        .series_by_name(&name)
        .filter(|_| others_write(vault))
    else {
        return Ok(name);
    };
    let newest = catalog.latest_complete(Some(series.id()), &mut opened.reader.clone())?;
    let is_own = |snapshot: Snapshot| vault.own_log().device(&snapshot.fields().device).is_some();
    Ok(match newest.is_none_or(is_own) {
        true => name,
        false => {
            let account = vault.account().to_string();
            default_series(&format!("{device} ({})", &account[..8]), roots)
        }
    })
}

/// `DEVICE:PATH:PATH…`, printable whatever the paths are, and another for other paths.
fn default_series(device_name: &str, roots: &Roots) -> String {
    let mut name = device_name.to_owned();
    for path in roots.paths() {
        name.push(':');
        for chunk in path.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => name.push_str("\\\\"),
                    character if character.is_control() => name.extend(character.escape_default()),
                    character => name.push(character),
                }
            }
            name.extend(chunk.invalid().escape_ascii().map(char::from));
        }
    }
    if name.len() > MAX_SERIES_NAME {
        let hash = blake3::hash(name.as_bytes()).to_hex();
        name = format!("{device_name}:{}", &hash[..32]);
    }
    name
}

/// Longer names of series are cut down to a hash; the catalog's own bound is
/// higher.
const MAX_SERIES_NAME: usize = 1_024;
