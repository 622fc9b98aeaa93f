"""The limiter where it works: in a proxy that is asked over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from bench import machine, nginx
from bench.exchange import Call, ExchangeFailed
from bench.gateway import Gateway, Targets, Tenant
from bench.limiter.attack import Degraded
from bench.limiter.rivals import Entrant, Rival
from bench.programs import Program, Running, free_port
from bench.rounds import await_response
from shared.redis_server.embedded import Embedded

PATH = "/v1/chat/completions"
_number = count()


@dataclass(frozen=True, slots=True)
class Proxied:
    """A proxy of one worker, and the `others` that serve it. `socket` is its Redis'."""

    gateway: Gateway
    targets: Targets
    proxy: Running
    port: int
    socket: str
    others: Sequence[Running]

    @contextmanager
    def apart(self) -> Iterator[None]:
        """The proxy has a core for itself, where there are two."""
        cores = machine.find_cores()
        machine.pin([other.pid for other in self.others], cores.load)
        machine.pin([self.proxy.pid], cores.server)
        machine.pin_ourselves(cores.load)
        yield
        machine.pin_ourselves(cores.all)

    def call(self, name: str, on_tenant: list[Any], on_rule: list[Any]) -> Call:
        """What a tenant with these chains asks, once the proxy knows the tenant."""
        tenant: Tenant = self.gateway.create_tenant(name, on_tenant, on_rule, self.targets)
        call = tenant.call(PATH)
        await_response(self.port, call)
        return call


@contextmanager
def proxied(folder: Path) -> Iterator[Proxied]:
    """Everything started, and ended with the block. Raises `ProgramFailed`."""
    with ExitStack() as stack:

        def running(program: Program) -> Running:
            started = Running(program, folder)
            stack.callback(started.stop)
            started.wait()
            return started

        gateway, upstream, port = Gateway(folder / "gateway"), free_port(), free_port()
        command = nginx.upstream_command(folder / "upstream", upstream)
        others = [running(Program("upstream", command, f"http://127.0.0.1:{upstream}/"))]
        others.append(running(gateway.admin()))
        proxy = running(gateway.proxy("express", port, "express"))
        socket = str(Embedded(gateway.folder).socket)
        yield Proxied(gateway, Targets(upstream, upstream), proxy, port, socket, others)


def over_http(here: Proxied) -> Entrant:
    """A rule's limit, asked over HTTP: each identity is a tenant with a connection of its own."""

    @asynccontextmanager
    async def opened(socket: str, number: int, seconds: int, levels: Sequence[str]) -> AsyncIterator[Rival]:
        limit = {"name": "rate_limiter", "settings": {"limit": number, "window": f"{seconds}s"}}
        lines: dict[str, _Line] = {}

        async def acquire(identity: str) -> bool:
            if identity not in lines:
                call = here.call(f"{identity}-{next(_number)}", [], [limit])
                # That call was charged; the attack begins when nothing is.
                await asyncio.sleep(65 / 64 * seconds)
                lines[identity] = await _Line.to(here.port, call)
            return await lines[identity].is_admitted()

        yield acquire
        for line in lines.values():
            line.close()

    return Entrant("our gateway, over HTTP", opened)


class _Line:
    """One connection that asks one thing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: Call) -> None:
        self._reader = reader
        self._writer = writer
        self._request = call.encode()

    @classmethod
    async def to(cls, port: int, call: Call) -> "_Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port), call)

    async def is_admitted(self) -> bool:
        """Whether the answer is a 200 and no 429.

        Raises `Degraded` when the proxy decided alone, `ExchangeFailed` on any other answer.
        """
        self._writer.write(self._request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        status = int(head[9:12])
        if b"x-gateway-ratelimit-mode" in head:
            raise Degraded
        if status not in (200, 429):
            raise ExchangeFailed(f"expected a 200 or a 429, got {head[:200]!r}")
        return status == 200

    def close(self) -> None:
        self._writer.close()
