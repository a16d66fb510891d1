"""An independent recount of a burst of kiosk orders: what both APIs hold, compared with what was sold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from order_burst import CURRENCY, OrderBurst, Sale
from order_cases import Json
from sandbox_talk import Sandbox

Held = Mapping[str, list[Json]]
"""Orders in commercetools by the kiosk order that each belongs to; ``None`` stands for nobody's."""


@dataclass(frozen=True)
class Recount:
    """What became of the orders.

    :param held: orders in commercetools.
    :param wrong: orders that are not as they must be, in words.
    :param sold: pieces of sales that stand.
    :param deducted: pieces that are gone from commercetools' inventory.
    :param lost: pieces sold and not deducted, entry by entry.
    :param doubled: pieces deducted and not sold, entry by entry.
    :param seconds: from payment at the kiosk to the order in commercetools, sorted.
    :param faults: how often an API misbehaved.
    """

    orders: int
    held: int
    wrong: tuple[str, ...]
    sold: int
    deducted: int
    lost: int
    doubled: int
    seconds: tuple[float, ...]
    faults: int

    @property
    def is_right(self) -> bool:
        """Whether every order and every piece of stock is as it must be."""
        return not (self.wrong or self.lost or self.doubled)


def recount(sandbox: Sandbox, burst: OrderBurst) -> Recount:
    """Ask both APIs and compare."""
    held, kiosk = _held(sandbox, burst), sandbox.kiosk_orders()
    wrong = [
        f"{sale.case.name} {sale.ulid}: {text}"
        for sale in burst.sales.values()
        for text in _judged(sale, held.get(sale.id, []), kiosk[sale.id])
    ]
    strangers = held.keys() - burst.sales.keys()
    wrong += [f"order {one['orderNumber']} belongs to nobody" for id_ in strangers for one in held[id_]]
    taken, sold = _taken(sandbox, burst), _sold(burst)
    places = taken.keys() | sold.keys()
    return Recount(
        orders=len(burst.sales),
        held=sum(len(orders) for orders in held.values()),
        wrong=tuple(wrong),
        sold=sold.total(),
        deducted=taken.total(),
        lost=sum(max(0, sold[place] - taken[place]) for place in places),
        doubled=sum(max(0, taken[place] - sold[place]) for place in places),
        seconds=tuple(sorted(_seconds(burst, held))),
        faults=sandbox.faults() - burst.faults_before,
    )


def _held(sandbox: Sandbox, burst: OrderBurst) -> Held:
    by_number = {sale.order_number: sale.id for sale in burst.sales.values()}
    held: dict[str, list[Json]] = {}
    for order in sandbox.shop_orders():
        basket = order.get("custom", {}).get("fields", {}).get("CS_OrderId")
        owner = by_number.get(order.get("orderNumber", ""), basket)
        held.setdefault(str(owner), []).append(order)
    return held


def _judged(sale: Sale, orders: list[Json], kiosk: Json) -> Iterator[str]:
    """What is wrong with one order."""
    least, most = {"none": (0, 0), "none or cancelled": (0, 1)}.get(sale.case.end, (1, 1))
    if not least <= len(orders) <= most:
        yield f"{len(orders)} orders in commercetools"
        return
    for order in orders:
        yield from _differences(_expected(sale), _shown(order))
        if sale.case.end == "shop":
            if kiosk["status"] != "PAID":
                yield f"Cloudshelf has it as {kiosk['status']}"
            continue
        if order["orderNumber"] != sale.order_number:
            yield f"its number is {order['orderNumber']}"
        if kiosk["thirdPartyId"] != order["id"]:
            yield f"Cloudshelf knows it as {kiosk['thirdPartyId']}, not as {order['id']}"
        if sale.case.end == "cancelled" and kiosk["status"] != "VOIDED":
            yield f"Cloudshelf has it as {kiosk['status']}"


def _shown(order: Json) -> Json:
    """An order as it is judged."""
    units, returned, money = Counter[str](), 0, Counter[str]()
    for line in order["lineItems"]:
        units[line["variant"]["sku"]] += line["quantity"]
    for info in order["returnInfo"]:
        returned += sum(item["quantity"] for item in info["items"])
    for payment in order.get("paymentInfo", {}).get("payments", []):
        for one in payment["obj"]["transactions"]:
            money[f"{one['type']} {one['state']}"] += one["amount"]["centAmount"]
    return {
        "total": order["totalPrice"]["centAmount"],
        "currency": order["totalPrice"]["currencyCode"],
        "units": dict(units),
        "orderState": order["orderState"],
        "paymentState": order.get("paymentState"),
        "money": {name: cents for name, cents in money.items() if cents},
        "returned": returned,
        "inventoryMode": order["inventoryMode"],
    }


def _expected(sale: Sale) -> Json:
    """What of it is certain, when all has ended well."""
    common: Json = {"total": sale.cents, "currency": CURRENCY, "units": dict(sale.units)}
    if sale.case.end == "shop":
        return common
    charge = {"Charge Success": sale.cents}
    ends: dict[str, Json] = {
        "order": {"orderState": "Confirmed", "paymentState": "Paid", "money": charge, "returned": 0},
        "cancelled": {"orderState": "Cancelled", "money": charge, "returned": 0},
        "refunded": {
            "orderState": "Cancelled",
            "money": {**charge, "Refund Success": sale.cents},
            "returned": sale.units.total(),
        },
        # A void says nothing about money that has moved, so the refund is pending.
        "none or cancelled": {
            "orderState": "Cancelled",
            "money": {**charge, "Refund Pending": sale.cents},
            "returned": 0,
        },
    }
    return {**common, "inventoryMode": "None", **ends[sale.case.end]}


def _differences(expected: Json, found: Json) -> Iterator[str]:
    for name, value in expected.items():
        if found[name] != value:
            yield f"{name} is {found[name]}, not {value}"


def _taken(sandbox: Sandbox, burst: OrderBurst) -> Counter[str]:
    """Pieces by place that are gone from commercetools' inventory."""
    before, after = burst.stock_before, sandbox.inventory()
    places = before.keys() | after.keys()
    return Counter({place: before.get(place, 0) - after.get(place, 0) for place in places})


def _sold(burst: OrderBurst) -> Counter[str]:
    """Pieces by place of the sales that stand."""
    sold = Counter[str]()
    for sale in burst.sales.values():
        sold.update(sale.stock)
    return sold


def _seconds(burst: OrderBurst, held: Held) -> Iterator[float]:
    for sale in burst.sales.values():
        if sale.paid_at is not None and sale.case.end in ("order", "cancelled", "refunded"):
            for order in held.get(sale.id, []):
                yield datetime.fromisoformat(order["createdAt"]).timestamp() - sale.paid_at
