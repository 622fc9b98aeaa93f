"""One worker of the proxy: mitmproxy's event loop with the gateway in it."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master

from mitm_addons import EngineTraits, Parts, build
from mitm_addons.admission import CheckHead
from mitm_addons.observe.last_used import LastUsed
from mitm_addons.stock import core_errors
from mitm_addons.stock import unsupported as unenforced
from mitm_addons.stock.dispatch import Dispatcher
from mitm_addons.stock.master import client_cutter, client_writer, make_master
from shared.core import tasks
from shared.core.errors import CannotListen
from shared.logs import PutLine
from shared.net.trust import TrustFiles
from shared.pipeline.pool import PluginPool
from shared.services import DataPlane, Services
from shared.settings import Settings

# Calls that may wait for a thread of the pool, for each thread.
_WAITING_PER_THREAD = 64
# Threads for entries in shadow mode: they must not take those of entries that somebody waits for.
_SHADOW_THREADS = 8


async def serve(services: Services, put_line: PutLine, check_head: CheckHead) -> None:
    """Serve on the stock core until SIGTERM or SIGINT. Raises `CannotListen` when the port is taken."""
    server = Proxyserver()
    core_errors.install(services.random_bytes)
    traits = EngineTraits(write=client_writer(server), cut=client_cutter(server), check_head=check_head)
    async with gateway_addons(services, put_line, traits) as addons:
        tasks.start(unenforced.tell(services), "tell what is not enforced")
        gateway = Dispatcher(addons)
        master = make_master(services.settings, services.settings.data_dir / "mitmproxy", server, gateway)
        await run(master, services.settings)


async def run(master: Master, settings: Settings) -> None:
    """Run a master until a signal ends it, and tell when it does not listen."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, master.shutdown)
    listening = _Listening(master)
    master.addons.add(listening)
    await master.run()
    if listening.failed:
        server = settings.server
        raise CannotListen(
            f"The proxy cannot listen on {server.proxy_host}:{server.proxy_port}; is the port taken? "
            "Set server.proxy_port (GATEWAY__SERVER__PROXY_PORT) to a free one."
        )


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


@contextlib.asynccontextmanager
async def gateway_addons(
    services: Services, put_line: PutLine, engine: EngineTraits, extra: Sequence[object] = ()
) -> AsyncIterator[list[object]]:
    """The gateway's addons, then the `extra` ones, with all that works behind them; ends with the context."""
    settings = services.settings
    pools = [_pool(settings.plugins.threads), _pool(_SHADOW_THREADS)]
    async with services.data_plane() as plane, asyncio.TaskGroup() as group:
        last_used = LastUsed(plane.source, services.clock)
        writing = group.create_task(last_used.run())
        try:
            yield build(_parts(services, plane, pools, last_used, put_line, engine), extra)
        finally:
            writing.cancel()
            await last_used.flush()
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)


def _pool(threads: int) -> PluginPool:
    return PluginPool(threads, threads * _WAITING_PER_THREAD)


def _parts(
    services: Services,
    plane: DataPlane,
    pools: Sequence[PluginPool],
    last_used: LastUsed,
    put_line: PutLine,
    engine: EngineTraits,
) -> Parts:
    settings = services.settings
    trust = TrustFiles(Path(settings.data_dir) / "trust", settings.security.ca_file)
    trust(None)  # a bad ca_file stops the start, not the first request
    return Parts(
        settings=settings,
        clock=services.clock,
        hasher=services.hasher,
        gateways=plane.gateways,
        hosts=services.hosts,
        pool=pools[0],
        shadow_pool=pools[1],
        resolve=plane.resolver,
        trust_file=trust,
        probe=plane.probe,
        last_used=last_used,
        random_bytes=services.random_bytes,
        instance=services.instance,
        engine=engine,
        put_line=put_line,
    )
