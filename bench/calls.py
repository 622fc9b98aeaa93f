"""Function calls a request, as Python's profiler counts them: the same on a busy machine as on a quiet one.

    python -m bench.calls [ENGINE] [--chain] [--requests N]

A real proxy is started, and so many requests are sent over one connection, one after the other.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.exchange import Call, Connection, ExchangeFailed
from bench.gateway import Gateway, Targets
from bench.profiling import calls_in, environment, profiled
from bench.programs import Program, ProgramFailed, Running, free_port, python
from bench.rounds import await_response

_WARM_UP = 50  # requests before the count, for what is made once


@dataclass(frozen=True, slots=True)
class Count:
    """So many calls in so many requests."""

    calls: int
    requests: int

    @property
    def each(self) -> float:
        """Calls a request."""
        return self.calls / self.requests


def count_calls(engine: str, *, chain: bool = False, requests: int = 1000) -> Count:
    """Count the calls of one worker of the proxy. With `chain`, the tenant has the seed's plugins.

    Needs neither nginx nor wrk. Raises `ProgramFailed` when something does not start, `ExchangeFailed`.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        gateway, upstream, port = Gateway(folder / "gateway"), free_port(), free_port()
        events = python("-m", "bench.events", "--port", str(upstream))
        _start(Program("upstream", events, f"http://127.0.0.1:{upstream}/"), folder, stack)
        _start(gateway.admin(), folder, stack)
        tenants = gateway.create_tenants(Targets(upstream, upstream))
        program = gateway.proxy("proxy", port, engine)
        program = replace(program, environment={**program.environment, **environment(folder)})
        proxy = _start(program, folder, stack)
        call = tenants[chain].call("/v1/chat/completions")
        await_response(port, call)
        with Connection(port) as connection:
            _ask(connection, call, _WARM_UP)
            _, stats = profiled(proxy.pid, folder, lambda: _ask(connection, call, requests))
        proxy.check()
        return Count(calls_in(stats), requests)


def _ask(connection: Connection, call: Call, times: int) -> None:
    for _ in range(times):
        connection.ask(call)


def _start(program: Program, folder: Path, stack: ExitStack) -> Running:
    running = Running(program, folder)
    stack.callback(running.stop)
    running.wait()
    return running


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="bench.calls", description="Function calls a request.")
    parser.add_argument("engine", nargs="?", default="express", choices=["express", "mitmproxy"])
    parser.add_argument("--chain", action="store_true", help="with the seed's chain of plugins")
    parser.add_argument("--requests", type=int, default=1000, metavar="N")
    given = parser.parse_args()
    try:
        count = count_calls(given.engine, chain=given.chain, requests=given.requests)
    except (ProgramFailed, ExchangeFailed) as error:
        sys.exit(f"FAILED  {error}")
    print(f"{count.each:.1f} calls a request ({given.engine}, {count.requests} requests)")


if __name__ == "__main__":
    main()
