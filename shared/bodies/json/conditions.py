"""Conditions on a JSON document, which tenants write for the responses of their validators."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import ge, gt, le, lt
from typing import Any

from shared.bodies.text.patterns import compile_pattern
from shared.core.json_pointer import MISSING, Path, get_at, parse_path


class CannotCompare(ValueError):
    """The document has no value that the condition can be checked with."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Calls `compare` with the value at `path` (or `MISSING`) and with `value`.

    `size` is the size of the pattern in `value`, as in `Patterns`; 0 without a pattern.
    """

    path: Path
    value: Any
    compare: Callable[[Any, Any], bool]
    size: int = 0

    def holds(self, document: Any) -> bool:
        """True when the document meets the condition.

        A missing value meets ``ne``, ``not_contains`` and ``not_exists``, but not ``eq``, ``contains``,
        ``matches`` and ``exists``. Raises `CannotCompare` on a value of another type, and if ``gt``, ``gte``,
        ``lt`` or ``lte`` finds no value: such a check must not pass.
        """
        return self.compare(get_at(document, self.path), self.value)


def parse_condition(field: str, name: str, value: Any) -> Condition:
    """Parse a condition. Raises ValueError, with a full sentence, when its parts do not fit."""
    if name not in OPERATORS:
        raise ValueError(f"Must be one of these operators: {', '.join(OPERATORS)}.")
    size = 0
    if name == "matches":
        if not isinstance(value, str):
            raise ValueError("Must have an RE2 pattern as its value.")
        value = compile_pattern(value)
        size = value.programsize
    elif name in _ORDERS and not (_is_number(value) or isinstance(value, str)):
        raise ValueError(f"Must have a number or a string as its value, because the operator is {name}.")
    return Condition(parse_path(field), value, OPERATORS[name], size)


def same(one: Any, other: Any) -> bool:
    """Return whether two values of JSON are equal: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compare(order: Callable[[Any, Any], bool], found: Any, value: Any) -> bool:
    numbers = _is_number(found) and _is_number(value)
    if not numbers and not (isinstance(found, str) and isinstance(value, str)):
        raise CannotCompare("There is no number or string to compare.")
    return order(found, value)


def _contains(found: Any, value: Any) -> bool:
    if found is MISSING:
        return False
    if isinstance(found, str) and isinstance(value, str):
        return value in found
    if isinstance(found, list):
        return any(same(item, value) for item in found)
    raise CannotCompare("There is no list or string to search.")


def _matches(found: Any, pattern: Any) -> bool:
    if found is MISSING:
        return False
    if not isinstance(found, str):
        raise CannotCompare("There is no string to match.")
    return pattern.search(found) is not None


_ORDERS = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": same,
    "ne": lambda found, value: not same(found, value),
    **{name: partial(_compare, order) for name, order in _ORDERS.items()},
    "contains": _contains,
    "not_contains": lambda found, value: not _contains(found, value),
    "exists": lambda found, _: found is not MISSING,
    "not_exists": lambda found, _: found is MISSING,
    "matches": _matches,
}
