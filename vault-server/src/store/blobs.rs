//! The port for bulk bytes.

use std::io;

use super::records::Blob;

/// Stores blobs: immutable, named by their hash, opaque.
///
/// Calls block (on the disk, on fsync, on RocksDB); async code calls them
/// through `spawn_blocking`. A `Box<dyn Incoming>` moves between threads, so an
/// upload holds a thread only while a message is being written.
///
/// # What an adapter guarantees
/// - A blob can be read as soon as [`Incoming::finish`] returned, survives the
///   process being killed from then on, and survives a power cut from the next
///   synced write of the ledger on, whichever adapter that ledger is.
/// - A blob is there whole or not at all, and never under a name that
///   [`Incoming::finish`] was not called for.
/// - Storing a blob that is there already succeeds and changes nothing.
pub trait BlobStore: Send + Sync + 'static {
    /// Begins to store a blob. Dropping what is returned abandons it.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::Io`].
    fn begin(&self, blob: &Blob) -> Result<Box<dyn Incoming>, BlobError>;

    /// Fills `into` with the blob's bytes from `offset` on.
    ///
    /// # Errors
    /// [`BlobError::Missing`]; [`BlobError::Damaged`] when the blob is shorter
    /// than that; [`BlobError::Io`].
    fn read(&self, blob: &Blob, offset: u32, into: &mut [u8]) -> Result<(), BlobError>;

    /// Deletes a blob; succeeds if there is none.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    fn delete(&self, blob: &Blob) -> Result<(), BlobError>;

    /// Whether the blob is there, with its length. No byte is read.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    fn is_there(&self, blob: &Blob) -> Result<bool, BlobError>;

    /// Whether the blob can be missing while its record stands in the ledger; not
    /// so for what is in the same database, and written first.
    fn is_apart(&self, _blob: &Blob) -> bool {
        true
    }

    /// Calls `visit` for every blob, or only for those that may be without a record
    /// in the ledger, in no particular order. What is stored or
    /// deleted meanwhile may be visited or not. What cannot be read is passed over.
    ///
    /// # Errors
    /// What `visit` returned, at once; or the first [`BlobError::Io`], once all the
    /// others were visited.
    fn list(
        &self,
        which: Which,
        visit: &mut dyn FnMut(Blob) -> Result<(), BlobError>,
    ) -> Result<(), BlobError>;

    /// Reads the whole blob and compares its hash with its name.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Damaged`], [`BlobError::Io`].
    fn verify(&self, blob: &Blob) -> Result<(), BlobError>;

    /// How much room there is for more.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    fn room(&self) -> Result<Room, BlobError>;
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every blob.
    All,
    /// Those that a crash can leave without a record in the ledger.
    ApartFromLedger,
}

/// A blob that is being stored. Dropped before it is finished, it leaves nothing.
pub trait Incoming: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::Io`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError>;

    /// Makes the bytes durable under a name nobody sees yet. The slow half of
    /// storing a blob, which needs no lock.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::Io`].
    fn settle(&mut self) -> Result<(), BlobError>;

    /// Gives the bytes their name. The caller has checked that they are those
    /// of the blob, and calls [`settle`](Self::settle) first.
    ///
    /// # Errors
    /// [`BlobError::Full`], [`BlobError::Io`].
    fn finish(self: Box<Self>) -> Result<(), BlobError>;
}

/// Free and total bytes of the file system that blobs are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Bytes there are altogether.
    pub total_bytes: u64,
}

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There is no such blob.
    #[error("the pack is not there")]
    Missing,
    /// The bytes are not those of the name, or fewer than there should be.
    #[error("the pack is damaged")]
    Damaged,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The caller changed its mind.
    #[error("interrupted")]
    Interrupted,
    /// The disk or the database failed.
    #[error("the store failed: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::UnexpectedEof => Self::Damaged,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}
