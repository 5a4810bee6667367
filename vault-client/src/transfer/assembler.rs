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

#[cfg(test)]
mod tests {
    use vault_core::pack::MAX_PACK_LEN;
    use vault_proto::ids::VaultId;

    use super::*;
    use crate::transfer::memory::Slots;

    fn assembler() -> Assembler {
        let keys = VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32]]);
        Assembler::new(Arc::new(keys), Buffers::default())
    }

    const ID: ChunkId = ChunkId::from_array([3; 32]);

    /// A bulk of file data, in chunks as the chunker cuts them: at least
    /// 256 KiB, then as chance has it, at most 4 MiB.
    #[test]
    fn filler_is_less_than_a_hundredth_of_a_bulk() {
        let mut dice = blake3::Hasher::new().finalize_xof();
        let sealed = vec![0; 4 << 20];
        let (assembler, slots) = (assembler(), Slots::new(1));
        let (mut packs, mut filler) = (0, 0);
        for _ in 0..2_000 {
            let mut thrown = [0; 4];
            dice.fill(&mut thrown);
            let chance = (f64::from(u32::from_le_bytes(thrown)) + 1.0) / f64::from(u32::MAX);
            let length = (f64::from(256 << 10) - f64::from(768 << 10) * chance.ln()) as usize;
            let sealed = &sealed[..length.min(sealed.len())];
            let slot = Some(slots.take());
            if let Added::Closed(pack, _) = assembler.add(ChunkKind::FileData, &ID, sealed, slot) {
                packs += 1;
                filler += MAX_PACK_LEN - pack.len_bytes();
            }
        }
        assert!(packs > 100, "{packs} packs");
        assert!(
            filler * 100 < packs * MAX_PACK_LEN,
            "{filler} bytes of filler in {packs} packs"
        );
    }

    #[test]
    fn nothing_is_closed_without_a_place_for_it() {
        let assembler = assembler();
        let sealed = vec![0; 4 << 20];
        for kind in [ChunkKind::FileData, ChunkKind::Tree] {
            let sealed = &sealed[..kind.max_len()];
            let mut packed = 0;
            while matches!(assembler.add(kind, &ID, sealed, None), Added::Packed) {
                packed += 1;
            }
            assert!(packed >= MAX_PACK_LEN / sealed.len() - 1, "{packed}");
            // Asking again changes nothing; with a place, one is closed.
            assert!(matches!(
                assembler.add(kind, &ID, sealed, None),
                Added::NeedsSlot
            ));
            let slot = Some(Slots::new(1).take());
            let Added::Closed(pack, _) = assembler.add(kind, &ID, sealed, slot) else {
                panic!("nothing was closed");
            };
            assert!(pack.len_bytes() <= MAX_PACK_LEN);
        }
    }
}
