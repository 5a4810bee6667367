//! Where a backup's chunks go.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard},
};

use vault_core::{
    chunk::{ChunkId, ChunkKind, ChunkSink},
    keys::VaultKeys,
    pack::{FinishedPack, PackBuilder, PackEntry},
    seal::{CompressionLevel, Compressor},
    stream::ChunkRef,
};

use super::{
    Assembler, Outbox, TransferError,
    assembler::Added,
    memory::{Slot, Slots},
    upload::UPLOADERS,
};
use crate::{
    index::VaultIndex,
    platform::{Randomness, Rng},
    progress::{Meter, count},
};

/// Locks are spread over this many, so that threads seldom meet.
const SHARDS: usize = 16;
/// Closed packs in memory: on their way, or about to be.
const CLOSED_PACKS: usize = UPLOADERS;

/// Names chunks, leaves out those that the vault holds, seals the others and
/// packs them. Shared by all threads of a backup.
pub(crate) struct Store {
    keys: Arc<VaultKeys>,
    index: Arc<VaultIndex>,
    assembler: Assembler,
    /// None in a dry run: what is new is counted and thrown away.
    outbox: Option<Outbox>,
    slots: Slots,
    /// Held for reading while a chunk is on its way into a pack and that on its way
    /// out; for writing by a commit.
    gate: RwLock<()>,
    /// Chunks that a thread of this backup has begun to store.
    claims: [Mutex<HashSet<ChunkId>>; SHARDS],
    meter: Arc<Meter>,
    deduplicates: bool,
    randomness: Arc<dyn Randomness>,
}

impl Store {
    pub(crate) fn new(
        keys: Arc<VaultKeys>,
        index: Arc<VaultIndex>,
        outbox: Option<Outbox>,
        meter: Arc<Meter>,
        deduplicates: bool,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        let buffers = outbox.as_ref().map(Outbox::buffers).unwrap_or_default();
        Self {
            assembler: Assembler::new(keys.clone(), buffers),
            keys,
            index,
            outbox,
            slots: Slots::new(CLOSED_PACKS),
            gate: RwLock::default(),
            claims: Default::default(),
            meter,
            deduplicates,
            randomness,
        }
    }

    pub(crate) fn assembler(&self) -> &Assembler {
        &self.assembler
    }

    pub(crate) fn outbox(&self) -> Option<&Outbox> {
        self.outbox.as_ref()
    }

    pub(crate) fn rng(&self) -> Rng {
        Rng::new(self.randomness.clone())
    }

    /// Keeps all threads from storing chunks until the guard is dropped. What was
    /// named by then is in an open pack, or was handed to the outbox: so a commit
    /// that flushes and drains holds all that its trees name, and nothing else
    /// arrives while it is written.
    pub(crate) fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finishes a pack and sends it.
    pub(crate) fn send(&self, pack: PackBuilder) -> Result<(), TransferError> {
        self.send_from(pack, self.slots.take())
    }

    /// Sends a pack.
    pub(crate) fn send_finished(&self, pack: FinishedPack) -> Result<(), TransferError> {
        match &self.outbox {
            Some(outbox) => outbox.send(pack, self.slots.take()),
            None => Ok(()),
        }
    }

    fn send_from(&self, pack: PackBuilder, slot: Slot) -> Result<(), TransferError> {
        match &self.outbox {
            Some(outbox) => outbox.send(pack.finish(&mut self.rng()), slot),
            None => Ok(()),
        }
    }

    /// Forgets the claims on chunks that the index knows by now.
    pub(crate) fn release<'a>(&self, entries: impl IntoIterator<Item = &'a PackEntry>) {
        for entry in entries {
            self.shard(&entry.id).remove(&entry.id);
        }
    }

    /// Whether this thread is the one to store a chunk: true once for each id
    /// that the vault does not hold.
    fn claim(&self, kind: ChunkKind, id: &ChunkId) -> Result<bool, TransferError> {
        // Without deduplication the volume of a commit does not tell whether
        // a file was there before; metadata are always the member's own.
        if !self.deduplicates && kind == ChunkKind::FileData {
            return Ok(true);
        }
        if self.shard(id).contains(id) || self.index.vouches_for(id)? {
            return Ok(false);
        }
        Ok(self.shard(id).insert(*id))
    }

    fn shard(&self, id: &ChunkId) -> MutexGuard<'_, HashSet<ChunkId>> {
        let shard = usize::from(id.as_bytes()[31]) % SHARDS;
        self.claims[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's end of a [`Store`], with the buffers that it uses again.
pub(crate) struct ChunkWorker {
    store: Arc<Store>,
    compressor: Compressor,
    rng: Rng,
    sealed: Vec<u8>,
}

impl ChunkWorker {
    pub(crate) fn new(store: Arc<Store>, level: CompressionLevel) -> Self {
        let rng = store.rng();
        Self {
            store,
            compressor: Compressor::new(level),
            rng,
            sealed: Vec::new(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Stores a chunk of a file and gives its place in the file's stream.
    pub(crate) fn write_file_chunk(&mut self, plaintext: &[u8]) -> Result<ChunkRef, TransferError> {
        let id = self.write_chunk(ChunkKind::FileData, plaintext)?;
        Ok(ChunkRef {
            id,
            length: u32::try_from(plaintext.len()).expect("a chunk is at most 4 MiB"),
        })
    }

    /// Seals a chunk under the current epoch, without packing it.
    pub(crate) fn seal(
        &mut self,
        kind: ChunkKind,
        id: &ChunkId,
        plaintext: &[u8],
    ) -> Result<&[u8], TransferError> {
        self.sealed.clear();
        let keys = &self.store.keys;
        keys.seal_chunk(
            keys.current_epoch(),
            kind,
            id,
            plaintext,
            &mut self.compressor,
            &mut self.rng,
            &mut self.sealed,
        )?;
        Ok(&self.sealed)
    }
}

impl ChunkSink for ChunkWorker {
    type Error = TransferError;

    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, TransferError> {
        let store = self.store.clone();
        let id = store.keys.chunk_id(kind, plaintext);
        let _gate = store.gate.read().unwrap_or_else(PoisonError::into_inner);
        if self.store.claim(kind, &id)? {
            self.seal(kind, &id, plaintext)?;
            count(&self.store.meter.new_bytes, plaintext.len() as u64);
            let mut slot = None;
            loop {
                match self.store.assembler.add(kind, &id, &self.sealed, slot) {
                    Added::Packed => break,
                    Added::Closed(full, slot) => {
                        self.store.send_from(full, slot)?;
                        break;
                    }
                    Added::NeedsSlot => slot = Some(self.store.slots.take()),
                }
            }
        }
        Ok(id)
    }
}
