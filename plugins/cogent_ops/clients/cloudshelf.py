"""Cloudshelf: what this package asks of an organisation, and what became of every record that it sends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import groupby, islice, pairwise
from typing import Any, Literal, TypeVar

from cogent_ops.clients.batches import BatchOutcome, Patience, Problem, RecordFailure, Reply, Settling
from cogent_ops.clients.graphql_api import (
    INTERNAL,
    NAME,
    TRANSIENT,
    CloudshelfAccount,
    GraphqlApi,
    QueryTooComplex,
    RequestTooLarge,
    RoleRefused,
)
from cogent_ops.clients.transport import RateBudget, Tuning
from cogent_ops.domain.kiosk import KioskLocation
from cogent_ops.domain.priorities import Priority
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import ApiRejected

__all__ = [
    "ApiKey",
    "BatchOutcome",
    "CloudshelfAccount",
    "CloudshelfClient",
    "Counts",
    "Device",
    "LevelsOutcome",
    "LocationForm",
    "OrderReport",
    "Organisation",
    "Patience",
    "RecordFailure",
    "Status",
    "StockLevel",
]

log = logging.getLogger(__name__)

Json = dict[str, Any]
Record = TypeVar("Record")
LocationForm = Literal["structured", "address"]

#: Keeps an id scan within the complexity limit even if the API multiplies by the page size.
SCAN_PAGE = 100
#: The same for records of which more is read than their ids.
NESTED_PAGE = 50
#: Products in a page with all their stock levels; of a variant there are as many as stores.
LEVELS_PAGE = 25
#: Products whose variants are read in one call; the document has so many places.
PRODUCTS_READ = 8
NOT_FOUND = "ENTITY_NOT_FOUND"
_STRUCTURED = {
    "address1": "address1",
    "address2": "address2",
    "city": "city",
    "provinceCode": "province_code",
    "zip": "zip",
    "phone": "phone",
    "email": "email",
}


@dataclass(frozen=True)
class Status:
    """How the API says it is."""

    version: str
    in_maintenance: bool


@dataclass(frozen=True)
class Counts:
    """What the organisation holds.

    :param valid_products: those that a kiosk can show.
    """

    products: int
    valid_products: int
    variants: int
    images: int
    groups: int


@dataclass(frozen=True)
class Organisation:
    """The organisation behind the key, as far as it concerns a connector.

    :param currency: ISO 4217 code of all its prices.
    :param safety_stock: quantities below this number count as out of stock.
    """

    name: str
    currency: str
    safety_stock: int


@dataclass(frozen=True)
class StockLevel:
    """How much of a variant is at a location.

    :param location: gid of the location.
    :param variant: gid of the variant.
    :param quantity: units; what Cloudshelf makes of it depends on the organisation's safety stock.
    """

    location: str
    variant: str
    quantity: int

    @property
    def id(self) -> str:
        """Names the level in an outcome: Cloudshelf has no id of ours for it."""
        return level_id(self.location, self.variant)


@dataclass(frozen=True)
class LevelsOutcome:
    """What became of stock levels.

    :param batch: by :attr:`StockLevel.id`, what was applied and what was not.
    :param in_stock: by the same, whether a kiosk takes the variant to be in stock at the location now.
    """

    batch: BatchOutcome
    in_stock: Mapping[str, bool]


@dataclass(frozen=True)
class OrderReport:
    """What Cloudshelf should know of one of its orders; what is ``None`` stays as it is.

    :param id: gid of the order.
    :param third_party_id: the order's id in commercetools.
    """

    id: str
    third_party_id: str | None = None
    status: OrderStatus | None = None

    def to_input(self) -> Json:
        """GraphQL ``OrderInput``; ``thirdPartyId`` there is what an order is looked up by, not what it gets."""
        said = {"newThirdPartyId": self.third_party_id, "status": self.status}
        return {"id": self.id, **{name: value for name, value in said.items() if value is not None}}

    def is_told_by(self, node: Json) -> bool:
        """Whether the order as it was returned says all of this."""
        said = {"thirdPartyId": self.third_party_id, "status": self.status}
        return all(value is None or node[name] == value for name, value in said.items())


@dataclass(frozen=True)
class Device:
    """A kiosk.

    :param status: ``LIVE``, ``OFFLINE``, ``UPDATING`` or ``NO_CLOUDSHELF``.
    :param last_seen: when Cloudshelf heard of it last; ``None``: never.
    :param location: external id of its location; ``None``: it stands nowhere, or at a place without one.
    :param place: what the location is called; empty: it stands nowhere.
    """

    name: str
    status: str
    last_seen: datetime | None
    location: str | None
    place: str

    @classmethod
    def of(cls, node: Json) -> Device:
        """From what the API says."""
        seen, where = node["lastSeen"], node["location"] or {}
        return cls(
            name=node["displayName"],
            status=node["status"],
            last_seen=None if seen is None else datetime.fromisoformat(seen),
            location=where.get("platformProvidedId"),
            place=where.get("displayName") or "",
        )


@dataclass(frozen=True)
class ApiKey:
    """A key as the Cloudshelf Manager lists it.

    :param revoked_at: when somebody ended it; ``None``: nobody has.
    """

    name: str
    revoked_at: datetime | None


class CloudshelfClient:
    """One organisation. Threads may share a client, and forks.

    Batches return what was applied and what was not, record by record; they raise only what concerns all records.

    :param location_form: how a location's address is sent; ``None`` asks the API which form it knows.
    :param patience: what is spent on a batch that is not simply taken.
    """

    def __init__(
        self,
        account: CloudshelfAccount,
        budget: RateBudget,
        priority: Priority,
        tuning: Tuning | None = None,
        *,
        location_form: LocationForm | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.account, self.tuning = account, tuning or Tuning()
        self.patience = patience or Patience()
        self._api = GraphqlApi(account, budget, priority, self.tuning)
        self._forced_form = location_form
        self._page_sizes: dict[str, int] = {}
        self._largest: dict[str, int] = {}

    # What the organisation is

    def status(self) -> Status:
        """Version and maintenance mode, asked with the key.

        :raises ConnectionConfigError: when the key is not accepted, or may not read the catalogue.
        """
        found = self._api.query("status")
        return Status(found["version"], found["isInMaintenanceMode"])

    def permissions(self) -> frozenset[str]:
        """What the key's role allows of ``CATALOGUE``, ``LOCATIONS`` and ``ORDERS``, as ``CATALOGUE:READ`` and so on.

        Whether it may modify the first two is tried with batches of no record, which proves it only as far as the
        API looks at the role before it looks at the records. Modifying orders is not tried.

        :raises ConnectionConfigError: when the key is not accepted at all.
        """
        nothing = {"input": [], "withIds": False}
        tries = {"CATALOGUE:MODIFY": "upsert_products", "LOCATIONS:MODIFY": "upsert_locations"}
        writable = {
            name for name, document in tries.items() if _allowed(partial(self._api.mutate, document, nothing))
        }
        return frozenset({f"{name}:READ" for name in self.readable()} | writable)

    def readable(self) -> frozenset[str]:
        """What the key's role may read of ``CATALOGUE``, ``LOCATIONS`` and ``ORDERS``; nothing is written to try it.

        :raises ConnectionConfigError: when the key is not accepted at all.
        """
        tries = {"CATALOGUE": "read_catalogue", "LOCATIONS": "read_locations", "ORDERS": "read_orders"}
        return frozenset(
            name for name, document in tries.items() if _allowed(partial(self._api.query, document))
        )

    def may_read_devices(self) -> bool:
        """Whether the key's role may read the kiosks (``DEVICE``: ``READ``).

        :raises ConnectionConfigError: when the key is not accepted at all.
        """
        return _allowed(partial(self._api.query, "read_devices"))

    def devices(self) -> Iterator[list[Device]]:
        """Every kiosk of the retailer, in pages; not those that Cloudshelf's own staff use.

        :raises RoleRefused: when the key's role does not allow ``READ`` of ``DEVICE``.
        """
        for page in self._scan("devices", NESTED_PAGE):
            yield [Device.of(node) for node in page if node["visibilityType"] != "CLOUDSHELF_INTERNAL"]

    def own_key(self) -> ApiKey | None:
        """How the Cloudshelf Manager calls the key of this connection; ``None`` when no listed one ends like it.

        :raises RoleRefused: when the key's role does not allow ``READ`` of ``API_KEYS``.
        """
        for page in self._scan("api_keys", NESTED_PAGE):
            for node in page:
                shown = node["maskedKey"].lstrip("*•")
                if shown and self.account.api_key.endswith(shown):
                    ended = node["revokedAt"]
                    return ApiKey(node["name"], None if ended is None else datetime.fromisoformat(ended))
        return None

    def location_form(self) -> LocationForm:
        """Which form of address this API takes, or the forced one; the newer one where nobody says."""
        return self._forced_form or self.described_form or "structured"

    @cached_property
    def described_form(self) -> LocationForm | None:
        """The form of address in the API's description of its schema; ``None`` when it does not describe it."""
        try:
            kind = self._api.query("location_form")["__type"]
        except (ApiRejected, RoleRefused) as error:
            log.warning(
                "cloudshelf does not describe its schema, so the newer form of addresses is used: %s", error
            )
            return None
        names = {field["name"] for field in (kind or {}).get("inputFields") or ()}
        if "address1" in names:
            return "structured"
        return "address" if "address" in names else None

    def organisation(self) -> Organisation | None:
        """The organisation that the key belongs to; ``None`` when no record of it can be read.

        No query gives it without its id, so it is read through a product group; every organisation has one.

        :raises ConnectionConfigError: when the key's role may not read it.
        """
        edges = self._api.query("organisation")["productGroups"]["edges"] or ()
        owners = (edge["node"]["owningOrganisation"] for edge in edges if edge and edge["node"])
        owner = next(owners, None)
        if owner is None:
            return None
        return Organisation(owner["displayName"], owner["defaultCurrencyCode"], owner["safetyStockNumber"])

    def counts(self) -> Counts:
        """How many records the organisation holds."""
        stats = self._api.query("counts")["ingestionStats"]
        return Counts(
            products=stats["productCount"],
            valid_products=stats["validProductCount"],
            variants=stats["variantCount"],
            images=stats["imageCount"],
            groups=stats["productGroupCount"],
        )

    def products(self) -> Iterator[list[Json]]:
        """Every product's ``id``, ``platformProvidedId`` and ``updatedAt``, in pages, oldest id first."""
        return self._scan("products")

    def locations(self) -> Iterator[list[Json]]:
        """Every location's ``id`` and ``platformProvidedId``, in pages, oldest id first."""
        return self._scan("locations")

    def orders(self, page_size: int = SCAN_PAGE) -> Iterator[list[Json]]:
        """Every order with its lines and session, in pages, the one updated last leading.

        The list may move while it is read: an order that changes meanwhile moves to its front, where this reading is
        past it, and makes others come twice. So whoever stops at a moment in the past has to begin the next reading
        with what was newest when this one began.

        :param page_size: orders in a page; less where the API finds that too complex.
        """
        for page in self._scan("orders", page_size):
            moments = [node["updatedAt"] for node in page]
            if _is_rising(moments):
                raise ApiRejected(
                    NAME, "OutOfOrder", "orders came not sorted by updatedAt, so reading on would lose some"
                )
            yield page

    def order(self, id_: str) -> Json | None:
        """One order in the form of :meth:`orders`; ``None`` when there is none."""
        found: Json | None = self._api.query("order", id=id_)["order"]
        return found

    def newest_order_change(self) -> datetime | None:
        """When an order changed last, for the price of the smallest query; ``None``: there is no order.

        Cloudshelf's times may be whole seconds, so two changes may have the same one.
        """
        edges = self._api.query("newest_order")["orders"]["edges"] or ()
        stamps = (edge["node"]["updatedAt"] for edge in edges if edge and edge["node"])
        return next((datetime.fromisoformat(stamp) for stamp in stamps), None)

    def shown_products(self) -> Iterator[list[Json]]:
        """Every product as shoppers see it, with its groups and variants, in pages, oldest id first."""
        return self._scan("shown_products")

    def shown_product(self, id_: str) -> Json | None:
        """One product in the form of :meth:`shown_products`; ``None`` when there is none."""
        found: Json | None = self._api.query("shown_product", id=id_)["product"]
        return found

    def shown_groups(self) -> Iterator[list[Json]]:
        """Every product group's ``platformProvidedId``, ``displayName`` and ``updatedAt``, in pages."""
        return self._scan("shown_groups")

    def shown_levels(self) -> Iterator[list[Json]]:
        """Every product's variants with their two flags and stock levels, in pages, oldest id first."""
        return self._scan("shown_levels", LEVELS_PAGE)

    def shown_levels_of(self, product: str) -> Json | None:
        """One product in the form of :meth:`shown_levels`; ``None`` when there is none."""
        found: Json | None = self._api.query("shown_levels_of", id=product)["product"]
        return found

    def _scan(self, name: str, page_size: int = SCAN_PAGE) -> Iterator[list[Json]]:
        """All nodes of a list, which has the name of its document."""
        after: str | None = None
        while True:
            page = self._page(name, after, page_size)
            nodes = [edge["node"] for edge in page["edges"] or () if edge and edge["node"]]
            if nodes:
                yield nodes
            info = page["pageInfo"]
            if not info or not info["hasNextPage"]:
                return
            if info["endCursor"] in (None, after):
                raise ApiRejected(
                    NAME, "PAGING", f"the list of {name} goes on, but not from where it stopped"
                )
            after = info["endCursor"]

    def _page(self, name: str, after: str | None, largest: int) -> Json:
        while True:
            size = min(largest, self._page_sizes.get(name, largest))
            try:
                page: Json = self._api.query(name, first=size, after=after)[name]
            except QueryTooComplex:
                if size == 1:
                    raise
                self._page_sizes[name] = size // 2
            else:
                return page

    def product_variants(self, product: str) -> list[Json]:
        """A product's variants as inputs that :meth:`upsert_variants` takes; empty for an unknown product."""
        found = self._api.query("product_variants", id=product)["product"]
        return [] if found is None else [_variant_input(node) for node in found["productVariants"]]

    def variant_ids(self, product: str) -> dict[str, str | None]:
        """``platformProvidedId`` by internal id of a product's variants; empty for an unknown product."""
        found = self._api.query("variant_ids", id=product)["product"] or {"productVariants": ()}
        return {node["id"]: node["platformProvidedId"] for node in found["productVariants"]}

    def variants_of(self, products: Sequence[str]) -> dict[str, list[Json]]:
        """Variants of up to :data:`PRODUCTS_READ` products in one call, by product. See :meth:`product_variants`."""
        if not 1 <= len(products) <= PRODUCTS_READ:
            raise ValueError(f"One call reads 1 to {PRODUCTS_READ} products, not {len(products)}.")
        # The document has a place for each; those left over are filled by the last one again.
        asked = [*products, *[products[-1]] * (PRODUCTS_READ - len(products))]
        try:
            found = self._api.query(
                "variants_of_products", **{f"p{place}": product for place, product in enumerate(asked, 1)}
            )
        except QueryTooComplex:
            return {product: self.product_variants(product) for product in products}
        return {
            product: [_variant_input(node) for node in (found[f"p{place}"] or {}).get("productVariants", ())]
            for place, product in enumerate(products, 1)
        }

    # Upserts

    def upsert_products(self, inputs: Sequence[Json]) -> BatchOutcome:
        """Create or update products.

        :param inputs: ``ProductInput`` objects with ``id``.
        """
        return self._upsert("upsert_products", "upsertProducts", "products", inputs)

    def upsert_groups(self, inputs: Sequence[Json]) -> BatchOutcome:
        """Create or update product groups.

        :param inputs: ``ProductGroupInput`` objects with ``id``.
        """
        return self._upsert("upsert_product_groups", "upsertProductGroups", "productGroups", inputs)

    def upsert_locations(self, locations: Sequence[KioskLocation]) -> BatchOutcome:
        """Create or update locations, with the address in the form that this API takes."""
        form = self.location_form()
        inputs = [location_input(location, form) for location in locations]
        return self._upsert("upsert_locations", "upsertLocations", "locations", inputs)

    def upsert_variants(self, entries: Iterable[tuple[str, Sequence[Json]]]) -> BatchOutcome:
        """Create or update variants.

        :param entries: a product's gid with ``ProductVariantInput`` objects that have an ``id``.
        """
        records = {variant["id"]: (product, variant) for product, variants in entries for variant in variants}

        def variables(part: Mapping[str, tuple[str, Json]]) -> Json:
            by_product = groupby(part.values(), key=lambda record: record[0])
            return {
                "input": [
                    {"productId": product, "variants": [variant for _, variant in rows]}
                    for product, rows in by_product
                ],
                "withIds": _has_internal(part),
            }

        return self._settle(
            "upsert_product_variants",
            records,
            variables,
            lambda data, _: _reply(data, "upsertProductVariants", "productVariants"),
        )

    def upsert_stock_levels(self, levels: Iterable[StockLevel]) -> LevelsOutcome:
        """Create or update stock levels; of several for one variant and location, the last counts."""
        answered: dict[str, bool] = {}

        def read(data: Json, _: Mapping[str, StockLevel]) -> Reply:
            found = {
                level_id(
                    node["location"]["platformProvidedId"], node["productVariant"]["platformProvidedId"]
                ): node["isInStock"]
                for node in (data.get("upsertStockLevels") or {}).get("stockLevels") or ()
                if node
            }
            answered.update(found)
            return Reply(found.keys(), _problems(data, "upsertStockLevels"))

        outcome = self._settle(
            "upsert_stock_levels",
            {level.id: level for level in levels},
            lambda part: {"input": [_level_input(level) for level in part.values()]},
            read,
        )
        return LevelsOutcome(outcome, {id_: answered[id_] for id_ in outcome.applied if id_ in answered})

    def upsert_orders(self, reports: Iterable[OrderReport]) -> BatchOutcome:
        """Say what became of orders; of several reports of one order, the last counts.

        An order that comes back without what was said of it does not count as told.
        """

        def read(data: Json, part: Mapping[str, OrderReport]) -> Reply:
            nodes = [node for node in (data.get("upsertOrders") or {}).get("orders") or () if node]
            told = {node["id"] for node in nodes if node["id"] in part and part[node["id"]].is_told_by(node)}
            return Reply(told, _problems(data, "upsertOrders"))

        return self._settle(
            "upsert_orders",
            {report.id: report for report in reports},
            lambda part: {"input": [report.to_input() for report in part.values()]},
            read,
        )

    def _upsert(self, document: str, root: str, field: str, inputs: Sequence[Json]) -> BatchOutcome:
        return self._settle(
            document,
            {one["id"]: one for one in inputs},
            lambda part: {"input": list(part.values()), "withIds": _has_internal(part)},
            lambda data, _: _reply(data, root, field),
        )

    def set_memberships(self, entries: Iterable[tuple[str, Sequence[str]]]) -> BatchOutcome:
        """Set the complete, ordered products of groups; the outcome is by group."""

        def variables(part: Mapping[str, Sequence[str]]) -> Json:
            rows = [
                {"productGroupId": group, "productIds": list(products)} for group, products in part.items()
            ]
            return {"input": {"productGroupUpdateBatch": rows}}

        return self._settle("set_group_members", dict(entries), variables, _membership_reply)

    def report_catalogue_stats(
        self, *, products: int, variants: int, groups: int, images: int | None
    ) -> None:
        """Tell Cloudshelf how much it should hold; ``None`` leaves a number out."""
        numbers = {"products": products, "variants": variants, "groups": groups}
        known = numbers if images is None else {**numbers, "images": images}
        if not self._api.query("report_catalogue_stats", **known)["reportCatalogStats"]:
            log.warning("cloudshelf did not take the catalogue's numbers: %s", known)

    # Deletions

    def delete_products(self, ids: Sequence[str]) -> BatchOutcome:
        """Delete products with their variants; one that is not there counts as done."""
        return self._delete("delete_products", "deleteProducts", "products", ids, "product")

    def delete_groups(self, ids: Sequence[str]) -> BatchOutcome:
        """Delete product groups, not their products; one that is not there counts as done."""
        return self._delete(
            "delete_product_groups", "deleteProductGroups", "productGroups", ids, "product_group"
        )

    def _delete(self, document: str, root: str, field: str, ids: Sequence[str], kind: str) -> BatchOutcome:
        def read(data: Json, part: Mapping[str, None]) -> Reply:
            reply = _reply(data, root, field)
            return Reply(part.keys()) if data and self._are_gone(part.keys(), reply, kind) else reply

        return self._settle(
            document,
            dict.fromkeys(ids),
            lambda part: {"input": list(part), "withIds": _has_internal(part)},
            read,
        )

    def _are_gone(self, ids: Collection[str], reply: Reply, kind: str) -> bool:
        """Whether those that were not returned are not there at all."""
        missing = [id_ for id_ in ids if id_ not in reply.confirmed]
        if missing and not reply.problems and len(ids) == 1:
            return self._api.query(f"{kind}_exists", id=missing[0])["found"] is None
        unknown = sum(problem.code == NOT_FOUND for problem in reply.problems)
        return unknown == len(reply.problems) == len(missing)

    # Batches

    def _settle(
        self,
        document: str,
        records: Mapping[str, Record],
        variables: Callable[[Mapping[str, Record]], Json],
        read: Callable[[Json, Mapping[str, Record]], Reply],
    ) -> BatchOutcome:
        """Send a batch until every record has an outcome.

        :param variables: a part of the batch as variables of the document.
        :param read: what the data of an answer says about the part.
        """

        def send(part: Mapping[str, Record]) -> Reply:
            return self._send(document, part, variables, read)

        outcome = Settling(records, send, self.patience, self.tuning).run()
        if not outcome.applied and any(failure.code == INTERNAL for failure in outcome.failed):
            # Is every record bad, or the API down? If it is down, this raises.
            self._api.query("read_catalogue")
        return outcome

    def _send(
        self,
        document: str,
        part: Mapping[str, Record],
        variables: Callable[[Mapping[str, Record]], Json],
        read: Callable[[Json, Mapping[str, Record]], Reply],
    ) -> Reply:
        """Send a part, in smaller ones where the API takes no more at once."""
        largest = self._largest.get(document, len(part))
        if len(part) > largest:
            return _joined(self._send(document, smaller, variables, read) for smaller in _cut(part, largest))
        try:
            answer = self._api.mutate(document, variables(part))
        except (QueryTooComplex, RequestTooLarge) as error:
            half = len(part) // 2
            if half == 0:
                return Reply(problems=(Problem(error.code, str(error)),))
            if isinstance(error, QueryTooComplex):
                self._largest[document] = min(half, self._largest.get(document, half))
            return _joined(self._send(document, smaller, variables, read) for smaller in _cut(part, half))
        reply = read(answer.data, part)
        told = (replace(problem, message=self._api.clean(problem.message)) for problem in reply.problems)
        return Reply(reply.confirmed, (*told, *answer.problems))


def location_input(location: KioskLocation, form: LocationForm) -> Json:
    """GraphQL ``LocationInput`` in one of its two forms, every field present."""
    content: Json = {
        "id": location.id,
        "displayName": location.display_name,
        "countryCode": location.country_code,
        "fulfillsOnlineOrders": location.fulfills_online_orders,
        "metadata": [entry.to_input() for entry in location.metadata],
    }
    if form == "structured":
        return content | {name: getattr(location, source) or None for name, source in _STRUCTURED.items()}
    town = f"{location.zip} {location.city}".strip()
    lines = (location.address1, location.address2, town, location.province_code)
    return content | {"address": ", ".join(line for line in lines if line)}


def _variant_input(node: Json) -> Json:
    """A variant as read, in the form in which it is written."""
    content = {name: value for name, value in node.items() if name != "platformProvidedId"}
    return content | {
        "id": node["platformProvidedId"] or node["id"],
        "metaimages": [
            {"url": image["originalUrl"], "preferredImage": image["preferredImage"]}
            for image in node["metaimages"]
        ],
    }


def _reply(data: Json, root: str, field: str) -> Reply:
    """What a payload with entities and user errors says; an entity answers to both of its ids."""
    payload = data.get(root) or {}
    confirmed: set[str] = set()
    for node in payload.get(field) or ():
        if node:
            confirmed.update(id_ for id_ in node.values() if id_)
    return Reply(confirmed, _problems(data, root))


def _problems(data: Json, root: str) -> tuple[Problem, ...]:
    """The user errors of a payload."""
    return tuple(
        Problem(error["code"], error["message"], transient=error["code"] in TRANSIENT)
        for error in (data.get(root) or {}).get("userErrors") or ()
    )


def level_id(location: str, variant: str) -> str:
    """Names a stock level in an outcome."""
    return f"{variant}@{location}"


def _level_input(level: StockLevel) -> Json:
    return {"locationId": level.location, "productVariantId": level.variant, "quantity": level.quantity}


def _membership_reply(data: Json, part: Mapping[str, Sequence[str]]) -> Reply:
    """What the per-group answer says; groups are told apart by id, or by place where other ids come back."""
    rows = data.get("updateProductsInProductGroupInBatch") or []
    by_place = len(rows) == len(part) and not all(row["productGroupId"] in part for row in rows)
    ids = list(part) if by_place else [row["productGroupId"] for row in rows]
    confirmed = {id_ for id_, row in zip(ids, rows, strict=True) if row["success"]}
    text = "The members of the group were not set; the group, or one of its members, may be unknown to Cloudshelf."
    refused = sum(not row["success"] for row in rows)
    return Reply(confirmed, (Problem("NOT_APPLIED", text, transient=True),) * refused)


def _is_rising(stamps: Sequence[str]) -> bool:
    """Whether a moment comes after an earlier one; what is no moment says nothing."""
    moments = [found for found in map(_moment, stamps) if found is not None]
    return any(later > before for before, later in pairwise(moments))


def _moment(stamp: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else None


def _has_internal(ids: Iterable[str]) -> bool:
    """Whether some record is addressed by Cloudshelf's own id, so that its answer must be known by that id."""
    return any(not id_.startswith("gid://external/") for id_ in ids)


def _cut(part: Mapping[str, Record], size: int) -> Iterator[dict[str, Record]]:
    rows = iter(part.items())
    while chunk := dict(islice(rows, size)):
        yield chunk


def _joined(replies: Iterable[Reply]) -> Reply:
    confirmed: set[str] = set()
    problems: list[Problem] = []
    for reply in replies:
        confirmed.update(reply.confirmed)
        problems += reply.problems
    return Reply(confirmed, tuple(problems))


def _allowed(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except RoleRefused:
        return False
    return True
