"""``preflight`` and ``bootstrap``: whether the accounts are what the flows need, and what makes them so."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import add_command, link_option
from cogent_ops.links import link_names

if TYPE_CHECKING:
    from cogent_ops.services.checks import Check


def add(commands: Any) -> None:
    """Declare the commands."""
    made = add_command(
        commands, "preflight", preflight, "Check accounts, settings and configuration, and say what to do."
    )
    made.add_argument("--link", action="append", help="only this link; may be repeated (default: every link)")
    made = add_command(
        commands, "bootstrap", bootstrap, "Install what the flows need in both accounts. Safe to repeat."
    )
    link_option(made)
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
