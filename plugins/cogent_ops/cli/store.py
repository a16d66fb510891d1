"""``store``: the schema of the store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import add_command, add_group

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = add_group(commands, "store", "The store's schema.")
    for name, command, text in (
        ("upgrade", upgrade, "Create the store's tables, or bring them up to date."),
        ("status", status, "Say which schema the store has and which one this release needs."),
    ):
        action = add_command(actions, name, command, text)
        action.add_argument("--url", help="address of the store instead of the connection cogent_ops_store")


def upgrade(args: argparse.Namespace) -> int:
    """Bring the schema up to date."""
    from cogent_ops import store

    print(f"The store has schema {store.upgrade(_url(args))}.")
    return 0


def status(args: argparse.Namespace) -> int:
    """Show both schemas; 1 when they differ."""
    from cogent_ops.store import current_revision, head_revision

    current, head = current_revision(_url(args)), head_revision()
    print(f"The store has schema {current or '(none)'}, this release needs {head}.")
    if current != head:
        print("Run: cogent-ops store upgrade")
    return 0 if current == head else 1


def _url(args: argparse.Namespace) -> str | URL | None:
    if args.url:
        return str(args.url)
    from cogent_ops.hooks import STORE_CONNECTION_ID, find_connection, store_url

    return store_url(find_connection(STORE_CONNECTION_ID))
