"""Both simulated APIs by hand: raw requests, raw answers, no client of ours between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from cogent_ops.sandbox.server import SandboxServer

Json = dict[str, Any]

CLIENT = ("sandbox-client", "sandbox-secret")
KEY = "sandbox-key"


class Shop:
    """A commercetools project. Calls answer the response; :meth:`ok` insists on success."""

    def __init__(self, server: SandboxServer, http: httpx.Client) -> None:
        self.server, self._http = server, http
        self.token: str = self.issue().json()["access_token"]

    def issue(self, scope: str = "", client: tuple[str, str] = CLIENT, **form: str) -> httpx.Response:
        """Ask for a token."""
        data = {"grant_type": "client_credentials", **({"scope": scope} if scope else {}), **form}
        return self._http.post(f"{self.server.auth_url}/oauth/token", data=data, auth=client)

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **params: Any
    ) -> httpx.Response:
        """Send a request; ``var_s`` in ``params`` means ``var.s``."""
        sent = {name.replace("var_", "var."): value for name, value in params.items()}
        return self._http.request(
            method,
            f"{self.server.commercetools_url}/sandbox/{path}".rstrip("/"),
            params=sent or None,
            content=None if body is None else body if isinstance(body, bytes) else json.dumps(body),
            headers={"Authorization": f"Bearer {token or self.token}"},
        )

    def ok(self, method: str, path: str, body: Any = None, **params: Any) -> Json:
        """Send a request that must succeed."""
        answer = self(method, path, body, **params)
        assert answer.status_code in (200, 201), answer.text
        content: Json = answer.json()
        return content

    def query(self, resource: str, **params: Any) -> list[Json]:
        """Results of one page."""
        found: list[Json] = self.ok("GET", resource, **params)["results"]
        return found

    def update(self, path: str, version: int, *actions: Json) -> httpx.Response:
        """Run update actions."""
        return self("POST", path, {"version": version, "actions": list(actions)})

    def entry(self, sku: str, **more: Any) -> Json:
        """Create an InventoryEntry."""
        return self.ok("POST", "inventory", {"sku": sku, "quantityOnStock": 10, **more})

    def all_by_id(self, resource: str, limit: int, **params: Any) -> Iterator[list[Json]]:
        """Keyset paging as documented."""
        where = params.pop("where", [])
        last = ""
        while True:
            above = [f'id > "{last}"'] if last else []
            page = self.query(resource, limit=limit, sort="id asc", where=[*where, *above], **params)
            yield page
            if len(page) < limit:
                return
            last = page[-1]["id"]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, whose shape is checked on the way."""
    body = answer.json()
    first = body["errors"][0]
    assert body["statusCode"] == answer.status_code
    assert body["message"] == first["message"]
    return answer.status_code, first["code"]


class Kiosk:
    """A Cloudshelf organisation."""

    def __init__(self, server: SandboxServer, http: httpx.Client) -> None:
        self.server, self._http = server, http

    def raw(
        self, query: str, variables: Mapping[str, Any] | None = None, key: str | None = KEY, **body: Any
    ) -> httpx.Response:
        """Send a GraphQL request."""
        headers = {} if key is None else {"Authorization": f"Token {key}"}
        content = {"query": query, "variables": variables or {}, **body}
        return self._http.post(self.server.cloudshelf_url, json=content, headers=headers)

    def __call__(self, query: str, **variables: Any) -> Json:
        """Data of a request that must succeed."""
        body = self.raw(query, variables).json()
        assert "errors" not in body, body["errors"]
        data: Json = body["data"]
        return data

    def errors(self, query: str, key: str | None = KEY, **variables: Any) -> list[Json]:
        """Errors of a request that must be refused."""
        found: list[Json] = self.raw(query, variables, key).json()["errors"]
        return found

    def products(self, *inputs: Json) -> Json:
        """``upsertProducts``."""
        return self._upsert("upsertProducts", "[ProductInput!]!", "products", inputs)

    def variants(self, product: str, *inputs: Json) -> Json:
        """``upsertProductVariants`` under one product."""
        mutation = """mutation ($inputs: [UpsertVariantsInput!]!) { upsertProductVariants(inputs: $inputs) {
            productVariants { id platformProvidedId isInStock updatedAt } userErrors { code message } } }"""
        found: Json = self(mutation, inputs=[{"productId": product, "variants": list(inputs)}])
        return dict(found["upsertProductVariants"])

    def locations(self, *inputs: Json) -> Json:
        """``upsertLocations``."""
        return self._upsert("upsertLocations", "[LocationInput!]!", "locations", inputs)

    def groups(self, *inputs: Json) -> Json:
        """``upsertProductGroups``."""
        return self._upsert("upsertProductGroups", "[ProductGroupInput!]!", "productGroups", inputs)

    def orders(self, *inputs: Json) -> Json:
        """``upsertOrders``."""
        mutation = """mutation ($input: [OrderInput!]!) { upsertOrders(input: $input) {
            orders { id status thirdPartyId updatedAt } userErrors { code message } } }"""
        return dict(self(mutation, input=list(inputs))["upsertOrders"])

    def stock(self, *inputs: Json) -> Json:
        """``upsertStockLevels``."""
        mutation = """mutation ($input: [StockLevelInput!]!) { upsertStockLevels(input: $input) {
            stockLevels { isInStock productVariant { platformProvidedId } location { platformProvidedId } }
            userErrors { code message } } }"""
        return dict(self(mutation, input=list(inputs))["upsertStockLevels"])

    def _upsert(self, name: str, kind: str, answer: str, inputs: Sequence[Json]) -> Json:
        mutation = f"""mutation ($input: {kind}) {{ {name}(input: $input) {{
            {answer} {{ id platformProvidedId updatedAt }} userErrors {{ code message }} }} }}"""
        return dict(self(mutation, input=list(inputs))[name])


def product(name: str, **more: Any) -> Json:
    """A ``ProductInput``."""
    return {"id": f"gid://external/Product/{name}", "displayName": name, **more}


def variant(name: str, **more: Any) -> Json:
    """A ``ProductVariantInput`` with everything that is needed to create it."""
    return {
        "id": f"gid://external/Variant/{name}",
        "sku": name,
        "currentPrice": 9.95,
        "originalPrice": 12.5,
        "isInStock": True,
        "availableToPurchase": True,
        **more,
    }


def location(name: str, **more: Any) -> Json:
    """A ``LocationInput`` of the newer form."""
    place = {"displayName": name, "countryCode": "DE", "address1": "Hauptstr. 1", "city": "Berlin"}
    return {"id": f"gid://external/Location/{name}", **place, **more}


def codes(payload: Json) -> list[str]:
    """Codes of the user errors."""
    return [error["code"] for error in payload["userErrors"]]


def names(entities: Sequence[Json]) -> list[str]:
    """Last part of the external ids."""
    return [str(one["platformProvidedId"]).rpartition("/")[2] for one in entities]
