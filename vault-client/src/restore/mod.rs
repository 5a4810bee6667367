//! Restoring.
//!
//! ```text
//! snapshot ─▶ Planner: directories, names of files ─▶ Gathering of wanted chunks
//!     ─▶ Batch: all that is wanted of some packs ─▶ fetchers (their ranges)
//!     ─▶ writers (open, check, write) ─▶ target
//! ```
//!
//! Every chunk is opened under the id that the verified tree names before a
//! byte of it is written. What cannot be had or written is reported, and the
//! rest goes on; a file of which a chunk is missing is not left behind.

mod batch;
mod error;
pub(crate) mod file_work;
mod room;
pub(crate) mod tally;
mod verify;

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use vault_core::{
    index::IndexEntry,
    seal::{Decompressor, Plaintext},
    stream::StreamRef,
    tree::{Metadata, Node, NodeContent, Step, Walk},
};
use vault_proto::ids::PackId;

pub use self::error::RestoreError;
use self::{
    batch::{Batch, Gathering, WantedChunk},
    file_work::{FileWork, Links},
    tally::Tally,
    verify::Verification,
};
use crate::{
    contents::{Contents, ContentsError, NamedSnapshot},
    error::ErrorCode,
    files::{FilePlacement, LeftOut, PlaceOptions, Placed, Reason, Target, TargetDirectory},
    progress::{Cancellation, Meter, ProgressListener, count, reporting},
    remote::Traffic,
    transfer::TransferError,
    vault::Vault,
};

/// Calls to the hoster at once: one is on the line while the other begins.
const FETCHERS: usize = 2;
/// Groups of sealed chunks that wait for a writer.
const WAITING_GROUPS: usize = 8;
/// Sealed bytes of a group: handing over many small chunks one by one would cost
/// more than opening them. A larger chunk goes alone.
const GROUP_BYTES: usize = 256 << 10;
/// After so many bytes the target's file system is told to bring onto the disk
/// what it has, so that little is left to wait for in the end.
const SYNC_EVERY_BYTES: u64 = 64 << 20;

/// How to restore.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// What to do where something stands, whose owners to set, and so on.
    pub place: PlaceOptions,
    /// Reads every file again, also those that were there already, and compares
    /// its contents with the snapshot's: not its metadata. What differs is left
    /// out, as [`Reason::Different`](crate::files::Reason::Different).
    pub verify: bool,
}

/// What a restore did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Files written.
    pub files: u64,
    /// Their bytes, holes left out.
    pub bytes: u64,
    /// Directories made or entered.
    pub directories: u64,
    /// Symlinks and whatever else was made.
    pub others: u64,
    /// Files that stood there and stayed.
    pub kept: u64,
    /// Files read again and found equal.
    pub verified: u64,
    /// Files that did not get their set-user-id or set-group-id bit or
    /// capabilities.
    pub dropped_privileges: u64,
    /// What was not restored, or not as it was saved.
    pub left_out: Vec<LeftOut>,
    /// How many of those are the hoster's doing: chunks that it does not have,
    /// or that are not what was stored.
    pub lost_by_hoster: u64,
    /// Packs that the hoster does not have as they were stored, and of which chunks
    /// were restored all the same: this device had kept them, or another pack holds
    /// them too.
    pub missed_packs: u64,
    /// What passed over the network.
    pub traffic: Traffic,
    /// How long it took.
    pub elapsed: Duration,
}

/// Restores what is at `path` in a snapshot: the content of a directory goes
/// directly into `target`, a file by its name.
///
/// # Errors
/// See [`RestoreError`]. What could not be restored while the rest could is no
/// error: it is in [`RestoreReport::left_out`].
pub fn restore(
    vault: &Vault,
    snapshot: &NamedSnapshot,
    path: &[u8],
    target: &Path,
    options: &RestoreOptions,
    listener: &Arc<dyn ProgressListener>,
    cancellation: &Cancellation,
) -> Result<RestoreReport, RestoreError> {
    let begun = Instant::now();
    let traffic = vault.remote().traffic();
    let contents = Contents::open(vault)?;
    let node = contents.node(&snapshot.snapshot, path)?;
    let meter = Meter::default();
    let totals = snapshot.snapshot.fields().totals;
    if node.is_none() {
        // To verify is to go through all of it once more.
        let times = if options.verify { 2 } else { 1 };
        count(&meter.total_files, totals.files * times);
        count(&meter.total_bytes, totals.bytes * times);
    }
    let mut report = reporting(&meter, listener, || {
        let run = Run {
            contents: &contents,
            tree: snapshot.snapshot.tree(),
            total_bytes: totals.bytes,
            meter: &meter,
            cancellation,
            tally: Tally::new(&meter),
            missed: Mutex::default(),
            links: Links::default(),
        };
        run.restore(node.as_ref(), target, options)
    })?;
    report.traffic = vault.remote().traffic().since(traffic);
    report.elapsed = begun.elapsed();
    Ok(report)
}

/// One restore, under way; shared by its threads.
struct Run<'a> {
    contents: &'a Contents,
    tree: &'a StreamRef,
    /// Of all files of the snapshot.
    total_bytes: u64,
    meter: &'a Meter,
    cancellation: &'a Cancellation,
    tally: Tally<'a>,
    /// Packs that the hoster has lost, and that were not needed.
    missed: Mutex<HashSet<PackId>>,
    links: Links,
}

impl Run<'_> {
    fn restore(
        self,
        node: Option<&Node>,
        path: &Path,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, RestoreError> {
        let target = Target::open(path, options.place.clone())?;
        if let Err(error) = self.ask_for_room(node, &target, path) {
            // Nothing was begun: what an earlier restore left is still to be
            // finished, and otherwise there is nothing to be told.
            if !target.was_interrupted() {
                target.finish()?;
            }
            return Err(error);
        }
        // A target that is dropped unfinished says so to the next restore, which
        // finishes or removes what is there.
        self.write(node, &target)?;
        let finished = target.finish()?;
        let Self {
            contents,
            tree,
            meter,
            cancellation,
            tally,
            missed,
            ..
        } = self;
        let counted = tally.into_counted();
        let missed = missed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = RestoreReport {
            files: counted.files,
            bytes: counted.bytes,
            directories: counted.directories,
            others: counted.others,
            kept: counted.kept,
            lost_by_hoster: counted.lost_by_hoster,
            left_out: counted.left_out,
            missed_packs: missed.len() as u64,
            dropped_privileges: finished.dropped_privileges,
            ..RestoreReport::default()
        };
        report.left_out.extend(finished.left_out);
        if options.verify {
            let mut verification = Verification {
                contents,
                meter,
                cancellation,
                report: &mut report,
            };
            verification.run(node, tree, path)?;
        }
        Ok(report)
    }

    fn write(&self, node: Option<&Node>, target: &Target) -> Result<(), RestoreError> {
        // The next is being collected while these are fetched.
        let (send_batch, batches) = bounded::<Batch>(0);
        let (send_group, groups) = bounded::<Vec<Fetched>>(WAITING_GROUPS);
        let (sync, syncs) = bounded(1);
        let failure = Mutex::new(None);
        let writers = std::thread::available_parallelism().map_or(2, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..FETCHERS {
                let (batches, send_group) = (batches.clone(), send_group.clone());
                let failure = &failure;
                scope.spawn(move || {
                    if let Err(error) = self.fetch_all(&batches, send_group) {
                        keep_first(failure, error);
                    }
                });
            }
            for _ in 0..writers {
                let (groups, sync, failure) = (groups.clone(), sync.clone(), &failure);
                scope.spawn(move || {
                    if let Err(error) = self.write_all(&groups, &sync) {
                        keep_first(failure, error);
                    }
                });
            }
            let sync_failure = &failure;
            scope.spawn(move || {
                for () in syncs {
                    // An error is told once: it must not be lost here.
                    if let Err(error) = target.sync() {
                        keep_first(sync_failure, error.into());
                        return;
                    }
                }
            });
            drop((batches, groups, send_group, sync));
            if let Err(error) = self.plan(node, target, send_batch) {
                keep_first(&failure, error);
            }
        });
        failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(Ok(()), Err)
    }

    /// Makes directories and the names of files, and hands over what is wanted.
    fn plan(
        &self,
        node: Option<&Node>,
        target: &Target,
        batches: Sender<Batch>,
    ) -> Result<(), RestoreError> {
        let mut wanted = Gathering::new(self.contents, batches);
        let root = target.root();
        let tree = match node {
            None => self.tree,
            Some(node) => match node.directory() {
                Some(directory) => directory,
                None => {
                    self.place(node, &root, &mut wanted)?;
                    return Ok(wanted.finish()?);
                }
            },
        };
        let mut source = self.contents.opened().reader.clone();
        let mut walk = Walk::new(tree);
        let mut open: Vec<TargetDirectory> = vec![root];
        while let Some(step) = walk.next(&mut source).map_err(ContentsError::from)? {
            if self.cancellation.is_cancelled() {
                return Err(TransferError::Cancelled.into());
            }
            let Some(directory) = open.last() else { break };
            match step {
                Step::Leave(node) => {
                    if let Some(directory) = open.pop() {
                        directory.finish(node.metadata());
                    }
                }
                Step::Node(node) if node.directory().is_some() => {
                    match directory.make_directory(node.name()) {
                        Ok(made) => {
                            self.tally.counted().directories += 1;
                            open.push(made);
                        }
                        Err(reason) => {
                            walk.skip();
                            self.leave_out(directory.path_of(node.name()), reason)?;
                        }
                    }
                }
                Step::Node(node) => {
                    let directory = directory.clone();
                    self.place(&node, &directory, &mut wanted)?;
                }
            }
        }
        wanted.finish()?;
        if let (Some(node), Some(root)) = (node, open.pop()) {
            root.finish(node.metadata());
        }
        Ok(())
    }

    /// Makes a node that is no directory, or orders its content.
    fn place(
        &self,
        node: &Node,
        directory: &TargetDirectory,
        wanted: &mut Gathering,
    ) -> Result<(), RestoreError> {
        // Two nodes that claim to be one file and differ are two files.
        let unlinked;
        let node = if self.links.agrees(node) {
            node
        } else {
            let Ok(plain) = without_link(node) else {
                return Ok(());
            };
            unlinked = plain;
            &unlinked
        };
        let NodeContent::File { content, holes, .. } = node.content() else {
            return match directory.make_other(node) {
                Ok(Placed::Made) => {
                    self.tally.counted().others += 1;
                    Ok(())
                }
                Ok(_) => {
                    self.tally.counted().kept += 1;
                    Ok(())
                }
                Err(reason) => self.leave_out(directory.path_of(node.name()), reason),
            };
        };
        match directory.plan_file(node) {
            Ok(FilePlacement::Write(planned)) => {
                let metadata: Metadata = node.metadata().clone();
                let work = Arc::new(FileWork::new(planned, metadata, holes.clone()));
                match wanted.add(&work, content) {
                    Ok(()) => {}
                    Err(error) if error.is_lasting() => {
                        return Ok(self.tally.lose(work, why_lost(&error))?);
                    }
                    Err(error) => return Err(error.into()),
                }
                Ok(self.tally.settle(work)?)
            }
            Ok(FilePlacement::Kept { .. }) => {
                count(&self.meter.files, 1);
                count(&self.meter.bytes, content.length());
                self.tally.counted().kept += 1;
                Ok(())
            }
            Ok(_) => {
                count(&self.meter.files, 1);
                self.tally.counted().files += 1;
                Ok(())
            }
            Err(reason) => self.leave_out(directory.path_of(node.name()), reason),
        }
    }

    fn fetch_all(
        &self,
        batches: &Receiver<Batch>,
        groups: Sender<Vec<Fetched>>,
    ) -> Result<(), RestoreError> {
        let mut arrived = Arrived::new(groups);
        for mut batch in batches {
            let reader = &self.contents.opened().reader;
            let mut wanted = Vec::new();
            for entry in batch.entries() {
                // With metadata in one pack, which the walk has read.
                match reader.kept(&entry) {
                    Some(sealed) => {
                        if let Some(wanted) = batch.take(&entry.id) {
                            arrived.add(Fetched { wanted, sealed })?;
                        }
                    }
                    None => wanted.push(entry),
                }
            }
            let read = reader.read_many(&wanted, &mut |entry, sealed| {
                count(&self.meter.transferred_bytes, sealed.len() as u64);
                match batch.take(&entry.id) {
                    Some(wanted) => arrived.add(Fetched { wanted, sealed }),
                    None => Ok(()),
                }
            });
            match read {
                Ok(()) => arrived.add_lost(&mut batch, &wanted)?,
                Err(error) if error.is_lasting() => self.fetch_each(batch, &mut arrived)?,
                Err(error) => return Err(error.into()),
            }
            // The next batch may be long in coming.
            arrived.hand_over()?;
        }
        Ok(())
    }

    /// After a batch failed for good: one pack after the other, so that one
    /// that is lost takes no file with it that does not need it.
    fn fetch_each(&self, mut batch: Batch, arrived: &mut Arrived) -> Result<(), RestoreError> {
        for entries in batch.entries_by_pack() {
            let reader = &self.contents.opened().reader;
            let read =
                reader.read_many(&entries, &mut |entry, sealed| match batch.take(&entry.id) {
                    Some(wanted) => arrived.add(Fetched { wanted, sealed }),
                    None => Ok(()),
                });
            match read {
                Err(error) if !error.is_lasting() => return Err(error.into()),
                _ => arrived.add_lost(&mut batch, &entries)?,
            }
        }
        Ok(())
    }

    fn write_all(
        &self,
        groups: &Receiver<Vec<Fetched>>,
        sync: &Sender<()>,
    ) -> Result<(), RestoreError> {
        let mut decompressor = Decompressor::default();
        let mut unsynced_bytes = 0;
        for fetched in groups.iter().flatten() {
            if self.cancellation.is_cancelled() {
                return Err(TransferError::Cancelled.into());
            }
            unsynced_bytes += self.write_one(fetched, &mut decompressor)?;
            if unsynced_bytes >= SYNC_EVERY_BYTES {
                unsynced_bytes = 0;
                // Full: it is about to.
                let _ = sync.try_send(());
            }
        }
        Ok(())
    }

    /// Opens a chunk and writes it wherever it is wanted; gives the bytes that
    /// were written.
    fn write_one(
        &self,
        fetched: Fetched,
        decompressor: &mut Decompressor,
    ) -> Result<u64, RestoreError> {
        let Fetched { wanted, sealed } = fetched;
        let reader = &self.contents.opened().reader;
        let opened = reader
            .open(&wanted.entry, sealed, decompressor)
            .or_else(|_| self.find_elsewhere(&wanted.entry));
        let plaintext = match opened {
            Ok(plaintext) => plaintext,
            Err(error) if error.is_lasting() => {
                self.lose(wanted, why_lost(&error))?;
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        let mut written = 0;
        for place in wanted.places {
            if plaintext.len() == place.length as usize {
                place.work.write(place.position, &plaintext);
                count(&self.meter.bytes, plaintext.len() as u64);
                written += plaintext.len() as u64;
            } else {
                // The member's device that wrote the file's list lied.
                place.work.fail(Reason::Incomplete);
            }
            self.tally.settle(place.work)?;
        }
        Ok(written)
    }

    /// Looks for a chunk that the hoster has not sent, or sent wrong: on this device,
    /// or at another of its places. That it was found does not hide what was lost.
    fn find_elsewhere(&self, entry: &IndexEntry) -> Result<Plaintext, TransferError> {
        let reader = &self.contents.opened().reader;
        let found = reader.read(entry.kind, &entry.id)?;
        if reader.has_lost(entry)? {
            let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
            missed.insert(entry.pack);
        }
        Ok(Plaintext::from(found))
    }

    /// A chunk that is not to be had takes its files with it.
    fn lose(&self, wanted: WantedChunk, reason: Reason) -> Result<(), RestoreError> {
        for place in wanted.places {
            self.tally.lose(place.work, reason)?;
        }
        Ok(())
    }

    fn leave_out(&self, path: Vec<u8>, reason: Reason) -> Result<(), RestoreError> {
        Ok(self.tally.leave_out(path, reason)?)
    }
}

/// A sealed chunk that has arrived.
struct Fetched {
    wanted: WantedChunk,
    sealed: Vec<u8>,
}

/// Chunks that have arrived and were not handed to a writer yet.
struct Arrived {
    groups: Sender<Vec<Fetched>>,
    group: Vec<Fetched>,
    bytes: usize,
}

impl Arrived {
    fn new(groups: Sender<Vec<Fetched>>) -> Self {
        Self {
            groups,
            group: Vec::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, fetched: Fetched) -> Result<(), TransferError> {
        self.bytes += fetched.sealed.len();
        self.group.push(fetched);
        if self.bytes >= GROUP_BYTES {
            return self.hand_over();
        }
        Ok(())
    }

    /// Of these, what has not come is handed over as nothing that opens: it is looked
    /// for elsewhere, or is told as lost.
    fn add_lost(&mut self, batch: &mut Batch, wanted: &[IndexEntry]) -> Result<(), TransferError> {
        for entry in wanted {
            if let Some(wanted) = batch.take(&entry.id) {
                let sealed = Vec::new();
                self.add(Fetched { wanted, sealed })?;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), TransferError> {
        if self.group.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let group = std::mem::take(&mut self.group);
        self.groups.send(group).map_err(|_| TransferError::Stopped)
    }
}

/// Why a chunk is not to be had, of its files.
fn why_lost(error: &TransferError) -> Reason {
    match error {
        TransferError::Unknown => Reason::Nowhere,
        error if error.code() == ErrorCode::HosterMisbehaved => Reason::LostByHoster,
        // A member's device has written it so.
        _ => Reason::Incomplete,
    }
}

fn keep_first(failure: &Mutex<Option<RestoreError>>, error: RestoreError) {
    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    // That a thread was stopped says nothing about why.
    match &*failure {
        None | Some(RestoreError::Transfer(TransferError::Stopped)) => *failure = Some(error),
        Some(_) => {}
    }
}

fn without_link(node: &Node) -> Result<Node, vault_core::tree::NodeError> {
    Node::new(
        node.name().clone(),
        node.content().clone(),
        node.metadata().clone(),
    )
}
