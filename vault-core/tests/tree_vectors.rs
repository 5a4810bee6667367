//! Known answers for streams, nodes, directories, snapshots, catalogs,
//! settings and segments: `tests/vectors/*.json`, each of which says what it
//! holds.
//!
//! `COFFRE_REGENERATE_VECTORS=1 cargo test -p vault-core --test main no_file_of_vectors`
//! writes files that are not there. Those that are never change.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use prost::Message;
use serde_json::{Value, json};
use vault_core::catalog::{Catalog, Series, SeriesKind};
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::index::{IndexEntry, OwnPack, Segment, SegmentBuilder};
use vault_core::links::{Link, LinkSecret, Links, PasswordStretching};
use vault_core::pack::PackEntry;
use vault_core::settings::{AccountSettings, Contact, KnownHoster, KnownVault};
use vault_core::snapshot::{SeriesId, Snapshot, SnapshotFields, SnapshotId, Totals};
use vault_core::stream::{ChunkRef, StreamBuilder, StreamReader, StreamRef};
use vault_core::timestamp::Timestamp;
use vault_core::tree::{
    DirectoryReader, Hole, Metadata, Node, NodeContent, NodeName, TreeError, Xattr,
};
use vault_proto::address::Address;
use vault_proto::canonical::decode_canonical;
use vault_proto::ids::{AccountId, DeviceId, EntryHash, HosterId, PackId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::Origin;
use vault_proto::position::LogPosition;
use vault_proto::wire;

use crate::memory::{Memory, SmallChunks, chunk_id, write_small};
use crate::support::text;

/// What a decoder made of a vector: the value, or the error's name.
type Described = Result<Value, String>;

/// One file of vectors.
struct File {
    name: &'static str,
    /// What a reader in another language must know to use it.
    about: &'static str,
    describe: fn(&[u8], &Value) -> Described,
    make: fn() -> Vec<Vector>,
}

struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    given: Value,
}

fn vector(name: &'static str, bytes: Vec<u8>) -> Vector {
    let given = Value::Null;
    Vector { name, bytes, given }
}

const FILES: [File; 8] = [
    File {
        name: "stream",
        about: "bytes: an encoded coffre.v1.Stream of kind `given.kind`. given.chunks: the \
                chunks that its source has. Here a chunk id is the BLAKE3 keyed hash of the \
                plaintext under 32 times the kind's byte. The cuts are not the chunker's.",
        describe: describe_stream,
        make: make_streams,
    },
    File {
        name: "node",
        about: "bytes: an encoded coffre.v1.Node.",
        describe: describe_node,
        make: make_nodes,
    },
    File {
        name: "directory",
        about: "bytes: the content of a directory's stream.",
        describe: describe_directory,
        make: make_directories,
    },
    File {
        name: "snapshot",
        about: "bytes: an encoded coffre.v1.Snapshot. Its id is that of a chunk of kind 6 with \
                these bytes; here the BLAKE3 keyed hash under 32 times the byte 6.",
        describe: describe_snapshot,
        make: make_snapshots,
    },
    File {
        name: "catalog",
        about: "bytes: an encoded coffre.v1.Catalog. given.chunks: as in stream.json.",
        describe: describe_catalog,
        make: make_catalogs,
    },
    File {
        name: "settings",
        about: "bytes: an encoded coffre.v1.AccountSettings.",
        describe: describe_settings,
        make: make_settings,
    },
    File {
        name: "links",
        about: "bytes: an encoded coffre.v1.Links. The keys of the capsules are those of links \
                without a password.",
        describe: describe_links,
        make: make_links,
    },
    File {
        name: "segment",
        about: "bytes: an encoded coffre.v1.IndexSegment that stands in the pack `given`.",
        describe: describe_segment,
        make: make_segments,
    },
];

fn path_of(file: &File) -> PathBuf {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    PathBuf::from(directory).join(format!("{}.json", file.name))
}

fn check(name: &str) {
    let file = FILES.iter().find(|file| file.name == name).unwrap();
    let text = std::fs::read_to_string(path_of(file)).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert!(vectors.iter().any(|vector| vector.get("value").is_some()));
    assert!(vectors.iter().any(|vector| vector.get("refused").is_some()));
    for vector in vectors {
        let described = (file.describe)(&unhex(&vector["bytes"]), &vector["given"]);
        let expected = match vector.get("refused") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(vector["value"].clone()),
        };
        assert_eq!(described, expected, "{}: {}", file.name, vector["name"]);
    }
}

#[test]
fn streams_are_as_in_the_vectors() {
    check("stream");
}

#[test]
fn nodes_are_as_in_the_vectors() {
    check("node");
}

#[test]
fn directories_are_as_in_the_vectors() {
    check("directory");
}

#[test]
fn snapshots_are_as_in_the_vectors() {
    check("snapshot");
}

#[test]
fn catalogs_are_as_in_the_vectors() {
    check("catalog");
}

#[test]
fn settings_are_as_in_the_vectors() {
    check("settings");
}

#[test]
fn lists_of_links_are_as_in_the_vectors() {
    check("links");
}

#[test]
fn segments_are_as_in_the_vectors() {
    check("segment");
}

#[test]
fn no_file_of_vectors_is_missing() {
    #[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
    let writes = std::env::var_os("COFFRE_REGENERATE_VECTORS").is_some();
    for file in FILES.iter().filter(|file| !path_of(file).exists()) {
        assert!(writes, "{} is missing", path_of(file).display());
        let vectors: Vec<_> = (file.make)()
            .into_iter()
            .map(|vector| {
                let mut json = json!({ "name": vector.name, "bytes": hex(&vector.bytes) });
                if !vector.given.is_null() {
                    json["given"] = vector.given.clone();
                }
                match (file.describe)(&vector.bytes, &vector.given) {
                    Ok(value) => json["value"] = value,
                    Err(error) => json["refused"] = error.into(),
                }
                json
            })
            .collect();
        let json = json!({ "about": file.about, "vectors": vectors });
        let text = serde_json::to_string_pretty(&json).unwrap() + "\n";
        std::fs::create_dir_all(path_of(file).parent().unwrap()).unwrap();
        std::fs::write(path_of(file), text).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// An error's name, without what it carries.
fn refused(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// The encoding of `message`, changed.
fn changed<M: Message + Default>(bytes: &[u8], change: impl FnOnce(&mut M)) -> Vec<u8> {
    let mut message = M::decode(bytes).unwrap();
    change(&mut message);
    message.encode_to_vec()
}

fn with(bytes: &[u8], more: &[u8]) -> Vec<u8> {
    [bytes, more].concat()
}

// ------------------------------------------------------------------- streams

fn describe_stream(bytes: &[u8], given: &Value) -> Described {
    let wire: wire::Stream = decode_canonical(bytes, 1_024).map_err(refused)?;
    let stream = StreamRef::from_wire(&wire).map_err(refused)?;
    assert_eq!(stream.to_wire().encode_to_vec(), bytes);
    let kind = ChunkKind::from_byte(given["kind"].as_u64().unwrap() as u8).unwrap();
    let mut memory = memory_of(given);
    let mut reader = StreamReader::new(kind, &stream);
    let mut content = Vec::new();
    while let Some(more) = reader.next(&mut memory).map_err(refused)? {
        content.extend(more);
    }
    Ok(json!({
        "length": stream.length(),
        "depth": stream.depth(),
        "content": hex(&content),
    }))
}

fn memory_of(given: &Value) -> Memory {
    let memory = Memory::new();
    for chunk in given["chunks"].as_array().unwrap() {
        let kind = ChunkKind::from_byte(chunk["kind"].as_u64().unwrap() as u8).unwrap();
        let id = ChunkId::from_slice(&unhex(&chunk["id"])).unwrap();
        let plaintext = unhex(&chunk["plaintext"]);
        assert_eq!(chunk_id(kind, &plaintext), id);
        memory.plant(kind, id, &plaintext);
    }
    memory
}

fn given_chunks(memory: &Memory) -> Vec<Value> {
    let chunk = |(kind, id, plaintext): (ChunkKind, ChunkId, Vec<u8>)| {
        json!({
            "kind": kind.to_byte(),
            "id": hex(id.as_bytes()),
            "plaintext": hex(&plaintext),
        })
    };
    memory.chunks().into_iter().map(chunk).collect()
}

/// A directory's stream of `text`, in chunks of 20 bytes.
fn stream_of(length: usize, memory: &Memory) -> StreamRef {
    let mut builder = StreamBuilder::new(SmallChunks::LISTS);
    for chunk in text(length).chunks(20) {
        let id = chunk_id(ChunkKind::Tree, chunk);
        memory.plant(ChunkKind::Tree, id, chunk);
        let length = chunk.len() as u32;
        builder.push(ChunkRef { id, length });
    }
    builder.finish(&mut memory.clone()).unwrap()
}

fn make_streams() -> Vec<Vector> {
    let make = |name, length, change: &dyn Fn(&mut wire::Stream, &Memory)| {
        let memory = Memory::new();
        let mut stream = stream_of(length, &memory).to_wire();
        change(&mut stream, &memory);
        Vector {
            name,
            bytes: stream.encode_to_vec(),
            given: json!({ "kind": ChunkKind::Tree.to_byte(), "chunks": given_chunks(&memory) }),
        }
    };
    // One list of `records`, in the place of whatever was there.
    let list = |stream: &mut wire::Stream, memory: &Memory, records: &[u8]| {
        let chunk = text(20);
        memory.plant(ChunkKind::Tree, chunk_id(ChunkKind::Tree, &chunk), &chunk);
        let id = chunk_id(ChunkKind::StreamList, records);
        memory.plant(ChunkKind::StreamList, id, records);
        stream.depth = 1;
        stream.chunk_ids = id.as_bytes().to_vec();
        stream.lengths = vec![records.len() as u32];
    };
    let records = |length: u32, count| {
        [
            chunk_id(ChunkKind::Tree, &text(20)).as_bytes(),
            &length.to_le_bytes()[..],
        ]
        .concat()
        .repeat(count)
    };
    let mut vectors = vec![
        make("no bytes", 0, &|_, _| {}),
        make("one chunk", 13, &|_, _| {}),
        make("sixteen chunks, all in line", 320, &|_, _| {}),
        make("seventeen chunks, so a list of them", 321, &|_, _| {}),
        make(
            "two levels of lists, records across their chunks",
            2_000,
            &|_, _| {},
        ),
        make("longer than its chunks", 320, &|s, _| s.length += 1),
        make("shorter than its chunks", 320, &|s, _| s.length -= 1),
        make("seventeen chunks in line", 320, &|s, _| {
            s.chunk_ids.extend([0; 32]);
            s.lengths.push(20);
            s.length += 20;
        }),
        make("an id that is cut off", 320, &|s, _| {
            s.chunk_ids.truncate(511)
        }),
        make("an empty chunk", 320, &|s, _| {
            s.lengths[0] = 0;
            s.length -= 20;
        }),
        make("a chunk of more than 4 MiB", 13, &|s, _| {
            s.length = (4 << 20) + 1;
            s.lengths = vec![(4 << 20) + 1];
        }),
        make("five levels of lists", 321, &|s, _| s.depth = 5),
        make("a list of sixteen chunks", 0, &|s, m| {
            s.length = 320;
            list(s, m, &records(20, 16));
        }),
        make("a list that ends inside a record", 0, &|s, m| {
            s.length = 340;
            list(s, m, &records(20, 17)[..611]);
        }),
        make("a list with a chunk of no bytes", 0, &|s, m| {
            s.length = 340;
            list(s, m, &records(0, 17));
        }),
        make(
            "a list whose chunks are longer than the stream",
            0,
            &|s, m| {
                s.length = 339;
                list(s, m, &records(20, 17));
            },
        ),
        make(
            "a list whose chunks are shorter than the stream",
            321,
            &|s, _| s.length += 1,
        ),
        make("a chunk that is not as long as named", 20, &|s, _| {
            s.length = 21;
            s.lengths = vec![21];
        }),
    ];
    let mut other = |name, bytes: &dyn Fn(&[u8]) -> Vec<u8>| {
        let mut vector = make("", 13, &|_, _| {});
        vector.name = name;
        vector.bytes = bytes(&vector.bytes);
        vectors.push(vector);
    };
    other("a default that is written out", &|bytes| {
        with(&with(&bytes[..2], &[0x10, 0]), &bytes[2..])
    });
    other("an unknown field", &|bytes| with(bytes, &[0x78, 1]));
    other("a field that is repeated", &|bytes| {
        with(&bytes[..2], bytes)
    });
    vectors
}

// --------------------------------------------------------------------- trees

fn describe_node(bytes: &[u8], _: &Value) -> Described {
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

fn nodes() -> Vec<(&'static str, Node)> {
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

fn make_nodes() -> Vec<Vector> {
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

fn describe_directory(bytes: &[u8], _: &Value) -> Described {
    let memory = Memory::new();
    let mut reader = DirectoryReader::new(&write_small(ChunkKind::Tree, bytes, &memory));
    let mut nodes = Vec::new();
    loop {
        match reader.next(&mut memory.clone()) {
            Ok(Some(node)) => nodes.push(hex(&node.encode())),
            Ok(None) => return Ok(json!({ "nodes": nodes })),
            Err(TreeError::Node(error)) => return Err(refused(error)),
            Err(error) => return Err(refused(error)),
        }
    }
}

fn make_directories() -> Vec<Vector> {
    let mut nodes: Vec<_> = nodes().into_iter().map(|(_, node)| node).collect();
    nodes.sort_by(|a, b| a.name().cmp(b.name()));
    let record = |node: &Node| {
        let encoded = node.encode();
        let mut record = Vec::new();
        prost::encoding::encode_varint(encoded.len() as u64, &mut record);
        with(&record, &encoded)
    };
    let [first, second] = [&nodes[0], &nodes[1]].map(record);
    let padded = [&[first[0] | 0x80, first[1] | 0x80, 0][..], &first[2..]].concat();
    assert!(first[0] & 0x80 != 0 && first[1] & 0x80 == 0);
    let two = with(&first, &second);
    vec![
        vector("no nodes", Vec::new()),
        vector("ten nodes", nodes.iter().flat_map(record).collect()),
        vector("two nodes out of order", with(&second, &first)),
        vector("a node twice", with(&first, &first)),
        vector("a record of no bytes", with(&first, &[0])),
        vector("a record that ends early", two[..two.len() - 1].to_vec()),
        vector("a length that ends early", with(&first, &[0x80])),
        vector("a length in more bytes than it needs", padded),
        vector(
            "a record of 256 KiB and a byte",
            with(&first, &[0x81, 0x80, 0x10]),
        ),
    ]
}

// ------------------------------------------------------ snapshots and catalog

fn describe_snapshot(bytes: &[u8], _: &Value) -> Described {
    let snapshot = Snapshot::decode(bytes).map_err(refused)?;
    assert_eq!(snapshot.encode(), bytes);
    let fields = snapshot.fields();
    let time = |time: Timestamp| json!([time.seconds(), time.nanoseconds()]);
    Ok(json!({
        "id": snapshot.id(&chunk_id).to_string(),
        "series": fields.series.to_string(),
        "started": time(fields.started),
        "finished": time(fields.finished),
        "tree": hex(&fields.tree.to_wire().encode_to_vec()),
        "paths": fields.paths.iter().map(|path| hex(path)).collect::<Vec<_>>(),
        "device": fields.device.to_string(),
        "device_name": fields.device_name,
        "complete": fields.complete,
        "totals": {
            "files": fields.totals.files,
            "directories": fields.totals.directories,
            "others": fields.totals.others,
            "bytes": fields.totals.bytes,
        },
        "left_out": fields.left_out,
        "program": fields.program,
    }))
}

fn snapshot(complete: bool) -> Snapshot {
    Snapshot::new(SnapshotFields {
        series: SeriesId::from_array([0x33; 16]),
        started: Timestamp::new(1_767_225_600, 1).unwrap(),
        finished: Timestamp::new(1_767_225_660, 2).unwrap(),
        tree: stream_of(30, &Memory::new()),
        paths: vec![b"/etc".to_vec(), b"/home/\xff".to_vec()],
        device: DeviceId::from_array([0x44; 32]),
        device_name: "ordinateur d\u{2019}Ad\u{e8}le".to_owned(),
        complete,
        totals: Totals {
            files: 1,
            directories: 2,
            others: 3,
            bytes: 30,
        },
        left_out: u64::from(complete),
        program: "coffre 0.1.0".to_owned(),
    })
    .unwrap()
}

fn make_snapshots() -> Vec<Vector> {
    let good = snapshot(true).encode();
    let empty = changed(&good, |s: &mut wire::Snapshot| {
        s.tree = Some(wire::Stream::default());
        s.paths = vec![b"/".to_vec()];
        s.totals = Some(wire::Totals::default());
        s.left_out = 0;
    });
    let mut vectors = vec![
        vector("a snapshot", good.clone()),
        vector("a checkpoint", snapshot(false).encode()),
        vector("a snapshot of nothing", empty),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::Snapshot)| {
        vectors.push(vector(name, changed(&good, change)));
    };
    bad("a series of 15 bytes", &|s| s.series = vec![1; 15]);
    bad("a device of 31 bytes", &|s| s.device = vec![1; 31]);
    bad("no beginning", &|s| s.started = None);
    bad("no tree", &|s| s.tree = None);
    bad("no totals", &|s| s.totals = None);
    bad("a second of nanoseconds", &|s| {
        s.finished.as_mut().unwrap().nanoseconds = 1_000_000_000
    });
    bad("paths out of order", &|s| s.paths.reverse());
    bad("a relative path", &|s| s.paths = vec![b"etc".to_vec()]);
    bad("a path with ..", &|s| {
        s.paths = vec![b"/etc/../home".to_vec()]
    });
    bad("a path that ends in a slash", &|s| {
        s.paths = vec![b"/etc/".to_vec()]
    });
    bad("a name with an escape", &|s| {
        s.device_name = "\u{1b}[2J".to_owned()
    });
    bad("a program of two lines", &|s| s.program = "a\nb".to_owned());
    bad("a tree that lies", &|s| {
        s.tree.as_mut().unwrap().length += 1
    });
    vectors.push(vector(
        "bytes that are cut off",
        good[..good.len() - 1].to_vec(),
    ));
    vectors.push(vector("an unknown field", with(&good, &[0x78, 1])));
    vectors
}

fn describe_catalog(bytes: &[u8], given: &Value) -> Described {
    let catalog = Catalog::decode(bytes).map_err(refused)?;
    assert_eq!(catalog.encode(), bytes);
    let mut memory = memory_of(given);
    let mut reader = catalog.snapshots();
    let mut snapshots = Vec::new();
    while let Some(snapshot) = reader.next(&mut memory).map_err(refused)? {
        snapshots.push(hex(&snapshot.encode()));
    }
    let series = |series: &Series| {
        json!({
            "id": series.id().to_string(),
            "name": series.name(),
            "kind": match series.kind() {
                SeriesKind::Backup => "backup",
                SeriesKind::Synced => "synced",
                _ => unreachable!("every kind is above"),
            },
            "is_deduplicated": series.is_deduplicated(),
        })
    };
    Ok(json!({
        "series": catalog.series().iter().map(series).collect::<Vec<_>>(),
        "snapshots": snapshots,
    }))
}

fn make_catalogs() -> Vec<Vector> {
    let memory = Memory::new();
    let mut catalog = Catalog::EMPTY;
    let series = [
        (0x33, "home", SeriesKind::Backup),
        (0x22, "photos", SeriesKind::Synced),
    ];
    for (id, name, kind) in series {
        let series = Series::new(SeriesId::from_array([id; 16]), name.to_owned(), kind).unwrap();
        let series = match kind {
            SeriesKind::Synced => series.without_deduplication(),
            _ => series,
        };
        catalog.add_series(series).unwrap();
    }
    let without_snapshots = catalog.clone();
    for complete in [false, true] {
        catalog = crate::catalogs::add(&catalog, &snapshot(complete), &memory);
    }
    let good = catalog.encode();
    let make = |name, bytes| Vector {
        name,
        bytes,
        given: json!({ "chunks": given_chunks(&memory) }),
    };
    let mut vectors = vec![
        make("no series", Catalog::EMPTY.encode()),
        make("two series without snapshots", without_snapshots.encode()),
        make("two snapshots", good.clone()),
        make("no bytes, so no stream", Vec::new()),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::Catalog)| {
        vectors.push(make(name, changed(&good, change)));
    };
    bad("series out of order", &|c| c.series.reverse());
    bad("two series of one name", &|c| {
        c.series[0].name = "home".to_owned()
    });
    bad("a series without a name", &|c| c.series[0].name.clear());
    bad("a series of an unknown kind", &|c| c.series[0].kind = 3);
    bad("a series with an id of 17 bytes", &|c| {
        c.series[0].id = vec![1; 17]
    });
    bad("a snapshot more than there are", &|c| c.snapshot_count = 3);
    bad("a snapshot less than there are", &|c| c.snapshot_count = 1);
    bad("a count that no stream holds", &|c| {
        c.snapshot_count = u64::MAX
    });
    bad("snapshots of no series", &|c| drop(c.series.remove(1)));
    bad("a stream that lies", &|c| {
        c.snapshots.as_mut().unwrap().length += 1
    });
    vectors
}

// ------------------------------------------------------------------ settings

fn describe_settings(bytes: &[u8], _: &Value) -> Described {
    let settings = AccountSettings::decode(bytes).map_err(refused)?;
    assert_eq!(settings.encode(), bytes);
    let hoster = |known: &KnownHoster| {
        let (mode, pin) = known.tls.to_wire();
        json!({
            "hoster": known.hoster.to_string(),
            "origin": known.origin,
            "tls_mode": mode.as_str_name(),
            "tls_pin": hex(&pin),
        })
    };
    let vault = |known: &KnownVault| {
        json!({
            "vault": known.vault.to_string(),
            "hoster": known.hoster.to_string(),
            "name": known.name,
            "deleted": known.deleted,
            "shared_by": known.shared_by.as_ref().map(Address::to_string),
        })
    };
    let contact = |known: &Contact| {
        json!({
            "address": known.address.to_string(),
            "hoster": known.hoster.to_string(),
            "verified": known.is_verified,
            "seq": known.position.seq,
            "hash": known.position.hash.to_string(),
        })
    };
    Ok(json!({
        "name": settings.name(),
        "contacts": settings.contacts().iter().map(contact).collect::<Vec<_>>(),
        "hosters": settings.hosters().iter().map(hoster).collect::<Vec<_>>(),
        "vaults": settings.vaults().iter().map(vault).collect::<Vec<_>>(),
    }))
}

fn make_settings() -> Vec<Vector> {
    let mut settings = AccountSettings::default();
    for (id, origin, tls) in [
        (2, "b.example:7443", TlsTrust::Public),
        (1, "[::1]:7443", TlsTrust::Pinned([7; 32])),
    ] {
        let known = KnownHoster {
            hoster: HosterId::from_array([id; 32]),
            origin: origin.to_owned(),
            tls,
        };
        settings.set_hoster(known).unwrap();
    }
    let address = |name: &str, id| {
        let origin = Origin::parse("c.example:443").unwrap();
        Address::new(name, origin, AccountId::from_array([id; 32])).unwrap()
    };
    for (id, name, deleted) in [(4, "photos", false), (3, "\u{e9}t\u{e9}", true)] {
        let known = KnownVault {
            vault: VaultId::from_array([id; 32]),
            hoster: HosterId::from_array([1; 32]),
            name: name.to_owned(),
            deleted,
            shared_by: deleted.then(|| address("bob", 6)),
        };
        settings.set_vault(known).unwrap();
    }
    settings.set_name("alice").unwrap();
    for (name, id, is_verified) in [("bob", 6, true), ("zo\u{e9}", 5, false)] {
        let contact = Contact {
            address: address(name, id),
            hoster: HosterId::from_array([8; 32]),
            is_verified,
            position: LogPosition {
                seq: u64::from(id),
                hash: EntryHash::from_array([id; 32]),
            },
        };
        settings.set_contact(contact).unwrap();
    }
    let good = settings.encode();
    let mut vectors = vec![
        vector("nothing", Vec::new()),
        vector("two hosters, two vaults, two contacts", good.clone()),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::AccountSettings)| {
        vectors.push(vector(name, changed(&good, change)));
    };
    bad("hosters out of order", &|s| s.hosters.reverse());
    bad("a vault twice", &|s| s.vaults[1] = s.vaults[0].clone());
    bad("a vault of 31 bytes", &|s| s.vaults[0].vault.truncate(31));
    bad("a vault at an unknown hoster", &|s| {
        s.vaults[0].hoster = vec![9; 32]
    });
    bad("a vault without a name", &|s| s.vaults[0].name.clear());
    bad("an origin with a space", &|s| {
        s.hosters[0].origin = "a b".to_owned()
    });
    bad("a hoster without a mode of TLS", &|s| {
        s.hosters[0].tls_mode = 0
    });
    bad("a pin that is not pinned", &|s| s.hosters[0].tls_mode = 2);
    bad("shared by no address", &|s| {
        s.vaults[0].shared_by = "bob".to_owned()
    });
    bad("an own name with a space", &|s| {
        s.name = "al ice".to_owned()
    });
    bad("contacts out of order", &|s| s.contacts.reverse());
    bad("a contact without a name", &|s| s.contacts[0].name.clear());
    bad("a contact without a place", &|s| {
        s.contacts[0].position = None
    });
    vectors
}

// --------------------------------------------------------------------- links

fn describe_links(bytes: &[u8], _: &Value) -> Described {
    let links = Links::decode(bytes).map_err(refused)?;
    assert_eq!(links.encode(), bytes);
    let link = |link: &Link| {
        assert_eq!(link.capsule_key, link.secret.capsule_key(None));
        json!({
            "id": link.id().to_string(),
            "capsule": link.capsule.to_string(),
            "capsule_size": link.capsule_size,
            "password": link.password.is_some(),
            "account": link.account.to_string(),
            "created": [link.created.seconds(), link.created.nanoseconds()],
            "expires": link.expires,
            "max_downloads": link.max_downloads,
            "snapshot": link.snapshot.to_string(),
            "path": hex(&link.path),
            "label": link.label,
        })
    };
    Ok(json!({ "links": links.all().iter().map(link).collect::<Vec<_>>() }))
}

fn make_links() -> Vec<Vector> {
    let mut links = Links::default();
    for (number, password, label) in [(1, false, ""), (2, true, "for \u{c9}lo\u{ef}se")] {
        let secret = LinkSecret::from_array([number; 32]);
        let stretching = PasswordStretching::new(65_536, 1, 1, [number; 16]).unwrap();
        let link = Link {
            capsule_key: secret.capsule_key(None),
            secret,
            capsule: PackId::from_array([number + 2; 32]),
            capsule_size: 16 << 10,
            password: password.then_some(stretching),
            account: AccountId::from_array([5; 32]),
            created: Timestamp::new(1_795_000_000, 7).unwrap(),
            expires: if password { 1_800_000_000 } else { 0 },
            max_downloads: if password { 3 } else { 0 },
            snapshot: SnapshotId::from_slice(&[6; 32]).unwrap(),
            path: b"/home/ada".to_vec(),
            label: label.to_owned(),
        };
        links.add(link).unwrap();
    }
    let good = links.encode();
    let mut vectors = vec![
        vector("nothing", Vec::new()),
        vector("two links, one with all there is", good.clone()),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::Links)| {
        vectors.push(vector(name, changed(&good, change)));
    };
    bad("links out of order", &|l| l.links.reverse());
    bad("a link twice", &|l| l.links[1] = l.links[0].clone());
    bad("a secret of 31 bytes", &|l| l.links[0].secret.truncate(31));
    bad("a capsule of a size that no pack has", &|l| {
        l.links[0].capsule_size = 20_000
    });
    bad("no time", &|l| l.links[0].created = None);
    bad("a relative path", &|l| l.links[0].path = b"a".to_vec());
    bad("a path that goes up", &|l| {
        l.links[0].path = b"/a/..".to_vec()
    });
    bad("a label with a line break", &|l| {
        l.links[0].label = "a\nb".to_owned()
    });
    bad("a password that is stretched by nothing", &|l| {
        l.links[0].password = Some(wire::PasswordStretching::default())
    });
    vectors.push(vector("an unknown field", with(&good, &[0x78, 1])));
    vectors
}

// --------------------------------------------------------------------- index

fn describe_segment(bytes: &[u8], given: &Value) -> Described {
    let own = OwnPack {
        pack: PackId::from_slice(&unhex(&given["pack"])).unwrap(),
        epoch: given["epoch"].as_u64().unwrap(),
        size: given["size"].as_u64().unwrap() as u32,
    };
    let segment = Segment::decode(bytes, own).map_err(refused)?;
    let entry = |entry: IndexEntry| {
        json!({
            "chunk": hex(entry.id.as_bytes()),
            "kind": entry.kind.to_byte(),
            "pack": entry.pack.to_string(),
            "epoch": entry.epoch,
            "pack_size": entry.pack_size,
            "offset": entry.offset,
            "sealed_length": entry.sealed_length,
        })
    };
    Ok(json!({ "entries": segment.iter().map(entry).collect::<Vec<_>>() }))
}

fn make_segments() -> Vec<Vector> {
    let entry = |id, kind, pack, offset| IndexEntry {
        id: ChunkId::from_array([id; 32]),
        kind,
        pack: PackId::from_array([pack; 32]),
        epoch: u64::from(pack),
        pack_size: 1 << 20,
        offset,
        sealed_length: 1_000,
    };
    let mut builder = SegmentBuilder::new();
    builder
        .add(&entry(0x0b, ChunkKind::FileData, 2, 0))
        .unwrap();
    builder.add(&entry(0x0a, ChunkKind::Tree, 1, 5)).unwrap();
    builder
        .add(&entry(0x0d, ChunkKind::FileData, 1, 70_000))
        .unwrap();
    let without_own = builder.encode();
    let own = PackEntry {
        kind: ChunkKind::Snapshot,
        id: ChunkId::from_array([0x0c; 32]),
        offset: 300,
        sealed_length: 42,
    };
    builder.add_own(&own).unwrap();
    let good = builder.encode();
    let make = |name, bytes| Vector {
        name,
        bytes,
        given: json!({ "pack": hex(&[0xee; 32]), "epoch": 3, "size": 1 << 14 }),
    };
    let mut vectors = vec![
        make("three chunks in two packs", without_own),
        make("and one in the segment's own pack", good.clone()),
        make("no entries", Vec::new()),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::IndexSegment)| {
        vectors.push(make(name, changed(&good, change)));
    };
    bad("chunks out of order", &|s| {
        s.chunk_ids[..64].rotate_left(32)
    });
    bad("a chunk twice", &|s| s.chunk_ids.copy_within(..32, 32));
    bad("a column that is too short", &|s| s.offsets.truncate(3));
    bad("an unknown kind", &|s| s.kinds[0] = 9);
    bad("a row that is not there", &|s| s.rows[0] = 3);
    bad("a row that nothing uses", &|s| s.rows[1] = 1);
    bad("packs out of order", &|s| s.packs.swap(1, 2));
    bad("a pack of epoch 0", &|s| s.packs[1].epoch = 0);
    bad("a pack of a size that is no power of two", &|s| {
        s.packs[1].size = 20_000
    });
    bad("a pack of 32 MiB", &|s| s.packs[1].size = 32 << 20);
    bad("its own pack with a size", &|s| s.packs[0].size = 1 << 14);
    bad("its own pack by name", &|s| {
        s.packs[2].pack = vec![0xee; 32]
    });
    bad("a chunk in the trailer", &|s| {
        s.offsets[0] = (1 << 20) - 1_000 - 55
    });
    bad("a chunk beyond its own pack", &|s| {
        s.offsets[2] = (1 << 14) - 42 - 55
    });
    bad("an offset that overflows", &|s| s.offsets[0] = u32::MAX);
    bad("a sealed chunk of 40 bytes", &|s| s.sealed_lengths[0] = 40);
    bad("more than the kind allows", &|s| {
        s.sealed_lengths[0] = (64 << 10) + 42
    });
    vectors.push(make(
        "bytes that are cut off",
        good[..good.len() - 1].to_vec(),
    ));
    vectors
}
