"""Bootstrap against a real HTTP sandbox: complete, repeatable, harmless to others, and safe under faults."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest
from tests.integration.clients.helpers import kiosk, shop
from tests.integration.services.links import TYPES, LinkUnderTest

from cogent_ops.config import load_config
from cogent_ops.domain.catalogue import map_locations
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.custom_types import declared
from cogent_ops.domain.identifiers import location_gid
from cogent_ops.errors import ConnectionConfigError
from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.faults import FaultPlan, Kind, Rule
from cogent_ops.sandbox.state import Behaviour
from cogent_ops.services.catalogue.push import Push
from cogent_ops.services.checks import Outcome

Start = Callable[..., LinkUnderTest]

FIELDS = {kind.key: [field.name for field in kind.fields] for kind in declared()}
TEXT, NUMBER = {"name": "String"}, {"name": "Number"}


def installed(link: LinkUnderTest) -> dict[str, list[str]]:
    """Field names by key of Type."""
    return {key: [one["name"] for one in kind["fieldDefinitions"]] for key, kind in link.types().items()}


def stores(link: LinkUnderTest) -> set[str]:
    """External ids of the locations that Cloudshelf has."""
    return {node["platformProvidedId"] for page in kiosk(link.server).locations() for node in page}


def with_channels(data: Dataset, *changes: dict[str, Any]) -> Dataset:
    """The dataset with its first channels changed."""
    changed = [{**old, **new} for old, new in zip(data.channels, changes, strict=False)]
    return replace(data, channels=[*changed, *data.channels[len(changed) :]])


def supply_keys(data: Dataset) -> set[str]:
    return {raw["key"] for raw in data.channels if "InventorySupply" in raw["roles"]}


# What it installs


def test_it_installs_types_and_locations(link: LinkUnderTest, dataset: Dataset) -> None:
    report = link.bootstrap()
    assert report.names(Outcome.PASS) == [f"custom Type {key}" for key in TYPES] + ["locations"]
    assert installed(link) == FIELDS
    kinds = link.types()
    assert kinds["cogent-ops-inventory"]["resourceTypeIds"] == ["inventory-entry"]
    assert kinds["cogent-ops-order"]["resourceTypeIds"] == ["order"]
    assert stores(link) == {location_gid(key) for key in supply_keys(dataset)}


def test_a_second_run_changes_nothing(link: LinkUnderTest) -> None:
    link.bootstrap()
    types, kiosks = link.types(), link.server.state.cloudshelf.entities["Location"]
    before = {gid: dict(location) for gid, location in kiosks.items()}
    link.forget_requests()
    report = link.bootstrap()
    assert report["locations"].message == "6 are there already."
    assert {check.message for check in report if "Type" in check.name} == {"Complete already."}
    assert link.types() == types  # versions and timestamps included
    assert kiosks == before
    assert link.writes() == {}


def test_a_dry_run_says_what_it_would_do_and_does_nothing(link: LinkUnderTest) -> None:
    link.add_type("cogent-ops-order", "order", {"CS_Device": TEXT})
    before = [link.server.dump(api) for api in ("commercetools", "cloudshelf")]
    link.forget_requests()
    report = link.bootstrap(dry_run=True)
    assert "created with csLastBatch" in report["custom Type cogent-ops-inventory"].message
    assert "completed by CS_OrderId, CS_Cloudshelf, CS_Orig" in report["custom Type cogent-ops-order"].message
    assert report["locations"].message.startswith("Would be installed: Filiale")
    assert [link.server.dump(api) for api in ("commercetools", "cloudshelf")] == before
    assert link.writes() == {}
    with link.store().read():
        assert list(link.store().fingerprints.ids("default", "location")) == []


def test_a_dry_run_creates_no_store(
    link: LinkUnderTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    report = link.bootstrap(dry_run=True, store_url=lambda: None)
    assert report.failed == []
    assert not (tmp_path / "home").exists()


def test_the_catalogue_flow_does_not_send_its_locations_again(link: LinkUnderTest) -> None:
    link.bootstrap()
    config = load_config(link.include)
    raw = chain.from_iterable(shop(link.server).pages("channels"))
    locations, _ = map_locations(map(Channel.model_validate, raw), {}, config.link("default"))
    push = Push(
        config.link("default"), link.store(), kiosk(link.server), "run", datetime.now(UTC), dry_run=False
    )
    link.forget_requests()
    push.locations(locations)
    assert push.result.counts == {"locations_unchanged": 6}
    assert link.writes() == {}


def test_more_locations_than_a_page_or_a_batch_holds(start: Start, dataset: Dataset) -> None:
    one = dataset.channels[0]
    many = [{**one, "id": f"{n:08d}", "key": f"store-{n:03d}"} for n in range(230)]
    link = start(data=replace(dataset, channels=many))
    assert link.bootstrap().failed == []
    assert len(stores(link)) == 230
    link.forget_requests()
    assert link.bootstrap()["locations"].message == "230 are there already."
    assert link.writes() == {}


# What is there already


def test_another_integrations_type_is_completed_and_stays_as_it_is(link: LinkUnderTest) -> None:
    link.add_type("erp-stock", "inventory-entry", {"erpId": NUMBER, "erpNote": TEXT})
    link.configure(custom_types={"inventory": "erp-stock"})
    before = link.types()["erp-stock"]
    assert link.bootstrap().failed == []
    after = link.types()["erp-stock"]
    assert after["fieldDefinitions"][:2] == before["fieldDefinitions"]
    assert [one["name"] for one in after["fieldDefinitions"][2:]] == ["csLastBatch"]
    assert {name: after[name] for name in ("key", "name", "resourceTypeIds")} == {
        name: before[name] for name in ("key", "name", "resourceTypeIds")
    }
    assert "cogent-ops-inventory" not in link.types()


def test_types_of_others_are_not_touched(link: LinkUnderTest) -> None:
    link.add_type("loyalty", "customer", {"csLastBatch": NUMBER})
    link.add_type("erp-stock", "inventory-entry", {"csLastBatch": TEXT, "erpId": NUMBER})
    before = link.types()
    assert link.bootstrap().failed == []
    assert {key: kind for key, kind in link.types().items() if key in before} == before


@pytest.mark.parametrize("key", ["erp-stock", "cogent-ops-inventory"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_contradicting_field_is_told_and_left_alone(link: LinkUnderTest, key: str, dry_run: bool) -> None:
    link.add_type(key, "inventory-entry", {"csLastBatch": NUMBER})
    before = link.types()
    report = link.bootstrap(dry_run=dry_run)
    assert report.failed == ["custom Type cogent-ops-inventory"]
    told = report["custom Type cogent-ops-inventory"]
    assert f"field 'csLastBatch' of Type '{key}' is a Number, not a String" in told.message
    assert "remove the other field" in told.cure
    assert link.types()[key] == before[key]
    assert ("cogent-ops-order" in link.types()) is not dry_run
    assert bool(stores(link)) is not dry_run


def test_a_key_that_is_another_kind_of_types(link: LinkUnderTest) -> None:
    link.add_type("cogent-ops-order", "customer", {"age": NUMBER})
    before = link.types()["cogent-ops-order"]
    report = link.bootstrap()
    assert report.failed == ["custom Type cogent-ops-order"]
    assert "is for customer, not for order" in report["custom Type cogent-ops-order"].message
    assert "custom_types" in report["custom Type cogent-ops-order"].cure
    assert link.types()["cogent-ops-order"] == before


# Stores


def test_an_incomplete_store_is_named_and_the_others_are_installed(start: Start, dataset: Dataset) -> None:
    first, second = (raw["key"] for raw in dataset.channels[:2])
    data = with_channels(dataset, {"address": {"country": "DE"}}, {"address": None})
    link = start(data=data)
    report = link.bootstrap()
    assert {f"location {first}", f"location {second}"} == set(report.failed)
    assert "address.streetName: Store" in report[f"location {first}"].message
    assert f"give 'address1' for '{first}' in include/locations.yaml" in report[f"location {first}"].cure
    assert len(stores(link)) == 4
    for key in (first, second):
        link.describe_stores({key: {"address1": "Am Markt 1", "country": "DE"}})
    assert link.bootstrap().failed == []
    assert len(stores(link)) == 6


def test_an_entry_about_no_channel_is_told(link: LinkUnderTest, dataset: Dataset) -> None:
    wrong = dataset.channels[0]["key"] + "x"
    link.describe_stores({wrong: {"phone": "1"}})
    report = link.bootstrap()
    assert report.failed == []
    assert "Did you mean" in report[f"location {wrong}"].message


def test_only_what_changed_is_sent(link: LinkUnderTest, dataset: Dataset) -> None:
    link.bootstrap()
    link.describe_stores({dataset.channels[0]["key"]: {"phone": "+49 30 1"}})
    link.forget_requests()
    assert "5 are there already" in link.bootstrap()["locations"].message
    assert link.writes() == {"cloudshelf.upsertLocations": 1}


def test_a_location_that_somebody_deleted_comes_back(link: LinkUnderTest) -> None:
    link.bootstrap()
    state = link.server.state.cloudshelf
    with state.lock:
        gone = next(iter(state.entities["Location"].values()))
        state.entities["Location"].pop(gone["id"])
        state.external["Location"].pop(gone["platformProvidedId"])
    assert gone["platformProvidedId"] not in stores(link)
    assert gone["displayName"] in link.bootstrap()["locations"].message
    assert gone["platformProvidedId"] in stores(link)


def test_a_location_that_cloudshelf_refuses_is_named_and_tried_again(start: Start, dataset: Dataset) -> None:
    key = dataset.channels[0]["key"]
    refusal = Rule(kind=Kind.REFUSE, ids=f"*{key}", code="ENTITY_INVALID_FIELD")
    link = start(FaultPlan(rules=(refusal,)))
    report = link.bootstrap()
    assert report.failed == [f"location {key}"]
    assert "ENTITY_INVALID_FIELD" in report[f"location {key}"].message
    assert len(stores(link)) == 5
    link.server.set_faults(None)
    link.forget_requests()
    assert link.bootstrap().failed == []
    assert link.writes() == {"cloudshelf.upsertLocations": 1}


# What is missing


def test_without_cloudshelf_the_types_are_installed(link: LinkUnderTest) -> None:
    def absent() -> Any:
        raise ConnectionConfigError("cloudshelf_default", "conn_id", "there is no such connection", "Add it.")

    report = link.bootstrap(cloudshelf=absent)
    assert report.failed == ["locations"]
    assert report["locations"].cure == "Add it."
    assert installed(link) == FIELDS


def test_without_commercetools_nothing_is_installed(link: LinkUnderTest) -> None:
    report = link.bootstrap(commercetools=lambda: shop(link.server, client_secret="wrong-secret"))
    assert report.failed == ["commercetools"]
    assert "password (client secret)" in report["commercetools"].message
    assert "wrong-secret" not in report.text()
    assert stores(link) == set()


def test_a_missing_scope_is_named_and_the_rest_is_installed(start: Start) -> None:
    link = start(behaviour=Behaviour(scopes=("view_types:sandbox", "view_channels:sandbox")))
    report = link.bootstrap()
    assert report.failed == [f"custom Type {key}" for key in TYPES]
    assert "lacks the scope manage_types" in report["custom Type cogent-ops-order"].message
    assert "create one that has it" in report["custom Type cogent-ops-order"].cure
    assert len(stores(link)) == 6


def test_a_role_that_may_not_write_locations(start: Start) -> None:
    link = start(kiosk=KioskBehaviour(permissions=ALL_PERMISSIONS - {"LOCATIONS:MODIFY"}))
    report = link.bootstrap()
    assert report.failed == ["locations"]
    assert "MODIFY" in report["locations"].cure


def test_a_configuration_that_cannot_be_read(link: LinkUnderTest) -> None:
    (link.include / "mapping.yaml").write_text("links: [", encoding="utf-8")
    assert link.bootstrap().failed == ["configuration"]
    assert link.writes() == {}


# Faults


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.ERROR])
def test_a_lost_answer_to_a_creation_creates_once(start: Start, kind: Kind) -> None:
    lost = Rule(kind=kind, operation="types.create", when="after", status=500, limit=2)
    link = start(FaultPlan(rules=(lost,)))
    assert link.bootstrap().failed == []
    assert installed(link) == FIELDS


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.ERROR])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_to_a_completion_adds_once(start: Start, kind: Kind, when: Any) -> None:
    link = start()
    link.add_type("cogent-ops-order", "order", {"CS_Device": TEXT})
    rule = Rule(kind=kind, operation="types.update", when=when, status=500, limit=1)
    link.server.set_faults(FaultPlan(rules=(rule,)))
    report = link.bootstrap()
    assert report.failed == []
    assert report["custom Type cogent-ops-order"].message.startswith("Completed by CS_OrderId")
    assert sorted(installed(link)["cogent-ops-order"]) == sorted(FIELDS["cogent-ops-order"])


def test_conflicts_are_resolved_by_looking_again(start: Start) -> None:
    link = start()
    link.add_type("cogent-ops-order", "order", {"CS_Device": TEXT})
    link.server.set_faults(FaultPlan(rules=(Rule(kind=Kind.CONFLICT, operation="types.update", limit=3),)))
    assert link.bootstrap().failed == []
    assert sorted(installed(link)["cogent-ops-order"]) == sorted(FIELDS["cogent-ops-order"])
    assert link.requests()["commercetools.types.update"] == 4


def test_endless_conflicts_end(start: Start) -> None:
    link = start()
    link.add_type("cogent-ops-order", "order", {"CS_Device": TEXT})
    link.server.set_faults(FaultPlan(rules=(Rule(kind=Kind.CONFLICT, operation="types.update"),)))
    report = link.bootstrap()
    assert report.failed == ["custom Type cogent-ops-order"]
    assert "Try again" in report["custom Type cogent-ops-order"].cure
    assert installed(link)["cogent-ops-order"] == ["CS_Device"]


@pytest.mark.parametrize(
    "present", [{}, {"cogent-ops-inventory": "inventory-entry", "cogent-ops-order": "order"}]
)
def test_several_bootstraps_at_once(start: Start, present: dict[str, str]) -> None:
    link = start(FaultPlan(latency={"commercetools": {"base": 0.01, "jitter": 0.02}}))
    for key, resource in present.items():
        link.add_type(key, resource, {"other": TEXT})
    with ThreadPoolExecutor(4) as pool:
        reports = [one.result() for one in [pool.submit(link.bootstrap) for _ in range(4)]]
    assert [report.failed for report in reports] == [[], [], [], []]
    found = installed(link)
    assert found.keys() == FIELDS.keys()
    for key, names in found.items():
        assert sorted(names) == sorted([*FIELDS[key], *(["other"] if present else [])])
    assert len(stores(link)) == 6
    assert len(link.server.state.cloudshelf.entities["Location"]) == 6


@pytest.mark.parametrize("seed", range(4))
def test_whatever_goes_wrong_repeating_it_ends_like_one_quiet_run(start: Start, seed: int) -> None:
    quiet, noisy = start(), start()
    for link in (quiet, noisy):
        link.add_type("cogent-ops-order", "order", {"CS_Device": TEXT})
    rules = (
        Rule(kind=Kind.ERROR, rate=0.15, status=500, when="after"),
        Rule(kind=Kind.ERROR, rate=0.1, status=503, retry_after=0),
        Rule(kind=Kind.RESET, rate=0.1, when="after"),
        Rule(kind=Kind.CONFLICT, rate=0.3),
        Rule(kind=Kind.REFUSE, rate=0.2),
    )
    noisy.server.set_faults(FaultPlan(seed=seed, rules=rules))
    quiet.bootstrap()
    for _ in range(3):
        noisy.bootstrap()
    noisy.server.set_faults(None)
    assert noisy.bootstrap().failed == []
    assert {key: sorted(names) for key, names in installed(noisy).items()} == {
        key: sorted(names) for key, names in installed(quiet).items()
    }
    assert noisy.server.dump("cloudshelf") == quiet.server.dump("cloudshelf")
