"""The keys of a vault (part 2, "Keys of a vault")."""

from __future__ import annotations

from dataclasses import dataclass

from ..crypto.hashing import derive, keyed_hash
from ..refusal import require

FILE_DATA, TREE, STREAM_LIST, INDEX, CATALOG, SNAPSHOT, SETTINGS, LINKS = range(1, 9)
KIND_NAMES = {
    FILE_DATA: "file data",
    TREE: "tree",
    STREAM_LIST: "stream list",
    INDEX: "index",
    CATALOG: "catalog",
    SNAPSHOT: "snapshot",
    SETTINGS: "settings",
    LINKS: "links",
}
MOST_BYTES = {
    FILE_DATA: 4_194_304,
    TREE: 65_536,
    STREAM_LIST: 65_536,
    INDEX: 12_582_912,
    CATALOG: 1_048_576,
    SNAPSHOT: 65_536,
    SETTINGS: 1_048_576,
    LINKS: 1_048_576,
}


def chunk_id_label(kind: int) -> str:
    """The label of a kind's chunk-id key."""
    return f"coffre v1 chunk id key {KIND_NAMES[kind]}"


@dataclass(frozen=True)
class ChunkerKeys:
    """Both keys of a chunker (part 3)."""

    universal_hash: bytes
    cipher: bytes


@dataclass(frozen=True)
class VaultKeys:
    """All that follows from a vault's epoch secrets, by their numbers."""

    secrets: dict[int, bytes]

    def secret(self, epoch: int) -> bytes:
        """The secret of an epoch; refuses where it is closed or not there."""
        require(epoch in self.secrets, "Opening")
        return self.secrets[epoch]

    def chunk_id_key(self, kind: int) -> bytes:
        """For the vault's life, from the secret of epoch 1."""
        return derive(chunk_id_label(kind), self.secret(1))

    def chunk_id(self, kind: int, plaintext: bytes) -> bytes:
        """`KH(chunk-id key of kind, plaintext)`."""
        return keyed_hash(self.chunk_id_key(kind), plaintext)

    def chunker(self, name: str) -> ChunkerKeys:
        """The keys of the chunker of `file data` or `metadata`."""
        prefix = f"coffre v1 {name} chunker"
        return ChunkerKeys(
            derive(f"{prefix} universal hash key", self.secret(1)),
            derive(f"{prefix} cipher key", self.secret(1))[:16],
        )

    def sealing_key(self, epoch: int) -> bytes:
        """The root of chunk keys."""
        return derive("coffre v1 chunk sealing key", self.secret(epoch))

    def chunk_key(self, epoch: int, chunk_id: bytes) -> bytes:
        """`KH(chunk sealing key of the epoch, chunk id)`."""
        return keyed_hash(self.sealing_key(epoch), chunk_id)

    def footer_key(self, epoch: int) -> bytes:
        """The key of footers and trailers."""
        return derive("coffre v1 pack footer key", self.secret(epoch))

    def root_key(self, epoch: int) -> bytes:
        """The key of roots."""
        return derive("coffre v1 root sealing key", self.secret(epoch))
