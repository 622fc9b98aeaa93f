"""Configurations of LiteLLM's proxy become files that the gateway takes, and what is lost is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from shared.cli.litellm.convert import Imported, convert
from shared.documents.file.parse import parse_file


def imported(text: str) -> Imported:
    """The import of a YAML text. The gateway must take it."""
    made = convert(YAML(typ="safe", pure=True).load(text), "main")
    parse_file(made.document)
    return made


def models(made: Imported) -> dict[str, list[str]]:
    """Each model, with its targets as ``provider/model`` and the priority of those that come later."""
    return {
        name: [
            f"{one['provider']}/{one['model']}{f' {one["priority"]}' if one.get('priority') else ''}"
            for one in model["targets"]
        ]
        for name, model in made.document["platform"]["models"].items()
    }


def left_out(made: Imported) -> set[str]:
    return {one.path for one in made.remarks.left_out}


TWO = """
model_list:
  - model_name: first
    litellm_params: {model: openai/gpt-a}
  - model_name: second
    litellm_params: {model: anthropic/claude-b}
  - model_name: third
    litellm_params: {model: mistral/mistral-c}
"""


def test_balanced_model_has_a_target_per_deployment_and_their_limits_as_weights() -> None:
    made = imported("""
model_list:
  - model_name: chat
    litellm_params:
      model: azure/chat-eu
      api_base: https://example-eu.openai.azure.com/
      api_key: os.environ/KEY_EU
      api_version: "2024-10-21"
      rpm: 6
  - model_name: chat
    litellm_params:
      model: azure/chat-ca
      api_base: https://example-ca.openai.azure.com/
      api_key: os.environ/KEY_CA
      rpm: 12
      tpm: 9000
  - model_name: local
    litellm_params: {model: openai/opt, api_base: "http://10.0.0.9:4000/v1", api_key: none, rpm: 5, tpm: 700}
""")
    platform = made.document["platform"]
    assert models(made) == {"chat": ["azure/chat-eu", "azure-2/chat-ca"], "local": ["custom/opt"]}
    assert [one.get("weight") for one in platform["models"]["chat"]["targets"]] == [6, 12]
    assert platform["providers"]["azure"] == {
        "kind": "azure",
        "shared": "all",
        "params": {"resource": "example-eu", "api_version": "2024-10-21"},
        "keys": [{"name": "key_eu", "secret": {"env": "KEY_EU"}}],
        "models": [{"id": "chat-eu"}],
    }
    assert "keys" not in platform["providers"]["custom"]
    rule = made.document["tenants"]["main"]["rules"]["ai"]
    assert rule["ai"] == {"models": ["chat", "local"]}
    assert rule["plugin_chain"][0]["settings"] == {
        "limits": {
            "per_model": {
                "chat": {"limit": 18, "window": "1m"},
                "local": [
                    {"limit": 5, "window": "1m"},
                    {"limit": 700, "unit": "tokens", "window": "1m"},
                ],
            }
        }
    }
    assert left_out(made) == set()
    assert "secrets: {env: [KEY_CA, KEY_EU]}" in str(made.remarks.notes)


def test_written_key_is_not_copied_but_becomes_a_variable() -> None:
    made = imported("model_list: [{model_name: a, litellm_params: {model: openai/b, api_key: sk-hidden}}]")
    assert made.document["platform"]["providers"]["openai"]["keys"][0]["secret"] == {"env": "OPENAI_API_KEY"}
    assert "sk-hidden" not in str(made)
    assert made.remarks.notes[0].path == "model_list[0].litellm_params.api_key"


def test_secrets_in_headers_and_addresses_are_not_copied_either() -> None:
    made = imported("""
model_list:
  - model_name: a
    litellm_params:
      model: openai/a
      api_base: https://user:hidden@one.example/v1?key=hidden
      extra_headers: {Authorization: Bearer hidden, X-Team: blue, X-Api-Key: os.environ/MINE}
  - {model_name: b, litellm_params: {model: openai/b, extra_headers: {authorization: hidden too}}}
  - {model_name: c, litellm_params: {model: bedrock/c, aws_access_key_id: hidden, aws_session_token: hidden}}
""")
    providers = made.document["platform"]["providers"]
    assert "hidden" not in str(made)
    assert providers["custom"]["base_url"] == "https://one.example/v1"
    assert providers["custom"]["headers"] == {
        "Authorization": "${HEADER_AUTHORIZATION}",
        "X-Team": "blue",
        "X-Api-Key": "${MINE}",
    }
    assert providers["openai"]["headers"] == {"authorization": "${HEADER_AUTHORIZATION_2}"}
    notes = {one.path: one.detail for one in made.remarks.notes}
    assert "HEADER_AUTHORIZATION" in notes["model_list[0].litellm_params.extra_headers.Authorization"]
    assert "model_list[0].litellm_params.api_base" in left_out(made)
    told = {one.path: one.detail for one in made.remarks.left_out}
    assert "let the client send it" not in told["model_list[2].litellm_params.aws_access_key_id"]


@pytest.mark.parametrize("address", ["http://[", "os.environ/BASE", "http://a.example:x/v1"])
def test_address_that_cannot_be_read_stays_as_it_is(address: str) -> None:
    made = imported(
        f"model_list: [{{model_name: a, litellm_params: {{model: openai/b, api_base: '{address}'}}}}]"
    )
    expected = address.replace("os.environ/BASE", "${BASE}")
    assert made.document["platform"]["providers"]["custom"]["base_url"] == expected


def test_deployments_with_different_keys_have_providers_of_their_own() -> None:
    made = imported("""
model_list:
  - {model_name: a, litellm_params: {model: gpt-b, api_key: os.environ/ONE}}
  - {model_name: a, litellm_params: {model: gpt-b, api_key: os.environ/TWO}}
  - {model_name: c, litellm_params: {model: gpt-d, api_key: os.environ/ONE}}
""")
    assert models(made) == {"a": ["openai/gpt-b", "openai-2/gpt-b"], "c": ["openai/gpt-d"]}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gpt-a", "openai"),
        ("claude-a", "anthropic"),
        ("gemini-a", "gemini"),
        ("groq/llama", "groq"),
        ("ollama_chat/a", "ollama"),
    ],
)
def test_kind_follows_from_the_name(model: str, kind: str) -> None:
    made = imported(f"model_list: [{{model_name: a, litellm_params: {{model: {model}}}}}]")
    assert [one["kind"] for one in made.document["platform"]["providers"].values()] == [kind]


@pytest.mark.parametrize("model", ["sagemaker/a", "*", "vllm/a", "unheard-of"])
def test_deployment_that_cannot_be_called_is_told(model: str) -> None:
    made = imported(f'model_list: [{{model_name: a, litellm_params: {{model: "{model}"}}}}]')
    assert len(made.remarks.left_out) == 1
    assert "models" not in made.document["platform"]


def test_ollama_and_bedrock_have_their_places() -> None:
    made = imported("""
model_list:
  - {model_name: a, litellm_params: {model: ollama/llama, api_base: "http://127.0.0.1:11434"}}
  - {model_name: b, litellm_params: {model: bedrock/converse/claude, aws_region_name: us-east-2}}
  - {model_name: c, litellm_params: {model: bedrock/claude, aws_region_name: os.environ/REGION}}
""")
    providers = made.document["platform"]["providers"]
    assert providers["ollama"]["base_url"] == "http://127.0.0.1:11434/v1"
    assert providers["bedrock"]["params"] == {"region": "us-east-2"}
    assert providers["bedrock-2"]["params"] == {"region": "${REGION}"}
    assert models(made)["b"] == ["bedrock/claude"]


def test_prices_timeouts_and_order_are_carried() -> None:
    made = imported("""
model_list:
  - model_name: a
    litellm_params: {model: gpt-b, order: 2, timeout: 30, stream_timeout: 5, input_cost_per_token: 0.0000015}
    model_info: {output_cost_per_token: 2e-6, mode: chat}
  - {model_name: a, litellm_params: {model: gpt-c, order: 1}}
""")
    platform = made.document["platform"]
    assert platform["providers"]["openai"]["models"][0] == {
        "id": "gpt-b",
        "prices": {"input": "1.5", "output": "2"},
    }
    assert models(made) == {"a": ["openai/gpt-b 1", "openai/gpt-c"]}
    assert platform["models"]["a"]["targets"][0]["timeouts"] == {"total": 30.0, "first_byte": 5.0}


def test_parameters_of_calls_are_told() -> None:
    made = imported("model_list: [{model_name: a, litellm_params: {model: gpt-b, temperature: 0.2, tpm: 9}}]")
    assert left_out(made) == {"model_list[0].litellm_params.temperature"}


# The cases that agentgateway's importer is tested with, by their names.


def test_cache_settings() -> None:
    made = imported(TWO + "litellm_settings: {cache: true, cache_params: {type: redis, password: x}}\n")
    assert left_out(made) == {"litellm_settings.cache", "litellm_settings.cache_params"}


def test_conditional_fallbacks() -> None:
    made = imported(TWO + "router_settings: {context_window_fallbacks: [{first: [second]}]}\n")
    assert left_out(made) == {"router_settings.context_window_fallbacks"}
    assert models(made)["first"] == ["openai/gpt-a"]


def test_cooldown_eviction() -> None:
    made = imported(TWO + "router_settings: {allowed_fails: 3, cooldown_time: 900}\n")
    breaker = made.document["platform"]["models"]["first"]["breaker"]
    assert breaker == {"consecutive": 4, "open": 900.0, "longest": 900.0}


def test_default_fallbacks() -> None:
    made = imported(TWO + "litellm_settings: {default_fallbacks: [second]}\n")
    assert models(made)["first"] == ["openai/gpt-a", "anthropic/claude-b 1"]
    assert models(made)["second"] == ["anthropic/claude-b"]
    assert made.document["platform"]["models"]["first"]["retry"] == {"attempts": 3}


def test_default_fallbacks_branching() -> None:
    made = imported(TWO + "router_settings: {fallbacks: [{first: [second]}, {second: [third]}]}\n")
    assert models(made)["first"] == ["openai/gpt-a", "anthropic/claude-b 1", "mistral/mistral-c 2"]


@pytest.mark.parametrize(("most", "count"), [(0, 1), (1, 2), (2, 3), (-1, 3)])
def test_default_fallbacks_max(most: int, count: int) -> None:
    router = f"router_settings: {{max_fallbacks: {most}, default_fallbacks: [second, third]}}\n"
    assert len(models(imported(TWO + router))["first"]) == count


def test_default_fallbacks_shadowed() -> None:
    settings = (
        "router_settings: {default_fallbacks: [first]}\nlitellm_settings: {default_fallbacks: [none]}\n"
    )
    made = imported(TWO + settings)
    assert models(made)["first"] == ["openai/gpt-a"]
    assert left_out(made) == set()


def test_default_fallbacks_wildcard() -> None:
    made = imported("""
model_list:
  - {model_name: "*", litellm_params: {model: "openai/*"}}
  - {model_name: fast, litellm_params: {model: openai/gpt-a}}
router_settings: {default_fallbacks: [fast]}
""")
    assert models(made) == {"fast": ["openai/gpt-a"]}
    assert made.document["platform"]["providers"]["openai"]["discover"] == "10m"
    assert made.document["tenants"]["main"]["rules"]["ai"]["ai"] == {}


def test_inbound_api_key() -> None:
    made = imported(TWO + "general_settings: {master_key: sk-hidden, litellm_key_header_name: X-Key}\n")
    assert left_out(made) == {"general_settings.master_key", "general_settings.litellm_key_header_name"}
    assert "GATEWAY_ADMIN_TOKEN" in str(made.remarks)
    assert "sk-hidden" not in str(made)


def test_model_group_alias() -> None:
    aliases = "{other: first, hidden: {model: second, hidden: true}, missing: nothing}"
    made = imported(TWO + f"router_settings: {{model_group_alias: {aliases}}}\n")
    assert models(made)["other"] == models(made)["first"]
    assert made.document["platform"]["models"]["hidden"]["visible"] is False
    assert left_out(made) == {"router_settings.model_group_alias.missing"}


def test_openai_compatible_headers() -> None:
    made = imported("""
credential_list:
  - credential_name: ours
    credential_values: {api_key: os.environ/ONE, organization: org-1, extra_headers: {X-From: credential}}
model_list:
  - {model_name: a, litellm_params: {model: openai/a, litellm_credential_name: ours}}
  - {model_name: b, litellm_params: {model: openai/b, litellm_credential_name: ours, extra_headers: {X-From: os.environ/H}}}
  - {model_name: c, litellm_params: {model: openai/c, litellm_credential_name: theirs}}
""")
    providers = made.document["platform"]["providers"]
    assert providers["openai"]["headers"] == {"X-From": "credential"}
    assert providers["openai"]["params"] == {"organization": "org-1"}
    assert providers["openai-2"]["headers"] == {"X-From": "${H}"}
    assert left_out(made) == {"model_list[2].litellm_params.litellm_credential_name"}


@pytest.mark.parametrize(
    ("router", "pool"),
    [
        ("{routing_strategy: least-busy}", {"strategy": "least_busy"}),
        (
            "{routing_strategy: latency-based-routing, num_retries: 0}",
            {"strategy": "latency", "retry": {"attempts": 1}},
        ),
        ("{num_retries: 99}", {"retry": {"attempts": 10}}),
    ],
)
def test_routing_is_that_of_the_models(router: str, pool: dict[str, Any]) -> None:
    made = imported(TWO + f"router_settings: {router}\n")
    model = made.document["platform"]["models"]["first"]
    assert {name: model[name] for name in model.keys() - {"targets", "shared"}} == pool


def test_unknown_strategy_is_told_once() -> None:
    made = imported(TWO + "router_settings: {routing_strategy: by-moon}\n")
    assert [one.path for one in made.remarks.left_out] == ["router_settings.routing_strategy"]


def test_other_sections_are_told_once() -> None:
    made = imported(
        TWO + "environment_variables: {A: b}\nguardrails: [{a: b}]\nlitellm_settings: {callbacks: [x]}\n"
    )
    assert left_out(made) == {"environment_variables", "guardrails", "litellm_settings.callbacks"}


@pytest.mark.parametrize("source", [None, [], "text", {}, {"model_list": {}}])
def test_another_document_is_rejected(source: object) -> None:
    with pytest.raises(ValueError, match="no list `model_list`"):
        convert(source, "main")


_KEYS = st.sampled_from(
    [
        *("model", "api_key", "api_base", "rpm", "tpm", "organization", "extra_headers", "order", "timeout"),
        *(
            "fallbacks",
            "default_fallbacks",
            "max_fallbacks",
            "model_group_alias",
            "num_retries",
            "cooldown_time",
        ),
        *("model_name", "litellm_params", "model_info", "credential_name", "credential_values", "first"),
    ]
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["first", "openai/a", "os.environ/A", "*"])
)
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4)
)


@given(
    st.fixed_dictionaries(
        {
            "model_list": st.lists(
                st.fixed_dictionaries({"model_name": _TREES, "litellm_params": _TREES}) | _TREES
            )
        },
        optional={
            name: _TREES for name in ("router_settings", "litellm_settings", "credential_list", "other")
        },
    )
)
def test_no_document_breaks_the_import(source: dict[str, Any]) -> None:
    convert(source, "main")
