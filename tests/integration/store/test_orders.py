"""The list of captures: who may work on an order, what is not forgotten, and that every order says why it is there."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.processes import together

from cogent_ops.domain.order_states import REJECTED
from cogent_ops.store import Store
from cogent_ops.store.orders import (
    WANTED,
    Accounting,
    Ahead,
    Capture,
    CaptureState,
    Landed,
    Origin,
    Queued,
    Settled,
    Work,
)
from cogent_ops.store.schema import order_capture
from cogent_ops.store.stock import StoredOrder

LINK = "de"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = datetime.now(UTC)
WAITING, CAPTURED, REVIEW = CaptureState.WAITING, CaptureState.CAPTURED, CaptureState.REVIEW
EXCLUDED = CaptureState.EXCLUDED


def order(id_: str, **more: Any) -> Queued:
    given: dict[str, Any] = {
        "order_id": id_,
        "order_number": f"CS-{id_}",
        "status": "PAID",
        "state": WAITING,
        "reason": "is to be looked at",
        "due_at": NOW - timedelta(minutes=1),
        "place": "Leeds",
        "currency": "GBP",
        "units": 2,
        "ordered_at": NOON,
        "changed_at": NOON,
        "confirmed_at": NOON,
        "changed": True,
        **more,
    }
    return Queued(**given)


def queue(store: Store, *orders: Queued, link: str = LINK) -> int:
    """What a poll does: the orders themselves, and their rows."""
    with store.begin() as conn:
        stored = [StoredOrder(one.order_id, one.status, NOON, {"id": one.order_id}, "h") for one in orders]
        store.stock.save_orders(conn, link, stored)
        return store.captures.queue(conn, link, orders)


def claim(
    store: Store,
    owner: str = "a",
    *,
    limit: int = 100,
    lease: float = 60,
    only: Collection[str] | None = None,
) -> list[Work]:
    return store.captures.claim(LINK, owner, datetime.now(UTC), limit=limit, lease_seconds=lease, only=only)


def row(store: Store, id_: str) -> Capture:
    with store.read() as conn:
        found = store.captures.get(conn, LINK, id_)
    assert found is not None
    return found


def settle(store: Store, *outcomes: Settled, owner: str = "a") -> set[str]:
    with store.begin() as conn:
        return store.captures.settle(conn, LINK, owner, outcomes)


def landed(work: Work, **more: Any) -> Settled:
    """It is in commercetools."""
    there = Landed(f"ct-{work.capture.order_id}", Origin.KIOSK, work.capture.status, "p-1")
    return Settled(work.capture.order_id, work.capture.revision, CAPTURED, landed=there, **more)


def change(store: Store, id_: str, **values: Any) -> None:
    with store.begin() as conn:
        conn.execute(sa.update(order_capture).where(order_capture.c.order_id == id_).values(values))


# The queue


def test_a_new_order_is_due_and_comes_with_its_content_and_contact(store: Store) -> None:
    assert queue(store, order("o1", email="ann@example.com"), order("o2")) == 2
    assert store.captures.has_due(LINK, datetime.now(UTC))
    assert not store.captures.has_due("at", datetime.now(UTC))
    first, second = claim(store)
    assert (first.capture.order_id, first.content, first.email) == ("o1", {"id": "o1"}, "ann@example.com")
    assert second.email is None
    assert "ann" not in repr(first)


def test_what_is_no_sale_is_never_due(store: Store) -> None:
    assert queue(store, order("o1", state=EXCLUDED, reason="draft basket", due_at=None)) == 0
    assert not store.captures.has_due(LINK, datetime.now(UTC))
    assert claim(store) == []


def test_an_order_that_waits_is_due_at_its_time(store: Store) -> None:
    queue(store, order("o1", due_at=datetime.now(UTC) + timedelta(hours=1)))
    assert claim(store) == []
    later = datetime.now(UTC) + timedelta(hours=2)
    assert store.captures.has_due(LINK, later)
    assert len(store.captures.claim(LINK, "a", later, limit=1, lease_seconds=60)) == 1


def test_an_order_that_did_not_change_is_left_alone(store: Store) -> None:
    queue(store, order("o1"))
    before = row(store, "o1")
    assert queue(store, order("o1", changed=False, place="York")) == 0
    assert row(store, "o1") == before


@pytest.mark.parametrize(
    ("news", "is_news"),
    [({"changed": True}, True), ({"status": "VOIDED"}, True), ({"renamed": True}, True), ({}, False)],
)
def test_what_counts_as_news(store: Store, news: dict[str, Any], is_news: bool) -> None:
    queue(store, order("o1"))
    revision = row(store, "o1").revision
    queue(store, order("o1", **{"changed": False, **news}))
    assert (row(store, "o1").revision > revision) is is_news


def test_a_captured_order_is_looked_at_again_when_it_changes_and_keeps_what_it_is(store: Store) -> None:
    queue(store, order("o1"))
    (work,) = claim(store)
    settle(store, landed(work))
    queue(store, order("o1", changed=False, renamed=True))
    assert row(store, "o1").due_at is None, "a name is ours"
    queue(store, order("o1", status="VOIDED", state=EXCLUDED, reason="voided", due_at=None))
    found = row(store, "o1")
    assert (found.state, found.status, found.reason) == (CAPTURED, "VOIDED", None)
    assert found.due_at is not None
    assert found.captured_status == "PAID"


def test_an_address_is_kept_until_the_order_is_captured(store: Store) -> None:
    queue(store, order("o1"), order("o2"))
    (work,) = claim(store, only=["o2"])
    settle(store, landed(work))
    queue(store, order("o1", email="a@example.com"), order("o2", email="b@example.com"))
    with store.read() as conn:
        assert store.captures.contact(conn, LINK, "o1") == "a@example.com"
        assert store.captures.contact(conn, LINK, "o2") is None


@pytest.mark.parametrize("held", [True, False])
def test_a_change_never_takes_an_order_from_under_a_worker(store: Store, held: bool) -> None:
    """Whoever has begun with an order finishes it, and then it is looked at again."""
    queue(store, order("o1"))
    if held:
        claim(store)
    queue(store, order("o1", status="VOIDED", state=EXCLUDED, reason="voided", due_at=None))
    found = row(store, "o1")
    assert found.state is (WAITING if held else EXCLUDED)
    assert (found.due_at is not None) is held


def test_a_rejection_is_not_undone_by_a_change(store: Store) -> None:
    queue(store, order("o1"))
    rejected = {"edits": {REJECTED: "PAID"}, "decided_by": "ann", "due_at": None}
    change(store, "o1", state=EXCLUDED, reason="rejected by a person: x", **rejected)
    queue(store, order("o1"))
    found = row(store, "o1")
    assert (found.state, found.reason) == (EXCLUDED, "rejected by a person: x")
    assert found.due_at is not None, "it is judged again"


def test_when_it_was_first_a_sale_is_kept(store: Store) -> None:
    queue(store, order("o1", status="PLACED", confirmed_at=None))
    assert row(store, "o1").confirmed_at is None
    queue(store, order("o1", confirmed_at=NOON))
    queue(store, order("o1", confirmed_at=NOON + timedelta(hours=1)))
    assert row(store, "o1").confirmed_at == NOON


# Claims


def test_an_order_is_one_workers_at_a_time(store: Store) -> None:
    queue(store, *(order(f"o{n}") for n in range(5)))
    mine, yours = claim(store, "a", limit=3), claim(store, "b")
    assert {one.capture.order_id for one in mine + yours} == {f"o{n}" for n in range(5)}
    assert len(mine) == 3
    assert claim(store, "c") == []


def test_processes_that_claim_together_share(store: Store) -> None:
    queue(store, *(order(f"o{n:02}") for n in range(40)))

    def work(number: int) -> list[str]:
        return [one.capture.order_id for _ in range(4) for one in claim(store, f"p{number}", limit=5)]

    taken = [id_ for ids in together(work, 3) for id_ in ids]
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 40


def test_the_order_that_waits_longest_comes_first(store: Store) -> None:
    due = {"new": NOW - timedelta(minutes=1), "old": NOW - timedelta(hours=1)}
    queue(store, *(order(id_, due_at=moment) for id_, moment in due.items()))
    assert [one.capture.order_id for one in claim(store, limit=1)] == ["old"]


def test_a_dead_workers_order_is_taken_over_and_settled_by_its_successor_alone(store: Store) -> None:
    queue(store, order("o1"))
    (lost,) = claim(store, "dead", lease=-1)
    (work,) = claim(store, "heir")
    assert work.capture.attempts == 2
    assert settle(store, landed(lost), owner="dead") == set()
    assert row(store, "o1").state is WAITING
    assert settle(store, landed(work), owner="heir") == {"o1"}
    assert row(store, "o1").owner is None


def test_only_named_orders_are_claimed(store: Store) -> None:
    queue(store, *(order(f"o{n}") for n in range(4)))
    assert [one.capture.order_id for one in claim(store, only=["o3", "o9", "o1"])] == ["o1", "o3"]
    assert claim(store, only=[]) == []


def test_a_lease_goes_on_and_ends(store: Store) -> None:
    queue(store, order("o1"))
    claim(store, "a", lease=-1)
    assert store.captures.renew(LINK, "a", ["o1"], 60) == {"o1"}
    assert store.captures.renew(LINK, "b", ["o1"], 60) == set()
    assert claim(store, "b") == []
    store.captures.hand_back(LINK, "b", ["o1"])
    assert claim(store, "b") == []
    store.captures.hand_back(LINK, "a", ["o1"])
    assert len(claim(store, "b")) == 1


def test_what_is_about_to_be_sent_is_noted_by_its_owner_only(store: Store) -> None:
    queue(store, order("o1"), order("o2"))
    claim(store, "a", only=["o1"])
    ahead = [Ahead(id_, "hash", "GBP", 1999, 3) for id_ in ("o1", "o2")]
    assert store.captures.ahead(LINK, "a", ahead, 60) == {"o1"}
    found = row(store, "o1")
    assert (found.state, found.draft_hash, found.currency) == (CaptureState.SENDING, "hash", "GBP")
    assert (found.total, found.units) == (1999, 3)
    assert row(store, "o2").state is WAITING


# Outcomes


def test_an_outcome_does_not_take_a_later_change_off_the_list(store: Store) -> None:
    queue(store, order("o1"))
    (work,) = claim(store)
    queue(store, order("o1", status="REFUNDED"))
    assert settle(store, landed(work)) == {"o1"}
    found = row(store, "o1")
    assert (found.state, found.captured_status, found.status) == (CAPTURED, "PAID", "REFUNDED")
    assert store.captures.has_due(LINK, datetime.now(UTC))


def test_a_retry_counts_and_a_result_starts_anew(store: Store) -> None:
    queue(store, order("o1"))
    for attempt in (1, 2):
        (work,) = claim(store)
        assert work.capture.attempts == attempt
        later = Settled("o1", work.capture.revision, WAITING, "out of reach", NOON, is_retry=True)
        settle(store, later)
    (work,) = claim(store)
    settle(store, Settled("o1", work.capture.revision, REVIEW, "order line"))
    assert (row(store, "o1").attempts, row(store, "o1").due_at) == (0, None)


def test_the_first_capture_counts(store: Store) -> None:
    queue(store, order("o1"))
    (work,) = claim(store)
    settle(store, landed(work))
    first = row(store, "o1").captured_at
    assert first is not None
    queue(store, order("o1", status="REFUNDED"))
    (again,) = claim(store)
    there = Landed("ct-o1", Origin.KIOSK, "REFUNDED", tell=False)
    change(store, "o1", tell_at=None)
    settle(store, Settled("o1", again.capture.revision, CAPTURED, landed=there))
    found = row(store, "o1")
    assert (found.captured_at, found.captured_status, found.tell_at) == (first, "REFUNDED", None)
    assert found.payment_id == "p-1", "what an outcome does not say stays"


def test_what_an_outcome_sets_right_joins_what_people_did(store: Store) -> None:
    queue(store, order("o1"))
    change(store, "o1", edits={"location": "leeds"})
    (work,) = claim(store)
    settle(store, landed(work, edits={"stock": "none"}))
    assert row(store, "o1").edits == {"location": "leeds", "stock": "none"}


def test_orders_that_were_excluded_for_a_reason_are_reopened(store: Store) -> None:
    excluded = {"state": EXCLUDED, "due_at": None}
    queue(store, order("o1", reason="old", **excluded), order("o2", reason="other", **excluded), order("o3"))
    with store.begin() as conn:
        assert store.captures.reopen(conn, LINK, ["o1", "o2", "o3"], "old", "wanted") == 1
    found = row(store, "o1")
    assert (found.state, found.reason, found.edits) == (WAITING, "wanted", {WANTED: "wanted"})
    assert [one.capture.order_id for one in claim(store)] == ["o3", "o1"]


# Looking up


def test_orders_are_found_by_every_name(store: Store) -> None:
    queue(store, order("o1"), order("o2"))
    queue(store, order("o1"), link="at")
    (work,) = claim(store, only=["o1"])
    settle(store, landed(work))
    with store.read() as conn:
        captures = store.captures
        assert set(captures.by_ids(conn, LINK, ["o1", "o2", "o9"])) == {"o1", "o2"}
        assert set(captures.by_numbers(conn, LINK, ["CS-o2", "CS-o9"])) == {"CS-o2"}
        assert captures.by_ct_orders(conn, LINK, ["ct-o1", "ct-o9"])["ct-o1"].order_id == "o1"
        assert captures.by_ct_orders(conn, "at", ["ct-o1"]) == {}
        assert captures.get(conn, LINK, "o9") is None
        assert captures.content(conn, LINK, "o1") == {"id": "o1"}
        assert captures.content(conn, LINK, "o9") is None
        found = captures.work(conn, LINK, "o2")
        assert found is not None
        assert found.content == {"id": "o2"}


def test_orders_of_an_older_release_are_found(store: Store) -> None:
    queue(store, order("o1"))
    with store.begin() as conn:
        store.stock.save_orders(conn, LINK, [StoredOrder("o2", "PAID", NOON, {"id": "o2"}, "h")])
    assert store.captures.unqueued(LINK, 10) == [{"id": "o2"}]
    assert store.captures.unqueued("at", 10) == []


def test_orders_of_a_window(store: Store) -> None:
    hours = [StoredOrder(f"o{n}", "PAID", NOON + timedelta(hours=n), {}, "h") for n in range(4)]
    with store.begin() as conn:
        store.stock.save_orders(conn, LINK, hours)
    window = NOON + timedelta(hours=1), NOON + timedelta(hours=3)
    assert store.captures.changed_between(LINK, *window) == ["o1", "o2"]


def test_captured_orders_of_a_window(store: Store) -> None:
    queue(store, *(order(f"o{n}", ordered_at=NOON + timedelta(hours=n)) for n in range(4)))
    settle(store, *(landed(work) for work in claim(store, only=["o1", "o3"])))
    assert store.captures.captured_between(LINK, NOON + timedelta(hours=1), NOON + timedelta(hours=3)) == 1


# Accounting


def test_the_numbers_add_up(store: Store) -> None:
    excluded = {"state": EXCLUDED, "due_at": None}
    queue(
        store,
        order("captured"),
        order("pounds"),
        order("waiting", due_at=NOW + timedelta(minutes=5), reason="waits for its payment"),
        order("sending"),
        order("review"),
        order("draft", reason="draft basket", **excluded),
        order("rejected", reason="rejected by a person: a fake", **excluded),
        order("rejected too", reason="rejected by a person: another", **excluded),
        order("later", ordered_at=NOON + timedelta(days=1)),
    )
    for work in claim(store, only=["captured", "pounds", "sending", "review"]):
        id_ = work.capture.order_id
        if id_ == "review":
            settle(store, Settled(id_, work.capture.revision, REVIEW, "order line"))
        elif id_ == "sending":
            store.captures.ahead(LINK, "a", [Ahead(id_, "h", "GBP", 1, 1)], 60)
        else:
            currency = "GBP" if id_ == "pounds" else "EUR"
            there = Landed(f"ct-{id_}", Origin.KIOSK, "PAID", currency=currency, total=1250)
            settle(store, Settled(id_, work.capture.revision, CAPTURED, landed=there))
    found = store.captures.accounting(LINK, NOON, NOON + timedelta(hours=1))
    assert found == Accounting(
        seen=8,
        captured=2,
        waiting={"waits for its payment": 1, "is to be looked at": 1},
        review={"order line": 1},
        excluded={"draft basket": 1, "rejected by a person": 2},
        unexplained=0,
        money={"GBP": 1250, "EUR": 1250},
        oldest=NOON,
    )
    assert store.captures.accounting(LINK).seen == 9
    assert store.captures.accounting("at") == Accounting(0, 0, {}, {}, {}, 0, {}, None)


def test_what_nobody_looks_at_is_unexplained(store: Store) -> None:
    ids = ("no row", "never due", "overdue", "mute", "held", "fine")
    queue(store, *(order(id_) for id_ in ids[1:]))
    with store.begin() as conn:
        store.stock.save_orders(conn, LINK, [StoredOrder("no row", "PAID", NOON, {}, "h")])
    change(store, "never due", due_at=None)
    change(store, "overdue", due_at=NOW - timedelta(hours=2))
    change(store, "mute", state=REVIEW, reason=None)
    change(store, "held", due_at=NOW - timedelta(hours=2))
    claim(store, only=["held"])
    found = store.captures.accounting(LINK)
    assert (found.seen, found.unexplained) == (6, 4)
    assert found.waiting == {"is to be looked at": 2}
