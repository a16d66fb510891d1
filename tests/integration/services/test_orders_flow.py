"""The order flow as one run: what was sold is in commercetools, and Cloudshelf knows it, when the run has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.clients.helpers import kiosk, shop
from tests.support.captures import Captures, coats

from cogent_ops.clients.transport import close_sessions
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.orders.flow import ALIVE, OrderFlow, OrderWatch
from cogent_ops.services.orders.shop import ShopWatch
from cogent_ops.services.orders.tell import OrderTelling
from cogent_ops.services.stock.flow import ALIVE as STOCK_ALIVE
from cogent_ops.store import Store
from cogent_ops.store.orders import CaptureState

HASTY = {"linger_seconds": 0.3, "poll_seconds": 0.05, "longest_run_seconds": 20.0, "shop_poll_seconds": 1.0}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(store: Store) -> Iterator[Captures]:
    with ExitStack() as stack:
        made = Captures(stack.enter_context(SandboxServer(coats())), store, orders_settings=HASTY)
        made.begin()
        yield made
        close_sessions()


def flow(world: Captures) -> OrderFlow:
    shelf, client = kiosk(world.server), shop(world.server)
    return OrderFlow(
        world.config,
        world.store,
        world.poller(),
        world.capture(),
        OrderTelling(world.config, world.store, shelf),
        ShopWatch(world.config, world.store, client),
    )


def sell(world: Captures, **more: str) -> str:
    return world.sell(("coat-s", 1), paymentAttemptId="attempt", **more)


def shown(world: Captures, order: str) -> tuple[str, str | None]:
    """Status and name in Cloudshelf."""
    with world.state.lock:
        found = world.state.get("Order", order)
        return found["status"], found["thirdPartyId"]


def note_alive(world: Captures, flow_: str, moment: datetime) -> None:
    with world.store.begin() as conn:
        world.store.watermarks.set(conn, world.name, flow_, moment)


def test_a_run_captures_tells_and_ends_when_it_is_quiet(world: Captures) -> None:
    order = sell(world)
    done = flow(world).run()
    assert done["orders_stored"] >= 1
    assert (done["orders_imported"], done["orders_told"]) == (1, 1)
    assert shown(world, order) == ("PAID", world.ct_order(order)["id"])
    assert flow(world).run()["orders_imported"] == 0
    assert len(world.ct_orders()) == 1


def test_what_commercetools_cancels_is_told_and_comes_back_without_effect(world: Captures) -> None:
    order = sell(world)
    flow(world).run()
    there = world.ct_order(order)
    world.server.state.floor.change("order-change", {"order": there["id"], "orderState": "Cancelled"})
    done = flow(world).run()
    assert (done["changed_by_shop"], done["orders_told"]) == (1, 1)
    assert shown(world, order)[0] == "VOIDED"
    before = world.ct_order(order)
    flow(world).run()
    assert world.row(order).captured_status == "VOIDED"
    assert world.ct_order(order) == before
    assert world.transactions(order) == [("Charge", "Success", 950)], "nobody said that money went back"
    assert world.exceptions() == {}


def test_while_the_stock_flow_is_at_work_it_polls_alone(world: Captures) -> None:
    order = sell(world)
    note_alive(world, STOCK_ALIVE, datetime.now(UTC) + MINUTE)
    assert flow(world).run()["orders_read"] == 0
    assert world.ct_orders() == []
    world.poll()
    assert flow(world).run()["orders_imported"] == 1
    assert world.row(order).state is CaptureState.CAPTURED


def test_orders_are_captured_although_cloudshelf_does_not_answer(world: Captures) -> None:
    order = sell(world)
    world.poll()
    run = flow(world)
    # Which Channel a location stands for is asked of Cloudshelf once.
    assert run.capture.context.places.channel(world.location("berlin"), {}) == "berlin"
    down = Rule(kind=Kind.ERROR, api="cloudshelf", rate=1.0, status=503)
    world.server.set_faults(FaultPlan(seed=1, rules=(down,)))
    with pytest.raises(RetryableError):
        run.run()
    assert world.row(order).state is CaptureState.CAPTURED


def test_orders_that_an_older_release_polled_are_taken_up_once(world: Captures) -> None:
    order = sell(world)
    world.poll()
    with world.store.begin() as conn:
        conn.exec_driver_sql("DELETE FROM order_capture")
    assert world.accounting().unexplained == 1
    assert flow(world).run()["orders_imported"] == 1
    assert world.row(order).state is CaptureState.CAPTURED
    assert world.accounting().unexplained == 0


def test_it_is_woken_for_what_is_due_and_for_news_and_not_while_it_runs(world: Captures) -> None:
    watch = OrderWatch(world.name, world.store)
    assert not watch.has_work(world.now)
    order = sell(world, status="PLACED")
    world.poll()
    assert not watch.has_work(world.now), "it waits for its payment"
    assert watch.has_work(world.now + timedelta(hours=1))
    world.set_status(order, "PAID")
    world.poll()
    assert watch.has_work(world.now)
    now = world.now
    note_alive(world, ALIVE, now)
    assert not watch.has_work(now)
    assert watch.has_work(world.now + MINUTE)
    world.finish()
    assert watch.has_work(world.now + MINUTE), "Cloudshelf is to be told"
    flow(world).run()
    assert not watch.has_work(world.now + MINUTE)
