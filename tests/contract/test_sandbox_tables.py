"""What the simulated commercetools knows of bodies, actions, fields and scopes is what the official contract knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.contracts import Json, OpenApi
from tests.support.exact import Exact
from tests.support.talk import Shop

from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.shapes import ACTIONS, DRAFTS, ENUMS, FIELDS

NOBODY = "00000000-0000-4000-8000-000000000000"
LEAVES = {
    "text": "x",
    "key": "a-key",
    "container": "a-container",
    "fieldname": "mark",
    "fieldtype": {"name": "String"},
    "int": 3,
    "number": 0.5,
    "bool": True,
    "time": "2026-11-20T10:15:00.000Z",
    "country": "DE",
    "localized": {"en": "x", "de-AT": "y"},
    "money": {"currencyCode": "EUR", "centAmount": 1},
    "point": {"type": "Point", "coordinates": [13.4, 52.5]},
    "destination": {"type": "SQS", "queueUrl": "https://queue.example.com/1", "region": "eu-west-1"},
    "deliveryformat": {"type": "CloudEvents", "cloudEventsVersion": "1.0"},
    "fields": {"mark": "x"},
    "any": {"anything": [1]},
}
#: Resource behind a path, where the schema's name does not follow from it.
SCHEMAS = {
    "product-projections": "ProductProjection",
    "categories": "Category",
    "inventory": "InventoryEntry",
    "tax-categories": "TaxCategory",
    "custom-objects": "CustomObject",
    "product-selection-assignments": "ProductSelectionAssignment",
}


def named(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def sample(shape: Any, *, optional: bool) -> Any:
    """A value of a shape, with all of its fields or with the required ones alone."""
    if isinstance(shape, dict):
        return {
            name.rstrip("!"): sample(inner, optional=optional)
            for name, inner in shape.items()
            if optional or name.endswith("!")
        }
    if isinstance(shape, list):
        return [sample(shape[0], optional=optional)]
    if shape.startswith("enum:"):
        return ENUMS[shape[5:]][0]
    if shape.startswith("ref"):
        return {"typeId": shape.split(":")[1], "id": NOBODY}
    return LEAVES[shape]


def without(shape: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """The value again and again, each time without another required field; the shape tells which those are."""
    if isinstance(shape, list):
        yield from ((f"[].{name}", [lacking]) for name, lacking in without(shape[0], value[0]))
    if not isinstance(shape, dict):
        return
    for name, inner in shape.items():
        plain = name.rstrip("!")
        if name.endswith("!"):
            yield plain, {key: one for key, one in value.items() if key != plain}
        yield from (
            (f"{plain}.{path}", {**value, plain: lacking}) for path, lacking in without(inner, value[plain])
        )


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_draft_has_the_fields_of_the_contract(exact: Exact, draft: str) -> None:
    for optional in (True, False):
        assert exact.problems(named(draft), sample(DRAFTS[draft], optional=optional)) == []


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_draft_requires_what_the_contract_requires(exact: Exact, draft: str) -> None:
    whole = sample(DRAFTS[draft], optional=True)
    taken = {
        path for path, lacking in without(DRAFTS[draft], whole) if not exact.problems(named(draft), lacking)
    }
    assert taken == set(), "refused here, taken there"


ALL_ACTIONS = [(resource, action) for resource, actions in ACTIONS.items() for action in actions]


@pytest.mark.parametrize(("resource", "action"), ALL_ACTIONS)
def test_an_action_has_the_fields_of_the_contract(exact: Exact, resource: str, action: str) -> None:
    shape = {"action!": "text", **ACTIONS[resource][action]}
    for optional in (True, False):
        given = {**sample(shape, optional=optional), "action": action}
        assert exact.problems(named(f"{resource}Update"), {"version": 1, "actions": [given]}) == []
    given = {**sample(shape, optional=True), "action": action}
    for path, lacking in without(shape, given):
        assert exact.problems(named(f"{resource}Update"), {"version": 1, "actions": [lacking]}), path


def test_every_action_of_an_inventory_entry_is_simulated(openapi: OpenApi) -> None:
    official = openapi.resolved(named("InventoryEntryUpdateAction"))["discriminator"]["mapping"]
    assert ACTIONS["InventoryEntry"].keys() == official.keys()


@pytest.mark.parametrize("name", ENUMS)
def test_an_enumeration_has_the_values_of_the_contract(openapi: OpenApi, name: str) -> None:
    assert set(ENUMS[name]) == set(openapi.resolved(named(name))["enum"])


KINDS = {
    "text": {"string"},
    "number": {"integer", "number"},
    "bool": {"boolean"},
    "time": {"string"},
}


def compare(openapi: OpenApi, fields: Mapping[str, Any], schema: Json, path: str) -> None:
    """Every field that can be asked about is one of the resource, and of this kind."""
    known = openapi.properties(schema)
    for name, kind in fields.items():
        if name == "*":
            assert openapi.resolved(schema).get("x-open"), f"{path} has no free fields"
            continue
        assert name in known, f"{path}.{name}"
        inner = openapi.resolved(known[name])
        while inner.get("type") == "array":
            inner = openapi.resolved(inner["items"])
        if isinstance(kind, dict):
            compare(openapi, kind, inner, f"{path}.{name}")
        elif kind != "any":
            assert inner["type"] in KINDS[kind], f"{path}.{name}"
            assert (inner.get("format") == "datetime") == (kind == "time"), f"{path}.{name}"


@pytest.mark.parametrize("resource", FIELDS)
def test_what_can_be_asked_about_exists(openapi: OpenApi, resource: str) -> None:
    name = SCHEMAS.get(resource, "".join(part.title() for part in resource.split("-")).removesuffix("s"))
    compare(openapi, FIELDS[resource], named(name), resource)


# Scopes

DOORS = [
    *((method, path) for path in FIELDS if "selection" not in path for method in ("GET", "POST")),
    ("POST", "orders/import"),
    ("GET", "in-store/key=outlet/product-selection-assignments"),
    *(
        (method, f"{path}/{NOBODY}")
        for path in ("inventory", "orders", "payments", "types", "channels", "subscriptions")
        for method in ("GET", "POST", "DELETE")
    ),
    ("GET", f"api-clients/{NOBODY}"),
    ("GET", ""),
    ("POST", ""),
]


@pytest.fixture(scope="module")
def shop(openapi: OpenApi) -> Iterator[Shop]:
    data = generate(seed=4, products=1, now=datetime(2026, 11, 20, tzinfo=UTC), dirty_share=0)
    with SandboxServer(data) as server:
        yield Shop(server)


def scopes(openapi: OpenApi, method: str, path: str) -> set[str]:
    """Any of these opens the door."""
    described = openapi.path(f"/sandbox/{path}".rstrip("/"))[method.lower()]
    return {
        scope.replace("{projectKey}", "sandbox")
        for way in described["security"]
        for scope in way["oauth_2_0"]
    }


@pytest.fixture(scope="module")
def every_scope(openapi: OpenApi) -> set[str]:
    """All scopes of the project that open any door of the sandbox."""
    return {
        scope
        for method, path in DOORS
        if described(openapi, method, path)
        for scope in scopes(openapi, method, path)
    }


def described(openapi: OpenApi, method: str, path: str) -> bool:
    return method.lower() in openapi.path(f"/sandbox/{path}".rstrip("/"))


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_the_scopes_of_the_contract_open_and_no_others(
    openapi: OpenApi, shop: Shop, every_scope: set[str], method: str, path: str
) -> None:
    if not described(openapi, method, path):
        assert shop(method, path, {}).status_code == 404
        return
    enough = scopes(openapi, method, path)
    body: Json | None = None if method == "GET" else {}
    for scope in enough:
        token = shop.issue(scope).json()["access_token"]
        assert shop(method, path, body, token=token).status_code not in (401, 403), scope
    implying = {scope.replace("view_", "manage_") for scope in enough}
    others = every_scope - enough - implying - {s.replace("published_", "") for s in enough | implying}
    token = shop.issue(" ".join(sorted(others))).json()["access_token"]
    assert shop(method, path, body, token=token).status_code == 403
