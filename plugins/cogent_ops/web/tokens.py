"""Tokens that open endpoints to machines, which have no login of Airflow."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest


class Tokens:
    """Tokens that are equally good, kept as hashes."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._hashes = tuple(_hash(token) for token in tokens)

    def admit(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header carries one; it takes as long whichever is wrong, and wherever."""
        scheme, _, token = (authorization or "").partition(" ")
        given = _hash(token.strip())
        right = [compare_digest(given, one) for one in self._hashes]
        return scheme.lower() == "bearer" and any(right)


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
