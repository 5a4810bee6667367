//! Fetching the chunks of a link, and writing its files.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use vault_core::index::IndexEntry;
use vault_core::links::{CapsuleFields, SharedContent, SharedNode};
use vault_core::seal::Decompressor;
use vault_core::tree::{Metadata, Node, NodeContent, NodeName};

use super::batch::{Batch, Destination, number_of};
use super::symlink::leads_out;
use super::{ATTEMPTS, GetError, GetReport, go_on, is_of_what_was_asked};
use crate::files::{FilePlacement, Placed, Reason, Target, TargetDirectory, Wanted};
use crate::progress::{Cancellation, Meter, count};
use crate::remote::{LinkTicket, MAX_RANGES_PER_CALL, PackRange, Visitor};
use crate::restore::file_work::FileWork;
use crate::restore::tally::Tally;
use crate::transfer::{Fetch, Splitter, plan_exactly};

/// Calls to the hoster at once: one is on the line while the other begins.
const FETCHERS: usize = 2;
/// Sealed chunks that wait for a writer.
const WAITING_CHUNKS: usize = 8;

/// One download, under way; shared by its threads.
pub(super) struct Run<'a> {
    fields: &'a CapsuleFields,
    visitor: &'a dyn Visitor,
    ticket: &'a LinkTicket,
    meter: &'a Meter,
    cancellation: &'a Cancellation,
    tally: Tally<'a>,
}

/// A sealed chunk that has arrived, and where its bytes go.
struct Fetched {
    number: u32,
    destinations: Vec<Destination>,
    sealed: Vec<u8>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        fields: &'a CapsuleFields,
        visitor: &'a dyn Visitor,
        ticket: &'a LinkTicket,
        meter: &'a Meter,
        cancellation: &'a Cancellation,
    ) -> Self {
        Self {
            fields,
            visitor,
            ticket,
            meter,
            cancellation,
            tally: Tally::new(meter),
        }
    }

    pub(super) fn write(self, target: &Target) -> Result<GetReport, GetError> {
        let (send_batch, batches) = bounded::<Batch<'_>>(1);
        let (send_chunk, chunks) = bounded::<Fetched>(WAITING_CHUNKS);
        let failure = Mutex::new(None);
        let writers = std::thread::available_parallelism().map_or(2, usize::from);
        let this = &self;
        std::thread::scope(|scope| {
            for _ in 0..FETCHERS {
                let (batches, send_chunk) = (batches.clone(), send_chunk.clone());
                let failure = &failure;
                scope.spawn(move || {
                    for batch in batches {
                        if let Err(error) = this.fetch(batch, &send_chunk) {
                            return keep_first(failure, error);
                        }
                    }
                });
            }
            for _ in 0..writers {
                let (chunks, failure) = (chunks.clone(), &failure);
                scope.spawn(move || {
                    if let Err(error) = this.write_all(&chunks) {
                        keep_first(failure, error);
                    }
                });
            }
            drop((batches, chunks, send_chunk));
            if let Err(error) = this.plan(target, send_batch) {
                keep_first(&failure, error);
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let counted = self.tally.into_counted();
        Ok(GetReport {
            files: counted.files,
            bytes: counted.bytes,
            directories: counted.directories,
            symlinks: counted.others,
            kept: counted.kept,
            lost_by_hoster: counted.lost_by_hoster,
            left_out: counted.left_out,
            ..GetReport::default()
        })
    }

    /// Makes directories and the names of files, and hands over what is wanted.
    fn plan(&self, target: &Target, batches: Sender<Batch<'a>>) -> Result<(), GetError> {
        let mut batch = Batch::new(self.fields, batches);
        // The directories on the way to the last node, with what they are to become.
        let mut way: Vec<(TargetDirectory, Metadata)> = Vec::new();
        let mut skipped_below = usize::MAX;
        for node in &self.fields.nodes {
            if self.cancellation.is_cancelled() {
                return Err(GetError::Cancelled);
            }
            if node.depth > skipped_below {
                continue;
            }
            skipped_below = usize::MAX;
            while way.len() > node.depth {
                if let Some((directory, metadata)) = way.pop() {
                    directory.finish(&metadata);
                }
            }
            let directory = match way.last() {
                Some((directory, _)) => directory.clone(),
                None => target.root(),
            };
            let Some(name) = node
                .name
                .as_ref()
                .filter(|_| node.depth > 0 || !node.is_directory())
            else {
                // What stands in the link's own directory goes into the target.
                way.push((directory, node.metadata()));
                continue;
            };
            match &node.content {
                SharedContent::Directory => match directory.make_directory(name) {
                    Ok(made) => {
                        self.tally.counted().directories += 1;
                        way.push((made, node.metadata()));
                    }
                    Err(reason) => {
                        skipped_below = node.depth;
                        self.leave_out(directory.path_of(name), reason)?;
                    }
                },
                SharedContent::File { .. } => {
                    self.place_file(node, name, &directory, &mut batch)?
                }
                SharedContent::Symlink { target } => {
                    self.place_symlink(node, name, target, &directory)?;
                }
                _ => self.leave_out(directory.path_of(name), Reason::Unsupported)?,
            }
        }
        batch.finish()?;
        while let Some((directory, metadata)) = way.pop() {
            directory.finish(&metadata);
        }
        Ok(())
    }

    fn place_file(
        &self,
        node: &SharedNode,
        name: &NodeName,
        directory: &TargetDirectory,
        batch: &mut Batch<'a>,
    ) -> Result<(), GetError> {
        let SharedContent::File {
            chunks,
            size,
            holes,
        } = &node.content
        else {
            return Ok(());
        };
        let metadata = node.metadata();
        let holes_bytes: u64 = holes.iter().map(|hole| hole.length).sum();
        let planned = directory.plan(&Wanted {
            name,
            metadata: &metadata,
            size: *size,
            stored_bytes: size - holes_bytes,
            hard_link: None,
        });
        match planned {
            Ok(FilePlacement::Write(planned)) => {
                let work = Arc::new(FileWork::new(planned, metadata, holes.clone()));
                batch.add(&work, chunks)?;
                Ok(self.tally.settle(work)?)
            }
            Ok(_) => {
                count(&self.meter.files, 1);
                count(&self.meter.bytes, size - holes_bytes);
                self.tally.counted().kept += 1;
                Ok(())
            }
            Err(reason) => self.leave_out(directory.path_of(name), reason),
        }
    }

    fn place_symlink(
        &self,
        node: &SharedNode,
        name: &NodeName,
        target: &[u8],
        directory: &TargetDirectory,
    ) -> Result<(), GetError> {
        let path = || directory.path_of(name);
        if leads_out(target, node.depth.saturating_sub(1)) {
            return self.leave_out(path(), Reason::LeadsOut);
        }
        let content = NodeContent::Symlink {
            target: target.to_vec(),
        };
        let Ok(symlink) = Node::new(name.clone(), content, node.metadata()) else {
            return self.leave_out(path(), Reason::Unsupported);
        };
        match directory.make_other(&symlink) {
            Ok(Placed::Made) => {
                self.tally.counted().others += 1;
                Ok(())
            }
            Ok(_) => {
                self.tally.counted().kept += 1;
                Ok(())
            }
            Err(reason) => self.leave_out(path(), reason),
        }
    }

    /// Fetches a batch. When the line breaks, what has not come yet is asked for
    /// again with the same ticket.
    fn fetch(&self, mut batch: Batch<'a>, chunks: &Sender<Fetched>) -> Result<(), GetError> {
        let mut idle_attempts = 0;
        loop {
            let wanted = batch.entries();
            if wanted.is_empty() {
                return Ok(());
            }
            match self.read(&wanted, &mut batch, chunks) {
                Ok(()) => return self.lose_all(batch),
                Err(GetError::Remote(error)) if error.is_transient() => {
                    let is_idle = batch.entries().len() == wanted.len();
                    idle_attempts = if is_idle { idle_attempts + 1 } else { 0 };
                    if idle_attempts >= ATTEMPTS {
                        return Err(GetError::Remote(error));
                    }
                }
                Err(error) if is_lasting(&error) => return self.fetch_each(batch, chunks),
                Err(error) => return Err(error),
            }
        }
    }

    /// After a batch failed for good: one pack after the other, so that one that
    /// is lost takes no file with it that does not need it.
    fn fetch_each(&self, mut batch: Batch<'a>, chunks: &Sender<Fetched>) -> Result<(), GetError> {
        for wanted in batch.entries_by_pack() {
            match self.read(&wanted, &mut batch, chunks) {
                Ok(()) => {}
                Err(error) if is_lasting(&error) => {
                    for entry in &wanted {
                        if let Some(destinations) = batch.take(number_of(entry)) {
                            self.lose(destinations)?;
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.lose_all(batch)
    }

    fn read(
        &self,
        wanted: &[IndexEntry],
        batch: &mut Batch<'a>,
        chunks: &Sender<Fetched>,
    ) -> Result<(), GetError> {
        let mut fetches = plan_exactly(wanted);
        while !fetches.is_empty() {
            let rest = fetches.split_off(MAX_RANGES_PER_CALL.min(fetches.len()));
            self.read_ranges(std::mem::replace(&mut fetches, rest), batch, chunks)?;
        }
        Ok(())
    }

    fn read_ranges(
        &self,
        fetches: Vec<Fetch>,
        batch: &mut Batch<'a>,
        chunks: &Sender<Fetched>,
    ) -> Result<(), GetError> {
        let ranges: Vec<_> = fetches
            .iter()
            .map(|fetch| PackRange {
                pack: fetch.pack,
                offset: fetch.offset,
                length: fetch.length,
            })
            .collect();
        let mut splitter = Splitter::new(fetches);
        let mut is_stopped = false;
        let read = self.visitor.read_link(self.ticket, &ranges, &mut |part| {
            count(&self.meter.transferred_bytes, part.len() as u64);
            let sent = splitter.push(&part, &mut |entry, sealed| {
                let number = number_of(&entry);
                match batch.take(number) {
                    Some(destinations) => chunks.send(Fetched {
                        number,
                        destinations,
                        sealed,
                    }),
                    None => Ok(()),
                }
            });
            match sent {
                Ok(()) => go_on(self.cancellation),
                Err(_) => {
                    is_stopped = true;
                    ControlFlow::Break(())
                }
            }
        });
        match read {
            _ if is_stopped => Err(GetError::Stopped),
            Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write_all(&self, chunks: &Receiver<Fetched>) -> Result<(), GetError> {
        let mut decompressor = Decompressor::default();
        for fetched in chunks {
            if self.cancellation.is_cancelled() {
                return Err(GetError::Cancelled);
            }
            let chunk = &self.fields.chunks[fetched.number as usize];
            let Ok(plaintext) = chunk.open(&fetched.sealed, &mut decompressor) else {
                self.lose(fetched.destinations)?;
                continue;
            };
            for place in fetched.destinations {
                place.work.write(place.position, &plaintext);
                count(&self.meter.bytes, plaintext.len() as u64);
                self.tally.settle(place.work)?;
            }
        }
        Ok(())
    }

    fn lose_all(&self, mut batch: Batch<'a>) -> Result<(), GetError> {
        for entry in batch.entries() {
            if let Some(destinations) = batch.take(number_of(&entry)) {
                self.lose(destinations)?;
            }
        }
        Ok(())
    }

    /// A chunk that is not to be had takes its files with it. What a capsule names, its
    /// hoster has promised to keep.
    fn lose(&self, destinations: Vec<Destination>) -> Result<(), GetError> {
        for place in destinations {
            self.tally.lose(place.work, Reason::LostByHoster)?;
        }
        Ok(())
    }

    fn leave_out(&self, path: Vec<u8>, reason: Reason) -> Result<(), GetError> {
        Ok(self.tally.leave_out(path, reason)?)
    }
}

fn is_lasting(error: &GetError) -> bool {
    matches!(error, GetError::Remote(error) if is_of_what_was_asked(error))
}

fn keep_first(failure: &Mutex<Option<GetError>>, error: GetError) {
    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    // That a thread was stopped says nothing about why.
    match &*failure {
        None | Some(GetError::Stopped) => *failure = Some(error),
        Some(_) => {}
    }
}
