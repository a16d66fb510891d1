"""Stock: orders as polled and their effects, the inbox of movements, and the batches that carry them.

The inbox is append-only. A movement enters once per idempotency key, whoever sends it again, and from then on is at
every moment waiting, in a batch, applied, excluded or in review. A batch is written before anything is sent; while
it is not applied, the database itself refuses another one for the same inventory entry. One owner at a time sends it;
where the owner's lease ends, another takes over, so that a killed process delays its entries and loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.sql import ColumnElement

from cogent_ops.domain.stock import Claimed, MovementState, NewMovement, Place, Source
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import kiosk_order, movement, order_effect, stock_batch, stock_position
from cogent_ops.store.sql import Values, chunks, insert, insert_new, now, take_turns, upsert

#: SQLite allows 999 variables in a statement; a place has two.
PLACES_PER_STATEMENT = 400
IN_COUNT = "a later count has seen it"

_M, _B, _P, _O, _E = movement.c, stock_batch.c, stock_position.c, kiosk_order.c, order_effect.c
#: In these very words SQLite finds the index of just these movements. With values that are bound it reads the history
#: of a whole project instead.
IS_OPEN = _M.state.in_([literal_column("'waiting'"), literal_column("'review'")])
WAITS = and_(IS_OPEN, _M.state == literal_column("'waiting'"))
IS_IN_REVIEW = and_(IS_OPEN, _M.state == literal_column("'review'"))


@dataclass(frozen=True)
class StoredOrder:
    """A Cloudshelf order as last read.

    :param modified_at: ``updatedAt`` of Cloudshelf.
    :param recheck: something about it could not be settled yet, so every poll looks at it again.
    """

    order_id: str
    status: str
    modified_at: datetime
    content: Mapping[str, Any]
    hash: str
    recheck: bool = False


@dataclass(frozen=True)
class Effect:
    """What an order has done to a place so far, in signed units.

    :param revision: how many movements that took; part of the next one's idempotency key.
    """

    order_id: str
    place: Place
    quantity: int
    revision: int


@dataclass(frozen=True)
class Reviewed:
    """Movements of one place that wait because an identifier is not known."""

    link: str
    place: Place
    reason: str
    movements: int
    oldest: datetime


@dataclass(frozen=True)
class Batch:
    """A change of one inventory entry, about to be sent.

    :param id: what the entry's custom field will say.
    :param delta: signed units; ``None``: it holds a count and is still to be planned.
    :param attempts: how often it was claimed before.
    :param entry_id: the entry that it was aimed at; ``None`` means that nothing can have been sent.
    """

    id: str
    place: Place
    delta: int | None
    attempts: int
    entry_id: str | None = None


@dataclass(frozen=True)
class Aim:
    """Where a batch goes and what it comes to, fixed before it is sent.

    :param excluded: reasons by movement that has no effect of its own.
    """

    batch_id: str
    entry_id: str
    delta: int
    excluded: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sale:
    """What a kiosk order took from a place, in units."""

    reference: str
    units: int


@dataclass(frozen=True)
class Position:
    """An inventory entry as commercetools showed it."""

    place: Place
    entry_id: str
    version: int
    on_stock: int
    available: int


@dataclass(frozen=True)
class Applied:
    """A batch that commercetools has.

    :param position: the entry afterwards; ``None`` when nothing had to be sent.
    :param before: units before, where known.
    :param count: the count that the batch held.
    """

    batch_id: str
    position: Position | None = None
    before: int | None = None
    count: Claimed | None = None


@dataclass(frozen=True)
class Backlog:
    """What a project's inbox holds.

    :param oldest: when the oldest movement that still waits or is under way was recorded.
    """

    waiting: int
    batched: int
    review: int
    parked: int
    oldest: datetime | None


class Stock:
    """The stock of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Orders

    def turn(self, conn: Connection, link: str) -> None:
        """Let one transaction at a time change the orders and effects of a link."""
        take_turns(conn, "orders", link)

    def orders(self, conn: Connection, link: str, order_ids: Iterable[str]) -> dict[str, StoredOrder]:
        """Stored orders by id."""
        found: dict[str, StoredOrder] = {}
        for chunk in chunks(order_ids):
            query = select(kiosk_order).where(_O.link == link, _O.order_id.in_(chunk))
            found.update((row.order_id, _order(row)) for row in conn.execute(query))
        return found

    def newest_order(self, link: str) -> datetime | None:
        """When the order that changed last was changed; ``None`` when no order was read yet."""
        query = select(func.max(_O.modified_at)).where(_O.link == link)
        with self._database.read() as conn:
            return conn.execute(query).scalar_one_or_none()

    def rechecks(self, conn: Connection, link: str) -> list[StoredOrder]:
        """Orders that every poll looks at again."""
        # In these words, and not asked to sort, SQLite takes the index of just these orders.
        query = select(kiosk_order).where(_O.link == link, text("recheck"))
        return sorted((_order(row) for row in conn.execute(query)), key=lambda order: order.order_id)

    def read_again(self, conn: Connection, link: str, order_id: str) -> None:
        """Let the next polls take an order for changed, although Cloudshelf says nothing new of it."""
        again = update(kiosk_order).where(_O.link == link, _O.order_id == order_id)
        conn.execute(again.values(hash="", recheck=True))

    def save_orders(self, conn: Connection, link: str, orders: Iterable[StoredOrder]) -> None:
        """Keep orders as read; ``first_seen`` stays."""
        moment = now()
        rows = [{"link": link, **vars(one), "first_seen": moment, "last_seen": moment} for one in orders]
        if rows:
            upsert(conn, kiosk_order, rows, fixed=("first_seen",))

    def effects(self, conn: Connection, link: str, order_ids: Iterable[str]) -> dict[str, list[Effect]]:
        """Recorded effects by order."""
        found: dict[str, list[Effect]] = {}
        for chunk in chunks(order_ids):
            query = select(order_effect).where(_E.link == link, _E.order_id.in_(chunk))
            for row in conn.execute(query):
                effect = Effect(row.order_id, Place(row.sku, row.channel), row.quantity, row.revision)
                found.setdefault(row.order_id, []).append(effect)
        return found

    def save_effects(self, conn: Connection, link: str, effects: Iterable[Effect]) -> None:
        """Record effects, in the transaction that adds their movements."""
        moment = now()
        rows = [
            {
                "link": link,
                "order_id": one.order_id,
                "sku": one.place.sku,
                "channel": one.place.channel,
                "quantity": one.quantity,
                "revision": one.revision,
                "updated_at": moment,
            }
            for one in effects
        ]
        if rows:
            upsert(conn, order_effect, rows)

    # Inbox

    def add_movements(self, conn: Connection, movements: Iterable[NewMovement]) -> int:
        """Add movements; one whose idempotency key is there already changes nothing.

        :return: how many were new.
        """
        moment, adding = now(), list(movements)
        for link in sorted({one.link for one in adding}):
            # Two that add the same keys in different order would wait for each other.
            take_turns(conn, "movements", link)
        rows = ({**vars(one), "recorded_at": moment} for one in adding)
        return insert_new(conn, movement, rows, key=("link", "source", "source_id"))

    def recorded(
        self, conn: Connection, link: str, source: str, source_ids: Iterable[str]
    ) -> dict[str, tuple[str, str, int | None, int | None, datetime]]:
        """SKU, channel, delta, count and moment by idempotency key, of those keys that are in the inbox."""
        found: dict[str, tuple[str, str, int | None, int | None, datetime]] = {}
        for chunk in chunks(source_ids):
            query = select(_M.source_id, _M.sku, _M.channel, _M.delta, _M.counted, _M.occurred_at).where(
                _M.link == link, _M.source == source, _M.source_id.in_(chunk)
            )
            for source_id, *said in conn.execute(query):
                found[source_id] = tuple(said)
        return found

    def in_review(self, project: str) -> list[Reviewed]:
        """What waits because an identifier is not known, by place."""
        query = (
            select(_M.link, _M.sku, _M.channel, func.max(_M.reason), func.count(), func.min(_M.recorded_at))
            .where(_M.project == project, IS_IN_REVIEW)
            .group_by(_M.link, _M.sku, _M.channel)
            .order_by(_M.link, _M.sku, _M.channel)
        )
        with self._database.read() as conn:
            return [
                Reviewed(link, Place(sku, channel), reason or "", count, oldest)
                for link, sku, channel, reason, count, oldest in conn.execute(query)
            ]

    def release(
        self, conn: Connection, link: str, project: str, old: Place, new: Place, still: str | None = None
    ) -> int:
        """Let movements in review go on, under the identifiers that were found; returns how many.

        What orders have recorded for the old place goes along, so that a later void gives back at the new one.

        :param still: why they stay in review even so; ``None``: they wait for a drain.
        """
        state = MovementState.WAITING if still is None else MovementState.REVIEW
        going = (
            update(movement)
            .where(_M.link == link, _M.project == project, _at(old), IS_IN_REVIEW)
            .values(sku=new.sku, channel=new.channel, state=state, reason=still)
        )
        released = conn.execute(going).rowcount
        if new != old:
            self._move_effects(conn, link, old, new)
        return released

    def _move_effects(self, conn: Connection, link: str, old: Place, new: Place) -> None:
        here = and_(_E.link == link, _E.sku == old.sku, _E.channel == old.channel)
        moved = [
            Effect(row.order_id, new, row.quantity, row.revision)
            for row in conn.execute(select(order_effect).where(here))
        ]
        known = self.effects(conn, link, [one.order_id for one in moved])
        there = {one.order_id: one for found in known.values() for one in found if one.place == new}
        merged = [
            replace(
                one,
                quantity=one.quantity + there[one.order_id].quantity,
                revision=max(one.revision, there[one.order_id].revision),
            )
            if one.order_id in there
            else one
            for one in moved
        ]
        conn.execute(delete(order_effect).where(here))
        self.save_effects(conn, link, merged)

    def has_waiting(self, project: str) -> bool:
        """Whether a drain would find something to do: what waits behind a batch in flight is nothing yet."""
        waiting = select(exists().where(_M.project == project, WAITS, ~_in_flight(project)))
        with self._database.read() as conn:
            epoch = self._database.epoch(conn)
            due = select(exists().where(_B.project == project, _is_due(epoch)))
            return bool(conn.execute(waiting).scalar_one() or conn.execute(due).scalar_one())

    def backlog(self, project: str) -> Backlog:
        """What the inbox of a project holds."""
        waiting = (
            select(_M.state, func.count(), func.min(_M.recorded_at))
            .where(_M.project == project, IS_OPEN)
            .group_by(_M.state)
        )
        under_way = (
            select(_B.state, func.count(_M.id), func.min(_M.recorded_at))
            .select_from(stock_batch.join(movement, _M.batch_id == _B.id))
            .where(_B.project == project, _B.state != "applied", _M.state == MovementState.BATCHED)
            .group_by(_B.state)
        )
        with self._database.read() as conn:
            counts: dict[str, int] = {}
            ages: list[datetime] = []
            for state, count, oldest in [*conn.execute(waiting), *conn.execute(under_way)]:
                counts[state] = count
                if state != MovementState.REVIEW:
                    ages.append(oldest)
        return Backlog(
            waiting=counts.get("waiting", 0),
            batched=counts.get("open", 0),
            review=counts.get("review", 0),
            parked=counts.get("parked", 0),
            oldest=min(ages, default=None),
        )

    # Batches

    def claim(self, project: str, owner: str, *, limit: int, lease_seconds: float) -> list[Batch]:
        """Take work: batches that somebody left behind or that are due again, then waiting movements.

        All waiting movements of an entry go into one batch, which is stored with the claim. Movements that a count
        has seen already are excluded instead.

        :param owner: who asks; unique per try of a task.
        :param limit: most batches.
        :param lease_seconds: so long nobody else takes them.
        """
        with self._database.begin() as conn:
            take_turns(conn, "stock", project)
            epoch = self._database.epoch(conn)
            until = epoch + lease_seconds
            due = select(_B.id).where(_B.project == project, _is_due(epoch)).order_by(_B.created_at, _B.id)
            # A batch that is being settled at this moment must not be opened again afterwards.
            due = due.limit(limit).with_for_update(skip_locked=True)
            again = list(conn.execute(due).scalars())
            for chunk in chunks(again):
                taking = update(stock_batch).where(_B.id.in_(chunk))
                conn.execute(
                    taking.values(state="open", owner=owner, lease_until=until, attempts=_B.attempts + 1)
                )
            fresh = self._new_batches(conn, project, owner, until, limit - len(again))
            return _batches(conn, [*again, *fresh])

    def _new_batches(self, conn: Connection, project: str, owner: str, until: float, limit: int) -> list[str]:
        if limit <= 0:
            return []
        waiting = and_(_M.project == project, WAITS)
        # Asked for what waits alone, SQLite would go through the history of the project in the order of its places.
        query = (
            select(_M.state, _M.sku, _M.channel)
            .where(_M.project == project, IS_OPEN, ~_in_flight(project))
            .group_by(_M.state, _M.sku, _M.channel)
            .order_by(_M.state.desc(), func.min(_M.id))
            .limit(limit)
        )
        places = [
            Place(sku, channel)
            for state, sku, channel in conn.execute(query)
            if state == MovementState.WAITING
        ]
        if not places:
            return []
        moment = now()
        rows: list[Values] = [
            {
                "id": uuid4().hex,
                "project": project,
                "sku": place.sku,
                "channel": place.channel,
                "state": "open",
                "owner": owner,
                "lease_until": until,
                "retry_at": 0.0,
                "attempts": 0,
                "created_at": moment,
            }
            for place in places
        ]
        conn.execute(stock_batch.insert(), rows)
        # One look into the index for each place: PostgreSQL may join badly while it has no statistics of a new backlog.
        binding = update(movement).where(
            waiting, _M.sku == bindparam("of_sku"), _M.channel == bindparam("of_channel")
        )
        conn.execute(
            binding.values(state=MovementState.BATCHED, batch_id=bindparam("batch")),
            [{"of_sku": row["sku"], "of_channel": row["channel"], "batch": row["id"]} for row in rows],
        )
        ids = [str(row["id"]) for row in rows]
        seen: Values = {"state": MovementState.EXCLUDED, "batch_id": None, "reason": IN_COUNT}
        for chunk in chunks(ids):
            settled = and_(_M.batch_id.in_(chunk), or_(was_counted(), was_put_right()))
            conn.execute(update(movement).where(settled).values(**seen, settled_at=moment))
        self._sum_up(conn, ids)
        return ids

    def _sum_up(self, conn: Connection, ids: Sequence[str]) -> None:
        """Note what each batch comes to, unless it holds a count."""
        sums: list[Values] = []
        for chunk in chunks(ids):
            query = (
                select(_M.batch_id, func.sum(_M.delta), func.count(_M.counted))
                .where(_M.batch_id.in_(chunk))
                .group_by(_M.batch_id)
            )
            found = {id_: (total, counts) for id_, total, counts in conn.execute(query)}
            for id_ in chunk:
                total, counts = found.get(id_, (0, 0))
                if not counts:
                    sums.append({"batch": id_, "total": int(total or 0)})
        if sums:
            conn.execute(
                update(stock_batch).where(_B.id == bindparam("batch")).values(delta=bindparam("total")), sums
            )

    def movements_of(self, batch_ids: Iterable[str]) -> dict[str, list[Claimed]]:
        """Movements by batch, those without effect left out, the oldest first."""
        found: dict[str, list[Claimed]] = {}
        with self._database.read() as conn:
            for chunk in chunks(batch_ids):
                query = (
                    select(
                        _M.batch_id,
                        _M.id,
                        _M.occurred_at,
                        _M.delta,
                        _M.counted,
                        _M.source,
                        _M.reference,
                        corrects(),
                    )
                    .where(_M.batch_id.in_(chunk), _M.state != MovementState.EXCLUDED)
                    .order_by(_M.id)
                )
                for batch_id, *rest in conn.execute(query):
                    found.setdefault(batch_id, []).append(Claimed(*rest))
        return found

    def links_of(self, batch_ids: Iterable[str]) -> dict[str, list[str]]:
        """Links by batch, whose movements it holds: whoever owns an exception about it."""
        found: dict[str, list[str]] = {}
        with self._database.read() as conn:
            for chunk in chunks(batch_ids):
                query = (
                    select(_M.batch_id, _M.link)
                    .where(_M.batch_id.in_(chunk))
                    .distinct()
                    .order_by(_M.batch_id, _M.link)
                )
                for batch_id, link in conn.execute(query):
                    found.setdefault(batch_id, []).append(link)
        return found

    def applied_since(self, project: str, moments: Mapping[Place, datetime]) -> dict[Place, int]:
        """By place, the sum of the changes that happened after a moment and are in commercetools.

        What only put a number of commercetools right has not happened on the shelf.
        """
        found: dict[Place, int] = {}
        with self._database.read() as conn:
            for place, moment in moments.items():
                query = select(func.coalesce(func.sum(_M.delta), 0)).where(
                    _M.project == project,
                    _at(place),
                    _M.occurred_at > moment,
                    _M.state == MovementState.APPLIED,
                    ~corrects(),
                )
                found[place] = int(conn.execute(query).scalar_one())
        return found

    def sales(self, project: str, place: Place, limit: int) -> list[Sale]:
        """What kiosk orders took from a place, the latest first; orders that gave everything back are left out."""
        latest = (
            select(_M.id, _M.reference, _M.delta, _M.source, _M.occurred_at)
            .where(
                _M.project == project,
                _at(place),
                _M.state.in_((MovementState.APPLIED, MovementState.BATCHED)),
            )
            .order_by(_M.occurred_at.desc(), _M.id.desc())
            .limit(limit)
            .subquery()
        )
        query = (
            select(latest.c.reference, -func.sum(latest.c.delta))
            .where(latest.c.source == Source.KIOSK_ORDER)
            .group_by(latest.c.reference)
            .having(func.sum(latest.c.delta) < 0)
            .order_by(func.max(latest.c.occurred_at).desc(), func.max(latest.c.id).desc())
        )
        with self._database.read() as conn:
            return [Sale(reference, int(units)) for reference, units in conn.execute(query)]

    def aim(self, owner: str, aims: Iterable[Aim], lease_seconds: float) -> set[str]:
        """Note where batches go and what they come to, and extend their leases.

        Call it between reading the entries and sending: a batch that is still the owner's afterwards cannot have
        been carried through by anybody else when its entry was read.

        :return: the batches that still are the owner's; send no others.
        """
        wanted = sorted(aims, key=lambda one: one.batch_id)
        with self._database.begin() as conn:
            kept = self._lock_owned(conn, owner, [one.batch_id for one in wanted])
            mine = [one for one in wanted if one.batch_id in kept]
            until = self._database.epoch(conn) + lease_seconds
            rows = [
                {"batch": one.batch_id, "entry": one.entry_id, "units": one.delta, "until": until}
                for one in mine
            ]
            if rows:
                aiming = update(stock_batch).where(_B.id == bindparam("batch"))
                conn.execute(
                    aiming.values(
                        entry_id=bindparam("entry"), delta=bindparam("units"), lease_until=bindparam("until")
                    ),
                    rows,
                )
            _exclude(conn, {id_: why for one in mine for id_, why in one.excluded.items()})
        return kept

    def renew(self, batch_ids: Collection[str], owner: str, lease_seconds: float) -> set[str]:
        """Extend leases; returns the batches that still are the owner's."""
        with self._database.begin() as conn:
            kept = self._lock_owned(conn, owner, sorted(batch_ids))
            until = self._database.epoch(conn) + lease_seconds
            for chunk in chunks(sorted(kept)):
                conn.execute(update(stock_batch).where(_B.id.in_(chunk)).values(lease_until=until))
        return kept

    def _lock_owned(self, conn: Connection, owner: str, batch_ids: Sequence[str]) -> set[str]:
        """Those of the batches that are the owner's, locked in the order in which :meth:`settle` locks."""
        kept: set[str] = set()
        for chunk in chunks(batch_ids):
            query = select(_B.id).where(_B.id.in_(chunk), _is_owned(owner)).order_by(_B.id).with_for_update()
            kept.update(conn.execute(query).scalars())
        return kept

    def settle(self, conn: Connection, project: str, done: Sequence[Applied]) -> int:
        """Note that commercetools has batches; one that was settled before stays as it is.

        :return: how many movements took effect now.
        """
        by_id = {one.batch_id: one for one in done}
        moment, moved = now(), 0
        for chunk in chunks(sorted(by_id), PLACES_PER_STATEMENT):
            still = (
                select(_B.id, _B.sku, _B.channel)
                .where(_B.id.in_(chunk), _B.state != "applied")
                .order_by(_B.id)
                .with_for_update()
            )
            open_ = {row.id: Place(row.sku, row.channel) for row in conn.execute(still)}
            if not open_:
                continue
            rows = [_settled(by_id[id_], moment) for id_ in open_]
            conn.execute(
                update(stock_batch)
                .where(_B.id == bindparam("batch"))
                .values(
                    state="applied",
                    lease_until=0.0,
                    error=None,
                    entry_id=bindparam("entry"),
                    quantity_before=bindparam("before"),
                    quantity_after=bindparam("after"),
                    available_after=bindparam("available"),
                    settled_at=bindparam("at"),
                ),
                rows,
            )
            applied = update(movement).where(_M.batch_id.in_(list(open_)), _M.state == MovementState.BATCHED)
            moved += conn.execute(applied.values(state=MovementState.APPLIED, settled_at=moment)).rowcount
            self._move_positions(conn, project, [by_id[id_] for id_ in open_])
        return moved

    def _move_positions(self, conn: Connection, project: str, done: Sequence[Applied]) -> None:
        moment = now()
        rows = [
            {
                "project": project,
                "sku": position.place.sku,
                "channel": position.place.channel,
                "entry_id": position.entry_id,
                "version": position.version,
                "on_stock": position.on_stock,
                "available": position.available,
                "batch_id": one.batch_id,
                "counted_at": one.count.occurred_at if one.count else None,
                "counted": one.count.counted if one.count else None,
                "read_at": moment,
            }
            for one in done
            if (position := one.position) is not None
        ]
        if rows:
            fresh = insert(conn, stock_position).excluded
            upsert(
                conn,
                stock_position,
                rows,
                changes={
                    "counted_at": func.coalesce(fresh.counted_at, _P.counted_at),
                    "counted": func.coalesce(fresh.counted, _P.counted),
                },
            )

    def park(self, conn: Connection, batch_id: str, owner: str, error: str, retry_seconds: float) -> bool:
        """Set a batch aside that was refused for good; it is tried again after a while, and on a person's word.

        :return: whether it still was the owner's.
        """
        epoch = self._database.epoch(conn)
        mine = and_(_B.id == batch_id, _is_owned(owner))
        parked: Values = {
            "state": "parked",
            "lease_until": 0.0,
            "retry_at": epoch + retry_seconds,
            "error": error,
        }
        return bool(conn.execute(update(stock_batch).where(mine).values(parked)).rowcount)

    def unpark(self, conn: Connection, project: str, place: Place) -> bool:
        """Let a parked batch be tried at once; its id, and so its idempotency, stays."""
        in_flight = and_(
            _B.project == project, _B.sku == place.sku, _B.channel == place.channel, _B.state != "applied"
        )
        parked = and_(in_flight, _B.state == "parked")
        return bool(conn.execute(update(stock_batch).where(parked).values(retry_at=0.0)).rowcount)

    def hand_back(self, batch_ids: Collection[str], owner: str, retry_seconds: float = 0.0) -> None:
        """Give up leases of unfinished batches, so that anybody may go on with them after a while."""
        if not batch_ids:
            return
        with self._database.begin() as conn:
            epoch = self._database.epoch(conn)
            for chunk in chunks(sorted(batch_ids)):
                mine = self._lock_owned(conn, owner, chunk)
                free: Values = {"owner": "", "lease_until": 0.0, "retry_at": epoch + retry_seconds}
                conn.execute(update(stock_batch).where(_B.id.in_(sorted(mine))).values(free))

    def review(self, conn: Connection, batch_id: str, owner: str, reason: str) -> int:
        """Take the movements of a batch that was never aimed at an entry out for a person to look at.

        :return: how many movements; 0 when the batch was not the owner's any more.
        """
        mine = and_(_B.id == batch_id, _is_owned(owner), _B.entry_id.is_(None))
        if not conn.execute(delete(stock_batch).where(mine)).rowcount:
            return 0
        back = update(movement).where(_M.batch_id == batch_id, _M.state == MovementState.BATCHED)
        return conn.execute(back.values(state=MovementState.REVIEW, batch_id=None, reason=reason)).rowcount

    def positions(self, project: str, places: Iterable[Place]) -> dict[Place, Position]:
        """What commercetools said last, of those places that were ever moved."""
        found: dict[Place, Position] = {}
        with self._database.read() as conn:
            for chunk in chunks(places, PLACES_PER_STATEMENT):
                # SQLite would look for pairs in the whole project.
                wanted, skus = set(chunk), {place.sku for place in chunk}
                query = select(stock_position).where(_P.project == project, _P.sku.in_(sorted(skus)))
                for row in conn.execute(query):
                    place = Place(row.sku, row.channel)
                    if place in wanted:
                        found[place] = Position(place, row.entry_id, row.version, row.on_stock, row.available)
        return found


def _is_owned(owner: str) -> ColumnElement[bool]:
    """Whether nobody took a batch over. That its lease ended alone does not matter: nobody wanted it yet."""
    return and_(_B.owner == owner, _B.state == "open")


def _in_flight(project: str) -> ColumnElement[bool]:
    """Whether a movement's entry has a batch that is not applied. There are few, which are looked up once."""
    entries = select(_B.sku, _B.channel).where(_B.project == project, _B.state != "applied")
    return tuple_(_M.sku, _M.channel).in_(entries)


def _exclude(conn: Connection, reasons: Mapping[int, str]) -> None:
    """Let movements have no effect of their own; reasons by movement."""
    rows = [{"movement": id_, "why": why, "at": now()} for id_, why in sorted(reasons.items())]
    if rows:
        excluded = {
            "state": MovementState.EXCLUDED,
            "reason": bindparam("why"),
            "settled_at": bindparam("at"),
        }
        conn.execute(update(movement).where(_M.id == bindparam("movement")).values(excluded), rows)


def _is_due(epoch: float) -> ColumnElement[bool]:
    return and_(_B.state != "applied", _B.lease_until <= epoch, _B.retry_at <= epoch)


def _at(place: Place) -> ColumnElement[bool]:
    return and_(_M.sku == place.sku, _M.channel == place.channel)


def corrects() -> ColumnElement[bool]:
    """Whether a movement puts a number of commercetools right, and is nothing that has happened on the shelf.

    So does a heal that makes up for no order: its key begins with the night that found the difference.
    """
    return and_(_M.source == Source.HEAL, _M.source_id.like("____-__-__%"))


def was_counted() -> ColumnElement[bool]:
    """Whether the count that the entry's stock rests on is younger than the movement."""
    seen = or_(_P.counted_at > _M.occurred_at, and_(_P.counted_at == _M.occurred_at, _M.counted.is_(None)))
    return exists().where(_P.project == _M.project, _P.sku == _M.sku, _P.channel == _M.channel, seen)


def was_put_right() -> ColumnElement[bool]:
    """Whether a count, whenever taken, was carried after what the movement puts right was found."""
    count = movement.alias().c
    carried = exists().where(
        count.project == _M.project,
        count.sku == _M.sku,
        count.channel == _M.channel,
        count.counted.is_not(None),
        count.state == MovementState.APPLIED,
        count.settled_at > _M.occurred_at,
    )
    return and_(corrects(), carried)


def _batches(conn: Connection, ids: Sequence[str]) -> list[Batch]:
    found: dict[str, Batch] = {}
    for chunk in chunks(ids):
        query = select(_B.id, _B.sku, _B.channel, _B.delta, _B.attempts, _B.entry_id).where(_B.id.in_(chunk))
        for row in conn.execute(query):
            found[row.id] = Batch(row.id, Place(row.sku, row.channel), row.delta, row.attempts, row.entry_id)
    return [found[id_] for id_ in ids]


def _settled(one: Applied, moment: datetime) -> Values:
    position = one.position
    return {
        "batch": one.batch_id,
        "entry": position.entry_id if position else None,
        "before": one.before,
        "after": position.on_stock if position else None,
        "available": position.available if position else None,
        "at": moment,
    }


def _order(row: Any) -> StoredOrder:
    return StoredOrder(row.order_id, row.status, row.modified_at, row.content, row.hash, row.recheck)
