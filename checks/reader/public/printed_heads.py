"""Printed heads (part 1, "Printed heads")."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ..crypto.hashing import derive, u64
from ..refusal import Refused, require
from .heads import Head, check_links, skip
from .text import WHITE_SPACE, trim

SHORT_BYTES, CHECK_BYTES = 20, 5
MOST_BYTES = 128


@dataclass(frozen=True)
class PrintedHead:
    """What a printed head says: a number, and how that head's hash begins."""

    vault: bytes
    seq: int
    short_hash: bytes

    def __str__(self) -> str:
        letters = base64.b32encode(self.short_hash + self.check).decode().lower()
        return "-".join([str(self.seq), *(letters[at : at + 4] for at in range(0, 40, 4))])

    @property
    def check(self) -> bytes:
        """The bytes at the end, which cover vault and number."""
        covered = self.vault + u64(self.seq) + self.short_hash
        return derive("coffre v1 printed head", covered)[:CHECK_BYTES]

    def confirm(self, path: list[Head]) -> None:
        """Refuses unless the newest head, `path[0]`, is this one, or `path` shows
        that it extends this one. Who made the heads is not verified here."""
        newest, oldest = path[0], path[-1]
        require(all(head.vault == self.vault for head in path), "NotThisVault")
        require(newest.seq >= self.seq, "Older")
        if newest.seq == self.seq:
            require(newest.hash[:SHORT_BYTES] == self.short_hash, "Fork")
            return
        # No more of the hash is known than that it has to begin so; the rest is
        # what the head before it links to.
        if self.seq == oldest.seq - 1:
            linked = oldest.previous
        elif self.seq == skip(oldest.seq):
            linked = oldest.skipped
        else:
            raise Refused("MissingLink")
        require(linked[:SHORT_BYTES] == self.short_hash, "Fork")
        check_links(path, self.seq, {self.seq: linked})


def print_head(vault: bytes, seq: int, head_hash: bytes) -> PrintedHead:
    """What a member keeps of the head with that number and hash."""
    return PrintedHead(vault, seq, head_hash[:SHORT_BYTES])


def read_printed(vault: bytes, text: str) -> PrintedHead:
    """A printed head as a person typed it, of a vault that he has in mind."""
    number, _, rest = trim(text, MOST_BYTES).partition("-")
    require(re.fullmatch(r"[1-9][0-9]{0,19}", number) is not None, "Number")
    require(int(number) < 1 << 64, "Number")
    letters = "".join(char for char in rest if char not in WHITE_SPACE and char != "-")
    require(re.fullmatch(r"[A-Za-z2-7]{40}", letters) is not None, "Letters")
    decoded = base64.b32decode(letters.upper())
    found = PrintedHead(vault, int(number), decoded[:SHORT_BYTES])
    require(decoded[SHORT_BYTES:] == found.check, "Check")
    return found
