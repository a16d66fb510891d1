"""The exception inbox: what waits for people, all about each of it, and the forms by which they decide.

A form is answered in one of two ways. What was done leads on to a page that says so, so that loading it again repeats
nothing; what was refused comes back as the form it was, with what was typed and the reason. What a customer's address
is stands in the answer to the form that asked for it, and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from cogent_ops.addresses import DESK_PREFIX, NIGHTS_PREFIX, playbook_address
from cogent_ops.domain.exceptions import OPEN, Action, Kind, Owner
from cogent_ops.domain.policies import KindPolicy
from cogent_ops.domain.rules import OrderRules
from cogent_ops.domain.wording import Span
from cogent_ops.errors import ConfigError, PermanentError
from cogent_ops.services.beside import place_of
from cogent_ops.services.case import ENDING, LABELS, QUICK, SILENCES, TRYING, Case, case_of
from cogent_ops.services.inbox import Due, InboxLists, View
from cogent_ops.services.playbook import words
from cogent_ops.services.review import NEEDS_NOTE, Decision, Done, Review
from cogent_ops.store import StoredException
from cogent_ops.store.alerts import Silence
from cogent_ops.store.exceptions import Filter
from cogent_ops.store.listing import Sort
from cogent_ops.web.desk.access import Visit, visit_of
from cogent_ops.web.desk.frame import NotFound

if TYPE_CHECKING:
    from fastapi import APIRouter

    from cogent_ops.web.desk.frame import Desk

TEAM_COOKIE = "cogent_ops_team"
_A_YEAR = 365 * 24 * 3600
#: The field of the form above the list that says which team the list was of.
_BEFORE = "before"
#: Corrections of a form begin so: ``edit.price.2``.
_EDIT = "edit."
#: As long a form about many exceptions works at most; what is left is a click away.
BULK_SECONDS = 20.0
#: A form that is sent twice is sent so soon again.
SENT_TWICE = timedelta(minutes=5)
#: Deeds that can be done to many at once. A dry run asks commercetools about each, and a link is about one order.
BULK = tuple(
    one
    for one in (*QUICK, Action.NOTE, *TRYING, *ENDING)
    if one not in (Action.DRY_RUN, Action.LINK, Action.EDIT)
)
#: What is corrected in many orders at once: what one mistake makes wrong in all of them.
BULK_EDITS = ("location", "currency")
_SORTS = {
    Sort.URGENCY: "Most urgent first",
    Sort.DEADLINE: "Due first",
    Sort.MONEY: "Most money first",
    Sort.NEWEST: "Newest first",
}


@dataclass(frozen=True)
class Failed:
    """A form that was refused.

    :param form: which one: the name of the deed.
    :param typed: what was typed, by the name of the field.
    """

    form: str
    message: str
    typed: Mapping[str, str]


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Add the pages."""
    pages = _Pages(desk)

    @router.get("/exceptions")
    def inbox(request: Request) -> Response:
        return pages.inbox(request)

    @router.post("/exceptions/{link}/bulk")
    def bulk(request: Request, link: str) -> Response:
        return pages.bulk(request)

    @router.get("/exceptions/{link}/{number}")
    def exception(request: Request, link: str, number: int) -> Response:
        return pages.exception(request, number)

    @router.get("/exceptions/{link}/{number}/beside")
    def beside(request: Request, link: str, number: int) -> Response:
        return pages.beside(request, number)

    @router.post("/exceptions/{link}/{number}/{deed}")
    def decide(request: Request, link: str, number: int, deed: str) -> Response:
        return pages.decide(request, number, deed)


class _Pages:
    """Makes the answers."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def _reading(self, visit: Visit) -> Review:
        return self.desk.runtime(visit.link).review(is_reading=True)

    def _lists(self, review: Review) -> InboxLists:
        return InboxLists(
            review.link, review.store, review.policies, number_prefix=self._number_prefix(review.link)
        )

    def _number_prefix(self, link: str) -> str:
        """What stands before orders' numbers; as released while the business's own files cannot be used."""
        try:
            return self.desk.runtime(link).config.orders.number_prefix
        except ConfigError:
            return OrderRules().number_prefix

    # The list

    def inbox(self, request: Request, failed: Failed | None = None) -> Response:
        """The list."""
        visit = visit_of(request)
        view = _view(request)
        if request.method == "GET" and _BEFORE in request.query_params:
            return self._narrowed(request, view)
        review = self._reading(visit)
        found = self._lists(review).page(view, visit.now)
        kinds = {Kind(group.kind) for group in found.groups}
        policy = review.policies.kinds[view.kind] if view.kind and view.cause else None
        return self.desk.page(
            request,
            "desk/inbox.html",
            title="Exceptions",
            part="exceptions",
            status=422 if failed else 200,
            inbox=found,
            view=found.view,
            query=lambda **changes: query_of(found.view, **changes),
            sorts=_SORTS,
            policy=policy,
            cause_edits=[name for name in policy.editable if name in BULK_EDITS] if policy else [],
            deeds=_bulk_deeds(review, kinds, is_closed=view.is_closed),
            failed=failed,
            ticked=lambda name, number: " checked" if str(number) in visit.form.getlist(name) else "",
        )

    def _narrowed(self, request: Request, view: View) -> Response:
        """The answer to the form above the list: on to the list, whose address remembers nothing for anybody else."""
        answer = self.desk.redirect(request, "/exceptions", **query_of(view))
        chosen = request.query_params.get("owner")
        # Whoever searches in a list to which a link has led has not chosen its team.
        if chosen is not None and chosen != request.query_params[_BEFORE]:
            self._remember(request, answer, view.owner)
        return answer

    @staticmethod
    def _remember(request: Request, answer: Response, team: Owner | None) -> None:
        """Keep the team for the next visit."""
        root = str(request.scope.get("root_path", "")) or DESK_PREFIX
        answer.set_cookie(
            TEAM_COOKIE,
            quote(team or "", safe=""),
            max_age=_A_YEAR,
            path=root,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )

    def bulk(self, request: Request) -> Response:
        """One deed for many exceptions."""
        visit = visit_of(request)
        try:
            review = self.desk.runtime(visit.link).review()
        except ConfigError as error:
            return self.inbox(request, Failed("bulk", str(error), _typed(visit)))
        form = visit.form
        name = str(form.get("deed") or "")
        action = next((one for one in BULK if one.value == name), None)
        shown = _view(request).filter(visit.now, self._number_prefix(review.link))
        ids = _chosen(review, visit, replace(shown, opened_until=_moment(form.get("shown_at"))))
        if action is None or not ids:
            what = "Choose what to do." if ids else "Tick the exceptions, or a cause, that it is about."
            return self.inbox(request, Failed("bulk", what, _typed(visit)))
        if action in NEEDS_NOTE and not str(form.get("note") or "").strip():
            return self.inbox(
                request, Failed("bulk", f"Say in the note {NEEDS_NOTE[action]}.", _typed(visit))
            )
        decision = _decision(visit, action)
        done, left = _carry_out(review, decision, ids)
        view = _view(request)
        return self.desk.page(
            request,
            "desk/inbox_done.html",
            title=f"{LABELS[action]}: {sum(one.is_done for one in done):,} of {len(ids):,} done",
            part="exceptions",
            done=done,
            left=left,
            decision=decision,
            back=query_of(view),
            query=lambda **changes: query_of(view, **changes),
        )

    # One exception

    def exception(
        self,
        request: Request,
        number: int,
        failed: Failed | None = None,
        status: int = 200,
        revealed: str | None = None,
    ) -> Response:
        """All about one exception."""
        visit = visit_of(request)
        review = self._reading(visit)
        case = _case(review, number, visit)
        view = _view(request)
        around = self._lists(review).neighbours(view, number, visit.now)
        after = _number(request.query_params.get("next")) if around.place is None else None
        sides = self.desk.runtime(visit.link).side_by_side()
        is_asked = sides.is_asked(case.one)
        is_shown = not is_asked or request.query_params.get("beside") == "1"
        return self.desk.page(
            request,
            "desk/exception.html",
            title=case.row.title,
            part="exceptions",
            status=status,
            case=case,
            one=case.one,
            policy=case.policy,
            deadline=case.row.deadline,
            around=replace(around, after=after) if after else around,
            base=f"/exceptions/{visit.link}/{number}",
            query=lambda **changes: query_of(view, **changes),
            beside=sides.of(case.one) if is_shown else None,
            is_asked=is_asked,
            **_advice(case.policy, visit.link),
            anchor=review.policies.playbook(case.one.kind),
            place=place_of(case.one),
            night=_night(case.one),
            escalation=review.policies.escalation(case.one.kind, case.one.owner),
            silences=SILENCES,
            failed=failed,
            revealed=revealed,
        )

    def beside(self, request: Request, number: int) -> Response:
        """Source beside target alone, to be put into the page of the exception."""
        visit = visit_of(request)
        case = _case(self._reading(visit), number, visit)
        sides = self.desk.runtime(visit.link).side_by_side()
        return self.desk.page(
            request, "desk/exception_beside.html", title=case.row.title, beside=sides.of(case.one)
        )

    def decide(self, request: Request, number: int, deed: str) -> Response:
        """Do what somebody decided about one exception."""
        visit = visit_of(request)
        try:
            review = self.desk.runtime(visit.link).review()
        except ConfigError as error:
            return self.exception(request, number, Failed(deed, str(error), _typed(visit)), 503)
        _case(review, number, visit)
        if deed == "reveal":
            return self.exception(request, number, revealed=_reveal(review, number, visit))
        if deed in ("silence", "lift"):
            return self._silence(request, review, number, deed)
        action = next((one for one in Action if one.value == deed), None)
        if action is None:
            raise NotFound(f"There is no such deed. There are: {', '.join((*Action, 'silence', 'lift'))}.")
        view = _view(request)
        after = self._lists(review).neighbours(view, number, visit.now).after
        (done,) = review.carry_out(_decision(visit, action), [number])
        if not done.is_done:
            failed = Failed(deed, done.message, _typed(visit))
            return self.exception(request, number, failed, 503 if done.is_later else 422)
        is_open = review.store.exceptions.get(review.link, number).status in OPEN
        more = {} if is_open else {"next": after}
        told = (
            "This is what would be sent. Nothing was sent or kept."
            if action is Action.DRY_RUN
            else done.message
        )
        return self._back(request, number, told, view, **more)

    def _silence(self, request: Request, review: Review, number: int, deed: str) -> Response:
        visit, view = visit_of(request), _view(request)
        silence = review.show(number).silence
        try:
            if deed == "lift":
                _lift(review, silence, visit)
                return self._back(request, number, "People are told of it again.", view)
            _keep_silent(review, number, silence, visit)
        except _Otherwise as error:
            return self.exception(request, number, Failed("lift", str(error), _typed(visit)), 422)
        except PermanentError as error:
            return self.exception(request, number, Failed(deed, str(error), _typed(visit)), 422)
        return self._back(request, number, "Nobody is told of it for as long as you have said.", view)

    def _back(self, request: Request, number: int, told: str, view: View, **more: Any) -> Response:
        path = f"/exceptions/{visit_of(request).link}/{number}"
        return self.desk.redirect(request, path, told=told, **query_of(view), **more)


# Silence


class _Otherwise(PermanentError):
    """Somebody else has set another silence meanwhile; it stands on the page now."""


def _lift(review: Review, silence: Silence | None, visit: Visit) -> None:
    if silence is None:
        return
    if silence.id != _number(str(visit.form.get("silence") or "")):
        raise _Otherwise(
            f"Nothing was done: this is another silence, which {silence.actor} has set meanwhile."
        )
    review.lift(silence.id, actor=visit.name)


def _keep_silent(review: Review, number: int, silence: Silence | None, visit: Visit) -> None:
    until, is_kind = visit.now + timedelta(hours=_hours(visit)), visit.form.get("whole_kind") == "1"
    if silence is None:
        reason = str(visit.form.get("reason") or "")
        review.silence(number, actor=visit.name, reason=reason, until=until, whole_kind=is_kind)
        return
    is_same = silence.actor == visit.name and is_kind == (not silence.cause_group)
    if not is_same or abs(until - silence.until) > SENT_TWICE:
        raise _Otherwise(
            f"Nothing was done: {silence.actor} has silenced it already, as it stands here. Tell people again first if "
            "it should be another time, or the whole kind."
        )


# Lists and addresses


def view_of(params: Mapping[str, str], team: str) -> View:
    """The list that an address names; what makes no sense in it narrows nothing.

    :param team: of the cookie, for an address that names none.
    """
    owner = params["owner"] if "owner" in params else unquote(team)
    kind = _one_of(Kind, params.get("kind"))
    return View(
        owner=_one_of(Owner, owner),
        due=_one_of(Due, params.get("due")) or Due.ANY,
        has_money=params.get("money") == "1",
        kind=kind,
        store=params.get("store", "")[:200],
        text=params.get("q", "").strip()[:200],
        is_closed=params.get("state") == "closed",
        sort=_one_of(Sort, params.get("sort")) or Sort.URGENCY,
        by_cause=params.get("view") != "all",
        cause=params.get("cause", "") if kind else "",
        page=max(1, _number(params.get("page")) or 1),
    )


def _view(request: Request) -> View:
    return view_of(request.query_params, request.cookies.get(TEAM_COOKIE, ""))


def query_of(view: View, **changes: Any) -> dict[str, str]:
    """The address of a list; a change of what it holds leads to its first page.

    :param changes: fields of the view; kinds, teams and deadlines may be given as an address has them.
    """
    if changes:
        for name, choices in (("due", Due), ("kind", Kind), ("owner", Owner)):
            if name in changes:
                changes[name] = choices(changes[name]) if changes[name] or choices is Due else None
        view = replace(view, **{"page": 1, **changes})
    found = {
        "owner": view.owner or "",
        "due": view.due.value,
        "money": "1" if view.has_money else "",
        "kind": view.kind or "",
        "cause": view.cause,
        "store": view.store,
        "q": view.text,
        "state": "closed" if view.is_closed else "",
        "sort": "" if view.sort is Sort.URGENCY else view.sort.value,
        "view": "" if view.by_cause else "all",
        "page": "" if view.page == 1 else str(view.page),
    }
    return {name: str(value) for name, value in found.items() if value or name == "owner"}


def _one_of(choices: Any, value: str | None) -> Any:
    return next((one for one in choices if one.value == value), None) if value else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 18 else None


# Deeds


def _case(review: Review, number: int, visit: Visit) -> Case:
    try:
        return case_of(review, number, visit.now)
    except PermanentError as error:
        raise NotFound(str(error)) from error


def _reveal(review: Review, number: int, visit: Visit) -> str:
    try:
        return review.reveal(number, actor=visit.name) or ""
    except PermanentError as error:
        raise NotFound(str(error)) from error


def _advice(policy: KindPolicy, link: str) -> dict[str, Any]:
    """What the playbook says about a kind, in the pieces that the page shows."""

    def said(text: str) -> list[Span]:
        # This page is not the playbook's, so a place in it is told by its whole address.
        return [
            replace(one, href=playbook_address(one.href[1:])) if one.href.startswith("#") else one
            for one in words(text, link)
        ]

    card = policy.playbook
    advice = [
        ("First", policy.first_response),
        ("Safe", card.safe_action),
        ("Never", card.do_not),
        ("Tell", card.tell),
        ("Over when", card.proof),
    ]
    return {
        "effect": said(card.effect),
        "advice": [(label, said(text)) for label, text in advice],
        "checks": [said(text) for text in card.checks],
    }


def _night(one: StoredException) -> str:
    """Address of the report of the night that found it, below Airflow's own; empty: none did."""
    night = one.payload.get("night")
    return f"{NIGHTS_PREFIX}/{one.link}/{night}/index.html" if isinstance(night, str) else ""


def _decision(visit: Visit, action: Action) -> Decision:
    """What a form says; a field that was left as it was is no correction."""
    form = _typed(visit)
    edits: dict[str, str] = {}
    if action in TRYING:
        for name, value in form.items():
            if name.startswith(_EDIT) and value.strip() != form.get(f"was.{name}", ""):
                edits[name.removeprefix(_EDIT)] = value.strip()
    return Decision(
        action,
        visit.name,
        note=form.get("note", ""),
        edits=edits,
        order_number=form.get("order_number", ""),
        seen=_number(form.get("seen")),
    )


def _typed(visit: Visit) -> dict[str, str]:
    return {name: value for name, value in visit.form.items() if isinstance(value, str)}


def _hours(visit: Visit) -> int:
    given = _number(str(visit.form.get("hours") or ""))
    return given if given in dict(SILENCES) else SILENCES[0][0]


def _bulk_deeds(review: Review, kinds: set[Kind], *, is_closed: bool) -> list[tuple[str, str]]:
    """What can be done to at least one kind of a list, with its label."""
    policies = [review.policies.kinds[kind] for kind in kinds]
    if is_closed:
        return [(one.value, LABELS[one]) for one in (Action.REOPEN, Action.NOTE)] if policies else []
    return [
        (one.value, LABELS[one])
        for one in BULK
        if one is not Action.REOPEN and any(policy.allows(one) for policy in policies)
    ]


def _chosen(review: Review, visit: Visit, shown: Filter) -> list[int]:
    """The exceptions that a form is about: single ones, and all of causes, as far as the list has shown them.

    :param shown: the list.
    """
    named = [*visit.form.getlist("id"), *str(visit.form.get("ids") or "").split(",")]
    found = {number: None for value in named if (number := _number(str(value)))}
    for value in visit.form.getlist("cause_of"):
        number = _number(str(value))
        if number:
            try:
                found.update((one, None) for one in review.ids_of_cause(number, shown))
            except PermanentError as error:
                raise NotFound(str(error)) from error
    return list(found)


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _carry_out(review: Review, decision: Decision, ids: list[int]) -> tuple[list[Done], list[int]]:
    """Do it to one after the other, until the time is over; what was done, and what is left."""
    done: list[Done] = []
    until = time.monotonic() + BULK_SECONDS
    for place, each in enumerate(ids):
        if time.monotonic() > until:
            return done, ids[place:]
        done += review.carry_out(decision, [each])
    return done, []
