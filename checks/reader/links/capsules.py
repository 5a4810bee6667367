"""Capsules (part 5, "Capsule")."""

from __future__ import annotations

from ..content.nodes import (
    DIRECTORY,
    FILE,
    MOST_DEPTH,
    SYMLINK,
    check_holes,
    is_node_name,
    is_target,
    is_time,
)
from ..crypto import ed25519
from ..crypto.hashing import number, plain_hash, split
from ..crypto.sealing import open_sealed
from ..public.entries import check_device
from ..refusal import Refused, require
from ..sealed_messages import CAPSULE, SIGNED_CAPSULE
from ..secret.chunks import OVERHEAD
from ..secret.frames import decompress
from ..secret.keys import FILE_DATA, MOST_BYTES
from ..secret.packs import TRAILER_BYTES, is_pack_size
from ..wire import Record, count_fields, decode, wire_fields
from .urls import LinkUrl

MOST_SIGNED_BYTES = 33_554_432
MOST_NODES = MOST_CHUNKS = MOST_HOLES = 262_144
MOST_PACKS = 8192


def associated(link: bytes) -> bytes:
    """`"coffre v1 link capsule" | link id`."""
    return b"coffre v1 link capsule" + link


def open_signed(url: LinkUrl, password: str | None, sealed: bytes) -> bytes:
    """Steps 1 to 3: the encoded `SignedCapsule`."""
    require(is_pack_size(len(sealed)), "OtherCapsule")
    require(plain_hash(sealed) == url.message.capsule, "OtherCapsule")
    padded = open_sealed(url.capsule_key(password), associated(url.link_id), sealed)
    frame_length, length = number(padded[:4]), number(padded[4:8])
    require(frame_length <= len(padded) - 8, "Padding")
    require(not any(padded[8 + frame_length :]), "Padding")
    try:
        return decompress(padded[8 : 8 + frame_length], length, MOST_SIGNED_BYTES)
    except Refused:
        raise Refused("Padding") from None


def open_capsule(url: LinkUrl, password: str | None, sealed: bytes) -> Record:
    """All six steps: the capsule that a stranger may read."""
    signed = decode(SIGNED_CAPSULE, open_signed(url, password, sealed))
    _check_counts(signed.payload)
    capsule = decode(CAPSULE, signed.payload)
    device = _check_maker(capsule)
    try:
        key = device.signing_key
        ed25519.verify(key, "coffre v1 sign capsule", signed.payload, signed.signature)
    except Refused:
        raise Refused("Signature") from None
    require(capsule.version == 1, "Version")
    require(capsule.link == url.link_id, "OtherLink")
    require(is_time(capsule.created), "Time")
    lengths = _check_chunks(capsule)
    _check_tree(capsule.nodes)
    _check_content(capsule.nodes, lengths)
    return capsule


def _check_counts(payload: bytes) -> None:
    """Step 4: nodes, and holes in them, before either is decoded."""
    nodes = [value for number_, _, value in wire_fields(payload) if number_ == 6]
    require(len(nodes) <= MOST_NODES, "Nodes")
    require(all(isinstance(node, bytes) for node in nodes), "Malformed")
    require(sum(count_fields(node, 8) for node in nodes) <= MOST_HOLES, "TooManyHoles")


def _check_maker(capsule: Record) -> Record:
    require(len(capsule.account) == 32, "Maker")
    try:
        return check_device(capsule.device)
    except Refused:
        raise Refused("Maker") from None


def _check_packs(capsule: Record) -> list[int]:
    ids, sizes = split(capsule.packs), capsule.pack_sizes
    require(len(ids) <= MOST_PACKS and len(capsule.packs) == 32 * len(sizes), "Packs")
    require(all(a < b for a, b in zip(ids, ids[1:])), "Packs")
    require(all(map(is_pack_size, sizes)), "Packs")
    require(set(range(len(sizes))) <= set(capsule.rows), "Packs")
    return list(sizes)


def _check_chunks(capsule: Record) -> list[int]:
    """Packs and columns; the lengths of the chunks."""
    count = len(capsule.rows)
    for column in (capsule.offsets, capsule.sealed_lengths, capsule.lengths):
        require(len(column) == count, "Columns")
    for column in (capsule.keys, capsule.sealed_hashes):
        require(len(column) == 32 * count, "Columns")
    require(count <= MOST_CHUNKS, "Chunks")
    sizes = _check_packs(capsule)
    most = MOST_BYTES[FILE_DATA]
    columns = (capsule.rows, capsule.offsets, capsule.sealed_lengths, capsule.lengths)
    for row, offset, sealed_length, length in zip(*columns):
        require(row < len(sizes), "Chunks")
        require(OVERHEAD <= sealed_length <= most + OVERHEAD, "Chunks")
        require(offset + sealed_length <= sizes[row] - TRAILER_BYTES, "Chunks")
        require(1 <= length <= most, "Chunks")
    return list(capsule.lengths)


def _check_node(node: Record) -> None:
    require(node.kind in (FILE, DIRECTORY, SYMLINK), "Kind")
    if node.kind != FILE:
        require(node.size == 0 and not node.holes and not node.chunks, "Kind")
    if node.kind != SYMLINK:
        require(node.symlink_target == b"", "Kind")
    else:
        require(is_target(node.symlink_target), "Target")
    require(node.mode <= 0o777, "Mode")
    require(is_time(node.modified), "Time")


def _check_tree(nodes: list[Record]) -> None:
    """Depths and names: a tree, each directory in order of names."""
    require(1 <= len(nodes) <= MOST_NODES, "Nodes")
    last_names: list[bytes] = []
    for at, node in enumerate(nodes):
        _check_node(node)
        require((node.depth == 0) == (at == 0) and node.depth <= MOST_DEPTH, "Depth")
        if at > 0:
            before = nodes[at - 1]
            deepest = before.depth + (before.kind == DIRECTORY)
            require(node.depth <= deepest, "Depth")
        nameless = at == 0 and node.kind == DIRECTORY and node.name == b""
        require(nameless or is_node_name(node.name), "Name")
        del last_names[node.depth + 1 :]
        if len(last_names) > node.depth:
            require(node.name > last_names[node.depth], "Name")
            last_names[node.depth] = node.name
        else:
            last_names.append(node.name)


def _check_content(nodes: list[Record], lengths: list[int]) -> None:
    """Chunks and holes of the files; every chunk is used."""
    used: set[int] = set()
    holes = 0
    for node in nodes:
        require(all(place < len(lengths) for place in node.chunks), "Chunks")
        used.update(node.chunks)
        holes += len(node.holes)
        if node.kind == FILE:
            check_holes(node.holes, node.size, sum(lengths[at] for at in node.chunks))
    require(len(used) == len(lengths), "Chunks")
    require(holes <= MOST_HOLES, "TooManyHoles")
