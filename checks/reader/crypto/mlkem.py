"""ML-KEM-768 (FIPS 203) in plain Python, as slow and as plain as the standard.

Numbers of algorithms are those of FIPS 203. Nothing here runs in constant time:
this is a checker, not a program to keep secrets with.
"""

from hashlib import sha3_256, sha3_512, shake_128, shake_256

N, Q, K = 256, 3329, 3
ETA, DU, DV = 2, 10, 4
PUBLIC_KEY_BYTES, CIPHERTEXT_BYTES = 1184, 1088

Polynomial = list[int]
Vector = list[Polynomial]


def _reverse7(number: int) -> int:
    return int(f"{number:07b}"[::-1], 2)


ZETAS = [pow(17, _reverse7(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reverse7(i) + 1, Q) for i in range(128)]


def _encode(polynomial: Polynomial, bits: int) -> bytes:
    """Algorithm 5, ByteEncode."""
    word = 0
    for at, coefficient in enumerate(polynomial):
        word |= coefficient << (bits * at)
    return word.to_bytes(32 * bits, "little")


def _decode(encoded: bytes, bits: int) -> Polynomial:
    """Algorithm 6, ByteDecode; 12 bits are reduced modulo q."""
    word, mask = int.from_bytes(encoded, "little"), (1 << bits) - 1
    modulus = Q if bits == 12 else 1 << bits
    return [(word >> (bits * at) & mask) % modulus for at in range(N)]


def _decode_vector(encoded: bytes, bits: int) -> Vector:
    width = 32 * bits
    return [_decode(encoded[i * width : (i + 1) * width], bits) for i in range(K)]


def _compress(polynomial: Polynomial, bits: int) -> Polynomial:
    return [((x << bits) + Q // 2) // Q & ((1 << bits) - 1) for x in polynomial]


def _decompress(polynomial: Polynomial, bits: int) -> Polynomial:
    return [(x * Q + (1 << (bits - 1))) >> bits for x in polynomial]


def _sample_ntt(seed: bytes) -> Polynomial:
    """Algorithm 7."""
    length = 168 * 4
    while True:
        stream = shake_128(seed).digest(length)
        out: list[int] = []
        for at in range(0, length - 2, 3):
            low = stream[at] | (stream[at + 1] & 15) << 8
            high = stream[at + 1] >> 4 | stream[at + 2] << 4
            out.extend(x for x in (low, high) if x < Q)
            if len(out) >= N:
                return out[:N]
        length += 168


def _sample_cbd(seed: bytes, nonce: int) -> Polynomial:
    """Algorithm 8 with eta = 2, over PRF(seed, nonce)."""
    stream = shake_256(seed + bytes([nonce])).digest(64 * ETA)
    word = int.from_bytes(stream, "little")
    out = []
    for at in range(N):
        four = word >> (4 * at) & 15
        out.append(((four & 1) + (four >> 1 & 1) - (four >> 2 & 1) - (four >> 3)) % Q)
    return out


def _ntt(polynomial: Polynomial) -> Polynomial:
    """Algorithm 9."""
    f, i, length = list(polynomial), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[i]
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length] = (f[j] - t) % Q
                f[j] = (f[j] + t) % Q
        length //= 2
    return f


def _inverse_ntt(polynomial: Polynomial) -> Polynomial:
    """Algorithm 10."""
    f, i, length = list(polynomial), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta = ZETAS[i]
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = zeta * (f[j + length] - t) % Q
        length *= 2
    return [x * 3303 % Q for x in f]


def _multiply(f: Polynomial, g: Polynomial) -> Polynomial:
    """Algorithms 11 and 12."""
    out = []
    for i in range(128):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        out.append((a0 * b0 + a1 * b1 * GAMMAS[i]) % Q)
        out.append((a0 * b1 + a1 * b0) % Q)
    return out


def _add(*polynomials: Polynomial) -> Polynomial:
    return [sum(column) % Q for column in zip(*polynomials)]


def _dot(left: Vector, right: Vector) -> Polynomial:
    return _add(*(_multiply(f, g) for f, g in zip(left, right)))


def _matrix(rho: bytes) -> list[Vector]:
    return [[_sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def generate(d: bytes, z: bytes) -> tuple[bytes, bytes]:
    """Algorithm 16, KeyGen_internal: public key and private key."""
    seeds = sha3_512(d + bytes([K])).digest()
    rho, sigma = seeds[:32], seeds[32:]
    s = [_ntt(_sample_cbd(sigma, i)) for i in range(K)]
    e = [_ntt(_sample_cbd(sigma, K + i)) for i in range(K)]
    t = [_add(_dot(row, s), error) for row, error in zip(_matrix(rho), e)]
    public = b"".join(_encode(x, 12) for x in t) + rho
    private = b"".join(_encode(x, 12) for x in s)
    return public, private + public + sha3_256(public).digest() + z


def _encrypt(public: bytes, message: bytes, randomness: bytes) -> bytes:
    """Algorithm 14, K-PKE.Encrypt."""
    t, matrix = _decode_vector(public, 12), _matrix(public[1152:])
    y = [_ntt(_sample_cbd(randomness, i)) for i in range(K)]
    e1 = [_sample_cbd(randomness, K + i) for i in range(K)]
    e2 = _sample_cbd(randomness, 2 * K)
    columns = [[matrix[i][j] for i in range(K)] for j in range(K)]
    u = [_add(_inverse_ntt(_dot(column, y)), e) for column, e in zip(columns, e1)]
    mu = _decompress(_decode(message, 1), 1)
    v = _add(_inverse_ntt(_dot(t, y)), e2, mu)
    halves = [_encode(_compress(x, DU), DU) for x in u]
    return b"".join(halves) + _encode(_compress(v, DV), DV)


def _decrypt(private: bytes, ciphertext: bytes) -> bytes:
    """Algorithm 15, K-PKE.Decrypt."""
    u = [_ntt(_decompress(x, DU)) for x in _decode_vector(ciphertext[:960], DU)]
    v = _decompress(_decode(ciphertext[960:], DV), DV)
    w = _inverse_ntt(_dot(_decode_vector(private, 12), u))
    return _encode(_compress([(a - b) % Q for a, b in zip(v, w)], 1), 1)


def decapsulate(private: bytes, ciphertext: bytes) -> bytes:
    """Algorithm 18: the shared secret, or a pseudorandom one (implicit rejection)."""
    inner, public = private[:1152], private[1152 : 1152 + PUBLIC_KEY_BYTES]
    digest, z = private[2336:2368], private[2368:]
    message = _decrypt(inner, ciphertext)
    both = sha3_512(message + digest).digest()
    if _encrypt(public, message, both[32:]) == ciphertext:
        return both[:32]
    return shake_256(z + ciphertext).digest(32)


def encapsulate(public: bytes, message: bytes) -> tuple[bytes, bytes]:
    """Algorithm 17, Encaps_internal: shared secret and ciphertext."""
    both = sha3_512(message + sha3_256(public).digest()).digest()
    return both[:32], _encrypt(public, message, both[32:])


def is_public_key(public: bytes) -> bool:
    """The check of section 7.2: length, and every coefficient below q."""
    if len(public) != PUBLIC_KEY_BYTES:
        return False
    again = b"".join(_encode(x, 12) for x in _decode_vector(public[:1152], 12))
    return again == public[:1152]
