"""Every record of a batch ends as applied or failed, whatever kind of server answers, at a bounded cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogent_ops.clients.batches import UNCONFIRMED, BatchOutcome, Patience, Problem, Reply, Settling
from cogent_ops.clients.transport import Tuning

QUICK = Tuning(backoff_seconds=0.0, longest_backoff_seconds=0.0)
INVALID = Problem("ENTITY_INVALID_FIELD", "A field is not valid.")
BUSY = Problem("ALREADY_IN_PROGRESS", "Later, please.", transient=True)
IMAGE = Problem("IMAGE_UPLOAD_ERROR", "No image.", transient=True)


@dataclass
class Server:
    """Takes what it is sent.

    :param bad: refused for ever, each with its problem.
    :param moody: refused so many times, then taken.
    :param blemished: taken, with a problem beside it.
    :param dropped: neither taken nor refused.
    :param atomic: one refused record refuses the batch, with one problem.
    :param most: what exceeds this number is dropped.
    """

    bad: Mapping[str, Problem] = field(default_factory=dict)
    moody: dict[str, int] = field(default_factory=dict)
    blemished: Mapping[str, Problem] = field(default_factory=dict)
    dropped: Collection[str] = ()
    atomic: bool = False
    most: int = 10_000
    calls: int = 0
    taken: list[str] = field(default_factory=list)

    def __call__(self, records: Mapping[str, str]) -> Reply:
        self.calls += 1
        assert records, "an empty call"
        assert all(value == f"content of {id_}" for id_, value in records.items())
        ids = list(records)[: self.most]
        problems = {id_: self.bad[id_] for id_ in ids if id_ in self.bad}
        for id_ in ids:
            if self.moody.get(id_, 0) > 0:
                self.moody[id_] -= 1
                problems[id_] = BUSY
        if self.atomic and problems:
            return Reply((), tuple(problems.values())[:1])
        fine = [id_ for id_ in ids if id_ not in problems and id_ not in self.dropped]
        self.taken += fine
        beside = [self.blemished[id_] for id_ in fine if id_ in self.blemished]
        return Reply(set(fine), (*problems.values(), *beside))


def run(server: Server, count: int, patience: Patience | None = None) -> BatchOutcome:
    records = {str(number): f"content of {number}" for number in range(count)}
    return Settling(records, server, patience or Patience(), QUICK).run()


def failed(outcome: BatchOutcome) -> dict[str, str]:
    return {failure.id: failure.code for failure in outcome.failed}


def test_a_clean_batch_costs_one_call() -> None:
    server = Server()
    assert run(server, 1000).applied == tuple(map(str, range(1000)))
    assert server.calls == 1


def test_an_empty_batch_costs_none() -> None:
    server = Server()
    assert run(server, 0) == BatchOutcome()
    assert server.calls == 0


@pytest.mark.parametrize("atomic", [False, True])
def test_one_bad_record_is_found_and_the_rest_applied(atomic: bool) -> None:
    server = Server(bad={"613": INVALID}, atomic=atomic)
    outcome = run(server, 1000)
    assert failed(outcome) == {"613": "ENTITY_INVALID_FIELD"}
    assert len(outcome.applied) == 999
    assert server.calls <= (1 if not atomic else 1 + 2 * 10)


def test_errors_all_alike_need_no_further_call_where_records_are_taken_one_by_one() -> None:
    server = Server(bad=dict.fromkeys(map(str, range(0, 1000, 10)), INVALID))
    assert len(failed(run(server, 1000))) == 100
    assert server.calls == 1


def test_different_errors_are_told_apart_record_by_record() -> None:
    other = Problem("ENTITY_NOT_FOUND", "Product could not be found.")
    server = Server(bad={"1": INVALID, "5": other, "9": INVALID})
    outcome = run(server, 100)
    assert failed(outcome) == {"1": INVALID.code, "5": other.code, "9": INVALID.code}
    assert server.calls == 4


def test_an_error_beside_a_returned_record_is_not_ignored() -> None:
    server = Server(blemished={"7": IMAGE})
    assert failed(run(server, 100)) == {"7": "IMAGE_UPLOAD_ERROR"}


def test_a_failure_tells_whether_the_record_was_returned() -> None:
    outcome = run(Server(bad={"3": INVALID}, blemished={"7": IMAGE}), 20)
    assert {failure.id: failure.returned for failure in outcome.failed} == {"3": False, "7": True}


def test_what_was_returned_once_is_known_to_be_there_when_the_calls_are_used_up() -> None:
    server = Server(blemished=dict.fromkeys(map(str, range(8)), IMAGE))
    outcome = run(server, 8, Patience(calls=2))
    assert len(outcome.failed) == 8
    assert all(failure.returned for failure in outcome.failed)


def test_a_silently_dropped_record_fails() -> None:
    server = Server(dropped={"3"})
    outcome = run(server, 50)
    assert failed(outcome) == {"3": UNCONFIRMED.code}


def test_a_server_that_takes_only_so_many_gets_the_rest_in_further_calls() -> None:
    server = Server(most=300)
    assert len(run(server, 1000).applied) == 1000
    assert server.calls == 4


@pytest.mark.parametrize("atomic", [False, True])
def test_a_transient_error_passes(atomic: bool) -> None:
    server = Server(moody={"3": 2, "8": 1}, atomic=atomic)
    assert len(run(server, 10).applied) == 10


def test_a_transient_error_that_does_not_pass_is_given_up_after_the_tries() -> None:
    server = Server(moody={"3": 1000})
    assert failed(run(server, 10, Patience(tries=3))) == {"3": "ALREADY_IN_PROGRESS"}
    assert server.calls == 3


def test_the_cost_is_bounded_and_every_record_still_has_an_answer() -> None:
    server = Server(bad=dict.fromkeys(map(str, range(1000)), INVALID), atomic=True)
    outcome = run(server, 1000, Patience(calls=30))
    assert server.calls <= 30
    assert len(failed(outcome)) == 1000
    assert any("not told apart" in failure.message for failure in outcome.failed)


ids = st.integers(0, 39).map(str)


@given(
    count=st.integers(1, 40),
    bad=st.dictionaries(ids, st.sampled_from([INVALID, IMAGE]), max_size=6),
    moody=st.dictionaries(ids, st.integers(1, 2), max_size=3),
    blemished=st.dictionaries(ids, st.just(IMAGE), max_size=2),
    dropped=st.sets(ids, max_size=3),
    atomic=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_good_records_are_applied_and_bad_ones_are_named(
    count: int,
    bad: dict[str, Problem],
    moody: dict[str, int],
    blemished: dict[str, Problem],
    dropped: set[str],
    atomic: bool,
) -> None:
    server = Server(bad=bad, moody=dict(moody), blemished=blemished, dropped=dropped, atomic=atomic)
    outcome = run(server, count)
    sent = [str(number) for number in range(count)]
    assert sorted([*outcome.applied, *failed(outcome)]) == sorted(sent)
    unmistakable = {id_ for id_ in sent if id_ not in bad and id_ not in dropped and id_ not in blemished}
    assert unmistakable <= set(outcome.applied)
    assert {id_ for id_ in bad if id_ in sent} <= set(failed(outcome))
    assert {id_ for id_ in dropped if id_ in sent and id_ not in moody} <= set(failed(outcome))
    if not (bad or dropped or moody):
        assert {id_ for id_ in blemished if id_ in sent} <= set(failed(outcome))
    assert set(outcome.applied) <= set(server.taken)
    assert server.calls <= Patience().calls
