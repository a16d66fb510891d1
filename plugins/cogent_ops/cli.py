"""``cogent-ops``: what people do on the command line. Every command is one service call.

Exit codes: 0 done, 1 a person must act (the message says what), 75 try again later.
"""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cogent_ops import __version__
from cogent_ops.errors import CogentOpsError, RetryableError
from cogent_ops.links import DEFAULT_LINK, link_names

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from cogent_ops.services.checks import Check
    from cogent_ops.store import Store

Command = Callable[[argparse.Namespace], int]
TRY_AGAIN = 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # As Airflow's own commands do: without it, connections kept in Airflow's database are not looked at.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    # Airflow logs to the standard output, which belongs to the answer here.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    # Airflow prints log lines to the standard output; Alembic's would stand among the command's own.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    args = parser().parse_args(argv)
    command: Command = args.command
    try:
        return command(args)
    except RetryableError as error:
        print(f"Not now: {error}", file=sys.stderr)
        return TRY_AGAIN
    except CogentOpsError as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="cogent-ops", description="Keeps Cloudshelf kiosks and commercetools in step."
    )
    top.add_argument("--version", action="version", version=f"cogent-ops {__version__}")
    commands = top.add_subparsers(required=True, metavar="command")
    _add_checks(commands)
    _add_store(commands)
    _add_audit(commands)
    _add_lists(commands)
    _add_stock(commands)
    _add_sandbox(commands)
    return top


def _add(commands: Any, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    made.set_defaults(command=command)
    return made


def _link_option(made: argparse.ArgumentParser) -> None:
    made.add_argument("--link", default=DEFAULT_LINK, help="name of the link (default: %(default)s)")


# Accounts


def _add_checks(commands: Any) -> None:
    made = _add(
        commands, "preflight", preflight, "Check accounts, settings and configuration, and say what to do."
    )
    made.add_argument("--link", action="append", help="only this link; may be repeated (default: every link)")
    made = _add(
        commands, "bootstrap", bootstrap, "Install what the flows need in both accounts. Safe to repeat."
    )
    _link_option(made)
    made.add_argument(
        "--dry-run", action="store_true", help="say what would be installed, and change nothing"
    )


def preflight(args: argparse.Namespace) -> int:
    """Check each link; 1 when something stands in the way."""
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.checks import Outcome

    outcomes: Counter[Outcome] = Counter()
    for link in args.link or link_names():
        checks = Runtime(link).preflight()
        print(f"Link '{link}'")
        _print_checks(checks)
        outcomes.update(check.outcome for check in checks)
    failed, warned = outcomes[Outcome.FAIL], outcomes[Outcome.WARN]
    print(f"{'Ready' if not failed else 'Not ready'}: {failed} failed, {warned} to look at.")
    return 1 if failed else 0


def bootstrap(args: argparse.Namespace) -> int:
    """Install Types and locations."""
    from cogent_ops.runtime import Runtime
    from cogent_ops.services.checks import Outcome

    steps = Runtime(args.link).bootstrap(dry_run=args.dry_run)
    _print_checks(steps)
    return 1 if any(step.outcome is Outcome.FAIL for step in steps) else 0


def _print_checks(checks: Iterable[Check]) -> None:
    for check in checks:
        print(f"  {check.outcome.value:<5} {check.name}: {check.message}")
        if check.cure:
            print(f"        → {check.cure}")


# Store


def _add_store(commands: Any) -> None:
    made = commands.add_parser("store", help="The store's schema.", description="The store's schema.")
    actions = made.add_subparsers(required=True, metavar="action")
    for name, command, text in (
        ("upgrade", store_upgrade, "Create the store's tables, or bring them up to date."),
        ("status", store_status, "Say which schema the store has and which one this release needs."),
    ):
        action = _add(actions, name, command, text)
        action.add_argument("--url", help="address of the store instead of the connection cogent_ops_store")


def store_upgrade(args: argparse.Namespace) -> int:
    """Bring the schema up to date."""
    from cogent_ops.store import upgrade

    print(f"The store has schema {upgrade(_store_url(args))}.")
    return 0


def store_status(args: argparse.Namespace) -> int:
    """Show both schemas; 1 when they differ."""
    from cogent_ops.store import current_revision, head_revision

    current, head = current_revision(_store_url(args)), head_revision()
    print(f"The store has schema {current or '(none)'}, this release needs {head}.")
    if current != head:
        print("Run: cogent-ops store upgrade")
    return 0 if current == head else 1


def _store_url(args: argparse.Namespace) -> str | URL | None:
    if args.url:
        return str(args.url)
    from cogent_ops.hooks import STORE_CONNECTION_ID, find_connection, store_url

    return store_url(find_connection(STORE_CONNECTION_ID))


def _open_store() -> Store:
    from cogent_ops.hooks import open_link_store

    return open_link_store()


# Audits, runs and exceptions


def _add_audit(commands: Any) -> None:
    made = commands.add_parser("audit", help="Catalogue audits.", description="Catalogue audits.")
    actions = made.add_subparsers(required=True, metavar="action")
    listing = _add(actions, "list", audit_list, "Show the latest audits.")
    _link_option(listing)
    accept = _add(
        actions, "accept", audit_accept, "Accept an audit's findings, so that catalogue_sync may push."
    )
    _link_option(accept)
    accept.add_argument("audit", nargs="?", type=int, help="number of the audit (default: the latest)")
    accept.add_argument("--note", required=True, help="why the findings are acceptable")
    accept.add_argument("--actor", default=getpass.getuser(), help="who accepts (default: %(default)s)")


def audit_list(args: argparse.Namespace) -> int:
    """Show audits."""
    audits = _open_store().audits.recent(args.link)
    rows = [
        (
            a.id,
            _minute(a.created_at),
            a.verdict,
            a.accepted_by or "",
            a.counts.get("products_held", ""),
            a.report_path,
        )
        for a in audits
    ]
    _print_table(("audit", "at (UTC)", "verdict", "accepted by", "products held", "report"), rows)
    return 0


def audit_accept(args: argparse.Namespace) -> int:
    """Accept an audit."""
    audits = _open_store().audits
    latest = audits.latest(args.link)
    number = args.audit or (latest.id if latest else 0)
    audit = audits.accept(args.link, number, actor=args.actor, note=args.note)
    print(
        f"Audit {audit.id} of link '{args.link}' is accepted by {audit.accepted_by}. catalogue_sync may push."
    )
    return 0


def _add_lists(commands: Any) -> None:
    made = _add(commands, "exceptions", exceptions_list, "Show what waits for a person.")
    _link_option(made)
    made.add_argument("--json", action="store_true", help="one JSON object per line")
    made = _add(
        commands, "runs", runs_list, "Show the latest runs, what they did and where their reports are."
    )
    _link_option(made)
    made.add_argument("--limit", type=int, default=10, help="how many (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="one JSON object per line")


def exceptions_list(args: argparse.Namespace) -> int:
    """Show open exceptions."""
    found = _open_store().exceptions.open(args.link)
    if args.json:
        _print_json(vars(record) for record in found)
        return 0
    rows = [(e.id, e.kind, e.owner, e.count, e.record, e.message) for e in found]
    _print_table(("number", "kind", "owner", "times", "record", "what"), rows)
    return 0


def runs_list(args: argparse.Namespace) -> int:
    """Show runs."""
    runs = _open_store().runs.recent(link=args.link, limit=args.limit)
    if args.json:
        _print_json(vars(run) for run in runs)
        return 0
    rows = [(_minute(r.started_at), r.flow, r.mode, r.status, r.attempts, r.report_path or "") for r in runs]
    _print_table(("started (UTC)", "flow", "read", "state", "attempts", "report"), rows)
    return 0


# Stock


def _add_stock(commands: Any) -> None:
    made = commands.add_parser("stock", help="What waits to move stock.", description="Movements of stock.")
    actions = made.add_subparsers(required=True, metavar="action")
    status = _add(actions, "status", stock_status, "Show what the inbox holds, and what waits for a person.")
    _link_option(status)
    retry = _add(
        actions, "retry", stock_retry, "Try changes at once that commercetools refused, with the same keys."
    )
    _link_option(retry)
    retry.add_argument(
        "place", nargs="+", help="SKU@channel as the exception names it; SKU@ without a Channel"
    )
    retry.add_argument("--actor", default=getpass.getuser(), help="who asks for it (default: %(default)s)")


def stock_status(args: argparse.Namespace) -> int:
    """Show the inbox."""
    from cogent_ops.runtime import Runtime

    runtime = Runtime(args.link)
    stock, project = runtime.store.stock, runtime.project
    backlog = stock.backlog(project)
    oldest = f", the oldest since {_minute(backlog.oldest)} UTC" if backlog.oldest else ""
    print(f"{project}: {backlog.waiting} movements wait, {backlog.batched} are under way{oldest}.")
    print(f"{backlog.parked} were refused and are tried again; {backlog.review} have unknown identifiers.")
    unknown = stock.in_review(project)
    if unknown:
        rows = [(one.link, str(one.place), one.movements, _minute(one.oldest), one.reason) for one in unknown]
        _print_table(("link", "as given", "movements", "since (UTC)", "why"), rows)
    return 0


def stock_retry(args: argparse.Namespace) -> int:
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


# Sandbox


def _add_sandbox(commands: Any) -> None:
    from cogent_ops.sandbox import command

    made = _add(
        commands, "sandbox", command.run, "Both APIs simulated over real HTTP, with faults and traffic."
    )
    command.add_arguments(made)


# Output


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row, default=str, ensure_ascii=False))


def _print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if not rows:
        print("Nothing.")
        return
    texts = [tuple(map(str, row)) for row in rows]
    widths = [max(len(row[at]) for row in [tuple(head), *texts]) for at in range(len(head))]
    for row in [tuple(head), *texts]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
