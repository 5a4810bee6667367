"""Heads in whose place the vault log pins another one (H15), and what a printed head
confirms ("Printed heads"), made here."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from ..public.heads import Head, Seen, check_standing, follow, path_numbers
from ..public.printed_heads import print_head
from ..public.vault_fields import READER, WRITER
from .score import Score, passes
from .shared_vault import SharedVault

# What happens behind entry 3, given the head that is lost and the one that takes its
# place; the heads above the latter, newest first.
Happens = Callable[[SharedVault, Head, Head], list[Head]]


def _nobody_put_out(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.rotate(lost)
    return []


def _removed(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.remove(lost)
    return []


def _removed_and_invited(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.remove(lost)
    vault.rotate(lost)
    vault.invite(lost)
    return []


def _may_only_read(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.change_role(READER, lost)
    return []


def _may_write_again(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.change_role(READER, lost)
    vault.change_role(WRITER, lost)
    return []


def _left(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.leave(lost)
    return []


def _left_before_others(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.leave(lost)
    vault.rotate(lost)
    return []


def _removed_behind_it(vault: SharedVault, _: Head, taker: Head) -> list[Head]:
    vault.remove(taker)
    return []


def _removed_later(vault: SharedVault, lost: Head, taker: Head) -> list[Head]:
    vault.rotate(lost)
    second = vault.head(vault.owners, [taker], entry=4)
    vault.remove(second)
    return [second]


def _machine_removed(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.remove_machine()
    vault.refresh(vault.owner, lost)
    return []


def _machine_removed_by_himself(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.remove_machine()
    vault.refresh(vault.writer, lost)
    return []


def _machine_removed_unseen(vault: SharedVault, lost: Head, _: Head) -> list[Head]:
    vault.remove_machine()
    vault.rotate(lost)
    return []


CASES: list[tuple[str, Happens, str]] = [
    ("nobody put out", _nobody_put_out, ""),
    ("removed", _removed, "Stranger"),
    ("removed, and invited again", _removed_and_invited, "Stranger"),
    ("may only read", _may_only_read, "MayNotWrite"),
    ("may only read, then write again", _may_write_again, "MayNotWrite"),
    ("left by himself", _left, ""),
    ("left by himself, and others write on", _left_before_others, ""),
    ("removed by an entry that pins the head itself", _removed_behind_it, ""),
    ("removed by an entry that pins a later place", _removed_later, ""),
    ("his machine removed", _machine_removed, "DeviceNotActive"),
    ("his machine removed, says he", _machine_removed_by_himself, "DeviceNotActive"),
    ("his machine removed, and no entry says so", _machine_removed_unseen, ""),
]


def check_made_heads(score: Score) -> None:
    """A head of the writer's machine that takes the place of one of the owner's: it is
    one of the chain always, and is read unless its maker was put out."""
    for name, happens, reason in CASES:
        vault = SharedVault()
        lost = vault.head(vault.owners, [])
        taker = vault.head(vault.machine, [], replaced=lost.hash)
        path = [*happens(vault, lost, taker), taker]
        chain = partial(follow, path, Seen(), vault.log, vault.accounts)
        score.accept(f"{name}: chain", lambda: [("seq", chain().seq, path[0].seq)])
        read = partial(check_standing, taker, vault.log, vault.accounts)
        if reason:
            score.refuse(name, read, reason)
        else:
            score.accept(name, lambda: [("read", passes(read), True)])
    _check_printed(score)


def _check_printed(score: Score) -> None:
    """Each of twelve heads, printed, confirms the twelfth along the path to it."""
    vault = SharedVault()
    chain: list[Head] = []
    for _ in range(12):
        chain.append(vault.head(vault.machine, chain))
    others = [vault.head(vault.owners, [])]
    others.append(vault.head(vault.owners, others))

    def path(newest: int, known: int) -> list[Head]:
        return [chain[seq - 1] for seq in path_numbers(newest, known)] or [chain[newest - 1]]

    for head in chain:
        printed = print_head(vault.log.id, head.seq, head.hash)
        confirm = partial(printed.confirm, path(12, head.seq))
        score.accept(f"printed head {head.seq}", lambda: [("is", passes(confirm), True)])
    refused: list[tuple[str, Head, bytes, list[Head], str]] = [
        ("another head", others[0], vault.log.id, path(1, 1), "Fork"),
        ("a head of another chain", others[1], vault.log.id, path(12, 2), "Fork"),
        ("a later head", chain[11], vault.log.id, path(11, 10), "Older"),
        ("a path that ends too soon", chain[4], vault.log.id, path(12, 6), "MissingLink"),
        ("a path with a gap", chain[4], vault.log.id, [chain[11], chain[5]], "MissingLink"),
        ("another vault", chain[4], bytes(32), path(12, 5), "NotThisVault"),
    ]
    for name, head, vault_id, shown, reason in refused:
        printed = print_head(vault_id, head.seq, head.hash)
        score.refuse(f"printed: {name}", partial(printed.confirm, shown), reason)
