"""How much a model is to think: the efforts that both APIs name alike."""

from collections.abc import Sequence
from typing import Any, Final

from shared.translation.notes import Caps, Notes, Untranslatable

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


def known_effort(effort: Any, caps: Caps, notes: Notes, name: str) -> str | None:
    """The effort of a request for a model whose API names efforts alike. None: the model is told nothing.

    `name` is the member with the effort. Raises `Untranslatable`.
    """
    if effort is None:
        return None
    if not isinstance(effort, str):
        raise Untranslatable(f"/{name.replace('.', '/')}", "Must be text.")
    if caps.get("thinking") == "none":
        notes.drop(name, f"/{name.replace('.', '/')}")
        return None
    known = caps.get("efforts")
    if known is None or effort in known:
        return effort
    notes.change(name)
    wanted = "low" if effort == "minimal" else effort
    return nearest_effort(wanted, known) if wanted in EFFORTS else None
