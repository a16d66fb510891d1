"""The poll of kiosk orders: every sale once, whatever order, time or shape it comes in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.clients.helpers import QUICK
from tests.support.databases import Databases
from tests.support.dying import Boundaries, Crash
from tests.support.histories import histories
from tests.support.kiosks import SKUS, STORES, Kiosks, line, ulid

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.identifiers import location_gid, variant_gid
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.domain.stock import Place
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.stock import orders as module
from cogent_ops.store import Store, open_store

Begin = Callable[..., Kiosks]
COAT, OTHER, ODD = SKUS
BERLIN, HAMBURG = STORES


@pytest.fixture
def begin(store: Store) -> Iterator[Begin]:
    """Starts a sandbox with kiosks: ``begin(faults, kiosk=…, settings=…)``."""
    with ExitStack() as stack:

        def made(*args: Any, settings: dict[str, Any] | None = None, **named: Any) -> Kiosks:
            data = generate(seed=1, products=0, now=datetime(2026, 11, 20, tzinfo=UTC))
            server = stack.enter_context(SandboxServer(data, *args, **named))
            kiosks = Kiosks(server, store, settings=settings or {})
            kiosks.install()
            return kiosks

        yield made
        close_sessions()


@pytest.fixture
def kiosks(begin: Begin) -> Kiosks:
    return begin()


def test_a_sale_becomes_a_movement_once(kiosks: Kiosks) -> None:
    order = kiosks.sell((COAT, 2), (OTHER, 1), (COAT, 1), (ODD, 4))
    counts = kiosks.poll()
    assert (counts.changed, counts.movements, counts.review) == (1, 3, 0)
    expected = {
        (ulid(order), Place(COAT, BERLIN)): -3,
        (ulid(order), Place(OTHER, BERLIN)): -1,
        (ulid(order), Place(ODD, BERLIN)): -4,
    }
    assert kiosks.moved("waiting") == kiosks.effects() == expected
    assert kiosks.poll().changed == 0
    assert kiosks.moved() == expected
    (first, *_) = kiosks.movements()
    assert first.source_id == f"{order}/{first.sku}@{BERLIN}/1"
    stored = kiosks.orders()[order]
    assert (stored.status, stored.recheck) == ("PAID", False)
    assert first.occurred_at == stored.modified_at


@pytest.mark.parametrize("end", ["VOIDED", "REFUNDED"])
def test_what_was_taken_is_given_back_exactly(kiosks: Kiosks, end: str) -> None:
    order = kiosks.sell((COAT, 2), status="PLACED")
    kiosks.poll()
    kiosks.set_status(order, "PAID")
    assert kiosks.poll().movements == 0
    kiosks.set_status(order, end)
    assert kiosks.poll().movements == 1
    assert kiosks.moved() == kiosks.effects() == {}
    assert [one.delta for one in kiosks.movements()] == [-2, 2]
    kiosks.set_status(order, "PAID")  # a mistake, and back again
    kiosks.poll()
    assert kiosks.moved() == {(ulid(order), Place(COAT, BERLIN)): -2}


def test_an_order_that_was_void_before_anybody_saw_it_moves_nothing(kiosks: Kiosks) -> None:
    kiosks.set_status(kiosks.sell((COAT, 2)), "VOIDED")
    assert kiosks.poll().movements == 0


def test_changed_lines_move_the_difference(kiosks: Kiosks) -> None:
    order = kiosks.sell((COAT, 2), (OTHER, 1))
    kiosks.poll()
    kiosks.set_lines(order, (COAT, 5))
    kiosks.poll()
    assert kiosks.moved() == {(ulid(order), Place(COAT, BERLIN)): -5}


def test_drafts_and_sessions_of_cloudshelf_itself_are_no_sales(kiosks: Kiosks) -> None:
    draft = kiosks.sell((COAT, 2), status="DRAFT_BASKET")
    kiosks.sell((COAT, 3), visibilityType="CLOUDSHELF_INTERNAL")
    counts = kiosks.poll()
    assert (counts.drafts, counts.internal, counts.movements) == (1, 1, 0)
    assert len(kiosks.orders()) == 2
    kiosks.set_status(draft, "PLACED")
    kiosks.poll()
    assert kiosks.moved() == {(ulid(draft), Place(COAT, BERLIN)): -2}


def test_which_states_deduct_is_a_setting(begin: Begin) -> None:
    kiosks = begin(settings={"deduct": (OrderStatus.PAID,)})
    order = kiosks.sell((COAT, 2), status="PLACED")
    assert kiosks.poll().movements == 0
    kiosks.set_status(order, "PAID")
    kiosks.poll()
    assert kiosks.moved() == {(ulid(order), Place(COAT, BERLIN)): -2}


def test_a_partial_refund_waits_for_somebody_who_knows_the_quantities(kiosks: Kiosks) -> None:
    order = kiosks.sell((COAT, 2), (OTHER, 1))
    kiosks.poll()
    before = kiosks.moved()
    kiosks.set_status(order, "PARTIALLY_REFUNDED")
    kiosks.poll()
    assert kiosks.moved() == before
    (found,) = kiosks.exceptions().values()
    assert found.kind == "refund_quantity"
    assert ulid(order) in found.message
    assert f"2 of {COAT}, 1 of {OTHER}" in found.message
    assert found.payload["lines"][0] == {"line": 1, "sku": COAT, "quantity": 2}
    kiosks.set_status(order, "REFUNDED")
    kiosks.poll()
    assert kiosks.exceptions() == {}
    assert kiosks.moved() == {}


def test_a_partial_refund_that_is_the_first_news_of_an_order_counts_as_sold(kiosks: Kiosks) -> None:
    order = kiosks.sell((COAT, 2), status="PARTIALLY_REFUNDED")
    kiosks.poll()
    assert kiosks.moved() == {(ulid(order), Place(COAT, BERLIN)): -2}


def test_an_older_state_never_undoes_a_newer_one(kiosks: Kiosks) -> None:
    order = kiosks.sell((COAT, 2), status="PAID")
    old = dict(kiosks.state.get("Order", order))
    time.sleep(0.01)
    kiosks.set_status(order, "VOIDED")
    new = dict(kiosks.state.get("Order", order))
    kiosks.poll()
    kiosks.change(order, **{name: old[name] for name in ("status", "updatedAt")})
    assert kiosks.poll().changed == 0
    assert kiosks.moved() == {}
    kiosks.change(order, **{name: new[name] for name in ("status", "updatedAt")})
    assert kiosks.poll().changed == 0


def test_a_change_within_the_same_second_is_seen(kiosks: Kiosks) -> None:
    order = kiosks.sell((COAT, 2))
    kiosks.change(order, updatedAt="2026-11-24T10:00:00Z")
    kiosks.poll()
    kiosks.change(order, status="VOIDED")
    kiosks.poll()
    assert kiosks.moved() == {}


# Bad records


@pytest.mark.parametrize("quantity", [0, -3])
def test_a_bad_quantity_is_told_while_the_other_lines_go_on(kiosks: Kiosks, quantity: int) -> None:
    order = kiosks.sell((COAT, quantity), (OTHER, 1))
    counts = kiosks.poll()
    assert (counts.movements, counts.unreadable) == (1, 1)
    (found,) = kiosks.exceptions().values()
    assert (found.kind, found.field, found.record) == ("bad_movement", "lines[1].quantity", ulid(order))
    kiosks.set_lines(order, (COAT, 2), (OTHER, 1))
    kiosks.poll()
    assert kiosks.exceptions() == {}
    assert kiosks.moved()[ulid(order), Place(COAT, BERLIN)] == -2


def test_a_line_that_breaks_later_gives_nothing_back(kiosks: Kiosks) -> None:
    order = kiosks.sell((COAT, 2), (OTHER, 1))
    kiosks.poll()
    before = kiosks.moved()
    kiosks.set_lines(order, (COAT, 0), (OTHER, 1))
    kiosks.poll()
    assert kiosks.moved() == before
    kiosks.set_status(order, "VOIDED")
    kiosks.poll()
    assert kiosks.moved() == {}
    assert kiosks.exceptions() == {}


def test_shipping_lines_move_nothing(kiosks: Kiosks) -> None:
    shipping = {"quantity": 1, "price": 4.9}
    kiosks.raw_order([shipping, line(COAT, 1)], session={"locationId": kiosks.location(BERLIN)})
    kiosks.poll()
    assert [one.sku for one in kiosks.movements()] == [COAT]
    assert kiosks.exceptions() == {}


def test_an_order_that_cannot_be_read_is_told_once_and_holds_nothing_up(kiosks: Kiosks) -> None:
    broken, fine = kiosks.sell((COAT, 1)), kiosks.sell((OTHER, 1))
    kiosks.change(broken, createdAt="2026-11-24")  # no zone
    poller = kiosks.poller()
    assert poller.run(kiosks.now).unreadable == 1
    assert poller.run(kiosks.now).unreadable == 0
    assert list(kiosks.moved()) == [(ulid(fine), Place(OTHER, BERLIN))]
    (found,) = kiosks.exceptions().values()
    assert (found.kind, found.field, found.count) == ("order_unreadable", "createdAt", 1)
    kiosks.change(broken, createdAt="2026-11-24T10:00:00Z")
    kiosks.poll()
    assert kiosks.exceptions() == {}
    assert len(kiosks.moved()) == 2


def test_nothing_about_a_customer_is_stored(kiosks: Kiosks) -> None:
    attributes = [{"key": "CS_EMAIL", "value": "anna@example.com"}, {"key": "Note", "value": "Ring twice"}]
    kiosks.raw_order([{**line(COAT, 1), "customAttributes": attributes}], session={"locationId": BERLIN})
    kiosks.poll()
    (stored,) = kiosks.orders().values()
    text = json.dumps(stored.content)
    assert "anna" not in text
    assert "Ring" not in text


# Identifiers


@pytest.mark.parametrize("form", ["gid", "ulid", "lower", "external", "key"])
def test_every_form_of_a_location_is_understood(kiosks: Kiosks, form: str) -> None:
    gid = kiosks.location(HAMBURG)
    forms = {
        "gid": gid,
        "ulid": ulid(gid),
        "lower": ulid(gid).lower(),
        "external": location_gid(HAMBURG),
        "key": HAMBURG,
    }
    kiosks.raw_order([line(COAT, 1)], session={"locationId": forms[form]})
    kiosks.poll()
    assert [one.channel for one in kiosks.movements()] == [HAMBURG]


def test_sessions_with_bare_ids_are_understood(begin: Begin) -> None:
    kiosks = begin(kiosk=KioskBehaviour(session_ids="ulid"))
    kiosks.sell((COAT, 1), store=HAMBURG)
    kiosks.poll()
    assert [one.channel for one in kiosks.movements()] == [HAMBURG]


def test_an_unknown_location_waits_and_goes_on_by_itself(kiosks: Kiosks) -> None:
    gid = kiosks.add_location("gid://external/ShopifyLocation/7", displayName="Foreign")
    orders = [
        kiosks.raw_order([line(COAT, 2)], session={"locationId": gid, "locationName": "Foreign"})
        for _ in range(3)
    ]
    counts = kiosks.poll()
    assert (counts.movements, counts.review) == (3, 3)
    assert {one.state for one in kiosks.movements()} == {"review"}
    (found,) = kiosks.exceptions().values()
    assert (found.kind, found.cause_key) == ("unknown_identifier", f"location/{gid}")
    assert "gid://external/ShopifyLocation/7" in found.message
    assert all(ulid(order) in found.message for order in orders)
    assert kiosks.poll().released == 0
    assert len(kiosks.exceptions()) == 1

    with kiosks.state.lock:  # somebody makes it the location of a Channel
        known = kiosks.state.get("Location", gid)
        known["platformProvidedId"] = location_gid("munich")
        kiosks.state.revision["Location"] += 1
    assert kiosks.poll().released == 3
    assert kiosks.exceptions() == {}
    expected = {(ulid(order), Place(COAT, "munich")): -2 for order in orders}
    assert kiosks.moved("waiting") == kiosks.effects() == expected

    kiosks.set_status(orders[0], "VOIDED")
    kiosks.poll()
    assert (ulid(orders[0]), Place(COAT, "munich")) not in kiosks.moved()
    assert len(kiosks.moved()) == 2


def test_an_order_without_location_waits_until_a_setting_says_whose_stock_it_takes(begin: Begin) -> None:
    kiosks = begin()
    order = kiosks.sell((COAT, 1), store=None)
    lonely = kiosks.raw_order([line(COAT, 1)], session=None)
    kiosks.poll()
    (found,) = kiosks.exceptions().values()
    assert "no location" in found.message
    assert ulid(order) in found.message
    assert ulid(lonely) in found.message
    settled = Kiosks(kiosks.server, kiosks.store, settings={"take_from": "central"})
    assert settled.poll().released == 2
    assert settled.exceptions() == {}
    assert settled.moved("waiting") == {(ulid(one), Place(COAT, "central")): -1 for one in (order, lonely)}


def test_an_order_stays_where_its_units_were_taken(begin: Begin) -> None:
    kiosks = begin()
    order = kiosks.sell((COAT, 2), status="PLACED")
    kiosks.poll()
    central = Kiosks(kiosks.server, kiosks.store, settings={"take_from": "central"})
    central.set_status(order, "PAID")
    assert central.poll().movements == 0
    central.set_status(order, "VOIDED")
    central.poll()
    assert central.moved() == {}
    assert {one.channel for one in central.movements()} == {BERLIN}
    central.sell((COAT, 1))
    central.poll()
    assert central.movements()[-1].channel == "central"


def test_an_unknown_variant_waits_and_goes_on_by_itself(kiosks: Kiosks) -> None:
    with kiosks.state.lock:
        variant = kiosks.state.get("ProductVariant", variant_gid(COAT))
        variant["platformProvidedId"] = foreign = "gid://external/ShopifyProductVariant/9"
        kiosks.state.external["ProductVariant"][foreign] = variant["id"]
    strange = [
        kiosks.raw_order(
            [{**line(COAT, 2), "productVariantID": foreign}, line(OTHER, 1)],
            session={"locationId": kiosks.location(BERLIN)},
        )
        for _ in range(2)
    ]
    asked: list[tuple[str, str]] = []

    def identify(what: str, value: str) -> str:
        asked.append((what, value))
        return "It is a Shopify id."

    counts = kiosks.poll(identify=identify)
    assert (counts.movements, counts.review) == (4, 2)
    (found,) = kiosks.exceptions().values()
    assert found.cause_key == f"variant/{foreign}"
    assert found.message.endswith("It is a Shopify id.")
    assert asked == [("variant", foreign)]
    assert all(order.recheck for order in kiosks.orders().values())

    with kiosks.state.lock:  # Cloudshelf has learnt whose it is
        for order in strange:
            for one in kiosks.state.get("Order", order)["lines"]:
                if one["platformProvidedProductVariantId"] == foreign:
                    one["platformProvidedProductVariantId"] = variant_gid(COAT)
    assert kiosks.poll().released == 2
    assert kiosks.exceptions() == {}
    assert kiosks.moved("waiting") == kiosks.effects()
    assert kiosks.moved("waiting")[ulid(strange[0]), Place(COAT, BERLIN)] == -2
    kiosks.poll()
    assert not any(order.recheck for order in kiosks.orders().values())


# The start


def test_what_was_sold_before_the_start_is_not_taken_again(begin: Begin) -> None:
    kiosks = begin(settings={"start": None})
    old = kiosks.sell((COAT, 2))
    bad = kiosks.sell((COAT, 0), (OTHER, 1), store=None, status="PARTIALLY_REFUNDED")
    kiosks.ahead = timedelta(seconds=1)
    counts = kiosks.poll()
    assert (counts.movements, counts.excluded) == (2, 2)
    assert {one.state for one in kiosks.movements()} == {"excluded"}
    assert {one.reason for one in kiosks.movements()} == {module.BEFORE_START}
    assert kiosks.exceptions() == {}, f"{bad} is history"
    kiosks.server.state.cloudshelf.clock.advance(60)
    kiosks.ahead = timedelta(seconds=60)
    new = kiosks.sell((COAT, 1))
    kiosks.set_status(old, "VOIDED")
    kiosks.poll()
    assert kiosks.moved("waiting") == {
        (ulid(old), Place(COAT, BERLIN)): 2,
        (ulid(new), Place(COAT, BERLIN)): -1,
    }


# How far back


def test_a_poll_reads_no_further_back_than_it_must(begin: Begin) -> None:
    kiosks = begin(settings={"overlap_seconds": 60})
    for _ in range(20):
        kiosks.sell((COAT, 1))
    kiosks.poll()
    kiosks.state.clock.advance(600)
    kiosks.ahead = timedelta(seconds=600)
    kiosks.sell((COAT, 1))
    kiosks.poll()
    poller = kiosks.poller()
    assert poller.run(kiosks.now).read == 4, "one page"
    assert poller.run(kiosks.now).read == 4
    assert len(kiosks.moved()) == 21


def test_a_busy_hour_is_looked_through_a_few_pages_at_a_time(begin: Begin) -> None:
    kiosks = begin(settings={"overlap_seconds": 3600})
    for _ in range(60):
        kiosks.sell((COAT, 1))
    kiosks.poll()
    kiosks.state.clock.advance(60)
    kiosks.ahead = timedelta(seconds=60)
    kiosks.sell((COAT, 1))
    late = kiosks.sell((OTHER, 1))  # becomes visible a minute after its time
    kiosks.poll()
    hidden = next(iter(kiosks.orders()))
    assert hidden
    kiosks.change(late, updatedAt=kiosks.state.get("Order", hidden)["updatedAt"], status="VOIDED")
    poller = kiosks.poller()
    reads = [poller.run(kiosks.now).read for _ in range(8)]
    assert max(reads) <= 4 * (module.PAGES_AT_ONCE + 1)
    assert sum(reads) > 60
    assert kiosks.store.watermarks.get(kiosks.name, module.THOROUGH_FLOW) == kiosks.store.watermarks.get(
        kiosks.name, module.QUICK_FLOW
    )


def test_an_order_that_becomes_visible_late_is_found(begin: Begin) -> None:
    kiosks = begin(settings={"overlap_seconds": 120})
    for _ in range(12):
        kiosks.sell((COAT, 1))
    kiosks.poll()
    kiosks.state.clock.advance(90)
    kiosks.ahead = timedelta(seconds=90)
    for _ in range(12):
        kiosks.sell((OTHER, 1))
    kiosks.poll()
    late = kiosks.sell((ODD, 1))
    stamp = kiosks.state.clock.now() - timedelta(seconds=60)
    kiosks.change(late, updatedAt=stamp.isoformat().replace("+00:00", "Z"))
    poller = kiosks.poller()
    for _ in range(4):
        poller.run(kiosks.now)
    assert kiosks.moved()[ulid(late), Place(ODD, BERLIN)] == -1


def test_a_change_in_the_future_does_not_hide_what_comes_before_it(kiosks: Kiosks) -> None:
    odd = kiosks.sell((ODD, 1))
    kiosks.change(odd, updatedAt="2099-01-01T00:00:00Z")
    kiosks.poll()
    for _ in range(9):
        kiosks.sell((COAT, 1))
    kiosks.poll()
    assert len(kiosks.moved()) == 10


def test_orders_that_change_while_they_are_paged_are_not_lost(begin: Begin) -> None:
    moves: list[Callable[[], None]] = []

    def observer(exchange: Any) -> None:
        if exchange.api == "cloudshelf" and b'"Orders"' in exchange.request and moves:
            moves.pop(0)()

    kiosks = begin(observer=observer)
    ids = [kiosks.sell((COAT, 1)) for _ in range(20)]
    # After each page some order from the far end moves to the front, past the reader.
    moves += [partial(kiosks.set_status, order, "VOIDED") for order in ids[:4]]
    kiosks.poll()
    assert moves == []
    kiosks.poll()
    assert kiosks.moved() == kiosks.effects() == {(ulid(o), Place(COAT, BERLIN)): -1 for o in ids[4:]}


def test_two_polls_at_once_add_nothing_twice(begin: Begin) -> None:
    kiosks = begin()
    ids = [kiosks.sell((COAT, 1), (OTHER, 2)) for _ in range(12)]
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                kiosks.poll()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    for order in ids[:6]:
        kiosks.set_status(order, "VOIDED")
    for one in threads:
        one.join()
    assert errors == []
    kiosks.poll()
    assert kiosks.moved() == kiosks.effects()
    assert {order for order, _ in kiosks.moved()} == {ulid(order) for order in ids[6:]}


def test_it_goes_on_after_the_process_died_anywhere(local: Store) -> None:
    data = generate(seed=1, products=0, now=datetime(2026, 11, 20, tzinfo=UTC))
    deaths = 0
    with SandboxServer(data) as server:
        for at in count():
            kiosks = Kiosks(server, local, name=f"link{at}", settings={"start": None})
            kiosks.install()
            kept = [kiosks.sell((COAT, 2), store=STORES[n % 2]) for n in range(6)]
            kiosks.poll()
            kiosks.state.clock.advance(10)
            kiosks.ahead = timedelta(seconds=10)
            for order in kept[:2]:
                kiosks.set_status(order, "VOIDED")
            sold = [kiosks.sell((COAT, 1)) for _ in range(5)]
            poller, boundaries = kiosks.poller(), Boundaries(at)
            try:
                with boundaries.watched():
                    poller.run(kiosks.now)
            except Crash:
                deaths += 1
            kiosks.poll()
            expected = {(ulid(order), Place(COAT, BERLIN)): -1 for order in sold}
            waiting = {key: units for key, units in kiosks.moved("waiting").items() if units < 0}
            assert waiting == expected
            assert kiosks.effects() == kiosks.moved()
            close_sessions()
            server.state.cloudshelf.clock.advance(-10)
            if not boundaries.is_dead:
                break
    assert deaths > 10


STORM = (
    Rule(kind=Kind.ERROR, api="cloudshelf", rate=0.2),
    Rule(kind=Kind.RESET, api="cloudshelf", rate=0.2),
    Rule(kind=Kind.ERROR, api="cloudshelf", status=429, retry_after=0.01, rate=0.1),
)


@pytest.mark.parametrize("seed", range(3))
def test_faults_of_the_api_cost_time_and_nothing_else(begin: Begin, seed: int) -> None:
    kiosks = begin(FaultPlan(seed=seed, rules=STORM))
    kiosks.tuning = replace(QUICK, attempts=3, total_seconds=2)
    ids = [kiosks.sell((COAT, 1)) for _ in range(15)]
    for _ in range(30):
        try:
            kiosks.poll()
        except RetryableError:
            continue
        break
    assert kiosks.moved() == {(ulid(order), Place(COAT, BERLIN)): -1 for order in ids}


# Histories

STATES = [one.value for one in OrderStatus]
STEP = st.one_of(
    st.tuples(
        st.just("sell"),
        st.integers(1, 3),
        st.sampled_from(SKUS),
        st.sampled_from(STORES),
        st.sampled_from(STATES),
    ),
    st.tuples(st.just("status"), st.integers(0, 9), st.sampled_from(STATES)),
    st.tuples(st.just("lines"), st.integers(0, 9), st.sampled_from(SKUS), st.integers(1, 5)),
    st.tuples(st.just("late"), st.integers(0, 9)),
    st.tuples(st.just("poll")),
    st.tuples(st.just("die"), st.integers(0, 12)),
    st.tuples(st.just("during"), st.integers(0, 9), st.sampled_from(STATES)),
)
GIVEN_BACK = {"VOIDED", "REFUNDED", "DRAFT_BASKET"}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[SandboxServer, Store, list[Callable[[], None]]]]:
    lent: Databases = request.getfixturevalue(f"{request.param}_databases")
    moves: list[Callable[[], None]] = []

    def observer(exchange: Any) -> None:
        if exchange.api == "cloudshelf" and b'"Orders"' in exchange.request and moves:
            moves.pop()()

    data = generate(seed=1, products=0, now=datetime(2026, 11, 20, tzinfo=UTC))
    with lent.current() as url, SandboxServer(data, observer=observer) as server:
        opened = open_store(url)
        yield server, opened, moves
        opened.close()
        close_sessions()


_HISTORIES = count()


@histories(40)
@given(steps=st.lists(STEP, min_size=3, max_size=18))
def test_the_inbox_always_comes_to_the_newest_states(
    shared: tuple[SandboxServer, Store, list[Callable[[], None]]], steps: list[tuple[Any, ...]]
) -> None:
    server, store, moves = shared
    kiosks = Kiosks(server, store, name=f"h{next(_HISTORIES)}", settings={"orders_page": 2})
    kiosks.install()
    moves.clear()
    ids: list[str] = []
    seen: dict[str, set[int]] = {}
    poller = kiosks.poller()
    for step in steps:
        time.sleep(0.0015)  # the sandbox's times are milliseconds
        poller = _take_step(kiosks, poller, step, ids, moves)
        _note(kiosks, ids, seen)
    moves.clear()
    kiosks.poll()
    kiosks.poll()
    assert kiosks.moved() == kiosks.effects()
    for order in ids:
        now = kiosks.state.get("Order", order)
        units = sum(delta for (name, _), delta in kiosks.moved().items() if name == ulid(order))
        if now["status"] == "PARTIALLY_REFUNDED":
            assert -units in seen[order] | {0}
        elif now["status"] in GIVEN_BACK:
            assert units == 0
        else:
            assert units == -sum(one["quantity"] for one in now["lines"])


def _take_step(kiosks: Kiosks, poller: Any, step: tuple[Any, ...], ids: list[str], moves: list[Any]) -> Any:
    what, *more = step
    if what == "sell":
        quantity, sku, store, status = more
        ids.append(kiosks.sell((sku, quantity), (COAT, 1), store=store, status=status))
    elif what == "poll":
        poller.run(kiosks.now)
    elif what == "die":
        try:
            with Boundaries(more[0]).watched():
                poller.run(kiosks.now)
        except Crash:
            close_sessions()
            return kiosks.poller()
    elif ids:
        order = ids[more[0] % len(ids)]
        if what == "status":
            kiosks.set_status(order, more[1])
        elif what == "lines":
            kiosks.set_lines(order, (more[1], more[2]))
        elif what == "during":
            moves.append(lambda: kiosks.set_status(order, more[1]))
        else:  # it takes a while until a change becomes visible
            stamp = kiosks.state.clock.now() - timedelta(seconds=1)
            if stamp.isoformat() > kiosks.state.get("Order", order)["updatedAt"]:
                kiosks.change(
                    order, updatedAt=stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                )
    return poller


def _note(kiosks: Kiosks, ids: list[str], seen: dict[str, set[int]]) -> None:
    for order in ids:
        lines = kiosks.state.get("Order", order)["lines"]
        seen.setdefault(order, set()).add(sum(one["quantity"] for one in lines))
