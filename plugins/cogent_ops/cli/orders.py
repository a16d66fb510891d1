"""``orders``: what became of the kiosk orders."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cogent_ops.cli.common import (
    add_command,
    add_group,
    json_option,
    link_option,
    minute,
    open_store,
    print_json,
)
from cogent_ops.domain.exceptions import order_cause
from cogent_ops.errors import PermanentError


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = add_group(commands, "orders", "What became of the kiosk orders.")
    made = add_command(
        actions,
        "status",
        status,
        "Account for every kiosk order: captured, waiting, in review or excluded, each with its reason.",
    )
    link_option(made)
    made.add_argument(
        "--since", type=_moment, help="only orders placed from then on, e.g. 2026-11-24 or …T09:00"
    )
    made.add_argument("--until", type=_moment, help="only orders placed before then")
    json_option(made)
    made = add_command(actions, "show", show, "Show one order, and what is wrong with it.")
    link_option(made)
    made.add_argument("order", help="its number in commercetools, or its id in Cloudshelf")


def status(args: argparse.Namespace) -> int:
    """Account for the orders; 1 when one of them is nowhere."""
    from cogent_ops.domain.money import Money, show

    found = open_store().captures.accounting(args.link, args.since, args.until)
    if args.json:
        print_json([vars(found)])
        return 1 if found.unexplained else 0
    money = ", ".join(show(Money(currency, cents)) for currency, cents in sorted(found.money.items()))
    print(f"{found.seen} kiosk orders were seen.")
    print(f"{found.captured:>6} captured{f': {money}' if money else ''}")
    for name, reasons in (
        ("waiting", found.waiting),
        ("in review", found.review),
        ("excluded", found.excluded),
    ):
        _print_reasons(name, reasons)
    print(f"{found.unexplained:>6} unexplained")
    if found.oldest:
        print(f"The oldest that waits was placed at {minute(found.oldest)} UTC.")
    return 1 if found.unexplained else 0


def show(args: argparse.Namespace) -> int:
    """Show one order."""
    from cogent_ops.domain.money import Money
    from cogent_ops.domain.money import show as shown
    from cogent_ops.store import Filter, Status

    store = open_store()
    with store.read() as conn:
        captures = store.captures
        found = captures.by_numbers(conn, args.link, [args.order]).get(args.order)
        found = found or captures.get(conn, args.link, args.order)
        if found is None:
            raise PermanentError(f"Link '{args.link}' has no kiosk order '{args.order}'.")
        has_contact = captures.contact(conn, args.link, found.order_id) is not None
    total = "" if found.total is None or found.currency is None else shown(Money(found.currency, found.total))
    _print_facts(
        {
            "order": found.order_number,
            "in Cloudshelf": f"{found.order_id} ({found.status})",
            "in commercetools": found.ct_order_id or "",
            "is": f"{found.state}{f': {found.reason}' if found.reason else ''}",
            "store": found.place,
            "total": total,
            "placed (UTC)": minute(found.ordered_at),
            "captured (UTC)": minute(found.captured_at) if found.captured_at else "",
            "e-mail": "kept for now; see retention in mapping.yaml" if has_contact else "",
            "corrections": ", ".join(f"{name}={value}" for name, value in sorted(found.edits.items())),
            "decided by": found.decided_by or "",
        }
    )
    wanted = Filter(statuses=tuple(Status), text=found.order_number)
    for one in store.exceptions.find(args.link, wanted):
        if one.cause_key == order_cause(found.order_id):
            print(f"  exception {one.id} ({one.status}): {one.message}")
    return 0


def _print_reasons(name: str, reasons: Mapping[str, int]) -> None:
    print(f"{sum(reasons.values()):>6} {name}")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        print(f"       {count:>6} {reason}")


def _print_facts(facts: Mapping[str, str]) -> None:
    for name, value in facts.items():
        if value:
            print(f"{name + ':':<18}{value}")


def _moment(text: str) -> datetime:
    """A moment; without a zone in UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
