"""What the ledger of stock says has happened and is under way, read in bulk for the nightly comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, literal, or_, select, tuple_

from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.stock import MovementState, Place, Source
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import kiosk_order, movement, order_effect, stock_batch, stock_position
from cogent_ops.store.sql import chunks, pages
from cogent_ops.store.stock import PLACES_PER_STATEMENT, Position, StoredOrder, corrects

_M, _B, _P, _O, _E = movement.c, stock_batch.c, stock_position.c, kiosk_order.c, order_effect.c
#: States of movements that commercetools does not have yet.
_OPEN = (MovementState.WAITING, MovementState.BATCHED, MovementState.REVIEW)


@dataclass(frozen=True)
class PastBatch:
    """A change of an inventory entry that was sent, or is about to be.

    :param delta: signed units; ``None``: it was not aimed yet, so nothing can have been sent.
    :param counted: units of the count that it holds; ``None``: none.
    :param changes: sum of the changes that it holds beside a count.
    """

    id: str
    place: Place
    delta: int | None
    created_at: datetime
    settled_at: datetime | None
    before: int | None
    after: int | None
    counted: int | None
    changes: int


@dataclass(frozen=True)
class OpenMovements:
    """Movements of a place that commercetools does not have yet, of one state and reason.

    :param state: ``waiting``, ``batched``, ``parked`` or ``review``.
    :param units: sum of the changes among them.
    :param reason: why they are in review, or were refused.
    """

    link: str
    place: Place
    state: str
    reason: str
    movements: int
    units: int
    oldest: datetime


@dataclass(frozen=True)
class Unmoved:
    """What an order did to a place by its own record, and what its movements come to instead.

    :param at: when it did that: the order's own time, unless it has been changed since.
    """

    order_id: str
    place: Place
    recorded: int
    moved: int
    at: datetime


@dataclass(frozen=True)
class Mended:
    """Units in a batch that mend what a night has found.

    :param found_at: when that night's snapshot began.
    """

    batch: str
    place: Place
    units: int
    found_at: datetime


@dataclass(frozen=True)
class Heal:
    """What has become of a movement that mends something."""

    state: str
    reason: str | None
    settled_at: datetime | None


class StockHistory:
    """The ledger of all links, for reading only. No transaction stays open between pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def batches(self, project: str, since: datetime) -> Iterator[PastBatch]:
        """Batches that are unfinished or were settled since a moment."""
        recent = and_(_B.project == project, or_(_B.settled_at.is_(None), _B.settled_at >= since))
        counts = self._counts(recent)
        for row in pages(self._database, select(stock_batch).where(recent), _B.id):
            counted, changes = counts.get(row.id, (None, 0))
            yield PastBatch(
                row.id,
                Place(row.sku, row.channel),
                row.delta,
                row.created_at,
                row.settled_at,
                row.quantity_before,
                row.quantity_after,
                counted,
                changes,
            )

    def _counts(self, recent: ColumnElement[bool]) -> dict[str, tuple[int | None, int]]:
        """Of batches that hold a count: the count that decided, and the sum of the changes beside it."""
        counted = select(_M.batch_id).where(
            _M.counted.is_not(None), _M.batch_id.in_(select(_B.id).where(recent))
        )
        held = select(_M.batch_id, _M.counted, _M.delta).where(
            _M.batch_id.in_(counted), _M.state != MovementState.EXCLUDED
        )
        found: dict[str, tuple[int | None, int]] = {}
        with self._database.read() as conn:
            for batch_id, count, delta in conn.execute(held):
                before = found.get(batch_id, (None, 0))
                found[batch_id] = (before[0] if count is None else count, before[1] + (delta or 0))
        return found

    def open(self, project: str) -> list[OpenMovements]:
        """What commercetools does not have yet, the oldest first."""
        state = case((_B.state == "parked", literal("parked")), else_=_M.state)
        reason = func.coalesce(_M.reason, _B.error, "")
        query = (
            select(
                _M.link,
                _M.sku,
                _M.channel,
                state,
                reason,
                func.count(),
                func.sum(_M.delta),
                func.min(_M.recorded_at),
            )
            .select_from(movement.outerjoin(stock_batch, _M.batch_id == _B.id))
            .where(_M.project == project, _M.state.in_(_OPEN))
            .group_by(_M.link, _M.sku, _M.channel, state, reason)
            .order_by(func.min(_M.recorded_at), _M.sku, _M.channel)
        )
        with self._database.read() as conn:
            return [
                OpenMovements(link, Place(sku, channel), str(state_), why, count, int(units or 0), oldest)
                for link, sku, channel, state_, why, count, units, oldest in conn.execute(query)
            ]

    def positions(self, project: str) -> Iterator[Position]:
        """What commercetools said last of every entry that was ever moved."""
        query = select(stock_position).where(_P.project == project)
        for row in pages(self._database, query, _P.project, _P.sku, _P.channel):
            yield Position(
                Place(row.sku, row.channel), row.entry_id, row.version, row.on_stock, row.available
            )

    # Orders

    def unmoved(self, link: str, since: datetime) -> list[Unmoved]:
        """Orders changed since a moment whose recorded effect is not what their movements come to."""
        changed = select(_O.order_id).where(_O.link == link, _O.modified_at >= since)
        with self._database.read() as conn:
            ids = conn.execute(changed).scalars().all()
        return self.unmoved_among(link, ids)

    def unmoved_among(self, link: str, order_ids: Iterable[str]) -> list[Unmoved]:
        """Those of the orders whose recorded effect is not what their movements come to."""
        with self._database.read() as conn:
            return [
                one for chunk in chunks(sorted(set(order_ids))) for one in _unmoved_twice(conn, link, chunk)
            ]

    def without_effect(
        self, link: str, since: datetime, statuses: Sequence[OrderStatus]
    ) -> list[StoredOrder]:
        """Orders in these states, changed since a moment, that have done nothing to stock."""
        effect = exists().where(_E.link == _O.link, _E.order_id == _O.order_id)
        query = select(kiosk_order).where(
            _O.link == link, _O.modified_at >= since, _O.status.in_(statuses), ~effect
        )
        with self._database.read() as conn:
            return [
                StoredOrder(row.order_id, row.status, row.modified_at, row.content, row.hash, row.recheck)
                for row in conn.execute(query.order_by(_O.order_id))
            ]

    # Heals

    def heals(self, link: str, source_ids: Iterable[str]) -> dict[str, Heal]:
        """Movements that mend something, by their idempotency key."""
        found: dict[str, Heal] = {}
        with self._database.read() as conn:
            for chunk in chunks(source_ids):
                query = select(_M.source_id, _M.state, _M.reason, _M.settled_at).where(
                    _M.link == link, _M.source == Source.HEAL, _M.source_id.in_(chunk)
                )
                for source_id, *said in conn.execute(query):
                    found[source_id] = Heal(*said)
        return found

    def mended(self, project: str, since: datetime, link: str) -> list[Mended]:
        """What other links have mended in batches that are unfinished or were settled since a moment."""
        recent = or_(_B.settled_at.is_(None), _B.settled_at >= since)
        query = (
            select(_B.id, _M.sku, _M.channel, func.sum(_M.delta), func.max(_M.occurred_at))
            .select_from(stock_batch.join(movement, _M.batch_id == _B.id))
            .where(_B.project == project, recent, _M.source == Source.HEAL, _M.link != link)
            .where(_M.state != MovementState.EXCLUDED)
            .group_by(_B.id, _M.sku, _M.channel, _M.link)
            .order_by(_B.id, _M.link)
        )
        with self._database.read() as conn:
            return [
                Mended(id_, Place(sku, channel), int(units or 0), found_at)
                for id_, sku, channel, units, found_at in conn.execute(query)
            ]

    def healed_since(
        self, conn: Connection, project: str, places: Iterable[Place], since: datetime, without: str
    ) -> set[Place]:
        """Those of the places whose numbers links have put right since a moment, whatever has come of it.

        What makes up for an order puts no number right: the order is missing besides.

        :param without: the link whose own heals do not count.
        """
        found: set[Place] = set()
        for chunk in chunks(places, PLACES_PER_STATEMENT):
            query = select(_M.sku, _M.channel).where(
                _M.project == project,
                corrects(),
                _M.link != without,
                _M.recorded_at >= since,
                tuple_(_M.sku, _M.channel).in_(chunk),
            )
            found.update(Place(*row) for row in conn.execute(query))
        return found

    def counted_since(self, project: str, places: Iterable[Place], since: datetime) -> set[Place]:
        """Those of the places of which a count was carried to commercetools since a moment, whenever it was taken."""
        found: set[Place] = set()
        with self._database.read() as conn:
            for chunk in chunks(places, PLACES_PER_STATEMENT):
                query = select(_M.sku, _M.channel).where(
                    _M.project == project,
                    _M.counted.is_not(None),
                    _M.state == MovementState.APPLIED,
                    _M.settled_at >= since,
                    tuple_(_M.sku, _M.channel).in_(chunk),
                )
                found.update(Place(*row) for row in conn.execute(query))
        return found

    def moved_since(self, link: str, order_ids: Iterable[str], since: datetime) -> set[str]:
        """Those of the orders that have moved stock since a moment, or were mended."""
        found: set[str] = set()
        with self._database.read() as conn:
            for order_id in order_ids:
                moved = select(exists().where(*_of_order(link, order_id), _M.recorded_at >= since))
                if conn.execute(moved).scalar_one():
                    found.add(order_id)
        return found


def _of_order(link: str, order_id: str) -> tuple[ColumnElement[bool], ...]:
    """Movements of an order, also where it was mended: their key begins with its id, and "0" follows "/"."""
    return (
        _M.link == link,
        _M.source.in_((Source.KIOSK_ORDER, Source.HEAL)),
        _M.source_id >= f"{order_id}/",
        _M.source_id < f"{order_id}0",
    )


def _unmoved_twice(conn: Connection, link: str, order_ids: Sequence[str]) -> list[Unmoved]:
    """Effects and movements are read one after the other, so what was stored in between would seem to differ."""
    found = _unmoved(conn, link, order_ids)
    if not found:
        return []
    again = _unmoved(conn, link, sorted({one.order_id for one in found}))
    return [one for one in again if one in found]


def _unmoved(conn: Connection, link: str, order_ids: Sequence[str]) -> list[Unmoved]:
    effects = select(_E.order_id, _E.sku, _E.channel, _E.quantity, _E.updated_at).where(
        _E.link == link, _E.order_id.in_(order_ids)
    )
    recorded: dict[tuple[str, Place], int] = {}
    recorded_at: dict[tuple[str, Place], datetime] = {}
    for order, sku, channel, units, at in conn.execute(effects):
        recorded[order, Place(sku, channel)], recorded_at[order, Place(sku, channel)] = units, at
    changed = select(_O.order_id, _O.modified_at).where(_O.link == link, _O.order_id.in_(order_ids))
    changed_at = {row.order_id: row.modified_at for row in conn.execute(changed)}
    moved = dict.fromkeys(recorded, (0, 0))
    is_live = _M.state != MovementState.EXCLUDED
    for order_id in order_ids:
        sums = (
            select(_M.sku, _M.channel, func.sum(_M.delta), func.sum(case((is_live, _M.delta), else_=0)))
            .where(*_of_order(link, order_id))
            .group_by(_M.sku, _M.channel)
        )
        for sku, channel, units, live in conn.execute(sums):
            moved[order_id, Place(sku, channel)] = int(units or 0), int(live or 0)
    found: list[Unmoved] = []
    for (order_id, place), sums_ in sorted(moved.items()):
        units = recorded.get((order_id, place), 0)
        # An excluded movement counts where a count has seen it, and does not where its order was taken back.
        if not min(sums_) <= units <= max(sums_):
            nearest = min(sums_, key=lambda one: abs(one - units))
            # An order that has changed since has taken its units when that was recorded.
            at = changed_at[order_id]
            at = min(at, recorded_at.get((order_id, place), at))
            found.append(Unmoved(order_id, place, units, nearest, at))
    return found
