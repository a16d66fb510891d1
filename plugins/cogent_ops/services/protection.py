"""Protection while late: kiosks are told less of what is probably gone, and everything again once commercetools knows.

While a kiosk's sales reach commercetools late, the web shop sells what is gone, and kiosks go on selling what they are
told is there. The web shop asks commercetools, so nothing here reaches it; kiosks can give way. What they are told is
always *what the entries held when they were read, less what the ledger knows to be missing from it*. Both are in the
store, so less can be told at once, also while commercetools does not answer and without a request to it. More is told
only after the entries were read again, because between a batch that was just applied and an older reading nobody could
say which units are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import CountingStock
from cogent_ops.domain.health.model import AtRisk
from cogent_ops.domain.health.risk import Lateness, Risk, Sold, Unsent, risks
from cogent_ops.domain.stock import Place
from cogent_ops.services.beat import POLLED, WATCHED
from cogent_ops.services.counts import Counts
from cogent_ops.services.pipeline import batches
from cogent_ops.store import Store
from cogent_ops.store.availability import AT_ONCE
from cogent_ops.store.protection import Protected, Signs
from cogent_ops.store.stock import PLACES_PER_STATEMENT

#: Watermarks that say when kiosks' orders were read, or when there were none to read.
ORDERS_READ = (POLLED, WATCHED)


@dataclass(frozen=True)
class Refreshed(Counts):
    """What a look has changed, in places.

    :param begun: protected from now on.
    :param changed: with another buffer than before.
    :param ended: nothing is at risk any more; they are released once their entries were read.
    :param lowered: stock levels and flags of which kiosks should be told less.
    """

    begun: int = 0
    changed: int = 0
    ended: int = 0
    lowered: int = 0

    @property
    def is_news(self) -> bool:
        """Whether anything has changed."""
        return bool(self.begun or self.changed or self.ended)


class Protection:
    """The protection of one link. Keep one as long as a run lives: it remembers what kiosks sold.

    :param project: the commercetools project as its rate budget names it.
    """

    def __init__(self, config: LinkConfig, store: Store, project: str) -> None:
        self.config, self.store, self.project = config, store, project
        self.rules, self._link = config.protection, config.name
        self._judge = CountingStock(config.stock, None)
        self._sold: tuple[datetime, Mapping[Place, Sold]] | None = None

    @property
    def _limit(self) -> timedelta:
        return timedelta(seconds=self.rules.after_seconds)

    def at_risk(self, now: datetime) -> list[AtRisk]:
        """Units that may be sold twice by place, the most first; also while protection is off or does not run.

        :param now: our clock.
        :raises StoreUnavailable: when the store is out of reach.
        """
        signs = self._signs()
        if not (signs.is_protecting or signs.is_late(now, self._limit)):
            return []
        rows = self.store.protection.rows(self._link)
        unsent = self._unsent()
        found = self._risks(signs, unsent, rows, now, rates=True)
        listed = sorted(found.values(), key=lambda risk: (-risk.units, risk.place))
        return [
            risk.at_risk(
                rows[risk.place].buffer if risk.place in rows else 0,
                _since(risk, unsent.get(risk.place), signs, now),
            )
            for risk in listed
        ]

    def refresh(self, now: datetime) -> Refreshed:
        """Protect what has become late, and set or end what is protected. Cheap while nothing is late.

        :param now: our clock.
        :raises StoreUnavailable: when the store is out of reach; what is protected stays so.
        """
        signs = self._signs()
        is_on = self.rules.mode == "on"
        if not (signs.is_protecting or (is_on and signs.is_late(now, self._limit))):
            return Refreshed()
        rows = self.store.protection.rows(self._link)
        found = self._risks(signs, self._unsent(), rows, now, rates=False) if is_on else {}
        shown = self.store.availability.shown(
            self._link, sorted({place.sku for place in found if place not in rows})
        )
        rising = [
            risk
            for place, risk in found.items()
            if (_differs(risk, rows[place]) if place in rows else place.sku in shown)
        ]
        ended = [place for place in rows if place not in found]
        total = Refreshed()
        # All places of a SKU together: what kiosks are told of it follows from all of them.
        for part in batches(sorted(rising, key=lambda risk: risk.place), PLACES_PER_STATEMENT):
            total += self._protect(part, rows, now)
        for places in batches(sorted(ended), PLACES_PER_STATEMENT):
            total += self._end(places, rows, now)
        return total

    # What is at risk

    def _signs(self) -> Signs:
        return self.store.protection.signs(self._link, self.project, ORDERS_READ)

    def _unsent(self) -> dict[Place, Unsent]:
        with self.store.read() as conn:
            return self.store.protection.unsent(conn, self.project)

    def _risks(
        self,
        signs: Signs,
        unsent: Mapping[Place, Unsent],
        rows: Mapping[Place, Protected],
        now: datetime,
        *,
        rates: bool,
    ) -> dict[Place, Risk]:
        """What is at risk.

        :param rates: say how fast kiosks sell also where nothing depends on it.
        """
        late = Lateness.of(now, unsent.values(), signs.orders_read_at)
        is_blind = late.blind > self._limit
        sold = self._sold_until(now - late.blind if is_blind else now) if rates or is_blind else {}
        return risks(late, unsent, sold, rows, self._named(unsent), self.rules)

    def _sold_until(self, moment: datetime) -> Mapping[Place, Sold]:
        """What kiosks sold before a moment, which stays the same for as long as nobody reads orders."""
        if self._sold is None or self._sold[0] != moment:
            self._sold = moment, self.store.protection.sold(self._link, moment, self.rules.rate_hours)
        return self._sold[1]

    def _named(self, unsent: Mapping[Place, Unsent]) -> dict[Place, str]:
        """The batch that an entry named when it was read, of places that have one under way."""
        skus = sorted({place.sku for place, one in unsent.items() if one.batch is not None})
        with self.store.read() as conn:
            counted = self.store.availability.counted(conn, self._link, skus)
        return {
            Place(sku, channel): batch
            for sku, one in counted.items()
            for channel, batch in one.batches.items()
        }

    # Changing it

    def _protect(self, part: Collection[Risk], rows: Mapping[Place, Protected], now: datetime) -> Refreshed:
        available, places = self.store.availability, {risk.place for risk in part}
        less = {
            risk.place.sku for risk in part if risk.place in rows and risk.buffer < rows[risk.place].buffer
        }
        with self.store.begin() as conn:
            available.take_turn(conn, self._link)
            begun = self.store.protection.protect(conn, self._link, part, now)
            counted = available.counted(conn, self._link, {place.sku for place in places})
            holds = self.store.protection.holds(conn, self._link, self.project, counted)
            units = {
                place: hold.units(counted[place.sku].batches.get(place.channel))
                for place, hold in holds.items()
            }
            self.store.protection.in_force(conn, self._link, units, now)
            held: dict[str, dict[str, int]] = {}
            for place, less_ in units.items():
                held.setdefault(place.sku, {})[place.channel] = less_
            wanted = {sku: one.wanted(self._judge, held.get(sku, {})) for sku, one in counted.items()}
            lowered = available.lower(conn, self._link, wanted)
            unread = {place.sku for place in places if place.sku not in counted}
            available.read_by(conn, self._link, sorted(less | unread), AT_ONCE)
        return Refreshed(begun=len(begun), changed=len(places) - len(begun), lowered=lowered)

    def _end(self, places: Collection[Place], rows: Mapping[Place, Protected], now: datetime) -> Refreshed:
        """Have places read that are not at risk any more; those that no kiosk shows are released at once."""
        available, skus = self.store.availability, sorted({place.sku for place in places})
        shown = available.shown(self._link, skus)
        gone = [place for place in places if place.sku not in shown]
        ending = [place for place in places if place.sku in shown and not rows[place].is_ending]
        if not (gone or ending):
            return Refreshed()
        with self.store.begin() as conn:
            available.take_turn(conn, self._link)
            self.store.protection.release(conn, self._link, gone, now)
            self.store.protection.end(conn, self._link, ending, now)
            available.read_by(conn, self._link, sorted({place.sku for place in ending}), AT_ONCE)
        return Refreshed(ended=len(gone) + len(ending))


def _differs(risk: Risk, row: Protected) -> bool:
    now = (risk.pending, risk.expected, risk.reserved)
    return row.is_ending or now != (row.pending, row.expected, row.reserved)


def _since(risk: Risk, unsent: Unsent | None, signs: Signs, now: datetime) -> datetime:
    """Since when the oldest of the units is on its way."""
    known = None if unsent is None else unsent.oldest
    unread = signs.orders_read_at if risk.expected else None
    return min((moment for moment in (known, unread) if moment is not None), default=now)
