"""HPKE (RFC 9180) in base mode, single shot, with the suite of part 2, "Boxes":
X-Wing (0x647a), HKDF-SHA256 (0x0001), ChaCha20-Poly1305 (0x0003).

The KEM's secret is HPKE's shared secret; associated data is empty.
"""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ..refusal import Refused
from . import xwing

SUITE = b"HPKE" + bytes.fromhex("647a00010003")


def _extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    labeled = b"HPKE-v1" + SUITE + label + material
    return hmac.digest(salt or bytes(32), labeled, "sha256")


def _expand(secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info
    return hmac.digest(secret, labeled + b"\x01", "sha256")[:length]


def _key_and_nonce(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """RFC 9180, section 5.1, KeySchedule with mode 0 and no PSK."""
    context = b"\0" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    secret = _extract(shared, b"secret", b"")
    return _expand(secret, b"key", context, 32), _expand(secret, b"base_nonce", context, 12)


def open_box(private: bytes, info: bytes, box: bytes) -> bytes:
    """What `box` holds for the owner of `private`."""
    try:
        shared = xwing.decapsulate(private, box[: xwing.ENC_BYTES])
        key, nonce = _key_and_nonce(shared, info)
        return ChaCha20Poly1305(key).decrypt(nonce, box[xwing.ENC_BYTES :], b"")
    except (InvalidTag, Refused):
        raise Refused("Opening") from None


def seal_box(public: bytes, info: bytes, secret: bytes, randomness: bytes) -> bytes:
    """A box from given randomness: for comparison with vectors only."""
    shared, enc = xwing.encapsulate(public, randomness)
    key, nonce = _key_and_nonce(shared, info)
    return enc + ChaCha20Poly1305(key).encrypt(nonce, secret, b"")
