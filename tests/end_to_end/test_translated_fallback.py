"""Targets of different APIs in one model: what a target that fails leaves to the next one, and to the client."""

import gzip
import json
from itertools import count
from typing import Any

import openai
import pytest

from shared.translation.framing import write_event
from tests.end_to_end.translated import (
    World,
    events,
    read_all,
    said,
    streamed,
    upstreams,
    world,
    written,
)
from tests.support.upstream import REQUEST, close, send, sized
from tests.support.wait import until
from tests.translation.streams import chunk
from tests.translation.test_sdks import TURN as TURNS

__all__ = ["upstreams", "world"]  # fixtures
pytestmark = pytest.mark.parametrize("engine", ["express"], indirect=True)

TURN: Any = TURNS
PATHS = {"openai.chat": "/v1/chat/completions", "anthropic.messages": "/v1/messages"}
NUMBERS = count()
BUSY = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}
BUSY_CHAT = {"error": {"message": "Busy.", "type": "server_error", "code": 503}}


def model_of(world: World, *providers: str, name: str = "") -> str:
    """A model with a target at each provider, the first one first."""
    name = name or f"{'-then-'.join(providers)}-{next(NUMBERS)}"
    targets = [{"provider": one, "model": one, "priority": at} for at, one in enumerate(providers)]
    world.tenant.create("models", name=name, targets=targets)
    for _ in until(5.0):
        if name in world.tenant.request("GET", "/v1/models").text:
            break
    return name


def asked(world: World, api: str, model: str, *, stream: bool) -> Any:
    body = {"model": model, "messages": TURN, "max_tokens": 9, "stream": stream}
    return world.tenant.request("POST", PATHS[api], json=body, stream=True)


def text_of(body: bytes, api: str, *, stream: bool) -> str:
    """The text that a client of that API reads."""
    if not stream:
        found = json.loads(body)
        return str(
            found["choices"][0]["message"]["content"] if api == "openai.chat" else found["content"][0]["text"]
        )
    lines = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]
    if api == "openai.chat":
        deltas = [one["choices"][0]["delta"] for one in lines if one.get("choices")]
        return "".join(one.get("content") or "" for one in deltas)
    return "".join(one["delta"].get("text", "") for one in lines if one["type"] == "content_block_delta")


def failing(name: str, how: str) -> Any:
    """How an upstream fails before its content."""
    if how == "status":
        return (529, BUSY) if name == "claude" else (503, BUSY_CHAT)
    begun = events()[:2] if name == "claude" else [chunk({"role": "assistant", "content": ""})]
    return [*begun, BUSY if name == "claude" else BUSY_CHAT]


REPLIES = {
    "claude": lambda one: events("Here", " it is.") if one.get("stream") else said("Here it is."),
    "chat": lambda one: streamed("Here", " it is.") if one.get("stream") else written("Here it is."),
}


@pytest.mark.parametrize("api", [*PATHS])
@pytest.mark.parametrize("pair", [("claude", "chat"), ("chat", "claude")], ids="-".join)
@pytest.mark.parametrize("how", ["status", "status-stream", "event", "closed"])
def test_target_that_fails_before_its_content_leaves_the_request_to_one_of_the_other_api(
    world: World, api: str, pair: tuple[str, str], how: str
) -> None:
    first, second = pair
    name, stream = model_of(world, *pair), how != "status"
    upstream = world.model(first, lambda _: failing(first, how.partition("-")[0]))
    if how == "closed":
        upstream.plays([*REQUEST, close])
    world.model(second, REPLIES[second])
    found = asked(world, api, name, stream=stream)
    body = read_all(found)
    assert found.status_code == 200, body
    assert (found.headers["x-gateway-attempts"], found.headers["x-gateway-provider"]) == ("2", second)
    assert ("x-gateway-translated" in found.headers) == (
        {"chat": "openai.chat", "claude": "anthropic.messages"}[second] != api
    )
    assert text_of(body, api, stream=stream) == "Here it is."
    assert b"Busy." not in body


@pytest.mark.parametrize("api", [*PATHS])
@pytest.mark.parametrize("pair", [("claude", "chat"), ("chat", "claude")], ids="-".join)
def test_target_that_fails_after_its_content_ends_with_one_error_and_no_text_of_another(
    world: World, api: str, pair: tuple[str, str]
) -> None:
    first, second = pair
    half = events("Half a")[:3] if first == "claude" else [chunk({"content": "Half a"})]
    world.model(first, lambda _: [*half, BUSY if first == "claude" else BUSY_CHAT])
    asked_before = len(world.model(second, REPLIES[second]).asked)
    body = read_all(asked(world, api, model_of(world, *pair), stream=True))
    assert text_of(body, api, stream=True) == "Half a"
    error = b"event: error" if api == "anthropic.messages" else b'data: {"error"'
    if (first == "claude") == (api == "anthropic.messages"):
        error = b"Busy."  # as it came
    assert (body.count(error), body.count(b"Busy.")) == (1, 1)
    assert (b"message_stop" in body, b"[DONE]" in body) == (False, False)
    assert len(world.upstreams[second].asked) == asked_before


def test_tokens_are_counted_by_a_target_that_counts_and_else_estimated(world: World) -> None:
    counting = world.upstreams["claude"]
    question = [{"role": "user", "content": "Where is the bug in this file?" * 50}]
    with world.anthropic as client:
        plain = client.messages.with_raw_response.count_tokens(
            model=model_of(world, "chat", "responses"), messages=question
        )
        assert plain.headers["x-gateway-estimated"] == "1"
        assert 250 < plain.parse().input_tokens < 800
        counting.plays(
            [*REQUEST, send(sized(b'{"input_tokens": 7}', "200 OK", "Content-Type: application/json"))]
        )
        mixed = client.messages.with_raw_response.count_tokens(
            model=model_of(world, "chat", "claude"), messages=question
        )
    assert (mixed.parse().input_tokens, "x-gateway-estimated" in mixed.headers) == (7, False)
    assert counting.last.target == "/v1/messages/count_tokens"
    assert json.loads(counting.last.body)["model"] == "claude"


def test_response_of_a_target_that_stores_none_cannot_be_continued_or_read(world: World) -> None:
    world.model("chat", lambda _: written("Hi"))
    world.model("responses", lambda _: {"id": "resp_wrong"})
    for name in ("chat", model_of(world, "chat", "responses")):
        before = len(world.upstreams["responses"].asked)
        with world.openai as client:
            made = client.responses.create(model=name, input="Hi", store=False)
            assert made.output_text == "Hi"
            with pytest.raises(openai.NotFoundError) as missing:
                client.responses.retrieve(made.id)
            assert missing.value.code == "response_not_found"
            if name == "chat":
                with pytest.raises(openai.BadRequestError) as caught:
                    client.responses.create(model=name, input="Go on.", previous_response_id=made.id)
                assert caught.value.code == "untranslatable"
        assert len(world.upstreams["responses"].asked) == before


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("streams", ["pass", "buffer"])
def test_compressed_response_is_judged_and_translated_though_identity_was_asked(
    world: World, streams: str, stream: bool
) -> None:
    guard = {
        "name": "content_validator",
        "settings": {"blocked_patterns": ["forbidden"]},
        "stage": "pre_response",
    }
    path = f"/gzip-{streams}-{stream}"
    world.tenant.create(
        "rules", path=path, ai={"providers": ["chat", "claude"]}, streams=streams, plugin_chain=[guard]
    )
    world.tenant.await_rule(path)
    for text, is_rejected in (("All is well.", False), ("It is forbidden.", True)):
        plain = (
            b"".join(write_event(one, "anthropic.messages") for one in events(text))
            if stream
            else json.dumps(said(text)).encode()
        )
        kind = "text/event-stream" if stream else "application/json"
        fields = f"Content-Type: {kind}", "Content-Encoding: gzip"
        upstream = world.upstreams["claude"]
        upstream.plays([*REQUEST, send(sized(gzip.compress(plain), "200 OK", *fields))])
        body = {"model": "claude", "messages": TURN, "stream": stream}
        found = world.tenant.request("POST", f"{path}/v1/chat/completions", json=body)
        assert upstream.last.get("accept-encoding") in (None, "identity")
        assert "content-encoding" not in found.headers
        assert ("content_rejected" in found.text, text in found.text) == (is_rejected, not is_rejected)
        if not is_rejected:
            assert text_of(found.content, "openai.chat", stream=stream) == text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_stop_that_is_not_known_is_counted(world: World, stream: bool) -> None:
    ended = events("Hi")
    ended[-2] = {**ended[-2], "delta": {"stop_reason": "tired"}}
    world.model("claude", lambda _: ended if stream else said("Hi", "tired"))
    labels = 'api="anthropic.messages",client_api="openai.chat",model="claude",provider="claude"'
    name = f'gateway_translated_requests_total{{{labels},result="unknown_stop"}}'
    gateway = world.tenant.gateway
    before = gateway.metrics().get(name, 0)
    body = read_all(asked(world, "openai.chat", "claude", stream=stream))
    assert b'"finish_reason":"stop"' in body
    for _ in until(10):
        if gateway.metrics().get(name, 0) == before + 1:
            break
    assert gateway.metrics()[name] == before + 1
