"""``stock``: what waits to move stock."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cogent_ops.cli.common import actor_option, add_command, add_group, link_option, minute, print_table


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = add_group(commands, "stock", "What waits to move stock.")
    link_option(
        add_command(actions, "status", status, "Show what the inbox holds, and what waits for a person.")
    )
    made = add_command(
        actions, "retry", retry, "Try changes at once that commercetools refused, with the same keys."
    )
    link_option(made)
    made.add_argument(
        "place", nargs="+", help="SKU@channel as the exception names it; SKU@ without a Channel"
    )
    actor_option(made, "asks for it")


def status(args: argparse.Namespace) -> int:
    """Show the inbox."""
    from cogent_ops.runtime import Runtime

    runtime = Runtime(args.link)
    stock, project = runtime.store.stock, runtime.project
    backlog = stock.backlog(project)
    oldest = f", the oldest since {minute(backlog.oldest)} UTC" if backlog.oldest else ""
    print(f"{project}: {backlog.waiting} movements wait, {backlog.batched} are under way{oldest}.")
    print(f"{backlog.parked} were refused and are tried again; {backlog.review} have unknown identifiers.")
    unknown = stock.in_review(project)
    if unknown:
        rows = [(one.link, str(one.place), one.movements, minute(one.oldest), one.reason) for one in unknown]
        print_table(("link", "as given", "movements", "since (UTC)", "why"), rows)
    return 0


def retry(args: argparse.Namespace) -> int:
    """Let parked changes be tried at once; 1 when one of them is not parked."""
    from cogent_ops.domain.stock import Place
    from cogent_ops.runtime import Runtime

    runtime = Runtime(args.link)
    store, project = runtime.store, runtime.project
    missing = 0
    for named in args.place:
        place = Place.named(named)
        with store.begin() as conn:
            is_parked = store.stock.unpark(conn, project, place)
            if is_parked:
                detail = {"project": project}
                store.audit_log.write(
                    args.actor, "retry_stock", str(place), detail, link=args.link, conn=conn
                )
        if is_parked:
            print(f"{place} is tried again by the next run of stock_deltas.")
        else:
            print(f"{place} has no change that was refused. See: cogent-ops stock status", file=sys.stderr)
            missing += 1
    return 1 if missing else 0
