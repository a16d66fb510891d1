"""The report page and the fix list: complete, harmless whatever the data holds, and readable."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from cogent_ops.domain.exceptions import Owner
from cogent_ops.quality import Finding, RunSummary, Severity, write_reports
from cogent_ops.quality.reports import FINDINGS_SHOWN, PREVIEW_SHOWN, fix_list, render, spreadsheet_cell

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that every element is closed, and collects what a reader sees and may click."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def finding(**changes: Any) -> Finding:
    return Finding.model_validate(
        {
            "product_id": "p1",
            "product_key": "merino-pullover",
            "product_name": "Merino Pullover",
            "sku": "MER-1",
            "variant_id": 1,
            "field": "sku",
            "rule": "SKU is well-formed",
            "message": "The SKU 'MER 1' holds spaces.",
            "value": "MER 1",
            "severity": Severity.BLOCK,
            "owner": Owner.ECOMMERCE,
            "cure": "Rename it.",
            "mend": "Merchant Center",
            **changes,
        }
    )


def summary(**changes: Any) -> RunSummary:
    fields: dict[str, Any] = {
        "link": "default",
        "flow": "catalogue_sync",
        "run_key": "manual__1",
        "mode": "full",
        "started": NOW,
        "counts": {},
    }
    return RunSummary(**{**fields, **changes})


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("root", ["local", "memory"])
def test_reports_are_written_to_any_storage(tmp_path: Path, root: str) -> None:
    folder = UPath(tmp_path) if root == "local" else UPath("memory://reports/run")
    folder.mkdir(parents=True, exist_ok=True)
    page = write_reports(folder, summary(), [finding()])
    assert page == folder / "index.html"
    assert "Merino Pullover" in Page(page.read_text(encoding="utf-8")).text
    raw = (folder / "fix_list.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")  # else spreadsheets take umlauts for something else
    assert rows(raw.decode("utf-8-sig"))[0]["sku"] == "MER-1"


def test_data_docs_are_linked_where_there_are_any(tmp_path: Path) -> None:
    folder = UPath(tmp_path)
    without = Page(write_reports(folder, summary(), []).read_text())
    for level in ("products", "variants"):
        page = (
            tmp_path / f"data_docs/validations/product_master_{level}/default/20261120T103000Z/{level}.html"
        )
        page.parent.mkdir(parents=True)
        page.touch()
    with_docs = Page(write_reports(folder, summary(), []).read_text())
    assert without.links == ["fix_list.csv"]
    assert len(with_docs.links) == 3
    assert all((folder / link).exists() for link in with_docs.links)
    assert "every rule about products" in with_docs.text
    assert "every rule about variants" in with_docs.text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = Page(render(summary(), [finding()], data_docs=[("products", "data_docs/x.html")]))
    assert page.tags.isdisjoint({"script", "img", "link", "iframe"})
    assert not [link for link in page.links if "://" in link]


def test_counts_say_what_became_of_the_records() -> None:
    counts = {
        "products": 1000,
        "variants": 9000,
        "products_held": 12,
        "variants_held": 345,
        "products_created": 900,
        "variants_updated": 8000,
        "variants_unchanged": 655,
        "groups_refused": 2,
        "removals_held": 77,
    }
    text = Page(render(summary(counts=counts), [finding()])).text
    for shown in (
        "Products read 1,000",
        "Variants read 9,000",
        "Products held 12",
        "Variants held 345",
        "Records pushed 8,900",
        "Skipped as unchanged 655",
        "Refused by Cloudshelf 2",
        "Removals held 77",
        "12 products and 345 variants are held back",
        "groups 0 0 0 2 0 0",
    ):
        assert shown in text


def test_an_audit_pushes_nothing() -> None:
    text = Page(render(summary(flow="catalogue_audit"), [])).text
    assert "Catalogue audit" in text
    assert "pushed" not in text
    assert "no rule is broken" in text


def test_a_dry_run_shows_what_would_happen() -> None:
    preview = [
        {"kind": "product", "id": f"gid://x/{n}", "action": "create"} for n in range(PREVIEW_SHOWN + 5)
    ]
    text = Page(render(summary(dry_run=True, preview=preview, counts={"products_created": 205}), [])).text
    assert "dry run: nothing was sent" in text
    assert "Records that would be sent 205" in text
    assert f"The first {PREVIEW_SHOWN} of {PREVIEW_SHOWN + 5}" in text
    assert f"gid://x/{PREVIEW_SHOWN - 1}" in text
    assert f"gid://x/{PREVIEW_SHOWN}" not in text


def test_warnings_alone_hold_nothing() -> None:
    assert (
        "Nothing is held back; there are warnings"
        in Page(render(summary(), [finding(severity=Severity.WARN)])).text
    )


def test_rules_and_owners_are_summed_up() -> None:
    found = [
        *(finding(product_id=str(n // 2), variant_id=n) for n in range(10)),
        *(
            finding(
                product_id=str(n), rule="price is above zero", owner=Owner.FINANCE, severity=Severity.WARN
            )
            for n in range(3)
        ),
    ]
    text = Page(render(summary(), found)).text
    assert "block SKU is well-formed ecommerce 10 5" in text
    assert "warn price is above zero finance 3 3" in text
    assert "ecommerce 10 0" in text
    assert "finance 0 3" in text


def test_thousands_of_findings_are_all_in_the_fix_list(tmp_path: Path) -> None:
    found = [finding(product_id=str(n), sku=f"S-{n}") for n in range(5000)]
    page = write_reports(UPath(tmp_path), summary(), iter(found))
    html = page.read_text(encoding="utf-8")
    assert f"The first {FINDINGS_SHOWN} of 5,000 findings; the fix list holds all." in Page(html).text
    assert len(html) < 1_000_000
    listed = rows((tmp_path / "fix_list.csv").read_text(encoding="utf-8-sig"))
    assert {row["product_id"] for row in listed} == {str(n) for n in range(5000)}


def test_the_worst_comes_first_and_an_owner_finds_its_own_together(tmp_path: Path) -> None:
    found = [
        finding(severity=severity, owner=owner)
        for severity in (Severity.WARN, Severity.BLOCK)
        for owner in (Owner.RETAIL_OPS, Owner.FINANCE, Owner.RETAIL_OPS)
    ]
    write_reports(UPath(tmp_path), summary(), found)
    listed = rows((tmp_path / "fix_list.csv").read_text(encoding="utf-8-sig"))
    assert [(row["severity"], row["owner"]) for row in listed] == [
        ("block", "finance"),
        ("block", "retail ops"),
        ("block", "retail ops"),
        ("warn", "finance"),
        ("warn", "retail ops"),
        ("warn", "retail ops"),
    ]


@pytest.mark.parametrize(
    "nasty",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{ 7 * 7 }}",
        "&amp;<b>",
        "a\x00b\x1b[31m",
        "'\"",
    ],
)
def test_data_is_shown_and_never_obeyed(nasty: str) -> None:
    changes = dict.fromkeys(("product_name", "product_key", "sku", "message", "value", "mend", "cure"), nasty)
    page = Page(
        render(
            summary(
                link=nasty, run_key=nasty, preview=[{"kind": "product", "id": nasty, "action": "create"}]
            ),
            [finding(**changes)],
        )
    )
    assert page.tags.isdisjoint({"script", "img", "b"})
    assert "\x00" not in page.text
    assert "\x1b" not in page.text
    assert "49" not in page.text


@given(st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    cell = spreadsheet_cell(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert "\n" not in cell
    assert "\r" not in cell
    assert "\t" not in cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "＝1", "'=1"])
def test_a_formula_stays_readable_text(text: str) -> None:
    assert spreadsheet_cell(text).startswith("'") or text.startswith("\t")
    assert text.strip() in spreadsheet_cell(text)


@given(values=st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_the_fix_list_has_a_line_a_finding_whatever_the_values(values: Sequence[str]) -> None:
    listed = rows(fix_list(finding(value=value, product_name=value) for value in values))
    assert [row["value"] for row in listed] == [spreadsheet_cell(value) for value in values]
