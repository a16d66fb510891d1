"""``drill``: the alert of a kind, raised for practice, and how people took it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import (
    actor_option,
    add_command,
    json_option,
    link_option,
    minute,
    print_json,
    print_table,
)
from cogent_ops.domain.exceptions import Kind, Owner, Status

if TYPE_CHECKING:
    from cogent_ops.services.drill import Drill, Drills


def add(commands: Any) -> None:
    """Declare the commands."""
    text = "Raise the alert of a kind for practice, see how people take it, and clean up."
    actions = commands.add_parser(
        "drill",
        help=text,
        description=f"{text} Kinds: {', '.join(Kind)}.",
    ).add_subparsers(required=True, metavar="KIND|status|end")
    for kind in Kind:
        _add_kind(actions, kind)
    made = add_command(actions, "status", status, "Show drills, the latest first, and how they were taken.")
    link_option(made)
    json_option(made)
    made.add_argument("--limit", type=int, default=20, help="how many (default: %(default)s)")
    made = add_command(actions, "end", end, "Close open drills, and send nothing about them any more.")
    link_option(made)
    made.add_argument("number", nargs="*", type=int, help="number of a drill (default: all)")
    actor_option(made, "ends it")


def _add_kind(actions: Any, kind: Kind) -> None:
    # Without a help text of its own, so that the list stays short.
    made: argparse.ArgumentParser = actions.add_parser(kind, description=f"Raise a drill of {kind}.")
    made.set_defaults(command=start, kind=kind)
    link_option(made)
    actor_option(made, "raises it")
    made.add_argument(
        "--owner", choices=[*Owner], metavar="OWNER", help="who practises, where nobody owns it"
    )
    made.add_argument("--note", default="", help="what it is for; everybody may read it")
    made.add_argument("--wait", action="store_true", help="stay, and say what becomes of it")
    made.add_argument(
        "--minutes", type=float, default=60.0, help="how long to wait at most (default: %(default)g)"
    )


def _drills(args: argparse.Namespace) -> Drills:
    from cogent_ops.runtime import Runtime

    return Runtime(args.link).drills()


def start(args: argparse.Namespace) -> int:
    """Raise one; when waiting, 1 unless somebody heard of it and took note of it in time."""
    drills = _drills(args)
    owner = Owner(args.owner) if args.owner else None
    begun = drills.start(args.kind, actor=args.actor, owner=owner, note=args.note)
    for line in _begun(begun, args.link):
        print(line)
    return _wait(drills, begun, timedelta(minutes=args.minutes)) if args.wait else 0


def _begun(begun: Drill, link: str) -> Iterator[str]:
    one, of_link = begun.exception, "" if link == "default" else f" --link {link}"
    yield f"Drill {one.id}: {begun.title}, for {one.owner}, over channel '{begun.channel}'."
    yield f"  raised:      {_second(begun.raised_at)} UTC"
    yield f"  message due: {_second(begun.due_at)} UTC, sent by the next run of sync_health"
    if one.deadline:
        yield f"  act until:   {_second(one.deadline)} UTC"
    yield f"  take note:   cogent-ops exceptions ack {one.id}{of_link}"
    yield f"  close:       cogent-ops exceptions fixed {one.id} --note '…'{of_link}"
    yield f"  clean up:    cogent-ops drill end {one.id}{of_link}"


def _wait(drills: Drills, begun: Drill, span: timedelta) -> int:
    told, last = set[str](), begun
    for last in drills.watch(begun.exception.id, span):
        for line in _become(last):
            if line not in told:
                told.add(line)
                print(line, flush=True)
    now = datetime.now(UTC)
    if last.exception.is_open:
        print(f"Drill {last.exception.id} is still open. Clean up: cogent-ops drill end {last.exception.id}")
    if last.sent_at is None:
        print("Nobody heard of it: does sync_health run? See: cogent-ops exceptions messages")
    in_time = last.in_time(now)
    print(f"Acknowledged in time: {_yes(in_time)}.")
    return 0 if last.sent_at is not None and in_time else 1


def _become(found: Drill) -> Iterator[str]:
    """What has become of a drill so far, a line each."""
    one = found.exception
    if found.problem:
        yield f"not delivered: {found.problem}"
    if found.alerted_in is not None and found.sent_at:
        yield f"{_second(found.sent_at)} UTC  message delivered after {_span(found.alerted_in)}"
    if one.escalated_at is not None:
        yield f"{_second(one.escalated_at)} UTC  nobody has acted by the deadline; whoever stands in is told"
    if found.acknowledged_in is not None and one.acknowledged_at:
        by = f" by {found.acknowledged_by}" if found.acknowledged_by else ""
        yield f"{_second(one.acknowledged_at)} UTC  acknowledged after {_span(found.acknowledged_in)}{by}"
    if one.status is Status.FIXED and one.resolved_at:
        how = "ended" if found.was_ended else "closed"
        by = f" by {found.closed_by}" if found.closed_by else ""
        yield f"{_second(one.resolved_at)} UTC  {how} after {_span(one.resolved_at - found.raised_at)}{by}"


def status(args: argparse.Namespace) -> int:
    """Show them."""
    found, now = _drills(args).recent(args.limit), datetime.now(UTC)
    if args.json:
        print_json(_as_json(one, now) for one in found)
        return 0
    rows = [
        (
            one.exception.id,
            one.exception.kind,
            one.exception.owner,
            minute(one.raised_at),
            _after(one.alerted_in, ""),
            _after(one.acknowledged_in, one.acknowledged_by),
            "ended unclosed" if one.was_ended else _after(one.closed_in, one.closed_by),
            _after(one.allowed, ""),
            _yes(one.in_time(now)),
        )
        for one in found
    ]
    head = (
        "number",
        "kind",
        "owner",
        "raised (UTC)",
        "alerted",
        "acknowledged",
        "closed",
        "allowed",
        "in time",
    )
    print_table(head, rows)
    for one in found:
        if one.problem and one.exception.is_open:
            print(f"{one.exception.id}: not delivered: {one.problem}")
    return 0


def _as_json(one: Drill, now: datetime) -> dict[str, Any]:
    spans = {"alerted": one.alerted_in, "acknowledged": one.acknowledged_in, "closed": one.closed_in}
    return {
        "number": one.exception.id,
        "kind": one.exception.kind,
        "owner": one.exception.owner,
        "channel": one.channel,
        "raised_at": one.raised_at,
        "due_at": one.due_at,
        "deadline": one.exception.deadline,
        **{f"{name}_seconds": span and span.total_seconds() for name, span in spans.items()},
        "acknowledged_by": one.acknowledged_by or None,
        "closed_by": one.closed_by or None,
        "was_ended": one.was_ended,
        "in_time": one.in_time(now),
        "problem": one.problem or None,
    }


def end(args: argparse.Namespace) -> int:
    """Clean up."""
    done = _drills(args).end(actor=args.actor, numbers=args.number)
    print(f"{done.closed} drills were open and are closed; {done.withdrawn} messages are not sent any more.")
    return 0


def _after(span: timedelta | None, who: str) -> str:
    if span is None:
        return "–"
    return f"{_span(span)} ({who})" if who else _span(span)


def _span(span: timedelta) -> str:
    """``1:04:10``."""
    return str(timedelta(seconds=round(span.total_seconds())))


def _second(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _yes(in_time: bool | None) -> str:
    return {True: "yes", False: "no", None: "open"}[in_time]
