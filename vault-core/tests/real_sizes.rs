//! Streams under the chunkers that a vault has: what small changes cost.

use vault_core::catalog::{Catalog, Series, SeriesKind};
use vault_core::chunk::ChunkKind;
use vault_core::chunker::{ChunkSizes, Chunker, ChunkerKeys};
use vault_core::snapshot::{SeriesId, Snapshot};
use vault_core::stream::{StreamRef, StreamWriter, append};
use vault_core::tree::{DirectoryReader, DirectoryWriter, Node};

use crate::catalogs::fields;
use crate::memory::{Memory, read_stream};
use crate::nodes::file;
use crate::support::random_bytes;

fn chunker(sizes: ChunkSizes) -> Chunker {
    Chunker::new(&ChunkerKeys::new(&[1; 32], &[2; 16]), sizes)
}

fn write_directory(nodes: impl IntoIterator<Item = Node>, memory: &Memory) -> StreamRef {
    let mut writer = DirectoryWriter::new(chunker(ChunkSizes::METADATA));
    for node in nodes {
        writer.add(&node, &mut memory.clone()).unwrap();
    }
    writer.finish(&mut memory.clone()).unwrap()
}

#[test]
fn a_large_directory_costs_a_few_chunks_to_change() {
    let memory = Memory::new();
    let names = |n: usize| format!("file {n:06}");
    let nodes = || (0..60_000).map(|n| file(&names(n), (n % 0o777) as u32));
    let before = write_directory(nodes(), &memory);
    assert!(before.depth() >= 1);
    let known = memory.chunks().len();

    let added = file("file 030000 and a half", 0);
    let (first, rest) = (nodes().take(30_001), nodes().skip(30_001));
    let after = write_directory(first.chain([added.clone()]).chain(rest), &memory);
    let new = memory.chunks().len() - known;
    // One or two of its own chunks, and of its list.
    assert!((2..=5).contains(&new), "{new} new chunks");

    let mut reader = DirectoryReader::new(&after);
    let mut count = 0;
    while let Some(node) = reader.next(&mut memory.clone()).unwrap() {
        assert_eq!(node == added, count == 30_001);
        count += 1;
    }
    assert_eq!(count, 60_001);
}

#[test]
fn a_snapshot_more_costs_a_few_small_chunks() {
    let memory = Memory::new();
    let series = SeriesId::from_array([1; 16]);
    let mut catalog = Catalog::EMPTY;
    let home = Series::new(series, "home".to_owned(), SeriesKind::Backup).unwrap();
    catalog.add_series(home).unwrap();
    let [snapshots, lists] = [ChunkSizes::CATALOG, ChunkSizes::METADATA].map(chunker);
    for n in 0..3_000 {
        let snapshot = Snapshot::new(fields(series, n, true)).unwrap();
        let (mut source, mut sink) = (memory.clone(), memory.clone());
        catalog = catalog
            .add_snapshot(&snapshot, &snapshots, &lists, &mut source, &mut sink)
            .unwrap();
        assert!(memory.take_reads() <= 2, "at {n}");
        // The last chunk again, and the end of its list.
        assert!(
            memory.take_written_bytes() <= (16 << 10) + (64 << 10),
            "at {n}"
        );
        assert!(memory.take_writes() <= 4, "at {n}");
    }
    assert!(catalog.snapshot_stream().depth() == 1);
    let mut reader = catalog.snapshots();
    let mut count = 0;
    while let Some(snapshot) = reader.next(&mut memory.clone()).unwrap() {
        assert_eq!(snapshot.fields(), &fields(series, count, true));
        count += 1;
    }
    assert_eq!(count, 3_000);
}

#[test]
fn appending_is_writing_at_once() {
    let memory = Memory::new();
    let [bytes_chunker, list_chunker] = [ChunkSizes::CATALOG, ChunkSizes::METADATA].map(chunker);
    let bytes = random_bytes(9, 900_000);
    let write = |bytes: &[u8]| {
        let kind = ChunkKind::Snapshot;
        let mut writer = StreamWriter::new(kind, &bytes_chunker, &list_chunker);
        writer.write(bytes, &mut memory.clone()).unwrap();
        writer.finish(&mut memory.clone()).unwrap()
    };
    let mut appended = StreamRef::EMPTY;
    let mut end = 0;
    for step in [
        1, 700, 16_384, 5_000, 65_536, 100, 3, 250_000, 40_000, 500_000,
    ]
    .into_iter()
    .cycle()
    {
        if end + step > bytes.len() {
            break;
        }
        let tail = &bytes[end..end + step];
        let (mut source, mut sink) = (memory.clone(), memory.clone());
        let kind = ChunkKind::Snapshot;
        let (chunker, lists) = (&bytes_chunker, &list_chunker);
        appended = append(
            &appended,
            kind,
            chunker,
            lists,
            tail,
            &mut source,
            &mut sink,
        )
        .unwrap();
        end += step;
        assert_eq!(appended, write(&bytes[..end]), "{end} bytes");
    }
    assert_eq!(
        read_stream(ChunkKind::Snapshot, &appended, &memory),
        &bytes[..end]
    );
}
