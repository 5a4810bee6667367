"""The list of links (part 5, "List of links")."""

from ..content.nodes import is_absolute_path, is_time
from ..public.text import is_line
from ..refusal import require
from ..sealed_messages import LINKS
from ..secret.keys import LINKS as LINKS_KIND, MOST_BYTES
from ..secret.packs import is_pack_size
from ..wire import Record, decode
from .urls import check_stretching, link_id

MOST_LINKS, MOST_PATH_BYTES = 1024, 65_535


def decode_links(encoded: bytes) -> Record:
    """A `Links` by all rules of the table."""
    require(len(encoded) <= MOST_BYTES[LINKS_KIND], "TooLarge")
    links = decode(LINKS, encoded)
    require(len(links.links) <= MOST_LINKS, "TooMany")
    for link in links.links:
        _check_link(link)
    ids = [link_id(link.secret) for link in links.links]
    require(all(a < b for a, b in zip(ids, ids[1:])), "Order")
    return links


def _check_link(link: Record) -> None:
    for field in (link.secret, link.capsule_key, link.capsule, link.account, link.snapshot):
        require(len(field) == 32, "Length")
    require(is_pack_size(link.capsule_size), "Capsule")
    if link.password is not None:
        check_stretching(link.password)
    require(is_time(link.created), "Time")
    require(len(link.path) <= MOST_PATH_BYTES and is_absolute_path(link.path), "Path")
    require(is_line(link.label, 0, 255), "Label")
