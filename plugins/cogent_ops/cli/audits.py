"""``audit`` and ``runs``: audits of the catalogue, and what ran."""

from __future__ import annotations

import argparse
from typing import Any

from cogent_ops.cli.common import (
    actor_option,
    add_command,
    add_group,
    json_option,
    link_option,
    minute,
    open_store,
    print_json,
    print_table,
)


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = add_group(commands, "audit", "Catalogue audits.")
    link_option(add_command(actions, "list", audit_list, "Show the latest audits."))
    accept = add_command(
        actions, "accept", audit_accept, "Accept an audit's findings, so that catalogue_sync may push."
    )
    link_option(accept)
    accept.add_argument("audit", nargs="?", type=int, help="number of the audit (default: the latest)")
    accept.add_argument("--note", required=True, help="why the findings are acceptable")
    actor_option(accept, "accepts")
    made = add_command(
        commands, "runs", runs_list, "Show the latest runs, what they did and where their reports are."
    )
    link_option(made)
    made.add_argument("--limit", type=int, default=10, help="how many (default: %(default)s)")
    json_option(made)


def audit_list(args: argparse.Namespace) -> int:
    """Show audits."""
    rows = [
        (
            a.id,
            minute(a.created_at),
            a.verdict,
            a.accepted_by or "",
            a.counts.get("products_held", ""),
            a.report_path,
        )
        for a in open_store().audits.recent(args.link)
    ]
    print_table(("audit", "at (UTC)", "verdict", "accepted by", "products held", "report"), rows)
    return 0


def audit_accept(args: argparse.Namespace) -> int:
    """Accept an audit."""
    audits = open_store().audits
    latest = audits.latest(args.link)
    number = args.audit or (latest.id if latest else 0)
    audit = audits.accept(args.link, number, actor=args.actor, note=args.note)
    print(
        f"Audit {audit.id} of link '{args.link}' is accepted by {audit.accepted_by}. catalogue_sync may push."
    )
    return 0


def runs_list(args: argparse.Namespace) -> int:
    """Show runs."""
    runs = open_store().runs.recent(link=args.link, limit=args.limit)
    if args.json:
        print_json(vars(run) for run in runs)
        return 0
    rows = [(minute(r.started_at), r.flow, r.mode, r.status, r.attempts, r.report_path or "") for r in runs]
    print_table(("started (UTC)", "flow", "read", "state", "attempts", "report"), rows)
    return 0
