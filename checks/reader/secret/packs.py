"""Packs (part 2, "Packs")."""

from __future__ import annotations

from dataclasses import dataclass

from ..crypto.hashing import number, plain_hash, split, u64
from ..crypto.sealing import open_sealed
from ..refusal import Refused, require
from ..sealed_messages import PACK_FOOTER
from ..wire import Record, decode
from .chunks import OVERHEAD
from .keys import MOST_BYTES, VaultKeys

LEAST_SIZE, MOST_SIZE = 16_384, 16_777_216
TRAILER_BYTES = 56


def is_pack_size(size: int) -> bool:
    """A power of two from 16,384 to 16,777,216."""
    return LEAST_SIZE <= size <= MOST_SIZE and size & (size - 1) == 0


@dataclass(frozen=True)
class PackedChunk:
    """What a footer says of one chunk."""

    kind: int
    chunk_id: bytes
    offset: int
    sealed_length: int


@dataclass(frozen=True)
class Pack:
    """A verified pack."""

    chunks: list[PackedChunk]
    footer_offset: int
    footer_length: int


def open_pack(keys: VaultKeys, vault: bytes, epoch: int, pack_id: bytes, pack: bytes) -> Pack:
    """Refusals 1 to 6 of a reader of a whole pack."""
    require(is_pack_size(len(pack)), "Size")
    require(plain_hash(pack) == pack_id, "OtherPack")
    key, place = keys.footer_key(epoch), vault + u64(epoch)
    trailer = open_sealed(key, b"\x01pack trailer" + place, pack[-TRAILER_BYTES:])
    offset, length, count, zero = (number(word) for word in split(trailer, 4))
    require(offset + length <= len(pack) - TRAILER_BYTES and zero == 0, "Trailer")
    footer = open_sealed(key, b"\x01pack footer" + place, pack[offset : offset + length])
    try:
        columns = decode(PACK_FOOTER, footer)
    except Refused:
        raise Refused("Footer") from None
    return Pack(_chunks(columns, count, offset), offset, length)


def _chunks(columns: Record, count: int, end: int) -> list[PackedChunk]:
    ids, lengths = split(columns.chunk_ids), columns.sealed_lengths
    require(len(columns.kinds) == count == len(lengths), "Footer")
    require(len(columns.chunk_ids) == 32 * count, "Footer")
    out, offset = [], 0
    for kind, chunk_id, length in zip(columns.kinds, ids, lengths):
        require(kind in MOST_BYTES, "Footer")
        require(OVERHEAD <= length <= MOST_BYTES[kind] + OVERHEAD, "Footer")
        out.append(PackedChunk(kind, chunk_id, offset, length))
        offset += length
    require(offset == end, "Footer")
    return out
