"""Everything outside that sync health looks at: who lets us in, what tells us of changes, which kiosks are there.

All looks ask at the same time, each over the network alone, so that a slow or broken one costs a few seconds and hides
nothing of what the others see. What they heard is judged one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial
from typing import Any, NoReturn, TypeVar

from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.health.model import Check, State
from cogent_ops.errors import CogentOpsError, RetryableError
from cogent_ops.services.health.looking import Look, OutsideReport, unseen
from cogent_ops.services.health.watchdog import CAUSE

__all__ = ["Outside", "OutsideReport"]

log = logging.getLogger(__name__)

Made = TypeVar("Made")

#: Looks that have not heard anything by then are left to themselves.
PATIENCE_SECONDS = 20.0


def prepared(make: Callable[[], Made]) -> Callable[[], Made]:
    """What is made now, for whoever asks in another thread; or what went wrong, which is raised then."""
    try:
        made = make()
    except CogentOpsError as error:
        return partial(_raise, error)
    return lambda: made


def _raise(error: CogentOpsError) -> NoReturn:
    raise error


class Outside:
    """What is looked at with every check.

    :param looks: in the order in which they are reported.
    :param patience: seconds that all of them together may take to ask.
    """

    def __init__(self, looks: Sequence[Look[Any]], patience: float = PATIENCE_SECONDS) -> None:
        self.looks, self.patience = tuple(looks), patience

    def look(self, now: datetime) -> OutsideReport:
        """Ask, and judge. What cannot be looked at becomes a check that says so, and changes nothing else."""
        # Whoever looks is awake: nothing else proves better that the monitor is back.
        report = OutsideReport(gone=((Kind.MONITOR_SILENT, CAUSE),))
        if not self.looks:
            return report
        pool = ThreadPoolExecutor(len(self.looks), thread_name_prefix="outside")
        asked = [pool.submit(look.ask) for look in self.looks]
        wait(asked, self.patience)
        pool.shutdown(wait=False, cancel_futures=True)
        for look, answer in zip(self.looks, asked, strict=True):
            report += self._judged(look, answer, now)
        return report

    def _judged(self, look: Look[Any], answer: Future[Any], now: datetime) -> OutsideReport:
        try:
            return look.judge(answer.result(timeout=0), now)
        except TimeoutError:
            slow = f"There was no answer within {self.patience:.0f} seconds."
            return unseen(look.name, RetryableError(slow))
        except CogentOpsError as error:
            return unseen(look.name, error)
        except Exception as error:
            # One answer that nobody expected must not make the monitor blind for everything else.
            log.exception("the look at %s failed", look.name)
            message = f"The look itself failed ({type(error).__name__}); the task's log shows where."
            return OutsideReport((Check(name=look.name, state=State.UNKNOWN, message=message),))
