"""The SDKs that application developers use, unmodified but for base URL and key."""

import subprocess
import sys
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.gateway import ROOT, RunningGateway, TenantInUse


@pytest.fixture(scope="module")
def developer(gateway: RunningGateway) -> Iterator[TenantInUse]:
    """A tenant with rules to the demo upstream."""
    command = [sys.executable, "-m", "examples.demo_upstream", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        port = demo.stdout.readline().split()[-1]
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", f"http://127.0.0.1:{port}")
        limit = {"name": "rate_limiter", "settings": {"limit": 0, "window": "1m"}}
        tenant.create_rule("/limited/v1", f"http://127.0.0.1:{port}", plugin_chain=[limit])
        yield tenant
        demo.terminate()


def openai_client(tenant: TenantInUse, path: str = "/v1", key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=tenant.gateway.proxy + path, api_key=key or tenant.key, max_retries=0)


def anthropic_client(tenant: TenantInUse, path: str = "", key: str | None = None) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=tenant.gateway.proxy + path, api_key=key or tenant.key, max_retries=0)


def test_openai_plain_and_streamed(developer: TenantInUse) -> None:
    with openai_client(developer) as client:
        ask = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}
        assert client.chat.completions.create(**ask).choices[0].message.content == "You said: Hello!"
        pieces = [
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(**ask, stream=True)
            if chunk.choices
        ]
        assert "".join(pieces) == "You said: Hello!"
        assert len(pieces) > 1


def test_anthropic_plain_and_streamed(developer: TenantInUse) -> None:
    with anthropic_client(developer) as client:
        ask = {"model": "demo", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello!"}]}
        assert client.messages.create(**ask).content[0].text == "You said: Hello!"
        with client.messages.stream(**ask) as stream:
            assert "".join(stream.text_stream) == "You said: Hello!"


def test_a_wrong_key_shows_as_such(developer: TenantInUse) -> None:
    with (
        openai_client(developer, key="wrong") as client,
        pytest.raises(openai.AuthenticationError, match="The API key is not valid"),
    ):
        client.models.list()
    with (
        anthropic_client(developer, key="wrong") as client,
        pytest.raises(anthropic.AuthenticationError, match="The API key is not valid"),
    ):
        client.messages.create(model="demo", max_tokens=1, messages=[{"role": "user", "content": "x"}])


def test_a_spent_limit_shows_as_such(developer: TenantInUse) -> None:
    ask = {"model": "demo", "messages": [{"role": "user", "content": "x"}]}
    with openai_client(developer, "/limited/v1") as client, pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(**ask)
    assert "Rate limit reached for rule limit 'global'" in str(limited.value)
    with (
        anthropic_client(developer, "/limited") as client,
        pytest.raises(anthropic.RateLimitError, match="Rate limit reached"),
    ):
        client.messages.create(**ask, max_tokens=1)
