"""Usage in the JSON of responses and events. The members are those of `shared.providers.usage_fields`."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from shared.providers.usage_fields import USAGE_FIELDS
from shared.usage.values import Source, Usage

#: The numbers that were read, by their written paths.
Numbers = dict[str, int]

# JSON readers hold larger integers as floats; no request uses so many.
_MOST: Final = 2**53
_STEP = re.compile(r"(\w+)(?:\[(\w+)=(\w+)\])?")

_Get = Callable[[Any], Any]


def read_numbers(api: str, document: Any, numbers: Numbers) -> bool:
    """Add the numbers of one response or event to `numbers`. Returns whether it had any."""
    fields = USAGE_FIELDS[api]
    found = False
    for holder in fields.holders:
        reported = _getter(holder)(document) if holder else document
        if not isinstance(reported, dict):
            continue
        for paths in fields.sums.values():
            for path in paths:
                value = _number(_getter(path)(reported))
                if value is not None:
                    numbers[path] = value
                    found = True
    return found


def usage_of(api: str, numbers: Mapping[str, int]) -> Usage:
    """The usage that the numbers of one response make together."""
    sums = USAGE_FIELDS[api].sums
    units = {unit: sum(numbers.get(path, 0) for path in paths) for unit, paths in sums.items()}
    return Usage(**units, source=Source.REPORTED)


@cache
def _getter(path: str) -> _Get:
    """The function that returns the value at a written path, None where there is none."""
    ways = [[_STEP.fullmatch(step) for step in way.split(".")] for way in path.split("|")]

    def get(document: Any) -> Any:
        for steps in ways:
            value = document
            for step in steps:
                value = _member(value, *step.groups()) if step else None
            if value is not None:
                return value
        return None

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
