"""Each target is met, missed, or not known."""

import pytest

from bench.figures import Round
from bench.targets import targets


def line_of(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line.removeprefix(start).split()


@pytest.mark.parametrize(("rate", "verdict"), [(250.0, "met"), (249.0, "MISSED")])
def test_a_ratio_may_not_be_below_its_target(rate: float, verdict: str) -> None:
    rounds: list[Round] = [
        {"express": {"rate": rate, "cpu": 0.0001}, "nginx": {"rate": 1000.0, "cpu": 0.00002}}
    ]
    found = line_of(targets(rounds, {}), "no plugins, of nginx")
    assert found == [">=", "0.25", "0.25", verdict, "0.20"]


@pytest.mark.parametrize(("added", "verdict"), [(0.0005, "met"), (0.0006, "MISSED")])
def test_added_time_may_not_be_above_its_target(added: float, verdict: str) -> None:
    rounds: list[Round] = [{"express": {"p50 1": added}, "direct": {"p50 1": 0.0}}]
    found = line_of(targets(rounds, {}), "no plugins, p50 added at one connection, ms")
    assert found == ["<=", "0.5", f"{added * 1000:.3f}", verdict]


@pytest.mark.parametrize(("kilobytes", "verdict"), [(15.0, "met"), (15.1, "MISSED")])
def test_a_stream_may_not_hold_more_memory_than_its_target(kilobytes: float, verdict: str) -> None:
    found = line_of(targets([], {"express, plain": kilobytes * 1024}), "express, plain, KB a stream")
    assert found == ["<=", "15", f"{kilobytes:.1f}", verdict]


def test_what_was_not_measured_is_not_judged() -> None:
    lines = targets([], {}).splitlines()[3:]
    assert len(lines) == 12
    assert all(line.split()[-1] == "-" for line in lines)
