"""Text as it may be shown and stored."""

from __future__ import annotations


def visible(text: str) -> str:
    """Text with its control characters spelled out (``\\x00``).

    A bad record must spoil neither a terminal nor the store: PostgreSQL text cannot hold NUL.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
