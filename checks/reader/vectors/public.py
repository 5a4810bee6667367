"""The smaller files of part 1: ids, signatures, logins, invitations, addresses,
spellings, printed heads."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from ..crypto import ed25519
from ..crypto.hashing import derive, plain_hash
from ..public import origins
from ..public.account_log import AccountLog
from ..public.address import check_stored, read_address
from ..public.entries import decode_device, device_id
from ..public.heads import pack_list_hash
from ..public.invitation import read_invitation
from ..public.login import Channel, check_hello, check_login, hoster_id, read_payload
from ..public.printed_heads import print_head, read_printed
from .logs import entry
from .score import Score, passes, unhex

MODES = {1: "PINNED", 2: "PUBLIC", 3: "PROXY"}


def check_ids(vectors: dict[str, Any], score: Score) -> None:
    """Ids and hashes that need no key."""
    for one in vectors["devices"]:
        public = unhex(one["device_public"])
        score.accept(
            "a device", lambda: [("id", device_id(decode_device(public)).hex(), one["id"])]
        )
    for one in vectors["hosters"]:
        score.check("a hoster", hoster_id(unhex(one["key"])).hex() == one["id"])
    for one in vectors["packs"]:
        score.check("a pack", plain_hash(unhex(one["pack"])).hex() == one["id"])
    for one in vectors["sealed_roots"]:
        found = derive("coffre v1 sealed root", unhex(one["sealed_root"]))
        score.check("a sealed root", found.hex() == one["hash"])
    for one in vectors["pack_lists"]:
        ids = unhex(one["ids"])
        score.accept("a pack list", lambda: [("hash", pack_list_hash(ids).hex(), one["hash"])])
    for case in vectors["refused_pack_lists"]:
        score.refuse(case["name"], partial(pack_list_hash, unhex(case["ids"])), case["error"])


def check_signatures(vectors: dict[str, Any], score: Score) -> None:
    """One signature a label; keys and signatures to refuse."""
    for one in vectors["signatures"]:
        seed, payload = unhex(one["seed"]), unhex(one["payload"])
        key, signature = unhex(one["key"]), unhex(one["signature"])
        score.accept(
            one["label"],
            lambda: [
                ("key", ed25519.public_key(seed), key),
                ("message", one["label"].encode() + b"\0" + payload, unhex(one["message"])),
                ("signature", ed25519.sign(seed, one["label"], payload), signature),
                (
                    "verified",
                    passes(ed25519.verify, key, one["label"], payload, signature),
                    True,
                ),
            ],
        )
    for case in vectors["refused_signatures"]:
        verify = partial(
            ed25519.verify,
            unhex(case["key"]),
            case["label"],
            unhex(case["payload"]),
            unhex(case["signature"]),
        )
        score.refuse(case["name"], verify)
    for case in vectors["refused_keys"]:
        check = partial(ed25519.check_public_key, unhex(case["key"]))
        score.refuse(f"key {case['key'][:8]}", check, case["error"])


def check_logins(vectors: dict[str, Any], score: Score) -> None:
    """Both halves, built and verified, and read again."""
    log = AccountLog()
    log.append(entry(vectors["genesis"]))
    for one in vectors["logins"]:
        channel = Channel(
            unhex(one["hoster"]),
            unhex(one["client_nonce"]),
            unhex(one["server_nonce"]),
            unhex(one["exporter"]),
            one["origin"],
        )
        account, device = unhex(one["account"]), unhex(one["device"])
        times = one["login_time"], one["hello_time"]
        hello, login = channel.hello(times[1]), channel.login(times[0], account, device)
        signatures = unhex(one["hello_signature"]), unhex(one["login_signature"])
        key = unhex(one["hoster_key"])
        score.accept(
            f"hello, {one['origin']}",
            lambda: [
                ("payload", hello.hex(), one["hello_payload"]),
                ("read", read_payload(hello, False), (channel, times[1])),
                ("verified", passes(check_hello, channel, key, times[1], signatures[0]), True),
            ],
        )
        score.accept(
            f"login, {one['origin']}",
            lambda: [
                ("payload", login.hex(), one["login_payload"]),
                ("read", read_payload(login, True), (channel, times[0])),
                (
                    "verified",
                    passes(check_login, channel, log, account, device, times, signatures[1]),
                    True,
                ),
            ],
        )


def check_invitations(vectors: dict[str, Any], score: Score) -> None:
    """URLs to read and to refuse."""
    for one in vectors["invitations"]:

        def read(one: Any = one) -> list[tuple[str, Any, Any]]:
            origin, found = read_invitation(one["url"])
            return [
                ("origin", origin, one["origin"]),
                ("hoster", found.hoster.hex(), one["hoster"]),
                ("mode", MODES[found.tls_mode], one["tls_mode"]),
                ("pin", found.tls_pin.hex(), one["tls_pin"]),
                ("secret", found.secret.hex(), one["secret"]),
                ("expires", found.expires, one["expires"]),
            ]

        score.accept(one["origin"], read)
    for case in vectors["refused"]:
        score.refuse(case["name"], partial(read_invitation, case["url"]), case["error"])


def check_addresses(vectors: dict[str, Any], score: Score) -> None:
    """Addresses as people type them, and their one spelling."""
    for one in vectors["addresses"]:

        def read(one: Any = one) -> list[tuple[str, Any, Any]]:
            found = read_address(one["text"])
            return [
                ("address", str(found), one["address"]),
                ("name", found.name, one["name"]),
                ("origin", found.origin, one["origin"]),
                ("account", found.account.hex(), one["account"]),
                ("stored", check_stored(one["address"]), found),
            ]

        score.accept(one["name"], read)
    for case in vectors["refused"]:
        score.refuse(case["name"], partial(read_address, case["text"]), case["error"])


def check_spellings(vectors: dict[str, Any], score: Score) -> None:
    """Origins and addresses as people type them; as stored, in one spelling only."""
    kinds: list[tuple[str, Callable[[str], str], Callable[[str], Any]]] = [
        ("origins", origins.normalize, origins.check_stored),
        ("addresses", lambda text: str(read_address(text)), check_stored),
    ]
    for kind, spell, store in kinds:
        for case in vectors[kind]:

            def read(
                case: Any = case, spell: Any = spell, store: Any = store
            ) -> list[tuple[str, Any, Any]]:
                spelled = case["spelled"]
                is_one_spelling = case["error"] == ""
                return [
                    ("typed", spell(case["text"]), spelled),
                    ("stored", str(store(spelled)), spelled),
                    ("one spelling", case["text"] == spelled, is_one_spelling),
                ]

            score.accept(case["text"], read)
            if case["error"]:
                score.refuse(case["text"], partial(store, case["text"]), case["error"])


def check_printed_heads(vectors: dict[str, Any], score: Score) -> None:
    """Printed heads as people type them, and how they are written."""
    for case in vectors["cases"]:
        vault = unhex(case["vault"])
        if case["result"] == "refused":
            score.refuse(case["name"], partial(read_printed, vault, case["text"]))
            continue

        def read(case: Any = case, vault: Any = vault) -> list[tuple[str, Any, Any]]:
            found = read_printed(vault, case["text"])
            written = print_head(vault, case["seq"], unhex(case["hash"]))
            return [
                ("seq", found.seq, case["seq"]),
                ("hash", found.short_hash.hex(), case["hash"]),
                ("written", str(written), case["printed"]),
                ("the same", found, written),
            ]

        score.accept(case["name"], read)
