"""Reads settings from config.yaml, the environment and flags, with the origin of each value.

`Written` holds the tree of written values, and the origin of each path in it: ``config.yaml:12``, the name
of a variable, or a flag. Later sources override earlier ones.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from shared.core.errors import GatewayError

PREFIX = "GATEWAY__"
#: Other name of a variable -> its full name.
SHORT = {
    "GATEWAY_ADMIN_TOKEN": "GATEWAY__ADMIN__TOKEN",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "GATEWAY__OTEL__ENDPOINT",
}

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")
# The value of GATEWAY_REDIS_PORT, say, beside a Kubernetes service that is named gateway-redis.
_OF_KUBERNETES = re.compile(r"(tcp|udp|sctp)://")
#: The steps of a path: section, setting, and below.
Steps = tuple[str, ...]


class SettingsError(GatewayError):
    """Invalid settings. Each line has an origin, a setting, its problem and a solution."""


@dataclass(slots=True)
class Written:
    """The written values, and their origins by path."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Steps, str] = field(default_factory=dict)

    def put(self, steps: Steps, value: Any, origin: str) -> None:
        """Add one value. Raises `SettingsError` when a step of the path is not a section."""
        node = self.values
        for step in steps[:-1]:
            if node.get(step) is None:
                node[step] = {}
            node = node[step]
            if not isinstance(node, dict):
                raise SettingsError(f"{origin}: {step} is not a section; it has a value of its own")
        node[steps[-1]] = value
        self.origins[steps] = origin

    def path(self, steps: Steps) -> Steps:
        """The steps of a written value, or of the first one in that section if only variables wrote it."""
        if steps in self.origins:
            return steps
        return next((path for path in self.origins if path[: len(steps)] == steps), steps)

    def origin(self, steps: Steps) -> str:
        """The origin of the setting, or else of a value in it or of the innermost section around it."""
        steps = self.path(steps)
        for length in range(len(steps), 0, -1):
            if found := self.origins.get(steps[:length]):
                return found
        return "default"


def read_file(written: Written, file: Path, environ: Mapping[str, str]) -> None:
    """Add the file's values. Raises `SettingsError` when it is not a YAML map."""
    try:
        tree = YAML().load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        # For a duplicate key the message contains the values, which may be secrets.
        problem = (error.problem or "invalid YAML").partition(" with value")[0]
        raise SettingsError(f"{file.name}:{line}: {problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file.name}:1: invalid YAML: {error}") from None
    if tree is None:
        return
    if not isinstance(tree, CommentedMap):
        raise SettingsError(f"{file.name}:1: must be a map of settings, such as `server:`")
    reader = _FileReader(written.origins, file.name, environ)
    written.values = reader.plain(tree, (), 1) or {}


def expand_variables(text: str, environ: Mapping[str, str]) -> str:
    """The text with ``${NAME}`` and ``${NAME:-default}`` replaced; ``$${`` stands for ``${``.

    Raises ValueError when a variable is not set, or the text has another form.
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            raise ValueError("must be ${NAME} or ${NAME:-default}")
        found = environ.get(match[1], "")
        if not found and match[2] is None and match[1] not in environ:
            raise ValueError(f"the variable {match[1]} is not set; set it, or write ${{{match[1]}:-default}}")
        return found or match[2] or ""

    return _REFERENCE.sub(value, text)


def variable(name: str) -> str:
    """The variable of a setting: ``server.admin_port`` -> ``GATEWAY__SERVER__ADMIN_PORT``."""
    return PREFIX + _flat(name, "__")


def nearest_setting(steps: Steps, names: Sequence[str]) -> str | None:
    """The setting or section with the same words elsewhere; None when there is none, or more than one.

    `names` are those of all settings. ``server.demo_port`` is ``demo.port``, and ``log.workers`` is
    ``server.workers``.
    """
    written = re.sub("_+", "_", f"_{'_'.join(steps)}".lower())
    last = f"_{steps[-1].lower()}"
    sections = {name.partition(".")[0] for name in names}
    flat = {name: f"_{name.replace('.', '_')}" for name in (*names, *sections)}
    same = [name for name in flat if written.endswith(flat[name]) and ("." in name or name == steps[-1])]
    if same:
        return max(same, key=len)
    below = [name for name in flat if flat[name].endswith(last)]
    named = [name for name in below if name.rpartition(".")[2] == last[1:]]
    return next((found[0] for found in (named, below) if len(found) == 1), None)


def read_environment(written: Written, environ: Mapping[str, str], names: Sequence[str]) -> None:
    """Add the variables that begin with ``GATEWAY__``, and the short ones. `names` are those of all settings.

    Raises `SettingsError` for a variable that was probably meant to be one of them.
    """
    for short, full in SHORT.items():
        if short in environ:
            written.put(_steps(full), environ[short], short)
    by_one_underscore = {f"GATEWAY_{_flat(name)}": variable(name) for name in names}
    for name in sorted(environ):
        if name.startswith(PREFIX):
            written.put(_steps(name), environ[name], name)
        elif name not in SHORT and not _OF_KUBERNETES.match(environ[name]):
            upper = name.upper()
            meant = by_one_underscore.get(upper)
            if upper.startswith("GATEWAY_") and "__" in upper:
                path = upper.removeprefix("GATEWAY_").lstrip("_")
                meant = variable(nearest_setting(_steps(path), names) or path)
            if meant:
                raise SettingsError(f"{name}: is not the variable of a setting; did you mean {meant}?")


def _flat(name: str, separator: str = "_") -> str:
    return name.upper().replace(".", separator)


def read_flags(written: Written, flags: Mapping[str, object]) -> None:
    """Add the flags, by the name of the setting (``server.workers``). None is a flag that was not given."""
    for name, value in flags.items():
        if value is not None:
            steps = tuple(name.split("."))
            written.put(steps, value, f"--{steps[-1].replace('_', '-')}")


def _steps(variable: str) -> Steps:
    return tuple(variable.removeprefix(PREFIX).lower().split("__"))


@dataclass(slots=True)
class _FileReader:
    """Converts ruamel's tree to plain values, and records the line of each."""

    origins: dict[Steps, str]
    name: str
    environ: Mapping[str, str]

    def plain(self, node: Any, steps: Steps, line: int) -> Any:
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
        try:
            return expand_variables(text, self.environ)
        except ValueError as error:
            raise SettingsError(f"{origin}: {error}") from None
