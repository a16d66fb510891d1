"""The gate finds every planted defect where it was planted, by its rule, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.gating import NOW, ROOT, SUITE, facts, found, judge, mapped
from upath import UPath

from cogent_ops.domain.catalogue import MappedProduct
from cogent_ops.domain.exceptions import Owner
from cogent_ops.errors import ConfigError
from cogent_ops.quality import Finding, Gate, Severity, SkuFacts, write_data_docs
from cogent_ops.quality.schema import COLUMNS, SAMPLE, read_schema
from cogent_ops.sandbox.dataset import Dataset
from cogent_ops.sandbox.defects import EXPECTED_RULES, Defect
from cogent_ops.sandbox.generator import generate
from cogent_ops.sandbox.sunrise import load_sunrise

SUNRISE = Path(os.environ.get("COGENT_OPS_SHARED", ROOT / "../shared")) / "data/sunrise"

Entry = dict[str, Any]
Write = Callable[[Callable[[list[Entry]], object]], Path]


@pytest.fixture(scope="module")
def dirty() -> Dataset:
    return generate(seed=11, products=400, now=NOW, every_defect=True, dirty_share=0.3, over_limit=True)


@pytest.fixture(scope="module")
def products(dirty: Dataset) -> list[MappedProduct]:
    return mapped(dirty)


@pytest.fixture(scope="module")
def sound(gate: Gate, products: list[MappedProduct]) -> MappedProduct:
    """A product that breaks no rule."""
    verdicts = judge(gate, products)
    return next(product for place, product in enumerate(products) if place not in verdicts)


def with_rows(product: MappedProduct, **columns: Any) -> MappedProduct:
    """The product with other values in all its rows."""
    of_product = {name: value for name, value in columns.items() if name in product.row}
    variants = tuple(
        replace(
            variant,
            sku=columns.get("sku", variant.sku),
            row={**variant.row, **{n: v for n, v in columns.items() if n in variant.row}},
        )
        for variant in product.variants
    )
    return replace(product, row={**product.row, **of_product}, variants=variants)


def rule_name(rule: str) -> str:
    """``text lengths`` of ``text lengths (name)``."""
    return rule.split(" (", maxsplit=1)[0]


def test_every_defect_is_found_by_its_rule_and_nothing_else_is(
    gate: Gate, dirty: Dataset, products: list[MappedProduct]
) -> None:
    verdicts = judge(gate, products)
    planted: set[str] = set()
    for place, product in enumerate(products):
        defects = set(dirty.dirt.get(product.product_id, ())) - {Defect.HTML_JUNK.value}
        rules = {rule_name(f.rule) for f in verdicts[place].findings()} if place in verdicts else set()
        assert rules == {EXPECTED_RULES[defect] for defect in defects}, (product.product_key, defects)
        planted |= defects
    assert planted == {defect.value for defect in Defect} - {Defect.HTML_JUNK.value}


def test_defects_of_variants_are_found_at_these_variants(
    gate: Gate, dirty: Dataset, products: list[MappedProduct]
) -> None:
    verdicts = judge(gate, products)
    for place, product in enumerate(products):
        for defect, ids in dirty.dirty_variants.get(product.product_id, {}).items():
            marked = {
                finding.variant_id
                for finding in verdicts[place].findings()
                if rule_name(finding.rule) == EXPECTED_RULES[defect]
            }
            assert marked == set(ids), (product.product_key, defect)
            skus = {variant.sku for variant in product.variants if variant.variant_id in ids and variant.sku}
            assert verdicts[place].held_skus == skus
            assert not verdicts[place].held


def test_defects_of_products_hold_the_product(
    gate: Gate, dirty: Dataset, products: list[MappedProduct]
) -> None:
    of_products = {rule.name for rule in read_schema(SUITE).rules if rule.level == "product"}
    verdicts = judge(gate, products)
    held = {products[place].product_id for place, verdict in verdicts.items() if verdict.held}
    assert held
    assert held == {finding.product_id for finding in found(verdicts) if finding.rule in of_products}


def test_findings_say_who_mends_what_where(gate: Gate, products: list[MappedProduct]) -> None:
    for finding in found(judge(gate, products)):
        assert finding.owner in Owner
        assert all((finding.field, finding.message, finding.cure, finding.mend, finding.rule))
        assert "{" not in finding.message
        assert finding.message.isprintable()
        assert Finding.model_validate_json(finding.model_dump_json()) == finding


def test_rows_have_the_columns_that_rules_may_use(products: list[MappedProduct]) -> None:
    for row in (row for product in products for row in product.rows()):
        assert row.keys() | {"sku_count", "lookalike"} == SAMPLE.keys()
        for name, value in row.items():
            assert value is None or isinstance(value, type(SAMPLE[name])), name
    assert {name for columns in COLUMNS.values() for name in columns} == SAMPLE.keys()


def test_more_failures_than_great_expectations_shows_are_all_found(gate: Gate, sound: MappedProduct) -> None:
    many = [replace(with_rows(sound, product_key=None), product_id=str(n)) for n in range(1000)]
    many = [replace(p, row={**p.row, "product_id": p.product_id}) for p in many]
    ids = {finding.product_id for finding in found(judge(gate, many, SkuFacts())) if finding.field == "key"}
    assert ids == {str(n) for n in range(1000)}


def test_threads_that_share_a_gate_get_their_own_verdicts(gate: Gate, products: list[MappedProduct]) -> None:
    parts = [products[:20], products[20:]]
    alone = [[*found(judge(gate, part))] for part in parts]
    assert all(alone)
    shared = Gate(SUITE, "shared")
    with ThreadPoolExecutor(len(parts)) as pool:
        asked = [(place, pool.submit(judge, shared, parts[place])) for place in (0, 1) * 6]
        assert all([*found(answer.result())] == alone[place] for place, answer in asked)


@pytest.mark.parametrize(
    ("columns", "rechecked"),
    [
        ({"inventory_entry": False}, True),
        ({"current_price": None, "original_price": None, "sendable": False}, True),
        ({"unknown_categories": "x"}, True),
        ({"product_key": None}, False),
        ({"barcode_valid": False}, False),
        ({"previous_sku": "other"}, False),
    ],
)
def test_holds_that_can_end_by_themselves_are_looked_at_again(
    gate: Gate, sound: MappedProduct, columns: dict[str, Any], rechecked: bool
) -> None:
    verdict = judge(gate, [with_rows(sound, **columns)])[0]
    assert verdict.recheck is rechecked


def test_a_sku_used_elsewhere_is_looked_at_again(gate: Gate, sound: MappedProduct) -> None:
    sku = sound.variants[0].sku or ""
    for known in (SkuFacts(counts={sku: 2}), SkuFacts(lookalikes={sku: sku.lower()})):
        verdict = judge(gate, [sound], known)[0]
        assert verdict.recheck
        assert verdict.held_skus == {sku}


def test_a_changed_sku_warns_and_holds_nothing(gate: Gate, sound: MappedProduct) -> None:
    verdict = judge(gate, [with_rows(sound, previous_sku="OLD-1")])[0]
    assert {finding.severity for finding in verdict.findings()} == {Severity.WARN}
    assert not verdict.holds
    assert verdict.held_skus == frozenset()


def test_columns_without_any_value_can_be_judged(gate: Gate, products: list[MappedProduct]) -> None:
    nothing = dict.fromkeys(products[0].variants[0].row)
    bare = [with_rows(p, **{**nothing, "variant_id": 1, "sendable": False}) for p in products[:2]]
    rules = {finding.rule for finding in found(judge(gate, bare))}
    assert {"SKU is present", "a price in the organisation's currency exists"} <= rules


def test_an_empty_chunk_has_no_verdicts(gate: Gate) -> None:
    assert len(gate.judge(gate.chunk(), SkuFacts())) == 0


def test_severities_in_the_file_take_effect(gate: Gate, edited: Write, products: list[MappedProduct]) -> None:
    def turn_round(rules: list[Entry]) -> None:
        for rule in rules:
            rule["severity"] = "critical" if rule["severity"] == "warning" else "warning"

    turned = Gate(edited(turn_round), "default")
    before, after = judge(gate, products), judge(turned, products)
    severities = {(f.product_id, f.variant_id, f.rule): f.severity for f in found(before)}
    for finding in found(after):
        if finding.rule != "variant can be sent":
            assert finding.severity is not severities[finding.product_id, finding.variant_id, finding.rule]


def test_what_cannot_be_sent_is_held_with_a_reason_whatever_the_file_says(
    edited: Write, products: list[MappedProduct]
) -> None:
    def price_may_be_missing(rules: list[Entry]) -> None:
        for rule in rules:
            if rule["kwargs"].get("column") in ("current_price", "sku"):
                rule["severity"] = "warning"

    lax = Gate(edited(price_may_be_missing), "default")
    verdicts = judge(lax, products)
    for place, product in enumerate(products):
        unsendable = {v.variant_id for v in product.variants if v.record is None}
        if unsendable:
            blocks = [f for f in verdicts[place].findings() if f.severity is Severity.BLOCK]
            assert unsendable <= {f.variant_id for f in blocks} or any(f.variant_id is None for f in blocks)


def test_rules_of_ones_own_take_effect(edited: Write, products: list[MappedProduct]) -> None:
    condition = {
        "type": "comparison",
        "column": {"name": "available"},
        "operator": ">",
        "parameter": 0,
    }

    def only_with_barcode(rules: list[Entry]) -> None:
        rules[:] = [
            {
                "description": "what is in stock has a barcode",
                "type": "expect_column_values_to_not_be_null",
                "kwargs": {"column": "barcode", "row_condition": condition},
                "meta": {
                    "level": "variant",
                    "field": "barcode",
                    "owner": "retail ops",
                    "message": "{sku} of {product_name} has no barcode.",
                    "cure": "Enter it.",
                    "mend": "PIM",
                },
            }
        ]

    verdicts = judge(Gate(edited(only_with_barcode), "default"), products)
    wanted = {
        (row["product_id"], row["variant_id"])
        for product in products
        for row in product.rows()
        if row["barcode"] is None and row["available"] > 0
    }
    findings = [finding for finding in found(verdicts) if finding.rule != "variant can be sent"]
    assert {(finding.product_id, finding.variant_id) for finding in findings} == wanted
    assert wanted


@pytest.mark.parametrize(
    ("change", "problem", "cure"),
    [
        (
            {"type": "expect_column_values_to_not_be_nul"},
            "does not know this expectation",
            "Did you mean 'expect_column_values_to_not_be_null'?",
        ),
        (
            {"kwargs": {"column": "product_key", "colour": 1}},
            "colour: extra fields not permitted",
            "documentation",
        ),
        (
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": {"column": "name_length", "max_value": "long"},
            },
            "max_value: value is not a valid float",
            "documentation",
        ),
        (
            {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "product_key"}},
            "does not judge row by row",
            "sku_count",
        ),
        (
            {"type": "expect_column_max_to_be_between", "kwargs": {"column": "name_length", "max_value": 9}},
            "does not judge row by row",
            "single values",
        ),
        (
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": {"column": "product_key", "max_value": 9},
            },
            "cannot judge",
            "fit the column",
        ),
    ],
)
def test_what_great_expectations_cannot_use_is_refused_before_any_work(
    edited: Write, change: Entry, problem: str, cure: str
) -> None:
    path = edited(lambda rules: rules[0].update(change))
    with pytest.raises(ConfigError) as error:
        Gate(path, "default").prepare()
    assert problem in error.value.problem
    assert "in the rule 'key is present'" in error.value.problem
    assert cure in error.value.cure
    assert error.value.line is not None


def test_data_docs_show_the_sum_of_all_chunks(products: list[MappedProduct]) -> None:
    gate = Gate(SUITE, "my_link")
    known = facts(products)
    for half in (products[:200], products[200:]):
        judge(gate, half, known)
    folder = UPath("memory://gate-docs/report")
    folder.mkdir(parents=True, exist_ok=True)
    write_data_docs(gate, folder)
    pages = {str(path): path for path in (folder / "data_docs" / "validations").rglob("*.html")}
    [variants] = [page.read_text() for name, page in pages.items() if "variants" in name]
    [whole] = [page.read_text() for name, page in pages.items() if "products.html" in name]
    count = sum(len(product.variants) for product in products)
    assert f"of {count} total rows" in variants
    assert "of 400 total rows" in whole
    assert "SKU is well-formed" in variants
    assert "my_link" in (folder / "data_docs" / "index.html").read_text()
    keyless = sum(p.product_key is None for p in products)
    assert f"{keyless} unexpected values found" in whole
    assert "Readable without the style sheets" in whole


def test_nothing_judged_gives_no_data_docs(tmp_path: Path) -> None:
    write_data_docs(Gate(SUITE, "default"), UPath(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_first_gate_imports_great_expectations_and_leaves_the_log_readable() -> None:
    program = f"""
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO)
import cogent_ops.quality
assert not {{"great_expectations", "pandas"}} & set(sys.modules)
cogent_ops.quality.Gate(Path({str(SUITE)!r}), "default").prepare()
assert "great_expectations" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(
    not SUNRISE.is_dir(), reason="the Sunrise files are not here; COGENT_OPS_SHARED names their place"
)
def test_sunrise_is_accepted_or_held_with_a_reason(gate: Gate) -> None:
    data = load_sunrise(SUNRISE, now=NOW)
    products = mapped(data, ROOT / "docs/examples/sunrise")
    verdicts = judge(gate, products)
    for place, product in enumerate(products):
        verdict = verdicts.get(place)
        blocked = [f for f in verdict.findings() if f.severity is Severity.BLOCK] if verdict else []
        reasons = {finding.variant_id for finding in blocked}
        for variant in product.variants:
            held = verdict is not None and (
                verdict.held or variant.sku in verdict.held_skus or variant.record is None
            )
            assert held == (None in reasons or variant.variant_id in reasons), (product.product_key, blocked)
    dirt = {p.product_id for place, p in enumerate(products) if place in verdicts and verdicts[place].held}
    assert set(data.dirt) <= dirt


def test_the_suite_is_one_that_great_expectations_loads_and_writes_itself(tmp_path: Path) -> None:
    import great_expectations as gx

    suite = gx.ExpectationSuite(**json.loads(SUITE.read_text(encoding="utf-8")))
    again = tmp_path / "again.json"
    again.write_text(json.dumps(suite.to_json_dict()), encoding="utf-8")
    assert [rule.entry.meta for rule in read_schema(again).rules] == [
        rule.entry.meta for rule in read_schema(SUITE).rules
    ]
    Gate(again, "default").prepare()
