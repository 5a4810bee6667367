"""Canonical protobuf (part 1, "Canonical protobuf"; part 4, beginning).

A message has one encoding. `decode` decodes, encodes the result again, and
refuses bytes that differ, as the text says a decoder does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator

from .refusal import Refused, require

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
NUMBERS = ("uint32", "uint64", "sint64", "bool", "enum")


@dataclass(frozen=True)
class Field:
    """One field of a schema. Fields of one `oneof` exclude each other."""

    number: int
    name: str
    kind: str
    message: Message | None = None
    repeated: bool = False
    oneof: bool = False

    def default(self) -> Any:
        """What the field holds when it is left out."""
        if self.repeated:
            return []
        if self.message is not None:
            return None
        return {"bytes": b"", "string": "", "bool": False}.get(self.kind, 0)


class Message:
    """A schema: the fields of one message, in order of their numbers."""

    def __init__(self, name: str, *fields: Field) -> None:
        self.name = name
        self.fields = fields
        self.by_number = {field.number: field for field in fields}


class Record:
    """A decoded message: an attribute for each field of its schema.

    The fields of a `oneof` are attributes as well; `which` names the one that
    is present, or is empty.
    """

    def __init__(self, schema: Message) -> None:
        self.schema = schema
        self.which = ""
        for field in schema.fields:
            setattr(self, field.name, field.default())

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


def read_varint(encoded: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and where it ends. At most 10 bytes, below 2^64."""
    value = 0
    for index in range(10):
        require(at + index < len(encoded), "Malformed")
        byte = encoded[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            require(value < 1 << 64, "Malformed")
            return value, at + index + 1
    raise Refused("Malformed")


def write_varint(value: int) -> bytes:
    """The shortest varint of `value`."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def wire_fields(encoded: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and raw value of every field, as they come."""
    at = 0
    while at < len(encoded):
        key, at = read_varint(encoded, at)
        number, wire_type = key >> 3, key & 7
        require(0 < number < 1 << 29, "Malformed")
        if wire_type == VARINT:
            value: Any
            value, at = read_varint(encoded, at)
        else:
            if wire_type == LENGTH:
                length, at = read_varint(encoded, at)
            elif wire_type in (FIXED32, FIXED64):
                length = 4 if wire_type == FIXED32 else 8
            else:
                raise Refused("Malformed")
            require(length <= len(encoded) - at, "Malformed")
            value = encoded[at : at + length]
            at += length
        yield number, wire_type, value


def _number(kind: str, raw: int) -> int | bool:
    if kind == "uint32":
        return raw & 0xFFFF_FFFF
    if kind == "sint64":
        return (raw >> 1) ^ -(raw & 1)
    if kind == "bool":
        return raw != 0
    if kind == "enum":
        low = raw & 0xFFFF_FFFF
        return low - (1 << 32) if low >> 31 else low
    return raw


def _raw(kind: str, value: int) -> int:
    if kind == "sint64":
        return ((value << 1) ^ (value >> 63)) & 0xFFFF_FFFF_FFFF_FFFF
    if kind == "enum":
        return value & 0xFFFF_FFFF_FFFF_FFFF
    return int(value)


def _values(field: Field, wire_type: int, raw: Any) -> list[Any]:
    """What one field on the wire holds: several values where it is packed."""
    if field.kind in NUMBERS:
        if wire_type == VARINT:
            return [_number(field.kind, raw)]
        require(wire_type == LENGTH and field.repeated, "Malformed")
        values, at = [], 0
        while at < len(raw):
            value, at = read_varint(raw, at)
            values.append(_number(field.kind, value))
        return values
    require(wire_type == LENGTH, "Malformed")
    if field.message is not None:
        return [_decode(field.message, raw)]
    if field.kind == "string":
        try:
            return [raw.decode("utf-8")]
        except UnicodeDecodeError:
            raise Refused("Malformed") from None
    return [raw]


def _decode(schema: Message, encoded: bytes) -> Record:
    record = Record(schema)
    for number, wire_type, raw in wire_fields(encoded):
        field = schema.by_number.get(number)
        if field is None:
            continue  # left out when the result is encoded again
        values = _values(field, wire_type, raw)
        if field.repeated:
            getattr(record, field.name).extend(values)
            continue
        if field.oneof:
            if record.which not in ("", field.name):
                setattr(record, record.which, None)
            record.which = field.name
        setattr(record, field.name, values[-1])
    return record


def encode(record: Record) -> bytes:
    """The one canonical encoding of `record`."""
    out = bytearray()
    for field in record.schema.fields:
        value = getattr(record, field.name)
        if field.repeated and field.kind in NUMBERS:
            if value:
                packed = b"".join(write_varint(_raw(field.kind, one)) for one in value)
                out += _delimited(field.number, packed)
            continue
        for one in value if field.repeated else [value]:
            if field.message is not None:
                if one is not None:
                    out += _delimited(field.number, encode(one))
            elif field.kind in NUMBERS:
                if one:
                    out += write_varint(field.number << 3 | VARINT)
                    out += write_varint(_raw(field.kind, one))
            elif one or field.repeated:
                plain = one.encode() if field.kind == "string" else one
                out += _delimited(field.number, plain)
    return bytes(out)


def _delimited(number: int, value: bytes) -> bytes:
    return write_varint(number << 3 | LENGTH) + write_varint(len(value)) + value


def decode(schema: Message, encoded: bytes) -> Record:
    """The message in `encoded`, which has to be its canonical encoding."""
    record = _decode(schema, encoded)
    require(encode(record) == encoded, "NotCanonical")
    return record


def decode_loosely(schema: Message, encoded: bytes) -> Record:
    """The same of a message that is not demanded to be canonical."""
    return _decode(schema, encoded)


def count_fields(encoded: bytes, number: int) -> int:
    """How many fields of that number stand on the top level: for bounds that
    have to be checked before anything is decoded."""
    return sum(1 for found, _, _ in wire_fields(encoded) if found == number)
