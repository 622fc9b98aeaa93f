"""Draws docs/window.svg: ``python -m scripts.draw_window``. A test fails when the file is stale.

The limiter's own window counts the requests of the picture, so both always agree.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from shared.limits.sliding_window import BUCKETS, BucketedWindow

PICTURE = Path(__file__).parents[1] / "docs" / "window.svg"

_SECOND = 1_000_000
_INK, _GRAY, _BLUE, _AMBER, _RED = "#1f2328", "#d0d7de", "#0969da", "#bf8700", "#cf222e"
_LEFT, _WIDTH = 60, 660


def draw() -> str:
    """The picture as SVG."""
    parts = (*_buckets(top=40), *_attack(top=250))
    return "\n".join(
        (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 480"',
            '  font-family="sans-serif" font-size="13">',
            "<title>The bucketed sliding window</title>",
            "<desc>Above: the 64 newest buckets and the oldest, which counts in full. Below: what a fixed "
            "window and this one admit in any window under the boundary attack.</desc>",
            '<rect width="780" height="480" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        )
    )


def _buckets(top: int) -> Iterator[str]:
    """The requests in each bucket. The newest and the oldest bucket are only partly in the window."""
    shown = BUCKETS + 7
    step = _WIDTH / shown
    # Some traffic with bursts and pauses.
    charged = [(7 * i * i + 3 * i) % 11 * (i % 9 < 6) for i in range(4, shown + 4)]
    yield _text(_LEFT, top - 18, "Requests in each bucket (window / 64)", bold=True)
    floor = top + 90
    oldest = shown - BUCKETS - 1
    for i, units in enumerate(charged):
        color = _GRAY if i < oldest else _AMBER if i == oldest else _BLUE
        height = 2 + 7 * units
        yield _rect(_LEFT + i * step, floor - height, step - 2, height, color)
    end = _LEFT + (shown - 0.4) * step
    start = end - BUCKETS * step
    yield _line(start, floor + 14, end, floor + 14, _INK)
    for x, label in ((start, "now - window"), (end, "now")):
        yield _line(x, floor + 8, x, floor + 20, _INK)
        yield _text(x, floor + 36, label, anchor="middle")
    yield _text(_LEFT, floor + 56, "gray: expired", color="#57606a")
    yield _text(_LEFT + 130, floor + 56, "amber: partly outside, counts in full", color=_AMBER)
    total = sum(charged[oldest:])
    yield _text(_LEFT + 400, floor + 56, f"blue: counts. Sum: {total}", color=_BLUE)


def _attack(top: int) -> Iterator[str]:
    """The number admitted in the last window, with bursts just before and just after each boundary."""
    asked = [k * 2 * _SECOND + shift for k in (1, 2) for shift in (-20_000, 20_000)]
    floor, height, until = top + 160, 130, 6 * _SECOND
    yield _text(
        _LEFT, top - 8, "Admitted in the last window under the boundary attack, limit 100 per 2 s", bold=True
    )

    def x(now: int) -> float:
        return _LEFT + now / until * _WIDTH

    def y(count: int) -> float:
        return floor - count / 200 * height

    for count in (0, 100, 200):
        yield _line(_LEFT, y(count), _LEFT + _WIDTH, y(count), _GRAY)
        yield _text(_LEFT - 8, y(count) + 4, str(count), anchor="end")
    for second in range(0, 7, 2):
        yield _text(x(second * _SECOND), floor + 20, f"{second} s", anchor="middle")
    for now in asked:
        yield _line(x(now), floor, x(now), floor + 7, _INK)
    for color, admitted in ((_RED, _fixed(asked)), (_BLUE, _bucketed(asked))):
        curve = _rolling(admitted, until)
        points = " ".join(f"{x(now):.1f},{y(count):.1f}" for now, count in curve)
        yield f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
    yield _text(_LEFT, floor + 48, f"red: fixed window, at most {_worst(_fixed(asked))}", color=_RED)
    worst = _worst(_bucketed(asked))
    yield _text(_LEFT + 220, floor + 48, f"blue: bucketed window, at most {worst}", color=_BLUE)
    yield _text(_LEFT + 470, floor + 48, "marks: 100 requests each")


def _fixed(asked: Sequence[int], limit: int = 100, length: int = 2 * _SECOND) -> list[int]:
    """The times at which a fixed window admits a request, of a burst of `limit` at each time in `asked`."""
    used: dict[int, int] = {}
    admitted = []
    for now in asked:
        free = limit - used.get(now // length, 0)
        used[now // length] = limit
        admitted += [now] * free
    return admitted


def _bucketed(asked: Sequence[int], limit: int = 100, length: int = 2 * _SECOND) -> list[int]:
    """The same for the limiter's own window."""
    window = BucketedWindow(length // 1000)
    admitted = []
    for now in asked:
        if free := limit - window.total(now):
            window.charge(now, free)
            admitted += [now] * free
    return admitted


def _rolling(admitted: Iterable[int], until: int, length: int = 2 * _SECOND) -> list[tuple[int, int]]:
    """The curve of the number admitted in the last window: two points at each step."""
    admitted = list(admitted)
    moments = sorted({0, until, *admitted, *(now + length for now in admitted)})
    counts = [sum(now - length < one <= now for one in admitted) for now in moments]
    curve = [(moments[0], counts[0])]
    for (_, before), (now, count) in pairwise(zip(moments, counts, strict=True)):
        curve += [(now, before), (now, count)]
    return [(now, count) for now, count in curve if now <= until]


def _worst(admitted: Sequence[int]) -> int:
    return max(count for _, count in _rolling(admitted, max(admitted)))


def _rect(x: float, y: float, width: float, height: float, color: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", color: str = _INK, bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{weight}>{words}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
