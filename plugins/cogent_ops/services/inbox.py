"""The inbox as people see it: lists of what waits for them, in words, with what is most urgent first.

Everything here is ready to be shown. Counting, sorting and paging are the database's (``store.listing``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cogent_ops.domain.exceptions import LEADS_TO, OPEN, Action, Kind, Owner, Status
from cogent_ops.domain.money import Money
from cogent_ops.domain.order_draft import without_prefix
from cogent_ops.domain.policies import KindPolicy, Policies
from cogent_ops.services.alert_text import waited
from cogent_ops.store import Filter, LogEntry, Store, StoredException
from cogent_ops.store.exceptions import subject
from cogent_ops.store.listing import ListedCause, ListTotals, Sort

#: Causes, or single exceptions, on a page.
PAGE = 50
#: So many exceptions of a cause stand below it; the others are a click away.
OF_A_CAUSE = 5
#: So many characters of what happened stand in a row of a list; the page of the exception has all of it.
LONGEST_WHAT = 200
#: What is due within this is due soon.
SOON = timedelta(hours=1)
CLOSED = tuple(status for status in Status if status not in OPEN)

STATUS_WORDS: Mapping[Status, str] = {
    Status.NEW: "new",
    Status.ACKNOWLEDGED: "seen",
    Status.IN_PROGRESS: "in progress",
    Status.FIXED: "fixed",
    Status.EXPECTED: "expected",
    Status.REJECTED: "rejected",
}
#: What people did, as it reads after their name.
DID: Mapping[Action, str] = {
    Action.ACKNOWLEDGE: "has seen it",
    Action.START: "is working on it",
    Action.HOLD: "leaves it for now",
    Action.NOTE: "left a note",
    Action.REOPEN: "opened it again",
    Action.EDIT: "gave corrections",
    Action.DRY_RUN: "looked at what would be sent",
    Action.APPROVE: "approved it",
    Action.REPLAY: "had it tried again",
    Action.LINK: "linked the order",
    Action.REJECT: "rejected it",
    Action.EXPECTED: "called it expected",
    Action.FIXED: "called it fixed",
}
#: Deeds that say how far somebody has come with an exception.
_TAKES_UP = (*LEADS_TO, Action.DRY_RUN)
_AGAIN = (Action.APPROVE, Action.REPLAY)


class Due(StrEnum):
    """Which deadlines a list holds."""

    ANY = ""
    OVERDUE = "overdue"
    SOON = "soon"


class Urgency(StrEnum):
    """How a deadline stands."""

    NONE = "none"
    CALM = "calm"
    SOON = "soon"
    OVERDUE = "overdue"


@dataclass(frozen=True)
class View:
    """Which list somebody looks at; what is empty does not narrow it.

    :param owner: the team whose exceptions they want to see.
    :param store: the place, as people name it.
    :param is_closed: what is closed instead of what is open.
    :param by_cause: exceptions that one deed would cure stand together.
    :param cause: only this cause's, each by itself; it goes with ``kind``.
    :param page: from 1.
    """

    owner: Owner | None = None
    due: Due = Due.ANY
    has_money: bool = False
    kind: Kind | None = None
    store: str = ""
    text: str = ""
    is_closed: bool = False
    sort: Sort = Sort.URGENCY
    by_cause: bool = True
    cause: str = ""
    page: int = 1

    def filter(self, now: datetime, number_prefix: str) -> Filter:
        """As the store understands it. Drills are among them, and marked.

        :param number_prefix: see :class:`InboxLists`.
        """
        overdue_at = {Due.OVERDUE: now, Due.SOON: now + SOON}.get(self.due)
        return Filter(
            statuses=CLOSED if self.is_closed else OPEN,
            kind=self.kind,
            owner=self.owner,
            cause_group=self.cause or None,
            text=without_prefix(self.text, number_prefix),
            overdue_at=overdue_at,
            due_from=now if self.due is Due.SOON else None,
            place=self.store or None,
            has_money=self.has_money,
            drills=None,
        )

    @property
    def order(self) -> Sort:
        """What stands first: of what is closed, what was closed last."""
        return Sort.NEWEST if self.is_closed and self.sort in (Sort.URGENCY, Sort.DEADLINE) else self.sort

    @property
    def is_grouped(self) -> bool:
        """Whether it is a list of causes."""
        return self.by_cause and not self.cause

    @property
    def is_narrowed(self) -> bool:
        """Whether something may be left out that waits, too."""
        wide = View(is_closed=self.is_closed, sort=self.sort, by_cause=self.by_cause, page=self.page)
        return self != wide


@dataclass(frozen=True)
class Deadline:
    """How long an exception waits, and how much time its owner has left.

    :param age: ``22 min``.
    :param words: ``due in 38 min``, ``overdue by 2 h``; of what is closed, when it was closed.
    :param share: of the time until the deadline that is over, in percent.
    """

    urgency: Urgency
    age: str
    words: str
    share: int
    at: datetime | None


@dataclass(frozen=True)
class Row:
    """An exception in a list.

    :param title: its kind's, in the words of the business.
    :param what: what happened, in a sentence, without what stands beside it anyway.
    :param taken_by: who did something about it last, and what; empty: nobody.
    :param tries: how often it was seen and tried again; empty: once.
    :param next_step: what its owner should do now.
    """

    one: StoredException
    title: str
    what: str
    status: str
    deadline: Deadline
    taken_by: str
    tries: str
    next_step: str

    @property
    def short(self) -> str:
        """What happened, as far as a row of a list has room for it."""
        return self.what if len(self.what) <= LONGEST_WHAT else f"{self.what[: LONGEST_WHAT - 1]}…"

    @property
    def id(self) -> int:
        """Its number."""
        return self.one.id


@dataclass(frozen=True)
class Group:
    """A cause in a list. Where it has one exception only, the list shows just that.

    :param count: how many exceptions have it, as far as the list holds them.
    :param rows: the first of them.
    :param deadline: of the one that is due first.
    """

    kind: str
    cause: str
    title: str
    owner: str
    severity: str
    count: int
    rows: tuple[Row, ...]
    at_stake: Money | None
    deadline: Deadline

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.count - len(self.rows)


@dataclass(frozen=True)
class Choice:
    """Something that a list can be narrowed to."""

    value: str
    label: str
    count: int


@dataclass(frozen=True)
class Inbox:
    """A page of the list.

    :param groups: where it is not grouped, each holds one exception.
    :param count: exceptions of all pages.
    :param causes: causes of all pages; ``None``: it is not grouped.
    :param totals: in numbers, whatever is chosen of deadlines and money.
    :param seen: id of the youngest entry of the audit log, see :class:`cogent_ops.services.review.Decision`.
    :param shown_at: what was opened later is not in it.
    """

    view: View
    groups: tuple[Group, ...]
    count: int
    causes: int | None
    pages: int
    totals: ListTotals
    owners: tuple[Choice, ...]
    kinds: tuple[Choice, ...]
    stores: tuple[Choice, ...]
    seen: int
    shown_at: datetime


@dataclass(frozen=True)
class Neighbours:
    """Where an exception stands in a list.

    :param place: from 1; ``None``: it is not in it (any more).
    :param after: the one to go on with; where it is not in the list, the first of it.
    """

    place: int | None
    count: int
    before: int | None
    after: int | None


#: A list of so many exceptions is looked through for what comes next.
_LONGEST_WALK = 20_000


class InboxLists:
    """The lists of one link.

    :param number_prefix: stands before the number of a kiosk order, see ``orders.number_prefix``.
    """

    def __init__(self, link: str, store: Store, policies: Policies, *, number_prefix: str) -> None:
        self.link, self.store, self.policies = link, store, policies
        self.number_prefix = number_prefix

    def page(self, view: View, now: datetime) -> Inbox:
        """What a view shows; a page beyond the last one is the last one."""
        seen, wanted = self.store.audit_log.newest(), view.filter(now, self.number_prefix)
        listing, link = self.store.listing, self.link
        count = listing.count(link, wanted)
        causes = listing.count_causes(link, wanted) if view.is_grouped else None
        pages = max(1, -(-(count if causes is None else causes) // PAGE))
        view = replace(view, page=min(view.page, pages))
        wide = replace(wanted, overdue_at=None, due_from=None, has_money=False)
        groups = self._groups(view, wanted, now)
        return Inbox(
            view=view,
            groups=groups,
            count=count,
            causes=causes,
            pages=pages,
            totals=listing.totals(link, wide, now, SOON),
            owners=_choices(listing.by("owner", link, replace(wanted, owner=None)), view.owner),
            kinds=_choices(
                listing.by("kind", link, replace(wanted, kind=None, cause_group=None)),
                view.kind,
                {kind.value: policy.title for kind, policy in self.policies.kinds.items()},
            ),
            stores=_choices(listing.by("place", link, replace(wanted, place=None)), view.store),
            seen=seen,
            # Another machine's clock may be a little ahead.
            shown_at=max([now, *(one.one.opened_at or now for group in groups for one in group.rows)]),
        )

    def _groups(self, view: View, wanted: Filter, now: datetime) -> tuple[Group, ...]:
        listing, offset = self.store.listing, (view.page - 1) * PAGE
        if view.is_grouped:
            found = listing.causes(
                self.link, wanted, view.order, now, limit=PAGE, offset=offset, first=OF_A_CAUSE
            )
        else:
            some = listing.exceptions(self.link, wanted, view.order, now, limit=PAGE, offset=offset)
            found = [_alone(one) for one in some]
        last = last_deeds(self.store, [one for cause in found for one in cause.first])
        return tuple(self._group(cause, last, now) for cause in found)

    def _group(self, cause: ListedCause, last: Mapping[int, LogEntry], now: datetime) -> Group:
        first = cause.first[0]
        rows = tuple(row(one, self.policies, last.get(one.id), now) for one in cause.first)
        return Group(
            kind=cause.kind,
            cause=cause.cause_group,
            title=rows[0].title,
            owner=first.owner,
            severity=first.severity,
            count=cause.count,
            rows=rows,
            at_stake=cause.at_stake,
            deadline=deadline_of(
                cause.opened_at or first.first_seen, cause.deadline, first.resolved_at, first.status, now
            ),
        )

    def neighbours(self, view: View, exception_id: int, now: datetime) -> Neighbours:
        """What stands before and after an exception, each by itself."""
        wanted = view.filter(now, self.number_prefix)
        ids = self.store.listing.ids(self.link, wanted, view.order, now, limit=_LONGEST_WALK)
        if exception_id not in ids:
            return Neighbours(None, len(ids), None, next(iter(ids), None))
        at = ids.index(exception_id)
        return Neighbours(
            at + 1, len(ids), ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None
        )


def row(one: StoredException, policies: Policies, last: LogEntry | None, now: datetime) -> Row:
    """An exception as a list shows it.

    :param last: the last deed about it, see :func:`last_deeds`.
    """
    policy = policies.kind(one.kind)
    return Row(
        one=one,
        title=policy.title,
        what=what_happened(one),
        status=STATUS_WORDS[one.status],
        deadline=deadline_of(one.opened_at or one.first_seen, one.deadline, one.resolved_at, one.status, now),
        taken_by=_taken_by(last),
        tries=_tries(one),
        next_step=_next_step(one, policy, last),
    )


def last_deeds(store: Store, some: Sequence[StoredException]) -> dict[int, LogEntry]:
    """By exception, what somebody did about it last since it was opened, if it is a deed that counts."""
    found = store.audit_log.latest([subject(one.id) for one in some], _TAKES_UP)
    deeds = {one.id: found[subject(one.id)] for one in some if subject(one.id) in found}
    since = {one.id: one.opened_at or one.first_seen for one in some}
    return {id_: entry for id_, entry in deeds.items() if entry.at >= since[id_]}


def deadline_of(
    opened: datetime, deadline: datetime | None, closed: datetime | None, status: Status, now: datetime
) -> Deadline:
    """How a deadline stands."""
    if status not in OPEN:
        ended = closed or now
        return Deadline(
            Urgency.NONE,
            waited(ended - opened),
            f"{STATUS_WORDS[status]} {waited(now - ended)} ago",
            100,
            deadline,
        )
    age = waited(now - opened)
    if deadline is None:
        return Deadline(Urgency.NONE, age, "no deadline", 0, None)
    left = deadline - now
    if left <= timedelta():
        return Deadline(Urgency.OVERDUE, age, f"overdue by {waited(-left)}", 100, deadline)
    whole = max(deadline - opened, timedelta(seconds=1))
    share = min(99, max(1, int(100 * (now - opened) / whole)))
    return Deadline(
        Urgency.SOON if left < SOON else Urgency.CALM, age, f"due in {waited(left)}", share, deadline
    )


_HEAD = re.compile(r"\b(?:kiosk )?orders?\b|[\s,:]", re.IGNORECASE)


def what_happened(one: StoredException) -> str:
    """The message without its head where that says only which record it is about: a list shows that anyway."""
    head, colon, rest = one.message.partition(": ")
    left = head.replace(one.record, "", 1).replace(one.place, "", 1) if one.record in head else head
    if not colon or _HEAD.sub("", left):
        return one.message
    return rest[:1].upper() + rest[1:]


def _alone(one: StoredException) -> ListedCause:
    return ListedCause(one.kind, one.cause_group, 1, one.deadline, one.opened_at, one.at_stake, (one,))


def _choices(
    counts: Mapping[str, int], chosen: str | None, labels: Mapping[str, str] | None = None
) -> tuple[Choice, ...]:
    """What there is to choose from, by label; what is chosen is among it although nothing of it waits."""
    values: Iterable[str] = {*counts, chosen} - {"", None} if chosen else counts.keys() - {""}
    found = (Choice(value, (labels or {}).get(value, value), counts.get(value, 0)) for value in values)
    return tuple(sorted(found, key=lambda one: one.label.casefold()))


def _taken_by(last: LogEntry | None) -> str:
    return "" if last is None else f"{last.actor} {DID[Action(last.action)]}"


def _tries(one: StoredException) -> str:
    seen = f"seen {one.count:,} times" if one.count > 1 else ""
    again = f"tried again {_times(one.replays)}" if one.replays else ""
    return ", ".join(part for part in (seen, again) if part)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def _next_step(one: StoredException, policy: KindPolicy, last: LogEntry | None) -> str:
    if not one.is_open:
        return (
            "Nothing. It comes back by itself should its cause come back."
            if one.status is Status.FIXED
            else "Nothing."
        )
    if one.is_drill:
        return "Take it up as if it were real, then close it as fixed."
    if one.status is Status.IN_PROGRESS and last is not None:
        if last.action in _AGAIN:
            return "Wait: it is tried again, and closes by itself when that has worked."
        if last.action == Action.EDIT:
            return "Look at what would be sent with the corrections, then have it tried again."
        if last.action == Action.DRY_RUN:
            return "Read what would be sent. If it is right, have it tried again."
    return policy.first_response
