//! How many instructions the layers take, which no other work on the machine
//! changes. The processor that valgrind shows has AES-NI and AVX2, and neither
//! VAES nor AVX-512: compare these figures with each other only.
//!
//! ```sh
//! make instructions
//! ```
#![allow(missing_docs, reason = "gungraun's macros")]
#![expect(clippy::disallowed_methods, reason = "gungraun's main exits")]

use std::{hint::black_box, sync::Arc};

use gungraun::{library_benchmark, library_benchmark_group, main};
use rand::rngs::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use vault_core::{
    chunk::{ChunkId, ChunkKind},
    chunker::{ChunkSizes, Chunker},
    keys::VaultKeys,
    pack::{FinishedPack, PackBuilder, read_pack_entries},
    seal::{CompressionLevel, Compressor, Decompressor, Plaintext},
};
use vault_proto::ids::VaultId;

const KIND: ChunkKind = ChunkKind::FileData;

fn keys() -> Arc<VaultKeys> {
    let vault = VaultId::from_array([1; 32]);
    Arc::new(VaultKeys::from_epoch_secrets(vault, &[[2; 32]]))
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha20Rng::seed_from_u64(1).fill_bytes(&mut bytes);
    bytes
}

/// Compresses, as documents do.
fn words(length: usize) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        let n = u64::from(rng.next_u32() % 2_000);
        text.extend_from_slice(format!("{:x} ", n * n).as_bytes());
    }
    text.truncate(length);
    text
}

/// What sealing one chunk takes, made before the counting begins.
struct Sealing {
    keys: Arc<VaultKeys>,
    id: ChunkId,
    plaintext: Vec<u8>,
    compressor: Compressor,
    rng: ChaCha20Rng,
    out: Vec<u8>,
}

fn sealing(plaintext: Vec<u8>) -> Sealing {
    let keys = keys();
    Sealing {
        id: keys.chunk_id(KIND, &plaintext),
        out: Vec::with_capacity(2 * plaintext.len() + 1_024),
        compressor: Compressor::new(CompressionLevel::default()),
        rng: ChaCha20Rng::seed_from_u64(3),
        plaintext,
        keys,
    }
}

impl Sealing {
    fn seal(&mut self) {
        let Self {
            keys,
            id,
            plaintext,
            compressor,
            rng,
            out,
        } = self;
        keys.seal_chunk(1, KIND, id, plaintext, compressor, rng, out)
            .expect("a chunk of a length that its kind allows");
    }
}

fn sealed(plaintext: Vec<u8>) -> (Sealing, Decompressor) {
    let mut sealing = sealing(plaintext);
    sealing.seal();
    (sealing, Decompressor::default())
}

fn chunker() -> (Chunker, Vec<u8>) {
    let chunker = Chunker::new(keys().file_chunker(), ChunkSizes::FILE_DATA);
    (chunker, noise(8 << 20))
}

#[library_benchmark]
#[bench::eight_mebibytes(chunker())]
fn cut((chunker, bytes): (Chunker, Vec<u8>)) -> usize {
    let mut rest = black_box(bytes.as_slice());
    let mut chunks = 0;
    while !rest.is_empty() {
        rest = &rest[chunker.cut(rest)..];
        chunks += 1;
    }
    chunks
}

#[library_benchmark]
#[bench::mebibyte((keys(), noise(1 << 20)))]
#[bench::kibibyte((keys(), noise(1 << 10)))]
fn name((keys, bytes): (Arc<VaultKeys>, Vec<u8>)) -> ChunkId {
    keys.chunk_id(KIND, black_box(&bytes))
}

#[library_benchmark]
#[bench::mebibyte_of_noise(sealing(noise(1 << 20)))]
#[bench::mebibyte_of_words(sealing(words(1 << 20)))]
#[bench::kibibyte_of_words(sealing(words(1 << 10)))]
fn seal(mut sealing: Sealing) -> Sealing {
    sealing.seal();
    sealing
}

#[library_benchmark]
#[bench::mebibyte_of_noise(sealed(noise(1 << 20)))]
#[bench::mebibyte_of_words(sealed(words(1 << 20)))]
#[bench::kibibyte_of_words(sealed(words(1 << 10)))]
fn open((sealing, mut decompressor): (Sealing, Decompressor)) -> Plaintext {
    let Sealing { keys, id, out, .. } = &sealing;
    keys.open_chunk_with(1, KIND, id, black_box(out).to_vec(), &mut decompressor)
        .expect("what was just sealed opens")
}

fn filled(chunks: usize) -> PackBuilder {
    let keys = keys();
    let chunk = noise(1 << 20);
    let id = keys.chunk_id(KIND, &chunk);
    let mut builder = PackBuilder::new(keys, 1);
    for _ in 0..chunks {
        builder.push(KIND, &id, &chunk).expect("there is room");
    }
    builder
}

fn finished(chunks: usize) -> FinishedPack {
    filled(chunks).finish(&mut ChaCha20Rng::seed_from_u64(4))
}

#[library_benchmark]
#[bench::full(filled(15))]
#[bench::half_filler(filled(9))]
fn finish_pack(builder: PackBuilder) -> FinishedPack {
    builder.finish(&mut ChaCha20Rng::seed_from_u64(4))
}

#[library_benchmark]
#[bench::full((keys(), finished(15)))]
fn list_pack((keys, pack): (Arc<VaultKeys>, FinishedPack)) -> usize {
    read_pack_entries(&keys, 1, &pack.id, black_box(&pack.bytes))
        .expect("what was just packed can be read")
        .len()
}

library_benchmark_group!(name = chunks; benchmarks = cut, name, seal, open);
library_benchmark_group!(name = packs; benchmarks = finish_pack, list_pack);

main!(library_benchmark_groups = chunks, packs);
