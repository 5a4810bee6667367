//! Wanted chunks of a link, collected until they are worth a call to the hoster.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use crossbeam_channel::Sender;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::index::IndexEntry;
use vault_core::links::{CapsuleFields, SharedChunk};
use vault_proto::ids::PackId;

use super::GetError;
use crate::restore::file_work::FileWork;

/// Sealed bytes of a batch.
const BATCH_BYTES: u64 = 32 << 20;
/// Chunks of a batch, and places that they go to, so that very small ones do not
/// take much memory.
const BATCH_CHUNKS: usize = 8_192;

/// A place in a file that a chunk goes to.
pub(super) struct Destination {
    pub(super) work: Arc<FileWork>,
    /// Where in the file, holes left out, it begins.
    pub(super) position: u64,
}

/// Chunks that are wanted, by their number in the capsule. Handed to the
/// fetchers whenever there are enough.
pub(super) struct Batch<'a> {
    fields: &'a CapsuleFields,
    next: Option<Sender<Self>>,
    order: Vec<u32>,
    wanted: HashMap<u32, Vec<Destination>>,
    places: usize,
    bytes: u64,
}

impl<'a> Batch<'a> {
    pub(super) fn new(fields: &'a CapsuleFields, next: Sender<Self>) -> Self {
        Self {
            fields,
            next: Some(next),
            order: Vec::new(),
            wanted: HashMap::new(),
            places: 0,
            bytes: 0,
        }
    }

    /// Wants all chunks of a file.
    pub(super) fn add(&mut self, work: &Arc<FileWork>, chunks: &[u32]) -> Result<(), GetError> {
        let mut position = 0;
        for &number in chunks {
            let chunk = &self.fields.chunks[number as usize];
            let destinations = self.wanted.entry(number).or_insert_with(|| {
                self.order.push(number);
                self.bytes += u64::from(chunk.sealed_length);
                Vec::new()
            });
            destinations.push(Destination {
                work: work.clone(),
                position,
            });
            self.places += 1;
            position += u64::from(chunk.length);
            if self.bytes >= BATCH_BYTES || self.places >= BATCH_CHUNKS {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    /// Hands over what is left.
    pub(super) fn finish(mut self) -> Result<(), GetError> {
        if self.order.is_empty() {
            Ok(())
        } else {
            self.hand_over()
        }
    }

    /// What is still wanted, in the order in which it was.
    pub(super) fn entries(&self) -> Vec<IndexEntry> {
        let wanted = self.order.iter().copied();
        wanted
            .filter(|number| self.wanted.contains_key(number))
            .map(|number| entry_of(number, &self.fields.chunks[number as usize]))
            .collect()
    }

    /// What is still wanted, a list for each pack.
    pub(super) fn entries_by_pack(&self) -> Vec<Vec<IndexEntry>> {
        let mut packs: HashMap<PackId, Vec<IndexEntry>> = HashMap::new();
        for entry in self.entries() {
            packs.entry(entry.pack).or_default().push(entry);
        }
        packs.into_values().collect()
    }

    pub(super) fn take(&mut self, number: u32) -> Option<Vec<Destination>> {
        self.wanted.remove(&number)
    }

    fn hand_over(&mut self) -> Result<(), GetError> {
        let Some(next) = &self.next else {
            return Ok(());
        };
        let full = Self {
            fields: self.fields,
            next: None,
            order: mem::take(&mut self.order),
            wanted: mem::take(&mut self.wanted),
            places: mem::take(&mut self.places),
            bytes: mem::take(&mut self.bytes),
        };
        next.send(full).map_err(|_| GetError::Stopped)
    }
}

/// A chunk of a link has no id: its number takes the place.
fn entry_of(number: u32, chunk: &SharedChunk) -> IndexEntry {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_le_bytes());
    IndexEntry {
        id: ChunkId::from_array(id),
        kind: ChunkKind::FileData,
        pack: chunk.pack,
        epoch: 0,
        pack_size: chunk.pack_size,
        offset: chunk.offset,
        sealed_length: chunk.sealed_length,
    }
}

/// The number that [`entry_of`] wrote.
pub(super) fn number_of(entry: &IndexEntry) -> u32 {
    let [a, b, c, d, ..] = *entry.id.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}
