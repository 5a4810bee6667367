//! How fast one core hashes, compresses, seals, opens and packs.
//!
//! ```sh
//! cargo bench -p vault-core --bench seal
//! ```
#![allow(missing_docs, reason = "criterion's macros")]

use std::{hint::black_box, sync::Arc};

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use vault_core::{
    chunk::ChunkKind,
    keys::VaultKeys,
    pack::{PackBuilder, read_pack_entries},
    seal::{CompressionLevel, Compressor, Decompressor},
};
use vault_proto::ids::VaultId;

const CHUNK: usize = 1 << 20;
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

/// Compresses about threefold, as documents and programs do.
fn text(length: usize) -> Vec<u8> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let words: Vec<String> = (0..4_000)
        .map(|n| format!("{:x} ", n * n + 7 * n))
        .collect();
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        let n = (rng.next_u32() % 4_000).min(rng.next_u32() % 4_000);
        text.extend_from_slice(words[n as usize].as_bytes());
    }
    text.truncate(length);
    text
}

fn primitives(c: &mut Criterion) {
    let mut group = c.benchmark_group("ceiling");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    let mut bytes = noise(CHUNK);
    group.bench_function("blake3 keyed", |b| {
        b.iter(|| blake3::keyed_hash(&[3; 32], black_box(&bytes)));
    });
    let cipher = XChaCha20Poly1305::new(&[3; 32].into());
    group.bench_function("xchacha20-poly1305 in place", |b| {
        b.iter(|| {
            let buffer = black_box(bytes.as_mut_slice()).into();
            cipher.encrypt_inout_detached(&[4; 24].into(), &[1, 1], buffer)
        });
    });
    for level in [-7, -1, 1, 3, 6, 9] {
        for (name, plaintext) in [("text", text(CHUNK)), ("noise", noise(CHUNK))] {
            let mut context = zstd::bulk::Compressor::new(level).unwrap();
            let mut out = Vec::with_capacity(2 * CHUNK);
            group.bench_function(format!("zstd {level} {name}"), |b| {
                b.iter(|| context.compress_to_buffer(black_box(&plaintext), &mut out));
            });
        }
    }
}

fn chunks(c: &mut Criterion) {
    let keys = keys();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut compressor = Compressor::new(CompressionLevel::default());
    let mut decompressor = Decompressor::default();
    let mut group = c.benchmark_group("chunk");
    let cases = [
        ("noise 1 MiB", noise(CHUNK)),
        ("text 1 MiB", text(CHUNK)),
        ("noise 32 KiB", noise(32 << 10)),
        ("text 32 KiB", text(32 << 10)),
        ("text 1 KiB", text(1 << 10)),
    ];
    for (name, plaintext) in &cases {
        group.throughput(Throughput::Bytes(plaintext.len() as u64));
        let id = keys.chunk_id(KIND, plaintext);
        group.bench_function(format!("id {name}"), |b| {
            b.iter(|| keys.chunk_id(KIND, black_box(plaintext)));
        });
        let mut out = Vec::with_capacity(2 * CHUNK);
        group.bench_function(format!("seal {name}"), |b| {
            b.iter(|| {
                out.clear();
                let plaintext = black_box(plaintext);
                keys.seal_chunk(1, KIND, &id, plaintext, &mut compressor, &mut rng, &mut out)
            });
        });
        group.bench_function(format!("open {name}"), |b| {
            b.iter(|| {
                keys.open_chunk_with(1, KIND, &id, black_box(&out).clone(), &mut decompressor)
            });
        });
    }
}

fn packs(c: &mut Criterion) {
    let keys = keys();
    let mut group = c.benchmark_group("pack");
    group.sample_size(20);
    let sealed = noise(CHUNK);
    let id = keys.chunk_id(KIND, &sealed);
    let fill = |chunks: usize| {
        let mut builder = PackBuilder::new(keys.clone(), 1);
        for _ in 0..chunks {
            builder.push(KIND, &id, &sealed).unwrap();
        }
        builder
    };
    for (name, chunks) in [("15 MiB", 15), ("9 MiB", 9)] {
        group.throughput(Throughput::Bytes(16 << 20));
        group.bench_function(format!("push and finish {name}"), |b| {
            b.iter_batched(
                || ChaCha20Rng::seed_from_u64(4),
                |mut rng| fill(chunks).finish(&mut rng),
                BatchSize::PerIteration,
            );
        });
    }
    let pack = fill(15).finish(&mut ChaCha20Rng::seed_from_u64(5));
    group.bench_function("list 16 MiB", |b| {
        b.iter(|| read_pack_entries(&keys, 1, &pack.id, black_box(&pack.bytes)));
    });
}

criterion_group!(benches, primitives, chunks, packs);
criterion_main!(benches);
