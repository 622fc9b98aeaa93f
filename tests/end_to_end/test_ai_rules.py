"""Rules for AI: two providers behind one key, as application developers use them."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
import requests

from examples.demo_upstream.control import DemoControl
from examples.demo_upstream.server import DemoUpstream
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

FIRST, SECOND = "sk-canary-first-0123456789", "sk-canary-second-0123456789"
PRICES = {"input": "1", "output": "2"}
CHAT: dict[str, Any] = {"model": "best", "messages": [{"role": "user", "content": "Hello there!"}]}


# mitmproxy's own core gives the first choice only: see docs/reference/engines.md.
on_express = pytest.mark.parametrize("engine", ["express"], indirect=True)


class Company:
    """A tenant with two providers, models and a rule for AI."""

    def __init__(self, tenant: TenantInUse, control: int, first: int, second: int) -> None:
        self.tenant = tenant
        self._control = f"http://127.0.0.1:{control}/control"
        apis = ["openai.chat", "openai.embeddings", "anthropic.messages", "anthropic.count_tokens"]
        for name, port, secret in (("first", first, FIRST), ("second", second, SECOND)):
            self.tenant.create(
                "providers",
                name=name,
                kind="custom",
                base_url=f"http://127.0.0.1:{port}/v1",
                apis=apis,
                keys=[{"name": "main", "secret": secret}],
                models=[{"id": "demo-small", "prices": PRICES}, {"id": "demo-large"}],
            )
        self.tenant.create(
            "models",
            name="best",
            targets=[
                {"provider": "first", "model": "demo-small"},
                {"provider": "second", "model": "demo-small", "priority": 1},
            ],
        )
        self.tenant.create("rules", path="/v1", ai={"providers": ["first", "second"]})
        tenant.await_rule("/v1")

    def fail(self, fault: str, **more: Any) -> None:
        """Make the first provider fail."""
        assert requests.put(self._control, json={"fail": fault, **more}, timeout=5).ok

    def recover(self) -> None:
        assert requests.delete(self._control, timeout=5).ok

    @property
    def openai(self) -> openai.OpenAI:
        base = self.tenant.gateway.proxy + "/v1"
        return openai.OpenAI(base_url=base, api_key=self.tenant.key, max_retries=0)

    @property
    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.tenant.gateway.proxy, api_key=self.tenant.key, max_retries=0)

    def chat(self, **more: Any) -> requests.Response:
        return self.tenant.request("POST", "/v1/chat/completions", json={**CHAT, **more})

    def usage(self, calls: int) -> list[dict[str, Any]]:
        """The report by model, once it has so many calls."""
        path = f"/tenants/{self.tenant.id}/usage?group_by=model,provider"
        for _ in until(10):
            report = self.tenant.gateway.call("GET", path).json()
            if sum(line["calls"] for line in report["usage"]) >= calls:
                return list(report["usage"])
        raise AssertionError(report)


@pytest.fixture
def company(gateway: RunningGateway) -> Iterator[Company]:
    control = DemoControl(0, 0, [FIRST])
    with serving(control) as port, serving(DemoUpstream(0, [SECOND])) as second:
        yield Company(gateway.create_tenant(), port, control.upstream.port, second)


def test_openais_sdk_chats_streams_embeds_and_lists_models(company: Company) -> None:
    with company.openai as client:
        assert [model.id for model in client.models.list()] == ["best", "demo-large", "demo-small"]
        assert client.models.retrieve("best").id == "best"
        plain = client.chat.completions.create(**CHAT)
        assert plain.choices[0].message.content == "You said: Hello there!"
        chunks = list(client.chat.completions.create(**CHAT, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: Hello there!"
        assert [chunk.usage for chunk in chunks if chunk.usage] == []
        asked = list(
            client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        )
        assert asked[-1].usage.completion_tokens == plain.usage.completion_tokens
        assert client.embeddings.create(model="demo-small", input="Hello").data


def test_anthropics_sdk_and_claude_code_call_the_same_models(company: Company) -> None:
    with company.anthropic as client:
        assert [model.id for model in client.models.list()] == ["best", "demo-large", "demo-small"]
        ask: dict[str, Any] = {**CHAT, "max_tokens": 99}
        message = client.messages.create(**ask)
        assert message.content[0].text == "You said: Hello there!"
        with client.messages.stream(**ask) as stream:
            assert "".join(stream.text_stream) == "You said: Hello there!"
        assert client.messages.count_tokens(**CHAT).input_tokens > 0
    raw = company.tenant.request(
        "POST",
        "/v1/messages?beta=true",
        json=ask,
        headers={"anthropic-beta": "a,b", "anthropic-version": "2023-06-01"},
    )
    assert raw.status_code == 200
    assert raw.headers["X-Gateway-Provider"] == "first"


_FAULTS = [
    pytest.param(
        fault, stream, marks=() if (fault, stream) in (("503", False), ("reset", True)) else pytest.mark.slow
    )
    for fault in ("500", "503", "529", "429", "401", "reset", "refuse")
    for stream in (False, True)
]


@on_express
@pytest.mark.parametrize(("fault", "stream"), _FAULTS)
def test_another_provider_serves_when_one_fails(company: Company, fault: str, stream: bool) -> None:
    company.fail(fault)
    response = company.chat(stream=stream)
    assert response.status_code == 200
    assert response.headers["X-Gateway-Provider"] == "second"
    assert "You" in response.text
    company.recover()


@on_express
def test_a_stream_that_fails_before_its_content_is_served_by_another_provider(company: Company) -> None:
    company.fail("error", after=1)
    with company.openai as client:
        chunks = list(client.chat.completions.create(**CHAT, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: Hello there!"


def test_each_call_is_in_the_report_with_its_cost_and_the_gateway_says_it_at_once(company: Company) -> None:
    response = company.chat()
    assert response.headers["X-Gateway-Model"] == "demo-small"
    usage = response.json()["usage"]
    cost = usage["prompt_tokens"] + 2 * usage["completion_tokens"]
    assert float(response.headers["X-Gateway-Cost"]) == pytest.approx(cost / 1_000_000)
    company.chat(stream=True)
    (line,) = company.usage(2)
    assert (line["provider"], line["model"], line["calls"]) == ("first", "demo-small", 2)
    assert line["input"] == 2 * usage["prompt_tokens"]
    assert float(line["cost"]) == pytest.approx(2 * cost / 1_000_000)


def test_no_secret_of_a_provider_is_anywhere_to_be_seen(company: Company, gateway: RunningGateway) -> None:
    path = f"/tenants/{company.tenant.id}"
    seen = [company.chat().text, company.chat(model="demo-large").text]
    seen += [gateway.call("GET", f"{path}/{kind}").text for kind in ("providers", "models", "rules")]
    explained = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": {"Content-Type": "application/json"},
    }
    seen.append(gateway.call("POST", f"{path}/explain", json={**explained, "body": '{"model":"best"}'}).text)
    seen += [gateway.log("proxy"), gateway.log("admin")]
    for text in seen:
        assert FIRST not in text
        assert SECOND not in text


@pytest.mark.parametrize(
    ("path", "more"),
    [("/chat/completions", {}), ("/messages", {"max_tokens": 99})],
    ids=["openai", "anthropic"],
)
def test_a_rule_that_hides_its_targets_names_only_the_model_that_was_asked_for(
    company: Company, path: str, more: dict[str, Any]
) -> None:
    company.tenant.create("rules", path="/hidden", ai={"providers": ["first", "second"], "hide_target": True})
    company.tenant.await_rule("/hidden")
    for stream in (False, True):
        body = {**CHAT, **more, "stream": stream}
        response = company.tenant.request("POST", f"/hidden/v1{path}", json=body)
        assert response.status_code == 200
        assert '"best"' in response.text
        assert "demo-small" not in response.text
        assert not {"X-Gateway-Model", "X-Gateway-Provider"} & {*response.headers}


def test_a_key_reads_its_own_usage_without_using_anything(company: Company) -> None:
    company.chat()
    company.chat(stream=True)
    [line] = company.usage(2)
    response = company.tenant.request("GET", "/v1/usage")
    own = response.json()
    assert response.status_code == 200
    assert {name: own["today"][name] for name in ("calls", "input", "output", "cost")} == {
        name: line[name] for name in ("calls", "input", "output", "cost")
    }
    assert own["month"]["calls"] == 2
    assert company.usage(2) == [line]


def test_a_limit_of_a_model_counts_every_name_of_it(company: Company) -> None:
    limits = {"per_model": {"demo-small": {"limit": 2, "window": "1h"}, "*": {"limit": 50, "window": "1h"}}}
    chain = [{"name": "rate_limiter", "settings": {"limits": limits}}]
    company.tenant.create("rules", path="/few", ai={"providers": ["first"]}, plugin_chain=chain)
    company.tenant.await_rule("/few")

    def status(model: str) -> int:
        document = {**CHAT, "model": model}
        return company.tenant.request("POST", "/few/v1/chat/completions", json=document).status_code

    assert [status(name) for name in ("best", "demo-small")] == [200, 200]
    assert [status(name) for name in ("demo-small", "best", "first/demo-small")] == [429, 429, 429]
    assert status("demo-large") == 200


def test_a_key_may_use_only_the_models_that_it_lists(company: Company) -> None:
    made = company.tenant.create("api-keys", name="small", scopes=["proxy"], models=["demo-small"])
    headers = {"Authorization": f"Bearer {made['key']}"}
    for _ in until(5):
        if company.tenant.request("GET", "/v1/models", headers=headers).status_code == 200:
            break
    names = [one["id"] for one in company.tenant.request("GET", "/v1/models", headers=headers).json()["data"]]
    assert names == ["demo-small"]
    rejected = company.tenant.request("POST", "/v1/chat/completions", json=CHAT, headers=headers)
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (403, "model_not_allowed")
