"""Ten failed logins a minute and address."""

import pytest

from admin_app.auth.failed_logins import MAX_ADDRESSES, MAX_FAILURES, FailedLogins
from tests.admin_app.world import Api, HandClock, Tenant, World, error_of


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def logins(clock: HandClock) -> FailedLogins:
    return FailedLogins(clock)


def fail(logins: FailedLogins, address: str, times: int = MAX_FAILURES) -> None:
    for _ in range(times):
        logins.add(address)


def test_the_tenth_failure_closes_the_door_for_a_minute(logins: FailedLogins, clock: HandClock) -> None:
    fail(logins, "10.0.0.1", MAX_FAILURES - 1)
    assert logins.retry_after("10.0.0.1") == 0
    fail(logins, "10.0.0.1", 1)
    assert logins.retry_after("10.0.0.1") == 60
    clock.time += 59
    assert logins.retry_after("10.0.0.1") == 1
    clock.time += 1
    assert logins.retry_after("10.0.0.1") == 0


def test_addresses_do_not_share_a_count(logins: FailedLogins) -> None:
    fail(logins, "10.0.0.1")
    assert logins.retry_after("10.0.0.2") == 0
    assert logins.retry_after(None) == 0


@pytest.mark.parametrize(
    ("one", "other"), [("2001:db8::1", "2001:db8::2:3"), ("10.0.0.1", "::ffff:10.0.0.1"), ("", None)]
)
def test_logins_of_one_caller_are_one_count(logins: FailedLogins, one: str, other: str | None) -> None:
    fail(logins, one)
    assert logins.retry_after(other) > 0


def test_memory_is_bounded(logins: FailedLogins) -> None:
    fail(logins, "10.0.0.1")
    for i in range(MAX_ADDRESSES):
        logins.add(f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}")
    assert len(logins._failures) == MAX_ADDRESSES
    assert logins.retry_after("10.0.0.1") == 0


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
