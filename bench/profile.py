"""Where the time goes in one contender under load: `python -m bench.profile [NAME]`.

The profiler makes every call slower, and calls of Python code more than others: read shares and counts, not
seconds, and take requests per second from a run without it.
"""

import argparse
import pstats
import sys
from dataclasses import replace
from pathlib import Path

from bench.by_file import Rows, by_file
from bench.contenders import NAMES, Contender
from bench.exchange import ExchangeFailed
from bench.profiling import calls_in, environment, profiled
from bench.programs import ProgramFailed
from bench.rounds import MANY, await_response
from bench.world import World, world
from bench.wrk import LoadFailed, run_wrk

_PYTHON = [name for name in NAMES if name not in ("direct", "nginx")]


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(prog="bench.sh --profile", description="Where the time goes.")
    parser.add_argument("name", nargs="?", default="express", choices=_PYTHON)
    parser.add_argument("--seconds", type=int, default=5, metavar="S", help="length of the load")
    parser.add_argument("--connections", type=int, default=MANY, metavar="N")
    parser.add_argument("--sort", default="tottime", choices=["tottime", "cumtime", "ncalls"])
    parser.add_argument("--lines", type=int, default=30, metavar="N", help="files and functions shown")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="also write the profile for pstats")
    given = parser.parse_args()
    try:
        with world([given.name], streams=False, prepare=_inject) as made:
            requests, stats = _profile(made, made.contenders[0], given.connections, given.seconds)
    except (ProgramFailed, LoadFailed, ExchangeFailed) as error:
        sys.exit(f"FAILED  {error}")
    if given.keep:
        stats.dump_stats(given.keep)
    print(f"{given.name}: {requests} requests, {calls_in(stats) / requests:.1f} calls a request")
    rows: Rows = stats.stats  # type: ignore[attr-defined]
    print(f"\n{by_file(rows, requests, given.lines)}\n")
    stats.strip_dirs().sort_stats(given.sort).print_stats(given.lines)


def _inject(contender: Contender, folder: Path) -> Contender:
    """The contender, with a program that can be profiled."""
    program = contender.program
    if program is None:
        return contender
    variables = {**program.environment, **environment(folder)}
    return replace(contender, program=replace(program, environment=variables))


def _profile(made: World, contender: Contender, connections: int, seconds: int) -> tuple[int, pstats.Stats]:
    program = made.program_of(contender)
    if program is None:
        raise ProgramFailed("this is no program of ours")
    await_response(contender.port, contender.call)
    load, stats = profiled(
        program.pid, made.folder, lambda: run_wrk(contender.port, contender.call, connections, seconds)
    )
    return load.requests, stats


if __name__ == "__main__":
    main()
