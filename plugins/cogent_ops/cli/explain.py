"""``explain``: why a number is what it is."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import add_command, link_option, minute, print_table

if TYPE_CHECKING:
    from cogent_ops.domain.health.story import Event, Side, Step, Story


def add(commands: Any) -> None:
    """Declare the command."""
    made = add_command(
        commands,
        "explain",
        explain,
        "Tell why the stock of an article in a store is what it is: the answer, its arithmetic, and a time line.",
    )
    link_option(made)
    made.add_argument(
        "place",
        help="SKU@store; the store by its Channel's key, its name, or Cloudshelf's id. SKU@ without a Channel",
    )
    made.add_argument("--days", type=int, default=14, help="how far back to look (default: %(default)s)")
    made.add_argument("--detail", action="store_true", help="with the details of each event")
    made.add_argument("--json", action="store_true", help="everything, as one JSON object")


def explain(args: argparse.Namespace) -> int:
    """Explain a number; 1 when some of its units cannot be explained, 2 when a system could not be read."""
    from cogent_ops.runtime import Runtime

    story = Runtime(args.link).explain().story(args.place, days=args.days)
    if args.json:
        print(json.dumps(story.model_dump(mode="json"), ensure_ascii=False))
    else:
        _print(story, detailed=args.detail)
    if story.shop.problem or story.kiosks.problem:
        return 2
    return 1 if story.unexplained else 0


def _print(story: Story, *, detailed: bool) -> None:
    print(story.sentence)
    print()
    print(f"commercetools: {_said(story.shop)}")
    print(f"Cloudshelf:    {_said(story.kiosks)}")
    if story.steps:
        print()
        for line in _arithmetic(story.steps):
            print(line)
    print()
    print(f"Since {minute(story.since)} UTC:")
    if detailed:
        for event in story.events:
            print(f"{_second(event.at)}  {event.system:<13}  {event.text}")
            for fact in event.detail:
                print(f"{'':<21}{fact.name}: {fact.value}")
    else:
        head = ("when (UTC)", "system", "units", "is then", "what", "reference")
        print_table(head, [_row(event) for event in story.events])
    for note in story.notes:
        print(note, file=sys.stderr)


def _said(side: Side) -> str:
    read = f" (read {minute(side.read_at)} UTC)" if side.read_at else " (could not be read now)"
    return side.text + read


def _arithmetic(steps: tuple[Step, ...]) -> Iterator[str]:
    width = max(len(one.text) for one in steps)
    for place, one in enumerate(steps):
        sign = "=" if one.is_sum else ""
        units = f"{one.units}" if one.is_sum or place == 0 else f"{one.units:+d}"
        note = f"  {one.note}" if one.note else ""
        yield f"{sign:>2} {one.text:<{width}} {units:>8}{note}"


def _second(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _row(event: Event) -> tuple[object, ...]:
    return (
        _second(event.at),
        event.system,
        "" if event.units is None else f"{event.units:+d}",
        "" if event.number is None else event.number,
        event.text,
        event.reference,
    )
