"""The addresses of names while requests come: judged, shared, kept for a moment."""

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
from shared.net.resolver import CACHE_SECONDS, MAX_NAMES, Resolver
from tests.config_store.configurations import StillClock

Names = dict[str, list[str]]
LOOPBACK = Policy(allowed_networks=(ip_network("127.0.0.0/8"),))
HOST, ADDRESS, OTHER = "api.example.com", "93.184.216.34", "93.184.216.35"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, names: Names) -> Counter[str]:
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


async def test_requests_for_one_name_share_a_look_up(
    resolver: Resolver, names: Names, asked: Counter[str]
) -> None:
    names[HOST] = [ADDRESS, OTHER]
    assert await all_of(resolver, [HOST] * 200) == [[ADDRESS, OTHER]] * 200
    assert asked[HOST] == 1


async def test_addresses_are_cached_for_a_moment_and_no_longer(
    resolver: Resolver, clock: StillClock, names: Names, asked: Counter[str]
) -> None:
    names[HOST] = [ADDRESS]
    await resolver(HOST, 443)
    names[HOST] = [OTHER]
    clock.time += CACHE_SECONDS - 0.001
    assert await resolver(HOST, 443) == [ADDRESS]
    clock.time += 0.001
    assert await resolver(HOST, 443) == [OTHER]
    assert asked[HOST] == 2


async def test_an_address_is_judged_for_each_port(names: Names) -> None:
    """One of them may be our own."""

    policy = Policy(LOOPBACK.allowed_networks, (("127.0.0.1", 8081),))
    names[HOST] = ["127.0.0.1"]
    resolver = Resolver(policy, StillClock().monotonic)
    assert await resolver(HOST, 80) == ["127.0.0.1"]
    with pytest.raises(TargetForbidden):
        await resolver(HOST, 8081)


async def test_a_name_that_turns_to_loopback_is_rejected_at_the_next_look_up(
    resolver: Resolver, clock: StillClock, names: Names
) -> None:
    names[HOST] = [ADDRESS]
    assert await resolver(HOST, 443) == [ADDRESS]
    names[HOST] = [ADDRESS, "127.0.0.1"]
    clock.time += CACHE_SECONDS
    with pytest.raises(TargetForbidden):
        await resolver(HOST, 443)


@pytest.mark.parametrize(
    ("addresses", "expected", "words"),
    [([], OutsideError, "could not be resolved"), (["10.0.0.1"], TargetForbidden, ".")],
    ids=["unknown", "forbidden"],
)
async def test_a_name_whose_look_up_failed_is_looked_up_again(
    resolver: Resolver, names: Names, addresses: list[str], expected: type[Exception], words: str
) -> None:
    if addresses:
        names[HOST] = addresses
    with pytest.raises(expected, match=words) as error:
        await resolver(HOST, 443)
    assert type(error.value) is expected
    names[HOST] = [ADDRESS]
    assert await resolver(HOST, 443) == [ADDRESS]


async def test_the_name_unused_for_longest_is_forgotten_first(
    resolver: Resolver, names: Names, asked: Counter[str]
) -> None:
    many = [f"{number}.example.com" for number in range(MAX_NAMES)]
    names.update({host: [ADDRESS] for host in (*many, HOST)})
    for host in many:
        await resolver(host, 443)
    await resolver(many[0], 443)
    await resolver(HOST, 443)
    await all_of(resolver, [many[0], many[2], HOST])
    assert (asked[many[0]], asked[many[2]], asked[HOST]) == (1, 1, 1)
    await resolver(many[1], 443)
    assert asked[many[1]] == 2


async def test_a_resolver_that_hangs_is_an_outside_error(resolver: Resolver, stuck: threading.Event) -> None:
    with pytest.raises(OutsideError, match="not resolved in time"):
        await resolver(HOST, 443, 0.02)


async def test_lookup_continues_for_other_requests_after_one_times_out(
    resolver: Resolver, names: Names, stuck: threading.Event
) -> None:
    names[HOST] = [ADDRESS]
    patient = asyncio.ensure_future(resolver(HOST, 443))
    with pytest.raises(OutsideError, match="not resolved in time"):
        await resolver(HOST, 443, 0.02)
    stuck.set()
    assert await patient == [ADDRESS]


async def test_more_names_than_are_looked_up_at_a_time_queue(
    resolver: Resolver, names: Names, stuck: threading.Event
) -> None:
    many = [f"{number}.example.com" for number in range(200)]
    names.update({host: [ADDRESS] for host in many})
    waiting = asyncio.ensure_future(all_of(resolver, many))
    # An address needs no look-up.
    assert await resolver(ADDRESS, 443) == [ADDRESS]
    stuck.set()
    assert await waiting == [[ADDRESS]] * 200
