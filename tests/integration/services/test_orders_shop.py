"""Watching captured orders in commercetools: whoever changes one there, on the order or on its payment, is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.kiosks import Json
from tests.support.landed import CENTS, COAT, Landed, worlds

from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.services.orders.shop import SHOP_FLOW, ShopCounts, together
from cogent_ops.store import Store

Begin = Callable[..., Landed]


@pytest.fixture
def begin(store: Store) -> Iterator[Begin]:
    with worlds(store) as made:
        yield made


@pytest.fixture
def world(begin: Begin) -> Landed:
    return begin()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"orderState": "Cancelled"}, "VOIDED"),
        ({"refund": CENTS}, "REFUNDED"),
        ({"refund": 100}, "PARTIALLY_REFUNDED"),
        ({"orderState": "Cancelled", "refund": CENTS}, "REFUNDED"),
        ({"orderState": "Complete"}, "PAID"),
        ({"shipmentState": "Shipped"}, "PAID"),
    ],
)
def test_what_happens_in_commercetools_is_known_in_cloudshelf(
    world: Landed, change: Json, expected: str
) -> None:
    """Completed and shipped orders are what Cloudshelf calls PAID: it has no word for more."""
    order, other = world.land(), world.land()
    world.look()
    assert [world.row(one).shop_status for one in (order, other)] == ["PAID", "PAID"]
    world.tell()
    world.forget_requests()
    world.work_on(order, **change)
    assert world.look().changed == (expected != "PAID")
    assert world.row(order).shop_status == expected
    assert world.tell().told == (expected != "PAID")
    assert (world.shown(order)[0], world.shown(other)[0]) == (expected, "PAID")


def test_a_refund_by_steps_is_told_step_by_step(world: Landed) -> None:
    order = world.land((COAT, 2))
    told = []
    for _ in range(2):
        world.work_on(order, refund=CENTS)
        world.look()
        world.tell()
        told.append(world.shown(order)[0])
    assert told == ["PARTIALLY_REFUNDED", "REFUNDED"]


def test_nothing_moves_once_both_sides_agree(world: Landed) -> None:
    """What Cloudshelf then says is our own word: it goes to commercetools no more."""
    orders = [world.land() for _ in range(4)]
    world.look()
    world.cancel(orders[0])
    world.work_on(orders[1], refund=CENTS)
    world.work_on(orders[2], refund=100)
    for _ in range(3):
        world.once()
    assert [world.shown(order)[0] for order in orders] == ["VOIDED", "REFUNDED", "PARTIALLY_REFUNDED", "PAID"]
    rows = [world.row(order) for order in orders]
    before = world.server.dump("commercetools")["orders"]
    world.forget_requests()
    for _ in range(4):
        world.once()
    assert [world.row(order) for order in orders] == rows
    assert world.writes() == {}
    after = world.server.dump("commercetools")["orders"]
    assert after == before
    assert {kind.partition(" ")[0] for kind in world.exceptions()} <= {"refund_quantity"}


def test_a_void_whose_answer_was_lost_owes_no_refund(begin: Begin) -> None:
    """The poll sees our own VOIDED before we know that Cloudshelf has it."""
    world = begin()
    order = world.land()
    world.look()
    world.tell()
    world.cancel(order)
    world.look()
    world.server.set_faults(FaultPlan(rules=(Rule(kind=Kind.RESET, operation="upsertOrders", when="after"),)))
    with pytest.raises(RetryableError):
        world.tell()
    world.server.set_faults(None)
    before = world.server.dump("commercetools")["orders"]
    for hour in range(3):
        world.poll()
        world.capture().round()
        world.look()
        world.tell(later=timedelta(hours=hour))
    row = world.row(order)
    assert (row.status, row.captured_status, row.tell_at, row.due_at) == ("VOIDED", "VOIDED", None, None)
    assert world.server.dump("commercetools")["orders"] == before
    assert world.exceptions() == {}


@pytest.mark.parametrize("said", ["VOIDED", "REFUNDED"])
def test_what_the_kiosk_says_first_is_not_said_back(world: Landed, said: str) -> None:
    order = world.land()
    world.once()
    world.set_status(order, said)
    world.once()
    payment = world.client.get("payments", str(world.row(order).payment_id))
    assert payment is not None
    expected = {"VOIDED": ["Success", "Pending"], "REFUNDED": ["Success", "Success"]}[said]
    assert [one["state"] for one in payment["transactions"]] == expected
    world.forget_requests()
    for _ in range(3):
        world.once()
    assert world.writes() == {}
    assert world.shown(order)[0] == said
    assert world.row(order).told_status is None


def test_a_look_costs_two_requests_and_only_where_it_is_time(begin: Begin) -> None:
    world = begin(orders_settings={"shop_poll_seconds": 600.0})
    order = world.land()
    watch = world.watch()
    watch.look(world.now)
    world.forget_requests()
    world.cancel(order)
    assert watch.look(world.now) == ShopCounts(), "it has looked a moment ago"
    assert world.all_requests() == {}
    watch._looked_at -= 601
    assert watch.look(world.now) == ShopCounts(read=1, changed=1)
    assert world.all_requests() == {"commercetools.orders.query": 1, "commercetools.payments.query": 1}


def test_orders_of_the_web_shop_are_read_past(world: Landed) -> None:
    order = world.land()
    for number in range(5):
        world.enter(f"WEB-{number}")
    world.cancel(order)
    assert world.look() == ShopCounts(read=1, changed=1)


def test_an_order_of_the_web_shop_that_took_a_basket_is_watched_like_ours(world: Landed) -> None:
    """Its payment has a key of the shop's own, and there may be several of them."""
    order = world.land()
    payment = world.client.create(
        "payments", {"key": "other", "amountPlanned": {"currencyCode": "EUR", "centAmount": 0}}
    )
    ct_order = world.client.get("orders", world.row(order).ct_order_id)
    assert ct_order is not None
    added: Json = {"action": "addPayment", "payment": {"typeId": "payment", "key": "other"}}
    world.client.update("orders", ct_order["id"], ct_order["version"], [added])
    world.look()
    refund: Json = {
        "action": "addTransaction",
        "transaction": {
            "type": "Refund",
            "state": "Success",
            "amount": {"currencyCode": "EUR", "centAmount": CENTS},
        },
    }
    made: Any = payment
    world.client.update("payments", made.resource["id"], made.resource["version"], [refund])
    assert world.look().changed == 1, "found by the payment, whose order has not changed"
    assert world.row(order).shop_status == "REFUNDED"


def test_the_watermark_waits_for_what_could_not_be_read(begin: Begin) -> None:
    world = begin()
    order = world.land()
    world.look()
    mark = world.store.watermarks.get("default", SHOP_FLOW)
    world.cancel(order)
    failing = Rule(kind=Kind.ERROR, operation="payments.query", status=503)
    world.server.set_faults(FaultPlan(rules=(failing,)))
    with pytest.raises(RetryableError):
        world.look()
    assert world.store.watermarks.get("default", SHOP_FLOW) == mark
    assert world.row(order).shop_status == "PAID"
    world.server.set_faults(None)
    assert world.look().changed == 1
    moved = world.store.watermarks.get("default", SHOP_FLOW)
    assert moved is not None
    assert mark is not None
    assert moved > mark


def test_the_watermark_is_commercetools_time(world: Landed) -> None:
    """A machine whose clock is ahead must not skip what happens meanwhile."""
    order = world.land()
    world.ahead = timedelta(minutes=50)
    world.look()
    mark = world.store.watermarks.get("default", SHOP_FLOW)
    assert mark is not None
    assert mark < datetime.now(UTC)
    world.cancel(order)
    assert world.look().changed == 1


def test_what_changes_on_a_page_that_was_read_already_is_found_by_the_next_look(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begin(orders_settings={"overlap_seconds": 120})
    order, other = world.land(), world.land()
    world.look()
    pages, waiting = world.client.pages, [True]

    def slowly(resource: str, **more: Any) -> Iterator[list[Json]]:
        if resource == "payments" and waiting:
            waiting.clear()
            world.server.state.clock.advance(20)
            world.cancel(order)
            world.server.state.clock.advance(150)
            world.work_on(other, refund=CENTS)
        yield from pages(resource, **more)

    monkeypatch.setattr(world.client, "pages", slowly)
    assert world.look().changed == 1
    assert (world.row(order).shop_status, world.row(other).shop_status) == ("PAID", "REFUNDED")
    world.ahead = timedelta(seconds=180)
    assert world.look().changed == 1
    assert world.row(order).shop_status == "VOIDED"


def test_a_look_reaches_back_for_what_shows_up_late(begin: Begin) -> None:
    world = begin(orders_settings={"overlap_seconds": 60})
    order = world.land()
    world.cancel(order)
    now = datetime.now(UTC)
    for back, expected in ((timedelta(seconds=90), 0), (timedelta(seconds=30), 1)):
        with world.store.begin() as conn:
            world.store.watermarks.set(conn, "default", SHOP_FLOW, now + back)
        assert world.look().changed == expected


def test_several_payments_count_as_one() -> None:
    one, two = {"id": "1", "transactions": ["a"]}, {"id": "2", "transactions": ["b", "c"]}
    assert together([one, two]) == {"id": "1", "transactions": ["a", "b", "c"]}
    assert together([]) is None
