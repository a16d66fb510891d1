"""Money of kiosk orders for finance, from what the night's archive holds of the orders."""

from __future__ import annotations

from cogent_ops.domain.drift.model import Area
from cogent_ops.domain.drift.money import Ledger
from cogent_ops.services.drift.archive import Night
from cogent_ops.services.drift.comparison import Compared, MoneyLine, Parts
from cogent_ops.services.drift.facts import read_facts
from cogent_ops.services.drift.orders import FACTS, READING, TABLE, OrderComparison


class MoneyComparison:
    """The takings of one link. It reads nothing that the comparison of orders has not read in the same night."""

    area = Area.MONEY

    def __init__(self, parts: Parts) -> None:
        self._orders = OrderComparison(parts)

    def snapshot(self, night: Night) -> None:
        """Read the orders, unless that was done."""
        self._orders.snapshot(night)

    def compare(self, night: Night, previous: Night | None) -> Compared:
        """Add up what the archive holds of a night."""
        if not night.has(TABLE):
            return Compared(0, ())
        rows = read_facts(night, TABLE)
        reading = READING.validate_json(next(rows)[1])
        ledger = Ledger(reading.moment, reading.since)
        for _, facts in rows:
            ledger.add(FACTS.validate_json(facts))
        takings = ledger.rows()
        return Compared(
            checked=sum(one.orders for one in takings),
            findings=list(ledger.findings(link=night.link, night=night.name)),
            figures=[
                MoneyLine(one.day, one.place, one.currency, one.captured, one.shop, one.paid, one.refunded)
                for one in takings
            ],
        )
