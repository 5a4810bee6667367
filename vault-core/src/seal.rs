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

use std::{fmt, io, mem, ops::Deref};

use rand_core::CryptoRng;
use zstd::{bulk, zstd_safe};

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
/// What a zstd frame begins with: `Magic_Number` of RFC 8878, section 3.1.1.
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Codec byte and length in front of a zstd frame.
const ZSTD_HEADER_LEN: usize = 5;

/// From this length on, samples decide whether a chunk is worth compressing.
const SAMPLED_FROM: usize = 256 << 10;
/// How many samples there are,
const SAMPLES: usize = 8;
/// and the bytes of each.
const SAMPLE_LEN: usize = 4 << 10;

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

    /// Whether samples of a long chunk say that it will not shrink.
    ///
    /// They are taken all over it, and compressed together by what would compress
    /// the whole, so that what they do not show is a part shorter than an eighth
    /// of the chunk, or a repetition further apart than a sample is long. On what
    /// does not shrink, trying costs as much as enciphering it.
    fn is_hopeless(&mut self, plaintext: &[u8]) -> bool {
        if plaintext.len() < SAMPLED_FROM {
            return false;
        }
        let mut samples = [0; SAMPLES * SAMPLE_LEN];
        let stride = (plaintext.len() - SAMPLE_LEN) / (SAMPLES - 1);
        for (number, sample) in samples.chunks_exact_mut(SAMPLE_LEN).enumerate() {
            sample.copy_from_slice(&plaintext[number * stride..][..SAMPLE_LEN]);
        }
        // An error says that it needs more room than there is.
        let mut compressed = [0; SAMPLES * SAMPLE_LEN];
        let result = self
            .context
            .compress_to_buffer(&samples, &mut compressed[..]);
        result.is_err()
    }
}

impl Compressor {
    /// One zstd frame that says how long its content is.
    pub(crate) fn compress(&mut self, content: &[u8]) -> Vec<u8> {
        self.context
            .compress(content)
            .expect("the buffer is as long as zstd asks for")
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

/// A zstd context for the way back, worth keeping as well: making one costs
/// more than opening a small chunk.
#[derive(Default)]
pub struct Decompressor {
    context: bulk::Decompressor<'static>,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decompressor")
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
        let (sealed, mut decompressor) = (sealed.to_vec(), Decompressor::default());
        let plaintext = self.open_chunk_with(epoch, kind, id, sealed, &mut decompressor)?;
        Ok(plaintext.into())
    }

    /// The same as [`VaultKeys::open_chunk`], for who opens many: a chunk that
    /// was kept as it is is opened where it stands.
    ///
    /// # Errors
    /// One, whatever is wrong.
    pub fn open_chunk_with(
        &self,
        epoch: u64,
        kind: ChunkKind,
        id: &ChunkId,
        sealed: Vec<u8>,
        decompressor: &mut Decompressor,
    ) -> Result<Plaintext, OpenError> {
        let key = self.chunk_key(epoch, id)?;
        let plaintext = open_sealed(&key, kind, sealed, decompressor)?;
        if self.chunk_id(kind, &plaintext) != *id {
            return Err(OpenError);
        }
        Ok(plaintext)
    }

    /// The key of one chunk as it is sealed in `epoch`, to be handed to somebody
    /// who may read that chunk and nothing else.
    ///
    /// # Errors
    /// When no secret of the epoch is known.
    pub fn export_chunk_key(&self, epoch: u64, id: &ChunkId) -> Result<ChunkKey, OpenError> {
        self.chunk_key(epoch, id).map(ChunkKey)
    }

    /// `BLAKE3-keyed(epoch's chunk sealing key, chunk id)`.
    pub(crate) fn chunk_key(&self, epoch: u64, id: &ChunkId) -> Result<Secret, OpenError> {
        let root = &self.epoch(epoch)?.chunk;
        Ok(Secret::from_array(root.keyed_hash(id.as_bytes())))
    }
}

/// The key of one sealed chunk: what opens it, and nothing else.
///
/// `key = BLAKE3-keyed(epoch's chunk sealing key, chunk id)`
///
/// Wiped when it is dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkKey(Secret);

impl ChunkKey {
    pub(crate) const fn from_array(bytes: [u8; 32]) -> Self {
        Self(Secret::from_array(bytes))
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Opens the sealed chunk whose BLAKE3 is `sealed_hash`.
    ///
    /// Who has the key alone cannot compute the chunk's id. Key and hash together
    /// leave one plaintext, as key and id do.
    ///
    /// Allocates at most the sealed chunk's length and `kind.max_len()`.
    ///
    /// # Errors
    /// One, whatever is wrong.
    pub fn open_chunk(
        &self,
        kind: ChunkKind,
        sealed_hash: &[u8; 32],
        sealed: &[u8],
        decompressor: &mut Decompressor,
    ) -> Result<Vec<u8>, OpenError> {
        if blake3::hash(sealed) != *sealed_hash {
            return Err(OpenError);
        }
        Ok(open_sealed(&self.0, kind, sealed.to_vec(), decompressor)?.into())
    }
}

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkKey(…)")
    }
}

/// Opens a sealed chunk of at most its kind's length, where it stands if it was
/// kept as it is. What it is a chunk of is for the caller to see.
fn open_sealed(
    key: &Secret,
    kind: ChunkKind,
    mut sealed: Vec<u8>,
    decompressor: &mut Decompressor,
) -> Result<Plaintext, OpenError> {
    if sealed.len() > kind.max_len() + MAX_SEALED_OVERHEAD {
        return Err(OpenError);
    }
    let body = aead::open_in_place(key, &associated(kind), &mut sealed)?;
    match body.split_first() {
        Some((&RAW, raw)) => {
            let start = aead::NONCE_LEN + 1;
            let end = start + raw.len();
            sealed.truncate(end);
            Ok(Plaintext {
                bytes: sealed,
                start,
            })
        }
        Some((&ZSTD, _)) => Ok(Plaintext {
            bytes: decompressor.decompress_body(kind, body)?,
            start: 0,
        }),
        _ => Err(OpenError),
    }
}

pub(crate) const fn associated(kind: ChunkKind) -> [u8; 2] {
    [VERSION, kind.to_byte()]
}

/// An opened chunk.
pub struct Plaintext {
    bytes: Vec<u8>,
    start: usize,
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl From<Vec<u8>> for Plaintext {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

impl From<Plaintext> for Vec<u8> {
    fn from(plaintext: Plaintext) -> Self {
        let Plaintext { mut bytes, start } = plaintext;
        bytes.drain(..start);
        bytes
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.len())
    }
}

/// Appends `codec ‖ …` for the codec that makes it shorter; where samples tell,
/// without trying.
fn append_body(plaintext: &[u8], compressor: &mut Compressor, out: &mut Vec<u8>) {
    let start = out.len();
    if !compressor.is_hopeless(plaintext) {
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
        if matches!(compressed, Ok(length) if ZSTD_HEADER_LEN + length < 1 + plaintext.len()) {
            return;
        }
        out.truncate(start);
    }
    out.push(RAW);
    out.extend_from_slice(plaintext);
}

impl Decompressor {
    /// Decompresses `1 ‖ length ‖ frame`, within the bound of the chunk's kind.
    fn decompress_body(&mut self, kind: ChunkKind, body: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (header, frame) = body
            .split_first_chunk::<ZSTD_HEADER_LEN>()
            .ok_or(OpenError)?;
        let [_, length @ ..] = *header;
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| OpenError)?;
        if length > kind.max_len() {
            return Err(OpenError);
        }
        self.decompress(frame, length)
    }

    /// Decompresses exactly one frame, as RFC 8878 has it (neither skippable nor of
    /// before), which must say that it holds `length` bytes.
    pub(crate) fn decompress(&mut self, frame: &[u8], length: usize) -> Result<Vec<u8>, OpenError> {
        let claimed = zstd_safe::get_frame_content_size(frame).map_err(|_| OpenError)?;
        let frame_len = zstd_safe::find_frame_compressed_size(frame).map_err(|_| OpenError)?;
        let is_one = frame.starts_with(&FRAME_MAGIC) && frame_len == frame.len();
        if claimed != Some(length as u64) || !is_one {
            return Err(OpenError);
        }
        // Zstd writes at most the capacity, whatever the frame holds, and
        // compares what it wrote with what the frame said.
        let mut plaintext = Vec::with_capacity(length);
        self.context
            .decompress_to_buffer(frame, &mut plaintext)
            .map_err(|_| OpenError)?;
        Ok(plaintext)
    }
}

#[cfg(test)]
mod two_keys;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};
    use vault_proto::ids::VaultId;

    use super::*;

    const KIND: ChunkKind = ChunkKind::Tree;
    const LIMIT: usize = KIND.max_len();

    /// Opens `body`, sealed by a member who does as he likes, under the id of
    /// `plaintext`.
    fn open(body: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, OpenError> {
        let keys = VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32]]);
        let id = keys.chunk_id(KIND, plaintext);
        let key = keys.chunk_key(1, &id)?;
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sealed = aead::seal(&key, &associated(KIND), body, &mut rng);
        keys.open_chunk(1, KIND, &id, &sealed)
    }

    fn frame(plaintext: &[u8]) -> Vec<u8> {
        bulk::compress(plaintext, 3).unwrap()
    }

    fn zstd_body(length: usize, frame: &[u8]) -> Vec<u8> {
        let length = u32::try_from(length).unwrap();
        [&[ZSTD], length.to_le_bytes().as_slice(), frame].concat()
    }

    #[test]
    fn both_codecs_open() {
        let plaintext = vec![3; LIMIT];
        let body = zstd_body(LIMIT, &frame(&plaintext));
        assert_eq!(open(&body, &plaintext), Ok(plaintext.clone()));
        let body = [&[RAW], plaintext.as_slice()].concat();
        assert_eq!(open(&body, &plaintext), Ok(plaintext));
        assert_eq!(open(&[RAW], b""), Ok(vec![]));
    }

    #[test]
    fn a_body_may_not_be_over_the_bound_of_its_kind() {
        let plaintext = vec![3; LIMIT + 1];
        let body = zstd_body(LIMIT + 1, &frame(&plaintext));
        assert_eq!(open(&body, &plaintext), Err(OpenError));
        let body = [&[RAW], plaintext.as_slice()].concat();
        assert_eq!(open(&body, &plaintext), Err(OpenError));
    }

    #[test]
    fn a_frame_must_hold_what_is_claimed() {
        let plaintext = vec![3; 1_000];
        let frame_ = frame(&plaintext);
        for length in [0, 1, 999, 1_001, LIMIT, LIMIT + 1] {
            assert_eq!(
                open(&zstd_body(length, &frame_), &plaintext),
                Err(OpenError)
            );
        }
        let bomb = frame(&vec![3; 64 << 20]);
        assert!(bomb.len() < LIMIT);
        for length in [0, 1_000, LIMIT, 64 << 20] {
            assert_eq!(open(&zstd_body(length, &bomb), &plaintext), Err(OpenError));
        }
        // Nothing, in a frame that is to be skipped.
        let skipped = [0x184D_2A50_u32.to_le_bytes(), [0; 4]].concat();
        assert_eq!(open(&zstd_body(0, &skipped), b""), Err(OpenError));
        assert_eq!(open(&zstd_body(0, &frame(b"")), b""), Ok(vec![]));
        // The claim in the frame's own header, made to fit.
        let mut liar = frame(&vec![3; 300]);
        let truth = zstd_safe::get_frame_content_size(&liar).unwrap();
        assert_eq!(truth, Some(300));
        // Descriptor 0x60: a single segment, two bytes of content size less 256.
        assert_eq!((liar[4], liar[5], liar[6]), (0x60, 44, 0));
        liar[5] = 43;
        assert_eq!(
            open(&zstd_body(299, &liar), &plaintext[..299]),
            Err(OpenError)
        );
    }

    #[test]
    fn one_frame_and_nothing_else() {
        let plaintext = vec![3; 1_000];
        let frame_ = frame(&plaintext);
        let mut trailing = frame_.clone();
        trailing.push(0);
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], frame_.as_slice()].concat();
        let two = [frame(&plaintext[..500]), frame(&plaintext[500..])].concat();
        let mut unsized_frame = Vec::new();
        zstd::stream::copy_encode(plaintext.as_slice(), &mut unsized_frame, 3).unwrap();
        // Frames that add no bytes.
        let empty = [frame_.as_slice(), &frame(b"")].concat();
        let skipped = [frame_.as_slice(), &skippable[..8]].concat();
        for frame in [
            trailing,
            skippable,
            skipped,
            empty,
            two,
            unsized_frame,
            vec![],
        ] {
            let body = zstd_body(1_000, &frame);
            assert_eq!(open(&body, &plaintext), Err(OpenError));
        }
        for body in [
            &[][..],
            &[2],
            &[ZSTD],
            &[ZSTD, 0, 0, 0],
            &[ZSTD, 0, 0, 0, 0],
        ] {
            assert_eq!(open(body, b""), Err(OpenError));
        }
    }

    #[test]
    fn contexts_forget_what_failed() {
        let keys = VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32]]);
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut noise = vec![0; 5_000];
        rng.fill_bytes(&mut noise);
        let text = b"again and ".repeat(500);
        let (mut compressor, mut decompressor) = (Compressor::default(), Decompressor::default());
        let mut seal = |plaintext: &[u8]| {
            let id = keys.chunk_id(KIND, plaintext);
            let mut out = Vec::new();
            keys.seal_chunk(1, KIND, &id, plaintext, &mut compressor, &mut rng, &mut out)
                .unwrap();
            (id, out)
        };
        let mut lengths = Vec::new();
        for plaintext in [&text, &noise, &text] {
            let (id, sealed) = seal(plaintext);
            let mut open = |sealed: &[u8]| {
                keys.open_chunk_with(1, KIND, &id, sealed.to_vec(), &mut decompressor)
            };
            assert_eq!(open(&sealed[1..]).unwrap_err(), OpenError);
            assert_eq!(*open(&sealed).unwrap(), **plaintext);
            lengths.push(sealed.len());
        }
        assert_eq!(lengths[0], lengths[2]);
        assert_eq!(decompressor.decompress(&[0; 20], 20), Err(OpenError));
        assert!(decompressor.decompress(&frame(&text), text.len()).is_ok());
    }

    #[test]
    fn samples_tell_noise_from_what_shrinks() {
        let mut noise = vec![0; 1 << 20];
        ChaCha20Rng::seed_from_u64(3).fill_bytes(&mut noise);
        let mut compressor = Compressor::default();
        assert!(compressor.is_hopeless(&noise));
        // A short one is tried, whatever it holds.
        assert!(!compressor.is_hopeless(&noise[..SAMPLED_FROM - 1]));
        assert!(compressor.is_hopeless(&noise[..SAMPLED_FROM]));
        // Wherever an eighth and a little more of it shrinks.
        for start in (0..noise.len()).step_by(50_000) {
            let mut mixed = noise.clone();
            let end = mixed.len().min(start + (160 << 10));
            mixed[start..end].fill(7);
            assert!(!compressor.is_hopeless(&mixed), "{start}");
        }
        // Noise of 7 bits a byte.
        noise.iter_mut().for_each(|byte| *byte &= 0x7f);
        assert!(!compressor.is_hopeless(&noise));
    }

    #[test]
    fn a_chunk_does_not_open_under_the_id_of_another() {
        assert_eq!(open(b"\0planted", b"planted"), Ok(b"planted".to_vec()));
        assert_eq!(open(b"\0planted", b"expected"), Err(OpenError));
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd(
            codec in 0_u8..4,
            mut body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            body.insert(0, codec);
            let opened = open(&body, b"");
            prop_assert_eq!(opened.is_ok(), body == [RAW]);
        }

        #[test]
        fn no_frame_is_too_odd(
            plaintext in proptest::collection::vec(0_u8..4, 0..3_000),
            position in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut body = zstd_body(plaintext.len(), &frame(&plaintext));
            *position.get_mut(&mut body) = byte;
            // Either the change is undone by the codec, or it shows.
            if let Ok(opened) = open(&body, &plaintext) {
                prop_assert_eq!(opened, plaintext);
            }
        }
    }
}
