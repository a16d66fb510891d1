"""Products as a shopper sees them, on both sides in one form, and a whole catalogue of them in a few bytes each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cogent_ops.domain.identifiers import GROUP, IdentifierError, parse_gid
from cogent_ops.domain.iso import CURRENCY_EXPONENTS

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VariantView:
    """A variant as a shopper sees it.

    :param gid: the external id; Cloudshelf's own where it has none.
    :param current: what the shopper pays, in minor units.
    :param images: addresses, sorted: which leads is Cloudshelf's affair once it has fetched them.
    :param is_on_sale: whether it counts as in stock or can be bought. What was taken off sale is neither.
    :param changed_at: when Cloudshelf changed it last, for whatever reason; ``None``: as it should be shown.
    """

    gid: str
    sku: str
    title: str
    barcode: str
    current: int
    original: int
    images: tuple[str, ...]
    is_on_sale: bool
    changed_at: datetime | None = None

    @property
    def content(self) -> tuple[object, ...]:
        """What must be equal on both sides."""
        return self.sku, self.title, self.barcode, self.current, self.original, self.images


@dataclass(frozen=True, slots=True)
class ProductView:
    """A product as a shopper sees it.

    :param gid: see :class:`VariantView`.
    :param groups: those of our groups that show it, sorted.
    :param changed_at: see :class:`VariantView`.
    """

    gid: str
    title: str
    groups: tuple[str, ...]
    variants: tuple[VariantView, ...]
    changed_at: datetime | None = None


def wanted_view(product: Raw, variants: Iterable[Raw], groups: Iterable[str], currency: str) -> ProductView:
    """A product as it would be sent.

    :param product: its ``ProductInput``.
    :param variants: their ``ProductVariantInput``.
    """
    return ProductView(
        gid=product["id"],
        title=_text(product["displayName"]),
        groups=tuple(sorted(set(groups))),
        variants=tuple(_wanted_variant(one, currency) for one in variants),
    )


def _wanted_variant(given: Raw, currency: str) -> VariantView:
    return VariantView(
        gid=given["id"],
        sku=_text(given["sku"]),
        title=_text(given["displayName"]),
        barcode=_text(given["barcode"]),
        current=_cents(given["currentPrice"], currency),
        original=_cents(given["originalPrice"], currency),
        images=tuple(sorted({image["url"] for image in given["metaimages"]})),
        is_on_sale=given["isInStock"] or given["availableToPurchase"],
    )


def shown_view(node: Raw, currency: str) -> ProductView:
    """A product as Cloudshelf shows it, see ``CloudshelfClient.shown_products``."""
    groups = (group["platformProvidedId"] for group in node["productGroups"])
    return ProductView(
        gid=node["platformProvidedId"] or node["id"],
        title=_text(node["displayName"]),
        groups=tuple(sorted({gid for gid in groups if is_ours(gid, GROUP)})),
        variants=tuple(_shown_variant(one, currency) for one in node["productVariants"]),
        changed_at=datetime.fromisoformat(node["updatedAt"]),
    )


def _shown_variant(node: Raw, currency: str) -> VariantView:
    return VariantView(
        gid=node["platformProvidedId"] or node["id"],
        sku=_text(node["sku"]),
        title=_text(node["displayName"]),
        barcode=_text(node["barcode"]),
        current=_cents(node["currentPrice"], currency),
        original=_cents(node["originalPrice"], currency),
        images=tuple(sorted({image["originalUrl"] for image in node["metaimages"]})),
        is_on_sale=node["isInStock"] or node["availableToPurchase"],
        changed_at=datetime.fromisoformat(node["updatedAt"]),
    )


def _text(text: str | None) -> str:
    """Whether Cloudshelf keeps an empty text or none, and white space around one, says nothing to a shopper."""
    return (text or "").strip()


def _cents(amount: float, currency: str) -> int:
    digits: int = CURRENCY_EXPONENTS[currency]
    return round(amount * 10.0**digits)


def is_ours(gid: str | None, namespace: str) -> bool:
    """Whether this integration made an id, of a product, a variant, a group or a location."""
    return own_id(gid, namespace) is not None


def own_id(gid: str | None, namespace: str) -> str | None:
    """What an id of ours was made from; ``None`` for any other."""
    try:
        found = parse_gid(gid or "")
    except IdentifierError:
        return None
    return found.id if (found.app, found.type) == ("external", namespace) else None


class Shelf:
    """What kiosks show of the whole catalogue, as hashes: enough to tell what is the same on both sides.

    A product takes about 190 bytes, a variant 17.
    """

    _ID, _HASH = 8, 8

    def __init__(self) -> None:
        self._products: dict[str, bytes] = {}

    def __contains__(self, gid: str) -> bool:
        """Whether a product was put there and not taken again."""
        return gid in self._products

    def put(self, shown: ProductView) -> None:
        """Add a product."""
        rows = sorted(_hash(one.gid) + _hash(one.content) + bytes([one.is_on_sale]) for one in shown.variants)
        self._products[shown.gid] = b"".join((_hash((shown.title, shown.groups)), *rows))

    def take(self, wanted: ProductView) -> bool:
        """Remove a product; returns whether it is shown as it should be.

        A variant that is shown besides, and that nobody can buy, is no difference: Cloudshelf can delete none.
        """
        found = self._products.pop(wanted.gid, None)
        if found is None or found[: self._HASH] != _hash((wanted.title, wanted.groups)):
            return False
        row, start = self._ID + self._HASH + 1, self._HASH
        shown = {
            found[at : at + self._ID]: found[at + self._ID : at + row] for at in range(start, len(found), row)
        }
        for one in wanted.variants:
            content = shown.pop(_hash(one.gid), b"")
            if content[: self._HASH] != _hash(one.content):
                return False
        return not any(content[-1] for content in shown.values())

    def rest(self) -> list[str]:
        """Ids of what was not taken."""
        return sorted(self._products)


def _hash(content: object) -> bytes:
    return hashlib.blake2b(repr(content).encode(errors="surrogatepass"), digest_size=8).digest()
