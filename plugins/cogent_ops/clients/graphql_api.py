"""GraphQL over HTTP as Cloudshelf speaks it: documents, the API key, and what each kind of error means.

Cloudshelf documents neither codes nor wording of its refusals, so errors are recognised by code where there is one
and else leniently by what the message says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import httpx

from cogent_ops.clients.batches import Problem
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
    ConnectionConfigError,
    RateLimited,
    TargetUnavailable,
)

Json = dict[str, Any]

NAME = "cloudshelf"
#: Something before the API gave up waiting, so the request may still be under way. Some are below 500, and yet no
#: fault of the request.
GAVE_UP = frozenset({408, 499, 504})
KEY_FIELD = "password (API key)"
INTERNAL = "INTERNAL_SERVER_ERROR"
#: Codes of user errors that may pass by themselves.
TRANSIENT = frozenset(
    {"ALREADY_IN_PROGRESS", "TEMPORARY_RESTRICTION", "IMAGE_UPLOAD_ERROR", "UNKNOWN_ERROR", INTERNAL}
)


@dataclass(frozen=True)
class CloudshelfAccount:
    """A connection to one organisation.

    :param url: the full GraphQL URL.
    :raises ConnectionConfigError: naming the field that cannot be right.
    """

    conn_id: str
    url: str
    api_key: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check the fields."""
        checked_url(self.conn_id, "host (GraphQL URL)", self.url)
        checked_secret(self.conn_id, KEY_FIELD, self.api_key)

    @property
    def budget_name(self) -> str:
        """The rate budget's target. A key belongs to one organisation, and so does a connection."""
        return f"{NAME}/{self.conn_id}"


class QueryTooComplex(ApiRejected):
    """A query costs more than the API allows at once; nothing was executed. Ask for less."""


class RequestTooLarge(ApiRejected):
    """A request has more bytes than the API takes. Send less at once."""


class RoleRefused(ConnectionConfigError):
    """The API key is valid, but its role does not allow this."""


class _Meaning(StrEnum):
    KEY = "the key is not accepted"
    ROLE = "the key's role does not allow it"
    RATE = "too many requests, or too few credits"
    COMPLEX = "too much at once"
    INTERNAL = "the API failed"
    REFUSED = "the request is wrong"


_CODES = {
    "UNAUTHENTICATED": _Meaning.KEY,
    "UNAUTHORIZED": _Meaning.KEY,
    "FORBIDDEN": _Meaning.ROLE,
    "RATE_LIMITED": _Meaning.RATE,
    "TOO_MANY_REQUESTS": _Meaning.RATE,
    "BAD_USER_INPUT": _Meaning.REFUSED,
}
_WORDS = (
    (
        re.compile(r"(?i)unauthenticated|unauthori[sz]ed|not authenticated|invalid (?:api )?(?:key|token)"),
        _Meaning.KEY,
    ),
    (re.compile(r"(?i)forbidden|access denied|permission denied|not have permission"), _Meaning.ROLE),
    (re.compile(r"(?i)rate.?limit|too many requests|\bcredits?\b|throttl"), _Meaning.RATE),
    (re.compile(r"(?i)complexity|too complex"), _Meaning.COMPLEX),
)
#: What a message quotes is data, and data may hold any word.
_QUOTED = re.compile(r"""(?s)"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
_ABOUT_DATA = re.compile(r"Variable\W")
_OPERATION = re.compile(r"(?m)^(?:query|mutation)\s+(\w+)")
_SPREAD = re.compile(r"(?m)^\s*\.\.\.(\w+)\s*$")
_DOCUMENTS = Path(__file__).parent / "documents"


@dataclass(frozen=True)
class GraphqlError:
    """An entry of ``errors`` in an answer."""

    code: str
    message: str
    retry_after: float | None

    @property
    def meaning(self) -> _Meaning:
        """What it means: by a code that says it, else by words, else as far as the code goes."""
        if self.code in _CODES:
            return _CODES[self.code]
        words = "" if _ABOUT_DATA.match(self.message) else _QUOTED.sub("", self.message)
        found = next((meaning for pattern, meaning in _WORDS if pattern.search(words)), None)
        return found or (_Meaning.INTERNAL if self.code == INTERNAL else _Meaning.REFUSED)


@dataclass(frozen=True)
class Answer:
    """The answer to a mutation.

    :param data: by root field; empty when nothing was executed.
    :param problems: errors of the whole request that are not about key, role, rate or size.
    """

    data: Json
    problems: tuple[Problem, ...] = ()


class GraphqlApi:
    """Sends documents. Every one of them may be sent twice: reads, upserts by external id, sets and deletions."""

    def __init__(
        self, account: CloudshelfAccount, budget: RateBudget, priority: Priority, tuning: Tuning
    ) -> None:
        self.account, self.clean = account, Redactor(account.api_key)
        self._target = Target(NAME, account.url, account.conn_id, "host (GraphQL URL)")
        self._transport = Transport(self._target, budget, priority, tuning, clean=self.clean)
        self._headers = {"Authorization": f"Token {account.api_key}", "Content-Type": "application/json"}

    def query(self, document: str, **variables: Any) -> Json:
        """Send a document; any error in the answer is raised.

        :param document: name of a file in ``documents``, without its ending.
        :raises ConnectionConfigError: when the key or its role is not accepted.
        :raises QueryTooComplex: when it costs too much.
        :raises ApiRejected: when the API refuses it otherwise.
        """
        return self._call(document, variables, tolerant=False).data

    def mutate(self, document: str, variables: Mapping[str, Any]) -> Answer:
        """Send a mutation of a batch; errors that may be the fault of single records are part of the answer.

        :raises ConnectionConfigError: when the key or its role is not accepted.
        :raises QueryTooComplex: when it costs too much.
        :raises RequestTooLarge: when it is too long.
        """
        return self._call(document, variables, tolerant=True)

    def _call(self, document: str, variables: Mapping[str, Any], *, tolerant: bool) -> Answer:
        text, operation = load_document(document)
        body = {"query": text, "operationName": operation, "variables": variables}
        return self._transport.call(
            Call(
                operation,
                "POST",
                self.account.url,
                lambda response: self._read(operation, response, tolerant=tolerant),
                content=json.dumps(body, separators=(",", ":")).encode(),
                headers=self._headers,
            )
        )

    # Answers

    def _read(self, operation: str, response: httpx.Response, *, tolerant: bool) -> Answer:
        self._check_status(operation, response)
        body = self._body(operation, response)
        errors = [self._error(entry) for entry in body.get("errors") or () if isinstance(entry, dict)]
        for error in errors:
            self._raise_for(operation, error, response)
        if errors and not tolerant:
            raise self._refusal(operation, errors[0], response)
        problems = tuple(
            Problem(error.code, error.message, transient=error.code in TRANSIENT) for error in errors
        )
        return Answer(body.get("data") or {}, problems)

    def _check_status(self, operation: str, response: httpx.Response) -> None:
        status = response.status_code
        text = f"cloudshelf answered {operation} with {status} (request id {correlation_id(response)})"
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited(text, retry_after=retry_after(response))
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in GAVE_UP:
            raise AmbiguousOutcome(text, retry_after=retry_after(response), under_way=status in GAVE_UP)
        if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            correlation = correlation_id(response)
            raise RequestTooLarge(NAME, "TOO_LARGE", "the request is too long", correlation_id=correlation)
        if status == httpx.codes.UNAUTHORIZED:
            raise self._key_refused(text)
        if status == httpx.codes.FORBIDDEN:
            raise self._role_refused(operation, text)

    def _body(self, operation: str, response: httpx.Response) -> Json:
        try:
            body = json.loads(response.content)
        except ValueError:
            body = None
        if isinstance(body, dict) and (isinstance(body.get("data"), dict) or body.get("errors")):
            return body
        raise self._target.misconfigured(
            f"{self.account.url} answered {operation} with {response.status_code} and no GraphQL",
            "Give the full URL of the GraphQL API, e.g. https://ingestapi.cloudshelf.ai/graphql.",
        )

    def _error(self, entry: Json) -> GraphqlError:
        extensions = entry.get("extensions")
        extensions = extensions if isinstance(extensions, dict) else {}
        wait = extensions.get("retryAfter")
        return GraphqlError(
            str(extensions.get("code") or "GRAPHQL_ERROR").upper(),
            self.clean(str(entry.get("message") or "")),
            max(0.0, float(wait)) if isinstance(wait, int | float) and isfinite(wait) else None,
        )

    def _raise_for(self, operation: str, error: GraphqlError, response: httpx.Response) -> None:
        """Raise what is certainly not about single records."""
        match error.meaning:
            case _Meaning.KEY:
                raise self._key_refused(error.message)
            case _Meaning.ROLE:
                raise self._role_refused(operation, error.message)
            case _Meaning.RATE:
                wait = retry_after(response) if error.retry_after is None else error.retry_after
                raise RateLimited(f"cloudshelf holds back {operation}: {error.message}", retry_after=wait)
            case _Meaning.COMPLEX:
                correlation = correlation_id(response)
                raise QueryTooComplex(NAME, error.code, error.message, correlation_id=correlation)

    def _refusal(
        self, operation: str, error: GraphqlError, response: httpx.Response
    ) -> ApiRejected | TargetUnavailable:
        correlation = correlation_id(response)
        if error.meaning is _Meaning.INTERNAL:
            return TargetUnavailable(
                f"cloudshelf failed at {operation}: {error.message} (request id {correlation})"
            )
        return ApiRejected(NAME, error.code, f"{operation}: {error.message}", correlation_id=correlation)

    def _key_refused(self, said: str) -> ConnectionConfigError:
        return ConnectionConfigError(
            self.account.conn_id,
            KEY_FIELD,
            f"the key is not accepted: {said}",
            "Copy the organisation's API key again from the Cloudshelf Manager, or create a new one there.",
        )

    def _role_refused(self, operation: str, said: str) -> RoleRefused:
        return RoleRefused(
            self.account.conn_id,
            KEY_FIELD,
            f"the role of the key does not allow {operation}: {said}",
            "Give the key's role READ and MODIFY for CATALOGUE, LOCATIONS and ORDERS in the Cloudshelf Manager.",
        )


@cache
def load_document(name: str) -> tuple[str, str]:
    """Text of a document, with the fragments that it spreads, and the name of its operation."""
    text = (_DOCUMENTS / f"{name}.graphql").read_text(encoding="utf-8")
    found = _OPERATION.search(text)
    if found is None:
        raise ValueError(f"documents/{name}.graphql names no operation.")
    spread = dict.fromkeys(_SPREAD.findall(text))
    shared = [(_DOCUMENTS / f"fragments/{one}.graphql").read_text(encoding="utf-8") for one in spread]
    return "\n".join((text, *shared)), found[1]
