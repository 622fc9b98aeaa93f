"""A YAML text as plain values, with the line and column of each.

Values are those of YAML 1.2's core schema: ``on`` and ``2027-01-01`` are text. ``${NAME}`` in a value stands
for a variable. All problems of a text are found at once.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from shared.core.json_pointer import Path
from shared.settings.sources import expand_variables

#: Values that aliases may stand for. Few bytes of nested aliases would else become any number of values.
MAX_ALIASED: Final = 10_000
_TEXT: Final = "tag:yaml.org,2002:str"
_QUOTED: Final = ("'", '"', "|", ">")
_NULL: Final = re.compile(r"null|Null|NULL|~|")
_TRUE, _FALSE = re.compile(r"true|True|TRUE"), re.compile(r"false|False|FALSE")
# Longer ones are text: no number of a file has so many digits.
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}")
_OTHER_BASE: Final = re.compile(r"0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]{1,400}|[0-9]{1,400}(\.[0-9]{0,400})?)([eE][-+]?[0-9]{1,3})?")


class Place(NamedTuple):
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Fault(NamedTuple):
    """A problem at a place. `path` is that of the value."""

    place: Place
    path: Path
    detail: str

    def __str__(self) -> str:
        named = f"{'.'.join(self.path)}: " if self.path else ""
        return f"{self.place}: {named}{self.detail}"


@dataclass
class Text:
    """A text that was read: its value, the places of its values by their paths, and what is wrong."""

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: Path, detail: str) -> None:
        """Note a problem with the value at a path, or with the innermost value around it."""
        self.faults.append(Fault(place_of(self.places, path), path, detail))


def place_of(places: Mapping[Path, Place], path: Path) -> Place:
    """The place of the value at a path, or of the innermost one around it that is written."""
    for length in range(len(path), 0, -1):
        if path[:length] in places:
            return places[path[:length]]
    return places[()]


def read_text(text: str, file: str, environ: Mapping[str, str]) -> Text:
    """The value of a YAML text. A text that is not YAML at all has the value None and one fault."""
    reader = _Reader(Text(places={(): Place(file, 1, 1)}), file, environ)
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        if root is not None:
            reader.text.value = reader.value(root, ())
    except MarkedYAMLError as error:
        reader.not_yaml(error)
    except (YAMLError, ValueError) as error:
        reader.text.fault((), f"It is not YAML: {str(error).partition('\n')[0]}.")
    except RecursionError:
        reader.text.value = None
        reader.text.fault((), "Its values are nested too deep.")
    except _TooManyAliases:
        reader.text.value = None
        reader.text.fault((), f"Its aliases stand for more than {MAX_ALIASED:,} values. Write some out.")
    return reader.text


class _TooManyAliases(Exception):
    """Aliases stand for too many values."""


@dataclass
class _Reader:
    """Makes values of nodes."""

    text: Text
    file: str
    environ: Mapping[str, str]
    seen: set[int] = field(default_factory=set)
    aliased: int = 0

    def not_yaml(self, error: MarkedYAMLError) -> None:
        """Note where the text stops to be YAML. The text itself is not told: it may be a secret."""
        if error.problem_mark is not None:
            self.text.places[()] = self._place(error.problem_mark)
        self.text.fault((), f"It is not YAML: {error.problem or error.context}.")

    def value(self, node: Node, path: Path) -> Any:
        """The value of a node. Raises `_TooManyAliases`."""
        self.text.places.setdefault(path, self._place(node.start_mark))
        if id(node) in self.seen:
            self.aliased += 1
            if self.aliased > MAX_ALIASED:
                raise _TooManyAliases
        self.seen.add(id(node))
        if isinstance(node, MappingNode):
            return {name: self.value(one, (*path, name)) for name, one in self._members(node, path)}
        if isinstance(node, SequenceNode):
            return [self.value(one, (*path, str(number))) for number, one in enumerate(node.value)]
        return self._scalar(node, path)

    def _members(self, node: MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        """The names of a map with their values; the place of a member is that of its name."""
        found: dict[str, Place] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else None
            at = self._place(key.start_mark)
            if name is None:
                self.text.faults.append(Fault(at, path, "A name must be text."))
            elif name in found:
                self.text.faults.append(Fault(at, (*path, name), f"It is at {found[name]}, too. Remove one."))
            else:
                found[name] = self.text.places[(*path, name)] = at
                yield name, value

    def _scalar(self, node: Node, path: Path) -> Any:
        text = str(node.value)
        try:
            text = expand_variables(text, self.environ)
        except ValueError as error:
            self.text.fault(path, str(error))
        # The tag of text without quotes is `str` only if it was written there: `!!str 10`.
        is_text = str(node.tag or "") == _TEXT and not isinstance(core_value(str(node.value)), str)
        quoted = getattr(node, "style", None) in _QUOTED
        return text if quoted or is_text else core_value(text)

    def _place(self, mark: Any) -> Place:
        return Place(self.file, mark.line + 1, mark.column + 1)


def core_value(text: str) -> Any:
    """The value of a scalar without quotes, by the core schema of YAML 1.2.

    >>> core_value("on"), core_value("12"), core_value("0x1F"), core_value("1e3"), core_value("")
    ('on', 12, 31, 1000.0, None)
    """
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
