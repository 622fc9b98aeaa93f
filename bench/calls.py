"""Function calls per request, counted by Python's profiler: a figure without noise.

    python -m bench.calls [ENGINE] [--chain | --ai [--budgets N]] [--requests N] [--keep FILE]

A real proxy gets the requests over one connection, one after the other.
"""

import pstats
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from bench import profiler
from bench.gateway import CHAIN, RESPONSE, Gateway
from bench.load import await_rule, expect, open_connection
from bench.profiler import calls_in
from bench.programs import Program, Running, free_port
from bench.upstream import Upstream

_WARM_UP = 50  # requests before the count, which fill the caches


def profile(
    engine: str, *, chain: bool = False, ai: bool = False, budgets: int = 0, requests: int = 1000
) -> pstats.Stats:
    """The profile of a worker while it serves so many requests, with a chain of plugins or a rule for AI.

    So many budgets count the requests to the rule for AI.

    Needs neither nginx nor wrk. Raises `BenchFailed`.
    """
    with ExitStack() as stack:
        upstream = Upstream(stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        gateway, port = Gateway(folder / "gateway", upstream.port), free_port()
        _start(gateway.admin(), folder, stack)
        if ai:
            call = gateway.create_ai_tenant("calls", budgets)
        else:
            call = gateway.create_tenant("calls", *(CHAIN if chain else ()))
        program = gateway.proxy("proxy", port, engine)
        variables = {**program.environment, **profiler.variables(folder)}
        proxy = _start(replace(program, environment=variables), folder, stack)
        await_rule(port, call, RESPONSE)
        connection = stack.enter_context(open_connection(port))

        def send(times: int) -> None:
            for _ in range(times):
                expect(connection, call, RESPONSE)

        send(_WARM_UP)
        stats = profiler.profile(proxy.pid, folder, lambda: send(requests))
        proxy.check()
        return stats


def _start(program: Program, folder: Path, stack: ExitStack) -> Running:
    running = Running(program, folder, stack)
    running.wait()
    return running


@click.command()
@click.argument("engine", default="express", type=click.Choice(["express", "mitmproxy"]))
@click.option("--chain", is_flag=True, help="With a chain of plugins.")
@click.option("--ai", is_flag=True, help="With a rule for AI.")
@click.option("--budgets", default=0, help="How many budgets count the requests of the rule for AI.")
@click.option("--requests", default=1000, help="How many requests are counted.")
@click.option("--keep", type=click.Path(), help="Write the profile to this file, for python -m pstats.")
def main(engine: str, chain: bool, ai: bool, budgets: int, requests: int, keep: str | None) -> None:
    """Count function calls per request."""
    stats = profile(engine, chain=chain, ai=ai, budgets=budgets, requests=requests)
    print(f"{calls_in(stats) / requests:.1f} calls per request ({engine}, {requests} requests)")
    if keep:
        stats.dump_stats(keep)


if __name__ == "__main__":
    main()
