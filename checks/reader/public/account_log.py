"""Account logs (part 1, "Account log", A1 to A15)."""

from __future__ import annotations

from dataclasses import dataclass, field as dataclass_field

from ..crypto.hashing import derive
from ..messages import ACCOUNT_ENTRY
from ..refusal import Refused, require
from ..wire import Record
from . import origins
from .entries import (
    BOX_BYTES,
    PAPER,
    WRAPPED_BYTES,
    SignedEntry,
    check_device,
    check_order,
    check_signatures,
    decode_payload,
    device_id,
    field,
    need,
)

HASH_LABEL = "coffre v1 account entry"
SIGN_LABEL = "coffre v1 sign account entry"
MOST_NAME_BYTES = 512


@dataclass
class Device:
    """A device of the account, with the entries that added and removed it."""

    public: Record
    added: int
    sealed_name: bytes
    is_rooted: bool
    removed: int | None = None

    @property
    def is_paper(self) -> bool:
        """Whether it is a recovery phrase."""
        return self.public.kind == PAPER

    def is_active_at(self, seq: int) -> bool:
        """Added by an entry up to `seq`, and not removed by one up to it."""
        return self.added <= seq and (self.removed is None or self.removed > seq)


@dataclass
class Generation:
    """An account key, the entry that began it, and that entry's author."""

    number: int
    kem_key: bytes
    previous_seed: bytes
    began: int
    boxes: list[SeedBox] = dataclass_field(default_factory=list)


@dataclass(frozen=True)
class SeedBox:
    """A box with a generation's seed: for whom, from whom, in which entry."""

    device: bytes
    box: bytes
    sender: bytes
    seq: int


class AccountLog:
    """A verified account log. `append` takes an entry or refuses it whole (E8)."""

    def __init__(self) -> None:
        self.id = b""
        self.hashes: list[bytes] = []
        self.devices: dict[bytes, Device] = {}
        self.generations: list[Generation] = []
        self.home = b""
        self.origin: str | None = None

    @property
    def newest(self) -> int:
        """The number of entries, which is the newest one's."""
        return len(self.hashes)

    def active_at(self, seq: int) -> list[bytes]:
        """Ids of the devices active at entry `seq`, ascending."""
        return sorted(id for id, one in self.devices.items() if one.is_active_at(seq))

    def generation_at(self, seq: int) -> int:
        """The newest generation that an entry up to `seq` began."""
        return max(one.number for one in self.generations if one.began <= seq)

    def append(self, signed: SignedEntry) -> None:
        """Verifies the next entry and takes it in."""
        entry = decode_payload(ACCOUNT_ENTRY, signed.payload)
        entry_hash = derive(HASH_LABEL, signed.payload)
        field(entry.author, 32)
        if not self.hashes:
            self._genesis(entry, entry_hash, signed)
            return
        if entry.which == "genesis":
            raise Refused("Repeated" if entry_hash == self.id else "GenesisAgain")
        field(entry.account, 32)
        field(entry.previous, 32)
        require(entry.account == self.id, "OtherAccount")
        check_account_fields(entry)
        check_order(entry, self.hashes, entry_hash)
        author = self.devices.get(entry.author)
        if author is None or not author.is_active_at(self.newest):
            raise Refused("AuthorNotActive")
        {
            "add_device": self._add_device,
            "remove_device": self._remove_device,
            "rename_device": self._rename_device,
            "moved": self._moved,
        }[entry.which](entry, author, signed)
        self.hashes.append(entry_hash)

    def _verify(self, signed: SignedEntry, signers: list[bytes], *new: Record) -> None:
        keys = {id: one.public.signing_key for id, one in self.devices.items()}
        keys |= {device_id(public): public.signing_key for public in new}
        check_signatures(signed, signers, SIGN_LABEL, keys.__getitem__)

    def _genesis(self, entry: Record, entry_hash: bytes, signed: SignedEntry) -> None:
        """E2, A1 to A4."""
        require(entry.which == "genesis", "NotGenesis")
        require(entry.seq == 1, "Missing")
        require(not entry.account and not entry.previous, "Field")
        genesis = entry.genesis
        field(genesis.salt, 32)
        field(genesis.home, 32)
        require(1 <= len(genesis.devices) <= 16, "GenesisDevices")
        new = [_check_new_device(device) for device in genesis.devices]
        ids = [device_id(public) for public in new]
        require(all(a < b for a, b in zip(ids, ids[1:])), "DeviceOrder")
        for keys in ([one.signing_key for one in new], [one.kem_key for one in new]):
            require(len(set(keys)) == len(keys), "KeyReused")
        require(entry.author in ids, "AuthorNotActive")
        key = _check_account_key(genesis.account_key)
        require(key.generation == 1, "Generation")
        require([seed.device for seed in key.seeds] == ids, "Boxes")
        self._verify(signed, ids, *new)
        for id, public, device in zip(ids, new, genesis.devices):
            self.devices[id] = Device(public, 1, device.sealed_name, public.kind == PAPER)
        self._begin(key, entry.author, 1)
        self.home, self.id = genesis.home, entry_hash
        self.hashes.append(entry_hash)

    def _begin(self, key: Record, author: bytes, seq: int) -> None:
        boxes = [SeedBox(seed.device, seed.box, author, seq) for seed in key.seeds]
        self.generations.append(
            Generation(key.generation, key.kem_key, key.previous_seed, seq, boxes)
        )

    def _add_device(self, entry: Record, author: Device, signed: SignedEntry) -> None:
        """A6 to A9."""
        body = entry.add_device
        public, id = body.device.public, device_id(body.device.public)
        require(id not in self.devices, "DeviceReused")
        for device in self.devices.values():
            require(device.public.signing_key != public.signing_key, "KeyReused")
            require(device.public.kem_key != public.kem_key, "KeyReused")
        by_rooted_paper = author.is_paper and author.is_rooted
        most = 64 if by_rooted_paper else 56
        require(len(self.active_at(self.newest)) < most, "TooManyDevices")
        require(body.seed.device == id, "Boxes")
        self._verify(signed, [entry.author, id], public)
        is_rooted = public.kind == PAPER and by_rooted_paper
        self.devices[id] = Device(public, entry.seq, body.device.sealed_name, is_rooted)
        self.generations[-1].boxes.append(SeedBox(id, body.seed.box, entry.author, entry.seq))

    def _remove_device(self, entry: Record, author: Device, signed: SignedEntry) -> None:
        """A10 to A12."""
        body = entry.remove_device
        device = self._active(body.device)
        require(body.device != entry.author, "RemovesItself")
        if device.is_paper:
            require(author.is_paper, "PaperNeeded")
            require(author.is_rooted, "PaperNotRooted")
        key = body.account_key
        require(key.generation == self.generations[-1].number + 1, "Generation")
        require(all(key.kem_key != one.kem_key for one in self.generations), "AccountKeyReused")
        stay = [id for id in self.active_at(self.newest) if id != body.device]
        require([seed.device for seed in key.seeds] == stay, "Boxes")
        self._verify(signed, [entry.author])
        device.removed = entry.seq
        self._begin(key, entry.author, entry.seq)

    def _rename_device(self, entry: Record, author: Device, signed: SignedEntry) -> None:
        """A13."""
        device = self._active(entry.rename_device.device)
        self._verify(signed, [entry.author])
        device.sealed_name = entry.rename_device.sealed_name

    def _moved(self, entry: Record, author: Device, signed: SignedEntry) -> None:
        """A14, A15."""
        require(author.is_paper, "PaperNeeded")
        require(author.is_rooted, "PaperNotRooted")
        require(entry.moved.home != self.home, "SameHome")
        origins.check(entry.moved.origin)
        self._verify(signed, [entry.author])
        self.home, self.origin = entry.moved.home, entry.moved.origin

    def _active(self, id: bytes) -> Device:
        device = self.devices.get(id)
        if device is None or not device.is_active_at(self.newest):
            raise Refused("DeviceNotActive")
        return device


def _check_new_device(device: Record | None) -> Record:
    device = need(device)
    require(len(device.sealed_name) <= MOST_NAME_BYTES, "Field")
    return check_device(device.public)


def _check_seed(seed: Record | None) -> None:
    seed = need(seed)
    field(seed.device, 32)
    field(seed.box, BOX_BYTES)


def _check_account_key(key: Record | None) -> Record:
    """Lengths; the previous seed is empty exactly in generation 1."""
    key = need(key)
    field(key.kem_key, 1216)
    field(key.previous_seed, 0 if key.generation == 1 else WRAPPED_BYTES)
    for seed in key.seeds:
        _check_seed(seed)
    return key


def check_account_fields(entry: Record) -> None:
    """What can be told of a later entry's body without the log."""
    if entry.which == "add_device":
        _check_new_device(entry.add_device.device)
        _check_seed(entry.add_device.seed)
    elif entry.which == "remove_device":
        field(entry.remove_device.device, 32)
        _check_account_key(entry.remove_device.account_key)
    elif entry.which == "rename_device":
        field(entry.rename_device.device, 32)
        require(len(entry.rename_device.sealed_name) <= MOST_NAME_BYTES, "Field")
    else:
        field(entry.moved.home, 32)
