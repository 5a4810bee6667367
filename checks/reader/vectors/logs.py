"""`account_logs.json`, `vault_logs.json`, `heads.json` (part 1)."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..public.account_log import AccountLog
from ..public.entries import SignedEntry
from ..public.heads import (
    Head,
    Seen,
    check_maker,
    earliest_position,
    follow,
    path_numbers,
    skip,
)
from ..public.vault_log import AccountLogs, VaultLog
from .score import Score, passes, unhex

ROLES = {1: "Reader", 2: "Writer", 3: "Manager"}


def entry(vector: dict[str, Any]) -> SignedEntry:
    """A signed entry as the vectors spell it."""
    signatures = [
        (unhex(one["device"]), unhex(one["signature"])) for one in vector["signatures"]
    ]
    return SignedEntry(unhex(vector["payload"]), signatures)


def account_log(vectors: list[dict[str, Any]]) -> AccountLog:
    """A log of entries that are in order."""
    log = AccountLog()
    for one in vectors:
        log.append(entry(one))
    return log


def vault_log(vectors: list[dict[str, Any]], accounts: AccountLogs) -> VaultLog:
    """A vault log of entries that are in order."""
    log = VaultLog()
    for one in vectors:
        log.append(entry(one), accounts)
    return log


def _by_id(logs: list[list[dict[str, Any]]]) -> AccountLogs:
    built = [account_log(log) for log in logs]
    return {log.id: log for log in built}


def _account_state(log: AccountLog, state: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    active = [id.hex() for id in log.active_at(log.newest)]
    return [
        ("seq", log.newest, state["seq"]),
        ("hash", log.hashes[-1].hex(), state["hash"]),
        ("active devices", active, state["active_devices"]),
        ("generation", log.generation_at(log.newest), state["generation"]),
    ]


def check_account_logs(vectors: dict[str, Any], score: Score) -> None:
    """States after each entry, entries to refuse, papers."""
    log = AccountLog()
    for one, state in zip(vectors["log"], vectors["states"], strict=True):

        def append(one: Any = one, state: Any = state) -> list[tuple[str, Any, Any]]:
            log.append(entry(one))
            return _account_state(log, state)

        score.accept(f"entry {state['seq']}", append)
    score.check("id", log.id.hex() == vectors["id"])
    score.check("home", log.home.hex() == vectors["home"])
    score.check("origin of the home", log.origin == vectors["home_origin"])
    _refuse_entries(vectors, score)
    papers = vectors["papers"]
    rooted = account_log(papers["log"]).devices
    found = sorted(id.hex() for id, one in rooted.items() if one.is_paper and one.is_rooted)
    score.check("rooted papers", found == sorted(papers["rooted_papers"]))
    _refuse_entries(papers, score)


def _refuse_entries(vectors: dict[str, Any], score: Score) -> None:
    for case in vectors["refused"]:
        log = account_log(vectors["log"][: case["after"]])
        before = (list(log.hashes), list(log.devices), len(log.generations), log.home)
        score.refuse(case["name"], partial(log.append, entry(case["entry"])), case["error"])
        after = (list(log.hashes), list(log.devices), len(log.generations), log.home)
        if after != before:
            score.faults.append(f"{case['name']}: refused, and the log changed (E8)")


def _vault_state(log: VaultLog, state: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    members = [
        {
            "account": account.hex(),
            "role": ROLES[member.role],
            "accepted": member.accepted,
            "recorded_seq": log.state.recorded[account].seq,
        }
        for account, member in sorted(log.state.members.items())
    ]
    return [
        ("seq", len(log.hashes), state["seq"]),
        ("hash", log.hashes[-1].hex(), state["hash"]),
        ("members", members, state["members"]),
        ("epoch", log.state.epochs[-1].number, state["epoch"]),
        ("rotation due", log.state.rotation_due, state["rotation_due"]),
    ]


def check_vault_logs(vectors: dict[str, Any], score: Score) -> None:
    """States after each entry, entries to refuse, moves."""
    accounts = _by_id(vectors["account_logs"])
    log = VaultLog()
    for one, state in zip(vectors["log"], vectors["states"], strict=True):

        def append(one: Any = one, state: Any = state) -> list[tuple[str, Any, Any]]:
            log.append(entry(one), accounts)
            return _vault_state(log, state)

        score.accept(f"entry {state['seq']}", append)
    score.check("id", log.id.hex() == vectors["id"])
    score.accept(
        "the account vault",
        lambda: [("entries", len(vault_log(vectors["account_vault"], accounts).hashes), 1)],
    )
    earliest = vectors["earliest_position_for_head"]
    found = [earliest_position(log, seq) for seq in range(len(earliest))]
    score.check("earliest positions", found == earliest)
    for case in vectors["refused"]:
        name, count = case["after"] or ("log", 0)
        before = vault_log(vectors[name][:count], accounts)
        refused = partial(before.append, entry(case["entry"]), accounts)
        score.refuse(case["name"], refused, case["error"])
    _check_moves(vectors["moves"], score)


def _check_moves(moves: dict[str, Any], score: Score) -> None:
    account = account_log(moves["account_log"])
    accounts = {account.id: account}
    for at, one in enumerate(moves["accepted"], 1):

        def append(one: Any = one) -> list[tuple[str, Any, Any]]:
            log = vault_log(moves["log"], accounts)
            log.append(entry(one), accounts)
            return [("home", log.state.home, log.entries[-1].moved.home)]

        score.accept(f"move {at}", append)
    for case in moves["refused"]:
        log = vault_log(moves["log"][: case["after"]], accounts)
        append_it = partial(log.append, entry(case["entry"]), accounts)
        score.refuse(case["name"], append_it, case["error"])


def check_heads(vectors: dict[str, Any], score: Score) -> None:
    """The chain of six, heads offered as the next, bytes, skips and paths."""
    accounts = _by_id(vectors["account_logs"])
    vault = vault_log(vectors["vault_log"][:6], accounts)
    seen = Seen()
    for one in vectors["heads"]:
        head = Head.decode(unhex(one["head"]))
        # The first six stand before entries that the vault log has by now; each
        # holds against the log as it is (end of "Heads").
        score.accept(
            f"head {head.seq}",
            lambda: [
                ("hash", head.hash.hex(), one["hash"]),
                ("maker", passes(check_maker, head, vault, accounts), True),
            ],
        )
        kept = {**seen.hashes, head.seq: head.hash}
        seen = Seen(head, kept)
    seen = Seen(seen.newest, {seq: seen.hashes[seq] for seq in (6, 4)})
    _offer_heads(vectors, score, accounts, seen)
    for case in vectors["undecodable"]:
        score.refuse(case["name"], partial(Head.decode, unhex(case["head"])), case["error"])
    skips = [skip(seq) for seq in range(1, 17)]
    score.check("skips", skips == vectors["skip_seq"])
    for path in vectors["paths"]:
        name = f"path from {path['newest']} to {path['known']}"
        found = path_numbers(path["newest"], path["known"])
        score.check(name, found == path["heads"])


def _offer_heads(
    vectors: dict[str, Any], score: Score, accounts: AccountLogs, seen: Seen
) -> None:
    logs = {
        count: vault_log(vectors["vault_log"][:count], accounts)
        for count in {one["vault_entries"] for one in vectors["accepted"] + vectors["refused"]}
    }
    for at, case in enumerate(vectors["accepted"], 1):
        head = Head.decode(unhex(case["head"]))
        vault = logs[case["vault_entries"]]
        score.accept(
            f"accepted head {at}",
            lambda: [
                ("seq", follow([head], seen, vault, accounts).seq, 7),
                ("hash", head.hash.hex(), case["hash"]),
                ("associated", head.root_associated.hex(), case["root_associated_data"]),
            ],
        )
    for case in vectors["refused"]:

        def offer(case: Any = case) -> None:
            head = Head.decode(unhex(case["head"]))
            follow([head], seen, logs[case["vault_entries"]], accounts)

        score.refuse(case["name"], offer, case["error"])
