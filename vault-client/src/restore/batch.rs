//! Wanted chunks, collected until all that is wanted of their packs is known.
//!
//! A backup stores nearly in the order of the tree, but not quite: chunks that its
//! threads are done with first come first. Asked for in the order of the tree, packs
//! would be read in pieces, and the pieces would tell long files from short ones. So a
//! pack waits until others were wanted for a long time, and then is asked for once.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
};

use crossbeam_channel::Sender;
use vault_core::{
    chunk::{ChunkId, ChunkKind},
    index::IndexEntry,
    stream::{ReadError, StreamChunks, StreamRef},
};
use vault_proto::ids::PackId;

use super::file_work::FileWork;
use crate::{
    contents::{Contents, Opened},
    transfer::TransferError,
};

/// Places that wait for chunks of packs which are not asked for yet, some 700 bytes each.
/// More would leave the line without work for longer.
const WAITING_PLACES: usize = 4_096;
/// Sealed bytes after which a batch is full: two of the largest packs have more.
const FULL_BYTES: u64 = 24 << 20;
/// Sealed bytes of a batch at most, whatever an index says of a pack.
const MAX_BYTES: u64 = 48 << 20;
/// Places that the chunks of a batch go to, after which it is full: very small ones
/// would take much memory, and hold more files open than there may be.
const FULL_PLACES: usize = 2_048;
/// Bytes of a file's metadata that are counted as a place of their own.
const PLACE_BYTES: usize = 512;

/// A chunk, and where its bytes go.
pub(super) struct WantedChunk {
    pub(super) entry: IndexEntry,
    pub(super) places: Vec<Destination>,
}

/// A place in a file that a chunk goes to.
pub(super) struct Destination {
    pub(super) work: Arc<FileWork>,
    /// Where in the file's stream it begins.
    pub(super) position: u64,
    /// How long the file's stream says that it is.
    pub(super) length: u32,
}

/// What is wanted of a pack.
#[derive(Default)]
struct WantedPack {
    /// Each once, in the order in which they were wanted.
    chunks: Vec<IndexEntry>,
    places: usize,
    /// When something of it was wanted last.
    turn: u64,
}

/// Collects what is wanted and hands it over in batches.
pub(super) struct Gathering {
    opened: Opened,
    next: Sender<Batch>,
    wanted: HashMap<ChunkId, WantedChunk>,
    packs: HashMap<PackId, WantedPack>,
    /// The packs, the one of which nothing was wanted for longest first.
    turns: BTreeMap<u64, PackId>,
    turn: u64,
    places: usize,
    batch: Batch,
}

impl Gathering {
    pub(super) fn new(contents: &Contents, next: Sender<Batch>) -> Self {
        Self {
            opened: contents.opened().clone(),
            next,
            wanted: HashMap::new(),
            packs: HashMap::new(),
            turns: BTreeMap::new(),
            turn: 0,
            places: 0,
            batch: Batch::default(),
        }
    }

    /// Wants all chunks of a file.
    pub(super) fn add(
        &mut self,
        work: &Arc<FileWork>,
        content: &StreamRef,
    ) -> Result<(), TransferError> {
        let mut source = self.opened.reader.clone();
        let mut chunks = StreamChunks::new(content);
        let mut position = 0;
        // What the file itself takes is counted with its first chunk.
        let mut places = 1 + work.held_bytes() / PLACE_BYTES;
        while let Some(chunk) = chunks.next(&mut source).map_err(source_error)? {
            let place = Destination {
                work: work.clone(),
                position,
                length: chunk.length,
            };
            self.want(&chunk.id, place, places)?;
            places = 1;
            position += u64::from(chunk.length);
            while self.places > WAITING_PLACES {
                self.end_oldest()?;
            }
        }
        Ok(())
    }

    /// Hands over all that is left.
    pub(super) fn finish(mut self) -> Result<(), TransferError> {
        while !self.turns.is_empty() {
            self.end_oldest()?;
        }
        self.hand_over()
    }

    /// Wants a chunk for a place that is counted as so many.
    fn want(
        &mut self,
        id: &ChunkId,
        place: Destination,
        places: usize,
    ) -> Result<(), TransferError> {
        let pack = match self.wanted.get_mut(id) {
            Some(wanted) => {
                wanted.places.push(place);
                wanted.entry.pack
            }
            None => {
                let entry = self
                    .opened
                    .index
                    .lookup(ChunkKind::FileData, id)?
                    .ok_or(TransferError::Unknown)?;
                let places = vec![place];
                self.wanted.insert(*id, WantedChunk { entry, places });
                self.packs.entry(entry.pack).or_default().chunks.push(entry);
                entry.pack
            }
        };
        let wanted = self.packs.entry(pack).or_default();
        self.turns.remove(&wanted.turn);
        self.turn += 1;
        wanted.turn = self.turn;
        wanted.places += places;
        self.turns.insert(self.turn, pack);
        self.places += places;
        Ok(())
    }

    /// Moves the pack of which nothing was wanted for longest into the batch, and hands
    /// that over once it is full.
    fn end_oldest(&mut self) -> Result<(), TransferError> {
        let oldest = self.turns.pop_first();
        let Some(pack) = oldest.and_then(|(_, pack)| self.packs.remove(&pack)) else {
            return Ok(());
        };
        self.places -= pack.places;
        self.batch.places += pack.places;
        for entry in pack.chunks {
            if let Some(wanted) = self.wanted.remove(&entry.id) {
                self.batch.add(wanted);
            }
            if self.batch.bytes >= MAX_BYTES {
                self.hand_over()?;
            }
        }
        if self.batch.bytes >= FULL_BYTES || self.batch.places >= FULL_PLACES {
            return self.hand_over();
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), TransferError> {
        if self.batch.order.is_empty() {
            return Ok(());
        }
        let full = mem::take(&mut self.batch);
        self.next.send(full).map_err(|_| TransferError::Stopped)
    }
}

/// Chunks of one or more packs, to be fetched with one call.
#[derive(Default)]
pub(super) struct Batch {
    order: Vec<IndexEntry>,
    wanted: HashMap<ChunkId, WantedChunk>,
    bytes: u64,
    places: usize,
}

impl Batch {
    fn add(&mut self, wanted: WantedChunk) {
        let entry = wanted.entry;
        let mut places = wanted.places;
        let held = self.wanted.entry(entry.id).or_insert_with(|| {
            self.order.push(entry);
            self.bytes += u64::from(entry.sealed_length);
            WantedChunk {
                entry,
                places: Vec::new(),
            }
        });
        held.places.append(&mut places);
    }

    /// All that is wanted, pack after pack.
    pub(super) fn entries(&self) -> Vec<IndexEntry> {
        self.order.clone()
    }

    /// What is still wanted, a list for each pack.
    pub(super) fn entries_by_pack(&self) -> Vec<Vec<IndexEntry>> {
        let mut packs: HashMap<PackId, Vec<IndexEntry>> = HashMap::new();
        for wanted in self.wanted.values() {
            packs
                .entry(wanted.entry.pack)
                .or_default()
                .push(wanted.entry);
        }
        packs.into_values().collect()
    }

    pub(super) fn take(&mut self, id: &ChunkId) -> Option<WantedChunk> {
        self.wanted.remove(id)
    }
}

fn source_error(error: ReadError<TransferError>) -> TransferError {
    match error {
        ReadError::Source(error) => error,
        // A list that a member's device has written wrong.
        _ => TransferError::Unknown,
    }
}
