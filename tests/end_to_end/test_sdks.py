"""The SDKs that application developers use, unmodified but for base URL and key."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest

from examples.demo_upstream.server import DemoUpstream
from shared.documents import examples
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse


@pytest.fixture(scope="module")
def developer(gateway: RunningGateway) -> Iterator[TenantInUse]:
    """A tenant with rules to the demo upstream."""
    with serving(DemoUpstream(0)) as port:
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", f"http://127.0.0.1:{port}")
        limit = {"name": "rate_limiter", "settings": {"limit": 0, "window": "1m"}}
        few = {"name": "rate_limiter", "settings": {"limit": 1, "window": "500ms"}}
        tenant.create_rule("/few", f"http://127.0.0.1:{port}", strip_path=True, plugin_chain=[few])
        tenant.create_rule("/limited/v1", f"http://127.0.0.1:{port}", plugin_chain=[limit])
        yield tenant


@pytest.fixture(scope="module")
def newcomer(gateway: RunningGateway) -> Iterator[TenantInUse]:
    """The tenant and the rule that Swagger UI offers, with another name and the demo upstream."""
    with serving(DemoUpstream(0)) as port:
        tenant = gateway.create_tenant(**{**examples.TENANT, "subdomain": f"acme-{gateway.engine}"})
        rule = {**examples.RULE, "target": f"http://127.0.0.1:{port}"}
        tenant.create_rule(rule.pop("path"), **rule)
        yield tenant


def openai_client(tenant: TenantInUse, path: str = "/v1", key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=tenant.gateway.proxy + path, api_key=key or tenant.key, max_retries=0)


def anthropic_client(tenant: TenantInUse, path: str = "", key: str | None = None) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=tenant.gateway.proxy + path, api_key=key or tenant.key, max_retries=0)


def test_openai_plain_and_streamed(developer: TenantInUse) -> None:
    ask = {"model": "demo", "messages": [{"role": "user", "content": "Hello there!"}]}
    with openai_client(developer) as client:
        plain = client.chat.completions.create(**ask)
        assert plain.choices[0].message.content == "You said: Hello there!"
        assert (plain.usage.prompt_tokens, plain.usage.completion_tokens) == (2, 4)
        streamed = client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
        *chunks, last = streamed
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert "".join(pieces) == "You said: Hello there!"
        assert len(pieces) > 1
        assert last.usage.total_tokens == 6


def test_anthropic_plain_and_streamed(developer: TenantInUse) -> None:
    ask = {"model": "demo", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello there!"}]}
    with anthropic_client(developer) as client:
        plain = client.messages.create(**ask)
        assert (plain.content[0].text, plain.usage.output_tokens) == ("You said: Hello there!", 4)
        with client.messages.stream(**ask) as stream:
            assert "".join(stream.text_stream) == "You said: Hello there!"
            final = stream.get_final_message()
        assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 4)


def test_tenant_and_rule_that_the_api_shows_as_examples_serve_the_sdks(newcomer: TenantInUse) -> None:
    ask = {"model": "demo", "messages": [{"role": "user", "content": "Hello there!"}]}
    with openai_client(newcomer) as client:
        said = client.chat.completions.create(**ask).choices[0].message.content
        assert said == "You said: Hello there!"
    with anthropic_client(newcomer) as client:
        assert client.messages.create(**ask, max_tokens=20).content[0].text == said


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


@pytest.mark.slow
def test_twelve_limited_clients_with_five_retries_all_succeed(developer: TenantInUse) -> None:
    """Each is told a free place of its own; with the same wait for all, six of them would fail."""
    ask = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}

    def call(_: int) -> str | None:
        url = developer.gateway.proxy + "/few/v1"
        with openai.OpenAI(base_url=url, api_key=developer.key, max_retries=5) as client:
            return client.chat.completions.create(**ask).choices[0].message.content

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(call, range(12))) == ["You said: Hello!"] * 12
