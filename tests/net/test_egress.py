"""The egress proxy: which calls lead through it, who resolves names, and calls to services through it."""

import time
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from shared.core.errors import OutsideError, TargetForbidden
from shared.net.egress import EgressProxy, parse_egress_proxy
from shared.net.fetch import GuardedFetch
from shared.net.policy import Policy
from shared.net.port import FetchRequest
from shared.net.resolve import check_target, resolve
from tests.support.connect_proxy import tunneling
from tests.support.upstream import Upstream, responding, sized

NAME = "validator.example.com"
Serve = Callable[..., Upstream]


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@pytest.fixture
def proxy(serve: Serve) -> Upstream:
    """A proxy that resolves the name of the service to this machine."""
    return serve(tunneling({NAME: "127.0.0.1"}))


def policy_of(proxy: Upstream, **more: object) -> Policy:
    egress = parse_egress_proxy(f"http://user:p%40ss@127.0.0.1:{proxy.port}", **more)  # type: ignore[arg-type]
    return Policy(allowed_networks=(ip_network("127.0.0.0/8"),), egress=egress)


def call(policy: Policy, url: str) -> bytes:
    fetch = GuardedFetch(policy, SystemClock())
    try:
        return fetch(FetchRequest(method="POST", url=url, body=b"{}", timeout=3.0, max_bytes=100)).body
    finally:
        fetch.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://p:3128",
        "http://p",
        "http://p:3128/path",
        "socks5://p:1080",
        "p:3128",
        "http://:3128",
        "http://p:port",
        "http://p:99999",
    ],
)
def test_url_of_a_proxy_that_is_not_http_with_a_port_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="must be http://host:port"):
        parse_egress_proxy(url)


def test_credentials_of_the_url_are_decoded_and_not_shown() -> None:
    proxy = parse_egress_proxy("http://user:p%40ss@proxy.internal:3128/")
    assert proxy.address == ("proxy.internal", 3128)
    assert proxy.authorization == "Basic dXNlcjpwQHNz"
    assert "dXNlcjpwQHNz" not in repr(proxy)
    assert parse_egress_proxy("http://proxy.internal:3128").authorization is None


@pytest.mark.parametrize(
    ("host", "address", "is_used"),
    [
        ("api.example.com", "203.0.113.1", True),
        ("api.example.com", "10.1.2.3", False),
        ("models.internal", "203.0.113.1", False),
        ("a.models.internal", "203.0.113.1", False),
        ("notmodels.internal", "203.0.113.1", True),
        ("10.1.2.3", "10.1.2.3", False),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3", False),
        ("api.example.com", "api.example.com", True),
    ],
)
def test_no_proxy_names_hosts_with_all_below_and_networks(host: str, address: str, is_used: bool) -> None:
    direct = ("models.internal", ip_network("10.0.0.0/8"))
    proxy = EgressProxy(address=("p", 1), direct_hosts=direct[:1], direct_networks=direct[1:])  # type: ignore[arg-type]
    assert proxy.is_used(host, address) is is_used


def test_call_goes_through_the_proxy_to_the_checked_address(
    serve: Serve, proxy: Upstream, names: dict[str, list[str]]
) -> None:
    service = serve(responding(sized(b"ok")))
    names[NAME] = ["127.0.0.1"]
    assert call(policy_of(proxy), f"http://{NAME}:{service.port}/check") == b"ok"
    [asked] = proxy.received
    assert (asked.method, asked.target) == ("CONNECT", f"127.0.0.1:{service.port}")
    assert asked.get("proxy-authorization") == "Basic dXNlcjpwQHNz"
    assert service.received[0].get("host") == f"{NAME}:{service.port}"
    assert service.received[0].get("proxy-authorization") is None


def test_address_of_the_proxy_is_not_judged(
    serve: Serve, proxy: Upstream, names: dict[str, list[str]]
) -> None:
    """The operator chose it. Here it is on this machine, where a target is forbidden."""
    service = serve(responding(sized(b"ok")))
    egress = parse_egress_proxy(f"http://127.0.0.1:{proxy.port}", resolves=True)
    assert call(Policy(egress=egress), f"http://{NAME}:{service.port}") == b"ok"
    names[NAME] = ["127.0.0.1"]
    with pytest.raises(TargetForbidden):
        call(Policy(), f"http://{NAME}:{service.port}")


def test_call_of_a_direct_host_does_not_reach_the_proxy(
    serve: Serve, proxy: Upstream, names: dict[str, list[str]]
) -> None:
    service = serve(responding(sized(b"ok")))
    names[NAME] = ["127.0.0.1"]
    policy = policy_of(proxy, no_proxy=["example.com"], resolves=True)
    assert call(policy, f"http://{NAME}:{service.port}") == b"ok"
    assert not proxy.peers


def test_name_is_resolved_by_the_proxy_when_it_resolves(
    serve: Serve, proxy: Upstream, names: dict[str, list[str]]
) -> None:
    service = serve(responding(sized(b"ok")))
    assert NAME not in names  # so it cannot be resolved here
    assert call(policy_of(proxy, resolves=True), f"http://{NAME}:{service.port}") == b"ok"
    assert proxy.received[0].target == f"{NAME}:{service.port}"
    with pytest.raises(OutsideError, match="could not be resolved"):
        call(policy_of(proxy), f"http://{NAME}:{service.port}")


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost", "a.localhost"])
@pytest.mark.parametrize("resolves", [False, True])
def test_forbidden_address_or_local_name_is_rejected_with_a_proxy(
    host: str, resolves: bool, names: dict[str, list[str]]
) -> None:
    names["localhost"] = names["a.localhost"] = ["127.0.0.1"]
    policy = Policy(egress=parse_egress_proxy("http://p:1", resolves=resolves))
    with pytest.raises(TargetForbidden):
        resolve(host, 443, policy, 1.0)
    with pytest.raises(TargetForbidden):
        check_target(f"https://{host}", policy)


def test_name_that_only_the_proxy_knows_is_saved_without_a_warning() -> None:
    policy = Policy(egress=parse_egress_proxy("http://p:1", resolves=True))
    assert check_target("https://models.invalid/v1", policy) == ((), False)


def test_proxy_that_rejects_the_call_is_an_error_without_addresses(serve: Serve) -> None:
    proxy = serve(responding(sized(b"", "403 Forbidden")))
    with pytest.raises(OutsideError) as failed:
        call(policy_of(proxy), "http://127.0.0.1:9/")
    assert "127.0.0.1" not in str(failed.value)
