"""What entries should say, over every history that fits: nothing is invented, and what is off is off by that much."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogent_ops.services.drift import expectation
from cogent_ops.services.drift.expectation import expect
from cogent_ops.services.drift.tables import ENTRIES, LEDGER, SALES, table

START = datetime(2026, 11, 24, tzinfo=UTC)
LAG = timedelta(seconds=10)


@dataclass
class History:
    """One entry's life, an event each minute, which a snapshot cuts anywhere."""

    units: int = 100
    batch: str | None = None
    minute: int = 0
    ledger: list[tuple[Any, ...]] = field(default_factory=list)
    sales: list[tuple[Any, ...]] = field(default_factory=list)

    def happen(self, what: str, amount: int, *, settled: bool) -> None:
        """A change of ours, an order of the shop, or a count."""
        self.minute += 1
        now = START + timedelta(minutes=self.minute)
        name = f"b{self.minute}"
        if what == "shop":
            self.units -= amount
            self.sales.append((name, "COAT", "leeds", -amount, now))
            return
        before = self.units
        delta = amount - before if what == "count" else -amount
        self.units += delta
        if delta:
            self.batch = name
        done = now + timedelta(seconds=1) if settled else now + timedelta(days=9)
        counted = amount if what == "count" else None
        self.ledger.append((name, "COAT", "leeds", delta, now, done, before, self.units, counted, 0))

    def entry(self, off: int = 0) -> Any:
        """The entry as read half a minute later."""
        asked = START + timedelta(minutes=self.minute, seconds=30)
        row = ("COAT", "leeds", "e1", 1, self.units + off, self.batch, asked, "us", asked)
        return table(ENTRIES, [row])


EVENTS = st.tuples(st.sampled_from(["ours", "shop", "count"]), st.integers(0, 9))


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=6), st.lists(EVENTS, max_size=8), st.integers(-9, 9), st.booleans())
def test_an_entry_is_off_by_exactly_what_nobody_explains(
    before: list[tuple[str, int]], since: list[tuple[str, int]], off: int, settled: bool
) -> None:
    history = History()
    for what, amount in before:
        history.happen(what, amount, settled=True)
    first = history.entry()
    for place, (what, amount) in enumerate(since):
        # Only the last change may be unsettled yet: changes of an entry go out one after the other.
        history.happen(what, amount, settled=settled or what == "count" or place < len(since) - 1)
    ledger, sales = table(LEDGER, history.ledger), table(SALES, history.sales)
    found = expect(first, history.entry(off), ledger, sales, LAG)
    assert found.checked == 1
    differing = found.differing.to_pylist()
    assert [row["on_stock"] - row["expected"] for row in differing] == ([off] if off else [])


def test_what_was_carried_after_the_reading_is_not_expected_yet() -> None:
    history = History()
    first = history.entry()
    history.happen("ours", 3, settled=True)
    read = history.entry()
    history.happen("ours", 5, settled=True)
    found = expect(first, read, table(LEDGER, history.ledger), SALES.empty_table(), LAG)
    assert found.differing.num_rows == 0


def test_a_young_order_leaves_a_doubt_and_an_old_one_none() -> None:
    history = History()
    first = history.entry()
    asked = history.entry()["asked"][0].as_py()
    young = [("W1", "COAT", "leeds", -2, asked - timedelta(seconds=3))]
    found = expect(first, history.entry(off=-2), LEDGER.empty_table(), table(SALES, young), LAG)
    assert [row["on_stock"] - row["expected"] for row in found.differing.to_pylist()] == [-2]
    assert [(row["units"], row["sure"]) for row in found.sales.to_pylist()] == [(-2, False)]


def test_an_entry_that_is_gone_is_told_and_a_new_one_is_not_judged() -> None:
    history = History()
    gone = expect(history.entry(), ENTRIES.empty_table(), LEDGER.empty_table(), SALES.empty_table(), LAG)
    assert [row["base"] for row in gone.gone.to_pylist()] == [100]
    assert gone.differing.num_rows == 0
    new = expect(ENTRIES.empty_table(), history.entry(), LEDGER.empty_table(), SALES.empty_table(), LAG)
    assert (new.checked, new.differing.num_rows, new.gone.num_rows) == (0, 0, 0)
    first = expect(None, history.entry(), LEDGER.empty_table(), SALES.empty_table(), LAG)
    assert (first.checked, first.differing.num_rows) == (0, 0)


def test_where_very_many_differ_the_largest_are_looked_at_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expectation, "MOST", 2)
    asked = START

    def entries(*units: int | None) -> Any:
        rows = [(f"S{at}", "leeds", "e", 1, one, None, asked, "us", asked) for at, one in enumerate(units)]
        return table(ENTRIES, rows)

    nothing = LEDGER.empty_table(), SALES.empty_table(), LAG
    found = expect(entries(10, 10, 10, 10), entries(11, 19, 2, 10), *nothing)
    assert sorted(found.differing["sku"].to_pylist()) == ["S1", "S2"]
    assert (found.checked, found.further) == (4, 1)
    gone = expect(entries(1, 5, 3), entries(None, None, None), *nothing)
    assert sorted(gone.gone["base"].to_pylist()) == [3, 5]
    assert gone.further == 1
