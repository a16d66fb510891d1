"""Random requests made from the official contract: whatever the simulated commercetools takes, the contract takes,
and whatever it answers is described there to the last field."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.contracts import Json, OpenApi
from tests.support.exact import Exact
from tests.support.talk import Shop

from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import Exchange, SandboxServer
from cogent_ops.sandbox.shapes import FIELDS

DATA = generate(seed=4, products=6, now=datetime(2026, 11, 20, tzinfo=UTC), dirty_share=0)
SKU = DATA.products[0]["masterVariant"]["sku"]
PRODUCT = DATA.products[0]["id"]
NOBODY = "00000000-0000-4000-8000-000000000000"
MONEY = {"currencyCode": "EUR", "centAmount": 1999}
FIELD = {"name": "mark", "label": {"en": "Mark"}, "required": False, "type": {"name": "String"}}
#: What stands at every example's beginning, by the path that it was posted to.
SEED: dict[str, Json] = {
    "channels": {"key": "till"},
    "types": {
        "key": "mark",
        "name": {"en": "Mark"},
        "resourceTypeIds": ["inventory-entry", "order", "payment", "channel", "transaction"],
        "fieldDefinitions": [FIELD],
    },
    "inventory": {"sku": "N1", "quantityOnStock": 5, "key": "n1"},
    "payments": {"key": "pay-1", "amountPlanned": MONEY},
    "orders/import": {
        "orderNumber": "cs-1",
        "totalPrice": MONEY,
        "lineItems": [
            {"name": {"en": "Cap"}, "variant": {"sku": SKU}, "quantity": 1, "price": {"value": MONEY}}
        ],
    },
}
UPDATES = {
    "channels": "Channel",
    "types": "Type",
    "inventory": "InventoryEntry",
    "payments": "Payment",
    "orders": "Order",
}
CREATES = {
    "channels": "ChannelDraft",
    "types": "TypeDraft",
    "inventory": "InventoryEntryDraft",
    "payments": "PaymentDraft",
    "orders/import": "OrderImportDraft",
    "custom-objects": "CustomObjectDraft",
}


# Values

TEXTS = st.sampled_from(
    ["till", "mark", "n1", "pay-1", "cs-2", "N1", SKU, PRODUCT, NOBODY, "x", "", "ünicode"]
)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "datetime": st.sampled_from(["2026-12-01T00:00:00.000Z", "2026-12-01T10:00:00Z", "tomorrow"]),
    "int32": st.integers(-3, 12),
    "int64": st.integers(-3, 12),
    "double": st.sampled_from([0, 0.25, -1]),
    "boolean": st.booleans(),
}
WORDS: dict[str, st.SearchStrategy[Any]] = {
    "CountryCode": st.sampled_from(["DE", "NO"]),
    "CurrencyCode": st.sampled_from(["EUR", "JPY"]),
    "LocalizedString": st.sampled_from([{"en": "x"}, {"de": "y", "en-GB": "z"}, {}]),
    "Money": st.sampled_from([MONEY, {"currencyCode": "BHD", "centAmount": -1}]),
    "FieldContainer": st.sampled_from([{"mark": "x"}, {"other": 1}, {}]),
    "FieldType": st.sampled_from([{"name": "String"}, {"name": "Number"}, {"name": "Boolean"}]),
    "StateReference": st.just({"typeId": "state", "id": NOBODY}),
}
REFERENCES = {
    "channel": ("till", "store-berlin", "nowhere"),
    "type": ("mark", "nowhere"),
    "payment": ("pay-1",),
    "store": ("outlet", "nowhere"),
    "customer-group": ("nowhere",),
    "tax-category": ("standard",),
}


class Values:
    """Strategies for the schemas of the contract: mostly right, often incomplete, sometimes wrong."""

    def __init__(self, api: OpenApi) -> None:
        self._api = api

    def of(self, schema: Json, depth: int = 0) -> st.SearchStrategy[Any]:
        """Values that the contract describes."""
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in WORDS:
            return WORDS[name]
        if name.endswith("ResourceIdentifier"):
            return _identifier(name.removesuffix("ResourceIdentifier"))
        found = self._api.resolved(schema)
        properties = self._api.properties(found)
        if properties:
            return self._object(found, properties, depth)
        if found.get("type") == "array":
            return st.lists(self.of(found["items"], depth + 1), max_size=2)
        if "enum" in found:
            return st.sampled_from(found["enum"])
        return PLAIN.get(str(found.get("format", found.get("type"))), TEXTS)

    def _object(self, schema: Json, properties: Json, depth: int) -> st.SearchStrategy[Any]:
        parts = (schema, *schema.get("allOf", ()))
        needed = {name for part in parts for name in self._api.resolved(part).get("required", ())}
        optional = {name for name in properties if name not in needed and depth < 4}
        return st.fixed_dictionaries(
            {name: self.of(properties[name], depth + 1) for name in sorted(needed)},
            optional={name: self.of(properties[name], depth + 1) for name in sorted(optional)},
        ).flatmap(lambda value: _some_of(value, optional))

    def action(self, resource: str) -> st.SearchStrategy[Json]:
        """An update action of a resource."""
        base = self._api.resolved({"$ref": f"#/components/schemas/{resource}UpdateAction"})
        mapping = base["discriminator"]["mapping"]
        return st.sampled_from(sorted(mapping)).flatmap(
            lambda kind: self.of({"$ref": mapping[kind]}).map(lambda value: {**value, "action": kind})
        )


def _identifier(kind: str) -> st.SearchStrategy[Json]:
    type_id = "".join(f"-{c.lower()}" if c.isupper() else c for c in kind).strip("-")
    keys = st.sampled_from(REFERENCES.get(type_id, ("nowhere",)))
    return keys.map(lambda key: {"typeId": type_id, "key": key})


def _some_of(value: Json, optional: set[str]) -> st.SearchStrategy[Json]:
    """Few of the optional fields: requests with many are nearly always wrong somewhere."""
    there = sorted(optional & value.keys())
    if len(there) < 3:
        return st.just(value)
    return st.sets(st.sampled_from(there), max_size=2).map(
        lambda kept: {name: one for name, one in value.items() if name not in there or name in kept}
    )


def spoilt(value: Any) -> st.SearchStrategy[Any]:
    """A value with one thing wrong, or with nothing wrong after all."""
    wrong: st.SearchStrategy[Any] = st.sampled_from([None, 7, "text", True, [], {}, 0.5])
    if isinstance(value, dict) and value:
        return st.one_of(
            st.sampled_from(sorted(value)).flatmap(
                lambda name: st.one_of(wrong, spoilt(value[name])).map(lambda one: {**value, name: one})
            ),
            st.just({**value, "surplus": 1}),
            st.sampled_from(sorted(value)).map(lambda name: {k: v for k, v in value.items() if k != name}),
        )
    if isinstance(value, list) and value:
        return spoilt(value[0]).map(lambda first: [first, *value[1:]])
    return wrong


def mostly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Right ones, and one in four spoilt."""
    return st.tuples(values, st.integers(0, 3)).flatmap(
        lambda drawn: spoilt(drawn[0]) if drawn[1] == 0 else st.just(drawn[0])
    )


# The conversation


class Talk:
    """Speaks to one sandbox, and checks every word against the contract."""

    def __init__(self, api: OpenApi, exact: Exact) -> None:
        self.api, self.exact = api, exact
        self.seen: list[Exchange] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.server = SandboxServer(DATA, observer=self.seen.append)

    def begin(self) -> dict[str, Json]:
        """A project as new; what was put into it, by path."""
        self.server.state.commercetools.reset()
        self.seen.clear()
        shop = Shop(self.server)
        self.shop = shop
        return {path.removesuffix("/import"): shop.ok("POST", path, draft) for path, draft in SEED.items()}

    def check(self) -> None:
        """Judge what was said since the last time."""
        for one in self.seen:
            if one.api == "commercetools":
                self.outcomes[one.operation, f"{one.status // 100}xx"] += 1
                assert one.status < 500 or one.status == 501, one
                self._judge(one)
        self.seen.clear()

    def _judge(self, one: Exchange) -> None:
        answer = json.loads(one.answer)
        if one.status >= 400:
            assert self.exact.problems({"$ref": "#/components/schemas/ErrorResponse"}, answer) == []
            return
        described = self.api.path(one.path.removeprefix("/ct"))[one.method.lower()]
        self.api.check_query(described.get("parameters", []), one.query)
        if one.request:
            schema = described["requestBody"]["content"]["application/json"]["schema"]
            assert self.exact.problems(schema, without_null(json.loads(one.request))) == [], one.request
        schema = self.api.answer(described, one.status)
        assert schema is not None, f"{one.operation} does not answer {one.status}"
        assert self.exact.problems(schema, answer) == [], one.operation


def without_null(value: Any) -> Any:
    """A field that is ``null`` counts as not sent."""
    if isinstance(value, dict):
        return {name: without_null(inner) for name, inner in value.items() if inner is not None}
    return [without_null(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def talk(openapi: OpenApi, exact: Exact) -> Iterator[Talk]:
    made = Talk(openapi, exact)
    with made.server:
        yield made


calm = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)


@pytest.mark.parametrize("path", CREATES)
def test_drafts(openapi: OpenApi, talk: Talk, path: str) -> None:
    drafts = mostly(Values(openapi).of({"$ref": f"#/components/schemas/{CREATES[path]}"}))

    @calm
    @given(st.lists(drafts, min_size=3, max_size=3))
    def say(bodies: list[Any]) -> None:
        talk.begin()
        for body in bodies:
            talk.shop.send(path, body)
        talk.check()

    say()
    verb = {"custom-objects": "upsert", "orders/import": "import"}.get(path, "create")
    name = f"{path.removesuffix('/import')}.{verb}"
    assert talk.outcomes[name, "2xx"] > 3, "nearly everything was refused, so little was shown"
    assert talk.outcomes[name, "4xx"] > 3


@pytest.mark.parametrize("resource", UPDATES)
def test_updates(openapi: OpenApi, talk: Talk, resource: str) -> None:
    actions = st.lists(mostly(Values(openapi).action(UPDATES[resource])), max_size=2)
    versions = st.sampled_from([0, 0, 0, 1])

    @calm
    @given(st.lists(st.tuples(actions, versions), min_size=3, max_size=3))
    def say(bodies: list[tuple[list[Json], int]]) -> None:
        new = talk.begin()[resource]
        for wanted, behind in bodies:
            body = {"version": new["version"] - behind, "actions": wanted}
            answer = talk.shop.send(f"{resource}/{new['id']}", body)
            new = answer.json() if answer.status_code == 200 else new
        talk.shop.ask("messages", limit=500)
        talk.check()

    say()
    name = f"{resource}.update"
    assert talk.outcomes[name, "2xx"] > 3
    assert talk.outcomes[name, "4xx"] > 3


# Queries


def predicates(fields: Any, depth: int = 0) -> st.SearchStrategy[str]:
    """Predicates about the fields of a resource, mostly well-formed."""
    texts = st.sampled_from([f'"{SKU}"', '"N1"', f'"{PRODUCT}"', '"x"', '"2026-11-20T00:00:00.000Z"'])
    values = {
        "text": texts,
        "time": st.just('"2026-11-20T00:00:00.000Z"'),
        "number": st.sampled_from(["0", "7", "-1.5"]),
        "bool": st.sampled_from(["true", "false"]),
        "any": texts,
    }

    def about(name: str) -> st.SearchStrategy[str]:
        kind = fields[name]
        shown = "en" if name == "*" else name
        if isinstance(kind, dict):
            return predicates(kind, depth + 1).map(lambda inner: f"{shown}({inner})")
        tests = [
            st.sampled_from(["=", "<>", "<", ">=", "in"]).flatmap(
                lambda how: values[kind].map(
                    lambda v: f"{shown} {how} " + (f"({v}, {v})" if how == "in" else v)
                )
            ),
            st.sampled_from([f"{shown} is defined", f"{shown} is not defined"]),
        ]
        return st.one_of(*tests)

    single = st.sampled_from(sorted(fields)).flatmap(about)
    if depth > 1:
        return single
    pair = st.tuples(single, st.sampled_from(["and", "or"]), single).map(
        lambda parts: "({} {} {})".format(*parts)
    )
    return st.one_of(single, single, pair, single.map(lambda one: f"not({one})"))


@pytest.mark.parametrize("resource", [name for name in FIELDS if "selection" not in name])
def test_queries(talk: Talk, resource: str) -> None:
    params = st.fixed_dictionaries(
        {},
        optional={
            "where": predicates(FIELDS[resource]),
            "sort": st.sampled_from(["id asc", "id desc", "createdAt asc", "lastModifiedAt", "nothing asc"]),
            "limit": st.sampled_from([0, 1, 3, 500, 501]),
            "offset": st.sampled_from([0, 2, 10_000, 10_001]),
            "withTotal": st.sampled_from(["true", "false", "yes"]),
        },
    )

    @settings(calm, max_examples=8)
    @given(st.lists(params, min_size=4, max_size=4))
    def say(queries: list[Json]) -> None:
        for query in queries:
            talk.shop.ask(resource, **query)
        talk.check()

    talk.begin()
    say()
    assert talk.outcomes[f"{resource}.query", "2xx"] > 10
