"""Origins (part 1, "Origins") and how TLS is ended ("Invitation")."""

import ipaddress
import re

from ..refusal import Refused, require

PINNED, PUBLIC, PROXY = 1, 2, 3
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


def _ipv6(host: str) -> str:
    """An IPv6 address as RFC 5952 spells it; a mapped IPv4 address ends in dots."""
    require("%" not in host, "Origin")
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise Refused("Origin") from None
    mapped = address.ipv4_mapped
    return f"::ffff:{mapped}" if mapped else str(address)


def _host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        return f"[{_ipv6(host[1:-1])}]"
    labels = host.split(".")
    if re.fullmatch(r"[0-9]+", labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise Refused("Origin") from None
    require(len(host) <= 253, "Origin")
    require(all(LABEL.fullmatch(label) for label in labels), "Origin")
    return host


def normalize(text: str) -> str:
    """The one spelling of an origin as people may write it; else `Origin`."""
    require(text.isascii(), "Origin")
    host, colon, port = text.lower().rpartition(":")
    require(colon == ":", "Origin")
    require(re.fullmatch(r"[1-9][0-9]{0,4}", port) is not None, "Origin")
    require(int(port) <= 65535, "Origin")
    return f"{_host(host)}:{port}"


def check(origin: str) -> None:
    """Refuses what is not an origin in its one spelling. (`Origin`: a signed entry's.)"""
    require(normalize(origin) == origin, "Origin")


def check_stored(origin: str) -> str:
    """An origin that is stored by itself; one in another spelling is told as
    `Spelling`, as of addresses."""
    require(normalize(origin) == origin, "Spelling")
    return origin


def check_tls(mode: int, pin: bytes, reason: str) -> None:
    """`tls_mode` and `tls_pin` as in an invitation."""
    require(mode in (PINNED, PUBLIC, PROXY), reason)
    require(len(pin) == (32 if mode == PINNED else 0), reason)
