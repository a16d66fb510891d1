"""Reference expansion: ``expand=paymentInfo.payments[*]`` puts the payments themselves beside their references."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cogent_ops.sandbox.answers import ApiError, Json, malformed
from cogent_ops.sandbox.state import RESOURCE_OF_TYPE, CommercetoolsState

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(\[\*\])?")
_EVERY = "*"


def expanded(state: CommercetoolsState, resource: Json, paths: Sequence[str]) -> Json:
    """The resource with ``obj`` in every reference that a path leads to.

    A path that leads nowhere, or to a resource that is gone, has no effect.

    :raises ApiError: 400 for a path that is none, 501 where it leads to a Product, of which there are only projections
        here.
    """
    for path in paths:
        resource = _along(state, resource, _steps(path))
    return resource


def _steps(path: str) -> list[str]:
    steps: list[str] = []
    for part in path.split("."):
        found = _STEP.fullmatch(part)
        if found is None:
            raise malformed("expand", f"'{path}' is no path of references.")
        steps += [found[1], _EVERY] if found[2] else [found[1]]
    return steps


def _along(state: CommercetoolsState, value: Any, steps: Sequence[str]) -> Any:
    if isinstance(value, list) and steps and steps[0] == _EVERY:
        return [_along(state, one, steps[1:]) for one in value]
    if not isinstance(value, dict):
        return value
    if not steps or (value.keys() >= {"typeId", "id"} and steps[0] not in value):
        return _opened(state, value, steps)
    inner = value.get(steps[0])
    return value if inner is None else {**value, steps[0]: _along(state, inner, steps[1:])}


def _opened(state: CommercetoolsState, reference: Json, steps: Sequence[str]) -> Json:
    """A reference with its resource, which is expanded along the rest of the path."""
    kind = reference.get("typeId")
    if kind == "product":
        raise ApiError(501, "InvalidInput", "The sandbox does not simulate the expansion of products.")
    collection = RESOURCE_OF_TYPE.get(str(kind))
    found = None if collection is None else state[collection].get(str(reference.get("id")))
    if found is None:
        return reference
    return {**reference, "obj": _along(state, found, steps) if steps else found}
