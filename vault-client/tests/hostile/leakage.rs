//! What a hoster learns from what it is given: sizes, ranges, and nothing that
//! tells one content from another.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use prost::Message;
use vault_proto::ids::PackId;
use vault_rpc::hoster::ReadPacksRequest;

use super::scene::Scene;
use crate::engine::{Files, backed_up, noise};

/// Bytes that no two packs have in common but by chance of 2^-128.
const WINDOW: usize = 16;

/// What the hoster sees of a backup and a restore: sizes of packs in the order
/// of their arrival, and ranges that are read.
#[derive(Debug, PartialEq, Eq)]
struct Sight {
    packs: Vec<usize>,
    reads: Vec<(u32, u32)>,
    bytes: usize,
}

impl Scene {
    /// A backup, a restore and a check, as the hoster sees them.
    fn sight_of(files: Files) -> Sight {
        let mut scene = Self::of(files);
        let backup = scene.front().seen();
        scene.front().forget_seen();
        scene.assert_restores_all_but(0);
        scene.check().unwrap();
        let packs = backup.iter().filter(|seen| seen.call == "put_pack");
        let packs: Vec<_> = packs.map(|seen| seen.pack_bytes).collect();
        let seen = scene.front().seen().into_iter();
        let reads = seen
            .filter(|seen| seen.call == "read_packs")
            .flat_map(|seen| ReadPacksRequest::decode(&seen.asked[..]).unwrap().ranges)
            .map(|range| (range.offset, range.length));
        let mut reads: Vec<_> = reads.collect();
        reads.sort_unstable();
        Sight {
            bytes: packs.iter().sum(),
            packs,
            reads,
        }
    }
}

/// Few large files and many small ones, of the same volume once sealed: 21 MiB,
/// well inside what the packs they go into hold.
#[test]
fn two_corpora_of_one_volume_look_alike() {
    const MIB: usize = 1 << 20;
    let large: Vec<_> = (0..3).map(|n| noise(n, 7 * MIB)).collect();
    let names: Vec<_> = (0..3).map(|n| format!("film-{n}")).collect();
    let films: Vec<_> = names.iter().map(String::as_str).zip(large).collect();
    let one = Scene::sight_of(Files::new(&films));
    // Records of the small files take some room; they are so much fewer.
    let other = Scene::sight_of(Files::many(9, 240, 7 * MIB * 3 / 240 - 120));
    let per_mille = one.bytes.abs_diff(other.bytes) * 1_000 / one.bytes;
    assert!(per_mille <= 20, "{} and {} bytes", one.bytes, other.bytes);
    // Both in the same classes of sizes, and nothing else.
    for sight in [&one, &other] {
        assert!(sight.packs.iter().all(|length| length.is_power_of_two()));
        assert!(
            sight
                .packs
                .iter()
                .all(|length| (1 << 14..=1 << 24).contains(length))
        );
    }
}

/// The same content in another vault, and another content of that length: what
/// the hoster sees is one and the same, to the byte.
#[test]
fn a_known_file_looks_like_any_other() {
    let known = || {
        let text = b"a page that the hoster knows by heart, ";
        Files::new(&[("known", noise(1, 900_000)), ("page", text.repeat(3))])
    };
    let other = Files::new(&[("other", noise(2, 900_000)), ("else", noise(3, 117))]);
    let [first, again] = [known(), known()].map(Scene::sight_of);
    assert_eq!(first.packs, again.packs);
    assert_eq!(first.reads, again.reads);
    let other = Scene::sight_of(other);
    assert_eq!(first.packs, other.packs);
    assert_eq!(first.reads, other.reads);
}

#[test]
fn reads_do_not_draw_the_chunks_boundaries() {
    let sight = Scene::sight_of(Files::many(4, 60, 150_000));
    assert!(!sight.reads.is_empty());
    for (offset, length) in sight.reads {
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

/// Names, contents and keys in all that reached the hoster: requests, packs,
/// and every file that its server wrote.
#[test]
fn nothing_that_reached_the_hoster_holds_a_canary() {
    let mut scene = Scene::of(Files::new(&[
        (
            "canary-directory/canary-file",
            b"canary-content ".repeat(300),
        ),
        ("letter", noise(1, 3_000)),
    ]));
    scene.back_up_again();
    scene.assert_restores_all_but(0);
    scene.check().unwrap();
    let (hostile, person) = (&scene.hostile, &scene.person);
    let mut words: Vec<Vec<u8>> = ["canary", "documents", "a laptop", "letter"]
        .map(|word| word.as_bytes().to_vec())
        .to_vec();
    words.push(noise(1, 3_000)[500..532].to_vec());
    let secrets = [
        person.phrase.device_keys().to_secret_bytes(),
        vault_core::keys::DeviceKeys::from_secret_bytes(
            &fs::read(person.home.path().join("device.key")).unwrap(),
        )
        .unwrap()
        .to_secret_bytes(),
    ];
    for secret in &secrets {
        words.extend(secret[..].windows(16).step_by(16).map(<[u8]>::to_vec));
    }
    let mut wrote: Vec<Vec<u8>> = hostile
        .front
        .seen()
        .into_iter()
        .map(|seen| seen.asked)
        .collect();
    wrote.extend(
        hostile
            .front
            .packs()
            .into_values()
            .map(|pack| pack.to_vec()),
    );
    collect(hostile.hoster.data.path(), &mut wrote);
    assert!(wrote.len() > 30);
    for bytes in &wrote {
        for word in &words {
            let found = bytes.windows(word.len()).any(|window| window == &word[..]);
            assert!(!found, "{:?}", String::from_utf8_lossy(word));
        }
    }
    // The search finds what is there: the ids that a hoster does see.
    let id = scene.vault.id().to_vec();
    assert!(
        wrote
            .iter()
            .any(|bytes| bytes.windows(32).any(|at| at == id))
    );
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
