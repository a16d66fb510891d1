"""The exception tree: one place says who must act and whether trying again can help.

Every error is either a :class:`RetryableError` (the target is busy or out of reach; ``retry_after`` says when
to come back) or a :class:`PermanentError` (somebody must change something first). Airflow's retry policy, the
clients' retry loop and the exception queue all decide from these two classes alone.
"""

from __future__ import annotations


class CogentOpsError(Exception):
    """Base of everything this package raises on purpose."""


class RetryableError(CogentOpsError):
    """Trying again later can succeed.

    :param message: what happened, for a person.
    :param retry_after: seconds to wait before the next try as the target asked for; ``None`` when it did not say.
    :param under_way: the target has not answered a request that was sent, so it may still take effect later.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, under_way: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.under_way = under_way


class PermanentError(CogentOpsError):
    """Trying again changes nothing until a person has acted."""


class TargetUnavailable(RetryableError):
    """The target answered 5xx, refused the connection or timed out, and nothing was changed by the request."""


class RateLimited(RetryableError):
    """The target asked for fewer requests (429, or a GraphQL credit refusal)."""


class CircuitOpen(RetryableError):
    """Calls to this target are parked because it failed repeatedly; nothing was sent."""


class BudgetExhausted(RetryableError):
    """No token of the shared rate budget became free within the waiting time; nothing was sent."""


class StoreUnavailable(RetryableError):
    """The store is locked or out of reach; the open transaction, if any, was rolled back."""


class AmbiguousOutcome(RetryableError):
    """A write was sent and its outcome is unknown (lost response, 500). Read the resource before sending again."""


class ApiRejected(PermanentError):
    """The target understood the request and refused it.

    :param target: ``commercetools`` or ``cloudshelf``.
    :param code: the API's own error code, e.g. ``InvalidField``.
    :param message: the API's message, redacted.
    :param correlation_id: the target's request id, for its support desk.
    """

    def __init__(self, target: str, code: str, message: str, *, correlation_id: str | None = None) -> None:
        tail = f" (correlation id {correlation_id})" if correlation_id else ""
        super().__init__(f"{target} refused the request: {code}: {message}{tail}")
        self.target = target
        self.code = code
        self.correlation_id = correlation_id


class ConfigError(PermanentError):
    """A configuration file cannot be used. The message names file, line, field and cure.

    :param file: path as the user knows it, e.g. ``include/mapping.yaml``.
    :param problem: what is wrong.
    :param cure: what to do.
    :param line: 1-based line, where known.
    :param field: dotted path of the field, where known.
    """

    def __init__(
        self, file: str, problem: str, cure: str, *, line: int | None = None, field: str | None = None
    ) -> None:
        where = file if line is None else f"{file}, line {line}"
        what = f"{field}: {problem}" if field else problem
        super().__init__(f"{where}: {what}. {cure}")
        self.file, self.problem, self.cure, self.line, self.field = file, problem, cure, line, field


class ConnectionConfigError(PermanentError):
    """An Airflow connection is missing, incomplete or refused. The message names connection, field and cure.

    :param conn_id: e.g. ``commercetools_default``.
    :param field: the connection's field as the form shows it, e.g. ``password (client secret)``.
    """

    def __init__(self, conn_id: str, field: str, problem: str, cure: str) -> None:
        super().__init__(f"Connection '{conn_id}', field '{field}': {problem.rstrip('.')}. {cure}")
        self.conn_id, self.field, self.problem, self.cure = conn_id, field, problem, cure


class MissingScope(PermanentError):
    """The API client lacks a permission. The message names the scope or role and where to grant it.

    :param problem: which permission is lacking.
    :param cure: where to grant it.
    """

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"{problem}. {cure}")
        self.problem, self.cure = problem, cure


class StoreOutdated(PermanentError):
    """The store's schema is not the one this release needs; the message says which command to run."""


class AuditRequired(PermanentError):
    """The first push of a link waits for a catalogue audit that passed or was accepted by a person."""


class UnsupportedProject(PermanentError):
    """The commercetools project uses a feature this package refuses to half-support (Modular catalogue)."""


class RemovalsHeld(PermanentError):
    """The mass-removal guard stopped a deletion that is larger than the configured share; nothing was deleted."""
