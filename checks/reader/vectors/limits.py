"""`limits.json`: logs that are as long as they may be (part 1, "Limits", A7, V13)."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from ..public.account_log import AccountLog
from ..public.entries import SignedEntry
from ..public.vault_log import VaultLog
from .logs import entry
from .score import Score


def _long_entry(vector: dict[str, Any]) -> SignedEntry:
    """An entry whose payload is a list of parts: hexadecimal, or how many zeros."""
    parts = [part if isinstance(part, str) else "00" * part for part in vector["payload"]]
    return entry({**vector, "payload": "".join(parts)})


def _grow(
    vectors: dict[str, Any],
    score: Score,
    append: Callable[[SignedEntry], None],
    hashes: list[bytes],
) -> None:
    """Appends the log; each entry to refuse is tried where it stands, and has to
    leave the log as it was (E8)."""
    for after in range(len(vectors["log"]) + 1):
        for case in vectors["refused"]:
            if case["after"] == after:
                refused = partial(append, _long_entry(case["entry"]))
                score.refuse(case["name"], refused, case["error"])
                if len(hashes) != after:
                    score.faults.append(f"{case['name']}: refused, and the log changed (E8)")
        if after < len(vectors["log"]):
            append(_long_entry(vectors["log"][after]))


def check_limits(vectors: dict[str, Any], score: Score) -> None:
    """64 active devices, 256 members, and what is one too many."""
    log = AccountLog()

    def grow_account() -> list[tuple[str, Any, Any]]:
        _grow(vectors["devices"], score, log.append, log.hashes)
        return [("active devices", len(log.active_at(log.newest)), 64)]

    score.accept("64 active devices", grow_account)
    members, accounts, vault = vectors["members"], {}, VaultLog()

    def grow_vault() -> list[tuple[str, Any, Any]]:
        for entries in members["account_logs"]:
            account = AccountLog()
            for one in entries:
                account.append(_long_entry(one))
            accounts[account.id] = account
        append = partial(vault.append, accounts=accounts)
        _grow(members, score, append, vault.hashes)
        return [("members", len(vault.state.members), 256)]

    score.accept("256 members", grow_vault)
