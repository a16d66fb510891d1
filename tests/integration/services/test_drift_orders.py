"""Injected differences of orders are found with their cause, and nothing is found where an order is on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.clients.helpers import kiosk, shop
from tests.support.captures import Captures, coats
from tests.support.drift import Nights
from tests.support.kiosks import Json, ulid

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.drift.model import Cause, Finding
from cogent_ops.domain.exceptions import Action, Status
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.drift.comparison import MoneyLine
from cogent_ops.services.drift.money import MoneyComparison
from cogent_ops.services.drift.orders import OrderComparison
from cogent_ops.services.orders.tell import OrderTelling
from cogent_ops.store import Store
from cogent_ops.store.schema import kiosk_order, order_capture

Begin = Callable[..., Captures]
COAT, OTHER = "coat-s", "coat-m"
PAID_HERE = {"paymentAttemptId": "attempt-1", "paymentMethod": "STRIPE"}
LATER = {"hours": 2}


@pytest.fixture
def begin(store: Store) -> Iterator[Begin]:
    with ExitStack() as stack:

        def made(**named: Any) -> Captures:
            world = Captures(stack.enter_context(SandboxServer(coats())), store, **named)
            world.begin()
            return world

        yield made
        close_sessions()


class Night:
    """Compares a world of orders."""

    def __init__(self, world: Captures, folder: Path) -> None:
        self.world, self.folder, self.taken = world, folder, 0

    def nights(self, **later: float) -> Nights:
        self.taken += 1
        world = self.world
        return Nights(
            world.server, world.store, world.config, self.folder / str(self.taken), timedelta(**later)
        )

    def found(self, **later: float) -> dict[str, Finding]:
        return self.nights(**(later or LATER)).found(OrderComparison)

    def causes(self, **later: float) -> dict[str, Cause]:
        return {subject: one.cause for subject, one in self.found(**later).items()}

    def explained(self, **later: float) -> Json:
        compared = self.nights(**(later or LATER)).compare(OrderComparison)
        assert [one.message for one in compared.findings] == []
        return {name: n for name, n in compared.counts.items() if name != "orders"}


@pytest.fixture
def world(begin: Begin) -> Captures:
    return begin()


@pytest.fixture
def night(world: Captures, tmp_path: Path) -> Night:
    return Night(world, tmp_path)


def sell(world: Captures, *lines: tuple[str, int], **more: Any) -> str:
    """An order that was paid on the kiosk."""
    return world.sell(*(lines or ((COAT, 1),)), **{**PAID_HERE, **more})


def tell(world: Captures) -> None:
    OrderTelling(world.config, world.store, kiosk(world.server)).round(world.now)


def captured(world: Captures, number: int = 1, **more: Any) -> list[str]:
    """Orders that are captured, and Cloudshelf was told."""
    orders = [sell(world, **more) for _ in range(number)]
    world.run()
    tell(world)
    world.poll()
    world.finish()
    return orders


def change(world: Captures, order: str, **fields: Any) -> None:
    world.server.state.floor.change("order-change", {"order": name(order), **fields})


def rewrite(world: Captures, resource: str, id_: str, minutes: float = 0, **fields: Any) -> None:
    """Somebody changes a resource as no API does, so many minutes from now."""
    state = world.server.state.commercetools
    with state.lock:
        found = state[resource].get(id_)
        assert found is not None
        changed = state.replace(resource, found, {**found, **fields})
        changed["lastModifiedAt"] = (world.now + timedelta(minutes=minutes)).isoformat()


def name(order: str) -> str:
    return f"CS-{ulid(order)}"


# Nothing is invented


def test_nothing_is_found_where_nothing_is_wrong(world: Captures, night: Night) -> None:
    orders = captured(world, 3)
    void, back, part = captured(world, 3)
    world.set_status(void, "VOIDED")
    world.set_status(back, "REFUNDED")
    world.set_status(part, "PARTIALLY_REFUNDED")
    world.run()
    world.decide(part, refund_amount="3.00")
    world.finish()
    tell(world)
    world.poll()
    assert world.kinds([*orders, void, back, part]) == [set()] * 5 + [{"refund_quantity"}]
    for later in ({}, LATER, {"hours": 24}):
        assert night.nights(**later).compare(OrderComparison).counts == {"orders": 6}
        assert night.explained(**later) == {}


def test_orders_that_wait_are_in_review_or_no_orders_are_explained(world: Captures, night: Night) -> None:
    sell(world, status="DRAFT_BASKET")
    sell(world, visibilityType="CLOUDSHELF_INTERNAL")
    sell(world, ("unknown", 1))
    world.sell((COAT, 1), status="PLACED")
    world.run()
    sell(world)
    assert night.explained(minutes=0) == {
        "excluded_by_name": 2,
        "in_review": 1,
        "on_its_way": 1,
        "changed_a_moment_ago": 1,
    }


def test_what_the_web_shop_sells_is_its_own_affair(world: Captures, night: Night) -> None:
    captured(world)
    lines = [{"sku": COAT, "quantity": 1, "centAmount": 900}]
    floor = world.server.state.floor
    floor.change(
        "online-order", {"orderNumber": "WEB-1", "currency": "EUR", "lines": lines, "inventoryMode": "None"}
    )
    basket = world.sell((COAT, 1), status="DRAFT_BASKET")
    floor.change("basket-purchase", {"order": basket, "orderNumber": "WEB-2"})
    assert night.explained(minutes=0) == {"changed_a_moment_ago": 1}
    world.run()
    tell(world)
    world.poll()
    assert world.row(basket).origin == "shop"
    assert night.explained() == {}


def test_what_a_person_left_out_is_explained(world: Captures, night: Night) -> None:
    captured(world)
    order = sell(world, ("unknown", 1))
    world.run()
    assert night.explained() == {"in_review": 1}
    world.leave_out(order, "a test of the till")
    assert night.explained() == {"excluded_by_name": 1}


def test_what_a_person_has_decided_to_leave_so_is_not_found_every_night(
    world: Captures, night: Night
) -> None:
    (order,) = captured(world)
    world.set_status(order, "REFUNDED")
    world.run()
    world.set_status(order, "PAID")
    world.run()
    (waiting,) = world.store.exceptions.open(world.name)
    assert (waiting.kind, night.explained()) == ("order_state", {"in_review": 1})
    with world.store.begin() as conn:
        world.store.exceptions.decide(
            conn, world.name, waiting.id, Action.EXPECTED, Status.EXPECTED, actor="ann", detail={}
        )
    assert night.explained() == {"in_review": 1}


def test_a_change_on_its_way_is_no_drift(world: Captures, night: Night) -> None:
    one, two, three = captured(world, 3)
    world.set_status(one, "REFUNDED")  # not polled yet
    world.set_status(two, "REFUNDED")
    change(world, three, orderState="Cancelled")
    assert night.explained(minutes=0) == {"changed_a_moment_ago": 2, "on_its_way": 1}
    world.poll()
    assert night.explained(minutes=0) == {"on_its_way": 3}
    assert set(night.causes().values()) == {Cause.LATE}


def test_nothing_is_invented_while_kiosks_sell(world: Captures, night: Night) -> None:
    """Orders are placed, captured, refunded, cancelled and told of while nights are taken; none is behind."""
    ended, failed = threading.Event(), list[BaseException]()

    def sell_on() -> None:
        try:
            for number in count():
                if ended.is_set():
                    return
                order = captured(world, store=("berlin", "hamburg")[number % 2])[0]
                if number % 3 == 1:
                    world.set_status(order, "REFUNDED")
                elif number % 3 == 2:
                    change(world, order, orderState="Cancelled")
        except BaseException as error:
            failed.append(error)
            raise

    kiosks = threading.Thread(target=sell_on)
    kiosks.start()
    try:
        while len(world.ct_orders()) < 12 and not failed:
            for kind in (OrderComparison, MoneyComparison):
                found = night.nights(seconds=0).compare(kind).findings
                assert [(one.cause, one.message) for one in found] == []
    finally:
        ended.set()
        kiosks.join()
    assert not failed


def test_a_link_that_captures_no_orders_lacks_none(world: Captures, night: Night) -> None:
    sell(world)
    for _ in range(2):
        for kind in (OrderComparison, MoneyComparison):
            compared = night.nights(hours=20).compare(kind)
            assert (compared.checked, list(compared.findings)) == (0, [])
        world.poll()


# What is wrong is found


def test_an_order_that_no_poll_read_is_lost(world: Captures, night: Night) -> None:
    captured(world)
    order = sell(world, (COAT, 2))
    assert night.explained(minutes=59) == {"changed_a_moment_ago": 1}
    (found,) = night.found().values()
    assert (found.cause, found.units, found.amount, found.currency) == (Cause.LOST, -1, -1900, "EUR")
    assert found.subject == f"{order} · order"
    world.run()
    assert night.found() == {}


def test_an_order_that_nobody_looks_at_any_more_is_late(world: Captures, night: Night) -> None:
    captured(world)
    order = sell(world)
    world.poll()
    assert night.explained(minutes=30) == {"on_its_way": 1}
    (found,) = night.found(minutes=75).values()
    assert (found.cause, found.subject) == (Cause.LATE, f"{name(order)} · order")


def test_an_order_deleted_in_commercetools_is_lost(world: Captures, night: Night) -> None:
    order, _ = captured(world, 2)
    with world.server.state.commercetools.lock:
        world.server.state.commercetools["orders"].remove(world.ct_order(order)["id"])
    (found,) = night.found().values()
    assert (found.cause, found.subject, found.amount) == (Cause.LOST, f"{name(order)} · order", -950)
    assert "personal" not in found.message


def test_an_order_of_ours_that_nobody_knows_is_orphaned(world: Captures, night: Night) -> None:
    captured(world)
    draft = {"orderNumber": "CS-01STRANGER", "totalPrice": {"currencyCode": "EUR", "centAmount": 700}}
    line = {"name": {"de": "X"}, "slug": "x", "quantity": 1, "money": draft["totalPrice"]}
    shop(world.server).create("orders/import", {**draft, "customLineItems": [line]})
    assert night.explained(seconds=0) == {"changed_a_moment_ago": 1}
    (found,) = night.found().values()
    assert (found.cause, found.subject) == (Cause.ORPHANED, "CS-01STRANGER · order")
    assert (found.units, found.amount, found.currency) == (1, 700, "EUR")


def test_orders_of_a_link_that_shares_the_project_are_its_own_affair(world: Captures, night: Night) -> None:
    _, other = captured(world, 2)
    with world.store.begin() as conn:
        for table in (kiosk_order, order_capture):
            conn.execute(sa.update(table).where(table.c.order_id == other).values(link="austria"))
    kiosks = world.server.state.cloudshelf
    with kiosks.lock:
        # It was never in this link's organisation.
        del kiosks.entities["Order"][other]
        kiosks.revision["Order"] += 1
    alone = night.nights(**LATER)
    assert {one.cause for one in alone.found(OrderComparison).values()} == {Cause.ORPHANED}
    beside = night.nights(**LATER)
    beside.siblings = ("austria",)
    compared = beside.compare(OrderComparison)
    assert (list(compared.findings), compared.checked) == ([], 1)


def test_a_kiosk_order_that_is_there_twice_is_duplicated(world: Captures, night: Night) -> None:
    (order,) = captured(world)
    once = world.ct_order(order)
    again = {
        "orderNumber": f"{name(order)}-2",
        "totalPrice": {"currencyCode": "EUR", "centAmount": 950},
        "lineItems": [
            {
                "name": {"de": "Coat"},
                "variant": {"sku": COAT},
                "quantity": 1,
                "price": {"value": {"currencyCode": "EUR", "centAmount": 950}},
            }
        ],
        "custom": {
            "type": {"typeId": "type", "key": "cogent-ops-order"},
            "fields": {"CS_OrderId": once["custom"]["fields"]["CS_OrderId"]},
        },
    }
    shop(world.server).create("orders/import", again)
    (found,) = night.found().values()
    assert (found.cause, found.subject) == (Cause.DUPLICATED, f"{name(order)}-2 · order")
    assert any(fact.value == name(order) for fact in found.evidence)


def test_another_total_is_an_edit_with_the_amount(world: Captures, night: Night) -> None:
    (order,) = captured(world)
    less = {**world.ct_order(order)["totalPrice"], "centAmount": 800}
    rewrite(world, "orders", world.ct_order(order)["id"], 10, totalPrice=less)
    assert night.explained(minutes=10) == {"changed_a_moment_ago": 1}
    (finding,) = night.found().values()
    assert (finding.cause, finding.subject) == (Cause.MANUAL_EDIT, f"{name(order)} · total")
    assert (finding.amount, finding.currency, finding.place) == (-150, "EUR", "Berlin")


def test_a_state_that_was_brought_about_and_is_gone_is_lost(world: Captures, night: Night) -> None:
    (order,) = captured(world)
    world.set_status(order, "VOIDED")
    world.run()
    assert night.explained() == {}
    change(world, order, orderState="Confirmed")
    (found,) = night.found().values()
    assert (found.cause, found.subject) == (Cause.LOST, f"{name(order)} · state")


def test_a_change_in_commercetools_that_cloudshelf_never_heard_of_is_late(
    world: Captures, night: Night
) -> None:
    (order,) = captured(world)
    change(world, order, orderState="Cancelled")
    assert night.explained(minutes=0) == {"on_its_way": 1}
    (found,) = night.found().values()
    assert (found.cause, found.subject) == (Cause.LATE, f"{name(order)} · state")


def test_an_old_order_that_changes_is_compared_too(world: Captures, night: Night) -> None:
    (order,) = captured(world)
    long_ago = {"ordered_at": world.now - timedelta(days=30), "changed_at": world.now - timedelta(days=30)}
    with world.store.begin() as conn:
        conn.execute(sa.update(order_capture).values(long_ago))
    change(world, order, orderState="Cancelled")
    assert night.causes() == {f"{name(order)} · state": Cause.LATE}


def test_no_personal_data_is_kept(world: Captures, night: Night) -> None:
    email = {"customAttributes": [{"key": "CS_EMAIL", "value": "ada@example.com"}]}
    session = {"locationId": world.location("berlin"), "salesAssistantName": "Grace Hopper"}
    world.raw_order([{"quantity": 1, "price": 1.0, **email}], "PAID", session)
    sell(world)
    world.run()
    nights = night.nights(**LATER)
    nights.compare(OrderComparison)
    written = b"".join(path.read_bytes() for path in nights.folder.rglob("*.parquet"))
    kept = str(nights.archive.night("2026-11-01").read("orders").to_pylist())
    for secret in ("ada@example.com", "Grace"):
        assert secret not in kept
        assert secret.encode() not in written
    with world.store.read() as conn:
        assert len(conn.execute(sa.select(kiosk_order)).all()) == 2


# Money


def money(night: Night, **later: float) -> tuple[list[Finding], list[MoneyLine]]:
    compared = night.nights(**(later or LATER)).compare(MoneyComparison)
    return list(compared.findings), list(compared.figures)


def day(world: Captures) -> str:
    return f"{world.now:%Y-%m-%d}"


def test_takings_agree_by_day_store_and_currency(world: Captures, night: Night) -> None:
    captured(world, 2)
    captured(world, store="hamburg")
    (void,) = captured(world)
    world.set_status(void, "VOIDED")
    world.run()
    found, lines = money(night)
    assert found == []
    assert lines == [
        MoneyLine(day(world), "Berlin", "EUR", 2850, 2850, 2850, 950),
        MoneyLine(day(world), "Hamburg", "EUR", 950, 950, 950, 0),
    ]


def test_money_that_differs_is_named_by_order_and_added_up(world: Captures, night: Night) -> None:
    gone, unpaid, twice = captured(world, 3)
    state = world.server.state.commercetools
    charge = {"type": "Charge", "state": "Success", "amount": {"currencyCode": "EUR", "centAmount": 950}}
    client = shop(world.server)
    payment = world.payment(twice)
    client.update(
        "payments", payment["id"], payment["version"], [{"action": "addTransaction", "transaction": charge}]
    )
    with state.lock:
        state["orders"].remove(world.ct_order(gone)["id"])
    rewrite(world, "payments", world.payment(unpaid)["id"], transactions=[])
    where = f"{day(world)} Berlin EUR"
    early, _ = money(night, minutes=30)
    assert [one.subject for one in early] == [f"{where} · total"]
    found, (line,) = money(night)
    assert {(one.subject, one.cause): (one.units, one.amount) for one in found} == {
        (f"{where} · total", Cause.LOST): (1, -950),
        (f"{where} · payment", Cause.LOST): (1, -950),
        (f"{where} · payment", Cause.DUPLICATED): (1, 950),
    }
    assert {one.cause: one.evidence[0].what for one in found if one.subject.endswith("payment")} == {
        Cause.LOST: name(unpaid),
        Cause.DUPLICATED: name(twice),
    }
    assert line == MoneyLine(day(world), "Berlin", "EUR", 2850, 1900, 1900, 0)
    assert all(one.owner == "finance" and one.currency == "EUR" for one in found)


def test_an_order_that_nobody_knows_is_money_that_nobody_knows(world: Captures, night: Night) -> None:
    captured(world)
    draft = {"orderNumber": "CS-01STRANGER", "totalPrice": {"currencyCode": "EUR", "centAmount": 700}}
    line = {"name": {"de": "X"}, "slug": "x", "quantity": 1, "money": draft["totalPrice"]}
    shop(world.server).create("orders/import", {**draft, "customLineItems": [line]})
    (found,), lines = money(night)
    assert (found.cause, found.subject, found.amount) == (Cause.ORPHANED, f"{day(world)}  EUR · total", 700)
    assert lines == [
        MoneyLine(day(world), "", "EUR", 0, 700, 0, 0),
        MoneyLine(day(world), "Berlin", "EUR", 950, 950, 950, 0),
    ]
