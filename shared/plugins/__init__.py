"""The built-in plugins: one file is one plugin, named like the file.

Further plugins come from installed packages (entry points of the group ``ai_gateway.plugins``) and from the
folders in `plugins.paths` of config.yaml. Files whose names begin with an underscore are skipped.
"""

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType

from shared.core.errors import GatewayError
from shared.model.config import Stage
from shared.pipeline.plugin import Plugin

__all__ = ["CatalogueError", "built_in_plugins", "load_catalogue"]

ENTRY_POINTS = "ai_gateway.plugins"
#: The methods that a plugin may have for the gateway to call.
_METHODS = frozenset(
    (
        *(stage.value for stage in Stage),
        *("pre_response_events", "prepare", "start", "needs_whole_body", "is_quick", "response_headers"),
        *("cleanup", "merge", "warnings"),
    )
)


class CatalogueError(GatewayError):
    """A plugin cannot be loaded, or two have the same name."""


def load_catalogue(paths: Sequence[Path] = ()) -> Mapping[str, type[Plugin]]:
    """All plugins by name: the built-in ones, those of installed packages and those in the folders `paths`.

    Raises `CatalogueError` when a plugin cannot be loaded or has the name of another.
    """
    found: dict[str, tuple[type[Plugin], str]] = {}
    for plugin, where in (*_built_in(), *_installed(), *_in_folders(paths)):
        if plugin.name in found:
            other = found[plugin.name][1]
            raise CatalogueError(
                f"Two plugins are named {plugin.name}: {other} and {where}. Rename one of them."
            )
        _check_methods(plugin, where)
        found[plugin.name] = plugin, where
    return MappingProxyType({name: found[name][0] for name in sorted(found)})


def built_in_plugins() -> Sequence[type[Plugin]]:
    """The built-in plugins, sorted by name."""
    return [plugin for plugin, _ in _built_in()]


def _built_in() -> Iterator[tuple[type[Plugin], str]]:
    for info in pkgutil.iter_modules(__path__):
        if not info.name.startswith("_"):
            where = f"the built-in {info.name}"
            yield _plugin_of(importlib.import_module(f"{__name__}.{info.name}"), where), where


def _installed() -> Iterator[tuple[type[Plugin], str]]:
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        where = f"the entry point {entry.name} ({entry.value})"
        try:
            plugin = entry.load()
        except Exception as error:
            raise _broken(where, error) from error
        if not isinstance(plugin, type) or not issubclass(plugin, Plugin) or plugin.name != entry.name:
            raise CatalogueError(f"{where} must name a Plugin class in a module named {entry.name}.")
        yield plugin, where


def _in_folders(paths: Sequence[Path]) -> Iterator[tuple[type[Plugin], str]]:
    for folder in paths:
        try:
            files = sorted(folder.iterdir())
        except (NotADirectoryError, FileNotFoundError):
            raise CatalogueError(
                f"plugins.paths names {folder}, which is not a folder. Correct the path."
            ) from None
        except OSError as error:
            raise CatalogueError(
                f"plugins.paths names {folder}, which cannot be read: {error.strerror}. Correct its rights."
            ) from None
        for file in files:
            if file.suffix == ".py" and not file.name.startswith("_"):
                where = f"{file} (plugins.paths)"
                yield _plugin_of(_load(file, where), where), where


def _load(file: Path, where: str) -> ModuleType:
    name = f"{ENTRY_POINTS}.{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise CatalogueError(f"{where} cannot be loaded as a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look up the module of a class by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _broken(where, error) from error
    return module


def _plugin_of(module: ModuleType, where: str) -> type[Plugin]:
    """The only plugin class defined in `module`."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        names = ", ".join(sorted(plugin.__name__ for plugin in classes)) or "none"
        raise CatalogueError(f"{where} must define exactly one Plugin class, but defines: {names}.")
    return classes[0]


def _check_methods(plugin: type[Plugin], where: str) -> None:
    """Raise `CatalogueError` when a method of a plugin would never be called, because of its name."""
    own = [kind for kind in plugin.__mro__ if issubclass(kind, Plugin) and kind is not Plugin]
    names = {name for kind in own for name, value in vars(kind).items() if inspect.isroutine(value)}
    for name in sorted(name for name in names - _METHODS if not name.startswith("_")):
        if close := difflib.get_close_matches(name, _METHODS, 1, 0.85):
            raise CatalogueError(
                f"{where} has a method {name}. Did you mean {close[0]}? Otherwise begin its name with an "
                "underscore."
            )
    if not plugin.stages():
        raise CatalogueError(f"{where} must have at least one of the methods {', '.join(Stage)}.")


def _broken(where: str, error: Exception) -> CatalogueError:
    return CatalogueError(f"The plugin in {where} cannot be loaded: {type(error).__name__}: {error}.")
