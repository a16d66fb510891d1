"""Snapshots as sync health makes them, for whatever shows them: a good day, a bad one, many stores."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import count

from cogent_ops.domain.health.model import (
    Account,
    AtRisk,
    BudgetUse,
    Change,
    Check,
    DriftSummary,
    Flow,
    Freshness,
    HourAccount,
    Kiosk,
    Queue,
    Snapshot,
    State,
    StoreHealth,
)
from cogent_ops.domain.money import Money
from cogent_ops.store import Store

_MOMENTS = count(1)
NOW = datetime(2026, 11, 27, 14, 3, 20, tzinfo=UTC)
TARGETS = {
    Flow.CATALOGUE: 2700.0,
    Flow.STOCK: 60.0,
    Flow.AVAILABILITY: 120.0,
    Flow.ORDERS: 120.0,
    Flow.STATUS: 900.0,
    Flow.DRIFT: 108_000.0,
}
USUAL = {
    Flow.CATALOGUE: 620.0,
    Flow.STOCK: 6.0,
    Flow.AVAILABILITY: 24.0,
    Flow.ORDERS: 11.0,
    Flow.STATUS: 48.0,
    Flow.DRIFT: 39_600.0,
}
TOWNS = (
    "London Regent Street", "Leeds Briggate", "Manchester Arndale", "Bristol Cabot Circus", "Glasgow Buchanan Street",
    "Edinburgh St James", "Cardiff St David's", "Birmingham Bullring", "Liverpool ONE", "Newcastle Eldon Square",
    "Nottingham Victoria", "Sheffield Meadowhall", "Brighton Churchill Square", "Oxford Westgate", "Cambridge Grafton",
)  # fmt: skip


def freshness(flow: Flow, **values: object) -> Freshness:
    """A flow on time."""
    given: dict[str, object] = {
        "flow": flow,
        "state": State.GOOD,
        "age": USUAL[flow],
        "target": TARGETS[flow],
        "looked_at": NOW - timedelta(seconds=min(USUAL[flow], 5)),
        "p50": USUAL[flow] / 2,
        "p95": USUAL[flow] * 1.4,
        "done": 214,
    }
    return Freshness.model_validate(given | values)


def hours(orders_a_day: float, seed: int = 0, now: datetime = NOW) -> tuple[HourAccount, ...]:
    """A store's last day of kiosk orders; nobody buys at night."""
    chance, made = random.Random(seed), []
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    for number in range(24):
        hour = start + timedelta(hours=number)
        busy = max(0.0, math.sin((hour.hour - 8) / 12 * math.pi)) if 8 <= hour.hour <= 20 else 0.0
        seen = round(orders_a_day / 7.6 * busy * chance.uniform(0.6, 1.4))
        if not seen:
            continue
        left_out = sum(chance.random() < 0.03 for _ in range(seen))
        waiting = min(seen - left_out, chance.randint(0, 2)) if number == 23 else 0
        orders = Account(seen=seen, done=seen - left_out - waiting, waiting=waiting, excluded=left_out)
        units = Account(seen=seen * 2, done=seen * 2 - waiting, waiting=waiting)
        made.append(HourAccount(hour=hour, orders=orders, units=units))
    return tuple(made)


def store_health(number: int, *, now: datetime = NOW, **values: object) -> StoreHealth:
    """A store in order."""
    name = TOWNS[number] if number < len(TOWNS) else f"Store {number + 1}"
    given: dict[str, object] = {
        "place": f"store-{number + 1}",
        "name": name,
        "state": State.GOOD,
        "hours": hours(34 + 9 * (number % 5), seed=number, now=now),
        "last_order": now - timedelta(minutes=2 + number % 11),
        "expected": 0.4,
        "kiosks": (
            Kiosk(name=f"{name.split()[0]} 1", status="LIVE", last_seen=now - timedelta(minutes=1)),
            Kiosk(name=f"{name.split()[0]} 2", status="LIVE", last_seen=now - timedelta(minutes=2)),
        ),
    }
    return StoreHealth.model_validate(given | values)


BUDGETS = (
    BudgetUse(target="commercetools/sunrise-uk", state=State.GOOD, rate=40, factor=1.0, used=0.31),
    BudgetUse(target="cloudshelf/uk", state=State.GOOD, rate=10, factor=1.0, used=0.18),
)
CHECKS = (
    Check(
        name="commercetools credential", state=State.GOOD, message="A token was given, and a read allowed."
    ),
    Check(name="Cloudshelf credential", state=State.GOOD, message="The key is accepted."),
    Check(name="Messages setting", state=State.GOOD, message="The project keeps Messages for 15 days."),
    Check(
        name="Subscriptions",
        state=State.UNKNOWN,
        message="This API client may not read Subscriptions.",
        cure="Give it the scope manage_subscriptions, or set health.subscriptions to none.",
    ),
)
DRIFT = DriftSummary(
    night="2026-11-27",
    finished_at=NOW - timedelta(hours=11),
    checked=184_220,
    findings={"late": 3, "manual edit": 2, "lost": 1},
    units=9,
    at_stake=(Money("GBP", 41_250),),
    open=1,
)


def good_day(link: str = "default", now: datetime = NOW, stores: int = 6) -> Snapshot:
    """Everything on time."""
    return Snapshot(
        link=link,
        checked_at=now - timedelta(minutes=2),
        state=State.GOOD,
        sentence="Kiosks and commercetools are in step: stock and orders are 24 s old at most.",
        flows=tuple(freshness(flow) for flow in Flow),
        stores=tuple(store_health(number, now=now) for number in range(stores)),
        budgets=BUDGETS,
        checks=CHECKS,
        queues=(Queue(owner="merchandising", open=4, overdue=0, oldest=now - timedelta(hours=3)),),
        drift=DRIFT,
        changes=(
            Change(at=now - timedelta(hours=9), actor="configuration", what="configuration: mapping.yaml"),
        ),
    )


def bad_day(link: str = "default", now: datetime = NOW, stores: int = 12) -> Snapshot:
    """A launch: stock is late, one store has gone quiet, one order is not accounted for, a Subscription has stopped."""
    oldest = now - timedelta(minutes=7)
    flows = {
        Flow.STOCK: freshness(
            Flow.STOCK,
            state=State.BAD,
            age=420.0,
            oldest_waiting=oldest,
            waiting=812,
            review=3,
            drain=540.0,
            p50=38.0,
            p95=260.0,
            done=1420,
            cause="commercetools has asked to be left alone until 14:06.",
        ),
        Flow.AVAILABILITY: freshness(Flow.AVAILABILITY, state=State.LATE, age=190.0, waiting=96, drain=150.0),
        Flow.ORDERS: freshness(Flow.ORDERS, waiting=14, review=5, drain=60.0),
        Flow.STATUS: freshness(
            Flow.STATUS, state=State.UNKNOWN, age=None, looked_at=None, p50=None, p95=None, done=0
        ),
    }
    rows = [store_health(number, now=now) for number in range(stores)]
    lost = rows[1].hours[3].model_copy(update={"orders": Account(seen=9, done=7, excluded=1)})
    rows[1] = rows[1].model_copy(
        update={
            "state": State.BAD,
            "hours": (*rows[1].hours[:3], lost, *rows[1].hours[4:]),
            "reasons": ("1 order unaccounted for, of the hour from 17:00 UTC",),
            "open": 2,
        }
    )
    rows[3] = rows[3].model_copy(
        update={
            "state": State.LATE,
            "last_order": now - timedelta(hours=3),
            "expected": 11.6,
            "kiosks": (Kiosk(name="Bristol 1", status="LIVE", last_seen=now - timedelta(hours=3)),),
            "reasons": (
                "no order for 3 h, where about 12 would have been usual",
                "1 kiosk was not seen for 3 h",
            ),
            "open": 1,
        }
    )
    rows[4] = rows[4].model_copy(
        update={"state": State.LATE, "at_risk": 23, "reasons": ("23 units may be sold twice",)}
    )
    rows.sort(key=lambda one: (-list(State).index(one.state), -one.at_risk, -one.open, one.name))
    return Snapshot(
        link=link,
        checked_at=now - timedelta(minutes=2),
        state=State.BAD,
        sentence="Orders or units are unaccounted for. 5 more things need a look.",
        flows=tuple(flows.get(flow) or freshness(flow) for flow in Flow),
        stores=tuple(rows),
        budgets=(
            BudgetUse(
                target="commercetools/sunrise-uk",
                state=State.LATE,
                rate=40,
                factor=0.4,
                used=0.97,
                blocked_until=now + timedelta(minutes=3),
            ),
            BUDGETS[1],
        ),
        checks=(
            Check(
                name="Subscription stock-changes",
                state=State.BAD,
                message="commercetools has stopped it: its destination refuses deliveries since 12:40.",
                cure="Mend the queue's access rights; cogent_ops reads again what it missed, and closes this itself.",
            ),
            Check(
                name="Cloudshelf credential",
                state=State.LATE,
                message="The key ends on 12 December, in 15 days.",
                cure="Make a new key in the Cloudshelf Manager and put it into the connection cloudshelf_default.",
            ),
            *CHECKS[:1],
            *CHECKS[2:],
        ),
        queues=(
            Queue(
                owner="data/platform", open=3, overdue=1, oldest=now - timedelta(minutes=84),
                at_stake=(Money("GBP", 18_400),),
            ),
            Queue(
                owner="retail ops", open=6, overdue=2, oldest=now - timedelta(hours=27),
                at_stake=(Money("GBP", 63_120), Money("EUR", 4_900)),
            ),
            Queue(owner="merchandising", open=11, overdue=0, oldest=now - timedelta(days=3)),
        ),
        risks=tuple(
            AtRisk(
                sku=f"COAT-{letter}-00{number}",
                place="store-5",
                pending=6 - number,
                age=420.0,
                rate=14.0 - 2 * number,
                expected=3 - number // 2,
                buffer=(3 - number // 2) if number < 4 else 0,
                since=oldest,
            )
            for number, letter in enumerate("SMLXB")
        ),
        drift=DRIFT.model_copy(update={"findings": {**DRIFT.findings, "wrong identifier": 14, "missing entry": 1}}),
        changes=(
            Change(at=now - timedelta(minutes=5), actor="protection", what="protection begins: 5 SKUs, 14 units"),
            Change(at=now - timedelta(minutes=83), actor="gap", what="gap opened: Subscription stock-changes"),
            Change(at=now - timedelta(hours=9), actor="configuration", what="configuration: mapping.yaml"),
            Change(at=now - timedelta(hours=21), actor="ada", what="healing of 12 differences approved"),
            Change(at=now - timedelta(days=3), actor="release", what="package 1.4.0 → 1.5.0"),
        ),
    )  # fmt: skip


def many_stores(count: int = 200, link: str = "default", now: datetime = NOW) -> Snapshot:
    """A bad day in a large chain."""
    return bad_day(link, now, count)


def keep(store: Store, snapshot: Snapshot, run_key: str = "check") -> None:
    """Store a snapshot, as a check does. Two never come at the same moment."""
    with store.begin() as conn:
        store.health.save(conn, later(snapshot), run_key)


def later(snapshot: Snapshot) -> Snapshot:
    """The same, made within the second before, and later than any other one there."""
    moment = snapshot.checked_at + timedelta(seconds=-1, microseconds=next(_MOMENTS))
    return snapshot.model_copy(update={"checked_at": moment})


def keep_day(store: Store, snapshot: Snapshot, *, span_hours: int = 25, minutes: int = 5) -> None:
    """Store a snapshot and the checks that came before it: the usual ages, rising in the last hour to its own.

    Nobody checked from 6 to 5 hours before.
    """
    chance = random.Random(11)
    befores = (minutes * step for step in range(span_hours * 60 // minutes, 0, -1))
    with store.begin() as conn:
        for before in befores:
            at = snapshot.checked_at - timedelta(minutes=before)
            if 300 < before < 360:
                continue
            flows = tuple(_earlier(one, before, at, chance) for one in snapshot.flows)
            earlier = Snapshot(link=snapshot.link, checked_at=at, state=State.GOOD, sentence="", flows=flows)
            store.health.save(conn, earlier, "check")
        store.health.save(conn, later(snapshot), "check")


def _earlier(flow: Freshness, minutes_before: float, at: datetime, chance: random.Random) -> Freshness:
    usual = USUAL[flow.flow]
    if flow.age is None:
        age = None
    elif flow.flow in (Flow.CATALOGUE, Flow.DRIFT):
        period = 900.0 if flow.flow is Flow.CATALOGUE else 86_400.0
        age = (flow.age - minutes_before * 60) % period + chance.uniform(0, usual / 40)
    else:
        rise = max(0.0, 1 - minutes_before / 45)
        peak = 5.0 if 500 < minutes_before < 530 else 0.0
        age = usual * chance.uniform(0.4, 1.5) * (1 + peak) + (flow.age - usual) * rise
    state = State.GOOD if age is None or age <= flow.target else State.LATE
    return flow.model_copy(update={"age": age, "state": state, "looked_at": at})
