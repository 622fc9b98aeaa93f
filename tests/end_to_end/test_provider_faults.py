"""Every fault of a provider, in each API, whole and streamed: what the client gets, and what the log says."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import requests

from examples.demo_upstream.control import ControlledUpstream, DemoControl
from examples.demo_upstream.faults import Fault
from examples.demo_upstream.server import DemoUpstream
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

# mitmproxy's own core gives the first choice only: see docs/reference/engines.md.
pytestmark = pytest.mark.parametrize("engine", ["express"], indirect=True)

WORDS = " ".join(["word"] * 58)
REPLY = f"You said: {WORDS}"  # of 60 tokens
TURNS = [{"role": "user", "content": WORDS}]


@dataclass(frozen=True)
class Api:
    """An API: its path, a request, the end of a stream, and the beginning of the event with an error."""

    path: str
    request: dict[str, Any]
    end: bytes
    error: bytes


APIS = {
    "chat": Api("chat/completions", {"messages": TURNS}, b"data: [DONE]\n\n", b'data: {"error":{'),
    "responses": Api(
        "responses",
        {"input": TURNS},
        b'"type": "response.completed"',
        b'event: error\ndata: {"type":"error","sequence_number":',
    ),
    "messages": Api(
        "messages",
        {"messages": TURNS, "max_tokens": 99},
        b'{"type": "message_stop"}',
        b'event: error\ndata: {"type":"error","error":{',
    ),
}


@dataclass(frozen=True)
class Row:
    """One fault, and what it does to a whole response (0) and to a stream (1).

    Attributes:
        tried: the failed attempt in the log, when another provider serves: its status and the possible reasons;
            None: the attempt does not fail.
        alone: the status and the number of calls, when there is no other provider.
    """

    fault: Fault
    tried: Sequence[tuple[int, str] | None]
    alone: Sequence[tuple[int, int]]


def row(fault: Fault, tried: tuple[int, str] | None, *alone: int) -> Row:
    """A fault that is the same for a stream."""
    return Row(fault, [tried] * 2, [(alone[0], alone[1])] * 2)


LIMITED = (429, "rate_limit_exceeded rate_limit_error")
OVERLOADED = "overloaded overloaded_error"
FAULTS = {
    "refused": row(Fault(fail="refuse"), (0, "refused"), 502, 2),
    "silent": row(Fault(fail="silent"), (0, "timeout"), 504, 1),
    "reset": row(Fault(fail="reset"), (0, "reset"), 502, 1),
    "limited": row(Fault(fail="429"), LIMITED, 429, 1),
    "limited-for": row(Fault(fail="429", retry_after="30"), LIMITED, 429, 1),
    "500": row(Fault(fail="500"), (500, "server_error api_error"), 500, 2),
    "503": row(Fault(fail="503"), (503, OVERLOADED), 503, 2),
    "529": row(Fault(fail="529"), (529, OVERLOADED), 529, 2),
    "page": row(Fault(fail="html"), (200, "no JSON"), 200, 2),
    "empty": Row(Fault(fail="empty"), [(200, "empty response"), (200, "empty stream")], [(200, 2)] * 2),
    # The models below wait less than usual for content, so a silence is not the target's fault: no repeat there.
    "stall": Row(Fault(fail="stall"), [(200, "timeout"), (200, "silent stream")], [(504, 1), (200, 1)]),
    "stall-begun": Row(
        Fault(fail="stall", after=1), [(200, "timeout"), (200, "silent stream")], [(504, 1), (200, 1)]
    ),
    "error-event": Row(
        Fault(fail="error", after=1), [(529, OVERLOADED), (200, OVERLOADED)], [(529, 2), (200, 2)]
    ),
    "cut-begun": Row(
        Fault(fail="cut", after=1), [(200, "reset"), (200, "empty stream")], [(502, 1), (502, 2)]
    ),
    "slow": row(Fault(fail="slow", wait=0.0005), None, 200, 1),
}
CUT = Fault(fail="cut", after=42)
_IDLE = {"idle": "600ms"}
#: Where the promise is about a silence, its provider waits less than usual. Elsewhere a busy machine may be slow.
SHORT = {"silent": {"first_byte": "600ms"}, "stall": _IDLE, "stall-begun": _IDLE}


@dataclass(frozen=True)
class World:
    """A tenant with a provider that can be made to fail, and one that serves."""

    tenant: TenantInUse
    first: ControlledUpstream

    def ask(self, model: str, api: str, *, stream: bool) -> "Seen":
        asked = APIS[api]
        identity = f"{self.tenant.id}-{model}-{api}-{stream}"
        body = {"model": model, "stream": stream, **asked.request}
        response = self.tenant.request(
            "POST", f"/v1/{asked.path}", json=body, headers={"X-Request-ID": identity}, stream=True
        )
        body, is_cut = b"", False
        try:
            for piece in response.iter_content(None):
                body += piece
        except requests.exceptions.ChunkedEncodingError:
            is_cut = True
        line = self.tenant.gateway.access_line(identity)
        return Seen(response, body, is_cut, line)

    def all(self, model: str, fault: Fault) -> dict[tuple[str, bool], "Seen"]:
        """Each API, whole and streamed, at the same time, while the first provider fails so."""
        self.first.set(fault)
        asked = [(api, stream) for api in APIS for stream in (False, True)]
        with ThreadPoolExecutor(len(asked)) as threads:
            return dict(
                zip(
                    asked, threads.map(lambda one: self.ask(model, one[0], stream=one[1]), asked), strict=True
                )
            )

    def rows(self, model: str, count: int) -> list[dict[str, Any]]:
        """The rows of a model in the ledger, once there are so many."""
        path = f"/tenants/{self.tenant.id}/usage/rows?limit=100"
        for _ in until(10):
            rows = self.tenant.gateway.call("GET", path).json()["rows"]
            if len(found := [one for one in rows if one["model_asked"] == model]) >= count:
                break
        return found


@dataclass(frozen=True)
class Seen:
    """The outcome of a request."""

    response: requests.Response
    body: bytes
    is_cut: bool
    line: dict[str, Any]


@pytest.fixture(scope="module")
def world(gateway: RunningGateway) -> Iterator[World]:
    control = DemoControl(0)
    with serving(control), serving(DemoUpstream(0)) as second:
        world = World(gateway.create_tenant(), control.upstream)
        for name, port in (
            *dict.fromkeys(("first", *SHORT), control.upstream.port).items(),
            ("second", second),
        ):
            world.tenant.create(
                "providers",
                name=name,
                kind="custom",
                base_url=f"http://127.0.0.1:{port}/v1",
                apis=["openai.chat", "openai.responses", "anthropic.messages"],
                timeouts=SHORT.get(name, {}),
            )
        for name in (*FAULTS, "cut"):
            failing = {"provider": name if name in SHORT else "first", "model": "demo-small"}
            more: dict[str, Any] = {"breaker": {"consecutive": 1000, "of": 1000}}
            if name in SHORT:
                more["stream"] = {"hold_time": "500ms"}
            world.tenant.create(
                "models",
                name=name,
                targets=[failing, {**failing, "provider": "second", "priority": 1}],
                **more,
            )
            world.tenant.create(
                "models",
                name=f"alone-{name}",
                targets=[failing],
                retry={"attempts": 2, "within": "1s"},
                **more,
            )
        world.tenant.create("rules", path="/v1", ai={"providers": ["first", *SHORT, "second"]})
        world.tenant.await_rule("/v1")
        yield world


@pytest.mark.parametrize("fault", FAULTS)
def test_another_provider_serves_whatever_goes_wrong_before_the_content(world: World, fault: str) -> None:
    for (api, stream), one in world.all(fault, FAULTS[fault].fault).items():
        failure, ai = FAULTS[fault].tried[stream], one.line["ai"]
        assert (one.response.status_code, one.is_cut) == (200, False), one.body
        assert (APIS[api].end in one.body) is stream
        assert stream or REPLY in str(orjson.loads(one.body))
        assert b'"error"' not in one.body.replace(b'"error": null', b"")
        # A call that is given up counts too, once it has reported a token.
        assert ai["output"] in (60, 61)
        assert (ai["usage_source"], one.line["code"]) == ("reported", None)
        *tried, served = [(each["status"], each["why"]) for each in ai["attempts"]]
        assert served == (200, "")
        assert one.response.headers["X-Gateway-Provider"] == ai["provider"]
        assert ai["provider"] == ("second" if failure else "first")
        assert one.response.headers.get("X-Gateway-Attempts") == ("2" if failure else None)
        assert len(tried) == (1 if failure else 0)
        if failure:
            assert (tried[0][0], tried[0][1] in failure[1]) == (failure[0], True), tried
    assert world.first.state()["calls"] == (0 if fault == "refused" else 6)


def test_a_stream_that_is_cut_after_its_content_ends_with_one_error_event(world: World) -> None:
    """A whole response that is cut has not begun for the client, so another provider serves it."""
    seen = world.all("cut", CUT)
    for (api, stream), one in seen.items():
        ai = one.line["ai"]
        assert one.response.status_code == 200
        if not stream:
            assert ([each["status"] for each in ai["attempts"]], ai["provider"]) == ([200, 200], "second")
            continue
        assert (one.is_cut, ai["provider"], len(ai["attempts"])) == (True, "first", 1)
        assert (one.line["code"], one.line["cause"]) == ("upstream_protocol_error", "reset")
        text, found, error = one.body.partition(APIS[api].error)
        assert found
        assert api != "responses" or error.startswith(b'42,"error":{')  # after 42 events
        assert 35 < text.count(b"word ") <= 40
        assert (APIS[api].end in one.body, error.count(b"\n\n"), error[-2:]) == (False, 1, b"\n\n")
        assert ai["usage_source"] in ("estimated", "mixed")
        assert 35 < ai["output"] < 60
    rows = world.rows("cut", 6)
    assert len({row["request_id"] for row in rows}) == len(rows) == 6
    assert all(row["usage"]["output"] > 35 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_without_another_provider_the_client_gets_the_last_failure(world: World, fault: str) -> None:
    for (api, stream), one in world.all(f"alone-{fault}", FAULTS[fault].fault).items():
        status, calls = FAULTS[fault].alone[stream]
        headers = one.response.headers
        assert (one.response.status_code, len(one.line["ai"]["attempts"])) == (status, calls), one.body
        assert headers.get("X-Gateway-Attempts") == ("2" if calls > 1 else None)
        if fault != "reset":  # then it depends on whether the connection was used before
            assert headers.get("x-should-retry") == ("false" if calls > 1 or status >= 500 else None)
        assert headers.get("Retry-After") == FAULTS[fault].fault.retry_after
        assert one.body.startswith((b'{"type":"error"', b'{"type": "error"')) is (
            status >= 400 and api == "messages"
        )
        assert one.is_cut is (stream and "stall" in fault)
        assert one.body.count(APIS[api].error) == one.is_cut
        assert stream is False or APIS[api].end in one.body or fault != "slow"
