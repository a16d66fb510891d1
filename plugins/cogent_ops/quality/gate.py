"""The gate: which products and variants may go to the kiosks, and what is wrong with the others.

Products are judged in large chunks (see :mod:`cogent_ops.quality.validation` for why). Meanwhile their rows are
kept as plain columns, only those that some rule uses.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from upath import UPath

from cogent_ops.domain.catalogue import PRODUCT_COLUMNS, MappedProduct
from cogent_ops.domain.exceptions import Owner
from cogent_ops.domain.text import visible
from cogent_ops.quality.findings import Finding, Severity
from cogent_ops.quality.schema import (
    CATALOGUE_COLUMNS,
    COLUMNS,
    Level,
    Row,
    Rule,
    RuleEntry,
    RuleMeta,
    read_schema,
)
from cogent_ops.quality.validation import Validation, data_docs, quiet_context

#: Variants judged at once. ``benchmarks/gate.py`` shows what other sizes cost in time and memory.
CHUNK = 200_000

#: Columns without which a finding cannot name its record, or a verdict its variants.
_IDENTITY = {
    Level.PRODUCT: ("product_id", "product_key", "product_name"),
    Level.VARIANT: ("variant_id", "sku", "sendable"),
}

#: What holds a variant of which nothing can be sent, when no rule of the file does.
UNSENDABLE = Rule(
    place=-1,
    entry=RuleEntry(
        description="variant can be sent",
        type="expect_column_values_to_be_in_set",
        kwargs={"column": "sendable", "value_set": [True]},
        meta=RuleMeta(
            level=Level.VARIANT,
            field="sku, prices",
            owner=Owner.ECOMMERCE,
            message="Cloudshelf cannot take the variant without SKU and price.",
            cure="Give the variant a SKU and a price for the kiosk's country and currency.",
            mend="Merchant Center: Products > the product > Variants > the variant",
            recheck=True,
        ),
    ),
)


@dataclass(frozen=True)
class SkuFacts:
    """What the whole catalogue says about SKUs; keys are SKUs as :func:`~cogent_ops.domain.text.visible` shows them.

    :param counts: how many variants carry a SKU, where that is more than one.
    :param lookalikes: another SKU that differs by case or white space only.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    lookalikes: Mapping[str, str] = field(default_factory=dict)


class Chunk:
    """Rows of some products, column by column.

    :param columns: what to keep of the rows of each level.
    """

    def __init__(self, columns: Mapping[Level, Iterable[str]]) -> None:
        self.columns: dict[Level, dict[str, list[Any]]] = {
            level: {name: [] for name in names} for level, names in columns.items()
        }
        #: SKU of each variant row, control characters spelled out; empty where there is none.
        self.skus: list[str] = []
        #: Place of the product of each variant row.
        self.owners: list[int] = []
        #: Number of variants of each product.
        self.sizes: list[int] = []

    @property
    def products(self) -> int:
        """How many products there are."""
        return len(self.sizes)

    @property
    def variants(self) -> int:
        """How many variant rows there are."""
        return len(self.owners)

    def add(self, mapped: MappedProduct) -> None:
        """Append a product; its place is the number of those before it."""
        variants = mapped.variants
        for name, values in self.columns[Level.PRODUCT].items():
            values.append(mapped.row[name])
        for name, values in self.columns[Level.VARIANT].items():
            if name in PRODUCT_COLUMNS:
                values.extend([mapped.row[name]] * len(variants))
            elif name not in CATALOGUE_COLUMNS:
                values.extend([variant.row[name] for variant in variants])
        self.skus.extend([visible(variant.sku or "") for variant in variants])
        self.owners.extend([self.products] * len(variants))
        self.sizes.append(len(variants))

    def know(self, facts: SkuFacts) -> None:
        """Fill in what only the whole catalogue can tell."""
        variants = self.columns[Level.VARIANT]
        if "sku_count" in variants:
            variants["sku_count"] = [facts.counts.get(sku, 1) for sku in self.skus]
        if "lookalike" in variants:
            variants["lookalike"] = [facts.lookalikes.get(sku) for sku in self.skus]

    def row(self, level: Level, place: int) -> Row:
        """One row, a variant's with its product's columns."""
        row = {name: values[place] for name, values in self.columns[level].items()}
        return row if level is Level.PRODUCT else {**row, **self.row(Level.PRODUCT, self.owners[place])}


Broken = tuple[Rule, Sequence[int]]
"""A rule, and the rows of its level that break it."""


class Verdict:
    """What the rules say of one product that breaks at least one."""

    def __init__(self, chunk: Chunk, broken: Sequence[tuple[Rule, int]]) -> None:
        self._chunk, self._broken = chunk, broken
        self._blocks = [(rule, row) for rule, row in broken if rule.severity is Severity.BLOCK]

    @property
    def holds(self) -> bool:
        """Whether anything is held; false when there are warnings only."""
        return bool(self._blocks)

    @property
    def held(self) -> bool:
        """Whether the product is held as a whole."""
        return any(rule.level is Level.PRODUCT for rule, _ in self._blocks)

    @property
    def held_skus(self) -> frozenset[str]:
        """SKUs of the variants that are held by themselves; one without a SKU cannot be sent anyhow."""
        skus = self._chunk.columns[Level.VARIANT]["sku"]
        return frozenset(skus[row] for rule, row in self._blocks if rule.level is Level.VARIANT and skus[row])

    @property
    def recheck(self) -> bool:
        """Whether a hold can end without a change of the product."""
        return any(rule.entry.meta.recheck for rule, _ in self._blocks)

    def findings(self) -> Iterator[Finding]:
        """One finding a broken rule and record."""
        return (_finding(rule, self._chunk.row(rule.level, row)) for rule, row in self._broken)


class Verdicts(Mapping[int, Verdict]):
    """Verdicts by the place of the product in its chunk; sound products have none.

    Findings are made when asked for: those of a catalogue that is wrong all over would not fit into memory.
    """

    def __init__(self, chunk: Chunk, broken: Iterable[Broken]) -> None:
        self._chunk = chunk
        self._broken: dict[int, list[tuple[Rule, int]]] = {}
        for rule, rows in broken:
            for row in rows:
                place = row if rule.level is Level.PRODUCT else chunk.owners[row]
                self._broken.setdefault(place, []).append((rule, row))

    def __getitem__(self, place: int) -> Verdict:
        return Verdict(self._chunk, self._broken[place])

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._broken))

    def __len__(self) -> int:
        return len(self._broken)


class Gate:
    """The product master schema, ready to judge; threads that share a gate wait for each other.

    :param suite: path of the suite file.
    :param link: the run's name in Data Docs.
    :raises ConfigError: when the file cannot be used; nothing is judged by half a schema.
    """

    def __init__(self, suite: Path, link: str) -> None:
        self._schema, self._link = read_schema(suite), link
        self._columns = {level: _kept(level, self._schema.rules) for level in Level}
        self._validations: list[Validation] = []
        # A data source of Great Expectations holds one batch: two threads would judge each other's rows.
        self._one_at_a_time = threading.RLock()

    def chunk(self) -> Chunk:
        """An empty chunk that keeps what the rules need."""
        return Chunk(self._columns)

    def judge(self, chunk: Chunk, facts: SkuFacts) -> Verdicts:
        """Judge the rows of a chunk.

        :raises ConfigError: when a rule cannot be applied to the data.
        """
        chunk.know(facts)
        broken: list[Broken] = []
        if chunk.products:
            with self._one_at_a_time:
                for part in self.prepare():
                    broken += part.broken(chunk.columns[part.level], partial(chunk.row, part.level))
            gc.collect()  # Great Expectations leaves the rows of a validation in a ring of references
        return Verdicts(chunk, [*broken, (UNSENDABLE, _unsendable(chunk, broken))])

    def prepare(self) -> list[Validation]:
        """Bring Great Expectations in and give it the rules; the first chunk does it otherwise.

        A run with nothing to judge does not pay for the import.

        :raises ConfigError: when Great Expectations cannot use a rule.
        """
        with self._one_at_a_time:
            if not self._validations:
                self._context = quiet_context()
                self._validations = [
                    Validation(self._context, self._schema, level, self._link)
                    for level in Level
                    if self._schema.at(level)
                ]
            return self._validations

    def write_data_docs(self, folder: UPath) -> None:
        """Write Data Docs of everything judged so far below a report folder; nothing when that is nothing."""
        with self._one_at_a_time:
            published = [part.publish() for part in self._validations]
            if any(published):
                data_docs(self._context, folder)


def write_data_docs(gate: Gate, folder: UPath) -> None:
    """Write the gate's Data Docs below a run's report folder."""
    gate.write_data_docs(folder)


def _finding(rule: Rule, row: Row) -> Finding:
    meta, is_variant = rule.entry.meta, rule.level is Level.VARIANT
    sku = row["sku"] if is_variant else None
    return Finding(
        product_id=row["product_id"],
        product_key=visible(row["product_key"] or ""),
        product_name=visible(row["product_name"]),
        sku=visible(sku) if sku else None,
        variant_id=row["variant_id"] if is_variant else None,
        field=meta.field,
        rule=rule.name,
        message=visible(rule.message(row)),
        value=visible(rule.value(row)),
        severity=rule.severity,
        owner=meta.owner,
        cure=meta.cure,
        mend=meta.mend,
    )


def _kept(level: Level, rules: Iterable[Rule]) -> list[str]:
    """Columns to keep of the rows of a level; what explains a variant may be its product's."""
    own = COLUMNS[level].keys() - (PRODUCT_COLUMNS.keys() if level is Level.VARIANT else frozenset())
    kept = set(_IDENTITY[level])
    for rule in rules:
        kept |= rule.tells & own
        if rule.level is level:
            kept |= rule.reads
    return sorted(kept)


def _unsendable(chunk: Chunk, broken: Iterable[Broken]) -> list[int]:
    """Variant rows of which nothing can be sent and that no rule holds, neither themselves nor their product."""
    sendable = chunk.columns[Level.VARIANT]["sendable"]
    rows = {row for row, can in enumerate(sendable) if not can}
    for rule, where in broken:
        if rows and rule.severity is Severity.BLOCK:
            held = set(where)
            by_product = rule.level is Level.PRODUCT
            rows = {row for row in rows if (chunk.owners[row] if by_product else row) not in held}
    return sorted(rows)
