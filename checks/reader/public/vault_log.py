"""Vault logs (part 1, "Vault log", V1 to V21)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field as dataclass_field

from ..crypto.hashing import derive
from ..messages import VAULT_ENTRY
from ..refusal import Refused, require
from ..wire import Record
from . import origins
from .account_log import AccountLog, Device
from .entries import (
    Place,
    SignedEntry,
    check_order,
    check_signatures,
    decode_payload,
    field,
    place,
)
from .vault_fields import READER, WRITER, MANAGER, STORAGE, Ref, check_fields, ref

HASH_LABEL = "coffre v1 vault entry"
SIGN_LABEL = "coffre v1 sign vault entry"
MOST_MEMBERS = 256
ALLOWED = {
    MANAGER: {
        "add_member",
        "change_role",
        "remove_member",
        "leave",
        "refresh",
        "rotate",
        "moved",
    },
    WRITER: {"rotate", "leave", "refresh"},
    READER: {"leave", "refresh"},
}

AccountLogs = dict[bytes, AccountLog]


@dataclass(frozen=True)
class SecretBox:
    """A box with an epoch's secret: for which key of whom, from whom, where."""

    account: bytes
    generation: int
    box: bytes
    sender: bytes
    seq: int


@dataclass
class Epoch:
    """An epoch as the log states it."""

    number: int
    commitment: bytes
    previous_secret: bytes
    boxes: list[SecretBox]


@dataclass
class Member:
    """A member's role, and the generation that his box of this epoch is sealed to."""

    role: int
    accepted: bool
    generation: int


@dataclass
class State:
    """What the log means at one entry."""

    members: dict[bytes, Member] = dataclass_field(default_factory=dict)
    recorded: dict[bytes, Place] = dataclass_field(default_factory=dict)
    epochs: list[Epoch] = dataclass_field(default_factory=list)
    rotation_due: bool = False
    pinned: Place | None = None
    home: bytes = b""
    origin: str | None = None


class VaultLog:
    """A verified vault log with its state at each entry."""

    def __init__(self) -> None:
        self.id = b""
        self.salt = b""
        self.kind = 0
        self.hashes: list[bytes] = []
        self.states: list[State] = []
        self.entries: list[Record] = []

    @property
    def state(self) -> State:
        """The state at the newest entry."""
        return self.states[-1]

    def append(self, signed: SignedEntry, accounts: AccountLogs) -> None:
        """Verifies the next entry against the account logs, and takes it in."""
        entry = decode_payload(VAULT_ENTRY, signed.payload)
        entry_hash = derive(HASH_LABEL, signed.payload)
        is_first = not self.hashes
        if is_first:
            require(entry.which == "genesis", "NotGenesis")
            require(entry.seq == 1, "Missing")
            require(not entry.vault and not entry.previous, "Field")
            require(entry.head is None, "Field")
        else:
            if entry.which == "genesis":
                raise Refused("Repeated" if entry_hash == self.id else "GenesisAgain")
            field(entry.vault, 32)
            field(entry.previous, 32)
            require(entry.vault == self.id, "OtherVault")
        refs = check_fields(entry)
        if not is_first:
            check_order(entry, self.hashes, entry_hash)
        state = _Step(self, entry, refs, accounts).take(signed)
        if is_first:
            self.id = entry_hash
            self.salt, self.kind = entry.genesis.salt, entry.genesis.kind
        self.hashes.append(entry_hash)
        self.entries.append(entry)
        self.states.append(state)


class _Step:
    """One entry on its way into the log: who may, then what it does."""

    def __init__(
        self, log: VaultLog, entry: Record, refs: list[Ref], accounts: AccountLogs
    ) -> None:
        self.log, self.entry, self.refs, self.accounts = log, entry, refs, accounts
        self.before = log.state if log.states else State()
        self.author = ref(entry.author)

    def take(self, signed: SignedEntry) -> State:
        """Checks everything, the signature last; the state after the entry."""
        device = self._check_places()
        pinned = self._check_head()
        if self.log.states:
            self._check_author()
        if self.entry.which == "moved":
            require(device.is_paper, "PaperNeeded")
            require(device.is_rooted, "PaperNotRooted")
        state = self._apply(pinned)
        key = device.public.signing_key
        check_signatures(signed, [self.entry.device], SIGN_LABEL, lambda _: key)
        return state

    def _check_places(self) -> Device:
        """V1 to V4: the positions that the entry names, and the device that signs."""
        for one in self.refs:
            _check_position(self.accounts, one)
        recorded = self.before.recorded
        for one in self.refs:
            known = recorded.get(one.account)
            require(known is None or one.place.seq >= known.seq, "PositionWentBack")
            if one.account == self.author.account:
                require(one.place == self.author.place, "TwoPositions")
        account = self.accounts[self.author.account]
        device = account.devices.get(self.entry.device)
        if device is None:
            raise Refused("UnknownDevice")
        require(device.is_active_at(self.author.place.seq), "DeviceNotActive")
        return device

    def _check_head(self) -> Place | None:
        """V5: the head that is pinned from now on."""
        pinned = self.before.pinned
        if self.entry.head is None:
            require(pinned is None, "OlderHead")
            return None
        head = place(self.entry.head)
        if pinned is not None:
            require(head.seq >= pinned.seq, "OlderHead")
            require(head.seq > pinned.seq or head == pinned, "HeadFork")
        return head

    def _check_author(self) -> None:
        """V6, "who may", V10."""
        member = self.before.members.get(self.author.account)
        if member is None:
            raise Refused("Stranger")
        kind = self.entry.which
        if kind == "accept":
            require(not member.accepted, "AlreadyAccepted")
        else:
            require(member.accepted, "NotAccepted")
            require(kind in ALLOWED[member.role], "NotAllowed")
        if self.log.kind != STORAGE:
            require(kind in ("refresh", "rotate"), "NotInAccountVault")

    def _apply(self, pinned: Place | None) -> State:
        """The state after the entry, by the rules of its kind."""
        state = copy.deepcopy(self.before)
        state.pinned = pinned
        due = state.rotation_due or self._is_outdated(state, self.author)
        getattr(self, "_" + self.entry.which)(state, due)
        if self.entry.which in ("change_role", "remove_member", "leave"):
            managers = [m for m in state.members.values() if m.role == MANAGER and m.accepted]
            require(bool(managers), "LastManager")
        for one in self.refs:
            state.recorded[one.account] = one.place
        if self.entry.which == "rotate":
            state.rotation_due = False
        elif self.entry.which in ("remove_member", "leave"):
            state.rotation_due = True
        elif any(self._is_outdated(state, one) for one in self.refs):
            state.rotation_due = True
        return state

    def _is_outdated(self, state: State, one: Ref) -> bool:
        member = state.members.get(one.account)
        if member is None:
            return False
        at = self.accounts[one.account].generation_at(one.place.seq)
        return at > member.generation

    def _check_generation(self, box: Record) -> None:
        one = ref(box.member)
        at = self.accounts[one.account].generation_at(one.place.seq)
        require(box.generation == at, "Generation")

    def _secret_box(self, box: Record) -> SecretBox:
        account = box.member.account
        return SecretBox(account, box.generation, box.box, self.entry.device, self.entry.seq)

    def _epoch(self, epoch: Record) -> Epoch:
        boxes = [self._secret_box(box) for box in epoch.boxes]
        return Epoch(epoch.number, epoch.commitment, epoch.previous_secret, boxes)

    def _genesis(self, state: State, due: bool) -> None:
        """V8, V9."""
        genesis = self.entry.genesis
        require(genesis.epoch.number == 1, "EpochNumber")
        boxes = genesis.epoch.boxes
        require([box.member.account for box in boxes] == [self.author.account], "Boxes")
        self._check_generation(boxes[0])
        state.epochs = [self._epoch(genesis.epoch)]
        state.members[self.author.account] = Member(MANAGER, True, boxes[0].generation)
        state.home = genesis.home

    def _add_member(self, state: State, due: bool) -> None:
        """V13, V14."""
        body, account = self.entry.add_member, self.entry.add_member.box.member.account
        require(account not in state.members, "AlreadyMember")
        require(len(state.members) < MOST_MEMBERS, "TooManyMembers")
        require(not due, "RotationDue")
        self._check_generation(body.box)
        state.members[account] = Member(body.role, False, body.box.generation)
        state.epochs[-1].boxes.append(self._secret_box(body.box))

    def _accept(self, state: State, due: bool) -> None:
        state.members[self.author.account].accepted = True

    def _member(self, state: State, account: bytes) -> Member:
        if account not in state.members:
            raise Refused("NotAMember")
        return state.members[account]

    def _change_role(self, state: State, due: bool) -> None:
        """V15."""
        body = self.entry.change_role
        member = self._member(state, body.member.account)
        require(member.role != body.role, "SameRole")
        member.role = body.role

    def _remove_member(self, state: State, due: bool) -> None:
        """V16."""
        account = self.entry.remove_member.member.account
        self._member(state, account)
        del state.members[account]

    def _leave(self, state: State, due: bool) -> None:
        """V16."""
        del state.members[self.author.account]

    def _refresh(self, state: State, due: bool) -> None:
        """V17."""
        one = ref(self.entry.refresh.member)
        self._member(state, one.account)
        known = self.before.recorded[one.account]
        require(one.place.seq > known.seq, "NothingNewer")

    def _rotate(self, state: State, due: bool) -> None:
        """V18, V19."""
        epoch = self.entry.rotate.epoch
        require(epoch.number == state.epochs[-1].number + 1, "EpochNumber")
        commitments = [one.commitment for one in state.epochs]
        require(epoch.commitment not in commitments, "CommitmentReused")
        accounts = [box.member.account for box in epoch.boxes]
        require(accounts == sorted(state.members), "Boxes")
        for box in epoch.boxes:
            self._check_generation(box)
            state.members[box.member.account].generation = box.generation
        state.epochs.append(self._epoch(epoch))

    def _moved(self, state: State, due: bool) -> None:
        """V21."""
        require(self.entry.moved.home != state.home, "SameHome")
        origins.check(self.entry.moved.origin)
        state.home, state.origin = self.entry.moved.home, self.entry.moved.origin


def _check_position(accounts: AccountLogs, one: Ref) -> None:
    """V1."""
    log = accounts.get(one.account)
    if log is None:
        raise Refused("AccountLogMissing")
    require(one.place.seq <= log.newest, "AccountEntriesMissing")
    require(log.hashes[one.place.seq - 1] == one.place.hash, "PositionMismatch")
