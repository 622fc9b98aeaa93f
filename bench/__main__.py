"""`python -m bench`: the gateway beside other proxies. Ends with exit code 1 on any error."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from bench import pages
from bench.bodies import body_table
from bench.comparison import CONTENDERS
from bench.curves import curve_table
from bench.machine import describe
from bench.programs import BenchFailed
from bench.report import report, target_table
from bench.results import Results, read_results
from bench.run import Extent, compare, others, run
from bench.streams import event_table
from bench.targets import targets


def main() -> None:
    """Read the command line, measure, print the report."""
    parser = _parser()
    options = parser.parse_args()
    if options.only and (options.record or options.profile):
        parser.error("--only measures no targets: leave out --record and --profile")
    rounds, seconds = (2, 1) if options.quick else (5, 3)
    has_curves = options.record or not options.quick
    extent = Extent(options.rounds or rounds, options.seconds or seconds, has_curves)
    # The programs are stopped on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    print(describe())
    began = time.monotonic()
    try:
        if options.only:
            found = compare([name for name in CONTENDERS if name in options.only], extent)
        else:
            found = run(extent, with_profiles=options.profile or options.record)
        if options.record:
            known = read_results(pages.DATA)
            found = replace(found, others=others(), scale=known.scale, fleet=known.fleet)
    except BenchFailed as error:
        sys.exit(f"FAILED  {error}")
    print(*_texts(found, extent, with_profiles=options.profile), sep="\n\n")
    if options.record:
        pages.DATA.parent.mkdir(exist_ok=True)
        found.write(pages.DATA)
        pages.main()
        print(f"\nWritten: {pages.DATA.parent} and the figures of the pages.")
    print(f"\n{time.monotonic() - began:.0f} s")


def _texts(found: Results, extent: Extent, *, with_profiles: bool) -> Iterator[str]:
    names = "\n".join(f"  {name:16} {CONTENDERS[name]}" for name in found.comparison[0])
    yield f"Median of {extent.rounds} alternating rounds, {extent.seconds} s each load.\n{names}"
    yield report(found.comparison)
    tables = ((event_table, found.events), (body_table, found.bodies), (curve_table, found.curves))
    yield from (make(rounds).text() for make, rounds in tables if rounds)
    yield target_table(targets(found))
    for case, functions in pages.missed(found).items() if with_profiles else ():
        shown = pages.profile_table(functions).text().replace("`", "")
        yield f"Missed by {case}, {found.calls[case]:,.0f} calls. {shown}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.sh",
        description="Measure the gateway beside others.",
        epilog="Others, each with its --help: --bodies, --calls, --curves, --dashboards, --limiter, "
        "--models, --pipeline, --streams, --translated, --translation or --upload first.",
    )
    parser.add_argument("--quick", action="store_true", help="about 4 min, instead of about 15 min")
    names = list(CONTENDERS)
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"only compare these: {', '.join(names)}"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds over all contenders")
    parser.add_argument("--seconds", type=int, metavar="S", help="length of each load")
    parser.add_argument("--profile", action="store_true", help="show where the time of a missed target goes")
    parser.add_argument(
        "--record", action="store_true", help="write docs/benchmarks and the figures of the pages"
    )
    return parser


if __name__ == "__main__":
    main()
