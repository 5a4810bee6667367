"""Names and lines of text: addresses (N2), labels (part 4), URLs (I1, I3)."""

import base64
import re
import unicodedata

from ..refusal import Refused, require
from .origins import normalize

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)

# N2: Unicode's category Cf, what is blank besides, and places kept for either.
INVISIBLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD),
    (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F),
    (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD),
    (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip


def is_name(name: str) -> bool:
    """N2: 1 to 64 characters, none of them white space, a control character (Cc),
    one that is not seen, or one of `@ # :`."""
    return 1 <= len(name) <= 64 and not any(
        char in WHITE_SPACE
        or unicodedata.category(char) == "Cc"
        or any(first <= ord(char) <= last for first, last in INVISIBLE)
        or char in "@#:"
        for char in name
    )


def is_line(text: str, least: int, most: int) -> bool:
    """UTF-8 of `least` to `most` bytes without control characters (Cc)."""
    return least <= len(text.encode()) <= most and not any(
        unicodedata.category(char) == "Cc" for char in text
    )


def trim(text: str, most: int) -> str:
    """I1, N1: at most `most` bytes, white space around it ignored."""
    trimmed = text.strip(WHITE_SPACE)
    require(len(trimmed.encode()) <= most, "TooLong")
    return trimmed


def base64url(text: str) -> bytes:
    """I3: base64url without padding, zeros in the bits that are left over."""
    require(re.fullmatch(r"[A-Za-z0-9_-]*", text) is not None, "Base64")
    require(len(text) % 4 != 1, "Base64")
    decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != text:
        raise Refused("Base64")
    return decoded


def split_url(text: str, path: str) -> tuple[str, bytes]:
    """I1 to I3: the origin, and the bytes in the fragment, of `coffre://HOST:PORT`
    and `path` (`/invite#`, `/link#`)."""
    url = trim(text, 1024)
    require(url.startswith("coffre://"), "Scheme")
    rest = url.removeprefix("coffre://")
    slash = rest.find("/")
    require(slash >= 0, "Path")
    origin, rest = rest[:slash], rest[slash:]
    require(rest.startswith(path), "Path")
    return normalize(origin), base64url(rest.removeprefix(path))
