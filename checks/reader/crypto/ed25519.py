"""Ed25519 as part 1 wants it ("Signatures", S1 to S3).

The equation is checked by OpenSSL, which computes R from S, k and A and compares
its bytes, without the cofactor, and refuses an S that is not reduced. What is
asked for besides (points, small order) is here.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from ..refusal import Refused, require

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]


def decode_point(encoded: bytes) -> Point:
    """The point of an encoding with y below 2^255 - 19; else `NotAPoint`.

    x = 0 with the sign bit set counts as the point, though RFC 8032 refuses it:
    the vectors tell such keys as `SmallOrder`, which only a point can be.
    """
    word = int.from_bytes(encoded, "little")
    y, sign = word & ((1 << 255) - 1), word >> 255
    require(y < P, "NotAPoint")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_ONE % P
    require(x * x % P == square, "NotAPoint")
    return (P - x if x & 1 != sign else x) % P, y


def _double(point: Point) -> Point:
    x, y = point
    product = D * x * x * y * y % P
    return (
        2 * x * y * pow(1 + product, -1, P) % P,
        (y * y + x * x) * pow(1 - product, -1, P) % P,
    )


def _is_small_order(point: Point) -> bool:
    for _ in range(3):
        point = _double(point)
    return point == (0, 1)


def check_public_key(key: bytes) -> None:
    """S1: refuses with `Length`, `NotAPoint` or `SmallOrder`."""
    require(len(key) == 32, "Length")
    require(not _is_small_order(decode_point(key)), "SmallOrder")


def verify(key: bytes, label: str, payload: bytes, signature: bytes) -> None:
    """S1 to S3 for `Ed25519(key, label | 0x00 | payload)`; else `BadSignature`."""
    check_public_key(key)
    require(len(signature) == 64, "BadSignature")
    require(int.from_bytes(signature[32:], "little") < L, "BadSignature")
    try:
        require(not _is_small_order(decode_point(signature[:32])), "BadSignature")
        message = label.encode() + b"\0" + payload
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, Refused):
        raise Refused("BadSignature") from None


def public_key(seed: bytes) -> bytes:
    """The public key of an RFC 8032 seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, label: str, payload: bytes) -> bytes:
    """A signature; Ed25519 is deterministic, so vectors can be compared."""
    message = label.encode() + b"\0" + payload
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)
