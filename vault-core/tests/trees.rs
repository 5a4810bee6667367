//! Trees: written, read, walked, compared; and hostile ones, which end.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vault_core::chunk::{ChunkId, ChunkKind, ChunkSource};
use vault_core::stream::{ReadError, StreamError, StreamRef};
use vault_core::tree::{
    AddError, Change, Diff, DirectoryReader, DirectoryWriter, MAX_DEPTH, Metadata, Node, NodeError,
    Step, TreeError, Walk, Xattr, resolve,
};
use vault_proto::wire;

use crate::memory::{Memory, MemoryError, SmallChunks, write_small};
use crate::nodes::{any_node, directory, file, name};

type Error = TreeError<MemoryError>;

fn write_directory<'a>(nodes: impl IntoIterator<Item = &'a Node>, memory: &Memory) -> StreamRef {
    let mut writer = DirectoryWriter::new(SmallChunks::LISTS);
    for node in nodes {
        writer.add(node, &mut memory.clone()).unwrap();
    }
    writer.finish(&mut memory.clone()).unwrap()
}

fn read_directory(stream: &StreamRef, memory: &Memory) -> Result<Vec<Node>, Error> {
    let mut reader = DirectoryReader::new(stream);
    let mut nodes = Vec::new();
    while let Some(node) = reader.next(&mut memory.clone())? {
        nodes.push(node);
    }
    assert_eq!(reader.next(&mut memory.clone()), Ok(None));
    Ok(nodes)
}

/// Directories as a map of paths, which end in a slash when they have nodes of
/// their own.
type Files<'a> = &'a [&'a str];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    File(u32),
    Directory(BTreeMap<String, Entry>),
}

fn write_tree(entries: &BTreeMap<String, Entry>, memory: &Memory) -> StreamRef {
    let nodes: Vec<_> = entries
        .iter()
        .map(|(name, entry)| match entry {
            Entry::File(mode) => file(name, *mode),
            Entry::Directory(entries) => directory(name, &write_tree(entries, memory)),
        })
        .collect();
    write_directory(&nodes, memory)
}

/// A tree of the files at `paths`.
fn tree_of(paths: Files<'_>) -> BTreeMap<String, Entry> {
    let mut root = BTreeMap::new();
    for path in paths {
        let mut entries = &mut root;
        let mut components = path.split('/').peekable();
        while let Some(component) = components.next() {
            if components.peek().is_none() {
                entries.insert(component.to_owned(), Entry::File(0o600));
                break;
            }
            let entry = entries
                .entry(component.to_owned())
                .or_insert_with(|| Entry::Directory(BTreeMap::new()));
            let Entry::Directory(inner) = entry else {
                panic!("a file and a directory at {path}")
            };
            entries = inner;
        }
    }
    root
}

fn any_tree() -> impl Strategy<Value = BTreeMap<String, Entry>> {
    let leaf = (0_u32..3).prop_map(Entry::File);
    let entry = leaf.prop_recursive(4, 60, 6, |entry| {
        prop::collection::btree_map("[a-e]{1,2}", entry, 0..6).prop_map(Entry::Directory)
    });
    prop::collection::btree_map("[a-e]{1,2}", entry, 0..6)
}

fn joined(path: &[vault_core::tree::NodeName]) -> String {
    let names = path
        .iter()
        .map(|name| String::from_utf8_lossy(name.as_bytes()));
    names.collect::<Vec<_>>().join("/")
}

/// Every node of a tree by path.
fn flatten(tree: &StreamRef, memory: &Memory) -> BTreeMap<String, Node> {
    let mut walk = Walk::new(tree);
    let mut nodes = BTreeMap::new();
    while let Some(step) = walk.next(&mut memory.clone()).unwrap() {
        if let Step::Node(node) = step {
            assert_eq!(nodes.insert(joined(walk.path()), node), None);
        }
    }
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_directory_is_read_as_it_was_written(nodes in prop::collection::vec(any_node(), 0..60)) {
        let nodes: BTreeMap<_, _> = nodes
            .into_iter()
            .map(|node| (node.name().clone(), node))
            .collect();
        let memory = Memory::new();
        let stream = write_directory(nodes.values(), &memory);
        prop_assert!(read_directory(&stream, &memory).unwrap().iter().eq(nodes.values()));
    }

    #[test]
    fn whatever_bytes_a_directory_has_it_is_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        node in any_node(),
        at: prop::sample::Index,
        flip in 1_u8..,
    ) {
        let memory = Memory::new();
        let _ = read_directory(&write_small(ChunkKind::Tree, &bytes, &memory), &memory);

        let mut bytes = record(&node);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let stream = write_small(ChunkKind::Tree, &bytes, &memory);
        if let Ok(nodes) = read_directory(&stream, &memory) {
            prop_assert!(!nodes.contains(&node));
            prop_assert_eq!(write_directory(&nodes, &memory).length(), stream.length());
        }
    }

    #[test]
    fn a_walk_comes_to_every_node_once(entries in any_tree()) {
        let memory = Memory::new();
        let tree = write_tree(&entries, &memory);
        let mut expected = Vec::new();
        expect_steps("", &entries, &mut expected);
        let mut walk = Walk::new(&tree);
        let mut steps = Vec::new();
        while let Some(step) = walk.next(&mut memory.clone()).unwrap() {
            let (node, leaves) = match &step {
                Step::Node(node) => (node, false),
                Step::Leave(node) => (node, true),
            };
            prop_assert_eq!(walk.path().last(), Some(node.name()));
            steps.push((joined(walk.path()), leaves));
        }
        prop_assert_eq!(walk.next(&mut memory.clone()), Ok(None));
        prop_assert_eq!(steps, expected);
    }

    #[test]
    fn a_difference_is_what_leads_from_one_tree_to_the_other(
        before in any_tree(),
        after in any_tree(),
    ) {
        let memory = Memory::new();
        let (before, after) = (write_tree(&before, &memory), write_tree(&after, &memory));
        let (old, new) = (flatten(&before, &memory), flatten(&after, &memory));
        let mut expected = Vec::new();
        for (path, node) in &old {
            let change = match new.get(path) {
                Some(same) if same == node => continue,
                Some(other) if other.directory().is_some() == node.directory().is_some() => {
                    Change::Modified { before: node.clone(), after: other.clone() }
                }
                _ => Change::Removed(node.clone()),
            };
            expected.push((path.clone(), change));
        }
        for (path, node) in &new {
            let same_kind = |old: &Node| old.directory().is_some() == node.directory().is_some();
            if !old.get(path).is_some_and(same_kind) {
                expected.push((path.clone(), Change::Added(node.clone())));
            }
        }
        let mut diff = Diff::new(&before, &after);
        let mut changes = Vec::new();
        while let Some(change) = diff.next(&mut memory.clone()).unwrap() {
            changes.push((joined(diff.path()), change));
        }
        let key = |(path, change): &(String, Change)| {
            (path.clone(), matches!(change, Change::Added(_)))
        };
        expected.sort_by_key(key);
        changes.sort_by_key(key);
        prop_assert_eq!(changes, expected);
    }
}

fn expect_steps(prefix: &str, entries: &BTreeMap<String, Entry>, steps: &mut Vec<(String, bool)>) {
    for (name, entry) in entries {
        let path = format!("{prefix}{name}");
        steps.push((path.clone(), false));
        if let Entry::Directory(inner) = entry {
            expect_steps(&format!("{path}/"), inner, steps);
            steps.push((path, true));
        }
    }
}

fn record(node: &Node) -> Vec<u8> {
    let encoded = node.encode();
    let mut record = Vec::new();
    prost::encoding::encode_varint(encoded.len() as u64, &mut record);
    record.extend(encoded);
    record
}

#[test]
fn nodes_are_added_in_order() {
    let memory = Memory::new();
    let mut writer = DirectoryWriter::new(SmallChunks::LISTS);
    let mut add = |name| writer.add(&file(name, 0), &mut memory.clone());
    assert_eq!(add("b"), Ok(()));
    assert_eq!(add("b"), Err(AddError::NotAscending));
    assert_eq!(add("a"), Err(AddError::NotAscending));
    assert_eq!(add("b\u{1}"), Ok(()));
    let stream = writer.finish(&mut memory.clone()).unwrap();
    assert_eq!(read_directory(&stream, &memory).unwrap().len(), 2);
}

#[test]
fn hostile_directories_are_refused() {
    let memory = Memory::new();
    let read = |bytes: &[u8]| {
        read_directory(&write_small(ChunkKind::Tree, bytes, &memory), &memory).map(|n| n.len())
    };
    let [a, b] = ["a", "b"].map(|name| record(&file(name, 0)));
    assert_eq!(read(&[&a[..], &b].concat()), Ok(2));
    assert_eq!(read(&[&b[..], &a].concat()), Err(TreeError::NotAscending));
    assert_eq!(read(&[&a[..], &a].concat()), Err(TreeError::NotAscending));

    let bad_record = Err(TreeError::Read(ReadError::Stream(StreamError::Record)));
    // A record that ends early, one of no bytes, lengths too great, too long a
    // length, and a length that ends early.
    assert_eq!(read(&a[..a.len() - 1]), bad_record);
    assert_eq!(read(&[&a[..], &[0]].concat()), bad_record);
    assert_eq!(read(&[0x81, 0x80, 0x10]), bad_record);
    assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), bad_record);
    assert_eq!(read(&[&a[..], &[0x80]].concat()), bad_record);
    // All of a record that is too long.
    let long = [&[0x81, 0x80, 0x10][..], &[0; (256 << 10) + 1]].concat();
    assert_eq!(read(&long), bad_record);
    let padded = [&[a[0] | 0x80, 0][..], &a[1..]].concat();
    assert_eq!(read(&padded), bad_record);

    let mut evil = wire::Node {
        name: b"..".to_vec(),
        kind: wire::NodeKind::Fifo.into(),
        modified: Some(wire::Timestamp::default()),
        ..wire::Node::default()
    };
    let mut write = |name: &[u8]| {
        evil.name = name.to_vec();
        prost::Message::encode_length_delimited_to_vec(&evil)
    };
    assert_eq!(read(&write(b"...")), Ok(1));
    for bad in [&b".."[..], b"/etc/passwd", b"", b"a\0"] {
        assert_eq!(read(&write(bad)), Err(TreeError::Node(NodeError::Name)));
    }
}

#[test]
fn a_path_leads_to_its_node() {
    let memory = Memory::new();
    let tree = write_tree(&tree_of(&["etc/a/b", "etc/a/c", "etc/z", "usr"]), &memory);
    let find = |path: &str| {
        let components: Vec<_> = path.split('/').map(name).collect();
        resolve(&tree, &components, &mut memory.clone()).unwrap()
    };
    for path in ["etc", "etc/a", "etc/a/b", "etc/a/c", "etc/z", "usr"] {
        let node = find(path).unwrap();
        assert_eq!(node.name(), &name(path.rsplit('/').next().unwrap()));
        assert_eq!(node.directory().is_some(), ["etc", "etc/a"].contains(&path));
    }
    for absent in ["e", "etd", "zzz", "etc/a/b/c", "usr/a", "etc/a/d"] {
        assert_eq!(find(absent), None, "{absent}");
    }
    assert_eq!(resolve(&tree, &[], &mut memory.clone()), Ok(None));
}

#[test]
fn a_walk_leaves_out_what_it_is_told_to() {
    let memory = Memory::new();
    let tree = write_tree(&tree_of(&["a/b/c", "a/d", "e/f", "g"]), &memory);
    let mut walk = Walk::new(&tree);
    let mut paths = Vec::new();
    while let Some(step) = walk.next(&mut memory.clone()).unwrap() {
        let path = joined(walk.path());
        if ["a/b", "e", "g"].contains(&path.as_str()) {
            walk.skip();
        }
        paths.push((path, matches!(step, Step::Leave(_))));
    }
    let paths: Vec<_> = paths
        .iter()
        .map(|(path, leaves)| (path.as_str(), *leaves))
        .collect();
    let expected = [
        ("a", false),
        ("a/b", false),
        ("a/d", false),
        ("a", true),
        ("e", false),
        ("g", false),
    ];
    assert_eq!(paths, expected);
}

#[test]
fn equal_subtrees_are_not_read() {
    let memory = Memory::new();
    let before = write_tree(&tree_of(&["a/b/c", "a/d", "e/f"]), &memory);
    let after = write_tree(&tree_of(&["a/b/c", "a/d", "e/f", "e/g"]), &memory);
    memory.take_reads();
    let mut diff = Diff::new(&before, &after);
    let mut paths = Vec::new();
    while diff.next(&mut memory.clone()).unwrap().is_some() {
        paths.push(joined(diff.path()));
    }
    assert_eq!(paths, ["e", "e/g"]);
    // Both roots, of two chunks each, and both `e`.
    assert_eq!(memory.take_reads(), 6);

    assert_eq!(
        Diff::new(&after, &after).next(&mut memory.clone()),
        Ok(None)
    );
    assert_eq!(memory.take_reads(), 0);
}

#[test]
fn a_file_in_place_of_a_directory_is_a_removal_and_an_addition() {
    let memory = Memory::new();
    let with_directory = write_tree(&tree_of(&["x/a"]), &memory);
    let with_file = write_tree(&tree_of(&["x"]), &memory);
    let changes = |before, after| {
        let mut diff = Diff::new(before, after);
        let mut changes = Vec::new();
        while let Some(change) = diff.next(&mut memory.clone()).unwrap() {
            changes.push((joined(diff.path()), matches!(change, Change::Added(_))));
        }
        changes
    };
    let expect = |changes: &[(&str, bool)]| {
        changes
            .iter()
            .map(|(path, added)| ((*path).to_owned(), *added))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        changes(&with_directory, &with_file),
        expect(&[("x", false), ("x/a", false), ("x", true)])
    );
    assert_eq!(
        changes(&with_file, &with_directory),
        expect(&[("x", false), ("x", true), ("x/a", true)])
    );
}

/// `depth` directories inside each other, each with a file before and after
/// the next.
fn chain(depth: usize, memory: &Memory) -> StreamRef {
    (1..depth).fold(StreamRef::EMPTY, |inner, _| {
        let nodes = [file("a", 0), directory("m", &inner), file("z", 0)];
        write_directory(&nodes, memory)
    })
}

#[test]
fn a_deep_tree_is_walked_without_keeping_all_of_it() {
    let memory = Memory::new();
    let depth = 100;
    let tree = chain(depth, &memory);
    memory.take_reads();
    let nodes = flatten(&tree, &memory);
    assert_eq!(nodes.len(), 3 * (depth - 1));
    // Every directory but the innermost is a chunk, and those further out are
    // read again on the way back.
    let reads = memory.take_reads();
    assert!((depth + 50..2 * depth).contains(&reads), "{reads}");

    let mut diff = Diff::new(&StreamRef::EMPTY, &tree);
    let mut changes = 0;
    while diff.next(&mut memory.clone()).unwrap().is_some() {
        changes += 1;
    }
    assert_eq!(changes, 3 * (depth - 1));
    let reads = memory.take_reads();
    assert!((depth + 50..2 * depth).contains(&reads), "{reads}");
}

fn walk_all(
    tree: &StreamRef,
    source: &mut impl ChunkSource<Error = MemoryError>,
) -> Result<usize, Error> {
    let mut walk = Walk::new(tree);
    let mut steps = 0;
    while walk.next(source)?.is_some() {
        steps += 1;
    }
    Ok(steps)
}

fn diff_all(
    tree: &StreamRef,
    source: &mut impl ChunkSource<Error = MemoryError>,
) -> Result<usize, Error> {
    let mut diff = Diff::new(&StreamRef::EMPTY, tree);
    let mut changes = 0;
    while diff.next(source)?.is_some() {
        changes += 1;
    }
    Ok(changes)
}

#[test]
fn a_tree_has_a_greatest_depth() {
    let mut memory = Memory::new();
    // The root is at depth 0; its nodes are at depth 1.
    let deepest = chain(MAX_DEPTH + 1, &memory);
    assert_eq!(walk_all(&deepest, &mut memory), Ok(4 * MAX_DEPTH));
    assert_eq!(diff_all(&deepest, &mut memory), Ok(3 * MAX_DEPTH));
    let too_deep = chain(MAX_DEPTH + 2, &memory);
    assert_eq!(walk_all(&too_deep, &mut memory), Err(TreeError::TooDeep));
    assert_eq!(diff_all(&too_deep, &mut memory), Err(TreeError::TooDeep));
}

/// Directories whose attributes stand in chunks that all of them share would take
/// gigabytes of whoever keeps those on the way.
#[test]
fn a_way_of_large_nodes_ends() {
    let memory = Memory::new();
    let heavy = |inner: &StreamRef| {
        let plain = directory("m", inner);
        let xattrs = (0..10_000_u32).map(|number| Xattr {
            name: format!("user.{number:05}").into_bytes(),
            value: Vec::new(),
        });
        let metadata = Metadata {
            xattrs: xattrs.collect(),
            ..plain.metadata().clone()
        };
        Node::new(plain.name().clone(), plain.content().clone(), metadata).unwrap()
    };
    let chain = |depth: usize| {
        (1..depth).fold(StreamRef::EMPTY, |inner, _| {
            write_directory(&[heavy(&inner)], &memory)
        })
    };
    let (few, many) = (chain(12), chain(60));
    assert_eq!(walk_all(&few, &mut memory.clone()), Ok(22));
    assert_eq!(
        walk_all(&many, &mut memory.clone()),
        Err(TreeError::WayTooLarge)
    );
    // Those that were left count no more.
    let mut walk = Walk::new(&few);
    let mut source = memory.clone();
    for _ in 0..2_000 {
        if walk.next(&mut source).unwrap().is_none() {
            walk = Walk::new(&few);
        }
    }
}

/// No hash gives such a tree, but a source may give anything.
#[test]
fn a_directory_that_holds_itself_ends() {
    struct Same(Vec<u8>);
    impl ChunkSource for Same {
        type Error = MemoryError;

        fn read_chunk(&mut self, _: ChunkKind, _: &ChunkId) -> Result<Vec<u8>, MemoryError> {
            Ok(self.0.clone())
        }
    }
    let itself = |length: u32| {
        StreamRef::from_wire(&wire::Stream {
            length: length.into(),
            depth: 0,
            chunk_ids: vec![7; 32],
            lengths: vec![length],
        })
        .unwrap()
    };
    let (tree, bytes) = (1..200)
        .map(|length| (itself(length), record(&directory("d", &itself(length)))))
        .find(|(tree, bytes)| tree.length() == bytes.len() as u64)
        .expect("a length that is its own record's");
    let mut source = Same(bytes);
    assert_eq!(walk_all(&tree, &mut source), Err(TreeError::TooDeep));
    assert_eq!(diff_all(&tree, &mut source), Err(TreeError::TooDeep));
    let path = vec![name("d"); 3_000];
    assert!(resolve(&tree, &path, &mut source).unwrap().is_some());
}

#[test]
fn a_source_that_fails_now_and_then_loses_no_node() {
    let memory = Memory::new();
    let tree = chain(40, &memory);
    let nodes = flatten(&tree, &memory);
    memory.make_flaky();
    let mut walk = Walk::new(&tree);
    let mut diff = Diff::new(&StreamRef::EMPTY, &tree);
    let mut walked = 0;
    loop {
        match walk.next(&mut memory.clone()) {
            Ok(Some(Step::Node(node))) => {
                assert_eq!(nodes[&joined(walk.path())], node);
                walked += 1;
            }
            Ok(Some(Step::Leave(_))) | Err(TreeError::Read(ReadError::Source(_))) => {}
            Ok(None) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut added = 0;
    loop {
        match diff.next(&mut memory.clone()) {
            Ok(Some(change)) => {
                assert_eq!(Change::Added(nodes[&joined(diff.path())].clone()), change);
                added += 1;
            }
            Err(TreeError::Read(ReadError::Source(_))) => {}
            Ok(None) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((walked, added), (nodes.len(), nodes.len()));
}
