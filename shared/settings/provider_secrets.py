"""The credentials of the platform's providers that the operator keeps outside the store.

They are variables and files that the settings open by name, so a provider can name no others. They are read
at start and on SIGHUP.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from shared.settings.sections import Secrets
from shared.settings.sources import SettingsError

_FOLDER = "secrets.folder"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
# A secret in one line, as the admin API takes it: a header has it, so another text would fail each request.
_SECRET = re.compile(r"[\x21-\x7e]{1,8192}")
#: A larger file holds no credential.
_MAX_BYTES = 65_536


def env_secret(name: str) -> str:
    """The name of a variable's secret in the result of `read_provider_secrets`."""
    return f"env:{name}"


def file_secret(name: str) -> str:
    """The name of a file's secret in the result of `read_provider_secrets`."""
    return f"file:{name}"


def read_provider_secrets(secrets: Secrets, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The opened secrets by ``env:<name>`` and ``file:<name>``, without spaces and line ends around them.

    A variable or file that is missing, empty or not a secret is left out: a key that names it is then
    reported with its name. Raises `SettingsError` when the folder cannot be read.
    """
    found = {env_secret(name): environ.get(name, "") for name in secrets.env}
    if secrets.folder is not None:
        found |= {file_secret(name): _text(path) for name, path in _files(secrets.folder)}
    return {name: text for name, value in found.items() if _SECRET.fullmatch(text := value.strip())}


class OpenedSecrets(Mapping[str, str]):
    """The secrets as `read` returned them last. A `Mapping` that may have other contents after `read_again`.

    `listeners` are called after each change.
    """

    def __init__(self, read: Callable[[], Mapping[str, str]]) -> None:
        self._read = read
        self._values = read()
        self.listeners: list[Callable[[], None]] = []

    def read_again(self) -> list[str]:
        """Read them again, and return the names of those that differ. Raises as `read`; then all stay."""
        old, self._values = self._values, self._read()
        changed = sorted(name for name in {*old, *self} if old.get(name) != self.get(name))
        if changed:
            for listener in self.listeners:
                listener()
        return changed

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of the folder by their names. A link counts if it leads to a file in the folder or below it.

    Kubernetes mounts a secret as such links: ``openai`` to ``..data/openai``, and ``..data`` to a folder.
    """
    try:
        root, paths = _real(folder), sorted(folder.iterdir())
    except OSError as error:
        raise SettingsError(
            f"{_FOLDER}: {folder} cannot be read: {error.strerror}. Correct its path or its rights."
        ) from None
    for path in paths:
        file = _real(path)
        if _NAME.fullmatch(path.name) and file.is_relative_to(root) and file.is_file():
            yield path.name, file


def _real(path: Path) -> Path:
    """The path without links. `Path.resolve` raises for links in a circle on Python 3.12."""
    return Path(os.path.realpath(path))


def _text(path: Path) -> str:
    """The text of the file; empty when it is not text, too large, or not for this user."""
    try:
        return path.read_text(encoding="ascii") if path.stat().st_size <= _MAX_BYTES else ""
    except (OSError, ValueError):
        return ""
