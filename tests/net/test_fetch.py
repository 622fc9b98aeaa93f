"""Calls to services that tenants name, over real sockets."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from shared.core.errors import OutsideError, TargetForbidden
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.net.port import FetchResponse
from tests.support.certificates import Authority
from tests.support.upstream import Peer, Script, Upstream, hang, replying, responding, sized

LOOPBACK = Policy(allowed_networks=(ip_network("127.0.0.0/8"),))


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@pytest.fixture
def fetch() -> Iterator[GuardedFetch]:
    made = GuardedFetch(LOOPBACK, SystemClock())
    yield made
    made.close()


def call(fetch: GuardedFetch, url: str, **changes: Any) -> FetchResponse:
    options: dict[str, Any] = {"headers": {}, "body": b"{}", "timeout": 5.0, "max_bytes": 1024}
    return fetch("POST", url, **{**options, **changes})


FINE = responding(sized(b"ok", "200 OK", "X-Verdict: fine"))


def test_exactly_what_was_asked_for_is_sent(fetch: GuardedFetch, serve: Callable[..., Upstream]) -> None:
    service = serve(FINE)
    port = service.port
    response = call(fetch, f"http://127.0.0.1:{port}/check?v=1", headers={"X-Secret": "s3"}, body=b'{"a":1}')
    assert (response.status, response.body) == (200, b"ok")
    [seen] = service.received
    line, *fields = seen.head.decode().split("\r\n")[:-2]
    assert line == "POST /check?v=1 HTTP/1.1"
    assert sorted(fields) == [
        "Accept-Encoding: identity",
        "Content-Length: 7",
        f"Host: 127.0.0.1:{port}",
        "User-Agent: ai-gateway",
        "X-Secret: s3",
    ]
    assert seen.body == b'{"a":1}'


def test_connections_are_kept_and_cookies_are_not(
    fetch: GuardedFetch, serve: Callable[..., Upstream]
) -> None:
    service = serve(responding(sized(b"", "200 OK", "Set-Cookie: a=1")))
    for _ in range(3):
        call(fetch, f"http://127.0.0.1:{service.port}/")
    assert len(service.peers) == 1
    assert not any(b"cookie" in request.head.lower() for request in service.received)


def test_an_inner_address_is_never_connected_to(serve: Callable[..., Upstream]) -> None:
    service = serve(FINE)
    with pytest.raises(TargetForbidden):
        call(GuardedFetch(Policy(), SystemClock()), f"http://127.0.0.1:{service.port}/")
    ours = Policy(LOOPBACK.allowed_networks, own_listeners=(("127.0.0.1", service.port),))
    with pytest.raises(TargetForbidden):
        call(GuardedFetch(ours, SystemClock()), f"http://127.0.0.1:{service.port}/")
    assert len(service.peers) == 0


def test_a_redirect_is_not_followed(fetch: GuardedFetch, serve: Callable[..., Upstream]) -> None:
    inner = serve(FINE)
    moved = serve(responding(sized(b"ok", "302 Found", f"Location: {inner.url}/")))
    assert call(fetch, f"http://127.0.0.1:{moved.port}/").status == 302
    assert len(inner.peers) == 0


def test_no_proxy_is_taken_from_the_environment(
    fetch: GuardedFetch, serve: Callable[..., Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, service = serve(FINE), serve(FINE)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    call(fetch, f"http://127.0.0.1:{service.port}/")
    assert (len(proxy.peers), len(service.peers)) == (0, 1)


def test_an_answer_up_to_the_limit_is_read_and_a_longer_one_is_not(
    fetch: GuardedFetch, serve: Callable[..., Upstream]
) -> None:
    fits = serve(responding(sized(b"x" * 1024)))
    assert len(call(fetch, f"http://127.0.0.1:{fits.port}/").body) == 1024
    longer = serve(responding(sized(b"x" * 1025)))
    with pytest.raises(OutsideError, match="longer than 1024 bytes"):
        call(fetch, f"http://127.0.0.1:{longer.port}/")


def dripping(prefix: bytes) -> Script:
    """Sends `prefix`, then a byte every few milliseconds for ever."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(prefix)
        while True:
            await peer.write(b"x")
            await asyncio.sleep(0.02)

    return script


@pytest.mark.parametrize(
    "prefix",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_a_service_that_drips_is_cut_off_at_the_deadline(
    fetch: GuardedFetch, serve: Callable[..., Upstream], prefix: bytes
) -> None:
    service = serve(dripping(prefix))
    started = time.monotonic()
    with pytest.raises(OutsideError, match="in time"):
        call(fetch, f"http://127.0.0.1:{service.port}/", timeout=0.3)
    assert time.monotonic() - started < 2


def test_a_service_that_says_nothing_is_cut_off(fetch: GuardedFetch, serve: Callable[..., Upstream]) -> None:
    service = serve(hang)
    with pytest.raises(OutsideError, match="in time"):
        call(fetch, f"http://127.0.0.1:{service.port}/", timeout=0.2)


@pytest.mark.parametrize(
    "response", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
)
def test_what_is_no_whole_answer_is_an_outside_error(
    fetch: GuardedFetch, serve: Callable[..., Upstream], response: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(response)

    with pytest.raises(OutsideError) as error:
        call(fetch, f"http://127.0.0.1:{serve(script).port}/")
    assert "127.0.0.1" not in str(error.value)


def test_a_closed_port_is_an_outside_error(fetch: GuardedFetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutsideError, match="No connection"):
        call(fetch, f"http://127.0.0.1:{port}/")


def test_a_header_that_would_break_the_head_is_an_outside_error(fetch: GuardedFetch) -> None:
    with pytest.raises(OutsideError):
        call(fetch, "http://127.0.0.1:9/", headers={"X-Bad": "a\r\nX-Other: b"})


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names that lead to one address."""
    known: dict[str, str] = {}
    system = socket.getaddrinfo

    def look_up(host: str, *args: Any, **options: Any) -> Any:
        return system(known.get(host, host), *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def test_a_name_is_pinned_and_its_certificate_checked_for_the_name(
    serve: Callable[..., Upstream], authority: Authority, names: dict[str, str]
) -> None:
    names["validator.example.com"] = "127.0.0.1"
    service = serve(FINE, authority.server_context("validator.example.com"))
    fetch = GuardedFetch(LOOPBACK, SystemClock(), authority.file)
    response = call(fetch, f"https://validator.example.com:{service.port}/")
    assert (response.status, response.headers["x-verdict"]) == (200, "fine")
    # The connection is kept, and no second look at the name leads anywhere else.
    names["validator.example.com"] = "10.0.0.1"
    assert call(fetch, f"https://validator.example.com:{service.port}/").status == 200
    assert service.server_names == ["validator.example.com"]
    fetch.close()


def test_a_certificate_for_an_address_is_checked_too(
    serve: Callable[..., Upstream], authority: Authority
) -> None:
    service = serve(FINE, authority.server_context("127.0.0.1"))
    fetch = GuardedFetch(LOOPBACK, SystemClock(), authority.file)
    assert call(fetch, f"https://127.0.0.1:{service.port}/").status == 200
    fetch.close()


def test_a_foreign_certificate_or_another_name_is_refused(
    serve: Callable[..., Upstream], authority: Authority, names: dict[str, str], tmp_path: Path
) -> None:
    names["validator.example.com"] = "127.0.0.1"
    stranger = Authority(tmp_path, "Stranger")
    for context in (
        stranger.server_context("validator.example.com"),
        authority.server_context("other.example.com"),
    ):
        service = serve(FINE, context)
        fetch = GuardedFetch(LOOPBACK, SystemClock(), authority.file)
        with pytest.raises(OutsideError, match="certificate"):
            call(fetch, f"https://validator.example.com:{service.port}/")
        fetch.close()
        assert not service.raw


def test_a_drip_over_tls_is_cut_off_as_well(serve: Callable[..., Upstream], authority: Authority) -> None:
    service = serve(
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), authority.server_context("127.0.0.1")
    )
    fetch = GuardedFetch(LOOPBACK, SystemClock(), authority.file)
    with pytest.raises(OutsideError, match="in time"):
        call(fetch, f"https://127.0.0.1:{service.port}/", timeout=0.3)
    fetch.close()


def test_a_name_that_turns_to_an_inner_address_is_refused_with_the_next_connection(
    serve: Callable[..., Upstream], names: dict[str, str]
) -> None:
    service = serve(responding(sized(b"ok", "200 OK", "Connection: close")))
    names["validator.example.com"] = "127.0.0.1"
    policy = Policy(allowed_networks=(ip_network("127.0.0.1/32"),))
    fetch = GuardedFetch(policy, SystemClock())
    assert call(fetch, f"http://validator.example.com:{service.port}/").status == 200
    names["validator.example.com"] = "127.0.0.2"
    with pytest.raises(TargetForbidden):
        call(fetch, f"http://validator.example.com:{service.port}/")
    fetch.close()


def test_several_threads_share_one_fetch(fetch: GuardedFetch, serve: Callable[..., Upstream]) -> None:
    service = serve(replying(lambda request: sized(request.body)))
    responses: dict[int, bool] = {}

    def ask(number: int) -> None:
        for _ in range(10):
            body = str(number).encode()
            responses[number] = call(fetch, f"http://127.0.0.1:{service.port}/", body=body).body == body

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert responses == dict.fromkeys(range(8), True)
    assert len(service.peers) <= 8
