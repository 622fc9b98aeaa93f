"""Where settings are written: config.yaml, the environment, flags. Each value knows its place.

`Written` holds the values as a tree, as they were written, and for each path in it its origin:
``config.yaml:12``, the name of a variable, or a flag. A later source replaces what an earlier one says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

PREFIX = "GATEWAY__"
#: Short names of variables -> what they stand for.
SHORT = {"GATEWAY_ADMIN_TOKEN": "GATEWAY__ADMIN__TOKEN"}

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")
_Steps = tuple[str, ...]


class SettingsError(Exception):
    """Settings that the gateway cannot start with. Each line names a place and the way out."""


@dataclass(slots=True)
class Written:
    """What the sources say, and where they say it."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[_Steps, str] = field(default_factory=dict)

    def put(self, steps: _Steps, value: Any, origin: str) -> None:
        """Note one value. Raises `SettingsError` when a step leads through something that is no map."""
        node = self.values
        for step in steps[:-1]:
            if node.get(step) is None:
                node[step] = {}
            node = node[step]
            if not isinstance(node, dict):
                raise SettingsError(f"{origin}: {step} has no settings of its own")
        node[steps[-1]] = value
        self.origins[steps] = origin

    def origin(self, steps: _Steps) -> str:
        """The place of the setting, or of the nearest thing around it that was written."""
        for length in range(len(steps), 0, -1):
            if found := self.origins.get(steps[:length]):
                return found
        return "default"


def read_file(written: Written, file: Path, environ: Mapping[str, str]) -> None:
    """Note all that stands in the file. Raises `SettingsError` when it is no YAML map."""
    try:
        tree = YAML().load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        # A duplicate key's message goes on with the values, which may be secrets.
        problem = (error.problem or "this is no YAML").partition(" with value")[0]
        raise SettingsError(f"{file.name}:{line}: {problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name}:1: this is no YAML: {error}") from None
    if tree is None:
        return
    if not isinstance(tree, CommentedMap):
        raise SettingsError(f"{file.name}:1: must be a map of settings, such as `server:`")
    reader = _FileReader(written.origins, file.name, environ)
    written.values = reader.plain(tree, (), 1) or {}


def read_environment(written: Written, environ: Mapping[str, str]) -> None:
    """Note all variables that begin with ``GATEWAY__``, and the short ones."""
    for short, full in SHORT.items():
        if short in environ:
            written.put(_steps(full), environ[short], short)
    for name in sorted(environ):
        if name.startswith(PREFIX):
            written.put(_steps(name), environ[name], name)


def read_flags(written: Written, flags: Mapping[str, object]) -> None:
    """Note the flags, given by the name of the setting (``server.workers``). None is a flag not given."""
    for name, value in flags.items():
        if value is not None:
            steps = tuple(name.split("."))
            written.put(steps, value, f"--{steps[-1].replace('_', '-')}")


def _steps(variable: str) -> _Steps:
    return tuple(variable.removeprefix(PREFIX).lower().split("__"))


@dataclass(slots=True)
class _FileReader:
    """Turns ruamel's tree into plain values, and notes the line of each."""

    origins: dict[_Steps, str]
    name: str
    environ: Mapping[str, str]

    def plain(self, node: Any, steps: _Steps, line: int) -> Any:
        origin = self.origins[steps] = f"{self.name}:{line}"
        if isinstance(node, CommentedMap):
            lines = node.lc.data
            return {
                str(key): self.plain(value, (*steps, str(key)), lines[key][0] + 1 if key in lines else line)
                for key, value in node.items()
            }
        if isinstance(node, CommentedSeq):
            return [
                self.plain(item, (*steps, str(index)), node.lc.item(index)[0] + 1)
                for index, item in enumerate(node)
            ]
        return self.expand(str(node), origin) if isinstance(node, str) else node

    def expand(self, text: str, origin: str) -> str:
        """The text with ``${NAME}`` and ``${NAME:-default}`` replaced; ``$${`` stands for ``${``."""

        def value(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if match[1] is None:
                raise SettingsError(f"{origin}: must be ${{NAME}} or ${{NAME:-default}}")
            found = self.environ.get(match[1], "")
            if not found and match[2] is None and match[1] not in self.environ:
                raise SettingsError(
                    f"{origin}: the variable {match[1]} is not set; set it, or write ${{{match[1]}:-default}}"
                )
            return found or match[2] or ""

        return _REFERENCE.sub(value, text)
