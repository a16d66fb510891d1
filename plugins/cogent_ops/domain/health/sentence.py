"""How a link stands, in one sentence for everybody."""

from __future__ import annotations

from collections.abc import Sequence

from cogent_ops.domain.health.model import Check, Flow, Freshness, State, StoreHealth
from cogent_ops.domain.text import counted, listed, span

#: What a flow carries, as people say it who do not know flows.
CARRIES = {
    Flow.CATALOGUE: "the catalogue on kiosks",
    Flow.STOCK: "stock in commercetools",
    Flow.AVAILABILITY: "availability on kiosks",
    Flow.ORDERS: "orders in commercetools",
    Flow.STATUS: "order status in Cloudshelf",
    Flow.DRIFT: "the nightly comparison",
}
#: Of the flows without a schedule by the day, whose age people feel.
_LIVE = (Flow.STOCK, Flow.AVAILABILITY, Flow.ORDERS)


def sentence(
    flows: Sequence[Freshness], stores: Sequence[StoreHealth], checks: Sequence[Check], at_risk: int
) -> str:
    """The worst thing first, and how many more there are.

    :param at_risk: units that may be sold twice.
    """
    troubles = _troubles(flows, stores, checks, at_risk)
    if troubles:
        first = troubles[0][0].upper() + troubles[0][1:]
        more = len(troubles) - 1
        return f"{first}." + (
            f" {more} more {'thing needs' if more == 1 else 'things need'} a look." if more else ""
        )
    unknown = [CARRIES[one.flow] for one in flows if one.state is State.UNKNOWN]
    if len(unknown) == len(flows):
        return "Nothing has run yet, so nobody can say how it stands."
    ages = [one.age for one in flows if one.flow in _LIVE and one.age is not None]
    good = "Kiosks and commercetools are in step"
    good += f": stock and orders are {span(max(ages))} old at most." if ages else "."
    return good + (f" Not seen yet: {listed(unknown)}." if unknown else "")


def _troubles(
    flows: Sequence[Freshness], stores: Sequence[StoreHealth], checks: Sequence[Check], at_risk: int
) -> list[str]:
    """What is wrong, the worst first."""
    found: list[tuple[State, str]] = []
    lost = sum(abs(one.orders.unexplained) + abs(one.units.unexplained) for one in stores)
    if lost:
        found.append((State.BAD, "orders or units are unaccounted for"))
    found += [(one.state, _late(one)) for one in flows if one.state in (State.LATE, State.BAD)]
    if at_risk:
        found.append((State.LATE, f"{counted(at_risk, 'unit')} may be sold twice"))
    for store in stores:
        has_lost = store.orders.unexplained or store.units.unexplained
        if store.state in (State.LATE, State.BAD) and not has_lost and store.reasons and not store.at_risk:
            found.append((store.state, f"{store.name}: {store.reasons[0]}"))
    found += [
        (check.state, f"{check.name}: {check.message.rstrip('.')}")
        for check in checks
        if check.state in (State.LATE, State.BAD)
    ]
    order = list(State)
    return [text for _, text in sorted(found, key=lambda pair: -order.index(pair[0]))]


def _late(flow: Freshness) -> str:
    if flow.age is None:
        return f"{CARRIES[flow.flow]} has never been brought up to date"
    return f"{CARRIES[flow.flow]} is {span(flow.age)} old, agreed are {span(flow.target)}"
