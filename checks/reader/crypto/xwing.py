"""X-Wing (draft-connolly-cfrg-xwing-kem; part 2, "X-Wing keys")."""

from functools import lru_cache
from hashlib import sha3_256, shake_256

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import CryptoError

from ..refusal import Refused, require
from . import mlkem
from .hashing import number

PUBLIC_KEY_BYTES, ENC_BYTES = 1216, 1120
LABEL = bytes.fromhex("5c2e2f2f5e5c")


@lru_cache(maxsize=64)
def _expand(private: bytes) -> tuple[bytes, bytes, bytes]:
    """ML-KEM private key, X25519 scalar, X-Wing public key."""
    expanded = shake_256(private).digest(96)
    public, inner = mlkem.generate(expanded[:32], expanded[32:64])
    scalar = expanded[64:]
    return inner, scalar, public + crypto_scalarmult_base(scalar)


def public_key(private: bytes) -> bytes:
    """The public key, 1,216 bytes, of a raw private key of 32."""
    return _expand(private)[2]


def _exchange(scalar: bytes, half: bytes) -> bytes:
    """X25519, which refuses halves that are not reduced or of low order."""
    require(number(half) < 2**255 - 19, "X25519")
    try:
        secret = crypto_scalarmult(scalar, half)
    except CryptoError:
        raise Refused("X25519") from None
    require(secret != bytes(32), "X25519")
    return secret


def check_public_key(public: bytes) -> None:
    """What whoever seals to a key checks of it."""
    require(len(public) == PUBLIC_KEY_BYTES, "Length")
    require(mlkem.is_public_key(public[:1184]), "MlKem")
    _exchange(bytes(31) + b"\x40", public[1184:])


def _combine(first: bytes, second: bytes, share: bytes, public: bytes) -> bytes:
    return sha3_256(first + second + share + public + LABEL).digest()


def decapsulate(private: bytes, enc: bytes) -> bytes:
    """The shared secret of `enc`, 1,120 bytes."""
    require(len(enc) == ENC_BYTES, "Length")
    inner, scalar, public = _expand(private)
    second = _exchange(scalar, enc[1088:])
    return _combine(mlkem.decapsulate(inner, enc[:1088]), second, enc[1088:], public[1184:])


def encapsulate(public: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    """Shared secret and `enc` from 64 given bytes: for comparison with vectors."""
    check_public_key(public)
    first, ciphertext = mlkem.encapsulate(public[:1184], randomness[:32])
    share = crypto_scalarmult_base(randomness[32:])
    second = _exchange(randomness[32:], public[1184:])
    return _combine(first, second, share, public[1184:]), ciphertext + share
