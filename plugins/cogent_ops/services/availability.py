"""Availability out: what commercetools has for sale reaches the kiosks.

*Collect* finds out what kiosks should be told. Inventory entries that changed are asked for by ``lastModifiedAt``; an
entry that an order changed, or that was deleted, may not show that way, so each variant is also read again by itself
once in a while, and sooner where the project's Messages tell of an order or a deletion. Whichever entry changed, all
entries of its SKU are read, because the variant's flags depend on all of them, and what is wanted is stored: the latest
wish replaces older ones. *Push* tells what differs from what was told.

Stock levels belong to this flow alone. The flags ``isInStock`` and ``availableToPurchase`` are fields of a variant,
which the catalogue flow writes, too, and Cloudshelf takes whole variants only. So a flag that differs is told by
reading the variant and writing it back, and the two flows take turns:

- Whoever is about to write a variant holds its row (``store.availability``); the other waits, or goes on to others.
- What the catalogue flow has told counts as told. It may have read the stock before this flow did; then what it told
  differs from what is wanted, and is told again right away.
- The catalogue flow's fingerprint says that a variant is as *it* sent it last, which hides what this flow told since.
  So what was told is kept here, not there; where the catalogue flow reads another stock, it is read again here.
- A variant that this flow has never seen is read as soon as the catalogue flow has shown it; one that was taken off the
  kiosks is forgotten, and nothing puts it back on sale.

While stock is late, units that are gone and that commercetools still has are taken off what is wanted
(``services.protection``), and off nothing else. The catalogue flow knows nothing of that: where it tells that a variant
is in stock of which all units are held back, what it told differs from what is wanted, and is told again right away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from cogent_ops.clients.cloudshelf import CloudshelfClient, RecordFailure, StockLevel
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.clients.graphql_api import TRANSIENT
from cogent_ops.config import LinkConfig
from cogent_ops.domain.availability import Assortment, Counted, Found, Wanted, by_sku
from cogent_ops.domain.commercetools import Channel, timestamp
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.health.risk import Hold
from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.domain.stock import Place
from cogent_ops.errors import CogentOpsError, MissingScope, PermanentError, RetryableError
from cogent_ops.services.beat import COLLECTED, Note
from cogent_ops.services.counts import Counts, Tally
from cogent_ops.services.pipeline import batches, ordered_map
from cogent_ops.services.protection import Protection
from cogent_ops.services.relay import Relay, Step
from cogent_ops.store import Store
from cogent_ops.store.availability import AT_ONCE, Flag, Level, Overtaken
from cogent_ops.store.sql import now as by_our_clock
from cogent_ops.store.stock import PLACES_PER_STATEMENT

log = logging.getLogger(__name__)

Raw = dict[str, Any]

#: Flow under whose name the watermarks hold how far changed entries were read, by commercetools' clock.
CHANGES = "availability"
#: Changed entries in a page, and SKUs whose entries are read in one go.
PAGE, SKUS = 500, 150
#: A collection spends so long at most on variants that are read again by themselves: changes must not wait for them.
SLICE_SECONDS = 5.0
#: The part of an entry that shows a change, and ranges of ids (UUIDs) that together hold all of them.
SLIM = ("id", "version", "sku", "availableQuantity", "lastModifiedAt")
RANGES = (('id < "4"',), ('id >= "4"', 'id < "8"'), ('id >= "8"', 'id < "c"'), ('id >= "c"',))
#: Most looks at changed entries reach back only so far behind the last one.
SHORT_OVERLAP_SECONDS = 2.0
#: An order shows in the inventory within so long; its variants are read at once, and again after that.
ORDER_SECONDS = 12.0
#: Messages that tell of changes which modified entries may not show, and how far each look reaches back for late ones.
TELLING = ("OrderCreated", "OrderImported", "InventoryEntryDeleted")
MESSAGES_OVERLAP = timedelta(seconds=60)
#: Channels change rarely.
CHANNELS_SECONDS = 120.0
#: What may have been read before a movement of ours took effect is read again after so long.
DOUBT_SECONDS = 1.0
#: What Cloudshelf does not know yet is tried again after so long.
WAIT_SECONDS = 60.0
#: What it refused, after so long; twice as long with each further refusal, up to an hour.
REFUSED_SECONDS = 60.0
LONGEST_REFUSED_SECONDS = 3600.0
#: After so many refusals a person should hear of those that may pass by themselves.
PATIENT_REFUSALS = 3
#: What is being sent is nobody else's for so long: longer than it can be under way.
HOLD_SECONDS = 300.0
#: Variants whose flags are told in one push, and products that are read before in one call.
FLAGS, PRODUCTS = 200, 8
#: Kind and id of the note that this organisation takes a quantity of zero for in stock.
NOTE, ZERO = "availability", "zero_is_in_stock"
#: Told instead of zero there: below every safety stock.
BELOW_ZERO = -1
BOUNDARY = "zero is out of stock"
_NOT_FOUND = "ENTITY_NOT_FOUND"


@dataclass(frozen=True)
class CollectCounts:
    """What a collection found.

    :param entries: changed entries that were read.
    :param skus: variants of which all entries were read.
    :param hidden: SKUs of changed entries that no kiosk shows.
    :param changed: levels and flags that kiosks should be told otherwise than before.
    :param unread: whether variants are left that are to be read again by now.
    :param overtaken: a later collection has begun, so this one stored nothing more.
    """

    entries: int = 0
    skus: int = 0
    hidden: int = 0
    changed: int = 0
    unread: bool = False
    overtaken: bool = False


@dataclass(frozen=True)
class PushCounts(Counts):
    """What a push told.

    :param told: stock levels that Cloudshelf has confirmed.
    :param flags: variants whose flags it has confirmed.
    :param refused: levels and flags that it refused.
    :param waiting: those that wait until Cloudshelf knows their location or variant.
    :param calls: calls that carried levels.
    :param more: whether something that was due is left.
    """

    told: int = 0
    flags: int = 0
    refused: int = 0
    waiting: int = 0
    calls: int = 0
    more: bool = False


@dataclass
class _Tally:
    """A collection as it goes on; see :class:`CollectCounts`."""

    turn: datetime
    read_again: datetime
    entries: int = 0
    hidden: int = 0
    changed: int = 0
    skus: set[str] = field(default_factory=set)


class AvailabilityFlow:
    """The availability of one link. One run at a time makes sense; several do no harm.

    :param locations: what ``include/locations.yaml`` says, by Channel key.
    :param project: the commercetools project as its rate budget names it.
    :param run_key: the run under which exceptions are raised.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        commercetools: CommercetoolsClient,
        cloudshelf: CloudshelfClient,
        locations: Mapping[str, LocationOverride],
        *,
        project: str,
        run_key: str = "availability",
    ) -> None:
        self.config, self.store, self.rules = config, store, config.availability
        self.commercetools, self.cloudshelf, self.overrides = commercetools, cloudshelf, locations
        self.project, self.run_key = project, run_key
        self.protection = Protection(config, store, project)
        self._collected = Note(store, config.name, COLLECTED)
        self._assortment: tuple[float, Assortment] | None = None
        #: Changed entries as the last collection stored them: the overlap shows them again and again.
        self._stored: dict[str, tuple[int, int]] = {}
        self._deep_at = float("-inf")
        #: Entries that a SKU had in the last portion.
        self._per_sku = 10.0
        self._messages = _Messages(commercetools)
        #: SKUs that Messages have named and that were not looked at since.
        self._hinted: set[str] = set()
        self._zero = _Zero(config, store, cloudshelf, run_key)
        self._locations = _Locations(config.name, store, cloudshelf)

    def keep_up(self, *, full: bool = False) -> dict[str, int]:
        """Collect and push again and again, for as long as a run may last; what was done, in numbers.

        :param full: begin by reading every variant that kiosks show.
        :raises RetryableError: when an API or the store stayed out of reach until the end; nothing is lost.
        :raises PermanentError: when a person must act first.
        """
        told, told_less = Tally(PushCounts()), Tally(PushCounts())
        is_full, is_untold = full, False
        seen = {"entries_read": 0, "changes": 0, "protected": 0}

        def turn() -> int:
            nonlocal is_full
            try:
                found = self.collect(by_our_clock(), full=is_full)
                is_full = False
                seen["entries_read"] += found.entries
                seen["changes"] += found.changed
            finally:
                # What is known already must reach the kiosks also while commercetools does not answer.
                pushed = told.add(self.push())
            return int(found.unread or pushed.more)

        def protect() -> int:
            """Beside the other step: that one may wait for commercetools for minutes."""
            nonlocal is_untold
            found = self.protection.refresh(by_our_clock())
            seen["protected"] += found.begun
            is_untold |= bool(found.lowered)
            if is_untold:
                told_less.add(self.push())
                is_untold = False
            return 0

        rules = self.rules
        steps = (Step("availability", turn), Step("protection", protect))
        Relay(steps, rules.poll_seconds, rules.longest_run_seconds, rules.longest_run_seconds).run()
        total = told.total + told_less.total
        return {
            **seen,
            "levels_told": total.told,
            "flags_told": total.flags,
            "refused": total.refused,
            "calls": total.calls,
        }

    # Collecting

    def collect(self, now: datetime, *, full: bool = False) -> CollectCounts:
        """Find out what kiosks should be told.

        :param now: our clock.
        :param full: read every variant that kiosks show, however recently it was read.
        :raises RetryableError: when commercetools or the store is out of reach. What was read before is stored.
        :raises ConfigError: when the rules name a Channel that the project does not have.
        """
        link, available = self.config.name, self.store.availability
        again = now + timedelta(minutes=self.rules.sweep_minutes)
        tally = _Tally(available.begin(link), again)
        # What this collection reads is read again later than this.
        due = again - timedelta(microseconds=1) if full else now
        overtaken = False
        try:
            self._read_changes(tally)
            # A Message is heard once, and this collection may end before it has looked: so hints outlive it.
            self._hinted |= self._messages.news()
            self._hinted = available.shown(link, self._hinted)
            available.read_soon(link, self._hinted, AT_ONCE)
            read = self._read_due(tally, due, None if full else SLICE_SECONDS)
            available.read_soon(link, self._hinted & read, now + timedelta(seconds=ORDER_SECONDS))
            self._hinted -= read
            self._collected(now)
        except Overtaken as error:
            log.warning("%s This one ends.", error)
            overtaken = True
        return CollectCounts(
            entries=tally.entries,
            skus=len(tally.skus),
            hidden=tally.hidden,
            changed=tally.changed,
            unread=bool(available.to_read(link, now, 1)),
            overtaken=overtaken,
        )

    def _read_changes(self, tally: _Tally) -> None:
        """Read what changed since the watermark, which then moves to where commercetools was when this began.

        Pages are ordered by id, so an entry that changes while they are read may be missed behind the cursor. It has
        changed later than anything on the first page, so the next collection finds it.
        """
        link = self.config.name
        since = self.store.watermarks.get(link, CHANGES)
        if since is None:
            self._begin_here(tally)
            return
        began = time.monotonic()
        is_deep = began - self._deep_at >= self.rules.overlap_seconds / 2
        pages = self._changed(since, is_deep)
        reached = max(map(_modified, pages[0]), default=since)
        seen: dict[str, tuple[int, int]] = {}
        moved: set[str] = set()
        for page in pages:
            for entry in page:
                seen[entry["id"]] = state = (entry["version"], entry["availableQuantity"])
                if self._stored.get(entry["id"]) != state:
                    moved.add(entry["sku"])
                    tally.entries += 1
        shown = self.store.availability.shown(link, sorted(moved))
        tally.hidden = len(moved) - len(shown)
        self._read(tally, sorted(shown))
        if reached > since:
            with self.store.begin() as conn:
                self.store.availability.record(conn, link, tally.turn, {}, tally.read_again)
                self.store.watermarks.set(conn, link, CHANGES, reached)
        if is_deep:
            self._stored, self._deep_at = seen, began
        else:
            self._stored.update(seen)

    def _changed(self, since: datetime, is_deep: bool) -> list[list[Raw]]:
        """Changed entries, in pages; what one page does not hold is read in several ranges of ids at once.

        :param is_deep: look back as far as configured. Most looks need not, or a launch would be read over and over;
            two in that time find what shows up to half of it late.
        """
        overlap = self.rules.overlap_seconds
        back = timedelta(seconds=overlap if is_deep else min(overlap, SHORT_OVERLAP_SECONDS))
        where = f"lastModifiedAt >= {self.commercetools.literal(timestamp(since - back))}"
        first = next(self._slim_pages([where]), [])
        if len(first) < PAGE:
            return [first]
        ranges = ([where, *bounds] for bounds in RANGES)
        others = ordered_map(
            lambda predicates: list(self._slim_pages(predicates)), ranges, workers=self.config.concurrency
        )
        return [first, *chain.from_iterable(others)]

    def _slim_pages(self, where: Sequence[str]) -> Iterator[list[Raw]]:
        """Pages of entries with no more of them than it takes to see that they have changed."""
        for page in self.commercetools.pages("inventory", where=where, page_size=PAGE):
            yield [{name: entry[name] for name in SLIM} for entry in page]

    def _begin_here(self, tally: _Tally) -> None:
        """Note where commercetools is now, and that all variants are to be read: so nothing before is needed."""
        link = self.config.name
        newest = next(
            self.commercetools.pages("inventory", params={"sort": "lastModifiedAt desc"}, page_size=1), []
        )
        if not newest:
            return
        with self.store.begin() as conn:
            self.store.availability.record(conn, link, tally.turn, {}, tally.read_again)
            self.store.availability.read_all(conn, link)
            self.store.watermarks.set(conn, link, CHANGES, _modified(newest[0]))

    def _read_due(self, tally: _Tally, due: datetime, seconds: float | None) -> set[str]:
        """Read variants whose time has come, those that wait longest first; returns their SKUs."""
        read: set[str] = set()
        began, portion = time.monotonic(), SKUS * self.config.concurrency
        while seconds is None or time.monotonic() - began < seconds:
            skus = self.store.availability.to_read(self.config.name, due, portion)
            if not skus:
                break
            self._read(tally, skus)
            read.update(skus)
        return read

    def _read(self, tally: _Tally, skus: Iterable[str]) -> None:
        """Read all entries of some SKUs, and store what follows from them."""
        assortment = self._current_assortment()
        stocks = ordered_map(self._stock, self._portions(skus), workers=self.config.concurrency)
        for began, stock in stocks:
            self._per_sku = sum(map(len, stock.values())) / len(stock)
            with self.store.begin() as conn:
                self.store.availability.take_turn(conn, self.config.name)
                # After the entries were read: what is not in them is then known to be missing, unit by unit.
                holds = self.store.protection.holds(conn, self.config.name, self.project, stock)
                sending = self.store.protection.sending(conn, self.project, stock)
                self._record(conn, tally, _judged(assortment, stock, began, holds, sending))
            tally.skus.update(stock)

    def _record(self, conn: Connection, tally: _Tally, read: Mapping[str, _Judged]) -> None:
        again = by_our_clock() + timedelta(seconds=DOUBT_SECONDS)
        link = self.config.name
        tally.changed += self.store.availability.record(
            conn,
            link,
            tally.turn,
            {sku: one.wanted for sku, one in read.items()},
            tally.read_again,
            counted={sku: one.counted for sku, one in read.items()},
            doubtful={sku: again for sku, one in read.items() if one.is_doubtful},
        )
        held = {place: units for one in read.values() for place, units in one.held.items()}
        free = [place for one in read.values() if not one.is_doubtful for place in one.released]
        for places in batches(held, PLACES_PER_STATEMENT):
            self.store.protection.in_force(
                conn, link, {place: held[place] for place in places}, by_our_clock()
            )
        for places in batches(free, PLACES_PER_STATEMENT):
            self.store.protection.release(conn, link, places, by_our_clock())

    def _portions(self, skus: Iterable[str]) -> Iterator[list[str]]:
        """Cut SKUs so that a portion's entries are likely to fit a page: pages of one query wait for each other."""
        source = iter(skus)
        while portion := list(islice(source, max(1, min(SKUS, int(0.9 * PAGE / max(1.0, self._per_sku)))))):
            yield portion

    def _stock(self, skus: list[str]) -> tuple[datetime, dict[str, dict[str, Found]]]:
        """What entries hold by SKU and Channel id, and when reading began; a SKU without any entry is there, too."""
        began = by_our_clock()
        entries = chain.from_iterable(self.commercetools.by_values("inventory", "sku", skus))
        return began, {sku: {} for sku in skus} | by_sku(entries)

    def _current_assortment(self) -> Assortment:
        if self._assortment is None or time.monotonic() - self._assortment[0] > CHANNELS_SECONDS:
            raw = chain.from_iterable(self.commercetools.pages("channels"))
            channels = [Channel.model_validate(one) for one in raw]
            self._assortment = time.monotonic(), Assortment.of(self.config, channels, self.overrides)
        return self._assortment[1]

    # Telling

    def push(self, limit: int | None = None) -> PushCounts:
        """Tell Cloudshelf what differs from what it was told, the longest waiting first.

        What changes meanwhile is left to the next push.

        :param limit: most levels that are told; ``None``: all that are due.
        :raises RetryableError: when Cloudshelf or the store is out of reach. Nothing is lost.
        :raises PermanentError: when a person must act before anything can be told.
        """
        due = by_our_clock()
        self._zero.look()
        total = self._push_levels(due, limit) + self._tell_flags(due)
        if not total.refused:
            self._close_refusals()
        return PushCounts(**{**vars(total), "more": self.store.availability.has_due(self.config.name, due)})

    def _push_levels(self, due: datetime, limit: int | None) -> PushCounts:
        """Tell levels. When it fails, those that cannot be told late by what was sent are free again at once."""
        total, claimed = PushCounts(), dict[str, list[Level]]()
        try:
            for counts in ordered_map(
                lambda batch: self._tell_levels(batch, claimed),
                self._claims(due, limit, claimed),
                workers=self.config.concurrency,
            ):
                total += counts
        except Exception:
            for batch, levels in claimed.items():
                with _whatever_the_store_says():
                    self.store.availability.postpone_levels(
                        self.config.name, batch, levels, _after(0), refused=False
                    )
            raise
        return total

    def _claims(self, due: datetime, limit: int | None, claimed: dict[str, list[Level]]) -> Iterator[str]:
        """Levels to tell, each call's under a name of its own.

        :param claimed: where they are put, by that name.
        """
        left = limit
        while left is None or left > 0:
            batch, size = uuid4().hex, self.rules.rows_per_call if left is None else left
            levels = self.store.availability.claim_levels(
                self.config.name, batch, min(size, self.rules.rows_per_call), due=due, until=_hold_until()
            )
            if not levels:
                return
            left = None if left is None else left - len(levels)
            claimed[batch] = levels
            yield batch

    def _tell_levels(self, batch: str, claimed: dict[str, list[Level]]) -> PushCounts:
        """Tell one call's levels; runs in a worker thread.

        :param claimed: holds the call's levels as long as nothing that was sent can tell them any more.
        """
        levels = claimed[batch]
        link, available = self.config.name, self.store.availability
        ready, waiting, gone = self._locations.sorted(levels, self._stores(levels))
        available.drop_levels(link, batch, gone)
        available.postpone_levels(link, batch, waiting, _after(WAIT_SECONDS), refused=False)
        del claimed[batch]
        if not ready:
            return PushCounts(waiting=len(waiting))
        try:
            told, refused = self._sent(ready)
        except CogentOpsError as error:
            if not _is_under_way(error):
                claimed[batch] = ready
            raise
        available.confirm_levels(link, batch, told)
        available.postpone_levels(link, batch, (level for level, _ in refused), _back_off, refused=True)
        self._raise_refusals([(f"{level.sku}@{level.channel}", level, failure) for level, failure in refused])
        return PushCounts(told=len(told), refused=len(refused), waiting=len(waiting), calls=1)

    def _sent(self, levels: Sequence[Level]) -> tuple[list[Level], list[tuple[Level, RecordFailure]]]:
        """Send levels, and once more those without stock that a kiosk would take to be in stock."""
        rows = {level: self._zero.row(level) for level in levels}
        outcome = self.cloudshelf.upsert_stock_levels(rows.values())
        failures = {failure.id: failure for failure in outcome.batch.failed}
        wrong = [
            level for level, row in rows.items() if level.wanted == 0 and outcome.in_stock.get(row.id, False)
        ]
        if wrong:
            self._zero.is_in_stock(wrong)
            again = {level: self._zero.row(level) for level in wrong}
            outcome = self.cloudshelf.upsert_stock_levels(again.values())
            failures |= {failure.id: failure for failure in outcome.batch.failed}
            for level, row in again.items():
                if outcome.in_stock.get(row.id, False):
                    failures[row.id] = RecordFailure(row.id, BOUNDARY, self._zero.problem(level))
        elif any(row.quantity == 0 and row.id in outcome.in_stock for row in rows.values()):
            self._zero.is_out_of_stock()
        told = [level for level, row in rows.items() if row.id not in failures]
        return told, [(level, failures[row.id]) for level, row in rows.items() if row.id in failures]

    def _stores(self, levels: Sequence[Level]) -> Collection[str]:
        """Channel keys of the link's stores; before the first collection, those of levels, which lately were stores.

        Telling never asks commercetools: what is known must reach the kiosks also while that does not answer.
        """
        if self._assortment is not None:
            return self._assortment[1].stores.values()
        return {level.channel for level in levels}

    # Flags

    def _tell_flags(self, due: datetime) -> PushCounts:
        """Tell flags: read the products' variants, and write those back whose flags differ."""
        link, available = self.config.name, self.store.availability
        holder, began = f"availability/{uuid4().hex}", time.monotonic()
        claimed = available.claim_flags(link, holder, FLAGS, due=due, until=_hold_until())
        if not claimed:
            return PushCounts()
        try:
            there = self._variants(claimed)
        except Exception:
            self._free_flags(holder, claimed)
            raise
        waiting = [flag for flag in claimed if _key(flag) not in there]
        differing = [flag for flag in claimed if _key(flag) in there and not _says(there[_key(flag)], flag)]
        if time.monotonic() - began > HOLD_SECONDS / 2:
            available.postpone_flags(link, holder, claimed, _after(0), refused=False)
            return PushCounts()
        try:
            failures = self._write_flags(differing, there)
        except CogentOpsError as error:
            if not _is_under_way(error):
                self._free_flags(holder, claimed)
            raise
        refused = [(flag, failures[flag.sku]) for flag in differing if flag.sku in failures]
        told = [flag for flag in claimed if _key(flag) in there and flag.sku not in failures]
        lost = available.confirm_flags(link, holder, told)
        if lost:
            # Too late: perhaps what we wrote back was older than what the catalogue flow has sent meanwhile.
            self.store.fingerprints.forget(link, "variant", map(variant_gid, lost))
        available.postpone_flags(link, holder, waiting, _after(WAIT_SECONDS), refused=False)
        available.postpone_flags(link, holder, (flag for flag, _ in refused), _back_off, refused=True)
        self._raise_refusals([(flag.sku, flag, failure) for flag, failure in refused])
        return PushCounts(flags=len(told), refused=len(refused), waiting=len(waiting))

    def _variants(self, flags: Iterable[Flag]) -> dict[str, Raw]:
        """Variants of the products of these flags as Cloudshelf has them; for keys see :func:`_key`."""
        products = sorted({product_gid(flag.product_id) for flag in flags})
        read = ordered_map(
            self.cloudshelf.variants_of, batches(products, PRODUCTS), workers=self.config.concurrency
        )
        return {
            f"{product}/{variant['id']}": variant
            for part in read
            for product, variants in part.items()
            for variant in variants
        }

    def _free_flags(self, holder: str, flags: Iterable[Flag]) -> None:
        """Let go of flags that could not be told, so that the next push tells what is wanted then."""
        with _whatever_the_store_says():
            self.store.availability.postpone_flags(self.config.name, holder, flags, _after(0), refused=False)

    def _write_flags(self, flags: Iterable[Flag], there: Mapping[str, Raw]) -> dict[str, RecordFailure]:
        """Write variants back with other flags; returns what was refused, by SKU."""
        entries: dict[str, list[Raw]] = {}
        skus: dict[str, str] = {}
        for flag in flags:
            new = {"isInStock": flag.in_stock, "availableToPurchase": flag.purchasable}
            variant = {**there[_key(flag)], **new}
            skus[variant["id"]] = flag.sku
            entries.setdefault(product_gid(flag.product_id), []).append(variant)
        if not entries:
            return {}
        outcome = self.cloudshelf.upsert_variants(entries.items())
        return {skus[failure.id]: failure for failure in outcome.failed}

    # What was refused

    def _raise_refusals(self, refused: Sequence[tuple[str, Level | Flag, RecordFailure]]) -> None:
        """One exception a cause, however many records it concerns."""
        causes: dict[str, list[tuple[str, RecordFailure]]] = {}
        for name, record, failure in refused:
            may_pass = failure.code in TRANSIENT or failure.code == _NOT_FOUND
            if not may_pass or record.refusals + 1 >= PATIENT_REFUSALS:
                what = "level" if isinstance(record, Level) else "flags"
                causes.setdefault(f"{what}/{failure.code}", []).append((name, failure))
        if causes:
            with self.store.begin() as conn:
                self.store.exceptions.raise_many(
                    conn,
                    self.config.name,
                    [_refusal(cause, records) for cause, records in causes.items()],
                    self.run_key,
                )

    def _close_refusals(self) -> None:
        """Close exceptions of refusals once nothing is left that was refused."""
        link = self.config.name
        causes = list(self.store.exceptions.open_causes(link, Kind.AVAILABILITY_REFUSED))
        if causes and not self.store.availability.backlog(link).refused:
            with self.store.begin() as conn:
                self.store.exceptions.resolve(conn, link, Kind.AVAILABILITY_REFUSED, causes, self.run_key)


@dataclass(frozen=True)
class _Judged:
    """What follows from the entries of a SKU.

    :param held: units that are held back, by protected place.
    :param is_doubtful: they may have been read before a movement of ours took effect, at a place that is protected.
    :param released: protected places where nothing is at risk any more.
    """

    wanted: Wanted
    counted: Counted
    held: Mapping[Place, int]
    is_doubtful: bool
    released: Sequence[Place]


def _judged(
    assortment: Assortment,
    stock: Mapping[str, Mapping[str, Found]],
    began: datetime,
    holds: Mapping[Place, Hold],
    sending: Mapping[Place, str],
) -> dict[str, _Judged]:
    """What follows from entries, with what is held back taken off.

    :param stock: by SKU and Channel id.
    :param began: when reading them began.
    :param sending: batches that are under way.
    """
    protected: dict[str, list[tuple[Place, Hold]]] = {}
    for place, hold in holds.items():
        protected.setdefault(place.sku, []).append((place, hold))
    judged = {}
    for sku, there in stock.items():
        named = {assortment.key(channel): one.batch for channel, one in there.items()}
        counted = replace(
            assortment.counted({channel: one.available for channel, one in there.items()}),
            batches={
                channel: batch
                for channel, batch in named.items()
                if batch is not None and sending.get(Place(sku, channel)) == batch
            },
        )
        ours = protected.get(sku, ())
        units = {place: hold.units(named.get(place.channel), began) for place, hold in ours}
        judged[sku] = _Judged(
            counted.wanted(assortment.stock, {place.channel: held for place, held in units.items()}),
            counted,
            units,
            any(hold.is_outdated(named.get(place.channel), began) for place, hold in ours),
            [place for place, hold in ours if hold.is_ending],
        )
    return judged


class _Messages:
    """SKUs of orders and deletions, by the Messages of a project that keeps any.

    Only a hint, so nothing is remembered: what a hint misses is found when its variant is read by itself.
    """

    def __init__(self, client: CommercetoolsClient) -> None:
        self.client = client
        self._off = False
        self._since: datetime | None = None
        self._seen: set[str] = set()

    def news(self) -> set[str]:
        """SKUs that Messages have named since the last look."""
        if self._off:
            return set()
        try:
            return self._news()
        except MissingScope as error:
            log.info("orders are found when variants are read again: %s", error)
            self._off = True
            return set()

    def _news(self) -> set[str]:
        if self._since is None:
            self._begin()
        if self._since is None:
            return set()
        kinds = ", ".join(map(self.client.literal, TELLING))
        where = [f"createdAt >= {self.client.literal(timestamp(self._since))}", f"type in ({kinds})"]
        found = list(chain.from_iterable(self.client.pages("messages", where=where)))
        new = [message for message in found if message["id"] not in self._seen]
        self._seen = {message["id"] for message in found}
        if found:
            newest = max(datetime.fromisoformat(message["createdAt"]) for message in found)
            self._since = max(self._since, newest - MESSAGES_OVERLAP)
        return {sku for message in new for sku in skus_in(message)}

    def _begin(self) -> None:
        """Begin a little before the newest Message, by commercetools' clock."""
        if not self.client.project().get("messages", {}).get("enabled"):
            self._off = True
            return
        newest = next(self.client.pages("messages", params={"sort": "createdAt desc"}, page_size=1), [])
        if newest:
            self._since = datetime.fromisoformat(newest[0]["createdAt"]) - MESSAGES_OVERLAP


class _Locations:
    """Which stores Cloudshelf has."""

    def __init__(self, link: str, store: Store, client: CloudshelfClient) -> None:
        self.link, self.store, self.client = link, store, client
        self._known: set[str] = set()
        self._lacking: set[str] = set()
        self._looked_at = float("-inf")
        self._looking = threading.Lock()

    def sorted(
        self, levels: Sequence[Level], stores: Collection[str]
    ) -> tuple[list[Level], list[Level], list[Level]]:
        """Levels whose store Cloudshelf has, those whose store it will have, and those of no store of the link.

        :param stores: Channel keys of the link's stores.
        """
        channels = {level.channel for level in levels}
        with self._looking:
            is_old = time.monotonic() - self._looked_at > WAIT_SECONDS
            if not channels <= (self._known if is_old else self._known | self._lacking):
                self._look(channels.union(stores))
        ready = [level for level in levels if level.channel in self._known]
        waiting = [level for level in levels if level.channel not in self._known and level.channel in stores]
        gone = [level for level in levels if level.channel not in self._known and level.channel not in stores]
        return ready, waiting, gone

    def _look(self, channels: Iterable[str]) -> None:
        """Ask what the catalogue flow remembers, and Cloudshelf itself about the rest."""
        gids = {location_gid(channel): channel for channel in channels}
        sent = self.store.fingerprints.known(self.link, "location", gids)
        # Longer than a mark, which only says that Cloudshelf may have it.
        known = {gids[gid] for gid, hash_ in sent.items() if len(hash_) > 1}
        if len(known) < len(gids):
            there = chain.from_iterable(self.client.locations())
            known |= {gids[one["platformProvidedId"]] for one in there if one["platformProvidedId"] in gids}
        self._known |= known
        self._lacking = set(gids.values()) - self._known
        self._looked_at = time.monotonic()


def told_for_zero(store: Store, link: str) -> int:
    """What kiosks are told in place of 0: below zero, once Cloudshelf has taken 0 for in stock."""
    return 0 if _noted(store, link) is None else BELOW_ZERO


def _noted(store: Store, link: str) -> str | None:
    """The organisation's safety stock number with which 0 was taken for in stock; ``None``: it was not."""
    return store.fingerprints.known(link, NOTE, [ZERO]).get(ZERO)


class _Zero:
    """What is told for "none", where the organisation takes a quantity of zero for in stock.

    Out of stock is what lies below the organisation's safety stock number, by the documentation. Taken literally, and
    with the number at zero, no store could ever be out of stock. So each answer to a zero is looked at; where a kiosk
    would take it to be in stock, one below zero is told instead, in the same breath and from then on. Quantities are
    shown nowhere: kiosks count by the live endpoint.
    """

    def __init__(self, config: LinkConfig, store: Store, client: CloudshelfClient, run_key: str) -> None:
        self.link, self.store, self.client, self.run_key = config.name, store, client, run_key
        self._told_as = 0
        self._looked, self._open = False, False

    def look(self) -> None:
        """Recall what an earlier run has found, unless the organisation's number is another by now."""
        if self._looked:
            return
        noted = _noted(self.store, self.link)
        self._open = any(self.store.exceptions.open_causes(self.link, Kind.SAFETY_STOCK_BOUNDARY))
        if noted is not None and self._number() in ("", noted):
            self._told_as = BELOW_ZERO
        elif noted is not None:
            self.store.fingerprints.forget(self.link, NOTE, [ZERO])
        self._looked = True

    def _number(self) -> str:
        """The organisation's safety stock number; empty when it cannot be read."""
        try:
            found = self.client.organisation()
        except PermanentError as error:
            log.warning("the organisation's safety stock number cannot be read: %s", error)
            return ""
        return "" if found is None else str(found.safety_stock)

    def row(self, level: Level) -> StockLevel:
        """A level as it is told."""
        quantity = level.wanted or self._told_as
        return StockLevel(location_gid(level.channel), variant_gid(level.sku), quantity)

    def is_in_stock(self, levels: Sequence[Level]) -> None:
        """Note that zero does not do, doubt every zero told before, and let a person know."""
        if self._told_as == BELOW_ZERO:
            return
        self._told_as = BELOW_ZERO
        number = self._number()
        self.store.fingerprints.remember(self.link, NOTE, {ZERO: number}, self.run_key)
        self.store.availability.doubt_zeros(self.link)
        with self.store.begin() as conn:
            self.store.exceptions.raise_(conn, self.link, _boundary(levels[0], number), self.run_key)
        self._open = True

    def is_out_of_stock(self) -> None:
        """Note that zero does."""
        if self._open:
            kind = Kind.SAFETY_STOCK_BOUNDARY
            with self.store.begin() as conn:
                self.store.exceptions.resolve(conn, self.link, kind, [kind.value], self.run_key)
            self._open = False

    @staticmethod
    def problem(level: Level) -> str:
        """Why a level counts as refused."""
        return (
            f"Cloudshelf takes {level.sku} to be in stock at {level.channel} even with {BELOW_ZERO} pieces."
        )


def skus_in(message: Raw) -> Iterator[str]:
    """SKUs that a Message is about. An order in it holds personal data; nothing else of it is looked at."""
    if message.get("sku"):
        yield message["sku"]
    for line in message.get("order", {}).get("lineItems", ()):
        if sku := line.get("variant", {}).get("sku"):
            yield sku


def _modified(entry: Raw) -> datetime:
    return datetime.fromisoformat(entry["lastModifiedAt"])


def _hold_until() -> datetime:
    return by_our_clock() + timedelta(seconds=HOLD_SECONDS)


def _is_under_way(error: CogentOpsError) -> bool:
    """Whether something that was sent may still take effect, and later than what is sent next."""
    return isinstance(error, RetryableError) and error.under_way


@contextmanager
def _whatever_the_store_says() -> Iterator[None]:
    """Give back what can be given back; where the store is out of reach it is free after its hold."""
    try:
        yield
    except RetryableError as error:
        log.warning("what was not told is tried again in %.0f s: %s", HOLD_SECONDS, error)


def _after(seconds: float) -> Callable[[object], datetime]:
    """The moment so many seconds from now, whatever the record."""
    until = by_our_clock() + timedelta(seconds=seconds)
    return lambda record: until


def _back_off(record: Level | Flag) -> datetime:
    """When something that was just refused once more is tried again."""
    seconds = min(REFUSED_SECONDS * 2 ** min(record.refusals, 30), LONGEST_REFUSED_SECONDS)
    return by_our_clock() + timedelta(seconds=seconds)


def _key(flag: Flag) -> str:
    return f"{product_gid(flag.product_id)}/{variant_gid(flag.sku)}"


def _says(variant: Raw, flag: Flag) -> bool:
    """Whether a variant has these flags already."""
    return bool(variant["isInStock"] is flag.in_stock and variant["availableToPurchase"] is flag.purchasable)


def _refusal(cause: str, records: Sequence[tuple[str, RecordFailure]]) -> NewException:
    name, failure = records[0]
    others = f", and {len(records) - 1} more" if len(records) > 1 else ""
    what = "stock level" if cause.startswith("level/") else "stock flags"
    cure = (
        "See whether the Cloudshelf Manager shows the variant and the location, and run catalogue_sync with "
        "full_refresh if not."
        if failure.code == _NOT_FOUND
        else "Look the variant up in the Cloudshelf Manager, and show Cloudshelf the message if it explains nothing."
    )
    return NewException(
        kind=Kind.AVAILABILITY_REFUSED,
        cause_key=cause,
        record=f"{name}{others}",
        field="quantity" if cause.startswith("level/") else "isInStock",
        rule="Cloudshelf takes the stock",
        message=f"Cloudshelf refused the {what} of {name}{others}: {failure.code}: {failure.message}",
        cure=f"{cure} They are sent again, after longer and longer pauses up to an hour, and this closes by itself.",
        owner=Owner.PLATFORM,
        payload={"code": failure.code, "records": [each for each, _ in records[:20]]},
    )


def _boundary(level: Level, number: str) -> NewException:
    stands = f"is {number}" if number else "cannot be read with this key"
    return NewException(
        kind=Kind.SAFETY_STOCK_BOUNDARY,
        cause_key=Kind.SAFETY_STOCK_BOUNDARY.value,
        record="safetyStockNumber",
        field="safetyStockNumber",
        rule=BOUNDARY,
        message=(
            f"Cloudshelf takes a quantity of 0 for in stock (seen at {level.sku} in {level.channel}). In stock is what "
            f"does not lie below the organisation's safetyStockNumber, which {stands}."
        ),
        cure=(
            "Set the organisation's safety stock to 1 in the Cloudshelf Manager. Until then kiosks are told "
            f"{BELOW_ZERO} in place of 0, so that none of them sells what is not there."
        ),
        owner=Owner.PLATFORM,
        payload={"safety_stock_number": number},
    )
