"""The caller of a request, whether it may call, and where the request goes."""

import string
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import Rejection
from shared.model.config import ApiKey, Cors, Rule, Scope, Snapshot, Tenant, Tier
from shared.model.messages import Headers, Response
from shared.model.targets import Target
from shared.pipeline.plan import Plan
from shared.routing.admission import (
    INVALID_KEY,
    MISSING_KEY,
    OWN_HEADER_NEEDED,
    Admitted,
    Call,
    HostRules,
    admit,
    cors_of,
    preflight,
    read_call,
)
from shared.routing.compile import Gateway, Route
from shared.routing.router import Router
from shared.secrets.api_keys import PepperedHasher, mint_key

HOSTS = HostRules("example.com", ("localhost", "example.com"), any_address=True)
NOW = 1000.0
KEY = mint_key(lambda count: bytes(range(count))).text
HASHER = PepperedHasher(bytes(32))


# ---- which tenant a Host names


@pytest.mark.parametrize(
    ("host", "subdomain"),
    [
        ("t1.example.com", "t1"),
        ("t1.example.com:8081", "t1"),
        ("T1.EXAMPLE.COM.:8081", "t1"),
        ("t1.example.com.", "t1"),
        ("t1.localhost", "t1"),
        ("t1.localhost:8081", "t1"),
        ("a-b-9.example.com", "a-b-9"),
        ("9.example.com", "9"),
        ("a" * 63 + ".example.com", "a" * 63),
    ],
)
def test_the_host_names_a_tenant(host: str, subdomain: str) -> None:
    assert HOSTS.parse(host) == subdomain


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8081", "localhost.", "example.com", "Example.com.:80", "127.0.0.1"),
        *("127.0.0.1:8081", "8.8.8.8", "[::1]", "[::1]:8081", "[2001:DB8::1]:8081", "[::ffff:127.0.0.1]"),
    ],
)
def test_shared_host_identifies_no_tenant(host: str) -> None:
    assert HOSTS.parse(host) is None


HOSTILE = [
    *("", ".", "t1", "mitm.it", "evilexample.com", "t1.evilexample.com", "t1.example.com.evil.org"),
    *("a.t1.example.com", ".example.com", "-t1.example.com", "t1-.example.com"),
    *("a" * 64 + ".example.com", "t_1.example.com", "*.example.com", "t1.example.com/"),
    *("t1.example.com/?", "t1.example.com?x", "t1.example.com#x", "t1@t2.example.com"),
    *("t1.example.com@t2.example.com", "t1:t2.example.com", "http://t1.example.com"),
    *("t1.example.com,t2.example.com", "t1.example.com t2.example.com", " t1.example.com"),
    *("t1.example.com ", "t1.example.com\x00", "t1\x00.example.com", "t1.example.com\n"),
    *("t1.example.com:80\n", "localhost:80\n", "t1.example.com\r\nX-Evil: 1", "t1.example.com:"),
    *("t1.example.com:http", "t1.example.com:123456", "t1.example.com:80:80", "t1.example.com:-1"),
    *("t1.example.com..", "t1..example.com", "t1.example.com.:8081.", "tä.example.com"),
    *("t\uff11.example.com", "\u017f.example.com", "t%31.example.com", "localhost.evil.org"),
    *("a.b.localhost", "127.0.0.1.", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01", "[127.0.0.1]"),
    *("[::1", "::1]", "::1", "2001:db8::1", "[]", "[::1].example.com", "[::1%eth0]", "[::1%25eth0]"),
    "[::1]x",
]


@pytest.mark.parametrize("host", HOSTILE)
def test_every_other_host_is_rejected(host: str) -> None:
    with pytest.raises(ValueError, match=r"The Host must be <tenant>\.example\.com"):
        HOSTS.parse(host)


@pytest.mark.parametrize("host", ["gateway:8081", "host.docker.internal", "proxy:8081"])
def test_name_of_a_container_is_rejected_with_the_setting_that_allows_it(host: str) -> None:
    with pytest.raises(ValueError, match=r"server\.shared_hosts"):
        HOSTS.parse(host)
    name = host.partition(":")[0]
    assert HostRules("example.com", (name,), any_address=True).parse(host) is None


def test_address_is_a_shared_host_only_if_the_operator_allows_it() -> None:
    strict = HostRules("example.com", ("gateway.internal",), any_address=False)
    assert strict.parse("gateway.internal:80") is None
    for host in ("127.0.0.1", "[::1]", "localhost", "example.com"):
        with pytest.raises(ValueError, match="Host"):
            strict.parse(host)


@given(st.text(max_size=30))
def test_subdomain_of_any_host_is_one_plain_label(text: str) -> None:
    for host in (text, text + ".example.com", text + ".localhost:80"):
        try:
            label = HOSTS.parse(host)
        except ValueError:
            continue
        if label is not None:
            assert set(label) <= set(string.ascii_lowercase + string.digits + "-")
            assert 1 <= len(label) <= 63
            assert host.lower().startswith(label + ".")


# ---- the decision


def api_key(**more: Any) -> ApiKey:
    return ApiKey("k1", "mine", "gwk_9fK2mQ7x", "hash-1", **more)


def gateway(
    *rules: Rule, key: ApiKey | None = None, status: str = "active", fault: str | None = None
) -> Gateway:
    routes = [Route(rule, Target("http", "u", 80), {}, Plan(), fault=fault) for rule in rules]
    snapshot = Snapshot(Tenant("t1", "T", "t1", status=status))
    return Gateway(snapshot, Tier("pro"), {"hash-1": key or api_key()}, Router.build(routes))


def rule(path: str = "/v1", methods: Sequence[str] = (), **more: Any) -> Rule:
    return Rule("r", path, "http://u", methods=tuple(methods), **more)


def decide(
    tenant: Gateway | None,
    key_hash: str | None = "hash-1",
    *,
    has_key: bool = True,
    is_own: bool = False,
    method: str = "GET",
    path: str = "/v1/x",
) -> Admitted | Rejection:
    call = Call("t1", path, path, Headers(), has_key, key_hash, is_own)
    return admit(tenant, call, method, NOW)


def rejected(verdict: Admitted | Rejection) -> tuple[int, str]:
    assert isinstance(verdict, Rejection)
    return verdict.status, verdict.code


def admitted(verdict: Admitted | Rejection) -> Admitted:
    assert isinstance(verdict, Admitted)
    return verdict


def test_a_good_key_on_a_rule_is_admitted() -> None:
    verdict = admitted(decide(gateway(rule())))
    assert verdict.route.rule == rule()
    assert verdict.key == api_key()


def test_an_unknown_tenant_responds_as_an_unknown_key_does() -> None:
    known = gateway(rule())
    assert decide(None) == decide(None, None) == decide(known, "hash-2") == decide(known, None) == INVALID_KEY
    assert decide(None, None, has_key=False) == decide(known, None, has_key=False) == MISSING_KEY
    assert rejected(INVALID_KEY) == (401, "invalid_api_key")
    assert rejected(MISSING_KEY) == (401, "missing_api_key")


@pytest.mark.parametrize(
    ("path", "method"), [("/nothing", "GET"), ("/v1/x", "DELETE"), ("/v1/a%2Fb", "GET"), ("/v1/x", "GET")]
)
@pytest.mark.parametrize("status", ["active", "disabled"])
@pytest.mark.parametrize("fault", [None, "broken"])
def test_request_without_a_valid_key_is_rejected_for_the_key_only(
    path: str, method: str, status: str, fault: str | None
) -> None:
    tenant = gateway(rule(methods=["GET"]), status=status, fault=fault)
    assert decide(tenant, "hash-2", path=path, method=method) == INVALID_KEY
    assert decide(tenant, None, has_key=False, path=path, method=method) == MISSING_KEY


@pytest.mark.parametrize(
    ("key", "response"),
    [
        (api_key(revoked=True), (401, "api_key_revoked")),
        (api_key(revoked=True, expires_at=NOW - 1), (401, "api_key_revoked")),
        (api_key(expires_at=NOW), (401, "api_key_expired")),
        (api_key(scopes=(Scope.READ, Scope.ADMIN)), (403, "forbidden")),
        (api_key(scopes=()), (403, "forbidden")),
    ],
)
def test_a_key_must_be_active_and_for_the_proxy(key: ApiKey, response: tuple[int, str]) -> None:
    verdict = decide(gateway(rule(), key=key))
    assert rejected(verdict) == response
    assert isinstance(verdict, Rejection)
    assert key.hash not in verdict.message
    assert (verdict.status == 401) is ("WWW-Authenticate" in verdict.headers)


def test_a_key_lives_until_the_moment_of_its_expiry() -> None:
    assert admitted(decide(gateway(rule(), key=api_key(expires_at=NOW + 0.001))))


def test_a_public_rule_needs_no_key_and_takes_note_of_a_good_one() -> None:
    public = gateway(rule(public=True))
    assert admitted(decide(public, None, has_key=False)).key is None
    assert admitted(decide(public, "hash-2")).key is None
    assert admitted(decide(public, None)).key is None
    assert admitted(decide(public)).key == api_key()
    for bad in (api_key(revoked=True), api_key(expires_at=NOW), api_key(scopes=(Scope.READ,))):
        assert admitted(decide(gateway(rule(public=True), key=bad))).key is None


def test_a_public_rule_opens_no_other_path_and_no_other_method() -> None:
    tenant = gateway(rule("/open", ["GET"], public=True), rule("/open/closed"))
    assert admitted(decide(tenant, None, has_key=False, path="/open/x"))
    assert decide(tenant, None, has_key=False, path="/open/closed") == MISSING_KEY
    assert decide(tenant, None, has_key=False, path="/open/x", method="POST") == MISSING_KEY
    assert decide(tenant, None, has_key=False, path="/opened") == MISSING_KEY


@pytest.mark.parametrize(("public", "has_key"), [(False, True), (True, True), (True, False)])
def test_a_disabled_tenant_takes_nothing_public_or_not(public: bool, has_key: bool) -> None:
    tenant = gateway(rule(public=public), status="disabled")
    verdict = decide(tenant, "hash-1" if has_key else None, has_key=has_key)
    assert rejected(verdict) == (403, "tenant_disabled")


def test_an_unknown_path_is_404_and_an_unknown_method_405_with_allow() -> None:
    tenant = gateway(rule("/v1", ["POST", "GET"]))
    assert rejected(decide(tenant, path="/v1evil")) == (404, "no_matching_rule")
    verdict = decide(tenant, method="DELETE")
    assert rejected(verdict) == (405, "method_not_allowed")
    assert isinstance(verdict, Rejection)
    assert verdict.headers == {"Allow": "GET, POST"}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_encoded_slash_needs_a_rule_that_allows_it(method: str) -> None:
    closed = gateway(rule(methods=["GET"]))
    verdict = decide(closed, path="/v1/a%2Fb", method=method)
    assert rejected(verdict) == (400, "bad_request")
    assert isinstance(verdict, Rejection)
    assert "encoded_slashes" in verdict.message
    assert rejected(decide(closed, path="/x/a%2Fb")) == (404, "no_matching_rule")
    assert admitted(decide(gateway(rule(encoded_slashes="allow")), path="/v1/a%2Fb"))


def test_a_rule_that_cannot_be_used_lets_nothing_through() -> None:
    for public in (False, True):
        verdict = decide(gateway(rule(public=public), fault="No such plugin in /secret/place."))
        assert rejected(verdict) == (503, "config_unavailable")
        assert isinstance(verdict, Rejection)
        assert "secret" not in verdict.message
        assert "Retry-After" in verdict.headers


# ---- rules with the client's own credential


def test_client_rule_takes_the_gateway_key_in_its_own_header_only() -> None:
    tenant = gateway(rule(credential="client"))
    assert admitted(decide(tenant, is_own=True)).key == api_key()
    assert decide(tenant) == OWN_HEADER_NEEDED
    assert decide(tenant, "hash-2") == INVALID_KEY
    assert decide(tenant, None, has_key=False) == MISSING_KEY


def test_public_client_rule_needs_no_gateway_key() -> None:
    public = gateway(rule(credential="client", public=True))
    assert admitted(decide(public, None)).key is None
    assert admitted(decide(public)).key is None
    assert admitted(decide(public, is_own=True)).key == api_key()


# ---- the head as a whole


def read(target: str, *items: tuple[str, str]) -> Call | Rejection:
    return read_call(Headers([("Host", "t1.example.com"), *items]), target, HOSTS, HASHER, "me")


def test_key_leaves_query_and_stray_headers_before_plugins_see_them() -> None:
    call = read(f"/v1/x?a=1&key={KEY}&b=%20", ("X-Note", KEY), ("X-Api-Key", KEY))
    assert isinstance(call, Call)
    assert (call.key_hash, call.target) == (HASHER(KEY), "/v1/x?a=1&b=%20")
    assert "x-note" not in call.headers
    assert call.headers["x-api-key"] == KEY


def test_head_without_stray_keys_stays_the_same_object() -> None:
    headers = Headers([("Host", "t1.example.com"), ("Authorization", f"Bearer {KEY}")])
    target = "/v1/x?a=%20"
    call = read_call(headers, target, HOSTS, HASHER, "me")
    assert isinstance(call, Call)
    assert call.headers is headers
    assert call.target == target


@pytest.mark.parametrize("path", [f"/v1/{KEY}/x", f"/bot{KEY}", f"/v1/{KEY.replace('_', '%5F')}"])
def test_path_with_a_key_is_rejected(path: str) -> None:
    rejection = read(path)
    assert isinstance(rejection, Rejection)
    assert (rejection.status, rejection.code) == (400, "bad_request")
    assert KEY not in rejection.message


# ---- preflights of browsers

PAGE = Cors(("https://app.example",))
ASKED = (("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"))


def with_cors(*rules: Rule, tenant: Cors | None = None) -> Gateway:
    routes = [Route(one, Target("http", "u", 80), {}, Plan(), cors=one.cors or tenant) for one in rules]
    snapshot = Snapshot(Tenant("t1", "T", "t1", cors=tenant))
    return Gateway(snapshot, Tier("pro"), {}, Router.build(routes), has_cors=True)


def asked(
    tenant: Gateway | None, path: str = "/v1/x", subdomain: str | None = "t1", **more: Any
) -> Response | None:
    call = Call(subdomain, path, path, Headers(ASKED), more.get("has_key", False), None)
    return preflight(tenant, call, more.get("method", "OPTIONS"))


def test_preflight_is_answered_without_a_key() -> None:
    response = asked(with_cors(rule(cors=PAGE)))
    assert response is not None
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_preflight_to_a_tenant_without_cors_is_an_ordinary_request() -> None:
    assert asked(None) is None
    assert asked(gateway(rule())) is None
    assert asked(with_cors(rule("/open", cors=PAGE), rule("/closed")), "/closed/x") is None
    assert asked(with_cors(rule(cors=PAGE)), method="GET") is None


def test_preflight_under_a_shared_host_names_no_page() -> None:
    response = asked(None, subdomain=None)
    assert response is not None
    assert (response.status, [name for name, _ in response.headers]) == (204, ["Vary"])
    assert asked(None, subdomain=None, has_key=True) is None


def test_cors_of_a_path_is_that_of_its_rule_else_the_tenants() -> None:
    own = Cors(("https://own.example",))
    tenant = with_cors(rule("/own", ["POST"], cors=own), rule("/v1"), tenant=PAGE)
    assert cors_of(tenant, "/own/x", "POST") == cors_of(tenant, "/own/x", "GET") == own
    assert cors_of(tenant, "/v1/x", "GET") == cors_of(tenant, "/nothing", "GET") == PAGE
