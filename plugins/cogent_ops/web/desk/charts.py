"""Charts of Sync Health as shapes that a template draws: pure numbers in, pure numbers out.

They are drawn on the server, so they need no script. What a chart shows is said in its summary, too, for whoever cannot
see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cogent_ops.domain.health.model import Account, Change, HourAccount
from cogent_ops.domain.text import span
from cogent_ops.store.health import Sample

#: Size of the plot, and what is left around it for words. A drawing is about as wide as a telephone, so that its words
#: can be read there and are not too large elsewhere.
WIDTH, HEIGHT = 340.0, 92.0
TOP, BOTTOM = 20.0, 18.0
#: A curve has so many points at most; of the checks that fall together the worst counts.
POINTS = 170
#: Two checks so far apart are not joined: nobody looked in between.
SILENT = timedelta(minutes=16)
#: Up to so many days, a time stands below every so many hours, in this form.
_STEPS = (
    (0.3, 1, "%H:%M"),
    (1.3, 6, "%H:%M"),
    (8.5, 24, "%a"),
    (17.0, 72, "%d %b"),
    (40.0, 168, "%d %b"),
    (math.inf, 336, "%d %b"),
)
#: So many marks have room side by side.
CELLS = 8


@dataclass(frozen=True)
class Mark:
    """Changes at about one place of the curve.

    :param text: their numbers: ``2`` or ``2–4``.
    :param places: where exactly they were.
    """

    x: float
    width: float
    text: str
    places: tuple[float, ...]


@dataclass(frozen=True)
class Tick:
    """A time below the curve."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Gap:
    """A time in which nobody looked."""

    x: float
    width: float


@dataclass(frozen=True)
class Curve:
    """Age of a flow's data over time.

    :param line: of an SVG path; ``area`` closes it at the bottom.
    :param target: height of the agreed age.
    :param top: the age at the upper edge, in words.
    :param has_target_label: whether there is room for its words.
    :param summary: what there is to see.
    """

    line: str
    area: str
    target: float
    top: str
    gaps: tuple[Gap, ...]
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    summary: str


@dataclass(frozen=True)
class Window:
    """A span of time that is drawn from left to right.

    :param zone: whose hours stand below it.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo

    def x(self, at: datetime) -> float:
        """Where a moment is."""
        share = (at - self.start) / (self.end - self.start)
        return round(min(1.0, max(0.0, share)) * WIDTH, 1)

    def holds(self, at: datetime) -> bool:
        """Whether a moment is in it."""
        return self.start <= at <= self.end


def curve(samples: Sequence[Sample], target: float, window: Window, changes: Sequence[Change]) -> Curve:
    """How old a flow's data was.

    :param samples: the oldest first.
    :param target: the agreed age, in seconds.
    :param changes: what is marked, in the order of their numbers.
    """
    known = [(one.at, one.age) for one in samples if one.age is not None and window.holds(one.at)]
    runs = list(_runs(known))
    highest = max((age for _, age in known), default=0.0)
    ceiling = max(target * 1.35, highest * 1.06)
    points = [_thinned([(window.x(at), _y(age, ceiling)) for at, age in run]) for run in runs]
    return Curve(
        line=" ".join(_line(run) for run in points),
        area=" ".join(_area(run) for run in points),
        target=_y(target, ceiling),
        top=span(ceiling),
        gaps=tuple(_gaps(runs, window)),
        ticks=tuple(ticks(window)),
        marks=tuple(_marks(changes, window)),
        summary=_summary(known, target, highest, window),
    )


def _runs(known: Sequence[tuple[datetime, float]]) -> Iterator[list[tuple[datetime, float]]]:
    """Checks that followed one another without a silence."""
    run: list[tuple[datetime, float]] = []
    for at, age in known:
        if run and at - run[-1][0] > SILENT:
            yield run
            run = []
        run.append((at, age))
    if run:
        yield run


def _y(age: float, ceiling: float) -> float:
    return round(TOP + HEIGHT * (1 - age / ceiling), 1)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Not more points than can be seen apart; the oldest data of each group stays, and when it was."""
    width = WIDTH / POINTS
    kept: dict[int, tuple[float, float]] = {}
    for x, y in points:
        place = int(x / width)
        if place not in kept or y < kept[place][1]:
            kept[place] = (x, y)
    return list(kept.values())


def _line(points: Sequence[tuple[float, float]]) -> str:
    # A single check is drawn as a short stroke, or nobody would see it.
    more = f" h{1.5}" if len(points) == 1 else ""
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in points) + more


def _area(points: Sequence[tuple[float, float]]) -> str:
    floor = TOP + HEIGHT
    return f"{_line(points)} V{floor:g} H{points[0][0]:g} Z"


def _gaps(runs: Sequence[Sequence[tuple[datetime, float]]], window: Window) -> Iterator[Gap]:
    ends = [window.start, *(run[-1][0] for run in runs)]
    begins = [*(run[0][0] for run in runs), window.end]
    for before, after in zip(ends, begins, strict=True):
        if after - before > SILENT:
            left, right = window.x(before), window.x(after)
            yield Gap(left, round(right - left, 1))


def ticks(window: Window) -> Iterator[Tick]:
    """Round hours, or days, of the business's clock."""
    days = (window.end - window.start) / timedelta(days=1)
    hours, form = next((step, form) for most, step, form in _STEPS if days <= most)
    local = window.start.astimezone(window.zone).replace(minute=0, second=0, microsecond=0)
    local -= timedelta(hours=local.hour % min(hours, 24))
    while local <= window.end:
        if window.start <= local:
            x = window.x(local)
            anchor = "start" if x < 20 else "end" if x > WIDTH - 20 else "middle"
            yield Tick(x, f"{local:{form}}".lstrip("0") if "%b" in form else f"{local:{form}}", anchor)
        # Arithmetic on local times keeps the hour of the clock when summer time begins or ends.
        local += timedelta(hours=hours)


def _marks(changes: Sequence[Change], window: Window) -> Iterator[Mark]:
    """Numbers of changes, those that would lie on each other together: one for each cell of the width."""
    cells: dict[int, list[tuple[float, int]]] = {}
    for number, change in enumerate(changes, 1):
        if window.holds(change.at):
            x = window.x(change.at)
            cells.setdefault(min(CELLS - 1, int(x / WIDTH * CELLS)), []).append((x, number))
    for cell, group in cells.items():
        low, high = min(number for _, number in group), max(number for _, number in group)
        text = f"{low}" if low == high else f"{low}–{high}"
        width, size = 10.0 + 6 * len(text), WIDTH / CELLS
        left = min(
            (cell + 1) * size - width, max(cell * size, sum(x for x, _ in group) / len(group) - width / 2)
        )
        yield Mark(round(left, 1), width, text, tuple(sorted({x for x, _ in group})))


def _summary(known: Sequence[tuple[datetime, float]], target: float, highest: float, window: Window) -> str:
    if not known:
        return f"Nothing was measured in this time. Agreed: {span(target)}."
    text = f"Agreed: {span(target)}. Highest: {span(highest)}"
    at = next(at for at, age in known if age == highest).astimezone(window.zone)
    day = "" if at.date() == window.end.astimezone(window.zone).date() else f"{at:%a} "
    text += f" at {day}{at:%H:%M}."
    over = _over(known, target, window.end)
    return text + (f" Over it for {span(over)}." if over else " Never over it.")


def _over(known: Sequence[tuple[datetime, float]], target: float, end: datetime) -> float:
    """For how long it was older than agreed, in seconds: from each such check to the next one."""
    nexts = [*(at for at, _ in known[1:]), end]
    return sum(
        min(after - at, SILENT).total_seconds()
        for (at, age), after in zip(known, nexts, strict=True)
        if age > target
    )


@dataclass(frozen=True)
class Bar:
    """A part of a bar."""

    name: str
    x: float
    y: float
    width: float
    height: float


#: What became of things, in the order of the accounts, the finished first.
PARTS: tuple[tuple[str, Callable[[Account], int]], ...] = (
    ("done", lambda account: account.done),
    ("excluded", lambda account: account.excluded),
    ("waiting", lambda account: account.waiting),
    ("review", lambda account: account.review),
    ("unexplained", lambda account: abs(account.unexplained)),
)


def share_bar(account: Account, *, width: float = 1000.0, least: float = 6.0) -> tuple[Bar, ...]:
    """What became of everything, as one bar; what is there at all can be seen."""
    counts = [(name, part(account)) for name, part in PARTS]
    total = sum(count for _, count in counts)
    if not total:
        return ()
    raw = [(name, max(least, count / total * width)) for name, count in counts if count]
    scale, x, bars = width / sum(size for _, size in raw), 0.0, []
    for name, size in raw:
        bars.append(Bar(name, round(x, 1), 0, round(size * scale, 1), 10))
        x += size * scale
    return tuple(bars)


@dataclass(frozen=True)
class Hours:
    """Hours side by side.

    :param paths: of each part, by its name.
    :param ticks: hours of the business's clock.
    :param most: how many the highest bar stands for.
    """

    paths: tuple[tuple[str, str], ...]
    ticks: tuple[Tick, ...]
    most: int


def hour_bars(
    hours: Sequence[HourAccount],
    end: datetime,
    zone: ZoneInfo,
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Hours:
    """Orders of the last 24 hours, by the hour of the sale, stacked by what became of them."""
    last = end.replace(minute=0, second=0, microsecond=0)
    step = width / 24
    paths: dict[str, list[str]] = {}
    sums: dict[datetime, Account] = {}
    for one in hours:
        sums[one.hour] = sums.get(one.hour, Account()) + one.orders
    most = max((sum(part(account) for _, part in PARTS) for account in sums.values()), default=0)
    for hour, account in sums.items():
        place = 23 - round((last - hour).total_seconds() / 3600)
        if not 0 <= place < 24:
            continue
        y = height
        for name, part in PARTS:
            if count := part(account):
                tall = max(1.5, count / most * height)
                y = max(0.0, y - tall)
                paths.setdefault(name, []).append(
                    f"M{place * step + step * 0.12:.4g} {y:.4g}h{step * 0.76:.4g}v{tall:.4g}h-{step * 0.76:.4g}z"
                )
    window = Window(last - timedelta(hours=23), last + timedelta(hours=1), zone)
    return Hours(
        tuple((name, "".join(paths[name])) for name, _ in PARTS if name in paths), tuple(ticks(window)), most
    )


@dataclass(frozen=True)
class Stairs:
    """A quantity over time, which stays what it is until it changes.

    :param top: the quantity at the upper edge; ``bottom`` at the lower one.
    :param zero: height of nothing; ``None``: it is not in the drawing.
    """

    line: str
    top: int
    bottom: int
    zero: float | None
    ticks: tuple[Tick, ...]


def stairs(changes: Sequence[tuple[datetime, int]], window: Window) -> Stairs | None:
    """A quantity from change to change; ``None``: there are too few to draw.

    :param changes: when it became what, the oldest first.
    """
    seen = [(window.x(at), number) for at, number in changes if window.holds(at)]
    if len(seen) < 2:
        return None
    numbers = [number for _, number in seen]
    top, bottom = max(*numbers, 1), min(*numbers, 0)

    def y(number: int) -> float:
        return round(TOP + HEIGHT * (top - number) / (top - bottom), 1)

    line = f"M{seen[0][0]:g} {y(seen[0][1]):g}" + "".join(f"H{x:g}V{y(number):g}" for x, number in seen[1:])
    return Stairs(f"{line}H{WIDTH:g}", top, bottom, y(0) if bottom < 0 else None, tuple(ticks(window)))
