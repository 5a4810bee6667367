"""Part 2: phrases, boxes, keys, chunks, packs, roots, contact numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..crypto import hpke, xwing
from ..crypto.hashing import plain_hash
from ..secret import boxes, chunks, keys, packs, phrases, roots
from ..secret.contacts import contact_number
from ..wire import encode
from .score import Score, change, unhex

Rows = list[tuple[str, Any, Any]]


def check_phrases(vectors: dict[str, Any], score: Score) -> None:
    """Words in both languages, the paper device, words that are no phrase."""
    for case in vectors["cases"]:
        if "why" in case:
            score.refuse(case["name"], partial(phrases.read_phrase, case["words"]))
            continue

        def read(case: Any = case) -> Rows:
            entropy = unhex(case["entropy"])
            device = phrases.paper_device(entropy)
            shouted = "\n ".join(phrases.phrase(entropy, "french").upper().split())
            return [
                ("english", phrases.read_phrase(case["english"]), entropy),
                ("french", phrases.read_phrase(case["french"]), entropy),
                ("upper case", phrases.read_phrase(shouted), entropy),
                ("words", phrases.phrase(entropy, "english"), case["english"]),
                ("signing seed", device.signing_seed.hex(), case["signing_seed"]),
                ("kem seed", device.kem_private.hex(), case["kem_seed"]),
                ("signing key", device.public.signing_key.hex(), case["signing_key"]),
                ("kem key", device.public.kem_key.hex(), case["kem_key"]),
                ("device id", device.id.hex(), case["device_id"]),
            ]

        score.accept(case["name"], read)


def check_boxes(vectors: dict[str, Any], score: Score) -> None:
    """Boxes to open and to refuse; public keys that must be refused."""
    for case in vectors["cases"]:
        if "box" not in case:
            check = partial(xwing.check_public_key, unhex(case["kem_key"]))
            score.refuse(case["name"], check)
            continue
        at = boxes.BoxPlace(
            case["purpose"], unhex(case["sender"]), unhex(case["log"]), case["seq"]
        )
        private, box = unhex(case["recipient_seed"]), unhex(case["box"])
        public = unhex(case["recipient_key"])
        if case["result"] == "refused":
            score.refuse(case["name"], partial(boxes.open_box, private, at, box))
            continue

        def read(case: Any = case, at: Any = at) -> Rows:
            info, random = boxes.box_info(at, public), unhex(case["randomness"])
            secret = unhex(case["secret"])
            return [
                ("info", info.hex(), case["info"]),
                ("key hash", boxes.key_hash(public).hex(), case["recipient_key_hash"]),
                ("public key", xwing.public_key(private), public),
                ("secret", boxes.open_box(private, at, box), secret),
                ("sealed again", hpke.seal_box(public, info, secret, random), box),
            ]

        score.accept(case["name"], read)


def check_keys(vectors: dict[str, Any], score: Score) -> None:
    """Everything that follows from epoch secrets."""
    for case in vectors["cases"]:
        secrets = {at: unhex(one["secret"]) for at, one in enumerate(case["epochs"], 1)}
        vault = keys.VaultKeys(secrets)
        for one in case["chunk_id_keys"]:
            kind = one["kind"]
            score.accept(
                one["label"],
                lambda: [
                    ("label", keys.chunk_id_label(kind), one["label"]),
                    ("key", vault.chunk_id_key(kind).hex(), one["key"]),
                    ("id", vault.chunk_id(kind, b"abc").hex(), one["id_of_abc"]),
                ],
            )
        for epoch, one in enumerate(case["epochs"], 1):
            secret = secrets[epoch]
            score.accept(
                f"epoch {epoch}",
                lambda: [
                    ("sealing", vault.sealing_key(epoch).hex(), one["chunk_sealing_key"]),
                    ("footer", vault.footer_key(epoch).hex(), one["pack_footer_key"]),
                    ("root", vault.root_key(epoch).hex(), one["root_sealing_key"]),
                    (
                        "commitment",
                        boxes.derive("coffre v1 epoch commitment", secret).hex(),
                        one["commitment"],
                    ),
                    (
                        "wrap",
                        boxes.derive("coffre v1 epoch wrap key", secret).hex(),
                        one["wrap_key"],
                    ),
                ],
            )
        for name, field in (("file data", "file_chunker"), ("metadata", "metadata_chunker")):
            found, one = vault.chunker(name), case[field]
            score.check(name, found.universal_hash.hex() == one["universal_hash"])
            score.check(name, found.cipher.hex() == one["cipher"])


def check_chunks(vectors: dict[str, Any], score: Score) -> None:
    """Sealed chunks of every kind, with both codecs, and what must be refused."""
    for case in vectors["cases"]:
        secrets = dict(enumerate(map(unhex, case["epoch_secrets"]), 1))
        vault, kind, epoch = keys.VaultKeys(secrets), case["kind"], case["epoch"]
        chunk_id, sealed = unhex(case["chunk_id"]), unhex(case["sealed"])
        read = partial(chunks.open_chunk, vault, epoch, kind, chunk_id, sealed)
        if case["result"] == "refused":
            score.refuse(case["name"], read)
            continue
        score.accept(
            case["name"],
            lambda: [
                ("associated", chunks.associated(kind).hex(), case["associated"]),
                ("key", vault.chunk_key(epoch, chunk_id).hex(), case["chunk_key"]),
                (
                    "body",
                    chunks.open_body(vault.chunk_key(epoch, chunk_id), kind, sealed).hex(),
                    case["body"],
                ),
                ("plaintext", read().hex(), case["plaintext"]),
            ],
        )


def check_packs(vectors: dict[str, Any], score: Score) -> None:
    """Packs to list and to refuse. Refused ones are the first, changed."""
    first = unhex(vectors["cases"][0]["pack"])
    for case in vectors["cases"]:
        secrets = {1: unhex(case["epoch_1"]), 2: unhex(case["epoch_2"])}
        how = case.get("change", {})
        pack = unhex(case["pack"]) if "pack" in case else first
        pack_id = plain_hash(pack)
        if how:
            pack = change(pack, how)
            pack_id = pack_id if how.get("keeps_id") else plain_hash(pack)
        read = partial(
            packs.open_pack, keys.VaultKeys(secrets), unhex(case["vault"]), case["epoch"]
        )
        if case["result"] == "refused":
            score.refuse(case["name"], partial(read, pack_id, pack))
            continue

        def listed(case: Any = case, pack: bytes = pack, read: Any = read) -> Rows:
            found = read(unhex(case["pack_id"]), pack)
            rows = [
                {
                    "kind": one.kind,
                    "chunk_id": one.chunk_id.hex(),
                    "offset": one.offset,
                    "sealed": pack[one.offset : one.offset + one.sealed_length].hex(),
                }
                for one in found.chunks
            ]
            return [
                ("chunks", rows, case["chunks"]),
                ("offset", found.footer_offset, case["footer_offset"]),
                ("length", found.footer_length, case["footer_length"]),
            ]

        score.accept(case["name"], listed)


def check_roots(vectors: dict[str, Any], score: Score) -> None:
    """Sealed roots to open and to refuse."""
    for case in vectors["cases"]:
        secrets = {1: unhex(case["epoch_1"]), 2: unhex(case["epoch_2"])}
        head, sealed = unhex(case["head"]), unhex(case["sealed_root"])

        def read(head: bytes = head, sealed: bytes = sealed, secrets: Any = secrets) -> Any:
            epoch = int.from_bytes(head[256:264], "little")
            return roots.open_root(keys.VaultKeys(secrets).root_key(epoch), head, sealed)

        if case["result"] == "refused":
            score.refuse(case["name"], read)
            continue
        score.accept(
            case["name"],
            lambda: [
                ("root", encode(read()).hex(), case["root"]),
                ("associated", roots.root_associated(head).hex(), case["associated"]),
            ],
        )


def check_contacts(vectors: dict[str, Any], score: Score) -> None:
    """The numbers that two members compare."""
    for case in vectors["cases"]:
        number = contact_number(*map(unhex, case["accounts"]))
        score.check(case["name"], number == case["number"])
