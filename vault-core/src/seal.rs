//! From chunk to sealed chunk, and back.
//!
//! ```text
//! chunk id     = BLAKE3-keyed(chunk-id key of kind, plaintext)
//! chunk key    = BLAKE3-keyed(epoch's chunk sealing key, chunk id)
//! sealed chunk = XChaCha20-Poly1305(chunk key, random nonce, [version, kind], body)
//! body         = 0 ‖ plaintext
//!              | 1 ‖ length of plaintext (u32) ‖ zstd frame    where that is shorter
//! ```
//!
//! Opening computes the chunk id again from the plaintext: that commits the
//! sealed chunk to its key, and no writer can plant one under another's id.

use std::{fmt, io, mem};

use rand_core::CryptoRng;
use zstd::bulk;

use crate::{
    aead::{self, OpenError},
    chunk::{ChunkId, ChunkKind},
    keys::VaultKeys,
    secret::Secret,
};

/// The version in the associated data of everything sealed in a vault.
pub(crate) const VERSION: u8 = 1;

/// How much longer than its chunk a sealed chunk may be.
pub const MAX_SEALED_OVERHEAD: usize = aead::OVERHEAD + 1;
/// The shortest sealed chunk: of an empty chunk.
pub const MIN_SEALED_LEN: usize = MAX_SEALED_OVERHEAD;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
/// Codec byte and length in front of a zstd frame.
const ZSTD_HEADER_LEN: usize = 5;

/// How hard zstd tries: -7 (fastest) to 19 (smallest); 3 unless set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompressionLevel(i32);

impl CompressionLevel {
    /// `None` outside of -7 to 19. Zero is zstd's way of saying 3.
    #[must_use]
    pub const fn new(level: i32) -> Option<Self> {
        if -7 <= level && level <= 19 {
            Some(Self(level))
        } else {
            None
        }
    }
}

impl Default for CompressionLevel {
    fn default() -> Self {
        Self(3)
    }
}

/// A zstd context, worth keeping for many chunks: one for each thread.
pub struct Compressor {
    context: bulk::Compressor<'static>,
}

impl Compressor {
    /// Makes a context.
    #[must_use]
    pub fn new(level: CompressionLevel) -> Self {
        let context = bulk::Compressor::new(level.0).expect("zstd knows these levels");
        Self { context }
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new(CompressionLevel::default())
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressor")
    }
}

/// Why a chunk could not be sealed: the caller's mistake, each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Longer than a chunk of its kind may be.
    #[error("a chunk of {length} bytes, of a kind that holds at most {limit}")]
    TooLong {
        /// Bytes of the chunk.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// No secret of this epoch is known.
    #[error("no key for epoch {epoch}")]
    UnknownEpoch {
        /// The epoch.
        epoch: u64,
    },
}

impl VaultKeys {
    /// Appends the sealed chunk to `out`, which grows by at most the chunk's
    /// length and [`MAX_SEALED_OVERHEAD`].
    ///
    /// `id` must be this plaintext's own (see [`VaultKeys::chunk_id`]), or the
    /// sealed chunk never opens.
    ///
    /// # Errors
    /// See [`SealError`]; `out` is as it was then.
    #[expect(
        clippy::too_many_arguments,
        reason = "each names one thing, of its own type"
    )]
    pub fn seal_chunk(
        &self,
        epoch: u64,
        kind: ChunkKind,
        id: &ChunkId,
        plaintext: &[u8],
        compressor: &mut Compressor,
        rng: &mut (impl CryptoRng + ?Sized),
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        debug_assert_eq!(*id, self.chunk_id(kind, plaintext));
        if plaintext.len() > kind.max_len() {
            return Err(SealError::TooLong {
                length: plaintext.len(),
                limit: kind.max_len(),
            });
        }
        let key = self
            .chunk_key(epoch, id)
            .map_err(|_| SealError::UnknownEpoch { epoch })?;
        let start = out.len();
        out.reserve(plaintext.len() + MAX_SEALED_OVERHEAD);
        aead::begin(out, rng);
        append_body(plaintext, compressor, out);
        aead::finish(&key, &associated(kind), out, start);
        Ok(())
    }

    /// Opens a sealed chunk and checks that it is the one that `id` names.
    ///
    /// Allocates at most the sealed chunk's length and `kind.max_len()`.
    ///
    /// # Errors
    /// One, whatever is wrong.
    pub fn open_chunk(
        &self,
        epoch: u64,
        kind: ChunkKind,
        id: &ChunkId,
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        if sealed.len() > kind.max_len() + MAX_SEALED_OVERHEAD {
            return Err(OpenError);
        }
        let key = self.chunk_key(epoch, id)?;
        let body = aead::open(&key, &associated(kind), sealed)?;
        let plaintext = plaintext_of(kind, body)?;
        if self.chunk_id(kind, &plaintext) != *id {
            return Err(OpenError);
        }
        Ok(plaintext)
    }

    /// `BLAKE3-keyed(epoch's chunk sealing key, chunk id)`.
    fn chunk_key(&self, epoch: u64, id: &ChunkId) -> Result<Secret, OpenError> {
        let root = &self.epoch(epoch)?.chunk;
        Ok(Secret::from_array(root.keyed_hash(id.as_bytes())))
    }
}

const fn associated(kind: ChunkKind) -> [u8; 2] {
    [VERSION, kind.to_byte()]
}

/// Appends `codec ‖ …` for the codec that makes it shorter.
fn append_body(plaintext: &[u8], compressor: &mut Compressor, out: &mut Vec<u8>) {
    let start = out.len();
    let length = u32::try_from(plaintext.len()).expect("chunks are at most 12 MiB");
    out.push(ZSTD);
    out.extend_from_slice(&length.to_le_bytes());
    // zstd writes after what stands in the buffer, into its spare capacity,
    // and gives up when that is too small.
    let mut cursor = io::Cursor::new(mem::take(out));
    cursor.set_position((start + ZSTD_HEADER_LEN) as u64);
    let compressed = compressor
        .context
        .compress_to_buffer(plaintext, &mut cursor);
    *out = cursor.into_inner();
    let shorter =
        matches!(compressed, Ok(length) if ZSTD_HEADER_LEN + length < 1 + plaintext.len());
    if !shorter {
        out.truncate(start);
        out.push(RAW);
        out.extend_from_slice(plaintext);
    }
}

/// Takes the plaintext out of an opened body, within the bound of its kind.
fn plaintext_of(kind: ChunkKind, mut body: Vec<u8>) -> Result<Vec<u8>, OpenError> {
    match body.first() {
        Some(&RAW) => {
            if body.len() > 1 + kind.max_len() {
                return Err(OpenError);
            }
            body.remove(0);
            Ok(body)
        }
        Some(&ZSTD) => {
            let (header, frame) = body
                .split_first_chunk::<ZSTD_HEADER_LEN>()
                .ok_or(OpenError)?;
            let [_, length @ ..] = *header;
            let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| OpenError)?;
            if length > kind.max_len() {
                return Err(OpenError);
            }
            // Zstd writes at most the capacity, whatever the frame claims.
            let mut plaintext = Vec::with_capacity(length);
            let written = bulk::Decompressor::new()
                .and_then(|mut zstd| zstd.decompress_to_buffer(frame, &mut plaintext))
                .map_err(|_| OpenError)?;
            if written == length {
                Ok(plaintext)
            } else {
                Err(OpenError)
            }
        }
        _ => Err(OpenError),
    }
}
