"""Figures of several rounds, and ratios between contenders: the median of what each round says."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

#: What one round found out: contender -> measure -> figure. What failed is not in it.
Round = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of a figure, its least and its greatest value, over so many rounds."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Iterable[float]) -> Spread | None:
    """The spread of the values, None when there are none."""
    found = sorted(values)
    return Spread(median(found), found[0], found[-1], len(found)) if found else None


def over_rounds(rounds: Sequence[Round], name: str, measure: str) -> Spread | None:
    """A contender's figure over the rounds in which it has one."""
    return spread(one[name][measure] for one in rounds if measure in one.get(name, {}))


def ratios(rounds: Sequence[Round], name: str, base: str, measure: str) -> Spread | None:
    """How often the figure of `base` goes into that of `name`, in each round in which both have one."""
    return _compared(rounds, name, base, measure, lambda ours, theirs: ours / theirs if theirs else None)


def differences(rounds: Sequence[Round], name: str, base: str, measure: str) -> Spread | None:
    """How much the figure of `name` is above that of `base`, in each round in which both have one."""
    return _compared(rounds, name, base, measure, lambda ours, theirs: ours - theirs)


def _compared(
    rounds: Sequence[Round],
    name: str,
    base: str,
    measure: str,
    compare: Callable[[float, float], float | None],
) -> Spread | None:
    pairs = [(one.get(name, {}), one.get(base, {})) for one in rounds]
    both = [
        (ours[measure], theirs[measure]) for ours, theirs in pairs if measure in ours and measure in theirs
    ]
    return spread(found for pair in both if (found := compare(*pair)) is not None)
