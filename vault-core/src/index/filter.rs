//! A filter that says of most absent keys that they are absent.

/// Bits a key.
const BITS_PER_KEY: usize = 10;

/// Bytes of a block: eight words of 32 bits.
const BLOCK_LEN: usize = 32;

/// One odd multiplier a word, as Apache Parquet has them.
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// A split block Bloom filter (Apache Parquet's "Bloom filter" specification;
/// Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters"):
/// a key sets one bit in each of the eight words of one block. With 10 bits a
/// key, about one absent key in a hundred is taken for present.
///
/// Keys are chunk ids, hashes already, so their first eight bytes stand for
/// themselves. Whoever chooses ids can make filters useless, not wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    blocks: Vec<[u8; BLOCK_LEN]>,
}

impl Filter {
    /// The number of blocks for so many keys, at least one.
    pub(super) fn blocks_for(keys: usize) -> usize {
        (keys * BITS_PER_KEY).div_ceil(BLOCK_LEN * 8).max(1)
    }

    /// An empty filter for so many keys.
    pub(super) fn new(keys: usize) -> Self {
        Self {
            blocks: vec![[0; BLOCK_LEN]; Self::blocks_for(keys)],
        }
    }

    /// Takes a filter's bytes; `None` unless they are whole blocks, at least one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (blocks, rest) = bytes.as_chunks();
        (rest.is_empty() && !blocks.is_empty()).then(|| Self {
            blocks: blocks.to_vec(),
        })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.blocks.as_flattened()
    }

    pub(super) fn insert(&mut self, key: &[u8; 32]) {
        let (block, low) = self.place(key);
        let (words, _) = self.blocks[block].as_chunks_mut();
        for (word, salt) in words.iter_mut().zip(SALT) {
            *word = (u32::from_le_bytes(*word) | bit(low, salt)).to_le_bytes();
        }
    }

    /// False only for a key that was not inserted.
    pub(super) fn may_contain(&self, key: &[u8; 32]) -> bool {
        let (block, low) = self.place(key);
        let (words, _) = self.blocks[block].as_chunks();
        words
            .iter()
            .zip(SALT)
            .all(|(word, salt)| u32::from_le_bytes(*word) & bit(low, salt) != 0)
    }

    /// The block of a key, and the half of its hash that chooses bits there.
    fn place(&self, key: &[u8; 32]) -> (usize, u32) {
        let hash = u64::from_le_bytes(*key.first_chunk().expect("a key has 32 bytes"));
        let (high, low) = (hash >> 32, hash as u32);
        let block = (high * self.blocks.len() as u64) >> 32;
        (block as usize, low)
    }
}

fn bit(low: u32, salt: u32) -> u32 {
    1 << (low.wrapping_mul(salt) >> 27)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> [u8; 32] {
        *blake3::hash(&n.to_le_bytes()).as_bytes()
    }

    #[test]
    fn no_key_is_lost_and_one_in_a_hundred_is_made_up() {
        let mut filter = Filter::new(10_000);
        assert_eq!(filter.as_bytes().len(), 12_512);
        assert!(!filter.may_contain(&key(0)));
        (0..10_000).for_each(|n| filter.insert(&key(n)));
        let filter = Filter::from_bytes(filter.as_bytes()).unwrap();
        assert!((0..10_000).all(|n| filter.may_contain(&key(n))));
        let made_up = (10_000..110_000)
            .filter(|&n| filter.may_contain(&key(n)))
            .count();
        assert!((400..2_000).contains(&made_up), "{made_up} of 100,000");
    }

    #[test]
    fn only_whole_blocks_are_a_filter() {
        assert_eq!(Filter::from_bytes(&[]), None);
        assert_eq!(Filter::from_bytes(&[0; 33]), None);
        assert!(Filter::from_bytes(&[0; 64]).is_some());
    }
}
