"""The attempts of one request: what follows each failure, what is told to others, and when it ends."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.pools import AI_RETRY, Breaker, PoolPolicy, Retry, RetryOn
from shared.upstreams.attempt import Attempt, Ended
from shared.upstreams.attempts import Attempts
from shared.upstreams.choose import OPEN, Pool
from shared.upstreams.keys import KeyRing
from shared.upstreams.outcome import (
    Fault,
    Outcome,
    outcome_of_response,
    outcome_of_stream,
)
from shared.upstreams.retry_budget import RetryBudget
from shared.upstreams.target import Target
from tests.upstreams.pools import World, never, targets
from tests.upstreams.requests import (
    AUTH,
    BROKEN,
    CLIENT,
    CONNECT,
    EMPTY,
    FULL,
    LATE,
    NO_MONEY,
    PATIENT,
    RESET,
    Requests,
    limited,
    text,
    with_keys,
)

# Other targets.


@pytest.mark.parametrize(
    ("outcome", "follows"),
    [
        *[(outcome, "b") for outcome in (CONNECT, BROKEN, FULL, EMPTY, limited(), NO_MONEY)],
        *[(outcome, "b") for outcome in (RESET, LATE)],
        (CLIENT, "end"),
        (outcome_of_response(404), "end"),
        (outcome_of_response(501), "end"),
        (outcome_of_stream({"error": {"type": "invalid_request_error"}}), "end"),
    ],
)
def test_failure_that_is_not_the_client_s_is_followed_by_another_target(
    outcome: Outcome, follows: str
) -> None:
    assert Requests(*targets("a", "b")).run(outcome) == ["a", follows]


def test_failure_that_the_policy_does_not_name_ends() -> None:
    policy = PoolPolicy(retry=Retry(on=(RetryOn.CONNECT,)))
    assert Requests(*targets("a", "b"), policy=policy).run(CONNECT) == ["a", "b"]
    for outcome in (RESET, LATE, BROKEN, FULL, EMPTY, limited()):
        assert Requests(*targets("a", "b"), policy=policy).run(outcome) == ["a", "end"]


def test_attempts_end_at_their_number_and_the_last_failure_is_the_response() -> None:
    assert Requests(*targets(*"abcde")).run(BROKEN, FULL, CONNECT) == ["a", "b", "c", "end"]


def test_lower_level_is_reached_when_the_first_has_failed() -> None:
    every = [Target(id="first"), Target(id="second", priority=1)]
    assert Requests(*every).run(FULL, BROKEN) == ["first", "second", "second +0.025"]


def test_open_targets_are_left_out() -> None:
    requests = Requests(*targets("a", "b", "c"))
    requests.world.state("b").breaker.open_until(10.0, 0.0, "fails")
    assert requests.run(CONNECT) == ["a", "c"]


def test_only_target_is_called_although_its_breaker_is_open() -> None:
    requests = Requests(*targets("a"))
    requests.world.state("a").breaker.open_until(10.0, 0.0, "fails")
    assert requests.run() == ["a"]


def test_retry_of_a_conversation_follows_its_order_and_a_stored_response_its_target() -> None:
    requests = Requests(*targets("a", "b", "c"))
    order = []
    for _ in range(2):
        attempts = requests.new(affinity=b"conversation")
        order.append(
            [
                text(attempts.first(0.0)),
                text(attempts.after(CONNECT, 0.0)),
                text(attempts.after(CONNECT, 0.0)),
            ]
        )
        attempts.end()
    assert order[0] == order[1]
    assert sorted(order[0]) == ["a", "b", "c"]
    assert {text(requests.new(pinned="c").first(0.0)) for _ in range(5)} == {"c"}


def test_request_that_is_pinned_is_tried_again_at_its_target_with_its_key_only() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1", "k2"), *targets("b"), world=world, policy=PATIENT)
    attempts = requests.new(pinned="a", key="k2")
    steps = [attempts.first(0.0), attempts.after(CONNECT, 0.0), attempts.after(limited(2.0), 0.0)]
    assert [text(step) for step in steps] == ["a/k2", "a/k2 +0.025", "a/k2 +2"]
    assert attempts.after(AUTH, 0.0) == Ended("provider_auth")
    assert requests.new(pinned="a", key="k2").first(0.0) == Ended("no_provider_key", 600.0)
    assert text(requests.new(pinned="a", key="k1").first(0.0)) == "a/k1"


# The same target.


def test_only_target_is_tried_again_after_a_backoff_that_doubles_up_to_the_longest_wait() -> None:
    requests = Requests(*targets("a"), policy=PATIENT)
    assert requests.run(CONNECT, BROKEN, EMPTY, FULL) == ["a", "a +0.025", "a +0.05", "a +0.1", "a +0.2"]
    policy = replace(PATIENT, retry=replace(PATIENT.retry, within=0.1))
    requests = Requests(*targets("a"), policy=policy)
    assert requests.run(CONNECT, BROKEN, EMPTY, FULL) == ["a", "a +0.025", "a +0.05", "a +0.05", "a +0.05"]


@pytest.mark.parametrize("outcome", [RESET, LATE])
def test_request_that_may_have_been_served_is_never_sent_to_the_same_target_again(outcome: Outcome) -> None:
    assert Requests(*targets("a"), policy=PATIENT).run(outcome) == ["a", "end"]


def test_only_target_whose_breaker_opened_is_not_tried_again() -> None:
    policy = PoolPolicy(retry=AI_RETRY, breaker=Breaker(consecutive=1))
    assert Requests(*targets("a"), policy=policy).run(BROKEN) == ["a", "end"]


def test_wait_that_the_last_target_asked_for_is_kept_once() -> None:
    asked = outcome_of_response(503, b"", 5.0)
    assert Requests(*targets("a"), policy=PATIENT).run(asked, asked) == ["a", "a +5", "end"]


def test_shortest_wait_of_all_targets_is_kept() -> None:
    slow, quick = outcome_of_response(503, b"", 20.0), outcome_of_response(529, b"", 5.0)
    found = Requests(*targets("a", "b", "c"), policy=PATIENT).run(slow, quick, slow, BROKEN)
    assert found == ["a", "b", "c", "b +5", "b +0.025"]


def test_wait_for_a_target_whose_breaker_opened_is_not_kept() -> None:
    policy = PoolPolicy(retry=AI_RETRY, breaker=Breaker(consecutive=1))
    assert Requests(*targets("a"), policy=policy).run(outcome_of_response(503, b"", 5.0)) == ["a", "end"]


def test_wait_beyond_the_policy_ends() -> None:
    asked = outcome_of_response(503, b"", 31.0)
    assert Requests(*targets("a"), policy=PATIENT).run(asked) == ["a", "end"]


def test_rate_limit_without_keys_and_without_a_wait_ends() -> None:
    assert Requests(*targets("a"), policy=PATIENT).run(limited()) == ["a", "end"]
    assert Requests(*targets("a"), policy=PATIENT).run(limited(2.0)) == ["a", "a +2"]


def test_delayed_attempt_keeps_its_place_and_is_no_slow_call() -> None:
    requests = Requests(*targets("a"), policy=PATIENT)
    attempts = requests.new()
    attempts.first(0.0)
    assert text(attempts.after(outcome_of_response(503, b"", 5.0), 0.0)) == "a +5"
    state = requests.world.state("a")
    state.latency.restart()
    assert state.in_flight == 1
    assert state.latency.estimate(4.0) is None
    attempts.served(5.5)
    assert state.latency.estimate(5.5) == pytest.approx(0.5)
    attempts.end()
    assert state.in_flight == 0


# Nobody.


def test_no_target_is_a_503_that_says_when_the_first_is_tried_again() -> None:
    requests = Requests(*targets("a", "b"))
    requests.world.state("a").breaker.open_until(7.0, 0.0, "fails")
    requests.world.state("b").in_flight = 0
    attempts = Attempts(requests.pool, requests.budget, never)
    attempts.fits = lambda target: "vision" if target.id == "b" else ""
    assert text(attempts.first(1.0)) == "end no_upstream 6"
    assert attempts.why_not == {"a": OPEN, "b": "vision"}


def test_open_target_beside_one_without_a_key_says_when_it_is_tried_again() -> None:
    world = World()
    requests = Requests(Target(id="a"), with_keys(world, "b", "k1"), world=world)
    world.state("a").breaker.open_until(7.0, 0.0, "fails")
    world.key_state("k1").cool_until("m", 30.0, 0.0)
    assert requests.run(now=1.0) == ["end no_upstream 6"]


def test_request_that_no_target_fits_is_a_503() -> None:
    requests = Requests(*targets("a"))
    attempts = Attempts(requests.pool, requests.budget, never)
    attempts.fits = lambda target: "vision"
    assert text(attempts.first(0.0)) == "end no_upstream"
    attempts.end()


def test_nothing_follows_a_response_that_the_client_has_begun_to_read() -> None:
    requests = Requests(*targets("a", "b"))
    attempts = requests.new()
    attempts.first(0.0)
    attempts.served(0.5)
    assert text(attempts.after(RESET, 1.0)) == "end"
    assert len(attempts.trace) == 1
    assert requests.world.state("a").in_flight == 1
    attempts.end()
    assert requests.world.state("a").in_flight == 0


def test_driver_that_reports_without_an_attempt_is_wrong() -> None:
    attempts = Requests(*targets("a")).new()
    with pytest.raises(RuntimeError):
        attempts.served(0.0)
    with pytest.raises(RuntimeError):
        attempts.served(0.0)


# The reports to others.


def test_breaker_that_opens_is_told() -> None:
    requests = Requests(*targets("a", "b"), policy=PoolPolicy(retry=AI_RETRY, breaker=Breaker(consecutive=1)))
    attempts = requests.new()
    attempts.first(0.0)
    attempts.after(BROKEN, 1.0)
    (change,) = attempts.changes
    assert (change.target, change.key, change.until, change.why) == ("a", None, 11.0, "status 500")


def test_trace_has_every_attempt_with_its_result_and_time() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1"), Target(id="b", priority=1), world=world)
    attempts = requests.new()
    attempts.first(1.0)
    attempts.after(limited(), 1.25)
    attempts.served(1.75, status=201)
    attempts.end()
    found = [(one.target, one.key, one.status, one.why, one.ms) for one in attempts.trace]
    assert found == [("a", "k1", 429, "status 429", 250), ("b", None, 201, "", 500)]
    assert attempts.number == 2


# Bounds.


def test_retries_of_a_storm_stay_within_the_budget() -> None:
    requests = Requests(*targets("a", "b", "c"), policy=PATIENT)
    calls, now = 0, 0.0
    for number in range(2000):  # 200 a second for 10 seconds, all targets down
        now = number / 200
        attempts = requests.new()
        step = attempts.first(now)
        while isinstance(step, Attempt):
            step = attempts.after(BROKEN, now)
        calls += attempts.number
        attempts.end()
    assert 2000 * 1.15 <= calls <= 2000 * 1.2 + 10


def test_dead_target_among_three_costs_no_client_an_error_and_few_calls() -> None:
    requests = Requests(*targets("a", "b", "c"))
    calls: Counter[str] = Counter()
    recovered_at = None
    for number in range(2500):  # 100 a second; c is dead for 9 seconds
        now = number / 100
        attempts = requests.new()
        step = attempts.first(now)
        while isinstance(step, Attempt) and step.target.id == "c" and now < 9:
            calls["dead"] += 1
            step = attempts.after(CONNECT, now)
        assert isinstance(step, Attempt)
        if step.target.id == "c":
            recovered_at = recovered_at or now
        attempts.served(now)
        attempts.end()
    assert calls["dead"] <= 5
    assert recovered_at is not None
    assert recovered_at <= 9 + 12


OUTCOMES = [CONNECT, RESET, LATE, AUTH, BROKEN, FULL, CLIENT, EMPTY, NO_MONEY, limited(), limited(3.0), None]


@st.composite
def plans(draw: st.DrawFn) -> tuple[World, Pool]:
    world = World()
    rings: Sequence[KeyRing | None] = [None, world.ring("k1"), world.ring("k2", "k3")]
    every = [
        Target(id=name, model="m", priority=draw(st.integers(0, 1)), keys=draw(st.sampled_from(rings)))
        for name in draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True))
    ]
    retry = replace(AI_RETRY, attempts=draw(st.integers(1, 5)))
    return world, world.pool(every, PoolPolicy(retry=retry, breaker=Breaker(consecutive=2)))


@given(
    plans(), st.lists(st.lists(st.sampled_from(OUTCOMES), min_size=6, max_size=6), max_size=6), st.randoms()
)
def test_any_course_of_requests_keeps_its_bounds(
    plan: tuple[World, Pool], requests: list[list[Outcome | None]], random: Random
) -> None:
    world, pool = plan
    budget, now = RetryBudget(), 0.0
    for outcomes in requests:
        attempts = Attempts(pool, budget, random.random)
        step, before, calls = attempts.first(now), None, []
        for outcome in outcomes:
            if isinstance(step, Ended):
                break
            calls.append(step.target.id)
            assert 0 <= step.delay <= pool.policy.retry.within
            assert step.key is None or world.key_state(step.key.id).wait("m", now + step.delay) <= 1.0
            if before is not None and before.kind in (RetryOn.RESET, RetryOn.TIMEOUT):
                assert step.target.id not in calls[:-1]
            now += step.delay + 0.1
            if outcome is None:
                attempts.served(now)
                break
            step, before = attempts.after(outcome, now), outcome
            assert outcome.fault is not Fault.CLIENT or isinstance(step, Ended)
        assert len(calls) <= pool.policy.retry.attempts
        assert attempts.number == len(calls) or isinstance(step, Attempt)
        attempts.end()
        assert sum(world.state(target).in_flight for target in pool.targets) == 0


@pytest.mark.parametrize(("wait", "seconds"), [(None, None), (0.0, 1), (3.2, 4), (5.0, 5)])
def test_the_time_to_come_back_is_in_whole_seconds_and_at_least_one(
    wait: float | None, seconds: int | None
) -> None:
    assert Ended("no_upstream", wait).retry_after == seconds


def test_nothing_follows_before_the_first_attempt() -> None:
    attempts = Requests(*targets("a")).new()
    with pytest.raises(RuntimeError, match="No attempt is under way"):
        attempts.served(0.0)
    with pytest.raises(RuntimeError, match="No attempt is under way"):
        attempts.after(CONNECT, 0.0)


def test_single_target_with_a_maximum_of_calls_is_called_and_then_full() -> None:
    requests = Requests(Target(id="a", max_concurrent=1))
    assert text(requests.new().first(0.0)) == "a"
