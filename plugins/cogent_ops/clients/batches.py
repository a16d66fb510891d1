"""What became of each record of a batch, when the API reports errors without saying whose they are.

Cloudshelf lists the records that it created or updated, and beside them errors that name no record. So what was
sent is compared with what came back, and what stays unclear is sent again in smaller parts until every record has
an answer of its own. Sending again is harmless, because every call here is an upsert, a set or a deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tenacity import Retrying, retry_if_result, stop_after_attempt

from cogent_ops.clients.transport import Tuning

Record = TypeVar("Record")


@dataclass(frozen=True)
class Problem:
    """An error as the API tells it.

    :param transient: the same record may be taken a little later.
    """

    code: str
    message: str
    transient: bool = False


@dataclass(frozen=True)
class Reply:
    """What the API said to one call.

    :param confirmed: ids that it created, updated or deleted.
    :param problems: errors, of which nobody knows whose they are.
    """

    confirmed: Collection[str] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class RecordFailure:
    """A record that was not applied, or not as a whole, and what the API says about it.

    :param returned: the API has listed it as created or updated nevertheless, so it is there.
    """

    id: str
    code: str
    message: str
    returned: bool = False


@dataclass(frozen=True)
class BatchOutcome:
    """Every record that was sent is in exactly one of the two."""

    applied: tuple[str, ...] = ()
    failed: tuple[RecordFailure, ...] = ()


@dataclass(frozen=True)
class Patience:
    """How much is spent on a batch that is not simply taken.

    :param tries: how often records with a transient error are sent at most, alone or as a whole batch.
    :param calls: most calls for one batch. Records that are still unclear then fail with the errors of the last
        call that held them.
    """

    tries: int = 4
    calls: int = 200


UNCONFIRMED = Problem("NOT_CONFIRMED", "The record was neither returned nor refused.")


@dataclass(frozen=True)
class _Answer:
    """The last call of a try, and what it leaves unclear.

    :param missing: the suspects are those that were not returned; ``False``: any record may be meant.
    """

    sent: list[str]
    suspects: list[str]
    problems: tuple[Problem, ...]
    missing: bool = True


@dataclass
class Settling(Generic[Record]):
    """Sends one batch until every record is settled.

    :param send: sends some of the records, by id, and returns the reply.
    """

    records: Mapping[str, Record]
    send: Callable[[Mapping[str, Record]], Reply]
    patience: Patience
    tuning: Tuning
    _calls: int = 0
    _piecewise: bool = False
    _returned: set[str] = field(default_factory=set)
    _failed: dict[str, RecordFailure] = field(default_factory=dict)

    def run(self) -> BatchOutcome:
        """Settle every record."""
        if self.records:
            self._settle(list(self.records), ())
        applied = tuple(id_ for id_ in self.records if id_ not in self._failed)
        return BatchOutcome(applied, tuple(self._failed.values()))

    def _settle(self, ids: list[str], told: tuple[Problem, ...]) -> None:
        """Send records and go on with those that stay unclear.

        :param told: errors of the call that made them unclear.
        """
        if self._calls >= self.patience.calls:
            self._fail_together(ids, told)
            return
        answer = self._answer(ids)
        if len(answer.sent) == 1 or self._explained(answer):
            self._fail(answer.suspects, (answer.problems or (UNCONFIRMED,))[0])
        else:
            for part in self._parts(answer):
                self._settle(part, answer.problems)

    def _explained(self, answer: _Answer) -> bool:
        """The API takes records one by one, and as many are missing as there are errors, all alike."""
        alike = len(set(answer.problems)) == 1 and len(answer.problems) == len(answer.suspects)
        return self._piecewise and answer.missing and alike

    def _parts(self, answer: _Answer) -> list[list[str]]:
        """How what is unclear is sent next."""
        suspects = answer.suspects
        if not suspects:
            return []
        if not answer.problems and len(suspects) < len(answer.sent):
            return [suspects]
        if self._piecewise and answer.missing:
            return [[id_] for id_ in suspects]
        middle = len(suspects) // 2
        return [suspects[:middle], suspects[middle:]]

    def _answer(self, ids: list[str]) -> _Answer:
        """Send; where the API has transient trouble, send what is unclear again after a pause.

        Only a whole batch or a single record is worth the patience: parts between are cut smaller instead.
        """
        patient = len(ids) in (1, len(self.records))
        pending = ids

        def attempt() -> _Answer:
            nonlocal pending
            answer = self._once(pending)
            pending = answer.suspects
            return answer

        retrying = Retrying(
            retry=retry_if_result(_may_pass),
            stop=stop_after_attempt(self.patience.tries if patient else 1),
            wait=lambda state: self.tuning.backoff(state.attempt_number),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        answer: _Answer = retrying(attempt)
        return answer

    def _once(self, ids: list[str]) -> _Answer:
        self._calls += 1
        reply = self.send({id_: self.records[id_] for id_ in ids})
        missing = [id_ for id_ in ids if id_ not in reply.confirmed]
        self._returned.update(set(ids).difference(missing))
        self._piecewise = self._piecewise or 0 < len(missing) < len(ids)
        if len(reply.problems) > len(missing):
            # Some error belongs to a record that was returned nevertheless, e.g. for one of its images.
            return _Answer(ids, ids, reply.problems, missing=False)
        return _Answer(ids, missing, reply.problems)

    def _fail(self, ids: Sequence[str], problem: Problem) -> None:
        self._failed.update(
            {id_: RecordFailure(id_, problem.code, problem.message, id_ in self._returned) for id_ in ids}
        )

    def _fail_together(self, ids: Sequence[str], told: Sequence[Problem]) -> None:
        first = (tuple(told) or (UNCONFIRMED,))[0]
        tail = f" (one of {len(ids)} records that were refused together and not told apart)"
        self._fail(ids, Problem(first.code, first.message + (tail if len(ids) > 1 else "")))


def _may_pass(answer: _Answer) -> bool:
    return bool(answer.suspects) and any(problem.transient for problem in answer.problems)
