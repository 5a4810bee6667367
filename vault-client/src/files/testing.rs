//! What the tests of this module share.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use vault_core::stream::StreamRef;
use vault_core::timestamp::Timestamp;
use vault_core::tree::{Hole, Metadata, Node, NodeContent, NodeName};
use vault_proto::wire;

use super::*;

/// Runs `work` on a thread to which permissions apply, also if this is root.
pub(super) fn without_privileges<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let run = || {
        let mut sets = capabilities(None).unwrap();
        sets.effective &= !(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        set_capabilities(None, sets).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says past the harness, which would keep it to itself, what cannot be tested on
/// this machine. Where CI runs as root, everything can be.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
pub(super) fn not_tested(what: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!(is_ci && is_root()), "not tested: {what}");
    let told = writeln!(std::io::stderr(), "not tested: {what}");
    told.unwrap();
}

pub(super) fn make_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

pub(super) fn name(name: impl AsRef<[u8]>) -> NodeName {
    NodeName::new(name.as_ref()).unwrap()
}

pub(super) fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp::new(seconds, nanoseconds).unwrap()
}

/// Metadata of whoever runs the tests.
pub(super) fn metadata(mode: u32) -> Metadata {
    Metadata {
        mode,
        modified: time(1_234_567_890, 123_456_789),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        user: Vec::new(),
        group: Vec::new(),
        xattrs: Vec::new(),
    }
}

/// A stream of that length, of chunks that nobody has.
pub(super) fn stream(length: u64) -> StreamRef {
    let chunk = 4 << 20;
    let count = length.div_ceil(chunk);
    let lengths = (0..count).map(|n| (length - n * chunk).min(chunk) as u32);
    let stream = wire::Stream {
        length,
        depth: 0,
        chunk_ids: vec![7; 32 * count as usize],
        lengths: lengths.collect(),
    };
    StreamRef::from_wire(&stream).unwrap()
}

pub(super) fn file_node(file: &str, length: u64, metadata: Metadata) -> Node {
    sparse_node(file, length, length, Vec::new(), metadata)
}

pub(super) fn sparse_node(
    file: &str,
    length: u64,
    size: u64,
    holes: Vec<Hole>,
    metadata: Metadata,
) -> Node {
    let content = NodeContent::File {
        content: stream(length),
        size,
        holes,
    };
    Node::new(name(file), content, metadata).unwrap()
}

pub(super) fn symlink_node(link: &str, target: &str) -> Node {
    let target = target.as_bytes().to_vec();
    Node::new(name(link), NodeContent::Symlink { target }, metadata(0o777)).unwrap()
}

/// Writes a whole file.
pub(super) fn put(directory: &TargetDirectory, node: &Node, contents: &[u8]) -> Result<(), Reason> {
    match directory.plan_file(node)? {
        FilePlacement::Write(file) => {
            file.write_at(0, contents)?;
            file.finish(node.metadata())
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn walk_all(roots: &[&Path], options: WalkOptions) -> Vec<Visited<()>> {
    let roots = Roots::resolve(roots).unwrap();
    Walk::start(&roots, options, |_| ()).unwrap().collect()
}

pub(super) fn on_threads(threads: usize) -> WalkOptions {
    WalkOptions {
        threads: NonZeroUsize::new(threads).unwrap(),
        ahead: 1,
        ..WalkOptions::default()
    }
}

pub(super) fn names<T>(visited: &Visited<T>) -> Vec<String> {
    let names = visited.listing.iter().map(|entry| entry.name.to_vec());
    names.map(|name| String::from_utf8(name).unwrap()).collect()
}

pub(super) fn find<'a, T>(all: &'a [Visited<T>], path: &Path) -> &'a Visited<T> {
    let path = path.as_os_str().as_bytes();
    all.iter().find(|visited| visited.path() == path).unwrap()
}

pub(super) fn left_out<T>(all: &[Visited<T>]) -> Vec<LeftOut> {
    all.iter().flat_map(|v| v.left_out.clone()).collect()
}

/// Copies a tree as a backup and a restore would, without a vault between.
pub(super) fn copy(from: &Directory, to: &TargetDirectory) -> Vec<LeftOut> {
    let owners = OwnerNames::default();
    let mut left_out = Vec::new();
    let listing = from.list(|_, _| true).unwrap();
    for entry in listing.iter() {
        let result = copy_entry(from, entry, to, &owners, &mut left_out);
        if let Err(reason) = result {
            let path = from.path_of(entry.name);
            left_out.push(LeftOut { path, reason });
        }
    }
    left_out
}

fn copy_entry(
    from: &Directory,
    entry: Entry<'_>,
    to: &TargetDirectory,
    owners: &OwnerNames,
    left_out: &mut Vec<LeftOut>,
) -> Result<(), Reason> {
    let node_name = name(entry.name);
    let group = |node: Node| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&entry.stat.id.ino.to_le_bytes());
        if entry.stat.links > 1 {
            node.with_hard_link(id).unwrap()
        } else {
            node
        }
    };
    let node = |content, metadata| group(Node::new(node_name.clone(), content, metadata).unwrap());
    let content = match entry.stat.kind {
        NodeKind::Directory => {
            let (below, stat) = from.open_child(entry.name)?;
            let made = to.make_directory(&node_name)?;
            left_out.extend(copy(&below, &made));
            made.finish(&below.metadata(&stat, owners).metadata);
            return Ok(());
        }
        NodeKind::File => {
            let mut reader = from.open_file(entry.name)?;
            let metadata = reader.metadata(owners).metadata;
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            let read = reader.finish()?;
            let content = NodeContent::File {
                content: stream(bytes.len() as u64),
                size: read.stat.size,
                holes: read.holes.clone(),
            };
            let node = node(content, metadata);
            if let FilePlacement::Write(file) = to.plan_file(&node)? {
                write_around(&file, &bytes, &read.holes);
                file.finish(node.metadata())?;
            }
            return Ok(());
        }
        NodeKind::Symlink => NodeContent::Symlink {
            target: from.read_link(entry.name)?,
        },
        NodeKind::Fifo => NodeContent::Fifo,
        NodeKind::Socket => NodeContent::Socket,
        NodeKind::CharacterDevice => NodeContent::CharacterDevice {
            major: entry.stat.device.0,
            minor: entry.stat.device.1,
        },
        NodeKind::BlockDevice => NodeContent::BlockDevice {
            major: entry.stat.device.0,
            minor: entry.stat.device.1,
        },
    };
    let metadata = from
        .entry_metadata(entry.name, &entry.stat, owners)
        .metadata;
    to.make_other(&node(content, metadata)).map(drop)
}

/// Writes a file's data to where it belongs between the holes.
pub(super) fn write_around(file: &PlannedFile, mut data: &[u8], holes: &[Hole]) {
    let mut offset = 0;
    for hole in holes {
        let (before, rest) = data.split_at((hole.offset - offset) as usize);
        file.write_at(offset, before).unwrap();
        data = rest;
        offset = hole.offset + hole.length;
    }
    file.write_at(offset, data).unwrap();
}
