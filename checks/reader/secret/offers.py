"""Offers of membership (part 2, "Offers", O1 to O6)."""

from __future__ import annotations

from ..crypto import ed25519
from ..crypto.hashing import number, u64
from ..crypto.sealing import open_sealed
from ..messages import OFFER, SIGNED_OFFER
from ..public import origins
from ..public.account_log import AccountLog
from ..public.entries import Place, field, place
from ..public.text import WHITE_SPACE, base64url, is_line, is_name
from ..public.vault_log import VaultLog
from ..refusal import require
from ..wire import Record, decode
from .boxes import OFFER_KEY, BoxPlace, open_box

SEALED_BYTES, OUTSIDE_BYTES, BOX_END = 4096, 41, 1209
SCHEME = "coffre-offer:"


def read_text(text: str) -> bytes:
    """The sealed form of an offer as text, white space around it ignored."""
    text = text.strip(WHITE_SPACE)
    require(text.startswith(SCHEME), "Scheme")
    return base64url(text.removeprefix(SCHEME))


def open_offer(recipient: AccountLog, seeds: dict[int, bytes], sealed: bytes) -> bytes:
    """The encoded `SignedOffer`; it has to be sealed to the recipient."""
    require(len(sealed) == SEALED_BYTES and sealed[0] == 1, "Opening")
    account, generation = sealed[1:33], number(sealed[33:41])
    require(account == recipient.id and generation in seeds, "Opening")
    at = BoxPlace(OFFER_KEY, bytes(32), account, generation)
    key = open_box(seeds[generation], at, sealed[OUTSIDE_BYTES:BOX_END])
    associated = b"coffre v1 offer" + sealed[:OUTSIDE_BYTES]
    padded = open_sealed(key, associated, sealed[BOX_END:])
    length = number(padded[:4])
    require(length <= len(padded) - 4, "Padding")
    require(not any(padded[4 + length :]), "Padding")
    return padded[4 : 4 + length]


def read_offer(outside: bytes, signed: bytes) -> tuple[Record, bytes]:
    """O1: every field is as the text says, and what stands outside stands inside.
    The offer, and the signature over it."""
    message = decode(SIGNED_OFFER, signed)
    field(message.signature, 64)
    offer = decode(OFFER, message.payload)
    require(offer.version == 1, "Version")
    for id in (offer.vault, offer.hoster, offer.sender, offer.sender_device, offer.recipient):
        field(id, 32)
    origins.check(offer.origin)
    origins.check(offer.sender_origin)
    origins.check_tls(offer.tls_mode, offer.tls_pin, "Tls")
    require(is_line(offer.vault_name, 1, 255), "VaultName")
    require(offer.role in (1, 2, 3), "Role")
    require(is_name(offer.sender_name), "SenderName")
    place(offer.sender_position)
    place(offer.entry)
    if offer.head is not None:
        place(offer.head)
    named = bytes([1]) + offer.recipient + u64(offer.generation)
    require(named == outside[:OUTSIDE_BYTES], "OtherRecipient")
    return offer, message.signature


def _holds(hashes: list[bytes], at: Place) -> bool:
    return at.seq <= len(hashes) and hashes[at.seq - 1] == at.hash


def check_offer(
    offer: Record, payload: bytes, signature: bytes, sender: AccountLog, vault: VaultLog
) -> None:
    """O2 to O6, with the sender's log and the vault's."""
    require(sender.id == offer.sender, "OtherSender")
    at, entry_at = place(offer.sender_position), place(offer.entry)
    require(_holds(sender.hashes, at), "SenderPosition")
    device = sender.devices.get(offer.sender_device)
    require(device is not None, "SenderDevice")
    assert device is not None
    for seq in (at.seq, sender.newest):
        require(device.is_active_at(seq), "SenderDevice")
    key = device.public.signing_key
    ed25519.verify(key, "coffre v1 sign offer", payload, signature)
    require(vault.id == offer.vault, "OtherVault")
    require(vault.state.home == offer.hoster, "OtherHoster")
    require(_holds(vault.hashes, entry_at), "Entry")
    entry = vault.entries[entry_at.seq - 1]
    require(entry.which == "add_member", "Entry")
    require(entry.author.account == offer.sender, "Entry")
    require(entry.add_member.box.member.account == offer.recipient, "Entry")
    states = vault.states[entry_at.seq - 1 :]
    require(all(offer.recipient in state.members for state in states), "NoMember")
    roles = {state.members[offer.recipient].role for state in states}
    require(offer.role in roles, "OtherRole")


def payload_of(signed: bytes) -> bytes:
    """The exact bytes that an offer's signature covers."""
    return bytes(decode(SIGNED_OFFER, signed).payload)
