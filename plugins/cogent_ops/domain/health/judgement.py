"""How stores, rate budgets and a link as a whole stand, from what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cogent_ops.domain.health.model import (
    Account,
    BudgetUse,
    Check,
    Freshness,
    State,
    StoreHealth,
    worst,
)
from cogent_ops.domain.text import counted

#: An API that bears less than this share of the configured rate makes everything late that needs it.
LOW_FACTOR = 0.5


def stores(known: Iterable[StoreHealth]) -> list[StoreHealth]:
    """Stores, the worst first, with what their accounts and their units at risk say of them, too.

    :param known: how each stands by everything else, with ``reasons`` in words.
    """
    order = list(State)
    return sorted(
        map(_judged, known),
        key=lambda one: (-order.index(one.state), -one.at_risk, -one.open, one.name, one.place),
    )


def _judged(store: StoreHealth) -> StoreHealth:
    state, reasons = store.state, list[str]()
    for what, accounts in (
        ("order", [(hour.hour, hour.orders) for hour in store.hours]),
        ("unit", [(hour.hour, hour.units) for hour in store.hours]),
    ):
        if lost := [(hour, account) for hour, account in accounts if account.unexplained]:
            state = State.BAD
            reasons.append(_unexplained(what, lost))
    if store.at_risk:
        state = worst(state, State.LATE)
        reasons.append(f"{counted(store.at_risk, 'unit')} may be sold twice")
    return store.model_copy(update={"state": state, "reasons": (*reasons, *store.reasons)})


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
