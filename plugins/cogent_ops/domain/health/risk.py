"""Units that may be sold twice while stock is late, and what kiosks are told less for it: pure arithmetic.

What was sold and has not reached commercetools is *known*, unit by unit, from the ledger. What kiosks have sold since
anybody read their orders is *expected*, from the rate at which they sold before. The two never speak of the same unit:
while orders are read there is nothing to expect, however late the rest is. Both are at risk.

What kiosks will sell until stock is in time again is not at risk yet, but will be: the web shop sells on as if it were
there. How long that takes nobody knows; if it takes as long again, kiosks sell as many again as are at risk now. So
that many may be *reserved* for the web shop.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogent_ops.domain.health.model import AtRisk
from cogent_ops.domain.rules import ProtectionRules
from cogent_ops.domain.stock import Place

#: A launch must not be averaged away: where more was sold in this time than in the hours before, its rate counts.
RECENT = timedelta(minutes=10)
#: What is protected is released when it is late by less than this part of what began it, so that it does not flap.
RELEASE_SHARE = 0.5
#: Clocks of the machines that work on a store differ by less.
SKEW = timedelta(seconds=10)


@dataclass(frozen=True)
class Unsent:
    """What commercetools lacks of a place, in signed units (two sold: -2).

    Counts that wait are left out: what one comes to depends on the entry at the moment when it is applied.

    :param waiting: sum of the changes that wait.
    :param batch: id of the batch that is under way; ``None``: none is.
    :param sending: what that batch comes to.
    :param oldest: since when the oldest of them is on its way.
    :param is_stuck: it was refused for good, which says nothing about other places.
    """

    place: Place
    oldest: datetime
    waiting: int = 0
    batch: str | None = None
    sending: int = 0
    is_stuck: bool = False

    def is_in(self, last_batch: str | None) -> bool:
        """Whether an entry that names this batch has the one under way, which is noted here only after the answer."""
        return self.batch is not None and self.batch == last_batch

    def missing(self, last_batch: str | None) -> int:
        """Units that are gone, and that an inventory entry still has; negative where it lacks some that came back.

        :param last_batch: the batch that the entry names.
        """
        return -(self.waiting + (0 if self.is_in(last_batch) else self.sending))

    def pending(self, last_batch: str | None = None) -> int:
        """The same, and nothing where units came back: kiosks are never told more than an entry has."""
        return max(0, self.missing(last_batch))


@dataclass(frozen=True)
class Settled:
    """The batch of ours that was applied to an entry last.

    :param at: when that was noted, which is after it took effect.
    :param units: what it came to, signed.
    """

    batch: str
    at: datetime
    units: int


@dataclass(frozen=True)
class Hold:
    """What is held back at a protected place.

    :param unsent: what its entry lacks at this moment; ``None``: nothing.
    :param besides: units that are expected or reserved.
    :param settled: what was applied to its entry last; ``None``: nothing ever was.
    :param is_ending: nothing is at risk any more, and its entry is read once more before it is released.
    """

    unsent: Unsent | None = None
    besides: int = 0
    settled: Settled | None = None
    is_ending: bool = False

    def units(self, last_batch: str | None, read_at: datetime | None = None) -> int:
        """Units to tell less than an entry has that names this batch.

        :param read_at: when reading the entry began; ``None``: so long ago that it has to be read again anyway.
        """
        if self.is_ending:
            return 0
        gone = 0 if self.unsent is None else self.unsent.missing(last_batch)
        if read_at is not None and self.is_outdated(last_batch, read_at) and self.settled is not None:
            gone -= self.settled.units
        return self.besides + max(0, gone)

    def is_outdated(self, last_batch: str | None, read_at: datetime) -> bool:
        """Whether an entry was perhaps read before what was applied last: then it has units that are gone.

        :param read_at: when its reading began.
        """
        applied = self.settled
        # One that came to nothing is not sent, so no entry names it. What names the one after it has it.
        if applied is None or not applied.units or applied.batch == last_batch:
            return False
        is_in = self.unsent is not None and self.unsent.is_in(last_batch)
        return not is_in and applied.at >= read_at - SKEW


@dataclass(frozen=True)
class Sold:
    """Units that kiosks have sold at a place in the hours before a moment, given back ones taken off.

    :param recent: those of the last :data:`RECENT`.
    """

    units: int
    recent: int

    def rate(self, rules: ProtectionRules) -> float:
        """Units an hour; never negative."""
        recent = min(RECENT / timedelta(hours=1), rules.rate_hours)
        return max(0.0, self.units / rules.rate_hours, self.recent / recent)


def whole(units: float) -> int:
    """The nearest number of units: to round up would close every place that sells now and then."""
    return math.floor(units + 0.5)


@dataclass(frozen=True)
class Risk:
    """Units of a place that may be sold twice.

    :param pending: gone, and commercetools does not know it.
    :param expected: probably gone, and nobody has heard of it.
    :param reserved: will probably be sold by kiosks before commercetools knows.
    :param age: how late.
    :param rate: units that kiosks sell there in an hour.
    """

    place: Place
    pending: int
    expected: int
    reserved: int
    age: timedelta
    rate: float

    @property
    def units(self) -> int:
        """Units at risk."""
        return self.pending + self.expected

    @property
    def buffer(self) -> int:
        """Units to tell kiosks less."""
        return self.units + self.reserved

    def at_risk(self, buffer: int, since: datetime) -> AtRisk:
        """As sync health says it.

        :param buffer: units that kiosks are told less at present.
        :param since: since when the oldest of the units is on its way.
        """
        return AtRisk(
            sku=self.place.sku,
            place=self.place.channel,
            pending=self.pending,
            age=self.age.total_seconds(),
            rate=self.rate,
            expected=self.expected,
            buffer=buffer,
            since=since,
        )


@dataclass(frozen=True)
class Lateness:
    """How late a link's stock is at a moment.

    :param sending: age of the oldest movement on its way, those apart that were refused for good.
    :param blind: time since somebody read the orders of its kiosks.
    """

    now: datetime
    sending: timedelta
    blind: timedelta

    @classmethod
    def of(cls, now: datetime, unsent: Iterable[Unsent], orders_read_at: datetime | None) -> Lateness:
        """By what is on its way.

        :param orders_read_at: ``None``: never, so there is no rate by which to expect anything either.
        """
        moving = min((one.oldest for one in unsent if not one.is_stuck), default=now)
        return cls(now, now - moving, timedelta() if orders_read_at is None else now - orders_read_at)


def _risk(
    place: Place,
    unsent: Unsent | None,
    last_batch: str | None,
    sold: Sold | None,
    blind: timedelta,
    age: timedelta,
    rules: ProtectionRules,
) -> Risk:
    """The risk of a place whose stock is late.

    :param blind: so long nobody has read orders, if that is too long.
    """
    pending = 0 if unsent is None else unsent.pending(last_batch)
    rate = 0.0 if sold is None else sold.rate(rules)
    expected = min(rules.most_units, whole(rate * (blind / timedelta(hours=1)) * rules.factor))
    reserved = min(rules.most_units - expected, whole((pending + expected) * rules.reserve))
    return Risk(place, pending, expected, reserved, age, rate)


def risks(
    late: Lateness,
    unsent: Mapping[Place, Unsent],
    sold: Mapping[Place, Sold],
    protected: Iterable[Place],
    entries: Mapping[Place, str],
    rules: ProtectionRules,
) -> dict[Place, Risk]:
    """The places with units at risk. When nothing is late there are none.

    One place is late by its own oldest unit, and every place is when the oldest of all is, or when nobody reads orders:
    what is sold then is known not to arrive soon.

    :param sold: what kiosks sold before orders were read last.
    :param protected: places that are protected already, and remain so for longer.
    :param entries: the batch that a place's entry named when it was read last, where that is still under way.
    """
    begins = timedelta(seconds=rules.after_seconds)
    known, is_blind = frozenset(protected), late.blind > begins
    found: dict[Place, Risk] = {}
    for place in {**dict.fromkeys(unsent), **dict.fromkeys(sold)}:
        one, limit = unsent.get(place), begins * RELEASE_SHARE if place in known else begins
        own = timedelta() if one is None else late.now - one.oldest
        if not (is_blind or max(own, late.sending) > limit):
            continue
        blind = late.blind if is_blind else timedelta()
        age = max(own, late.sending, blind)
        risk = _risk(place, one, entries.get(place), sold.get(place), blind, age, rules)
        if risk.units:
            found[place] = risk
    return found
