"""The suite file: what a data steward may write, and what each mistake is answered with."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cogent_ops.errors import ConfigError
from cogent_ops.quality.findings import Severity
from cogent_ops.quality.schema import COLUMNS, SAMPLE, Level, read_schema, schema_reference

ROOT = Path(__file__).parents[3]
SUITE = ROOT / "include/schemas/product_master.json"

Json = dict[str, Any]
Edit = Callable[[Json], object]


def edited(tmp_path: Path, edit: Edit, place: int = 0) -> Path:
    """The shipped file with one rule changed."""
    suite = json.loads(SUITE.read_text(encoding="utf-8"))
    edit(suite["expectations"][place])
    path = tmp_path / "product_master.json"
    path.write_text(json.dumps(suite, indent=2), encoding="utf-8")
    return path


def refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        read_schema(path)
    return error.value


def test_the_shipped_file_is_sound() -> None:
    schema = read_schema(SUITE)
    assert {rule.severity for rule in schema.rules} == {Severity.BLOCK, Severity.WARN}
    assert schema.at(Level.PRODUCT)
    assert schema.at(Level.VARIANT)
    assert {rule.name for rule in schema.rules if not rule.message(SAMPLE)} == set()


def test_every_column_has_a_sample() -> None:
    assert SAMPLE.keys() == {column for columns in COLUMNS.values() for column in columns}


@pytest.mark.parametrize(
    ("edit", "problem", "cure"),
    [
        (lambda e: e["kwargs"].update(column="product_kee"), "no column 'product_kee'", "'product_key'?"),
        (lambda e: e["kwargs"].update(column="sku"), "'sku' belongs to variants", '"level": "variant"'),
        (lambda e: e["kwargs"].pop("column"), "no column is judged", "values of a column"),
        (lambda e: e["kwargs"].update(mostly=0.9), "a share is tolerated", '"severity": "warning"'),
        (lambda e: e["kwargs"].update(regex="("), "no regular expression", "backslash"),
        (lambda e: e["kwargs"].update(regex_list=[".", "[a-"]), "no regular expression", "backslash"),
        (lambda e: e["kwargs"].update(row_condition="x > 1"), "not in the form", "object with type"),
        (
            lambda e: e["kwargs"].update(
                row_condition={
                    "type": "comparison",
                    "column": {"name": "nmae"},
                    "operator": "==",
                    "parameter": 1,
                }
            ),
            "no column 'nmae'",
            "lists the columns",
        ),
        (lambda e: e["meta"].pop("owner"), "is missing", "Who must act"),
        (lambda e: e["meta"].update(owner="marketing"), "Input should be", "Who must act"),
        (lambda e: e["meta"].update(level="row"), "Input should be", "judged once a product"),
        (lambda e: e["meta"].update(ownr="finance"), "is not known here", "'owner'?"),
        (lambda e: e["meta"].update(value="nothing"), "no column 'nothing'", "lists the columns"),
        (lambda e: e["meta"].update(message="Key {product_kee}"), "to fill in", "'product_key'?"),
        (lambda e: e["meta"].update(message="Key {product_key:>9}"), "more in it than a name", "in braces"),
        (lambda e: e["meta"].update(message="Key {"), "cannot be filled in", "{{ for {"),
        (lambda e: e["meta"].update(message="{product_key.__class__}"), "no column", "lists the columns"),
        (lambda e: e.update(severity="info"), "'critical' or 'warning'", "holds the record back"),
        (lambda e: e.pop("description"), "is missing", "Name of the rule"),
        (lambda e: e.update(description="SKU is present"), "used twice", "its own"),
        (lambda e: e.update(typ="x"), "is not known here", "'type'?"),
    ],
)
def test_a_mistake_is_answered_with_line_problem_and_cure(
    tmp_path: Path, edit: Edit, problem: str, cure: str
) -> None:
    path = edited(tmp_path, edit)
    error = refusal(path)
    assert problem in error.problem
    assert cure in error.cure
    assert str(path) in str(error)
    assert error.line is not None
    wrong_entry = path.read_text(encoding="utf-8").splitlines()[: error.line]
    is_first = sum(line == "    {" for line in wrong_entry) == 1
    assert is_first or "used twice" in problem


def test_the_rule_is_named_by_line_and_words(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda e: e["kwargs"].update(regex="("), place=11)
    error = refusal(path)
    assert "in the rule 'SKU is well-formed' (expect_column_values_to_match_regex)" in str(error)
    assert path.read_text(encoding="utf-8").splitlines()[(error.line or 0) - 1].strip().startswith('"regex"')


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ('{\n"name": "x",\n"expectations": [\n{,\n]}', "not readable as JSON", 4),
        ("", "not readable as JSON", 1),
        ('{"name": "x", "expectations": []}', "at least 1 item", 1),
        ("[]", "holds no mapping", 1),
    ],
)
def test_a_file_that_is_no_suite(tmp_path: Path, text: str, problem: str, line: int) -> None:
    path = tmp_path / "suite.json"
    path.write_text(text, encoding="utf-8")
    error = refusal(path)
    assert problem in error.problem.lower() or problem in error.problem
    assert error.line == line


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in str(refusal(tmp_path / "nowhere.json"))
    path = tmp_path / "suite.json"
    path.write_bytes('{"name": "Größe"}'.encode("latin-1"))
    assert "not UTF-8" in str(refusal(path))


def test_a_message_is_filled_with_columns_and_arguments(tmp_path: Path) -> None:
    path = edited(
        tmp_path,
        lambda e: e["meta"].update(message="{name_length} of {max_value} in {{braces}}: {product_key}"),
        place=3,
    )
    rule = read_schema(path).rules[3]
    assert rule.message({**SAMPLE, "product_key": None}) == "15 of 255 in {braces}: "
    assert rule.tells == {"product_name", "name_length", "product_key"}


def test_the_page_lists_every_rule_and_column() -> None:
    page = schema_reference(read_schema(SUITE))
    assert all(f"| {rule.name} |" in page for rule in read_schema(SUITE).rules)
    assert all(f"| `{column}` |" in page for column in SAMPLE)


def test_the_page_on_disk_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts/generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(["product-master", "--check"]) == 0, "run python scripts/generate_docs.py"
