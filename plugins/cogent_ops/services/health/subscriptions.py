"""Whether the project's Subscriptions deliver: who listens to one that has stopped hears nothing, and never will."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from cogent_ops.clients.commercetools import CommercetoolsClient, Subscription
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import Check, State
from cogent_ops.domain.rules import HealthRules
from cogent_ops.domain.text import counted, span
from cogent_ops.errors import MissingScope
from cogent_ops.services.health.gaps import SUBSCRIPTION, gap_cause
from cogent_ops.services.health.looking import OutsideReport, is_decided
from cogent_ops.store import Store
from cogent_ops.store.health_gaps import Gap, Source

HEALTHY, TEMPORARY, GONE = "Healthy", "TemporaryError", "gone"
#: Trouble that may pass counts as a stop after so long: nobody says for how long notifications are held back.
PASSES = timedelta(hours=1)
#: How far back a gap reaches at most of which nobody saw the beginning.
UNSEEN = timedelta(days=14)


class Subscriptions:
    """Looks at Subscriptions. What follows from a stop is told by :mod:`cogent_ops.services.health.gaps`.

    :param client: makes the commercetools client.
    """

    name = "Subscriptions"

    def __init__(
        self, link: str, rules: HealthRules, store: Store, client: Callable[[], CommercetoolsClient]
    ) -> None:
        self.link, self.rule, self.store = link, rules.subscriptions, store
        self._client = client

    def ask(self) -> list[Subscription] | None:
        """The project's Subscriptions; ``None`` when they may not be read."""
        if self.rule == "none":
            return []
        try:
            return self._client().subscriptions()
        except MissingScope:
            return None

    def judge(self, answer: list[Subscription] | None, now: datetime) -> OutsideReport:
        """Which of them deliver."""
        if answer is None:
            return self._unseen()
        there = {one.name: one for one in answer}
        known = self.store.gaps.sources(self.link, SUBSCRIPTION)
        wanted = self._wanted(there, known)
        self._forget(
            [name for name in known if name not in wanted], "health.subscriptions leaves it out", now
        )
        checks = [self._one(name, there.get(name), known.get(name), now) for name in sorted(wanted)]
        if self.rule == "none":
            return OutsideReport()
        bad = [one for one in checks if one.state is not State.GOOD]
        good = len(checks) - len(bad)
        if not checks:
            bad = [Check(name=self.name, state=State.GOOD, message="The project has none.")]
        elif good:
            rest = "All deliver" if not bad else "They deliver"
            summary = f"{rest}: {counted(good, 'Subscription')}."
            bad.insert(0, Check(name=self.name, state=State.GOOD, message=summary))
        return OutsideReport(tuple(bad))

    def _wanted(self, there: dict[str, Subscription], known: dict[str, Source]) -> set[str]:
        """Names of those that must deliver: also one that was there and is not any more."""
        if isinstance(self.rule, str):
            return {*there, *known} if self.rule == "all" else set()
        return set(self.rule)

    def _unseen(self) -> OutsideReport:
        is_asked_for = not isinstance(self.rule, str)
        check = Check(
            name=self.name,
            state=State.LATE if is_asked_for else State.UNKNOWN,
            message="The API client may not look at Subscriptions, so nobody notices one that has stopped"
            + (", although health.subscriptions names some." if is_asked_for else "."),
            cure="Grant it the scope manage_subscriptions (commercetools has none for reading alone), or set "
            "health.subscriptions to none where the project has none that matters.",
        )
        return OutsideReport((check,))

    def _one(self, name: str, one: Subscription | None, before: Source | None, now: datetime) -> Check:
        """Note how a Subscription stands, and begin or end its gap."""
        last = None if before is None else before.healthy_at
        status = GONE if one is None else one.status
        is_another = bool(one and before and before.reference and before.reference != one.id)
        with self.store.begin() as conn:
            gap = self.store.gaps.ongoing(self.link, SUBSCRIPTION, name, conn)
            if one is not None and status == HEALTHY:
                if is_another and gap is None and last is not None:
                    # Deleted and created anew between two looks: what came in between was told to nobody.
                    gap = self.store.gaps.begin(
                        conn, self.link, SUBSCRIPTION, name, last, _detail(one, "created anew")
                    )
                if gap is not None:
                    self.store.gaps.end(conn, gap, now)
            elif not _may_pass(status, last, now):
                gap = self.store.gaps.begin(
                    conn, self.link, SUBSCRIPTION, name, last or _unseen_begin(one, now), _detail(one, status)
                )
            self.store.gaps.saw(
                conn,
                self.link,
                SUBSCRIPTION,
                name,
                status,
                now,
                is_healthy=status == HEALTHY,
                reference=one.id if one else before.reference if before else "",
            )
        return self._check(name, status, last, gap, now)

    def _check(self, name: str, status: str, last: datetime | None, gap: Gap | None, now: datetime) -> Check:
        label = f"Subscription {name}"
        if status == HEALTHY:
            return Check(name=label, state=State.GOOD, message="It delivers.")
        if gap is None:
            message = "It has trouble that may pass; notifications are held back meanwhile."
            return Check(name=label, state=State.LATE, message=message)
        if is_decided(self.store, self.link, Kind.SUBSCRIPTION_STOPPED, gap_cause(gap)):
            if status == GONE:
                self._forget([name], "somebody decided that it may be gone", now)
            return Check(
                name=label, state=State.GOOD, message=f"{_said(status)}, and somebody decided to leave it so."
            )
        since = "." if last is None else f"; it delivered {span((now - last).total_seconds())} ago last."
        return Check(
            name=label,
            state=State.BAD,
            message=f"{_said(status)}{since} What happens meanwhile is discarded, not kept.",
            cure="Mend its destination. What changed in the gap is read again by itself then.",
        )

    def _forget(self, names: Sequence[str], reason: str, now: datetime) -> None:
        for name in names:
            with self.store.begin() as conn:
                self.store.gaps.give_up(conn, self.link, SUBSCRIPTION, name, reason, now)
                self.store.gaps.forget(conn, self.link, SUBSCRIPTION, name)


def _may_pass(status: str, last: datetime | None, now: datetime) -> bool:
    return status == TEMPORARY and last is not None and now - last < PASSES


def _unseen_begin(one: Subscription | None, now: datetime) -> datetime:
    """From when on something may have been missed, of a Subscription that was never seen in order."""
    return now - UNSEEN if one is None else max(one.created_at, now - UNSEEN)


def _detail(one: Subscription | None, status: str) -> dict[str, str]:
    return {"status": status, **({} if one is None else {"destination": one.destination})}


def _said(status: str) -> str:
    return "It is not there any more" if status == GONE else f"Its status is {status}"
