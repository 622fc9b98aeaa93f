"""The smallest TCP balancer: each new connection goes to the next backend that takes it."""

import asyncio
from contextlib import suppress

from tests.reliability.callers import PATIENCE


class Balancer:
    """Listens on `port` of this machine while the block runs."""

    def __init__(self, *backends: int) -> None:
        self._backends = list(backends)
        self._running: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> "Balancer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        opened = [writer]
        try:
            back, out = await self._connect()
            opened.append(out)
            await asyncio.gather(_pass_on(reader, out), _pass_on(back, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in opened:
                one.transport.abort()
            self._running.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE):
            while True:
                self._backends.append(self._backends.pop(0))
                with suppress(ConnectionError):
                    return await asyncio.open_connection("127.0.0.1", self._backends[0])
                await asyncio.sleep(0.01)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything from one side to the other; then its end."""
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()
