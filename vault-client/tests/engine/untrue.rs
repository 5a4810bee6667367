//! Lists, indexes and chunks that a member's device should never have written: nothing of
//! them is taken for what it is not, and no backup stops.

use prost::Message;
use vault_client::check::Problem;
use vault_client::contents::Contents;
use vault_client::error::ErrorCode;
use vault_client::files::Reason;
use vault_client::restore::RestoreOptions;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::index::IndexEntry;
use vault_proto::ids::PackId;
use vault_proto::wire;
use vault_proto::wire::{NodeKind, SegmentRef};

use super::forger::{Forger, node};
use super::hostile::{Place, assert_told_of};
use super::{
    Files, SecondDevice, assert_restores, backed_up, checked, content_of, noise, snapshots,
};

#[test]
fn chunks_that_are_not_as_long_as_named_are_not_written() {
    for (claimed, actual) in [(5_000_u32, 4_000_usize), (3_000, 4_000)] {
        let mut forger = Forger::new();
        let mut first = forger.file(b"first", &noise(1, actual));
        first.size = u64::from(claimed);
        let content = first.content.as_mut().unwrap();
        (content.length, content.lengths[0]) = (u64::from(claimed), claimed);
        let second = forger.file(b"second", b"as it should be");
        forger.snapshot(&[first, second]);
        let (_member, vault) = forger.commit();
        let place = Place::new();
        let report = place
            .restore(&vault, 0, &RestoreOptions::default())
            .unwrap();
        assert_eq!(report.left_out.len(), 1);
        assert_eq!(report.left_out[0].reason, Reason::Incomplete);
        // A member's device has written it so.
        assert_eq!(report.lost_by_hoster, 0);
        let written = content_of(&place.target());
        assert_eq!(written.keys().collect::<Vec<_>>(), ["second"]);

        let contents = Contents::open(&vault).unwrap();
        let snapshot = contents.snapshot("latest", None).unwrap().snapshot;
        let mut output = Vec::new();
        let read = contents.read_file(&snapshot, b"/first", &mut output);
        assert_eq!(read.unwrap_err().code(), ErrorCode::Corrupt);
        assert_eq!(output.len(), 0);
    }
}

#[test]
fn a_file_does_not_consist_of_trees() {
    let mut forger = Forger::new();
    let inner = forger.file(b"inner", b"inner");
    let folder = forger.folder(b"folder", &[inner]);
    let size = folder.content.as_ref().unwrap().length;
    let file = wire::Node {
        content: folder.content.clone(),
        size,
        ..node(b"file", NodeKind::File)
    };
    forger.snapshot(&[file, folder]);
    let (_member, mut vault) = forger.commit();
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    assert_eq!(report.left_out.len(), 1);
    assert_eq!(report.lost_by_hoster, 0);
    let written = content_of(&place.target());
    assert_eq!(written.keys().collect::<Vec<_>>(), ["folder/inner"]);
    let problems = checked(&mut vault).unwrap().problems;
    assert!(
        matches!(problems[..], [Problem::ChunkUnknown { .. }]),
        "{problems:?}"
    );
    let contents = Contents::open(&vault).unwrap();
    let snapshot = contents.snapshot("latest", None).unwrap().snapshot;
    let read = contents.read_file(&snapshot, b"/file", &mut Vec::new());
    assert_eq!(read.unwrap_err().code(), ErrorCode::Corrupt);
}

#[test]
fn a_directory_does_not_consist_of_files() {
    let mut forger = Forger::new();
    let inner = forger.file(b"inner", b"inner");
    let nodes = inner.encode_length_delimited_to_vec();
    let file = forger.file(b"file", &nodes);
    let folder = wire::Node {
        content: file.content.clone(),
        ..node(b"folder", NodeKind::Directory)
    };
    forger.snapshot(&[file, folder]);
    let (_member, mut vault) = forger.commit();
    let place = Place::new();
    let error = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
    assert_told_of(&mut vault, 1);
}

/// An index that says of one chunk that it stands where another does.
#[test]
fn a_chunk_is_not_taken_for_another() {
    let mut forger = Forger::new();
    forger.misplace = |entries| {
        let data: Vec<_> = (0..entries.len())
            .filter(|at| entries[*at].kind == ChunkKind::FileData)
            .collect();
        let [one, other] = data[..] else {
            panic!("two files");
        };
        let offset = entries[one].offset;
        entries[one].offset = entries[other].offset;
        entries[other].offset = offset;
    };
    let files = [1, 2].map(|n| forger.file(&[b'0' + n as u8], &noise(n, 1_000)));
    forger.snapshot(&files);
    let (_member, mut vault) = forger.commit();
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    assert_eq!(report.left_out.len(), 2);
    assert_eq!(content_of(&place.target()).len(), 0);
    let problems = checked(&mut vault).unwrap().problems;
    assert!(
        matches!(problems[..], [Problem::PackMalformed(_)]),
        "{problems:?}"
    );
}

#[test]
fn a_chunk_that_does_not_open_is_found_by_a_check() {
    let mut forger = Forger::new();
    let file = forger.file(b"file", b"as it should be");
    forger.snapshot(&[file]);
    let id = ChunkId::from_array([9; 32]);
    forger
        .pack
        .push(ChunkKind::FileData, &id, &noise(1, 100))
        .unwrap();
    let (_member, mut vault) = forger.commit();
    let problems = checked(&mut vault).unwrap().problems;
    assert!(
        matches!(problems[..], [Problem::PackMalformed(_)]),
        "{problems:?}"
    );
}

/// An entry of a pack that nobody has, of ids that shrink when they are sealed.
fn entry_of_nothing(number: u32) -> IndexEntry {
    let mut id = [0xff; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    IndexEntry {
        id: ChunkId::from_array(id),
        kind: ChunkKind::FileData,
        pack: PackId::from_array(id),
        epoch: 1,
        pack_size: 1 << 24,
        offset: 0,
        sealed_length: 100,
    }
}

/// A backup beside these segments, of `count` files, as if they were not there.
#[track_caller]
fn assert_backs_up_beside(untrue: Vec<Vec<IndexEntry>>, count: usize) {
    let mut forger = Forger::new();
    let file = forger.file(b"file", b"true");
    forger.snapshot(&[file]);
    let largest = untrue.iter().map(Vec::len).max().unwrap();
    forger.untrue = untrue;
    let (member, mut vault) = forger.commit();
    let files = Files::many(1, count, 50);
    backed_up(&mut vault, &files).unwrap();
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    // They were among those that it has merged.
    let after = member.paper().look(vault.id()).root.segments;
    let is_merged = |segment: &SegmentRef| segment.entries as usize > largest;
    assert!(after.iter().any(is_merged), "{after:?}");
    // Another device reads what was written.
    let second = SecondDevice::of(&member);
    let vault = second.vault();
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
}

#[test]
fn segments_that_contradict_each_other_stop_no_backup() {
    let larger = |number| IndexEntry {
        pack_size: 1 << 23,
        ..entry_of_nothing(number)
    };
    let later = |number| IndexEntry {
        id: larger(number + 1_000).id,
        epoch: 2,
        ..entry_of_nothing(number)
    };
    assert_backs_up_beside(
        vec![
            (0..200).map(entry_of_nothing).collect(),
            (0..200).map(larger).collect(),
            (0..200).map(later).collect(),
        ],
        200,
    );
}

/// Whoever merges these goes by their sealed bytes, and gets more than a segment
/// holds.
#[test]
fn segments_that_grow_together_stop_no_backup() {
    let half = |number: u32| (number * 90_000..(number + 1) * 90_000).map(entry_of_nothing);
    assert_backs_up_beside(vec![half(0).collect(), half(1).collect()], 4_000);
}
