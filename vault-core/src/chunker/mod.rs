//! The content-defined chunker: where a stream is cut into chunks.
//!
//! ```text
//! window of 64 bytes ── universal hash ──▶ digest, 128 bits ── AES-128 ──▶ cut, or not
//!                       secret key A                           secret key K
//! ```
//!
//! This is *UHF-then-PRF* of Truong, Merz, Scarlata, Günther and Paterson,
//! "Breaking and Fixing Content-Defined Chunking" (CCS 2025, eprint 2025/558).
//! Chunkers that cut on bits of a keyed rolling hash give the key away to who
//! sees enough lengths of chunks (eprint 2025/532 too); here a cut shows one
//! bit of a cipher's output. The byte-exact description, with worked numbers,
//! is in `vault-core/docs/format.md`.
//!
//! # Construction
//!
//! `h(W)` below is the digest of a window `W = c_0 … c_63`, oldest byte first.
//!
//! ```text
//! A_0 … A_7 = BLAKE3-keyed(universal_hash_key, "") as 128 bytes, 16 each
//! T(c)      = XOR of A_k over the set bits k of the byte c
//! h         = (0, 0); for c in W: h = step(h, T(c))        two words of 64 bits
//! step((a, b), (x, y)) = (b ^ x, rotl(a ^ y, 39) ^ (b << 49))
//! E         = AES-128(cipher_key, h) as 16 little-endian bytes
//! candidate ⇔ first 8 bytes of E, little-endian, < threshold
//! cut       = the first candidate from min on, else max, else the stream's end
//! ```
//!
//! A cut *at* `i` ends a chunk after its `i`-th byte; its window is the 64 bytes
//! before `i`. All of it lies inside the chunk, since every `min` exceeds 64:
//! what precedes a stream, or the last cut, never matters. A stream of up to
//! `min` bytes is one chunk, and an empty one has none.
//!
//! # What is proved
//!
//! **The hash is 2^-128-almost-XOR-universal, which is the optimum.** Write
//! `step(h, t) = M·h + F·t` over GF(2), with `M(a, b) = (b, rotl(a, 39) ^ (b << 49))`
//! and `F(x, y) = (x, rotl(y, 39))`. The characteristic polynomial of `M` is
//! `X^128 + X^103 + X^77 + X^27 + 1`, which is irreducible (a test verifies
//! both), so the polynomials in `M` are the field GF(2^128). Let two windows
//! differ and let `q_k` be the polynomial with a term `X^(63-j)` for each
//! position `j` where bit `k` of their bytes differs. Then
//! `h(W) + h(W') = Σ_k q_k(M)·F·A_k`. Some `q_k` is not zero; its degree is at
//! most 63, less than 128, so `q_k(M)` is not zero in the field, hence
//! invertible, and `F` is too. `A_k` is uniform and independent of the other
//! seven, so the sum is uniform: **`Pr[h(W) + h(W') = d] = 2^-128` for every
//! pair and every `d`**, whatever the bytes. Nothing is sampled that could be
//! sampled badly, as a Rabin polynomial could, and the key is 1,024 bits.
//!
//! **The cuts are pseudo-random.** Let an adversary choose streams adaptively
//! and see all their cuts, `q` *distinct* windows in all. It tells this chunker
//! from one that asks a random function of the window with at most
//!
//! ```text
//! Adv(PRG, BLAKE3) + Adv(PRP, AES-128, q queries)
//!     + q(q-1)/2 · 2^-128      two windows share a digest
//!     + q(q-1)/2 · 2^-128      AES is a permutation, not a function
//!     < Adv(BLAKE3) + Adv(AES-128) + q² · 2^-128
//! ```
//!
//! (That windows are chosen adaptively does not help: until two digests collide,
//! answers are independent of the hash's key.) Each scanned byte adds one window
//! at most, so after `q = 2^48` bytes, **256 TiB of distinct content under one
//! vault's keys, the statistical term is 2^-32**; it is 2^-56 after 64 GiB and
//! 2^-28 after 1 PiB. With a digest of 64 bits the first of its two lines alone
//! would be 2^-33 after 64 KiB and 2^-11 after 128 MiB: this is why the digest
//! fills the block. The rest is the strength of AES-128 itself: `t` trial keys against `v` vaults
//! find one with `t·v·2^-128`.
//!
//! **What remains to be seen**, by someone who learns lengths of chunks, which
//! the hoster does not (packs hide them): equal contents have equal cuts, which
//! is what deduplication is; and how long a stream is. A member, or a former
//! member, holds the keys and can predict every cut.
//!
//! **Low entropy.** Equal windows have equal digests, so a run of one byte asks
//! the cipher one question, and a text of period `d` asks `d`. With a chance of
//! `threshold / 2^64` each they are candidates, and the run is cut every `min`;
//! else never, and it is cut every `max`. An adversary who chooses runs learns
//! the same few pseudo-random bits again and again, and never an equation in
//! `A` or `K`; `min` and `max` bound what a run can do to the number of chunks.
//!
//! # Timing
//!
//! Nothing is indexed by a key or a digest, and nothing branches on either but
//! the cut itself. With hardware AES the hash reads tables of `T`, *indexed by
//! plaintext bytes*: who shares the core's cache might learn about the plaintext,
//! as from zstd after it, but nothing about the keys. Without, AES is the
//! `aes` crate's constant-time fixsliced code, and `T` is computed with masks, so
//! that nothing at all depends on secrets; the cuts are the same.
//!
//! # Speed
//!
//! Nothing is done for the first `min` bytes but the 64 before it; after that
//! each position costs one step and one AES block. The hash runs a ring ahead of
//! the cipher, so that the processor overlaps them. On a Sapphire Rapids core,
//! AES-NI alone encrypts 0.72 G blocks/s and 0.56 G positions/s are searched,
//! which cuts 0.75 GB/s of file data. VAES encrypts 1.43 G blocks/s, but in
//! batches of 64, too long for the processor to look past: hash and cipher take
//! turns, 0.69 G positions/s and 0.92 GB/s. `benches/chunker.rs` prints the
//! figure of the machine at hand beside its ceiling.
//!
//! # In parallel
//!
//! Whether a position is a candidate depends on its window alone, so a big
//! stream may be searched in any pieces with [`Chunker::candidates`], each by a
//! thread that can see the [`WINDOW`]` + 1` bytes before its piece; then
//! [`ChunkSizes::cut_among`] applies `min` and `max` in order. The cuts are those
//! of [`Chunker::cut`], for a third more work (no `min` is skipped). Where that
//! matters, let each thread call `cut` from the beginning of its piece instead:
//! as soon as a cut of the true chain, continued into the piece, is also one of
//! the piece's, all cuts after it are the same.

mod sizes;
mod universal;
mod scan;
#[cfg(test)]
mod tests;

use std::{fmt, ops::ControlFlow, sync::Arc};

use aes::{Aes128, cipher::KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use sizes::ChunkSizes;
use universal::UniversalHash;

/// Bytes before a position that decide whether it is a candidate.
pub const WINDOW: usize = 64;

/// The two secret keys of one chunker, derived from the first epoch's secret.
///
/// They must be independent of each other and serve nothing else.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ChunkerKeys {
    universal_hash_key: [u8; 32],
    cipher_key: [u8; 16],
}

impl ChunkerKeys {
    /// The keys of the universal hash and of AES-128.
    #[must_use]
    pub const fn new(universal_hash_key: &[u8; 32], cipher_key: &[u8; 16]) -> Self {
        Self {
            universal_hash_key: *universal_hash_key,
            cipher_key: *cipher_key,
        }
    }
}

#[cfg(test)]
impl ChunkerKeys {
    /// What the derivations' vectors compare.
    pub(crate) const fn universal_hash(&self) -> &[u8; 32] {
        &self.universal_hash_key
    }

    pub(crate) const fn cipher(&self) -> &[u8; 16] {
        &self.cipher_key
    }
}

impl fmt::Debug for ChunkerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkerKeys(…)")
    }
}

/// Cuts streams into chunks, always at the same places.
///
/// Immutable; a clone costs a reference count and shares 8 KiB of tables.
#[derive(Clone)]
pub struct Chunker {
    secrets: Arc<Secrets>,
    sizes: ChunkSizes,
}

struct Secrets {
    hash: UniversalHash,
    cipher: Aes128,
}

impl Chunker {
    /// A chunker of these sizes. Costs a few microseconds.
    #[must_use]
    pub fn new(keys: &ChunkerKeys, sizes: ChunkSizes) -> Self {
        Self {
            secrets: Arc::new(Secrets {
                hash: UniversalHash::new(&keys.universal_hash_key),
                cipher: Aes128::new(&keys.cipher_key.into()),
            }),
            sizes,
        }
    }

    /// How long its chunks are.
    #[must_use]
    pub const fn sizes(&self) -> ChunkSizes {
        self.sizes
    }

    /// The length of the first chunk of `buf`.
    ///
    /// `buf` holds the stream from the last cut on: at least
    /// [`max`](ChunkSizes::max) bytes, or everything to the end of the stream.
    /// From 1 to `max`; 0 only if `buf` is empty. Depends on no byte after the
    /// cut.
    #[must_use]
    pub fn cut(&self, buf: &[u8]) -> usize {
        let end = buf.len().min(self.sizes.max());
        let mut cut = end;
        self.scan(&buf[..end], self.sizes.min(), |candidate| {
            cut = candidate;
            ControlFlow::Break(())
        });
        cut
    }

    /// Adds to `found`, in ascending order, the positions of `buf` from `from`
    /// on that are candidates for a cut.
    ///
    /// Positions that have no [`WINDOW`]` + 1` bytes of `buf` before them, and the end
    /// of `buf`, are none; so a stream may be searched in pieces `a..b`, as
    /// `buf = &stream[..b]` and `from = a`. Of no use before
    /// [`ChunkSizes::cut_among`] chose from all of them.
    pub fn candidates(&self, buf: &[u8], from: usize, found: &mut Vec<usize>) {
        self.scan(buf, from.max(WINDOW + 1), |candidate| {
            found.push(candidate);
            ControlFlow::Continue(())
        });
    }

    fn scan(&self, buf: &[u8], from: usize, found: impl FnMut(usize) -> ControlFlow<()>) {
        let Secrets { hash, cipher } = &*self.secrets;
        if aes::hardware_accelerated() {
            scan::scan(hash.tables(), hash, cipher, self.sizes, buf, from, found);
        } else {
            scan::scan(hash.masks(), hash, cipher, self.sizes, buf, from, found);
        }
    }
}

impl fmt::Debug for Chunker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunker")
            .field("sizes", &self.sizes)
            .finish_non_exhaustive()
    }
}
