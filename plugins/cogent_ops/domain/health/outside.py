"""What a look at everything outside the flows comes to: kiosks, credentials, settings, Subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from cogent_ops.domain.exceptions import Kind, NewException
from cogent_ops.domain.health.model import Check, Kiosk, State


@dataclass(frozen=True)
class StoreSigns:
    """Signs of life of one store.

    :param name: as people call it; empty: nobody says.
    :param last_order: when its last kiosk order came.
    :param expected: orders that would have been usual since then.
    :param state: how it stands as far as this tells.
    :param reasons: what is wrong, in words, the worst first.
    """

    name: str = ""
    kiosks: tuple[Kiosk, ...] = ()
    last_order: datetime | None = None
    expected: float = 0.0
    state: State = State.GOOD
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutsideReport:
    """What was found outside.

    :param checks: all that was looked at, also what is fine.
    :param stores: signs of life by place (key of the supply Channel).
    :param found: what is wrong now.
    :param gone: cause keys by kind of what was wrong and verifiably is not any more; those in ``found`` are not there.
    """

    checks: tuple[Check, ...] = ()
    stores: Mapping[str, StoreSigns] = field(default_factory=lambda: MappingProxyType({}))
    found: tuple[NewException, ...] = ()
    gone: Mapping[Kind, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
