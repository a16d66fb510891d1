"""People who talk to a sandbox over plain HTTP, without any of our clients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import httpx

from cogent_ops.sandbox.server import SandboxServer

Json = dict[str, Any]

CLIENT = ("sandbox-client", "sandbox-secret")
KEY = "sandbox-key"


@cache
def http() -> httpx.Client:
    """Keeps no connection: the next test's server is another one."""
    return httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))


class Shop:
    """Somebody at the commercetools API, with a token for everything. Paths are below the project."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.token: str = self.issue().json()["access_token"]

    def issue(self, scope: str = "", client: tuple[str, str] = CLIENT, **form: str) -> httpx.Response:
        """Ask for a token; for all that the client may, when no scope is named."""
        data = {"grant_type": "client_credentials", **({"scope": scope} if scope else {}), **form}
        return http().post(f"{self.server.auth_url}/oauth/token", data=data, auth=client)

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **params: Any
    ) -> httpx.Response:
        """Send a request; ``var_s`` among the parameters means ``var.s``."""
        sent = {name.replace("var_", "var."): value for name, value in params.items()}
        return http().request(
            method,
            f"{self.server.commercetools_url}/sandbox/{path.lstrip('/')}".rstrip("/"),
            params=sent or None,
            content=None if body is None else body if isinstance(body, bytes) else json.dumps(body),
            headers={"Authorization": f"Bearer {token or self.token}"},
        )

    def ask(self, path: str, **params: Any) -> httpx.Response:
        """GET."""
        return self("GET", path, **params)

    def send(self, path: str, body: Any) -> httpx.Response:
        """POST."""
        return self("POST", path, body)

    def update(self, path: str, version: int, *actions: Json) -> httpx.Response:
        """Run update actions from a version."""
        return self.send(path, {"version": version, "actions": list(actions)})

    # Bodies, whatever the status

    def get(self, path: str, **params: Any) -> Json:
        """The body of a GET."""
        return dict(self.ask(path, **params).json())

    def post(self, path: str, body: Any) -> Json:
        """The body of a POST."""
        return dict(self.send(path, body).json())

    def act(self, path: str, resource: Json, *actions: Json) -> Json:
        """Update a resource by its id, from the version given."""
        return dict(self.update(f"{path}/{resource['id']}", resource["version"], *actions).json())

    def delete(self, path: str, version: int) -> Json:
        """Delete a resource."""
        return dict(self("DELETE", path, version=version).json())

    # What must succeed

    def ok(self, method: str, path: str, body: Any = None, **params: Any) -> Json:
        """The body of a request that must succeed."""
        answer = self(method, path, body, **params)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def query(self, resource: str, **params: Any) -> list[Json]:
        """Results of one page."""
        return list(self.ok("GET", resource, **params)["results"])

    def entry(self, sku: str, **more: Any) -> Json:
        """Create an InventoryEntry, with ten pieces unless said otherwise."""
        return self.ok("POST", "inventory", {"sku": sku, "quantityOnStock": 10, **more})

    def pages(self, resource: str, limit: int, **params: Any) -> Iterator[list[Json]]:
        """Keyset paging as documented."""
        last = ""
        while True:
            above = {"where": f'id > "{last}"'} if last else {}
            page = self.query(resource, limit=limit, sort="id asc", **above, **params)
            yield page
            if len(page) < limit:
                return
            last = page[-1]["id"]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a commercetools error, whose shape is checked on the way."""
    body = answer.json()
    first = body["errors"][0]
    assert body["statusCode"] == answer.status_code
    assert body["message"] == first["message"]
    return answer.status_code, first["code"]


class Kiosk:
    """Somebody at the Cloudshelf API.

    :param key: the API key; ``None`` sends none.
    """

    def __init__(self, server: SandboxServer, key: str | None = KEY) -> None:
        self.server, self.key = server, key

    def ask(self, query: str, **variables: Any) -> httpx.Response:
        """One GraphQL request."""
        headers = {} if self.key is None else {"authorization": f"Token {self.key}"}
        content = {"query": query, "variables": variables}
        return http().post(self.server.cloudshelf_url, json=content, headers=headers)

    def data(self, query: str, **variables: Any) -> Json:
        """Its data; there must be no error."""
        body = self.ask(query, **variables).json()
        assert "errors" not in body, body
        return dict(body["data"])

    def error(self, query: str, **variables: Any) -> Json:
        """Its first error."""
        return dict(self.ask(query, **variables).json()["errors"][0])

    # Upserts: the payload, with user errors

    def products(self, *inputs: Json) -> Json:
        """``upsertProducts``."""
        return self._upsert("upsertProducts", "ProductInput", "products", inputs)

    def variants(self, product: str, *inputs: Json) -> Json:
        """``upsertProductVariants`` under one product, named as in :func:`product`."""
        entry = {"productId": gid(product), "variants": list(inputs)}
        mutation = """mutation ($inputs: [UpsertVariantsInput!]!) { upsertProductVariants(inputs: $inputs) {
            productVariants { id platformProvidedId isInStock updatedAt } userErrors { code message } } }"""
        return dict(self.data(mutation, inputs=[entry])["upsertProductVariants"])

    def groups(self, *inputs: Json) -> Json:
        """``upsertProductGroups``."""
        return self._upsert("upsertProductGroups", "ProductGroupInput", "productGroups", inputs)

    def locations(self, *inputs: Json) -> Json:
        """``upsertLocations``."""
        return self._upsert("upsertLocations", "LocationInput", "locations", inputs)

    def stock(self, variant: str, location: str, quantity: int) -> Json:
        """``upsertStockLevels`` with one level, named as in :func:`variant` and :func:`location`."""
        level = {
            "productVariantId": gid(variant, "V"),
            "locationId": gid(location, "L"),
            "quantity": quantity,
        }
        mutation = """mutation ($input: [StockLevelInput!]!) { upsertStockLevels(input: $input) {
            stockLevels { isInStock } userErrors { code message } } }"""
        return dict(self.data(mutation, input=[level])["upsertStockLevels"])

    def orders(self, *inputs: Json) -> Json:
        """``upsertOrders``."""
        mutation = """mutation ($input: [OrderInput!]!) { upsertOrders(input: $input) {
            orders { id status thirdPartyId updatedAt } userErrors { code message } } }"""
        return dict(self.data(mutation, input=list(inputs))["upsertOrders"])

    def _upsert(self, name: str, kind: str, answer: str, inputs: Sequence[Json]) -> Json:
        mutation = f"""mutation ($input: [{kind}!]!) {{ {name}(input: $input) {{
            {answer} {{ id platformProvidedId updatedAt }} userErrors {{ code message }} }} }}"""
        return dict(self.data(mutation, input=list(inputs))[name])


def gid(name: str, kind: str = "P") -> str:
    """An external id; kinds are P(roduct), V(ariant), G(roup), L(ocation)."""
    return f"gid://external/{kind}/{name}"


def product(name: str, **more: Any) -> Json:
    """A ``ProductInput``."""
    return {"id": gid(name), "displayName": name.title(), "handle": name, **more}


def variant(name: str, **more: Any) -> Json:
    """A ``ProductVariantInput`` with all that is needed to create it."""
    fields = {"displayName": name, "sku": name, "currentPrice": 1.5, "originalPrice": 2.0, "position": 1}
    return {"id": gid(name, "V"), "isInStock": True, "availableToPurchase": True, **fields, **more}


def location(name: str, **more: Any) -> Json:
    """A ``LocationInput`` of the newer form."""
    return {"id": gid(name, "L"), "displayName": name, "countryCode": "DE", "address1": "Street 1", **more}


def codes(payload: Json) -> list[str]:
    """Codes of the user errors."""
    return [error["code"] for error in payload["userErrors"]]


def names(entities: Sequence[Json]) -> list[str]:
    """What the entities are called in their external ids."""
    return [str(one["platformProvidedId"]).rpartition("/")[2] for one in entities]
