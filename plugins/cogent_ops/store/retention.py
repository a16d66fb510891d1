"""What is not needed any more, found and emptied a batch at a time. Rows that accounting counts stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, delete, exists, literal, select, update

from cogent_ops.domain.exceptions import OPEN, order_cause
from cogent_ops.domain.health.model import Flow
from cogent_ops.store.alerts import AlertState
from cogent_ops.store.engine import Database
from cogent_ops.store.orders import CaptureState
from cogent_ops.store.schema import (
    alert,
    exception,
    health_sample,
    kiosk_order,
    order_capture,
    order_contact,
)
from cogent_ops.store.sql import lock

#: Orders with which nothing is to be done any more, unless they change.
_DONE = (CaptureState.CAPTURED, CaptureState.EXCLUDED)


class Retention:
    """Empties what has grown old, for all links. Every method does one batch of at most ``limit`` rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forget_contacts(self, link: str, before: datetime, limit: int) -> int:
        """Delete addresses of orders that are done with; how many.

        :param before: the last time that an address was read or given.
        """
        c = order_contact.c
        is_done = exists().where(
            order_capture.c.link == c.link,
            order_capture.c.order_id == c.order_id,
            order_capture.c.state.in_(_DONE),
        )
        old = and_(c.link == link, c.updated_at < before, is_done)
        with self._database.begin() as conn:
            found = conn.execute(select(c.order_id).where(old).order_by(c.order_id).limit(limit))
            locked = lock(conn, c.order_id, found.scalars().all(), c.link == link)
            return int(conn.execute(delete(order_contact).where(old, c.order_id.in_(locked))).rowcount)

    def empty_orders(self, link: str, before: datetime, limit: int) -> int:
        """Drop the contents of orders that are done with and have no open exception; how many.

        The hash of what was read stays, so that the next poll does not take the order for a changed one.

        :param before: the order's last change in Cloudshelf.
        """
        k, o, e = kiosk_order.c, order_capture.c, exception.c
        is_done = exists().where(
            o.link == k.link, o.order_id == k.order_id, o.state.in_(_DONE), o.due_at.is_(None)
        )
        is_open = exists().where(
            e.link == k.link, e.cause_key == literal(order_cause("")) + k.order_id, e.status.in_(OPEN)
        )
        old = and_(k.link == link, k.modified_at < before, ~k.recheck, _is_full(k.content), is_done, ~is_open)
        with self._database.begin() as conn:
            found = conn.execute(select(k.order_id).where(old).order_by(k.order_id).limit(limit))
            locked = lock(conn, k.order_id, found.scalars().all(), k.link == link)
            emptied = update(kiosk_order).where(old, k.order_id.in_(locked)).values(content={})
            return int(conn.execute(emptied).rowcount)

    def empty_payloads(self, link: str, before: datetime, limit: int) -> int:
        """Drop the payloads of exceptions that were closed before a moment; how many."""
        e = exception.c
        old = and_(e.link == link, e.status.not_in(OPEN), e.resolved_at < before, _is_full(e.payload))
        with self._database.begin() as conn:
            causes = select(e.kind, e.cause_key).where(old).order_by(e.kind, e.cause_key).limit(limit)
            emptied = 0
            found = [(row.kind, row.cause_key) for row in conn.execute(causes)]
            for kind, keys in _by_kind(found):
                emptied += self._empty_payloads(conn, and_(old, e.kind == kind), keys)
            return emptied

    def delete_alerts(self, link: str, before: datetime, limit: int) -> int:
        """Delete messages that were written before a moment and do not wait any more; how many."""
        a = alert.c
        old = select(a.id).where(a.link == link, a.state != AlertState.WAITING, a.created_at < before)
        with self._database.begin() as conn:
            gone = conn.execute(delete(alert).where(a.id.in_(old.order_by(a.id).limit(limit))))
            return int(gone.rowcount)

    def delete_samples(self, link: str, before: datetime, limit: int) -> int:
        """Delete measurements of sync health that were taken before a moment; how many."""
        s = health_sample.c
        gone = 0
        with self._database.begin() as conn:
            for flow in Flow:
                # Of one flow, the index has them in the order in which they were taken.
                old = select(s.at).where(s.link == link, s.flow == flow, s.at < before)
                oldest = conn.execute(old.order_by(s.at).limit(limit - gone)).scalars().all()
                if oldest:
                    until = (s.link == link, s.flow == flow, s.at <= oldest[-1])
                    gone += conn.execute(delete(health_sample).where(*until)).rowcount
        return gone

    @staticmethod
    def _empty_payloads(conn: Connection, old: ColumnElement[bool], causes: Sequence[str]) -> int:
        locked = lock(conn, exception.c.cause_key, causes, old)
        emptying = update(exception).where(old, exception.c.cause_key.in_(locked)).values(payload={})
        return int(conn.execute(emptying).rowcount)


def _is_full(content: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a JSON object holds anything: it is kept as it was written, and the empty one has one form."""
    return cast(content, Text) != "{}"


def _by_kind(causes: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    kinds = dict.fromkeys(kind for kind, _ in causes)
    return [(kind, [key for its_kind, key in causes if its_kind == kind]) for kind in kinds]
