//! What a hoster learns from what it is given: sizes, ranges, and nothing that
//! tells one content from another.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;

use prost::Message;
use vault_core::chunker::{ChunkSizes, Chunker, ChunkerKeys};
use vault_core::pack::read_pack_entries;
use vault_proto::ids::PackId;
use vault_rpc::hoster::{CommitHeadRequest, PackRange, ReadPacksRequest};

use super::front::Seen;
use super::scene::{Hostile, Person, Scene};
use crate::engine::{Files, assert_restores, backed_up, forget_cache, newest, noise};
use crate::support::rng;

/// Bytes that no two packs have in common but by chance of 2^-128.
const WINDOW: usize = 16;

/// What the hoster sees of a backup, a restore and a check.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sight {
    /// Lengths of packs, in the order of their arrival.
    packs: Vec<usize>,
    /// Offset and length of ranges, ascending.
    reads: Vec<(u32, u32)>,
    /// Calls that asked for them.
    read_calls: usize,
    /// Lengths of sealed roots.
    roots: Vec<usize>,
}

impl Sight {
    /// Of these calls.
    fn of(calls: &[Seen]) -> Self {
        let of_kind = |call: &'static str| calls.iter().filter(move |seen| seen.call == call);
        let ranges = ranges_of(calls).into_iter();
        let mut reads: Vec<_> = ranges.map(|range| (range.offset, range.length)).collect();
        reads.sort_unstable();
        let commits = of_kind("commit_head");
        let commits = commits.map(|seen| CommitHeadRequest::decode(&seen.asked[..]).unwrap());
        Self {
            packs: of_kind("put_pack").map(|seen| seen.pack_bytes).collect(),
            reads,
            read_calls: of_kind("read_packs").count(),
            roots: commits.map(|commit| commit.root.len()).collect(),
        }
    }

    fn packed_bytes(&self) -> usize {
        self.packs.iter().sum()
    }

    fn read_lengths(&self) -> impl Iterator<Item = usize> {
        self.reads.iter().map(|(_, length)| *length as usize)
    }
}

/// What these calls asked for of packs.
fn ranges_of(calls: &[Seen]) -> Vec<PackRange> {
    let reads = calls.iter().filter(|seen| seen.call == "read_packs");
    let asked = reads.map(|seen| ReadPacksRequest::decode(&seen.asked[..]).unwrap());
    asked.flat_map(|request| request.ranges).collect()
}

/// What it sees of each.
struct Sights {
    backup: Sight,
    restore: Sight,
    check: Sight,
}

impl Scene {
    /// A backup, a restore and a check, as the hoster sees them.
    fn sights_of(files: Files) -> Sights {
        let mut scene = Self::of(files);
        let sight = |scene: &Self| {
            let sight = Sight::of(&scene.front().seen());
            scene.front().forget_seen();
            sight
        };
        let backup = sight(&scene);
        scene.assert_restores_all_but(0);
        let restore = sight(&scene);
        scene.check().unwrap();
        let check = sight(&scene);
        Sights {
            backup,
            restore,
            check,
        }
    }
}

/// How many bytes lie in lengths of each class: of up to 2^n bytes, and more than half.
fn bytes_by_class(lengths: impl IntoIterator<Item = usize>) -> BTreeMap<usize, usize> {
    let mut classes = BTreeMap::new();
    for length in lengths {
        *classes.entry(length.next_power_of_two()).or_default() += length;
    }
    classes
}

/// What differs between two histograms, in thousandths of the first.
fn difference(one: &BTreeMap<usize, usize>, other: &BTreeMap<usize, usize>) -> usize {
    let classes: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let bytes = |of: &BTreeMap<usize, usize>, class| of.get(class).copied().unwrap_or(0);
    let apart = classes.into_iter();
    let apart = apart.map(|class| bytes(one, class).abs_diff(bytes(other, class)));
    apart.sum::<usize>() * 1_000 / one.values().sum::<usize>()
}

/// Few large files and many small ones, of the same volume once sealed: 21 MiB,
/// well inside what the packs they go into hold.
#[test]
fn two_corpora_of_one_volume_look_alike() {
    const MIB: usize = 1 << 20;
    let large: Vec<_> = (0..3).map(|n| noise(n, 7 * MIB)).collect();
    let names: Vec<_> = (0..3).map(|n| format!("film-{n}")).collect();
    let films: Vec<_> = names.iter().map(String::as_str).zip(large).collect();
    let one = Scene::sights_of(Files::new(&films));
    // Records of the small files take some room; they are so much fewer.
    let other = Scene::sights_of(Files::many(9, 240, 7 * MIB * 3 / 240 - 120));
    let packs = |sights: &Sights| bytes_by_class(sights.backup.packs.iter().copied());
    assert_alike("packs", &packs(&one), &packs(&other));
    let roots = |sights: &Sights| bytes_by_class(sights.backup.roots.iter().copied());
    assert_alike("roots", &roots(&one), &roots(&other));
    assert_eq!(one.backup.roots.len(), other.backup.roots.len());
    // A check reads whole packs.
    let checked = |sights: &Sights| bytes_by_class(sights.check.read_lengths());
    assert_alike("reads of a check", &checked(&one), &checked(&other));
    assert_eq!(one.check.reads.len(), other.check.reads.len());
    // A restore reads what was wanted of each pack, at once.
    let restored = |sights: &Sights| bytes_by_class(sights.restore.read_lengths());
    assert_alike("reads of a restore", &restored(&one), &restored(&other));
    assert_eq!(one.restore.reads.len(), other.restore.reads.len());
    assert_eq!(one.restore.read_calls, other.restore.read_calls);
    // In the classes of sizes, and nothing else.
    for sights in [&one, &other] {
        let packs = &sights.backup.packs;
        assert!(packs.iter().all(|length| length.is_power_of_two()));
        assert!(
            packs
                .iter()
                .all(|length| (1 << 14..=1 << 24).contains(length))
        );
    }
}

/// Threads store what they are done with first, and a restore goes by the tree.
#[test]
fn a_restore_reads_every_pack_once() {
    let files = Files::many(5, 60, 150_000);
    files.write("film", &noise(6, 40 << 20));
    let scene = Scene::of(files);
    scene.front().forget_seen();
    scene.assert_restores_all_but(0);
    let read = ranges_of(&scene.front().seen());
    let packs: BTreeSet<_> = read.iter().map(|range| &range.pack).collect();
    assert!(packs.len() >= 4, "{read:?}");
    assert_eq!(packs.len(), read.len(), "{read:?}");
}

/// Within 2 %.
#[track_caller]
fn assert_alike(what: &str, one: &BTreeMap<usize, usize>, other: &BTreeMap<usize, usize>) {
    let per_mille = difference(one, other);
    assert!(per_mille <= 20, "{what}: {per_mille}: {one:?}, {other:?}");
}

/// A corpus that is a 50th larger is no longer taken for the same.
#[test]
fn the_comparison_of_corpora_tells_two_that_differ() {
    let packs = |count| bytes_by_class(std::iter::repeat_n(1 << 24, count));
    assert_eq!(difference(&packs(100), &packs(100)), 0);
    assert_eq!(difference(&packs(100), &packs(102)), 20);
    let mut smaller = packs(98);
    smaller.extend(bytes_by_class([1 << 23; 4]));
    assert_eq!(
        difference(&packs(100), &smaller),
        40,
        "the volume is the same"
    );
}

/// Vaults of each kind.
const VAULTS: u64 = 48;
/// Bytes of the file in each: about as many as make its pack one of a class more, so that
/// which class it is depends on how often the file is cut.
fn length_in(number: u64) -> usize {
    (1 << 20) - 1_000 - 30 * number as usize
}

/// How far two samples are apart, from 0 to 1: the greatest distance between their
/// empirical distributions (Kolmogorov, Smirnov).
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let below = |of: &[f64], at: f64| {
        of.iter().filter(|value| **value <= at).count() as f64 / of.len() as f64
    };
    let apart = one.iter().chain(other);
    let apart = apart.map(|at| (below(one, *at) - below(other, *at)).abs());
    apart.fold(0.0, f64::max)
}

/// Whether one tells two samples apart, and errs once in a million times
/// (Massart: P(D > d) <= 2 e^(-2 d² nm / (n + m)); for few values it is less).
fn are_told_apart(one: &[f64], other: &[f64]) -> bool {
    let (n, m) = (one.len() as f64, other.len() as f64);
    let critical = (-(0.5e-6_f64).ln() / 2.0 * (n + m) / (n * m)).sqrt();
    distance(one, other) > critical
}

/// What the hoster sees of one vault with one file, and what it does not: how far from
/// where it would look for it the file was first cut.
struct Sample {
    sight: Sight,
    cut_from_guess: f64,
}

/// Where a hoster would look for the first cut that had keys of its own: some under which
/// the file that it knows is cut early.
fn guess(content: &[u8]) -> usize {
    let known = known_file();
    let chunker = |n| Chunker::new(&ChunkerKeys::new(&[n; 32], &[n; 16]), ChunkSizes::FILE_DATA);
    let mut chunkers = (1..=u8::MAX).map(chunker);
    let chunker = chunkers.find(|chunker| chunker.cut(&known) < 800_000);
    chunker.unwrap().cut(content)
}

/// One vault after the other, each with its own file, or with as much as there is room
/// for of the one that the hoster knows.
fn samples(hostile: &Hostile, person: &Person, content: impl Fn(u64) -> Vec<u8>) -> Vec<Sample> {
    let known = known_file();
    let sample = |number| {
        let content = content(number);
        let files = Files::new(&[("file", content.clone())]);
        let name = format!("vault {number} {}", files.path().display());
        hostile.front.forget_seen();
        let mut vault = person.account.create_vault(&name).unwrap();
        backed_up(&mut vault, &files).unwrap();
        let snapshot = newest(&vault).unwrap();
        forget_cache(&vault);
        assert_restores(&vault, &snapshot, &files);
        let chunker = Chunker::new(vault.keys().unwrap().file_chunker(), ChunkSizes::FILE_DATA);
        let cut = chunker.cut(&content);
        Sample {
            sight: Sight::of(&hostile.front.seen()),
            cut_from_guess: cut.abs_diff(guess(&known[..length_in(number)])) as f64,
        }
    };
    (0..VAULTS).map(sample).collect()
}

fn known_file() -> Vec<u8> {
    noise(1, 1 << 20)
}

fn unknown_file(number: u64) -> Vec<u8> {
    noise(1_000 + number, length_in(number))
}

fn sum(of: impl Iterator<Item = u32>) -> f64 {
    of.map(f64::from).sum()
}

/// A file that the hoster knows, in many vaults, and files that it does not: neither
/// sizes nor places of what is stored and read tell which is which. The vaults differ
/// among themselves, since each cuts elsewhere.
#[test]
fn a_known_file_looks_like_any_other() {
    let hostile = Hostile::start();
    let person = Person::at(&hostile);
    let known = known_file();
    let known = samples(&hostile, &person, |number| {
        known[..length_in(number)].to_vec()
    });
    let unknown = samples(&hostile, &person, unknown_file);
    type Figure = fn(&Sight) -> f64;
    let figures: [(&str, Figure); 5] = [
        ("the largest pack", |sight| {
            *sight.packs.iter().max().unwrap() as f64
        }),
        ("packs", |sight| sight.packs.len() as f64),
        ("the volume of the commits", |sight| {
            (sight.packed_bytes() + sight.roots.iter().sum::<usize>()) as f64
        }),
        ("where is read", |sight| {
            sum(sight.reads.iter().map(|(offset, _)| *offset))
        }),
        ("how much is read", |sight| {
            sum(sight.reads.iter().map(|(_, length)| *length))
        }),
    ];
    let mut varied = Vec::new();
    for (what, figure) in figures {
        let of = |samples: &[Sample]| -> Vec<f64> {
            samples.iter().map(|sample| figure(&sample.sight)).collect()
        };
        let (known, unknown) = (of(&known), of(&unknown));
        let values: BTreeSet<_> = known.iter().chain(&unknown).map(|v| v.to_bits()).collect();
        if values.len() > 1 {
            varied.push(what);
        }
        assert!(
            !are_told_apart(&known, &unknown),
            "{what}: {known:?} {unknown:?}"
        );
    }
    // What never varies tells nothing, and shows nothing either.
    for what in [
        "the largest pack",
        "the volume of the commits",
        "how much is read",
    ] {
        assert!(varied.contains(&what), "{varied:?}");
    }
    // Nor would the cuts themselves, if they showed.
    let cuts = |samples: &[Sample]| samples.iter().map(|s| s.cut_from_guess).collect::<Vec<_>>();
    let values: BTreeSet<_> = cuts(&known).iter().map(|cut| cut.to_bits()).collect();
    assert!(values.len() as u64 > VAULTS / 4);
    assert!(!are_told_apart(&cuts(&known), &cuts(&unknown)));
}

/// The same comparison, of vaults that would all cut with one key and show where: it
/// tells.
#[test]
fn cuts_under_one_key_would_tell_a_known_file() {
    let known = known_file();
    let from_guess =
        |content: &[u8], number| guess(content).abs_diff(guess(&known[..length_in(number)])) as f64;
    let all = 0..VAULTS;
    let same: Vec<_> = all
        .clone()
        .map(|n| from_guess(&known[..length_in(n)], n))
        .collect();
    let other: Vec<_> = all.map(|n| from_guess(&unknown_file(n), n)).collect();
    assert!(are_told_apart(&same, &other), "{}", distance(&same, &other));
    // And it takes no two halves of one sample for two.
    let (half, rest) = other.split_at(other.len() / 2);
    assert!(!are_told_apart(half, rest));
}

#[test]
fn reads_do_not_draw_the_chunks_boundaries() {
    let Sights { restore, check, .. } = Scene::sights_of(Files::many(4, 60, 150_000));
    assert!(!restore.reads.is_empty() && !check.reads.is_empty());
    for (offset, length) in restore.reads.into_iter().chain(check.reads) {
        let end = offset + length;
        assert_eq!(offset % 65_536, 0);
        assert!(
            end % 65_536 == 0 || end.is_power_of_two(),
            "{offset} {length}"
        );
    }
}

fn windows(bytes: &[u8]) -> HashSet<&[u8]> {
    bytes.windows(WINDOW).step_by(WINDOW).collect()
}

fn share_a_substring(one: &[u8], other: &[u8]) -> bool {
    let windows = windows(one);
    other.windows(WINDOW).any(|window| windows.contains(window))
}

/// What is sealed again is sealed anew: no pack has bytes in common with
/// another, though the same chunks are in both.
#[test]
fn packs_that_are_sealed_again_share_no_substring() {
    let mut scene = Scene::small();
    let before: BTreeSet<PackId> = scene.front().packs().into_keys().collect();
    // Uploads that the hoster discards are sealed again.
    scene
        .hostile
        .orders()
        .put_pack
        .instead(|_| Some(Ok(vault_rpc::hoster::PutPackResponse { was_there: false })));
    scene.files.write("new", &noise(99, 9_000));
    backed_up(&mut scene.vault, &scene.files).unwrap_err();
    scene.front().behave();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    let packs = scene.packs();
    let keys = scene.vault.keys().unwrap();
    let id = keys.chunk_id(vault_core::chunk::ChunkKind::FileData, &noise(99, 9_000));
    let holding: Vec<_> = packs
        .iter()
        .filter(|(pack, entries)| {
            !before.contains(pack) && entries.iter().any(|entry| entry.id == id)
        })
        .map(|(pack, _)| scene.front().pack(pack))
        .collect();
    let [one, other] = &holding[..] else {
        panic!(
            "two packs with one chunk in both, and not {}",
            holding.len()
        );
    };
    assert!(!share_a_substring(one, other));
    assert!(share_a_substring(one, one));
}

/// The packs of which two have bytes in common.
fn sharing(packs: &[(PackId, &[u8])]) -> BTreeSet<PackId> {
    let mut windows = HashMap::new();
    for (id, bytes) in packs {
        for window in bytes.windows(WINDOW).step_by(WINDOW) {
            windows
                .entry(window)
                .or_insert_with(BTreeSet::new)
                .insert(*id);
        }
    }
    let mut sharing = BTreeSet::new();
    for (id, bytes) in packs {
        let held = bytes
            .windows(WINDOW)
            .filter_map(|window| windows.get(window));
        if held.flatten().any(|other| other != id) {
            sharing.insert(*id);
        }
    }
    sharing
}

/// What was sealed under the keys of one epoch is sealed anew under those of the next.
#[test]
fn packs_that_are_sealed_again_after_a_rotation_share_no_substring() {
    let mut scene = Scene::small();
    scene
        .hostile
        .orders()
        .put_pack
        .instead(|_| Some(Ok(vault_rpc::hoster::PutPackResponse { was_there: false })));
    scene.files.write("new", &noise(99, 9_000));
    backed_up(&mut scene.vault, &scene.files).unwrap_err();
    scene.front().behave();
    let rotate = |scene: &mut Scene| {
        let paper = scene.person.paper(&scene.hostile);
        paper.append(scene.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
        scene.vault.refresh().unwrap();
    };
    rotate(&mut scene);
    backed_up(&mut scene.vault, &scene.files).unwrap();
    let keys = scene.vault.keys().unwrap();
    assert_eq!(keys.current_epoch(), 2);
    let id = keys.chunk_id(vault_core::chunk::ChunkKind::FileData, &noise(99, 9_000));
    let sent = scene.front().packs();
    let epochs_of = |id| {
        let mut epochs = BTreeSet::new();
        for (pack, bytes) in &sent {
            for epoch in [1, 2] {
                let entries = read_pack_entries(&keys, epoch, pack, bytes).unwrap_or_default();
                if entries.iter().any(|entry| entry.id == id) {
                    epochs.insert(epoch);
                }
            }
        }
        epochs
    };
    assert_eq!(epochs_of(id), BTreeSet::from([1, 2]));
    let packs: Vec<_> = sent.iter().map(|(id, bytes)| (*id, &bytes[..])).collect();
    assert_eq!(sharing(&packs), BTreeSet::new());
}

/// A segment that was merged holds what others held before it.
#[test]
fn packs_with_merged_segments_of_the_index_share_no_substring() {
    let mut scene = Scene::small();
    const BACKUPS: usize = 24;
    for _ in 0..BACKUPS {
        scene.back_up_again();
    }
    let segments = scene.vault.root().unwrap().segments.len();
    assert!(segments < BACKUPS / 2, "nothing was merged: {segments}");
    let held = scene.packs();
    let of_index = held.iter().filter(|(_, entries)| {
        let mut entries = entries.iter();
        entries.any(|entry| entry.kind == vault_core::chunk::ChunkKind::Index)
    });
    assert!(of_index.count() >= BACKUPS);
    let sent = scene.front().packs();
    let packs: Vec<_> = sent.iter().map(|(id, bytes)| (*id, &bytes[..])).collect();
    assert_eq!(sharing(&packs), BTreeSet::new());
}

/// So that the two above can tell.
#[test]
fn packs_with_a_window_in_common_are_told() {
    let [one, other] = [1, 2].map(|seed| noise(seed, 16_384));
    let ids = [&one, &other].map(|bytes| PackId::of(bytes));
    let mut spoilt = other.clone();
    // At no window's beginning.
    spoilt[5_003..5_003 + WINDOW].copy_from_slice(&one[4 * WINDOW..5 * WINDOW]);
    assert_eq!(
        sharing(&[(ids[0], &one), (ids[1], &other)]),
        BTreeSet::new()
    );
    let shared = sharing(&[(ids[0], &one), (ids[1], &spoilt)]);
    assert_eq!(shared, BTreeSet::from([ids[1]]));
}

/// Every file below a directory.
pub(super) fn collect(directory: &Path, wrote: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            collect(&path, wrote);
        } else if kind.is_file() {
            wrote.push(fs::read(&path).unwrap());
        }
    }
}
