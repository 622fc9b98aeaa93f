"""Names are resolved and every address judged, when a target is saved and when it is called."""

import asyncio
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from shared.core.errors import OutsideError, TargetForbidden
from shared.outside.addresses import Policy
from shared.outside.resolving import check_target, pin, resolve

PUBLIC = Policy()
LOOPBACK = Policy(allowed_networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names that resolve, and to what; all others do not."""
    known: dict[str, list[str]] = {}
    system = socket.getaddrinfo

    def look_up(host: str, port: int, **options: int) -> object:
        if host in known:
            return [system(address, port, type=socket.SOCK_STREAM)[0] for address in known[host]]
        if host.replace(".", "").isdigit() or ":" in host:
            return system(host, port, **options)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]",
    ],
)
def test_saving_a_target_on_an_inner_address_is_refused_without_saying_which(url: str) -> None:
    with pytest.raises(TargetForbidden, match="allowed_target_networks") as refusal:
        check_target(url, PUBLIC)
    assert "loopback" not in str(refusal.value)


def test_saving_a_target_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="Must be"):
        check_target("http://2130706433/", PUBLIC)


def test_saving_a_public_target_warns_of_nothing(names: dict[str, list[str]]) -> None:
    names["api.example.com"] = ["93.184.216.34", "2606:4700::1111"]
    assert check_target("https://api.example.com/v1", PUBLIC) == []


def test_saving_a_name_that_does_not_resolve_yet_warns(names: dict[str, list[str]]) -> None:
    [warning] = check_target("https://soon.example.com", PUBLIC)
    assert warning.startswith("The name soon.example.com could not be resolved.")


def test_one_inner_address_among_public_ones_is_enough_to_refuse(names: dict[str, list[str]]) -> None:
    names["mixed.example.com"] = ["93.184.216.34", "10.0.0.1"]
    with pytest.raises(TargetForbidden) as refusal:
        check_target("https://mixed.example.com", PUBLIC)
    assert "10.0.0.1" not in str(refusal.value)


def test_a_name_that_turns_to_loopback_after_it_was_saved_is_refused_at_connect(
    names: dict[str, list[str]],
) -> None:
    names["rebind.example.com"] = ["93.184.216.34"]
    assert asyncio.run(pin("rebind.example.com", 443, PUBLIC)) == ("93.184.216.34", 443)
    names["rebind.example.com"] = ["127.0.0.1"]
    with pytest.raises(TargetForbidden):
        asyncio.run(pin("rebind.example.com", 443, PUBLIC))


def test_the_ipv4_address_comes_first(names: dict[str, list[str]]) -> None:
    names["localhost"] = ["::1", "127.0.0.1"]
    assert resolve("localhost", 80, LOOPBACK, 1) == ["127.0.0.1", "::1"]


def test_connecting_to_a_name_without_an_address_is_an_outside_error(names: dict[str, list[str]]) -> None:
    with pytest.raises(OutsideError, match="could not be resolved") as error:
        asyncio.run(pin("gone.example.com", 443, PUBLIC))
    assert not isinstance(error.value, TargetForbidden)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> "threading.Event":
    """A resolver that answers only once the event is set."""
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(10) and [])
    return released


@pytest.mark.parametrize(
    "wait",
    [
        lambda: resolve("slow.example.com", 443, PUBLIC, 0.02),
        lambda: asyncio.run(pin("slow.example.com", 443, PUBLIC, 0.02)),
    ],
)
def test_a_resolver_that_hangs_is_not_waited_for(stuck: threading.Event, wait: Callable[[], object]) -> None:
    try:
        with pytest.raises(OutsideError, match="not resolved in time"):
            wait()
    finally:
        stuck.set()


def test_many_hanging_look_ups_make_further_ones_fail_at_once(stuck: threading.Event) -> None:
    async def storm() -> list[BaseException | object]:
        calls = [pin("slow.example.com", 443, PUBLIC, 0.2) for _ in range(80)]
        return await asyncio.gather(*calls, return_exceptions=True)

    try:
        outcomes = [str(outcome) for outcome in asyncio.run(storm())]
    finally:
        stuck.set()
    assert sum("Too many" in outcome for outcome in outcomes) >= 16
