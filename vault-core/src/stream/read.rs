//! Reading streams.

use std::vec;

use super::{ChunkRef, MAX_INLINE, ReadError, StreamError, StreamRef, check_chunk_length};
use crate::chunk::{ChunkKind, ChunkSource};

/// A stream's own chunks in order, its lists read as they are needed.
///
/// Holds at most two list chunks for each level of lists. Every length is
/// checked against the level above, and their sum against the stream's. After
/// an error of the source the same call may be made again; any other stays.
#[derive(Debug)]
pub struct StreamChunks {
    length: u64,
    position: u64,
    peeked: Option<ChunkRef>,
    malformed: Option<StreamError>,
    inline: vec::IntoIter<ChunkRef>,
    /// Level k lists the chunks at depth k; the reference itself, those at
    /// depth `levels.len()`.
    levels: Vec<Level>,
}

#[derive(Debug, Default)]
struct Level {
    list: Vec<u8>,
    at: usize,
    chunks: u64,
    /// Taken from the level above, not read yet.
    pending: Option<ChunkRef>,
}

impl StreamChunks {
    /// Begins at the stream's first chunk.
    #[must_use]
    pub fn new(stream: &StreamRef) -> Self {
        Self {
            length: stream.length,
            position: 0,
            peeked: None,
            malformed: None,
            inline: stream.chunks.clone().into_iter(),
            levels: (0..stream.depth).map(|_| Level::default()).collect(),
        }
    }

    /// Where in the stream the next chunk begins, in bytes.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next chunk, or `None` after the last.
    ///
    /// # Errors
    /// [`ReadError::Source`] when a list could not be read,
    /// [`ReadError::Stream`] when it does not hold what it must.
    pub fn next<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<ChunkRef>, ReadError<S::Error>> {
        let chunk = self.peek(source)?;
        self.peeked = None;
        if let Some(chunk) = chunk {
            self.position += u64::from(chunk.length);
        }
        Ok(chunk)
    }

    /// Passes over the chunks that end at `offset` or before, so that the next
    /// one, if there is one, holds the byte at `offset`.
    ///
    /// Reads the lists on the way, 36 bytes a chunk, and none of the chunks.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn skip_to<S: ChunkSource>(
        &mut self,
        offset: u64,
        source: &mut S,
    ) -> Result<(), ReadError<S::Error>> {
        while let Some(chunk) = self.peek(source)? {
            if self.position + u64::from(chunk.length) > offset {
                break;
            }
            self.next(source)?;
        }
        Ok(())
    }

    fn peek<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<ChunkRef>, ReadError<S::Error>> {
        if let Some(malformed) = self.malformed {
            return Err(malformed.into());
        }
        if self.peeked.is_none() {
            self.peeked = self.pull_checked(source).inspect_err(|error| {
                if let ReadError::Stream(malformed) = error {
                    self.malformed = Some(*malformed);
                }
            })?;
        }
        Ok(self.peeked)
    }

    fn pull_checked<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<ChunkRef>, ReadError<S::Error>> {
        let chunk = self.pull(0, source)?;
        let end = self.position + chunk.map_or(0, |c| u64::from(c.length));
        // Never beyond the end, and exactly there after the last.
        if end > self.length || (chunk.is_none() && end != self.length) {
            return Err(StreamError::Length.into());
        }
        Ok(chunk)
    }

    /// The next chunk at `depth`. Calls itself at most [`super::MAX_DEPTH`] times.
    fn pull<S: ChunkSource>(
        &mut self,
        depth: usize,
        source: &mut S,
    ) -> Result<Option<ChunkRef>, ReadError<S::Error>> {
        if depth == self.levels.len() {
            return Ok(self.inline.next());
        }
        loop {
            let level = &mut self.levels[depth];
            if let Some((record, _)) = level.list[level.at..].split_first_chunk() {
                let chunk = ChunkRef::from_record(record);
                check_chunk_length(&chunk, depth)?;
                level.at += record.len();
                level.chunks += 1;
                return Ok(Some(chunk));
            }
            let above = match level.pending {
                Some(chunk) => Some(chunk),
                None => self.pull(depth + 1, source)?,
            };
            let level = &mut self.levels[depth];
            level.pending = above;
            let Some(above) = above else {
                return if level.at < level.list.len() {
                    Err(StreamError::ListEnd.into())
                } else if level.chunks <= MAX_INLINE as u64 {
                    Err(StreamError::NeedlessList.into())
                } else {
                    Ok(None)
                };
            };
            let more = read_chunk(ChunkKind::StreamList, &above, source)?;
            level.pending = None;
            level.list.drain(..level.at);
            level.at = 0;
            level.list.extend(more);
        }
    }
}

/// A stream's bytes, chunk by chunk.
///
/// Holds one chunk beside what [`StreamChunks`] does.
#[derive(Debug)]
pub struct StreamReader {
    kind: ChunkKind,
    chunks: StreamChunks,
    position: u64,
}

impl StreamReader {
    /// Begins at the stream's first byte. `kind` is that of its own chunks.
    #[must_use]
    pub fn new(kind: ChunkKind, stream: &StreamRef) -> Self {
        Self {
            kind,
            chunks: StreamChunks::new(stream),
            position: 0,
        }
    }

    /// Where in the stream the next bytes stand.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The bytes from here to the end of their chunk, at least one; `None` at
    /// the end of the stream.
    ///
    /// # Errors
    /// [`ReadError::Source`] when a chunk could not be read: the same call may
    /// be made again. [`ReadError::Stream`] when the chunks are not as the
    /// stream says.
    pub fn next<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<Vec<u8>>, ReadError<S::Error>> {
        let Some(chunk) = self.chunks.peek(source)? else {
            return Ok(None);
        };
        let mut bytes = read_chunk(self.kind, &chunk, source)?;
        let passed = self.position - self.chunks.position();
        self.chunks.next(source)?;
        self.position = self.chunks.position();
        let passed = usize::try_from(passed).expect("less than a chunk's length");
        bytes.drain(..passed);
        Ok(Some(bytes))
    }

    /// Goes forward to `offset`, or to the end when the stream is shorter.
    /// An offset behind the position changes nothing.
    ///
    /// # Errors
    /// As [`StreamChunks::next`].
    pub fn skip_to<S: ChunkSource>(
        &mut self,
        offset: u64,
        source: &mut S,
    ) -> Result<(), ReadError<S::Error>> {
        let skipped = self.chunks.skip_to(offset, source);
        // Also where it got only part of the way.
        self.position = self.position.max(self.chunks.position());
        skipped?;
        let end = self.chunks.length;
        self.position = self.position.max(offset.min(end));
        Ok(())
    }
}

/// A chunk's plaintext, which is as long as the reference says.
pub(super) fn read_chunk<S: ChunkSource>(
    kind: ChunkKind,
    chunk: &ChunkRef,
    source: &mut S,
) -> Result<Vec<u8>, ReadError<S::Error>> {
    if chunk.length as usize > kind.max_len() {
        return Err(StreamError::ChunkLength.into());
    }
    let bytes = source
        .read_chunk(kind, &chunk.id)
        .map_err(ReadError::Source)?;
    if bytes.len() != chunk.length as usize {
        return Err(StreamError::WrongChunk.into());
    }
    Ok(bytes)
}
