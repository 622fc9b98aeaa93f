"""The kinds of providers: every row of the file works, and says clearly what it needs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.providers import Provider
from shared.providers.calls import OWN, PATHS, match_call
from shared.providers.shipped.presets import CUSTOM, Endpoint, Preset, preset_of, presets


def provider(kind: str, **members: object) -> Provider:
    return Provider("prv_1", "main", kind, **members)  # type: ignore[arg-type]


def complete(preset: Preset) -> Provider:
    """A provider of that kind with all that it needs."""
    params = {name: param.one_of[0] if param.one_of else "acme" for name, param in preset.params.items()}
    base_url = None if preset.base_url else "http://127.0.0.1:8000/v1"
    apis = ("openai.chat",) if preset.kind == CUSTOM else None
    return provider(preset.kind, params=params, base_url=base_url, apis=apis)


@pytest.mark.parametrize("kind", presets())
def test_a_kind_with_its_parameters_leads_to_known_apis_at_one_origin(kind: str) -> None:
    preset = preset_of(kind)
    endpoint = Endpoint.of(complete(preset))
    assert endpoint.apis
    assert set(endpoint.apis) <= PATHS.keys() - OWN
    assert endpoint.base.scheme == ("http" if preset.base_url is None or preset.local else "https")
    assert "{" not in endpoint.base.path
    assert preset.docs.startswith("https://")
    assert preset.title


@pytest.mark.parametrize("kind", presets())
def test_a_kind_has_no_secret_and_only_known_ways_to_send_one(kind: str) -> None:
    preset = preset_of(kind)
    assert preset.auth.type in ("bearer", "header", "query", "none")
    assert bool(preset.auth.name) == (preset.auth.type in ("header", "query"))
    assert not re.search(r"sk-|AIza|gsk_|xai-", repr(preset))


@pytest.mark.parametrize(
    ("kind", "members", "api", "path"),
    [
        ("openai", {}, "openai.chat", "/v1/chat/completions"),
        ("anthropic", {}, "anthropic.messages", "/v1/messages"),
        ("gemini", {}, "openai.chat", "/v1beta/openai/chat/completions"),
        ("groq", {}, "openai.chat", "/openai/v1/chat/completions"),
        ("bedrock", {"params": {"region": "us-east-1"}}, "openai.chat", "/openai/v1/chat/completions"),
        (
            "bedrock",
            {"params": {"region": "us-east-1", "endpoint": "mantle"}},
            "anthropic.messages",
            "/anthropic/v1/messages",
        ),
        ("azure", {"params": {"resource": "acme"}}, "openai.chat", "/openai/v1/chat/completions"),
        (
            "azure",
            {"params": {"resource": "acme", "api_version": "2024-10-21"}},
            "openai.chat",
            "/openai/deployments/gpt%2Fx%3F%23%25/chat/completions",
        ),
        (
            "azure",
            {"params": {"resource": "acme", "endpoint": "services", "project": "p1"}},
            "openai.responses",
            "/api/projects/p1/openai/v1/responses",
        ),
        (
            "custom",
            {"base_url": "https://x.example/llm/", "apis": ("openai.chat",)},
            "openai.chat",
            "/llm/chat/completions",
        ),
    ],
)
def test_a_call_goes_to_the_path_that_the_provider_documents(
    kind: str, members: dict[str, object], api: str, path: str
) -> None:
    assert Endpoint.of(provider(kind, **members)).path(api, PATHS[api][0], "gpt/x?#%") == path


def test_azure_sends_the_version_that_is_not_in_the_path() -> None:
    dated = Endpoint.of(provider("azure", params={"resource": "acme", "api_version": "2024-10-21"}))
    preview = Endpoint.of(provider("azure", params={"resource": "acme", "api_version": "preview"}))
    assert dated.query == {"api-version": "2024-10-21"}
    assert preview.query == {"api-version": "preview"}
    assert Endpoint.of(provider("azure", params={"resource": "acme"})).query == {}
    assert "openai.responses" not in dated.apis


def test_parameters_of_openai_become_headers() -> None:
    endpoint = Endpoint.of(provider("openai", params={"organization": "org-1"}))
    assert endpoint.own == {"OpenAI-Organization": "org-1"}


@pytest.mark.parametrize(
    ("kind", "members", "message"),
    [
        ("azur", {}, "Did you mean azure?"),
        ("azure", {}, "azure needs the parameter resource."),
        ("openai", {"params": {"organisation": "x"}}, "Did you mean organization?"),
        ("bedrock", {"params": {"region": "a", "endpoint": "x"}}, "endpoint must be one of runtime, mantle."),
        ("bedrock", {"params": {"region": "evil.example/"}}, "region must have 1 to 63"),
        ("vllm", {}, "vllm needs base_url."),
        ("custom", {"base_url": "https://x.example"}, "custom needs apis."),
        ("openai", {"base_url": "https://{region}.example"}, "{region}, which is not a parameter"),
        ("openai", {"base_url": "ftp://x"}, "http"),
    ],
)
def test_a_wrong_provider_is_rejected_with_the_way_out(
    kind: str, members: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Endpoint.of(provider(kind, **members))


@given(st.text())
def test_a_parameter_never_leads_to_another_host(value: str) -> None:
    try:
        endpoint = Endpoint.of(provider("bedrock", params={"region": value}))
    except ValueError:
        return
    assert endpoint.base.host == f"bedrock-runtime.{value.lower()}.amazonaws.com"


@pytest.mark.parametrize(("api", "path"), [(api, path) for api, paths in PATHS.items() for path in paths])
def test_a_path_of_an_api_is_found_with_and_without_its_version(api: str, path: str) -> None:
    called = path.replace("{id}", "a.b:c@d")
    for found in (match_call(called), match_call(f"/v1{called}")):
        assert found is not None
        assert (found.api, found.path, found.id) == (api, called, "a.b:c@d" if "{id}" in path else None)


@given(st.text(alphabet="/v1modelsxa%", max_size=20))
def test_another_path_is_no_call_of_an_api(rest: str) -> None:
    found = match_call(f"/v2/{rest}")
    assert found is None
    assert match_call(f"/v1/v1/{rest}") is None
