"""What the demo tells at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cogent_ops.domain.exceptions import Kind
from cogent_ops.store import Store
from cogent_ops.store.exceptions import StoredException
from cogent_ops.store.orders import Accounting
from order_recount import Recount

LINK = "default"
CATALOGUE_KINDS = {Kind.PRODUCT_HELD, Kind.RECORD_REFUSED, Kind.MASS_REMOVAL, Kind.LOCATION_INCOMPLETE}


def print_run(counts: Mapping[str, Any], kiosk: Mapping[str, int], store: Store) -> None:
    """What a catalogue run pushed, skipped and held.

    :param kiosk: how many of what Cloudshelf says that it holds.
    """
    names = {
        "product": "Product",
        "variant": "ProductVariant",
        "group": "ProductGroup",
        "location": "Location",
    }
    print(
        f"\n{'':<12}{'pushed':>9}{'unchanged':>11}{'held':>8}{'refused':>9}   on the kiosks (asked from Cloudshelf)"
    )
    for name, entity in names.items():
        row = [
            counts.get(f"{name}s_created", 0) + counts.get(f"{name}s_updated", 0),
            counts.get(f"{name}s_unchanged", 0),
            counts.get(f"{name}s_held", 0),
            counts.get(f"{name}s_refused", 0),
        ]
        # Cloudshelf keeps a group of all products by itself, which is nobody's record.
        shown = kiosk.get(entity, 0) - (entity == "ProductGroup")
        print(f"{name + 's':<12}{row[0]:>9}{row[1]:>11}{row[2]:>8}{row[3]:>9}   {shown}")
    held = [one for one in store.exceptions.open(LINK) if one.kind in CATALOGUE_KINDS]
    _print_by_owner("Held, by owner and reason", held)


def print_orders(store: Store) -> None:
    """What became of kiosk orders, and what people must look at."""
    print_accounting(store.captures.accounting(LINK))
    others = [one for one in store.exceptions.open(LINK) if one.kind not in CATALOGUE_KINDS]
    _print_by_owner("Waiting for a person, by owner and reason", others)


def print_accounting(found: Accounting) -> None:
    """Where all kiosk orders are, and why."""
    money = ", ".join(f"{currency} {cents / 100:,.2f}" for currency, cents in sorted(found.money.items()))
    print(f"\nKiosk orders: {found.seen} seen, {found.unexplained} unexplained")
    print(f"  captured {found.captured:>5}  worth {money}")
    for name, reasons in (
        ("waiting", found.waiting),
        ("review", found.review),
        ("excluded", found.excluded),
    ):
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
            print(f"  {name:<8} {count:>5}  {reason}")


def print_recount(found: Recount) -> None:
    """What both sides hold."""
    print("\nKiosk orders, recounted from what both sides hold (the package is not asked)")
    print(
        f"  {found.orders} orders, {found.held} of them in commercetools, {len(found.wrong)} wrong; "
        f"{found.faults} requests failed or lost their answer"
    )
    for text in found.wrong:
        print(f"  {text}")
    print(
        f"  {found.sold} units sold, {found.deducted} units deducted: lost {found.lost}, doubled {found.doubled}"
    )


def local_path(address: str | None) -> str:
    """A path without its scheme."""
    return str(address or "").removeprefix("file://")


def _print_by_owner(title: str, exceptions: Iterable[StoredException]) -> None:
    reasons = Counter((one.owner, one.rule) for one in exceptions)
    print(f"\n{title} ({reasons.total()} exceptions)")
    for (owner, rule), count in sorted(reasons.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"  {owner:<16} {count:>4}  {rule}")
