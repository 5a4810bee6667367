//! Merging an index that several write to: no place is lost that might be the
//! right one, and nobody makes a commit's work or the list grow without bound.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::index::{
    Additions, IndexEntry, MAX_SEGMENTS, Merged, OwnPack, Segment, SegmentBuilder, SegmentSource,
    SegmentStat, merge_segments, plan_merge,
};
use vault_core::pack::PackEntry;
use vault_proto::ids::PackId;

const FULL: u64 = 8 << 20;
/// Chunks that a device opens in one commit.
const LOOKS: usize = 16;
/// Segments that a root has room for.
const ROOM: u64 = 120;

fn chunk(n: u64) -> ChunkId {
    ChunkId::from_array(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

/// A place of a chunk in one of any number of packs.
fn place(n: u64, in_pack: u64) -> IndexEntry {
    IndexEntry {
        id: chunk(n),
        kind: ChunkKind::FileData,
        pack: PackId::of(&in_pack.to_le_bytes()),
        epoch: 1,
        pack_size: 1 << 20,
        offset: (n % 1_000) as u32 * 100,
        sealed_length: 100,
    }
}

fn as_pack_entry(entry: &IndexEntry) -> PackEntry {
    PackEntry {
        kind: entry.kind,
        id: entry.id,
        offset: entry.offset,
        sealed_length: entry.sealed_length,
    }
}

/// A device, and where it has sealed chunks.
#[derive(Default)]
struct Device(HashSet<IndexEntry>);

/// A vault's index, and where its chunks are in truth.
struct Vault {
    segments: Vec<Segment>,
    true_places: HashMap<ChunkId, HashSet<IndexEntry>>,
    is_common: bool,
    /// Whether roots say that segments are smaller than they are.
    roots_lie: bool,
    packs: u64,
    /// What the last commit wrote again, in bytes,
    rewritten: u64,
    /// and how many chunks it has opened.
    looks: usize,
    random: u64,
}

/// A device that commits.
struct Commit<'a> {
    vault: &'a mut Vault,
    device: &'a Device,
}

impl SegmentSource for Commit<'_> {
    type Error = ();

    fn read(&mut self, at: usize) -> Result<Vec<IndexEntry>, ()> {
        Ok(self.vault.segments[at].iter().collect())
    }

    fn is_alone(&self) -> bool {
        !self.vault.is_common
    }

    fn vouches_for(&mut self, place: &IndexEntry) -> Result<bool, ()> {
        Ok(self.device.0.contains(place))
    }

    fn open_one(&mut self, places: &[IndexEntry]) -> Result<Option<IndexEntry>, ()> {
        let mut left = places.to_vec();
        while self.vault.looks < LOOKS && !left.is_empty() {
            self.vault.looks += 1;
            let at = self.vault.throw() as usize % left.len();
            let place = left.swap_remove(at);
            if self.vault.is_true(&place) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}

impl Vault {
    fn of_one_member() -> Self {
        Self {
            segments: Vec::new(),
            true_places: HashMap::new(),
            is_common: false,
            roots_lie: false,
            packs: 0,
            rewritten: 0,
            looks: 0,
            random: 1,
        }
    }

    fn common() -> Self {
        Self {
            is_common: true,
            ..Self::of_one_member()
        }
    }

    fn throw(&mut self) -> u64 {
        let next = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = next.wrapping_add(1);
        self.random >> 33
    }

    fn new_pack(&mut self) -> u64 {
        self.packs += 1;
        self.packs
    }

    /// A device stores chunks, some of them in the pack that is to hold the segment,
    /// and commits.
    fn commit(&mut self, device: &mut Device, chunks: &[u64]) {
        let (finished, open) = (self.new_pack(), self.new_pack());
        let (in_finished, in_open) = chunks.split_at(chunks.len() / 2);
        let known: Vec<_> = in_finished.iter().map(|&n| place(n, finished)).collect();
        let held: Vec<_> = in_open.iter().map(|&n| place(n, open)).collect();
        let own: Vec<_> = held.iter().map(as_pack_entry).collect();

        self.looks = 0;
        let stats = self.stats();
        let size = |segment: &Segment| 45 * segment.len() as u64;
        let before: Vec<_> = self.segments.iter().map(size).collect();
        let additions = Additions {
            known: &known,
            own: &own,
        };
        let mut commit = Commit {
            vault: self,
            device,
        };
        let merged = merge_segments(&stats, additions, &mut commit).unwrap();
        let own_pack = OwnPack {
            pack: PackId::of(&open.to_le_bytes()),
            epoch: 1,
            size: 1 << 20,
        };
        let mut kept = Vec::new();
        let segments = merged.into_iter().map(|segment| match segment {
            Merged::Kept(at) => {
                kept.push(at);
                self.segments[at].clone()
            }
            Merged::New(builder) => Segment::decode(&builder.encode(), own_pack).unwrap(),
        });
        self.segments = segments.collect();

        assert!(kept.is_sorted_by(|a, b| a < b));
        let all: u64 = before.iter().sum();
        let stayed: u64 = kept.iter().map(|&at| before[at]).sum();
        self.rewritten = all - stayed;
        assert!(self.rewritten <= 2 * FULL, "{}", self.rewritten);
        assert!(self.looks <= LOOKS);
        for entry in known.iter().chain(&held) {
            device.0.insert(*entry);
            self.true_places.entry(entry.id).or_default().insert(*entry);
        }
    }

    /// Another writer commits a segment of what he likes.
    fn plant(&mut self, entries: impl IntoIterator<Item = IndexEntry>) {
        let mut builder = SegmentBuilder::new();
        for entry in entries {
            builder.add(&entry).unwrap();
        }
        let own_pack = OwnPack {
            pack: PackId::of(b"his"),
            epoch: 1,
            size: 1 << 20,
        };
        let segment = Segment::decode(&builder.encode(), own_pack).unwrap();
        self.segments.push(segment);
    }

    fn stats(&self) -> Vec<SegmentStat> {
        let stat = |segment: &Segment| match self.roots_lie {
            true => SegmentStat {
                entries: 1,
                bytes: 100,
            },
            false => SegmentStat {
                entries: segment.len() as u64,
                bytes: 45 * segment.len() as u64,
            },
        };
        self.segments.iter().map(stat).collect()
    }

    fn is_true(&self, place: &IndexEntry) -> bool {
        let places = self.true_places.get(&place.id);
        places.is_some_and(|places| places.contains(place))
    }

    fn places(&self, id: &ChunkId) -> Vec<IndexEntry> {
        let find = |segment: &Segment| segment.find(id);
        self.segments.iter().filter_map(find).collect()
    }

    /// Every chunk that was ever stored is where some segment says.
    fn assert_complete(&self) {
        for id in self.true_places.keys() {
            let places = self.places(id);
            assert!(places.iter().any(|place| self.is_true(place)), "{id:?}");
        }
    }
}

/// What happens to an index.
#[derive(Debug, Clone)]
enum Step {
    /// One of two devices stores chunks.
    Commit(usize, Vec<u64>),
    /// Another writer says that chunks are where they are not, in a segment each.
    Plant(Vec<(u64, Lie)>),
}

#[derive(Debug, Clone, Copy)]
enum Lie {
    Pack,
    Kind,
    Offset,
    Epoch,
}

fn step() -> impl Strategy<Value = Step> {
    let lie = prop_oneof![
        Just(Lie::Pack),
        Just(Lie::Kind),
        Just(Lie::Offset),
        Just(Lie::Epoch),
    ];
    // Some that are never stored, and many before they are.
    let lies = prop::collection::vec((0_u64..120, lie), 1..12);
    let chunks = prop::collection::hash_set(0_u64..100, 1..20);
    prop_oneof![
        (0_usize..2, chunks).prop_map(|(device, chunks)| {
            let mut chunks: Vec<_> = chunks.into_iter().collect();
            chunks.sort_unstable();
            Step::Commit(device, chunks)
        }),
        lies.prop_map(Step::Plant),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_true_place_is_found_whatever_another_writer_plants(
        steps in prop::collection::vec(step(), 1..160),
        is_common: bool,
    ) {
        let mut vault = if is_common { Vault::common() } else { Vault::of_one_member() };
        let mut devices = [Device::default(), Device::default()];
        for step in steps {
            match step {
                Step::Commit(device, chunks) => {
                    vault.commit(&mut devices[device], &chunks);
                    prop_assert!(vault.segments.len() <= MAX_SEGMENTS);
                    vault.assert_complete();
                }
                Step::Plant(lies) => {
                    for (n, lie) in lies {
                        let known = vault.places(&chunk(n));
                        let known = known.first().copied().unwrap_or(place(n, 1));
                        let other = u32::try_from(vault.throw() % 1_000).unwrap();
                        vault.plant([match lie {
                            Lie::Pack => place(n, 1_000_000 + u64::from(other)),
                            Lie::Kind => IndexEntry { kind: ChunkKind::Tree, ..known },
                            Lie::Offset => IndexEntry { offset: other, ..known },
                            Lie::Epoch => IndexEntry { epoch: 2, ..known },
                        }]);
                    }
                }
            }
        }
        // Each device finds what it has stored itself.
        for device in devices.iter().filter(|_| is_common) {
            for stored in &device.0 {
                let places = vault.places(&stored.id);
                prop_assert!(places.iter().any(|place| device.0.contains(place)));
            }
        }
    }

    #[test]
    fn without_second_places_a_merge_is_what_was_planned(
        sizes in prop::collection::vec(prop_oneof![9 => 1_u64..40, 1 => 40_u64..2_000], 0..110),
        new in 1_u64..300,
    ) {
        let mut vault = Vault::common();
        let mut next = 0;
        for size in sizes {
            vault.plant((next..next + size).map(|n| place(n, n / 16)));
            next += size;
        }
        let stats = vault.stats();
        let plan = plan_merge(&stats, SegmentStat { entries: new, bytes: 45 * new });
        let device = Device::default();
        let known: Vec<_> = (next..next + new).map(|n| place(n, n / 16)).collect();
        let additions = Additions { known: &known, own: &[] };
        let mut commit = Commit { vault: &mut vault, device: &device };
        let merged = merge_segments(&stats, additions, &mut commit).unwrap();
        let is_kept = |at: &usize| {
            *at < plan.absorbed_from && !plan.runs.iter().any(|run| run.contains(at))
        };
        let kept = merged.iter().filter_map(|segment| match segment {
            Merged::Kept(at) => Some(*at),
            Merged::New(_) => None,
        });
        prop_assert!(kept.eq((0..stats.len()).filter(is_kept)));
        let written: Vec<_> = merged.iter().filter_map(|segment| match segment {
            Merged::Kept(_) => None,
            Merged::New(builder) => Some(builder.len() as u64),
        }).collect();
        let of = |stats: &[SegmentStat]| stats.iter().map(|stat| stat.entries).sum::<u64>();
        let mut planned: Vec<_> = plan.runs.iter().map(|run| of(&stats[run.clone()])).collect();
        planned.push(new + of(&stats[plan.absorbed_from..]));
        prop_assert_eq!(written, planned);
        prop_assert_eq!(vault.looks, 0);
    }
}

/// Segments that would be as many as before are left as they are.
#[test]
fn a_merge_that_saves_nothing_is_not_made() {
    let mut vault = Vault::common();
    let chunks: Vec<_> = (0..100).collect();
    vault.commit(&mut Device::default(), &chunks);
    vault.commit(&mut Device::default(), &chunks);
    assert_eq!((vault.segments.len(), vault.rewritten), (2, 0));
    // With a third, something is saved.
    vault.commit(&mut Device::default(), &[1_000]);
    assert_eq!(vault.segments.len(), 2);
    assert!(vault.rewritten > 0);
}

/// What a root says of its segments need not be so; a segment of ids that somebody
/// has chosen shrinks when it is sealed.
#[test]
fn segments_that_hold_more_than_it_seems_are_not_taken_for_small() {
    let mut vault = Vault::common();
    vault.roots_lie = true;
    for number in 0..ROOM {
        let first = 1_000_000 * (number + 1);
        vault.plant((first..first + 20_000).map(|n| place(n, first)));
    }
    let mut device = Device::default();
    vault.commit(&mut device, &[1, 2]);
    assert!(vault.segments.len() as u64 <= ROOM);
    vault.assert_complete();
}

/// Two members store the same files, each for himself.
#[test]
fn two_members_places_do_not_push_each_other_out() {
    let mut vault = Vault::common();
    let mut devices = [Device::default(), Device::default()];
    for round in 0..150_u64 {
        let chunks: Vec<_> = (round * 20..round * 20 + 20).collect();
        for device in &mut devices {
            vault.commit(device, &chunks);
        }
        assert!(vault.segments.len() <= MAX_SEGMENTS);
    }
    for n in 0..150 * 20 {
        let places = vault.places(&chunk(n));
        assert_eq!(places.len(), 2);
        for device in &devices {
            assert!(places.iter().any(|place| device.0.contains(place)));
        }
    }
}

#[test]
fn a_device_that_stores_the_same_again_keeps_one_place_of_it() {
    for mut vault in [Vault::common(), Vault::of_one_member()] {
        let mut device = Device::default();
        let chunks: Vec<_> = (0..300).collect();
        for n in 0..200 {
            vault.commit(&mut device, &chunks);
            vault.commit(&mut device, &[1_000 + n]);
            assert!(vault.segments.len() <= 4, "{}", vault.segments.len());
        }
        vault.commit(&mut device, &chunks);
        vault.assert_complete();
        let entries: usize = vault.segments.iter().map(Segment::len).sum();
        assert!(entries <= 2 * 300 + 200, "{entries}");
    }
}

/// Of chunks that it has not just stored, a device cannot tell, though no other
/// member writes: one of the member's devices may be a thief's.
#[test]
fn a_vault_of_one_member_keeps_every_place_as_well() {
    let mut vault = Vault::of_one_member();
    let mut device = Device::default();
    vault.commit(&mut device, &[1, 2, 3]);
    vault.plant([place(1, 1_000), place(2, 1_000)]);
    for n in 10..500 {
        vault.commit(&mut device, &[n]);
    }
    assert!(vault.segments.len() <= 8, "{}", vault.segments.len());
    assert_eq!(vault.places(&chunk(1)).len(), 2);
    vault.assert_complete();
    // What it stores anew has one that is right.
    vault.commit(&mut device, &[1]);
    vault.commit(&mut device, &[500]);
    vault.assert_complete();
}

/// Segments as many as a root has room for, each with a place of one chunk.
fn besieged(n: u64) -> (Vault, Device) {
    let mut vault = Vault::common();
    let mut device = Device::default();
    vault.commit(&mut device, &[1, 2, 3]);
    for number in 0..ROOM {
        vault.plant([place(n, 1_000_000 + number)]);
    }
    (vault, device)
}

#[test]
fn whoever_has_sealed_a_chunk_ends_a_siege_at_once() {
    let (mut vault, mut device) = besieged(1);
    vault.commit(&mut device, &[4]);
    assert_eq!(vault.looks, 0);
    assert!(vault.segments.len() <= MAX_SEGMENTS);
    vault.assert_complete();
}

#[test]
fn whoever_stores_a_besieged_chunk_ends_the_siege() {
    let (mut vault, mut device) = besieged(4);
    vault.commit(&mut device, &[4]);
    assert_eq!(vault.looks, 0);
    assert!(vault.segments.len() <= MAX_SEGMENTS);
    vault.assert_complete();
}

#[test]
fn other_devices_end_a_siege_when_they_have_found_the_chunk() {
    let (mut vault, _) = besieged(1);
    let mut other = Device::default();
    let mut commits = 0;
    while vault.segments.len() > MAX_SEGMENTS {
        assert!(vault.segments.len() as u64 <= ROOM + 1);
        vault.commit(&mut other, &[1_000 + commits]);
        vault.assert_complete();
        commits += 1;
        assert!(commits < 100, "it is one of {ROOM}, and {LOOKS} are tried");
    }
    assert!(commits > 0);
}

/// Nobody can tell which of the places is right: none is dropped, and what commits
/// add takes no more segments.
#[test]
fn a_siege_of_a_chunk_that_is_nowhere_costs_no_further_segment() {
    let (mut vault, mut device) = besieged(999);
    for n in 0..150 {
        let chunks: Vec<_> = (2_000 + 100 * n..2_100 + 100 * n).collect();
        vault.commit(&mut device, &chunks);
        assert!(vault.segments.len() as u64 <= ROOM + 1);
        assert!(vault.rewritten <= 128 << 10, "{}", vault.rewritten);
    }
    assert_eq!(vault.places(&chunk(999)).len() as u64, ROOM);
    vault.assert_complete();
}

#[test]
fn packs_of_which_segments_say_different_things_cost_no_further_segment() {
    let mut vault = Vault::common();
    let mut device = Device::default();
    for number in 0..ROOM {
        vault.plant([IndexEntry {
            epoch: 1 + number,
            ..place(1_000 + number, 1_000_000)
        }]);
    }
    for n in 0..150 {
        let chunks: Vec<_> = (2_000 + 100 * n..2_100 + 100 * n).collect();
        vault.commit(&mut device, &chunks);
        assert!(vault.segments.len() as u64 <= ROOM + 1);
        assert!(vault.rewritten <= 128 << 10, "{}", vault.rewritten);
    }
    vault.assert_complete();
}

#[test]
fn one_place_in_every_segment_is_one_place() {
    let mut vault = Vault::common();
    let mut device = Device::default();
    for number in 0..ROOM {
        vault.plant([place(999, 1_000_000), place(2_000 + number, 1_000_001)]);
    }
    vault.commit(&mut device, &[1]);
    assert!(vault.segments.len() <= MAX_SEGMENTS);
    assert_eq!(vault.places(&chunk(2_000)).len(), 1);
}

/// Any two segments have a chunk in common, so none go together alone.
#[test]
fn segments_that_share_a_chunk_two_by_two_go_together_in_numbers() {
    let mut vault = Vault::common();
    let mut device = Device::default();
    for a in 0..ROOM {
        let shared = (0..ROOM).filter(|&b| b != a);
        vault.plant(shared.map(|b| place(a.min(b) * ROOM + a.max(b), 1_000_000 + a)));
    }
    vault.commit(&mut device, &[1_000_000]);
    assert!(vault.segments.len() <= MAX_SEGMENTS);
    assert_eq!(vault.places(&chunk(1)).len(), 2);
    vault.assert_complete();
}

/// Many devices that have stored the same, more of it than one commit writes again.
#[test]
fn what_many_devices_have_stored_goes_together_by_device() {
    let mut vault = Vault::common();
    let mut devices: Vec<_> = (0..50).map(|_| Device::default()).collect();
    for part in 0..2 {
        for (number, device) in (0..).zip(&mut devices) {
            let chunks: Vec<_> = (part * 10_000..(part + 1) * 10_000).collect();
            vault.plant(
                chunks
                    .iter()
                    .map(|&n| place(n, 1_000_000 + number * 2 + part)),
            );
            device.0.extend(
                chunks
                    .iter()
                    .map(|&n| place(n, 1_000_000 + number * 2 + part)),
            );
        }
    }
    assert_eq!(vault.segments.len(), 100);
    for n in 0..10 {
        vault.commit(&mut devices[0], &[1_000_000 + n]);
        assert!(vault.segments.len() <= MAX_SEGMENTS);
        // That was not for one commit alone.
        assert!(n < 2 || vault.rewritten <= 8 << 10, "{}", vault.rewritten);
    }
    for number in [0, 5_000, 10_000, 19_999] {
        let places = vault.places(&chunk(number));
        assert_eq!(places.len(), 50);
        let has = |device: &Device| places.iter().any(|place| device.0.contains(place));
        assert!(devices.iter().all(has));
    }
}

/// As much as it takes to keep a commit busy, and more than it writes again.
#[test]
fn a_siege_of_very_many_chunks_does_not_hold_a_commit_up() {
    let mut vault = Vault::common();
    let mut device = Device::default();
    for number in 0..ROOM {
        vault.plant((0..2_000).map(|n| place(n, 1_000_000 + number)));
    }
    for n in 0..3 {
        vault.commit(&mut device, &[1_000_000 + n]);
        assert!(vault.segments.len() as u64 <= ROOM + 1);
    }
    vault.assert_complete();
}
