"""The inbox as people see it: rows in words, causes together, what comes next, and one exception whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.trouble import HELD, raise_

from cogent_ops.config import SHIPPED, load_policies
from cogent_ops.domain.drills import drill, drill_cause
from cogent_ops.domain.exceptions import LEADS_TO, Action, Kind, NewException, Owner, Status
from cogent_ops.domain.money import Money
from cogent_ops.domain.policies import Policies
from cogent_ops.domain.text import masked_email
from cogent_ops.services.case import LABELS, MEANINGS, Case, case_of
from cogent_ops.services.inbox import (
    DID,
    OF_A_CAUSE,
    PAGE,
    Due,
    Inbox,
    InboxLists,
    Row,
    Urgency,
    View,
    deadline_of,
    what_happened,
)
from cogent_ops.services.review import Decision, Review
from cogent_ops.store import Filter, Store, StoredException
from cogent_ops.store.listing import Sort
from cogent_ops.store.schema import exception

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ORDER = NewException(
    Kind.ORDER_MONEY,
    "order/o1",
    "CS-01",
    "session.basketValue",
    "the lines come to the value of the basket",
    "Order CS-01, Leeds: Its lines come to £80.00, its basket to £84.00.",
    "Find out what the customer paid.",
    Owner.FINANCE,
    place="Leeds",
    amount=8400,
    currency="GBP",
)


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(SHIPPED.parent)


@pytest.fixture
def review(store: Store, policies: Policies) -> Review:
    def nothing() -> Any:
        raise AssertionError("no order is looked at here")

    return Review("default", store, policies, desk=nothing, project=nothing)


def raised(
    store: Store, *new: NewException, opened: datetime = NOW, due: timedelta = HOUR
) -> list[StoredException]:
    """Exceptions that were opened then, and are due so long after."""
    raise_(store, *new)
    by_cause = {one.cause_key: one.id for one in store.exceptions.find("default", Filter(drills=None))}
    ids = [by_cause[one.cause_key] for one in new]
    times = {"opened_at": opened, "first_seen": opened, "last_seen": opened, "deadline": opened + due}
    with store.begin() as conn:
        conn.execute(sa.update(exception).where(exception.c.id.in_(ids)).values(times))
    return [store.exceptions.get("default", id_) for id_ in ids]


def lists(review: Review) -> InboxLists:
    return InboxLists(review.link, review.store, review.policies, number_prefix="CS-")


def page(review: Review, now: datetime = NOW, **view: Any) -> Inbox:
    return lists(review).page(View(**view), now)


def only(review: Review, now: datetime = NOW) -> Row:
    (group,) = page(review, now).groups
    (row,) = group.rows
    return row


def did(review: Review, id_: int, action: Action, actor: str = "ann", **more: Any) -> None:
    """What a person does without an order being looked at."""
    with review.store.begin() as conn:
        review.store.exceptions.decide(
            conn, "default", id_, action, LEADS_TO.get(action), actor=actor, detail=more
        )


# Rows


def test_a_row_says_what_happened_whose_it_is_and_how_long_it_has(review: Review) -> None:
    raised(review.store, ORDER, opened=NOW - 45 * MINUTE)
    row = only(review)
    assert row.title == "Order whose money does not add up"
    assert row.what == "Its lines come to £80.00, its basket to £84.00."
    assert (row.deadline.age, row.deadline.words, row.deadline.share) == ("45 min", "due in 15 min", 75)
    assert row.deadline.urgency is Urgency.SOON
    assert (row.status, row.taken_by, row.tries) == ("new", "", "")
    assert row.next_step == review.policies.kind(Kind.ORDER_MONEY).first_response
    assert row.one.at_stake == Money("GBP", 8400)


@pytest.mark.parametrize(
    ("message", "record", "place", "what"),
    [
        ("Order CS-01, Leeds: It is odd.", "CS-01", "Leeds", "It is odd."),
        ("Order CS-01: it is odd.", "CS-01", "", "It is odd."),
        ("Kiosk order 01: it is odd.", "01", "", "It is odd."),
        ("coat@leeds: -2 on stock.", "coat@leeds", "Leeds", "-2 on stock."),
        (
            "Cloudshelf refused coat: GONE: no such thing",
            "coat",
            "",
            "Cloudshelf refused coat: GONE: no such thing",
        ),
        ("Rug: the name is missing.", "RUG-1", "", "Rug: the name is missing."),
        ("It is odd.", "CS-01", "", "It is odd."),
        ("", "CS-01", "", ""),
        (": odd", "CS-01", "", "Odd"),
    ],
)
def test_what_stands_beside_a_message_anyway_is_not_said_twice(
    review: Review, message: str, record: str, place: str, what: str
) -> None:
    (one,) = raised(review.store, replace(ORDER, message=message, record=record, place=place))
    assert what_happened(one) == what


@pytest.mark.parametrize(
    ("waited", "urgency", "words", "share"),
    [
        (timedelta(0), Urgency.CALM, "due in 4 h", 1),
        (2 * HOUR, Urgency.CALM, "due in 2 h", 50),
        (3 * HOUR + MINUTE, Urgency.SOON, "due in 59 min", 75),
        (4 * HOUR, Urgency.OVERDUE, "overdue by under a minute", 100),
        (30 * HOUR, Urgency.OVERDUE, "overdue by 26 h", 100),
    ],
)
def test_a_deadline_stands_in_words_and_as_a_share(
    waited: timedelta, urgency: Urgency, words: str, share: int
) -> None:
    found = deadline_of(NOW - waited, NOW - waited + 4 * HOUR, None, Status.NEW, NOW)
    assert (found.urgency, found.words, found.share) == (urgency, words, share)


def test_what_is_closed_has_no_deadline_any_more() -> None:
    found = deadline_of(NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR, Status.FIXED, NOW)
    assert (found.urgency, found.words, found.age) == (Urgency.NONE, "fixed 60 min ago", "2 h")
    assert deadline_of(NOW, None, None, Status.NEW, NOW).words == "no deadline"


def test_who_took_it_up_and_how_often_it_was_tried(review: Review) -> None:
    (one,) = raised(review.store, ORDER)
    raise_(review.store, ORDER, run="r2")
    did(review, one.id, Action.START)
    assert only(review).taken_by == "ann is working on it"
    did(review, one.id, Action.REPLAY, "bob")
    did(review, one.id, Action.NOTE, "eve", note="Called.")
    row = only(review)
    assert row.taken_by == "bob had it tried again"
    assert row.tries == "seen 2 times, tried again once"
    assert row.next_step == "Wait: it is tried again, and closes by itself when that has worked."


def test_what_was_done_before_it_came_back_does_not_count(review: Review) -> None:
    (one,) = raised(review.store, ORDER)
    did(review, one.id, Action.START)
    with review.store.begin() as conn:
        review.store.exceptions.resolve(conn, "default", one.kind, [one.cause_key], "r2")
    raise_(review.store, ORDER, run="r3")
    row = only(review, datetime.now(UTC))
    assert (row.taken_by, row.status) == ("", "new")


def test_corrections_that_were_stored_wait_for_a_try(review: Review) -> None:
    (one,) = raised(review.store, ORDER)
    did(review, one.id, Action.EDIT, edits={"total": "84.00"})
    assert only(review).next_step == (
        "Look at what would be sent with the corrections, then have it tried again."
    )


def test_every_deed_has_words() -> None:
    assert set(DID) == set(Action)
    assert set(LABELS) == set(Action)
    assert set(MEANINGS) == set(Action)


# Lists


def test_exceptions_of_one_cause_stand_together_with_the_first_of_them(review: Review) -> None:
    some = [
        replace(HELD, cause_key=f"p{n}", record=f"SKU-{n}", group="barcode") for n in range(OF_A_CAUSE + 3)
    ]
    raised(review.store, *some)
    raised(review.store, replace(ORDER, group="g"), opened=NOW - 3 * HOUR)
    found = page(review)
    assert (found.count, found.causes, found.pages) == (OF_A_CAUSE + 4, 2, 1)
    order, held = found.groups
    assert (order.count, order.more, order.deadline.urgency) == (1, 0, Urgency.OVERDUE)
    assert (held.title, held.count, len(held.rows), held.more) == (
        "Product held back from kiosks",
        OF_A_CAUSE + 3,
        OF_A_CAUSE,
        3,
    )
    one_by_one = page(review, by_cause=False)
    assert (one_by_one.causes, len(one_by_one.groups)) == (None, OF_A_CAUSE + 4)
    cause = page(review, kind=Kind.PRODUCT_HELD, cause="barcode")
    assert len(cause.groups) == OF_A_CAUSE + 3
    assert all(group.count == 1 for group in cause.groups)


def test_what_a_list_can_be_narrowed_to_has_numbers_that_say_what_would_be_there(review: Review) -> None:
    raised(review.store, ORDER, replace(ORDER, cause_key="order/o2", place="Bath"), HELD)
    found = page(review, owner=Owner.FINANCE, store="Leeds")
    assert found.count == 1
    assert [(one.value, one.count) for one in found.owners] == [("finance", 1)]
    assert [(one.value, one.count) for one in found.stores] == [("Bath", 1), ("Leeds", 1)]
    assert [(one.value, one.label, one.count) for one in found.kinds] == [
        ("order_money", "Order whose money does not add up", 1)
    ]
    everybody = page(review)
    assert [(one.value, one.count) for one in everybody.owners] == [("finance", 2), ("merchandising", 1)]


def test_what_is_chosen_can_be_chosen_again_although_nothing_of_it_waits(review: Review) -> None:
    raised(review.store, HELD)
    found = page(review, owner=Owner.FINANCE, kind=Kind.OVERSELL)
    assert found.groups == ()
    assert ("finance", 0) in [(one.value, one.count) for one in found.owners]
    assert "oversell" in [one.value for one in found.kinds]


def test_the_numbers_above_a_list_stay_when_one_of_them_is_chosen(review: Review) -> None:
    raised(review.store, ORDER, opened=NOW - 3 * HOUR)
    raised(review.store, HELD, opened=NOW, due=30 * MINUTE)
    raised(review.store, replace(HELD, cause_key="p2"), opened=NOW, due=3 * HOUR)
    for view in ({}, {"due": Due.OVERDUE}, {"due": Due.SOON}, {"has_money": True}):
        totals = page(review, **view).totals
        assert (totals.all, totals.overdue, totals.soon, totals.valued) == (3, 1, 1, 1)
        assert totals.at_stake == (Money("GBP", 8400),)
    assert [page(review, due=due).count for due in Due] == [3, 1, 1]
    assert page(review, has_money=True).count == 1


def test_thousands_come_a_page_at_a_time(review: Review) -> None:
    raise_(
        review.store, *(replace(HELD, cause_key=f"p{n:04}", record=f"SKU-{n}") for n in range(PAGE * 2 + 7))
    )
    first, last = page(review), page(review, page=3)
    assert (first.pages, len(first.groups), len(last.groups)) == (3, PAGE, 7)
    beyond = page(review, page=99)
    assert (beyond.view.page, [one.cause for one in beyond.groups]) == (3, [one.cause for one in last.groups])
    seen = [
        row.id for number in (1, 2, 3) for group in page(review, page=number).groups for row in group.rows
    ]
    assert len(seen) == len(set(seen)) == PAGE * 2 + 7


def test_what_is_closed_is_a_list_of_its_own_with_the_latest_first(review: Review) -> None:
    first, second = raised(review.store, ORDER, HELD)
    for one in (second, first):
        did(review, one.id, Action.REJECT, note="no")
    assert page(review).count == 0
    closed = page(review, is_closed=True)
    assert [group.rows[0].id for group in closed.groups] == [first.id, second.id]
    assert closed.groups[0].rows[0].next_step == "Nothing."


ULID = "01M8HEM570ABCDEFGHJKMNPQRS"
OVERSOLD = replace(
    HELD,
    kind=Kind.OVERSELL,
    cause_key="coat@leeds",
    record="coat@leeds",
    message=f"coat@leeds: -1 on stock. The latest kiosk orders of it: {ULID}.",
)


@pytest.mark.parametrize("text", [f"CS-{ULID}", f"cs-{ULID.lower()}", ULID, f"CS-{ULID[:12]}"])
def test_an_order_is_found_by_its_number_with_and_without_the_prefix(review: Review, text: str) -> None:
    paid_less = replace(ORDER, record=f"CS-{ULID}", message=f"Order CS-{ULID}, Leeds: the money.")
    order, oversold, _ = raised(review.store, paid_less, OVERSOLD, HELD)
    found = page(review, text=text, by_cause=False)
    assert {row.id for group in found.groups for row in group.rows} == {order.id, oversold.id}
    assert found.view.text == text
    assert found.totals.all == 2
    assert lists(review).neighbours(View(text=text), oversold.id, NOW).count == 2


def test_an_order_that_a_message_does_not_name_any_more_is_found_by_its_number(review: Review) -> None:
    more = replace(OVERSOLD, message="coat@leeds: -9 on stock.", payload={"orders": [ULID, "01M8OTHER"]})
    (oversold,) = raised(review.store, more)
    assert page(review, text=f"CS-{ULID}").count == page(review, text=ULID).count == 1
    assert page(review, text="01M8NONE").count == page(review, text="orders").count == 0
    assert oversold.payload["orders"]


def test_what_only_begins_like_a_number_is_looked_for_as_it_is(review: Review) -> None:
    raised(review.store, replace(HELD, record="CS-12", message="CS-12: held."), OVERSOLD)
    assert page(review, text="CS-1").count == 1
    assert page(review, text="CS-").count == 1


def test_a_row_shows_no_more_of_a_message_than_one_can_take_in(review: Review) -> None:
    name = "Rug " * 300
    raised(review.store, replace(HELD, message=f"{name}is not known."))
    row = only(review)
    assert len(row.short) == 200
    assert row.short.endswith("…")
    assert row.what == f"{name}is not known."


def test_a_short_message_is_shown_whole(review: Review) -> None:
    raised(review.store, ORDER)
    assert only(review).short == only(review).what == "Its lines come to £80.00, its basket to £84.00."


def test_drills_are_in_the_list_and_not_in_its_money(review: Review) -> None:
    trial = replace(drill(Kind.OVERSELL, drill_cause(NOW)), amount=500, currency="GBP")
    raised(review.store, trial)
    (group,) = page(review).groups
    assert group.rows[0].one.is_drill
    assert group.rows[0].next_step == "Take it up as if it were real, then close it as fixed."
    assert page(review).totals.at_stake == ()


def test_one_leads_to_the_next_in_the_order_of_the_list(review: Review) -> None:
    late, soon, calm = (
        raised(review.store, replace(HELD, cause_key=name), due=due)[0].id
        for name, due in (("a", -HOUR), ("b", HOUR), ("c", 5 * HOUR))
    )
    found = [lists(review).neighbours(View(), each, NOW) for each in (late, soon, calm)]
    assert [(one.place, one.count) for one in found] == [(1, 3), (2, 3), (3, 3)]
    assert [(one.before, one.after) for one in found] == [(None, soon), (late, calm), (soon, None)]
    gone = lists(review).neighbours(View(owner=Owner.MERCHANDISING), 999, NOW)
    assert (gone.place, gone.before, gone.after) == (None, None, late)
    reverse = lists(review).neighbours(View(sort=Sort.NEWEST), late, NOW)
    assert reverse.count == 3


# One exception


def case(review: Review, id_: int, now: datetime = NOW) -> Case:
    return case_of(review, id_, now)


def test_a_case_tells_its_life_from_the_beginning(review: Review) -> None:
    (one,) = raised(review.store, HELD, opened=NOW - HOUR)
    did(review, one.id, Action.ACKNOWLEDGE, note="Looks like a typing error.")
    with review.store.begin() as conn:
        told = {"alerted_at": NOW - 59 * MINUTE, "escalated_at": NOW}
        conn.execute(sa.update(exception).where(exception.c.id == one.id).values(told))
    review.silence(one.id, actor="bob", reason="known", until=datetime.now(UTC) + HOUR)
    found = [(each.who, each.what) for each in case(review, one.id).happenings]
    assert found == [
        ("", "opened: merchandising must act"),
        ("", "merchandising was told"),
        ("", "nobody had acted in time, so somebody else was told"),
        ("ann", "has seen it"),
        ("bob", "silenced messages about it"),
    ]
    deed = case(review, one.id).happenings[3]
    assert deed.details == (("note", "Looks like a typing error."),)


def test_what_a_flow_closed_says_so(review: Review) -> None:
    (one,) = raised(review.store, HELD)
    with review.store.begin() as conn:
        review.store.exceptions.resolve(conn, "default", one.kind, [one.cause_key], "r2")
    assert case(review, one.id).happenings[-1].what == "closed by itself: verified"


def test_a_case_offers_what_its_kind_allows_as_it_stands(review: Review) -> None:
    held, order = raised(review.store, HELD, ORDER)
    found = case(review, held.id)
    assert [deed.action for deed in found.quick] == [Action.START, Action.ACKNOWLEDGE, Action.HOLD]
    assert [deed.action for deed in found.ending] == [Action.EXPECTED]
    assert (found.trying, found.fields, found.contact) == ((), (), None)
    assert found.ending[0].note == "why it is expected"
    trying = [deed.action for deed in case(review, order.id).trying]
    assert trying == [Action.DRY_RUN, Action.REPLAY, Action.EDIT]
    did(review, held.id, Action.EXPECTED, note="so be it")
    closed = case(review, held.id)
    assert (closed.quick, [deed.action for deed in closed.ending]) == ((), [Action.REOPEN])


def test_a_drill_offers_what_closes_it_and_nothing_else(review: Review) -> None:
    (one,) = raised(review.store, drill(Kind.ORDER_MONEY, drill_cause(NOW)))
    found = case(review, one.id)
    assert (found.trying, [deed.action for deed in found.ending]) == ((), [Action.FIXED])


def test_a_whole_cause_is_counted_without_being_read(review: Review) -> None:
    raise_(review.store, *(replace(HELD, cause_key=f"p{n}", group="g") for n in range(30)))
    first = review.find(Filter(), limit=1)[0]
    assert case(review, first.id).shown.cause == 30
    assert len(review.ids_of_cause(first.id)) == 30


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("maria.muster@example.com", "m•••@e•••.com"),
        (" a@b.de ", "a•••@b•••.de"),
        ("maria at example", "•••"),
        ("@example.com", "•••"),
        ("maria@", "•••"),
        ("maria@example", "•••"),
        ("maria@example.<b>", "•••"),
    ],
)
def test_a_masked_address_gives_nobody_away(address: str, masked: str) -> None:
    assert masked_email(address) == masked


# Deeds on what has changed meanwhile


def decided(review: Review, id_: int, action: Action, seen: int, actor: str = "ann", note: str = "") -> Any:
    (done,) = review.carry_out(Decision(action, actor, note, seen=seen), [id_])
    return done


def test_a_form_that_is_sent_twice_is_carried_out_once(review: Review) -> None:
    (one,) = raised(review.store, HELD)
    seen = case(review, one.id).seen
    first = decided(review, one.id, Action.START, seen)
    again = decided(review, one.id, Action.START, seen)
    assert (first.is_done, again.is_done) == (True, True)
    assert again.message.startswith("That was done already (start, ")
    assert [entry.action for entry in review.show(one.id).history] == ["start"]


def test_who_was_faster_is_named_and_the_second_person_decides_again(review: Review) -> None:
    (one,) = raised(review.store, HELD)
    seen = case(review, one.id).seen
    decided(review, one.id, Action.HOLD, seen, "bob", "wait for the supplier")
    done = decided(review, one.id, Action.START, seen)
    assert not done.is_done
    assert done.message.startswith("Nothing was done: bob was faster (hold, ")
    assert "wait for the supplier" in done.message
    assert decided(review, one.id, Action.START, case(review, one.id).seen).is_done


def test_what_somebody_did_before_in_another_window_does_not_stand_in_their_way(review: Review) -> None:
    (one,) = raised(review.store, HELD)
    seen = case(review, one.id).seen
    decided(review, one.id, Action.ACKNOWLEDGE, seen)
    assert decided(review, one.id, Action.START, seen).is_done
