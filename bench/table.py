"""Plain text tables: the first column to the left, figures to the right."""

from collections.abc import Sequence

from bench.figures import Spread

_NONE = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of equal columns, with a rule below the head. All rows have as many cells as the head."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [_line(head, widths), "  ".join("-" * width for width in widths)]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def cell(figure: Spread | None, scale: float = 1.0, digits: int = 0, *, ranged: bool = False) -> str:
    """The median times `scale`; with its range when `ranged`. A dash when there is none."""
    if figure is None:
        return _NONE
    shown = f"{figure.median * scale:,.{digits}f}"
    if not ranged or figure.rounds < 2:
        return shown
    return f"{shown} ({figure.low * scale:,.{digits}f}..{figure.high * scale:,.{digits}f})"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        text.rjust(width) if column else text.ljust(width)
        for column, (text, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()
