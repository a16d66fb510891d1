"""``report``: how a month went."""

from __future__ import annotations

import argparse
from typing import Any

from cogent_ops.cli.common import add_command, link_option


def add(commands: Any) -> None:
    """Declare the command."""
    made = add_command(
        commands, "report", report, "Write the report of a month from what is stored, and say where it is."
    )
    link_option(made)
    made.add_argument("month", nargs="?", default="", help="such as 2026-10 (default: the last that is over)")


def report(args: argparse.Namespace) -> int:
    """Write it."""
    from cogent_ops.runtime import Runtime

    written = Runtime(args.link).months().write(args.month)
    print(f"{written.title}{'' if written.is_over else ', so far'}, link '{args.link}'")
    print(f"  {written.verdict}")
    print(f"  {written.steps} things to do next." if written.steps else "  Nothing to do next.")
    print(f"  {written.page}")
    return 0
