"""Index segments (part 4, "Index")."""

from __future__ import annotations

from dataclasses import dataclass

from ..crypto.hashing import split
from ..refusal import require
from ..secret.chunks import OVERHEAD
from ..secret.keys import INDEX, MOST_BYTES
from ..secret.packs import TRAILER_BYTES, is_pack_size
from ..sealed_messages import INDEX_SEGMENT
from ..wire import Record, count_fields, decode, encode

MOST_ENTRIES = 200_000


@dataclass(frozen=True)
class PackPlace:
    """A pack: its id, epoch and size."""

    pack: bytes
    epoch: int
    size: int


@dataclass(frozen=True)
class Entry:
    """Where a chunk is said to be."""

    chunk_id: bytes
    kind: int
    pack: PackPlace
    offset: int
    sealed_length: int


def _packs(rows: list[Record], own: PackPlace) -> list[PackPlace]:
    """The rows as packs. The first may be the empty message: the segment's own."""
    has_own = bool(rows) and encode(rows[0]) == b""
    listed = rows[1:] if has_own else rows
    for row in listed:
        require(len(row.pack) == 32 and row.pack != own.pack, "OwnPack")
        require(row.epoch >= 1 and is_pack_size(row.size), "Pack")
    ids = [row.pack for row in listed]
    require(all(a < b for a, b in zip(ids, ids[1:])), "Rows")
    packs = [PackPlace(row.pack, row.epoch, row.size) for row in listed]
    return [own, *packs] if has_own else packs


def decode_segment(encoded: bytes, own: PackPlace) -> list[Entry]:
    """The entries of a segment that stands in the pack `own`."""
    require(len(encoded) <= MOST_BYTES[INDEX], "TooLarge")
    require(count_fields(encoded, 1) <= MOST_ENTRIES, "Entries")
    segment = decode(INDEX_SEGMENT, encoded)
    ids = split(segment.chunk_ids)
    require(1 <= len(ids) <= MOST_ENTRIES, "Entries")
    require(len(segment.chunk_ids) == 32 * len(ids) == 32 * len(segment.kinds), "Columns")
    for column in (segment.rows, segment.offsets, segment.sealed_lengths):
        require(len(column) == len(ids), "Columns")
    require(all(a < b for a, b in zip(ids, ids[1:])), "NotAscending")
    packs = _packs(segment.packs, own)
    require(set(segment.rows) == set(range(len(packs))), "Rows")
    columns = zip(ids, segment.kinds, segment.rows, segment.offsets, segment.sealed_lengths)
    entries = [Entry(id, kind, packs[row], at, size) for id, kind, row, at, size in columns]
    for entry in entries:
        require(entry.kind in MOST_BYTES, "Kind")
        most = MOST_BYTES[entry.kind] + OVERHEAD
        require(OVERHEAD <= entry.sealed_length <= most, "Place")
        end = entry.offset + entry.sealed_length
        require(end <= entry.pack.size - TRAILER_BYTES, "Place")
    return entries
