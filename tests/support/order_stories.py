"""Stories of kiosk orders as customers, stores, shops and people make them, and what must be true at the end of each.

What should be in commercetools is counted here from what happened in the simulated systems, without a look into the
package's own records; those are only asked for what they claim, and the claim is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from tests.integration.clients.helpers import kiosk, shop
from tests.support.captures import Captures, coats
from tests.support.dying import Boundaries, Crash
from tests.support.histories import two_at_once
from tests.support.kiosks import PRODUCT, SKUS, Json, line, ulid

from cogent_ops.domain.custom_types import declared
from cogent_ops.domain.exceptions import ORDER_KINDS
from cogent_ops.domain.identifiers import product_gid, variant_gid
from cogent_ops.domain.order_changes import shop_status
from cogent_ops.domain.order_states import FOLLOWS, tells
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import PermanentError, RetryableError
from cogent_ops.sandbox import actions
from cogent_ops.sandbox.dataset import Dataset, stable_id
from cogent_ops.services.orders.shop import ShopWatch
from cogent_ops.services.orders.tell import OrderTelling
from cogent_ops.store.orders import Capture, CaptureState
from cogent_ops.store.schema import order_capture

CONFIRMED = (OrderStatus.PAID, OrderStatus.PARTIALLY_REFUNDED, OrderStatus.REFUNDED)
A, B, C = SKUS
#: An article that commercetools does not have at first.
LATE = "late-scarf"
PERSON = "kim"


@dataclass(frozen=True)
class Sort:
    """A sort of order.

    :param lines: SKU (``None``: shipping), pieces, price of one in minor units.
    :param session: fields of its session.
    :param mending: corrections without which it cannot be captured.
    :param mended: its lines after them.
    :param needs_article: whether it can only be captured once commercetools has :data:`LATE`.
    """

    lines: tuple[tuple[str | None, int, int], ...]
    session: Mapping[str, Any] = field(default_factory=dict)
    mending: Mapping[str, str] = field(default_factory=dict)
    mended: tuple[tuple[str | None, int, int], ...] = ()
    needs_article: bool = False

    @property
    def sold(self) -> Counter[tuple[str | None, int, int]]:
        return Counter(self.mended or self.lines)

    @property
    def total(self) -> int:
        return sum(pieces * cents for _, pieces, cents in self.sold.elements())

    @property
    def is_internal(self) -> bool:
        return self.session.get("visibilityType") == "CLOUDSHELF_INTERNAL"

    @property
    def is_basket(self) -> bool:
        """Whether customers take it along to the web shop."""
        return "paymentAttemptId" not in self.session


PAID_HERE: Json = {"paymentAttemptId": "attempt", "paymentMethod": "VIVAWALLET"}
SORTS = (
    Sort(((A, 2, 1000), (B, 1, 550)), PAID_HERE),
    Sort(((C, 1, 1999), (None, 1, 490)), PAID_HERE),
    Sort(((A, 1, 700),), {**PAID_HERE, "locationId": None}, {"location": "berlin"}),
    Sort(
        ((A, 3, 0), (B, 0, 300)),
        {**PAID_HERE, "basketValue": 27.0},
        {"price.1": "8.00", "quantity.2": "1"},
        ((A, 3, 800), (B, 1, 300)),
    ),
    Sort(((A, 1, 1000),), {**PAID_HERE, "visibilityType": "CLOUDSHELF_INTERNAL"}),
    Sort(((B, 2, 1250),)),
    Sort(((LATE, 1, 3000), (A, 1, 1000)), PAID_HERE, needs_article=True),
)
BASKET, LACKING = 5, 6


def wardrobe() -> Dataset:
    """The coats, and an article that appears late."""
    data = coats()
    (coat,) = data.products
    master = {**coat["masterVariant"], "sku": LATE}
    scarf = {**coat, "id": stable_id("product", LATE), "key": LATE, "masterVariant": master, "variants": []}
    return replace(data, products=[coat, {**scarf, "slug": {"de": LATE}}])


@dataclass
class Happened:
    """What happened to an order outside.

    :param contents: what it was made of, the latest last.
    :param was: every status that Cloudshelf ever showed.
    :param refunds: amounts that the shop paid back itself, in minor units.
    """

    id: str
    contents: list[Sort]
    was: list[OrderStatus] = field(default_factory=list)
    is_approved: bool = False
    is_mended: bool = False
    is_rejected: bool = False
    is_bought: bool = False
    named_refund: int = 0
    refunds: list[int] = field(default_factory=list)
    is_cancelled_by_shop: bool = False

    @property
    def sort(self) -> Sort:
        return self.contents[-1]


@dataclass
class Story(Captures):
    """One story of a link."""

    orders_settings: Json = field(
        default_factory=lambda: {"concurrency": 2, "round_orders": 3, "shop_poll_seconds": 1.0}
    )
    told: dict[int, Happened] = field(default_factory=dict)
    late: Json = field(default_factory=dict)
    has_article: bool = False

    def begin(self) -> None:
        """Both systems anew: the catalogue, Types, and one article too few."""
        state = self.server.state.commercetools
        with state.lock:
            state.reset()
            for kind in declared():
                actions.create_type(state, kind.draft())
            products = state["product-projections"]
            self.late = products.remove(products.by("key", LATE)[0]["id"])
        self.install()
        flags = {"displayName": LATE, "currentPrice": 30, "originalPrice": 30}
        scarf = {"id": variant_gid(LATE), "isInStock": True, "availableToPurchase": True, **flags}
        with self.state.lock:
            given = [{"productId": product_gid(PRODUCT), "variants": [scarf]}]
            self.state.upsert_variants("upsertProductVariants", given)

    def make_article(self) -> None:
        """The late article appears."""
        state = self.server.state.commercetools
        with state.lock:
            state["product-projections"].put(self.late)
        self.has_article = True

    # Cloudshelf

    def order(self, which: int, status: OrderStatus) -> None:
        """A kiosk sells, or an order moves to another status."""
        sort, known = SORTS[which], self.told.get(which)
        if sort.is_basket and not (known and known.is_bought) and status in CONFIRMED:
            status = OrderStatus.DRAFT_BASKET  # Only the web shop can say that such a basket was paid.
        if known is None:
            place = {"locationId": self.location("berlin"), "locationName": "Berlin"}
            lines = [_raw(*one) for one in sort.lines]
            made = self.raw_order(lines, status, {**place, **sort.session})
            known = self.told[which] = Happened(made, [sort])
        else:
            self.set_status(known.id, status)
        known.was.append(status)

    def change_lines(self, which: int) -> None:
        """Somebody changes an order in Cloudshelf: one more piece of the first line, and the basket with it."""
        known = self.told.get(which)
        if known is None or known.sort.is_basket or known.sort.mending:
            return
        (sku, pieces, cents), *others = known.sort.lines
        changed = replace(known.sort, lines=((sku, pieces + 1, cents), *others))
        known.contents.append(changed)
        lines, session = [_raw(*one) for one in changed.lines], {"basketValue": changed.total / 100}
        self.server.state.floor.change("kiosk-edit", {"order": known.id, "lines": lines, "session": session})

    def buy(self, which: int, reports: bool) -> None:
        """A customer buys a basket in the web shop."""
        known = self.told.get(which)
        if known is None or not known.sort.is_basket or known.is_bought:
            return
        given = {"order": known.id, "orderNumber": f"WEB-{which}", "inventoryMode": "None", "report": reports}
        self.server.state.floor.change("basket-purchase", given)
        known.is_bought = True
        known.was.append(OrderStatus.PAID)
        if not reports:
            self.set_status(known.id, OrderStatus.PAID)

    # The web shop's people

    def work_in_shop(self, which: int, what: str) -> None:
        """Somebody cancels, refunds, sends or completes an order in commercetools, if it is there."""
        known = self.told.get(which)
        if known is None or known.sort.is_basket or not self.ct_orders_of(known):
            return
        ct_order = self.ct_orders_of(known)[0]
        match what:
            case "cancel":
                change: Json = {"orderState": "Cancelled"}
                known.is_cancelled_by_shop = True
            case "refund":
                change = {"refund": known.sort.total // 2}
                known.refunds.append(known.sort.total // 2)
            case "send":
                change = {"shipmentState": "Shipped"}
            case _:
                change = {"orderState": "Complete"}
        self.server.state.floor.change("order-change", {"order": ct_order["id"], **change})

    # People at the desk

    def approve(self, which: int) -> None:
        known = self.told.get(which)
        if known is None or known.sort.is_basket:
            return
        with suppress(PermanentError, RetryableError), self.store.begin() as conn:
            self.desk().approve(conn, known.id, PERSON)
            # Of an order that is not PLACED nobody asks whether it was paid; then it is only looked at again.
            row = self.store.captures.get(conn, self.name, known.id)
            known.is_approved = row is not None and row.edits.get("paid") == "yes"
            known.is_rejected = False

    def edit(self, which: int, edits: Mapping[str, str]) -> bool:
        known = self.told[which]
        with suppress(PermanentError, RetryableError):
            checked = self.desk().check(known.id, edits)
            with self.store.begin() as conn:
                self.desk().edit(conn, checked, PERSON)
                self.desk().replay(conn, known.id, PERSON)
            return True
        return False

    def mend(self, which: int) -> None:
        known = self.told.get(which)
        if known is not None and known.sort.mending and self.edit(which, known.sort.mending):
            known.is_mended, known.is_rejected = True, False

    def name_refund(self, which: int, cents: int) -> None:
        """A person says how much was paid back in all."""
        known = self.told.get(which)
        if known is not None and self.edit(which, {"refund_amount": f"{cents / 100:.2f}"}):
            known.named_refund, known.is_rejected = cents, False

    def turn_down(self, which: int) -> None:
        known = self.told.get(which)
        if known is None:
            return
        with suppress(PermanentError, RetryableError), self.store.begin() as conn:
            self.desk().reject(conn, known.id, "a test", PERSON, kind="ambiguous_payment")
            known.is_rejected = True

    # The flow

    def sell_and_see(self, which: int, status: OrderStatus) -> None:
        """An order whose news is carried over at once."""
        self.order(which, status)
        self.do("poll")
        self.do("capture")

    def pass_time(self, minutes: int) -> None:
        """For everybody; leases of the dead end."""
        self.ahead += timedelta(minutes=minutes)
        self.server.state.clock.offset = self.ahead
        self.catch_up()

    def catch_up(self) -> None:
        """What is due by the story's clock is due by the database's, and whoever died holds nothing any more."""
        mine = order_capture.c.link == self.name
        due = mine & (order_capture.c.due_at <= self.now)
        long_ago = self.now - self.ahead - timedelta(minutes=1)
        with self.store.begin() as conn:
            conn.execute(sa.update(order_capture).where(mine).values(lease_until=0.0))
            conn.execute(sa.update(order_capture).where(due).values(due_at=long_ago))

    @cached_property
    def steps(self) -> Mapping[str, Callable[[], object]]:
        """What the flow does, each as a task that has just begun."""
        cloudshelf = kiosk(self.server, self.tuning)
        commercetools = shop(self.server, self.tuning)
        return {
            "poll": self.poll,
            "capture": lambda: self.capture().round(),
            "tell": lambda: OrderTelling(self.config, self.store, cloudshelf).round(self.now),
            "look": lambda: ShopWatch(self.config, self.store, commercetools).look(self.now),
        }

    def do(self, step: str, moment: int | None = None) -> None:
        """A step by a process that dies at a moment; with ``None`` it lives."""
        with Boundaries(moment).watched(), suppress(Crash, RetryableError):
            self.steps[step]()
        self.catch_up()

    def capture_together(self) -> None:
        """Two captures at once."""
        two_at_once([self.capture().round for _ in range(2)], self.catch_up)

    def end(self) -> None:
        """Let everything come to rest, without faults."""
        self.server.set_faults(None)
        before, quiet = None, 0
        for _ in range(40):
            for step in self.steps.values():
                step()
            self.pass_time(10)
            after = self._standing()
            quiet = quiet + 1 if after == before else 0
            before = after
            if quiet == 3:
                return
        raise AssertionError(f"it does not come to rest: {before}")

    def _standing(self) -> list[tuple[Any, ...]]:
        columns = ("order_id", "status", "state", "reason", "captured_status", "shop_status", "told_id")
        query = sa.select(*(order_capture.c[name] for name in (*columns, "told_status", "tell_at")))
        with self.store.read() as conn:
            rows = conn.execute(query.where(order_capture.c.link == self.name).order_by("order_id"))
            return [tuple(row) for row in rows]

    # What must be true

    def ct_orders_of(self, known: Happened) -> list[Json]:
        """Orders in commercetools that name a kiosk order."""
        return [one for one in self.ct_orders() if _fields(one).get("CS_OrderId") == known.id]

    def shown(self, known: Happened) -> tuple[OrderStatus, str | None]:
        """Status and third-party id in Cloudshelf."""
        with self.state.lock:
            found = self.state.get("Order", known.id)
            return OrderStatus(found["status"]), found["thirdPartyId"]

    def check(self) -> None:
        """Every order is what it should be, and the accounting says so."""
        ours = [known.id for known in self.told.values()]
        assert all(_fields(one).get("CS_OrderId") in ours for one in self.ct_orders()), "an order of nobody"
        for known in self.told.values():
            row, found = self.row(known.id), self.ct_orders_of(known)
            assert len(found) == self._wanted(known, row), (known, row, len(found))
            kinds = self.kinds([known.id])[0] & ORDER_KINDS
            self._check_reason(known, row, kinds)
            if row.state is CaptureState.CAPTURED:
                assert found, (known, row)
            elif found:
                # The shop has not said that it sold the basket, or it was changed just while it was imported.
                is_unreported = known.is_bought and self.shown(known)[0] not in CONFIRMED
                assert is_unreported or (len(known.contents) > 1 and "order_conflict" in kinds), (known, row)
            if known.is_bought:
                self._check_basket(found[0], row)
            elif found:
                sent = self._check_content(known, found[0], kinds)
                if row.state is CaptureState.CAPTURED:
                    self._check_money(known, sent, found[0], row, kinds)
                    self._check_state(known, sent, found[0], row, kinds)
        self._check_accounting()

    def _wanted(self, known: Happened, row: Capture) -> int:
        """How many orders there should be; where it depends on when somebody looked, what is claimed."""
        sort, (status, _) = known.sort, self.shown(known)
        if known.is_bought:
            return 1
        if sort.is_internal or (sort.mending and not known.is_mended):
            return 0
        if sort.needs_article and not self.has_article:
            return 0
        is_paid = status in CONFIRMED or (status is OrderStatus.PLACED and known.is_approved)
        if known.is_rejected:
            # A sale that was none yet when it was rejected, or that nobody heard of before the rejection.
            return int(row.ct_order_id is not None)
        if is_paid:
            return 1
        could_be = any(one in CONFIRMED for one in known.was) or known.is_approved
        return int(could_be and row.ct_order_id is not None)

    def _check_reason(self, known: Happened, row: Capture, kinds: set[str]) -> None:
        """Nobody has to guess why an order stands where it does."""
        open_ = [one for one in self.store.exceptions.open(self.name) if one.cause_key == f"order/{known.id}"]
        assert all(one.owner and one.message and one.cure for one in open_)
        match row.state:
            case CaptureState.CAPTURED:
                assert kinds <= {"order_state", "refund_amount"}, (known, row, kinds)
            case CaptureState.REVIEW:
                assert kinds, (known, row)
                assert row.reason
            case CaptureState.EXCLUDED:
                assert not kinds - {"ambiguous_payment"} or known.is_rejected, (known, row, kinds)
                assert row.reason
            case state:
                raise AssertionError(f"{state} after the end: {row}")

    def _check_basket(self, ct_order: Json, row: Capture) -> None:
        """The shop's own order stands for it, and nothing was imported beside it."""
        assert ct_order["orderNumber"].startswith("WEB-")
        if row.state is CaptureState.CAPTURED:
            assert (row.origin, row.ct_order_id) == ("shop", ct_order["id"])

    def _check_content(self, known: Happened, ct_order: Json, kinds: set[str]) -> Sort:
        """It is what Cloudshelf says, or said, and then somebody knows; returns what it was then."""
        lines = Counter(
            (one["variant"]["sku"], one["quantity"], one["price"]["value"]["centAmount"])
            for one in ct_order["lineItems"]
        )
        lines.update(
            (None, one["quantity"], one["money"]["centAmount"]) for one in ct_order["customLineItems"]
        )
        sent = next((one for one in reversed(known.contents) if one.sold == lines), None)
        assert sent is not None, (known, lines)
        assert sent is known.sort or kinds & {"order_state", "order_conflict"}, (known, kinds)
        assert ct_order["totalPrice"]["centAmount"] == sent.total
        assert ct_order["orderNumber"] == f"CS-{ulid(known.id)}"
        assert ct_order["inventoryMode"] == "None"
        assert ct_order["paymentState"] == "Paid"
        return sent

    def _check_money(
        self, known: Happened, sent: Sort, ct_order: Json, row: Capture, kinds: set[str]
    ) -> None:
        """It was charged once, and no more was paid back by us than is right."""
        (reference,) = ct_order["paymentInfo"]["payments"]
        payment = self._payment(reference["id"])
        moved: Counter[tuple[str, str]] = Counter()
        for one in payment["transactions"]:
            whose = "we" if one.get("interactionId") else "shop"
            moved[whose, f"{one['type']} {one['state']}"] += one["amount"]["centAmount"]
        total, shop_ = sent.total, sum(known.refunds)
        ours, owed = moved["we", "Refund Success"], moved["we", "Refund Pending"]
        assert moved["we", "Charge Success"] == total
        assert moved["shop", "Refund Success"] == shop_
        is_all_back = {OrderStatus.VOIDED, OrderStatus.REFUNDED} & {*known.was}
        assert ours + owed <= (total if is_all_back else min(known.named_refund, total)), (known, row)
        match OrderStatus(row.captured_status or ""):
            case OrderStatus.PAID:
                assert (ours, owed) == (0, 0)
            case OrderStatus.PARTIALLY_REFUNDED:
                assert owed == 0, (known, row, moved)
                assert ours <= known.named_refund, (known, row, moved)
                assert "refund_amount" in kinds or ours + shop_ >= min(known.named_refund, total)
                assert "refund_amount" in kinds or ours + shop_ > 0
            case OrderStatus.VOIDED:
                assert ours + owed + shop_ >= total or known.is_cancelled_by_shop
            case _:
                assert ours + shop_ >= total
                assert owed == 0

    def _payment(self, id_: str) -> Json:
        state = self.server.state.commercetools
        with state.lock:
            found: Json = state["payments"].get(id_) or {}
            assert [one["key"] for one in state["payments"]].count(found["key"]) == 1
            return found

    def _check_state(
        self, known: Happened, sent: Sort, ct_order: Json, row: Capture, kinds: set[str]
    ) -> None:
        """Both sides say the same, or somebody is asked why not."""
        status, third_party = self.shown(known)
        assert third_party == ct_order["id"]
        at = OrderStatus(row.captured_status or "")
        # One that is met late is imported like a paid one first.
        assert at in (*known.was, OrderStatus.PAID) or at == row.told_status, (known, row)
        payment = self._payment(ct_order["paymentInfo"]["payments"][0]["id"])
        in_shop = shop_status(ct_order, payment)
        is_news = at != row.told_status
        if is_news and at in (OrderStatus.VOIDED, OrderStatus.REFUNDED):
            assert ct_order["orderState"] in ("Cancelled", "Complete"), (known, row)
        if is_news and at is OrderStatus.REFUNDED:
            returned = sum(item["quantity"] for info in ct_order["returnInfo"] for item in info["items"])
            assert returned == sum(pieces for sku, pieces, _ in sent.sold.elements() if sku)
        is_placed = status is OrderStatus.PLACED and known.is_approved
        kiosk_ = OrderStatus.PAID if is_placed else status
        if kiosk_ is not at:
            assert "order_state" in kinds, (known, row, kinds)
            assert kiosk_ not in FOLLOWS[at]
        else:
            assert "order_state" not in kinds or sent is not known.sort, (known, row, kinds)
            assert tells(kiosk_, in_shop) is None, (known, row, in_shop)

    def _check_accounting(self) -> None:
        found = self.accounting()
        parts = sum(sum(one.values()) for one in (found.waiting, found.review, found.excluded))
        assert found.unexplained == 0
        assert found.seen == len(self.told) == parts + found.captured
        rows = [self.row(known.id) for known in self.told.values()]
        captured = {row.ct_order_id for row in rows if row.state is CaptureState.CAPTURED}
        orders = [one for one in self.ct_orders() if one["id"] in captured]
        assert found.captured == len(captured) == len(orders)
        assert sum(found.money.values()) == sum(one["totalPrice"]["centAmount"] for one in orders)


def _raw(sku: str | None, pieces: int, cents: int) -> Json:
    if sku is None:
        return {"quantity": pieces, "price": cents / 100, "currencyCode": "EUR"}
    return {**line(sku, pieces), "price": cents / 100, "currencyCode": "EUR"}


def _fields(ct_order: Json) -> Json:
    found: Json = (ct_order.get("custom") or {}).get("fields") or {}
    return found
