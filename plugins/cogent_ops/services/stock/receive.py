"""Rows of stores' systems into the inbox: each once, whoever sends it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cogent_ops.domain.movement_rows import MovementRow, RowProblem, read_row, unknown_field
from cogent_ops.domain.stock import NewMovement, Source
from cogent_ops.store import Store


class Fate(StrEnum):
    """What became of a row."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Received:
    """A row with its outcome.

    :param reference: where it stood, e.g. a file and line.
    :param problem: why it was rejected.
    """

    reference: str
    fate: Fate
    problem: RowProblem | None = None


class Inbox:
    """Where rows of one link and one source go.

    :param project: the commercetools project as its rate budget names it.
    """

    def __init__(self, link: str, store: Store, project: str, source: Source) -> None:
        self.link, self.store, self.project, self.source = link, store, project, source

    def record(self, rows: Sequence[tuple[str, MovementRow | RowProblem]]) -> list[Received]:
        """Store rows in one transaction; the outcome of each, in their order.

        A row whose id is known already changes nothing: as a duplicate when it says the same, as a rejected row when
        it says anything else, for then one of the two would be lost in silence.

        :param rows: each with its reference.
        """
        results: list[Received] = []
        taken: list[NewMovement] = []
        with self.store.begin() as conn:
            self.store.stock.turn(conn, self.link)
            ids = [row.id for _, row in rows if isinstance(row, MovementRow)]
            known = self.store.stock.recorded(conn, self.link, self.source, ids)
            for reference, row in rows:
                if isinstance(row, RowProblem):
                    results.append(Received(reference, Fate.REJECTED, row))
                    continue
                new = self._movement(reference, row)
                said = (new.sku, new.channel, new.delta, new.counted, new.occurred_at)
                before = known.setdefault(row.id, said)
                if before is said:
                    taken.append(new)
                    results.append(Received(reference, Fate.ACCEPTED))
                elif before == said:
                    results.append(Received(reference, Fate.DUPLICATE))
                else:
                    results.append(Received(reference, Fate.REJECTED, _conflict(row)))
            self.store.stock.add_movements(conn, taken)
        return results

    def _movement(self, reference: str, row: MovementRow) -> NewMovement:
        return NewMovement(
            link=self.link,
            project=self.project,
            sku=row.sku,
            channel=row.channel,
            source=self.source,
            source_id=row.id,
            reference=f"{reference} ({row.reason})" if row.reason else reference,
            occurred_at=row.at,
            delta=row.delta,
            counted=row.counted,
        )


def _conflict(row: MovementRow) -> RowProblem:
    return RowProblem(
        "id",
        "belongs to one movement",
        f"the id '{row.id}' came before with another SKU, location, quantity or time",
        "Give every movement an id of its own, also across stores (e.g. store, till and document number). To correct a "
        "movement, send another one with the difference.",
    )


def receive(inbox: Inbox, rows: Sequence[Any], now: datetime) -> list[tuple[Any, Received]]:
    """Objects as the endpoint gets them, into the inbox; each with the id that it names and what became of it."""
    read: list[tuple[str, MovementRow | RowProblem]] = []
    named: list[Any] = []
    for number, raw in enumerate(rows):
        if not isinstance(raw, Mapping):
            cure = "Send an object with id, sku, location, quantity or counted, at."
            problem = RowProblem(f"movements[{number}]", "is an object", "it is no object", cure)
            read.append(("API", problem))
            named.append(None)
            continue
        named.append(raw.get("id"))
        read.append((f"API {raw.get('id')}"[:200], unknown_field(raw) or read_row(raw, now)))
    return list(zip(named, inbox.record(read), strict=True))
