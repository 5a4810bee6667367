//! Snapshots and the catalog.

use proptest::prelude::*;
use prost::Message;
use vault_core::catalog::{
    AddSnapshotError, Catalog, CatalogError, MAX_CATALOG_LEN, ReadSnapshotsError, Series,
    SeriesKind,
};
use vault_core::chunk::ChunkKind;
use vault_core::snapshot::{
    MAX_SNAPSHOT_LEN, SeriesId, Snapshot, SnapshotError, SnapshotFields, Totals,
};
use vault_core::stream::{ReadError, StreamError, StreamRef};
use vault_core::timestamp::Timestamp;
use vault_proto::ids::DeviceId;
use vault_proto::wire;

use crate::memory::{Memory, SmallChunks, chunk_id, write_small};

const HOME: SeriesId = SeriesId::from_array([1; 16]);
const WORK: SeriesId = SeriesId::from_array([2; 16]);

pub fn fields(series: SeriesId, number: u64, complete: bool) -> SnapshotFields {
    let seconds = 1_767_225_600 + number as i64;
    SnapshotFields {
        series,
        started: Timestamp::new(seconds, 0).unwrap(),
        finished: Timestamp::new(seconds + 60, 7).unwrap(),
        tree: StreamRef::EMPTY,
        paths: vec![b"/etc".to_vec(), b"/home/ada".to_vec()],
        device: DeviceId::from_array([9; 32]),
        device_name: "laptop".to_owned(),
        complete,
        totals: Totals {
            files: number,
            directories: 2,
            others: 3,
            bytes: 4,
        },
        left_out: 0,
        program: "coffre 0.1.0".to_owned(),
    }
}

fn snapshot(series: SeriesId, number: u64, complete: bool) -> Snapshot {
    Snapshot::new(fields(series, number, complete)).unwrap()
}

pub fn catalog() -> Catalog {
    let mut catalog = Catalog::EMPTY;
    for (id, name) in [(WORK, "work"), (HOME, "home")] {
        let series = Series::new(id, name.to_owned(), SeriesKind::Backup).unwrap();
        catalog.add_series(series).unwrap();
    }
    catalog
}

pub fn add(catalog: &Catalog, snapshot: &Snapshot, memory: &Memory) -> Catalog {
    let (mut source, mut sink) = (memory.clone(), memory.clone());
    let (chunker, lists) = (SmallChunks::LISTS, SmallChunks::LISTS);
    catalog
        .add_snapshot(snapshot, chunker, lists, &mut source, &mut sink)
        .unwrap()
}

fn all(
    catalog: &Catalog,
    memory: &Memory,
) -> Result<Vec<Snapshot>, ReadSnapshotsError<crate::memory::MemoryError>> {
    let mut reader = catalog.snapshots();
    let mut snapshots = Vec::new();
    while let Some(snapshot) = reader.next(&mut memory.clone())? {
        snapshots.push(snapshot);
    }
    Ok(snapshots)
}

proptest! {
    #[test]
    fn a_snapshot_is_read_as_it_was_written(
        number: u32,
        complete: bool,
        left_out: u64,
        paths in prop::collection::btree_set("(/[a-z.]{3,8}){1,4}", 0..5),
        at: prop::sample::Index,
        flip in 1_u8..,
    ) {
        let snapshot = Snapshot::new(SnapshotFields {
            left_out,
            paths: paths.into_iter().filter(|path| !path.contains("...")).map(Vec::from).collect(),
            ..fields(HOME, number.into(), complete)
        })
        .unwrap();
        let bytes = snapshot.encode();
        prop_assert_eq!(Snapshot::decode(&bytes), Ok(snapshot.clone()));
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= flip;
        if let Ok(other) = Snapshot::decode(&flipped) {
            prop_assert_eq!(other.encode(), flipped);
            prop_assert_ne!(other.id(&chunk_id), snapshot.id(&chunk_id));
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(snapshot) = Snapshot::decode(&bytes) {
            prop_assert_eq!(snapshot.encode(), bytes.clone());
        }
        if let Ok(catalog) = Catalog::decode(&bytes) {
            prop_assert_eq!(catalog.encode(), bytes);
        }
    }

    #[test]
    fn changed_catalogs_are_refused_or_others(
        snapshots in 0_u64..40,
        at: prop::sample::Index,
        flip in 1_u8..,
    ) {
        let memory = Memory::new();
        let catalog = (0..snapshots)
            .fold(catalog(), |catalog, n| add(&catalog, &snapshot(HOME, n, true), &memory));
        let mut bytes = catalog.encode();
        prop_assert_eq!(Catalog::decode(&bytes), Ok(catalog));
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(other) = Catalog::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}

#[test]
fn a_snapshot_says_what_it_is() {
    let snapshot = snapshot(HOME, 7, false);
    assert_eq!(snapshot.series(), HOME);
    assert!(!snapshot.is_complete());
    assert_eq!(snapshot.tree(), &StreamRef::EMPTY);
    assert_eq!(snapshot.fields(), &fields(HOME, 7, false));
    let id = snapshot.id(&chunk_id);
    let expected = chunk_id(ChunkKind::Snapshot, &snapshot.encode());
    assert_eq!(id.as_bytes(), expected.as_bytes());
    assert_eq!(id.to_string().len(), 64);
}

/// A snapshot's message, changed.
fn changed(change: impl FnOnce(&mut wire::Snapshot)) -> Result<Snapshot, SnapshotError> {
    let bytes = snapshot(HOME, 1, true).encode();
    let mut snapshot = wire::Snapshot::decode(bytes.as_slice()).unwrap();
    change(&mut snapshot);
    Snapshot::decode(&snapshot.encode_to_vec())
}

#[test]
fn hostile_snapshots_are_refused() {
    assert!(changed(|_| {}).is_ok());
    let refused = |change: &dyn Fn(&mut wire::Snapshot)| changed(change).unwrap_err();
    assert_eq!(refused(&|s| s.started = None), SnapshotError::Missing);
    assert_eq!(refused(&|s| s.finished = None), SnapshotError::Missing);
    assert_eq!(refused(&|s| s.tree = None), SnapshotError::Missing);
    assert_eq!(refused(&|s| s.totals = None), SnapshotError::Missing);
    assert_eq!(refused(&|s| s.series = vec![1; 15]), SnapshotError::Series);
    assert_eq!(refused(&|s| s.device = vec![1; 33]), SnapshotError::Device);
    let late = wire::Timestamp {
        seconds: 0,
        nanoseconds: 1_000_000_000,
    };
    assert_eq!(refused(&|s| s.started = Some(late)), SnapshotError::Time);
    assert_eq!(refused(&|s| s.finished = Some(late)), SnapshotError::Time);
    let lie = wire::Stream {
        length: 1,
        ..wire::Stream::default()
    };
    let tree = refused(&|s| s.tree = Some(lie.clone()));
    assert_eq!(tree, SnapshotError::Tree(StreamError::Length));
    for bad in ["a\nb", "\u{1b}[2J", &"x".repeat(256)] {
        assert_eq!(
            refused(&|s| s.device_name = bad.into()),
            SnapshotError::Label
        );
        assert_eq!(refused(&|s| s.program = bad.into()), SnapshotError::Label);
    }
    let longest = MAX_SNAPSHOT_LEN / 4_000;
    let many = |count: usize| {
        (0..count)
            .map(|n| format!("/{n:04}{}", "x".repeat(4_000)).into())
            .collect::<Vec<_>>()
    };
    assert!(changed(|s| s.paths = many(longest - 1)).is_ok());
    assert!(changed(|s| s.paths = many(longest + 1)).is_err());
    let paths = many(longest + 1);
    let long = Snapshot::new(SnapshotFields {
        paths,
        ..fields(HOME, 1, true)
    });
    assert_eq!(long, Err(SnapshotError::TooLong));
}

#[test]
fn paths_are_absolute_shortest_and_ordered() {
    let with = |paths: &[&str]| {
        changed(|s| s.paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect())
    };
    for good in [&["/"][..], &[], &["/a", "/a/b", "/b"], &["/...", "/a b"]] {
        assert!(with(good).is_ok(), "{good:?}");
    }
    let bad = [
        &["a"][..],
        &[""],
        &["/a/"],
        &["//a"],
        &["/a//b"],
        &["/a/.."],
        &["/./a"],
        &["/a\0"],
        &["/b", "/a"],
        &["/a", "/a"],
    ];
    for bad in bad {
        assert_eq!(with(bad), Err(SnapshotError::Paths), "{bad:?}");
    }
}

#[test]
fn a_catalog_keeps_its_snapshots_in_order() {
    let memory = Memory::new();
    let mut catalog = catalog();
    let mut snapshots = Vec::new();
    for n in 0..300 {
        let series = if n % 3 == 0 { WORK } else { HOME };
        snapshots.push(snapshot(series, n, n % 5 != 4));
        memory.take_writes();
        catalog = add(&catalog, &snapshots[n as usize], &memory);
        assert!(memory.take_writes() <= 20, "at {n}");
    }
    assert_eq!(catalog.snapshot_count(), 300);
    assert_eq!(Catalog::decode(&catalog.encode()), Ok(catalog.clone()));
    assert_eq!(all(&catalog, &memory).as_ref(), Ok(&snapshots));

    let latest = |series| {
        catalog
            .latest_complete(series, &mut memory.clone())
            .unwrap()
    };
    assert_eq!(latest(None).as_ref(), Some(&snapshots[298]));
    assert_eq!(latest(Some(WORK)).as_ref(), Some(&snapshots[297]));
    assert_eq!(latest(Some(SeriesId::from_array([3; 16]))), None);
    assert_eq!(
        Catalog::EMPTY.latest_complete(None, &mut memory.clone()),
        Ok(None)
    );
}

#[test]
fn series_have_one_id_and_one_name_each() {
    let mut catalog = catalog();
    let ids: Vec<_> = catalog.series().iter().map(Series::id).collect();
    assert_eq!(ids, [HOME, WORK]);
    assert_eq!(catalog.series_by_name("work").map(Series::id), Some(WORK));
    assert_eq!(catalog.series_by_id(HOME).map(Series::name), Some("home"));
    let before = catalog.clone();
    let mut add = |id, name: &str| {
        let series = Series::new(id, name.to_owned(), SeriesKind::Synced).unwrap();
        catalog.add_series(series.without_deduplication())
    };
    let other = SeriesId::from_array([0; 16]);
    assert_eq!(add(HOME, "other"), Err(CatalogError::SeriesId));
    assert_eq!(add(other, "home"), Err(CatalogError::NameTaken));
    assert_eq!(add(other, "other"), Ok(()));
    assert_ne!(catalog, before);
    let added = catalog.series_by_id(other).unwrap();
    assert!(!added.is_deduplicated());
    assert_eq!(added.kind(), SeriesKind::Synced);
    assert_eq!(Catalog::decode(&catalog.encode()), Ok(catalog));

    for bad in ["", "a\nb", &"x".repeat(4_097)] {
        let series = Series::new(other, bad.to_owned(), SeriesKind::Backup);
        assert_eq!(series, Err(CatalogError::SeriesName));
    }
}

#[test]
fn a_catalog_has_a_greatest_length() {
    let mut catalog = Catalog::EMPTY;
    let result = (0_u64..).find_map(|n| {
        let id = SeriesId::from_slice(&[n.to_be_bytes(); 2].concat()).unwrap();
        let name = format!("{n:4096}");
        let series = Series::new(id, name, SeriesKind::Backup).unwrap();
        catalog.add_series(series).err()
    });
    assert_eq!(result, Some(CatalogError::TooLong));
    assert!(catalog.encode().len() <= MAX_CATALOG_LEN);
    assert_eq!(Catalog::decode(&catalog.encode()), Ok(catalog));
}

/// A catalog's message with a snapshot in it, changed.
fn changed_catalog(change: impl FnOnce(&mut wire::Catalog)) -> Result<Catalog, CatalogError> {
    let catalog = add(&catalog(), &snapshot(HOME, 1, true), &Memory::new());
    let mut catalog = wire::Catalog::decode(catalog.encode().as_slice()).unwrap();
    change(&mut catalog);
    Catalog::decode(&catalog.encode_to_vec())
}

#[test]
fn hostile_catalogs_are_refused() {
    assert!(changed_catalog(|_| {}).is_ok());
    let refused = |change: &dyn Fn(&mut wire::Catalog)| changed_catalog(change).unwrap_err();
    assert_eq!(refused(&|c| c.snapshots = None), CatalogError::Missing);
    assert_eq!(refused(&|c| c.series.swap(0, 1)), CatalogError::SeriesId);
    assert_eq!(
        refused(&|c| c.series[0].id = vec![1; 17]),
        CatalogError::SeriesId
    );
    assert_eq!(
        refused(&|c| c.series[1].id = vec![1; 16]),
        CatalogError::SeriesId
    );
    assert_eq!(
        refused(&|c| c.series[1].name = "home".into()),
        CatalogError::NameTaken
    );
    assert_eq!(
        refused(&|c| c.series[1].name = String::new()),
        CatalogError::SeriesName
    );
    for kind in [0, 3, -1] {
        assert_eq!(
            refused(&|c| c.series[0].kind = kind),
            CatalogError::SeriesKind
        );
    }
    assert_eq!(refused(&|c| c.snapshot_count = 0), CatalogError::Count);
    assert_eq!(
        refused(&|c| c.snapshot_count = u64::MAX),
        CatalogError::Count
    );
    let empty = refused(&|c| c.snapshots = Some(wire::Stream::default()));
    assert_eq!(empty, CatalogError::Count);
    let lie = refused(&|c| c.snapshots.as_mut().unwrap().length += 1);
    assert_eq!(lie, CatalogError::Snapshots(StreamError::Length));
}

#[test]
fn hostile_snapshot_streams_are_refused() {
    let memory = Memory::new();
    let one = snapshot(HOME, 1, true);
    let record = |snapshot: &Snapshot| {
        let encoded = snapshot.encode();
        let mut record = Vec::new();
        prost::encoding::encode_varint(encoded.len() as u64, &mut record);
        record.extend(encoded);
        record
    };
    let read = |bytes: &[u8], count| {
        let stream = write_small(ChunkKind::Snapshot, bytes, &memory);
        let catalog = changed_catalog(|catalog| {
            catalog.snapshots = Some(stream.to_wire());
            catalog.snapshot_count = count;
        });
        all(&catalog.unwrap(), &memory).map(|snapshots| snapshots.len())
    };
    let two = record(&one).repeat(2);
    assert_eq!(read(&two, 2), Ok(2));
    assert_eq!(read(&two, 1), Err(ReadSnapshotsError::Count));
    assert_eq!(read(&two, 3), Err(ReadSnapshotsError::Count));
    let bad_record = ReadSnapshotsError::Read(ReadError::Stream(StreamError::Record));
    assert_eq!(read(&two[..two.len() - 1], 2), Err(bad_record));
    let unknown = record(&snapshot(SeriesId::from_array([5; 16]), 1, true));
    assert_eq!(read(&unknown, 1), Err(ReadSnapshotsError::UnknownSeries));
    let mut flipped = two.clone();
    flipped[2] ^= 0x10;
    assert!(matches!(
        read(&flipped, 2),
        Err(ReadSnapshotsError::Snapshot(_))
    ));
}

#[test]
fn a_snapshot_of_no_series_is_not_added() {
    let memory = Memory::new();
    let (mut source, mut sink) = (memory.clone(), memory.clone());
    let (chunker, lists) = (SmallChunks::LISTS, SmallChunks::LISTS);
    let snapshot = snapshot(HOME, 1, true);
    let added = Catalog::EMPTY.add_snapshot(&snapshot, chunker, lists, &mut source, &mut sink);
    assert_eq!(added, Err(AddSnapshotError::UnknownSeries));
    assert_eq!(memory.take_writes(), 0);
}
