"""Part 4: streams, nodes, directories, snapshots, catalog, settings, segments."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Callable

from ..content import index, nodes, settings, snapshots, streams
from ..crypto.hashing import keyed_hash
from ..public.address import Address
from ..refusal import Refused
from ..sealed_messages import STREAM
from ..secret.keys import SNAPSHOT
from ..wire import Record, decode, encode
from .score import Score, unhex

Vector = dict[str, Any]
NODE_KINDS = {
    nodes.FILE: "file",
    nodes.DIRECTORY: "directory",
    nodes.SYMLINK: "symlink",
    nodes.FIFO: "fifo",
    nodes.SOCKET: "socket",
    nodes.CHARACTER_DEVICE: "character device",
    nodes.BLOCK_DEVICE: "block device",
}
MODES = {1: "TLS_MODE_PINNED", 2: "TLS_MODE_PUBLIC", 3: "TLS_MODE_PROXY"}


def innermost(reason: str) -> str:
    """The last name in a reason such as `Read(Stream(Record))`."""
    return re.findall(r"\w+", reason)[-1]


def check_each(vectors: Vector, score: Score, read: Callable[[Vector], Any]) -> None:
    """Every vector of a file of part 4: `value`, or `refused`."""
    for vector in vectors["vectors"]:
        if "refused" in vector:
            score.refuse(vector["name"], partial(read, vector), innermost(vector["refused"]))
        else:
            score.accept(vector["name"], lambda: [("value", read(vector), vector["value"])])


def _source(vector: Vector) -> streams.Source:
    """The chunks that the vector's source has. A chunk id is here the keyed hash
    under 32 times the kind's byte."""
    chunks = {}
    for one in vector["given"]["chunks"]:
        plaintext = unhex(one["plaintext"])
        assert keyed_hash(bytes([one["kind"]]) * 32, plaintext).hex() == one["id"]
        chunks[one["kind"], unhex(one["id"])] = plaintext

    def source(kind: int, chunk_id: bytes) -> bytes:
        if (kind, chunk_id) not in chunks:
            raise Refused("MissingChunk")
        return chunks[kind, chunk_id]

    return source


def _stream(vector: Vector) -> Vector:
    kind = vector["given"]["kind"]
    stream = streams.check_stream(decode(STREAM, unhex(vector["bytes"])), kind)
    content = b"".join(streams.read_stream(stream, kind, _source(vector)))
    return {"content": content.hex(), "depth": stream.depth, "length": stream.length}


def _time(time: Record) -> list[int]:
    return [time.seconds, time.nanoseconds]


def _content(node: Record) -> Vector:
    value: Vector = {"kind": NODE_KINDS[node.kind]}
    if node.content is not None:
        value["stream"] = encode(node.content).hex()
    if node.kind == nodes.FILE:
        value["size"] = node.size
        value["holes"] = [[hole.offset, hole.length] for hole in node.holes]
    if node.kind == nodes.SYMLINK:
        value["target"] = node.symlink_target.hex()
    if node.kind in nodes.DEVICES:
        value |= {"major": node.device_major, "minor": node.device_minor}
    return value


def _node(vector: Vector) -> Vector:
    node = nodes.decode_node(unhex(vector["bytes"]))
    return {
        "name": node.name.hex(),
        "mode": node.mode,
        "modified": _time(node.modified),
        "uid": node.uid,
        "gid": node.gid,
        "user": node.user.hex(),
        "group": node.group.hex(),
        "xattrs": [[one.name.hex(), one.value.hex()] for one in node.xattrs],
        "content": _content(node),
        "hard_link": node.hard_link.hex() or None,
        "node_id": node.node_id.hex() or None,
    }


def _directory(vector: Vector) -> Vector:
    listed = nodes.read_directory(iter([unhex(vector["bytes"])]))
    return {"nodes": [encode(node).hex() for node in listed]}


def _snapshot(vector: Vector) -> Vector:
    encoded = unhex(vector["bytes"])
    found = snapshots.decode_snapshot(encoded)
    totals = ("files", "directories", "others", "bytes")
    return {
        "id": snapshots.snapshot_id(bytes([SNAPSHOT]) * 32, encoded),
        "series": found.series.hex(),
        "started": _time(found.started),
        "finished": _time(found.finished),
        "tree": encode(found.tree).hex(),
        "paths": [path.hex() for path in found.paths],
        "device": found.device.hex(),
        "device_name": found.device_name,
        "program": found.program,
        "totals": {name: getattr(found.totals, name) for name in totals},
        "left_out": found.left_out,
        "complete": found.complete,
    }


def _catalog(vector: Vector) -> Vector:
    catalog = snapshots.decode_catalog(unhex(vector["bytes"]))
    series = [
        {
            "id": one.id.hex(),
            "name": one.name,
            "kind": {1: "backup", 2: "synced"}[one.kind],
            "is_deduplicated": not one.without_deduplication,
        }
        for one in catalog.series
    ]
    found = snapshots.read_snapshots(catalog, _source(vector))
    return {"series": series, "snapshots": [encoded.hex() for encoded, _ in found]}


def _contact(contact: Record) -> Vector:
    return {
        "address": str(Address(contact.name, contact.origin, contact.account)),
        "hoster": contact.hoster.hex(),
        "verified": contact.verified,
        "seq": contact.position.seq,
        "hash": contact.position.hash.hex(),
    }


def _settings(vector: Vector) -> Vector:
    found = settings.decode_settings(unhex(vector["bytes"]))
    hosters = [
        {
            "hoster": one.hoster.hex(),
            "origin": one.origin,
            "tls_mode": MODES[one.tls_mode],
            "tls_pin": one.tls_pin.hex(),
        }
        for one in found.hosters
    ]
    vaults = [
        {
            "vault": one.vault.hex(),
            "hoster": one.hoster.hex(),
            "name": one.name,
            "deleted": one.deleted,
            "shared_by": one.shared_by or None,
        }
        for one in found.vaults
    ]
    return {
        "hosters": hosters,
        "vaults": vaults,
        "name": found.name or None,
        "contacts": [_contact(one) for one in found.contacts],
    }


def _segment(vector: Vector) -> Vector:
    given = vector["given"]
    own = index.PackPlace(unhex(given["pack"]), given["epoch"], given["size"])
    entries = [
        {
            "chunk": one.chunk_id.hex(),
            "kind": one.kind,
            "pack": one.pack.pack.hex(),
            "epoch": one.pack.epoch,
            "pack_size": one.pack.size,
            "offset": one.offset,
            "sealed_length": one.sealed_length,
        }
        for one in index.decode_segment(unhex(vector["bytes"]), own)
    ]
    return {"entries": entries}


check_stream = partial(check_each, read=_stream)
check_node = partial(check_each, read=_node)
check_directory = partial(check_each, read=_directory)
check_snapshot = partial(check_each, read=_snapshot)
check_catalog = partial(check_each, read=_catalog)
check_settings = partial(check_each, read=_settings)
check_segment = partial(check_each, read=_segment)
