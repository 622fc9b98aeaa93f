"""Several files and folders as one document. Two of them must not describe the same thing."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared.cli.failures import Failure
from shared.cli.files.yaml_text import Fault, Place, place_of, read_text
from shared.core.json_pointer import Path as Steps
from shared.core.json_pointer import parse_path
from shared.documents.file.parse import FORMAT, MOVED, PLATFORM_SECTIONS, TENANT_SECTIONS

#: The most bytes of all files together; the admin API takes no more.
MAX_BYTES: Final = 32_000_000
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_STDIN: Final = "-"


@dataclass
class Document:
    """The merged document, and the place of each of its values."""

    value: dict[str, Any] = field(default_factory=dict)
    places: dict[Steps, Place] = field(default_factory=lambda: {(): Place("", 1, 1)})
    faults: list[Fault] = field(default_factory=list)

    def check(self) -> None:
        """Raise a `Failure` with all faults, in the order of their places."""
        if self.faults:
            lines = [str(one) for one in sorted(dict.fromkeys(self.faults))]
            raise Failure("\n".join(lines), "Nothing was changed.")

    def fault(self, pointer: str, detail: str) -> None:
        """Note a problem with the value at a JSON pointer."""
        self.faults.append(self.fault_at(pointer, detail))

    def fault_at(self, pointer: str, detail: str) -> Fault:
        """A sentence about the value at a JSON pointer, with its place."""
        steps = parse_path(pointer) if pointer else ()
        return Fault(place_of(self.places, steps), steps, detail)

    def add(self, value: Any, places: Mapping[Steps, Place]) -> None:
        """Merge one file into the document."""
        if self.places[()].file == "":
            self.places[()] = places[()]
        if value is None:
            return
        if not isinstance(value, dict):
            self.faults.append(Fault(places[()], (), "Must be a map with platform and tenants."))
            return
        added: list[Steps] = []
        self._merge(self.value, value, (), places, added)
        own = set(added)
        for steps, place in places.items():
            if any(steps[:length] in own for length in range(1, len(steps) + 1)):
                self.places.setdefault(steps, place)

    def _merge(
        self, into: dict[str, Any], value: Any, at: Steps, places: Mapping[Steps, Place], added: list[Steps]
    ) -> None:
        for name, one in value.items():
            steps = (*at, name)
            if name not in into:
                into[name] = one
                added.append(steps)
            elif _is_merged(steps) and isinstance(one, dict) and isinstance(into[name], dict):
                self._merge(into[name], one, steps, places, added)
            elif steps != (FORMAT,) or one != into[name]:
                first = place_of(self.places, steps)
                self.faults.append(Fault(places[steps], steps, f"It is at {first}, too. Remove one."))


def _is_merged(steps: Steps) -> bool:
    """Whether files may share a map: the owners and their sections, but not one thing."""
    match steps:
        case ("platform",) | ("tenants",) | ("tenants", _):
            return True
        case ("platform", section):
            return section in (*PLATFORM_SECTIONS, "prices", MOVED)
        case ("tenants", _, section):
            return section in (*TENANT_SECTIONS, MOVED)
        case ("platform", section, _) | ("tenants", _, section, _):
            return section == MOVED
    return False


def read_files(names: Sequence[str], environ: Mapping[str, str]) -> Document:
    """The document of files, of folders with files, and of standard input for ``-``.

    Problems are in its `faults`. Raises `Failure` when a file cannot be read.
    """
    document, left = Document(), MAX_BYTES
    for name, content in _contents(names):
        left -= len(content)
        if left < 0:
            raise Failure(f"The files have more than {MAX_BYTES:,} bytes.", "Apply them in parts.")
        try:
            read = read_text(content.decode(), name, environ)
        except UnicodeDecodeError as error:
            raise Failure(f"{name} is not UTF-8: {error.reason} at byte {error.start}.") from None
        document.faults += read.faults
        document.add(read.value, read.places)
    return document


def _contents(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        if name == _STDIN:
            yield "<stdin>", sys.stdin.buffer.read()
            continue
        try:
            for file in _files(Path(name)):
                yield str(file), file.read_bytes()
        except OSError as error:
            raise Failure(f"{error.filename or name} cannot be read: {error.strerror}.") from None


def _files(path: Path) -> Iterable[Path]:
    """The file itself, or all files with YAML below a folder, in the order of their names."""
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
    if not found:
        raise Failure(f"{path} has no file whose name ends with {', '.join(_SUFFIXES)}.")
    return found
