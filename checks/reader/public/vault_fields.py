"""What can be told of a vault entry's fields without its log (part 1)."""

from __future__ import annotations

from dataclasses import dataclass

from ..refusal import require
from ..wire import Record
from .entries import BOX_BYTES, WRAPPED_BYTES, Place, field, need, place

READER, WRITER, MANAGER = 1, 2, 3
STORAGE, ACCOUNT = 1, 2


@dataclass(frozen=True)
class Ref:
    """A checked `MemberRef`."""

    account: bytes
    place: Place


def ref(member: Record | None) -> Ref:
    """A `MemberRef`: an account of 32 bytes, and a position."""
    member = need(member)
    return Ref(field(member.account, 32), place(member.position))


def _box(box: Record | None) -> Ref:
    box = need(box)
    field(box.box, BOX_BYTES)
    return ref(box.member)


def _epoch(epoch: Record | None) -> list[Ref]:
    """Lengths; the previous secret is empty exactly in epoch 1."""
    epoch = need(epoch)
    field(epoch.commitment, 32)
    field(epoch.previous_secret, 0 if epoch.number == 1 else WRAPPED_BYTES)
    return [_box(box) for box in epoch.boxes]


def _body(entry: Record) -> list[Ref]:
    kind, body = entry.which, getattr(entry, entry.which)
    if kind == "genesis":
        field(body.salt, 32)
        require(body.kind in (STORAGE, ACCOUNT), "Field")
        field(body.home, 32)
        return _epoch(body.epoch)
    if kind == "add_member":
        require(body.role in (READER, WRITER, MANAGER), "Field")
        return [_box(body.box)]
    if kind == "change_role":
        require(body.role in (READER, WRITER, MANAGER), "Field")
        return [ref(body.member)]
    if kind in ("remove_member", "refresh"):
        return [ref(body.member)]
    if kind == "rotate":
        return _epoch(body.epoch)
    if kind == "moved":
        field(body.home, 32)
    return []


def check_fields(entry: Record) -> list[Ref]:
    """Refuses with `Field`; returns every member that the entry names, its author
    first."""
    author = ref(entry.author)
    field(entry.device, 32)
    if entry.head is not None:
        place(entry.head)
    return [author, *_body(entry)]
