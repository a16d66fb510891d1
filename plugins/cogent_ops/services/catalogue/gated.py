"""What the gate hands to the push: records in their final wire form, one JSON line per product.

The gate computes payloads and fingerprints once; the push only compares and sends, so it costs no more than
its calls.
"""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cogent_ops.domain.catalogue import AcceptedProduct
from cogent_ops.domain.identifiers import variant_gid
from cogent_ops.domain.kiosk import KioskVariant, fingerprint
from cogent_ops.store import ProductState


@dataclass(frozen=True)
class GatedRecord:
    """One Cloudshelf record: its gid, the fingerprint of its content, and its GraphQL input."""

    id: str
    hash: str
    input: dict[str, Any]

    @classmethod
    def of(cls, id_: str, payload: dict[str, Any]) -> GatedRecord:
        """Fingerprint a payload."""
        return cls(id_, fingerprint(payload), payload)


@dataclass(frozen=True)
class GatedProduct:
    """A product's verdict.

    :param product: ``None`` when the whole product is held.
    :param skus: SKUs of ``variants``, in the same order.
    :param held_skus: SKUs that commercetools has and the gate holds.
    :param recheck: the hold can end without a change of the product itself, so every run looks again.
    """

    product_id: str
    product_key: str
    product_name: str
    version: int
    modified_at: datetime
    recheck: bool = False
    product: GatedRecord | None = None
    variants: tuple[GatedRecord, ...] = ()
    skus: tuple[str, ...] = ()
    held_skus: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    group_order: dict[str, str] | None = None

    @classmethod
    def accept(cls, accepted: AcceptedProduct, *, recheck: bool) -> GatedProduct:
        """The accepted part of a product, in wire form."""
        return cls(
            product_id=accepted.product_id,
            product_key=accepted.product_key or "",
            product_name=accepted.product_name,
            version=accepted.version,
            modified_at=accepted.modified_at,
            recheck=recheck,
            product=GatedRecord.of(accepted.product.id, accepted.product.to_input()),
            variants=tuple(_variant(accepted.product.id, v) for v in accepted.variants),
            skus=tuple(variant.sku for variant in accepted.variants),
            held_skus=accepted.held_skus,
            group_ids=accepted.group_ids,
            group_order=dict(accepted.group_order),
        )

    def to_line(self) -> str:
        """One JSON line."""
        flat = {  # dataclasses.asdict would copy every input, at ten times the cost
            "modified_at": self.modified_at.isoformat(),
            "product": None if self.product is None else vars(self.product),
            "variants": [vars(variant) for variant in self.variants],
        }
        return json.dumps(vars(self) | flat, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: str) -> GatedProduct:
        """Inverse of :meth:`to_line`."""
        raw = json.loads(line)
        product = raw.pop("product")
        return cls(
            **{
                **raw,
                "modified_at": datetime.fromisoformat(raw["modified_at"]),
                "product": None if product is None else GatedRecord(**product),
                "variants": tuple(GatedRecord(**variant) for variant in raw["variants"]),
                "skus": tuple(raw["skus"]),
                "held_skus": tuple(raw["held_skus"]),
                "group_ids": tuple(raw["group_ids"]),
            }
        )

    def images(self) -> int:
        """How many images the variants carry."""
        return sum(len(variant.input["metaimages"]) for variant in self.variants)

    def state(
        self, before: ProductState | None, refused: Container[str] = (), absent: Container[str] = ()
    ) -> ProductState:
        """What the kiosk shows of this product after the push.

        A held product keeps its last good version: SKUs and groups stay as they were before.

        :param before: what the store knew of the product when it was sent.
        :param refused: gids that Cloudshelf refused in this run.
        :param absent: those of them that it never had.
        """
        if self.product is None or self.product.id in refused:
            return self._held_state(before, refused=self.product is not None)
        was = set(before.skus) if before else set()
        shown = [sku for sku in self.skus if variant_gid(sku) not in absent]
        kept = [sku for sku in self.held_skus if sku in was]
        failed = any(variant.id in refused for variant in self.variants)
        return ProductState(
            product_id=self.product_id,
            product_key=self.product_key,
            product_name=self.product_name,
            version=self.version,
            modified_at=self.modified_at,
            status="partial" if failed or self.held_skus else "pushed",
            on_kiosk=True,
            recheck=self.recheck or failed,
            skus=tuple(shown + kept),
            group_ids=self.group_ids,
            group_order=self.group_order or {},
        )

    def _held_state(self, before: ProductState | None, *, refused: bool) -> ProductState:
        return ProductState(
            product_id=self.product_id,
            product_key=self.product_key,
            product_name=self.product_name,
            version=self.version,
            modified_at=self.modified_at,
            status="held",
            on_kiosk=before is not None and before.on_kiosk,
            recheck=self.recheck or refused,
            skus=before.skus if before else (),
            group_ids=before.group_ids if before else (),
            group_order=before.group_order if before else {},
        )


def _variant(product: str, variant: KioskVariant) -> GatedRecord:
    payload = variant.to_input()
    return GatedRecord(variant.id, _variant_hash(product, payload), payload)


def _variant_hash(product: str, payload: dict[str, Any]) -> str:
    """Of a variant as its product shows it: a SKU that moves to another product must be sent, even unchanged."""
    return fingerprint({"productId": product, **payload})


def hashes_but_for_stock(product: str, payload: dict[str, Any]) -> frozenset[str]:
    """Every fingerprint that a variant of this content may have been sent with, whatever its stock was then."""
    flags = ({"isInStock": one, "availableToPurchase": two} for one in (True, False) for two in (True, False))
    return frozenset(_variant_hash(product, {**payload, **stock}) for stock in flags)
