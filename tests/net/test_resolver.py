"""What names lead to while requests come: judged, shared, kept for a moment."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import pytest

from shared.core.errors import OutsideError, TargetForbidden
from shared.net.policy import Policy
from shared.net.resolver import KEPT_FOR, NAMES_KEPT, Resolver
from tests.config_store.configurations import StillClock

LOOPBACK = Policy(allowed_networks=(ip_network("127.0.0.0/8"),))
HOST, ADDRESS, OTHER = "api.example.com", "93.184.216.34", "93.184.216.35"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> Counter[str]:
    """How often the system was asked for each name."""
    asked: Counter[str] = Counter()
    response = socket.getaddrinfo

    def look_up(host: str, *more: Any, **options: Any) -> object:
        asked[host] += 1
        return response(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def resolver(clock: StillClock) -> Resolver:
    return Resolver(Policy(), clock.monotonic)


async def all_of(resolver: Resolver, hosts: Sequence[str]) -> list[Any]:
    """The addresses, or the error, of each of these that are asked for at once."""
    return await asyncio.gather(*(resolver(host, 443) for host in hosts), return_exceptions=True)


def test_requests_for_one_name_share_a_look_up(
    resolver: Resolver, names: dict[str, list[str]], asked: Counter[str]
) -> None:
    names[HOST] = [ADDRESS, OTHER]
    assert asyncio.run(all_of(resolver, [HOST] * 200)) == [[ADDRESS, OTHER]] * 200
    assert asked[HOST] == 1


def test_an_answer_is_kept_for_a_moment_and_no_longer(
    resolver: Resolver, clock: StillClock, names: dict[str, list[str]], asked: Counter[str]
) -> None:
    async def check() -> None:
        names[HOST] = [ADDRESS]
        await resolver(HOST, 443)
        names[HOST] = [OTHER]
        clock.time += KEPT_FOR - 0.001
        assert await resolver(HOST, 443) == [ADDRESS]
        clock.time += 0.001
        assert await resolver(HOST, 443) == [OTHER]
        assert asked[HOST] == 2

    asyncio.run(check())


def test_each_port_is_judged_for_itself(names: dict[str, list[str]]) -> None:
    """One of them may be our own."""

    async def check() -> None:
        policy = Policy(LOOPBACK.allowed_networks, (("127.0.0.1", 8081),))
        names[HOST] = ["127.0.0.1"]
        resolver = Resolver(policy, StillClock().monotonic)
        assert await resolver(HOST, 80) == ["127.0.0.1"]
        with pytest.raises(TargetForbidden):
            await resolver(HOST, 8081)

    asyncio.run(check())


def test_a_name_that_turns_to_loopback_after_it_was_saved_is_refused_at_connect(
    resolver: Resolver, clock: StillClock, names: dict[str, list[str]]
) -> None:
    async def check() -> None:
        names[HOST] = [ADDRESS]
        assert await resolver(HOST, 443) == [ADDRESS]
        names[HOST] = [ADDRESS, "127.0.0.1"]
        clock.time += KEPT_FOR
        with pytest.raises(TargetForbidden):
            await resolver(HOST, 443)

    asyncio.run(check())


def test_a_name_that_could_not_be_resolved_is_asked_for_again(
    resolver: Resolver, names: dict[str, list[str]]
) -> None:
    async def check() -> None:
        with pytest.raises(OutsideError, match="could not be resolved") as error:
            await resolver(HOST, 443)
        assert not isinstance(error.value, TargetForbidden)
        names[HOST] = [ADDRESS]
        assert await resolver(HOST, 443) == [ADDRESS]

    asyncio.run(check())


def test_a_forbidden_name_is_asked_for_again(resolver: Resolver, names: dict[str, list[str]]) -> None:
    async def check() -> None:
        names[HOST] = ["10.0.0.1"]
        with pytest.raises(TargetForbidden):
            await resolver(HOST, 443)
        names[HOST] = [ADDRESS]
        assert await resolver(HOST, 443) == [ADDRESS]

    asyncio.run(check())


def test_the_name_that_was_not_used_for_longest_is_forgotten_first(
    resolver: Resolver, names: dict[str, list[str]], asked: Counter[str]
) -> None:
    async def check() -> None:
        many = [f"{number}.example.com" for number in range(NAMES_KEPT)]
        names.update({host: [ADDRESS] for host in (*many, HOST)})
        for host in many:
            await resolver(host, 443)
        await resolver(many[0], 443)
        await resolver(HOST, 443)
        await all_of(resolver, [many[0], many[2], HOST])
        assert (asked[many[0]], asked[many[2]], asked[HOST]) == (1, 1, 1)
        await resolver(many[1], 443)
        assert asked[many[1]] == 2

    asyncio.run(check())


def test_a_resolver_that_hangs_is_not_waited_for(resolver: Resolver, stuck: threading.Event) -> None:
    with pytest.raises(OutsideError, match="not resolved in time"):
        asyncio.run(resolver(HOST, 443, 0.02))


def test_who_stops_waiting_takes_the_answer_from_nobody(
    resolver: Resolver, names: dict[str, list[str]], stuck: threading.Event
) -> None:
    async def check() -> None:
        names[HOST] = [ADDRESS]
        patient = asyncio.ensure_future(resolver(HOST, 443))
        with pytest.raises(OutsideError, match="not resolved in time"):
            await resolver(HOST, 443, 0.02)
        stuck.set()
        assert await patient == [ADDRESS]

    asyncio.run(check())


def test_more_names_than_can_be_looked_up_at_a_time_wait_for_a_place(
    resolver: Resolver, names: dict[str, list[str]], stuck: threading.Event
) -> None:
    async def check() -> None:
        many = [f"{number}.example.com" for number in range(200)]
        names.update({host: [ADDRESS] for host in many})
        waiting = asyncio.ensure_future(all_of(resolver, many))
        # What is an address already needs no place.
        assert await resolver(ADDRESS, 443) == [ADDRESS]
        stuck.set()
        assert await waiting == [[ADDRESS]] * 200

    asyncio.run(check())
