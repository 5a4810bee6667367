//! The contract of [`BlobStore`].

use std::collections::BTreeSet;

use vault_proto::ids::{PackId, VaultId};

use super::contract;
use crate::store::{
    blobs::{BlobError, BlobStore, Which},
    embedded, memory,
    records::Blob,
};

macro_rules! suite {
    ($adapter:ident, $make:expr) => {
        contract!(
            $adapter,
            $make,
            crate::store::contract::blobs {
                a_blob_reads_back_whole_and_in_ranges,
                what_is_not_finished_leaves_nothing,
                storing_again_succeeds_and_changes_nothing,
                the_same_pack_in_two_vaults_is_two_blobs,
                a_deleted_blob_is_gone_and_can_come_back,
                a_read_beyond_the_end_is_damage,
                listing_visits_every_blob_once,
                verify_tells_whole_from_damaged_from_missing,
                there_is_room,
            }
        );
    };
}

suite!(
    memory_blobs,
    crate::store::contract::blobs::Memory::default()
);
suite!(embedded_blobs, crate::store::contract::blobs::OnDisk::new());

#[derive(Default)]
pub(super) struct Memory(memory::MemoryBlobs);

impl Memory {
    fn port(&self) -> &dyn BlobStore {
        &self.0
    }
}

/// An embedded store, whose directory goes when it does.
pub(super) struct OnDisk {
    pub(super) store: embedded::Embedded,
    pub(super) directory: tempfile::TempDir,
}

impl OnDisk {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = std::sync::Arc::new(embedded::RealDisk);
        let terms = crate::store::Terms::default();
        let (lock, _) = embedded::DirectoryLock::acquire(directory.path()).unwrap();
        Self {
            store: embedded::open(directory.path(), lock, terms, disk).unwrap(),
            directory,
        }
    }
}

impl OnDisk {
    fn port(&self) -> &dyn BlobStore {
        &self.store.blobs
    }
}

/// Below, at and above where packs become files.
const SIZES: [usize; 3] = [16 << 10, 128 << 10, 256 << 10];

/// Bytes that differ everywhere, and their name in vault `number`.
fn blob(number: u8, size: usize) -> (Blob, Vec<u8>) {
    let mut bytes = vec![0; size];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    let blob = Blob {
        vault: VaultId::from_array([number; 32]),
        pack: PackId::of(&bytes),
        size: size.try_into().unwrap(),
    };
    (blob, bytes)
}

fn store(blobs: &dyn BlobStore, blob: &Blob, bytes: &[u8]) {
    let mut incoming = blobs.begin(blob).unwrap();
    for part in bytes.chunks(10_000) {
        incoming.write(part).unwrap();
    }
    incoming.settle().unwrap();
    incoming.finish().unwrap();
}

fn listed(blobs: &dyn BlobStore) -> Vec<Blob> {
    let mut listed = Vec::new();
    let mut visit = |blob| {
        listed.push(blob);
        Ok(())
    };
    blobs.list(Which::All, &mut visit).unwrap();
    listed
}

pub(super) fn a_blob_reads_back_whole_and_in_ranges(blobs: &dyn BlobStore) {
    for size in SIZES {
        let (blob, bytes) = blob(1, size);
        store(blobs, &blob, &bytes);
        assert!(blobs.is_there(&blob).unwrap());
        for (offset, length) in [(0, size), (0, 1), (size - 1, 1), (4_000, 8_000), (size, 0)] {
            let mut read = vec![0; length];
            blobs.read(&blob, offset as u32, &mut read).unwrap();
            assert_eq!(read, bytes[offset..offset + length]);
        }
    }
}

pub(super) fn what_is_not_finished_leaves_nothing(blobs: &dyn BlobStore) {
    for size in SIZES {
        let (blob, bytes) = blob(1, size);
        let mut incoming = blobs.begin(&blob).unwrap();
        incoming.write(&bytes).unwrap();
        incoming.settle().unwrap();
        assert!(!blobs.is_there(&blob).unwrap());
        drop(incoming);
        assert!(!blobs.is_there(&blob).unwrap());
        let read = blobs.read(&blob, 0, &mut [0]);
        assert!(matches!(read, Err(BlobError::Missing)), "{read:?}");
    }
    assert_eq!(listed(blobs), []);
}

pub(super) fn storing_again_succeeds_and_changes_nothing(blobs: &dyn BlobStore) {
    for size in SIZES {
        let (blob, bytes) = blob(1, size);
        // Two uploads of the same pack at once.
        let mut other = blobs.begin(&blob).unwrap();
        other.write(&bytes).unwrap();
        store(blobs, &blob, &bytes);
        other.settle().unwrap();
        other.finish().unwrap();
        blobs.verify(&blob).unwrap();
    }
    assert_eq!(listed(blobs).len(), SIZES.len());
}

pub(super) fn the_same_pack_in_two_vaults_is_two_blobs(blobs: &dyn BlobStore) {
    for size in SIZES {
        let ((one, bytes), (two, _)) = (blob(1, size), blob(2, size));
        store(blobs, &one, &bytes);
        assert!(!blobs.is_there(&two).unwrap());
        store(blobs, &two, &bytes);
        blobs.delete(&one).unwrap();
        blobs.verify(&two).unwrap();
    }
}

pub(super) fn a_deleted_blob_is_gone_and_can_come_back(blobs: &dyn BlobStore) {
    for size in SIZES {
        let (blob, bytes) = blob(1, size);
        blobs.delete(&blob).unwrap();
        store(blobs, &blob, &bytes);
        blobs.delete(&blob).unwrap();
        blobs.delete(&blob).unwrap();
        assert!(!blobs.is_there(&blob).unwrap());
        let read = blobs.read(&blob, 0, &mut [0]);
        assert!(matches!(read, Err(BlobError::Missing)), "{read:?}");
        store(blobs, &blob, &bytes);
        blobs.verify(&blob).unwrap();
    }
}

pub(super) fn a_read_beyond_the_end_is_damage(blobs: &dyn BlobStore) {
    for size in SIZES {
        let (blob, bytes) = blob(1, size);
        store(blobs, &blob, &bytes);
        for (offset, length) in [(size, 1), (size - 1, 2), (usize::MAX, 1)] {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            let read = blobs.read(&blob, offset, &mut vec![0; length]);
            assert!(matches!(read, Err(BlobError::Damaged)), "{read:?}");
        }
    }
}

pub(super) fn listing_visits_every_blob_once(blobs: &dyn BlobStore) {
    let stored: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|vault| SIZES.map(|size| blob(vault, size)))
        .collect();
    for (blob, bytes) in &stored {
        store(blobs, blob, bytes);
    }
    let listed = listed(blobs);
    assert_eq!(listed.len(), stored.len());
    let stored: BTreeSet<_> = stored.into_iter().map(|(blob, _)| blob).collect();
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), stored);
    let stop = blobs.list(Which::All, &mut |_| Err(BlobError::Full));
    assert!(matches!(stop, Err(BlobError::Full)));
}

pub(super) fn verify_tells_whole_from_damaged_from_missing(blobs: &dyn BlobStore) {
    for size in SIZES {
        let (blob, mut bytes) = blob(1, size);
        assert!(matches!(blobs.verify(&blob), Err(BlobError::Missing)));
        bytes[size / 2] ^= 1;
        store(blobs, &blob, &bytes);
        assert!(matches!(blobs.verify(&blob), Err(BlobError::Damaged)));
    }
}

pub(super) fn there_is_room(blobs: &dyn BlobStore) {
    let room = blobs.room().unwrap();
    assert!(0 < room.free_bytes && room.free_bytes <= room.total_bytes);
}
