"""R29: a proxy is replaced by a new one on the same sockets, and no client notices."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Going, Tally, connected, open_loop
from tests.reliability.processes import Process
from tests.reliability.steadiness import assert_clean
from tests.support.gateway import RunningGateway, TenantInUse, secured
from tests.support.load_upstream import LoadUpstream
from tests.support.valkey_server import valkey
from tests.support.wait import until

HANDOVERS, RATE = 10, 50
DRAIN = 3.0  # seconds
PATIENCE = 120.0  # seconds; a bound, not a wait
#: The names by which a client that trusts the certificate knows the proxy are those of `secured`.
SETTINGS = {
    "GATEWAY__SERVER__WORKERS": "2",
    "GATEWAY__SERVER__DRAIN_TIMEOUT": f"{DRAIN}s",
    "GATEWAY__REDIS__MODE": "external",
}


@pytest.fixture(params=["plain", "tls"])
def caller(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: LoadUpstream, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TenantInUse, Caller]]:
    """A tenant of a gateway with a store of its own, and a client of it."""
    with valkey(tmp_path) as store:
        settings = {**SETTINGS, "GATEWAY__REDIS__URL": f"unix://{store}"}
        with secured(tmp_path, monkeypatch, settings, is_tls=request.param == "tls") as (gateway, authority):
            tenant = upstream.tenant(gateway)
            yield tenant, Caller.of(tenant, authority)


class Proxies:
    """The proxy of a gateway, and those that replace it."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self._children = [gateway.processes.pop("proxy")]
        self.current = self._children[0].pid

    def replace_by_signal(self) -> None:
        old = Process(self.current)
        os.kill(self.current, signal.SIGUSR2)
        for _ in until(PATIENCE):
            new = [child.pid for child in old.children() if "--replace" in command(child.pid)]
            if new:
                break
        [self.current] = new
        self._await_end(old.pid)

    def replace_by_a_second_start(self) -> None:
        self._gateway.proxy_arguments = ("--replace",)
        old = self.current
        self._gateway.start_proxy()
        self._children.append(self._gateway.processes.pop("proxy"))
        self.current = self._children[-1].pid
        self._await_end(old)

    def _await_end(self, pid: int) -> None:
        for _ in until(PATIENCE):
            for child in self._children:
                child.poll()
            if not Path(f"/proc/{pid}").exists():
                return
        raise AssertionError(f"The proxy {pid} does not end:\n{self._gateway.log('proxy')[-4000:]}")

    def __enter__(self) -> "Proxies":
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self.current, signal.SIGTERM)
        self._await_end(self.current)
        for child in self._children:
            assert child.wait(PATIENCE) == 0


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def fresh(caller: Caller, path: str, rate: float, going: Going) -> Tally:
    """`rate` requests a second, each on a connection of its own."""
    tally, request = Tally(), caller.request(path)
    running: set[asyncio.Task[None]] = set()

    async def call() -> None:
        line = await connected(caller, tally)
        if line is not None:
            await tally.ask(line, request)
            line.close()

    due = time.monotonic()
    while going():
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.ensure_future(call())
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return tally


def test_ten_handovers_at_50_requests_a_second_fail_no_request(caller: tuple[TenantInUse, Caller]) -> None:
    """Half of the requests come on new connections, half on some that are kept, and used after any pause."""
    tenant, client = caller

    async def measure() -> list[Tally]:
        stop = False
        loads = [
            asyncio.ensure_future(load)
            for load in (
                fresh(client, "/v1/wait/20", RATE / 2, lambda: not stop),
                open_loop(client, "/v1/wait/20", RATE / 2, lambda: not stop, connections=20),
            )
        ]
        for number in range(HANDOVERS):
            how = proxies.replace_by_a_second_start if number % 2 else proxies.replace_by_signal
            await asyncio.to_thread(how)
        stop = True
        return await asyncio.gather(*loads)

    with Proxies(tenant.gateway) as proxies:
        tallies = uvloop.run(measure())
    kind = "TLS" if client.authority else "plain"
    for name, tally in zip(("new connections", "kept connections"), tallies, strict=True):
        figure(
            "R29",
            f"{HANDOVERS} hand-overs, {kind}, {name}: {tally.statuses[200]} good, {tally.errors} failed "
            f"(promise 0), p50 {tally.quantile(0.5):.0f} ms, p99 {tally.quantile():.0f} ms",
        )
    assert [tally.failed[:5] for tally in tallies] == [[], []]
    assert [tally.errors for tally in tallies] == [0, 0]
    assert_clean(tenant.gateway)
