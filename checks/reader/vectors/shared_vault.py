"""Makes logs and heads of a vault of two: an owner with a paper, and a writer with a
paper and a machine. Boxes are filler, as in the vectors of part 1, and the heads
point at nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..crypto import ed25519
from ..crypto.hashing import derive, u64
from ..messages import (
    ACCEPT_MEMBERSHIP, ACCOUNT_ENTRY, ACCOUNT_GENESIS, ACCOUNT_KEY, ADD_MEMBER, CHANGE_ROLE,
    DEVICE_PUBLIC, EPOCH, EPOCH_BOX, LEAVE_VAULT, MEMBER_REF, NEW_DEVICE, POSITION,
    REFRESH_MEMBER, REMOVE_DEVICE, REMOVE_MEMBER, ROTATE_EPOCH, SEALED_SEED, VAULT_ENTRY,
    VAULT_GENESIS,
)  # fmt: skip
from ..public.account_log import SIGN_LABEL as ACCOUNT_LABEL, AccountLog
from ..public.entries import (
    BOX_BYTES,
    MACHINE,
    PAPER,
    WRAPPED_BYTES,
    SignedEntry,
    device_id,
)
from ..public.heads import MAGIC, ZEROS, Head, skip
from ..public.vault_fields import WRITER
from ..public.vault_log import SIGN_LABEL as VAULT_LABEL, VaultLog
from ..wire import Message, Record, encode
from .maker import HOME, SALT, make

BOX, WRAPPED = bytes(BOX_BYTES), bytes(WRAPPED_BYTES)


@dataclass(frozen=True)
class Signer:
    """A device that signs; nothing is ever sealed to it."""

    seed: bytes
    public: Record

    @property
    def id(self) -> bytes:
        """The device id."""
        return device_id(self.public)

    def sign(self, label: str, payload: bytes) -> tuple[bytes, bytes]:
        """A signature as entries carry it."""
        return self.id, ed25519.sign(self.seed, label, payload)


def _signer(name: bytes, kind: int) -> Signer:
    seed = derive("coffre checks", name)
    key = ed25519.public_key(seed)
    return Signer(seed, make(DEVICE_PUBLIC, kind=kind, signing_key=key, kem_key=seed * 38))


def _entry(
    schema: Message, label: str, signers: list[Signer], which: str, **fields: Any
) -> SignedEntry:
    message = make(schema, version=1, **fields)
    message.which = which
    payload = encode(message)
    return SignedEntry(payload, [signer.sign(label, payload) for signer in signers])


def _account_key(generation: int, devices: list[Signer]) -> Record:
    seeds = [make(SEALED_SEED, device=one.id, box=BOX) for one in devices]
    key = derive("coffre checks", devices[0].id + u64(generation)) * 38
    wrapped = WRAPPED if generation > 1 else b""
    return make(
        ACCOUNT_KEY, generation=generation, kem_key=key, seeds=seeds, previous_seed=wrapped
    )


def _account(*signers: Signer) -> AccountLog:
    devices = sorted(signers, key=lambda one: one.id)
    genesis = make(
        ACCOUNT_GENESIS,
        salt=SALT,
        home=HOME,
        devices=[make(NEW_DEVICE, public=one.public) for one in devices],
        account_key=_account_key(1, devices),
    )
    log, author = AccountLog(), devices[0].id
    log.append(
        _entry(
            ACCOUNT_ENTRY, ACCOUNT_LABEL, devices, "genesis",
            seq=1, author=author, genesis=genesis,
        )  # fmt: skip
    )
    return log


class SharedVault:
    """The vault. With entry 3 the writer has accepted; no head is pinned then. Entries
    are signed by papers."""

    def __init__(self) -> None:
        self.paper, self.machine = _signer(b"paper", PAPER), _signer(b"machine", MACHINE)
        self.owners = _signer(b"owner", PAPER)
        self.owner, self.writer = _account(self.owners), _account(self.paper, self.machine)
        self.accounts = {self.owner.id: self.owner, self.writer.id: self.writer}
        self.log = VaultLog()
        box = self._box(self.owner)
        epoch = make(EPOCH, number=1, commitment=SALT, boxes=[box])
        genesis = make(VAULT_GENESIS, salt=SALT, kind=1, home=HOME, epoch=epoch)
        self._append(self.owner, "genesis", genesis, None)
        self.invite()
        self._append(self.writer, "accept", make(ACCEPT_MEMBERSHIP), None)

    def _ref(self, account: AccountLog, seq: int = 1) -> Record:
        position = make(POSITION, seq=seq, hash=account.hashes[seq - 1])
        return make(MEMBER_REF, account=account.id, position=position)

    def _box(self, account: AccountLog) -> Record:
        return make(EPOCH_BOX, member=self._ref(account), generation=1, box=BOX)

    def _append(
        self, author: AccountLog, kind: str, body: Record, head: Head | None, at: int = 1
    ) -> None:
        signer = self.owners if author is self.owner else self.paper
        fields = {kind: body, "author": self._ref(author, at), "device": signer.id}
        if self.log.hashes:
            fields |= {"vault": self.log.id, "previous": self.log.hashes[-1]}
        if head is not None:
            fields["head"] = make(POSITION, seq=head.seq, hash=head.hash)
        seq = len(self.log.hashes) + 1
        entry = _entry(VAULT_ENTRY, VAULT_LABEL, [signer], kind, seq=seq, **fields)
        self.log.append(entry, self.accounts)

    def invite(self, head: Head | None = None) -> None:
        """The owner adds the writer."""
        body = make(ADD_MEMBER, role=WRITER, box=self._box(self.writer))
        self._append(self.owner, "add_member", body, head)

    def remove(self, head: Head) -> None:
        """The owner removes the writer."""
        body = make(REMOVE_MEMBER, member=self._ref(self.writer))
        self._append(self.owner, "remove_member", body, head)

    def change_role(self, role: int, head: Head) -> None:
        """The owner changes what the writer may."""
        body = make(CHANGE_ROLE, member=self._ref(self.writer), role=role)
        self._append(self.owner, "change_role", body, head)

    def leave(self, head: Head) -> None:
        """The writer leaves."""
        self._append(self.writer, "leave", make(LEAVE_VAULT), head)

    def rotate(self, head: Head) -> None:
        """The owner begins the next epoch, which puts nobody out."""
        number = self.log.state.epochs[-1].number + 1
        members = sorted(self.log.state.members)
        epoch = make(
            EPOCH,
            number=number,
            commitment=derive("coffre checks", u64(number)),
            boxes=[self._box(self.accounts[member]) for member in members],
            previous_secret=WRAPPED,
        )
        self._append(self.owner, "rotate", make(ROTATE_EPOCH, epoch=epoch), head)

    def remove_machine(self) -> None:
        """The writer's paper removes his machine, with entry 2 of his account's log."""
        body = make(
            REMOVE_DEVICE, device=self.machine.id, account_key=_account_key(2, [self.paper])
        )
        entry = _entry(
            ACCOUNT_ENTRY, ACCOUNT_LABEL, [self.paper], "remove_device",
            account=self.writer.id, seq=2, previous=self.writer.id, author=self.paper.id,
            remove_device=body,
        )  # fmt: skip
        self.writer.append(entry)

    def refresh(self, author: AccountLog, head: Head) -> None:
        """The owner, or the writer himself, records entry 2 of the writer's log."""
        body = make(REFRESH_MEMBER, member=self._ref(self.writer, 2))
        self._append(author, "refresh", body, head, at=2 if author is self.writer else 1)

    def head(
        self, signer: Signer, before: list[Head], entry: int = 3, replaced: bytes = ZEROS
    ) -> Head:
        """The head after those `before`, at that entry of the vault log."""
        account = self.owner if signer is self.owners else self.writer
        seq, epoch = len(before) + 1, self.log.states[entry - 1].epochs[-1].number
        hashes = [ZEROS, *(one.hash for one in before)]
        signed = b"".join(
            [
                MAGIC, self.log.id, u64(seq), hashes[seq - 1], hashes[skip(seq)],
                u64(entry), self.log.hashes[entry - 1], account.id, signer.id,
                u64(1), account.id, u64(epoch), bytes(96), replaced,
            ]
        )  # fmt: skip
        _, signature = signer.sign("coffre v1 sign head", signed)
        return Head.decode(signed + signature)
