"""Addresses and keys of gateways, by names, in a file of this user."""

from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from stat import S_IMODE
from typing import Any, Final

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.cli.failures import Failure
from shared.core.process.data_files import whole_file

#: The address of a gateway that was started on this machine.
DEFAULT_URL: Final = "http://127.0.0.1:8080"
DEFAULT_NAME: Final = "default"
_HINT: Final = "Correct the file, or remove it and log in again with `gw login`."


@dataclass(frozen=True, slots=True)
class Profile:
    """The address of an admin API, and a key of it. None: calls from this machine may need none."""

    url: str = DEFAULT_URL
    token: str | None = None


def profiles_file() -> Path:
    """The file of the profiles: `~/.config/gw/profiles.yaml`, or below `XDG_CONFIG_HOME`."""
    return Path(click.get_app_dir("gw")) / "profiles.yaml"


def load_profile(name: str) -> Profile:
    """The profile with this name. Without any file, `DEFAULT_NAME` is the gateway of this machine.

    Raises `Failure` when the file cannot be used, or lacks the profile.
    """
    found = _read(file) if (file := profiles_file()).exists() else {}
    if name not in found and name == DEFAULT_NAME:
        return Profile()
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise Failure(
            f"There is no profile {name}; there is {known}.", f"Make it with `gw --profile {name} login`."
        )
    return found[name]


def save_profile(name: str, profile: Profile) -> Path:
    """Add or replace a profile. Returns its file, which only this user can read. Raises `Failure`."""
    file = profiles_file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = _read(file) if file.exists() else {}
        text = StringIO()
        _yaml().dump({one: asdict(each) for one, each in sorted({**found, name: profile}.items())}, text)
        with whole_file(file) as half:
            half.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}.") from None
    return file


def _read(file: Path) -> dict[str, Profile]:
    try:
        if S_IMODE(file.stat().st_mode) & 0o077:
            raise Failure(f"{file} has keys, and other users may open it.", f"Run: chmod 600 {file}")
        written = _yaml().load(file.read_text(encoding="utf-8")) or {}
        return {str(name): Profile(**fields) for name, fields in written.items()}
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.") from None
    except (YAMLError, TypeError, AttributeError, UnicodeDecodeError):
        # The messages of these errors may quote a key.
        raise Failure(f"{file} does not have profiles, each with url and token.", _HINT) from None


def _yaml() -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    return yaml
