"""Pairing (part 2, "Pairing")."""

from __future__ import annotations

from dataclasses import dataclass

from ..crypto.hashing import derive, number, u32
from ..crypto.sealing import open_sealed, seal
from ..messages import (
    ACCOUNT_ENTRY,
    PAIRING_CODE,
    PAIRING_END,
    PAIRING_INTRODUCTION,
    PAIRING_PROPOSAL,
    PAIRING_SIGNATURE,
)
from ..public import origins
from ..public.account_log import check_account_fields
from ..public.entries import check_device, decode_payload, device_id, field, place
from ..public.text import WHITE_SPACE, base64url, is_line
from ..refusal import Refused, require
from ..wire import Record, decode
from .phrases import word_list

INTRODUCTION, PROPOSAL, SIGNATURE, END = 1, 2, 3, 4
STEP_NAMES = {
    INTRODUCTION: "introduction",
    PROPOSAL: "proposal",
    SIGNATURE: "signature",
    END: "end",
}
SEALED_BYTES = {INTRODUCTION: 4096, PROPOSAL: 65536, SIGNATURE: 4096, END: 4096}
MOST_SEEN = 256
SCHEME = "coffre-pair:"


@dataclass(frozen=True)
class Code:
    """What the new device shows."""

    secret: bytes
    device: bytes

    def box(self, step: int) -> bytes:
        """The name of a step's message, which the hoster sees."""
        return derive(f"coffre v1 pairing box {STEP_NAMES[step]}", self.secret)

    def key(self, step: int) -> bytes:
        """The key of a step's message."""
        return derive(f"coffre v1 pairing key {STEP_NAMES[step]}", self.secret)


def read_code(text: str) -> Code:
    """`coffre-pair:` and a `PairingCode` in base64url, white space around it ignored."""
    text = text.strip(WHITE_SPACE)
    require(text.startswith(SCHEME), "Scheme")
    code = decode(PAIRING_CODE, base64url(text.removeprefix(SCHEME)))
    require(code.version == 1, "Version")
    return Code(field(code.secret, 32), field(code.device, 32))


def _associated(step: int) -> bytes:
    return b"coffre v1 pairing" + bytes([step])


def seal_message(code: Code, step: int, message: bytes, nonce: bytes) -> bytes:
    """A sealed message with a given nonce: the vectors hold only its hash."""
    padded = u32(len(message)) + message
    padded += bytes(SEALED_BYTES[step] - 40 - len(padded))
    return seal(code.key(step), _associated(step), padded, nonce)


def open_message(code: Code, step: int, sealed: bytes) -> bytes:
    """The message; refuses another length than the step's, and padding that is not
    zeros."""
    require(len(sealed) == SEALED_BYTES[step], "Length")
    padded = open_sealed(code.key(step), _associated(step), sealed)
    length = number(padded[:4])
    require(length <= len(padded) - 4, "Padding")
    require(not any(padded[4 + length :]), "Padding")
    return padded[4 : 4 + length]


def read_introduction(code: Code, message: bytes) -> Record:
    """The device's public half, whose id is the code's, and its name."""
    introduction = decode(PAIRING_INTRODUCTION, message)
    public = check_device(introduction.public)
    require(device_id(public) == code.device, "OtherDevice")
    require(is_line(introduction.name, 0, 464), "Name")
    return introduction


def read_proposal(public: Record, message: bytes) -> tuple[Record, Record]:
    """The proposal, and the entry in it, which adds exactly that device."""
    proposal = decode(PAIRING_PROPOSAL, message)
    entry = decode_payload(ACCOUNT_ENTRY, proposal.payload)
    require(entry.which == "add_device", "OtherEntry")
    require(entry.seq >= 2, "Field")
    for value in (entry.account, entry.previous, entry.author):
        field(value, 32)
    check_account_fields(entry)
    added = device_id(entry.add_device.device.public)
    require(added == device_id(public), "OtherDevice")
    require(entry.add_device.seed.device == added, "OtherDevice")
    field(proposal.hoster, 32)
    origins.check(proposal.origin)
    origins.check_tls(proposal.tls_mode, proposal.tls_pin, "Tls")
    field(proposal.account_vault, 32)
    require(len(proposal.seen) <= MOST_SEEN, "TooMany")
    vaults = [field(seen.vault, 32) for seen in proposal.seen]
    require(all(a < b for a, b in zip(vaults, vaults[1:])), "Order")
    for seen in proposal.seen:
        field(seen.hoster, 32)
        place(seen.position)
        if seen.head is not None:
            place(seen.head)
    require(proposal.words in (1, 2), "Words")
    return proposal, entry


def read_signature(message: bytes) -> bytes:
    """The new device's signature, 64 bytes."""
    return field(decode(PAIRING_SIGNATURE, message).signature, 64)


def read_end(message: bytes) -> bool:
    """Whether the entry is in the log."""
    outcome = decode(PAIRING_END, message).outcome
    if outcome not in (1, 2):
        raise Refused("Outcome")
    return outcome == 1


def check_words(entry_hash: bytes, account: bytes, language: str) -> list[str]:
    """The six words: bits 11i to 11i + 10 of H, the first the highest of its byte."""
    output = derive("coffre v1 pairing words", entry_hash + account)
    word = int.from_bytes(output, "big")
    numbers = [word >> (256 - 11 * (at + 1)) & 2047 for at in range(6)]
    return [word_list(language)[number] for number in numbers]
