"""The gateway's settings. Only this folder reads config.yaml and the environment.

Precedence: default < config.yaml < environment (``GATEWAY__SERVER__ADMIN_PORT=9080``) < flag.

    settings = load_settings()
    settings.server.admin_port
"""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from marshmallow import ValidationError

from shared.core.empty import EMPTY
from shared.core.errors import EX_CONFIG, Problem
from shared.core.fields import problems_of
from shared.settings.checks import check
from shared.settings.declare import UNKNOWN, declared, schema_of
from shared.settings.in_force import settings_in_force
from shared.settings.provider_secrets import OpenedSecrets, read_provider_secrets
from shared.settings.redis import RedisTls
from shared.settings.sections import BASE_DOMAIN, Secrets, Security, Settings, Tls
from shared.settings.service_manager import ServiceManager, parse_service_manager
from shared.settings.sources import (
    PREFIX,
    SettingsError,
    Written,
    nearest_setting,
    read_environment,
    read_file,
    read_flags,
    variable,
)

#: The variable that names another file than the program's config.yaml.
CONFIG_VARIABLE = "GATEWAY_CONFIG"
CONFIG_FILE = Path(__file__).parents[2] / "config.yaml"


def load_settings(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] = EMPTY,
) -> Settings:
    """All settings, validated.

    `path` is the file to read. The default is the file that ``GATEWAY_CONFIG`` names, else the program's
    config.yaml, which may be missing. `environ` defaults to the process environment. `flags` are by the name
    of the setting: ``{"server.workers": 1}``.

    Raises `SettingsError` that lists every invalid setting with its origin.
    """
    environ = os.environ if environ is None else environ
    named = path or environ.get(CONFIG_VARIABLE)
    file = Path(named or CONFIG_FILE).absolute()
    written = Written()
    if named or file.exists():
        read_file(written, file, environ)
    read_environment(written, environ, [*_names(Settings)])
    read_flags(written, flags)
    settings = _resolve(_validate(written), file.parent)
    check(settings, written)
    return dataclasses.replace(settings, in_force=tuple(settings_in_force(settings, written)))


def load_settings_or_exit() -> Settings:
    """All settings; on invalid settings, exit with `EX_CONFIG` and a message on standard error."""
    try:
        return load_settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EX_CONFIG)


def _names(kind: type, before: str = "") -> Iterator[str]:
    """The names of all settings: ``server.admin_port``."""
    for field, description in declared(kind):
        inner = description.get("section")
        yield from _names(inner, f"{before}{field.name}.") if inner else (before + field.name,)


def environment() -> Mapping[str, str]:
    """The variables of this process, for the command line of a user."""
    return os.environ


def opened_secrets(settings: Settings) -> OpenedSecrets:
    """The secrets that the operator opened for providers. Raises as `read_provider_secrets`."""
    return OpenedSecrets(lambda: read_provider_secrets(settings.secrets, os.environ))


def service_manager() -> ServiceManager:
    """The service manager that started this process. Raises `SettingsError`."""
    try:
        return parse_service_manager(os.environ, os.getpid())
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _validate(written: Written) -> Settings:
    try:
        settings: Settings = schema_of(Settings)().load(written.values)
    except ValidationError as error:
        lines = []
        for problem in problems_of(error.messages, maps=False):
            steps = tuple(problem.pointer.split("/")[1:])
            lines.append(f"{written.origin(steps)}: {'.'.join(steps)}: {_detail(problem, steps, written)}")
        raise SettingsError("\n".join(lines)) from None
    return settings


def _detail(problem: Problem, steps: tuple[str, ...], written: Written) -> str:
    """The sentence about the setting at `steps`. For a setting in a wrong section it names the right one."""
    meant = nearest_setting(written.path(steps), [*_names(Settings)])
    if meant is None or not problem.detail.startswith(UNKNOWN):
        return problem.detail
    is_variable = written.origin(steps).startswith(PREFIX)
    return f"{UNKNOWN}; did you mean {variable(meant) if is_variable else meant}?"


def _resolve(settings: Settings, folder: Path) -> Settings:
    """Make relative paths absolute, and replace `base_domain` in the shared hosts."""
    server, security, plugins = settings.server, settings.security, settings.plugins
    hosts = (server.base_domain if host == BASE_DOMAIN else host for host in server.shared_hosts)
    return dataclasses.replace(
        settings,
        server=dataclasses.replace(
            server, shared_hosts=tuple(hosts), tls=_from(folder, server.tls, "cert", "key")
        ),
        data_dir=folder / settings.data_dir,
        redis=dataclasses.replace(settings.redis, tls=_from(folder, settings.redis.tls, "ca", "cert", "key")),
        security=_from(folder, security, "ca_file", "pepper_file", "key_file"),
        secrets=_from(folder, settings.secrets, "folder"),
        plugins=dataclasses.replace(plugins, paths=tuple(folder / path for path in plugins.paths)),
    )


def _from[S: (Tls, RedisTls, Security, Secrets)](folder: Path, section: S, *names: str) -> S:
    """The section with the paths of these files, if set, relative to the folder."""
    files = {name: getattr(section, name) for name in names}
    return dataclasses.replace(section, **{name: file and folder / file for name, file in files.items()})


__all__ = [
    "CONFIG_VARIABLE",
    "OpenedSecrets",
    "Settings",
    "SettingsError",
    "environment",
    "load_settings",
    "load_settings_or_exit",
    "opened_secrets",
    "service_manager",
]
