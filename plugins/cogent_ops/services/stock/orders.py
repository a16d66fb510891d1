"""The poll: what kiosks sold becomes movements in the inbox, however often, late or out of order it is read.

Cloudshelf has no filter for its orders, so they are read from the newest change backwards. An order is stored with
its recorded effect and the movement between that and the desired effect in one transaction, and only if it is newer
than what is stored; so reading it twice, or an older state of it late, adds nothing.

Two watermarks tell how far back to read. A *quick* look reaches a few seconds behind the last one and is what makes
sales fast. A *thorough* look reaches the whole overlap behind the last thorough one and finds what became visible
late; it goes on a few pages at a time, so that a busy hour does not hold up the sales of the next second.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind, NewException, Owner, order_cause
from cogent_ops.domain.order_edits import LOCATION_EDIT
from cogent_ops.domain.order_states import moves_stock
from cogent_ops.domain.orders import (
    NO_LOCATION,
    KioskOrder,
    UnreadableOrder,
    read_order,
)
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.stock import (
    MovementState,
    NewMovement,
    Place,
    Source,
    desired_effects,
    differences,
    order_movement_id,
)
from cogent_ops.services.beat import POLLED, Note
from cogent_ops.services.counts import Counts
from cogent_ops.services.orders.intake import OrderIntake
from cogent_ops.services.stock.identify import Identify
from cogent_ops.services.stock.locations import Locations, Places
from cogent_ops.services.stock.start import START_FLOW, started_at
from cogent_ops.store import Store
from cogent_ops.store.stock import Effect, StoredOrder

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: Watermarks: of the quick look and of the thorough one.
QUICK_FLOW = "kiosk_orders"
THOROUGH_FLOW = "kiosk_orders_thorough"
QUICK_OVERLAP = timedelta(seconds=5)
#: Pages that one poll reads of a thorough look.
PAGES_AT_ONCE = 4
#: Orders with unknown variants that one poll reads again, and the pause between two times.
REREAD_ORDERS = 10
REREAD_EVERY = timedelta(seconds=60)

UNKNOWN_LOCATION = "unknown location id"
UNKNOWN_VARIANT = "unknown variant id"
UNKNOWN_BOTH = "unknown variant id and location id"
BEFORE_START = "sold before the start: commercetools' quantities have seen it"
_ORDERS_NAMED = 20


@dataclass(frozen=True)
class PollCounts(Counts):
    """What a poll did.

    :param read: orders read, repeats included.
    :param changed: orders that were new, or newer than stored.
    :param movements: movements added to the inbox.
    :param review: those among them that wait because an identifier is not known.
    :param excluded: those among them that were sold before the start.
    :param internal: orders of Cloudshelf's own staff, which move nothing.
    :param drafts: baskets that are no sale yet.
    :param unreadable: orders, and lines of orders, that could not be understood.
    :param released: movements in review whose identifiers have become known.
    """

    read: int = 0
    changed: int = 0
    movements: int = 0
    review: int = 0
    excluded: int = 0
    internal: int = 0
    drafts: int = 0
    unreadable: int = 0
    released: int = 0


@dataclass(frozen=True)
class _Placed:
    """An order with the place of its lines.

    :param channel: the supply Channel's key, or the location as given where that stands for none.
    :param edits: what people have set right about it.
    """

    order: KioskOrder
    channel: str
    is_channel_known: bool
    edits: Mapping[str, str]

    @property
    def given(self) -> str:
        """The location as the order names it."""
        return self.order.location or NO_LOCATION

    @property
    def moves(self) -> bool:
        if self.order.is_internal or self.order.status is OrderStatus.DRAFT_BASKET:
            return False
        return moves_stock(self.order.status, self.edits)

    def found(self, before: KioskOrder) -> tuple[dict[str, str], dict[str, str]]:
        """What identifiers stand for that an earlier state of the order had, or has still: of variants, of location."""
        skus = {alias: line.sku for line in self.order.lines if line.is_known for alias in line.aliases}
        for line in before.lines:
            known = [skus[alias] for alias in line.aliases if alias in skus]
            if known and not line.is_known:
                skus[line.sku] = known[0]
        # Orders without any location share the sign for it, and a person speaks of one order: that says nothing about
        # others.
        is_same = self.is_channel_known and before.location and LOCATION_EDIT not in self.edits
        return skus, {before.location: self.channel} if is_same else {}

    def why(self, place: Place) -> str | None:
        """Why a movement at this place must wait; ``None`` when it need not."""
        strange = {line.sku for line in self.order.lines if not line.is_known}
        location = place.channel == self.given and not self.is_channel_known
        if place.sku in strange:
            return UNKNOWN_BOTH if location else UNKNOWN_VARIANT
        return UNKNOWN_LOCATION if location else None


@dataclass(frozen=True)
class _Page:
    """Orders as read together.

    :param unreadable: what could not be understood at all.
    :param emails: customers' addresses by order, where they may be kept.
    """

    orders: Sequence[KioskOrder]
    unreadable: Sequence[UnreadableOrder]
    emails: Mapping[str, str] = field(repr=False)


@dataclass
class _Look:
    """A thorough look under way.

    :param limit: what is older was seen by the look before; ``None``: everything is read.
    :param newest: the newest change when it began; it becomes the watermark.
    """

    pages: Iterator[list[Json]]
    limit: datetime | None
    newest: datetime | None = None


class OrderPoll:
    """Polls the orders of a link. Keep one as long as a task lives: it remembers locations and half a look.

    :param project: the commercetools project as its rate budget names it.
    :param run_key: the run, for the exceptions it raises.
    :param identify: says what an unknown identifier is instead.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: CloudshelfClient,
        project: str,
        *,
        run_key: str | None = None,
        identify: Identify | None = None,
    ) -> None:
        self.config, self.store, self.client, self.project = config, store, client, project
        self.rules = config.movements
        self.locations = Locations(client)
        self.places = Places(self.rules, self.locations)
        self.intake = OrderIntake(config, store)
        self._link = config.name
        self._run_key = run_key or uuid4().hex
        self._identify = identify or (lambda what, value: "")
        self._look: _Look | None = None
        self._thorough_at: datetime | None = None
        self._reread_at: datetime | None = None
        self._reread_from = 0
        self._told: set[tuple[str, str]] = set()
        self._polled = Note(store, self._link, POLLED)

    def run(self, now: datetime) -> PollCounts:
        """Store what changed, and add its movements.

        :param now: the present; a change that says it lies in the future must not move the watermark there.
        :raises RetryableError: when Cloudshelf or the store is out of reach; what was stored stays, the watermark too.
        """
        start = self._start(now)
        total = self._release()
        total += self._quick(now, start)
        total += self._thorough(now, start)
        total += self._reread(now, start)
        self._polled(now)
        return total

    def read_between(self, begin: datetime, end: datetime, now: datetime) -> PollCounts:
        """Store what was missed of the orders that changed last at or after ``begin`` and before ``end``.

        No watermark moves: what other looks have to read stays the same.

        :param now: the present.
        :raises RetryableError: when Cloudshelf or the store is out of reach; what was stored stays.
        """
        start, total = self._start(now), PollCounts()
        for raw in self.client.orders(self.rules.orders_page):
            page = self._read(raw)
            within = [order for order in page.orders if begin <= order.updated_at < end]
            counts = self._store(replace(page, orders=within), start)
            total += replace(counts, read=len(within))
            if any(order.updated_at < begin for order in page.orders):
                break
        return total

    # How far back

    def _start(self, now: datetime) -> datetime:
        """The moment from which orders move stock."""
        known = started_at(self.config, self.store)
        if known is not None:
            return known
        with self.store.begin() as conn:
            self.store.watermarks.set(conn, self._link, START_FLOW, now)
        log.info(
            "kiosk orders of link %s move stock from %s on, the moment of this first poll", self._link, now
        )
        return now

    def _quick(self, now: datetime, start: datetime) -> PollCounts:
        marks = self.store.watermarks
        mark, thorough = marks.get(self._link, QUICK_FLOW), marks.get(self._link, THOROUGH_FLOW)
        limit = None if mark is None else mark - min(QUICK_OVERLAP, self._overlap)
        look = _Look(self.client.orders(self.rules.orders_page), limit)
        total = PollCounts()
        reached: datetime | None = None
        for page in look.pages:
            counts, oldest = self._take(look, page, start)
            total += counts
            reached = oldest or reached
            if limit is not None and oldest is not None and oldest < limit:
                break
        else:
            reached = None
        newest = _latest(mark, look.newest, now)
        # A look that came far enough, as it does wherever little happens, was a thorough one.
        deep = reached is None or (thorough is not None and reached < thorough - self._overlap)
        if newest is not None:
            self._move({QUICK_FLOW: (mark, newest), **({THOROUGH_FLOW: (thorough, newest)} if deep else {})})
        if deep:
            self._look, self._thorough_at = None, now
        return total

    def _thorough(self, now: datetime, start: datetime) -> PollCounts:
        if self._look is None:
            if self._thorough_at is not None and now - self._thorough_at < self._overlap / 2:
                return PollCounts()
            mark = self.store.watermarks.get(self._link, THOROUGH_FLOW)
            limit = None if mark is None else mark - self._overlap
            self._look = _Look(self.client.orders(self.rules.orders_page), limit)
        look, self._look = self._look, None
        total, ended = PollCounts(), False
        for _ in range(PAGES_AT_ONCE):
            page = next(look.pages, None)
            if page is None:
                ended = True
                break
            counts, oldest = self._take(look, page, start)
            total += counts
            ended = look.limit is not None and oldest is not None and oldest < look.limit
            if ended:
                break
        if not ended:
            self._look = look
            return total
        mark = self.store.watermarks.get(self._link, THOROUGH_FLOW)
        newest = _latest(mark, look.newest, now)
        if newest is not None:
            self._move({THOROUGH_FLOW: (mark, newest)})
        self._thorough_at = now
        return total

    @property
    def _overlap(self) -> timedelta:
        return timedelta(seconds=self.rules.overlap_seconds)

    def _move(self, marks: Mapping[str, tuple[datetime | None, datetime]]) -> None:
        """Move watermarks, after all that lies before them was stored."""
        moved = {flow: new for flow, (old, new) in marks.items() if new != old}
        if moved:
            with self.store.begin() as conn:
                for flow, value in moved.items():
                    self.store.watermarks.set(conn, self._link, flow, value)

    def _take(self, look: _Look, page: Sequence[Json], start: datetime) -> tuple[PollCounts, datetime | None]:
        """Store a page; also returns its oldest change."""
        read = self._read(page)
        moments = [order.updated_at for order in read.orders]
        if look.newest is None and moments:
            look.newest = max(moments)
        counts = replace(self._store(read, start), read=len(page))
        return counts, min(moments, default=None)

    # Identifiers that have become known

    def _release(self) -> PollCounts:
        """Let movements go on whose location has become known."""
        waiting = [
            one
            for one in self.store.stock.in_review(self.project)
            if one.link == self._link and one.reason in (UNKNOWN_LOCATION, UNKNOWN_BOTH)
        ]
        released, found = 0, dict[str, str]()
        for given in sorted({one.place.channel for one in waiting}):
            channel = self.places.channel("" if given == NO_LOCATION else given, {})
            if channel is not None:
                found[given] = channel
        if not found:
            return PollCounts()
        with self.store.begin() as conn:
            self.store.stock.turn(conn, self._link)
            for one in waiting:
                if one.place.channel in found:
                    new = Place(one.place.sku, found[one.place.channel])
                    still = UNKNOWN_VARIANT if one.reason == UNKNOWN_BOTH else None
                    count = self.store.stock.release(conn, self._link, self.project, one.place, new, still)
                    released += count if still is None else 0
            causes = [f"location/{given}" for given in found]
            self.store.exceptions.resolve(conn, self._link, Kind.UNKNOWN_IDENTIFIER, causes, self._run_key)
        return PollCounts(released=released)

    def _reread(self, now: datetime, start: datetime) -> PollCounts:
        """Look again at orders whose variants are not known: Cloudshelf may have learnt their ids since."""
        if self._reread_at is not None and now - self._reread_at < REREAD_EVERY:
            return PollCounts()
        self._reread_at = now
        with self.store.read() as conn:
            ids = [one.order_id for one in self.store.stock.rechecks(conn, self._link)]
        if not ids:
            return PollCounts()
        at = self._reread_from % len(ids)
        self._reread_from = at + REREAD_ORDERS
        found = [self.client.order(id_) for id_ in (ids[at:] + ids[:at])[:REREAD_ORDERS]]
        return self._store(self._read([one for one in found if one is not None]), start)

    def _placed(self, order: KioskOrder, edits: Mapping[str, str]) -> _Placed:
        channel = self.places.channel(order.location, edits)
        return _Placed(order, channel or order.location or NO_LOCATION, channel is not None, edits)

    # Storing

    def _read(self, raw: Iterable[Json]) -> _Page:
        orders: list[KioskOrder] = []
        unreadable: list[UnreadableOrder] = []
        emails: dict[str, str] = {}
        for one in raw:
            try:
                order = read_order(one)
            except UnreadableOrder as error:
                unreadable.append(error)
                continue
            orders.append(order)
            if email := self.intake.email(one):
                emails[order.id] = email
        return _Page(orders, unreadable, emails)

    def _store(self, page: _Page, start: datetime) -> PollCounts:
        """Store orders that are newer than what is stored, with their movements, in one transaction."""
        untold = [error for error in page.unreadable if (error.order_id, str(error)) not in self._told]
        newest: dict[str, KioskOrder] = {}
        for order in page.orders:
            if order.id not in newest or order.updated_at >= newest[order.id].updated_at:
                newest[order.id] = order
        with self.store.read() as conn:
            news = {
                one.id: one for one in _changed(newest, self.store.stock.orders(conn, self._link, newest))
            }
            edits = self._edits(conn, news.values())
        if not news and not untold:
            return PollCounts()
        placed = [self._placed(order, edits.get(order.id, {})) for order in news.values()]
        sentences = self._sentences(placed)
        with self.store.begin() as conn:
            self.store.stock.turn(conn, self._link)
            stored = self.store.stock.orders(conn, self._link, news)
            changed = _changed(news, stored)
            self.intake.queue(conn, changed, stored, page.emails, start)
            edits, ids = self._edits(conn, changed), {order.id for order in changed}
            now_changed = [_edited(one, edits.get(one.order.id, {})) for one in placed if one.order.id in ids]
            counts = self._apply(conn, now_changed, stored, start, sentences)
            self.store.exceptions.raise_many(conn, self._link, map(_unreadable, untold), self._run_key)
        self._told.update((error.order_id, str(error)) for error in untold)
        return replace(counts, unreadable=counts.unreadable + len(untold))

    def _edits(self, conn: Connection, orders: Iterable[KioskOrder]) -> dict[str, Mapping[str, str]]:
        """What people have set right, by order."""
        found = self.store.captures.by_ids(conn, self._link, [order.id for order in orders])
        return {id_: one.edits for id_, one in found.items() if one.edits}

    def _apply(
        self,
        conn: Connection,
        placed: Sequence[_Placed],
        stored: Mapping[str, StoredOrder],
        start: datetime,
        sentences: Mapping[str, str],
    ) -> PollCounts:
        stock = self.store.stock
        released = self._rename(conn, placed, stored)
        effects = stock.effects(conn, self._link, [one.order.id for one in placed])
        movements: list[NewMovement] = []
        changes: list[Effect] = []
        for one in placed:
            known = {effect.place: effect for effect in effects.get(one.order.id, ())}
            for effect in self._effects(one, known):
                changes.append(effect)
                before = known[effect.place].quantity if effect.place in known else 0
                movements.append(self._movement(one, effect, effect.quantity - before, start))
        stock.save_effects(conn, self._link, changes)
        added = stock.add_movements(conn, movements)
        stock.save_orders(conn, self._link, map(_stored, placed))
        self._tell(conn, placed, movements, start, sentences)
        states = [one.state for one in movements]
        return PollCounts(
            changed=len(placed),
            movements=added,
            review=states.count(MovementState.REVIEW),
            excluded=states.count(MovementState.EXCLUDED),
            internal=sum(one.order.is_internal for one in placed),
            drafts=sum(
                one.order.status is OrderStatus.DRAFT_BASKET and not one.order.is_internal for one in placed
            ),
            unreadable=sum(len(one.order.problems) for one in placed if self._matters(one, start)),
            released=released,
        )

    def _rename(self, conn: Connection, placed: Iterable[_Placed], stored: Mapping[str, StoredOrder]) -> int:
        """Bring what was recorded under identifiers that have become known since to their proper places."""
        old = self.store.stock.effects(conn, self._link, [one.order.id for one in placed])
        released, known = 0, set[str]()
        renamed: dict[Place, tuple[Place, str | None]] = {}
        for one in placed:
            before = stored[one.order.id].content if one.order.id in old else None
            if not before:  # new, or emptied by retention, which leaves alone what is not known yet
                continue
            skus, channels = one.found(read_order(before))
            for effect in old.get(one.order.id, ()):
                place = effect.place
                new = Place(skus.get(place.sku, place.sku), channels.get(place.channel, place.channel))
                if new != place:
                    renamed[place] = new, one.why(new)
        for place, (new, still) in sorted(renamed.items()):
            count = self.store.stock.release(conn, self._link, self.project, place, new, still)
            released += count if still is None else 0
            known |= {f"variant/{place.sku}"} if new.sku != place.sku else set()
            known |= {f"location/{place.channel}"} if new.channel != place.channel else set()
        if known:
            self.store.exceptions.resolve(conn, self._link, Kind.UNKNOWN_IDENTIFIER, known, self._run_key)
        return released

    def _effects(self, one: _Placed, known: Mapping[Place, Effect]) -> list[Effect]:
        """Effects that differ from the recorded ones."""
        recorded = {place: effect.quantity for place, effect in known.items()}
        channel = self._taken_from(one, recorded)
        ordered: dict[Place, int] = {}
        for line in one.order.lines:
            place = Place(line.sku, channel)
            ordered[place] = ordered.get(place, 0) + line.quantity
        if one.moves:
            desired = desired_effects(one.order.status, ordered, recorded, self.rules)
        else:
            desired = dict.fromkeys(recorded, 0)
        if one.order.problems and one.order.status not in self.rules.give_back and one.moves:
            # Nobody knows what a broken line means, so it gives nothing back that was taken.
            desired = {
                place: min(units, recorded.get(place, 0)) if place not in ordered else units
                for place, units in desired.items()
            }
        return [
            Effect(
                one.order.id,
                place,
                recorded.get(place, 0) + change,
                known[place].revision + 1 if place in known else 1,
            )
            for place, change in differences(desired, recorded).items()
        ]

    def _taken_from(self, one: _Placed, recorded: Mapping[Place, int]) -> str:
        """The Channel of an order's lines. It stays where its units were taken, whatever the settings say since."""
        before = {
            place.channel
            for place, units in recorded.items()
            if units and place.channel not in (one.given, NO_LOCATION)
        }
        return before.pop() if len(before) == 1 else one.channel

    def _movement(self, one: _Placed, effect: Effect, change: int, start: datetime) -> NewMovement:
        why, state = one.why(effect.place), MovementState.WAITING
        if one.order.updated_at < start:
            why, state = BEFORE_START, MovementState.EXCLUDED
        elif why is not None:
            state = MovementState.REVIEW
        return NewMovement(
            link=self._link,
            project=self.project,
            sku=effect.place.sku,
            channel=effect.place.channel,
            delta=change,
            source=Source.KIOSK_ORDER,
            source_id=order_movement_id(one.order.id, effect.place, effect.revision),
            reference=one.order.ulid,
            occurred_at=one.order.updated_at,
            state=state,
            reason=why,
        )

    # What a person should hear of

    def _matters(self, one: _Placed, start: datetime) -> bool:
        """Whether what is wrong with an order matters to stock."""
        return one.moves and one.order.status not in self.rules.give_back and one.order.updated_at >= start

    def _tell(
        self,
        conn: Connection,
        placed: Sequence[_Placed],
        movements: Sequence[NewMovement],
        start: datetime,
        sentences: Mapping[str, str],
    ) -> None:
        """Raise what a person must look at, and close what is settled."""
        link, run, exceptions = self._link, self._run_key, self.store.exceptions
        bad = [one for one in placed if one.order.problems and self._matters(one, start)]
        refunds = [one for one in placed if self._is_open_refund(one) and self._matters(one, start)]
        open_ = {one.order.id for one in bad}
        fine = [order_cause(one.order.id) for one in placed if one.order.id not in open_]
        exceptions.resolve(conn, link, Kind.BAD_MOVEMENT, fine, run)
        read = [order_cause(one.order.id) for one in placed]
        exceptions.resolve(conn, link, Kind.ORDER_UNREADABLE, read, run)
        open_ = {one.order.id for one in refunds}
        settled = [order_cause(one.order.id) for one in placed if one.order.id not in open_]
        exceptions.resolve(conn, link, Kind.REFUND_QUANTITY, settled, run)
        waiting = [one for one in movements if one.state is MovementState.REVIEW]
        exceptions.raise_many(
            conn,
            link,
            [
                *(_bad_lines(one.order) for one in bad),
                *(_refund(one.order) for one in refunds),
                *_strangers(waiting, placed, sentences),
            ],
            run,
        )

    def _is_open_refund(self, one: _Placed) -> bool:
        settled = (*self.rules.deduct, *self.rules.give_back)
        return one.order.status is OrderStatus.PARTIALLY_REFUNDED and one.order.status not in settled

    def _sentences(self, placed: Iterable[_Placed]) -> dict[str, str]:
        """What unknown identifiers are instead, by cause; asked before the transaction, because others are asked."""
        found: dict[str, str] = {}
        for one in placed:
            if not one.moves:
                continue
            if not one.is_channel_known and one.order.location:
                text = self.locations.sentence(one.given) or self._identify("location", one.given)
                found.setdefault(f"location/{one.given}", text)
            for line in one.order.lines:
                if not line.is_known and f"variant/{line.sku}" not in found:
                    found[f"variant/{line.sku}"] = self._identify("variant", line.sku)
        return found


def _edited(one: _Placed, edits: Mapping[str, str]) -> _Placed:
    """With what people have said since it was placed."""
    if edits.get(LOCATION_EDIT) == one.edits.get(LOCATION_EDIT):
        return replace(one, edits=edits)
    given = edits.get(LOCATION_EDIT)
    return _Placed(one.order, given or one.given, given is not None, edits)


def _changed(orders: Mapping[str, KioskOrder], stored: Mapping[str, StoredOrder]) -> list[KioskOrder]:
    """Orders that say something new. An older state than the stored one never undoes it."""
    return [
        order
        for id_, order in orders.items()
        if id_ not in stored
        or order.updated_at > stored[id_].modified_at
        # Times may be whole seconds, and a record may change without its time.
        or (order.updated_at == stored[id_].modified_at and order.fingerprint != stored[id_].hash)
    ]


def _latest(mark: datetime | None, newest: datetime | None, now: datetime) -> datetime | None:
    """Where a watermark goes; never backwards, and never into the future."""
    if newest is None:
        return mark
    reached = min(newest, now).astimezone(UTC)
    return reached if mark is None else max(mark, reached)


def _stored(one: _Placed) -> StoredOrder:
    order = one.order
    recheck = one.moves and any(not line.is_known for line in order.lines)
    return StoredOrder(order.id, order.status, order.updated_at, order.content, order.fingerprint, recheck)


def _unreadable(error: UnreadableOrder) -> NewException:
    return NewException(
        kind=Kind.ORDER_UNREADABLE,
        cause_key=order_cause(error.order_id),
        record=error.order_id.rpartition("/")[2],
        field=error.field,
        rule=error.rule,
        message=str(error),
        cure="Correct the order in Cloudshelf, or ask Cloudshelf's support; it is read again as soon as it changes.",
        owner=Owner.PLATFORM,
        payload={"order": error.order_id},
    )


def _bad_lines(order: KioskOrder) -> NewException:
    first = order.problems[0]
    return NewException(
        kind=Kind.BAD_MOVEMENT,
        cause_key=order_cause(order.id),
        record=order.ulid,
        field=first.field,
        rule=first.rule,
        message=f"Kiosk order {order.ulid}: " + " ".join(one.message for one in order.problems),
        cure="Its other lines have moved stock. Correct the line in Cloudshelf, or move the units of the line by file "
        "or endpoint, and close this.",
        owner=Owner.RETAIL_OPS,
        payload={"order": order.id, "lines": [one.number for one in order.problems]},
    )


def _refund(order: KioskOrder) -> NewException:
    lines = [{"line": one.number, "sku": one.sku, "quantity": one.quantity} for one in order.lines]
    named = ", ".join(f"{one.quantity} of {one.sku}" for one in order.lines)
    return NewException(
        kind=Kind.REFUND_QUANTITY,
        cause_key=order_cause(order.id),
        record=order.ulid,
        field="status",
        rule="a refund says which units came back",
        message=f"Kiosk order {order.ulid} is partially refunded, and Cloudshelf does not say which units came back. "
        f"It sold {named or 'nothing that has stock'}; all of it still counts as sold.",
        cure="Find out what the customer brought back, and send it as a movement (file or endpoint) with the order as "
        "its reason. This closes when the order becomes REFUNDED, VOIDED or PAID, or when you close it.",
        owner=Owner.CUSTOMER_SERVICE,
        payload={"order": order.id, "lines": lines},
    )


def unknown_at(place: Place, reason: str | None) -> Iterator[str]:
    """Cause keys of the exceptions about the identifiers that keep a movement in review.

    :param place: the movement's, which has unknown identifiers as given.
    :param reason: the movement's.
    """
    if reason in (UNKNOWN_LOCATION, UNKNOWN_BOTH):
        yield f"location/{place.channel}"
    if reason in (UNKNOWN_VARIANT, UNKNOWN_BOTH):
        yield f"variant/{place.sku}"


def _strangers(
    waiting: Sequence[NewMovement], placed: Sequence[_Placed], sentences: Mapping[str, str]
) -> Iterator[NewException]:
    """One exception for each identifier that is not known, with the orders that name it."""
    causes: dict[str, list[NewMovement]] = {}
    for one in waiting:
        for cause in unknown_at(one.place, one.reason):
            causes.setdefault(cause, []).append(one)
    names = {one.given: one.order.location_name for one in placed if one.order.location_name}
    for cause, movements in causes.items():
        what, _, value = cause.partition("/")
        orders = list(dict.fromkeys(one.reference for one in movements))
        yield _stranger(what, value, names.get(value, ""), orders, sentences.get(cause, ""))


def _stranger(what: str, value: str, name: str, orders: Sequence[str], sentence: str) -> NewException:
    named = ", ".join(orders[:_ORDERS_NAMED])
    if value == NO_LOCATION:
        message = f"Kiosk orders name no location, so nobody can tell whose stock they took: {named}."
        cure = "Give the kiosk's device a location in Cloudshelf, or set movements.take_from to the key of one Channel."
    elif what == "location":
        called = f" ('{name}')" if name else ""
        message = (
            f"Kiosk orders name the location '{value}'{called}, which stands for no supply Channel: {named}."
        )
        cure = "Give the store a supply Channel and run the bootstrap, which makes its location in Cloudshelf, and set "
        cure += (
            "the kiosk's device to that; the movements wait, and go on by themselves once the id is known."
        )
    else:
        message = f"Kiosk orders name the variant '{value}', whose id holds no SKU of ours: {named}."
        cure = "Remove the variant that was not made by the catalogue sync from Cloudshelf, or give it the external id "
        cure += "gid://external/CommercetoolsSku/<SKU>; the movements wait, and go on by themselves then."
    return NewException(
        kind=Kind.UNKNOWN_IDENTIFIER,
        cause_key=f"{what}/{value}",
        record=value,
        field="session.locationId" if what == "location" else "lines.productVariantId",
        rule="stands for a supply Channel" if what == "location" else "stands for a SKU",
        message=f"{message} {sentence}".strip(),
        cure=cure,
        owner=Owner.RETAIL_OPS if what == "location" else Owner.ECOMMERCE,
        payload={"orders": list(orders[:_ORDERS_NAMED])},
    )
