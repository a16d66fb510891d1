"""How the quantity of an inventory entry came about, change by change, and what of it nobody has told.

Our own changes and Messages say what the quantity was before and after; orders of the web shop only say what they
took, and their time says little within a few seconds. So the changes that know their quantities are put into the order
in which one ends where the next begins, and each order goes to where it makes the quantities fit. What is left over
between two quantities is a gap: units that moved, and nobody told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Protocol, TypeVar

#: So many orders at most are tried in all combinations around one quantity; more are taken by their time.
MOST_TRIED = 12


@dataclass(frozen=True)
class Change:
    """Something that changed a quantity, or may have.

    :param units: signed; ``None``: whatever leads to ``after``.
    :param before: units before it, where known; ``after`` likewise.
    :param lane: changes of one lane are in the right order by their time: ours, or those that Messages tell of.
    """

    id: str
    at: datetime
    units: int | None
    before: int | None = None
    after: int | None = None
    lane: str = ""

    @property
    def is_anchor(self) -> bool:
        """Whether it says what the quantity was."""
        return self.before is not None or self.after is not None


@dataclass(frozen=True)
class Reckoned:
    """A change, or a gap, with the quantity that it leads to.

    :param change: ``None``: nobody has told of it.
    :param since: of a gap: the quantity was still right then; ``None``: not known.
    """

    at: datetime
    units: int
    number: int
    change: Change | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Reckoning:
    """A quantity from its beginning.

    :param base: units before the first row; ``None``: no quantity is known.
    :param rows: in the order in which they happened.
    :param hidden: orders that the last quantity does not show yet.
    """

    base: int | None
    rows: tuple[Reckoned, ...] = ()
    hidden: tuple[Change, ...] = ()

    @property
    def number(self) -> int | None:
        """Units at the end."""
        return self.rows[-1].number if self.rows else self.base


class Message(Protocol):
    """What tells that a quantity changed."""

    @property
    def at(self) -> datetime:
        """When."""

    @property
    def before(self) -> int | None:
        """Units; ``None``: the entry was made."""

    @property
    def after(self) -> int | None:
        """Units; ``None``: it was deleted."""


_Told = TypeVar("_Told", bound=Message)


def own_message(ours: Change, told: Iterable[_Told], first: datetime, last: datetime) -> _Told | None:
    """The Message that tells of a change of ours: the same numbers; where those before it are not known, its units.

    :param told: between ``first`` and ``last`` it may be.
    """
    near = [
        (one, one.before, one.after)
        for one in told
        if first <= one.at <= last and one.before is not None and one.after is not None
    ]
    exact = (one for one, *numbers in near if numbers == [ours.before, ours.after])
    alike = (one for one, before, after in near if after - before == ours.units and ours.before is None)
    return next(exact, None) or next(alike, None)


def reckon(
    changes: Iterable[Change], now: Change | None, lag: timedelta, start: tuple[datetime, int] | None = None
) -> Reckoning:
    """Put changes in order.

    :param now: the quantity as read at the end, with ``before``; ``None``: it could not be read.
    :param lag: an order shows in the quantity so late at most, and clocks differ by less.
    :param start: the quantity before all of them, and when it was read; ``None``: it follows from the first one.
    """
    every = sorted(changes, key=lambda one: one.at)
    lanes: dict[str, list[Change]] = {}
    for one in every:
        if one.is_anchor:
            lanes.setdefault(one.lane, []).append(one)
    book = _Book(lag, [one for one in every if not one.is_anchor], start)
    while any(lanes.values()):
        book.anchor(_next(lanes, book))
    if now is not None:
        book.anchor(now, is_last=True)
    return book.closed(keeps=now is not None)


def _next(lanes: dict[str, list[Change]], book: _Book) -> Change:
    """Take the change that happened next: the earliest, unless another one of about that time fits exactly."""
    heads = sorted((lane[0] for lane in lanes.values() if lane), key=lambda one: one.at)
    close = [one for one in heads if one.at - heads[0].at <= book.lag]
    chosen = next((one for one in close if book.fits(one)), heads[0])
    lanes[chosen.lane].pop(0)
    return chosen


class _Book:
    """The reckoning as it goes on.

    :param orders: changes that know no quantity, the oldest first.
    """

    def __init__(
        self, lag: timedelta, orders: list[Change], start: tuple[datetime, int] | None = None
    ) -> None:
        self.lag, self.orders = lag, orders
        self.sure_at: datetime | None = None if start is None else start[0]
        self.base: int | None = None if start is None else start[1]
        self.number = self.base
        self.rows: list[Reckoned] = []

    def fits(self, anchor: Change) -> bool:
        """Whether a change begins where all before it ends."""
        before = _before(anchor)
        if before is None or self.number is None:
            return False
        return self.number + _sum(self._chosen(anchor, before)) == before

    def anchor(self, anchor: Change, *, is_last: bool = False) -> None:
        """Go on with a change that says what the quantity was."""
        before = _before(anchor)
        taken = self._chosen(anchor, before)
        if self.number is None:
            first = before if before is not None else (anchor.after or 0) - (anchor.units or 0)
            self.base = self.number = first - _sum(taken)
        for one in taken:
            self._add(one.at, one.units or 0, one)
        self.orders = [one for one in self.orders if one not in taken]
        if before is not None:
            self._gap(anchor.at, before - self._now)
        if not is_last:
            after = self._now + (anchor.units or 0) if anchor.after is None else anchor.after
            units = after - self._now if anchor.units is None else anchor.units
            self._add(anchor.at, units, anchor)
            self.sure_at = anchor.at
            self._gap(anchor.at, after - self._now)
        self.sure_at = anchor.at

    @property
    def _now(self) -> int:
        return self.number or 0

    def _add(self, at: datetime, units: int, change: Change | None, since: datetime | None = None) -> None:
        self.number = self._now + units
        self.rows.append(Reckoned(at, units, self.number, change, since))

    def _gap(self, at: datetime, units: int) -> None:
        if units:
            self._add(at, units, None, self.sure_at)

    def _chosen(self, anchor: Change, before: int | None) -> list[Change]:
        """Orders that the quantity before a change shows: by their time, unless another choice fits."""
        due = [one for one in self.orders if one.at < anchor.at - self.lag]
        near = [one for one in self.orders if abs(one.at - anchor.at) <= self.lag]
        by_time = [one for one in near if one.at <= anchor.at]
        if before is None or self.number is None:
            return due + by_time
        need = before - self.number - _sum(due)
        if _sum(by_time) == need or len(near) > MOST_TRIED:
            return due + by_time
        fitting = next((some for some in _choices(near, by_time) if _sum(some) == need), by_time)
        return due + fitting

    def closed(self, *, keeps: bool) -> Reckoning:
        """The end.

        :param keeps: the quantity at the end is known, so orders that are left do not show in it.
        """
        hidden = tuple(self.orders)
        if not keeps:
            hidden = ()
            if self.number is not None:
                for one in self.orders:
                    self._add(one.at, one.units or 0, one)
        return Reckoning(self.base, tuple(self.rows), hidden)


def _before(anchor: Change) -> int | None:
    """Units before a change, as far as they follow from what it says."""
    if anchor.before is not None or anchor.units is None or anchor.after is None:
        return anchor.before
    return anchor.after - anchor.units


def _sum(changes: Iterable[Change]) -> int:
    return sum(one.units or 0 for one in changes)


def _choices(near: Sequence[Change], by_time: Sequence[Change]) -> Iterator[list[Change]]:
    """All selections of some orders, those that differ least from the one by time first."""
    usual = {id(one) for one in by_time}
    for differing in range(1, len(near) + 1):
        for turned in combinations(near, differing):
            other = usual ^ {id(one) for one in turned}
            yield [one for one in near if id(one) in other]
