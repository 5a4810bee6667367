"""Counts what agreed and keeps what did not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ..refusal import Refused

CORE = "vault-core/tests/vectors"
PROTO = "proto/tests/vectors"


def unhex(text: str) -> bytes:
    """The bytes of lower-case hexadecimal."""
    return bytes.fromhex(text)


def change(encoded: bytes, how: dict[str, Any]) -> bytes:
    """A vector's `change`: a bit, lowest of its byte first; a length to cut to; or
    a byte to append."""
    ((kind, value),) = ((k, v) for k, v in how.items() if k != "keeps_id")
    if kind == "flip_bit":
        changed = bytearray(encoded)
        changed[value // 8] ^= 1 << (value % 8)
        return bytes(changed)
    if kind == "truncate":
        return encoded[:value]
    assert kind == "append", kind
    return encoded + bytes([value])


def passes(check: Callable[..., None], *arguments: Any) -> bool:
    """True once `check` has not refused."""
    check(*arguments)
    return True


@dataclass
class Score:
    """One file's positive and negative vectors, and their names of reasons."""

    file: str
    accepted: int = 0
    positive: int = 0
    refused: int = 0
    negative: int = 0
    same_reason: int = 0
    named: int = 0
    faults: list[str] = field(default_factory=list)
    other_reasons: list[str] = field(default_factory=list)

    def check(self, name: str, holds: bool) -> None:
        """A positive vector about which one thing is to be seen."""
        self.accept(name, lambda: [("value", holds, True)])

    def accept(self, name: str, read: Callable[[], list[tuple[str, Any, Any]]]) -> None:
        """A positive vector: `read` gives what was read, and what it has to be."""
        self.positive += 1
        try:
            wrong = [what for what, found, expected in read() if found != expected]
        except Refused as refusal:
            wrong = [f"refused: {refusal.reason}"]
        if wrong:
            self.faults.append(f"{name}: {', '.join(wrong)}")
        else:
            self.accepted += 1

    def refuse(self, name: str, read: Callable[[], Any], reason: str | None = None) -> None:
        """A negative vector; `reason` is the vector's name of the rule, if it has one."""
        self.negative += 1
        if reason is not None:
            self.named += 1
        try:
            read()
        except Refused as refusal:
            self.refused += 1
            if reason == refusal.reason:
                self.same_reason += 1
            elif reason is not None:
                self.other_reasons.append(f"{name}: {refusal.reason}, vector {reason}")
        else:
            self.faults.append(f"{name}: accepted, to be refused ({reason})")

    @property
    def agrees(self) -> bool:
        """Whether every vector of the file agreed."""
        return not self.faults and self.positive + self.negative > 0


Check = Callable[[dict[str, Any], Score], None]


def run(root: Path, folder: str, file: str, check: Check) -> Score:
    """Reads one file of vectors and checks it."""
    score = Score(file)
    check(json.loads((root / folder / file).read_text("utf-8")), score)
    return score
