"""The command line as a whole: its commands by subject, and how it ends."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from cogent_ops import __version__
from cogent_ops.cli import (
    accounts,
    audits,
    drill,
    exceptions,
    explain,
    handover,
    health,
    orders,
    report,
    sandbox,
    stock,
    store,
)
from cogent_ops.cli.common import Command
from cogent_ops.errors import CogentOpsError, RetryableError

TRY_AGAIN = 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # As Airflow's own commands do: without it, connections kept in Airflow's database are not looked at.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    # Airflow logs to the standard output, which belongs to the answer here.
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    # Airflow prints log lines to the standard output; Alembic's would stand among the command's own.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        try:
            return _run(argv)
        finally:
            # Help ends here, too, by SystemExit.
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it, such as `head`, has what it wanted. Python must not try to write the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: Sequence[str] | None) -> int:
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
    for subject in (
        accounts,
        store,
        audits,
        health,
        exceptions,
        drill,
        explain,
        orders,
        stock,
        report,
        handover,
        sandbox,
    ):
        subject.add(commands)
    return top
