"""A request gets the response that it would get on a connection of its own, whatever went before it.

The engine does not parse a head again that a client repeats on its connection.
"""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance import head_rows
from tests.conformance.test_heads_accepted import ROWS as ACCEPTED
from tests.conformance.wire import PATH, Wire
from tests.support.client import Response
from tests.support.gateway import TenantInUse
from tests.support.wait import until

REJECTED = (*head_rows.HOSTS, *head_rows.LINES, *head_rows.FIELDS, *head_rows.FRAMING, *head_rows.CHUNKS)
#: Headers of a response, and of a request to the upstream, that differ each time.
_NEW = re.compile(rb"(?i)\r\n(x-request-id|date): [^\r\n]*")
_IN_BODY = re.compile(rb'"request_id": ?"[^"]*"')


@pytest.fixture(scope="module", params=["express"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shown(response: Response) -> tuple[object, ...]:
    """All of a response but its id."""
    fields = sorted(field for field in response.headers if field[0].lower() not in ("x-request-id", "date"))
    return response.status, fields, _IN_BODY.sub(b"", response.body), response.cut


def outcome(wire: Wire, raw: bytes, *before: bytes) -> tuple[object, ...]:
    """The response to `raw` after the requests `before`, whether the connection ends, and what went upstream."""
    client = wire.client()
    for request in before:
        assert client.ask(request).status == 200
    wire.upstream.forget()
    response = client.ask(raw)
    rest = client.rest() if response.closes else None
    sent = [(_NEW.sub(b"", seen.head), seen.body) for seen in wire.upstream.received]
    client.close()
    return shown(response), rest, sent


def filled(wire: Wire, raw: bytes) -> bytes:
    return raw.replace(b"HOST", wire.tenant.host.encode()).replace(b"KEY", wire.tenant.key.encode())


def test_request_is_served_as_on_a_connection_of_its_own(wire: Wire) -> None:
    good = wire.post(b"hello")
    different = []
    for row in ACCEPTED:
        raw = filled(wire, row.line + b"\r\n" + row.fields + b"Authorization: Bearer KEY\r\n\r\n") + row.body
        alone = outcome(wire, raw)
        if b"HTTP/1.0" not in raw and outcome(wire, raw, raw, raw) != alone:
            different.append(f"{row.name}, repeated")
        if outcome(wire, raw, good, good) != alone:
            different.append(row.name)
    for fault in REJECTED:
        raw = filled(wire, fault.raw)
        if outcome(wire, raw, good, good) != outcome(wire, raw):
            different.append(fault.name)
    assert different == []


@pytest.mark.parametrize("name", ["X-Request-ID", "traceparent", "x-stainless-retry-count", "Content-Length"])
@pytest.mark.parametrize(
    "value", ["3", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "gwk_" + "a" * 57, "a b", ""]
)
def test_value_that_may_vary_is_judged_anew(wire: Wire, name: str, value: str) -> None:
    def call(text: str) -> bytes:
        body = b"abc" if name != "Content-Length" or text == "3" else b""
        length = "" if name == "Content-Length" else f"Content-Length: {len(body)}"
        fields = [one for one in (length, f"{name}: {text}") if one]
        return wire.head("POST", PATH, *fields) + body

    first = {"Content-Length": "0", "x-stainless-retry-count": "0"}.get(
        name, "00-" + "1" * 32 + "-" + "2" * 16 + "-00"
    )
    assert outcome(wire, call(value), call(first), call(first)) == outcome(wire, call(value))


@pytest.mark.parametrize(
    "first", [[], ["a-1"], ["a b"], ["a-1", "b-2"]], ids=["none", "valid", "invalid", "two"]
)
@pytest.mark.parametrize("then", ["a-1", "c-3", "a b", "gwk_" + "a" * 57])
def test_request_of_a_repeated_head_has_its_own_id(wire: Wire, first: list[str], then: str) -> None:
    client = wire.client()

    def identity(*ids: str) -> str | None:
        raw = wire.head("GET", PATH, *[f"X-Request-ID: {one}" for one in ids])
        response = client.ask(raw)
        assert response.status == 200
        assert wire.upstream.received[-1].all("x-request-id") == response.all("x-request-id")
        return response.get("x-request-id")

    before = [identity(*first) for _ in range(3)]
    assert len(set(before)) == (1 if first in (["a-1"], ["a-1", "b-2"]) else 3)
    found = [identity(*first[:-1], then) if first else identity() for _ in range(2)]
    expected = first[0] if len(first) == 2 else then
    is_valid = bool(first) and " " not in expected and not expected.startswith("gwk_")
    assert found == [expected] * 2 if is_valid else len({*found, *before}) == 5 - (first == ["a-1"]) * 2


def keyed(tenant: TenantInUse, key: str) -> bytes:
    line = f"GET {PATH} HTTP/1.1\r\nHost: {tenant.host}\r\nAuthorization: Bearer {key}\r\n\r\n"
    return line.encode()


def test_two_keys_that_take_turns_on_a_connection_are_told_apart(wire: Wire) -> None:
    path = f"/tenants/{wire.tenant.id}/api-keys"
    other = wire.gateway.call("POST", path, json={"name": "other"}).json()
    client, seen = wire.client(), []
    for _ in until(2.0):
        if wire.ask(keyed(wire.tenant, other["api_key"])).status == 200:
            break
    wire.upstream.forget()
    for key in (wire.tenant.key, wire.tenant.key, other["api_key"], other["api_key"], wire.tenant.key):
        assert client.ask(keyed(wire.tenant, key)).status == 200
        seen.append(wire.upstream.received[-1].get("x-consumer-id"))
    assert seen[0] == seen[1] == seen[4] != seen[2] == seen[3] == other["id"]


@pytest.mark.parametrize(
    ("method", "path", "document", "status"),
    [
        ("DELETE", "/api-keys/{key}", None, 401),
        ("PATCH", "", {"status": "disabled"}, 403),
        ("PATCH", "/rules/{rule}", {"methods": ["POST"]}, 405),
        ("DELETE", "/rules/{rule}", None, 404),
    ],
    ids=["a revoked key", "a disabled tenant", "a changed rule", "a rule that is gone"],
)
def test_repeated_request_sees_a_change_of_the_configuration(
    wire: Wire, method: str, path: str, document: dict[str, object] | None, status: int
) -> None:
    tenant = wire.gateway.create_tenant()
    rule = tenant.create_rule(PATH, wire.upstream.url)
    base = f"/tenants/{tenant.id}"
    client, call = wire.client(), keyed(tenant, tenant.key)
    assert [client.ask(call).status for _ in range(3)] == [200] * 3
    key = wire.upstream.received[-1].get("x-consumer-id")
    reply = wire.gateway.call(method, base + path.format(key=key, rule=rule["id"]), json=document)
    assert reply.status_code < 300, reply.text
    for _ in until(2.0):
        if (found := client.ask(call).status) != 200:
            break
    assert found == status


def test_repeated_request_sees_that_its_key_expires(wire: Wire) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    body = {"name": "short", "expires_at": soon.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    reply = wire.gateway.call("POST", f"/tenants/{wire.tenant.id}/api-keys", json=body)
    assert reply.status_code == 201, reply.text
    client, call = wire.client(), keyed(wire.tenant, reply.json()["api_key"])
    statuses = []
    for _ in until(5.0):
        statuses.append(client.ask(call).status)
        if statuses[-1] != 200 and 200 in statuses:
            break
    assert statuses.count(200) > 2
    assert statuses[-1] == 401
