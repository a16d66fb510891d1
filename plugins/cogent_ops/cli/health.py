"""``health``: how a link stands, as the last check found it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import add_command, json_option, link_option, minute, open_store, print_table
from cogent_ops.domain.text import span

if TYPE_CHECKING:
    from cogent_ops.domain.health.model import Account, Snapshot

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
    for title, head, rows in _parts(snapshot, all_stores=all_stores):
        if rows:
            print(f"\n{title}")
            print_table(head, rows)


def _parts(
    snapshot: Snapshot, *, all_stores: bool
) -> Iterator[tuple[str, Sequence[str], list[Sequence[object]]]]:
    yield (
        "Flows",
        ("flow", "state", "age", "agreed", "p50", "p95", "waiting", "review", "why"),
        [
            (
                one.flow,
                one.state,
                _span(one.age),
                span(one.target),
                _span(one.p50),
                _span(one.p95),
                one.waiting,
                one.review,
                one.cause,
            )
            for one in snapshot.flows
        ],
    )
    yield (
        "Accounts of the last 24 hours",
        ("", "seen", "done", "waiting", "review", "excluded", "unexplained"),
        [("orders", *_account(snapshot.orders)), ("units", *_account(snapshot.units))],
    )
    shown = [one for one in snapshot.stores if all_stores or one.state != "good"]
    yield (
        "Stores" if all_stores else "Stores that need a look",
        ("store", "state", "orders", "units", "at risk", "exceptions", "why"),
        [
            (
                one.name,
                one.state,
                one.orders.seen,
                one.units.seen,
                one.at_risk,
                one.open,
                "; ".join(one.reasons),
            )
            for one in shown
        ],
    )
    yield (
        "Rate budgets",
        ("API", "state", "used", "bears", "per second"),
        [
            (
                one.target,
                one.state,
                "" if one.used is None else f"{one.used:.0%}",
                f"{one.factor:.0%}",
                f"{one.rate:g}",
            )
            for one in snapshot.budgets
        ],
    )
    yield (
        "Outside",
        ("what", "state", "found", "to do"),
        [(one.name, one.state, one.message, one.cure) for one in snapshot.checks],
    )
    yield (
        "Exceptions",
        ("owner", "open", "overdue", "oldest"),
        [
            (one.owner, one.open, one.overdue, minute(one.oldest) if one.oldest else "")
            for one in snapshot.queues
        ],
    )


def _span(seconds: float | None) -> str:
    return "" if seconds is None else span(seconds)


def _account(account: Account) -> tuple[int, ...]:
    return (
        account.seen,
        account.done,
        account.waiting,
        account.review,
        account.excluded,
        account.unexplained,
    )
