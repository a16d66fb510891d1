"""Drills go the way of real alerts, touch nothing, and leave nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.services.test_alerts import LINK, PAYMENT, RELEASED, SECOND, House, at_any_hour
from tests.support.trouble import HELD

from cogent_ops.domain.drills import DEEDS, MARK, NOTICE
from cogent_ops.domain.exceptions import ALWAYS, Action, Kind, Owner, Status
from cogent_ops.domain.policies import Policies
from cogent_ops.errors import PermanentError, TargetUnavailable
from cogent_ops.services.alerts import PACE, first_told
from cogent_ops.services.drill import Drill, Drills, Ended
from cogent_ops.services.review import Decision, Review
from cogent_ops.store import Filter, Store
from cogent_ops.store.alerts import AlertState

MINUTE = timedelta(minutes=1)


def _unreachable() -> Any:
    raise AssertionError("a drill has asked for something that flows work with")


class Practice(House):
    """A house in which alerts are practised."""

    def drills(self) -> Drills:
        return Drills(LINK, self.store, self.policies, clock=lambda: self.now)

    def review(self) -> Review:
        clock = lambda: self.now  # noqa: E731
        return Review(LINK, self.store, self.policies, desk=_unreachable, project=_unreachable, clock=clock)

    def start(self, kind: Kind = Kind.AMBIGUOUS_PAYMENT, **more: Any) -> Drill:
        return self.drills().start(kind, actor="ada", **more)

    def do(self, action: Action, number: int, **more: Any) -> tuple[bool, str]:
        (done,) = self.review().carry_out(Decision(action, "ann", **more), [number])
        return done.is_done, done.message

    def drill(self, number: int) -> Drill:
        return self.drills().show(number)


@pytest.fixture
def practice(store: Store) -> Practice:
    return Practice(store)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_told_to_its_owner_by_its_own_policy_and_marked(practice: Practice, kind: Kind) -> None:
    practice.policies = at_any_hour(**{kind: {"batch_minutes": RELEASED.kind(kind).batch_minutes}})
    policy = practice.policies.kind(kind)
    begun = practice.start(kind)
    assert begun.exception.owner == practice.policies.owner(kind, begun.exception.owner)
    assert begun.exception.deadline == RELEASED.deadline(kind, begun.raised_at)
    assert begun.due_at == begun.raised_at + policy.batch_minutes * MINUTE
    if policy.batch_minutes:
        assert practice.tell()["told"] == 0
    assert practice.tell(policy.batch_minutes * MINUTE + SECOND)["sent"] == 1
    (message,) = practice.desk.take()
    assert message.subject.startswith(f"{MARK} [")
    assert policy.title in message.subject
    assert message.body.startswith(NOTICE)
    assert "required_actions" not in message.body
    assert message.channel == practice.policies.channel(kind, begun.exception.owner).name

    assert practice.do(Action.ACKNOWLEDGE, begun.exception.id)[0]
    assert practice.do(Action.START, begun.exception.id)[0]
    assert practice.do(Action.FIXED, begun.exception.id, note="looked at the till")[0]
    seen = practice.drill(begun.exception.id)
    assert (seen.acknowledged_by, seen.closed_by, seen.was_ended) == ("ann", "ann", False)
    assert seen.in_time(practice.now) is True
    assert None not in (seen.alerted_in, seen.acknowledged_in, seen.closed_in)


@pytest.mark.parametrize("kind", Kind)
def test_only_what_says_that_somebody_has_seen_it_may_be_done_about_one(
    practice: Practice, kind: Kind
) -> None:
    number = practice.start(kind).exception.id
    assert set(practice.review().show(number).actions) == DEEDS
    for action in set(Action) - DEEDS:
        is_done, why = practice.do(action, number, note="n", order_number="1", edits={})
        assert not is_done
        assert "drill" in why
    with pytest.raises(PermanentError, match="drill end"):
        practice.review().silence(
            number, actor="ann", reason="why", until=practice.now + MINUTE, whole_kind=True
        )
    assert practice.do(Action.FIXED, number, note="done")[0]
    assert practice.review().show(number).actions == (Action.NOTE,)


def test_what_is_allowed_is_a_part_of_what_is_always_allowed_and_closing() -> None:
    assert DEEDS - {Action.FIXED} <= ALWAYS


@pytest.mark.parametrize("kind", Kind)
def test_no_flow_sees_a_drill_nobody_is_asked_and_no_queue_counts_it(practice: Practice, kind: Kind) -> None:
    practice.start(kind)
    exceptions, kinds = practice.store.exceptions, [*Kind]
    assert exceptions.open(LINK) == []
    assert list(exceptions.open_causes(LINK, kind, decided=True)) == []
    assert exceptions.find(LINK, Filter(tuple(Status))) == []
    assert not practice.store.questions.is_due(LINK, kinds, practice.now)
    assert practice.store.questions.claim(LINK, kinds, "run", practice.now, limit=9) == []
    assert len(exceptions.find(LINK, Filter(drills=True))) == 1
    assert len(exceptions.find(LINK, Filter(drills=None))) == 1


def test_a_question_about_real_ones_is_asked_beside_a_drill(practice: Practice) -> None:
    practice.start()
    practice.open(PAYMENT)
    (asked,) = practice.store.questions.claim(LINK, [PAYMENT.kind], "run", practice.now, limit=9)
    assert [one.cause_key for one in asked.exceptions] == [PAYMENT.cause_key]


def test_a_drill_shares_no_message_and_keeps_no_real_one_waiting(practice: Practice) -> None:
    practice.start()
    practice.tell()
    practice.open(PAYMENT)
    assert practice.tell()["sent"] == 1
    drilled, real = (message.subject for message in practice.desk.take())
    assert (drilled.startswith(MARK), real.startswith(MARK)) == (True, False)
    # Nor does a real one hold up the drill: how people take it is what is measured.
    practice.start()
    practice.open(replace(PAYMENT, cause_key="order/2"))
    assert practice.tell(PACE + MINUTE)["sent"] == 2
    counts = {message.subject.startswith(MARK): message.subject for message in practice.desk.take()}
    assert all(subject.endswith(": 1") for subject in counts.values())
    assert len(counts) == 2


def test_whoever_stands_in_hears_when_nobody_acts(practice: Practice) -> None:
    policy = practice.policies.kind(Kind.AMBIGUOUS_PAYMENT)
    begun = practice.start()
    practice.tell()
    # The store counts its time in the released business hours, whatever the time of day is.
    assert begun.exception.deadline is not None
    practice.tell(begun.exception.deadline - practice.now + (policy.escalate_minutes + 1) * MINUTE)
    first, second = practice.desk.take()
    assert second.subject.startswith(f"{MARK} [OVERDUE]")
    assert f"Now it is {policy.escalate_to}'s." in second.body
    assert practice.drill(begun.exception.id).in_time(practice.now) is False
    practice.do(Action.ACKNOWLEDGE, begun.exception.id)
    # The store's clock says when somebody acted, and by that it is still early.
    seen = practice.drill(begun.exception.id)
    assert seen.exception.escalated_at
    assert first.exceptions == second.exceptions == [begun.exception.id]


def test_ending_leaves_nothing_open_and_nothing_waiting(practice: Practice) -> None:
    practice.open(PAYMENT)
    practice.desk.errors["default"] = [TargetUnavailable("down")]
    told = practice.start()
    practice.tell()
    untold = practice.start(Kind.PRODUCT_HELD)
    assert practice.drills().end(actor="ada") == Ended(closed=2, withdrawn=1)
    assert practice.drills().end(actor="ada") == Ended(0, 0)
    assert practice.drills().open() == []
    for one in (told, untold):
        seen = practice.drill(one.exception.id)
        assert (seen.was_ended, seen.closed_by, seen.acknowledged_by) == (True, "ada", "")
        assert (seen.exception.acknowledged_at, seen.closed_in) == (None, None)
        assert seen.in_time(practice.now) is False
    # What is real is as it was, and its message comes.
    assert [one.cause_key for one in practice.store.exceptions.open(LINK)] == [PAYMENT.cause_key]
    practice.tell(timedelta(hours=8))
    come = [message.subject for message in practice.desk.take()]
    assert come
    assert not any(MARK in subject for subject in come)
    states = {one.subject.startswith(MARK): one.state for one in practice.messages()}
    assert states == {True: AlertState.OBSOLETE, False: AlertState.SENT}


def test_one_drill_may_be_ended_and_the_others_go_on(practice: Practice) -> None:
    first, second = practice.start(), practice.start()
    assert practice.drills().end(actor="ada", numbers=[first.exception.id]) == Ended(1, 0)
    assert [one.exception.id for one in practice.drills().open()] == [second.exception.id]
    practice.open(PAYMENT)
    real = practice.found(PAYMENT).id
    with pytest.raises(PermanentError, match="is no drill"):
        practice.drills().end(actor="ada", numbers=[second.exception.id, real])
    assert [one.exception.id for one in practice.drills().open()] == [second.exception.id]


def test_a_channel_that_is_down_is_found_by_a_drill_and_is_no_drill(practice: Practice) -> None:
    practice.desk.errors["default"] = [PermanentError("connection 'x': answered 404")]
    begun = practice.start()
    practice.tell()
    assert practice.drill(begun.exception.id).problem == "connection 'x': answered 404"
    (undelivered,) = practice.store.exceptions.open(LINK)
    assert undelivered.kind == Kind.ALERT_UNDELIVERED
    assert practice.drill(begun.exception.id).alerted_in is None


def test_a_kind_that_is_silenced_is_not_drilled(practice: Practice) -> None:
    silence = practice.silence(PAYMENT, timedelta(hours=2))
    with pytest.raises(PermanentError, match=f"exceptions lift {silence}"):
        practice.start()
    practice.start(Kind.ORDER_TAX)
    assert len(practice.drills().open()) == 1


def test_nobody_practises_what_is_anothers(practice: Practice) -> None:
    with pytest.raises(PermanentError, match="retail ops's by include"):
        practice.start(owner=Owner.FINANCE)
    assert practice.start(owner=Owner.RETAIL_OPS).exception.owner == Owner.RETAIL_OPS
    assert practice.start(Kind.PRODUCT_HELD, owner=Owner.FINANCE).exception.owner == Owner.FINANCE
    assert practice.start(Kind.PRODUCT_HELD).exception.owner == HELD.owner


def test_who_raised_it_and_what_for_is_recorded_without_personal_data(practice: Practice) -> None:
    begun = practice.start(note="Handover. Ask jo@example.com")
    (entry,) = practice.review().show(begun.exception.id).history
    assert (entry.actor, entry.action) == ("ada", "drill")
    assert entry.detail["kind"] == Kind.AMBIGUOUS_PAYMENT
    assert "example.com" not in json.dumps(entry.detail)
    assert "Handover" in entry.detail["note"]


def test_watching_says_what_becomes_of_it_until_it_is_closed(practice: Practice) -> None:
    number = practice.start().exception.id
    then: Iterator[Callable[[], object]] = iter(
        [
            practice.tell,
            lambda: practice.do(Action.ACKNOWLEDGE, number),
            lambda: None,
            lambda: practice.do(Action.FIXED, number, note="done"),
        ]
    )
    seen = list(practice.drills().watch(number, timedelta(hours=1), lambda _: next(then)()))
    assert [one.exception.status for one in seen] == ["new", "new", "acknowledged", "fixed"]
    assert [one.sent_at is not None for one in seen] == [False, True, True, True]


def test_watching_ends_when_its_time_is_over(practice: Practice) -> None:
    number = practice.start().exception.id

    def pause(_: float) -> None:
        practice.now += 20 * MINUTE

    (only,) = practice.drills().watch(number, timedelta(hours=1), pause)
    assert only.exception.is_open


@pytest.mark.parametrize(
    ("kind", "opened", "told"),
    [
        # Saturday evening, UTC; London keeps UTC in November and opens at nine, not on Sundays.
        (Kind.TASK_FAILED, datetime(2026, 11, 21, 20, tzinfo=UTC), datetime(2026, 11, 21, 20, 1, tzinfo=UTC)),
        (Kind.PRODUCT_HELD, datetime(2026, 11, 21, 20, tzinfo=UTC), datetime(2026, 11, 23, 9, tzinfo=UTC)),
        (Kind.PRODUCT_HELD, datetime(2026, 11, 23, 9, tzinfo=UTC), datetime(2026, 11, 23, 10, tzinfo=UTC)),
        (
            Kind.AMBIGUOUS_PAYMENT,
            datetime(2026, 11, 20, 12, tzinfo=UTC),
            datetime(2026, 11, 20, 12, tzinfo=UTC),
        ),
        (
            Kind.AMBIGUOUS_PAYMENT,
            datetime(2026, 11, 20, 18, tzinfo=UTC),
            datetime(2026, 11, 21, 9, tzinfo=UTC),
        ),
    ],
)
def test_it_is_known_when_people_may_hear_of_it(kind: Kind, opened: datetime, told: datetime) -> None:
    policies: Policies = RELEASED
    assert first_told(policies, kind, opened) == told
