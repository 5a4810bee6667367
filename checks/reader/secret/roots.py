"""Roots (part 2, "Roots")."""

from ..crypto.hashing import derive, number
from ..crypto.sealing import open_sealed
from ..refusal import Refused, require
from ..sealed_messages import ROOT
from ..wire import VARINT, Record, decode, wire_fields

SIZES = (4096, 16384)
VERSION = 1
ROOT_HASH = slice(264, 296)


def root_associated(head: bytes) -> bytes:
    """A head's 392 bytes, with zeros in place of the root hash."""
    return head[:264] + bytes(32) + head[296:]


def open_root(key: bytes, head: bytes, sealed: bytes) -> Record:
    """The root of a head, of which `head` is the signed 392 bytes. Refusals 1 to 5."""
    require(len(sealed) in SIZES, "Size")
    require(derive("coffre v1 sealed root", sealed) == head[ROOT_HASH], "OtherRoot")
    padded = open_sealed(key, root_associated(head), sealed)
    length = number(padded[:4])
    require(length <= len(padded) - 4, "Padding")
    encoded, zeros = padded[4 : 4 + length], padded[4 + length :]
    require(not any(zeros), "Padding")
    require(_minimum_reader(encoded) <= VERSION, "NewerFormat")
    return decode(ROOT, encoded)


def _minimum_reader(encoded: bytes) -> int:
    """Field 1, before anything else is asked of the encoding."""
    found = 0
    try:
        for number_, wire_type, value in wire_fields(encoded):
            if number_ == 1 and wire_type == VARINT:
                found = value
    except Refused:
        pass
    return found
