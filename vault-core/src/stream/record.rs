//! Streams of records: messages that each follow their length, a varint.

use prost::encoding::encode_varint;

use super::{ReadError, StreamError, StreamReader, StreamRef};
use crate::chunk::{ChunkKind, ChunkSource};

/// Bytes of the longest length that is accepted: 28 bits.
const MAX_LENGTH_LEN: usize = 4;

/// Appends a record to `out`.
pub(crate) fn push_record(record: &[u8], out: &mut Vec<u8>) {
    encode_varint(record.len() as u64, out);
    out.extend(record);
}

/// The records of a stream in order.
///
/// Holds at most one record and one chunk beside what [`StreamReader`] does.
#[derive(Debug)]
pub(crate) struct RecordReader {
    reader: StreamReader,
    limit: usize,
    buffer: Vec<u8>,
    at: usize,
}

impl RecordReader {
    /// Reads records of 1 to `limit` bytes.
    pub(crate) fn new(kind: ChunkKind, stream: &StreamRef, limit: usize) -> Self {
        Self {
            reader: StreamReader::new(kind, stream),
            limit,
            buffer: Vec::new(),
            at: 0,
        }
    }

    /// Where in the stream the next record begins.
    pub(crate) fn position(&self) -> u64 {
        self.reader.position() - (self.buffer.len() - self.at) as u64
    }

    /// Goes forward to a record that begins at `offset`. Only on a new reader.
    pub(crate) fn skip_to<S: ChunkSource>(
        &mut self,
        offset: u64,
        source: &mut S,
    ) -> Result<(), ReadError<S::Error>> {
        debug_assert!(self.buffer.is_empty(), "nothing was read yet");
        self.reader.skip_to(offset, source)
    }

    /// The next record, or `None` after the last.
    pub(crate) fn next<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<Vec<u8>>, ReadError<S::Error>> {
        loop {
            let unread = &self.buffer[self.at..];
            match split_length(unread)? {
                Some((length, _)) if length == 0 || length > self.limit => {
                    return Err(StreamError::Record.into());
                }
                Some((length, rest)) if rest.len() >= length => {
                    let record = rest[..length].to_vec();
                    self.at = self.buffer.len() - rest.len() + length;
                    return Ok(Some(record));
                }
                _ => {}
            }
            let at_end = unread.is_empty();
            match self.reader.next(source)? {
                Some(more) => {
                    self.buffer.drain(..self.at);
                    self.at = 0;
                    self.buffer.extend(more);
                }
                None if at_end => return Ok(None),
                None => return Err(StreamError::Record.into()),
            }
        }
    }
}

/// Splits a length in its shortest form off; `None` if more bytes are needed.
fn split_length(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, StreamError> {
    let mut length = 0;
    for (n, &byte) in bytes.iter().enumerate().take(MAX_LENGTH_LEN) {
        length |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            // A last byte of zero adds nothing: a shorter form says the same.
            return if byte == 0 && n > 0 {
                Err(StreamError::Record)
            } else {
                Ok(Some((length, &bytes[n + 1..])))
            };
        }
    }
    if bytes.len() >= MAX_LENGTH_LEN {
        return Err(StreamError::Record);
    }
    Ok(None)
}
