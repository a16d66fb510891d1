"""Rows of stores' systems into the inbox: each once, whoever sends it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.movement_rows import MovementRow, RowProblem, read_row, unknown_field
from cogent_ops.domain.orders import LONGEST_IDENTIFIER
from cogent_ops.domain.stock import NewMovement, Source
from cogent_ops.domain.text import visible
from cogent_ops.store import Store

_NAMED = 20


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


def receive(
    inbox: Inbox, rows: Sequence[Any], now: datetime, run_key: str
) -> list[tuple[str | None, Received]]:
    """Objects as the endpoint gets them, into the inbox; each with the id that it names and what became of it.

    Whoever sent them is told at once; what was rejected is an exception, too, because senders are machines.
    """
    read: list[tuple[str, MovementRow | RowProblem]] = []
    named: list[str | None] = []
    for raw in rows:
        id_ = _id(raw)
        named.append(id_)
        read.append((f"API {id_ or '(no id)'}", _read(raw, now)))
    results = list(zip(named, inbox.record(read), strict=True))
    causes: dict[tuple[str, str], list[tuple[str | None, RowProblem]]] = {}
    for id_, one in results:
        if one.problem is not None:
            causes.setdefault((one.problem.field, one.problem.rule), []).append((id_, one.problem))
    if causes:
        with inbox.store.begin() as conn:
            new = [_exception(found) for found in causes.values()]
            inbox.store.exceptions.raise_many(conn, inbox.link, new, run_key)
    return results


def _read(raw: Any, now: datetime) -> MovementRow | RowProblem:
    if isinstance(raw, Mapping):
        return unknown_field(raw) or read_row(raw, now)
    cure = "Send objects with id, sku, location, quantity or counted, and at."
    return RowProblem("movements", "are objects", "a movement is no object", cure)


def _id(raw: Any) -> str | None:
    """A row's id as it can be shown; ``None`` when it has none."""
    value = raw.get("id") if isinstance(raw, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return visible(str(value).strip())[:LONGEST_IDENTIFIER] or None


def _exception(found: Sequence[tuple[str | None, RowProblem]]) -> NewException:
    problem = found[0][1]
    ids = [id_ for id_, _ in found if id_][:_NAMED]
    which = f" ({', '.join(ids)})" if ids else ""
    return NewException(
        kind=Kind.BAD_MOVEMENT,
        cause_key=f"api/{problem.field}/{problem.rule}",
        record="endpoint for movements",
        field=problem.field,
        rule=problem.rule,
        message=f"{len(found)} movements of the last request with such were rejected{which}: {problem.message}.",
        cure=f"{problem.cure} Have the sender correct and send them again, then close this.",
        owner=Owner.RETAIL_OPS,
        payload={"ids": ids, "count": len(found)},
    )
