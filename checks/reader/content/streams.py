"""Streams (part 4, "Streams", "Streams of records")."""

from __future__ import annotations

from typing import Callable, Iterator

from ..crypto.hashing import number, split
from ..refusal import Refused, require
from ..secret.keys import MOST_BYTES, STREAM_LIST
from ..wire import Record, write_varint

MOST_DEPTH, MOST_INLINE, RECORD_BYTES = 4, 16, 36
MOST_LENGTH = 2**63 - 1
MOST_RECORD_BYTES = 256 * 1024

# Gives the plaintext of the chunk of that kind and id, already verified.
Source = Callable[[int, bytes], bytes]
Place = tuple[bytes, int]


def check_stream(stream: Record, kind: int) -> Record:
    """What can be told of a `Stream` alone; `kind` is that of its own chunks."""
    require(stream.depth <= MOST_DEPTH, "TooDeep")
    require(len(stream.lengths) <= MOST_INLINE, "TooManyInline")
    require(len(stream.chunk_ids) == 32 * len(stream.lengths), "Columns")
    require(stream.length <= MOST_LENGTH, "Length")
    most = MOST_BYTES[kind if stream.depth == 0 else STREAM_LIST]
    require(all(1 <= length <= most for length in stream.lengths), "ChunkLength")
    total = sum(stream.lengths)
    if stream.depth == 0:
        require(total == stream.length, "Length")
    else:
        _check_list_bytes(total)
    return stream


def _check_list_bytes(total: int) -> None:
    """Rule 2: whole records, and more than 16 of them."""
    require(total % RECORD_BYTES == 0, "ListEnd")
    require(total > MOST_INLINE * RECORD_BYTES, "NeedlessList")


def _plaintext(source: Source, kind: int, place: Place) -> bytes:
    plaintext = source(kind, place[0])
    require(len(plaintext) == place[1], "WrongChunk")
    return plaintext


def _places(stream: Record, kind: int, source: Source, depth: int) -> Iterator[Place]:
    """The chunks at `depth`: named in the stream, or listed one level above."""
    if depth == stream.depth:
        yield from zip(split(stream.chunk_ids), stream.lengths)
        return
    most = MOST_BYTES[kind if depth == 0 else STREAM_LIST]
    rest, total = b"", 0
    for place in _places(stream, kind, source, depth + 1):
        listed = rest + _plaintext(source, STREAM_LIST, place)
        whole = len(listed) - len(listed) % RECORD_BYTES
        total += place[1]
        for record in split(listed[:whole], RECORD_BYTES):
            length = number(record[32:])
            require(1 <= length <= most, "ChunkLength")
            yield record[:32], length
        rest = listed[whole:]
    require(rest == b"", "ListEnd")
    _check_list_bytes(total)


def read_stream(stream: Record, kind: int, source: Source) -> Iterator[bytes]:
    """The plaintexts of a checked stream, one chunk at a time."""
    left = stream.length
    for place in _places(stream, kind, source, 0):
        require(place[1] <= left, "Length")
        left -= place[1]
        yield _plaintext(source, kind, place)
    require(left == 0, "Length")


def read_records(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The records of a stream: each after its length as the shortest varint, of 1
    byte to 256 KiB, the last one's end the stream's."""
    buffer = b""
    for piece in pieces:
        buffer += piece
        while True:
            header = _record_header(buffer)
            if header is None or len(buffer) < sum(header):
                break
            start, length = header
            yield buffer[start : start + length]
            buffer = buffer[start + length :]
    require(buffer == b"", "Record")


def _record_header(buffer: bytes) -> tuple[int, int] | None:
    """Bytes of the varint, and of the record; nothing while the varint is cut off."""
    value = 0
    for at in range(3):
        if at == len(buffer):
            return None
        value |= (buffer[at] & 0x7F) << (7 * at)
        if buffer[at] < 0x80:
            require(write_varint(value) == buffer[: at + 1], "Record")
            require(1 <= value <= MOST_RECORD_BYTES, "Record")
            return at + 1, value
    raise Refused("Record")
