"""`python -m bench`: measures, prints a report, and fails when anything did not answer as it should."""

import argparse
import resource
import signal
import sys
from datetime import UTC, datetime

from bench.contenders import NAMES
from bench.machine import describe
from bench.programs import ProgramFailed
from bench.report import report
from bench.rounds import Extent, Outcome, run_rounds
from bench.streams import weigh_all
from bench.world import world

_QUICK, _FULL = Extent(rounds=2, seconds=1, events=20), Extent(rounds=5, seconds=5, events=100)
_QUICK_STREAMS, _FULL_STREAMS = 1_000, 5_000


def main() -> None:
    """Read the command line, measure, report."""
    given = _parser().parse_args()
    usual = _QUICK if given.quick else _FULL
    extent = Extent(given.rounds or usual.rounds, given.seconds or usual.seconds, usual.events)
    streams = (_QUICK_STREAMS if given.quick else _FULL_STREAMS) if given.streams is None else given.streams
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        sys.exit(_run(given.only or list(NAMES), extent, streams))
    except ProgramFailed as error:
        sys.exit(f"FAILED  {error}")


def _run(only: list[str], extent: Extent, streams: int) -> int:
    """The exit code: 0 when every request of every contender was answered as it should be."""
    outcome = Outcome()
    started = datetime.now(UTC)
    before = describe()
    with world(only, streams=streams > 0) as made:
        weighing = weigh_all(made, streams, outcome) if streams else None
        run_rounds(made, extent, outcome)
        pinned = str(made.cores)
    print(f"{started:%Y-%m-%d %H:%M} UTC, {before}")
    print(f"Median of {extent.rounds} alternating rounds, {extent.seconds} s each load. Pinned: {pinned}.")
    print(*(f"  {name:16} {NAMES[name]}" for name in NAMES if name in only), sep="\n")
    print(f"\n{report(outcome, weighing)}")
    return 1 if outcome.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.sh",
        description="Measure the gateway beside others.",
        epilog="As first word --profile, --calls or --limiter measure something else; each has its --help.",
    )
    parser.add_argument("--quick", action="store_true", help="about 90 s, instead of about 10 min")
    parser.add_argument("--only", nargs="+", choices=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds over all contenders")
    parser.add_argument("--seconds", type=int, metavar="S", help="length of each load")
    parser.add_argument("--streams", type=int, metavar="N", help="open streams to weigh; 0 weighs none")
    return parser


if __name__ == "__main__":
    main()
