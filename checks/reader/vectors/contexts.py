"""`head_contexts.json`, `login_contexts.json`: what heads and logins are held against
beside themselves (part 1, H4 to H9, H14, V1, G1, G2)."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from ..public.heads import Head, Seen, check_contents, check_maker, check_standing, follow
from ..public.login import Channel, check_hello, check_login
from ..public.vault_log import AccountLogs
from .logs import account_log, entry, vault_log
from .score import Score, passes, unhex


def _judge(score: Score, case: dict[str, Any], check: Callable[[], Any]) -> None:
    """A case that is to be accepted exactly where its `error` is empty."""
    if case["error"]:
        score.refuse(case["name"], check, case["error"])
    else:
        score.accept(case["name"], lambda: [("accepted", passes(check), True)])


def check_head_contexts(vectors: dict[str, Any], score: Score) -> None:
    """Heads and entries beside some of the account logs; what a head points at."""
    logs = vectors["account_logs"]
    built = [account_log(log) for log in logs]
    accounts = {log.id: log for log in built}
    vault = vault_log(vectors["vault_log"], accounts)

    def at_hand(case: dict[str, Any]) -> AccountLogs:
        known = [account_log(logs[one["log"]][: one["entries"]]) for one in case["known"]]
        return {log.id: log for log in known}

    seen = Seen()
    for one in vectors["heads"]:
        head = Head.decode(unhex(one))
        maker = partial(check_maker, head, vault, accounts)
        score.accept(f"head {head.seq}", lambda: [("maker", passes(maker), True)])
        seen = Seen(head, {**seen.hashes, head.seq: head.hash})
    for case in vectors["authors"]:
        head = Head.decode(unhex(case["head"]))
        _judge(score, case, partial(check_maker, head, vault, at_hand(case)))
    for case in vectors["entries"]:
        before = vault_log(vectors["vault_log"], accounts)
        _judge(score, case, partial(before.append, entry(case["entry"]), at_hand(case)))
    for case in vectors["points"]:
        head = Head.decode(unhex(case["head"]))
        root = bytes([case["root_byte"]]) * case["root_length"]
        packs = unhex(case["adds"]), unhex(case["removes"])
        score.accept(
            f"{case['name']}: head",
            lambda: [("seq", follow([head], seen, vault, accounts).seq, 7)],
        )
        _judge(score, case, partial(check_contents, head, root, *packs))


def check_replaced_heads(vectors: dict[str, Any], score: Score) -> None:
    """Heads in the place of one that the vault log pins (H15), each seen for the first
    time by a path of it and the fourth."""
    built = [account_log(log) for log in vectors["account_logs"]]
    accounts = {log.id: log for log in built}
    fourth = Head.decode(unhex(vectors["fourth"]))
    for case in vectors["cases"]:
        vault = vault_log(case["vault_log"], accounts)
        head = Head.decode(unhex(case["head"]))
        follow([head, fourth], Seen(), vault, accounts)
        _judge(score, case, partial(check_standing, head, vault, accounts))


def _channel(case: dict[str, Any]) -> Channel:
    return Channel(
        unhex(case["hoster"]),
        unhex(case["client_nonce"]),
        unhex(case["server_nonce"]),
        unhex(case["exporter"]),
        case["origin"],
    )


def check_login_contexts(vectors: dict[str, Any], score: Score) -> None:
    """Each half of a login, as whoever verifies it sees it. The hoster's clock is not
    given: it is taken for the device's."""
    for case in vectors["hellos"]:
        key, signature = unhex(case["key"]), unhex(case["signature"])
        _judge(score, case, partial(check_hello, _channel(case), key, case["time"], signature))
    log = account_log(vectors["log"])
    for case in vectors["logins"]:
        account, device = unhex(case["account"]), unhex(case["device"])
        times, signature = (case["time"], case["time"]), unhex(case["signature"])
        check = partial(check_login, _channel(case), log, account, device, times, signature)
        _judge(score, case, check)
