"""Both systems side by side, asked of a sandbox: what is there, what would be sent, and what cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.clients.helpers import kiosk, shop
from tests.support.captures import coats
from tests.support.kiosks import line, ulid
from tests.support.reviewing import COAT, PAID_HERE, Reviewing
from tests.support.trouble import HELD, raise_

from cogent_ops.clients.transport import Tuning, close_sessions
from cogent_ops.domain.beside import Beside, Mark, Pair
from cogent_ops.domain.drift.model import Area, Cause, Fact, Finding
from cogent_ops.domain.drills import drill, drill_cause
from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner
from cogent_ops.domain.stock import Place
from cogent_ops.errors import PermanentError
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.faults import Kind as Fault
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.beside import FINDINGS, SideBySide
from cogent_ops.services.case import Case, case_of
from cogent_ops.services.explain.explain import Explain
from cogent_ops.store import Filter, Store, StoredException
from cogent_ops.store.drift import FindingState
from cogent_ops.store.schema import kiosk_order

ROOT = Path(__file__).parents[3]
SUITE = ROOT / "include/schemas/product_master.json"
EMAIL = "maria.muster@example.com"
DOWN = FaultPlan(seed=1, rules=(Rule(kind=Fault.ERROR, api="commercetools"),))
HASTY = Tuning(attempts=2, total_seconds=2.0, backoff_seconds=0.01)

World = Reviewing


@pytest.fixture
def begin(store: Store) -> Iterator[Callable[..., World]]:
    with ExitStack() as stack:

        def made(**named: Any) -> World:
            world = World(stack.enter_context(SandboxServer(coats())), store, **named)
            world.begin()
            return world

        yield made
        close_sessions()


@pytest.fixture
def world(begin: Callable[..., World]) -> World:
    return begin()


def sides(world: World, tuning: Tuning = HASTY, suite: Path = SUITE) -> SideBySide:
    def stories() -> Explain:
        return Explain(
            world.config,
            world.store,
            lambda: shop(world.server, tuning),
            lambda: kiosk(world.server, tuning),
            {},
            project=lambda: world.project,
            us=frozenset,
        )

    return SideBySide(
        world.name,
        world.store,
        shop=lambda: shop(world.server, tuning),
        preview=lambda: replace(world, tuning=tuning).capture(),
        stories=stories,
        suite=lambda: suite,
    )


def one_of(world: World, one: StoredException) -> Beside:
    (found,) = sides(world).of(one)
    return found


def rows(found: Beside) -> dict[str, Pair]:
    return {one.what.partition(":")[0]: one for one in found.pairs}


def raised(world: World, new: NewException) -> StoredException:
    raise_(world.store, new, link=world.name)
    (found,) = world.review().find(Filter(text=new.record, drills=None))
    return found


def sold(world: World, *, mail: str = "", **session: Any) -> str:
    attribute = {"key": world.config.orders.email_attribute, "value": mail}
    goods = {**line(COAT, 2), "productName": "Coat", "customAttributes": [attribute] if mail else []}
    place = {"locationId": world.location("berlin"), "locationName": "Berlin"}
    order = world.raw_order([goods], "PAID", {**place, **PAID_HERE, **session})
    world.run()
    return order


# Orders


def test_an_order_that_waits_stands_beside_what_would_be_sent(world: World) -> None:
    order = world.placed_long_ago()
    found = one_of(world, world.one(order))
    assert (found.title, found.source, found.target) == (
        f"CS-{ulid(order)}",
        "Kiosk (Cloudshelf)",
        "Would be sent to commercetools",
    )
    assert (found.differences, found.problem) == (0, "")
    assert rows(found)["Line 1"].mark is Mark.SAME
    assert world.ct_orders() == []


def test_an_order_whose_payment_a_person_has_confirmed_shows_no_difference(world: World) -> None:
    order = world.placed_long_ago()
    one = world.one(order)
    assert "Amount of the order" in rows(one_of(world, one))
    assert "Customer paid" not in rows(one_of(world, one))
    world.do(Action.APPROVE, [one.id], note="seen in the till")
    world.finish()
    found = one_of(world, one)
    assert (found.target, found.differences) == ("commercetools", 0)
    assert "A person has confirmed the payment." in rows(found)["Status"].words


def test_what_stops_an_order_stands_in_its_row_and_goes_away_with_a_correction(world: World) -> None:
    (order,) = world.nowhere()
    found = one_of(world, world.one(order))
    assert (found.target, rows(found)["Store"].mark) == ("", Mark.STOPS)
    assert "stands for no supply Channel" in rows(found)["Store"].words
    world.do(Action.EDIT, [world.one(order).id], edits={"location": "berlin"})
    mended = one_of(world, world.one(order))
    assert (mended.target, mended.differences) == ("Would be sent to commercetools", 0)
    assert rows(mended)["Store"].words == "A person gave the Channel berlin."


def test_an_order_that_was_captured_stands_beside_the_order_there_with_every_difference(world: World) -> None:
    order = sold(world)
    world.set_status(order, "PARTIALLY_REFUNDED")
    world.run()
    one = next(one for one in world.everything() if one.kind == Kind.REFUND_AMOUNT)
    same = one_of(world, one)
    assert same.target == "commercetools"
    assert rows(same)["Line 1"].mark is Mark.SAME
    assert rows(same)["Status"].words == "Cloudshelf says PARTIALLY_REFUNDED, commercetools PAID."
    state = world.server.state.commercetools
    with state.lock:
        there = next(each for each in state["orders"] if each["orderNumber"] == f"CS-{ulid(order)}")
        there["lineItems"][0]["quantity"] = 5
    other = one_of(world, one)
    assert rows(other)["Line 1"].words == "Quantity: 2 at the kiosk, 5 in commercetools."


def test_the_order_that_has_taken_the_number_is_the_one_that_is_shown(world: World) -> None:
    order = world.sell((COAT, 1), **PAID_HERE)
    world.by_hand(f"CS-{ulid(order)}")
    world.run()
    one = world.one(order)
    assert one.kind == Kind.ORDER_CONFLICT
    found = one_of(world, one)
    assert (found.target, rows(found)["Line 1"].target) == ("commercetools", "1 × €9.50")


def test_an_order_that_commercetools_lost_is_said_to_be_gone(world: World) -> None:
    order = sold(world)
    world.set_status(order, "PARTIALLY_REFUNDED")
    world.run()
    state = world.server.state.commercetools
    with state.lock:
        for each in list(state["orders"]):
            state["orders"].remove(each["id"])
    one = next(one for one in world.everything() if one.kind == Kind.REFUND_AMOUNT)
    found = one_of(world, one)
    assert found.problem.startswith("commercetools has no order ")
    assert rows(found)["Line 1"].source == "2 × €9.50 = €19.00"


def test_what_is_out_of_reach_is_said_in_its_place_and_our_own_side_is_shown(world: World) -> None:
    order = world.placed_long_ago()
    world.server.set_faults(DOWN)
    found = one_of(world, world.one(order))
    assert found.problem.startswith("It cannot be compared just now: ")
    assert rows(found)["Line 1"].source == "1 × €9.50"
    assert found.target == ""


def test_what_an_order_sold_may_have_been_purged(world: World) -> None:
    order = world.placed_long_ago()
    one = world.one(order)
    with world.store.begin() as conn:
        conn.execute(sa.update(kiosk_order).values(content={}))
    found = one_of(world, one)
    assert (found.pairs, "not kept any more" in found.problem) == ((), True)


def test_a_refund_of_unknown_units_shows_the_order_too(world: World) -> None:
    order = sold(world)
    world.set_status(order, "PARTIALLY_REFUNDED")
    world.run()
    one = next(one for one in world.everything() if one.kind == Kind.REFUND_QUANTITY)
    assert one_of(world, one).target == "commercetools"


# Stock


def test_stock_shows_what_kiosks_were_told_beside_commercetools(world: World) -> None:
    place = Place(COAT, "")
    new = NewException(
        Kind.OVERSELL,
        str(place),
        str(place),
        "f",
        "r",
        "It is oversold.",
        "Count.",
        Owner.CUSTOMER_SERVICE,
        payload={"sku": COAT, "channel": ""},
    )
    found = one_of(world, raised(world, new))
    assert (found.source, found.target) == ("Kiosks were told", "commercetools")
    assert rows(found)["On stock"].target == "100"
    assert found.note


def test_a_place_that_nobody_knows_is_said_to_be_unknown(world: World) -> None:
    new = NewException(
        Kind.STOCK_REFUSED, "x@nowhere", "x@nowhere", "f", "r", "No.", "Mend it.", Owner.PLATFORM
    )
    found = one_of(world, raised(world, new))
    assert found.problem.startswith("It cannot be compared: ")


# What is stored


def test_a_held_product_stands_beside_what_the_schema_wants(world: World) -> None:
    new = replace(
        HELD,
        field="name",
        rule="text lengths (name)",
        payload={"value": "N" * 300},
        message="Rug: The name has 300 characters; 255 fit.",
    )
    found = one_of(world, raised(world, new))
    (pair,) = found.pairs
    assert (found.source, found.target) == ("commercetools has", "The product master schema wants")
    assert (pair.source, pair.target) == ("N" * 300, "text lengths (name): at most 255")
    assert found.note == ("Mend it at Merchant Center: Products > the product > General > Product name.")


def test_what_is_missing_is_not_said_to_be_there(world: World) -> None:
    rule = "name is present in every required locale"
    found = one_of(world, raised(world, replace(HELD, rule=rule, payload={"value": "en, fr"})))
    assert found.pairs[0].source == "nothing in: en, fr"


def test_a_rule_that_is_not_in_the_schema_any_more_is_shown_by_its_name(world: World) -> None:
    found = one_of(world, raised(world, replace(HELD, rule="an old rule", payload={})))
    assert (found.pairs[0].source, found.pairs[0].target, found.note) == ("nothing", "an old rule", "")


def test_a_schema_that_cannot_be_read_says_so_in_place(world: World, tmp_path: Path) -> None:
    broken = tmp_path / "suite.json"
    broken.write_text("{", encoding="utf-8")
    (found,) = sides(world, suite=broken).of(raised(world, HELD))
    assert "suite.json" in found.note
    assert found.pairs[0].source == "4012345678904"


def test_a_night_shows_the_evidence_of_what_matters_most(world: World) -> None:
    subjects = [f"coat-{n}@berlin" for n in range(FINDINGS + 2)]
    findings = [
        Finding(
            world.name,
            "2026-11-20",
            Area.STOCK,
            Cause.MANUAL_EDIT,
            subject,
            f"{subject}: changed by hand.",
            (Fact("commercetools says", "5"), Fact("the ledger expects", "3")),
            Owner.ECOMMERCE,
            "Ask who it was.",
        )
        for subject in reversed(subjects)
    ]
    with world.store.begin() as conn:
        kept = [(one, FindingState.REPORTED) for one in findings]
        world.store.drift.record(conn, world.name, "2026-11-20", [], kept)
    new = NewException(
        Kind.DRIFT_STOCK,
        f"{Area.STOCK}/{Cause.MANUAL_EDIT}",
        "7 × changed",
        "stock",
        "r",
        "It differs.",
        "Ask.",
        Owner.ECOMMERCE,
        payload={"night": "2026-11-20", "subjects": subjects},
    )
    found = sides(world).of(raised(world, new))
    assert [one.title for one in found] == subjects[:FINDINGS]
    assert found[0].target == ""
    assert [(one.what, one.source) for one in found[0].pairs] == [
        ("commercetools says", "5"),
        ("the ledger expects", "3"),
    ]


def test_a_drill_and_what_has_no_other_side_show_nothing(world: World) -> None:
    trial = raised(world, drill(Kind.ORDER_MONEY, drill_cause(world.now)))
    task = NewException(Kind.TASK_FAILED, "t", "flow.task-1", "", "", "It failed.", "Look.", Owner.PLATFORM)
    assert sides(world).of(trial) == ()
    assert not SideBySide.is_asked(trial)
    assert sides(world).of(raised(world, task)) == ()


def test_only_what_another_system_has_to_be_asked_for_is_waited_for(world: World) -> None:
    order = world.placed_long_ago()
    assert SideBySide.is_asked(world.one(order))
    assert not SideBySide.is_asked(raised(world, HELD))


# An order's case, and its customer's address


def case(world: World, one: StoredException) -> Case:
    return case_of(world.review(), one.id, world.now)


def test_a_case_names_what_may_be_corrected_with_what_the_order_says(world: World) -> None:
    order = sold(world, mail=EMAIL, basketValue=30.0, basketCurrencyCode="EUR")
    one = world.one(order)
    assert one.kind == Kind.ORDER_MONEY
    whole, first = case(world, one).fields
    assert [(field.name, field.was, field.form) for field in whole.fields] == [
        ("total", "€30.00", "amount"),
        ("currency", "EUR", "text"),
    ]
    assert [(field.name, field.was) for field in first.fields] == [("price.1", "€9.50"), ("quantity.1", "2")]
    world.do(Action.EDIT, [one.id], edits={"price.1": "15"})
    given = {field.name: field.given for field in case(world, one).fields[1].fields}
    assert given == {"price.1": "15.00", "quantity.1": ""}


def test_an_address_is_masked_until_somebody_looks_and_that_is_recorded(world: World) -> None:
    order = sold(world, mail=EMAIL, basketValue=30.0, basketCurrencyCode="EUR")
    one = world.one(order)
    found = case(world, one)
    assert found.contact is not None
    assert found.contact.masked == "m•••@e•••.com"
    assert EMAIL not in repr(found)
    review = world.review()
    assert review.reveal(one.id, actor="ann") == EMAIL
    (entry,) = review.show(one.id).history
    assert (entry.actor, entry.action, entry.link) == ("ann", "reveal", world.name)
    assert EMAIL not in repr(entry)
    assert case(world, one).happenings[-1].what == "looked at the customer's e-mail address"


def test_where_no_address_is_kept_the_look_is_recorded_all_the_same(world: World) -> None:
    order = world.placed_long_ago()
    one = world.one(order)
    assert case(world, one).contact is not None
    assert world.review().reveal(one.id, actor="ann") is None
    assert [entry.detail["kept"] for entry in world.review().show(one.id).history] == [False]


def test_there_is_no_address_about_anything_but_an_order(world: World) -> None:
    one = raised(world, HELD)
    assert case(world, one).contact is None
    with pytest.raises(PermanentError, match="about no order"):
        world.review().reveal(one.id, actor="ann")
    assert world.review().show(one.id).history == ()


def test_an_address_that_was_corrected_is_in_no_record(world: World) -> None:
    order = world.placed_long_ago()
    one = world.one(order)
    (done,) = world.do(Action.EDIT, [one.id], edits={"email": EMAIL})
    assert done.is_done
    found = case(world, one)
    assert found.contact is not None
    assert found.contact.masked == "m•••@e•••.com"
    assert EMAIL not in repr((found, world.review().show(one.id)))


def test_a_form_about_an_order_that_is_sent_twice_tries_it_once(world: World) -> None:
    (order,) = world.nowhere()
    one = world.one(order)
    seen = case(world, one).seen
    decision: dict[str, Any] = {"edits": {"location": "berlin"}, "seen": seen}
    first, again = (world.do(Action.REPLAY, [one.id], **decision)[0] for _ in range(2))
    assert (first.is_done, again.is_done) == (True, True)
    assert world.one(order).replays == 1
    assert [entry.action for entry in world.review().show(one.id).history] == ["edit", "replay"]
    world.finish()
    assert len(world.ct_orders()) == 1
