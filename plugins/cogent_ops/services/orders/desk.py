"""What a person may do about one kiosk order: correct it, see what would be sent, let it go on, link it, reject it.

Whoever asks commercetools or needs it to judge a correction does so before the transaction (:meth:`OrderDesk.check`,
:meth:`OrderDesk.find`, :meth:`OrderDesk.dry_run`); what changes something works in the caller's, so that a decision and
its record are one. There the locks are taken in one order: the link's stock, the order, then its exceptions.

Everything may be asked for twice. What cannot be done is refused with a sentence for the person, and nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import Connection

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import SUPPLY_ROLE
from cogent_ops.domain.exceptions import ORDER_KINDS, Kind, order_cause
from cogent_ops.domain.money import Money, show
from cogent_ops.domain.order_changes import shop_status, source_of
from cogent_ops.domain.order_draft import Draft
from cogent_ops.domain.order_edits import (
    EMAIL_EDIT,
    LOCATION_EDIT,
    PAID_EDIT,
    REFUND_EDIT,
    REFUND_EDITS,
    SKU_EDIT,
    EditError,
    check_edit,
    check_name,
    refund_of,
)
from cogent_ops.domain.order_payment import Balance
from cogent_ops.domain.order_problems import Problem
from cogent_ops.domain.order_states import REJECTED, effective
from cogent_ops.domain.orders import KioskOrder, read_order
from cogent_ops.domain.rules import LocationOverride, OrderStatus
from cogent_ops.domain.stock import Place
from cogent_ops.errors import PermanentError
from cogent_ops.services.notes import LONGEST_NOTE
from cogent_ops.services.orders.described import TAKEN_BACK, described, lacking
from cogent_ops.services.orders.shop import payment_ids, together
from cogent_ops.services.stock.entries import known_skus
from cogent_ops.services.stock.orders import UNKNOWN_BOTH, UNKNOWN_VARIANT, unknown_at
from cogent_ops.services.stores import Stores
from cogent_ops.store import Store
from cogent_ops.store.order_decisions import Entered
from cogent_ops.store.orders import Capture, CaptureState, Work

Raw = Mapping[str, Any]

GIVEN = "(given)"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Keys of stores that a refusal names at most.
_SUGGESTED = 5
#: Why a movement stays in review although its location has become known.
_STILL = {UNKNOWN_BOTH: UNKNOWN_VARIANT, UNKNOWN_VARIANT: UNKNOWN_VARIANT}


class Refused(PermanentError):
    """Something that cannot be done to an order, in words for the person who asked for it."""


class Preview(Protocol):
    """Says what would be sent of an order, or all that keeps it from being sent."""

    def preview(self, work: Work) -> Draft | tuple[Problem, ...]:
        """Read what it takes, and send nothing."""


@dataclass(frozen=True)
class Edits:
    """Corrections of an order that were checked.

    :param values: by name; ``None`` takes one back. They may hold an e-mail address.
    :param shown: the same for people and records: without it.
    """

    order_id: str
    values: Mapping[str, str | None] = field(repr=False)
    shown: Mapping[str, str]


class OrderDesk:
    """The orders of a link.

    :param capture: says what would be sent.
    :param project: the commercetools project as its rate budget names it.
    :param locations: what ``include/locations.yaml`` says, by Channel key.
    :param run_key: names the decision in exceptions that it closes.
    """

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: CommercetoolsClient,
        capture: Preview,
        project: str,
        *,
        locations: Mapping[str, LocationOverride],
        run_key: str | None = None,
    ) -> None:
        self.config, self.store, self.client, self.capture = config, store, client, capture
        self.project, self.locations = project, locations
        self._link, self._run_key = config.name, run_key or uuid4().hex

    # Corrections

    def check(self, order_id: str, edits: Mapping[str, str]) -> Edits:
        """Check corrections; commercetools is asked whether what they name exists.

        :param edits: by name, see :mod:`cogent_ops.domain.order_edits`; an empty value takes one back.
        :raises PermanentError: saying what is wrong with the first that cannot be taken.
        """
        if not edits:
            raise EditError("Say what to correct, e.g. location=berlin-mitte.")
        with self.store.read() as conn:
            capture = self._known(conn, order_id)
            content = self.store.captures.content(conn, self._link, order_id)
        self._require_editable(capture, edits)
        order = read_order(_whole(capture, content))
        values = {name: self._checked(order, name, value) for name, value in edits.items()}
        self._require_paid(capture, values.get(REFUND_EDIT))
        return Edits(order_id, values, {name: _shown(name, value) for name, value in values.items()})

    def _checked(self, order: KioskOrder, name: str, value: str) -> str | None:
        """A correction in the form in which it is stored.

        :raises EditError: naming it: a form may hold many.
        """
        check_name(name)
        try:
            return self._as_stored(order, name, value)
        except EditError as error:
            raise EditError(f"{name}: {error}") from None

    def _as_stored(self, order: KioskOrder, name: str, value: str) -> str | None:
        if not value.strip():
            if name == LOCATION_EDIT:
                raise EditError("A location cannot be taken back; give the key of the right supply Channel.")
            return None
        if name == LOCATION_EDIT:
            return self._supplier(order, value.strip())
        found = check_edit(order, name, value, self.config.currency)
        if name.partition(".")[0] == SKU_EDIT and not known_skus(self.client, [found]):
            raise EditError(f"commercetools has no article with the SKU '{found}'.")
        if name == EMAIL_EDIT and self.config.orders.email == "never":
            raise EditError("The configuration says that no e-mail addresses are kept (orders.email: never).")
        return found

    def _supplier(self, order: KioskOrder, given: str) -> str:
        """The key of a supply Channel: the one that was typed, or that of the only store with the name typed."""
        try:
            key = check_edit(order, LOCATION_EDIT, given, self.config.currency)
            channel = self.client.get("channels", key=key)
        except EditError:  # no key, so it can only be a name
            channel = None
        if channel is None:
            return self._named_supplier(given)
        if SUPPLY_ROLE not in channel["roles"]:
            raise EditError(f"The Channel '{given}' holds no stock: it has not the role {SUPPLY_ROLE}.")
        return given

    def _named_supplier(self, given: str) -> str:
        stores = Stores.read(self.client, self.locations, self.config.locales)
        called = stores.called(given)
        if len(called) == 1:
            return called[0]
        if called:
            listed = ", ".join(called[:_SUGGESTED])
            raise EditError(f"Several stores are called '{given[:80]}': {listed}. Give the key of one.")
        suggested = stores.near(given, _SUGGESTED) or sorted(stores)[:_SUGGESTED]
        listed = ", ".join(suggested) or "none that holds stock"
        raise EditError(f"commercetools has no Channel with the key '{given[:80]}'. There are: {listed}.")

    def _require_editable(self, order: Capture, names: Iterable[str]) -> None:
        """See that of an order that is in commercetools nothing but a refund is corrected."""
        others = [name for name in names if name not in REFUND_EDITS]
        if order.ct_order_id is not None and others:
            raise Refused(
                f"{_named(order)} is in commercetools already, so {', '.join(sorted(others))} cannot be corrected here "
                "any more; change the order there."
            )

    def _require_paid(self, order: Capture, refund: str | None) -> None:
        """See that no more is refunded than was paid, as far as a payment tells."""
        payment = self.client.get("payments", order.payment_id) if refund and order.payment_id else None
        named = refund_of({REFUND_EDIT: refund}, self.config.currency) if refund else None
        if payment is None or named is None:
            return
        charged = Balance.of(payment).charged
        if named.cents > charged.cents:
            raise EditError(f"{show(named)} cannot have been refunded: the customer paid {show(charged)}.")

    def edit(self, conn: Connection, edits: Edits, actor: str) -> None:
        """Store corrections. They start nothing by themselves; a new location lets the order's units be taken there.

        :raises PermanentError: when the order cannot be corrected at this moment.
        """
        order = self._locked(conn, edits.order_id)
        self._require_free(conn, order)
        self._require_editable(order, edits.values)
        if EMAIL_EDIT in edits.values:
            email = edits.values[EMAIL_EDIT]
            self.store.order_decisions.set_contact(conn, self._link, order.order_id, email)
        self.store.order_decisions.edit(conn, self._link, order, _together(order.edits, edits), actor)
        location = edits.values.get(LOCATION_EDIT)
        if location is not None:
            with self._identified(conn, order):
                self.store.order_effects.move(
                    conn, self._link, self.project, order.order_id, location, _STILL
                )

    # Going on

    def dry_run(self, order_id: str, edits: Edits | None = None) -> str:
        """What would be sent now, or what is missing; nothing is sent or kept. It says nothing about the customer.

        :param edits: what to count with besides what is kept.
        :raises RetryableError: when commercetools is out of reach.
        """
        with self.store.read() as conn:
            work = self.store.captures.work(conn, self._link, order_id)
        if work is None:
            raise _unknown(order_id)
        order = work.capture
        if order.ct_order_id is not None:
            return f"{_named(order)} is in commercetools already: order {order.ct_order_id}."
        if order.state is CaptureState.EXCLUDED:
            return f"{_named(order)} is excluded, so nothing is sent: {order.reason}."
        if edits is not None:
            work = _tried(work, edits)
        found = self.capture.preview(work)
        if isinstance(found, Draft):
            return described(found, order.reason or "", is_addressed=work.email is not None)
        return lacking(order.order_number, found)

    def replay(self, conn: Connection, order_id: str, actor: str) -> None:
        """Let an order be looked at at once. It keeps its number, so it cannot be sent twice.

        One that was rejected goes on like any other, and takes its units again.
        """
        order = self._locked(conn, order_id)
        if order.ct_order_id is None:
            _whole(order, self.store.captures.content(conn, self._link, order_id))
        self.store.order_decisions.replay(conn, self._link, order, actor)
        if REJECTED in order.edits:
            self.store.stock.read_again(conn, self._link, order_id)

    def approve(self, conn: Connection, order_id: str, actor: str) -> None:
        """Take an order for paid on a person's word, and let it go on.

        :raises PermanentError: when it is in no state in which that is the question.
        """
        order = self._locked(conn, order_id)
        if order.ct_order_id is None:
            if order.status in (OrderStatus.DRAFT_BASKET, OrderStatus.VOIDED):
                raise Refused(f"{_named(order)} is {order.status} in Cloudshelf, so nobody can have paid it.")
            if order.status == OrderStatus.PLACED:
                self._require_free(conn, order)
                edits = {**order.edits, PAID_EDIT: "yes"}
                self.store.order_decisions.edit(conn, self._link, order, edits, actor)
        self.replay(conn, order_id, actor)

    # Linking

    def find(self, order_id: str, number: str) -> Entered:
        """The commercetools order that a person made for a kiosk order.

        :param number: its ``orderNumber``, or its id.
        :raises PermanentError: when there is none, or it cannot be the kiosk order's.
        """
        with self.store.read() as conn:
            order = self._known(conn, order_id)
        number = number.strip()
        found = self._shop_order(number)
        if found is None:
            raise Refused(f"commercetools has no order with the number or id '{number[:80]}'.")
        named = source_of(found)
        if named not in (None, order_id):
            raise Refused(f"Order {number} belongs to another kiosk order: {named}.")
        total = Money.of(found["totalPrice"])
        if total.currency != self.config.currency:
            raise Refused(
                f"Order {number} is in {total.currency}; this link sells in {self.config.currency}."
            )
        if found.get("orderState") == "Cancelled":
            raise Refused(
                f"Order {number} is cancelled in commercetools, so it cannot stand for {_named(order)}."
            )
        return self._entered(order_id, found, total)

    def _shop_order(self, number: str) -> Raw | None:
        if not number:
            return None
        found = self.client.get("orders", key=number)
        return self.client.get("orders", number) if found is None and _ID.fullmatch(number) else found

    def _entered(self, order_id: str, found: Raw, total: Money) -> Entered:
        ids = payment_ids(found)
        payments = list(chain.from_iterable(self.client.by_values("payments", "id", ids)))
        modes = {found.get("inventoryMode"), *(line.get("inventoryMode") for line in found["lineItems"])}
        return Entered(
            order_id=order_id,
            ct_order_id=found["id"],
            number=found.get("orderNumber") or found["id"],
            currency=total.currency,
            total=total.cents,
            deducts=bool(modes - {None, "None"}),
            status=shop_status(found, together(payments)),
            payment_id=ids[0] if ids else None,
        )

    def link(self, conn: Connection, entered: Entered, actor: str, *, kind: str) -> None:
        """Take a person's commercetools order for the kiosk order's own; Cloudshelf is told of it.

        Where commercetools has taken its units off stock itself, the kiosk order gives back what it took.

        :param kind: of the exception that is decided so, which the caller closes; the order's others are closed here.
        :raises PermanentError: when one of the two orders has found another one meanwhile.
        """
        order = self._locked(conn, entered.order_id)
        if order.ct_order_id == entered.ct_order_id:
            return
        if order.ct_order_id is not None:
            raise Refused(f"{_named(order)} is in commercetools already: order {order.ct_order_id}.")
        self._require_free(conn, order)
        taken = self.store.captures.by_ct_orders(conn, self._link, [entered.ct_order_id])
        for other in taken.values():
            raise Refused(f"Order {entered.number} belongs to another kiosk order: {other.order_number}.")
        self.store.order_decisions.enter(conn, self._link, order, entered, actor)
        if entered.deducts:
            self._give_back(conn, order, f"order {entered.number} has taken its units")
        self._close_others(conn, order, kind)

    # Rejecting

    def reject(self, conn: Connection, order_id: str, reason: str, actor: str, *, kind: str) -> None:
        """Exclude an order by name: it becomes no order, and gives back what it took from stock.

        :param kind: see :meth:`link`.
        :raises PermanentError: without a reason, or when it is in commercetools already or may be.
        """
        reason = " ".join(reason.split())[:LONGEST_NOTE]
        if not reason:
            raise Refused("Say why the order is rejected; the reason stays with it.")
        order = self._locked(conn, order_id)
        if order.ct_order_id is not None:
            raise Refused(
                f"{_named(order)} is in commercetools (order {order.ct_order_id}); cancel it there, and Cloudshelf "
                "hears of it."
            )
        self._require_free(conn, order)
        status = effective(OrderStatus(order.status), order.edits, self.config.orders)
        self.store.order_decisions.exclude(conn, self._link, order, status, reason, actor)
        self._give_back(conn, order, "a person has rejected the order")
        self._close_others(conn, order, kind)

    # What the parts share

    def _known(self, conn: Connection, order_id: str) -> Capture:
        found = self.store.captures.get(conn, self._link, order_id)
        if found is None:
            raise _unknown(order_id)
        return found

    def _locked(self, conn: Connection, order_id: str) -> Capture:
        """The order, which nobody else changes until the transaction ends, nor what it did to stock."""
        self.store.stock.turn(conn, self._link)
        found = self.store.captures.get(conn, self._link, order_id, lock=True)
        if found is None:
            raise _unknown(order_id)
        return found

    def _require_free(self, conn: Connection, order: Capture) -> None:
        """See that no run sends the order at this moment, nor may have sent it and not said so."""
        if self.store.order_decisions.is_held(conn, self._link, order.order_id):
            raise Refused(f"{_named(order)} is being worked on at this moment. Try again in a minute.")
        if order.state is CaptureState.SENDING:
            raise Refused(
                f"{_named(order)} may have been sent without an answer. It is looked up in commercetools within a "
                "minute or two; try again then."
            )

    def _give_back(self, conn: Connection, order: Capture, why: str) -> None:
        with self._identified(conn, order):
            self.store.order_effects.give_back(conn, self._link, self.project, order.order_id, why)

    @contextmanager
    def _identified(self, conn: Connection, order: Capture) -> Iterator[None]:
        """Close exceptions of identifiers for which nothing waits any more once the order's units do not."""
        effects = self.store.order_effects
        before = _strangers(effects.in_review(conn, self._link, self.project, order.order_id))
        yield
        left = _strangers(effects.in_review(conn, self._link, self.project)) if before else set()
        self.store.exceptions.resolve(conn, self._link, Kind.UNKNOWN_IDENTIFIER, before - left, self._run_key)

    def _close_others(self, conn: Connection, order: Capture, kind: str) -> None:
        for other in sorted(ORDER_KINDS - {kind}):
            self.store.exceptions.resolve(
                conn, self._link, other, [order_cause(order.order_id)], self._run_key
            )


def _strangers(waiting: Iterable[tuple[Place, str]]) -> set[str]:
    """Causes of the exceptions about identifiers for which movements wait."""
    return {cause for place, reason in waiting for cause in unknown_at(place, reason)}


def _unknown(order_id: str) -> Refused:
    return Refused(f"There is no kiosk order '{order_id[:100]}' in this link.")


def _named(order: Capture) -> str:
    return f"Order {order.order_number}"


def _whole(order: Capture, content: Raw | None) -> Raw:
    """What is kept of an order."""
    if not content:
        raise Refused(
            f"{_named(order)}: what it sold has been purged by age. See it in the Cloudshelf Manager."
        )
    return content


def _together(kept: Mapping[str, str], edits: Edits) -> dict[str, str]:
    """An order's corrections with new ones among them; an e-mail address has a place of its own."""
    changed = {**kept, **{name: value or "" for name, value in edits.values.items()}}
    return {name: value for name, value in changed.items() if value and name != EMAIL_EDIT}


def _tried(work: Work, edits: Edits) -> Work:
    """An order as it would be with corrections."""
    capture = replace(work.capture, edits=_together(work.capture.edits, edits))
    return replace(work, capture=capture, email=edits.values.get(EMAIL_EDIT, work.email))


def _shown(name: str, value: str | None) -> str:
    if value is None:
        return TAKEN_BACK
    return GIVEN if name == EMAIL_EDIT else value
