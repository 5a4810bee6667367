//! Snapshots: a tree at a moment, from one device.

use std::fmt;

use prost::Message;
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::ids::DeviceId;
use vault_proto::wire;

use crate::chunk::{ChunkId, ChunkKind};
use crate::stream::{StreamError, StreamRef};
use crate::timestamp::Timestamp;
use crate::tree::NodeName;

/// The longest encoded snapshot, in bytes.
pub const MAX_SNAPSHOT_LEN: usize = 256 << 10;

/// The longest name of a device or of a program, in bytes.
const MAX_LABEL_LEN: usize = 255;

/// What is wrong with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Not the one encoding of a snapshot.
    #[error("not a snapshot: {0}")]
    Encoding(#[from] DecodeError),
    /// A field that must be there and is not.
    #[error("a field is missing")]
    Missing,
    /// A series that is not 16 bytes.
    #[error("not the id of a series")]
    Series,
    /// A device that is not 32 bytes.
    #[error("not the id of a device")]
    Device,
    /// 10^9 nanoseconds or more.
    #[error("not a time")]
    Time,
    /// A tree that is no stream.
    #[error("tree: {0}")]
    Tree(#[from] StreamError),
    /// Relative, not in its shortest form, repeated or out of order.
    #[error("paths that are not absolute, shortest and in ascending order")]
    Paths,
    /// A name of a device or program with control characters or over 255 bytes.
    #[error("not the name of a device or program")]
    Label,
    /// Longer than [`MAX_SNAPSHOT_LEN`] when encoded.
    #[error("a snapshot of more than {MAX_SNAPSHOT_LEN} bytes")]
    TooLong,
}

/// A series of snapshots: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId([u8; 16]);

impl SeriesId {
    /// Takes 16 bytes as they are.
    #[must_use]
    pub const fn from_array(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Takes exactly 16 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeriesId({self})")
    }
}

/// A snapshot's name inside its vault: a keyed hash of its encoding.
///
/// Shown as 64 hexadecimal digits, of which a prefix is enough for people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId([u8; 32]);

impl SnapshotId {
    /// Takes exactly 32 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotId({self})")
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// What a snapshot holds, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symlinks, fifos, sockets and device nodes.
    pub others: u64,
    /// Plaintext bytes of all files, holes left out.
    pub bytes: u64,
}

/// What a [`Snapshot`] is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFields {
    /// The series it belongs to.
    pub series: SeriesId,
    /// When the backup began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// The directory `/`.
    pub tree: StreamRef,
    /// The paths that were asked for: absolute, in their shortest form, in
    /// strictly ascending order.
    pub paths: Vec<Vec<u8>>,
    /// The device that made it.
    pub device: DeviceId,
    /// That device's name then: at most 255 bytes without control characters.
    pub device_name: String,
    /// False for a checkpoint of a backup that had not ended.
    pub complete: bool,
    /// What it holds.
    pub totals: Totals,
    /// Entries that could not be read.
    pub left_out: u64,
    /// The program and its version: at most 255 bytes without control characters.
    pub program: String,
}

/// A tree at a moment, from one device. Whatever it is made of was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(SnapshotFields);

impl Snapshot {
    /// Checks what a snapshot is made of.
    ///
    /// # Errors
    /// Whatever of the fields' documentation does not hold; see
    /// [`SnapshotError`].
    pub fn new(fields: SnapshotFields) -> Result<Self, SnapshotError> {
        let ascending = fields.paths.is_sorted_by(|a, b| a < b);
        if !ascending || !fields.paths.iter().all(|path| is_absolute(path)) {
            return Err(SnapshotError::Paths);
        }
        if !is_label(&fields.device_name) || !is_label(&fields.program) {
            return Err(SnapshotError::Label);
        }
        let snapshot = Self(fields);
        if snapshot.to_wire().encoded_len() > MAX_SNAPSHOT_LEN {
            return Err(SnapshotError::TooLong);
        }
        Ok(snapshot)
    }

    /// What it is made of.
    #[must_use]
    pub fn fields(&self) -> &SnapshotFields {
        &self.0
    }

    /// The series it belongs to.
    #[must_use]
    pub fn series(&self) -> SeriesId {
        self.0.series
    }

    /// The directory `/`.
    #[must_use]
    pub fn tree(&self) -> &StreamRef {
        &self.0.tree
    }

    /// Whether the backup had ended; false for a checkpoint.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.complete
    }

    /// The name of this snapshot. `name_chunk` is the vault's chunk-id function.
    ///
    /// `id = chunk id of kind Snapshot of the encoding`
    #[must_use]
    pub fn id(&self, name_chunk: &dyn Fn(ChunkKind, &[u8]) -> ChunkId) -> SnapshotId {
        SnapshotId(*name_chunk(ChunkKind::Snapshot, &self.encode()).as_bytes())
    }

    /// The one encoding of this snapshot.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Decodes and checks what [`encode`](Self::encode) gave.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let wire: wire::Snapshot = decode_canonical(bytes, MAX_SNAPSHOT_LEN)?;
        let time = |timestamp: Option<wire::Timestamp>| {
            let timestamp = timestamp.ok_or(SnapshotError::Missing)?;
            Timestamp::from_wire(&timestamp).ok_or(SnapshotError::Time)
        };
        let tree = wire.tree.as_ref().ok_or(SnapshotError::Missing)?;
        let totals = wire.totals.ok_or(SnapshotError::Missing)?;
        Self::new(SnapshotFields {
            series: SeriesId::from_slice(&wire.series).ok_or(SnapshotError::Series)?,
            started: time(wire.started)?,
            finished: time(wire.finished)?,
            tree: StreamRef::from_wire(tree)?,
            paths: wire.paths,
            device: DeviceId::from_slice(&wire.device).map_err(|_| SnapshotError::Device)?,
            device_name: wire.device_name,
            complete: wire.complete,
            totals: Totals {
                files: totals.files,
                directories: totals.directories,
                others: totals.others,
                bytes: totals.bytes,
            },
            left_out: wire.left_out,
            program: wire.program,
        })
    }

    fn to_wire(&self) -> wire::Snapshot {
        let fields = &self.0;
        wire::Snapshot {
            series: fields.series.0.to_vec(),
            started: Some(fields.started.to_wire()),
            finished: Some(fields.finished.to_wire()),
            tree: Some(fields.tree.to_wire()),
            paths: fields.paths.clone(),
            device: fields.device.to_vec(),
            device_name: fields.device_name.clone(),
            complete: fields.complete,
            totals: Some(wire::Totals {
                files: fields.totals.files,
                directories: fields.totals.directories,
                others: fields.totals.others,
                bytes: fields.totals.bytes,
            }),
            left_out: fields.left_out,
            program: fields.program.clone(),
        }
    }
}

/// `/`, or components that nodes can have, each after a slash.
pub(crate) fn is_absolute(path: &[u8]) -> bool {
    match path {
        b"/" => true,
        [b'/', components @ ..] => components
            .split(|&byte| byte == b'/')
            .all(|component| NodeName::new(component).is_ok()),
        _ => false,
    }
}

fn is_label(label: &str) -> bool {
    label.len() <= MAX_LABEL_LEN && !label.chars().any(char::is_control)
}
