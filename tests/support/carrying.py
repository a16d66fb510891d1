"""A catalogue link that a test runs stage by stage, as the tasks of the DAG would, over a sandbox and a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.clients.helpers import QUICK, kiosk, shop
from upath import UPath

from cogent_ops.clients.transport import RateBudget, Unlimited
from cogent_ops.config import Config, LinkConfig, load_config
from cogent_ops.domain.identifiers import product_gid
from cogent_ops.errors import RetryableError
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.catalogue.plan import CatalogueRequest, Flow
from cogent_ops.services.catalogue.sync import CatalogueSync
from cogent_ops.store import Store, StoredException

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
    runs: int = 0
    #: Moved on by a test that lets time pass for the flow.
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

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
            commercetools=shop(self.server, QUICK, self._budget("commercetools")),
            cloudshelf=kiosk(self.server, QUICK, self._budget("cloudshelf")),
            locations=self.files.locations,
        )

    def _budget(self, target: str) -> RateBudget:
        return self.store.budget(target, 500, 500) if self.budgets else Unlimited()

    def request(self, **wishes: Any) -> CatalogueRequest:
        """The next run; time passes between two of them."""
        self.runs += 1
        self.now += timedelta(seconds=1)
        return CatalogueRequest(self.name, f"run-{self.runs:03}", self.now, **wishes)

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
                continue
        raise AssertionError(f"{stage} did not succeed in {ATTEMPTS} attempts")

    def audit(self) -> Any:
        """A whole audit."""
        request = self.request(flow=Flow.AUDIT)
        self.carry(request, ("extract", "gate", "report"))
        return self.flow().verdict(request)

    # What came of it

    def kiosk(self) -> Json:
        """The organisation's content."""
        return self.server.dump("cloudshelf")

    def shown(self, product_id: str) -> Json | None:
        """A product as the kiosk shows it."""
        found: Json | None = self.kiosk()["products"].get(product_gid(product_id))
        return found

    def held(self, kind: str = "product_held") -> list[StoredException]:
        return self.store.exceptions.open(self.name, kind)

    def sent(self) -> Json:
        """Records sent to Cloudshelf since the counters were reset, by operation."""
        return {name: count for name, count in self.server.counters()["records"].items() if count}

    def forget(self) -> None:
        """Reset the sandbox's counters."""
        self.server.app.counters = type(self.server.app.counters)()
