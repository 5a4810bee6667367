"""Nodes, directories and trees (part 4, "Nodes and directories")."""

from __future__ import annotations

from typing import Iterator

from ..refusal import require
from ..secret.keys import FILE_DATA, TREE
from ..sealed_messages import NODE
from ..wire import Record, decode
from .streams import MOST_LENGTH, Source, check_stream, read_records, read_stream

FILE, DIRECTORY, SYMLINK, FIFO, SOCKET, CHARACTER_DEVICE, BLOCK_DEVICE = range(1, 8)
DEVICES = (CHARACTER_DEVICE, BLOCK_DEVICE)
MOST_DEPTH = 2048


def is_node_name(name: bytes) -> bool:
    """1 to 4,096 bytes, without `/` and NUL; not `.`, not `..`."""
    return (
        1 <= len(name) <= 4096
        and b"/" not in name
        and b"\0" not in name
        and name not in (b".", b"..")
    )


def is_target(target: bytes) -> bool:
    """1 to 65,535 bytes without NUL."""
    return 1 <= len(target) <= 65_535 and b"\0" not in target


def is_time(time: Record | None) -> bool:
    """Present, and less than a second of nanoseconds."""
    return time is not None and time.nanoseconds < 10**9


def is_absolute_path(path: bytes) -> bool:
    """`/`, or components that are valid names, each after one `/`."""
    if path == b"/":
        return True
    first, *components = path.split(b"/")
    return first == b"" and components != [] and all(map(is_node_name, components))


def check_holes(holes: list[Record], size: int, content: int) -> None:
    """Holes and content make up the size; no two holes touch."""
    end, total = -1, 0
    for hole in holes:
        require(hole.length >= 1 and hole.offset > end, "Holes")
        end = hole.offset + hole.length
        require(end <= size, "Holes")
        total += hole.length
    require(size == content + total and size <= MOST_LENGTH, "Holes")


def _check_fields(node: Record) -> None:
    """A field that the node's kind does not have is absent."""
    kind = node.kind
    require((node.content is not None) == (kind in (FILE, DIRECTORY)), "Fields")
    if kind != FILE:
        require(node.size == 0 and not node.holes, "Fields")
    if kind != SYMLINK:
        require(node.symlink_target == b"", "Fields")
    if kind not in DEVICES:
        require(node.device_major == 0 and node.device_minor == 0, "Fields")


def _check_attributes(node: Record) -> None:
    names = [one.name for one in node.xattrs]
    for name in names:
        require(1 <= len(name) <= 255 and b"\0" not in name, "Xattrs")
    require(all(a < b for a, b in zip(names, names[1:])), "Xattrs")


def decode_node(encoded: bytes) -> Record:
    """A node by all rules of the table."""
    node = decode(NODE, encoded)
    require(is_node_name(node.name), "Name")
    require(FILE <= node.kind <= BLOCK_DEVICE, "Kind")
    require(node.mode <= 0o7777, "Mode")
    require(is_time(node.modified), "Modified")
    for owner in (node.user, node.group):
        require(len(owner) <= 255 and b"\0" not in owner, "Owner")
    _check_attributes(node)
    _check_fields(node)
    require(len(node.hard_link) in (0, 16), "Link")
    require(node.kind != DIRECTORY or node.hard_link == b"", "Link")
    require(len(node.node_id) in (0, 16), "NodeId")
    if node.kind == FILE:
        check_stream(node.content, FILE_DATA)
        check_holes(node.holes, node.size, node.content.length)
    elif node.kind == DIRECTORY:
        check_stream(node.content, TREE)
    elif node.kind == SYMLINK:
        require(is_target(node.symlink_target), "Target")
    return node


def read_directory(pieces: Iterator[bytes]) -> Iterator[Record]:
    """The nodes of a directory's stream, in strictly ascending order of name."""
    last: bytes | None = None
    for record in read_records(pieces):
        node = decode_node(record)
        require(last is None or node.name > last, "NotAscending")
        last = node.name
        yield node


def walk(
    tree: Record, source: Source, path: tuple[bytes, ...] = ()
) -> Iterator[tuple[tuple[bytes, ...], Record]]:
    """Every node of a tree with its path; refuses a depth beyond 2,048.

    Recursive, so Python's own bound on recursion comes first: for small trees.
    """
    require(len(path) < MOST_DEPTH, "TooDeep")
    for node in read_directory(read_stream(tree, TREE, source)):
        here = (*path, node.name)
        yield here, node
        if node.kind == DIRECTORY:
            yield from walk(node.content, source, here)


def read_file(node: Record, source: Source) -> Iterator[bytes]:
    """The bytes of a file: its content in order, with the holes where they say."""
    holes, at = list(node.holes), 0
    for piece in read_stream(node.content, FILE_DATA, source):
        while piece:
            while holes and holes[0].offset == at:
                yield bytes(holes[0].length)
                at += holes.pop(0).length
            cut = min(len(piece), holes[0].offset - at) if holes else len(piece)
            yield piece[:cut]
            at += cut
            piece = piece[cut:]
    for hole in holes:
        yield bytes(hole.length)
