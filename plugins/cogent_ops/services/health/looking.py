"""What a look at something outside is: it asks in a thread of its own, and judges what it heard afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from cogent_ops.domain.exceptions import Kind, NewException
from cogent_ops.domain.health.model import Check, Kiosk, State
from cogent_ops.domain.health.silence import Quiet
from cogent_ops.errors import CogentOpsError, RetryableError
from cogent_ops.store import Store

Answer = TypeVar("Answer")
Cause = tuple[Kind, str]


@dataclass(frozen=True)
class OutsideReport:
    """What was seen outside.

    :param found: what somebody must act upon.
    :param gone: kinds and cause keys of open exceptions that were verified to be over.
    :param stores: the link's stores as people name them, by key of their Channel; empty: they could not be read.
    :param kiosks: by Channel key of their store; empty key: they stand in no store of the link.
    :param quiet: how quiet each store is that has sold something lately, by Channel key.
    :param reasons: what is wrong with a store, in words, by Channel key.
    """

    checks: tuple[Check, ...] = ()
    found: tuple[NewException, ...] = ()
    gone: tuple[Cause, ...] = ()
    stores: Mapping[str, str] = field(default_factory=dict)
    kiosks: Mapping[str, tuple[Kiosk, ...]] = field(default_factory=dict)
    quiet: Mapping[str, Quiet] = field(default_factory=dict)
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __add__(self, other: OutsideReport) -> OutsideReport:
        """Both, in this order."""
        return OutsideReport(
            self.checks + other.checks,
            self.found + other.found,
            self.gone + other.gone,
            {**self.stores, **other.stores},
            {**self.kiosks, **other.kiosks},
            {**self.quiet, **other.quiet},
            {
                place: self.reasons.get(place, ()) + other.reasons.get(place, ())
                for place in (*self.reasons, *other.reasons)
            },
        )


class Look(Protocol[Answer]):
    """A look at one thing outside."""

    @property
    def name(self) -> str:
        """What it looks at, as checks name it."""

    def ask(self) -> Answer:
        """Ask over the network. It touches no store, and runs beside the other looks.

        :raises CogentOpsError: when it cannot be asked.
        """

    def judge(self, answer: Answer, now: datetime) -> OutsideReport:
        """What the answer means.

        :raises StoreUnavailable: when what is known from before cannot be read.
        """


def unseen(name: str, error: CogentOpsError) -> OutsideReport:
    """For what could not be looked at: nobody knows how it stands, so nothing is raised and nothing is closed."""
    cure = "It is looked at again with the next check." if isinstance(error, RetryableError) else ""
    message = f"It could not be looked at: {error}"
    return OutsideReport((Check(name=name, state=State.UNKNOWN, message=message, cure=cure),))


def over(
    store: Store, link: str, kind: Kind, prefix: str, found: Iterable[NewException] = ()
) -> tuple[Cause, ...]:
    """Open exceptions of a kind whose causes are not there any more.

    :param prefix: how the cause keys of those begin that were looked at.
    :param found: what was found now.
    """
    present = {one.cause_key for one in found if one.kind is kind}
    return tuple(
        (kind, cause)
        for cause in store.exceptions.open_causes(link, kind)
        if cause.startswith(prefix) and cause not in present
    )


def is_decided(store: Store, link: str, kind: Kind, cause_key: str) -> bool:
    """Whether a person has decided to leave this as it is."""
    left = set(store.exceptions.open_causes(link, kind, decided=True)).difference(
        store.exceptions.open_causes(link, kind)
    )
    return cause_key in left
