"""A reader's way from 24 words to a file (beginning of the text).

words → device keys → the account log's boxes → account key → the vault log's boxes
→ epoch secrets → the newest head's root → the catalog → a snapshot → its tree →
through the index to packs → chunks.
"""

from __future__ import annotations

from typing import Callable, Iterator

from .content.index import Entry, PackPlace, decode_segment
from .content.nodes import read_file, walk
from .content.settings import decode_settings
from .content.snapshots import decode_catalog, read_snapshots
from .crypto.hashing import plain_hash
from .links.lists import decode_links
from .public.account_log import AccountLog
from .public.heads import SIGNED_BYTES, Head
from .public.vault_log import VaultLog
from .refusal import Refused, require
from .secret.chunks import open_chunk
from .secret.keys import CATALOG, INDEX, LINKS, SETTINGS, VaultKeys
from .secret.phrases import DeviceKeys, paper_device, read_phrase
from .secret.roots import open_root
from .secret.ways import account_seeds, epoch_secrets
from .wire import Record

# Gives the bytes of the pack with that id.
Packs = Callable[[bytes], bytes]


def keys_of_words(words: str, account: AccountLog, vault: VaultLog) -> VaultKeys:
    """From a recovery phrase to a vault's secrets."""
    return keys_of_device(paper_device(read_phrase(words)), account, vault)


def keys_of_device(device: DeviceKeys, account: AccountLog, vault: VaultLog) -> VaultKeys:
    """From a device's keys to a vault's secrets."""
    seeds = account_seeds(account, device)
    return VaultKeys(epoch_secrets(vault, account.id, seeds))


class Vault:
    """What a verified head shows to who has the keys."""

    def __init__(self, keys: VaultKeys, packs: Packs, head: Head, sealed_root: bytes) -> None:
        self.keys, self.packs = keys, packs
        root_key = keys.root_key(head.epoch)
        self.root = open_root(root_key, head.encoded[:SIGNED_BYTES], sealed_root)
        self.segments = [self._segment(one.at) for one in reversed(self.root.segments)]

    def _range(self, pack: bytes, offset: int, length: int) -> bytes:
        sealed = self.packs(pack)[offset : offset + length]
        require(len(sealed) == length, "Place")
        return sealed

    def _located(self, at: Record | None, kind: int) -> bytes:
        """A chunk that is found without the index; its hash is checked first."""
        if at is None:
            raise Refused("Missing")
        sealed = self._range(at.pack, at.offset, at.sealed_length)
        require(plain_hash(sealed) == at.sealed_hash, "OtherChunk")
        return open_chunk(self.keys, at.epoch, kind, at.chunk_id, sealed)

    def _segment(self, at: Record) -> dict[tuple[int, bytes], Entry]:
        own = PackPlace(at.pack, at.epoch, at.pack_size)
        entries = decode_segment(self._located(at, INDEX), own)
        return {(entry.kind, entry.chunk_id): entry for entry in entries}

    def chunk(self, kind: int, chunk_id: bytes) -> bytes:
        """A chunk through the index: the newest segment first, until one opens."""
        for segment in self.segments:
            entry = segment.get((kind, chunk_id))
            if entry is None:
                continue
            try:
                sealed = self._range(entry.pack.pack, entry.offset, entry.sealed_length)
                return open_chunk(self.keys, entry.pack.epoch, kind, chunk_id, sealed)
            except Refused:
                continue
        raise Refused("MissingChunk")

    def snapshots(self) -> list[Record]:
        """Every snapshot of the vault, the oldest first."""
        catalog = decode_catalog(self._located(self.root.catalog, CATALOG))
        return [snapshot for _, snapshot in read_snapshots(catalog, self.chunk)]

    def files(self, snapshot: Record) -> Iterator[tuple[bytes, Record]]:
        """Every node of a snapshot with its path from `/`."""
        for path, node in walk(snapshot.tree, self.chunk):
            yield b"/" + b"/".join(path), node

    def read(self, node: Record) -> bytes:
        """The whole content of a file. For small ones."""
        return b"".join(read_file(node, self.chunk))

    def links(self) -> Record:
        """The list of live links."""
        return decode_links(self._located(self.root.links, LINKS))

    def settings(self) -> Record:
        """The settings of an account vault."""
        return decode_settings(self._located(self.root.settings, SETTINGS))
