"""Cloudshelf records as this package writes them, and their GraphQL input form.

Whether lists (metadata, images, attributes) replace or merge, and whether an omitted field differs from null,
is not documented by Cloudshelf; so every input is complete, always.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base: immutable."""

    model_config = ConfigDict(frozen=True)


class Metadata(Record):
    """A metadata entry. ``namespace`` is mandatory in today's schema and lower case."""

    namespace: str
    key: str
    data: str

    def to_input(self) -> dict[str, Any]:
        """GraphQL ``MetadataInput``."""
        return {"namespace": self.namespace, "key": self.key, "data": self.data}


class KioskImage(Record):
    """An image by its public https URL; Cloudshelf fetches it itself."""

    url: str
    preferred: bool = False


class KioskVariant(Record):
    """A variant; prices in major units of the organisation's one currency."""

    id: str
    sku: str
    position: int
    display_name: str
    barcode: str | None = None
    current_price: Decimal
    original_price: Decimal
    is_in_stock: bool
    available_to_purchase: bool
    inventory_policy: str = "DENY"
    attributes: tuple[tuple[str, str], ...] = ()
    metadata: tuple[Metadata, ...] = ()
    images: tuple[KioskImage, ...] = ()

    def to_input(self) -> dict[str, Any]:
        """GraphQL ``ProductVariantInput``, every field present."""
        return {
            "id": self.id,
            "sku": self.sku,
            "position": self.position,
            "displayName": self.display_name,
            "barcode": self.barcode,
            "currentPrice": float(self.current_price),
            "originalPrice": float(self.original_price),
            "isInStock": self.is_in_stock,
            "availableToPurchase": self.available_to_purchase,
            "inventoryPolicy": self.inventory_policy,
            "attributes": [{"key": key, "value": value} for key, value in self.attributes],
            "metadata": [entry.to_input() for entry in self.metadata],
            "metaimages": [{"url": image.url, "preferredImage": image.preferred} for image in self.images],
        }


class KioskProduct(Record):
    """A product without its variants (Cloudshelf takes those in a call of their own)."""

    id: str
    display_name: str
    description: str = ""
    handle: str
    vendor: str = ""
    product_type: str = ""
    tags: tuple[str, ...] = ()
    metadata: tuple[Metadata, ...] = ()

    def to_input(self) -> dict[str, Any]:
        """GraphQL ``ProductInput``, every field present."""
        return {
            "id": self.id,
            "displayName": self.display_name,
            "description": self.description,
            "handle": self.handle,
            "vendor": self.vendor,
            "productType": self.product_type,
            "tags": list(self.tags),
            "metadata": [entry.to_input() for entry in self.metadata],
        }


class KioskGroup(Record):
    """A product group. Cloudshelf groups are flat: the tree lives in the display name (``A > B``)."""

    id: str
    display_name: str
    featured_image: KioskImage | None = None
    metadata: tuple[Metadata, ...] = ()

    def to_input(self) -> dict[str, Any]:
        """GraphQL ``ProductGroupInput``."""
        image = self.featured_image
        return {
            "id": self.id,
            "displayName": self.display_name,
            "featuredImage": None if image is None else {"url": image.url, "preferredImage": True},
            "metadata": [entry.to_input() for entry in self.metadata],
        }


class KioskLocation(Record):
    """A store. The address is kept structured; the client renders the form the live schema wants."""

    id: str
    display_name: str
    country_code: str
    address1: str
    address2: str = ""
    city: str = ""
    province_code: str = ""
    zip: str = ""
    phone: str = ""
    email: str = ""
    fulfills_online_orders: bool = False
    metadata: tuple[Metadata, ...] = ()


def fingerprint(payload: dict[str, Any]) -> str:
    """Content hash of an input (hex, 32 characters): equal content, equal hash, whatever the key order."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
