"""Kiosks as Cloudshelf sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from cogent_ops.clients.cloudshelf import CloudshelfClient, Device
from cogent_ops.clients.graphql_api import RoleRefused
from cogent_ops.domain.business_hours import BusinessHours
from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.health.model import Check, Kiosk, State
from cogent_ops.domain.orders import own_channel
from cogent_ops.domain.rules import HealthRules
from cogent_ops.domain.text import counted, listed, span
from cogent_ops.services.health.looking import Cause, OutsideReport, over
from cogent_ops.services.health.silence import store_group
from cogent_ops.store import Store

#: What is missed, in the cause key of a store whose kiosks are off: ``<Channel key>/kiosks/<when one was seen last>``.
KIOSKS = "kiosks"
#: A kiosk that was not seen for so long is stored away rather than off.
STORED_AWAY = timedelta(days=7)
#: It has never been set up.
NOT_SET_UP = "NO_CLOUDSHELF"
_SHOWN = 5


class Kiosks:
    """Looks at a link's kiosks.

    :param client: makes the Cloudshelf client.
    :param hours: when kiosks should be on.
    """

    name = "Kiosks"

    def __init__(
        self,
        link: str,
        rules: HealthRules,
        store: Store,
        client: Callable[[], CloudshelfClient],
        hours: BusinessHours,
    ) -> None:
        self.link, self.rules, self.store, self.hours = link, rules, store, hours
        self._client = client

    def ask(self) -> list[Device] | None:
        """All kiosks; ``None`` when the key may not see them."""
        try:
            return [device for page in self._client().devices() for device in page]
        except RoleRefused:
            return None

    def judge(self, answer: list[Device] | None, now: datetime) -> OutsideReport:
        """Which are off, and which stores have none left."""
        if answer is None:
            return OutsideReport((self._unseen(),))
        kiosks: dict[str, list[Kiosk]] = {}
        names: dict[str, str] = {}
        for device in answer:
            place = own_channel(device.location or "") or ""
            names[place] = device.place
            kiosks.setdefault(place, []).append(
                Kiosk(name=device.name, status=device.status, last_seen=device.last_seen)
            )
        should_be_on = self.is_open(now)
        off = {place: self._off(some, now) if should_be_on else [] for place, some in kiosks.items()}
        dark = {
            place: names[place]
            for place, some in off.items()
            if place and some and len(some) == len(self._in_use(kiosks[place], now))
        }
        found = tuple(self._dark(place, name, off[place]) for place, name in dark.items())
        return OutsideReport(
            checks=(self._check(kiosks, off, now),),
            found=found,
            gone=self._over(kiosks, found) if should_be_on else (),
            kiosks={place: tuple(some) for place, some in kiosks.items()},
            reasons={
                place: (self._words(kiosks[place], some, now),)
                for place, some in off.items()
                if place and some
            },
        )

    def is_open(self, now: datetime) -> bool:
        """Whether kiosks should have been on for as long as one may be away."""
        return self.hours.is_open(now) and self.hours.is_open(now - self._patience)

    @property
    def _patience(self) -> timedelta:
        return timedelta(minutes=self.rules.kiosk_minutes)

    def _in_use(self, kiosks: Iterable[Kiosk], now: datetime) -> list[Kiosk]:
        return [one for one in _set_up(kiosks) if now - _newest([one]) < STORED_AWAY]

    def _off(self, kiosks: Iterable[Kiosk], now: datetime) -> list[Kiosk]:
        return [
            one for one in self._in_use(kiosks, now) if one.last_seen and now - one.last_seen > self._patience
        ]

    def _unseen(self) -> Check:
        return Check(
            name=self.name,
            state=State.UNKNOWN,
            message="The role of Cloudshelf's key does not allow to see kiosks, so nobody notices one that is off "
            "before its orders are missed.",
            cure="Give the role READ for DEVICE in the Cloudshelf Manager, if you want to know.",
        )

    def _check(
        self, kiosks: Mapping[str, Sequence[Kiosk]], off: Mapping[str, Sequence[Kiosk]], now: datetime
    ) -> Check:
        used = sum(len(self._in_use(some, now)) for some in kiosks.values())
        away = sum(len(some) for some in kiosks.values()) - used
        rest = f" {away} more not in use." if away else ""
        missing = [one for some in off.values() for one in some]
        if not missing:
            seen = f"{counted(used, 'kiosk')}, all seen within {span(self._patience.total_seconds())}."
            unasked = f"{counted(used, 'kiosk')}; outside of business hours they may be off."
            message = f"{seen if self.is_open(now) else unasked}{rest}"
            return Check(name=self.name, state=State.GOOD, message=message)
        shown = listed(
            f"{one.name} (seen {span((now - _newest([one])).total_seconds())} ago)"
            for one in missing[:_SHOWN]
        )
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        return Check(
            name=self.name,
            state=State.LATE,
            message=f"{len(missing)} of {counted(used, 'kiosk')} off: {shown}{more}.{rest}",
            cure="Have the store switch it on. One that is no more is removed in the Cloudshelf Manager.",
        )

    def _words(self, kiosks: Sequence[Kiosk], off: Sequence[Kiosk], now: datetime) -> str:
        used = self._in_use(kiosks, now)
        which = "all kiosks" if len(off) == len(used) else f"{len(off)} of {counted(len(used), 'kiosk')}"
        return f"{which} off, seen {span((now - _newest(off)).total_seconds())} ago last"

    def _over(
        self, kiosks: Mapping[str, Sequence[Kiosk]], found: Sequence[NewException]
    ) -> tuple[Cause, ...]:
        """Stores of which a kiosk was seen again, or that have none any more.

        Those that were not seen for so long that they count as stored away have not come back.
        """
        anew = {one.payload["place"] for one in found}
        over_ = []
        for kind, cause in over(self.store, self.link, Kind.STORE_SILENT, "", found):
            place, what, since = (*cause.split("/", 2), "", "")[:3]
            if what != KIOSKS:
                continue
            left = _set_up(kiosks.get(place, ()))
            is_back = bool(left) and _newest(left).replace(microsecond=0) > datetime.fromisoformat(since)
            # What is raised anew, with another time, takes the place of this.
            if is_back or not left or place in anew:
                over_.append((kind, cause))
        return tuple(over_)

    def _dark(self, place: str, name: str, off: Sequence[Kiosk]) -> NewException:
        newest = _newest(off)
        return NewException(
            kind=Kind.STORE_SILENT,
            # Each time is a case of its own, as with orders that are missed.
            cause_key=f"{place}/{KIOSKS}/{newest.isoformat(timespec='seconds')}",
            record=name,
            field="kiosks",
            rule=f"a kiosk is seen every {self.rules.kiosk_minutes} minutes in business hours",
            message=f"{name}: Cloudshelf sees none of its {counted(len(off), 'kiosk')} since "
            f"{newest:%Y-%m-%d %H:%M} UTC.",
            cure="Call the store: are the kiosks on, does the network work? The first one that is seen again closes "
            "this.",
            owner=Owner.RETAIL_OPS,
            payload={"place": place, "kiosks": [one.name for one in off]},
            group=store_group(place),
            place=name,
        )


def _set_up(kiosks: Iterable[Kiosk]) -> list[Kiosk]:
    """Those that were on at some time, and still are kiosks."""
    return [one for one in kiosks if one.status != NOT_SET_UP and one.last_seen is not None]


def _newest(kiosks: Iterable[Kiosk]) -> datetime:
    """When one of them was seen last; one that never was is not in use."""
    return max(one.last_seen for one in kiosks if one.last_seen is not None)
