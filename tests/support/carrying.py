"""A catalogue link that a test runs stage by stage, as the tasks of the DAG would, over a sandbox and a store."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.integration.clients.helpers import QUICK, kiosk, shop
from upath import UPath

from cogent_ops.clients.transport import RateBudget, Tuning, Unlimited
from cogent_ops.config import Config, LinkConfig, load_config
from cogent_ops.domain.identifiers import product_gid
from cogent_ops.errors import RetryableError
from cogent_ops.quality import Gate
from cogent_ops.sandbox.cloudshelf_state import CloudshelfState
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.shopfloor import ShopFloor
from cogent_ops.services.catalogue.plan import CatalogueRequest, Flow
from cogent_ops.services.catalogue.runfolder import RunFolder
from cogent_ops.services.catalogue.sync import CatalogueSync
from cogent_ops.store import Store, StoredException
from cogent_ops.store.schema import metadata

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "include/schemas/product_master.json"
#: Small batches, so that a small catalogue takes many calls.
SMALL = {"products": 10, "variants": 25, "groups": 7, "memberships": 3, "locations": 4}
STAGES = ("extract", "gate", "push", "report")
ATTEMPTS = 30


@dataclass
class Carrier:
    """One link.

    :param budgets: within the store's shared budgets instead of without limit.
    """

    server: SandboxServer
    store: Store
    folder: Path
    name: str = "default"
    include: Path = ROOT / "include"
    budgets: bool = False
    settings: Json = field(default_factory=dict)
    suite: Path = SUITE
    tuning: Tuning = QUICK
    runs: int = 0
    #: How often Airflow had to try a task again.
    retries: int = 0
    #: Moved on by a test that lets time pass for the flow.
    ahead: timedelta = timedelta(0)

    @property
    def files(self) -> Config:
        return load_config(self.include)

    @property
    def config(self) -> LinkConfig:
        link = self.files.link(self.name)
        small = link.batches.model_copy(update=SMALL)
        return link.model_copy(update={"page_size": 20, "batches": small, **self.settings})

    def flow(self) -> CatalogueSync:
        """What each task makes anew."""
        return CatalogueSync(
            config=self.config,
            store=self.store,
            root=UPath(self.folder),
            suite=self.suite,
            commercetools=shop(self.server, self.tuning, self._budget("commercetools")),
            cloudshelf=kiosk(self.server, self.tuning, self._budget("cloudshelf")),
            locations=self.files.locations,
        )

    def _budget(self, target: str) -> RateBudget:
        return self.store.budget(target, 500, 500) if self.budgets else Unlimited()

    def request(self, **wishes: Any) -> CatalogueRequest:
        """The next run."""
        self.runs += 1
        return CatalogueRequest(self.name, f"run-{self.runs:03}", datetime.now(UTC) + self.ahead, **wishes)

    def clear(self) -> None:
        """Let a push begin without an audit."""
        self.store.audits.record(self.name, "cleared", verdict="go", counts={})

    def sync(self, **wishes: Any) -> Json:
        """A whole run; retried where Airflow would retry. Gives the counts of all stages."""
        return self.carry(self.request(**wishes))

    def carry(self, request: CatalogueRequest, stages: tuple[str, ...] = STAGES) -> Json:
        counts: Json = {}
        for stage in stages:
            counts |= self._tried(stage, request)
        return counts

    def _tried(self, stage: str, request: CatalogueRequest) -> Json:
        for _ in range(ATTEMPTS):
            try:
                return dict(getattr(self.flow(), stage)(request))
            except RetryableError:
                self.retries += 1
        raise AssertionError(f"{stage} did not succeed in {ATTEMPTS} attempts")

    def audit(self) -> Any:
        """A whole audit."""
        request = self.request(flow=Flow.AUDIT)
        self.carry(request, ("extract", "gate", "report"))
        return self.flow().verdict(request)

    # What others do meanwhile

    @property
    def floor(self) -> ShopFloor:
        """People at work on both sides."""
        return self.server.state.floor

    def product(self, product_id: str) -> Json:
        """A product as commercetools has it now."""
        state = self.server.state.commercetools
        with state.lock:
            found = state["product-projections"].get(product_id)
            assert found is not None
            return found

    def edit(self, product_id: str, **fields: Any) -> None:
        """Change fields of a product."""
        self.floor.change_product(product_id, fields)

    def edit_variant(self, product_id: str, variant_id: int, **fields: Any) -> None:
        """Change fields of one variant."""
        product = self.product(product_id)
        master, *others = (
            {**variant, **fields} if variant["id"] == variant_id else variant
            for variant in (product["masterVariant"], *product["variants"])
        )
        self.floor.change_product(product_id, {"masterVariant": master, "variants": others})

    def change(self, resource: str, key: str, **fields: Any) -> None:
        """Change fields of a category, a channel and so on, named by its key."""
        state = self.server.state.commercetools
        with state.lock:
            found = state[resource].first("key", key)
            assert found is not None
            state.replace(resource, found, {**found, **fields})

    # What came of it

    def kiosk(self) -> Json:
        """The organisation's content."""
        return self.server.dump("cloudshelf")

    def is_shown(self, product_id: str) -> bool:
        """Whether the kiosk has the product."""
        return product_gid(product_id) in self.kiosk()["products"]

    def shown(self, product_id: str) -> Json:
        """A product as the kiosk shows it."""
        found: Json = self.kiosk()["products"][product_gid(product_id)]
        return found

    def held(self, kind: str = "product_held") -> list[StoredException]:
        return self.store.exceptions.open(self.name, kind)

    def sent(self) -> Json:
        """Records sent to Cloudshelf since the counters were reset, by operation."""
        return {
            name.removeprefix("cloudshelf."): count
            for name, count in self.server.counters()["records"].items()
            if count
        }

    def asked(self) -> Json:
        """Requests to both since the counters were reset, by operation."""
        found: Json = self.server.counters()["requests"]
        return found

    def forget(self) -> None:
        """Reset the sandbox's counters."""
        under_way = self.server.app.counters.in_flight
        self.server.app.counters = type(self.server.app.counters)(in_flight=under_way)

    def run_folder(self, request: CatalogueRequest) -> RunFolder:
        return self.flow().folder(request)


def content(store: Store, *without: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but these."""
    with store.read() as conn:
        return {
            name: sorted((tuple(row) for row in conn.execute(sa.select(table))), key=repr)
            for name, table in metadata.tables.items()
            if name not in without
        }


class Memory:
    """What a Cloudshelf organisation held at a moment, to return to it."""

    _FIXED = ("clock", "behaviour", "lock", "refuse", "blemish")

    def __init__(self, organisation: CloudshelfState) -> None:
        self._organisation = organisation
        with organisation.lock:
            self._held = deepcopy({k: v for k, v in vars(organisation).items() if k not in self._FIXED})

    def restore(self) -> None:
        with self._organisation.lock:
            vars(self._organisation).update(deepcopy(self._held))


@cache
def kept_gate(suite: bytes, path: Path, link: str) -> Gate:
    """A gate for all runs of a test session: to make one takes Great Expectations long."""
    return Gate(path, link)
