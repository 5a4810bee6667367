"""Addresses (part 1, "Address", N1 to N4) with bech32m (BIP-350)."""

from dataclasses import dataclass

from ..refusal import Refused, require
from . import origins
from .text import is_name, trim

PREFIX = "coffre"
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
BECH32M = 0x2BC830A3


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, constant in enumerate(GENERATOR):
            check ^= constant if top >> bit & 1 else 0
    return check


def _expanded_prefix() -> list[int]:
    return [ord(c) >> 5 for c in PREFIX] + [0] + [ord(c) & 31 for c in PREFIX]


def fingerprint(account: bytes) -> str:
    """The bech32m string of an account id, in lower case."""
    word = int.from_bytes(account, "big") << 4
    values = [word >> (5 * at) & 31 for at in reversed(range(52))]
    check = _polymod(_expanded_prefix() + values + [0] * 6) ^ BECH32M
    values += [check >> (5 * at) & 31 for at in reversed(range(6))]
    return PREFIX + "1" + "".join(LETTERS[value] for value in values)


def read_fingerprint(text: str) -> bytes:
    """N4: the account id, in lower or in upper case but not in both."""
    require(text in (text.lower(), text.upper()) and text.isascii(), "Fingerprint")
    text = text.lower()
    require(len(text) == 65 and text.startswith(PREFIX + "1"), "Fingerprint")
    values = [LETTERS.find(letter) for letter in text[len(PREFIX) + 1 :]]
    require(min(values) >= 0, "Fingerprint")
    require(_polymod(_expanded_prefix() + values) == BECH32M, "Fingerprint")
    word = 0
    for value in values[:52]:
        word = word << 5 | value
    require(word & 15 == 0, "Fingerprint")
    return (word >> 4).to_bytes(32, "big")


@dataclass(frozen=True)
class Address:
    """A member's address: what he is called, where his log is, who he is."""

    name: str
    origin: str
    account: bytes

    def __str__(self) -> str:
        return f"{self.name}@{self.origin}#{fingerprint(self.account)}"


def read_address(text: str) -> Address:
    """N1 to N4, of text that a person typed."""
    text = trim(text, 1024)
    name, at, rest = text.partition("@")
    require(at == "@", "NoName")
    require(is_name(name), "Name")
    origin, hash_sign, print_ = rest.partition("#")
    origin = origins.normalize(origin)
    require(hash_sign == "#" and print_ != "", "NoFingerprint")
    return Address(name, origin, read_fingerprint(print_))


def check_stored(text: str) -> Address:
    """A stored address: in the one spelling, and nothing else (`Spelling`)."""
    address = read_address(text)
    if str(address) != text:
        raise Refused("Spelling")
    return address
