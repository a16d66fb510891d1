"""Questions to people: what they say, and what answers, silence and slips of the pen lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.integration.clients.helpers import QUICK
from tests.support.captures import coats
from tests.support.kiosks import ulid
from tests.support.reviewing import Reviewing

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.exceptions import Kind, NewException, Owner, Status
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.faults import Kind as Fault
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.asking import HOLD, MEANINGS, NAMED, QUESTIONS, Answer, Asking, label, options
from cogent_ops.store import Cause, Store
from cogent_ops.store.questions import HOLD as HELD_FOR


@pytest.fixture
def world(store: Store) -> Iterator[Reviewing]:
    with SandboxServer(coats()) as server:
        world = Reviewing(server, store)
        world.begin()
        yield world
        close_sessions()


def asking(world: Reviewing, run: str = "run 1") -> Asking:
    return Asking(world.review(), run)


def the_question(world: Reviewing, run: str = "run 1") -> Cause:
    (question,) = asking(world, run).claim(world.now)
    return question


def ids(question: Cause) -> list[int]:
    return [one.id for one in question.exceptions]


def answer(
    world: Reviewing,
    question: Cause,
    option: str,
    *,
    run: str = "run 1",
    actor: str | None = "Ann",
    **more: str,
) -> dict[str, int]:
    return asking(world, run).apply(ids(question), Answer(option, actor, **more), world.now)


def is_asked_again(world: Reviewing, *, after: timedelta = timedelta(0)) -> bool:
    return world.store.questions.is_due(world.name, world.policies.asked, world.now + after)


# What a question says


def test_a_question_says_what_where_how_much_whose_and_what_each_choice_does(world: Reviewing) -> None:
    order = world.placed_long_ago()
    question = the_question(world)
    form = asking(world).form(question.kind, ids(question), world.now)
    assert form.subject == f"Payment not confirmed: CS-{ulid(order)}, Berlin, €9.50"
    assert form.options == ("Approve", "Dry run", "Link", "Reject", "Hold")
    for told in ("**retail ops**, until ", "Europe/London", "€9.50", "**Cure:**", "**Approve**: it was paid"):
        assert told in form.body
    assert "cogent-ops exceptions show 1" in form.body
    assert "(/cogent_ops/desk/playbook#ambiguous-payment)" in form.body
    assert "- Store: `location=…`" in form.body
    assert "`cogent-ops exceptions edit 1 email=…`" in form.body


def test_many_of_one_cause_are_one_question(world: Reviewing) -> None:
    orders = world.nowhere(NAMED + 2)
    question = the_question(world)
    form = asking(world).form(question.kind, ids(question), world.now)
    assert form.subject == f"Order without a known store: {NAMED + 2}, Atlantis"
    assert form.body.count("- Order CS") == NAMED
    assert "and 2 more" in form.body
    assert len(question.exceptions) == len(orders)


def test_data_of_others_makes_no_links_in_a_question(world: Reviewing) -> None:
    wicked = NewException(
        Kind.STOCK_REFUSED, "c", "A@b", "f", "r", "[free](http://x) <b> *now*", "# cure", Owner.PLATFORM
    )
    with world.store.begin() as conn:
        world.store.exceptions.raise_(conn, world.name, wicked, "r1")
    question = the_question(world)
    body = asking(world).form(question.kind, ids(question), world.now).body
    assert r"\[free\](http://x) \<b\> \*now\*" in body
    assert r"\# cure" in body


def test_every_kind_that_is_asked_about_has_choices_and_hold_is_the_last(world: Reviewing) -> None:
    for kind in world.policies.asked:
        offered = options(world.policies.kind(kind))
        assert offered[-1] == HOLD
        assert len(offered) > 1
    assert {label(action) for action in MEANINGS} >= {
        label(action) for kind in world.policies.asked for action in world.policies.kind(kind).actions
    }


def test_a_question_says_how_the_fields_of_its_text_are_typed_here(world: Reviewing) -> None:
    orders = world.nowhere()
    question = the_question(world)
    body = asking(world).form(question.kind, ids(question), world.now).body
    assert orders
    assert 'the field "Store"' in body
    assert "Fields are typed into `set`" in body
    assert "- Store: `location=…`" in body


def test_a_run_asks_no_more_than_it_should(world: Reviewing) -> None:
    new = [
        NewException(Kind.STOCK_REFUSED, f"c{n}", "A@b", "f", "r", "m", "c", Owner.PLATFORM)
        for n in range(QUESTIONS + 3)
    ]
    with world.store.begin() as conn:
        world.store.exceptions.raise_many(conn, world.name, new, "r1")
    assert len(asking(world).claim(world.now)) == QUESTIONS
    assert len(asking(world, "run 2").claim(world.now)) == 3


# What answers do


def test_an_approval_is_carried_out_in_the_persons_name(world: Reviewing) -> None:
    order = world.placed_long_ago()
    question = the_question(world)
    assert answer(world, question, "Approve", note="seen in the till") == {
        "done": 1,
        "refused": 0,
        "unanswered": 0,
    }
    world.finish()
    assert world.ct_order(order)["paymentState"] == "Paid"
    assert world.one(order).status is Status.FIXED
    (entry,) = world.review().show(world.one(order).id).history
    assert (entry.actor, entry.action, entry.detail["note"]) == ("Ann", "approve", "seen in the till")


def test_a_correction_mends_all_orders_of_the_cause(world: Reviewing) -> None:
    orders = world.nowhere(3)
    done = answer(world, the_question(world), "Replay", corrections=" location = hamburg ;\n")
    assert done == {"done": 3, "refused": 0, "unanswered": 0}
    assert world.finish().imported == 3
    assert {world.ct_order(order)["store"]["key"] for order in orders} == {"store-hamburg"}


def test_only_what_was_asked_about_is_decided(world: Reviewing) -> None:
    (asked,) = world.nowhere()
    question = the_question(world)
    (later,) = world.nowhere()
    answer(world, question, "Replay", corrections="location=berlin")
    assert world.finish().imported == 1
    assert world.one(asked).status is Status.FIXED
    assert world.one(later).status is Status.NEW
    assert ids(the_question(world, "run 2")) == [world.one(later).id]


def test_a_dry_run_is_asked_again_at_once_with_what_would_be_sent(world: Reviewing) -> None:
    (order,) = world.nowhere()
    before = world.moved()
    answer(world, the_question(world), "Dry run", corrections="location=berlin")
    assert world.ct_orders() == []
    again = the_question(world, "run 2")
    body = asking(world, "run 2").form(again.kind, ids(again), world.now).body
    assert "**Last answer:** \n\nOrder CS-" in body
    assert "\n- total: €9.50\n" in body
    assert world.moved() == before
    assert "location" not in world.row(order).edits
    answer(world, again, "Replay", run="run 2", corrections="location=berlin")
    assert world.finish().imported == 1
    assert world.ct_order(order)["store"]["key"] == "store-berlin"


@pytest.mark.parametrize(
    ("option", "more", "told"),
    [
        (
            "Replay",
            {"corrections": "location=atlantis"},
            "Replay was not possible: location: commercetools has no Channel",
        ),
        ("Replay", {"corrections": "hamburg"}, "Write corrections as name=value"),
        ("Replay", {"corrections": "total=1"}, "'total' cannot be corrected here"),
        ("Replay", {"corrections": "email=ann@example.com"}, "on the exception's page"),
        ("Reject", {}, "Say in the note why it is rejected"),
        ("Link", {"order_number": "X-1"}, "no order with the number or id 'X-1'"),
        ("Approve", {}, "'approve' is not possible"),
    ],
)
def test_what_cannot_be_done_is_asked_again_with_the_reason(
    world: Reviewing, option: str, more: dict[str, str], told: str
) -> None:
    (order,) = world.nowhere()
    assert answer(world, the_question(world), option, **more) == {"done": 0, "refused": 1, "unanswered": 0}
    again = the_question(world, "run 2")
    (one,) = again.exceptions
    assert told in str(one.outcome)
    assert one.status is Status.NEW
    assert "ann@example.com" not in str(world.store.audit_log.entries()) + str(world.everything())
    assert world.finish().imported == 0
    assert world.row(order).edits == {}


def test_hold_leaves_it_as_it_is_and_asks_again_later(world: Reviewing) -> None:
    (order,) = world.nowhere()
    answer(world, the_question(world), "Hold")
    assert world.one(order).status is Status.ACKNOWLEDGED
    assert not is_asked_again(world)
    assert is_asked_again(world, after=HELD_FOR)


def test_no_answer_means_hold_and_is_nobodys_deed(world: Reviewing) -> None:
    (order,) = world.nowhere()
    assert answer(world, the_question(world), "Hold", actor=None) == {
        "done": 0,
        "refused": 0,
        "unanswered": 1,
    }
    assert world.one(order).status is Status.NEW
    assert world.store.audit_log.entries() == []
    assert is_asked_again(world)


def test_what_is_over_before_the_answer_stays_over(world: Reviewing) -> None:
    order = world.placed_long_ago()
    question = the_question(world)
    world.set_status(order, "PAID")
    world.run()
    assert world.one(order).status is Status.FIXED
    assert answer(world, question, "Reject", note="never paid")["refused"] == 1
    assert world.one(order).status is Status.FIXED
    assert len(world.ct_orders()) == 1
    assert not is_asked_again(world, after=HELD_FOR)


def test_a_replay_that_fails_again_is_asked_about_at_once(world: Reviewing) -> None:
    world.nowhere()
    answer(world, the_question(world), "Replay")
    assert not is_asked_again(world)
    assert world.finish().review == 1
    assert is_asked_again(world)


def test_what_was_out_of_reach_goes_on_where_it_stopped(world: Reviewing) -> None:
    orders = world.nowhere(2)
    question = the_question(world)
    failing = Rule(kind=Fault.ERROR, api="commercetools", operation="channels.*", skip=1)
    world.server.set_faults(FaultPlan(seed=1, rules=(failing,)))
    world.tuning = replace(QUICK, attempts=1)
    with pytest.raises(RetryableError, match="1 of 2 must wait"):
        answer(world, question, "Replay", corrections="location=berlin")
    assert sorted(world.one(order).status for order in orders) == [Status.IN_PROGRESS, Status.NEW]
    world.server.set_faults(FaultPlan(seed=1, rules=()))
    world.tuning = QUICK
    assert answer(world, question, "Replay", corrections="location=berlin")["done"] == 1
    assert {world.one(order).replays for order in orders} == {1}
    assert world.finish().imported == 2


def test_an_answer_after_the_question_was_given_to_another_run_does_nothing(world: Reviewing) -> None:
    (order,) = world.nowhere()
    question = the_question(world, "dead")
    (again,) = asking(world, "next").claim(world.now + timedelta(days=2))
    assert answer(world, question, "Reject", run="dead", note="n") == {
        "done": 0,
        "refused": 0,
        "unanswered": 0,
    }
    assert world.one(order).status is Status.NEW
    assert answer(world, again, "Hold", run="next")["done"] == 1


def test_an_answer_is_not_shown_with_what_may_be_personal() -> None:
    assert "ann@example.com" not in repr(Answer("Replay", "Ann", corrections="email=ann@example.com"))
