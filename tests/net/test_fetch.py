"""Calls to services that tenants name, over real sockets."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from shared.core.errors import OutsideError, TargetForbidden
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.net.port import FetchRequest, FetchResponse
from tests.support.certificates import Authority
from tests.support.upstream import Peer, Script, Upstream, hang, replying, responding, sized

LOOPBACK = Policy(allowed_networks=(ip_network("127.0.0.0/8"),))
FINE = responding(sized(b"ok", "200 OK", "X-Verdict: fine"))
NAME = "validator.example.com"

Serve = Callable[..., Upstream]


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@pytest.fixture
def fetch(authority: Authority) -> Iterator[GuardedFetch]:
    """May call this machine, and trusts the authority of the tests."""
    made = GuardedFetch(LOOPBACK, SystemClock(), authority.file)
    yield made
    made.close()


def call(fetch: GuardedFetch, url: str, **changes: Any) -> FetchResponse:
    request = FetchRequest(method="POST", url=url, body=b"{}", timeout=5.0, max_bytes=1024)
    owner = changes.pop("owner", "")
    return fetch(replace(request, **changes), owner=owner)


def test_fetch_sends_exactly_what_was_asked_for(fetch: GuardedFetch, serve: Serve) -> None:
    service = serve(FINE)
    response = call(fetch, f"{service.url}/check?v=1", headers={"X-Secret": "s3"}, body=b'{"a":1}')
    assert (response.status, response.body) == (200, b"ok")
    [seen] = service.received
    line, *fields = seen.head.decode().split("\r\n")[:-2]
    assert line == "POST /check?v=1 HTTP/1.1"
    assert sorted(fields) == [
        "Accept-Encoding: identity",
        "Content-Length: 7",
        f"Host: 127.0.0.1:{service.port}",
        "User-Agent: ai-gateway",
        "X-Secret: s3",
    ]
    assert seen.body == b'{"a":1}'


def test_fetch_keeps_connections_and_forgets_cookies(fetch: GuardedFetch, serve: Serve) -> None:
    service = serve(responding(sized(b"", "200 OK", "Set-Cookie: a=1")))
    for _ in range(3):
        call(fetch, service.url)
    assert len(service.peers) == 1
    assert not any(b"cookie" in request.head.lower() for request in service.received)


def test_fetch_shares_connections_only_between_calls_of_one_owner(fetch: GuardedFetch, serve: Serve) -> None:
    service = serve(FINE)
    for owner in ("one", "two", "one", "two"):
        assert call(fetch, service.url, owner=owner).body == b"ok"
    assert len(service.peers) == 2


def test_fetch_never_connects_to_an_inner_address(serve: Serve) -> None:
    service = serve(FINE)
    ours = Policy(LOOPBACK.allowed_networks, own_listeners=(("127.0.0.1", service.port),))
    for policy in (Policy(), ours):
        with pytest.raises(TargetForbidden):
            call(GuardedFetch(policy, SystemClock()), service.url)
    assert len(service.peers) == 0


def test_fetch_does_not_follow_a_redirect(fetch: GuardedFetch, serve: Serve) -> None:
    inner = serve(FINE)
    moved = serve(responding(sized(b"ok", "302 Found", f"Location: {inner.url}/")))
    assert call(fetch, moved.url).status == 302
    assert len(inner.peers) == 0


def test_fetch_takes_no_proxy_from_the_environment(
    fetch: GuardedFetch, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, service = serve(FINE), serve(FINE)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    call(fetch, service.url)
    assert (len(proxy.peers), len(service.peers)) == (0, 1)


def test_fetch_reads_a_response_up_to_the_limit_and_no_longer_one(fetch: GuardedFetch, serve: Serve) -> None:
    assert len(call(fetch, serve(responding(sized(b"x" * 1024))).url).body) == 1024
    with pytest.raises(OutsideError, match="longer than 1024 bytes"):
        call(fetch, serve(responding(sized(b"x" * 1025))).url)


def dripping(prefix: bytes) -> Script:
    """Send `prefix`, then a byte every few milliseconds for ever."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(prefix)
        while True:
            await peer.write(b"x")
            await asyncio.sleep(0.02)

    return script


SIZED = dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "is_tls"),
    [
        pytest.param(hang, False, id="nothing"),
        pytest.param(dripping(b""), False, id="a status line"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\nX-Long: "), False, id="a header"),
        pytest.param(SIZED, False, id="a sized body"),
        pytest.param(SIZED, True, id="a sized body over TLS"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n\r\n"), False, id="an endless body"),
    ],
)
def test_fetch_of_a_slow_response_ends_at_the_timeout(
    fetch: GuardedFetch, serve: Serve, authority: Authority, script: Script, is_tls: bool
) -> None:
    service = serve(script, authority.server_context("127.0.0.1") if is_tls else None)
    started = time.monotonic()
    with pytest.raises(OutsideError, match="in time"):
        call(fetch, service.url, timeout=0.3)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "response", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
)
def test_an_incomplete_response_is_an_outside_error(
    fetch: GuardedFetch, serve: Serve, response: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(response)

    with pytest.raises(OutsideError) as error:
        call(fetch, serve(script).url)
    assert "127.0.0.1" not in str(error.value)


def test_a_closed_port_is_an_outside_error(fetch: GuardedFetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutsideError, match=r"The connection to .* failed"):
        call(fetch, f"http://127.0.0.1:{port}")


def test_a_header_that_would_break_the_head_is_an_outside_error(fetch: GuardedFetch) -> None:
    with pytest.raises(OutsideError):
        call(fetch, "http://127.0.0.1:9", headers={"X-Bad": "a\r\nX-Other: b"})


def test_a_name_is_pinned_and_its_certificate_checked_for_the_name(
    fetch: GuardedFetch, serve: Serve, authority: Authority, names: dict[str, list[str]]
) -> None:
    names[NAME] = ["127.0.0.1"]
    service = serve(FINE, authority.server_context(NAME))
    response = call(fetch, f"https://{NAME}:{service.port}")
    assert (response.status, response.headers["x-verdict"]) == (200, "fine")
    # The connection is kept, and no second look-up leads anywhere else.
    names[NAME] = ["10.0.0.1"]
    assert call(fetch, f"https://{NAME}:{service.port}").status == 200
    assert service.server_names == [NAME]


def test_a_certificate_is_checked_for_an_address_too(
    fetch: GuardedFetch, serve: Serve, authority: Authority
) -> None:
    assert call(fetch, serve(FINE, authority.server_context("127.0.0.1")).url).status == 200


@pytest.mark.parametrize(("signer", "name"), [("Stranger", NAME), ("Test CA", "other.example.com")])
def test_a_certificate_of_a_foreign_authority_or_another_name_is_rejected(
    fetch: GuardedFetch,
    serve: Serve,
    authority: Authority,
    names: dict[str, list[str]],
    signer: str,
    name: str,
) -> None:
    names[NAME] = ["127.0.0.1"]
    signing = authority if signer == "Test CA" else Authority(authority.folder, signer)
    service = serve(FINE, signing.server_context(name))
    with pytest.raises(OutsideError, match="certificate"):
        call(fetch, f"https://{NAME}:{service.port}")
    assert not service.raw


def test_a_name_that_turns_to_an_inner_address_is_rejected_with_the_next_connection(
    serve: Serve, names: dict[str, list[str]]
) -> None:
    service = serve(responding(sized(b"ok", "200 OK", "Connection: close")))
    names[NAME] = ["127.0.0.1"]
    fetch = GuardedFetch(Policy(allowed_networks=(ip_network("127.0.0.1/32"),)), SystemClock())
    assert call(fetch, f"http://{NAME}:{service.port}").status == 200
    names[NAME] = ["127.0.0.2"]
    with pytest.raises(TargetForbidden):
        call(fetch, f"http://{NAME}:{service.port}")
    fetch.close()


def test_several_threads_share_one_fetch(fetch: GuardedFetch, serve: Serve) -> None:
    service = serve(replying(lambda request: sized(request.body)))
    responses: dict[int, bool] = {}

    def ask(number: int) -> None:
        for _ in range(10):
            body = str(number).encode()
            responses[number] = call(fetch, service.url, body=body).body == body

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert responses == dict.fromkeys(range(8), True)
    assert len(service.peers) <= 8
