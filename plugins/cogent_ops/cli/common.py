"""What the commands of all subjects share: how they are declared, and how they print."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cogent_ops.links import DEFAULT_LINK

if TYPE_CHECKING:
    from cogent_ops.store import Store

Command = Callable[[argparse.Namespace], int]


def add_command(commands: Any, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    """A command.

    :param commands: what ``add_subparsers`` gave.
    """
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    made.set_defaults(command=command)
    return made


def add_group(commands: Any, name: str, text: str) -> Any:
    """A command that only has further commands; gives what they are added to."""
    made = commands.add_parser(name, help=text, description=text)
    return made.add_subparsers(required=True, metavar="action")


def link_option(made: argparse.ArgumentParser, *, default: str = DEFAULT_LINK) -> None:
    """``--link``."""
    made.add_argument("--link", default=default, help=f"name of the link (default: {DEFAULT_LINK})")


def actor_option(made: argparse.ArgumentParser, what: str) -> None:
    """``--actor``: in whose name it is done."""
    made.add_argument("--actor", default=getpass.getuser(), help=f"who {what} (default: %(default)s)")


def json_option(made: argparse.ArgumentParser, *, default: bool | str = False) -> None:
    """``--json``."""
    made.add_argument("--json", action="store_true", default=default, help="one JSON object per line")


def open_store() -> Store:
    """The store behind the connection ``cogent_ops_store``."""
    from cogent_ops.hooks import open_link_store

    return open_link_store()


def minute(moment: datetime) -> str:
    """A moment as tables show it."""
    return moment.strftime("%Y-%m-%d %H:%M")


def print_json(rows: Iterable[dict[str, Any]]) -> None:
    """One object a line."""
    for row in rows:
        print(json.dumps(row, default=str, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns under their names, or that there is nothing."""
    if not rows:
        print("Nothing.")
        return
    texts = [tuple(map(str, row)) for row in rows]
    widths = [max(len(row[at]) for row in [tuple(head), *texts]) for at in range(len(head))]
    for row in [tuple(head), *texts]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
