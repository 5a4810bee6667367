"""Part 3: `chunker.json`."""

from __future__ import annotations

from typing import Any

from ..crypto.hashing import number, u64
from ..secret.chunker import SIZES, Chunker
from ..secret.keys import ChunkerKeys
from .score import Score, unhex

MASK = (1 << 64) - 1


def _splitmix64(state: int, length: int) -> bytes:
    out = bytearray()
    while len(out) < length:
        state = state + 0x9E3779B97F4A7C15 & MASK
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        out += u64(z ^ z >> 31)
    return bytes(out[:length])


def _input(how: dict[str, Any]) -> bytes:
    if how["kind"] == "splitmix64":
        return _splitmix64(how["seed"], how["length"])
    period = unhex(how["bytes"])
    return (period * (how["length"] // len(period) + 1))[: how["length"]]


def check_chunker(vectors: dict[str, Any], score: Score) -> None:
    """The hash, step by step, the table of sizes, and whole streams."""
    universal_hash = unhex(vectors["universal_hash_key"])
    cipher = unhex(vectors["cipher_key"])
    chunker, hash_ = Chunker(ChunkerKeys(universal_hash, cipher)), vectors["hash"]
    pairs = [(u64(x) + u64(y)).hex() for x, y in [*chunker.single, chunker.entering[0xFF]]]
    digest = chunker.digest(unhex(hash_["window"]))
    encrypted = chunker.encrypt(digest)
    score.accept(
        "one window",
        lambda: [
            ("A", pairs[:8], hash_["A"]),
            ("T(ff)", pairs[8], hash_["T_of_ff"]),
            ("digest", (u64(digest[0]) + u64(digest[1])).hex(), hash_["digest"]),
            ("encrypted", encrypted.hex(), hash_["encrypted"]),
            ("compared", f"{number(encrypted[:8]):016x}", hash_["compared"]),
        ],
    )
    for name, sizes in vectors["sizes"].items():
        found = SIZES[name]
        score.check(
            f"sizes of {name}",
            (found.min, found.max, found.threshold)
            == (sizes["min"], sizes["max"], int(sizes["threshold"], 16)),
        )
    for case in vectors["cases"]:
        key = unhex(case.get("cipher_key", vectors["cipher_key"]))
        cutter = Chunker(ChunkerKeys(universal_hash, key))
        lengths = cutter.lengths(_input(case["input"]), SIZES[case["sizes"]])
        score.check(case["name"], lengths == case["lengths"])
