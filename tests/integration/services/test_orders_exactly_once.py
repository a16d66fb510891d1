"""Whatever happens on the way, a confirmed kiosk order is one order in commercetools, with its total and its state.

``COGENT_OPS_HISTORIES=5000 pytest tests/integration/services/test_orders_exactly_once.py`` tries many more histories,
at random, than a test run does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.databases import Databases
from tests.support.dying import Boundaries
from tests.support.histories import WANTED, histories, kill_at_random, plans
from tests.support.order_stories import BASKET, LACKING, SORTS, Story, wardrobe

from cogent_ops.clients.transport import close_sessions
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.store import Store, open_store

#: Many histories take longer than a test may.
pytestmark = pytest.mark.timeout(0 if WANTED else 300)
#: Of the moments at which a process may die, a test run tries each so manieth.
STRIDE = 1 if WANTED else 6
PAID = OrderStatus.PAID
_NUMBERS = count()


@dataclass(frozen=True)
class Shared:
    """What all stories of a database share; each has a link of its own, and both systems anew."""

    server: SandboxServer
    store: Store


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    databases: Databases = request.getfixturevalue(f"{request.param}_databases")
    with databases.current() as url, SandboxServer(wardrobe()) as server:
        store = open_store(url)
        yield Shared(server, store)
        store.close()
        close_sessions()


def begin(shared: Shared) -> Story:
    server = shared.server
    server.set_faults(None)
    server.state.clock.offset = timedelta(0)
    story = Story(server, shared.store, f"story-{next(_NUMBERS)}")
    story.begin()
    return story


# What may happen: methods of a story with what they take

WHICH = st.integers(0, len(SORTS) - 1)
STATUS = st.sampled_from([*OrderStatus, PAID, PAID])
MOMENTS = st.integers(0, 50)
STEP = st.sampled_from(["poll", "capture", "capture", "tell", "look"])

STEPS = st.one_of(
    st.tuples(st.just("order"), WHICH, STATUS),
    st.tuples(st.just("order"), WHICH, STATUS),
    st.tuples(st.just("order"), WHICH, STATUS),
    st.tuples(st.just("sell_and_see"), WHICH, STATUS),
    st.tuples(st.just("sell_and_see"), WHICH, STATUS),
    st.tuples(st.just("buy"), st.just(BASKET), st.booleans()),
    st.tuples(st.just("work_in_shop"), WHICH, st.sampled_from(["cancel", "refund", "send", "complete"])),
    st.tuples(st.just("approve"), WHICH),
    st.tuples(st.just("mend"), WHICH),
    st.tuples(st.just("name_refund"), WHICH, st.sampled_from([100, 700, 2550])),
    st.tuples(st.just("turn_down"), WHICH),
    st.tuples(st.just("change_lines"), WHICH),
    st.tuples(st.just("make_article")),
    st.tuples(st.just("pass_time"), st.sampled_from([1, 20])),
    st.tuples(st.just("do"), STEP, st.none()),
    st.tuples(st.just("do"), STEP, MOMENTS),
    st.tuples(st.just("do"), st.just("capture"), MOMENTS),
    st.tuples(st.just("capture_together")),
)
PLANS = plans(
    rates=[0.1, 0.3],
    anything=["orders.*", "payments.*", "upsertOrders"],
    writes=["orders.import", "payments.create", "orders.update"],
    updates=["orders.update", "payments.update"],
)


@histories(15)
@given(steps=st.lists(STEPS, min_size=4, max_size=24), plan=PLANS)
def test_every_history_ends_right(shared: Shared, steps: list[tuple[Any, ...]], plan: FaultPlan) -> None:
    """Any order of states, repeats, deaths at any moment, any fault, two captures at once, people on both sides."""
    story = begin(shared)
    shared.server.set_faults(plan)
    for name, *arguments in steps:
        getattr(story, name)(*arguments)
    story.end()
    story.check()


# Deaths at every moment


def busy(shared: Shared) -> Story:
    """Something of everything is to be captured, changed and asked about."""
    story = begin(shared)
    for which, status in enumerate((PAID, OrderStatus.REFUNDED, PAID, PAID, PAID, OrderStatus.PLACED)):
        story.order(which, status)
    story.do("poll")
    story.do("capture")
    story.set_status(story.told[0].id, OrderStatus.VOIDED)
    story.told[0].was.append(OrderStatus.VOIDED)
    story.do("poll")
    story.mend(2)
    return story


def test_dying_anywhere_in_a_round_changes_nothing(shared: Shared) -> None:
    with Boundaries().watched() as counted:
        story = busy(shared)
        before = counted.passed
        story.steps["capture"]()
        moments = counted.passed - before
    story.end()
    story.check()
    assert moments > 20
    for moment in range(0, moments, STRIDE):
        story = busy(shared)
        story.do("capture", moment)
        story.end()
        story.check()


def test_an_import_that_nobody_noted_is_found_whatever_the_kiosk_says_then(shared: Shared) -> None:
    """The worker dies between the import and its record, and the order is no sale any more when its successor looks."""
    with Boundaries().watched() as counted:
        story = begin(shared)
        story.order(0, PAID)
        story.do("poll")
        before = counted.passed
        story.steps["capture"]()
        moments = counted.passed - before
    imported = 0
    says = cycle((OrderStatus.VOIDED, OrderStatus.DRAFT_BASKET, OrderStatus.PLACED))
    for moment, then in zip(range(moments - 6, moments), says, strict=False):
        story = begin(shared)
        story.order(0, PAID)
        story.do("poll")
        story.do("capture", moment)
        imported += len(story.ct_orders())
        story.order(0, then)
        story.end()
        story.check()
    assert imported > 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["reset", "error", "timeout"])
def test_an_answer_that_is_lost_leaves_one_order(shared: Shared, kind: str, when: str) -> None:
    """Whatever is lost of the first three requests to import."""
    story = begin(shared)
    given = {"kind": kind, "operation": "orders.import", "when": when, "limit": 3}
    lost = Rule.model_validate({**given, "status": 500, "delay": 0.01})
    shared.server.set_faults(FaultPlan(rules=(lost,)))
    story.order(0, PAID)
    story.do("poll")
    story.do("capture")
    story.end()
    story.check()
    assert len(story.ct_orders()) == 1


def test_a_late_import_of_a_dead_worker_counts_once(shared: Shared) -> None:
    """Its request hangs, its successor goes on, and the request arrives after all."""
    for delay in (0.02, 0.1):
        story = begin(shared)
        for which in range(2):
            story.order(which, PAID)
        story.do("poll")
        slow = Rule(kind="slow", operation="orders.import", rate=1, delay=delay, limit=4)
        shared.server.set_faults(FaultPlan(rules=(slow,)))
        story.capture_together()
        story.end()
        story.check()


# Real processes


def work_for_ever(story: Story) -> None:
    """What a worker process does until it is killed."""
    while True:
        for step_ in story.steps.values():
            try:
                step_()
            except RetryableError:
                time.sleep(0.005)


@pytest.mark.parametrize("seed", range(20 if WANTED else 2))
def test_two_processes_killed_at_random(shared: Shared, seed: int) -> None:
    chance = random.Random(seed)
    story = begin(shared)
    rules = (
        Rule(kind="reset", operation="orders.import", when="after", rate=0.2),
        Rule(kind="conflict", operation="*.update", rate=0.1),
        Rule(kind="slow", operation="orders.*", rate=0.3, delay=0.01),
    )
    shared.server.set_faults(FaultPlan(seed=seed, rules=rules))

    def sell(number: int) -> None:
        for which in range(5):
            story.order(which, chance.choice(list(OrderStatus)))

    kill_at_random(work_for_ever, story, shared.store, chance, sell, story.catch_up)
    story.end()
    story.check()


def test_a_void_that_nobody_noted_is_told_to_a_kiosk_that_has_gone_on(shared: Shared) -> None:
    """commercetools has it, and says so, although the worker died and the kiosk says something else by then."""

    def voided() -> Story:
        story = begin(shared)
        story.sell_and_see(0, PAID)
        story.order(0, OrderStatus.VOIDED)
        story.do("poll")
        return story

    with Boundaries().watched() as counted:
        story = voided()
        before = counted.passed
        story.steps["capture"]()
        moments = counted.passed - before
    unnoted = 0
    for moment in range(moments - 3, moments):
        story = voided()
        story.do("capture", moment)
        row = story.row(story.told[0].id)
        unnoted += story.ct_orders()[0]["orderState"] == "Cancelled" and row.captured_status == "PAID"
        for name in ("look", "tell"):
            story.do(name)
        story.order(0, OrderStatus.PARTIALLY_REFUNDED)
        story.end()
        story.check()
    assert unnoted


def test_a_kiosk_that_takes_back_what_it_was_told_is_asked_about(shared: Shared) -> None:
    """Its word came after ours, so it is no echo and no older one."""
    story = begin(shared)
    story.sell_and_see(0, PAID)
    for _ in range(2):
        story.work_in_shop(0, "refund")
    for name in ("look", "tell", "poll", "capture"):
        story.do(name)
    assert story.shown(story.told[0])[0] is OrderStatus.REFUNDED
    story.order(0, OrderStatus.PARTIALLY_REFUNDED)
    story.end()
    story.check()
    assert story.kinds([story.told[0].id]) == [{"order_state", "refund_quantity"}]


@pytest.mark.parametrize("back", [PAID, OrderStatus.VOIDED])
def test_what_was_told_long_ago_excuses_nothing(shared: Shared, back: OrderStatus) -> None:
    """It was told that the sale was void, was refunded after that, and then the kiosk says something older."""
    story = begin(shared)
    story.sell_and_see(0, PAID)
    story.work_in_shop(0, "cancel")
    for name in ("look", "tell", "poll", "capture"):
        story.do(name)
    assert story.shown(story.told[0])[0] is OrderStatus.VOIDED
    story.sell_and_see(0, OrderStatus.REFUNDED)
    story.order(0, back)
    story.end()
    story.check()
    assert story.row(story.told[0].id).captured_status == "REFUNDED"


def test_what_was_mended_elsewhere_is_settled_although_an_answer_was_lost(shared: Shared) -> None:
    """A person is asked; the cause goes away; the import needs two rounds."""
    story = begin(shared)
    story.sell_and_see(LACKING, PAID)
    assert story.row(story.told[LACKING].id).state == "review"
    story.make_article()
    story.pass_time(20)
    lost = Rule(kind="error", operation="orders.*", status=503, limit=60)
    shared.server.set_faults(FaultPlan(rules=(lost,)))
    story.do("capture")
    assert story.row(story.told[LACKING].id).state == "sending"
    story.end()
    story.check()
