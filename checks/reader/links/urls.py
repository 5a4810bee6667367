"""URLs of links and their keys (part 5, beginning and "URL")."""

from __future__ import annotations

from dataclasses import dataclass

from argon2.low_level import Type, hash_secret_raw

from ..crypto.hashing import derive
from ..public.origins import check_tls
from ..public.text import split_url
from ..refusal import Refused, require
from ..sealed_messages import LINK_URL
from ..wire import Record, decode

ARGON2ID, ARGON2_VERSION = 1, 0x13
MOST_PASSWORD_BYTES = 1024


@dataclass(frozen=True)
class LinkUrl:
    """A link as its URL tells it."""

    origin: str
    message: Record

    @property
    def link_id(self) -> bytes:
        """Known to the hoster."""
        return link_id(self.message.secret)

    def capsule_key(self, password: str | None = None) -> bytes:
        """The key of its capsule; stretches the password where there is one."""
        stretched = b""
        if self.message.password is not None:
            require(password is not None, "Password")
            assert password is not None
            stretched = stretch(self.message.password, password)
        return capsule_key(self.message.secret, stretched)


def link_id(secret: bytes) -> bytes:
    """`DK("coffre v1 link id", secret)`."""
    return derive("coffre v1 link id", secret)


def capsule_key(secret: bytes, stretched: bytes) -> bytes:
    """`DK("coffre v1 link capsule key", secret | stretched)`."""
    return derive("coffre v1 link capsule key", secret + stretched)


def stretch(how: Record, password: str) -> bytes:
    """Argon2id (RFC 9106) of a password of 1 to 1,024 bytes."""
    plain = password.encode()
    require(1 <= len(plain) <= MOST_PASSWORD_BYTES, "Password")
    return hash_secret_raw(
        plain, how.salt, how.passes, how.memory_kibibytes, how.lanes, 32, Type.ID, how.version
    )


def check_stretching(how: Record) -> None:
    """The rules of a `PasswordStretching`, with its floor and ceiling."""
    require(how.algorithm == ARGON2ID, "Algorithm")
    require(how.version == ARGON2_VERSION, "Version")
    require(how.memory_kibibytes >= 65_536, "TooCheap")
    require(how.passes >= 1 and how.lanes >= 1, "TooCheap")
    require(how.memory_kibibytes <= 524_288, "TooCostly")
    require(how.passes <= 16 and how.lanes <= 4, "TooCostly")
    require(len(how.salt) == 16, "Salt")


def read_link_url(text: str) -> LinkUrl:
    """The URL of a link."""
    origin, encoded = split_url(text, "/link#")
    try:
        message = decode(LINK_URL, encoded)
    except Refused:
        raise Refused("Decode") from None
    require(message.version == 1, "Version")
    for field in (message.hoster, message.secret, message.capsule):
        require(len(field) == 32, "Length")
    check_tls(message.tls_mode, message.tls_pin, "Tls")
    if message.password is not None:
        check_stretching(message.password)
    return LinkUrl(origin, message)
