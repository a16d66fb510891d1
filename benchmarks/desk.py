"""The desk of a large business: how long its pages take, for 200 stores and 10,000 open exceptions.

Airflow's API server answers in this process, and somebody who may decide asks for pages as a browser does. A week of
checks, every five minutes, lies behind the curves; the exceptions have 1,600 causes. The first visit after a check is
told apart from later ones, because what was made of a check is kept. The run fails when a page takes more than a
second of processor time, or does not show what the store holds.

    python -m benchmarks desk [--stores 200] [--exceptions 10000] [--url postgresql://… of an empty database]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import health
from benchmarks.in_airflow import store_connection
from cogent_ops.config import load_config
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.health.model import Snapshot
from cogent_ops.services.health.check import HealthCheck, HealthParts
from cogent_ops.store import Store, open_store, upgrade
from cogent_ops.store.schema import health_sample

VISITS, MOST_SECONDS = 20, 1.0
KINDS = (Kind.PRODUCT_HELD, Kind.AMBIGUOUS_PAYMENT, Kind.UNKNOWN_IDENTIFIER, Kind.ORDER_LOCATION)
CAUSES_OF_A_KIND = 400
PAGES = {
    "Sync Health, 24 hours": "/",
    "Sync Health, 7 days": "/?hours=168",
    "Sync Health, all stores": "/?stores=all",
    "a store": "/store?place=store-07",
    "inbox, by cause": "/exceptions",
    "inbox, one by one": "/exceptions?view=all",
    "an exception": "/exceptions/default/77",
    "playbook": "/playbook",
}


def main(options: list[str]) -> int:
    """Fill, visit, print; 1 when a page is slow or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=int, default=200)
    parser.add_argument("--exceptions", type=int, default=10_000)
    parser.add_argument("--url", help="an empty database instead of a temporary SQLite file")
    args = parser.parse_args(options)
    with tempfile.TemporaryDirectory() as folder:
        url = args.url or f"sqlite:///{folder}/desk.db"
        upgrade(url)
        _settings(Path(folder), url)
        store = open_store(url)
        check = _fill(store, args.stores, args.exceptions)
        failed = _visit(store, check, args.stores, args.exceptions)
        store.close()
    return int(failed)


def _settings(folder: Path, url: str) -> None:
    """Airflow reads its settings when it is imported, so this comes first."""
    os.environ.update(
        {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(health.ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(health.ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:admin",
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-benchmark-and-long-enough-for-hs512-" + "x" * 32,
            "AIRFLOW_CONN_COGENT_OPS_STORE": store_connection(url),
            "COGENT_OPS_INCLUDE": str(health.ROOT / "include"),
            "_AIRFLOW_PROCESS_CONTEXT": "server",
        }
    )


def _fill(store: Store, stores: int, exceptions: int) -> Callable[[], Snapshot]:
    """A day of orders, a week of checks and the exceptions; gives what makes one more check."""
    now, rng = datetime.now(UTC), Random(7)
    health.fill(store, 20_000, 0, now, stores=stores)
    new = [_exception(rng, number, stores) for number in range(exceptions)]
    with store.begin() as conn:
        for first in range(0, exceptions, 500):
            until = now + timedelta(hours=rng.randint(-5, 60))
            store.exceptions.raise_many(conn, health.LINK, new[first : first + 500], "bench", deadline=until)
    parts = HealthParts(
        config=load_config(health.ROOT / "include").link(health.LINK),
        store=store,
        project=health.PROJECT,
        run_key="bench",
    )
    check = HealthCheck(parts).run
    found = check()
    samples = [
        {
            "link": health.LINK,
            "flow": one.flow,
            "at": now - age * timedelta(minutes=5),
            "age": rng.uniform(0, 90),
            "target": one.target,
            "waiting": 0,
            "done": 10,
            "state": one.state,
        }
        for age in range(1, 7 * 24 * 12)
        for one in found.flows
    ]
    with store.begin() as conn:
        conn.execute(health_sample.insert(), samples)
    return check


def _exception(rng: Random, number: int, stores: int) -> NewException:
    kind = rng.choice(KINDS)
    return NewException(
        kind=kind,
        cause_key=f"{kind}/{number}",
        record=f"SKU-{number:06d}",
        field="gtin",
        rule="is known",
        message=f"SKU-{number:06d}: something is wrong with it.",
        cure="Mend it.",
        owner=rng.choice(list(Owner)),
        place=health.place_name(f"store-{rng.randrange(stores):02d}"),
        amount=rng.randint(100, 90_000),
        currency="EUR",
        group=f"cause {rng.randrange(CAUSES_OF_A_KIND)}",
        payload={"sku": f"SKU-{number:06d}"},
    )


def _visit(store: Store, check: Callable[[], Snapshot], stores: int, exceptions: int) -> bool:
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb
    from tests.support.desk import Visitor

    initdb()
    ada = Visitor(create_app(apps="core"), "ada")
    ada.get("/playbook")
    is_wrong = False
    for name, path in PAGES.items():
        check()
        first = _timed(ada, path)
        later = sorted(_timed(ada, path) for _ in range(VISITS))
        cpu = max(first[1], *(one[1] for one in later))
        said = _missing(path, first[2], stores, exceptions)
        is_wrong |= bool(said) or cpu > MOST_SECONDS
        half, most = later[len(later) // 2], later[-1]
        print(
            f"{name:<26} first {first[0] * 1000:>5.0f} ms (CPU {first[1] * 1000:>4.0f})   later p50 "
            f"{half[0] * 1000:>4.0f} ms (CPU {half[1] * 1000:>4.0f}), at most {most[0] * 1000:>4.0f} ms   "
            f"{len(first[2]) / 1024:>4.0f} kB{'   ' + said if said else ''}",
            flush=True,
        )
    return is_wrong


def _timed(visitor: Any, path: str) -> tuple[float, float, str]:
    began, cpu = time.perf_counter(), time.process_time()
    answer = visitor.get(path)
    spent = time.perf_counter() - began, time.process_time() - cpu
    if answer.status_code != 200:
        raise RuntimeError(f"{path} answers {answer.status_code}: {answer.text[:300]}")
    return *spent, answer.text


def _missing(path: str, page: str, stores: int, exceptions: int) -> str:
    """What a page should show and does not."""
    wanted = []
    if path.partition("?")[0] == "/exceptions":
        wanted.append(f"{exceptions:,}")
    if "stores=all" in path:
        wanted += [health.place_name(f"store-{number:02d}") for number in range(stores)]
    lacking = [one for one in wanted if one not in page]
    return f"NOT SHOWN: {', '.join(lacking[:3])}" if lacking else ""
