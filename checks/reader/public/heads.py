"""Heads (part 1, "Heads", H1 to H15, "Paths")."""

from __future__ import annotations

from dataclasses import dataclass, field as dataclass_field

from ..crypto import ed25519
from ..crypto.hashing import derive, number, split
from ..refusal import Refused, require
from .entries import Place
from .vault_fields import READER, check_fields
from .vault_log import AccountLogs, State, VaultLog

MAGIC = b"coffreH1"
ZEROS = bytes(32)
HEAD_BYTES, SIGNED_BYTES = 456, 392
MOST_PACKS = 8192


def skip(seq: int) -> int:
    """`n & (n - 1)`: n without its lowest set bit."""
    return seq & (seq - 1)


@dataclass(frozen=True)
class Head:
    """A decoded head; who made it is not verified yet."""

    encoded: bytes
    vault: bytes
    seq: int
    previous: bytes
    skipped: bytes
    entry: Place
    account: bytes
    device: bytes
    account_entry: Place
    epoch: int
    root_hash: bytes
    added: bytes
    taken: bytes
    reconciled: bytes
    signature: bytes

    @staticmethod
    def decode(encoded: bytes) -> Head:
        """H1 to H3."""
        require(len(encoded) == HEAD_BYTES, "Length")
        require(encoded[:8] == MAGIC, "Magic")

        def hash_at(at: int) -> bytes:
            return encoded[at : at + 32]

        def number_at(at: int) -> int:
            return number(encoded[at : at + 8])

        head = Head(
            encoded,
            hash_at(8),
            number_at(40),
            hash_at(48),
            hash_at(80),
            Place(number_at(112), hash_at(120)),
            hash_at(152),
            hash_at(184),
            Place(number_at(216), hash_at(224)),
            number_at(256),
            hash_at(264),
            hash_at(296),
            hash_at(328),
            hash_at(360),
            encoded[SIGNED_BYTES:],
        )
        counted = (head.seq, head.entry.seq, head.account_entry.seq, head.epoch)
        require(all(counted), "Zero")
        require((head.previous == ZEROS) == (head.seq == 1), "Links")
        require((head.skipped == ZEROS) == (skip(head.seq) == 0), "Links")
        if skip(head.seq) == head.seq - 1:
            require(head.previous == head.skipped, "Links")
        return head

    @property
    def hash(self) -> bytes:
        """`DK("coffre v1 head", bytes 0..392)`."""
        return derive("coffre v1 head", self.encoded[:SIGNED_BYTES])

    @property
    def root_associated(self) -> bytes:
        """The associated data of the root: zeros in place of its hash."""
        return self.encoded[:264] + ZEROS + self.encoded[296:SIGNED_BYTES]


def check_maker(head: Head, vault: VaultLog, accounts: AccountLogs) -> None:
    """H4 to H9: who made it, and whether he was allowed to."""
    require(head.vault == vault.id, "NotThisVault")
    require(head.entry.seq <= len(vault.hashes), "VaultEntriesMissing")
    require(vault.hashes[head.entry.seq - 1] == head.entry.hash, "PositionMismatch")
    state = vault.states[head.entry.seq - 1]
    member = state.members.get(head.account)
    if member is None:
        raise Refused("Stranger")
    require(member.accepted and member.role != READER, "MayNotWrite")
    require(not state.rotation_due, "RotationDue")
    require(head.epoch == state.epochs[-1].number, "WrongEpoch")
    last = earliest_position(vault, head.seq)
    require(head.entry.seq >= last, "StalePosition")
    require(head.entry.seq <= last, "PositionAhead")
    log = accounts.get(head.account)
    if log is None:
        raise Refused("AccountLogMissing")
    at = head.account_entry
    require(at.seq <= log.newest, "AccountEntriesMissing")
    require(log.hashes[at.seq - 1] == at.hash, "PositionMismatch")
    require(at.seq >= state.recorded[head.account].seq, "StalePosition")
    device = log.devices.get(head.device)
    if device is None:
        raise Refused("UnknownDevice")
    require(device.is_active_at(at.seq), "DeviceNotActive")
    ed25519.verify(
        device.public.signing_key,
        "coffre v1 sign head",
        head.encoded[:SIGNED_BYTES],
        head.signature,
    )


def earliest_position(vault: VaultLog, seq: int) -> int:
    """H7: the number of the last entry whose pinned head is older than head `seq`."""
    older = [
        number
        for number, state in enumerate(vault.states, 1)
        if (state.pinned.seq if state.pinned else 0) < seq
    ]
    return max(older, default=0)


@dataclass
class Seen:
    """What a client keeps: the newest head, and the hashes it may link to."""

    newest: Head | None = None
    hashes: dict[int, bytes] = dataclass_field(default_factory=dict)

    @property
    def seq(self) -> int:
        """The newest head's number; 0 while nothing is known."""
        return self.newest.seq if self.newest else 0


def path_numbers(newest: int, known: int) -> list[int]:
    """ "Paths": which heads show that `newest` extends `known`, newest first."""
    out, at = [], newest
    while at > known:
        out.append(at)
        at = skip(at) if skip(at) >= known else at - 1
    return out


def check_links(path: list[Head], known_seq: int, hashes: dict[int, bytes]) -> None:
    """H11, "Paths": each two neighbours, and the last one and head `known_seq`, are
    linked; `hashes` are those that are known, of that head among others."""
    known = dict(hashes)
    known.update({head.seq: head.hash for head in path})
    followers = [*(head.seq for head in path[1:]), known_seq]
    for head, follower in zip(path, followers):
        linked = follower in (head.seq - 1, skip(head.seq))
        require(linked and follower < head.seq, "MissingLink")
        expected = known.get(follower, ZEROS)
        if follower == head.seq - 1:
            require(head.previous == expected, "Fork")
        else:
            require(head.skipped == expected, "Fork")
        if skip(head.seq) in known:
            require(head.skipped == known[skip(head.seq)], "Fork")


def _check_order(path: list[Head], seen: Seen) -> None:
    """H12: nothing goes back."""
    chain = [*path, seen.newest] if seen.newest else path
    for head, before in zip(chain, chain[1:]):
        require(head.entry.seq >= before.entry.seq, "StalePosition")
        require(head.epoch >= before.epoch, "StalePosition")
        if head.account == before.account:
            require(head.account_entry.seq >= before.account_entry.seq, "StalePosition")


def _check_pins(path: list[Head], seen: Seen, vault: VaultLog) -> None:
    """H13."""
    pins: dict[int, set[bytes]] = {}
    for state in vault.states:
        if state.pinned:
            pins.setdefault(state.pinned.seq, set()).add(state.pinned.hash)
    if vault.state.pinned:
        require(path[0].seq >= vault.state.pinned.seq, "Older")
    for head in [*path, seen.newest] if seen.newest else path:
        for pinned in pins.get(head.seq, set()):
            require(pinned in (head.hash, head.reconciled), "Fork")


def follow(path: list[Head], seen: Seen, vault: VaultLog, accounts: AccountLogs) -> Seen:
    """Verifies the newest head, `path[0]`, and the path to what was seen (H4 to
    H13); returns what to keep."""
    head = path[0]
    require(all(one.vault == vault.id for one in path), "NotThisVault")
    if seen.newest is not None:
        require(head.seq >= seen.seq, "Older")
        if head.seq == seen.seq:
            raise Refused("Repeated" if head.hash == seen.newest.hash else "Fork")
    check_maker(head, vault, accounts)
    check_links(path, seen.seq, seen.hashes)
    _check_order(path, seen)
    _check_pins(path, seen, vault)
    known = {**seen.hashes, **{one.seq: one.hash for one in path}}
    kept, at = {}, head.seq
    while at:
        kept[at] = head.hash if at == head.seq else known[at]
        at = skip(at)
    return Seen(head, kept)


def pack_list_hash(ids: bytes) -> bytes:
    """The hash of a list of packs: ids end to end, strictly ascending."""
    require(len(ids) % 32 == 0, "Length")
    listed = split(ids)
    require(len(listed) <= MOST_PACKS, "TooMany")
    require(all(a < b for a, b in zip(listed, listed[1:])), "Order")
    return derive("coffre v1 pack list", ids)


def check_contents(head: Head, sealed_root: bytes, added: bytes, taken: bytes) -> None:
    """H14."""
    require(len(sealed_root) in (4096, 16384), "OtherRoot")
    require(derive("coffre v1 sealed root", sealed_root) == head.root_hash, "OtherRoot")
    require(pack_list_hash(added) == head.added, "OtherPacks")
    require(pack_list_hash(taken) == head.taken, "OtherPacks")


def check_standing(head: Head, vault: VaultLog, accounts: AccountLogs) -> None:
    """H15, of a head that holds by H4 to H13: no entry that pins another head in its
    place has put its maker out. What else it points at is not to be read."""
    for at, entry in enumerate(vault.entries):
        if entry.head is None or entry.head.seq != head.seq or entry.head.hash == head.hash:
            continue
        # No genesis pins a head (V8), so that there is a state before.
        before, after = vault.states[at - 1], vault.states[at]
        refs = check_fields(entry)
        by_others = refs[0].account != head.account
        if by_others and _may_write(before, head.account):
            require(head.account in after.members, "Stranger")
            require(_may_write(after, head.account), "MayNotWrite")
        removed = accounts[head.account].devices[head.device].removed
        for one in refs:
            if one.account == head.account and removed is not None:
                require(one.place.seq < removed, "DeviceNotActive")


def _may_write(state: State, account: bytes) -> bool:
    """H6: a member who has accepted, and is WRITER or MANAGER."""
    member = state.members.get(account)
    return member is not None and member.accepted and member.role != READER
