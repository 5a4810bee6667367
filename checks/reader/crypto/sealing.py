"""`SEAL` (part 2): XChaCha20-Poly1305 with the nonce in front."""

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt as _encrypt,
)
from nacl.exceptions import CryptoError

from ..refusal import Refused, require

OVERHEAD = 40


def open_sealed(key: bytes, associated: bytes, sealed: bytes) -> bytes:
    """x of `SEAL(key, associated, x)`. Fails in one way, `Opening`."""
    require(len(sealed) >= OVERHEAD, "Opening")
    try:
        return _decrypt(sealed[24:], associated, sealed[:24], key)
    except CryptoError:
        raise Refused("Opening") from None


def seal(key: bytes, associated: bytes, plaintext: bytes, nonce: bytes) -> bytes:
    """`SEAL` with a given nonce. For vectors that hold no sealed bytes only."""
    return nonce + _encrypt(plaintext, associated, nonce, key)
