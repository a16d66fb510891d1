"""How stores, budgets and a link as a whole stand, and how that is said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cogent_ops.domain.health.judgement import budget, overall, stores
from cogent_ops.domain.health.model import (
    Account,
    Check,
    Flow,
    Freshness,
    HourAccount,
    State,
    StoreHealth,
)
from cogent_ops.domain.health.sentence import sentence

HOUR = datetime(2026, 11, 28, 10, tzinfo=UTC)
LOST = HourAccount(hour=HOUR, orders=Account(seen=3, done=2), units=Account())
GOOD = "Kiosks and commercetools are in step: stock and orders are 5 s old at most."
FINE = HourAccount(hour=HOUR, orders=Account(seen=2, done=2), units=Account(seen=4, done=3, waiting=1))


def flow(which: Flow, state: State, age: float | None = 5.0) -> Freshness:
    return Freshness(flow=which, state=state, age=age, target=60.0)


def flows(*late: tuple[Flow, State, float | None]) -> list[Freshness]:
    odd = {which: (state, age) for which, state, age in late}
    return [flow(which, *odd.get(which, (State.GOOD, 5.0))) for which in Flow]


def test_stores_come_the_worst_first_with_what_is_wrong() -> None:
    found = stores(
        [
            store("Fine", State.GOOD, hours=(FINE,)),
            store("Lost", State.GOOD, hours=(LOST,)),
            store("Risky", State.GOOD).model_copy(update={"at_risk": 4}),
            store("Silent", State.LATE, "no order").model_copy(update={"open": 2}),
        ]
    )
    assert [one.name for one in found] == ["Lost", "Risky", "Silent", "Fine"]
    assert [one.state for one in found] == [State.BAD, State.LATE, State.LATE, State.GOOD]
    assert found[0].reasons == ("1 order unaccounted for, of the hour from 10:00 UTC",)
    assert (found[1].reasons, found[2].reasons) == (("4 units may be sold twice",), ("no order",))


@pytest.mark.parametrize(
    ("factor", "blocked_until", "state"),
    [(1.0, 0.0, State.GOOD), (0.5, 0.0, State.GOOD), (0.25, 0.0, State.LATE), (1.0, 1100.0, State.LATE)],
)
def test_a_budget_is_late_while_its_api_wants_less(factor: float, blocked_until: float, state: State) -> None:
    found = budget(
        "api", 50.0, factor=factor, taken=0.0, blocked_until=blocked_until, now=1000.0, before=None
    )
    assert (found.state, found.used) == (state, None)
    assert (found.blocked_until is not None) is (blocked_until > 1000)


def test_use_is_what_was_sent_since_the_check_before() -> None:
    use = budget("api", 50.0, factor=1.0, taken=900.0, blocked_until=0.0, now=0.0, before=(150.0, 300.0))
    assert use.used == pytest.approx(0.05)
    again = budget("api", 50.0, factor=1.0, taken=10.0, blocked_until=0.0, now=0.0, before=(150.0, 300.0))
    assert again.used is None, "the store is another one than before"


def test_a_link_stands_as_its_worst_part_and_what_nobody_may_see_makes_it_no_worse() -> None:
    unseen = Check(name="Subscriptions", state=State.UNKNOWN, message="not allowed to look")
    refused = Check(name="Access", state=State.BAD, message="refused")
    assert overall(flows(), [], [], [unseen]) is State.GOOD
    assert overall(flows((Flow.DRIFT, State.UNKNOWN, None)), [], [], []) is State.GOOD
    assert overall([flow(which, State.UNKNOWN, None) for which in Flow], [], [], []) is State.UNKNOWN
    assert overall(flows((Flow.STOCK, State.LATE, 90.0)), [], [], []) is State.LATE
    assert overall(flows(), [], [], [refused]) is State.BAD


def store(name: str, state: State, *reasons: str, hours: tuple[HourAccount, ...] = ()) -> StoreHealth:
    return StoreHealth(place=name, name=name, state=state, reasons=reasons, hours=hours)


@pytest.mark.parametrize(
    ("late", "shops", "checks", "at_risk", "said"),
    [
        ([], [], [], 0, GOOD),
        (
            [(Flow.DRIFT, State.UNKNOWN, None)],
            [],
            [],
            0,
            GOOD + " Not seen yet: the nightly comparison.",
        ),
        (
            [(Flow.STOCK, State.BAD, 840.0)],
            [],
            [],
            0,
            "Stock in commercetools is 14 min old, agreed are 60 s.",
        ),
        (
            [(Flow.STOCK, State.LATE, 90.0)],
            [store("Leeds", State.LATE, "no order")],
            [Check(name="Access", state=State.BAD, message="commercetools refuses it.")],
            3,
            "Access: commercetools refuses it. 3 more things need a look.",
        ),
        ([], [store("Leeds", State.BAD, hours=(LOST,))], [], 0, "Orders or units are unaccounted for."),
    ],
    ids=["good", "not seen", "late", "several", "lost"],
)
def test_one_sentence_says_it(
    late: list[tuple[Flow, State, float | None]],
    shops: list[StoreHealth],
    checks: list[Check],
    at_risk: int,
    said: str,
) -> None:
    assert sentence(flows(*late), shops, checks, at_risk) == said


def test_nothing_is_claimed_while_nothing_has_run() -> None:
    unknown = [flow(which, State.UNKNOWN, None) for which in Flow]
    assert sentence(unknown, [], [], 0) == "Nothing has run yet, so nobody can say how it stands."
