"""What the store keeps of nights."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.unit.services.test_drift_report import NIGHT, finding

from cogent_ops.domain.drift.model import Area, Cause
from cogent_ops.services.drift.nights import totals
from cogent_ops.store import Store
from cogent_ops.store.drift import FindingState
from cogent_ops.store.schema import drift_night

LINK = "default"
NOW = datetime(2027, 3, 1, tzinfo=UTC)


def record(store: Store, *kept: tuple[str, FindingState], night: str = NIGHT) -> None:
    found = [(replace(finding(subject), night=night), state) for subject, state in kept]
    with store.begin() as conn:
        store.drift.record(conn, LINK, night, totals(night, [one for one, _ in found]), found)


def test_a_finding_comes_back_as_it_was_kept(store: Store) -> None:
    record(store, ("A", FindingState.PROPOSED))
    (kept,) = store.drift.findings(LINK, NIGHT)
    assert kept.finding == finding("A")
    assert (kept.state, kept.decided_by, kept.outcome) == (FindingState.PROPOSED, None, None)
    assert store.drift.findings("other") == []


def test_a_repeated_night_finds_anew_and_keeps_decisions(store: Store) -> None:
    record(store, ("A", FindingState.PROPOSED), ("B", FindingState.PROPOSED), ("C", FindingState.REPORTED))
    (first, *_) = store.drift.findings(LINK, NIGHT)
    with store.begin() as conn:
        assert store.drift.lock(conn, [first.id], FindingState.PROPOSED) == {first.id}
        store.drift.decide(conn, [first.id], FindingState.HEALING, actor="ada", outcome="done")
        assert store.drift.lock(conn, [first.id], FindingState.PROPOSED) == set()
    record(store, ("A", FindingState.PROPOSED), ("D", FindingState.REPORTED))
    kept = {one.finding.subject: one for one in store.drift.findings(LINK, NIGHT)}
    assert {subject: one.state for subject, one in kept.items()} == {"A": "healing", "D": "reported"}
    assert (kept["A"].decided_by, kept["A"].outcome) == ("ada", "done")


def test_what_a_repeated_night_finds_again_can_still_be_answered(store: Store) -> None:
    record(store, ("A", FindingState.PROPOSED), ("B", FindingState.PROPOSED))
    asked = {one.finding.subject: one.id for one in store.drift.findings(LINK, NIGHT)}
    record(store, ("C", FindingState.REPORTED), ("B", FindingState.PROPOSED))
    again = {one.finding.subject: one.id for one in store.drift.findings(LINK, NIGHT)}
    assert again.keys() == {"B", "C"}
    assert again["B"] == asked["B"]


def test_the_trend_has_the_youngest_nights_and_the_totals_of_all_findings(store: Store) -> None:
    nights = [f"2026-11-{day:02d}" for day in range(1, 6)]
    for night in nights:
        store.drift.begin(LINK, night, "run", backfilled=False)
    record(store, ("A", FindingState.REPORTED), night=nights[0])
    record(store, ("A", FindingState.REPORTED), ("B", FindingState.REPORTED), night=nights[3])
    assert [(one.night, one.findings) for one in store.drift.trend(LINK, 30, nights[-1])] == [
        (nights[0], 1),
        (nights[3], 2),
    ]
    (total,) = store.drift.trend(LINK, 2, nights[3])
    assert [one.night for one in store.drift.nights(LINK, 2, until=nights[3])] == [nights[3], nights[2]]
    assert (total.area, total.cause, total.currency) == (Area.STOCK, Cause.LOST, "GBP")
    assert (total.units, total.amount) == (4, 2100)
    assert store.drift.trend(LINK, 1, nights[-1]) == []
    assert store.drift.of_run(LINK, "run") == nights[-1]
    assert store.drift.of_run(LINK, "another") is None


@pytest.mark.parametrize(
    ("cause", "settles"),
    [
        (Cause.COUNT_DIFFERENCE, True),
        (Cause.MANUAL_EDIT, True),
        (Cause.MISSING_ENTRY, True),
        (Cause.UNEXPLAINED, True),
        (Cause.DUPLICATED, False),
        (Cause.LOST, False),
        (Cause.LATE, False),
    ],
)
def test_what_a_later_night_says_of_the_same_place(store: Store, cause: Cause, settles: bool) -> None:
    record(store, ("A", FindingState.PROPOSED), night="2026-11-01")
    later = replace(finding("A"), night="2026-11-02", cause=cause, reference="")
    with store.begin() as conn:
        store.drift.record(conn, LINK, later.night, [], [(later, FindingState.REPORTED)])
    assert store.drift.at(LINK, ["A", "B"], "2026-11-01") == ({"A"} if settles else set())
    assert store.drift.at(LINK, ["A", "B"], "2026-11-02") == set()


def test_what_a_later_night_says_of_the_same_order(store: Store) -> None:
    for night in ("2026-11-01", "2026-11-02"):
        lost = replace(finding("A (order 7)"), night=night, cause=Cause.LOST, reference="7")
        with store.begin() as conn:
            store.drift.record(conn, LINK, night, [], [(lost, FindingState.PROPOSED)])
    assert store.drift.at(LINK, ["A (order 7)"], "2026-11-01") == {"A (order 7)"}


def test_old_nights_go_with_what_they_found_unless_something_is_still_to_come_of_it(store: Store) -> None:
    names = [f"2026-11-{day:02d}" for day in range(1, 6)]
    states = [FindingState.REPORTED, FindingState.HEALING, *[FindingState.REPORTED] * 3]
    began = {night: NOW - timedelta(days=100 - day) for day, night in enumerate(names)}
    for night, state in zip(names, states, strict=True):
        store.drift.begin(LINK, night, "run", backfilled=False)
        record(store, *((subject, state) for subject in "ABC"), night=night)
        with store.begin() as conn:
            n = drift_night.c
            conn.execute(sa.update(drift_night).where(n.night == night).values(started_at=began[night]))
    assert store.drift.purge("other", NOW, 100) == 0
    before = began[names[2]]
    assert [store.drift.purge(LINK, before, 2) for _ in range(3)] == [2, 2, 0]
    left = names[1:]
    assert [one.night for one in store.drift.nights(LINK, 9)] == left[::-1]
    assert sorted({one.finding.night for one in store.drift.findings(LINK)}) == left
    assert [one.night for one in store.drift.trend(LINK, 9, names[-1])] == left
    # The youngest stays, however old it is.
    while store.drift.purge(LINK, NOW, 100):
        pass
    assert [one.night for one in store.drift.nights(LINK, 9)] == [names[4], names[1]]
