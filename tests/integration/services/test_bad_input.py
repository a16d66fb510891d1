"""Bad input: what a person reads, held against the page that explains it (``docs/bad-input.md``)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.carrying import ROOT, Carrier

from cogent_ops.clients.transport import close_sessions
from cogent_ops.config import load_config
from cogent_ops.errors import PermanentError
from cogent_ops.sandbox.cloudshelf_state import KioskBehaviour
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.server import SandboxServer
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.store import Store, open_store

NOW = datetime.now(UTC)
PAGE = (ROOT / "docs/bad-input.md").read_text(encoding="utf-8")


@pytest.fixture
def store(sqlite_databases: Any) -> Iterator[Store]:
    with sqlite_databases.current() as url:
        opened = open_store(url)
        yield opened
        opened.close()


@pytest.fixture
def begin(tmp_path: Path, store: Store) -> Iterator[Callable[..., Carrier]]:
    with ExitStack() as stack:

        def made(*, products: int = 4, over_limit: bool = False, **behaviours: Any) -> Carrier:
            data = generate(seed=5, products=products, now=NOW, dirty_share=0, over_limit=over_limit)
            server = stack.enter_context(SandboxServer(data, **behaviours))
            link = Carrier(server, store, tmp_path / "data")
            link.clear()
            return link

        yield made
        close_sessions()


def explained(message: str) -> bool:
    """Whether the page shows the message; what differs from run to run stands there as three dots."""
    plain = re.sub(r" \(correlation id [^)]*\)", "", message)
    shown = (re.escape(line).replace("…", ".+") for line in re.findall(r"^    (.+)$", PAGE, re.MULTILINE))
    return any(re.fullmatch(pattern, plain) for pattern in shown)


def edited(tmp_path: Path, change: Callable[[str], str]) -> Path:
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    mapping = include / "mapping.yaml"
    mapping.write_text(change(mapping.read_text(encoding="utf-8")), encoding="utf-8")
    return include


@pytest.mark.parametrize(
    ("change", "line"),
    [
        pytest.param(
            lambda text: text.replace("currency: EUR", "currency: EURO"), True, id="unknown currency"
        ),
        pytest.param(lambda text: text + "\n\tbroken: [\n", True, id="no YAML"),
        pytest.param(lambda text: text.replace("removal_guard", "removal_gard"), True, id="unknown setting"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    tmp_path: Path, change: Callable[[str], str], line: bool
) -> None:
    with pytest.raises(PermanentError) as refused:
        load_config(edited(tmp_path, change))
    assert (", line " in str(refused.value)) is line
    assert explained(str(refused.value)), str(refused.value)


def refusal(link: Carrier) -> str:
    with pytest.raises(PermanentError) as refused:
        link.sync()
    return str(refused.value)


def test_credentials_that_are_wrong(begin: Callable[..., Carrier]) -> None:
    for wrong in (
        {"behaviour": Behaviour(client_secret="another")},
        {"kiosk": KioskBehaviour(api_key="another")},
    ):
        message = refusal(begin(**wrong))
        assert explained(message), message
        close_sessions()


def test_a_scope_that_is_missing(begin: Callable[..., Carrier]) -> None:
    names = (
        "project_settings",
        "categories",
        "channels",
        "product_types",
        "tax_categories",
        "customer_groups",
    )
    scopes = tuple(f"view_{name}:sandbox" for name in (*names, "published_products"))
    message = refusal(begin(behaviour=Behaviour(scopes=scopes)))
    assert explained(message), message


def test_a_project_with_the_modular_catalogue(begin: Callable[..., Carrier]) -> None:
    link = begin()
    link.server.state.commercetools.project["productCatalogModel"] = "Modular"
    message = refusal(link)
    assert explained(message), message


def test_a_first_push_without_an_audit(begin: Callable[..., Carrier], store: Store) -> None:
    link = begin()
    link.name = "default"
    store.audits.record("default", "cleared", verdict="no_go", counts={})
    message = refusal(link)
    assert explained(message), message


def test_a_product_with_101_variants(begin: Callable[..., Carrier]) -> None:
    link = begin(over_limit=True)
    link.sync()
    (held,) = link.held()
    assert explained(held.message.partition(": ")[2]), held.message
    assert held.cure in PAGE


def test_a_sku_in_two_products(begin: Callable[..., Carrier]) -> None:
    link = begin()
    first, second = list(link.server.state.commercetools.collections["product-projections"])[:2]
    twin = {**second["masterVariant"], "sku": first["masterVariant"]["sku"]}
    link.server.state.floor.change_product(second["id"], {"masterVariant": twin})
    link.sync()
    held = [record for record in link.held() if "unique" in record.rule]
    assert {record.payload["product_id"] for record in held} == {first["id"], second["id"]}
    assert all(explained(record.message.partition(": ")[2]) for record in held), held[0].message
    assert held[0].cure in PAGE


def test_the_page_explains_nothing_that_does_not_happen() -> None:
    """Every message on the page belongs to a test here."""
    assert len(re.findall(r"^    \S.+$", PAGE, re.MULTILINE)) == 10
