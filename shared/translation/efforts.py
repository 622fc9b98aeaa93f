"""How much a model is to think: the efforts that both APIs name alike."""

from collections.abc import Sequence
from typing import Final

#: From the least to the most.
EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
#: Those of a model whose own are not known.
COMMON_EFFORTS: Final = ("low", "medium", "high")


def nearest_effort(effort: str, known: Sequence[str]) -> str | None:
    """The effort that a model knows: the next lower one, or its lowest. None: it knows none.

    >>> nearest_effort("max", ["low", "high"]), nearest_effort("low", ["high"])
    ('high', 'high')
    """
    ordered = [one for one in EFFORTS if one in known]
    lower = [one for one in ordered if EFFORTS.index(one) <= EFFORTS.index(effort)]
    return lower[-1] if lower else next(iter(ordered), None)
