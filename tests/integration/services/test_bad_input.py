"""Bad input: what a person reads, held against the page that explains it (``docs/bad-input.md``)."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.clients.helpers import QUICK
from tests.support.carrying import ROOT, Carrier

from cogent_ops.config import load_config
from cogent_ops.domain.identifiers import product_gid
from cogent_ops.domain.rules import PriceRules
from cogent_ops.errors import CogentOpsError, PermanentError, RetryableError
from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset, money
from cogent_ops.sandbox.faults import FaultPlan, Rule
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.services.scopes import Flow, least
from cogent_ops.store import Store

NOW = datetime.now(UTC)
PAGE = (ROOT / "docs/bad-input.md").read_text(encoding="utf-8")
#: Messages of the page by the case that they stand under.
SHOWN = dict(re.findall(r"^\*\*(.+)\*\*\n\n    (.+)$", PAGE, re.MULTILINE))

pytestmark = pytest.mark.usefixtures("quick_gate")


@dataclass
class Desk:
    """Where a case is tried.

    :param folder: for files of its own.
    """

    begin: Callable[..., Carrier]
    store: Store
    folder: Path

    def link(self, *, data: Dataset | None = None, **more: Any) -> Carrier:
        """A link over a few clean products, whose audit has passed."""
        found = data or generate(seed=5, products=4, now=NOW, dirty_share=0)
        made = self.begin(found, self.store, **more)
        made.clear()
        return made

    def mapping(self, old: str, new: str) -> str:
        """What is said of ``include/mapping.yaml`` with another text in it."""
        return self._said_of("mapping.yaml", old, new, load_config)

    def schema(self, old: str, new: str) -> str:
        """What a run says of the product master schema with another text in it."""
        suite = Path("schemas/product_master.json")
        return self._said_of(str(suite), old, new, lambda include: self.link(suite=include / suite).sync())

    def _said_of(self, name: str, old: str, new: str, use: Callable[[Path], object]) -> str:
        include = self.folder / "include"
        shutil.copytree(ROOT / "include", include)
        text = (include / name).read_text(encoding="utf-8")
        assert old in text
        (include / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        return refusal(lambda: use(include))


def refusal(act: Callable[[], object], kind: type[CogentOpsError] = PermanentError) -> str:
    with pytest.raises(kind) as refused:
        act()
    return str(refused.value)


@pytest.fixture
def desk(begin: Callable[..., Carrier], local: Store, tmp_path: Path) -> Desk:
    return Desk(begin, local, tmp_path)


# Configuration files


def wrong_channel(desk: Desk) -> str:
    return refusal(desk.link(settings={"prices": PriceRules(channel="store-berln")}).sync)


# Accounts


def wrong_secret(desk: Desk) -> str:
    return refusal(desk.link(sandbox={"behaviour": Behaviour(client_secret="another")}).sync)


def wrong_project(desk: Desk) -> str:
    link = desk.link()
    link.server.state.commercetools.project["key"] = "another"
    return refusal(link.sync)


def missing_scope(desk: Desk) -> str:
    instead = {"view_products": "view_published_products"}
    granted = tuple(f"{instead.get(scope, scope)}:sandbox" for scope in least(Flow.CATALOGUE))
    return refusal(desk.link(sandbox={"behaviour": Behaviour(scopes=granted)}).sync)


def wrong_key(desk: Desk) -> str:
    return refusal(desk.link(sandbox={"kiosk": KioskBehaviour(api_key="another")}).sync)


def missing_right(desk: Desk) -> str:
    rights = ALL_PERMISSIONS - {"CATALOGUE:MODIFY"}
    return refusal(desk.link(sandbox={"kiosk": KioskBehaviour(permissions=rights)}).sync)


def nobody_there(desk: Desk) -> str:
    link = desk.link(tuning=replace(QUICK, attempts=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        link.server._port = free.getsockname()[1]
        return refusal(lambda: link.flow().extract(link.request()), RetryableError)


def modular(desk: Desk) -> str:
    link = desk.link()
    link.server.state.commercetools.project["productCatalogModel"] = "Modular"
    return refusal(link.sync)


# Runs


def no_audit(desk: Desk) -> str:
    link = desk.begin(generate(seed=5, products=1, now=NOW), desk.store)
    return refusal(link.sync)


def failed_audit(desk: Desk) -> str:
    link = desk.begin(generate(seed=5, products=1, now=NOW), desk.store)
    desk.store.audits.record("default", "r", verdict="no_go", counts={})
    return refusal(link.sync)


def unknown_sku(desk: Desk) -> str:
    return refusal(lambda: desk.link().sync(skus=("AB-1",)))


def mass_removal(desk: Desk) -> str:
    link = desk.link()
    link.sync()
    for product in list(link.server.state.commercetools["product-projections"])[:2]:
        link.floor.publish_product(product["id"], False)
    link.sync(full_refresh=True)
    return only_message(link, "mass_removal")


# Records


def only_message(link: Carrier, kind: str = "product_held") -> str:
    """The one message of the open exceptions of a kind, without the product's name before it."""
    found = link.held(kind)
    assert all(one.cure in " ".join(PAGE.split()) for one in found), {one.cure for one in found}
    assert all(f"Who: {one.owner}" in PAGE for one in found)
    names = [product["name"]["de"] for product in link.server.state.commercetools["product-projections"]]
    messages = set()
    for one in found:
        name = next((name for name in names if one.message.startswith(f"{name}: ")), "")
        messages.add(one.message.removeprefix(f"{name}: "))
    (message,) = messages
    return message


def too_many_variants(desk: Desk) -> str:
    link = desk.link(data=generate(seed=5, products=3, now=NOW, dirty_share=0, over_limit=True))
    link.sync()
    return only_message(link)


def sku_in_two_products(desk: Desk) -> str:
    link = desk.link()
    first, second = list(link.server.state.commercetools["product-projections"])[:2]
    link.edit_variant(second["id"], 1, sku=first["masterVariant"]["sku"])
    link.sync()
    assert {one.payload["product_id"] for one in link.held()} == {first["id"], second["id"]}
    return only_message(link)


def no_price_in_currency(desk: Desk) -> str:
    link = desk.link(data=generate(seed=5, products=4, now=NOW, dirty_share=0, standalone_share=0))
    product = next(iter(link.server.state.commercetools["product-projections"]))
    link.edit_variant(product["id"], 1, prices=[{"id": "p", "value": money("SEK", 99900)}])
    link.sync()
    return only_message(link)


def refused_record(desk: Desk) -> str:
    link = desk.link()
    product = next(iter(link.server.state.commercetools["product-projections"]))
    rule = Rule(kind="refuse", ids=product_gid(product["id"]), code="ENTITY_INVALID_FIELD")
    link.server.set_faults(FaultPlan(rules=(rule,)))
    link.sync()
    return only_message(link, "record_refused")


def incomplete_store(desk: Desk) -> str:
    link = desk.link()
    link.change("channels", "store-berlin", address={"country": "DE"})
    link.sync()
    return only_message(link, "location_incomplete")


CASES: dict[str, Callable[[Desk], str]] = {
    "A currency that does not exist": lambda desk: desk.mapping("currency: EUR", "currency: EURO"),
    "A currency that is missing": lambda desk: desk.mapping("    currency: EUR\n", ""),
    "A file that is not YAML": lambda desk: desk.mapping("links:\n", "links:\n\tbroken: [\n"),
    "A setting that nobody knows": lambda desk: desk.mapping("removal_guard", "removal_gard"),
    "A channel that commercetools does not have": wrong_channel,
    "A rule about something that no record has": lambda desk: desk.schema('"https_images"', '"http_images"'),
    "Wrong commercetools credentials": wrong_secret,
    "A project that does not exist": wrong_project,
    "A scope that is missing": missing_scope,
    "A project with the Modular catalogue": modular,
    "Wrong Cloudshelf key": wrong_key,
    "A key whose role may not change the catalogue": missing_right,
    "A server that does not answer": nobody_there,
    "A catalogue that has not been audited": no_audit,
    "A catalogue whose audit failed": failed_audit,
    "SKUs that nobody carries": unknown_sku,
    "Many products gone at once": mass_removal,
    "A product with 101 variants": too_many_variants,
    "A SKU in two products": sku_in_two_products,
    "A product without a price in the link's currency": no_price_in_currency,
    "A record that Cloudshelf refuses": refused_record,
    "A store without a street": incomplete_store,
}


@pytest.mark.parametrize("case", CASES)
def test_the_message_is_the_one_on_the_page(desk: Desk, case: str) -> None:
    message = CASES[case](desk)
    # Three dots stand for what differs from case to case.
    pattern = ".+".join(map(re.escape, SHOWN.get(case, "(not on the page)").split("…")))
    assert re.fullmatch(pattern, message), message


def test_the_page_explains_nothing_that_does_not_happen() -> None:
    assert list(SHOWN) == list(CASES)
    assert len(re.findall(r"^    \S", PAGE, re.MULTILINE)) == len(CASES)
