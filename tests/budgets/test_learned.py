"""The knowledge of a worker: estimates that are corrected, usual outputs, and the bytes of a token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.budgets.learned import DEFAULT_BYTES, BytesPerToken, LearnedDemand


def test_the_factor_follows_what_is_reported_within_bounds() -> None:
    learned = LearnedDemand.of(10)
    assert learned.factor("t", "m") == 1.0
    for _ in range(60):
        learned.learn_input("t", "m", estimate=100, reported=140)
    assert learned.factor("t", "m") == pytest.approx(1.4, abs=0.01)
    for _ in range(100):
        learned.learn_input("t", "m", estimate=100, reported=10_000)
    assert learned.factor("t", "m") == 3.0
    for _ in range(100):
        learned.learn_input("t", "m", estimate=100, reported=1)
    assert learned.factor("t", "m") == 0.5
    assert learned.factor("another", "m") == 1.0


@pytest.mark.parametrize(("estimate", "reported"), [(0, 10), (10, 0)])
def test_the_factor_learns_nothing_from_nothing(estimate: int, reported: int) -> None:
    learned = LearnedDemand.of(10)
    learned.learn_input("t", "m", estimate=estimate, reported=reported)
    assert learned.factor("t", "m") == 1.0


def test_the_usual_output_is_known_after_five_responses() -> None:
    learned = LearnedDemand.of(10)
    for output in (10, 20, 30, 40):
        learned.learn_output("k", "m", output)
    assert learned.usual_output("k", "m") is None
    learned.learn_output("k", "m", 50)
    assert learned.usual_output("k", "m") == 50
    assert learned.usual_output("other", "m") is None


@given(st.lists(st.integers(0, 10_000), min_size=5, max_size=200))
def test_of_the_last_forty_outputs_at_most_two_exceed_the_usual_one(outputs: list[int]) -> None:
    learned = LearnedDemand.of(10)
    for output in outputs:
        learned.learn_output("k", "m", output)
    usual = learned.usual_output("k", "m")
    assert usual is not None
    assert usual in outputs[-40:]
    assert sum(output > usual for output in outputs[-40:]) <= 2


@pytest.mark.parametrize(
    ("size", "output", "reasoning", "learned"),
    [
        (3_000, 1_000, 0, 3.8),
        (300, 1_000, 900, 3.8),  # the reasoning is not shown
        (3_000, 1_000, 900, 3.8),  # it is shown
        (1_000_000, 1, 0, 4.8),
        (10, 1_000, 0, 3.4),
        (10, 1_000, 1_000, 3.4),
        (0, 1_000, 0, DEFAULT_BYTES),
        (1_000, 0, 0, DEFAULT_BYTES),
    ],
)
def test_the_bytes_of_a_token_follow_what_a_model_has_reported(
    size: int, output: int, reasoning: int, learned: float
) -> None:
    known = BytesPerToken()
    known.learn("m", size=size, output=output, reasoning=reasoning)
    assert round(known.of("m"), 6) == learned
