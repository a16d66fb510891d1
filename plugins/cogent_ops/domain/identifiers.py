"""The one place where identifiers of the two systems are converted.

The join key is the SKU. A Cloudshelf variant's external id is built from the SKU, a product's from the
commercetools product id, a group's from the category id, a location's from the supply Channel's key.
Cloudshelf accepts its own ids and external ones (``gid://external/<Namespace>/<id>``) wherever a GlobalId is
taken; which characters an id may hold is not documented, so everything outside the unreserved set of RFC 3986
is percent-encoded, which is reversible.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from cogent_ops.errors import PermanentError

PRODUCT = "CommercetoolsProduct"
VARIANT = "CommercetoolsSku"
GROUP = "CommercetoolsCategory"
LOCATION = "CommercetoolsChannel"

_GID = re.compile(r"gid://(?P<app>[^/]+)/(?P<type>[^/]+)/(?P<id>[^/]+)")


class IdentifierError(PermanentError):
    """An identifier cannot be converted: the quiet failure that retailers discover last, so it is never skipped."""


class Gid(NamedTuple):
    """A parsed global id: owner (``external`` for ours), record type and the decoded id."""

    app: str
    type: str
    id: str


def external_gid(namespace: str, identifier: str) -> str:
    """Build ``gid://external/<namespace>/<identifier>`` with the identifier percent-encoded.

    :raises IdentifierError: when the identifier is empty or blank.
    """
    if not identifier.strip():
        raise IdentifierError(f"An empty identifier cannot become a Cloudshelf {namespace} id.")
    return f"gid://external/{namespace}/{quote(identifier, safe='-._~')}"


def parse_gid(gid: str) -> Gid:
    """Split a global id.

    :raises IdentifierError: when the text is not of the form ``gid://<owner>/<type>/<id>``.
    """
    match = _GID.fullmatch(gid)
    if match is None:
        raise IdentifierError(f"'{gid}' is not a Cloudshelf global id (expected gid://<owner>/<type>/<id>).")
    return Gid(match["app"], match["type"], unquote(match["id"]))


def product_gid(product_id: str) -> str:
    """Cloudshelf external id of a commercetools product (by its id)."""
    return external_gid(PRODUCT, product_id)


def variant_gid(sku: str) -> str:
    """Cloudshelf external id of a variant (by its SKU)."""
    return external_gid(VARIANT, sku)


def group_gid(category_id: str) -> str:
    """Cloudshelf external id of the product group made from a commercetools category (by its id)."""
    return external_gid(GROUP, category_id)


def location_gid(channel_key: str) -> str:
    """Cloudshelf external id of the location made from a commercetools supply Channel (by its key)."""
    return external_gid(LOCATION, channel_key)


def sku_of(gid: str) -> str:
    """SKU behind a variant's external id.

    :raises IdentifierError: when the id is not one that :func:`variant_gid` makes; the message says what it is.
    """
    parsed = parse_gid(gid)
    if parsed.app != "external" or parsed.type != VARIANT:
        raise IdentifierError(f"'{gid}' is a {parsed.app} {parsed.type} id, not a SKU of ours ({VARIANT}).")
    return parsed.id
