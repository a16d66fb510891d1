"""commercetools HTTP API: keyset paging, predicates, versioned writes, one table of error codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx

from cogent_ops.clients.oauth import ClientCredentials
from cogent_ops.clients.redaction import Redactor
from cogent_ops.clients.transport import (
    Call,
    RateBudget,
    Target,
    Transport,
    Tuning,
    checked_secret,
    checked_url,
    correlation_id,
    retry_after,
)
from cogent_ops.domain.priorities import Priority
from cogent_ops.errors import (
    AmbiguousOutcome,
    ApiRejected,
    CogentOpsError,
    ConnectionConfigError,
    MissingScope,
    RateLimited,
    TargetUnavailable,
)

Json = dict[str, Any]

NAME = "commercetools"
MAX_PAGE = 500
#: Longer request targets are refused by the API's front ends.
MAX_URI_BYTES = 8000
#: Room for the part of a query that moves the cursor.
_CURSOR_BYTES = len(quote('&where=id > ""')) + 64
#: Allowed in a query as they are; every byte counts.
_PLAIN = "(),:"
#: Unique field besides the id, where it is not called ``key``.
_ALTERNATE_KEYS = {"orders": "order-number"}
_SCOPE = re.compile(r"\b(?:view|manage|create)_[a-z_]+\b")
_OPENING = quote(" in (", safe=_PLAIN)


@dataclass(frozen=True)
class CommercetoolsAccount:
    """A connection to one project.

    :param api_url: base URL with scheme and port, without the project key.
    :param auth_url: base URL of the authorization server.
    :param scopes: asked for with the token; empty means all that the API client has.
    :raises ConnectionConfigError: naming the field that cannot be right.
    """

    conn_id: str
    api_url: str
    auth_url: str
    project_key: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the fields."""
        checked_url(self.conn_id, "host (API base URL)", self.api_url)
        checked_url(self.conn_id, "extra auth_url", self.auth_url)
        checked_secret(self.conn_id, "extra project_key", self.project_key)
        checked_secret(self.conn_id, "login (client id)", self.client_id)
        checked_secret(self.conn_id, "password (client secret)", self.client_secret)

    @property
    def budget_name(self) -> str:
        """The rate budget's target: every link that reads this project shares it."""
        return f"{NAME}/{self.project_key}"


class Action(StrEnum):
    """What to do about an error."""

    RETRY = "retry"
    """Nothing was changed: send again after a pause."""
    REFETCH = "refetch"
    """Somebody else was faster, or nobody knows what happened: read, compute and send anew. A read: send again."""
    ADOPT = "adopt"
    """It exists already: read it and go on with it."""
    PERMANENT = "permanent"
    """Sending again changes nothing."""


ACTIONS: Mapping[str | int, Action] = {
    "ConcurrentModification": Action.REFETCH,
    "General": Action.REFETCH,
    "DuplicateField": Action.ADOPT,
    "DuplicateFieldWithConflictingResource": Action.ADOPT,
    "BadGateway": Action.RETRY,
    "OverCapacity": Action.RETRY,
    "PendingOperation": Action.RETRY,
    409: Action.REFETCH,
    429: Action.RETRY,
    500: Action.REFETCH,
    501: Action.PERMANENT,
    502: Action.RETRY,
    503: Action.RETRY,
    504: Action.REFETCH,
}


def action_for(status: int, codes: Sequence[str]) -> Action:
    """The one decision about an error answer: by the first known code, else by status.

    Fallback: an unknown server error leaves the outcome open, any other answer is final.
    """
    candidates: tuple[str | int, ...] = (*codes, status)
    for known in candidates:
        if known in ACTIONS:
            return ACTIONS[known]
    return Action.REFETCH if status >= httpx.codes.INTERNAL_SERVER_ERROR else Action.PERMANENT


class CommercetoolsRefused(ApiRejected):
    """The API refused a request.

    :param status: HTTP status code.
    :param action: what the table of errors says about it.
    :param details: the first error object as the API sent it, e.g. with ``field`` and ``duplicateValue``.
    """

    def __init__(
        self, status: int, action: Action, code: str, message: str, details: Json, correlation: str | None
    ) -> None:
        super().__init__(NAME, code, message, correlation_id=correlation)
        self.status, self.action, self.details = status, action, details


@dataclass(frozen=True)
class Updated:
    """A write that took effect."""

    resource: Json


@dataclass(frozen=True)
class Conflict:
    """The resource is not at the version that the update expected; nothing was changed.

    :param current_version: its version now, where the API told.
    """

    current_version: int | None


@dataclass(frozen=True)
class Created:
    """A new resource."""

    resource: Json


@dataclass(frozen=True)
class Exists:
    """A value that must be unique is taken; nothing was created.

    :param field: e.g. ``key``, ``sku``, ``orderNumber``.
    """

    field: str
    value: Any


@dataclass(frozen=True)
class Ensured:
    """A resource that is there now.

    :param created: by this call; ``False``: it was there before, perhaps with other content.
    """

    resource: Json
    created: bool


@dataclass(frozen=True)
class Subscription:
    """A Subscription of the project: it puts notifications of changes into somebody's queue.

    :param name: its key, or its id where it has none.
    :param status: ``Healthy``, or why it is not delivering.
    :param destination: kind of queue, such as ``SQS``.
    """

    id: str
    name: str
    status: str
    destination: str
    created_at: datetime

    @classmethod
    def of(cls, raw: Json) -> Subscription:
        """From what the API says."""
        return cls(
            id=raw["id"],
            name=raw.get("key") or raw["id"],
            status=raw["status"],
            destination=raw["destination"]["type"],
            created_at=datetime.fromisoformat(raw["createdAt"]),
        )


class CommercetoolsClient:
    """One project. Threads may share a client, and forks.

    Reads raise :class:`~cogent_ops.errors.RetryableError` once their patience ends. Writes raise
    :class:`~cogent_ops.errors.AmbiguousOutcome` when they may have taken effect: read before sending again.
    """

    def __init__(
        self,
        account: CommercetoolsAccount,
        budget: RateBudget,
        priority: Priority,
        tuning: Tuning | None = None,
    ) -> None:
        self.account, tuning = account, tuning or Tuning()
        clean = Redactor(account.client_secret, account.client_id)
        api = Target(NAME, account.api_url.rstrip("/"), account.conn_id, "host (API base URL)")
        login = Target(f"{NAME} login", account.auth_url.rstrip("/"), account.conn_id, "extra auth_url")
        self._auth = ClientCredentials(
            account,
            Transport(login, budget, priority, tuning, clean=clean),
            account.client_id,
            account.client_secret,
            account.scopes,
            clean,
        )
        self._transport = Transport(api, budget, priority, tuning, clean=clean, auth=self._auth)
        self._base = f"{api.url}/{quote(account.project_key, safe='')}"

    # Reading

    def project(self) -> Json:
        """The project itself: languages, currencies, countries, ``productCatalogModel``.

        :raises ConnectionConfigError: when there is no such project.
        """
        try:
            return self._get("")
        except CommercetoolsRefused as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            raise ConnectionConfigError(
                self.account.conn_id,
                "extra project_key",
                f"there is no project '{self.account.project_key}' at {self.account.api_url}",
                "Give the project's key (not its name), and the API base URL of its region.",
            ) from None

    def granted_scopes(self) -> tuple[str, ...]:
        """The scopes of the access token, e.g. ``manage_products:my-project``."""
        return self._auth.token().scopes

    def sign_in(self) -> tuple[str, ...]:
        """Fetch another access token, and give its scopes: whether the credentials are accepted at this moment.

        :raises ConnectionConfigError: when they are not.
        :raises TargetUnavailable: when the authorization server fails.
        """
        return self._auth.renewed().scopes

    def subscriptions(self) -> list[Subscription]:
        """The project's Subscriptions, whoever made them, without what opens their destinations.

        :raises MissingScope: without ``manage_subscriptions``; there is no scope that allows reading alone.
        """
        return [Subscription.of(one) for page in self.pages("subscriptions") for one in page]

    def access_ends(self) -> datetime | None:
        """When commercetools will delete the API client of this connection; ``None``: not by itself.

        :raises MissingScope: without ``view_api_clients``.
        """
        found = self.get("api-clients", self.account.client_id) or {}
        moment = found.get("deleteAt")
        return None if moment is None else datetime.fromisoformat(moment)

    def pages(
        self,
        resource: str,
        *,
        where: Iterable[str] = (),
        params: Mapping[str, str] | None = None,
        page_size: int = MAX_PAGE,
    ) -> Iterator[list[Json]]:
        """Every resource that fulfils all predicates, in pages ordered by id; no page is empty.

        A resource that is created or deleted while the pages are read can neither hide another nor show it twice.

        :param resource: path below the project, e.g. ``product-projections``.
        :param params: further query parameters, e.g. ``{"staged": "false"}``.
        :raises ValueError: for a page size outside 1 to 500.
        """
        query = self._query(resource, page_size, params)
        yield from self._pages(
            resource, query + "".join(f"&where={_encoded(text)}" for text in where), page_size
        )

    def by_values(
        self,
        resource: str,
        field: str,
        values: Iterable[str],
        *,
        params: Mapping[str, str] | None = None,
        page_size: int = MAX_PAGE,
    ) -> Iterator[list[Json]]:
        """Every resource whose field has one of the values, in pages; a value may have any number of them.

        :param field: e.g. ``sku`` or ``id``, or a nested one with what it is nested in: ``custom(fields(shade))``.
        :param values: each is asked for once. One that alone exceeds the length of a URI cannot be asked for,
            and nothing is found for it.
        """
        query = self._query(resource, page_size, params)
        for predicate in predicates(field, values, MAX_URI_BYTES - len(query) - _CURSOR_BYTES):
            yield from self._pages(resource, f"{query}&where={predicate}", page_size)

    def get(self, resource: str, id_: str | None = None, *, key: str | None = None) -> Json | None:
        """One resource by id or by key (an order by its number); ``None`` when there is none."""
        try:
            return self._get(self._path(resource, id_, key))
        except CommercetoolsRefused as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            return None

    @staticmethod
    def literal(text: str) -> str:
        """A text as a predicate writes it, in quotes."""
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    # Writing

    def create(self, resource: str, draft: Mapping[str, Any]) -> Created | Exists:
        """Create a resource (``orders/import`` imports an order).

        :raises AmbiguousOutcome: when it may have been created; look it up by what makes it unique.
        """
        try:
            return Created(self._post(f"/{resource}", draft))
        except CommercetoolsRefused as error:
            if error.action is not Action.ADOPT:
                raise
            return Exists(str(error.details.get("field", "")), error.details.get("duplicateValue"))

    def ensure(self, resource: str, draft: Mapping[str, Any]) -> Ensured:
        """Create a resource with a key, or find the one that has this key; it is never created twice.

        :param draft: with ``key``.
        :raises AmbiguousOutcome: when even a second try leaves open whether it was created.
        :raises ApiRejected: when another unique value of the draft belongs to a resource with another key.
        """
        key = str(draft["key"])
        try:
            made = self.create(resource, draft)
        except AmbiguousOutcome:
            # The first request may still be under way; then the API refuses the second as a duplicate.
            found = self.get(resource, key=key)
            made = self.create(resource, draft) if found is None else Created(found)
        if isinstance(made, Created):
            return Ensured(made.resource, created=True)
        found = self.get(resource, key=key)
        if found is None:
            taken = f"'{made.value}' is taken for '{made.field}', but not by a resource with the key '{key}'."
            raise ApiRejected(NAME, "DuplicateField", self._transport.clean(taken))
        return Ensured(found, created=False)

    def update(
        self, resource: str, id_: str, version: int, actions: Sequence[Mapping[str, Any]]
    ) -> Updated | Conflict:
        """Change a resource if it still is at ``version``; all actions take effect or none.

        :raises AmbiguousOutcome: when they may have taken effect; read the resource again.
        """
        try:
            return Updated(
                self._post(self._path(resource, id_, None), {"version": version, "actions": list(actions)})
            )
        except CommercetoolsRefused as error:
            if error.action is not Action.REFETCH:
                raise
            return Conflict(error.details.get("currentVersion"))

    def delete(self, resource: str, id_: str, version: int) -> Updated | Conflict:
        """Remove a resource if it still is at ``version``; one that is not there any more counts as a conflict.

        :raises AmbiguousOutcome: when it may have been removed; look for it.
        """
        path = f"{self._base}{self._path(resource, id_, None)}?version={version}"
        try:
            return Updated(self._call("DELETE", resource, path))
        except CommercetoolsRefused as error:
            if error.action is not Action.REFETCH and error.status != httpx.codes.NOT_FOUND:
                raise
            return Conflict(error.details.get("currentVersion"))

    # Requests

    def _query(self, resource: str, page_size: int, params: Mapping[str, str] | None) -> str:
        if not 1 <= page_size <= MAX_PAGE:
            raise ValueError(f"A page holds 1 to {MAX_PAGE} resources, not {page_size}.")
        fixed = {"limit": str(page_size), "withTotal": "false", "sort": "id asc", **(params or {})}
        return f"{self._base}/{resource}?{urlencode(fixed, quote_via=quote)}"

    def _pages(self, resource: str, url: str, size: int) -> Iterator[list[Json]]:
        last = ""
        while True:
            cursor = f"&where={_encoded(f'id > {self.literal(last)}')}" if last else ""
            page: list[Json] = self._call("GET", resource, url + cursor)["results"]
            last = self._last_id(resource, page, last)
            if page:
                yield page
            if len(page) < size:
                return

    def _last_id(self, resource: str, page: list[Json], last: str) -> str:
        """The cursor after a page, which is only sound when the server sorted by id."""
        for one in page:
            if one["id"] <= last:
                raise ApiRejected(
                    NAME, "OutOfOrder", f"{resource} came not sorted by id, so reading on would lose some."
                )
            last = one["id"]
        return last

    def _path(self, resource: str, id_: str | None, key: str | None) -> str:
        if (id_ is None) == (key is None):
            raise ValueError("Give either an id or a key.")
        if id_ is not None:
            return f"/{resource}/{quote(id_, safe='')}"
        return f"/{resource}/{_ALTERNATE_KEYS.get(resource, 'key')}={quote(key or '', safe='')}"

    def _get(self, path: str) -> Json:
        return self._call("GET", path.split("/")[1] if path else "project", self._base + path)

    def _post(self, path: str, body: Mapping[str, Any]) -> Json:
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self._call("POST", path.split("/")[1], self._base + path, content)

    def _call(self, method: str, name: str, url: str, content: bytes | None = None) -> Json:
        headers = {"X-Correlation-ID": f"{self.account.project_key}/{uuid4()}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        return self._transport.call(
            Call(
                f"{method} {name}",
                method,
                url,
                lambda response: self._read(f"{method} {name}", response),
                content=content,
                headers=headers,
                idempotent=method == "GET",
            )
        )

    # Answers

    def _read(self, what: str, response: httpx.Response) -> Json:
        body = _parsed(response)
        if response.is_success and body is not None:
            return body
        if response.is_success or response.is_redirect:
            raise self._transport.target.misconfigured(
                f"{self.account.api_url} answered {what} with {response.status_code} and no JSON",
                "Give the base URL of the HTTP API, e.g. https://api.europe-west1.gcp.commercetools.com.",
            )
        raise self._failure(what, response, body or {})

    def _failure(self, what: str, response: httpx.Response, body: Json) -> CogentOpsError:
        status, errors = response.status_code, _error_objects(body)
        codes = [str(error["code"]) for error in errors if error.get("code")]
        first = errors[0] if errors else {}
        said = (body.get("message") or response.reason_phrase, first.get("detailedErrorMessage"))
        message = self._transport.clean(" ".join(str(text) for text in said if text))
        if status == httpx.codes.UNAUTHORIZED:
            return self._token_refused(message)
        if status == httpx.codes.FORBIDDEN:
            return self._scope_missing(what, message)
        action = action_for(status, codes)
        correlation = correlation_id(response)
        code = codes[0] if codes else f"HTTP {status}"
        kind = f"{status} {code}" if codes else str(status)
        text = f"commercetools answered {what} with {kind}: {message} (correlation id {correlation})"
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return RateLimited(text, retry_after=retry_after(response))
        if action is Action.RETRY:
            return TargetUnavailable(text, retry_after=retry_after(response))
        if action is Action.REFETCH and status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return AmbiguousOutcome(text, retry_after=retry_after(response))
        return CommercetoolsRefused(status, action, code, message, first, correlation)

    def _token_refused(self, message: str) -> CogentOpsError:
        return self._transport.target.misconfigured(
            f"the API refuses an access token that was fetched just now: {message}",
            "Check that both URLs belong to the project's region, and that the API client still exists.",
            "host (API base URL) and extra auth_url",
        )

    def _scope_missing(self, what: str, message: str) -> MissingScope:
        wanted = list(dict.fromkeys(_SCOPE.findall(message)))
        scope = f"the scope {' or '.join(wanted)}" if wanted else f"a scope that {what} needs ({message})"
        return MissingScope(
            f"Connection '{self.account.conn_id}': the API client lacks {scope}",
            "The scopes of an API client cannot be changed: create one that has it (Merchant Center, Settings, "
            "Developer settings), and put its id and secret into the fields login and password. If 'extra scopes' is "
            "filled, name the scope there, too.",
        )


# Predicates


def predicates(field: str, values: Iterable[str], room: int) -> Iterator[str]:
    """Percent-encoded ``field in (…)`` predicates, each at most ``room`` bytes, which together name every value once.

    A value that alone does not fit is left out.

    :param field: see :meth:`CommercetoolsClient.by_values`.
    """
    name = field.rstrip(")")
    head, tail = _encoded(name) + _OPENING, ")" + field[len(name) :]
    room -= len(head) + len(tail)
    chunk: list[str] = []
    used = 0
    for value in dict.fromkeys(values):
        text = _encoded(CommercetoolsClient.literal(value))
        if len(text) > room:
            continue
        if chunk and used + len(text) > room:
            yield f"{head}{','.join(chunk)}{tail}"
            chunk, used = [], 0
        chunk.append(text)
        used += len(text) + 1
    if chunk:
        yield f"{head}{','.join(chunk)}{tail}"


def _encoded(text: str) -> str:
    return quote(text, safe=_PLAIN)


def _parsed(response: httpx.Response) -> Json | None:
    try:
        body = json.loads(response.content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _error_objects(body: Json) -> list[Json]:
    errors = body.get("errors")
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
