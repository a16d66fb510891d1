"""What is measured of each flow: when it looked last, what waits, and how long the last hour's arrivals took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.freshness import Arrived, Reading, Waiting
from cogent_ops.domain.health.model import BudgetUse, Flow
from cogent_ops.services.beat import COLLECTED, POLLED, SHOP_LOOKED, WATCHED
from cogent_ops.services.catalogue.plan import Flow as CatalogueFlow
from cogent_ops.services.catalogue.plan import Mode
from cogent_ops.services.orders.flow import ALIVE as ORDERS_ALIVE
from cogent_ops.services.stock.flow import ALIVE as STOCK_ALIVE
from cogent_ops.store import Store

#: Arrivals of so long say how long data takes, and those of so long how fast a backlog gets less.
RECENT, LATELY = timedelta(hours=1), timedelta(minutes=5)
#: The DAG that carries each flow; for another link than the first one its id has the link behind it.
DAGS: Mapping[Flow, str] = {
    Flow.CATALOGUE: "catalogue_sync",
    Flow.STOCK: "stock_deltas",
    Flow.AVAILABILITY: "availability_push",
    Flow.ORDERS: "kiosk_order_capture",
    Flow.STATUS: "kiosk_order_capture",
    Flow.DRIFT: "drift_reconciliation",
}
#: Runs that read what has changed; only their products show how long a change takes.
_CHANGES = (Mode.DELTA,)
#: Runs after which everything before them is on the kiosks.
_WHOLE = (Mode.DELTA, Mode.FULL)
#: Runs of the catalogue that are looked through for the last one that counts.
_RUNS = 50


@dataclass(frozen=True)
class _Measured:
    looked_at: datetime | None
    waiting: Waiting
    arrived: Arrived = field(default_factory=Arrived)


class Readings:
    """Measures the flows of a link.

    :param project: the commercetools project as its rate budget names it.
    """

    def __init__(self, config: LinkConfig, store: Store, project: str) -> None:
        self.config, self.store, self.project = config, store, project
        self.link, self.targets = config.name, config.health.targets

    def take(self, now: datetime, budgets: Iterable[BudgetUse]) -> list[Reading]:
        """Measure all of them, in the order in which people read them.

        :param budgets: an API that has asked to be left alone explains why a flow is late.
        """
        marks = self.store.measures.marks(self.link)
        targets = self.targets
        measured = {
            Flow.CATALOGUE: (targets.catalogue_minutes * 60.0, self._catalogue(now)),
            Flow.STOCK: (float(targets.stock_seconds), self._stock(now, marks)),
            Flow.AVAILABILITY: (float(targets.availability_seconds), self._availability(now, marks)),
            Flow.ORDERS: (float(targets.orders_seconds), self._orders(now, marks)),
            Flow.STATUS: (targets.status_minutes * 60.0, self._status(marks)),
            Flow.DRIFT: (targets.drift_hours * 3600.0, self._drift()),
        }
        blocked = [
            f"{one.target} has asked for no requests until {one.blocked_until:%H:%M:%S} UTC."
            for one in budgets
            if one.blocked_until is not None
        ]
        failures = self._failures()
        return [
            Reading(
                flow=flow,
                target=target,
                looked_at=found.looked_at,
                waiting=found.waiting,
                arrived=found.arrived,
                lately=LATELY.total_seconds(),
                notes=(*failures.get(DAGS[flow], ()), *blocked),
            )
            for flow, (target, found) in measured.items()
        ]

    def _catalogue(self, now: datetime) -> _Measured:
        """It has seen what had changed when its last run began."""
        runs = self.store.runs.recent(link=self.link, flow=CatalogueFlow.SYNC, status="done", limit=_RUNS)
        whole = [run for run in runs if run.mode in _WHOLE and not run.params.get("dry_run")]
        held = self.store.measures.open_by_kind(self.link, (Kind.PRODUCT_HELD, Kind.RECORD_REFUSED))
        return _Measured(
            max((run.started_at for run in whole), default=None),
            Waiting(review=held.total()),
            self.store.measures.catalogue_arrived(self.link, CatalogueFlow.SYNC, _CHANGES, now - RECENT),
        )

    def _stock(self, now: datetime, marks: Mapping[str, datetime]) -> _Measured:
        """It looks when a run polls; in between, the watch that would start one does."""
        measures = self.store.measures
        at_work = _earlier(marks.get(POLLED), marks.get(STOCK_ALIVE))
        return _Measured(
            _later(at_work, marks.get(WATCHED)),
            measures.stock_waiting(self.link, self.project),
            measures.stock_arrived(self.link, self.project, now - RECENT, now - LATELY),
        )

    def _availability(self, now: datetime, marks: Mapping[str, datetime]) -> _Measured:
        measures = self.store.measures
        return _Measured(
            marks.get(COLLECTED),
            measures.availability_waiting(self.link),
            measures.availability_arrived(self.link, now - RECENT, now - LATELY),
        )

    def _orders(self, now: datetime, marks: Mapping[str, datetime]) -> _Measured:
        """It has looked when a run was at work, and somebody had read Cloudshelf's orders."""
        measures = self.store.measures
        return _Measured(
            _earlier(_later(marks.get(POLLED), marks.get(WATCHED)), marks.get(ORDERS_ALIVE)),
            measures.orders_waiting(self.link, now),
            measures.orders_arrived(self.link, now - RECENT, now - LATELY),
        )

    def _status(self, marks: Mapping[str, datetime]) -> _Measured:
        return _Measured(
            _earlier(marks.get(SHOP_LOOKED), marks.get(ORDERS_ALIVE)),
            self.store.measures.status_waiting(self.link),
        )

    def _drift(self) -> _Measured:
        measures = self.store.measures
        last = measures.last_night(self.link)
        finished = None if last is None else last.finished_at
        return _Measured(finished, Waiting(review=measures.proposals(self.link)))

    def _failures(self) -> dict[str, Sequence[str]]:
        """What has failed, by DAG: the likeliest reason why its flow is late."""
        found: dict[str, list[str]] = {}
        for one in self.store.exceptions.open(self.link, Kind.TASK_FAILED):
            dag = str(one.payload.get("dag_id", "")).partition("__")[0]
            found.setdefault(dag, []).append(f"{one.record} fails: {one.message}")
        return dict(found)


def _earlier(*moments: datetime | None) -> datetime | None:
    """The earliest; ``None`` when one of them never was."""
    known = [moment for moment in moments if moment is not None]
    return min(known) if len(known) == len(moments) else None


def _later(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
