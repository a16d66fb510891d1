"""When orders came from which store, so that it shows when they stop coming."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, select

from cogent_ops.domain.health.silence import Arrivals
from cogent_ops.domain.order_states import EXCLUDED_DRAFT, EXCLUDED_INTERNAL
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import order_capture
from cogent_ops.store.sql import as_moment, hour_of

_C = order_capture.c

#: Whether a store sold anything before is looked up so far back.
BEFORE = timedelta(weeks=13)
#: A store whose first order comes so soon has very likely sold something before, too.
SOON = timedelta(days=1)


class OrderArrivals:
    """When the orders of all links came, by store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_store(self, link: str, since: datetime) -> dict[str, Arrivals]:
        """What came from each store since a moment; baskets that nobody paid for are no orders.

        :return: by the store's name, as orders carry it. A store without any order in that time is left out.
        """
        sold = and_(_C.link == link, _C.place != "", _IS_ORDER)
        with self._database.read() as conn:
            hour = hour_of(conn, _C.ordered_at)
            counted = (
                select(_C.place, hour, func.count(), func.min(_C.ordered_at), func.max(_C.ordered_at))
                .where(sold, _C.ordered_at >= since)
                .group_by(_C.place, hour)
            )
            hours: dict[str, dict[datetime, int]] = defaultdict(dict)
            firsts: dict[str, datetime] = {}
            lasts: dict[str, datetime] = {}
            for place, text, count, first, last in conn.execute(counted):
                hours[place][as_moment(text)] = count
                firsts[place] = min(first, firsts.get(place, first))
                lasts[place] = max(last, lasts.get(place, last))
            older = self._older(conn, link, [one for one in firsts if firsts[one] > since + SOON], since)
        return {
            place: Arrivals(some, first=since if place in older else firsts[place], last=lasts[place])
            for place, some in hours.items()
        }

    @staticmethod
    def _older(conn: Connection, link: str, places: Collection[str], since: datetime) -> set[str]:
        """Those of the stores that had sold something before a moment: their quiet weeks count as such."""
        window = (_C.link == link, _C.ordered_at < since, _C.ordered_at >= since - BEFORE)
        found = set()
        for place in places:
            one = select(_C.order_id).where(*window, _C.place == place, _IS_ORDER).limit(1)
            if conn.execute(one).first() is not None:
                found.add(place)
        return found


#: ``reason`` may be empty: what is compared with nothing is neither true nor false.
_IS_ORDER = func.coalesce(_C.reason, "").not_in((EXCLUDED_DRAFT, EXCLUDED_INTERNAL))
