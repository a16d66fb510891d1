"""One check of a link: everything is looked at, stored as one snapshot, and whoever must act is told.

A check reads the store and asks outside; it changes nothing that the flows work on. Each part that cannot be looked at
says so and leaves the others alone: a monitor that one fault makes blind for everything is none.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health import judgement
from cogent_ops.domain.health.freshness import Verdict, judge
from cogent_ops.domain.health.model import (
    RISKS,
    AtRisk,
    BudgetUse,
    Check,
    DriftSummary,
    Freshness,
    HourAccount,
    Snapshot,
    State,
    StoreHealth,
)
from cogent_ops.domain.health.sentence import sentence
from cogent_ops.domain.money import Money
from cogent_ops.domain.text import counted
from cogent_ops.errors import CogentOpsError
from cogent_ops.services.health.accounting import Accounted, Accounting
from cogent_ops.services.health.changes import Changes
from cogent_ops.services.health.freshness import Readings
from cogent_ops.services.health.looking import OutsideReport
from cogent_ops.services.health.raising import (
    RECURRING,
    Outcome,
    of_accounts,
    of_flows,
    of_risks,
    orders_named,
)
from cogent_ops.store import Store
from cogent_ops.store.bucket import Limit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HealthParts:
    """What a check works with.

    :param project: the commercetools project as its rate budget names it.
    :param run_key: the run, for the exceptions it raises.
    :param limits: configured rates by target, as the rate budgets name them.
    :param files: fingerprints of what decides how the flows behave.
    :param outside: looks at everything outside.
    :param at_risk: units that may be sold twice, the most first.
    :param tell: tells people of what was found.
    :param heartbeat: tells whoever watches from outside that the check was made.
    """

    config: LinkConfig
    store: Store
    project: str
    run_key: str
    limits: Mapping[str, Limit] = field(default_factory=dict)
    files: Callable[[], Mapping[str, str]] = dict
    outside: Callable[[datetime], OutsideReport] = lambda now: OutsideReport()
    at_risk: Callable[[datetime], Sequence[AtRisk]] = lambda now: ()
    tell: Callable[[], object] = lambda: None
    heartbeat: Callable[[], None] = lambda: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class HealthCheck:
    """Checks a link."""

    def __init__(self, parts: HealthParts) -> None:
        self.parts, self.store = parts, parts.store
        self.link, self.rules = parts.config.name, parts.config.health
        self._changes = Changes(self.link, parts.store)

    def run(self) -> Snapshot:
        """Look at everything, store what was found, raise and close exceptions, and tell people.

        :raises StoreUnavailable: when the store is out of reach: nothing can be said then.
        """
        before = self.store.health.snapshot(self.link)
        outside = self.parts.outside(self.parts.clock())
        # What lies outside may take its time to answer, and ages count from when they are measured.
        now = self.parts.clock()
        budgets = self._budgets(now, before)
        verdicts = self._flows(now, before, budgets)
        risks, unseen = self._risks(now)
        open_ = self.store.exceptions.open(self.link, Kind.UNACCOUNTED)
        accounts = Accounting(self.parts.config, self.store)
        accounted = accounts.take(now, orders_named(open_), outside.stores)
        self._changes.note(self.parts.files(), self.parts.run_key)
        snapshot = self._snapshot(
            now, [one.freshness for one in verdicts], budgets, accounted, outside, risks, unseen
        )
        names = {store.place: store.name for store in snapshot.stores}
        outcomes = [
            of_flows(verdicts),
            of_accounts(accounted.faults, names, before, open_),
            *([of_risks(risks, names)] if not unseen else []),
            _of_outside(outside),
        ]
        self._store(snapshot, outcomes)
        self._tell()
        return snapshot

    # Looking

    def _flows(self, now: datetime, before: Snapshot | None, budgets: Sequence[BudgetUse]) -> list[Verdict]:
        first = self.store.health.first_check(self.link)
        known = {} if before is None else {one.flow: one for one in before.flows}
        readings = Readings(self.parts.config, self.store, self.parts.project).take(now, budgets)
        return [judge(one, now, known.get(one.flow), first) for one in readings]

    def _budgets(self, now: datetime, before: Snapshot | None) -> list[BudgetUse]:
        epoch, buckets = self.store.measures.budgets(self.parts.limits)
        known = {} if before is None else {one.target: one.taken for one in before.budgets}
        seconds = 0.0 if before is None else (now - before.checked_at).total_seconds()
        return [
            judgement.budget(
                target,
                limit.rate,
                factor=buckets[target].factor,
                taken=buckets[target].used,
                blocked_until=buckets[target].blocked_until,
                now=epoch,
                before=(known[target], seconds) if target in known else None,
            )
            for target, limit in sorted(self.parts.limits.items())
            if target in buckets
        ]

    def _risks(self, now: datetime) -> tuple[Sequence[AtRisk], tuple[Check, ...]]:
        """Units at risk; or that nobody could say, which closes nothing."""
        try:
            return self.parts.at_risk(now), ()
        except CogentOpsError as error:
            message = f"They could not be counted: {error}"
            return (), (Check(name="Units at risk", state=State.UNKNOWN, message=message),)

    # What it comes to

    def _snapshot(
        self,
        now: datetime,
        flows: list[Freshness],
        budgets: list[BudgetUse],
        accounted: Accounted,
        outside: OutsideReport,
        risks: Sequence[AtRisk],
        unseen: tuple[Check, ...],
    ) -> Snapshot:
        stores = judgement.stores(self._stores(accounted, outside, risks))
        checks = (*outside.checks, *unseen)
        return Snapshot(
            link=self.link,
            checked_at=now,
            state=judgement.overall(flows, stores, budgets, checks),
            sentence=sentence(flows, stores, checks, sum(one.units for one in risks)),
            flows=tuple(flows),
            stores=tuple(stores),
            budgets=tuple(budgets),
            checks=checks,
            queues=tuple(self.store.measures.queues(self.link, now)),
            risks=tuple(risks[:RISKS]),
            drift=self._drift(),
            changes=self._changes.lately(now),
        )

    def _stores(
        self, accounted: Accounted, outside: OutsideReport, risks: Sequence[AtRisk]
    ) -> Iterator[StoreHealth]:
        """What is known of each store."""
        names = {**accounted.names, **outside.stores}
        named = self.store.measures.open_by_place(self.link)
        at_risk = Counter[str]()
        for one in risks:
            at_risk[one.place] += one.units
        places = {*accounted.hours, *outside.stores, *outside.kiosks, *outside.quiet, *at_risk}
        for place in places:
            name = names.get(place, place)
            quiet = outside.quiet.get(place)
            hours = accounted.hours.get(place, ())
            reasons = outside.reasons.get(place, ()) if place else _homeless(hours)
            yield StoreHealth(
                place=place,
                name=name or "No store",
                state=State.LATE if reasons else State.GOOD,
                reasons=reasons,
                hours=hours,
                last_order=quiet.last_order if quiet else None,
                expected=quiet.expected if quiet else 0.0,
                kiosks=outside.kiosks.get(place, ()) if place else (),
                at_risk=at_risk[place],
                open=sum(named[known] for known in {place, name} if known),
            )

    def _drift(self) -> DriftSummary | None:
        last = self.store.measures.last_night(self.link)
        if last is None or last.finished_at is None:
            return None
        findings, units, money = Counter[str](), 0, Counter[str]()
        for total in self.store.drift.trend(self.link, 1, last.night):
            findings[total.cause] += total.findings
            units += total.units
            if total.currency and total.amount:
                money[total.currency] += total.amount
        return DriftSummary(
            night=last.night,
            finished_at=last.finished_at,
            checked=last.checked,
            findings=dict(findings.most_common()),
            units=units,
            at_stake=tuple(Money(currency, cents) for currency, cents in sorted(money.items())),
            open=self.store.measures.proposals(self.link),
        )

    # Keeping and telling

    def _store(self, snapshot: Snapshot, outcomes: Sequence[Outcome]) -> None:
        """Keep what was found and what follows from it together, so that page and inbox say the same."""
        exceptions, run = self.store.exceptions, self.parts.run_key
        with self.store.begin() as conn:
            self.store.health.save(conn, snapshot, run)
            exceptions.raise_many(conn, self.link, [new for one in outcomes for new in one.found], run)
            for outcome in outcomes:
                for kind, causes in outcome.gone.items():
                    exceptions.resolve(conn, self.link, kind, causes, run, decided=kind in RECURRING)

    def _tell(self) -> None:
        """Tell people here and now: the task that usually does may have run before this one found anything."""
        self.parts.tell()
        try:
            self.parts.heartbeat()
        except CogentOpsError as error:
            log.warning("whoever watches from outside could not be told of this check: %s", error)


def _homeless(hours: Iterable[HourAccount]) -> tuple[str, ...]:
    """What is wrong with orders of which nobody knows the store."""
    review = sum(one.orders.review for one in hours)
    return (f"people have to find the store of {counted(review, 'order')}",) if review else ()


def _of_outside(report: OutsideReport) -> Outcome:
    gone: dict[Kind, list[str]] = {}
    for kind, cause in report.gone:
        gone.setdefault(kind, []).append(cause)
    return Outcome(report.found, gone)
