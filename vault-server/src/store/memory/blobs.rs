use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vault_proto::ids::PackId;

use crate::store::{
    blobs::{BlobError, BlobStore, Incoming, Room, Which},
    records::Blob,
};

/// Blobs in a map.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Blobs,
}

type Blobs = Arc<Mutex<BTreeMap<Blob, Vec<u8>>>>;

impl MemoryBlobs {
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<Blob, Vec<u8>>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for MemoryBlobs {
    fn begin(&self, blob: &Blob) -> Result<Box<dyn Incoming>, BlobError> {
        Ok(Box::new(Upload {
            blob: *blob,
            bytes: Vec::new(),
            blobs: Arc::clone(&self.blobs),
        }))
    }

    fn read(&self, blob: &Blob, offset: u32, into: &mut [u8]) -> Result<(), BlobError> {
        let blobs = self.blobs();
        let bytes = blobs.get(blob).ok_or(BlobError::Missing)?;
        let offset = offset as usize;
        let range = offset..offset.saturating_add(into.len());
        into.copy_from_slice(bytes.get(range).ok_or(BlobError::Damaged)?);
        Ok(())
    }

    fn delete(&self, blob: &Blob) -> Result<(), BlobError> {
        self.blobs().remove(blob);
        Ok(())
    }

    fn is_there(&self, blob: &Blob) -> Result<bool, BlobError> {
        Ok(self.blobs().contains_key(blob))
    }

    fn list(
        &self,
        _which: Which,
        visit: &mut dyn FnMut(Blob) -> Result<(), BlobError>,
    ) -> Result<(), BlobError> {
        let blobs: Vec<_> = self.blobs().keys().copied().collect();
        blobs.into_iter().try_for_each(visit)
    }

    fn verify(&self, blob: &Blob) -> Result<(), BlobError> {
        match self.blobs().get(blob) {
            None => Err(BlobError::Missing),
            Some(bytes) if PackId::of(bytes) == blob.pack => Ok(()),
            Some(_) => Err(BlobError::Damaged),
        }
    }

    fn room(&self) -> Result<Room, BlobError> {
        Ok(Room {
            free_bytes: u64::MAX,
            total_bytes: u64::MAX,
        })
    }
}

struct Upload {
    blob: Blob,
    bytes: Vec<u8>,
    blobs: Blobs,
}

impl Incoming for Upload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), BlobError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), BlobError> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.entry(self.blob).or_insert(self.bytes);
        Ok(())
    }
}
