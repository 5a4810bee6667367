"""Sealed chunks (part 2, "Chunks")."""

from ..crypto.hashing import number, plain_hash
from ..crypto.sealing import open_sealed
from ..refusal import Refused, require
from .frames import decompress
from .keys import MOST_BYTES, VaultKeys

OVERHEAD = 41
RAW, ZSTD = 0, 1


def associated(kind: int) -> bytes:
    """`[1] | kind byte`."""
    return bytes([1, kind])


def read_body(kind: int, body: bytes) -> bytes:
    """The plaintext of a body, bounded by what the kind allows."""
    require(len(body) >= 1, "Opening")
    if body[0] == RAW:
        require(len(body) - 1 <= MOST_BYTES[kind], "Opening")
        return body[1:]
    if body[0] == ZSTD and len(body) >= 5:
        return decompress(body[5:], number(body[1:5]), MOST_BYTES[kind])
    raise Refused("Opening")


def open_body(key: bytes, kind: int, sealed: bytes) -> bytes:
    """What is sealed under a chunk key."""
    require(kind in MOST_BYTES, "Opening")
    require(OVERHEAD <= len(sealed) <= MOST_BYTES[kind] + OVERHEAD, "Opening")
    return open_sealed(key, associated(kind), sealed)


def open_chunk(keys: VaultKeys, epoch: int, kind: int, chunk_id: bytes, sealed: bytes) -> bytes:
    """The plaintext of the chunk that was asked for, of that kind and id."""
    body = open_body(keys.chunk_key(epoch, chunk_id), kind, sealed)
    plaintext = read_body(kind, body)
    require(keys.chunk_id(kind, plaintext) == chunk_id, "Opening")
    return plaintext


def open_with_chunk_key(key: bytes, kind: int, sealed_hash: bytes, sealed: bytes) -> bytes:
    """The same for who has the chunk key alone (part 5): the hash of the sealed
    chunk is checked first."""
    require(plain_hash(sealed) == sealed_hash, "Opening")
    return read_body(kind, open_body(key, kind, sealed))
