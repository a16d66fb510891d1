"""How old data is and how much of it waits, measured in the tables that the flows work on; for reading only.

Each number is one statement that finds its rows by an index: a check must cost seconds also after the busiest hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, text
from sqlalchemy.sql import FromClause

from cogent_ops.domain.exceptions import DECIDED, HELD_ORDERS, OPEN, Kind, Status, order_cause
from cogent_ops.domain.health.freshness import Arrived, Waiting
from cogent_ops.domain.health.model import Queue
from cogent_ops.domain.money import Money
from cogent_ops.domain.stock import MovementState, Source
from cogent_ops.store.availability import FLAG_DUE, LEVEL_DUE
from cogent_ops.store.bucket import Bucket
from cogent_ops.store.budget import read_buckets
from cogent_ops.store.drift import FindingState, StoredNight
from cogent_ops.store.engine import Database
from cogent_ops.store.exceptions import drill_clause
from cogent_ops.store.orders import CaptureState, Origin
from cogent_ops.store.schema import (
    drift_finding,
    drift_night,
    exception,
    kiosk_order,
    movement,
    order_capture,
    product_state,
    stock_batch,
    stock_level,
    sync_run,
    variant_flag,
    watermark,
)
from cogent_ops.store.sql import seconds_between

_M, _B, _C, _K = movement.c, stock_batch.c, order_capture.c, kiosk_order.c
_L, _F, _P, _R, _E, _W = (
    stock_level.c,
    variant_flag.c,
    product_state.c,
    sync_run.c,
    exception.c,
    watermark.c,
)
_D, _N = drift_finding.c, drift_night.c


class Measures:
    """Measures all links. ``since`` and ``lately`` are the moments from which arrivals count."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def marks(self, link: str) -> dict[str, datetime]:
        """All watermarks of a link: when what happened last."""
        query = select(_W.flow, _W.value).where(_W.link == link)
        with self._database.read() as conn:
            return {row.flow: row.value for row in conn.execute(query)}

    # Stock

    def stock_waiting(self, link: str, project: str) -> Waiting:
        """Movements of a link that commercetools does not have."""
        # In these words, SQLite takes the indexes of just these rows.
        inbox = (
            select(_M.state, func.count(), func.min(_M.recorded_at))
            .where(_M.project == project, _M.link.concat("") == link, text("state IN ('waiting', 'review')"))
            .group_by(_M.state)
        )
        sent = (
            select(_B.state, func.count(), func.min(_M.recorded_at))
            .select_from(stock_batch.join(movement, _M.batch_id == _B.id))
            .where(
                _B.project == project,
                text("stock_batch.state <> 'applied'"),
                # Not by the link's index: there are few batches, and many movements.
                _M.link.concat("") == link,
                _M.state == MovementState.BATCHED,
            )
            .group_by(_B.state)
        )
        with self._database.read() as conn:
            found = {
                state: (count, oldest)
                for query in (inbox, sent)
                for state, count, oldest in conn.execute(query)
            }
        none = (0, None)
        waiting, under_way = found.get("waiting", none), found.get("open", none)
        parked, review = found.get("parked", none), found.get("review", none)
        return Waiting(
            waiting=waiting[0] + under_way[0] + parked[0],
            refused=parked[0],
            review=review[0],
            oldest=_earliest(waiting[1], under_way[1]),
            oldest_refused=parked[1],
        )

    def stock_arrived(self, link: str, project: str, since: datetime, lately: datetime) -> Arrived:
        """Movements that reached commercetools, from the sale (by Cloudshelf's clock), or the hand-in of a file."""
        settled = (
            _M.project == project,
            _M.settled_at >= since,
            _M.link == link,
            _M.state == MovementState.APPLIED,
        )
        began = case((_M.source == Source.KIOSK_ORDER, _M.occurred_at), else_=_M.recorded_at)
        return self._arrived(movement, began, _M.settled_at, lately, *settled)

    # Availability

    def availability_waiting(self, link: str) -> Waiting:
        """Levels and flags that kiosks were told otherwise, or not at all."""
        with self._database.read() as conn:
            levels = _untold(conn, stock_level, _L.refusals > 0, _L.wanted_at, _L.link == link, LEVEL_DUE)
            flags = _untold(conn, variant_flag, _F.refusals > 0, _F.wanted_at, _F.link == link, FLAG_DUE)
        return Waiting(
            waiting=levels.waiting + flags.waiting,
            refused=levels.refused + flags.refused,
            oldest=_earliest(levels.oldest, flags.oldest),
            oldest_refused=_earliest(levels.oldest_refused, flags.oldest_refused),
        )

    def availability_arrived(self, link: str, since: datetime, lately: datetime) -> Arrived:
        """Levels that kiosks were told, from the moment in which it was known what they should be."""
        told = (_L.link == link, _L.told_at >= since, _L.told_at >= _L.wanted_at)
        return self._arrived(stock_level, _L.wanted_at, _L.told_at, lately, *told)

    # Orders

    def orders_waiting(self, link: str, now: datetime) -> Waiting:
        """Kiosk orders that are a sale, or have changed since they were captured, and wait for nobody but us."""
        captured = and_(_C.state == CaptureState.CAPTURED, _C.due_at <= now)
        under_way = and_(
            _C.state.in_((CaptureState.WAITING, CaptureState.SENDING)), _C.confirmed_at.is_not(None)
        )
        # What a person let go on was not late before, and an order that was read late waits since it was read.
        since = case(
            (_C.decided_by.is_not(None), _C.updated_at),
            (captured, _C.changed_at),
            (_K.first_seen > _C.confirmed_at, _K.first_seen),
            else_=_C.confirmed_at,
        )
        joined = order_capture.join(kiosk_order, and_(_K.link == _C.link, _K.order_id == _C.order_id))
        query = (
            select(func.count(), func.min(since))
            .select_from(joined)
            .where(_C.link == link, _C.due_at.is_not(None), or_(captured, under_way))
        )
        # An order in review has an exception, and those that are open are found by an index.
        review = self.open_by_kind(link, HELD_ORDERS).total()
        with self._database.read() as conn:
            count, oldest = conn.execute(query).one()
            return Waiting(waiting=count, review=review, oldest=oldest)

    def orders_arrived(self, link: str, since: datetime, lately: datetime) -> Arrived:
        """Orders that reached commercetools through us, from the moment in which they were a sale.

        Those that a person had to look at first are left out: their time was not ours.
        """
        captured = (
            _C.link == link,
            _C.captured_at >= since,
            _C.origin == Origin.KIOSK,
            _C.confirmed_at.is_not(None),
            _C.decided_by.is_(None),
        )
        return self._arrived(order_capture, _C.confirmed_at, _C.captured_at, lately, *captured)

    def status_waiting(self, link: str) -> Waiting:
        """Captured orders of which Cloudshelf is to be told something, those that it refuses apart.

        What a person has decided to leave as it is waits for nobody, although it is still tried now and then.
        """
        # Whoever takes one up moves its time on, so one that was tried waits at least since it was changed last.
        since = case((_C.tell_attempts > 0, _C.updated_at), else_=_C.tell_at)
        # Attempts do not tell: a call that fails as a whole counts as one for each order in it.
        refusal = and_(
            _E.link == _C.link,
            _E.kind == Kind.STATUS_REFUSED,
            _E.cause_key == order_cause("") + _C.order_id,
        )
        due = (
            _C.link == link,
            _C.tell_at.is_not(None),
            _C.ct_order_id.is_not(None),
            or_(_E.status.is_(None), _E.status.not_in(DECIDED)),
        )
        with self._database.read() as conn:
            joined = order_capture.outerjoin(exception, refusal)
            return _untold(conn, joined, _E.status.in_(OPEN), since, *due)

    # Catalogue

    def catalogue_arrived(self, link: str, flow: str, modes: Sequence[str], since: datetime) -> Arrived:
        """Products that runs have brought to the kiosks, from their change in commercetools.

        What a run reads again because it lies in the overlap with the run before is no change.

        :param modes: of the runs that read changes.
        """
        began = func.coalesce(_R.window_start, _P.modified_at)
        runs = product_state.join(sync_run, and_(_R.link == _P.link, _R.run_key == _P.run_key))
        done = (
            _P.link == link,
            _P.on_kiosk,
            _R.flow == flow,
            _R.status == "done",
            _R.mode.in_(modes),
            _R.finished_at >= since,
            _P.modified_at >= began,
        )
        return self._arrived(runs, _P.modified_at, _R.finished_at, since, *done)

    def _arrived(
        self,
        source: FromClause,
        began: ColumnElement[Any],
        ended: ColumnElement[Any],
        lately: datetime,
        *where: ColumnElement[bool],
    ) -> Arrived:
        with self._database.read() as conn:
            spans = (
                select(seconds_between(conn, began, ended).label("span"), (ended >= lately).label("is_late"))
                .select_from(source)
                .where(*where)
                .cte("spans")
            )
            counts = select(func.count(), func.count(case((spans.c.is_late, 1))))
            done, recent = conn.execute(counts.select_from(spans)).one()
            if not done:
                return Arrived()
            place = func.row_number().over(order_by=spans.c.span).label("place")
            ranked = select(spans.c.span, place).subquery()
            wanted = select(ranked.c.span).where(ranked.c.place.in_(_places(done))).order_by(ranked.c.place)
            found = list(conn.execute(wanted).scalars())
        # Clocks differ a little: nothing arrives before it was sent.
        return Arrived(done, recent, max(0.0, found[0]), max(0.0, found[-1]))

    # Nights

    def last_night(self, link: str) -> StoredNight | None:
        """The last night that was compared; one that was made up for later says nothing of the present."""
        wanted = (_N.link == link, _N.finished_at.is_not(None), ~_N.backfilled)
        query = select(drift_night).where(*wanted).order_by(_N.night.desc()).limit(1)
        with self._database.read() as conn:
            row = conn.execute(query).one_or_none()
        return None if row is None else StoredNight(**row._mapping)

    def proposals(self, link: str) -> int:
        """Differences that wait for a person's yes or no."""
        query = select(func.count()).where(_D.link == link, _D.state == FindingState.PROPOSED)
        with self._database.read() as conn:
            return int(conn.execute(query).scalar_one())

    # What people have before them, and what APIs bear

    def queues(self, link: str, now: datetime) -> list[Queue]:
        """Open exceptions by owner; drills are none."""
        is_open = (_E.link == link, _E.status.in_(OPEN), ~drill_clause(_E.cause_key))
        is_overdue = and_(_E.status == Status.NEW, _E.deadline < now)
        counts = select(
            _E.owner, func.count(), func.count(case((is_overdue, 1))), func.min(_E.opened_at)
        ).where(*is_open)
        money = select(_E.owner, _E.currency, func.sum(_E.amount)).where(
            *is_open, _E.amount.is_not(None), _E.currency.is_not(None)
        )
        with self._database.read() as conn:
            stakes: dict[str, list[Money]] = {}
            by_currency = money.group_by(_E.owner, _E.currency).order_by(_E.owner, _E.currency)
            for owner, currency, cents in conn.execute(by_currency):
                stakes.setdefault(owner, []).append(Money(currency, int(cents)))
            return [
                Queue(
                    owner=owner,
                    open=count,
                    overdue=late,
                    oldest=oldest,
                    at_stake=tuple(stakes.get(owner, ())),
                )
                for owner, count, late, oldest in conn.execute(counts.group_by(_E.owner).order_by(_E.owner))
            ]

    def open_by_place(self, link: str) -> Counter[str]:
        """Open exceptions by the store, as they name it; drills are none."""
        query = select(_E.place, func.count()).where(
            _E.link == link, _E.status.in_(OPEN), _E.place != "", ~drill_clause(_E.cause_key)
        )
        with self._database.read() as conn:
            return Counter({row[0]: row[1] for row in conn.execute(query.group_by(_E.place))})

    def open_by_kind(self, link: str, kinds: Iterable[Kind]) -> Counter[str]:
        """Open exceptions of some kinds."""
        query = select(_E.kind, func.count()).where(
            _E.link == link, _E.status.in_(OPEN), _E.kind.in_(list(kinds)), ~drill_clause(_E.cause_key)
        )
        with self._database.read() as conn:
            return Counter({row[0]: row[1] for row in conn.execute(query.group_by(_E.kind))})

    def budgets(self, targets: Iterable[str]) -> tuple[float, Mapping[str, Bucket]]:
        """Now by the clock of the rate budgets, and the bucket of each target that was ever used."""
        with self._database.read() as conn:
            return self._database.epoch(conn), read_buckets(conn, targets)


def _untold(
    conn: Connection,
    source: FromClause,
    refused: ColumnElement[bool],
    since: ColumnElement[Any],
    *due: ColumnElement[bool],
) -> Waiting:
    """What is still to be told; what the other side refuses apart."""
    columns = (
        func.count(),
        func.count(case((refused, 1))),
        func.min(case((refused, None), else_=since)),
        func.min(case((refused, since))),
    )
    query = select(*columns).select_from(source).where(*due)
    count, no, oldest, oldest_refused = conn.execute(query).one()
    return Waiting(waiting=count, refused=no, oldest=oldest, oldest_refused=oldest_refused)


def _places(count: int) -> tuple[int, int]:
    """Where the two percentiles stand in a sorted list, from 1 (nearest rank)."""
    return (count + 1) // 2, (count * 95 + 99) // 100


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
