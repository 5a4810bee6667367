"""Recovery phrases and device keys (part 2, "Devices and recovery phrases").

The word lists are BIP39's, from the package `mnemonic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from ..crypto import ed25519, xwing
from ..crypto.hashing import derive
from ..messages import DEVICE_PUBLIC
from ..public.entries import MACHINE, PAPER, device_id
from ..refusal import Refused, require
from ..wire import Record

LANGUAGES = ("english", "french")
COMPOSED = str.maketrans("éèêë", "eeee")


@dataclass(frozen=True)
class DeviceKeys:
    """A device's secret half, as it is kept at rest: kind, seed, private key."""

    kind: int
    signing_seed: bytes
    kem_private: bytes

    @staticmethod
    def decode(kept: bytes) -> DeviceKeys:
        """From the 65 bytes at rest."""
        require(len(kept) == 65 and kept[0] in (MACHINE, PAPER), "Device")
        return DeviceKeys(kept[0], kept[1:33], kept[33:])

    @property
    def public(self) -> Record:
        """The `DevicePublic` of these keys."""
        public = Record(DEVICE_PUBLIC)
        public.kind = self.kind
        public.signing_key = ed25519.public_key(self.signing_seed)
        public.kem_key = xwing.public_key(self.kem_private)
        return public

    @property
    def id(self) -> bytes:
        """The device id."""
        return device_id(self.public)


def paper_device(entropy: bytes) -> DeviceKeys:
    """The paper device of a phrase."""
    return DeviceKeys(
        PAPER,
        derive("coffre v1 paper signing key", entropy),
        derive("coffre v1 paper kem key", entropy),
    )


def _plain(word: str) -> str:
    """Without case and accents, as a reader of phrases compares words."""
    dropped = "".join(c for c in word.lower() if not "\u0300" <= c <= "\u036f")
    return dropped.translate(COMPOSED)


@lru_cache
def word_list(language: str) -> list[str]:
    """BIP39's 2,048 words."""
    text = (files("mnemonic") / "wordlist" / f"{language}.txt").read_text("utf-8")
    return text.split()


@lru_cache
def _places(language: str) -> dict[str, int]:
    places = {_plain(word): at for at, word in enumerate(word_list(language))}
    assert len(places) == 2048
    return places


def phrase(entropy: bytes, language: str) -> str:
    """The 24 words of 32 bytes of entropy."""
    word = int.from_bytes(entropy + sha256(entropy).digest()[:1], "big")
    numbers = [word >> (11 * at) & 2047 for at in reversed(range(24))]
    return " ".join(word_list(language)[number] for number in numbers)


def read_phrase(text: str) -> bytes:
    """The entropy of a phrase; refuses what is none in either list."""
    words = [_plain(word) for word in text.split()]
    require(len(words) == 24, "Words")
    for language in LANGUAGES:
        places = _places(language)
        if any(word not in places for word in words):
            continue
        number = 0
        for word in words:
            number = number << 11 | places[word]
        entropy = (number >> 8).to_bytes(32, "big")
        if number & 255 == sha256(entropy).digest()[0]:
            return entropy
    raise Refused("Words")
