"""Why an inventory entry does not say what it should: judged by what is known of it, never guessed.

Whoever changed an entry by hand meant it, so only what points to ourselves is called lost or duplicated: our change is
the last one that the entry knows, or the entry has forgotten changes that it had confirmed. What fits nothing stays
unexplained, and a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cogent_ops.domain.drift.model import Cause
from cogent_ops.domain.stock import Place


@dataclass(frozen=True)
class Change:
    """A change of ours that is, or was, in the entry.

    :param batch: its id, which the entry names while it is the last one.
    :param at: when commercetools confirmed it, else when it was made.
    :param before: units before it, where known; ``after`` likewise.
    """

    batch: str
    delta: int
    at: datetime
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True)
class Sale:
    """What an order of the web shop took, in signed units."""

    order: str
    units: int
    at: datetime


@dataclass(frozen=True)
class Edit:
    """A change of quantity by others, of which a Message told."""

    before: int
    after: int
    at: datetime


@dataclass(frozen=True)
class Difference:
    """An entry that does not say what it should.

    :param base: units that the expectation begins with: of the snapshot before, or of the last count.
    :param batch: our change that the entry names; ``None``: none.
    :param is_replaced: another entry stood here at the snapshot before.
    :param changed_by: API client that changed it last, where commercetools says; ``changed_at``: when.
    :param us: our own API client.
    :param is_touched: it has another version than after our last change, and no order may have done that; ``None``:
        not known.
    :param changes: ours since the base, the oldest first.
    :param edits: of others; ``None``: the project keeps no Messages, so nobody knows.
    """

    place: Place
    base: int
    expected: int
    actual: int
    batch: str | None
    us: str
    changed_by: str | None = None
    changed_at: datetime | None = None
    is_replaced: bool = False
    is_touched: bool | None = None
    changes: tuple[Change, ...] = ()
    sales: tuple[Sale, ...] = ()
    edits: tuple[Edit, ...] | None = None

    @property
    def off(self) -> int:
        """Units that are there and should not be; negative: that are missing."""
        return self.actual - self.expected


@dataclass(frozen=True)
class Judgement:
    """A cause, and what points to it, as a sentence."""

    cause: Cause
    why: str


def judge(found: Difference) -> Judgement:
    """The cause of a difference."""
    return (
        _replaced(found)
        or _forgotten(found)
        or _by_others(found)
        or _last_change(found)
        or _told(found)
        or _unexplained(found)
    )


def _replaced(found: Difference) -> Judgement | None:
    return Judgement(Cause.MANUAL_EDIT, "The entry was deleted and made anew.") if found.is_replaced else None


def _by_others(found: Difference) -> Judgement | None:
    if found.changed_by is not None and found.changed_by != found.us:
        return Judgement(
            Cause.MANUAL_EDIT, f"The API client '{found.changed_by}' changed it last.{_hint(found)}"
        )
    if found.changed_by is None and found.is_touched:
        return Judgement(
            Cause.MANUAL_EDIT, f"It was changed after our last change, and not by us.{_hint(found)}"
        )
    return None


def _hint(found: Difference) -> str:
    """What an edit by somebody else looks like, for whoever asks them."""
    same = next((change for change in found.changes if abs(change.delta) == abs(found.off)), None)
    if same is None:
        return ""
    if same.delta == found.off:
        return f" It comes to our change {same.batch} once more: perhaps another system takes the same sales."
    return f" It undoes our change {same.batch}: perhaps an older quantity was written over it."


def _forgotten(found: Difference) -> Judgement | None:
    """The entry has lost changes that it had confirmed: it names none, or an older one, and they are the difference.

    Who sets a quantity leaves our mark alone, so this is an older state of the whole entry, whoever it says changed it.
    """
    moving = [change for change in found.changes if change.delta]
    if not moving or moving[-1].batch == found.batch:
        return None
    names = [change.batch for change in moving]
    start = names.index(found.batch) + 1 if found.batch in names else 0
    missing = moving[start:]
    if found.off != -sum(change.delta for change in missing):
        return None
    lost = ", ".join(f"{change.batch} ({change.delta:+d})" for change in missing)
    return Judgement(Cause.LOST, f"The entry has forgotten changes that commercetools had confirmed: {lost}.")


def _last_change(found: Difference) -> Judgement | None:
    """The last change that the entry knows is ours, and the difference is that change: doubled, or undone."""
    last = next((change for change in reversed(found.changes) if change.delta), None)
    if last is None or last.batch != found.batch or not _is_since(found, last):
        return None
    if found.off == last.delta:
        return Judgement(
            Cause.DUPLICATED, f"Our change {last.batch} ({last.delta:+d}) is in the quantity twice."
        )
    if found.off == -last.delta:
        return Judgement(
            Cause.LOST, f"Our change {last.batch} ({last.delta:+d}) is named, and not in the quantity."
        )
    return None


def _is_since(found: Difference, last: Change) -> bool:
    """Whether the difference came with or after the last change, as far as is known; before it, others may have."""
    if last.after is None:
        return False
    if last.before is not None and last.after - last.before != last.delta:
        return True
    later = sum(sale.units for sale in found.sales if sale.at > last.at)
    return found.actual - last.after - later == found.off


def _told(found: Difference) -> Judgement | None:
    """Messages tell of changes that none of ours explains, and that come to the difference."""
    if not found.edits or sum(edit.after - edit.before for edit in found.edits) != found.off:
        return None
    told = ", ".join(f"{edit.before} to {edit.after}" for edit in found.edits)
    return Judgement(Cause.MANUAL_EDIT, f"commercetools tells of changes that are not ours: {told}.")


def _unexplained(found: Difference) -> Judgement:
    known = (
        "Messages tell of no change by others."
        if found.edits is not None
        else "The project keeps no Messages, which would tell of changes by others."
    )
    return Judgement(Cause.UNEXPLAINED, known)


def may_be_young(off: int, doubts: tuple[int, ...]) -> bool:
    """Whether a difference is what some of the orders come to of which nobody knows yet if they show.

    :param doubts: signed units of those orders, none of which is expected to show.
    """
    sums = {0}
    for units in doubts:
        sums |= {one + units for one in sums}
        if off in sums:
            return True
        if len(sums) > 10_000:
            # So many orders within a minute: whatever it is, it cannot be told now.
            return True
    return off in sums
