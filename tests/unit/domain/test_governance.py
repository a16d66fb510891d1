"""A month's numbers, and what they ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.drills import drill_cause
from cogent_ops.domain.exceptions import Kind, Owner, Status
from cogent_ops.domain.governance import reckoning
from cogent_ops.domain.governance.model import (
    ChannelMonth,
    DriftMonth,
    DrillMonth,
    FlowMonth,
    KindMonth,
    Life,
    Message,
    Month,
    NightMonth,
    OrderDone,
    OrdersMonth,
    OwnerMonth,
    Repeat,
    SilenceMonth,
    Spell,
    Unaccounted,
    UnitsMonth,
)
from cogent_ops.domain.governance.steps import EXPECTED, RULES, next_steps
from cogent_ops.domain.health.model import Flow

SINCE, UNTIL = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class Look:
    at: datetime
    age: float | None
    target: float = 60.0


def looks(*ages: float | None, every: timedelta = timedelta(minutes=5)) -> list[Look]:
    return [Look(SINCE + number * every, age) for number, age in enumerate(ages)]


LIFE = Life(
    exception_id=1,
    opened_at=SINCE + HOUR,
    kind=Kind.TASK_FAILED,
    cause_key="dag/task",
    cause_group="dag/task",
    record="dag.task",
    message="Run x failed.",
    owner=Owner.PLATFORM,
    status=Status.NEW,
    place="",
    deadline=SINCE + 2 * HOUR,
    alerted_at=None,
    escalated_at=None,
    acknowledged_at=None,
    resolved_at=None,
)


def life(**more: Any) -> Life:
    return replace(LIFE, **more)


# Numbers


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_one_of_the_values_and_so_many_do_not_exceed_it(
    values: list[float], share: float
) -> None:
    found = reckoning.quantile(values, share)
    assert found in values
    assert found is not None
    assert sum(one <= found for one in values) >= math.floor(share * len(values))


def test_nothing_has_no_quantile() -> None:
    assert reckoning.quantile([], 0.95) is None


@given(st.lists(st.one_of(st.none(), st.floats(0, 500)), max_size=60))
def test_what_is_late_is_told_in_spells_and_in_shares(ages: list[float | None]) -> None:
    found = reckoning.flow_month(Flow.STOCK, looks(*ages), UTC)
    known = [age for age in ages if age is not None]
    if not known:
        assert found is None
        return
    assert found is not None
    assert found.measured == len(known)
    assert found.within == sum(age <= 60 for age in known)
    assert (found.late == 0 and not found.spells) or max(known) > 60
    assert bool(found.spells) == (max(known) > 60)
    assert sum(day.measured for day in found.days) == found.measured
    assert sum(day.within for day in found.days) == found.within
    assert found.late >= sum(one.lasted.total_seconds() for one in found.spells) - 1e-6
    for spell in found.spells:
        assert SINCE <= spell.began <= spell.ended
        assert spell.peak > 60


@pytest.mark.parametrize(
    ("ages", "minutes"),
    [
        ([10, 70, 90, 10, 10], [10]),  # from the first look that found it late to the first that did not
        ([10, 70], [0]),  # it was late at the last look, and nobody knows how it went on
        ([70, 10, 70, 70, 10], [10, 5]),
        ([60, 60], []),
    ],
)
def test_a_spell_lasts_from_the_first_look_that_found_it_late(ages: list[float], minutes: list[int]) -> None:
    found = reckoning.flow_month(Flow.STOCK, looks(*ages), UTC)
    assert found is not None
    assert [one.lasted.total_seconds() / 60 for one in found.spells] == minutes


def test_nobody_knows_what_happened_while_nobody_looked() -> None:
    late = [Look(SINCE, 70), Look(SINCE + timedelta(minutes=5), 70), Look(SINCE + 5 * HOUR, 70)]
    found = reckoning.flow_month(Flow.STOCK, late, UTC)
    assert found is not None
    assert [one.lasted for one in found.spells] == [timedelta(minutes=5), timedelta()]


@given(st.lists(st.integers(0, 24 * 60), max_size=300))
def test_cover_is_a_share_and_more_looks_never_cover_less(minutes: list[int]) -> None:
    until = SINCE + timedelta(days=1)
    at = sorted(SINCE + timedelta(minutes=one) for one in minutes)
    found = reckoning.covered(at, SINCE, until)
    assert 0 <= found <= 1
    if at:
        assert reckoning.covered(sorted([*at, SINCE + HOUR]), SINCE, until) >= found - 1e-9


def test_a_day_of_looks_covers_itself() -> None:
    until = SINCE + timedelta(days=1)
    all_day = [SINCE + number * timedelta(minutes=5) for number in range(288)]
    assert reckoning.covered(all_day, SINCE, until) == 1
    assert reckoning.covered(all_day[:144], SINCE, until) == pytest.approx(0.5, abs=0.01)
    assert reckoning.covered([], SINCE, until) == 0


def test_days_are_those_of_the_business() -> None:
    began, ended = datetime(2026, 10, 1, tzinfo=LONDON), datetime(2026, 11, 1, tzinfo=LONDON)
    calendar = reckoning.days(began, ended, LONDON)
    assert (calendar[0], calendar[-1], len(calendar)) == (date(2026, 10, 1), date(2026, 10, 31), 31)
    # 23:30 UTC on 30 September is October in London, which has summer time.
    early = reckoning.flow_month(Flow.STOCK, [Look(datetime(2026, 9, 30, 23, 30, tzinfo=UTC), 1)], LONDON)
    assert early is not None
    assert early.days[0].day == date(2026, 10, 1)


@pytest.mark.parametrize(
    ("changes", "in_time"),
    [
        ({}, False),
        ({"acknowledged_at": SINCE + 2 * HOUR}, True),
        ({"acknowledged_at": SINCE + 3 * HOUR}, False),
        ({"resolved_at": SINCE + 2 * HOUR}, True),
        ({"resolved_at": SINCE + 3 * HOUR}, False),
        ({"acknowledged_at": SINCE + 3 * HOUR, "resolved_at": SINCE + 4 * HOUR}, False),
        ({"deadline": UNTIL + HOUR}, None),
        ({"deadline": None}, None),
        ({"deadline": None, "acknowledged_at": SINCE + 3 * HOUR}, True),
    ],
)
def test_in_time_is_what_was_taken_up_or_over_by_the_deadline(
    changes: dict[str, Any], in_time: bool | None
) -> None:
    assert life(**changes).in_time(UNTIL) is in_time


def test_kinds_and_owners_add_up() -> None:
    over = {"resolved_at": SINCE + 3 * HOUR, "status": Status.FIXED}
    taken = {"acknowledged_at": SINCE + 2 * HOUR}
    lives = [
        life(),
        life(exception_id=2, **over),
        life(exception_id=3, **over, **taken),
        life(exception_id=4, **{**over, "status": Status.EXPECTED}, **taken),
        life(exception_id=5, opened_at=SINCE - HOUR, escalated_at=SINCE),
        life(exception_id=6, kind=Kind.ORDER_TAX, owner=Owner.FINANCE, deadline=UNTIL + HOUR),
    ]
    first, second = reckoning.kinds_month(lives, SINCE, str.upper)
    assert (first.title, first.opened, first.by_itself, first.by_people, first.decided, first.open) == (
        "TASK_FAILED",
        4,
        1,
        1,
        1,
        2,
    )
    assert (second.kind, second.opened, second.open) == (Kind.ORDER_TAX, 1, 1)
    platform, finance = reckoning.owners_month(lives, SINCE, UNTIL)
    assert (platform.owner, platform.opened, platform.judged, platform.in_time) == (Owner.PLATFORM, 4, 4, 2)
    assert (platform.to_acknowledge_p50, platform.escalated) == (3600.0, 0)
    assert (platform.open, platform.overdue, platform.oldest) == (2, 2, SINCE - HOUR)
    assert (finance.judged, finance.share, finance.overdue) == (0, None, 0)


def test_a_cause_that_comes_up_three_times_is_a_repeat() -> None:
    again = [life(opened_at=SINCE + number * HOUR, message=f"no. {number}") for number in range(3)]
    many = [
        life(exception_id=10 + number, kind=Kind.PRODUCT_HELD, cause_key=f"p{number}", cause_group="gtin")
        for number in range(5)
    ]
    twice = [life(kind=Kind.ORDER_TAX, opened_at=SINCE + number * HOUR) for number in range(2)]
    first, second = reckoning.repeats([*again, *many, *twice], SINCE, str)
    assert (first.kind, first.times, first.records) == (Kind.PRODUCT_HELD, 5, 5)
    assert (second.kind, second.times, second.records, second.message) == (Kind.TASK_FAILED, 3, 1, "no. 2")


def test_messages_are_sent_needless_or_undelivered() -> None:
    told = Message("default", "task_failed", "a", SINCE, SINCE + timedelta(seconds=4), False)
    found = reckoning.channels_month(
        [
            told,
            replace(told, sent_at=None),
            replace(told, sent_at=None, is_needless=True),
            replace(told, channel="mail"),
        ]
    )
    assert [(one.channel, one.written, one.sent, one.needless, one.undelivered) for one in found] == [
        ("default", 3, 1, 1, 1),
        ("mail", 1, 1, 0, 0),
    ]
    assert found[0].p95 == 4.0


def test_orders_by_day() -> None:
    done = [OrderDone(SINCE + HOUR, SINCE, False), OrderDone(SINCE + 2 * HOUR, None, True)]
    found = reckoning.orders_month(done, 3, 1, reckoning.days(SINCE, UNTIL, UTC), UTC)
    assert (found.captured, found.helped, found.confirmed, found.left_over) == (2, 1, 3, 1)
    assert (found.p50, found.right_first_time, len(found.days)) == (3600.0, 0.5, 31)
    assert (found.days[0].alone, found.days[0].helped) == (1, 1)
    assert reckoning.orders_month([], 0, 0, [], UTC).right_first_time is None


def test_a_drill_that_was_ended_unclosed_was_missed() -> None:
    cause = drill_cause(SINCE)
    raised = life(cause_key=cause, cause_group=cause)
    ended = replace(
        raised, exception_id=2, resolved_at=SINCE + HOUR + timedelta(minutes=1), status=Status.FIXED
    )
    taken = replace(ended, exception_id=3, acknowledged_at=SINCE + HOUR + timedelta(seconds=30))
    found = reckoning.drills_month(
        [raised, ended, taken], {cause: SINCE + HOUR + timedelta(seconds=5)}, {2: UNTIL}, UNTIL, str
    )
    assert [(one.alerted, one.acknowledged, one.closed, one.in_time) for one in found] == [
        (5.0, None, None, False),
        (5.0, None, None, False),
        (5.0, 30.0, 60.0, True),
    ]


# What to do next

FRESH = FlowMonth(
    flow=Flow.STOCK, target=60, measured=100, within=100, p50=10, p95=30, late=0, spells=(), days=()
)
GOOD = Month(
    link="default",
    name="2026-10",
    zone="UTC",
    since=SINCE,
    until=UNTIL,
    is_over=True,
    checks=8928,
    covered=1.0,
    flows=(FRESH,),
    orders=OrdersMonth(captured=100, helped=1, confirmed=100, left_over=0, p50=10, p95=30, days=()),
    units=UnitsMonth(movements=100, moved=200, arrived=200),
    unaccounted=(),
    drift=DriftMonth(
        nights=tuple(
            NightMonth(night=f"2026-10-{day:02}", checked=100, findings={"Stock": 2}, units=2)
            for day in range(1, 32)
        ),
        causes=(),
        mended={"verified": 3},
    ),
    kinds=(),
    days=(),
    repeats=(),
    owners=(),
    channels=(ChannelMonth(channel="default", written=9, sent=8, needless=1, undelivered=0, p50=1, p95=2),),
    silences=(),
    changes=(),
    drills=(
        DrillMonth(
            title="Payment",
            owner="retail ops",
            raised_at=SINCE,
            alerted=3,
            acknowledged=60,
            closed=90,
            in_time=True,
        ),
    ),
    notes=(),
)
OWNER = OwnerMonth(
    owner="finance",
    opened=10,
    judged=10,
    in_time=10,
    to_acknowledge_p50=60,
    to_acknowledge_p95=90,
    escalated=0,
    to_close_p50=60,
    to_close_p95=90,
    open=0,
    overdue=0,
    oldest=None,
)
KIND = KindMonth(
    kind=Kind.ORDER_TAX, title="No tax rate", opened=4, by_itself=2, by_people=2, decided=0, open=0
)
SILENCE = SilenceMonth(
    title="No tax rate", cause="", reason="why", actor="ann", since=SINCE, until=SINCE + HOUR
)


def _growing(nights: int = 31) -> DriftMonth:
    return DriftMonth(
        nights=tuple(
            NightMonth(night=f"{day:02}", checked=100, findings={"Stock": day}, units=day)
            for day in range(nights)
        ),
        causes=(),
        mended={},
    )


def test_a_good_month_asks_for_nothing() -> None:
    assert next_steps(GOOD) == ()
    quiet = {"owners": (OWNER,), "kinds": (KIND,), "silences": (SILENCE,)}
    assert next_steps(GOOD.model_copy(update=quiet)) == ()


CASES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"unaccounted": (Unaccounted(since=SINCE, until=None, message="m"),)},
        "data/platform",
        "Once in the month, 1 of them at its end",
    ),
    (
        {"channels": (GOOD.channels[0].model_copy(update={"undelivered": 2}),)},
        "data/platform",
        "2 of 9 messages over 'default'",
    ),
    (
        {"kinds": (KIND.model_copy(update={"kind": Kind.ALERT_UNDELIVERED}),)},
        "data/platform",
        "could not be delivered 4 times",
    ),
    ({"covered": 0.9}, "data/platform", "90.0%"),
    (
        {
            "flows": (
                FRESH.model_copy(
                    update={
                        "within": 90,
                        "late": 3600,
                        "spells": (Spell(began=SINCE, ended=SINCE + HOUR, peak=7200),),
                    }
                ),
            )
        },
        "data/platform",
        "Within 60 s in 90.0% of measurements; late for 60 min altogether, longest from 01 Oct 00:00 UTC",
    ),
    ({"orders": GOOD.orders.model_copy(update={"left_over": 3})}, "retail ops", "3 of 100 sales"),
    (
        {"orders": GOOD.orders.model_copy(update={"helped": 9}), "kinds": (KIND,)},
        "ecommerce",
        "9 of 100 orders needed a person. Most often: No tax rate (4 times).",
    ),
    ({"drift": DriftMonth(nights=(), causes=(), mended={})}, "data/platform", "No night of the month"),
    ({"drift": _growing()}, "data/platform", "22 differences a night in the second half"),
    (
        {"drift": GOOD.drift.model_copy(update={"mended": {"returned": 2}})},
        "data/platform",
        "2 differences that were mended came back",
    ),
    (
        {"owners": (OWNER.model_copy(update={"in_time": 5, "escalated": 2}),)},
        "finance",
        "5 of 10 were answered in time (50%); the deputy was told 2 times.",
    ),
    (
        {"owners": (OWNER.model_copy(update={"open": 2, "oldest": SINCE}),)},
        "finance",
        "Open: 2, the oldest since 2026-10-01.",
    ),
    (
        {
            "repeats": (
                Repeat(
                    kind="k", title="T", owner="ecommerce", record="R", times=4, records=1, message="Why."
                ),
            )
        },
        "ecommerce",
        "It came up 4 times, of R. Last: Why.",
    ),
    (
        {"kinds": (KIND.model_copy(update={"decided": EXPECTED, "opened": 12}),)},
        "data/platform",
        "10 of 12 were left as they are",
    ),
    (
        {"silences": (SILENCE.model_copy(update={"until": SINCE + timedelta(days=8)}),)},
        "data/platform",
        "ann silenced it from 2026-10-01 to 2026-10-09: why",
    ),
    ({"drills": ()}, "data/platform", "There was no drill in the month."),
    (
        {"drills": (GOOD.drills[0].model_copy(update={"in_time": False}),)},
        "retail ops",
        "On 2026-10-01 it was not taken note of in time.",
    ),
    (
        {"drills": (GOOD.drills[0].model_copy(update={"in_time": False, "alerted": None}),)},
        "retail ops",
        "its message did not arrive",
    ),
]


@pytest.mark.parametrize(("changes", "owner", "said"), CASES)
def test_a_number_that_asks_for_something_says_so_and_whose_it_is(
    changes: dict[str, Any], owner: str, said: str
) -> None:
    (step,) = next_steps(GOOD.model_copy(update=changes))
    assert step.owner == owner
    assert said in step.why
    assert step.text.endswith(".")


def test_every_rule_is_tried() -> None:
    months = [GOOD.model_copy(update=changes) for changes, _, _ in CASES]
    assert {rule for rule in RULES if any(list(rule(month)) for month in months)} == set(RULES)


def test_few_nights_show_no_trend() -> None:
    assert next_steps(GOOD.model_copy(update={"drift": _growing(5)})) == ()


def test_a_month_is_read_as_it_was_kept() -> None:
    again = Month.model_validate_json(GOOD.model_dump_json())
    assert again == GOOD
