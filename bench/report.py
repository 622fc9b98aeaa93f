"""What a run found out, as text."""

from collections.abc import Sequence

from bench.contenders import NAMES
from bench.figures import Round, differences, over_rounds, ratios
from bench.rounds import MANY, Outcome
from bench.streams import Weighing
from bench.table import cell, table
from bench.targets import targets

_MS, _US, _PERCENT, _KB = 1e3, 1e6, 100.0, 1 / 1024

_BUSY = 0.9  # of its core, from which on a program counts as having been the bottleneck


def report(outcome: Outcome, weighing: Weighing | None) -> str:
    """All tables, and the failures."""
    rounds = outcome.rounds
    names = [name for name in NAMES if any(name in one for one in rounds)]
    parts = [_throughput(rounds, names), _latency(rounds, names)]
    if weighing is not None and weighing.bytes:
        parts.append(_memory(weighing))
    parts.append(targets(rounds, weighing.bytes if weighing else {}))
    if outcome.failures:
        parts.append(_failures(outcome))
    return "\n\n".join(parts)


def _throughput(rounds: Sequence[Round], names: Sequence[str]) -> str:
    head = ["", "requests/s", "p50 ms", "p99 ms", "CPU us", "busy %", "x mitmdump", "of nginx"]
    head += ["one core: CPU us", "x mitmdump", "of nginx"]
    rows = [
        [
            name,
            cell(over_rounds(rounds, name, "rate"), ranged=True),
            cell(over_rounds(rounds, name, "p50"), _MS, 2),
            cell(over_rounds(rounds, name, "p99"), _MS, 2),
            cell(over_rounds(rounds, name, "cpu apart"), _US, 1),
            cell(over_rounds(rounds, name, "busy"), _PERCENT),
            cell(ratios(rounds, name, "mitmdump", "rate"), digits=2),
            cell(ratios(rounds, name, "nginx", "rate"), digits=3),
            cell(over_rounds(rounds, name, "cpu"), _US, 1),
            cell(ratios(rounds, "mitmdump", name, "cpu"), digits=2),
            cell(ratios(rounds, "nginx", name, "cpu"), digits=3),
        ]
        for name in names
    ]
    return f"{MANY} connections, keep-alive\n{table(head, rows)}{_shared(rounds, names)}"


def _shared(rounds: Sequence[Round], names: Sequence[str]) -> str:
    """A warning when something else than the program under test set the pace."""
    busy = {name: found.median for name in names if (found := over_rounds(rounds, name, "busy"))}
    idle = [name for name, share in busy.items() if share < _BUSY]
    if not idle:
        return ""
    return (
        f"\nNot busy throughout: {', '.join(idle)}. Others were using this machine, or the load was too "
        "small; the ratios of CPU time on one core hold all the same."
    )


def _latency(rounds: Sequence[Round], names: Sequence[str]) -> str:
    head = ["", "requests/s", "p50 ms", "p99 ms", "added p50 ms", "first event ms", "added ms"]
    rows = [
        [
            name,
            cell(over_rounds(rounds, name, "rate 1")),
            cell(over_rounds(rounds, name, "p50 1"), _MS, 3),
            cell(over_rounds(rounds, name, "p99 1"), _MS, 3),
            cell(differences(rounds, name, "direct", "p50 1"), _MS, 3),
            cell(over_rounds(rounds, name, "event"), _MS, 3),
            cell(differences(rounds, name, "direct", "event"), _MS, 3),
        ]
        for name in names
        if over_rounds(rounds, name, "rate 1")
    ]
    return f"1 connection, and the first event of a stream\n{table(head, rows)}"


def _memory(weighing: Weighing) -> str:
    rows = [[name, f"{size * _KB:,.1f}"] for name, size in weighing.bytes.items()]
    return f"Memory of {weighing.count} open streams\n{table(['', 'KB/stream'], rows)}"


def _failures(outcome: Outcome) -> str:
    told: dict[tuple[str, str], list[str]] = {}
    for where, name, words in outcome.failures:
        told.setdefault((name, words), []).append(where)
    lines = [f"FAILED  {name} ({', '.join(where)}): {words}" for (name, words), where in told.items()]
    return "\n".join(lines)
