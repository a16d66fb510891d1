"""What an unknown identifier is instead, asked of the store first and then of commercetools."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.clients.helpers import shop
from tests.support.kiosks import ROOT

from cogent_ops.clients.transport import close_sessions
from cogent_ops.config import load_config
from cogent_ops.domain.identifiers import location_gid, product_gid, variant_gid
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.services.stock import identify as module
from cogent_ops.services.stock.identify import Identifier
from cogent_ops.store import Store
from cogent_ops.store.catalogue import ProductState

Json = dict[str, Any]
PRODUCT_ID = "3f0c1c9e-3d68-4b53-93b5-0d7f7a3c3a11"
ULID = "01JDFX0000ABCDEFGHJKMNPQRS"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    data = generate(seed=4, products=12, now=datetime(2026, 11, 20, tzinfo=UTC))
    with SandboxServer(data) as started:
        yield started
        close_sessions()


@pytest.fixture
def known(store: Store) -> Store:
    """A store that has read a product."""
    catalogue = store.catalogue
    catalogue.register_skus("default", "r1", [PRODUCT_ID], [("COAT-OLD", PRODUCT_ID, 1)])
    rows = [("COAT-RED-M", PRODUCT_ID, 1), ("00047110", PRODUCT_ID, 2), ("COAT-100", PRODUCT_ID, 3)]
    catalogue.register_skus("default", "r2", [PRODUCT_ID], rows)
    state = ProductState(PRODUCT_ID, "coat", "Coat", 1, datetime(2026, 11, 20, tzinfo=UTC), "pushed", True)
    catalogue.record_products("default", "r2", [state])
    return store


def identifier(store: Store, server: SandboxServer | None = None) -> Identifier:
    config = load_config(ROOT / "include").link("default")
    return Identifier(config, store, None if server is None else shop(server))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("COAT-OLD", "It is the former SKU of what is 'COAT-RED-M' now"),
        (
            "coat",
            "It is the key of a product; send the SKU of the variant: 'COAT-RED-M', '00047110', 'COAT-100'.",
        ),
        (PRODUCT_ID, "It is the id of a product"),
        ("coat-red-m", "It differs from the SKU 'COAT-RED-M' in capitals or spaces only"),
        (" COAT-RED-M", "It differs from the SKU 'COAT-RED-M' in capitals or spaces only"),
        ("47110", "It is the SKU '00047110' but for zeros at its beginning"),
        ("47110.0", "It looks like '00047110'"),
        ("COAT-1O0", "It looks like 'COAT-100'"),
        ("COAT-RDE-M", "Did you mean the SKU 'COAT-RED-M'?"),
        ("3", "'3' looks like the number of a variant within its product"),
        (variant_gid("COAT-100"), "It is Cloudshelf's id of the SKU 'COAT-100'; send 'COAT-100' alone."),
        (
            product_gid(PRODUCT_ID),
            "It is Cloudshelf's id of a product; send the SKU of the variant: 'COAT-RED-M'",
        ),
        ("gid://external/ShopifyProductVariant/7", "It is a ShopifyProductVariant id of another system, '7'"),
        (f"gid://cloudshelf/ProductVariant/{ULID}", "It is Cloudshelf's own id of a ProductVariant"),
        (ULID, "It looks like one of Cloudshelf's own ids"),
        ("  ", "It is empty."),
        ("nobody-knows-this", ""),
        ("\x00\u2028", ""),
    ],
)
def test_the_store_knows_what_a_value_is(known: Store, value: str, sentence: str) -> None:
    found = identifier(known).identify_sku(value)
    assert found.startswith(sentence)
    assert bool(found) == bool(sentence)


def product(server: SandboxServer) -> Json:
    state = server.state.commercetools
    with state.lock:
        return next(
            one
            for one in state["product-projections"]
            if one.get("key") and any(a["name"] == "gtin" for a in one["masterVariant"].get("attributes", ()))
        )


def test_commercetools_knows_the_rest(store: Store, server: SandboxServer) -> None:
    one = product(server)
    master = one["masterVariant"]
    gtin = next(a["value"] for a in master["attributes"] if a["name"] == "gtin")
    names = identifier(store, server)
    assert names.identify_sku(one["key"]).startswith("It is the key of the product '")
    assert names.identify_sku(one["id"]).startswith("It is the id of the product '")
    assert names.identify_sku(gtin).startswith("It is the barcode of a variant of '")
    assert f"send its SKU '{master['sku']}'" in names.identify_sku(gtin)
    assert f"send its SKU '{master['sku']}'" in names.identify_sku(f"0{gtin}")
    assert names("variant", 'quote " and \\ backslash') == ""


def test_a_variants_key_is_recognised(store: Store, server: SandboxServer) -> None:
    one = product(server)
    keyed = {**one["masterVariant"], "key": "variant-key"}
    server.state.floor.change_product(one["id"], {"masterVariant": keyed})
    assert identifier(store, server).identify_sku("variant-key").startswith("It is the key of a variant of '")


def test_each_value_is_looked_up_once_and_lookups_are_bounded(
    store: Store, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKUPS_A_MINUTE", 3)
    names = identifier(store, server)
    server.app.forget()
    for _ in range(2):
        for number in range(10):
            names.identify_sku(f"unknown-{number}")
    assert server.counters()["requests"]["commercetools.product-projections.query"] == 3


def test_that_nothing_can_be_found_out_stops_nobody(store: Store, server: SandboxServer) -> None:
    refusal = Rule(kind=Kind.ERROR, api="commercetools", status=400)
    server.set_faults(FaultPlan(rules=(refusal,)))
    try:
        names = identifier(store, server)
        assert names.identify_sku("anything") == ""
        assert names.identify_location("anything") == ""
    finally:
        server.set_faults(FaultPlan())


def test_locations_are_recognised(store: Store, server: SandboxServer) -> None:
    state = server.state.commercetools
    with state.lock:
        channel = next(one for one in state["channels"] if "InventorySupply" in one["roles"])
    shop(server).ensure("channels", {"key": "no-stock", "roles": ["ProductDistribution"]})
    names = identifier(store, server)
    key, name = channel["key"], next(iter(channel["name"].values()))
    cases = {
        channel["id"]: f"It is the id of the Channel '{key}'; send the Channel's key '{key}'.",
        name.upper(): f"It is the name of the Channel '{key}'",
        key.upper(): f"It is the Channel's key '{key}' but for",
        f" {key} ": f"It is the Channel's key '{key}' but for",
        key[:-1]: f"Did you mean the Channel '{key}'?",
        location_gid(key): f"It is Cloudshelf's id of the location with the key '{key}'",
        "gid://external/ShopifyLocation/7": "It is a ShopifyLocation id of another system",
        f"gid://cloudshelf/Location/{ULID}": "It is Cloudshelf's own id of a Location",
        "no-stock": "The Channel 'no-stock' exists, but has not the role InventorySupply",
        "zzzzzzzzzzzz": "",
    }
    for value, sentence in cases.items():
        found = names("location", value)
        assert found.startswith(sentence), (value, found)
        assert bool(found) == bool(sentence), (value, found)
