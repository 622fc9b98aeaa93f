"""Flows that are built from the wire are mitmproxy's own: copied, dumped and shown like any other."""

import io
from asyncio import BaseTransport

from mitmproxy import connection, http
from mitmproxy.addons.savehar import SaveHar
from mitmproxy.io import FlowReader, FlowWriter

from mitm_engine.exchange.flows import EngineFlow, make_client, make_flow, make_response
from mitm_engine.http1.request_reader import Incoming

UNROUTED_URL = ("gateway.invalid", 80)


def incoming() -> Incoming:
    made = Incoming()
    made.method, made.target, made.version = b"POST", b"/v1?x=1", b"HTTP/1.1"
    made.fields = ((b"Host", b"a.example.com"), (b"Accept", b"a"), (b"Accept", b"b"))
    return made


def flow() -> http.HTTPFlow:
    transport = BaseTransport({"peername": ("127.0.0.1", 5000), "sockname": ("127.0.0.1", 8081)})
    client = make_client(transport, UNROUTED_URL)
    return make_flow(EngineFlow(), client, connection.Server(address=UNROUTED_URL), incoming(), UNROUTED_URL)


def whole_flow() -> http.HTTPFlow:
    made = flow()
    made.request.data.content = b"question"
    made.response = make_response(b"HTTP/1.1", 200, b"OK", ((b"Content-Type", b"text/plain"),))
    made.response.data.content = b"answer"
    made.request.data.timestamp_end = made.response.data.timestamp_end = made.request.timestamp_start
    return made


def test_a_flow_is_what_mitmproxy_would_have_made() -> None:
    made = flow()
    usual = http.HTTPFlow(made.client_conn, made.server_conn, live=True)
    assert {*EngineFlow.__slots__, "marked"} == {
        *vars(usual),
        "request",
        "response",
        "websocket",
        "error",
        "last_head",
    }
    assert all(hasattr(made, name) for name in EngineFlow.__slots__)
    assert (made.marked, made.type, vars(made)) == (usual.marked, usual.type, {})
    assert type(made.request) is http.Request
    assert type(made.request.data) is http.RequestData
    assert isinstance(made.request.headers, http.Headers)
    assert set(vars(made.request.data)) == set(vars(http.Request.make("GET", "http://a/").data))
    assert set(vars(make_response(b"HTTP/1.1", 200, b"OK", ()).data)) == set(vars(http.Response.make().data))


def test_a_flow_reads_as_the_request_that_came() -> None:
    request = flow().request
    assert (request.method, request.path, request.http_version) == ("POST", "/v1?x=1", "HTTP/1.1")
    assert request.headers.get_all("accept") == ["a", "b"]
    assert request.pretty_host == "a.example.com"
    assert (request.host, request.port, request.scheme) == ("gateway.invalid", 80, "http")
    assert dict(request.query) == {"x": "1"}


def test_a_flow_survives_a_copy_and_its_copy_is_its_own() -> None:
    made = whole_flow()
    copied = made.copy()
    assert copied.id != made.id
    assert not copied.live
    assert type(copied) is http.HTTPFlow
    copied.request.headers["X"] = "1"
    copied.response.content = b"changed"  # type: ignore[union-attr]
    assert "X" not in made.request.headers
    assert made.response is not None
    assert made.response.content == b"answer"


def test_a_flow_survives_its_state_and_a_dump() -> None:
    made = whole_flow()
    assert http.HTTPFlow.from_state(made.get_state()).get_state() == made.get_state()
    file = io.BytesIO()
    FlowWriter(file).add(made)
    file.seek(0)
    (read,) = FlowReader(file).stream()
    assert isinstance(read, http.HTTPFlow)
    assert read.get_state() == made.get_state()


def test_a_flow_can_be_backed_up_and_reverted() -> None:
    made = whole_flow()
    made.backup()
    made.request.path = "/other"
    assert made.modified()
    made.revert()
    assert made.request.path == "/v1?x=1"


def test_a_flow_becomes_an_entry_of_a_har() -> None:
    (entry,) = SaveHar().make_har([whole_flow()])["log"]["entries"]
    assert entry["request"]["method"] == "POST"
    assert entry["response"]["content"]["text"] == "answer"


def test_flows_have_ids_of_their_own_that_are_uuids() -> None:
    ids = {flow().id for _ in range(100)}
    assert len(ids) == 100
    assert all([len(part) for part in one.split("-")] == [8, 4, 4, 4, 12] for one in ids)
