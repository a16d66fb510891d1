"""Kiosk orders as they come in reality: good ones, and those with something wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Spoil = Callable[[Json, random.Random], None]

#: What commercetools must hold in the end: an order that stands, one that was cancelled, one whose money went back, the
#: web shop's own, none, or none or a cancelled one, depending on who was faster.
End = Literal["order", "cancelled", "refunded", "shop", "none", "none or cancelled"]

#: Variants that kiosks show and commercetools does not have: one of its own that has gone, and somebody else's.
GONE = "gid://external/CommercetoolsSku/DISCONTINUED-1"
FOREIGN = "gid://external/SomebodyElsesVariant/4711"

#: Every e-mail address, telephone number and name of a customer has one of these, which must appear in no log, no XCom
#: and no exception.
EMAIL, PHONE, NAME = "@shopper.example", "+49171555", "Mustermann-"


@dataclass(frozen=True)
class Case:
    """One kind of order.

    :param weight: how often it comes.
    :param steps: (seconds until then at most, status); ``bought`` is a deed of the web shop, ``cancelled`` one of
        somebody in commercetools.
    :param spoil: puts in what is wrong with it.
    :param kind: the exception that a person must find in the end; empty: none.
    """

    name: str
    weight: float
    steps: tuple[tuple[float, str], ...]
    end: End
    spoil: Spoil | None = None
    kind: str = ""

    @property
    def takes_stock(self) -> bool:
        """Whether its pieces are gone from the kiosk's store in the end."""
        if self.end == "none":
            return bool(self.kind) and self.kind != "order_location"
        return self.end == "order"


def _session(**values: object) -> Spoil:
    return lambda order, rng: order["session"].update(values)


def _first_line(**values: object) -> Spoil:
    return lambda order, rng: order["lines"][0].update(values)


def _second_currency(order: Json, rng: random.Random) -> None:
    order["lines"].append({**order["lines"][0], "currencyCode": "GBP"})


def _other_currency(order: Json, rng: random.Random) -> None:
    for line in order["lines"]:
        line["currencyCode"] = "USD"


def _without_session(order: Json, rng: random.Random) -> None:
    order["session"] = None


def _without_email(order: Json, rng: random.Random) -> None:
    for line in order["lines"]:
        line["customAttributes"] = []


def _bad_email(order: Json, rng: random.Random) -> None:
    _without_email(order, rng)
    address = {"key": "CS_EMAIL", "value": f"{NAME}{rng.randrange(10**6)} at home"}
    order["lines"][0]["customAttributes"] = [address]


def _basket_says_otherwise(order: Json, rng: random.Random) -> None:
    order["session"]["basketValue"] = round(_value(order) + rng.choice((-1.0, 0.5, 20.0)), 2)


def _discounted(order: Json, rng: random.Random) -> None:
    order["discountCode"] = "WELCOME10"
    order["session"]["basketValue"] = round(_value(order) * 0.9, 2)


def _value(order: Json) -> float:
    return float(sum(line["price"] * line["quantity"] for line in order["lines"]))


def _taken_along(order: Json, rng: random.Random) -> None:
    """Nothing was paid at the kiosk, and delivery is the web shop's matter."""
    order["session"].update({"paymentMethod": None, "paymentAttemptId": None})
    order["lines"] = [line for line in order["lines"] if "productVariantID" in line]


_PAID = ((2.0, "PAID"),)

CASES = (
    Case("paid on the kiosk", 50, _PAID, "order"),
    Case("placed, then paid", 8, ((1.0, "PLACED"), (10.0, "PAID")), "order"),
    Case("placed, never paid", 3, ((1.0, "PLACED"),), "none", kind="ambiguous_payment"),
    Case("left in the basket", 6, (), "none"),
    Case("bought in the web shop", 5, ((4.0, "bought"),), "shop", _taken_along),
    Case("voided at once", 2, ((1.0, "PAID"), (0.2, "VOIDED")), "none or cancelled"),
    Case("voided later", 2, ((1.0, "PAID"), (30.0, "VOIDED")), "none or cancelled"),
    Case("never paid, voided", 1, ((1.0, "PLACED"), (3.0, "VOIDED")), "none"),
    Case("refunded", 2, ((1.0, "PAID"), (25.0, "REFUNDED")), "refunded"),
    Case(
        "refunded in part",
        2,
        ((1.0, "PAID"), (20.0, "PARTIALLY_REFUNDED")),
        "order",
        kind="refund_amount",
    ),
    Case("cancelled in commercetools", 2, ((1.0, "PAID"), (8.0, "cancelled")), "cancelled"),
    Case("internal", 2, _PAID, "none", _session(visibilityType="CLOUDSHELF_INTERNAL")),
    Case("no location", 1, _PAID, "none", _session(locationId=None, locationName=None), "order_location"),
    Case(
        "unknown location",
        1,
        _PAID,
        "none",
        _session(locationId="gid://external/Shop/closed", locationName="Closed"),
        "order_location",
    ),
    Case("no session", 0.5, _PAID, "none", _without_session, "order_location"),
    Case("no e-mail", 1, _PAID, "none", _without_email, "order_contact"),
    Case("an e-mail that is none", 0.5, _PAID, "none", _bad_email, "order_contact"),
    Case("no price", 1, _PAID, "none", _first_line(price=None), "order_line"),
    Case("negative price", 0.5, _PAID, "none", _first_line(price=-5.0), "order_line"),
    Case("half a cent", 0.5, _PAID, "none", _first_line(price=9.995), "order_line"),
    Case("quantity zero", 1, _PAID, "none", _first_line(quantity=0), "order_line"),
    Case("negative quantity", 0.5, _PAID, "none", _first_line(quantity=-2), "order_line"),
    Case("discontinued article", 1, _PAID, "none", _first_line(productVariantID=GONE), "order_article"),
    Case("foreign article", 0.5, _PAID, "none", _first_line(productVariantID=FOREIGN), "order_article"),
    Case("two currencies", 1, _PAID, "none", _second_currency, "order_money"),
    Case("another currency", 0.5, _PAID, "none", _other_currency, "order_money"),
    Case("basket says otherwise", 1, _PAID, "none", _basket_says_otherwise, "order_money"),
    Case("discount that no line shows", 0.5, _PAID, "none", _discounted, "order_money"),
)
