"""Measures the source tree against the bounds of ARCHITECTURE.md: ``python -m scripts.tree``.

Prints the figures, and each place that breaks a bound. Ends with status 1 when there is one.
"""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
PACKAGES = ("admin_app", "mitm_addons", "mitm_engine", "shared")
PROGRAMS = ("wsgi.py", "run_proxy.py", "proxy_worker.py", "gunicorn.conf.py")

MAX_FILES_PER_FOLDER = 15
MAX_LINES_PER_FILE = 400
MIN_LINES_PER_FILE = 60
MAX_LINES_PER_FUNCTION = 50

#: Short files with one importer that are right as they are, and why.
SHORT_FILES: Mapping[str, str] = {
    "mitm_addons/observe/last_used.py": "an addon of its own",
    "shared/upstreams/retry_budget.py": "a bound of its own, one per model",
}
MAX_SHORT_FILES = 10


@dataclass(frozen=True)
class Source:
    """One file of the product. `path` is relative to the project, with slashes."""

    path: str
    text: str

    @cached_property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def functions(self) -> Iterator[tuple[str, int]]:
        """The name and the number of lines of each function and method, decorators not counted."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1

    def imports(self) -> Iterator[str]:
        """The modules that the file imports. ``from a import b`` may import the module ``a.b``."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{name.name}" for name in node.names)


def read_sources(root: Path = ROOT) -> Sequence[Source]:
    """All Python files of the product, in the order of their paths."""
    found = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    found += [root / name for name in PROGRAMS]
    return [
        Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in sorted(found)
    ]


def crowded_folders(root: Path = ROOT) -> Iterator[str]:
    """Folders with too many files. `__init__.py` is not counted; Lua and data are."""
    for package in PACKAGES:
        for folder in (root / package, *(path for path in (root / package).rglob("*") if path.is_dir())):
            if folder.name == "__pycache__":
                continue
            files = [file for file in folder.iterdir() if file.is_file() and file.name != "__init__.py"]
            if len(files) > MAX_FILES_PER_FOLDER:
                yield f"{folder.relative_to(root)}: {len(files)} files, at most {MAX_FILES_PER_FOLDER}"


def long_files(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        if source.lines > MAX_LINES_PER_FILE:
            yield f"{source.path}: {source.lines} lines, at most {MAX_LINES_PER_FILE}"


def long_functions(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        for name, lines in source.functions():
            if lines > MAX_LINES_PER_FUNCTION:
                yield f"{source.path}: {name} has {lines} lines, at most {MAX_LINES_PER_FUNCTION}"


def short_files(sources: Sequence[Source]) -> Iterator[str]:
    """Files that are neither long enough nor shared enough to stand alone."""
    importers: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for module in source.imports():
            importers[module].add(source.path)
    for source in sources:
        name = source.path.rpartition("/")[2]
        if source.lines >= MIN_LINES_PER_FILE or name in ("__init__.py", "__main__.py", *PROGRAMS):
            continue
        if len(importers[source.module] - {source.path}) < 2 and source.path not in SHORT_FILES:
            yield f"{source.path}: {source.lines} lines and one importer; make it a section of its neighbor"


def undescribed_folders(sources: Sequence[Source]) -> Iterator[str]:
    """Packages whose `__init__.py` does not say what they hold."""
    for source in sources:
        is_room = source.path.endswith("__init__.py") and source.path != "shared/__init__.py"
        if is_room and not ast.get_docstring(source.tree):
            yield f"{source.path}: no docstring that says what the folder holds"


def noun_clauses(sources: Sequence[Source]) -> Iterator[str]:
    """Docstrings that begin with a noun clause, such as "What is sent", in place of a noun."""
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = (ast.get_docstring(node) or "").partition(" ")[0]
                if first in ("What", "Whatever", "Who", "Whoever"):
                    yield f"{source.path}: a docstring begins with {first}; begin with a noun"


def broken_bounds(root: Path = ROOT) -> Sequence[str]:
    """Each place that breaks a bound, as a line of text."""
    sources = read_sources(root)
    return [
        *crowded_folders(root),
        *long_files(sources),
        *short_files(sources),
        *long_functions(sources),
        *undescribed_folders(sources),
        *noun_clauses(sources),
    ]


def figures(sources: Sequence[Source]) -> Iterator[str]:
    """The figures of the tree, as lines of text."""
    lines = [source.lines for source in sources if not source.path.endswith("__init__.py")]
    functions = [lines for source in sources for _, lines in source.functions()]
    folders = Counter(source.folder for source in sources if not source.path.endswith("__init__.py"))
    product = sum(source.lines for source in sources if not source.path.startswith("shared/testing/"))
    product += sum(file.read_text(encoding="utf-8").count("\n") for file in ROOT.glob("shared/**/*.lua"))
    yield f"{len(sources)} files, {product} lines with Lua and without shared/testing"
    yield f"median file {median(lines):g} lines, longest {max(lines)}"
    yield f"median function {median(functions):g} lines, longest {max(functions)}"
    yield f"median folder {median(folders.values()):g} files, largest {max(folders.values())}"
    yield "files per subject"
    subjects = Counter(folder.split("/")[1] for folder in folders.elements() if folder.startswith("shared/"))
    yield from (f"  shared/{name} {number}" for name, number in sorted(subjects.items()))


def main() -> int:
    found = [f"BROKEN {line}" for line in broken_bounds()]
    sys.stdout.writelines(f"{line}\n" for line in (*figures(read_sources()), *found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
