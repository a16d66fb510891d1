"""A night of comparison over a sandbox, a store and a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.clients.helpers import kiosk, shop
from tests.support.carrying import SUITE
from upath import UPath

from cogent_ops.config import LinkConfig
from cogent_ops.domain.drift.model import Finding
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.drift.archive import Archive
from cogent_ops.services.drift.comparison import Compared, Comparison, Parts
from cogent_ops.store import Store

PROJECT = "commercetools/sandbox"


@dataclass
class Nights:
    """Compares the two sides of a link, a night each time."""

    server: SandboxServer
    store: Store
    config: LinkConfig
    folder: Path
    #: Moved on by a test that lets time pass.
    ahead: timedelta = timedelta(0)
    siblings: tuple[str, ...] = ()
    taken: int = 0
    last: Compared = field(default_factory=lambda: Compared(0, ()))

    def parts(self) -> Parts:
        return Parts(
            config=self.config,
            store=self.store,
            commercetools=shop(self.server),
            cloudshelf=kiosk(self.server),
            locations={},
            project=PROJECT,
            suite=SUITE,
            run_key="drift",
            now=lambda: datetime.now(UTC) + self.ahead,
            siblings=self.siblings,
        )

    @property
    def archive(self) -> Archive:
        return Archive(UPath(self.folder), self.config.name)

    def compare(self, kind: Any, *more: Any) -> Compared:
        """A whole night of one comparison, or of several that build on each other; gives the last one's result."""
        self.taken += 1
        night = self.archive.night(f"2026-11-{self.taken:02}")
        for one in (kind, *more):
            made: Comparison = one(self.parts())
            made.snapshot(night)
            self.last = made.compare(night, None)
            assert one(self.parts()).compare(night, None) == self.last, "a night compared again is the same"
        return self.last

    def found(self, kind: Any, *more: Any) -> dict[str, Finding]:
        """Findings by subject."""
        findings = self.compare(kind, *more).findings
        assert len({(one.cause, one.subject) for one in findings}) == len(findings)
        return {one.subject: one for one in findings}
