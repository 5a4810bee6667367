//! Which sealed chunk goes into which pack.
//!
//! Data fill two open packs: a chunk goes into the fuller one that still holds
//! it, and only when neither does is the fuller one closed, so little is left
//! for filler. Metadata fill a pack of their own, so that listing and checking
//! read little. What remains at the end is put together again: a commit of less
//! than a pack is one pack.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vault_core::{
    chunk::{ChunkId, ChunkKind},
    keys::VaultKeys,
    pack::PackBuilder,
};

use super::memory::{Buffers, Slot};

/// How many packs of file data are open at once.
const OPEN_DATA_PACKS: usize = 2;

/// Assembles packs of one vault and one epoch; shared by all threads of a backup.
pub(crate) struct Assembler {
    buffers: Buffers,
    keys: Arc<VaultKeys>,
    epoch: u64,
    open: Mutex<Open>,
}

/// What became of a sealed chunk.
pub(crate) enum Added {
    /// It is in a pack.
    Packed,
    /// It is in a pack, and another was closed for it.
    Closed(PackBuilder, Slot),
    /// A pack must be closed for it first, and its way to the hoster is full.
    NeedsSlot,
}

#[derive(Default)]
struct Open {
    data: Vec<PackBuilder>,
    metadata: Option<PackBuilder>,
    /// Whether a pack was closed since the last [`Assembler::flush`].
    large: bool,
}

impl Assembler {
    pub(crate) fn new(keys: Arc<VaultKeys>, buffers: Buffers) -> Self {
        let epoch = keys.current_epoch();
        Self {
            buffers,
            keys,
            epoch,
            open: Mutex::default(),
        }
    }

    /// Puts a sealed chunk into an open pack. When one had to be closed for it,
    /// the caller finishes and sends that: hence the slot, without which
    /// nothing is closed and nothing changes.
    pub(crate) fn add(
        &self,
        kind: ChunkKind,
        id: &ChunkId,
        sealed: &[u8],
        slot: Option<Slot>,
    ) -> Added {
        let mut open = self.lock();
        if kind.is_metadata() {
            if let Some(pack) = &mut open.metadata
                && pack.push(kind, id, sealed).is_ok()
            {
                return Added::Packed;
            }
            let Some(full) = &mut open.metadata else {
                open.metadata = Some(self.begin(kind, id, sealed));
                return Added::Packed;
            };
            let Some(slot) = slot else {
                return Added::NeedsSlot;
            };
            let closed = std::mem::replace(full, self.begin(kind, id, sealed));
            open.large = true;
            return Added::Closed(closed, slot);
        }
        open.data
            .sort_by_key(|pack| std::cmp::Reverse(pack.len_bytes()));
        for pack in &mut open.data {
            if pack.push(kind, id, sealed).is_ok() {
                return Added::Packed;
            }
        }
        if open.data.len() < OPEN_DATA_PACKS {
            open.data.push(self.begin(kind, id, sealed));
            return Added::Packed;
        }
        let Some(slot) = slot else {
            return Added::NeedsSlot;
        };
        let closed = std::mem::replace(&mut open.data[0], self.begin(kind, id, sealed));
        open.large = true;
        Added::Closed(closed, slot)
    }

    /// Takes all open packs, put together as far as they fit. The last one is
    /// there for what a commit still has to write: it may be empty.
    pub(crate) fn flush(&self) -> (Vec<PackBuilder>, PackBuilder) {
        let Open {
            data,
            metadata,
            large,
        } = std::mem::take(&mut *self.lock());
        let mut last = metadata.unwrap_or_else(|| self.begin_empty());
        let mut closed: Vec<PackBuilder> = Vec::new();
        for pack in data {
            match closed.last_mut() {
                Some(fuller) => {
                    if fuller.absorb(&pack).is_err() {
                        closed.push(pack);
                    }
                }
                None => closed.push(pack),
            }
        }
        // In a large commit metadata stay apart; in a small one, one pack is less
        // for the hoster to count than two.
        if !large
            && closed.len() == 1
            && let Some(mut only) = closed.pop()
        {
            if only.absorb(&last).is_ok() {
                last = only;
            } else {
                closed.push(only);
            }
        }
        (closed, last)
    }

    fn begin_empty(&self) -> PackBuilder {
        PackBuilder::in_buffer(Arc::clone(&self.keys), self.epoch, self.buffers.take())
    }

    fn begin(&self, kind: ChunkKind, id: &ChunkId, sealed: &[u8]) -> PackBuilder {
        let mut pack = self.begin_empty();
        let pushed = pack.push(kind, id, sealed);
        debug_assert!(pushed.is_ok(), "every sealed chunk fits into an empty pack");
        pack
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A builder is whole after every call, whatever became of the caller.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
