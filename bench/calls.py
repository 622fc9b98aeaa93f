"""Function calls per request, counted by Python's profiler: a figure without noise.

    python -m bench.calls [ENGINE] [--chain | --ai] [--requests N] [--keep FILE]

A real proxy gets the requests over one connection, one after the other.
"""

import os
import pstats
import signal
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from bench import machine
from bench.gateway import CHAIN, RESPONSE, Gateway
from bench.load import await_rule, expect, open_connection
from bench.programs import BenchFailed, Program, Running, free_port

_WARM_UP = 50  # requests before the count, which fill the caches
_PROFILE_SECONDS = 20.0  # until a profile must be written
_INJECTED = Path(__file__).parent / "injected"


class _Upstream(socketserver.ThreadingTCPServer):
    """Responds to each request of known length with `RESPONSE`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        fields = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(RESPONSE)
        length = 0
        while line := self.rfile.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
            elif line == b"\r\n":
                self.rfile.read(length)
                self.wfile.write(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + RESPONSE)


def profile(engine: str, *, chain: bool = False, ai: bool = False, requests: int = 1000) -> pstats.Stats:
    """The profile of a worker while it serves so many requests, with a chain of plugins or a rule for AI.

    Needs neither nginx nor wrk. Raises `BenchFailed`.
    """
    with ExitStack() as stack:
        upstream = stack.enter_context(_Upstream())
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        stack.callback(upstream.shutdown)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        gateway, port = Gateway(folder / "gateway", upstream.server_address[1]), free_port()
        _start(gateway.admin(), folder, stack)
        if ai:
            call = gateway.create_ai_tenant("calls")
        else:
            call = gateway.create_tenant("calls", *(CHAIN if chain else ()))
        program = gateway.proxy("proxy", port, engine)
        variables = {"PYTHONPATH": str(_INJECTED), "BENCH_PROFILE": str(folder)}
        proxy = _start(replace(program, environment={**program.environment, **variables}), folder, stack)
        await_rule(port, call, RESPONSE)
        connection = stack.enter_context(open_connection(port))
        for _ in range(_WARM_UP):
            expect(connection, call, RESPONSE)
        machine.await_idle(proxy.pid)
        pids = [pid for pid in machine.tree(proxy.pid) if _is_python(pid)]
        _signal(pids, lambda pid: (folder / f"{pid}.on").exists())
        for _ in range(requests):
            expect(connection, call, RESPONSE)
        _signal(pids, lambda pid: (folder / f"{pid}.prof").exists())
        proxy.check()
        # The busiest process is the worker.
        return max((pstats.Stats(str(folder / f"{pid}.prof")) for pid in pids), key=calls_in)


def calls_in(stats: pstats.Stats) -> int:
    """Calls of Python and C functions."""
    total: int = stats.total_calls  # type: ignore[attr-defined]
    return total


def _start(program: Program, folder: Path, stack: ExitStack) -> Running:
    running = Running(program, folder, stack)
    running.wait()
    return running


def _signal(pids: list[int], is_done: Callable[[int], bool]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGPROF)
    deadline = time.monotonic() + _PROFILE_SECONDS
    while not all(map(is_done, pids)):
        if time.monotonic() > deadline:
            raise BenchFailed("the profiler did not start or end")
        time.sleep(0.01)


def _is_python(pid: int) -> bool:
    """Whether it runs this interpreter. Other programs would end at the signal."""
    try:
        return os.path.samefile(f"/proc/{pid}/exe", sys.executable)
    except OSError:
        return False


@click.command()
@click.argument("engine", default="express", type=click.Choice(["express", "mitmproxy"]))
@click.option("--chain", is_flag=True, help="With a chain of plugins.")
@click.option("--ai", is_flag=True, help="With a rule for AI.")
@click.option("--requests", default=1000, help="How many requests are counted.")
@click.option("--keep", type=click.Path(), help="Write the profile to this file, for python -m pstats.")
def main(engine: str, chain: bool, ai: bool, requests: int, keep: str | None) -> None:
    """Count function calls per request."""
    try:
        stats = profile(engine, chain=chain, ai=ai, requests=requests)
    except BenchFailed as error:
        sys.exit(f"FAILED  {error}")
    print(f"{calls_in(stats) / requests:.1f} calls per request ({engine}, {requests} requests)")
    if keep:
        stats.dump_stats(keep)


if __name__ == "__main__":
    main()
