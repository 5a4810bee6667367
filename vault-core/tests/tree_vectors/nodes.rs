//! Nodes.

use prost::Message;
use serde_json::{Value, json};
use vault_core::stream::StreamRef;
use vault_core::timestamp::Timestamp;
use vault_core::tree::{Hole, Metadata, Node, NodeContent, NodeName, Xattr};
use vault_proto::wire;

use super::{Described, File, Vector, changed, hex, refused, streams::stream_of, vector, with};
use crate::memory::Memory;

pub const FILE: File = File {
    name: "node",
    about: "bytes: an encoded coffre.v1.Node.",
    describe,
    make,
};

fn describe(bytes: &[u8], _: &Value) -> Described {
    let node = Node::decode(bytes).map_err(refused)?;
    assert_eq!(node.encode(), bytes);
    let stream = |stream: &StreamRef| hex(&stream.to_wire().encode_to_vec());
    let content = match node.content() {
        NodeContent::File {
            content,
            size,
            holes,
        } => {
            let hole = |hole: &Hole| json!([hole.offset, hole.length]);
            let holes: Vec<_> = holes.iter().map(hole).collect();
            json!({ "kind": "file", "stream": stream(content), "size": size, "holes": holes })
        }
        NodeContent::Directory { content } => {
            json!({ "kind": "directory", "stream": stream(content) })
        }
        NodeContent::Symlink { target } => json!({ "kind": "symlink", "target": hex(target) }),
        NodeContent::Fifo => json!({ "kind": "fifo" }),
        NodeContent::Socket => json!({ "kind": "socket" }),
        NodeContent::CharacterDevice { major, minor } => {
            json!({ "kind": "character device", "major": major, "minor": minor })
        }
        NodeContent::BlockDevice { major, minor } => {
            json!({ "kind": "block device", "major": major, "minor": minor })
        }
        _ => unreachable!("every kind is above"),
    };
    let metadata = node.metadata();
    let xattr = |xattr: &Xattr| json!([hex(&xattr.name), hex(&xattr.value)]);
    Ok(json!({
        "name": hex(node.name().as_bytes()),
        "content": content,
        "mode": metadata.mode,
        "modified": [metadata.modified.seconds(), metadata.modified.nanoseconds()],
        "uid": metadata.uid,
        "gid": metadata.gid,
        "user": hex(&metadata.user),
        "group": hex(&metadata.group),
        "xattrs": metadata.xattrs.iter().map(xattr).collect::<Vec<_>>(),
        "hard_link": node.hard_link().map(|id| hex(id)),
        "node_id": node.node_id().map(|id| hex(id)),
    }))
}

fn node(name: &[u8], content: NodeContent) -> Node {
    let metadata = Metadata {
        mode: 0o4755,
        modified: Timestamp::new(-1, 999_999_999).unwrap(),
        uid: 1_000,
        gid: 100,
        user: b"ada".to_vec(),
        group: b"users".to_vec(),
        xattrs: vec![
            Xattr {
                name: b"security.capability".to_vec(),
                value: vec![1, 0, 0, 2],
            },
            Xattr {
                name: b"user.empty".to_vec(),
                value: Vec::new(),
            },
        ],
    };
    Node::new(NodeName::new(name).unwrap(), content, metadata).unwrap()
}

fn sparse_file() -> Node {
    let content = NodeContent::File {
        content: stream_of(30, &Memory::new()),
        size: 10_000_000_030,
        holes: vec![
            Hole {
                offset: 0,
                length: 9_000_000_000,
            },
            Hole {
                offset: 9_000_000_010,
                length: 1_000_000_000,
            },
        ],
    };
    node(b"sparse", content)
}

pub fn nodes() -> Vec<(&'static str, Node)> {
    let stream = stream_of(30, &Memory::new());
    let file = |length| NodeContent::File {
        content: stream_of(length, &Memory::new()),
        size: length as u64,
        holes: Vec::new(),
    };
    let symlink = NodeContent::Symlink {
        target: b"../\xff".to_vec(),
    };
    let device = NodeContent::CharacterDevice { major: 1, minor: 3 };
    let block = NodeContent::BlockDevice { major: 8, minor: 0 };
    vec![
        ("a file", node(b"file", file(30))),
        ("a file without content", node(b"empty", file(0))),
        ("a file with holes", sparse_file()),
        (
            "a file that has several names",
            node(b"linked", file(30))
                .with_hard_link([0x11; 16])
                .unwrap(),
        ),
        (
            "a directory of a synced tree",
            node(b"dir", NodeContent::Directory { content: stream })
                .with_node_id([0x22; 16])
                .unwrap(),
        ),
        ("a symlink", node(b"link", symlink)),
        (
            "a fifo with a name that is not UTF-8",
            node(b"\xff\xfe", NodeContent::Fifo),
        ),
        ("a socket", node(b"socket", NodeContent::Socket)),
        ("a character device", node(b"null", device)),
        ("a block device with numbers of zero", node(b"sda", block)),
    ]
}

fn make() -> Vec<Vector> {
    let nodes = nodes();
    let mut vectors: Vec<_> = nodes
        .iter()
        .map(|(name, node)| vector(name, node.encode()))
        .collect();
    let file = nodes[0].1.encode();
    let mut bad = |name, change: &dyn Fn(&mut wire::Node)| {
        vectors.push(vector(name, changed(&file, change)));
    };
    bad("no name", &|n| n.name.clear());
    bad("the name .", &|n| n.name = b".".to_vec());
    bad("the name ..", &|n| n.name = b"..".to_vec());
    bad("a name with a slash", &|n| n.name = b"a/b".to_vec());
    bad("a name with a NUL", &|n| n.name = b"a\0".to_vec());
    bad("no kind", &|n| n.kind = 0);
    bad("an unknown kind", &|n| n.kind = 8);
    bad("a fifo with content", &|n| {
        n.kind = wire::NodeKind::Fifo.into()
    });
    bad("a file with a target", &|n| {
        n.symlink_target = b"t".to_vec()
    });
    bad("a file with device numbers", &|n| n.device_minor = 1);
    bad("a file without a stream", &|n| n.content = None);
    bad("a mode of 13 bits", &|n| n.mode = 0o10000);
    bad("no time", &|n| n.modified = None);
    bad("a second of nanoseconds", &|n| {
        n.modified.as_mut().unwrap().nanoseconds = 1_000_000_000
    });
    bad("attributes out of order", &|n| n.xattrs.reverse());
    bad("an attribute without a name", &|n| n.xattrs[0].name.clear());
    bad("a user with a NUL", &|n| n.user = b"a\0".to_vec());
    bad("a size that is not its content's", &|n| n.size += 1);
    bad("a hole at the end of a hole", &|n| {
        n.size += 20;
        let hole = |offset, length| wire::Hole { offset, length };
        n.holes = vec![hole(0, 10), hole(10, 10)];
    });
    bad("an empty hole", &|n| n.holes = vec![wire::Hole::default()]);
    bad("a hard link of 15 bytes", &|n| n.hard_link = vec![1; 15]);
    bad("a stream that lies", &|n| {
        n.content.as_mut().unwrap().length += 1
    });
    let directory = nodes[4].1.encode();
    let linked = changed(&directory, |n: &mut wire::Node| n.hard_link = vec![1; 16]);
    vectors.push(vector("a directory with a hard link", linked));
    let sized = changed(&directory, |n: &mut wire::Node| n.size = 30);
    vectors.push(vector("a directory with a size", sized));
    vectors.push(vector("an unknown field", with(&file, &[0xf8, 0x01, 1])));
    vectors.push(vector(
        "bytes that are cut off",
        file[..file.len() - 1].to_vec(),
    ));
    vectors
}
