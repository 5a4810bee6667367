//! When to merge which segments.

use std::ops::Range;

use super::MAX_ENTRIES;

/// The most segments that [`plan_merge`] leaves behind, for an index of up to
/// about 12 million entries. A root has room for a few more.
pub const MAX_SEGMENTS: usize = 96;

/// Bytes that any commit may write again.
const LEAST_BUDGET: u64 = 8 << 10;

/// Bytes that a commit may write again for each new one.
const BUDGET_PER_NEW_BYTE: u64 = 4;

/// The most sealed bytes of segments that are merged into one.
///
/// Ids do not shrink when they are sealed, so this many bytes have at most 2^18
/// of them, chunks' and packs' together; each chunk takes up to 44 bytes, each
/// pack 52, and there are never more packs than chunks: such a segment is
/// never longer than its 12 MiB.
const MAX_MERGED_BYTES: u64 = 8 << 20;

/// Sealed bytes that no commit goes beyond in writing segments again: two of
/// full size.
pub(super) const MAX_BUDGET: u64 = 2 * MAX_MERGED_BYTES;

/// A segment, or what a commit adds, as far as planning needs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SegmentStat {
    /// Its entries.
    pub entries: u64,
    /// Its sealed length in bytes; about 45 an entry for what is not sealed yet.
    pub bytes: u64,
}

impl SegmentStat {
    fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            bytes: self.bytes + other.bytes,
        }
    }

    /// Whether all of it can be in `segments` segments.
    fn fits(self, segments: u64) -> bool {
        self.entries <= segments * MAX_ENTRIES as u64 && self.bytes <= segments * MAX_MERGED_BYTES
    }
}

/// Which segments a commit merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergePlan {
    /// Older segments that are merged among themselves, each run in place:
    /// ascending, not overlapping, of two segments or more. By its size, a run
    /// gives one segment, or one less than it had.
    pub runs: Vec<Range<usize>>,
    /// The segments from here on, the newest, are merged with the new entries.
    pub absorbed_from: usize,
}

/// Says which of `existing` segments, the newest last, a commit merges that
/// adds `new` entries. It goes by sizes alone: where chunks have several places,
/// a merge may save less than it counts on, or nothing
/// ([`merge_segments`](super::merge_segments)).
///
/// - It writes at most 8 KiB of them again, or four times the bytes that it
///   adds if that is more; so an unchanged backup stays small on the wire.
/// - Beyond [`MAX_SEGMENTS`], that gives way: the cheapest neighbours are
///   merged. The bound on their number has this price, as segments that
///   were never written again could only be as large as commits are. With m
///   segments that are not full, it is at most 2/(m - 1) of their bytes.
/// - It never writes more than two segments of full size again.
#[must_use]
pub fn plan_merge(existing: &[SegmentStat], new: SegmentStat) -> MergePlan {
    let budget = (new.bytes * BUDGET_PER_NEW_BYTE).clamp(LEAST_BUDGET, MAX_BUDGET);
    let (full, rest) = split(new);

    let absorbed = if new.entries == 0 {
        Tail::default()
    } else {
        tail_that_fits(existing, rest, budget)
    };
    let absorbed_from = existing.len() - absorbed.segments;
    let mut spent = absorbed.bytes;
    let mut count =
        absorbed_from as u64 + full + u64::from(rest.entries > 0 || absorbed.segments > 0);

    let mut runs = Vec::new();
    // What did not fit with the new entries may still fit together.
    let older = &existing[..absorbed_from];
    let tail = tail_that_fits(older, SegmentStat::default(), budget - spent);
    if tail.segments > 1 {
        runs.push(absorbed_from - tail.segments..absorbed_from);
        spent += tail.bytes;
        count -= tail.segments as u64 - 1;
    }
    while count > MAX_SEGMENTS as u64 {
        let Some((run, bytes)) = cheapest_run(older, &runs, MAX_BUDGET - spent) else {
            break;
        };
        runs.push(run);
        spent += bytes;
        count -= 1;
    }
    runs.sort_by_key(|run| run.start);
    MergePlan {
        runs,
        absorbed_from,
    }
}

/// Segments that `new` fills alone, and what is left of it.
fn split(new: SegmentStat) -> (u64, SegmentStat) {
    let full = (new.entries / MAX_ENTRIES as u64).max(new.bytes / MAX_MERGED_BYTES);
    let rest = SegmentStat {
        entries: new.entries.saturating_sub(full * MAX_ENTRIES as u64),
        bytes: new.bytes / (full + 1),
    };
    (full, rest)
}

#[derive(Default)]
struct Tail {
    segments: usize,
    bytes: u64,
}

/// The longest tail of `segments` of at most `budget` bytes that fits into one
/// segment beside `with`.
fn tail_that_fits(segments: &[SegmentStat], with: SegmentStat, budget: u64) -> Tail {
    let mut tail = Tail::default();
    let mut all = with;
    for segment in segments.iter().rev() {
        all = all.and(*segment);
        if !all.fits(1) || tail.bytes + segment.bytes > budget {
            break;
        }
        tail.bytes += segment.bytes;
        tail.segments += 1;
    }
    tail
}

/// The cheapest neighbours, outside of `taken`, that become one segment fewer.
fn cheapest_run(
    segments: &[SegmentStat],
    taken: &[Range<usize>],
    budget: u64,
) -> Option<(Range<usize>, u64)> {
    let run = |start: usize, length: usize| {
        let run = start..start + length;
        let members = segments.get(run.clone())?;
        let all = members
            .iter()
            .fold(SegmentStat::default(), |a, b| a.and(*b));
        let is_free = taken
            .iter()
            .all(|taken| run.end <= taken.start || taken.end <= run.start);
        (is_free && all.fits(length as u64 - 1) && all.bytes <= budget).then_some((run, all.bytes))
    };
    (2..=3)
        .flat_map(|length| (0..segments.len()).filter_map(move |start| run(start, length)))
        .min_by_key(|&(_, bytes)| bytes)
}
