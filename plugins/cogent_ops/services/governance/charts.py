"""Charts of a month that nights do not have; see :mod:`cogent_ops.services.drift.charts`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from markupsafe import Markup

from cogent_ops.domain.text import span
from cogent_ops.services.drift.charts import LEFT, PLOT, WIDTH, chart, round_up

#: Units of the axis: the first that the target has less than so many seconds of.
_UNITS = ((90, 1, "s"), (5400, 60, "min"), (float("inf"), 3600, "h"))
_BAR = Markup(
    '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}: {}{}</title></rect>'
)
_LINE = Markup('<line class="agreed" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')


def unit_of(target: float) -> tuple[int, str]:
    """Seconds of the unit in which people speak of such a target, and its name."""
    return next((size, name) for limit, size, name in _UNITS if target < limit)


def against(calendar: Sequence[date], values: Mapping[date, float], target: float, title: str) -> Markup:
    """A bar a day, and a line at what was agreed.

    :param values: seconds by day; a day that is absent was not measured.
    :param target: in seconds.
    :param title: what is shown, for those who do not see it.
    """
    size, _ = unit_of(target)
    top = round_up(max(1, round(max([target, *values.values()]) / size + 0.5)))
    unit = PLOT / (top * size)
    measured = {day.isoformat(): value for day, value in values.items()}

    def bar(day: str, left: float, width: float) -> Iterator[Markup]:
        if day in measured:
            value = measured[day]
            height, late = max(1.0, value * unit), value > target
            shape = ("s2" if late else "s1", left, PLOT - height, width, height)
            yield _BAR.format(*shape, day, span(value), ", late" if late else "")

    agreed = PLOT - target * unit
    line = _LINE.format(LEFT, WIDTH, agreed, agreed)
    return chart([day.isoformat() for day in calendar], top, bar, title, line)
