"""Rules for AI as browsers, Claude Code and SDKs call them, and the plugins in front of providers."""

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
import requests

from examples.demo_upstream.control import DemoControl
from examples.demo_upstream.faults import Fault
from tests.bodies.streams import ENDPOINTS, Endpoint
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import REQUEST, STREAM, Upstream, chunk, hang, send, sized, wait

PAGE = "https://app.example"
APIS = ["openai.chat", "anthropic.messages", "anthropic.count_tokens"]
SECRET = "sk-provider-0123456789-of-the-gateway"
TURNS: Any = [{"role": "user", "content": "Hello there!"}]


class Owner:
    """A tenant with one provider that records what comes, and one that can be made to fail."""

    def __init__(self, tenant: TenantInUse, recorder: str, failing: str) -> None:
        self.tenant = tenant
        for name, url, more in (
            ("recorder", recorder, {"auth": {"type": "header", "name": "x-api-key"}}),
            ("failing", failing, {}),
        ):
            keys = [{"name": "main", "secret": SECRET}]
            document = {"kind": "custom", "base_url": f"{url}/v1", "apis": APIS, "keys": keys, **more}
            self.tenant.create("providers", name=name, models=[{"id": f"{name}-model"}], **document)
        target = {"provider": "failing", "model": "failing-model"}
        self.tenant.create("models", name="fragile", targets=[target], retry={"attempts": 2})
        self.tenant.create("models", name="slow", targets=[{**target, "timeouts": {"first_byte": "200ms"}}])
        ai = {"providers": ["recorder", "failing"]}
        guard = {"name": "content_validator", "settings": {"blocked_patterns": ["forbidden"]}}
        judge = {"name": "content_validator", "stage": "pre_response", "settings": guard["settings"]}
        self.tenant.create("rules", path="/v1", ai=ai, cors={"origins": [PAGE]})
        self.tenant.create("rules", path="/guarded", ai=ai, plugin_chain=[guard, judge])
        mask = {**judge, "settings": {"blocked_patterns": ["forbidden"], "action": "mask"}}
        self.tenant.create("rules", path="/masked", ai=ai, plugin_chain=[mask])
        self.tenant.create("rules", path="/hidden", ai={**ai, "hide_target": True})
        self.tenant.create("rules", path="/plain", target=recorder, headers={"X-Api-Key": SECRET})
        self.tenant.create("rules", path="/own", ai={"providers": ["recorder"]}, credential="client")
        tenant.await_rule("/own")

    def chat(self, path: str, model: str, text: str = "Hello", **more: Any) -> requests.Response:
        document = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.tenant.request("POST", f"{path}/chat/completions", json=document)


@pytest.fixture(scope="module")
def failing() -> Iterator[DemoControl]:
    control = DemoControl(0)
    with serving(control):
        yield control


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway, everlasting_upstream: Upstream, failing: DemoControl) -> Owner:
    url = f"http://127.0.0.1:{failing.upstream.port}"
    return Owner(gateway.create_tenant(), everlasting_upstream.url, url)


def broken_off(response: requests.Response, seen: threading.Event) -> bytes:
    """The body of a response that breaks off. `seen` is set when its first piece has come."""
    body = b""
    try:
        for piece in response.iter_content(None):
            body += piece
            seen.set()
    except requests.exceptions.ChunkedEncodingError:
        return body
    raise AssertionError("The response is complete.")


def test_a_web_page_may_ask_before_it_has_a_key_and_read_what_the_gateway_says(owner: Owner) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    headers = {"Host": owner.tenant.host, "Origin": PAGE, **asked}
    url = owner.tenant.gateway.proxy + "/v1/chat/completions"
    preflight = requests.options(url, headers=headers, timeout=15)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, PAGE)
    document = {"model": "failing-model", "messages": TURNS}
    response = owner.tenant.request("POST", "/v1/chat/completions", json=document, headers={"Origin": PAGE})
    exposed = response.headers["access-control-expose-headers"].lower()
    sent = {name.lower() for name in response.headers if name.lower().startswith("x-gateway-")}
    assert {"x-gateway-provider", "x-gateway-model", "x-gateway-usage-source"} <= sent
    assert [name for name in sent if name not in exposed] == []


def test_a_body_that_a_plugin_rejects_reaches_no_provider(owner: Owner, failing: DemoControl) -> None:
    failing.upstream.set(None)
    rejected = owner.chat("/guarded/v1", "failing-model", "this is forbidden")
    assert rejected.headers["x-gateway-error-source"] == "plugin:content_validator"
    assert failing.upstream.state()["calls"] == 0
    assert owner.chat("/guarded/v1", "failing-model", "this is fine").status_code == 200
    # The pieces of a stream are judged as one text; a provider that splits it changes nothing.
    streamed = owner.chat("/guarded/v1", "failing-model", "fine", stream=True)
    assert (streamed.status_code, "[DONE]" in streamed.text) == (200, True)


@pytest.mark.parametrize(
    ("path", "endpoint", "error"),
    [
        ("chat/completions", ENDPOINTS[0], b'data: {"error":{'),
        ("messages", ENDPOINTS[4], b'event: error\ndata: {"type":"error","error":{'),
    ],
    ids=["chat", "messages"],
)
def test_a_stream_that_a_plugin_rejects_ends_with_one_error_and_its_provider_is_left(
    owner: Owner, upstream: Upstream, path: str, endpoint: Endpoint, error: bytes
) -> None:
    stream = endpoint.stream(["Hello, ", "this is for", "bidden text", " more"])
    first, last = (stream.rindex(b"\n\n", 0, stream.index(text)) + 2 for text in (b"this", b" more"))
    seen = threading.Event()
    begin, go_on = send(STREAM + chunk(stream[:first])), send(chunk(stream[first:last]))
    upstream.plays([*REQUEST, begin, wait(seen), go_on, hang])
    document = {"model": "recorder-model", "max_tokens": 9, "messages": TURNS, "stream": True}
    response = owner.tenant.request("POST", f"/guarded/v1/{path}", json=document, stream=True)
    body = broken_off(response, seen)
    assert upstream.received[-1].peer.ended.wait(1)
    text, _, found = body.partition(error)
    assert "Hello, this is".startswith(endpoint.read_stream(text))
    assert (b"content_rejected" in found, found.count(b"data:"), b"[DONE]" in body) == (True, 0, False)
    line = owner.tenant.gateway.access_line(response.headers["X-Request-ID"])
    assert (line["code"], line["ai"]["usage_source"]) == ("content_rejected", "estimated")
    assert line["ai"]["output"] > 0


def test_a_plugin_masks_what_models_say_whole_and_streamed(owner: Owner, upstream: Upstream) -> None:
    endpoint = ENDPOINTS[0]
    said, head = ["This is for", "bidden."], "Content-Type: application/json"
    for stream, sent in (
        (False, sized(endpoint.body("".join(said)), "200 OK", head)),
        (True, STREAM + chunk(endpoint.stream(said)) + b"0\r\n\r\n"),
    ):
        upstream.plays([*REQUEST, send(sent)])
        response = owner.chat("/masked/v1", "recorder-model", stream=stream)
        read = endpoint.read_stream if stream else endpoint.read_whole
        assert read(response.content) == "This is *********."
        assert (response.status_code, b"[DONE]" in response.content) == (200, stream)


@pytest.mark.parametrize("api", ["chat/completions", "messages"])
def test_errors_of_a_hidden_target_do_not_name_it(owner: Owner, failing: DemoControl, api: str) -> None:
    for fault in (Fault(fail="refuse"), Fault(fail="silent", times=0)):
        failing.upstream.set(fault)
        document = {"model": "fragile", "max_tokens": 9, "messages": TURNS}
        response = owner.tenant.request("POST", f"/hidden/v1/{api}", json=document)
        seen = f"{response.headers} {response.text}"
        assert "failing" not in seen
        assert str(failing.upstream.port) not in seen
    failing.upstream.set(None)


JSON = "Content-Type: application/json"
WRONG = json.dumps({"error": {"message": f"The key {SECRET} is wrong."}}).encode()
CUT = WRONG.index(b"0123")
ERRORS: Any = {
    403: [sized(WRONG, "403 Forbidden", JSON, f"X-Sent: Bearer {SECRET}")],
    404: [
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(WRONG[:CUT]),
        chunk(WRONG[CUT:]) + b"0\r\n\r\n",
    ],
    422: [sized(gzip.compress(WRONG), "422 Unprocessable Entity", JSON, "Content-Encoding: gzip")],
}


@pytest.mark.parametrize("path", ["/v1", "/guarded/v1", "/plain"])
def test_an_error_that_repeats_the_secret_of_the_gateway_is_forwarded_without_it(
    owner: Owner, upstream: Upstream, path: str
) -> None:
    for status, pieces in ERRORS.items():
        upstream.plays([*REQUEST, send(*pieces)])
        response = owner.chat(path, "recorder-model")
        assert (response.status_code, SECRET in str(upstream.received[-1].head)) == (status, True)
        assert response.json() == {"error": {"message": "The key [redacted] is wrong."}}
        assert SECRET not in str(response.headers)
    upstream.plays([*REQUEST, send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\n")])
    response = owner.tenant.request("HEAD", "/plain")
    assert (response.status_code, response.headers["Content-Length"]) == (404, "99")


def test_a_client_with_its_own_token_of_the_provider_is_not_given_the_gateways_key(
    owner: Owner, upstream: Upstream
) -> None:
    base = owner.tenant.gateway.proxy + "/own"
    headers = {"X-Gateway-Key": owner.tenant.key, "Host": owner.tenant.host}
    with anthropic.Anthropic(
        base_url=base, auth_token="sk-ant-oat01-of-the-user", default_headers=headers, max_retries=0
    ) as client:
        client.messages.with_raw_response.create(model="recorder-model", max_tokens=9, messages=TURNS)
    [seen] = upstream.received
    assert seen.all("authorization") == ["Bearer sk-ant-oat01-of-the-user"]
    assert (seen.all("x-api-key"), seen.all("x-gateway-key")) == ([], [])
    assert owner.tenant.key not in seen.head.decode()


def test_claude_codes_calls_arrive_as_they_were_sent(owner: Owner, upstream: Upstream) -> None:
    body = (
        b'{ "model":"recorder-model",\t"max_tokens": 9, "messages": [ {"role":"user","content":"\\u00e9 \xc3\xa9"} ],'
        b'"context_management":{"edits":[ ]},"unknown":[1.0,1e5,null], "metadata":{"user_id":"u"}}'
    )
    headers = {
        "Content-Type": "application/json",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "a,b",
        "User-Agent": "claude-cli/2.0",
    }
    hidden = {"X-HTTP-Method-Override": "DELETE", "X_HTTP_Method": "DELETE"}
    response = owner.tenant.request("POST", "/v1/messages?beta=true", data=body, headers=headers | hidden)
    assert response.status_code == 200
    [seen] = upstream.received
    assert (seen.target, seen.body) == ("/v1/messages?beta=true", body)
    assert [seen.get(name) for name in headers] == [*headers.values()]
    assert [seen.get(name) for name in hidden] == [None, None]
    upstream.received.clear()
    owner.tenant.request("POST", "/v1/messages/count_tokens?beta=true", data=body, headers=headers)
    [seen] = upstream.received
    assert (seen.target, seen.body) == ("/v1/messages/count_tokens?beta=true", body)
    models = owner.tenant.request("GET", "/v1/models?limit=1", headers={"anthropic-version": "2023-06-01"})
    assert {**models.json(), "data": []} == {
        "data": [],
        "has_more": True,
        "first_id": "failing-model",
        "last_id": "failing-model",
    }
    [model] = models.json()["data"]
    assert (model["type"], model["id"], model["lifecycle"]) == ("model", "failing-model", "active")
    assert owner.tenant.request("HEAD", "/").status_code == 404  # refused, and no error of the gateway


@pytest.mark.parametrize("engine", ["express"], indirect=True)
def test_sdks_do_not_repeat_what_the_gateway_has_repeated(owner: Owner, failing: DemoControl) -> None:
    failing.upstream.set(Fault(fail="500"))
    base, key = owner.tenant.gateway.proxy, owner.tenant.key
    with (
        openai.OpenAI(base_url=f"{base}/v1", api_key=key) as one,
        anthropic.Anthropic(base_url=base, api_key=key) as other,
    ):
        assert one.max_retries == other.max_retries == 2
        with pytest.raises(openai.InternalServerError):
            one.chat.completions.create(model="fragile", messages=TURNS)
        assert failing.upstream.state()["calls"] == 2
        with pytest.raises(anthropic.InternalServerError):
            other.messages.create(model="fragile", messages=TURNS, max_tokens=9)
        assert failing.upstream.state()["calls"] == 4
        # A response that may be generated, and billed, is not asked for again.
        failing.upstream.set(Fault(fail="silent"))
        with pytest.raises(openai.InternalServerError):
            one.chat.completions.create(model="slow", messages=TURNS)
        with pytest.raises(anthropic.InternalServerError):
            other.messages.create(model="slow", messages=TURNS, max_tokens=9)
        assert failing.upstream.state()["calls"] == 2
    failing.upstream.set(None)
