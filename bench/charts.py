"""Charts as SVG: bars, and a line over numbers. The same figures give the same text.

The colors follow the reader's theme, light or dark.
"""

from collections.abc import Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

_WIDTH, _PADDING = 720, 16
_TITLE = 36  # the height of the title
_BAR, _GAP = 20, 8
_NAMES, _VALUES = 150, 110  # the widths of names and of values beside bars
_PLOT = 240  # the height of the area of a line
_AXIS = 64  # the width of the numbers beside it
_TICKS = 5
_STYLE = """\
<style>
text { font: 13px sans-serif; fill: #1f2328 }
.title { font-weight: bold }
.quiet { fill: #59636e }
.back { fill: #ffffff }
.ours { fill: #0969da; stroke: none }
.other { fill: #8c959f }
.line { fill: none; stroke: #0969da; stroke-width: 2 }
.grid { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.quiet { fill: #9198a1 }
.back { fill: #0d1117 }
.ours { fill: #4493f8 }
.other { fill: #656c76 }
.line { stroke: #4493f8 }
.grid { stroke: #3d444d }
}
</style>"""


class Bar(NamedTuple):
    """A name, its value, and whether it is one of ours."""

    name: str
    value: float
    is_ours: bool


def bars(title: str, description: str, rows: Sequence[Bar]) -> str:
    """A horizontal bar for each row. Raises ValueError without rows."""
    if not rows:
        raise ValueError("there is nothing to draw")
    room, most = _WIDTH - _NAMES - _VALUES - 2 * _PADDING, max(row.value for row in rows) or 1.0
    parts = []
    for number, row in enumerate(rows):
        top = _TITLE + number * (_BAR + _GAP)
        left, width = _PADDING + _NAMES, max(1.0, room * row.value / most)
        kind = "ours" if row.is_ours else "other"
        parts += [
            _text(left - 8, top + 15, row.name, "end"),
            f'<rect class="{kind}" x="{left}" y="{top}" width="{width:.1f}" height="{_BAR}"/>',
            _text(left + width + 6, top + 15, _number(row.value), "start"),
        ]
    return _picture(title, description, _TITLE + len(rows) * (_BAR + _GAP) + 8, parts)


def line(title: str, description: str, points: Sequence[tuple[int, float]]) -> str:
    """A line through the points, evenly spaced. Raises ValueError without points."""
    if not points:
        raise ValueError("there is nothing to draw")
    step = _step(max(value for _, value in points))
    room, bottom = _WIDTH - _AXIS - 4 * _PADDING, _TITLE + _PADDING + _PLOT
    places = [
        (
            _AXIS + 2 * _PADDING + room * number / max(1, len(points) - 1),
            bottom - _PLOT * value / (step * _TICKS),
        )
        for number, (_, value) in enumerate(points)
    ]
    parts = []
    for tick in range(_TICKS + 1):
        y = bottom - _PLOT * tick / _TICKS
        parts.append(f'<line class="grid" x1="{_AXIS}" y1="{y:.1f}" x2="{_WIDTH - _PADDING}" y2="{y:.1f}"/>')
        parts.append(_text(_AXIS - 8, y + 4, _number(step * tick), "end", "quiet"))
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline class="line" points="{way}"/>')
    for (number, value), (x, y) in zip(points, places, strict=True):
        parts.append(f'<circle class="ours" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        parts.append(_text(x, y - 10, _number(value), "middle"))
        parts.append(_text(x, bottom + 20, f"{number:,}", "middle", "quiet"))
    return _picture(title, description, bottom + 36, parts)


def _picture(title: str, description: str, height: int, parts: Sequence[str]) -> str:
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(description)}</desc>",
        _STYLE,
        f'<rect class="back" width="{_WIDTH}" height="{height}"/>',
        _text(_PADDING, 22, title, "start", "title"),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    """Three digits, or all of a number above 100."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _step(most: float) -> float:
    """A round number of which `_TICKS` are at least `most`."""
    if most <= 0:
        return 1.0
    size = 10.0 ** floor(log10(most / _TICKS))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor * _TICKS >= most)
