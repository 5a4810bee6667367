"""Part 5: URLs of links, capsules, lists of links."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..crypto import ed25519
from ..links import capsules, lists, urls
from ..sealed_messages import SIGNED_CAPSULE
from ..wire import decode, encode
from .content import check_each
from .score import Score, change, unhex

Rows = list[tuple[str, Any, Any]]


def check_link_urls(vectors: dict[str, Any], score: Score) -> None:
    """URLs to read and to refuse."""
    for case in vectors["cases"]:
        if case["result"] == "refused":
            score.refuse(case["name"], partial(urls.read_link_url, case["url"]))
            continue

        def read(case: Any = case) -> Rows:
            url = urls.read_link_url(case["url"])
            message, password = url.message, case.get("password")
            rows = [
                ("hoster", message.hoster.hex(), case["hoster"]),
                ("secret", message.secret.hex(), case["secret"]),
                ("capsule", message.capsule.hex(), case["capsule"]),
                ("link id", url.link_id.hex(), case["link_id"]),
                ("capsule key", url.capsule_key(password).hex(), case["capsule_key"]),
            ]
            if password is not None:
                stretched = urls.stretch(message.password, password).hex()
                rows.append(("stretched", stretched, case["stretched"]))
            return rows

        score.accept(case["name"], read)


def check_capsules(vectors: dict[str, Any], score: Score) -> None:
    """Sealed capsules to open and to refuse."""
    sealed_of = {case["name"]: case.get("sealed") for case in vectors["cases"]}
    for case in vectors["cases"]:
        if "change" in case:
            sealed = change(unhex(sealed_of[case["of"]]), case["change"])
        else:
            sealed = unhex(case["sealed"])
        url, password = urls.read_link_url(case["url"]), case.get("password")
        read = partial(capsules.open_capsule, url, password, sealed)
        if case["result"] == "refused":
            score.refuse(case["name"], read)
            continue

        def opened(
            case: Any = case,
            url: Any = url,
            read: Any = read,
            password: Any = password,
            sealed: bytes = sealed,
        ) -> Rows:
            signed = capsules.open_signed(url, password, sealed)
            signature = decode(SIGNED_CAPSULE, signed).signature
            seed, payload = unhex(case["device_seed"]), unhex(case["payload"])
            again = ed25519.sign(seed, "coffre v1 sign capsule", payload)
            return [
                ("associated", capsules.associated(url.link_id).hex(), case["associated"]),
                ("capsule key", url.capsule_key(password).hex(), case["capsule_key"]),
                ("signed", signed.hex(), case["signed"]),
                ("payload", encode(read()), payload),
                ("signature", signature, again),
            ]

        score.accept(case["name"], opened)


def _links(vector: dict[str, Any]) -> dict[str, Any]:
    found = lists.decode_links(unhex(vector["bytes"]))
    for link in found.links:
        if link.password is None:
            assert link.capsule_key == urls.capsule_key(link.secret, b"")
    return {
        "links": [
            {
                "id": urls.link_id(link.secret).hex(),
                "capsule": link.capsule.hex(),
                "capsule_size": link.capsule_size,
                "password": link.password is not None,
                "account": link.account.hex(),
                "created": [link.created.seconds, link.created.nanoseconds],
                "expires": link.expires,
                "max_downloads": link.max_downloads,
                "snapshot": link.snapshot.hex(),
                "path": link.path.hex(),
                "label": link.label,
            }
            for link in found.links
        ]
    }


check_links = partial(check_each, read=_links)
