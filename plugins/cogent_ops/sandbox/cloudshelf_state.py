"""Everything the simulated Cloudshelf organisation holds, and what upserts, deletions and kiosks do to it.

Batches are applied record by record: what can be applied is, and for the rest there are user errors without any hint
at which record they mean, as the API's schema has it. Open questions about the real API are switches in
:class:`KioskBehaviour`.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from cogent_ops.domain.orders import own_channel
from cogent_ops.errors import PermanentError
from cogent_ops.sandbox.answers import Json
from cogent_ops.sandbox.collection import Clock

KINDS = ("Product", "ProductVariant", "ProductGroup", "Location", "Order", "Session")

Refuse = Callable[[str, Sequence[str]], Mapping[int, str]]
"""Which records of a batch meet an error for no fault of their own: (operation, ids) -> index -> error code."""

_REQUIRED = {
    "Product": ("displayName",),
    "ProductVariant": ("currentPrice", "originalPrice", "isInStock", "availableToPurchase"),
    "ProductGroup": ("displayName",),
    "Location": ("displayName", "countryCode"),
    "Order": ("status",),
}
_DEFAULTS: dict[str, Json] = {
    "Product": {
        "description": None,
        "vendor": None,
        "productType": None,
        "tags": [],
        "metadata": [],
        "remoteUpdatedAt": None,
    },
    "ProductVariant": {
        "position": None,
        "displayName": None,
        "sku": None,
        "barcode": None,
        "inventoryPolicy": None,
        "attributes": [],
        "metadata": [],
        "metaimages": [],
    },
    "ProductGroup": {"featuredImage": None, "metadata": [], "isAllProductGroup": False},
    "Location": {"fulfillsOnlineOrders": False, "metadata": []},
    "Order": {"discountCode": None, "thirdPartyId": None},
}
_SESSION_IDS = ("cloudshelfId", "deviceId", "locationId", "salesAssistantId")
_CONTENT = ("entities", "external", "members", "variants_of", "stock", "_by_third_party", "last_ingestion")
_LISTS = {"tags", "metadata", "attributes", "metaimages"}
_STRUCTURED = ("address1", "address2", "city", "provinceCode", "zip", "phone", "email")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]

ALL_PERMISSIONS = frozenset(
    f"{entity}:{action}"
    for entity in ("CATALOGUE", "LOCATIONS", "ORDERS", "MY_ORGANISATION", "USAGE", "DEVICE", "API_KEYS")
    for action in ("READ", "MODIFY")
)


@dataclass(frozen=True, slots=True)
class KioskBehaviour:
    """Open questions about the Cloudshelf API, as switches.

    :param api_key: the organisation's key.
    :param permissions: what the key's role allows, as ``ENTITY:ACTION``.
    :param open_introspection: whether the schema can be read without a key.
    :param stock_permission: which right of a role guards stock levels.
    :param statistics_permission: which one guards reporting and reading the catalogue's numbers.
    :param location_form: which fields ``LocationInput`` has; the structured one is newer.
    :param lists: whether lists of an upsert replace or join what is there.
    :param null: whether ``null`` clears a field or counts as not sent; a mandatory field is never cleared.
    :param batches: whether a batch with errors is applied in part or not at all.
    :param max_batch: most records in a batch; ``None`` = any number.
    :param max_body_bytes: longest request body.
    :param unchanged_upsert_bumps: whether an upsert that changes nothing moves ``updatedAt``.
    :param safety_stock: stock below this number counts as out of stock.
    :param safety_stock_itself: what stock of exactly this number counts as; the documentation says ``in``.
    :param valid_product: what a product needs in order to count as valid: an image beside a variant, or not.
    :param session_ids: whether a session names location, device and the like by gid or by the bare ULID.
    :param kiosks_per_store: how many kiosks stand in each location.
    :param default_page: page size when neither ``first`` nor ``last`` is given.
    :param max_page: longest page, whatever is asked for; ``None`` = any length.
    :param max_complexity: most a query may cost.
    :param max_depth: deepest nesting of fields.
    :param complexity: whether a list costs its fields once, or times the page size.
    :param over_limit: whether complexity, depth and credits are refused by a GraphQL error with HTTP 200, or by
        HTTP 400 and (credits) 429 with Retry-After.
    :param refusal: whether a wrong key is answered by HTTP 401 or by a GraphQL error.
    """

    api_key: str = "sandbox-key"
    permissions: frozenset[str] = ALL_PERMISSIONS
    open_introspection: bool = True
    stock_permission: Literal["CATALOGUE", "LOCATIONS"] = "CATALOGUE"
    statistics_permission: Literal["CATALOGUE", "MY_ORGANISATION"] = "MY_ORGANISATION"
    location_form: Literal["address", "structured"] = "structured"
    lists: Literal["replace", "merge"] = "replace"
    null: Literal["clears", "keeps"] = "clears"
    batches: Literal["partial", "atomic"] = "partial"
    max_batch: int | None = None
    max_body_bytes: int = 100 * 1024 * 1024
    unchanged_upsert_bumps: bool = True
    safety_stock: int = 0
    safety_stock_itself: Literal["in", "out"] = "in"
    valid_product: Literal["image", "variant"] = "image"
    session_ids: Literal["gid", "ulid"] = "gid"
    currency: str = "EUR"
    requires_stock_sync: bool = True
    kiosks_per_store: int = 1
    default_page: int = 20
    max_page: int | None = None
    max_complexity: int = 500
    max_depth: int = 20
    complexity: Literal["static", "multiplied"] = "static"
    over_limit: Literal["graphql", "http"] = "graphql"
    refusal: Literal["http", "graphql"] = "graphql"
    in_maintenance: bool = False


@dataclass(slots=True)
class Outcome:
    """What a batch did: entities that were created or updated, and errors as (code, message)."""

    entities: list[Json] = field(default_factory=list)
    errors: list[Json] = field(default_factory=list)

    def refuse(self, code: str, message: str) -> None:
        """Add a user error."""
        self.errors.append({"code": code, "message": message})


class RecordRefused(PermanentError):
    """One record of a batch cannot be applied."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CloudshelfState:
    """One organisation. Every method must be called with :attr:`lock` held.

    :param clock: shared with the commercetools side.
    """

    def __init__(self, clock: Clock, behaviour: KioskBehaviour, seed: int = 0) -> None:
        self.clock, self.behaviour = clock, behaviour
        self.lock = threading.RLock()
        self.refuse: Refuse = lambda operation, ids: {}
        self.blemish: Refuse = lambda operation, ids: {}
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Return to an empty organisation, which has nothing but its group of all products."""
        self._noise = random.Random(self._seed + 1)
        self._serial = 0
        self.entities: dict[str, dict[str, Json]] = {kind: {} for kind in KINDS}
        self.external: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        self.members: dict[str, list[str]] = {}
        self.variants_of: dict[str, dict[str, None]] = {}
        self.stock: dict[str, dict[str, Json]] = {}
        self._by_third_party: dict[str, str] = {}
        self.reported: dict[str, Json] = {}
        #: When the key was revoked, and what its role allows instead; see :mod:`cogent_ops.sandbox.access`.
        self.key_revoked_at: str | None = None
        self.role: frozenset[str] | None = None
        #: Kiosks that are switched off, since when; and stores whose kiosks are on and sell nothing.
        self.switched_off: dict[str, str] = {}
        self.not_selling: set[str] = set()
        self.closed = False
        self.last_ingestion: str | None = None
        self.revision = dict.fromkeys(KINDS, 0)
        self._sorted: dict[tuple[str, str], tuple[int, list[Json]]] = {}
        self.organisation: Json = {
            **self._head("Organisation"),
            "displayName": "Sandbox",
            "domainName": "sandbox.example.com",
        }
        everything = self._head("ProductGroup", {"displayName": "All Products", "isAllProductGroup": True})
        group = {**_DEFAULTS["ProductGroup"], **everything, "handle": "all-products"}
        self.entities["ProductGroup"][group["id"]] = group

    # Identity

    def _head(self, kind: str, content: Mapping[str, Any] | None = None) -> Json:
        stamp = self.clock.stamp()
        gid = f"gid://cloudshelf/{kind}/{self._ulid()}"
        return {
            "id": gid,
            "platformProvidedId": None,
            "createdAt": stamp,
            "updatedAt": stamp,
            **(content or {}),
        }

    def _ulid(self) -> str:
        """Sortable by creation even within a millisecond."""
        self._serial += 1
        number = (
            int(self.clock.now().timestamp() * 1000) << 80 | self._serial << 40 | self._noise.getrandbits(32)
        )
        return _base32(number)

    def get(self, kind: str, gid: str) -> Json | None:
        """An entity by internal or external id."""
        found = self.entities[kind].get(gid)
        if found is None and gid in self.external[kind]:
            return self.entities[kind][self.external[kind][gid]]
        return found

    def _existing(self, kind: str, gid: str | None) -> Json | None:
        """The entity that an upsert addresses, or ``None`` when it must be created."""
        if gid is None:
            return None
        found = self.get(kind, gid)
        if found is None and not gid.startswith("gid://external/"):
            raise RecordRefused("ENTITY_NOT_FOUND", f"{kind} could not be found.")
        return found

    # Upserts

    def upsert(self, operation: str, kind: str, inputs: Sequence[Json]) -> Outcome:
        """Create or update entities of one kind.

        :param operation: name of the mutation, for fault rules.
        """
        return self._whole(
            inputs, lambda: self._batch(operation, inputs, lambda one: self._upsert_one(kind, one, {}))
        )

    def upsert_variants(self, operation: str, inputs: Sequence[Json]) -> Outcome:
        """Create or update variants, product by product. A known variant moves to the product it is sent under."""
        sent = [variant for entry in inputs for variant in entry["variants"]]
        return self._whole(sent, lambda: self._upsert_variants(operation, inputs))

    def _upsert_variants(self, operation: str, inputs: Sequence[Json]) -> Outcome:
        outcome = Outcome()
        rows: list[Json] = []
        for entry in inputs:
            product = self.get("Product", entry["productId"])
            if product is None:
                outcome.refuse("ENTITY_NOT_FOUND", "Product could not be found.")
                continue
            rows.extend({"_product": product["id"], **variant} for variant in entry["variants"])
        applied = self._batch(operation, rows, self._upsert_variant)
        return Outcome(applied.entities, outcome.errors + applied.errors)

    def _upsert_variant(self, row: Json) -> Json:
        product = row.pop("_product")
        made = self._upsert_one("ProductVariant", row, {"productId": product})
        before = made.get("productId")
        if before != product:
            if before is not None:
                self.variants_of[before].pop(made["id"], None)
            made["productId"] = product
        self.variants_of[product][made["id"]] = None
        return made

    def _whole(self, records: Sequence[Json], apply: Callable[[], Outcome]) -> Outcome:
        """Apply a batch that is not too long; where batches are atomic, any error undoes all of it."""
        longest = self.behaviour.max_batch
        if longest is not None and len(records) > longest:
            outcome = Outcome()
            outcome.refuse("INVALID_ARGUMENT", f"At most {longest} records are possible at a time.")
            return outcome
        if self.behaviour.batches == "partial":
            return apply()
        before = deepcopy({name: vars(self)[name] for name in _CONTENT})
        outcome = apply()
        if outcome.errors:
            vars(self).update(before)
            self._sorted.clear()
            outcome.entities = []
        return outcome

    def _batch(self, operation: str, inputs: Sequence[Json], apply: Callable[[Json], Json]) -> Outcome:
        ids = [str(one.get("id") or "") for one in inputs]
        refused, blemished = self.refuse(operation, ids), self.blemish(operation, ids)
        outcome = Outcome()
        applied: dict[str, Json] = {}
        for index, one in enumerate(inputs):
            try:
                if index in refused:
                    raise RecordRefused(refused[index], "The record could not be processed.")
                made = apply(one)
            except RecordRefused as error:
                outcome.refuse(error.code, str(error))
            else:
                applied[made["id"]] = made
                if index in blemished:
                    outcome.refuse(blemished[index], "A part of the record could not be processed.")
        outcome.entities = list(applied.values())
        if applied:
            self.last_ingestion = self.clock.stamp()
        return outcome

    def _upsert_one(self, kind: str, given: Json, fixed: Json) -> Json:
        gid = given.get("id")
        content = self._content(kind, given)
        old = self._existing(kind, gid)
        if old is None:
            return self._create(kind, gid, {**content, **fixed})
        changed = {name: value for name, value in content.items() if old.get(name) != value}
        if changed or self.behaviour.unchanged_upsert_bumps:
            old.update(self._merged(old, changed))
            old["updatedAt"] = self.clock.stamp()
            self.revision[kind] += 1
        return old

    def _content(self, kind: str, given: Json) -> Json:
        """An input as it is stored; ``null`` on a mandatory field counts as not sent."""
        nulls = self.behaviour.null == "clears"
        content = {
            name: value for name, value in given.items() if name != "id" and (nulls or value is not None)
        }
        for name in _REQUIRED[kind]:
            if content.get(name, "") is None:
                del content[name]
        for name in _LISTS & content.keys():
            content[name] = content[name] or []
        if "metadata" in content:
            content["metadata"] = [_stored_metadata(entry) for entry in content["metadata"]]
        if content.get("fulfillsOnlineOrders", "") is None:
            del content["fulfillsOnlineOrders"]
        return content

    def _merged(self, old: Json, changed: Json) -> Json:
        if self.behaviour.lists == "replace":
            return changed
        return {
            name: _joined(old[name], value) if name in _LISTS else value for name, value in changed.items()
        }

    def _create(self, kind: str, gid: str | None, content: Json) -> Json:
        required = list(_REQUIRED[kind])
        if kind == "Location":
            required.append("address1" if self.behaviour.location_form == "structured" else "address")
        missing = [name for name in required if content.get(name) is None]
        if missing:
            text = f"A value is required to create a {kind}: {', '.join(missing)}."
            raise RecordRefused("ENTITY_CREATION_MISSING_FIELD", text)
        made = {**_DEFAULTS[kind], **self._head(kind), **content, "platformProvidedId": gid}
        if kind in ("Product", "ProductGroup"):
            made["handle"] = made.get("handle") or _handle(made["displayName"])
        self.entities[kind][made["id"]] = made
        if gid is not None:
            self.external[kind][gid] = made["id"]
        if kind == "Product":
            self.variants_of[made["id"]] = {}
        if kind == "ProductGroup":
            self.members[made["id"]] = []
        self.revision[kind] += 1
        return made

    # Membership

    def set_members(self, group: str, products: Sequence[str], how: str = "set") -> tuple[bool, int]:
        """Set, add or remove a group's products; an unknown id anywhere changes nothing.

        :returns: whether it was done, and how many products the group holds now.
        """
        found = self.get("ProductGroup", group)
        ids = [self.get("Product", gid) for gid in products]
        if found is None or found["isAllProductGroup"] or None in ids:
            return False, 0 if found is None else len(self.members.get(found["id"], []))
        wanted = list(dict.fromkeys(product["id"] for product in ids if product is not None))
        old = self.members[found["id"]]
        if how == "add":
            wanted = [*old, *(gid for gid in wanted if gid not in old)]
        elif how == "remove":
            wanted = [gid for gid in old if gid not in wanted]
        self.members[found["id"]] = wanted
        found["updatedAt"] = self.clock.stamp()
        self.revision["ProductGroup"] += 1
        return True, len(wanted)

    # Deletions

    def delete(self, kind: str, gids: Iterable[str]) -> Outcome:
        """Delete entities and what hangs on them."""
        outcome = Outcome()
        for gid in gids:
            found = self.get(kind, gid)
            if found is None:
                outcome.refuse("ENTITY_NOT_FOUND", f"{kind} could not be found.")
            elif found.get("isAllProductGroup"):
                outcome.refuse("ACTION_DISALLOWED", "This group cannot be deleted.")
            else:
                self.remove(kind, found)
                outcome.entities.append(found)
        return outcome

    def remove(self, kind: str, entity: Json) -> None:
        """Delete one entity and what hangs on it."""
        gid = entity["id"]
        del self.entities[kind][gid]
        self.revision[kind] += 1
        if entity["platformProvidedId"] is not None:
            self.external[kind].pop(entity["platformProvidedId"], None)
        if kind == "Product":
            for variant in self.variants_of.pop(gid):
                self.remove("ProductVariant", self.entities["ProductVariant"][variant])
            for members in self.members.values():
                if gid in members:
                    members.remove(gid)
        elif kind == "ProductVariant":
            self.variants_of.get(entity["productId"], {}).pop(gid, None)
            self.stock.pop(gid, None)
        elif kind == "ProductGroup":
            self.members.pop(gid, None)
        elif kind == "Location":
            for levels in self.stock.values():
                levels.pop(gid, None)

    def keep_known(self, kind: str, gids: Iterable[str]) -> int:
        """Delete every entity of a kind that is not named; the group of all products stays.

        :returns: how many were deleted.
        """
        kept = {found["id"] for gid in gids if (found := self.get(kind, gid)) is not None}
        gone = [
            entity
            for entity in self.entities[kind].values()
            if entity["id"] not in kept and not entity.get("isAllProductGroup")
        ]
        for entity in gone:
            self.remove(kind, entity)
        return len(gone)

    # Stock

    def upsert_stock(self, operation: str, inputs: Sequence[Json]) -> Outcome:
        """Store quantities; in stock means not below the organisation's safety stock number."""
        rows = [{**one, "id": f"{one['productVariantId']}@{one['locationId']}"} for one in inputs]
        return self._whole(rows, lambda: self._batch(operation, rows, self._stock_level))

    def _stock_level(self, row: Json) -> Json:
        location = self.get("Location", row["locationId"])
        variant = self.get("ProductVariant", row["productVariantId"])
        if location is None or variant is None:
            what = "Location" if location is None else "ProductVariant"
            raise RecordRefused("ENTITY_NOT_FOUND", f"{what} could not be found.")
        levels = self.stock.setdefault(variant["id"], {})
        level = levels.get(location["id"])
        if level is None:
            pair = {"locationId": location["id"], "variantId": variant["id"]}
            level = levels[location["id"]] = self._head("StockLevel", pair)
        quantity = row["quantity"]
        level["quantity"], level["isInStock"] = quantity, self._suffices(quantity)
        level["updatedAt"] = self.clock.stamp()
        return level

    def _suffices(self, quantity: int) -> bool:
        least = self.behaviour.safety_stock
        return quantity >= least if self.behaviour.safety_stock_itself == "in" else quantity > least

    # Kiosks

    def devices(self) -> list[Json]:
        """Every kiosk. One that is on was seen just now; one that is off, when it was switched off."""
        return [
            self._device(location, number)
            for location in self.entities["Location"].values()
            for number in range(1, self.behaviour.kiosks_per_store + 1)
        ]

    def _device(self, location: Json, number: int) -> Json:
        gid = device_id(_channel(location), number)
        off = self.switched_off.get(gid)
        return {
            "id": gid,
            "platformProvidedId": None,
            "displayName": f"Kiosk {location['displayName']}{'' if number == 1 else f' {number}'}",
            "status": "LIVE" if off is None else "OFFLINE",
            "lastSeen": off or self.clock.stamp(),
            "visibilityType": "RETAILER",
            "registered": True,
            "locationId": location["id"],
            "createdAt": location["createdAt"],
            "updatedAt": off or location["updatedAt"],
        }

    def switch(self, given: Mapping[str, Any]) -> None:
        """Change the kiosks of a store: ``channel``, and ``on`` (all, or the one with ``number``) or ``sells``.

        :raises ValueError: for a store that Cloudshelf does not know.
        """
        channel = given["channel"]
        if all(_channel(location) != channel for location in self.entities["Location"].values()):
            raise ValueError(f"there is no location of Channel {channel}")
        numbers = [given["number"]] if "number" in given else range(1, self.behaviour.kiosks_per_store + 1)
        for number in numbers if "on" in given else ():
            if given["on"]:
                self.switched_off.pop(device_id(channel, number), None)
            else:
                self.switched_off.setdefault(device_id(channel, number), self.clock.stamp())
        if "sells" in given:
            (self.not_selling.discard if given["sells"] else self.not_selling.add)(channel)

    def sells(self, channel: str) -> bool:
        """Whether any kiosk of a store is on and sells."""
        numbers = range(1, self.behaviour.kiosks_per_store + 1)
        is_on = any(device_id(channel, number) not in self.switched_off for number in numbers)
        return is_on and channel not in self.not_selling

    # Keys

    @property
    def permissions(self) -> frozenset[str]:
        """What the role of the key allows."""
        return self.behaviour.permissions if self.role is None else self.role

    def api_keys(self) -> list[Json]:
        """The keys of the organisation, masked."""
        made = self.organisation["createdAt"]
        shown = f"*******{self.behaviour.api_key[-3:]}"
        return [
            {
                "id": derived_id("OrganisationApiKey", "connector"),
                "name": "Connector",
                "maskedKey": shown,
                "lastUsedAt": self.clock.stamp(),
                "revokedAt": self.key_revoked_at,
                "createdAt": made,
                "updatedAt": made,
            }
        ]

    # Orders

    def upsert_orders(self, operation: str, inputs: Sequence[Json]) -> Outcome:
        """Create or update orders, found by id or by ``thirdPartyId``."""
        return self._whole(inputs, lambda: self._batch(operation, inputs, self._upsert_order))

    def _upsert_order(self, given: Json) -> Json:
        content = {
            name: given[name]
            for name in ("status", "discountCode", "thirdPartyId", "sessionId")
            if given.get(name) is not None
        }
        if given.get("newThirdPartyId") is not None:
            content["thirdPartyId"] = given["newThirdPartyId"]
        if content.get("sessionId") is not None and self.get("Session", content["sessionId"]) is None:
            raise RecordRefused("ENTITY_NOT_FOUND", "Session could not be found.")
        old = self._order_for(given)
        if given.get("lines") is not None:
            kept = old["lines"] if old is not None and self.behaviour.lists == "merge" else []
            content["lines"] = [*kept, *(self._line(line) for line in given["lines"])]
        before = None if old is None else old["thirdPartyId"]
        if old is None:
            old = self._create("Order", None, content)
            old.setdefault("lines", [])
        elif self.behaviour.unchanged_upsert_bumps or any(old.get(k) != v for k, v in content.items()):
            self._touch_order(old, content)
        self._file(old, before)
        return old

    def _file(self, order: Json, before: str | None) -> None:
        """Let an order be found by its ``thirdPartyId``, and by no earlier one."""
        if before is not None and self._by_third_party.get(before) == order["id"]:
            del self._by_third_party[before]
        if order["thirdPartyId"] is not None:
            self._by_third_party[order["thirdPartyId"]] = order["id"]

    def _order_for(self, given: Json) -> Json | None:
        if given.get("id") is not None:
            found = self.get("Order", given["id"])
            if found is None:
                raise RecordRefused("ENTITY_NOT_FOUND", "Order could not be found.")
            return found
        known = self._by_third_party.get(given.get("thirdPartyId") or "")
        return None if known is None else self.entities["Order"].get(known)

    def _touch_order(self, order: Json, content: Mapping[str, Any]) -> None:
        order.update(content)
        order["updatedAt"] = self.clock.stamp()
        self.revision["Order"] += 1

    def _line(self, given: Json) -> Json:
        product = self.get("Product", given.get("productID") or "")
        variant = self.get("ProductVariant", given.get("productVariantID") or "")
        return {
            **self._head("OrderLine"),
            "productId": "" if product is None else product["id"],
            "productName": "" if product is None else product["displayName"],
            "productVariantId": "" if variant is None else variant["id"],
            "productVariantName": "" if variant is None else variant["displayName"] or "",
            "platformProvidedProductId": None if product is None else product["platformProvidedId"],
            "platformProvidedProductVariantId": None if variant is None else variant["platformProvidedId"],
            "quantity": 1 if given.get("quantity") is None else given["quantity"],
            "price": given.get("price") or 0.0,
            "currencyCode": given.get("currencyCode") or self.behaviour.currency,
            "customAttributes": given.get("customAttributes") or [],
        }

    def place_order(
        self,
        lines: Sequence[Json],
        *,
        status: str = "DRAFT_BASKET",
        session: Mapping[str, Any] | None = None,
        discount_code: str | None = None,
        third_party_id: str | None = None,
    ) -> Json:
        """A kiosk saves a basket: an order with its session.

        :param lines: ``OrderLineInput`` dictionaries.
        :param session: fields of the session; ``None`` = an order without one.
        :param third_party_id: the order's id in another system, when somebody has set it already.
        """
        named = {"discountCode": discount_code, "thirdPartyId": third_party_id}
        made = self._create("Order", None, {"status": status, **named})
        made["lines"] = [self._line(line) for line in lines]
        if session is not None:
            made["sessionId"] = self._session(made, session)["id"]
        self._file(made, None)
        return made

    def edit_order(
        self,
        order: Json,
        content: Mapping[str, Any],
        *,
        lines: Sequence[Json] | None = None,
        session: Mapping[str, Any] | None = None,
    ) -> None:
        """Somebody at Cloudshelf corrects an order.

        :param content: fields of the order.
        :param lines: ``OrderLineInput`` dictionaries that replace its lines.
        :param session: fields that change in its session; it gets one when it has none.
        """
        before = order["thirdPartyId"]
        replaced = {} if lines is None else {"lines": [self._line(line) for line in lines]}
        self._touch_order(order, {**content, **replaced})
        self._file(order, before)
        known = self.get("Session", order.get("sessionId") or "")
        if session is not None and known is None:
            order["sessionId"] = self._session(order, session)["id"]
        elif session is not None and known is not None:
            known.update({**self._session_fields(session), "updatedAt": order["updatedAt"]})
            self.revision["Session"] += 1

    def date_order(self, order: Json, at: str, *, created: bool) -> None:
        """Let the last change of an order have happened at another time, or all that there is of it."""
        order["updatedAt"] = at
        if created:
            session = self.get("Session", order.get("sessionId") or "")
            for entity in (order, *order["lines"], *([] if session is None else [session])):
                entity.update({"createdAt": at, "updatedAt": at})
        self.revision["Order"] += 1

    def _session(self, order: Json, content: Mapping[str, Any]) -> Json:
        made = {
            **dict.fromkeys(
                (
                    "cloudshelfId",
                    "cloudshelfName",
                    "deviceId",
                    "deviceName",
                    "locationId",
                    "locationName",
                    "salesAssistantId",
                    "salesAssistantName",
                    "fulfilmentMethod",
                    "paymentMethod",
                    "paymentAttemptId",
                    "endedAt",
                )
            ),
            **self._head("Session"),
            "status": "COMPLETE",
            "visibilityType": "RETAILER",
            "basketValue": round(sum(line["price"] * line["quantity"] for line in order["lines"]), 2),
            "basketCurrencyCode": self.behaviour.currency,
            "orderId": order["id"],
            **self._session_fields(content),
        }
        self.entities["Session"][made["id"]] = made
        self.revision["Session"] += 1
        return made

    def _session_fields(self, content: Mapping[str, Any]) -> Json:
        """Its ids by gid or by the bare ULID, whichever the organisation's API gives."""
        if self.behaviour.session_ids == "gid":
            return dict(content)
        return {
            name: value.rpartition("/")[2] if value and name in _SESSION_IDS else value
            for name, value in content.items()
        }

    def set_order_status(self, order_id: str, status: str) -> Json | None:
        """The kiosk, a card terminal or a person moves an order on; ``None`` for an unknown one."""
        order = self.get("Order", order_id)
        if order is not None:
            self._touch_order(order, {"status": status})
        return order

    # Reading

    def listing(self, kind: str, sort: Sequence[tuple[str, bool]]) -> list[Json]:
        """Every entity in an order; kept until something of the kind changes.

        :param sort: (field, descending), first one decides; empty = by creation.
        """
        key = (kind, repr(sort))
        known = self._sorted.get(key)
        if known is not None and known[0] == self.revision[kind]:
            return known[1]
        found = list(self.entities[kind].values())
        for name, descending in reversed(sort):
            found.sort(key=partial(_text_of, name), reverse=descending)
        self._sorted[key] = (self.revision[kind], found)
        return found

    def variants(self, product: Json) -> list[Json]:
        """A product's variants by position; none of one that has just been deleted."""
        found = [self.entities["ProductVariant"][gid] for gid in self.variants_of.get(product["id"], ())]
        return sorted(found, key=lambda variant: variant["position"] or 0)

    def group_products(self, group: Json) -> list[Json]:
        """A group's products in their order."""
        products = self.entities["Product"]
        if group["isAllProductGroup"]:
            return list(products.values())
        return [products[gid] for gid in self.members.get(group["id"], ())]

    def groups_of(self, product: Json) -> list[Json]:
        """The groups that a product is in."""
        groups = self.entities["ProductGroup"]
        return [groups[gid] for gid, members in self.members.items() if product["id"] in members]

    def address(self, location: Json) -> str:
        """A location's address in one line, whichever form it was sent in."""
        if location.get("address"):
            return str(location["address"])
        parts = [location.get(name) for name in _STRUCTURED[:5]]
        return ", ".join(part for part in parts if part)

    def is_valid(self, product: Json) -> bool:
        """Whether a kiosk can show it: at least one variant, and perhaps an image that can be fetched."""
        variants = self.variants(product)
        if self.behaviour.valid_product == "variant":
            return bool(variants)
        images = [image for variant in variants for image in variant["metaimages"]]
        return any(image["url"].startswith("https://") for image in images)

    def ingestion_stats(self) -> Json:
        """``IngestionStatsPayload``."""
        products = self.entities["Product"].values()
        valid = {product["id"] for product in products if self.is_valid(product)}
        groups = [group for group in self.entities["ProductGroup"].values() if not group["isAllProductGroup"]]
        images = sum(len(variant["metaimages"]) for variant in self.entities["ProductVariant"].values())
        return {
            "productCount": len(products),
            "validProductCount": len(valid),
            "variantCount": len(self.entities["ProductVariant"]),
            "imageCount": images,
            "productGroupCount": len(groups),
            "productGroupWithValidProductCount": sum(
                not valid.isdisjoint(self.members[group["id"]]) for group in groups
            ),
        }

    def report(self, known: Mapping[str, int | None], closed: bool | None) -> None:
        """Keep what the connector says it knows, beside what is held at this moment."""
        stats = self.ingestion_stats()
        held = {
            "Products": stats["productCount"],
            "Variants": stats["variantCount"],
            "ProductGroups": stats["productGroupCount"],
            "Images": stats["imageCount"],
        }
        for what, number in known.items():
            if number is not None:
                self.reported[what] = {
                    "knownNumber": number,
                    "numberHeldAtTimeOfReporting": held[what],
                    "asExpected": number == held[what],
                    "extraInformation": "",
                    "reportedAt": self.clock.stamp(),
                }
        if closed is not None:
            self.closed = closed

    def canonical(self) -> Json:
        """What counts when two end states are compared: external ids and content, no timestamps, no own ids."""
        return {
            "products": {
                _name(product): {
                    **_visible(product, _PRODUCT_FIELDS),
                    "variants": {
                        _name(variant): _visible(variant, _VARIANT_FIELDS)
                        for variant in self.variants(product)
                    },
                }
                for product in self.entities["Product"].values()
            },
            "groups": {
                _name(group): {
                    **_visible(group, _GROUP_FIELDS),
                    "products": [_name(product) for product in self.group_products(group)],
                }
                for group in self.entities["ProductGroup"].values()
                if not group["isAllProductGroup"]
            },
            "locations": {
                _name(location): {
                    **_visible(location, (*_LOCATION_FIELDS, *_STRUCTURED)),
                    "address": self.address(location),
                }
                for location in self.entities["Location"].values()
            },
            "stock": self._canonical_stock(),
            "orders": self._canonical_orders(),
            "reported": {what: stats["knownNumber"] for what, stats in self.reported.items()},
        }

    def _canonical_stock(self) -> Json:
        variants, locations = self.entities["ProductVariant"], self.entities["Location"]
        return {
            f"{_name(variants[variant])}@{_name(locations[location])}": [
                level["quantity"],
                level["isInStock"],
            ]
            for variant, levels in self.stock.items()
            for location, level in levels.items()
        }

    def _canonical_orders(self) -> list[Json]:
        return [
            {
                "status": order["status"],
                "thirdPartyId": order["thirdPartyId"],
                "lines": [
                    [line["platformProvidedProductVariantId"], line["quantity"], line["price"]]
                    for line in order["lines"]
                ],
            }
            for order in self.entities["Order"].values()
        ]


_PRODUCT_FIELDS = (
    "displayName",
    "description",
    "handle",
    "vendor",
    "productType",
    "tags",
    "metadata",
    "remoteUpdatedAt",
)
_VARIANT_FIELDS = (*_REQUIRED["ProductVariant"], *_DEFAULTS["ProductVariant"])
_GROUP_FIELDS = ("displayName", "handle", "featuredImage", "metadata")
_LOCATION_FIELDS = ("displayName", "countryCode", "fulfillsOnlineOrders", "metadata")


def _visible(entity: Json, names: Iterable[str]) -> Json:
    return {name: entity.get(name) for name in names}


def _joined(old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
    """Old elements that no new one stands for, then the new ones."""
    named = [_identity(one) for one in new]
    return [*(one for one in old if _identity(one) not in named), *new]


def _identity(element: Any) -> Any:
    """What makes two elements of a list the same one: namespace and key, address of an image, or the value."""
    if not isinstance(element, dict):
        return element
    return element.get("url", (element.get("namespace"), element.get("key")))


def _name(entity: Json) -> str:
    return str(entity["platformProvidedId"] or entity["id"])


def _stored_metadata(entry: Json) -> Json:
    """Namespaces are lower case, and none means ``global``."""
    namespace = entry["namespace"].lower() or "global"
    return {"namespace": namespace, "key": entry["key"], "data": entry["data"]}


def _handle(display_name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in display_name.lower()).split())


def device_id(channel: str, number: int = 1) -> str:
    """Id of a kiosk of a store."""
    return derived_id("Device", channel, *([] if number == 1 else [str(number)]))


def _channel(location: Json) -> str:
    """Key of the Channel whose store a location is; its own id where nobody says."""
    return own_channel(location["platformProvidedId"] or "") or str(location["id"])


def derived_id(kind: str, *parts: str) -> str:
    """Internal id of something that has none of its own in the store (a metadata entry, an image)."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()
    return f"gid://cloudshelf/{kind}/{_base32(int.from_bytes(digest, 'big'))}"


def _base32(number: int) -> str:
    """A number of at most 130 bits as a ULID is written."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def _text_of(name: str, entity: Json) -> str:
    return str(entity[name])
