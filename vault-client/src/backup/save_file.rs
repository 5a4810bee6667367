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
    transfer::{ChunkWorker, TransferError},
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
    pub(super) data_chunker: Chunker,
    pub(super) list_chunker: Chunker,
    pub(super) cancellation: Cancellation,
    pub(super) meter: std::sync::Arc<Meter>,
    /// What was read and not cut yet; kept between files.
    pub(super) buffer: Vec<u8>,
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
        self.buffer.clear();
        let shortest = self.data_chunker.sizes().min();
        let is_at_end = self.fill(&mut file, shortest + 1)?;
        if is_at_end && self.buffer.len() <= shortest {
            // One chunk, or none: not worth another thread's while.
            if !self.buffer.is_empty() {
                stream.push(self.worker.write_file_chunk(&self.buffer)?);
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
        let longest = self.data_chunker.sizes().max();
        let mut chunks = self.pool.begin();
        let mut start = 0;
        loop {
            if self.buffer.len() - start < longest && !is_at_end {
                self.buffer.drain(..start);
                start = 0;
                is_at_end = self.fill(file, longest + READ_AHEAD)?;
            }
            let rest = &self.buffer[start..];
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
        while self.buffer.len() < wanted {
            if self.cancellation.is_cancelled() {
                return Err(TransferError::Cancelled.into());
            }
            let filled = self.buffer.len();
            let missing = (wanted - filled).min(READ_LEN);
            let expected = usize::try_from(file.expected_bytes()).unwrap_or(missing);
            self.buffer.reserve_exact(missing);
            self.buffer
                .resize(filled + missing.min(expected.max(4096) + 1), 0);
            let count_read = match file.read(&mut self.buffer[filled..]) {
                Ok(count_read) => count_read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.buffer.truncate(filled);
                    continue;
                }
                Err(error) => {
                    self.buffer.truncate(filled);
                    return Err(SaveError::File(Reason::from(&error)));
                }
            };
            self.buffer.truncate(filled + count_read);
            if count_read == 0 {
                return Ok(true);
            }
            count(&self.meter.bytes, count_read as u64);
        }
        Ok(false)
    }
}
