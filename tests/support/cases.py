"""Cases of parametrized tests: few for very many combinations, and the slow ones among them."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import pytest


def slow(*values: Any) -> list[Any]:
    """Parameters (a tuple for several) that only `./scripts/test.sh --slow` tries."""
    rows = (value if isinstance(value, tuple) else (value,) for value in values)
    return [pytest.param(*row, marks=pytest.mark.slow) for row in rows]


def pairwise(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Few combinations in which every value of an axis meets every value of each other axis.

    >>> pairwise("ab", [1, 2], "xy")
    [('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, 'y'), ('b', 2, 'x')]
    """
    values = [[(axis, place) for place in range(len(axes[axis]))] for axis in range(len(axes))]
    missing = dict.fromkeys(pair for one, two in combinations(values, 2) for pair in product(one, two))
    chosen = []
    while missing:
        row = dict(next(iter(missing)))
        for axis in set(range(len(axes))) - {*row}:
            met = [
                sum(tuple(sorted((value, item))) in missing for item in row.items()) for value in values[axis]
            ]
            row[axis] = met.index(max(met))
        for pair in combinations(sorted(row.items()), 2):
            missing.pop(pair, None)
        chosen.append(tuple(axis[row[number]] for number, axis in enumerate(axes)))
    return chosen
