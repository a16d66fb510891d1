"""What a person may do about one kiosk order: every allowed correction, and each word at most once in commercetools."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.clients.helpers import shop
from tests.support.kiosks import Json, line, ulid
from tests.support.landed import ACTOR, CENTS, COAT, ODD, OTHER, Landed, worlds

from cogent_ops.domain.rules import LocationOverride
from cogent_ops.domain.stock import Place
from cogent_ops.errors import PermanentError, RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.services.orders.desk import GIVEN, Refused
from cogent_ops.store import Store
from cogent_ops.store.orders import CaptureState, Origin, Settled
from cogent_ops.store.schema import kiosk_order, order_capture, order_contact

Begin = Callable[..., Landed]
MAIL = "kim@example.com"


@pytest.fixture
def begin(store: Store) -> Iterator[Begin]:
    with worlds(store) as made:
        yield made


@pytest.fixture
def world(begin: Begin) -> Landed:
    return begin()


def nowhere(world: Landed, *lines: tuple[str, int], **more: Any) -> str:
    """An order that names no location, in review."""
    order = world.sell(*(lines or ((COAT, 2),)), store=None, **more)
    world.run()
    assert world.row(order).state is CaptureState.REVIEW
    return order


def placed(world: Landed) -> str:
    """An order of which nobody knows whether it was paid, in review."""
    order = world.sell((COAT, 2), status="PLACED")
    world.run()
    assert world.kinds([order]) == [{"ambiguous_payment"}]
    return order


def asked(world: Landed, order: str) -> set[str]:
    """What people are asked about an order, but for what concerns its stock alone."""
    (kinds,) = world.kinds([order])
    return kinds - {"bad_movement", "refund_quantity"}


def frozen(world: Landed, order: str) -> tuple[Any, ...]:
    """All that a refusal must leave as it is."""
    with world.store.read() as conn:
        contact = world.store.captures.contact(conn, "default", order)
    return world.row(order), contact, world.moved(), world.effects(), sorted(world.exceptions())


def rename(world: Landed, key: str, name: str) -> None:
    """Call a supply Channel otherwise."""
    found = world.client.get("channels", key=key)
    assert found is not None
    change = [{"action": "changeName", "name": {"de": name}}]
    world.client.update("channels", found["id"], found["version"], change)


# Corrections


def test_a_location_lets_the_order_go_on_and_its_units_with_it(world: Landed) -> None:
    order, other = nowhere(world), nowhere(world)
    assert set(world.moved("review")) == {(ulid(one), Place(COAT, "(no location)")) for one in (order, other)}
    assert "unknown_identifier location/(no location)" in world.exceptions()
    world.edit(order, {"location": "hamburg"})
    assert world.moved("waiting") == {(ulid(order), Place(COAT, "hamburg")): -2}
    assert world.row(order).state is CaptureState.REVIEW, "a correction starts nothing by itself"
    world.replay(order)
    world.run()
    assert world.row(order).state is CaptureState.CAPTURED
    (bought,) = world.ct_order(order)["lineItems"]
    channels = {one["id"]: one["key"] for page in shop(world.server).pages("channels") for one in page}
    assert channels[bought["supplyChannel"]["id"]] == "hamburg"
    assert world.kinds([order, other]) == [set(), {"order_location"}]
    assert "unknown_identifier location/(no location)" in world.exceptions(), "the other one still waits"
    world.edit(other, {"location": "berlin"})
    assert "unknown_identifier location/(no location)" not in world.exceptions()
    assert world.row(other).decided_by == ACTOR


def test_a_corrected_location_counts_for_what_the_order_does_later(world: Landed) -> None:
    order = nowhere(world)
    world.edit(order, {"location": "hamburg"})
    world.replay(order)
    world.run()
    world.set_status(order, "VOIDED")
    world.run()
    assert world.effects() == {}
    assert [(one.channel, one.delta) for one in world.movements()] == [("hamburg", -2), ("hamburg", 2)]


def test_units_that_are_under_way_are_given_back_where_they_were_taken(world: Landed) -> None:
    """A person may be wrong the first time; then the drain has had the movement already."""
    order = nowhere(world, (COAT, 2), (OTHER, 1))
    for channel in ("hamburg", "berlin", "hamburg"):
        world.edit(order, {"location": channel})
        world.edit(order, {"location": channel})
        assert world.moved("waiting") == {
            (ulid(order), Place(COAT, channel)): -2,
            (ulid(order), Place(OTHER, channel)): -1,
        }
        assert world.effects() == world.moved("waiting")
    keys = [one.source_id for one in world.movements()]
    assert len(keys) == len(set(keys))
    assert len({one.occurred_at for one in world.movements()}) == 1, (
        "a count since the sale has the last word"
    )


@pytest.mark.parametrize(
    ("lines", "basket", "edits"),
    [
        ([line(COAT, 0)], 19.0, {"quantity.1": "2"}),
        ([line(COAT, -1)], 9.5, {"quantity.1": "1"}),
        ([{**line(COAT, 1), "price": -3.0}], 9.5, {"price.1": "9.50"}),
        ([line("no-such", 1)], 9.5, {"sku.1": COAT}),
        ([line(COAT, 1), {**line(OTHER, 1), "currencyCode": "CHF"}], 19.0, {"currency": "EUR"}),
        ([line(COAT, 1)], 12.0, {"total": "9.50"}),
        ([line(COAT, 1), line(OTHER, 0)], 9.5, {"quantity.2": "0"}),
    ],
)
def test_each_correction_lets_its_order_be_captured(
    world: Landed, lines: list[Json], basket: float, edits: dict[str, str]
) -> None:
    place = {"locationId": world.location("berlin"), "locationName": "Berlin"}
    order = world.raw_order(lines, session={**place, "basketValue": basket})
    world.run()
    assert asked(world, order), "it needs a person"
    world.edit(order, edits)
    world.replay(order)
    world.run()
    row = world.row(order)
    assert (row.state, asked(world, order)) == (CaptureState.CAPTURED, set()), world.desk().dry_run(order)
    assert row.edits == edits
    assert world.ct_order(order)["totalPrice"]["centAmount"] == row.total


def test_an_address_is_kept_apart_and_shown_to_nobody(begin: Begin) -> None:
    world = begin(orders_settings={"email": "required"})
    order = world.sell((COAT, 1))
    world.run()
    assert world.kinds([order]) == [{"order_contact"}]
    assert world.edit(order, {"email": MAIL}) == {"email": GIVEN}
    assert "email" not in world.row(order).edits
    assert MAIL not in world.desk().dry_run(order)
    assert MAIL not in repr(world.desk().check(order, {"email": MAIL}))
    world.replay(order)
    world.run()
    assert world.ct_order(order)["customerEmail"] == MAIL


def test_an_address_can_be_taken_back(world: Landed) -> None:
    order = nowhere(world)
    world.edit(order, {"email": MAIL})
    world.edit(order, {"email": ""})
    with world.store.read() as conn:
        assert conn.execute(sa.select(order_contact)).all() == []


def test_a_partial_refund_needs_its_amount(world: Landed) -> None:
    order = world.land((COAT, 2))
    world.set_status(order, "PARTIALLY_REFUNDED")
    world.run()
    assert asked(world, order) == {"refund_amount"}
    world.edit(order, {"refund_amount": "9.50", "refund_lines": "1:1"})
    for _ in range(2):
        world.replay(order)
        world.run()
    assert world.transactions(order) == [("Charge", "Success", 2 * CENTS), ("Refund", "Success", CENTS)]
    (info,) = world.ct_order(order)["returnInfo"]
    assert [item["quantity"] for item in info["items"]] == [1]
    assert asked(world, order) == set()


BAD: tuple[tuple[dict[str, str], str], ...] = (
    ({}, "what to correct"),
    ({"colour": "red"}, "no 'colour'"),
    ({"stock": ""}, "no 'stock'"),  # a mark of ours is nobody's to take back
    ({"rejected": ""}, "no 'rejected'"),
    ({"location": "nowhere"}, "no Channel with the key 'nowhere'"),
    ({"location": "erp"}, "InventorySupply"),
    ({"location": ""}, "cannot be taken back"),
    ({"location": "no key!"}, "no Channel with the key 'no key!'. There are: berlin, hamburg"),
    ({"email": "kim"}, "no e-mail address"),
    ({"price.1": "9,50"}, "major units"),
    ({"price.1": "9.555"}, "decimals"),
    ({"price.7": "9.50"}, "lines 1 to 1"),
    ({"sku.1": "unheard-of"}, "no article with the SKU"),
    ({"quantity.1": "1.5"}, "whole number"),
    ({"currency": "USD"}, "sells in EUR"),
    ({"paid": "no"}, "only be yes"),
    ({"refund_lines": "9"}, "no line 9"),
    ({"location": "hamburg", "price.1": "x"}, "major units"),
)


def test_what_cannot_be_taken_is_refused_in_words(world: Landed) -> None:
    order = nowhere(world)
    before = frozen(world, order)
    for edits, words in BAD:
        with pytest.raises(PermanentError, match=words):
            world.edit(order, edits)
        assert frozen(world, order) == before, edits


def test_a_store_may_be_given_by_its_name(world: Landed) -> None:
    order = nowhere(world)
    rename(world, "hamburg", "Filiale Hamburg")
    assert world.edit(order, {"location": " filiale HAMBURG "}) == {"location": "hamburg"}
    assert world.row(order).edits["location"] == "hamburg"
    with pytest.raises(PermanentError, match=r"'Filiale Hamburk'\. There are: hamburg"):
        world.edit(order, {"location": "Filiale Hamburk"})
    rename(world, "berlin", "Filiale Hamburg")
    with pytest.raises(PermanentError, match="Several stores are called 'Filiale Hamburg': berlin, hamburg"):
        world.edit(order, {"location": "Filiale Hamburg"})


def test_a_store_may_be_given_by_the_name_that_its_kiosks_show(world: Landed) -> None:
    world.locations["hamburg"] = LocationOverride(display_name="Jungfernstieg")
    order = nowhere(world)
    assert world.edit(order, {"location": "jungfernstieg"}) == {"location": "hamburg"}
    with pytest.raises(PermanentError, match=r"'Jungfernstig'\. There are: hamburg"):
        world.edit(order, {"location": "Jungfernstig"})


def test_a_link_that_keeps_no_addresses_takes_none(begin: Begin) -> None:
    world = begin(orders_settings={"email": "never"})
    order = nowhere(world)
    with pytest.raises(PermanentError, match="no e-mail addresses are kept"):
        world.edit(order, {"email": MAIL})


def test_a_captured_order_is_corrected_in_commercetools(world: Landed) -> None:
    order = world.land()
    for edits in ({"price.1": "1.00"}, {"location": "hamburg"}, {"refund_amount": "1.00", "paid": "yes"}):
        with pytest.raises(Refused, match="in commercetools already"):
            world.edit(order, edits)
    with pytest.raises(PermanentError, match=r"customer paid €9\.50"):
        world.edit(order, {"refund_amount": "9.51"})
    assert world.edit(order, {"refund_amount": "9.50"}) == {"refund_amount": "9.50"}


def test_an_order_that_is_captured_meanwhile_is_not_corrected_any_more(world: Landed) -> None:
    order = nowhere(world)
    checked = world.desk().check(order, {"quantity.1": "1"})
    world.edit(order, {"location": "berlin"})
    world.replay(order)
    world.run()
    with world.store.begin() as conn, pytest.raises(Refused, match="in commercetools already"):
        world.desk().edit(conn, checked, ACTOR)


def test_no_other_link_and_no_unknown_order_is_touched(world: Landed) -> None:
    with pytest.raises(Refused, match="no kiosk order"):
        world.edit("gid://cloudshelf/Order/unknown", {"paid": "yes"})
    with pytest.raises(Refused, match="no kiosk order"):
        world.replay("gid://cloudshelf/Order/unknown")
    with pytest.raises(Refused, match="no kiosk order"):
        world.desk().dry_run("gid://cloudshelf/Order/unknown")
    with pytest.raises(Refused, match="no kiosk order"):
        world.desk().find("gid://cloudshelf/Order/unknown", "1")


# Dry run


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(world: Landed) -> None:
    order = nowhere(world, (COAT, 2), (ODD, 1))
    world.edit(order, {"email": MAIL})
    before = frozen(world, order)
    world.forget_requests()
    text = world.desk().dry_run(order)
    assert "cannot be sent yet" in text
    assert "session.locationId" in text
    world.edit(order, {"location": "hamburg"})
    text = world.desk().dry_run(order)
    for said in (f"CS-{ulid(order)}", f"2 x {COAT}", f"1 x {ODD}", "€28.50", "hamburg", "given", "Confirmed"):
        assert said in text
    assert MAIL not in text
    assert world.writes() == {}
    assert world.ct_orders() == []
    assert world.row(order).attempts == before[0].attempts


def test_a_dry_run_says_what_an_order_waits_for(world: Landed) -> None:
    order, draft = placed(world), world.sell((COAT, 1), status="DRAFT_BASKET")
    world.run()
    assert "at present: ambiguous payment" in world.desk().dry_run(order)
    assert "excluded, so nothing is sent: draft basket" in world.desk().dry_run(draft)


def test_a_dry_run_of_a_captured_order_names_what_is_there(world: Landed) -> None:
    order = world.land()
    assert str(world.row(order).ct_order_id) in world.desk().dry_run(order)


# Going on


def test_a_replay_sends_once_however_often(world: Landed) -> None:
    order = nowhere(world)
    world.edit(order, {"location": "berlin"})
    for _ in range(3):
        world.replay(order)
        world.replay(order)
        world.run()
    assert len(world.ct_orders()) == 1
    assert world.row(order).captured_status == "PAID"


def test_a_replay_after_a_lost_import_finds_the_order(world: Landed) -> None:
    order = nowhere(world)
    world.edit(order, {"location": "berlin"})
    lost = Rule(kind=Kind.RESET, operation="orders.import", when="after")
    unseen = Rule(kind=Kind.ERROR, operation="orders.get", status=503)
    world.server.set_faults(FaultPlan(rules=(lost, unseen)))
    world.replay(order)
    with pytest.raises(RetryableError):
        world.capture().round()
    world.server.set_faults(None)
    with pytest.raises(Refused, match="may have been sent"):
        world.reject(order)
    world.replay(order)
    world.finish()
    assert len(world.ct_orders()) == 1
    assert world.row(order).ct_order_id == world.ct_order(order)["id"]


def test_a_replay_tells_again_what_cloudshelf_refused(world: Landed) -> None:
    order = world.land()
    refusing = Rule(kind=Kind.REFUSE, operation="upsertOrders", rate=1.0, code="ENTITY_IN_USE")
    world.server.set_faults(FaultPlan(rules=(refusing,)))
    assert world.tell().refused == 1
    world.server.set_faults(None)
    assert world.tell().told == 0
    world.replay(order)
    assert world.tell().told == 1


def test_an_approval_makes_an_order_paid(world: Landed) -> None:
    order = placed(world)
    for _ in range(2):
        world.approve(order)
        world.run()
    assert world.transactions(order) == [("Charge", "Success", 2 * CENTS)]
    assert world.kinds([order]) == [set()]
    assert world.row(order).edits == {"paid": "yes"}
    assert world.moved() == {(ulid(order), Place(COAT, "berlin")): -2}


@pytest.mark.parametrize("status", ["VOIDED", "DRAFT_BASKET"])
def test_what_nobody_can_have_paid_is_not_approved(world: Landed, status: str) -> None:
    order = world.sell((COAT, 1), status=status)
    world.run()
    before = frozen(world, order)
    with pytest.raises(Refused, match=status):
        world.approve(order)
    assert frozen(world, order) == before


# Linking


def test_an_order_entered_by_hand_stands_for_the_kiosk_order(world: Landed) -> None:
    order = placed(world)
    made = world.enter("HAND-1", 2 * CENTS)
    for _ in range(2):
        world.link_to(order, "HAND-1", kind="ambiguous_payment")
    row = world.row(order)
    assert (row.state, row.origin, row.ct_order_id) == (CaptureState.CAPTURED, Origin.HAND, made["id"])
    assert (row.total, row.currency, row.due_at) == (2 * CENTS, "EUR", None)
    assert world.moved() == {(ulid(order), Place(COAT, "berlin")): -2}, "nobody else has taken the units"
    assert world.kinds([order]) == [{"ambiguous_payment"}], "this one is the caller's to close"
    world.tell()
    assert world.shown(order) == ("PLACED", made["id"])
    world.run()
    assert len(world.ct_orders()) == 1
    world.cancel(order)
    world.look()
    world.tell()
    assert world.shown(order)[0] == "VOIDED"


def test_an_order_by_hand_that_took_its_units_itself_gives_ours_back(world: Landed) -> None:
    order = nowhere(world)
    world.edit(order, {"location": "berlin"})
    world.server.state.floor.set_stock(COAT, 10, "berlin")
    item = {
        "name": {"de": "Mantel"},
        "variant": {"sku": COAT},
        "quantity": 2,
        "price": {"value": {"currencyCode": "EUR", "centAmount": CENTS}},
        "supplyChannel": {"typeId": "channel", "key": "berlin"},
    }
    world.enter("HAND-1", 2 * CENTS, lineItems=[item], customLineItems=[], inventoryMode="TrackOnly")
    world.link_to(order, "HAND-1")
    assert world.moved() == world.effects() == {}
    world.change(order, updatedAt=(world.now + timedelta(seconds=2)).isoformat())
    world.ahead = timedelta(seconds=3)
    world.run()
    assert world.moved() == world.effects() == {}, "nor does a later change take them"
    world.set_status(order, "VOIDED")
    world.run()
    assert world.moved() == {}, "and nothing is given back twice"


def test_an_order_is_found_by_its_id_where_it_has_no_number(world: Landed) -> None:
    order = placed(world)
    made = world.enter("HAND-1", 2 * CENTS)
    world.link_to(order, made["id"])
    assert world.row(order).ct_order_id == made["id"]


def test_what_cannot_stand_for_the_order_is_refused(world: Landed) -> None:
    order, captured = placed(world), world.land()
    world.enter("USD-1", currency="USD")
    cancelled = world.enter("CANCELLED-1")
    world.server.state.floor.change("order-change", {"order": cancelled["id"], "orderState": "Cancelled"})
    before = frozen(world, order)
    for number, words in (
        ("NONE-1", "no order with the number"),
        ("", "no order with the number"),
        ("USD-1", "in USD"),
        ("CANCELLED-1", "is cancelled"),
        (world.row(captured).order_number, "belongs to another kiosk order"),
    ):
        with pytest.raises(Refused, match=words):
            world.link_to(order, number)
    assert frozen(world, order) == before
    world.enter("HAND-1")
    with pytest.raises(Refused, match="in commercetools already"):
        world.link_to(captured, "HAND-1")


def test_one_order_cannot_stand_for_two(world: Landed) -> None:
    first, second = placed(world), placed(world)
    world.enter("HAND-1", 2 * CENTS)
    desk = world.desk()
    found = [desk.find(order, "HAND-1") for order in (first, second)]
    with world.store.begin() as conn:
        desk.link(conn, found[0], ACTOR, kind="ambiguous_payment")
    with world.store.begin() as conn, pytest.raises(Refused, match="belongs to another kiosk order"):
        desk.link(conn, found[1], ACTOR, kind="ambiguous_payment")


def test_a_link_closes_whatever_else_the_order_waits_for(world: Landed) -> None:
    order = world.raw_order([line("no-such", 1)], session={})
    world.run()
    assert asked(world, order) == {"order_article", "order_location"}
    world.enter("HAND-1")
    world.link_to(order, "HAND-1", kind="order_article")
    assert asked(world, order) == {"order_article"}


# Rejecting


def test_a_rejected_order_is_excluded_by_name_and_gives_its_units_back(world: Landed) -> None:
    order = placed(world)
    for _ in range(2):
        world.reject(order, "  a test\nof the staff ")
    row = world.row(order)
    assert (row.state, row.reason) == (
        CaptureState.EXCLUDED,
        "rejected by a person: a test of the staff",
    )
    assert world.moved() == world.effects() == {}
    world.run()
    assert world.ct_orders() == []
    assert world.accounting().excluded == {"rejected by a person": 1}
    assert world.accounting().unexplained == 0


def test_a_rejected_order_that_is_paid_after_all_comes_back(world: Landed) -> None:
    order = placed(world)
    world.reject(order)
    world.set_status(order, "PAID")
    world.run()
    assert world.row(order).state is CaptureState.CAPTURED
    assert world.moved() == {(ulid(order), Place(COAT, "berlin")): -2}


def test_a_rejected_order_stays_out_where_placed_means_paid(begin: Begin) -> None:
    world = begin(orders_settings={"placed_is_paid": True})
    order = nowhere(world, status="PLACED")
    world.reject(order, kind="order_location")
    world.change(order, updatedAt=(world.now + timedelta(seconds=2)).isoformat(), discountCode="SPRING")
    world.ahead = timedelta(seconds=3)
    world.run()
    assert world.row(order).state is CaptureState.EXCLUDED
    assert world.effects() == world.moved("waiting", "review") == {}


def test_what_was_purged_by_age_is_judged_no_more(world: Landed) -> None:
    order = placed(world)
    world.reject(order)
    with world.store.begin() as conn:
        conn.execute(sa.update(kiosk_order).values(content={}))
    desk = world.desk()
    assert "rejected by a person" in desk.dry_run(order)
    for deed in (
        lambda: world.edit(order, {"paid": "yes"}),
        lambda: world.replay(order),
    ):
        with pytest.raises(Refused, match="purged by age"):
            deed()


def test_a_rejection_can_be_taken_back(world: Landed) -> None:
    order = nowhere(world)
    world.reject(order, kind="order_location")
    assert world.moved("waiting", "review") == {}
    assert "unknown_identifier location/(no location)" not in world.exceptions()
    world.edit(order, {"location": "berlin"})
    world.replay(order)
    world.ahead = timedelta(minutes=2)
    world.run()
    assert world.row(order).state is CaptureState.CAPTURED
    assert world.moved("waiting") == {(ulid(order), Place(COAT, "berlin")): -2}


def test_what_was_sent_cannot_be_rejected(world: Landed) -> None:
    captured, order = world.land(), placed(world)
    with pytest.raises(Refused, match="cancel it there"):
        world.reject(captured)
    before = frozen(world, order)
    with pytest.raises(Refused, match="Say why"):
        world.reject(order, " \n")
    assert frozen(world, order) == before


# At the same time


def test_an_order_in_a_runs_hands_is_left_alone(world: Landed) -> None:
    order = placed(world)
    world.enter("HAND-1", 2 * CENTS)
    with world.store.begin() as conn:
        conn.execute(sa.update(order_capture).values(due_at=world.now))
    assert world.store.captures.claim("default", "a run", world.now, limit=10, lease_seconds=60)
    before = frozen(world, order)
    deeds: tuple[Callable[[], object], ...] = (
        lambda: world.edit(order, {"paid": "yes"}),
        lambda: world.reject(order),
        lambda: world.link_to(order, "HAND-1"),
        lambda: world.approve(order),
    )
    for deed in deeds:
        with pytest.raises(Refused, match="worked on at this moment"):
            deed()
        assert frozen(world, order) == before


def test_a_replay_while_a_run_works_is_looked_at_afterwards(world: Landed) -> None:
    order = nowhere(world)
    world.replay(order)
    (work,) = world.store.captures.claim("default", "a run", world.now, limit=10, lease_seconds=60)
    world.replay(order)
    settled = Settled(order, work.capture.revision, CaptureState.REVIEW, "order location")
    with world.store.begin() as conn:
        world.store.captures.settle(conn, "default", "a run", [settled])
    assert world.store.captures.has_due("default", world.now)


def test_desk_poll_and_capture_take_their_locks_in_one_order(world: Landed) -> None:
    """Deadlocks would show as errors of the database here."""
    orders = [nowhere(world) for _ in range(6)]
    failures: list[Exception] = []

    def loop(work: Callable[[], object]) -> None:
        try:
            for _ in range(6):
                work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails by it
            failures.append(error)

    def decide() -> None:
        for channel, order in zip(("berlin", "hamburg") * 3, reversed(orders), strict=True):
            try:
                world.edit(order, {"location": channel})
                world.replay(order)
            except Refused:
                continue

    threads = [
        threading.Thread(target=loop, args=(work,))
        for work in (decide, world.poll, lambda: world.capture().round())
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    world.finish()
    assert len(world.ct_orders()) == 6
    assert sum(world.moved().values()) == -12
