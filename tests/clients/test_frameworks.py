"""LangChain and Vercel's AI SDK, unmodified, with two providers behind one key of the gateway."""

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
            return self.response(200, {**response, "content": [use], "stop_reason": "tool_use"})
        function = {"name": tools[0]["function"]["name"], "arguments": '{"city": "Paris"}'}
        call = {"id": "call_1", "type": "function", "function": function}
        response["choices"][0]["message"] |= {"content": None, "tool_calls": [call]}
        response["choices"][0]["finish_reason"] = "tool_calls"
        return self.response(200, response)


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


def test_langchain_chats_streams_calls_tools_and_embeds(tmp_path: Path, environment: dict[str, str]) -> None:
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *LANGCHAIN], check=True)
    assert printed([python, "langchain_chat.py"], environment) == {
        "openai": SEEN,
        "anthropic": SEEN,
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
