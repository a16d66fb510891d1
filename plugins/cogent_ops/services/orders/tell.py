"""Telling Cloudshelf what became of its orders: their id in commercetools, and a status that commercetools changed.

Only what Cloudshelf does not know is told. What it then shows is our own word, so the capture does not carry it back to
commercetools: the status is noted before it is sent, and once Cloudshelf has it, it is the one that was captured.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from cogent_ops.clients.cloudshelf import CloudshelfClient, OrderReport, RecordFailure
from cogent_ops.clients.graphql_api import TRANSIENT
from cogent_ops.config import LinkConfig
from cogent_ops.domain.exceptions import Kind, NewException, Owner, order_cause
from cogent_ops.domain.order_states import FOLLOWS, tells
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import CogentOpsError
from cogent_ops.services.counts import Counts
from cogent_ops.store import Store
from cogent_ops.store.order_news import Told
from cogent_ops.store.orders import Capture, Origin

log = logging.getLogger(__name__)

#: Orders that one call tells of, and calls of a round.
ORDERS_PER_CALL, CALLS_PER_ROUND = 50, 4
#: What is being sent is nobody else's for so long: longer than it can be under way.
HOLD = timedelta(seconds=120)
#: What Cloudshelf refused is sent again after so long; twice as long with each further refusal, up to an hour.
REFUSED_SECONDS = 60.0
LONGEST_REFUSED_SECONDS = 3600.0
#: After so many refusals a person should hear of those that may pass by themselves.
PATIENT_REFUSALS = 3
#: Pause after a call that failed as a whole and named none.
FAILED_SECONDS = 5.0
_NOT_FOUND = "ENTITY_NOT_FOUND"
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class TellCounts(Counts):
    """What a round did.

    :param told: orders of which Cloudshelf knows something new.
    :param refused: orders that Cloudshelf did not take.
    """

    told: int = 0
    refused: int = 0


class OrderTelling:
    """Tells the organisation of a link.

    :param run_key: the run, for the exceptions it raises.
    """

    def __init__(
        self, config: LinkConfig, store: Store, client: CloudshelfClient, *, run_key: str | None = None
    ) -> None:
        self.config, self.store, self.client = config, store, client
        self._link, self._run_key = config.name, run_key or uuid4().hex

    def round(self, now: datetime) -> TellCounts:
        """Tell of the orders that have waited longest, as many as a few calls hold.

        :raises RetryableError: when Cloudshelf or the store is out of reach; they are told later.
        :raises PermanentError: when a person must act before anything can be told.
        """
        total = TellCounts()
        for _ in range(CALLS_PER_ROUND):
            claimed = self.store.order_news.claim(self._link, now, limit=ORDERS_PER_CALL, until=now + HOLD)
            total += self._tell(claimed, now) if claimed else TellCounts()
            if len(claimed) < ORDERS_PER_CALL:
                break
        return total

    def _tell(self, claimed: Sequence[Capture], now: datetime) -> TellCounts:
        reports = self._reports(claimed)
        statuses = {one.id: one.status for one in reports.values() if one.status is not None}
        if statuses:
            self.store.order_news.about_to_tell(self._link, statuses)
        refused = self._send(claimed, list(reports.values()), now)
        self._settle(claimed, reports, refused, now)
        return TellCounts(len(reports) - len(refused), len(refused))

    # What there is to tell

    def _reports(self, claimed: Iterable[Capture]) -> dict[str, OrderReport]:
        """What Cloudshelf does not know, by order; nothing for those of which it knows all."""
        found: dict[str, OrderReport] = {}
        for one in claimed:
            id_, status = self._untold_id(one), self._untold_status(one)
            if id_ is not None or status is not None:
                found[one.order_id] = OrderReport(one.order_id, id_, status)
        return found

    def _untold_id(self, order: Capture) -> str | None:
        if order.told_id == order.ct_order_id:
            return None
        if order.origin is Origin.SHOP:
            with self.store.read() as conn:
                content = self.store.captures.content(conn, self._link, order.order_id) or {}
            # The web shop finds the order by what it wrote there itself.
            if content.get("thirdPartyId"):
                return None
        return order.ct_order_id

    @staticmethod
    def _untold_status(order: Capture) -> OrderStatus | None:
        if order.shop_status is None or order.shop_status == order.captured_status:
            return None
        kiosk = OrderStatus(order.status)
        # What has an order in commercetools counts as a sale, whether or not Cloudshelf says that it was paid.
        return tells(kiosk if kiosk in FOLLOWS else OrderStatus.PAID, OrderStatus(order.shop_status))

    # Sending

    def _send(
        self, claimed: Sequence[Capture], reports: Sequence[OrderReport], now: datetime
    ) -> dict[str, RecordFailure]:
        """Send reports; what was refused, by order. A call that fails as a whole is made again soon."""
        if not reports:
            return {}
        try:
            outcome = self.client.upsert_orders(reports)
        except CogentOpsError as error:
            asked = getattr(error, "retry_after", None)
            again = now + timedelta(seconds=FAILED_SECONDS if asked is None else asked)
            with self.store.begin() as conn:
                self.store.order_news.postpone(conn, self._link, [(one, again) for one in claimed])
            raise
        return {failure.id: failure for failure in outcome.failed}

    def _settle(
        self,
        claimed: Sequence[Capture],
        reports: dict[str, OrderReport],
        refused: dict[str, RecordFailure],
        now: datetime,
    ) -> None:
        """Note what Cloudshelf knows now, and let a person hear of what it does not take."""
        known = [one for one in claimed if one.order_id not in refused]
        left = [one for one in claimed if one.order_id in refused]
        with self.store.begin() as conn:
            self.store.order_news.told(
                conn, self._link, [_told(one, reports.get(one.order_id)) for one in known]
            )
            self.store.order_news.postpone(conn, self._link, [(one, _again(one, now)) for one in left])
            # What went at the first try raised nothing.
            causes = [order_cause(one.order_id) for one in known if one.tell_attempts > 1]
            self.store.exceptions.resolve(conn, self._link, Kind.STATUS_REFUSED, causes, self._run_key)
            self.store.exceptions.raise_many(
                conn,
                self._link,
                [
                    _refusal(one, reports[one.order_id], refused[one.order_id])
                    for one in left
                    if _should_be_seen(one, refused[one.order_id])
                ],
                self._run_key,
            )
        if left:
            log.warning("cloudshelf did not take what became of %d of %d orders", len(left), len(claimed))


def _told(order: Capture, report: OrderReport | None) -> Told:
    return Told(order) if report is None else Told(order, report.third_party_id, report.status)


def _again(order: Capture, now: datetime) -> datetime:
    """When an order is told of again that was just refused once more."""
    seconds = min(REFUSED_SECONDS * 2 ** min(order.tell_attempts - 1, 30), LONGEST_REFUSED_SECONDS)
    return now + timedelta(seconds=seconds)


def _should_be_seen(order: Capture, failure: RecordFailure) -> bool:
    return failure.code not in TRANSIENT or order.tell_attempts >= PATIENT_REFUSALS


def _refusal(order: Capture, report: OrderReport, failure: RecordFailure) -> NewException:
    what = f"is {report.status}" if report.status else f"is order {report.third_party_id} in commercetools"
    cure = (
        "See whether the Cloudshelf Manager shows the order; if it was deleted there, close this as expected."
        if failure.code == _NOT_FOUND
        else "Look the order up in the Cloudshelf Manager, and show Cloudshelf the message if it explains nothing."
    )
    return NewException(
        kind=Kind.STATUS_REFUSED,
        cause_key=order_cause(order.order_id),
        record=order.order_number,
        field="status" if report.status else "thirdPartyId",
        rule="Cloudshelf takes what became of an order",
        message=f"Cloudshelf does not take that order {order.order_number} {what}: {failure.code}: "
        f"{failure.message[:_LONGEST_MESSAGE]}",
        cure=f"{cure} It is told again, after longer and longer pauses up to an hour, and this closes by itself.",
        owner=Owner.PLATFORM,
        payload={"order": order.order_id, "code": failure.code},
        group=f"status/{failure.code}",
        place=order.place,
        amount=order.total,
        currency=order.currency,
    )
