"""Contact numbers (part 2, "Contact number")."""

from ..crypto.hashing import derive, number, split


def contact_number(first: bytes, second: bytes) -> str:
    """Twelve groups of five digits, the same for both members."""
    smaller, larger = sorted((first, second))
    output = derive("coffre v1 contact number", smaller + larger, 96)
    return " ".join(f"{number(word) % 100_000:05}" for word in split(output, 8))
