"""Usage in the JSON of responses and events. The members are those of `shared.providers.usage_fields`."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, Self

from shared.providers.usage_fields import UsageFields, usage_fields

#: The most that a response may report of one unit. No call uses so much: a larger number counts as none.
MAX_REPORTED: Final = 10**8
# Numbers that may have a part after the point; it counts as a whole one.
_SECONDS: Final = frozenset({"seconds", "duration"})
# A reason is a word, and not whatever a provider repeats.
_LONGEST_FINISH: Final = 32
_STEP: Final = re.compile(r"(\w+)(?:\[(\w+)=(\w+)\])?")

# A step into a document: the name of a member, or a name and a text, for the object of a list that has both.
_Step = str | tuple[str, str]


class _Member(NamedTuple):
    """A member of an object that reports usage.

    Attributes:
        path: the number that it is itself; empty: it is none.
        inner: the numbers in it, each with the steps that lead to it.
    """

    path: str
    inner: tuple[tuple[str, tuple[_Step, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Paths:
    """The paths of one API, ready to be followed.

    Attributes:
        places: the objects that report usage, and the members with the service tier: the first name on the
            way, the others, and whether it is a tier. Of several tiers, the last one counts.
        is_top: the document itself reports usage.
        members: those of an object that reports usage, by their names.
        units: by number, the units of `Usage` that it adds to, each with the numbers that count before it.
        fields: the members that they were made of.
        finishes: the ways to the members that say why the response ended.
    """

    places: tuple[tuple[str, tuple[str, ...], bool], ...]
    is_top: bool
    members: Mapping[str, _Member]
    units: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]
    fields: UsageFields
    finishes: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, fields: UsageFields) -> Self:
        paths = [(path.split("."), False) for path in fields.holders if path]
        paths += [(path.split("."), True) for path in reversed(fields.tiers)]
        places = tuple((names[0], tuple(names[1:]), is_tier) for names, is_tier in paths)
        units: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {}
        for unit, sums in fields.sums.items():
            for names in [path.split("|") for path in sums]:
                for number, name in enumerate(names):
                    units[name] = (*units.get(name, ()), (unit, tuple(names[:number])))
        finishes = tuple(tuple(path.split(".")) for path in fields.finishes)
        return cls(places, "" in fields.holders, _members(units), units, fields, finishes)


def _members(paths: Iterable[str]) -> Mapping[str, _Member]:
    """The members to which these paths lead."""
    steps = {path: _steps(path) for path in paths}
    inner: dict[str, list[tuple[str, tuple[_Step, ...]]]] = {first: [] for first, *_ in steps.values()}
    for path, (first, *rest) in steps.items():
        if rest:
            inner[first].append((path, tuple(rest)))
    return {name: _Member(name if name in steps else "", tuple(ways)) for name, ways in inner.items()}


def _steps(path: str) -> list[Any]:
    steps: list[_Step] = []
    for name, key, text in _STEP.findall(path):
        steps += [name, (key, text)] if key else [name]
    return steps


@cache
def _paths(api: str, kind: str) -> _Paths:
    return _Paths.of(usage_fields(api, kind))


class ReportedUsage:
    """The usage that the response of one request reports.

    Attributes:
        numbers: those that were read, by their written paths. Of a stream, the last ones.
        finish: why the response ended, as the provider says it, such as ``stop``; empty: it does not say.
        tier: the service tier that the response names, such as ``priority``; empty: none.
        is_implausible: a number was above `MAX_REPORTED`, and was left out.
        fields: the members of its API.
    """

    def __init__(self, api: str, kind: str = "") -> None:
        """`api` is one of `USAGE_FIELDS`, and `kind` the kind of the provider."""
        self._paths = paths = _paths(api, kind)
        self.fields = paths.fields
        self.numbers: dict[str, int] = {}
        self.finish = self.tier = ""
        self.is_implausible = False

    # This runs at the end of each response, so it calls as little as it can.

    def add(self, document: Any) -> None:
        """Take the numbers of one response or event."""
        if document.__class__ is not dict:
            return
        if self._paths.is_top:
            self._take(document)
        for first, rest, is_tier in self._paths.places:
            if first not in document:
                continue
            value = document[first]
            for name in rest:
                value = value[name] if value.__class__ is dict and name in value else None
            if is_tier:
                self.tier = value if value.__class__ is str else self.tier
            elif value.__class__ is dict:
                self._take(value)
        self._take_finish(document)

    def _take_finish(self, document: dict[str, Any]) -> None:
        for names in self._paths.finishes:
            value: Any = document
            for name in names:
                if value.__class__ is list:
                    value = value[0] if value else None
                value = value[name] if value.__class__ is dict and name in value else None
            if value.__class__ is str and value.isidentifier():
                self.finish = value[:_LONGEST_FINISH]

    def _take(self, reported: dict[str, Any]) -> None:
        members = self._paths.members
        for name, value in reported.items():
            if name not in members:
                continue
            path, inner = members[name]
            if path and value.__class__ is int and 0 <= value <= MAX_REPORTED:
                self.numbers[path] = value
            elif value is not None:
                self._take_inner(inner, value)
                if path:
                    self._take_other(path, value)

    def _take_inner(self, inner: tuple[tuple[str, tuple[_Step, ...]], ...], within: Any) -> None:
        """Take the numbers in a member."""
        for path, steps in inner:
            value = within
            for step in steps:
                if step.__class__ is str:
                    value = value[step] if value.__class__ is dict and step in value else None
                else:
                    value = _item(value, *step)
            if value.__class__ is int and 0 <= value <= MAX_REPORTED:
                self.numbers[path] = value
            elif value is not None:
                self._take_other(path, value)

    def _take_other(self, path: str, value: Any) -> None:
        """Take a number that is written in another way, or is none. In JSON, 1 and 1.0 are the same."""
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            return
        if value > MAX_REPORTED:
            self.is_implausible = True
        elif int(value) == value or path in _SECONDS:
            self.numbers[path] = math.ceil(value)

    def units(self) -> dict[str, int]:
        """The sums by unit of `Usage`. A unit of which no number was read is left out."""
        numbers, units = self.numbers, self._paths.units
        found: dict[str, int] = {}
        for name, number in numbers.items():
            for unit, before in units[name]:
                if before and any([other in numbers for other in before]):
                    continue
                found[unit] = found[unit] + number if unit in found else number
        return found


def _item(value: Any, key: str, text: str) -> Any:
    items = value if isinstance(value, list) else ()
    return next((one for one in items if isinstance(one, dict) and one.get(key) == text), None)
