"""What Cloudshelf is still to be told of captured orders, and what commercetools says of them by now.

A row is due once ``tell_at`` has come. Whoever claims it moves that on, so that another process takes it up again
should this one die, and that moment is the claim: only who still has it takes the row off the list. The status is
noted before it is sent, for the poll may see it come back before the answer arrives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, case, exists, func, null, select, update
from sqlalchemy.sql import ColumnElement

from cogent_ops.domain.rules import OrderStatus
from cogent_ops.store.engine import Database
from cogent_ops.store.orders import FIELDS, Capture, as_capture, change
from cogent_ops.store.schema import order_capture
from cogent_ops.store.sql import chunks, now

_C = order_capture.c


@dataclass(frozen=True)
class Told:
    """What Cloudshelf knows of a claimed order now.

    :param told_id: the commercetools order's id; ``None``: as before.
    :param told_status: likewise the status.
    """

    claimed: Capture
    told_id: str | None = None
    told_status: OrderStatus | None = None


class OrderNews:
    """The news of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def has_news(self, link: str, moment: datetime) -> bool:
        """Whether Cloudshelf should be told of some order by now."""
        with self._database.read() as conn:
            return bool(conn.execute(select(exists().where(_is_due(link, moment)))).scalar_one())

    def claim(self, link: str, moment: datetime, *, limit: int, until: datetime) -> list[Capture]:
        """Take orders of which Cloudshelf should be told, those that wait longest first.

        :param until: nobody else takes them before; it is their ``tell_at`` now.
        """
        due = select(*FIELDS).where(_is_due(link, moment)).order_by(_C.tell_at, _C.order_id).limit(limit)
        with self._database.begin() as conn:
            found = [as_capture(row) for row in conn.execute(due.with_for_update(skip_locked=True))]
            for chunk in chunks(one.order_id for one in found):
                taking = update(order_capture).where(_C.link == link, _C.order_id.in_(chunk))
                conn.execute(taking.values(tell_at=until, tell_attempts=_C.tell_attempts + 1))
        return [replace(one, tell_at=until, tell_attempts=one.tell_attempts + 1) for one in found]

    def about_to_tell(self, link: str, statuses: Mapping[str, OrderStatus]) -> None:
        """Note statuses, by order, that are sent now."""
        with self._database.begin() as conn:
            rows = [{"id": id_, "to_told_status": status.value} for id_, status in sorted(statuses.items())]
            change(conn, link, rows)

    def told(self, conn: Connection, link: str, done: Iterable[Told]) -> None:
        """Take orders off the list, unless there is more to tell since they were claimed."""
        rows = [
            {
                "id": one.claimed.order_id,
                "claim": one.claimed.tell_at,
                "to_told_id": one.told_id,
                "to_told_status": one.told_status,
                "to_updated_at": now(),
            }
            for one in sorted(done, key=lambda one: one.claimed.order_id)
        ]
        if not rows:
            return
        status = bindparam("to_told_status", type_=_C.told_status.type)
        telling = (
            update(order_capture)
            .where(_C.link == link, _C.order_id == bindparam("id"))
            .values(
                told_id=func.coalesce(bindparam("to_told_id", type_=_C.told_id.type), _C.told_id),
                told_status=func.coalesce(status, _C.told_status),
                captured_status=func.coalesce(status, _C.captured_status),
                tell_at=case((_is_claimed(), null()), else_=_C.tell_at),
                tell_attempts=0,
                updated_at=bindparam("to_updated_at"),
            )
        )
        conn.execute(telling, rows)

    def postpone(self, conn: Connection, link: str, moments: Iterable[tuple[Capture, datetime]]) -> None:
        """Let claimed orders be told at these moments instead, unless there is more to tell sooner."""
        rows = [
            {"id": one.order_id, "claim": one.tell_at, "to_tell_at": moment}
            for one, moment in sorted(moments, key=lambda pair: pair[0].order_id)
        ]
        if rows:
            mine = and_(_C.link == link, _C.order_id == bindparam("id"), _is_claimed())
            conn.execute(update(order_capture).where(mine).values(tell_at=bindparam("to_tell_at")), rows)

    def saw_shop(
        self, conn: Connection, link: str, seen: Mapping[str, OrderStatus | None], tell: Collection[str]
    ) -> None:
        """Note what commercetools says that orders are.

        :param tell: those of them of which Cloudshelf should hear at once.
        """
        moment = now()
        quiet = [
            {"id": id_, "to_shop_status": status, "to_updated_at": moment}
            for id_, status in sorted(seen.items())
            if id_ not in tell
        ]
        loud = [
            {"id": id_, "to_shop_status": seen[id_], "to_tell_at": moment, "to_updated_at": moment}
            for id_ in sorted(tell)
        ]
        change(conn, link, quiet)
        change(conn, link, loud)


def _is_due(link: str, moment: datetime) -> ColumnElement[bool]:
    return and_(_C.link == link, _C.tell_at <= moment, _C.ct_order_id.is_not(None))


def _is_claimed() -> ColumnElement[bool]:
    """Whether a row's time is still the one that the claim gave it."""
    return _C.tell_at == bindparam("claim", type_=_C.tell_at.type)
