"""One zstd frame that records its content size (part 2, "Chunks"; part 5, "Capsule")."""

import zstandard

from ..refusal import Refused, require

MAGIC = bytes.fromhex("28b52ffd")


def decompress(frame: bytes, length: int, most: int) -> bytes:
    """The `length` bytes of exactly one frame; refuses a length over `most` first,
    and never writes more than it."""
    require(length <= most, "Opening")
    require(frame[:4] == MAGIC, "Opening")
    try:
        parameters = zstandard.get_frame_parameters(frame)
        require(parameters.content_size == length, "Opening")
        require(parameters.dict_id == 0, "Opening")
        plaintext = _exactly_one(frame, length)
    except zstandard.ZstdError:
        raise Refused("Opening") from None
    require(len(plaintext) == length, "Opening")
    return plaintext


def _exactly_one(frame: bytes, length: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor()
    if length > 0:
        # Writes into a buffer of the recorded size and fails at its end.
        return decompressor.decompress(frame, allow_extra_data=False)
    # `decompress` does not look behind a header that promises nothing.
    stepwise = decompressor.decompressobj()
    plaintext = stepwise.decompress(frame)
    require(stepwise.eof and not stepwise.unused_data, "Opening")
    return plaintext
