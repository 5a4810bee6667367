//! One file into chunks.

use std::io::{self, Read};

use vault_core::{
    chunker::Chunker,
    stream::{StreamBuilder, StreamRef},
};

use super::seal_pool::SealPool;
use crate::{
    files::{FileReader, ReadFile, Reason},
    progress::{Cancellation, Meter, count},
    transfer::{ChunkWorker, Slots, TransferError},
};

/// Bytes asked of the system at a time.
const READ_LEN: usize = 256 << 10;
/// Bytes read beyond the longest chunk, so that what is left of them is moved
/// to the front less often than for every chunk.
const READ_AHEAD: usize = 1 << 20;

/// What one thread needs to save files.
pub(super) struct FileSaver {
    pub(super) worker: ChunkWorker,
    pub(super) pool: SealPool,
    /// Files of several chunks that are read at once.
    pub(super) long_files: std::sync::Arc<Slots>,
    pub(super) data_chunker: Chunker,
    pub(super) list_chunker: Chunker,
    pub(super) cancellation: Cancellation,
    pub(super) meter: std::sync::Arc<Meter>,
    pub(super) buffer: ReadBuffer,
}

/// Why a file was not saved.
pub(super) enum SaveError {
    /// The file's own fault: it is left out, and the backup goes on.
    File(Reason),
    /// Everything stops.
    Transfer(TransferError),
}

impl From<TransferError> for SaveError {
    fn from(error: TransferError) -> Self {
        Self::Transfer(error)
    }
}

impl FileSaver {
    /// Reads a file to its end and stores its chunks.
    pub(super) fn save(
        &mut self,
        mut file: FileReader,
    ) -> Result<(StreamRef, ReadFile), SaveError> {
        let mut stream = StreamBuilder::new(self.list_chunker.clone());
        self.buffer.filled = 0;
        let shortest = self.data_chunker.sizes().min();
        let is_at_end = self.fill(&mut file, shortest + 1)?;
        if is_at_end && self.buffer.filled <= shortest {
            // One chunk, or none: not worth another thread's while.
            if self.buffer.filled > 0 {
                stream.push(self.worker.write_file_chunk(self.buffer.filled())?);
            }
        } else {
            for chunk in self.save_long(&mut file, is_at_end)? {
                stream.push(chunk);
            }
        }
        let content = stream.finish(&mut self.worker)?;
        let read = file.finish().map_err(SaveError::File)?;
        Ok((content, read))
    }

    fn save_long(
        &mut self,
        file: &mut FileReader,
        mut is_at_end: bool,
    ) -> Result<Vec<vault_core::stream::ChunkRef>, SaveError> {
        let _slot = self.long_files.take();
        let longest = self.data_chunker.sizes().max();
        let mut chunks = self.pool.begin();
        let mut start = 0;
        loop {
            if self.buffer.filled - start < longest && !is_at_end {
                self.buffer.drop_front(start);
                start = 0;
                is_at_end = self.fill(file, longest + READ_AHEAD)?;
            }
            let rest = &self.buffer.filled()[start..];
            if rest.is_empty() {
                break;
            }
            let length = self.data_chunker.cut(rest);
            chunks.push(&rest[..length])?;
            start += length;
        }
        Ok(chunks.finish()?)
    }

    /// Reads until the buffer holds `wanted` bytes; says whether the file ended.
    fn fill(&mut self, file: &mut FileReader, wanted: usize) -> Result<bool, SaveError> {
        while self.buffer.filled < wanted {
            if self.cancellation.is_cancelled() {
                return Err(TransferError::Cancelled.into());
            }
            let missing = (wanted - self.buffer.filled).min(READ_LEN);
            let count_read = match file.read(self.buffer.room(missing)) {
                Ok(count_read) => count_read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SaveError::File(Reason::from(&error))),
            };
            if count_read == 0 {
                return Ok(true);
            }
            self.buffer.filled += count_read;
            count(&self.meter.bytes, count_read as u64);
        }
        Ok(false)
    }
}

/// What was read and not cut yet. Kept between files, so that its memory is
/// cleared once and not for every read.
#[derive(Default)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl ReadBuffer {
    fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Where so many bytes more can be read to.
    fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.bytes.len() < end {
            self.bytes.reserve_exact(end - self.bytes.len());
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    fn drop_front(&mut self, length: usize) {
        self.bytes.copy_within(length..self.filled, 0);
        self.filled -= length;
    }
}
