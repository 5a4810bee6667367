//! Where bytes and ledger meet: uploads, reads and the sweep.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use vault_proto::ids::{PackId, VaultId};

use super::{
    blobs::{BlobError, BlobStore, Incoming, Room, Which},
    ledger::{Ledger, LedgerError, QuotaRoom, Reservation, Reserve},
    records::{Blob, Fullness, Pack, PackState, Presence},
};
use crate::clock::UnixTime;

/// The packs of all vaults.
pub struct Packs {
    ledger: Arc<dyn Ledger>,
    blobs: Arc<dyn BlobStore>,
    disk_reserve: DiskReserve,
    /// Held from a blob's last rename to its record, and from a look at the
    /// record to the unlinking: so the sweep never unlinks what was uploaded
    /// again a moment ago. Two packs seldom share one.
    naming: [Mutex<()>; 64],
}

/// Room on the disk that uploads leave alone, so that the ledger never meets a
/// full one.
#[derive(Debug, Clone, Copy)]
pub struct DiskReserve {
    /// At least so many bytes,
    pub bytes: u64,
    /// and at least this part of the disk.
    pub percent: u8,
}

impl Default for DiskReserve {
    /// 1 GiB and 2 %.
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            percent: 2,
        }
    }
}

impl DiskReserve {
    fn is_touched(self, room: Room) -> bool {
        let part = room.total_bytes / 100 * u64::from(self.percent);
        room.free_bytes < self.bytes.max(part)
    }
}

/// The beginning of an upload.
pub enum Begun {
    /// The pack is there already, and its lease renewed: no byte is needed.
    There,
    /// Bytes are welcome.
    Upload(Box<Upload>),
}

impl Packs {
    /// Packs in these two stores.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        blobs: Arc<dyn BlobStore>,
        disk_reserve: DiskReserve,
    ) -> Self {
        Self {
            ledger,
            blobs,
            disk_reserve,
            naming: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Begins an upload: takes the room it needs, or says that there is none.
    ///
    /// # Errors
    /// [`PutError`].
    pub fn begin(
        self: &Arc<Self>,
        blob: &Blob,
        room: QuotaRoom,
        now: UnixTime,
    ) -> Result<Begun, PutError> {
        let reservation = match self.ledger.reserve(blob, room, now)? {
            Reserve::There => return Ok(Begun::There),
            Reserve::OverQuota(fullness) => return Err(PutError::OverQuota(fullness)),
            Reserve::NoSuchVault => return Err(PutError::NoSuchVault),
            Reserve::Reserved(reservation) => reservation,
        };
        // From here on, dropping the upload gives the room back.
        let mut upload = Box::new(Upload {
            packs: Arc::clone(self),
            reservation: Some(reservation),
            incoming: None,
            hasher: blake3::Hasher::new(),
            blob: *blob,
            received_bytes: 0,
        });
        upload.check_room()?;
        upload.incoming = Some(self.blobs.begin(blob)?);
        Ok(Begun::Upload(upload))
    }

    /// Fills `into` with a pack's bytes from `offset` on.
    ///
    /// A pack whose record stands and whose bytes do not is marked
    /// [lost](PackState::Lost).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&self, blob: &Blob, offset: u32, into: &mut [u8]) -> Result<(), StoreError> {
        match self.blobs.read(blob, offset, into) {
            Ok(()) => Ok(()),
            Err(error) => {
                if matches!(error, BlobError::Missing | BlobError::Damaged) {
                    self.mark_if_lost(blob)?;
                }
                Err(error.into())
            }
        }
    }

    /// Takes away what nobody needs any more: packs whose lease or grace period
    /// is over, old roots, offers and links. Packs are marked in
    /// the ledger first, unlinked after. One that cannot be unlinked is tried
    /// again an hour later, and keeps nothing else from being taken away.
    ///
    /// # Errors
    /// The first [`StoreError`] that was met. All that could be done is done.
    pub fn sweep(&self, now: UnixTime) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let mut failures = Failures::default();
        let packs = self.sweep_packs(now, &mut swept, &mut failures);
        failures.note(packs);
        let mut drop_all = |dropped: &mut u64, drop: &dyn Fn() -> Result<u64, LedgerError>| {
            while let Some(some) = failures.note(drop()) {
                *dropped += some;
                if some < AT_ONCE as u64 {
                    break;
                }
            }
        };
        drop_all(&mut swept.roots, &|| {
            self.ledger.drop_due_roots(now, AT_ONCE)
        });
        drop_all(&mut swept.offers, &|| {
            self.ledger.drop_due_offers(now, AT_ONCE)
        });
        let links = failures.note(self.ledger.drop_due_links(now));
        swept.links = links.unwrap_or_default();
        failures.end(swept)
    }

    fn sweep_packs(
        &self,
        now: UnixTime,
        swept: &mut Swept,
        failures: &mut Failures,
    ) -> Result<(), StoreError> {
        loop {
            let doomed = self.ledger.doom(now, AT_ONCE)?;
            for blob in &doomed {
                let _naming = self.naming(&blob.pack);
                let record = self.record(blob)?;
                if !record.is_some_and(|pack| matches!(pack.state, PackState::Doomed { .. })) {
                    continue;
                }
                if failures.note(self.blobs.delete(blob)).is_none() {
                    // Else it would be the first again, and the only one.
                    self.ledger.put_off(blob, now.plus(TRY_AGAIN))?;
                    continue;
                }
                self.ledger.forget(blob)?;
                swept.packs += 1;
                swept.bytes += u64::from(blob.size);
            }
            if doomed.len() < AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Makes bytes and ledger agree after a crash: deletes blobs that the
    /// ledger does not know, and marks packs whose bytes are not there. What
    /// cannot be read or deleted is passed over.
    ///
    /// Uploads and commits may go on meanwhile. It reads every directory and
    /// every record, which may take minutes, and gives up with
    /// [`BlobError::Interrupted`] as soon as `stop` is true.
    ///
    /// # Errors
    /// The first [`StoreError`] that was met. All that could be done is done.
    pub fn reconcile(&self, stop: &AtomicBool) -> Result<Reconciled, StoreError> {
        let check = || match stop.load(Ordering::Relaxed) {
            true => Err(BlobError::Interrupted),
            false => Ok(()),
        };
        let mut reconciled = Reconciled::default();
        let mut failures = Failures::default();
        let listed = self.blobs.list(Which::ApartFromLedger, &mut |blob| {
            check()?;
            let _naming = self.naming(&blob.pack);
            if self.record(&blob).map_err(into_blob_error)?.is_none()
                && failures.note(self.blobs.delete(&blob)).is_some()
            {
                reconciled.unknown += 1;
            }
            Ok(())
        });
        check()?;
        failures.note(listed);
        let mut missing = Vec::new();
        let visited = self.ledger.visit_packs(None, &mut |vault, pack, record| {
            check().map_err(into_ledger_error)?;
            let blob = Blob {
                vault: *vault,
                pack: *pack,
                size: record.size,
            };
            if record.is_there()
                && self.blobs.is_apart(&blob)
                && failures.note(self.blobs.is_there(&blob)) == Some(false)
            {
                missing.push(blob);
            }
            Ok(())
        });
        check()?;
        failures.note(visited);
        for blob in missing {
            let lost = failures.note(self.mark_if_lost(&blob));
            reconciled.lost += u64::from(lost.unwrap_or(false));
        }
        failures.end(reconciled)
    }

    /// Whether the disk is as full as it may get by what can wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_low(&self) -> Result<bool, StoreError> {
        Ok(self.disk_reserve.is_touched(self.room()?))
    }

    /// How much room there is on the disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn room(&self) -> Result<Room, StoreError> {
        Ok(self.blobs.room()?)
    }

    fn mark_if_lost(&self, blob: &Blob) -> Result<bool, StoreError> {
        let _naming = self.naming(&blob.pack);
        let known = self.record(blob)?.is_some_and(|pack| pack.is_there());
        let lost = known && !self.blobs.is_there(blob)?;
        if lost {
            self.ledger.mark_lost(blob)?;
        }
        Ok(lost)
    }

    fn record(&self, blob: &Blob) -> Result<Option<Pack>, LedgerError> {
        let records = self.ledger.packs(&blob.vault, &[blob.pack])?;
        Ok(records.into_iter().next().flatten())
    }

    fn naming(&self, pack: &PackId) -> MutexGuard<'_, ()> {
        let stripe = &self.naming[usize::from(pack.as_bytes()[0]) % self.naming.len()];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pack that is being uploaded. Dropped before it is finished, it leaves
/// nothing and gives its room back.
pub struct Upload {
    packs: Arc<Packs>,
    reservation: Option<Reservation>,
    incoming: Option<Box<dyn Incoming>>,
    hasher: blake3::Hasher,
    blob: Blob,
    received_bytes: u32,
}

impl Upload {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`PutError`]; the upload is over then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PutError> {
        /// How often disk and quota are looked at again.
        const CHECK_EVERY_BYTES: u32 = 1 << 20;
        let room = self.blob.size - self.received_bytes;
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length <= room);
        let Some(length) = length else {
            return Err(PutError::WrongLength {
                announced: self.blob.size,
            });
        };
        let before = self.received_bytes / CHECK_EVERY_BYTES;
        self.received_bytes += length;
        if self.received_bytes / CHECK_EVERY_BYTES > before {
            self.check_room()?;
        }
        self.hasher.update(bytes);
        if let Some(incoming) = &mut self.incoming {
            incoming.write(bytes)?;
        }
        Ok(())
    }

    /// Checks length, hash and quota, makes the pack durable and then known.
    ///
    /// # Errors
    /// [`PutError`]; nothing is kept then.
    pub fn finish(mut self, now: UnixTime) -> Result<(), PutError> {
        if self.received_bytes != self.blob.size {
            return Err(PutError::WrongLength {
                announced: self.blob.size,
            });
        }
        if self.hasher.finalize().as_bytes() != self.blob.pack.as_bytes() {
            return Err(PutError::HashMismatch);
        }
        self.check_room()?;
        let Some(mut incoming) = self.incoming.take() else {
            return Ok(());
        };
        incoming.settle()?;
        let packs = Arc::clone(&self.packs);
        let _naming = packs.naming(&self.blob.pack);
        incoming.finish()?;
        if let Some(reservation) = self.reservation.take() {
            // Should this fail, the blob is one that the ledger does not know:
            // the next start deletes it.
            packs.ledger.record_pack(reservation, now)?;
        }
        Ok(())
    }

    fn check_room(&self) -> Result<(), PutError> {
        if self.packs.disk_reserve.is_touched(self.packs.blobs.room()?) {
            return Err(PutError::DiskFull);
        }
        let full = match &self.reservation {
            Some(reservation) => self.packs.ledger.still_fits(reservation)?,
            None => None,
        };
        full.map_or(Ok(()), |fullness| Err(PutError::OverQuota(fullness)))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            self.packs.ledger.release(reservation);
        }
    }
}

/// How much a sweep does between two looks at the ledger.
const AT_ONCE: usize = 1024;
/// How long a blob that cannot be deleted is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(60 * 60);

/// What went wrong in work that goes on all the same.
#[derive(Default)]
struct Failures {
    first: Option<StoreError>,
    more: u64,
}

impl Failures {
    /// What came of a part of the work; `None` if it went wrong.
    fn note<T>(&mut self, result: Result<T, impl Into<StoreError>>) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(error) => {
                match self.first {
                    None => self.first = Some(error.into()),
                    Some(_) => self.more += 1,
                }
                None
            }
        }
    }

    /// What came of all of it.
    fn end<T>(self, done: T) -> Result<T, StoreError> {
        let Some(first) = self.first else {
            return Ok(done);
        };
        if self.more > 0 {
            tracing::error!(more = self.more, %first, "the store failed more than once");
        }
        Err(first)
    }
}

/// What a sweep took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Packs,
    pub packs: u64,
    /// their bytes,
    pub bytes: u64,
    /// old roots,
    pub roots: u64,
    /// offers that waited too long,
    pub offers: u64,
    /// and links that are over.
    pub links: u64,
}

/// What did not agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Blobs that the ledger did not know, which were deleted.
    pub unknown: u64,
    /// Packs whose bytes are not there.
    pub lost: u64,
}

/// Why an upload was refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// There is no such vault.
    #[error("there is no such vault")]
    NoSuchVault,
    /// The member's quota is full.
    #[error("the quota is full")]
    OverQuota(Fullness),
    /// The disk is as full as it may get.
    #[error("the disk is full")]
    DiskFull,
    /// More or fewer bytes than announced.
    #[error("not the {announced} bytes that were announced")]
    WrongLength {
        /// By the header.
        announced: u32,
    },
    /// The bytes are not those of the name.
    #[error("the bytes do not have the hash they were sent under")]
    HashMismatch,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

/// Why one of the two stores could not do its part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The bytes.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<BlobError> for PutError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full => Self::DiskFull,
            error => Self::Store(error.into()),
        }
    }
}

impl From<LedgerError> for PutError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Full => Self::DiskFull,
            error => Self::Store(error.into()),
        }
    }
}

/// A visitor of one store may return that store's errors only.
fn into_blob_error(error: LedgerError) -> BlobError {
    BlobError::Io(std::io::Error::other(error))
}

/// See [`into_blob_error`].
fn into_ledger_error(error: BlobError) -> LedgerError {
    LedgerError::Io(std::io::Error::other(error))
}

impl Packs {
    /// Which packs of a vault are there; renews the leases of unclaimed ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn have(
        &self,
        vault: &VaultId,
        packs: &[PackId],
        now: UnixTime,
    ) -> Result<Vec<Presence>, StoreError> {
        let records = self.ledger.renew_leases(vault, packs, now)?;
        let presence = records
            .iter()
            .map(|record| record.as_ref().map_or(Presence::Absent, Pack::presence));
        Ok(presence.collect())
    }
}
