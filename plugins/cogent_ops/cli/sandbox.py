"""``sandbox``: both APIs on this machine."""

from __future__ import annotations

from typing import Any

from cogent_ops.cli.common import add_command


def add(commands: Any) -> None:
    """Declare the command."""
    from cogent_ops.sandbox import command

    made = add_command(
        commands,
        "sandbox",
        command.run,
        "Both APIs simulated over real HTTP, with faults and traffic.",
    )
    command.add_arguments(made)
