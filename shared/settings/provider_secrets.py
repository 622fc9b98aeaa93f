"""The credentials of the platform's providers that the operator keeps outside the store.

They are variables and files that the settings open by name, so a provider can name no others. They are read
once, at start.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from shared.settings.sections import Secrets
from shared.settings.sources import SettingsError

_FOLDER = "secrets.folder"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
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

    A variable or file that is missing or empty is left out: a key that names it is then reported with its
    name. Raises `SettingsError` when the folder cannot be read.
    """
    found = {env_secret(name): environ.get(name, "") for name in secrets.env}
    if secrets.folder is not None:
        found |= {file_secret(path.name): _text(path) for path in _files(secrets.folder)}
    return {name: text for name, value in found.items() if (text := value.strip())}


def _files(folder: Path) -> Iterator[Path]:
    """The plain files of the folder. A link could lead out of it."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise SettingsError(
            f"{_FOLDER}: {folder} cannot be read: {error.strerror}. Correct its path or its rights."
        ) from None
    for path in paths:
        if _NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield path


def _text(path: Path) -> str:
    """The text of the file; empty when it is no text, too large, or not for this user."""
    try:
        return path.read_text(encoding="ascii") if path.stat().st_size <= _MAX_BYTES else ""
    except (OSError, ValueError):
        return ""
