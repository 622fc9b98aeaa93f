"""The whole head that goes to the upstream of a rule."""

from dataclasses import replace

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from shared.model.config import ApiKey, Rule, Snapshot, Tenant, Tier
from shared.model.messages import Headers
from shared.model.targets import parse_target
from shared.pipeline.plan import Plan
from shared.routing.admission import Admitted
from shared.routing.compile import Gateway, Route
from shared.routing.outgoing import ForwardedRequest, LastOutgoing, OutgoingRequest, outgoing
from shared.routing.router import Router
from shared.secrets.api_keys import mint_key

SENT = Headers([("Host", "t1.example.com"), ("X-A", "1")])
KEY = ApiKey("key_1", "", "gwk_", "hash")


def admitted(key: ApiKey | None = KEY, **rule: object) -> Admitted:
    made = Rule("r1", "/v1", "https://up.example/base", **rule)  # type: ignore[arg-type]
    gateway = Gateway(Snapshot(Tenant("t1", "T", "t1")), Tier("pro"), {}, Router())
    return Admitted(gateway, Route(made, parse_target(made.target), {}, Plan()), key)


def made(
    given: Admitted,
    method: str = "GET",
    body: bytes = b"",
    sent: Headers = SENT,
    path: str = "/v1/x",
    target: bytes = b"/v1/x",
) -> OutgoingRequest:
    forwarded = ForwardedRequest(given, method, path, sent, sent, target, "id", "192.0.2.1", "me")
    return outgoing(forwarded, given.route.upstream, body)


def fields(given: Admitted, method: str = "GET", body: bytes = b"") -> dict[bytes, bytes]:
    return dict(made(given, method, body).fields)


def test_upstream_request_names_tenant_key_and_client_address() -> None:
    told = fields(admitted())
    assert (told[b"X-Tenant-Id"], told[b"X-Consumer-Id"], told[b"X-Forwarded-For"]) == (
        b"t1", b"key_1", b"192.0.2.1",
    )  # fmt: skip
    assert told[b"X-Request-ID"] == b"id"
    assert b"X-Consumer-Id" not in fields(admitted(key=None))


def test_upstream_that_is_not_told_who_calls_gets_the_loop_mark_only() -> None:
    given = admitted()
    sent = Headers([*SENT, ("X-Request-ID", "mine"), ("X-Tenant-Id", "spoofed")])
    request = made(replace(given, route=replace(given.route, sends_identity=False)), sent=sent)
    assert dict(request.fields) == {
        b"Host": b"up.example", b"X-A": b"1", b"X-Request-ID": b"mine", b"Via": b"1.1 me",
    }  # fmt: skip


def test_client_rule_forwards_the_clients_credentials_and_no_gateway_key() -> None:
    key = mint_key(lambda count: bytes(range(count))).text
    sent = Headers([*SENT, ("Authorization", "Bearer sk-own"), ("X-Gateway-Key", key), ("x-api-key", key)])

    def credentials(credential: str) -> dict[bytes, bytes]:
        told = dict(made(admitted(credential=credential), sent=sent).fields)
        return {
            name: value for name, value in told.items() if name.lower().endswith((b"key", b"authorization"))
        }

    assert credentials("client") == {b"Authorization": b"Bearer sk-own"}
    assert credentials("provider") == {}


def test_the_host_is_the_targets_unless_the_rule_keeps_the_clients() -> None:
    assert fields(admitted())[b"Host"] == b"up.example"
    assert fields(admitted(preserve_host=True))[b"Host"] == b"t1.example.com"


def test_content_length_is_sent_where_a_body_exists_or_is_expected() -> None:
    assert fields(admitted(), "POST")[b"Content-Length"] == b"0"
    assert fields(admitted(), "DELETE", b"abc")[b"Content-Length"] == b"3"
    assert b"Content-Length" not in fields(admitted(), "GET")


def test_an_upstream_whose_events_are_judged_is_asked_for_plain_ones() -> None:
    def asked(plan: Plan, headers: dict[str, str]) -> list[bytes]:
        given = admitted()
        route = replace(given.route, plan=plan, headers=headers)
        sent = Headers([*SENT, ("Accept-Encoding", "gzip, br")])
        request = made(replace(given, route=route), sent=sent)
        return [value for name, value in request.fields if name.lower() == b"accept-encoding"]

    assert asked(Plan(judges_bodies=True), {}) == [b"identity"]
    assert asked(Plan(judges_bodies=True), {"Accept-Encoding": "br"}) == [b"br"]
    assert asked(Plan(judges_bodies=True, buffers=True), {}) == [b"gzip, br"]
    assert asked(Plan(), {}) == [b"gzip, br"]


def test_a_client_cannot_ask_for_a_part_of_a_response_that_is_judged() -> None:
    names = ["Range", "If_Range", "X-Range", "Request-Range", "request~range"]

    def asked(plan: Plan) -> list[bytes]:
        given = admitted()
        sent = Headers([*SENT, *((name, "bytes=0-9") for name in names)])
        request = made(replace(given, route=replace(given.route, plan=plan)), sent=sent)
        return [name for name, _ in request.fields if b"range" in name.lower()]

    assert asked(Plan(judges_bodies=True)) == asked(Plan(judges_bodies=True, buffers=True)) == [b"X-Range"]
    assert asked(Plan()) == [name.encode() for name in names]


def test_the_query_goes_through_as_it_came() -> None:
    assert made(admitted(), target=b"/v1//x?a=%20b&c").path == b"/base/v1/x?a=%20b&c"
    assert made(admitted(), target=b"/v1/x?").path == b"/base/v1/x?"
    assert made(admitted(strip_path=True)).path == b"/base/x"


def test_outgoing_request_has_method_target_and_body() -> None:
    request = made(admitted(), "PUT", b"abc", target=b"/v1/x?a")
    assert (request.method, request.body, request.target.host) == ("PUT", b"abc", "up.example")
    assert request.url == "https://up.example/base/v1/x?a"


_TAKEN = (
    "key", "$key", "%6Bey", "KEY", "api-key", "api_key", "apiKey", "access_token", "oauth_token", "x-goog-api-key",
    "subscription-key", "$userProject", "quotaUser", "$httpHeaders", "X-Amz-Security-Token", "key[]", "a;key",
)  # fmt: skip


@pytest.mark.parametrize("name", _TAKEN)
def test_a_credential_of_the_client_in_the_query_does_not_come_beside_the_key_of_the_upstream(
    name: str,
) -> None:
    given = admitted()
    route = replace(given.route, headers={"x-goog-api-key": "AIza-ours"})
    target = f"/v1/x?beta=true&{name}=theirs&a=%20b".encode()
    assert made(replace(given, route=route), target=target).path == b"/base/v1/x?beta=true&a=%20b"
    alone = f"/v1/x?{name}=theirs".encode()
    assert made(replace(given, route=route), target=alone).path == b"/base/v1/x"
    for other in (admitted(), admitted(credential="client")):
        assert made(other, target=target).path == b"/base" + target


_VALUES = {
    "X-Request-ID": st.sampled_from(["id-1", "id-2"]),
    "traceparent": st.sampled_from(
        ["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "c" * 32 + "-" + "d" * 16 + "-00"]
    ),
    "x-stainless-retry-count": st.sampled_from(["0", "1"]),
    "Content-Length": st.sampled_from(["0", "3"]),
}
_OTHERS = st.sampled_from(
    [("X-A", "1"), ("Authorization", "Bearer t"), ("Connection", "x-a"), ("Via", "1.0 p"), ("X-Tenant-Id", "no"), ("Accept", "a"), ("Accept", "b")]
)  # fmt: skip


@st.composite
def repeated_heads(draw: st.DrawFn) -> tuple[Headers, Headers]:
    """Two heads that differ in the values that may vary."""
    names: list[tuple[str, str] | str] = draw(
        st.lists(_OTHERS | st.sampled_from(list(_VALUES)), max_size=6)  # type: ignore[arg-type]
    )
    first: list[tuple[str, str]] = [("Host", "t1.example.com")]
    second = list(first)
    for name in names:
        values = (
            (name, name) if isinstance(name, tuple) else tuple([(name, draw(_VALUES[name])) for _ in "ab"])
        )
        first.append(values[0])
        second.append(values[1])
    head = Headers(first)
    # The engine keeps the fields that have not changed.
    again = tuple(
        [old if old == new else new for old, new in zip(head.fields, Headers(second).fields, strict=True)]
    )
    head.by_name()
    return head, head.renewed(again)


@drawn(repeated_heads(), st.booleans(), st.booleans(), st.sampled_from(["client", "provider"]), st.booleans())
def test_repeated_head_becomes_what_it_would_alone(
    heads: tuple[Headers, Headers], is_told: bool, keeps_host: bool, credential: str, has_key: bool
) -> None:
    call = admitted(KEY if has_key else None, preserve_host=keeps_host, credential=credential)
    call = replace(call, route=replace(call.route, sends_identity=is_told))
    first, second = [
        ForwardedRequest(call, "POST", "/v1/x", head, head, b"/v1/x?a", f"id-{number}", "192.0.2.1", "me")
        for number, head in enumerate(heads)
    ]
    upstream = call.route.upstream
    last = LastOutgoing(first, upstream)
    for forwarded, body in ((first, b""), (second, b"abc"), (first, b"ab")):
        whole = outgoing(forwarded, upstream, body)
        assert last.fields(forwarded.sent.fields, forwarded.request_id, len(body)) == whole.fields
        assert last.path == whole.path


def test_what_a_head_became_is_for_one_rule_key_and_upstream() -> None:
    call, other = admitted(), admitted()
    upstream = call.route.upstream
    last = LastOutgoing(ForwardedRequest(call, "GET", "/", SENT, SENT, b"/", "id", "::1", "me"), upstream)
    assert last.is_for(replace(call), upstream)
    assert not last.is_for(replace(call, route=other.route), upstream)
    assert not last.is_for(replace(call, key=None), upstream)
    assert not last.is_for(call, other.route.upstream)
