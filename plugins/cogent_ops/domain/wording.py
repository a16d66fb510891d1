"""The light markup in which the playbook's texts are written, taken apart so that every place can show it its own way.

```backticks``` hold what is typed, or what a machine calls something; ``**asterisks**`` hold what is clicked;
``[words](page:inbox)`` leads somewhere: to a page, the DAG of a flow (``page:dag/sync_health``), the card of a kind
(``card:oversell``) or a part of the book (``part:owners``). There is nothing else, and nothing of it can be nested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.text import did_you_mean

Style = Literal["text", "code", "strong", "link"]

#: Pages by the name that a text gives them.
PAGES = (
    "health",
    "inbox",
    "explain",
    "playbook",
    "nights",
    "reports",
    "governance",
    "actions",
    "dags",
    "connections",
)
#: Parts of the book by their anchor.
PARTS = (
    *(
        "about",
        "where",
        "alert",
        "picture",
        "masters",
        "flows",
        "owners",
        "reading-alerts",
        "reading-health",
        "reading-inbox",
    ),
    *("routines", "month-end", "pre-peak", "cards", "glossary"),
)
_DAG = re.compile(r"page:dag/[a-z][a-z_]*")

_MARKS = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\[(?P<link>[^\]]+)\]\((?P<target>[^)\s]+)\)"
)


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


def targets(text: str) -> Iterable[str]:
    """Where the links of a text lead."""
    return (one.target for one in spans(text) if one.style == "link")


def _leads_somewhere(text: str) -> str:
    known = [
        *(f"page:{page}" for page in PAGES),
        *(f"card:{kind}" for kind in Kind),
        *(f"part:{part}" for part in PARTS),
    ]
    for target in targets(text):
        if target not in known and not _DAG.fullmatch(target):
            raise ValueError(
                f"links to '{target}', which leads nowhere. {did_you_mean(target, known)}".strip()
            )
    return text


#: A text in this markup, whose links lead somewhere.
Text = Annotated[str, StringConstraints(min_length=10), AfterValidator(_leads_somewhere)]
