"""Kiosk orders through real Airflow at a peak: each one captured once, or waiting for a reason that has an owner.

Orders of every kind come at up to the given rate, good ones and those with each defect, while one request in eight
fails or loses its answer. Then both APIs are counted again, independently of the package; the store's own accounting
must add up; every defect must have its exception, with owner and message; and no e-mail address, telephone number or
name may lie in a log, an XCom or an exception.

    python -m benchmarks orders [--orders 5000] [--rate 50] [--url postgresql://… of an empty database, for the store]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.leaks import Leak, scan

from benchmarks.in_airflow import ROOT, Meter, Running, percentiles, running
from cogent_ops.domain.exceptions import ORDER_KINDS
from cogent_ops.store import Store, open_store
from cogent_ops.store.exceptions import StoredException
from cogent_ops.store.orders import Accounting
from demo_report import print_accounting
from order_burst import FAULTS, OrderBurst, Sale
from order_cases import EMAIL, NAME, PHONE
from order_recount import Recount, recount
from sandbox_talk import Sandbox

LINK = "default"
#: The shipped limit of 50 requests a second would be the only thing measured: an order takes three or four.
LIMIT = {"rate": 400, "burst": 800, "timeout_seconds": 65}
#: Pages of 50 let Cloudshelf's rate of 10 requests a second stand between the poll and such a peak.
ORDERS_PAGE = 250
GRACE_MINUTES = 1
PATIENCE_SECONDS = 240.0
#: What must be nowhere but in the table of addresses that captures need.
NEEDLES = {
    "e-mail": EMAIL,
    "telephone": PHONE,
    "name": NAME,
    "client secret": "sandbox-secret",
    "API key": "sandbox-key",
}


@dataclass(frozen=True)
class Result:
    """What both sides hold, and what the store says of it.

    :param exceptions: open ones about orders.
    :param odd: exceptions that are missing, too many, or without owner or message, in words.
    """

    found: Recount
    accounting: Accounting
    exceptions: tuple[StoredException, ...]
    odd: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong, missing or unexplained."""
        counted = self.accounting
        adds_up = (counted.seen, counted.captured) == (self.found.orders, self.found.held)
        return adds_up and self.found.is_right and not (self.odd or counted.unexplained)


def main(options: list[str]) -> int:
    """Sell, wait, count; 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=50.0, help="orders per second at the peak")
    parser.add_argument("--url", help="store on PostgreSQL instead of SQLite")
    args = parser.parse_args(options)
    with tempfile.TemporaryDirectory() as name:
        include = _settings(Path(name) / "include")
        with (
            running("stock_deltas", "kiosk_order_capture", store_url=args.url, include=include) as run,
            closing(Sandbox(run.sandbox)) as sandbox,
        ):
            return _measure(args, run, sandbox)


def _settings(folder: Path) -> Path:
    """The shipped settings, with a short grace, e-mail required, and room for the peak."""
    shutil.copytree(ROOT / "include", folder)
    path = folder / "mapping.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["links"][LINK] |= {
        "orders": {"grace_minutes": GRACE_MINUTES, "email": "required"},
        "movements": {"orders_page": ORDERS_PAGE},
    }
    settings["defaults"]["limits"]["commercetools"] = LIMIT
    path.write_text(yaml.safe_dump(settings))
    return folder


def _measure(args: argparse.Namespace, run: Running, sandbox: Sandbox) -> int:
    store = open_store(run.store_url)
    burst, meter, began = OrderBurst(sandbox), Meter(run), time.monotonic()
    sandbox.misbehave(FAULTS)
    burst.sell(_arrivals(args.orders, args.rate))
    run.progress.step(f"{args.orders} orders have had their life in {time.monotonic() - began:.0f} s")
    result = _settled(sandbox, burst, store)
    run.progress.step("counted again")
    _print(result, args.rate, str(meter))
    leaks = _leaks(run)
    for leak in leaks:
        print(f"  {leak.needle} in {leak.place}")
    return int(bool(leaks) or not result.is_right)


def _arrivals(orders: int, rate: float) -> Iterator[float]:
    """Seconds at which orders come: half the rate for the first quarter and the last, all of it in between."""
    at = 0.0
    for number in range(orders):
        yield at
        at += (1 if orders <= 4 * number < 3 * orders else 2) / rate


def _settled(sandbox: Sandbox, burst: OrderBurst, store: Store) -> Result:
    """The result once it is right, or after a while as it is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    result = _result(sandbox, burst, store)
    while not result.is_right and time.monotonic() < deadline:
        time.sleep(3.0)
        result = _result(sandbox, burst, store)
    return result


def _result(sandbox: Sandbox, burst: OrderBurst, store: Store) -> Result:
    open_ = tuple(one for one in store.exceptions.open(LINK) if one.kind in ORDER_KINDS)
    return Result(
        recount(sandbox, burst), store.captures.accounting(LINK), open_, tuple(_odd(burst.sales, open_))
    )


def _odd(sales: Mapping[str, Sale], exceptions: tuple[StoredException, ...]) -> Iterator[str]:
    """Where exceptions differ from the defects that were put in."""
    about: dict[str, set[str]] = {}
    for one in exceptions:
        about.setdefault(str(one.payload.get("order")), set()).add(one.kind)
        if not (one.owner and one.message and one.cure and one.deadline):
            yield f"exception {one.id} lacks owner, message, cure or deadline"
    for sale in sales.values():
        kinds = about.pop(sale.id, set())
        wanted = {sale.case.kind} - {""}
        if kinds != wanted:
            yield f"{sale.case.name} {sale.ulid}: exceptions {sorted(kinds)}, not {sorted(wanted)}"
    for order, kinds in about.items():
        yield f"exceptions {sorted(kinds)} about {order}, which nobody sold"


def _leaks(run: Running) -> list[Leak]:
    """Customers' data and secrets in what tasks and processes have written, in Airflow's database and in the store."""
    report = scan(
        NEEDLES,
        folders=(run.home / "logs", run.home / "cogent_ops", run.processes.logs),
        databases={"Airflow": f"sqlite:///{run.home / 'airflow.db'}", "store": run.store_url},
    )
    # The sandbox tells whoever starts it how to reach it.
    leaks = sorted(
        (leak for leak in report.leaks if Path(leak.place).name != "sandbox.log"), key=lambda leak: leak.place
    )
    looked = f"{report.files} files and {report.rows} rows"
    print(f"\npersonal data and secrets in {looked}: {len(leaks)}")
    return leaks


# Showing


def _print(result: Result, rate: float, cost: str) -> None:
    found = result.found
    print(
        f"\n{found.orders} orders, {rate:g} a second at the peak; {found.faults} requests failed or lost their answer"
    )
    print(f"paid to commercetools order: {percentiles(found.seconds)}")
    print(f"commercetools holds {found.held} orders; wrong: {len(found.wrong)}")
    _print_some(found.wrong)
    print(f"{found.sold} pieces sold, {found.deducted} deducted: lost {found.lost}, doubled {found.doubled}")
    print_accounting(result.accounting)
    _print_exceptions(result.exceptions)
    print(f"exceptions that are odd: {len(result.odd)}")
    _print_some(result.odd)
    print(cost)


def _print_exceptions(exceptions: tuple[StoredException, ...]) -> None:
    numbers = Counter((one.kind, one.owner) for one in exceptions)
    examples: dict[Any, str] = {(one.kind, one.owner): one.message for one in exceptions}
    for (kind, owner), number in sorted(numbers.items()):
        print(f"  {kind:<18} {owner:<17} {number:>4}  {examples[kind, owner]}")


def _print_some(texts: tuple[str, ...]) -> None:
    for text in texts[:20]:
        print(f"  {text}")
