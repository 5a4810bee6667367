//! Spreading entries over segments, of which each names a chunk once.

use super::{AddError, IndexEntry, SegmentBuilder};
use crate::pack::PackEntry;

/// Segments that are being filled with entries, the newest entries first. What
/// one does not take goes to the next, an older one: because it is full, because
/// it has another place of the chunk, or because it says something else of the
/// pack.
///
/// Entries that need more than one segment for their number fill one after the
/// other, so that a pack has its row in few of them.
#[derive(Debug, Clone, Default)]
pub struct Layers(Vec<Layer>);

#[derive(Debug, Clone, Default)]
struct Layer {
    segment: SegmentBuilder,
    is_full: bool,
}

impl Layers {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many segments the entries fill.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// As [`SegmentBuilder::add`] does.
    pub fn add(&mut self, entry: &IndexEntry) {
        self.place(|segment| segment.add(entry));
    }

    /// Adds an entry of the pack that will hold its segment.
    ///
    /// # Panics
    /// As [`SegmentBuilder::add_own`] does.
    pub fn add_own(&mut self, entry: &PackEntry) {
        self.place(|segment| segment.add_own(entry));
    }

    /// How many of the segments have what speaks against an entry; none if one of
    /// them has the entry.
    pub(super) fn objections(&self, entry: &IndexEntry) -> usize {
        let mut objections = 0;
        for layer in &self.0 {
            match layer.segment.has(entry) {
                Ok(true) => return 0,
                Ok(false) => {}
                Err(_) => objections += 1,
            }
        }
        objections
    }

    /// The segments, the newest last.
    pub fn into_segments(self) -> impl ExactSizeIterator<Item = SegmentBuilder> {
        self.0.into_iter().rev().map(|layer| layer.segment)
    }

    fn place(&mut self, mut add: impl FnMut(&mut SegmentBuilder) -> Result<(), AddError>) {
        for layer in self.0.iter_mut().filter(|layer| !layer.is_full) {
            match add(&mut layer.segment) {
                Ok(()) => return,
                Err(AddError::Full) => layer.is_full = true,
                Err(AddError::Taken | AddError::Contradiction) => {}
            }
        }
        let mut fresh = Layer::default();
        add(&mut fresh.segment).expect("a segment without entries takes any");
        self.0.push(fresh);
    }
}
