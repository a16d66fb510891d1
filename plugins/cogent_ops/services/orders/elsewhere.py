"""Kiosk orders that commercetools has without us: baskets that a customer bought in the web shop after a QR code.

Two signs tell: the web shop's order names the kiosk order in a custom field, or somebody has told Cloudshelf the name
under which another system has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.order_problems import Problem
from cogent_ops.domain.orders import KioskOrder

Json = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What commercetools has, by kiosk order.

    :param lost: orders that another system should have, and commercetools has none.
    """

    orders: Mapping[str, Json] = field(default_factory=dict)
    lost: Mapping[str, Problem] = field(default_factory=dict)


def find_elsewhere(client: CommercetoolsClient, orders: Iterable[KioskOrder], basket_field: str) -> Found:
    """Look for orders that may have been bought elsewhere, in a few requests for all of them.

    :param basket_field: custom field in which the web shop's orders name the kiosk order.
    """
    listed = list(orders)
    baskets = [order.id for order in listed if not order.was_paid_on_kiosk]
    found = dict(_by_basket(client, baskets, basket_field))
    named = {one.id: one.third_party_id for one in listed if one.third_party_id and one.id not in found}
    known = dict(_by_name(client, sorted(set(named.values()))))
    lost = {order: _nameless(name) for order, name in named.items() if name not in known}
    found |= {order: known[name] for order, name in named.items() if name in known}
    return Found(found, lost)


def _by_basket(client: CommercetoolsClient, ids: list[str], basket_field: str) -> Iterator[tuple[str, Json]]:
    """By kiosk order; where several name one, the oldest."""
    named = f"custom(fields({basket_field}))"
    orders = list(chain.from_iterable(client.by_values("orders", named, ids)))
    for one in sorted(orders, key=lambda order: str(order["createdAt"]), reverse=True):
        yield one["custom"]["fields"][basket_field], one


def _by_name(client: CommercetoolsClient, names: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """By the name that Cloudshelf has of them: their number or their id."""
    for what in ("orderNumber", "id"):
        for one in chain.from_iterable(client.by_values("orders", what, names)):
            yield one[what], one


def _nameless(name: str) -> Problem:
    return Problem(
        Kind.ORDER_CONFLICT,
        "thirdPartyId",
        "names an order that commercetools has",
        f"Cloudshelf knows it as '{name[:80]}' in another system, and commercetools has no order of that id or number.",
        "Find out which system gave it that name, and whether the sale was taken there. Taken: link its order, or "
        "reject this one with the reason. Not taken: enter it by hand and link it.",
    )


def taken_twice(ct_order: Json, number: str) -> Problem:
    """Two kiosk orders name one order of the web shop.

    :param number: the other kiosk order's.
    """
    name = ct_order.get("orderNumber") or ct_order["id"]
    return Problem(
        Kind.ORDER_CONFLICT,
        "thirdPartyId",
        "belongs to one kiosk order",
        f"The order {name} of commercetools stands for the kiosk order {number} already.",
        "Find out which of the two sales it is. Reject the other with the reason, or enter it by hand and link it.",
    )
