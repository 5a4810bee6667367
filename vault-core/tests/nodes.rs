//! Nodes: each has one encoding, and only those that a file system could have
//! given are nodes.

use proptest::prelude::*;
use prost::Message;
use vault_core::stream::{StreamError, StreamRef};
use vault_core::timestamp::Timestamp;
use vault_core::tree::{
    Hole, MAX_NODE_LEN, Metadata, Node, NodeContent, NodeError, NodeName, Xattr,
};
use vault_proto::canonical::DecodeError;
use vault_proto::wire;

pub fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

/// Mode 0644, of no one, from the beginning of 2026.
pub fn metadata() -> Metadata {
    Metadata {
        mode: 0o644,
        modified: Timestamp::new(1_767_225_600, 5).unwrap(),
        uid: 0,
        gid: 0,
        user: Vec::new(),
        group: Vec::new(),
        xattrs: Vec::new(),
    }
}

/// A file without content whose mode says which one it is.
pub fn file(name: &str, mode: u32) -> Node {
    let content = NodeContent::File {
        content: StreamRef::EMPTY,
        size: 0,
        holes: Vec::new(),
    };
    let metadata = Metadata { mode, ..metadata() };
    Node::new(NodeName::new(name).unwrap(), content, metadata).unwrap()
}

pub fn directory(name: &str, content: &StreamRef) -> Node {
    let content = NodeContent::Directory {
        content: content.clone(),
    };
    Node::new(NodeName::new(name).unwrap(), content, metadata()).unwrap()
}

fn any_label() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1_u8.., 0..40)
}

fn any_stream() -> impl Strategy<Value = StreamRef> {
    let in_line = prop::collection::vec((any::<[u8; 32]>(), 1_u32..=4 << 20), 0..=16);
    let in_line = in_line.prop_map(|chunks| wire::Stream {
        length: chunks.iter().map(|(_, length)| u64::from(*length)).sum(),
        depth: 0,
        chunk_ids: chunks.iter().flat_map(|(id, _)| *id).collect(),
        lengths: chunks.iter().map(|(_, length)| *length).collect(),
    });
    let listed = (any::<[u8; 32]>(), 1_u32..=4, 17_u32..1_800, 0_u64..1 << 20);
    let listed = listed.prop_map(|(id, depth, records, more)| wire::Stream {
        length: u64::from(records) + more,
        depth,
        chunk_ids: id.to_vec(),
        lengths: vec![records * 36],
    });
    prop_oneof![in_line, listed].prop_map(|stream| StreamRef::from_wire(&stream).unwrap())
}

fn any_file() -> impl Strategy<Value = NodeContent> {
    let holes = prop::collection::vec((1_u64..50, 1_u64..1 << 40), 0..6);
    (any_stream(), holes, any::<bool>()).prop_map(|(content, holes, begins_with_hole)| {
        let mut stored = content.length();
        let mut end = 0;
        let mut size = content.length();
        let mut kept = Vec::new();
        for (at, (stored_before, length)) in holes.into_iter().enumerate() {
            let gap = if at == 0 && begins_with_hole {
                0
            } else {
                stored_before
            };
            if gap > stored {
                break;
            }
            stored -= gap;
            let offset = end + gap;
            end = offset + length;
            size += length;
            kept.push(Hole { offset, length });
        }
        NodeContent::File {
            content,
            size,
            holes: kept,
        }
    })
}

fn any_content() -> impl Strategy<Value = NodeContent> {
    prop_oneof![
        any_file(),
        any_stream().prop_map(|content| NodeContent::Directory { content }),
        prop::collection::vec(1_u8.., 1..300).prop_map(|target| NodeContent::Symlink { target }),
        Just(NodeContent::Fifo),
        Just(NodeContent::Socket),
        any::<(u32, u32)>()
            .prop_map(|(major, minor)| NodeContent::CharacterDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| NodeContent::BlockDevice { major, minor }),
    ]
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let xattrs = prop::collection::btree_map(
        prop::collection::vec(1_u8.., 1..20),
        prop::collection::vec(any::<u8>(), 0..60),
        0..4,
    );
    (
        0_u32..=0o7777,
        (any::<i64>(), 0_u32..1_000_000_000),
        any::<(u32, u32)>(),
        any_label(),
        any_label(),
        xattrs,
    )
        .prop_map(
            |(mode, (seconds, nanoseconds), (uid, gid), user, group, xattrs)| Metadata {
                mode,
                modified: Timestamp::new(seconds, nanoseconds).unwrap(),
                uid,
                gid,
                user,
                group,
                xattrs: xattrs
                    .into_iter()
                    .map(|(name, value)| Xattr { name, value })
                    .collect(),
            },
        )
}

fn any_name() -> impl Strategy<Value = NodeName> {
    prop::collection::vec(any::<u8>(), 1..30)
        .prop_filter_map("not a name", |name| NodeName::new(name).ok())
}

pub fn any_node() -> impl Strategy<Value = Node> {
    let ids = any::<(Option<[u8; 16]>, Option<[u8; 16]>)>();
    (any_name(), any_content(), any_metadata(), ids).prop_map(
        |(name, content, metadata, (hard_link, node_id))| {
            let mut node = Node::new(name, content, metadata).unwrap();
            if let Some(hard_link) = hard_link.filter(|_| node.directory().is_none()) {
                node = node.with_hard_link(hard_link).unwrap();
            }
            if let Some(node_id) = node_id {
                node = node.with_node_id(node_id).unwrap();
            }
            node
        },
    )
}

proptest! {
    #[test]
    fn a_node_is_read_as_it_was_written(node in any_node()) {
        prop_assert_eq!(Node::decode(&node.encode()), Ok(node));
    }

    #[test]
    fn changed_bytes_are_refused_or_another_node(
        node in any_node(),
        at: prop::sample::Index,
        flip in 1_u8..,
        cut: prop::sample::Index,
    ) {
        let bytes = node.encode();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= flip;
        if let Ok(other) = Node::decode(&flipped) {
            prop_assert_ne!(&other, &node);
            prop_assert_eq!(other.encode(), flipped);
        }
        if let Ok(other) = Node::decode(&bytes[..cut.index(bytes.len())]) {
            prop_assert_ne!(other, node.clone());
        }
        let mut longer = bytes;
        longer.push(flip);
        prop_assert!(Node::decode(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(node) = Node::decode(&bytes) {
            prop_assert_eq!(node.encode(), bytes);
        }
    }
}

#[test]
fn names_are_single_components() {
    for good in [
        &b"a"[..],
        b"...",
        b" ",
        b"\xff\xfe",
        b"a\nb",
        b"-rf",
        &[b'x'; 4_096],
    ] {
        assert_eq!(NodeName::new(good).unwrap().as_bytes(), good);
    }
    for bad in [
        &b""[..],
        b".",
        b"..",
        b"/",
        b"a/b",
        b"a/",
        b"\0",
        b"a\0",
        &[b'x'; 4_097],
    ] {
        assert_eq!(
            NodeName::new(bad),
            Err(NodeError::Name),
            "{}",
            bad.escape_ascii()
        );
    }
}

/// A file's message, changed.
fn changed_file(change: impl FnOnce(&mut wire::Node)) -> Result<Node, NodeError> {
    let mut node = wire::Node::decode(file("f", 0o644).encode().as_slice()).unwrap();
    change(&mut node);
    Node::decode(&node.encode_to_vec())
}

/// A node of `kind` with whatever that kind needs, changed.
fn changed(kind: wire::NodeKind, change: impl FnOnce(&mut wire::Node)) -> Result<Node, NodeError> {
    changed_file(|node| {
        node.kind = kind.into();
        let has_stream = matches!(kind, wire::NodeKind::File | wire::NodeKind::Directory);
        node.content = has_stream.then(wire::Stream::default);
        if kind == wire::NodeKind::Symlink {
            node.symlink_target = b"t".to_vec();
        }
        change(node);
    })
}

const KINDS: [wire::NodeKind; 7] = [
    wire::NodeKind::File,
    wire::NodeKind::Directory,
    wire::NodeKind::Symlink,
    wire::NodeKind::Fifo,
    wire::NodeKind::Socket,
    wire::NodeKind::CharacterDevice,
    wire::NodeKind::BlockDevice,
];

#[test]
fn hostile_names_are_refused() {
    for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &[b'x'; 4_097]] {
        let result = changed_file(|node| node.name = bad.to_vec());
        assert_eq!(result, Err(NodeError::Name), "{}", bad.escape_ascii());
    }
}

#[test]
fn fields_of_another_kind_are_refused() {
    use wire::NodeKind::{BlockDevice, CharacterDevice, Directory, File, Symlink};
    for kind in KINDS {
        assert!(changed(kind, |_| {}).is_ok(), "{kind:?}");
        let refused = |change: fn(&mut wire::Node)| {
            assert_eq!(changed(kind, change), Err(NodeError::Fields), "{kind:?}");
        };
        if matches!(kind, File | Directory) {
            refused(|node| node.content = None);
        } else {
            refused(|node| node.content = Some(wire::Stream::default()));
        }
        if kind != File {
            refused(|node| node.size = 1);
            refused(|node| node.holes = vec![wire::Hole::default()]);
        }
        if kind != Symlink {
            refused(|node| node.symlink_target = b"t".to_vec());
        }
        if !matches!(kind, CharacterDevice | BlockDevice) {
            refused(|node| node.device_major = 1);
            refused(|node| node.device_minor = 1);
        }
    }
}

#[test]
fn unknown_kinds_are_refused() {
    for kind in [0, 8, -1, i32::MAX] {
        let result = changed_file(|node| {
            node.kind = kind;
            node.content = None;
        });
        assert_eq!(result, Err(NodeError::Kind));
    }
}

#[test]
fn hostile_metadata_is_refused() {
    let refused = |change: &dyn Fn(&mut wire::Node)| changed_file(change).unwrap_err();
    assert_eq!(refused(&|node| node.mode = 0o10000), NodeError::Mode);
    assert!(changed_file(|node| node.mode = 0o7777).is_ok());

    let time = |seconds, nanoseconds| {
        Some(wire::Timestamp {
            seconds,
            nanoseconds,
        })
    };
    assert_eq!(refused(&|node| node.modified = None), NodeError::Modified);
    let late = refused(&|node| node.modified = time(0, 1_000_000_000));
    assert_eq!(late, NodeError::Modified);
    assert!(changed_file(|node| node.modified = time(i64::MIN, 999_999_999)).is_ok());

    for bad in [vec![b'u'; 256], b"a\0".to_vec()] {
        assert_eq!(refused(&|node| node.user = bad.clone()), NodeError::Owner);
        assert_eq!(refused(&|node| node.group = bad.clone()), NodeError::Owner);
    }

    let xattrs = |names: &[&[u8]]| {
        let xattr = |name: &&[u8]| wire::ExtendedAttribute {
            name: name.to_vec(),
            value: Vec::new(),
        };
        names.iter().map(xattr).collect::<Vec<_>>()
    };
    assert!(changed_file(|node| node.xattrs = xattrs(&[b"a", b"b"])).is_ok());
    let long = [b'x'; 256];
    for bad in [
        &[&b"b"[..], b"a"][..],
        &[b"a", b"a"],
        &[b""],
        &[b"a\0"],
        &[&long],
    ] {
        assert_eq!(
            refused(&|node| node.xattrs = xattrs(bad)),
            NodeError::Xattrs
        );
    }

    for length in [1, 15, 17, 32] {
        let id = vec![1; length];
        assert_eq!(
            refused(&|node| node.hard_link = id.clone()),
            NodeError::Link
        );
        assert_eq!(refused(&|node| node.node_id = id.clone()), NodeError::Link);
    }
    let linked = changed(wire::NodeKind::Directory, |node| {
        node.hard_link = vec![1; 16]
    });
    assert_eq!(linked, Err(NodeError::Link));
    assert!(changed(wire::NodeKind::Directory, |node| node.node_id = vec![1; 16]).is_ok());
    assert!(changed(wire::NodeKind::Symlink, |node| node.hard_link = vec![1; 16]).is_ok());
}

#[test]
fn hostile_symlinks_are_refused() {
    for bad in [vec![], b"a\0".to_vec(), vec![b'x'; 65_536]] {
        let result = changed(wire::NodeKind::Symlink, |node| node.symlink_target = bad);
        assert_eq!(result, Err(NodeError::Target));
    }
    for good in [
        b"../../etc/passwd".to_vec(),
        b"/".to_vec(),
        vec![b'x'; 65_535],
    ] {
        let result = changed(wire::NodeKind::Symlink, |node| node.symlink_target = good);
        assert!(result.is_ok());
    }
}

#[test]
fn holes_and_content_make_up_the_size() {
    let with = |stored: u64, size, holes: &[(u64, u64)]| {
        changed_file(|node| {
            let chunk = u32::try_from(stored).unwrap();
            node.content = Some(wire::Stream {
                length: stored,
                depth: 0,
                chunk_ids: vec![1; if stored == 0 { 0 } else { 32 }],
                lengths: if stored == 0 { vec![] } else { vec![chunk] },
            });
            node.size = size;
            let hole = |&(offset, length): &(u64, u64)| wire::Hole { offset, length };
            node.holes = holes.iter().map(hole).collect();
        })
        .map(|_| ())
    };
    assert_eq!(with(10, 10, &[]), Ok(()));
    assert_eq!(with(10, 30, &[(0, 5), (6, 15)]), Ok(()));
    assert_eq!(with(0, 1 << 40, &[(0, 1 << 40)]), Ok(()));
    assert_eq!(with(0, i64::MAX as u64, &[(0, i64::MAX as u64)]), Ok(()));
    type Case<'a> = (u64, u64, &'a [(u64, u64)]);
    let bad: &[Case<'_>] = &[
        (10, 11, &[]),
        (10, 9, &[]),
        (10, 10, &[(3, 0)]),
        // beyond the end, overlapping, touching, out of order
        (10, 20, &[(15, 10)]),
        (10, 30, &[(0, 10), (5, 10)]),
        (10, 30, &[(0, 10), (10, 10)]),
        (10, 30, &[(15, 10), (0, 10)]),
        // sums that overflow, and a size that no file system has
        (10, 9, &[(0, u64::MAX)]),
        (10, 20, &[(u64::MAX, 10)]),
        (0, 1 << 63, &[(0, 1 << 63)]),
    ];
    for &(stored, size, holes) in bad {
        assert_eq!(
            with(stored, size, holes),
            Err(NodeError::Holes),
            "{holes:?}"
        );
    }
}

#[test]
fn a_content_that_is_no_stream_is_refused() {
    let lie = wire::Stream {
        length: 5,
        ..wire::Stream::default()
    };
    for kind in [wire::NodeKind::File, wire::NodeKind::Directory] {
        let result = changed(kind, |node| node.content = Some(lie.clone()));
        assert_eq!(result, Err(NodeError::Content(StreamError::Length)));
    }
}

#[test]
fn a_node_has_a_longest_encoding() {
    let with = |value: usize| {
        let xattrs = vec![Xattr {
            name: b"user.x".to_vec(),
            value: vec![7; value],
        }];
        let content = NodeContent::Fifo;
        Node::new(
            name("n"),
            content,
            Metadata {
                xattrs,
                ..metadata()
            },
        )
    };
    let overhead = with(200_000).unwrap().encode().len() - 200_000;
    let longest = with(MAX_NODE_LEN - overhead).unwrap();
    assert_eq!(longest.encode().len(), MAX_NODE_LEN);
    assert_eq!(Node::decode(&longest.encode()), Ok(longest.clone()));
    assert_eq!(with(MAX_NODE_LEN - overhead + 1), Err(NodeError::TooLong));
    assert_eq!(longest.with_node_id([1; 16]), Err(NodeError::TooLong));
    let limit = MAX_NODE_LEN;
    assert_eq!(
        Node::decode(&vec![0; MAX_NODE_LEN + 1]),
        Err(NodeError::Encoding(DecodeError::TooLong { limit }))
    );
}
