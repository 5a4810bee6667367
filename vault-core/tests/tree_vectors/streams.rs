//! Streams.

use prost::Message;
use serde_json::{Value, json};
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::stream::{ChunkRef, StreamBuilder, StreamReader, StreamRef};
use vault_proto::canonical::decode_canonical;
use vault_proto::wire;

use super::{Described, File, Vector, hex, refused, unhex, with};
use crate::memory::{Memory, SmallChunks, chunk_id};
use crate::support::text;

pub const FILE: File = File {
    name: "stream",
    about: "bytes: an encoded coffre.v1.Stream of kind `given.kind`. given.chunks: the \
            chunks that its source has. Here a chunk id is the BLAKE3 keyed hash of the \
            plaintext under 32 times the kind's byte. The cuts are not the chunker's.",
    describe,
    make,
};

fn describe(bytes: &[u8], given: &Value) -> Described {
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

pub fn memory_of(given: &Value) -> Memory {
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

pub fn given_chunks(memory: &Memory) -> Vec<Value> {
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
pub fn stream_of(length: usize, memory: &Memory) -> StreamRef {
    let mut builder = StreamBuilder::new(SmallChunks::LISTS);
    for chunk in text(length).chunks(20) {
        let id = chunk_id(ChunkKind::Tree, chunk);
        memory.plant(ChunkKind::Tree, id, chunk);
        let length = chunk.len() as u32;
        builder.push(ChunkRef { id, length });
    }
    builder.finish(&mut memory.clone()).unwrap()
}

fn make() -> Vec<Vector> {
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
