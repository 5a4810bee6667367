//! Both halves of the embedded blob store: small packs in RocksDB, large ones
//! as files.

use std::io;

use vault_proto::ids::PackId;

use super::{
    disk::Sync,
    files::FileBlobs,
    keys,
    rocks::{Rocks, Table},
};
use crate::store::{
    blobs::{BlobError, BlobStore, Incoming, Room, Which},
    records::Blob,
};

/// From this size on, a pack is a file: below, a directory entry, an inode and
/// the rest of a block would cost more than RocksDB's second write.
pub const FILE_FROM_BYTES: u32 = 128 << 10;

/// Packs of less than [`FILE_FROM_BYTES`] in RocksDB, the others as files.
pub struct EmbeddedBlobs {
    pub(super) files: FileBlobs,
    pub(super) rocks: Rocks,
}

const fn is_file(blob: &Blob) -> bool {
    blob.size >= FILE_FROM_BYTES
}

impl BlobStore for EmbeddedBlobs {
    fn begin(&self, blob: &Blob) -> Result<Box<dyn Incoming>, BlobError> {
        if is_file(blob) {
            return self.files.begin(blob);
        }
        Ok(Box::new(SmallUpload {
            blob: *blob,
            bytes: Vec::with_capacity(blob.size as usize),
            rocks: self.rocks.clone(),
        }))
    }

    fn read(&self, blob: &Blob, offset: u32, into: &mut [u8]) -> Result<(), BlobError> {
        if is_file(blob) {
            return self.files.read(blob, offset, into);
        }
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let bytes = self.rocks.get(Table::SmallPacks, &key)?;
        let bytes = bytes.ok_or(BlobError::Missing)?;
        let offset = offset as usize;
        let range = offset..offset.saturating_add(into.len());
        into.copy_from_slice(bytes.get(range).ok_or(BlobError::Damaged)?);
        Ok(())
    }

    fn delete(&self, blob: &Blob) -> Result<(), BlobError> {
        if is_file(blob) {
            return self.files.delete(blob);
        }
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let mut batch = self.rocks.batch();
        batch.delete(Table::SmallPacks, &key);
        batch.delete(Table::Unrecorded, &key);
        Ok(batch.write(Sync::Later)?)
    }

    fn is_there(&self, blob: &Blob) -> Result<bool, BlobError> {
        if is_file(blob) {
            return self.files.is_there(blob);
        }
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let bytes = self.rocks.get(Table::SmallPacks, &key)?;
        Ok(bytes.is_some_and(|bytes| bytes.len() == blob.size as usize))
    }

    fn is_apart(&self, blob: &Blob) -> bool {
        is_file(blob)
    }

    fn list(
        &self,
        which: Which,
        visit: &mut dyn FnMut(Blob) -> Result<(), BlobError>,
    ) -> Result<(), BlobError> {
        let mut small = |key: &[u8], bytes: &[u8]| {
            let damaged = || BlobError::Io(io::Error::other("a key names no pack"));
            let (vault, pack) = keys::pack_of(key).ok_or_else(damaged)?;
            let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            visit(Blob { vault, pack, size })?;
            Ok::<_, BlobError>(true)
        };
        match which {
            Which::All => self.rocks.visit(Table::SmallPacks, &[], small)?,
            // Of all small packs there may be too many to read.
            Which::ApartFromLedger => {
                self.rocks.visit(Table::Unrecorded, &[], |key, _| {
                    match self.rocks.get(Table::SmallPacks, key)? {
                        Some(bytes) => small(key, &bytes),
                        None => Ok(true),
                    }
                })?;
            }
        }
        // Last: it may end with what could not be read.
        self.files.list(which, visit)
    }

    fn verify(&self, blob: &Blob) -> Result<(), BlobError> {
        if is_file(blob) {
            return self.files.verify(blob);
        }
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let bytes = self.rocks.get(Table::SmallPacks, &key)?;
        let bytes = bytes.ok_or(BlobError::Missing)?;
        match PackId::of(&bytes) == blob.pack {
            true => Ok(()),
            false => Err(BlobError::Damaged),
        }
    }

    fn room(&self) -> Result<Room, BlobError> {
        self.files.room()
    }
}

struct SmallUpload {
    blob: Blob,
    bytes: Vec<u8>,
    rocks: Rocks,
}

impl Incoming for SmallUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), BlobError> {
        Ok(())
    }

    /// Written, not synced: the ledger's record of it stands after it in the
    /// same write-ahead log, and so does the head that adds it, which is synced.
    /// Should the process die in between, it is still listed as unrecorded.
    fn finish(self: Box<Self>) -> Result<(), BlobError> {
        let key = keys::of_pack(&self.blob.vault, &self.blob.pack);
        let mut batch = self.rocks.batch();
        batch.put(Table::SmallPacks, &key, &self.bytes);
        batch.put(Table::Unrecorded, &key, &[]);
        Ok(batch.write(Sync::Later)?)
    }
}
