"""What a simulated server answers: bytes on the wire, and commercetools' error bodies.

Error codes, their HTTP status and their extra fields follow the public OpenAPI of the HTTP API; the wording of a
message is ours wherever the API's own is not documented, because no client may depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cogent_ops.errors import PermanentError

Json = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def decode(body: bytes) -> Any:
    """Parse JSON.

    :raises msgspec.DecodeError: when the bytes are not JSON.
    """
    return msgspec.json.decode(body)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, so that two equal states are equal byte for byte."""
    return msgspec.json.encode(value, order="sorted")


@dataclass(slots=True)
class Answer:
    """An HTTP answer.

    :param status: HTTP status code.
    :param body: the bytes sent.
    :param headers: additional headers, lower-case names.
    :param content_type: media type of the body.
    """

    status: int
    body: bytes
    headers: Headers = field(default_factory=list)
    content_type: bytes = b"application/json; charset=utf-8"


def json_answer(status: int, value: Any, headers: Headers | None = None) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, encode(value), headers or [])


class ApiError(PermanentError):
    """A refusal in commercetools' ``ErrorResponse`` shape.

    :param status: HTTP status code.
    :param code: error code, e.g. ``ConcurrentModification``.
    :param message: text of the first error and of the whole answer.
    :param details: further fields of the error object, e.g. ``currentVersion``.
    """

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.details = status, code, details

    def answer(self) -> Answer:
        """The error as an HTTP answer."""
        message = str(self)
        error = {"code": self.code, "message": message, **self.details}
        body: Json = {"statusCode": self.status, "message": message, "errors": [error]}
        if self.status in (401, 403) or self.code.startswith(("invalid_", "unsupported_")):
            body["error"] = self.code
            body["error_description"] = message
        return json_answer(self.status, body)


def invalid_input(message: str) -> ApiError:
    """400 ``InvalidInput``: a parameter or the body as a whole makes no sense."""
    return ApiError(400, "InvalidInput", message)


def malformed(parameter: str, problem: str) -> ApiError:
    """400 ``InvalidInput`` for a query parameter."""
    return invalid_input(f"Malformed parameter: {parameter}: {problem}")


def invalid_json(problem: str) -> ApiError:
    """400 ``InvalidJsonInput``: the body has the wrong shape, or holds a field that the API does not know."""
    return ApiError(
        400, "InvalidJsonInput", "Request body does not contain valid JSON.", detailedErrorMessage=problem
    )


def invalid_field(name: str, value: Any, problem: str, allowed: list[Any] | None = None) -> ApiError:
    """400 ``InvalidField``."""
    details = {} if allowed is None else {"allowedValues": allowed}
    return ApiError(400, "InvalidField", problem, field=name, invalidValue=value, **details)


def invalid_operation(problem: str) -> ApiError:
    """400 ``InvalidOperation``: the request is well-formed but not possible in this state."""
    return ApiError(400, "InvalidOperation", problem)


def required_field(name: str) -> ApiError:
    """400 ``RequiredField``."""
    return ApiError(400, "RequiredField", f"A value is required for field '{name}'.", field=name)


def duplicate_field(name: str, value: Any, tail: str = "") -> ApiError:
    """400 ``DuplicateField``: a unique value is taken."""
    text = f"A duplicate value '{value}' exists for field '{name}'{tail}."
    return ApiError(400, "DuplicateField", text, field=name, duplicateValue=value)


def reference_exists(identifier: str, type_id: str) -> ApiError:
    """400 ``ReferenceExists``: something else still points at what is to be deleted."""
    text = f"Can not delete '{identifier}' while it is referenced from at least one '{type_id}'."
    return ApiError(400, "ReferenceExists", text, referencedBy=type_id)


def concurrent_modification(identifier: str, expected: int, actual: int) -> ApiError:
    """409 ``ConcurrentModification`` with the version that the resource has now."""
    text = (
        f"Object {identifier} has a different version than expected. Expected: {expected} - Actual: {actual}."
    )
    return ApiError(409, "ConcurrentModification", text, currentVersion=actual)


def resource_not_found(what: str) -> ApiError:
    """404 ``ResourceNotFound``."""
    return ApiError(404, "ResourceNotFound", f"The Resource with {what} was not found.")


def reference_not_found(type_id: str, identifier: Mapping[str, Any]) -> ApiError:
    """400 ``ReferencedResourceNotFound`` naming what the request pointed at."""
    known = {name: identifier[name] for name in ("id", "key") if identifier.get(name) is not None}
    which = ", ".join(f"{name} '{value}'" for name, value in known.items()) or "no identifier"
    text = f"The referenced object of type '{type_id}' with {which} was not found."
    return ApiError(400, "ReferencedResourceNotFound", text, typeId=type_id, **known)
