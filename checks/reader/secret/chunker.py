"""Part 3: where a stream is cut. A reader needs none of this; it is here to check
that the text suffices to cut alike."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ..crypto.hashing import keyed_hash, number, u64
from .keys import ChunkerKeys

MASK = (1 << 64) - 1
WINDOW = 64
BATCH = 4096
Words = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """The row of a kind of stream in the table of "Cuts"."""

    min: int
    max: int
    threshold: int


SIZES = {
    "file data": Sizes(262_144, 4_194_304, 0x0000152F38C7E0B8),
    "metadata": Sizes(8_192, 65_536, 0x000250941B5566F0),
    "catalog": Sizes(2_048, 16_384, 0x00094201D78531A4),
}


def _rotl(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & MASK


def _step(digest: Words, words: Words) -> Words:
    a, b = digest
    x, y = words
    return b ^ x, _rotl(a ^ y, 39) ^ (b << 49) & MASK


class Chunker:
    """The tables of one pair of keys."""

    def __init__(self, keys: ChunkerKeys) -> None:
        output = keyed_hash(keys.universal_hash, b"", 128)
        words = [number(output[at : at + 8]) for at in range(0, 128, 8)]
        self.single = list(zip(words[::2], words[1::2]))
        self.entering = [self._entering(byte) for byte in range(256)]
        self.leaving = [self._leaving(byte) for byte in range(256)]
        self.aes = Cipher(algorithms.AES(keys.cipher), modes.ECB()).encryptor()

    def _entering(self, byte: int) -> Words:
        """T: the XOR of the words of the byte's bits."""
        x = y = 0
        for bit, (one_x, one_y) in enumerate(self.single):
            if byte >> bit & 1:
                x, y = x ^ one_x, y ^ one_y
        return x, y

    def _leaving(self, byte: int) -> Words:
        """U: what cancels a byte that leaves the window."""
        digest = _step((0, 0), self.entering[byte])
        for _ in range(WINDOW):
            digest = _step(digest, (0, 0))
        return digest[0], _rotl(digest[1], 64 - 39)

    def digest(self, window: bytes) -> Words:
        """The digest of a window of 64 bytes, the oldest first."""
        digest = (0, 0)
        for byte in window:
            digest = _step(digest, self.entering[byte])
        return digest

    def encrypt(self, digest: Words) -> bytes:
        """E of a position."""
        return self.aes.update(u64(digest[0]) + u64(digest[1]))

    def _digests(self, stream: bytes, first: int, end: int) -> Iterator[list[int]]:
        """The digests of the positions from `first` to before `end`, word after
        word, in batches."""
        a, b = self.digest(stream[first - WINDOW : first])
        words = [a, b]
        for enters, leaves in zip(stream[first : end - 1], stream[first - WINDOW :]):
            if len(words) == 2 * BATCH:
                yield words
                words = []
            x, y = self.entering[enters]
            u, v = self.leaving[leaves]
            y ^= v ^ a
            a, b = b ^ x ^ u, (y << 39 & MASK | y >> 25) ^ (b << 49 & MASK)
            words += (a, b)
        yield words

    def _first_candidate(
        self, stream: bytes, first: int, end: int, threshold: int
    ) -> int | None:
        at = first
        for words in self._digests(stream, first, end):
            blocks = struct.pack(f"<{len(words)}Q", *words)
            values = struct.unpack(f"<{len(words)}Q", self.aes.update(blocks))[::2]
            if min(values) < threshold:
                return at + next(n for n, value in enumerate(values) if value < threshold)
            at += len(values)
        return None

    def lengths(self, stream: bytes, sizes: Sizes) -> list[int]:
        """The lengths of the chunks of a stream."""
        out, begin, size = [], 0, len(stream)
        while begin < size:
            last = min(begin + sizes.max, size)
            end: int | None = size
            if size - begin > sizes.min:
                first = begin + sizes.min
                end = self._first_candidate(stream, first, last, sizes.threshold)
            out.append((end or last) - begin)
            begin = end or last
        return out
