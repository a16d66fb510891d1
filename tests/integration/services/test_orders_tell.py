"""Telling Cloudshelf what became of its orders: once, whatever answers are lost, and nothing that it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.landed import COAT, Landed, worlds

from cogent_ops.domain.exceptions import Kind as ExceptionKind
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.services.orders import tell as module
from cogent_ops.store import Store
from cogent_ops.store.order_news import Told
from cogent_ops.store.schema import order_capture

Begin = Callable[..., Landed]
HOUR = timedelta(hours=1)


@pytest.fixture
def begin(store: Store) -> Iterator[Begin]:
    with worlds(store) as made:
        yield made


@pytest.fixture
def world(begin: Begin) -> Landed:
    return begin()


def faults(*rules: Rule, seed: int = 1) -> FaultPlan:
    return FaultPlan(seed=seed, rules=rules)


def test_an_order_gets_its_name_in_commercetools_once(world: Landed) -> None:
    order = world.land()
    assert world.store.order_news.has_news("default", world.now)
    assert world.tell() == module.TellCounts(told=1)
    row = world.row(order)
    assert world.shown(order) == ("PAID", row.ct_order_id)
    assert (row.told_id, row.told_status, row.tell_at, row.tell_attempts) == (row.ct_order_id, None, None, 0)
    world.forget_requests()
    assert world.tell() == module.TellCounts()
    assert not world.store.order_news.has_news("default", world.now + HOUR)
    assert world.all_requests() == {}, "nothing is sent of what is known"


def test_what_commercetools_cancels_is_void_in_cloudshelf(world: Landed) -> None:
    order = world.land()
    world.tell()
    world.cancel(order)
    assert world.look().changed == 1
    assert world.tell().told == 1
    assert world.shown(order)[0] == "VOIDED"
    row = world.row(order)
    assert (row.told_status, row.captured_status, row.tell_at) == ("VOIDED", "VOIDED", None)


def test_many_orders_go_in_few_calls(world: Landed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORDERS_PER_CALL", 4)
    monkeypatch.setattr(module, "CALLS_PER_ROUND", 2)
    orders = [world.land() for _ in range(10)]
    world.forget_requests()
    assert [world.tell().told for _ in range(3)] == [8, 2, 0]
    assert world.all_requests() == {"cloudshelf.upsertOrders": 3}
    assert {world.shown(order)[1] for order in orders} == {world.row(order).ct_order_id for order in orders}


def test_the_status_is_noted_before_it_is_sent(begin: Begin) -> None:
    """The poll may see our word come back before the answer does, or when the answer was lost."""
    world = begin(faults(Rule(kind=Kind.RESET, operation="upsertOrders", when="after")))
    order = world.land()
    world.cancel(order)
    world.look()
    with pytest.raises(RetryableError):
        world.tell()
    assert world.shown(order)[0] == "VOIDED", "the answer was lost, not the request"
    row = world.row(order)
    assert (row.told_status, row.captured_status) == ("VOIDED", "PAID")
    assert row.tell_at is not None
    world.server.set_faults(None)
    assert world.tell(later=HOUR).told == 1
    assert world.row(order).captured_status == "VOIDED"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_leave_the_same_state_as_no_faults(begin: Begin, seed: int) -> None:
    rules = (
        Rule(kind=Kind.RESET, operation="upsertOrders", when="after", rate=0.25),
        Rule(kind=Kind.RESET, operation="upsertOrders", rate=0.2),
        Rule(kind=Kind.ERROR, operation="upsertOrders", status=500, when="after", rate=0.2),
        Rule(kind=Kind.THROTTLE, operation="upsertOrders", rate=0.2, retry_after=0),
        Rule(kind=Kind.REFUSE, operation="upsertOrders", rate=0.2, code="TEMPORARY_RESTRICTION"),
        Rule(kind=Kind.ERROR, operation="orders.query", rate=0.2, status=503),
        Rule(kind=Kind.RESET, operation="payments.query", rate=0.2),
    )
    world = begin()
    orders = [world.land() for _ in range(12)]
    world.server.set_faults(faults(*rules, seed=seed))
    for order in orders[:4]:
        world.cancel(order)
    for round_ in range(40):
        for step in (world.look, lambda: world.tell(later=HOUR * round_)):  # noqa: B023 - called at once
            try:
                step()
            except RetryableError:
                continue
    assert [world.shown(order) for order in orders] == [
        ("VOIDED" if order in orders[:4] else "PAID", world.row(order).ct_order_id) for order in orders
    ]
    assert all(world.row(order).tell_at is None for order in orders)
    assert world.exceptions() == {}
    assert sum(world.server.counters()["faults"].values()) > 3


def test_what_is_refused_is_somebodys_and_the_others_are_told(begin: Begin) -> None:
    world = begin()
    orders = [world.land() for _ in range(3)]
    bad = orders[1]
    refusing = Rule(kind=Kind.REFUSE, operation="upsertOrders", ids=bad, code="ENTITY_INVALID_FIELD")
    world.server.set_faults(faults(refusing))
    assert world.tell() == module.TellCounts(told=2, refused=1)
    (raised,) = world.exceptions().values()
    assert (raised.kind, raised.cause_key) == (ExceptionKind.STATUS_REFUSED, f"order/{bad}")
    assert raised.record == world.row(bad).order_number
    assert (raised.place, raised.amount, raised.currency) == ("Berlin", 950, "EUR")
    assert "ENTITY_INVALID_FIELD" in raised.message
    assert world.tell() == module.TellCounts(), "not again at once"
    assert world.tell(later=timedelta(seconds=61)).refused == 1
    (raised,) = world.exceptions().values()
    assert world.tell(later=timedelta(seconds=130)) == module.TellCounts(), "each time it takes longer"
    world.server.set_faults(None)
    assert world.tell(later=HOUR).told == 1
    assert world.exceptions() == {}, "closed by the verified success"
    assert world.shown(bad)[1] == world.row(bad).ct_order_id


def test_refusals_that_may_pass_are_told_to_nobody_at_first(begin: Begin) -> None:
    world = begin()
    world.land()
    refusing = Rule(kind=Kind.REFUSE, operation="upsertOrders", rate=1.0, code="TEMPORARY_RESTRICTION")
    world.server.set_faults(faults(refusing))
    for number in range(module.PATIENT_REFUSALS):
        assert world.exceptions() == {}
        assert world.tell(later=HOUR * number).refused == 1
    assert [one.kind for one in world.exceptions().values()] == [ExceptionKind.STATUS_REFUSED]


def test_a_dead_teller_delays_its_orders_and_loses_none(world: Landed) -> None:
    order = world.land()
    claimed = world.store.order_news.claim("default", world.now, limit=10, until=world.now + module.HOLD)
    assert [one.order_id for one in claimed] == [order]
    assert world.tell() == module.TellCounts(), "it is somebody's"
    assert world.tell(later=module.HOLD + timedelta(seconds=1)).told == 1


def test_news_while_it_is_being_told_is_told_next(world: Landed) -> None:
    """A cancellation that is seen while the id is on its way stays on the list."""
    order = world.land()
    (claimed,) = world.store.order_news.claim("default", world.now, limit=10, until=world.now + HOUR)
    world.cancel(order)
    world.look()
    with world.store.begin() as conn:
        done = Told(claimed, told_id=claimed.ct_order_id)
        world.store.order_news.told(conn, "default", [done])
    assert world.tell().told == 1
    assert world.shown(order)[0] == "VOIDED"


def test_two_tellers_share_the_orders(world: Landed) -> None:
    orders = [world.land() for _ in range(4)]
    first = world.store.order_news.claim("default", world.now, limit=2, until=world.now + HOUR)
    second = world.store.order_news.claim("default", world.now, limit=10, until=world.now + HOUR)
    assert {one.order_id for one in (*first, *second)} == set(orders)
    assert len(first) == len(second) == 2


@pytest.mark.parametrize(
    ("kiosk", "said", "expected"),
    [
        ("REFUNDED", "VOIDED", "REFUNDED"),  # it has moved on here already
        ("VOIDED", "PAID", "VOIDED"),  # money that went back does not come again
        ("PARTIALLY_REFUNDED", "REFUNDED", "REFUNDED"),
    ],
)
def test_only_what_may_follow_is_told(world: Landed, kiosk: str, said: str, expected: str) -> None:
    order = world.land()
    world.set_status(order, kiosk)
    world.run()
    with world.store.begin() as conn:
        world.store.order_news.saw_shop(conn, "default", {order: OrderStatus(said)}, {order})
    world.tell()
    assert world.shown(order) == (expected, world.row(order).ct_order_id)


def test_a_sale_that_cloudshelf_takes_for_unpaid_may_be_cancelled(world: Landed) -> None:
    order = world.sell((COAT, 1), status="PLACED")
    world.run()
    world.approve(order)
    world.run()
    world.cancel(order)
    world.look()
    world.tell()
    assert world.shown(order) == ("VOIDED", world.row(order).ct_order_id)


def test_the_name_that_the_web_shop_wrote_stays(world: Landed) -> None:
    named, unnamed = world.land(), world.land()
    with world.store.begin() as conn:
        conn.execute(sa.update(order_capture).values(origin="shop"))
    world.change(named, thirdPartyId="web-1001")
    world.ahead = timedelta(seconds=1)
    world.change(named, updatedAt=world.now.isoformat())
    world.poll()
    assert world.tell() == module.TellCounts(told=1)
    assert world.shown(named)[1] == "web-1001"
    assert world.shown(unnamed)[1] == world.row(unnamed).ct_order_id
