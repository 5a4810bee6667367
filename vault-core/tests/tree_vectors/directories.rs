//! The contents of directories' streams.

use serde_json::{Value, json};
use vault_core::chunk::ChunkKind;
use vault_core::tree::{DirectoryReader, Node, TreeError};

use super::{Described, File, Vector, hex, nodes::nodes, refused, vector, with};
use crate::memory::{Memory, write_small};

pub const FILE: File = File {
    name: "directory",
    about: "bytes: the content of a directory's stream.",
    describe,
    make,
};

fn describe(bytes: &[u8], _: &Value) -> Described {
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

fn make() -> Vec<Vector> {
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
