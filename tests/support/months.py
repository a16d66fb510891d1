"""A month of a link as it may have been: fresh but for a bad morning, a cause that comes back, an owner who is slow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.support.calendars import LINK, Calendar
from tests.support.trouble import HELD

from cogent_ops.domain.drift.model import Area, Cause
from cogent_ops.domain.drills import drill, drill_cause
from cogent_ops.domain.exceptions import Action, Kind, NewException, Owner, order_cause
from cogent_ops.domain.health.model import Flow, State
from cogent_ops.store import Store
from cogent_ops.store.alerts import Told
from cogent_ops.store.drift import NightTotal
from cogent_ops.store.schema import health_sample, movement, order_capture
from cogent_ops.store.sql import Values, upsert

TARGETS = {
    Flow.CATALOGUE: 2700.0,
    Flow.STOCK: 60.0,
    Flow.AVAILABILITY: 120.0,
    Flow.ORDERS: 120.0,
    Flow.STATUS: 900.0,
    Flow.DRIFT: 108_000.0,
}
#: The bad morning: 14 October, from 9:00 on.
BAD, LASTED = datetime(2026, 10, 14, 9, tzinfo=UTC), timedelta(minutes=90)


def a_month(calendar: Calendar, *, every: timedelta = timedelta(minutes=5)) -> None:
    """October 2026.

    :param every: how often sync health looks.
    """
    _looks(calendar, every)
    _orders(calendar.store)
    _nights(calendar)
    _exceptions(calendar)
    _changes(calendar)


def _looks(calendar: Calendar, every: timedelta) -> None:
    dice = random.Random(10)
    at, rows = datetime(2026, 9, 30, 23, tzinfo=UTC), list[Values]()
    while at < datetime(2026, 11, 1, tzinfo=UTC):
        for flow, target in TARGETS.items():
            age: float | None = target * dice.uniform(0.05, 0.6)
            if flow is Flow.STOCK and BAD <= at < BAD + LASTED:
                age = 61 + (at - BAD).total_seconds()
            if flow is Flow.DRIFT and at < datetime(2026, 10, 2, tzinfo=UTC):
                age = None  # before the first night
            rows.append(sample(flow, at, age))
        at += every
    with calendar.store.begin() as conn:
        upsert(conn, health_sample, rows)


def sample(flow: Flow, at: datetime, age: float | None) -> Values:
    """How old a flow's data was at one look of sync health, as a row of its table."""
    late = age is not None and age > TARGETS[flow]
    state = State.UNKNOWN if age is None else State.LATE if late else State.GOOD
    found = {"link": LINK, "flow": flow, "at": at, "age": age, "target": TARGETS[flow], "state": state}
    return {**found, "p50": None, "p95": None, "waiting": 0, "done": 0}


def _orders(store: Store) -> None:
    """Thirty a day; on each fifth day a person has to help one."""
    made = []
    for day in range(1, 32):
        for number in range(30):
            at = datetime(2026, 10, day, 8 + number // 3, number, tzinfo=UTC)
            captured = at + timedelta(seconds=20 + number)
            made.append(_order(f"{day:02}-{number:02}", at, captured, helped=number == 0 and day % 5 == 0))
    _add(store, made)


def an_order(
    store: Store, name: str, at: datetime, captured: datetime | None, *, helped: bool = False
) -> None:
    """One order, and the movement that it made."""
    _add(store, [_order(name, at, captured, helped=helped)])


def _add(store: Store, made: Sequence[tuple[Values, Values]]) -> None:
    with store.begin() as conn:
        upsert(conn, order_capture, [order for order, _ in made], key=("link", "order_id"))
        upsert(conn, movement, [moved for _, moved in made], key=("link", "source", "source_id"))


def _order(name: str, at: datetime, captured: datetime | None, *, helped: bool) -> tuple[Values, Values]:
    """Rows of an order and of its movement."""
    order: Values = {
        "link": LINK,
        "order_id": f"gid://cloudshelf/Order/{name}",
        "order_number": f"CS-{name}",
        "status": "PAID",
        "state": "captured" if captured else "waiting",
        "reason": None,
        "due_at": None,
        "owner": None,
        "lease_until": 0.0,
        "attempts": 0,
        "revision": 1,
        "origin": "kiosk" if captured else None,
        "tell_attempts": 0,
        "place": "Leeds",
        "currency": "GBP",
        "total": 4200,
        "units": 2,
        "edits": {},
        "decided_by": "ann" if helped else None,
        "ordered_at": at,
        "changed_at": at,
        "confirmed_at": at,
        "captured_at": captured,
        "updated_at": at,
    }
    moved: Values = {
        "link": LINK,
        "project": "p",
        "sku": "SKU-1",
        "channel": "leeds",
        "delta": -2,
        "counted": None,
        "source": "kiosk_order",
        "source_id": name,
        "reference": name,
        "occurred_at": at,
        "recorded_at": at,
        "state": "applied" if captured else "waiting",
        "reason": None,
        "batch_id": None,
        "settled_at": captured,
    }
    return order, moved


def _nights(calendar: Calendar) -> None:
    for day in range(2, 32):
        night = f"2026-10-{day:02}"
        calendar.on(10, day, 1, 30)
        calendar.store.drift.begin(LINK, night, f"run-{night}", backfilled=False)
        found = [
            NightTotal(night, Area.STOCK, Cause.MANUAL_EDIT, "GBP", day // 3, day // 2, 900 * day),
            NightTotal(night, Area.CATALOGUE, Cause.LATE, "", 1, 0, 0),
        ]
        with calendar.store.begin() as conn:
            calendar.store.drift.record(conn, LINK, night, found, [])
            calendar.store.drift.finish(conn, LINK, night, 20_000, {}, f"file:///{night}/index.html")


def payment(number: int) -> NewException:
    """An order of which nobody knows whether it was paid."""
    return replace(
        HELD,
        kind=Kind.AMBIGUOUS_PAYMENT,
        cause_key=order_cause(f"gid://cloudshelf/Order/{number}"),
        record=f"CS-{number}",
        message=f"Order CS-{number}, Leeds: nobody said that it was paid.",
        owner=Owner.RETAIL_OPS,
        place="Leeds",
    )


def _exceptions(calendar: Calendar) -> None:
    # The same task fails each week, is told, and is over within the hour.
    failed = replace(HELD, kind=Kind.TASK_FAILED, cause_key="stock_deltas/drain", record="stock_deltas.drain")
    failed = replace(failed, message="Run x failed. TargetUnavailable", owner=Owner.PLATFORM)
    for day in (5, 12, 19, 26):
        calendar.on(10, day, 10).open(failed)
        calendar.later(minutes=1).tell(failed)
        calendar.later(minutes=9).decide(failed, Action.ACKNOWLEDGE, "dan")
        calendar.later(minutes=20).close(failed)
    # Retail ops let half of their payments pass the deadline.
    for number in range(8):
        one = payment(number)
        calendar.on(10, 6 + number, 10).open(one)
        calendar.tell(one)
        if number % 2:
            calendar.later(hours=3).tell(one, Told.OVERDUE)
        calendar.later(minutes=15).decide(one, Action.REJECT if number == 7 else Action.START)
        if number != 7:
            calendar.later(minutes=30).close(one)
    # Somebody has to look at this for weeks.
    calendar.on(9, 20).open(replace(HELD, cause_key="old"))
    calendar.tell(replace(HELD, cause_key="old"))
    lost = replace(HELD, kind=Kind.UNACCOUNTED, cause_key="units/leeds", record="Leeds", owner=Owner.PLATFORM)
    calendar.on(10, 14, 9, 20).open(replace(lost, message="3 units of Leeds are unaccounted for."))
    calendar.later(minutes=70).close(lost)
    calendar.on(10, 30, 9)
    calendar.tell(replace(HELD, cause_key="old"), delivered=False)


def _changes(calendar: Calendar) -> None:
    store = calendar.store
    calendar.on(10, 14, 8, 50)
    detail = {"what": "mapping.yaml", "how": "changed"}
    store.audit_log.write("sync_health", "configuration", "configuration", detail, link=LINK)
    with store.begin() as conn:
        until = calendar.at + timedelta(days=20)
        store.alerts.silence(
            conn, LINK, kind=Kind.PRODUCT_HELD, reason="the supplier mends them", until=until, actor="ann"
        )
    for day, took in ((7, 4), (21, None)):
        calendar.on(10, day, 10)
        practice = drill(Kind.AMBIGUOUS_PAYMENT, drill_cause(calendar.at))
        calendar.open(practice)
        calendar.later(seconds=8).tell(practice)
        if took:
            calendar.later(minutes=took).decide(practice, Action.ACKNOWLEDGE)
            calendar.later(minutes=5).decide(practice, Action.FIXED)
        else:
            calendar.later(hours=2)
            number = calendar.number(practice)
            calendar.close(practice)
            store.audit_log.write("ada", "end_drill", f"exception/{number}", link=LINK)
