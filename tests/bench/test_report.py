"""Ratios are taken within each round, so a slow round does not change them. Targets are met or missed."""

import pytest

from bench.report import (
    Round,
    Target,
    comparison_targets,
    differences,
    over_rounds,
    ratios,
    report,
    target_table,
)

# The second round ran on a machine that was half as fast.
ROUNDS: list[Round] = [
    {"express": {"rate": 1000.0, "p50": 0.003}, "nginx": {"rate": 100.0, "p50": 0.001}},
    {"express": {"rate": 500.0, "p50": 0.006}, "nginx": {"rate": 50.0, "p50": 0.002}},
    {"express": {"rate": 1200.0, "p50": 0.003}, "nginx": {"rate": 100.0, "p50": 0.001}},
]


def test_slow_round_does_not_change_ratios_and_differences() -> None:
    assert ratios(ROUNDS, "express", "nginx", "rate") == [10.0, 10.0, 12.0]
    assert differences(ROUNDS, "express", "nginx", "p50") == [0.002, 0.004, 0.002]


def test_figure_that_is_missing_or_zero_gives_no_ratio() -> None:
    rounds = [*ROUNDS, {"express": {"rate": 7.0}, "nginx": {}}, {"express": {"rate": 7.0}}]
    assert len(ratios(rounds, "express", "nginx", "rate")) == 3
    assert ratios(rounds, "express", "absent", "rate") == over_rounds([], "express", "rate") == []
    assert ratios([{"express": {"cpu": 1.0}, "nginx": {"cpu": 0.0}}], "express", "nginx", "cpu") == []


def test_report_shows_the_median_with_its_range_and_the_ratio_to_each_base() -> None:
    line = next(line for line in report(ROUNDS).splitlines() if line.startswith("express"))
    assert line.split() == ["express", "1,000", "(500..1,200)", "-", "10.000", "3.00", *("-" * 6)]


def test_program_that_was_not_busy_is_named() -> None:
    idle, busy = ({"express": {"rate": 1.0, "busy": share}} for share in (0.4, 0.95))
    assert "Not busy throughout: express." in report([idle])
    assert "Not busy" not in report([busy])


@pytest.mark.parametrize(
    ("target", "result"),
    [
        (Target("speed", [0.25], 0.25, is_minimum=True), "met"),
        (Target("speed", [0.249], 0.25, is_minimum=True), "MISSED"),
        (Target("time", [0.5], 0.5), "met"),
        (Target("time", [0.6], 0.5), "MISSED"),
        (Target("time", [], 0.5), "-"),
    ],
)
def test_target_is_met_up_to_its_bound_and_unknown_without_a_figure(target: Target, result: str) -> None:
    assert target_table([target]).split()[-1] == result
    assert target.is_met == (result == "met")


def test_each_target_of_the_engine_finds_its_figures() -> None:
    figures = {"rate": 2.0, "p50 1": 0.001, "cpu": 0.0001}
    names = ("direct", "nginx", "mitmdump", "express", "express+chain", "express+ai", "free-1", "free-2")
    found = comparison_targets([dict.fromkeys(names, figures)])
    assert [len(target.found) for target in found] == [1] * 8
    assert [target.found for target in comparison_targets([])] == [[]] * 8
