"""Ratios are taken within each round, so that what slows a whole round down does not count."""

from bench.figures import Round, Spread, differences, over_rounds, ratios, spread

# The second round ran on a machine that was half as fast.
ROUNDS: list[Round] = [
    {"ours": {"rate": 1000.0, "p50": 0.003}, "theirs": {"rate": 100.0, "p50": 0.001}},
    {"ours": {"rate": 500.0, "p50": 0.006}, "theirs": {"rate": 50.0, "p50": 0.002}},
    {"ours": {"rate": 1200.0, "p50": 0.003}, "theirs": {"rate": 100.0, "p50": 0.001}},
]


def test_a_slow_round_changes_no_ratio() -> None:
    assert ratios(ROUNDS, "ours", "theirs", "rate") == Spread(10.0, 10.0, 12.0, 3)


def test_differences_are_taken_within_a_round_too() -> None:
    assert differences(ROUNDS, "ours", "theirs", "p50") == Spread(0.002, 0.002, 0.004, 3)


def test_a_figure_is_the_median_with_its_range() -> None:
    assert over_rounds(ROUNDS, "ours", "rate") == Spread(1000.0, 500.0, 1200.0, 3)


def test_a_round_in_which_one_of_the_two_failed_gives_no_ratio() -> None:
    rounds = [*ROUNDS, {"ours": {"rate": 7.0}, "theirs": {}}, {"ours": {"rate": 7.0}}]
    found = ratios(rounds, "ours", "theirs", "rate")
    assert found is not None
    assert found.rounds == 3


def test_what_never_worked_has_no_figures() -> None:
    assert ratios(ROUNDS, "ours", "absent", "rate") is None
    assert differences(ROUNDS, "absent", "ours", "p50") is None
    assert over_rounds([], "ours", "rate") is None
    assert spread([]) is None


def test_nothing_is_divided_by_zero() -> None:
    assert ratios([{"ours": {"cpu": 1.0}, "theirs": {"cpu": 0.0}}], "ours", "theirs", "cpu") is None
