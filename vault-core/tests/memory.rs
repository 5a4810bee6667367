//! Chunks in memory, and a chunker whose chunks are small enough for deep
//! streams.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use vault_core::chunk::{ChunkId, ChunkKind, ChunkSink, ChunkSource};
use vault_core::stream::{Cut, StreamReader, StreamRef, StreamWriter};

/// Chunks by kind and id, and a count of what was asked for. Clones share.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    chunks: HashMap<(ChunkKind, ChunkId), Vec<u8>>,
    reads: usize,
    writes: usize,
    written_bytes: usize,
    /// Every read but each third fails once.
    flaky: bool,
    attempts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    #[error("no such chunk")]
    Missing,
    #[error("try again")]
    Flaky,
}

/// `id = BLAKE3-keyed(32 times the kind's byte, plaintext)`, as the vectors
/// have it.
pub fn chunk_id(kind: ChunkKind, plaintext: &[u8]) -> ChunkId {
    let key = [kind.to_byte(); 32];
    ChunkId::from_array(*blake3::keyed_hash(&key, plaintext).as_bytes())
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes most reads fail at the first try.
    pub fn make_flaky(&self) {
        self.0.borrow_mut().flaky = true;
    }

    /// Chunks read since the last call.
    pub fn take_reads(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().reads)
    }

    /// Chunks written since the last call, known ones too.
    pub fn take_writes(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().writes)
    }

    /// Bytes written since the last call, known ones too.
    pub fn take_written_bytes(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().written_bytes)
    }

    /// Puts any bytes under any id.
    pub fn plant(&self, kind: ChunkKind, id: ChunkId, plaintext: &[u8]) {
        let chunks = &mut self.0.borrow_mut().chunks;
        chunks.insert((kind, id), plaintext.to_vec());
    }

    /// Every chunk, ordered by kind and id.
    pub fn chunks(&self) -> Vec<(ChunkKind, ChunkId, Vec<u8>)> {
        let inner = self.0.borrow();
        let mut chunks: Vec<_> = inner
            .chunks
            .iter()
            .map(|((kind, id), plaintext)| (*kind, *id, plaintext.clone()))
            .collect();
        chunks.sort();
        chunks
    }
}

impl ChunkSink for Memory {
    type Error = MemoryError;

    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, MemoryError> {
        assert!((1..=kind.max_len()).contains(&plaintext.len()));
        let id = chunk_id(kind, plaintext);
        self.0.borrow_mut().writes += 1;
        self.0.borrow_mut().written_bytes += plaintext.len();
        self.plant(kind, id, plaintext);
        Ok(id)
    }
}

impl ChunkSource for Memory {
    type Error = MemoryError;

    fn read_chunk(&mut self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>, MemoryError> {
        let mut inner = self.0.borrow_mut();
        inner.attempts += 1;
        if inner.flaky && !inner.attempts.is_multiple_of(3) {
            return Err(MemoryError::Flaky);
        }
        inner.reads += 1;
        let chunk = inner.chunks.get(&(kind, *id));
        chunk.cloned().ok_or(MemoryError::Missing)
    }
}

/// Cuts where eight bytes hash to a multiple of `every`, between `min` and `max`.
#[derive(Debug, Clone, Copy)]
pub struct SmallChunks {
    pub min: usize,
    pub max: usize,
    pub every: u64,
}

impl SmallChunks {
    /// About 4 records of a list in a chunk, so that few chunks make deep lists.
    pub const LISTS: Self = Self {
        min: 80,
        max: 640,
        every: 64,
    };

    /// Chunks of about 50 bytes.
    pub const BYTES: Self = Self {
        min: 16,
        max: 640,
        every: 32,
    };
}

impl Cut for SmallChunks {
    fn cut(&self, buf: &[u8]) -> usize {
        let longest = self.max.min(buf.len());
        (self.min..longest)
            .find(|&end| {
                let window = buf[end - 8..end].try_into().expect("eight bytes");
                let hash = u64::from_le_bytes(window).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                hash.is_multiple_of(self.every)
            })
            .unwrap_or(longest)
    }

    fn max_len(&self) -> usize {
        self.max
    }
}

/// A stream of small chunks.
pub fn write_small(kind: ChunkKind, bytes: &[u8], memory: &Memory) -> StreamRef {
    let mut memory = memory.clone();
    let mut writer = StreamWriter::new(kind, SmallChunks::BYTES, SmallChunks::LISTS);
    writer.write(bytes, &mut memory).unwrap();
    writer.finish(&mut memory).unwrap()
}

/// All bytes of a stream.
pub fn read_stream(kind: ChunkKind, stream: &StreamRef, memory: &Memory) -> Vec<u8> {
    let mut memory = memory.clone();
    let mut reader = StreamReader::new(kind, stream);
    let mut bytes = Vec::new();
    while let Some(more) = reader.next(&mut memory).unwrap() {
        bytes.extend(more);
    }
    bytes
}
