"""The headers of a client for the upstream, and of an upstream for the client."""

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.http_tokens import HOP_BY_HOP, MASK
from shared.http.forwarding import (
    CREDENTIALS,
    OwnHeaders,
    client_head,
    identity_fields,
    is_identity,
    passed_here,
    plugin_view,
    upstream_head,
)
from shared.model.messages import Headers
from shared.providers.headers import DROP, HIDDEN, PASS, with_prefix

IDENTITY = {
    "X-Request-ID": "id-1",
    "X-Forwarded-For": "192.0.2.1",
    "X-Tenant-Id": "t1",
    "X-Consumer-Id": "k1",
}
WHO = identity_fields("id-1", "192.0.2.1", "t1", "k1")
OURS = {name.lower() for name in IDENTITY} | {"via"}

#: The characters of a name besides letters and digits; a CGI server reads each of them as an underscore.
MARKS = "!#$%&'*+-.^_`|~"
Items = list[tuple[str, str]]


def forwarded(*sent: tuple[str, str], own: Mapping[str, str] | None = None) -> Items:
    """The head that goes upstream when no plugin changed anything."""
    head = Headers(sent)
    added = OwnHeaders(own or {})
    seen = list(upstream_head(plugin_view(head), head, added, via="gateway-1"))
    assert list(upstream_head(head, head, added, via="gateway-1")) == seen
    return [*seen, *Headers.of(WHO)]


def clients(head: Iterable[tuple[str, str]]) -> Items:
    """The headers that are not the gateway's own."""
    return [(name, value) for name, value in head if name.lower() not in OURS]


def spellings(name: str) -> list[str]:
    return [
        spelled
        for text in (name, name.lower(), name.upper())
        for spelled in (text, text.replace("-", "_", 1), *(text.replace("-", mark) for mark in MARKS))
    ]


def test_ordinary_headers_travel_unchanged_in_order_and_repeated() -> None:
    items = [
        *(("Accept", "text/event-stream"), ("X-Trace", "a"), ("x-trace", "b"), ("Cookie", "c=1")),
        *(("anthropic-version", "2023-06-01"), ("X-Note", MASK)),
    ]
    assert clients(forwarded(*items)) == items


@pytest.mark.parametrize(
    "name",
    [
        *("X-Tenant-Id", "X-Tenant-Name", "X-Consumer-Id", "X-Consumer-Scopes", "X-Gateway-Trace"),
        *("X-Gateway-Anything", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"),
        *("X-Request-ID", "Forwarded", "X-Original-URL", "X-Rewrite-URL"),
    ],
)
def test_headers_reserved_for_the_gateway_are_dropped_in_every_spelling(name: str) -> None:
    for spelled in spellings(name):
        head = forwarded((spelled, "spoofed"))
        assert clients(head) == []
        assert "spoofed" not in dict(head).values()
        assert [item for item in head if item[0] in IDENTITY] == list(IDENTITY.items())


@pytest.mark.parametrize("name", ["X-Tenants", "X-Consumerism", "My-X-Tenant-Id", "X-Forward", "Tenant-Id"])
def test_names_that_only_look_alike_stay(name: str) -> None:
    assert clients(forwarded((name, "1"))) == [(name, "1")]
    assert not is_identity(name)


@given(
    st.sampled_from(["gateway", "tenant", "consumer"]),
    st.text("-_.", min_size=2, max_size=2),
    st.text("aZ09-_.", max_size=8),
    st.booleans(),
)
def test_identity_headers_are_dropped_in_every_spelling(
    kind: str, marks: str, rest: str, upper: bool
) -> None:
    name = f"x{marks[0]}{kind}{marks[1]}{rest}"
    name = name.upper() if upper else name
    assert is_identity(name)
    assert clients(forwarded((name, "spoofed"))) == []


@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_the_clients_credentials_are_masked_for_plugins_and_never_travel(name: str) -> None:
    for spelled in spellings(name):
        view = plugin_view(Headers([(spelled, "Bearer gwk_secret")]))
        assert view[spelled] == MASK
        assert clients(forwarded((spelled, "Bearer gwk_secret"), (spelled, "again"))) == []


def test_plugins_see_everything_else_as_it_was_sent() -> None:
    items = [("X-Sig", "1"), ("X-Tenant-Id", "t2"), ("Via", "1.1 other"), ("Transfer-Encoding", "chunked")]
    items.append(("Host", "a"))
    assert list(plugin_view(Headers(items))) == items


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP - {"transfer-encoding", "proxy-authorization"}))
def test_plugins_do_not_see_a_header_of_the_connection(name: str) -> None:
    for spelled in spellings(name.title()):
        assert list(plugin_view(Headers([(spelled, "x"), ("X-A", "1")]))) == [("X-A", "1")]


def test_plugins_do_not_see_headers_that_connection_names_away() -> None:
    named = [("Connection", "keep-alive, X-Team"), ("connection", "x-b"), ("X-Team", "1"), ("X-B", "2")]
    assert list(plugin_view(Headers([*named, ("X-C", "3"), ("Cookie", "a=1")]))) == [
        ("X-C", "3"),
        ("Cookie", "a=1"),
    ]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | {"host", "content-length", "expect"}))
def test_hop_by_hop_headers_framing_and_host_do_not_travel(name: str) -> None:
    for spelled in spellings(name.title()):
        assert clients(forwarded((spelled, "x"))) == []


def test_headers_that_connection_names_do_not_travel() -> None:
    named = [("Connection", "close, X-Hop ,"), ("connection", "x-other"), ("X-Hop", "1"), ("x-other", "2")]
    assert clients(forwarded(*named, ("X-Stays", "3"))) == [("X-Stays", "3")]
    # Taking the header Connection away does not bring back what it named.
    sent = Headers([("Connection", "X-Hop"), ("X-Hop", "1")])
    seen = plugin_view(sent).patched({}, ["connection"])
    assert clients(upstream_head(seen, sent, OwnHeaders({}), via="g")) == []


_NAMES = st.sampled_from(
    [*sorted(HOP_BY_HOP | CREDENTIALS), "X-Team", "x_team", "X-Request-ID", "Via", "Accept"]
)
_VALUES = st.sampled_from(["1", MASK, "X-Team, authorization", "close, via", ""])


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))
def test_head_that_no_plugin_changed_is_forwarded_as_if_none_had_seen_it(
    items: list[tuple[str, str]],
) -> None:
    sent, own = Headers(items), OwnHeaders({"X-Team": "own"})
    for kept in ((), tuple(field for field in sent.fields if field[0].decode() in CREDENTIALS)):
        seen = upstream_head(plugin_view(sent), sent, own, via="g", credentials=kept)
        assert seen == upstream_head(sent, sent, own, via="g", credentials=kept)


@pytest.mark.parametrize("name", ["X-Request-ID", "Content-Type", "Content-Encoding", "Cookie"])
def test_connection_names_no_header_away_that_plugins_judge(name: str) -> None:
    head = forwarded(("Connection", name.lower()), (name, "kept"))
    assert name in dict(head)


def test_connection_names_no_header_away_that_a_plugin_set() -> None:
    sent = Headers(
        [("Connection", "X-Policy, Authorization"), ("X-Policy", "weak"), ("Authorization", "Bearer g")]
    )
    seen = plugin_view(sent).patched(
        {"X-Policy": "strict", "Authorization": "Bearer upstream"}, ["Connection"]
    )
    head = upstream_head(seen, sent, OwnHeaders({}), via="gateway-1")
    assert clients(head) == [("X-Policy", "strict"), ("Authorization", "Bearer upstream")]


def test_a_rules_own_headers_replace_the_clients_in_every_spelling() -> None:
    own = {"Authorization": "Bearer upstream", "X-API-Key": "upstream", "x-org": "acme"}
    sent = [("Authorization", "Bearer client"), ("x_api_key", "client"), ("X-Org", "client")]
    assert clients(forwarded(*sent, own=own)) == list(own.items())


def test_a_rules_own_headers_do_not_replace_the_gateways() -> None:
    head = forwarded(own={"X-Forwarded-For": "10.0.0.1", "x_tenant_id": "t2"})
    assert clients(head) == []
    assert [item for item in head if item[0] in IDENTITY] == list(IDENTITY.items())


def test_via_header_gains_one_entry_and_a_plugin_cannot_shorten_it() -> None:
    assert dict(forwarded())["Via"] == "1.1 gateway-1"
    sent = Headers([("Via", "1.0 a"), ("VIA", "1.1 b, 1.1 c")])
    seen = plugin_view(sent).patched({"Via": "nothing"})
    head = upstream_head(seen, sent, OwnHeaders({"Via": "nothing"}), via="gateway-1")
    assert [value for name, value in head if name == "Via"] == ["1.0 a, 1.1 b, 1.1 c, 1.1 gateway-1"]


@pytest.mark.parametrize(
    ("via", "looped"),
    [
        ([], False),
        (["1.1 other"], False),
        (["1.1 gateway-1"], True),
        (["1.0 a, HTTP/1.1 gateway-1 (comment), 1.1 b"], True),
        (["1.0 a", "1.1   gateway-1"], True),
        (["1.1 gateway-10"], False),
        (["gateway-1"], False),
        ([",, ,"], False),
    ],
)
def test_a_request_that_was_here_before_is_known_by_its_via(via: list[str], looped: bool) -> None:
    assert passed_here(Headers(("Via", entry) for entry in via), "gateway-1") is looped
    assert passed_here(Headers(forwarded(*(("Via", entry) for entry in via))), "gateway-1")


SESSION = "ai_gateway_session=s3aled"


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        (SESSION, []),
        (f"__Host-{SESSION}", []),
        (f"a=1; {SESSION}; b=2", ["a=1; b=2"]),
        (f"{SESSION};a=1", ["a=1"]),
        (f"a=1; __Host-{SESSION}; {SESSION}", ["a=1"]),
        ("ai_gateway_session", []),
        (f" ai_gateway_session =x;  a={SESSION}", [f"a={SESSION}"]),
        ("a=1;  b=2;", ["a=1;  b=2;"]),
        (f"my_{SESSION}; {SESSION}2=x", [f"my_{SESSION}"]),
        (f"a=1; ={SESSION}; = __Host-{SESSION}", ["a=1"]),
        ("", [""]),
    ],
)
def test_sessions_of_the_dashboard_reach_neither_plugins_nor_upstreams(sent: str, left: list[str]) -> None:
    head = Headers([("cookie", sent), ("X-A", "1")])
    assert plugin_view(head).all("cookie") == tuple(left)
    assert [value for name, value in forwarded(*head) if name == "cookie"] == left


def test_session_of_the_dashboard_that_a_plugin_set_does_not_travel() -> None:
    head = Headers([("X-A", "1")])
    changed = Headers([("X-A", "1"), ("Cookie", f"a=1; {SESSION}")])
    assert upstream_head(changed, head, OwnHeaders({}), via="g").all("cookie") == ("a=1",)


@pytest.mark.parametrize(
    "name",
    [
        *("__Host-ai_gateway_session", "ai_gateway_session", " ai_gateway_session "),
        # A cookie without a name: browsers send its value alone, which is a name and a value for us.
        *("=ai_gateway_session", " = ai_gateway_session", "==ai_gateway_session"),
    ],
)
def test_upstream_cannot_set_a_session_of_the_dashboard(name: str) -> None:
    items = [
        ("Set-Cookie", "a=1"),
        ("set-cookie", f"{name}=x; Path=/"),
        ("Set-Cookie", "b=ai_gateway_session=1"),
    ]
    assert list(client_head(Headers(items), HIDDEN[DROP])) == [items[0], items[2]]


# ---- the answer


def test_headers_of_a_response_stay_in_order_and_repeated() -> None:
    cookies = [("Set-Cookie", "a=1"), ("Content-Type", "text/plain"), ("set-cookie", "b=2")]
    items = [*cookies, ("Retry-After", "7")]
    assert list(client_head(Headers(items), HIDDEN[DROP])) == items


@pytest.mark.parametrize(
    "name",
    [
        *sorted(HOP_BY_HOP - {"transfer-encoding"}),
        *("X-RateLimit-Limit", "x-ratelimit-remaining-requests", "X-Rate-Limit-Reset", "RateLimit"),
        *("RateLimit-Policy", "anthropic-ratelimit-tokens-remaining", "X-Gateway-Error-Source"),
        *("X_Gateway_Error_Source", "X-Tenant-Id"),
    ],
)
def test_response_headers_that_clients_must_not_see_are_dropped(name: str) -> None:
    assert list(client_head(Headers([(name, "x"), ("Server", "u")]), HIDDEN[DROP])) == [("Server", "u")]


def test_rate_limits_of_the_upstream_pass_or_get_a_prefix_by_choice() -> None:
    items = [("x-ratelimit-remaining-requests", "9"), ("Server", "u"), ("X-Gateway-Model", "me")]
    passing = client_head(Headers(items), HIDDEN[PASS])
    assert list(passing) == items[:2]
    assert list(with_prefix(passing)) == [("X-Upstream-x-ratelimit-remaining-requests", "9"), ("Server", "u")]


def test_an_upstreams_connection_header_names_away_what_it_may() -> None:
    items = [
        ("Connection", "x-hop, transfer-encoding, content-length, content-type, x-forwarded-a"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Type", "text/plain"),
        ("X-Forwarded-A", "1"),
    ]
    assert list(client_head(Headers(items), HIDDEN[DROP])) == items[2:]


def test_a_request_without_a_key_names_no_consumer() -> None:
    who = dict(Headers.of(identity_fields("id-1", "::1", "t1", None)))
    assert who == {"X-Request-ID": "id-1", "X-Forwarded-For": "::1", "X-Tenant-Id": "t1"}


def test_upstream_that_is_not_told_who_calls_gets_the_clients_request_id_only() -> None:
    sent = Headers([("X-Request-ID", "mine"), ("X-Forwarded-For", "203.0.113.9"), ("x_tenant_id", "t2")])
    head = dict(upstream_head(sent, sent, OwnHeaders({}, who=False), via="g"))
    assert head == {"X-Request-ID": "mine", "Via": "1.1 g"}


OWN_KEY = ((b"Authorization", b"Bearer sk-own"), (b"x-api-key", b"sk-two"))


def test_own_credentials_of_the_client_are_forwarded_on_request() -> None:
    sent = Headers.of((*OWN_KEY, (b"X-A", b"1"), (b"Proxy-Authorization", b"x")))
    for seen in (sent, plugin_view(sent)):
        head = upstream_head(seen, sent, OwnHeaders({}), via="g", credentials=OWN_KEY)
        assert sorted(clients(head)) == [
            ("Authorization", "Bearer sk-own"),
            ("X-A", "1"),
            ("x-api-key", "sk-two"),
        ]


def test_own_credential_that_a_plugin_removed_or_set_is_not_forwarded() -> None:
    sent = Headers.of(OWN_KEY)
    seen = plugin_view(sent).patched({"Authorization": "Bearer plugin"}, ["x-api-key"])
    head = upstream_head(seen, sent, OwnHeaders({}), via="g", credentials=OWN_KEY)
    assert clients(head) == [("Authorization", "Bearer plugin")]


@pytest.mark.parametrize("name", ["Content-Type", "content_encoding", "CONTENT-LANGUAGE"])
def test_a_stored_rule_cannot_change_how_the_upstream_reads_what_was_judged(name: str) -> None:
    assert OwnHeaders({name: "x", "X-A": "1"}).fields == ((b"X-A", b"1"),)
