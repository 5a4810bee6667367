//! Wanted chunks, collected until they are worth a call to the hoster.

use std::{collections::HashMap, mem, sync::Arc};

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

/// Sealed bytes of a batch,
const BATCH_BYTES: u64 = 32 << 20;
/// and of the first, so that the line does not wait long for it. The others are
/// twice as large as the one before, up to the bound.
const FIRST_BATCH_BYTES: u64 = 1 << 20;
/// Chunks of a batch, so that very small ones do not take much memory, nor hold
/// more files open than there may be.
const BATCH_CHUNKS: usize = 2_048;

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

/// Chunks that are wanted. Handed to the fetchers whenever there are enough.
pub(super) struct Batch {
    opened: Opened,
    next: Option<Sender<Self>>,
    order: Vec<IndexEntry>,
    wanted: HashMap<ChunkId, WantedChunk>,
    bytes: u64,
    enough_bytes: u64,
}

impl Batch {
    pub(super) fn new(contents: &Contents, next: Sender<Self>) -> Self {
        Self {
            opened: contents.opened().clone(),
            next: Some(next),
            order: Vec::new(),
            wanted: HashMap::new(),
            bytes: 0,
            enough_bytes: FIRST_BATCH_BYTES,
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
        while let Some(chunk) = chunks.next(&mut source).map_err(source_error)? {
            let entry = self
                .opened
                .index
                .lookup(ChunkKind::FileData, &chunk.id)?
                .ok_or(TransferError::Unknown)?;
            let wanted = self.wanted.entry(chunk.id).or_insert_with(|| {
                self.order.push(entry);
                self.bytes += u64::from(entry.sealed_length);
                WantedChunk {
                    entry,
                    places: Vec::new(),
                }
            });
            wanted.places.push(Destination {
                work: work.clone(),
                position,
                length: chunk.length,
            });
            position += u64::from(chunk.length);
            if self.bytes >= self.enough_bytes || self.order.len() >= BATCH_CHUNKS {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    /// Hands over what is left.
    pub(super) fn finish(mut self) -> Result<(), TransferError> {
        if self.order.is_empty() {
            Ok(())
        } else {
            self.hand_over()
        }
    }

    /// All that is wanted, in the order in which it was.
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

    fn hand_over(&mut self) -> Result<(), TransferError> {
        let Some(next) = &self.next else {
            return Ok(());
        };
        let full = Self {
            opened: self.opened.clone(),
            next: None,
            order: mem::take(&mut self.order),
            wanted: mem::take(&mut self.wanted),
            bytes: mem::take(&mut self.bytes),
            enough_bytes: self.enough_bytes,
        };
        self.enough_bytes = BATCH_BYTES.min(2 * self.enough_bytes);
        next.send(full).map_err(|_| TransferError::Stopped)
    }
}

fn source_error(error: ReadError<TransferError>) -> TransferError {
    match error {
        ReadError::Source(error) => error,
        // A list that a member's device has written wrong.
        _ => TransferError::Unknown,
    }
}
