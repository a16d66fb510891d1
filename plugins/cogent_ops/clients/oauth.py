"""OAuth 2 client credentials for commercetools: one access token per process."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Generator, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import httpx

from cogent_ops.clients.redaction import Redactor
from cogent_ops.clients.transport import Call, Target, Transport, correlation_id, per_process, retry_after
from cogent_ops.errors import AmbiguousOutcome, RateLimited, RetryableError, TargetUnavailable

#: A token is renewed this long before it ends, or in the last tenth of a short life.
RENEW_SECONDS = 300.0
RENEW_SHARE = 0.1

CLIENT_FIELDS = "login (client id) and password (client secret)"


@dataclass(frozen=True)
class Token:
    """An access token.

    :param scopes: what it allows, e.g. ``view_products:my-project``.
    :param renew_at: monotonic time from which another one is fetched.
    """

    value: str = field(repr=False)
    scopes: tuple[str, ...]
    renew_at: float


@dataclass
class _Holder:
    """The process's token, and the lock under which it is replaced.

    :param failure: of the last try, and when it ended.
    """

    lock: Lock = field(default_factory=Lock)
    token: Token | None = None
    failure: tuple[float, RetryableError] | None = None


class ClientCredentials(httpx.Auth):
    """Adds the access token to every request, and fetches a new one when the API refuses it.

    Threads share the token: whoever finds it refused replaces it only if nobody else has done so meanwhile.

    :param key: equal for equal credentials.
    :param transport: sends to the authorization server, one attempt a time; the call that needs the token retries.
    :param scopes: asked for; empty means all that the API client has.
    """

    def __init__(
        self,
        key: Hashable,
        transport: Transport,
        client_id: str,
        client_secret: str,
        scopes: tuple[str, ...],
        clean: Redactor,
    ) -> None:
        self._key, self._transport, self._scopes, self._clean = key, transport, scopes, clean
        self._basic = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        clean.learn(self._basic)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send with the token; once more with a new one after a 401."""
        token = self.token()
        request.headers["Authorization"] = f"Bearer {token.value}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            response.read()
            request.headers["Authorization"] = f"Bearer {self.token(refused=token).value}"
            yield request

    def token(self, *, refused: Token | None = None) -> Token:
        """The process's token.

        :param refused: the API did not accept this one.
        :raises ConnectionConfigError: when the authorization server refuses the credentials or the scopes.
        :raises TargetUnavailable: when it fails.
        """
        holder = per_process(("oauth", self._key), _Holder)
        return _usable(holder.token, refused) or self._renewed(holder, refused)

    def renewed(self) -> Token:
        """Another token, however long the present one still lives: only that proves that we are still let in.

        :raises ConnectionConfigError: when the authorization server refuses the credentials or the scopes.
        :raises TargetUnavailable: when it fails.
        """
        holder = per_process(("oauth", self._key), _Holder)
        return self._renewed(holder, holder.token)

    def _renewed(self, holder: _Holder, refused: Token | None) -> Token:
        """One caller fetches, and the others wait for what comes of it: if each tried in turn, the last would wait for
        the timeouts of all.
        """
        asked = time.monotonic()
        if not holder.lock.acquire(timeout=self._transport.tuning.total_seconds):
            raise TargetUnavailable("The authorization server of commercetools has not answered in time.")
        try:
            token = _usable(holder.token, refused)
            if token is None and holder.failure is not None and holder.failure[0] > asked:
                failure = holder.failure[1]
                raise TargetUnavailable(str(failure), retry_after=failure.retry_after)
            holder.token = token or self._fetch()
        except RetryableError as error:
            holder.failure = time.monotonic(), error
            raise
        else:
            return holder.token
        finally:
            holder.lock.release()

    def _fetch(self) -> Token:
        form = {"grant_type": "client_credentials"} | (
            {"scope": " ".join(self._scopes)} if self._scopes else {}
        )
        asked = time.monotonic()
        call = Call(
            "POST oauth/token",
            "POST",
            f"{self._transport.target.url}/oauth/token",
            self._read,
            content=urlencode(form).encode(),
            headers={
                "Authorization": f"Basic {self._basic}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        try:
            value, life, scope = self._transport.once(call, asked + self._transport.tuning.total_seconds)
        except AmbiguousOutcome as error:
            # The call that needs the token was not sent, so its own outcome is certain.
            raise TargetUnavailable(str(error), retry_after=error.retry_after) from None
        self._clean.learn(value)
        return Token(value, tuple(scope.split()), asked + life - min(RENEW_SECONDS, RENEW_SHARE * life))

    def _read(self, response: httpx.Response) -> tuple[str, float, str]:
        """Token, its life in seconds, and its scopes separated by spaces."""
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise RateLimited(
                "commercetools issues no token at the moment.", retry_after=retry_after(response)
            )
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise TargetUnavailable(
                f"The authorization server of commercetools answered {response.status_code} "
                f"(correlation id {correlation_id(response)}).",
                retry_after=retry_after(response),
            )
        body = _object(response)
        if response.status_code == httpx.codes.OK and isinstance(body.get("access_token"), str):
            return (
                body["access_token"],
                float(body.get("expires_in", RENEW_SECONDS)),
                str(body.get("scope", "")),
            )
        raise self._refusal(response.status_code, body)

    def _refusal(self, status: int, body: dict[str, Any]) -> Exception:
        target: Target = self._transport.target
        errors = body.get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        code = str(body.get("error") or first.get("code") or "")
        said = self._clean(str(body.get("error_description") or body.get("message") or code))
        if code == "invalid_scope":
            return target.misconfigured(
                f"the authorization server grants less than it asks for: {said}",
                "Name only scopes that the API client has, or leave the field empty to use all of them.",
                "extra scopes",
            )
        if code in ("invalid_client", "unauthorized_client") or status in (401, 403):
            return target.misconfigured(
                f"the authorization server does not accept them: {said}",
                "Copy both again from the Merchant Center (Settings, Developer settings), or create a new API "
                "client there; the secret is shown only once.",
                CLIENT_FIELDS,
            )
        return target.misconfigured(
            f"{target.url}/oauth/token answered {status} and no token",
            "Give the base URL of the OAuth service of the project's region, e.g. "
            "https://auth.europe-west1.gcp.commercetools.com.",
        )


def _usable(token: Token | None, refused: Token | None) -> Token | None:
    if token is None or token is refused or time.monotonic() >= token.renew_at:
        return None
    return token


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
