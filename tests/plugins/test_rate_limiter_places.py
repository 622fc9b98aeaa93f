"""Exchanges at a time, and what holds when Redis does not answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from shared.core.errors import StoreDown
from shared.limits.port import LimitUnknown
from shared.limits.values import Decision, Limit, LimitState
from shared.pipeline.plugin import Continue
from shared.testing.memory_limiter import MemoryLimiter
from tests.plugins.gate import Gate, Hands, rejected


def slots(limiter: Any, number: int = 2, **more: Any) -> Gate:
    return Gate(limiter, [("rule", {"limits": {"streams": {"limit": number, "unit": "concurrent", **more}}})])


def test_a_third_at_a_time_is_rejected_until_one_ends(limiter: MemoryLimiter) -> None:
    gate = slots(limiter)
    first, second, third = gate.ask(), gate.ask(), gate.ask()
    assert [type(verdict) for verdict in (first, second)] == [Continue] * 2
    rejection = rejected(third)
    assert (rejection.status, rejection.code) == (429, "too_many_concurrent_requests")
    assert dict(rejection.headers) == {"Retry-After": "1", "retry-after-ms": "1000"}
    message = "Too many concurrent requests for rule limit 'streams': 2 at a time. Try again in 1s."
    assert rejection.message == message
    gate.end(third)
    assert gate.admitted(1) == 0
    gate.end(first)
    assert gate.admitted(2) == 1


def test_exchanges_with_one_request_id_hold_a_place_each(limiter: MemoryLimiter) -> None:
    """The id of an exchange is the client's choice."""
    gate = slots(limiter)
    assert gate.exchange().id == gate.exchange().id
    assert gate.admitted(5) == 2


def test_an_exchange_that_ends_twice_gives_back_one_place(limiter: MemoryLimiter) -> None:
    gate = slots(limiter)
    first, _ = gate.ask(), gate.ask()
    gate.end(first)
    gate.end(first)
    assert gate.admitted(5) == 1


def test_places_can_be_counted_by_address_key_path_and_model(limiter: MemoryLimiter) -> None:
    gate = slots(limiter, 1, per=["key", "model"])
    asked = [("k1", b'{"model": "a"}'), ("k1", b'{"model": "b"}'), ("k2", b'{"model": "a"}')]
    assert [gate.admitted(2, key=key, body=body) for key, body in asked] == [1, 1, 1]


def test_no_places_at_all_never_admit(limiter: MemoryLimiter) -> None:
    rejection = rejected(slots(limiter, 0).ask())
    assert dict(rejection.headers) == {"x-should-retry": "false"}


class Slow(MemoryLimiter):
    """Charges, and then does not come back before it is told to."""

    def __init__(self) -> None:
        super().__init__(Hands())
        self.charged, self.go = asyncio.Event(), asyncio.Event()

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        decision = await super().acquire(limits)
        self.charged.set()
        await self.go.wait()
        return decision


async def test_a_call_whose_time_is_up_leaves_no_place_behind() -> None:
    limiter = Slow()
    gate = slots(limiter, 1)
    late = asyncio.ensure_future(gate.plugin.pre_request(gate.exchange()))
    await limiter.charged.wait()
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    limiter.go.set()
    assert isinstance(await gate.plugin.pre_request(gate.exchange()), Continue)


class Down(MemoryLimiter):
    """Redis does not answer: as the port says."""

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        for limit in limits:
            if limit.on_error == "closed":
                raise LimitUnknown(limit, StoreDown("Redis does not answer."))
        counted = await super().acquire([limit for limit in limits if limit.on_error == "local"])
        states = {state.limit: state for state in counted.states}
        everything = [states.get(limit) or LimitState(limit, limit.quota.limit, 0) for limit in limits]
        return counted._replace(states=everything, degraded=True)


QUOTA = {"limit": 3, "window": "1m"}


@pytest.mark.parametrize(("on_error", "admitted"), [("local", 3), ("open", 9)])
def test_entry_without_redis_applies_its_on_error_and_shows_it(on_error: str, admitted: int) -> None:
    gate = Gate(Down(Hands()), [("rule", QUOTA)], on_error=on_error)
    verdicts = [gate.ask() for _ in range(9)]
    assert sum(isinstance(verdict, Continue) for verdict in verdicts) == admitted
    assert {gate.headers(verdict)["X-Gateway-RateLimit-Mode"] for verdict in verdicts} == {on_error}


def test_closed_entry_without_redis_rejects_and_says_so() -> None:
    verdict = rejected(Gate(Down(Hands()), [("rule", QUOTA)], on_error="closed").ask())
    assert (verdict.status, verdict.code) == (503, "limits_unavailable")
    assert verdict.message == (
        "The rule limit 'global' cannot be counted now, and admits no request until it can. Retry the request."
    )
    assert verdict.headers["Retry-After"] == "1"


def test_no_header_is_about_redis_while_redis_responds(limiter: MemoryLimiter) -> None:
    gate = slots(limiter)
    assert "X-Gateway-RateLimit-Mode" not in gate.headers(gate.ask())


def test_only_limits_at_a_time_have_something_to_give_back(limiter: MemoryLimiter) -> None:
    """Of all others nothing is waited for when an exchange is over."""
    windows = {"global": {"limit": 9, "window": "1m"}, "per_ip": {"limit": 9, "window": "1m"}}
    entries = [(origin, {"limits": windows}) for origin in ("tenant", "rule")]
    assert not Gate(limiter, entries).plugin.has_cleanup
    assert slots(limiter).plugin.has_cleanup
