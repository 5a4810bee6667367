"""Snapshots and the catalog (part 4, "Snapshots", "Catalog")."""

from __future__ import annotations

from typing import Iterator

from ..crypto.hashing import keyed_hash
from ..public.text import is_line
from ..refusal import require
from ..secret.keys import MOST_BYTES, SNAPSHOT as SNAPSHOT_KIND, TREE, CATALOG as CATALOG_KIND
from ..sealed_messages import CATALOG, SNAPSHOT
from ..wire import Record, decode
from .nodes import is_absolute_path, is_time
from .streams import MOST_RECORD_BYTES, Source, check_stream, read_records, read_stream


def decode_snapshot(encoded: bytes) -> Record:
    """A snapshot by all rules of the table."""
    require(len(encoded) <= MOST_RECORD_BYTES, "Record")
    snapshot = decode(SNAPSHOT, encoded)
    require(len(snapshot.series) == 16, "Series")
    for field in (snapshot.started, snapshot.finished, snapshot.tree, snapshot.totals):
        require(field is not None, "Missing")
    require(is_time(snapshot.started) and is_time(snapshot.finished), "Time")
    check_stream(snapshot.tree, TREE)
    paths = snapshot.paths
    require(all(map(is_absolute_path, paths)), "Paths")
    require(all(a < b for a, b in zip(paths, paths[1:])), "Paths")
    require(len(snapshot.device) == 32, "Device")
    require(is_line(snapshot.device_name, 0, 255), "Label")
    require(is_line(snapshot.program, 0, 255), "Label")
    return snapshot


def snapshot_id(chunk_id_key: bytes, encoded: bytes) -> str:
    """The chunk id of kind *snapshot* of the encoding, in hexadecimal."""
    return keyed_hash(chunk_id_key, encoded).hex()


def decode_catalog(encoded: bytes) -> Record:
    """What can be told of a catalog without its stream of snapshots."""
    require(len(encoded) <= MOST_BYTES[CATALOG_KIND], "TooLarge")
    catalog = decode(CATALOG, encoded)
    ids = [one.id for one in catalog.series]
    require(all(len(id) == 16 for id in ids), "SeriesId")
    require(all(a < b for a, b in zip(ids, ids[1:])), "SeriesId")
    for one in catalog.series:
        require(is_line(one.name, 1, 4096), "SeriesName")
        require(one.kind in (1, 2), "SeriesKind")
    names = {one.name for one in catalog.series}
    require(len(names) == len(catalog.series), "NameTaken")
    require(catalog.snapshots is not None, "Missing")
    check_stream(catalog.snapshots, SNAPSHOT_KIND)
    require(2 * catalog.snapshot_count <= catalog.snapshots.length, "Count")
    require(catalog.snapshot_count > 0 or catalog.snapshots.length == 0, "Count")
    return catalog


def read_snapshots(catalog: Record, source: Source) -> Iterator[tuple[bytes, Record]]:
    """Encoding and snapshot, oldest first; each of a listed series."""
    series = {one.id for one in catalog.series}
    count = 0
    pieces = read_stream(catalog.snapshots, SNAPSHOT_KIND, source)
    for encoded in read_records(pieces):
        count += 1
        require(count <= catalog.snapshot_count, "Count")
        snapshot = decode_snapshot(encoded)
        require(snapshot.series in series, "UnknownSeries")
        yield encoded, snapshot
    require(count == catalog.snapshot_count, "Count")
