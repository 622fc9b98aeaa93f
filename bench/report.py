"""The report of a run: each figure is the median of its rounds, each ratio is taken within a round."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from bench.load import CONNECTIONS

#: The result of one round: contender -> measure -> figure, in seconds or per second.
type Round = Mapping[str, Mapping[str, float]]

_MIN_BUSY = 0.9  # of its core, from which on a program counts as the bottleneck


class Target(NamedTuple):
    """A figure over the rounds, and the bound of its median."""

    text: str
    found: Sequence[float]
    bound: float
    is_minimum: bool = False

    @property
    def is_met(self) -> bool:
        """Whether there is a figure, and it is within the bound."""
        if not self.found:
            return False
        return median(self.found) >= self.bound if self.is_minimum else median(self.found) <= self.bound


def report(
    rounds: Sequence[Round], bases: Sequence[str] = ("mitmdump", "nginx"), added_to: str = "direct"
) -> str:
    """Both loads. Ratios compare with each of `bases`, added times with `added_to`."""
    return f"{_full_load(rounds, bases)}\n\n{_one_connection(rounds, added_to)}"


def comparison_targets(rounds: Sequence[Round]) -> list[Target]:
    """The targets of the express engine."""
    rates = (
        ("no plugins, of stock mitmdump", "express", "mitmdump", 15),
        ("no plugins, of nginx", "express", "nginx", 0.25),
        ("with the chain, of stock mitmdump", "express+chain", "mitmdump", 10),
        ("with the chain, of nginx", "express+chain", "nginx", 0.15),
        ("two workers of one, nothing pinned", "free-2", "free-1", 1.35),
    )
    added = (
        ("no plugins, p50 added at one connection, ms", "express", 0.5),
        ("with the chain, p50 added at one connection, ms", "express+chain", 1),
    )
    ai = differences(rounds, "express+ai", "express", "cpu")
    return [
        *(Target(text, ratios(rounds, name, base, "rate"), least, True) for text, name, base, least in rates),
        *(
            Target(text, [1e3 * one for one in differences(rounds, name, "direct", "p50 1")], most)
            for text, name, most in added
        ),
        Target("a rule for AI, CPU added on one core, us", [1e6 * one for one in ai], 40),
    ]


def target_table(targets: Sequence[Target]) -> str:
    """Each figure with its range and its target; a figure that was not measured is a dash."""
    rows = [
        [
            target.text,
            f"{'>=' if target.is_minimum else '<='} {target.bound:g}",
            cell(target.found, 1, 2, with_range=True),
            "met" if target.is_met else "MISSED" if target.found else "-",
        ]
        for target in targets
    ]
    return table(["", "target", "found", ""], rows)


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


def _full_load(rounds: Sequence[Round], bases: Sequence[str]) -> str:
    names = list(rounds[0])
    ratio_names = [f"of {base}" for base in bases]
    head = [
        "",
        "requests/s",
        *ratio_names,
        "p50 ms",
        "p99 ms",
        "CPU us",
        "busy %",
        "one core: CPU us",
        *ratio_names,
    ]
    rows = [
        [
            name,
            cell(over_rounds(rounds, name, "rate"), with_range=True),
            *(cell(ratios(rounds, name, base, "rate"), 1, 3) for base in bases),
            cell(over_rounds(rounds, name, "p50"), 1e3, 2),
            cell(over_rounds(rounds, name, "p99"), 1e3, 2),
            cell(over_rounds(rounds, name, "cpu apart"), 1e6, 1),
            cell(over_rounds(rounds, name, "busy"), 100),
            cell(over_rounds(rounds, name, "cpu"), 1e6, 1),
            *(cell(ratios(rounds, base, name, "cpu"), 1, 3) for base in bases),
        ]
        for name in names
    ]
    busy = {name: over_rounds(rounds, name, "busy") for name in names}
    idle = [name for name, shares in busy.items() if shares and median(shares) < _MIN_BUSY]
    warning = f"\nNot busy throughout: {', '.join(idle)}. Compare `one core` instead." if idle else ""
    return f"{CONNECTIONS} connections, keep-alive\n{table(head, rows)}{warning}"


def _one_connection(rounds: Sequence[Round], added_to: str) -> str:
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
    return f"1 connection\n{table(['', 'requests/s', 'p50 ms', 'p99 ms', 'added p50 ms'], rows)}"
