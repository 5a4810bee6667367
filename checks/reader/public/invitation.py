"""Invitations (part 1, "Invitation", I1 to I3)."""

from ..messages import INVITATION
from ..refusal import Refused, require
from ..wire import Record, decode
from .entries import field
from .origins import check_tls
from .text import split_url


def read_invitation(text: str) -> tuple[str, Record]:
    """The origin and the message of an invitation's URL."""
    origin, encoded = split_url(text, "/invite#")
    try:
        invitation = decode(INVITATION, encoded)
    except Refused:
        raise Refused("Decode") from None
    require(invitation.version == 1, "Version")
    field(invitation.hoster, 32)
    check_tls(invitation.tls_mode, invitation.tls_pin, "Field")
    field(invitation.secret, 32)
    return origin, invitation
