"""The drain: what waits in the inbox becomes versioned updates of inventory entries, exactly once.

Each entry's waiting movements are netted into one batch, which is stored before anything is sent. The request that
moves the quantity writes the batch's id on the entry, too, so that after a lost answer the entry itself says whether
the batch is in it. The version in the request makes sending it again harmless.

The lease of a batch is checked after the entry was read and before it is sent. So whoever is late, because it was
stopped or its request hung, can only send a version that is older than what its successor read: either it is first,
and the successor finds the batch on the entry, or it is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import httpx
from sqlalchemy import Connection

from cogent_ops.clients.commercetools import CommercetoolsClient, CommercetoolsRefused, Updated
from cogent_ops.config import LinkConfig
from cogent_ops.domain.custom_types import INVENTORY, declared
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.stock import (
    Claimed,
    Place,
    Source,
    change_actions,
    last_batch,
    mark_actions,
    newest_count,
    plan_count,
)
from cogent_ops.errors import AmbiguousOutcome, PermanentError
from cogent_ops.services.pipeline import ordered_map
from cogent_ops.services.stock.entries import Entry, ProjectEntries, position
from cogent_ops.store import Store
from cogent_ops.store.stock import Applied, Batch, Position

log = logging.getLogger(__name__)

#: A lease counts as ended so many seconds early.
LEASE_MARGIN_SECONDS = 5.0
#: How often a batch is sent in a round while others keep changing its entry.
TRIES = 12
#: Pause before a batch that found no quiet moment is taken up again.
BUSY_SECONDS = 1.0
#: Pause before a batch that was refused for good is tried again by itself.
PARKED_SECONDS = 900.0
#: Results are stored together, at most so many, or so many seconds' worth.
SETTLE_BATCHES = 100
SETTLE_SECONDS = 0.5

#: Says which identifier a value is instead, in a sentence or two; the arguments are ``sku`` or ``location``, and it.
Identify = Callable[[str, str], str]


@dataclass(frozen=True)
class DrainCounts:
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

    def __add__(self, other: DrainCounts) -> DrainCounts:
        """Both together."""
        return DrainCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


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


@dataclass
class _Lease:
    """Until when, by the monotonic clock, nobody else can have taken a batch over."""

    ends: float


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
        keys = self.config.custom_types
        types = declared(inventory_key=keys.inventory, order_key=keys.order)
        wanted = next(kind for kind in types if kind.resource == INVENTORY)
        return ProjectEntries(self.client, self.store, self.config.name, wanted)

    def round(self) -> DrainCounts:
        """Take up what waits, at most ``round_entries`` entries, and carry it through; all zero: nothing waited.

        :raises RetryableError: when commercetools is out of reach. Nothing is lost: what was under way is taken up
            by the next round, whoever's.
        :raises PermanentError: when a person must act before anything can be sent.
        """
        claimed_at = time.monotonic()
        claimed = self.store.stock.claim(
            self.project,
            self.owner,
            limit=self.rules.round_entries,
            lease_seconds=self.rules.lease_seconds,
        )
        if not claimed:
            return DrainCounts()
        left = {batch.id: batch for batch in claimed}
        lease_ends = claimed_at + self.rules.lease_seconds - LEASE_MARGIN_SECONDS
        total = DrainCounts(batches=len(claimed))
        try:
            for outcomes in self._outcomes(claimed, lease_ends):
                total += self._settle(outcomes, left)
        finally:
            self.store.stock.hand_back(left, self.owner, BUSY_SECONDS if total.applied else 0.0)
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

    def _outcomes(self, claimed: Sequence[Batch], lease_ends: float) -> Iterable[list[_Outcome]]:
        """What became of batches, in portions that are worth a transaction."""
        idle = [batch for batch in claimed if batch.delta == 0]
        if idle:
            yield [Applied(batch.id) for batch in idle]
        moving = [batch for batch in claimed if batch.delta != 0]
        if not moving:
            return
        self.entries.require_type()
        found = self.entries.read(batch.place for batch in moving)
        lacking = {batch.place.sku for batch in moving if batch.place not in found}
        known = self.entries.known_skus(lacking) if lacking else set()

        def carry(batch: Batch) -> _Outcome:
            return self._carry(batch, found.get(batch.place), lease_ends, known)

        portion: list[_Outcome] = []
        since = time.monotonic()
        for outcome in ordered_map(carry, moving, workers=self.rules.concurrency):
            portion.append(outcome)
            if len(portion) >= SETTLE_BATCHES or time.monotonic() - since > SETTLE_SECONDS:
                yield portion
                portion, since = [], time.monotonic()
        if portion:
            yield portion

    def _carry(self, batch: Batch, entry: Entry | None, lease_ends: float, known: set[str]) -> _Outcome:
        """Bring one batch to its entry; refusals and unknown places become outcomes of this batch alone."""
        try:
            return self._bring(batch, entry, lease_ends, known)
        except CommercetoolsRefused as error:
            return _Refused(batch, str(error))

    def _bring(self, batch: Batch, entry: Entry | None, lease_ends: float, known: set[str]) -> _Outcome:
        delta, count, lease = batch.delta, self._count(batch), _Lease(lease_ends)
        for _ in range(TRIES):
            if entry is None:
                unknown = self._unknown(batch, known)
                if unknown is not None:
                    return unknown
                entry = self.entries.create(batch.place) or self.entries.read_one(batch.place)
            elif last_batch(entry) == batch.id:
                return Applied(batch.id, position(batch.place, entry), count=count)
            else:
                delta = self._plan(batch, entry) if delta is None else delta
                if delta is None or not self._holds(batch, lease):
                    return _Unfinished(batch)
                after = self._send(batch, delta, entry) if delta else entry
                if after is not None:
                    before = int(entry["quantityOnStock"])
                    return Applied(batch.id, position(batch.place, after), before=before, count=count)
                entry = self.entries.read_one(batch.place)
        return _Unfinished(batch)

    def _holds(self, batch: Batch, lease: _Lease) -> bool:
        """Whether the batch is ours still. Ask after its entry was read: see the module's text."""
        now = time.monotonic()
        if now < lease.ends:
            return True
        lease.ends = now + self.rules.lease_seconds - LEASE_MARGIN_SECONDS
        return bool(self.store.stock.renew([batch.id], self.owner, self.rules.lease_seconds))

    def _send(self, batch: Batch, delta: int, entry: Entry) -> Entry | None:
        """One request; the entry afterwards, or ``None`` when it must be read again to know."""
        try:
            self.entries.prepare(entry)
            custom = entry.get("custom")
            actions = [
                *change_actions(delta),
                *mark_actions(batch.id, custom, self.config.custom_types.inventory),
            ]
            answer = self.client.update("inventory", entry["id"], entry["version"], actions)
        except AmbiguousOutcome as error:
            log.info("%s is read again, because its change got no certain answer: %s", batch.place, error)
            return None
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
        if batch.attempts:
            # Something may have been sent before, so its movements must stay together.
            return _Refused(batch, f"There is no such {what} in commercetools any more.")
        return _Unknown(batch, what)

    def _count(self, batch: Batch) -> Claimed | None:
        """The count that a batch holds. One that is new and has its delta holds none."""
        if batch.delta is not None and not batch.attempts:
            return None
        return newest_count(self.store.stock.movements_of([batch.id]).get(batch.id, ()))

    def _plan(self, batch: Batch, entry: Entry) -> int | None:
        """Fix what a count comes to, now that the entry is read; ``None`` when the batch is not ours any more."""
        claimed = self.store.stock.movements_of([batch.id]).get(batch.id, [])
        count = newest_count(claimed)
        if count is None:
            raise PermanentError(f"Batch {batch.id} of {batch.place} has neither an amount nor a count.")
        since = self.store.stock.applied_since(self.project, batch.place, count.occurred_at)
        plan = plan_count(claimed, count, since)
        delta = plan.target - int(entry["quantityOnStock"])
        return delta if self.store.stock.plan(batch.id, self.owner, delta, plan.excluded) else None

    # Storing

    def _settle(self, outcomes: Sequence[_Outcome], left: dict[str, Batch]) -> DrainCounts:
        """Store what became of some batches, and take them off the list of what is left."""
        applied = [one for one in outcomes if isinstance(one, Applied)]
        refused = [one for one in outcomes if isinstance(one, _Refused)]
        unknown = [one for one in outcomes if isinstance(one, _Unknown)]
        troubles = self._troubles(applied, refused, unknown, left)
        settled = [one.batch_id for one in applied]
        links = self.store.stock.links_of([*settled, *troubles])
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
            right = [left[id_] for id_ in settled if id_ not in troubles]
            self._close(conn, {link for id_ in settled for link in links.get(id_, ())}, right)
            for batch, trouble in troubles.items():
                for link in links.get(batch, ()):
                    self.store.exceptions.raise_(conn, link, trouble, self.owner)
        for id_ in (*settled, *(one.batch.id for one in refused), *(one.batch.id for one in unknown)):
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
        movements = self.store.stock.movements_of(id_ for id_, _ in below)
        troubles = {id_: _oversell(left[id_], found, movements.get(id_, ())) for id_, found in below}
        troubles |= {one.batch.id: _refusal(one.batch.place, one.error) for one in refused}
        return troubles | {one.batch.id: _stranger(one, self._sentence(one)) for one in unknown}

    def _close(self, conn: Connection, links: Iterable[str], right: Sequence[Batch]) -> None:
        """Close what was open about entries that are right again."""
        retried = [str(batch.place) for batch in right if batch.attempts]
        for link in links:
            places = [str(batch.place) for batch in right]
            self.store.exceptions.resolve(conn, link, Kind.OVERSELL, places, self.owner)
            self.store.exceptions.resolve(conn, link, Kind.STOCK_REFUSED, retried, self.owner)

    def _sentence(self, unknown: _Unknown) -> str:
        place = unknown.batch.place
        return self._identify(unknown.what, place.sku if unknown.what == "sku" else place.channel)


def _is_below(found: Position) -> bool:
    return found.on_stock < 0 or found.available < 0


def _oversell(batch: Batch, found: Position, movements: Sequence[Claimed]) -> NewException:
    place = batch.place
    orders = sorted({m.reference for m in movements if m.source == Source.KIOSK_ORDER})
    named = f" Kiosk orders in this change: {', '.join(orders)}." if orders else ""
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
            "orders": orders,
            "batch": batch.id,
        },
    )


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
