//! Trees that a member's device should never have written: whatever they hold,
//! a restore stays inside its target.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tempfile::TempDir;
use vault_client::check::Problem;
use vault_client::contents::Contents;
use vault_client::error::ErrorCode;
use vault_client::files::{Overwrite, Reason};
use vault_client::platform::Rng;
use vault_client::restore::{RestoreError, RestoreOptions, RestoreReport};
use vault_client::vault::Vault;
use vault_core::catalog::{Catalog, Series, SeriesKind};
use vault_core::chunk::{ChunkId, ChunkKind, ChunkSink, ChunkSource};
use vault_core::chunker::{ChunkSizes, Chunker};
use vault_core::index::{IndexEntry, SegmentBuilder};
use vault_core::keys::VaultKeys;
use vault_core::pack::{FinishedPack, PackBuilder};
use vault_core::seal::Compressor;
use vault_core::snapshot::{SeriesId, Snapshot, SnapshotFields, Totals};
use vault_core::stream::{StreamRef, StreamWriter};
use vault_core::timestamp::Timestamp;
use vault_core::tree::MAX_DEPTH;
use vault_proto::ids::PackId;
use vault_proto::wire::{self, Located, NodeKind, Root, SegmentRef};

use super::{
    Files, SecondDevice, assert_restores, backed_up, checked, content_of, noise, restored_with,
    snapshots,
};
use crate::support::{Member, rng};

/// A device of the member's that writes what it likes, in chunks, packs and an
/// index that are as they should be.
struct Forger {
    member: Member,
    vault: Vault,
    keys: Arc<VaultKeys>,
    pack: PackBuilder,
    written: HashSet<ChunkId>,
    compressor: Compressor,
    rng: Rng,
    snapshots: Vec<StreamRef>,
    /// Changes what the index says.
    misplace: fn(&mut Vec<IndexEntry>),
    /// Segments of the index beside the one that is true, newest last.
    untrue: Vec<Vec<IndexEntry>>,
}

impl ChunkSink for Forger {
    type Error = Infallible;

    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, Infallible> {
        let id = self.keys.chunk_id(kind, plaintext);
        if self.written.insert(id) {
            let (compressor, rng) = (&mut self.compressor, &mut self.rng);
            let pushed = self.pack.push_chunk(kind, &id, plaintext, compressor, rng);
            assert!(pushed.unwrap().is_some(), "one pack holds all of it");
        }
        Ok(id)
    }
}

/// Has nothing: what is begun anew reads nothing.
struct Nothing;

impl ChunkSource for Nothing {
    type Error = &'static str;

    fn read_chunk(&mut self, _: ChunkKind, _: &ChunkId) -> Result<Vec<u8>, &'static str> {
        Err("nothing is there")
    }
}

impl Forger {
    fn new() -> Self {
        let member = Member::new();
        let vault = member.account.create_vault("documents").unwrap();
        let keys = vault.keys().unwrap();
        Self {
            pack: PackBuilder::new(keys.clone(), 1),
            member,
            vault,
            keys,
            written: HashSet::new(),
            compressor: Compressor::default(),
            rng: rng(),
            snapshots: Vec::new(),
            misplace: |_| {},
            untrue: Vec::new(),
        }
    }

    fn stream(&mut self, kind: ChunkKind, bytes: &[u8]) -> StreamRef {
        let keys = self.keys.clone();
        let lists = Chunker::new(keys.metadata_chunker(), ChunkSizes::METADATA);
        let own = match kind {
            ChunkKind::FileData => Chunker::new(keys.file_chunker(), ChunkSizes::FILE_DATA),
            _ => lists.clone(),
        };
        let mut writer = StreamWriter::new(kind, own, lists);
        let Ok(()) = writer.write(bytes, self);
        let Ok(stream) = writer.finish(self);
        stream
    }

    /// A directory of these nodes, in this order, whatever they are.
    fn directory(&mut self, nodes: &[wire::Node]) -> StreamRef {
        let mut bytes = Vec::new();
        for node in nodes {
            node.encode_length_delimited(&mut bytes).unwrap();
        }
        self.stream(ChunkKind::Tree, &bytes)
    }

    fn file(&mut self, name: &[u8], content: &[u8]) -> wire::Node {
        let stream = self.stream(ChunkKind::FileData, content);
        wire::Node {
            content: Some(stream.to_wire()),
            size: content.len() as u64,
            ..node(name, NodeKind::File)
        }
    }

    fn folder(&mut self, name: &[u8], nodes: &[wire::Node]) -> wire::Node {
        let stream = self.directory(nodes);
        wire::Node {
            content: Some(stream.to_wire()),
            mode: 0o755,
            ..node(name, NodeKind::Directory)
        }
    }

    /// One snapshot more, whose `/` holds these nodes.
    fn snapshot(&mut self, nodes: &[wire::Node]) {
        let tree = self.directory(nodes);
        self.snapshots.push(tree);
    }

    /// Commits the snapshots; gives the vault as an honest device of the member's
    /// has it then.
    fn commit(mut self) -> (Member, Vault) {
        let keys = self.keys.clone();
        let lists = || Chunker::new(keys.metadata_chunker(), ChunkSizes::METADATA);
        let cut = || Chunker::new(keys.metadata_chunker(), ChunkSizes::CATALOG);
        let mut catalog = Catalog::EMPTY;
        let id = SeriesId::from_array([7; 16]);
        let series = Series::new(id, "evil".into(), SeriesKind::Backup).unwrap();
        catalog.add_series(series).unwrap();
        // Appending reads what was appended before.
        let mut source = Written::default();
        for tree in std::mem::take(&mut self.snapshots) {
            let snapshot = Snapshot::new(SnapshotFields {
                series: id,
                started: timestamp(),
                finished: timestamp(),
                tree,
                paths: vec![b"/".to_vec()],
                device: self.vault.device(),
                device_name: "evil".into(),
                complete: true,
                totals: Totals::default(),
                left_out: 0,
                program: "evil".into(),
            })
            .unwrap();
            let mut sink = Remembering {
                forger: &mut self,
                written: Written::default(),
            };
            let added = catalog.add_snapshot(&snapshot, cut(), lists(), &mut source, &mut sink);
            let written = sink.written;
            catalog = added.unwrap();
            source.0.extend(written.0);
        }

        let chunks = self.pack.finish(&mut self.rng);
        let mut entries: Vec<_> = chunks
            .entries
            .iter()
            .map(|entry| IndexEntry {
                id: entry.id,
                kind: entry.kind,
                pack: chunks.id,
                epoch: 1,
                pack_size: size(&chunks),
                offset: entry.offset,
                sealed_length: entry.sealed_length,
            })
            .collect();
        (self.misplace)(&mut entries);
        let mut segments = std::mem::take(&mut self.untrue);
        segments.insert(0, entries);
        self.pack = PackBuilder::new(keys.clone(), 1);
        self.written.clear();
        for entries in &segments {
            let mut segment = SegmentBuilder::new();
            for entry in entries {
                segment.add(entry).unwrap();
            }
            let Ok(_) = self.write_chunk(ChunkKind::Index, &segment.encode());
        }
        let Ok(_) = self.write_chunk(ChunkKind::Catalog, &catalog.encode());
        let map = self.pack.finish(&mut self.rng);
        let root = Root {
            minimum_reader: 1,
            minimum_writer: 1,
            committed: Some(timestamp().to_wire()),
            catalog: Some(located(&map, segments.len())),
            segments: segments
                .iter()
                .enumerate()
                .map(|(number, entries)| SegmentRef {
                    at: Some(located(&map, number)),
                    entries: entries.len() as u32,
                })
                .collect(),
            pack_count: 2,
            pack_bytes: u64::from(size(&map)) + u64::from(size(&chunks)),
            ..Root::default()
        };
        let id = self.vault.id();
        let adds = [map.id, chunks.id];
        for pack in [map, chunks] {
            let bytes = Bytes::from(pack.bytes);
            self.vault.remote().put_pack(&id, &pack.id, bytes).unwrap();
        }
        self.member.paper().commit_change(id, &root, &adds, &[]);
        self.vault.refresh().unwrap();
        (self.member, self.vault)
    }
}

/// Chunks of the catalog's, to be read again.
#[derive(Default)]
struct Written(std::collections::HashMap<ChunkId, Vec<u8>>);

impl ChunkSource for Written {
    type Error = &'static str;

    fn read_chunk(&mut self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>, &'static str> {
        self.0
            .get(id)
            .cloned()
            .map_or_else(|| Nothing.read_chunk(kind, id), Ok)
    }
}

struct Remembering<'a> {
    forger: &'a mut Forger,
    written: Written,
}

impl ChunkSink for Remembering<'_> {
    type Error = Infallible;

    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, Infallible> {
        let id = self.forger.write_chunk(kind, plaintext)?;
        self.written.0.insert(id, plaintext.to_vec());
        Ok(id)
    }
}

fn timestamp() -> Timestamp {
    Timestamp::from_wire(&wire::Timestamp::default()).unwrap()
}

pub(super) fn size(pack: &FinishedPack) -> u32 {
    u32::try_from(pack.bytes.len()).unwrap()
}

pub(super) fn located(pack: &FinishedPack, number: usize) -> Located {
    let entry = &pack.entries[number];
    let sealed = &pack.bytes[entry.offset as usize..][..entry.sealed_length as usize];
    Located {
        chunk_id: entry.id.as_bytes().to_vec(),
        pack: pack.id.to_vec(),
        epoch: pack.epoch,
        offset: entry.offset,
        sealed_length: entry.sealed_length,
        sealed_hash: blake3::hash(sealed).as_bytes().to_vec(),
        pack_size: size(pack),
    }
}

fn node(name: &[u8], kind: NodeKind) -> wire::Node {
    wire::Node {
        name: name.to_vec(),
        kind: kind.into(),
        mode: 0o644,
        modified: Some(wire::Timestamp::default()),
        ..wire::Node::default()
    }
}

fn symlink(name: &[u8], target: &str) -> wire::Node {
    wire::Node {
        symlink_target: target.as_bytes().to_vec(),
        ..node(name, NodeKind::Symlink)
    }
}

/// A target, and something beside it that must stay as it is.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.target()).unwrap();
        fs::create_dir(place.outside()).unwrap();
        fs::write(place.outside().join("victim"), b"untouched").unwrap();
        place
    }

    fn target(&self) -> std::path::PathBuf {
        self.0.path().join("target")
    }

    fn outside(&self) -> std::path::PathBuf {
        self.0.path().join("outside")
    }

    fn restore(
        &self,
        vault: &Vault,
        number: usize,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, RestoreError> {
        let snapshot = &snapshots(vault)[number];
        let result = restored_with(vault, snapshot, Path::new("/"), &self.target(), options);
        self.assert_nothing_left();
        result
    }

    /// Nothing was written beside the target, or changed there.
    fn assert_nothing_left(&self) {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["outside", "target"]);
        let outside = content_of(&self.outside());
        assert_eq!(outside.len(), 1);
        assert_eq!(outside["victim"], b"untouched");
        let victim = self.outside().join("victim");
        assert_eq!(victim.metadata().unwrap().nlink(), 1);
        assert_eq!(victim.metadata().unwrap().mode() & 0o7000, 0);
    }
}

fn always() -> RestoreOptions {
    let mut options = RestoreOptions::default();
    options.place.overwrite = Overwrite::Always;
    options
}

/// A check that tells of trees, and does not blame the hoster.
fn assert_told_of(vault: &mut Vault, trees: usize) {
    let report = checked(vault).unwrap();
    let unreadable = |problem: &&Problem| matches!(problem, Problem::TreeUnreadable { .. });
    assert_eq!(report.problems.iter().filter(unreadable).count(), trees);
    assert!(
        !report.problems.iter().any(Problem::is_the_hosters),
        "{report:?}"
    );
}

#[test]
fn what_was_forged_well_is_restored() {
    let mut forger = Forger::new();
    let inner = forger.file(b"letter", b"dear");
    let folder = forger.folder(b"folder", &[inner]);
    let long = noise(1, 1 << 20);
    let file = forger.file(b"long", &long);
    forger.snapshot(&[folder, file]);
    let (_member, mut vault) = forger.commit();
    assert_eq!(checked(&mut vault).unwrap().problems, []);
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    assert_eq!(report.left_out, []);
    let written = content_of(&place.target());
    assert_eq!(written.len(), 2);
    assert_eq!(written["folder/letter"], b"dear");
    assert_eq!(written["long"], long);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let absolute = tempfile::tempdir().unwrap();
    let absolute = absolute.path().join("absolute");
    let names: [&[u8]; 10] = [
        b"",
        b".",
        b"..",
        b"../outside",
        b"../outside/victim",
        b"a/../../outside/victim",
        b"a/b",
        b"nul\0",
        b"/",
        absolute.as_os_str().as_encoded_bytes(),
    ];
    let mut forger = Forger::new();
    for name in names {
        let inner = forger.file(b"victim", b"evil");
        let folder = forger.folder(name, &[inner]);
        forger.snapshot(&[folder]);
        let file = forger.file(name, b"evil");
        forger.snapshot(&[file]);
        forger.snapshot(&[symlink(name, "target")]);
    }
    let (_member, mut vault) = forger.commit();
    for number in 0..3 * names.len() {
        let place = Place::new();
        let error = place.restore(&vault, number, &always()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt, "{number}: {error}");
        assert!(!absolute.exists());
    }
    assert_told_of(&mut vault, 3 * names.len());
}

#[test]
fn names_that_come_twice_or_out_of_order_are_refused() {
    let mut forger = Forger::new();
    let evil = forger.file(b"victim", b"evil");
    let folder = forger.folder(b"door", std::slice::from_ref(&evil));
    let door = symlink(b"door", "../outside");
    forger.snapshot(&[door.clone(), folder.clone()]);
    forger.snapshot(&[folder.clone(), door.clone()]);
    forger.snapshot(&[evil.clone(), evil.clone()]);
    forger.snapshot(&[evil, folder]);
    let (_member, mut vault) = forger.commit();
    for number in 0..4 {
        let place = Place::new();
        let error = place.restore(&vault, number, &always()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt, "{number}: {error}");
    }
    assert_told_of(&mut vault, 4);
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let mut forger = Forger::new();
    // One restore makes the symlinks, the next finds them in its way.
    forger.snapshot(&[
        symlink(b"door", "../outside"),
        symlink(b"victim", "../outside/victim"),
    ]);
    let evil = forger.file(b"victim", b"evil");
    let folder = forger.folder(b"door", std::slice::from_ref(&evil));
    forger.snapshot(&[folder, evil]);
    let (_member, vault) = forger.commit();
    for options in [RestoreOptions::default(), always()] {
        let place = Place::new();
        place.restore(&vault, 0, &options).unwrap();
        assert_eq!(
            fs::read_link(place.target().join("door")).unwrap(),
            Path::new("../outside")
        );
        place.restore(&vault, 1, &options).unwrap();
    }
    // The file takes the place of the symlink, where that was asked for.
    let place = Place::new();
    place.restore(&vault, 0, &always()).unwrap();
    place.restore(&vault, 1, &always()).unwrap();
    let victim = place.target().join("victim");
    assert!(victim.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read(victim).unwrap(), b"evil");
}

#[test]
fn hard_links_lead_nowhere_else() {
    let mut forger = Forger::new();
    let linked = |node: wire::Node| wire::Node {
        hard_link: vec![5; 16],
        ..node
    };
    let evil = forger.file(b"b", b"evil");
    let other = forger.file(b"c", b"other");
    forger.snapshot(&[
        linked(symlink(b"a", "../outside/victim")),
        linked(evil),
        linked(other),
    ]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place.restore(&vault, 0, &always()).unwrap();
    assert_eq!((report.files, report.others), (2, 1));
    let written = content_of(&place.target());
    // Nodes that say that they are one file, and differ, are not.
    assert_eq!(written["b"], b"evil");
    assert_eq!(written["c"], b"other");
}

#[test]
fn privileges_are_not_restored_unasked() {
    let mut forger = Forger::new();
    let file = forger.file(b"shell", b"#!");
    forger.snapshot(&[wire::Node {
        mode: 0o6755,
        ..file
    }]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    assert_eq!(report.dropped_privileges, 1);
    let mode = place
        .target()
        .join("shell")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn special_files_are_not_made_unasked() {
    let mut forger = Forger::new();
    let device = |name: &[u8], kind| wire::Node {
        device_major: 1,
        device_minor: 3,
        ..node(name, kind)
    };
    forger.snapshot(&[
        device(b"block", NodeKind::BlockDevice),
        device(b"character", NodeKind::CharacterDevice),
        node(b"fifo", NodeKind::Fifo),
        node(b"socket", NodeKind::Socket),
    ]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place.restore(&vault, 0, &always()).unwrap();
    let reasons: Vec<_> = report
        .left_out
        .iter()
        .map(|left_out| left_out.reason)
        .collect();
    assert_eq!(reasons, [Reason::SpecialFile; 4]);
    for entry in fs::read_dir(place.target()).unwrap() {
        let kind = entry.unwrap().file_type().unwrap();
        assert!(!kind.is_fifo() && !kind.is_socket());
        assert!(!kind.is_block_device() && !kind.is_char_device());
    }
}

#[test]
fn a_tree_that_is_too_deep_ends() {
    let mut forger = Forger::new();
    let mut nodes = vec![node(b"end", NodeKind::Fifo)];
    for _ in 0..=MAX_DEPTH {
        nodes = vec![forger.folder(b"d", &nodes)];
    }
    forger.snapshot(&nodes);
    let (_member, mut vault) = forger.commit();
    assert_told_of(&mut vault, 1);
    let place = Place::new();
    let error = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
}

/// Each directory names the next one twice: 2^60 nodes in 60 chunks.
#[test]
fn a_tree_that_is_larger_than_anything_is_checked_at_once() {
    let mut forger = Forger::new();
    let mut nodes = vec![forger.file(b"end", b"end")];
    for _ in 0..60 {
        let once = forger.folder(b"a", &nodes);
        let twice = wire::Node {
            name: b"b".to_vec(),
            ..once.clone()
        };
        nodes = vec![once, twice];
    }
    forger.snapshot(&nodes);
    let (_member, mut vault) = forger.commit();
    let report = checked(&mut vault).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.nodes < 200);
}

#[test]
fn a_file_may_claim_any_size() {
    let mut forger = Forger::new();
    let most = i64::MAX as u64;
    let small = forger.file(b"huge", b"small");
    forger.snapshot(&[wire::Node {
        size: most,
        holes: vec![wire::Hole {
            offset: 5,
            length: most - 5,
        }],
        ..small
    }]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    // Left out where the file system has no files that long, a hole elsewhere.
    match place.target().join("huge").metadata() {
        Ok(metadata) => assert!(metadata.blocks() < 1_000),
        Err(_) => assert_eq!(report.left_out.len(), 1),
    }
}

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
