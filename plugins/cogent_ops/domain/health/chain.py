"""What changed the quantity of a place's entry, in order, with a reason for each step that has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cogent_ops.domain.drift.model import TITLES, Area, Cause
from cogent_ops.domain.health.evidence import FoundBefore, Known, Moved, Sent, Told, WebOrder
from cogent_ops.domain.reckoning import Change, Reckoned, own_message, reckon
from cogent_ops.domain.stock import MovementState

#: Causes by which a night has explained a difference; what it left unexplained explains nothing.
_EXPLAIN = frozenset({Cause.LOST, Cause.DUPLICATED, Cause.MANUAL_EDIT})
OURS, THEIRS = "ours", "theirs"


@dataclass(frozen=True)
class Row:
    """A step of the quantity.

    :param batch: ours; ``order``: of the web shop; ``told``: a Message. At most one of the three is given.
    :param title: why it changed, where none of them says it but something else does; empty: nothing does.
    :param why: the same at length.
    """

    step: Reckoned
    batch: Sent | None = None
    order: WebOrder | None = None
    told: Told | None = None
    title: str = ""
    why: str = ""

    @property
    def is_unexplained(self) -> bool:
        """Whether units moved, and nothing says why."""
        return not (self.batch or self.order or self.told or self.title)


@dataclass(frozen=True)
class Chain:
    """The quantity from its beginning to now.

    :param base: units before the first row; ``None``: no quantity is known.
    :param hidden: orders of the web shop that the quantity does not show yet.
    :param is_gone: there is no entry, as far as commercetools could be asked.
    :param gone_units: what it had, where nobody tells when it went.
    """

    base: int | None
    rows: tuple[Row, ...]
    hidden: tuple[WebOrder, ...]
    is_gone: bool
    gone_units: int = 0

    @property
    def number(self) -> int | None:
        """Units at the end, by all that is known."""
        return self.rows[-1].step.number if self.rows else self.base


def chain(known: Known) -> Chain:
    """Put everything that changed the quantity in order."""
    told = list(known.shop.messages or ())
    batches: dict[str, Sent] = {}
    changes: list[Change] = []
    for batch in known.ledger.batches:
        # What came to nothing was not sent.
        if is_in_entry(batch, known) and (batch.delta or batch.after is not None):
            batches[batch.id] = batch
            changes.append(_ours(batch, told, known))
    messages = {one.id: one for one in told}
    changes += (_theirs(one) for one in told)
    orders = {f"order/{one.number}": one for one in known.shop.orders or () if one.takes}
    changes += (Change(id_, one.at, -one.units) for id_, one in orders.items())
    entry = known.shop.entry
    now = None
    if entry is not None and known.shop.read_at is not None:
        now = Change("now", known.shop.read_at, 0, entry.on_stock, entry.on_stock)
    found = reckon(changes, now, known.lag)
    rows = tuple(
        Row(
            step,
            batches.get(step.change.id) if step.change else None,
            orders.get(step.change.id) if step.change else None,
            messages.get(step.change.id) if step.change else None,
        )
        for step in found.rows
    )
    rows = _explained(rows, known)
    is_gone = entry is None and not known.shop.problem
    gone = (found.number or 0) if is_gone else 0
    hidden = tuple(orders[one.id] for one in found.hidden if one.id in orders)
    return Chain(found.base, rows, hidden, is_gone, gone)


def is_in_entry(batch: Sent, known: Known) -> bool:
    """Whether commercetools has a change of ours: it has confirmed it, or the entry names it."""
    entry = known.shop.entry
    return batch.state == "applied" or (entry is not None and entry.batch == batch.id)


def is_pending(movement: Moved, known: Known, batches: Mapping[str, Sent]) -> bool:
    """Whether commercetools does not have a movement yet."""
    if movement.state in (MovementState.WAITING, MovementState.REVIEW):
        return True
    batch = batches.get(movement.batch_id or "")
    return movement.state == MovementState.BATCHED and (batch is None or not is_in_entry(batch, known))


def _ours(batch: Sent, told: list[Told], known: Known) -> Change:
    """Our change, at the time and with the quantities of its Message, where there is one: commercetools' own.

    The Message is taken out of those that others may have caused.
    """
    at = batch.settled_at or batch.created_at
    change = Change(batch.id, at, batch.delta or 0, batch.before, batch.after, OURS)
    last = batch.settled_at or known.asked_at
    message = own_message(change, told, batch.created_at - known.lag, last + known.lag)
    if message is None:
        return change
    told.remove(message)
    return replace(change, at=message.at, before=message.before, after=message.after)


def _theirs(told: Told) -> Change:
    if told.after is None:
        return Change(told.id, told.at, None, None, 0, THEIRS)
    before = told.before or 0
    return Change(told.id, told.at, told.after - before, before, told.after, THEIRS)


# What nobody has told


def _explained(rows: Sequence[Row], known: Known) -> tuple[Row, ...]:
    """Gaps with what a night has found out about them, or with who changed the entry last."""
    findings = [one for one in known.ledger.findings if _may_explain(one)]
    done: list[Row] = []
    for place, row in enumerate(rows):
        if not row.is_unexplained:
            done.append(row)
            continue
        found = next((one for one in findings if _explains(one, row.step)), None)
        if found is not None:
            findings.remove(found)
            title = f"{TITLES[found.finding.cause]}, as the night of {found.finding.night} found"
            done.append(replace(row, title=title, why=found.finding.message))
        elif place == len(rows) - 1 and not (place and rows[place - 1].order):
            done.append(_by_last_change(row, known))
        else:
            done.append(row)
    return tuple(done)


def _may_explain(found: FoundBefore) -> bool:
    finding = found.finding
    return finding.area is Area.STOCK and finding.cause in _EXPLAIN and not finding.reference


def _explains(found: FoundBefore, gap: Reckoned) -> bool:
    return found.finding.units == gap.units and (gap.since is None or found.at >= gap.since)


def _by_last_change(row: Row, known: Known) -> Row:
    """The last gap, where the entry says that somebody else changed it after all that we know of.

    An order may count as such a change, too, so this says nothing where one came last.
    """
    entry, since = known.shop.entry, row.step.since
    if entry is None or not entry.changed_by or entry.changed_by in known.us:
        return row
    if since is not None and entry.changed_at < since - known.lag:
        return row
    who = f"The API client '{entry.changed_by}' changed the entry last"
    return replace(
        row,
        step=replace(row.step, at=max(filter(None, (since, entry.changed_at)))),
        title="Changed by a person or another system",
        why=f"{who}, on {moment(entry.changed_at)}.",
    )


def moment(at: datetime) -> str:
    """A time as sentences name it."""
    return f"{at:%d %b %H:%M} UTC"
