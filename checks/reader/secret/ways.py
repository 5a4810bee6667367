"""From a device's keys to every secret of a vault (part 2, "From device to vault")."""

from __future__ import annotations

from functools import partial
from typing import Callable, Iterable

from ..crypto import xwing
from ..crypto.hashing import derive, number
from ..crypto.sealing import open_sealed
from ..public.account_log import AccountLog, SeedBox
from ..public.vault_log import SecretBox, VaultLog
from ..refusal import Refused, require
from .boxes import (
    ACCOUNT_SEED,
    EPOCH_SECRET,
    BoxPlace,
    open_box,
    unwrap_secret,
    unwrap_seed,
)
from .phrases import DeviceKeys

MOST_NAME_BYTES = 464


def _log_of(log_id: bytes, seq: int) -> bytes:
    """What a box's `info` names as its log: zeros in a genesis."""
    return bytes(32) if seq == 1 else log_id


def _unwind(
    newest: int,
    boxed: Callable[[int], bytes | None],
    unwrap: Callable[[int, bytes], bytes | None],
    number_of: Callable[[bytes, int], int | None],
) -> dict[int, bytes]:
    """Opens what can be opened, from the newest down to 1.

    Of each number it takes the secret that was unwrapped, else the boxed one; and
    takes what that wraps for the newest earlier number whose public half it has.
    """
    found: dict[int, bytes] = {}
    for at in range(newest, 0, -1):
        if at not in found:
            secret = boxed(at)
            if secret is None or number_of(secret, at + 1) != at:
                continue
            found[at] = secret
        earlier = unwrap(at, found[at]) if at > 1 else None
        if earlier is not None:
            owner = number_of(earlier, at)
            if owner is not None:
                found.setdefault(owner, earlier)
    return found


def _first_opened(attempts: Iterable[Callable[[], bytes]]) -> bytes | None:
    for attempt in attempts:
        try:
            return attempt()
        except Refused:
            continue
    return None


def account_seeds(log: AccountLog, device: DeviceKeys) -> dict[int, bytes]:
    """The seeds of the account key by generation, as far as they open.

    Who has no box of the newest generation is no device of the account.
    """
    generations = {one.number: one for one in log.generations}
    id = device.id
    require(any(one.device == id for one in log.generations[-1].boxes), "NotADevice")

    def open_one(one: SeedBox) -> bytes:
        place = BoxPlace(ACCOUNT_SEED, one.sender, _log_of(log.id, one.seq), one.seq)
        return open_box(device.kem_private, place, one.box)

    def boxed(at: int) -> bytes | None:
        own = [one for one in generations[at].boxes if one.device == id]
        return _first_opened(partial(open_one, one) for one in own)

    def unwrap(at: int, seed: bytes) -> bytes | None:
        wrapped = generations[at].previous_seed
        return _first_opened([partial(unwrap_seed, seed, at, wrapped)])

    def number_of(seed: bytes, below: int) -> int | None:
        public = xwing.public_key(seed)
        same = [n for n, one in generations.items() if n < below and one.kem_key == public]
        return max(same, default=None)

    return _unwind(len(generations), boxed, unwrap, number_of)


def epoch_secrets(log: VaultLog, account: bytes, seeds: dict[int, bytes]) -> dict[int, bytes]:
    """The secrets of a vault's epochs, as far as they open for the account.

    Who has no box of the newest epoch is no member; without the first epoch nothing
    has a name.
    """
    epochs = {one.number: one for one in log.state.epochs}
    newest = log.state.epochs[-1].boxes
    require(any(one.account == account for one in newest), "NotAMember")

    def open_one(one: SecretBox) -> bytes:
        place = BoxPlace(EPOCH_SECRET, one.sender, _log_of(log.id, one.seq), one.seq)
        return open_box(seeds[one.generation], place, one.box)

    def boxed(at: int) -> bytes | None:
        own = [one for one in epochs[at].boxes if one.account == account]
        return _first_opened(
            partial(open_one, one) for one in reversed(own) if one.generation in seeds
        )

    def unwrap(at: int, secret: bytes) -> bytes | None:
        wrapped = epochs[at].previous_secret
        return _first_opened([partial(unwrap_secret, secret, log.salt, at, wrapped)])

    def number_of(secret: bytes, below: int) -> int | None:
        commitment = derive("coffre v1 epoch commitment", secret)
        same = [n for n, one in epochs.items() if n < below and one.commitment == commitment]
        return max(same, default=None)

    found = _unwind(len(epochs), boxed, unwrap, number_of)
    require(1 in found, "FirstEpochClosed")
    return found


def device_name(sealed_name: bytes, seeds: dict[int, bytes]) -> str:
    """The name of a device: UTF-8, at most 464 bytes."""
    require(len(sealed_name) >= 8, "Opening")
    generation = number(sealed_name[:8])
    require(generation in seeds, "Opening")
    key = derive("coffre v1 device name key", seeds[generation])
    name = open_sealed(key, b"coffre v1 device name", sealed_name[8:])
    require(len(name) <= MOST_NAME_BYTES, "Opening")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("Opening") from None
