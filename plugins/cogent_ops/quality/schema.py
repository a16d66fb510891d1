"""The product master schema: a Great Expectations suite in a file that a data steward edits.

Great Expectations says what is expected and how bad a miss is (``severity``); ``meta`` says whom a miss concerns
and what to do. This module reads and judges the file without importing Great Expectations; whether it takes the
expectations themselves is seen by :class:`cogent_ops.quality.gate.Gate`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from string import Formatter
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cogent_ops.domain.catalogue import PRODUCT_COLUMNS, VARIANT_COLUMNS
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.text import did_you_mean
from cogent_ops.errors import ConfigError
from cogent_ops.quality.findings import Severity
from cogent_ops.yaml_file import Loc, YamlFile

REFERENCE = "See docs/product-master-schema.md"
VALUE_KEPT = 500

Row = Mapping[str, Any]
"""Values of one record by column."""


class Level(StrEnum):
    """What a rule judges: a whole product, or each variant."""

    PRODUCT = "product"
    VARIANT = "variant"


#: What only the whole catalogue can tell about a variant; the gate adds it to the rows of the mapping.
CATALOGUE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "sku_count": "how many variants of the whole catalogue carry this SKU",
        "lookalike": "another SKU of the catalogue that differs by upper and lower case or spaces only; else null",
    }
)

COLUMNS: Mapping[Level, Mapping[str, str]] = MappingProxyType(
    {
        Level.PRODUCT: PRODUCT_COLUMNS,
        Level.VARIANT: MappingProxyType({**PRODUCT_COLUMNS, **VARIANT_COLUMNS, **CATALOGUE_COLUMNS}),
    }
)
"""Columns that a rule may use, by its level."""

#: What every column looks like when it is filled; a suite that cannot judge this can judge nothing.
SAMPLE: Mapping[str, Any] = MappingProxyType(
    {
        "product_id": "5c2c7a6e-0f5e-4d7a-9a51-0f8f3a6b2c11",
        "product_key": "merino-pullover",
        "product_name": "Merino Pullover",
        "product_type": "clothing",
        "missing_names": "",
        "missing_slugs": "",
        "name_length": 15,
        "description_length": 240,
        "product_control_characters": "",
        "category_count": 2,
        "unknown_categories": "",
        "group_count": 2,
        "tax_category": "f1b2c3d4-0000-4000-a000-000000000001",
        "tax_category_known": True,
        "variant_count": 6,
        "variant_id": 1,
        "sku": "MER-1042-BLU-M",
        "previous_sku": "MER-1042-BLAU-M",
        "sendable": True,
        "current_price": 59.0,
        "original_price": 79.0,
        "currency": "EUR",
        "price_problem": "",
        "image_count": 3,
        "https_images": 3,
        "first_image": "https://images.example.com/1042.jpg",
        "barcode": "4006381333931",
        "barcode_valid": True,
        "options": "Colour: blue, Size: M",
        "distinguishable": True,
        "inventory_entry": True,
        "available": 12,
        "variant_name_length": 8,
        "longest_option": 4,
        "option_control_characters": "",
        "sku_count": 1,
        "lookalike": "mer-1042-blu-m",
    }
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class RuleMeta(_Part):
    """Whom a broken rule concerns, and what to do about it."""

    level: Level = Field(
        description="product: judged once a product, a miss holds all its variants; variant: judged for each."
    )
    field: Text = Field(description="The field as people call it, e.g. prices.")
    owner: Owner = Field(description="Who must act.")
    message: Text = Field(
        description="What is wrong, in a sentence. Columns and kwargs in braces are filled in: {sku}, {max_value}."
    )
    cure: Text = Field(description="What to do.")
    mend: Text = Field(description="Where to do it.")
    value: str | None = Field(
        None, description="Column to show as the offending value. Empty: the judged columns."
    )
    recheck: bool = Field(
        False,
        description="Whether a hold can end although nobody changes the product (a stock entry appears, a price "
        "begins, another product's SKU is renamed); every run looks at such products again.",
    )


class RuleEntry(_Part):
    """One expectation of the file, in the form of Great Expectations."""

    description: Text = Field(description="Name of the rule in words; Data Docs and reports show it.")
    severity: Literal["critical", "warning"] = Field(
        "critical", description="critical holds the record back, warning only reports it."
    )
    type: Annotated[str, StringConstraints(pattern=r"^expect_")] = Field(
        description="Name of the expectation, e.g. expect_column_values_to_not_be_null."
    )
    kwargs: dict[str, Any] = Field(description="Arguments of the expectation.")
    meta: RuleMeta = Field(description="Whom a broken rule concerns, and what to do about it.")
    notes: str | list[str] | None = Field(None, description="Remarks; Data Docs show them.")
    id: str | None = Field(None, description="Id that Great Expectations gave.")
    rendered_content: Any = Field(None, description="Written by Great Expectations; not used.")


class SuiteFile(_Part):
    """The file: an expectation suite of Great Expectations."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$")] = Field(
        description="Name of the suite: letters, digits, point, hyphen and underscore."
    )
    expectations: Annotated[list[RuleEntry], Field(min_length=1)] = Field(description="The rules.")
    meta: dict[str, Any] = Field(default_factory=dict, description="Written by Great Expectations.")
    notes: str | list[str] | None = Field(None, description="Remarks.")
    id: str | None = Field(None, description="Id that Great Expectations gave.")
    suite_parameters: dict[str, Any] | None = Field(
        None, max_length=0, description="Parameters are not supported: write the values into the rules."
    )


@dataclass(frozen=True)
class Rule:
    """One rule.

    :param place: 0-based place in the file.
    """

    place: int
    entry: RuleEntry

    @property
    def name(self) -> str:
        """The rule in words, unique in the file."""
        return self.entry.description

    @property
    def level(self) -> Level:
        """What it judges."""
        return self.entry.meta.level

    @property
    def severity(self) -> Severity:
        """What a miss does to the record."""
        return Severity.BLOCK if self.entry.severity == "critical" else Severity.WARN

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """Columns that the expectation judges."""
        return tuple(column for _, column in _judged(self.entry.kwargs))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Columns whose values a finding shows."""
        value = self.entry.meta.value
        return self.judged if value is None else (value,)

    @cached_property
    def reads(self) -> frozenset[str]:
        """Columns without which the expectation cannot judge."""
        conditions = (name for _, name in _conditions(self.entry.kwargs.get("row_condition"), ()))
        return frozenset((*self.judged, *conditions))

    @cached_property
    def tells(self) -> frozenset[str]:
        """Columns without which a finding cannot be explained."""
        named = COLUMNS[self.level].keys() & _placeholders(self.entry.meta.message)
        return frozenset((*self.shown, *named))

    def value(self, row: Row) -> str:
        """The offending value as text, shortened.

        :param row: the record's values of the columns in :attr:`tells`.
        """
        return ", ".join(as_text(row[name]) for name in self.shown)[:VALUE_KEPT]

    def message(self, row: Row) -> str:
        """What is wrong with a record, in a sentence.

        :param row: the record's values of the columns in :attr:`tells`.
        """
        text = self.entry.meta.message
        known = {**self.entry.kwargs, **row}
        return text.format_map({name: as_text(known[name]) for name in _placeholders(text)})


def as_text(value: Any) -> str:
    """A value as a person reads it; empty for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Schema:
    """The whole file, sound as far as it can be told without Great Expectations."""

    file: YamlFile
    name: str
    rules: tuple[Rule, ...]

    def at(self, level: Level) -> tuple[Rule, ...]:
        """Rules of one level."""
        return tuple(rule for rule in self.rules if rule.level is level)

    def error(self, rule: Rule, problem: str, cure: str, *where: str | int) -> ConfigError:
        """An error about a rule; ``where`` is the place within its entry."""
        return _error(self.file, rule, where, problem, cure)


def read_schema(path: Path) -> Schema:
    """Read the file.

    :raises ConfigError: naming file, line, rule, problem and cure.
    """
    data = _json(path)
    file = YamlFile(path)
    suite = file.validate(SuiteFile, file.data if data is None else data)
    rules = tuple(Rule(place, entry) for place, entry in enumerate(suite.expectations))
    known: set[str] = set()
    for rule in rules:
        if rule.name in known:
            raise _error(file, rule, ("description",), "the name is used twice", "Give each rule its own.")
        known.add(rule.name)
        for where, problem, cure in _wrongs(rule):
            raise _error(file, rule, where, problem, cure)
    return Schema(file, suite.name, rules)


def _json(path: Path) -> Any:
    """The file's values; ``None`` when it cannot be read at all, which :class:`YamlFile` explains."""
    with suppress(OSError, UnicodeDecodeError):
        text = path.read_text(encoding="utf-8-sig")
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                str(path),
                f"not readable as JSON: {error.msg}",
                "Check commas, quotes and brackets at and above this line.",
                line=error.lineno,
            ) from None
    return None


def _error(file: YamlFile, rule: Rule, where: Loc, problem: str, cure: str) -> ConfigError:
    loc: Loc = ("expectations", rule.place, *where)
    return file.error(loc, f"in the rule '{rule.name}' ({rule.entry.type}), {problem}", cure)


Wrong = tuple[Loc, str, str]
"""Place within the entry, problem and cure."""


def _wrongs(rule: Rule) -> Iterator[Wrong]:
    """Everything wrong with a rule that Great Expectations would not notice, or only amid the data."""
    entry, level = rule.entry, rule.level
    if not rule.judged:
        yield (
            ("kwargs",),
            "no column is judged, so no record could be named",
            "Choose an expectation about the values of a column.",
        )
    condition = entry.kwargs.get("row_condition")
    if condition is not None and not isinstance(condition, dict):
        yield (
            ("kwargs", "row_condition"),
            "the condition is not in the form of Great Expectations 1.9 and later",
            "Write it as an object with type, column, operator and parameter.",
        )
    for where, column in (
        *_judged(entry.kwargs),
        *_conditions(condition, ("kwargs", "row_condition")),
        *([(("meta", "value"), entry.meta.value)] if entry.meta.value is not None else []),
    ):
        yield from _unknown_column(where, column, level)
    yield from _wrong_message(rule)
    if entry.kwargs.get("mostly", 1) != 1:
        yield (
            ("kwargs", "mostly"),
            "a share is tolerated, but the gate judges each record by itself",
            'Remove mostly; set "severity": "warning" to let records pass.',
        )
    yield from _wrong_regexes(entry.kwargs)


def _judged(kwargs: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    for key in ("column", "column_A", "column_B"):
        if key in kwargs:
            yield ("kwargs", key), str(kwargs[key])
    listed = kwargs.get("column_list")
    for place, column in enumerate(listed if isinstance(listed, list) else ()):
        yield ("kwargs", "column_list", place), str(column)


def _conditions(condition: Any, where: Loc) -> Iterator[tuple[Loc, str]]:
    """Columns of a row condition, whose parts may be joined by and/or."""
    if not isinstance(condition, dict):
        return
    column = condition.get("column")
    if isinstance(column, dict) and "name" in column:
        yield (*where, "column", "name"), str(column["name"])
    parts = condition.get("conditions")
    for place, part in enumerate(parts if isinstance(parts, list) else ()):
        yield from _conditions(part, (*where, "conditions", place))


def _unknown_column(where: Loc, column: str, level: Level) -> Iterator[Wrong]:
    if column in COLUMNS[level]:
        return
    if column in COLUMNS[Level.VARIANT]:
        yield (
            where,
            f"the column '{column}' belongs to variants, but the rule judges whole products",
            'Set "level": "variant" in meta.',
        )
    else:
        hint = did_you_mean(column, COLUMNS[level])
        yield where, f"there is no column '{column}'", f"{hint}{REFERENCE}, which lists the columns."


def _wrong_message(rule: Rule) -> Iterator[Wrong]:
    where, message = ("meta", "message"), rule.entry.meta.message
    known = {**COLUMNS[rule.level], **rule.entry.kwargs}
    try:
        names = _placeholders(message)
    except ValueError as error:
        yield (
            where,
            f"the braces cannot be filled in ({error})",
            "Write column names in braces, and {{ for {.",
        )
        return
    for name in sorted(names):
        if name not in known:
            hint = did_you_mean(name, known)
            cure = f"{hint}{REFERENCE}, which lists the columns."
            yield where, f"there is no column '{name}' to fill in", cure


def _placeholders(message: str) -> set[str]:
    """Names in braces.

    :raises ValueError: for anything else in braces, or a brace too few.
    """
    names = set()
    for _, name, form, conversion in Formatter().parse(message):
        if form or conversion:
            raise ValueError(f"'{{{name}' has more in it than a name")
        if name is not None:
            names.add(name)
    return names


def _wrong_regexes(kwargs: Mapping[str, Any]) -> Iterator[Wrong]:
    listed = kwargs.get("regex_list")
    regexes: list[tuple[Loc, Any]] = [(("kwargs", "regex"), kwargs["regex"])] if "regex" in kwargs else []
    regexes += [
        (("kwargs", "regex_list", place), regex)
        for place, regex in enumerate(listed if isinstance(listed, list) else ())
    ]
    for where, regex in regexes:
        try:
            re.compile(regex)
        except (re.error, TypeError) as error:
            yield (
                where,
                f"'{regex}' is no regular expression ({error})",
                "Correct it; a backslash is written \\\\.",
            )


def schema_reference(schema: Schema) -> str:
    """The page that explains the file, as Markdown: all rules, and all columns that a rule may use."""
    return "\n".join((*_ABOUT, *_rule_table(schema), *_column_tables()))


_ABOUT = (
    "# Product master schema",
    "",
    "<!-- Generated by scripts/generate_docs.py from include/schemas/product_master.json. Do not edit. -->",
    "",
    "`include/schemas/product_master.json` says what a product must be like before a kiosk may show it. It is an",
    "expectation suite of Great Expectations: add, change or remove expectations there, and the next run works by it.",
    "",
    "- `severity`: `critical` holds the record back, `warning` only reports it. A held update leaves the last good",
    "  version on the kiosk, and a mended record is released by the run that sees it.",
    "- `meta.level`: `product` judges a product once, and a miss holds all variants; `variant` judges each variant,",
    "  and a miss holds that one. A product whose variants are all held is held.",
    "- `meta.owner`, `meta.cure`, `meta.mend`: who acts, what to do and where. Owners are "
    + ", ".join(f"`{owner}`" for owner in Owner)
    + ".",
    "- `meta.message`: what is wrong, in a sentence; columns and kwargs in braces are filled in.",
    "- `meta.value`: the column whose value reports show, when it is not the judged one.",
    "- `meta.recheck`: the hold can end although nobody changes the product, so every run looks at it again.",
    "",
    "Expectations must judge rows one by one (`expect_column_values_…`, `expect_column_pair_values_…`). What takes the",
    "whole catalogue to know, such as a SKU used twice, is a column. A mistake in the file stops the run with file,",
    "line, rule, problem and cure; nothing is pushed by half a schema.",
    "",
    "A rule that warns of variants without a barcode:",
    "",
    "```json",
    "{",
    '  "description": "barcode is present",',
    '  "severity": "warning",',
    '  "type": "expect_column_values_to_not_be_null",',
    '  "kwargs": { "column": "barcode" },',
    '  "meta": {',
    '    "level": "variant",',
    '    "field": "barcode",',
    '    "owner": "merchandising",',
    '    "message": "The variant {sku} has no barcode.",',
    '    "cure": "Enter the barcode from the label.",',
    '    "mend": "Merchant Center: Products > the product > Variants > the variant > Attributes"',
    "  }",
    "}",
    "```",
    "",
)


def _rule_table(schema: Schema) -> Iterator[str]:
    yield "## Rules"
    yield ""
    yield from _table(
        ("Rule", "Level", "Severity", "Owner", "What is wrong", "Cure", "Where to mend it"),
        (
            (
                rule.name,
                rule.level,
                rule.severity,
                rule.entry.meta.owner,
                rule.entry.meta.message,
                rule.entry.meta.cure,
                rule.entry.meta.mend,
            )
            for rule in schema.rules
        ),
    )


def _column_tables() -> Iterator[str]:
    sets = (
        ("Columns of products (rules of both levels)", PRODUCT_COLUMNS),
        ("Columns of variants (rules of level `variant`)", {**VARIANT_COLUMNS, **CATALOGUE_COLUMNS}),
    )
    for title, columns in sets:
        yield from ("", f"## {title}", "")
        yield from _table(
            ("Column", "Meaning", "For example"),
            ((f"`{name}`", meaning, f"`{json.dumps(SAMPLE[name])}`") for name, meaning in columns.items()),
        )
    yield ""


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (header, ("---",) * len(header), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
