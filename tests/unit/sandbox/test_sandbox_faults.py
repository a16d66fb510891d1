"""Fault plans as files, and the buckets behind limits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.errors import ConfigError
from cogent_ops.sandbox import faults
from cogent_ops.sandbox.faults import Bucket, FaultEngine, FaultPlan, Kind, describe, whole_seconds


def test_the_plan_of_the_module_and_that_of_the_page_are_good(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/sandbox.md").read_text(encoding="utf-8")
    module = faults.__doc__ or ""
    for text in (page.partition("```yaml\n")[2].partition("```")[0], module.partition("::\n")[2]):
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        plan = FaultPlan.load(path)
        assert len(plan.rules) >= 5
        assert FaultPlan.model_validate(describe(plan)) == plan


def test_the_page_shows_every_kind() -> None:
    page = (Path(__file__).parents[3] / "docs/sandbox.md").read_text(encoding="utf-8")
    assert [kind for kind in Kind if f"kind: {kind.value}" not in page] == []


@pytest.mark.parametrize("text", ["", "{}", "rules: []"])
def test_a_plan_may_be_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    assert FaultPlan.load(path) == FaultPlan()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("rules: [", None),
        ("rules: [{kind: boom}]", "rules.0.kind"),
        ("rules: [{kind: error, rate: 2}]", "rules.0.rate"),
        ("rules: [{kind: error, share: 0.1}]", "rules.0.share"),
        ("rules: [{kind: error, ids: '*'}]", "rules.0"),
        ("rules: [{kind: error, every: 0}]", "rules.0.every"),
        ("limits: {}", "limits"),
        ("latency: {shopify: {base: 1}}", "latency.shopify"),
        ("rate_limits: {auth: {per_second: 0}}", "rate_limits.auth.per_second"),
        ("[1]", ""),
    ],
)
def test_a_wrong_plan_names_file_and_field(tmp_path: Path, text: str, field: str | None) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        FaultPlan.load(path)
    assert str(path) in str(caught.value)
    if field:
        assert field in str(caught.value)


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        FaultPlan.load(tmp_path / "none.yaml")


class Hands:
    """A clock that is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(faults, "time", SimpleNamespace(monotonic=lambda: self.now))


def test_a_bucket_gives_its_burst_then_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Hands(monkeypatch)
    bucket = Bucket(capacity=3, per_second=2)
    assert [bucket.take(1) for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.5
    assert [bucket.take(1), bucket.take(1)] == [0, 0.5]
    clock.now += 60
    assert [bucket.take(3), bucket.take(1)] == [0, 0.5], "it never holds more than its burst"


def test_what_does_not_suffice_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    Hands(monkeypatch)
    bucket = Bucket(capacity=10, per_second=5)
    assert [bucket.take(8), bucket.take(7), bucket.take(2)] == [0, 1.0, 0]


@given(st.floats(min_value=0, max_value=1e6))
def test_retry_after_is_never_too_short(seconds: float) -> None:
    assert whole_seconds(seconds) >= max(1, seconds)


@given(st.floats(min_value=0.05, max_value=0.95), st.integers(0, 1000))
def test_a_rate_is_kept(rate: float, seed: int) -> None:
    engine = FaultEngine(FaultPlan.model_validate({"seed": seed, "rules": [{"kind": "error", "rate": rate}]}))
    struck = sum(engine.decide("commercetools", "x", str(n).encode()) is not None for n in range(400))
    assert abs(struck / 400 - rate) < 0.15
