"""Charts as SVG that stands in a page: no script, nothing loaded, colours of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 180, 44, 22
#: Height of the plot.
PLOT = HEIGHT - BOTTOM
#: Width of a name below the axis.
NAME = 30
_NOTHING = Markup("")


def stacked(nights: Sequence[str], series: Mapping[str, Mapping[str, int]], title: str) -> Markup:
    """Bars by night, one piece a series, the first at the bottom.

    :param nights: in the order of the axis.
    :param series: number by night, by name; a night that is absent counts as nothing.
    :param title: what is shown, for those who do not see it.
    """
    sums = [sum(one.get(night, 0) for one in series.values()) for night in nights]
    top = round_up(max(sums, default=0))
    return chart(
        nights, top, lambda night, left, width: _bar(night, series, left, width, PLOT, PLOT / top), title
    )


def chart(
    days: Sequence[str],
    top: int,
    bar: Callable[[str, float, float], Iterable[Markup]],
    title: str,
    above: Markup = _NOTHING,
) -> Markup:
    """Bars by day over an axis.

    :param days: names that begin with a date, in the order of the axis.
    :param top: the number at the top of the axis.
    :param bar: draws that of a day, given where it begins and how wide it is.
    :param title: what is shown, for those who do not see it.
    :param above: what is drawn over the bars.
    """
    step, named = (WIDTH - LEFT) / max(1, len(days)), max(1, len(days) // 6)
    drawn = [_axis(top)]
    for place, day in enumerate(days):
        left = LEFT + place * step
        drawn += bar(day, left + step * 0.12, step * 0.76)
        if place % named == 0 and left < WIDTH - NAME:
            drawn.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(left, HEIGHT - 6, day[5:10]))
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join([*drawn, above])
    )


def _bar(
    night: str, series: Mapping[str, Mapping[str, int]], left: float, width: float, bottom: float, unit: float
) -> Iterator[Markup]:
    """The pieces of a night's bar.

    :param unit: height of 1.
    """
    for number, (name, values) in enumerate(series.items()):
        value = values.get(night, 0)
        if not value:
            continue
        bottom -= unit * value
        yield Markup(
            '<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}: {} {:,}</title></rect>'
        ).format(number, left, bottom, width, unit * value, night, name, value)


def _axis(top: int) -> Markup:
    """Lines at nothing, half and all, with their numbers.

    :param top: the number at the top.
    """
    lines = _NOTHING
    for value in (0, top // 2, top):
        y = PLOT - PLOT * value / top
        lines += Markup(
            '<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text class="end" x="{}" y="{:.1f}">{:,}</text>'
        ).format(LEFT, WIDTH, y, y, LEFT - 6, max(10.0, y + 4), value)
    return lines


def round_up(number: int) -> int:
    """The next of 2, 4, 6, 8, 10, 20, 40 …: axes that people can halve in their head."""
    scale = 1
    while True:
        for step in (2, 4, 6, 8, 10):
            if number <= step * scale:
                return step * scale
        scale *= 10
