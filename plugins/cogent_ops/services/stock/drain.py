"""The drain: what waits in the inbox becomes versioned updates of inventory entries, exactly once.

Each entry's waiting movements are netted into one batch, which is stored before anything is sent. The request that
moves the quantity writes the batch's id on the entry, too, so that after a lost answer the entry itself says whether
the batch is in it. The version in the request makes sending it again harmless.

Between reading an entry and sending, a drain makes sure that the batch is its own still. At that moment nobody has
carried it through, so what was read is older than whatever anybody else may do about it, and so is the version that is
sent: whoever is late, because it was stopped or its request hung, is either first, and its successor finds the batch on
the entry, or is refused. No clock takes part in this; leases only say when a silent drain has been waited for enough.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import httpx
from sqlalchemy import Connection

from cogent_ops.clients.commercetools import CommercetoolsClient, CommercetoolsRefused, Updated
from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.stock import (
    Claimed,
    Place,
    change_actions,
    last_batch,
    mark_actions,
    newest_count,
    plan_count,
)
from cogent_ops.errors import AmbiguousOutcome
from cogent_ops.services.counts import Counts
from cogent_ops.services.pipeline import eager_map, portions
from cogent_ops.services.stock.entries import Entry, ProjectEntries, position
from cogent_ops.services.stock.identify import Identify
from cogent_ops.store import Store
from cogent_ops.store.stock import Aim, Applied, Batch, Position

log = logging.getLogger(__name__)

#: How often a batch is sent in a round while its entry is being changed, or answers are lost.
TRIES = 12
#: Pause before what a round could not finish is taken up again, and its upper bound as rounds fail.
BUSY_SECONDS = 1.0
LONGEST_BUSY_SECONDS = 60.0
#: After so many rounds without a certain answer a person should hear of it.
ROUNDS = 10
#: Pause before a batch that was refused for good is tried again by itself.
PARKED_SECONDS = 900.0
#: Results are stored together, at most so many, or so many seconds' worth.
SETTLE_BATCHES = 100
SETTLE_SECONDS = 0.5
#: How many movements are looked through for the orders behind an oversell, how many orders are kept with it, and how
#: many of these its message names.
LOOK_BACK = 500
ORDERS_NAMED = 20
ORDERS_SAID = 5
#: commercetools' code for a resource that an update names and the project does not have.
_NO_REFERENCE = "ReferencedResourceNotFound"


@dataclass(frozen=True)
class DrainCounts(Counts):
    """What a round did.

    :param batches: inventory entries that were taken up.
    :param applied: entries changed, or found changed.
    :param movements: movements that took effect.
    :param parked: entries whose change was refused for good.
    :param reviewed: movements whose identifiers are not known.
    :param unfinished: entries that are to be taken up again.
    """

    batches: int = 0
    applied: int = 0
    movements: int = 0
    parked: int = 0
    reviewed: int = 0
    unfinished: int = 0


@dataclass(frozen=True)
class _Refused:
    """Set the batch aside."""

    batch: Batch
    error: str


@dataclass(frozen=True)
class _Unknown:
    """The batch's place does not exist: ``what`` is ``sku`` or ``location``."""

    batch: Batch
    what: str


@dataclass(frozen=True)
class _Unfinished:
    """Somebody, perhaps we, should take the batch up again."""

    batch: Batch


@dataclass(frozen=True)
class _Task:
    """A batch on its way.

    :param entry: as read; ``None``: there is none.
    :param aim: fixed since the entry was read; ``None``: not yet.
    :param movements: what it holds, where that matters: it holds a count, or somebody had it before.
    """

    batch: Batch
    entry: Entry | None
    aim: Aim | None
    movements: Sequence[Claimed]


_Outcome = Applied | _Refused | _Unknown | _Unfinished


class StockDrain:
    """Drains the inbox of a link's commercetools project, for all links that share it.

    Several drains may run at once, in threads, processes or machines.

    :param project: the project as its rate budget names it.
    :param owner: who holds the leases; unique per try of a task.
    :param identify: says what an unknown identifier is instead.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: CommercetoolsClient,
        project: str,
        *,
        owner: str,
        identify: Identify | None = None,
    ) -> None:
        self.config, self.store, self.project, self.owner = config, store, project, owner
        self.rules = config.movements
        self.client = client
        self._identify = identify or (lambda what, value: "")

    @cached_property
    def entries(self) -> ProjectEntries:
        """The project's inventory."""
        return ProjectEntries(self.client, self.store, self.config)

    def round(self) -> DrainCounts:
        """Take up what waits, at most ``round_entries`` entries, and carry it through; all zero: nothing waited.

        :raises RetryableError: when commercetools is out of reach. Nothing is lost: what was under way is taken up
            by the next round, whoever's.
        :raises PermanentError: when a person must act before anything can be sent.
        """
        claimed = self.store.stock.claim(
            self.project,
            self.owner,
            limit=self.rules.round_entries,
            lease_seconds=self.rules.lease_seconds,
        )
        if not claimed:
            return DrainCounts()
        left = {batch.id: batch for batch in claimed}
        total, renewed, pause = DrainCounts(batches=len(claimed)), time.monotonic(), 0.0
        try:
            with closing(self._outcomes(claimed)) as portions:
                for outcomes in portions:
                    total += self._settle(outcomes, left)
                    if time.monotonic() - renewed > self.rules.lease_seconds / 3:
                        self.store.stock.renew(left, self.owner, self.rules.lease_seconds)
                        renewed = time.monotonic()
            tried = max((batch.attempts for batch in left.values()), default=0)
            pause = min(BUSY_SECONDS * 2 ** min(tried, 10), LONGEST_BUSY_SECONDS)
        finally:
            self.store.stock.hand_back(left, self.owner, pause)
        return total

    def recheck(self) -> int:
        """Let movements go on whose identifiers have become known since; returns how many."""
        waiting = self.store.stock.in_review(self.project)
        known = self.entries.known_skus(one.place.sku for one in waiting) if waiting else set()
        released = 0
        for one in waiting:
            if one.place.sku in known and self.entries.is_supplier(one.place.channel):
                with self.store.begin() as conn:
                    released += self.store.stock.release(conn, one.link, self.project, one.place, one.place)
                    causes = [f"sku/{one.place.sku}", f"location/{one.place.channel}"]
                    self.store.exceptions.resolve(conn, one.link, Kind.UNKNOWN_IDENTIFIER, causes, self.owner)
        return released

    # Sending

    def _outcomes(self, claimed: Sequence[Batch]) -> Generator[list[_Outcome], None, None]:
        """What became of batches, in portions that are worth a transaction."""
        # A batch that somebody had before may be a count that came to nothing, which has to be noted.
        idle = [batch for batch in claimed if batch.delta == 0 and not batch.attempts]
        if idle:
            yield [Applied(batch.id) for batch in idle]
        moving = [batch for batch in claimed if batch.delta != 0 or batch.attempts]
        if not moving:
            return
        self.entries.require_type()
        tasks, lost = self._tasks(moving)
        lacking = {task.batch.place.sku for task in tasks if task.entry is None}
        known = self.entries.known_skus(lacking) if lacking else set()
        unfinished: list[_Outcome] = [_Unfinished(batch) for batch in lost]
        carried = eager_map(lambda task: self._carry(task, known), tasks, workers=self.rules.concurrency)
        yield from portions(chain(unfinished, carried), most=SETTLE_BATCHES, seconds=SETTLE_SECONDS)

    def _tasks(self, batches: Sequence[Batch]) -> tuple[list[_Task], list[Batch]]:
        """Read the entries of all batches and aim at them, each in as few steps as possible.

        :return: what is to be done, and batches that somebody else took over.
        """
        stock = self.store.stock
        unclear = [batch.id for batch in batches if batch.delta is None or batch.attempts]
        movements = stock.movements_of(unclear)
        known = stock.positions(self.project, [batch.place for batch in batches])
        wanted = {
            batch.place: batch.entry_id or (known[batch.place].entry_id if batch.place in known else None)
            for batch in batches
        }
        found = self.entries.read(wanted, {batch.place: batch.id for batch in batches})
        tasks = [_Task(one, found.get(one.place), None, movements.get(one.id, ())) for one in batches]
        open_ = [task for task in tasks if task.entry is not None and last_batch(task.entry) != task.batch.id]
        aims = {aim.batch_id: aim for aim in self._aims(open_)}
        kept = stock.aim(self.owner, aims.values(), self.rules.lease_seconds) if aims else set()
        lost = [task.batch for task in open_ if task.batch.id not in kept]
        gone = {batch.id for batch in lost}
        return [
            replace(task, aim=aims.get(task.batch.id)) for task in tasks if task.batch.id not in gone
        ], lost

    def _aims(self, tasks: Iterable[_Task]) -> Iterator[Aim]:
        """Where batches go, and what those with a count come to, now that their entries are read."""
        counts = {task.batch.id: newest_count(task.movements) for task in tasks if task.batch.delta is None}
        moments = {
            task.batch.place: count.occurred_at for task in tasks if (count := counts.get(task.batch.id))
        }
        since = self.store.stock.applied_since(self.project, moments) if moments else {}
        for task in tasks:
            batch, entry, count = task.batch, task.entry, counts.get(task.batch.id)
            if entry is None:
                continue
            if batch.delta is not None:
                yield Aim(batch.id, entry["id"], batch.delta)
            elif count is None:
                yield Aim(batch.id, entry["id"], sum(one.delta or 0 for one in task.movements))
            else:
                plan = plan_count(task.movements, count, since[batch.place])
                yield Aim(batch.id, entry["id"], plan.target - int(entry["quantityOnStock"]), plan.excluded)

    def _carry(self, task: _Task, known: set[str]) -> _Outcome:
        """Bring one batch to its entry; refusals and unknown places become outcomes of this batch alone."""
        try:
            return self._bring(task, known)
        except CommercetoolsRefused as error:
            if error.code == _NO_REFERENCE:
                self.entries.require_type(again=True)
            return _Refused(task.batch, str(error))

    def _bring(self, task: _Task, known: set[str]) -> _Outcome:
        batch, entry, aim = task.batch, task.entry, task.aim
        count, why = newest_count(task.movements), "its entry is changed all the time"
        for _ in range(TRIES):
            if entry is None:
                unknown = self._unknown(batch, known)
                if unknown is not None:
                    return unknown
                entry, aim = self.entries.create(batch.place) or self.entries.read_one(batch.place), None
            elif last_batch(entry) == batch.id:
                return Applied(batch.id, position(batch.place, entry), count=count)
            else:
                aim = aim or self._aimed(replace(task, batch=batch, entry=entry))
                if aim is None:
                    return _Unfinished(batch)
                try:
                    after = self._send(aim, entry)
                except AmbiguousOutcome as error:
                    log.info("%s is read again, its change got no certain answer: %s", batch.place, error)
                    after, why = None, str(error)
                if after is not None:
                    before = int(entry["quantityOnStock"])
                    return Applied(batch.id, position(batch.place, after), before=before, count=count)
                batch = replace(batch, delta=aim.delta, entry_id=aim.entry_id)
                entry, aim = self.entries.read_one(batch.place, batch.entry_id, batch.id), None
        if batch.attempts >= ROUNDS:
            return _Refused(batch, f"no certain answer in {batch.attempts + 1} rounds; the last one: {why}")
        return _Unfinished(batch)

    def _aimed(self, task: _Task) -> Aim | None:
        """Aim at the entry; ``None`` when somebody else took the batch over."""
        aim = next(self._aims([task]))
        return aim if self.store.stock.aim(self.owner, [aim], self.rules.lease_seconds) else None

    def _send(self, aim: Aim, entry: Entry) -> Entry | None:
        """One request; the entry afterwards, or ``None`` when it must be read again to know.

        :raises AmbiguousOutcome: likewise.
        """
        if not aim.delta:
            return entry
        self.entries.prepare(entry)
        custom = entry.get("custom")
        actions = [
            *change_actions(aim.delta),
            *mark_actions(aim.batch_id, custom, self.config.custom_types.inventory),
        ]
        try:
            answer = self.client.update("inventory", entry["id"], entry["version"], actions)
        except CommercetoolsRefused as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            return None
        return answer.resource if isinstance(answer, Updated) else None

    def _unknown(self, batch: Batch, known: set[str]) -> _Outcome | None:
        """Why an entry may not be created; ``None`` when it may."""
        if batch.place.sku not in known and batch.place.sku not in self.entries.known_skus([batch.place.sku]):
            what = "sku"
        elif not self.entries.is_supplier(batch.place.channel):
            what = "location"
        else:
            return None
        if batch.entry_id is not None:
            # Something may have been sent, so its movements must stay together.
            return _Refused(batch, f"its inventory entry has gone, and there is no such {what} any more")
        return _Unknown(batch, what)

    # Storing

    def _settle(self, outcomes: Sequence[_Outcome], left: dict[str, Batch]) -> DrainCounts:
        """Store what became of some batches, and take them off the list of what is left."""
        applied = [one for one in outcomes if isinstance(one, Applied)]
        refused = [one for one in outcomes if isinstance(one, _Refused)]
        unknown = [one for one in outcomes if isinstance(one, _Unknown)]
        troubles = self._troubles(applied, refused, unknown, left)
        links = self.store.stock.links_of([*(one.batch_id for one in applied), *troubles])
        parked = reviewed = 0
        with self.store.begin() as conn:
            moved = self.store.stock.settle(conn, self.project, applied)
            for problem in refused:
                batch = problem.batch.id
                if self.store.stock.park(conn, batch, self.owner, problem.error, PARKED_SECONDS):
                    parked += 1
                else:
                    troubles.pop(batch)
            for stranger in unknown:
                batch, reason = stranger.batch.id, f"unknown {stranger.what}"
                movements = self.store.stock.review(conn, batch, self.owner, reason)
                reviewed += movements
                if not movements:
                    troubles.pop(batch)
            self._close(conn, applied, troubles, links, left)
            self._raise(conn, troubles, links)
        done = [one.batch_id for one in applied]
        done += [one.batch.id for one in refused] + [one.batch.id for one in unknown]
        for id_ in done:
            left.pop(id_, None)
        unfinished = len(outcomes) - len(applied) - len(refused) - len(unknown)
        return DrainCounts(
            applied=len(applied), movements=moved, parked=parked, reviewed=reviewed, unfinished=unfinished
        )

    def _troubles(
        self,
        applied: Sequence[Applied],
        refused: Sequence[_Refused],
        unknown: Sequence[_Unknown],
        left: Mapping[str, Batch],
    ) -> dict[str, NewException]:
        """What a person should hear of, by batch."""
        below = [(one.batch_id, one.position) for one in applied if one.position and _is_below(one.position)]
        troubles = {id_: _oversell(left[id_], found, self._sold(found)) for id_, found in below}
        troubles |= {one.batch.id: _refusal(one.batch.place, one.error) for one in refused}
        return troubles | {one.batch.id: _stranger(one, self._sentence(one)) for one in unknown}

    def _sold(self, found: Position) -> list[str]:
        """The latest kiosk orders that together took what is missing."""
        missing, orders = max(-found.on_stock, -found.available), list[str]()
        for sale in self.store.stock.sales(self.project, found.place, LOOK_BACK):
            if missing <= 0 or len(orders) == ORDERS_NAMED:
                break
            orders.append(sale.reference)
            missing -= sale.units
        return orders

    def _close(
        self,
        conn: Connection,
        applied: Sequence[Applied],
        troubles: Mapping[str, NewException],
        links: Mapping[str, Sequence[str]],
        left: Mapping[str, Batch],
    ) -> None:
        """Close what was open about entries that are right again."""
        right, taken = dict[str, list[str]](), dict[str, list[str]]()
        for one in applied:
            batch = left[one.batch_id]
            for link in links.get(batch.id, ()):
                # An entry that was not looked at may still be oversold.
                if one.position is not None and batch.id not in troubles:
                    right.setdefault(link, []).append(str(batch.place))
                if batch.attempts:
                    taken.setdefault(link, []).append(str(batch.place))
        for kind, by_link in ((Kind.OVERSELL, right), (Kind.STOCK_REFUSED, taken)):
            for link, places in sorted(by_link.items()):
                self.store.exceptions.resolve(conn, link, kind, places, self.owner)

    def _raise(
        self, conn: Connection, troubles: Mapping[str, NewException], links: Mapping[str, Sequence[str]]
    ) -> None:
        by_link: dict[str, list[NewException]] = {}
        for batch, trouble in troubles.items():
            for link in links.get(batch, ()):
                by_link.setdefault(link, []).append(trouble)
        for link, found in sorted(by_link.items()):
            self.store.exceptions.raise_many(conn, link, found, self.owner)

    def _sentence(self, unknown: _Unknown) -> str:
        place = unknown.batch.place
        return self._identify(unknown.what, place.sku if unknown.what == "sku" else place.channel)


def _is_below(found: Position) -> bool:
    return found.on_stock < 0 or found.available < 0


def _oversell(batch: Batch, found: Position, orders: Sequence[str]) -> NewException:
    place = batch.place
    named = f" The latest kiosk orders of it: {_said(orders)}." if orders else ""
    return NewException(
        kind=Kind.OVERSELL,
        cause_key=str(place),
        record=str(place),
        field="availableQuantity",
        rule="more was sold than is there",
        message=f"{place}: {found.on_stock} on stock, {found.available} available after the last change.{named}",
        cure="Count the shelf. If the units are missing, decide which order is cancelled or sourced elsewhere, and "
        "tell its customer before the parcel is due; if they are there, send the count.",
        owner=Owner.CUSTOMER_SERVICE,
        payload={
            "sku": place.sku,
            "channel": place.channel,
            "on_stock": found.on_stock,
            "available": found.available,
            "orders": list(orders),
            "batch": batch.id,
        },
    )


def _said(orders: Sequence[str]) -> str:
    """The latest of some orders, and how many more there are."""
    first, more = ", ".join(orders[:ORDERS_SAID]), len(orders) - ORDERS_SAID
    if more <= 0:
        return first
    # Nobody has counted beyond those that are kept.
    return f"{first} and {'at least ' if len(orders) >= ORDERS_NAMED else ''}{more} more"


def _refusal(place: Place, error: str) -> NewException:
    return NewException(
        kind=Kind.STOCK_REFUSED,
        cause_key=str(place),
        record=str(place),
        field="quantityOnStock",
        rule="commercetools takes the change",
        message=f"{place}: {error}",
        cure="Mend what commercetools names. The change waits, with all later ones of this entry, is tried again every "
        f"{PARKED_SECONDS / 60:.0f} minutes, and closes this by itself once it is taken.",
        owner=Owner.PLATFORM,
        payload={"sku": place.sku, "channel": place.channel},
    )


def _stranger(unknown: _Unknown, sentence: str) -> NewException:
    place = unknown.batch.place
    value = place.sku if unknown.what == "sku" else place.channel
    where = "product of commercetools carries it" if unknown.what == "sku" else "supply Channel has this key"
    return NewException(
        kind=Kind.UNKNOWN_IDENTIFIER,
        cause_key=f"{unknown.what}/{value}",
        record=value,
        field=unknown.what,
        rule="is known to commercetools",
        message=f"Stock moved for the {unknown.what} '{value}', but no {where}. {sentence}".strip(),
        cure="Correct the identifier at its source, or add it to commercetools; the movements wait and go on by "
        "themselves.",
        owner=Owner.ECOMMERCE if unknown.what == "sku" else Owner.RETAIL_OPS,
        payload={"sku": place.sku, "channel": place.channel},
    )
