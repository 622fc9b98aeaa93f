"""LangChain and Vercel's AI SDK, unmodified, with two providers behind one key of the gateway."""

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.demo_upstream.exchange import Exchange
from examples.demo_upstream.faults import Fault, Faults
from examples.demo_upstream.server import DemoHandler, DemoUpstream
from tests.clients.test_clients import SAID, node, printed
from tests.support.commands import serving
from tests.support.gateway import RunningGateway

__all__ = ["node"]
pytestmark = pytest.mark.slow

ARGUMENTS = {"city": "Paris"}
CHAT: dict[str, Any] = {"chat": SAID, "tokens": 3, "stream": SAID}
SEEN = {**CHAT, "tool": ["weather", ARGUMENTS]}
LANGCHAIN = ("langchain-openai==1.7.4", "langchain-anthropic==1.7.10")


class ToolsHandler(DemoHandler):
    """Calls the first tool of a request that has any."""

    def _serve(self, document: Any, exchange: Exchange | None, *, anthropic: bool) -> None:
        tools = exchange.request.get("tools") if exchange else None
        if exchange is None or not tools or self._key not in self.keys:
            return super()._serve(document, exchange, anthropic=anthropic)
        response = exchange.whole()
        if anthropic:
            use = {"type": "tool_use", "id": "toolu_1", "name": tools[0]["name"], "input": ARGUMENTS}
            response |= {"content": [use], "stop_reason": "tool_use"}
        else:
            function = {"name": tools[0]["function"]["name"], "arguments": json.dumps(ARGUMENTS)}
            call = {"index": 0, "id": "call_1", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            response["choices"][0] |= {"message": message, "finish_reason": "tool_calls"}
        if not exchange.is_streamed:
            return self.response(200, response)
        return self.stream(message_events(response) if anthropic else chunks(response))


def message_events(message: Any) -> Iterator[tuple[str, Any]]:
    """A message of Anthropic's API with one call, as a stream."""
    [use] = message["content"]
    begun = {**message, "content": [], "stop_reason": None}
    piece = {"type": "input_json_delta", "partial_json": json.dumps(use["input"])}
    for name, members in (
        ("message_start", {"message": begun}),
        ("content_block_start", {"index": 0, "content_block": {**use, "input": {}}}),
        ("content_block_delta", {"index": 0, "delta": piece}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "tool_use"}, "usage": message["usage"]}),
        ("message_stop", {}),
    ):
        yield name, {"type": name, **members}


def chunks(response: Any) -> Iterator[tuple[None, Any]]:
    """A completion of OpenAI's chat as a stream."""
    [choice] = response["choices"]
    head = {**response, "object": "chat.completion.chunk", "usage": None}
    for delta, finish in ((choice["message"], None), ({}, choice["finish_reason"])):
        yield None, {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    yield None, {**head, "choices": [], "usage": response["usage"]}
    yield None, "[DONE]"


class ToolsUpstream(DemoUpstream):
    """The demo upstream with tools. Streams of the model `cut` end after their first text."""

    def __init__(self, key: str) -> None:
        faults = Faults()
        faults.set(Fault(fail="cut", after=5, model="cut"))
        super().__init__(0, [key], faults)
        self.RequestHandlerClass = type(
            "Handler", (ToolsHandler,), {"keys": frozenset([key]), "faults": faults}
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a client: the gateway's URL, and the key for both providers."""
    with (
        serving(ToolsUpstream("sk-first")) as first,
        serving(ToolsUpstream("sk-second")) as second,
        RunningGateway(tmp_path_factory.mktemp("frameworks") / "data") as gateway,
    ):
        tenant = gateway.create_tenant()

        openai = ["openai.chat", "openai.responses", "openai.embeddings"]
        for name, port, apis, models in (
            ("first", first, openai, ["gpt-demo", "cut"]),
            ("second", second, ["anthropic.messages"], ["claude-demo"]),
        ):
            tenant.create(
                "providers",
                name=name,
                kind="custom",
                base_url=f"http://127.0.0.1:{port}/v1",
                apis=apis,
                keys=[{"name": "main", "secret": f"sk-{name}"}],
                models=[{"id": model} for model in models],
            )
        tenant.create("rules", path="/v1", ai={"providers": ["first", "second"]})
        tenant.await_rule("/v1")
        yield {**os.environ, "GATEWAY_URL": gateway.proxy, "GATEWAY_KEY": tenant.key}


def test_langchain_chats_streams_calls_tools_and_embeds_also_with_models_of_the_other_api(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *LANGCHAIN], check=True)
    seen = {**SEEN, "streamed_tool": SEEN["tool"], "result": True}
    assert printed([python, "langchain_chat.py"], environment) == {
        "openai": seen,
        "anthropic": seen,
        "openai_translated": seen,
        "anthropic_translated": seen,
        "embedding": 8,
    }


def test_vercels_ai_sdk_chats_streams_calls_tools_embeds_and_sees_broken_streams(
    node: Path, environment: dict[str, str]
) -> None:
    assert printed(["node", "vercel.mjs"], environment, node) == {
        "openai": SEEN,
        "responses": CHAT,
        "anthropic": SEEN,
        "embedding": 8,
        "broken": ["upstream_protocol_error"] * 2,
    }
