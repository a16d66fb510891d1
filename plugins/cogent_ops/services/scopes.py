"""Least scopes of a commercetools API client, by flow: the one table that preflight and the documentation share.

``manage_`` implies ``view_``. Dedicated scopes for channels, product types and the like are younger than many API
clients; those get there through the broader scopes that stand after the first in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Flow(StrEnum):
    """Who needs scopes."""

    CATALOGUE = "catalogue"
    STOCK = "stock"
    AVAILABILITY = "availability"
    ORDERS = "orders"
    HEALTH = "health"
    PREFLIGHT = "preflight"
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True)
class Need:
    """What a flow does with one resource.

    :param resource: path below the project; empty: the project itself.
    :param scopes: any of them is enough; the first is the one to grant.
    :param only_for: which projects need it, or what is not seen without it; empty: all need it.
    """

    resource: str
    scopes: tuple[str, ...]
    only_for: str = ""

    @property
    def label(self) -> str:
        """The resource as messages name it."""
        return self.resource or "project"


SCOPES: Mapping[Flow, tuple[Need, ...]] = MappingProxyType(
    {
        Flow.CATALOGUE: (
            Need("product-projections", ("view_products", "view_published_products")),
            Need("inventory", ("view_products",)),
            Need("categories", ("view_categories", "view_products")),
            Need("product-types", ("view_product_types", "view_products")),
            Need("channels", ("view_channels", "view_products")),
            Need("customer-groups", ("view_customer_groups", "view_customers")),
            Need("tax-categories", ("view_tax_categories", "view_products")),
            Need("standalone-prices", ("view_standalone_prices",), "products with standalone prices"),
            Need("", ("view_project_settings",)),
        ),
        # No scope exists for inventory alone.
        Flow.STOCK: (
            Need("inventory", ("manage_products",)),
            Need("channels", ("view_channels", "view_products")),
            Need("product-projections", ("view_products",)),
            Need("types", ("view_types",)),
        ),
        Flow.AVAILABILITY: (
            Need("inventory", ("view_products",)),
            Need("channels", ("view_channels", "view_products")),
        ),
        # No scope of a single Store is enough: imports belong to the project.
        Flow.ORDERS: (
            Need("orders", ("manage_orders",)),
            Need("payments", ("manage_payments",)),
            Need("product-projections", ("view_products",)),
            Need("tax-categories", ("view_tax_categories", "view_products")),
            Need("channels", ("view_channels", "view_products")),
            Need("stores", ("view_stores",)),
            Need("types", ("view_types",)),
        ),
        # Without the others sync_health sees less, and says so.
        Flow.HEALTH: (
            Need("", ("view_project_settings",)),
            Need("messages", ("view_messages",), "what a gap in Messages or Subscriptions was about"),
            # No scope allows reading them alone.
            Need("subscriptions", ("manage_subscriptions",), "a Subscription that does not deliver"),
            Need("api-clients", ("view_api_clients",), "when an API client ends by itself"),
        ),
        # Beyond what it checks for the catalogue.
        Flow.PREFLIGHT: (Need("types", ("view_types",)),),
        Flow.BOOTSTRAP: (
            Need("types", ("manage_types",)),
            Need("channels", ("view_channels", "view_products")),
        ),
    }
)


def least(flow: Flow) -> tuple[str, ...]:
    """The scopes to grant for a flow, each once."""
    return tuple(dict.fromkeys(need.scopes[0] for need in SCOPES[flow]))


def missing(flow: Flow, granted: Iterable[str], project: str) -> tuple[Need, ...]:
    """What a flow needs and the API client cannot do.

    :param granted: as the authorization server lists them, e.g. ``view_products:my-project``.
    :param project: the project's key.
    """
    held = {scope.removesuffix(f":{project}") for scope in granted if scope.endswith(f":{project}")}
    return tuple(need for need in SCOPES[flow] if not any(_covered(scope, held) for scope in need.scopes))


def _covered(scope: str, held: set[str]) -> bool:
    wider = {scope, "manage_project", scope.replace("view_", "manage_", 1)}
    if scope == "view_published_products":
        wider |= {"view_products", "manage_products"}
    return bool(wider & held)
