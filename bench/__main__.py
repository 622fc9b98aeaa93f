"""`python -m bench`: the gateway beside nginx and stock mitmproxy. Ends with exit code 1 on any error."""

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.comparison import CONTENDERS, Bench
from bench.machine import describe
from bench.programs import BenchFailed
from bench.report import comparison_targets, report, target_table


def main() -> None:
    """Read the command line, measure, print the report."""
    options = _parser().parse_args()
    rounds = options.rounds or (2 if options.quick else 5)
    seconds = options.seconds or (1 if options.quick else 5)
    names = [name for name in CONTENDERS if name in (options.only or CONTENDERS)]
    # The programs are stopped on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {describe()}")
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            bench = Bench(folder, stack)
            found = bench.measure(bench.start(names), rounds, seconds)
    except BenchFailed as error:
        sys.exit(f"FAILED  {error}")
    print(f"Median of {rounds} alternating rounds, {seconds} s each load.")
    print(*(f"  {name:16} {CONTENDERS[name]}" for name in names), sep="\n")
    print(f"\n{report(found)}\n\n{target_table(comparison_targets(found))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.sh",
        description="Measure the gateway beside others.",
        epilog="Others, each with its --help: --calls, --limiter, --models, --pipeline or --upload first.",
    )
    parser.add_argument("--quick", action="store_true", help="about 1 min, instead of about 10 min")
    names = list(CONTENDERS)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds over all contenders")
    parser.add_argument("--seconds", type=int, metavar="S", help="length of each load")
    return parser


if __name__ == "__main__":
    main()
