"""What the store knows of one place's stock, read for the story of its number. Every query goes by an index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, union
from sqlalchemy.engine import Row

from cogent_ops.domain.drift.model import Area
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.evidence import (
    FlagSaid,
    FoundBefore,
    Ledger,
    LevelSaid,
    Logged,
    Moved,
    Protected,
    Remembered,
    Sent,
    Trouble,
)
from cogent_ops.domain.stock import Place
from cogent_ops.store.drift import finding_of
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import (
    audit_log,
    drift_finding,
    exception,
    movement,
    order_capture,
    protection,
    sku_registry,
    stock_batch,
    stock_level,
    stock_position,
    variant_flag,
)
from cogent_ops.store.sql import chunks

#: So many movements a story reads, the youngest ones; it begins later where there were more.
MOST = 2000
#: So many entries of the audit log, exceptions and findings.
MOST_OTHERS = 200

_M, _B, _P, _F = movement.c, stock_batch.c, stock_position.c, drift_finding.c
#: Kinds whose exceptions name a place, or are few and name the article.
_BY_PLACE = (Kind.OVERSELL, Kind.STOCK_REFUSED)
_BY_TEXT = (Kind.AVAILABILITY_REFUSED, Kind.STOCK_AT_RISK)


class StockStory:
    """Reads what the store knows of a place. For people, who ask about one place at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ledger(self, link: str, project: str, place: Place, since: datetime, *, most: int = MOST) -> Ledger:
        """All that is known of a place.

        :param project: as its rate budget names it; the movements of all links that share it are read.
        :param since: movements that happened or were settled from then on are read, and all that are open.
        :param most: so many movements at most, the youngest.
        """
        with self._database.read() as conn:
            rows, left_out = _movements(conn, project, place, since, most)
            orders = _orders(conn, rows)
            batches = _batches(conn, project, place, rows, since)
            findings = _findings(conn, link, place, since)
            return Ledger(
                movements=tuple(map(_moved, rows)),
                left_out=left_out,
                batches=tuple(map(_sent, batches)),
                remembered=_remembered(conn, project, place),
                level=_level(conn, link, place),
                flag=_flag(conn, link, place.sku),
                protected=_protected(conn, link, place),
                findings=tuple(
                    FoundBefore(finding_of(one), one.created_at, one.state, one.outcome or "")
                    for one in findings
                ),
                troubles=tuple(_troubles(conn, link, place, since)),
                log=tuple(_log(conn, link, place, [one.id for one in findings], since)),
                orders={name: words for name, (words, _) in orders.items()},
                placed={name: at for name, (_, at) in orders.items()},
            )

    def product_of(self, link: str, sku: str) -> str | None:
        """Id in commercetools of the product that carries a SKU, as far as a catalogue run or a push has seen it."""
        f, s = variant_flag.c, sku_registry.c
        queries = (
            select(f.product_id).where(f.link == link, f.sku == sku),
            select(s.product_id).where(s.link == link, s.sku == sku),
        )
        with self._database.read() as conn:
            found = (conn.execute(query.limit(1)).scalar_one_or_none() for query in queries)
            return next((one for one in found if one), None)

    def beginning(self, link: str, project: str, text: str, limit: int) -> list[Place]:
        """Places whose SKU begins so that kiosks are told of, or that were ever moved; the first ones in order."""
        end = text + "\U0010ffff"
        level = stock_level.c
        told = select(level.sku, level.channel).where(level.link == link, level.sku >= text, level.sku < end)
        moved = select(_P.sku, _P.channel).where(_P.project == project, _P.sku >= text, _P.sku < end)
        # Each by its index, so that neither is read as a whole.
        parts = [query.order_by(*query.selected_columns).limit(limit).subquery() for query in (told, moved)]
        both = union(*(select(part) for part in parts)).subquery()
        query = select(both.c.sku, both.c.channel).order_by(both.c.sku, both.c.channel).limit(limit)
        with self._database.read() as conn:
            return [Place(*row) for row in conn.execute(query)]

    def places_of(self, link: str, project: str, sku: str) -> list[Place]:
        """Places of one SKU that kiosks are told of, or that were ever moved."""
        level = stock_level.c
        both = union(
            select(level.sku, level.channel).where(level.link == link, level.sku == sku),
            select(_P.sku, _P.channel).where(_P.project == project, _P.sku == sku),
            select(_M.sku, _M.channel).where(_M.project == project, _M.sku == sku),
        ).subquery()
        with self._database.read() as conn:
            return [Place(*row) for row in conn.execute(select(both).order_by(both.c.channel))]


def _movements(
    conn: Connection, project: str, place: Place, since: datetime, most: int
) -> tuple[Sequence[Row[Any]], int]:
    """Movements, the oldest first, and how many older ones of the time are not among them."""
    here = and_(_M.project == project, _M.sku == place.sku, _M.channel == place.channel)
    mine = and_(here, or_(_M.occurred_at >= since, _M.settled_at >= since, _M.settled_at.is_(None)))
    # What commercetools took last: the story needs every change from some moment on.
    youngest = select(movement).where(mine).order_by(_M.settled_at.desc().nulls_first(), _M.id.desc())
    rows = conn.execute(youngest.limit(most)).all()
    left_out = 0
    if len(rows) == most:
        left_out = int(conn.execute(select(func.count()).where(mine)).scalar_one()) - most
    return sorted(rows, key=lambda row: row.id), left_out


def _batches(
    conn: Connection, project: str, place: Place, rows: Sequence[Row[Any]], since: datetime
) -> list[Row[Any]]:
    """The movements' batches and the one in flight; of those whose movements were not all read, none."""
    found: dict[str, Row[Any]] = {}
    ids = sorted({row.batch_id for row in rows if row.batch_id is not None})
    for chunk in chunks(ids):
        found.update((row.id, row) for row in conn.execute(select(stock_batch).where(_B.id.in_(chunk))))
    in_flight = and_(
        _B.project == project, _B.sku == place.sku, _B.channel == place.channel, _B.state != "applied"
    )
    found.update((row.id, row) for row in conn.execute(select(stock_batch).where(in_flight)))
    held: dict[str, int] = {}
    for row in rows:
        if row.batch_id is not None:
            held[row.batch_id] = held.get(row.batch_id, 0) + 1
    whole = set[str]()
    for chunk in chunks(ids):
        query = select(_M.batch_id, func.count()).where(_M.batch_id.in_(chunk)).group_by(_M.batch_id)
        whole.update(id_ for id_, number in conn.execute(query) if held[id_] == number)
    kept = [row for row in found.values() if row.state != "applied" or row.id in whole]
    return sorted(kept, key=lambda row: (row.created_at, row.id))


def _moved(row: Row[Any]) -> Moved:
    return Moved(
        id=row.id,
        link=row.link,
        delta=row.delta,
        counted=row.counted,
        source=row.source,
        source_id=row.source_id,
        reference=row.reference,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        state=row.state,
        reason=row.reason or "",
        batch_id=row.batch_id,
        settled_at=row.settled_at,
    )


def _sent(row: Row[Any]) -> Sent:
    return Sent(
        id=row.id,
        state=row.state,
        delta=row.delta,
        entry_id=row.entry_id,
        rounds=row.attempts,
        before=row.quantity_before,
        after=row.quantity_after,
        available=row.available_after,
        error=row.error or "",
        created_at=row.created_at,
        settled_at=row.settled_at,
    )


def _remembered(conn: Connection, project: str, place: Place) -> Remembered | None:
    query = select(stock_position).where(
        _P.project == project, _P.sku == place.sku, _P.channel == place.channel
    )
    row = conn.execute(query).one_or_none()
    return None if row is None else Remembered(row.entry_id, row.on_stock, row.available, row.read_at)


def _level(conn: Connection, link: str, place: Place) -> LevelSaid | None:
    one = stock_level.c
    query = select(stock_level).where(one.link == link, one.sku == place.sku, one.channel == place.channel)
    row = conn.execute(query).one_or_none()
    return None if row is None else LevelSaid(row.wanted, row.told, row.wanted_at, row.told_at, row.refusals)


def _flag(conn: Connection, link: str, sku: str) -> FlagSaid | None:
    one = variant_flag.c
    row = conn.execute(select(variant_flag).where(one.link == link, one.sku == sku)).one_or_none()
    if row is None:
        return None
    wanted = flags(row.in_stock, row.purchasable)
    is_known = row.told_in_stock is not None and row.told_purchasable is not None
    told = flags(row.told_in_stock, row.told_purchasable) if is_known else None
    return FlagSaid(wanted, told, row.wanted_at, row.told_at, row.refusals)


def flags(in_stock: bool, purchasable: bool) -> str:
    """Both flags of a variant in words."""
    stock = "in stock" if in_stock else "out of stock"
    return f"{stock}, {'can be bought' if purchasable else 'cannot be bought'}"


def _protected(conn: Connection, link: str, place: Place) -> Protected | None:
    one = protection.c
    query = select(one.buffer, one.since).where(
        one.link == link, one.sku == place.sku, one.channel == place.channel
    )
    row = conn.execute(query).one_or_none()
    return None if row is None else Protected(row.buffer, row.since)


def _findings(conn: Connection, link: str, place: Place, since: datetime) -> list[Row[Any]]:
    """Findings about the place, about orders there, and about the article on kiosks; the oldest first."""
    name = str(place)
    of_place = and_(_F.area.in_((Area.STOCK, Area.KIOSK)), _F.subject.in_((name, place.sku)))
    of_orders = and_(
        _F.area == Area.STOCK, _F.subject >= f"{name} (order ", _F.subject < f"{name} (order\U0010ffff"
    )
    found: list[Row[Any]] = []
    for subjects in (of_place, of_orders):
        query = select(drift_finding).where(_F.link == link, subjects, _F.created_at >= since)
        found += conn.execute(query.order_by(_F.night.desc()).limit(MOST_OTHERS))
    return sorted(found, key=lambda row: row.id)


def _troubles(conn: Connection, link: str, place: Place, since: datetime) -> list[Trouble]:
    """Exceptions about the place that are open, or were closed since a moment; the oldest first."""
    e = exception.c
    unknown = (f"sku/{place.sku}", f"variant/{place.sku}", f"location/{place.channel}")
    named: list[tuple[Kind, ColumnElement[bool]]] = [
        *((kind, e.cause_key == str(place)) for kind in _BY_PLACE),
        (Kind.UNKNOWN_IDENTIFIER, e.cause_key.in_(unknown)),
        *((kind, _names(place.sku)) for kind in _BY_TEXT),
    ]
    recent = or_(e.resolved_at.is_(None), e.resolved_at >= since)
    found: list[Trouble] = []
    for kind, condition in named:
        query = select(exception).where(e.link == link, e.kind == kind, condition, recent)
        for row in conn.execute(query.order_by(e.cause_key).limit(MOST_OTHERS)):
            resolved = row.resolved_at
            found.append(
                Trouble(row.id, row.link, row.kind, row.status, row.message, row.opened_at, resolved)
            )
    return sorted(found, key=lambda one: one.id)


def _names(sku: str) -> ColumnElement[bool]:
    """Whether an exception of which there are few names an article."""
    e = exception.c
    return or_(*(column.contains(sku, autoescape=True) for column in (e.record, e.message)))


def _log(conn: Connection, link: str, place: Place, findings: Sequence[int], since: datetime) -> list[Logged]:
    """What people decided about the place and its findings, and when it was protected; the oldest first."""
    a = audit_log.c
    subjects = [str(place), f"protection/{place}", *(f"drift/{one}" for one in findings)]
    query = select(audit_log).where(a.subject.in_(subjects), a.at >= since, _of_link(a.link, link))
    rows = conn.execute(query.order_by(a.id.desc()).limit(MOST_OTHERS)).all()[::-1]
    return [Logged(row.at, row.link or "", row.actor, row.action, row.subject, row.detail) for row in rows]


def _of_link(column: ColumnElement[Any], link: str) -> ColumnElement[bool]:
    return or_(column == link, column.is_(None))


def _orders(conn: Connection, rows: Sequence[Row[Any]]) -> dict[str, tuple[str, datetime]]:
    """What became of kiosk orders in commercetools, and when they were placed, by the reference of their movements."""
    c, wanted = order_capture.c, dict[str, dict[str, str]]()
    for row in rows:
        if row.source == "kiosk_order":
            # The key begins with the order's id, which ends with what people know it by.
            head = row.source_id.partition(f"/{row.reference}/")[0]
            wanted.setdefault(row.link, {})[f"{head}/{row.reference}"] = row.reference
    found: dict[str, tuple[str, datetime]] = {}
    for link, ids in wanted.items():
        for chunk in chunks(ids):
            query: Select[Any] = select(c.order_id, c.order_number, c.state, c.ordered_at).where(
                c.link == link, c.order_id.in_(chunk)
            )
            for order_id, number, state, at in conn.execute(query):
                found[ids[order_id]] = f"{number} ({state})", at
    return found
