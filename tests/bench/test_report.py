"""The report tells what was reached, what was missed and what failed."""

from bench.figures import Round
from bench.report import report
from bench.rounds import Outcome
from bench.streams import Weighing


def a_round(express: float) -> Round:
    return {
        "nginx": {
            "rate": 1000.0,
            "p50": 0.001,
            "p99": 0.002,
            "cpu apart": 0.00002,
            "cpu": 0.00001,
            "busy": 1.0,
        },
        "mitmdump": {"rate": 10.0, "p50": 0.1, "p99": 0.2, "cpu apart": 0.002, "cpu": 0.001, "busy": 1.0},
        "express": {
            "rate": express,
            "p50": 0.003,
            "p99": 0.004,
            "cpu apart": 0.00025,
            "cpu": 0.0001,
            "busy": 0.95,
        },
    }


def line_of(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line


def test_each_contender_is_compared_with_both_yardsticks() -> None:
    line = line_of(report(Outcome([a_round(300.0)]), None), "express  ")
    # p50, p99, CPU, busy, then requests/s against both; CPU on one core, then that against both
    assert line.split()[1:] == [
        *("300", "3.00", "4.00", "250.0", "95", "30.00", "0.300"),
        *("100.0", "10.00", "0.100"),
    ]


def test_a_program_that_was_held_up_by_others_is_named() -> None:
    held_up = a_round(300.0)
    slowed = {**held_up, "express": {**held_up["express"], "busy": 0.4}}
    assert "Not busy throughout: express." in report(Outcome([slowed]), None)
    assert "Not busy" not in report(Outcome([held_up]), None)


def test_open_streams_are_told_in_kilobytes() -> None:
    text = report(Outcome(), Weighing(1000, {"express, plain": 15_360.0}))
    assert "Memory of 1000 open streams" in text
    assert "express, plain       15.0" in text


def test_the_same_failure_is_told_once_with_all_its_rounds() -> None:
    failures = [("round 1", "express", "3 x status"), ("round 2", "express", "3 x status")]
    assert report(Outcome([], failures), None).endswith("FAILED  express (round 1, round 2): 3 x status")
