"""How orders come onto the list of captures: in the transaction in which the poll stores them.

What an order alone tells is settled there: a basket or an internal session never costs a round, and an order that waits
for its payment is left alone until its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from cogent_ops.config import LinkConfig
from cogent_ops.domain.order_draft import order_number
from cogent_ops.domain.order_states import Outcome
from cogent_ops.domain.orders import KioskOrder, capture_hash, email_of, read_order
from cogent_ops.services.orders.judgement import judge, sold_at
from cogent_ops.services.stock.start import started_at
from cogent_ops.store import Store
from cogent_ops.store.orders import CaptureState, Queued
from cogent_ops.store.stock import StoredOrder

NOT_LOOKED_AT = "is to be looked at"
#: Watermark: when all orders of an older release had come onto the list.
ADOPTED = "kiosk_orders_adopted"
#: Orders put on the list in one transaction.
PORTION = 500

_STATES = {Outcome.EXCLUDE: CaptureState.EXCLUDED}


class OrderIntake:
    """Puts a link's orders onto the list."""

    def __init__(self, config: LinkConfig, store: Store) -> None:
        self.config, self.store, self.rules = config, store, config.orders

    def email(self, raw: Mapping[str, object]) -> str | None:
        """The customer's address in an order as Cloudshelf gives it, where it may be kept."""
        if self.rules.email == "never":
            return None
        return email_of(raw, self.rules.email_attribute)

    def queue(
        self,
        conn: Connection,
        orders: Iterable[KioskOrder],
        stored: Mapping[str, StoredOrder],
        emails: Mapping[str, str],
        start: datetime | None,
    ) -> int:
        """Put orders onto the list; returns how many there is something to do about.

        :param stored: by id, what was known of them before.
        :param emails: by id.
        :param start: what was sold before is left out.
        """
        moment = datetime.now(UTC)
        queued = [
            self._queued(order, stored.get(order.id), emails.get(order.id), start, moment) for order in orders
        ]
        return self.store.captures.queue(conn, self.config.name, queued)

    def adopt(self) -> int:
        """Put stored orders onto the list that are not on it, as an older release left them; returns how many.

        That happens once: from then on every order is stored with its row.
        """
        link, adopted = self.config.name, 0
        if self.store.watermarks.get(link, ADOPTED) is not None:
            return 0
        start = started_at(self.config, self.store)
        while contents := self.store.captures.unqueued(link, PORTION):
            orders = [read_order(content) for content in contents]
            with self.store.begin() as conn:
                self.queue(conn, orders, {}, {}, start)
            adopted += len(orders)
        with self.store.begin() as conn:
            self.store.watermarks.set(conn, link, ADOPTED, datetime.now(UTC))
        return adopted

    def _queued(
        self,
        order: KioskOrder,
        before: StoredOrder | None,
        email: str | None,
        start: datetime | None,
        now: datetime,
    ) -> Queued:
        decision = judge(order, None, self.rules, start=start, now=now)
        # Of an order that retention has emptied nobody can say what changed, so it counts as changed.
        old = read_order(before.content) if before is not None and before.content else None
        is_settled = decision.outcome in (Outcome.EXCLUDE, Outcome.WAIT)
        return Queued(
            order_id=order.id,
            order_number=order_number(order, self.rules),
            status=order.status,
            state=_STATES.get(decision.outcome, CaptureState.WAITING),
            reason=decision.reason if is_settled else NOT_LOOKED_AT,
            due_at=decision.due_at if is_settled else now,
            place=place_name(order),
            currency=order.session.currency or None,
            units=sum(line.quantity for line in order.lines),
            ordered_at=order.created_at,
            changed_at=order.updated_at,
            confirmed_at=sold_at(order, self.rules),
            changed=old is None or capture_hash(old) != capture_hash(order),
            renamed=old is not None and old.third_party_id != order.third_party_id,
            email=email,
        )


def place_name(order: KioskOrder) -> str:
    """The store that sold it, as people name it; empty where the order does not say."""
    return order.location_name or order.session.store
