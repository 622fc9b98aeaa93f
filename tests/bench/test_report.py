"""Ratios are taken within each round, so a slow round does not change them. Targets are met or missed."""

import pytest

from bench.report import (
    Round,
    Table,
    Target,
    by_cpu,
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


def test_report_shows_the_median_with_its_range_and_the_ratio_to_each_base_by_wall() -> None:
    line = next(line for line in report(ROUNDS).splitlines() if line.startswith("express"))
    assert line.split() == ["express", "1,000", "(500..1,200)", "10.0", "-", "-", "3.00", "-", "-"]


def test_less_cpu_time_is_a_higher_speed() -> None:
    cpu: list[Round] = [
        {"express": {"cpu apart": 1e-4, "cpu": 8e-5}, "nginx": {"cpu apart": 2e-5, "cpu": 1e-5}}
    ]
    assert by_cpu(cpu, ["nginx"]).rows[0] == ["express", "100.0", "0.200", "80.0", "0.125"]


def test_table_of_a_page_has_the_same_cells_as_the_one_of_a_terminal() -> None:
    both = Table("Speed", ["", "us"], [["nginx", "7"]])
    assert both.text() == "Speed\n       us\n-----  --\nnginx   7"
    assert both.markdown() == "|  | us |\n| --- | ---: |\n| nginx | 7 |"


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
