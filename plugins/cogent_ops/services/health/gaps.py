"""Gaps: what may have been missed while a source outside told us nothing is read again, and compared before it closes.

A source that has stopped discards what it should have told, so nothing comes by itself once it goes on. A gap that has
ended is *replayed*: the watermarks of all that follows commercetools go back to its beginning, every variant that
kiosks show is to be read again with all its inventory entries, and the gap's Messages are read where the project keeps
them. The flows do the reading as they always do, within the rate budgets. It is *reconciled* when all of that has
happened, and when a comparison by this module itself finds commercetools, the store and what kiosks were told to agree;
what does not is named, and the gap stays open.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.availability import Assortment, Counted, by_sku
from cogent_ops.domain.commercetools import Channel, timestamp
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.health.model import Check, State
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.domain.text import counted, listed
from cogent_ops.errors import CogentOpsError, MissingScope
from cogent_ops.services.availability import CHANGES, skus_in
from cogent_ops.services.beat import SHOP_LOOKED
from cogent_ops.services.catalogue.plan import Flow as CatalogueFlow
from cogent_ops.services.catalogue.plan import Mode
from cogent_ops.services.health.looking import OutsideReport, over
from cogent_ops.services.orders.shop import SHOP_FLOW, ShopWatch
from cogent_ops.store import Store
from cogent_ops.store.health_gaps import Gap, GapSource
from cogent_ops.store.sql import now as by_our_clock

log = logging.getLogger(__name__)

Raw = dict[str, Any]

SUBSCRIPTION: GapSource = "subscription"
MESSAGES: GapSource = "messages"
#: A gap is read so far beyond both of its ends: it was seen by our clock and between two looks, and Messages show late.
MARGIN = timedelta(minutes=2)
#: Messages of a gap that tell which articles and orders it concerns.
TELLING = (
    *("InventoryEntryCreated", "InventoryEntryDeleted", "InventoryEntryQuantitySet"),
    *("OrderCreated", "OrderImported", "OrderDeleted"),
    *("OrderStateChanged", "OrderPaymentStateChanged", "OrderShipmentStateChanged", "ReturnInfoAdded"),
)
#: Messages in a page, and pages that one check reads at most; the next goes on.
PAGE, PAGES = 500, 20
#: Articles that are compared one by one at most.
SAMPLE = 200
#: So many that are not read or told yet may be so in a moment; of more it is not looked again.
MANY = 1000
#: In a gap's detail: the catalogue was read again.
CATALOGUE_READ = "catalogue_read"
#: Differences that messages name.
_SHOWN = 5
#: What differs is read again after so long, so often: it may be on its way.
PAUSE_SECONDS = 3.0
REREADS = 3
#: So long one check works on all gaps together: before it has ended, people hear of nothing else either.
SECONDS = 60.0
_LATER = "what this check had no time for; the next one goes on with it"


@dataclass
class _Reading:
    """Messages of a gap, as far as they were read.

    :param cursor: id of the last one.
    :param why: why they are not read; empty: they are.
    """

    messages: int = 0
    orders: int = 0
    skus: list[str] = field(default_factory=list)
    cursor: str = ""
    done: bool = False
    why: str = ""

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> _Reading:
        return cls(**detail.get("reading", {}))


class Gaps:
    """Replays and reconciles the gaps of a link. It asks commercetools only when a gap has come so far.

    :param client: makes a commercetools client for the reading.
    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    :param pause: waits so many seconds.
    :param clock: seconds that only grow.
    """

    name = "Gaps"

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: Callable[[], CommercetoolsClient],
        overrides: Mapping[str, LocationOverride],
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.link, self.store, self.overrides = config, config.name, store, overrides
        self._client, self._pause, self._clock = client, pause, clock
        self._deadline = float("inf")

    def ask(self) -> None:
        """Nothing: what a gap needs to be asked depends on how far it has come."""

    def judge(self, answer: None, now: datetime) -> OutsideReport:
        """Carry on with every gap, as far as there is time."""
        self._deadline = self._clock() + SECONDS
        checks: list[Check] = []
        found: list[NewException] = []
        for gap in self.store.gaps.open(self.link):
            if gap.ended_at is None:
                found.append(_still(gap))
                continue
            left = [_LATER] if self._is_late() else self._carried_on(gap, now)
            if left:
                new = _being_read(gap, left)
                found.append(new)
                checks.append(Check(name=f"Gap of {_label(gap)}", state=State.LATE, message=new.message))
            else:
                read = "All that changed in it was read again, and agrees."
                checks.append(Check(name=f"Gap of {_label(gap)}", state=State.GOOD, message=read))
        gone = tuple(
            cause
            for kind in (Kind.SUBSCRIPTION_STOPPED, Kind.MESSAGES_OFF)
            for cause in over(self.store, self.link, kind, "", found)
        )
        return OutsideReport(tuple(checks), tuple(found), gone)

    def _is_late(self) -> bool:
        return self._clock() >= self._deadline

    def _carried_on(self, gap: Gap, now: datetime) -> list[str]:
        """One step, or several; what is left to do or differs, in words."""
        ended = gap.ended_at or now
        if now - ended < MARGIN:
            return ["it has ended just now, and is read again in a few minutes"]
        try:
            if gap.replayed_at is None:
                gap = self._replay(gap)
            left = self._waits_for(gap) or self._differs(gap, ended + MARGIN)
        except CogentOpsError as error:
            log.warning("the gap of %s could not be compared: %s", _label(gap), error)
            return [f"it could not be compared: {error}"]
        with self.store.begin() as conn:
            known = self.store.gaps.ongoing(self.link, gap.source, gap.name, conn) or gap
            self.store.gaps.note(conn, gap, {**known.detail, "left": left})
            if not left:
                self.store.gaps.close(conn, gap, now)
        return left

    # Replaying

    def _replay(self, gap: Gap) -> Gap:
        """Have everything since the gap's beginning read again."""
        since, marks = gap.began_at - MARGIN, self.store.watermarks
        with self.store.begin() as conn:
            self.store.availability.read_again(conn, self.link)
            moved = [
                flow
                for flow in (CHANGES, SHOP_FLOW, CatalogueFlow.SYNC.value)
                if marks.move_back(conn, self.link, flow, since)
            ]
            self.store.gaps.note(conn, gap, {**gap.detail, "moved_back": moved})
            # By the clock that flows note their looks with: one that began before has not read this.
            self.store.gaps.replayed(conn, gap, by_our_clock())
        log.info("the gap of %s is read again since %s: %s", _label(gap), since, listed(moved) or "stock")
        found = self.store.gaps.ongoing(self.link, gap.source, gap.name)
        return gap if found is None else found

    def _waits_for(self, gap: Gap) -> list[str]:
        """What the flows have not read or told yet since the gap was replayed, in words."""
        asked, left = gap.replayed_at or gap.began_at, list[str]()
        left += self._catalogue_waits(gap, asked)
        unread = self._unread()
        if unread:
            left.append(f"{counted(unread, 'article')} whose stock availability_push has not read again yet")
        if not unread and (untold := self._untold()):
            more = " and more" if len(untold) > _SHOWN else ""
            left.append(f"stock that kiosks have not been told yet: {listed(untold[:_SHOWN])}{more}")
        looked = self.store.watermarks.get(self.link, SHOP_LOOKED)
        if self.store.watermarks.get(self.link, SHOP_FLOW) is not None and (
            looked is None or looked <= asked
        ):
            left.append("kiosk_order_capture has not looked at commercetools' orders since")
        return left

    def _unread(self) -> int:
        """How many variants wait to be read; where orders come in, some always do for a moment."""
        for _ in range(REREADS):
            left = self.store.availability.unread(self.link)
            if not 0 < left <= MANY:
                break
            self._pause(PAUSE_SECONDS)
        return left

    def _untold(self) -> list[str]:
        """What kiosks are not told for longer than it takes; what changes just now is on its way."""
        found = self.store.availability.untold(self.link, by_our_clock(), MANY)
        for _ in range(REREADS):
            if not 0 < len(found) < MANY:
                break
            self._pause(PAUSE_SECONDS)
            again = set(self.store.availability.untold(self.link, by_our_clock(), MANY))
            found = [one for one in found if one in again]
        return found

    def _catalogue_waits(self, gap: Gap, asked: datetime) -> list[str]:
        """Whether a run of the catalogue that began later has read the gap; a link without catalogue needs none."""
        if self.store.watermarks.get(self.link, CatalogueFlow.SYNC.value) is None:
            return []
        if gap.detail.get(CATALOGUE_READ):
            return []
        if self._catalogue_read(gap.began_at - MARGIN, asked):
            self._remember_catalogue(gap)
            return []
        return ["catalogue_sync has not read the catalogue again since"]

    def _catalogue_read(self, since: datetime, asked: datetime) -> bool:
        """Whether a run that began after it was asked for has read everything, or everything since a moment."""
        return any(
            run.mode == Mode.FULL
            or (run.mode == Mode.DELTA and run.window_start is not None and run.window_start <= since)
            for run in self.store.runs.since(self.link, CatalogueFlow.SYNC.value, asked, status="done")
            if not run.params.get("dry_run")
        )

    def _remember_catalogue(self, gap: Gap) -> None:
        """So that later checks need not find the run again; a gap that began anew meanwhile is read anew."""
        with self.store.begin() as conn:
            known = self.store.gaps.ongoing(self.link, gap.source, gap.name, conn)
            if known is not None and known.replayed_at == gap.replayed_at:
                self.store.gaps.note(conn, known, {**known.detail, CATALOGUE_READ: True})

    # Comparing

    def _differs(self, gap: Gap, until: datetime) -> list[str]:
        """What commercetools says otherwise than is known here, in words; first the gap's Messages are read."""
        since, client = gap.began_at - MARGIN, self._client()
        reading = self._read_messages(gap, client, since, until)
        if not reading.done:
            return [f"its Messages, of which {reading.messages:,} were read"]
        left = []
        if self._is_late():
            return [_LATER]
        orders = self._orders_differ(client, since, until)
        if orders:
            shown = listed(
                f"{id_.rpartition('/')[2]} ({there} there, {known} here)"
                for id_, (known, there) in islice(orders.items(), _SHOWN)
            )
            left.append(f"{counted(len(orders), 'order')} other in commercetools than here: {shown}")
        if self._is_late():
            return [*left, _LATER]
        skus = list(dict.fromkeys([*reading.skus, *_changed(client, since, until)]))[:SAMPLE]
        stock = self._stock_differs(client, skus)
        if stock:
            left.append(
                f"{counted(len(stock), 'article')} of which stock differs: {'; '.join(stock[:_SHOWN])}"
            )
        return left

    def _read_messages(
        self, gap: Gap, client: CommercetoolsClient, since: datetime, until: datetime
    ) -> _Reading:
        """Go on reading the gap's Messages; what was read is kept, so that no check takes long."""
        known = self.store.gaps.ongoing(self.link, gap.source, gap.name) or gap
        reading, pages = _Reading.of(known.detail), list[list[Raw]]()
        if reading.done:
            return reading
        try:
            for page in islice(_messages(client, since, until, reading.cursor), PAGES):
                pages.append(page)
                if self._is_late():
                    break
            reading.done = len(pages) < PAGES and not self._is_late()
        except MissingScope as error:
            pages, reading.done, reading.why = [], True, str(error)
        skus = dict.fromkeys(reading.skus)
        for message in chain.from_iterable(pages):
            reading.messages += 1
            reading.orders += message["resource"]["typeId"] == "order"
            reading.cursor = message["id"]
            skus.update(dict.fromkeys(skus_in(message)))
        reading.skus = list(skus)[:SAMPLE]
        with self.store.begin() as conn:
            self.store.gaps.note(conn, gap, {**known.detail, "reading": vars(reading)})
        return reading

    def _orders_differ(
        self, client: CommercetoolsClient, since: datetime, until: datetime
    ) -> Mapping[str, tuple[str, str]]:
        """Captured orders that are others there; a link that captures none needs no right to read any."""
        if self.store.watermarks.get(self.link, SHOP_FLOW) is None:
            return {}
        return ShopWatch(self.config, self.store, client).differences(since, until)

    def _stock_differs(self, client: CommercetoolsClient, skus: Iterable[str]) -> list[str]:
        """Articles that are there otherwise than they were read; what is on its way is given time to arrive."""
        suspects = sorted(self.store.availability.shown(self.link, skus))
        if not suspects:
            return []
        raw = chain.from_iterable(client.pages("channels"))
        assortment = Assortment.of(self.config, map(Channel.model_validate, raw), self.overrides)
        before: dict[str, str] = {}
        for turn in range(REREADS):
            if turn:
                self._pause(PAUSE_SECONDS)
            now = self._differences(client, assortment, suspects)
            # What has changed there since the last look is on its way, not forgotten.
            before = {sku: text for sku, text in now.items() if not turn or before.get(sku) == text}
            suspects = sorted(now)
            if not before:
                return []
        return list(before.values())

    def _differences(
        self, client: CommercetoolsClient, assortment: Assortment, skus: list[str]
    ) -> dict[str, str]:
        found = by_sku(chain.from_iterable(client.by_values("inventory", "sku", skus)))
        there = {
            sku: assortment.counted({channel: one.available for channel, one in found.get(sku, {}).items()})
            for sku in skus
        }
        with self.store.read() as conn:
            here = self.store.availability.counted(conn, self.link, skus)
        return {
            sku: f"{sku}: {_units(one)} in commercetools, {_units(here.get(sku))} here"
            for sku, one in there.items()
            if sku not in here or _plain(one) != _plain(here[sku])
        }


def _messages(
    client: CommercetoolsClient, since: datetime, until: datetime, cursor: str
) -> Iterator[list[Raw]]:
    """Pages of Messages of a time that lies behind us: their ids do not grow with time, but none is added there."""
    kinds = ", ".join(map(client.literal, TELLING))
    where = [
        f"createdAt >= {client.literal(timestamp(since))}",
        f"createdAt <= {client.literal(timestamp(until))}",
        f"type in ({kinds})",
        *([f"id > {client.literal(cursor)}"] if cursor else []),
    ]
    yield from client.pages("messages", where=where, page_size=PAGE)


def _changed(client: CommercetoolsClient, since: datetime, until: datetime) -> list[str]:
    """Some SKUs of inventory entries that changed in a time."""
    where = [
        f"lastModifiedAt >= {client.literal(timestamp(since))}",
        f"lastModifiedAt <= {client.literal(timestamp(until))}",
    ]
    page = next(client.pages("inventory", where=where, page_size=SAMPLE), [])
    return [entry["sku"] for entry in page]


def _plain(one: Counted) -> tuple[dict[str, int], dict[str, int]]:
    """What was counted, without what is nothing: an entry may have come or gone."""
    return (
        {key: units for key, units in one.stores.items() if units},
        {key: units for key, units in one.others.items() if units},
    )


def _units(one: Counted | None) -> str:
    if one is None:
        return "never read"
    stores, others = _plain(one)
    said = [f"{units} at {key or 'no store'}" for key, units in sorted({**stores, **others}.items())]
    return listed(said) if said else "nothing"


# Words


def gap_cause(gap: Gap) -> str:
    """Cause key of a gap: each is a case of its own."""
    name = f"/{gap.name}" if gap.source == SUBSCRIPTION else ""
    return f"{gap.source}{name}/{gap.id}"


def _kind(gap: Gap) -> Kind:
    return Kind.SUBSCRIPTION_STOPPED if gap.source == SUBSCRIPTION else Kind.MESSAGES_OFF


def _label(gap: Gap) -> str:
    return f"Subscription {gap.name}" if gap.source == SUBSCRIPTION else "Messages"


def _still(gap: Gap) -> NewException:
    """Of a gap that has not ended."""
    status, since = gap.detail.get("status", ""), f"{gap.began_at:%Y-%m-%d %H:%M} UTC"
    if gap.source == MESSAGES:
        message = f"The project keeps no Messages. It kept them until {since} at least."
        cure = "Turn Messages on again (docs/go-live.md)."
    else:
        message = (
            f"Subscription '{gap.name}' is not there any more; it was until {since} at least. Who listens hears "
            "nothing."
            if status == "gone"
            else f"Subscription '{gap.name}' ({gap.detail.get('destination', 'its queue')}) has the status {status}; "
            f"it delivered until {since} at least. What happens meanwhile is discarded, not kept."
        )
        cure = (
            "Create it again, or take it out of health.subscriptions."
            if status == "gone"
            else "Mend the destination, and set it again (API action changeDestination); one that was suspended by "
            "hand only commercetools' support can start."
        )
    return _exception(gap, message, f"{cure} What changed meanwhile is read again by itself then.")


def _being_read(gap: Gap, left: list[str]) -> NewException:
    """Of a gap that has ended and is not reconciled yet."""
    span = f"from {gap.began_at:%Y-%m-%d %H:%M} to {gap.ended_at or gap.began_at:%Y-%m-%d %H:%M} UTC"
    message = f"{_label(gap)} tells us everything again. The gap {span} is being read again. Left: {'; '.join(left)}."
    cure = (
        "Nothing, if the flows run: it closes by itself. If this stays, unpause the flow that it names; what differs "
        "is shown by cogent-ops explain."
    )
    return _exception(gap, message, cure)


def _exception(gap: Gap, message: str, cure: str) -> NewException:
    return NewException(
        kind=_kind(gap),
        cause_key=gap_cause(gap),
        record=_label(gap),
        field="status" if gap.source == SUBSCRIPTION else "messages.enabled",
        rule="every change is told",
        message=message,
        cure=cure,
        owner=Owner.PLATFORM,
        payload={
            "gap": gap.id,
            "name": gap.name,
            "began_at": gap.began_at.isoformat(),
            "ended_at": None if gap.ended_at is None else gap.ended_at.isoformat(),
        },
    )
