"""The whole way, from 24 words to a file, through a vault that is made here."""

from __future__ import annotations

from typing import Any

from ..content import nodes
from ..public.heads import Seen, check_contents, check_standing, follow
from ..sealed_messages import CATALOG, NODE, SERIES, SNAPSHOT, TIMESTAMP, TOTALS
from ..secret.keys import CATALOG as CATALOG_KIND, FILE_DATA, SNAPSHOT as SNAPSHOT_KIND, TREE
from ..secret.keys import VaultKeys
from ..secret.phrases import phrase
from ..vault import Vault, keys_of_words
from ..wire import Record, encode
from . import maker
from .maker import make
from .score import Score

CONTENT = [b"what one keeps", b" in a vault"]


def _node(name: bytes, kind: int, **fields: Any) -> Record:
    return make(NODE, name=name, kind=kind, mode=0o644, modified=make(TIMESTAMP), **fields)


def _catalog(packs: maker.PackMaker, device: bytes) -> bytes:
    content = packs.stream(FILE_DATA, CONTENT)
    hole = make(NODE.by_number[12].message, offset=14, length=3)  # type: ignore[arg-type]
    size = content.length + hole.length
    file = _node(b"file", nodes.FILE, content=content, size=size, holes=[hole])
    inner = packs.stream(TREE, [maker.records([encode(file)])])
    folder = _node(b"folder", nodes.DIRECTORY, content=inner)
    tree = packs.stream(TREE, [maker.records([encode(folder)])])
    time = make(TIMESTAMP, seconds=1)
    snapshot = make(
        SNAPSHOT,
        series=bytes(16),
        started=time,
        finished=time,
        tree=tree,
        paths=[b"/"],
        device=device,
        complete=True,
        totals=make(TOTALS, files=1, directories=1, bytes=25),
    )
    stream = packs.stream(SNAPSHOT_KIND, [maker.records([encode(snapshot)])])
    series = make(SERIES, id=bytes(16), name="home", kind=1)
    return encode(make(CATALOG, series=[series], snapshots=stream, snapshot_count=1))


def check_whole_way(score: Score) -> None:
    """Makes the vault, forgets everything but words, logs, head, root and packs, and
    reads the file."""
    device, account = maker.account()
    log = maker.vault_log(device, account)
    packs = maker.PackMaker(VaultKeys({1: maker.SECRET}), log.id)
    catalog = packs.add(CATALOG_KIND, _catalog(packs, device.id))
    packs.finish_pack()
    head, sealed_root = maker.head_and_root(packs, device, account, maker.root(packs, catalog))

    def read() -> list[tuple[str, Any, Any]]:
        seen = follow([head], Seen(), log, {account.id: account})
        check_standing(head, log, {account.id: account})
        check_contents(head, sealed_root, maker.pack_ids(packs), b"")
        keys = keys_of_words(phrase(maker.ENTROPY, "french"), account, log)
        vault = Vault(keys, packs.packs.__getitem__, head, sealed_root)
        (snapshot,) = vault.snapshots()
        found = dict(vault.files(snapshot))
        return [
            ("head", seen.seq, 1),
            ("paths", list(found), [b"/folder", b"/folder/file"]),
            ("content", vault.read(found[b"/folder/file"]), b"\0\0\0".join(CONTENT)),
        ]

    score.accept("24 words to a file", read)
