"""The capture: kiosk orders whose time has come are judged, sent, changed, asked about or left out, and it says why.

A round claims a handful of orders and settles each of them. What is about to be sent is written down for all of
them at once; results are stored in portions, because a transaction for each order would be slower than the orders come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import ORDER_KINDS, Kind, NewException, order_cause
from cogent_ops.domain.money import Money, MoneyError, money
from cogent_ops.domain.order_changes import shop_status, source_of
from cogent_ops.domain.order_draft import DRAFT_KINDS, Draft, build
from cogent_ops.domain.order_problems import Problem, exceptions_of, state_problem
from cogent_ops.domain.order_states import NO_STOCK, STOCK, Decision, Outcome, tells
from cogent_ops.domain.orders import KioskOrder, capture_hash, read_order
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import ApiRejected, RetryableError
from cogent_ops.services.counts import Counts
from cogent_ops.services.orders.context import OrderContext, Wanted
from cogent_ops.services.orders.elsewhere import find_elsewhere, taken_twice
from cogent_ops.services.orders.intake import place_name
from cogent_ops.services.orders.judgement import judge
from cogent_ops.services.orders.landing import Landing, OrderLander
from cogent_ops.services.pipeline import eager_map, portions
from cogent_ops.services.stock.start import started_at
from cogent_ops.store import Store
from cogent_ops.store.orders import Ahead, Capture, CaptureState, Landed, Origin, Settled, Work

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: Reasons of orders that wait.
OUT_OF_REACH = "commercetools gave no certain answer"
#: Pause before an order that got no certain answer is tried again, and its upper bound as tries fail.
BUSY_SECONDS = 2.0
LONGEST_BUSY_SECONDS = 300.0
#: What a person is asked about is looked at again by itself after so long: it may have been mended elsewhere.
RECHECK = timedelta(minutes=15)
#: Results are stored together, at most so many, or so many seconds' worth.
SETTLE_ORDERS = 50
SETTLE_SECONDS = 0.5

SOLD_BY_SHOP = "sold by the web shop, whose own order takes its units"

#: Kinds of exception that a capture closes; what Cloudshelf refused to be told is the telling's.
_CLOSED = ORDER_KINDS - {Kind.STATUS_REFUSED}
#: Whose causes lie in commercetools or in Cloudshelf's settings, so that they may go away without the order changing.
_MENDED_ELSEWHERE = frozenset(
    {
        Kind.ORDER_LOCATION,
        Kind.ORDER_ARTICLE,
        Kind.ORDER_TAX,
        Kind.ORDER_REFUSED,
        Kind.ORDER_CONFLICT,
    }
)


@dataclass(frozen=True)
class CaptureCounts(Counts):
    """What a round did.

    :param imported: orders that are in commercetools since.
    :param found: orders that were there already, ours or the web shop's.
    :param changed: orders whose later state was carried over.
    :param settled: orders about which nothing was left to do.
    :param waiting: orders that wait for something, with the reason.
    :param review: orders about which a person is asked.
    :param excluded: orders that are none for commercetools.
    """

    imported: int = 0
    found: int = 0
    changed: int = 0
    settled: int = 0
    waiting: int = 0
    review: int = 0
    excluded: int = 0

    @property
    def done(self) -> int:
        """All orders that were taken up."""
        return sum(asdict(self).values())


@dataclass(frozen=True)
class _Task:
    """A claimed order on its way.

    :param there: an order of its number that was found before anything was sent.
    :param otherwise: what becomes of it unless commercetools has it already.
    """

    work: Work
    order: KioskOrder
    decision: Decision
    draft: Draft | None = None
    there: Json | None = None
    otherwise: _Result | None = None

    @property
    def capture(self) -> Capture:
        return self.work.capture

    @property
    def id(self) -> str:
        return self.capture.order_id


@dataclass(frozen=True)
class _Result:
    """What became of one.

    :param what: the field of :class:`CaptureCounts` that it counts for.
    :param problems: what a person is asked.
    :param closes: kinds of exceptions that have no cause any more, unless one of the problems is of that kind.
    """

    task: _Task
    settled: Settled
    what: str
    problems: tuple[Problem, ...] = ()
    closes: Collection[Kind] = ()


class OrderCapture:
    """Captures the orders of one link. Several may run at once, in threads, processes or machines.

    :param project: the commercetools project as its rate budget names it.
    :param owner: who holds the leases; unique per try of a task.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: CommercetoolsClient,
        context: OrderContext,
        *,
        project: str,
        owner: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.config, self.store, self.client, self.context = config, store, client, context
        self.rules, self.project, self.owner, self.clock = config.orders, project, owner, clock
        self.lander = OrderLander(client)

    def round(self, only: Collection[str] | None = None) -> CaptureCounts:
        """Take up orders whose time has come, at most ``round_orders``, and settle them; all zero: there were none.

        :param only: of these orders alone.
        :raises RetryableError: when commercetools or the store is out of reach. Nothing is lost.
        :raises PermanentError: when a person must act before anything can be sent.
        """
        lease = self.rules.lease_seconds
        claimed = self.store.captures.claim(
            self.config.name,
            self.owner,
            self.clock(),
            limit=self.rules.round_orders,
            lease_seconds=lease,
            only=only,
        )
        if not claimed:
            return CaptureCounts()
        left = {work.capture.order_id for work in claimed}
        total, renewed = CaptureCounts(), time.monotonic()
        try:
            with closing(self._results(self._full(claimed))) as portions:
                for results in portions:
                    total += self._settle(results)
                    left -= {one.task.id for one in results}
                    if left and time.monotonic() - renewed > lease / 3:
                        self.store.captures.renew(self.config.name, self.owner, left, lease)
                        renewed = time.monotonic()
        finally:
            if left:
                self.store.captures.hand_back(self.config.name, self.owner, left)
        return total

    def _full(self, works: Iterable[Work]) -> list[Work]:
        """Orders that can be worked on. What retention has emptied is done with, and comes again with its content."""
        full = [work for work in works if work.content]
        emptied = [one.capture for one in works if not one.content]
        if emptied:
            done = [Settled(one.order_id, one.revision, one.state, one.reason) for one in emptied]
            with self.store.begin() as conn:
                self.store.captures.settle(conn, self.config.name, self.owner, done)
        return full

    def preview(self, work: Work) -> Draft | tuple[Problem, ...]:
        """What would be sent for an order, or what is missing; nothing is sent or noted."""
        order, edits = read_order(work.content), work.capture.edits
        self.context.prepare([Wanted(order, edits, is_afresh=True)])
        return build(order, self.context.of(order, edits, work.email), self.rules)

    # Working

    def _results(self, works: Iterable[Work]) -> Generator[list[_Result], None, None]:
        """What became of orders, in portions that are worth a transaction."""
        start = started_at(self.config, self.store)
        tasks = [self._task(work, start) for work in works]
        at_once, unsure = _parted(result for task in tasks if (result := self._at_once(task)) is not None)
        if at_once:
            yield at_once
        sending = [task for task in tasks if task.decision.outcome is Outcome.CAPTURE]
        drafted, undrafted = self._drafted(sending) if sending else ([], [])
        asked, more_unsure = _parted(undrafted)
        if asked:
            yield asked
        kept = self._written_ahead(drafted) if drafted else set()
        changing = [task for task in tasks if task.decision.outcome is Outcome.CHANGE]
        written = [task for task in drafted if task.id in kept]
        yield from self._portions([*unsure, *more_unsure, *written, *changing])

    def _portions(self, tasks: Sequence[_Task]) -> Generator[list[_Result], None, None]:
        if not tasks:
            return
        failures: list[RetryableError] = []

        def results() -> Iterator[_Result]:
            for result, error in eager_map(self._carry, tasks, workers=self.rules.concurrency):
                if error is not None:
                    failures.append(error)
                yield result

        yield from portions(results(), most=SETTLE_ORDERS, seconds=SETTLE_SECONDS)
        if len(failures) == len(tasks):
            raise failures[0]

    def _task(self, work: Work, start: datetime | None) -> _Task:
        order = read_order(work.content)
        decision = judge(order, work.capture, self.rules, start=start, now=self.clock())
        return _Task(work, order, decision)

    def _at_once(self, task: _Task) -> _Result | None:
        """What needs no request; ``None``: it needs one."""
        decision, status = task.decision, task.decision.status
        if decision.outcome is Outcome.EXCLUDE:
            settled = self._to(task, CaptureState.EXCLUDED, decision.reason)
            return _Result(task, settled, "excluded", closes=_CLOSED)
        if decision.outcome is Outcome.WAIT:
            settled = self._to(task, CaptureState.WAITING, decision.reason, decision.due_at)
            return _Result(task, settled, "waiting", closes=_CLOSED)
        if decision.outcome is Outcome.ASK:
            return self._asked(task, (state_problem(task.order, decision),))
        if decision.outcome is Outcome.REFUSE:
            problem = state_problem(task.order, decision)
            return _Result(task, self._to(task, CaptureState.CAPTURED), "review", (problem,))
        if decision.outcome is Outcome.SETTLED:
            is_same = status == task.capture.captured_status
            landed = None if is_same else _same(task.capture, status)
            problems = _content_problems(task)
            settled = replace(self._to(task, CaptureState.CAPTURED), landed=landed)
            return _Result(task, settled, "settled", problems, closes=_CLOSED - {Kind.REFUND_AMOUNT})
        return None

    def _drafted(self, tasks: Sequence[_Task]) -> tuple[list[_Task], list[_Result]]:
        """Tasks with their drafts, and what became of those that have none."""
        self.context.require_type()
        ours, results = self._sorted_out(tasks)
        drafted: list[_Task] = []
        self.context.prepare(
            Wanted(task.order, task.capture.edits, is_afresh=_is_known(task.capture)) for task in ours
        )
        for task in ours:
            made = build(
                task.order, self.context.of(task.order, task.capture.edits, task.work.email), self.rules
            )
            if isinstance(made, Draft):
                drafted.append(replace(task, draft=made))
            else:
                results.append(self._asked(task, made))
        return drafted, results

    def _sorted_out(self, tasks: Sequence[_Task]) -> tuple[list[_Task], list[_Result]]:
        """Tasks that are ours to send, and what became of orders that others have taken."""
        orders = [task.order for task in tasks]
        found = find_elsewhere(self.client, orders, self.rules.basket_field)
        with self.store.read() as conn:
            ids = [one["id"] for one in found.orders.values()]
            known = self.store.captures.by_ct_orders(conn, self.config.name, ids)
        taken = {id_: one.order_number for id_, one in known.items()}
        ours: list[_Task] = []
        results: list[_Result] = []
        for task in tasks:
            there = found.orders.get(task.id)
            if task.id in found.lost:
                results.append(self._asked(task, (found.lost[task.id],)))
            elif there is None or there.get("orderNumber") == task.capture.order_number:
                ours.append(replace(task, there=there))
            elif there["id"] in taken:
                results.append(self._asked(task, (taken_twice(there, taken[there["id"]]),)))
            else:
                taken[there["id"]] = task.capture.order_number
                results.append(self._sold_elsewhere(task, there))
        return ours, results

    def _written_ahead(self, tasks: Iterable[_Task]) -> set[str]:
        rows = [
            Ahead(
                task.id,
                capture_hash(task.order),
                task.draft.total.currency,
                task.draft.total.cents,
                task.draft.units,
            )
            for task in tasks
            if task.draft is not None
        ]
        return self.store.captures.ahead(self.config.name, self.owner, rows, self.rules.lease_seconds)

    def _carry(self, task: _Task) -> tuple[_Result, RetryableError | None]:
        """Bring one order to commercetools. A refusal concerns it alone; the rest of the round goes on."""
        try:
            return self._carried(task), None
        except (ApiRejected, MoneyError) as error:
            return self._refused(task, error), None
        except RetryableError as error:
            log.warning("order %s is tried again: %s", task.capture.order_number, error)
            return self._later(task), error

    def _carried(self, task: _Task) -> _Result:
        capture, status = task.capture, task.decision.status
        if task.otherwise is not None:
            there = self.lander.lookup(capture.order_number)
            return task.otherwise if there is None else self._recovered(task, there, task.otherwise)
        if task.draft is not None:
            done = self.lander.land(
                task.order,
                status,
                task.draft,
                capture.edits,
                there=task.there,
                look_first=capture.state is CaptureState.SENDING,
            )
        else:
            done = self.lander.change(
                task.order,
                status,
                capture.edits,
                ct_order_id=str(capture.ct_order_id),
                payment_id=capture.payment_id,
                number=capture.order_number,
            )
        if isinstance(done, Landing):
            return self._landed(task, done)
        return self._asked(task, (done,))

    # Outcomes

    def _to(
        self, task: _Task, state: CaptureState, reason: str | None = None, due_at: datetime | None = None
    ) -> Settled:
        return Settled(task.id, task.capture.revision, state, reason, due_at)

    def _landed(self, task: _Task, done: Landing) -> _Result:
        """It is in commercetools, in its state as far as nobody has to be asked."""
        is_known = task.draft is None
        if is_known:
            status = task.decision.status
            landed = replace(
                _same(task.capture, status),
                payment_id=done.payment_id,
                shop_status=done.shop_status,
                # It may be further than this: by people there, or by a worker that died before it noted what it did.
                tell=tells(status, done.shop_status) is not None,
            )
        else:
            landed = Landed(
                done.ct_order["id"],
                Origin.KIOSK,
                task.decision.status,
                done.payment_id,
                shop_status=None if done.is_new else done.shop_status,
            )
        problems = (*((done.problem,) if done.problem else ()), *_content_problems(task))
        settled = replace(self._to(task, CaptureState.CAPTURED), landed=landed)
        what = "changed" if is_known else "imported" if done.is_new else "found"
        return _Result(task, settled, what, problems, closes=_CLOSED)

    def _recovered(self, task: _Task, there: Json, otherwise: _Result) -> _Result:
        """It is not to be sent any more, but an answer was lost, and it had been: so it is captured, and goes on."""
        if source_of(there) != task.id:
            return otherwise
        total, payments = (
            Money.of(there["totalPrice"]),
            (there.get("paymentInfo") or {}).get("payments") or (),
        )
        landed = Landed(
            there["id"],
            Origin.KIOSK,
            OrderStatus.PAID,
            payments[0]["id"] if payments else None,
            total.currency,
            total.cents,
        )
        settled = replace(self._to(task, CaptureState.CAPTURED, due_at=self.clock()), landed=landed)
        return _Result(task, settled, "found", closes=_CLOSED)

    def _sold_elsewhere(self, task: _Task, there: Json) -> _Result:
        """The web shop has sold it: its order stands for it, and takes the units."""
        total = Money.of(there["totalPrice"])
        landed = Landed(
            there["id"],
            Origin.SHOP,
            task.decision.status,
            currency=total.currency,
            total=total.cents,
            shop_status=shop_status(there, None),
            told_id=there["id"] if task.order.third_party_id else None,
        )
        settled = replace(self._to(task, CaptureState.CAPTURED), landed=landed, edits={STOCK: NO_STOCK})
        return _Result(task, settled, "found", closes=_CLOSED)

    def _asked(self, task: _Task, problems: tuple[Problem, ...]) -> _Result:
        """A person is asked; what may be mended elsewhere is looked at again by itself."""
        kinds = {problem.kind for problem in problems}
        due_at = self.clock() + RECHECK if kinds <= _MENDED_ELSEWHERE else None
        is_captured = task.capture.state is CaptureState.CAPTURED
        state = CaptureState.CAPTURED if is_captured else CaptureState.REVIEW
        reason = None if is_captured else ", ".join(sorted(kind.replace("_", " ") for kind in kinds))
        # A payment that was unclear is clear once the draft is what is asked about.
        closes = DRAFT_KINDS | {Kind.AMBIGUOUS_PAYMENT} if kinds <= DRAFT_KINDS else ()
        return _Result(task, self._to(task, state, reason, due_at), "review", problems, closes)

    def _refused(self, task: _Task, error: ApiRejected | MoneyError) -> _Result:
        code = error.code if isinstance(error, ApiRejected) else "money"
        problem = Problem(
            Kind.ORDER_REFUSED,
            "order",
            "commercetools takes it",
            f"{str(error).rstrip('.')}.",
            "Mend what commercetools names. It is tried again every "
            f"{RECHECK.total_seconds() / 60:.0f} minutes and on a person's word; or enter it by hand and link it.",
            f"refused/{code}",
        )
        return self._asked(task, (problem,))

    def _later(self, task: _Task) -> _Result:
        """It is tried again, from the same place: what may have been sent is looked up first."""
        capture = task.capture
        was_begun = task.draft is not None or task.otherwise is not None
        pause = min(BUSY_SECONDS * 2 ** min(capture.attempts - 1, 10), LONGEST_BUSY_SECONDS)
        due_at = self.clock() + timedelta(seconds=pause)
        state = CaptureState.SENDING if was_begun else capture.state
        reason = None if state is CaptureState.CAPTURED else OUT_OF_REACH
        return _Result(task, replace(self._to(task, state, reason, due_at), is_retry=True), "waiting")

    # Storing

    def _settle(self, results: Sequence[_Result]) -> CaptureCounts:
        """Store what became of some orders; of those that somebody else has taken over nothing is stored."""
        link, captures = self.config.name, self.store.captures
        with self.store.begin() as conn:
            returned = [one for one in results if STOCK in one.settled.edits]
            if returned:
                self.store.stock.turn(conn, link)
            kept = captures.settle(conn, link, self.owner, [one.settled for one in results])
            for one in returned:
                if one.task.id in kept:
                    self.store.order_effects.give_back(conn, link, self.project, one.task.id, SOLD_BY_SHOP)
            self._tell(conn, [one for one in results if one.task.id in kept])
        total = CaptureCounts()
        for one in results:
            if one.task.id in kept:
                total += CaptureCounts(**{one.what: 1})
        return total

    def _tell(self, conn: Connection, results: Iterable[_Result]) -> None:
        """Raise what a person is asked, and close what is settled."""
        link, exceptions = self.config.name, self.store.exceptions
        raised: list[NewException] = []
        closed: dict[Kind, list[str]] = {}
        for one in results:
            raised += self._exceptions(one)
            kinds = {problem.kind for problem in one.problems}
            for kind in set(one.closes) - kinds if _is_known(one.task.capture) else ():
                closed.setdefault(kind, []).append(order_cause(one.task.id))
        for kind, causes in sorted(closed.items()):
            exceptions.resolve(conn, link, kind, causes, self.owner)
        if raised:
            exceptions.raise_many(conn, link, raised, self.owner)

    def _exceptions(self, result: _Result) -> list[NewException]:
        task = result.task
        amount = task.draft.gross if task.draft else _worth(task.order, self.config.currency)
        return exceptions_of(
            task.order,
            result.problems,
            number=task.capture.order_number,
            place=place_name(task.order),
            amount=amount,
        )


def _parted(results: Iterable[_Result]) -> tuple[list[_Result], list[_Task]]:
    """Results that hold, and tasks of which commercetools must be asked first: they may have been sent before."""
    sure: list[_Result] = []
    unsure: list[_Task] = []
    for one in results:
        if one.task.capture.state is CaptureState.SENDING:
            unsure.append(replace(one.task, otherwise=one))
        else:
            sure.append(one)
    return sure, unsure


def _is_known(capture: Capture) -> bool:
    """Whether somebody may have been asked about the order: all that is sure of is one that is still as it came."""
    return capture.state is not CaptureState.WAITING or capture.revision > 1


def _same(capture: Capture, status: str) -> Landed:
    """The order that it has had since it was captured, in a state that Cloudshelf need not hear of."""
    origin = capture.origin or Origin.KIOSK
    return Landed(str(capture.ct_order_id), origin, status, capture.payment_id, tell=False)


def _content_problems(task: _Task) -> tuple[Problem, ...]:
    """What of an order has changed since it was sent, which commercetools does not follow by itself."""
    sent, is_new = task.capture.draft_hash, task.capture.ct_order_id is None
    if is_new or sent is None or not task.order.sold or sent == capture_hash(task.order):
        return ()
    return (
        Problem(
            Kind.ORDER_STATE,
            "lines",
            "stay as they were captured",
            "Its lines, prices or session were changed in Cloudshelf after it was captured.",
            "Compare both orders. Where the customer got something else than commercetools says, change that order by "
            "hand; then close this.",
        ),
    )


def _worth(order: KioskOrder, currency: str) -> Money | None:
    """What the customer paid, as far as the order says."""
    value = order.session.basket_value
    try:
        return None if value is None else money(value, order.session.currency or currency)
    except MoneyError:
        return None
