"""Sources outside and their gaps, what is read again because of them, and when orders came from which store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.integration.store.test_availability import claim_flags, show, tell, want
from tests.support.arrivals import Sold, arrive

from cogent_ops.domain.health.silence import Arrivals
from cogent_ops.store import Store
from cogent_ops.store.availability import AT_ONCE, READ_AGAIN, Overtaken
from cogent_ops.store.health_gaps import Gap
from cogent_ops.store.schema import variant_flag

LINK = "de"
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)


def saw(store: Store, name: str, status: str, at: datetime, *, reference: str = "", link: str = LINK) -> None:
    with store.begin() as conn:
        store.gaps.saw(
            conn, link, "subscription", name, status, at, is_healthy=status == "Healthy", reference=reference
        )


def begin(store: Store, name: str, at: datetime, **detail: str) -> Gap:
    with store.begin() as conn:
        return store.gaps.begin(conn, LINK, "subscription", name, at, detail)


# Sources


def test_a_source_remembers_when_it_was_in_order_last(store: Store) -> None:
    assert store.gaps.source(LINK, "subscription", "erp") is None
    saw(store, "erp", "ManuallySuspended", NOON)
    found = store.gaps.source(LINK, "subscription", "erp")
    assert found is not None
    assert (found.status, found.healthy_at) == ("ManuallySuspended", None)
    saw(store, "erp", "Healthy", NOON + HOUR, reference="1")
    saw(store, "erp", "TemporaryError", NOON + 2 * HOUR, reference="1")
    saw(store, "pim", "Healthy", NOON)
    saw(store, "erp", "Healthy", NOON, link="fr")
    found = store.gaps.sources(LINK, "subscription")["erp"]
    assert (found.status, found.healthy_at, found.looked_at) == (
        "TemporaryError",
        NOON + HOUR,
        NOON + 2 * HOUR,
    )
    with store.begin() as conn:
        store.gaps.forget(conn, LINK, "subscription", "erp")
    assert store.gaps.sources(LINK, "subscription").keys() == {"pim"}
    assert store.gaps.sources("fr", "subscription").keys() == {"erp"}


# Gaps


def test_a_gap_lives_until_it_is_reconciled(store: Store) -> None:
    gap = begin(store, "erp", NOON, status="stopped")
    assert begin(store, "erp", NOON + HOUR, status="suspended").id == gap.id, "it goes on"
    with store.begin() as conn:
        store.gaps.end(conn, gap, NOON + 2 * HOUR)
        store.gaps.end(conn, gap, NOON + 3 * HOUR)
        store.gaps.replayed(conn, gap, NOON + 3 * HOUR)
        store.gaps.note(conn, gap, {"left": ["stock"]})
    (found,) = store.gaps.open(LINK)
    assert (found.began_at, found.ended_at, found.replayed_at, found.reconciled_at) == (
        NOON,
        NOON + 2 * HOUR,
        NOON + 3 * HOUR,
        None,
    )
    assert found.detail == {"left": ["stock"]}
    with store.begin() as conn:
        store.gaps.close(conn, gap, NOON + 4 * HOUR)
    assert store.gaps.open(LINK) == []
    assert store.gaps.ongoing(LINK, "subscription", "erp") is None
    later = begin(store, "erp", NOON + 5 * HOUR)
    assert later.id != gap.id
    assert [one.id for one in store.gaps.recent(LINK, NOON + 4 * HOUR)] == [gap.id, later.id]
    assert [one.id for one in store.gaps.recent(LINK, NOON + 5 * HOUR)] == [later.id]


def test_a_gap_that_has_ended_and_begins_again_is_read_again(store: Store) -> None:
    gap = begin(store, "erp", NOON)
    with store.begin() as conn:
        store.gaps.end(conn, gap, NOON + HOUR)
        store.gaps.replayed(conn, gap, NOON + HOUR)
        store.gaps.note(conn, gap, {"reading": {"messages": 9}})
    again = begin(store, "erp", NOON + 2 * HOUR, status="stopped")
    assert (again.id, again.began_at, again.ended_at, again.replayed_at) == (gap.id, NOON, None, None)
    assert again.detail == {"status": "stopped"}


def test_gaps_of_links_and_sources_are_apart(store: Store) -> None:
    erp, pim = begin(store, "erp", NOON), begin(store, "pim", NOON)
    with store.begin() as conn:
        other = store.gaps.begin(conn, "fr", "subscription", "erp", NOON, {})
        messages = store.gaps.begin(conn, LINK, "messages", "messages", NOON, {})
        store.gaps.close(conn, pim, NOON)
    assert [one.id for one in store.gaps.open(LINK)] == [erp.id, messages.id]
    assert [one.id for one in store.gaps.open("fr")] == [other.id]


# Watermarks


def test_a_watermark_that_was_moved_back_meanwhile_stays_back(store: Store) -> None:
    marks = store.watermarks
    with store.begin() as conn:
        marks.set(conn, LINK, "availability", NOON)
        assert marks.move_back(conn, LINK, "availability", NOON - HOUR)
        assert not marks.move_back(conn, LINK, "availability", NOON), "never forward"
        assert not marks.move_back(conn, LINK, "never ran", NOON)
    with store.begin() as conn:
        assert not marks.advance(conn, LINK, "availability", NOON, NOON + HOUR), "read before it was moved"
        assert marks.advance(conn, LINK, "availability", NOON - HOUR, NOON)
        assert marks.advance(conn, LINK, "new", None, NOON)
    assert (marks.get(LINK, "availability"), marks.get(LINK, "new")) == (NOON, NOON)
    assert marks.get(LINK, "never ran") is None


# What is read again


def test_everything_is_read_again_after_what_is_urgent(store: Store) -> None:
    show(store, "a", "b", "c")
    for sku in "abc":
        want(store, sku, berlin=1)
    assert store.availability.unread(LINK) == 0
    with store.begin() as conn:
        store.availability.read_again(conn, LINK)
    assert store.availability.unread(LINK) == 3
    store.availability.read_soon(LINK, ["c"], AT_ONCE)
    assert store.availability.to_read(LINK, datetime.now(UTC), 2)[0] == "c"
    want(store, "a", berlin=1)
    assert store.availability.unread(LINK) == 2
    want(store, "b", berlin=1)
    want(store, "c", berlin=1)
    assert store.availability.unread(LINK) == 0


def test_a_collection_under_way_has_not_read_what_is_to_be_read_again(store: Store) -> None:
    show(store, "a")
    turn = store.availability.begin(LINK)
    with store.begin() as conn:
        store.availability.read_again(conn, LINK)
    with pytest.raises(Overtaken):
        want(store, "a", turn, berlin=5)
    assert store.availability.unread(LINK) == 1


def test_what_is_urgent_already_stays_so(store: Store) -> None:
    show(store, "a", "new")
    want(store, "a", berlin=1)
    with store.begin() as conn:
        store.availability.read_again(conn, LINK)
    with store.read() as conn:
        due = dict(conn.execute(sa.select(variant_flag.c.sku, variant_flag.c.read_due)).all())
    assert due == {"a": READ_AGAIN, "new": AT_ONCE}


def test_what_is_not_told_has_a_name(store: Store) -> None:
    show(store, "a", "b")
    want(store, "a", berlin=3, ulm=1)
    want(store, "b", in_stock=False)
    soon = datetime.now(UTC) + HOUR
    assert store.availability.untold(LINK, soon, 10) == ["a@berlin", "a@ulm", "b"]
    assert len(store.availability.untold(LINK, soon, 2)) == 2
    assert store.availability.untold(LINK, soon - 2 * HOUR, 10) == []
    tell(store)
    (flag,) = claim_flags(store)
    store.availability.postpone_flags(LINK, "h", [flag], lambda one: soon, refused=True)
    assert store.availability.untold(LINK, soon, 10) == [], "what is refused is told elsewhere"


# Arrivals


def test_orders_are_counted_by_store_and_hour(store: Store) -> None:
    since = NOON - 5 * WEEK
    sold = [
        Sold("Berlin", NOON + timedelta(minutes=5)),
        Sold("Berlin", NOON + timedelta(minutes=55)),
        Sold("Berlin", NOON + HOUR),
        Sold("Berlin", NOON + HOUR, "draft basket"),
        Sold("Berlin", NOON + HOUR, "internal session"),
        Sold("Berlin", NOON + 2 * HOUR, "voided before it was captured"),
        Sold("", NOON),
        Sold("Ulm", since - HOUR),
    ]
    arrive(store, sold, link=LINK)
    arrive(store, [Sold("Ulm", NOON)], link="fr")
    assert store.arrivals.by_store(LINK, since) == {
        "Berlin": Arrivals(
            {NOON: 2, NOON + HOUR: 1, NOON + 2 * HOUR: 1},
            first=NOON + timedelta(minutes=5),
            last=NOON + 2 * HOUR,
        )
    }


def test_quiet_weeks_of_an_old_store_count(store: Store) -> None:
    """Of a new one nobody knows what is usual before its first order."""
    since = NOON - 5 * WEEK
    sold = [Sold("Old", since - WEEK), Sold("Old", NOON - WEEK), Sold("New", NOON - WEEK)]
    arrive(store, sold, link=LINK)
    found = store.arrivals.by_store(LINK, since)
    assert {name: one.first for name, one in found.items()} == {"Old": since, "New": NOON - WEEK}
