"""The gateway's settings: the only reader of config.yaml and of the environment.

Precedence: default < config.yaml < environment (``GATEWAY__SERVER__ADMIN_PORT=9080``) < flag.

    settings = load_settings()
    settings.server.admin_port
"""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from marshmallow import ValidationError

from shared.core.model import EMPTY
from shared.core.plugin import problems_of
from shared.settings.declare import schema_of
from shared.settings.sections import ANY_IP, BASE_DOMAIN, Settings, is_loopback
from shared.settings.sources import SettingsError, Written, read_environment, read_file, read_flags

#: Names another file than the config.yaml beside the program.
CONFIG_VARIABLE = "GATEWAY_CONFIG"
CONFIG_FILE = Path(__file__).parents[2] / "config.yaml"


def load_settings(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] = EMPTY,
) -> Settings:
    """All settings, validated.

    `path` is the file to read; without it, the one that ``GATEWAY_CONFIG`` names, else the config.yaml
    beside the program, which may be missing. `environ` is the process' own environment unless given.
    `flags` are by the name of the setting: ``{"server.workers": 1}``.

    Raises `SettingsError` that lists every wrong setting with its place.
    """
    environ = os.environ if environ is None else environ
    named = path or environ.get(CONFIG_VARIABLE)
    file = Path(named or CONFIG_FILE).absolute()
    written = Written()
    if named or file.exists():
        read_file(written, file, environ)
    read_environment(written, environ)
    read_flags(written, flags)
    settings = _resolve(_validate(written), file.parent)
    _check(settings, written)
    return settings


def load_settings_or_exit() -> Settings:
    """All settings, or the end of the program with a message on standard error."""
    try:
        return load_settings()
    except SettingsError as error:
        sys.exit(str(error))


def _validate(written: Written) -> Settings:
    # A section whose every key is commented out is a null in YAML.
    given = {name: value for name, value in written.values.items() if value is not None}
    try:
        settings: Settings = schema_of(Settings)().load(given)
    except ValidationError as error:
        lines = []
        for problem in problems_of(error.messages):
            steps = tuple(problem.pointer.split("/")[1:])
            lines.append(f"{written.origin(steps)}: {'.'.join(steps)}: {problem.detail}")
        raise SettingsError("\n".join(lines)) from None
    return settings


def _resolve(settings: Settings, folder: Path) -> Settings:
    """Relative paths from the folder of the file, and `base_domain` among the shared hosts filled in."""
    server, security, plugins = settings.server, settings.security, settings.plugins
    hosts = (server.base_domain if host == BASE_DOMAIN else host.lower() for host in server.shared_hosts)
    files = {name: getattr(security, name) for name in ("ca_file", "pepper_file", "key_file")}
    return dataclasses.replace(
        settings,
        server=dataclasses.replace(server, shared_hosts=tuple(hosts)),
        data_dir=folder / settings.data_dir,
        security=dataclasses.replace(
            security, **{name: file and folder / file for name, file in files.items()}
        ),
        plugins=dataclasses.replace(plugins, paths=tuple(folder / path for path in plugins.paths)),
    )


def _check(settings: Settings, written: Written) -> None:
    """What only several settings together can tell."""
    server, security = settings.server, settings.security
    if not is_loopback(server.admin_host) and settings.admin.token is None:
        raise SettingsError(
            f"{written.origin(('server', 'admin_host'))}: server.admin_host: other machines could reach the "
            f"admin API at {server.admin_host}; set admin.token (GATEWAY_ADMIN_TOKEN) or use 127.0.0.1"
        )
    if not settings.redis.is_local and not (security.pepper_file and security.key_file):
        place = ("redis", "url" if settings.redis.url else "host")
        raise SettingsError(
            f"{written.origin(place)}: {'.'.join(place)}: Redis is on another machine, and other "
            "gateways may use it; set security.pepper_file and security.key_file to the files that they share"
        )
    ports: dict[int, tuple[str, str]] = {}
    for steps, port in (
        (("server", "admin_port"), server.admin_port),
        (("server", "proxy_port"), server.proxy_port),
        (("server", "web_port"), server.web_port),
        (("demo", "port"), settings.demo.port),
    ):
        if other := ports.get(port):
            name = ".".join(steps)
            raise SettingsError(f"{written.origin(steps)}: {name}: {port} is also {'.'.join(other)}")
        ports[port] = steps


__all__ = [
    "ANY_IP",
    "CONFIG_VARIABLE",
    "Settings",
    "SettingsError",
    "is_loopback",
    "load_settings",
    "load_settings_or_exit",
]
