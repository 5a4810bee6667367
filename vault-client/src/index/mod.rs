//! Which pack holds a chunk, as this device knows it.
//!
//! Segments that a verified root names are opened once and kept as sorted
//! files, of which memory holds a fan-out table and a filter. Chunks that were
//! uploaded and that no head holds yet are in memory, in a map.

mod merging;
mod new_segments;
mod own_packs;

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use data_encoding::HEXLOWER;
use vault_core::{
    chunk::{ChunkId, ChunkKind},
    index::{
        IndexEntry, OwnPack, Segment, SegmentError,
        sorted::{self, SortedError, SortedSegment},
    },
    pack::PackEntry,
};
use vault_proto::{
    ids::PackId,
    wire::{Located, SegmentRef},
};

pub(crate) use new_segments::{
    OwnSegment, PlacedAt, Tail, located, rewrite_segments, write_segments,
};
pub(crate) use own_packs::OwnPacks;

use crate::{
    error::ErrorCode,
    transfer::{Reader, SentPack, TransferError},
};

/// Why the index could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A file of the device's cache.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the device's cache was damaged. It is gone now, and is made
    /// again when the vault is opened next.
    #[error("a cached index segment was damaged; try again")]
    Damaged,
    /// A member's device has written a segment that is none.
    #[error("a malformed index segment: {0}")]
    Malformed(#[from] SegmentError),
}

impl IndexError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorCode::DiskFull
            }
            Self::File { .. } | Self::Damaged => ErrorCode::LocalState,
            Self::Malformed(_) => ErrorCode::Corrupt,
        }
    }
}

/// The index of one vault; shared by all threads of an operation.
pub(crate) struct VaultIndex {
    directory: PathBuf,
    /// Newest last.
    segments: RwLock<Vec<Arc<LocalSegment>>>,
    pending: RwLock<HashMap<ChunkId, IndexEntry>>,
    /// In a vault that other members write to.
    own_packs: Option<OwnPacks>,
}

struct LocalSegment {
    file: File,
    path: PathBuf,
    sorted: SortedSegment,
}

impl VaultIndex {
    /// An index that knows nothing yet, and keeps its files in `directory`.
    /// `own_packs` are those of a vault that other members write to.
    pub(crate) fn open(
        directory: PathBuf,
        own_packs: Option<OwnPacks>,
    ) -> Result<Self, IndexError> {
        fs::create_dir_all(&directory).map_err(|source| failed(&directory, source))?;
        Ok(Self {
            directory,
            segments: RwLock::default(),
            pending: RwLock::default(),
            own_packs,
        })
    }

    /// Comes to know just the segments of a verified root, fetching those that
    /// this device does not have.
    pub(crate) fn follow(&self, refs: &[SegmentRef], reader: &Reader) -> Result<(), TransferError> {
        let mut segments = Vec::with_capacity(refs.len());
        for reference in refs {
            let at = reference.at.as_ref().ok_or(TransferError::Unknown)?;
            segments.push(match self.known(&at.sealed_hash)? {
                Some(segment) => segment,
                None => {
                    let plaintext = reader.read_located(ChunkKind::Index, at)?;
                    self.keep(at, &plaintext)?
                }
            });
        }
        self.forget_all_but(&segments)?;
        *self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner) = segments;
        Ok(())
    }

    /// Keeps a segment that this device has written itself.
    pub(crate) fn keep_own(&self, at: &Located, plaintext: &[u8]) -> Result<(), IndexError> {
        self.keep(at, plaintext).map(drop)
    }

    /// Whether it knows that other members write to the vault.
    pub(crate) fn is_wary(&self) -> bool {
        self.own_packs.is_some()
    }

    /// Whether the vault holds the chunk, as far as this device can vouch for:
    /// where other members write, only what it has sealed itself. Whoever does
    /// not find a chunk here stores it (again).
    pub(crate) fn vouches_for(&self, id: &ChunkId) -> Result<bool, TransferError> {
        let Some(own_packs) = &self.own_packs else {
            let mut held = false;
            self.visit_places(id, |_| {
                held = true;
                held
            })?;
            return Ok(held);
        };
        let pending = self.pending.read().unwrap_or_else(PoisonError::into_inner);
        if pending.contains_key(id) {
            return Ok(true);
        }
        drop(pending);
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        for segment in segments.iter().rev() {
            if let Some(entry) = segment.find(id)?
                && own_packs.hold(&entry)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this device has sealed the chunk just there, since it knows that
    /// other members write to the vault.
    fn vouches_for_place(&self, place: &IndexEntry) -> Result<bool, TransferError> {
        match &self.own_packs {
            Some(own_packs) => Ok(own_packs.hold(place)?),
            None => Ok(false),
        }
    }

    /// Where the newest segment says that a chunk of a kind is. Another member's
    /// segment may be wrong: see [`Self::places`].
    pub(crate) fn lookup(
        &self,
        kind: ChunkKind,
        id: &ChunkId,
    ) -> Result<Option<IndexEntry>, IndexError> {
        let mut found = None;
        self.visit_places(id, |entry| {
            found = (entry.kind == kind).then_some(entry);
            found.is_some()
        })?;
        Ok(found)
    }

    /// Every place where segments say that a chunk of a kind is, the newest
    /// first, each once.
    pub(crate) fn places(
        &self,
        kind: ChunkKind,
        id: &ChunkId,
    ) -> Result<Vec<IndexEntry>, IndexError> {
        let mut places = Vec::new();
        self.visit_places(id, |entry| {
            if entry.kind == kind && !places.contains(&entry) {
                places.push(entry);
            }
            false
        })?;
        Ok(places)
    }

    /// Hands over what is pending, then what segments say, the newest first,
    /// until `visit` has enough.
    fn visit_places(
        &self,
        id: &ChunkId,
        mut visit: impl FnMut(IndexEntry) -> bool,
    ) -> Result<(), IndexError> {
        let pending = self.pending.read().unwrap_or_else(PoisonError::into_inner);
        let held = pending.get(id).copied();
        drop(pending);
        if held.is_some_and(&mut visit) {
            return Ok(());
        }
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        for segment in segments.iter().rev() {
            if segment.find(id)?.is_some_and(&mut visit) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Adds what a pack holds that has arrived and that no head holds yet.
    pub(crate) fn add_pending(&self, pack: &SentPack) {
        let mut pending = self.pending.write().unwrap_or_else(PoisonError::into_inner);
        pending.extend(entries_of(pack).map(|entry| (entry.id, entry)));
    }

    /// Forgets what was pending, but for what these packs hold: a root that was
    /// followed holds the rest now.
    pub(crate) fn keep_pending(&self, packs: &[SentPack]) {
        let entries = packs.iter().flat_map(entries_of);
        let kept = entries.map(|entry| (entry.id, entry)).collect();
        *self.pending.write().unwrap_or_else(PoisonError::into_inner) = kept;
    }

    /// How many segments place a chunk just there.
    pub(crate) fn count_places(&self, place: &IndexEntry) -> Result<u64, IndexError> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let mut places = 0;
        for segment in segments.iter() {
            places += u64::from(segment.find(&place.id)?.as_ref() == Some(place));
        }
        Ok(places)
    }

    /// All entries of the segment that the root locates at `at`.
    pub(crate) fn read_segment(&self, at: &Located) -> Result<Vec<IndexEntry>, TransferError> {
        let segment = self.known(&at.sealed_hash)?.ok_or(TransferError::Unknown)?;
        Ok(segment.read_all()?)
    }

    /// Hands over every entry of every segment, one segment in memory at a time.
    pub(crate) fn for_each<E: From<IndexError>>(
        &self,
        mut visit: impl FnMut(&IndexEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        let segments = self
            .segments
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for segment in segments {
            for entry in segment.read_all()? {
                visit(&entry)?;
            }
        }
        Ok(())
    }

    fn known(&self, name: &[u8]) -> Result<Option<Arc<LocalSegment>>, IndexError> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let open = segments
            .iter()
            .find(|segment| segment.sorted.name().as_slice() == name);
        match open {
            Some(segment) => Ok(Some(segment.clone())),
            None => LocalSegment::open(&self.path(name), name),
        }
    }

    fn keep(&self, at: &Located, plaintext: &[u8]) -> Result<Arc<LocalSegment>, IndexError> {
        let own = OwnPack {
            pack: PackId::from_slice(&at.pack)
                .map_err(|_| IndexError::Malformed(SegmentError::Pack))?,
            epoch: at.epoch,
            size: at.pack_size,
        };
        let segment = Segment::decode(plaintext, own)?;
        let name: [u8; 32] = at
            .sealed_hash
            .as_slice()
            .try_into()
            .map_err(|_| IndexError::Malformed(SegmentError::Pack))?;
        let path = self.path(&name);
        let mut part = tempfile::NamedTempFile::new_in(&self.directory)
            .map_err(|e| failed(&self.directory, e))?;
        part.write_all(&sorted::encode(&segment, &name))
            .map_err(|e| failed(&path, e))?;
        // Read through the file that was written: another process that follows
        // another root may unlink the name at any time.
        let file = part.persist(&path).map_err(|e| failed(&path, e.error))?;
        LocalSegment::read(file, &path, &name)?.ok_or(IndexError::Damaged)
    }

    fn forget_all_but(&self, segments: &[Arc<LocalSegment>]) -> Result<(), IndexError> {
        let kept: HashSet<&Path> = segments
            .iter()
            .map(|segment| segment.path.as_path())
            .collect();
        let entries = fs::read_dir(&self.directory).map_err(|e| failed(&self.directory, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| failed(&self.directory, e))?;
            let path = entry.path();
            if !kept.contains(path.as_path()) && !is_being_written(&entry) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.directory.join(HEXLOWER.encode(name))
    }
}

impl LocalSegment {
    /// None if the file is not there, or is not what it should be: then it is
    /// removed, to be fetched again.
    fn open(path: &Path, name: &[u8]) -> Result<Option<Arc<Self>>, IndexError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path, error)),
        };
        Self::read(file, path, name)
    }

    fn read(file: File, path: &Path, name: &[u8]) -> Result<Option<Arc<Self>>, IndexError> {
        let length = file.metadata().map_err(|e| failed(path, e))?.len();
        let opened = SortedSegment::open(length, |at, buffer| file.read_exact_at(buffer, at));
        match opened {
            Ok(sorted) if sorted.name().as_slice() == name => Ok(Some(Arc::new(Self {
                file,
                path: path.to_owned(),
                sorted,
            }))),
            Err(SortedError::Read(error)) => Err(failed(path, error)),
            Ok(_) | Err(_) => {
                remove(path)?;
                Ok(None)
            }
        }
    }

    fn find(&self, id: &ChunkId) -> Result<Option<IndexEntry>, IndexError> {
        let found = self
            .sorted
            .find(id, |at, buffer| self.file.read_exact_at(buffer, at));
        found.map_err(|error| self.failed(error))
    }

    fn read_all(&self) -> Result<Vec<IndexEntry>, IndexError> {
        let entries = self
            .sorted
            .read_all(|at, buffer| self.file.read_exact_at(buffer, at));
        entries.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: SortedError<io::Error>) -> IndexError {
        match error {
            SortedError::Read(source) => failed(&self.path, source),
            // Damaged, as far as this version can tell.
            _ => match remove(&self.path) {
                Ok(()) => IndexError::Damaged,
                Err(error) => error,
            },
        }
    }
}

/// Whether a file is one that another process is writing, or was when it ended,
/// less than a day ago.
fn is_being_written(entry: &fs::DirEntry) -> bool {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let name = entry.file_name();
    let is_segment = name.len() == 64 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
    let age = entry
        .metadata()
        .and_then(|metadata| metadata.modified())
        .map(|modified| modified.elapsed().unwrap_or_default());
    !is_segment && age.is_ok_and(|age| age < DAY)
}

/// Removes a file; another process may have been faster.
fn remove(path: &Path) -> Result<(), IndexError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

/// What a pack holds, as the index says it. Segments and catalogs are left out:
/// the root names them.
pub(crate) fn entries_of(pack: &SentPack) -> impl Iterator<Item = IndexEntry> + '_ {
    pack.entries
        .iter()
        .filter(|entry| is_indexed(entry))
        .map(|entry| IndexEntry {
            id: entry.id,
            kind: entry.kind,
            pack: pack.id,
            epoch: pack.epoch,
            pack_size: pack.size,
            offset: entry.offset,
            sealed_length: entry.sealed_length,
        })
}

fn is_indexed(entry: &PackEntry) -> bool {
    !matches!(
        entry.kind,
        ChunkKind::Index | ChunkKind::Catalog | ChunkKind::Settings | ChunkKind::Links
    )
}

fn failed(path: &Path, source: io::Error) -> IndexError {
    IndexError::File {
        path: path.to_owned(),
        source,
    }
}
