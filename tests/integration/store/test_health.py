"""What checks found is kept, and what is measured is what the tables say; on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner, Status, order_cause
from cogent_ops.domain.health.freshness import Arrived, Waiting
from cogent_ops.domain.health.model import Flow, Freshness, Snapshot, State
from cogent_ops.domain.money import Money
from cogent_ops.domain.priorities import Priority
from cogent_ops.domain.rules import MovementRules
from cogent_ops.store import Store
from cogent_ops.store.schema import (
    drift_finding,
    health_state,
    kiosk_order,
    movement,
    order_capture,
    order_effect,
    stock_batch,
    stock_level,
    variant_flag,
)

LINK, PROJECT = "default", "commercetools/p"
NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
_IDS = count(1)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def add(store: Store, table: Any, *rows: dict[str, Any]) -> None:
    with store.begin() as conn:
        for row in rows:
            conn.execute(table.insert(), row)


# Checks


def snapshot(at: datetime, age: float | None = 5.0, link: str = LINK) -> Snapshot:
    flow = Freshness(flow=Flow.STOCK, state=State.GOOD, age=age, target=60.0, p95=9.5, waiting=3, done=7)
    return Snapshot(link=link, checked_at=at, state=State.GOOD, sentence="All is well.", flows=(flow,))


def save(store: Store, *found: Snapshot) -> None:
    for one in found:
        with store.begin() as conn:
            store.health.save(conn, one, "run")


def test_the_last_check_is_kept_whole_and_an_older_one_never_replaces_it(store: Store) -> None:
    assert (store.health.snapshot(LINK), store.health.checked_at(LINK)) == (None, None)
    save(store, snapshot(NOW), snapshot(ago(minutes=5)), snapshot(ago(hours=1), link="austria"))
    assert store.health.snapshot(LINK) == snapshot(NOW)
    assert store.health.checked_at(LINK) == NOW
    assert store.health.first_check(LINK) == ago(minutes=5)
    assert store.health.first_check("nowhere") is None


def test_measurements_stand_in_a_row_and_a_repeated_check_measures_once(store: Store) -> None:
    save(
        store,
        *(snapshot(ago(minutes=5 * number), age=number) for number in (3, 1, 2)),
        snapshot(ago(minutes=5), 9.0),
    )
    found = store.health.samples(LINK, ago(minutes=12))
    assert [(one.at, one.age) for one in found] == [(ago(minutes=10), 2.0), (ago(minutes=5), 9.0)]
    assert (found[0].flow, found[0].p50, found[0].p95, found[0].waiting, found[0].done) == (
        Flow.STOCK,
        None,
        9.5,
        3,
        7,
    )
    assert store.health.samples(LINK, ago(days=1), Flow.ORDERS) == []
    assert len(store.health.samples(LINK, ago(days=1), Flow.STOCK, until=ago(minutes=5))) == 2


def test_what_another_release_stored_in_another_form_counts_as_none(store: Store) -> None:
    row = {"link": LINK, "checked_at": NOW, "run_key": "r", "content": {"link": LINK, "tiles": []}}
    add(store, health_state, row)
    assert store.health.snapshot(LINK) is None
    assert store.health.checked_at(LINK) == NOW


def test_deeds_are_found_by_what_was_done(store: Store) -> None:
    for actor, action in (("ada", "heal"), ("bob", "reveal"), ("cleo", "silence")):
        store.audit_log.write(actor, action, "x", link=LINK)
    store.audit_log.write("dora", "heal", "x", link="austria")
    since = datetime.now(UTC) - HOUR
    found = store.health.deeds(LINK, since, ("heal", "silence"), limit=10)
    assert [one.actor for one in found] == ["ada", "cleo"]
    assert [one.actor for one in store.health.deeds(LINK, since, ("heal", "silence"), limit=1)] == ["cleo"]
    assert store.health.deeds(LINK, datetime.now(UTC) + HOUR, ("heal",), limit=10) == []


# Movements


def moved(
    state: str, recorded: datetime, *, taking: float = 4.0, batch: str | None = None, **more: Any
) -> dict[str, Any]:
    number = next(_IDS)
    return {
        "link": LINK,
        "project": PROJECT,
        "sku": f"sku-{number}",
        "channel": "berlin",
        "delta": -1,
        "source": "kiosk_order",
        "source_id": f"gid://c/Order/{number}/sku@berlin/1",
        "reference": f"{number}",
        "occurred_at": recorded - timedelta(seconds=1),
        "recorded_at": recorded,
        "state": state,
        "batch_id": batch,
        "settled_at": recorded + timedelta(seconds=taking - 1) if state == "applied" else None,
        **more,
    }


def batch(id_: str, state: str) -> dict[str, Any]:
    return {
        "id": id_,
        "project": PROJECT,
        "sku": id_,
        "channel": "berlin",
        "state": state,
        "owner": "o",
        "lease_until": 0.0,
        "retry_at": 0.0,
        "attempts": 1,
        "created_at": NOW,
    }


def test_movements_wait_in_the_inbox_or_in_batches_refused_ones_apart(store: Store) -> None:
    assert store.measures.stock_waiting(LINK, PROJECT) == Waiting()
    add(store, stock_batch, batch("open", "open"), batch("parked", "parked"), batch("done", "applied"))
    add(
        store,
        movement,
        moved("waiting", ago(minutes=3)),
        moved("batched", ago(minutes=5), batch="open"),
        moved("batched", ago(hours=9), batch="parked"),
        moved("review", ago(days=2)),
        moved("excluded", ago(days=3)),
        moved("applied", ago(days=3), batch="done"),
        moved("waiting", ago(days=3), link="austria"),
    )
    assert store.measures.stock_waiting(LINK, PROJECT) == Waiting(
        waiting=3, refused=1, review=1, oldest=ago(minutes=5), oldest_refused=ago(hours=9)
    )


def test_percentiles_are_those_of_a_sorted_list(store: Store) -> None:
    assert store.measures.stock_arrived(LINK, PROJECT, ago(hours=1), ago(minutes=5)) == Arrived()
    spans = [float(number) for number in range(1, 21)]
    add(store, movement, *(moved("applied", ago(minutes=30), taking=span) for span in reversed(spans)))
    add(
        store,
        movement,
        moved("applied", ago(minutes=90), taking=500.0),
        moved("applied", ago(minutes=20), taking=600.0, link="austria"),
        moved("applied", ago(minutes=1), taking=1.0, source="file", occurred_at=ago(days=1)),
        moved("waiting", ago(minutes=1)),
    )
    found = store.measures.stock_arrived(LINK, PROJECT, ago(hours=1), ago(minutes=5))
    assert (found.done, found.lately) == (21, 1), "a file's movement counts from its arrival"
    assert found.p50 == pytest.approx(10.0, abs=0.01)
    assert found.p95 == pytest.approx(19.0, abs=0.01)


# Availability


def level(sku: str, wanted: int, told: int | None, wanted_at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "link": LINK,
        "sku": sku,
        "channel": "berlin",
        "wanted": wanted,
        "told": told,
        "wanted_at": wanted_at,
        "told_at": None,
        "due_at": NOW,
        "refusals": 0,
        **more,
    }


def flag(sku: str, wanted_at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "link": LINK,
        "sku": sku,
        "product_id": "p",
        "in_stock": True,
        "purchasable": True,
        "told_in_stock": True,
        "told_purchasable": True,
        "back_order": False,
        "wanted_at": wanted_at,
        "due_at": NOW,
        "refusals": 0,
        "read_due": NOW,
        **more,
    }


def test_levels_and_flags_wait_until_they_are_told(store: Store) -> None:
    add(
        store,
        stock_level,
        level("told", 3, 3, ago(hours=3), told_at=ago(minutes=20)),
        level("late", 3, 4, ago(minutes=2)),
        level("new", 3, None, ago(minutes=1)),
        level("refused", 3, 4, ago(hours=5), refusals=2),
        level("again", 3, 3, ago(minutes=10), told_at=ago(minutes=30)),
    )
    add(
        store,
        variant_flag,
        flag("fine", ago(hours=9)),
        flag("off", ago(minutes=4), in_stock=False),
        flag("no", ago(hours=6), told_purchasable=None, refusals=1),
    )
    assert store.measures.availability_waiting(LINK) == Waiting(
        waiting=5, refused=2, oldest=ago(minutes=4), oldest_refused=ago(hours=6)
    )
    found = store.measures.availability_arrived(LINK, ago(hours=1), ago(minutes=5))
    assert (found.done, found.lately) == (1, 0)
    assert found.p50 == pytest.approx(9600.0, abs=0.01)


# Orders


def order(state: str, confirmed: datetime | None, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    id_ = f"gid://c/Order/{next(_IDS):04d}"
    seen = more.pop("seen", confirmed or NOW)
    row = {
        "link": LINK,
        "order_id": id_,
        "order_number": id_[-4:],
        "status": "PAID",
        "state": state,
        "reason": None if state == "captured" else "a reason",
        "due_at": NOW if state in ("waiting", "sending") else None,
        "lease_until": 0.0,
        "attempts": 0,
        "revision": 1,
        "tell_attempts": 0,
        "place": "Berlin",
        "units": 2,
        "edits": {},
        "ordered_at": confirmed or NOW,
        "changed_at": confirmed or NOW,
        "confirmed_at": confirmed,
        "updated_at": NOW,
        **more,
    }
    stored = {
        "link": LINK,
        "order_id": id_,
        "status": "PAID",
        "modified_at": row["changed_at"],
        "content": {},
        "hash": "",
        "recheck": False,
        "first_seen": seen,
        "last_seen": seen,
    }
    return stored, row


def stand(store: Store, *orders: tuple[dict[str, Any], dict[str, Any]]) -> list[str]:
    add(store, kiosk_order, *(stored for stored, _ in orders))
    add(store, order_capture, *(row for _, row in orders))
    return [row["order_id"] for _, row in orders]


def test_sales_wait_and_what_is_no_sale_or_a_persons_does_not(store: Store) -> None:
    stand(
        store,
        order("waiting", ago(minutes=3), due_at=NOW + HOUR),
        order("sending", ago(minutes=2)),
        order("waiting", None, due_at=NOW + HOUR),
        order("review", ago(days=1)),
        order("captured", ago(days=1)),
        order("excluded", ago(days=1)),
    )
    held = NewException(Kind.ORDER_MONEY, "order/1", "1", "f", "r", "m", "c", Owner.FINANCE)
    with store.begin() as conn:
        store.exceptions.raise_(conn, LINK, held, "run")
    assert store.measures.orders_waiting(LINK, NOW) == Waiting(waiting=2, review=1, oldest=ago(minutes=3))


@pytest.mark.parametrize(
    ("more", "since"),
    [
        ({"seen": ago(minutes=1)}, ago(minutes=1)),
        ({"decided_by": "ada", "updated_at": ago(seconds=30)}, ago(seconds=30)),
        ({}, ago(days=2)),
    ],
    ids=["read late", "let go on by a person", "as it was sold"],
)
def test_since_when_an_order_waits(store: Store, more: dict[str, Any], since: datetime) -> None:
    stand(store, order("waiting", ago(days=2), **more))
    assert store.measures.orders_waiting(LINK, NOW).oldest == since


def test_a_change_of_a_captured_order_waits_since_it_was_made(store: Store) -> None:
    stand(store, order("captured", ago(days=2), due_at=ago(seconds=1), changed_at=ago(minutes=7)))
    stand(store, order("captured", ago(days=2), due_at=NOW + HOUR, changed_at=ago(minutes=9)))
    assert store.measures.orders_waiting(LINK, NOW) == Waiting(waiting=1, oldest=ago(minutes=7))


def test_captures_are_measured_where_their_time_was_ours(store: Store) -> None:
    def captured(origin: str, seconds: float, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        sold = ago(minutes=10)
        return order("captured", sold, captured_at=sold + timedelta(seconds=seconds), origin=origin, **more)

    stand(
        store,
        captured("kiosk", 4.0),
        captured("kiosk", 6.0),
        captured("kiosk", 500.0, decided_by="ada"),
        captured("shop", 500.0),
    )
    found = store.measures.orders_arrived(LINK, ago(hours=1), ago(minutes=5))
    assert (found.done, found.lately) == (2, 0)
    assert found.p50 == pytest.approx(4.0, abs=0.01)
    assert found.p95 == pytest.approx(6.0, abs=0.01)


def test_what_cloudshelf_is_to_be_told_waits_and_what_it_refuses_is_counted_apart(store: Store) -> None:
    def untold(minutes: int, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """It was tried, and is tried again later."""
        later = {"tell_at": NOW + HOUR, "tell_attempts": 3, "updated_at": ago(minutes=minutes)}
        return order("captured", ago(days=1), ct_order_id="a", **{**later, **more})

    ids = stand(
        store,
        untold(0, tell_at=ago(minutes=4), tell_attempts=0),
        untold(5),
        untold(40),
        untold(90),
        untold(120),
        untold(0, tell_at=None),
    )
    assert store.measures.status_waiting(LINK) == Waiting(waiting=5, oldest=ago(minutes=120)), (
        "calls that failed as a whole are refusals of no order"
    )
    refused, left, mended = ids[2:5]
    raised = [
        NewException(Kind.STATUS_REFUSED, order_cause(id_), "1", "f", "r", "m", "c", Owner.PLATFORM)
        for id_ in (refused, left, mended)
    ]
    with store.begin() as conn:
        store.exceptions.raise_many(conn, LINK, raised, "run")
        store.exceptions.resolve(conn, LINK, Kind.STATUS_REFUSED, [order_cause(mended)], "run")
        number = store.exceptions.number(conn, LINK, Kind.STATUS_REFUSED, order_cause(left))
        store.exceptions.decide(conn, LINK, number, Action.EXPECTED, Status.EXPECTED, actor="ada", detail={})
    assert store.measures.status_waiting(LINK) == Waiting(
        waiting=4, refused=1, oldest=ago(minutes=120), oldest_refused=ago(minutes=40)
    )


# Exceptions and budgets


def test_queues_are_counted_by_owner_without_drills(store: Store) -> None:
    def raised(cause: str, owner: Owner, amount: int | None, place: str = "") -> NewException:
        return NewException(
            Kind.ORDER_MONEY,
            cause,
            cause,
            "f",
            "r",
            "m",
            "c",
            owner,
            amount=amount,
            currency="EUR",
            place=place,
        )

    with store.begin() as conn:
        store.exceptions.raise_many(
            conn,
            LINK,
            [
                raised("a", Owner.FINANCE, 500, "Berlin"),
                raised("b", Owner.FINANCE, 250, "Berlin"),
                raised("c", Owner.FINANCE, None),
                raised("drill/20261128T120000-0123abcd", Owner.FINANCE, 100, "Berlin"),
            ],
            "run",
        )
        store.exceptions.resolve(conn, LINK, Kind.ORDER_MONEY, ["b"], "run")
    (queue,) = store.measures.queues(LINK, datetime.now(UTC) + timedelta(days=30))
    assert (queue.open, queue.overdue, queue.at_stake) == (2, 2, (Money("EUR", 500),))
    (fresh,) = store.measures.queues(LINK, NOW - timedelta(days=900))
    assert fresh.overdue == 0
    assert store.measures.open_by_place(LINK) == {"Berlin": 1}
    assert store.measures.open_by_kind(LINK, [Kind.ORDER_MONEY, Kind.ORDER_TAX]) == {Kind.ORDER_MONEY: 2}


def test_a_budget_counts_what_it_lets_through_and_what_is_given_back_it_does_not(store: Store) -> None:
    budget = store.budget("api", 50.0, 100.0)
    for _ in range(30):
        budget.acquire(priority=Priority.ORDERS, timeout=5.0)
    epoch, buckets = store.measures.budgets(["api", "another"])
    assert set(buckets) == {"api"}
    # A process takes a slice at once, and may hold what it has not sent yet.
    assert 30 <= buckets["api"].used <= 30 + 50.0 / 4
    assert buckets["api"].refilled_at <= epoch


# Accounts


def effect(order_id: str, sku: str, quantity: int, channel: str = "berlin") -> dict[str, Any]:
    return {
        "link": LINK,
        "order_id": order_id,
        "sku": sku,
        "channel": channel,
        "quantity": quantity,
        "revision": 1,
        "updated_at": NOW,
    }


def sale(
    store: Store, *effects: int, moved_: tuple[tuple[int, str], ...] | None = None, **order_: Any
) -> str:
    """A captured order of two units with what it recorded, and its movements: the same, unless given otherwise."""
    (id_,) = stand(store, order(order_.pop("state", "captured"), ago(hours=2), **order_))
    add(store, order_effect, *(effect(id_, f"sku-{number}", units) for number, units in enumerate(effects)))
    given = [(units, "applied") for units in effects if units] if moved_ is None else moved_
    rows = (
        moved(state, ago(hours=2), delta=units, source_id=f"{id_}/sku@berlin/{number}")
        for number, (units, state) in enumerate(given)
    )
    add(store, movement, *rows)
    return id_


RULES = MovementRules()
VOID, BASKET, PART = ({"status": status} for status in ("VOIDED", "DRAFT_BASKET", "PARTIALLY_REFUNDED"))


@pytest.mark.parametrize(
    ("effects", "moved_", "order_", "suspect"),
    [
        ((-1, -1), None, {}, False),
        ((-2,), None, {"state": "waiting", "reason": "r", "due_at": None}, True),
        ((-2,), (), {}, True),
        ((-2,), ((-2, "applied"), (-2, "applied")), {}, True),
        ((), None, {}, True),
        ((-1,), None, {}, True),
        ((0,), ((-2, "applied"), (2, "waiting")), VOID, False),
        ((-2,), None, VOID, True),
        ((), None, BASKET, False),
        ((-2,), None, PART, False),
        ((), None, PART, True),
        ((0,), ((-2, "applied"), (2, "applied")), PART, False),
        ((-1,), None, PART, True),
        ((-2,), ((-2, "excluded"),), {}, False),
        ((0,), ((-2, "excluded"),), VOID, False),
    ],
    ids=[
        "sold and moved",
        "nobody looks at it",
        "moved nothing",
        "moved twice",
        "recorded nothing",
        "recorded too little",
        "void and given back",
        "void and not given back",
        "a basket",
        "a partial refund of what was sold",
        "a partial refund met late that recorded nothing",
        "a partial refund of what had been given back",
        "half of it",
        "a count has seen it",
        "taken out of review",
    ],
)
def test_numbers_alone_tell_what_deserves_a_look(
    store: Store,
    effects: tuple[int, ...],
    moved_: tuple[tuple[int, str], ...] | None,
    order_: dict[str, Any],
    suspect: bool,
) -> None:
    id_ = sale(store, *effects, moved_=moved_, **order_)
    (found,) = store.accounts.orders(LINK, ago(days=1), RULES)
    assert (found.example, found.suspect) == (id_, suspect)


def test_orders_that_stand_alike_are_counted_together(store: Store) -> None:
    several = [sale(store, -2) for _ in range(3)]
    wrong = [sale(store, -1) for _ in range(2)]
    sale(store, -2, place="Ulm")
    stand(store, order("captured", ago(days=3)))
    young, _ = order("", ago(minutes=1))
    add(store, kiosk_order, young)
    found = store.accounts.orders(LINK, ago(days=1), RULES)
    alike = {
        (one.place, one.hour.hour, one.channel, one.state): one.orders for one in found if not one.suspect
    }
    assert alike == {("Berlin", 10, "berlin", "captured"): 3, ("Ulm", 10, "berlin", "captured"): 1}
    assert {one.example for one in found if one.orders == 3} == {max(several)}
    assert [one.example for one in found if one.suspect] == [*wrong, young["order_id"]]
    lost = found[-1]
    assert (lost.place, lost.channel, lost.state, lost.orders) == ("", None, "", 1)


def test_units_are_counted_by_hour_channel_and_state_without_signs(store: Store) -> None:
    add(
        store,
        movement,
        moved("applied", ago(minutes=10), delta=-2),
        moved("applied", ago(minutes=10), delta=2),
        moved("excluded", ago(minutes=10), delta=-4),
        moved("waiting", ago(hours=2), delta=-1),
        moved("applied", ago(minutes=10), delta=None, counted=7, source="file"),
        moved("applied", ago(days=2), delta=-9),
    )
    found = {
        (one.hour.hour, one.channel, one.state): one.units for one in store.accounts.units(LINK, ago(days=1))
    }
    assert found == {
        (12, "berlin", "applied"): 4,
        (12, "berlin", "excluded"): 4,
        (10, "berlin", "waiting"): 1,
    }


def test_measurements_go_by_age(store: Store) -> None:
    save(store, *(snapshot(ago(days=number)) for number in range(1, 6)))
    assert store.retention.delete_samples(LINK, ago(days=2), limit=2) == 2
    assert [one.at for one in store.health.samples(LINK, ago(days=9))] == [
        ago(days=number) for number in (3, 2, 1)
    ]
    assert store.retention.delete_samples(LINK, ago(days=2), limit=2) == 1
    assert store.retention.delete_samples(LINK, ago(days=2), limit=2) == 0
    assert store.retention.delete_samples("austria", NOW, limit=2) == 0


def test_proposals_are_those_that_wait_for_a_yes_or_no(store: Store) -> None:
    assert store.measures.proposals(LINK) == 0
    rows = (
        {
            "link": LINK,
            "night": "2026-11-28",
            "area": "stock",
            "cause": "lost",
            "subject": f"sku-{number}@berlin",
            "message": "m",
            "evidence": {},
            "owner": "retail ops",
            "action": "a",
            "units": 1,
            "place": "berlin",
            "reference": "",
            "state": state,
            "created_at": NOW,
            "updated_at": NOW,
        }
        for number, state in enumerate(("proposed", "proposed", "declined"))
    )
    add(store, drift_finding, *rows)
    assert store.measures.proposals(LINK) == 2
