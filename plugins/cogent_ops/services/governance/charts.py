"""Charts of a month that nights do not have; see :mod:`cogent_ops.services.drift.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from markupsafe import Markup

from cogent_ops.domain.text import span
from cogent_ops.services.drift.charts import BOTTOM, HEIGHT, LEFT, NAME, WIDTH, axis, round_up

#: Units of the axis: the first that the target has less than so many seconds of.
_UNITS = ((90, 1, "s"), (5400, 60, "min"), (float("inf"), 3600, "h"))


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
    top, plot = round_up(max(1, round(max([target, *values.values()]) / size + 0.5))), HEIGHT - BOTTOM
    unit = plot / (top * size)
    step, named = (WIDTH - LEFT) / max(1, len(calendar)), max(1, len(calendar) // 6)
    drawn = [axis(top, plot)]
    for place, day in enumerate(calendar):
        left = LEFT + place * step
        if day in values:
            drawn.append(_bar(day, values[day], target, left + step * 0.12, step * 0.76, plot, unit))
        if place % named == 0 and left < WIDTH - NAME:
            drawn.append(Markup('<text x="{:.1f}" y="{}">{:%m-%d}</text>').format(left, HEIGHT - 6, day))
    agreed = plot - target * unit
    drawn.append(
        Markup('<line class="agreed" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
            LEFT, WIDTH, agreed, agreed
        )
    )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join(drawn)
    )


def _bar(
    day: date, value: float, target: float, left: float, width: float, bottom: float, unit: float
) -> Markup:
    """A day's bar.

    :param unit: height of a second.
    """
    height, late = max(1.0, value * unit), value > target
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}: {}{}</title></rect>'
    ).format(
        "s2" if late else "s1",
        left,
        bottom - height,
        width,
        height,
        day,
        span(value),
        ", late" if late else "",
    )
