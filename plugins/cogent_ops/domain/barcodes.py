"""Barcodes by the GS1 rules."""

from __future__ import annotations

_LENGTHS = frozenset((8, 12, 13, 14))


def is_gtin(code: str) -> bool:
    """Whether the text is a GTIN-8, -12, -13 or -14 with a right check digit."""
    if len(code) not in _LENGTHS or not (code.isascii() and code.isdigit()):
        return False
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(code)))
    return weighted % 10 == 0
