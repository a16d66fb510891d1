"""``health``: how a link stands, as the last check found it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import add_command, json_option, link_option, minute, open_store, print_table
from cogent_ops.domain.text import span

if TYPE_CHECKING:
    from cogent_ops.domain.health.model import (
        Account,
        BudgetUse,
        Check,
        Freshness,
        Queue,
        Snapshot,
        StoreHealth,
    )

#: Cells of a table by the names of their columns.
Row = dict[str, object]

#: Exit codes by state, for whoever watches with a program. What nobody knows is not in order.
CODES = {"good": 0, "unknown": 1, "late": 1, "bad": 2}
STALE = 2


def add(commands: Any) -> None:
    """Declare the command."""
    made = add_command(
        commands,
        "health",
        health,
        "How both systems stand, as the last check of sync_health found it. Exit code: 0 good, 1 late or unknown, 2 "
        "bad or not checked lately.",
    )
    link_option(made)
    json_option(made)
    made.add_argument("--stores", action="store_true", help="list all stores, also those that are fine")


def health(args: argparse.Namespace) -> int:
    """Print the last check."""
    from cogent_ops.runtime import Runtime

    store, now = open_store(), datetime.now(UTC)
    snapshot = store.health.snapshot(args.link)
    if snapshot is None:
        print(f"Link '{args.link}' has not been checked yet: unpause the DAG sync_health.")
        return STALE
    is_stale = snapshot.is_stale(now, Runtime(args.link).config.health.monitor_minutes)
    if args.json:
        print(snapshot.model_dump_json())
    else:
        _print(snapshot, now, is_stale=is_stale, all_stores=args.stores)
    return STALE if is_stale else CODES[snapshot.state.value]


def _print(snapshot: Snapshot, now: datetime, *, is_stale: bool, all_stores: bool) -> None:
    age = span((now - snapshot.checked_at).total_seconds())
    print(snapshot.sentence)
    print(f"Checked {age} ago, at {minute(snapshot.checked_at)} UTC.")
    if is_stale:
        print("That is too long ago: sync_health does not run, so nobody knows how it stands now.")
    for title, rows in _parts(snapshot, all_stores=all_stores):
        if rows:
            print(f"\n{title}")
            print_table(list(rows[0]), [list(row.values()) for row in rows])


def _parts(snapshot: Snapshot, *, all_stores: bool) -> Iterator[tuple[str, list[Row]]]:
    yield "Flows", [_flow(one) for one in snapshot.flows]
    accounts = {"orders": snapshot.orders, "units": snapshot.units}
    yield "Accounts of the last 24 hours", [_account(what, one) for what, one in accounts.items()]
    stores = [one for one in snapshot.stores if all_stores or one.state != "good"]
    yield "Stores" if all_stores else "Stores that need a look", [_store(one) for one in stores]
    yield "Rate budgets", [_budget(one) for one in snapshot.budgets]
    yield "Outside", [_check(one) for one in snapshot.checks]
    yield "Exceptions", [_queue(one) for one in snapshot.queues]


def _flow(one: Freshness) -> Row:
    return {
        "flow": one.flow,
        "state": one.state,
        "age": _span(one.age),
        "agreed": span(one.target),
        "p50": _span(one.p50),
        "p95": _span(one.p95),
        "waiting": one.waiting,
        "review": one.review,
        "why": one.cause,
    }


def _account(what: str, one: Account) -> Row:
    return {"": what, **one.model_dump(), "unexplained": one.unexplained}


def _store(one: StoreHealth) -> Row:
    return {
        "store": one.name,
        "state": one.state,
        "orders": one.orders.seen,
        "units": one.units.seen,
        "at risk": one.at_risk,
        "exceptions": one.open,
        "why": "; ".join(one.reasons),
    }


def _budget(one: BudgetUse) -> Row:
    return {
        "API": one.target,
        "state": one.state,
        "used": "" if one.used is None else f"{one.used:.0%}",
        "bears": f"{one.factor:.0%}",
        "per second": f"{one.rate:g}",
    }


def _check(one: Check) -> Row:
    return {"what": one.name, "state": one.state, "found": one.message, "to do": one.cure}


def _queue(one: Queue) -> Row:
    oldest = minute(one.oldest) if one.oldest else ""
    return {"owner": one.owner, "open": one.open, "overdue": one.overdue, "oldest": oldest}


def _span(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)
