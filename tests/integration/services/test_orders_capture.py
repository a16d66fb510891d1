"""Kiosk orders in commercetools: each exactly once, whatever is lost on the way, or with a person who knows why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.clients.helpers import shop
from tests.support.captures import Captures, coats
from tests.support.dying import Boundaries, kill_myself, survives
from tests.support.kiosks import PRODUCT, Json, line, ulid
from tests.support.processes import together

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.custom_types import declared
from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.stock import Place
from cogent_ops.errors import PermanentError, RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.orders.backfill import OrderBackfill
from cogent_ops.services.orders.capture import OUT_OF_REACH, CaptureCounts
from cogent_ops.services.orders.judgement import BEFORE_START
from cogent_ops.store import Store
from cogent_ops.store.orders import CaptureState, Origin

Begin = Callable[..., Captures]
COAT, OTHER = "coat-s", "coat-m"
PAID_HERE = {"paymentAttemptId": "attempt-1", "paymentMethod": "STRIPE"}


@pytest.fixture
def begin(store: Store) -> Iterator[Begin]:
    """Starts a sandbox with kiosks: ``begin(faults, orders_settings=…, …)``."""
    with ExitStack() as stack:

        def made(*args: Any, **named: Any) -> Captures:
            world = Captures(stack.enter_context(SandboxServer(coats())), store, **named)
            world.begin()
            if args:
                world.server.set_faults(*args)
            return world

        yield made
        close_sessions()


@pytest.fixture
def world(begin: Begin) -> Captures:
    return begin()


def faults(*rules: Rule, seed: int = 1) -> FaultPlan:
    return FaultPlan(seed=seed, rules=rules)


def sell(world: Captures, *lines: tuple[str, int], **more: Any) -> str:
    """A sale that was paid on the kiosk."""
    return world.sell(*(lines or ((COAT, 1),)), **{**PAID_HERE, **more})


# Once


def test_a_paid_order_is_imported_with_its_payment(world: Captures) -> None:
    first = sell(world)
    world.run()
    order = sell(world, (COAT, 2), (OTHER, 1))
    world.poll()
    assert world.capture().round() == CaptureCounts(imported=1)

    there = world.ct_order(order)
    assert there["totalPrice"]["centAmount"] == 2850
    assert [(one["variant"]["sku"], one["quantity"]) for one in there["lineItems"]] == [(COAT, 2), (OTHER, 1)]
    assert there["inventoryMode"] == "None"
    assert there["custom"]["fields"]["CS_OrderId"] == order
    assert (there["orderState"], there["paymentState"]) == ("Confirmed", "Paid")
    assert world.transactions(order) == [("Charge", "Success", 2850)]
    row = world.row(order)
    assert (row.state, row.reason, row.due_at, row.origin) == (
        CaptureState.CAPTURED,
        None,
        None,
        Origin.KIOSK,
    )
    assert (row.ct_order_id, row.payment_id) == (there["id"], world.payment(order)["id"])
    assert (row.captured_status, row.currency, row.total, row.units) == ("PAID", "EUR", 2850, 3)
    assert row.tell_at is not None
    assert len(world.ct_orders()) == 2
    assert world.ct_order(first)["id"] != there["id"]


def test_an_order_costs_two_requests(world: Captures) -> None:
    sell(world)
    capture = world.capture()
    world.poll()
    capture.round()
    sell(world)
    world.poll()
    world.forget_requests()
    assert capture.round() == CaptureCounts(imported=1)
    assert world.requests() == {"commercetools.payments.create": 1, "commercetools.orders.import": 1}


def test_reading_an_order_again_changes_nothing(world: Captures) -> None:
    order = sell(world)
    world.run()
    before = world.row(order)
    world.forget_requests()
    assert world.run() == CaptureCounts()
    assert world.requests() == {}
    assert world.row(order) == before


def test_an_address_is_sent_and_not_kept_in_the_order(world: Captures) -> None:
    given = {**line(COAT, 1), "customAttributes": [{"key": "CS_EMAIL", "value": "anna@example.com"}]}
    session = {"locationId": world.location("berlin"), **PAID_HERE}
    order = world.raw_order([given], session=session)
    world.run()
    assert world.ct_order(order)["customerEmail"] == "anna@example.com"
    assert "anna" not in str(world.orders()[order].content)


def test_an_address_that_nobody_may_have_is_not_read(begin: Begin) -> None:
    world = begin(orders_settings={"email": "never"})
    given = {**line(COAT, 1), "customAttributes": [{"key": "CS_EMAIL", "value": "anna@example.com"}]}
    order = world.raw_order([given], session={"locationId": world.location("berlin"), **PAID_HERE})
    world.run()
    assert "customerEmail" not in world.ct_order(order)
    with world.store.read() as conn:
        assert world.store.captures.contact(conn, world.name, order) is None


def test_an_order_is_of_the_store_of_its_channel(world: Captures) -> None:
    order = sell(world)
    world.run()
    there = world.ct_order(order)
    assert there["store"]["key"] == "store-berlin"
    channel = shop(world.server).get("channels", key="berlin")
    assert channel is not None
    assert {one["supplyChannel"]["id"] for one in there["lineItems"]} == {channel["id"]}


@pytest.mark.parametrize(
    ("status", "reason"), [("DRAFT_BASKET", "draft basket"), ("VOIDED", "voided before it was captured")]
)
def test_what_is_no_sale_is_left_out_by_name(world: Captures, status: str, reason: str) -> None:
    order = sell(world, status=status)
    assert world.run() == CaptureCounts()
    row = world.row(order)
    assert (row.state, row.reason, row.due_at) == (CaptureState.EXCLUDED, reason, None)
    assert world.ct_orders() == []


def test_a_basket_that_is_bought_later_is_captured_then(world: Captures) -> None:
    order = sell(world, status="DRAFT_BASKET")
    world.run()
    world.set_status(order, "PAID")
    assert world.run().imported == 1
    assert world.row(order).state is CaptureState.CAPTURED


def test_internal_sessions_are_left_out(world: Captures) -> None:
    order = sell(world, visibilityType="CLOUDSHELF_INTERNAL")
    world.run()
    assert world.row(order).reason == "internal session"
    assert world.accounting().excluded == {"internal session": 1}
    assert world.ct_orders() == []


# Lost answers and dead workers


@pytest.mark.parametrize(
    "rule",
    [
        Rule(kind=Kind.RESET, operation="orders.import", when="after", limit=1),
        Rule(kind=Kind.ERROR, operation="orders.import", when="after", status=500, limit=1),
        Rule(kind=Kind.ERROR, operation="orders.import", when="before", status=500, limit=1),
        Rule(kind=Kind.RESET, operation="payments.create", when="after", limit=1),
        Rule(kind=Kind.ERROR, operation="payments.create", when="before", status=500, limit=1),
    ],
    ids=lambda rule: f"{rule.operation} {rule.kind} {rule.when}",
)
def test_a_lost_answer_makes_one_order(begin: Begin, rule: Rule) -> None:
    world = begin(faults(rule))
    order = sell(world, (COAT, 2))
    counts = world.run()
    assert counts.imported + counts.found == 1
    assert len(world.ct_orders()) == 1
    assert world.transactions(order) == [("Charge", "Success", 1900)]
    assert world.row(order).ct_order_id == world.ct_order(order)["id"]
    assert world.exceptions() == {}


def test_while_commercetools_is_down_orders_wait_and_nothing_is_lost(begin: Begin) -> None:
    world = begin()
    capture = world.capture()
    sell(world)
    world.poll()
    capture.round()
    orders = [sell(world) for _ in range(3)]
    world.poll()
    world.server.set_faults(faults(Rule(kind=Kind.ERROR, api="commercetools", rate=1.0, status=503)))
    began = world.now
    with pytest.raises(RetryableError):
        capture.round()
    rows = [world.row(order) for order in orders]
    assert {(row.state, row.reason) for row in rows} == {(CaptureState.SENDING, OUT_OF_REACH)}
    assert all(row.due_at is not None and row.due_at > began for row in rows)
    assert world.accounting().unexplained == 0
    world.server.set_faults(None)
    world.let_time_pass()
    assert world.finish() == CaptureCounts(imported=3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_leave_the_same_as_no_faults(begin: Begin, seed: int) -> None:
    world = begin()
    orders = [sell(world, (COAT, 1 + n % 3)) for n in range(20)]
    refunded, voided = orders[:4], orders[4:8]
    rules = [
        Rule(kind=Kind.RESET, operation="orders.import", when="after", rate=0.2),
        Rule(kind=Kind.ERROR, operation="orders.import", when="after", status=500, rate=0.2),
        Rule(kind=Kind.RESET, operation="payments.create", when="after", rate=0.2),
        Rule(kind=Kind.ERROR, operation="payments.create", status=503, rate=0.2),
        Rule(kind=Kind.ERROR, operation="orders.get", status=502, rate=0.2),
        Rule(kind=Kind.RESET, operation="orders.update", when="after", rate=0.3),
        Rule(kind=Kind.RESET, operation="payments.update", when="after", rate=0.3),
        Rule(kind=Kind.CONFLICT, operation="orders.update", rate=0.3),
    ]
    world.server.set_faults(faults(*rules, seed=seed))
    world.run()
    for order in refunded:
        world.set_status(order, "REFUNDED")
    for order in voided:
        world.set_status(order, "VOIDED")
    world.run()
    assert len(world.ct_orders()) == len(orders)
    for n, order in enumerate(orders):
        total = 950 * (1 + n % 3)
        back = [("Refund", "Success" if order in refunded else "Pending", total)]
        expected = [("Charge", "Success", total), *(back if order in refunded + voided else ())]
        assert world.transactions(order) == expected, n
        state = "Cancelled" if order in refunded + voided else "Confirmed"
        assert world.ct_order(order)["orderState"] == state
    assert all(len(one["returnInfo"]) == 1 for one in map(world.ct_order, refunded))
    assert world.accounting().captured == len(orders)
    assert world.exceptions() == {}


def test_a_worker_that_is_killed_anywhere_leaves_one_order(world: Captures) -> None:
    """A real process, killed at one moment after the other: among them after the import and before it is recorded."""
    orders: list[str] = []
    at, survived = 0, False
    while not survived:
        orders.append(sell(world, (COAT, 2)))
        world.poll()
        capture = world.capture()
        survived = survives(lambda one=capture: one.round(), Boundaries(at, kill_myself))  # type: ignore[misc]
        at += 1
    assert at > 12, "it dies around every transaction and every request"
    world.let_time_pass()
    world.finish()
    assert len(world.ct_orders()) == len(orders)
    assert [world.transactions(order) for order in orders] == [[("Charge", "Success", 1900)]] * len(orders)
    assert world.accounting().captured == len(orders)


def test_killed_after_the_import_and_before_it_is_recorded(world: Captures) -> None:
    order = sell(world)
    world.poll()
    capture = world.capture()
    carry = capture.lander.land

    def land_and_die(*args: Any, **named: Any) -> Any:
        carry(*args, **named)
        kill_myself()

    capture.lander.land = land_and_die  # type: ignore[method-assign]
    assert not survives(capture.round, Boundaries())
    there = world.ct_order(order)
    assert (world.row(order).state, world.row(order).ct_order_id) == (CaptureState.SENDING, None)
    world.let_time_pass()
    assert world.finish() == CaptureCounts(found=1)
    assert len(world.ct_orders()) == 1
    assert world.row(order).ct_order_id == there["id"]


def send_and_lose(world: Captures, *lines: tuple[str, int]) -> str:
    """An order that is in commercetools, and nobody knows."""
    order = sell(world, *lines)
    world.poll()
    lost = Rule(kind=Kind.RESET, operation="orders.import", when="after")
    down = Rule(kind=Kind.ERROR, operation="orders.get", status=503)
    world.server.set_faults(faults(lost, down))
    with pytest.raises(RetryableError):
        world.capture().round()
    world.server.set_faults(None)
    assert (world.row(order).state, len(world.ct_orders())) == (CaptureState.SENDING, 1)
    return order


def test_an_order_that_is_voided_while_nobody_knows_that_it_was_sent_is_cancelled(world: Captures) -> None:
    order = send_and_lose(world, (COAT, 2))
    world.set_status(order, "VOIDED")
    world.poll()
    world.let_time_pass()
    assert world.finish() == CaptureCounts(found=1, changed=1)
    assert world.ct_order(order)["orderState"] == "Cancelled"
    assert world.transactions(order) == [("Charge", "Success", 1900), ("Refund", "Pending", 1900)]
    row = world.row(order)
    assert (row.state, row.captured_status, row.total) == (CaptureState.CAPTURED, "VOIDED", 1900)


def test_an_order_that_cannot_be_built_any_more_is_found_where_it_was_sent(world: Captures) -> None:
    order = send_and_lose(world)
    world.set_lines(order, (COAT, 0))
    world.poll()
    world.let_time_pass()
    world.finish()
    assert world.row(order).ct_order_id == world.ct_order(order)["id"]
    assert "order_line" not in world.kinds([order])[0]
    assert "order_state" in world.kinds([order])[0], "somebody compares both"


def test_an_order_that_never_arrived_is_left_out_when_it_is_voided(world: Captures) -> None:
    order = sell(world)
    world.poll()
    world.server.set_faults(
        faults(Rule(kind=Kind.ERROR, api="commercetools", operation="orders.*", status=503))
    )
    with pytest.raises(RetryableError):
        world.capture().round()
    world.server.set_faults(None)
    assert world.row(order).state is CaptureState.SENDING
    world.set_status(order, "VOIDED")
    world.poll()
    world.let_time_pass()
    assert world.finish() == CaptureCounts(excluded=1)
    assert world.ct_orders() == []


def test_workers_at_the_same_time_share_the_orders(world: Captures) -> None:
    orders = [sell(world) for _ in range(12)]
    world.poll()

    def work(number: int) -> int:
        return world.capture(owner=f"process-{number}").round().imported

    done = together(work, 3)
    assert sum(done) == len(orders)
    assert len(world.ct_orders()) == len(orders)
    assert world.accounting().captured == len(orders)


def test_two_workers_on_the_same_order_make_one(world: Captures) -> None:
    """The first one hangs beyond its lease, and goes on when the second has captured the order."""
    order = sell(world)
    world.poll()
    slow, quick = world.capture(), world.capture()
    carry = slow.lander.land

    def land_late(*args: Any, **named: Any) -> Any:
        world.let_time_pass()
        assert quick.round() == CaptureCounts(imported=1)
        return carry(*args, **named)

    slow.lander.land = land_late  # type: ignore[method-assign]
    assert slow.round() == CaptureCounts(), "what another has taken over is the other's to settle"
    assert len(world.ct_orders()) == 1
    assert world.transactions(order) == [("Charge", "Success", 950)]
    assert world.row(order).owner is None


def test_a_change_while_an_order_is_being_sent_is_not_forgotten(world: Captures) -> None:
    order = sell(world)
    world.poll()
    capture = world.capture()
    carry = capture.lander.land

    def land_while_it_is_voided(*args: Any, **named: Any) -> Any:
        world.set_status(order, "VOIDED")
        world.poll()
        return carry(*args, **named)

    capture.lander.land = land_while_it_is_voided  # type: ignore[method-assign]
    assert capture.round() == CaptureCounts(imported=1)
    assert world.finish() == CaptureCounts(changed=1)
    assert world.ct_order(order)["orderState"] == "Cancelled"


# Other people's orders


def enter(world: Captures, number: str, **more: Any) -> Json:
    """Somebody enters an order in commercetools."""
    line_ = {"sku": COAT, "quantity": 1, "centAmount": 950}
    given = {"orderNumber": number, "currency": "EUR", "lines": [line_], **more}
    made: Json = world.server.state.floor.change("online-order", given)
    return made


def test_a_foreign_order_with_our_number_is_a_conflict(world: Captures) -> None:
    order = sell(world)
    enter(world, f"CS-{ulid(order)}", inventoryMode="None")
    assert world.run() == CaptureCounts(review=1)
    row = world.row(order)
    assert (row.state, row.reason, row.ct_order_id) == (CaptureState.REVIEW, "order conflict", None)
    (found,) = world.exceptions().values()
    assert (found.kind, found.record, found.field) == ("order_conflict", f"CS-{ulid(order)}", "orderNumber")
    assert "names no kiosk order" in found.message
    assert len(world.ct_orders()) == 1, "nothing of it is taken for ours"


def test_an_order_of_another_total_is_not_taken_for_ours(world: Captures) -> None:
    order = sell(world)
    fields = {"type": {"typeId": "type", "key": "cogent-ops-order"}, "fields": {"CS_OrderId": order}}
    line_ = {"sku": COAT, "quantity": 2, "centAmount": 950}
    enter(world, f"CS-{ulid(order)}", lines=[line_], custom=fields, inventoryMode="None")
    assert world.run() == CaptureCounts(review=1)
    (found,) = world.exceptions().values()
    assert found.kind == "order_conflict"
    assert "19.00" in found.message


def test_a_conflict_that_goes_away_closes(world: Captures) -> None:
    order = sell(world)
    number = f"CS-{ulid(order)}"
    enter(world, number, inventoryMode="None")
    world.run()
    (foreign,) = world.ct_orders()
    shop(world.server).delete("orders", foreign["id"], foreign["version"])
    world.let_time_pass("review")
    assert world.finish() == CaptureCounts(imported=1)
    assert world.exceptions() == {}


def purchase(world: Captures, order: str, **more: Any) -> str:
    """The web shop sells a basket; its order's id."""
    given = {"order": order, "orderNumber": f"W-{ulid(order)[-6:]}", **more}
    return str(world.server.state.floor.change("basket-purchase", given)["id"])


@pytest.mark.parametrize("name", ["none", "id", "number"])
def test_a_basket_that_the_web_shop_sold_is_recognised(world: Captures, name: str) -> None:
    order = world.sell((COAT, 2), status="DRAFT_BASKET")
    world.run()
    theirs = purchase(world, order, thirdPartyId=name)
    assert world.run() == CaptureCounts(found=1)
    row = world.row(order)
    assert (row.state, row.origin, row.ct_order_id) == (CaptureState.CAPTURED, Origin.SHOP, theirs)
    assert (row.currency, row.total, row.told_id) == ("EUR", 1900, None if name == "none" else theirs)
    assert len(world.ct_orders()) == 1
    assert world.moved() == {}, "the shop's own order takes its units"
    world.set_status(order, "REFUNDED")
    assert world.run() == CaptureCounts(settled=1), "and it follows the shop"
    assert world.moved() == {}


def test_a_basket_that_was_sold_before_the_shop_said_so_gives_back_what_it_took(world: Captures) -> None:
    order = world.sell((COAT, 2), status="PLACED")
    world.poll()
    assert world.moved() == {(ulid(order), Place(COAT, "berlin")): -2}
    purchase(world, order, report=False)
    world.set_status(order, "PAID")
    world.run()
    assert world.row(order).origin is Origin.SHOP
    assert world.moved() == {}
    assert set(world.effects().values()) <= {0}


def test_a_name_that_commercetools_does_not_have_is_a_conflict(world: Captures) -> None:
    order = sell(world)
    world.change(order, thirdPartyId="erp-4711")
    assert world.run() == CaptureCounts(review=1)
    (found,) = world.exceptions().values()
    assert (found.kind, found.field) == ("order_conflict", "thirdPartyId")
    assert "erp-4711" in found.message
    assert world.ct_orders() == []


@pytest.mark.parametrize("together_", [False, True])
def test_one_order_of_the_shop_stands_for_one_kiosk_order(world: Captures, together_: bool) -> None:
    orders = [world.sell((COAT, 1), status="DRAFT_BASKET") for _ in range(2)]
    enter(world, "W-1")
    for order in orders:
        world.change(order, thirdPartyId="W-1")
        world.set_status(order, "PAID")
        if not together_:
            world.run()
    world.run()
    rows = [world.row(order) for order in orders]
    assert [row.state for row in rows] == [CaptureState.CAPTURED, CaptureState.REVIEW]
    assert world.kinds(orders) == [set(), {"order_conflict"}]


# What people are asked


def test_nothing_is_sent_before_the_type_is_installed(begin: Begin) -> None:
    world = begin()
    client = shop(world.server)
    kind = client.get("types", key="cogent-ops-order")
    assert kind is not None
    client.delete("types", kind["id"], kind["version"])
    order = sell(world)
    world.poll()
    with pytest.raises(PermanentError, match="cogent-ops bootstrap"):
        world.capture().round()
    assert (world.row(order).state, world.row(order).owner) == (CaptureState.WAITING, None)
    assert world.ct_orders() == []
    for one in declared():
        client.ensure("types", one.draft())
    assert world.finish() == CaptureCounts(imported=1)


def test_an_order_without_location_waits_for_a_person_and_closes_when_it_is_mended(world: Captures) -> None:
    order = sell(world, store=None)
    assert world.run() == CaptureCounts(review=1)
    assert world.kinds([order]) == [{"order_location"}]
    assert world.row(order).reason == "order location"
    world.decide(order, location="hamburg")
    assert world.finish() == CaptureCounts(imported=1)
    assert world.kinds([order]) == [set()]
    assert world.ct_order(order)["store"]["key"] == "store-hamburg"


def test_a_place_that_a_person_gave_counts_for_stock_too(world: Captures) -> None:
    order = sell(world, status="DRAFT_BASKET", store=None)
    world.poll()
    world.decide(order, location="hamburg")
    world.set_status(order, "PAID")
    world.poll()
    assert world.moved("waiting") == {(ulid(order), Place(COAT, "hamburg")): -1}


def test_all_that_is_wrong_is_told_at_once_with_place_and_amount(world: Captures) -> None:
    given = [{**line(COAT, 0)}, {**line(OTHER, 1), "price": -1.0}]
    session = {"locationId": world.location("berlin"), "locationName": "Berlin", **PAID_HERE}
    order = world.raw_order(given, session={**session, "basketValue": 84.0, "basketCurrencyCode": "EUR"})
    world.run()
    found = world.exceptions()[f"order_line order/{order}"]
    assert (found.place, found.amount, found.currency) == ("Berlin", 8400, "EUR")
    assert "Line 1" in found.message
    assert "Line 2" in found.message


def test_placed_waits_its_grace_then_a_person_is_asked(world: Captures) -> None:
    order = sell(world, status="PLACED")
    assert world.run() == CaptureCounts()
    assert world.row(order).reason == "waits for its payment"
    world.ahead = timedelta(minutes=20)
    assert world.capture().round() == CaptureCounts(review=1)
    assert world.kinds([order]) == [{"ambiguous_payment"}]
    world.set_status(order, "PAID")
    assert world.run().imported == 1
    assert world.kinds([order]) == [set()]


def test_a_person_may_say_that_placed_is_paid(world: Captures) -> None:
    order = sell(world, status="PLACED")
    world.poll()
    world.ahead = timedelta(minutes=20)
    world.capture().round()
    world.decide(order, paid="yes")
    assert world.finish().imported == 1
    assert world.transactions(order) == [("Charge", "Success", 950)]
    assert world.kinds([order]) == [set()]


def test_what_was_rejected_stays_out_unless_it_becomes_a_sale(world: Captures) -> None:
    order = sell(world, status="PLACED")
    world.poll()
    world.ahead = timedelta(minutes=20)
    world.capture().round()
    world.leave_out(order, "never paid")
    world.server.state.floor.change("kiosk-edit", {"order": order, "discountCode": "HELLO"})
    assert world.run() == CaptureCounts(excluded=1)
    assert world.row(order).reason == "rejected by a person: never paid"
    world.set_status(order, "PAID")
    assert world.run().imported == 1


def test_an_article_that_commercetools_does_not_have_is_named(world: Captures) -> None:
    with world.state.lock:
        ghost = {"id": variant_gid("ghost"), "sku": "ghost", "displayName": "Ghost", "currentPrice": 9.5}
        flags = {"originalPrice": 9.5, "isInStock": True, "availableToPurchase": True}
        entry = {"productId": product_gid(PRODUCT), "variants": [{**ghost, **flags}]}
        world.state.upsert_variants("upsertProductVariants", [entry])
    order, fine = sell(world, ("ghost", 1), (COAT, 1)), sell(world)
    assert world.run() == CaptureCounts(imported=1, review=1)
    found = world.exceptions()[f"order_article order/{order}"]
    assert found.cause_group == "article/ghost"
    assert len(world.ct_order(fine)["lineItems"]) == 1


def test_what_is_mended_elsewhere_is_found_by_itself(world: Captures) -> None:
    world.add_location(location_gid("leipzig"))
    order = sell(world, store="leipzig")
    assert world.run() == CaptureCounts(review=1)
    assert world.exceptions()[f"order_location order/{order}"].cause_group.startswith("location/")
    shop(world.server).ensure("channels", {"key": "leipzig", "roles": ["InventorySupply"]})
    assert world.finish() == CaptureCounts(), "not before its time"
    world.let_time_pass("review")
    assert world.finish() == CaptureCounts(imported=1)
    assert world.kinds([order]) == [set()]
    assert "store" not in world.ct_order(order), "no Store has this Channel"


def test_a_refusal_of_commercetools_concerns_one_order_alone(begin: Begin) -> None:
    world = begin()
    orders = [sell(world) for _ in range(4)]
    world.poll()
    world.server.set_faults(faults(Rule(kind=Kind.ERROR, operation="orders.import", status=400, limit=1)))
    counts = world.finish()
    assert (counts.imported, counts.review) == (3, 1)
    refused = [order for order in orders if world.row(order).state is CaptureState.REVIEW]
    assert world.kinds(refused) == [{"order_refused"}]
    world.let_time_pass("review")
    assert world.finish() == CaptureCounts(found=0, imported=1)
    assert world.exceptions() == {}


def test_an_order_that_is_corrected_after_its_payment_was_made_gets_another_one(begin: Begin) -> None:
    """The first import was refused, so the payment hangs on nothing; it is over the amount before the correction."""
    world = begin()
    order = sell(world, (COAT, 2))
    world.poll()
    refusal = Rule(kind=Kind.ERROR, operation="orders.import", status=400, limit=1)
    world.server.set_faults(faults(refusal))
    assert world.finish() == CaptureCounts(review=1)
    world.decide(order, **{"price.1": "9.00", "total": "18.00"})
    assert world.finish() == CaptureCounts(imported=1)
    assert world.ct_order(order)["totalPrice"]["centAmount"] == 1800
    assert world.transactions(order) == [("Charge", "Success", 1800)]
    assert world.payment(order)["key"] == f"CS-{ulid(order)}"
    assert len(list(world.server.state.commercetools["payments"])) == 1


# Later states


def test_a_void_cancels_and_owes_the_money(world: Captures) -> None:
    order = sell(world, (COAT, 2))
    world.run()
    world.set_status(order, "VOIDED")
    assert world.run() == CaptureCounts(changed=1)
    there = world.ct_order(order)
    assert (there["orderState"], there["shipmentState"]) == ("Cancelled", "Canceled")
    assert world.transactions(order) == [("Charge", "Success", 1900), ("Refund", "Pending", 1900)]
    world.forget_requests()
    world.let_time_pass()
    assert world.run() == CaptureCounts()
    assert world.requests() == {}


def test_an_order_that_is_met_refunded_is_captured_and_refunded(world: Captures) -> None:
    order = sell(world, (COAT, 2), status="REFUNDED")
    assert world.run() == CaptureCounts(imported=1)
    there = world.ct_order(order)
    assert there["orderState"] == "Cancelled"
    assert [one["quantity"] for info in there["returnInfo"] for one in info["items"]] == [2]
    assert world.transactions(order) == [("Charge", "Success", 1900), ("Refund", "Success", 1900)]


def test_a_partial_refund_waits_for_its_amount(world: Captures) -> None:
    order = sell(world, (COAT, 2))
    world.run()
    world.set_status(order, "PARTIALLY_REFUNDED")
    world.run()
    assert "refund_amount" in world.kinds([order])[0]
    assert world.row(order).state is CaptureState.CAPTURED
    world.decide(order, refund_amount="9.50", refund_lines="1:1")
    assert world.finish() == CaptureCounts(changed=1)
    assert world.transactions(order) == [("Charge", "Success", 1900), ("Refund", "Success", 950)]
    assert "refund_amount" not in world.kinds([order])[0]


def test_a_state_that_cannot_follow_changes_nothing_and_asks(world: Captures) -> None:
    order = sell(world)
    world.run()
    world.set_status(order, "REFUNDED")
    world.run()
    before = world.ct_order(order)
    world.set_status(order, "PAID")
    assert world.run() == CaptureCounts(review=1)
    assert world.kinds([order]) == [{"order_state"}]
    assert world.ct_order(order) == before


def test_lines_that_change_after_the_capture_are_told(world: Captures) -> None:
    order = sell(world)
    world.run()
    before = world.ct_order(order)
    world.set_lines(order, (COAT, 3))
    world.run()
    assert world.kinds([order]) == [{"order_state"}]
    assert world.ct_order(order) == before


def test_what_cloudshelf_was_told_comes_back_without_effect(world: Captures) -> None:
    """commercetools cancelled, Cloudshelf was told VOIDED: the poll sees our own word."""
    order = sell(world)
    world.run()
    world.store.order_news.about_to_tell(world.name, {order: OrderStatus.VOIDED})
    world.set_status(order, "VOIDED")
    before = world.ct_order(order)
    world.forget_requests()
    assert world.run() == CaptureCounts(settled=1)
    assert world.row(order).captured_status == "VOIDED"
    assert world.requests() == {}
    assert world.ct_order(order) == before


def test_an_order_that_somebody_deleted_is_told(world: Captures) -> None:
    order = sell(world)
    world.run()
    there = world.ct_order(order)
    shop(world.server).delete("orders", there["id"], there["version"])
    world.set_status(order, "REFUNDED")
    world.run()
    assert world.kinds([order]) == [{"order_conflict"}]
    assert world.row(order).captured_status == "PAID"


# The past


DAY = timedelta(days=1)


def backfill(world: Captures) -> OrderBackfill:
    return OrderBackfill(world.name, world.store, world.poller(), world.capture())


def test_what_was_sold_before_the_start_is_left_out_by_name(begin: Begin) -> None:
    now = datetime.now(UTC)
    world = begin(settings={"start": now})
    old, lately = sold_at(world, now - DAY), sell(world)
    world.run()
    assert (world.row(old).state, world.row(old).reason) == (CaptureState.EXCLUDED, BEFORE_START)
    assert world.row(lately).state is CaptureState.CAPTURED
    world.set_status(old, "REFUNDED")
    world.run()
    assert world.row(old).reason == BEFORE_START, "whoever took it then refunds it"


def test_what_is_paid_since_the_start_is_captured(begin: Begin) -> None:
    now = datetime.now(UTC)
    world = begin(settings={"start": now})
    order = sold_at(world, now - DAY, status="PLACED")
    world.run()
    assert world.row(order).reason == BEFORE_START
    world.set_status(order, "PAID")
    assert world.run().imported == 1


def sold_at(world: Captures, moment: datetime, status: str = "PAID") -> str:
    """An order of the past that Cloudshelf has not changed since."""
    given: Json = {
        "lines": [line(COAT, 1)],
        "status": status,
        "session": {"locationId": world.location("berlin"), **PAID_HERE},
        "at": moment.isoformat(),
    }
    return str(world.server.state.floor.change("kiosk-order", given)["id"])


def test_a_backfill_of_a_week_with_a_hole_captures_what_was_missed_and_nothing_else(world: Captures) -> None:
    """Both flows were down for two days; the polls of the days after never saw what was sold then."""
    now = datetime.now(UTC).replace(microsecond=0)
    monday = now - 8 * DAY
    days = [[sold_at(world, monday + n * DAY + timedelta(hours=h)) for h in (1, 2)] for n in range(7)]
    hole = [*days[2], *days[3]]
    baskets = [sold_at(world, monday + 2 * DAY + timedelta(hours=3), status="DRAFT_BASKET")]
    with hidden(world, [*hole, *baskets]):
        world.run()
    before = {one["orderNumber"]: one for one in world.ct_orders()}
    rows = {order: world.row(order) for day in days for order in day if order not in hole}
    marks = watermarks(world)
    assert len(before) == 10

    done = backfill(world).run(monday, monday + 7 * DAY)
    assert done == {
        "orders_read": 15,
        "orders_missed": 5,
        "orders_captured": 4,
        "orders_changed": 0,
        "orders_there_already": 10,
        "orders_review": 0,
        "orders_waiting": 0,
    }
    after = {one["orderNumber"]: one for one in world.ct_orders()}
    assert set(after) - set(before) == {f"CS-{ulid(order)}" for order in hole}
    assert {number: after[number] for number in before} == before, "what was there is as it was"
    assert {order: world.row(order) for order in rows} == rows
    assert watermarks(world) == marks
    again = backfill(world).run(monday, monday + 7 * DAY)
    assert (again["orders_missed"], again["orders_captured"], again["orders_there_already"]) == (0, 0, 14)


def test_a_backfill_takes_what_was_sold_before_the_start_and_only_its_window(begin: Begin) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    world = begin(settings={"start": now})
    wanted, other = sold_at(world, now - 2 * DAY), sold_at(world, now - 5 * DAY)
    world.run()
    assert backfill(world).run(now - 3 * DAY, now - DAY)["orders_captured"] == 1
    assert world.row(wanted).state is CaptureState.CAPTURED
    assert world.row(other).reason == BEFORE_START
    assert world.run() == CaptureCounts()


@contextmanager
def hidden(world: Captures, orders: list[str]) -> Iterator[None]:
    """Cloudshelf does not show orders for a while."""
    entities = world.state.entities["Order"]
    with world.state.lock:
        found = {id_: entities.pop(id_) for id_ in orders}
        world.state.revision["Order"] += 1
    yield
    with world.state.lock:
        entities.update(found)
        world.state.revision["Order"] += 1


def watermarks(world: Captures) -> dict[str, datetime | None]:
    names = ("kiosk_orders", "kiosk_orders_thorough", "kiosk_orders_start")
    return {name: world.store.watermarks.get(world.name, name) for name in names}
