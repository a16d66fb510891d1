"""The tables behind preflight and bootstrap: scopes, custom Types, and how errors become checks."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.custom_types import CustomField, CustomType, declared
from cogent_ops.errors import (
    ApiRejected,
    CogentOpsError,
    ConfigError,
    ConnectionConfigError,
    MissingScope,
    StoreOutdated,
    TargetUnavailable,
)
from cogent_ops.services.catalogue.read import REFERENCE_RESOURCES
from cogent_ops.services.checks import TRY_AGAIN, Check, Outcome, failure, guarded, passed
from cogent_ops.services.scopes import SCOPES, Flow, least, missing

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("COGENT_OPS_SHARED", ROOT / "../shared")) / "contracts"
SCOPE = re.compile(r"`((?:view|manage)_[a-z_]+)`")

TEXT, NUMBER = {"name": "String"}, {"name": "Number"}


# Scopes


@pytest.fixture(scope="module")
def operations() -> Any:
    path = SHARED / "commercetools-openapi.yaml"
    if not path.is_file():
        pytest.skip(f"the official contract is not here ({path})")
    with path.open(encoding="utf-8") as file:
        return yaml.load(file, Loader=yaml.CSafeLoader)["paths"]


@pytest.mark.parametrize("flow", Flow)
def test_the_table_says_what_the_contract_says(operations: Any, flow: Flow) -> None:
    for need in SCOPES[flow]:
        writes = need.scopes[0].startswith("manage_")
        path = "/".join(filter(None, ("/{projectKey}", need.resource)))
        security = operations[path]["post" if writes else "get"]["security"]
        allowed = {scope.partition(":")[0] for one in security for scope in one["oauth_2_0"]}
        assert set(need.scopes) <= allowed
        if flow is Flow.CATALOGUE:
            assert set(need.scopes) == allowed


def test_all_reference_data_has_its_scope() -> None:
    assert set(REFERENCE_RESOURCES.values()) <= {need.resource for need in SCOPES[Flow.CATALOGUE]}


@pytest.mark.parametrize("flow", Flow)
def test_the_least_scopes_are_enough_and_manage_is_too(flow: Flow) -> None:
    granted = [f"{scope}:shop" for scope in least(flow)]
    assert missing(flow, granted, "shop") == ()
    assert missing(flow, [scope.replace("view_", "manage_") for scope in granted], "shop") == ()
    assert missing(flow, ["manage_project:shop"], "shop") == ()
    assert missing(flow, [], "shop") == SCOPES[flow]


@pytest.mark.parametrize(
    ("granted", "lacking"),
    [
        pytest.param(["view_products:other"], True, id="another project"),
        pytest.param(["view_products:shop:berlin"], True, id="one store only"),
        pytest.param(["view_products"], True, id="no project"),
        pytest.param(["view_published_products:shop"], True, id="published is less than all"),
        pytest.param(["manage_products:shop"], False, id="manage implies view"),
    ],
)
def test_what_a_granted_scope_is_worth(granted: list[str], lacking: bool) -> None:
    found = {need.resource for need in missing(Flow.CATALOGUE, granted, "shop")}
    assert ("inventory" in found) is lacking


@given(
    st.sets(
        st.sampled_from(sorted({scope for flow in Flow for need in SCOPES[flow] for scope in need.scopes}))
    )
)
def test_more_scopes_never_lack_more(held: set[str]) -> None:
    granted = [f"{scope}:shop" for scope in sorted(held)]
    for flow in Flow:
        lacking = missing(flow, granted, "shop")
        assert set(missing(flow, [*granted, "view_products:shop"], "shop")) <= set(lacking)
        assert all(held.isdisjoint(need.scopes) for need in lacking)


@pytest.mark.parametrize("flow", Flow)
def test_the_go_live_guide_lists_the_least_scopes(flow: Flow) -> None:
    rows = re.findall(
        r"^\| (\w+) \|(.*)$", (ROOT / "docs/go-live.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    listed = {name: SCOPE.findall(row.split("|")[0]) for name, row in rows if name in list(Flow)}
    assert listed[flow] == list(least(flow))


def test_the_readme_lists_the_least_scopes_of_the_catalogue() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sentence = re.search(r"Least scopes for the catalogue:([^.]*)\.", text)
    assert sentence is not None
    assert set(SCOPE.findall(sentence[1])) == set(least(Flow.CATALOGUE))


def test_the_go_live_guide_says_what_to_do_about_every_line() -> None:
    source = (ROOT / "plugins/cogent_ops/services/preflight.py").read_text(encoding="utf-8")
    given = re.findall(r'(?:failed|warned|failure|guarded|skipped)\(\s*"([^"]+)"', source)
    named = re.findall(r'\bname(?:, \w+)? = "([^"]+)"', source)
    guide = re.sub(r"(?s)```.*?```", "", (ROOT / "docs/go-live.md").read_text(encoding="utf-8"))
    known = set(re.findall(r"`([^`]+)`", guide))
    names = {*given, *named} - {"commercetools", "Cloudshelf"}  # what depends on a part that failed
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in known] == []
    assert {"access to …", "location …", "custom Type …", "mapping, …"} <= known


# Custom Types


def kind(key: str, resource: str, **fields: dict[str, str]) -> dict[str, Any]:
    definitions = [{"name": name, "type": type_} for name, type_ in fields.items()]
    return {"key": key, "resourceTypeIds": [resource], "fieldDefinitions": definitions}


WANTED = CustomType("ours", "Ours", "order", (CustomField("a_field", "A"), CustomField("b_field", "B")))


def test_names_of_fields_are_what_the_api_takes() -> None:
    names = [field.name for one in declared() for field in one.fields]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{2,36}", name) for name in names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{2,256}", one.key) for one in declared())


@pytest.mark.parametrize(
    ("present", "missing_"),
    [
        (kind("ours", "order"), ["a_field", "b_field"]),
        (kind("ours", "order", b_field=TEXT, other=NUMBER), ["a_field"]),
        (kind("ours", "order", b_field=TEXT, a_field=TEXT), []),
        (kind("ours", "order", a_field=NUMBER), ["b_field"]),
    ],
)
def test_what_a_type_lacks_is_added_and_nothing_else(present: dict[str, Any], missing_: list[str]) -> None:
    assert [field.name for field in WANTED.missing(present)] == missing_
    actions = WANTED.additions(present)
    assert [one["fieldDefinition"]["name"] for one in actions] == missing_
    assert {one["action"] for one in actions} <= {"addFieldDefinition"}
    assert not any(one["fieldDefinition"]["required"] for one in actions)


@pytest.mark.parametrize(
    ("types", "told"),
    [
        pytest.param([], None, id="nothing there"),
        pytest.param([kind("other", "order", a_field=TEXT)], None, id="same type"),
        pytest.param([kind("other", "customer", a_field=NUMBER)], None, id="another resource"),
        pytest.param([kind("other", "order", c_field=NUMBER)], None, id="another field"),
        pytest.param(
            [kind("other", "order", a_field=NUMBER)],
            "'a_field' of Type 'other' is a Number",
            id="another Type",
        ),
        pytest.param(
            [kind("ours", "order", a_field=NUMBER)], "'a_field' of Type 'ours' is a Number", id="our Type"
        ),
        pytest.param([kind("ours", "customer")], "is for customer, not for order", id="our key is taken"),
    ],
)
def test_contradictions(types: list[dict[str, Any]], told: str | None) -> None:
    found = list(WANTED.contradictions(types))
    assert (told in found[0]) if told else (found == [])


# Checks


@pytest.mark.parametrize(
    ("error", "message", "cure"),
    [
        (
            ConfigError("f.yaml", "is bad", "Mend it.", line=3, field="x"),
            "f.yaml, line 3: x: is bad.",
            "Mend it.",
        ),
        (
            ConnectionConfigError("c", "host", "said so.", "Correct it."),
            "Connection 'c', field 'host': said so.",
            "Correct it.",
        ),
        (MissingScope("lacks view_x", "Grant it."), "lacks view_x.", "Grant it."),
        (StoreOutdated("Run: something"), "Run: something", ""),
        (TargetUnavailable("down"), "down", TRY_AGAIN),
        (ApiRejected("cloudshelf", "C", "no"), "cloudshelf refused the request: C: no", ""),
    ],
)
def test_an_error_becomes_a_check(error: CogentOpsError, message: str, cure: str) -> None:
    assert failure("name", error) == Check("name", Outcome.FAIL, message, cure)


def test_what_was_found_before_an_error_stays() -> None:
    def checks() -> Any:
        yield passed("first", "fine")
        raise TargetUnavailable("down")

    assert [(one.name, one.outcome) for one in guarded("second", checks)] == [
        ("first", Outcome.PASS),
        ("second", Outcome.FAIL),
    ]
