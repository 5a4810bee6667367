//! Writing streams.

use super::{
    ChunkRef, Cut, MAX_CHUNK_LEN, MAX_DEPTH, MAX_INLINE, RECORD_LEN, StreamRef, max_chunk_len,
};
use crate::chunk::{ChunkKind, ChunkSink};

/// Collects a stream's chunks, in order, and writes the lists of them.
///
/// It keeps 36 bytes a chunk until [`finish`](Self::finish); calling
/// [`settle`](Self::settle) now and then bounds that to a few times the list
/// chunker's longest chunk.
#[derive(Debug)]
pub struct StreamBuilder<C> {
    list_chunker: C,
    length: u64,
    levels: Vec<Level>,
}

/// The list of the chunks at one depth, as far as it is not cut yet.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) chunks: u64,
    pub(super) uncut: Vec<u8>,
}

impl<C: Cut> StreamBuilder<C> {
    /// A stream without chunks yet, whose lists `list_chunker` will cut.
    ///
    /// # Panics
    /// If the chunker's chunks can be longer than a list's may be, or so short
    /// that [`MAX_INLINE`] records fill one.
    pub fn new(list_chunker: C) -> Self {
        Self::resume(list_chunker, 0, vec![Level::default()])
    }

    pub(super) fn resume(list_chunker: C, length: u64, levels: Vec<Level>) -> Self {
        let max = list_chunker.max_len();
        assert!(
            (MAX_INLINE * RECORD_LEN + 1..=ChunkKind::StreamList.max_len()).contains(&max),
            "a list's chunks are from 577 bytes to 64 KiB at most"
        );
        Self {
            list_chunker,
            length,
            levels,
        }
    }

    /// Bytes of the chunks so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next chunk, which is stored already.
    ///
    /// # Panics
    /// If the chunk is empty or longer than 4 MiB.
    pub fn push(&mut self, chunk: ChunkRef) {
        assert!(
            (1..=MAX_CHUNK_LEN).contains(&(chunk.length as usize)),
            "a stream's chunks are from 1 byte to 4 MiB"
        );
        self.length += u64::from(chunk.length);
        self.push_at(0, chunk);
    }

    /// Writes the parts of the lists that no further chunk can change.
    ///
    /// # Errors
    /// The sink's.
    pub fn settle<S: ChunkSink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let mut depth = 0;
        while depth < self.levels.len() {
            self.cut_level(depth, self.list_chunker.max_len(), sink)?;
            depth += 1;
        }
        Ok(())
    }

    /// Writes what is left of the lists and names the stream.
    ///
    /// # Errors
    /// The sink's.
    ///
    /// # Panics
    /// If the lists are deeper than [`MAX_DEPTH`], which takes a stream of
    /// petabytes, or a list chunker that makes chunks of a few records.
    pub fn finish<S: ChunkSink>(self, sink: &mut S) -> Result<StreamRef, S::Error> {
        let stream = self.finish_within_depth(sink)?;
        Ok(stream.expect("a stream has at most MAX_DEPTH lists"))
    }

    /// As [`finish`](Self::finish), but `None` if the lists are too deep.
    pub(super) fn finish_within_depth<S: ChunkSink>(
        mut self,
        sink: &mut S,
    ) -> Result<Option<StreamRef>, S::Error> {
        let mut depth = 0;
        while self.levels[depth].chunks > MAX_INLINE as u64 {
            if depth == MAX_DEPTH {
                return Ok(None);
            }
            self.cut_level(depth, 1, sink)?;
            depth += 1;
        }
        let (records, _) = self.levels[depth].uncut.as_chunks();
        Ok(Some(StreamRef {
            length: self.length,
            depth,
            chunks: records.iter().map(ChunkRef::from_record).collect(),
        }))
    }

    fn push_at(&mut self, depth: usize, chunk: ChunkRef) {
        if depth == self.levels.len() {
            self.levels.push(Level::default());
        }
        let level = &mut self.levels[depth];
        level.chunks += 1;
        level.uncut.extend(chunk.to_record());
    }

    /// Cuts the list at `depth` while it holds at least `enough` bytes.
    fn cut_level<S: ChunkSink>(
        &mut self,
        depth: usize,
        enough: usize,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let mut cut = 0;
        let list = std::mem::take(&mut self.levels[depth].uncut);
        while list.len() - cut >= enough {
            let rest = &list[cut..];
            let chunk = store(ChunkKind::StreamList, &self.list_chunker, rest, sink)?;
            cut += chunk.length as usize;
            self.push_at(depth + 1, chunk);
        }
        self.levels[depth].uncut = list;
        self.levels[depth].uncut.drain(..cut);
        Ok(())
    }
}

/// Cuts bytes into chunks of one kind and stores them: for metadata, whose
/// chunks need no pipeline.
///
/// It keeps at most a few of the chunkers' longest chunks.
#[derive(Debug)]
pub struct StreamWriter<C> {
    kind: ChunkKind,
    chunker: C,
    uncut: Vec<u8>,
    builder: StreamBuilder<C>,
}

impl<C: Cut> StreamWriter<C> {
    /// A stream without bytes yet.
    ///
    /// # Panics
    /// If `chunker` makes chunks longer than those of `kind` may be; and see
    /// [`StreamBuilder::new`].
    pub fn new(kind: ChunkKind, chunker: C, list_chunker: C) -> Self {
        Self::resume(kind, chunker, Vec::new(), StreamBuilder::new(list_chunker))
    }

    pub(super) fn resume(
        kind: ChunkKind,
        chunker: C,
        uncut: Vec<u8>,
        builder: StreamBuilder<C>,
    ) -> Self {
        assert!(
            chunker.max_len() <= kind.max_len().min(max_chunk_len(0)),
            "the chunker's chunks fit the kind"
        );
        Self {
            kind,
            chunker,
            uncut,
            builder,
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.builder.length() + self.uncut.len() as u64
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// The sink's.
    pub fn write<S: ChunkSink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<(), S::Error> {
        let enough = self.chunker.max_len();
        // Pieces of one longest chunk, so that `uncut` never holds more than two.
        for piece in bytes.chunks(enough) {
            self.uncut.extend(piece);
            if self.uncut.len() >= enough {
                self.cut(enough, sink)?;
                self.builder.settle(sink)?;
            }
        }
        Ok(())
    }

    /// Stores what is left and names the stream.
    ///
    /// # Errors
    /// The sink's.
    ///
    /// # Panics
    /// As [`StreamBuilder::finish`].
    pub fn finish<S: ChunkSink>(self, sink: &mut S) -> Result<StreamRef, S::Error> {
        self.into_builder(sink)?.finish(sink)
    }

    /// Stores what is left of the bytes, but not of the lists.
    pub(super) fn into_builder<S: ChunkSink>(
        mut self,
        sink: &mut S,
    ) -> Result<StreamBuilder<C>, S::Error> {
        self.cut(1, sink)?;
        Ok(self.builder)
    }

    /// Cuts while there are at least `enough` bytes.
    fn cut<S: ChunkSink>(&mut self, enough: usize, sink: &mut S) -> Result<(), S::Error> {
        let mut cut = 0;
        while self.uncut.len() - cut >= enough {
            let chunk = store(self.kind, &self.chunker, &self.uncut[cut..], sink)?;
            cut += chunk.length as usize;
            self.builder.push(chunk);
        }
        self.uncut.drain(..cut);
        Ok(())
    }
}

/// Stores the first chunk of `rest`.
fn store<S: ChunkSink>(
    kind: ChunkKind,
    chunker: &impl Cut,
    rest: &[u8],
    sink: &mut S,
) -> Result<ChunkRef, S::Error> {
    let chunk = &rest[..chunker.cut(rest)];
    Ok(ChunkRef {
        id: sink.write_chunk(kind, chunk)?,
        length: u32::try_from(chunk.len()).expect("chunks are at most 4 MiB"),
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::chunk::ChunkId;

    /// Names chunks and forgets them.
    struct Names;

    impl ChunkSink for Names {
        type Error = Infallible;

        fn write_chunk(&mut self, _: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, Infallible> {
            let id = blake3::hash(plaintext);
            Ok(ChunkId::from_array(*id.as_bytes()))
        }
    }

    /// Cuts every 600 bytes.
    struct Fixed;

    impl Cut for Fixed {
        fn cut(&self, buf: &[u8]) -> usize {
            buf.len().min(600)
        }

        fn max_len(&self) -> usize {
            600
        }
    }

    #[test]
    fn a_stream_that_is_settled_takes_no_more_memory() {
        let mut builder = StreamBuilder::new(Fixed);
        for _ in 0..50_000 {
            let id = ChunkId::from_array([1; 32]);
            builder.push(ChunkRef { id, length: 1 });
            builder.settle(&mut Names).unwrap();
            let held: usize = builder.levels.iter().map(|level| level.uncut.len()).sum();
            assert!(held < 600 * builder.levels.len());
        }
        assert_eq!(builder.finish(&mut Names).unwrap().length(), 50_000);
    }

    #[test]
    fn a_writer_holds_two_chunks() {
        let mut writer = StreamWriter::new(ChunkKind::Tree, Fixed, Fixed);
        for length in [1, 599, 600, 601, 5_000, 100_000] {
            writer.write(&vec![7; length], &mut Names).unwrap();
            assert!(writer.uncut.len() < 600);
            assert!(writer.uncut.capacity() <= 4 * 600);
        }
    }
}
