"""The flow of data in one picture: drawn for the page, as Mermaid for the document, and in sentences for the ear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import count

from cogent_ops.domain.wording import plain, spans
from cogent_ops.services.playbook.blocks import Picture

TITLE = "How data flows between commercetools, the kiosks and people"


@dataclass(frozen=True)
class Lane:
    """What one flow carries.

    :param shop: what lies in commercetools.
    :param kiosk: what lies on the kiosks' side.
    :param to_kiosk: it flows from commercetools to the kiosks; else the other way.
    :param both: something comes back, too.
    """

    shop: str
    flow: str
    kiosk: str
    sentence: str
    to_kiosk: bool = True
    both: bool = False


LANES = (
    Lane(
        "Products and prices",
        "catalogue_sync",
        "What kiosks show",
        "`catalogue_sync` brings products, prices and categories from commercetools to the kiosks. A product that "
        "lacks something is held back.",
    ),
    Lane(
        "Stock",
        "stock_deltas",
        "Sales, returns, counts",
        "`stock_deltas` brings sales and returns of kiosks, and counts and movements of stores' own systems, to the "
        "stock of commercetools, each once.",
        to_kiosk=False,
    ),
    Lane(
        "What can be sold",
        "availability_push",
        "In stock or not",
        "`availability_push` tells the kiosks what can still be sold, after everything that the website has sold.",
    ),
    Lane(
        "Orders, payments",
        "kiosk_order_capture",
        "Kiosk orders",
        "`kiosk_order_capture` makes each paid kiosk order an order in commercetools, once, and tells Cloudshelf its "
        "number and what becomes of it.",
        to_kiosk=False,
        both=True,
    ),
)
PEOPLE = (
    "Whatever a flow cannot do by itself becomes an exception with an owner, in [the inbox](page:inbox).",
    "`sync_health` watches all flows and tells people; `exception_review` asks them.",
    "`drift_reconciliation` compares both sides every night, and names the cause of each difference.",
)

_LEFT, _MIDDLE, _RIGHT = 20, 290, 560
_WIDE, _HIGH, _TOP, _STEP = 180, 44, 64, 72
_PEOPLE_TOP = _TOP + _STEP * len(LANES) + 12
_WIDTH, _HEIGHT = 760, _PEOPLE_TOP + 116


def picture() -> Picture:
    """The picture."""
    sentences = (*(lane.sentence for lane in LANES), *PEOPLE)
    return Picture(TITLE, _svg(), _mermaid(), tuple(map(spans, sentences)))


def _mermaid() -> str:
    lines = ["flowchart LR", "    subgraph shop [commercetools]"]
    lines += [f'        s{n}["{lane.shop}"]' for n, lane in enumerate(LANES)]
    lines += ["    end", "    subgraph flows [Flows in Airflow]"]
    lines += [f'        f{n}("{lane.flow}")' for n, lane in enumerate(LANES)]
    lines += ["    end", "    subgraph kiosks [Cloudshelf and stores]"]
    lines += [f'        k{n}["{lane.kiosk}"]' for n, lane in enumerate(LANES)]
    lines += ["    end", '    people["People: inbox, alerts, Sync Health, nights"]']
    for n, lane in enumerate(LANES):
        if lane.both or lane.to_kiosk:
            arrow = "<-->" if lane.both else "-->"
            lines.append(f"    s{n} {arrow} f{n} {arrow} k{n}")
        else:
            # The links that nobody sees keep commercetools on the left, whichever way the data goes.
            lines += [f"    s{n} ~~~ f{n} ~~~ k{n}", f"    k{n} --> f{n} --> s{n}"]
    lines.append("    flows -.-> people")
    return "\n".join(lines)


_HEAD = (
    f'<svg class="pb-picture" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="pb-picture-title" '
    'xmlns="http://www.w3.org/2000/svg" fill="none" stroke="currentColor" font-family="inherit" font-size="14">'
    f'<title id="pb-picture-title">{escape(TITLE)}</title>'
)


def _svg() -> str:
    columns = ((_LEFT, "commercetools"), (_MIDDLE, "Flows in Airflow"), (_RIGHT, "Cloudshelf and stores"))
    drawn = (*(_column(left, title) for left, title in columns), *_lanes(), *_people())
    return f"{_HEAD}{''.join(drawn)}</svg>"


def _column(left: int, title: str) -> str:
    height = _TOP + _STEP * len(LANES) - 24
    return _frame("pb-column", left - 12, 12, _WIDE + 24, height) + _text(
        left + _WIDE // 2, 40, title, bold=True
    )


def _frame(name: str, x: int, y: int, width: int, height: int) -> str:
    return (
        f'<rect class="{name}" x="{x}" y="{y}" width="{width}" height="{height}" rx="10" stroke-opacity="0.3" '
        'fill="currentColor" fill-opacity="0.04"/>'
    )


def _lanes() -> Iterator[str]:
    for n, lane in zip(count(), LANES):
        top = _TOP + n * _STEP
        yield from _box(_LEFT, top, lane.shop)
        yield from _box(_MIDDLE, top, lane.flow, rounded=True)
        yield from _box(_RIGHT, top, lane.kiosk)
        middle = top + _HIGH // 2
        for start, end in ((_LEFT + _WIDE, _MIDDLE), (_MIDDLE + _WIDE, _RIGHT)):
            yield from _arrow(start, end, middle, right=lane.to_kiosk or lane.both, left=not lane.to_kiosk)


def _people() -> Iterator[str]:
    middle, bottom = _MIDDLE + _WIDE // 2, _TOP + _STEP * len(LANES) - 12
    yield f'<path d="M{middle} {bottom}V{_PEOPLE_TOP + 10}" stroke-dasharray="5 4"/>'
    yield f'<path d="M{middle - 5} {_PEOPLE_TOP + 4}l5 8 5-8" fill="currentColor"/>'
    yield _frame("pb-people", _LEFT - 12, _PEOPLE_TOP + 14, _RIGHT + _WIDE - _LEFT + 24, 88)
    yield _text(middle, _PEOPLE_TOP + 42, "People", bold=True)
    yield _text(middle, _PEOPLE_TOP + 64, "Inbox: what a flow cannot do by itself, with its owner")
    yield _text(middle, _PEOPLE_TOP + 86, "Sync Health, alerts and the nightly comparison of both sides")


def _box(left: int, top: int, text: str, *, rounded: bool = False) -> Iterator[str]:
    yield (
        f'<rect class="pb-box" x="{left}" y="{top}" width="{_WIDE}" height="{_HIGH}" rx="{22 if rounded else 4}" '
        'stroke-width="1.5"/>'
    )
    yield _text(left + _WIDE // 2, top + 27, text)


def _arrow(start: int, end: int, y: int, *, right: bool, left: bool) -> Iterator[str]:
    yield f'<path d="M{start + 6} {y}H{end - 6}" stroke-width="1.5"/>'
    if right:
        yield f'<path d="M{end - 14} {y - 5}l8 5-8 5z" fill="currentColor"/>'
    if left:
        yield f'<path d="M{start + 14} {y - 5}l-8 5 8 5z" fill="currentColor"/>'


def _text(x: int, y: int, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x}" y="{y}" text-anchor="middle" fill="currentColor" stroke="none"{weight}>'
        f"{escape(plain(text))}</text>"
    )
