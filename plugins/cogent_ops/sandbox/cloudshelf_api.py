"""Cloudshelf's GraphQL API over :class:`~cogent_ops.sandbox.cloudshelf_state.CloudshelfState`.

graphql-core parses, validates and executes. Two things are added. Complexity and depth are checked before anything
runs, as the API does. And large inputs are checked by msgspec instead of graphql-core's coercion, which
would cost more than everything else together: execution then runs on a twin of the schema in which those inputs
are plain scalars. Whatever the fast check does not accept goes through the ordinary path, which words the refusal.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from inspect import isawaitable
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, TypeAlias, cast
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgspec
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    InputObjectTypeDefinitionNode,
    IntValueNode,
    OperationDefinitionNode,
    ScalarTypeDefinitionNode,
    SelectionSetNode,
    VariableNode,
    build_ast_schema,
    execute,
    extend_schema,
    parse,
    print_ast,
    validate,
)

from cogent_ops.sandbox.answers import Answer, Json, json_answer
from cogent_ops.sandbox.cloudshelf_state import CloudshelfState, derived_id
from cogent_ops.sandbox.faults import whole_seconds

#: ``GraphQLResolveInfo``, which is generic from graphql-core 3.3 on only. No resolver looks into it.
Info: TypeAlias = Any
Check: TypeAlias = Callable[[Any], bool]
Resolver: TypeAlias = Callable[..., Any]

LOCATION_FORMS = {
    "address": "extend input LocationInput { address: String }",
    "structured": "extend input LocationInput { address1: String address2: String city: String"
    " provinceCode: String zip: String phone: String email: String }",
}
_SCHEMA = Path(__file__).parent / "cloudshelf_schema.graphql"
_GID = re.compile(r"gid://[^/]+/[^/]+/.+")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_OPEN_FIELDS = frozenset({"version", "isInMaintenanceMode"})
_INTROSPECTION = frozenset({"__schema", "__type", "__typename"})
_MAX_KNOWN_DOCUMENTS = 200
_FETCH_SECONDS = 10.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

_NEEDS = {
    "CATALOGUE": (
        "product",
        "products",
        "productGroup",
        "productGroups",
        "upsertProducts",
        "upsertProductVariants",
        "upsertProductGroups",
        "updateProductsInProductGroup",
        "updateProductsInProductGroupInBatch",
        "addProductsToProductGroup",
        "removeProductsFromProductGroup",
        "deleteProducts",
        "deleteProductGroups",
        "keepKnownProductsViaFile",
        "keepKnownVariantsViaFile",
        "keepKnownProductGroupsViaFile",
    ),
    "LOCATIONS": ("location", "locations", "upsertLocations", "deleteLocations"),
    "ORDERS": ("order", "orders", "upsertOrders", "sessions"),
    "DEVICE": ("device", "devices"),
    "API_KEYS": ("organisationApiKeys",),
}
_STATISTICS = ("ingestionStats", "syncStats", "reportCatalogStats")
_ENTITY_OF = {name: entity for entity, names in _NEEDS.items() for name in names}


@dataclass(slots=True)
class Request:
    """A GraphQL request, recognised as far as possible before it is answered.

    :param root_fields: what it asks for; names the operation in fault rules and counters.
    :param problem: why it cannot be executed at all.
    """

    query: str = ""
    variables: Json = field(default_factory=dict)
    operation_name: str | None = None
    document: DocumentNode | None = None
    operation: OperationDefinitionNode | None = None
    root_fields: tuple[str, ...] = ()
    problem: list[GraphQLError] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Root fields joined by a plus sign, e.g. ``upsertProducts``."""
        return "+".join(self.root_fields) or "unreadable"

    @property
    def records(self) -> int:
        """How many records the variables carry: the longest list in them, variants counted one by one."""
        return max((_records(value) for value in self.variables.values()), default=0)


class CloudshelfApi:
    """Turns GraphQL requests into answers. Call with the state's lock held.

    :param state: the organisation.
    :param spend: takes the complexity from the credit budget and says how many seconds are missing, 0 for none.
    """

    def __init__(self, state: CloudshelfState, spend: Callable[[int], float] | None = None) -> None:
        self.state = state
        self._spend = spend or (lambda credits: 0.0)
        self.schema = load_schema(state.behaviour.location_form)
        self._twin = _with_resolvers(_scalar_inputs(), _Resolvers(state))
        _with_resolvers(self.schema, _Resolvers(state))
        self._documents: dict[str, tuple[DocumentNode, list[GraphQLError]]] = {}
        self._checks: dict[str, Check] = {}
        self._entity_of = {
            **_ENTITY_OF,
            "upsertStockLevels": state.behaviour.stock_permission,
            **dict.fromkeys(_STATISTICS, state.behaviour.statistics_permission),
        }
        self._open = _OPEN_FIELDS | (_INTROSPECTION if state.behaviour.open_introspection else frozenset())

    # Reading the request

    def read(self, body: Any) -> Request:
        """Recognise a decoded JSON body; never raises."""
        if not isinstance(body, dict) or not isinstance(body.get("query"), str):
            return Request(problem=[GraphQLError("The request has no query.")])
        variables = body.get("variables") or {}
        if not isinstance(variables, dict):
            return Request(problem=[GraphQLError("Variables must be an object.")])
        request = Request(body["query"], variables, body.get("operationName"))
        try:
            request.document, request.problem = self._document(request.query)
        except GraphQLError as error:
            request.problem = [error]
            return request
        request.operation = _operation(request.document, request.operation_name)
        if request.operation is None:
            request.problem = [GraphQLError("The operation to run cannot be told.")]
        else:
            request.root_fields = tuple(_root_fields(request.operation.selection_set, request.document))
        return request

    def _document(self, query: str) -> tuple[DocumentNode, list[GraphQLError]]:
        known = self._documents.get(query)
        if known is None:
            document = parse(query)
            known = document, validate(self.schema, document)
            if len(self._documents) >= _MAX_KNOWN_DOCUMENTS:
                self._documents.clear()
            self._documents[query] = known
        return known

    # Answering

    def handle(self, request: Request, headers: Mapping[str, str]) -> Answer | Awaitable[Answer]:
        """Answer a request; awaitable only where a file must be fetched."""
        refusal = self._refused(request, headers)
        if refusal is not None:
            return refusal
        if request.problem or request.document is None:
            return _errors(400, request.problem)
        refusal = self._over_limit(request)
        if refusal is not None:
            return refusal
        checked = self._well_formed(request)
        introspects = any(name.startswith("__") for name in request.root_fields)
        result = execute(
            self._twin if checked and not introspects else self.schema,
            request.document,
            variable_values=request.variables,
            operation_name=request.operation_name,
        )
        if isawaitable(result):
            return _later(result)
        return _formatted(result)

    def _refused(self, request: Request, headers: Mapping[str, str]) -> Answer | None:
        if request.root_fields and self._open.issuperset(request.root_fields):
            return None
        refusal = self._authenticated(headers)
        if refusal is not None or request.operation is None:
            return refusal
        action = "MODIFY" if request.operation.operation.value == "mutation" else "READ"
        for name in request.root_fields:
            wanted = f"{self._entity_of.get(name, 'MY_ORGANISATION')}:{action}"
            if not name.startswith("__") and wanted not in self.state.permissions:
                return _coded(200, "FORBIDDEN", f"The API key's role does not allow {action} here.")
        return None

    def _authenticated(self, headers: Mapping[str, str]) -> Answer | None:
        kind, _, key = headers.get("authorization", "").partition(" ")
        is_known = kind.lower() == "token" and key == self.state.behaviour.api_key
        if is_known and self.state.key_revoked_at is None:
            return None
        status = 401 if self.state.behaviour.refusal == "http" else 200
        return _coded(status, "UNAUTHENTICATED", "The API key is missing or not valid.")

    def _over_limit(self, request: Request) -> Answer | None:
        """Complexity, depth and credits, all before execution."""
        if request.operation is None:
            return None
        behaviour, selections = self.state.behaviour, request.operation.selection_set
        measure = _Measure(
            request, multiplied=behaviour.complexity == "multiplied", page=behaviour.default_page
        )
        cost, depth = measure.cost(selections), measure.depth(selections)
        by_http = behaviour.over_limit == "http"
        for what, found, most in (
            ("depth", depth, behaviour.max_depth),
            ("complexity", cost, behaviour.max_complexity),
        ):
            if found > most:
                text = f"The query exceeds the maximum {what} of {most}. Actual {what} is {found}."
                return _coded(400 if by_http else 200, "GRAPHQL_VALIDATION_FAILED", text)
        missing = self._spend(cost)
        return None if missing <= 0 else _short_of_credits(missing, by_http)

    def _well_formed(self, request: Request) -> bool:
        """Whether every variable passes the quick checks, so that the twin schema may take it as it is."""
        if request.operation is None:
            return False
        for definition in request.operation.variable_definitions or ():
            name = definition.variable.name.value
            written = print_ast(definition.type)
            if name not in request.variables:
                if definition.default_value is None and written.endswith("!"):
                    return False
                continue
            if written not in self._checks:
                self._checks[written] = _check(_type_of(written, self.schema))
            if not self._checks[written](request.variables[name]):
                return False
        return True


@cache
def _definitions() -> DocumentNode:
    return parse(_SCHEMA.read_text(encoding="utf-8"))


def load_schema(location_form: str) -> GraphQLSchema:
    """Build the simulated part of the schema with one of the two forms of ``LocationInput``."""
    base = build_ast_schema(_definitions())
    schema = extend_schema(base, parse(LOCATION_FORMS[location_form]))
    # The hook has one name in older releases of graphql-core and another in newer ones.
    for name, reader in (("GlobalId", _parse_gid), ("UTCDateTime", _parse_moment)):
        vars(schema.type_map[name]).update(parse_value=reader, coerce_input_value=reader)
    return schema


def _parse_gid(value: Any) -> str:
    if not isinstance(value, str) or _GID.fullmatch(value) is None:
        raise GraphQLError(f"GlobalId cannot represent value: {value!r}")
    return value


def _parse_moment(value: Any) -> str:
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        raise GraphQLError(f"UTCDateTime cannot represent value: {value!r}")
    return value


def _scalar_inputs() -> GraphQLSchema:
    """The same schema, with every input object a scalar that takes any value as it is."""
    definitions = tuple(
        ScalarTypeDefinitionNode(name=node.name) if isinstance(node, InputObjectTypeDefinitionNode) else node
        for node in _definitions().definitions
    )
    return build_ast_schema(DocumentNode(definitions=definitions))


def _with_resolvers(schema: GraphQLSchema, resolvers: _Resolvers) -> GraphQLSchema:
    for type_name, fields in resolvers.table().items():
        kind = schema.type_map[type_name]
        if isinstance(kind, GraphQLObjectType):
            for name, resolver in fields.items():
                kind.fields[name].resolve = resolver
    return schema


# Quick input checks


def _check(kind: GraphQLInputType) -> Check:
    """A function that accepts exactly the values that need no conversion to be valid for a type."""
    expected = _shape(kind)

    def check(value: Any) -> bool:
        try:
            msgspec.convert(value, expected)
        except msgspec.ValidationError:
            return False
        return True

    return check


def _shape(kind: GraphQLInputType) -> Any:
    """A type of the input schema as msgspec writes it."""
    return _present(kind.of_type) if isinstance(kind, GraphQLNonNull) else Optional[_present(kind)]  # noqa: UP045


def _present(kind: GraphQLInputType) -> Any:
    if isinstance(kind, GraphQLNonNull):
        return _present(kind.of_type)
    if isinstance(kind, GraphQLList):
        return list[_shape(kind.of_type)]  # type: ignore[misc]
    if isinstance(kind, GraphQLEnumType):
        return Literal[tuple(kind.values)]
    if not isinstance(kind, GraphQLInputObjectType):
        return _SCALARS[kind.name]
    fields: list[Any] = [
        (name, _shape(one.type)) if isinstance(one.type, GraphQLNonNull) else (name, _shape(one.type), None)
        for name, one in kind.fields.items()
    ]
    return msgspec.defstruct(kind.name, fields, kw_only=True, forbid_unknown_fields=True)


_SCALARS: dict[str, Any] = {
    "String": str,
    "ID": str,
    "GlobalId": Annotated[str, msgspec.Meta(pattern=f"^{_GID.pattern}$")],
    "UTCDateTime": Annotated[str, msgspec.Meta(pattern=f"^{_MOMENT.pattern}$")],
    "Int": Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)],
    "Float": float,
    "Boolean": bool,
}


def _type_of(written: str, schema: GraphQLSchema) -> GraphQLInputType:
    """A type from its notation, e.g. ``[ProductInput!]!``."""
    if written.endswith("!"):
        return GraphQLNonNull(cast("Any", _type_of(written[:-1], schema)))
    if written.startswith("["):
        return GraphQLList(_type_of(written[1:-1], schema))
    return cast("GraphQLInputType", schema.type_map[written])


# Documents


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode | None:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if name is None:
        return operations[0] if len(operations) == 1 else None
    return next((node for node in operations if node.name is not None and node.name.value == name), None)


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }


def _root_fields(selections: SelectionSetNode, document: DocumentNode) -> list[str]:
    return [node.name.value for node in _flat(selections, _fragments(document))]


def _flat(selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> list[FieldNode]:
    """Fields of a selection, fragments opened."""
    found: list[FieldNode] = []
    for node in selections.selections:
        if isinstance(node, FieldNode):
            found.append(node)
        elif isinstance(node, FragmentSpreadNode) and node.name.value in fragments:
            found += _flat(fragments[node.name.value].selection_set, fragments)
        elif isinstance(node, InlineFragmentNode):
            found += _flat(node.selection_set, fragments)
    return found


class _Measure:
    """Complexity and depth of a query; introspection is free."""

    def __init__(self, request: Request, *, multiplied: bool, page: int) -> None:
        self._fragments = {} if request.document is None else _fragments(request.document)
        self._variables, self._multiplied, self._page = request.variables, multiplied, page

    def cost(self, selections: SelectionSetNode | None) -> int:
        """Every field 1; below ``edges`` times the page size where the API multiplies."""
        return sum(self._field(node) for node in self._fields(selections))

    def depth(self, selections: SelectionSetNode | None) -> int:
        """Deepest nesting of fields."""
        return max((1 + self.depth(node.selection_set) for node in self._fields(selections)), default=0)

    def _fields(self, selections: SelectionSetNode | None) -> list[FieldNode]:
        flat = [] if selections is None else _flat(selections, self._fragments)
        return [node for node in flat if not node.name.value.startswith("__")]

    def _field(self, node: FieldNode) -> int:
        children = self._fields(node.selection_set)
        edges = [child for child in children if child.name.value == "edges"]
        if not self._multiplied or not edges:
            return 1 + self.cost(node.selection_set)
        others = sum(self._field(child) for child in children if child not in edges)
        return 1 + others + self._size(node) * sum(1 + self.cost(edge.selection_set) for edge in edges)

    def _size(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                if isinstance(argument.value, IntValueNode):
                    return int(argument.value.value)
                if isinstance(argument.value, VariableNode):
                    return self._variables.get(argument.value.name.value) or self._page
        return self._page


def _records(value: Any) -> int:
    if isinstance(value, dict):
        return max((_records(inner) for inner in value.values() if isinstance(inner, list)), default=1)
    if not isinstance(value, list):
        return 0
    return sum(len(one["variants"]) if isinstance(one, dict) and "variants" in one else 1 for one in value)


# Answers


def _errors(status: int, errors: Sequence[GraphQLError]) -> Answer:
    return json_answer(status, {"errors": [error.formatted for error in errors]})


def _coded(status: int, code: str, message: str) -> Answer:
    return _errors(status, [GraphQLError(message, extensions={"code": code})])


def _short_of_credits(seconds: float, by_http: bool) -> Answer:
    text = f"Not enough credits for this query; {seconds:.1f} seconds are missing."
    error = GraphQLError(text, extensions={"code": "RATE_LIMITED", "retryAfter": seconds})
    answer = _errors(429 if by_http else 200, [error])
    if by_http:
        answer.headers.append((b"retry-after", str(whole_seconds(seconds)).encode()))
    return answer


def _formatted(result: ExecutionResult) -> Answer:
    body: Json = {"data": result.data}
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
    return json_answer(200, body)


async def _later(result: Awaitable[ExecutionResult]) -> Answer:
    return _formatted(await result)


# Resolvers


def _parents(field_name: str, kind: str) -> Callable[[CloudshelfState], Resolver]:
    def make(state: CloudshelfState) -> Resolver:
        return lambda source, info: state.entities[kind].get(source.get(field_name))

    return make


class _Resolvers:
    """Everything that is not simply a value of the stored entity."""

    def __init__(self, state: CloudshelfState) -> None:
        self.state = state

    def table(self) -> dict[str, dict[str, Resolver]]:
        """Type name -> field name -> resolver."""
        state = self.state
        return {
            "Query": self._queries(),
            "Mutation": self._mutations(),
            "Product": {
                "metadata": _metadata,
                "productVariants": lambda product, info: state.variants(product),
                "productGroups": lambda product, info: state.groups_of(product),
            },
            "ProductVariant": {
                "metadata": _metadata,
                "metaimages": lambda variant, info: [_image(variant, one) for one in variant["metaimages"]],
                "product": _parents("productId", "Product")(state),
                "stockLevels": lambda variant, info: list(state.stock.get(variant["id"], {}).values()),
            },
            "ProductGroup": {
                "metadata": _metadata,
                "featuredImage": lambda group, info: (
                    None if group["featuredImage"] is None else _image(group, group["featuredImage"])
                ),
                "owningOrganisation": lambda group, info: self._organisation(),
                "productCount": lambda group, info: len(state.group_products(group)),
                "products": lambda group, info: state.group_products(group),
            },
            "Location": {
                "metadata": _metadata,
                "address": lambda location, info: state.address(location),
                "stockLevels": lambda location, info: [
                    levels[location["id"]] for levels in state.stock.values() if location["id"] in levels
                ],
            },
            "StockLevel": {
                "location": _parents("locationId", "Location")(state),
                "productVariant": _parents("variantId", "ProductVariant")(state),
            },
            "Device": {"location": _parents("locationId", "Location")(state)},
            "Order": {"session": _parents("sessionId", "Session")(state)},
            "Session": {"order": _parents("orderId", "Order")(state)},
            "Organisation": {
                "defaultCurrencyCode": lambda organisation, info: state.behaviour.currency,
                "safetyStockNumber": lambda organisation, info: state.behaviour.safety_stock,
                "isClosed": lambda organisation, info: state.closed,
            },
        }

    def _queries(self) -> dict[str, Resolver]:
        state = self.state
        return {
            "version": lambda root, info: "sandbox",
            "isInMaintenanceMode": lambda root, info: state.behaviour.in_maintenance,
            "organisation": lambda root, info, id: (
                state.organisation if id == state.organisation["id"] else None
            ),
            "organisationRequiresStockSync": lambda root, info: state.behaviour.requires_stock_sync,
            "ingestionStats": lambda root, info, id=None: state.ingestion_stats(),
            "syncStats": lambda root, info, id=None: self._sync_stats(),
            "product": self._one("Product"),
            "products": self._products,
            "productGroup": self._one("ProductGroup"),
            "productGroups": self._groups,
            "location": self._one("Location"),
            "locations": self._locations,
            "order": self._one("Order"),
            "orders": self._orders,
            "sessions": self._sessions,
            "device": lambda root, info, id: next((one for one in state.devices() if one["id"] == id), None),
            "devices": self._devices,
            "organisationApiKeys": self._api_keys,
        }

    def _organisation(self) -> Json:
        if "MY_ORGANISATION:READ" not in self.state.permissions:
            text = "The API key's role does not allow READ here."
            raise GraphQLError(text, extensions={"code": "FORBIDDEN"})
        return self.state.organisation

    def _mutations(self) -> dict[str, Resolver]:
        state = self.state
        return {
            "upsertProducts": self._upsert("Product", "products"),
            "upsertProductVariants": self._upsert_variants,
            "upsertProductGroups": self._upsert("ProductGroup", "productGroups"),
            "upsertLocations": self._upsert("Location", "locations"),
            "upsertStockLevels": self._upsert_stock,
            "upsertOrders": self._upsert_orders,
            "updateProductsInProductGroup": self._members("set"),
            "addProductsToProductGroup": self._members("add"),
            "removeProductsFromProductGroup": self._members("remove"),
            "updateProductsInProductGroupInBatch": self._members_in_batch,
            "deleteProducts": self._delete("Product", "products"),
            "deleteProductGroups": self._delete("ProductGroup", "productGroups"),
            "deleteLocations": self._delete("Location", "locations"),
            "keepKnownProductsViaFile": self._keep_known("Product"),
            "keepKnownVariantsViaFile": self._keep_known("ProductVariant"),
            "keepKnownProductGroupsViaFile": self._keep_known("ProductGroup"),
            "reportCatalogStats": lambda root, info, **known: _reported(state, known),
        }

    # Reads

    def _one(self, kind: str) -> Resolver:
        return lambda root, info, id: self.state.get(kind, id)

    def _products(
        self,
        root: None,
        info: Info,
        *,
        productGroupIds: Sequence[str] | None = None,  # noqa: N803 - names of the API
        textSearch: str | None = None,  # noqa: N803
        **page: Any,
    ) -> Json:
        found = self._listed("Product", page.pop("sortBy", None))
        if productGroupIds is not None:
            groups = [self.state.get("ProductGroup", gid) for gid in productGroupIds]
            wanted = {
                product["id"]
                for group in groups
                if group is not None
                for product in self.state.group_products(group)
            }
            found = [product for product in found if product["id"] in wanted]
        return self._page(_searched(found, textSearch), **page)

    def _groups(
        self,
        root: None,
        info: Info,
        *,
        searchQuery: Json | None = None,  # noqa: N803
        **page: Any,
    ) -> Json:
        query = searchQuery or {}
        found = _searched(self._listed("ProductGroup", page.pop("sortBy", None)), query.get("textSearch"))
        only, never = query.get("productGroupIds"), query.get("productGroupIdsToExclude") or []
        found = [
            group for group in found if (only is None or _named(group, only)) and not _named(group, never)
        ]
        if query.get("includeProductGroupsWithoutProducts") is False:
            found = [group for group in found if self.state.group_products(group)]
        return self._page(found, **page)

    def _locations(
        self,
        root: None,
        info: Info,
        *,
        textSearch: str | None = None,  # noqa: N803
        fulfillsOnlineOrders: bool | None = None,  # noqa: N803
        **page: Any,
    ) -> Json:
        found = _searched(self._listed("Location", page.pop("sortBy", None)), textSearch)
        if fulfillsOnlineOrders is not None:
            found = [one for one in found if one["fulfillsOnlineOrders"] == fulfillsOnlineOrders]
        return self._page(found, **page)

    def _orders(self, root: None, info: Info, **page: Any) -> Json:
        return self._page(self._listed("Order", page.pop("sortBy", None)), **page)

    def _sessions(
        self,
        root: None,
        info: Info,
        *,
        startDate: str = "",  # noqa: N803
        endDate: str = "9999",  # noqa: N803
        includeIncomplete: bool = False,  # noqa: N803
        includeInternal: bool = False,  # noqa: N803
        **others: str,
    ) -> list[Json]:
        return [
            session
            for session in self.state.entities["Session"].values()
            if startDate <= session["createdAt"] <= endDate
            and (includeIncomplete or session["status"] == "COMPLETE")
            and (includeInternal or session["visibilityType"] == "RETAILER")
            and others.get("deviceId", session["deviceId"]) == session["deviceId"]
            and others.get("cloudshelfId", session["cloudshelfId"]) == session["cloudshelfId"]
        ]

    def _devices(
        self,
        root: None,
        info: Info,
        *,
        sortBy: Mapping[str, str | None] | None = None,  # noqa: N803
        textSearch: str | None = None,  # noqa: N803
        **page: Any,
    ) -> Json:
        found = self.state.devices()
        for name, how in reversed(list((sortBy or {}).items())):
            if how is not None:
                found.sort(key=lambda one: one[name], reverse=how == "DESC")
        return self._page(_searched(found, textSearch), **page)

    def _api_keys(
        self,
        root: None,
        info: Info,
        *,
        filterQuery: Json | None = None,  # noqa: N803
        **page: Any,
    ) -> Json:
        wanted = {"status": "ACTIVE", **(filterQuery or {})}["status"] or "ACTIVE"
        found = [
            one
            for one in self.state.api_keys()
            if wanted == "ALL" or (one["revokedAt"] is None) == (wanted == "ACTIVE")
        ]
        return self._page(found, **page)

    def _sync_stats(self) -> Json:
        return {
            "isClosed": self.state.closed,
            "lastIngestionDataDate": self.state.last_ingestion,
            **{f"lastReportedCatalogStatsFor{what}": stats for what, stats in self.state.reported.items()},
        }

    def _listed(self, kind: str, sort: Mapping[str, str | None] | None) -> list[Json]:
        wanted = [(name, how == "DESC") for name, how in (sort or {}).items() if how is not None]
        return self.state.listing(kind, wanted)

    def _page(
        self,
        found: Sequence[Json],
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Json:
        """Cut one page. Cursors are positions, so entities that move while being paged may repeat."""
        start = 0 if after is None else _position(after) + 1
        end = len(found) if before is None else min(_position(before), len(found))
        if first is None and last is None:
            first = self.state.behaviour.default_page
        longest = self.state.behaviour.max_page
        if longest is not None:
            first = None if first is None else min(first, longest)
            last = None if last is None else min(last, longest)
        if first is not None:
            end = min(end, start + first)
        if last is not None:
            start = max(start, end - last)
        start = min(start, end)
        edges = [{"cursor": _cursor(at), "node": found[at]} for at in range(start, end)]
        info = {
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
            "hasNextPage": end < len(found),
            "hasPreviousPage": start > 0,
        }
        return {"edges": edges, "pageInfo": info, "totalCount": len(found)}

    # Writes

    def _upsert(self, kind: str, answer: str) -> Resolver:
        def resolve(root: None, info: Info, input: Sequence[Json]) -> Json:
            outcome = self.state.upsert(info.field_name, kind, input)
            return {answer: outcome.entities, "userErrors": outcome.errors}

        return resolve

    def _upsert_variants(self, root: None, info: Info, inputs: Sequence[Json]) -> Json:
        outcome = self.state.upsert_variants(info.field_name, inputs)
        return {"productVariants": outcome.entities, "userErrors": outcome.errors}

    def _upsert_stock(self, root: None, info: Info, input: Sequence[Json]) -> Json:
        outcome = self.state.upsert_stock(info.field_name, input)
        return {"stockLevels": outcome.entities, "userErrors": outcome.errors}

    def _upsert_orders(self, root: None, info: Info, input: Sequence[Json]) -> Json:
        outcome = self.state.upsert_orders(info.field_name, input)
        return {"orders": outcome.entities, "userErrors": outcome.errors}

    def _members(self, how: str) -> Resolver:
        def resolve(
            root: None,
            info: Info,
            productGroupId: str,  # noqa: N803
            productIds: Sequence[str],  # noqa: N803
        ) -> bool:
            if self.state.refuse(info.field_name, [productGroupId]):
                return False
            return self.state.set_members(productGroupId, productIds, how)[0]

        return resolve

    def _members_in_batch(
        self,
        root: None,
        info: Info,
        productGroupUpdateBatchInput: Json,  # noqa: N803
    ) -> list[Json]:
        rows = productGroupUpdateBatchInput["productGroupUpdateBatch"]
        refused = self.state.refuse(info.field_name, [row["productGroupId"] for row in rows])
        answer = []
        for index, row in enumerate(rows):
            done, number = (
                (False, 0)
                if index in refused
                else self.state.set_members(row["productGroupId"], row["productIds"])
            )
            answer.append({"productGroupId": row["productGroupId"], "success": done, "number": number})
        return answer

    def _delete(self, kind: str, answer: str) -> Resolver:
        def resolve(root: None, info: Info, ids: Sequence[str]) -> Json:
            outcome = self.state.delete(kind, ids)
            return {answer: outcome.entities, "userErrors": outcome.errors}

        return resolve

    def _keep_known(self, kind: str) -> Resolver:
        async def resolve(root: None, info: Info, fileUrl: str) -> Json:  # noqa: N803
            try:
                known = await asyncio.to_thread(_fetch, fileUrl)
            except (ValueError, TypeError, KeyError, URLError, OSError) as error:
                text = f"The file could not be read: {error}"
                return {"count": 0, "userErrors": [{"code": "INVALID_FILE", "message": text}]}
            with self.state.lock:
                return {"count": self.state.keep_known(kind, known), "userErrors": []}

        return resolve


def _fetch(url: str) -> list[str]:
    """Ids in a keep file; only this machine is asked, whatever the URL says."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname not in _LOOPBACK:
        raise ValueError("the sandbox fetches only http(s) URLs on this machine")
    with urlopen(url, timeout=_FETCH_SECONDS) as answer:  # noqa: S310  (the scheme was checked above)
        rows = json.loads(answer.read())
    if not isinstance(rows, list):
        raise TypeError("a JSON array of objects is expected")
    return [str(row["id"]) for row in rows]


def _reported(state: CloudshelfState, given: Json) -> bool:
    known = {
        "Products": given.get("knownNumberOfProducts"),
        "Variants": given.get("knownNumberOfProductVariants"),
        "ProductGroups": given.get("knownNumberOfProductGroups"),
        "Images": given.get("knownNumberOfImages"),
    }
    state.report(known, given.get("retailerClosed"))
    return True


def _metadata(entity: Json, info: Info) -> list[Json]:
    stamps = {"createdAt": entity["createdAt"], "updatedAt": entity["updatedAt"]}
    return [
        {**one, **stamps, "id": derived_id("Metadata", entity["id"], one["namespace"], one["key"])}
        for one in entity["metadata"]
    ]


def _image(entity: Json, stored: Json) -> Json:
    gid = derived_id("Metaimage", entity["id"], stored["url"])
    return {
        "id": gid,
        "originalUrl": stored["url"],
        "url": f"https://images.example.com/{gid.rpartition('/')[2]}",
        "preferredImage": stored["preferredImage"],
        "available": stored["url"].startswith("https://"),
        "createdAt": entity["createdAt"],
        "updatedAt": entity["updatedAt"],
    }


def _searched(found: list[Json], text: str | None) -> list[Json]:
    if not text:
        return found
    return [one for one in found if text.lower() in one["displayName"].lower()]


def _named(entity: Json, gids: Sequence[str]) -> bool:
    return entity["id"] in gids or entity["platformProvidedId"] in gids


def _cursor(position: int) -> str:
    return base64.b64encode(f"position:{position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("position:"))
    except (binascii.Error, ValueError) as error:
        raise GraphQLError(f"'{cursor}' is no cursor.") from error
