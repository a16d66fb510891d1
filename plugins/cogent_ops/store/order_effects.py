"""What a kiosk order took from stock, changed afterwards by somebody's word: taken elsewhere, or not taken at all.

Movements in review were never sent, so they are changed themselves. Others may be under way to commercetools at this
moment, so an opposite movement is added. It happens at the time of what it undoes: a count that was taken meanwhile has
the last word about its place, and the drain sees to that.

Callers hold the link's turn (:meth:`cogent_ops.store.stock.Stock.turn`), as the poll does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.sql import ColumnElement

from cogent_ops.domain.stock import MovementState, NewMovement, Place, Source, order_movement_id
from cogent_ops.store.schema import movement
from cogent_ops.store.sql import Values, chunks, now, take_turns
from cogent_ops.store.stock import IS_IN_REVIEW, Effect, Stock

_M = movement.c
_NEVER = datetime.min.replace(tzinfo=UTC)
_LIVE = (MovementState.WAITING, MovementState.BATCHED, MovementState.APPLIED)


@dataclass
class _Taken:
    """What an order has taken from a place, in signed units.

    :param held: movements in review, by the reason that they give.
    :param live: the sum of those that a drain has, had or will have.
    :param latest: when the last one of those happened.
    """

    held: dict[str, list[int]] = field(default_factory=dict)
    held_units: int = 0
    live: int = 0
    latest: datetime = _NEVER
    reference: str = ""

    @property
    def units(self) -> int:
        """All of it."""
        return self.held_units + self.live


class OrderEffects:
    """Changes what orders have done to stock."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    def give_back(self, conn: Connection, link: str, project: str, order_id: str, reason: str) -> int:
        """Undo all that an order has done to stock; returns the units given back, for a second time 0.

        :param reason: why its movements in review have no effect any more.
        """
        taken = self._taken(conn, link, project, order_id)
        self._settle_held(conn, taken.values(), lambda _: _excluded(reason))
        known = self._known(conn, link, order_id)
        effects: list[Effect] = []
        adding: list[NewMovement] = []
        for place in sorted({*known, *taken}):
            one = taken.get(place, _Taken())
            old = known.get(place, Effect(order_id, place, 0, 0))
            after = replace(old, quantity=0, revision=old.revision + (one.live != 0))
            effects.append(after)
            if one.live:
                adding.append(_moved(link, project, after, one, -one.live))
        self._save(conn, link, effects, adding)
        return -sum(one.units for one in taken.values())

    def move(
        self,
        conn: Connection,
        link: str,
        project: str,
        order_id: str,
        channel: str,
        still: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """Let an order take its units from this Channel, wherever it took them so far; returns how many go there.

        :param still: by the reason why a movement is in review, the one why it stays there even so. All others may be
            drained from now on.
        """
        taken = {
            place: one
            for place, one in self._taken(conn, link, project, order_id).items()
            if place.channel != channel
        }

        def elsewhere(reason: str) -> Values:
            left = still.get(reason)
            state = MovementState.WAITING if left is None else MovementState.REVIEW
            return {"channel": channel, "state": state, "reason": left}

        self._settle_held(conn, taken.values(), elsewhere)
        known = self._known(conn, link, order_id)
        changes: dict[Place, Effect] = {}
        adding: list[NewMovement] = []
        for place, one in sorted(taken.items()):
            there = Place(place.sku, channel)
            old = known.get(place, Effect(order_id, place, 0, 0))
            new = changes.get(there) or known.get(there) or Effect(order_id, there, 0, old.revision)
            grown = int(one.live != 0)
            changes[place] = replace(old, quantity=old.quantity - one.units, revision=old.revision + grown)
            changes[there] = replace(new, quantity=new.quantity + one.units, revision=new.revision + grown)
            if grown:
                adding.append(_moved(link, project, changes[place], one, -one.live))
                adding.append(_moved(link, project, changes[there], one, one.live))
        self._save(conn, link, changes.values(), adding)
        return -sum(one.units for one in taken.values())

    def in_review(
        self, conn: Connection, link: str, project: str, order_id: str | None = None
    ) -> set[tuple[Place, str]]:
        """Places whose movements wait because an identifier is not known, with the reason.

        :param order_id: of this order alone.
        """
        held = and_(_M.project == project, IS_IN_REVIEW, _M.link == link)
        query = select(_M.sku, _M.channel, _M.reason).where(held).distinct()
        if order_id is not None:
            query = query.where(_of_order(link, order_id))
        return {(Place(sku, channel), reason or "") for sku, channel, reason in conn.execute(query)}

    def _known(self, conn: Connection, link: str, order_id: str) -> dict[Place, Effect]:
        found = self._stock.effects(conn, link, [order_id]).get(order_id, ())
        return {effect.place: effect for effect in found}

    def _taken(self, conn: Connection, link: str, project: str, order_id: str) -> dict[Place, _Taken]:
        """What the order's movements come to, by place; those that were excluded have no effect to undo."""
        # A claim may exclude a movement, so one at a time.
        take_turns(conn, "stock", project)
        query = select(_M.id, _M.sku, _M.channel, _M.delta, _M.reason, _M.occurred_at, _M.reference).order_by(
            _M.id
        )
        held = query.where(_of_order(link, order_id), _M.state == MovementState.REVIEW)
        live = query.where(_of_order(link, order_id), _M.state.in_(_LIVE))
        found: dict[Place, _Taken] = {}
        # Held ones first: one that is let go in between is among the others then.
        for row in conn.execute(held.with_for_update()):
            one = found.setdefault(Place(row.sku, row.channel), _Taken(reference=row.reference))
            one.held.setdefault(row.reason or "", []).append(row.id)
            one.held_units += row.delta
        for row in conn.execute(live):
            one = found.setdefault(Place(row.sku, row.channel), _Taken(reference=row.reference))
            one.live += row.delta
            one.latest = max(one.latest, row.occurred_at)
        return found

    def _settle_held(
        self, conn: Connection, taken: Iterable[_Taken], values: Callable[[str], Values]
    ) -> None:
        """Change movements in review, by the reason that they give."""
        for one in taken:
            for reason, ids in one.held.items():
                for chunk in chunks(ids):
                    conn.execute(update(movement).where(_M.id.in_(chunk)).values(values(reason)))

    def _save(
        self, conn: Connection, link: str, effects: Iterable[Effect], movements: Iterable[NewMovement]
    ) -> None:
        self._stock.save_effects(conn, link, effects)
        self._stock.add_movements(conn, movements)


def _of_order(link: str, order_id: str) -> ColumnElement[bool]:
    """Movements whose idempotency keys :func:`order_movement_id` made for the order, as a range of the index."""
    first, after = f"{order_id}/", f"{order_id}0"  # "0" comes right behind "/"
    return and_(_M.link == link, _M.source == Source.KIOSK_ORDER, _M.source_id > first, _M.source_id < after)


def _excluded(reason: str) -> Values:
    return {"state": MovementState.EXCLUDED, "reason": reason, "settled_at": now()}


def _moved(link: str, project: str, after: Effect, taken: _Taken, delta: int) -> NewMovement:
    """The movement that leads to an effect."""
    return NewMovement(
        link=link,
        project=project,
        sku=after.place.sku,
        channel=after.place.channel,
        delta=delta,
        source=Source.KIOSK_ORDER,
        source_id=order_movement_id(after.order_id, after.place, after.revision),
        reference=taken.reference,
        occurred_at=taken.latest,
    )
