"""Attempts of a target with several keys: which key follows a failure, and which keys are spared."""

from collections import Counter

from shared.upstreams.attempt import Attempt
from shared.upstreams.attempts import NO_KEY
from shared.upstreams.outcome import (
    KeyEffect,
)
from shared.upstreams.target import Target
from tests.upstreams.pools import World
from tests.upstreams.requests import (
    AUTH,
    BROKEN,
    CLIENT,
    NO_MONEY,
    PATIENT,
    Requests,
    limited,
    text,
    with_keys,
)


def test_rejected_key_is_followed_by_the_next_key_of_the_same_target() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1", "k2"), Target(id="b"), world=world)
    found = requests.run(AUTH, AUTH)
    assert sorted(found[:2]) == ["a/k1", "a/k2"]
    assert found[2] == "b"


def test_next_request_goes_straight_to_the_key_that_works_and_after_ten_minutes_one_tries_the_other() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1", "k2"), world=world)
    attempts = requests.new()
    step = attempts.first(0.0)
    assert isinstance(step, Attempt)
    assert step.key is not None
    rejected = step.key.id
    works = "k2" if rejected == "k1" else "k1"
    assert text(attempts.after(AUTH, 0.0)) == f"a/{works}"
    attempts.served(0.1)
    attempts.end()
    assert [(change.key, change.effect, change.until) for change in attempts.changes] == [
        (rejected, KeyEffect.REJECTED, 600.0)
    ]
    assert {text(requests.new(b"%d" % number).first(599.0)) for number in range(20)} == {f"a/{works}"}
    started = [requests.new(b"%d" % number) for number in range(20)]
    assert Counter(text(one.first(600.0)) for one in started)[f"a/{rejected}"] == 1
    for one in started:
        one.served(600.1)
    assert world.key_state(rejected).rejected_until is None


def test_failure_of_the_target_leaves_its_key_alone() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1"), world=world)
    assert requests.run(BROKEN) == ["a/k1", "a/k1 +0.025"]
    assert world.key_state("k1").wait("m", 0.0) == 0


def test_request_without_a_key_that_works_gets_an_error_of_the_gateway() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1"), world=world)
    assert requests.run(AUTH) == ["a/k1", "end provider_auth"]
    assert requests.run() == ["end no_provider_key 600"]


def test_rate_limit_cools_the_key_for_its_model_and_the_next_key_follows() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1", "k2"), world=world)
    attempts = requests.new()
    attempts.first(0.0)
    assert isinstance(attempts.after(limited(30.0), 0.0), Attempt)
    (change,) = attempts.changes
    assert (change.effect, change.until, change.model) == (KeyEffect.RATE_LIMIT, 30.0, "m")


def test_ten_calls_that_find_the_limit_together_are_told_once() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1"), world=world)
    started = [requests.new() for _ in range(10)]
    for attempts in started:
        attempts.first(0.0)
    for attempts in started:
        attempts.after(limited(30.0), 0.1)
    assert [len(attempts.changes) for attempts in started] == [1] + [0] * 9


def test_all_keys_cooling_is_a_429_with_the_wait_and_no_call() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1", "k2"), world=world)
    world.key_state("k1").cool_until("m", 30.0, 0.0)
    world.key_state("k2").cool_until("", 40.0, 0.0)
    attempts = requests.new()
    assert text(attempts.first(10.0)) == "end rate_limit_exceeded 20"
    assert (attempts.number, attempts.trace) == (0, [])
    assert attempts.why_not == {"a": NO_KEY}
    world.key_state("k1").cool_until("m", 100.0, 0.0)
    world.key_state("k2").cool_until("", 100.0, 0.0)
    assert requests.run(now=10.0) == ["end no_provider_key 90"]


def test_target_without_any_key_is_a_503() -> None:
    world = World()
    assert Requests(with_keys(world, "a"), world=world).run() == ["end no_provider_key"]


def test_only_key_is_used_again_after_its_wait() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1"), world=world)
    assert requests.run(limited(3.0)) == ["a/k1", "a/k1 +3"]
    world = World()
    assert Requests(with_keys(world, "a", "k1"), world=world).run(limited()) == ["a/k1", "a/k1 +1"]
    world = World()
    assert Requests(with_keys(world, "a", "k1"), world=world).run(NO_MONEY) == ["a/k1", "end"]


def test_failed_fallback_cools_its_key_too() -> None:
    world = World()
    requests = Requests(
        with_keys(world, "a", "k1"), with_keys(world, "b", "k2", priority=1), world=world, policy=PATIENT
    )
    assert requests.run(limited(50.0), limited(40.0)) == ["a/k1", "b/k2", "end"]
    assert [world.key_state(key).wait("m", 0.0) for key in ("k1", "k2")] == [50.0, 40.0]


def test_call_that_the_client_got_wrong_proves_the_key() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1"), world=world)
    world.key_state("k1").reject_until(600.0)
    assert requests.run(CLIENT, now=600.0) == ["a/k1", "end"]
    assert world.key_state("k1").rejected_until is None


def test_trial_of_a_key_whose_client_leaves_is_free_again() -> None:
    world = World()
    requests = Requests(with_keys(world, "a", "k1"), world=world)
    world.key_state("k1").reject_until(600.0)
    for _ in range(2):
        attempts = requests.new()
        assert text(attempts.first(600.0)) == "a/k1"
        assert requests.run(now=600.0) == ["end rate_limit_exceeded 1"]
        attempts.end()
        attempts.end()
