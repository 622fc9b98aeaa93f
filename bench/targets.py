"""The targets of the express engine, as data: the figure, its bound, and the profile that explains it."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.report import Round, Target, differences, over_rounds, ratios
from bench.results import Results

_NEWER = (3, 14)  # from this Python on, some bounds are higher


class _Ratio(NamedTuple):
    """The least speed of a contender, of that of `base`: by `rate`, or by a CPU time, which is inverted.

    Attributes:
        text: the figure.
        name: the contender.
        base: the other contender.
        measure: what is compared.
        least: the bound, and the bound from Python 3.14 on.
        case: the profile that explains it.
    """

    text: str
    name: str
    base: str
    measure: str
    least: tuple[float, float]
    case: str


_RATIOS = (
    _Ratio("plain, wall: of nginx", "express", "nginx", "rate", (0.24, 0.27), "plain"),
    _Ratio("plain, wall: of mitmdump", "express", "mitmdump", "rate", (10, 11), "plain"),
    _Ratio("chain, wall: of nginx", "express+chain", "nginx", "rate", (0.15, 0.17), "chain"),
    _Ratio("chain, wall: of mitmdump", "express+chain", "mitmdump", "rate", (6, 7), "chain"),
    _Ratio("plain, CPU: of nginx", "express", "nginx", "cpu apart", (0.19, 0.22), "plain"),
    _Ratio("chain, CPU: of nginx", "express+chain", "nginx", "cpu apart", (0.10, 0.11), "chain"),
    _Ratio("chain, CPU: of lua+chain", "express+chain", "lua+chain", "cpu apart", (0.20, 0.20), "chain"),
    # By wall clock this would measure the load, which shares the two cores with the workers.
    _Ratio("two workers, CPU: of one", "free-2", "free-1", "cpu apart", (0.85, 0.85), "plain"),
)
#: The most function calls of a request, by case. They are counted in every run.
COUNTED = {"plain": 300, "chain": 620}


def targets(results: Results) -> list[Target]:
    """All targets, with what was found for each. A figure that was not measured is empty."""
    is_newer = tuple(map(int, results.python.split(".")[:2])) >= _NEWER
    return [
        *(_ratio(results.comparison, one, one.least[is_newer]) for one in _RATIOS),
        *_events(results.events),
        *_latencies(results.comparison),
        *_work(results),
    ]


def _ratio(rounds: Sequence[Round], one: _Ratio, least: float) -> Target:
    fast, slow = (one.name, one.base) if one.measure == "rate" else (one.base, one.name)
    return Target(one.text, ratios(rounds, fast, slow, one.measure), least, True, one.case)


def _events(rounds: Sequence[Round]) -> list[Target]:
    plain = ratios(rounds, "nginx", "express", "cpu apart")
    judged = _scaled(over_rounds(rounds, "express+judged", "cpu apart"), 1e6)
    return [
        Target("event of a stream, plain, CPU: of nginx", plain, 0.8, True, "events"),
        Target("event of a stream, judged, CPU us", judged, 40, False, "judged"),
    ]


def _latencies(rounds: Sequence[Round]) -> list[Target]:
    plain, chain = (
        _scaled(differences(rounds, name, "direct", "p50 1"), 1e3) for name in ("express", "express+chain")
    )
    return [
        Target("plain, p50 added at one connection, ms", plain, 0.10, False, "plain"),
        Target("chain, p50 added at one connection, ms", chain, 0.28, False, "chain"),
    ]


def _work(results: Results) -> list[Target]:
    body = _scaled(over_rounds(results.bodies, "express+content", "1 MB cpu apart"), 1e3)
    added = _scaled(differences(results.comparison, "express+ai", "express", "cpu"), 1e6)
    calls = [
        Target(f"{case}, function calls per request", _known(results, case), most, False, case)
        for case, most in COUNTED.items()
    ]
    return [
        Target("1 MB chat body with content_validator, CPU ms", body, 5, False, "content"),
        Target("a rule for AI, CPU added on one core, us", added, 40, False, "ai"),
        *calls,
    ]


def _known(results: Results, case: str) -> list[float]:
    return [results.calls[case]] if case in results.calls else []


def _scaled(values: Sequence[float], scale: float) -> list[float]:
    return [one * scale for one in values]
