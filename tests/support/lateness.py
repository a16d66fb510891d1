"""A link whose stock is late: kiosks sell, the web shop sells, and what commercetools hears of it is up to the test."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.clients.helpers import shop
from tests.support.shelves import Shelves

from cogent_ops.domain.custom_types import declared
from cogent_ops.domain.stock import NewMovement, Place, Source
from cogent_ops.errors import StoreUnavailable
from cogent_ops.services.beat import POLLED
from cogent_ops.services.protection import Protection, Refreshed
from cogent_ops.services.stock.drain import StockDrain
from cogent_ops.store.protection import ACTOR, Protected
from cogent_ops.store.schema import audit_log, movement, stock_batch, stock_level
from cogent_ops.store.stock import Stock

Json = dict[str, Any]

_NUMBERS = count()


@dataclass
class Late:
    """What kiosks are told, what the ledger knows, and what is really left.

    :param left: units by place that nobody has bought, counted by this class alone.
    """

    shelves: Shelves
    left: Counter[Place] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.store, self.link, self.project = self.shelves.store, self.shelves.link, self.shelves.project
        client = shop(self.shelves.carrier.server)
        for kind in declared():
            client.ensure("types", kind.draft())
        self.settings()

    @property
    def protection(self) -> Protection:
        return self.shelves.flow.protection

    def stock(self, place: Place, units: int) -> None:
        """Somebody counts, and kiosks are told."""
        self.shelves.set(place.sku, units, place.channel or None)
        self.left[place] = units

    def sell(self, place: Place, units: int = 1, *, seconds: float = 120, **more: Any) -> None:
        """A kiosk sold, so many seconds ago, and the poll has read it; negative units come back."""
        moment = datetime.now(UTC) - timedelta(seconds=seconds)
        source_id = f"order-{next(_NUMBERS)}"
        fields: Json = {"source": Source.KIOSK_ORDER, "link": self.link, **more}
        sale = NewMovement(
            project=self.project,
            sku=place.sku,
            channel=place.channel,
            source_id=source_id,
            reference=source_id,
            occurred_at=moment,
            delta=-units,
            **fields,
        )
        with self.store.begin() as conn:
            self.store.stock.add_movements(conn, [sale])
        self.left[place] -= units

    def sell_online(self, place: Place, units: int = 1) -> None:
        """The web shop sells, which commercetools knows at once."""
        self.shelves.sell(f"web-{next(_NUMBERS)}", place.sku, units, place.channel or None)
        self.left[place] -= units

    def orders_read(self, seconds: float) -> None:
        """Kiosks' orders were read last so long ago."""
        with self.store.begin() as conn:
            self.store.watermarks.set(conn, self.link, POLLED, datetime.now(UTC) - timedelta(seconds=seconds))

    def settings(self, **rules: Any) -> None:
        """Change the rules of protection; nothing is left to the web shop unless a test says so."""
        rules = {"reserve": 0.0, **rules}
        carrier = self.shelves.carrier
        self.shelves.settings["protection"] = carrier.config.protection.model_copy(update=rules)
        self.shelves.renewed()

    # The drain

    def drain(self) -> None:
        """Carry everything to commercetools; leases of the dead have ended."""
        for _ in range(5):
            self.let_leases_end()
            if not self._drain().round().batches:
                return

    def drain_and_die(self) -> None:
        """Carry everything to commercetools, and die before that is noted."""
        drain = self._drain()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Stock, "settle", _die)
            with pytest.raises(StoreUnavailable):
                drain.round()

    def refuse(self) -> None:
        """Have everything that waits refused for good."""
        owner = f"worker-{next(_NUMBERS)}"
        for batch in self.store.stock.claim(self.project, owner, limit=100, lease_seconds=60):
            with self.store.begin() as conn:
                assert self.store.stock.park(conn, batch.id, owner, "no", 900)

    def _drain(self) -> StockDrain:
        client, owner = shop(self.shelves.carrier.server), f"worker-{next(_NUMBERS)}"
        return StockDrain(self.shelves.carrier.config, self.store, client, self.project, owner=owner)

    def let_leases_end(self) -> None:
        due = {"lease_until": 0.0, "retry_at": 0.0}
        with self.store.begin() as conn:
            conn.execute(sa.update(stock_batch).where(stock_batch.c.state != "applied").values(due))

    def age(self, seconds: float) -> None:
        """Let time pass for everything that is on its way."""
        with self.store.begin() as conn:
            rows = conn.execute(
                sa.select(movement.c.id, movement.c.occurred_at, movement.c.recorded_at)
            ).all()
            for id_, occurred, recorded in rows:
                passed = timedelta(seconds=seconds)
                older = {"occurred_at": occurred - passed, "recorded_at": recorded - passed}
                conn.execute(sa.update(movement).where(movement.c.id == id_).values(older))

    def happen(self, rng: random.Random, at: Place) -> None:
        """Something that may happen at any time, to this place or to all."""
        deeds: list[Callable[[], None]] = [
            lambda: self.sell(at, rng.randint(1, 2), seconds=rng.uniform(0, 40)),
            lambda: self.sell(at, rng.randint(1, 3), seconds=rng.uniform(61, 600)),
            lambda: self.sell(at, -1, seconds=rng.uniform(0, 100)),
            self.drain,
            self.refuse,
            lambda: self.age(rng.uniform(1, 90)),
        ]
        if self.available(at) > 0:
            deeds.append(lambda: self.sell_online(at))
        if self.store.stock.has_waiting(self.project):
            deeds.append(self.drain_and_die)
        rng.choice(deeds)()

    # The flow

    def refresh(self) -> Refreshed:
        return self.protection.refresh(datetime.now(UTC))

    def turn(self) -> Refreshed:
        """A turn of the flow, one step after the other."""
        found = self.refresh()
        self.shelves.once()
        return found

    def settle(self) -> None:
        """Turn until nothing is left to do."""
        for _ in range(3):
            self.refresh()
            self.shelves.settle()

    # What can be seen

    def rows(self) -> dict[Place, Protected]:
        return self.store.protection.rows(self.link)

    def told(self, place: Place) -> int:
        level: int = self.shelves.level(place.sku, place.channel)[0]
        return level

    def available(self, place: Place) -> int:
        """Units that commercetools has for sale."""
        return self.shelves.stock()[place.sku][place.channel]

    def check_protected(self) -> None:
        """Whatever happened, protected places are told of no unit that is gone, and no place of more than there is."""
        for place, row in self.rows().items():
            if not row.is_ending and place in self.left:
                assert 0 <= self.told(place) <= max(0, self.left[place]), (place, row)
        with self.store.read() as conn:
            skus = {place.sku for place in self.left}
            counted = self.store.availability.counted(conn, self.link, skus)
            wanted = conn.execute(sa.select(stock_level).where(stock_level.c.sku.in_(skus))).all()
        for one in wanted:
            assert 0 <= one.wanted <= counted[one.sku].stores.get(one.channel, 0)

    def logged(self) -> Counter[tuple[str, str]]:
        """Entries of the audit log by subject and action."""
        query = sa.select(audit_log.c.subject, audit_log.c.action).where(audit_log.c.actor == ACTOR)
        with self.store.read() as conn:
            return Counter((subject, action) for subject, action in conn.execute(query))


def _die(*_: object, **__: object) -> int:
    raise StoreUnavailable("The store is gone.")


@contextmanager
def after_reading(late: Late, what: Callable[[], None]) -> Iterator[None]:
    """Let something happen once, after entries were read and before anything is made of them."""
    flow, done = late.shelves.flow, False
    read = flow._stock

    def reading(skus: list[str]) -> Any:
        nonlocal done
        found = read(skus)
        if not done:
            done = True
            what()
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flow, "_stock", reading)
        yield
    assert done
