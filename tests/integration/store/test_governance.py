"""A month reads the same whenever it is read: what came later had not happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.engine import URL
from tests.support.calendars import LINK, Calendar
from tests.support.processes import together
from tests.support.trouble import HELD, raise_

from cogent_ops.domain.exceptions import Action, Status
from cogent_ops.store import Store, open_store
from cogent_ops.store.alerts import AlertState, Told
from cogent_ops.store.governance import Window

OCTOBER = Window(LINK, datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
SEPTEMBER = Window(LINK, datetime(2026, 9, 1, tzinfo=UTC), OCTOBER.since)
NOVEMBER = Window(LINK, OCTOBER.until, datetime(2026, 12, 1, tzinfo=UTC))


@pytest.fixture
def calendar(store: Store, monkeypatch: pytest.MonkeyPatch) -> Calendar:
    return Calendar.over(store, monkeypatch)


def test_an_exception_that_comes_back_has_lives(calendar: Calendar) -> None:
    lives = calendar.store.governance.lives
    calendar.on(10, 3).open(HELD)
    calendar.later(minutes=5).tell(HELD)
    calendar.later(hours=1).decide(HELD, Action.ACKNOWLEDGE)
    calendar.later(hours=1).close(HELD)
    calendar.on(10, 10).open(replace(HELD, message="Rug: again"))
    calendar.on(10, 11).tell(HELD, Told.OPENED)
    calendar.later(days=2).tell(HELD, Told.OVERDUE)

    first, second = lives(OCTOBER)
    assert (first.exception_id, first.message) == (second.exception_id, HELD.message)
    assert (first.opened_at, first.alerted_at) == (_at(10, 3, 12), _at(10, 3, 12, 5))
    assert (first.acknowledged_at, first.resolved_at) == (_at(10, 3, 13, 5), _at(10, 3, 14, 5))
    assert (first.status, first.escalated_at) == (Status.FIXED, None)
    assert (second.opened_at, second.message) == (_at(10, 10, 12), "Rug: again")
    assert (second.status, second.acknowledged_at, second.resolved_at) == (Status.NEW, None, None)
    assert (second.alerted_at, second.escalated_at) == (_at(10, 11, 12), _at(10, 13, 12))

    # What happens in the month after changes nothing about the month before.
    calendar.on(11, 2).decide(HELD, Action.ACKNOWLEDGE)
    assert lives(OCTOBER) == [first, second]
    calendar.on(11, 3).close(HELD)
    calendar.on(11, 4).open(replace(HELD, message="Rug: once more"))
    first_again, second_again = lives(OCTOBER)
    assert first_again == first
    assert second_again == second
    assert [one.opened_at for one in lives(NOVEMBER)] == [second.opened_at, _at(11, 4, 12)]
    assert lives(SEPTEMBER) == []


def test_a_decision_that_is_taken_back_ends_a_life(calendar: Calendar) -> None:
    calendar.on(10, 3).open(HELD)
    calendar.on(10, 4).decide(HELD, Action.EXPECTED)
    calendar.on(10, 5).open(HELD)  # a repeat leaves it decided
    calendar.on(10, 6).decide(HELD, Action.REOPEN)
    decided, again = calendar.store.governance.lives(OCTOBER)
    assert (decided.status, decided.resolved_at, again.opened_at) == (
        Status.EXPECTED,
        _at(10, 4, 12),
        _at(10, 6, 12),
    )
    # To confirm that it is new ends nothing.
    calendar.on(10, 7).decide(HELD, Action.REOPEN)
    assert len(calendar.store.governance.lives(OCTOBER)) == 2


def test_lives_of_other_links_and_kinds_stay_apart(calendar: Calendar) -> None:
    other = replace(HELD, cause_key="p2")
    calendar.on(10, 3).open(HELD, other)
    raise_(calendar.store, HELD, link="at")
    calendar.later(hours=1).close(HELD)
    calendar.later(hours=1).open(HELD, other)
    found = calendar.store.governance.lives(OCTOBER)
    assert [one.cause_key for one in found] == [HELD.cause_key, "p2", HELD.cause_key]
    assert len(calendar.store.governance.lives(Window("at", OCTOBER.since, OCTOBER.until))) == 1


def test_many_who_open_the_same_again_at_once_keep_each_life_once(store: Store, store_url: URL) -> None:
    causes = [replace(HELD, cause_key=f"p{number}") for number in range(40)]
    raise_(store, *causes)
    with store.begin() as conn:
        store.exceptions.resolve(conn, LINK, HELD.kind, [one.cause_key for one in causes[::2]], "r2")

    def work(number: int) -> None:
        opened = open_store(store_url)
        raise_(opened, *(causes if number % 2 else reversed(causes)), run=f"again-{number}")
        opened.close()

    together(work, 4)
    now = datetime.now(UTC)
    lives = store.governance.lives(Window(LINK, now - timedelta(hours=1), now + timedelta(hours=1)))
    assert len(lives) == 60
    assert len({(one.exception_id, one.opened_at) for one in lives}) == 60


def test_messages_count_as_sent_when_they_were_by_then(calendar: Calendar) -> None:
    calendar.on(10, 31, 23, 59).open(HELD)
    calendar.tell(HELD, delivered=False)
    calendar.on(11, 1, 8)
    (before,) = calendar.store.governance.messages(OCTOBER)
    taken = calendar.store.alerts.claim(LINK, calendar.at, timedelta(minutes=1), without=())
    assert taken is not None
    with calendar.store.begin() as conn:
        calendar.store.alerts.settle(conn, taken, AlertState.SENT, calendar.at)
    assert calendar.store.governance.messages(OCTOBER) == [before]
    assert (before.sent_at, before.is_needless, before.cause_group) == (None, False, HELD.cause_key)
    assert calendar.store.governance.messages(NOVEMBER) == []


def test_silences_and_deeds_of_a_month(calendar: Calendar) -> None:
    for month in (9, 10, 11):
        calendar.on(month, 20)
        calendar.store.audit_log.write("ann", "note", f"exception/{month}", link=LINK)
        calendar.store.audit_log.write("ann", "note", "exception/1", link="at")
        with calendar.store.begin() as conn:
            calendar.store.alerts.silence(
                conn,
                LINK,
                kind=HELD.kind,
                cause_group=f"g{month}",
                reason="fair",
                until=calendar.at + timedelta(days=14),
                actor="ann",
            )
    said = [one.subject for one in calendar.store.governance.log(OCTOBER)]
    assert said == ["exception/10", "silence/2"]
    assert [one.cause_group for one in calendar.store.governance.silences(OCTOBER)] == ["g9", "g10"]


def _at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)
