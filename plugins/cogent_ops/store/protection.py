"""Protection while late: what the ledger says commercetools lacks, and what kiosks are told less for it.

A place is protected from the transaction that tells kiosks less of it to the one that tells them everything again. Each
of the two is written to the audit log in that very transaction, so once, whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    literal_column,
    null,
    select,
    union_all,
    update,
)

from cogent_ops.domain.health.risk import RECENT, Hold, Risk, Settled, Sold, Unsent
from cogent_ops.domain.stock import MovementState, Place, Source
from cogent_ops.store.engine import Database
from cogent_ops.store.ledger import AuditLog, Watermarks
from cogent_ops.store.schema import movement, protection, stock_batch, stock_position, watermark
from cogent_ops.store.sql import Values, chunks, upsert
from cogent_ops.store.stock import IS_OPEN, PLACES_PER_STATEMENT, WAITS, was_counted

#: Who protects, in the audit log.
ACTOR = "protection"
BEGIN, RELEASE = "begin", "release"
BEGIN_LINK, END_LINK = "begin_protection", "end_protection"
#: Watermark that says since when something of a link is protected.
SINCE = "protection_since"

_M, _B, _S, _P = movement.c, stock_batch.c, stock_position.c, protection.c
#: In these words both databases find the partial index, whatever is prepared.
_IS_UNDER_WAY = _B.state != literal_column("'applied'")
#: Since when a unit is on its way. A kiosk's sale counts from the sale; stores' systems may tell of the day before.
_MOVED_AT = case((_M.source == Source.KIOSK_ORDER, _M.occurred_at), else_=_M.recorded_at)


@dataclass(frozen=True)
class Signs:
    """Whether protection has anything to do.

    :param oldest: since when the oldest movement is on its way; ``None``: none is.
    :param orders_read_at: when kiosks' orders were read last; ``None``: never.
    :param is_protecting: whether something is protected.
    """

    oldest: datetime | None
    orders_read_at: datetime | None
    is_protecting: bool

    def is_late(self, now: datetime, limit: timedelta) -> bool:
        """Whether anything is late by more than that."""
        ages = [now - since for since in (self.oldest, self.orders_read_at) if since is not None]
        return max(ages, default=timedelta()) > limit


@dataclass(frozen=True)
class Protected:
    """A place that is protected.

    :param buffer: units that kiosks are told less than its entry had when it was read.
    :param most: the largest buffer so far.
    :param is_ending: nothing is at risk there any more; it is released as soon as its entry was read.
    """

    buffer: int
    most: int
    pending: int
    expected: int
    reserved: int
    since: datetime
    is_ending: bool

    @property
    def besides(self) -> int:
        """Units that are held back by estimate."""
        return self.expected + self.reserved


class Protections:
    """The protection of all links."""

    def __init__(self, database: Database, audit_log: AuditLog, watermarks: Watermarks) -> None:
        self._database, self._log, self._marks = database, audit_log, watermarks

    # What is late

    def signs(self, link: str, project: str, marks: Collection[str]) -> Signs:
        """Whether there is anything to do; one statement.

        :param marks: watermarks that say when kiosks' orders were read.
        """
        moved_at = func.min(_MOVED_AT)
        read_at = select(func.max(watermark.c.value)).where(
            watermark.c.link == link, watermark.c.flow.in_(sorted(marks))
        )
        protecting = _any_row(link)
        query = select(
            select(moved_at).where(_M.project == project, WAITS).scalar_subquery(),
            select(moved_at).select_from(_sent()).where(*_is_sent(project)).scalar_subquery(),
            read_at.scalar_subquery(),
            protecting.scalar_subquery(),
        )
        with self._database.read() as conn:
            waiting, sent, read, is_protecting = conn.execute(query).one()
        oldest = [since for since in (waiting, sent) if since is not None]
        return Signs(min(oldest, default=None), read, is_protecting is not None)

    def unsent(
        self, conn: Connection, project: str, skus: Collection[str] | None = None
    ) -> dict[Place, Unsent]:
        """What commercetools lacks, by place; one statement, so that no movement is seen twice or not at all.

        :param skus: of these only, not more than a statement may name; ``None``: of all.
        """
        # Those in review are left out below: to be told so, SQLite would read the history of the project instead.
        of_waiting: list[ColumnElement[bool]] = [_M.project == project, IS_OPEN, ~was_counted()]
        of_sent = list(_is_sent(project))
        if skus is not None:
            of_waiting.append(_M.sku.in_(sorted(skus)))
            of_sent.append(_B.sku.in_(sorted(skus)))
        units = func.coalesce(func.sum(_M.delta), 0)
        waiting = (
            select(_M.state, _M.sku, _M.channel, null(), units, func.min(_MOVED_AT), literal(0))
            .where(*of_waiting)
            .group_by(_M.state, _M.sku, _M.channel)
        )
        sent = (
            select(
                _B.state,
                _B.sku,
                _B.channel,
                _B.id,
                func.coalesce(_B.delta, units),
                func.min(_MOVED_AT),
                case((_B.state == "parked", 1), else_=0),
            )
            .select_from(_sent())
            .where(*of_sent)
            .group_by(_B.id, _B.sku, _B.channel, _B.delta, _B.state)
        )
        found: dict[Place, Unsent] = {}
        for state, sku, channel, batch, amount, oldest, stuck in conn.execute(union_all(waiting, sent)):
            if state == MovementState.REVIEW:
                continue
            place = Place(sku, channel)
            one = (
                Unsent(place, oldest, waiting=int(amount))
                if batch is None
                else Unsent(place, oldest, batch=batch, sending=int(amount), is_stuck=bool(stuck))
            )
            found[place] = _together(found[place], one) if place in found else one
        return found

    def sold(self, link: str, until: datetime, hours: float) -> dict[Place, Sold]:
        """What kiosks have sold at each place in the hours before a moment."""
        recent = case((_M.occurred_at > until - RECENT, _M.delta), else_=0)
        query = (
            select(_M.sku, _M.channel, -func.sum(_M.delta), -func.sum(recent))
            .where(
                _M.link == link,
                _M.occurred_at > until - timedelta(hours=hours),
                _M.occurred_at <= until,
                _M.source == Source.KIOSK_ORDER,
            )
            .group_by(_M.sku, _M.channel)
        )
        with self._database.read() as conn:
            return {
                Place(sku, channel): Sold(*map(int, units)) for sku, channel, *units in conn.execute(query)
            }

    # What is protected

    def rows(self, link: str) -> dict[Place, Protected]:
        """The places of a link that are protected."""
        with self._database.read() as conn:
            return _protected(conn, select(protection).where(_P.link == link))

    def protected(self, conn: Connection, link: str, skus: Collection[str]) -> dict[Place, Protected]:
        """The protected places of some SKUs, not more than a statement may name."""
        return _protected(conn, select(protection).where(_P.link == link, _P.sku.in_(sorted(skus))))

    def holds(self, conn: Connection, link: str, project: str, skus: Iterable[str]) -> dict[Place, Hold]:
        """What is held back of some SKUs. Read their inventory entries before, never after."""
        found: dict[Place, Hold] = {}
        for chunk in chunks(skus, PLACES_PER_STATEMENT):
            held = self.protected(conn, link, chunk)
            if held:
                found.update(self._holds(conn, project, held))
        return found

    def _holds(
        self, conn: Connection, project: str, held: Mapping[Place, Protected]
    ) -> Iterator[tuple[Place, Hold]]:
        skus = {place.sku for place in held}
        unsent = self.unsent(conn, project, skus)
        last = (
            select(_S.sku, _S.channel, _B.id, _S.read_at, func.coalesce(_B.delta, 0))
            .select_from(stock_position.join(stock_batch, _B.id == _S.batch_id))
            .where(_S.project == project, _S.sku.in_(sorted(skus)))
        )
        settled = {Place(sku, channel): Settled(*what) for sku, channel, *what in conn.execute(last)}
        for place, row in held.items():
            yield place, Hold(unsent.get(place), row.besides, settled.get(place), row.is_ending)

    def sending(self, conn: Connection, project: str, skus: Iterable[str]) -> dict[Place, str]:
        """The batches of some SKUs that are under way, by place."""
        found: dict[Place, str] = {}
        for chunk in chunks(skus):
            query = select(_B.sku, _B.channel, _B.id).where(
                _B.project == project, _IS_UNDER_WAY, _B.sku.in_(chunk)
            )
            found.update((Place(sku, channel), id_) for sku, channel, id_ in conn.execute(query))
        return found

    # Changing it. Whoever calls holds the turn of the link's availability.

    def protect(self, conn: Connection, link: str, risks: Collection[Risk], moment: datetime) -> set[Place]:
        """Protect places, or set their buffers anew.

        :param risks: of places whose SKUs a statement may name.
        :return: those that were not protected before.
        """
        if not risks:
            return set()
        before = self.protected(conn, link, {risk.place.sku for risk in risks})
        begun = [risk for risk in risks if risk.place not in before]
        if begun and not self._is_protecting(conn, link):
            self._marks.set(conn, link, SINCE, moment)
            self._tell(
                conn,
                link,
                BEGIN_LINK,
                {f"link/{link}": {"places": len(begun), "units": sum(risk.units for risk in begun)}},
            )
        upsert(conn, protection, [_row(link, risk, before.get(risk.place), moment) for risk in risks])
        self._tell(conn, link, BEGIN, {_subject(risk.place): _began(risk) for risk in begun})
        return {risk.place for risk in begun}

    def end(self, conn: Connection, link: str, places: Collection[Place], moment: datetime) -> None:
        """Nothing is at risk at these places any more; what kiosks are told follows when they were read."""
        if places:
            ending = update(protection).where(*_is_place(link))
            conn.execute(ending.values(ending=True, updated_at=moment), list(map(_key, places)))

    def in_force(self, conn: Connection, link: str, units: Mapping[Place, int], moment: datetime) -> None:
        """Note by how much kiosks should now be told less, so that the next look finds what has changed since.

        :param units: by protected place, whose SKUs a statement may name.
        """
        rows = self.protected(conn, link, {place.sku for place in units}) if units else {}
        changed = [
            {**_key(place), "now": held, "known": max(0, held - rows[place].besides), "at": moment}
            for place, held in units.items()
            if place in rows and rows[place].buffer != held
        ]
        if changed:
            setting = update(protection).where(*_is_place(link))
            values = {
                "buffer": bindparam("now"),
                "pending": bindparam("known"),
                "most": case((_P.most < bindparam("now"), bindparam("now")), else_=_P.most),
                "updated_at": bindparam("at"),
            }
            conn.execute(setting.values(values), changed)

    def release(self, conn: Connection, link: str, places: Collection[Place], moment: datetime) -> None:
        """Protect places no longer.

        :param places: protected ones, whose SKUs a statement may name.
        """
        if not places:
            return
        known = self.protected(conn, link, {place.sku for place in places})
        gone = [place for place in places if place in known]
        if not gone:
            return
        conn.execute(delete(protection).where(*_is_place(link)), list(map(_key, gone)))
        self._tell(conn, link, RELEASE, {_subject(place): _ended(known[place], moment) for place in gone})
        if not self._is_protecting(conn, link):
            began = select(watermark.c.value).where(watermark.c.link == link, watermark.c.flow == SINCE)
            since = conn.execute(began).scalar_one()
            detail = {"since": since.isoformat(), "seconds": round((moment - since).total_seconds(), 1)}
            self._tell(conn, link, END_LINK, {f"link/{link}": detail})

    def _is_protecting(self, conn: Connection, link: str) -> bool:
        return conn.execute(_any_row(link)).first() is not None

    def _tell(self, conn: Connection, link: str, action: str, details: Mapping[str, Values]) -> None:
        self._log.write_all(conn, ACTOR, action, details, link=link)


def _any_row(link: str) -> Select[int]:
    # Ordered, or PostgreSQL would read other links' rows until it comes to one of this.
    return select(literal(1)).where(_P.link == link).order_by(_P.sku, _P.channel).limit(1)


def _sent() -> Any:
    return stock_batch.join(movement, _M.batch_id == _B.id)


def _is_sent(project: str) -> tuple[ColumnElement[bool], ...]:
    return (_B.project == project, _IS_UNDER_WAY, _M.state == MovementState.BATCHED)


def _together(one: Unsent, other: Unsent) -> Unsent:
    """What waits at a place and what is under way there."""
    sent, waits = (one, other) if one.batch is not None else (other, one)
    oldest = min(one.oldest, other.oldest)
    return Unsent(one.place, oldest, waits.waiting, sent.batch, sent.sending, sent.is_stuck)


def _protected(conn: Connection, query: Select[Any]) -> dict[Place, Protected]:
    return {
        Place(row.sku, row.channel): Protected(
            row.buffer,
            row.most,
            row.pending,
            row.expected,
            row.reserved,
            row.since,
            row.ending,
        )
        for row in conn.execute(query)
    }


def _row(link: str, risk: Risk, before: Protected | None, moment: datetime) -> Values:
    return {
        "link": link,
        "sku": risk.place.sku,
        "channel": risk.place.channel,
        "buffer": risk.buffer,
        "most": risk.buffer if before is None else max(before.most, risk.buffer),
        "pending": risk.pending,
        "expected": risk.expected,
        "reserved": risk.reserved,
        "ending": False,
        "since": moment if before is None else before.since,
        "updated_at": moment,
    }


def _subject(place: Place) -> str:
    return f"protection/{place}"


def _began(risk: Risk) -> Values:
    return {
        "buffer": risk.buffer,
        "pending": risk.pending,
        "expected": risk.expected,
        "reserved": risk.reserved,
        "age_seconds": round(risk.age.total_seconds(), 1),
        **({"rate_per_hour": round(risk.rate, 2)} if risk.expected else {}),
    }


def _ended(row: Protected, moment: datetime) -> Values:
    return {
        "most": row.most,
        "since": row.since.isoformat(),
        "seconds": round((moment - row.since).total_seconds(), 1),
    }


def _is_place(link: str) -> tuple[ColumnElement[bool], ...]:
    return (
        _P.link == link,
        and_(_P.sku == bindparam("the_sku"), _P.channel == bindparam("the_channel")),
    )


def _key(place: Place) -> Values:
    return {"the_sku": place.sku, "the_channel": place.channel}
