//! What bounds the memory of a backup: how many closed packs there are, and
//! buffers that are used again. Allocators keep much more than was ever in use
//! when buffers of many megabytes come and go on several threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use vault_core::pack::MAX_PACK_LEN;

/// Buffers of packs: each has room for the largest, and as much of it is in
/// memory as was ever filled.
#[derive(Clone, Default)]
pub(crate) struct Buffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// A buffer; what it holds is of no meaning.
    pub(crate) fn take(&self) -> Vec<u8> {
        let used = self.lock().pop();
        used.unwrap_or_else(|| Vec::with_capacity(MAX_PACK_LEN))
    }

    /// Shares a pack's bytes. Its buffer is free again when nobody holds them.
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            bytes,
            home: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.bytes);
        if buffer.capacity() >= MAX_PACK_LEN {
            self.home.lock().push(buffer);
        }
    }
}

/// A fixed number of places, such as for closed packs: whoever closes one takes a
/// place, and it is free again when the pack has arrived.
pub(crate) struct Slots {
    free: Receiver<()>,
    give_back: Sender<()>,
}

/// One place; free again when this is dropped.
pub(crate) struct Slot {
    give_back: Sender<()>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        let (give_back, free) = bounded(count);
        for _ in 0..count {
            give_back.send(()).expect("there is room for all of them");
        }
        Self { free, give_back }
    }

    /// Takes a place; waits until there is one.
    pub(crate) fn take(&self) -> Slot {
        self.free.recv().expect("this end gives back, too");
        Slot {
            give_back: self.give_back.clone(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Nobody waits once all of a backup's threads have ended.
        let _ = self.give_back.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_it() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"sealed");
        let first = buffers.lend(buffer);
        let part = first.slice(2..);
        drop(first);
        assert!(buffers.lock().is_empty());
        assert_eq!(part, b"aled".as_slice());
        drop(part);
        assert_eq!(buffers.lock().len(), 1);
        assert_eq!(buffers.take().capacity(), MAX_PACK_LEN);
        assert!(buffers.lock().is_empty());
    }

    #[test]
    fn a_place_is_free_again_once_it_is_dropped() {
        let slots = Slots::new(2);
        let first = slots.take();
        let second = slots.take();
        assert!(slots.free.is_empty());
        drop(first);
        assert_eq!(slots.free.len(), 1);
        let third = slots.take();
        drop((second, third));
        assert_eq!(slots.free.len(), 2);
    }
}
