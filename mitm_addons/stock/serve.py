"""The proxy on mitmproxy's own core, in one process: its event loop with the gateway in it."""

import asyncio
import contextlib
import signal
import sys

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master

from mitm_addons.gateway import QUIET_LOGGERS, gateway_addons
from mitm_addons.stock import core_errors, unsupported, web
from mitm_addons.stock.adapter import adapter
from mitm_addons.stock.dispatch import Dispatcher
from mitm_addons.stock.master import make_master
from shared import logs
from shared.core import tasks
from shared.core.errors import CannotListen
from shared.logs import PutLine
from shared.services import Services, connect
from shared.settings import Settings


def serve_alone(settings: Settings, *, with_web: bool) -> None:
    """Serve until SIGTERM or SIGINT; with mitmweb on request. Raises `GatewayError`."""
    log = logs.configure(settings.log.level, sys.stdout, QUIET_LOGGERS)
    with contextlib.closing(log), connect(settings) as services:
        asyncio.run(_serve(services, log.put, web.Feed() if with_web else None))


async def _serve(services: Services, put_line: PutLine, feed: web.Feed | None) -> None:
    settings, server = services.settings, Proxyserver()
    core_errors.install(services.random_bytes)
    stock = adapter(services, server, [feed] if feed else [])
    async with gateway_addons(services, put_line, stock) as addons:
        tasks.start(unsupported.warn(services), "warn of unsupported settings")
        master = make_master(settings, settings.data_dir / "mitmproxy", server, Dispatcher(addons))
        with web.pages(master, settings, server, feed) if feed else contextlib.nullcontext():
            await _run(master, settings)


async def _run(master: Master, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, master.shutdown)
    listening = _Listening(master)
    master.addons.add(listening)
    await master.run()
    if listening.failed:
        server = settings.server
        raise CannotListen(f"Cannot listen on {server.proxy_host}:{server.proxy_port}.")


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
