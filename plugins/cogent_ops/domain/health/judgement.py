"""How stores, rate budgets and a link as a whole stand, from what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cogent_ops.domain.health.model import (
    Account,
    BudgetUse,
    Check,
    Freshness,
    HourAccount,
    Kiosk,
    State,
    StoreHealth,
    worst,
)
from cogent_ops.domain.text import counted

#: An API that bears less than this share of the configured rate makes everything late that needs it.
LOW_FACTOR = 0.5


@dataclass(frozen=True)
class StoreSigns:
    """What is known of a store besides its accounts.

    :param state: how it stands by these signs alone, with ``reasons`` in words.
    """

    name: str = ""
    state: State = State.GOOD
    reasons: tuple[str, ...] = ()
    last_order: datetime | None = None
    expected: float = 0.0
    kiosks: tuple[Kiosk, ...] = ()
    at_risk: int = 0
    open: int = 0


def stores(
    hours: Mapping[str, tuple[HourAccount, ...]], signs: Mapping[str, StoreSigns]
) -> list[StoreHealth]:
    """All stores that anything is known of, the worst first.

    :param hours: their accounts by place.
    :param signs: what else is known, by place.
    """
    found = [
        _store(place, hours.get(place, ()), signs.get(place, StoreSigns())) for place in {*hours, *signs}
    ]
    order = list(State)
    return sorted(
        found, key=lambda one: (-order.index(one.state), -one.at_risk, -one.open, one.name, one.place)
    )


def _store(place: str, hours: tuple[HourAccount, ...], signs: StoreSigns) -> StoreHealth:
    state, reasons = signs.state, []
    for what, accounts in (
        ("order", [(hour.hour, hour.orders) for hour in hours]),
        ("unit", [(hour.hour, hour.units) for hour in hours]),
    ):
        if lost := [(hour, account) for hour, account in accounts if account.unexplained]:
            state = State.BAD
            reasons.append(_unexplained(what, lost))
    if signs.at_risk:
        state = worst(state, State.LATE)
        reasons.append(f"{counted(signs.at_risk, 'unit')} may be sold twice")
    return StoreHealth(
        place=place,
        name=signs.name or place or "No store",
        state=state,
        hours=hours,
        last_order=signs.last_order,
        expected=signs.expected,
        kiosks=signs.kiosks,
        at_risk=signs.at_risk,
        open=signs.open,
        reasons=(*reasons, *signs.reasons),
    )


def _unexplained(what: str, lost: Sequence[tuple[datetime, Account]]) -> str:
    count = sum(abs(account.unexplained) for _, account in lost)
    hours = ", ".join(f"{hour:%H:%M}" for hour, _ in lost[:3]) + (" and later" if len(lost) > 3 else "")
    return f"{counted(count, what)} unaccounted for, of the hour from {hours} UTC"


def budget(
    target: str,
    rate: float,
    *,
    factor: float,
    taken: float,
    blocked_until: float,
    now: float,
    before: tuple[float, float] | None,
) -> BudgetUse:
    """How much of an API's rate is used. Times are seconds since 1970 UTC.

    :param taken: requests that were ever sent.
    :param before: the same at the check before, and how many seconds ago that was.
    """
    used = None
    if before is not None and before[1] > 0 and taken >= before[0]:
        used = (taken - before[0]) / (rate * before[1])
    is_blocked = blocked_until > now
    return BudgetUse(
        target=target,
        state=State.LATE if is_blocked or factor < LOW_FACTOR else State.GOOD,
        rate=rate,
        factor=factor,
        taken=taken,
        used=used,
        blocked_until=datetime.fromtimestamp(blocked_until, UTC) if is_blocked else None,
    )


def overall(
    flows: Iterable[Freshness],
    stores: Iterable[StoreHealth],
    budgets: Iterable[BudgetUse],
    checks: Iterable[Check],
) -> State:
    """How a link stands: as its worst part. What nobody may look at, or has not run yet, makes nothing worse.

    Only when nothing at all has run, nobody knows.
    """
    flow_states = [one.state for one in flows]
    if flow_states and all(state is State.UNKNOWN for state in flow_states):
        return State.UNKNOWN
    states = [*flow_states, *(one.state for part in (stores, budgets, checks) for one in part)]
    return worst(*(state for state in states if state is not State.UNKNOWN))
