"""What people decide about single kiosk orders. Every word of theirs raises the row's revision, see ``orders``.

All methods work in the caller's transaction, which has locked the order (:meth:`cogent_ops.store.orders.Captures.get`
with ``lock``), so that what was decided rests on what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from cogent_ops.domain.order_states import NO_STOCK, REJECTED, STOCK
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.store.engine import Database
from cogent_ops.store.orders import Capture, CaptureState, Origin
from cogent_ops.store.schema import order_capture, order_contact
from cogent_ops.store.sql import Values, now, upsert

ON_A_PERSONS_WORD = "goes on, on a person's word"
REJECTED_BY_A_PERSON = "rejected by a person"

_C, _T = order_capture.c, order_contact.c


@dataclass(frozen=True)
class Entered:
    """A commercetools order that a person made for a kiosk order.

    :param number: its ``orderNumber``, or its id where it has none.
    :param total: in minor units of ``currency``.
    :param deducts: whether commercetools has taken its units off stock itself.
    :param status: what kiosk orders it is like, as far as its states tell.
    """

    order_id: str
    ct_order_id: str
    number: str
    currency: str
    total: int
    deducts: bool
    status: OrderStatus | None = None
    payment_id: str | None = None


class OrderDecisions:
    """Decisions about the orders of all links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_held(self, conn: Connection, link: str, order_id: str) -> bool:
        """Whether a run works on the order at this moment."""
        query = select(_C.lease_until).where(_C.link == link, _C.order_id == order_id)
        lease = conn.execute(query).scalar_one_or_none()
        return lease is not None and lease > self._database.epoch(conn)

    def edit(self, conn: Connection, link: str, order: Capture, edits: Mapping[str, str], actor: str) -> None:
        """Replace all corrections of an order."""
        self._decide(conn, link, order, actor, {"edits": dict(edits)})

    def set_contact(self, conn: Connection, link: str, order_id: str, email: str | None) -> None:
        """Keep a customer's address until the order is captured; ``None`` forgets it."""
        if email is None:
            conn.execute(delete(order_contact).where(_T.link == link, _T.order_id == order_id))
        else:
            row = {"link": link, "order_id": order_id, "email": email, "updated_at": now()}
            upsert(conn, order_contact, [row])

    def replay(self, conn: Connection, link: str, order: Capture, actor: str) -> None:
        """Let an order be looked at, and told of, at once; its number and so its idempotency stay.

        A rejection ends with it.
        """
        moment = now()
        again: Values = {
            "due_at": moment,
            "tell_at": None if order.tell_at is None else moment,
            "attempts": 0,
            "edits": {name: value for name, value in order.edits.items() if name != REJECTED},
        }
        # One that was captured stays so, and one that may have been sent must be looked up first.
        if order.state in (CaptureState.REVIEW, CaptureState.EXCLUDED) and order.ct_order_id is None:
            again |= {"state": CaptureState.WAITING, "reason": ON_A_PERSONS_WORD}
        self._decide(conn, link, order, actor, again)

    def exclude(
        self, conn: Connection, link: str, order: Capture, status: OrderStatus, reason: str, actor: str
    ) -> None:
        """Take an order off the list for good, unless it becomes a sale that it was not.

        :param status: the one that counts, see :func:`cogent_ops.domain.order_states.effective`.
        """
        excluded: Values = {
            "state": CaptureState.EXCLUDED,
            "reason": f"{REJECTED_BY_A_PERSON}: {reason}",
            "due_at": None,
            "edits": {**order.edits, REJECTED: status.value},
        }
        self._decide(conn, link, order, actor, excluded)

    def enter(self, conn: Connection, link: str, order: Capture, entered: Entered, actor: str) -> None:
        """Take a person's commercetools order for the order's own."""
        moment = now()
        landed: Values = {
            "state": CaptureState.CAPTURED,
            "reason": None,
            "due_at": None,
            "attempts": 0,
            "origin": Origin.HAND,
            "ct_order_id": entered.ct_order_id,
            "payment_id": entered.payment_id,
            "captured_status": order.status,
            "shop_status": entered.status,
            "currency": entered.currency,
            "total": entered.total,
            "tell_at": moment,
            "captured_at": moment,
        }
        if entered.deducts:
            landed["edits"] = {**order.edits, STOCK: NO_STOCK}
        self._decide(conn, link, order, actor, landed)

    def _decide(self, conn: Connection, link: str, order: Capture, actor: str, values: Values) -> None:
        said: Values = {"decided_by": actor, "revision": _C.revision + 1, "updated_at": now()}
        mine = update(order_capture).where(_C.link == link, _C.order_id == order.order_id)
        conn.execute(mine.values(**values, **said))
