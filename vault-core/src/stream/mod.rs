//! Streams: byte strings of any length, stored as chunks.
//!
//! ```text
//! bytes ── StreamWriter ──▶ chunks ──┐
//!          chunks ── StreamBuilder ──┴▶ StreamRef ── StreamChunks ──▶ chunks
//!                    (deeper lists)                ── StreamReader ──▶ bytes
//! ```
//!
//! Up to [`MAX_INLINE`] chunks are named in the [`StreamRef`] itself. The list
//! of more is a byte string too: it is cut into chunks of kind
//! [`StreamList`](ChunkKind::StreamList), and so on, up to [`MAX_DEPTH`] times.
//! Two streams with equal bytes, cut by one chunker, have equal references.
//! The layout is drawn in `vault-core/docs/format.md`.

mod append;
mod read;
mod record;
mod write;

use vault_proto::wire;

use crate::chunk::{ChunkId, ChunkKind};
use crate::chunker::Chunker;

pub use append::{AppendError, append};
pub use read::{StreamChunks, StreamReader};
pub(crate) use record::{RecordReader, push_record};
pub use write::{StreamBuilder, StreamWriter};

/// The most chunks that a [`StreamRef`] names itself.
pub const MAX_INLINE: usize = 16;

/// The most lists between a [`StreamRef`] and the stream's own chunks.
pub const MAX_DEPTH: usize = 4;

/// Bytes of one record of a list: a chunk id and a length.
pub(crate) const RECORD_LEN: usize = 36;

/// The longest stream, in bytes: what a file system can address.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// The longest chunk that any stream has.
const MAX_CHUNK_LEN: usize = ChunkKind::FileData.max_len();

/// Where a byte string is cut into chunks.
///
/// The cut must depend on no byte after it, or appending to a stream would
/// give other chunks than writing it at once.
pub trait Cut {
    /// The length of the first chunk of `buf`, which holds at least
    /// [`max_len`](Self::max_len) bytes or everything to the end of the stream.
    /// From 1 to `buf.len()`; `buf` is not empty.
    fn cut(&self, buf: &[u8]) -> usize;

    /// The longest chunk, in bytes.
    fn max_len(&self) -> usize;
}

impl Cut for Chunker {
    fn cut(&self, buf: &[u8]) -> usize {
        Self::cut(self, buf)
    }

    fn max_len(&self) -> usize {
        self.sizes().max()
    }
}

impl<C: Cut + ?Sized> Cut for &C {
    fn cut(&self, buf: &[u8]) -> usize {
        (**self).cut(buf)
    }

    fn max_len(&self) -> usize {
        (**self).max_len()
    }
}

impl<C: Cut + ?Sized> Cut for std::sync::Arc<C> {
    fn cut(&self, buf: &[u8]) -> usize {
        (**self).cut(buf)
    }

    fn max_len(&self) -> usize {
        (**self).max_len()
    }
}

/// A chunk as a stream names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// Its id.
    pub id: ChunkId,
    /// Its plaintext's length in bytes, from 1 to 4 MiB.
    pub length: u32,
}

impl ChunkRef {
    fn to_record(self) -> [u8; RECORD_LEN] {
        let mut record = [0; RECORD_LEN];
        record[..32].copy_from_slice(self.id.as_bytes());
        record[32..].copy_from_slice(&self.length.to_le_bytes());
        record
    }

    fn from_record(record: &[u8; RECORD_LEN]) -> Self {
        let (id, length) = record.split_at(32);
        Self {
            id: ChunkId::from_slice(id).expect("a record begins with 32 bytes of id"),
            length: u32::from_le_bytes(length.try_into().expect("and ends with 4 of length")),
        }
    }
}

/// What is wrong with a stream: its description, or the bytes it led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The ids are not 32 bytes for each length.
    #[error("ids and lengths do not match")]
    Columns,
    /// More than [`MAX_INLINE`] chunks in the reference.
    #[error("more than {MAX_INLINE} chunks named in line")]
    TooManyInline,
    /// More than [`MAX_DEPTH`] lists.
    #[error("more than {MAX_DEPTH} levels of lists")]
    TooDeep,
    /// A level of lists that a writer would have left out.
    #[error("a list where {MAX_INLINE} chunks or fewer would fit in line")]
    NeedlessList,
    /// An empty chunk, or one longer than its kind allows.
    #[error("a chunk of a length that its kind cannot have")]
    ChunkLength,
    /// The lengths of the chunks do not add up to the stream's.
    #[error("lengths do not add up")]
    Length,
    /// A list that ends inside a record.
    #[error("a list ends inside a record")]
    ListEnd,
    /// A chunk whose plaintext is not as long as the stream says.
    #[error("a chunk is not as long as named")]
    WrongChunk,
    /// A record of a stream of records that is longer than it may be, or that
    /// the stream ends in, or whose length is not in its shortest form.
    #[error("a record with a bad length")]
    Record,
}

/// Why a stream could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// A chunk could not be had. Reading may go on with the same call.
    #[error("a chunk could not be read")]
    Source(#[source] E),
    /// The stream is not one that a writer makes.
    #[error("malformed stream: {0}")]
    Stream(#[from] StreamError),
}

/// The validated name of a stream: its length, and its chunks or the chunks of
/// its list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamRef {
    length: u64,
    depth: usize,
    chunks: Vec<ChunkRef>,
}

impl StreamRef {
    /// The stream of no bytes.
    pub const EMPTY: Self = Self {
        length: 0,
        depth: 0,
        chunks: Vec::new(),
    };

    /// Bytes of the whole stream.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Lists between this reference and the stream's own chunks: 0 when
    /// [`chunks`](Self::chunks) are the stream's own.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The chunks named here, which are the stream's own only at depth 0.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = ChunkRef> + '_ {
        self.chunks.iter().copied()
    }

    /// Checks all that can be checked without reading a chunk.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn from_wire(stream: &wire::Stream) -> Result<Self, StreamError> {
        let depth = usize::try_from(stream.depth).map_err(|_| StreamError::TooDeep)?;
        if depth > MAX_DEPTH {
            return Err(StreamError::TooDeep);
        }
        if stream.lengths.len() > MAX_INLINE {
            return Err(StreamError::TooManyInline);
        }
        let (ids, rest) = stream.chunk_ids.as_chunks::<32>();
        if !rest.is_empty() || ids.len() != stream.lengths.len() {
            return Err(StreamError::Columns);
        }
        let chunks: Vec<_> = ids
            .iter()
            .zip(&stream.lengths)
            .map(|(id, &length)| ChunkRef {
                id: ChunkId::from_array(*id),
                length,
            })
            .collect();
        let mut named = 0;
        for chunk in &chunks {
            check_chunk_length(chunk, depth)?;
            named += u64::from(chunk.length);
        }
        check_length(stream.length, depth, named)?;
        Ok(Self {
            length: stream.length,
            depth,
            chunks,
        })
    }

    /// The message that [`from_wire`](Self::from_wire) takes.
    #[must_use]
    pub fn to_wire(&self) -> wire::Stream {
        wire::Stream {
            length: self.length,
            depth: u32::try_from(self.depth).expect("a depth is at most MAX_DEPTH"),
            chunk_ids: self.chunks.iter().flat_map(|c| *c.id.as_bytes()).collect(),
            lengths: self.chunks.iter().map(|c| c.length).collect(),
        }
    }
}

/// The longest chunk at `depth`: a stream's own at 0, a list's above.
const fn max_chunk_len(depth: usize) -> usize {
    if depth == 0 {
        MAX_CHUNK_LEN
    } else {
        ChunkKind::StreamList.max_len()
    }
}

fn check_chunk_length(chunk: &ChunkRef, depth: usize) -> Result<(), StreamError> {
    if chunk.length == 0 || chunk.length as usize > max_chunk_len(depth) {
        return Err(StreamError::ChunkLength);
    }
    Ok(())
}

/// Whether a stream of `length` bytes can have chunks at `depth` that are
/// `named` bytes together.
fn check_length(length: u64, depth: usize, named: u64) -> Result<(), StreamError> {
    if length > MAX_LENGTH {
        return Err(StreamError::Length);
    }
    if depth == 0 {
        return if length == named {
            Ok(())
        } else {
            Err(StreamError::Length)
        };
    }
    let record = RECORD_LEN as u64;
    if !named.is_multiple_of(record) {
        return Err(StreamError::ListEnd);
    }
    let listed = named / record;
    if listed <= MAX_INLINE as u64 {
        return Err(StreamError::NeedlessList);
    }
    // The most that so many records can stand for; a lie within that shows
    // when the lists are read.
    let most = (1..depth).fold(listed, |records, level| {
        records.saturating_mul(max_chunk_len(level) as u64) / record
    });
    if length > most.saturating_mul(MAX_CHUNK_LEN as u64) || length <= MAX_INLINE as u64 {
        return Err(StreamError::Length);
    }
    Ok(())
}
