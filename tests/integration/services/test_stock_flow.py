"""The stock flow as one run, and what wakes it: a sale in a kiosk is in commercetools when the run has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.clients.helpers import kiosk, shop
from tests.support.kiosks import Kiosks, line

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.custom_types import declared
from cogent_ops.errors import TargetUnavailable
from cogent_ops.sandbox.faults import FaultPlan
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.relay import Step
from cogent_ops.services.stock.drain import StockDrain
from cogent_ops.services.stock.flow import ALIVE, StockFlow, StockWatch
from cogent_ops.store import Store

HASTY = {"linger_seconds": 0.2, "poll_seconds": 0.05, "longest_run_seconds": 20.0}
DOWN = {"rules": [{"kind": "error", "api": "cloudshelf", "rate": 1.0, "status": 503}]}


@pytest.fixture
def kiosks(store: Store) -> Iterator[Kiosks]:
    with ExitStack() as stack:
        data = generate(seed=1, products=3, now=datetime.now(UTC), dirty_share=0.0)
        server = stack.enter_context(SandboxServer(data))
        made = Kiosks(server, store, settings=HASTY)
        made.install()
        client = shop(server)
        for kind in declared():
            client.ensure("types", kind.draft())
        for sku in ("coat-s", "coat-m"):
            for key in ("berlin", "hamburg"):
                client.ensure("channels", {"key": key, "roles": ["InventorySupply"]})
                channel = {"typeId": "channel", "key": key}
                client.create("inventory", {"sku": sku, "supplyChannel": channel, "quantityOnStock": 10})
        yield made
        close_sessions()


def flow(kiosks: Kiosks, **more: object) -> StockFlow:
    drain = StockDrain(kiosks.config, kiosks.store, shop(kiosks.server), kiosks.project, owner="run")
    return StockFlow(kiosks.config, kiosks.store, kiosks.poller(), drain, **more)  # type: ignore[arg-type]


def stock(kiosks: Kiosks) -> dict[str, int]:
    """Units on stock of the coats."""
    found = kiosks.server.dump("commercetools")["inventory"]
    return {place: units[0] for place, units in found.items() if place.startswith("coat")}


def watch(kiosks: Kiosks, files: Callable[[], bool] = lambda: False) -> StockWatch:
    return StockWatch(kiosks.name, kiosks.store, kiosk(kiosks.server), kiosks.project, files=files)


def test_a_run_carries_sales_to_commercetools_and_ends_when_it_is_quiet(kiosks: Kiosks) -> None:
    kiosks.sell(("coat-s", 2), ("coat-m", 1))
    voided = kiosks.sell(("coat-s", 3), store="hamburg")
    done = flow(kiosks).run()
    assert (done["orders_changed"], done["movements_added"], done["movements_applied"]) == (2, 3, 3)
    assert stock(kiosks)["coat-s@berlin"] == 8
    assert stock(kiosks)["coat-s@hamburg"] == 7

    kiosks.set_status(voided, "VOIDED")
    flow(kiosks).run()
    assert stock(kiosks)["coat-s@hamburg"] == 10
    assert flow(kiosks).run()["entries_changed"] == 0


def test_the_inbox_is_drained_although_cloudshelf_does_not_answer(kiosks: Kiosks) -> None:
    kiosks.sell(("coat-s", 2))
    kiosks.poll()
    kiosks.server.set_faults(FaultPlan.model_validate(DOWN))
    run = flow(kiosks)
    run.config = kiosks.config.model_copy(
        update={"movements": kiosks.config.movements.model_copy(update={"longest_run_seconds": 3.0})}
    )
    with pytest.raises(TargetUnavailable):
        run.run()
    assert stock(kiosks)["coat-s@berlin"] == 8


def test_another_source_feeds_the_same_run(kiosks: Kiosks) -> None:
    left = [1]
    done = flow(kiosks, sources=[Step("files", lambda: left.pop() if left else 0)]).run()
    assert not left
    assert done["entries_changed"] == 0


def test_new_work_wakes_a_run_and_read_work_does_not(kiosks: Kiosks) -> None:
    now = datetime.now(UTC)
    looking = watch(kiosks)
    assert not looking.has_work(now)
    kiosks.sell(("coat-s", 1))
    assert looking.has_work(now)
    kiosks.poll()
    assert looking.has_work(now), "its movement waits in the inbox"
    flow(kiosks).run()
    assert not looking.has_work(datetime.now(UTC) + timedelta(minutes=1))


def test_nobody_is_woken_while_a_run_is_alive(kiosks: Kiosks) -> None:
    now = datetime.now(UTC)
    kiosks.sell(("coat-s", 1))
    with kiosks.store.begin() as conn:
        kiosks.store.watermarks.set(conn, kiosks.name, ALIVE, now)
    assert not watch(kiosks).has_work(now + timedelta(seconds=1))
    assert watch(kiosks).has_work(now + timedelta(minutes=1))


def test_an_ended_run_counts_as_ended_at_once(kiosks: Kiosks) -> None:
    flow(kiosks).run()
    assert not watch(kiosks).is_alive(datetime.now(UTC))


def test_an_order_that_cannot_be_read_wakes_once(kiosks: Kiosks) -> None:
    order = kiosks.raw_order([line("coat-s", 1)])
    kiosks.change(order, status="TELEPORTED")
    looking, now = watch(kiosks), datetime.now(UTC)
    assert [looking.has_work(now) for _ in range(3)] == [True, False, False]


def test_a_file_wakes_and_the_drop_is_not_listed_every_time(kiosks: Kiosks) -> None:
    looks: list[int] = []

    def files() -> bool:
        looks.append(1)
        return True

    looking, now = watch(kiosks, files), datetime.now(UTC)
    assert [looking.has_work(now) for _ in range(5)] == [True, False, False, False, False]
    assert len(looks) == 1
