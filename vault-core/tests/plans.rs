//! Merging as a vault grows: the number of segments, and what a commit writes
//! again, stay within their bounds.

use proptest::prelude::*;
use vault_core::index::{MAX_ENTRIES, MAX_SEGMENTS, SegmentStat, plan_merge};

const FULL: u64 = 8 << 20;

/// A vault's segments, commit by commit, and the most that was seen.
#[derive(Default)]
struct Vault {
    segments: Vec<SegmentStat>,
    most_segments: usize,
    rewritten: u64,
    most_rewritten: u64,
    added: u64,
}

impl Vault {
    /// Commits `new` as the plan says, and checks what the plan promises.
    fn commit(&mut self, new: SegmentStat) {
        let plan = plan_merge(&self.segments, new);
        assert!(plan.runs.is_sorted_by(|a, b| a.end <= b.start));
        assert!(
            plan.runs
                .iter()
                .all(|run| run.len() >= 2 && run.end <= plan.absorbed_from)
        );

        let size = |segments: &[SegmentStat]| segments.iter().map(|s| s.bytes).sum::<u64>();
        let merged: u64 = plan
            .runs
            .iter()
            .map(|run| size(&self.segments[run.clone()]))
            .sum();
        let rewritten = merged + size(&self.segments[plan.absorbed_from..]);
        let budget = (4 * new.bytes).clamp(8 << 10, 2 * FULL);
        assert!(rewritten <= 2 * FULL);
        let mut newest = self.segments[plan.absorbed_from..].to_vec();
        newest.push(new);
        let newest = packed(&newest);
        if rewritten > budget {
            // Only when there would be too many.
            assert!(plan.absorbed_from + newest.len() > MAX_SEGMENTS);
        }

        let mut next = Vec::new();
        let mut at = 0;
        for run in &plan.runs {
            next.extend(&self.segments[at..run.start]);
            next.extend(packed(&self.segments[run.clone()]));
            assert!(next.len() < run.end, "a run saves a segment");
            at = run.end;
        }
        next.extend(&self.segments[at..plan.absorbed_from]);
        next.extend(newest);

        self.segments = next;
        self.most_segments = self.most_segments.max(self.segments.len());
        self.rewritten += rewritten;
        self.most_rewritten = self.most_rewritten.max(rewritten);
        self.added += new.bytes;
    }

    fn entries(&self) -> u64 {
        self.segments.iter().map(|s| s.entries).sum()
    }
}

/// As few segments as hold all of `segments`.
fn packed(segments: &[SegmentStat]) -> Vec<SegmentStat> {
    let entries: u64 = segments.iter().map(|s| s.entries).sum();
    let bytes: u64 = segments.iter().map(|s| s.bytes).sum();
    let count = entries
        .div_ceil(MAX_ENTRIES as u64)
        .max(bytes.div_ceil(FULL))
        .max(1);
    (0..count)
        .map(|n| SegmentStat {
            entries: entries * (n + 1) / count - entries * n / count,
            bytes: bytes * (n + 1) / count - bytes * n / count,
        })
        .collect()
}

/// Entries in packs of a few, or of many.
fn stat(entries: u64) -> SegmentStat {
    SegmentStat {
        entries,
        bytes: 40 + 40 * entries + 38 * entries.div_ceil(16),
    }
}

#[test]
fn twenty_thousand_tiny_commits() {
    let mut vault = Vault::default();
    for n in 0..20_000 {
        vault.commit(stat(1 + n % 4));
    }
    assert!(vault.most_segments <= 100, "{}", vault.most_segments);
    // A commit adds about 200 bytes, and writes 8 KiB again at most nearly
    // always; the rest is rare and small.
    assert!(
        vault.most_rewritten <= 128 << 10,
        "{}",
        vault.most_rewritten
    );
    let mean = vault.rewritten / 20_000;
    assert!(mean <= 8 << 10, "{mean}");
}

#[test]
fn ten_million_chunks() {
    for per_commit in [
        900, 10_000, 50_000, 70_000, 110_000, 150_000, 190_000, 1_000_000,
    ] {
        let mut vault = Vault::default();
        while vault.entries() < 10_000_000 {
            vault.commit(stat(per_commit));
        }
        assert!(
            vault.most_segments <= 100,
            "{per_commit}: {}",
            vault.most_segments
        );
        let amplification = vault.rewritten as f64 / vault.added as f64;
        assert!(amplification < 12.0, "{per_commit}: {amplification}");
        // And years of small changes on top.
        for _ in 0..3_000 {
            vault.commit(stat(20));
        }
        assert!(
            vault.most_segments <= 100,
            "{per_commit}: {}",
            vault.most_segments
        );
    }
}

#[test]
fn a_big_commit_tidies_up() {
    let mut vault = Vault::default();
    for _ in 0..5_000 {
        vault.commit(stat(3));
    }
    assert!(vault.segments.len() > 40);
    vault.commit(stat(20_000));
    assert_eq!(vault.segments.len(), 1);

    // Even if it leaves no room for them in its own last segment.
    let mut vault = Vault::default();
    for _ in 0..5_000 {
        vault.commit(stat(3));
    }
    vault.commit(stat(180_000));
    assert_eq!(vault.segments.len(), 2);
}

#[test]
fn nothing_new_needs_no_merge() {
    let one = [stat(10)];
    let plan = plan_merge(&one, SegmentStat::default());
    assert_eq!((plan.absorbed_from, plan.runs), (1, vec![]));
    let plan = plan_merge(&one, stat(1));
    assert_eq!((plan.absorbed_from, plan.runs), (0, vec![]));
}

#[test]
fn an_unchanged_backup_stays_small() {
    // A first backup of 100,000 chunks, then a year of hourly commits of a
    // snapshot's last chunk each.
    let mut vault = Vault::default();
    vault.commit(stat(100_000));
    for _ in 0..24 * 365 {
        vault.most_rewritten = 0;
        vault.commit(stat(2));
        assert!(vault.most_rewritten <= 48 << 10, "{}", vault.most_rewritten);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_vault_stays_within_the_bounds(
        commits in prop::collection::vec(
            prop_oneof![
                6 => 1_u64..10,
                3 => 10_u64..2_000,
                2 => 2_000_u64..60_000,
                1 => 60_000_u64..500_000,
            ],
            1..400,
        ),
        times in 1_usize..6,
    ) {
        let mut vault = Vault::default();
        for _ in 0..times {
            for &entries in &commits {
                if vault.entries() + entries > 10_000_000 {
                    break;
                }
                vault.commit(stat(entries));
            }
        }
        prop_assert!(vault.most_segments <= 100, "{}", vault.most_segments);
    }

    #[test]
    fn any_numbers_are_planned_with(
        existing in prop::collection::vec((any::<u32>(), any::<u32>()), 0..150),
        new: (u32, u32),
    ) {
        let stat = |(entries, bytes): (u32, u32)| SegmentStat {
            entries: entries.into(),
            bytes: bytes.into(),
        };
        let existing: Vec<_> = existing.into_iter().map(stat).collect();
        let plan = plan_merge(&existing, stat(new));
        prop_assert!(plan.absorbed_from <= existing.len());
        prop_assert!(plan.runs.is_sorted_by(|a, b| a.end <= b.start));
    }
}
