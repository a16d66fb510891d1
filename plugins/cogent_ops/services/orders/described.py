"""An import of an order in words, before it is sent: nothing about the customer but whether there is an address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cogent_ops.domain.money import show
from cogent_ops.domain.order_draft import Draft, DraftLine
from cogent_ops.domain.order_problems import Problem

#: How a correction is shown that was taken back.
TAKEN_BACK = "(taken back)"
_NOTHING = "Nothing was sent."
_STATES = ("orderState", "paymentState", "shipmentState")


def described(draft: Draft, standing: str, *, is_addressed: bool) -> str:
    """What would be sent.

    :param standing: what the order waits for, or is asked about, at present; empty: nothing.
    :param is_addressed: whether the customer's e-mail address is known.
    """
    return "\n".join(_described(draft, standing, is_addressed))


def lacking(number: str, problems: Iterable[Problem]) -> str:
    """What keeps an order from being sent, and what cures it.

    :param number: the orderNumber.
    """
    rows = (f"- {one.field}: {one.message} {one.cure}" for one in problems)
    return "\n".join((f"Order {number} cannot be sent yet:", *rows, _NOTHING))


def _described(draft: Draft, standing: str, is_addressed: bool) -> Iterator[str]:
    body = draft.body
    yield f"Order {draft.number} would be sent to commercetools:"
    yield from (f"- {_line(line)}" for line in draft.lines)
    taxes = f", with taxes {show(draft.gross)}" if draft.gross != draft.total else ""
    yield f"- total: {show(draft.total)}{taxes}"
    yield f"- store: {(body.get('store') or {}).get('key') or 'none'}"
    yield f"- e-mail address: {'given' if is_addressed else 'none'}"
    yield f"- states: {', '.join(str(body[name]) for name in _STATES if body.get(name))}"
    if standing:
        yield f"- at present: {standing}"
    yield _NOTHING


def _line(line: DraftLine) -> str:
    name = next(iter(line.name.values()), "")
    what = " ".join(part for part in (line.sku, f"'{name}'" if name else "") if part)
    return f"{line.quantity} x {what} at {show(line.price)}"
