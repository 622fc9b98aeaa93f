"""A worker for tests: answers every line with its process id and the line."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from mitm_engine.processes.listener import Listener
from mitm_engine.processes.scoreboard import WorkerContext
from tests.support.loops import LOOPS


class Echo(asyncio.Protocol):
    """One connection. ``hang`` blocks the whole worker."""

    def __init__(self, server: "Server") -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == b"hang\n":
            signal.sigwait([signal.SIGUSR1])
        self.transport.write(b"%d %s" % (os.getpid(), data))

    def connection_lost(self, error: Exception | None) -> None:
        self._server.open -= 1
        self._server.changed.set()


class Server:
    """Serves until SIGTERM; then until its clients have left."""

    def __init__(self, context: WorkerContext, marks: Path) -> None:
        self.open = 0
        self.changed = asyncio.Event()
        self._marks = marks
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._pending: set[asyncio.Task[object]] = set()
        self._listener = Listener(context, self._accept, lambda: self.open)

    async def run(self) -> None:
        self._loop.add_signal_handler(signal.SIGTERM, self._stop)
        self._loop.add_signal_handler(signal.SIGHUP, lambda: self._mark("reloaded"))
        self._listener.start()
        while not self._stopping or self.open:
            await self.changed.wait()
            self.changed.clear()
        self._mark("drained")

    def _accept(self, connection: socket.socket) -> None:
        self.open += 1
        made = self._loop.connect_accepted_socket(lambda: Echo(self), connection)
        task = self._loop.create_task(made)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _stop(self) -> None:
        self._listener.stop()
        self._stopping = True
        self.changed.set()

    def _mark(self, what: str) -> None:
        (self._marks / f"{what}-{os.getpid()}").touch()


def work(context: WorkerContext, loop: str, marks: Path) -> None:
    """Serve on that kind of loop. A file ``code`` in the folder `marks` says how to end instead."""
    (marks / f"began-{os.getpid()}").touch()
    code = marks / "code"
    if code.exists():
        sys.exit(int(code.read_text()))
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_serve(context, marks))


async def _serve(context: WorkerContext, marks: Path) -> None:
    await Server(context, marks).run()
