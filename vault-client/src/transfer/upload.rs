//! Sending packs, a few at a time, and knowing which have arrived.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use vault_core::pack::{FinishedPack, PackEntry};
use vault_proto::ids::{PackId, VaultId};

use super::{
    TransferError,
    memory::{Buffers, Slot},
    noted,
};
use crate::{
    progress::{Cancellation, Meter, count},
    remote::Remote,
    state::{PendingPack, State as DeviceState},
};

/// Packs on their way at once: enough to fill a line of 50 ms, and few enough
/// to bound memory.
pub(super) const UPLOADERS: usize = 2;

/// A pack that the hoster has acknowledged and no head holds yet.
#[derive(Debug, Clone)]
pub(crate) struct SentPack {
    pub(crate) id: PackId,
    pub(crate) epoch: u64,
    pub(crate) size: u32,
    pub(crate) filler_bytes: u32,
    pub(crate) entries: Vec<PackEntry>,
}

impl SentPack {
    /// As the device's state notes it.
    fn to_pending(&self) -> PendingPack {
        PendingPack {
            pack: self.id,
            epoch: self.epoch,
            size: self.size,
            entries: noted::encode(&self.entries),
            uploaded: false,
        }
    }

    /// What [`Self::to_pending`] noted; `None` if it is anything else.
    pub(crate) fn from_pending(noted: PendingPack) -> Option<Self> {
        let entries = noted::decode(&noted.entries, noted.size)?;
        let sealed_bytes: u32 = entries.iter().map(|entry| entry.sealed_length).sum();
        Some(Self {
            id: noted.pack,
            epoch: noted.epoch,
            size: noted.size,
            filler_bytes: noted.size - sealed_bytes,
            entries,
        })
    }
}

/// The near end of the uploads. The threads end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Outbox {
    queue: Sender<(FinishedPack, Slot)>,
    shared: Arc<Shared>,
}

struct Shared {
    buffers: Buffers,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    in_flight: usize,
    sent: Vec<SentPack>,
    failure: Option<TransferError>,
}

/// Where uploads go, and who is to know of them.
pub(crate) struct Destination {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) vault: VaultId,
    /// Learns of each pack before it is sent, so that a run that is cut short
    /// does not send it again.
    pub(crate) state: Arc<DeviceState>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) cancellation: Cancellation,
}

impl Outbox {
    /// Starts the threads.
    pub(crate) fn open(destination: Destination) -> Self {
        let (queue, packs) = bounded(1);
        let shared = Arc::new(Shared {
            buffers: Buffers::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let destination = Arc::new(destination);
        for _ in 0..UPLOADERS {
            let (packs, shared, destination) = (packs.clone(), shared.clone(), destination.clone());
            std::thread::spawn(move || upload_all(&packs, &shared, &destination));
        }
        Self { queue, shared }
    }

    /// Where a pack's memory comes from, and goes when it has arrived.
    pub(super) fn buffers(&self) -> Buffers {
        self.shared.buffers.clone()
    }

    /// Hands a pack over; waits while enough are on their way.
    ///
    /// # Errors
    /// When an earlier upload has failed: [`Self::drain`] says how.
    pub(crate) fn send(&self, pack: FinishedPack, slot: Slot) -> Result<(), TransferError> {
        {
            let mut state = self.shared.lock();
            if state.failure.is_some() {
                return Err(TransferError::Stopped);
            }
            state.in_flight += 1;
        }
        self.queue
            .send((pack, slot))
            .map_err(|_| TransferError::Stopped)
    }

    /// Waits until all that was handed over has arrived, and takes it.
    ///
    /// # Errors
    /// The first failure of an upload.
    pub(crate) fn drain(&self) -> Result<Vec<SentPack>, TransferError> {
        let mut state = self.shared.lock();
        loop {
            if let Some(failure) = state.failure.take() {
                // Those who come later learn that there is nothing to wait for.
                state.failure = Some(TransferError::Stopped);
                return Err(failure);
            }
            if state.in_flight == 0 {
                return Ok(std::mem::take(&mut state.sent));
            }
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn upload_all(packs: &Receiver<(FinishedPack, Slot)>, shared: &Shared, destination: &Destination) {
    for (pack, slot) in packs {
        let result = if shared.lock().failure.is_some() {
            Err(TransferError::Stopped)
        } else {
            upload(pack, shared, destination)
        };
        drop(slot);
        let mut state = shared.lock();
        state.in_flight -= 1;
        match result {
            Ok(pack) => state.sent.push(pack),
            Err(failure) => {
                state.failure.get_or_insert(failure);
            }
        }
        shared.changed.notify_all();
    }
}

fn upload(
    pack: FinishedPack,
    shared: &Shared,
    destination: &Destination,
) -> Result<SentPack, TransferError> {
    if destination.cancellation.is_cancelled() {
        return Err(TransferError::Cancelled);
    }
    let sent = SentPack {
        id: pack.id,
        epoch: pack.epoch,
        size: u32::try_from(pack.bytes.len()).expect("a pack is at most 16 MiB"),
        filler_bytes: pack.filler_bytes,
        entries: pack.entries,
    };
    destination
        .state
        .add_pending_pack(&destination.vault, &sent.to_pending())?;
    let bytes = shared.buffers.lend(pack.bytes);
    destination
        .remote
        .put_pack(&destination.vault, &sent.id, bytes)?;
    count(&destination.meter.transferred_bytes, u64::from(sent.size));
    Ok(sent)
}
