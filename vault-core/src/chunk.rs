//! Chunks: their kinds, their ids, and the two traits through which everything
//! above them is written and read.

use std::fmt;

/// What a chunk holds. Ids and sealing depend on it, so a chunk of one kind
/// cannot be offered as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ChunkKind {
    /// Bytes of a file.
    FileData = 1,
    /// Nodes of a directory.
    Tree = 2,
    /// Records of a stream's deeper level.
    StreamList = 3,
    /// An index segment.
    Index = 4,
    /// The catalog: series, and the stream of snapshots.
    Catalog = 5,
    /// Encoded snapshots.
    Snapshot = 6,
    /// The settings of an account vault.
    Settings = 7,
    /// The list of live links.
    Links = 8,
}

impl ChunkKind {
    /// Every kind, in the order of their bytes.
    pub const ALL: [Self; 8] = [
        Self::FileData,
        Self::Tree,
        Self::StreamList,
        Self::Index,
        Self::Catalog,
        Self::Snapshot,
        Self::Settings,
        Self::Links,
    ];

    /// The byte that stands for this kind in footers, segments and associated data.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// The kind that a byte stands for.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_byte() == byte)
    }

    /// The most plaintext that a chunk of this kind may hold, in bytes.
    #[must_use]
    pub const fn max_len(self) -> usize {
        match self {
            Self::FileData => 4 << 20,
            Self::Index => 12 << 20,
            Self::Tree | Self::StreamList | Self::Snapshot => 64 << 10,
            Self::Catalog | Self::Settings | Self::Links => 1 << 20,
        }
    }

    /// Whether chunks of this kind go to packs of their own in a large commit.
    #[must_use]
    pub const fn is_metadata(self) -> bool {
        !matches!(self, Self::FileData)
    }
}

/// A chunk's name inside its vault: a keyed hash of its plaintext.
///
/// Never shown to the hoster in the clear, and left out of `Debug` but for a
/// few digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId([u8; 32]);

impl ChunkId {
    /// Takes 32 bytes as they are.
    #[must_use]
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

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

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkId({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Where chunks go: it names them, seals those that are new, and packs them.
pub trait ChunkSink {
    /// Why a chunk could not be stored.
    type Error;

    /// Stores `plaintext` unless the vault holds it already; gives its id.
    ///
    /// # Errors
    /// The sink's own.
    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, Self::Error>;
}

/// Where chunks come from: it finds them, opens them, and checks their ids.
pub trait ChunkSource {
    /// Why a chunk could not be had.
    type Error;

    /// The plaintext of a chunk, which is at most `kind.max_len()` bytes long.
    ///
    /// # Errors
    /// The source's own.
    fn read_chunk(&mut self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>, Self::Error>;
}
