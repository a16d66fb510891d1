"""``include/exceptions.yaml``: what it need not say, what a person is told when it is wrong, and what goes on then."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from unittest.mock import Mock

import jsonschema
import pytest
import yaml

from cogent_ops.config import SHIPPED, json_schemas, load_policies, policies_in_force
from cogent_ops.domain.exceptions import Kind, Owner
from cogent_ops.errors import ConfigError
from cogent_ops.yaml_file import YamlFile

ROOT = Path(__file__).parents[3]
RELEASED = load_policies(SHIPPED.parent)


@pytest.fixture(autouse=True)
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An include folder as a business has it, without a file of its own."""
    (tmp_path / "mapping.yaml").write_text("links: {default: {}}")
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(tmp_path))
    return tmp_path


def written(include: Path, text: str) -> Path:
    file = include / "exceptions.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_projects_own_file_is_the_released_one() -> None:
    assert load_policies(ROOT / "include") == RELEASED


def test_without_a_file_everything_is_as_released(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_policies() == RELEASED
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include / "nowhere"))
    assert load_policies() == RELEASED


def test_a_file_says_only_what_is_different(include: Path) -> None:
    written(
        include,
        """
business_hours: {timezone: Europe/Berlin, closes: 20:00}
channels:
  shop: {type: slack, connection: shop_slack}
owners:
  finance: {channel: shop}
kinds:
  oversell: {owner: retail ops, deadline_minutes: 5}
""",
    )
    policies = load_policies()
    hours = policies.business_hours
    assert (hours.timezone, hours.closes, hours.opens) == ("Europe/Berlin", "20:00", "09:00")
    assert policies.channel("order_tax", "finance").connection == "shop_slack"
    assert policies.owners[Owner.FINANCE].deputy is RELEASED.owners[Owner.FINANCE].deputy
    mine, released = policies.kind("oversell"), RELEASED.kind("oversell")
    assert (mine.owner, mine.deadline_minutes) == (Owner.RETAIL_OPS, 5)
    assert mine.playbook == released.playbook
    assert {kind: one for kind, one in policies.kinds.items() if kind != Kind.OVERSELL} == {
        kind: one for kind, one in RELEASED.kinds.items() if kind != Kind.OVERSELL
    }


def test_a_change_counts_at_once(include: Path) -> None:
    file = written(include, "kinds: {oversell: {deadline_minutes: 5}}")
    assert load_policies().kind("oversell").deadline_minutes == 5
    written(include, "kinds: {oversell: {deadline_minutes: 6}}")
    os.utime(file, ns=(1, 1))
    assert load_policies().kind("oversell").deadline_minutes == 6
    file.unlink()
    assert load_policies() == RELEASED


def test_a_mistake_is_looked_for_once(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(include, "kinds: {oversell: {deadline_minutes: soon}}")
    read = Mock(wraps=YamlFile)
    monkeypatch.setattr("cogent_ops.config.YamlFile", read)
    for _ in range(3):
        with pytest.raises(ConfigError, match="deadline_minutes"):
            load_policies()
    assert read.call_count == 2, "the released file and the business's own"
    written(include, "kinds: {oversell: {deadline_minutes: 7}}")
    assert load_policies().kind("oversell").deadline_minutes == 7


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (
            "owners:\n  finance:\n    chanel: x",
            3,
            "owners.finance.chanel: is not known here. Did you mean 'channel'",
        ),
        ("kinds:\n  oversell:\n    deadline_minutes: soon", 3, "must be a whole number, not 'soon'"),
        ("kinds:\n  oversell:\n    actions: [approve]", 1, "kinds.oversell allows approve"),
        ("\nbusiness_hours:\n  opens: '19:00'", 2, "must come after opens"),
        ("kinds:\n  oversel: {owner: finance}", 2, "kinds.oversel"),
        ("kinds: [", 1, "not readable as YAML"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(include: Path, text: str, line: int, told: str) -> None:
    written(include, text)
    with pytest.raises(ConfigError, match=r"exceptions\.yaml, line") as caught:
        load_policies()
    assert told in str(caught.value)
    assert caught.value.line == line


def test_what_must_go_on_goes_on_by_the_released_ones_and_says_so(
    include: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(include, "kinds: {oversell: {deadline_minutes: 5}}")
    assert policies_in_force().kind("oversell").deadline_minutes == 5
    written(include, "kinds: {oversell: {deadline_minutes: soon}}")
    with caplog.at_level(logging.WARNING):
        assert policies_in_force() == RELEASED
    assert "must be a whole number" in caplog.text


def test_editors_check_the_file_as_the_package_does() -> None:
    schema = json_schemas()["exceptions.yaml"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")), schema)
    jsonschema.validate({"kinds": {"oversell": {"deadline_minutes": 5}}}, schema)
    mistakes: tuple[object, ...] = (
        {"kinds": {"oversel": {}}},
        {"kinds": {"oversell": {"titel": "x"}}},
        {"when": 1},
    )
    for wrong in mistakes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
