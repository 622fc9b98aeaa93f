"""Which key of a provider a call takes, and how long a key that failed is not used."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.providers import ProviderKey
from shared.upstreams.keys import COOLING, DISABLED, EXPIRED, MODELS, REJECTED, KeyRing, KeyState
from shared.upstreams.outcome import KeyEffect
from tests.upstreams.pools import SECRET, World, never

MODEL = "gpt-5.6"


def key(id: str, weight: int = 1) -> ProviderKey:
    return ProviderKey(id=id, name=id, weight=weight)


def fail(
    state: KeyState, effect: KeyEffect, now: float, wait: float | None = None, model: str = MODEL
) -> float | None:
    return state.failed(effect, model, now, why="no", wait=wait, is_trial=state.begin())


def first(ring: KeyRing, now: float = 0.0, model: str = MODEL) -> str | None:
    """The key of a call of one conversation."""
    found = ring.choose(model, now, never, affinity=b"conversation")
    return None if found.key is None else found.key.id


def test_keys_without_affinity_are_drawn_by_weight() -> None:
    ring, random = World().ring(key("a", 3), key("b", 1)), Random(1)
    found = Counter(
        choice.key.id for _ in range(4000) if (choice := ring.choose(MODEL, 0.0, random.random)).key
    )
    assert found["a"] == pytest.approx(3000, rel=0.05)


def test_conversation_keeps_its_key() -> None:
    ring = World().ring(key("a", 3), key("b", 1))
    found = Counter()
    for number in range(1000):
        used = {ring.choose(MODEL, 0.0, never, affinity=b"%d" % number).key for _ in range(3)}
        assert len(used) == 1
        found[used.pop()] += 1
    assert found[key("a", 3)] == pytest.approx(750, rel=0.1)


def test_each_key_that_cannot_be_used_has_its_reason() -> None:
    world = World()
    ring = world.ring(
        replace(key("disabled"), enabled=False),
        replace(key("expired"), expires_at=5.0),
        replace(key("models"), models=("claude-*", "gpt-4*")),
        key("cooling"),
        key("rejected"),
        replace(key("good"), expires_at=5.5, models=("gpt-*",)),
    )
    world.key_state("cooling").cool_until(MODEL, 10.0, 0.0)
    world.key_state("rejected").reject_until(10.0)
    found = ring.choose(MODEL, 5.0, never, affinity=b"")
    assert found.key is not None
    assert found.key.id == "good"
    assert found.why_not == {
        "disabled": DISABLED,
        "expired": EXPIRED,
        "models": MODELS,
        "cooling": COOLING,
        "rejected": REJECTED,
    }
    assert ring.has_key(MODEL, 5.0)


def test_expiry_is_told_by_the_time_of_day() -> None:
    ring = KeyRing(
        [replace(key("a"), expires_at=1_000_005.0)], World().key_state, secret=SECRET, epoch=1_000_000.0
    )
    assert ring.has_key(MODEL, 4.9)
    assert not ring.has_key(MODEL, 5.0)


def test_no_usable_key_says_the_shortest_wait() -> None:
    world = World()
    ring = world.ring("a", "b", replace(key("c"), enabled=False))
    world.key_state("a").cool_until(MODEL, 30.0, 0.0)
    world.key_state("b").cool_until(MODEL, 12.0, 0.0)
    found = ring.choose(MODEL, 2.0, never)
    assert (found.key, found.state, found.wait) == (None, None, 10.0)
    assert World().ring(replace(key("c"), enabled=False)).choose(MODEL, 0.0, never).wait is None
    assert not World().ring().has_key(MODEL, 0.0)


# Rejected keys.


def test_rejected_key_is_not_used_for_ten_minutes_and_then_by_one_trial() -> None:
    world = World()
    ring = world.ring("a", "b")
    rejected = first(ring) or ""
    state = world.key_state(rejected)
    assert fail(state, KeyEffect.REJECTED, 0.0) == 600.0
    assert state.reason == "no"
    assert {first(ring, now) for now in (0.0, 300.0, 599.9)} == {"ab".replace(rejected, "")}
    assert first(ring, 600.0) == rejected
    assert state.begin()
    assert first(ring, 600.0) != rejected
    assert state.wait(MODEL, 600.0) == 1.0
    assert not state.begin()


def test_trial_of_a_rejected_key_decides() -> None:
    state = KeyState()
    state.reject_until(600.0)
    state.abandoned(is_trial=state.begin())
    assert state.wait(MODEL, 600.0) == 0
    assert fail(state, KeyEffect.REJECTED, 600.0) == 1200.0
    state.succeeded(MODEL, 1200.0, is_trial=state.begin())
    assert state.rejected_until is None
    assert not state.begin()
    state.abandoned(is_trial=False)
    assert state.wait(MODEL, 1200.0) == 0


def test_workers_begin_their_trials_at_different_times() -> None:
    state = KeyState(trial_delay=0.5)
    state.reject_until(600.0)
    assert state.wait(MODEL, 600.0) == 0.5


# Cooling keys.


def test_later_end_counts_whatever_comes_first() -> None:
    state = KeyState()
    assert fail(state, KeyEffect.RATE_LIMIT, 0.0, wait=30.0) == 30.0
    assert fail(state, KeyEffect.RATE_LIMIT, 1.0) is None
    assert fail(state, KeyEffect.RATE_LIMIT, 1.0, wait=5.0) is None
    assert state.wait(MODEL, 1.0) == 29.0
    assert fail(state, KeyEffect.RATE_LIMIT, 2.0, wait=60.0) == 62.0


@pytest.mark.parametrize("wait", [None, 0.0, 30.0])
def test_ten_calls_that_find_the_limit_together_are_one_record(wait: float | None) -> None:
    state = KeyState()
    records = [fail(state, KeyEffect.RATE_LIMIT, number / 100, wait) for number in range(10)]
    assert records == [wait or 1.0, *[None] * 9]


def test_waits_that_are_not_told_double_to_a_minute_until_a_call_succeeds() -> None:
    state, now, found = KeyState(), 0.0, []
    for _ in range(9):
        until = fail(state, KeyEffect.RATE_LIMIT, now)
        assert until is not None
        found.append(until - now)
        now = until
    assert found == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    state.succeeded(MODEL, now - 1, is_trial=False)  # a call that began before
    assert state.wait(MODEL, now - 1) == 1.0
    state.succeeded(MODEL, now, is_trial=False)
    assert fail(state, KeyEffect.RATE_LIMIT, now) == now + 1


def test_rate_limit_cools_the_key_for_its_model_and_no_money_for_all() -> None:
    state = KeyState()
    fail(state, KeyEffect.RATE_LIMIT, 0.0, wait=30.0)
    assert state.wait("another", 0.0) == 0
    assert fail(state, KeyEffect.QUOTA, 0.0, wait=1.0) == 600.0
    assert [state.wait(model, 0.0) for model in (MODEL, "another")] == [600.0, 600.0]


@pytest.mark.parametrize("effect", [KeyEffect.RATE_LIMIT, KeyEffect.QUOTA, KeyEffect.REJECTED])
def test_key_is_good_until_a_call_fails_by_it(effect: KeyEffect) -> None:
    state = KeyState()
    assert state.is_good
    fail(state, effect, 0.0)
    assert not state.is_good


def test_state_of_models_that_clients_invent_stays_small() -> None:
    state = KeyState()
    for number in range(500):
        state.cool_until(f"invented {number}", 1000.0, 0.0)
    assert state.wait("invented 499", 0.0) == 1000.0
    assert state.wait("invented 0", 0.0) == 0
    state.cool_until("after they cooled", 3000.0, 2000.0)
    assert len(state.cooling) == 1


#: Seconds that floating point adds exactly.
SECONDS = st.integers(0, 400).map(lambda quarters: quarters / 4)
EVENTS = st.tuples(SECONDS, st.sampled_from([*KeyEffect, None]), st.none() | SECONDS)


@given(st.lists(EVENTS, max_size=40))
def test_key_is_never_usable_before_any_wait_that_it_was_told(
    events: list[tuple[float, KeyEffect | None, float | None]],
) -> None:
    state, now, until = KeyState(), 0.0, 0.0
    for pause, effect, wait in events:
        now += pause
        if state.wait(MODEL, now) > 0:
            until = max(until, now)
        if effect is None:
            if state.wait(MODEL, now) == 0:
                state.succeeded(MODEL, now, is_trial=state.begin())
            continue
        fail(state, effect, now, wait)
        told = {KeyEffect.REJECTED: 600.0, KeyEffect.QUOTA: 600.0, KeyEffect.RATE_LIMIT: wait or 1.0}[effect]
        if effect is not KeyEffect.RATE_LIMIT or wait:
            until = max(until, now + told)
        assert state.wait(MODEL, now) >= until - now
        assert state.wait(MODEL, now) <= 600.0
