//! Merging segments.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{IndexEntry, Segment};
use crate::chunk::ChunkId;

/// The entries of several segments, ordered by chunk id without repetition:
/// where several name one chunk, the last of `segments` does so here.
pub fn merge<'a>(
    segments: impl IntoIterator<Item = &'a Segment>,
) -> impl Iterator<Item = IndexEntry> + 'a {
    let segments: Vec<_> = segments.into_iter().collect();
    let mut heads: BinaryHeap<_> = segments
        .iter()
        .enumerate()
        .filter_map(|(age, segment)| Head::at(segment, age, 0))
        .collect();
    let mut last: Option<ChunkId> = None;
    std::iter::from_fn(move || {
        loop {
            let Head(Reverse(id), age, Reverse(at)) = heads.pop()?;
            heads.extend(Head::at(segments[age], age, at + 1));
            if last.replace(id) != Some(id) {
                return Some(segments[age].entry(at));
            }
        }
    })
}

/// A segment's first entry that was not given yet. The greatest has the least
/// id, and among equal ids comes from the newest segment.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head(Reverse<ChunkId>, usize, Reverse<usize>);

impl Head {
    fn at(segment: &Segment, age: usize, at: usize) -> Option<Self> {
        (at < segment.len()).then(|| Self(Reverse(segment.entry(at).id), age, Reverse(at)))
    }
}
