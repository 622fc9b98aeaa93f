"""What the express engine is held to, and whether a run has shown it."""

from collections.abc import Mapping, Sequence

from bench.figures import Round, Spread, differences, ratios
from bench.table import cell, table

_KB = 1024

#: The words, the contender, the base, and the least ratio of their requests per second at full load.
_RATIOS = (
    ("no plugins, of stock mitmdump", "express", "mitmdump", 15.0),
    ("no plugins, of nginx", "express", "nginx", 0.25),
    ("seed's chain, of stock mitmdump", "express+chain", "mitmdump", 10.0),
    ("seed's chain, of nginx", "express+chain", "nginx", 0.15),
    ("two workers of one, nothing pinned", "free-2", "free-1", 1.35),
)
#: The words, the contender, the measure, and the most milliseconds above `direct`.
_ADDED = (
    ("no plugins, p50 added at one connection, ms", "express", "p50 1", 0.5),
    ("seed's chain, p50 added at one connection, ms", "express+chain", "p50 1", 1.0),
    ("no plugins, first event added, ms", "express", "event", 10.0),
    ("seed's chain, first event added, ms", "express+chain", "event", 10.0),
)
#: The way of holding streams, and the most kilobytes for each.
_MEMORY = (("express, plain", 15), ("express, TLS upstream", 60), ("express, TLS on both sides", 90))


def targets(rounds: Sequence[Round], memory: Mapping[str, float]) -> str:
    """A table of all targets. `memory` is in bytes a stream.

    The last column compares CPU time a request instead of requests per second.
    """
    rows = [*_ratio_rows(rounds), *_added_rows(rounds)]
    for name, most in _MEMORY:
        kilobytes = memory[name] / _KB if name in memory else None
        found = None if kilobytes is None else Spread(kilobytes, kilobytes, kilobytes, 1)
        verdict = _verdict(found, found is not None and found.median <= most)
        rows.append([f"{name}, KB a stream", f"<= {most}", cell(found, digits=1), verdict, ""])
    return f"Targets of the express engine\n{table(['', '', 'found', '', 'by CPU'], rows)}"


def _ratio_rows(rounds: Sequence[Round]) -> list[list[str]]:
    rows = []
    for words, name, base, least in _RATIOS:
        found, by_cpu = ratios(rounds, name, base, "rate"), ratios(rounds, base, name, "cpu")
        verdict = _verdict(found, found is not None and found.median >= least)
        # Two workers use no less CPU time a request than one.
        shown = "" if base == "free-1" else cell(by_cpu, digits=2)
        rows.append([words, f">= {least:g}", cell(found, digits=2, ranged=True), verdict, shown])
    return rows


def _added_rows(rounds: Sequence[Round]) -> list[list[str]]:
    rows = []
    for words, name, measure, most in _ADDED:
        found = differences(rounds, name, "direct", measure)
        verdict = _verdict(found, found is not None and found.median * 1e3 <= most)
        rows.append([words, f"<= {most:g}", cell(found, 1e3, 3, ranged=True), verdict, ""])
    return rows


def _verdict(found: Spread | None, is_met: bool) -> str:
    return "-" if found is None else "met" if is_met else "MISSED"
