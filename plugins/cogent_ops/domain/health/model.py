"""What sync health says of a link at one moment: the one thing that page, command line, metrics and reports read.

``services.health.check`` makes a :class:`Snapshot` every five minutes and stores it; readers never count anything
themselves, so that they cannot contradict one another.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from cogent_ops.domain.money import Money


class Flow(StrEnum):
    """What carries data from one side to the other, or compares them."""

    CATALOGUE = "catalogue"
    STOCK = "stock"
    AVAILABILITY = "availability"
    ORDERS = "orders"
    STATUS = "status"
    DRIFT = "drift"


class State(StrEnum):
    """How something stands, the best first."""

    GOOD = "good"
    UNKNOWN = "unknown"
    LATE = "late"
    BAD = "bad"


def worst(*states: State) -> State:
    """The worst of these; nothing is wrong where there is none."""
    order = list(State)
    return max(states, key=order.index, default=State.GOOD)


class Part(BaseModel):
    """Base: immutable, and stored as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Freshness(Part):
    """How old the data of a flow is. Times in seconds.

    :param age: the larger of the age of what waits longest, and of the time since the flow looked last; ``None``: it
        has never run.
    :param p50: half of what arrived in the last hour took so long at most; ``None``: nothing arrived.
    :param done: how much arrived in the last hour.
    :param review: what waits for a person; it is not late, and has its own deadline.
    :param drain: how long what waits will take at the present pace; ``None``: it does not get less.
    :param cause: why it is late, in words; empty: it is not, or nobody knows.
    """

    flow: Flow
    state: State
    age: float | None
    target: float
    looked_at: datetime | None = None
    oldest_waiting: datetime | None = None
    p50: float | None = None
    p95: float | None = None
    done: int = 0
    waiting: int = 0
    review: int = 0
    drain: float | None = None
    cause: str = ""


class Account(Part):
    """What became of what was seen; ``unexplained`` is the rest, and more or less than zero is a fault of ours."""

    seen: int = 0
    done: int = 0
    waiting: int = 0
    review: int = 0
    excluded: int = 0

    @property
    def unexplained(self) -> int:
        """What is none of these."""
        return self.seen - self.done - self.waiting - self.review - self.excluded

    def __add__(self, other: Account) -> Account:
        """Both together."""
        return Account(
            seen=self.seen + other.seen,
            done=self.done + other.done,
            waiting=self.waiting + other.waiting,
            review=self.review + other.review,
            excluded=self.excluded + other.excluded,
        )


class HourAccount(Part):
    """A store's orders and units of one hour, by the hour of the sale.

    :param hour: its beginning, UTC.
    """

    hour: datetime
    orders: Account
    units: Account


class Kiosk(Part):
    """A kiosk, as Cloudshelf shows it.

    :param status: Cloudshelf's own word, such as ``LIVE``.
    """

    name: str
    status: str
    last_seen: datetime | None


class StoreHealth(Part):
    """One store.

    :param place: key of its supply Channel; empty: orders whose store nobody knows.
    :param hours: the last 24, the oldest first; hours without anything are left out.
    :param last_order: when its last kiosk order came.
    :param expected: orders that would have been usual since then.
    :param kiosks: as far as Cloudshelf tells; empty: it does not.
    :param at_risk: units that may be sold twice there.
    :param open: open exceptions about it.
    :param reasons: what is wrong, in words, the worst first.
    """

    place: str
    name: str
    state: State
    hours: tuple[HourAccount, ...] = ()
    last_order: datetime | None = None
    expected: float = 0.0
    kiosks: tuple[Kiosk, ...] = ()
    at_risk: int = 0
    open: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def orders(self) -> Account:
        """Of all hours."""
        return sum((hour.orders for hour in self.hours), Account())

    @property
    def units(self) -> Account:
        """Of all hours."""
        return sum((hour.units for hour in self.hours), Account())


class BudgetUse(Part):
    """How much of an API's rate is used.

    :param rate: configured, in requests per second.
    :param factor: share of it that the API bears at present.
    :param taken: requests that were ever sent, as far as anybody counted.
    :param used: share of ``rate`` used since the check before; ``None``: this is the first.
    :param blocked_until: it has asked to be left alone until then.
    """

    target: str
    state: State
    rate: float
    factor: float
    taken: float = 0.0
    used: float | None = None
    blocked_until: datetime | None = None


class Check(Part):
    """Something outside that was looked at: a credential, a setting, a Subscription.

    :param name: as people call it.
    :param message: what was found.
    :param cure: what to do; empty: nothing.
    """

    name: str
    state: State
    message: str
    cure: str = ""


class Queue(Part):
    """An owner's open exceptions.

    :param overdue: those that nobody took up in time.
    :param oldest: when the oldest was opened.
    """

    owner: str
    open: int
    overdue: int
    oldest: datetime | None = None
    at_stake: tuple[Money, ...] = ()


class AtRisk(Part):
    """Units of a place that may be sold twice, because stock is late.

    :param pending: sold, and commercetools does not know it yet.
    :param age: how late, in seconds.
    :param rate: units that are sold there in an hour.
    :param expected: units that were probably sold meanwhile, and nobody has heard of yet.
    :param buffer: units that kiosks are told less; 0: protection is off.
    """

    sku: str
    place: str
    pending: int
    age: float
    rate: float
    expected: int
    buffer: int
    since: datetime

    @property
    def units(self) -> int:
        """Units at risk."""
        return self.pending + self.expected


class DriftSummary(Part):
    """What the last night found.

    :param findings: by cause.
    :param open: differences that wait for a person's yes or no.
    """

    night: str
    finished_at: datetime
    checked: int
    findings: dict[str, int]
    units: int
    at_stake: tuple[Money, ...] = ()
    open: int = 0


class Change(Part):
    """Something that somebody changed, so that it can be laid beside the curves.

    :param what: in words, such as "configuration: mapping.yaml".
    """

    at: datetime
    actor: str
    what: str


class Snapshot(Part):
    """All of it.

    :param sentence: how the link stands, in one sentence for everybody.
    :param stores: the worst first.
    :param risks: the largest first; not more than :data:`RISKS`, the numbers in stores hold all.
    """

    link: str
    checked_at: datetime
    state: State
    sentence: str
    flows: tuple[Freshness, ...]
    stores: tuple[StoreHealth, ...] = ()
    budgets: tuple[BudgetUse, ...] = ()
    checks: tuple[Check, ...] = ()
    queues: tuple[Queue, ...] = ()
    risks: tuple[AtRisk, ...] = ()
    drift: DriftSummary | None = None
    changes: tuple[Change, ...] = ()

    @property
    def orders(self) -> Account:
        """Of all stores, the last 24 hours."""
        return sum((store.orders for store in self.stores), Account())

    @property
    def units(self) -> Account:
        """Of all stores, the last 24 hours."""
        return sum((store.units for store in self.stores), Account())

    def flow(self, flow: Flow) -> Freshness:
        """One flow.

        :raises KeyError: when it was not looked at.
        """
        for one in self.flows:
            if one.flow is flow:
                return one
        raise KeyError(flow)

    def is_stale(self, now: datetime, monitor_minutes: int) -> bool:
        """Whether it says nothing of the present any more."""
        return now - self.checked_at > timedelta(minutes=monitor_minutes)


#: So many risks a snapshot names.
RISKS = 50
