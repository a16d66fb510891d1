"""Why is this number what it is: one place's stock as one time line of both systems, with arithmetic that adds up.

``services.explain`` gathers what is known and :mod:`cogent_ops.domain.health.telling` tells it; the command line and
the page only show it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from cogent_ops.domain.health.model import Part
from cogent_ops.domain.stock import Place


class System(StrEnum):
    """Where something happened."""

    KIOSK = "kiosk"
    STORE = "store"
    SHOP = "commercetools"
    US = "cogent_ops"


class What(StrEnum):
    """What happened."""

    MOVEMENT = "movement"
    COUNT = "count"
    HEAL = "heal"
    BATCH = "batch"
    WEB_ORDER = "web_order"
    EDIT = "edit"
    ENTRY = "entry"
    UNEXPLAINED = "unexplained"
    WANTED = "wanted"
    TOLD = "told"
    FLAG = "flag"
    PROTECTION = "protection"
    FINDING = "finding"
    EXCEPTION = "exception"
    DECISION = "decision"


#: What changes the quantity in commercetools; of all else the units say what it means, and nothing is added up.
MOVES = frozenset({What.BATCH, What.WEB_ORDER, What.EDIT, What.ENTRY, What.UNEXPLAINED})


class Fact(Part):
    """A line of detail."""

    name: str
    value: str


class Event(Part):
    """Something that happened at the place.

    :param text: one sentence; no personal data.
    :param units: signed; ``None``: it moves none.
    :param number: units on stock in commercetools afterwards; ``None``: it does not change them, or nobody knows.
    :param reference: an order, a file and line, a batch, an exception; may be empty.
    :param open: it still waits for something.
    :param exception: id of the exception that it is.
    :param link: whose it is; links may share a commercetools project.
    """

    at: datetime
    system: System
    what: What
    text: str
    units: int | None = None
    number: int | None = None
    reference: str = ""
    detail: tuple[Fact, ...] = ()
    open: bool = False
    exception: int | None = None
    link: str = ""


class Side(Part):
    """What one system says now.

    :param number: units on stock in commercetools, or that kiosks were told; ``None``: none is known.
    :param available: commercetools only: units without those that are reserved.
    :param text: the same in words.
    :param read_at: when it was read; ``None``: it could not be read now, so this is what is remembered.
    :param problem: why it could not be read; empty: it was.
    """

    text: str
    number: int | None = None
    available: int | None = None
    read_at: datetime | None = None
    problem: str = ""


class Step(Part):
    """A row of the arithmetic.

    :param units: signed; of a sum, what it comes to.
    :param is_sum: the rows since the sum before, that one included, come to it.
    :param note: more about it; may be empty.
    """

    text: str
    units: int
    is_sum: bool = False
    is_unexplained: bool = False
    note: str = ""


class Story(Part):
    """The answer.

    :param place: key of the supply Channel; empty: the pool without Channel.
    :param name: the store as people call it.
    :param since: how far back was looked.
    :param sentence: the answer in one sentence, or two.
    :param shop: commercetools; ``kiosks``: Cloudshelf.
    :param pending: signed units that commercetools does not have yet.
    :param steps: from a number that is certain to the numbers of now.
    :param unexplained: units, without sign, that nothing explains.
    :param events: the oldest first.
    :param left_out: older movements that are not listed.
    :param notes: what could not be looked at, and what that means.
    """

    link: str
    sku: str
    place: str
    name: str
    asked_at: datetime
    since: datetime
    sentence: str
    shop: Side
    kiosks: Side
    pending: int
    steps: tuple[Step, ...]
    unexplained: int
    events: tuple[Event, ...]
    left_out: int = 0
    notes: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The place as people write it."""
        return str(Place(self.sku, self.place))
