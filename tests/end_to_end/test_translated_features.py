"""The gateway's promises about requests to models hold where they are translated."""

import json
import threading
from typing import Any

import anthropic
import openai
import pytest

from shared.translation.framing import write_event
from tests.end_to_end.translated import (
    SECRET,
    World,
    events,
    read_all,
    said,
    streamed,
    upstreams,
    world,
    written,
)
from tests.support.peer import Peer
from tests.support.upstream import REQUEST, STREAM, hang, send
from tests.support.upstream import chunk as framed
from tests.support.wait import until
from tests.translation.streams import chunk
from tests.translation.test_coding_agents import AGENT, END, begin, calls
from tests.translation.test_sdks import TURN as TURNS

__all__ = ["upstreams", "world"]  # fixtures

TURN: Any = TURNS
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def test_picture_schema_forced_tool_and_thinking_reach_the_other_api(world: World) -> None:
    upstream = world.model("claude", lambda _: said('{"city":"Rome"}'))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    named: Any = {"name": "place", "schema": schema, "strict": True}
    content: Any = [{"type": "text", "text": "Where?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    with world.openai as client:
        client.chat.completions.create(
            model="claude",
            messages=[{"role": "system", "content": "Be short."}, {"role": "user", "content": content}],
            response_format={"type": "json_schema", "json_schema": named},
            reasoning_effort="low",
            max_completion_tokens=2000,
        )
        sent = upstream.asked[-1]
        assert sent["system"] == [{"type": "text", "text": "Be short."}]
        assert sent["messages"][0]["content"][1]["source"]["media_type"] == "image/png"
        assert sent["output_config"]["format"] == {"type": "json_schema", "schema": schema}
        assert (sent["max_tokens"], sent["thinking"]["type"]) == (2000, "adaptive")
        tool: Any = {"type": "function", "function": {"name": "find", "parameters": schema}}
        client.chat.completions.create(
            model="claude",
            messages=TURN,
            tools=[tool],
            tool_choice={"type": "function", "function": {"name": "find"}},
        )
    assert upstream.asked[-1]["tool_choice"] == {"type": "tool", "name": "find"}


@pytest.mark.parametrize(("stop", "finish"), [("max_tokens", "length"), ("refusal", "content_filter")])
def test_both_sdks_learn_why_a_response_ended(world: World, stop: str, finish: str) -> None:
    world.model("claude", lambda _: said("No.", stop))
    world.model("chat", lambda _: written("No.", finish))
    with world.openai as client:
        made = client.chat.completions.create(model="claude", messages=TURN)
    with world.anthropic as other:
        message = other.messages.create(model="chat", max_tokens=9, messages=TURN)
    assert (made.choices[0].finish_reason, message.stop_reason) == (finish, stop)


@pytest.mark.parametrize("model", ["chat", "claude"])
def test_codex_calls_models_without_the_responses_api(world: World, model: str) -> None:
    command = '{"command":["ls"]}'
    tool = {"type": "tool_use", "id": "call_0", "name": "shell", "input": {"command": ["ls"]}}
    of_claude: Any = events()
    of_claude[1:2] = [{"type": "content_block_start", "index": 0, "content_block": tool}]
    world.model("chat", lambda _: [calls(begin(0, "shell", command)), *END])
    upstream = world.model("claude", lambda _: of_claude)
    asked = {**AGENT, "model": model}
    with world.openai as client:
        with client.responses.stream(input="Fix it.", **asked) as stream:
            kinds = [event.type for event in stream]
            made = stream.get_final_response()
        [call] = [item for item in made.output if item.type == "function_call"]
        assert (call.call_id, json.loads(call.arguments)) == ("call_0", {"command": ["ls"]})
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
        world.model("chat", lambda _: streamed("Done."))
        world.model("claude", lambda _: events("Done."))
        turns: Any = [
            {"role": "user", "content": "Fix it."},
            {"type": "function_call", "call_id": "call_0", "name": "shell", "arguments": command},
            {"type": "function_call_output", "call_id": "call_0", "output": "a.py"},
        ]
        with client.responses.stream(input=turns, **asked) as stream:
            last = stream.get_final_response()
        assert last.output_text == "Done."
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model=model, input="Go on.", previous_response_id="resp_1")
    assert "/previous_response_id" in caught.value.message
    assert upstream.received


def test_a_guard_says_the_same_of_both_apis(world: World) -> None:
    guard = {"name": "content_validator", "settings": {"blocked_patterns": ["forbidden"]}}
    chain = [guard, {**guard, "stage": "pre_response"}]
    for streams in ("pass", "buffer"):
        world.tenant.create(
            "rules", path=f"/{streams}", ai={"providers": ["chat", "claude"]}, streams=streams, plugin_chain=chain
        )  # fmt: skip
    world.tenant.await_rule("/buffer")
    world.model("chat", lambda one: streamed("for", "bidden") if one.get("stream") else written("forbidden"))
    world.model("claude", lambda one: events("for", "bidden") if one.get("stream") else said("forbidden"))
    for model in ("chat", "claude"):
        for path in ("chat/completions", "messages"):
            for streams in ("pass", "buffer"):
                for stream in (False, True):
                    body = {"model": model, "messages": TURN, "max_tokens": 9, "stream": stream}
                    url = f"/{streams}/v1/{path}"
                    text = read_all(world.tenant.request("POST", url, json=body, stream=True))
                    assert (text.count(b"content_rejected"), b"bidden" in text) == (1, False), (
                        url,
                        model,
                        text,
                    )
    before = [len(one.received) for one in world.upstreams.values()]
    body = {"model": "claude", "messages": [{"role": "user", "content": "forbidden"}], "max_tokens": 9}
    for path in ("chat/completions", "messages"):
        found = world.tenant.request("POST", f"/pass/v1/{path}", json=body)
        assert (found.status_code, found.json()["error"]["code"]) == (422, "content_rejected")
    assert [len(one.received) for one in world.upstreams.values()] == before


@pytest.mark.parametrize("engine", ["express"], indirect=True)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_another_api_serves_where_the_first_target_fails_before_its_content(
    world: World, stream: bool
) -> None:
    name = f"both-{stream}"
    targets = [
        {"provider": "chat", "model": "chat"},
        {"provider": "claude", "model": "claude", "priority": 1},
    ]
    world.tenant.create("models", name=name, targets=targets)
    for _ in until(2.0):
        if name in world.tenant.request("GET", "/v1/models").text:
            break
    busy = {"error": {"message": "Busy.", "type": "server_error", "code": 503}}
    world.model(
        "chat", lambda _: [chunk({"role": "assistant", "content": ""}), busy] if stream else (503, busy)
    )
    upstream = world.model("claude", lambda _: events("Here", " it is.") if stream else said("Here it is."))
    body = {"model": name, "messages": TURN, "stream": stream, "seed": 1}
    raw = world.tenant.request("POST", "/v1/chat/completions", json=body)
    assert raw.status_code == 200, raw.text
    assert raw.headers["x-gateway-attempts"] == "2"
    assert raw.headers["x-gateway-translated"] == "anthropic.messages; dropped=seed"
    pieces = (
        [json.loads(line[6:]) for line in raw.text.splitlines() if line.startswith("data: {")]
        if stream
        else []
    )
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in pieces if one["choices"])
    assert (text if stream else raw.json()["choices"][0]["message"]["content"]) == "Here it is."
    assert upstream.asked[-1]["model"] == "claude"


def test_a_hidden_target_stays_hidden(world: World) -> None:
    world.tenant.create("models", name="house", targets=[{"provider": "claude", "model": "claude"}])
    world.tenant.create("rules", path="/hidden", ai={"providers": ["claude"], "hide_target": True})
    world.tenant.await_rule("/hidden")
    world.model("claude", lambda one: events("Hi") if one.get("stream") else said("Hi"))
    for stream in (False, True):
        body = {"model": "house", "messages": TURN, "stream": stream, "seed": 1}
        found = world.tenant.request("POST", "/hidden/v1/chat/completions", json=body)
        assert (found.status_code, '"house"' in found.text, "claude" in found.text) == (200, True, False)
        assert "msg_" not in found.text
        assert found.headers["x-gateway-translated"] == "hidden; dropped=seed"
        assert not {"x-gateway-provider", "x-gateway-model"} & {name.lower() for name in found.headers}


def test_a_clients_own_credential_goes_where_the_provider_wants_it(world: World) -> None:
    for name in ("chat", "claude"):
        world.tenant.create("rules", path=f"/own-{name}", ai={"providers": [name]}, credential="client")
    world.tenant.await_rule("/own-claude")
    claude, chat = world.model("claude", lambda _: said("Hi")), world.model("chat", lambda _: written("Hi"))
    gateway, keys = world.tenant.gateway.proxy, {"X-Gateway-Key": world.tenant.key}
    with openai.OpenAI(base_url=f"{gateway}/own-claude/v1", api_key="mine", default_headers=keys) as client:
        client.chat.completions.create(model="claude", messages=TURN)
    assert (claude.last.get("x-api-key"), claude.last.all("authorization")) == ("mine", [])
    with anthropic.Anthropic(base_url=f"{gateway}/own-chat", api_key="mine", default_headers=keys) as other:
        other.messages.create(model="chat", max_tokens=9, messages=TURN)
    assert (chat.last.get("authorization"), chat.last.all("x-api-key")) == ("Bearer mine", [])
    assert SECRET.encode() not in claude.received[-1].head + chat.received[-1].head


def test_a_rule_may_reject_what_would_be_dropped_and_hide_thoughts(world: World) -> None:
    translate = {"unsupported": "reject", "reasoning": "hide"}
    world.tenant.create("rules", path="/strict", ai={"providers": ["claude"], "translate": translate})
    world.tenant.await_rule("/strict")
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    world.model("claude", lambda _: said("", content=[thought, {"type": "text", "text": "Hi"}]))
    body = {"model": "claude", "messages": TURN}
    found = world.tenant.request("POST", "/strict/v1/chat/completions", json={**body, "seed": 1})
    assert (found.status_code, "/seed" in found.json()["error"]["message"]) == (400, True)
    hidden = world.tenant.request("POST", "/strict/v1/chat/completions", json=body)
    shown = world.tenant.request("POST", "/v1/chat/completions", json=body)
    assert ("Hm." in hidden.text, shown.json()["choices"][0]["message"]["reasoning_content"]) == (
        False,
        "Hm.",
    )


@pytest.mark.parametrize("engine", ["express"], indirect=True)
def test_a_server_that_rejects_to_report_usage_is_asked_without(world: World) -> None:
    def reply(one: dict[str, Any]) -> Any:
        if "stream_options" in one:
            return 400, {"error": {"message": "Unknown field stream_options."}}
        return [chunk({"content": "Hi"}), chunk({}, "stop"), "[DONE]"]

    upstream = world.model("chat", reply)
    before = len(upstream.asked)
    asked: Any = {"model": "chat", "max_tokens": 9, "messages": TURN}
    with world.anthropic as client, client.messages.stream(**asked) as stream:
        message = stream.get_final_message()
    assert [block.text for block in message.content if block.type == "text"] == ["Hi"]
    assert (message.usage.input_tokens > 0, len(upstream.asked) > before) == (True, True)


def test_log_record_and_metrics_say_what_was_translated(world: World) -> None:
    gateway = world.tenant.gateway
    world.model("claude", lambda _: said("Hi"))
    identity = f"{world.tenant.id}-translated"
    body = {"model": "claude", "messages": TURN, "seed": 1}
    world.tenant.request("POST", "/v1/chat/completions", json=body, headers={"X-Request-ID": identity})
    line = gateway.access_line(identity)
    assert line["ai"]["translated"] == "anthropic.messages; dropped=seed"
    assert (line["ai"]["api"], line["ai"]["output"], line["ai"]["finish"]) == ("openai.chat", 4, "end_turn")
    labels = 'api="anthropic.messages",client_api="openai.chat",model="claude",provider="claude"'
    for _ in until(10):
        counted = gateway.metrics().get(f'gateway_translated_requests_total{{{labels},result="ok"}}', 0)
        if counted:
            break
    assert counted >= 1
    url = f"/tenants/{world.tenant.id}/requests"
    for _ in until(10):
        if found := gateway.call("GET", f"{url}?q={identity}").json()["requests"]:
            break
    record = gateway.call("GET", f"{url}/{found[0]['id']}").json()
    assert record["log"]["ai"]["translated"] == line["ai"]["translated"]


def test_client_that_leaves_a_translated_stream_has_one_row_and_its_upstream_is_left(world: World) -> None:
    upstream, left = world.upstreams["chat"], threading.Event()
    began = STREAM + framed(write_event(chunk({"content": "Half a"}), "openai.chat"))

    async def await_leaving(peer: Peer) -> None:
        await peer.until_gone()
        left.set()

    upstream.plays([*REQUEST, send(began), await_leaving, hang])
    identity = f"{world.tenant.id}-left"
    body = {"model": "chat", "max_tokens": 9, "messages": TURN, "stream": True}
    headers = {"X-Request-ID": identity}
    response = world.tenant.request("POST", "/v1/messages", json=body, stream=True, headers=headers)
    seen = b""
    while b"Half a" not in seen:
        seen += next(response.iter_content(None))
    response.close()
    assert left.wait(10)
    url = f"/tenants/{world.tenant.id}/usage/rows?limit=100"
    for _ in until(10):
        rows = [
            one
            for one in world.tenant.gateway.call("GET", url).json()["rows"]
            if one["request_id"] == identity
        ]
        if rows:
            break
    [row] = rows
    assert (row["api"], row["source"], row["usage"]["output"] > 0) == (
        "anthropic.messages",
        "estimated",
        True,
    )


def test_claude_code_works_with_a_model_of_openai(world: World) -> None:
    """Its requests have blocks of system text, cache marks, thinking, betas and an id of the session."""
    upstream = world.model("chat", lambda _: [calls(begin(0, "Bash", '{"command":"ls"}')), *END])
    cached = {"type": "ephemeral"}
    body = {
        "model": "chat",
        "max_tokens": 32_000,
        "stream": True,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1;"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": cached},
        ],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "List the files.", "cache_control": cached}],
            }
        ],
        "tools": [{"name": "Bash", "input_schema": {"type": "object"}, "cache_control": cached}],
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": '{"session_id":"1"}'},
        "temperature": 1,
    }
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "x-api-key": world.tenant.key}
    url = "/v1/messages?beta=true"
    found = world.tenant.request("POST", url, json=body, headers={**headers, "Authorization": None})
    assert found.status_code == 200, found.text
    names = [line[7:] for line in found.text.splitlines() if line.startswith("event: ")]
    assert (names[0], names[-1], "error" in names) == ("message_start", "message_stop", False)
    assert '"name":"Bash"' in found.text
    sent, last = upstream.asked[-1], upstream.last
    assert sent["messages"][0] == {"role": "system", "content": "You are Claude Code."}
    assert sent["tools"][0]["function"]["name"] == "Bash"
    assert (sent["reasoning_effort"], len(sent["prompt_cache_key"])) == ("high", 32)
    assert (last.target, last.all("anthropic-beta"), last.all("anthropic-version")) == (
        "/v1/chat/completions",
        [],
        [],
    )
