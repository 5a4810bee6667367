"""Part 2: `logs.json`, `pairing.json`, `offers.json`."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..crypto import ed25519
from ..crypto.hashing import plain_hash
from ..public.account_log import AccountLog
from ..public.entries import SignedEntry, decode_device
from ..public.vault_log import AccountLogs, VaultLog
from ..secret import offers, pairing, ways
from ..secret.phrases import DeviceKeys
from .score import Score, unhex

Rows = list[tuple[str, Any, Any]]


def _account(entries: list[str]) -> AccountLog:
    log = AccountLog()
    for one in entries:
        log.append(SignedEntry.decode(unhex(one)))
    return log


def _vault(entries: list[str], accounts: AccountLogs) -> VaultLog:
    log = VaultLog()
    for one in entries:
        log.append(SignedEntry.decode(unhex(one)), accounts)
    return log


def _numbered(secrets: list[str]) -> dict[int, bytes]:
    return dict(enumerate(map(unhex, secrets), 1))


def check_logs(vectors: dict[str, Any], score: Score) -> None:
    """From a device's keys through both logs to every secret."""
    for case in vectors["cases"]:
        log = _account(case["account_entries"])
        vault = _vault(case["vault_entries"], {log.id: log})
        device = DeviceKeys.decode(unhex(case["device"]))

        def read(
            case: Any = case, log: Any = log, vault: Any = vault, device: Any = device
        ) -> Rows:
            seeds = ways.account_seeds(log, device)
            secrets = ways.epoch_secrets(vault, log.id, seeds)
            names = [
                {
                    "device": id.hex(),
                    "name": ways.device_name(one.sealed_name, seeds),
                    "sealed_name": one.sealed_name.hex(),
                }
                for id, one in log.devices.items()
            ]
            expected = sorted(case["names"], key=lambda one: one["device"])
            return [
                ("account", log.id.hex(), case["account"]),
                ("vault", vault.id.hex(), case["vault"]),
                ("seeds", seeds, _numbered(case["account_seeds"])),
                ("secrets", secrets, _numbered(case["epoch_secrets"])),
                ("names", sorted(names, key=lambda one: one["device"]), expected),
            ]

        if case["result"] == "refused":
            score.refuse(case["name"], read)
        else:
            score.accept(case["name"], read)


def check_pairing(vectors: dict[str, Any], score: Score) -> None:
    """The four messages, sealed again, opened and read; check words."""
    payload = b""
    for case in vectors["cases"]:
        if "words" in case:
            words = {
                language: pairing.check_words(
                    unhex(case["entry"]), unhex(case["account"]), language
                )
                for language in case["words"]
            }
            score.check(case["name"], words == case["words"])
            continue
        code, step = pairing.read_code(case["code"]), case["step"]
        message, public = unhex(case["message"]), decode_device(unhex(case["public"]))
        sealed = pairing.seal_message(code, step, message, unhex(case["randomness"]))
        if case["name"] == "a proposal":
            payload = pairing.read_proposal(public, message)[0].payload
        read = partial(_read_step, code, step, public, payload, sealed)
        same = plain_hash(sealed).hex() == case["sealed_hash"]
        if case["result"] == "refused":
            score.refuse(case["name"], read)
            if not same:
                score.faults.append(f"{case['name']}: seals to other bytes")
            continue
        score.accept(
            case["name"],
            lambda: [
                ("sealed hash", same, True),
                ("box", code.box(step).hex(), case["box"]),
                ("key", code.key(step).hex(), case["key"]),
                ("message", pairing.open_message(code, step, sealed), message),
                ("read", read() is not None, True),
            ],
        )


def _read_step(code: Any, step: int, public: Any, payload: bytes, sealed: bytes) -> Any:
    message = pairing.open_message(code, step, sealed)
    if step == pairing.INTRODUCTION:
        return pairing.read_introduction(code, message)
    if step == pairing.PROPOSAL:
        return pairing.read_proposal(public, message)
    if step == pairing.SIGNATURE:
        signature = pairing.read_signature(message)
        ed25519.verify(public.signing_key, "coffre v1 sign account entry", payload, signature)
        return signature
    return pairing.read_end(message)


def check_offers(vectors: dict[str, Any], score: Score) -> None:
    """Offers to take up and to refuse."""
    for case in vectors["cases"]:
        recipient, sender = map(_account, (case["recipient_entries"], case["sender_entries"]))
        vault = _vault(case["vault_entries"], {one.id: one for one in (recipient, sender)})
        device, sealed = DeviceKeys.decode(unhex(case["recipient"])), unhex(case["sealed"])

        def read(
            recipient: Any = recipient,
            sender: Any = sender,
            vault: Any = vault,
            device: Any = device,
            sealed: bytes = sealed,
        ) -> bytes:
            seeds = ways.account_seeds(recipient, device)
            signed = offers.open_offer(recipient, seeds, sealed)
            offer, signature = offers.read_offer(sealed, signed)
            offers.check_offer(offer, offers.payload_of(signed), signature, sender, vault)
            return signed

        if case["result"] == "refused":
            score.refuse(case["name"], read)
            continue
        score.accept(
            case["name"],
            lambda: [
                ("signed", read().hex(), case["signed"]),
                ("text", offers.read_text(case["text"]), sealed),
            ],
        )
