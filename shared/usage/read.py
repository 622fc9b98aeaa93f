"""Usage in the JSON of responses and events. The members are those of `shared.providers.usage_fields`."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from shared.providers.usage_fields import UsageFields
from shared.usage.values import Source, Usage

#: The numbers that were read, by their written paths.
Numbers = dict[str, int]

# JSON readers hold larger integers as floats; no request uses so many.
_MOST: Final = 2**53
_STEP = re.compile(r"(\w+)(?:\[(\w+)=(\w+)\])?")

_Get = Callable[[Any], Any]


def read_numbers(fields: UsageFields, document: Any, numbers: Numbers) -> None:
    """Add the numbers of one response or event to `numbers`."""
    for holder in fields.holders:
        reported = _getter(holder)(document) if holder else document
        if not isinstance(reported, dict):
            continue
        for first, way in fields.ways:
            if first in reported:
                value = _number(reported[first] if first == way else _getter(way)(reported))
                if value is not None:
                    numbers[way] = value


def read_tier(fields: UsageFields, document: Any) -> str | None:
    """The service tier that a response or an event names; None where it names none."""
    for path in fields.tiers:
        if isinstance(name := _getter(path)(document), str):
            return name
    return None


def usage_of(fields: UsageFields, numbers: Mapping[str, int]) -> Usage:
    """The usage that the numbers of one response make together."""
    units = {unit: sum(_found(path, numbers) or 0 for path in paths) for unit, paths in fields.sums.items()}
    return Usage(**units, source=Source.REPORTED)


def has_unit(fields: UsageFields, numbers: Mapping[str, int], unit: str) -> bool:
    """Whether a number of that unit was read."""
    return any(_found(path, numbers) is not None for path in fields.sums.get(unit, ()))


def _found(path: str, numbers: Mapping[str, int]) -> int | None:
    return next((numbers[way] for way in _ways(path) if way in numbers), None)


@cache
def _ways(path: str) -> tuple[str, ...]:
    return tuple(path.split("|"))


@cache
def _getter(path: str) -> _Get:
    """The function that returns the value at a path without ``|``, None where there is none."""
    steps = [step.groups() for name in path.split(".") if (step := _STEP.fullmatch(name))]

    def get(document: Any) -> Any:
        value = document
        for step in steps:
            value = _member(value, *step)
        return value

    return get


def _member(value: Any, name: str, key: str | None, text: str | None) -> Any:
    found = value.get(name) if isinstance(value, dict) else None
    if key is None:
        return found
    items = found if isinstance(found, list) else ()
    return next((one for one in items if isinstance(one, dict) and one.get(key) == text), None)


def _number(value: Any) -> int | None:
    """A count; None for another value. In JSON, 1 and 1.0 are the same number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < _MOST and int(value) == value else None
