//! How fast a tree is looked through when nothing in it changed, and a
//! directory of a million entries listed.
//!
//! ```sh
//! cargo bench -p vault-client --bench files
//! ```
#![allow(missing_docs, reason = "criterion's macros")]

use std::{
    fs::{self, File},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vault_client::files::{Directory, RecordBuilder, Roots, Settled, StatCache, Walk, WalkOptions};
use vault_core::{stream::StreamRef, timestamp::Timestamp};

const DIRECTORIES: usize = 10_000;
const FILES_IN_EACH: usize = 10;
const SERIES: [u8; 16] = [1; 16];

/// Bytes of an ordinary file's encoded node.
const NODE_LEN: usize = 110;

fn make_tree(tree: &Path) {
    for n in 0..DIRECTORIES {
        let directory = tree.join(format!("group-{:02}/directory-{n:05}", n / 100));
        fs::create_dir_all(&directory).expect("the temporary directory is writable");
        for file in 0..FILES_IN_EACH {
            let path = directory.join(format!("document-{file}.txt"));
            fs::write(path, "x").expect("the temporary directory is writable");
        }
    }
}

fn options() -> WalkOptions {
    WalkOptions {
        threads: NonZeroUsize::new(2).expect("two is not zero"),
        ..WalkOptions::default()
    }
}

/// Fills the cache as a backup does that begins long after all changes.
fn fill(cache: &StatCache, roots: &Roots) {
    let started = Timestamp::new(4_000_000_000, 0).expect("a time");
    let walk = Walk::start(roots, options(), |_| ()).expect("/ can be opened");
    let mut records = Vec::new();
    for visited in walk {
        let mut record = RecordBuilder::new(visited.path(), started);
        for entry in visited.listing.iter() {
            record.push(entry.name, &entry.stat, Settled::Yes, &[7; NODE_LEN]);
        }
        records.push(record.finish(&StreamRef::EMPTY, 1));
    }
    cache.store(&SERIES, records);
}

fn unchanged(c: &mut Criterion) {
    let base = tempfile::tempdir().expect("there is a temporary directory");
    let tree = base.path().join("tree");
    make_tree(&tree);
    let roots = Roots::resolve(&[&tree]).expect("the tree is there");
    let cache = Arc::new(StatCache::open(&base.path().join("cache.sqlite")));
    fill(&cache, &roots);
    let mut group = c.benchmark_group("100,000 unchanged files in 10,000 directories, 2 threads");
    group.throughput(Throughput::Elements((DIRECTORIES * FILES_IN_EACH) as u64));
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(10));
    group.bench_function("list and look at", |b| {
        b.iter(|| Walk::start(&roots, options(), |_| ()).map(Iterator::count));
    });
    group.bench_function("list, look at and compare", |b| {
        b.iter(|| {
            let cache = Arc::clone(&cache);
            let walk = Walk::start(&roots, options(), move |listed| {
                let cached = cache.load_directory(&SERIES, listed.path)?;
                Some(cached.compare(listed.listing))
            });
            walk.map(Iterator::count)
        });
    });
    group.finish();
}

fn million(c: &mut Criterion) {
    let base = tempfile::tempdir().expect("there is a temporary directory");
    for n in 0..1_000_000 {
        let path = base.path().join(format!("mail-{n:07}.eml"));
        File::create(path).expect("the temporary directory is writable");
    }
    let directory = Directory::open(base.path()).expect("it was just made");
    let mut group = c.benchmark_group("a directory of a million entries");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20));
    group.bench_function("list and look at", |b| {
        b.iter(|| directory.list(|_, _| true).map(|listing| listing.len()));
    });
    group.finish();
}

criterion_group!(benches, unchanged, million);
criterion_main!(benches);
