"""The light markup in which the playbook's texts are written, taken apart so that every place can show it its own way.

```backticks``` hold what is typed, or what a machine calls something; ``**asterisks**`` hold what is clicked;
``[words](page:inbox)`` leads somewhere. There is nothing else, and nothing of it can be nested.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Style = Literal["text", "code", "strong", "link"]

_MARKS = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\[(?P<link>[^\]]+)\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Span:
    """A piece of a text.

    :param target: for a link: where it leads, such as ``page:inbox`` or ``card:oversell``.
    :param href: the same as an address, once somebody has made one of it; empty: it leads nowhere from here.
    """

    style: Style
    text: str
    target: str = ""
    href: str = ""


Words = tuple[Span, ...]


def spans(text: str) -> Words:
    """A text, taken apart; all its pieces together say all of it."""
    found: list[Span] = []
    end = 0
    for mark in _MARKS.finditer(text):
        found.append(Span("text", text[end : mark.start()]))
        end = mark.end()
        if mark["code"] is not None:
            found.append(Span("code", mark["code"]))
        elif mark["strong"] is not None:
            found.append(Span("strong", mark["strong"]))
        else:
            found.append(Span("link", mark["link"], mark["target"]))
    found.append(Span("text", text[end:]))
    return tuple(one for one in found if one.text)


def plain(text: str) -> str:
    """A text without its markup, for messages and the command line."""
    return "".join(one.text for one in spans(text))
