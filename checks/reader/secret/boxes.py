"""Boxes, and secrets wrapped under the one after (part 2, "Boxes")."""

from dataclasses import dataclass

from ..crypto import hpke, xwing
from ..crypto.hashing import derive, u16, u64
from ..crypto.sealing import open_sealed
from ..refusal import require

BOX_BYTES = 1168
ACCOUNT_SEED, EPOCH_SECRET, OFFER_KEY = "account key seed", "epoch secret", "offer key"


@dataclass(frozen=True)
class BoxPlace:
    """Where a box stands: what for, from whom, in which entry of which log (32
    zeros in a genesis)."""

    purpose: str
    sender: bytes
    log: bytes
    seq: int


def key_hash(public: bytes) -> bytes:
    """`DK("coffre v1 kem key hash", public key)`."""
    return derive("coffre v1 kem key hash", public)


def box_info(place: BoxPlace, recipient: bytes) -> bytes:
    """HPKE's `info`."""
    parts = (
        place.purpose.encode(),
        place.sender,
        key_hash(recipient),
        place.log,
        u64(place.seq),
    )
    return b"coffre v1 box\0" + b"".join(u16(len(part)) + part for part in parts)


def open_box(private: bytes, place: BoxPlace, box: bytes) -> bytes:
    """The 32 bytes in a box for the owner of `private`."""
    require(len(box) == BOX_BYTES, "Opening")
    return hpke.open_box(private, box_info(place, xwing.public_key(private)), box)


def unwrap_seed(seed: bytes, generation: int, wrapped: bytes) -> bytes:
    """An earlier seed from `previous_seed` of `generation`, whose seed is `seed`."""
    key = derive("coffre v1 account wrap key", seed)
    return open_sealed(key, b"coffre v1 account wrap" + u64(generation), wrapped)


def unwrap_secret(secret: bytes, salt: bytes, epoch: int, wrapped: bytes) -> bytes:
    """An earlier secret from `previous_secret` of `epoch`, whose secret is `secret`."""
    key = derive("coffre v1 epoch wrap key", secret)
    return open_sealed(key, b"coffre v1 epoch wrap" + salt + u64(epoch), wrapped)
