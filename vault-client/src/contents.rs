//! What is in a vault: its snapshots, their trees, and the bytes of a file.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::Write,
    iter::Peekable,
    ops::ControlFlow,
    sync::Arc,
};

use vault_core::{
    catalog::{Catalog, CatalogError, ReadSnapshotsError, Series},
    chunk::ChunkKind,
    index::IndexEntry,
    keys::VaultKeys,
    seal::Decompressor,
    snapshot::{Snapshot, SnapshotId},
    stream::{ReadError, StreamChunks, StreamError, StreamRef},
    tree::{Change, Diff, Hole, Node, NodeContent, NodeName, Step, TreeError, Walk, resolve},
};
use vault_proto::wire::Root;

use crate::{
    error::ErrorCode,
    index::{OwnPacks, VaultIndex},
    remote::Remote,
    transfer::{PackCache, Reader, TransferError},
    vault::{Vault, VaultError},
};

/// How much of a file is asked for in one call, in bytes.
const BATCH_BYTES: u64 = 16 << 20;

/// Why something in a vault could not be found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// Chunks could not be had.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A tree that a member's device has written is malformed.
    #[error("a malformed tree: {0}")]
    Tree(String),
    /// The catalog, or a snapshot in it, is malformed.
    #[error("a malformed catalog: {0}")]
    Catalog(String),
    /// No snapshot answers to this.
    #[error("no snapshot {0:?}")]
    NoSnapshot(String),
    /// More than one snapshot begins like this.
    #[error("more than one snapshot begins with {0:?}")]
    AmbiguousSnapshot(String),
    /// No series has this name.
    #[error("no series {0:?}")]
    NoSeries(String),
    /// There is nothing at this path.
    #[error("nothing at {0:?} in this snapshot")]
    NoPath(String),
    /// What is at this path is no file.
    #[error("{0:?} is not a file")]
    NotAFile(String),
    /// What was read could not be written where it should go.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
}

impl From<VaultError> for ContentsError {
    fn from(error: VaultError) -> Self {
        Self::Transfer(error.into())
    }
}

impl ContentsError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Transfer(error) => error.code(),
            Self::Tree(_) | Self::Catalog(_) => ErrorCode::Corrupt,
            Self::NoSnapshot(_)
            | Self::AmbiguousSnapshot(_)
            | Self::NoSeries(_)
            | Self::NoPath(_)
            | Self::NotAFile(_) => ErrorCode::InvalidArgument,
            Self::Output(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                ErrorCode::DiskFull
            }
            Self::Output(_) => ErrorCode::LocalState,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transfer(error) if error.is_transient())
    }
}

impl From<ReadError<TransferError>> for ContentsError {
    fn from(error: ReadError<TransferError>) -> Self {
        match error {
            ReadError::Source(error) => Self::Transfer(error),
            other => Self::Tree(other.to_string()),
        }
    }
}

impl From<StreamError> for ContentsError {
    fn from(error: StreamError) -> Self {
        Self::Tree(error.to_string())
    }
}

impl From<TreeError<TransferError>> for ContentsError {
    fn from(error: TreeError<TransferError>) -> Self {
        match error {
            TreeError::Read(error) => error.into(),
            other => Self::Tree(other.to_string()),
        }
    }
}

impl From<ReadSnapshotsError<TransferError>> for ContentsError {
    fn from(error: ReadSnapshotsError<TransferError>) -> Self {
        match error {
            ReadSnapshotsError::Read(error) => error.into(),
            other => Self::Catalog(other.to_string()),
        }
    }
}

impl From<CatalogError> for ContentsError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error.to_string())
    }
}

/// What it takes to read a vault; shared by the operations of this library.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) keys: Arc<VaultKeys>,
    pub(crate) index: Arc<VaultIndex>,
    pub(crate) cache: Arc<PackCache>,
    pub(crate) reader: Reader,
    pub(crate) remote: Arc<dyn Remote>,
}

impl Opened {
    /// Opens a vault as its newest verified root has it.
    pub(crate) fn open(vault: &Vault) -> Result<Self, TransferError> {
        Self::at(vault, vault.root()?)
    }

    /// Opens a vault as another root of it has it.
    pub(crate) fn at(vault: &Vault, root: &Root) -> Result<Self, TransferError> {
        let directory = vault.directory()?;
        let keys = vault.keys()?;
        let own_packs = if others_write(vault) {
            Some(OwnPacks::open(vault.state(), vault.id())?)
        } else {
            None
        };
        let index = Arc::new(VaultIndex::open(directory.join("index"), own_packs)?);
        let cache = Arc::new(PackCache::of(vault)?);
        let remote = vault.remote();
        let reader = Reader::new(
            vault.id(),
            keys.clone(),
            index.clone(),
            remote.clone(),
            cache.clone(),
        );
        index.follow(&root.segments, &reader)?;
        Ok(Self {
            keys,
            index,
            cache,
            reader,
            remote,
        })
    }
}

/// Whether anybody else was ever able to write to the vault.
pub(crate) fn others_write(vault: &Vault) -> bool {
    let mut known = vault.log().known_positions();
    known.any(|(account, _)| account != vault.account())
}

/// The catalog that a root names.
pub(crate) fn read_catalog(root: &Root, reader: &Reader) -> Result<Catalog, ContentsError> {
    match &root.catalog {
        Some(at) => Ok(Catalog::decode(
            &reader.read_located(ChunkKind::Catalog, at)?,
        )?),
        None => Ok(Catalog::EMPTY),
    }
}

/// A snapshot and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSnapshot {
    /// Its id.
    pub id: SnapshotId,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The name of its series.
    pub series: String,
}

/// A vault's contents as its newest verified head has them.
pub struct Contents {
    opened: Opened,
    catalog: Catalog,
}

impl Contents {
    /// Opens the contents of a vault, as far as the vault was refreshed.
    ///
    /// # Errors
    /// See [`ContentsError`].
    pub fn open(vault: &Vault) -> Result<Self, ContentsError> {
        let opened = Opened::open(vault)?;
        let catalog = read_catalog(vault.root()?, &opened.reader)?;
        Ok(Self { opened, catalog })
    }

    pub(crate) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// The series, in no particular order.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        self.catalog.series()
    }

    /// All snapshots, oldest first; of one series, or of all.
    ///
    /// # Errors
    /// See [`ContentsError`].
    pub fn snapshots(&self, series: Option<&str>) -> Result<Vec<NamedSnapshot>, ContentsError> {
        let wanted = match series {
            Some(name) => {
                let found = self.catalog.series_by_name(name);
                Some(
                    found
                        .ok_or_else(|| ContentsError::NoSeries(name.to_owned()))?
                        .id(),
                )
            }
            None => None,
        };
        let mut source = self.opened.reader.clone();
        let mut reader = self.catalog.snapshots();
        let mut snapshots = Vec::new();
        while let Some(snapshot) = reader.next(&mut source)? {
            if wanted.is_some_and(|series| series != snapshot.series()) {
                continue;
            }
            let series = self.catalog.series_by_id(snapshot.series());
            snapshots.push(NamedSnapshot {
                id: snapshot.id(&|kind, bytes| self.opened.keys.chunk_id(kind, bytes)),
                series: series
                    .map(|series| series.name().to_owned())
                    .unwrap_or_default(),
                snapshot,
            });
        }
        Ok(snapshots)
    }

    /// The snapshot that `selector` names: the beginning of an id, or `latest`
    /// for the newest complete one of `series`, else of the vault.
    ///
    /// # Errors
    /// See [`ContentsError`].
    pub fn snapshot(
        &self,
        selector: &str,
        series: Option<&str>,
    ) -> Result<NamedSnapshot, ContentsError> {
        let snapshots = self.snapshots(series)?;
        if selector == "latest" {
            let mut complete = snapshots
                .into_iter()
                .rev()
                .filter(|s| s.snapshot.is_complete());
            return complete
                .next()
                .ok_or_else(|| ContentsError::NoSnapshot(selector.to_owned()));
        }
        let matches = |named: &NamedSnapshot| named.id.to_string().starts_with(selector);
        let mut found = snapshots
            .into_iter()
            .filter(|named| !selector.is_empty() && matches(named));
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            // The same snapshot may stand in the catalog twice after a race.
            (Some(first), Some(second)) if first.id == second.id => Ok(first),
            (Some(_), Some(_)) => Err(ContentsError::AmbiguousSnapshot(selector.to_owned())),
            (None, _) => Err(ContentsError::NoSnapshot(selector.to_owned())),
        }
    }

    /// What is at an absolute path; `None` for `/`, which has no node.
    ///
    /// # Errors
    /// See [`ContentsError`].
    pub fn node(&self, snapshot: &Snapshot, path: &[u8]) -> Result<Option<Node>, ContentsError> {
        let components = components(path)?;
        if components.is_empty() {
            return Ok(None);
        }
        let mut source = self.opened.reader.clone();
        let node = resolve(snapshot.tree(), &components, &mut source)?;
        node.map(Some).ok_or_else(|| no_path(path))
    }

    /// The directory at an absolute path.
    pub(crate) fn directory(
        &self,
        snapshot: &Snapshot,
        path: &[u8],
    ) -> Result<Option<StreamRef>, ContentsError> {
        match self.node(snapshot, path)? {
            None => Ok(Some(snapshot.tree().clone())),
            Some(node) => Ok(node.directory().cloned()),
        }
    }

    /// Hands over every node below `path` with its path, in order; only those
    /// directly in it unless `recursive`. A file is handed over itself.
    ///
    /// # Errors
    /// See [`ContentsError`].
    pub fn list(
        &self,
        snapshot: &Snapshot,
        path: &[u8],
        recursive: bool,
        visit: &mut dyn FnMut(&[u8], &Node) -> ControlFlow<()>,
    ) -> Result<(), ContentsError> {
        let Some(directory) = self.directory(snapshot, path)? else {
            if let Some(node) = self.node(snapshot, path)? {
                let _ = visit(path, &node);
            }
            return Ok(());
        };
        let mut source = self.opened.reader.clone();
        let mut walk = Walk::new(&directory);
        while let Some(step) = walk.next(&mut source)? {
            let Step::Node(node) = step else { continue };
            let full = join(path, walk.path());
            if visit(&full, &node).is_break() {
                return Ok(());
            }
            if !recursive && node.directory().is_some() {
                walk.skip();
            }
        }
        Ok(())
    }

    /// Hands over the changes that lead from one snapshot to another.
    ///
    /// # Errors
    /// See [`ContentsError`].
    pub fn diff(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        visit: &mut dyn FnMut(&[u8], &Change) -> ControlFlow<()>,
    ) -> Result<(), ContentsError> {
        let mut source = self.opened.reader.clone();
        let mut diff = Diff::new(before.tree(), after.tree());
        while let Some(change) = diff.next(&mut source)? {
            let path = join(b"/", diff.path());
            if visit(&path, &change).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Writes the bytes of the file at an absolute path to `output`, holes as
    /// zeros.
    ///
    /// # Errors
    /// See [`ContentsError`].
    pub fn read_file(
        &self,
        snapshot: &Snapshot,
        path: &[u8],
        output: &mut dyn Write,
    ) -> Result<(), ContentsError> {
        let shown = || String::from_utf8_lossy(path).into_owned();
        let node = self
            .node(snapshot, path)?
            .ok_or_else(|| ContentsError::NotAFile(shown()))?;
        let NodeContent::File {
            content,
            size,
            holes,
        } = node.content()
        else {
            return Err(ContentsError::NotAFile(shown()));
        };
        let mut chunks = StreamChunks::new(content);
        let mut writer = HoleWriter {
            output,
            holes: holes.iter().peekable(),
            position: 0,
        };
        loop {
            let batch = self.next_batch(&mut chunks)?;
            if batch.is_empty() {
                break;
            }
            let wanted: Vec<_> = batch.iter().map(|(entry, _)| *entry).collect();
            let mut opened = HashMap::new();
            let reader = &self.opened.reader;
            let mut decompressor = Decompressor::default();
            let read = reader.read_many(&wanted, &mut |entry, sealed| {
                if let Ok(plaintext) = reader.open(&entry, sealed, &mut decompressor) {
                    opened.insert(entry.id, plaintext);
                }
                Ok(())
            });
            match read {
                Err(error) if !error.is_lasting() => return Err(error.into()),
                _ => {}
            }
            for (entry, length) in &batch {
                let data = match opened.entry(entry.id) {
                    Entry::Occupied(held) => held.into_mut(),
                    // Not where the newest segment says.
                    Entry::Vacant(free) => free.insert(reader.read(entry.kind, &entry.id)?.into()),
                };
                if data.len() != *length as usize {
                    return Err(StreamError::WrongChunk.into());
                }
                writer.write(data)?;
            }
        }
        writer.finish(*size)?;
        Ok(())
    }

    /// Where the next few chunks are, and how long: as many as are worth one call.
    fn next_batch(
        &self,
        chunks: &mut StreamChunks,
    ) -> Result<Vec<(IndexEntry, u32)>, ContentsError> {
        let mut source = self.opened.reader.clone();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let Some(chunk) = chunks.next(&mut source)? else {
                break;
            };
            let entry = self
                .opened
                .index
                .lookup(ChunkKind::FileData, &chunk.id)
                .map_err(TransferError::from)?;
            batch.push((entry.ok_or(TransferError::Unknown)?, chunk.length));
            bytes += u64::from(chunk.length);
        }
        Ok(batch)
    }
}

/// Writes a file's data with its holes in between.
struct HoleWriter<'a> {
    output: &'a mut dyn Write,
    holes: Peekable<std::slice::Iter<'a, Hole>>,
    position: u64,
}

impl HoleWriter<'_> {
    fn write(&mut self, mut data: &[u8]) -> std::io::Result<()> {
        while !data.is_empty() {
            while let Some(hole) = self.holes.next_if(|hole| hole.offset == self.position) {
                write_zeros(self.output, hole.length)?;
                self.position += hole.length;
            }
            let until = self
                .holes
                .peek()
                .map_or(u64::MAX, |hole| hole.offset - self.position);
            let length = data.len().min(usize::try_from(until).unwrap_or(usize::MAX));
            self.output.write_all(&data[..length])?;
            self.position += length as u64;
            data = &data[length..];
        }
        Ok(())
    }

    /// Whatever follows the last of the data is a hole.
    fn finish(self, size: u64) -> std::io::Result<()> {
        write_zeros(self.output, size.saturating_sub(self.position))
    }
}

fn components(path: &[u8]) -> Result<Vec<NodeName>, ContentsError> {
    let names = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty());
    names
        .map(|name| NodeName::new(name).map_err(|_| no_path(path)))
        .collect()
}

fn no_path(path: &[u8]) -> ContentsError {
    ContentsError::NoPath(String::from_utf8_lossy(path).into_owned())
}

fn join(base: &[u8], names: &[NodeName]) -> Vec<u8> {
    let mut path = base.to_vec();
    for name in names {
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
    }
    path
}

fn write_zeros(output: &mut dyn Write, mut length: u64) -> std::io::Result<()> {
    let zeros = [0; 8192];
    while length > 0 {
        let part = length.min(zeros.len() as u64);
        output.write_all(&zeros[..usize::try_from(part).unwrap_or(zeros.len())])?;
        length -= part;
    }
    Ok(())
}
