"""Whether commercetools keeps Messages: hints that make what online orders take show at kiosks within seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import Check, State
from cogent_ops.domain.rules import HealthRules
from cogent_ops.errors import MissingScope
from cogent_ops.services.health.gaps import MESSAGES, gap_cause
from cogent_ops.services.health.looking import OutsideReport, is_decided
from cogent_ops.store import Store

Raw = dict[str, Any]

#: Messages that are deleted sooner do not outlast a long weekend.
FEWEST_DAYS = 4
TURN_ON = (
    "Turn them on (docs/go-live.md): project action changeMessagesConfiguration, for "
    "which the scope manage_project_settings is needed."
)


class Messages:
    """Looks at the project's setting. What follows from it is told by :mod:`cogent_ops.services.health.gaps`.

    :param client: makes the commercetools client.
    """

    name = "Messages"

    def __init__(
        self, link: str, rules: HealthRules, store: Store, client: Callable[[], CommercetoolsClient]
    ) -> None:
        self.link, self.rule, self.store = link, rules.messages, store
        self._client = client

    def ask(self) -> Raw | None:
        """The project's setting; ``None`` when it may not be read."""
        try:
            return dict(self._client().project().get("messages") or {})
        except MissingScope:
            return None

    def judge(self, answer: Raw | None, now: datetime) -> OutsideReport:
        """Whether they are kept, and whether anybody minds."""
        if answer is None:
            return self._report(
                State.UNKNOWN,
                "The API client may not read the project's settings, so nobody notices when they are turned off.",
                "Grant it the scope view_project_settings.",
            )
        is_on = bool(answer.get("enabled"))
        before = self.store.gaps.source(self.link, MESSAGES, MESSAGES)
        with self.store.begin() as conn:
            status = "on" if is_on else "off"
            self.store.gaps.saw(conn, self.link, MESSAGES, MESSAGES, status, now, is_healthy=is_on)
        if is_on:
            return self._kept(answer, now)
        last = None if before is None else before.healthy_at
        if self.rule == "ignore" or (self.rule == "watch" and last is None):
            return self._given_up(now)
        return self._off(last or now, now)

    def _kept(self, answer: Raw, now: datetime) -> OutsideReport:
        gap = self.store.gaps.ongoing(self.link, MESSAGES, MESSAGES)
        if gap is not None:
            with self.store.begin() as conn:
                self.store.gaps.end(conn, gap, now)
        days = int(answer.get("deleteDaysAfterCreation", 15))
        if days < FEWEST_DAYS:
            return self._report(
                State.LATE,
                f"commercetools keeps them for {days} days only: after a long weekend some would be gone unread.",
                "Have them kept for 15 days or more (deleteDaysAfterCreation).",
            )
        return self._report(State.GOOD, f"commercetools keeps them, for {days} days.")

    def _given_up(self, now: datetime) -> OutsideReport:
        reason = "health.messages says that they are not needed"
        with self.store.begin() as conn:
            self.store.gaps.give_up(conn, self.link, MESSAGES, MESSAGES, reason, now)
        return self._report(
            State.GOOD,
            "commercetools keeps none, and nobody asked for them: what online orders take shows at kiosks with the "
            "next reading of all stock, not within seconds.",
        )

    def _off(self, began: datetime, now: datetime) -> OutsideReport:
        with self.store.begin() as conn:
            gap = self.store.gaps.begin(conn, self.link, MESSAGES, MESSAGES, began, {"status": "off"})
        if is_decided(self.store, self.link, Kind.MESSAGES_OFF, gap_cause(gap)):
            return self._report(State.GOOD, "commercetools keeps none, and somebody decided to leave it so.")
        return self._report(
            State.LATE,
            f"commercetools has kept none since {began:%Y-%m-%d %H:%M} UTC or a little later.",
            TURN_ON,
        )

    def _report(self, state: State, message: str, cure: str = "") -> OutsideReport:
        return OutsideReport((Check(name=self.name, state=state, message=message, cure=cure),))
