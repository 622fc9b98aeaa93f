"""Findings about this machine and its network: Python, disk, files, DNS, and the platform's providers."""

import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from stat import S_IMODE
from typing import Final

from admin_app.changes.owners import Owner
from admin_app.context import services
from admin_app.doctor.findings import Finding, Level
from admin_app.views.ai.provider_test import NO_LIST, check_provider
from shared.core.errors import OutsideError, TargetForbidden
from shared.model.providers import Provider
from shared.net.policy import Policy
from shared.net.resolve import resolve
from shared.records.figures import quantile, total
from shared.records.keys import ALL
from shared.records.minutes import FIRST_MS
from shared.records.reader import RecordReader
from shared.settings import Settings

#: The least good free space of `data_dir`.
MIN_FREE_BYTES: Final = 1_000_000_000
#: The most providers that are called, and how many at a time.
MAX_PROVIDERS: Final = 50
_AT_ONCE: Final = 10
_RESOLVE_SECONDS: Final = 3.0
_MINUTES: Final = 60


def of_machine(settings: Settings) -> Iterator[Finding]:
    """Findings about the machine of this process."""
    yield Finding("python", Level.OK, f"Python {platform.python_version()}.")
    yield _of_disk(settings.data_dir)
    yield _of_files(settings.data_dir)
    yield _of_name(settings.server.base_domain)


def _of_disk(folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        fix = "Set data_dir to a folder that the gateway may write."
        return Finding("disk", Level.ERROR, f"{folder}: {error.strerror}.", fix)
    detail = f"{free / 1e9:.1f} GB are free in {folder}."
    if free < MIN_FREE_BYTES:
        return Finding("disk", Level.WARNING, detail, "Free space there, or set data_dir to another disk.")
    return Finding("disk", Level.OK, detail)


def _of_files(folder: Path) -> Finding:
    """Whether other users may open what is in `data_dir`, which has secrets and the configuration."""
    if folder.exists() and S_IMODE(folder.stat().st_mode) & 0o077:
        return Finding("files", Level.WARNING, f"Other users may open {folder}.", f"Run: chmod 700 {folder}")
    return Finding("files", Level.OK, f"Only the gateway's user may open {folder}.")


def _of_name(domain: str) -> Finding:
    """Whether the addresses of tenants lead anywhere."""
    host = f"gateway-doctor.{domain}"
    try:
        resolve(host, 443, Policy(), _RESOLVE_SECONDS)
    except TargetForbidden:
        pass  # it has an address, which no rule may call
    except OutsideError:
        fix = f"Make a DNS record *.{domain} for the proxy, or set server.base_domain to your domain."
        return Finding("dns", Level.WARNING, f"{host} has no address.", fix)
    return Finding("dns", Level.OK, f"*.{domain} has an address.")


def of_providers(providers: Iterable[Provider], calls: Mapping[str, int]) -> Iterator[Finding]:
    """Whether each provider of the platform responds, with a certificate and a key that are right.

    It is asked for its list of models, which costs nothing. `calls` are the figures of calls of the last
    hour (`shared.records.minutes`), which tell how long content takes.
    """
    enabled = [one for one in providers if one.enabled][:MAX_PROVIDERS]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = [pool.submit(copy_context().run, _of_provider, one, calls) for one in enabled]
        for one in asked:
            yield one.result()


def _of_provider(provider: Provider, calls: Mapping[str, int]) -> Finding:
    found = check_provider(provider, Owner().name)
    check = f"provider {provider.name}"
    if found["ok"]:
        detail = f"It responds in {found['milliseconds']} ms. {_first_content(provider, calls)}"
        return Finding(check, Level.OK, detail)
    if found["error"] == NO_LIST:
        detail = f"It has no list of models, so it was not called. {_first_content(provider, calls)}"
        return Finding(check, Level.OK, detail)
    fix = "Correct its address and its keys on the page Providers, or disable it."
    return Finding(check, Level.ERROR, str(found["error"]), fix)


def _first_content(provider: Provider, calls: Mapping[str, int]) -> str:
    """The time to the first content of its models, from calls that were made anyway: others would cost."""
    half, most = (quantile(calls, provider.id, FIRST_MS, share) for share in (0.5, 0.95))
    if half is None or most is None:
        return "No call of the last hour tells its time to the first content."
    return f"Of the calls of the last hour, half began within {half:.0f} ms, and 95 % within {most:.0f} ms."


def of_services() -> Iterator[Finding]:
    """Findings about this machine and about the providers of the platform."""
    yield from of_machine(services().settings)
    minute = int(services().clock.now() // 60)
    with services().reading(RecordReader) as reader:
        calls = total(reader.calls(ALL, range(minute - _MINUTES + 1, minute + 1)))
    yield from of_providers(services().store.read_platform().providers, calls)
