"""Five minutes of calls at random times: the shares that the strategies give to fast, slow and dead targets."""

from random import Random

import pytest

from shared.model.pools import RetryOn, Strategy
from shared.upstreams.outcome import Outcome, outcome_of_transport
from tests.upstreams.pools import Service, seconds, simulate

LATE = outcome_of_transport(RetryOn.TIMEOUT, "first byte")


def frozen(now: float, random: Random) -> tuple[float, Outcome | None]:
    """A call that ends with its timeout of 60 s."""
    return 60.0, LATE


def slow_until(moment: float) -> Service:
    return lambda now, random: (5.0, None) if now < moment else seconds(0.3)(now, random)


def test_slower_of_three_targets_gets_a_small_share() -> None:
    found = simulate(
        {"a": seconds(0.3), "b": seconds(0.3), "c": seconds(0.6)}, strategy=Strategy.LATENCY, duration=30
    )
    assert 0.08 <= found.share("c") <= 0.28


def test_frozen_target_holds_no_more_calls_than_the_others() -> None:
    found = simulate(
        {"a": seconds(0.3), "b": seconds(0.3), "c": frozen}, strategy=Strategy.LATENCY, duration=20
    )
    assert found.busiest["c"] <= max(found.busiest["a"], found.busiest["b"])
    assert found.share("c") < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
class TestFiveMinutes:
    def test_slower_target_gets_a_small_share(self, seed: int) -> None:
        three = {"a": seconds(0.3), "b": seconds(0.3), "c": seconds(0.6)}
        found = simulate(three, strategy=Strategy.LATENCY, duration=300, seed=seed)
        assert 0.08 <= found.share("c") <= 0.28
        two = {"a": seconds(0.3), "c": seconds(0.6)}
        found = simulate(two, strategy=Strategy.LATENCY, duration=300, seed=seed)
        assert 0.08 <= found.share("c") <= 0.28

    def test_frozen_target_is_open_most_of_the_time(self, seed: int) -> None:
        found = simulate(
            {"a": seconds(0.3), "b": seconds(0.3), "c": frozen},
            strategy=Strategy.LATENCY,
            duration=300,
            seed=seed,
        )
        assert found.busiest["c"] <= max(found.busiest["a"], found.busiest["b"])
        assert found.share("c") < 0.01

    def test_target_that_recovers_gets_its_third_again(self, seed: int) -> None:
        services = {"a": seconds(0.3), "b": seconds(0.3), "c": slow_until(100)}
        found = simulate(services, strategy=Strategy.LATENCY, duration=300, seed=seed)
        last = simulate(services, strategy=Strategy.LATENCY, duration=200, seed=seed)
        share = (found.calls["c"] - last.calls["c"]) / (found.calls.total() - last.calls.total())
        assert share == pytest.approx(1 / 3, rel=0.15)

    @pytest.mark.parametrize("strategy", [Strategy.WEIGHTED, Strategy.LEAST_BUSY])
    def test_other_strategies_share_equal_targets_evenly(self, seed: int, strategy: Strategy) -> None:
        found = simulate({name: seconds(0.3) for name in "abc"}, strategy=strategy, duration=300, seed=seed)
        assert all(found.share(name) == pytest.approx(1 / 3, rel=0.05) for name in "abc")
