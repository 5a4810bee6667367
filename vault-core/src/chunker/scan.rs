//! The search for candidates: the universal hash, a ring ahead of the cipher.

use std::{iter, ops::ControlFlow, slice};

use aes::{
    Aes128, Block,
    cipher::{
        Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
        ParBlocks, ParBlocksSizeUser, consts::U16, typenum::Unsigned,
    },
};
use zeroize::Zeroize;

use super::{
    ChunkSizes, WINDOW,
    universal::{Digest, Lookup, UniversalHash},
};

/// Positions by which the hash is ahead of the cipher, about.
///
/// A digest is stored as two words, and a wider load cannot be answered until
/// both have left the store buffer; by the time the ring comes round they have.
const AHEAD: usize = 128;

/// Tells `found` the candidates among the positions `from..buf.len()`, in
/// ascending order, until it breaks. `from` is more than [`WINDOW`].
pub(super) fn scan<L: Lookup>(
    lookup: &L,
    hash: &UniversalHash,
    cipher: &Aes128,
    sizes: ChunkSizes,
    buf: &[u8],
    from: usize,
    found: impl FnMut(usize) -> ControlFlow<()>,
) {
    if from >= buf.len() {
        return;
    }
    // The digest at `i` is one step from that at `i - 1`: the byte before `i`
    // enters and the one before its window leaves.
    let (before, entering) = buf[..buf.len() - 1].split_at(from - 1);
    let leaving = &buf[from - 1 - WINDOW..][..entering.len()];
    let window = before
        .last_chunk()
        .expect("`from` is beyond the first window");
    cipher.encrypt_with_backend(Scan {
        lookup,
        digest: hash.digest(window),
        entering,
        leaving,
        threshold: sizes.threshold(),
        position: from,
        end: buf.len(),
        found,
    });
}

/// Runs where the `aes` crate has chosen its implementation, so that hash and
/// cipher are compiled as one.
struct Scan<'a, L, F> {
    lookup: &'a L,
    /// At the position before the next to be hashed.
    digest: Digest,
    entering: &'a [u8],
    leaving: &'a [u8],
    threshold: u64,
    /// The next to be encrypted.
    position: usize,
    end: usize,
    found: F,
}

impl<L, F> BlockSizeUser for Scan<'_, L, F> {
    type BlockSize = U16;
}

impl<L: Lookup, F: FnMut(usize) -> ControlFlow<()>> BlockCipherEncClosure for Scan<'_, L, F> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        const { assert!(B::ParBlocksSize::USIZE <= AHEAD) };

        let (entering, entering_rest) = Bytes::<B>::slice_as_chunks(self.entering);
        let (leaving, leaving_rest) = Bytes::<B>::slice_as_chunks(self.leaving);
        let (entering_rest, leaving_rest) = (padded::<B>(entering_rest), padded::<B>(leaving_rest));

        let mut buffer = [Block::default(); AHEAD];
        let (ring, _) = ParBlocks::<B>::slice_as_chunks_mut(&mut buffer);
        for (entering, leaving) in [
            (entering, leaving),
            (
                slice::from_ref(&entering_rest),
                slice::from_ref(&leaving_rest),
            ),
        ] {
            if self.search(backend, ring, entering, leaving).is_break() {
                break;
            }
        }
        // Digests of known windows are equations in the key.
        let digests = Array::cast_slice_to_core_mut(&mut buffer);
        digests.as_flattened_mut().zeroize();
    }
}

impl<L: Lookup, F: FnMut(usize) -> ControlFlow<()>> Scan<'_, L, F> {
    #[inline(always)]
    fn search<B: BlockCipherEncBackend<BlockSize = U16>>(
        &mut self,
        backend: &B,
        ring: &mut [ParBlocks<B>],
        entering: &[Bytes<B>],
        leaving: &[Bytes<B>],
    ) -> ControlFlow<()> {
        let mut ahead = iter::zip(entering, leaving);
        for (blocks, (entering, leaving)) in iter::zip(&mut *ring, &mut ahead) {
            self.roll(blocks, entering, leaving);
        }
        let mut encrypted = ParBlocks::<B>::default();
        let mut left = entering.len();
        while left > 0 {
            for blocks in ring.iter_mut().take(left) {
                backend.encrypt_par_blocks((&*blocks, &mut encrypted).into());
                if let Some((entering, leaving)) = ahead.next() {
                    self.roll(blocks, entering, leaving);
                }
                if self.count_low(&encrypted) != 0 {
                    self.report(&encrypted)?;
                }
                self.position += B::ParBlocksSize::USIZE;
            }
            left = left.saturating_sub(ring.len());
        }
        ControlFlow::Continue(())
    }

    #[cold]
    fn report(&mut self, encrypted: &[Block]) -> ControlFlow<()> {
        for (position, block) in iter::zip(self.position..self.end, encrypted) {
            if self.is_low(block) {
                (self.found)(position)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Writes the next digests to `blocks`.
    #[inline(always)]
    fn roll(&mut self, blocks: &mut [Block], entering: &[u8], leaving: &[u8]) {
        let mut digest = self.digest;
        let mut step = |block: &mut Block, entering, leaving| {
            digest = digest.step(self.lookup.change(entering, leaving));
            *block = digest.to_block().into();
        };
        // Eight at a time, or the compiler leaves a loop around every byte.
        let (entering, entering_rest) = entering.as_chunks::<8>();
        let (leaving, leaving_rest) = leaving.as_chunks::<8>();
        let (eights, rest) = blocks.as_chunks_mut::<8>();
        for (blocks, (entering, leaving)) in iter::zip(eights, iter::zip(entering, leaving)) {
            for i in 0..8 {
                step(&mut blocks[i], entering[i], leaving[i]);
            }
        }
        for (block, (&entering, &leaving)) in
            iter::zip(rest, iter::zip(entering_rest, leaving_rest))
        {
            step(block, entering, leaving);
        }
        self.digest = digest;
    }

    /// Counts, because the compiler makes a branch a block of anything shorter.
    #[inline(always)]
    fn count_low(&self, encrypted: &[Block]) -> u64 {
        encrypted
            .iter()
            .map(|block| u64::from(self.is_low(block)))
            .sum()
    }

    #[inline(always)]
    fn is_low(&self, encrypted: &Block) -> bool {
        let (words, _) = encrypted.as_chunks();
        u64::from_le_bytes(words[0]) < self.threshold
    }
}

/// As many bytes as the cipher takes blocks at once.
type Bytes<B> = Array<u8, <B as ParBlocksSizeUser>::ParBlocksSize>;

fn padded<B: BlockCipherEncBackend>(rest: &[u8]) -> Bytes<B> {
    let mut bytes = Bytes::<B>::default();
    bytes[..rest.len()].copy_from_slice(rest);
    bytes
}
