"""What people read after a run: one HTML page, and the fix list as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from upath import UPath

from cogent_ops.domain.text import visible
from cogent_ops.quality.findings import Finding, Severity
from cogent_ops.quality.validation import DATA_DOCS

PAGE = "index.html"
FIX_LIST = "fix_list.csv"

#: Findings and preview entries that the page shows; the rest is in the fix list, which holds all.
FINDINGS_SHOWN = 500
PREVIEW_SHOWN = 200
VALUE_SHOWN = 120

FIX_LIST_COLUMNS = (
    "severity",
    "owner",
    "product_name",
    "product_key",
    "sku",
    "field",
    "rule",
    "value",
    "message",
    "cure",
    "mend",
    "product_id",
    "variant_id",
)

#: What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_NUMBERS = (int, float, Decimal)

_FLOWS = {"catalogue_sync": "Catalogue sync", "catalogue_audit": "Catalogue audit"}
_MODES = {
    "full": "everything was read",
    "delta": "what changed was read",
    "skus": "chosen SKUs were read",
    "backfill": "a past interval was read",
}
_KINDS = ("location", "product", "variant", "group", "membership")
_ACTIONS = ("created", "updated", "unchanged", "refused", "removed", "retired")


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    :param flow: ``catalogue_sync`` or ``catalogue_audit``.
    :param mode: how much was read: ``full``, ``delta``, ``skus`` or ``backfill``; empty when nothing was.
    :param counts: of all stages, e.g. ``products_held`` or ``variants_updated``.
    :param preview: what a dry run would send or remove: ``kind``, ``id`` and ``action`` of records.
    """

    link: str
    flow: str
    run_key: str
    mode: str
    started: datetime
    dry_run: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    preview: Sequence[Mapping[str, Any]] = ()


class RuleRow(NamedTuple):
    """One line of the overview: a rule that something breaks."""

    severity: str
    rule: str
    owner: str
    products: int
    findings: int
    example: str
    cure: str
    mend: str


def write_reports(folder: UPath, summary: RunSummary, findings: Iterable[Finding]) -> UPath:
    """Write ``index.html`` and ``fix_list.csv``.

    :param folder: existing folder on any storage; Data Docs that lie in it are linked.
    :return: the page.
    """
    ranked = sorted(findings, key=_rank)
    (folder / FIX_LIST).write_text(fix_list(ranked), encoding="utf-8-sig", newline="")
    page = folder / PAGE
    page.write_text(render(summary, ranked, data_docs=_data_docs(folder)), encoding="utf-8")
    return page


def fix_list(findings: Iterable[Finding]) -> str:
    """CSV with one line a finding, safe to open in a spreadsheet."""
    rows = (finding.model_dump(mode="json") for finding in findings)
    return spreadsheet(FIX_LIST_COLUMNS, ([row[column] for column in FIX_LIST_COLUMNS] for row in rows))


def spreadsheet(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV that is safe to open in a spreadsheet. A number stays one: with its sign it is no formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    for row in rows:
        writer.writerow([cell if isinstance(cell, _NUMBERS) else spreadsheet_cell(cell) for cell in row])
    return text.getvalue()


def spreadsheet_cell(value: object) -> str:
    """Text that a spreadsheet shows and never executes: a leading apostrophe turns a formula into text.

    Control characters are spelled out: a bare line break would split the row in simple readers.
    """
    text = "" if value is None else visible(str(value))
    return f"'{text}" if text.lstrip(" '").startswith(_FORMULA) else text


def pages(*folders: Path) -> Environment:
    """Templates of this folder, for whoever extends ``page.html``, and of further ones.

    What data holds never becomes markup, and its control characters are spelled out.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        # Not of Markup, which a template has made itself.
        finalize=lambda value: visible(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment


def render(
    summary: RunSummary, findings: Sequence[Finding], *, data_docs: Iterable[tuple[str, str]] = ()
) -> str:
    """The page.

    :param findings: in the order in which they are shown.
    :param data_docs: what each page of the Data Docs judges, and its address relative to the report.
    """
    environment = pages()
    environment.filters["short"] = _short
    return environment.get_template("report.html").render(
        title=_FLOWS.get(summary.flow, summary.flow),
        summary=summary,
        reading=_MODES.get(summary.mode, "nothing was read"),
        verdict=_verdict(summary, findings),
        tiles=[(name, _number(count)) for name, count in _tiles(summary)],
        kinds=_kind_rows(summary.counts),
        columns_pushed=["Records", *((action, "count") for action in _ACTIONS)],
        rules=_rule_rows(findings),
        owners=_owner_rows(findings),
        findings=findings[:FINDINGS_SHOWN],
        findings_total=len(findings),
        preview=summary.preview[:PREVIEW_SHOWN],
        preview_total=len(summary.preview),
        fix_list=FIX_LIST,
        data_docs=data_docs,
    )


def _rank(finding: Finding) -> tuple[bool, str, str, str, str, int]:
    """Blocks first, then by who mends them, so that an owner's work stands together."""
    return (
        finding.severity is not Severity.BLOCK,
        finding.owner,
        finding.rule,
        finding.product_name,
        finding.product_id,
        finding.variant_id or 0,
    )


def _data_docs(folder: UPath) -> list[tuple[str, str]]:
    """What each page of the Data Docs judges, and its address from the report.

    Their own index is a script that other servers must provide, so the pages behind it are linked.
    """
    pages = (folder / DATA_DOCS / "validations").rglob("*.html")
    paths = sorted(tuple(page.parts[-4:]) for page in pages)  # suite, run, time, batch
    return [(parts[0].rpartition("_")[2], "/".join((DATA_DOCS, "validations", *parts))) for parts in paths]


def _verdict(summary: RunSummary, findings: Sequence[Finding]) -> str:
    """The page's first sentence: how it went, in words."""
    held = summary.counts.get("products_held", 0)
    variants = summary.counts.get("variants_held", 0)
    if any(finding.severity is Severity.BLOCK for finding in findings):
        kept = f"{_number(held)} products and {_number(variants)} variants are held back"
        return f"{kept}; kiosks keep the last good version of what they show already."
    if findings:
        return "Nothing is held back; there are warnings to look at."
    return "Nothing is held back and no rule is broken."


def _tiles(summary: RunSummary) -> list[tuple[str, int]]:
    """The few numbers that matter, biggest first in the order of the work."""
    counts = summary.counts
    sent = sum(counts.get(f"{kind}s_{action}", 0) for kind in _KINDS for action in ("created", "updated"))
    tiles = [
        ("Products read", counts.get("products", 0)),
        ("Variants read", counts.get("variants", 0)),
        ("Products held", counts.get("products_held", 0)),
        ("Variants held", counts.get("variants_held", 0)),
    ]
    if summary.flow != "catalogue_audit":
        tiles += [
            ("Records that would be sent" if summary.dry_run else "Records pushed", sent),
            ("Skipped as unchanged", _total(counts, "unchanged")),
            ("Refused by Cloudshelf", _total(counts, "refused")),
            ("Removals held", counts.get("removals_held", 0)),
        ]
    return tiles


def _total(counts: Mapping[str, int], action: str) -> int:
    return sum(counts.get(f"{kind}s_{action}", 0) for kind in _KINDS)


def _kind_rows(counts: Mapping[str, int]) -> list[tuple[str, list[int]]]:
    """(Kind of record, count by action) of what the push handled at all."""
    rows = [(f"{kind}s", [counts.get(f"{kind}s_{action}", 0) for action in _ACTIONS]) for kind in _KINDS]
    return [(kind, numbers) for kind, numbers in rows if any(numbers)]


def _rule_rows(findings: Sequence[Finding]) -> list[RuleRow]:
    """Broken rules, the worst first."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity.value, finding.rule, finding.owner.value), []).append(finding)
    rows = [
        RuleRow(
            *key,
            products=len({finding.product_id for finding in group}),
            findings=len(group),
            example=group[0].message,
            cure=group[0].cure,
            mend=group[0].mend,
        )
        for key, group in groups.items()
    ]
    return sorted(rows, key=lambda row: (row.severity, -row.findings, row.rule))


def _owner_rows(findings: Iterable[Finding]) -> list[tuple[str, int, int]]:
    """(Owner, blocks, warnings), who has most to do first."""
    counted = Counter((finding.owner.value, finding.severity) for finding in findings)
    owners = {owner for owner, _ in counted}
    rows = [(owner, counted[owner, Severity.BLOCK], counted[owner, Severity.WARN]) for owner in owners]
    return sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))


def _short(text: str) -> str:
    return text if len(text) <= VALUE_SHOWN else f"{text[: VALUE_SHOWN - 1]}…"


def _number(count: int) -> str:
    """``12,345``."""
    return f"{count:,}"
