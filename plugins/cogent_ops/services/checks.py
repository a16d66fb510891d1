"""What preflight and bootstrap report: one line a subject, with its outcome and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cogent_ops.errors import (
    CogentOpsError,
    ConfigError,
    ConnectionConfigError,
    MissingScope,
    RetryableError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import URL

    from cogent_ops.clients.cloudshelf import CloudshelfClient
    from cogent_ops.clients.commercetools import CommercetoolsClient
    from cogent_ops.config import Config

TRY_AGAIN = "Try again; if this lasts, see that the address is right and the API is up."


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "ok"  # noqa: S105 - a word, no password
    """Nothing to do."""
    WARN = "warn"
    """The catalogue flow can run; a person should look at it."""
    FAIL = "fail"
    """It cannot run, or would do the wrong thing."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, or done.

    :param cure: what to do; empty when there is nothing.
    """

    name: str
    outcome: Outcome
    message: str
    cure: str = ""


@dataclass(frozen=True)
class Parts:
    """A link taken apart, so that what is wrong with one part does not hide the others.

    Each part is asked for once and may raise :class:`~cogent_ops.errors.CogentOpsError`.

    :param link: name of the link.
    :param suite: path of the product master suite.
    :param store_url: address of the store; ``None``: the embedded one.
    :param commercetools: a client outside the shared rate budget, for which a store would be needed.
    :param cloudshelf: likewise.
    """

    link: str
    config: Callable[[], Config]
    suite: Callable[[], Path]
    store_url: Callable[[], URL | None]
    commercetools: Callable[[], CommercetoolsClient]
    cloudshelf: Callable[[], CloudshelfClient]


def passed(name: str, message: str) -> Check:
    """All is well."""
    return Check(name, Outcome.PASS, message)


def warned(name: str, message: str, cure: str) -> Check:
    """A person should look at it."""
    return Check(name, Outcome.WARN, message, cure)


def failed(name: str, message: str, cure: str) -> Check:
    """Something stands in the way."""
    return Check(name, Outcome.FAIL, message, cure)


def failure(name: str, error: CogentOpsError) -> Check:
    """An error as a failed check, its cure apart from what is wrong."""
    text = str(error)
    if isinstance(error, ConfigError | ConnectionConfigError | MissingScope) and error.cure:
        problem = text.removesuffix(error.cure).rstrip(". ")
        return failed(name, f"{problem}.", error.cure)
    return failed(name, text, TRY_AGAIN if isinstance(error, RetryableError) else "")


def skipped(name: str, subjects: Iterable[str], cure: str) -> Check:
    """What could not be looked at, because something else failed."""
    return warned(name, f"Not checked: {', '.join(subjects)}.", cure)


def guarded(name: str, check: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks of one subject; what goes wrong on the way becomes a failed one and ends the subject only."""
    try:
        yield from check()
    except CogentOpsError as error:
        yield failure(name, error)
