"""Ten failed logins per minute and address, over all processes."""

from collections.abc import Iterator

import pytest
import redis

from admin_app.auth.attempts import CountAttempt, counting_in
from admin_app.auth.failed_logins import MAX_ADDRESSES, MAX_FAILURES, FailedLogins
from shared.config_store import layout
from shared.core.errors import StoreDown
from tests.admin_app.world import Api, HandClock, Tenant, World, error_of


def away(*_: object) -> float:
    raise StoreDown("There is no Redis.")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def logins(clock: HandClock) -> FailedLogins:
    return FailedLogins(clock, away)


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.delete(*map(layout.login_key, ("10.0.0.1", "10.0.0.2")))
        yield client


@pytest.fixture
def counting(valkey_socket: str, client: redis.Redis) -> CountAttempt:
    return counting_in({"unix_socket_path": valkey_socket})


def fail(logins: FailedLogins, address: str, times: int = MAX_FAILURES) -> None:
    for _ in range(times):
        logins.attempt(address, failed=True)


def wait(logins: FailedLogins, address: str | None) -> float:
    """Seconds until this address may log in."""
    return logins.attempt(address, failed=False)


def test_the_tenth_failure_closes_the_door_for_a_minute(logins: FailedLogins, clock: HandClock) -> None:
    fail(logins, "10.0.0.1", MAX_FAILURES - 1)
    assert wait(logins, "10.0.0.1") == 0
    fail(logins, "10.0.0.1", 1)
    assert wait(logins, "10.0.0.1") == 60
    clock.time += 59
    assert logins.attempt("10.0.0.1", failed=True) == 1
    clock.time += 1
    assert wait(logins, "10.0.0.1") == 0


def test_failures_are_counted_over_all_processes(
    clock: HandClock, counting: CountAttempt, client: redis.Redis
) -> None:
    processes = [FailedLogins(clock, counting) for _ in range(4)]
    results = [one.attempt("10.0.0.1", failed=True) for one in processes * 3]
    assert results[:MAX_FAILURES] == [0] * MAX_FAILURES
    assert all(59 < one <= 60 for one in results[MAX_FAILURES:])
    assert 59 < wait(processes[0], "10.0.0.1") <= 60
    assert wait(processes[0], "10.0.0.2") == 0
    assert 59_000 < client.pttl(layout.login_key("10.0.0.1")) <= 60_000
    assert client.llen(layout.login_key("10.0.0.1")) == MAX_FAILURES


def test_failure_of_over_a_minute_ago_counts_no_more(
    clock: HandClock, counting: CountAttempt, client: redis.Redis
) -> None:
    seconds, microseconds = client.time()
    old = seconds * 1000 + microseconds // 1000 - 60_001
    client.rpush(layout.login_key("10.0.0.1"), *[old + 30_000] * (MAX_FAILURES - 1), old)
    logins = FailedLogins(clock, counting)
    assert logins.attempt("10.0.0.1", failed=True) == 0
    assert 29 < wait(logins, "10.0.0.1") < 30.1


def test_clock_of_redis_that_was_set_back_locks_nobody_out_for_longer(
    clock: HandClock, counting: CountAttempt, client: redis.Redis
) -> None:
    later = (client.time()[0] + 3600) * 1000
    client.rpush(layout.login_key("10.0.0.1"), *[later] * MAX_FAILURES)
    assert wait(FailedLogins(clock, counting), "10.0.0.1") == 60


def test_processes_without_redis_have_a_share_of_the_bound_each(clock: HandClock) -> None:
    """So all of a machine together allow no more than with Redis."""
    processes = [FailedLogins(clock, away, workers=4) for _ in range(4)]
    admitted = [not one.attempt("10.0.0.1", failed=True) for one in processes * 10]
    assert sum(admitted) == 4 * (MAX_FAILURES // 4)
    many = FailedLogins(clock, away, workers=64)
    assert [many.attempt("10.0.0.1", failed=True) for _ in range(2)] == [0, 60]


def test_failures_before_an_outage_of_redis_count_in_it(clock: HandClock) -> None:
    answers = iter([0.0, 0.0])

    def count(*_: object) -> float:
        for one in answers:
            return one
        raise StoreDown("There is no Redis.")

    logins = FailedLogins(clock, count, workers=5)
    fail(logins, "10.0.0.1", 2)
    assert wait(logins, "10.0.0.1") == 60


def test_addresses_do_not_share_a_count(logins: FailedLogins) -> None:
    fail(logins, "10.0.0.1")
    assert wait(logins, "10.0.0.2") == 0
    assert wait(logins, None) == 0


@pytest.mark.parametrize(
    ("one", "other"), [("2001:db8::1", "2001:db8::2:3"), ("10.0.0.1", "::ffff:10.0.0.1"), ("", None)]
)
def test_logins_of_one_caller_are_one_count(logins: FailedLogins, one: str, other: str | None) -> None:
    fail(logins, one)
    assert wait(logins, other) > 0


def test_memory_is_bounded(logins: FailedLogins) -> None:
    fail(logins, "10.0.0.1")
    for i in range(MAX_ADDRESSES):
        logins.attempt(f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}", failed=True)
    assert len(logins._failures) == MAX_ADDRESSES
    assert wait(logins, "10.0.0.1") == 0


def test_guessing_gets_429_and_the_right_token_too(api: Api, world: World) -> None:
    for _ in range(MAX_FAILURES):
        assert api.get("/tenants", key="guess").status_code == 401
    rejected = api.get("/tenants", key="guess")
    assert error_of(rejected) == (429, "too_many_failed_logins")
    assert rejected.headers["Retry-After"] == "60"
    assert api.get("/tenants").status_code == 429
    assert api.get("/tenants", environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 200
    world.clock.time += 60
    assert api.get("/tenants").status_code == 200


def test_a_tenants_key_is_never_locked_out(api: Api, tenant: Tenant) -> None:
    for _ in range(MAX_FAILURES + 1):
        api.get("/tenants", key="guess")
    assert api.get(tenant.url, key=tenant.key).status_code == 200


def test_known_keys_that_may_not_are_no_failed_logins(api: Api, tenant: Tenant) -> None:
    for _ in range(MAX_FAILURES + 1):
        assert api.get("/tenants", key=tenant.key).status_code == 403
    assert api.get("/tenants").status_code == 200
