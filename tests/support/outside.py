"""What lies outside a link, looked at over real HTTP, with what is found raised and closed as a check does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.integration.clients.helpers import kiosk, shop

from cogent_ops.clients.transport import Tuning
from cogent_ops.config import LinkConfig, load_config
from cogent_ops.domain.business_hours import BusinessHours
from cogent_ops.domain.exceptions import Action, Kind, Status
from cogent_ops.domain.health.model import Check, State
from cogent_ops.domain.identifiers import location_gid
from cogent_ops.domain.kiosk import KioskLocation
from cogent_ops.domain.rules import HealthRules
from cogent_ops.errors import ConnectionConfigError
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.subscriptions import create_subscription
from cogent_ops.services.health.credentials import CloudshelfAccess, CommercetoolsAccess, Expiry
from cogent_ops.services.health.gaps import Gaps
from cogent_ops.services.health.kiosks import Kiosks
from cogent_ops.services.health.looking import Look, OutsideReport
from cogent_ops.services.health.messages import Messages
from cogent_ops.services.health.outside import Outside
from cogent_ops.services.health.silence import Silence
from cogent_ops.services.health.subscriptions import Subscriptions
from cogent_ops.store import Store

ROOT = Path(__file__).parents[2]
LINK = "default"
SHOP, KIOSK = "commercetools_default", "cloudshelf_default"
QUEUE = {"type": "SQS", "queueUrl": "https://queue.example.com/1", "region": "eu-west-1"}
#: Gives up soon where nobody answers, and lets a sandbox on a busy machine take its time.
PATIENT = Tuning(connect_seconds=10, read_seconds=20, attempts=2, total_seconds=20, backoff_seconds=0.01)


def _noon() -> str:
    """A time zone in which it is about noon, so that no day ends amid a test."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


class AlwaysOpen(BusinessHours):
    """Somebody works at any hour."""

    timezone: str = _noon()

    def is_open(self, moment: datetime) -> bool:
        return True


class NeverOpen(BusinessHours):
    """Nobody works."""

    def is_open(self, moment: datetime) -> bool:
        return False


@dataclass
class Outskirts:
    """Both systems as sync health looks at them.

    :param rules: of the section ``health``.
    :param ends: what connections say of their last day.
    """

    server: SandboxServer
    store: Store
    rules: Mapping[str, Any] = field(default_factory=dict)
    ends: Mapping[str, date | ConnectionConfigError | None] = field(default_factory=dict)
    hours: BusinessHours = field(default_factory=AlwaysOpen)
    config: LinkConfig = field(init=False)
    #: Moved on by a test that lets time pass for whoever looks.
    ahead: timedelta = timedelta(0)
    runs: int = 0

    def __post_init__(self) -> None:
        link = load_config(ROOT / "include").link(LINK)
        self.config = link.model_copy(update={"health": HealthRules.model_validate(dict(self.rules))})

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    # Looks

    def looks(self) -> dict[str, Look[Any]]:
        """Every look by a short name."""
        to_shop, to_kiosk = partial(shop, self.server, PATIENT), partial(kiosk, self.server, PATIENT)
        rules, zone = self.config.health, ZoneInfo("Europe/Berlin")
        return {
            "shop": CommercetoolsAccess(LINK, self.store, SHOP, to_shop),
            "kiosk": CloudshelfAccess(LINK, self.store, KIOSK, to_kiosk),
            "ends": Expiry(
                LINK,
                rules,
                self.store,
                to_shop,
                self.ends,
                conn_id=SHOP,
                asked=(SHOP, KIOSK),
                hours=self.hours,
            ),
            "messages": Messages(LINK, rules, self.store, to_shop),
            "subscriptions": Subscriptions(LINK, rules, self.store, to_shop),
            "gaps": Gaps(self.config, self.store, to_shop, {}, pause=lambda seconds: None),
            "kiosks": Kiosks(LINK, rules, self.store, to_kiosk, self.hours),
            "silence": Silence(self.config, self.store, to_shop, {}, zone),
        }

    def look(self, *names: str, later: timedelta = timedelta(0)) -> OutsideReport:
        """Look at some of it (all, when none is named), and raise and close what follows."""
        found = self.looks()
        report = Outside([found[name] for name in names or found]).look(self.now + later)
        self.runs += 1
        with self.store.begin() as conn:
            self.store.exceptions.raise_many(conn, LINK, report.found, f"run-{self.runs}")
            for kind, cause in report.gone:
                self.store.exceptions.resolve(conn, LINK, kind, [cause], f"run-{self.runs}")
        return report

    def change(self, what: str, **given: Any) -> None:
        """Something happens outside."""
        self.server.state.floor.change(what, given)

    # What follows

    def open(self, kind: Kind) -> list[str]:
        """Messages of open exceptions of a kind."""
        return [one.message for one in self.store.exceptions.open(LINK, kind)]

    def decide(self, kind: Kind) -> None:
        """Somebody says of the open exceptions of a kind that they are expected."""
        for one in self.store.exceptions.open(LINK, kind):
            with self.store.begin() as conn:
                self.store.exceptions.decide(
                    conn, LINK, one.id, Action.EXPECTED, Status.EXPECTED, actor="dana", detail={}
                )

    # People outside

    def subscribe(self, key: str = "erp", **more: Any) -> str:
        """Somebody creates a Subscription; its id."""
        draft = {"key": key, "destination": QUEUE, "messages": [{"resourceTypeId": "order"}], **more}
        state = self.server.state.commercetools
        with state.lock:
            return str(create_subscription(state, draft)["id"])

    def unsubscribe(self, key: str = "erp") -> None:
        """Somebody deletes a Subscription."""
        state = self.server.state.commercetools
        with state.lock:
            found = state["subscriptions"].first("key", key)
            assert found is not None
            state["subscriptions"].remove(found["id"])

    def keep_messages(self, enabled: bool, days: int = 15) -> None:
        """Somebody changes the project's setting."""
        state = self.server.state.commercetools
        with state.lock:
            state.project = {
                **state.project,
                "messages": {"enabled": enabled, "deleteDaysAfterCreation": days},
            }

    def open_stores(self, stores: Mapping[str, str]) -> None:
        """Cloudshelf gets the link's stores, each with its kiosks."""
        places = [
            KioskLocation(id=location_gid(key), display_name=name, country_code="DE", address1="Hauptstr. 1")
            for key, name in stores.items()
        ]
        kiosk(self.server).upsert_locations(places)


def states(checks: Sequence[Check]) -> dict[str, State]:
    """How each thing stands, by its name."""
    return {one.name: one.state for one in checks}


def one(report: OutsideReport, name: str) -> Check:
    """The check of a name."""
    (found,) = [check for check in report.checks if check.name == name]
    return found
