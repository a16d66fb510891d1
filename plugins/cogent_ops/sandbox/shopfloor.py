"""What people do to the two simulated systems: kiosk customers, web-shop customers, merchandisers, stock clerks.

Implements the protocols of :mod:`cogent_ops.sandbox.traffic` and the changes that tests and the demo ask for through
the control endpoint. Every method takes the locks it needs and may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from cogent_ops.domain.identifiers import location_gid, product_gid, sku_of, variant_gid
from cogent_ops.sandbox import access, actions, subscriptions, webshop
from cogent_ops.sandbox.answers import ApiError, Json
from cogent_ops.sandbox.cloudshelf_state import CloudshelfState, derived_id, device_id
from cogent_ops.sandbox.collection import wire_time
from cogent_ops.sandbox.dataset import all_variants
from cogent_ops.sandbox.predicates import moment
from cogent_ops.sandbox.state import FRACTION_DIGITS, CommercetoolsState
from cogent_ops.sandbox.traffic import (
    EditKind,
    KioskOrder,
    KioskStatus,
    OnlineOrder,
    OrderRefused,
    ProductEdit,
)

_PRODUCTS = "product-projections"


class ShopFloor:
    """Actors on both sides.

    :param commercetools: the project.
    :param cloudshelf: the organisation.
    """

    def __init__(self, commercetools: CommercetoolsState, cloudshelf: CloudshelfState) -> None:
        self._commercetools, self._cloudshelf = commercetools, cloudshelf

    def side(self, name: str) -> CommercetoolsState | CloudshelfState:
        """One of both systems: ``commercetools`` or ``cloudshelf``."""
        return self._cloudshelf if name == "cloudshelf" else self._commercetools

    # Kiosks

    def place_kiosk_order(self, order: KioskOrder) -> str:
        """Save a basket with status ``DRAFT_BASKET`` and return the order's id.

        Articles of which the store's kiosks were told that they are sold out there are left out of it.

        :raises OrderRefused: when a kiosk does not show one of the articles, or all of them are sold out, or the
            store's kiosks are off.
        """
        with self._cloudshelf.lock:
            if order.channel_key and not self._cloudshelf.sells(order.channel_key):
                raise OrderRefused(f"No kiosk sells anything in {order.channel_key}.")
            for line in order.lines:
                variant = self._cloudshelf.get("ProductVariant", variant_gid(line.sku))
                if variant is None or not (variant["isInStock"] or variant["availableToPurchase"]):
                    raise OrderRefused(f"The kiosk does not offer SKU {line.sku}.")
            offered = [line for line in order.lines if not self._is_sold_out(line.sku, order.channel_key)]
            if not offered:
                raise OrderRefused(f"Kiosks say that all of it is sold out in {order.channel_key}.")
            lines = [
                {
                    "productID": product_gid(line.product_id),
                    "productVariantID": variant_gid(line.sku),
                    "quantity": line.quantity,
                    "price": float(line.price),
                    "currencyCode": line.currency,
                    "customAttributes": [{"key": "CS_EMAIL", "value": order.customer_email}],
                }
                for line in offered
            ]
            made = self._cloudshelf.place_order(
                lines, session=self._session(order), discount_code=order.discount_code
            )
            return str(made["id"])

    def _is_sold_out(self, sku: str, channel_key: str) -> bool:
        """Of a variant without any stock level the flags alone count, and so they do where no store is known."""
        article = self._cloudshelf.get("ProductVariant", variant_gid(sku))
        store = self._cloudshelf.get("Location", location_gid(channel_key)) if channel_key else None
        if article is None or store is None:
            return False
        levels = self._cloudshelf.stock.get(article["id"], {})
        level = levels.get(store["id"])
        return bool(levels) and (level is None or not level["isInStock"])

    def _session(self, order: KioskOrder) -> Json:
        location = None
        if order.channel_key:
            location = self._cloudshelf.get("Location", location_gid(order.channel_key))
        shop = "kiosk" if location is None else location["displayName"]
        return {
            "locationId": None if location is None else location["id"],
            "locationName": None if location is None else location["displayName"],
            "deviceId": device_id(order.channel_key),
            "deviceName": f"Kiosk {shop}",
            "cloudshelfId": derived_id("Cloudshelf", "main"),
            "cloudshelfName": "Endless aisle",
            "salesAssistantId": derived_id("SalesAssistant", order.sales_assistant),
            "salesAssistantName": order.sales_assistant,
            "paymentMethod": "STRIPE",
            "paymentAttemptId": order.reference,
            "fulfilmentMethod": "SHIP_TO_HOME",
            "visibilityType": "CLOUDSHELF_INTERNAL" if order.internal else "RETAILER",
        }

    def set_kiosk_order_status(self, order_id: str, status: KioskStatus) -> None:
        """Move an order on.

        :raises OrderRefused: when the order is gone.
        """
        self.set_order_status(order_id, status.value)

    def set_order_status(self, order_id: str, status: str, at: str | None = None) -> None:
        """Move an order to any status, also one that traffic itself never sets.

        :param at: when that was; now, when left out.
        :raises OrderRefused: when the order is gone.
        """
        with self._cloudshelf.lock:
            order = self._kiosk_order(order_id)
            self._cloudshelf.set_order_status(order_id, status)
            self._date(order, at, created=False)

    def _kiosk_order(self, order_id: str) -> Json:
        found = self._cloudshelf.get("Order", order_id)
        if found is None:
            raise OrderRefused(f"There is no order {order_id}.")
        return found

    def _date(self, order: Json, at: str | None, *, created: bool) -> None:
        if at is not None:
            self._cloudshelf.date_order(order, wire_time(moment(at)), created=created)

    # Web shop

    def place_online_order(self, order: OnlineOrder) -> str:
        """Sell online, which takes the pieces from stock, and return the order's id.

        :raises OrderRefused: when stock does not suffice or an article is gone.
        """
        lines = [(line.sku, line.quantity, _cents(line.price)) for line in order.lines]
        with self._commercetools.lock:
            try:
                made = webshop.online_order(
                    self._commercetools,
                    order.order_number,
                    lines,
                    currency=order.lines[0].currency,
                    email=order.customer_email,
                    channel_key=order.supply_channel_key,
                    mode="ReserveOnOrder",
                )
            except ApiError as error:
                raise OrderRefused(str(error)) from error
            return str(made["id"])

    # Merchandisers

    def edit_product(self, edit: ProductEdit) -> None:
        """Change a product: a new version, a new ``lastModifiedAt``.

        :raises OrderRefused: when the product is gone.
        """
        with self._commercetools.lock:
            product = self._product(edit.product_id)
            match edit.kind:
                case EditKind.PRICE:
                    self._reprice(product, edit.factor)
                case EditKind.RENAME:
                    names = {locale: f"{name}{edit.text}" for locale, name in product["name"].items()}
                    self._store(product, {"name": names})
                case EditKind.PUBLISH | EditKind.UNPUBLISH:
                    self._publish(product, edit.kind is EditKind.PUBLISH)

    def change_product(self, product: str, fields: Mapping[str, Any]) -> None:
        """Replace fields of a product, named by id or key.

        :raises OrderRefused: when the product is gone.
        """
        with self._commercetools.lock:
            self._store(self._product(product), fields)

    def publish_product(self, product: str, published: bool) -> None:
        """Publish or unpublish a product, named by id or key.

        :raises OrderRefused: when the product is gone.
        """
        with self._commercetools.lock:
            self._publish(self._product(product), published)

    def delete_product(self, product: str) -> None:
        """Delete a product, named by id or key.

        :raises OrderRefused: when the product is gone.
        """
        with self._commercetools.lock:
            found = self._product(product)
            self._commercetools[_PRODUCTS].remove(found["id"])
            self._commercetools.emit("ProductDeleted", "product", found, removedImageUrls=[])

    def _product(self, named: str) -> Json:
        products = self._commercetools[_PRODUCTS]
        found = products.get(named) or products.first("key", named)
        if found is None:
            raise OrderRefused(f"There is no product {named}.")
        return found

    def _store(self, product: Json, fields: Mapping[str, Any]) -> Json:
        state = self._commercetools
        changed = state.replace(_PRODUCTS, product, {**product, **fields})
        if changed["published"] and changed is not product:
            state.emit(
                "ProductPublished",
                "product",
                changed,
                productProjection=changed,
                removedImageUrls=[],
                scope="All",
            )
        return changed

    def _publish(self, product: Json, published: bool) -> None:
        if product["published"] == published:
            return
        changed = self._store(product, {"published": published})
        if not published:
            self._commercetools.emit("ProductUnpublished", "product", changed)

    def _reprice(self, product: Json, factor: Decimal) -> None:
        def priced(variant: Json) -> Json:
            return {**variant, "prices": [_scaled(price, factor) for price in variant.get("prices", [])]}

        state = self._commercetools
        for variant in all_variants(product):
            for price in state["standalone-prices"].by("sku", variant.get("sku") or ""):
                dearer = state.replace("standalone-prices", price, _scaled(price, factor))
                worth = {"value": dearer["value"], "oldValue": price["value"]}
                state.emit("StandalonePriceValueChanged", "standalone-price", dearer, staged=False, **worth)
        self._store(
            product,
            {
                "masterVariant": priced(product["masterVariant"]),
                "variants": [priced(variant) for variant in product["variants"]],
            },
        )

    # Stock clerks

    def set_stock(self, sku: str, quantity: int, channel_key: str | None = None) -> Json:
        """Count: set ``quantityOnStock``, creating the InventoryEntry when there is none.

        :raises ApiError: when the channel does not exist or cannot hold stock.
        """
        state = self._commercetools
        with state.lock:
            channel = None if channel_key is None else {"typeId": "channel", "key": channel_key}
            entry = state.entry(sku, None if channel is None else state.find(channel)["id"])
            if entry is None:
                draft: Json = {"sku": sku, "quantityOnStock": quantity}
                return actions.create_inventory(
                    state, {**draft, **({"supplyChannel": channel} if channel else {})}
                )
            change = {"action": "changeQuantity", "quantity": quantity}
            return actions.update_inventory(state, entry, {"version": entry["version"], "actions": [change]})

    # Anything by name

    def change(self, what: str, given: Mapping[str, Any]) -> Json:
        """Carry out a change that the control endpoint asks for.

        :param what: a name of :data:`CHANGES`.
        :param given: what it takes.
        :raises OrderRefused: when it is not possible or not known.
        """
        handler = CHANGES.get(what)
        if handler is None:
            raise OrderRefused(f"'{what}' is none of: {', '.join(CHANGES)}.")
        try:
            return handler(self, given)
        except (KeyError, TypeError, ValueError) as error:
            raise OrderRefused(f"'{what}' lacks or misreads {error}.") from error

    def raw_kiosk_order(self, given: Mapping[str, Any]) -> Json:
        """A kiosk order exactly as given, however odd.

        Takes ``lines``, ``status``, ``session``, ``discountCode``, ``thirdPartyId``, ``at`` for one of another time,
        and ``offered`` for a kiosk that sells only what it was told is there, at all and in the session's store.

        :raises OrderRefused: when it was told otherwise.
        """
        with self._cloudshelf.lock:
            if given.get("offered"):
                for line in given["lines"]:
                    self._require_offer(line["productVariantID"], given["session"]["locationId"])
            made = self._cloudshelf.place_order(
                given["lines"],
                status=given.get("status", "DRAFT_BASKET"),
                session=given.get("session"),
                discount_code=given.get("discountCode"),
                third_party_id=given.get("thirdPartyId"),
            )
            self._date(made, given.get("at"), created=True)
            return {"id": made["id"]}

    def _require_offer(self, variant: str, location: str) -> None:
        article = self._cloudshelf.get("ProductVariant", variant)
        store = self._cloudshelf.get("Location", location)
        if article is None or store is None:
            raise OrderRefused(f"Kiosks do not show {variant} in {location}.")
        level = self._cloudshelf.stock.get(article["id"], {}).get(store["id"])
        if not article["isInStock"] or level is None or not level["isInStock"]:
            raise OrderRefused(f"Kiosks say that {variant} is sold out in {location}.")

    def edit_kiosk_order(self, given: Mapping[str, Any]) -> None:
        """Correct a kiosk order: ``order``, and what changes of ``lines``, ``session`` (field by field),
        ``discountCode`` and ``thirdPartyId``.
        """
        with self._cloudshelf.lock:
            content = {name: given[name] for name in ("discountCode", "thirdPartyId") if name in given}
            order = self._kiosk_order(given["order"])
            self._cloudshelf.edit_order(
                order, content, lines=given.get("lines"), session=given.get("session")
            )

    def raw_online_order(self, given: Mapping[str, Any]) -> Json:
        """A web-shop order: ``orderNumber``, ``currency``, ``lines`` of ``{sku, quantity, centAmount}``, ``channel``,
        ``inventoryMode``, ``email``, ``custom``.
        """
        lines = [(line["sku"], line["quantity"], line["centAmount"]) for line in given["lines"]]
        with self._commercetools.lock:
            made = webshop.online_order(
                self._commercetools,
                given["orderNumber"],
                lines,
                currency=given["currency"],
                email=given.get("email"),
                channel_key=given.get("channel"),
                mode=given.get("inventoryMode", "ReserveOnOrder"),
                custom=given.get("custom"),
            )
            return {"id": made["id"], "orderNumber": made["orderNumber"]}

    def purchase_basket(self, given: Mapping[str, Any]) -> Json:
        """The web shop sells a basket that a customer took along by QR code, and reports the purchase.

        Takes ``order`` (the basket), ``orderNumber``, ``channel``, ``inventoryMode``, ``field`` (in which the shop
        names the basket), ``report`` (false: Cloudshelf is not told) and ``thirdPartyId`` (``id`` or ``number``: told
        along with it).
        """
        field, told = given.get("field", "CS_OrderId"), given.get("thirdPartyId", "none")
        with self._cloudshelf.lock:
            basket = self._kiosk_order(given["order"])
            sold = [_sold(line) for line in basket["lines"]]
            currency = basket["lines"][0]["currencyCode"]
        with self._commercetools.lock:
            made = webshop.online_order(
                self._commercetools,
                given["orderNumber"],
                sold,
                currency=currency,
                channel_key=given.get("channel"),
                mode=given.get("inventoryMode", "TrackOnly"),
                custom=webshop.naming_basket(self._commercetools, field, basket["id"]),
            )
        named = {"id": made["id"], "number": made["orderNumber"], "none": basket["thirdPartyId"]}[told]
        if given.get("report", True):
            with self._cloudshelf.lock:
                self._cloudshelf.edit_order(basket, {"status": "PAID", "thirdPartyId": named})
        return {"id": made["id"], "orderNumber": made["orderNumber"]}

    def work_on_order(self, given: Mapping[str, Any]) -> Json:
        """Somebody works on an order in commercetools, see :func:`~cogent_ops.sandbox.webshop.work_on`."""
        with self._commercetools.lock:
            changed = webshop.work_on(self._commercetools, given)
            return {"id": changed["id"], "version": changed["version"]}

    def select(self, given: Mapping[str, Any]) -> None:
        """Give a store a Product Selection: ``store``, ``selection``, ``products`` (ids), ``active``."""
        state = self._commercetools
        with state.lock:
            state.select(
                given["store"], given["selection"], given["products"], active=given.get("active", True)
            )


def _locked(
    side: str, change: Callable[[Any, Mapping[str, Any]], Json | None]
) -> Callable[[ShopFloor, Mapping[str, Any]], Json]:
    """A change of one side's state, made under its lock."""

    def run(floor: ShopFloor, given: Mapping[str, Any]) -> Json:
        state = floor.side(side)
        with state.lock:
            return change(state, given) or {}

    return run


def _done(
    call: Callable[[ShopFloor, Mapping[str, Any]], None],
) -> Callable[[ShopFloor, Mapping[str, Any]], Json]:
    def run(floor: ShopFloor, given: Mapping[str, Any]) -> Json:
        call(floor, given)
        return {}

    return run


CHANGES: dict[str, Callable[[ShopFloor, Mapping[str, Any]], Json]] = {
    "publish": _done(lambda floor, given: floor.publish_product(given["product"], True)),
    "unpublish": _done(lambda floor, given: floor.publish_product(given["product"], False)),
    "delete": _done(lambda floor, given: floor.delete_product(given["product"])),
    "edit": _done(lambda floor, given: floor.change_product(given["product"], given["fields"])),
    "stock": lambda floor, given: floor.set_stock(given["sku"], given["quantity"], given.get("channel")),
    "kiosk-order": ShopFloor.raw_kiosk_order,
    "kiosk-status": _done(
        lambda floor, given: floor.set_order_status(given["order"], given["status"], given.get("at"))
    ),
    "kiosk-edit": _done(ShopFloor.edit_kiosk_order),
    "online-order": ShopFloor.raw_online_order,
    "basket-purchase": ShopFloor.purchase_basket,
    "order-change": ShopFloor.work_on_order,
    "select": _done(lambda floor, given: floor.select(given)),
    "subscription": _locked("commercetools", subscriptions.change_status),
    "client": _locked("commercetools", access.change_client),
    "key": _locked("cloudshelf", access.change_key),
    "kiosk": _locked("cloudshelf", CloudshelfState.switch),
}
"""Changes by name. ``product`` is an id or a key, ``channel`` a key, ``quantity`` a count, ``fields`` raw fields."""


def _cents(price: Decimal, digits: int = 2) -> int:
    return int(price.scaleb(digits).quantize(Decimal(1), ROUND_HALF_UP))


def _sold(line: Json) -> tuple[str, int, int]:
    """A line of a basket as the web shop sells it: SKU, pieces, unit price in minor units."""
    digits = FRACTION_DIGITS.get(line["currencyCode"], 2)
    price = _cents(Decimal(str(line["price"])), digits)
    return sku_of(line["platformProvidedProductVariantId"] or ""), line["quantity"], price


def _scaled(price: Json, factor: Decimal) -> Json:
    def money(value: Json) -> Json:
        cents = (value["centAmount"] * factor).quantize(Decimal(1), ROUND_HALF_UP)
        return {**value, "centAmount": int(cents)}

    changed = {**price, "value": money(price["value"])}
    if "discounted" in price:
        changed["discounted"] = {**price["discounted"], "value": money(price["discounted"]["value"])}
    return changed
