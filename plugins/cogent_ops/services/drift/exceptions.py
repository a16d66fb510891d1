"""What a night found, as exceptions: one a cause, closed by the first night that does not find it any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cogent_ops.domain.drift.model import TITLES, Area, Cause, Finding
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.money import Money, show
from cogent_ops.services.drift.comparison import Parts
from cogent_ops.store.drift import FindingState, StoredFinding

KINDS: Mapping[Area, Kind] = {
    Area.STOCK: Kind.DRIFT_STOCK,
    Area.KIOSK: Kind.DRIFT_STOCK,
    Area.CATALOGUE: Kind.DRIFT_CATALOGUE,
    Area.ORDERS: Kind.DRIFT_ORDERS,
    Area.MONEY: Kind.DRIFT_MONEY,
}
#: Subjects that an exception names.
NAMED = 20
WAITING, RETURNED = "waiting", "returned"


class Raise:
    """Exceptions of one link's nights."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.link, self.store = parts, parts.config.name, parts.store

    def night(self, night: str, areas: Iterable[Area], findings: Sequence[Finding]) -> None:
        """Raise what a night found, and close what it did not find any more.

        :param areas: what was compared.
        """
        causes: dict[tuple[Area, Cause], list[Finding]] = {}
        for one in findings:
            causes.setdefault((one.area, one.cause), []).append(one)
        found = [_drift(night, area, cause, some) for (area, cause), some in sorted(causes.items())]
        raised = {(one.kind, one.cause_key) for one in found}
        with self.store.begin() as conn:
            self.store.exceptions.raise_many(conn, self.link, found, self.parts.run_key)
        for area in areas:
            kind = KINDS[area]
            over = [
                key
                for key in self.store.exceptions.open_causes(self.link, kind)
                if key.startswith(f"{area}/") and (kind, key) not in raised
            ]
            with self.store.begin() as conn:
                self.store.exceptions.resolve(conn, self.link, kind, over, self.parts.run_key)

    def heals(self) -> None:
        """Raise what waits for a decision or came back in the youngest night, and close what does not any more."""
        waiting = self.store.drift.findings(self.link, states=[FindingState.PROPOSED])
        # However old the finding is: the answer may have come days later, and only the night after it can say so.
        back = [
            one
            for night in self.store.drift.nights(self.link, 1)
            for one in self.store.drift.findings(
                self.link, states=[FindingState.RETURNED], since=night.started_at
            )
        ]
        found = [_heal(key, some) for key, some in ((WAITING, waiting), (RETURNED, back)) if some]
        over = {WAITING, RETURNED} - {one.cause_key for one in found}
        with self.store.begin() as conn:
            self.store.exceptions.raise_many(conn, self.link, found, self.parts.run_key)
            self.store.exceptions.resolve(conn, self.link, Kind.DRIFT_HEAL, over, self.parts.run_key)


def _drift(night: str, area: Area, cause: Cause, some: Sequence[Finding]) -> NewException:
    ranked = sorted(some, key=lambda one: -abs(one.amount or 0))
    units, worth, currency = sum(abs(one.units) for one in some), *_worth(some)
    first, others = ranked[0], f" And {len(some) - 1:,} more." if len(some) > 1 else ""
    value = f", {show(Money(currency, worth))}" if currency else ""
    return NewException(
        kind=KINDS[area],
        cause_key=f"{area}/{cause}",
        record=f"{len(some):,} × {TITLES[cause].lower()}",
        field=area.value,
        rule=TITLES[cause],
        message=f"{night}: {len(some):,} differences of {units:,} units{value}. {first.message}{others}",
        cure=first.action,
        owner=first.owner,
        place=first.place if len({one.place for one in some}) == 1 else "",
        amount=worth if currency else None,
        currency=currency,
        payload={"night": night, "subjects": [one.subject for one in ranked[:NAMED]]},
    )


def _worth(some: Iterable[Finding]) -> tuple[int, str | None]:
    """Money without signs, where it is of one currency."""
    valued = [one for one in some if one.amount is not None and one.currency]
    currencies = {one.currency for one in valued}
    if len(currencies) != 1:
        return 0, None
    return sum(abs(one.amount or 0) for one in valued), currencies.pop()


def _heal(key: str, some: Sequence[StoredFinding]) -> NewException:
    units = sum(abs(one.finding.heal or 0) for one in some)
    worth, currency = _worth([one.finding for one in some])
    if key == WAITING:
        message = f"{len(some):,} differences of {units:,} units wait for your yes or no."
        cure = "Answer the question of drift_reconciliation in Airflow under Required Actions."
    else:
        message = f"{len(some):,} quantities that were mended are wrong again: {some[0].finding.message}"
        cure = "Find out what makes them wrong anew before they are mended again: see the evidence in both reports."
    return NewException(
        kind=Kind.DRIFT_HEAL,
        cause_key=key,
        record=f"{len(some):,} quantities",
        field="quantityOnStock",
        rule="what can be mended is mended, and stays right",
        message=message,
        cure=cure,
        owner=Owner.RETAIL_OPS if key == WAITING else Owner.PLATFORM,
        amount=worth if currency else None,
        currency=currency,
        payload={"subjects": [one.finding.subject for one in some[:NAMED]]},
    )
