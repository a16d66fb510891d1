"""What became of kiosk orders and of units, store by store and hour by hour; for reading only.

Two things are said of each order, by tables that are written apart: where it stands, and what it did to stock. Orders
and their effects on one side and movements on the other are brought together here in bulk, in a handful of statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, case, exists, func, select

from cogent_ops.domain.health.accounting import MovedUnits, SeenOrder
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.stock import MovementState, Source
from cogent_ops.store.engine import Database
from cogent_ops.store.orders import is_stranded
from cogent_ops.store.schema import kiosk_order, movement, order_capture, order_effect
from cogent_ops.store.sql import chunks, hour_of

_M, _C, _K, _E = movement.c, order_capture.c, kiosk_order.c, order_effect.c


@dataclass(frozen=True)
class Judged:
    """What it takes to judge one order: all that is kept of it.

    :param is_stranded: it stands where it is for no reason.
    :param effects: signed units by its own record, of all places together.
    """

    order_id: str
    status: OrderStatus
    content: Mapping[str, Any]
    edits: Mapping[str, str]
    is_stranded: bool
    effects: tuple[int, ...]


class Accounts:
    """Accounts for all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def orders(self, link: str, since: datetime) -> list[SeenOrder]:
        """Kiosk orders that were placed since a moment."""
        with self._database.read() as conn:
            stranded = is_stranded(self._database.epoch(conn))
            hour = hour_of(conn, _C.ordered_at)
            own = (_C.order_id, hour, _C.place, _C.state, _C.status, _C.units, stranded)
            joined = order_capture.outerjoin(
                order_effect, and_(_E.link == _C.link, _E.order_id == _C.order_id)
            )
            query = (
                select(*own, func.min(_E.channel), func.coalesce(func.sum(_E.quantity), 0))
                .select_from(joined)
                .where(_C.link == link, _C.ordered_at >= since)
                .group_by(
                    _C.order_id, _C.ordered_at, *_columns("place", "state", "status", "units"), *_JUDGED
                )
            )
            found = [
                SeenOrder(
                    order_id=order_id,
                    hour=_hour(text),
                    place=place,
                    channel=channel,
                    state=state,
                    is_stranded=bool(is_lost),
                    status=OrderStatus(status),
                    units=units,
                    effect=int(effect),
                )
                for order_id, text, place, state, status, units, is_lost, channel, effect in conn.execute(
                    query
                )
            ]
            has_row = exists().where(_C.link == _K.link, _C.order_id == _K.order_id)
            rowless = select(_K.order_id, hour_of(conn, _K.modified_at), _K.status).where(
                _K.link == link, _K.modified_at >= since, ~has_row
            )
            return found + [
                SeenOrder(order_id, _hour(text), "", None, "", True, OrderStatus(status), 0, 0)
                for order_id, text, status in conn.execute(rowless)
            ]

    def moved_by_order(self, link: str, since: datetime) -> dict[str, tuple[int, int]]:
        """Signed units by the order's ULID that its movements since a moment come to: of all, and of the live ones."""
        is_live = _M.state != MovementState.EXCLUDED
        query = (
            select(_M.reference, func.sum(_M.delta), func.sum(case((is_live, _M.delta), else_=0)))
            .where(_M.link == link, _M.occurred_at >= since, _M.source == Source.KIOSK_ORDER)
            .group_by(_M.reference)
        )
        with self._database.read() as conn:
            return {ulid: (int(units), int(live)) for ulid, units, live in conn.execute(query)}

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
                MovedUnits(_hour(text), channel, MovementState(state), int(units))
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
                    select(_K.order_id, _K.status, _K.content, _C.edits, _C.order_id.is_(None), stranded)
                    .select_from(joined)
                    .where(_K.link == link, _K.order_id.in_(chunk))
                )
                for order_id, status, content, edits, is_rowless, is_lost in conn.execute(query):
                    if content:
                        found.append(
                            Judged(
                                order_id=order_id,
                                status=OrderStatus(status),
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


def _columns(*names: str) -> list[Any]:
    return [_C[name] for name in names]


#: What :func:`is_stranded` reads.
_JUDGED = _columns("lease_until", "due_at", "reason")


def _hour(text: str) -> datetime:
    """What :func:`hour_of` gives, as a moment."""
    return datetime.fromisoformat(f"{text}:00:00").replace(tzinfo=UTC)
