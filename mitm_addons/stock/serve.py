"""The proxy on mitmproxy's own core, in one process: its event loop with the gateway in it."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master

from mitm_addons.gateway import QUIET_LOGGERS, gateway_addons
from mitm_addons.stock import core_errors, web
from mitm_addons.stock.adapter import adapter
from mitm_addons.stock.dispatch import Dispatcher
from mitm_addons.stock.master import make_master
from shared import logs
from shared.config_store.port import ConfigStore
from shared.core import tasks
from shared.core.errors import CannotListen, StoreDown
from shared.metrics_port import open_metrics, serving_metrics
from shared.model.rule_timeouts import RuleTimeouts
from shared.redis_server.choose import log_store
from shared.services import Services, connect
from shared.settings import Settings
from shared.settings.listen import METRICS, PROXY, check_listen
from shared.start_line import log_proxy_start

logger = logging.getLogger(__name__)

_PAGE = 500  # tenants per read
_TRIES = 20  # for a port in use, ten per second
# Settings that the core does not support.
_UNSUPPORTED = ("server.drain_timeout", "limits.connections", "limits.in_flight", "limits.timeouts")


def serve_alone(settings: Settings, *, with_web: bool) -> None:
    """Serve until SIGTERM or SIGINT; with mitmweb on request. Raises `GatewayError`."""
    server = settings.server
    addresses = [(host, server.proxy_port) for host in server.proxy_host]
    for host, port in addresses:  # mitmproxy would not say why
        check_listen(host, port, PROXY, tries=_TRIES)
    port = settings.metrics.port
    listener = open_metrics(settings.metrics, port, METRICS, tries=_TRIES) if port else None
    log = logs.configure(settings.log.level, sys.stdout, QUIET_LOGGERS)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(log))
        services = stack.enter_context(connect(settings))
        log_store(services.address)
        log_proxy_start(settings, addresses, services.address)
        metrics = None
        if listener is not None:
            metrics = stack.enter_context(serving_metrics(settings, "proxy", listener))
        asyncio.run(_serve(services, log, web.Feed() if with_web else None, metrics))


async def _serve(
    services: Services, log: logs.LogWriter, feed: web.Feed | None, metrics: Path | None
) -> None:
    settings, server = services.settings, Proxyserver()
    core_errors.install(services.random_bytes)
    stock = replace(adapter(services, server, [feed] if feed else []), metrics=metrics)
    async with gateway_addons(services, log, stock) as addons:
        tasks.start(_warn(services), "warn of unsupported settings")
        master = make_master(settings, settings.data_dir / "mitmproxy", server, Dispatcher(addons))
        with web.pages(master, settings, server, feed) if feed else contextlib.nullcontext():
            could_listen = await _run(master, services.read_secrets_again)
    # Raised here: inside, a group of errors would hide it.
    if not could_listen:
        raise CannotListen("mitmproxy could not open its port. The log says why.")


async def _run(master: Master, reload: Callable[[], None]) -> bool:
    """Run until SIGTERM or SIGINT; `reload` on SIGHUP. Return False if the port could not be opened."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, master.shutdown)
    listening = _Listening(master)
    master.addons.add(listening)
    await master.run()
    return not listening.failed


class _Listening:
    """mitmproxy only logs that it could not open its port, and runs on without one."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self.failed = False

    def running(self) -> None:
        server: Proxyserver = self._master.addons.get("proxyserver")
        if not server.listen_addrs():
            self.failed = True
            self._master.shutdown()


async def _warn(services: Services) -> None:
    """Log which of the settings in use have no effect."""
    found = await asyncio.to_thread(lambda: [*unsupported(services.settings, services.store)])
    if found:
        logger.warning("The mitmproxy engine does not support %s.", ", ".join(found))


def unsupported(settings: Settings, store: ConfigStore) -> Iterator[str]:
    """Yield the settings that differ from their defaults without effect, and the timeouts of rules."""
    default = Settings()
    for name in _UNSUPPORTED:
        section, key = name.split(".")
        if getattr(getattr(settings, section), key) != getattr(getattr(default, section), key):
            yield name
    try:
        if _rules_have_timeouts(store):
            yield "the timeouts of rules"
    except StoreDown:
        return  # the proxy starts without its store


def _rules_have_timeouts(store: ConfigStore) -> bool:
    cursor: str | None = None
    while True:
        page = store.list(_PAGE, cursor)
        if any(rule.timeouts != RuleTimeouts() for snapshot in page.snapshots for rule in snapshot.rules):
            return True
        cursor = page.next_cursor
        if cursor is None:
            return False
