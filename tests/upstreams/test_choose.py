"""The choice of a target: levels, candidates, strategies, affinity, and the reasons for all others."""

from collections import Counter
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.pools import Affinity, Breaker, PoolPolicy, Strategy
from shared.upstreams.choose import BUSY, OPEN, PINNED, TRIED, Choice, Pool
from shared.upstreams.target import Call, Target
from tests.upstreams.pools import World, never, targets

AFFINITY = PoolPolicy(affinity=Affinity())


def name(choice: Choice) -> str | None:
    return None if choice.target is None else choice.target.id


def chosen(pool: Pool, calls: int, seed: int = 1, **options: Any) -> Counter[str | None]:
    """How often each target is chosen."""
    random = Random(seed)
    return Counter(name(pool.choose(0.0, random.random, **options)) for _ in range(calls))


def open_breaker(world: World, target: str, until: float = 10.0) -> None:
    world.state(target).breaker.open_until(until, 0.0, "fails")


def load(world: World, **in_flight: int) -> None:
    for target, calls in in_flight.items():
        world.state(target).in_flight = calls


def test_lowest_priority_number_is_chosen_while_it_has_a_candidate() -> None:
    world = World()
    pool = world.pool([Target(id="second", priority=1), Target(id="first", priority=0)])
    assert name(pool.choose(0.0, never)) == "first"
    found = pool.choose(0.0, never, tried={"first"})
    assert (name(found), found.why_not) == ("second", {"first": TRIED})


def test_each_target_that_is_no_candidate_has_its_reason() -> None:
    world = World()
    every = [
        Target(id="busy", max_concurrent=2),
        *targets("tried", "blind", "open", "good"),
        Target(id="low", priority=1),
    ]
    pool = world.pool(every)
    every[0].load.calls = 2
    open_breaker(world, "open")
    found = pool.choose(
        0.0, never, tried=["tried"], fits=lambda target: "vision" if target.id == "blind" else ""
    )
    assert name(found) == "good"
    assert found.why_not == {"busy": BUSY, "tried": TRIED, "blind": "vision", "open": OPEN}
    assert [target.id for target in pool.targets] == [target.id for target in every]


def test_target_with_a_free_place_is_chosen() -> None:
    target = Target(id="a", max_concurrent=2)
    target.load.calls = 1
    assert name(World().pool([target]).choose(0.0, never)) == "a"


def test_weighted_targets_take_their_exact_shares_in_turns() -> None:
    pool = World().pool(targets("a", "b", "c", weights=(5, 1, 1)))
    assert "".join(name(pool.choose(0.0, never)) or "" for _ in range(7)) == "aabacaa"
    assert chosen(pool, 700) == {"a": 500, "b": 100, "c": 100}


def test_workers_begin_their_turns_at_different_targets() -> None:
    firsts = {
        name(World(worker).pool(targets("a", "b", "c", weights=(2, 1, 1))).choose(0.0, never))
        for worker in range(4)
    }
    assert firsts == {"a", "b", "c"}


def test_least_busy_target_for_its_weight_is_chosen_and_ties_are_drawn() -> None:
    world = World()
    pool = world.pool(targets("a", "b", "c", weights=(4, 1, 1)), PoolPolicy(strategy=Strategy.LEAST_BUSY))
    load(world, a=6, b=1, c=2)
    assert chosen(pool, 10) == {"a": 10}
    load(world, a=12, b=1, c=1)
    assert set(chosen(pool, 100)) == {"b", "c"}


def test_order_takes_the_first_that_is_left() -> None:
    pool = World().pool(targets("a", "b", "c"), PoolPolicy(strategy=Strategy.ORDER))
    assert chosen(pool, 5) == {"a": 5}
    assert chosen(pool, 5, tried={"a"}) == {"b": 5}


def test_faster_target_is_preferred_by_latency() -> None:
    world = World()
    pool = world.pool(targets("fast", "slow"), PoolPolicy(strategy=Strategy.LATENCY))
    for target, seconds in (("fast", 0.3), ("slow", 3.0)):
        latency = world.state(target).latency
        latency.arrived(latency.begin(-seconds), 0.0)
    assert chosen(pool, 50) == {"fast": 50}
    load(world, fast=10)
    assert chosen(pool, 50) == {"slow": 50}


def test_target_without_a_sample_counts_as_fast_as_the_fastest() -> None:
    world = World()
    pool = world.pool(targets("known", "new"), PoolPolicy(strategy=Strategy.LATENCY))
    assert set(chosen(pool, 50)) == {"known", "new"}
    latency = world.state("known").latency
    latency.arrived(latency.begin(-0.3), 0.0)
    assert set(chosen(pool, 50)) == {"known", "new"}
    load(world, known=1)
    assert chosen(pool, 50) == {"new": 50}


def test_half_open_target_gets_one_trial_before_the_strategy_chooses() -> None:
    world = World()
    pool = world.pool(targets("a", "b", "c"), PoolPolicy(strategy=Strategy.ORDER))
    open_breaker(world, "c", until=10.0)
    assert name(pool.choose(9.9, never)) == "a"
    found = pool.choose(10.0, never)
    assert name(found) == "c"
    assert found.target is not None
    Call(found.target, world.state("c"), 10.0)
    assert name(pool.choose(10.0, never)) == "a"


def test_open_targets_are_used_when_all_others_are_gone_and_most_are_open() -> None:
    world = World()
    pool = world.pool(targets("a", "b", "c"))
    open_breaker(world, "a")
    open_breaker(world, "b")
    assert chosen(pool, 10) == {"c": 10}
    found = pool.choose(0.0, never, tried={"c"})
    assert name(found) in ("a", "b")
    assert found.why_not == {"c": TRIED}


def test_calls_of_targets_that_are_all_open_are_spread() -> None:
    world = World()
    pool = world.pool(targets("a", "b", "c"))
    for one in "abc":
        open_breaker(world, one)
    assert chosen(pool, 9) == {"a": 3, "b": 3, "c": 3}


def test_lower_level_comes_before_open_targets() -> None:
    world = World()
    pool = world.pool([Target(id="first"), Target(id="second", priority=1)])
    open_breaker(world, "first")
    assert name(pool.choose(0.0, never)) == "second"
    assert name(pool.choose(0.0, never, tried={"second"})) == "first"


def test_wait_without_a_candidate_is_that_of_the_first_trial() -> None:
    world = World()
    pool = world.pool([*targets("a", "b", "c"), *targets("d", "e", priority=1)])
    open_breaker(world, "a", until=7.0)
    open_breaker(world, "d", until=5.0)
    found = pool.choose(1.0, never, tried={"b", "c", "e"})
    assert (name(found), found.state, found.wait) == (None, None, 4.0)
    found = pool.choose(0.0, never, tried={"a", "b", "c", "d", "e"})
    assert found.wait is None


def test_request_that_is_pinned_goes_to_no_other_target_whatever_its_level_and_its_breaker() -> None:
    world = World()
    pool = world.pool([*targets("a", "b", "c"), Target(id="last", priority=1)])
    found = pool.choose(0.0, never, pinned={"last"})
    assert (name(found), found.why_not) == ("last", dict.fromkeys("abc", PINNED))
    open_breaker(world, "b", until=9.0)
    assert name(pool.choose(0.0, never, pinned={"b"})) == "b"
    found = pool.choose(0.0, never, pinned={"b"}, tried={"b"})
    assert (name(found), found.why_not["b"]) == (None, TRIED)


def test_pool_gives_its_breaker_settings_to_its_targets() -> None:
    world = World()
    before = world.pool(targets("a"))
    state = world.state("a")
    after = world.pool(targets("a"), PoolPolicy(breaker=Breaker(consecutive=2)))
    assert world.state("a") is state
    assert state.breaker.settings.consecutive == 2
    assert [name(pool.choose(0.0, never)) for pool in (before, after)] == ["a", "a"]


# Affinity.


@pytest.mark.parametrize("turns", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_conversation_stays_at_one_target_over_its_turns_and_in_every_worker(turns: int) -> None:
    pools = [World(worker).pool(targets(*"abcde"), AFFINITY) for worker in range(2)]
    found = Counter()
    for conversation in range(1000):
        key = f"{conversation}".encode()
        used = {name(pools[turn % 2].choose(0.0, never, affinity=key)) for turn in range(turns)}
        assert len(used) == 1
        found[used.pop()] += 1
    assert all(count == pytest.approx(200, rel=0.25) for count in found.values())


def test_target_that_is_gone_moves_its_own_conversations_only() -> None:
    pool = World().pool(targets(*"abcde"), AFFINITY)
    for number in range(200):
        key = f"{number}".encode()
        before = name(pool.choose(0.0, never, affinity=key))
        after = name(pool.choose(0.0, never, affinity=key, tried={"c"}))
        assert after == before or before == "c"


def test_retry_of_a_conversation_takes_the_next_target_of_its_order() -> None:
    pool = World().pool(targets(*"abcd"), AFFINITY)
    seconds = Counter()
    for number in range(400):
        key = f"{number}".encode()
        first = name(pool.choose(0.0, never, affinity=key))
        seconds[first, name(pool.choose(0.0, never, affinity=key, tried={first or ""}))] += 1
    assert len(seconds) == 12  # the conversations of one target spread over all others


def test_affinity_that_the_policy_does_not_have_is_ignored() -> None:
    pool = World().pool(targets("a", "b"))
    assert chosen(pool, 10, affinity=b"key") == {"a": 5, "b": 5}


@pytest.mark.parametrize("weights", [(1, 1, 1, 1, 1), (5, 1, 1, 1, 1)])
def test_busiest_target_has_at_most_its_share_times_spill_and_one_more(weights: tuple[int, ...]) -> None:
    world = World()
    every = targets(*"abcde", weights=weights)
    pool = world.pool(every, AFFINITY)
    for number in count():
        # Nine of ten calls belong to one conversation.
        key = b"busy" if number % 10 else f"{number}".encode()
        found = pool.choose(0.0, never, affinity=key)
        assert found.state is not None
        found.state.in_flight += 1
        calls = [world.state(target).in_flight for target in every]
        for target, own in zip(every, calls, strict=True):
            assert own <= max(4, 1.25 * sum(calls) * target.weight / sum(weights) + 1)
        if sum(calls) == 300:
            break


def test_few_calls_of_one_conversation_stay_together() -> None:
    world = World()
    pool = world.pool(targets(*"abcde"), AFFINITY)
    found = [pool.choose(0.0, never, affinity=b"key") for _ in range(4)]
    for one in found:
        assert one.state is not None
        one.state.in_flight += 1
    assert len({name(one) for one in found}) == 1
    assert name(pool.choose(0.0, never, affinity=b"key")) != name(found[0])


def test_spill_below_one_still_chooses() -> None:
    world = World()
    pool = world.pool(targets("a", "b"), PoolPolicy(affinity=Affinity(spill=0.0)))
    load(world, a=9, b=9)
    assert name(pool.choose(0.0, never, affinity=b"key")) in ("a", "b")


# Any pool.


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, Pool, set[str], set[str]]:
    """A pool in any state, the targets that were tried, and those that cannot serve."""
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True))
    world = World(draw(st.integers(0, 3)))
    every = [
        Target(
            id=one,
            weight=draw(st.integers(1, 9)),
            priority=draw(st.integers(0, 2)),
            max_concurrent=draw(st.none() | st.integers(1, 3)),
        )
        for one in names
    ]
    for target in every:
        target.load.calls = draw(st.integers(0, 4))
    policy = PoolPolicy(
        strategy=draw(st.sampled_from(Strategy)), affinity=draw(st.none() | st.just(Affinity()))
    )
    pool = world.pool(every, policy)
    for one in names:
        state = world.state(one)
        state.in_flight = draw(st.integers(0, 12))
        for _ in range(draw(st.integers(0, 5))):
            state.breaker.failed(0.0, "fails", is_trial=False)
    return world, pool, draw(st.sets(st.sampled_from(names))), draw(st.sets(st.sampled_from(names)))


@given(worlds(), st.floats(0, 20), st.randoms(use_true_random=False), st.none() | st.binary(max_size=4))
def test_choice_is_always_a_candidate_of_the_best_level_or_there_is_none(
    made: tuple[World, Pool, set[str], set[str]], now: float, random: Random, key: bytes | None
) -> None:
    world, pool, tried, unfit = made
    found = pool.choose(
        now,
        random.random,
        affinity=key,
        tried=tried,
        fits=lambda target: "unfit" if target.id in unfit else "",
    )

    def may(target: Target) -> bool:
        is_busy = target.max_concurrent is not None and target.load.calls >= target.max_concurrent
        return target.id not in tried | unfit and not is_busy

    admitted = [one for one in pool.targets if may(one) and world.state(one).breaker.admits(now)]
    if admitted:
        assert found.target in admitted
        assert found.target.priority == min(one.priority for one in admitted)
    elif found.target is not None:
        assert may(found.target)
        level = [one for one in pool.targets if one.priority == found.target.priority]
        assert 2 * sum(not world.state(one).breaker.admits(now) for one in level) > len(level)
    else:
        assert set(found.why_not) == {one.id for one in pool.targets}
    assert found.target is None or found.target.id not in found.why_not
