//! Merging segments on a commit.
//!
//! ```text
//! existing ── plan_merge ──▶ runs, absorbed ── places, layers ──▶ fewer, or as they were
//!                                                    too many still? ──▶ the smallest of all
//! ```
//!
//! An entry is a claim of whoever wrote its segment, and a segment names a chunk
//! once. So a merge keeps every place of a chunk, in as many segments as the chunk
//! has places, and is given up where that saves nothing. A place goes only
//! - where this device has sealed the chunk just there, and at a newer place, too;
//! - where this device alone writes, and has just stored the chunk anew;
//! - where there would be too many segments, and another place is one that this
//!   device has sealed, or at which it has opened the chunk.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::plan::MAX_BUDGET;
use super::{
    IndexEntry, Layers, MAX_ENTRIES, MAX_SEGMENTS, MergePlan, SegmentBuilder, SegmentStat,
    plan_merge,
};
use crate::chunk::ChunkId;
use crate::pack::PackEntry;

/// About how many sealed bytes an entry takes in a segment that is not sealed yet.
const ENTRY_BYTES: u64 = 45;

/// Sealed bytes of segments that are read in search of some that go together.
const MAX_READ: u64 = 4 * MAX_BUDGET;

/// Into how many segments those that go together may go: the first that saves
/// enough.
const LAYERS: [usize; 3] = [1, 4, 16];

/// The most places that a chunk keeps where there would be too many segments.
const MAX_PLACES: usize = MAX_SEGMENTS / 2;

/// What a merge asks of the device that commits.
pub trait SegmentSource {
    /// Why it does not know.
    type Error;

    /// The entries of the segment at that place in the list.
    ///
    /// # Errors
    /// The source's own.
    fn read(&mut self, at: usize) -> Result<Vec<IndexEntry>, Self::Error>;

    /// Whether nobody but this member's devices was ever able to write to the
    /// vault. They rely on every place that the index has.
    fn is_alone(&self) -> bool;

    /// Whether this device has sealed the chunk just there.
    ///
    /// # Errors
    /// The source's own.
    fn vouches_for(&mut self, place: &IndexEntry) -> Result<bool, Self::Error>;

    /// One of these places of a chunk, at which it has opened the chunk just now.
    /// It need not look at all of them, and does best to choose those that it
    /// looks at in an order that nobody foresees.
    ///
    /// # Errors
    /// The source's own.
    fn open_one(&mut self, places: &[IndexEntry]) -> Result<Option<IndexEntry>, Self::Error>;
}

/// What a commit adds to the index: places at which this device has sealed chunks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Additions<'a> {
    /// In packs that are finished, the newest last.
    pub known: &'a [IndexEntry],
    /// In the pack that is to hold the new segments. Newer than the others.
    pub own: &'a [PackEntry],
}

/// A segment of the list that a commit makes.
#[derive(Debug)]
pub enum Merged {
    /// One that stays, by its place in the list before.
    Kept(usize),
    /// One that has to be written.
    New(SegmentBuilder),
}

/// Merges what a commit adds with some of the `existing` segments, the newest
/// last, as [`plan_merge`] says; gives the list that it leaves, the newest last.
///
/// At most two segments of full size are written again. [`MAX_SEGMENTS`] stay at
/// most, unless another writer has filled the index with claims: with full
/// segments, or with more places of one chunk than that, at none of which this
/// device has found it yet.
///
/// # Errors
/// The source's own.
pub fn merge_segments<S: SegmentSource>(
    existing: &[SegmentStat],
    additions: Additions<'_>,
    source: &mut S,
) -> Result<Vec<Merged>, S::Error> {
    let (newest, fresh) = layers_of(additions);
    let mut merge = Merge {
        existing,
        fresh,
        source,
    };
    let planned = merge.as_planned(additions, newest)?;
    if planned.len() <= MAX_SEGMENTS {
        return Ok(planned);
    }
    let gathered = merge.gather(layers_of(additions).0)?;
    let kept = (0..existing.len()).filter(|at| !gathered.taken.contains(at));
    let mut list: Vec<_> = kept.map(Merged::Kept).collect();
    list.extend(gathered.layers.into_segments().map(Merged::New));
    Ok(if list.len() < planned.len() {
        list
    } else {
        planned
    })
}

/// The segments that a commit would add, and the chunks in them. Of two places
/// that this device has just sealed a chunk at, one is enough.
fn layers_of(additions: Additions<'_>) -> (Layers, HashSet<ChunkId>) {
    let mut layers = Layers::new();
    let mut fresh = HashSet::new();
    for entry in additions.own.iter().rev() {
        if fresh.insert(entry.id) {
            layers.add_own(entry);
        }
    }
    for entry in additions.known.iter().rev() {
        if fresh.insert(entry.id) {
            layers.add(entry);
        }
    }
    (layers, fresh)
}

struct Merge<'a, S> {
    existing: &'a [SegmentStat],
    /// Chunks that this device has just sealed.
    fresh: HashSet<ChunkId>,
    source: &'a mut S,
}

/// Segments that go together with what a commit adds.
struct Gathered {
    /// Their places in the list before.
    taken: Vec<usize>,
    layers: Layers,
    /// How many segments fewer there are.
    saved: usize,
}

/// Places, the newest first, each once, and which of them this device vouches for.
struct Places {
    all: Vec<IndexEntry>,
    vouched: HashSet<IndexEntry>,
}

impl<S: SegmentSource> Merge<'_, S> {
    /// The list as [`plan_merge`] plans it, but for what does not become fewer.
    fn as_planned(
        &mut self,
        additions: Additions<'_>,
        newest: Layers,
    ) -> Result<Vec<Merged>, S::Error> {
        let new = SegmentStat {
            entries: self.fresh.len() as u64,
            bytes: self.fresh.len() as u64 * ENTRY_BYTES,
        };
        let MergePlan {
            runs,
            absorbed_from,
        } = plan_merge(self.existing, new);
        let mut list = Vec::new();
        let mut at = 0;
        for run in runs {
            list.extend((at..run.start).map(Merged::Kept));
            at = run.end;
            match self.fewer(run.clone(), Layers::new())? {
                Some(layers) => list.extend(layers.into_segments().map(Merged::New)),
                None => list.extend(run.map(Merged::Kept)),
            }
        }
        list.extend((at..absorbed_from).map(Merged::Kept));
        let absorbed = absorbed_from..self.existing.len();
        let newest = if absorbed.is_empty() {
            newest
        } else if let Some(layers) = self.fewer(absorbed.clone(), newest)? {
            layers
        } else {
            list.extend(absorbed.map(Merged::Kept));
            layers_of(additions).0
        };
        list.extend(newest.into_segments().map(Merged::New));
        Ok(list)
    }

    /// What neighbours and newer entries are together, if that is fewer segments.
    fn fewer(&mut self, run: Range<usize>, mut layers: Layers) -> Result<Option<Layers>, S::Error> {
        let before = run.len() + layers.len();
        let mut entries = Vec::new();
        for at in run.rev() {
            entries.extend(self.source.read(at)?);
            // More than a plan ever lets go together: a root that lies.
            if entries.len() > 2 * MAX_ENTRIES {
                return Ok(None);
            }
        }
        for place in &self.settle(entries)?.all {
            layers.add(place);
        }
        Ok((layers.len() < before).then_some(layers))
    }

    /// Leaves out places beside which this device vouches for a newer one, and for
    /// which nobody else may have to vouch.
    fn settle(&mut self, mut places: Vec<IndexEntry>) -> Result<Places, S::Error> {
        let fresh = &self.fresh;
        let mut ids = HashSet::with_capacity(places.len());
        let repeated = places.iter().map(|place| place.id);
        let repeated = repeated.filter(|id| !ids.insert(*id) || fresh.contains(id));
        let several: HashSet<_> = repeated.collect();
        let doubtful = places.iter().filter(|place| several.contains(&place.id));
        let mut doubtful: Vec<_> = doubtful.copied().collect();
        // So that what the device knows of a pack is asked for once.
        doubtful.sort_unstable_by_key(|place| place.pack);
        let is_alone = self.source.is_alone();
        let mut vouched = HashSet::new();
        for place in doubtful {
            let is_vouched = if is_alone {
                fresh.contains(&place.id)
            } else {
                self.source.vouches_for(&place)?
            };
            if is_vouched {
                vouched.insert(place);
            }
        }
        let (mut seen, mut held) = (HashSet::new(), HashSet::new());
        places.retain(|place| {
            if !several.contains(&place.id) {
                return true;
            }
            let is_newest = !fresh.contains(&place.id) && !held.contains(&place.id);
            let stays = !vouched.contains(place) || (is_newest && held.insert(place.id));
            stays && seen.insert(*place)
        });
        Ok(Places {
            all: places,
            vouched,
        })
    }

    /// Chooses segments, wherever they stand, that go together with what the commit
    /// adds, so that there are not too many; or else as many fewer as it finds.
    fn gather(&mut self, newest: Layers) -> Result<Gathered, S::Error> {
        let mut smallest: Vec<_> = (0..self.existing.len()).collect();
        smallest.sort_by_key(|&at| self.existing[at].bytes);
        let too_many = (self.existing.len() + newest.len()).saturating_sub(MAX_SEGMENTS);
        let mut best = Gathered {
            taken: Vec::new(),
            layers: newest.clone(),
            saved: 0,
        };
        for most in LAYERS {
            let gathered = self.go_together(&smallest, &newest, most, too_many)?;
            if gathered.saved > best.saved {
                best = gathered;
            }
            if best.saved >= too_many {
                return Ok(best);
            }
        }
        let thinned = self.thin_out(&smallest, newest, too_many, best.saved)?;
        Ok(thinned.unwrap_or(best))
    }

    /// Takes the smallest segments, but for those that would need more than `most`
    /// segments.
    fn go_together(
        &mut self,
        smallest: &[usize],
        newest: &Layers,
        most: usize,
        too_many: usize,
    ) -> Result<Gathered, S::Error> {
        let mut budget = MAX_BUDGET;
        let mut unread = MAX_READ;
        let mut gathered = Gathered {
            taken: Vec::new(),
            layers: newest.clone(),
            saved: 0,
        };
        for &at in smallest {
            if self.existing[at].bytes > budget.min(unread) {
                break;
            }
            let entries = self.source.read(at)?;
            let cost = self.cost(at, &entries);
            unread = unread.saturating_sub(cost);
            let goes = |place: &IndexEntry| gathered.layers.objections(place) < most;
            if cost > budget || !entries.iter().all(goes) {
                continue;
            }
            budget -= cost;
            for place in &entries {
                gathered.layers.add(place);
            }
            gathered.taken.push(at);
            let before = gathered.taken.len() + newest.len();
            gathered.saved = before.saturating_sub(gathered.layers.len());
            // One more, so that the next commit has room for a small segment.
            if gathered.saved > too_many {
                break;
            }
        }
        Ok(gathered)
    }

    /// Takes the smallest segments, and leaves some of the places out where a chunk
    /// has very many and this device knows a right one. None if that saves no more
    /// than `saved`.
    fn thin_out(
        &mut self,
        smallest: &[usize],
        newest: Layers,
        too_many: usize,
        saved: usize,
    ) -> Result<Option<Gathered>, S::Error> {
        let mut budget = MAX_BUDGET;
        let mut read = Vec::new();
        for &at in smallest {
            if self.existing[at].bytes > budget {
                break;
            }
            let entries = self.source.read(at)?;
            let cost = self.cost(at, &entries);
            if cost > budget {
                break;
            }
            budget -= cost;
            read.push((at, entries));
        }
        read.sort_by_key(|(at, _)| Reverse(*at));
        let taken: Vec<_> = read.iter().map(|(at, _)| *at).collect();
        let entries = read.into_iter().flat_map(|(_, entries)| entries);
        let places = self.settle(entries.collect())?;
        let before = taken.len() + newest.len();
        let most = before.saturating_sub(too_many).clamp(1, MAX_PLACES);
        let places = self.without_surplus(places, most)?;
        let most = self.count(&places).into_values().max().unwrap_or_default();
        if before.saturating_sub(most) <= saved {
            return Ok(None);
        }
        let mut layers = newest;
        for place in &places {
            layers.add(place);
        }
        let gathered = Gathered {
            saved: before.saturating_sub(layers.len()),
            taken,
            layers,
        };
        Ok((gathered.saved > saved).then_some(gathered))
    }

    /// The places without those that a chunk has beyond `most`, where one of those
    /// that stay is right for certain.
    fn without_surplus(
        &mut self,
        Places { mut all, vouched }: Places,
        most: usize,
    ) -> Result<Vec<IndexEntry>, S::Error> {
        let count = self.count(&all);
        let mut of_chunk: HashMap<ChunkId, Vec<IndexEntry>> = HashMap::new();
        for place in all.iter().filter(|place| count[&place.id] > most) {
            of_chunk.entry(place.id).or_default().push(*place);
        }
        let mut many: Vec<_> = of_chunk.into_iter().collect();
        // What stands in the way most comes first: not all of it may be looked at.
        many.sort_unstable_by_key(|(id, places)| (Reverse(places.len()), *id));
        let mut surplus = HashSet::new();
        for (id, places) in many {
            let right = if self.fresh.contains(&id) {
                None
            } else {
                let mut right = places.iter().find(|place| vouched.contains(place)).copied();
                if right.is_none() {
                    right = self.source.open_one(&places)?;
                }
                if right.is_none() {
                    continue;
                }
                right
            };
            let others = places.into_iter().filter(|place| Some(*place) != right);
            surplus.extend(others.skip(most - 1));
        }
        all.retain(|place| !surplus.contains(place));
        Ok(all)
    }

    /// How many places each chunk has, with the one where it was just stored.
    fn count(&self, places: &[IndexEntry]) -> HashMap<ChunkId, usize> {
        let mut count = HashMap::with_capacity(places.len());
        for place in places {
            let fresh = usize::from(self.fresh.contains(&place.id));
            *count.entry(place.id).or_insert(fresh) += 1;
        }
        count
    }

    /// What it costs to write a segment again. Ids that somebody has chosen shrink
    /// when they are sealed, and what his root says of their number need not be so.
    fn cost(&self, at: usize, entries: &[IndexEntry]) -> u64 {
        let entries = entries.len() as u64;
        self.existing[at].bytes.max(entries * ENTRY_BYTES)
    }
}
