//! Segments of the index.

use serde_json::{Value, json};
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::index::{IndexEntry, OwnPack, Segment, SegmentBuilder};
use vault_core::pack::PackEntry;
use vault_proto::ids::PackId;
use vault_proto::wire;

use super::{Described, File, Vector, changed, hex, refused, unhex};

pub const FILE: File = File {
    name: "segment",
    about: "bytes: an encoded coffre.v1.IndexSegment that stands in the pack `given`.",
    describe,
    make,
};

fn describe(bytes: &[u8], given: &Value) -> Described {
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

fn make() -> Vec<Vector> {
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
