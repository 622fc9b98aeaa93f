"""SDKs and coding agents whose model is at a provider that speaks another API."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.models import ModelUpstream
from tests.translation.test_sdks import SCHEMA, TURN, weather_of_anthropic, weather_of_openai

SECRET = "sk-provider-0123456789-of-the-gateway"
MODELS: dict[str, list[str]] = {
    "chat": ["openai.chat"],
    "claude": ["anthropic.messages", "anthropic.count_tokens"],
    "responses": ["openai.responses"],
}


@dataclass(frozen=True)
class World:
    """A tenant, and a provider of each API, which has the model of its name."""

    tenant: TenantInUse
    upstreams: dict[str, ModelUpstream]

    @property
    def openai(self) -> openai.OpenAI:
        url = f"{self.tenant.gateway.proxy}/v1"
        return openai.OpenAI(base_url=url, api_key=self.tenant.key, max_retries=0)

    @property
    def anthropic(self) -> anthropic.Anthropic:
        url = self.tenant.gateway.proxy
        return anthropic.Anthropic(base_url=url, api_key=self.tenant.key, max_retries=0)

    def create(self, collection: str, **document: Any) -> None:
        response = self.tenant.gateway.call("POST", f"/tenants/{self.tenant.id}/{collection}", json=document)
        assert response.status_code == 201, response.text

    def model(self, name: str, reply: Any) -> ModelUpstream:
        """The upstream of a provider, which responds so from now on."""
        upstream = self.upstreams[name]
        upstream.reply = reply
        return upstream


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, ModelUpstream]]:
    with ModelUpstream() as chat, ModelUpstream() as claude, ModelUpstream() as responses:
        yield {"chat": chat, "claude": claude, "responses": responses}


@pytest.fixture(scope="module")
def world(gateway: RunningGateway, upstreams: dict[str, ModelUpstream]) -> World:
    made = World(gateway.create_tenant(), upstreams)
    for name, apis in MODELS.items():
        made.create(
            "providers",
            name=name,
            kind="custom",
            base_url=f"{upstreams[name].url}/v1",
            apis=apis,
            auth={"type": "header", "name": "x-api-key"} if name == "claude" else {"type": "bearer"},
            keys=[{"name": "main", "secret": SECRET}],
            models=[{"id": name}],
        )
    made.create("rules", path="/v1", ai={"providers": [*MODELS]})
    made.tenant.await_rule("/v1")
    return made


def test_sdk_of_openai_calls_tools_of_anthropics_model(world: World) -> None:
    upstream = world.model("claude", weather_of_anthropic)
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    asked: Any = {"model": "claude", "tools": [tool], "stream_options": {"include_usage": True}}
    with world.openai as client:
        with client.chat.completions.stream(messages=TURN, **asked) as stream:
            made = stream.get_final_completion()
        calls = made.choices[0].message.tool_calls or []
        assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Rome", "Oslo"]
        assert (made.choices[0].finish_reason, made.usage and made.usage.total_tokens) == ("tool_calls", 37)
        results: Any = [
            {"role": "tool", "tool_call_id": call.id, "content": f"{9 - at}°"}
            for at, call in enumerate(calls)
        ]
        called: Any = {"role": "assistant", "tool_calls": [call.model_dump() for call in calls]}
        last = client.chat.completions.with_raw_response.create(
            model="claude", messages=[*TURN, called, *results], tools=[tool], seed=1
        )
    assert last.parse().choices[0].message.content == "9° and 8°"
    assert last.headers["x-gateway-translated"] == "anthropic.messages; dropped=seed"
    sent = upstream.last
    assert (sent.target, sent.get("x-api-key"), sent.all("authorization")) == ("/v1/messages", SECRET, [])
    assert sent.get("content-type") == "application/json"


def test_sdk_of_anthropic_calls_tools_of_openais_model(world: World) -> None:
    upstream = world.model("chat", weather_of_openai)
    asked: Any = {"model": "chat", "max_tokens": 99, "tools": [{"name": "weather", "input_schema": SCHEMA}]}
    with world.anthropic as client:
        with client.messages.stream(messages=TURN, extra_query={"beta": "true"}, **asked) as stream:
            made = stream.get_final_message()
        calls = [block for block in made.content if block.type == "tool_use"]
        assert [call.input["city"] for call in calls] == ["Rome", "Oslo"]
        assert (made.stop_reason, made.usage.input_tokens, made.usage.output_tokens) == ("tool_use", 25, 12)
        results: Any = [
            {"type": "tool_result", "tool_use_id": call.id, "content": f"{9 - at}°"}
            for at, call in enumerate(calls)
        ]
        turns: Any = [
            *TURN,
            {"role": "assistant", "content": made.content},
            {"role": "user", "content": results},
        ]
        last = client.messages.create(messages=turns, **asked)
    assert [block.text for block in last.content if block.type == "text"] == ["9° and 8°"]
    sent = upstream.last
    assert (sent.target, sent.get("authorization")) == ("/v1/chat/completions", f"Bearer {SECRET}")
    assert [sent.get(name) for name in ("x-api-key", "anthropic-version", "anthropic-beta")] == [None] * 3
