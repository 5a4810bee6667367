//! The catalog: the series of a vault, and the stream of their snapshots.

use std::collections::BTreeSet;

use prost::Message;
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::wire;

use crate::chunk::{ChunkKind, ChunkSink, ChunkSource};
use crate::snapshot::{MAX_SNAPSHOT_LEN, SeriesId, Snapshot, SnapshotError};
use crate::stream::{
    AppendError, Cut, ReadError, RecordReader, StreamError, StreamRef, append, push_record,
};

/// The longest encoded catalog, in bytes.
pub const MAX_CATALOG_LEN: usize = ChunkKind::Catalog.max_len();

/// The longest name of a series, in bytes.
const MAX_NAME_LEN: usize = 4_096;

/// What is wrong with a catalog, or with a change to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Not the one encoding of a catalog.
    #[error("not a catalog: {0}")]
    Encoding(#[from] DecodeError),
    /// The stream of snapshots is left out; that of none is an empty message.
    #[error("no stream of snapshots")]
    Missing,
    /// An id that is not 16 bytes, or ids that are repeated or out of order.
    #[error("series with ids that are not 16 bytes, in ascending order")]
    SeriesId,
    /// A kind that this version does not know.
    #[error("an unknown kind of series")]
    SeriesKind,
    /// Empty, with control characters, or over 4,096 bytes.
    #[error("not the name of a series")]
    SeriesName,
    /// Two series of one name.
    #[error("a series of that name is there already")]
    NameTaken,
    /// No stream of snapshots, or something else in its place.
    #[error("snapshots: {0}")]
    Snapshots(#[from] StreamError),
    /// A number of snapshots that cannot be in a stream of that length.
    #[error("a number of snapshots that their stream cannot hold")]
    Count,
    /// Longer than [`MAX_CATALOG_LEN`] when encoded.
    #[error("a catalog of more than {MAX_CATALOG_LEN} bytes")]
    TooLong,
}

/// What a series is the history of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SeriesKind {
    /// A backup set.
    Backup,
    /// A synced folder.
    Synced,
}

/// A series of snapshots, as the catalog lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    id: SeriesId,
    name: String,
    kind: SeriesKind,
    without_deduplication: bool,
}

impl Series {
    /// A series whose chunks are deduplicated.
    ///
    /// # Errors
    /// [`CatalogError::SeriesName`] for a name that is empty, has control
    /// characters or is over 4,096 bytes.
    pub fn new(id: SeriesId, name: String, kind: SeriesKind) -> Result<Self, CatalogError> {
        let length_fits = (1..=MAX_NAME_LEN).contains(&name.len());
        if !length_fits || name.chars().any(char::is_control) {
            return Err(CatalogError::SeriesName);
        }
        Ok(Self {
            id,
            name,
            kind,
            without_deduplication: false,
        })
    }

    /// The same series, but every chunk of it is stored anew.
    #[must_use]
    pub fn without_deduplication(self) -> Self {
        Self {
            without_deduplication: true,
            ..self
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SeriesId {
        self.id
    }

    /// Its name, one of a kind in its catalog.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is the history of.
    #[must_use]
    pub fn kind(&self) -> SeriesKind {
        self.kind
    }

    /// Whether its chunks may be named instead of being stored again.
    #[must_use]
    pub fn is_deduplicated(&self) -> bool {
        !self.without_deduplication
    }

    fn from_wire(wire: wire::Series) -> Result<Self, CatalogError> {
        let kind = match wire::SeriesKind::try_from(wire.kind) {
            Ok(wire::SeriesKind::Backup) => SeriesKind::Backup,
            Ok(wire::SeriesKind::Synced) => SeriesKind::Synced,
            Ok(wire::SeriesKind::Unspecified) | Err(_) => return Err(CatalogError::SeriesKind),
        };
        let id = SeriesId::from_slice(&wire.id).ok_or(CatalogError::SeriesId)?;
        let series = Self::new(id, wire.name, kind)?;
        Ok(if wire.without_deduplication {
            series.without_deduplication()
        } else {
            series
        })
    }

    fn to_wire(&self) -> wire::Series {
        let kind = match self.kind {
            SeriesKind::Backup => wire::SeriesKind::Backup,
            SeriesKind::Synced => wire::SeriesKind::Synced,
        };
        wire::Series {
            id: self.id.as_bytes().to_vec(),
            name: self.name.clone(),
            kind: kind.into(),
            without_deduplication: self.without_deduplication,
        }
    }
}

/// The series of a vault and the stream of their snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    series: Vec<Series>,
    snapshots: StreamRef,
    snapshot_count: u64,
}

impl Catalog {
    /// The catalog of a vault in which nothing is.
    pub const EMPTY: Self = Self {
        series: Vec::new(),
        snapshots: StreamRef::EMPTY,
        snapshot_count: 0,
    };

    /// The series, ordered by id.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The series of that id.
    #[must_use]
    pub fn series_by_id(&self, id: SeriesId) -> Option<&Series> {
        self.series.iter().find(|series| series.id == id)
    }

    /// The series of that name.
    #[must_use]
    pub fn series_by_name(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }

    /// How many snapshots there are.
    #[must_use]
    pub fn snapshot_count(&self) -> u64 {
        self.snapshot_count
    }

    /// The stream of snapshots, of kind [`ChunkKind::Snapshot`], for whoever
    /// needs its chunks and not what they say.
    #[must_use]
    pub fn snapshot_stream(&self) -> &StreamRef {
        &self.snapshots
    }

    /// The one encoding of this catalog.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Decodes and checks what [`encode`](Self::encode) gave.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CatalogError> {
        let wire: wire::Catalog = decode_canonical(bytes, MAX_CATALOG_LEN)?;
        let series: Vec<_> = wire
            .series
            .into_iter()
            .map(Series::from_wire)
            .collect::<Result<_, _>>()?;
        if !series.is_sorted_by(|a, b| a.id < b.id) {
            return Err(CatalogError::SeriesId);
        }
        let names: BTreeSet<_> = series.iter().map(Series::name).collect();
        if names.len() != series.len() {
            return Err(CatalogError::NameTaken);
        }
        let snapshots = StreamRef::from_wire(&wire.snapshots.ok_or(CatalogError::Missing)?)?;
        // A record is at least a byte and its length.
        let count_fits = match wire.snapshot_count {
            0 => snapshots.length() == 0,
            count => count <= snapshots.length() / 2,
        };
        if !count_fits {
            return Err(CatalogError::Count);
        }
        Ok(Self {
            series,
            snapshots,
            snapshot_count: wire.snapshot_count,
        })
    }

    /// Adds a series.
    ///
    /// # Errors
    /// [`CatalogError::SeriesId`] or [`CatalogError::NameTaken`] if one with
    /// that id or name is there; [`CatalogError::TooLong`]. The catalog is as
    /// it was then.
    pub fn add_series(&mut self, series: Series) -> Result<(), CatalogError> {
        if self.series_by_name(&series.name).is_some() {
            return Err(CatalogError::NameTaken);
        }
        let Err(place) = self.series.binary_search_by_key(&series.id, Series::id) else {
            return Err(CatalogError::SeriesId);
        };
        self.series.insert(place, series);
        // Room for the snapshots' stream to grow as long as a stream's name gets.
        if self.to_wire().encoded_len() + MAX_STREAM_LEN > MAX_CATALOG_LEN {
            self.series.remove(place);
            return Err(CatalogError::TooLong);
        }
        Ok(())
    }

    /// The catalog with one snapshot more, the newest.
    ///
    /// Reads and writes a few chunks, however many snapshots there are.
    ///
    /// # Errors
    /// See [`AddSnapshotError`].
    ///
    /// # Panics
    /// As [`append`].
    pub fn add_snapshot<C: Cut, R: ChunkSource, W: ChunkSink>(
        &self,
        snapshot: &Snapshot,
        snapshot_chunker: C,
        list_chunker: C,
        source: &mut R,
        sink: &mut W,
    ) -> Result<Self, AddSnapshotError<R::Error, W::Error>> {
        if self.series_by_id(snapshot.series()).is_none() {
            return Err(AddSnapshotError::UnknownSeries);
        }
        let mut record = Vec::new();
        push_record(&snapshot.encode(), &mut record);
        let snapshots = append(
            &self.snapshots,
            ChunkKind::Snapshot,
            snapshot_chunker,
            list_chunker,
            &record,
            source,
            sink,
        )?;
        Ok(Self {
            series: self.series.clone(),
            snapshots,
            snapshot_count: self.snapshot_count + 1,
        })
    }

    /// All snapshots, oldest first.
    #[must_use]
    pub fn snapshots(&self) -> SnapshotReader {
        SnapshotReader {
            records: RecordReader::new(ChunkKind::Snapshot, &self.snapshots, MAX_SNAPSHOT_LEN),
            series: self.series.iter().map(Series::id).collect(),
            left: self.snapshot_count,
        }
    }

    /// The newest complete snapshot of `series`, or of the vault.
    ///
    /// Reads all snapshots: whoever needs this often remembers the answer with
    /// the catalog it was read from.
    ///
    /// # Errors
    /// See [`ReadSnapshotsError`].
    pub fn latest_complete<S: ChunkSource>(
        &self,
        series: Option<SeriesId>,
        source: &mut S,
    ) -> Result<Option<Snapshot>, ReadSnapshotsError<S::Error>> {
        let mut snapshots = self.snapshots();
        let mut latest = None;
        while let Some(snapshot) = snapshots.next(source)? {
            if snapshot.is_complete() && series.is_none_or(|series| series == snapshot.series()) {
                latest = Some(snapshot);
            }
        }
        Ok(latest)
    }

    fn to_wire(&self) -> wire::Catalog {
        wire::Catalog {
            series: self.series.iter().map(Series::to_wire).collect(),
            // Written even when it is empty: then as a message without fields.
            snapshots: Some(self.snapshots.to_wire()),
            snapshot_count: self.snapshot_count,
        }
    }
}

/// More than the bytes of the longest [`wire::Stream`] and of the count.
const MAX_STREAM_LEN: usize = 1_024;

/// Why a snapshot was not added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddSnapshotError<R, W> {
    /// The catalog does not list its series.
    #[error("the snapshot's series is not in the catalog")]
    UnknownSeries,
    /// The stream of snapshots could not be read or written.
    #[error(transparent)]
    Append(#[from] AppendError<R, W>),
}

/// Why the snapshots could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadSnapshotsError<E> {
    /// Their stream could not be read.
    #[error(transparent)]
    Read(#[from] ReadError<E>),
    /// One that is none.
    #[error("malformed snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    /// One of a series that the catalog does not list.
    #[error("a snapshot of an unknown series")]
    UnknownSeries,
    /// More or fewer than the catalog says.
    #[error("not as many snapshots as the catalog says")]
    Count,
}

/// The snapshots of a catalog, oldest first, each checked.
#[derive(Debug)]
pub struct SnapshotReader {
    records: RecordReader,
    series: BTreeSet<SeriesId>,
    left: u64,
}

impl SnapshotReader {
    /// The next snapshot, or `None` after the last.
    ///
    /// # Errors
    /// See [`ReadSnapshotsError`].
    pub fn next<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<Snapshot>, ReadSnapshotsError<S::Error>> {
        let Some(record) = self.records.next(source)? else {
            return match self.left {
                0 => Ok(None),
                _ => Err(ReadSnapshotsError::Count),
            };
        };
        self.left = self.left.checked_sub(1).ok_or(ReadSnapshotsError::Count)?;
        let snapshot = Snapshot::decode(&record)?;
        if !self.series.contains(&snapshot.series()) {
            return Err(ReadSnapshotsError::UnknownSeries);
        }
        Ok(Some(snapshot))
    }
}
