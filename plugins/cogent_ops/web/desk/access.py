"""Who may read the desk and who may decide there, and that a form was sent by a page of ours.

Airflow authenticates no plugin app and protects none against forged forms, so one guard hangs on the whole app: nobody
who adds a route can forget it. Reading a link's pages takes the right to read its ``sync_health``; everything else the
right to answer the questions of its ``exception_review``, as under Required Actions.

A forged form is one that somebody else's page sends with a visitor's cookie. Ours carry a token that only this
installation can have made, for this visitor, and browsers say which page a form comes from.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest, new
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from cogent_ops.dag_defaults import dag_id
from cogent_ops.links import link_names

HEALTH_DAG = "sync_health"
REVIEW_DAG = "exception_review"
TOKEN_FIELD = "form_token"  # noqa: S105  # a field's name
#: A page that lay open for longer has to be loaded again before it is sent.
TOKEN_HOURS = 12
_READING = frozenset({"GET", "HEAD"})


def clock() -> datetime:
    """The time of the page."""
    return datetime.now(UTC)


@dataclass
class Visit:
    """Somebody who asks for a page.

    :param name: as the audit log names them.
    :param links: those that they may read.
    :param link: the one that the page is about.
    :param may_decide: whether they may do something about this link's exceptions.
    :param now: when they asked.
    :param form: what they sent; empty where they only read.
    """

    name: str
    user_id: str
    links: tuple[str, ...]
    link: str
    may_decide: bool
    now: datetime
    form: FormData

    def form_token(self) -> str:
        """A token for one more form. Two are never the same, so that nothing can be learned from a page's length."""
        return form_token(self.user_id, self.now)


def visit_of(request: Request) -> Visit:
    """Who asks, as the guard has found out."""
    visit: Visit = request.state.visit
    return visit


def guard() -> Callable[..., Awaitable[None]]:
    """The dependency of every route.

    It answers 401 without a login, 403 without the right or the token, and 404 for a link that does not exist.
    """
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends

    async def check(request: Request, user: Any = Depends(get_user)) -> None:  # noqa: B008  # FastAPI's way
        visit = await run_in_threadpool(_visit, request, user)
        if request.method not in _READING:
            _require_right_to_decide(visit)
            _require_our_page(request)
            visit.form = await request.form(max_files=0)
            _require_token(visit)
        request.state.visit = visit

    return check


def _visit(request: Request, user: Any) -> Visit:
    names = link_names()
    wanted = request.path_params.get("link") or request.query_params.get("link")
    if wanted is not None and wanted not in names:
        raise HTTPException(404, "There is no such link. The links are those of include/mapping.yaml.")
    readable = tuple(name for name in names if has_right(request, user, "GET", HEALTH_DAG, name))
    if not readable or wanted not in (None, *readable):
        raise HTTPException(403, "You may not read this. It takes the right to read the DAG sync_health.")
    link = wanted or readable[0]
    return Visit(
        name=str(user.get_name()),
        user_id=str(user.get_id()),
        links=readable,
        link=link,
        may_decide=has_right(request, user, "PUT", REVIEW_DAG, link),
        now=clock(),
        form=FormData(),
    )


def has_right(request: Request, user: Any, method: Any, flow: str, link: str) -> bool:
    """Whether somebody may read (``GET``) a flow's DAG of a link, or answer its questions (``PUT``)."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    entity = DagAccessEntity.HITL_DETAIL if method == "PUT" else None
    try:
        requires_access_dag(method, entity, dag_id(flow, link))(request, user)
    except HTTPException:
        return False
    return True


def _require_right_to_decide(visit: Visit) -> None:
    if not visit.may_decide:
        raise HTTPException(
            403,
            "You may look at this, not decide. It takes the right to answer questions of exception_review.",
        )


def _require_our_page(request: Request) -> None:
    """Refuse what a page from elsewhere sends. Browsers say so themselves, and scripts cannot make them lie."""
    from airflow.configuration import conf

    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    # Behind a proxy the request's own address may be another than the one in the visitor's browser.
    ours = {urlsplit(conf.get("api", "base_url", fallback="") or "").netloc, request.url.netloc} - {""}
    is_foreign = origin is not None and urlsplit(origin).netloc not in ours
    if is_foreign or site not in (None, "same-origin") or (site is None and origin is None):
        raise HTTPException(
            403, "This was sent from another page. Open the desk in Airflow and repeat it there."
        )


def _require_token(visit: Visit) -> None:
    given = visit.form.get(TOKEN_FIELD)
    if not isinstance(given, str) or not _is_valid(given, visit.user_id, visit.now):
        raise HTTPException(
            403,
            "This form does not come from a page that you have just opened. Nothing was changed: load the page again, "
            "and repeat it.",
        )


def form_token(user_id: str, now: datetime) -> str:
    """A token for a form of this visitor."""
    # Bound to the visitor, not to the cookie: some login systems change that with every request.
    head = f"{int(now.timestamp())}.{secrets.token_hex(8)}"
    return f"{head}.{signature('form', user_id, head)}"


def _is_valid(token: str, user_id: str, now: datetime) -> bool:
    head, _, mac = token.rpartition(".")
    if not compare_digest(mac.encode(), signature("form", user_id, head).encode()):
        return False
    age = now.timestamp() - int(head.partition(".")[0])
    return age < TOKEN_HOURS * 3600


def signature(purpose: str, *parts: str) -> str:
    """What only this installation can write below a text. All API servers share the key.

    :param purpose: what is signed, so that one thing never passes for another.
    """
    from airflow.api_fastapi.auth.tokens import get_signing_key

    key = get_signing_key("api", "secret_key").encode()
    text = "\x00".join(("cogent_ops desk", purpose, *parts))
    return new(key, text.encode(), sha256).hexdigest()
