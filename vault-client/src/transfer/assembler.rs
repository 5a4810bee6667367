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

/// How many packs of file data are open at once.
const OPEN_DATA_PACKS: usize = 2;

/// Assembles packs of one vault and one epoch; shared by all threads of a backup.
pub(crate) struct Assembler {
    keys: Arc<VaultKeys>,
    epoch: u64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    data: Vec<PackBuilder>,
    metadata: Option<PackBuilder>,
    /// Whether a pack was closed since the last [`Assembler::flush`].
    large: bool,
}

impl Assembler {
    pub(crate) fn new(keys: Arc<VaultKeys>) -> Self {
        let epoch = keys.current_epoch();
        Self {
            keys,
            epoch,
            open: Mutex::default(),
        }
    }

    /// Puts a sealed chunk into an open pack. Gives the pack that had to be
    /// closed for it, if any: the caller finishes and sends it.
    pub(crate) fn add(&self, kind: ChunkKind, id: &ChunkId, sealed: &[u8]) -> Option<PackBuilder> {
        let mut open = self.lock();
        if kind.is_metadata() {
            if let Some(pack) = &mut open.metadata
                && pack.push(kind, id, sealed).is_ok()
            {
                return None;
            }
            let fresh = self.begin(kind, id, sealed);
            let closed = open.metadata.replace(fresh);
            open.large |= closed.is_some();
            return closed;
        }
        open.data
            .sort_by_key(|pack| std::cmp::Reverse(pack.len_bytes()));
        for pack in &mut open.data {
            if pack.push(kind, id, sealed).is_ok() {
                return None;
            }
        }
        let fresh = self.begin(kind, id, sealed);
        if open.data.len() < OPEN_DATA_PACKS {
            open.data.push(fresh);
            return None;
        }
        open.large = true;
        Some(std::mem::replace(&mut open.data[0], fresh))
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

    pub(crate) fn begin_empty(&self) -> PackBuilder {
        PackBuilder::new(Arc::clone(&self.keys), self.epoch)
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
