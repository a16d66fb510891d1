"""Text as it may be shown and stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

#: Control characters, line ends of their own kind and halves of a character: nothing a reader can see.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Text with its control characters spelled out (``\x00``).

    A bad record must spoil neither a terminal nor the store: PostgreSQL text cannot hold NUL.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def writable(text: str) -> str:
    """Half a surrogate pair, which an API may send but no file and no database can hold, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def one_line(text: str) -> str:
    """Text without control characters and without superfluous spaces."""
    return " ".join(CONTROL.sub(" ", text).split())


def fold(text: str) -> str:
    """Text without what people overlook: case and white space."""
    return "".join(text.split()).casefold()


def has_control_characters(text: str) -> bool:
    """Whether the text holds characters that no reader can see (:data:`CONTROL`)."""
    return not text.isprintable() and CONTROL.search(text) is not None


def localized(texts: Mapping[str, str], locales: Iterable[str]) -> str:
    """The first of ``locales`` that has a text, without surrounding spaces; empty when none has."""
    for locale in locales:
        text = texts.get(locale)
        if text and (text := text.strip()):
            return text
    return ""


def any_language(texts: Mapping[str, str], locales: Iterable[str]) -> str:
    """Like :func:`localized`, but in any other language rather than not at all."""
    return localized(texts, locales) or localized(texts, sorted(texts))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'? `` or nothing."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean '{close[0]}'? " if close else ""


def masked_email(address: str) -> str:
    """An e-mail address of which only its beginning and its last part can be read: ``a•••@e•••.com``."""
    name, at, domain = address.strip().rpartition("@")
    host, _, last = domain.rpartition(".")
    if not (name and at and host and last.isalnum()):
        return "•••"
    return f"{name[0]}•••@{host[0]}•••.{last}"


def span(seconds: float) -> str:
    """A time as people say it, never longer than it is: ``45 s``, ``22 min``, ``5 h``, ``3 days``."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(max(0.0, seconds) // unit)} {name}"
    return f"{int(seconds // 86_400)} days"


def counted(number: int, thing: str) -> str:
    """A number of things: ``1 order``, ``1,240 orders``.

    :param thing: one of them; its plural ends in an ``s``.
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def listed(words: Iterable[str]) -> str:
    """Words as a sentence lists them: ``a``, ``a and b``, ``a, b and c``."""
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last
