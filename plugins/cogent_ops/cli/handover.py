"""``handover``: what must be so before people run a link by themselves."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import actor_option, add_command, link_option
from cogent_ops.domain.exceptions import Owner

if TYPE_CHECKING:
    from cogent_ops.domain.handover import Checklist, Point
    from cogent_ops.services.handover import Handover


def add(commands: Any) -> None:
    """Declare the commands; without a further word it shows the checklist."""
    made = add_command(
        commands, "handover", show, "Show what must be so before people run a link by themselves."
    )
    link_option(made)
    made.add_argument("--markdown", metavar="FILE", help="write it as a document; - for the standard output")
    actions = made.add_subparsers(metavar="action")
    confirm_ = add_command(
        actions, "confirm", confirm, "Record the answer to a question that only people know."
    )
    link_option(confirm_, default=argparse.SUPPRESS)
    confirm_.add_argument("question", help="its name in the checklist")
    confirm_.add_argument(
        "--note", required=True, help="the answer; everybody may read it, so no personal data"
    )
    actor_option(confirm_, "answers")


def _handover(args: argparse.Namespace) -> Handover:
    from cogent_ops.runtime import Runtime

    return Runtime(args.link).handover()


def show(args: argparse.Namespace) -> int:
    """Show it, or write it; 1 while something is open or unanswered."""
    from cogent_ops.domain.handover import as_markdown

    checklist = _handover(args).checklist()
    if args.markdown == "-":
        sys.stdout.write(as_markdown(checklist))
    elif args.markdown:
        Path(args.markdown).write_text(as_markdown(checklist), encoding="utf-8")
        print(f"{args.markdown} is written.")
    else:
        _print(checklist)
    return 0 if checklist.is_done else 1


def _print(checklist: Checklist) -> None:
    from cogent_ops.domain.handover import State

    for role in Owner:
        points = checklist.of(role)
        if points:
            print(role.value)
        for one in points:
            _print_point(one)
    left = {state: sum(one.state is state for one in checklist.points) for state in State}
    print(f"{left[State.DONE]} done, {left[State.OPEN]} open, {left[State.ASKED]} to be answered by people.")


def _print_point(one: Point) -> None:
    from cogent_ops.domain.handover import State

    mark = {State.DONE: "x", State.OPEN: " ", State.ASKED: "?"}[one.state]
    print(f"  [{mark}] {one.key}: {one.text}")
    when = f" ({one.at:%Y-%m-%d})" if one.at else ""
    if one.evidence:
        print(f"      {one.evidence}{when}")
    if one.cure and one.state is not State.DONE:
        print(f"      → {one.cure}")


def confirm(args: argparse.Namespace) -> int:
    """Record it."""
    point = _handover(args).confirm(args.question, actor=args.actor, note=args.note)
    print(f"{point.key}: {point.evidence}")
    return 0
