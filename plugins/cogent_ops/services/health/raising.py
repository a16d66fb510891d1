"""What a check calls people for, and what closes that again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.health.accounting import Fault, What
from cogent_ops.domain.health.freshness import Verdict
from cogent_ops.domain.health.model import AtRisk, Snapshot, State
from cogent_ops.domain.health.sentence import CARRIES
from cogent_ops.domain.text import counted, listed, span
from cogent_ops.services.health.accounting import MOST
from cogent_ops.services.health.freshness import DAGS
from cogent_ops.store.exceptions import StoredException

RISK_CAUSE = "stock_at_risk"
#: Kinds whose cause is the same each time. What a person says of one holds until it is over, and not for the next time.
RECURRING = frozenset({Kind.FLOW_STALLED, Kind.STOCK_AT_RISK})
#: So many orders an exception names, and looks at again before it closes: all that are looked at one by one.
NAMED = MOST
#: In the payload, orders that were too many to be named.
_UNNAMED = "unnamed"
_SHOWN = 5


@dataclass(frozen=True)
class Outcome:
    """What is wrong now, and the causes that verifiably are not there any more, by kind."""

    found: Sequence[NewException]
    gone: Mapping[Kind, Sequence[str]]


def of_flows(verdicts: Iterable[Verdict]) -> Outcome:
    """Flows that stand, and flows that are as fresh as agreed again."""
    listed_ = list(verdicts)
    return Outcome(
        [_stalled(one) for one in listed_ if one.is_stalled],
        {
            Kind.FLOW_STALLED: [
                one.freshness.flow.value for one in listed_ if one.freshness.state is State.GOOD
            ]
        },
    )


def _stalled(verdict: Verdict) -> NewException:
    one = verdict.freshness
    age = "has never been up to date" if one.age is None else f"was up to date {span(one.age)} ago last"
    message = f"{_upper(CARRIES[one.flow])} {age}; agreed are {span(one.target)}. {one.cause}"
    return NewException(
        kind=Kind.FLOW_STALLED,
        cause_key=one.flow.value,
        record=f"{one.flow} ({DAGS[one.flow]})",
        field="data age",
        rule=f"at most {span(one.target)} old",
        message=message.strip(),
        cure=f"Open Sync Health. If {DAGS[one.flow]} is paused in Airflow, unpause it; if it fails, its log says why. "
        "What waits is carried out by itself then, and this closes.",
        owner=Owner.PLATFORM,
        payload={
            "flow": one.flow.value,
            "age_seconds": one.age,
            "target_seconds": one.target,
            "waiting": one.waiting,
            "looked_at": _text(one.looked_at),
        },
    )


def orders_named(open_: Iterable[StoredException]) -> dict[str, str]:
    """Orders that open exceptions name, with their place: they must be looked at again before those may close."""
    return {
        str(order): one.cause_key.partition("/")[2]
        for one in open_
        for order in one.payload.get("orders", ())
    }


def of_accounts(
    faults: Iterable[tuple[str, Fault]],
    names: Mapping[str, str],
    before: Snapshot | None,
    open_: Sequence[StoredException],
) -> Outcome:
    """Stores of which not everything is accounted for, now and at the check before.

    Orders that were too many to be named are out of sight after a day, and nobody can say that they are accounted for.
    So what has any closes by a person's word only.

    :param faults: what is wrong, with the place.
    :param names: of the stores, by place.
    :param before: what the check before found; ``None``: there was none.
    :param open_: exceptions of the kind that are open.
    """
    by_cause: dict[str, list[tuple[str, Fault]]] = {}
    for place, fault in faults:
        by_cause.setdefault(f"{fault.what}/{place}", []).append((place, fault))
    known = _known(before)
    unnamed = {one.cause_key: int(one.payload.get(_UNNAMED, 0)) for one in open_}
    found = [
        _unaccounted(cause, some[0][0], [fault for _, fault in some], names, unnamed.get(cause, 0))
        for cause, some in sorted(by_cause.items())
        if cause in known or cause in unnamed
    ]
    gone = [cause for cause, more in unnamed.items() if cause not in by_cause and not more]
    return Outcome(found, {Kind.UNACCOUNTED: gone})


def _known(before: Snapshot | None) -> set[str]:
    """Causes that the check before saw, too."""
    if before is None:
        return set()
    return {
        f"{what}/{store.place}"
        for store in before.stores
        for what, hours in (
            (What.ORDERS, [hour.orders for hour in store.hours]),
            (What.UNITS, [hour.units for hour in store.hours]),
        )
        if any(account.unexplained for account in hours)
    }


def _unaccounted(
    cause: str, place: str, faults: Sequence[Fault], names: Mapping[str, str], unnamed: int
) -> NewException:
    """The exception of a store.

    :param unnamed: orders that it did not name before.
    """
    what, store = faults[0].what, names.get(place, place) or "no store that is known"
    shown = "; ".join(f"order {one.ulid}: {one.message}" for one in faults[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN:,} more" if len(faults) > _SHOWN else ""
    count = (
        counted(len(faults), "order")
        if what is What.ORDERS
        else counted(sum(one.units for one in faults), "unit")
    )
    unnamed = max(unnamed, len(faults) - NAMED, 0)
    too_many = f" {unnamed:,} were too many to be named, so a person has to close this." if unnamed else ""
    return NewException(
        kind=Kind.UNACCOUNTED,
        cause_key=cause,
        record=store,
        field=what.value,
        rule="seen = done + waiting + review + excluded",
        message=f"{count} of {store} unaccounted for: {shown}{more}.{too_many}",
        cure="See what is known of an order with cogent-ops orders show <order>, and give both to the people who look "
        "after this package. It closes by itself when the order is accounted for.",
        owner=Owner.PLATFORM,
        payload={
            "orders": [one.order_id for one in faults[:NAMED]],
            "count": len(faults),
            _UNNAMED: unnamed,
        },
        group=f"unaccounted/{place}",
        place=names.get(place, ""),
    )


def of_risks(risks: Sequence[AtRisk], names: Mapping[str, str]) -> Outcome:
    """Units that may be sold twice, all of them as one: one late flow is their cause."""
    if not risks:
        return Outcome([], {Kind.STOCK_AT_RISK: [RISK_CAUSE]})
    units, held = sum(one.units for one in risks), sum(one.buffer for one in risks)
    places = {one.place for one in risks}
    shown = listed(
        f"{one.units:,} of {one.sku} in {names.get(one.place, one.place) or 'no store'}"
        for one in risks[:_SHOWN]
    )
    late = f"because stock is up to {span(max(one.age for one in risks))} late"
    kept = (
        f"Kiosks are told {counted(held, 'unit')} less meanwhile."
        if held
        else "Nothing is held back at kiosks."
    )
    return Outcome(
        [
            NewException(
                kind=Kind.STOCK_AT_RISK,
                cause_key=RISK_CAUSE,
                record=f"{counted(len({one.sku for one in risks}), 'article')} in {counted(len(places), 'store')}",
                field="stock",
                rule="a sale is in commercetools in time",
                message=f"{counted(units, 'unit')} may be sold twice, {late}: "
                f"{shown}{' and more' if len(risks) > _SHOWN else ''}. {kept}",
                cure="Mend what makes stock late: see the flow that is late on Sync Health. Take articles with few "
                "units off the website until then. This closes when nothing is late any more.",
                owner=Owner.ECOMMERCE,
                payload={"units": units, "held_back": held, "since": _text(min(one.since for one in risks))},
            )
        ],
        {},
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
