//! How long chunks are, and the threshold that makes them so on average.

use super::WINDOW;

/// The shortest, the mean and the longest length of a chunk, in bytes.
///
/// Beyond `min` each position is a candidate with the chance `p = threshold / 2^64`,
/// independently as far as anyone without the keys can tell; so a chunk of a
/// long stream is `min` plus a geometric length, cut off at `max`, and its mean is
///
/// ```text
/// min + (1 - p) · (1 - (1 - p)^(max - min)) / p  =  avg
/// ```
///
/// which `threshold` solves. A share of `(1 - p)^(max - min)` of the chunks is
/// cut at `max`: 0.70 % of file data, 13.2 % of metadata and of catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkSizes {
    min: usize,
    avg: usize,
    max: usize,
    threshold: u64,
}

impl ChunkSizes {
    /// Contents of files: 256 KiB, 1 MiB, 4 MiB.
    pub const FILE_DATA: Self = Self::fixed(256 << 10, 1 << 20, 4 << 20);
    /// Trees, snapshots and lists of chunks: 8, 32, 64 KiB.
    pub const METADATA: Self = Self::fixed(8 << 10, 32 << 10, 64 << 10);
    /// The catalog: 2, 8, 16 KiB.
    pub const CATALOG: Self = Self::fixed(2 << 10, 8 << 10, 16 << 10);

    /// `None` unless `64 < min < avg < max < 2^32`.
    #[must_use]
    pub const fn new(min: usize, avg: usize, max: usize) -> Option<Self> {
        if min <= WINDOW || avg <= min || max <= avg || max as u64 > u32::MAX as u64 {
            return None;
        }
        let threshold = threshold((avg - min) as u64, (max - min) as u64);
        Some(Self {
            min,
            avg,
            max,
            threshold,
        })
    }

    const fn fixed(min: usize, avg: usize, max: usize) -> Self {
        match Self::new(min, avg, max) {
            Some(sizes) => sizes,
            None => panic!("the sizes are in order"),
        }
    }

    /// Every chunk but a stream's last is at least this long.
    #[must_use]
    pub const fn min(&self) -> usize {
        self.min
    }

    /// The mean length over long streams that do not repeat themselves.
    #[must_use]
    pub const fn avg(&self) -> usize {
        self.avg
    }

    /// No chunk is longer.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// A position is a candidate if its cipher output is less.
    #[must_use]
    pub const fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Where the chunk that begins at `start` ends, in a stream of `end` bytes
    /// of which `candidates` are all candidates after `start`, in ascending order
    /// (earlier ones do no harm).
    #[must_use]
    pub fn cut_among(&self, candidates: &[usize], start: usize, end: usize) -> usize {
        let longest = end.min(start.saturating_add(self.max));
        let shortest = start.saturating_add(self.min);
        let next = candidates.partition_point(|&candidate| candidate < shortest);
        candidates
            .get(next)
            .map_or(longest, |&cut| cut.min(longest))
    }
}

/// The greatest threshold with which the mean beyond `min` is at least `mean`,
/// when `tail` positions may follow `min`. By bisection, in integers only, so
/// that every machine finds the same.
const fn threshold(mean: u64, tail: u64) -> u64 {
    let (mut low, mut high) = (1, u64::MAX);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if mean_beyond_min(middle, tail) >= (mean as u128) << 64 {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// `(1 - p) · (1 - (1 - p)^tail) / p` with `p = threshold / 2^64`, times 2^64.
const fn mean_beyond_min(threshold: u64, tail: u64) -> u128 {
    const ONE: u128 = 1 << 64;
    let miss = ONE - threshold as u128;
    let (mut power, mut square, mut exponent) = (ONE, miss, tail);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = (power * square) >> 64;
        }
        square = (square * square) >> 64;
        exponent >>= 1;
    }
    miss * (ONE - power) / threshold as u128
}
