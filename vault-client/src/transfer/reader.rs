//! Where chunks of metadata come from: the index says where, the cache or the
//! hoster gives the bytes, the keys open and check them.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vault_core::{
    chunk::{ChunkId, ChunkKind, ChunkSource},
    index::IndexEntry,
    keys::VaultKeys,
    pack::MAX_PACK_LEN,
    seal::{Decompressor, Plaintext},
};
use vault_proto::{
    ids::{PackId, VaultId},
    wire::Located,
};

use super::{Fetch, PackCache, Splitter, TransferError, plan, plan_packs};
use crate::{
    error::ErrorCode,
    index::VaultIndex,
    remote::{MAX_RANGES_PER_CALL, PackRange, RefusalReason, Remote, RemoteError},
};

/// Every size that a pack can have, in bytes: powers of two from 16 KiB to 16 MiB.
const PACK_SIZES: [u32; 11] = {
    let mut sizes = [16 << 10; 11];
    let mut class = 1;
    while class < sizes.len() {
        sizes[class] = sizes[class - 1] * 2;
        class += 1;
    }
    sizes
};

/// Reads single chunks of one vault. Made for metadata: a pack that holds
/// some is fetched whole, checked against its id, and kept.
#[derive(Clone)]
pub(crate) struct Reader {
    vault: VaultId,
    keys: Arc<VaultKeys>,
    index: Arc<VaultIndex>,
    remote: Arc<dyn Remote>,
    cache: Arc<PackCache>,
    faults: Arc<Mutex<Faults>>,
}

/// What was found out about packs: each is asked for once.
#[derive(Default)]
struct Faults {
    /// Those that the hoster has sent other bytes for.
    altered: HashSet<PackId>,
    /// Whether it has lost a pack, where that was asked.
    lost: HashMap<PackId, bool>,
}

impl Reader {
    pub(crate) fn new(
        vault: VaultId,
        keys: Arc<VaultKeys>,
        index: Arc<VaultIndex>,
        remote: Arc<dyn Remote>,
        cache: Arc<PackCache>,
    ) -> Self {
        Self {
            vault,
            keys,
            index,
            remote,
            cache,
            faults: Arc::default(),
        }
    }

    /// Opens a chunk at the first of its places where it is. Another member can
    /// put a wrong place before the right one; and what one pack has lost may
    /// lie in another.
    ///
    /// # Errors
    /// When it is at none: what is worst of all that was found, which is a hoster
    /// that did not keep a pack.
    pub(crate) fn read(&self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>, TransferError> {
        let mut worst = TransferError::Unknown;
        for place in self.index.places(kind, id)? {
            match self.read_entry(&place) {
                Ok(plaintext) => return Ok(plaintext),
                Err(error) if error.code() == ErrorCode::HosterMisbehaved => worst = error,
                Err(error) if error.is_lasting() => {
                    if worst.code() != ErrorCode::HosterMisbehaved {
                        worst = error;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(worst)
    }

    /// Opens the chunk that an index entry locates.
    pub(crate) fn read_entry(&self, entry: &IndexEntry) -> Result<Vec<u8>, TransferError> {
        let open = |sealed: &[u8]| {
            self.keys
                .open_chunk(entry.epoch, entry.kind, &entry.id, sealed)
        };
        let cached = self
            .cache
            .read(&entry.pack, entry.offset, entry.sealed_length);
        if let Some(plaintext) = cached.and_then(|sealed| open(&sealed).ok()) {
            return Ok(plaintext);
        }
        // The hoster could send nothing else.
        if self.cache.holds(&entry.pack) {
            return Err(TransferError::Misplaced);
        }
        self.cache.forget(&entry.pack);
        let bytes = self.fetch(&entry.pack, entry.pack_size)?;
        let sealed = slice(&bytes, entry.offset, entry.sealed_length)?;
        open(sealed).map_err(|_| TransferError::Misplaced)
    }

    /// Opens a chunk that the root names directly.
    pub(crate) fn read_located(
        &self,
        kind: ChunkKind,
        at: &Located,
    ) -> Result<Vec<u8>, TransferError> {
        let pack = PackId::from_slice(&at.pack).map_err(|_| TransferError::Unknown)?;
        let id = ChunkId::from_slice(&at.chunk_id).ok_or(TransferError::Unknown)?;
        let checked = |sealed: &[u8]| {
            (blake3::hash(sealed).as_bytes() == at.sealed_hash.as_slice())
                .then(|| self.keys.open_chunk(at.epoch, kind, &id, sealed).ok())
                .flatten()
        };
        if let Some(sealed) = self.cache.read(&pack, at.offset, at.sealed_length) {
            if let Some(plaintext) = checked(&sealed) {
                return Ok(plaintext);
            }
            self.cache.forget(&pack);
        }
        if at.pack_size as usize > MAX_PACK_LEN {
            return Err(TransferError::Unknown);
        }
        let bytes = self.fetch(&pack, at.pack_size)?;
        checked(slice(&bytes, at.offset, at.sealed_length)?).ok_or(TransferError::Misplaced)
    }

    /// Opens a sealed chunk and checks that it is the one that the entry names.
    pub(crate) fn open(
        &self,
        entry: &IndexEntry,
        sealed: Vec<u8>,
        decompressor: &mut Decompressor,
    ) -> Result<Plaintext, TransferError> {
        let IndexEntry {
            epoch, kind, id, ..
        } = entry;
        let opened = self
            .keys
            .open_chunk_with(*epoch, *kind, id, sealed, decompressor);
        opened.map_err(|_| TransferError::Altered)
    }

    /// Whether a chunk opens where an entry says. If not, that may be anybody's
    /// doing: no more than its own bytes are read.
    pub(crate) fn opens(&self, entry: &IndexEntry) -> Result<bool, TransferError> {
        let mut opens = false;
        let read = self.read_fetches(plan(&[*entry]), &mut |entry, sealed| {
            let opened = self.open(&entry, sealed, &mut Decompressor::default());
            opens = opened.is_ok();
            Ok(())
        });
        match read {
            Ok(()) => Ok(opens),
            Err(error) if error.is_lasting() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A sealed chunk of a pack that the hoster has sent whole, as it was stored, since
    /// this was opened: it needs not send it again.
    pub(crate) fn kept(&self, entry: &IndexEntry) -> Option<Vec<u8>> {
        if self.faults().lost.get(&entry.pack) != Some(&false) {
            return None;
        }
        self.cache
            .read(&entry.pack, entry.offset, entry.sealed_length)
    }

    /// Fetches the sealed chunks of `wanted` in as few ranges as is sensible,
    /// and hands each over once, in the order of packs and offsets.
    pub(crate) fn read_many(
        &self,
        wanted: &[IndexEntry],
        deliver: &mut dyn FnMut(IndexEntry, Vec<u8>) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        self.read_fetches(plan_packs(wanted), deliver)
    }

    fn read_fetches(
        &self,
        mut fetches: Vec<Fetch>,
        deliver: &mut dyn FnMut(IndexEntry, Vec<u8>) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        while !fetches.is_empty() {
            let rest = fetches.split_off(MAX_RANGES_PER_CALL.min(fetches.len()));
            self.read_ranges(std::mem::replace(&mut fetches, rest), deliver)?;
        }
        Ok(())
    }

    fn read_ranges(
        &self,
        fetches: Vec<Fetch>,
        deliver: &mut dyn FnMut(IndexEntry, Vec<u8>) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        let ranges: Vec<_> = fetches
            .iter()
            .map(|fetch| PackRange {
                pack: fetch.pack,
                offset: fetch.offset,
                length: fetch.length,
            })
            .collect();
        let mut splitter = Splitter::new(fetches);
        let mut failure = None;
        let read = self
            .remote
            .read_packs(&self.vault, &ranges, &mut |part| match splitter
                .push(&part, &mut |entry, sealed| deliver(entry, sealed))
            {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            });
        match failure {
            Some(error) => Err(error),
            None => read.map_err(unreadable_range),
        }
    }

    /// Fetches a whole pack, checks it against its id, and keeps it.
    pub(crate) fn fetch(&self, pack: &PackId, size: u32) -> Result<Vec<u8>, TransferError> {
        if self.faults().altered.contains(pack) {
            return Err(TransferError::Altered);
        }
        let Some(bytes) = self.read_whole(pack, size)? else {
            if self.has_another_size(pack, size)? {
                return Err(TransferError::Misplaced);
            }
            self.faults().altered.insert(*pack);
            return Err(TransferError::Altered);
        };
        self.keep(pack, &bytes)?;
        Ok(bytes)
    }

    /// Keeps a pack that the hoster has sent as it was stored.
    fn keep(&self, pack: &PackId, bytes: &[u8]) -> Result<(), TransferError> {
        self.faults().lost.insert(*pack, false);
        self.cache.keep(pack, bytes).map_err(TransferError::Cache)
    }

    /// Whether the hoster has not kept the pack that an entry names as it was given
    /// it, whatever this device has of it.
    ///
    /// # Errors
    /// When that cannot be found out now.
    pub(crate) fn has_lost(&self, entry: &IndexEntry) -> Result<bool, TransferError> {
        if let Some(lost) = self.faults().lost.get(&entry.pack) {
            return Ok(*lost);
        }
        let lost = match self.fetch(&entry.pack, entry.pack_size) {
            Err(error) if !error.is_lasting() => return Err(error),
            fetched => fetched.is_err_and(|error| error.code() == ErrorCode::HosterMisbehaved),
        };
        self.faults().lost.insert(entry.pack, lost);
        Ok(lost)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the hoster has kept the pack as it was given it, and only the size
    /// is wrong that a member says it has. Such a pack is kept: it is not asked for
    /// again for every chunk that is said to be in it.
    pub(crate) fn has_another_size(&self, pack: &PackId, size: u32) -> Result<bool, TransferError> {
        for length in PACK_SIZES {
            if length == size {
                continue;
            }
            if let Some(bytes) = self.read_whole(pack, length)? {
                self.keep(pack, &bytes)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The bytes of a pack, if it has that size and they are those of its id.
    fn read_whole(&self, pack: &PackId, size: u32) -> Result<Option<Vec<u8>>, TransferError> {
        let range = PackRange {
            pack: *pack,
            offset: 0,
            length: size,
        };
        match self.read_range(range) {
            Ok(bytes) => Ok((PackId::of(&bytes) == *pack).then_some(bytes)),
            Err(TransferError::Altered) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_range(&self, range: PackRange) -> Result<Vec<u8>, TransferError> {
        let mut bytes = Vec::with_capacity(range.length as usize);
        let read = self.remote.read_packs(&self.vault, &[range], &mut |part| {
            bytes.extend_from_slice(&part);
            ControlFlow::Continue(())
        });
        read.map_err(unreadable_range)?;
        Ok(bytes)
    }
}

/// A hoster that finds a range senseless which lies inside the pack has another
/// pack under that name.
pub(crate) fn unreadable_range(error: RemoteError) -> TransferError {
    match error {
        RemoteError::Refused(refusal) if refusal.reason == RefusalReason::Malformed => {
            TransferError::Altered
        }
        error => error.into(),
    }
}

fn slice(bytes: &[u8], offset: u32, length: u32) -> Result<&[u8], TransferError> {
    let start = offset as usize;
    bytes
        .get(start..start + length as usize)
        .ok_or(TransferError::Unknown)
}

impl ChunkSource for Reader {
    type Error = TransferError;

    fn read_chunk(&mut self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>, TransferError> {
        self.read(kind, id)
    }
}
