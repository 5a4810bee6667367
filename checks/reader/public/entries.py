"""What both logs have in common (part 1, "Device", "Entries", E1 to E8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ..crypto import ed25519
from ..crypto.hashing import derive
from ..messages import DEVICE_PUBLIC, SIGNED_ENTRY
from ..refusal import Refused, require
from ..wire import Message, Record, decode, decode_loosely, encode

MACHINE, PAPER = 1, 2
MOST_BYTES = 393_216
BOX_BYTES, WRAPPED_BYTES = 1168, 72


@dataclass(frozen=True)
class SignedEntry:
    """The exact payload, and (device, signature) pairs."""

    payload: bytes
    signatures: list[tuple[bytes, bytes]]

    @staticmethod
    def decode(encoded: bytes) -> SignedEntry:
        """From an encoded `SignedEntry`; only its payload has to be canonical."""
        message = decode_loosely(SIGNED_ENTRY, encoded)
        return SignedEntry(
            message.payload, [(one.device, one.signature) for one in message.signatures]
        )


@dataclass(frozen=True)
class Place:
    """A `Position`: number and hash of an entry or a head."""

    seq: int
    hash: bytes


def need(record: Record | None) -> Record:
    """A message field that has to be present."""
    if record is None:
        raise Refused("Field")
    return record


def field(value: bytes, length: int) -> bytes:
    """A field of bytes, exactly as long as the text says."""
    require(len(value) == length, "Field")
    return value


def place(position: Record | None) -> Place:
    """A `Position`: seq at least 1, a hash of 32 bytes."""
    position = need(position)
    require(position.seq >= 1, "Field")
    return Place(position.seq, field(position.hash, 32))


def decode_payload(schema: Message, payload: bytes) -> Record:
    """E1: the size, the one encoding, the version, the body."""
    require(len(payload) <= MOST_BYTES, "Decode")
    try:
        entry = decode(schema, payload)
    except Refused:
        raise Refused("Decode") from None
    require(entry.version == 1, "Version")
    require(entry.which != "", "Field")
    return entry


def device_id(public: Record) -> bytes:
    """`DK("coffre v1 device id", encoding)`."""
    return derive("coffre v1 device id", encode(public))


def check_device(public: Record | None) -> Record:
    """Rules of a `DevicePublic`. Missing: `Field`; wrong inside: `Device`."""
    public = need(public)
    require(public.kind in (MACHINE, PAPER), "Device")
    require(len(public.kem_key) == 1216, "Device")
    try:
        ed25519.check_public_key(public.signing_key)
    except Refused:
        raise Refused("Device") from None
    return public


def decode_device(encoded: bytes) -> Record:
    """A `DevicePublic` on its own, canonical and in order."""
    return check_device(decode(DEVICE_PUBLIC, encoded))


def check_order(entry: Record, hashes: list[bytes], entry_hash: bytes) -> None:
    """E5 and E6, against the hashes of the log's entries."""
    count = len(hashes)
    require(1 <= entry.seq <= count + 1, "Missing")
    if entry.seq <= count:
        raise Refused("Repeated" if hashes[entry.seq - 1] == entry_hash else "Fork")
    require(entry.previous == hashes[-1], "Fork")


def check_signatures(
    signed: SignedEntry,
    signers: list[bytes],
    label: str,
    key_of: Callable[[bytes], bytes],
) -> None:
    """E7: exactly the asked-for signatures, in their order, and each fits."""
    require([device for device, _ in signed.signatures] == signers, "Signers")
    for device, signature in signed.signatures:
        ed25519.verify(key_of(device), label, signed.payload, signature)
