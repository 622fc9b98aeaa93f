"""An engine on a worker's seat, from its first connection to its drain."""

import asyncio
import gc
import signal

from mitmproxy.hooks import DoneHook, RunningHook
from mitmproxy.master import Master

from mitm_engine.engine import Engine
from mitm_engine.processes.listener import Listener
from mitm_engine.processes.scoreboard import WorkerSeat

#: Objects that are made until the young are looked at, and looks until the older are: most of what an
#: exchange makes is freed without the collector, and a full collection stops everything (110 ms with 5,000
#: open streams, measured).
THRESHOLDS = 20_000, 50, 100


async def serve(seat: WorkerSeat, master: Master, engine: Engine) -> None:
    """Serve `master`'s addons until SIGTERM, then drain. SIGHUP reads the TLS files again."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    loop.add_signal_handler(signal.SIGHUP, engine.reload_tls)
    listener = Listener(seat, engine.accept, lambda: engine.connections)
    await master.addons.trigger_event(RunningHook())
    # What lives now lives on: no collection has to look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    listener.start()
    await ending.wait()
    listener.stop()
    await engine.drain()
    await master.addons.trigger_event(DoneHook())
