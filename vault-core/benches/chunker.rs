//! How fast streams are cut, beside the fastest that AES-128 would allow.
//!
//! `cargo bench -p vault-core --bench chunker`. For the portable code:
//! `RUSTFLAGS='--cfg aes_backend="soft"'`.
#![allow(missing_docs, reason = "a program")]
#![expect(clippy::print_stdout, reason = "the ceiling stands beside the figure")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use aes::{
    Aes128, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vault_core::chunker::{ChunkSizes, Chunker, ChunkerKeys};

const STREAM_LEN: usize = 64 << 20;
const KEYS: ChunkerKeys = ChunkerKeys::new(&[1; 32], &[2; 16]);

fn random_stream() -> Vec<u8> {
    let mut stream = vec![0; STREAM_LEN];
    blake3::Hasher::new().finalize_xof().fill(&mut stream);
    stream
}

/// Words of a small vocabulary, in lines: few byte values, much repetition.
fn text_stream() -> Vec<u8> {
    let mut choices = vec![0; STREAM_LEN / 4];
    blake3::Hasher::new().finalize_xof().fill(&mut choices);
    let words = "the a vault chunk pack of device member and index epoch head is to stream in";
    let words: Vec<_> = words.split(' ').collect();
    let mut stream = Vec::with_capacity(STREAM_LEN + 16);
    for choice in choices.into_iter().cycle() {
        stream.extend_from_slice(words[usize::from(choice) % words.len()].as_bytes());
        stream.push(if choice > 240 { b'\n' } else { b' ' });
        if stream.len() >= STREAM_LEN {
            stream.truncate(STREAM_LEN);
            return stream;
        }
    }
    unreachable!("the choices repeat for ever")
}

fn cut_all(chunker: &Chunker, mut stream: &[u8]) -> usize {
    let mut chunks = 0;
    while !stream.is_empty() {
        stream = &stream[chunker.cut(stream)..];
        chunks += 1;
    }
    chunks
}

/// Short pieces of both by turns and the best of each, so that other work on
/// the machine disturbs neither or both.
fn beside_the_ceiling(stream: &[u8]) {
    const BLOCKS: usize = 1024;
    const TURNS: usize = 64;
    let cipher = Aes128::new(&[2; 16].into());
    let chunker = Chunker::new(&KEYS, ChunkSizes::FILE_DATA);
    let mut blocks = [Block::default(); BLOCKS];
    let mut candidates = Vec::new();
    let (mut scanned, mut encrypted) = (Duration::MAX, Duration::MAX);
    for stream in stream.chunks_exact(BLOCKS * TURNS).cycle().take(4000) {
        let began = Instant::now();
        candidates.clear();
        chunker.candidates(stream, 0, &mut candidates);
        black_box(&candidates);
        scanned = scanned.min(began.elapsed());

        let began = Instant::now();
        for _ in 0..TURNS {
            cipher.encrypt_blocks(black_box(&mut blocks));
        }
        encrypted = encrypted.min(began.elapsed());
    }
    let billions = |time: Duration| (BLOCKS * TURNS) as f64 / time.as_secs_f64() / 1e9;
    let sizes = ChunkSizes::FILE_DATA;
    let passed = sizes.avg() as f64 / (sizes.avg() - sizes.min()) as f64;
    println!(
        "positions scanned  {:.3} G/s, with the lengths of file data {:.3} GB/s",
        billions(scanned),
        billions(scanned) * passed,
    );
    println!(
        "AES-128 in bulk    {:.3} G blocks/s, a ceiling of {:.3} GB/s ({})",
        billions(encrypted),
        billions(encrypted) * passed,
        if aes::hardware_accelerated() {
            "hardware"
        } else {
            "portable"
        },
    );
}

fn chunker(criterion: &mut Criterion) {
    let random = random_stream();
    let text = text_stream();
    beside_the_ceiling(&random);

    let mut group = criterion.benchmark_group("chunker");
    group
        .sample_size(20)
        .throughput(Throughput::Bytes(STREAM_LEN as u64));
    for (name, sizes) in [
        ("file data", ChunkSizes::FILE_DATA),
        ("metadata", ChunkSizes::METADATA),
        ("catalog", ChunkSizes::CATALOG),
    ] {
        let chunker = Chunker::new(&KEYS, sizes);
        for (kind, stream) in [("random", &random), ("text", &text)] {
            group.bench_function(format!("{name}, {kind}"), |bencher| {
                bencher.iter(|| cut_all(&chunker, stream));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, chunker);
criterion_main!(benches);
