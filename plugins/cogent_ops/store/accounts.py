"""What became of kiosk orders and of units, store by store and hour by hour; for reading only.

Two things are said of each order, by tables that are written apart: what it did to stock by its own record, and what
its movements come to. The database compares them; only orders that seem wrong leave it one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, and_, case, exists, func, or_, select

from cogent_ops.domain.health.accounting import MovedUnits, SeenOrders
from cogent_ops.domain.rules import MovementRules, OrderStatus
from cogent_ops.domain.stock import MovementState, Source
from cogent_ops.store.engine import Database
from cogent_ops.store.orders import is_stranded
from cogent_ops.store.schema import kiosk_order, movement, order_capture, order_effect
from cogent_ops.store.sql import as_moment, chunks, hour_of

_M, _C, _K, _E = movement.c, order_capture.c, kiosk_order.c, order_effect.c


@dataclass(frozen=True)
class Judged:
    """What it takes to judge one order: all that is kept of it.

    :param is_stranded: it stands where it is for no reason.
    :param effects: signed units by its own record, of all places together.
    """

    order_id: str
    content: Mapping[str, Any]
    edits: Mapping[str, str]
    is_stranded: bool
    effects: tuple[int, ...]


class Accounts:
    """Accounts for all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def orders(self, link: str, since: datetime, rules: MovementRules) -> list[SeenOrders]:
        """Kiosk orders that were placed since a moment; those that deserve a closer look one by one.

        :param rules: what orders do to stock.
        """
        with self._database.read() as conn:
            seen = _seen(link, since, hour_of(conn, _C.ordered_at), is_stranded(self._database.epoch(conn)))
            s = seen.c
            suspect = or_(s.is_stranded, ~s.effect.between(*_both(s)), s.effect != _should(s, rules))
            alone = case((suspect, s.order_id))
            alike = (s.hour, s.place, s.channel, s.state, alone)
            query = select(*alike, func.count(), func.max(s.order_id)).group_by(*alike)
            found = [
                SeenOrders(as_moment(hour), place, channel, state, count, example, suspect=wrong is not None)
                for hour, place, channel, state, wrong, count, example in conn.execute(query)
            ]
            has_row = exists().where(_C.link == _K.link, _C.order_id == _K.order_id)
            rowless = select(_K.order_id, hour_of(conn, _K.modified_at)).where(
                _K.link == link, _K.modified_at >= since, ~has_row
            )
            return found + [
                SeenOrders(as_moment(hour), "", None, "", 1, order_id, suspect=True)
                for order_id, hour in conn.execute(rowless)
            ]

    def units(self, link: str, since: datetime) -> list[MovedUnits]:
        """Units that moved since a moment, by hour, Channel and state. A count moves nothing by itself."""
        with self._database.read() as conn:
            hour = hour_of(conn, _M.occurred_at)
            query = (
                select(hour, _M.channel, _M.state, func.sum(func.abs(_M.delta)))
                .where(_M.link == link, _M.occurred_at >= since, _M.delta.is_not(None))
                .group_by(hour, _M.channel, _M.state)
            )
            return [
                MovedUnits(as_moment(text), channel, MovementState(state), int(units))
                for text, channel, state, units in conn.execute(query)
            ]

    def judged(self, link: str, order_ids: Iterable[str]) -> list[Judged]:
        """Some orders with all that is kept of them; those of which the content was purged are left out."""
        found: list[Judged] = []
        with self._database.read() as conn:
            stranded = is_stranded(self._database.epoch(conn))
            joined = kiosk_order.outerjoin(
                order_capture, and_(_C.link == _K.link, _C.order_id == _K.order_id)
            )
            for chunk in chunks(sorted(set(order_ids))):
                sums: dict[str, list[int]] = {}
                effects = select(_E.order_id, _E.quantity).where(_E.link == link, _E.order_id.in_(chunk))
                for order_id, quantity in conn.execute(effects):
                    sums.setdefault(order_id, []).append(quantity)
                query = (
                    select(_K.order_id, _K.content, _C.edits, _C.order_id.is_(None), stranded)
                    .select_from(joined)
                    .where(_K.link == link, _K.order_id.in_(chunk))
                )
                for order_id, content, edits, is_rowless, is_lost in conn.execute(query):
                    if content:
                        found.append(
                            Judged(
                                order_id=order_id,
                                content=content,
                                edits=edits or {},
                                is_stranded=bool(is_rowless or is_lost),
                                effects=tuple(sums.get(order_id, ())),
                            )
                        )
        return found

    def samples(self, link: str, order_ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Contents of some orders by id."""
        found: dict[str, Mapping[str, Any]] = {}
        with self._database.read() as conn:
            for chunk in chunks(order_ids):
                query = select(_K.order_id, _K.content).where(_K.link == link, _K.order_id.in_(chunk))
                found.update((order_id, content) for order_id, content in conn.execute(query))
        return found


def _seen(link: str, since: datetime, hour: ColumnElement[str], stranded: ColumnElement[bool]) -> CTE:
    """Orders with what they did to stock by their own record, and what their movements come to."""
    effects = and_(_E.link == _C.link, _E.order_id == _C.order_id)
    # As in order_movement_id: their keys begin with the order's id, and "0" follows "/".
    moved = and_(
        _M.link == _C.link,
        _M.source == Source.KIOSK_ORDER,
        _M.source_id > _C.order_id + "/",
        _M.source_id < _C.order_id + "0",
    )
    live = case((_M.state != MovementState.EXCLUDED, _M.delta), else_=0)

    def summed(what: ColumnElement[Any], where: ColumnElement[bool]) -> ColumnElement[int]:
        return (
            select(func.coalesce(func.sum(what), 0)).where(where).correlate(order_capture).scalar_subquery()
        )

    channel = select(func.min(_E.channel)).where(effects).correlate(order_capture).scalar_subquery()
    return (
        select(
            _C.order_id,
            hour.label("hour"),
            _C.place,
            _C.state,
            _C.status,
            _C.units,
            stranded.label("is_stranded"),
            channel.label("channel"),
            summed(_E.quantity, effects).label("effect"),
            summed(_M.delta, moved).label("moved"),
            summed(live, moved).label("live"),
        )
        .where(_C.link == link, _C.ordered_at >= since)
        # Without it SQLite would look up the sums anew for each use of them.
        .limit(10**9)
        .cte("seen")
    )


def _both(s: Any) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """What movements come to, the less and the more: an excluded one counts where a count has seen it, else not."""
    return case((s.moved < s.live, s.moved), else_=s.live), case((s.moved < s.live, s.live), else_=s.moved)


def _should(s: Any, rules: MovementRules) -> ColumnElement[int]:
    """What an order should have done to stock, by its state; where that leaves things as they are, what it has done."""
    taken, kept = -s.units, case((s.effect == 0, 0), else_=-s.units)
    gone = (*rules.give_back, OrderStatus.DRAFT_BASKET)
    # An order without any record has no place. First met after a partial refund it counts as sold.
    is_met_late = and_(s.status == OrderStatus.PARTIALLY_REFUNDED, s.channel.is_(None))
    return case(
        (s.status.in_(rules.deduct), taken), (s.status.in_(gone), 0), (is_met_late, taken), else_=kept
    )
