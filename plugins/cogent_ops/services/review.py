"""What people do about exceptions: one service behind the questions in Airflow, the command line and the page.

Each deed is one transaction with its entry in the audit log: who, when, what. What the kind's policy does not allow is
refused with a sentence that says what is possible. What needs an answer of commercetools is asked before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cogent_ops.clients.redaction import Redactor
from cogent_ops.domain.drills import DEEDS
from cogent_ops.domain.exceptions import LEADS_TO, ORDER_KINDS, Action, Kind, order_of
from cogent_ops.domain.policies import KindPolicy, Policies
from cogent_ops.domain.stock import Place
from cogent_ops.errors import PermanentError, RetryableError
from cogent_ops.services.alert_text import local_time
from cogent_ops.services.notes import kept_note
from cogent_ops.store import Cause, Filter, LogEntry, Store, StoredException
from cogent_ops.store.exceptions import REVEAL, Overtaken, by_cause, subject

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from cogent_ops.services.orders.desk import OrderDesk
    from cogent_ops.store.alerts import Silence

#: Actions that may bring corrections along.
_TAKE_EDITS = (Action.EDIT, Action.DRY_RUN, Action.APPROVE, Action.REPLAY)
#: Those among them that keep the corrections before they do what they are for. A dry run only tries them.
_KEEPS_EDITS = (Action.APPROVE, Action.REPLAY)
#: Actions that somebody will want to know the reason of, and what their note has to say.
NEEDS_NOTE = {
    Action.REJECT: "why it is rejected",
    Action.EXPECTED: "why it is expected",
    Action.FIXED: "how it was fixed",
    Action.NOTE: "what there is to note",
}
#: Actions on what is closed already.
_WHEN_CLOSED = (Action.NOTE, Action.REOPEN)


@dataclass(frozen=True)
class Decision:
    """What a person wants done.

    :param actor: who.
    :param note: why; personal data in it is masked, and one that is too long is refused.
    :param edits: corrections to the order by field, such as ``price.2``; an e-mail address is personal data. A dry
        run counts with them and keeps none.
    :param order_number: for a link: the order in commercetools.
    :param seen: id of the youngest entry of the audit log when the person looked. What others have done since keeps it
        from being carried out; the very same deed counts as done, so that a form may be sent twice. ``None``: whatever
        happened since.
    """

    action: Action
    actor: str
    note: str = ""
    edits: Mapping[str, str] = field(default_factory=dict, repr=False)
    order_number: str = ""
    seen: int | None = None


@dataclass(frozen=True)
class Done:
    """What came of a decision about one exception.

    :param is_done: else the message says why not, and nothing was changed.
    :param is_later: it was not done because something is out of reach just now.
    """

    id: int
    record: str
    is_done: bool
    message: str
    is_later: bool = False


@dataclass(frozen=True)
class Shown:
    """All about one exception.

    :param actions: what may be done about it as it stands.
    :param history: what people did about it, the oldest first.
    :param silence: what keeps its messages quiet; ``None``: nothing.
    :param cause: how many open exceptions have its cause, itself included.
    """

    exception: StoredException
    policy: KindPolicy
    actions: tuple[Action, ...]
    history: tuple[LogEntry, ...]
    silence: Silence | None
    cause: int


class Review:
    """What people see of a link's exceptions, and do about them.

    :param desk: what may be done about one order; made when it is first needed.
    :param project: the commercetools project, for changes of stock; likewise.
    """

    def __init__(
        self,
        link: str,
        store: Store,
        policies: Policies,
        *,
        desk: Callable[[], OrderDesk],
        project: Callable[[], str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.link, self.store, self.policies = link, store, policies
        self._desk, self._project, self._clock = desk, project, clock

    def find(self, wanted: Filter, *, limit: int | None = None) -> list[StoredException]:
        """Exceptions, the oldest first."""
        return self.store.exceptions.find(self.link, wanted, limit=limit)

    def causes(self, wanted: Filter) -> list[Cause]:
        """The same by cause, the largest first."""
        return sorted(by_cause(self.find(wanted)), key=lambda cause: -len(cause.exceptions))

    def ids_of_cause(self, exception_id: int, within: Filter | None = None) -> list[int]:
        """The open exceptions with the cause of this one, the oldest first.

        :param within: only those of this list.
        :raises PermanentError: when the link has no such exception.
        """
        same = _same_cause(self.store.exceptions.get(self.link, exception_id))
        if within is not None:
            same = replace(within, kind=same.kind, cause_group=same.cause_group)
        return self.store.exceptions.ids(self.link, same)

    def show(self, exception_id: int) -> Shown:
        """All about one exception.

        :raises PermanentError: when the link has no such exception.
        """
        found = self.store.exceptions.get(self.link, exception_id)
        silences = self.store.alerts.silences(self.link, self._clock())
        history = self.store.audit_log.entries(subject(exception_id))
        return Shown(
            found,
            self.policies.kind(found.kind),
            tuple(action for action in Action if self._refusal(found, action) is None),
            tuple(reversed(history)),
            next((one for one in silences if one.covers(found.kind, found.cause_group)), None),
            self.store.listing.count(self.link, _same_cause(found)),
        )

    def carry_out(self, decision: Decision, ids: Sequence[int]) -> list[Done]:
        """Do what a person decided about each of these; one that cannot be done does not keep the others from it."""
        return [self._done(decision, each) for each in dict.fromkeys(ids)]

    def silence(
        self, exception_id: int, *, actor: str, reason: str, until: datetime, whole_kind: bool = False
    ) -> int:
        """Send no messages about this cause until then; returns the silence's number.

        :param whole_kind: about no exception of the kind.
        :raises PermanentError: when the link has no such exception, without a reason, for too long, or for a drill.
        """
        found = self.store.exceptions.get(self.link, exception_id)
        if found.is_drill:
            raise PermanentError(f"{found.record} is not silenced but ended: cogent-ops drill end {found.id}")
        with self.store.begin() as conn:
            return self.store.alerts.silence(
                conn,
                self.link,
                kind=found.kind,
                cause_group="" if whole_kind else found.cause_group,
                reason=Redactor()(reason),
                until=until,
                actor=actor,
            )

    def lift(self, silence_id: int, *, actor: str) -> None:
        """End a silence now.

        :raises PermanentError: when no such silence is in force.
        """
        with self.store.begin() as conn:
            self.store.alerts.lift(conn, self.link, silence_id, actor=actor)

    def reveal(self, exception_id: int, *, actor: str) -> str | None:
        """The e-mail address of the customer whose order an exception is about; that it was looked at is recorded.

        :return: ``None``: no address is kept of this order (any more).
        :raises PermanentError: when the link has no such exception, or it is about no order.
        """
        found = self.store.exceptions.get(self.link, exception_id)
        order_id = order_with_contact(found)
        if order_id is None:
            raise PermanentError(f"{found.record}: this is about no order, so there is no address to show.")
        with self.store.begin() as conn:
            email = self.store.captures.contact(conn, self.link, order_id)
            detail = {"what": "e-mail address", "kept": email is not None}
            self.store.audit_log.write(actor, REVEAL, subject(found.id), detail, link=self.link, conn=conn)
        return email

    def silences(self) -> list[Silence]:
        """The silences in force."""
        return self.store.alerts.silences(self.link, self._clock())

    def _done(self, decision: Decision, exception_id: int) -> Done:
        record = ""
        try:
            found = self.store.exceptions.get(self.link, exception_id)
            record = found.record
            return Done(exception_id, record, True, self._carry_out(decision, found))
        except Overtaken as error:
            return Done(exception_id, record, error.is_same, self._overtaken(error))
        except PermanentError as error:
            return Done(exception_id, record, False, str(error))
        except RetryableError as error:
            return Done(exception_id, record, False, str(error), is_later=True)

    def _overtaken(self, error: Overtaken) -> str:
        """What a person reads who decides about something that is not any more as it was."""
        entry, done = error.entry, error.entry.action.replace("_", " ")
        at = local_time(entry.at, self.policies)
        if error.is_same:
            return f"That was done already ({done}, {at})."
        note = entry.detail.get("note")
        said = f": {note}" if note else ""
        return (
            f"Nothing was done: {entry.actor} was faster ({done}, {at}{said}). Look at what stands here now, and "
            "decide again."
        )

    def _carry_out(self, decision: Decision, found: StoredException) -> str:
        """Do it; returns what came of it."""
        self._check(decision, found)
        steps = [decision]
        if decision.edits and decision.action in _KEEPS_EDITS:
            # What was done since the person looked is the deed's matter; with it the corrections stand or fall.
            steps.insert(0, Decision(Action.EDIT, decision.actor, edits=decision.edits))
            self._check(steps[0], found)
        prepared = [self._prepare(step, found) for step in steps]
        with self.store.begin() as conn:
            for each in prepared:
                each.deed(conn)
            *_, after = [self._noted(conn, *both, found) for both in zip(steps, prepared, strict=True)]
        return prepared[-1].outcome or f"{found.record} is {after.status.replace('_', ' ')}."

    def _noted(
        self, conn: Connection, decision: Decision, prepared: _Prepared, found: StoredException
    ) -> StoredException:
        """Note it in its transaction; the exception as it is then."""
        return self.store.exceptions.decide(
            conn,
            self.link,
            found.id,
            decision.action,
            LEADS_TO.get(decision.action),
            actor=decision.actor,
            detail=_without_blanks({"note": kept_note(decision.note), **prepared.detail}),
            outcome=prepared.outcome,
            seen=decision.seen,
        )

    def _check(self, decision: Decision, found: StoredException) -> None:
        action, note = decision.action, kept_note(decision.note)
        refusal = self._refusal(found, action)
        if refusal is not None:
            self._require_unchanged(decision, found)
            raise PermanentError(refusal)
        if action in NEEDS_NOTE and not note:
            raise PermanentError(f"Say in the note {NEEDS_NOTE[action]}.")
        if action is Action.LINK and not decision.order_number.strip():
            raise PermanentError("Give the number of the order in commercetools to link to.")
        if action is Action.EDIT and not decision.edits:
            raise PermanentError("Give what to correct, such as location=store-leeds.")
        if decision.edits and action not in _TAKE_EDITS:
            raise PermanentError(f"Corrections have no place in '{action}'. Edit or replay it with them.")
        policy = self.policies.kind(found.kind)
        for name in decision.edits:
            if not policy.may_edit(name):
                possible = ", ".join(policy.editable) or "nothing"
                raise PermanentError(f"{policy.title}: '{name}' cannot be corrected here, but {possible}.")

    def _require_unchanged(self, decision: Decision, found: StoredException) -> None:
        """See that it is not for what was done since the person looked that something is not possible.

        :raises Overtaken: when it is: a form that is sent twice is no mistake of its person.
        """
        if decision.seen is None:
            return
        said = {"note": kept_note(decision.note), "order_number": decision.order_number.strip()}
        with self.store.read() as conn:
            self.store.exceptions.require_unchanged(
                conn,
                found.id,
                decision.action,
                actor=decision.actor,
                detail=_without_blanks(said),
                seen=decision.seen,
            )

    def _refusal(self, found: StoredException, action: Action) -> str | None:
        """Why an action is not possible; ``None``: it is."""
        policy = self.policies.kind(found.kind)
        allowed = [each for each in Action if (each in DEEDS if found.is_drill else policy.allows(each))]
        if action not in allowed:
            named = f"{policy.title}, as a drill" if found.is_drill else policy.title
            return f"{named}: '{action}' is not possible, but {', '.join(allowed)}."
        if found.is_open and action is Action.REOPEN:
            return f"{found.record} is open anyway ({found.status})."
        if not found.is_open and action not in _WHEN_CLOSED:
            cure = "" if found.is_drill else " Reopen it first if that is not so."
            return f"{found.record} is {found.status} already.{cure}"
        return None

    def _prepare(self, decision: Decision, found: StoredException) -> _Prepared:
        """Ask what must be asked before, and say what the transaction does."""
        if found.kind in ORDER_KINDS and decision.action in _ORDER_DEEDS:
            return self._order_deed(decision, found)
        if found.kind == Kind.STOCK_REFUSED and decision.action is Action.REPLAY:
            project, place = self._project(), Place.named(found.cause_key)
            return _Prepared(
                lambda conn: self._unpark(conn, project, place),
                outcome="Tried again with the same key; it closes by itself when that has succeeded.",
            )
        return _Prepared()

    def _order_deed(self, decision: Decision, found: StoredException) -> _Prepared:
        desk, order_id, actor = self._desk(), order_of(found.cause_key), decision.actor
        match decision.action:
            case Action.EDIT:
                edits = desk.check(order_id, decision.edits)
                return _Prepared(
                    lambda conn: desk.edit(conn, edits, actor), detail={"edits": dict(edits.shown)}
                )
            case Action.DRY_RUN:
                tried = desk.check(order_id, decision.edits) if decision.edits else None
                shown = dict(tried.shown) if tried else {}
                return _Prepared(detail={"edits": shown}, outcome=desk.dry_run(order_id, tried))
            case Action.APPROVE:
                return _Prepared(lambda conn: desk.approve(conn, order_id, actor), outcome=_AGAIN)
            case Action.REPLAY:
                return _Prepared(lambda conn: desk.replay(conn, order_id, actor), outcome=_AGAIN)
            case Action.LINK:
                entered = desk.find(order_id, decision.order_number.strip())
                return _Prepared(
                    lambda conn: desk.link(conn, entered, actor, kind=found.kind),
                    detail={"order_number": decision.order_number.strip()},
                )
            case _:
                reason = kept_note(decision.note)
                return _Prepared(lambda conn: desk.reject(conn, order_id, reason, actor, kind=found.kind))

    def _unpark(self, conn: Connection, project: str, place: Place) -> None:
        if not self.store.stock.unpark(conn, project, place):
            raise PermanentError(f"{place} has no change that was refused. See: cogent-ops stock status")


@dataclass(frozen=True)
class _Prepared:
    """What a decision's transaction does besides noting it.

    :param detail: for the audit log.
    :param outcome: what came of it, as it is shown.
    """

    deed: Callable[[Connection], None] = lambda conn: None
    detail: Mapping[str, Any] = field(default_factory=dict)
    outcome: str | None = None


_ORDER_DEEDS = (Action.EDIT, Action.DRY_RUN, Action.APPROVE, Action.REPLAY, Action.LINK, Action.REJECT)
_AGAIN = "Tried again with the same order number; it closes by itself when that has succeeded."


def order_with_contact(found: StoredException) -> str | None:
    """The id in Cloudshelf of the order that an exception is about, where a customer's address may be kept."""
    return order_of(found.cause_key) if found.kind in ORDER_KINDS else None


def _same_cause(found: StoredException) -> Filter:
    return Filter(kind=found.kind, cause_group=found.cause_group, drills=None)


def _without_blanks(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if value}
