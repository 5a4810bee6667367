//! Memory as `O_DIRECT` wants it.

/// What memory, offsets and lengths are aligned to: at least what any disk asks
/// for.
const ALIGNMENT: usize = 4096;
/// Bytes of the largest write.
const CAPACITY: usize = 1 << 20;

/// Collects bytes, so that they go to the disk in few writes from aligned memory.
///
/// The kernel then hands that memory to the disk. Through the page cache it would
/// first find a page for every 4 KiB of it, copy them, and keep what nobody will
/// read soon: half of what an upload costs a hoster.
pub(super) struct Aligned {
    /// In front, as many bytes of no meaning as the alignment takes.
    bytes: Vec<u8>,
    start: usize,
    capacity: usize,
}

impl Aligned {
    /// For a file of `expected` bytes.
    pub(super) fn new(expected: u32) -> Self {
        let capacity = (expected as usize).clamp(ALIGNMENT, CAPACITY);
        let mut bytes: Vec<u8> = Vec::with_capacity(capacity + ALIGNMENT);
        let start = match bytes.as_ptr().align_offset(ALIGNMENT) {
            offset if offset < ALIGNMENT => offset,
            // Then it is not aligned, and written all the same.
            _ => 0,
        };
        bytes.resize(start, 0);
        Self {
            bytes,
            start,
            capacity,
        }
    }

    /// Takes as many of `bytes` as there is room for, and gives the others back.
    pub(super) fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.capacity - self.filled().len();
        let (taken, rest) = bytes.split_at(room.min(bytes.len()));
        // Within the capacity: the memory stays where it is.
        self.bytes.extend_from_slice(taken);
        rest
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled().len() == self.capacity
    }

    /// What was taken since it was last [cleared](Self::clear).
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn clear(&mut self) {
        self.bytes.truncate(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_out_aligned_and_in_order() {
        for expected in [0, 1, 4096, 128 << 10, 16 << 20] {
            let mut bytes = vec![0; expected as usize];
            blake3::Hasher::new().finalize_xof().fill(&mut bytes);
            let mut aligned = Aligned::new(expected);
            let at = aligned.filled().as_ptr();
            let mut written = Vec::new();
            for mut part in bytes.chunks(300_001) {
                while !part.is_empty() {
                    part = aligned.fill(part);
                    if aligned.is_full() {
                        assert!(aligned.filled().len().is_multiple_of(ALIGNMENT));
                        written.extend_from_slice(aligned.filled());
                        aligned.clear();
                    }
                }
            }
            written.extend_from_slice(aligned.filled());
            assert!(written == bytes);
            assert_eq!(aligned.filled().as_ptr(), at);
            assert_eq!(at.align_offset(ALIGNMENT), 0);
        }
    }
}
