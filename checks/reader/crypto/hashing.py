"""`DK`, `KH` and plain BLAKE3 (parts 1 and 2, "Notation"), and integers."""

from blake3 import blake3


def derive(label: str, material: bytes, length: int = 32) -> bytes:
    """`DK(label, material)`, extended as BLAKE3's output is where `length` is more."""
    return blake3(material, derive_key_context=label).digest(length=length)


def keyed_hash(key: bytes, plaintext: bytes, length: int = 32) -> bytes:
    """`KH(key, plaintext)`: the BLAKE3 keyed hash."""
    return blake3(plaintext, key=key).digest(length=length)


def plain_hash(plaintext: bytes) -> bytes:
    """`BLAKE3(plaintext)`."""
    return blake3(plaintext).digest()


def u16(number: int) -> bytes:
    """Two bytes, little endian."""
    return number.to_bytes(2, "little")


def u32(number: int) -> bytes:
    """Four bytes, little endian."""
    return number.to_bytes(4, "little")


def u64(number: int) -> bytes:
    """Eight bytes, little endian."""
    return number.to_bytes(8, "little")


def number(encoded: bytes) -> int:
    """The little-endian number in `encoded`."""
    return int.from_bytes(encoded, "little")


def split(column: bytes, width: int = 32) -> list[bytes]:
    """A column of values of `width` bytes; the last may be short."""
    return [column[at : at + width] for at in range(0, len(column), width)]
