"""What may be written into a log line or an error message: no secret, no token, no personal data."""

from __future__ import annotations

import re

MASK = "***"
#: Answers of a broken proxy can be whole web pages.
LONGEST_TEXT = 500
#: Shorter secrets would mask parts of ordinary words.
SHORTEST_SECRET = 4

_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic|token)(\s+)[\w.~+/=-]{16,}"), rf"\1\2{MASK}"),
    (
        re.compile(
            r"""(?ix) (["']? \b (?:access_token|refresh_token|client_secret|client_id|api[_-]?key|password
            |authorization|secret) \b ["']? \s* [:=] \s* ["']?) [^\s"',&}]+"""
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+"), MASK),
    # A telephone number as people write it. Bare digits stay: they are GTINs, SKUs and order numbers.
    (re.compile(r"(?<![\w+])(?:\+|00)[1-9][\d ()./-]{5,18}\d(?!\w)"), MASK),
    (re.compile(r"(?<![\w.-])\(?0[1-9]\d{1,4}\)?[ /-][\d ./-]{3,14}\d(?![\w-])"), MASK),
)


class Redactor:
    """Masks known secrets wherever they stand, and what looks like a token, an e-mail address or a phone number.

    :param secrets: credentials in use; :meth:`learn` adds those that are only known later.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}

    def learn(self, secret: str) -> None:
        """Mask this one too from now on, e.g. a fetched access token."""
        if len(secret) >= SHORTEST_SECRET:
            self._secrets = self._secrets | {secret}

    def __call__(self, text: str) -> str:
        """The text without secrets and personal data, and not longer than a reader can use."""
        text = self.masked(text)
        return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"

    def masked(self, text: str) -> str:
        """The whole text without secrets and personal data."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text
