"""The inbox and the batches: who may send what, and what nobody loses."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from tests.support.processes import together

from cogent_ops.domain.stock import MovementState, NewMovement, Place, Source
from cogent_ops.store import Store
from cogent_ops.store.engine import database
from cogent_ops.store.schema import movement, stock_batch, stock_position
from cogent_ops.store.stock import (
    Aim,
    Applied,
    Backlog,
    Batch,
    Effect,
    Position,
    Reviewed,
    Sale,
    StoredOrder,
)

PROJECT, LINK = "commercetools/shop", "de"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HAT, CAP, RUG = Place("HAT", "store-oslo"), Place("CAP", "store-oslo"), Place("RUG", "")
LEASE = 60.0


def moved(place: Place, delta: int | None, id_: str, *, minute: int = 0, **more: Any) -> NewMovement:
    fields: dict[str, Any] = {"link": LINK, "source": Source.API, "reference": f"ref {id_}", **more}
    at = NOON + timedelta(minutes=minute)
    return NewMovement(
        project=PROJECT,
        sku=place.sku,
        channel=place.channel,
        source_id=id_,
        occurred_at=at,
        delta=delta,
        **fields,
    )


def add(store: Store, *movements: NewMovement) -> int:
    with store.begin() as conn:
        return store.stock.add_movements(conn, movements)


def claim(store: Store, owner: str, limit: int = 100, lease: float = LEASE) -> list[Batch]:
    return store.stock.claim(PROJECT, owner, limit=limit, lease_seconds=lease)


def only(store: Store, owner: str) -> Batch:
    (batch,) = claim(store, owner)
    return batch


def settle(store: Store, *done: Applied) -> int:
    with store.begin() as conn:
        return store.stock.settle(conn, PROJECT, done)


def at(place: Place, on_stock: int, version: int = 1) -> Position:
    return Position(place, f"entry-{place.sku}", version, on_stock, on_stock)


def let_time_pass(url: URL) -> None:
    """Every lease and every pause ends."""
    with database(url).begin() as conn:
        conn.execute(
            sa.update(stock_batch)
            .where(stock_batch.c.state != "applied")
            .values(lease_until=0.0, retry_at=0.0)
        )


def states(store: Store) -> dict[str, str]:
    """Movements' states by idempotency key."""
    with store.read() as conn:
        return {row.source_id: row.state for row in conn.execute(sa.select(movement))}


# The inbox


def test_a_movement_enters_once(store: Store) -> None:
    first = moved(HAT, -2, "1")
    assert add(store, first, moved(HAT, -1, "2"), first) == 2
    assert add(store, replace(first, delta=-9), moved(CAP, -1, "3")) == 1
    assert only_delta(claim(store, "a"), HAT) == -3
    with store.read() as conn:
        recorded = store.stock.recorded(conn, LINK, Source.API, ["1", "3", "4"])
        assert store.stock.recorded(conn, "at", Source.API, ["1"]) == {}
    said = (first.sku, first.channel, -2, None, first.occurred_at)
    assert recorded["1"] == said
    assert recorded.keys() == {"1", "3"}


def test_the_key_is_unique_within_link_and_source(store: Store) -> None:
    same = moved(HAT, -1, "1")
    assert add(store, same, replace(same, link="at"), replace(same, source=Source.FILE)) == 3


def test_many_movements_enter_at_once(store: Store) -> None:
    assert add(store, *(moved(HAT, -1, str(number)) for number in range(1201))) == 1201
    assert add(store, *(moved(HAT, -1, str(number)) for number in range(1200, 1210))) == 9
    assert only(store, "a").delta == -1210


def test_who_adds_the_same_at_once_adds_it_once(store: Store) -> None:
    def work(number: int) -> int:
        ids = range(200) if number % 2 else range(199, -1, -1)
        return add(store, *(moved(HAT, -1, str(id_)) for id_ in ids))

    assert sum(together(work, 4)) == 200
    assert only(store, "a").delta == -200


def only_delta(batches: Iterable[Batch], place: Place) -> int | None:
    (found,) = [batch.delta for batch in batches if batch.place == place]
    return found


# Claims


def test_all_movements_of_an_entry_are_netted(store: Store) -> None:
    add(store, moved(HAT, -2, "1"), moved(CAP, -1, "2"), moved(HAT, 5, "3"), moved(RUG, 1, "4"))
    add(store, moved(HAT, -1, "5", link="at"))
    found = claim(store, "a")
    assert [(batch.place, batch.delta, batch.attempts) for batch in found] == [
        (HAT, 2, 0),
        (CAP, -1, 0),
        (RUG, 1, 0),
    ]
    assert all(batch.entry_id is None for batch in found)
    assert set(states(store).values()) == {"batched"}
    assert store.stock.links_of([found[0].id]) == {found[0].id: ["at", "de"]}


def test_a_claim_holds_at_most_what_was_asked_for_the_oldest_first(store: Store) -> None:
    add(store, moved(RUG, 1, "1"), moved(HAT, -2, "2"), moved(CAP, -1, "3"), moved(RUG, 1, "4"))
    assert [batch.place for batch in claim(store, "a", limit=2)] == [RUG, HAT]
    assert [batch.place for batch in claim(store, "b", limit=2)] == [CAP]
    assert claim(store, "c") == []


def test_projects_do_not_mix(store: Store) -> None:
    add(store, moved(HAT, -2, "1"))
    assert store.stock.claim("commercetools/other", "a", limit=9, lease_seconds=LEASE) == []
    assert not store.stock.has_waiting("commercetools/other")
    assert store.stock.has_waiting(PROJECT)


def test_later_movements_wait_behind_a_batch(store: Store) -> None:
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    add(store, moved(HAT, -1, "2"))
    assert claim(store, "b") == []
    assert not store.stock.has_waiting(PROJECT)
    settle(store, Applied(batch.id, at(HAT, 3), before=5))
    assert store.stock.has_waiting(PROJECT)
    assert only(store, "b").delta == -1


def test_two_batches_of_an_entry_are_impossible(store: Store, store_url: URL) -> None:
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    with database(store_url).read() as conn:
        row = conn.execute(sa.select(stock_batch).where(stock_batch.c.id == batch.id)).one()._asdict()
    with pytest.raises(sa.exc.IntegrityError), database(store_url).begin() as conn:
        conn.execute(stock_batch.insert().values({**row, "id": "another"}))


@pytest.mark.parametrize("how", ["threads", "processes"])
def test_every_movement_is_claimed_by_one(store: Store, how: str) -> None:
    places = [Place(f"SKU-{number:03}", "store-oslo") for number in range(60)]
    add(store, *(moved(place, -1, f"{place.sku}/{n}") for place in places for n in range(5)))

    def work(number: int) -> list[tuple[str, int | None]]:
        found = []
        while batches := claim(store, f"worker {number}", limit=7):
            found += [(batch.place.sku, batch.delta) for batch in batches]
        return found

    found = _in_threads(work, 4) if how == "threads" else together(work, 4)
    assert sorted(chain.from_iterable(found)) == [(place.sku, -5) for place in places]


def _in_threads(work: Any, number: int) -> list[Any]:
    results: list[Any] = [None] * number

    def run(index: int) -> None:
        results[index] = work(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# Leases


def test_what_somebody_left_behind_is_taken_over_as_it_is(store: Store, store_url: URL) -> None:
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    assert store.stock.aim("a", [Aim(batch.id, "entry-1", -2)], LEASE) == {batch.id}
    add(store, moved(HAT, -5, "2"))
    assert claim(store, "b") == []
    let_time_pass(store_url)
    assert store.stock.has_waiting(PROJECT)
    assert only(store, "b") == replace(batch, attempts=1, entry_id="entry-1")
    assert claim(store, "c") == []


def test_who_was_succeeded_may_do_nothing_but_tell_that_it_is_applied(store: Store, store_url: URL) -> None:
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    let_time_pass(store_url)
    assert only(store, "b").id == batch.id
    assert store.stock.aim("a", [Aim(batch.id, "entry-1", -2)], LEASE) == set()
    assert store.stock.renew([batch.id], "a", LEASE) == set()
    store.stock.hand_back([batch.id], "a")
    with store.begin() as conn:
        assert not store.stock.park(conn, batch.id, "a", "why", 0)
        assert store.stock.review(conn, batch.id, "a", "why") == 0
    assert claim(store, "c") == []
    assert settle(store, Applied(batch.id, at(HAT, 3))) == 1
    assert store.stock.aim("b", [Aim(batch.id, "entry-1", -2)], LEASE) == set()


def test_an_owner_whose_lease_ended_goes_on_while_nobody_took_over(store: Store, store_url: URL) -> None:
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    let_time_pass(store_url)
    assert store.stock.renew([batch.id], "a", LEASE) == {batch.id}
    assert claim(store, "b") == []


def test_a_lease_is_extended_by_aiming_and_renewing(store: Store) -> None:
    add(store, moved(HAT, -2, "1"), moved(CAP, -2, "2"))
    hat, cap = claim(store, "a", lease=-1)
    store.stock.aim("a", [Aim(hat.id, "entry-1", -2)], LEASE)
    assert [batch.id for batch in claim(store, "b", lease=-1)] == [cap.id]
    store.stock.renew([cap.id], "b", LEASE)
    assert claim(store, "c") == []


def test_what_is_handed_back_is_taken_at_once_or_later(store: Store, store_url: URL) -> None:
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    store.stock.hand_back([batch.id], "a")
    assert store.stock.aim("a", [Aim(batch.id, "entry-1", -2)], LEASE) == set()
    assert only(store, "b").attempts == 1
    store.stock.hand_back([batch.id], "b", retry_seconds=600)
    assert claim(store, "c") == []
    assert not store.stock.has_waiting(PROJECT)
    let_time_pass(store_url)
    assert only(store, "c").attempts == 2


def test_a_batch_that_is_settled_meanwhile_is_not_opened_again(store: Store, store_url: URL) -> None:
    """On PostgreSQL a claim may meet a batch whose late owner is just settling it."""
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    let_time_pass(store_url)
    found: list[list[Batch]] = []
    claiming = threading.Thread(target=lambda: found.append(claim(store, "b")))
    with store.begin() as conn:
        store.stock.settle(conn, PROJECT, [Applied(batch.id, at(HAT, 3))])
        claiming.start()
        claiming.join(0.3)
    claiming.join()
    assert found == [[]]
    assert states(store) == {"1": "applied"}
    assert not store.stock.has_waiting(PROJECT)


# Ends


def test_a_batch_is_settled_once(store: Store) -> None:
    add(store, moved(HAT, -2, "1"), moved(HAT, -1, "2"))
    batch = only(store, "a")
    assert settle(store, Applied(batch.id, at(HAT, 3, version=7), before=6)) == 2
    assert settle(store, Applied(batch.id, at(HAT, 99, version=3))) == 0
    assert store.stock.positions(PROJECT, [HAT, CAP]) == {HAT: at(HAT, 3, version=7)}
    assert states(store) == {"1": "applied", "2": "applied"}
    assert store.stock.backlog(PROJECT) == Backlog(0, 0, 0, 0, None)


def test_what_came_to_nothing_needs_no_entry(store: Store) -> None:
    add(store, moved(HAT, -2, "1"), moved(HAT, 2, "2"))
    batch = only(store, "a")
    assert batch.delta == 0
    assert settle(store, Applied(batch.id)) == 2
    assert store.stock.positions(PROJECT, [HAT]) == {}


def test_a_parked_batch_comes_back_after_a_while_or_on_request(store: Store, store_url: URL) -> None:
    add(store, moved(HAT, -2, "1"), moved(CAP, -1, "2"))
    hat, cap = claim(store, "a")
    with store.begin() as conn:
        assert store.stock.park(conn, hat.id, "a", "refused", retry_seconds=600)
    settle(store, Applied(cap.id, at(CAP, 1)))
    add(store, moved(HAT, -1, "3"), moved(CAP, -1, "4"))
    assert [batch.place for batch in claim(store, "b")] == [CAP]
    assert store.stock.backlog(PROJECT).parked == 1
    with store.begin() as conn:
        assert store.stock.unpark(conn, PROJECT, HAT)
        assert not store.stock.unpark(conn, PROJECT, RUG)
    assert only(store, "c") == replace(hat, attempts=1)
    assert store.stock.backlog(PROJECT).parked == 0


def test_movements_of_an_unknown_place_are_reviewed_and_released(store: Store) -> None:
    add(store, moved(HAT, -2, "1"), moved(HAT, -1, "2"))
    batch = only(store, "a")
    with store.begin() as conn:
        assert store.stock.review(conn, batch.id, "a", "unknown sku") == 2
    (found,) = store.stock.in_review(PROJECT)
    assert found == Reviewed(LINK, HAT, "unknown sku", 2, found.oldest)
    assert not store.stock.has_waiting(PROJECT)
    assert claim(store, "a") == []
    with store.begin() as conn:
        assert store.stock.release(conn, LINK, PROJECT, HAT, CAP) == 2
        assert store.stock.release(conn, LINK, PROJECT, HAT, CAP) == 0
    assert store.stock.in_review(PROJECT) == []
    again = only(store, "a")
    assert (again.place, again.delta, again.attempts) == (CAP, -3, 0)


def test_what_may_have_been_sent_is_not_taken_apart(store: Store) -> None:
    add(store, moved(HAT, -2, "1"))
    batch = only(store, "a")
    store.stock.aim("a", [Aim(batch.id, "entry-1", -2)], LEASE)
    with store.begin() as conn:
        assert store.stock.review(conn, batch.id, "a", "unknown sku") == 0
    assert states(store) == {"1": "batched"}


def test_a_movement_may_enter_in_review(store: Store) -> None:
    add(store, moved(HAT, -2, "1", state=MovementState.REVIEW, reason="unknown sku"))
    assert claim(store, "a") == []
    assert [one.reason for one in store.stock.in_review(PROJECT)] == ["unknown sku"]


# Counts


def test_a_count_is_planned_once_its_entry_is_read(store: Store) -> None:
    add(
        store, moved(HAT, -2, "1"), moved(HAT, None, "2", counted=10, minute=5), moved(HAT, -1, "3", minute=9)
    )
    batch = only(store, "a")
    assert batch.delta is None
    early, count, late = store.stock.movements_of([batch.id])[batch.id]
    assert (early.delta, count.counted, late.delta) == (-2, 10, -1)
    store.stock.aim("a", [Aim(batch.id, "entry-1", 4, {early.id: "counted"})], LEASE)
    assert [one.id for one in store.stock.movements_of([batch.id])[batch.id]] == [count.id, late.id]
    settle(store, Applied(batch.id, at(HAT, 9), count=count))
    assert states(store) == {"1": "excluded", "2": "applied", "3": "applied"}


def test_what_a_count_has_seen_has_no_effect_when_it_comes_late(store: Store) -> None:
    add(store, moved(HAT, None, "1", counted=10, minute=5))
    batch = only(store, "a")
    (count,) = store.stock.movements_of([batch.id])[batch.id]
    settle(store, Applied(batch.id, at(HAT, 10), count=count))
    add(
        store,
        moved(HAT, -1, "before", minute=4),
        moved(HAT, -2, "at", minute=5),
        moved(HAT, -3, "after", minute=6),
    )
    add(store, moved(HAT, None, "older", counted=7, minute=4))
    batch = only(store, "a")
    assert batch.delta == -3
    found = states(store)
    assert [found[name] for name in ("before", "at", "older", "after")] == [*["excluded"] * 3, "batched"]
    settle(store, Applied(batch.id, at(HAT, 7)))
    assert store.stock.applied_since(PROJECT, {HAT: count.occurred_at, CAP: NOON}) == {HAT: -3, CAP: 0}


@pytest.mark.parametrize("night", ["2026-11-21", "2026-11-21T013000"])
def test_a_heal_is_settled_by_a_count_that_was_taken_before_and_carried_since(
    store: Store, night: str
) -> None:
    """Unless it makes up for an order, which has moved the shelf after all."""
    heals = (
        moved(HAT, 2, f"{night}/HAT@berlin", minute=9, source=Source.HEAL),
        moved(HAT, -3, f"order-1/HAT@berlin/{night}", minute=9, source=Source.HEAL),
    )
    add(store, moved(HAT, None, "1", counted=10, minute=5))
    batch = only(store, "a")
    (count,) = store.stock.movements_of([batch.id])[batch.id]
    settle(store, Applied(batch.id, at(HAT, 10), count=count))
    add(store, *heals)
    batch = only(store, "a")
    assert batch.delta == -3
    assert states(store)[f"{night}/HAT@berlin"] == "excluded"


def test_a_heal_is_nothing_that_happened_after_a_count(store: Store) -> None:
    add(
        store,
        moved(HAT, 2, "2026-11-21/HAT@berlin", minute=9, source=Source.HEAL),
        moved(HAT, -3, "order-1/HAT@berlin/2026-11-21", minute=9, source=Source.HEAL),
    )
    batch = only(store, "a")
    assert [one.corrects for one in store.stock.movements_of([batch.id])[batch.id]] == [True, False]
    settle(store, Applied(batch.id, at(HAT, 9)))
    assert store.stock.applied_since(PROJECT, {HAT: NOON}) == {HAT: -3}


def test_a_count_stays_known_when_changes_follow(store: Store, store_url: URL) -> None:
    add(store, moved(HAT, None, "1", counted=10, minute=5))
    batch = only(store, "a")
    settle(store, Applied(batch.id, at(HAT, 10), count=store.stock.movements_of([batch.id])[batch.id][0]))
    add(store, moved(HAT, -1, "2", minute=6))
    settle(store, Applied(only(store, "a").id, at(HAT, 9)))
    with database(store_url).read() as conn:
        row = conn.execute(sa.select(stock_position)).one()
    assert (row.counted, row.counted_at, row.on_stock) == (10, NOON + timedelta(minutes=5), 9)
    add(store, moved(HAT, None, "3", counted=4, minute=5))
    assert only(store, "a").delta is None, "of two counts of the same time the one recorded last decides"


# Around


def test_the_backlog_says_what_waits_where(store: Store) -> None:
    add(store, moved(HAT, -2, "1"), moved(CAP, -1, "2"), moved(CAP, -1, "3"))
    hat, cap = claim(store, "a")
    with store.begin() as conn:
        store.stock.park(conn, hat.id, "a", "refused", 600)
    add(store, moved(RUG, 1, "4"), moved(RUG, 1, "5", state=MovementState.REVIEW))
    found = store.stock.backlog(PROJECT)
    assert (found.waiting, found.batched, found.review, found.parked) == (1, 2, 1, 1)
    assert found.oldest is not None
    assert found.oldest <= datetime.now(UTC)
    assert cap.delta == -2


def test_sales_are_named_the_latest_first(store: Store) -> None:
    kiosk: dict[str, Any] = {"source": Source.KIOSK_ORDER}
    add(
        store,
        moved(HAT, -2, "1", minute=1, reference="order 1", **kiosk),
        moved(HAT, -1, "2", minute=2, reference="order 2", **kiosk),
        moved(HAT, -3, "3", minute=3, reference="order 3", **kiosk),
        moved(HAT, 3, "4", minute=4, reference="order 3", **kiosk),
        moved(HAT, -1, "5", minute=5),
        moved(CAP, -1, "6", minute=5, reference="order 4", **kiosk),
    )
    claim(store, "a")
    assert store.stock.sales(PROJECT, HAT, 100) == [Sale("order 2", 1), Sale("order 1", 2)]
    assert store.stock.sales(PROJECT, RUG, 100) == []


def test_orders_and_their_effects_are_kept(store: Store) -> None:
    order = StoredOrder("o1", "PAID", NOON, {"lines": []}, "h1", recheck=True)
    effect = Effect("o1", HAT, -2, 1)
    with store.begin() as conn:
        store.stock.turn(conn, LINK)
        store.stock.save_orders(conn, LINK, [order, replace(order, order_id="o2", recheck=False)])
        store.stock.save_effects(conn, LINK, [effect, replace(effect, place=CAP)])
    with store.begin() as conn:
        store.stock.save_orders(conn, LINK, [replace(order, status="VOIDED", hash="h2")])
        store.stock.save_effects(conn, LINK, [replace(effect, quantity=0, revision=2)])
    with store.read() as conn:
        assert store.stock.orders(conn, LINK, ["o1"])["o1"] == replace(order, status="VOIDED", hash="h2")
        assert [one.order_id for one in store.stock.rechecks(conn, LINK)] == ["o1"]
        assert store.stock.rechecks(conn, "at") == []
        found = {one.place: one for one in store.stock.effects(conn, LINK, ["o1", "o9"])["o1"]}
    assert found == {HAT: replace(effect, quantity=0, revision=2), CAP: replace(effect, place=CAP)}


def test_adding_claiming_and_settling_at_once_loses_nothing(store: Store) -> None:
    """Four processes do all of it on the same entries; a deadlock would raise."""
    places = [Place(f"SKU-{number}", "") for number in range(12)]

    def work(number: int) -> int:
        moved_in_all = 0
        for turn in range(8):
            ordered = places if number % 2 else places[::-1]
            add(store, *(moved(place, -1, f"{number}/{turn}/{place.sku}") for place in ordered))
            batches = claim(store, f"worker {number}", limit=5)
            store.stock.aim(f"worker {number}", [Aim(b.id, "e", b.delta or 0) for b in batches], LEASE)
            moved_in_all += settle(store, *(Applied(batch.id, at(batch.place, 1)) for batch in batches))
        return moved_in_all

    done = sum(together(work, 4))
    while batches := claim(store, "last"):
        done += settle(store, *(Applied(batch.id) for batch in batches))
    assert done == 4 * 8 * len(places)
    assert set(states(store).values()) == {"applied"}
