"""What becomes of kiosk orders in commercetools: the queue of captures, their outcome, and what Cloudshelf was told.

Every kiosk order has a row from the transaction that stored it. It is at every moment waiting, being sent, captured,
in review or excluded, and unless it is captured the row says why. One owner at a time works on an order; where the
owner's lease ends, another takes over. What is about to be sent is noted before, so that whoever takes over looks into
commercetools first.

A row's revision grows with every change of the order and every word of a person. An outcome names the revision that it
is about, so that it cannot take a change off the list that came meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, exists, func, literal, or_, select, update
from sqlalchemy.sql import ColumnElement

from cogent_ops.domain.order_states import OVERDUE
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import kiosk_order, order_capture, order_contact
from cogent_ops.store.sql import Values, chunks, now, pages, upsert

#: Name among the edits of the word that an order is to be captured although it was sold before the start.
WANTED = "wanted"

_C, _K, _T = order_capture.c, kiosk_order.c, order_contact.c


class CaptureState(StrEnum):
    """Where an order stands."""

    WAITING = "waiting"
    SENDING = "sending"
    CAPTURED = "captured"
    REVIEW = "review"
    EXCLUDED = "excluded"


class Origin(StrEnum):
    """Who made the commercetools order."""

    KIOSK = "kiosk"
    """This package."""
    SHOP = "shop"
    """The web shop, of a basket that was handed over by QR code."""
    HAND = "hand"
    """A person."""


@dataclass(frozen=True)
class Capture:
    """An order's row. Statuses are Cloudshelf's; money is in minor units of ``currency``.

    :param status: as read last.
    :param due_at: when to look at it next; ``None``: when it changes.
    :param attempts: how often it was claimed since it last got anywhere.
    :param draft_hash: of the order's content as it was about to be sent.
    :param captured_status: the status that the commercetools order stands for by now.
    :param shop_status: what the commercetools order says, seen from there.
    :param edits: what a person has set right, by name; no personal data.
    :param decided_by: the person who spoke last.
    :param confirmed_at: when it was first seen to be a sale, by Cloudshelf's clock.
    """

    order_id: str
    order_number: str
    status: str
    state: CaptureState
    reason: str | None
    due_at: datetime | None
    owner: str | None
    attempts: int
    revision: int
    draft_hash: str | None
    origin: Origin | None
    ct_order_id: str | None
    payment_id: str | None
    captured_status: str | None
    shop_status: str | None
    told_status: str | None
    told_id: str | None
    tell_at: datetime | None
    tell_attempts: int
    place: str
    currency: str | None
    total: int | None
    units: int
    edits: Mapping[str, str]
    decided_by: str | None
    ordered_at: datetime
    changed_at: datetime
    confirmed_at: datetime | None
    captured_at: datetime | None


@dataclass(frozen=True)
class Work:
    """A claimed order with what is known of it.

    :param content: see :func:`cogent_ops.domain.orders.kept`.
    """

    capture: Capture
    content: Mapping[str, Any]
    email: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Queued:
    """An order as a poll has just read it.

    :param state: where it stands as far as the order alone tells, with the reason and the time of the next look.
        One that somebody holds, or that was captured, is only looked at again.
    :param changed: whether its content has changed as far as capture is concerned.
    :param renamed: whether another system has given it a name, which matters until it is captured.
    :param email: kept until the order is captured; ``None``: none is given, or none may be kept.
    """

    order_id: str
    order_number: str
    status: str
    state: CaptureState
    reason: str
    due_at: datetime | None
    place: str
    currency: str | None
    units: int
    ordered_at: datetime
    changed_at: datetime
    confirmed_at: datetime | None
    changed: bool
    renamed: bool = False
    email: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Ahead:
    """What is about to be sent."""

    order_id: str
    draft_hash: str
    currency: str
    total: int
    units: int


@dataclass(frozen=True)
class Landed:
    """The commercetools order of a kiosk order.

    :param status: the kiosk order's status that it stands for.
    :param shop_status: what it says itself, where it was not we who made it.
    :param told_id: its name where Cloudshelf knows it already.
    :param tell: whether Cloudshelf should hear of it.
    """

    ct_order_id: str
    origin: Origin
    status: str
    payment_id: str | None = None
    currency: str | None = None
    total: int | None = None
    shop_status: str | None = None
    told_id: str | None = None
    tell: bool = True


@dataclass(frozen=True)
class Settled:
    """What became of a claimed order.

    :param revision: the one that was claimed; what changed since stays on the list.
    :param is_retry: nothing was settled; it is to be tried again at ``due_at``, later each time.
    :param landed: where it has, or still has, a commercetools order.
    :param edits: to be added to what is set right about it.
    """

    order_id: str
    revision: int
    state: CaptureState
    reason: str | None = None
    due_at: datetime | None = None
    is_retry: bool = False
    landed: Landed | None = None
    edits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Accounting:
    """Kiosk orders by what became of them; all numbers together are ``seen``.

    :param money: totals of captured orders by currency, in minor units.
    :param unexplained: orders without a reason to be where they are; more than none is a fault of this package.
    :param oldest: when the oldest order that waits was placed.
    """

    seen: int
    captured: int
    waiting: Mapping[str, int]
    review: Mapping[str, int]
    excluded: Mapping[str, int]
    unexplained: int
    money: Mapping[str, int]
    oldest: datetime | None


#: The columns that :func:`as_capture` reads.
FIELDS = tuple(_C[name] for name in Capture.__dataclass_fields__)


class Captures:
    """The orders of all links on their way to commercetools."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # The queue

    def queue(self, conn: Connection, link: str, orders: Iterable[Queued]) -> int:
        """Note orders in the transaction that stores them; returns how many there is something to do about.

        One that is known, and neither changed nor of another status than before, stays as it is.
        """
        by_id = {one.order_id: one for one in orders}
        known = {row.order_id: row for row in locked(conn, link, by_id)}
        moment = now()
        new = [_new(link, one, moment) for id_, one in by_id.items() if id_ not in known]
        if new:
            upsert(conn, order_capture, new)
        changed = [
            _requeued(known[id_], one, moment)
            for id_, one in by_id.items()
            if id_ in known and _is_news(known[id_], one)
        ]
        change(conn, link, changed)
        captured = {id_ for id_, row in known.items() if row.state == CaptureState.CAPTURED}
        self._keep_contacts(conn, link, [one for one in by_id.values() if one.order_id not in captured])
        return sum(row["due_at"] is not None for row in new) + sum(
            row["to_due_at"] is not None for row in changed
        )

    def _keep_contacts(self, conn: Connection, link: str, orders: Iterable[Queued]) -> None:
        moment = now()
        rows: list[Values] = [
            {"link": link, "order_id": one.order_id, "email": one.email, "updated_at": moment}
            for one in orders
            if one.email
        ]
        upsert(conn, order_contact, rows)

    def unqueued(self, link: str, limit: int) -> list[Mapping[str, Any]]:
        """Contents of stored orders that have no row here, as a release before this one left them."""
        has_row = exists().where(_C.link == _K.link, _C.order_id == _K.order_id)
        query = select(_K.content).where(_K.link == link, ~has_row).order_by(_K.modified_at).limit(limit)
        with self._database.read() as conn:
            return list(conn.execute(query).scalars())

    def reopen(self, conn: Connection, link: str, order_ids: Iterable[str], old: str, new: str) -> int:
        """Let orders be looked at that are excluded for a reason; returns how many.

        :param old: that reason.
        :param new: why they wait instead; also noted for good, see :data:`WANTED`.
        """
        moment = now()
        rows: list[Values] = [
            {
                "id": row.order_id,
                "to_state": CaptureState.WAITING,
                "to_reason": new,
                "to_due_at": moment,
                "to_revision": row.revision + 1,
                "to_edits": {**row.edits, WANTED: new},
                "to_updated_at": moment,
            }
            for row in locked(conn, link, order_ids)
            if row.state == CaptureState.EXCLUDED and row.reason == old
        ]
        change(conn, link, rows)
        return len(rows)

    def changed_between(self, link: str, start: datetime, end: datetime) -> list[str]:
        """Ids of stored orders that Cloudshelf changed last at or after ``start`` and before ``end``."""
        query = select(_K.order_id).where(_K.link == link, _K.modified_at >= start, _K.modified_at < end)
        with self._database.read() as conn:
            return list(conn.execute(query.order_by(_K.modified_at)).scalars())

    def compared(self, link: str, since: datetime) -> Iterator[Capture]:
        """Orders that were placed since a moment, and older ones that there still is something to do about."""
        either = or_(_C.ordered_at >= since, _C.due_at.is_not(None))
        query = select(*FIELDS).where(_C.link == link, either)
        return map(as_capture, pages(self._database, query, _C.order_id))

    def captured_between(self, link: str, start: datetime, end: datetime) -> int:
        """How many orders that were placed at or after ``start`` and before ``end`` are in commercetools."""
        captured = and_(_C.link == link, _C.state == CaptureState.CAPTURED)
        query = select(func.count()).where(captured, _C.ordered_at >= start, _C.ordered_at < end)
        with self._database.read() as conn:
            return int(conn.execute(query).scalar_one())

    def claim(
        self,
        link: str,
        owner: str,
        moment: datetime,
        *,
        limit: int,
        lease_seconds: float,
        only: Collection[str] | None = None,
    ) -> list[Work]:
        """Take orders whose time has come by a moment, the one that has waited longest first.

        :param owner: who asks; unique per try of a task.
        :param lease_seconds: so long nobody else takes them.
        :param only: of these orders alone.
        """
        with self._database.begin() as conn:
            epoch = self._database.epoch(conn)
            due = select(_C.order_id).where(_is_due(link, moment, epoch))
            parts = [None] if only is None else list(chunks(sorted(only)))
            ids: list[str] = []
            for part in parts:
                query = due if part is None else due.where(_C.order_id.in_(part))
                ordered = query.order_by(_C.due_at, _C.order_id).limit(limit - len(ids))
                ids += conn.execute(ordered.with_for_update(skip_locked=True)).scalars()
                if len(ids) >= limit:
                    break
            for chunk in chunks(ids):
                taking = update(order_capture).where(_C.link == link, _C.order_id.in_(chunk))
                held: Values = {"owner": owner, "lease_until": epoch + lease_seconds}
                conn.execute(taking.values(**held, attempts=_C.attempts + 1))
            return self._works(conn, link, ids)

    def work(self, conn: Connection, link: str, order_id: str) -> Work | None:
        """An order as :meth:`claim` gives it, without claiming it; ``None`` when there is none."""
        return next(iter(self._works(conn, link, [order_id])), None)

    def _works(self, conn: Connection, link: str, ids: Sequence[str]) -> list[Work]:
        found: dict[str, Work] = {}
        joined = order_capture.join(
            kiosk_order, and_(_K.link == _C.link, _K.order_id == _C.order_id)
        ).outerjoin(order_contact, and_(_T.link == _C.link, _T.order_id == _C.order_id))
        for chunk in chunks(ids):
            query = select(*FIELDS, _K.content.label("content"), _T.email.label("email"))
            for row in conn.execute(query.select_from(joined).where(_C.link == link, _C.order_id.in_(chunk))):
                found[row.order_id] = Work(as_capture(row), row.content, row.email)
        return [found[id_] for id_ in ids if id_ in found]

    def ahead(self, link: str, owner: str, rows: Iterable[Ahead], lease_seconds: float) -> set[str]:
        """Note what is about to be sent, and extend the leases.

        :return: the orders that still are the owner's; send no others.
        """
        wanted = {one.order_id: one for one in rows}
        with self._database.begin() as conn:
            kept = self._owned(conn, link, owner, wanted)
            until, moment = self._database.epoch(conn) + lease_seconds, now()
            changes: list[Values] = [
                {
                    "id": id_,
                    "to_state": CaptureState.SENDING,
                    "to_draft_hash": wanted[id_].draft_hash,
                    "to_currency": wanted[id_].currency,
                    "to_total": wanted[id_].total,
                    "to_units": wanted[id_].units,
                    "to_lease_until": until,
                    "to_updated_at": moment,
                }
                for id_ in kept
            ]
            change(conn, link, changes)
        return set(kept)

    def renew(self, link: str, owner: str, order_ids: Iterable[str], lease_seconds: float) -> set[str]:
        """Extend leases; returns the orders that still are the owner's."""
        with self._database.begin() as conn:
            kept = self._owned(conn, link, owner, order_ids)
            until = self._database.epoch(conn) + lease_seconds
            for chunk in chunks(kept):
                mine = update(order_capture).where(_C.link == link, _C.order_id.in_(chunk))
                conn.execute(mine.values(lease_until=until))
        return set(kept)

    def hand_back(self, link: str, owner: str, order_ids: Iterable[str]) -> None:
        """Give up leases, so that anybody may go on at once."""
        with self._database.begin() as conn:
            for chunk in chunks(self._owned(conn, link, owner, order_ids)):
                mine = update(order_capture).where(_C.link == link, _C.order_id.in_(chunk))
                conn.execute(mine.values(owner=None, lease_until=0.0))

    def settle(self, conn: Connection, link: str, owner: str, outcomes: Iterable[Settled]) -> set[str]:
        """Note what became of orders, and give up their leases.

        :return: the orders that still were the owner's; of the others nothing was noted.
        """
        by_id = {one.order_id: one for one in outcomes}
        kept = self._owned(conn, link, owner, by_id)
        moment = now()
        rows = [_outcome(by_id[id_], row, moment) for id_, row in kept.items()]
        if rows:
            conn.execute(_settling(link), rows)
        return set(kept)

    def has_due(self, link: str, moment: datetime) -> bool:
        """Whether a round would find something to do."""
        with self._database.read() as conn:
            due = select(exists().where(_is_due(link, moment, self._database.epoch(conn))))
            return bool(conn.execute(due).scalar_one())

    # Looking orders up

    def get(self, conn: Connection, link: str, order_id: str, *, lock: bool = False) -> Capture | None:
        """One order; ``None`` when there is none.

        :param lock: nobody else changes it until the transaction ends.
        """
        if lock:
            rows = locked(conn, link, [order_id])
        else:
            rows = list(conn.execute(select(*FIELDS).where(_C.link == link, _C.order_id == order_id)))
        return next(map(as_capture, rows), None)

    def by_ids(self, conn: Connection, link: str, order_ids: Iterable[str]) -> dict[str, Capture]:
        """Orders by Cloudshelf's id, of those that there are."""
        return {one.order_id: one for one in self._where_in(conn, link, _C.order_id, order_ids)}

    def by_ct_orders(self, conn: Connection, link: str, ct_order_ids: Iterable[str]) -> dict[str, Capture]:
        """Orders by the commercetools order's id, of those that there are."""
        found = self._where_in(conn, link, _C.ct_order_id, ct_order_ids)
        return {str(one.ct_order_id): one for one in found}

    def by_numbers(self, conn: Connection, link: str, order_numbers: Iterable[str]) -> dict[str, Capture]:
        """Orders by order number, of those that there are."""
        return {one.order_number: one for one in self._where_in(conn, link, _C.order_number, order_numbers)}

    def content(self, conn: Connection, link: str, order_id: str) -> Mapping[str, Any] | None:
        """What is kept of an order; ``None`` when there is none."""
        query = select(_K.content).where(_K.link == link, _K.order_id == order_id)
        found: Mapping[str, Any] | None = conn.execute(query).scalar_one_or_none()
        return found

    def contact(self, conn: Connection, link: str, order_id: str) -> str | None:
        """The customer's e-mail address, where one is kept. It belongs into no log, message or XCom."""
        query = select(_T.email).where(_T.link == link, _T.order_id == order_id)
        return conn.execute(query).scalar_one_or_none()

    def _where_in(
        self, conn: Connection, link: str, column: ColumnElement[str], values: Iterable[str]
    ) -> list[Capture]:
        found: list[Capture] = []
        for chunk in chunks(sorted(set(values))):
            query = select(*FIELDS).where(_C.link == link, column.in_(chunk))
            found += map(as_capture, conn.execute(query))
        return found

    def _owned(
        self, conn: Connection, link: str, owner: str, order_ids: Iterable[str]
    ) -> dict[str, Row[Any]]:
        """Rows of those of the orders that are the owner's, locked. That its lease ended alone does not matter."""
        return {row.order_id: row for row in locked(conn, link, order_ids) if row.owner == owner}

    # Accounting

    def accounting(
        self, link: str, since: datetime | None = None, until: datetime | None = None
    ) -> Accounting:
        """What became of the orders that were placed at or after ``since`` and before ``until``."""
        with self._database.read() as conn:
            epoch = self._database.epoch(conn)
            state = case((is_stranded(epoch), literal("unexplained")), else_=_C.state)
            kind = func.coalesce(_C.reason, "")
            query = (
                select(state, kind, _C.currency, func.count(), func.sum(_C.total), func.min(_C.ordered_at))
                .where(_C.link == link, *_between(_C.ordered_at, since, until))
                .group_by(state, kind, _C.currency)
            )
            rows = conn.execute(query).all()
            has_row = exists().where(_C.link == _K.link, _C.order_id == _K.order_id)
            lacking = select(func.count()).where(
                _K.link == link, ~has_row, *_between(_K.modified_at, since, until)
            )
            missing = int(conn.execute(lacking).scalar_one())
        return _summed([tuple(row) for row in rows], missing)


def locked(conn: Connection, link: str, order_ids: Iterable[str]) -> list[Row[Any]]:
    """Rows of those orders that there are, locked in the order in which every transaction locks them."""
    rows: list[Row[Any]] = []
    for chunk in chunks(sorted(set(order_ids))):
        query = select(*FIELDS).where(_C.link == link, _C.order_id.in_(chunk))
        rows += conn.execute(query.order_by(_C.order_id).with_for_update())
    return rows


def change(conn: Connection, link: str, rows: Sequence[Values]) -> None:
    """Change orders.

    :param rows: the order's ``id`` with ``to_<column>`` for every column to set, the same ones in each.
    """
    if not rows:
        return
    values: Values = {name.removeprefix("to_"): bindparam(name) for name in rows[0] if name != "id"}
    changing = update(order_capture).where(_C.link == link, _C.order_id == bindparam("id"))
    conn.execute(changing.values(values), rows)


def _is_due(link: str, moment: datetime, epoch: float) -> ColumnElement[bool]:
    return and_(_C.link == link, _C.due_at <= moment, _C.lease_until <= epoch)


def is_stranded(epoch: float) -> ColumnElement[bool]:
    """Whether an order stands where it is for no reason: nobody looks at it, or it does not say why."""
    under_way = _C.state.in_((CaptureState.WAITING, CaptureState.SENDING))
    is_late = or_(_C.due_at.is_(None), _C.due_at < now() - OVERDUE)
    mute = and_(_C.state != CaptureState.CAPTURED, _C.reason.is_(None))
    return or_(and_(under_way, _C.lease_until <= epoch, is_late), mute)


def _between(
    column: ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    return [
        *([column >= since] if since is not None else ()),
        *([column < until] if until is not None else ()),
    ]


def _summed(rows: Iterable[tuple[Any, ...]], missing: int) -> Accounting:
    counts: dict[str, dict[str, int]] = {}
    money: dict[str, int] = {}
    waiting_since: list[datetime] = []
    for state, reason, currency, count, total, oldest in rows:
        what = "waiting" if state == CaptureState.SENDING else state
        # What stands behind a colon concerns one order alone.
        by_reason, why = counts.setdefault(what, {}), reason.partition(":")[0]
        by_reason[why] = by_reason.get(why, 0) + count
        if what == CaptureState.CAPTURED and currency:
            money[currency] = money.get(currency, 0) + int(total or 0)
        if what == CaptureState.WAITING:
            waiting_since.append(oldest)
    return Accounting(
        seen=missing + sum(sum(by_reason.values()) for by_reason in counts.values()),
        captured=sum(counts.get("captured", {}).values()),
        waiting=counts.get("waiting", {}),
        review=counts.get("review", {}),
        excluded=counts.get("excluded", {}),
        unexplained=missing + sum(counts.get("unexplained", {}).values()),
        money=money,
        oldest=min(waiting_since, default=None),
    )


def as_capture(row: Any) -> Capture:
    """A row with :data:`FIELDS`."""
    values = {name: row._mapping[name] for name in Capture.__dataclass_fields__}
    origin = values["origin"]
    return Capture(
        **{
            **values,
            "state": CaptureState(values["state"]),
            "origin": None if origin is None else Origin(origin),
        }
    )


def _new(link: str, one: Queued, moment: datetime) -> Values:
    return {
        "link": link,
        "order_id": one.order_id,
        "order_number": one.order_number,
        "status": one.status,
        "state": one.state,
        "reason": one.reason,
        "due_at": one.due_at,
        "lease_until": 0.0,
        "attempts": 0,
        "revision": 1,
        "tell_attempts": 0,
        "place": one.place,
        "currency": one.currency,
        "units": one.units,
        "edits": {},
        "ordered_at": one.ordered_at,
        "changed_at": one.changed_at,
        "confirmed_at": one.confirmed_at,
        "updated_at": moment,
    }


def _is_news(row: Row[Any], one: Queued) -> bool:
    """Whether there is something to do about a known order."""
    is_renamed = one.renamed and row.state != CaptureState.CAPTURED
    return one.changed or is_renamed or one.status != row.status


def _requeued(row: Row[Any], one: Queued, moment: datetime) -> Values:
    """A known order that has changed. Only one that nobody has begun with, or judged, is where the order says."""
    is_untouched = (
        row.owner is None
        and row.decided_by is None
        and row.state in (CaptureState.WAITING, CaptureState.EXCLUDED)
    )
    state, reason, due_at = (
        (one.state, one.reason, one.due_at) if is_untouched else (row.state, row.reason, moment)
    )
    is_captured = row.state == CaptureState.CAPTURED
    return {
        "id": row.order_id,
        "to_status": one.status,
        "to_state": state,
        "to_reason": reason,
        "to_due_at": due_at,
        "to_revision": row.revision + 1,
        "to_attempts": 0,
        "to_place": row.place if is_captured else one.place,
        "to_currency": row.currency if is_captured else one.currency,
        "to_units": row.units if is_captured else one.units,
        "to_changed_at": one.changed_at,
        "to_confirmed_at": row.confirmed_at or one.confirmed_at,
        "to_updated_at": moment,
    }


def _settling(link: str) -> Any:
    """UPDATE of one settled order for each set of parameters of :func:`_outcome`."""

    def given_or(column: Any) -> ColumnElement[Any]:
        return func.coalesce(bindparam(f"to_{column.name}", type_=column.type), column)

    kept = (
        *("origin", "ct_order_id", "payment_id", "captured_status", "shop_status", "told_id"),
        *("currency", "total", "tell_at"),
    )
    is_same = _C.revision == bindparam("seen")
    due_at = bindparam("to_due_at", type_=_C.due_at.type)
    return (
        update(order_capture)
        .where(_C.link == link, _C.order_id == bindparam("id"))
        .values(
            state=bindparam("to_state"),
            reason=bindparam("to_reason"),
            due_at=case((is_same, due_at), else_=_C.due_at),
            attempts=case((bindparam("retry", type_=_C.attempts.type) == 1, _C.attempts), else_=0),
            edits=bindparam("to_edits"),
            owner=None,
            lease_until=0.0,
            # The first capture counts, however often the order changes afterwards.
            captured_at=func.coalesce(_C.captured_at, bindparam("to_captured_at", type_=_C.captured_at.type)),
            updated_at=bindparam("to_updated_at"),
            **{name: given_or(_C[name]) for name in kept},
        )
    )


def _outcome(one: Settled, row: Row[Any], moment: datetime) -> Values:
    landed = one.landed
    return {
        "id": one.order_id,
        "seen": one.revision,
        "retry": int(one.is_retry),
        "to_state": one.state,
        "to_reason": one.reason,
        "to_due_at": one.due_at,
        "to_edits": {**row.edits, **one.edits},
        "to_origin": landed.origin if landed else None,
        "to_ct_order_id": landed.ct_order_id if landed else None,
        "to_payment_id": landed.payment_id if landed else None,
        "to_captured_status": landed.status if landed else None,
        "to_shop_status": landed.shop_status if landed else None,
        "to_told_id": landed.told_id if landed else None,
        "to_currency": landed.currency if landed else None,
        "to_total": landed.total if landed else None,
        "to_tell_at": moment if landed and landed.tell else None,
        "to_captured_at": moment if landed else None,
        "to_updated_at": moment,
    }
