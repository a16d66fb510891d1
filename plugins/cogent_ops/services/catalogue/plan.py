"""What one catalogue run reads: a pure decision from the request, the watermarks and the clock.

Runs started by hand or by an asset have no data interval in Airflow 3, so a run works from its watermark; only
a backfill of the sync brings an interval of its own, and then it neither moves the watermark nor removes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import FULL_PASS_LIMIT
from cogent_ops.domain.commercetools import timestamp

NIGHTLY = timedelta(hours=24)
#: The nightly pass may start a little early, so that it keeps its hour instead of drifting by one run a day.
SLACK = timedelta(hours=2)


class Flow(StrEnum):
    """Which DAG asks: the audit reads and checks everything, the sync also pushes."""

    SYNC = "catalogue_sync"
    AUDIT = "catalogue_audit"


#: Name of the watermark of full passes: when the last one began.
FULL_PASS = f"{Flow.SYNC}.full"


class Mode(StrEnum):
    """How much of the catalogue a run reads."""

    FULL = "full"
    DELTA = "delta"
    SKUS = "skus"
    BACKFILL = "backfill"


@dataclass(frozen=True)
class CatalogueRequest:
    """One run of the catalogue flow, as Airflow (or the CLI) asks for it.

    :param run_key: unique and stable over retries; names the run folder.
    :param now: when the run began, UTC.
    :param full_refresh: read everything, find deletions.
    :param skus: read only the products that hold these SKUs.
    :param dry_run: gate and compare, send nothing.
    :param resend: send records again that Cloudshelf has confirmed in this form, because it shows something else.
    :param accept_removals: the number of removals a person has reviewed and accepts.
    :param interval: the data interval of a backfill run, else ``None``.
    """

    link: str
    run_key: str
    now: datetime
    flow: Flow = Flow.SYNC
    full_refresh: bool = False
    skus: tuple[str, ...] = ()
    dry_run: bool = False
    resend: bool = False
    accept_removals: int = 0
    interval: tuple[datetime, datetime] | None = None

    def wishes(self) -> dict[str, Any]:
        """What somebody asked for besides an ordinary run, for the list of runs."""
        wishes = {
            "full_refresh": self.full_refresh,
            "skus": list(self.skus),
            "dry_run": self.dry_run,
            "resend": self.resend,
            "accept_removals": self.accept_removals,
        }
        return {name: value for name, value in wishes.items() if value}


@dataclass(frozen=True)
class Plan:
    """What to read: a mode and the bounds of ``lastModifiedAt`` (``since`` included, ``until`` excluded)."""

    mode: Mode
    since: datetime | None = None
    until: datetime | None = None

    @property
    def finds_removals(self) -> bool:
        """Only a listing of everything can tell what is gone."""
        return self.mode is Mode.FULL

    @property
    def moves_watermark(self) -> bool:
        """A partial selection must not claim that everything before it is stored."""
        return self.mode in (Mode.FULL, Mode.DELTA)

    def where(self) -> tuple[str, ...]:
        """The plan's bounds as commercetools query predicates."""
        bounds = []
        if self.since is not None:
            bounds.append(f'lastModifiedAt >= "{timestamp(self.since)}"')
        if self.until is not None:
            bounds.append(f'lastModifiedAt < "{timestamp(self.until)}"')
        return tuple(bounds)


def plan(
    request: CatalogueRequest, config: LinkConfig, watermark: datetime | None, last_full: datetime | None
) -> Plan:
    """Choose the mode; the most specific wish wins, and without a watermark everything is read.

    An audit reads everything whatever is wished: its verdict is about the whole catalogue.
    """
    if request.flow is Flow.AUDIT:
        return Plan(Mode.FULL)
    if request.interval is not None:
        return Plan(Mode.BACKFILL, *request.interval)
    if request.skus:
        return Plan(Mode.SKUS)
    if request.full_refresh or watermark is None:
        return Plan(Mode.FULL)
    if full_pass_due(request.now, last_full, config.full_pass_hour):
        return Plan(Mode.FULL)
    return Plan(Mode.DELTA, since=watermark - timedelta(seconds=config.overlap_seconds))


def full_pass_due(now: datetime, last_full: datetime | None, hour: int) -> bool:
    """Whether the nightly full pass should happen in this run.

    Due in the hour ``hour`` (UTC) when the last one is about a day old, and at any hour once it is overdue.
    """
    if last_full is None:
        return True
    age = now - last_full
    return age >= FULL_PASS_LIMIT or (now.hour == hour and age >= NIGHTLY - SLACK)


def next_watermark(
    previous: datetime | None, newest_seen: datetime | None, started: datetime
) -> datetime | None:
    """Where the next delta starts: the newest change seen, by commercetools' clock, but never after our start.

    A product changed behind the reading cursor of a long pass is older than the newest one seen, hence the
    upper bound; the delta's overlap absorbs the difference between the two clocks.
    """
    if newest_seen is None:
        return previous
    candidate = min(newest_seen, started)
    return candidate if previous is None else max(previous, candidate)
