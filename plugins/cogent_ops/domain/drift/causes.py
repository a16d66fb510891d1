"""Why an inventory entry does not say what it should: judged by what is known of it, never guessed.

More than one thing may have gone wrong with an entry since the night before. So everything that is known to have
changed it is put in order (:mod:`cogent_ops.domain.reckoning`), and each step that should not be there is judged by
where it stands: who made it, and what stood before it. Whoever changed an entry by hand meant it, so what was wrong
before that is settled by it, as by a count; and only what points to ourselves is called lost or duplicated. Where one
step fits nothing, all steps since the last edit stay unexplained together, and a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogent_ops.domain.drift.model import OURS, Cause
from cogent_ops.domain.reckoning import Change as Step
from cogent_ops.domain.reckoning import Reckoned, reckon
from cogent_ops.domain.stock import Place

_US, _OTHERS = "ours", "told"


@dataclass(frozen=True)
class Change:
    """A change of ours that is, or was, in the entry.

    :param batch: its id, which the entry names while it is the last one.
    :param at: when commercetools confirmed it, else when it was made.
    :param before: units before it, where known; ``after`` likewise.
    :param is_told: a Message tells of it.
    :param mended: units in it that mend, for another link, what may have gone wrong since the base.
    """

    batch: str
    delta: int
    at: datetime
    before: int | None = None
    after: int | None = None
    is_told: bool = False
    mended: int = 0


@dataclass(frozen=True)
class Sale:
    """What an order of the web shop took, in signed units."""

    order: str
    units: int
    at: datetime


@dataclass(frozen=True)
class Edit:
    """A change of quantity, of which a Message told, and that is none of the ledger's.

    :param by: API client that made it; ``None``: the Message does not say.
    """

    before: int
    after: int
    at: datetime
    by: str | None = None

    @property
    def units(self) -> int:
        """Signed."""
        return self.after - self.before


@dataclass(frozen=True)
class Difference:
    """An entry that does not say what it should.

    :param base: units that the expectation begins with, of the snapshot before or of the last count, as of ``base_at``.
    :param read_at: when the entry was read.
    :param batch: our change that the entry names; ``None``: none.
    :param us: our own API clients; links that share a project may have several.
    :param is_replaced: another entry stood here at the snapshot before.
    :param changed_by: API client that changed it last, where commercetools says; ``changed_at``: when.
    :param is_touched: it has another version than after our last change, and no order may have done that; ``None``:
        not known.
    :param changes: ours since the base, the oldest first.
    :param edits: since the base; ``None``: the project keeps no Messages, so nobody knows.
    :param lag: clocks differ by less.
    """

    place: Place
    base: int
    base_at: datetime
    expected: int
    actual: int
    read_at: datetime
    batch: str | None
    us: frozenset[str]
    changed_by: str | None = None
    changed_at: datetime | None = None
    is_replaced: bool = False
    is_touched: bool | None = None
    changes: tuple[Change, ...] = ()
    sales: tuple[Sale, ...] = ()
    edits: tuple[Edit, ...] | None = None
    lag: timedelta = timedelta(seconds=60)

    @property
    def off(self) -> int:
        """Units that are there and should not be; negative: that are missing."""
        return self.actual - self.expected


@dataclass(frozen=True)
class Judgement:
    """A cause, what points to it as sentences, and the units that it accounts for."""

    cause: Cause
    why: str
    units: int


def judge(found: Difference) -> tuple[Judgement, ...]:
    """The causes of a difference, one each; together their units are the difference."""
    whole = _replaced(found) or _forgotten(found)
    if whole is not None:
        return (whole,)
    steps = _steps(found)
    edited = max((at for at, one in enumerate(steps) if one.cause is Cause.MANUAL_EDIT), default=-1)
    parts = [_merged(steps[: edited + 1], Cause.MANUAL_EDIT), *_ours(steps[edited + 1 :])]
    judged = tuple(one for one in parts if one.units)
    return judged or (Judgement(Cause.UNEXPLAINED, _nothing_told(found), found.off),)


def _replaced(found: Difference) -> Judgement | None:
    if not found.is_replaced:
        return None
    return Judgement(Cause.MANUAL_EDIT, "The entry was deleted and made anew.", found.off)


def _forgotten(found: Difference) -> Judgement | None:
    """The entry has lost changes that it had confirmed: it names none, or an older one, and they are the difference.

    Who sets a quantity leaves our mark alone, so this is an older state of the whole entry, whoever it says changed it.
    """
    missing = _missing(found)
    if not missing or found.off != -sum(change.delta for change in missing):
        return None
    return Judgement(Cause.LOST, _lost(missing), found.off)


def _missing(found: Difference) -> list[Change]:
    """Changes that are younger than the one that the entry names."""
    moving = [change for change in found.changes if change.delta]
    names = [change.batch for change in moving]
    return moving[names.index(found.batch) + 1 :] if found.batch in names else moving


def _lost(missing: Iterable[Change]) -> str:
    lost = ", ".join(f"{change.batch} ({change.delta:+d})" for change in missing)
    return f"The entry has forgotten changes that commercetools had confirmed: {lost}."


# Step by step


def _steps(found: Difference) -> list[Judgement]:
    """Each step that should not be there, in order; what another link has mended meanwhile is none."""
    ours = {change.batch: change for change in found.changes}
    told = {f"{_OTHERS}/{at}": edit for at, edit in enumerate(found.edits or ())}
    before: list[Change] = []
    steps: list[Judgement] = []
    rows = _rows(found, told)
    anchors = (at for at, row in enumerate(rows) if row.change is not None and row.change.is_anchor)
    last = max(anchors, default=-1)
    for at, row in enumerate(rows):
        change = ours.get(row.change.id) if row.change else None
        if change is not None:
            before += [change] if change.delta else []
            _mend(steps, change)
        elif row.change is None:
            steps.append(_gap(found, row.units, before, _following(rows[at:], ours), is_last=at > last))
        elif row.change.id in told:
            steps.append(_edit(found, told[row.change.id], before))
    return steps


def _mend(steps: list[Judgement], change: Change) -> None:
    """Take out the step that a change has mended for another link."""
    if not change.mended:
        return
    same = next((one for one in steps if one.units == -change.mended), None)
    if same is not None:
        steps.remove(same)
    else:
        why = f"Another link has mended {change.mended:+d}, and what was wrong is not to be seen here."
        steps.append(Judgement(Cause.UNEXPLAINED, why, change.mended))


def _rows(found: Difference, told: dict[str, Edit]) -> tuple[Reckoned, ...]:
    steps = [Step(one.batch, one.at, one.delta, one.before, one.after, _US) for one in found.changes]
    steps += [Step(id_, one.at, one.units, one.before, one.after, _OTHERS) for id_, one in told.items()]
    steps += [Step(f"order/{at}", one.at, one.units) for at, one in enumerate(found.sales)]
    now = Step("now", found.read_at, 0, found.actual, found.actual)
    return reckon(steps, now, found.lag, (found.base_at, found.base)).rows


def _following(rows: Sequence[Reckoned], ours: dict[str, Change]) -> Change | None:
    """Our next change."""
    return next((ours[row.change.id] for row in rows if row.change and row.change.id in ours), None)


def _edit(found: Difference, edit: Edit, before: Sequence[Change]) -> Judgement:
    """A change of which a Message tells."""
    told = f"commercetools tells of a change that is not in the ledger: {edit.before} to {edit.after}"
    if edit.by not in found.us:
        by = f" by the API client '{edit.by}'" if edit.by else ""
        return Judgement(Cause.MANUAL_EDIT, f"{told}{by}.{_hint(edit.units, before)}", edit.units)
    same = next((change for change in reversed(before) if change.delta == edit.units), None)
    if same is not None:
        return Judgement(Cause.DUPLICATED, _twice(same), edit.units)
    return Judgement(Cause.UNEXPLAINED, f"{told}, by our own API client.", edit.units)


def _gap(
    found: Difference, units: int, before: Sequence[Change], next_: Change | None, *, is_last: bool
) -> Judgement:
    """Units that moved, and no Message tells.

    :param before: our changes before it, ``next_``: the one after it.
    :param is_last: nothing that is known to have changed the entry came after it, but orders.
    """
    if is_last:
        missing = _missing(found)
        if missing and units == -sum(change.delta for change in missing):
            # An older state of the whole entry, whoever it says changed it.
            return Judgement(Cause.LOST, _lost(missing), units)
        by = _last_writer(found, before)
        if by:
            return Judgement(Cause.MANUAL_EDIT, f"{by}{_hint(units, before)}", units)
        return _after_our_last(found, units, before)
    undone = _undone(units, before)
    if undone and next_ is not None and next_.is_told and all(one.is_told for one in undone):
        return Judgement(Cause.LOST, f"{_lost(undone)} Messages tell of nobody who changed it back.", units)
    return Judgement(Cause.UNEXPLAINED, f"{_nothing_told(found)}{_hint(units, before)}", units)


def _last_writer(found: Difference, before: Sequence[Change]) -> str:
    """Who else changed the entry after everything that we know of; empty: nobody, as far as is known."""
    if found.changed_by is not None:
        is_ours = found.changed_by in found.us
        return "" if is_ours else f"The API client '{found.changed_by}' changed it last."
    return "It was changed after our last change, and not by us." if found.is_touched else ""


def _after_our_last(found: Difference, units: int, before: Sequence[Change]) -> Judgement:
    """The last change that the entry knows is ours, and the step is that change: doubled, or undone."""
    last = before[-1] if before else None
    if last is not None and last.batch == found.batch and last.after is not None:
        if units == last.delta:
            return Judgement(Cause.DUPLICATED, _twice(last), units)
        if units == -last.delta:
            why = f"Our change {last.batch} ({last.delta:+d}) is named, and not in the quantity."
            return Judgement(Cause.LOST, why, units)
    return Judgement(Cause.UNEXPLAINED, _nothing_told(found), units)


def _undone(units: int, before: Sequence[Change]) -> list[Change]:
    """Our latest changes that the step takes back, the oldest first; none: it does not."""
    total = 0
    for at in range(len(before) - 1, -1, -1):
        total += before[at].delta
        if units == -total:
            return list(before[at:])
    return []


def _twice(change: Change) -> str:
    return f"Our change {change.batch} ({change.delta:+d}) is in the quantity twice."


def _hint(units: int, before: Sequence[Change]) -> str:
    """What a step by somebody else looks like, for whoever asks them."""
    same = next((change for change in reversed(before) if abs(change.delta) == abs(units)), None)
    if same is None:
        return ""
    if same.delta == units:
        return f" It comes to our change {same.batch} once more: perhaps another system takes the same sales."
    return f" It undoes our change {same.batch}: perhaps an older quantity was written over it."


def _nothing_told(found: Difference) -> str:
    if found.edits is None:
        return "The project keeps no Messages, which would tell of changes by others."
    return (
        "Messages tell of no change by others." if not found.edits else "Messages do not tell of all of it."
    )


# Together


def _ours(steps: Sequence[Judgement]) -> list[Judgement]:
    """What was not settled by an edit: one cause, because it is mended at once or not at all."""
    if not steps:
        return []
    if any(one.cause not in OURS for one in steps):
        return [_merged(steps, Cause.UNEXPLAINED)]
    largest = max(steps, key=lambda one: abs(one.units))
    return [_merged(steps, largest.cause)]


def _merged(steps: Sequence[Judgement], cause: Cause) -> Judgement:
    whys = dict.fromkeys(one.why for one in steps)
    return Judgement(cause, " ".join(whys), sum(one.units for one in steps))


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
