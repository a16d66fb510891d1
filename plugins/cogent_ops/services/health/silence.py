"""Stores from which nothing arrives although something usually would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

from cogent_ops.clients.commercetools import CommercetoolsClient
from cogent_ops.config import LinkConfig
from cogent_ops.domain.catalogue import map_locations
from cogent_ops.domain.commercetools import Channel
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.health.model import Check, State
from cogent_ops.domain.health.silence import Quiet, quiet
from cogent_ops.domain.identifiers import parse_gid
from cogent_ops.domain.rules import LocationOverride
from cogent_ops.domain.text import counted, listed, span
from cogent_ops.services.health.looking import Cause, OutsideReport, over
from cogent_ops.store import Store

_SHOWN = 5
_CALL = "Call the store: is it open, do the kiosks run, does the network work?"


class Silence:
    """Looks for silent stores of a link.

    :param client: makes the commercetools client.
    :param overrides: what ``include/locations.yaml`` says, by Channel key.
    :param zone: by whose clock hours of the week are told.
    """

    name = "Orders from stores"

    def __init__(
        self,
        config: LinkConfig,
        store: Store,
        client: Callable[[], CommercetoolsClient],
        overrides: Mapping[str, LocationOverride],
        zone: ZoneInfo,
    ) -> None:
        self.link, self.rules = config.name, config.health
        self.config, self.store, self.overrides, self.zone = config, store, overrides, zone
        self._client = client

    def ask(self) -> dict[str, str]:
        """The link's stores as people name them, by key of their Channel."""
        raw = chain.from_iterable(self._client().pages("channels"))
        locations, _ = map_locations(map(Channel.model_validate, raw), self.overrides, self.config)
        return {parse_gid(one.id).id: one.display_name for one in locations}

    def judge(self, answer: dict[str, str], now: datetime) -> OutsideReport:
        """Which of them are silent. One that is no store of the link any more is missed by nobody."""
        # A week more than what is usual rests on: a silence may last as long, and what is usual lies before it.
        since = now - timedelta(weeks=self.rules.usual_weeks + 1)
        arrivals = self.store.arrivals.by_store(self.link, since)
        judged = {
            key: quiet(
                arrivals[name],
                now,
                self.zone,
                weeks=self.rules.usual_weeks,
                after_orders=self.rules.silent_after_orders,
            )
            for key, name in answer.items()
            if name in arrivals
        }
        silent = {key: one for key, one in judged.items() if one.is_silent}
        found = tuple(_silent(key, answer[key], one, now) for key, one in silent.items())
        return OutsideReport(
            checks=(self._check(answer, judged, silent, now),),
            found=found,
            gone=self._over(answer, judged, found),
            stores=answer,
            quiet=judged,
            reasons={key: (words(one, now),) for key, one in silent.items()},
        )

    def _check(
        self,
        stores: Mapping[str, str],
        judged: Mapping[str, Quiet],
        silent: Mapping[str, Quiet],
        now: datetime,
    ) -> Check:
        if not silent:
            never = len(stores) - len(judged)
            more = f" {counted(never, 'store')} had none in these weeks." if never else ""
            message = f"All {counted(len(judged), 'store')} that sell have as many orders as usual.{more}"
            return Check(name=self.name, state=State.GOOD, message=message)
        longest = sorted(silent, key=lambda key: silent[key].expected, reverse=True)
        shown = listed(f"{stores[key]}: {words(silent[key], now)}" for key in longest[:_SHOWN])
        more = f"; and {counted(len(silent) - _SHOWN, 'more store')}" if len(silent) > _SHOWN else ""
        return Check(
            name=self.name,
            state=State.LATE,
            message=f"Nothing comes from {counted(len(silent), 'store')}. {shown}{more}.",
            cure=_CALL,
        )

    def _over(
        self, stores: Mapping[str, str], judged: Mapping[str, Quiet], found: Iterable[NewException]
    ) -> tuple[Cause, ...]:
        """Silences that are over: the store has sold something since, or is no store any more.

        That it is not silent by now proves nothing: after weeks without orders, none are usual.
        """
        ended = over(self.store, self.link, Kind.STORE_SILENT, "", found)
        over_ = []
        for kind, cause in ended:
            place, what, last = (*cause.split("/", 2), "", "")[:3]
            has_sold = place in judged and _text(judged[place].last_order) != last
            if what == ORDERS and (has_sold or place not in stores):
                over_.append((kind, cause))
        return tuple(over_)


#: What is missed, in the cause key of a silent store: ``<Channel key>/orders/<its last order>``.
ORDERS = "orders"


def words(one: Quiet, now: datetime) -> str:
    """How quiet a store is, in words."""
    since = span((now - one.last_order).total_seconds())
    return f"no order for {since}, and about {one.expected:.0f} would have been usual"


def store_group(place: str) -> str:
    """Group of all that is wrong with a store's kiosks: one call cures it, so people hear of it once."""
    return f"store/{place}"


def _silent(place: str, name: str, one: Quiet, now: datetime) -> NewException:
    last = _text(one.last_order)
    return NewException(
        kind=Kind.STORE_SILENT,
        # Each silence is a case of its own: a person may say of one that it is expected, and of no other.
        cause_key=f"{place}/{ORDERS}/{last}",
        record=name,
        field="orders",
        rule="as many orders as usual at this hour of the week",
        message=f"{name}: {words(one, now)}.",
        cure=f"{_CALL} Whatever was sold meanwhile comes in by itself. The next order closes this.",
        owner=Owner.RETAIL_OPS,
        payload={"place": place, "last_order": last, "expected": round(one.expected, 1)},
        group=store_group(place),
        place=name,
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
