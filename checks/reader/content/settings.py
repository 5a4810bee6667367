"""Settings of an account vault (part 4, "Settings")."""

from ..public import origins
from ..public.address import check_stored
from ..public.text import is_line, is_name
from ..refusal import require
from ..secret.keys import MOST_BYTES, SETTINGS
from ..sealed_messages import ACCOUNT_SETTINGS
from ..wire import Record, decode

MOST_EACH = 1024


def _check_ids(ids: list[bytes]) -> None:
    require(len(ids) <= MOST_EACH, "TooMany")
    require(all(len(id) == 32 for id in ids), "Ids")
    require(all(a < b for a, b in zip(ids, ids[1:])), "Ids")


def _check_hoster(hoster: Record) -> None:
    printable = all("\x21" <= char <= "\x7e" for char in hoster.origin)
    require(1 <= len(hoster.origin) <= 259 and printable, "Origin")
    require(hoster.tls_mode in (origins.PINNED, origins.PUBLIC, origins.PROXY), "tls_mode")
    origins.check_tls(hoster.tls_mode, hoster.tls_pin, "tls_pin")


def _check_contact(contact: Record) -> None:
    require(is_name(contact.name), "Name")
    origins.check(contact.origin)
    require(len(contact.hoster) == 32, "Ids")
    position = contact.position
    require(position is not None, "Ids")
    require(position.seq >= 1 and len(position.hash) == 32, "Ids")


def decode_settings(encoded: bytes) -> Record:
    """An `AccountSettings` by all rules."""
    require(len(encoded) <= MOST_BYTES[SETTINGS], "TooLarge")
    settings = decode(ACCOUNT_SETTINGS, encoded)
    _check_ids([one.hoster for one in settings.hosters])
    _check_ids([one.vault for one in settings.vaults])
    _check_ids([one.account for one in settings.contacts])
    for hoster in settings.hosters:
        _check_hoster(hoster)
    known = {one.hoster for one in settings.hosters}
    for vault in settings.vaults:
        require(vault.hoster in known, "UnknownHoster")
        require(is_line(vault.name, 1, 255), "Name")
        if vault.shared_by:
            check_stored(vault.shared_by)
    require(settings.name == "" or is_name(settings.name), "OwnName")
    for contact in settings.contacts:
        _check_contact(contact)
    return settings
