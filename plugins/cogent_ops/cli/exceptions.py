"""``exceptions``: what waits for a person, and what people do about it."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cogent_ops.cli.common import (
    actor_option,
    add_command,
    json_option,
    link_option,
    minute,
    open_store,
    print_json,
    print_table,
)
from cogent_ops.domain.exceptions import OPEN, Action, Kind, Owner, Status
from cogent_ops.domain.money import show as shown
from cogent_ops.domain.wording import plain
from cogent_ops.errors import PermanentError, RetryableError

if TYPE_CHECKING:
    from cogent_ops.services.review import Review, Shown
    from cogent_ops.store import Filter, StoredException

#: A value that is asked for, so that it stands neither on the screen nor in the shell's history.
ASKED = "-"

_DEEDS: tuple[tuple[str, Action, str], ...] = (
    ("ack", Action.ACKNOWLEDGE, "Say that you have seen it."),
    ("start", Action.START, "Say that you are working on it."),
    ("hold", Action.HOLD, "Leave it as it is for now."),
    ("note", Action.NOTE, "Add a note."),
    (
        "edit",
        Action.EDIT,
        "Correct an order: location=KEY, email=-, price.2=12.50 … A store takes its stock at once; nothing is sent.",
    ),
    (
        "dry-run",
        Action.DRY_RUN,
        "Say what would be sent, with corrections if you give any; send, take and keep nothing.",
    ),
    ("approve", Action.APPROVE, "Take an order for paid, and let it go on."),
    ("replay", Action.REPLAY, "Try again, with the same order number."),
    ("link", Action.LINK, "Say which commercetools order was entered by hand for it."),
    ("reject", Action.REJECT, "Let nothing become of it."),
    ("expected", Action.EXPECTED, "Let it be, and hear no more of it."),
    ("fixed", Action.FIXED, "Say that you have mended what cannot show it by itself."),
    ("reopen", Action.REOPEN, "Take back that it was closed."),
)


def add(commands: Any) -> None:
    """Declare the commands; without a further word it lists."""
    made = add_command(commands, "exceptions", listing, "Show what waits for a person, and act on it.")
    link_option(made)
    json_option(made)
    _filter_options(made)
    actions = made.add_subparsers(metavar="action")
    listed = _sub(actions, "list", listing, "Show what waits for a person.")
    json_option(listed, default=argparse.SUPPRESS)
    _filter_options(listed, default=argparse.SUPPRESS)
    one = _sub(actions, "show", show, "Show all about one exception, with what people did about it.")
    one.add_argument("number", type=int, help="number of the exception")
    for name, action, text in _DEEDS:
        _add_deed(actions, name, action, text)
    _add_silences(actions)
    _add_messages(actions)


def _sub(actions: Any, name: str, command: Callable[..., int], text: str) -> argparse.ArgumentParser:
    made = add_command(actions, name, command, text)
    # What stands before the action counts, too.
    link_option(made, default=argparse.SUPPRESS)
    return made


def _filter_options(made: argparse.ArgumentParser, **default: Any) -> None:
    made.add_argument("--kind", choices=[*Kind], metavar="KIND", help="only this kind", **default)
    made.add_argument("--owner", choices=[*Owner], metavar="OWNER", help="only what is theirs", **default)
    made.add_argument("--status", choices=[*Status], metavar="STATUS", help="only what stands so", **default)
    made.add_argument("--text", help="only what names this: an order, a SKU, a store", **default)
    made.add_argument("--overdue", action="store_true", help="only what should be done by now", **default)
    made.add_argument("--all", action="store_true", help="also what is closed", **default)
    made.add_argument("--causes", action="store_true", help="one line a cause", **default)
    made.add_argument("--limit", type=int, help="how many at most", **default)


def _add_deed(actions: Any, name: str, action: Action, text: str) -> None:
    made = _sub(actions, name, deed, text)
    made.set_defaults(action=action)
    made.add_argument(
        "what", nargs="+", help="numbers of exceptions, and corrections such as location=store-leeds"
    )
    made.add_argument("--cause", action="store_true", help="all open ones of the same cause as these")
    made.add_argument("--note", default="", help="why; everybody may read it, so no personal data")
    if action is Action.LINK:
        made.add_argument("--order", required=True, help="number of the order in commercetools")
    actor_option(made, "does it")


def _add_silences(actions: Any) -> None:
    made = _sub(actions, "silence", silence, "Send no messages about a cause for a while.")
    made.add_argument("number", type=int, help="number of an exception of that cause")
    made.add_argument("--reason", required=True, help="why nobody needs to hear of it")
    made.add_argument("--hours", type=float, required=True, help="for how long")
    made.add_argument("--whole-kind", action="store_true", help="about all exceptions of its kind")
    actor_option(made, "wants it")
    _sub(actions, "silences", silences, "Show what is silenced, until when and why.")
    made = _sub(actions, "lift", lift, "End a silence now.")
    made.add_argument("silence", type=int, help="number of the silence")
    actor_option(made, "wants it")


def _add_messages(actions: Any) -> None:
    made = _sub(actions, "messages", messages, "Show what people were told, and what became of each message.")
    made.add_argument(
        "--limit", type=int, default=20, help="how many, the latest first (default: %(default)s)"
    )


def _review(args: argparse.Namespace) -> Review:
    from cogent_ops.runtime import Runtime

    return Runtime(args.link).review()


# What is shown


def listing(args: argparse.Namespace) -> int:
    """Show exceptions, or their causes."""
    review, wanted = _review(args), _filter(args)
    if args.causes:
        _print_causes(review, wanted, args.limit)
        return 0
    found = review.find(wanted, limit=args.limit)
    if args.json:
        print_json(vars(one) for one in found)
        return 0
    rows = [
        (one.id, one.kind, one.owner, one.status, _due(one), one.count, one.record, one.message)
        for one in found
    ]
    print_table(("number", "kind", "owner", "is", "due (UTC)", "times", "record", "what"), rows)
    return 0


def _filter(args: argparse.Namespace) -> Filter:
    from cogent_ops.domain.order_draft import without_prefix
    from cogent_ops.runtime import Runtime
    from cogent_ops.store import Filter

    statuses = (Status(args.status),) if args.status else tuple(Status) if args.all else OPEN
    overdue_at = datetime.now(UTC) if args.overdue else None
    # Drills are in the list, as their mark says: who practises finds them where the real ones are.
    text = args.text and without_prefix(args.text, Runtime(args.link).config.orders.number_prefix)
    return Filter(statuses, args.kind, args.owner, text=text or "", overdue_at=overdue_at, drills=None)


def _print_causes(review: Review, wanted: Filter, limit: int | None) -> None:
    rows = [
        (
            len(one.exceptions),
            one.kind,
            one.exceptions[0].owner,
            one.exceptions[0].id,
            one.exceptions[0].message,
        )
        for one in review.causes(wanted)[:limit]
    ]
    print_table(("open", "kind", "owner", "first", "what"), rows)


def show(args: argparse.Namespace) -> int:
    """Show one exception."""
    for text in _described(_review(args).show(args.number)):
        print(text)
    return 0


def _described(found: Shown) -> Iterator[str]:
    one, policy = found.exception, found.policy
    yield f"{one.id}: {policy.title}, {one.status.replace('_', ' ')}, {one.owner}"
    yield f"  {one.message}"
    facts = {
        "record": one.record,
        "store": one.place,
        "at stake": shown(one.at_stake) if one.at_stake else "",
        "rule": " ".join(filter(None, (one.field, one.rule))),
        "seen": f"{minute(one.first_seen)} to {minute(one.last_seen)} UTC, {one.count} times",
        "due": f"{_due(one)} UTC" if one.deadline else "",
        "cause": f"{found.cause} open ones" if found.cause > 1 else "",
        "cure": one.cure,
        "first": plain(policy.first_response),
        "do not": plain(policy.playbook.do_not),
        "last": one.outcome or "",
        "silenced": f"until {minute(found.silence.until)} UTC: {found.silence.reason}"
        if found.silence
        else "",
        "you may": ", ".join(action.replace("_", "-") for action in found.actions),
        "corrections": ", ".join(policy.editable) if Action.EDIT in found.actions else "",
    }
    for name, value in facts.items():
        if value:
            lines = value.splitlines()
            yield f"  {name + ':':<13}{lines[0]}"
            yield from (f"{'':<15}{line}" for line in lines[1:])
    for entry in found.history:
        said = ", ".join(f"{name} {_said(value)}" for name, value in entry.detail.items())
        yield f"  {minute(entry.at)}  {entry.actor}  {entry.action}{f': {said}' if said else ''}"


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return str(value)


def _due(one: StoredException) -> str:
    return minute(one.deadline) if one.deadline else ""


# What is done


def deed(args: argparse.Namespace) -> int:
    """Do it for each; 1 when one was refused.

    :raises RetryableError: when something is out of reach; what could be done is done.
    """
    from cogent_ops.services.review import Decision

    review = _review(args)
    numbers, edits = _parsed(args.what)
    if args.cause:
        numbers = [one for number in numbers for one in review.ids_of_cause(number)]
    decision = Decision(args.action, args.actor, args.note, edits, getattr(args, "order", ""))
    done = review.carry_out(decision, numbers)
    for one in done:
        out = sys.stdout if one.is_done else sys.stderr
        print(f"{one.id}: {one.message}", file=out)
    later = [one for one in done if one.is_later]
    if later:
        raise RetryableError(f"{len(later)} of {len(done)} could not be done just now. Try those again.")
    return 0 if all(one.is_done for one in done) else 1


def _parsed(what: Sequence[str]) -> tuple[list[int], dict[str, str]]:
    """Numbers and corrections; a correction to ``-`` is asked for."""
    numbers, edits = [], {}
    for word in what:
        name, equals, value = word.partition("=")
        if equals and name:
            edits[name] = getpass.getpass(f"{name}: ") if value == ASKED else value
        elif word.isdecimal():
            numbers.append(int(word))
        else:
            raise PermanentError(
                f"'{word}' is neither the number of an exception nor a correction (name=value)."
            )
    if not numbers:
        raise PermanentError("Name the exception by its number. See: cogent-ops exceptions")
    return numbers, edits


def silence(args: argparse.Namespace) -> int:
    """Silence a cause."""
    until = datetime.now(UTC) + timedelta(hours=args.hours)
    number = _review(args).silence(
        args.number, actor=args.actor, reason=args.reason, until=until, whole_kind=args.whole_kind
    )
    print(f"Silence {number} keeps messages back until {minute(until)} UTC.")
    return 0


def silences(args: argparse.Namespace) -> int:
    """Show silences."""
    rows = [
        (one.id, one.kind, one.cause_group or "(all)", minute(one.until), one.actor, one.reason)
        for one in _review(args).silences()
    ]
    print_table(("silence", "kind", "cause", "until (UTC)", "by", "why"), rows)
    return 0


def lift(args: argparse.Namespace) -> int:
    """End a silence."""
    _review(args).lift(args.silence, actor=args.actor)
    print(f"Silence {args.silence} is over.")
    return 0


def messages(args: argparse.Namespace) -> int:
    """Show messages."""
    rows = [
        (
            minute(one.created_at),
            one.channel,
            one.urgency,
            one.state,
            minute(one.sent_at) if one.sent_at else "",
            one.attempts,
            one.subject,
            one.error or "",
        )
        for one in open_store().alerts.recent(args.link, limit=args.limit)
    ]
    print_table(
        ("written (UTC)", "channel", "urgency", "is", "sent (UTC)", "tries", "subject", "last error"), rows
    )
    return 0
