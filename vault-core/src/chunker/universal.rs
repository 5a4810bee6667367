//! The rolling universal hash: 64 bytes to 128 bits.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::WINDOW;

/// The digest of a window, or, while bytes only enter, of its beginning.
///
/// Its AES block is `a` and then `b`, little-endian.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Digest {
    pub(super) a: u64,
    pub(super) b: u64,
}

impl Digest {
    /// `M·self + F·change`, the one step of the hash.
    ///
    /// The key goes in before the rotation so that the longest chain from one
    /// digest to the next is three instructions. `M` is invertible, and its
    /// characteristic polynomial irreducible, for few pairs of constants.
    #[inline(always)]
    pub(super) fn step(self, change: Change) -> Self {
        Self {
            a: self.b ^ change.x,
            b: (self.a ^ change.y).rotate_left(39) ^ (self.b << 49),
        }
    }

    #[inline(always)]
    pub(super) fn to_block(self) -> [u8; 16] {
        (u128::from(self.b) << 64 | u128::from(self.a)).to_le_bytes()
    }
}

/// What bytes add to a digest in one step.
#[derive(Clone, Copy, Default)]
pub(super) struct Change {
    pub(super) x: u64,
    pub(super) y: u64,
}

/// Finds what one byte entering and another leaving add to a digest.
pub(super) trait Lookup {
    fn change(&self, entering: u8, leaving: u8) -> Change;
}

/// The secret key, and tables made from it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct UniversalHash {
    tables: Tables,
    masks: Masks,
}

impl UniversalHash {
    /// `A_0 … A_7 = BLAKE3-keyed(universal_hash_key, "") as 128 bytes`.
    pub(super) fn new(universal_hash_key: &[u8; 32]) -> Self {
        let mut bytes = [0; 128];
        blake3::Hasher::new_keyed(universal_hash_key)
            .finalize_xof()
            .fill(&mut bytes);
        let mut entering = [[0; 2]; 8];
        for (word, bytes) in entering
            .as_flattened_mut()
            .iter_mut()
            .zip(bytes.as_chunks().0)
        {
            *word = u64::from_le_bytes(*bytes);
        }
        bytes.zeroize();

        let masks = Masks {
            entering,
            leaving: entering.map(leave),
        };
        let mut tables = Tables {
            entering_x: [0; 256],
            entering_y: [0; 256],
            leaving_x: [0; 256],
            leaving_y: [0; 256],
        };
        for byte in 0..=u8::MAX {
            let entering = masks.change(byte, 0);
            let leaving = masks.change(0, byte);
            tables.entering_x[usize::from(byte)] = entering.x;
            tables.entering_y[usize::from(byte)] = entering.y;
            tables.leaving_x[usize::from(byte)] = leaving.x;
            tables.leaving_y[usize::from(byte)] = leaving.y;
        }
        Self { tables, masks }
    }

    /// The fast way, which indexes memory by plaintext bytes.
    pub(super) const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The way that takes the same time for all plaintexts.
    pub(super) const fn masks(&self) -> &Masks {
        &self.masks
    }

    /// The digest of one window, in constant time.
    pub(super) fn digest(&self, window: &[u8; WINDOW]) -> Digest {
        window.iter().fold(Digest::default(), |digest, &byte| {
            digest.step(self.masks.change(byte, 0))
        })
    }
}

/// What undoes `change` once its byte has left the window, 64 steps later:
/// `F^-1 · M^64 · F · change`.
fn leave([x, y]: [u64; 2]) -> [u64; 2] {
    let mut digest = Digest::default().step(Change { x, y });
    for _ in 0..WINDOW {
        digest = digest.step(Change::default());
    }
    [digest.a, digest.b.rotate_right(39)]
}

/// `T` for entering and leaving bytes, in four columns so that an address needs
/// no arithmetic.
#[derive(Zeroize)]
pub(super) struct Tables {
    entering_x: [u64; 256],
    entering_y: [u64; 256],
    leaving_x: [u64; 256],
    leaving_y: [u64; 256],
}

impl Lookup for Tables {
    #[inline(always)]
    fn change(&self, entering: u8, leaving: u8) -> Change {
        let (entering, leaving) = (usize::from(entering), usize::from(leaving));
        Change {
            x: self.entering_x[entering] ^ self.leaving_x[leaving],
            y: self.entering_y[entering] ^ self.leaving_y[leaving],
        }
    }
}

/// The key itself: one pair of words for each bit of a byte.
#[derive(Zeroize)]
pub(super) struct Masks {
    entering: [[u64; 2]; 8],
    leaving: [[u64; 2]; 8],
}

impl Lookup for Masks {
    #[inline(always)]
    fn change(&self, entering: u8, leaving: u8) -> Change {
        let mut change = Change::default();
        for bit in 0..8 {
            let entering = u64::from(entering >> bit & 1).wrapping_neg();
            let leaving = u64::from(leaving >> bit & 1).wrapping_neg();
            change.x ^= entering & self.entering[bit][0] ^ leaving & self.leaving[bit][0];
            change.y ^= entering & self.entering[bit][1] ^ leaving & self.leaving[bit][1];
        }
        change
    }
}
