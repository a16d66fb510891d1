"""Barcodes by the GS1 rules."""

from __future__ import annotations

_LENGTHS = frozenset((8, 12, 13, 14))


def is_gtin(code: str) -> bool:
    """Whether the text is a GTIN-8, -12, -13 or -14 with a right check digit."""
    if len(code) not in _LENGTHS or not (code.isascii() and code.isdigit()):
        return False
    from_the_right = [int(digit) for digit in reversed(code)]
    return (sum(from_the_right[::2]) + 3 * sum(from_the_right[1::2])) % 10 == 0
