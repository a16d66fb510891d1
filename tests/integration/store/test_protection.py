"""What the ledger says commercetools lacks, and rows of protection with their two entries in the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa

from cogent_ops.domain.health.risk import Risk, Settled, Sold, Unsent
from cogent_ops.domain.stock import MovementState, NewMovement, Place, Source
from cogent_ops.store import Store
from cogent_ops.store.protection import Signs
from cogent_ops.store.schema import audit_log
from cogent_ops.store.stock import Aim, Applied, Position

LINK, PROJECT = "de", "commercetools/p"
COAT, RUG, HAT = Place("coat", "berlin"), Place("rug", "bonn"), Place("hat", "")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
_IDS = count()


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def sell(store: Store, place: Place, units: int = 1, seconds: float = 90, **more: Any) -> None:
    id_ = f"m{next(_IDS)}"
    fields: dict[str, Any] = {"link": LINK, "source": Source.KIOSK_ORDER, "delta": -units, **more}
    sale = NewMovement(
        project=PROJECT,
        sku=place.sku,
        channel=place.channel,
        source_id=id_,
        reference=id_,
        occurred_at=ago(seconds),
        **fields,
    )
    with store.begin() as conn:
        store.stock.add_movements(conn, [sale])


def unsent(store: Store, *skus: str) -> dict[Place, Unsent]:
    with store.read() as conn:
        return store.protection.unsent(conn, PROJECT, skus or None)


def apply(store: Store) -> None:
    batches = store.stock.claim(PROJECT, "w", limit=50, lease_seconds=60)
    store.stock.aim("w", [Aim(one.id, "e", one.delta or 0) for one in batches], 60)
    with store.begin() as conn:
        store.stock.settle(
            conn, PROJECT, [Applied(one.id, Position(one.place, "e", 1, 5, 5)) for one in batches]
        )


def risk(place: Place, pending: int = 1, expected: int = 0) -> Risk:
    return Risk(place, pending, expected, 0, timedelta(seconds=90), 12.0)


def protect(store: Store, *risks: Risk, moment: datetime = NOW) -> set[Place]:
    with store.begin() as conn:
        return store.protection.protect(conn, LINK, risks, moment)


def release(store: Store, *places: Place, moment: datetime = NOW) -> None:
    with store.begin() as conn:
        store.protection.release(conn, LINK, places, moment)


def logged(store: Store) -> list[tuple[str, str, dict[str, Any]]]:
    query = sa.select(audit_log.c.subject, audit_log.c.action, audit_log.c.detail).order_by(audit_log.c.id)
    with store.read() as conn:
        return [(subject, action, detail) for subject, action, detail in conn.execute(query)]


# What commercetools lacks


def test_what_waits_and_what_is_under_way_is_counted_once(store: Store) -> None:
    sell(store, COAT, 2)
    sell(store, COAT, -1, 30)
    sell(store, HAT)
    assert unsent(store) == {
        COAT: Unsent(COAT, ago(90), waiting=-1),
        HAT: Unsent(HAT, ago(90), waiting=-1),
    }
    (batch, _) = store.stock.claim(PROJECT, "w", limit=5, lease_seconds=60)
    sell(store, COAT, 4, 10)
    sell(store, COAT, 9, link="at")
    assert unsent(store)[COAT] == Unsent(COAT, ago(90), -13, batch.id, -1), "of all links of the project"
    assert unsent(store, "hat").keys() == {HAT}
    with store.begin() as conn:
        store.stock.park(conn, batch.id, "w", "no", 60)
    assert unsent(store)[COAT].is_stuck


def test_what_commercetools_has_is_not_lacking(store: Store) -> None:
    sell(store, COAT)
    apply(store)
    sell(store, RUG, state=MovementState.REVIEW, reason="unknown sku")
    sell(store, RUG, state=MovementState.EXCLUDED, reason="before the start")
    assert unsent(store) == {}


def test_a_count_decides_about_what_came_before_it(store: Store) -> None:
    sell(store, COAT, delta=None, counted=7, seconds=50)
    assert unsent(store)[COAT].pending() == 0, "nobody knows yet what it comes to"
    (batch,) = store.stock.claim(PROJECT, "w", limit=5, lease_seconds=60)
    with store.begin() as conn:
        count_ = store.stock.movements_of([batch.id])[batch.id][0]
        done = Applied(batch.id, Position(COAT, "e", 1, 7, 7), count=count_)
        store.stock.settle(conn, PROJECT, [done])
    sell(store, COAT, 3, seconds=80)
    assert COAT not in unsent(store), "it was sold before the count"
    sell(store, COAT, 2, seconds=20)
    assert unsent(store)[COAT].pending() == 2


def test_an_aimed_batch_comes_to_what_is_sent(store: Store) -> None:
    sell(store, COAT, delta=None, counted=7)
    (batch,) = store.stock.claim(PROJECT, "w", limit=5, lease_seconds=60)
    store.stock.aim("w", [Aim(batch.id, "e", -4)], 60)
    assert unsent(store)[COAT].pending() == 4


def test_signs(store: Store) -> None:
    marks = ("polled", "watched")
    assert store.protection.signs(LINK, PROJECT, marks) == Signs(None, None, False)
    assert not Signs(None, None, False).is_late(NOW, timedelta())
    with store.begin() as conn:
        store.watermarks.set(conn, LINK, "polled", ago(200))
        store.watermarks.set(conn, LINK, "watched", ago(100))
        store.watermarks.set(conn, "at", "watched", ago(1))
    sell(store, COAT, seconds=40)
    sell(store, RUG, seconds=4000, source=Source.FILE)
    found = store.protection.signs(LINK, PROJECT, marks)
    assert (found.oldest, found.orders_read_at) == (ago(40), ago(100))
    assert found.is_late(NOW, timedelta(seconds=99))
    assert not found.is_late(NOW, timedelta(seconds=100))
    store.stock.claim(PROJECT, "w", limit=5, lease_seconds=60)
    assert store.protection.signs(LINK, PROJECT, marks).oldest == ago(40)
    protect(store, risk(COAT))
    assert store.protection.signs(LINK, PROJECT, marks).is_protecting
    assert not store.protection.signs("at", PROJECT, marks).is_protecting


def test_what_kiosks_sold(store: Store) -> None:
    for seconds, units in ((100, 2), (700, 3), (5000, 1), (20_000, 9), (700, -1)):
        sell(store, COAT, units, seconds)
    sell(store, COAT, 50, 100, source=Source.FILE)
    sell(store, COAT, 50, 100, link="at")
    sell(store, RUG, 7, 10)
    apply(store)
    assert store.protection.sold(LINK, NOW, 2.0) == {COAT: Sold(5, 2), RUG: Sold(7, 7)}
    assert store.protection.sold(LINK, ago(600), 2.0) == {COAT: Sold(3, 2)}


# Protected places


def test_begin_and_release_are_logged_once(store: Store) -> None:
    assert protect(store, risk(COAT, 2, 1), risk(HAT)) == {COAT, HAT}
    assert protect(store, risk(COAT, 5), moment=ago(-10)) == set()
    assert protect(store, risk(RUG), moment=ago(-20)) == {RUG}
    row = store.protection.rows(LINK)[COAT]
    assert (row.buffer, row.most, row.pending, row.expected, row.since) == (5, 5, 5, 0, NOW)
    release(store, COAT, RUG, moment=ago(-60))
    release(store, COAT, Place("never", "protected"), moment=ago(-61))
    release(store, HAT, moment=ago(-90))
    assert store.protection.rows(LINK) == {}
    assert [(subject, action) for subject, action, _ in logged(store)] == [
        ("link/de", "begin_protection"),
        ("protection/coat@berlin", "begin"),
        ("protection/hat@(no channel)", "begin"),
        ("protection/rug@bonn", "begin"),
        ("protection/coat@berlin", "release"),
        ("protection/rug@bonn", "release"),
        ("protection/hat@(no channel)", "release"),
        ("link/de", "end_protection"),
    ]
    details = {(subject, action): detail for subject, action, detail in logged(store)}
    assert details["link/de", "begin_protection"] == {"places": 2, "units": 4}
    assert details["link/de", "end_protection"]["seconds"] == 90
    assert details["protection/coat@berlin", "begin"] == {
        "buffer": 3,
        "pending": 2,
        "expected": 1,
        "reserved": 0,
        "age_seconds": 90.0,
        "rate_per_hour": 12.0,
    }
    assert details["protection/coat@berlin", "release"] == {
        "most": 5,
        "since": NOW.isoformat(),
        "seconds": 60.0,
    }


def test_links_are_protected_apart(store: Store) -> None:
    protect(store, risk(COAT))
    with store.begin() as conn:
        store.protection.protect(conn, "at", [risk(COAT)], NOW)
        store.protection.release(conn, "at", [COAT], NOW)
    assert store.protection.rows(LINK).keys() == {COAT}
    assert [action for subject, action, _ in logged(store) if subject == "link/at"] == [
        "begin_protection",
        "end_protection",
    ]


def test_what_is_in_force_is_kept(store: Store) -> None:
    protect(store, risk(COAT, 2, 1))
    with store.begin() as conn:
        store.protection.in_force(conn, LINK, {COAT: 7, RUG: 3}, NOW)
        store.protection.in_force(conn, LINK, {COAT: 4}, NOW)
    row = store.protection.rows(LINK)[COAT]
    assert (row.buffer, row.pending, row.expected, row.most) == (4, 3, 1, 7)
    assert RUG not in store.protection.rows(LINK)
    with store.begin() as conn:
        store.protection.end(conn, LINK, [COAT], NOW)
    assert store.protection.rows(LINK)[COAT].is_ending
    assert protect(store, risk(COAT, 1)) == set()
    assert not store.protection.rows(LINK)[COAT].is_ending, "late again before it was released"


def test_holds_say_what_an_entry_may_lack(store: Store) -> None:
    sell(store, COAT, 2)
    apply(store)
    (done,) = store.stock.positions(PROJECT, [COAT]).values()
    assert done.entry_id == "e"
    sell(store, COAT, 3)
    sell(store, RUG, 1)
    protect(store, risk(COAT, 3, 1))
    with store.begin() as conn:
        holds = store.protection.holds(conn, LINK, PROJECT, ["coat", "rug"])
    assert set(holds) == {COAT}
    hold = holds[COAT]
    assert isinstance(hold.settled, Settled)
    assert hold.settled.units == -2
    assert hold.units(hold.settled.batch, NOW) == 4
    assert hold.units("older", hold.settled.at) == 6
    store.stock.claim(PROJECT, "w", limit=5, lease_seconds=60)
    with store.begin() as conn:
        sending = store.protection.sending(conn, PROJECT, ["coat", "rug", "hat"])
        holds = store.protection.holds(conn, LINK, PROJECT, ["coat"])
    assert set(sending) == {COAT, RUG}
    assert holds[COAT].units(sending[COAT], None) == 1


def test_many_at_once(store: Store) -> None:
    places = [Place(f"sku-{number:04}", "berlin") for number in range(1000)]
    for start in range(0, 1000, 400):
        protect(store, *(risk(place) for place in places[start : start + 400]))
    assert len(store.protection.rows(LINK)) == 1000
    with store.begin() as conn:
        assert len(store.protection.holds(conn, LINK, PROJECT, [place.sku for place in places])) == 1000
        assert store.protection.sending(conn, PROJECT, [place.sku for place in places]) == {}
