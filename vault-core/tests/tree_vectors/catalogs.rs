//! Catalogs.

use serde_json::{Value, json};
use vault_core::catalog::{Catalog, Series, SeriesKind};
use vault_core::snapshot::SeriesId;
use vault_proto::wire;

use super::{
    Described, File, Vector, changed, hex, refused,
    snapshots::snapshot,
    streams::{given_chunks, memory_of},
};
use crate::memory::Memory;

pub const FILE: File = File {
    name: "catalog",
    about: "bytes: an encoded coffre.v1.Catalog. given.chunks: as in stream.json.",
    describe,
    make,
};

fn describe(bytes: &[u8], given: &Value) -> Described {
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

fn make() -> Vec<Vector> {
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
