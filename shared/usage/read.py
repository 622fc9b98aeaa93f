"""Usage in the JSON of responses and events. The members are those of `shared.providers.usage_fields`."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from shared.providers.usage_fields import UsageFields

#: The numbers that were read, by their written paths.
Numbers = dict[str, int]

# JSON readers hold larger integers as floats; no request uses so many.
_MOST: Final = 2**53
_STEP = re.compile(r"(\w+)(?:\[(\w+)=(\w+)\])?")

_Get = Callable[[Any], Any]


def read_numbers(fields: UsageFields, document: Any, numbers: Numbers) -> None:
    """Add the numbers of one response or event to `numbers`."""
    for names in fields.holder_names:
        reported = _value(names, document)
        if type(reported) is not dict:
            continue
        for first, way in fields.ways:
            if first in reported:
                value = reported[first] if first == way else _getter(way)(reported)
                if type(value) is not int or not 0 <= value < _MOST:
                    value = _number(value)
                if value is not None:
                    numbers[way] = value


def read_tier(fields: UsageFields, document: Any) -> str | None:
    """The service tier that a response or an event names; None where it names none."""
    for names in fields.tier_names:
        if (name := _value(names, document)) is not None and type(name) is str:
            return name
    return None


def read_units(fields: UsageFields, numbers: Mapping[str, int]) -> dict[str, int]:
    """The units of `Usage` that the numbers of one response make together. Others were not reported."""
    units: dict[str, int] = {}
    for unit, paths in fields.units:
        for ways in paths:
            for way in ways:
                if way in numbers:
                    units[unit] = units.get(unit, 0) + numbers[way]
                    break
    return units


def _value(names: Sequence[str], document: Any) -> Any:
    """The value at a path of members; None where there is none."""
    for name in names:
        if type(document) is not dict or name not in document:
            return None
        document = document[name]
    return document


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
