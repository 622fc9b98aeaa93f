"""The targets of the engine: each finds its figure, a missed one shows its profile, and results are kept whole."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bench.pages import missed
from bench.profiler import Function
from bench.report import Round, Target
from bench.results import Results, read_results
from bench.targets import targets

FUNCTION = Function("shared/limits/resolve.py:12 resolve", 0.25, 3.0)
CASES = ("plain", "chain", "ai", "events", "judged", "content")


def rounds(names: Iterable[str], *measures: str) -> list[Round]:
    return [{name: {measure: 0.001 for measure in measures} for name in names}]


WHOLE = Results(
    date="2026-11-30",
    machine="a machine",
    python="3.13.0",
    comparison=rounds(
        [
            *("direct", "nginx", "mitmdump", "lua+chain", "express", "express+chain", "express+ai"),
            *("free-1", "free-2"),
        ],
        *("rate", "p50 1", "cpu", "cpu apart"),
    ),
    events=rounds(("nginx", "express", "express+judged"), "cpu apart", "cpu"),
    bodies=rounds(("express+content",), "1 MB cpu apart"),
    curves=rounds(("rules-1", "rules-1000"), "cpu"),
    calls=dict.fromkeys(CASES, 1000.0),
    profiles={case: [FUNCTION] for case in CASES},
    others={"The pipeline": [Target("an empty stage, us", [0.5], 1)]},
)


def test_each_target_finds_its_figure_in_a_whole_run() -> None:
    assert [target.text for target in targets(WHOLE) if len(target.found) != 1] == []


def test_target_without_a_figure_is_neither_met_nor_missed() -> None:
    nothing = targets(Results(date="", machine="", python="3.13.0"))
    assert len(nothing) == len(targets(WHOLE))
    assert [one for one in nothing if one.is_met or one.is_missed] == []


def test_bounds_are_higher_on_a_newer_python() -> None:
    old, new = (
        {one.text: one.bound for one in targets(replace(WHOLE, python=it))} for it in ("3.13.9", "3.14.0")
    )
    assert (old["plain, wall: of nginx"], new["plain, wall: of nginx"]) == (0.24, 0.27)
    assert (old["chain, CPU: of nginx"], new["chain, CPU: of nginx"]) == (0.10, 0.11)


def test_missed_target_shows_the_profile_of_its_case() -> None:
    assert "plain" in missed(WHOLE)  # its calls are above the bound
    assert missed(WHOLE)["plain"] == [FUNCTION]
    assert "content" not in missed(WHOLE)


def test_results_are_read_as_they_were_written_with_four_digits(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    replace(WHOLE, calls={"plain": 299.97777}).write(file)
    assert read_results(file) == replace(WHOLE, calls={"plain": 300.0})
