"""Preflight against a real HTTP sandbox: every check passes, warns or fails as it should, and none hides another."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL
from tests.integration.clients.helpers import KEY, QUICK, SECRET, kiosk, shop
from tests.integration.services.links import TYPES, LinkUnderTest, Report
from upath import UPath

from cogent_ops.config import load_config
from cogent_ops.errors import ConnectionConfigError
from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.services.catalogue.extract import Extract
from cogent_ops.services.catalogue.plan import CatalogueRequest
from cogent_ops.services.catalogue.plan import Flow as Dag
from cogent_ops.services.catalogue.runfolder import RunFolder
from cogent_ops.services.checks import Outcome
from cogent_ops.services.scopes import SCOPES, Flow, least

Start = Callable[..., LinkUnderTest]
TEXT, NUMBER = {"name": "String"}, {"name": "Number"}
NOTHING_TO_DO = ["Cloudshelf safety stock"]


def in_project(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{scope}:sandbox" for scope in scopes)


def project(data: Dataset, **changes: Any) -> Dataset:
    return replace(data, project={**data.project, **changes})


def channels(data: Dataset, **changes: Any) -> Dataset:
    """The dataset with changes of every channel."""
    return replace(data, channels=[{**raw, **changes} for raw in data.channels])


# All is well


def test_a_link_that_is_ready(link: LinkUnderTest) -> None:
    link.bootstrap()
    before = [link.server.dump(api) for api in ("commercetools", "cloudshelf")]
    link.forget_requests()
    report = link.preflight()
    assert report.failed == []
    assert report.warned == NOTHING_TO_DO
    assert len(report) == len({check.name for check in report})
    assert [link.server.dump(api) for api in ("commercetools", "cloudshelf")] == before
    assert link.writes() == {}


def test_a_link_before_its_bootstrap(link: LinkUnderTest) -> None:
    report = link.preflight()
    assert report.failed == []
    assert report.warned == [f"custom Type {key}" for key in TYPES] + NOTHING_TO_DO
    assert {report[f"custom Type {key}"].cure for key in TYPES} == {
        "Run: cogent-ops bootstrap --link default"
    }


def test_it_says_what_it_cannot_prove(link: LinkUnderTest) -> None:
    report = link.preflight()
    assert "MODIFY is not, without writing" in report["Cloudshelf role"].message
    assert "Verify on the first run" in report["Cloudshelf safety stock"].cure


# Scopes


def test_the_least_scopes_are_enough(start: Start) -> None:
    scopes = (*least(Flow.CATALOGUE), *least(Flow.PREFLIGHT))
    report = start(behaviour=Behaviour(scopes=in_project(scopes))).preflight()
    assert report.failed == []
    assert report["commercetools scopes"].message == "They allow all that the catalogue flow reads."
    assert "manage_types" in report["scopes for bootstrap"].message
    assert "manage_orders, manage_payments" in report["scopes for orders"].message
    assert "leave kiosk_order_capture paused" in report["scopes for orders"].cure


def test_types_that_cannot_be_seen_are_no_failure(start: Start) -> None:
    report = start(behaviour=Behaviour(scopes=in_project(least(Flow.CATALOGUE)))).preflight()
    assert report.failed == []
    assert "lacks the scope view_types" in report["custom Types"].message


def test_what_sync_health_will_not_see_is_said(start: Start) -> None:
    scopes = (*least(Flow.CATALOGUE), *least(Flow.PREFLIGHT), "view_messages")
    report = start(
        behaviour=Behaviour(scopes=in_project(scopes)),
        kiosk=KioskBehaviour(permissions=ALL_PERMISSIONS - {"DEVICE:READ"}),
    ).preflight()
    assert report.failed == []
    shop_ = report["scopes for sync_health"]
    assert shop_.outcome is Outcome.WARN
    assert shop_.message == (
        "sync_health will not see a Subscription that does not deliver, and not when an API client ends by itself."
    )
    assert "grant manage_subscriptions, view_api_clients" in shop_.cure
    assert report["Cloudshelf role for kiosks"].outcome is Outcome.WARN
    assert "READ for DEVICE" in report["Cloudshelf role for kiosks"].cure


def test_a_scope_that_only_some_projects_need(start: Start) -> None:
    scopes = [one for one in least(Flow.CATALOGUE) if one != "view_standalone_prices"]
    report = start(behaviour=Behaviour(scopes=in_project(scopes))).preflight()
    assert report.failed == []
    told = report["access to standalone-prices"]
    assert told.outcome is Outcome.WARN
    assert "lacks the scope view_standalone_prices" in told.message
    assert told.cure.startswith("Needed only for products with standalone prices.")
    assert "product-projections" in report["commercetools access"].message
    assert "standalone-prices" not in report["commercetools access"].message


NEEDED = list(dict.fromkeys(need.scopes[0] for need in SCOPES[Flow.CATALOGUE] if not need.only_for))


@pytest.mark.parametrize("scope", NEEDED)
def test_a_missing_scope_is_named_and_hides_nothing(start: Start, scope: str) -> None:
    """Without view_products, which covers the dedicated ones, every scope counts."""
    given = ["view_published_products", "view_inventory", *least(Flow.CATALOGUE), "view_types"]
    held = [one for one in given if one not in (scope, "view_products")]
    lacking = [
        need for need in SCOPES[Flow.CATALOGUE] if scope in need.scopes or need.scopes == ("view_products",)
    ]
    report = start(behaviour=Behaviour(scopes=in_project(held))).preflight()
    refused = {
        f"access to {need.label}"
        for need in lacking
        if not set(need.scopes) & {*held, "view_published_products"}
    }
    assert set(report.failed) == {"commercetools scopes", *refused}
    assert scope in report["commercetools scopes"].message
    assert least(Flow.CATALOGUE)[0] in report["commercetools scopes"].cure
    for name in refused:
        assert "lacks the scope" in report[name].message
        assert "Developer settings" in report[name].cure
    assert report["Cloudshelf currency"].outcome is Outcome.PASS


def test_what_could_not_be_read_is_said_not_to_be_checked(start: Start) -> None:
    scopes = ("view_published_products", "view_project_settings", "view_categories", "view_types")
    report = start(behaviour=Behaviour(scopes=in_project(scopes))).preflight()
    for name in ("channels", "channel roles", "locations", "mapping"):
        assert report[name].message == f"Not checked: {name}."
        assert "channels" in report[name].cure
    assert report["country, currency, languages"].outcome is Outcome.PASS
    assert report["product catalogue"].outcome is Outcome.PASS


def test_the_table_of_scopes_is_what_the_extract_reads(
    start: Start, dataset: Dataset, tmp_path: Path
) -> None:
    first, *others = dataset.products
    prices = replace(dataset, products=[{**first, "priceMode": "Standalone"}, *others])
    link = start(data=prices, behaviour=Behaviour(scopes=in_project(least(Flow.CATALOGUE))))
    config = load_config(link.include).link("default")
    folder = RunFolder(UPath(tmp_path), "default", "r")
    request = CatalogueRequest("default", "r", datetime(2026, 11, 20, tzinfo=UTC), Dag.AUDIT)
    Extract(config, link.store(), shop(link.server), folder).run(request)
    read = {name.split(".")[1] for name in link.requests() if name.startswith("commercetools.")}
    assert read == {need.label for need in SCOPES[Flow.CATALOGUE]}


# Settings of the project


def check_project(report: Report, name: str, outcome: Outcome, *words: str) -> None:
    found = report[name]
    assert found.outcome is outcome, report.text()
    for word in words:
        assert word in f"{found.message} {found.cure}", report.text()
    others = [check.name for check in report if check.outcome is Outcome.FAIL and check.name != name]
    assert others == [], report.text()


@pytest.mark.parametrize(
    ("changes", "name", "outcome", "words"),
    [
        (
            {"productCatalogModel": "Modular"},
            "product catalogue",
            Outcome.FAIL,
            ["Modular", "Classic project"],
        ),
        ({"messages": {"enabled": False}}, "Messages", Outcome.WARN, ["changeMessagesConfiguration"]),
        ({"countries": ["FR"]}, "country", Outcome.FAIL, ["'DE'", "mapping.yaml", "International"]),
        ({"currencies": ["CHF"]}, "currency", Outcome.FAIL, ["'EUR'", "mapping.yaml", "International"]),
        ({"languages": ["de"]}, "locales", Outcome.FAIL, ["'en'", "mapping.yaml", "International"]),
    ],
)
def test_settings_of_the_project(
    start: Start, dataset: Dataset, changes: dict[str, Any], name: str, outcome: Outcome, words: list[str]
) -> None:
    report = start(data=project(dataset, **changes)).preflight()
    check_project(report, name, outcome, *words)


def test_a_project_without_any_store(start: Start, dataset: Dataset) -> None:
    report = start(data=channels(dataset, roles=["OrderImport"])).preflight()
    check_project(report, "channels", Outcome.FAIL, "None of the 7", "InventorySupply", "addRoles")
    assert report["locations"].outcome is Outcome.WARN


# What the configuration names


@pytest.mark.parametrize(
    ("settings", "name", "outcome", "words"),
    [
        ({"prices": {"channel": "STORE"}}, "mapping, prices.channel", Outcome.FAIL, ["Did you mean"]),
        (
            {"prices": {"customer_group": "nobody"}},
            "mapping, prices.customer_group",
            Outcome.FAIL,
            ["nobody"],
        ),
        ({"stock": {"channels": ["nowhere"]}}, "mapping, stock.channels", Outcome.FAIL, ["nowhere"]),
        ({"prices": {"channel": "ROLELESS"}}, "prices.channel", Outcome.WARN, ["ProductDistribution"]),
        (
            {"stock": {"channels": ["ROLELESS"]}},
            "stock.channels",
            Outcome.FAIL,
            ["InventorySupply", "addRoles"],
        ),
        ({"attributes": {"vendor": "brnd"}}, "mapping, attributes.vendor", Outcome.FAIL, ["'brand'"]),
        ({"groups": {"exclude": ["no-category"]}}, "mapping, groups.exclude", Outcome.FAIL, ["no-category"]),
        ({"locations": {"exclude": ["no-store"]}}, "mapping, locations.exclude", Outcome.FAIL, ["no-store"]),
        ({"query": ["this is no predicate"]}, "access to product-projections", Outcome.FAIL, ["query"]),
    ],
)
def test_names_that_nothing_answers_to(
    start: Start, dataset: Dataset, settings: Any, name: str, outcome: Outcome, words: list[str]
) -> None:
    keys = {raw["key"]: raw["roles"] for raw in dataset.channels}
    store = next(key for key, roles in keys.items() if "InventorySupply" in roles)
    roleless = next(key for key, roles in keys.items() if "InventorySupply" not in roles)
    names = {"STORE": f"{store}x", "ROLELESS": roleless}
    link = start()
    link.configure(**_named(settings, names))
    check_project(link.preflight(), name, outcome, *words)


def _named(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _named(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named(inner, names) for inner in value]
    return names.get(value, value)


def test_a_sound_query_is_asked(start: Start) -> None:
    link = start()
    link.configure(query=["categories(id is defined)"])
    assert link.preflight().failed == []


def test_stores_that_are_described_but_do_not_exist(link: LinkUnderTest, dataset: Dataset) -> None:
    key = dataset.channels[0]["key"]
    link.describe_stores({f"{key}x": {"phone": "1"}})
    report = link.preflight()
    check_project(report, f"location {key}x", Outcome.WARN, f"Did you mean '{key}'", "locations.yaml")
    assert report["locations"].message.startswith("6 are complete")


def test_a_store_without_an_address(start: Start, dataset: Dataset) -> None:
    first, *others = dataset.channels
    link = start(data=replace(dataset, channels=[{**first, "address": {"country": "DE"}}, *others]))
    report = link.preflight()
    check_project(report, f"location {first['key']}", Outcome.WARN, "address.streetName", "address1")
    assert report["locations"].message.startswith("5 are complete")


# Orders


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ({"shipping_tax_category": "freight"}, "orders.shipping_tax_category", "does not exist"),
        ({"store": "atlantis"}, "orders.store", "There is no Store 'atlantis'"),
        ({"basket_field": "kioskBasket"}, "orders.basket_field", "'kioskBasket'"),
    ],
)
def test_what_orders_need_and_the_project_does_not_have(
    link: LinkUnderTest, settings: dict[str, Any], name: str, words: str
) -> None:
    link.configure(orders=settings)
    report = link.preflight()
    assert report.failed == []
    check_project(report, name, Outcome.WARN, words, "include/mapping.yaml")


def test_what_orders_need_and_the_project_has(link: LinkUnderTest) -> None:
    link.add_type("web-shop", "order", {"kioskBasket": TEXT})
    orders = {"shipping_tax_category": "standard", "store": "store-berlin", "basket_field": "kioskBasket"}
    link.configure(orders=orders)
    assert link.preflight()["orders"].outcome is Outcome.PASS


def test_a_store_that_cannot_be_seen_is_no_failure(start: Start) -> None:
    link = start(behaviour=Behaviour(scopes=in_project(least(Flow.CATALOGUE))))
    link.configure(orders={"store": "store-berlin"})
    report = link.preflight()
    assert report.failed == []
    assert "view_stores" in report["orders.store"].cure


def test_products_whose_tax_category_has_no_rate_for_the_country(start: Start, dataset: Dataset) -> None:
    categories = [
        {**one, "rates": [rate for rate in one["rates"] if rate["country"] != "DE"]}
        if one["key"] == "reduced"
        else one
        for one in dataset.tax_categories
    ]
    report = start(data=replace(dataset, tax_categories=categories)).preflight()
    assert report["tax rates"].outcome is Outcome.WARN
    assert "for DE: reduced." in report["tax rates"].message


# Custom Types


def test_types_that_are_incomplete(link: LinkUnderTest) -> None:
    link.add_type("cogent-ops-order", "order", {"CS_Device": TEXT, "CS_Cloudshelf": TEXT, "other": NUMBER})
    found = link.preflight()["custom Type cogent-ops-order"]
    assert found.outcome is Outcome.WARN
    assert found.message == "It lacks CS_OrderId, CS_OriginatingStore, CS_SalesAssistant, CS_SessionId."


def test_a_field_that_another_type_has_with_another_type(link: LinkUnderTest) -> None:
    link.bootstrap()
    report = link.preflight()
    assert report["custom Type cogent-ops-inventory"].message == "Installed and complete."
    link.add_type("erp", "inventory-entry", {"csLastBatch": TEXT})  # equal: no contradiction
    assert link.preflight().failed == []


def test_a_contradicting_type(link: LinkUnderTest) -> None:
    link.add_type("erp", "inventory-entry", {"csLastBatch": NUMBER})
    report = link.preflight()
    check_project(report, "custom Type cogent-ops-inventory", Outcome.FAIL, "'erp'", "Number", "custom_types")


def test_a_configured_key(link: LinkUnderTest) -> None:
    link.configure(custom_types={"inventory": "erp-stock"})
    found = link.preflight()["custom Type erp-stock"]
    assert found.message.startswith("Not installed")
    assert found.cure == "Run: cogent-ops bootstrap --link default"


def test_entries_that_carry_another_integrations_type(link: LinkUnderTest) -> None:
    for key in ("erp-stock", "idle"):
        link.add_type(key, "inventory-entry", {"erpId": TEXT})
    (entry,) = next(shop(link.server).pages("inventory", page_size=1))
    carry = {"action": "setCustomType", "type": {"typeId": "type", "key": "erp-stock"}}
    shop(link.server).update("inventory", entry["id"], entry["version"], [carry])
    report = link.preflight()
    check_project(report, "custom Type erp-stock", Outcome.WARN, "one Type only", "custom_types.inventory")
    assert "custom Type idle" not in report.warned
    link.configure(custom_types={"inventory": "erp-stock"})
    assert link.bootstrap().failed == []
    assert link.preflight().warned == NOTHING_TO_DO


# Cloudshelf


@pytest.mark.parametrize(
    ("kiosk_", "name", "outcome", "words"),
    [
        ({"in_maintenance": True}, "Cloudshelf maintenance", Outcome.WARN, ["maintenance"]),
        ({"currency": "GBP"}, "Cloudshelf currency", Outcome.FAIL, ["GBP", "EUR", "wrong currency"]),
        ({"location_form": "address"}, "Cloudshelf location form", Outcome.PASS, ["one line"]),
        ({"location_form": "structured"}, "Cloudshelf location form", Outcome.PASS, ["in parts"]),
        ({"safety_stock": 3}, "Cloudshelf safety stock", Outcome.WARN, ["3", "not documented"]),
    ],
)
def test_what_the_organisation_says(
    start: Start, kiosk_: dict[str, Any], name: str, outcome: Outcome, words: list[str]
) -> None:
    report = start(kiosk=KioskBehaviour(**kiosk_)).preflight()
    check_project(report, name, outcome, *words)


@pytest.mark.parametrize(
    "right", ["CATALOGUE:READ", "CATALOGUE:MODIFY", "LOCATIONS:READ", "LOCATIONS:MODIFY"]
)
def test_a_role_that_lacks_something(start: Start, right: str) -> None:
    report = start(kiosk=KioskBehaviour(permissions=ALL_PERMISSIONS - {right})).preflight()
    assert report["Cloudshelf role"].outcome is Outcome.FAIL
    assert report["Cloudshelf role"].message == f"The key's role does not allow {right}."
    assert "Cloudshelf Manager" in report["Cloudshelf role"].cure
    assert report["Cloudshelf key"].outcome is Outcome.PASS
    assert report.failed == ["Cloudshelf role"]


@pytest.mark.parametrize(
    ("right", "name"),
    [("ORDERS:READ", "Cloudshelf role for orders"), ("MY_ORGANISATION:READ", "Cloudshelf organisation")],
)
def test_a_role_that_lacks_what_the_catalogue_can_do_without(start: Start, right: str, name: str) -> None:
    report = start(kiosk=KioskBehaviour(permissions=ALL_PERMISSIONS - {right})).preflight()
    assert report.failed == []
    assert name in report.warned


# Parts that are broken


def _absent(conn_id: str) -> Callable[[], Any]:
    def absent() -> Any:
        raise ConnectionConfigError(conn_id, "conn_id", "there is no such connection", "Add it.")

    return absent


#: Taken, so that nobody else is given it, and nobody listens.
_DEAF = socket.socket()
_DEAF.bind(("127.0.0.1", 0))


def _closed_port() -> str:
    return f"http://127.0.0.1:{_DEAF.getsockname()[1]}"


def test_without_commercetools_cloudshelf_is_checked(link: LinkUnderTest) -> None:
    report = link.preflight(commercetools=_absent("commercetools_default"))
    assert report.failed == ["commercetools connection"]
    assert report["commercetools connection"].cure == "Add it."
    assert report["commercetools"].message.startswith("Not checked: login, scopes")
    assert report["Cloudshelf currency"].outcome is Outcome.PASS


def test_without_cloudshelf_commercetools_is_checked(link: LinkUnderTest) -> None:
    report = link.preflight(cloudshelf=_absent("cloudshelf_default"))
    assert report.failed == ["Cloudshelf connection"]
    assert report["Cloudshelf"].message.startswith("Not checked: key, role")
    assert report["mapping"].outcome is Outcome.PASS


def test_a_configuration_that_cannot_be_read_leaves_the_accounts_to_check(link: LinkUnderTest) -> None:
    path = link.include / "mapping.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "surplus: 1\n", encoding="utf-8")
    report = link.preflight()
    assert report.failed == ["configuration"]
    assert "line" in report["configuration"].message
    assert report["configuration"].cure.startswith("Known are")
    for name in ("commercetools access", "product catalogue", "channels", "Cloudshelf role"):
        assert report[name].outcome is Outcome.PASS
    assert report["link"].message.startswith("Not checked: country, currency")
    assert report["Cloudshelf currency"].outcome is Outcome.WARN


def test_a_mistake_about_exceptions_is_told_and_hides_nothing_else(
    link: LinkUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (link.include / "exceptions.yaml").write_text("kinds: {oversell: {owner: nobody}}", encoding="utf-8")
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(link.include))
    report = link.preflight()
    assert report.failed == ["configuration"]
    assert "exceptions.yaml, line 1: kinds.oversell.owner" in report["configuration"].message
    assert report["mapping"].outcome is Outcome.PASS


def test_a_link_that_is_not_configured(link: LinkUnderTest) -> None:
    report = link.preflight(link="defaul")
    assert report.failed == ["configuration"]
    assert "Did you mean 'default'" in report["configuration"].cure


def test_a_suite_that_cannot_be_read(link: LinkUnderTest) -> None:
    (link.include / "schemas/product_master.json").write_text("{", encoding="utf-8")
    report = link.preflight()
    assert report.failed == ["product master schema"]
    assert "product_master.json" in report["product master schema"].message


def test_an_expectation_that_great_expectations_does_not_know(link: LinkUnderTest) -> None:
    path = link.include / "schemas/product_master.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("expect_column_values_to_be_in_set", "expect_miracles"), encoding="utf-8")
    report = link.preflight()
    assert report.failed == ["product master schema"]
    assert "expect_miracles" in report["product master schema"].message


def test_a_store_without_tables(link: LinkUnderTest, tmp_path: Path) -> None:
    empty = URL.create("sqlite", database=str(tmp_path / "none.db"))
    report = link.preflight(store_url=lambda: empty)
    assert report.failed == ["store"]
    assert "Run: cogent-ops store upgrade" in report["store"].message
    assert not (tmp_path / "none.db").exists()


def test_an_embedded_store_that_is_still_to_come(
    link: LinkUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    report = link.preflight(store_url=lambda: None)
    assert report.failed == []
    assert "cogent-ops store upgrade" in report["store"].cure
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"client_secret": "no-such-secret"}, "password (client secret)"),
        ({"auth_url": _closed_port()}, "auth_url"),
        ({"scopes": ("manage_orders:sandbox",)}, "extra scopes"),
    ],
)
def test_a_login_that_fails(start: Start, wrong: dict[str, Any], words: str) -> None:
    link = start(behaviour=Behaviour(scopes=in_project(least(Flow.CATALOGUE))))
    report = link.preflight(commercetools=lambda: shop(link.server, replace(QUICK, attempts=2), **wrong))
    assert report.failed == ["commercetools login"]
    assert words in report["commercetools login"].message
    assert report["commercetools login"].cure
    assert report["commercetools"].message.startswith("Not checked: scopes")


def test_a_wrong_project_key(link: LinkUnderTest) -> None:
    report = link.preflight(commercetools=lambda: shop(link.server, project_key="elsewhere"))
    assert "there is no project 'elsewhere'" in report["access to project"].message
    assert "Give the project's key" in report["access to project"].cure
    assert report["Cloudshelf currency"].outcome is Outcome.PASS


def test_a_wrong_key(link: LinkUnderTest) -> None:
    report = link.preflight(cloudshelf=lambda: kiosk(link.server, key="no-such-key"))
    assert report.failed == ["Cloudshelf key"]
    assert "password (API key)" in report["Cloudshelf key"].message
    assert report["Cloudshelf"].message.startswith("Not checked: role")


def test_everything_is_broken_at_once(link: LinkUnderTest, tmp_path: Path) -> None:
    (link.include / "mapping.yaml").write_text("links: [", encoding="utf-8")
    report = link.preflight(
        suite=lambda: tmp_path / "absent.json",
        store_url=lambda: URL.create("mysql"),
        commercetools=lambda: shop(link.server, client_secret="no-such-secret"),
        cloudshelf=lambda: kiosk(link.server, key="no-such-key"),
    )
    assert report.failed == [
        "configuration",
        "product master schema",
        "store",
        "commercetools login",
        "Cloudshelf key",
    ]
    _tells_no_secret(report, "no-such-secret", "no-such-key")


def test_no_message_holds_a_secret(start: Start) -> None:
    for behaviour, permissions in (
        (Behaviour(), ALL_PERMISSIONS),
        (Behaviour(scopes=in_project(["view_types"])), frozenset[str]()),
    ):
        link = start(behaviour=behaviour, kiosk=KioskBehaviour(permissions=permissions))
        for report in (link.preflight(), link.bootstrap()):
            _tells_no_secret(report, SECRET, KEY, *link.server.app.commercetools._tokens)


def _tells_no_secret(report: Report, *secrets: str) -> None:
    assert not [secret for secret in secrets if secret in report.text()]


def test_a_server_that_fails_ends_nothing_else(link: LinkUnderTest) -> None:
    client = shop(link.server, replace(QUICK, attempts=2), api_url=_closed_port())
    report = link.preflight(commercetools=lambda: client)
    assert "commercetools access" in report.failed
    assert "host (API base URL)" in report["commercetools access"].message
    assert report["commercetools access"].cure.startswith("Try again")
    assert report["project settings"].message == "Not checked: project settings."
    assert report["Cloudshelf currency"].outcome is Outcome.PASS
