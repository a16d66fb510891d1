"""A store whose clock a test sets, so that months can pass in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from cogent_ops.domain.exceptions import LEADS_TO, Action, NewException
from cogent_ops.store import Filter, Status, Store
from cogent_ops.store.alerts import AlertState, NewAlert, Told, Untold

LINK = "default"
#: Modules of the store that ask for the time.
_CLOCKS = ("alerts", "drift", "exceptions", "ledger", "orders")


@dataclass
class Calendar:
    """See the module. Times are UTC.

    :param at: the moment that it is.
    """

    store: Store
    at: datetime = field(default=datetime(2026, 10, 1, 9, tzinfo=UTC))

    @classmethod
    def over(cls, store: Store, patch: pytest.MonkeyPatch) -> Calendar:
        """A calendar that the store goes by."""
        made = cls(store)
        for module in _CLOCKS:
            patch.setattr(f"cogent_ops.store.{module}.now", lambda: made.at)
        return made

    def on(self, month: int, day: int, hour: int = 12, minute: int = 0) -> Calendar:
        """The same at another moment of 2026."""
        self.at = datetime(2026, month, day, hour, minute, tzinfo=UTC)
        return self

    def later(self, **span: float) -> Calendar:
        """The same some time later."""
        self.at += timedelta(**span)
        return self

    def open(self, *new: NewException) -> None:
        with self.store.begin() as conn:
            self.store.exceptions.raise_many(conn, LINK, new, f"run-{self.at:%m%d%H%M%S}")

    def close(self, *gone: NewException) -> None:
        with self.store.begin() as conn:
            for one in gone:
                self.store.exceptions.resolve(conn, LINK, one.kind, [one.cause_key], "later")

    def number(self, one: NewException) -> int:
        with self.store.read() as conn:
            return self.store.exceptions.number(conn, LINK, one.kind, one.cause_key)

    def decide(self, one: NewException, action: Action, actor: str = "ann") -> None:
        with self.store.begin() as conn:
            self.store.exceptions.decide(
                conn, LINK, self.number(one), action, LEADS_TO.get(action), actor=actor, detail={}
            )

    def tell(self, one: NewException, told: Told = Told.OPENED, *, delivered: bool = True) -> None:
        """Tell people of an exception, over the default channel."""
        wanted = Filter(tuple(Status), kind=one.kind, drills=None)
        (found,) = (
            each for each in self.store.exceptions.find(LINK, wanted) if each.cause_key == one.cause_key
        )
        chosen = Untold(found.id, found.kind, found.cause_key, found.cause_group, found.owner, self.at)
        message = NewAlert(
            "default", found.kind, found.cause_group, found.severity, [found.id], "subject", "body"
        )
        with self.store.begin() as conn:
            self.store.alerts.mark(conn, LINK, found.kind, told, [chosen], self.at)
            self.store.alerts.write(conn, LINK, message, self.at)
        if delivered:
            taken = self.store.alerts.claim(LINK, self.at, timedelta(minutes=1), without=())
            assert taken is not None
            with self.store.begin() as conn:
                self.store.alerts.settle(conn, taken, AlertState.SENT, self.at + timedelta(seconds=2))
