"""One exception as people see it who are to decide: all about it, what was done, and what may be done with which words.

Only the store is read here. What the two systems say of it at this moment is :mod:`cogent_ops.services.beside`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cogent_ops.domain.exceptions import ORDER_KINDS, Action, order_of
from cogent_ops.domain.money import MoneyError, money, show
from cogent_ops.domain.order_edits import (
    CURRENCY_EDIT,
    EMAIL_EDIT,
    LINE_EDITS,
    LOCATION_EDIT,
    PRICE_EDIT,
    QUANTITY_EDIT,
    REFUND_EDIT,
    REFUND_LINES_EDIT,
    SKU_EDIT,
    TOTAL_EDIT,
    field_name,
)
from cogent_ops.domain.orders import KioskOrder, SoldLine, UnreadableOrder, read_order
from cogent_ops.domain.policies import KindPolicy, Policies
from cogent_ops.domain.text import masked_email
from cogent_ops.services.alert_text import local_time
from cogent_ops.services.inbox import DID, STATUS_WORDS, Row, last_deeds, row
from cogent_ops.services.orders.described import TAKEN_BACK
from cogent_ops.services.review import NEEDS_NOTE, Review, Shown
from cogent_ops.store import LogEntry, Status, StoredException
from cogent_ops.store.exceptions import REVEAL

#: Silences that a person may choose, in hours.
SILENCES: tuple[tuple[int, str], ...] = ((4, "4 hours"), (24, "1 day"), (72, "3 days"), (168, "1 week"))

#: The same words as the questions in Airflow, the command line and the playbook.
LABELS: Mapping[Action, str] = {
    action: "Edit only" if action is Action.EDIT else action.replace("_", " ").capitalize()
    for action in Action
}
MEANINGS: Mapping[Action, str] = {
    Action.ACKNOWLEDGE: "You have seen it. Nobody else is told that it waits.",
    Action.START: "You work on it. The others see that it is yours.",
    Action.HOLD: "Leave it as it is for now. What is a question in Airflow is asked again in four hours.",
    Action.NOTE: "For those who look at it after you. Everybody can read it.",
    Action.REOPEN: "It is new again, with its owner and a deadline.",
    Action.EDIT: "Keep the corrections, and try nothing yet. A store is kept, and its stock is taken at once.",
    Action.DRY_RUN: "Say what would be sent, with the corrections. Nothing is sent, taken from stock or kept.",
    Action.APPROVE: "It was paid. The order goes to commercetools as a paid one.",
    Action.REPLAY: "Keep the corrections, and try again. An order keeps its number, so it cannot be sent twice.",
    Action.LINK: "Somebody entered the order by hand: it is taken for this one, and Cloudshelf is told of it.",
    Action.REJECT: "Nothing becomes of it. What an order took from stock is given back.",
    Action.EXPECTED: "It may stay as it is. Nobody hears of it again, however often it is seen. Of a flow that is "
    "late, or units at risk, that holds until it is over.",
    Action.FIXED: "You have mended it. Should the cause come back, so does this.",
}
#: The deeds that say who has taken it up, and those that are decisions with forms of their own.
QUICK = (Action.START, Action.ACKNOWLEDGE, Action.HOLD)
TRYING = (Action.DRY_RUN, Action.APPROVE, Action.REPLAY, Action.EDIT)
ENDING = (Action.LINK, Action.FIXED, Action.EXPECTED, Action.REJECT, Action.REOPEN)

_REVEALED = "looked at the customer's e-mail address"
_LOCATION_HINT = (
    "The key of the store's supply Channel in commercetools, or the store's name there. Its stock is taken as soon as "
    "it is kept."
)
_TRIED_HINT = "As the last dry run had it; it is not kept."


@dataclass(frozen=True)
class Field:
    """Something that a person may correct.

    :param name: as a decision names it: ``price.2``.
    :param was: what the order says; empty: nothing.
    :param given: what a person said before, and is kept; empty: nothing. Never personal data.
    :param form: ``text``, ``amount``, ``number``, ``email`` or ``location``.
    :param tried: what the last dry run counted with instead, which is not kept; ``None``: nothing else.
    """

    name: str
    label: str
    hint: str
    was: str
    given: str
    form: str
    tried: str | None = None

    @property
    def value(self) -> str:
        """What the form begins with."""
        return self.given if self.tried is None else self.tried

    @property
    def hints(self) -> str:
        """All that is said below it."""
        return " ".join(filter(None, (self.hint, "" if self.tried is None else _TRIED_HINT)))


@dataclass(frozen=True)
class FieldGroup:
    """Fields of the order as a whole, or of one of its lines.

    :param title: empty: of the order.
    """

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Deed:
    """What a person may do.

    :param note: what the note has to say; empty: it may say anything, or nothing.
    """

    action: Action
    label: str
    meaning: str
    note: str


@dataclass(frozen=True)
class Happening:
    """Something in an exception's life.

    :param who: a person; empty: the system.
    :param details: name and text, to be shown below it.
    """

    at: datetime
    who: str
    what: str
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Contact:
    """How the customer can be reached.

    :param masked: empty: no address is kept.
    """

    masked: str


@dataclass(frozen=True)
class Case:
    """All about one exception.

    :param order_number: of the order in commercetools that it is about; empty: it is about none.
    :param contact: ``None``: it is about no order.
    :param fields: what may be corrected; empty: nothing, or the order's content is not kept any more.
    :param stores: key and name of the stores, for corrections of a location.
    :param is_purged: what the order sold is not kept any more, so nothing of it can be corrected.
    :param seen: id of the youngest entry of the audit log, see :class:`cogent_ops.services.review.Decision`.
    """

    row: Row
    shown: Shown
    quick: tuple[Deed, ...]
    trying: tuple[Deed, ...]
    ending: tuple[Deed, ...]
    fields: tuple[FieldGroup, ...]
    stores: tuple[tuple[str, str], ...]
    happenings: tuple[Happening, ...]
    contact: Contact | None
    order_number: str
    is_purged: bool
    seen: int

    @property
    def one(self) -> StoredException:
        """The exception."""
        return self.shown.exception

    @property
    def policy(self) -> KindPolicy:
        """What is done about its kind."""
        return self.shown.policy


def case_of(review: Review, exception_id: int, now: datetime) -> Case:
    """All about one exception.

    :raises PermanentError: when the link has no such exception.
    """
    store, link = review.store, review.link
    seen, shown = store.audit_log.newest(), review.show(exception_id)
    one = shown.exception
    order = _order(review, one)
    edits: Mapping[str, str] = {} if order.capture is None else order.capture.edits
    is_edited = Action.EDIT in shown.actions
    snapshot = store.health.snapshot(link) if is_edited else None
    return Case(
        row=row(one, review.policies, last_deeds(store, [one]).get(one.id), now),
        shown=shown,
        quick=_deeds(shown.actions, QUICK),
        trying=_deeds(shown.actions, TRYING),
        ending=_deeds(shown.actions, ENDING),
        fields=tuple(_fields(shown.policy, order.content, edits, _tried(shown))) if is_edited else (),
        stores=tuple((place.place, place.name) for place in snapshot.stores if place.place)
        if snapshot
        else (),
        happenings=tuple(_happenings(shown, review.policies)),
        contact=Contact(masked_email(order.email) if order.email else "") if order.capture else None,
        order_number=order.capture.order_number if order.capture else "",
        is_purged=order.capture is not None and order.content is None,
        seen=seen,
    )


@dataclass(frozen=True)
class _Order:
    capture: Any = None
    content: KioskOrder | None = None
    email: str | None = None


def _order(review: Review, one: StoredException) -> _Order:
    """The order that an exception is about, as far as there is one and it is kept."""
    if one.kind not in ORDER_KINDS or one.is_drill:
        return _Order()
    with review.store.read() as conn:
        work = review.store.captures.work(conn, review.link, order_of(one.cause_key))
    if work is None:
        return _Order()
    try:
        content = read_order(work.content) if work.content else None
    except UnreadableOrder:
        content = None
    return _Order(work.capture, content, work.email)


def _deeds(allowed: Sequence[Action], wanted: Sequence[Action]) -> tuple[Deed, ...]:
    return tuple(
        Deed(action, LABELS[action], MEANINGS[action], NEEDS_NOTE.get(action, ""))
        for action in wanted
        if action in allowed
    )


# What may be corrected


def _tried(shown: Shown) -> dict[str, str]:
    """The corrections of a dry run after which nothing was tried or kept, so that nobody types them twice."""
    last = next((one for one in reversed(shown.history) if one.action in TRYING), None)
    if last is None or last.action != Action.DRY_RUN:
        return {}
    edits: Mapping[str, str] = last.detail.get("edits") or {}
    return {name: "" if value == TAKEN_BACK else value for name, value in edits.items() if name != EMAIL_EDIT}


def _fields(
    policy: KindPolicy, order: KioskOrder | None, given: Mapping[str, str], tried: Mapping[str, str]
) -> Iterator[FieldGroup]:
    other = {name: value for name, value in tried.items() if value != given.get(name, "")}
    for group in _kept_fields(policy, order, given):
        yield replace(group, fields=tuple(replace(one, tried=other.get(one.name)) for one in group.fields))


def _kept_fields(
    policy: KindPolicy, order: KioskOrder | None, given: Mapping[str, str]
) -> Iterator[FieldGroup]:
    if order is None:
        return
    whole = [name for name in policy.editable if not name.endswith(".<line>")]
    if whole:
        yield FieldGroup("", tuple(_of_order(name, order, given) for name in whole))
    of_lines = [name.partition(".")[0] for name in policy.editable if name.endswith(".<line>")]
    for line in order.sold if of_lines else ():
        wanted = [
            name for name in LINE_EDITS if name in of_lines and not (name == SKU_EDIT and line.is_shipping)
        ]
        fields = tuple(_of_line(name, line, given) for name in wanted)
        if fields:
            yield FieldGroup(f"Line {line.number}: {line.name or line.identifier or 'shipping'}", fields)


def _of_order(name: str, order: KioskOrder, given: Mapping[str, str]) -> Field:
    basket = _amount(order.session.basket_value, order.session.currency)
    hint, was, form = {
        LOCATION_EDIT: (_LOCATION_HINT, order.location_name or order.location, "location"),
        EMAIL_EDIT: (
            "Kept until the order is in commercetools, and shown to nobody.",
            "",
            "email",
        ),
        CURRENCY_EDIT: ("What was paid in, such as EUR.", order.session.currency, "text"),
        TOTAL_EDIT: ("What the customer paid in all.", basket, "amount"),
        REFUND_EDIT: ("What was refunded so far, in all.", "", "amount"),
        REFUND_LINES_EDIT: (
            "Such as 1:2, 3 for two of line 1 and all of line 3. Empty: nothing came back.",
            "",
            "text",
        ),
    }[name]
    return Field(name, field_name(name), hint, was, given.get(name, ""), form)


def _of_line(name: str, line: SoldLine, given: Mapping[str, str]) -> Field:
    was, form = {
        SKU_EDIT: (line.sku or line.identifier, "text"),
        PRICE_EDIT: (_amount(line.price, line.currency), "amount"),
        QUANTITY_EDIT: (
            line.quantity_given if line.quantity is None else str(line.quantity),
            "number",
        ),
    }[name]
    hint = "0 leaves the line out." if name == QUANTITY_EDIT else ""
    full = f"{name}.{line.number}"
    return Field(full, field_name(name), hint, was, given.get(full, ""), form)


def _amount(value: str | None, currency: str) -> str:
    """An amount as people write it, or as it was given where it is none of its currency."""
    if not value:
        return ""
    try:
        return show(money(value, currency))
    except MoneyError:
        return f"{value} {currency}".strip()


# What happened


def _happenings(shown: Shown, policies: Policies) -> Iterator[Happening]:
    """Its life, the oldest first."""
    yield from sorted(_all_happenings(shown, policies), key=lambda one: one.at)


def _all_happenings(shown: Shown, policies: Policies) -> Iterator[Happening]:
    one = shown.exception
    opened = one.opened_at or one.first_seen
    if one.first_seen < opened:
        yield Happening(one.first_seen, "", "seen for the first time")
    yield Happening(opened, "", f"opened: {one.owner} must act")
    if one.alerted_at:
        yield Happening(one.alerted_at, "", f"{one.owner} was told")
    if one.escalated_at:
        yield Happening(one.escalated_at, "", "nobody had acted in time, so somebody else was told")
    if one.asked_by and one.asked_at:
        yield Happening(one.asked_at, "", "a question about it waits in Airflow under Required Actions")
    if shown.silence:
        said = (("why", shown.silence.reason), ("until", local_time(shown.silence.until, policies)))
        yield Happening(shown.silence.created_at, shown.silence.actor, "silenced messages about it", said)
    yield from map(_of_entry, shown.history)
    if one.resolved_at and not any(entry.at >= one.resolved_at for entry in shown.history):
        how = "closed by itself: verified" if one.status is Status.FIXED else STATUS_WORDS[one.status]
        yield Happening(one.resolved_at, "", how)


def _of_entry(entry: LogEntry) -> Happening:
    if entry.action == REVEAL:
        return Happening(entry.at, entry.actor, _REVEALED)
    known = entry.action in list(Action)
    what = DID[Action(entry.action)] if known else entry.action.replace("_", " ")
    if "refused" in entry.detail:
        what = f"was refused {str(entry.detail['refused']).lower()}"
    return Happening(entry.at, entry.actor, what, tuple(_details(entry.detail)))


def _details(detail: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in detail.items():
        if name in ("before", "status", "refused"):
            continue
        if isinstance(value, Mapping):
            yield from ((str(each), str(given)) for each, given in value.items())
        else:
            yield name.replace("_", " "), str(value)
