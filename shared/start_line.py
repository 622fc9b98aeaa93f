"""The line with which a program begins its log: what started, where it listens, and on which store."""

import logging
from collections.abc import Iterable

from shared.core import VERSION
from shared.core.http_tokens import authority
from shared.log_lines import START
from shared.logs import FIELDS
from shared.redis_server.choose import RedisAddress
from shared.settings import Settings

Address = tuple[str, int]


def log_proxy_start(settings: Settings, addresses: Iterable[Address], store: RedisAddress) -> None:
    """Log the start of the proxy, which listens on these hosts and ports."""
    server = settings.server
    fields = {"tls": server.tls.files is not None, "engine": server.engine, "workers": server.worker_count}
    _log("proxy", addresses, store, fields)


def log_admin_start(addresses: Iterable[Address], store: RedisAddress, workers: int) -> None:
    """Log the start of the admin API. It leaves TLS to a proxy in front."""
    _log("admin", addresses, store, {"tls": False, "engine": None, "workers": workers})


def _log(program: str, addresses: Iterable[Address], store: RedisAddress, more: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "program": program,
        "version": VERSION,
        "addresses": [authority(host, port) for host, port in addresses],
        **more,
        "store": store.describe(),
    }
    logging.getLogger(START).info("The program has started.", extra={FIELDS: fields})
