"""What an identifier is that is no SKU, or no Channel's key: the quiet failure said aloud.

Stores' systems and spreadsheets send what they have: a product's key, a barcode, last year's number, a SKU without its
leading zeros. Knowing which it is tells a person where to mend it. Nothing is ever corrected here: a movement under a
guessed identifier would be worse than one that waits.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import SUPPLY_ROLE
from cogent_ops.domain.identifiers import LOCATION, PRODUCT, VARIANT, IdentifierError, parse_gid
from cogent_ops.domain.nearmiss import closest, other_forms
from cogent_ops.domain.orders import location_name, own_channel
from cogent_ops.domain.text import fold
from cogent_ops.errors import CogentOpsError
from cogent_ops.store import Store

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: commercetools is asked about at most so many values in a minute; the others get no sentence, never a delay.
LOOKUPS_A_MINUTE = 30
#: The list of Channels is read again after so long.
CHANNELS_SECONDS = 60.0
#: SKUs that are compared with one that may be misspelt.
NEIGHBOURS = 1000
_NAMED = 5
_HIGHEST_VARIANT_NUMBER = 100
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_-]{2,256}")

#: Says which identifier a value is instead, in a sentence or two; empty when nobody knows it. The arguments are what it
#: should be (``sku``, ``variant``: an id of Cloudshelf, or ``location``), and the value.
Identify = Callable[[str, str], str]


class Identifier:
    """Says what unknown identifiers of a link are instead. Sentences are kept, so each value is looked up once.

    :param client: asked for what the store does not know; ``None``: nobody is asked.
    """

    def __init__(self, config: LinkConfig, store: Store, client: CommercetoolsClient | None = None) -> None:
        self.config, self.store, self.client = config, store, client
        self._link, self._catalogue = config.name, store.catalogue
        self._sentences: dict[tuple[str, str], str] = {}
        self._asked: list[float] = []
        self._channels: list[Json] = []
        self._channels_at: float | None = None

    def __call__(self, what: str, value: str) -> str:
        """A sentence or two about an unknown value; empty when nobody knows it.

        :param what: ``sku``, ``variant`` (an id of Cloudshelf) or ``location``.
        """
        return self.identify_location(value) if what == "location" else self.identify_sku(value)

    def identify_sku(self, value: str) -> str:
        """What a value is that is no SKU, and what to send instead; empty when nobody knows it."""
        return self._once("sku", value, self._sku_sentences)

    def identify_location(self, value: str) -> str:
        """What a value is that is no supply Channel's key, and what to send instead; empty when nobody knows it."""
        return self._once("location", value, self._location_sentences)

    def _once(self, what: str, value: str, sentences: Any) -> str:
        if not value.strip():
            return "It is empty."
        known = self._sentences.get((what, value))
        if known is not None:
            return known
        try:
            found = next(sentences(value), "")
        except CogentOpsError as error:
            # The movement waits in any case; that it cannot be explained must not stop the others.
            log.warning("what the %s '%s' is instead could not be found out: %s", what, value, error)
            return ""
        if found or self._may_ask():
            self._sentences[what, value] = found
        return str(found)

    # SKUs

    def _sku_sentences(self, value: str) -> Iterator[str]:
        """Sentences, the most certain one first; what costs a request comes late."""
        yield from self._gid_sentences(value)
        yield from self._registry_sentences(value)
        yield from self._alike(value)
        yield from self._commercetools_sentences(value)
        if value.isascii() and value.isdecimal() and int(value) <= _HIGHEST_VARIANT_NUMBER:
            yield (
                f"'{value}' looks like the number of a variant within its product, which many products have; send "
                "the variant's SKU."
            )
        near = closest(value, self._catalogue.skus_beginning(self._link, value[:2], NEIGHBOURS))
        if near is not None:
            yield f"Did you mean the SKU '{near}'?"

    def _gid_sentences(self, value: str) -> Iterator[str]:
        try:
            gid = parse_gid(value)
        except IdentifierError:
            if _ULID.fullmatch(value):
                yield "It looks like one of Cloudshelf's own ids, which no other system knows; send the SKU."
            return
        if gid.app == "external" and gid.type == VARIANT:
            yield f"It is Cloudshelf's id of the SKU '{gid.id}'; send '{gid.id}' alone."
        elif gid.app == "external" and gid.type == PRODUCT:
            skus = self._catalogue.skus_of_product(self._link, gid.id)
            yield f"It is Cloudshelf's id of a product{self._choices(skus)}"
        elif gid.app == "external":
            yield f"It is a {gid.type} id of another system, '{gid.id}'; send the SKU of commercetools."
        else:
            yield f"It is Cloudshelf's own id of a {gid.type}, which no other system knows; send the SKU."

    def _registry_sentences(self, value: str) -> Iterator[str]:
        renamed = self._catalogue.skus_now(self._link, value)
        if renamed:
            yield f"It is the former SKU of what is {_list(renamed)} now; send the new one, or rename it back."
        skus = self._catalogue.skus_of_product(self._link, value)
        if skus:
            what = "id" if _UUID.fullmatch(value) else "key"
            yield f"It is the {what} of a product{self._choices(skus)}"

    def _alike(self, value: str) -> Iterator[str]:
        same = [sku for sku in self._catalogue.skus_alike(self._link, [value]) if sku != value]
        if same:
            yield f"It differs from the SKU '{same[0]}' in capitals or spaces only; send it exactly as it is."
        alike = [sku for sku in self._catalogue.skus_alike(self._link, other_forms(value)) if sku != value]
        if len(alike) == 1 and alike[0].lstrip("0") == value.lstrip("0"):
            yield f"It is the SKU '{alike[0]}' but for zeros at its beginning, which spreadsheets drop."
        if alike:
            yield f"It looks like {_list(alike)}, with characters that look or are printed alike."

    def _commercetools_sentences(self, value: str) -> Iterator[str]:
        for product in self._products(value):
            name = _name(product)
            variants = [product["masterVariant"], *product["variants"]]
            skus = [one["sku"] for one in variants if one.get("sku")]
            what = "id" if product["id"] == value.lower() else "key" if product.get("key") == value else None
            if what is not None:
                yield f"It is the {what} of the product {name}{self._choices(skus)}"
            for one in variants:
                sku = one.get("sku")
                send = (
                    f"send its SKU '{sku}'."
                    if sku
                    else "the variant has no SKU; give it one in commercetools."
                )
                if one.get("key") == value:
                    yield f"It is the key of a variant of {name}; {send}"
                if self._barcode(one, value):
                    yield f"It is the barcode of a variant of {name}; {send}"
                if sku == value:
                    yield f"commercetools has this SKU in the product {name}, which is not published."

    def _products(self, value: str) -> list[Json]:
        """Products of commercetools that know the value as anything."""
        if self.client is None or not value.isprintable() or not self._may_ask():
            return []
        self._asked.append(time.monotonic())
        text = self.client.literal(value)
        of_variant = [f"sku={text}", f"key={text}"]
        for name in self.config.attributes.barcode:
            if _ATTRIBUTE.fullmatch(name):
                codes = ", ".join(self.client.literal(code) for code in _barcodes(value))
                of_variant.append(f"attributes(name={self.client.literal(name)} and value in ({codes}))")
        tests = [f"key={text}"]
        if _UUID.fullmatch(value):
            tests.append(f"id={self.client.literal(value.lower())}")
        tests += [f"{place}({test})" for test in of_variant for place in ("masterVariant", "variants")]
        pages = self.client.pages(
            "product-projections", where=[" or ".join(tests)], params={"staged": "true"}
        )
        return next(pages, [])

    def _barcode(self, variant: Json, value: str) -> bool:
        codes = _barcodes(value)
        return any(
            one["name"] in self.config.attributes.barcode and str(one["value"]) in codes
            for one in variant.get("attributes") or ()
        )

    @staticmethod
    def _choices(skus: Sequence[str]) -> str:
        if not skus:
            return "; send the SKU of the variant."
        return f"; send the SKU of the variant: {_list(skus)}."

    # Locations

    def _location_sentences(self, value: str) -> Iterator[str]:
        key = own_channel(value)
        if key is not None:
            yield f"It is Cloudshelf's id of the location with the key '{key}'; send '{key}' alone."
        yield from self._foreign_location(value)
        channels = self._all_channels()
        suppliers = [one["key"] for one in channels if SUPPLY_ROLE in one.get("roles", ())]
        for one in channels:
            send = f"send the Channel's key '{one['key']}'."
            if one["key"] == value and value not in suppliers:
                yield (
                    f"The Channel '{value}' exists, but has not the role {SUPPLY_ROLE}; add it in commercetools "
                    "if the store holds stock."
                )
            if one["id"] == value.lower():
                yield f"It is the id of the Channel '{one['key']}'; {send}"
            if fold(value) in {fold(name) for name in (one.get("name") or {}).values()}:
                yield f"It is the name of the Channel '{one['key']}'; {send}"
        forms = {fold(form) for form in (value, *other_forms(value))}
        for supplier in suppliers:
            if supplier != value and fold(supplier) in forms:
                yield f"It is the Channel's key '{supplier}' but for capitals, spaces, zeros or look-alikes."
        near = closest(value, suppliers)
        if near is not None:
            yield f"Did you mean the Channel '{near}'?"

    def _foreign_location(self, value: str) -> Iterator[str]:
        try:
            gid = parse_gid(value)
        except IdentifierError:
            if _ULID.fullmatch(location_name(value)):
                yield "It looks like one of Cloudshelf's own ids, which no other system knows; send the Channel's key."
            return
        if gid.app == "external" and gid.type != LOCATION:
            yield f"It is a {gid.type} id of another system, '{gid.id}'."
        elif gid.app != "external":
            yield f"It is Cloudshelf's own id of a {gid.type}, which no other system knows."

    def _all_channels(self) -> list[Json]:
        if self.client is None:
            return []
        if self._channels_at is None or time.monotonic() - self._channels_at > CHANNELS_SECONDS:
            self._channels = [one for page in self.client.pages("channels") for one in page]
            self._channels_at = time.monotonic()
        return self._channels

    def _may_ask(self) -> bool:
        """Whether this minute's lookups are not used up."""
        now = time.monotonic()
        self._asked = [moment for moment in self._asked if now - moment < 60.0]
        return len(self._asked) < LOOKUPS_A_MINUTE


def _barcodes(value: str) -> list[str]:
    """A barcode in all lengths that scanners give it: zeros may lead it."""
    code = "".join(value.split()).replace("-", "")
    if not code.isdigit():
        return [value]
    return list(
        dict.fromkeys([value, code, code.lstrip("0") or code, *(code.zfill(n) for n in (8, 12, 13, 14))])
    )


def _name(product: Json) -> str:
    names = list((product.get("name") or {}).values())
    return f"'{names[0]}'" if names else f"'{product.get('key') or product['id']}'"


def _list(skus: Sequence[str]) -> str:
    shown = ", ".join(f"'{sku}'" for sku in skus[:_NAMED])
    return shown + (f" and {len(skus) - _NAMED} more" if len(skus) > _NAMED else "")
