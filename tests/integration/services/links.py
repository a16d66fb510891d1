"""A link as its services see it: files in a folder, a store, and clients of a sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.engine import URL
from tests.integration.clients.helpers import QUICK, kiosk, shop

from cogent_ops.clients.transport import Tuning
from cogent_ops.config import load_config
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.bootstrap import Bootstrap
from cogent_ops.services.checks import Check, Outcome, Parts
from cogent_ops.services.preflight import Preflight
from cogent_ops.store import Store, open_store, upgrade

ROOT = Path(__file__).parents[3]
TYPES = ("cogent-ops-inventory", "cogent-ops-order")


class LinkUnderTest:
    """The link ``default`` over a sandbox.

    :param folder: for its files and its store.
    """

    def __init__(self, server: SandboxServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.include = folder / "include"
        shutil.copytree(ROOT / "include", self.include)
        self.store_url = URL.create("sqlite", database=str(folder / "store.db"))
        upgrade(self.store_url)
        self.tuning: Tuning = QUICK

    def configure(self, **settings: Any) -> None:
        """Change settings of the link."""
        self._edit("mapping.yaml", lambda data: data["links"]["default"].update(settings))

    def describe_stores(self, stores: dict[str, Any]) -> None:
        """Add to ``locations.yaml``."""
        self._edit("locations.yaml", lambda data: data["locations"].update(stores))

    def _edit(self, name: str, change: Any) -> None:
        path = self.include / name
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(yaml.safe_dump(data), encoding="utf-8")

    def parts(self, **instead: Any) -> Parts:
        """The link taken apart; parts may be replaced."""
        parts = Parts(
            link="default",
            config=lambda: load_config(self.include),
            suite=lambda: self.include / "schemas/product_master.json",
            store_url=lambda: self.store_url,
            commercetools=lambda: shop(self.server, self.tuning),
            cloudshelf=lambda: kiosk(self.server, self.tuning),
        )
        return replace(parts, **instead)

    def preflight(self, **instead: Any) -> Report:
        return Report(Preflight(self.parts(**instead)).run())

    def bootstrap(self, *, dry_run: bool = False, **instead: Any) -> Report:
        return Report(Bootstrap(self.parts(**instead), dry_run=dry_run).run())

    def store(self) -> Store:
        return open_store(self.store_url)

    # The project's Types

    def types(self) -> dict[str, dict[str, Any]]:
        """Every Type of the project by key, as it is stored."""
        state = self.server.state.commercetools
        with state.lock:
            return {kind["key"]: kind for kind in state["types"]}

    def add_type(self, key: str, resource: str, fields: dict[str, Any]) -> None:
        """Another integration's Type; fields by name with their type, e.g. ``{"name": "Number"}``."""
        definitions = [
            {"name": name, "label": {"en": name}, "required": False, "type": kind}
            for name, kind in fields.items()
        ]
        draft = {"key": key, "name": {"en": key}, "resourceTypeIds": [resource]}
        shop(self.server).create("types", {**draft, "fieldDefinitions": definitions})

    def requests(self) -> dict[str, int]:
        """Requests that the sandbox saw, by operation."""
        counted: dict[str, int] = self.server.counters()["requests"]
        return counted

    def writes(self) -> dict[str, int]:
        """Those among them that write, but for empty batches."""
        verbs = (".create", ".update", ".delete")
        counters = self.server.counters()
        return {
            **{name: count for name, count in counters["requests"].items() if name.endswith(verbs)},
            **{name: count for name, count in counters["records"].items() if ".upsert" in name and count},
        }

    def forget_requests(self) -> None:
        self.server.app.counters = type(self.server.app.counters)(
            in_flight=self.server.app.counters.in_flight
        )


class Report(list[Check]):
    """The checks of one run."""

    def __init__(self, checks: Iterable[Check]) -> None:
        super().__init__(checks)

    def __getitem__(self, name: str) -> Check:  # type: ignore[override]
        """The one check of this name."""
        found = [check for check in self if check.name == name]
        assert len(found) == 1, f"{len(found)} checks '{name}' in:\n{self.text()}"
        return found[0]

    def names(self, *outcomes: Outcome) -> list[str]:
        return [check.name for check in self if check.outcome in outcomes]

    @property
    def failed(self) -> list[str]:
        return self.names(Outcome.FAIL)

    @property
    def warned(self) -> list[str]:
        return self.names(Outcome.WARN)

    def text(self) -> str:
        return "\n".join(f"{one.outcome} {one.name}: {one.message} -> {one.cure}" for one in self)
