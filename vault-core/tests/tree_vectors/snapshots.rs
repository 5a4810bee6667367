//! Snapshots.

use prost::Message;
use serde_json::{Value, json};
use vault_core::snapshot::{SeriesId, Snapshot, SnapshotFields, Totals};
use vault_core::timestamp::Timestamp;
use vault_proto::ids::DeviceId;
use vault_proto::wire;

use super::{Described, File, Vector, changed, hex, refused, streams::stream_of, vector, with};
use crate::memory::{Memory, chunk_id};

pub const FILE: File = File {
    name: "snapshot",
    about: "bytes: an encoded coffre.v1.Snapshot. Its id is that of a chunk of kind 6 with \
            these bytes; here the BLAKE3 keyed hash under 32 times the byte 6.",
    describe,
    make,
};

fn describe(bytes: &[u8], _: &Value) -> Described {
    let snapshot = Snapshot::decode(bytes).map_err(refused)?;
    assert_eq!(snapshot.encode(), bytes);
    let fields = snapshot.fields();
    let time = |time: Timestamp| json!([time.seconds(), time.nanoseconds()]);
    Ok(json!({
        "id": snapshot.id(&chunk_id).to_string(),
        "series": fields.series.to_string(),
        "started": time(fields.started),
        "finished": time(fields.finished),
        "tree": hex(&fields.tree.to_wire().encode_to_vec()),
        "paths": fields.paths.iter().map(|path| hex(path)).collect::<Vec<_>>(),
        "device": fields.device.to_string(),
        "device_name": fields.device_name,
        "complete": fields.complete,
        "totals": {
            "files": fields.totals.files,
            "directories": fields.totals.directories,
            "others": fields.totals.others,
            "bytes": fields.totals.bytes,
        },
        "left_out": fields.left_out,
        "program": fields.program,
    }))
}

pub fn snapshot(complete: bool) -> Snapshot {
    Snapshot::new(SnapshotFields {
        series: SeriesId::from_array([0x33; 16]),
        started: Timestamp::new(1_767_225_600, 1).unwrap(),
        finished: Timestamp::new(1_767_225_660, 2).unwrap(),
        tree: stream_of(30, &Memory::new()),
        paths: vec![b"/etc".to_vec(), b"/home/\xff".to_vec()],
        device: DeviceId::from_array([0x44; 32]),
        device_name: "ordinateur d\u{2019}Ad\u{e8}le".to_owned(),
        complete,
        totals: Totals {
            files: 1,
            directories: 2,
            others: 3,
            bytes: 30,
        },
        left_out: u64::from(complete),
        program: "coffre 0.1.0".to_owned(),
    })
    .unwrap()
}

fn make() -> Vec<Vector> {
    let good = snapshot(true).encode();
    let empty = changed(&good, |s: &mut wire::Snapshot| {
        s.tree = Some(wire::Stream::default());
        s.paths = vec![b"/".to_vec()];
        s.totals = Some(wire::Totals::default());
        s.left_out = 0;
    });
    let mut vectors = vec![
        vector("a snapshot", good.clone()),
        vector("a checkpoint", snapshot(false).encode()),
        vector("a snapshot of nothing", empty),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::Snapshot)| {
        vectors.push(vector(name, changed(&good, change)));
    };
    bad("a series of 15 bytes", &|s| s.series = vec![1; 15]);
    bad("a device of 31 bytes", &|s| s.device = vec![1; 31]);
    bad("no beginning", &|s| s.started = None);
    bad("no tree", &|s| s.tree = None);
    bad("no totals", &|s| s.totals = None);
    bad("a second of nanoseconds", &|s| {
        s.finished.as_mut().unwrap().nanoseconds = 1_000_000_000
    });
    bad("paths out of order", &|s| s.paths.reverse());
    bad("a relative path", &|s| s.paths = vec![b"etc".to_vec()]);
    bad("a path with ..", &|s| {
        s.paths = vec![b"/etc/../home".to_vec()]
    });
    bad("a path that ends in a slash", &|s| {
        s.paths = vec![b"/etc/".to_vec()]
    });
    bad("a name with an escape", &|s| {
        s.device_name = "\u{1b}[2J".to_owned()
    });
    bad("a program of two lines", &|s| s.program = "a\nb".to_owned());
    bad("a tree that lies", &|s| {
        s.tree.as_mut().unwrap().length += 1
    });
    vectors.push(vector(
        "bytes that are cut off",
        good[..good.len() - 1].to_vec(),
    ));
    vectors.push(vector("an unknown field", with(&good, &[0x78, 1])));
    vectors
}
