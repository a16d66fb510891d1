"""The commercetools HTTP API over :class:`~cogent_ops.sandbox.state.CommercetoolsState`.

Routing, OAuth, scopes, query parameters and versioned writes. Paths, scopes and status codes follow the official
OpenAPI. A parameter that is not simulated (projections by locale or store, a misspelt one) is answered
with 501, so that nobody mistakes its absence for an effect.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

import msgspec

from cogent_ops.sandbox import actions, orders, subscriptions
from cogent_ops.sandbox.answers import (
    Answer,
    ApiError,
    Json,
    decode,
    encode,
    invalid_input,
    invalid_json,
    json_answer,
    malformed,
    resource_not_found,
)
from cogent_ops.sandbox.dataset import reference
from cogent_ops.sandbox.expansion import expanded
from cogent_ops.sandbox.predicates import parse_all
from cogent_ops.sandbox.shapes import FIELDS
from cogent_ops.sandbox.state import CommercetoolsState

MAX_LIMIT = 500
MAX_OFFSET = 10_000
TOTAL_CAP = 10_000
DEFAULT_LIMIT = 20
MAX_BODY_BYTES = 16 * 1024 * 1024

Params = Mapping[str, Sequence[str]]


class Operation(NamedTuple):
    """A recognised request: which resource, what is done to it, and which one."""

    resource: str
    verb: str
    by: str = ""
    value: str = ""
    store: str = ""

    @property
    def name(self) -> str:
        """Name for fault rules and counters, e.g. ``inventory.update``."""
        return f"{self.resource}.{self.verb}"


@dataclass(frozen=True, slots=True)
class Resource:
    """What the API offers for one collection.

    :param scopes: words after ``view_`` and ``manage_`` in the OAuth scopes, any of which is enough.
    :param alternate: path segment of the unique field besides id, e.g. ``key``.
    :param alternate_index: index that finds by it.
    :param create: makes a resource from a draft; absent where the API offers none or it is not simulated.
    :param update: runs an update request.
    :param removable: whether DELETE is simulated.
    :param read_only: whether the API itself offers nothing but reading.
    """

    scopes: tuple[str, ...]
    alternate: str = "key"
    alternate_index: str = "key"
    create: Callable[[CommercetoolsState, Any], Json] | None = None
    update: Callable[[CommercetoolsState, Json, Any], Json] | None = None
    removable: bool = False
    read_only: bool = False


def _plain_update(
    resource: str, schema: str, known: Mapping[str, actions.Action]
) -> Callable[[CommercetoolsState, Json, Any], Json]:
    def update(state: CommercetoolsState, old: Json, body: Any) -> Json:
        return actions.apply_update(state, resource, schema, old, body, known)

    return update


RESOURCES: dict[str, Resource] = {
    "product-projections": Resource(("products", "published_products"), read_only=True),
    "categories": Resource(("products", "categories")),
    "channels": Resource(
        ("products", "channels"),
        create=actions.create_channel,
        update=_plain_update("channels", "Channel", actions.CHANNELS),
        removable=True,
    ),
    "product-types": Resource(("products", "product_types")),
    "tax-categories": Resource(("products", "tax_categories")),
    "customer-groups": Resource(("customers", "customer_groups")),
    "stores": Resource(("stores",)),
    "standalone-prices": Resource(("standalone_prices",)),
    "inventory": Resource(
        ("products",),
        create=actions.create_inventory,
        update=actions.update_inventory,
        removable=True,
    ),
    "types": Resource(
        ("types",),
        create=actions.create_type,
        update=_plain_update("types", "Type", actions.TYPES),
        removable=True,
    ),
    "custom-objects": Resource(("products", "orders", "customers", "key_value_documents"), removable=True),
    "payments": Resource(
        ("payments",), create=actions.create_payment, update=actions.update_payment, removable=True
    ),
    "orders": Resource(
        ("orders",),
        alternate="order-number",
        alternate_index="orderNumber",
        update=orders.update_order,
        removable=True,
    ),
    "messages": Resource(("messages",), alternate="", read_only=True),
    "subscriptions": Resource(
        ("subscriptions",),
        create=subscriptions.create_subscription,
        update=_plain_update("subscriptions", "Subscription", subscriptions.SUBSCRIPTIONS),
        removable=True,
    ),
    "api-clients": Resource(("api_clients",), alternate=""),
}

_PARAMS = {
    "query": {"where", "sort", "limit", "offset", "withTotal", "expand"},
    "get": {"expand"},
    "delete": {"version"},
    "health": set(),
}
"""Parameters that have an effect, by verb; ``staged`` belongs to product projections, ``expand`` to resources."""
_PATH = re.compile(r"/(?P<project>[^/]+)(?:/in-store/key=(?P<store>[^/]+))?(?:/(?P<rest>.*))?")
_KEYED = re.compile(r"(?P<by>[a-z-]+)=(?P<value>.+)")
_DIGITS = re.compile("[0-9]{1,18}")


class CommercetoolsApi:
    """Turns requests into answers. Call with the state's lock held.

    :param state: the project.
    """

    def __init__(self, state: CommercetoolsState) -> None:
        self.state = state
        self._tokens: dict[str, tuple[datetime, frozenset[str]]] = {}

    # OAuth

    def token(self, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """``POST /oauth/token`` with the client-credentials grant."""
        try:
            return json_answer(200, self._issue(method, headers, body))
        except ApiError as error:
            return error.answer()

    def _issue(self, method: str, headers: Mapping[str, str], body: bytes) -> Json:
        if method != "POST":
            raise ApiError(405, "InvalidInput", "Use POST.")
        behaviour = self.state.behaviour
        client = self._client()
        if client is None or _basic(headers) != (behaviour.client_id, behaviour.client_secret):
            text = "Please provide valid client credentials using HTTP Basic Authentication."
            raise ApiError(401, "invalid_client", text)
        form = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
        if form.get("grant_type") != "client_credentials":
            raise ApiError(400, "unsupported_grant_type", "Only client_credentials is possible here.")
        scopes = self._granted(client["scope"], form.get("scope", ""))
        value = self.state.ids.uuid()
        expires = self.state.clock.now() + timedelta(seconds=behaviour.token_seconds)
        self._tokens[value] = (expires, frozenset(scopes))
        return {
            "access_token": value,
            "expires_in": behaviour.token_seconds,
            "scope": " ".join(scopes),
            "token_type": "Bearer",
        }

    def _client(self) -> Json | None:
        """The API client; ``None`` when it was revoked, or its last day has come."""
        client = self.state["api-clients"].get(self.state.behaviour.client_id)
        if client is not None and client.get("deleteAt", "9999") <= self.state.clock.stamp():
            return None
        return client

    def _granted(self, scope_of_client: str, wanted: str) -> tuple[str, ...]:
        held = tuple(scope_of_client.split())
        asked = tuple(wanted.split())
        for scope in asked:
            if not self._holds(frozenset(held), scope):
                raise ApiError(400, "invalid_scope", f"The scope '{scope}' is not granted to this client.")
        return asked or held

    def expire_tokens(self) -> None:
        """Invalidate every token."""
        self._tokens.clear()

    def _holds(self, held: frozenset[str], scope: str) -> bool:
        name, _, project = scope.partition(":")
        implied = {scope, f"manage_project:{project}"}
        if name.startswith("view_"):
            implied.add(f"manage_{name.removeprefix('view_')}:{project}")
            if name == "view_published_products":
                implied |= {f"view_products:{project}", f"manage_products:{project}"}
        return bool(implied & held)

    def _authorise(self, headers: Mapping[str, str], wanted: Sequence[str]) -> None:
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not value:
            text = "This endpoint requires an access token. You can get one from the authorization server."
            raise ApiError(401, "Unauthorized", text)
        expires, held = self._tokens.get(value, (None, frozenset[str]()))
        if expires is None or expires <= self.state.clock.now() or self._client() is None:
            self._tokens.pop(value, None)
            raise ApiError(401, "invalid_token", "invalid_token")
        if not any(self._holds(held, f"{scope}:{self.state.key}") for scope in wanted):
            text = f"Insufficient scope. One of the following scopes is missing: {', '.join(wanted)}."
            raise ApiError(403, "insufficient_scope", text)

    # Routing

    def operation(self, method: str, path: str) -> Operation | None:
        """Recognise a request by method and path (still percent-encoded); ``None`` for an unknown one."""
        found = _PATH.fullmatch(path)
        if found is None or unquote(found["project"]) != self.state.key:
            return None
        store = unquote(found["store"] or "")
        segments = [unquote(part) for part in (found["rest"] or "").split("/") if part]
        if store:
            known = segments == ["product-selection-assignments"] and method in ("GET", "HEAD")
            return Operation("product-selection-assignments", "query", store=store) if known else None
        if not segments:
            verb = {"GET": "get", "HEAD": "get", "POST": "update"}.get(method)
            return None if verb is None else Operation("project", verb)
        if segments[0] == "subscriptions" and segments[2:] == ["health"]:
            return Operation("subscriptions", "health", "id", segments[1]) if method == "GET" else None
        return _resource_operation(method, segments)

    def handle(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        operation: Operation | None,
    ) -> Answer:
        """Answer one request.

        :param path: path below the API's base URL, percent-encoded.
        :param query: raw query string.
        :param operation: what :meth:`operation` recognised.
        """
        if len(path) + len(query) > self.state.behaviour.max_uri_bytes:
            text = b"<html><body>Request-URI Too Large</body></html>"
            return Answer(self.state.behaviour.long_uri_status, text, [], b"text/html")
        self.state.settle()
        try:
            if operation is None:
                raise ApiError(404, "ResourceNotFound", f"URI not found: {path}")
            if len(body) > MAX_BODY_BYTES:
                raise ApiError(413, "ContentTooLarge", "The request body is larger than 16 MB.")
            params = parse_qs(query, keep_blank_values=True)
            if operation.verb != "health":
                self._authorise(headers, _wanted_scopes(operation, params))
            _check_params(operation, params)
            with self.state.written_by(self.state.behaviour.client_id):
                answer = self._dispatch(operation, params, body)
            if method == "HEAD" and operation.verb == "query" and self._nothing_found(answer):
                answer.status = 404
        except ApiError as error:
            answer = error.answer()
        if method == "HEAD":
            answer.body = b""
        return answer

    @staticmethod
    def _nothing_found(answer: Answer) -> bool:
        return not decode(answer.body)["results"]

    def _dispatch(self, operation: Operation, params: Params, body: bytes) -> Answer:
        if operation.resource == "project":
            return self._project(operation, body)
        if operation.resource == "product-selection-assignments":
            return self._assignments(operation.store, params)
        match operation.verb:
            case "health":
                return subscriptions.health(self._found(operation, params))
            case "query":
                return self._query(operation, params)
            case "get":
                return json_answer(
                    200, self._wire(operation.resource, self._found(operation, params), params)
                )
            case "create" | "import" | "upsert":
                return self._create(operation, body)
            case "update":
                return self._update(operation, params, body)
        return self._delete(operation, params)

    def _project(self, operation: Operation, body: bytes) -> Answer:
        if operation.verb == "get":
            return json_answer(200, self.state.project)
        return json_answer(200, actions.update_project(self.state, _json(body)))

    # Reading

    def _query(self, operation: Operation, params: Params) -> Answer:
        resource = operation.resource
        where = list(params.get("where", []))
        if operation.by == "container":
            where.append(f'container = "{operation.value}"')
        variables = {name[4:]: values for name, values in params.items() if name.startswith("var.")}
        limit = _integer(params, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        offset = _integer(params, "offset", 0, MAX_OFFSET)
        with_total = _flag(params, "withTotal", True)
        page = self.state[resource].query(
            parse_all(where, FIELDS[resource], variables),
            sort=_checked_sort(resource, params.get("sort", [])),
            limit=limit,
            offset=offset,
            with_total=with_total,
            visible=_published if resource == "product-projections" and not _staged(params) else None,
        )
        head: Json = {"limit": limit, "offset": offset, "count": len(page.results)}
        if page.total is not None:
            head["total"] = min(page.total, TOTAL_CAP) if where else page.total
        results = [self._wire(resource, one, params) for one in page.results]
        return Answer(200, encode({**head, "results": results}))

    def _wire(self, resource: str, stored: Json, params: Params) -> Json:
        """What is sent, with the references that are to be expanded."""
        if resource == "product-projections":
            stored = self._projection(stored, staged=_staged(params))
        if resource == "api-clients":
            stored = {name: value for name, value in stored.items() if name != "lastModifiedAt"}
        return expanded(self.state, stored, params.get("expand", ()))

    def _projection(self, stored: Json, *, staged: bool) -> Json:
        """It carries the availability that the inventory says, and no variants at all where the project has the
        Modular catalogue; staged data is visibly other data.
        """
        if staged and stored["hasStagedChanges"]:
            stored = {
                **stored,
                "name": {locale: f"{text} (staged)" for locale, text in stored["name"].items()},
            }
        if self.state.project.get("productCatalogModel", "Classic") != "Classic":
            return {name: value for name, value in stored.items() if name != "masterVariant"} | {
                "variants": []
            }
        return {
            **stored,
            "masterVariant": self._variant(stored["masterVariant"]),
            "variants": [self._variant(variant) for variant in stored["variants"]],
        }

    def _variant(self, variant: Json) -> Json:
        availability = self.state.availability(variant.get("sku"))
        if availability is not None:
            return {**variant, "availability": availability}
        return {name: value for name, value in variant.items() if name != "availability"}

    def _found(self, operation: Operation, params: Params) -> Json:
        resource = RESOURCES[operation.resource]
        collection = self.state[operation.resource]
        if operation.by == "id":
            found, what = collection.get(operation.value), f"ID '{operation.value}'"
        elif operation.by == "container":
            found, what = collection.first("container/key", operation.value), f"key '{operation.value}'"
        else:
            found = collection.first(resource.alternate_index, operation.value)
            what = f"{operation.by} '{operation.value}'"
        hidden = operation.resource == "product-projections" and not _staged(params)
        if found is None or (hidden and not found["published"]):
            raise resource_not_found(what)
        return found

    def _assignments(self, store_key: str, params: Params) -> Answer:
        """Products of a store's active Product Selections; a product repeats once per selection."""
        store = self.state["stores"].first("key", store_key)
        if store is None:
            raise resource_not_found(f"key '{store_key}'")
        limit = _integer(params, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        offset = _integer(params, "offset", 0, MAX_OFFSET)
        active = [one["productSelection"]["id"] for one in store["productSelections"] if one["active"]]
        rows = [
            {"productSelection": reference("product-selection", selection), **row}
            for selection in active
            for row in self.state.selections.get(selection, [])
        ]
        variables = {name[4:]: values for name, values in params.items() if name.startswith("var.")}
        fields = FIELDS["product-selection-assignments"]
        for predicate in parse_all(params.get("where", []), fields, variables):
            rows = [row for row in rows if predicate.matches(row)]
        page = rows[offset : offset + limit]
        total = {"total": len(rows)} if _flag(params, "withTotal", True) else {}
        answer = {"limit": limit, "offset": offset, "count": len(page), **total, "results": page}
        return json_answer(200, answer)

    # Writing

    def _create(self, operation: Operation, body: bytes) -> Answer:
        draft = _json(body)
        if operation.verb == "import":
            return json_answer(201, orders.import_order(self.state, draft))
        if operation.verb == "upsert":
            made, created = actions.upsert_custom_object(self.state, draft)
            return json_answer(201 if created else 200, made)
        create = RESOURCES[operation.resource].create
        if create is None:
            raise _not_simulated(operation)
        return json_answer(201, create(self.state, draft))

    def _update(self, operation: Operation, params: Params, body: bytes) -> Answer:
        update = RESOURCES[operation.resource].update
        if update is None:
            raise _not_simulated(operation)
        return json_answer(200, update(self.state, self._found(operation, params), _json(body)))

    def _delete(self, operation: Operation, params: Params) -> Answer:
        if not RESOURCES[operation.resource].removable:
            raise _not_simulated(operation)
        found = self._found(operation, params)
        if "version" in params:
            self.state.check_version(found, _integer(params, "version", 0, None))
        elif operation.resource != "custom-objects":
            raise invalid_input("The query parameter 'version' is required.")
        if operation.resource in ("types", "channels"):
            self.state.check_unreferenced(self.state[operation.resource].type_id, found["id"])
        if operation.resource == "inventory":
            actions.delete_inventory(self.state, found)
        else:
            self.state[operation.resource].remove(found["id"])
        if operation.resource == "orders":
            self.state.emit("OrderDeleted", "order", found, order=found)
        return json_answer(200, found)

    def target(self, operation: Operation | None) -> str | None:
        """Id of the resource that a versioned write addresses, which somebody else may change first."""
        if operation is None or operation.verb not in ("update", "delete") or operation.resource == "project":
            return None
        try:
            return str(self._found(operation, {"staged": ["true"]})["id"])
        except ApiError:
            return None


def _resource_operation(method: str, segments: list[str]) -> Operation | None:
    name = segments[0]
    resource = RESOURCES.get(name)
    if resource is None or len(segments) > 3:
        return None
    reading = method in ("GET", "HEAD")
    if resource.read_only and not reading:
        return None
    if len(segments) == 1:
        create = "upsert" if name == "custom-objects" else "create"
        verb = "query" if reading else {"POST": create}.get(method)
        return None if verb is None else Operation(name, verb)
    verb = "get" if reading else {"POST": "update", "DELETE": "delete"}.get(method)
    if verb is None:
        return None
    if name == "custom-objects":
        return _custom_object_operation(verb, segments)
    if segments[1:] == ["import"] and name == "orders":
        return Operation(name, "import") if method == "POST" else None
    keyed = _KEYED.fullmatch(segments[1])
    if len(segments) == 3 or (keyed is not None and keyed["by"] != resource.alternate):
        return None
    return (
        Operation(name, verb, "id", segments[1]) if keyed is None else Operation(name, verb, *keyed.groups())
    )


def _custom_object_operation(verb: str, segments: list[str]) -> Operation | None:
    if len(segments) == 3:
        wanted = f"{segments[1]}/{segments[2]}"
        return None if verb == "update" else Operation("custom-objects", verb, "container", wanted)
    return Operation("custom-objects", "query", "container", segments[1]) if verb == "get" else None


def _check_params(operation: Operation, params: Params) -> None:
    known = _PARAMS.get(operation.verb, set())
    if operation.resource == "product-projections":
        known = {*known, "staged"}
    if operation.resource not in RESOURCES:
        known = known - {"expand"}
    without_effect = [name for name in params if name not in known and not name.startswith("var.")]
    if without_effect:
        raise ApiError(501, "InvalidInput", f"The sandbox does not simulate {', '.join(without_effect)}.")


def _wanted_scopes(operation: Operation, params: Params) -> list[str]:
    if operation.resource == "project":
        return ["view_project_settings" if operation.verb == "get" else "manage_project_settings"]
    if operation.resource == "product-selection-assignments":
        return ["view_product_selections"]
    if operation.resource == "product-projections" and _staged(params):
        return ["view_products"]
    # There is no scope that allows reading Subscriptions alone.
    reads = operation.verb in ("query", "get") and operation.resource != "subscriptions"
    right = "view" if reads else "manage"
    return [f"{right}_{scope}" for scope in RESOURCES[operation.resource].scopes]


def _not_simulated(operation: Operation) -> ApiError:
    return ApiError(501, "InvalidInput", f"The sandbox does not simulate {operation.name}.")


def _basic(headers: Mapping[str, str]) -> tuple[str, str] | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret


def _json(body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.DecodeError as error:
        raise invalid_json(str(error)) from error


def _integer(params: Params, name: str, default: int, maximum: int | None) -> int:
    if name not in params:
        return default
    text = params[name][-1]
    if _DIGITS.fullmatch(text) is None or (maximum is not None and int(text) > maximum):
        allowed = "a whole number" if maximum is None else f"between 0 and {maximum}"
        raise malformed(name, f"'{text}' must be {allowed}")
    return int(text)


def _flag(params: Params, name: str, default: bool) -> bool:
    if name not in params:
        return default
    text = params[name][-1]
    if text not in ("true", "false"):
        raise malformed(name, f"'{text}' is neither 'true' nor 'false'")
    return text == "true"


def _checked_sort(resource: str, expressions: Sequence[str]) -> Sequence[str]:
    for expression in expressions:
        fields: Any = FIELDS[resource]
        for name in expression.split(" ")[0].split("."):
            fields = fields.get(name, fields.get("*")) if isinstance(fields, Mapping) else None
        if fields is None:
            raise malformed("sort", f"The field '{expression.split(' ')[0]}' does not exist.")
    return expressions


def _staged(params: Params) -> bool:
    return _flag(params, "staged", False)


def _published(product: Json) -> bool:
    return bool(product["published"])
