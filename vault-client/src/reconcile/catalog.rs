//! The snapshots of two states of a vault in one catalog.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use vault_core::{
    catalog::{AddSnapshotError, Catalog},
    chunk::{ChunkId, ChunkKind, ChunkSink, ChunkSource},
    chunker::{ChunkSizes, Chunker},
    keys::VaultKeys,
    snapshot::{SeriesId, Snapshot, SnapshotFields, SnapshotId},
    stream::AppendError,
};

use crate::{
    contents::ContentsError,
    index::Tail,
    transfer::{Reader, TransferError},
};

/// The most snapshots that are read: one an hour for 50 years. A few chunks may stand for
/// any number of them.
const MAX_SNAPSHOTS: usize = 500_000;

/// A catalog with all its snapshots, and where its chunks are read.
pub(super) struct Listed {
    pub(super) catalog: Catalog,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) reader: Reader,
}

impl Listed {
    pub(super) fn read(catalog: Catalog, reader: Reader) -> Result<Self, ContentsError> {
        let mut source = reader.clone();
        let mut records = catalog.snapshots();
        let mut snapshots = Vec::new();
        while let Some(snapshot) = records.next(&mut source)? {
            if snapshots.len() == MAX_SNAPSHOTS {
                return Err(ContentsError::Catalog(
                    "more snapshots than any vault has".to_owned(),
                ));
            }
            snapshots.push(snapshot);
        }
        Ok(Self {
            catalog,
            snapshots,
            reader,
        })
    }

    fn ids(&self, keys: &VaultKeys) -> BTreeSet<SnapshotId> {
        let ids = self.snapshots.iter().map(|snapshot| id_of(keys, snapshot));
        ids.collect()
    }

    /// Whether the catalog has all that another one has.
    pub(super) fn holds(&self, keys: &VaultKeys, other: &Self) -> bool {
        let held = self.ids(keys);
        let mut others = other.snapshots.iter();
        other.catalog.series().iter().all(|series| {
            let known = series_in(&self.catalog, &other.catalog, series.id());
            known.is_some()
        }) && others.all(|snapshot| {
            let series = series_in(&self.catalog, &other.catalog, snapshot.series());
            let moved = series.and_then(|series| in_series(snapshot, series));
            moved.is_some_and(|moved| held.contains(&id_of(keys, &moved)))
        })
    }

    /// Whether both have a series of the same name, and not the same one.
    pub(super) fn names_clash(&self, other: &Self) -> bool {
        self.catalog.series().iter().any(|series| {
            let theirs = other.catalog.series_by_name(series.name());
            theirs.is_some_and(|theirs| theirs.id() != series.id())
        })
    }

    /// A catalog with the same series and no snapshots.
    pub(super) fn only_series(&self) -> Result<Self, ContentsError> {
        let mut catalog = Catalog::EMPTY;
        for series in self.catalog.series() {
            catalog.add_series(series.clone())?;
        }
        Ok(Self {
            catalog,
            snapshots: Vec::new(),
            reader: self.reader.clone(),
        })
    }

    /// The catalog with what others have more, in their order. Series are one where
    /// they have one name.
    pub(super) fn with(
        &self,
        others: &[&Self],
        keys: &Arc<VaultKeys>,
        tail: &mut Tail,
    ) -> Result<Catalog, ContentsError> {
        let chunker = |sizes| Chunker::new(keys.metadata_chunker(), sizes);
        let (snapshot_chunker, list_chunker) =
            (chunker(ChunkSizes::CATALOG), chunker(ChunkSizes::METADATA));
        let written = RefCell::default();
        let mut sink = Sink {
            keys,
            tail,
            written: &written,
        };
        let mut source = Source {
            reader: self.reader.clone(),
            written: &written,
        };
        let mut held = self.ids(keys);
        let mut catalog = self.catalog.clone();
        for other in others {
            for series in other.catalog.series() {
                if series_in(&catalog, &other.catalog, series.id()).is_none() {
                    catalog.add_series(series.clone())?;
                }
            }
            for snapshot in &other.snapshots {
                let series = series_in(&catalog, &other.catalog, snapshot.series());
                let moved = series.and_then(|series| in_series(snapshot, series));
                let moved = moved.ok_or_else(no_series)?;
                if held.insert(id_of(keys, &moved)) {
                    let added = catalog.add_snapshot(
                        &moved,
                        &snapshot_chunker,
                        &list_chunker,
                        &mut source,
                        &mut sink,
                    );
                    catalog = added.map_err(not_added)?;
                }
            }
        }
        Ok(catalog)
    }
}

/// The series of `catalog` that is that of another one, by its id or its name.
fn series_in(catalog: &Catalog, other: &Catalog, id: SeriesId) -> Option<SeriesId> {
    if catalog.series_by_id(id).is_some() {
        return Some(id);
    }
    let name = other.series_by_id(id)?.name();
    Some(catalog.series_by_name(name)?.id())
}

fn in_series(snapshot: &Snapshot, series: SeriesId) -> Option<Snapshot> {
    let fields = snapshot.fields().clone();
    Snapshot::new(SnapshotFields { series, ..fields }).ok()
}

fn id_of(keys: &VaultKeys, snapshot: &Snapshot) -> SnapshotId {
    snapshot.id(&|kind, bytes| keys.chunk_id(kind, bytes))
}

fn no_series() -> ContentsError {
    ContentsError::Catalog("a snapshot of an unknown series".to_owned())
}

fn not_added(error: AddSnapshotError<TransferError, TransferError>) -> ContentsError {
    match error {
        AddSnapshotError::Append(AppendError::Read(error)) => error.into(),
        AddSnapshotError::Append(AppendError::Write(error)) => error.into(),
        _ => no_series(),
    }
}

/// Chunks of the catalog that are new, by their ids.
type Written = RefCell<HashMap<ChunkId, Vec<u8>>>;

struct Sink<'a> {
    keys: &'a VaultKeys,
    tail: &'a mut Tail,
    written: &'a Written,
}

impl ChunkSink for Sink<'_> {
    type Error = TransferError;

    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, TransferError> {
        let id = self.keys.chunk_id(kind, plaintext);
        let known = self.written.borrow_mut().insert(id, plaintext.to_vec());
        if known.is_none() {
            self.tail.place(kind, plaintext)?;
        }
        Ok(id)
    }
}

/// Chunks that are new, and those of the catalog that is continued.
struct Source<'a> {
    reader: Reader,
    written: &'a Written,
}

impl ChunkSource for Source<'_> {
    type Error = TransferError;

    fn read_chunk(&mut self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>, TransferError> {
        if let Some(plaintext) = self.written.borrow().get(id) {
            return Ok(plaintext.clone());
        }
        self.reader.read(kind, id)
    }
}
