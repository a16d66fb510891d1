"""What every comparison has in common: what it may use, what it does, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cogent_ops.clients.cloudshelf import CloudshelfClient
from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.drift.model import Area, Finding
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.services.drift.archive import Night
from cogent_ops.store import Store


@dataclass(frozen=True)
class Parts:
    """What comparisons are made of.

    :param locations: what ``include/locations.yaml`` says, by Channel key.
    :param project: the commercetools project as its rate budget names it.
    :param siblings: other links that share it.
    :param clients: API clients of all links that share it; empty: only this link's own.
    :param suite: path of the product master suite.
    :param now: our clock.
    """

    config: LinkConfig
    store: Store
    commercetools: CommercetoolsClient
    cloudshelf: CloudshelfClient
    locations: Mapping[str, LocationOverride]
    project: str
    suite: Path
    run_key: str
    now: Callable[[], datetime]
    siblings: tuple[str, ...] = ()
    clients: frozenset[str] = frozenset()

    @property
    def us(self) -> frozenset[str]:
        """API clients that are ours."""
        return self.clients | {self.commercetools.account.client_id}


@dataclass(frozen=True)
class MoneyLine:
    """A day's takings of a store on each side, in minor units of the currency."""

    day: str
    store: str
    currency: str
    captured: int
    shop: int
    paid: int
    refunded: int


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    :param checked: pairs of records that were compared.
    :param counts: further numbers for the report; names with underscores for spaces.
    :param figures: takings, where it is about money.
    """

    checked: int
    findings: Sequence[Finding]
    counts: Mapping[str, int] = field(default_factory=dict)
    figures: Sequence[MoneyLine] = ()


class Comparison(Protocol):
    """Compares one area of a link.

    :ivar area: whose findings it makes.
    """

    area: Area

    def snapshot(self, night: Night) -> None:
        """Read both sides into the night's folder; a table that an earlier try wrote is kept.

        The only method that asks anybody. What is too young to be judged is read again here.
        """

    def compare(self, night: Night, previous: Night | None) -> Compared:
        """Compare what the folder holds; repeating it gives the same."""
