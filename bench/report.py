"""Figures of a run as tables and targets. Each ratio is taken within a round."""

import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple, NoReturn

from bench.load import CONNECTIONS

#: The result of one round: contender -> measure -> figure, in seconds or per second.
type Round = Mapping[str, Mapping[str, float]]

_MIN_BUSY = 0.9  # of its core, from which on a program counts as the bottleneck


class Target(NamedTuple):
    """A figure over the rounds, and the bound of its median.

    Attributes:
        text: the figure and its unit.
        found: its values.
        bound: the bound of their median.
        is_minimum: whether the bound is the least instead of the most.
        case: the profile that shows where its time goes, by name; empty when there is none.
    """

    text: str
    found: Sequence[float]
    bound: float
    is_minimum: bool = False
    case: str = ""

    @property
    def is_met(self) -> bool:
        """Whether there is a figure, and it is within the bound."""
        if not self.found:
            return False
        return median(self.found) >= self.bound if self.is_minimum else median(self.found) <= self.bound

    @property
    def is_missed(self) -> bool:
        """Whether there is a figure, and it is not within the bound."""
        return bool(self.found) and not self.is_met


class Table(NamedTuple):
    """A title, a head and rows of text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """The table for a terminal."""
        return f"{self.title}\n{table(self.head, self.rows)}"

    def markdown(self) -> str:
        """The table for a page."""
        lines = [self.head, ["---", *("---:" for _ in self.head[1:])], *self.rows]
        return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def report(
    rounds: Sequence[Round],
    bases: Sequence[str] = ("nginx", "mitmdump", "lua+chain"),
    added_to: str = "direct",
) -> str:
    """All loads. Ratios compare with each of `bases`, added times with `added_to`."""
    tables = (by_wall(rounds, bases), by_cpu(rounds, bases), one_connection(rounds, added_to))
    return "\n\n".join(one.text() for one in tables) + _idle_programs(rounds)


def target_table(targets: Sequence[Target]) -> str:
    """Each figure with its range and its target; a figure that was not measured is a dash."""
    return table(*target_rows(targets)[1:])


def end_with(targets: Sequence[Target]) -> NoReturn:
    """Print the targets, and end with exit code 1 if one is missed, else with 0."""
    print(target_table(targets))
    sys.exit(0 if all(target.is_met for target in targets) else 1)


def target_rows(targets: Sequence[Target]) -> Table:
    """A row for each figure with its range, its target, and whether it was met."""
    rows = [
        [
            target.text,
            f"{'>=' if target.is_minimum else '<='} {target.bound:g}",
            cell(target.found, 1, 2, with_range=True),
            "met" if target.is_met else "MISSED" if target.found else "-",
        ]
        for target in targets
    ]
    return Table("Targets", ["", "target", "found", ""], rows)


def over_rounds(rounds: Sequence[Round], name: str, measure: str) -> list[float]:
    """A contender's figure in each round that has it."""
    return [one[name][measure] for one in rounds if measure in one.get(name, {})]


def ratios(rounds: Sequence[Round], name: str, base: str, measure: str) -> list[float]:
    """The figure of `name` divided by that of `base`, in each round that has both."""
    return [ours / theirs for ours, theirs in _pairs(rounds, name, base, measure) if theirs]


def differences(rounds: Sequence[Round], name: str, base: str, measure: str) -> list[float]:
    """The figure of `name` minus that of `base`, in each round that has both."""
    return [ours - theirs for ours, theirs in _pairs(rounds, name, base, measure)]


def _pairs(rounds: Sequence[Round], name: str, base: str, measure: str) -> list[tuple[float, float]]:
    both = [(one.get(name, {}), one.get(base, {})) for one in rounds]
    return [(one[measure], other[measure]) for one, other in both if measure in one and measure in other]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text: the first to the left, the others to the right, with a line below the head."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        f"{row[0]:{widths[0]}}  "
        + "  ".join(f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))
        for row in lines
    )


def cell(values: Sequence[float], scale: float = 1, digits: int = 0, *, with_range: bool = False) -> str:
    """The median times `scale`, a dash when there are no values."""
    if not values:
        return "-"
    low, middle, high = (f"{one * scale:,.{digits}f}" for one in (min(values), median(values), max(values)))
    return f"{middle} ({low}..{high})" if with_range and len(values) > 1 else middle


def ratio_cell(values: Sequence[float]) -> str:
    """The median of ratios: three digits behind the point, one from 10 on."""
    return cell(values, 1, 1 if values and median(values) >= 10 else 3)


def by_wall(rounds: Sequence[Round], bases: Sequence[str]) -> Table:
    """Throughput and latency under full load, and the speed of each base."""
    rows = [
        [
            name,
            cell(over_rounds(rounds, name, "rate"), with_range=True),
            *(ratio_cell(ratios(rounds, name, base, "rate")) for base in bases),
            cell(over_rounds(rounds, name, "p50"), 1e3, 2),
            cell(over_rounds(rounds, name, "p99"), 1e3, 2),
            cell(over_rounds(rounds, name, "busy"), 100),
        ]
        for name in rounds[0]
    ]
    head = ["", "requests/s", *(f"of {base}" for base in bases), "p50 ms", "p99 ms", "busy %"]
    return Table(f"By wall clock, {CONNECTIONS} connections, keep-alive", head, rows)


def by_cpu(rounds: Sequence[Round], bases: Sequence[str]) -> Table:
    """The CPU time of a request, with a core of its own and on one core, and the speed of each base."""
    rows = []
    for name in [one for one in rounds[0] if over_rounds(rounds, one, "cpu apart")]:
        row = [name]
        for measure in ("cpu apart", "cpu"):
            row.append(cell(over_rounds(rounds, name, measure), 1e6, 1))
            row += [ratio_cell(ratios(rounds, base, name, measure)) for base in bases]
        rows.append(row)
    shares = [f"of {base}" for base in bases]
    head = ["", "CPU us", *shares, "one core: CPU us", *shares]
    return Table(f"By CPU time of the program per request, {CONNECTIONS} connections", head, rows)


def one_connection(rounds: Sequence[Round], added_to: str) -> Table:
    """Latency without load, and what is added to the time of `added_to`."""
    rows = [
        [
            name,
            cell(over_rounds(rounds, name, "rate 1")),
            cell(over_rounds(rounds, name, "p50 1"), 1e3, 3),
            cell(over_rounds(rounds, name, "p99 1"), 1e3, 3),
            cell(differences(rounds, name, added_to, "p50 1"), 1e3, 3),
        ]
        for name in rounds[0]
        if over_rounds(rounds, name, "rate 1")
    ]
    return Table("By wall clock, 1 connection", ["", "requests/s", "p50 ms", "p99 ms", "added p50 ms"], rows)


def _idle_programs(rounds: Sequence[Round]) -> str:
    busy = {name: over_rounds(rounds, name, "busy") for name in rounds[0]}
    idle = [name for name, shares in busy.items() if shares and median(shares) < _MIN_BUSY]
    return f"\n\nNot busy throughout: {', '.join(idle)}. Compare CPU times instead." if idle else ""
