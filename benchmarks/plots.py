"""Curves over time as SVG, drawn by hand: no plotting library is needed to run a benchmark."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT, LEFT, TOP, GAP = 860, 150, 70, 30, 55
BLUE, ORANGE, GREEN, GREY = "#2563eb", "#ea580c", "#15803d", "#6b7280"
Series = tuple[str, str, Sequence[float]]
Panel = tuple[str, list[Series]]


def draw(
    panels: Sequence[Panel], times: Sequence[float], *, shade: tuple[float, float], step: int = 10
) -> str:
    """Panels below one another.

    :param times: seconds of all series.
    :param shade: the span of time that is grey.
    :param step: seconds between two marks; every other one is labelled.
    """
    bodies = [_panel(at, title, series, times, shade, step) for at, (title, series) in enumerate(panels)]
    height = TOP + len(panels) * (HEIGHT + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>{"".join(bodies)}</svg>\n'
    )


def _panel(
    number: int,
    title: str,
    series: Sequence[Series],
    times: Sequence[float],
    shade: tuple[float, float],
    step: int,
) -> str:
    top = TOP + number * (HEIGHT + GAP)
    right, bottom = WIDTH - 20, top + HEIGHT
    most = max(1.0, *(value for _, _, values in series for value in values))

    def x(at: float) -> float:
        return LEFT + (right - LEFT) * at / times[-1]

    def y(value: float) -> float:
        return bottom - HEIGHT * value / most

    begin, end = shade
    parts = [
        f'<rect x="{x(begin):.1f}" y="{top}" width="{x(end) - x(begin):.1f}" height="{HEIGHT}" fill="#f3f4f6"/>',
        f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{title}</text>',
        f'<path d="M{LEFT} {top}V{bottom}H{right}" fill="none" stroke="{GREY}"/>',
    ]
    parts += (
        f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end" fill="{GREY}">{value:,.0f}</text>'
        for value in (0.0, most / 2, most)
    )
    for at in range(0, int(times[-1]) + 1, step):
        label = f"{at} s" if at % (2 * step) == 0 else ""
        parts.append(
            f'<text x="{x(at):.1f}" y="{bottom + 16}" text-anchor="middle" fill="{GREY}">{label}</text>'
        )
    for _, colour, values in series:
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in zip(times, values, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
    names = "".join(f'<tspan dx="14" fill="{colour}">{name}</tspan>' for name, colour, _ in series)
    parts.append(f'<text x="{right}" y="{top - 8}" text-anchor="end">{names}</text>')
    return "".join(parts)
