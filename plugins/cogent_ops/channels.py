"""Messages out of the house: over HTTP to Slack or any webhook, and by e-mail, through Airflow connections.

An incoming webhook's address is a secret, because whoever knows it may post. So no address gets into a log, an error or
a trace: errors name the connection and what was answered, nothing else.
"""

from __future__ import annotations

import logging
import re
import smtplib
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.log import mask_secret

from cogent_ops.domain.policies import Channel
from cogent_ops.errors import (
    CogentOpsError,
    ConnectionConfigError,
    PermanentError,
    RateLimited,
    TargetUnavailable,
)
from cogent_ops.hooks import find_connection

#: Seconds to connect, and to wait for an answer.
TIMEOUT = (5.0, 15.0)
#: What an answer may say of itself, such as Slack's ``channel_is_archived``; anything else could repeat what was sent.
_WORD = re.compile(r"[a-z_]{1,60}")


def deliver(channel: Channel, subject: str, body: str) -> None:
    """Send a message.

    :raises RetryableError: when trying again can help.
    :raises PermanentError: when somebody must mend the connection or the channel first.
    """
    _BY_TYPE[channel.type](channel, subject, body)


def _webhook(channel: Channel, subject: str, body: str) -> None:
    _send(channel.connection, "POST", {"text": f"{subject}\n\n{body}"})


def _slack(channel: Channel, subject: str, body: str) -> None:
    _send(channel.connection, "POST", {"text": f"*{_slack_text(subject)}*\n{_slack_text(body)}"})


def _slack_text(text: str) -> str:
    """Without what Slack takes for markup: nobody should be notified because a record is called ``<!channel>``."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def beat(conn_id: str) -> None:
    """Call a service that raises the alarm when nobody calls it any more.

    :param conn_id: HTTP connection with its address.
    :raises CogentOpsError: when it could not be called.
    """
    _send(conn_id, "GET")


def _send(conn_id: str, method: str, payload: dict[str, Any] | None = None) -> None:
    """Call the connection's host; its password, where there is no login, is the secret part of the path."""
    import requests
    from airflow.providers.http.hooks.http import HttpHook

    found = _connection(conn_id, "http", "--conn-host https://<host> --conn-password /<secret path>")
    path = "" if found.login else (found.password or "")
    try:
        _mask(found, path)
        hook = HttpHook(http_conn_id=conn_id)
        session = hook.get_conn()
        url = f"{hook.base_url.rstrip('/')}/{path.lstrip('/')}" if path else hook.base_url
        answer = session.request(method, url, json=payload, timeout=TIMEOUT, allow_redirects=False)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, ValueError):
        # All of requests' complaints about an address are ValueErrors, and repeat it.
        raise ConnectionConfigError(
            conn_id, "host", "it is no address that can be posted to", "Give a URL with https://."
        ) from None
    except requests.exceptions.RequestException as error:
        raise TargetUnavailable(f"connection '{conn_id}': {type(error).__name__}") from None
    _check(conn_id, answer.status_code, answer.text, answer.headers.get("Retry-After", ""))


def _mask(found: Connection, path: str) -> None:
    """Keep the address out of logs: urllib3 writes it at DEBUG, and Airflow does not blot it out everywhere."""
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
    for secret in (path, urlsplit(found.host or "").path):
        if len(secret.strip("/")) > 8:
            mask_secret(secret)


def _check(conn_id: str, status: int, text: str, retry_after: str) -> None:
    """Judge an answer by its status.

    :raises CogentOpsError: when it is no success.
    """
    if 200 <= status < 300:
        return
    word = _WORD.fullmatch(text.strip())
    problem = f"connection '{conn_id}': answered {status}" + (f" ({word.group()})" if word else "")
    seconds = float(retry_after) if retry_after.isdecimal() else None
    if status == 429:
        raise RateLimited(problem, retry_after=seconds)
    if status >= 500:
        raise TargetUnavailable(problem, retry_after=seconds)
    raise PermanentError(problem)


def _email(channel: Channel, subject: str, body: str) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    conn_id = channel.connection
    _connection(conn_id, "smtp", '--conn-host <server> --conn-extra \'{"from_email": "…"}\'')
    try:
        with SmtpHook(smtp_conn_id=conn_id) as server:
            if not server.from_email:
                raise ConnectionConfigError(
                    conn_id, "extra from_email", "it is empty", "Give the address that messages come from."
                )
            server.send_email_smtp(to=list(channel.to), subject=subject, html_content=_html(body))
    except smtplib.SMTPException as error:
        raise _smtp_error(conn_id, error) from None
    except (OSError, AirflowException) as error:
        raise TargetUnavailable(f"connection '{conn_id}': {type(error).__name__}") from None


def _html(body: str) -> str:
    linked = re.sub(r"https?://[^\s<]+", lambda url: f'<a href="{url[0]}">{url[0]}</a>', escape(body))
    return linked.replace("\n", "<br>\n")


def _smtp_error(conn_id: str, error: smtplib.SMTPException) -> CogentOpsError:
    """By the server's code: 4xx is for now, 5xx for good. What it says may repeat addresses, so it is left out."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    else:
        codes = [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []
    named = f" {'/'.join(map(str, sorted(set(codes))))}" if codes else ""
    problem = f"connection '{conn_id}': {type(error).__name__}{named}"
    refused = codes and all(code >= 500 for code in codes)
    return PermanentError(problem) if refused else TargetUnavailable(problem)


def _connection(conn_id: str, conn_type: str, example: str) -> Connection:
    found = find_connection(conn_id)
    if found is None:
        raise ConnectionConfigError(
            conn_id,
            "conn_id",
            "there is no such connection, so its messages wait",
            f"Add it: airflow connections add {conn_id} --conn-type {conn_type} {example}",
        )
    return found


_BY_TYPE: dict[str, Callable[[Channel, str, str], None]] = {
    "webhook": _webhook,
    "slack": _slack,
    "email": _email,
}
