"""Availability: what kiosks should be told of each variant, and what they were told last.

The latest wish replaces older ones, so that however often stock moves, a row is told once. Before something is sent,
what was told is forgotten: should the process die then, nobody can say what Cloudshelf has, and the row is told again.
A row that is being told is nobody else's until its sender is done or has given it back, or has been silent for too
long; whoever then still comes with an answer finds the row under another name, and changes nothing.

Times in the store are the clocks of the machines that work on it; they order and delay work, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)

from cogent_ops.domain.availability import Counted, Wanted
from cogent_ops.errors import RetryableError
from cogent_ops.store.engine import Database
from cogent_ops.store.schema import stock_level, variant_flag, watermark
from cogent_ops.store.sql import Values, chunks, now, pages, take_turns, upsert

#: Flow under whose name the watermarks hold when the youngest collection began.
TURN = "availability_turn"
#: Read me as soon as you can.
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
#: The same, after whatever is more urgent.
READ_AGAIN = datetime(2000, 1, 2, tzinfo=UTC)

_L, _F = stock_level.c, variant_flag.c
LEVEL_DUE = or_(_L.told.is_(None), _L.told != _L.wanted)
FLAG_DUE = or_(
    _F.told_in_stock.is_(None),
    _F.told_purchasable.is_(None),
    _F.told_in_stock != _F.in_stock,
    _F.told_purchasable != _F.purchasable,
)


class Overtaken(RetryableError):
    """A later collection has begun, so what this one has read may be older than what is stored."""


@dataclass(frozen=True)
class Level:
    """Stock of a variant in a store.

    :param channel: key of the supply Channel.
    :param wanted: units.
    :param refusals: how often it was refused in a row.
    """

    sku: str
    channel: str
    wanted: int
    refusals: int = 0


@dataclass(frozen=True)
class Flag:
    """The two flags of a variant on the kiosk.

    :param product_id: commercetools id of the product that shows it.
    :param purchasable: it can be bought, be it as a back order.
    :param refusals: how often it was refused in a row.
    """

    sku: str
    product_id: str
    in_stock: bool
    purchasable: bool
    refusals: int = 0


@dataclass(frozen=True)
class Told:
    """What kiosks should be told, and were told last.

    :param channel: key of the store's Channel; ``None``: these are the variant's flags, see :func:`in_one`.
    :param wanted: units, or flags.
    :param told: ``None``: nobody knows.
    :param read_due: by when its inventory entries were to be read again, of flags.
    """

    sku: str
    channel: str | None
    wanted: int
    told: int | None
    wanted_at: datetime
    told_at: datetime | None
    read_due: datetime | None = None


def in_one(in_stock: bool, purchasable: bool) -> int:
    """Both flags as a number."""
    return 2 * in_stock + purchasable


@dataclass(frozen=True)
class Shown:
    """A variant as the catalogue flow shows it.

    :param back_order: whether it can be bought although it is out of stock.
    """

    sku: str
    product_id: str
    in_stock: bool
    purchasable: bool
    back_order: bool


@dataclass(frozen=True)
class Backlog:
    """What kiosks do not know yet.

    :param levels: stock levels that differ from what was told.
    :param flags: variants whose flags do.
    :param refused: levels and flags among them that Cloudshelf has refused.
    :param oldest: since when the oldest of them differs.
    """

    levels: int
    flags: int
    refused: int
    oldest: datetime | None


class Availability:
    """The availability of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Reading

    def begin(self, link: str) -> datetime:
        """Begin a collection; older ones can store nothing from now on.

        :return: the collection's turn, for :meth:`record`.
        """
        with self._database.begin() as conn:
            _take_turn(conn, link)
            return _next_turn(conn, link)

    def shown(self, link: str, skus: Iterable[str]) -> set[str]:
        """Those of the SKUs that kiosks show."""
        found: set[str] = set()
        with self._database.read() as conn:
            for chunk in chunks(skus):
                query = select(_F.sku).where(_F.link == link, _F.sku.in_(chunk))
                found.update(conn.execute(query).scalars())
        return found

    def to_read(self, link: str, moment: datetime, limit: int) -> list[str]:
        """SKUs whose entries are to be read again by a moment, the longest waiting first."""
        query = (
            select(_F.sku).where(_F.link == link, _F.read_due <= moment).order_by(_F.read_due).limit(limit)
        )
        with self._database.read() as conn:
            return list(conn.execute(query).scalars())

    def read_soon(self, link: str, skus: Iterable[str], moment: datetime) -> None:
        """Have the entries of some SKUs read by a moment at the latest."""
        with self._database.begin() as conn:
            _take_turn(conn, link)
            self.read_by(conn, link, skus, moment)

    def read_by(self, conn: Connection, link: str, skus: Iterable[str], moment: datetime) -> None:
        """See :meth:`read_soon`, in a transaction that has the link's turn."""
        for chunk in chunks(skus):
            sooner = (_F.link == link, _F.sku.in_(chunk), _F.read_due > moment)
            conn.execute(update(variant_flag).where(*sooner).values(read_due=moment))

    def read_all(self, conn: Connection, link: str) -> None:
        """Have the entries of all SKUs read as soon as possible."""
        conn.execute(update(variant_flag).where(_F.link == link).values(read_due=AT_ONCE))

    def read_again(self, conn: Connection, link: str) -> None:
        """Have the entries of all SKUs read once more, whatever was read before.

        A collection that is under way can store nothing any more: it may have begun before what it is asked to read.
        """
        _take_turn(conn, link)
        _next_turn(conn, link)
        later = (_F.link == link, _F.read_due > READ_AGAIN)
        conn.execute(update(variant_flag).where(*later).values(read_due=READ_AGAIN))

    def unread(self, link: str) -> int:
        """How many SKUs nobody has read since :meth:`read_again`, or since they were to be read at once."""
        query = select(func.count()).where(_F.link == link, _F.read_due <= READ_AGAIN)
        with self._database.read() as conn:
            return int(conn.execute(query).scalar_one())

    def take_turn(self, conn: Connection, link: str) -> None:
        """Wait until nobody else changes the link's availability; the turn ends with the transaction."""
        _take_turn(conn, link)

    def record(
        self,
        conn: Connection,
        link: str,
        turn: datetime,
        read: Mapping[str, Wanted],
        read_again: datetime,
        *,
        counted: Mapping[str, Counted] = MappingProxyType({}),
        doubtful: Mapping[str, datetime] = MappingProxyType({}),
    ) -> int:
        """Store what kiosks should be told of some SKUs, each read with all of its entries.

        A store that had an entry and has none any more has no stock. SKUs that no kiosk shows are left out.

        :param read_again: when these SKUs are to be read again at the latest.
        :param counted: what their entries held.
        :param doubtful: SKUs that may have been read too early, with when to read them again: until then kiosks are
            told nothing more of them than before.
        :return: how many levels and flags are others than before.
        :raises Overtaken: when a later collection has begun.
        """
        _take_turn(conn, link)
        if _turn(conn, link) != turn:
            raise Overtaken(f"A later collection of availability of link '{link}' has begun.")
        changed = 0
        for skus in chunks(read):
            flags = {row.sku: row for row in _flags(conn, link, skus, _F.counted)}
            shown = [sku for sku in skus if sku in flags]
            sure = {sku: read[sku] for sku in shown if sku not in doubtful}
            changed += self._record_levels(conn, link, sure)
            changed += self._record_flags(conn, link, sure, flags)
            changed += self.lower(conn, link, {sku: read[sku] for sku in shown if sku in doubtful})
            again = update(variant_flag).where(_F.link == link, _F.sku.in_(list(sure)))
            conn.execute(again.values(read_due=read_again))
            _read_by(conn, link, {sku: doubtful[sku] for sku in shown if sku in doubtful})
            _keep_counted(conn, link, {sku: counted[sku] for sku in shown if sku in counted}, flags)
        return changed

    def lower(self, conn: Connection, link: str, wanted: Mapping[str, Wanted]) -> int:
        """Store what kiosks should be told of some SKUs as far as it is less than they should be told now.

        :return: how many levels and flags are others than before.
        """
        changed = 0
        for skus in chunks(wanted):
            part = {sku: wanted[sku] for sku in skus}
            flags = {row.sku: row for row in _flags(conn, link, skus) if not part[row.sku].in_stock}
            changed += self._record_levels(conn, link, part, only_less=True)
            changed += self._record_flags(conn, link, {sku: part[sku] for sku in flags}, flags)
        return changed

    def counted(self, conn: Connection, link: str, skus: Iterable[str]) -> dict[str, Counted]:
        """What the entries of some SKUs held when they were read last; never read ones are left out."""
        found: dict[str, Counted] = {}
        for chunk in chunks(skus):
            query = select(_F.sku, _F.counted).where(
                _F.link == link, _F.sku.in_(chunk), _F.counted.is_not(None)
            )
            found.update((sku, Counted.of_json(kept)) for sku, kept in conn.execute(query))
        return found

    @staticmethod
    def _record_flags(
        conn: Connection, link: str, wanted: Mapping[str, Wanted], flags: Mapping[str, Any]
    ) -> int:
        moved = [sku for sku, one in wanted.items() if flags[sku].in_stock != one.in_stock]
        for in_stock in (True, False):
            _want_flags(conn, link, [sku for sku in moved if wanted[sku].in_stock is in_stock], in_stock)
        return len(moved)

    @staticmethod
    def _record_levels(
        conn: Connection, link: str, wanted: Mapping[str, Wanted], *, only_less: bool = False
    ) -> int:
        if not wanted:
            return 0
        known: dict[str, dict[str, int]] = {}
        query = select(_L.sku, _L.channel, _L.wanted).where(_L.link == link, _L.sku.in_(list(wanted)))
        for sku, channel, units in conn.execute(query):
            known.setdefault(sku, {})[channel] = units
        moment = now()
        rows = [
            _level_row(link, sku, channel, units, moment)
            for sku, one in wanted.items()
            for channel, units in {**dict.fromkeys(known.get(sku, ()), 0), **one.levels}.items()
            if _differs_from(known.get(sku, {}).get(channel), units, only_less=only_less)
        ]
        upsert(
            conn,
            stock_level,
            rows,
            fixed=("told", "told_at", "refusals", "batch"),
            changes={
                "wanted_at": case((_L.told == _L.wanted, _new(_L.wanted_at)), else_=_L.wanted_at),
                # What is due keeps its place in the queue; what is under way, or was refused, waits for its time.
                "due_at": case((_L.told == _L.wanted, _new(_L.due_at)), else_=_L.due_at),
            },
        )
        return len(rows)

    # Telling levels

    def claim_levels(
        self, link: str, batch: str, limit: int, *, due: datetime, until: datetime
    ) -> list[Level]:
        """Take levels to tell, the longest waiting first; from now on nobody knows what Cloudshelf has of them.

        :param batch: unique name of what is sent together.
        :param due: leave out what is due later.
        :param until: whoever has not confirmed them by then is dead, and others may claim them.
        """
        query = (
            select(_L.sku, _L.channel, _L.wanted, _L.refusals)
            .where(_L.link == link, _L.due_at <= due, LEVEL_DUE)
            .order_by(_L.due_at)
            .limit(limit)
        )
        with self._database.begin() as conn:
            _take_turn(conn, link)
            claimed = [Level(*row) for row in conn.execute(query)]
            _each(conn, claimed, _level_is(link), {"told": None, "batch": batch, "due_at": until})
        return claimed

    def confirm_levels(self, link: str, batch: str, told: Iterable[Level]) -> None:
        """Note what Cloudshelf has now."""
        moment = now()
        fixed = {"told_at": moment, "due_at": moment, "batch": None, "refusals": 0}
        self._settle_levels(link, batch, told, fixed, lambda level: {"told": level.wanted})

    def postpone_levels(
        self,
        link: str,
        batch: str,
        levels: Iterable[Level],
        until: Callable[[Level], datetime],
        *,
        refused: bool,
    ) -> None:
        """Give back what was claimed, to be tried again later.

        :param refused: Cloudshelf did not take it; else it could not be sent yet.
        """
        fixed = {"batch": None}
        self._settle_levels(
            link,
            batch,
            levels,
            fixed,
            lambda level: {"due_at": until(level), "refusals": level.refusals + refused},
        )

    def _settle_levels(
        self,
        link: str,
        batch: str,
        levels: Iterable[Level],
        fixed: Values,
        own: Callable[[Level], Values],
    ) -> None:
        listed = list(levels)
        if not listed:
            return
        with self._database.begin() as conn:
            _take_turn(conn, link)
            _each(conn, listed, (*_level_is(link), _L.batch == batch), fixed, own)

    def drop_levels(self, link: str, batch: str, levels: Iterable[Level]) -> None:
        """Forget claimed levels of stores that are none any more."""
        listed = [_level_key(level) for level in levels]
        if listed:
            with self._database.begin() as conn:
                _take_turn(conn, link)
                conn.execute(delete(stock_level).where(*_level_is(link), _L.batch == batch), listed)

    def doubt_zeros(self, link: str) -> None:
        """Forget that stores without stock were told so. Slow: it looks at every level of the link."""
        with self._database.begin() as conn:
            _take_turn(conn, link)
            told = (_L.link == link, _L.wanted == 0, _L.told == 0)
            moment = now()
            conn.execute(update(stock_level).where(*told).values(told=None, wanted_at=moment, due_at=moment))

    # Telling flags

    def claim_flags(
        self, link: str, holder: str, limit: int, *, due: datetime, until: datetime
    ) -> list[Flag]:
        """Take variants whose flags are to be told, the longest waiting first, and hold them.

        :param holder: unique name of who sends them.
        :param due: leave out what is due later.
        :param until: whoever has not confirmed them by then is dead, and others may hold them.
        """
        moment = now()
        query = (
            select(_F.sku, _F.product_id, _F.in_stock, _F.purchasable, _F.refusals)
            .where(_F.link == link, _F.due_at <= due, FLAG_DUE, _is_free(moment))
            .order_by(_F.due_at)
            .limit(limit)
        )
        with self._database.begin() as conn:
            _take_turn(conn, link)
            claimed = [Flag(*row) for row in conn.execute(query)]
            _hold(conn, link, [flag.sku for flag in claimed], holder, until, moment)
        return claimed

    def confirm_flags(self, link: str, holder: str, told: Iterable[Flag]) -> set[str]:
        """Note what Cloudshelf has now.

        :return: SKUs of those that somebody else has taken meanwhile. Nobody knows what Cloudshelf has of them.
        """
        moment = now()
        fixed = {"told_at": moment, "due_at": moment, "refusals": 0, **_FREE}
        return self._settle_flags(
            link,
            holder,
            told,
            fixed,
            lambda flag: {"told_in_stock": flag.in_stock, "told_purchasable": flag.purchasable},
        )

    def postpone_flags(
        self,
        link: str,
        holder: str,
        flags: Iterable[Flag],
        until: Callable[[Flag], datetime],
        *,
        refused: bool,
    ) -> None:
        """Give back what was claimed, to be tried again later. See :meth:`postpone_levels`."""
        self._settle_flags(
            link,
            holder,
            flags,
            _FREE,
            lambda flag: {"due_at": until(flag), "refusals": flag.refusals + refused},
        )

    def _settle_flags(
        self,
        link: str,
        holder: str,
        flags: Iterable[Flag],
        fixed: Values,
        own: Callable[[Flag], Values],
    ) -> set[str]:
        listed = list(flags)
        with self._database.begin() as conn:
            _take_turn(conn, link)
            mine = _held_by(conn, link, [flag.sku for flag in listed], holder)
            ours = [flag for flag in listed if flag.sku in mine]
            _each(conn, ours, (*_flag_is(link), _F.holder == holder), fixed, own)
        return {flag.sku for flag in listed} - mine

    # The catalogue flow's side

    def hold(self, link: str, holder: str, skus: Collection[str], until: datetime) -> set[str]:
        """Hold variants that are about to be written or taken off; those that are not known here need no holding.

        :return: those that somebody else holds. Try again for them in a moment.
        """
        moment = now()
        others: set[str] = set()
        with self._database.begin() as conn:
            _take_turn(conn, link)
            for chunk in chunks(skus):
                _hold(conn, link, chunk, holder, until, moment)
                query = select(_F.sku).where(_F.link == link, _F.sku.in_(chunk), _F.holder != holder)
                others.update(conn.execute(query).scalars())
        return others

    def told_by_catalogue(
        self, link: str, holder: str, told: Iterable[Shown], refused: Iterable[str] = ()
    ) -> None:
        """Note variants that Cloudshelf has taken from the catalogue flow, and let go of them and of the refused.

        Where this flow thinks otherwise of a variant's stock, one of the two has read it too early; so it is read
        again. That also makes a variant known that is new on the kiosks.
        """
        moment = now()
        rows = [_shown_row(link, one, moment) for one in told]
        lost = and_(_F.holder.is_not(None), _F.holder != holder)
        with self._database.begin() as conn:
            _take_turn(conn, link)
            upsert(
                conn,
                variant_flag,
                rows,
                fixed=("in_stock", "wanted_at"),
                changes={
                    "purchasable": or_(_F.in_stock, _new(_F.back_order)),
                    "told_in_stock": case((lost, null()), else_=_new(_F.told_in_stock)),
                    "told_purchasable": case((lost, null()), else_=_new(_F.told_purchasable)),
                    "holder": case((lost, _F.holder), else_=null()),
                    "held_until": case((lost, _F.held_until), else_=null()),
                    "read_due": _sooner_if_it_differs(),
                },
            )
            for chunk in chunks(refused):
                mine = (_F.link == link, _F.sku.in_(chunk), _F.holder == holder)
                conn.execute(update(variant_flag).where(*mine).values(**_FREE, due_at=moment))

    def seen_by_catalogue(self, link: str, seen: Iterable[Shown]) -> None:
        """Note variants that Cloudshelf has in the form in which the catalogue flow sent them last.

        What it was told of their stock since then stays known; a variant that is not known here was told nothing since.
        """
        by_sku = {one.sku: one for one in seen}
        moment = now()
        with self._database.read() as conn:
            known = {row.sku: row for skus in chunks(by_sku) for row in _flags(conn, link, skus)}
        rows = [_shown_row(link, one, moment) for sku, one in by_sku.items() if _differs(one, known.get(sku))]
        if not rows:
            return
        with self._database.begin() as conn:
            _take_turn(conn, link)
            upsert(
                conn,
                variant_flag,
                rows,
                fixed=(
                    "in_stock",
                    "told_in_stock",
                    "told_purchasable",
                    "wanted_at",
                    "told_at",
                    "due_at",
                    "refusals",
                    "holder",
                    "held_until",
                ),
                changes={
                    "purchasable": or_(_F.in_stock, _new(_F.back_order)),
                    "read_due": _sooner_if_it_differs(),
                },
            )

    def forget(self, link: str, gone: Mapping[str, Collection[str]]) -> None:
        """Forget variants that kiosks no longer show, with their levels.

        :param gone: SKUs by the id of the product that showed them; where another product does by now, they stay.
        """
        with self._database.begin() as conn:
            _take_turn(conn, link)
            for product_id, skus in gone.items():
                for chunk in chunks(sorted(skus)):
                    shown = (_F.link == link, _F.sku.in_(chunk), _F.product_id == product_id)
                    found = conn.execute(select(_F.sku).where(*shown)).scalars().all()
                    for table in (variant_flag, stock_level):
                        conn.execute(delete(table).where(table.c.link == link, table.c.sku.in_(found)))

    # What is left

    def has_due(self, link: str, moment: datetime) -> bool:
        """Whether something is to be told by a moment."""
        queries = (
            select(_L.sku).where(_L.link == link, _L.due_at <= moment, LEVEL_DUE).order_by(_L.due_at),
            select(_F.sku)
            .where(_F.link == link, _F.due_at <= moment, FLAG_DUE, _is_free(moment))
            .order_by(_F.due_at),
        )
        with self._database.read() as conn:
            return any(conn.execute(query.limit(1)).first() is not None for query in queries)

    def told(self, link: str) -> Iterator[Told]:
        """What kiosks should be told and were told of every variant, stores first; no transaction stays open."""
        levels = select(_L.link, _L.sku, _L.channel, _L.wanted, _L.told, _L.wanted_at, _L.told_at)
        for row in pages(self._database, levels.where(_L.link == link), _L.link, _L.sku, _L.channel):
            yield Told(row.sku, row.channel, row.wanted, row.told, row.wanted_at, row.told_at)
        flags = select(*(column for column in variant_flag.c if column is not _F.counted)).where(
            _F.link == link
        )
        for row in pages(self._database, flags, _F.link, _F.sku):
            wanted = in_one(row.in_stock, row.purchasable)
            unknown = row.told_in_stock is None or row.told_purchasable is None
            told = None if unknown else in_one(row.told_in_stock, row.told_purchasable)
            yield Told(row.sku, None, wanted, told, row.wanted_at, row.told_at, row.read_due)

    def untold(self, link: str, before: datetime, limit: int) -> list[str]:
        """What kiosks should have been told before a moment and were not, by name; not what Cloudshelf refuses.

        :param limit: of more, any so many are given.

        :return: ``SKU@Channel`` of levels, ``SKU`` of flags.
        """
        level = select(_L.sku, _L.channel).where(
            _L.link == link, LEVEL_DUE, _L.wanted_at < before, _L.refusals == 0
        )
        flag = select(_F.sku).where(_F.link == link, FLAG_DUE, _F.wanted_at < before, _F.refusals == 0)
        with self._database.read() as conn:
            levels = conn.execute(level.limit(limit)).all()
            flags = conn.execute(flag.limit(limit)).scalars().all()
        return [*sorted(f"{sku}@{channel}" for sku, channel in levels), *sorted(flags)][:limit]

    def backlog(self, link: str) -> Backlog:
        """What kiosks do not know yet."""
        refused = func.count(case((_L.refusals > 0, 1)))
        levels = select(func.count(), refused, func.min(_L.wanted_at)).where(_L.link == link, LEVEL_DUE)
        refused = func.count(case((_F.refusals > 0, 1)))
        flags = select(func.count(), refused, func.min(_F.wanted_at)).where(_F.link == link, FLAG_DUE)
        with self._database.read() as conn:
            level, flag = conn.execute(levels).one(), conn.execute(flags).one()
        oldest = [since for since in (level[2], flag[2]) if since is not None]
        return Backlog(level[0], flag[0], level[1] + flag[1], min(oldest, default=None))


_FREE: Values = {"holder": None, "held_until": None}


def _take_turn(conn: Connection, link: str) -> None:
    """One writer at a time for a link: rows are locked in any order, and none of these transactions is long."""
    take_turns(conn, "availability", link)


def _next_turn(conn: Connection, link: str) -> datetime:
    before = _turn(conn, link)
    turn = now() if before is None else max(now(), before + timedelta(microseconds=1))
    upsert(conn, watermark, [{"link": link, "flow": TURN, "value": turn, "updated_at": now()}])
    return turn


def _turn(conn: Connection, link: str) -> datetime | None:
    query = select(watermark.c.value).where(watermark.c.link == link, watermark.c.flow == TURN)
    return conn.execute(query).scalar_one_or_none()


def _new(column: Column[Any]) -> ColumnElement[Any]:
    """A column of the row that an upsert could not insert, because there is one already."""
    return literal_column(f"excluded.{column.name}", column.type)


def _sooner_if_it_differs() -> ColumnElement[datetime]:
    return case((_F.in_stock != _new(_F.in_stock), _new(_F.read_due)), else_=_F.read_due)


def _is_free(moment: datetime) -> ColumnElement[bool]:
    return or_(_F.holder.is_(None), _F.held_until < moment)


def _hold(
    conn: Connection, link: str, skus: Iterable[str], holder: str, until: datetime, moment: datetime
) -> None:
    free = or_(_is_free(moment), _F.holder == holder)
    for chunk in chunks(skus):
        conn.execute(
            update(variant_flag)
            .where(_F.link == link, _F.sku.in_(chunk), free)
            .values(
                holder=holder,
                held_until=until,
                told_in_stock=None,
                told_purchasable=None,
                wanted_at=case((FLAG_DUE, _F.wanted_at), else_=moment),
            )
        )


def _held_by(conn: Connection, link: str, skus: Iterable[str], holder: str) -> set[str]:
    found: set[str] = set()
    for chunk in chunks(skus):
        query = select(_F.sku).where(_F.link == link, _F.sku.in_(chunk), _F.holder == holder)
        found.update(conn.execute(query).scalars())
    return found


def _differs_from(known: int | None, units: int, *, only_less: bool) -> bool:
    return (known is not None and units < known) if only_less else units != known


def _read_by(conn: Connection, link: str, moments: Mapping[str, datetime]) -> None:
    if moments:
        rows: list[Values] = [{"the_sku": sku, "due": moment} for sku, moment in moments.items()]
        conn.execute(update(variant_flag).where(*_flag_is(link)).values(read_due=bindparam("due")), rows)


def _keep_counted(
    conn: Connection, link: str, counted: Mapping[str, Counted], flags: Mapping[str, Any]
) -> None:
    kept = {sku: one.to_json() for sku, one in counted.items()}
    rows: list[Values] = [
        {"the_sku": sku, "content": one} for sku, one in kept.items() if flags[sku].counted != one
    ]
    if rows:
        keeping = update(variant_flag).where(*_flag_is(link))
        conn.execute(keeping.values(counted=bindparam("content", type_=variant_flag.c.counted.type)), rows)


def _flags(conn: Connection, link: str, skus: Sequence[str], *more: Column[Any]) -> Sequence[Any]:
    columns = (_F.sku, _F.product_id, _F.in_stock, _F.back_order, *more)
    return conn.execute(select(*columns).where(_F.link == link, _F.sku.in_(skus))).all()


def _want_flags(conn: Connection, link: str, skus: Iterable[str], in_stock: bool) -> None:
    moment = now()
    for chunk in chunks(skus):
        conn.execute(
            update(variant_flag)
            .where(_F.link == link, _F.sku.in_(chunk))
            .values(
                in_stock=in_stock,
                purchasable=True if in_stock else _F.back_order,
                wanted_at=case((FLAG_DUE, _F.wanted_at), else_=moment),
                due_at=case((FLAG_DUE, _F.due_at), else_=moment),
            )
        )


def _differs(one: Shown, row: Any) -> bool:
    return row is None or (row.product_id, row.in_stock, row.back_order) != (
        one.product_id,
        one.in_stock,
        one.back_order,
    )


def _level_is(link: str) -> tuple[ColumnElement[bool], ...]:
    """One level, named by :func:`_level_key`. SQLite would look for pairs of (SKU, Channel) in the whole link."""
    return (_L.link == link, _L.sku == bindparam("the_sku"), _L.channel == bindparam("the_channel"))


def _flag_is(link: str) -> tuple[ColumnElement[bool], ...]:
    return (_F.link == link, _F.sku == bindparam("the_sku"))


def _level_key(level: Level) -> Values:
    return {"the_sku": level.sku, "the_channel": level.channel}


def _each(
    conn: Connection,
    rows: Sequence[Level] | Sequence[Flag],
    where: Sequence[ColumnElement[bool]],
    fixed: Values,
    own: Callable[[Any], Values] = lambda row: {},
) -> None:
    """Update rows one by one in a single call.

    :param fixed: what all of them get, by column.
    :param own: what each gets besides.
    """
    if not rows:
        return
    table = stock_level if isinstance(rows[0], Level) else variant_flag
    values: Values = {**fixed, **{name: bindparam(f"new_{name}") for name in own(rows[0])}}
    parameters = [
        {
            **(_level_key(row) if isinstance(row, Level) else {"the_sku": row.sku}),
            **{f"new_{name}": value for name, value in own(row).items()},
        }
        for row in rows
    ]
    conn.execute(update(table).where(*where).values(values), parameters)


def _level_row(link: str, sku: str, channel: str, wanted: int, moment: datetime) -> Values:
    return {
        "link": link,
        "sku": sku,
        "channel": channel,
        "wanted": wanted,
        "told": None,
        "wanted_at": moment,
        "told_at": None,
        "due_at": moment,
        "refusals": 0,
        "batch": None,
    }


def _shown_row(link: str, one: Shown, moment: datetime) -> Values:
    return {
        "link": link,
        "sku": one.sku,
        "product_id": one.product_id,
        "in_stock": one.in_stock,
        "purchasable": one.purchasable,
        "told_in_stock": one.in_stock,
        "told_purchasable": one.purchasable,
        "back_order": one.back_order,
        "wanted_at": moment,
        "told_at": moment,
        "due_at": moment,
        "refusals": 0,
        "read_due": AT_ONCE,
        **_FREE,
    }
