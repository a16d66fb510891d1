"""Quiet failures staged in real Airflow: how long until somebody is told, who that is, and what the message says.

The sandbox plays a Subscription that stops, an access that will end, one that is refused, an article that
commercetools does not have and a store that sells nothing any more; a flow and the monitor itself are paused in
Airflow. Each is mended afterwards, and the time until its exception has closed by itself is measured, too.

    python -m benchmarks quiet [--monitor-minutes 6] [--url postgresql://… of an empty database, for the store]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import insert, select

from benchmarks.in_airflow import ROOT, Running, running
from cogent_ops.domain.exceptions import Kind, Status
from cogent_ops.links import DEFAULT_LINK
from cogent_ops.store import Filter, Store, StoredException, open_store
from cogent_ops.store.schema import alert, order_capture
from demo import Airflow, wait_for
from order_burst import OrderBurst
from order_cases import CASES, Case
from sandbox_talk import Sandbox

FLOWS = ("stock_deltas", "availability_push", "kiosk_order_capture", "sync_health")
#: No failure is looked for longer. A gap closes once the catalogue was read again, too, which takes up to 15 minutes.
PATIENCE = timedelta(minutes=30)
LOOK_SECONDS = 1.0
#: What the store that falls silent sold in each hour of the weeks before; it is written into the store beforehand.
USUAL_ORDERS = 120
SUBSCRIPTION = "web-shop-stock"
PAID = next(case for case in CASES if case.name == "paid on the kiosk")
FOREIGN = next(case for case in CASES if case.name == "foreign article")


@dataclass(frozen=True)
class Failure:
    """One failure.

    :param kind: the exception that must come of it.
    :param begin: lets it happen.
    :param mend: undoes it; ``None``: it is not undone here.
    :param cause: beginning of the exception's cause.
    :param since: when it began; ``None``: with ``begin``.
    """

    name: str
    kind: Kind
    begin: Callable[[], None]
    mend: Callable[[], None] | None
    cause: str = ""
    since: datetime | None = None


@dataclass
class Outcome:
    """What came of a failure; moments in UTC."""

    failure: Failure
    began: datetime
    found: StoredException | None = None
    told: datetime | None = None
    subject: str = ""
    body: str = ""
    mended: datetime | None = None
    closed: datetime | None = None

    def row(self) -> str:
        """For the table."""
        alarm = _span(self.began, self.told)
        owner = self.found.owner if self.found else "nobody"
        over = _span(self.mended, self.closed) if self.failure.mend else "is not undone here"
        return (
            f"| {self.failure.name} | `{self.failure.kind}` | {alarm} | {owner} | {self.subject} | {over} |"
        )


class Stage:
    """Lets failures happen and watches what becomes of them."""

    def __init__(self, run: Running, sandbox: Sandbox) -> None:
        self._run, self._store = run, open_store(run.store_url)
        self._airflow = Airflow(run.processes.env["AIRFLOW__API__BASE_URL"], run.processes)
        self._airflow.wait_until_ready()
        self._sandbox = sandbox

    def together(self, failures: Sequence[Failure]) -> list[Outcome]:
        """Let all of these happen, wait until each has been told, mend them, and wait until each has closed."""
        outcomes = []
        for failure in failures:
            self._run.progress.step(f"{failure.name}: it begins")
            failure.begin()
            outcomes.append(Outcome(failure, failure.since or _now()))
        self._until(lambda: sum(map(self._is_told, outcomes)) == len(outcomes))
        for one in outcomes:
            if one.failure.mend is not None:
                one.failure.mend()
                one.mended = _now()
        waiting = [one for one in outcomes if one.mended is not None]
        self._until(lambda: sum(map(self._is_closed, waiting)) == len(waiting))
        return outcomes

    def _until(self, is_over: Callable[[], bool]) -> None:
        deadline = _now() + PATIENCE
        while not is_over() and _now() < deadline:
            self._run.processes.check()
            time.sleep(LOOK_SECONDS)

    def _is_told(self, one: Outcome) -> bool:
        if one.told is not None:
            return True
        every = Filter(statuses=tuple(Status), kind=one.failure.kind)
        found = [
            each
            for each in self._store.exceptions.find(DEFAULT_LINK, every)
            if each.cause_key.startswith(one.failure.cause) and each.last_seen >= one.began
        ]
        if not found:
            return False
        one.found = found[-1]
        query = select(alert.c.exceptions, alert.c.sent_at, alert.c.subject, alert.c.body)
        with self._store.read() as conn:
            for ids, sent_at, subject, body in conn.execute(query.where(alert.c.sent_at.is_not(None))):
                if one.found.id in ids and sent_at >= one.began:
                    one.told, one.subject, one.body = sent_at, subject, body
        return one.told is not None

    def _is_closed(self, one: Outcome) -> bool:
        if one.found is None or one.closed is not None:
            return True
        one.found = self._store.exceptions.get(DEFAULT_LINK, one.found.id)
        if not one.found.is_open:
            one.closed = one.found.resolved_at
        return one.closed is not None

    def pause(self, dag_id: str) -> None:
        """Switch a flow off."""
        self._airflow.pause(dag_id)

    def resume(self, dag_id: str) -> None:
        """Switch it on again."""
        self._airflow.unpause(dag_id)

    def wait_for_check(self) -> None:
        """Wait until sync health has looked once more from now on."""
        began, deadline = _now(), _now() + PATIENCE
        while (self._store.health.checked_at(DEFAULT_LINK) or datetime.min.replace(tzinfo=UTC)) < began:
            if _now() > deadline:
                raise TimeoutError("sync_health has not looked.")
            self._run.processes.check()
            time.sleep(LOOK_SECONDS)

    def sell(self, case: Case, stores: Collection[str]) -> None:
        """One kiosk order in one of these stores."""
        OrderBurst(self._sandbox, [case], seed=int(time.monotonic()), stores=stores).sell([0.0])

    def sell_nothing_in_time(self, stores: Collection[str]) -> None:
        """Stock that is not carried on: a sale while its flow is switched off."""
        self.pause("stock_deltas")
        self.sell(PAID, stores)


def main(options: list[str]) -> int:
    """Stage all of it; 1 when a failure was not told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--monitor-minutes", type=int, default=6, help="health.monitor_minutes; shipped: 15")
    parser.add_argument("--url", help="store on PostgreSQL instead of SQLite")
    args = parser.parse_args(options)
    with tempfile.TemporaryDirectory() as name:
        include = _settings(Path(name) / "include", args.monitor_minutes)
        with (
            running(*FLOWS, store_url=args.url, include=include) as run,
            closing(Sandbox(run.sandbox)) as sandbox,
        ):
            return _stage(Stage(run, sandbox), run, sandbox)


def _stage(stage: Stage, run: Running, sandbox: Sandbox) -> int:
    sandbox.subscribe(SUBSCRIPTION)
    burst = OrderBurst(sandbox, [PAID])
    burst.sell(number / 2 for number in range(40))
    store = open_store(run.store_url)
    wait_for(lambda: store.captures.accounting(DEFAULT_LINK).captured >= len(burst.sales), 120, run.processes)
    stage.wait_for_check()
    silent, others, last_order = _remember_weeks(store)
    outcomes = stage.together(
        [
            Failure(
                "A Subscription stops",
                Kind.SUBSCRIPTION_STOPPED,
                lambda: _subscription(sandbox, "ConfigurationErrorDeliveryStopped"),
                lambda: _subscription(sandbox, "Healthy"),
            ),
            Failure(
                "A flow stalls: stock_deltas is paused, and a kiosk sells",
                Kind.FLOW_STALLED,
                lambda: stage.sell_nothing_in_time(others),
                lambda: stage.resume("stock_deltas"),
                cause="stock",
            ),
            Failure(
                "A kiosk sells under an identifier that commercetools does not know",
                Kind.UNKNOWN_IDENTIFIER,
                lambda: stage.sell(FOREIGN, others),
                None,
            ),
            Failure(
                "The access to commercetools ends in ten days",
                Kind.CREDENTIAL,
                lambda: _ends(sandbox, _now() + timedelta(days=10)),
                lambda: _ends(sandbox, None),
            ),
            Failure(
                f"Nothing comes from {silent}, which usually sells {USUAL_ORDERS} an hour",
                Kind.STORE_SILENT,
                lambda: None,
                lambda: stage.sell(PAID, {silent}),
                since=last_order,
            ),
        ]
    )
    outcomes += stage.together(
        [
            Failure(
                "Cloudshelf refuses the key",
                Kind.CREDENTIAL,
                lambda: _revoke(sandbox, True),
                lambda: _revoke(sandbox, False),
            )
        ]
    )
    outcomes += stage.together(
        [
            Failure(
                "The monitor is dead: sync_health is paused",
                Kind.MONITOR_SILENT,
                lambda: stage.pause("sync_health"),
                lambda: stage.resume("sync_health"),
            )
        ]
    )
    _report(outcomes)
    return int(any(one.told is None for one in outcomes))


def _report(outcomes: Sequence[Outcome]) -> None:
    print("\n| failure | exception | told after | whom | subject | closed after it was mended |")
    print("|---|---|---|---|---|---|")
    for one in outcomes:
        print(one.row())
    for one in outcomes:
        print(f"\n--- {one.failure.name}\n{one.subject}\n{one.body}")


def _settings(folder: Path, minutes: int) -> Path:
    """The shipped settings, with another patience for a monitor that is silent."""
    shutil.copytree(ROOT / "include", folder)
    file = folder / "mapping.yaml"
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["defaults"].setdefault("health", {})["monitor_minutes"] = minutes
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return folder


def _remember_weeks(store: Store) -> tuple[str, set[str], datetime]:
    """Give the store that sold last five weeks in which it sold as usual, as copies of its order.

    :return: its name, the other stores, and when it sold last.
    """
    c = order_capture.c
    with store.begin() as conn:
        row = conn.execute(select(order_capture).order_by(c.ordered_at.desc()).limit(1)).one()._asdict()
        began = row["ordered_at"] - timedelta(minutes=90)
        step = timedelta(hours=1) / USUAL_ORDERS
        moments = [
            began - timedelta(weeks=week) + number * step
            for week in range(1, 6)
            for number in range(USUAL_ORDERS * 4)
        ]
        copies = [
            {
                **row,
                "order_id": f"past-{number}",
                "order_number": f"past-{number}",
                "ct_order_id": f"past-{number}",
                **dict.fromkeys(("ordered_at", "changed_at", "confirmed_at", "captured_at"), at),
            }
            for number, at in enumerate(moments)
        ]
        conn.execute(insert(order_capture), copies)
        places = set(conn.execute(select(c.place).distinct()).scalars())
    return str(row["place"]), places - {row["place"], ""}, row["ordered_at"]


def _subscription(sandbox: Sandbox, status: str) -> None:
    sandbox.change("subscription", subscription=SUBSCRIPTION, status=status)


def _revoke(sandbox: Sandbox, revoked: bool) -> None:
    sandbox.change("key", revoked=revoked)


def _ends(sandbox: Sandbox, at: datetime | None) -> None:
    sandbox.change("client", deleteAt=None if at is None else at.isoformat(timespec="milliseconds"))


def _now() -> datetime:
    return datetime.now(UTC)


def _span(start: datetime | None, end: datetime | None) -> str:
    if start is None or end is None:
        return "never"
    seconds = (end - start).total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
