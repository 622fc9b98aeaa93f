"""A tenant whose providers speak one API each, for tests of translation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
import requests

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.models import ModelUpstream
from tests.translation.streams import chunk
from tests.translation.test_coding_agents import END

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
        made.tenant.create(
            "providers",
            name=name,
            kind="custom",
            base_url=f"{upstreams[name].url}/v1",
            apis=apis,
            auth={"type": "header", "name": "x-api-key"} if name == "claude" else {"type": "bearer"},
            keys=[{"name": "main", "secret": SECRET}],
            models=[{"id": name}, {"id": f"{name}-limited"}, {"id": f"{name}-all"}],
        )
    made.tenant.create("rules", path="/v1", ai={"providers": [*MODELS]})
    made.tenant.await_rule("/v1")
    return made


def read_all(response: requests.Response) -> bytes:
    """The body, also of a response that breaks off."""
    body = b""
    try:
        for piece in response.iter_content(None):
            body += piece
    except requests.exceptions.ChunkedEncodingError:
        pass
    return body


# The output of models, in each API.


def said(text: str, stop: str = "end_turn", **members: Any) -> dict[str, Any]:
    """A message of Anthropic's API."""
    usage = {"input_tokens": 9, "output_tokens": 4}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude"}
    content = [{"type": "text", "text": text}]
    return {**head, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage, **members}


def written(text: str, finish: str = "stop") -> dict[str, Any]:
    """A completion of OpenAI's chat."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "chatcmpl-1", "created": 1, "model": "chat", "choices": [choice], "usage": usage}


def streamed(*pieces: str) -> list[Any]:
    """The same as a stream."""
    return [*[chunk({"content": piece}) for piece in pieces], chunk({}, "stop"), END[1], END[2]]


def events(*pieces: str) -> list[Any]:
    """A message of Anthropic's API as a stream."""
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": one}}
        for one in pieces
    ]
    return [
        {"type": "message_start", "message": said("", usage={"input_tokens": 9, "output_tokens": 1}, content=[])},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]  # fmt: skip
