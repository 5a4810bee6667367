//! Appending to a stream without writing it again.

use super::read::read_chunk;
use super::write::Level;
use super::{
    ChunkRef, Cut, MAX_INLINE, RECORD_LEN, ReadError, StreamBuilder, StreamError, StreamRef,
    StreamWriter, check_chunk_length,
};
use crate::chunk::{ChunkKind, ChunkSink, ChunkSource};

/// Why nothing was appended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError<R, W> {
    /// The end of the stream could not be read.
    #[error("the end of the stream could not be read")]
    Read(#[from] ReadError<R>),
    /// A chunk could not be stored.
    #[error("a chunk could not be stored")]
    Write(#[source] W),
}

/// Gives the stream of the bytes of `stream` and `tail`: the same reference as
/// writing them at once with the same chunkers.
///
/// Reads the last chunk of the stream and of each level of its lists, and
/// writes what follows from there: a few chunks, however long the stream is.
///
/// # Errors
/// See [`AppendError`].
///
/// # Panics
/// As [`StreamWriter::new`].
pub fn append<C: Cut, R: ChunkSource, W: ChunkSink>(
    stream: &StreamRef,
    kind: ChunkKind,
    chunker: C,
    list_chunker: C,
    tail: &[u8],
    source: &mut R,
    sink: &mut W,
) -> Result<StreamRef, AppendError<R::Error, W::Error>> {
    let mut end = End::new(stream);
    let (last, length) = match end.pop(0, source)? {
        Some(last) => {
            let before = stream
                .length
                .checked_sub(u64::from(last.length))
                .ok_or(ReadError::Stream(StreamError::Length))?;
            (read_chunk(kind, &last, source)?, before)
        }
        None => (Vec::new(), 0),
    };
    let builder = StreamBuilder::resume(list_chunker, length, end.levels);
    let mut writer = StreamWriter::resume(kind, chunker, last, builder);
    writer.write(tail, sink).map_err(AppendError::Write)?;
    let builder = writer.into_builder(sink).map_err(AppendError::Write)?;
    let appended = builder.finish_within_depth(sink);
    // Only a stream that no chunker made is as deep and yet so short.
    appended
        .map_err(AppendError::Write)?
        .ok_or_else(|| ReadError::Stream(StreamError::TooDeep).into())
}

/// The ends of a stream's lists, taken off from the last chunk backwards.
///
/// Level k has the bytes of the list of the chunks at depth k, from the
/// beginning of one of its own chunks; at the top, all of it.
struct End {
    levels: Vec<Level>,
}

impl End {
    fn new(stream: &StreamRef) -> Self {
        // How many chunks there are is known of the two upper levels. Below
        // them there is more than one full list, which never fits in line.
        let mut levels: Vec<_> = (0..stream.depth)
            .map(|_| Level {
                chunks: u64::from(u32::MAX),
                uncut: Vec::new(),
            })
            .collect();
        if let Some(level) = levels.last_mut() {
            let listed: u64 = stream.chunks().map(|c| u64::from(c.length)).sum();
            level.chunks = listed / RECORD_LEN as u64;
        }
        levels.push(Level {
            chunks: stream.chunks.len() as u64,
            uncut: stream.chunks().flat_map(ChunkRef::to_record).collect(),
        });
        Self { levels }
    }

    /// Takes off the last chunk at `depth`. Calls itself at most
    /// [`super::MAX_DEPTH`] times.
    fn pop<S: ChunkSource>(
        &mut self,
        depth: usize,
        source: &mut S,
    ) -> Result<Option<ChunkRef>, ReadError<S::Error>> {
        // A list that was hardly needed may not be any more, as another end can
        // be cut into fewer chunks: then all of it is needed in line.
        let is_short =
            depth + 2 == self.levels.len() && self.levels[depth].chunks <= 2 * MAX_INLINE as u64;
        while self.levels[depth].uncut.len() < RECORD_LEN
            || (is_short && self.levels[depth + 1].chunks > 0)
        {
            let above = if depth + 1 < self.levels.len() {
                self.pop(depth + 1, source)?
            } else {
                None
            };
            let Some(above) = above else {
                return if self.levels[depth].uncut.is_empty() {
                    Ok(None)
                } else {
                    Err(StreamError::ListEnd.into())
                };
            };
            let mut list = read_chunk(ChunkKind::StreamList, &above, source)?;
            let level = &mut self.levels[depth];
            list.append(&mut level.uncut);
            level.uncut = list;
        }
        let level = &mut self.levels[depth];
        let record = level.uncut.last_chunk().expect("the loop left a record");
        let chunk = ChunkRef::from_record(record);
        check_chunk_length(&chunk, depth)?;
        level.uncut.truncate(level.uncut.len() - RECORD_LEN);
        level.chunks = level.chunks.saturating_sub(1);
        Ok(Some(chunk))
    }
}
