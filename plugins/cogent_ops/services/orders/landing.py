"""One order into commercetools, exactly once, and later what happens to it there.

The order's number is unique in the project and made of the kiosk order's id, and so is its payment's key. So whatever
was sent before, by whoever, and whatever answers were lost: a second import is refused, and what is there is looked at.
It is taken for ours only when it names the kiosk order and has its total and its lines.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cogent_ops.clients.commercetools import NAME, CommercetoolsClient, Conflict, Created, Exists
from cogent_ops.domain.exceptions import Kind
from cogent_ops.domain.order_changes import changes, not_ours, shop_status
from cogent_ops.domain.order_draft import Draft
from cogent_ops.domain.order_payment import payment_draft, payment_fits
from cogent_ops.domain.order_problems import Problem
from cogent_ops.domain.orders import KioskOrder
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import AmbiguousOutcome, ApiRejected

log = logging.getLogger(__name__)

Json = dict[str, Any]

#: How often an order is changed while it is being changed by others, or answers are lost.
TRIES = 6


@dataclass(frozen=True)
class Landing:
    """An order that is in commercetools, in the state that it should be in.

    :param is_new: whether this call imported it.
    :param problem: what a person must say before everything is done.
    """

    ct_order: Json
    payment: Json | None
    is_new: bool
    problem: Problem | None = None

    @property
    def payment_id(self) -> str | None:
        """Id of its payment."""
        return None if self.payment is None else str(self.payment["id"])

    @property
    def shop_status(self) -> OrderStatus | None:
        """What commercetools says that it is."""
        return shop_status(self.ct_order, self.payment)


class OrderLander:
    """Brings single orders to commercetools. Threads may share it."""

    def __init__(self, client: CommercetoolsClient) -> None:
        self.client = client

    def land(
        self,
        order: KioskOrder,
        status: OrderStatus,
        draft: Draft,
        edits: Mapping[str, str],
        *,
        there: Json | None = None,
        look_first: bool = False,
    ) -> Landing | Problem:
        """Import an order and its payment, unless it is there, and bring it to its state.

        :param status: the state that counts.
        :param there: an order of its number that was found.
        :param look_first: something may have been sent before, so look before anything is sent.
        :return: a problem when another order has its number.
        :raises AmbiguousOutcome: when nobody knows whether it was imported; look first the next time.
        :raises ApiRejected: when commercetools refuses it.
        """
        found = there or (self.lookup(draft.number) if look_first else None)
        payment = None
        if found is None:
            payment, is_first = self._payment(draft, order)
            if not is_first and not look_first:
                # Somebody was here before, whatever our own records say.
                found = self.lookup(draft.number)
        if found is None:
            payment = self._fitting(payment, draft, order)
            found, is_new = self._import(draft, payment)
        else:
            is_new = False
        why = None if is_new else not_ours(found, order.id, draft)
        if why is not None:
            return _conflict(draft.number, why)
        payment = payment if is_new else self._payment_of(found, draft.number)
        return self._settled(order, status, found, payment, edits, draft.number, is_new=is_new)

    def change(
        self,
        order: KioskOrder,
        status: OrderStatus,
        edits: Mapping[str, str],
        *,
        ct_order_id: str,
        payment_id: str | None,
        number: str,
    ) -> Landing | Problem:
        """Bring an order that was captured before to a later state.

        :return: a problem when commercetools does not have it any more.
        :raises AmbiguousOutcome: when nobody knows whether it was changed; try again.
        :raises ApiRejected: when commercetools refuses it.
        """
        ct_order = self.client.get("orders", ct_order_id)
        if ct_order is None:
            return _gone(ct_order_id)
        payment = (
            self.client.get("payments", payment_id) if payment_id else self._payment_of(ct_order, number)
        )
        return self._settled(order, status, ct_order, payment, edits, number, is_new=False)

    def lookup(self, number: str) -> Json | None:
        """The order of a number."""
        return self.client.get("orders", key=number)

    # The payment

    def _payment(self, draft: Draft, order: KioskOrder) -> tuple[Json | None, bool]:
        """The payment by the order's number, and whether nobody had made one before."""
        wanted = payment_draft(draft, order)
        if wanted is None:
            return None, True
        ensured = self.client.ensure("payments", wanted)
        return ensured.resource, ensured.created

    def _fitting(self, payment: Json | None, draft: Draft, order: KioskOrder) -> Json | None:
        """The payment, made anew when the order was corrected since; no order has it yet."""
        if payment is None or payment_fits(payment, draft):
            return payment
        self.client.delete("payments", payment["id"], payment["version"])
        made, is_first = self._payment(draft, order)
        if not is_first:
            raise AmbiguousOutcome(f"The payment '{draft.number}' is being changed by somebody else.")
        return made

    def _payment_of(self, ct_order: Json, number: str) -> Json | None:
        """The payment of an order that is there: its own first one, or the one that was made for it."""
        attached = (ct_order.get("paymentInfo") or {}).get("payments") or ()
        if attached:
            return self.client.get("payments", attached[0]["id"])
        return self.client.get("payments", key=number)

    # The order

    def _import(self, draft: Draft, payment: Json | None) -> tuple[Json, bool]:
        """The order, and whether it was surely made by this call."""
        body = dict(draft.body)
        if payment is not None:
            body["paymentInfo"] = {"payments": [{"typeId": "payment", "id": payment["id"]}]}
        made: Created | Exists
        try:
            made = self.client.create("orders/import", body)
        except AmbiguousOutcome as error:
            log.info("order %s is looked up, its import got no certain answer: %s", draft.number, error)
            found = self.lookup(draft.number)
            if found is not None:
                return found, False
            # The first request may still be under way; then commercetools refuses the second as a duplicate.
            made = self.client.create("orders/import", body)
        if isinstance(made, Created):
            return made.resource, True
        found = self.lookup(draft.number)
        if found is None:
            raise ApiRejected(
                NAME, "DuplicateField", f"the value of '{made.field}' is taken by another order"
            )
        return found, False

    def _settled(
        self,
        order: KioskOrder,
        status: OrderStatus,
        ct_order: Json,
        payment: Json | None,
        edits: Mapping[str, str],
        number: str,
        *,
        is_new: bool,
    ) -> Landing:
        """Send what is left to do, computed anew after every answer, until nothing is."""
        for _ in range(TRIES):
            left = changes(order, status, ct_order, payment, edits, number=number)
            if not left:
                return Landing(ct_order, payment, is_new, left.problem)
            try:
                if left.payment_actions and payment is not None:
                    payment = self._updated("payments", payment, left.payment_actions)
                if left.order_actions:
                    ct_order = self._updated("orders", ct_order, left.order_actions)
            except _Again:
                ct_order = self._read_again("orders", ct_order)
                payment = None if payment is None else self._read_again("payments", payment)
        raise AmbiguousOutcome(f"Order {number} is changed all the time.")

    def _updated(self, resource: str, before: Json, actions: tuple[Json, ...]) -> Json:
        try:
            answer = self.client.update(resource, before["id"], before["version"], actions)
        except AmbiguousOutcome as error:
            log.info("%s %s is read again, its change got no certain answer", resource, before["id"])
            raise _Again from error
        if isinstance(answer, Conflict):
            raise _Again
        return answer.resource

    def _read_again(self, resource: str, before: Json) -> Json:
        found = self.client.get(resource, before["id"])
        if found is None:
            raise ApiRejected(NAME, "ResourceNotFound", f"{resource} {before['id']} has just gone")
        return found


class _Again(Exception):
    """What was read is old; read and compute again."""


def _conflict(number: str, why: str) -> Problem:
    return Problem(
        Kind.ORDER_CONFLICT,
        "orderNumber",
        "belongs to the kiosk order",
        f"commercetools has an order {number} already, and {why}.",
        "Look at both orders. If the one in commercetools is this sale, link it; else enter the kiosk order by hand "
        "under another number, and link that.",
    )


def _gone(ct_order_id: str) -> Problem:
    return Problem(
        Kind.ORDER_CONFLICT,
        "id",
        "is in commercetools",
        f"The order was captured as {ct_order_id}, which commercetools does not have any more.",
        "Find out who deleted it (Merchant Center, order history) and enter it again by hand where it was a mistake.",
    )
