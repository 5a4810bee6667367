//! What sealed bytes consist of.

use std::ops::Range;

/// Bytes of a box: see [`of_a_box`].
pub const BOX_LEN: usize = 1_120 + 32 + 16;

/// A part of something sealed.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: &'static str,
    pub bytes: Range<usize>,
    /// Which bits of a byte are altered where it is counted what that takes.
    pub bits: u8,
}

impl Part {
    pub fn new(name: &'static str, bytes: Range<usize>) -> Self {
        let bits = 0x10;
        Self { name, bytes, bits }
    }
}

/// XChaCha20-Poly1305, as everything is sealed under a key.
pub fn of_an_aead(sealed: Range<usize>) -> [Part; 3] {
    let (text, tag) = (sealed.start + 24, sealed.end - 16);
    [
        Part::new("nonce", sealed.start..text),
        Part::new("ciphertext", text..tag),
        Part::new("tag", tag..sealed.end),
    ]
}

/// A box that begins at `start`.
pub fn of_a_box(start: usize) -> [Part; 4] {
    let at = |from, to| start + from..start + to;
    [
        Part::new("ML-KEM", at(0, 1_088)),
        Part::new("X25519", at(1_088, 1_120)),
        Part::new("ciphertext", at(1_120, 1_152)),
        Part::new("tag", at(1_152, BOX_LEN)),
    ]
}

/// The X25519 share of a box that begins at `start`, in an encoding that it does not have: a
/// number of 256 bits.
pub fn spelled_otherwise(start: usize) -> [Part; 1] {
    let highest = start + 1_119;
    [Part {
        bits: 0x80,
        ..Part::new("X25519", highest..highest + 1)
    }]
}
